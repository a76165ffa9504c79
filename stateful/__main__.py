"""`python -m fdl.stateful script.py [args]`: runs a PyTorch script as it is, with `torch` resolving to fdl in this process only."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import runpy
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_NAMES = {"torch": "fdl.stateful", "torchvision": "fdl.stateful.vision"}


class _Loader(importlib.abc.Loader):
    """Gives the module of fdl under PyTorch's name."""

    def __init__(self, target: str) -> None:
        self.target = target

    def create_module(self, spec: Any) -> ModuleType:
        return importlib.import_module(self.target)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it is imported already."""


class Finder(importlib.abc.MetaPathFinder):
    """Resolves `torch` and what is below it."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        root, _, rest = fullname.partition(".")
        if root not in _NAMES:
            return None
        name = f"{_NAMES[root]}.{rest}" if rest else _NAMES[root]
        if name not in sys.modules and importlib.util.find_spec(name) is None:  # type: ignore[attr-defined]
            raise ModuleNotFoundError(f"No module named {fullname!r}: fdl has nothing in the place of it", name=fullname)
        spec = importlib.machinery.ModuleSpec(fullname, _Loader(name), is_package=True)
        return spec


def main(arguments: Sequence[str]) -> int:
    """Run a script; its exit status is ours."""
    if not arguments:
        print("usage: python -m fdl.stateful script.py [args]", file=sys.stderr)
        return 2
    sys.meta_path.insert(0, Finder())
    sys.argv = list(arguments)
    runpy.run_path(arguments[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
