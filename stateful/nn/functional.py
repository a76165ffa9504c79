"""`torch.nn.functional`: layers, activations and losses as functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import fdl.numpy as jnp
import fdl.random
from fdl import nn, ops
from fdl.core import dtypes
from fdl.core.array import Deferred
from fdl.core.errors import IndexBoundsError, ShapeError
from fdl.core.trace import aval_of, transforming
from fdl.extend import Function, current_recorder
from fdl.ops.promotion import as_operand
from fdl.stateful._random import draw, key_of
from fdl.stateful._tensor import Tensor, apply
from fdl.stateful.functions.elementwise import mul, sigmoid, tanh
from fdl.stateful.functions.elementwise import relu as relu_function
from fdl.stateful.functions.indexing import check_bounds, one_hot
from fdl.stateful.functions.reductions import dim_of, log_softmax, softmax

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "elu", "embedding", "gelu", "glu", "hardsigmoid", "hardswish",
    "hardtanh", "huber_loss", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid", "mish", "mse_loss", "nll_loss",
    "normalize", "one_hot", "relu", "relu6", "rms_norm", "scaled_dot_product_attention", "selu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softmin",
    "softplus", "softsign", "tanh", "tanhshrink",
]  # fmt: skip

# Layers


def _linear_body(x: Any, weight: Any, bias: Any = None) -> Any:
    a, w = aval_of(x), aval_of(weight)
    if not a.ndim or a.shape[-1] != w.shape[-1] or a.dtype != w.dtype:
        rows = math.prod(a.shape[:-1])
        raise ShapeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a.shape[-1] if a.ndim else 0} and {w.shape[-1]}x{w.shape[0]})",
            why=f"the layer takes {w.dtype.name}[..., {w.shape[-1]}], it got {a.describe()}",
            hint="x.flatten(1), x.float(), or another in_features",
        )
    out = ops.dot_general(x, weight, (((a.ndim - 1,), (1,)), ((), ())))
    return out if bias is None else ops.add(out, bias)


_linear = Function(_linear_body, "linear")


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """`input @ weight.T + bias`; weight is (out, in)."""
    return apply(_linear, (input, weight) if bias is None else (input, weight, bias))


def _embedding_body(index: Any, weight: Any, padding: int | None) -> Any:
    rows = ops.gather(weight, [index], (0,))
    if padding is None:
        return rows
    kept = ops.broadcast(ops.equal(index, padding), aval_of(rows).shape, range(aval_of(index).ndim))
    return ops.select(kept, ops.stop_gradient(rows), rows)


_embedding = Function(_embedding_body, "embedding")


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Any:
    """Rows of `weight` at integer indices; the row `padding_idx` gets no gradient.  IndexError for an index outside."""
    if max_norm is not None or scale_grad_by_freq:
        raise NotImplementedError("embedding: max_norm and scale_grad_by_freq are not supported")
    if input.dtype.is_floating_point:
        raise RuntimeError(f"Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got {input.dtype} instead")
    count = weight.shape[0]
    check_bounds(input, 0, count - 1, "embedding")
    return apply(_embedding, (input, weight), (None if padding_idx is None else padding_idx % count,))


def _layer_norm_body(x: Any, *args: Any) -> Any:
    *affine, eps, ndim, has_weight, has_bias = args
    axes = tuple(range(aval_of(x).ndim - ndim, aval_of(x).ndim))
    centred = ops.sub(x, jnp.mean(x, axes, keepdims=True))
    variance = jnp.mean(ops.integer_pow(centred, 2), axes, keepdims=True)
    out = ops.mul(centred, ops.rsqrt(ops.add(variance, eps)))
    given = iter(affine)
    out = ops.mul(out, next(given)) if has_weight else out
    return ops.add(out, next(given)) if has_bias else out


_layer_norm = Function(_layer_norm_body, "layer_norm")


def layer_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Any:
    """Less the mean over the standard deviation of the last dimensions, then scaled and shifted (Ba, Kiros, Hinton, 2016)."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}")
    given = [p for p in (weight, bias) if p is not None]
    return apply(_layer_norm, (input, *given, eps), (len(shape), weight is not None, bias is not None))


