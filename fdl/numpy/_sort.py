"""Sorting, and what follows from it: order statistics and searches.

Sorted values are gathered, so that derivatives go to the elements that they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._complex import less, less_equal
from fdl.numpy._create import asarray
from fdl.numpy._math import axes_of, counts
from fdl.ops.promotion import promote
from fdl.transforms.control.scan import scan


def argsort(
    a: Any,
    axis: int | None = -1,
    *,
    kind: str | None = None,
    order: None = None,
    stable: bool = True,
    descending: bool = False,
) -> Array:
    """Places of the elements along an axis in the order of their values; equal ones stay in order, NaN counts as larger
    than all. `kind` changes nothing.

    >>> from fdl.numpy import array
    >>> argsort(array([3.0, 1.0, 2.0])).tolist()
    [1, 2, 0]
    """
    x = ops.stop_gradient(asarray(a))
    if axis is None:
        x, axis = ops.reshape(x, (aval_of(x).size,)), 0
    (axis,) = axes_of(x, axis, "argsort")
    last = aval_of(x).ndim - 1
    return counts(ops.move_axis(ops.argsort(ops.move_axis(x, axis, last), descending), last, axis))


def sort(
    a: Any,
    axis: int | None = -1,
    *,
    kind: str | None = None,
    order: None = None,
    stable: bool = True,
    descending: bool = False,
) -> Array:
    """The elements along an axis in order, NaN last; `kind` changes nothing.

    >>> from fdl.numpy import array
    >>> sort(array([3.0, 1.0, 2.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    x = asarray(a)
    if axis is None:
        x, axis = ops.reshape(x, (aval_of(x).size,)), 0
    return ops.gather_along(x, argsort(x, axis, descending=descending), axis)


def sort_complex(a: ArrayLike) -> Array:
    """The elements along the last axis in order, by real and then by imaginary parts, as complex numbers.

    >>> from fdl.numpy import array
    >>> sort_complex(array([2.0, 1.0])).tolist()
    [(1+0j), (2+0j)]
    """
    (x,) = promote(asarray(a), to_float=True)
    return sort(x if dtypes.is_complex(aval_of(x).dtype) else ops.join(x, ops.mul(x, 0)))


def between(low: Any, high: Any, share: Any) -> Array:
    """`low + share * (high - low)`; among infinities the share counts only where it is neither 0 nor 1, so that what is
    beside an infinity stays finite.
    """
    gap = ops.sub(high, low)
    finite = ops.is_finite(gap)
    inside = ops.add(low, ops.mul(ops.select(finite, gap, 0), share))
    mixed = ops.add(ops.mul(low, ops.sub(1, share)), ops.mul(high, share))
    outside = ops.select(
        ops.equal(low, high), low, ops.select(ops.equal(share, 0), low, ops.select(ops.equal(share, 1), high, mixed))
    )
    return ops.select(finite, inside, outside)


def quantile(
    a: Any, q: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False, method: str = "linear"
) -> Array:
    """Values below which the share `q` of the elements lies; between two elements by `method`: linear, lower, higher,
    midpoint or nearest.

    >>> from fdl.numpy import array
    >>> float(quantile(array([1.0, 2.0, 4.0]), 0.75))
    3.0
    """
    (x,) = promote(asarray(a), to_float=True)
    dtype = aval_of(x).dtype
    x, q = promote(x, asarray(q), to_float=True)
    axes = axes_of(x, axis, "quantile")
    ndim, shape = aval_of(x).ndim, aval_of(x).shape
    kept = [k for k in range(ndim) if k not in axes]
    flat = ops.reshape(
        ops.transpose(x, (*kept, *axes)), (*[shape[k] for k in kept], int(np.prod([shape[k] for k in axes], dtype=int)))
    )
    ordered = sort(flat, -1)
    *rows, n = aval_of(ordered).shape
    if not n:
        raise ShapeError(f"quantile: {aval_of(x).describe()} has no elements")
    place = ops.mul(q, float(n - 1))
    low, high = ops.floor(place), ops.ceil(place)
    share = ops.sub(place, low)
    if method == "nearest":
        low = high = ops.round_even(place)
    ends = [ops.gather(ordered, [ops.convert(v, dtypes.int32)], (len(rows),)) for v in (low, high)]
    weight = {"linear": share, "lower": None, "higher": None, "midpoint": 0.5, "nearest": None}
    if method not in weight:
        raise ShapeError(f"quantile: method {method!r}", hint="linear, lower, higher, midpoint or nearest")
    if method in ("lower", "nearest", "higher"):
        out = ends[1] if method == "higher" else ends[0]
    else:
        w = share if method == "linear" else ops.full(aval_of(share).shape, 0.5, aval_of(share).dtype)
        w = ops.broadcast(w, aval_of(ends[0]).shape, range(aval_of(share).ndim))
        out = between(ends[0], ends[1], w)
    top = ops.gather(ordered, [ops.full((), n - 1, dtypes.int32)], (len(rows),))  # NaN, if there is one
    top = ops.broadcast(top, aval_of(out).shape, range(aval_of(q).ndim, aval_of(out).ndim))
    out = ops.cast(ops.select(ops.not_equal(top, top), top, out), dtype)
    if keepdims:
        lead = aval_of(q).shape
        out = ops.reshape(out, (*lead, *[1 if k in axes else shape[k] for k in range(ndim)]))
    return out


def percentile(
    a: ArrayLike, q: Any, axis: int | Sequence[int] | None = None, keepdims: bool = False, method: str = "linear"
) -> Array:
    """`quantile` of q / 100.

    >>> from fdl.numpy import array
    >>> float(percentile(array([1.0, 2.0, 4.0]), 50))
    2.0
    """
    return quantile(a, ops.div(promote(asarray(q), to_float=True)[0], 100.0), axis, keepdims, method)


def median(a: ArrayLike, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Array:
    """The middle value, or the mean of the two in the middle.

    >>> from fdl.numpy import array
    >>> float(median(array([3.0, 1.0, 2.0])))
    2.0
    """
    return quantile(a, 0.5, axis, keepdims)


def searchsorted(a: Any, v: Any, side: str = "left") -> Array:
    """Where elements belong in a sorted vector: before, or with side="right" after, what equals them.

    >>> from fdl.numpy import array
    >>> searchsorted(array([1.0, 2.0, 3.0]), array([2.0, 9.0])).tolist()
    [1, 3]
    """
    a, v = promote(asarray(a), asarray(v))
    n = aval_of(a).shape[0]
    low = ops.full(aval_of(v).shape, 0, dtypes.int32)
    high = ops.full(aval_of(v).shape, n, dtypes.int32)

    def halve(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        low, high = carry
        open_ = ops.less(low, high)
        middle = ops.div(ops.add(low, high), 2)
        found = ops.gather(a, [middle], (0,))
        right = less(found, v) if side == "left" else less_equal(found, v)
        if dtypes.is_inexact(aval_of(v).dtype):  # NaN belongs behind all numbers
            right = ops.bitwise_or(
                ops.bitwise_and(right, ops.equal(found, found)),
                ops.bitwise_and(
                    ops.not_equal(v, v),
                    ops.bitwise_or(ops.equal(found, found), ops.full(aval_of(v).shape, side == "right", dtypes.bool_)),
                ),
            )
        return (
            ops.select(ops.bitwise_and(open_, right), ops.add(middle, 1), low),
            ops.select(ops.bitwise_and(open_, ops.bitwise_not(right)), middle, high),
        ), None

    found: Array
    (found, _), _ = scan(halve, (low, high), None, length=n.bit_length() + 1)
    return counts(found)
