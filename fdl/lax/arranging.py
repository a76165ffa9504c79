"""Arrays put together, taken apart and repeated; the largest elements, which are exact here."""

from __future__ import annotations

from collections.abc import Sequence

import fdl.numpy as jnp
from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.lax.operations import top_k


def broadcast_like(arr: ArrayLike, like_arr: ArrayLike) -> Array:
    """An array repeated to the shape of another.

    >>> broadcast_like(jnp.array([1, 2]), jnp.zeros((2, 2))).tolist()
    [[1, 2], [1, 2]]
    """
    return jnp.broadcast_to(arr, aval_of(jnp.asarray(like_arr)).shape)


def stack(operands: Sequence[ArrayLike], axis: int = 0) -> Array:
    """Arrays of one shape along a new axis.

    >>> stack([jnp.array([1, 2]), jnp.array([3, 4])], 1).tolist()
    [[1, 3], [2, 4]]
    """
    return jnp.stack(list(operands), axis)


def unstack(x: ArrayLike, axis: int = 0) -> tuple[Array, ...]:
    """The slices of an array along an axis, without it.

    >>> [part.tolist() for part in unstack(jnp.array([[1, 2], [3, 4]]), 1)]
    [[1, 3], [2, 4]]
    """
    return tuple(jnp.unstack(x, axis=axis))


def tile(operand: ArrayLike, reps: Sequence[int]) -> Array:
    """An array repeated along each axis; ShapeError where `reps` has not a number for each.

    >>> tile(jnp.array([1, 2]), (2,)).tolist()
    [1, 2, 1, 2]
    """
    x = jnp.asarray(operand)
    if len(reps) != aval_of(x).ndim:
        raise ShapeError(f"tile: {len(reps)} numbers for {aval_of(x).describe()}", hint="one for each axis")
    return jnp.tile(x, tuple(reps))


def approx_max_k(
    operand: Array,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Array, Array]:
    """The k largest elements along an axis and where they stand: all of them, whatever share is asked for.

    >>> [part.tolist() for part in approx_max_k(jnp.array([1.0, 3.0, 2.0]), 2)]
    [[3.0, 2.0], [1, 2]]
    """
    values, places = top_k(operand, k, axis=reduction_dimension)
    return values, places


def approx_min_k(
    operand: Array,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Array, Array]:
    """The k smallest elements along an axis and where they stand: all of them, whatever share is asked for.

    >>> [part.tolist() for part in approx_min_k(jnp.array([1.0, 3.0, 2.0]), 2)]
    [[1.0, 2.0], [0, 2]]
    """
    values, places = top_k(ops.neg(operand), k, axis=reduction_dimension)
    return ops.neg(values), places


__all__ = ["approx_max_k", "approx_min_k", "broadcast_like", "stack", "tile", "unstack"]
