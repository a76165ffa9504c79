"""Doctests of all modules (mapped folders defeat pytest's own collection), of the README and of the pages in docs/."""

import doctest
import importlib

import pytest

from tests.conftest import ROOT, module_names, needs_compiler

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = list(module_names())
PAGES = [p for p in [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))] if ">>> " in p.read_text()]


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    results = doctest.testmod(importlib.import_module(name), optionflags=FLAGS, verbose=False)
    assert results.failed == 0


@needs_compiler
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page(page):
    results = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert results.failed == 0


@needs_compiler
def test_readme():
    results = doctest.testfile(str(ROOT / "README.md"), module_relative=False, optionflags=FLAGS)
    assert results.failed == 0 and results.attempted > 20
