"""Factors of complex matrices by reflections and rotations: QR, eigenvalues and singular values with their vectors, the
form of Schur.

A reflection I - t v v* maps a vector to a real multiple of a unit vector, so that Hermitian matrices become real
tridiagonal ones and others real bidiagonal ones, whose factors `fdl.ops.linear` knows. Loops work on one matrix, and
are mapped over stacks of them.

Source: Golub and Van Loan, "Matrix Computations", 4th edition, chapters 5, 7 and 8; derivatives: Townsend, 2016.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.pytree import Tree
from fdl.core.trace import aval_of
from fdl.numpy._create import eye
from fdl.ops import linear
from fdl.ops.dynamic import dynamic_slice
from fdl.ops.linear import adjoint, matmul
from fdl.transforms import scan, vmap
from fdl.transforms.custom import custom_jvp

Reflections = tuple[Array, Array]  # vectors v in rows, and the numbers t


def stacked(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one matrix, on stacks of them."""

    @functools.wraps(f)
    def on_stacks(a: Array, *args: Any) -> Tree:
        mapped = f
        for _ in range(aval_of(a).ndim - 2):
            mapped = vmap(mapped, in_axes=(0, *[None] * len(args)))
        return mapped(a, *args)

    return on_stacks


def _complex(re: Array) -> Array:
    return ops.join(re, ops.mul(re, 0))


def _reflection(x: Array, k: Any) -> tuple[Array, Array]:
    """(v, t) of the reflection that leaves elements before the k-th of a vector alone and takes those after it away:
    (I - t v v*)* x has a real k-th element. t is 0 where that is so already, or where there is no k-th element.
    """
    place = ops.iota(aval_of(x).shape, 0)
    x = ops.select(ops.less(place, k), 0, x)
    biggest = ops.reduce_max(ops.add(ops.abs(ops.real(x)), ops.abs(ops.imag(x))), (0,))
    scale = ops.select(ops.equal(biggest, 0), 1, biggest)
    x = x / _complex(scale)
    alpha = ops.reduce_sum(ops.select(ops.equal(place, k), x, 0), (0,))
    rest = ops.select(ops.equal(place, k), 0, x)
    beyond = ops.reduce_sum(ops.real(rest) ** 2 + ops.imag(rest) ** 2, (0,))
    size = ops.sqrt(beyond + ops.real(alpha) ** 2 + ops.imag(alpha) ** 2)
    beta = ops.select(ops.less(ops.real(alpha), 0), size, ops.neg(size))
    done = ops.bitwise_and(ops.equal(beyond, 0), ops.equal(ops.imag(alpha), 0))
    t = (_complex(beta) - alpha) / _complex(ops.select(done, 1, beta))
    v = rest / ops.select(done, 1, alpha - _complex(beta))
    v = ops.select(ops.equal(place, k), 1, v)
    return v, ops.select(done, 0, t)


def _from_left(a: Array, v: Array, t: Array) -> Array:
    """(I - t v v*) a."""
    column = ops.expand_dims(v, (1,))
    return a - t * matmul(column, matmul(adjoint(column), a))


def _from_right(a: Array, v: Array, t: Array) -> Array:
    """a (I - t v v*)."""
    column = ops.expand_dims(v, (1,))
    return a - t * matmul(matmul(a, column), adjoint(column))


def _product(reflections: Reflections, start: Array) -> Array:
    """The product of reflections, the first one leftmost, times a matrix."""
    product: Array = scan(lambda q, vt: (_from_left(q, *vt), None), start, reflections, reverse=True)[0]
    return product


def _conj(t: Any) -> Array:
    conjugate = ops.conj(t)
    assert isinstance(conjugate, Array), t
    return conjugate


def _column(a: Array, k: Any) -> Array:
    m = aval_of(a).shape[0]
    return ops.reshape(dynamic_slice(a, [0, k], (m, 1)), (m,))


def _counting(n: int) -> Array:
    return ops.iota((n,), 0)


def _unit(n: int, columns: int, like: Array) -> Array:
    return eye(n, columns, dtype=aval_of(like).dtype)


def _upper(a: Array) -> Array:
    return linear.triangle(a, False)


# QR


