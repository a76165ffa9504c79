"""Mutable references: one array that functions read and write in place, in programs, loops and branches.

What a transform does with writes is said in `core/trace.py`: a function that fails has written nothing.
"""

from __future__ import annotations

from typing import Any

from fdl.core import dtypes
from fdl.core.array import Array, ConcreteArray
from fdl.core.avals import ShapedArray, SymDim
from fdl.core.errors import DtypeError, ReleasedError, ShapeError
from fdl.core.trace import aval_of
from fdl.extend.storage import Storage
from fdl.numpy import asarray, zeros
from fdl.transforms.stage import note_cell
from fdl.tree_util import register_pytree_node


class Ref:
    """A mutable array. `ref[i]` reads, `ref[i] = x` and `ref[i] += x` write; `ref[...]` is all of it.

    Functions may close over references, and take them as arguments, of which they are no leaves.

    >>> import fdl
    >>> total = new_ref(0.0)
    >>> @fdl.jit
    ... def add(x):
    ...     total[...] += x
    >>> add(2.0); add(3.0)
    >>> float(total[...])
    5.0
    """

    __slots__ = ("_cell", "_type")

    def __init__(self, value: Array) -> None:
        self._type = aval_of(value).update(weak_type=False)
        self._cell: Storage | None = Storage(value)

    @property
    def _live(self) -> Storage:
        if self._cell is None:
            raise ReleasedError(
                f"a reference to {self._type.describe()} is gone", why="freeze or free_ref ended it", hint="new_ref(x)"
            )
        return self._cell

    @property
    def aval(self) -> ShapedArray:
        """Type of the array."""
        return self._type

    @property
    def shape(self) -> tuple[Any, ...]:
        """Sizes of the axes."""
        return self._type.shape

    @property
    def dtype(self) -> dtypes.DType:
        """dtype of the elements."""
        return self._type.dtype

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return self._type.ndim

    @property
    def size(self) -> int | SymDim:
        """How many elements there are."""
        return self._type.size

    def get(self) -> Array:
        """The array as it is now."""
        cell = self._live
        note_cell(cell)
        array: Array = cell.content()
        return array

    def set(self, value: Any) -> None:
        """Put other values in the place of all: of the same dtype, or Python numbers."""
        given = asarray(value)
        aval = aval_of(given)
        if aval.dtype != self.dtype and not aval.weak_type:
            raise DtypeError(
                f"a reference to {self._type.describe()} was given {aval.describe()}",
                why="what it holds keeps its dtype",
                hint=f"x.astype({self.dtype.name!r})",
            )
        if aval.shape != self.shape:
            raise ShapeError(
                f"a reference to {self._type.describe()} was given {aval.describe()}",
                why="what it holds keeps its shape",
                hint="ref[i] = x for a part of it",
            )
        self._live.set(given.astype(self.dtype))

    def __getitem__(self, index: Any) -> Array:
        return self.get() if index is Ellipsis else self.get()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        old = self.get()
        given = asarray(value)
        if aval_of(given).dtype != self.dtype and not aval_of(given).weak_type:
            raise DtypeError(
                f"a reference to {self._type.describe()} was given {aval_of(given).describe()}",
                why="what it holds keeps its dtype",
                hint=f"x.astype({self.dtype.name!r})",
            )
        self.set(old.at[index].set(given.astype(self.dtype)))

    def __len__(self) -> int:
        return len(self.get())

    def __bool__(self) -> bool:
        raise DtypeError("a reference is neither true nor false", hint="bool(ref[...])")

    def __repr__(self) -> str:
        state = self._cell.content() if self._cell is not None else None
        shown = f"({state!r})" if type(state) is ConcreteArray else f"<{self._type.describe()}>"
        return f"Ref{shown}"

    def end(self) -> Array:
        """The array; the reference is gone."""
        value = self.get()
        self._cell = None
        return value


register_pytree_node(Ref, lambda ref: ((), ref), lambda ref, _: ref)


def new_ref(init_val: Any) -> Ref:
    """A reference to an array that begins as this one.

    >>> r = new_ref([1.0, 2.0])
    >>> r[0] = 5.0
    >>> r[...].tolist()
    [5.0, 2.0]
    """
    return Ref(asarray(init_val))


def empty_ref(ty: Any) -> Ref:
    """A reference to an array of this type, whatever has `shape` and `dtype`; of zeros.

    >>> import fdl
    >>> empty_ref(fdl.ShapeDtypeStruct((2,), "int32"))[...].tolist()
    [0, 0]
    """
    return Ref(zeros(ty.shape, ty.dtype))


def freeze(ref: Ref) -> Array:
    """The array that a reference holds; the reference is gone, and using it is a ReleasedError.

    >>> float(freeze(new_ref(2.0)))
    2.0
    """
    return ref.end()


def free_ref(ref: Ref) -> None:
    """End a reference.

    >>> free_ref(new_ref(2.0))
    """
    ref.end()


def get(ref: Ref, idx: Any = ...) -> Array:
    """`ref[idx]`.

    >>> float(get(new_ref([1.0, 2.0]), 1))
    2.0
    """
    return ref[idx]


def set(ref: Ref, idx: Any, value: Any) -> None:
    """`ref[idx] = value`.

    >>> r = new_ref([1.0, 2.0]); set(r, 1, 7.0); r[...].tolist()
    [1.0, 7.0]
    """
    ref[idx] = value


def swap(ref: Ref, idx: Any, value: Any) -> Array:
    """`ref[idx] = value`; what was there before.

    >>> r = new_ref([1.0, 2.0]); float(swap(r, 1, 7.0)), float(r[1])
    (2.0, 7.0)
    """
    before = ref[idx]
    ref[idx] = value
    return before


def addupdate(ref: Ref, idx: Any, x: Any) -> None:
    """Add at places; places that repeat get every addend.

    >>> import fdl.numpy as jnp
    >>> r = new_ref([1.0, 2.0]); addupdate(r, jnp.array([1, 1]), 1.0); r[...].tolist()
    [1.0, 4.0]
    """
    ref.set(ref.get().at[idx].add(asarray(x).astype(ref.dtype)))


__all__ = ["Ref", "addupdate", "empty_ref", "free_ref", "freeze", "get", "new_ref", "set", "swap"]
