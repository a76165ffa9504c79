"""More ways to join, split and repeat arrays, with NumPy's names."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, from_numpy
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import Tracer, aval_of
from fdl.numpy._create import array, asarray, diag
from fdl.numpy._math import _operand, all, axes_of, cumsum, equal
from fdl.numpy._shape import atleast_1d, concatenate, moveaxis, of_each, ravel, split
from fdl.numpy._sort import searchsorted


@of_each
def atleast_3d(x: ArrayLike) -> Array:
    """`x` with three axes at least: a vector stands in the middle, a matrix in front; of several arrays the list of
    them.

    >>> atleast_3d(array([1, 2])).shape
    (1, 2, 1)
    """
    x = atleast_1d(x)
    if aval_of(x).ndim == 1:
        return ops.expand_dims(x, (0, 2))
    return ops.expand_dims(x, (2,)) if aval_of(x).ndim == 2 else x


def dstack(tup: Sequence[Any], dtype: Any = None) -> Array:
    """Arrays joined along the third axis, each with three axes at least.

    >>> dstack([array([1, 2]), array([3, 4])]).tolist()
    [[[1, 3], [2, 4]]]
    """
    return concatenate([atleast_3d(x) for x in tup], 2, dtype)


def array_split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Parts along an axis as `split` has them, but the first ones may be longer by one element.

    >>> [p.tolist() for p in array_split(array([1, 2, 3]), 2)]
    [[1, 2], [3]]
    """
    if not isinstance(indices_or_sections, (int, np.integer)):
        return split(ary, indices_or_sections, axis)
    x, sections = _operand(ary), int(indices_or_sections)
    if sections <= 0:
        raise ShapeError(f"array_split: {sections} parts", hint="1 or more")
    (place,) = axes_of(x, axis, "array_split")
    short, longer = divmod(x.aval.shape[place], sections)
    edges = np.cumsum([short + 1] * longer + [short] * (sections - longer)).tolist()
    return split(x, edges[:-1], axis)


def vsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Parts along the first axis; see `split`.

    >>> [p.tolist() for p in vsplit(array([[1], [2]]), 2)]
    [[[1]], [[2]]]
    """
    return split(ary, indices_or_sections, 0)


def hsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Parts along the second axis, or the only one; see `split`.

    >>> [p.tolist() for p in hsplit(array([[1, 2]]), 2)]
    [[[1]], [[2]]]
    """
    return split(ary, indices_or_sections, 0 if aval_of(_operand(ary)).ndim == 1 else 1)


def dsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Parts along the third axis; see `split`.

    >>> [p.tolist() for p in dsplit(array([[[1, 2]]]), 2)]
    [[[[1]]], [[[2]]]]
    """
    return split(ary, indices_or_sections, 2)


def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The slices along an axis, without it.

    >>> [p.tolist() for p in unstack(array([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    x = _operand(x)
    if not x.aval.ndim:
        raise ShapeError("unstack: a number has no axis to take apart", hint="jnp.atleast_1d(x)")
    (place,) = axes_of(x, axis, "unstack")
    shape = tuple(d for i, d in enumerate(x.aval.shape) if i != place)
    return tuple(ops.reshape(ops.slice_in_dim(x, i, i + 1, place), shape) for i in range(x.aval.shape[place]))


def rollaxis(a: ArrayLike, axis: int, start: int = 0) -> Array:
    """An axis moved backwards until it stands before the axis `start`.

    >>> from fdl.numpy import ones
    >>> rollaxis(ones((2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    x = _operand(a)
    (place,) = axes_of(x, axis, "rollaxis")
    if not -x.aval.ndim <= start <= x.aval.ndim:
        raise ShapeError(f"rollaxis: start={start} for {x.aval.describe()}")
    start += x.aval.ndim if start < 0 else 0
    return moveaxis(x, place, start - 1 if place < start else start)


def diagflat(v: ArrayLike, k: int = 0) -> Array:
    """A matrix with the elements of `v`, in row-major order, on its k-th diagonal.

    >>> diagflat(array([[1, 2]])).tolist()
    [[1, 0], [0, 2]]
    """
    return diag(ravel(_operand(asarray(v))), k)


def block(arrays: Any) -> Array:
    """A matrix of blocks, given as nested lists: the innermost ones are joined along the last axis, those around them
    along the one before, and so on.

    >>> block([[array([[1]]), array([[2]])], [array([[3, 4]])]]).tolist()
    [[1, 2], [3, 4]]
    """
    depth, ndim = _nesting(arrays)

    def join(part: Any, level: int) -> Array:
        if level == depth:
            x = _operand(asarray(part))
            return ops.expand_dims(x, range(builtins.max(depth, ndim) - x.aval.ndim))
        return concatenate([join(p, level + 1) for p in part], -(depth - level))

    return join(arrays, 0)


def _nesting(part: Any) -> tuple[int, int]:
    """(depth of lists, most axes of an array in them)."""
    if not isinstance(part, list):
        if isinstance(part, tuple):
            raise ShapeError("block: a tuple", why="lists hold blocks", hint="a list")
        return 0, aval_of(_operand(part)).ndim
    if not part:
        raise ShapeError("block: a list is empty", hint="lists with one block at least")
    found = [_nesting(p) for p in part]
    if len({depth for depth, _ in found}) > 1:
        raise ShapeError("block: lists differ in depth", hint="blocks at one depth")
    return found[0][0] + 1, builtins.max(ndim for _, ndim in found)


def repeat(a: ArrayLike, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None) -> Array:
    """Each element along an axis repeated, of the flat array for None: as often as `repeats` says for all or for each.

    A vector `repeats` must be known, unless `total_repeat_length` says how long the result is: what is too much is left
    out, and what is missing is filled up with the last element.

    >>> repeat(array([1, 2]), 2).tolist(), repeat(array([1, 2]), array([0, 3])).tolist()
    ([1, 1, 2, 2], [2, 2, 2])
    """
    a = _operand(a)
    if axis is None:
        a, axis = ravel(a), 0
    (place,) = axes_of(a, axis, "repeat")
    shape = a.aval.shape
    if isinstance(repeats, (int, np.integer)) and total_repeat_length is None:
        count = builtins.max(int(repeats), 0)
        wide = ops.broadcast(
            a, (*shape[: place + 1], count, *shape[place + 1 :]), [i + (i > place) for i in range(len(shape))]
        )
        return ops.reshape(wide, (*shape[:place], shape[place] * count, *shape[place + 1 :]))
    counts = ravel(_operand(asarray(repeats)))
    if not dtypes.is_integer(aval_of(counts).dtype):
        raise ShapeError(f"repeat: counts {aval_of(counts).describe()}", hint="integers")
    if aval_of(counts).shape[0] not in (1, shape[place]):
        raise ShapeError(f"repeat: {aval_of(counts).shape[0]} counts for {shape[place]} elements", hint="one for each")
    counts = ops.broadcast_to(counts, (shape[place],))
    if total_repeat_length is None:
        if isinstance(counts, Tracer) and counts.concrete() is None:
            counts.refuse("jnp.repeat(x, repeats)", hint="jnp.repeat(x, repeats, total_repeat_length=n)")
        numbers = np.repeat(np.arange(shape[place], dtype=np.int32), np.asarray(counts))
        places: Array = from_numpy(numbers)
    elif not shape[place]:
        return ops.full(tuple(total_repeat_length if i == place else d for i, d in enumerate(shape)), 0, a.aval.dtype)
    else:  # element i of the result belongs to the first one whose repeats reach beyond i
        ends = cumsum(counts)
        places = searchsorted(ends, ops.iota((total_repeat_length,), 0, aval_of(ends).dtype), side="right")
        places = ops.minimum(places, shape[place] - 1)
    return ops.move_axis(ops.gather(a, [places], (place,)), 0, place)


def array_equiv(a1: ArrayLike, a2: ArrayLike) -> Array:
    """Whether two arrays broadcast to one shape and are equal there.

    >>> bool(array_equiv(array([1, 1]), array([[1], [1]])))
    True
    """
    a, b = _operand(asarray(a1)), _operand(asarray(a2))
    try:
        ops.broadcast_shapes([a.aval.shape, b.aval.shape], "array_equiv")
    except ShapeError:
        return array(False)
    return all(equal(a, b))


__all__ = [
    "array_equiv", "array_split", "atleast_3d", "block", "diagflat", "dsplit", "dstack", "hsplit", "repeat", "rollaxis",
    "unstack", "vsplit",
]  # fmt: skip