@stacked
def _qr(a: Array, complete: bool) -> tuple[Array, Array]:
    m, n = aval_of(a).shape
    few = min(m, n)
    if few == 0:
        columns = m if complete else 0
        return _unit(m, columns, a), ops.slice_in_dim(a, 0, columns, 0)

    def step(a: Array, k: Any) -> tuple[Array, Reflections]:
        v, t = _reflection(_column(a, k), k)
        return _from_left(a, v, _conj(t)), (v, t)

    r, reflections = scan(step, a, _counting(few))
    columns = m if complete else few
    r = ops.slice_in_dim(r, 0, columns, 0)
    row, column = ops.iota((columns, n), 0), ops.iota((columns, n), 1)
    r = ops.select(ops.equal(row, column), _complex(ops.real(r)), ops.select(ops.less(row, column), r, 0))
    return _product(reflections, _unit(m, columns, a)), r


@functools.cache
def _qr_of(complete: bool) -> custom_jvp[[Array], tuple[Array, Array]]:
    @custom_jvp
    def qr(a: Array) -> tuple[Array, Array]:
        factors: tuple[Array, Array] = _qr(a, complete)
        return factors

    def moved(primals: Any, tangents: Any) -> tuple[Any, Any]:
        (a,), (da,) = primals, tangents
        q, r = qr(a)
        (m, n), last = aval_of(a).shape[-2:], aval_of(a).ndim - 1
        if complete and m > n:
            raise ShapeError(
                f"qr: the derivative of complete columns of {aval_of(a).describe()}",
                why="columns beyond those of the matrix are free to turn",
                hint="the reduced mode",
            )
        if m < n:  # the left block gives Q, the rest follows
            dq, _ = _qr_tangents(q, ops.slice_in_dim(r, 0, m, last), ops.slice_in_dim(da, 0, m, last))
            return (q, r), (dq, matmul(adjoint(dq), a) + matmul(adjoint(q), da))
        return (q, r), _qr_tangents(q, r, da)

    qr.defjvp(moved)
    return qr


def _qr_tangents(q: Array, r: Array, da: Array) -> tuple[Array, Array]:
    over = adjoint(linear.triangular_solve(adjoint(r), adjoint(da), True))  # da r^-1
    inner = matmul(adjoint(q), over)
    below = linear.triangle(inner, True, strict=True)
    turn = below - adjoint(below) + linear.identity(inner) * (inner - _complex(ops.real(inner)))
    return matmul(q, turn - inner) + over, matmul(inner - turn, r)


def qr(a: Array, complete: bool) -> tuple[Array, Array]:
    """(Q with orthonormal columns, R upper triangular with a real diagonal)."""
    return _qr_of(complete)(a)


# Hermitian matrices


@stacked
def hessenberg(a: Array) -> tuple[Array, Array]:
    """(H, Q) with `a = Q H Q*`, where H is zero below the first subdiagonal, which is real: tridiagonal where `a` is
    Hermitian.
    """
    n = aval_of(a).shape[0]
    if n == 0:
        return a, a

    def step(a: Array, k: Any) -> tuple[Array, Reflections]:
        v, t = _reflection(_column(a, k), k + 1)
        return _from_right(_from_left(a, v, _conj(t)), v, t), (v, t)

    h, reflections = scan(step, a, _counting(n - 1))
    low = ops.less(ops.iota((n, n), 1) + 1, ops.iota((n, n), 0))
    return ops.select(low, 0, h), _product(reflections, _unit(n, n, a))


@custom_jvp
def eigh(a: Array) -> tuple[Array, Array]:
    """(eigenvalues, smallest first; orthonormal eigenvectors in columns) of Hermitian matrices."""
    h, q = hessenberg(a)
    values, vectors = linear.eigh(linear.symmetric_part(ops.real(h)))
    return values, matmul(q, _complex(vectors))


@eigh.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    values, vectors = eigh(*primals)
    inner = matmul(adjoint(vectors), matmul(tangents[0], vectors))
    apart = linear.across(values, inner) - linear.down(values, inner)
    factors = ops.select(ops.equal(apart, 0), 0, ops.div(1.0, ops.select(ops.equal(apart, 0), 1, apart)))
    return (values, vectors), (ops.real(linear.diagonal(inner)), matmul(vectors, _complex(factors) * inner))


