"""What functions under a transform may change besides the storage of tensors: attributes and slots of things that live
outside of it.

Each is a `Cell` of the trace that runs: it holds what it held before when the function has failed, and what the
transform makes of its new value when the function has returned. No program can take or give these, so a function that
is recorded may not change them: `fdl.jit` runs such a function as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from fdl import tree
from fdl.extend import Node, Storage, Tracer, note_cell, note_guard, note_write, refuse_write, running_trace
from fdl.stateful.core.tape import autocasting

_ABSENT: Any = object()


class Changes:
    """How often something was changed that recorded functions depend on: as long as the count stands still, nobody has
    to look.
    """

    count = 0


changes = Changes()


def note_birth(x: Any) -> None:
    """Say that an object is made under the trace that runs, and not outside of it."""
    trace = running_trace()
    if trace is not None:
        trace.__dict__.setdefault("born", {})[id(x)] = x  # held, so that no other object gets its id


def lives_outside(x: Any) -> bool:
    """Whether a transform runs, and the object was not made under it."""
    trace = running_trace()
    return trace is not None and id(x) not in trace.__dict__.get("born", ())


class Holding:
    """A tensor as a guard: it holds the storage that it held when a function was recorded."""

    __slots__ = ("count", "tensor")

    def __init__(self, tensor: Any) -> None:
        self.tensor, self.count = tensor, -1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holding) and self.tensor is other.tensor

    def __hash__(self) -> int:
        return id(self.tensor)

    def seen(self) -> Any:
        """The storage."""
        return self.tensor._storage

    def holds(self, seen: Any) -> bool:
        """Whether it still is this one."""
        if self.count == changes.count or self.tensor._storage is seen:
            self.count = changes.count
            return True
        return False


class _Modes:
    """The modes of a thread as a guard: whether operations change dtypes."""

    def seen(self) -> Any:
        """The dtype of products, None where they take what they are given."""
        return None if autocasting.now is None else autocasting.now.key()

    def holds(self, seen: Any) -> bool:
        """Whether it is the same."""
        return bool(self.seen() == seen)


_MODES = _Modes()


class Attribute:
    """An attribute of an object that lies in its `__dict__`."""

    __slots__ = ("holder", "name")
    carried = False

    def __init__(self, holder: Any, name: str) -> None:
        self.holder, self.name = holder, name

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.holder is other.holder and self.name == other.name  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((id(self.holder), self.name))

    def __repr__(self) -> str:
        return f"{self.name!r} of a {type(self.holder).__name__}"

    def content(self) -> Any:
        """Its value."""
        return self.holder.__dict__.get(self.name, _ABSENT)

    def restore(self, before: Any) -> None:
        """Give it the value that it had."""
        if before is _ABSENT:
            self.holder.__dict__.pop(self.name, None)
        else:
            self.holder.__dict__[self.name] = before

    def lifted(self, outside: Callable[[Any], Any]) -> Any:
        """Its value, in which traced arrays are what they are outside."""
        value = self.content()
        if not any(isinstance(x, Tracer) for x in tree.leaves(value)):
            return value
        return tree.map(lambda x: outside(x) if isinstance(x, Tracer) else x, value)

    def set(self, value: Any) -> None:
        """Give it a value."""
        note_write(self)
        self.restore(value)


class Slot(Attribute):
    """An attribute that lies in a slot."""

    __slots__ = ()

    def content(self) -> Any:
        return getattr(self.holder, self.name, _ABSENT)

    def restore(self, before: Any) -> None:
        setattr(self.holder, self.name, before)

    def lifted(self, outside: Callable[[Any], Any]) -> Any:
        value = self.content()
        if isinstance(value, Node):
            refuse_write("a tensor that lives outside is written with its history", always=True)
        if not isinstance(value, Storage) or not isinstance(value.array, Tracer):
            return value
        return Storage(outside(value.array))


def note_slots(x: Any, *names: str) -> None:
    """Tell the transform that runs, if one does, that slots of a tensor are about to be written."""
    if running_trace() is not None:
        for name in names:
            note_write(Slot(x, name), getattr(x._storage, "birth", 0))


def refuse_step(what: str) -> None:
    """StateError where what changes much that no transform can carry is done under one."""
    if running_trace() is not None:
        refuse_write(what, always=True)


class Captures(threading.local):
    """Tensors with history that functions under a transform read though they were not handed to them; None where nobody
    asks.
    """

    found: dict[int, Any] | None = None

    def note(self, base: Any) -> None:
        """Remember a tensor whose value is no transform's."""
        if self.found is not None and base._edge is not None and not isinstance(base._storage.array, Tracer):
            self.found[id(base)] = base


captures = Captures()


def note_read(x: Any) -> None:
    """Tell the transforms that run that a tensor is read."""
    base = x if x._view is None or x._edge is not None else x._root()
    note_cell(base._storage)
    captures.note(base)
    note_guard(_MODES)
    if not isinstance(base._storage.array, Tracer) and not hasattr(base._storage, "birth"):
        note_guard(Holding(base))


def note_assignment(x: Any) -> None:
    """Tell the transform that runs, if one does, that somebody sets a gradient by hand."""
    if running_trace() is not None:
        note_write(Attribute(x, "_grad"), getattr(x._storage, "birth", 0))


def note_gradient(x: Any) -> None:
    """Tell the transform that runs that a gradient is read and set; StateError where it would become part of a program,
    which cannot know which tensor that is next time.
    """
    trace, birth = running_trace(), getattr(x._storage, "birth", 0)
    if trace is not None and birth < trace.number:
        refuse_write("the gradient of a tensor that lives outside is read or set")
        note_write(Attribute(x, "_grad"), birth)
