"""Sets of elements: distinct ones, and what is in one of two arrays or in both, with NumPy's names.

The size of such a result depends on values. So the values must be known, or `size` says how many elements there shall
be: what is missing is filled up, what is too much is left out, and the function can be recorded (`jit`, `vmap`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._math import _operand, all, axes_of, counts, cumsum, logical_not, nonzero, sum
from fdl.numpy._shape import concatenate, ravel
from fdl.numpy._sort import argsort, searchsorted, sort
from fdl.ops.promotion import promote


class _Groups(NamedTuple):
    """Rows of a matrix in order, equal ones next to each other."""

    rows: Array
    order: Array  # where each stood
    first: Array  # whether it is the first of its kind
    group: Array  # the number of its kind


def _grouped(rows: Array, equal_nan: bool) -> _Groups:
    """Rows sorted by their elements, the first column counting most; equal rows stay in order."""
    n, width = aval_of(rows).shape
    order = ops.iota((n,), 0)
    for column in reversed(range(width)):
        keys = ops.reshape(ops.slice_in_dim(rows, column, column + 1, 1), (n,))
        order = ops.gather(order, [argsort(ops.gather(keys, [order], (0,)))], (0,))
    ordered = ops.gather(rows, [order], (0,)) if n else rows
    first = ops.full((n,), True, dtypes.bool_)
    if n > 1:
        before, after = ops.slice_in_dim(ordered, 0, n - 1, 0), ops.slice_in_dim(ordered, 1, n, 0)
        same = ops.equal(before, after)
        if equal_nan and dtypes.is_inexact(aval_of(rows).dtype):
            both = ops.bitwise_and(ops.not_equal(before, before), ops.not_equal(after, after))
            same = ops.bitwise_or(same, both)
        first = concatenate([ops.slice_in_dim(first, 0, 1, 0), logical_not(all(same, 1))])
    return _Groups(ordered, order, first, ops.sub(cumsum(first), 1))


def unique(
    ar: ArrayLike,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: Any = None,
    sorted: bool = True,
) -> Array | tuple[Array, ...]:
    """The distinct elements in order, or the distinct slices along `axis`.

    Parameters
    - `return_index`: also where the first of each kind stands
    - `return_inverse`: also the number of the kind of each element
    - `return_counts`: also how many there are of each kind
    - `equal_nan`: whether all NaN are one kind
    - `size`: how many elements to return; then the values need not be known. What is missing is `fill_value`, by
      default the smallest element, with a count of 0
    - `sorted`: results are in order in any case

    >>> from fdl.numpy import array
    >>> unique(array([3, 1, 3])).tolist()
    [1, 3]
    >>> [x.tolist() for x in unique(array([3, 1, 3]), return_counts=True, size=3, fill_value=9)]
    [[1, 3, 9], [1, 2, 0]]
    """
    wanted = {"index": return_index, "inverse": return_inverse, "counts": return_counts}
    out = _unique(ar, " ".join(k for k, v in wanted.items() if v), axis, equal_nan, size, fill_value)
    return out[0] if len(out) == 1 else tuple(out)


def _unique(
    ar: ArrayLike, wanted: str, axis: int | None, equal_nan: bool, size: int | None, fill_value: Any
) -> list[Array]:
    """What `unique` returns, with more than the elements where words say so: "index inverse counts"."""
    x = _operand(ar)
    shape = x.aval.shape
    place = 0 if axis is None else axes_of(x, axis, "unique")[0]
    moved = ops.reshape(x, (x.aval.size,)) if axis is None else ops.move_axis(x, place, 0)
    n, *rest = aval_of(moved).shape
    groups = _grouped(ops.reshape(moved, (n, math.prod(rest))), equal_nan)
    if not n and size and fill_value is None:
        raise ShapeError("unique: of no elements there is no smallest to fill up with", hint="fill_value=...")
    (kept,) = nonzero(groups.first, size=size)
    count = aval_of(kept).shape[0]
    distinct = ops.gather(groups.rows, [kept], (0,)) if n else ops.full((count, math.prod(rest)), 0, x.aval.dtype)
    found = ops.less(ops.iota((count,), 0), sum(groups.first))
    if size is not None and fill_value is not None:
        fill = ops.convert(_operand(fill_value), x.aval.dtype)
        distinct = ops.select(ops.broadcast(found, aval_of(distinct).shape, (0,)), distinct, fill)
    out = [ops.move_axis(ops.reshape(distinct, (count, *rest)), 0, place)]
    if "index" in wanted:
        out.append(counts(ops.gather(groups.order, [kept], (0,)) if n else ops.full((count,), 0, dtypes.int32)))
    if "inverse" in wanted:
        numbers = counts(ops.scatter(ops.full((n,), 0, dtypes.int32), groups.group, [groups.order], (0,)))
        out.append(ops.reshape(numbers, shape) if axis is None else numbers)
    if "counts" in wanted:
        ones, zeros = (ops.full((m,), value, dtypes.default(int)) for m, value in ((n, 1), (count, 0)))
        out.append(ops.scatter_add(zeros, ones, [groups.group], (0,), 0, "drop"))
    return out


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Array
    indices: Array
    inverse_indices: Array
    counts: Array


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Array
    counts: Array


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Array
    inverse_indices: Array


def unique_all(x: ArrayLike, /, *, size: int | None = None, fill_value: Any = None) -> UniqueAll:
    """The distinct elements, where each first stands, the kind of each element, and their counts; NaN are all distinct.

    >>> from fdl.numpy import array
    >>> [v.tolist() for v in unique_all(array([3, 1, 3]))]
    [[1, 3], [1, 0], [1, 0, 1], [1, 2]]
    """
    return UniqueAll(*_unique(x, "index inverse counts", None, False, size, fill_value))


def unique_counts(x: ArrayLike, /, *, size: int | None = None, fill_value: Any = None) -> UniqueCounts:
    """The distinct elements and their counts; NaN are all distinct.

    >>> from fdl.numpy import array
    >>> [v.tolist() for v in unique_counts(array([3, 1, 3]))]
    [[1, 3], [1, 2]]
    """
    return UniqueCounts(*_unique(x, "counts", None, False, size, fill_value))


def unique_inverse(x: ArrayLike, /, *, size: int | None = None, fill_value: Any = None) -> UniqueInverse:
    """The distinct elements and the kind of each element; NaN are all distinct.

    >>> from fdl.numpy import array
    >>> [v.tolist() for v in unique_inverse(array([3, 1, 3]))]
    [[1, 3], [1, 0, 1]]
    """
    return UniqueInverse(*_unique(x, "inverse", None, False, size, fill_value))


def unique_values(x: ArrayLike, /, *, size: int | None = None, fill_value: Any = None) -> Array:
    """The distinct elements in order; NaN are all distinct.

    >>> from fdl.numpy import array
    >>> unique_values(array([3, 1, 3])).tolist()
    [1, 3]
    """
    (found,) = _unique(x, "", None, False, size, fill_value)
    return found


def isin(element: ArrayLike, test_elements: ArrayLike, assume_unique: bool = False, invert: bool = False) -> Array:
    """Whether each element is among `test_elements`, or with `invert` is not. `assume_unique` is a promise that helps
    nothing here.

    >>> from fdl.numpy import array
    >>> isin(array([1, 2, 3]), array([3, 1])).tolist()
    [True, False, True]
    """
    x, tests = (_operand(v) for v in promote(_operand(element), ravel(_operand(test_elements))))
    n = tests.aval.size
    if not n:
        return ops.full(x.aval.shape, invert, dtypes.bool_)
    ordered = sort(tests)
    place = ops.minimum(searchsorted(ordered, x), n - 1)
    return (ops.not_equal if invert else ops.equal)(ops.gather(ordered, [place], (0,)), x)


def union1d(ar1: ArrayLike, ar2: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> Array:
    """The distinct elements of two arrays, in order.

    >>> from fdl.numpy import array
    >>> union1d(array([3, 1]), array([2, 3])).tolist()
    [1, 2, 3]
    """
    both = concatenate([ravel(_operand(ar1)), ravel(_operand(ar2))])
    (found,) = _unique(both, "", None, True, size, fill_value)
    return found


def _picked(x: Array, mask: Array, size: int | None, fill_value: Any) -> tuple[Array, Array]:
    """The elements of a vector where a mask holds, and their places; where there are less than `size`, `fill_value`,
    which for None is the first of them, or 0.
    """
    (places,) = nonzero(mask, size=size)
    picked = ops.gather(x, [places], (0,), 0, "drop")
    if size is None:
        return picked, places
    found = ops.less(ops.iota((size,), 0), sum(mask))
    if fill_value is None:
        fill_value = sum(ops.select(ops.bitwise_and(mask, ops.equal(cumsum(mask), 1)), x, 0))
    return ops.select(found, picked, ops.convert(_operand(fill_value), aval_of(x).dtype)), places


def setdiff1d(
    ar1: ArrayLike, ar2: ArrayLike, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Array:
    """The distinct elements of `ar1` that are not in `ar2`, in order; as they stand in `ar1` where they are promised to
    be distinct. `size` elements are filled up with `fill_value`, 0 by default.

    >>> from fdl.numpy import array
    >>> setdiff1d(array([3, 1, 2]), array([2])).tolist()
    [1, 3]
    """
    x = ravel(_operand(ar1))
    if assume_unique:
        return _picked(x, isin(x, ar2, invert=True), size, 0 if fill_value is None else fill_value)[0]
    groups = _grouped(ops.reshape(x, (aval_of(x).size, 1)), True)
    ordered = ravel(groups.rows)
    mask = ops.bitwise_and(groups.first, isin(ordered, ar2, invert=True))
    return _picked(ordered, mask, size, 0 if fill_value is None else fill_value)[0]


def intersect1d(
    ar1: ArrayLike,
    ar2: ArrayLike,
    assume_unique: bool = False,
    return_indices: bool = False,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Array | tuple[Array, ...]:
    """The distinct elements that are in both arrays, in order; with `return_indices` also where each first stands in
    both. `size` elements are filled up with `fill_value`, by default the first one, and indices with the array's size.

    >>> from fdl.numpy import array
    >>> intersect1d(array([3, 1, 2]), array([2, 3, 4])).tolist()
    [2, 3]
    """
    x, y = (ravel(_operand(v)) for v in promote(_operand(ar1), _operand(ar2)))
    groups = _grouped(ops.reshape(x, (aval_of(x).size, 1)), True)
    ordered = ravel(groups.rows)
    mask = ops.bitwise_and(groups.first, isin(ordered, y))
    found, places = _picked(ordered, mask, size, fill_value)
    if not return_indices:
        return found
    count = aval_of(found).shape[0]
    held = ops.less(ops.iota((count,), 0), sum(mask))
    order = argsort(y)
    in_y = searchsorted(ops.gather(y, [order], (0,)), found) if aval_of(y).size else places
    indices = [
        ops.gather(o, [p], (0,)) if aval_of(o).size else ops.full((count,), 0, dtypes.int32)
        for o, p in ((groups.order, places), (order, in_y))
    ]
    return found, *(ops.select(held, i, aval_of(v).size) for i, v in zip(indices, (x, y), strict=True))


def setxor1d(
    ar1: ArrayLike, ar2: ArrayLike, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Array:
    """The distinct elements that are in one of two arrays alone, in order. `size` elements are filled up with
    `fill_value`, by default the first one.

    >>> from fdl.numpy import array
    >>> setxor1d(array([3, 1]), array([2, 3])).tolist()
    [1, 2]
    """
    x, y = (ravel(_operand(v)) for v in promote(_operand(ar1), _operand(ar2)))
    both = concatenate([x, y])
    groups = _grouped(ops.reshape(both, (aval_of(both).size, 1)), True)
    ordered = ravel(groups.rows)
    mask = ops.bitwise_and(groups.first, ops.not_equal(isin(ordered, x), isin(ordered, y)))
    return _picked(ordered, mask, size, fill_value)[0]


__all__ = [
    "intersect1d", "isin", "setdiff1d", "setxor1d", "union1d", "unique", "unique_all", "unique_counts",
    "unique_inverse", "unique_values",
]  # fmt: skip
