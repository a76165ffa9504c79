"""The vocabulary of `lower` rules: the builder speaks it, and rules use nothing else."""

import ast
import inspect

import pytest

from fdl.core.primitive import OWN, RULES
from fdl.lowering.build.control import Builder
from fdl.ops.vocabulary import Words
from tests.conftest import ROOT

WORDS = sorted(name for name in vars(Words) if not name.startswith("_"))
FILES = [p for folder in ("fdl/ops", "transforms") for p in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("word", WORDS)
def test_the_builder_takes_what_the_vocabulary_says(word):
    """Parameters by name, order and default; it may take more at the end. Types are mypy's matter."""
    asked, given = vars(Words)[word], getattr(Builder, word)
    assert inspect.getdoc(asked)
    if isinstance(asked, property):
        assert not callable(given)
        return
    want = [(p.name, p.kind, p.default) for p in inspect.signature(asked).parameters.values()]
    have = [(p.name, p.kind, p.default) for p in inspect.signature(given).parameters.values()]
    assert have[: len(want)] == want
    assert all(default is not inspect.Parameter.empty for _, _, default in have[len(want) :])


def rules_in(tree):
    """Functions and lambdas whose first parameter is the builder."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "lower" and isinstance(node.value, ast.Lambda):
            yield node.value
        elif isinstance(node, ast.FunctionDef) and node.args.args:
            annotation = node.args.args[0].annotation
            if isinstance(annotation, ast.Name) and annotation.id == "Vocabulary":
                yield node


def test_rules_use_words_of_the_vocabulary():
    used = {}
    for path in FILES:
        for rule in rules_in(ast.parse(path.read_text())):
            name = rule.args.args[0].arg
            for node in ast.walk(rule):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
                    used.setdefault(node.attr, path)
    assert {word: path for word, path in used.items() if word not in WORDS} == {}
    assert sorted(used) == WORDS, "a word that no rule uses"


def test_rules_say_what_they_are_handed():
    """Each rule of fdl that is more than a lambda names the vocabulary."""
    untyped = []
    for p in OWN:
        rule = RULES["lower"].get(p)
        if rule is None or rule.__name__ in ("<lambda>", "_unbound"):
            continue
        first = next(iter(inspect.signature(rule).parameters.values()))
        if first.annotation != "Vocabulary":
            untyped.append(p.name)
    assert untyped == []


def test_the_page_tells_of_every_word():
    page = (ROOT / "docs" / "lowering-rules.md").read_text()
    assert [word for word in WORDS if f"`{word}" not in page] == []
