"""Functions of neural networks.  Each is a graph function: one node to record, differentiate and batch."""

from __future__ import annotations

import functools
import math
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy import mean, where
from fdl.numpy._bounds import Rule, placed
from fdl.numpy._index import take_along_axis
from fdl.numpy._math import axes_of
from fdl.transforms.control.call import graph_function
from fdl.transforms.custom import custom_jvp


@graph_function
def relu(x: ArrayLike) -> Array:
    """`max(x, 0)`; its derivative at 0 is 0, and NaN stays.

    >>> relu(-1.0).tolist()
    0.0
    """
    return ops.select(ops.less_equal(x, 0), 0, x)


@graph_function
def sigmoid(x: ArrayLike) -> Array:
    """`1 / (1 + exp(-x))`.

    >>> sigmoid(0.0).tolist()
    0.5
    """
    return ops.logistic(x)


@graph_function
def silu(x: ArrayLike) -> Array:
    """`x * sigmoid(x)`.

    >>> silu(0.0).tolist()
    0.0
    """
    return ops.mul(x, ops.logistic(x))


@graph_function
def softplus(x: ArrayLike) -> Array:
    """`log(1 + exp(x))` without overflow.

    >>> round(softplus(0.0).tolist(), 4)
    0.6931
    """
    return ops.softplus(x)


@graph_function
def gelu(x: ArrayLike, *, approximate: bool = True) -> Array:
    """Gaussian error linear unit; with tanh when `approximate` (Hendrycks and Gimpel, 2016).

    >>> gelu(0.0).tolist()
    0.0
    """
    if not approximate:
        return ops.mul(ops.mul(x, 0.5), ops.add(1, ops.erf(ops.mul(x, 1 / math.sqrt(2)))))
    inner = ops.mul(math.sqrt(2 / math.pi), ops.add(x, ops.mul(0.044715, ops.integer_pow(x, 3))))
    return ops.mul(ops.mul(x, 0.5), ops.add(1, ops.tanh(inner)))


@graph_function
def leaky_relu(x: ArrayLike, negative_slope: float = 0.01) -> Array:
    """x above 0, `negative_slope * x` below.

    >>> leaky_relu(-1.0, negative_slope=0.5).tolist()
    -0.5
    """
    return ops.select(ops.greater_equal(x, 0), x, ops.mul(x, negative_slope))


@graph_function
def elu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """x above 0, `alpha * (exp(x) - 1)` below.

    >>> elu(0.0).tolist()
    0.0
    """
    return ops.select(ops.greater(x, 0), x, ops.mul(alpha, ops.expm1(ops.select(ops.greater(x, 0), 0, x))))


@graph_function
def log_sigmoid(x: ArrayLike) -> Array:
    """`log(sigmoid(x))` without overflow.

    >>> round(log_sigmoid(0.0).tolist(), 4)
    -0.6931
    """
    return ops.neg(softplus(ops.neg(x)))


@graph_function
def selu(x: ArrayLike) -> Array:
    """Scaled exponential linear unit (Klambauer et al., 2017).

    >>> selu(0.0).tolist()
    0.0
    """
    return ops.mul(1.0507009873554805, elu(x, alpha=1.6732632423543772))


@graph_function
def relu6(x: ArrayLike) -> Array:
    """x limited to [0, 6].

    >>> relu6(7.0).tolist()
    6.0
    """
    return ops.select(ops.greater_equal(x, 6), 6, ops.select(ops.less_equal(x, 0), 0, x))


@graph_function
def hard_tanh(x: ArrayLike) -> Array:
    """x limited to [-1, 1].

    >>> hard_tanh(2.0).tolist()
    1.0
    """
    return ops.select(ops.greater(x, 1), 1, ops.select(ops.less(x, -1), -1, x))


tanh, swish = ops.tanh, silu


def _shifted(x: Any, axis: Any, what: str, finite: bool = False) -> tuple[Any, Any, tuple[int, ...], list[int]]:
    """x less its maximum over axes, that maximum (0 in the place of an infinite one where it has to be finite), the
    axes, and those that are kept.
    """
    (x,) = ops.promote(x, to_float=True)
    axes = axes_of(x, axis, what)
    shape = aval_of(x).shape
    kept = [i for i in range(len(shape)) if i not in axes]
    if 0 in shape:  # no element is shifted, and there may be no maximum
        return x, ops.full(tuple([shape[i] for i in kept]), 0, aval_of(x).dtype), axes, kept
    high = ops.stop_gradient(ops.reduce_max(x, axes))
    high = ops.select(ops.is_finite(high), high, 0) if finite else high
    return ops.sub(x, ops.broadcast(high, aval_of(x).shape, kept)), high, axes, kept


@graph_function
def logsumexp(x: ArrayLike, *, axis: Any = None, keepdims: bool = False) -> Array:
    """`log(sum(exp(x)))` over axes without overflow.

    >>> round(logsumexp(ops.full((4,), 0.0, "float32")).tolist(), 4)
    1.3863
    """
    shifted, high, axes, _ = _shifted(x, axis, "logsumexp", finite=True)
    out = ops.add(ops.log(ops.reduce_sum(ops.exp(shifted), axes)), high)
    return ops.expand_dims(out, axes) if keepdims else out


def _total(x: Any, axes: tuple[int, ...]) -> Array:
    """The sum over axes, in every place."""
    shape = aval_of(x).shape
    return ops.broadcast(ops.reduce_sum(x, axes), shape, [i for i in range(len(shape)) if i not in axes])


