"""Distances of vectors, and losses that ask for a margin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fdl.numpy as jnp
from fdl import nn, ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.checks import OutsideError, broken, check_range
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.reductions import power_norm
from fdl.stateful.nn.functional.losses import checked_reduction, reducing

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "pairwise_distance",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


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


_hinge, _embedding_loss = (
    reducing(_hinge_body, "hinge_embedding_loss"),
    reducing(_embedding_loss_body, "cosine_embedding_loss"),
)
_multi_margin, _multilabel, _soft_multilabel = (
    reducing(_multi_margin_body, "multi_margin_loss"),
    reducing(_multilabel_body, "multilabel_margin_loss"),
    reducing(_soft_multilabel_body, "multilabel_soft_margin_loss"),
)
_triplet = reducing(_triplet_body, "triplet_margin_loss")
_ranking = reducing(
    lambda a, b, y, margin: _above(ops.add(ops.mul(ops.neg(y), ops.sub(a, b)), ops.cast(margin, aval_of(a).dtype))),
    "margin_ranking_loss",
)
_soft_margin = reducing(lambda x, y: ops.log1p(ops.exp(ops.mul(ops.neg(y), x))), "soft_margin_loss")


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Distances where the target is 1, what they lack to `margin` where it is -1."""
    return apply(_hinge, (input, target, float(margin)), (checked_reduction(reduction),))


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
    return apply(_embedding_loss, (input1, input2, target, float(margin)), (checked_reduction(reduction),))


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
    return apply(_ranking, (input1, input2, target, float(margin)), (checked_reduction(reduction),))


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
        (int(p), checked_reduction(reduction)),
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
    return apply(_multilabel, (input, target), (checked_reduction(reduction),))


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
        _soft_multilabel, (input, target, *(() if weight is None else (weight,))), (checked_reduction(reduction),)
    )


def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """`log(1 + exp(-target * input))`."""
    return apply(_soft_margin, (input, target), (checked_reduction(reduction),))


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
        (float(p), swap, checked_reduction(reduction)),
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
    return loss if checked_reduction(reduction) == "none" else loss.mean() if reduction == "mean" else loss.sum()
