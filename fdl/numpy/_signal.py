"""Sequences: sliding products, differences, windows, correlation of variables, with NumPy's names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._complex import conj
from fdl.numpy._create import ones
from fdl.numpy._derived import cov, diff
from fdl.numpy._math import _operand, axes_of, clip, cumsum, mod
from fdl.numpy._shape import concatenate, ravel
from fdl.ops.promotion import promote


def _slid(x: Array, kernel: Array, mode: str, what: str) -> Array:
    """Sums of products of a kernel and what it lies on, as it slides along `x`, which is not the shorter one."""
    n, k = aval_of(x).shape[0], aval_of(kernel).shape[0]
    edges = {"full": (k - 1, k - 1), "same": (k // 2, k - k // 2 - 1), "valid": (0, 0)}
    if mode not in edges:
        raise ChoiceError(f"{what}: mode {mode!r} is none of {', '.join(edges)}", hint="mode='same'")
    image, window = ops.reshape(x, (1, 1, n, 1)), ops.reshape(kernel, (1, k, 1, 1))
    return ravel(ops.conv_spread(image, window, (1,), [edges[mode]], (1,), (1,)))


def _sequences(a: ArrayLike, v: ArrayLike, what: str) -> list[Array]:
    x, y = promote(_operand(a), _operand(v), to_float=True)
    if aval_of(x).ndim != 1 or aval_of(y).ndim != 1 or not aval_of(x).size or not aval_of(y).size:
        raise ShapeError(f"{what}: {aval_of(x).describe()} and {aval_of(y).describe()}", why="it takes two vectors")
    return [x, y]


def convolve(
    a: ArrayLike, v: ArrayLike, mode: str = "full", *, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """The convolution of two vectors, in floating point: element k is the sum of `a[i] * v[k - i]`.

    `mode` says where the shorter one stands on the longer one: "full" wherever they meet, "valid" where it lies inside,
    "same" for a result as long as the longer one. `precision` is accepted: products are exact to their dtype.

    >>> from fdl.numpy import array
    >>> convolve(array([1.0, 2.0]), array([1.0, 10.0])).tolist()
    [1.0, 12.0, 20.0]
    """
    x, y = _sequences(a, v, "convolve")
    if aval_of(x).shape[0] < aval_of(y).shape[0]:
        x, y = y, x
    out = _slid(x, ops.reverse(y, (0,)), mode, "convolve")
    return out if preferred_element_type is None else ops.convert(out, dtypes.canonical(preferred_element_type))


def correlate(
    a: ArrayLike, v: ArrayLike, mode: str = "valid", *, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """The correlation of two vectors, in floating point: sums of `a[k + i] * conj(v[i])`; `mode` is as in
    `convolve`.

    >>> from fdl.numpy import array
    >>> correlate(array([1.0, 2.0, 3.0]), array([1.0, 10.0])).tolist()
    [21.0, 32.0]
    """
    x, y = _sequences(a, v, "correlate")
    y = conj(y)
    if aval_of(x).shape[0] < aval_of(y).shape[0]:
        out = ops.reverse(_slid(y, x, mode, "correlate"), (0,))
    else:
        out = _slid(x, y, mode, "correlate")
    return out if preferred_element_type is None else ops.convert(out, dtypes.canonical(preferred_element_type))


def gradient(
    f: ArrayLike, *varargs: Any, axis: int | Sequence[int] | None = None, edge_order: int | None = None
) -> Array | list[Array]:
    """Slopes along axes, one array for each: central differences inside, one-sided ones at both ends.

    `varargs` are distances of neighbours, one for all axes or one for each: a number, or a vector of positions.

    >>> from fdl.numpy import array
    >>> gradient(array([1.0, 2.0, 4.0])).tolist()
    [1.0, 1.5, 2.0]
    """
    if edge_order not in (None, 1):
        raise ChoiceError(f"gradient: edge_order={edge_order}", hint="1")
    (x,) = promote(_operand(f), to_float=True)
    axes = range(aval_of(x).ndim) if axis is None else [axis] if isinstance(axis, int) else list(axis)
    places = [axes_of(x, a, "gradient")[0] for a in axes]
    distances = list(varargs) * (len(places) if len(varargs) == 1 else 1) if varargs else [1.0] * len(places)
    if len(distances) != len(places):
        raise ShapeError(f"gradient: {len(distances)} distances for {len(places)} axes", hint="one, or one for each")
    slopes = [_slope(x, place, distance) for place, distance in zip(places, distances, strict=True)]
    return slopes[0] if isinstance(axis, int) or len(slopes) == 1 else slopes


def _slope(x: Array, axis: int, distance: Any) -> Array:
    n = aval_of(x).shape[axis]
    if n < 2:
        raise ShapeError(f"gradient: axis {axis} of {aval_of(x).describe()} has less than two elements")
    (steps,) = promote(_operand(distance), to_float=True)
    if aval_of(steps).ndim:
        steps = diff(steps)
        if aval_of(steps).shape != (n - 1,):
            raise ShapeError(f"gradient: {aval_of(steps).size + 1} positions for {n} elements")
        steps = ops.reshape(steps, tuple(n - 1 if i == axis else 1 for i in range(aval_of(x).ndim)))
    sides = ops.div(diff(x, axis=axis), steps)
    before, after = ops.slice_in_dim(sides, 0, n - 2, axis), ops.slice_in_dim(sides, 1, n - 1, axis)
    if aval_of(steps).ndim:  # the nearer neighbour counts more
        left, right = ops.slice_in_dim(steps, 0, n - 2, axis), ops.slice_in_dim(steps, 1, n - 1, axis)
        middle = ops.div(ops.add(ops.mul(before, right), ops.mul(after, left)), ops.add(left, right))
    else:
        middle = ops.mul(ops.add(before, after), 0.5)
    ends = [ops.slice_in_dim(sides, i, i + 1, axis) for i in (0, n - 2)]
    return concatenate([ends[0], middle, ends[1]], axis)


def ediff1d(ary: ArrayLike, to_end: Any = None, to_begin: Any = None) -> Array:
    """Differences of neighbours in the flat array, with `to_begin` before and `to_end` after them.

    >>> from fdl.numpy import array
    >>> ediff1d(array([1, 4, 9]), to_end=0).tolist()
    [3, 5, 0]
    """
    x = ravel(_operand(ary))
    dtype = aval_of(x).dtype
    ends = [[] if v is None else [ops.convert(ravel(_operand(v)), dtype)] for v in (to_begin, to_end)]
    return concatenate([*ends[0], diff(x), *ends[1]])


def unwrap(p: ArrayLike, discont: Any = None, axis: int = -1, period: float = 2 * math.pi) -> Array:
    """`p` with multiples of `period` added so that neighbours differ by half a period at most. Jumps below `discont`
    stay.

    >>> from fdl.numpy import array
    >>> unwrap(array([0, 3, 2]), period=4).tolist()
    [0, -1, -2]
    """
    x = _operand(p)
    if not dtypes.is_integer(x.aval.dtype) or isinstance(period, float):
        (x,) = promote(x, to_float=True)
    (place,) = axes_of(x, axis, "unwrap")
    if not aval_of(x).shape[place]:
        return x
    jumps = diff(x, axis=place)
    whole = dtypes.is_integer(aval_of(x).dtype)
    half = period // 2 if whole else period / 2
    turned = ops.sub(mod(ops.add(jumps, half), period), half)
    if not whole or period % 2 == 0:  # half a period up stays up
        turned = ops.select(ops.bitwise_and(ops.equal(turned, -half), ops.greater(jumps, 0)), half, turned)
    limit = half if discont is None else discont
    change = ops.select(ops.less(ops.abs(jumps), limit), 0, ops.sub(turned, jumps))
    first = ops.slice_in_dim(x, 0, 1, place)
    rest = ops.slice_in_dim(x, 1, aval_of(x).shape[place], place)
    return concatenate([first, ops.add(rest, cumsum(change, place))], place)


def corrcoef(x: ArrayLike, y: Any = None, rowvar: bool = True) -> Array:
    """Correlation coefficients of variables, which stand as in `cov`.

    >>> from fdl.numpy import array
    >>> corrcoef(array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    c = cov(x, y, rowvar)
    if not aval_of(c).ndim:
        return ops.div(c, c)
    n = aval_of(c).shape[0]
    places = ops.iota((n,), 0)
    deviation = ops.sqrt(ops.gather(c, [places, places], (0, 1)))
    scaled = ops.div(ops.div(c, ops.expand_dims(deviation, (1,))), ops.expand_dims(deviation, (0,)))
    if dtypes.is_complex(aval_of(scaled).dtype):
        return ops.join(clip(ops.real(scaled), -1, 1), clip(ops.imag(scaled), -1, 1))
    return clip(scaled, -1, 1)


def _cosines(M: int, weights: Sequence[float]) -> Array:
    """The sum of `weights[k] * cos(2 pi k i / (M - 1))` at i from 0 below M."""
    if M <= 1:
        return ones(max(M, 0))
    angle = ops.mul(ops.iota((M,), 0, float), 2 * math.pi / (M - 1))
    total = ops.full((M,), weights[0], dtypes.default(float))
    for k, weight in enumerate(weights[1:], 1):
        total = ops.add(total, ops.mul(ops.cos(ops.mul(angle, float(k))), weight))
    return total


def hanning(M: int) -> Array:
    """Hann's window of M points: `(1 - cos) / 2`.

    >>> hanning(3).tolist()
    [0.0, 1.0, 0.0]
    """
    return _cosines(M, (0.5, -0.5))


def hamming(M: int) -> Array:
    """Hamming's window of M points: `0.54 - 0.46 cos`.

    >>> [round(v, 2) for v in hamming(3).tolist()]
    [0.08, 1.0, 0.08]
    """
    return _cosines(M, (0.54, -0.46))


def blackman(M: int) -> Array:
    """Blackman's window of M points: `0.42 - 0.5 cos + 0.08 cos` of twice the angle.

    >>> [abs(round(v, 2)) for v in blackman(3).tolist()]
    [0.0, 1.0, 0.0]
    """
    return _cosines(M, (0.42, -0.5, 0.08))


def bartlett(M: int) -> Array:
    """Bartlett's window of M points: a triangle.

    >>> bartlett(5).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if M <= 1:
        return ones(max(M, 0))
    place = ops.mul(ops.iota((M,), 0, float), 2 / (M - 1))
    return ops.sub(1, ops.abs(ops.sub(place, 1)))


__all__ = [
    "bartlett", "blackman", "convolve", "corrcoef", "correlate", "ediff1d", "gradient", "hamming", "hanning", "unwrap",
]  # fmt: skip
