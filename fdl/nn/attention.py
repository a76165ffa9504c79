"""Attention, in blocks of queries.

A block's scores stay in a core's cache, as in FlashAttention (Dao and others, 2022): stages over one head run one after
another, see `lowering/schedule/tile.py`. With `is_causal` a block meets the keys that it may see alone, so nearly half
of the products are not computed. Where all scores together are large, blocks are a loop, and the gradient computes
scores again instead of keeping them: memory grows with the length, not with its square.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from fdl import ops
from fdl.ad_checkpoint import checkpoint
from fdl.core.array import Array
from fdl.core.avals import Shape
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.nn.functions import softmax
from fdl.numpy import where
from fdl.transforms.control.call import graph_function
from fdl.transforms.control.scan import scan

_BLOCK = (
    1 << 19
)  # bytes of the scores of one block and one head, of which a core's cache holds two: the gradient needs as many
_ROWS = 16  # a block's queries are a multiple of it, but for the last one's
_FEWEST = 48  # queries of a block, so that products are wide enough
_MOST_BLOCKS = 8  # that are written out; where more were wanted they are a loop, and scores are not kept
_CAUSAL_BLOCKS, _MIN_CAUSAL = 4, 128  # blocks of causal attention, and the length from which it has so many
# bytes of all scores from which causal attention is a loop too: blocks that are written out compute fewer scores that
# no query sees
_LARGE = 1 << 28


def _block(query: Any, key: Any, value: Any, bias: Any, mask: Any, first: Any, is_causal: bool, scale: float) -> Array:
    """Attention of some queries, of which `first` is the number of the first one, over (batch, heads, length, size).
    Queries that see no key get zeros.
    """
    scores = ops.mul(ops.dot_general(query, key, (((3,), (3,)), ((0, 1), (0, 1)))), scale)
    shape = aval_of(scores).shape
    sees = []
    if bias is not None:
        sees.append(ops.greater(ops.reduce_max(bias, (3,)), -math.inf))
        scores = ops.add(scores, where(ops.expand_dims(sees[-1], (3,)), bias, 0))
    behind = ops.greater_equal(ops.add(ops.iota(shape, 2), first), ops.iota(shape, 3)) if is_causal else None
    if mask is not None:
        mask = mask if behind is None else ops.bitwise_and(ops.broadcast_to(mask, shape), behind)
        sees.append(ops.reduce_max(mask, (3,)))
        scores = where(ops.bitwise_or(mask, ops.bitwise_not(ops.expand_dims(sees[-1], (3,)))), scores, -math.inf)
    elif behind is not None:
        scores = where(behind, scores, -math.inf)
    out = ops.dot_general(softmax(scores), value, (((3,), (2,)), ((0, 1), (0, 1))))
    for some in sees:
        out = where(ops.expand_dims(some, (3,)), out, 0)
    return out


def _cut(x: Array | None, first: int, last: int, keys: int) -> Array | None:
    """Bias or mask of some queries and the first keys."""
    if x is None:
        return None
    shape = aval_of(x).shape
    x = ops.slice_in_dim(x, first, last, 2) if shape[2] > 1 else x
    return ops.slice_in_dim(x, 0, keys, 3) if shape[3] > 1 else x


@graph_function(static=(5, 6))
def _attention(query: Any, key: Any, value: Any, bias: Any, mask: Any, is_causal: bool, scale: float) -> Array:
    (batch, length, heads, _), keys = aval_of(query).shape, aval_of(key).shape[1]
    width = max(keys * aval_of(query).dtype.itemsize, 1)
    rows = max(_BLOCK // width, _FEWEST) // _ROWS * _ROWS
    count = max(-(-length // rows), _CAUSAL_BLOCKS if is_causal and length >= _MIN_CAUSAL else 1)
    large = (count > _MOST_BLOCKS and not is_causal) or batch * heads * length * width >= _LARGE
    if large:  # a loop for each part of the queries, over blocks that see as many keys as the last one
        parts = _CAUSAL_BLOCKS if is_causal else 1
        edges = [-(-length * i // (parts * rows)) * rows for i in range(parts)] + [length]
    else:
        count = min(count, _MOST_BLOCKS)
        edges = [round(length * i / count / _ROWS) * _ROWS for i in range(count)] + [length]
    query, key, value = (
        ops.transpose(x, (0, 2, 1, 3)) for x in (query, key, value)
    )  # so that what a loop adds up for a head lies together
    outs = []
    for first, last in itertools.pairwise(edges):
        if first >= last:
            continue
        seen = min(last, keys) if is_causal else keys
        q, k, v = (
            ops.slice_in_dim(query, first, last, 2),
            ops.slice_in_dim(key, 0, seen, 2),
            ops.slice_in_dim(value, 0, seen, 2),
        )
        b, m = _cut(bias, first, last, seen), _cut(mask, first, last, seen)
        outs.append(
            _looped(q, k, v, b, m, first, is_causal, scale, rows)
            if large
            else _block(q, k, v, b, m, first, is_causal, scale)
        )
    return ops.transpose(outs[0] if len(outs) == 1 else ops.concatenate(outs, 2), (0, 2, 1, 3))


def _looped(
    query: Any, key: Any, value: Any, bias: Any, mask: Any, first: int, is_causal: bool, scale: float, rows: int
) -> Array:
    """`_block` in a loop over so many queries at a time, whose gradient keeps nothing but operands."""
    batch, heads, length, _ = aval_of(query).shape
    whole = length // rows * rows

    def steps(x: Any, axis: int) -> Array:
        """Blocks along an axis, as what a loop runs over."""
        shape = aval_of(x).shape
        cut = ops.reshape(ops.slice_in_dim(x, 0, whole, axis), (*shape[:axis], whole // rows, rows, *shape[axis + 1 :]))
        return ops.transpose(cut, (axis, *(i for i in range(len(shape) + 1) if i != axis)))

    def by_row(x: Any) -> bool:
        return x is not None and aval_of(x).shape[2] > 1

    @checkpoint
    def block(q: Any, start: Any, k: Any, v: Any, b: Any, m: Any) -> Array:
        return _block(q, k, v, b, m, start, is_causal, scale)

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        q, start, *rest = x
        given = iter(rest)
        return carry, block(q, start, key, value, *(next(given) if by_row(y) else y for y in (bias, mask)))

    outs = []
    if whole:
        starts = ops.add(ops.mul(ops.iota((whole // rows,), 0), rows), first)
        stacked = scan(step, (), (steps(query, 2), starts, *(steps(y, 2) for y in (bias, mask) if by_row(y))))[1]
        outs.append(
            ops.reshape(ops.transpose(stacked, (1, 2, 0, 3, 4)), (batch, heads, whole, aval_of(value).shape[3]))
        )
    if whole < length:
        rest = [_cut(y, whole, length, aval_of(key).shape[2]) for y in (bias, mask)]
        outs.append(block(ops.slice_in_dim(query, whole, length, 2), first + whole, key, value, *rest))
    return outs[0] if len(outs) == 1 else ops.concatenate(outs, 2)


def dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
) -> Array:
    """`softmax(query @ key.T * scale + bias) @ value` over (batch, length, heads, size) operands (Vaswani and others,
    2017).

    `bias` and the bool `mask` broadcast to (batch, heads, queries, keys); where the mask is false, or with `is_causal`
    behind the query, keys count nothing. `scale` is one over the root of the size where it is not given.

    >>> q = ops.full((1, 3, 2, 4), 1.0, "float32")
    >>> dot_product_attention(q, q, q, is_causal=True).shape
    (1, 3, 2, 4)
    """
    q, k, v = aval_of(query), aval_of(key), aval_of(value)
    if (
        not (q.ndim == k.ndim == v.ndim == 4)
        or k.shape[:3] != v.shape[:3]
        or (q.shape[0], *q.shape[2:]) != (k.shape[0], *k.shape[2:])
    ):
        raise ShapeError(
            f"dot_product_attention: query {q.describe()}, key {k.describe()}, value {v.describe()}",
            why="operands are (batch, length, heads, size), key and value of one length, query and key of one size",
            hint="split heads by x.reshape(batch, length, heads, size)",
        )
    scores = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    bias, mask = (_aligned(x, scores, what) for x, what in ((bias, "bias"), (mask, "mask")))
    return _attention(query, key, value, bias, mask, is_causal, q.shape[3] ** -0.5 if scale is None else scale)


def _aligned(x: Array | None, scores: Shape, what: str) -> Array | None:
    """A bias or mask with all four axes."""
    if x is None:
        return None
    shape = aval_of(x).shape
    full = (1,) * (4 - len(shape)) + shape
    if len(full) != 4 or any(d not in (1, e) for d, e in zip(full, scores, strict=True)):
        raise ShapeError(
            (
                f"dot_product_attention: {what} {aval_of(x).describe()} does not broadcast to (batch, heads, "
                f"queries, keys) = {scores}"
            ),
            hint=f"{what}[:, None, None, :] for one of (batch, keys)",
        )
    return x if full == shape else ops.reshape(x, full)


__all__ = ["dot_product_attention"]