# Singular values


@stacked
def _bidiagonal(a: Array) -> tuple[Array, Array, Array]:
    """(U, B, V) with `a = U B V*`, U square and B real, of matrices with no more columns than rows."""
    m, n = aval_of(a).shape
    if n == 0:
        return _unit(m, m, a), ops.real(ops.slice_in_dim(a, 0, 0, 0)), _unit(0, 0, a)

    def step(a: Array, k: Any) -> tuple[Array, tuple[Reflections, Reflections]]:
        left = _reflection(_column(a, k), k)
        a = _from_left(a, left[0], _conj(left[1]))
        right = _reflection(_column(linear.adjoint(a), k), k + 1)
        return _from_right(a, *right), (left, right)

    b, (lefts, rights) = scan(step, a, _counting(n))
    band = ops.sub(ops.iota((n, n), 1), ops.iota((n, n), 0))
    middle = ops.real(ops.slice_in_dim(b, 0, n, 0))
    kept = ops.bitwise_or(ops.equal(band, 0), ops.equal(band, 1))
    return _product(lefts, _unit(m, m, a)), ops.select(kept, middle, 0), _product(rights, _unit(n, n, a))


def _svd_tall(a: Array) -> tuple[Array, Array, Array]:
    """(U square, S, V*) of matrices with no more columns than rows."""
    m, n = aval_of(a).shape[-2:]
    u, middle, v = _bidiagonal(a)
    s, left, right = linear.svd(middle)
    axis = aval_of(u).ndim - 1
    inner = matmul(ops.slice_in_dim(u, 0, n, axis), _complex(left))
    return ops.concatenate([inner, ops.slice_in_dim(u, n, m, axis)], axis), s, matmul(_complex(right), adjoint(v))


@custom_jvp
def _svd(a: Array) -> tuple[Array, Array, Array]:
    m, n = aval_of(a).shape[-2:]
    if m < n:
        v, s, ut = _svd(adjoint(a))
        return adjoint(ut), s, adjoint(v)
    u, s, vt = _svd_tall(a)
    return ops.slice_in_dim(u, 0, n, aval_of(u).ndim - 1), s, vt


@_svd.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a,), (da,) = primals, tangents
    u, s, vt = _svd(a)
    (m, n), v = aval_of(a).shape[-2:], adjoint(vt)
    inner = matmul(adjoint(u), matmul(da, v))
    column, row = linear.down(s, inner), linear.across(s, inner)
    apart = (row - column) * (row + column)
    factors = _complex(ops.select(ops.equal(apart, 0), 0, ops.div(1.0, ops.select(ops.equal(apart, 0), 1, apart))))
    safe = ops.select(ops.equal(s, 0), 1, s)
    inverse = ops.select(ops.equal(s, 0), 0, ops.div(1.0, safe))
    by_row, by_column = inner * _complex(row), inner * _complex(column)
    turn = linear.identity(inner) * _complex(linear.across(inverse, inner)) * (inner - adjoint(inner)) * 0.5
    du = matmul(u, factors * (by_row + adjoint(by_row)) + turn)
    dv = matmul(v, factors * (by_column + adjoint(by_column)))
    if m > n:
        moved = matmul(da, v)
        du = du + (moved - matmul(u, matmul(adjoint(u), moved))) * _complex(linear.across(inverse, moved))
    if n > m:
        moved = matmul(adjoint(da), u)
        dv = dv + (moved - matmul(v, matmul(vt, moved))) * _complex(linear.across(inverse, moved))
    return (u, s, vt), (du, ops.real(linear.diagonal(inner)), adjoint(dv))


def svd(a: Array, full: bool) -> tuple[Array, Array, Array]:
    """(U, S, V*), singular values from the largest; with `full` U and V are square, and have no derivative."""
    m, n = aval_of(a).shape[-2:]
    if not full or m == n:
        return _svd(a)
    if m < n:
        v, s, ut = svd(adjoint(a), True)
        return adjoint(ut), s, adjoint(v)
    return _svd_tall(ops.stop_gradient(a))
