"""Counting into bins, and interpolation between points, with NumPy's names."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError, TracedMaskError
from fdl.core.graph import ArrayLike
from fdl.core.trace import Tracer, aval_of
from fdl.numpy._complex import imag, real
from fdl.numpy._create import asarray, linspace
from fdl.numpy._derived import diff
from fdl.numpy._math import _operand, clip, max, min, sum
from fdl.numpy._shape import flip, ravel
from fdl.numpy._sort import searchsorted
from fdl.ops.promotion import promote


def bincount(x: ArrayLike, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Array:
    """How often each number from 0 on occurs in a vector of integers, or the sums of its `weights`.

    `length` says how many numbers are counted, larger ones being left out; otherwise values must be known, and it is
    the largest number plus 1, or `minlength` where that is more. Negative numbers count as 0.

    >>> from fdl.numpy import array
    >>> bincount(array([0, 2, 2])).tolist()
    [1, 0, 2]
    """
    places = _operand(x)
    if places.aval.ndim != 1 or dtypes.is_float(places.aval.dtype):
        raise ShapeError(f"bincount: {places.aval.describe()} is no vector of integers", hint="x.ravel()")
    if length is None:
        length = builtins.max(_largest(places) + 1 if places.aval.size else 0, minlength)
    values = ops.full(places.aval.shape, 1, dtypes.default(int)) if weights is None else _operand(weights)
    if values.aval.shape != places.aval.shape:
        raise ShapeError(f"bincount: weights {values.aval.describe()} for {places.aval.describe()}")
    counts = ops.full((length,), 0, values.aval.dtype)
    return ops.scatter_add(counts, values, [clip(places, 0)], (0,), 0, "drop")


def _largest(places: Array) -> int:
    """The largest of numbers whose values are known."""
    if isinstance(places, Tracer) and places.concrete() is None:
        why = "the size of the result would depend on values"
        places.refuse("jnp.bincount(x)", TracedMaskError, why, "jnp.bincount(x, length=n)")
    return int(max(places))


def digitize(x: ArrayLike, bins: Any, right: bool = False) -> Array:
    """The number of the bin of each element: bin i reaches from `bins[i - 1]` to `bins[i]`, whose right end belongs to
    it with `right`, else its left one. Edges go up or down.

    >>> from fdl.numpy import array
    >>> digitize(array([0.5, 1.0, 9.0]), array([0.0, 1.0, 2.0])).tolist()
    [1, 2, 3]
    """
    x, edges = _operand(x), _operand(bins)
    n = edges.aval.shape[0] if edges.aval.ndim == 1 else -1
    if n < 0:
        raise ShapeError(f"digitize: edges {edges.aval.describe()} are no vector")
    if n == 0:
        return ops.full(x.aval.shape, 0, dtypes.default(int))
    up = searchsorted(edges, x, side="left" if right else "right")
    down = ops.sub(n, searchsorted(flip(edges), x, side="left" if right else "right"))
    first, last = (ops.reshape(ops.slice_in_dim(edges, i, i + 1, 0), ()) for i in (0, n - 1))
    return ops.select(ops.greater_equal(last, first), up, down)


def histogram_bin_edges(a: ArrayLike, bins: Any = 10, range: Any = None, weights: Any = None) -> Array:
    """Edges of bins: `bins` themselves where they are a vector, else that many bins of one width over `range`, by
    default from the smallest to the largest element.

    >>> from fdl.numpy import array
    >>> histogram_bin_edges(array([0.0, 2.0, 4.0]), 2).tolist()
    [0.0, 2.0, 4.0]
    """
    if isinstance(bins, str):
        raise ChoiceError(f"histogram: bins={bins!r}: rules for the number of bins are not there", hint="a number")
    (x,) = promote(ravel(_operand(a)), to_float=True)
    dtype = aval_of(x).dtype
    edges = _operand(asarray(bins))
    if edges.aval.ndim == 1:
        return ops.convert(edges, dtype)
    if range is None:
        low, high = (min(x), max(x)) if aval_of(x).size else (ops.full((), 0, dtype), ops.full((), 1, dtype))
    else:
        low, high = (ops.convert(_operand(v), dtype) for v in (asarray(range)[0], asarray(range)[1]))
    flat = ops.equal(low, high)
    low, high = ops.select(flat, ops.sub(low, 0.5), low), ops.select(flat, ops.add(high, 0.5), high)
    return linspace(low, high, int(bins) + 1, dtype=dtype)


def _bin_numbers(x: Array, edges: Array) -> Array:
    """The number of the bin of each element; the last bin has both its edges, and what lies outside is -1."""
    n = aval_of(edges).shape[0] - 1
    place = ops.sub(searchsorted(edges, x, side="right"), 1)
    last = ops.reshape(ops.slice_in_dim(edges, n, n + 1, 0), ())
    place = ops.select(ops.equal(x, last), n - 1, place)
    return ops.select(ops.bitwise_and(ops.less(place, n), ops.less_equal(x, last)), place, -1)


def histogram(
    a: ArrayLike, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Array, Array]:
    """(how many elements lie in each bin, edges of the bins), in floating point; sums of `weights` where these are
    given. With `density` numbers are divided such that their integral is 1. Edges are as in `histogram_bin_edges`.

    >>> from fdl.numpy import array
    >>> [v.tolist() for v in histogram(array([0.0, 1.0, 4.0]), 2)]
    [[2.0, 1.0], [0.0, 2.0, 4.0]]
    """
    (x,) = promote(ravel(_operand(a)), to_float=True)
    edges = histogram_bin_edges(x, bins, range)
    given = ops.full(aval_of(x).shape, 1, aval_of(x).dtype)
    if weights is not None:
        (given,) = promote(ravel(_operand(weights)), to_float=True)
    if aval_of(given).shape != aval_of(x).shape:
        raise ShapeError(f"histogram: weights {aval_of(given).describe()} for {aval_of(x).describe()}")
    counts = ops.full((aval_of(edges).shape[0] - 1,), 0, aval_of(given).dtype)
    counts = _added(counts, given, [_bin_numbers(x, edges)])
    if density:
        (counts,) = promote(counts, to_float=True)
        counts = ops.div(ops.div(counts, diff(edges)), sum(counts))
    return counts, edges


def _added(counts: Array, values: Array, numbers: Sequence[Array]) -> Array:
    """`counts` with values added at their bins, those outside being left out."""
    return ops.scatter_add(counts, values, numbers, tuple(builtins.range(len(numbers))), 0, "drop")


def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Array, list[Array]]:
    """(how many points lie in each box of a grid, edges along each axis). Points are rows, with one column an axis.

    `bins` and `range` are as in `histogram`, for all axes, or a list with one each. With `density` numbers are divided
    such that their integral is 1.

    >>> from fdl.numpy import array
    >>> counts, edges = histogramdd(array([[0.0, 0.0], [1.0, 4.0]]), 2)
    >>> counts.tolist()
    [[1, 0], [0, 1]]
    """
    (x,) = promote(_operand(sample), to_float=True)
    if aval_of(x).ndim != 2:
        raise ShapeError(f"histogramdd: {aval_of(x).describe()} has no rows of points", hint="an array (n, axes)")
    n, axes = aval_of(x).shape
    many = isinstance(bins, (list, tuple)) or aval_of(_operand(bins)).ndim > 0
    if many and len(bins) != axes:
        raise ShapeError(f"histogramdd: {len(bins)} kinds of bins for {axes} axes")
    columns = [ops.reshape(ops.slice_in_dim(x, i, i + 1, 1), (n,)) for i in builtins.range(axes)]
    edges = [
        histogram_bin_edges(c, bins[i] if many else bins, None if range is None else range[i])
        for i, c in enumerate(columns)
    ]
    given = ops.full((n,), 1, dtypes.default(int)) if weights is None else _operand(weights)
    numbers = [_bin_numbers(c, e) for c, e in zip(columns, edges, strict=True)]
    counts = ops.full(tuple(aval_of(e).shape[0] - 1 for e in edges), 0, aval_of(given).dtype)
    counts = _added(counts, given, numbers)
    if density:
        (counts,) = promote(counts, to_float=True)
        counts = ops.div(counts, sum(counts))
        for axis, e in enumerate(edges):
            counts = ops.div(counts, ops.broadcast(diff(e), aval_of(counts).shape, (axis,)))
    return counts, edges


def histogram2d(
    x: ArrayLike, y: ArrayLike, bins: Any = 10, range: Any = None, weights: Any = None, density: bool | None = None
) -> tuple[Array, Array, Array]:
    """(how many points (x, y) lie in each box of a grid, edges along x, edges along y); see `histogramdd`. One vector
    as `bins` is for both axes.

    >>> from fdl.numpy import array
    >>> histogram2d(array([0.0, 1.0]), array([0.0, 4.0]), 2)[0].tolist()
    [[1, 0], [0, 1]]
    """
    xs, ys = promote(_operand(x), _operand(y), to_float=True)
    points = ops.concatenate([ops.expand_dims(v, (1,)) for v in (xs, ys)], 1)
    both = bins if isinstance(bins, (list, tuple)) and len(bins) == 2 else [bins, bins]
    counts, (first, second) = histogramdd(points, both, range, weights, density)
    return counts, first, second


def _part(take: Callable[[ArrayLike], Array], value: ArrayLike | str | None) -> ArrayLike | str | None:
    """The real or imaginary part of a value of `interp` outside."""
    return value if value is None or isinstance(value, str) else take(value)


def interp(
    x: ArrayLike, xp: ArrayLike, fp: ArrayLike, left: Any = None, right: Any = None, period: float | None = None
) -> Array:
    """The value at `x` of the polygon through the points (xp, fp), whose `xp` rise.

    Left of the first point the value is `left`, by default the first one; right of the last, `right`; each may be
    "extrapolate" for the line through the outermost two points. With `period` positions are taken modulo that, in any
    order.

    >>> from fdl.numpy import array
    >>> interp(array([0.5, 3.0]), array([0.0, 1.0]), array([10.0, 20.0])).tolist()
    [15.0, 20.0]
    """
    if dtypes.is_complex(aval_of(fp := _operand(fp)).dtype):
        return ops.join(
            interp(x, xp, real(fp), _part(real, left), _part(real, right), period),
            interp(x, xp, imag(fp), _part(imag, left), _part(imag, right), period),
        )
    x, xp, fp = promote(_operand(x), _operand(xp), fp, to_float=True)
    if aval_of(xp).ndim != 1 or aval_of(xp).shape != aval_of(fp).shape or not aval_of(xp).size:
        raise ShapeError(f"interp: points {aval_of(xp).describe()} and {aval_of(fp).describe()} are no equal vectors")
    if period is not None:
        x, xp, fp = _one_period(x, xp, fp, period)
        left = right = None
    n = aval_of(xp).shape[0]
    place = clip(searchsorted(xp, x, side="right"), 1, n - 1) if n > 1 else ops.full(aval_of(x).shape, 0, dtypes.int32)
    x0, f0, x1, f1 = (ops.gather(v, [clip(i, 0)], (0,)) for i in (ops.sub(place, 1), place) for v in (xp, fp))
    width = ops.sub(x1, x0)
    flat = ops.equal(width, 0)
    share = ops.div(ops.select(flat, 0, ops.sub(x, x0)), ops.select(flat, 1, width))
    out = ops.select(flat, f0, ops.add(f0, ops.mul(share, ops.sub(f1, f0))))
    ends = [[ops.reshape(ops.slice_in_dim(v, i, i + 1, 0), ()) for i in (0, n - 1)] for v in (xp, fp)]
    sides = zip((ops.less, ops.greater), *ends, (left, right), strict=True)
    for beyond, limit, end, value in sides:
        if isinstance(value, str):
            if value != "extrapolate":
                raise ChoiceError(f"interp: {value!r} for values outside", hint="a number, or 'extrapolate'")
            continue
        out = ops.select(beyond(x, limit), end if value is None else value, out)
    return out


def _one_period(x: Array, xp: Array, fp: Array, period: float) -> tuple[Array, Array, Array]:
    """Positions within one period, and points in order, with the last one in front and the first one at the end."""
    if not period:
        raise ChoiceError("interp: the period is 0", hint="period=2 * jnp.pi")
    width = math.fabs(period)
    x, xp = (ops.sub(v, ops.mul(ops.floor(ops.div(v, width)), width)) for v in (x, xp))
    order = ops.argsort(ops.stop_gradient(xp))
    xp, fp = (ops.gather(v, [order], (0,)) for v in (xp, fp))
    n = aval_of(xp).shape[0]
    (first, f_first), (last, f_last) = ([ops.slice_in_dim(v, i, i + 1, 0) for v in (xp, fp)] for i in (0, n - 1))
    around = ops.concatenate([ops.sub(last, width), xp, ops.add(first, width)], 0)
    return x, around, ops.concatenate([f_last, fp, f_first], 0)


__all__ = ["bincount", "digitize", "histogram", "histogram2d", "histogram_bin_edges", "histogramdd", "interp"]
