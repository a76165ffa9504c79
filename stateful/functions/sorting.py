"""Order: sorting, order statistics, searches, what is unique, and running extremes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, custom_jvp, dtypes
from fdl.extend import from_numpy as array_of
from fdl.ops import lowest
from fdl.stateful.core.checks import broken, check_domain
from fdl.stateful.core.errors import TensorError, UnsupportedError
from fdl.stateful.core.methods import method
from fdl.stateful.core.operands import as_tensor_operand
from fdl.stateful.core.results import returned
from fdl.stateful.core.tensor import Tensor, apply, wrap
from fdl.stateful.functions.reductions import dim_of

__all__ = [
    "argsort", "bucketize", "cummax", "cummax_result", "cummin", "cummin_result", "cumprod", "histc", "isin",
    "kthvalue", "kthvalue_result", "logcumsumexp", "median",
    "median_result", "mode", "mode_result", "msort", "nanmedian", "nanquantile", "quantile", "searchsorted", "sort",
    "sort_result", "unique", "unique_consecutive",
]  # fmt: skip


@returned
class sort_result(NamedTuple):
    """Values in order and where they stood."""

    values: Any
    indices: Any


@returned
class median_result(NamedTuple):
    """Medians and where they stand."""

    values: Any
    indices: Any


@returned
class kthvalue_result(NamedTuple):
    """Values and where they stand."""

    values: Any
    indices: Any


@returned
class mode_result(NamedTuple):
    """Most frequent values and where they stand last."""

    values: Any
    indices: Any


@returned
class cummax_result(NamedTuple):
    """Running maxima and where they stand."""

    values: Any
    indices: Any


@returned
class cummin_result(NamedTuple):
    """Running minima and where they stand."""

    values: Any
    indices: Any


def _require_order(dtype: Any) -> None:
    if dtypes.is_complex(dtype):
        raise UnsupportedError(
            "Sort does not support complex dtypes on CPU", why=f"{dtype.name} has no order", hint="x.abs() or x.real"
        )


def _order(x: Any, axis: int, descending: bool = False) -> Any:
    """Places in the order of their elements."""
    _require_order(aval_of(x).dtype)
    return jnp.argsort(x, axis, descending=descending)


def _sort_body(x: Any, axis: int, descending: bool) -> Any:
    if not aval_of(x).ndim:
        return x, ops.full((), 0, dtypes.int64)
    order = _order(x, axis, descending)
    return ops.gather_along(x, order, axis), ops.convert(order, dtypes.int64)


_sort = Function(_sort_body, "sort")


@method()
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> sort_result:
    """The elements along a dimension in order, and where they stood; always stable, NaN counts as largest."""
    return sort_result(*apply(_sort, (input,), (dim_of(input, dim), descending)))


@method()
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Where the elements stand, in the order of their values."""
    return sort(input, dim, descending).indices


@method()
def msort(input: Tensor) -> Any:
    """Sorted along the first dimension."""
    return sort(input, 0).values


def _kth_body(x: Any, k: int, axis: int, keepdim: bool) -> Any:
    if not aval_of(x).ndim:
        return x, ops.full((), 0, dtypes.int64)
    order = _order(x, axis)
    place = ops.slice_in_dim(order, k, k + 1, axis)
    value = ops.gather_along(x, place, axis)
    place = ops.convert(place, dtypes.int64)
    if keepdim:
        return value, place
    shape = tuple(d for a, d in enumerate(aval_of(x).shape) if a != axis)
    return ops.reshape(value, shape), ops.reshape(place, shape)


_kth = Function(_kth_body, "kthvalue")


@method()
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> kthvalue_result:
    """The k-th smallest value along a dimension, counted from 1."""
    axis = dim_of(input, dim)
    if not 1 <= k <= (input.shape[axis] if input.ndim else 1):
        raise TensorError(f"kthvalue(): selected number k out of range for dimension {axis}")
    return kthvalue_result(*apply(_kth, (input,), (k - 1, axis, keepdim)))


