"""Functions that reduce dimensions: sums, extremes and where they stand, norms, and softmax, which sums along one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import fdl.numpy as jnp
from fdl import nn, ops
from fdl.extend import Function, aval_of, custom_jvp, dtypes
from fdl.stateful.core.dtypes import result_dtype, to_numpy
from fdl.stateful.core.errors import PlaceError, TensorError, UnsupportedError
from fdl.stateful.core.methods import method
from fdl.stateful.core.operands import refuse_complex
from fdl.stateful.core.results import returned
from fdl.stateful.core.tensor import Tensor, apply

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "bincount", "count_nonzero", "cumsum", "log_softmax", "logsumexp",
    "max", "max_result", "mean",
    "min", "norm", "prod", "softmax", "std", "sum", "topk", "topk_result", "var",
]  # fmt: skip

Dims = int | Sequence[int] | None


def dims_of(x: Tensor, dim: Dims) -> tuple[int, ...]:
    """Dimensions as numbers from 0; all for None; IndexError outside."""
    ndim = x.ndim
    given = list(range(ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim) or list(range(ndim))
    width = ndim or 1
    for d in given:
        if not -width <= d < width:
            raise PlaceError(
                f"Dimension out of range (expected to be in range of [{-width}, {width - 1}], but got {d})"
            )
    return tuple([d % ndim for d in given]) if ndim else ()


def dim_of(x: Tensor, dim: int) -> int:
    """One dimension as a number from 0."""
    ndim = x.ndim
    if -ndim <= dim < ndim:
        return dim % ndim
    found = dims_of(x, dim)
    return found[0] if found else 0


def _kept(out: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    return ops.expand_dims(out, sorted(axes)) if keepdim and axes else out


def _summable(x: Any) -> Any:
    """Floats as they are, integers and bools in int64."""
    return ops.cast(x, aval_of(x).dtype if dtypes.is_inexact(aval_of(x).dtype) else dtypes.int64)


def _sum_body(x: Any, axes: tuple[int, ...], keepdim: bool, dtype: Any) -> Any:
    if dtype == dtypes.bool_:
        return jnp.any(x, axes, keepdims=keepdim) if axes else ops.cast(x, dtype)
    return _kept(ops.reduce_sum(ops.cast(x, dtype) if dtype else _summable(x), axes), axes, keepdim)


def _mean_body(x: Any, axes: tuple[int, ...], keepdim: bool, dtype: Any) -> Any:
    x = ops.cast(x, dtype) if dtype else x
    if not dtypes.is_inexact(aval_of(x).dtype):
        raise TensorError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex "
            f"dtype. Got: {aval_of(x).dtype.name}"
        )
    return jnp.mean(x, axes, keepdims=keepdim) if axes else x


_sum, _mean = Function(_sum_body, "sum"), Function(_mean_body, "mean")


@method(function=_sum, over_all=(False, None))
def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over dimensions; integers and bools in int64."""
    return apply(_sum, (input,), (dims_of(input, dim), keepdim, dtype and to_numpy(dtype)))


@method(function=_mean, over_all=(False, None))
def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over dimensions, of floats."""
    return apply(_mean, (input,), (dims_of(input, dim), keepdim, dtype and to_numpy(dtype)))


def _var_body(x: Any, axes: tuple[int, ...], correction: int, keepdim: bool) -> Any:
    if not dtypes.is_inexact(aval_of(x).dtype):
        raise TensorError("std and var only support floating point and complex dtypes")
    return jnp.var(x, axes, ddof=correction, keepdims=keepdim)


_var = Function(_var_body, "var")
_std = Function(lambda *args: _root(_var_body(*args)), "std")


def _correction(unbiased: Any, correction: Any) -> Any:
    return correction if correction is not None else 1 if unbiased in (True, None) else 0


@method()
def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Any:
    """The variance over dimensions, divided by n - 1 unless told otherwise."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return apply(_var, (input,), (dims_of(input, dim), _correction(unbiased, correction), keepdim))


