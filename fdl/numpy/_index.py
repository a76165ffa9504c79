"""Indexing: `x[...]`, `x.at[...]`, `take` and `take_along_axis`.

An index is resolved into one of two forms: slices, which are views to the compiler, and gathers.  Static indices are checked at the line;
traced ones outside of the array are moved to the nearest inside when reading, and write nothing, as in JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, ConcreteArray, as_array
from fdl.core.errors import DtypeError, IndexBoundsError, ShapeError
from fdl.core.graph import Literal
from fdl.core.trace import aval_of
from fdl.numpy._create import array, full
from fdl.numpy._math import _operand, axes_of


class _Basic(NamedTuple):
    """A static part of an index: slice or integer of each axis, then which results axes are dropped or new."""

    start: list[int]
    limit: list[int]
    strides: list[int]
    reverse: list[int]


def _is_array_index(item: Any) -> bool:
    return isinstance(item, (Array, np.ndarray, list)) or (isinstance(item, np.generic) and not isinstance(item, np.integer))


def _normalised(index: Any, ndim: int) -> list[Any]:
    """Items with the ellipsis expanded, boolean masks made integers, one item an axis besides None."""
    items = list(index) if isinstance(index, tuple) else [index]
    out: list[Any] = []
    for item in items:
        if isinstance(item, (bool, np.bool_)):
            raise DtypeError("an array cannot be indexed with a bool", hint="x[None] for a new axis")
        if isinstance(item, (np.ndarray, list, ConcreteArray)) and getattr(as_list := _as_index(item), "dtype", None) == dtypes.bool_:
            out.extend(as_array(part) for part in np.nonzero(np.asarray(as_list)))
        elif _is_array_index(item):
            out.append(_as_index(item))
        elif item is None or item is Ellipsis or isinstance(item, slice) or _static_int(item) is not None:
            out.append(item)
        else:
            raise DtypeError(f"an index cannot be {type(item).__name__} {item!r}", hint="integers, slices, None, ... or integer arrays")
    used = sum(item is not None and item is not Ellipsis for item in out)
    if used > ndim:
        raise IndexBoundsError(f"{used} indices for an array of {ndim} axes")
    if Ellipsis not in [item if item is Ellipsis else None for item in out]:
        out.append(Ellipsis)
    place = next(i for i, item in enumerate(out) if item is Ellipsis)
    return [*out[:place], *[slice(None)] * (ndim - used), *[item for item in out[place + 1 :] if item is not Ellipsis]]


def _as_index(item: Any) -> Any:
    x = item if isinstance(item, Array) else array(item)
    if aval_of(x).dtype == dtypes.bool_:
        if not isinstance(x, ConcreteArray):
            raise DtypeError("a traced mask cannot index an array", why="the size of the result would depend on its values", hint="jnp.where(mask, x, 0)")
        return x
    if not dtypes.is_integer(aval_of(x).dtype):
        if aval_of(x).size == 0:
            return ops.convert(x, dtypes.int32)
        raise DtypeError(f"an index must be integers, not {aval_of(x).describe()}", hint="x.astype(jnp.int32)")
    return x


def _static_int(item: Any) -> int | None:
    if isinstance(item, (int, np.integer)):
        return int(item)
    return None


def _resolve_static(shape: Sequence[int], items: Sequence[Any]) -> _Basic:
    """Slices and integers of all axes; axes with an index array are taken whole."""
    start, limit, strides, reverse = [], [], [], []
    axis = 0
    for item in items:
        if item is None:
            continue
        n, number = shape[axis], _static_int(item)
        if number is not None:
            if not -n <= number < n:
                raise IndexBoundsError(f"index {number} is out of bounds for axis {axis} of size {n}", hint=f"from {-n} to {n - 1}")
            a, b, s = number % n, number % n + 1, 1
        elif isinstance(item, slice):
            a, b, s = slice(*(None if v is None else v.__index__() for v in (item.start, item.stop, item.step))).indices(n)
            if s < 0:  # the same elements from the front, then turned round
                count = max(0, (b - a + s + 1) // s)
                a, b, s = (a + (count - 1) * s, a + 1, -s) if count else (0, 0, 1)
                reverse.append(axis)
            b = max(a, b)
        else:
            a, b, s = 0, n, 1
        start.append(a)
        limit.append(b)
        strides.append(s)
        axis += 1
    return _Basic(start, limit, strides, reverse)


def _arrays(items: Sequence[Any]) -> list[tuple[int, Any]]:
    """(axis, index array) of the advanced part; integers join it when there is an array."""
    axis, found = 0, []
    for item in items:
        if item is None:
            continue
        if isinstance(item, Array):
            found.append((axis, item))
        axis += 1
    return found


def getitem(x: Any, index: Any) -> Any:
    """`x[index]` with NumPy's meaning: integers, slices, None, `...`, integer arrays and concrete masks.

    >>> getitem(array([[1, 2, 3], [4, 5, 6]]), (1, slice(None, None, -1))).tolist()
    [6, 5, 4]
    """
    x = _operand(x)
    items = _normalised(index, x.aval.ndim)
    basic = _resolve_static(x.aval.shape, items)
    part = ops.slice(x, basic.start, basic.limit, basic.strides) if _cuts(basic, x.aval.shape) else x
    part = ops.reverse(part, basic.reverse)
    arrays = _arrays(items)
    if arrays:
        part, items = _gathered(part, items, arrays)
    shape, axis = [], 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        if _static_int(item) is None:
            shape.append(aval_of(part).shape[axis])
        axis += 1
    return ops.reshape(part, tuple(shape))


def _cuts(basic: _Basic, shape: Sequence[int]) -> bool:
    return any(a != 0 or b != n or s != 1 for a, b, s, n in zip(basic.start, basic.limit, basic.strides, shape, strict=True))


def _wrapped(index: Any, n: int) -> Any:
    """Negative indices count from the end; a concrete index that is outside is an error at the line."""
    if isinstance(index, ConcreteArray):
        values = index._numpy()
        if values.size and (values.min() < -n or values.max() >= n):
            raise IndexBoundsError(
                f"an index array has values from {values.min()} to {values.max()}, out of bounds for an axis of size {n}", hint="jnp.clip, or x.at[i].get(mode='clip')"
            )
    if aval_of(index).dtype in dtypes.UNSIGNED:
        return index
    return ops.select(ops.less(index, 0), ops.add(index, n), index)


def _gathered(x: Any, items: list[Any], arrays: Sequence[tuple[int, Any]], mode: str = "clip") -> tuple[Any, list[Any]]:
    """The gather of the advanced part, and the items that remain for its result."""
    axes = [axis for axis, _ in arrays]
    shape = ops.broadcast_shapes([aval_of(i).shape for _, i in arrays], "indexing")
    indices = [ops.broadcast_to(_wrapped(i, aval_of(x).shape[axis]), shape) for axis, i in arrays]
    out = ops.gather(x, indices, axes, 0, mode)
    # beside an array a number counts as an array too: NumPy's rule for where the indexed axes go
    advanced = [p for p, item in enumerate(items) if isinstance(item, Array) or _static_int(item) is not None]
    first, last = advanced[0], advanced[-1]
    together = not any(item is None or isinstance(item, slice) for item in items[first : last + 1])
    rest = [item for item in items if not isinstance(item, Array)]
    lead: list[Any] = [slice(None)] * len(shape)
    if not together:
        return out, [*lead, *rest]
    before = sum(1 for item in items[:first] if item is not None)  # axes in front of the indexed ones
    order = [*range(len(shape), len(shape) + before), *range(len(shape)), *range(len(shape) + before, aval_of(out).ndim)]
    front = items[:first]
    return ops.transpose(out, order), [*front, *lead, *rest[len(front) :]]


def take(x: Any, indices: Any, axis: int | None = None, mode: str = "clip") -> Any:
    """Elements along an axis at integer indices; flat for None.

    >>> take(array([10, 20, 30]), array([2, 0])).tolist()
    [30, 10]
    """
    x = _operand(x)
    if axis is None:
        x, axis = ops.reshape(x, (x.aval.size,)), 0
    (place,) = axes_of(x, axis, "take")
    index = _as_index(indices if isinstance(indices, Array) else array(indices))
    items = [slice(None)] * place + [index] + [slice(None)] * (x.aval.ndim - place - 1)
    return _gathered(x, items, [(place, index)], mode)[0]


def take_along_axis(x: Any, indices: Any, axis: int) -> Any:
    """Elements along an axis, chosen for each place along the others.

    >>> take_along_axis(array([[1, 2], [3, 4]]), array([[1], [0]]), 1).tolist()
    [[2], [3]]
    """
    x, index = _operand(x), _as_index(indices)
    (place,) = axes_of(x, axis, "take_along_axis")
    shape = list(aval_of(index).shape)
    if len(shape) != x.aval.ndim:
        raise ShapeError(f"take_along_axis: {x.aval.describe()} and indices {aval_of(index).describe()} need as many axes")
    whole = tuple(n if i == place else max(n, d) for i, (n, d) in enumerate(zip(shape, x.aval.shape, strict=True)))
    index = ops.broadcast_to(_wrapped(index, x.aval.shape[place]), whole)
    source = ops.broadcast_to(x, tuple(x.aval.shape[i] if i == place else whole[i] for i in range(len(whole))))
    lead = [i for i in range(len(whole)) if i != place]
    moved, moved_index = (ops.transpose(v, [*lead, place]) for v in (source, index))
    out = ops.gather(moved, [moved_index], (len(lead),), len(lead))
    return ops.transpose(out, [int(i) for i in np.argsort([*lead, place])])


# x.at[...]


class _At:
    """`x.at`: waits for an index."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __getitem__(self, index: Any) -> _AtIndex:
        return _AtIndex(self.x, index)


