"""Activations as functions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import fdl.numpy as jnp
import fdl.random
from fdl import nn, ops
from fdl.extend import Function, aval_of, dtypes
from fdl.ops import as_operand
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import named
from fdl.stateful.core.random import draw, key_of
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions import reductions
from fdl.stateful.functions.elementwise import in_full
from fdl.stateful.functions.elementwise import relu as relu_function
from fdl.stateful.functions.reductions import dim_of
from fdl.stateful.nn.functional.settings import settings_of

__all__ = [
    "celu", "elu", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "log_softmax", "logsigmoid", "mish", "prelu", "relu",
    "relu6", "rrelu", "selu", "silu", "softmax", "softmin", "softplus", "softshrink", "softsign", "tanhshrink",
    "threshold",
]  # fmt: skip


def _activation(name: str, body: Callable[..., Any], doc: str, **defaults: Any) -> Callable[..., Any]:
    """An activation whose further parameters are numbers, given by position or name."""
    function = Function(body, name)

    def public(input: Tensor, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        out = apply(function, (input, *settings_of(name, defaults, args, kwargs).values()))
        return input._overwrite(out) if inplace else out

    return named(public, name, doc)


def _limited(x: Any, low: Any, high: Any) -> Any:
    """x in [low, high]; its derivative at both ends is 0."""
    low, high = (ops.cast(as_operand(v), aval_of(x).dtype) for v in (low, high))
    return ops.select(ops.greater_equal(x, high), high, ops.select(ops.less_equal(x, low), low, x))


def _softplus_body(x: Any, beta: Any, threshold: Any) -> Any:
    scaled = ops.mul(x, beta)
    above = ops.greater(scaled, ops.cast(threshold, aval_of(x).dtype))
    return ops.select(above, x, ops.div(nn.softplus(ops.select(above, 0, scaled)), beta))


def _elu_body(x: Any, alpha: Any, scaled: bool = False) -> Any:
    below = ops.select(ops.greater(x, 0), 0, x)
    return ops.select(ops.greater(x, 0), x, ops.mul(ops.expm1(ops.div(below, alpha) if scaled else below), alpha))


def _within(x: Any, limit: Any) -> Any:
    return ops.less_equal(ops.abs(x), ops.cast(as_operand(limit), aval_of(x).dtype))


silu = _activation("silu", in_full(lambda x: nn.silu(x)), "`x * sigmoid(x)`.")
mish = _activation("mish", in_full(lambda x: ops.mul(x, ops.tanh(nn.softplus(x)))), "`x * tanh(softplus(x))`.")
leaky_relu = _activation(
    "leaky_relu",
    lambda x, slope: ops.select(ops.greater(x, 0), x, ops.mul(x, slope)),
    "x above 0, `negative_slope * x` below.",
    negative_slope=0.01,
)
elu = _activation("elu", in_full(_elu_body), "x above 0, `alpha * (exp(x) - 1)` below.", alpha=1.0)
selu = _activation("selu", in_full(lambda x: nn.selu(x)), "Scaled exponential linear unit (Klambauer et al., 2017).")
softplus = _activation(
    "softplus",
    in_full(_softplus_body),
    "`log(1 + exp(beta * x)) / beta`, x above the threshold.",
    beta=1.0,
    threshold=20.0,
)
hardtanh = _activation("hardtanh", _limited, "x limited to [min_val, max_val].", min_val=-1.0, max_val=1.0)
relu6 = _activation("relu6", lambda x: _limited(x, 0, 6), "x limited to [0, 6].")
hardsigmoid = _activation(
    "hardsigmoid", in_full(lambda x: ops.div(_limited(ops.add(x, 3), 0, 6), 6)), "`relu6(x + 3) / 6`."
)
hardswish = _activation(
    "hardswish", in_full(lambda x: ops.mul(x, ops.div(_limited(ops.add(x, 3), 0, 6), 6))), "`x * relu6(x + 3) / 6`."
)
logsigmoid = _activation("logsigmoid", in_full(lambda x: nn.log_sigmoid(x)), "`log(sigmoid(x))`.")
softsign = _activation("softsign", in_full(lambda x: ops.div(x, ops.add(1, ops.abs(x)))), "`x / (1 + |x|)`.")
tanhshrink = _activation("tanhshrink", in_full(lambda x: ops.sub(x, ops.tanh(x))), "`x - tanh(x)`.")
celu = _activation(
    "celu",
    in_full(lambda x, alpha: _elu_body(x, alpha, True)),
    "x above 0, `alpha * (exp(x / alpha) - 1)` below.",
    alpha=1.0,
)
hardshrink = _activation(
    "hardshrink",
    lambda x, limit: ops.select(_within(x, limit), 0, x),
    "x where it is farther from 0 than `lambd`, else 0.",
    lambd=0.5,
)
softshrink = _activation(
    "softshrink",
    lambda x, limit: ops.select(
        _within(x, limit), 0, ops.sub(x, ops.mul(ops.sign(x), ops.cast(as_operand(limit), aval_of(x).dtype)))
    ),
    "x nearer to 0 by `lambd`, 0 within it.",
    lambd=0.5,
)
threshold = _activation(
    "threshold",
    lambda x, limit, value: ops.select(
        ops.less_equal(x, ops.cast(as_operand(limit), aval_of(x).dtype)),
        ops.cast(as_operand(value), aval_of(x).dtype),
        x,
    ),
    "x above the threshold, `value` elsewhere.",
    threshold=0.0,
    value=0.0,
)
_gelu = Function(in_full(lambda x, tanh: nn.gelu(x, approximate=tanh)), "gelu")
_glu = Function(lambda x, axis: _halves(x, axis), "glu")


def _halves(x: Any, axis: int) -> Any:
    n = aval_of(x).shape[axis] // 2
    return ops.mul(ops.slice_in_dim(x, 0, n, axis), ops.logistic(ops.slice_in_dim(x, n, 2 * n, axis)))


def relu(input: Tensor, inplace: bool = False) -> Any:
    """`max(x, 0)`."""
    out = relu_function(input)
    return input._overwrite(out) if inplace else out


def gelu(input: Tensor, approximate: str = "none") -> Any:
    """`x * Φ(x)` (Hendrycks and Gimpel, 2016); with `approximate="tanh"` by tanh."""
    if approximate not in ("none", "tanh"):
        raise TensorError("approximate argument must be either none or tanh.")
    return apply(_gelu, (input,), (approximate == "tanh",))


def glu(input: Tensor, dim: int = -1) -> Any:
    """The first half times the sigmoid of the second."""
    return apply(_glu, (input,), (dim_of(input, dim),))


def _chosen(name: str, input: Tensor, dim: int | None, level: int) -> int:
    """The dimension that is given, or with a warning the one that PyTorch took before one had to be."""
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=level,
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """`exp(x) / sum(exp(x))` along a dimension.

    >>> import fdl.stateful as torch
    >>> torch.nn.functional.softmax(torch.zeros(2), 0)
    tensor([0.5000, 0.5000])
    """
    return reductions.softmax(input, _chosen("softmax", input, dim, _stacklevel), dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """`log(softmax(x))` along a dimension, without overflow.

    >>> import fdl.stateful as torch
    >>> torch.nn.functional.log_softmax(torch.zeros(2), 0)
    tensor([-0.6931, -0.6931])
    """
    return reductions.log_softmax(input, _chosen("log_softmax", input, dim, _stacklevel), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """`softmax(-x)`."""
    return reductions.softmax(-input, _chosen("softmin", input, dim, _stacklevel), dtype)


def _prelu_body(x: Any, slope: Any) -> Any:
    if aval_of(slope).size > 1:
        slope = ops.broadcast(
            ops.reshape(slope, (aval_of(slope).size,)), aval_of(x).shape, (min(1, aval_of(x).ndim - 1),)
        )
    else:
        slope = ops.broadcast(ops.reshape(slope, ()), aval_of(x).shape, ())
    above = ops.greater(x, 0)
    return ops.select(above, x, ops.mul(ops.select(above, 0, x), slope))  # an infinite x gives the slope no gradient


def _rrelu_body(x: Any, lower: Any, upper: Any, seed: Any, count: Any) -> Any:
    aval = aval_of(x)
    low, high = (ops.cast(v, aval.dtype) for v in (lower, upper))
    slope = ops.add(ops.mul(fdl.random.uniform(key_of(seed, count), aval.shape, aval.dtype), ops.sub(high, low)), low)
    return ops.select(ops.greater_equal(x, 0), x, ops.mul(x, slope))


def _gumbel_body(logits: Any, tau: Any, seed: Any, count: Any, axis: int, hard: bool) -> Any:
    aval = aval_of(logits)
    noise = ops.cast(fdl.random.gumbel(key_of(seed, count), aval.shape), aval.dtype)
    soft = nn.softmax(ops.div(ops.add(logits, noise), ops.cast(tau, aval.dtype)), axis)
    if not hard:
        return soft
    best = ops.expand_dims(ops.argmax(soft, axis, dtypes.int64), (axis,))
    one = ops.convert(
        ops.equal(ops.iota(aval.shape, axis, dtypes.int64), jnp.broadcast_to(best, aval.shape)), aval.dtype
    )
    return ops.add(ops.sub(one, ops.stop_gradient(soft)), soft)


_prelu, _rrelu, _gumbel = (
    Function(_prelu_body, "prelu"),
    Function(_rrelu_body, "rrelu"),
    Function(_gumbel_body, "gumbel_softmax"),
)


def prelu(input: Tensor, weight: Tensor) -> Any:
    """x above 0, `weight * x` below: one weight, or one for each channel."""
    count = weight.numel()
    if count != 1 and (input.ndim < 1 or input.shape[min(1, input.ndim - 1)] != count):
        raise TensorError(
            f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} and "
            f"channel size = {input.shape[min(1, input.ndim - 1)]}."
        )
    return apply(_prelu, (input, weight))


def rrelu(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Any:
    """x above 0; below, x times a slope: drawn for each element while training, else the middle."""
    out = draw(_rrelu, (input, float(lower), float(upper)), ()) if training else leaky_relu(input, (lower + upper) / 2)
    return input._overwrite(out) if inplace else out


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """Samples of a relaxed categorical distribution (Jang, Gu, Poole, 2017); `hard` gives one-hot vectors with the
    gradient of the soft ones.
    """
    return draw(_gumbel, (logits, float(tau)), (dim_of(logits, dim), hard))