def _median_body(x: Any, axis: int, keepdim: bool, skip: bool) -> Any:
    """The lower of the two middle ones; NaN is the result, or is left out."""
    if not aval_of(x).ndim:
        return x, ops.full((), 0, dtypes.int64)
    n = aval_of(x).shape[axis]
    order = _order(x, axis)
    shape = tuple(1 if a == axis else d for a, d in enumerate(aval_of(x).shape))
    nan = ops.convert(ops.not_equal(x, x), dtypes.int32)
    count = ops.expand_dims(ops.reduce_sum(nan, (axis,)), (axis,))
    if skip:
        place = ops.div(ops.maximum(ops.sub(n - 1, count), 0), 2)
    else:
        place = ops.select(ops.greater(count, 0), n - 1, ops.full(shape, (n - 1) // 2, dtypes.int32))
    where = ops.gather_along(order, place, axis)
    if not skip:  # the first NaN
        first = ops.expand_dims(ops.argmax(nan, axis, dtypes.int32), (axis,))
        where = ops.select(ops.greater(count, 0), first, where)
    value, where = ops.gather_along(x, where, axis), ops.convert(where, dtypes.int64)
    if keepdim:
        return value, where
    shape = tuple(d for a, d in enumerate(aval_of(x).shape) if a != axis)
    return ops.reshape(value, shape), ops.reshape(where, shape)


def _shared_median(skip: bool) -> Any:
    """The median of a vector; those that equal it share its gradient."""
    value = custom_jvp(lambda x: _median_body(x, 0, False, skip)[0])

    def jvp(primals: Any, tangents: Any) -> Any:
        (x,), (t,), out = primals, tangents, value(*primals)
        same = ops.bitwise_or(ops.equal(x, out), ops.bitwise_and(ops.not_equal(x, x), ops.not_equal(out, out)))
        count = ops.reduce_sum(ops.convert(same, aval_of(x).dtype), (0,))
        return out, ops.div(ops.reduce_sum(ops.select(same, t, 0), (0,)), ops.maximum(count, 1))

    value.defjvp(jvp)
    return value


_SHARED = {skip: _shared_median(skip) for skip in (False, True)}


def _middle_of_all_body(x: Any, skip: bool) -> Any:
    flat = ops.reshape(x, (aval_of(x).size,))
    return _SHARED[skip](flat) if dtypes.is_float(aval_of(x).dtype) else _median_body(flat, 0, False, skip)[0]


_median, _middle_of_all = Function(_median_body, "median"), Function(_middle_of_all_body, "median")


def _middle(input: Tensor, dim: int | None, keepdim: bool, skip: bool) -> Any:
    if dim is None:
        return apply(_middle_of_all, (input,), (skip,))
    return median_result(*apply(_median, (input,), (dim_of(input, dim), keepdim, skip)))


@method()
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower of the two middle values: of all, or along a dimension with where it stands."""
    return _middle(input, dim, keepdim, False)


@method()
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` without NaN."""
    return _middle(input, dim, keepdim, True)


def _mode_body(x: Any, axis: int, keepdim: bool) -> Any:
    if not aval_of(x).ndim:
        return x, ops.full((), 0, dtypes.int64)
    last = aval_of(x).ndim - 1
    x = ops.move_axis(x, axis, last)
    shape = aval_of(x).shape
    order = _order(x, -1)
    values = ops.gather_along(x, order, -1)
    same = ops.equal(ops.expand_dims(values, (last,)), ops.expand_dims(values, (last + 1,)))
    counts = ops.reduce_sum(ops.convert(same, dtypes.int32), (last + 1,))
    best = ops.argmax(counts, last, dtypes.int32)  # of equal counts the smallest value
    value = ops.gather_along(values, ops.expand_dims(best, (last,)), last)
    hit = ops.equal(x, ops.broadcast_to(value, shape))
    where = ops.reduce_max(ops.select(hit, ops.iota(shape, last, dtypes.int64), -1), (last,))
    value = ops.reshape(ops.gather_along(x, ops.expand_dims(where, (last,)), last), shape[:-1])
    return (ops.expand_dims(value, (axis,)), ops.expand_dims(where, (axis,))) if keepdim else (value, where)


_mode = Function(_mode_body, "mode")


@method()
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> mode_result:
    """The most frequent value along a dimension, the smallest of several."""
    return mode_result(*apply(_mode, (input,), (dim_of(input, dim), keepdim)))


def _quantile_body(x: Any, q: Any, axis: int | None, keepdim: bool, method: str, skip: bool) -> Any:
    if not skip:
        return jnp.quantile(x, q, axis, keepdim, method)
    ndim = aval_of(x).ndim
    flat = ops.reshape(x, (aval_of(x).size,)) if axis is None else ops.move_axis(x, axis, ndim - 1)
    *rows, n = aval_of(flat).shape
    ordered = jnp.sort(flat, -1)
    count = ops.reduce_sum(ops.convert(ops.equal(flat, flat), aval_of(q).dtype), (len(rows),))
    lead = aval_of(q).shape
    shape = (*lead, *rows)
    place = ops.mul(
        ops.broadcast(q, shape, range(len(lead))),
        ops.broadcast(ops.maximum(ops.sub(count, 1), 0), shape, range(len(lead), len(shape))),
    )
    low, high = ops.floor(place), ops.ceil(place)
    if method == "nearest":
        low = high = ops.round_even(place)
    spread = ops.broadcast(ordered, (*shape, n), range(len(lead), len(shape) + 1))
    ends = [
        ops.reshape(ops.gather_along(spread, ops.expand_dims(ops.convert(v, dtypes.int32), (len(shape),)), -1), shape)
        for v in (low, high)
    ]
    if method in ("linear", "midpoint"):
        w = ops.sub(place, low) if method == "linear" else ops.full(shape, 0.5, aval_of(q).dtype)
        out = ops.add(ends[0], ops.mul(ops.sub(ends[1], ends[0]), w))
    else:
        out = ends[1] if method == "higher" else ends[0]
    if keepdim:
        kept = (1,) * ndim if axis is None else tuple(1 if a == axis else d for a, d in enumerate(aval_of(x).shape))
        out = ops.reshape(out, (*lead, *kept))
    return out


_quantile = Function(_quantile_body, "quantile")


def _quantiles(input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip: bool) -> Any:
    if not input.dtype.is_floating_point:
        raise TensorError("quantile() input tensor must be either float or double dtype")
    dim = None if not input.ndim else dim
    given = q if isinstance(q, Tensor) else wrap(array_of(np.asarray(q, input.dtype.np)))
    return apply(_quantile, (input, given), (None if dim is None else dim_of(input, dim), keepdim, interpolation, skip))


def _check_shares(q: Any) -> None:
    what = (
        "quantile() q values must be in the range [0, 1]"
        if isinstance(q, Tensor)
        else f"quantile() q must be in the range [0, 1] but got {q:g}"
    )
    check_domain(q, 0, 1, broken(what))


@method()
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """Values below which shares of the elements lie."""
    _check_shares(q)
    return _quantiles(input, q, dim, keepdim, interpolation, False)


@method()
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """`quantile` without NaN."""
    _check_shares(q)
    return _quantiles(input, q, dim, keepdim, interpolation, True)


# Searches


def _search_rows_body(edges: Any, x: Any, right: bool, index: Any) -> Any:
    """Row by row: how many edges lie below."""
    e, v = ops.expand_dims(edges, (aval_of(edges).ndim - 1,)), ops.expand_dims(x, (aval_of(x).ndim,))
    below = ops.less_equal(*jnp.broadcast_arrays(e, v)) if right else ops.less(*jnp.broadcast_arrays(e, v))
    return ops.convert(ops.reduce_sum(ops.convert(below, dtypes.int32), (aval_of(below).ndim - 1,)), index)


_search = Function(
    lambda edges, x, right, index: ops.convert(jnp.searchsorted(edges, x, "right" if right else "left"), index),
    "searchsorted",
)
_search_rows = Function(_search_rows_body, "searchsorted")


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Any:
    """Where elements belong in sorted sequences: before what equals them, or after it with `right`."""
    if sorter is not None:
        sorted_sequence = sorted_sequence.gather(-1, sorter)
    after = right or side == "right"
    static = (after, np.dtype(np.int32 if out_int32 else np.int64))
    x = input if isinstance(input, Tensor) else as_tensor_operand(input)
    if not isinstance(x, Tensor):
        x = wrap(array_of(np.asarray(input, sorted_sequence.dtype.np)))
    return apply(_search if sorted_sequence.ndim == 1 else _search_rows, (sorted_sequence, x), static)


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the bucket between boundaries that each element is in."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


_isin = Function(
    lambda x, y, invert: ops.not_equal(jnp.any(ops.equal(ops.expand_dims(x, (aval_of(x).ndim,)), y), -1), invert),
    "isin",
)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Whether each element is among others."""
    given = [t if isinstance(t, Tensor) else wrap(array_of(np.asarray(t))) for t in (elements, test_elements)]
    return apply(_isin, (given[0], given[1].reshape(-1)), (invert,))


def _histc_body(x: Any, low: Any, high: Any, bins: int) -> Any:
    dtype = aval_of(x).dtype
    x = ops.reshape(x, (aval_of(x).size,))
    low, high = ops.cast(low, dtype), ops.cast(high, dtype)
    inside = ops.bitwise_and(ops.greater_equal(x, low), ops.less_equal(x, high))
    place = ops.convert(ops.floor(ops.div(ops.mul(ops.sub(x, low), float(bins)), ops.sub(high, low))), dtypes.int64)
    place = ops.minimum(ops.maximum(place, 0), bins - 1)
    return ops.scatter_add(ops.full((bins,), 0, dtype), ops.convert(inside, dtype), [place], (0,))


_histc = Function(_histc_body, "histc")


@method()
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements lie in each of equal bins from `min` to `max`, by default those of the elements."""
    if bins <= 0:
        raise TensorError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0", hint="bins=100")
    low, high = (
        (float(input.min()), float(input.max()))
        if min == 0 and max == 0 and input.numel()
        else (float(min), float(max))
    )
    if low == high:
        low, high = low - 1, high + 1
    return apply(_histc, (input, low, high), (bins,))


# What is unique: shapes depend on values, so these look at them


@method()
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in order, or slices along a dimension; also where each element went, and how often each
    occurs.
    """
    wanted: dict[str, Any] = {"return_inverse": return_inverse, "return_counts": return_counts, "axis": dim}
    _require_order(input._aval.dtype)
    found = np.unique(np.asarray(input._value()._numpy()), **wanted)
    values, *others = found if isinstance(found, tuple) else (found,)
    inverse = others[0].reshape(tuple(input.shape) if dim is None else (input.shape[dim],)) if return_inverse else None
    return _found(values, inverse, others[-1] if return_counts else None, return_inverse, return_counts)


@method()
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements without those that equal the one before."""
    x = np.asarray(input._value()._numpy())
    rows = x.reshape(-1) if dim is None else np.moveaxis(x, dim, 0)
    fresh = np.ones(len(rows), bool)
    if len(rows) > 1:
        fresh[1:] = (rows[1:] != rows[:-1]).reshape(len(rows) - 1, -1).any(1)
    inverse = np.cumsum(fresh) - 1
    counts = np.diff(np.append(np.flatnonzero(fresh), len(rows)))
    values = rows[fresh] if dim is None else np.moveaxis(rows[fresh], 0, dim)
    return _found(values, inverse.reshape(x.shape) if dim is None else inverse, counts, return_inverse, return_counts)


def _found(values: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool) -> Any:
    results = [
        values,
        *([inverse.astype(np.int64)] if return_inverse else []),
        *([counts.astype(np.int64)] if return_counts else []),
    ]
    tensors = [wrap(array_of(np.ascontiguousarray(r).reshape(np.shape(r)))) for r in results]
    return tensors[0] if len(tensors) == 1 else tuple(tensors)


# Running extremes and products


def _running(x: Any, axis: int, sign: int) -> Any:
    """Running maxima, or minima, by doubling steps; of equal ones the last."""
    if not aval_of(x).ndim:
        return x, ops.full((), 0, dtypes.int64)
    if aval_of(x).dtype == dtypes.bool_:
        found, places = _running(ops.cast(x, dtypes.int32), axis, sign)
        return ops.convert(found, dtypes.bool_), places
    shape = aval_of(x).shape
    n = shape[axis]
    values, places = ops.stop_gradient(x), ops.iota(shape, axis, dtypes.int64)
    fill = (
        lowest(aval_of(x).dtype)
        if sign > 0
        else -lowest(aval_of(x).dtype)
        if dtypes.is_float(aval_of(x).dtype)
        else np.iinfo(aval_of(x).dtype).max
    )
    step = 1
    while step < n:
        edges = [(step, -step, 0) if a == axis else (0, 0, 0) for a in range(len(shape))]
        before = ops.pad(values, ops.full((), fill, aval_of(x).dtype), edges)
        before_places = ops.pad(places, ops.full((), 0, dtypes.int64), edges)
        better = ops.greater(before, values) if sign > 0 else ops.less(before, values)
        if dtypes.is_float(aval_of(x).dtype):
            better = ops.bitwise_and(ops.bitwise_or(better, ops.not_equal(before, before)), ops.equal(values, values))
        outside = ops.less(ops.iota(shape, axis), step)
        better = ops.bitwise_and(better, ops.bitwise_not(outside))
        values, places = ops.select(better, before, values), ops.select(better, before_places, places)
        step *= 2
    return ops.gather_along(x, places, axis), places


_cummax = Function(lambda x, axis: _running(x, axis, 1), "cummax")
_cummin = Function(lambda x, axis: _running(x, axis, -1), "cummin")


@method()
def cummax(input: Tensor, dim: int) -> cummax_result:
    """The largest element so far along a dimension, and where it stands."""
    return cummax_result(*apply(_cummax, (input,), (dim_of(input, dim),)))


@method()
def cummin(input: Tensor, dim: int) -> cummin_result:
    """The smallest element so far along a dimension, and where it stands."""
    return cummin_result(*apply(_cummin, (input,), (dim_of(input, dim),)))


def _cumprod_body(x: Any, axis: int, dtype: Any) -> Any:
    x = (
        ops.cast(x, dtype)
        if dtype is not None
        else x
        if dtypes.is_inexact(aval_of(x).dtype)
        else ops.cast(x, dtypes.int64)
    )
    return ops.cast(jnp.cumprod(x, axis), aval_of(x).dtype) if aval_of(x).ndim else x


_cumprod = Function(_cumprod_body, "cumprod")


@method(inplace=True)
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Any:
    """Products of all elements up to each one along a dimension."""
    return apply(_cumprod, (input,), (dim_of(input, dim), None if dtype is None else dtype.np))


def _logcumsumexp_body(x: Any, axis: int) -> Any:
    if not aval_of(x).ndim:
        return x
    shape = aval_of(x).shape
    total, step = x, 1
    while step < shape[axis]:
        edges = [(step, -step, 0) if a == axis else (0, 0, 0) for a in range(len(shape))]
        before = ops.pad(total, ops.full((), -math.inf, aval_of(x).dtype), edges)
        total = jnp.logaddexp(before, total)
        step *= 2
    return total


_logcumsumexp = Function(_logcumsumexp_body, "logcumsumexp")


@method()
def logcumsumexp(input: Tensor, dim: int) -> Any:
    """The logarithm of running sums of exponentials."""
    return apply(_logcumsumexp, (input,), (dim_of(input, dim),))