class _AtIndex:
    """`x.at[index]`: makes a changed copy of `x`."""

    def __init__(self, x: Any, index: Any) -> None:
        self.x, self.index = _operand(x), index

    def get(self, mode: str = "clip") -> Any:
        """`x[index]`."""
        return getitem(self.x, self.index)

    def set(self, value: Any) -> Any:
        """A copy with the elements replaced."""
        return self._write(value, lambda old, new: new, "set")

    def add(self, value: Any) -> Any:
        """A copy with `value` added; indices that repeat add up."""
        items = _normalised(self.index, self.x.aval.ndim)
        if not _arrays(items):
            return self._write(value, ops.add, "add")
        places = ops.scatter_add(*self._flat_scatter(value))
        return ops.reshape(places, self.x.aval.shape)

    def subtract(self, value: Any) -> Any:
        """A copy with `value` subtracted."""
        return self.add(ops.neg(value))

    def multiply(self, value: Any) -> Any:
        """A copy with the elements multiplied."""
        return self._write(value, ops.mul, "multiply")

    mul = multiply

    def divide(self, value: Any) -> Any:
        """A copy with the elements divided."""
        return self._write(value, ops.div, "divide")

    def min(self, value: Any) -> Any:
        """A copy with the elements limited from above."""
        return self._write(value, ops.minimum, "min")

    def max(self, value: Any) -> Any:
        """A copy with the elements limited from below."""
        return self._write(value, ops.maximum, "max")

    def apply(self, f: Callable[[Any], Any]) -> Any:
        """A copy with `f` applied to the elements."""
        return self._write(f(getitem(self.x, self.index)), lambda old, new: new, "apply")

    def _flat_scatter(self, value: Any) -> tuple[Any, Any, list[Any], tuple[int, ...]]:
        """Operands of a scatter into the flat array: where each selected element lies is itself an indexed array."""
        places = getitem(ops.reshape(ops.iota((self.x.aval.size,), 0), self.x.aval.shape), self.index)
        shape = aval_of(places).shape
        update = ops.broadcast_to(ops.cast(_operand(value), self.x.aval.dtype), shape)
        count = aval_of(places).size
        return ops.reshape(self.x, (self.x.aval.size,)), ops.reshape(update, (count,)), [ops.reshape(places, (count,))], (0,)

    def _write(self, value: Any, combine: Callable[[Any, Any], Any], what: str) -> Any:
        """A static region is put in place by padding; with indices in arrays by a scatter, where the last write to a place stays."""
        items = _normalised(self.index, self.x.aval.ndim)
        old = getitem(self.x, self.index)
        shape = aval_of(old).shape
        value = ops.cast(_operand(value), self.x.aval.dtype)
        if ops.broadcast_shapes([shape, aval_of(value).shape], f"at[...].{what}") != shape:
            raise ShapeError(f"at[...].{what}: the value has shape {aval_of(value).shape}, the place has {shape}")
        new = combine(old, ops.broadcast_to(value, shape))
        if _arrays(items):
            return ops.reshape(ops.scatter(*self._flat_scatter(new)), self.x.aval.shape)
        return self._write_static(new, items)

    def _write_static(self, new: Any, items: Sequence[Any]) -> Any:
        whole = self.x.aval.shape
        basic = _resolve_static(whole, items)
        sizes = tuple((b - a + s - 1) // s for a, b, s in zip(basic.start, basic.limit, basic.strides, strict=True))
        block = ops.reverse(ops.reshape(new, sizes), basic.reverse)
        config = []
        for a, n, s, d in zip(basic.start, sizes, basic.strides, whole, strict=True):
            reached = a + (n - 1) * s + 1 if n else a
            config.append((a, d - reached, s - 1))
        inside = ops.pad(full(sizes, True), Literal(False, dtypes.bool_), config)
        return ops.select(inside, ops.pad(block, Literal(0, self.x.aval.dtype), config), self.x)


def at(x: Any) -> _At:
    """`x.at`.

    >>> at(array([1, 2, 3]))[1].set(9).tolist()
    [1, 9, 3]
    """
    return _At(x)
