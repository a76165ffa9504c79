"""Factorisations of matrices with `jax.lax.linalg`'s signatures."""

from __future__ import annotations

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.trace import aval_of
from fdl.numpy import conj, matmul, matrix_transpose, tril, triu
from fdl.numpy import linalg as numpy_linalg
from fdl.ops.linear import adjoint
from fdl.ops.linear import lu as lu_
from fdl.ops.linear import triangular_solve as solve_
from fdl.transforms.control.scan import scan


def _symmetric(x: Array, symmetrize: bool) -> Array:
    return ops.mul(ops.add(x, adjoint(x)), 0.5) if symmetrize else x


def cholesky(x: Array, *, symmetrize_input: bool = True) -> Array:
    """The lower triangle L with `L @ L.T == x`, of the mean of `x` and its transpose, or with `symmetrize_input=False`
    of its lower triangle. NaN where there is none.

    >>> import fdl.numpy as jnp
    >>> cholesky(jnp.array([[4.0]])).tolist()
    [[2.0]]
    """
    lower = tril(x)
    mirrored = ops.add(lower, adjoint(tril(x, -1)))
    return numpy_linalg.cholesky(_symmetric(x, True) if symmetrize_input else mirrored)


def eigh(x: Array, *, lower: bool = True, symmetrize_input: bool = True) -> tuple[Array, Array]:
    """(eigenvectors in columns, eigenvalues from the smallest) of the mean of x and its transpose, or with
    `symmetrize_input=False` of its lower or upper triangle.

    >>> import fdl.numpy as jnp
    >>> eigh(jnp.array([[2.0, 0.0], [0.0, 1.0]]))[1].tolist()
    [1.0, 2.0]
    """
    if symmetrize_input:
        whole = _symmetric(x, True)
    else:
        half, strict = (tril(x), tril(x, -1)) if lower else (triu(x), triu(x, 1))
        whole = ops.add(half, adjoint(strict))
    values, vectors = numpy_linalg.eigh(whole)
    return vectors, values


def lu(x: Array) -> tuple[Array, Array, Array]:
    """(L below the diagonal and U, the row that each row changed places with, the order of rows) of square matrices, by
    elimination with the largest element of each column.

    >>> import fdl.numpy as jnp
    >>> [v.tolist() for v in lu(jnp.array([[0.0, 2.0], [1.0, 3.0]]))]
    [[[1.0, 3.0], [0.0, 2.0]], [1, 1], [1, 0]]
    """
    factors, order, _ = lu_(x)
    return factors, _exchanges(order, min(aval_of(x).shape[-2:])), order


def _exchanges(order: Array, count: int) -> Array:
    """The row that each of the first rows changed places with, for an order of rows to come about."""
    *lead, n = aval_of(order).shape
    axis = len(lead)

    def step(rows: Array, i: Array) -> tuple[Array, Array]:
        wanted = ops.gather(order, [i], (axis,))
        other = ops.argmax(ops.convert(ops.equal(rows, ops.expand_dims(wanted, (axis,))), dtypes.int32), axis)
        return _exchanged(rows, i, other), other

    _, others = scan(step, ops.iota((*lead, n), axis), ops.iota((count,), 0))
    return ops.move_axis(others, 0, axis)


def _exchanged(rows: Array, i: Array, other: Array) -> Array:
    """Rows i and `other` exchanged, one pair for each vector along the last axis."""
    axis = aval_of(rows).ndim - 1
    places = ops.iota(aval_of(rows).shape, axis)
    there = ops.expand_dims(other, (axis,))
    here = ops.broadcast(i, aval_of(there).shape, ())
    at_here, at_there = (ops.gather_along(rows, at, axis) for at in (here, there))
    moved = ops.select(ops.equal(places, there), at_here, rows)
    return ops.select(ops.equal(places, here), at_there, moved)


def lu_pivots_to_permutation(pivots: Array, permutation_size: int) -> Array:
    """The order of rows that follows from the exchanges of `lu`.

    >>> import fdl.numpy as jnp
    >>> lu_pivots_to_permutation(jnp.array([1, 1]), 2).tolist()
    [1, 0]
    """
    *lead, k = aval_of(pivots).shape
    start = ops.iota((*lead, permutation_size), len(lead))

    def step(rows: Array, row: tuple[Array, Array]) -> tuple[Array, None]:
        return _exchanged(rows, *row), None

    order: Array = scan(step, start, (ops.iota((k,), 0), ops.move_axis(pivots, len(lead), 0)))[0]
    return order


