"""Cross entropies: of labels, of classes' probabilities, and of single probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fdl import nn, ops
from fdl.extend import Function, IndexBoundsError, aval_of, custom_jvp, dtypes
from fdl.stateful.core.checks import Failure, broken, check_domain, require
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.nn.functional.losses import checked_reduction, reduced, require_tensors
from fdl.stateful.nn.functional.products import linear

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "linear_cross_entropy",
    "nll_loss",
]


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


def _weighted(loss: Any, weight: Sequence[Any], reduction: str) -> Any:
    return reduced(ops.mul(loss, weight[0]) if weight else loss, reduction)


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
    require_tensors("binary_cross_entropy", input, target)
    if input.shape != target.shape:
        raise ArgumentError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is "
            "deprecated. Please ensure they have the same size."
        )
    for given, failure in ((input, _NO_INPUT), (target, _NO_TARGET)):
        check_domain(given, 0, 1, failure)
    if input.dtype.is_floating_point and not target.dtype.is_floating_point:
        raise TensorError(f"Found dtype {target.dtype.legacy_name} but expected {input.dtype.legacy_name}")
    return apply(_binary, (input, target, *(() if weight is None else (weight,))), (checked_reduction(reduction),))


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
    require_tensors("binary_cross_entropy_with_logits", input, target)
    _same_size(input, target, "Target size")
    given = [t for t in (weight, pos_weight) if t is not None]
    return apply(
        _logits, (input, target, *given), (weight is not None, pos_weight is not None, checked_reduction(reduction))
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
        return reduced(loss, reduction)
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
        ops.div(reduced(loss, "sum"), float(max(1, math.prod(aval_of(loss).shape))))
        if reduction == "mean"
        else reduced(loss, reduction)
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
    checked_reduction(reduction)
    require_tensors("cross_entropy_loss", input, target)
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
    checked_reduction(reduction)
    require_tensors("nll_loss", input, target)
    _check_weight(input, weight)
    _check_labels(input, target, ignore_index)
    return apply(_nll, (input, target, *(() if weight is None else (weight,)), ignore_index, 0.0), (reduction, False))


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
