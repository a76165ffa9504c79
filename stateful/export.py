"""`torch.export`: importable, and truthful: programs are not exported yet."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.errors import UnsupportedError

__all__ = ["ExportedProgram", "export", "load", "save"]


class ExportedProgram:
    """What an export would give."""


def _refused(*args: Any, **kwargs: Any) -> Any:
    """NotImplementedError: programs are not exported yet."""
    raise UnsupportedError("torch.export: programs are not exported yet", hint="fdl.jit(f).lower(x), which shows one")


export = save = load = _refused
