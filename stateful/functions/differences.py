"""Differences, slopes and integrals of values at places along a dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.methods import method
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.reductions import dim_of
from fdl.stateful.functions.shapes import cat

__all__ = ["cumulative_trapezoid", "diff", "gradient", "trapezoid", "trapz"]


def _slope(x: Any, h: Any, d: int, edge: int) -> Any:
    n = x.shape[d]
    if isinstance(h, Tensor) and h.ndim:
        shape = [1] * x.ndim
        shape[d] = -1
        gaps = (h[1:] - h[:-1]).reshape(*shape)
        step = x.narrow(d, 1, n - 1) - x.narrow(d, 0, n - 1)
        rates = step / gaps
        left, right = gaps.narrow(d, 0, n - 2), gaps.narrow(d, 1, n - 2)
        middle = (rates.narrow(d, 0, n - 2) * right + rates.narrow(d, 1, n - 2) * left) / (left + right)
        first, last = rates.narrow(d, 0, 1), rates.narrow(d, n - 2, 1)
        if edge == 2:  # along the parabola through three points
            bends = (rates.narrow(d, 1, n - 2) - rates.narrow(d, 0, n - 2)) / (left + right)
            first = first - bends.narrow(d, 0, 1) * left.narrow(d, 0, 1)
            last = last + bends.narrow(d, n - 3, 1) * right.narrow(d, n - 3, 1)
    else:
        middle = (x.narrow(d, 2, n - 2) - x.narrow(d, 0, n - 2)) / (2 * h)
        first, last = (x.narrow(d, 1, 1) - x.narrow(d, 0, 1)) / h, (x.narrow(d, n - 1, 1) - x.narrow(d, n - 2, 1)) / h
        if edge == 2:
            first = (-3 * x.narrow(d, 0, 1) + 4 * x.narrow(d, 1, 1) - x.narrow(d, 2, 1)) / (2 * h)
            last = (3 * x.narrow(d, n - 1, 1) - 4 * x.narrow(d, n - 2, 1) + x.narrow(d, n - 3, 1)) / (2 * h)
    return first, middle, last


def gradient(input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> list[Any]:
    """Slopes along dimensions, by differences of neighbours."""
    dims = list(np.arange(input.ndim).tolist()) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    spaces = list(spacing) if isinstance(spacing, (list, tuple)) else [1 if spacing is None else spacing] * len(dims)
    return [
        cat(list(_slope(input, h, d % input.ndim, edge_order)), d % input.ndim)
        for d, h in zip(dims, spaces, strict=True)
    ]


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
