"""Copies of arrays with elements put in, left out or replaced, with NumPy's names.

Arrays are immutable, so what NumPy writes in place is returned here; those functions ask for `inplace=False`, so that
nobody waits for an array to change.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, from_numpy
from fdl.core.errors import ChoiceError, DtypeError, ImmutableError, IndexBoundsError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import Tracer, aval_of
from fdl.numpy._at import at
from fdl.numpy._choose import flatnonzero
from fdl.numpy._create import asarray
from fdl.numpy._math import _as_bool, _operand, axes_of, cumsum, nonzero
from fdl.numpy._shape import broadcast_to, ravel, tile
from fdl.numpy._sort import argsort


def _lined(x: ArrayLike, axis: int | None, what: str) -> tuple[Array, int]:
    """An array and an axis of it: of the flat array for None."""
    x = _operand(x)
    if axis is None:
        return ravel(x), 0
    return x, axes_of(x, axis, what)[0]


def _known(indices: ArrayLike, n: int, what: str) -> np.ndarray[Any, Any] | None:
    """Indices as an ndarray of places from the front; None where their values are not known."""
    if isinstance(indices, slice):
        return np.arange(*indices.indices(n))
    if isinstance(indices, Tracer) and indices.concrete() is None:
        return None
    found = np.asarray(indices)
    if found.dtype == bool:
        return found
    if found.dtype.kind not in "iu" and found.size:
        raise DtypeError(f"{what}: an index must be integers, not {found.dtype}", hint="obj.astype(jnp.int32)")
    beyond = found[(found < -n) | (found > (n if what == "insert" else n - 1))]
    if beyond.size:
        raise IndexBoundsError(f"{what}: index {beyond.flat[0]} is out of bounds for an axis of size {n}")
    return np.where(found < 0, found + n, found).astype(np.int64)


def delete(arr: ArrayLike, obj: Any, axis: int | None = None, *, assume_unique_indices: bool = False) -> Array:
    """A copy without some elements along an axis: an integer, a slice, a vector of integers, or a mask. Of the flat
    array for None.

    Values of `obj` must be known, since the size depends on how many different ones there are; but a single integer, or
    integers which `assume_unique_indices` promises to be different, may be computed.

    >>> from fdl.numpy import array
    >>> delete(array([1, 2, 3]), 1).tolist()
    [1, 3]
    """
    x, place = _lined(arr, axis, "delete")
    n = x.aval.shape[place]
    known = _known(obj, n, "delete")
    if known is None:
        index = ravel(_operand(obj))
        if aval_of(_operand(obj)).ndim and not assume_unique_indices:
            obj.refuse("jnp.delete(x, obj)", hint="assume_unique_indices=True, where no index repeats")
        index = ops.select(ops.less(index, 0), ops.add(index, n), index)
        mask = _unmarked(n, index)
        (kept,) = nonzero(mask, size=n - aval_of(index).size)
    elif known.dtype == bool:
        if known.shape != (n,):
            raise ShapeError(f"delete: a mask of shape {known.shape} for an axis of size {n}", hint="one bool for each")
        kept = from_numpy(np.flatnonzero(~known).astype(np.int32))
    else:
        kept = from_numpy(np.delete(np.arange(n, dtype=np.int32), known))
    return ops.move_axis(ops.gather(x, [kept], (place,)), 0, place)


def _unmarked(n: int, places: Array) -> Array:
    """n bools, False at some places."""
    marks = ops.full(aval_of(places).shape, False, dtypes.bool_)
    return ops.scatter(ops.full((n,), True, dtypes.bool_), marks, [places], (0,))


def insert(arr: ArrayLike, obj: Any, values: ArrayLike, axis: int | None = None) -> Array:
    """A copy with `values` put in before the elements at `obj`: an integer, a slice, or a vector of integers or bools.
    Of the flat array for None.

    >>> from fdl.numpy import array
    >>> insert(array([1, 2, 3]), 1, 9).tolist(), insert(array([1, 2]), array([0, 2]), array([8, 9])).tolist()
    ([1, 9, 2, 3], [8, 1, 2, 9])
    """
    x, place = _lined(arr, axis, "insert")
    n = x.aval.shape[place]
    known = _known(obj, n, "insert")
    if known is None:
        index = _operand(obj)
        index = ops.select(ops.less(index, 0), ops.add(index, n), index)
        single = not aval_of(index).ndim
    else:
        known = np.flatnonzero(known) if known.dtype == bool else known
        index, single = from_numpy(known.astype(np.int32)), not known.ndim
    index = ravel(index)
    new = ops.convert(_operand(asarray(values)), x.aval.dtype)

    def raised(v: Array) -> Array:
        return broadcast_to(v, (*[1] * (x.aval.ndim - aval_of(v).ndim), *aval_of(v).shape))

    new = ops.move_axis(raised(new), 0, place) if single and aval_of(new).ndim else raised(new)  # an array is one slice
    count = builtins.max(aval_of(index).shape[0], aval_of(new).shape[place])
    index = broadcast_to(index, (count,))
    new = broadcast_to(new, tuple(count if i == place else d for i, d in enumerate(x.aval.shape)))
    order = argsort(index)
    places = ops.add(ops.gather(index, [order], (0,)), ops.iota((count,), 0))
    new = ops.gather(ops.move_axis(new, place, 0), [order], (0,))
    is_old = _unmarked(n + count, places)
    source = ops.sub(cumsum(is_old), 1)
    old = ops.move_axis(x, place, 0)
    rest = aval_of(old).shape[1:]
    out = ops.gather(old, [source], (0,), 0, "drop") if n else ops.full((count, *rest), 0, x.aval.dtype)
    return ops.move_axis(ops.scatter(out, new, [places], (0,)), 0, place)


def _refuse_in_place(inplace: bool, what: str) -> None:
    if inplace:
        raise ImmutableError(
            f"{what}: arrays are immutable, so nothing is written in place",
            hint=f"x = jnp.{what}(x, inplace=False)",
        )


def put(a: ArrayLike, ind: ArrayLike, v: ArrayLike, mode: str | None = None, *, inplace: bool = True) -> Array:
    """A copy with `v`, repeated where it is too short, at places of the flat array. `mode` is that of `x.at[...].set`:
    None, "clip" or "wrap".

    >>> from fdl.numpy import array
    >>> put(array([1, 2, 3]), array([0, 2]), array([8, 9]), inplace=False).tolist()
    [8, 2, 9]
    """
    _refuse_in_place(inplace, "put")
    x, index, values = _operand(a), ravel(_operand(asarray(ind))), ravel(_operand(asarray(v)))
    if not aval_of(values).size or not aval_of(index).size:
        return x
    values = _cycled(values, aval_of(index).size)
    return ops.reshape(at(ravel(x))[index].set(values, mode=mode), x.aval.shape)


def _cycled(values: Array, n: int) -> Array:
    """n elements: those of a vector, again and again."""
    k = aval_of(values).shape[0]
    return ops.slice_in_dim(tile(values, -(-n // k)), 0, n, 0)


def place(arr: ArrayLike, mask: ArrayLike, vals: ArrayLike, *, inplace: bool = True) -> Array:
    """A copy in which the elements where a mask holds are `vals`, one after another and again from the first.

    >>> from fdl.numpy import array
    >>> place(array([1, 2, 3]), array([True, False, True]), array([8, 9]), inplace=False).tolist()
    [8, 2, 9]
    """
    _refuse_in_place(inplace, "place")
    x, chosen, values = _operand(arr), ravel(_as_bool(_operand(mask))), ravel(_operand(asarray(vals)))
    if aval_of(chosen).size != x.aval.size:
        raise ShapeError(f"place: {aval_of(chosen).size} bools for {x.aval.describe()}", hint="one for each element")
    if not aval_of(values).size:
        raise ShapeError("place: there is no value to put", hint="vals with one element at least")
    turn = ops.rem(ops.maximum(ops.sub(cumsum(chosen), 1), 0), aval_of(values).size)
    new = ops.gather(ops.convert(values, x.aval.dtype), [turn], (0,))
    return ops.reshape(ops.select(chosen, new, ravel(x)), x.aval.shape)


def put_along_axis(
    arr: ArrayLike,
    indices: ArrayLike,
    values: ArrayLike,
    axis: int | None,
    inplace: bool = True,
    *,
    mode: str | None = None,
) -> Array:
    """A copy with `values` at places along an axis that are chosen for each place along the others; of the flat array
    for None. What `take_along_axis` reads, this writes.

    >>> from fdl.numpy import array
    >>> put_along_axis(array([[1, 2], [3, 4]]), array([[1], [0]]), 9, 1, inplace=False).tolist()
    [[1, 9], [9, 4]]
    """
    _refuse_in_place(inplace, "put_along_axis")
    x, index = _operand(arr), _operand(asarray(indices))
    if axis is None:
        flat = at(ravel(x))[ravel(index)].set(ravel(broadcast_to(values, index.aval.shape)), mode=mode)
        return ops.reshape(flat, x.aval.shape)
    (place,) = axes_of(x, axis, "put_along_axis")
    if index.aval.ndim != x.aval.ndim:
        raise ShapeError(f"put_along_axis: {x.aval.describe()} and indices {index.aval.describe()} need as many axes")
    shape = tuple(index.aval.shape[place] if i == place else d for i, d in enumerate(x.aval.shape))
    full = tuple(ops.iota(shape, i) if i != place else broadcast_to(index, shape) for i in range(len(shape)))
    return at(x)[full].set(broadcast_to(values, shape), mode=mode)


def fill_diagonal(a: ArrayLike, val: ArrayLike, wrap: bool = False, *, inplace: bool = True) -> Array:
    """A copy with `val`, repeated where it is too short, on the main diagonal, where all indices are equal. With `wrap`
    the diagonal of a tall matrix begins again after each square.

    >>> from fdl.numpy import array
    >>> fill_diagonal(array([[1, 2], [3, 4]]), 0, inplace=False).tolist()
    [[0, 2], [3, 0]]
    """
    _refuse_in_place(inplace, "fill_diagonal")
    x = _operand(a)
    shape = x.aval.shape
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ShapeError(f"fill_diagonal: {x.aval.describe()} has no diagonal", hint="a matrix, or axes of one size")
    steps = [int(np.prod(shape[i:], dtype=int)) for i in range(1, len(shape) + 1)]
    step = sum(steps)
    end = x.aval.size if wrap or len(shape) > 2 else builtins.min(shape[1] * shape[1], x.aval.size)
    numbers = np.arange(0, end, step, dtype=np.int32)
    values = ravel(_operand(asarray(val)))
    if not numbers.size or not aval_of(values).size:
        return x
    values = _cycled(ops.convert(values, x.aval.dtype), numbers.size)
    return ops.reshape(ops.scatter(ravel(x), values, [from_numpy(numbers)], (0,)), shape)


def resize(a: ArrayLike, new_shape: Any) -> Array:
    """The elements in row-major order under another shape, repeated from the first on where they are too few.

    >>> from fdl.numpy import array
    >>> resize(array([1, 2, 3]), (2, 2)).tolist()
    [[1, 2], [3, 1]]
    """
    flat = ravel(_operand(a))
    shape = (new_shape,) if isinstance(new_shape, int) else tuple(new_shape)
    if builtins.any(d < 0 for d in shape):
        raise ShapeError(f"resize: {shape} has a negative size")
    size = int(np.prod(shape, dtype=int))
    if not size or not aval_of(flat).size:
        return ops.full(shape, 0, aval_of(flat).dtype)
    return ops.reshape(_cycled(flat, size), shape)


def trim_zeros(filt: ArrayLike, trim: str = "fb") -> Array:
    """A vector, whose values must be known, without its zeros at the front ("f" in `trim`) and the back ("b").

    >>> from fdl.numpy import array
    >>> trim_zeros(array([0, 1, 0, 2, 0])).tolist()
    [1, 0, 2]
    """
    if not set(trim.lower()) <= set("fb"):
        raise ChoiceError(f"trim_zeros: trim={trim!r}", hint="'f', 'b' or 'fb'")
    x = _operand(filt)
    found = flatnonzero(x)
    n = x.aval.shape[0]
    if not aval_of(found).size:
        return ops.slice_in_dim(x, 0, 0, 0)
    start = int(found[0]) if "f" in trim.lower() else 0
    return ops.slice_in_dim(x, start, int(found[-1]) + 1 if "b" in trim.lower() else n, 0)


__all__ = [
    "delete", "fill_diagonal", "insert", "place", "put", "put_along_axis", "resize", "trim_zeros",
]  # fmt: skip
