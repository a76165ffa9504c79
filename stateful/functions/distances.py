"""Distances of vectors and of tensors, and lengths that are bounded."""

from __future__ import annotations

from typing import Any

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of
from fdl.stateful.core.methods import method
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.reductions import dim_of, power_norm

__all__ = ["cdist", "dist", "pdist", "renorm"]


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
