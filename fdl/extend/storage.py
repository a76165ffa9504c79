"""Storage of tensors: mutable cells that hold immutable arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.backends.native import NATIVE
from fdl.core.array import VOLATILE, ConcreteArray, Deferred, from_numpy
from fdl.core.trace import Tracer, note_write, running_trace
from fdl.transforms.lazy import current_recorder, flush, recorders


class Storage:
    """A mutable cell that holds an array. What is set is undone where the program that it belongs to fails before it
    has run.
    """

    __slots__ = ("__weakref__", "array", "birth", "exported", "version")
    carried = True

    def __init__(self, array: Any) -> None:
        self.array = array
        self.version = 0
        self.exported: np.ndarray[Any, Any] | None = None
        trace = running_trace()
        if trace is not None:  # what the runtime library makes has no birth: it makes nothing under a transform
            self.birth = trace.number

    def set(self, array: Any) -> None:
        """Put another array of the same type into the cell."""
        if running_trace() is not None:
            note_write(self, getattr(self, "birth", 0))
        if self.exported is not None and not isinstance(array, Tracer) and self._write_through(array):
            return
        if type(array) is ConcreteArray and isinstance(array._data, Deferred):
            current_recorder().rebound(self, self.array)
        self.array = array
        self.version += 1

    def __deepcopy__(self, memo: dict[int, Any]) -> Storage:
        return Storage(self.array if self.exported is None else from_numpy(np.array(self.exported)))

    def restore(self, before: Any) -> None:
        """Undo what was set since the last flush, or by a function under a transform."""
        self.array = before
        self.version += 1

    def content(self) -> Any:
        """The array."""
        return self.array

    def lifted(self, outside: Callable[[Any], Any]) -> Any:
        """The array, outside of a transform."""
        return outside(self.array)

    def export(self) -> np.ndarray[Any, Any]:
        """A writable ndarray that shares memory with the cell: what is written to either is seen in both, for as long
        as somebody holds it.

        Inside of a transform there is no memory to share: it is a copy, where the value is known.
        """
        if isinstance(self.array, Tracer):
            return np.array(self.array.known("x.numpy()"))
        if self.exported is None:
            flush()  # whoever has recorded to read the old memory reads it now
            memory = np.array(self.array._numpy())
            array = ConcreteArray(self.array.aval, memory, VOLATILE)
            self.exported, self.array = memory, array
        return self.exported

    def _write_through(self, array: ConcreteArray) -> bool:
        """Write into exported memory; False, and the memory is ours again, where nobody holds it any more."""
        if sys.getrefcount(self.exported) <= 3:  # this cell, its array, and the call
            self.exported = None
            return False
        assert self.exported is not None
        np.copyto(self.exported, array._numpy())
        self.version += 1
        return True


def put(cells: Sequence[Storage], arrays: Sequence[Any]) -> None:
    """`set` of many cells, after one call that computed all of their values."""
    current = recorders.recorder
    start = (
        NATIVE.put(current.segment, current.journal, cells, arrays)
        if NATIVE.put is not None and running_trace() is None
        else 0
    )
    for cell, array in zip(cells[start:], arrays[start:], strict=True):
        cell.set(array)