@method()
def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Any:
    """The root of `var`."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return apply(_std, (input,), (dims_of(input, dim), _correction(unbiased, correction), keepdim))


def _prod_body(x: Any, axis: int | None, keepdim: bool, dtype: Any) -> Any:
    axis = axis if aval_of(x).ndim else None
    if dtype == dtypes.bool_:
        return jnp.all(ops.cast(x, dtype), axis, keepdims=keepdim)
    x = ops.cast(x, dtype) if dtype else _summable(x)
    return jnp.prod(x, axis, dtype=aval_of(x).dtype, keepdims=keepdim)


_prod = Function(_prod_body, "prod")


@method()
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product of all elements, or along a dimension."""
    return apply(_prod, (input,), (None if dim is None else dim_of(input, dim), keepdim, dtype and to_numpy(dtype)))


# Extremes


@returned
class max_result(NamedTuple):
    """Values along a dimension and where they stand."""

    values: Any
    indices: Any


@returned
class topk_result(NamedTuple):
    """The largest values and where they stand."""

    values: Any
    indices: Any


def _extreme_body(sign: int) -> Any:
    def body(x: Any, axis: int, keepdim: bool) -> Any:
        if not aval_of(x).ndim:
            return x, ops.full((), 0, dtypes.int64)
        indices = (ops.argmax if sign > 0 else ops.argmin)(x, axis, dtypes.int64)
        values = ops.gather_along(x, ops.expand_dims(indices, (axis,)), axis)
        return (
            (values, ops.expand_dims(indices, (axis,)))
            if keepdim
            else (ops.reshape(values, aval_of(indices).shape), indices)
        )

    return body