def _rms_norm_body(x: Any, *args: Any) -> Any:
    *weight, eps, ndim = args
    axes = tuple(range(aval_of(x).ndim - ndim, aval_of(x).ndim))
    out = ops.mul(x, ops.rsqrt(ops.add(jnp.mean(ops.integer_pow(x, 2), axes, keepdims=True), eps)))
    return ops.mul(out, weight[0]) if weight else out


_rms_norm = Function(_rms_norm_body, "rms_norm")


def rms_norm(input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None) -> Any:
    """Over the root of the mean square of the last dimensions, then scaled (Zhang and Sennrich, 2019)."""
    given = () if weight is None else (weight,)
    return apply(_rms_norm, (input, *given, eps if eps is not None else float(np.finfo(input.dtype.np).eps)), (len(tuple(normalized_shape)),))


def _dropout_body(x: Any, p: Any, seed: Any, count: Any) -> Any:
    aval = aval_of(x)
    keep = ops.greater_equal(fdl.random.uniform(key_of(seed, count), aval.shape), ops.cast(p, dtypes.float32))
    scale = ops.div(1.0, ops.sub(1.0, ops.cast(p, aval.dtype)))
    return ops.select(keep, ops.mul(x, ops.cast(scale, aval.dtype)), 0)


_dropout = Function(_dropout_body, "dropout")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element zero with probability p, the others divided by 1 - p; nothing unless training."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0.0:
        return input
    out = mul(input, 0.0) if p == 1.0 else draw(_dropout, (input, float(p)), ())
    return input._overwrite(out) if inplace else out


def _attention_body(q: Any, k: Any, v: Any, *args: Any) -> Any:
    *mask, scale, causal = args
    scores = ops.mul(jnp.matmul(q, jnp.swapaxes(k, -1, -2)), scale)
    shape = aval_of(scores).shape
    if causal:
        row, column = ops.iota(shape, len(shape) - 2), ops.iota(shape, len(shape) - 1)
        scores = ops.select(ops.greater_equal(row, column), scores, -math.inf)
    if mask:
        scores = jnp.where(mask[0], scores, -math.inf) if aval_of(mask[0]).dtype == dtypes.bool_ else ops.add(scores, mask[0])
    return jnp.matmul(nn.softmax(scores, -1), v)


_attention = Function(_attention_body, "attention")


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None
) -> Any:
    """`softmax(query @ key.T * scale + mask) @ value` (Vaswani et al., 2017)."""
    if dropout_p:
        raise NotImplementedError("scaled_dot_product_attention: dropout_p is not supported; apply dropout to the result of softmax")
    factor = scale if scale is not None else 1.0 / math.sqrt(query.shape[-1])
    return apply(_attention, (query, key, value, *(() if attn_mask is None else (attn_mask,)), factor), (is_causal,))


def _normalize_body(x: Any, eps: Any, p: float, axis: int) -> Any:
    length = ops.sqrt(ops.reduce_sum(ops.integer_pow(x, 2), (axis,))) if p == 2 else ops.pow(ops.reduce_sum(ops.pow(ops.abs(x), p), (axis,)), 1 / p)
    length = ops.expand_dims(ops.select(ops.greater(length, ops.cast(eps, aval_of(x).dtype)), length, ops.cast(eps, aval_of(x).dtype)), (axis,))
    return ops.div(x, length)


_normalize = Function(_normalize_body, "normalize")


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Vectors along a dimension made of length 1."""
    return apply(_normalize, (input, eps), (float(p), dim_of(input, dim)))


# Activations


def settings_of(what: str, defaults: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults, changed by arguments in their order and by name; TypeError for a name that is none of theirs."""
    found = {**defaults, **dict(zip(defaults, args, strict=False)), **kwargs}
    if len(found) > len(defaults):
        raise TypeError(f"{what}() got an unexpected keyword argument {next(k for k in found if k not in defaults)!r}")
    return found


