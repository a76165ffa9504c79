"""Statistics: extremes and moments together, sums without NaN, covariances."""

from __future__ import annotations

from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.results import returned
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.elementwise import isnan, logical_not
from fdl.stateful.functions.elementwise import where as _where
from fdl.stateful.functions.reductions import Dims, amax, amin, mean, std, sum, var

__all__ = ["aminmax", "aminmax_result", "corrcoef", "cov", "nanmean", "nansum", "std_mean", "var_mean"]


@returned
class aminmax_result(NamedTuple):
    """The smallest and the largest element."""

    min: Any
    max: Any


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> aminmax_result:
    """The smallest and the largest element, of all or along a dimension."""
    return aminmax_result(amin(input, dim, keepdim), amax(input, dim, keepdim))


method("aminmax")(aminmax)


def var_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Any, Any]:
    """Variance and mean."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


def std_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Any, Any]:
    """Standard deviation and mean."""
    dim, unbiased = (None, dim) if isinstance(dim, bool) else (dim, unbiased)
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


@method()
def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of what is a number."""
    if input.is_complex():
        raise TensorError("nansum on CPU does not support complex inputs", hint="torch.where(x.isnan(), 0, x).sum()")
    return sum(_where(isnan(input), 0.0, input) if input.dtype.is_floating_point else input, dim, keepdim, dtype=dtype)


@method()
def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of what is a number."""
    return nansum(input, dim, keepdim, dtype=dtype) / sum(logical_not(isnan(input)), dim, keepdim)


def _cov_body(x: Any, *args: Any) -> Any:
    *weights, correction, _, has_a = args
    x = ops.expand_dims(x, (0,)) if aval_of(x).ndim < 2 else x
    alone = aval_of(x).shape[0] == 1
    n = aval_of(x).shape[1] if aval_of(x).ndim > 1 else 1
    x = ops.reshape(x, (aval_of(x).shape[0], n))
    dtype = aval_of(x).dtype if dtypes.is_float(aval_of(x).dtype) else dtypes.float32
    x = ops.cast(x, dtype)
    given = [ops.cast(w, dtype) for w in weights]
    w = None
    for v in given:
        w = v if w is None else ops.mul(w, v)
    total = ops.full((), float(n), dtype) if w is None else ops.reduce_sum(w, (0,))
    spread = ops.full((1, n), 1, dtype) if w is None else ops.reshape(w, (1, n))
    centre = ops.div(ops.reduce_sum(ops.mul(x, ops.broadcast_to(spread, aval_of(x).shape)), (1,)), total)
    x = ops.sub(x, ops.broadcast(centre, aval_of(x).shape, (0,)))
    if has_a and correction:
        squares = ops.reduce_sum(ops.mul(w, given[-1]), (0,))
        norm = ops.sub(total, ops.mul(ops.div(squares, total), float(correction)))
    else:
        norm = ops.sub(total, float(correction))
    out = ops.div(
        jnp.matmul(ops.mul(x, ops.broadcast_to(spread, aval_of(x).shape)), jnp.swapaxes(x, 0, 1)), ops.maximum(norm, 0)
    )
    return ops.reshape(out, ()) if alone else out


_cov = Function(_cov_body, "cov")


@method()
def cov(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Any:
    """Covariances of rows."""
    given = [w for w in (fweights, aweights) if w is not None]
    return apply(_cov, (input, *given), (correction, fweights is not None, aweights is not None))


def _corrcoef_body(x: Any) -> Any:
    c = _cov_body(x, 1, False, False)
    if not aval_of(c).ndim:
        return ops.div(c, c)
    root = ops.sqrt(jnp.diagonal(c))
    shape = aval_of(c).shape
    scaled = ops.div(ops.div(c, ops.broadcast(root, shape, (0,))), ops.broadcast(root, shape, (1,)))
    return jnp.clip(scaled, -1, 1)


_corrcoef = Function(_corrcoef_body, "corrcoef")


@method()
def corrcoef(input: Tensor) -> Any:
    """Correlations of rows."""
    return apply(_corrcoef, (input,))