@functools.partial(custom_jvp, nondiff_argnums=(1,))
def _shares(x: Any, axes: tuple[int, ...]) -> Array:
    """`exp(x) / sum(exp(x))`; its derivative needs the result alone, where that of its steps would keep the
    exponentials as well.
    """
    e = ops.exp(x)
    return ops.div(e, _total(e, axes))


@_shares.defjvp
def _(axes: tuple[int, ...], primals: Any, tangents: Any) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    shares = _shares(x, axes)
    return shares, ops.mul(shares, ops.sub(t, _total(ops.mul(shares, t), axes)))


@graph_function(static=(1,))
def softmax(x: ArrayLike, axis: int = -1) -> Array:
    """`exp(x) / sum(exp(x))` along an axis.

    >>> softmax(ops.full((2,), 0.0, "float32")).tolist()
    [0.5, 0.5]
    """
    shifted, _, axes, _ = _shifted(x, axis, "softmax")
    return _shares(shifted, axes)


@graph_function(static=(1,))
def log_softmax(x: ArrayLike, axis: int = -1) -> Array:
    """`log(softmax(x))` without overflow.

    >>> [round(v, 4) for v in log_softmax(ops.full((2,), 0.0, "float32")).tolist()]
    [-0.6931, -0.6931]
    """
    shifted, _, axes, kept = _shifted(x, axis, "log_softmax")
    total = ops.log(ops.reduce_sum(ops.exp(shifted), axes))
    return ops.sub(shifted, ops.broadcast(total, aval_of(shifted).shape, kept))


def one_hot(x: ArrayLike, num_classes: int, *, dtype: Any = float, axis: int = -1) -> Array:
    """Integers as rows, which lie along the new axis `axis`, with a one at their place; zeros for a number outside.

    >>> one_hot(ops.iota((2,), 0), 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    x = ops.as_operand(x)
    if dtypes.is_integer(x.aval.dtype):  # a small one may not hold the number of a class
        x = ops.widened(x, num_classes)
    shape = (*x.aval.shape, num_classes)
    places = ops.broadcast(x, shape, range(len(shape) - 1))
    rows = ops.convert(ops.equal(places, ops.iota(shape, len(shape) - 1, aval_of(x).dtype)), dtype)
    return ops.move_axis(rows, len(shape) - 1, axes_of(rows, axis, "one_hot")[0])


@graph_function
def layer_norm(
    x: ArrayLike, weight: ArrayLike | None = None, bias: ArrayLike | None = None, *, eps: float = 1e-5
) -> Array:
    """x less its mean over its standard deviation along the last axis, then scaled and shifted (Ba, Kiros, Hinton,
    2016).

    >>> [round(v, 3) for v in layer_norm(ops.iota((3,), 0, "float32")).tolist()]
    [-1.225, 0.0, 1.225]
    """
    centred = ops.sub(x, mean(x, -1, keepdims=True))
    variance = mean(ops.integer_pow(centred, 2), -1, keepdims=True)
    out = ops.mul(centred, ops.rsqrt(ops.add(variance, eps)))
    out = out if weight is None else ops.mul(out, weight)
    return out if bias is None else ops.add(out, bias)


@graph_function
def _picked(log_probabilities: Any, labels: Any, *, mode: str) -> Array:
    chosen = take_along_axis(log_probabilities, ops.expand_dims(labels, (aval_of(labels).ndim,)), -1, mode)
    return ops.reshape(chosen, aval_of(labels).shape)


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """The mean of `-log(softmax(logits))` at integer labels; logits are `labels.shape + (classes,)`.

    >>> round(float(cross_entropy(ops.full((3, 2), 0.0, "float32"), ops.full((3,), 1, "int32"))), 4)
    0.6931
    """
    return mean(softmax_cross_entropy(logits, labels))


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """`-log(softmax(logits))` at integer labels, one number for each label.

    A label without a class is an IndexBoundsError where it has a value; in a recording (`jit`, loops) its loss is NaN.

    >>> softmax_cross_entropy(ops.full((3, 2), 0.0, "float32"), ops.full((3,), 1, "int32")).shape
    (3,)
    """
    x, y = aval_of(logits), aval_of(labels)
    if x.shape[:-1] != y.shape or not dtypes.is_integer(y.dtype):
        raise ShapeError(
            f"cross_entropy: logits {x.describe()} and labels {y.describe()}",
            why="labels are integers, with the shape of the logits but for the last axis",
            hint="one label a row, labels.astype(jnp.int32)",
        )
    _, handling = placed([(y.ndim, ops.as_operand(labels))], x.shape, Rule("cross_entropy", otherwise="drop"))
    return ops.neg(_picked(log_softmax(logits), labels, mode="fill" if handling == "drop" else "clip"))


def dropout(x: ArrayLike, rate: float, key: ArrayLike) -> Array:
    """x with each element zero with probability `rate`, the others scaled up to keep the mean.

    >>> from fdl import random
    >>> sorted(set(dropout(ops.full((50,), 1.0, "float32"), 0.5, random.key(0)).tolist()))
    [0.0, 2.0]
    """
    from_uniform = ops.random_bits(key, ops.full((2,), 0, dtypes.uint32), aval_of(x).shape)
    keep = ops.greater_equal(ops.mul(ops.convert(ops.shift_right(from_uniform, 8), dtypes.float32), 2.0**-24), rate)
    return where(keep, ops.div(x, 1.0 - rate), 0)


__all__ = [
    "cross_entropy", "dropout", "elu", "gelu", "hard_tanh", "layer_norm", "leaky_relu", "log_sigmoid", "log_softmax",
    "logsumexp",
    "one_hot", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softmax_cross_entropy", "softplus", "swish",
    "tanh",
]  # fmt: skip
