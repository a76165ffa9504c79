"""Tables of rows that are looked up by integers, one by one or in bags."""

from __future__ import annotations

import math
from typing import Any

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.autograd import no_grad
from fdl.stateful.core.checks import Failure, OutsideError, broken, check_range, in_self, require
from fdl.stateful.core.errors import ArgumentError, ExpectationError, TensorError, UnsupportedError, no_tensor
from fdl.stateful.core.tensor import Tensor, apply

__all__ = ["embedding", "embedding_bag"]


def _embedding_body(index: Any, weight: Any, padding: int | None) -> Any:
    rows = ops.gather(weight, [index], (0,))
    if padding is None:
        return rows
    kept = ops.broadcast(ops.equal(index, padding), aval_of(rows).shape, range(aval_of(index).ndim))
    return ops.select(kept, ops.stop_gradient(rows), rows)


def _renormed_body(weight: Any, index: Any, limit: Any, p: float) -> Any:
    """Rows that are looked up made no longer than the limit."""
    powers = ops.abs(weight) if p == 1 else ops.pow(ops.abs(weight), p) if p != 2 else ops.integer_pow(weight, 2)
    total = ops.reduce_sum(powers, (1,))
    length = total if p == 1 else ops.sqrt(total) if p == 2 else ops.pow(total, 1 / p)
    limit = ops.cast(limit, aval_of(weight).dtype)
    scale = ops.select(ops.greater(length, limit), ops.div(limit, ops.add(length, 1e-7)), 1)
    flat = ops.reshape(index, (aval_of(index).size,))
    seen = ops.scatter_add(
        ops.full(aval_of(length).shape, 0, dtypes.int32), ops.full(aval_of(flat).shape, 1, dtypes.int32), [flat], (0,)
    )
    scale = ops.select(ops.greater(seen, 0), scale, 1)
    return ops.mul(weight, ops.broadcast(scale, aval_of(weight).shape, (0,)))


def _by_frequency_body(index: Any, found: Any, count: int) -> Any:
    """Rows as they are; their gradients over how often the row is taken."""
    flat = ops.reshape(index, (aval_of(index).size,))
    times = ops.scatter_add(
        ops.full((count,), 0, dtypes.float32), ops.full((aval_of(index).size,), 1, dtypes.float32), [flat], (0,)
    )
    scale = ops.expand_dims(
        ops.div(1.0, ops.cast(jnp.take(times, index, 0), aval_of(found).dtype)), (aval_of(index).ndim,)
    )
    fixed = ops.stop_gradient(found)
    return ops.add(fixed, ops.mul(ops.sub(found, fixed), scale))