def qr(x: Array, *, full_matrices: bool = True) -> tuple[Array, Array]:
    """(Q with orthonormal columns, upper triangle R) with `Q @ R == x`.

    >>> import fdl.numpy as jnp
    >>> qr(jnp.ones((3, 2)), full_matrices=False)[0].shape
    (3, 2)
    """
    q, r = numpy_linalg.qr(x, "complete" if full_matrices else "reduced")
    return q, r


def svd(x: Array, *, full_matrices: bool = True, compute_uv: bool = True) -> Array | tuple[Array, Array, Array]:
    """(U, singular values from the largest, V transposed) with `U * s @ Vt == x`, or the values alone.

    >>> import fdl.numpy as jnp
    >>> svd(jnp.array([[3.0]]), compute_uv=False).tolist()
    [3.0]
    """
    if not compute_uv:
        return numpy_linalg.svdvals(x)
    u, s, vt = numpy_linalg.svd(x, full_matrices)
    return u, s, vt


def triangular_solve(
    a: Array,
    b: Array,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Array:
    """The solution of `x @ a == b`, or with `left_side` of `a @ x == b`, for a triangle `a`, which may be transposed,
    or conjugated, and whose diagonal may count as ones.

    >>> import fdl.numpy as jnp
    >>> triangular_solve(jnp.array([[2.0]]), jnp.array([[6.0]])).tolist()
    [[3.0]]
    """
    a = conj(a) if conjugate_a else a
    if left_side:
        return solve_(a, b, lower, transpose_a, unit_diagonal)
    return matrix_transpose(solve_(a, matrix_transpose(b), lower, not transpose_a, unit_diagonal))


def symmetric_product(
    a_matrix: Array, c_matrix: Array, *, alpha: float = 1.0, beta: float = 0.0, symmetrize_output: bool = False
) -> Array:
    """`alpha * a @ a.T + beta * c`; the whole of it, `symmetrize_output` or not.

    >>> import fdl.numpy as jnp
    >>> symmetric_product(jnp.ones((1, 3)), jnp.ones((1, 1)), beta=2.0).tolist()
    [[5.0]]
    """
    return ops.add(ops.mul(matmul(a_matrix, matrix_transpose(a_matrix)), alpha), ops.mul(c_matrix, beta))


def tridiagonal_solve(dl: Array, d: Array, du: Array, b: Array) -> Array:
    """The solution (..., n, k) of a system with the diagonal `d`, `dl` below and `du` above it, all (..., n), of which
    the first of `dl` and the last of `du` do not matter; by elimination without exchanges (Thomas).

    >>> import fdl.numpy as jnp
    >>> one = jnp.ones(2)
    >>> tridiagonal_solve(0 * one, 2 * one, one, jnp.array([[4.0], [4.0]])).tolist()
    [[1.0], [2.0]]
    """
    n = aval_of(d).shape[-1]
    if aval_of(b).shape[:-1] != aval_of(d).shape:
        raise ShapeError(
            f"tridiagonal_solve: {aval_of(d).describe()} and {aval_of(b).describe()}", hint="b (..., n, k)"
        )
    lead = aval_of(d).ndim - 1
    below, middle, above = (ops.expand_dims(ops.move_axis(v, lead, 0), (lead + 1,)) for v in (dl, d, du))
    rows = ops.move_axis(b, lead, 0)

    def down(carry: tuple[Array, Array], row: tuple[Array, ...]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        c, y = carry
        low, mid, high, right = row
        pivot = ops.sub(mid, ops.mul(low, c))
        new = ops.div(high, pivot), ops.div(ops.sub(right, ops.mul(low, y)), pivot)
        return new, new

    def up(x: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
        new = ops.sub(row[1], ops.mul(row[0], x))
        return new, new

    zero = ops.full(aval_of(rows).shape[1:], 0, aval_of(rows).dtype)
    first = ops.full(aval_of(below).shape[1:], 0, aval_of(rows).dtype)
    below = ops.select(ops.equal(ops.iota(aval_of(below).shape, 0, dtypes.int32), 0), 0, below)
    above = ops.select(ops.equal(ops.iota(aval_of(above).shape, 0, dtypes.int32), n - 1), 0, above)
    _, (c, y) = scan(down, (first, zero), (below, middle, above, rows))
    _, x = scan(up, zero, (c, y), reverse=True)
    return ops.move_axis(x, 0, lead)


__all__ = [
    "cholesky", "eigh", "lu", "lu_pivots_to_permutation", "qr", "svd", "symmetric_product", "triangular_solve",
    "tridiagonal_solve",
]  # fmt: skip
