"""Names that a library's source asks for and fdl has not: `python -m tests.ecosystem.names torch PATH ...`, or `jax`.

Both what is imported by name and what is read as an attribute (`torch.a.b`, under any name that a module was imported
as) is listed, with how many files ask for it; most stand behind conditions, so a name here need not be missed.
"""

from __future__ import annotations

import ast
import collections
import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

HOMES = {"torch": "fdl.stateful", "jax": "fdl"}


def asked(source: str, root: str) -> Iterator[str]:
    """Dotted names below `root` that a source asks for."""
    tree, known = ast.parse(source), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name.split(".")[0] == root:
                    yield name.name
                    known[name.asname or root] = name.name if name.asname else root
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == root:
            for name in node.names:
                if name.name != "*":
                    yield f"{node.module}.{name.name}"
                    known[name.asname or name.name] = f"{node.module}.{name.name}"
    for node in ast.walk(tree):
        parts, held = [], node
        while isinstance(held, ast.Attribute):
            parts.append(held.attr)
            held = held.value
        if parts and isinstance(held, ast.Name) and held.id in known:
            yield ".".join([known[held.id], *reversed(parts)])


def is_there(name: str) -> bool:
    """Whether fdl has what a dotted name says."""
    root, *parts = name.split(".")
    found, path = importlib.import_module(HOMES[root]), HOMES[root]
    for part in parts:
        path = f"{path}.{part}"
        if hasattr(found, part):
            found = getattr(found, part)
            continue
        with contextlib.suppress(ImportError):
            found = importlib.import_module(path)
            continue
        return False
    return True


def missing(root: str, paths: list[str]) -> collections.Counter[str]:
    """How many files ask for each name that is not there; of a name that is not there nothing below is told."""
    count: collections.Counter[str] = collections.Counter()
    for path in paths:
        for file in sorted(Path(path).rglob("*.py")):
            with contextlib.suppress(SyntaxError, UnicodeDecodeError):
                count.update(set(asked(file.read_text(), root)))
    shortest: collections.Counter[str] = collections.Counter()
    for name, times in count.items():
        parts = name.split(".")
        heads = (".".join(parts[: i + 1]) for i in range(1, len(parts)))
        gone = next((head for head in heads if not is_there(head)), None)
        if gone is not None:
            shortest[gone] += times
    return shortest


if __name__ == "__main__":
    for name, times in missing(sys.argv[1], sys.argv[2:]).most_common():
        print(f"{times:5} {name}")
