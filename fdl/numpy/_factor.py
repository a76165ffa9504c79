"""What `numpy.linalg` makes of the factorisations in `fdl.ops.linear`: all work on stacks of matrices, (..., rows,
columns).
"""

from __future__ import annotations

from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._create import eye
from fdl.numpy._math import prod
from fdl.ops import linear
from fdl.ops.linear import diagonal, identity, matmul, symmetric_part, turned
from fdl.transforms.custom import custom_jvp


def symmetric(x: ArrayLike, lower: bool) -> Array:
    """The symmetric matrix with this triangle; its derivative is that of a matrix that stays symmetric."""
    return (_of_lower if lower else _of_upper)(x)


def _mirrored(lower: bool) -> custom_jvp[[Any], Array]:
    @custom_jvp
    def whole(x: Any) -> Array:
        return linear.hermitian(x, lower)

    whole.defjvp(lambda primals, tangents: (whole(*primals), symmetric_part(tangents[0])))
    return whole


_of_lower, _of_upper = _mirrored(True), _mirrored(False)


def solve_triangular(a: ArrayLike, b: ArrayLike, lower: bool, unit_diagonal: bool) -> Array:
    """The x with `a @ x = b`."""
    return linear.triangular_solve(a, b, lower, unit=unit_diagonal)


def _solve_factored(both: Any, order: Any, b: Any) -> Array:
    rows = ops.broadcast(order, aval_of(b).shape, range(aval_of(b).ndim - 1))
    x = linear.triangular_solve(both, ops.gather_along(b, rows, -2), True, unit=True)
    return linear.triangular_solve(both, x, False)


@custom_jvp
def solve(a: ArrayLike, b: ArrayLike) -> Array:
    """The x with `a @ x = b`."""
    both, order, _ = linear.lu(a)
    return _solve_factored(both, order, b)


@solve.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a, b), (da, db) = primals, tangents
    both, order, _ = linear.lu(a)
    x = _solve_factored(both, order, b)
    return x, _solve_factored(both, order, ops.sub(db, matmul(da, x)))


@custom_jvp
def slogdet(a: Array) -> tuple[Array, Array]:
    """Sign and logarithm of the size of the determinant."""
    both, _, sign = linear.lu(a)
    pivots = diagonal(both)
    last = aval_of(pivots).ndim - 1
    if dtypes.is_complex(aval_of(a).dtype):
        return ops.mul(sign, prod(ops.direction(pivots), -1)), ops.reduce_sum(ops.log(ops.absolute(pivots)), (last,))
    negative = ops.reduce_sum(ops.convert(ops.less(pivots, 0), dtypes.int32), (last,))
    odd = ops.equal(ops.bitwise_and(negative, 1), 1)
    zero = ops.greater(ops.reduce_sum(ops.convert(ops.equal(pivots, 0), dtypes.int32), (last,)), 0)
    sign = ops.select(zero, 0, ops.select(odd, ops.neg(sign), sign))
    return sign, ops.reduce_sum(ops.log(ops.abs(pivots)), (last,))


@slogdet.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a,), (da,) = primals, tangents
    sign, size = slogdet(a)
    change = _trace_of_inverse_times(a, da)
    if not dtypes.is_complex(aval_of(a).dtype):
        return (sign, size), (ops.mul(sign, 0), change)
    return (sign, size), (ops.mul(sign, ops.join(0, ops.imag(change))), ops.real(change))


def _trace_of_inverse_times(a: Any, da: Any) -> Array:
    product = ops.mul(turned(solve(a, identity(a))), da)
    n = aval_of(product).ndim
    return ops.reduce_sum(product, (n - 2, n - 1))


def det(a: Array) -> Array:
    """The determinant: written out up to three rows, so that it has all derivatives everywhere, else by elimination."""
    *lead, n, _ = aval_of(a).shape
    if n == 0:
        return ops.full(tuple(lead), 1, aval_of(a).dtype)
    if n > 3:
        return _det(a)
    rows = [[a[..., i, j] for j in range(n)] for i in range(n)]
    if n == 1:
        return rows[0][0]
    minors = [_minor(rows[-2:], *pair) for pair in ([(0, 1)] if n == 2 else [(1, 2), (0, 2), (0, 1)])]
    if n == 2:
        return minors[0]
    terms = [ops.mul(x, minor) for x, minor in zip(rows[0], minors, strict=True)]
    return ops.add(ops.sub(terms[0], terms[1]), terms[2])


def _minor(rows: Any, i: int, j: int) -> Array:
    (a, b), (c, d) = ((row[i], row[j]) for row in rows)
    return ops.sub(ops.mul(a, d), ops.mul(b, c))


@custom_jvp
def _det(a: Any) -> Array:
    both, _, sign = linear.lu(a)
    return ops.mul(sign, prod(diagonal(both), -1))


@_det.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a,), (da,) = primals, tangents
    value = _det(a)
    product = ops.mul(_cofactors(a), da)
    n = aval_of(product).ndim
    return value, ops.reduce_sum(product, (n - 2, n - 1))


def _cofactors(a: Any) -> Array:
    """The slope of the determinant: `det(a) * inv(a).T`, with a tiny number for a pivot of zero.

    Cofactors are polynomials of the elements, so those of a singular matrix are the limit. Computed in double
    precision, where the tiny number and its powers are exact.
    """
    wide = ops.cast(a, dtypes.complex128 if dtypes.is_complex(aval_of(a).dtype) else dtypes.float64)
    both, order, sign = linear.lu(wide)
    shape, pivots = aval_of(both).shape, diagonal(both)
    lead = range(len(shape) - 2)
    top = ops.reduce_max(ops.absolute(both), (len(shape) - 2, len(shape) - 1))
    tiny = ops.broadcast(ops.mul(ops.select(ops.equal(top, 0), 1, top), 2.0**-60), shape[:-1], lead)
    filled = ops.select(ops.equal(pivots, 0), tiny, pivots)
    value = ops.broadcast(ops.mul(sign, prod(filled, -1)), shape, lead)
    both = ops.add(both, ops.mul(identity(both), linear.down(ops.sub(filled, pivots), both)))
    return ops.cast(ops.mul(value, turned(_solve_factored(both, order, identity(wide)))), aval_of(a).dtype)


@custom_jvp
def cholesky(a: ArrayLike) -> Array:
    """The lower factor of a symmetric matrix, of which the lower triangle is read; its derivative is that of a matrix
    that stays symmetric.
    """
    return linear.cholesky(a)


@cholesky.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    lower, (da,) = linear.cholesky(*primals), tangents
    return lower, linear.cholesky_tangent(lower, symmetric_part(da))


qr, eigh = linear.qr, linear.eigh


def completed(u: Array) -> Array:
    """Orthonormal columns, continued to a square matrix."""
    *lead, m, n = aval_of(u).shape
    if m <= n:
        return u
    if n == 0:
        return ops.broadcast_to(eye(m, dtype=aval_of(u).dtype), (*lead, m, m))
    q, _ = linear.qr(ops.stop_gradient(u), complete=True)
    return ops.concatenate([u, ops.slice_in_dim(q, n, m, len(lead) + 1)], len(lead) + 1)


def svd(a: Array) -> tuple[Array, Array, Array]:
    """(U, S, V transposed), with as many columns as the smaller size."""
    m, n = aval_of(a).shape[-2:]
    if m < n:
        s, v, ut = linear.svd(turned(a))
        return turned(ut), s, turned(v)
    s, u, vt = linear.svd(a)
    return u, s, vt
