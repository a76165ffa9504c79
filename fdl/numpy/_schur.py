"""The form of Schur of square matrices by shifted rotations, and eigenvalues and eigenvectors of any matrix from it.

All in complex numbers: a matrix becomes one of Hessenberg, whose subdiagonal is driven to zero from the bottom, one
eigenvalue after the other.

Source: Golub and Van Loan, "Matrix Computations", 4th edition, chapter 7; the shift is Wilkinson's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.trace import aval_of
from fdl.numpy import _factor
from fdl.numpy._reflectors import hessenberg, stacked
from fdl.ops import linear
from fdl.ops.dynamic import dynamic_slice, dynamic_update_slice
from fdl.ops.linear import adjoint, matmul
from fdl.transforms import scan, while_loop
from fdl.transforms.custom import custom_jvp

State = tuple[Any, ...]

_TURNS = 300  # sweeps for an eigenvalue, after which a matrix is given up: its results are NaN


def _size(z: Any) -> Array:
    return ops.abs(ops.real(z)) + ops.abs(ops.imag(z))


def _complex(x: Any) -> Array:
    return ops.join(x, ops.mul(x, 0))


def _at(a: Array, i: Any, j: Any) -> Array:
    return ops.reshape(dynamic_slice(a, [i, j], (1, 1)), ())


def _shift(h: Array, hi: Any, turn: Any) -> Array:
    """The eigenvalue of the last two rows and columns before `hi` that is nearer to the last element; each tenth turn
    something else, so that no circle goes on.
    """
    a, b, c, d = _at(h, hi - 1, hi - 1), _at(h, hi - 1, hi), _at(h, hi, hi - 1), _at(h, hi, hi)
    half = (a - d) * 0.5
    root = ops.sqrt(half * half + b * c)
    near = ops.select(ops.less(_size(half + root), _size(half - root)), half - root, half + root)
    plain = d - ops.select(ops.equal(_size(near), 0), 0, b * c / ops.select(ops.equal(_size(near), 0), 1, near))
    odd = ops.equal(ops.rem(turn, 10), 9)
    return ops.select(odd, d + _complex(_size(c) * 0.75), plain)


def _rotation(x: Array, y: Array) -> Array:
    """The unitary matrix of two rows that maps (x, y) to (r, 0)."""
    size = ops.hypot(ops.absolute(x), ops.absolute(y))
    safe = _complex(ops.select(ops.equal(size, 0), 1, size))
    c = ops.select(ops.equal(size, 0), 1, x / safe)
    s = ops.select(ops.equal(size, 0), 0, y / safe)
    rows: list[list[Any]] = [[ops.conj(c), ops.conj(s)], [ops.neg(s), c]]
    return ops.concatenate([ops.concatenate([ops.reshape(v, (1, 1)) for v in row], 1) for row in rows], 0)


def _sweep(h: Array, z: Array, lo: Any, hi: Any, shift: Array) -> tuple[Array, Array]:
    """One turn of the rows and columns from `lo` to `hi`: a bulge is made at the top, and chased to the bottom."""
    n = aval_of(h).shape[0]

    def chase(state: State) -> State:
        k, h, z = state
        first = ops.equal(k, lo)
        before = ops.maximum(k - 1, 0)
        x = ops.select(first, _at(h, k, k) - shift, _at(h, k, before))
        y = ops.select(first, _at(h, k + 1, k), _at(h, k + 1, before))
        turn = _rotation(x, y)
        back = adjoint(turn)
        h = dynamic_update_slice(h, matmul(turn, dynamic_slice(h, [k, 0], (2, n))), [k, 0])
        h = dynamic_update_slice(h, matmul(dynamic_slice(h, [0, k], (n, 2)), back), [0, k])
        z = dynamic_update_slice(z, matmul(dynamic_slice(z, [0, k], (n, 2)), back), [0, k])
        return k + 1, h, z

    _, h, z = while_loop(lambda state: ops.less(state[0], hi), chase, (lo, h, z))
    return h, z


def _without_small(h: Array) -> Array:
    """The matrix with zeros for elements below the diagonal that rounding would lose."""
    shape = aval_of(h).shape
    n = shape[0]
    diagonal = _size(linear.diagonal(h))
    beside = ops.slice_in_dim(diagonal, 0, n - 1, 0) + ops.slice_in_dim(diagonal, 1, n, 0)
    whole = ops.reduce_max(_size(h), (0, 1))
    beside = ops.select(ops.equal(beside, 0), ops.broadcast_to(whole, (n - 1,)), beside)
    eps = float(np.finfo(aval_of(beside).dtype).eps)
    bound = ops.concatenate([ops.full((1,), 0, aval_of(beside).dtype), beside * eps], 0)
    below = ops.equal(ops.iota(shape, 0), ops.iota(shape, 1) + 1)
    small = ops.less_equal(_size(h), linear.down(bound, h))
    return ops.select(ops.bitwise_and(below, small), 0, h)


@stacked
def _schur_of(a: Array) -> tuple[Array, Array]:
    n = aval_of(a).shape[0]
    if n < 2:
        return a, linear.identity(a)
    h, z = hessenberg(a)
    shape, place = (n, n), ops.iota((n,), 0)
    below = ops.equal(ops.iota(shape, 0), ops.iota(shape, 1) + 1)
    finite = ops.is_finite(ops.reduce_sum(_size(a), (0, 1)))

    def goes_on(state: State) -> Array:
        hi, turn, _, _ = state
        return ops.bitwise_and(ops.bitwise_and(ops.greater(hi, 0), ops.less(turn, _TURNS)), finite)

    def step(state: State) -> State:
        hi, turn, h, z = state
        h = _without_small(h)
        parted = ops.equal(_size(ops.reduce_sum(ops.select(below, h, 0), (1,))), 0)  # from the row above
        tops = ops.select(ops.bitwise_and(parted, ops.less_equal(place, hi)), place, 0)
        lo = ops.reduce_max(tops, (0,))
        found = ops.equal(lo, hi)
        h, z = _sweep(h, z, lo, hi, _shift(h, hi, turn))
        return ops.select(found, hi - 1, hi), ops.select(found, 0, turn + 1), h, z

    zero = ops.full((), 0, dtypes.int32)
    hi, _, h, z = while_loop(goes_on, step, (zero + (n - 1), zero, h, z))
    spoiled = _complex(ops.select(ops.greater(hi, 0), float("nan"), ops.mul(ops.real(h[0, 0]), 0)))
    return linear.triangle(h, False) + spoiled, z + spoiled


def schur(a: Array) -> tuple[Array, Array]:
    """(T, Z) with `a = Z T Z*`, where T is upper triangular and Z unitary, of complex matrices. NaN where no turns
    suffice, or where an element is not finite.
    """
    found: tuple[Array, Array] = _schur_of(ops.stop_gradient(a))
    return found


@stacked
def _vectors_of(t: Array) -> Array:
    """Eigenvectors of an upper triangle, in the columns of one with ones on its diagonal."""
    n = aval_of(t).shape[0]
    if n == 0:
        return t
    values = linear.diagonal(t)
    eps = float(np.finfo(aval_of(ops.real(values)).dtype).eps)
    least = ops.reduce_max(_size(t), (0, 1)) * eps
    least = ops.select(ops.equal(least, 0), 1, least)

    def step(x: Array, i: Any) -> tuple[Array, None]:
        row = ops.reshape(matmul(dynamic_slice(t, [i, 0], (1, n)), x), (n,))
        own = _at(t, i, i)
        apart = own - values
        apart = ops.select(ops.less(_size(apart), least), _complex(least), apart)
        place = ops.iota((n,), 0)
        new = ops.select(ops.greater(place, i), ops.neg(row) / apart, ops.select(ops.equal(place, i), 1, 0))
        return dynamic_update_slice(x, ops.reshape(new, (1, n)), [i, 0]), None

    found: Array = scan(step, ops.mul(t, 0), ops.iota((n,), 0), reverse=True)[0]
    return found


@custom_jvp
def eig(a: Array) -> tuple[Array, Array]:
    """(eigenvalues, eigenvectors of length 1 in columns, whose largest element is real) of complex matrices."""
    t, z = schur(a)
    vectors = matmul(z, _vectors_of(t))
    rows = aval_of(vectors).ndim - 2
    biggest = ops.reduce_max(_size(vectors), (rows,)) if aval_of(vectors).size else ops.real(linear.diagonal(t))
    vectors = vectors / _complex(linear.across(ops.select(ops.equal(biggest, 0), 1, biggest), vectors))
    sizes = ops.absolute(vectors)
    vectors = vectors / _complex(linear.across(ops.sqrt(ops.reduce_sum(sizes * sizes, (rows,))), vectors))
    place = ops.iota(aval_of(vectors).shape, rows)
    if not aval_of(vectors).size:
        return linear.diagonal(t), vectors
    first = linear.across(ops.argmax(ops.absolute(vectors), rows), place)
    pivot = ops.reduce_sum(ops.select(ops.equal(place, first), vectors, 0), (rows,))
    return linear.diagonal(t), vectors * linear.across(ops.conj(ops.direction(pivot)), vectors)


@eig.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Eigenvectors move within the space of the others, and keep their length and their largest element's phase."""
    values, vectors = eig(*primals)
    inner = _factor.solve(vectors, matmul(tangents[0], vectors))
    apart = linear.across(values, inner) - linear.down(values, inner)
    none = ops.equal(_size(apart), 0)
    moved = matmul(vectors, ops.select(none, 0, inner / ops.select(none, 1, apart)))
    rows = aval_of(vectors).ndim - 2
    along = ops.reduce_sum(ops.real(ops.conj(vectors) * moved), (rows,))
    place = ops.iota(aval_of(vectors).shape, rows)
    first = linear.across(ops.argmax(ops.absolute(vectors), rows), place)
    chosen = ops.equal(place, first)
    turn = ops.reduce_sum(ops.select(chosen, ops.imag(moved), 0), (rows,))
    pivot = ops.reduce_sum(ops.select(chosen, ops.real(vectors), 0), (rows,))
    gauge = ops.join(along, turn / pivot)
    return (values, vectors), (linear.diagonal(inner), moved - vectors * linear.across(gauge, vectors))


def eigvals(a: Array) -> Array:
    """Eigenvalues of complex matrices, without vectors where no derivative is taken."""
    return eig(a)[0]
