"""Read by Python when it starts in a process whose parent has put fdl in another library's place: the same names are
fdl's here, from their first import on.
"""

import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
from typing import Any


class _First:
    """Installs an alias when one of its names is asked for first."""

    def __init__(self, waiting: dict[str, str]) -> None:
        self.waiting = waiting

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        module = self.waiting.pop(fullname.partition(".")[0], None)
        if module is None:
            return None
        importlib.import_module(module).install()
        return importlib.util.find_spec(fullname)

    def find_distributions(self, context: Any = None) -> Any:
        module = self.waiting.pop(getattr(context, "name", None) or "", None)
        if module is None:
            return []
        importlib.import_module(module).install()
        return importlib.metadata.distributions(name=context.name)


def _go_on() -> None:
    """What `sitecustomize` would have been without this one."""
    here = os.path.dirname(os.path.abspath(__file__))
    paths = [p for p in sys.path if os.path.abspath(p) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", paths)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


_waiting = dict(pair.split(":") for pair in os.environ.get("_FDL_ALIAS", "").split(",") if ":" in pair)
if _waiting:
    sys.meta_path.insert(0, _First(_waiting))
_go_on()
