"""Factorisations of stacks of matrices as loops of whole-array steps, with derivatives of their own.

All work on (..., rows, columns).  Loops have a length that follows from the shape; what a step picks out it picks by masks, so that every backend runs them.
Derivatives are those of Giles, 2008 ("Collected matrix derivative results for forward and reverse mode algorithmic differentiation").
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.trace import aval_of
from fdl.numpy._create import eye
from fdl.numpy._index import take_along_axis
from fdl.numpy._shape import matmul, matrix_transpose
from fdl.numpy._sort import argsort
from fdl.transforms.control import while_loop
from fdl.transforms.custom import custom_jvp


def fori_loop(start: int, stop: int, step: Any, init: Any) -> Any:
    """A loop; one of no steps is not looked into, since matrices without elements have nothing to pick."""
    return while_loop.fori_loop(start, stop, step, init) if stop > start else init


def _row(x: Any, k: Any) -> Any:
    """Row number k, as (..., columns)."""
    return ops.gather(x, [k], (aval_of(x).ndim - 2,))


def _column(x: Any, k: Any) -> Any:
    return ops.gather(x, [k], (aval_of(x).ndim - 1,))


def _across(v: Any, like: Any) -> Any:
    """(..., columns) as a row of each matrix."""
    n = aval_of(like).ndim
    return ops.broadcast(v, aval_of(like).shape, (*range(n - 2), n - 1))


def _down(v: Any, like: Any) -> Any:
    """(..., rows) as a column of each matrix."""
    return ops.broadcast(v, aval_of(like).shape, range(aval_of(like).ndim - 1))


def _places(shape: Any, axis: int) -> Any:
    return ops.iota(shape, len(shape) + axis)


def _total(x: Any) -> Any:
    return ops.reduce_sum(x, (aval_of(x).ndim - 1,))


def _triangle(x: Any, lower: bool, strict: bool = False) -> Any:
    shape = aval_of(x).shape
    i, j = _places(shape, -2), _places(shape, -1)
    kept = (ops.greater if strict else ops.greater_equal)(*((i, j) if lower else (j, i)))
    return ops.select(kept, x, 0)


def _diagonal(x: Any) -> Any:
    shape = aval_of(x).shape
    return _total(ops.select(ops.equal(_places(shape, -2), _places(shape, -1)), x, 0))


def symmetric(x: Any, lower: bool) -> Any:
    """The symmetric matrix with this triangle."""
    half = _triangle(x, lower, strict=True)
    shape = aval_of(x).shape
    diagonal = ops.select(ops.equal(_places(shape, -2), _places(shape, -1)), x, 0)
    return ops.add(ops.add(half, matrix_transpose(half)), diagonal)


def _identity(a: Any) -> Any:
    return ops.broadcast_to(eye(aval_of(a).shape[-1], dtype=aval_of(a).dtype), aval_of(a).shape)


# Triangular systems


@custom_jvp
def _lower_solve(a: Any, b: Any) -> Any:
    """Forward substitution with a lower triangular matrix whose diagonal is used."""
    n = aval_of(a).shape[-1]

    def step(k: Any, x: Any) -> Any:
        row = ops.expand_dims(_row(a, k), (aval_of(a).ndim - 2,))
        known = ops.reshape(matmul(row, x), aval_of(_row(b, k)).shape)
        pivot = _column(_row(a, k), k)
        value = ops.div(ops.sub(_row(b, k), known), ops.broadcast(pivot, aval_of(known).shape, range(aval_of(pivot).ndim)))
        return ops.select(ops.equal(_places(aval_of(x).shape, -2), ops.broadcast_to(k, aval_of(x).shape)), _across(value, x), x)

    return fori_loop(0, n, step, ops.full(aval_of(b).shape, 0, aval_of(b).dtype))


@_lower_solve.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a, b), (da, db) = primals, tangents
    x = _lower_solve(a, b)
    return x, matmul(_lower_solve(a, _identity(a)), ops.sub(db, matmul(_triangle(da, True), x)))


def solve_triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    """The x with `a @ x = b`."""
    a = _triangle(a, lower)
    if unit_diagonal:
        shape = aval_of(a).shape
        a = ops.select(ops.equal(_places(shape, -2), _places(shape, -1)), 1, a)
    if lower:
        return _lower_solve(a, b)
    n = aval_of(a).ndim
    return ops.reverse(_lower_solve(ops.reverse(a, (n - 2, n - 1)), ops.reverse(b, (n - 2,))), (n - 2,))


# Elimination


def _lu(a: Any) -> tuple[Any, Any, Any]:
    """Both triangles in one matrix, the order of the rows, and its sign; pivots are the largest elements of their columns."""
    shape = aval_of(a).shape
    n, lead = shape[-1], shape[:-2]
    i, j = _places(shape, -2), _places(shape, -1)
    rows = _places((*lead, n), -1)

    def step(k: Any, carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        a, order, sign = carry
        at = ops.broadcast_to(k, (*lead, n))
        size = ops.select(ops.greater_equal(rows, at), ops.abs(_column(a, k)), -1)
        pivot = ops.argmax(size, len(lead), dtypes.int32)
        p = ops.broadcast(pivot, (*lead, n), range(len(lead)))
        source = ops.select(ops.equal(rows, at), p, ops.select(ops.equal(rows, p), at, rows))
        a = take_along_axis(a, ops.broadcast(source, shape, range(len(lead) + 1)), -2)
        order = take_along_axis(order, source, -1)
        sign = ops.select(ops.equal(pivot, ops.broadcast_to(k, lead)), sign, ops.neg(sign))
        whole = ops.broadcast_to(k, shape)
        top = _column(_row(a, k), k)
        top = ops.select(ops.equal(top, 0), 1, top)  # a column of zeros has nothing to take away
        factor = ops.div(_column(a, k), ops.broadcast(top, (*lead, n), range(len(lead))))
        factor = ops.select(ops.greater(rows, at), factor, 0)
        above = ops.select(ops.greater(rows, at), _row(a, k), 0)
        a = ops.sub(a, ops.mul(_down(factor, a), _across(above, a)))
        below = ops.bitwise_and(ops.equal(j, whole), ops.greater(i, whole))
        return ops.select(below, _down(factor, a), a), order, sign

    start = a, rows, ops.full(lead, 1, aval_of(a).dtype)
    return fori_loop(0, n, step, start)  # type: ignore[no-any-return]


@custom_jvp
def solve(a: Any, b: Any) -> Any:
    """The x with `a @ x = b`."""
    both, order, _ = _lu(a)
    index = ops.broadcast(order, aval_of(b).shape, range(aval_of(b).ndim - 1))
    x = solve_triangular(both, take_along_axis(b, index, -2), True, True)
    return solve_triangular(both, x, False, False)


@solve.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a, b), (da, db) = primals, tangents
    x = solve(a, b)
    return x, matmul(solve(a, _identity(a)), ops.sub(db, matmul(da, x)))  # a product, which reverse mode can transpose


@custom_jvp
def slogdet(a: Any) -> tuple[Any, Any]:
    """Sign and logarithm of the size of the determinant."""
    both, _, sign = _lu(a)
    pivots = _diagonal(both)
    n = aval_of(both).ndim - 2
    negative = ops.reduce_sum(ops.convert(ops.less(pivots, 0), dtypes.int32), (n,))
    odd = ops.equal(ops.bitwise_and(negative, 1), 1)
    zero = ops.greater(ops.reduce_sum(ops.convert(ops.equal(pivots, 0), dtypes.int32), (n,)), 0)
    sign = ops.select(zero, 0, ops.select(odd, ops.neg(sign), sign))
    return sign, ops.reduce_sum(ops.log(ops.abs(pivots)), (n,))


@slogdet.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    sign, size = slogdet(a)
    return (sign, size), (ops.mul(sign, 0), _trace_of_inverse_times(a, da))


def _trace_of_inverse_times(a: Any, da: Any) -> Any:
    product = ops.mul(matrix_transpose(solve(a, _identity(a))), da)
    n = aval_of(product).ndim
    return ops.reduce_sum(product, (n - 2, n - 1))


@custom_jvp
def det(a: Any) -> Any:
    """The determinant."""
    both, _, sign = _lu(a)
    pivots = _diagonal(both)
    total = sign
    for k in range(aval_of(a).shape[-1]):
        total = ops.mul(total, ops.reshape(ops.slice_in_dim(pivots, k, k + 1, aval_of(pivots).ndim - 1), aval_of(total).shape))
    return total


@det.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    value = det(a)
    return value, ops.mul(value, _trace_of_inverse_times(a, da))


# Cholesky


@custom_jvp
def cholesky(a: Any) -> Any:
    """The lower factor, column by column."""
    shape = aval_of(a).shape
    n, lead = shape[-1], shape[:-2]
    rows, j = _places((*lead, n), -1), _places(shape, -1)

    def step(k: Any, lower: Any) -> Any:
        own = ops.expand_dims(_row(lower, k), (len(lead) + 1,))
        rest = ops.sub(_column(a, k), ops.reshape(matmul(lower, own), (*lead, n)))
        root = ops.sqrt(ops.broadcast(_column(rest, k), (*lead, n), range(len(lead))))
        at = ops.broadcast_to(k, (*lead, n))
        column = ops.select(ops.equal(rows, at), root, ops.select(ops.greater(rows, at), ops.div(rest, root), 0))
        return ops.select(ops.equal(j, ops.broadcast_to(k, shape)), _down(column, lower), lower)

    return fori_loop(0, n, step, ops.full(shape, 0, aval_of(a).dtype))


@cholesky.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    lower = cholesky(a)
    da = ops.mul(ops.add(da, matrix_transpose(da)), 0.5)
    inverse = _lower_solve(lower, _identity(lower))
    inner = matmul(matmul(inverse, da), matrix_transpose(inverse))
    shape = aval_of(inner).shape
    half = ops.select(ops.equal(_places(shape, -2), _places(shape, -1)), ops.mul(inner, 0.5), _triangle(inner, True))
    return lower, matmul(lower, half)


# QR


def _householder(a: Any) -> tuple[Any, Any]:
    """Reflections that make columns zero below the diagonal (Golub and Van Loan, 5.2), as the whole Q and R."""
    *lead, m, n = aval_of(a).shape
    rows = _places((*lead, m), -1)

    def step(k: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        q, r = carry
        at = ops.broadcast_to(k, (*lead, m))
        x = ops.select(ops.greater_equal(rows, at), _column(r, k), 0)
        first = ops.broadcast(_column(x, k), (*lead, m), range(len(lead)))
        below = ops.broadcast(_total(ops.select(ops.greater(rows, at), ops.mul(x, x), 0)), (*lead, m), range(len(lead)))
        length = ops.sqrt(ops.add(below, ops.mul(first, first)))
        signed = ops.select(ops.less(first, 0), length, ops.neg(length))
        v = ops.select(ops.equal(rows, at), ops.sub(x, signed), x)
        square = ops.broadcast(_total(ops.mul(v, v)), (*lead, m), range(len(lead)))
        needed = ops.bitwise_and(ops.greater(below, 0), ops.greater(square, 0))
        v = ops.select(needed, ops.div(v, ops.sqrt(ops.select(needed, square, 1))), 0)
        column, row = ops.expand_dims(v, (len(lead) + 1,)), ops.expand_dims(v, (len(lead),))
        r = ops.sub(r, ops.mul(matmul(column, matmul(row, r)), 2))
        return ops.sub(q, ops.mul(matmul(matmul(q, column), row), 2)), r

    start = ops.broadcast_to(eye(m, dtype=aval_of(a).dtype), (*lead, m, m))
    q, r = fori_loop(0, min(m, n) if m > n else max(m - 1, 0), step, (start, a))
    return q, _triangle(r, False)


@custom_jvp
def _reduced_qr(a: Any) -> tuple[Any, Any]:
    q, r = _householder(a)
    m, n = aval_of(a).shape[-2:]
    k, last = min(m, n), aval_of(a).ndim
    return ops.slice_in_dim(q, 0, k, last - 1), ops.slice_in_dim(r, 0, k, last - 2)


@_reduced_qr.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    q, r = _reduced_qr(a)
    m, n = aval_of(a).shape[-2:]
    last = aval_of(a).ndim
    if m < n:  # the left block gives Q, the rest follows
        dq = _dq(q, ops.slice_in_dim(r, 0, m, last - 1), ops.slice_in_dim(da, 0, m, last - 1))[0]
        dr = ops.add(matmul(matrix_transpose(dq), a), matmul(matrix_transpose(q), da))
        return (q, r), (dq, dr)
    dq, dr = _dq(q, r, da)
    return (q, r), (dq, dr)


def _dq(q: Any, r: Any, da: Any) -> tuple[Any, Any]:
    over = matmul(da, matrix_transpose(_lower_solve(matrix_transpose(r), _identity(r))))  # da @ inv(r)
    inner = matmul(matrix_transpose(q), over)
    below = _triangle(inner, True, strict=True)
    turn = ops.sub(below, matrix_transpose(below))
    return ops.add(matmul(q, ops.sub(turn, inner)), over), matmul(ops.sub(inner, turn), r)


def qr(a: Any, complete: bool) -> tuple[Any, Any]:
    """(Q, R)."""
    return _householder(a) if complete else _reduced_qr(a)


def completed(u: Any) -> Any:
    """Orthonormal columns, continued to a square matrix."""
    *lead, m, n = aval_of(u).shape
    if m <= n:
        return u
    if n == 0:
        return ops.broadcast_to(eye(m, dtype=aval_of(u).dtype), (*lead, m, m))
    q, _ = _householder(ops.stop_gradient(u))
    return ops.concatenate([u, ops.slice_in_dim(q, n, m, len(lead) + 1)], len(lead) + 1)


# Jacobi's method, in rounds of rotations of disjoint pairs (Brent and Luk, 1985)


def _partners(n: int, round_: Any) -> Any:
    """The partner of each of n players (an even number) in a round of a tournament."""
    i = ops.iota((n,), 0)
    r = ops.broadcast_to(round_, (n,))
    other = ops.rem(ops.add(ops.sub(ops.mul(r, 2), i), 2 * (n - 1)), n - 1)
    fixed = ops.broadcast_to(round_, (n,))
    found = ops.select(ops.equal(other, i), n - 1, other)
    return ops.select(ops.equal(i, n - 1), fixed, found)


def _rotation(p: Any, q: Any, cross: Any) -> tuple[Any, Any]:
    """Cosine and sine that make `cross` between the diagonal elements p and q zero."""
    zero = ops.equal(cross, 0)
    theta = ops.div(ops.sub(q, p), ops.mul(ops.select(zero, 1, cross), 2))
    t = ops.div(ops.select(ops.less(theta, 0), -1, 1), ops.add(ops.abs(theta), ops.sqrt(ops.add(ops.mul(theta, theta), 1))))
    t = ops.select(zero, 0, t)
    c = ops.rsqrt(ops.add(ops.mul(t, t), 1))
    return c, ops.mul(c, t)


def _mixed(x: Any, partner: Any, c: Any, s: Any, axis: int) -> Any:
    """Each line and its partner rotated; `s` has the sign of the line."""
    place = aval_of(x).ndim + axis
    other = ops.move_axis(ops.gather(x, [partner], (place,)), 0, place)
    spread = _across if axis == -1 else _down
    return ops.add(ops.mul(x, spread(c, x)), ops.mul(other, spread(s, x)))


def _sweeps(dtype: Any) -> int:
    return 10 if np.dtype(dtype).itemsize <= 4 else 14


def _even(a: Any) -> Any:
    """With a zero line more where the number of columns is odd."""
    n = aval_of(a).shape[-1]
    return ops.pad(a, ops.full((), 0, aval_of(a).dtype), [(0, 0, 0)] * (aval_of(a).ndim - 1) + [(0, n % 2, 0)])


@custom_jvp
def eigh(a: Any) -> tuple[Any, Any]:
    """Eigenvalues, smallest first, and eigenvectors of a symmetric matrix."""
    *lead, n, _ = aval_of(a).shape
    if n == 0:
        return ops.full((*lead, 0), 0, aval_of(a).dtype), a
    if n == 1:
        return ops.reshape(a, (*lead, 1)), ops.full(aval_of(a).shape, 1, aval_of(a).dtype)
    wide = matrix_transpose(_even(matrix_transpose(_even(a))))
    m = n + n % 2
    first = ops.iota((m,), 0)

    def turn(k: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        a, v = carry
        partner = _partners(m, ops.rem(k, m - 1))
        d = _diagonal(a)
        shape = aval_of(a).shape
        index = ops.broadcast(ops.expand_dims(partner, (1,)), (*lead, m, 1), (len(lead), len(lead) + 1))
        cross = ops.reshape(take_along_axis(a, index, -1), (*lead, m))
        other = ops.move_axis(ops.gather(d, [partner], (len(lead),)), 0, len(lead))
        low = ops.broadcast(ops.less(first, partner), (*lead, m), (len(lead),))
        c, s = _rotation(ops.select(low, d, other), ops.select(low, other, d), cross)
        s = ops.select(low, ops.neg(s), s)
        a = _mixed(_mixed(a, partner, c, s, -1), partner, c, s, -2)
        hit = ops.equal(_places(shape, -1), ops.broadcast(partner, shape, (len(lead),)))
        return ops.select(hit, 0, a), _mixed(v, partner, c, s, -1)

    start = wide, ops.broadcast_to(eye(m, dtype=aval_of(a).dtype), (*lead, m, m))
    a, v = fori_loop(0, _sweeps(aval_of(a).dtype) * (m - 1), turn, start)
    last = len(lead)
    values = ops.slice_in_dim(_diagonal(a), 0, n, last)
    vectors = ops.slice_in_dim(ops.slice_in_dim(v, 0, n, last), 0, n, last + 1)
    order = argsort(values, -1)
    return take_along_axis(values, order, -1), take_along_axis(vectors, ops.broadcast(order, aval_of(vectors).shape, (*range(last), last + 1)), -1)


@eigh.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    w, v = eigh(a)
    inner = matmul(matrix_transpose(v), matmul(ops.mul(ops.add(da, matrix_transpose(da)), 0.5), v))
    gap = ops.sub(_across(w, inner), _down(w, inner))
    same = ops.equal(gap, 0)
    return (w, v), (_diagonal(inner), matmul(v, ops.mul(ops.select(same, 0, ops.div(1.0, ops.select(same, 1, gap))), inner)))


def _one_sided(a: Any) -> tuple[Any, Any, Any]:
    """Columns rotated until they are orthogonal (Hestenes, 1958): U, S and V of a matrix with at least as many rows as columns."""
    *lead, _, n = aval_of(a).shape
    wide = _even(a)
    k = n + n % 2
    first = ops.iota((k,), 0)

    def turn(r: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        u, v = carry
        partner = _partners(k, ops.rem(r, k - 1))
        place = aval_of(u).ndim - 1
        other = ops.move_axis(ops.gather(u, [partner], (place,)), 0, place)
        own = ops.reduce_sum(ops.mul(u, u), (place - 1,))
        theirs, cross = ops.reduce_sum(ops.mul(other, other), (place - 1,)), ops.reduce_sum(ops.mul(u, other), (place - 1,))
        low = ops.broadcast(ops.less(first, partner), aval_of(own).shape, (place - 1,))
        c, s = _rotation(ops.select(low, own, theirs), ops.select(low, theirs, own), cross)
        s = ops.select(low, ops.neg(s), s)
        return _mixed(u, partner, c, s, -1), _mixed(v, partner, c, s, -1)

    start = wide, ops.broadcast_to(eye(k, dtype=aval_of(a).dtype), (*lead, k, k))
    u, v = fori_loop(0, _sweeps(aval_of(a).dtype) * (k - 1), turn, start)
    last = len(lead)
    u, v = ops.slice_in_dim(u, 0, n, last + 1), ops.slice_in_dim(ops.slice_in_dim(v, 0, n, last), 0, n, last + 1)
    s = ops.sqrt(ops.reduce_sum(ops.mul(u, u), (last,)))
    order = argsort(s, -1, descending=True)
    s = take_along_axis(s, order, -1)
    u, v = (take_along_axis(x, ops.broadcast(order, aval_of(x).shape, (*range(last), last + 1)), -1) for x in (u, v))
    tiny = ops.less_equal(s, ops.mul(ops.broadcast(_first(s), aval_of(s).shape, range(last)), float(np.finfo(aval_of(s).dtype).eps) * n))
    safe = ops.select(tiny, 1, s)
    u = ops.div(u, _across(safe, u))
    # columns of singular values that vanish are any that are orthogonal to the others
    whole, _ = _householder(ops.select(_across(tiny, u), 0, u))
    spare = ops.slice_in_dim(whole, 0, n, last + 1)
    return ops.select(_across(tiny, u), spare, u), s, v


def _first(s: Any) -> Any:
    last = aval_of(s).ndim - 1
    return ops.reshape(ops.slice_in_dim(s, 0, 1, last), aval_of(s).shape[:-1])


@custom_jvp
def svd(a: Any) -> tuple[Any, Any, Any]:
    """(U, S, V transposed), with as many columns as the smaller size."""
    m, n = aval_of(a).shape[-2:]
    if min(m, n) == 0:
        lead, dtype = aval_of(a).shape[:-2], aval_of(a).dtype
        return ops.full((*lead, m, 0), 0, dtype), ops.full((*lead, 0), 0, dtype), ops.full((*lead, 0, n), 0, dtype)
    if m < n:
        u, s, v = _one_sided(matrix_transpose(a))
        return v, s, matrix_transpose(u)
    if n == 1:
        s = ops.sqrt(ops.reduce_sum(ops.mul(a, a), (aval_of(a).ndim - 2,)))
        safe = ops.select(ops.equal(s, 0), 1, s)
        return ops.div(a, _across(safe, a)), s, ops.full((*aval_of(a).shape[:-2], 1, 1), 1, aval_of(a).dtype)
    u, s, v = _one_sided(a)
    return u, s, matrix_transpose(v)


@svd.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a,), (da,) = primals, tangents
    u, s, vt = svd(a)
    ut, v = matrix_transpose(u), matrix_transpose(vt)
    inner = matmul(matmul(ut, da), v)
    row, column = _across(s, inner), _down(s, inner)
    gap = ops.mul(ops.add(row, column), ops.sub(row, column))
    same = ops.equal(gap, 0)
    f = ops.select(same, 0, ops.div(1.0, ops.select(same, 1, gap)))
    scaled, turned = ops.mul(row, inner), ops.mul(column, inner)
    du = matmul(u, ops.mul(f, ops.add(scaled, matrix_transpose(scaled))))
    dv = matmul(v, ops.mul(f, ops.add(turned, matrix_transpose(turned))))
    m, n = aval_of(a).shape[-2:]
    safe = ops.select(ops.equal(s, 0), 1, s)
    if m > n:
        rest = matmul(da, v)
        du = ops.add(du, ops.div(ops.sub(rest, matmul(u, matmul(ut, rest))), _across(safe, rest)))
    if n > m:
        rest = matmul(matrix_transpose(da), u)
        dv = ops.add(dv, ops.div(ops.sub(rest, matmul(v, matmul(vt, rest))), _across(safe, rest)))
    return (u, s, vt), (du, _diagonal(inner), matrix_transpose(dv))
