"""Functions of fdl that set and undo state, as their source says: what holds a `try` with a `finally`, a `with`, a
handler of everything, or changes a global or a context.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import subprocess
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
_SETTERS = frozenset({"set", "reset", "acquire", "release", "restore", "publish", "replace", "unlink"})


def _is_special(node: ast.AST) -> bool:
    if isinstance(node, (ast.With, ast.Global, ast.Nonlocal)) or (isinstance(node, ast.Try) and node.finalbody):
        return True
    if isinstance(node, ast.ExceptHandler):
        return isinstance(node.type, ast.Name) and node.type.id == "BaseException"
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SETTERS


def _own(function: ast.AST) -> list[ast.AST]:
    """Nodes of a function's body without those of functions in it."""
    found: list[ast.AST] = []
    todo = list(ast.iter_child_nodes(function))
    while todo:
        node = todo.pop()
        found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            todo += ast.iter_child_nodes(node)
    return found


@functools.cache
def sets_and_undoes() -> frozenset[tuple[str, int]]:
    """(file, first line) of each, and of the functions of Python's library that they use for it."""
    found = set()
    for folder in ("fdl", "transforms", "lowering", "backends", "stateful"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef) and (
                    node.name in ("__enter__", "__exit__") or any(map(_is_special, _own(node)))
                ):
                    found.add((str(path), min([node.lineno, *[d.lineno for d in node.decorator_list]])))
    for module in (contextlib, tempfile, subprocess, threading):  # what these functions stand on
        path = str(module.__file__)
        found |= {
            (path, node.lineno)
            for node in ast.walk(ast.parse(Path(path).read_text()))
            if isinstance(node, ast.FunctionDef)
        }
    return frozenset(found)
