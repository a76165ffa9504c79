"""Doctests of all modules (mapped folders defeat pytest's own collection), and of the README."""

import doctest
import importlib

import pytest

from tests.conftest import ROOT, module_names, needs_compiler

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = list(module_names())


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    results = doctest.testmod(importlib.import_module(name), optionflags=FLAGS, verbose=False)
    assert results.failed == 0


@needs_compiler
def test_readme():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False, optionflags=FLAGS)
    assert results.failed == 0 and results.attempted > 20