def _activation(name: str, body: Callable[..., Any], doc: str, **defaults: Any) -> Callable[..., Any]:
    """An activation whose further parameters are numbers, given by position or name."""
    function = Function(body, name)

    def public(input: Tensor, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        out = apply(function, (input, *settings_of(name, defaults, args, kwargs).values()))
        return input._overwrite(out) if inplace else out

    public.__name__, public.__doc__ = name, doc
    return public


def _limited(x: Any, low: Any, high: Any) -> Any:
    low, high = (ops.cast(as_operand(v), aval_of(x).dtype) for v in (low, high))
    return ops.select(ops.greater(x, high), high, ops.select(ops.less(x, low), low, x))


def _softplus_body(x: Any, beta: Any, threshold: Any) -> Any:
    scaled = ops.mul(x, beta)
    above = ops.greater(scaled, ops.cast(threshold, aval_of(x).dtype))
    return ops.select(above, x, ops.div(nn.softplus(ops.select(above, 0, scaled)), beta))


def _elu_body(x: Any, alpha: Any) -> Any:
    return ops.select(ops.greater(x, 0), x, ops.mul(ops.expm1(ops.select(ops.greater(x, 0), 0, x)), alpha))


silu = _activation("silu", lambda x: nn.silu(x), "`x * sigmoid(x)`.")
mish = _activation("mish", lambda x: ops.mul(x, ops.tanh(nn.softplus(x))), "`x * tanh(softplus(x))`.")
leaky_relu = _activation("leaky_relu", lambda x, slope: ops.select(ops.greater(x, 0), x, ops.mul(x, slope)), "x above 0, `negative_slope * x` below.", negative_slope=0.01)
elu = _activation("elu", _elu_body, "x above 0, `alpha * (exp(x) - 1)` below.", alpha=1.0)
selu = _activation("selu", lambda x: nn.selu(x), "Scaled exponential linear unit (Klambauer et al., 2017).")
softplus = _activation("softplus", _softplus_body, "`log(1 + exp(beta * x)) / beta`, x above the threshold.", beta=1.0, threshold=20.0)
hardtanh = _activation("hardtanh", _limited, "x limited to [min_val, max_val].", min_val=-1.0, max_val=1.0)
relu6 = _activation("relu6", lambda x: _limited(x, 0, 6), "x limited to [0, 6].")
hardsigmoid = _activation("hardsigmoid", lambda x: ops.div(_limited(ops.add(x, 3), 0, 6), 6), "`relu6(x + 3) / 6`.")
hardswish = _activation("hardswish", lambda x: ops.mul(x, ops.div(_limited(ops.add(x, 3), 0, 6), 6)), "`x * relu6(x + 3) / 6`.")
logsigmoid = _activation("logsigmoid", lambda x: nn.log_sigmoid(x), "`log(sigmoid(x))`.")
softsign = _activation("softsign", lambda x: ops.div(x, ops.add(1, ops.abs(x))), "`x / (1 + |x|)`.")
tanhshrink = _activation("tanhshrink", lambda x: ops.sub(x, ops.tanh(x)), "`x - tanh(x)`.")
_gelu = Function(lambda x, tanh: nn.gelu(x, approximate=tanh), "gelu")
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
        raise RuntimeError("approximate argument must be either none or tanh.")
    return apply(_gelu, (input,), (approximate == "tanh",))


def glu(input: Tensor, dim: int = -1) -> Any:
    """The first half times the sigmoid of the second."""
    return apply(_glu, (input,), (dim_of(input, dim),))


def softmin(input: Tensor, dim: int) -> Any:
    """`softmax(-x)`."""
    return softmax(-input, dim)  # type: ignore[operator]


# Losses


def _reduced(loss: Any, reduction: str) -> Any:
    axes = range(aval_of(loss).ndim)
    return loss if reduction == "none" else ops.reduce_sum(loss, axes) if reduction == "sum" else jnp.mean(loss)


def _checked_reduction(reduction: str) -> str:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def _loss(name: str, body: Callable[..., Any], doc: str, **defaults: Any) -> Callable[..., Any]:
    """A loss of input and target, elementwise and then reduced; further parameters are numbers."""
    function = Function(lambda x, y, *args: _reduced(body(x, y, *args[:-1]), args[-1]), name)

    def public(input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", **kwargs: Any) -> Any:
        return apply(function, (input, target, *settings_of(name, defaults, (), kwargs).values()), (_checked_reduction(reduction),))

    public.__name__, public.__doc__ = name, doc
    return public


def _pinned(log: Any) -> Any:
    """Logarithms no lower than -100, as PyTorch takes them."""
    return ops.select(ops.less(log, -100.0), -100.0, log)


def _binary_body(p: Any, y: Any) -> Any:
    return ops.neg(ops.add(ops.mul(y, _pinned(ops.log(p))), ops.mul(ops.sub(1, y), _pinned(ops.log1p(ops.neg(p))))))


def _logits_body(x: Any, y: Any) -> Any:
    return ops.add(ops.sub(nn.relu(x), ops.mul(x, y)), ops.log1p(ops.exp(ops.neg(ops.abs(x)))))


def _huber_body(x: Any, y: Any, delta: Any) -> Any:
    gap, delta = ops.abs(ops.sub(x, y)), ops.cast(delta, aval_of(x).dtype)
    near = ops.mul(ops.mul(gap, gap), 0.5)
    return ops.select(ops.less(gap, delta), near, ops.mul(delta, ops.sub(gap, ops.mul(delta, 0.5))))


def _smooth_body(x: Any, y: Any, beta: Any) -> Any:
    gap, beta = ops.abs(ops.sub(x, y)), ops.cast(beta, aval_of(x).dtype)
    return ops.select(ops.less(gap, beta), ops.div(ops.mul(ops.mul(gap, gap), 0.5), beta), ops.sub(gap, ops.mul(beta, 0.5)))


mse_loss = _loss("mse_loss", lambda x, y: ops.integer_pow(ops.sub(x, y), 2), "The squared distance.")
l1_loss = _loss("l1_loss", lambda x, y: ops.abs(ops.sub(x, y)), "The distance.")
huber_loss = _loss("huber_loss", _huber_body, "Squared below `delta`, linear above.", delta=1.0)
smooth_l1_loss = _loss("smooth_l1_loss", _smooth_body, "Squared below `beta`, linear above.", beta=1.0)
binary_cross_entropy = _loss("binary_cross_entropy", _binary_body, "Cross entropy of probabilities with targets in [0, 1].")
binary_cross_entropy_with_logits = _loss("binary_cross_entropy_with_logits", _logits_body, "`binary_cross_entropy(sigmoid(x))` without overflow.")
_kl = Function(lambda x, y, reduction, log: _kl_body(x, y, reduction, log), "kl_div")


def _kl_body(x: Any, y: Any, reduction: str, log_target: bool) -> Any:
    terms = ops.mul(ops.exp(y), ops.sub(y, x)) if log_target else ops.mul(y, ops.sub(ops.select(ops.greater(y, 0), ops.log(ops.select(ops.greater(y, 0), y, 1)), 0), x))
    if reduction == "batchmean":
        return ops.div(_reduced(terms, "sum"), float(aval_of(x).shape[0]))
    return _reduced(terms, reduction)


def kl_div(input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean", log_target: bool = False) -> Any:
    """`target * (log(target) - input)`, input being log-probabilities; "batchmean" divides by the batch size."""
    return apply(_kl, (input, target), (reduction if reduction == "batchmean" else _checked_reduction(reduction), log_target))


def _nll_body(logp: Any, target: Any, *args: Any) -> Any:
    """Labels are (N, d...), log-probabilities (N, C, d...), or without N."""
    *weight, ignore, smoothing, reduction, smooth = args
    classes = 0 if aval_of(logp).ndim == 1 else 1
    last = aval_of(logp).ndim - 1
    logp = ops.move_axis(logp, classes, last)
    kept = ops.not_equal(target, ops.cast(ignore, aval_of(target).dtype))
    safe = ops.select(kept, target, 0)
    own = ops.gather(weight[0], [safe], (0,)) if weight else ops.full(aval_of(target).shape, 1, aval_of(logp).dtype)
    own = ops.select(kept, own, 0)
    loss = ops.neg(ops.mul(ops.gather(logp, [safe], (last,), last), own))
    total = ops.reduce_sum(own, range(aval_of(own).ndim))
    if smooth:
        spread = ops.mul(logp, weight[0]) if weight else logp
        even = ops.neg(ops.select(kept, ops.reduce_sum(spread, (last,)), 0))
        count = aval_of(logp).shape[last]
        loss = ops.add(ops.mul(loss, ops.sub(1, ops.cast(smoothing, loss.dtype))), ops.mul(even, ops.div(ops.cast(smoothing, loss.dtype), float(count))))
    if reduction != "mean":
        return _reduced(loss, reduction)
    return ops.div(ops.reduce_sum(loss, range(aval_of(loss).ndim)), total)


def _cross_entropy_body(logits: Any, target: Any, *args: Any) -> Any:
    return _nll_body(nn.log_softmax(logits, 0 if aval_of(logits).ndim == 1 else 1), target, *args)


def _soft_body(logits: Any, target: Any, *args: Any) -> Any:
    *weight, smoothing, reduction = args
    axis = 0 if aval_of(logits).ndim == 1 else 1
    classes = aval_of(logits).shape[axis]
    logp = nn.log_softmax(logits, axis)
    smoothing = ops.cast(smoothing, aval_of(logp).dtype)
    target = ops.add(ops.mul(target, ops.sub(1, smoothing)), ops.div(smoothing, float(classes)))
    if weight:
        target = ops.mul(target, ops.broadcast(weight[0], aval_of(logp).shape, (axis,)))
    loss = ops.neg(ops.reduce_sum(ops.mul(logp, target), (axis,)))
    return ops.div(_reduced(loss, "sum"), float(max(1, math.prod(aval_of(loss).shape)))) if reduction == "mean" else _reduced(loss, reduction)


_nll, _cross_entropy, _soft_cross_entropy = Function(_nll_body, "nll_loss"), Function(_cross_entropy_body, "cross_entropy"), Function(_soft_body, "cross_entropy")


def _bad_labels_body(y: Any, ignore: Any, count: Any) -> Any:
    outside = ops.bitwise_or(ops.less(y, 0), ops.greater_equal(y, ops.cast(count, aval_of(y).dtype)))
    return jnp.any(ops.bitwise_and(outside, ops.not_equal(y, ops.cast(ignore, aval_of(y).dtype))))


_bad_labels = Function(_bad_labels_body, "check_labels")


def _check_labels(input: Tensor, target: Tensor, ignore: int) -> None:
    """Shapes, dtype and range of class labels: range here where they are known, else when the program runs."""
    array = target._value()
    shape, labels, kind = input._value().aval.shape, array.aval.shape, array.aval.dtype
    classes = 0 if len(shape) == 1 else 1
    if labels != shape[:classes] + shape[classes + 1 :]:
        if shape and labels and shape[0] != labels[0]:
            raise ValueError(f"Expected input batch_size ({shape[0]}) to match target batch_size ({labels[0]}).")
        raise RuntimeError(f"Expected target size {list(shape[:classes] + shape[classes + 1 :])}, got {list(labels)}")
    if not dtypes.is_integer(kind):
        raise RuntimeError(f"expected scalar type Long but found {target.dtype}")
    if transforming() or not array.aval.size:
        return
    count = shape[classes]
    if target._lies_within(0, count - 1):
        return
    if isinstance(array._data, Deferred):
        error = IndexBoundsError(f"Target is out of bounds: labels must be from 0 to {count - 1}")
        (failed,), _ = _bad_labels.record((array, ignore, count))
        current_recorder().check(failed, lambda: error)
        return
    values = array._numpy()
    bad = values[((values < 0) | (values >= count)) & (values != ignore)]
    if bad.size:
        raise IndexBoundsError(f"Target {bad.reshape(-1)[0]} is out of bounds: labels must be from 0 to {count - 1}")


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """`-log(softmax(input))` at labels (N, d...), or against probabilities (N, C, d...); classes are dimension 1, or 0 of a vector.

    IndexError for a label outside; labels equal to `ignore_index` count for nothing.
    """
    given = () if weight is None else (weight,)
    _checked_reduction(reduction)
    if dtypes.is_float(target._value().aval.dtype) and target.shape == input.shape:
        return apply(_soft_cross_entropy, (input, target, *given, float(label_smoothing)), (reduction,))
    _check_labels(input, target, ignore_index)
    return apply(_cross_entropy, (input, target, *given, ignore_index, float(label_smoothing)), (reduction, label_smoothing != 0.0))


def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, ignore_index: int = -100, reduce: Any = None, reduction: str = "mean") -> Any:
    """`-input` at labels, `input` being log-probabilities."""
    _checked_reduction(reduction)
    _check_labels(input, target, ignore_index)
    return apply(_nll, (input, target, *(() if weight is None else (weight,)), ignore_index, 0.0), (reduction, False))
