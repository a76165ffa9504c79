"""Losses as functions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import fdl.numpy as jnp
from fdl import nn, ops
from fdl.core import dtypes
from fdl.core.errors import IndexBoundsError
from fdl.core.trace import aval_of
from fdl.extend import Function, custom_jvp
from fdl.stateful._checks import Failure, OutsideError, broken, check_domain, check_range, require
from fdl.stateful._errors import ArgumentError, TensorError, no_tensor
from fdl.stateful._tensor import Composite, Tensor, apply
from fdl.stateful.functions.reductions import power_norm
from fdl.stateful.nn.functional.layers import linear
from fdl.stateful.nn.functional.settings import settings_of

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss", "cosine_similarity",
    "cross_entropy", "gaussian_nll_loss",
    "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss", "linear_cross_entropy", "margin_ranking_loss",
    "mse_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "nll_loss", "pairwise_distance", "poisson_nll_loss", "smooth_l1_loss",
    "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip


def _reduced(loss: Any, reduction: str) -> Any:
    axes = range(aval_of(loss).ndim)
    return loss if reduction == "none" else ops.reduce_sum(loss, axes) if reduction == "sum" else jnp.mean(loss)


def _checked_reduction(reduction: str) -> str:
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{reduction} is not a valid value for reduction")
    return reduction


def _require_tensors(name: str, input: Any, target: Any) -> None:
    if not isinstance(input, (Tensor, Composite)):
        raise no_tensor(input, name, "input", 1)
    if not isinstance(target, (Tensor, Composite)):
        raise no_tensor(target, name, "target", 2)


def _warn_of_sizes(name: str, input: Any, target: Any) -> None:
    """A warning, as PyTorch's, where sizes differ: what broadcasts here is mostly a mistake."""
    if type(input) is not Tensor or type(target) is not Tensor:
        _require_tensors(name, input, target)
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size: target.unsqueeze(1) or input.squeeze(1).",
            stacklevel=3,
        )


def _loss(name: str, body: Callable[..., Any], doc: str, **defaults: Any) -> Callable[..., Any]:
    """A loss of input and target, elementwise and then reduced; further parameters are numbers."""
    function = Function(lambda x, y, *args: _reduced(body(x, y, *args[:-1]), args[-1]), name)

    def public(
        input: Tensor,
        target: Tensor,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        **kwargs: Any,
    ) -> Any:
        _warn_of_sizes(name, input, target)
        return apply(
            function,
            (input, target, *settings_of(name, defaults, (), kwargs).values()),
            (_checked_reduction(reduction),),
        )

    public.__name__, public.__doc__ = name, doc
    return public


def _pinned(log: Any) -> Any:
    """Logarithms no lower than -100, as PyTorch takes them."""
    return ops.select(ops.less(log, -100.0), -100.0, log)


@custom_jvp
def _binary_body(p: Any, y: Any) -> Any:
    return ops.neg(ops.add(ops.mul(y, _pinned(ops.log(p))), ops.mul(ops.sub(1, y), _pinned(ops.log1p(ops.neg(p))))))


@_binary_body.defjvp
def _(primals: Any, tangents: Any) -> Any:
    """At 0 and 1 the slope is finite, as PyTorch's is: what has saturated can be trained on."""
    (p, y), (dp, dy) = primals, tangents
    room = ops.maximum(ops.mul(p, ops.sub(1, p)), 1e-12)
    slope = ops.sub(_pinned(ops.log1p(ops.neg(p))), _pinned(ops.log(p)))
    return _binary_body(p, y), ops.add(ops.mul(dp, ops.div(ops.sub(p, y), room)), ops.mul(dy, slope))


def _logits_body(x: Any, y: Any) -> Any:
    return ops.sub(nn.softplus(x), ops.mul(x, y))


def _huber_body(x: Any, y: Any, delta: Any) -> Any:
    gap, delta = ops.abs(ops.sub(x, y)), ops.cast(delta, aval_of(x).dtype)
    near = ops.mul(
        ops.integer_pow(ops.minimum(gap, delta), 2), 0.5
    )  # not of what is far: infinite squares would make its gradient NaN
    return ops.select(ops.less(gap, delta), near, ops.mul(delta, ops.sub(gap, ops.mul(delta, 0.5))))


