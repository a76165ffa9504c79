"""More of NumPy's names, each a few lines on those of the other files."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, from_numpy
from fdl.core.avals import Shape
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._create import array, asarray, linspace, ones, tril, zeros_like
from fdl.numpy._math import (
    Axis,
    _operand,
    abs,
    all,
    axes_of,
    equal,
    isnan,
    max,
    mean,
    min,
    multiply,
    round,
    square,
    subtract,
    sum,
    where,
)
from fdl.numpy._shape import (
    concatenate,
    expand_dims,
    flip,
    moveaxis,
    reshape,
    stack,
    swapaxes,
    transpose,
)
from fdl.ops.promotion import promote

# Elementwise


def fabs(x: ArrayLike) -> Array:
    """The absolute value as a float.

    >>> float(fabs(-2))
    2.0
    """
    return ops.abs(*promote(x, to_float=True))


def rint(x: ArrayLike) -> Array:
    """The nearest whole number; halves go to the even one.

    >>> float(rint(1.5))
    2.0
    """
    (operand,) = promote(x, to_float=True)
    return round(operand)


def deg2rad(x: ArrayLike) -> Array:
    """Degrees as radians.

    >>> f"{float(deg2rad(180.0)):.4f}"
    '3.1416'
    """
    return ops.mul(*promote(x, to_float=True), math.pi / 180)


def rad2deg(x: ArrayLike) -> Array:
    """Radians as degrees.

    >>> f"{float(rad2deg(math.pi)):.0f}"
    '180'
    """
    return ops.mul(*promote(x, to_float=True), 180 / math.pi)


def sinc(x: ArrayLike) -> Array:
    """`sin(pi x) / (pi x)`, 1 at 0.

    >>> float(sinc(0.0))
    1.0
    """
    (x,) = promote(x, to_float=True)
    angle = ops.mul(x, math.pi)
    near = ops.less(abs(angle), 1)  # there the series, which has all derivatives where the quotient is 0 / 0
    far = where(near, 1, angle)
    squared = square(where(near, angle, 0))
    series: Any = 0.0
    for k in range(_SINC_TERMS, -1, -1):
        series = ops.add(ops.mul(series, squared), (-1) ** k / math.factorial(2 * k + 1))
    return where(near, series, ops.div(ops.sin(far), far))


_SINC_TERMS = 10  # the first one left out is below 1 / 23!, 4e-23


def heaviside(x: ArrayLike, at_zero: ArrayLike) -> Array:
    """0 below zero, 1 above, `at_zero` at it, NaN of NaN.

    >>> float(heaviside(-1.0, 0.5))
    0.0
    """
    x, at_zero = promote(x, at_zero, to_float=True)
    return where(equal(x, 0), at_zero, where(isnan(x), x, where(ops.greater(x, 0), 1, 0)))


def select(condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike], default: ArrayLike = 0) -> Array:
    """The choice of the first condition that holds.

    >>> select([array([True, False])], [array([1, 1])], 5).tolist()
    [1, 5]
    """
    out = _operand(default)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        out = ops.select(condition, choice, out)
    return out


# Reductions


def ptp(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Array:
    """The largest less the smallest element.

    >>> int(ptp(array([3, 1, 7])))
    6
    """
    return subtract(max(a, axis, keepdims), min(a, axis, keepdims))


def nansum(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """The sum of what is not NaN.

    >>> float(nansum(array([1.0, float("nan")])))
    1.0
    """
    return sum(ops.select(isnan(a), 0, a), axis, dtype, keepdims, initial, where)


def nanmean(
    a: ArrayLike, axis: Axis = None, dtype: Any = None, keepdims: bool = False, where: ArrayLike | None = None
) -> Array:
    """The mean of what is not NaN, of those for which `where` holds.

    >>> float(nanmean(array([1.0, float("nan"), 3.0])))
    2.0
    """
    a = _operand(a)
    present = ops.bitwise_not(isnan(a))
    return mean(a, axis, dtype, keepdims, present if where is None else ops.bitwise_and(present, where))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Array:
    """Whether shapes and all elements are equal; NaN equals NaN with `equal_nan`.

    >>> bool(array_equal(array([1, 2]), array([1, 2])))
    True
    """
    a1, a2 = _operand(asarray(a1)), _operand(asarray(a2))
    if a1.aval.shape != a2.aval.shape:
        return array(False)
    same = equal(a1, a2)
    return all(ops.bitwise_or(same, ops.bitwise_and(isnan(a1), isnan(a2))) if equal_nan else same)


def diff(
    a: ArrayLike, n: int = 1, axis: int = -1, prepend: ArrayLike | None = None, append: ArrayLike | None = None
) -> Array:
    """Differences of neighbours, n times, among elements put before and behind them too.

    >>> diff(array([1, 4, 9])).tolist()
    [3, 5]
    """
    out = _operand(a)
    (place,) = axes_of(out, axis, "diff")
    if n < 0:
        raise ShapeError(f"diff: n={n}", why="differences are taken n times", hint="n=0 for the array itself")
    ends = [None if x is None else _operand(x) for x in (prepend, append)]
    shape = tuple(1 if i == place else d for i, d in enumerate(out.aval.shape))
    before, behind = ([] if x is None else [x if x.aval.ndim else ops.broadcast_to(x, shape)] for x in ends)
    out = concatenate([*before, out, *behind], place) if before or behind else out
    for _ in range(n):
        size = aval_of(out).shape[place]
        later = ops.slice_in_dim(out, builtins.min(1, size), size, place)
        former = ops.slice_in_dim(out, 0, builtins.max(size - 1, 0), place)
        out = (ops.not_equal if aval_of(out).dtype == dtypes.bool_ else ops.sub)(later, former)
    return out


def trapezoid(y: ArrayLike, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1) -> Array:
    """The integral along an axis by the trapezoidal rule, of values at places `x`, or `dx` from one another.

    >>> float(trapezoid(array([0.0, 1.0, 2.0])))
    2.0
    """
    y = moveaxis(promote(asarray(y), to_float=True)[0], axis, -1)
    size = y.aval.shape[-1]
    last = y.aval.ndim - 1
    steps = dx if x is None else diff(x) if aval_of(asarray(x)).ndim == 1 else diff(moveaxis(asarray(x), axis, -1))
    middles = ops.add(
        ops.slice_in_dim(y, builtins.min(1, size), size, last), ops.slice_in_dim(y, 0, builtins.max(size - 1, 0), last)
    )
    return ops.mul(0.5, sum(multiply(middles, steps), -1))


def cov(
    m: ArrayLike, y: ArrayLike | None = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None
) -> Array:
    """The covariance matrix of variables in rows, or in columns without `rowvar`; a number for one variable. `y` brings
    more variables.

    Products are divided by the count less `ddof`, which is 1 unless `bias` is set.

    >>> cov(array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    def rows(x: Any) -> Array:
        (x,) = promote(asarray(x), to_float=True)
        if aval_of(x).ndim > 2:
            raise ShapeError(f"cov: {aval_of(x).describe()} has more than two axes")
        if aval_of(x).ndim < 2:
            return reshape(x, (1, -1))
        return x if rowvar or aval_of(x).shape[0] == 1 else transpose(x)

    x = rows(m) if y is None else concatenate([rows(m), rows(y)], 0)
    centred = subtract(x, mean(x, 1, keepdims=True))
    n = aval_of(centred).shape[1]
    less = ddof if ddof is not None else 0 if bias else 1
    out = ops.div(ops.dot_general(centred, ops.conj(centred), (((1,), (1,)), ((), ()))), float(n - less))
    return reshape(out, tuple(d for d in aval_of(out).shape if d != 1)) if aval_of(out).shape == (1, 1) else out


def polyval(p: Any, x: Any) -> Array:
    """The polynomial with coefficients `p`, highest power first, at `x` (Horner's scheme).

    >>> float(polyval(array([1.0, 0.0, 2.0]), 3.0))
    11.0
    """
    p, x = promote(asarray(p), asarray(x))
    out = ops.full(aval_of(x).shape, 0, aval_of(x).dtype)
    for c in p:
        out = ops.add(ops.mul(out, x), c)
    return out


# Shapes


def shape(a: ArrayLike) -> Shape:
    """The sizes of the axes.

    >>> shape(ones((2, 3)))
    (2, 3)
    """
    return aval_of(asarray(a)).shape


def ndim(a: Any) -> int:
    """The number of axes.

    >>> ndim(ones((2, 3)))
    2
    """
    return aval_of(asarray(a)).ndim


def size(a: ArrayLike, axis: int | Sequence[int] | None = None) -> int:
    """The number of elements, of all or along axes.

    >>> size(ones((2, 3)))
    6
    """
    aval = aval_of(asarray(a))
    return aval.size if axis is None else math.prod(aval.shape[i] for i in axes_of(asarray(a), axis, "size"))


def fliplr(m: ArrayLike) -> Array:
    """Columns in reverse order.

    >>> fliplr(array([[1, 2]])).tolist()
    [[2, 1]]
    """
    return flip(m, 1)


def flipud(m: ArrayLike) -> Array:
    """Rows in reverse order.

    >>> flipud(array([[1], [2]])).tolist()
    [[2], [1]]
    """
    return flip(m, 0)


def rot90(m: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """The plane of two axes turned by k quarters, from the first axis towards the second.

    >>> rot90(array([[1, 2]])).tolist()
    [[2], [1]]
    """
    first, second = _pair(m, *axes, "rot90")
    out = _operand(m)
    for _ in range(k % 4):
        out = flip(swapaxes(out, first, second), first)
    return out


def column_stack(tup: Sequence[Any]) -> Array:
    """Vectors as the columns of a matrix.

    >>> column_stack([array([1, 2]), array([3, 4])]).tolist()
    [[1, 3], [2, 4]]
    """
    return concatenate([expand_dims(x, 1) if ndim(x) == 1 else x for x in tup], 1)


def append(arr: ArrayLike, values: ArrayLike, axis: int | None = None) -> Array:
    """`arr` with values after it; flat for None.

    >>> append(array([1]), array([2])).tolist()
    [1, 2]
    """
    return concatenate([arr, values], axis)


def _pair(x: Any, axis1: int, axis2: int, what: str) -> tuple[int, int]:
    """Two different axes, as non-negative numbers."""
    first, second = (axes_of(x, axis, what)[0] for axis in (axis1, axis2))
    if first == second:
        raise ShapeError(
            f"{what}: axes {axis1} and {axis2} of {aval_of(x).describe()} are the same", hint="two different axes"
        )
    return first, second


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """Elements whose place along `axis2` is `offset` beyond that along `axis1`, as the last axis; the others stay in
    order.

    >>> diagonal(array([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """
    x = _operand(asarray(a))
    first, second = _pair(x, axis1, axis2, "diagonal")
    rows, cols = x.aval.shape[first], x.aval.shape[second]
    count = builtins.max(0, builtins.min(rows - builtins.max(-offset, 0), cols - builtins.max(offset, 0)))
    place = ops.iota((count,), 0)
    x = moveaxis(x, (first, second), (0, 1))
    found = ops.gather(x, [ops.add(place, builtins.max(-offset, 0)), ops.add(place, builtins.max(offset, 0))], (0, 1))
    return moveaxis(found, 0, -1)


def trace(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Array:
    """The sum of `diagonal`.

    >>> int(trace(array([[1, 2], [3, 4]])))
    5
    """
    return sum(diagonal(a, offset, axis1, axis2), -1, dtype)


def kron(a: Any, b: Any) -> Array:
    """The Kronecker product: each element of `a` times the whole of `b`, along every axis.

    >>> kron(array([[1, 2]]), array([[1], [1]])).tolist()
    [[1, 2], [1, 2]]
    """
    a, b = _operand(asarray(a)), _operand(asarray(b))
    ndim = builtins.max(a.aval.ndim, b.aval.ndim)
    a, b = (ops.expand_dims(x, range(ndim - x.aval.ndim)) for x in (a, b))
    products = ops.mul(*promote(ops.expand_dims(a, range(1, 2 * ndim, 2)), ops.expand_dims(b, range(0, 2 * ndim, 2))))
    return reshape(products, tuple(m * n for m, n in zip(aval_of(a).shape, aval_of(b).shape, strict=True)))


def cross(
    a: ArrayLike, b: ArrayLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """The vector product along axes of size 3, or 2 for vectors in a plane: `axisa` of a, `axisb` of b, `axisc` of the
    result, or `axis` of all. Of two vectors in a plane it is the number that stands perpendicular to it.

    >>> cross(array([1, 0, 0]), array([0, 1, 0])).tolist()
    [0, 0, 1]
    """
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    u, v = (moveaxis(x, i, -1) for x, i in zip(promote(asarray(a), asarray(b)), (axisa, axisb), strict=True))
    counts = aval_of(u).shape[-1], aval_of(v).shape[-1]
    if not {*counts} <= {2, 3}:
        raise ShapeError(f"cross: vectors of sizes {counts[0]} and {counts[1]}, where 2 or 3 is needed")
    x, y = (
        [w[..., i] if i < n else zeros_like(w[..., 0]) for i in range(3)] for w, n in zip((u, v), counts, strict=True)
    )
    parts = [subtract(multiply(x[i - 2], y[i - 1]), multiply(x[i - 1], y[i - 2])) for i in range(3)]
    return parts[2] if counts == (2, 2) else stack(parts, axisc)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = float) -> Array:
    """Ones at and below the k-th diagonal.

    >>> tri(2).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return tril(ones((N, N if M is None else M), dtype), k)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Array:
    """`N` powers of `x` in columns, as many as elements by default: highest first, or last when `increasing`.

    >>> vander(array([2, 3]), 3).tolist()
    [[4, 2, 1], [9, 3, 1]]
    """
    x = _operand(asarray(x))
    n = x.aval.shape[0] if N is None else N
    powers = range(n) if increasing else range(n - 1, -1, -1)
    return stack([ops.integer_pow(x, k) for k in powers], 1) if n else ops.full((x.aval.shape[0], 0), 0, x.aval.dtype)


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Array:
    """Powers of `base` with evenly spaced exponents, along a new axis where the ends are arrays.

    >>> [f"{v:.0f}" for v in logspace(0, 2, 3).tolist()]
    ['1', '10', '100']
    """
    out = ops.pow(base, linspace(start, stop, num, endpoint, axis=axis))
    return out if dtype is None else ops.convert(out, dtype)


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Array, Array]:
    """Rows and columns at and below the k-th diagonal of a matrix (n, m), m being n by default.

    >>> [i.tolist() for i in tril_indices(2)]
    [[0, 1, 1], [0, 0, 1]]
    """
    rows, cols = np.tril_indices(n, k, m)
    return from_numpy(rows.astype(dtypes.default(int))), from_numpy(cols.astype(dtypes.default(int)))


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Array, Array]:
    """Rows and columns at and above the k-th diagonal of a matrix (n, m), m being n by default.

    >>> [i.tolist() for i in triu_indices(2)]
    [[0, 0, 1], [0, 1, 1]]
    """
    rows, cols = np.triu_indices(n, k, m)
    return from_numpy(rows.astype(dtypes.default(int))), from_numpy(cols.astype(dtypes.default(int)))


# Types


def finfo(dtype: Any) -> ml_dtypes.finfo:
    """Limits of a floating-point dtype.

    >>> float(finfo("float32").eps) == 2.0**-23
    True
    """
    return ml_dtypes.finfo(dtypes.real_dtype(dtypes.canonical(dtype)))  # type: ignore[no-untyped-call]


def iinfo(dtype: Any) -> np.iinfo[Any]:
    """Limits of an integer dtype.

    >>> int(iinfo("int8").max)
    127
    """
    return np.iinfo(dtypes.canonical(dtype))


def promote_types(a: ArrayLike, b: ArrayLike) -> dtypes.DType:
    """The dtype to which two are promoted.

    >>> promote_types("int8", "float16")
    dtype('float16')
    """
    return dtypes.promote([(dtypes.canonical(a), False), (dtypes.canonical(b), False)])[0]


def issubdtype(arg1: Any, arg2: Any) -> bool:
    """Whether a dtype belongs to a kind, as NumPy's; bfloat16 and float8 are floating.

    >>> issubdtype("bfloat16", np.floating)
    True
    """
    found = dtypes.canonical(arg1)
    if isinstance(arg2, type) and issubclass(np.floating, arg2) and dtypes.is_float(found):
        return True
    return bool(np.issubdtype(found, arg2))


__all__ = [
    "append", "array_equal", "column_stack", "cov", "cross", "deg2rad", "diagonal", "diff", "fabs", "finfo", "fliplr",
    "flipud", "heaviside", "iinfo", "issubdtype", "kron", "logspace", "nanmean", "nansum", "ndim", "polyval",
    "promote_types", "ptp",
    "rad2deg", "rint", "rot90", "select", "shape", "sinc", "size", "trace", "trapezoid", "tri", "tril_indices",
    "triu_indices", "vander",
]  # fmt: skip
