"""Reductions that pass over NaN, with NumPy's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._math import (
    Axis,
    _operand,
    all,
    argmax,
    argmin,
    axes_of,
    cumprod,
    cumsum,
    isnan,
    max,
    min,
    prod,
    size_squared,
    sum,
)
from fdl.numpy._shape import broadcast_to, expand_dims
from fdl.numpy._sort import between, sort
from fdl.ops.promotion import promote


def _without(x: ArrayLike, replacement: complex) -> tuple[Any, Any]:
    """The operand with `replacement` for each NaN, and where these are; None where the dtype has no NaN."""
    x = _operand(x)
    if not dtypes.is_inexact(x.aval.dtype):
        return x, None
    missing = isnan(x)
    return ops.select(missing, replacement, x), missing


def _bound(x: ArrayLike, bound: float) -> complex:
    """A number of the operand's kind that is beyond all others: in both parts where it is complex."""
    return complex(bound, bound) if dtypes.is_complex(_operand(x).aval.dtype) else bound


def _extreme(f: Callable[..., Array], a: ArrayLike, bound: float, axis: Axis, keepdims: bool, **limits: Any) -> Array:
    """The reduction `f`, with NaN where there is nothing and no initial value."""
    x, missing = _without(a, _bound(a, bound))
    out = f(x, axis, keepdims, **limits)
    if missing is None or limits["initial"] is not None:
        return out
    return ops.select(all(missing, axis, keepdims), _bound(a, math.nan), out)


def nanmax(a: ArrayLike, axis: Axis = None, keepdims: bool = False, initial: Any = None, where: Any = None) -> Array:
    """The largest of the elements that are not NaN and of `initial`; NaN where there is none. `where` needs `initial`.

    >>> from fdl.numpy import array
    >>> float(nanmax(array([1.0, float("nan"), 3.0])))
    3.0
    """
    return _extreme(max, a, -math.inf, axis, keepdims, initial=initial, where=where)


def nanmin(a: ArrayLike, axis: Axis = None, keepdims: bool = False, initial: Any = None, where: Any = None) -> Array:
    """The smallest of the elements that are not NaN and of `initial`; NaN where there is none. `where` needs `initial`.

    >>> from fdl.numpy import array
    >>> float(nanmin(array([1.0, float("nan"), 3.0])))
    1.0
    """
    return _extreme(min, a, math.inf, axis, keepdims, initial=initial, where=where)


