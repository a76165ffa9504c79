"""Doctests of all modules (mapped folders defeat pytest's own collection), of the README and of the pages in docs/."""

import doctest
import importlib
import re

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


def test_files_that_are_named_exist():
    """In the README, in docs/, and in the comments of the code: a name is the end of a path."""
    folders = ("fdl", "lowering", "backends", "transforms", "stateful", "tests", "docs", "benchmarks", "examples")
    files = [p for folder in folders for p in (ROOT / folder).rglob("*.*")]
    paths = "\n".join(["", *(f"/{p.relative_to(ROOT)}" for p in [*files, *ROOT.glob("*.*")]), ""])
    texts = [p for p in [*files, *ROOT.glob("*.md")] if p.suffix in (".py", ".md", ".c", ".h", ".j2")]
    named = [(name, p) for p in texts for name in re.findall(r"`([\w/.]+\.(?:py|md|c|h|j2))`", p.read_text())]
    others = {"Python.h", "adapters/NAME.py"}  # not of fdl, and one that stands for several
    assert len(named) > 100
    assert not [(name, str(p)) for name, p in named if f"/{name}\n" not in paths and name not in others]
