"""`torch.serialization`: what there is to say about reading files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from fdl.stateful.files.access import FileError, RefusedError
from fdl.stateful.files.tensors import load, save

__all__ = [
    "DEFAULT_PROTOCOL",
    "FILE_LIKE",
    "FileError",
    "MAP_LOCATION",
    "RefusedError",
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "safe_globals",
    "save",
]


DEFAULT_PROTOCOL = 2  # of pickles in PyTorch's files
MAP_LOCATION = FILE_LIKE = Any


def get_safe_globals() -> list[Any]:
    """None: `load` makes no classes of a file."""
    return []


def clear_safe_globals() -> None:
    """Nothing: there are none."""


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """None: `load` refuses, by its name, what it does not make."""
    return []


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Nothing: `load` makes tensors and containers of a file and runs none of it, so it needs no list of what is safe,
    and no class on one would be made.
    """


@contextlib.contextmanager
def safe_globals(safe_globals: list[Any]) -> Iterator[None]:
    """Nothing, for the same reason."""
    yield
