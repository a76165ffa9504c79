"""Dropout of elements and of whole channels, as functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fdl.random
from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.methods import named
from fdl.stateful.core.random import draw, key_of
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.elementwise import mul

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


def _dropout_body(x: Any, p: Any, seed: Any, count: Any) -> Any:
    aval = aval_of(x)
    keep = ops.greater_equal(fdl.random.uniform(key_of(seed, count), aval.shape), ops.cast(p, dtypes.float32))
    scale = ops.div(1.0, ops.sub(1.0, ops.cast(p, aval.dtype)))
    return ops.select(keep, ops.mul(x, ops.cast(scale, aval.dtype)), 0)


_dropout = Function(_dropout_body, "dropout")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element zero with probability p, the others divided by 1 - p; nothing unless training."""
    return _dropping(_dropout, input, p, training, inplace)


def _channels_body(x: Any, p: Any, seed: Any, count: Any, kept: int) -> Any:
    """Whole channels drop: one draw for each index of the first `kept` dimensions."""
    aval = aval_of(x)
    keep = ops.greater_equal(fdl.random.uniform(key_of(seed, count), aval.shape[:kept]), ops.cast(p, dtypes.float32))
    scale = ops.cast(ops.div(1.0, ops.sub(1.0, ops.cast(p, aval.dtype))), aval.dtype)
    return ops.select(ops.broadcast(keep, aval.shape, range(kept)), ops.mul(x, scale), 0)


def _alpha_body(x: Any, p: Any, seed: Any, count: Any, kept: int) -> Any:
    """Dropped elements get the value that SELU has far below, and all are scaled and shifted to keep mean and variance
    (Klambauer et al., 2017).
    """
    aval = aval_of(x)
    low = -1.7580993408473766
    keep = ops.greater_equal(fdl.random.uniform(key_of(seed, count), aval.shape[:kept]), ops.cast(p, dtypes.float32))
    p = ops.cast(p, aval.dtype)
    a = ops.rsqrt(ops.mul(ops.sub(1, p), ops.add(ops.mul(p, low * low), 1)))
    return ops.add(
        ops.mul(ops.select(ops.broadcast(keep, aval.shape, range(kept)), x, low), a), ops.mul(ops.mul(a, p), -low)
    )


_channels, _alpha = Function(_channels_body, "feature_dropout"), Function(_alpha_body, "alpha_dropout")


def _dropping(function: Function, input: Tensor, p: float, training: bool, inplace: bool, *kept: int) -> Any:
    """A dropout function of (input, p, a draw), applied while training; ValueError for p outside of [0, 1]. `kept`,
    where the function takes it, says how many leading dimensions have draws of their own.
    """
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0.0:
        return input
    out = mul(input, 0.0) if p == 1.0 else draw(function, (input, float(p)), kept)
    return input._overwrite(out) if inplace else out


def _dropout_nd(n: int) -> Callable[..., Any]:
    def public(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        return _dropping(
            _channels, input, p, training, inplace, 1 if input.ndim == n + 1 and n != 2 else min(2, input.ndim)
        )

    return named(
        public,
        f"dropout{n}d",
        "Each channel zero with probability p, the others divided by 1 - p; nothing unless training.",
    )


dropout1d, dropout2d, dropout3d = _dropout_nd(1), _dropout_nd(2), _dropout_nd(3)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps mean and variance of what SELU gives (Klambauer et al., 2017)."""
    return _dropping(_alpha, input, p, training, inplace, input.ndim)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """`alpha_dropout` of whole channels."""
    return _dropping(_alpha, input, p, training, inplace, min(2, input.ndim))