_embedding, _renormed = Function(_embedding_body, "embedding"), Function(_renormed_body, "renorm")
_by_frequency = Function(_by_frequency_body, "embedding")


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of `weight` at integer indices; the row `padding_idx` gets no gradient.  IndexError for an index outside."""
    if not isinstance(input, Tensor):
        raise no_tensor(input, "embedding", "indices", 1)
    if input.dtype.is_floating_point:
        raise TensorError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; "
            f"but got {input.dtype} instead"
        )
    count = weight.shape[0]
    if padding_idx is not None and not -count <= padding_idx < count:
        raise ExpectationError(
            f"Padding_idx must be within num_embeddings: {padding_idx} is not from {-count} to {count - 1}"
        )
    check_range(input, 0, count - 1, in_self(count))
    if max_norm is not None:
        with no_grad():
            weight._overwrite(apply(_renormed, (weight, input, float(max_norm)), (float(norm_type),)))
    found = apply(_embedding, (input, weight), (None if padding_idx is None else padding_idx % count,))
    return apply(_by_frequency, (input, found), (count,)) if scale_grad_by_freq else found


def _bag_body(index: Any, weight: Any, *args: Any) -> Any:
    """Bags that begin at some places of a vector: rows are added to the bag of which the beginning was seen last."""
    *given, has_scale, mode, padding, bags = args
    starts, scale = given[0], given[1] if has_scale else None
    n = aval_of(index).shape[0]
    rows = ops.gather(weight, [index], (0,))
    begun = ops.scatter_add(ops.full((n,), 0, dtypes.int32), ops.full((bags,), 1, dtypes.int32), [starts], (0,))
    bag = ops.sub(ops.cumsum(begun, 0), 1)
    kept = ops.full((n,), True, dtypes.bool_) if padding is None else ops.not_equal(index, padding)
    column = ops.broadcast(kept, aval_of(rows).shape, (0,))
    zeros = ops.full((bags, aval_of(weight).shape[1]), 0, aval_of(weight).dtype)
    count = ops.scatter_add(
        ops.full((bags,), 0, aval_of(weight).dtype), ops.convert(kept, aval_of(weight).dtype), [bag], (0,)
    )
    if mode == "max":
        member = ops.bitwise_and(
            ops.equal(ops.iota((bags, n), 0, aval_of(bag).dtype), ops.broadcast(bag, (bags, n), (1,))),
            ops.broadcast(kept, (bags, n), (1,)),
        )
        spread = ops.broadcast(rows, (bags, *aval_of(rows).shape), (1, 2))
        return _largest(spread, ops.broadcast(member, (bags, *aval_of(rows).shape), (0, 1)), count)
    rows = rows if scale is None else ops.mul(rows, ops.broadcast(scale, aval_of(rows).shape, (0,)))
    total = ops.scatter_add(zeros, ops.select(column, rows, 0), [bag], (0,))
    return _averaged(total, count) if mode == "mean" else total


def _bags_body(index: Any, weight: Any, *args: Any) -> Any:
    """Bags that are rows of a matrix."""
    *scale, mode, padding = args
    rows = ops.gather(weight, [index], (0,))
    kept = ops.full(aval_of(index).shape, True, dtypes.bool_) if padding is None else ops.not_equal(index, padding)
    count = ops.reduce_sum(ops.convert(kept, aval_of(weight).dtype), (1,))
    spread = ops.broadcast(kept, aval_of(rows).shape, (0, 1))
    if mode == "max":
        return _largest(rows, spread, count)
    rows = ops.mul(rows, ops.broadcast(scale[0], aval_of(rows).shape, (0, 1))) if scale else rows
    total = ops.reduce_sum(rows if padding is None else ops.select(spread, rows, 0), (1,))
    return _averaged(total, count) if mode == "mean" else total


def _largest(rows: Any, member: Any, count: Any) -> Any:
    """The largest of (bags, rows, features) among members; zero for bags without any."""
    best = ops.reduce_max(ops.select(member, rows, -math.inf), (1,))
    return ops.select(ops.broadcast(ops.greater(count, 0), aval_of(best).shape, (0,)), best, 0)


def _averaged(total: Any, count: Any) -> Any:
    return ops.div(total, ops.broadcast(ops.maximum(count, 1), aval_of(total).shape, (0,)))


_bag, _bags = Function(_bag_body, "embedding_bag"), Function(_bags_body, "embedding_bag")
_late = Function(lambda at: ops.not_equal(ops.slice(at, (0,), (1,)), 0), "check_offsets")
_early = Function(lambda at, n: ops.greater(at, n), "check_offsets")


def _check_offsets(offsets: Tensor, n: int) -> None:
    """RuntimeError unless the first of n indices begins the first bag, and no bag begins behind the last one."""
    require(
        _late,
        (offsets,),
        broken(
            (
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position "
                "0. However, got {}"
            ),
            "offsets[0] = 0",
        ),
    )
    require(
        _early,
        (offsets, n),
        broken(f"offsets[-1] can not be greater than input's length {n}", f"offsets from 0 to {n}"),
    )


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Sums, means or maxima of rows of `weight` by bags: rows of a 2-d `input`, or runs of a 1-d one that begin at
    `offsets`.
    """
    if scale_grad_by_freq:
        raise UnsupportedError("embedding_bag: scale_grad_by_freq is not supported")
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise UnsupportedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for "
            f"mode='sum' (got mode='{mode}')."
        )
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed "
                "length sequences."
            )
    elif offsets is None:
        raise ArgumentError("offsets has to be a 1D Tensor but got None")
    elif include_last_offset:
        offsets = offsets[:-1]
    if offsets is not None and input.ndim == 1:
        _check_offsets(offsets, input.shape[0])
    count = weight.shape[0]
    rest = f"which is not in the valid range [0, {count})"
    check_range(
        input,
        0,
        count - 1,
        Failure(OutsideError, f"Index of input takes value {{}} {rest}", f"Index of input takes a value {rest}"),
    )
    if max_norm is not None:
        with no_grad():
            weight._overwrite(apply(_renormed, (weight, input, float(max_norm)), (float(norm_type),)))
    scale = () if per_sample_weights is None else (per_sample_weights,)
    padding = None if padding_idx is None else padding_idx % weight.shape[0]
    if offsets is None:
        return apply(_bags, (input, weight, *scale), (mode, padding))
    return apply(_bag, (input, weight, offsets, *scale), (bool(scale), mode, padding, offsets.shape[0]))
