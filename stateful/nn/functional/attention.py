"""Attention as a function."""

from __future__ import annotations

import math
from typing import Any

import fdl.numpy as jnp
import fdl.random
from fdl import nn, ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.random import draw, key_of
from fdl.stateful.core.tensor import Tensor, apply

__all__ = ["scaled_dot_product_attention"]


def _weights(q: Any, k: Any, mask: Any, scale: Any, causal: bool) -> Any:
    """What queries make of keys; zeros for a query that sees none."""
    scores = ops.mul(jnp.matmul(q, jnp.swapaxes(k, -1, -2)), scale)
    shape = aval_of(scores).shape
    if causal:
        row, column = ops.iota(shape, len(shape) - 2), ops.iota(shape, len(shape) - 1)
        scores = ops.select(ops.greater_equal(row, column), scores, -math.inf)
    if mask is None:
        return nn.softmax(scores, -1)
    scores = jnp.where(mask, scores, -math.inf) if aval_of(mask).dtype == dtypes.bool_ else ops.add(scores, mask)
    sees = jnp.max(ops.stop_gradient(scores), axis=-1, keepdims=True) > -math.inf
    return jnp.where(sees, nn.softmax(jnp.where(sees, scores, 0), -1), 0)


def _attention_body(q: Any, k: Any, v: Any, *args: Any) -> Any:
    *given, scale, causal = args
    mask = given[0] if given else None
    shapes = [aval_of(x).shape for x in (q, k, v)]
    if (
        len(shapes[0]) == 4
        and shapes[0][:2] == shapes[1][:2]
        and shapes[1][:3] == shapes[2][:3]
        and (mask is None or aval_of(mask).ndim <= 4)
    ):
        q, k, v = (ops.transpose(x, (0, 2, 1, 3)) for x in (q, k, v))
        seen, bias = (mask, None) if mask is not None and aval_of(mask).dtype == dtypes.bool_ else (None, mask)
        return ops.transpose(nn.dot_product_attention(q, k, v, bias, seen, scale=scale, is_causal=causal), (0, 2, 1, 3))
    return jnp.matmul(_weights(q, k, mask, scale, causal), v)


def _dropped_body(q: Any, k: Any, v: Any, *args: Any) -> Any:
    *mask, scale, p, seed, count, causal = args
    weights = _weights(q, k, mask[0] if mask else None, scale, causal)
    aval = aval_of(weights)
    keep = ops.greater_equal(fdl.random.uniform(key_of(seed, count), aval.shape), ops.cast(p, dtypes.float32))
    factor = ops.cast(ops.div(1.0, ops.sub(1.0, p)), aval.dtype)
    return jnp.matmul(ops.select(keep, ops.mul(weights, factor), 0), v)


_attention, _dropped = Function(_attention_body, "attention"), Function(_dropped_body, "attention")


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """`softmax(query @ key.T * scale + mask) @ value` (Vaswani et al., 2017).

    A mask of bools says which keys are seen; `dropout_p` drops weights; `enable_gqa` lets groups of query heads share
    heads of keys and values.
    """
    if is_causal and attn_mask is not None:
        raise TensorError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if (
        attn_mask is not None
        and attn_mask.dtype.np not in (dtypes.bool_, dtypes.float32)
        and attn_mask.dtype != query.dtype
    ):
        found = f"attn_mask.dtype: {attn_mask.dtype.legacy_name} and  query.dtype: {query.dtype.legacy_name}"
        raise TensorError(
            f"Expected attn_mask dtype to be bool or float or to match query dtype, but got {found} instead."
        )
    if enable_gqa and query.shape[-3] != key.shape[-3]:
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    factor = float(scale) if scale is not None else 1.0 / math.sqrt(query.shape[-1])
    operands = (query, key, value, *(() if attn_mask is None else (attn_mask,)), factor)
    if dropout_p:
        return draw(_dropped, (*operands, float(dropout_p)), (is_causal,))
    return apply(_attention, operands, (is_causal,))
