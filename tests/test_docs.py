"""Doctests of all modules (mapped folders defeat pytest's own collection), of the README and of the pages in docs/."""

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
@pytest.mark.parametrize("page", [p.name for p in sorted((ROOT / "docs").glob("*.md")) if ">>> " in p.read_text()])
def test_page(page):
    results = doctest.testfile(str(ROOT / "docs" / page), module_relative=False, optionflags=FLAGS)
    assert results.failed == 0


@needs_compiler
def test_readme():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False, optionflags=FLAGS)
    assert results.failed == 0 and results.attempted > 20
