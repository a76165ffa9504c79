"""What a recorded function depends on besides values: modes and attributes of modules, and which tensors they and
others hold.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from fdl.extend import note_guard, running_trace
from fdl.stateful.core.cells import changes
from fdl.stateful.core.tensor import Composite, Tensor, held_by

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


class Same:
    """An object that is equal to itself alone; a tensor in a container only as long as nobody writes it."""

    __slots__ = ("value", "version")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.version = value._storage.version if isinstance(value, Tensor) else 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value and self.version == other.version

    def __hash__(self) -> int:
        return hash((id(self.value), self.version))


def frozen(value: Any) -> Hashable:
    """A value as what it is compared by: numbers, strings and containers of them by content, all else by identity."""
    if isinstance(value, _PLAIN):
        return type(value), value
    if type(value) in (list, tuple):
        return type(value), tuple(map(frozen, value))
    if type(value) is dict:
        return dict, tuple((frozen(k), frozen(v)) for k, v in value.items())
    if type(value) is set:
        return set, frozenset(map(frozen, value))
    return Same(value)


class Configuration:
    """A module as a guard: its attributes, and the storages of its tensors, are what they were when a function was
    recorded.
    """

    __slots__ = ("count", "module")

    def __init__(self, module: Any) -> None:
        self.module = module
        self.count = -1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self.module is other.module

    def __hash__(self) -> int:
        return id(self.module)

    def seen(self) -> Any:
        """What recordings depend on."""
        return [
            (name, [t._storage for t in held_by([x])] if isinstance(x, (Tensor, Composite)) else frozen(x))
            for name, x in self.module.__dict__.items()
        ]

    def holds(self, seen: Any) -> bool:
        """Whether all is as it was seen."""
        if self.count == changes.count:
            return True
        if self.seen() != seen:
            return False
        self.count = changes.count
        return True


def note_configuration(module: Any) -> None:
    """Say that a function that is recorded calls a module."""
    if running_trace() is not None:
        note_guard(Configuration(module))
