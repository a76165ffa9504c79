"""Elimination with pivots as PyTorch tells it: factors in one matrix, and the row that each row changed places with,
counted from 1.
"""

from __future__ import annotations

from typing import Any

import fdl.numpy as jnp
from fdl import lax, ops
from fdl.extend import Function, aval_of, dtypes
from fdl.numpy import linalg as own


def first_of(bad: Any) -> Any:
    """The number of the first element along the last axis that holds, counted from 1; 0 where none does."""
    last = aval_of(bad).ndim - 1
    if not aval_of(bad).shape[last]:
        return ops.full(aval_of(bad).shape[:last], 0, dtypes.int32)
    return ops.select(ops.reduce_max(bad, (last,)), ops.add(ops.argmax(bad, last), 1), 0)


def diagonal(a: Any) -> Any:
    """The diagonals of matrices."""
    return jnp.diagonal(a, 0, -2, -1)


def zero_pivot(a: Any) -> Any:
    """Where elimination meets a zero, as LAPACK tells it."""
    return first_of(ops.equal(diagonal(ops.lu(ops.stop_gradient(a))[0]), 0))


def _swap(rows: Any, k: Any, place: Any) -> Any:
    """Vectors along the last axis with the elements at `k`, the same for all, and at `place`, one for
    each, exchanged.
    """
    index = jnp.arange(aval_of(rows).shape[-1])
    at_place, at_k = index == place[..., None], index == k
    here, there = (jnp.sum(jnp.where(hit, rows, 0), -1)[..., None] for hit in (at_k, at_place))
    return jnp.where(at_k, there, jnp.where(at_place, here, rows)).astype(dtypes.int32)


def _rows(like: Any) -> Any:
    return jnp.broadcast_to(jnp.arange(aval_of(like).shape[-1], dtype=dtypes.int32), aval_of(like).shape)


def _pivots_of(order: Any) -> Any:
    """The exchanges that bring rows into an order."""

    def step(rows: Any, k: Any) -> tuple[Any, Any]:
        wanted = jnp.take(order, k, -1, mode="clip")
        place = jnp.argmax(rows == wanted[..., None], -1)
        return _swap(rows, k, place), ops.convert(place + 1, dtypes.int32)

    if not aval_of(order).shape[-1]:
        return order
    return jnp.moveaxis(lax.scan(step, _rows(order), jnp.arange(aval_of(order).shape[-1]))[1], 0, -1)


def _order_of(pivots: Any) -> Any:
    """The order that exchanges bring rows into."""

    def step(rows: Any, k: Any) -> tuple[Any, None]:
        return _swap(rows, k, jnp.take(pivots, k, -1, mode="clip") - 1), None

    return lax.scan(step, _rows(pivots), jnp.arange(aval_of(pivots).shape[-1]))[0]


def _eliminated(a: Any) -> tuple[Any, Any]:
    """Both triangles in one matrix, and the order of the rows, of matrices that need not be square.

    The order is that of a square part: of the first columns, or of all columns and zeros. Rows in that order need no
    exchange any more, so that what is left of the square part follows from its triangles.
    """
    m, n = aval_of(a).shape[-2:]
    if m == n:
        return ops.lu(a)[:2]
    k = m if m < n else n
    held = ops.stop_gradient(a)
    square = held[..., :k] if m < n else jnp.concatenate([held, jnp.zeros_like(held[..., :1].repeat(m - n, -1))], -1)
    order = ops.lu(square)[1]
    rows = jnp.take_along_axis(a, order[..., None].repeat(n, -1), -2)
    both = ops.lu(rows[..., :k, :k])[0]
    if m < n:
        return jnp.concatenate([both, ops.triangular_solve(both, rows[..., k:], True, unit=True)], -1), order
    below = own.solve_triangular(both, jnp.matrix_transpose(rows[..., k:, :]), False, trans=1)
    return jnp.concatenate([both, jnp.matrix_transpose(below)], -2), order


def _factored_body(a: Any) -> tuple[Any, Any, Any]:
    both, order = _eliminated(a)
    m, n = aval_of(a).shape[-2:]
    return both, _pivots_of(order)[..., : m if m < n else n], first_of(ops.equal(diagonal(ops.stop_gradient(both)), 0))


def _solved_body(both: Any, pivots: Any, b: Any) -> Any:
    rows = ops.broadcast(_order_of(pivots), aval_of(b).shape, range(aval_of(b).ndim - 1))
    x = ops.triangular_solve(both, jnp.take_along_axis(b, rows, -2), True, unit=True)
    return ops.triangular_solve(both, x, False)


def _solved_back_body(both: Any, pivots: Any, b: Any) -> Any:
    x = own.solve_triangular(both, own.solve_triangular(both, b, False, trans=1), True, True, trans=1)
    back = jnp.argsort(_order_of(pivots), -1)
    return jnp.take_along_axis(x, ops.broadcast(back, aval_of(b).shape, range(aval_of(b).ndim - 1)), -2)


def _shuffled(order: Any, dtype: Any) -> Any:
    """The matrix that takes rows in an order back to their places."""
    return ops.convert(jnp.arange(aval_of(order).shape[-1])[:, None] == order[..., None, :], dtype)


def _triangles_body(both: Any) -> tuple[Any, Any]:
    m, n = aval_of(both).shape[-2:]
    k = m if m < n else n
    lower = jnp.tril(both[..., :k], -1) + jnp.eye(m, k, dtype=aval_of(both).dtype)
    return lower, jnp.triu(both[..., :k, :])


def _parts_body(a: Any) -> tuple[Any, Any, Any]:
    both, order = _eliminated(a)
    return _shuffled(order, aval_of(a).dtype), *_triangles_body(both)


def _permutation_body(pivots: Any, rows: int, dtype: Any) -> Any:
    *batch, known = aval_of(pivots).shape
    stay = ops.add(ops.iota((*batch, rows - known), len(batch), dtypes.int32), known + 1)
    return _shuffled(_order_of(jnp.concatenate([pivots, stay], -1)), dtype)


factored, solved, parts = (
    Function(_factored_body, "lu_factor"),
    Function(_solved_body, "lu_solve"),
    Function(_parts_body, "lu"),
)
solved_back = Function(_solved_back_body, "lu_solve")
triangles, permutation = Function(_triangles_body, "lu_unpack"), Function(_permutation_body, "lu_unpack")
