"""`python -m fdl.stateful script.py [args]`: runs a PyTorch script as it is, with `torch` resolving to fdl in this
process only.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import runpy
import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

_NAMES = {"torch": "fdl.stateful", "torchvision": "fdl.stateful.vision"}
# packages whose names PyTorch spreads over more files than fdl does: what is asked of such a file is asked of the
# package
_SPREAD = ("nn.modules", "nn", "optim", "utils.data", "distributions", "autograd", "cuda.amp", "amp")


class _Loader(importlib.abc.Loader):
    """Gives what fdl has under PyTorch's name: a module, or a namespace that stands for one."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def create_module(self, spec: Any) -> Any:
        return self.found

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it is there already."""


class Finder(importlib.abc.MetaPathFinder):
    """Resolves `torch` and what is below it."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        root, _, rest = fullname.partition(".")
        if root not in _NAMES:
            return None
        found = _resolved(_NAMES[root], rest)
        if found is None:
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: fdl has nothing in the place of it", name=fullname
            )
        return importlib.machinery.ModuleSpec(fullname, _Loader(found), is_package=True)


def _resolved(package: str, rest: str) -> Any:
    """A module of fdl, an attribute that stands for one, or the package that holds its names."""
    name = f"{package}.{rest}" if rest else package
    with contextlib.suppress(ModuleNotFoundError):
        if name in sys.modules or importlib.util.find_spec(name) is not None:  # type: ignore[attr-defined]
            return importlib.import_module(name)
    found: Any = importlib.import_module(package)
    for part in rest.split("."):
        found = getattr(found, part, None)
    if isinstance(found, (ModuleType, SimpleNamespace)):
        return found
    holder = next((p for p in _SPREAD if rest == p or rest.startswith(f"{p}.")), None)
    return (
        _resolved(package, holder.replace("nn.modules", "nn"))
        if holder is not None and rest != holder.replace("nn.modules", "nn")
        else None
    )


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
