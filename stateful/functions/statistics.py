"""More reductions and differences: moments, sums without NaN, integrals, distances, covariances."""

from __future__ import annotations

from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.methods import method
from fdl.stateful.core.results import returned
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.elementwise import isnan, logical_not
from fdl.stateful.functions.elementwise import where as _where
from fdl.stateful.functions.reductions import Dims, amax, amin, dim_of, mean, power_norm, std, sum, var

__all__ = [
    "aminmax", "aminmax_result", "cdist", "corrcoef", "cov", "cumulative_trapezoid", "diff", "dist", "nanmean",
    "nansum", "pdist", "renorm", "std_mean", "trapezoid",
    "trapz", "var_mean",
]  # fmt: skip


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
    return sum(_where(isnan(input), 0.0, input) if input.dtype.is_floating_point else input, dim, keepdim, dtype=dtype)


@method()
def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of what is a number."""
    return nansum(input, dim, keepdim, dtype=dtype) / sum(logical_not(isnan(input)), dim, keepdim)


def _diff_body(*args: Any) -> Any:
    *xs, n, axis = args
    x = ops.concatenate(xs, axis) if len(xs) > 1 else xs[0]
    for _ in range(n):
        size = aval_of(x).shape[axis]
        if size == 0:
            break
        a, b = ops.slice_in_dim(x, 1, size, axis), ops.slice_in_dim(x, 0, size - 1, axis)
        x = ops.bitwise_xor(a, b) if aval_of(x).dtype == dtypes.bool_ else ops.sub(a, b)
    return x


_diff = Function(_diff_body, "diff")


@method()
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Any:
    """Differences of neighbours along a dimension, n times."""
    given = [t for t in (prepend, input, append) if t is not None] if n else [input]
    return apply(_diff, given, (n, dim_of(input, dim)))


def _trapezoid_body(y: Any, *args: Any) -> Any:
    *spacing, axis, running = args
    n = aval_of(y).shape[axis]
    if n == 0:
        return ops.reduce_sum(y, (axis,))
    middle = ops.div(ops.add(ops.slice_in_dim(y, 1, n, axis), ops.slice_in_dim(y, 0, n - 1, axis)), 2.0)
    width = spacing[0]
    if aval_of(width).ndim:
        last = aval_of(width).ndim - 1
        place = last if aval_of(width).ndim == 1 else axis
        m = aval_of(width).shape[place]
        gaps = ops.sub(ops.slice_in_dim(width, 1, m, place), ops.slice_in_dim(width, 0, m - 1, place))
        width = (
            ops.broadcast(gaps, aval_of(middle).shape, (axis,))
            if aval_of(gaps).ndim == 1
            else jnp.broadcast_to(gaps, aval_of(middle).shape)
        )
    parts = ops.mul(middle, ops.cast(width, aval_of(middle).dtype))
    return jnp.cumsum(parts, axis) if running else ops.reduce_sum(parts, (axis,))


_trapezoid = Function(_trapezoid_body, "trapezoid")


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The integral along a dimension, by straight lines between samples."""
    return apply(_trapezoid, (y, float(dx) if x is None else x), (dim_of(y, dim), False))


def trapz(y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """`trapezoid`."""
    return trapezoid(y, x, dx=dx, dim=dim)


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """Running integrals along a dimension."""
    return apply(_trapezoid, (y, float(dx) if x is None else x), (dim_of(y, dim), True))


# Distances


_dist = Function(lambda a, b, p: power_norm(*_difference(a, b, p)), "dist")


def _difference(a: Any, b: Any, p: float) -> tuple[Any, float, tuple[int, ...]]:
    gap = ops.sub(*jnp.broadcast_arrays(a, b))
    return gap, p, tuple(range(aval_of(gap).ndim))


@method()
def dist(input: Tensor, other: Tensor, p: float = 2) -> Any:
    """The p-norm of the difference."""
    return apply(_dist, (input, other), (float(p),))


def _cdist_body(a: Any, b: Any, p: float) -> Any:
    lead = ops.broadcast_shapes([aval_of(a).shape[:-2], aval_of(b).shape[:-2]], "cdist")
    a, b = jnp.broadcast_to(a, (*lead, *aval_of(a).shape[-2:])), jnp.broadcast_to(b, (*lead, *aval_of(b).shape[-2:]))
    gap = ops.sub(*jnp.broadcast_arrays(ops.expand_dims(a, (len(lead) + 1,)), ops.expand_dims(b, (len(lead),))))
    return power_norm(gap, p, (aval_of(gap).ndim - 1,))


_cdist = Function(_cdist_body, "cdist")


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """Distances of all rows of one matrix to all of another."""
    return apply(_cdist, (x1, x2), (float(p),))


def _pdist_body(x: Any, p: float) -> Any:
    n = aval_of(x).shape[0]
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    if not pairs:
        return ops.full((0,), 0, aval_of(x).dtype)
    rows = [ops.concatenate([ops.slice_in_dim(x, pair[k], pair[k] + 1) for pair in pairs], 0) for k in (0, 1)]
    return power_norm(ops.sub(*rows), p, (1,))


_pdist = Function(_pdist_body, "pdist")


def pdist(input: Tensor, p: float = 2.0) -> Any:
    """Distances of all pairs of rows."""
    return apply(_pdist, (input,), (float(p),))


def _renorm_body(x: Any, limit: Any, p: float, axis: int) -> Any:
    others = tuple(k for k in range(aval_of(x).ndim) if k != axis)
    size = power_norm(x, p, others)
    limit = ops.cast(limit, aval_of(x).dtype)
    scale = ops.select(ops.greater(size, limit), ops.div(limit, ops.add(size, 1e-7)), 1)
    return ops.mul(x, ops.broadcast(scale, aval_of(x).shape, (axis,)))


_renorm = Function(_renorm_body, "renorm")


@method(inplace=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Any:
    """Parts along a dimension made no longer than `maxnorm`."""
    return apply(_renorm, (input, float(maxnorm)), (float(p), dim_of(input, dim)))


# Covariances


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
