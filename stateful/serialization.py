"""`torch.serialization`: what there is to say about reading files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from fdl.stateful.files.access import FileError, RefusedError
from fdl.stateful.files.tensors import load, save

__all__ = ["FileError", "RefusedError", "add_safe_globals", "load", "safe_globals", "save"]


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Nothing: `load` makes tensors and containers of a file and runs none of it, so it needs no list of what is safe,
    and no class on one would be made.
    """


@contextlib.contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """Nothing, for the same reason."""
    yield