def _smooth_body(x: Any, y: Any, beta: Any) -> Any:
    gap, beta = ops.abs(ops.sub(x, y)), ops.cast(beta, aval_of(x).dtype)
    divisor = ops.select(ops.equal(beta, 0), 1.0, beta)  # nothing is below 0: linear everywhere
    near = ops.div(ops.mul(ops.integer_pow(ops.minimum(gap, beta), 2), 0.5), divisor)
    return ops.select(ops.less(gap, beta), near, ops.sub(gap, ops.mul(beta, 0.5)))


mse_loss = _loss("mse_loss", lambda x, y: ops.integer_pow(ops.sub(x, y), 2), "The squared distance.")
l1_loss = _loss("l1_loss", lambda x, y: ops.abs(ops.sub(x, y)), "The distance.")
huber_loss = _loss("huber_loss", _huber_body, "Squared below `delta`, linear above.", delta=1.0)
smooth_l1_loss = _loss("smooth_l1_loss", _smooth_body, "Squared below `beta`, linear above.", beta=1.0)


def _weighted(loss: Any, weight: Sequence[Any], reduction: str) -> Any:
    return _reduced(ops.mul(loss, weight[0]) if weight else loss, reduction)


def _logits_loss_body(x: Any, y: Any, *args: Any) -> Any:
    *given, has_weight, has_positive, reduction = args
    rest = list(given)
    weight = [rest.pop(0)] if has_weight else []
    if not has_positive:
        return _weighted(_logits_body(x, y), weight, reduction)
    more = ops.add(ops.mul(ops.sub(rest[0], 1), y), 1)  # weight of log(sigmoid(x))
    return _weighted(ops.add(ops.mul(ops.sub(1, y), x), ops.mul(more, nn.softplus(ops.neg(x)))), weight, reduction)


_binary = Function(lambda p, y, *args: _weighted(_binary_body(p, y), args[:-1], args[-1]), "binary_cross_entropy")
_logits = Function(_logits_loss_body, "binary_cross_entropy_with_logits")


def _same_size(input: Tensor, target: Tensor, what: str) -> None:
    if input.shape != target.shape:
        raise ArgumentError(f"{what} ({target.shape}) must be the same as input size ({input.shape})")


