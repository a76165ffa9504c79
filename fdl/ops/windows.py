"""Sums and maxima over windows, made of operations that have rules already, so that all derivatives follow.

A maximum is the sum of its window's elements, all but the first largest one replaced by zero: its value, and a gradient
that goes to that element alone. Windows that do not overlap are axes of a reshaped array. Others are taken axis by
axis, as sums over shifted slices.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast, full, reduce_sum
from fdl.ops.elementwise import add, bitwise_not, bitwise_or, equal, maximum, neg, not_equal, select, stop_gradient
from fdl.ops.shape import iota, reshape, slice


def reduce_windows(
    kind: str, x: Array, window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Array:
    """`kind` (add, max or min) over windows whose elements are `dilation` apart, `strides` from one to the next, each
    inside of the array.

    >>> import fdl.numpy as jnp
    >>> reduce_windows("max", jnp.array([1.0, 3.0, 2.0, 0.0]), (2,), (1,), (1,)).tolist()
    [3.0, 3.0, 2.0]
    """
    aval = aval_of(x)
    if (
        not len(window) == len(strides) == len(dilation) == aval.ndim
        or min((*window, *strides, *dilation), default=1) < 1
    ):
        raise ShapeError(
            (
                f"reduce_window: windows {tuple(window)}, strides {tuple(strides)} and dilation {tuple(dilation)} of "
                f"{aval.describe()}"
            ),
            why="each has one positive number an axis",
        )
    if kind == "min":
        negative: Callable[[Array], Array] = neg if dtypes.is_float(aval.dtype) else bitwise_not
        return negative(reduce_windows("max", negative(x), window, strides, dilation))
    fold = _sum if kind == "add" else _largest
    places = [
        max((d - (k - 1) * a - 1) // s + 1, 0) for d, k, s, a in zip(aval.shape, window, strides, dilation, strict=True)
    ]
    if all(k == s and (a == 1 or k == 1) for k, s, a in zip(window, strides, dilation, strict=True)):
        whole = slice(x, [0] * aval.ndim, [p * k for p, k in zip(places, window, strict=True)], [1] * aval.ndim)
        parts = [(p, k) if k > 1 else (p,) for p, k in zip(places, window, strict=True)]
        inner = [sum(map(len, parts[:i])) + 1 for i, part in enumerate(parts) if len(part) == 2]
        return fold(reshape(whole, tuple(d for part in parts for d in part)), inner)
    for axis in reversed(range(aval.ndim)):
        if window[axis] > 1 or strides[axis] > 1:
            x = _along(fold, x, axis, places[axis], window[axis], strides[axis], dilation[axis])
    return x


def _along(
    fold: Callable[[Array, Sequence[int]], Array],
    x: Array,
    axis: int,
    places: int,
    size: int,
    stride: int,
    dilation: int,
) -> Array:
    """Windows of one axis."""
    shape = aval_of(x).shape
    if not places:
        return slice(x, [0] * len(shape), [0 if a == axis else d for a, d in enumerate(shape)], [1] * len(shape))
    shifted = []
    for j in range(size):
        start = [j * dilation if a == axis else 0 for a in range(len(shape))]
        stop = [j * dilation + (places - 1) * stride + 1 if a == axis else d for a, d in enumerate(shape)]
        shifted.append(slice(x, start, stop, [stride if a == axis else 1 for a in range(len(shape))]))
    return shifted[0] if size == 1 else _sum_of(shifted) if fold is _sum else _first_largest(shifted)


def _sum(x: Array, axes: Sequence[int]) -> Array:
    return reduce_sum(x, axes)


def _sum_of(xs: Sequence[Array]) -> Array:
    total = xs[0]
    for x in xs[1:]:
        total = add(total, x)
    return total


def _place_of_largest(xs: Sequence[Array]) -> Array:
    """The number of the first largest one, or of the first NaN: found backwards, from the largest, which compilers turn
    into vectors.
    """
    xs = [stop_gradient(x) for x in xs]
    best = functools.reduce(maximum, xs)
    shape, last = aval_of(best).shape, len(xs) - 1
    place = full(shape, last, dtypes.int32)
    for j, x in zip(reversed(range(last)), reversed(xs[:-1]), strict=True):
        found = equal(x, best)
        if dtypes.is_float(aval_of(x).dtype):
            found = bitwise_or(found, not_equal(x, x))
        place = select(found, full(shape, j, dtypes.int32), place)
    return place


def _first_largest(xs: Sequence[Array]) -> Array:
    place, zero = _place_of_largest(xs), full(aval_of(xs[0]).shape, 0, aval_of(xs[0]).dtype)
    return _sum_of(
        [select(equal(place, full(aval_of(place).shape, j, dtypes.int32)), x, zero) for j, x in enumerate(xs)]
    )


def _largest(x: Any, axes: Sequence[int]) -> Array:
    """The largest element over axes, with the gradient at the first one."""
    shape = aval_of(x).shape
    sizes = [shape[a] for a in axes]
    kept = [a for a in range(len(shape)) if a not in axes]
    elements = []
    number = full(shape, 0, dtypes.int32)  # of an element in its window
    below = math.prod(sizes)
    for a, d in zip(axes, sizes, strict=True):
        below //= d
        number = add(number, iota(shape, a) * below if below > 1 else iota(shape, a))
    for at in range(math.prod(sizes)):
        start, rest = [0] * len(shape), at
        for a, d in reversed(list(zip(axes, sizes, strict=True))):
            start[a], rest = rest % d, rest // d
        stop = [s + 1 if a in axes else d for a, (s, d) in enumerate(zip(start, shape, strict=True))]
        elements.append(reshape(slice(x, start, stop, [1] * len(shape)), tuple(shape[a] for a in kept)))
    place = broadcast(_place_of_largest(elements), shape, kept)
    return reduce_sum(select(equal(place, number), x, full(shape, 0, aval_of(x).dtype)), axes)
