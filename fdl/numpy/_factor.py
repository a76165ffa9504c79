"""What `numpy.linalg` makes of the factorisations in `fdl.ops.linear`: all work on stacks of matrices, (..., rows, columns)."""

from __future__ import annotations

from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.trace import aval_of
from fdl.numpy._create import eye
from fdl.numpy._index import take_along_axis
from fdl.numpy._math import prod
from fdl.ops import linear
from fdl.ops.linear import diagonal, identity, matmul, symmetric_part, triangle, turned
from fdl.transforms.custom import custom_jvp


def symmetric(x: Any, lower: bool) -> Any:
    """The symmetric matrix with this triangle."""
    return ops.add(triangle(x, lower), turned(triangle(x, lower, strict=True)))


def solve_triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    """The x with `a @ x = b`."""
    return linear.triangular_solve(a, b, lower, unit=unit_diagonal)


def _solve_factored(both: Any, order: Any, b: Any) -> Any:
    rows = ops.broadcast(order, aval_of(b).shape, range(aval_of(b).ndim - 1))
    x = linear.triangular_solve(both, take_along_axis(b, rows, -2), True, unit=True)
    return linear.triangular_solve(both, x, False)


@custom_jvp
def solve(a: Any, b: Any) -> Any:
    """The x with `a @ x = b`."""
    both, order, _ = linear.lu(a)
    return _solve_factored(both, order, b)


@solve.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a, b), (da, db) = primals, tangents
    both, order, _ = linear.lu(a)
    x = _solve_factored(both, order, b)
    return x, _solve_factored(both, order, ops.sub(db, matmul(da, x)))


@custom_jvp
def slogdet(a: Any) -> tuple[Any, Any]:
    """Sign and logarithm of the size of the determinant."""
    both, _, sign = linear.lu(a)
    pivots = diagonal(both)
    last = aval_of(pivots).ndim - 1
    negative = ops.reduce_sum(ops.convert(ops.less(pivots, 0), dtypes.int32), (last,))
    odd = ops.equal(ops.bitwise_and(negative, 1), 1)
    zero = ops.greater(ops.reduce_sum(ops.convert(ops.equal(pivots, 0), dtypes.int32), (last,)), 0)
    sign = ops.select(zero, 0, ops.select(odd, ops.neg(sign), sign))
    return sign, ops.reduce_sum(ops.log(ops.abs(pivots)), (last,))


@slogdet.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    sign, size = slogdet(a)
    return (sign, size), (ops.mul(sign, 0), _trace_of_inverse_times(a, da))


def _trace_of_inverse_times(a: Any, da: Any) -> Any:
    product = ops.mul(turned(solve(a, identity(a))), da)
    n = aval_of(product).ndim
    return ops.reduce_sum(product, (n - 2, n - 1))


@custom_jvp
def det(a: Any) -> Any:
    """The determinant."""
    both, _, sign = linear.lu(a)
    return ops.mul(sign, prod(diagonal(both), -1))


@det.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    value = det(a)
    return value, ops.mul(value, _trace_of_inverse_times(a, da))


@custom_jvp
def cholesky(a: Any) -> Any:
    """The lower factor of a symmetric matrix, of which the lower triangle is read; its derivative is that of a matrix that stays symmetric."""
    return linear.cholesky(a)


@cholesky.defjvp
def _(primals: Any, tangents: Any) -> Any:
    lower, (da,) = linear.cholesky(*primals), tangents
    return lower, linear.cholesky_tangent(lower, symmetric_part(da))


qr, eigh = linear.qr, linear.eigh


def completed(u: Any) -> Any:
    """Orthonormal columns, continued to a square matrix."""
    *lead, m, n = aval_of(u).shape
    if m <= n:
        return u
    if n == 0:
        return ops.broadcast_to(eye(m, dtype=aval_of(u).dtype), (*lead, m, m))
    q, _ = linear.qr(ops.stop_gradient(u), complete=True)
    return ops.concatenate([u, ops.slice_in_dim(q, n, m, len(lead) + 1)], len(lead) + 1)


def svd(a: Any) -> tuple[Any, Any, Any]:
    """(U, S, V transposed), with as many columns as the smaller size."""
    m, n = aval_of(a).shape[-2:]
    if m < n:
        s, v, ut = linear.svd(turned(a))
        return turned(ut), s, turned(v)
    s, u, vt = linear.svd(a)
    return u, s, vt