def nanprod(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Array:
    """The product of the elements that are not NaN.

    >>> from fdl.numpy import array
    >>> float(nanprod(array([2.0, float("nan"), 3.0])))
    6.0
    """
    return prod(_without(a, 1.0)[0], axis, dtype, keepdims, initial, where)


def nancumsum(a: ArrayLike, axis: int | None = None, dtype: Any = None) -> Array:
    """Sums of the elements so far, NaN counting as 0.

    >>> from fdl.numpy import array
    >>> nancumsum(array([1.0, float("nan"), 3.0])).tolist()
    [1.0, 1.0, 4.0]
    """
    return cumsum(_without(a, 0.0)[0], axis, dtype)


def nancumprod(a: ArrayLike, axis: int | None = None, dtype: Any = None) -> Array:
    """Products of the elements so far, NaN counting as 1.

    >>> from fdl.numpy import array
    >>> nancumprod(array([2.0, float("nan"), 3.0])).tolist()
    [2.0, 2.0, 6.0]
    """
    return cumprod(_without(a, 1.0)[0], axis, dtype)


def _nanarg(find: Callable[..., Any], a: ArrayLike, bound: float, axis: int | None, keepdims: bool) -> Array:
    x, missing = _without(a, _bound(a, bound))
    found = find(x, axis, keepdims)
    return found if missing is None else ops.select(all(missing, axis, keepdims), -1, found)


def nanargmax(a: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Array:
    """The first place of the largest element that is not NaN; -1 where there is none.

    >>> from fdl.numpy import array
    >>> int(nanargmax(array([1.0, float("nan"), 3.0])))
    2
    """
    return _nanarg(argmax, a, -math.inf, axis, keepdims)


def nanargmin(a: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Array:
    """The first place of the smallest element that is not NaN; -1 where there is none.

    >>> from fdl.numpy import array
    >>> int(nanargmin(array([float("nan"), 1.0, 3.0])))
    1
    """
    return _nanarg(argmin, a, math.inf, axis, keepdims)


def nanvar(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = None,
) -> Array:
    """The mean squared distance from the mean, of the elements that are not NaN; `ddof` is subtracted from their count,
    and where nothing is left the result is NaN.

    >>> from fdl.numpy import array
    >>> float(nanvar(array([1.0, float("nan"), 3.0])))
    1.0
    """
    (x,) = promote(_operand(a), to_float=True)
    target = aval_of(x).dtype if dtype is None else dtypes.canonical(dtype)
    x = ops.cast(x, dtypes.compute_dtype(target))
    present = ops.bitwise_not(isnan(x))
    present = present if where is None else ops.bitwise_and(present, broadcast_to(where, aval_of(x).shape))
    axes = axes_of(x, axis, "nanvar")
    count = sum(ops.convert(present, dtypes.real_dtype(aval_of(x).dtype)), axes, keepdims=True)
    mean = ops.div(sum(x, axes, keepdims=True, where=present), count)
    squares = sum(size_squared(ops.select(present, ops.sub(x, mean), 0)), axes, keepdims=keepdims)
    left = ops.sub(count if keepdims else ops.reshape(count, aval_of(squares).shape), ddof)
    enough = ops.greater(left, 0)
    return ops.cast(
        ops.div(ops.select(enough, squares, math.nan), ops.select(enough, left, 1)), dtypes.real_dtype(target)
    )


def nanstd(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    where: Any = None,
) -> Array:
    """The square root of `nanvar`, which tells the arguments.

    >>> from fdl.numpy import array
    >>> float(nanstd(array([1.0, float("nan"), 3.0])))
    1.0
    """
    return ops.sqrt(nanvar(a, axis, dtype, ddof, keepdims, where))


def nanquantile(
    a: ArrayLike,
    q: ArrayLike,
    axis: int | Sequence[int] | None = None,
    method: str = "linear",
    keepdims: bool = False,
) -> Array:
    """Values below which the share `q` of the elements that are not NaN lies; NaN where all are. `method` is as in
    `quantile`.

    >>> from fdl.numpy import array
    >>> float(nanquantile(array([1.0, float("nan"), 2.0, 4.0]), 0.75))
    3.0
    """
    (x,) = promote(_operand(a), to_float=True)
    dtype = aval_of(x).dtype
    x, q = promote(x, _operand(q), to_float=True)
    axes = axes_of(x, axis, "nanquantile")
    shape = aval_of(x).shape
    kept = [k for k in range(len(shape)) if k not in axes]
    rows = tuple(shape[k] for k in kept)
    ordered = sort(ops.reshape(ops.transpose(x, (*kept, *axes)), (*rows, math.prod(shape[k] for k in axes))), -1)
    count = sum(ops.convert(ops.equal(ordered, ordered), aval_of(q).dtype), -1, keepdims=True)
    flat = ops.reshape(q, (1,) * len(rows) + (aval_of(q).size,))
    place = ops.mul(flat, ops.maximum(ops.sub(count, 1), 0))
    low, high = ops.floor(place), ops.ceil(place)
    share = ops.sub(place, low)
    weights = {
        "linear": share,
        "midpoint": ops.select(ops.equal(low, high), 0.0, ops.full((), 0.5, aval_of(q).dtype)),
        "lower": ops.mul(share, 0.0),
        "higher": ops.convert(ops.greater(share, 0), aval_of(q).dtype),
        "nearest": ops.convert(ops.greater(share, 0.5), aval_of(q).dtype),
    }
    if method not in weights:
        raise ChoiceError(f"nanquantile: method {method!r} is none of {', '.join(weights)}", hint="method='linear'")
    ends = [ops.gather_along(ordered, ops.convert(v, dtypes.int32), len(rows)) for v in (low, high)]
    weight = ops.broadcast_to(weights[method], aval_of(place).shape)
    found = ops.move_axis(between(ends[0], ends[1], weight), len(rows), 0)
    found = ops.reshape(found, (*aval_of(q).shape, *rows))
    return ops.cast(expand_dims(found, [k + aval_of(q).ndim for k in axes]) if keepdims else found, dtype)


def nanpercentile(
    a: ArrayLike,
    q: ArrayLike,
    axis: int | Sequence[int] | None = None,
    method: str = "linear",
    keepdims: bool = False,
) -> Array:
    """`nanquantile` of q / 100.

    >>> from fdl.numpy import array
    >>> float(nanpercentile(array([1.0, float("nan"), 2.0, 4.0]), 50))
    2.0
    """
    return nanquantile(a, ops.div(promote(_operand(q), to_float=True)[0], 100.0), axis, method, keepdims)


def nanmedian(
    a: ArrayLike,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
) -> Array:
    """The middle one of the values that are not NaN, or the mean of the two in the middle.

    >>> from fdl.numpy import array
    >>> float(nanmedian(array([3.0, float("nan"), 1.0, 2.0])))
    2.0
    """
    return nanquantile(a, 0.5, axis, keepdims=keepdims)


__all__ = [
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmedian", "nanmin", "nanpercentile", "nanprod",
    "nanquantile", "nanstd", "nanvar",
]  # fmt: skip