def _all_extreme_body(sign: int) -> Any:
    def body(x: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
        refuse_complex("amax" if sign > 0 else "amin", x)
        return _kept((ops.reduce_max if sign > 0 else ops.reduce_min)(x, axes), axes, keepdim)

    return body


_max, _min = Function(_extreme_body(1), "max"), Function(_extreme_body(-1), "min")
_amax, _amin = Function(_all_extreme_body(1), "amax"), Function(_all_extreme_body(-1), "amin")


def _extreme(input: Tensor, dim: Any, keepdim: bool, along: Function, over_all: Function, pairwise: str) -> Any:
    if isinstance(dim, Tensor):
        return getattr(input, pairwise)(dim)
    if dim is None:
        if not input.numel():
            raise TensorError(
                f"{along.name}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        return apply(over_all, (input,), (dims_of(input, None), False))
    return max_result(*apply(along, (input,), (dim_of(input, dim), keepdim)))


@method("max")
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; along a dimension (values, indices); or elementwise of two tensors."""
    return _extreme(input, dim, keepdim, _max, _amax, "maximum")


@method("min")
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; along a dimension (values, indices); or elementwise of two tensors."""
    return _extreme(input, dim, keepdim, _min, _amin, "minimum")


@method(function=_amax, over_all=(False,))
def amax(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """The largest element over dimensions; equal ones share the gradient."""
    return apply(_amax, (input,), (dims_of(input, dim), keepdim))


@method(function=_amin, over_all=(False,))
def amin(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """The smallest element over dimensions; equal ones share the gradient."""
    return apply(_amin, (input,), (dims_of(input, dim), keepdim))


def _arg_body(find: Any) -> Any:
    def body(x: Any, axis: int | None, keepdim: bool) -> Any:
        shape = aval_of(x).shape
        if axis is None or not shape:
            found = find(ops.reshape(x, (math.prod(shape),)), 0, dtypes.int64)
            return ops.reshape(found, (1,) * len(shape)) if keepdim else found
        return _kept(find(x, axis, dtypes.int64), (axis,), keepdim)

    return body


_argmax, _argmin = Function(_arg_body(ops.argmax), "argmax"), Function(_arg_body(ops.argmin), "argmin")


@method()
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the largest element stands, along a dimension or in the flat tensor; int64."""
    return apply(_argmax, (input,), (None if dim is None else dim_of(input, dim), keepdim))


@method()
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the smallest element stands, along a dimension or in the flat tensor; int64."""
    return apply(_argmin, (input,), (None if dim is None else dim_of(input, dim), keepdim))


def _topk_body(x: Any, k: int, axis: int, largest: bool) -> Any:
    last = aval_of(x).ndim - 1
    moved = ops.move_axis(x, axis, last)
    if not largest and dtypes.is_float(aval_of(x).dtype):  # NaN is the largest, which no key says that top_k takes
        indices = ops.slice_in_dim(jnp.argsort(ops.stop_gradient(moved), last), 0, k, last)
    else:
        _, indices = ops.top_k(ops.stop_gradient(moved if largest else ops.bitwise_not(moved)), k)
    values = ops.gather_along(moved, indices, last)
    return ops.move_axis(values, last, axis), ops.move_axis(ops.convert(indices, dtypes.int64), last, axis)


_topk = Function(_topk_body, "topk")


@method()
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k largest (or smallest) elements along a dimension, in order, and where they stand."""
    d = dim_of(input, dim)
    if not 0 <= k <= (input.shape[d] if input.ndim else 1):
        raise TensorError(
            f"selected index k out of range: k={k}, the dimension has size {input.shape[d] if input.ndim else 1}"
        )
    if not input.ndim:
        return topk_result(*[t.reshape(())[()] if k else t for t in topk(input.reshape(1), k, 0)])
    return topk_result(*apply(_topk, (input,), (k, d, largest)))


# Logic


def _of_truth(x: Any, found: Any) -> Any:
    """A bool, but for uint8, which PyTorch keeps."""
    return ops.convert(found, dtypes.uint8) if aval_of(x).dtype == dtypes.uint8 else found


_any = Function(lambda x, axes, keepdim: _of_truth(x, jnp.any(x, axes, keepdims=keepdim)), "any")
_all = Function(lambda x, axes, keepdim: _of_truth(x, jnp.all(x, axes, keepdims=keepdim)), "all")


@method(function=_any, over_all=(False,))
def any(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether an element is not zero."""
    return apply(_any, (input,), (dims_of(input, dim), keepdim))


@method(function=_all, over_all=(False,))
def all(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """Whether all elements are not zero."""
    return apply(_all, (input,), (dims_of(input, dim), keepdim))


_count = Function(lambda x, axes: ops.reduce_sum(ops.convert(ops.not_equal(x, 0), dtypes.int64), axes), "count_nonzero")


@method()
def count_nonzero(input: Tensor, dim: Dims = None) -> Any:
    """How many elements are not zero; int64."""
    return apply(_count, (input,), (dims_of(input, dim),))


# Norms and softmax


def _root(x: Any, p: float = 2) -> Any:
    """The p-th root; its gradient at 0 is 0, as PyTorch has it for norms and deviations."""
    zero = ops.equal(x, 0)
    safe = ops.select(zero, 1, x)
    return ops.select(zero, 0, ops.sqrt(safe) if p == 2 else ops.pow(safe, 1 / p))


@custom_jvp
def _present(x: Any) -> Any:
    """1 where an element is not zero; its gradient is zero, and flows."""
    return ops.convert(ops.not_equal(x, 0), aval_of(x).dtype)


_present.defjvp(lambda primals, tangents: (_present(*primals), ops.mul(tangents[0], 0)))


def power_norm(x: Any, p: float, axes: tuple[int, ...]) -> Any:
    """The p-norm over axes; its gradient at zero is zero."""
    x = ops.absolute(x) if dtypes.is_complex(aval_of(x).dtype) else x
    if p == 0:
        return ops.reduce_sum(_present(x), axes)
    if p in (math.inf, -math.inf):
        return (ops.reduce_max if p > 0 else ops.reduce_min)(ops.abs(x), axes)
    if p == 1:
        return ops.reduce_sum(ops.abs(x), axes)
    if p == 2:
        return _root(ops.reduce_sum(ops.integer_pow(x, 2), axes))
    zero = ops.equal(x, 0)
    powers = ops.pow(ops.abs(ops.select(zero, 1, x)), p)
    return _root(ops.reduce_sum(ops.select(zero, 0 if p > 0 else math.inf, powers), axes), p)


def _nuclear_body(x: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    kept = [a for a in range(aval_of(x).ndim) if a not in axes]
    return _kept(jnp.sum(jnp.linalg.svdvals(ops.transpose(x, (*kept, *axes))), -1), axes, keepdim)


_norm = Function(lambda x, p, axes, keepdim: _kept(power_norm(x, p, axes), axes, keepdim), "norm")
_nuclear = Function(_nuclear_body, "norm")


@method()
def norm(input: Tensor, p: Any = "fro", dim: Dims = None, keepdim: bool = False) -> Any:
    """The p-norm of the elements, over dimensions; Euclidean by default."""
    if p == "nuc":
        axes = dims_of(input, dim)
        if len(axes) != 2:
            raise TensorError(f"norm: the nuclear norm is one of matrices, but {len(axes)} dimensions are reduced")
        return apply(_nuclear, (input,), (axes, keepdim))
    order = 2.0 if p in ("fro", None) else float(p)
    return apply(_norm, (input,), (order, dims_of(input, dim), keepdim))


_logsumexp = Function(lambda x, axes, keepdim: nn.logsumexp(x, axis=axes, keepdims=keepdim), "logsumexp")


def _of_order(name: str, f: Any) -> Function:
    def body(x: Any, axis: int, dtype: Any) -> Any:
        refuse_complex(name, x)
        return _along(f, ops.cast(x, dtype or dtypes.default_float(result_dtype(x))), axis)

    return Function(body, name)


_softmax, _log_softmax = _of_order("softmax", nn.softmax), _of_order("log_softmax", nn.log_softmax)


def _along(f: Any, x: Any, axis: int) -> Any:
    """A function along an axis; a number is a vector of one."""
    aval = aval_of(x)
    if not aval.size:
        return x
    if (
        dtypes.is_float(aval.dtype) and aval.dtype.itemsize < 4 and f is not jnp.cumsum
    ):  # PyTorch rounds once, at the end
        return ops.cast(_along(f, ops.cast(x, dtypes.float32), axis), aval.dtype)
    return f(x, axis) if aval_of(x).ndim else ops.reshape(f(ops.reshape(x, (1,)), 0), ())


@method()
def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False) -> Any:
    """`log(sum(exp(x)))` over dimensions, without overflow."""
    return apply(_logsumexp, (input,), (dims_of(input, dim), keepdim))


@method()
def softmax(input: Tensor, dim: int, dtype: Any = None) -> Any:
    """`exp(x) / sum(exp(x))` along a dimension."""
    return apply(_softmax, (input,), (dim_of(input, dim), dtype and to_numpy(dtype)))


@method()
def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Any:
    """`log(softmax(x))` along a dimension, without overflow."""
    return apply(_log_softmax, (input,), (dim_of(input, dim), dtype and to_numpy(dtype)))


def _cumsum_body(x: Any, axis: int, dtype: Any) -> Any:
    x = ops.cast(x, dtype) if dtype else _summable(x)
    return ops.cast(_along(jnp.cumsum, x, axis), aval_of(x).dtype)


_cumsum = Function(_cumsum_body, "cumsum")


@method(inplace=True)
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Any:
    """Sums of all elements up to each one along a dimension."""
    return apply(_cumsum, (input,), (dim_of(input, dim), dtype and to_numpy(dtype)))


_bincount = Function(
    lambda x, size: ops.scatter_add(
        ops.full((size,), 0, dtypes.int64),
        ops.full(aval_of(x).shape, 1, dtypes.int64),
        [ops.cast(x, dtypes.int64)],
        (0,),
    ),
    "bincount",
)


def _weighted_body(x: Any, w: Any, size: int) -> Any:
    w = w if dtypes.is_float(aval_of(w).dtype) else ops.cast(w, dtypes.float64)
    return ops.scatter_add(ops.full((size,), 0, aval_of(w).dtype), w, [ops.cast(x, dtypes.int64)], (0,))


_weighted_bincount = Function(_weighted_body, "bincount")


@method()
def bincount(input: Tensor, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number from 0 on occurs, or the sum of weights where it does."""
    if input.dtype.is_floating_point:
        raise UnsupportedError(f"\"bincount_cpu\" not implemented for '{input.dtype.legacy_name}'")
    values = input._value()._numpy()
    if input.ndim != 1 or np.min(values, initial=0) < 0:
        raise TensorError("bincount only supports 1-d non-negative integral inputs.")
    size = int(values.max()) + 1 if values.size else 0
    wide = size if size > minlength else minlength
    return (
        apply(_bincount, (input,), (wide,)) if weights is None else apply(_weighted_bincount, (input, weights), (wide,))
    )
