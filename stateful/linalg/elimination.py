"""Elimination with pivots as PyTorch tells it: factors in one matrix, and the row that each row changed places with,
counted from 1.
"""

from __future__ import annotations

from typing import Any

import fdl.numpy as jnp
from fdl import lax, ops
from fdl.extend import Function, aval_of, dtypes


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


def _factored_body(a: Any) -> tuple[Any, Any, Any]:
    both, order, _ = ops.lu(a)
    return both, _pivots_of(order), first_of(ops.equal(diagonal(ops.stop_gradient(both)), 0))


def _solved_body(both: Any, pivots: Any, b: Any) -> Any:
    rows = ops.broadcast(_order_of(pivots), aval_of(b).shape, range(aval_of(b).ndim - 1))
    x = ops.triangular_solve(both, jnp.take_along_axis(b, rows, -2), True, unit=True)
    return ops.triangular_solve(both, x, False)


def _parts_body(a: Any) -> tuple[Any, Any, Any]:
    both, order, _ = ops.lu(a)
    n, dtype = aval_of(a).shape[-1], aval_of(a).dtype
    shuffled = ops.convert(jnp.arange(n)[:, None] == order[..., None, :], dtype)
    return shuffled, jnp.tril(both, -1) + jnp.eye(n, dtype=dtype), jnp.triu(both)


factored, solved, parts = (
    Function(_factored_body, "lu_factor"),
    Function(_solved_body, "lu_solve"),
    Function(_parts_body, "lu"),
)
