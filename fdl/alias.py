"""fdl in the place of another library: `import torch` or `import jax` gets fdl, in this process and in its children.

`Alias` says which names are whose; `install` puts it before Python's own ways of finding modules, and `run` runs a
script, a module or a line under it, as `python` would.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from fdl.core.config import config

__all__ = ["JAX", "Alias", "install", "run"]


@dataclasses.dataclass(frozen=True)
class Alias:
    """Another library's name, and what stands for it.

    `roots` maps its packages to modules of fdl; `version` is what its metadata say, and without one there are none.
    `attributes` are what the module that stands in for it says of itself there.
    """

    name: str
    roots: Mapping[str, str]
    version: str | None = None
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)


_VERSION = {"__version__": "0.10.2", "__version_info__": (0, 10, 2)}
JAX = Alias("jax", {"jax": "fdl"}, "0.10.2", {**_VERSION, "version": SimpleNamespace(**_VERSION)})


class _Loader(importlib.abc.Loader):
    """Gives what fdl has under another name: a module, or a namespace that stands for one."""

    def __init__(self, found: Any) -> None:
        self.found: ModuleType = found

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self.found

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it is there already."""


class _Distribution(importlib.metadata.Distribution):
    """The metadata of a library that fdl stands for: its name and version."""

    def __init__(self, name: str, version: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Path:
        return Path(path)


class Finder(importlib.metadata.DistributionFinder):
    """Resolves the names of an alias, and what is below them."""

    def __init__(self, alias: Alias) -> None:
        self.alias = alias

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, _, rest = fullname.partition(".")
        if root not in self.alias.roots:
            return None
        found = self._resolved(root, rest)
        if found is None:
            raise ModuleNotFoundError(
                f"No module named {fullname!r}: fdl has nothing in the place of it", name=fullname
            )
        if not rest:  # as the library's root calls itself
            found.__dict__.update({"__name__": root, root: found, **self.alias.attributes})
        return importlib.machinery.ModuleSpec(fullname, _Loader(found), is_package=True)

    def _resolved(self, root: str, rest: str) -> ModuleType | SimpleNamespace | None:
        """A module of fdl, or an attribute that stands for one."""
        name = f"{self.alias.roots[root]}.{rest}" if rest else self.alias.roots[root]
        with contextlib.suppress(ModuleNotFoundError):
            if name in sys.modules or importlib.util.find_spec(name) is not None:
                return importlib.import_module(name)
        found: Any = importlib.import_module(self.alias.roots[root])
        for part in rest.split("."):
            found = getattr(found, part, None)
        return found if isinstance(found, (ModuleType, SimpleNamespace)) else None

    def find_distributions(self, context: Any = None) -> Iterator[importlib.metadata.Distribution]:
        wanted = None if context is None else context.name
        if self.alias.version is not None and wanted in (None, self.alias.name):
            yield _Distribution(self.alias.name, self.alias.version)


_CHILDREN = "_FDL_ALIAS"  # by package, the module whose `install` a child calls; `site/sitecustomize.py` reads it


def install(alias: Alias, module: str) -> None:
    """Let the names of an alias be fdl's in this process from now on, and in Python processes that it starts.

    `module` is the one whose `install()` a child calls.
    """
    if any(isinstance(f, Finder) and f.alias is alias for f in sys.meta_path):
        return
    sys.meta_path.insert(0, Finder(alias))
    if alias is JAX:
        config.dataclass_trees = False  # libraries hide from JAX what they keep in one
    paths = [str(Path(__file__).parent / "site"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    root = str(Path(__file__).parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([*paths, root]))
    names = filter(None, os.environ.get(_CHILDREN, "").split(","))
    os.environ[_CHILDREN] = ",".join(dict.fromkeys([*names, *(f"{root}:{module}" for root in alias.roots)]))


def run(arguments: Sequence[str], program: str) -> int:
    """Run `script.py ...`, `-m module ...` or `-c code ...` as `python` would; its exit status is ours."""
    if not arguments or (arguments[0] in ("-m", "-c") and len(arguments) < 2):
        print(f"usage: {program} (script.py | -m module | -c code) [args]", file=sys.stderr)
        return 2
    if arguments[0] == "-m":
        sys.path[:1] = [os.getcwd()]
        sys.argv = list(arguments[1:])
        if importlib.util.find_spec(arguments[1].partition(".")[0]) is None:
            print(f"{program}: no module named {arguments[1]}", file=sys.stderr)
            return 1
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    if arguments[0] == "-c":
        sys.path[:1] = [""]
        sys.argv = ["-c", *arguments[2:]]
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(arguments[1], "<string>", "exec"), main.__dict__)
        return 0
    if not os.path.exists(arguments[0]):
        print(f"{program}: no such file: {arguments[0]}", file=sys.stderr)
        return 2
    sys.path[:1] = [os.path.dirname(os.path.abspath(arguments[0]))]
    sys.argv = list(arguments)
    runpy.run_path(arguments[0], run_name="__main__")
    return 0