_NO_INPUT, _NO_TARGET = (
    broken(f"all elements of {what} should be between 0 and 1", hint, show=True)
    for what, hint in (
        ("input", "binary_cross_entropy_with_logits takes what is not squeezed by a sigmoid"),
        ("target", ""),
    )
)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Cross entropy of probabilities with targets in [0, 1]."""
    _require_tensors("binary_cross_entropy", input, target)
    if input.shape != target.shape:
        raise ArgumentError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is "
            "deprecated. Please ensure they have the same size."
        )
    for given, failure in ((input, _NO_INPUT), (target, _NO_TARGET)):
        check_domain(given, 0, 1, failure)
    if input.dtype.is_floating_point and not target.dtype.is_floating_point:
        raise TensorError(f"Found dtype {target.dtype.legacy_name} but expected {input.dtype.legacy_name}")
    return apply(_binary, (input, target, *(() if weight is None else (weight,))), (_checked_reduction(reduction),))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Any:
    """`binary_cross_entropy(sigmoid(x))` without overflow; `pos_weight` weighs what is 1."""
    _require_tensors("binary_cross_entropy_with_logits", input, target)
    _same_size(input, target, "Target size")
    given = [t for t in (weight, pos_weight) if t is not None]
    return apply(
        _logits, (input, target, *given), (weight is not None, pos_weight is not None, _checked_reduction(reduction))
    )


_kl = Function(lambda x, y, reduction, log: _kl_body(x, y, reduction, log), "kl_div")


def _kl_body(x: Any, y: Any, reduction: str, log_target: bool) -> Any:
    terms = (
        ops.mul(ops.exp(y), ops.sub(y, x))
        if log_target
        else ops.sub(
            ops.select(ops.equal(y, 0), 0, ops.mul(y, ops.log(ops.select(ops.equal(y, 0), 1, y)))), ops.mul(y, x)
        )
    )
    if reduction == "batchmean":
        return ops.div(_reduced(terms, "sum"), float(aval_of(x).shape[0] if aval_of(x).ndim else 1))
    return _reduced(terms, reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """`target * (log(target) - input)`, input being log-probabilities; "batchmean" divides by the batch size."""
    return apply(
        _kl, (input, target), (reduction if reduction == "batchmean" else _checked_reduction(reduction), log_target)
    )


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
        loss = ops.add(
            ops.mul(loss, ops.sub(1, ops.cast(smoothing, loss.dtype))),
            ops.mul(even, ops.div(ops.cast(smoothing, loss.dtype), float(count))),
        )
    if reduction != "mean":
        return _reduced(loss, reduction)
    empty = ops.equal(total, 0)  # a batch of ignored labels: the loss is NaN, its gradient zero
    return ops.select(
        empty, math.nan, ops.div(ops.reduce_sum(loss, range(aval_of(loss).ndim)), ops.select(empty, 1, total))
    )


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
    return (
        ops.div(_reduced(loss, "sum"), float(max(1, math.prod(aval_of(loss).shape))))
        if reduction == "mean"
        else _reduced(loss, reduction)
    )


_nll, _cross_entropy, _soft_cross_entropy = (
    Function(_nll_body, "nll_loss"),
    Function(_cross_entropy_body, "cross_entropy"),
    Function(_soft_body, "cross_entropy"),
)


def _bad_labels_body(y: Any, ignore: Any, count: Any) -> Any:
    y = ops.cast(y, dtypes.int64)
    return ops.bitwise_and(ops.bitwise_or(ops.less(y, 0), ops.greater_equal(y, count)), ops.not_equal(y, ignore))


_bad_labels = Function(_bad_labels_body, "check_labels")


def _check_labels(input: Tensor, target: Tensor, ignore: int) -> None:
    """Shapes, dtype and range of class labels: range here where they are known, else when the program runs."""
    array = target._value()
    shape, labels, kind = input._value().aval.shape, array.aval.shape, array.aval.dtype
    classes = 0 if len(shape) == 1 else 1
    if labels != shape[:classes] + shape[classes + 1 :]:
        if shape and labels and shape[0] != labels[0]:
            raise ArgumentError(f"Expected input batch_size ({shape[0]}) to match target batch_size ({labels[0]}).")
        raise TensorError(f"Expected target size {list(shape[:classes] + shape[classes + 1 :])}, got {list(labels)}")
    if kind not in (dtypes.int64, dtypes.uint8):
        raise TensorError(
            f"expected target dtype to be Long or Byte, but got {target.dtype}",
            why="labels are numbers of classes",
            hint="target.long()",
        )
    count = shape[classes]
    if not array.aval.size or target._lies_within(0, count - 1):
        return
    if not count:
        raise IndexBoundsError("Target is out of bounds.", why="there are no classes")
    hint = f"labels from 0 to {count - 1}, or {ignore} to ignore one"
    require(
        _bad_labels,
        (target, ignore, count),
        Failure(IndexBoundsError, "Target {} is out of bounds.", "Target is out of bounds.", hint),
    )


def _check_weight(input: Tensor, weight: Tensor | None) -> None:
    if weight is not None and tuple(weight.shape) != (count := input.shape[min(1, input.ndim - 1)],):
        raise TensorError(
            f"weight tensor should be defined either for all {count} classes or no classes but got weight tensor "
            f"of shape: {list(weight.shape)}"
        )


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
    """`-log(softmax(input))` at labels (N, d...), or against probabilities (N, C, d...); classes are dimension 1, or 0
    of a vector.

    IndexError for a label outside; labels equal to `ignore_index` count for nothing.
    """
    given = () if weight is None else (weight,)
    _checked_reduction(reduction)
    _require_tensors("cross_entropy_loss", input, target)
    _check_weight(input, weight)
    if dtypes.is_float(target._value().aval.dtype) and target.shape == input.shape:
        return apply(_soft_cross_entropy, (input, target, *given, float(label_smoothing)), (reduction,))
    _check_labels(input, target, ignore_index)
    return apply(
        _cross_entropy,
        (input, target, *given, ignore_index, float(label_smoothing)),
        (reduction, label_smoothing != 0.0),
    )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """`-input` at labels, `input` being log-probabilities."""
    _checked_reduction(reduction)
    _require_tensors("nll_loss", input, target)
    _check_weight(input, weight)
    _check_labels(input, target, ignore_index)
    return apply(_nll, (input, target, *(() if weight is None else (weight,)), ignore_index, 0.0), (reduction, False))


# Distances and margins


def _similarity_body(a: Any, b: Any, eps: Any, axis: int) -> Any:
    """The product over the lengths, none of which counts as less than eps."""
    a, b = jnp.broadcast_arrays(a, b)
    eps = ops.cast(eps, aval_of(a).dtype)
    lengths = [ops.reduce_sum(ops.integer_pow(v, 2), (axis,)) for v in (a, b)]
    lengths = [ops.maximum(ops.sqrt(ops.select(ops.greater(v, 0), v, 0)), eps) for v in lengths]
    return ops.div(ops.reduce_sum(ops.mul(a, b), (axis,)), ops.mul(*lengths))


def _distance_body(a: Any, b: Any, p: Any, eps: Any, exponent: float, keepdim: bool) -> Any:
    gap = ops.add(ops.sub(a, b), ops.cast(eps, aval_of(a).dtype))
    axis = aval_of(gap).ndim - 1
    found = power_norm(gap, exponent, (axis,))
    return ops.expand_dims(found, (axis,)) if keepdim else found


_similarity, _distance = Function(_similarity_body, "cosine_similarity"), Function(_distance_body, "pairwise_distance")


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along a dimension."""
    ndim = max(x1.ndim, x2.ndim)
    if not ndim:
        return apply(_similarity, (x1.reshape(1), x2.reshape(1), float(eps)), (0,))
    return apply(_similarity, (x1, x2, float(eps)), (dim % ndim,))


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of `x1 - x2 + eps` along the last dimension."""
    return apply(_distance, (x1, x2, float(p), float(eps)), (float(p), keepdim))


def _above(x: Any) -> Any:
    """max(x, 0), with gradient 1 at 0: what lies on its margin is still pushed, as in PyTorch."""
    return ops.select(ops.less(x, 0), 0, x)


def _hinge_body(x: Any, y: Any, margin: Any) -> Any:
    margin = ops.cast(margin, aval_of(x).dtype)
    positive, negative = (
        ops.select(ops.not_equal(y, -1), x, 0),
        ops.select(ops.not_equal(y, 1), _above(ops.sub(margin, x)), 0),
    )
    return ops.add(positive, negative)


def _poisson_body(x: Any, y: Any, eps: Any, log_input: bool, full: bool) -> Any:
    loss = (
        ops.sub(ops.exp(x), ops.mul(y, x))
        if log_input
        else ops.sub(x, ops.mul(y, ops.log(ops.add(x, ops.cast(eps, aval_of(x).dtype)))))
    )
    if not full:
        return loss
    above = ops.greater(y, 1)
    safe = ops.select(above, y, 2)
    stirling = ops.add(ops.sub(ops.mul(safe, ops.log(safe)), safe), ops.mul(ops.log(ops.mul(safe, 2 * math.pi)), 0.5))
    return ops.add(loss, ops.select(above, stirling, 0))


def _gaussian_body(x: Any, y: Any, variance: Any, eps: Any, full: bool) -> Any:
    floor = ops.cast(eps, aval_of(variance).dtype)
    held = ops.add(variance, ops.stop_gradient(ops.sub(ops.maximum(variance, floor), variance)))
    loss = ops.mul(ops.add(ops.log(held), ops.div(ops.integer_pow(ops.sub(x, y), 2), held)), 0.5)
    return ops.add(loss, 0.5 * math.log(2 * math.pi)) if full else loss


def _embedding_loss_body(a: Any, b: Any, y: Any, margin: Any) -> Any:
    """As PyTorch: eps is added to squared lengths, and to what they are divided by."""
    axis, eps = aval_of(a).ndim - 1, 1e-12
    products, la, lb = (ops.reduce_sum(ops.mul(u, v), (axis,)) for u, v in ((a, b), (a, a), (b, b)))
    cosine = ops.div(products, ops.sqrt(ops.mul(ops.add(la, eps), ops.add(lb, eps))))
    return ops.select(ops.equal(y, 1), ops.sub(1, cosine), _above(ops.sub(cosine, ops.cast(margin, aval_of(a).dtype))))


def _multi_margin_body(x: Any, y: Any, *args: Any) -> Any:
    *weight, margin, p = args
    if not aval_of(x).ndim:
        x, y = ops.reshape(x, (1,)), ops.reshape(y, ())
    last = aval_of(x).ndim - 1
    own = ops.expand_dims(ops.gather(x, [y], (last,), last), (last,))
    gap = nn.relu(ops.add(ops.sub(x, own), ops.cast(margin, aval_of(x).dtype)))
    terms = ops.integer_pow(gap, p)
    if weight:
        terms = ops.mul(terms, ops.expand_dims(ops.gather(weight[0], [y], (0,)), (last,)))
    mine = ops.equal(
        ops.iota(aval_of(x).shape, last, aval_of(y).dtype),
        ops.expand_dims(y, (last,)) if last else ops.broadcast_to(y, aval_of(x).shape),
    )
    return ops.div(ops.reduce_sum(ops.select(mine, 0, terms), (last,)), float(aval_of(x).shape[last]))


def _multilabel_body(x: Any, y: Any) -> Any:
    """Targets are places of labels, up to the first negative one."""
    if not aval_of(x).ndim:
        x, y = ops.reshape(x, (1,)), ops.reshape(y, (1,))
    last = aval_of(x).ndim - 1
    n = aval_of(x).shape[last]
    valid = ops.equal(jnp.cumsum(ops.convert(ops.less(y, 0), dtypes.int32), last), 0)
    places = ops.iota((*aval_of(y).shape, n), last + 1, aval_of(y).dtype)
    one_hot = ops.bitwise_and(
        ops.equal(places, ops.broadcast(y, (*aval_of(y).shape, n), range(last + 1))),
        ops.broadcast(valid, (*aval_of(y).shape, n), range(last + 1)),
    )
    is_label = ops.greater(ops.reduce_sum(ops.convert(one_hot, dtypes.int32), (last,)), 0)
    own = ops.gather(x, [ops.select(valid, y, 0)], (last,), last)
    own, others = ops.expand_dims(own, (last + 1,)), ops.expand_dims(x, (last,))
    gap = nn.relu(ops.add(ops.sub(1, own), others))
    counts = ops.bitwise_and(ops.expand_dims(valid, (last + 1,)), ops.expand_dims(ops.bitwise_not(is_label), (last,)))
    return ops.div(ops.reduce_sum(ops.select(counts, gap, 0), (last, last + 1)), float(n))


def _soft_multilabel_body(x: Any, y: Any, *weight: Any) -> Any:
    terms = ops.neg(ops.add(ops.mul(y, nn.log_sigmoid(x)), ops.mul(ops.sub(1, y), nn.log_sigmoid(ops.neg(x)))))
    terms = ops.mul(terms, weight[0]) if weight else terms
    return jnp.mean(terms, -1)


def _triplet_body(anchor: Any, positive: Any, negative: Any, margin: Any, eps: Any, p: float, swap: bool) -> Any:
    near, far = (_distance_body(anchor, v, p, eps, p, False) for v in (positive, negative))
    if swap:
        far = ops.minimum(far, _distance_body(positive, negative, p, eps, p, False))
    return _above(ops.add(ops.sub(near, far), ops.cast(margin, aval_of(near).dtype)))


def _reducing(body: Callable[..., Any], name: str) -> Function:
    """A loss whose last argument is the reduction."""
    return Function(lambda *args: _reduced(body(*args[:-1]), args[-1]), name)


_hinge, _poisson, _gaussian = (
    _reducing(_hinge_body, "hinge_embedding_loss"),
    _reducing(_poisson_body, "poisson_nll_loss"),
    _reducing(_gaussian_body, "gaussian_nll_loss"),
)
_embedding_loss, _multi_margin = (
    _reducing(_embedding_loss_body, "cosine_embedding_loss"),
    _reducing(_multi_margin_body, "multi_margin_loss"),
)
_multilabel, _soft_multilabel = (
    _reducing(_multilabel_body, "multilabel_margin_loss"),
    _reducing(_soft_multilabel_body, "multilabel_soft_margin_loss"),
)
_triplet = _reducing(_triplet_body, "triplet_margin_loss")
_ranking = _reducing(
    lambda a, b, y, margin: _above(ops.add(ops.mul(ops.neg(y), ops.sub(a, b)), ops.cast(margin, aval_of(a).dtype))),
    "margin_ranking_loss",
)
_soft_margin = _reducing(lambda x, y: ops.log1p(ops.exp(ops.mul(ops.neg(y), x))), "soft_margin_loss")


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Distances where the target is 1, what they lack to `margin` where it is -1."""
    return apply(_hinge, (input, target, float(margin)), (_checked_reduction(reduction),))


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Negative log-likelihood of counts; `full` adds Stirling's term."""
    return apply(_poisson, (input, target, float(eps)), (log_input, full, _checked_reduction(reduction)))


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood of normal values with mean `input` and variance `var`, which is held above `eps`."""
    var = var if isinstance(var, Tensor) else input.new_full(input.shape, float(var))
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif len(var.shape) != len(input.shape) or any(
            v not in (1, n) for v, n in zip(var.shape, input.shape, strict=True)
        ):
            raise ArgumentError("var is of incorrect size")
        var = var.expand_as(input)
    return apply(_gaussian, (input, target, var, float(eps)), (full, _checked_reduction(reduction)))


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """One less the cosine where the target is 1, the cosine above `margin` where it is -1."""
    return apply(_embedding_loss, (input1, input2, target, float(margin)), (_checked_reduction(reduction),))


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """What `target * (input1 - input2)` lacks to `margin`."""
    return apply(_ranking, (input1, input2, target, float(margin)), (_checked_reduction(reduction),))


_OUT_OF_RANGE = broken("target out of range", error=OutsideError)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """How far other classes come within `margin` of the right one, to the power p."""
    if p not in (1, 2):
        raise ArgumentError("only p == 1 and p == 2 supported")
    target = target.reshape(()) if input.ndim == 1 else target
    check_range(target, 0, (input.shape[-1] if input.ndim else 1) - 1, _OUT_OF_RANGE)
    return apply(
        _multi_margin,
        (input, target, *(() if weight is None else (weight,)), float(margin)),
        (int(p), _checked_reduction(reduction)),
    )


def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """How far other classes come within 1 of each right one; targets are labels, then -1."""
    check_range(
        target,
        -1,
        (input.shape[-1] if input.ndim else 1) - 1,
        broken("argument #2 'target' is out of range", error=OutsideError),
    )
    return apply(_multilabel, (input, target), (_checked_reduction(reduction),))


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Binary cross entropy of each class, averaged over classes."""
    return apply(
        _soft_multilabel, (input, target, *(() if weight is None else (weight,))), (_checked_reduction(reduction),)
    )


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """`log(1 + exp(-target * input))`."""
    return apply(_soft_margin, (input, target), (_checked_reduction(reduction),))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """What the negative's distance lacks to the positive's and `margin` (Balntas et al., 2016)."""
    return apply(
        _triplet,
        (anchor, positive, negative, float(margin), float(eps)),
        (float(p), swap, _checked_reduction(reduction)),
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_loss` with a distance of the user's."""
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    loss = (near - far + margin).clamp(min=0)
    return loss if _checked_reduction(reduction) == "none" else loss.mean() if reduction == "mean" else loss.sum()


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """`cross_entropy(linear(input, linear_weight), target)`; the weight is (classes, features) or, for labels of more
    dimensions, (classes, ..., features).
    """
    classes, *more, features = linear_weight.shape
    logits: Any = linear(
        input, linear_weight.reshape(-1, features), None if linear_bias is None else linear_bias.reshape(-1)
    )
    logits = logits.unflatten(-1, (classes, *more)) if more else logits
    return cross_entropy(
        logits,
        target,
        weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
