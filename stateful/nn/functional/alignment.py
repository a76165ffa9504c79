"""Connectionist temporal classification: the likelihood of labels whose places are not known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl import lax, ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.creation import from_numpy, tensor

__all__ = ["ctc_loss"]

_LOW = -1e30  # the logarithm of nothing, whose differences are numbers


def _log_sum(terms: list[Any]) -> Any:
    top = terms[0]
    for t in terms[1:]:
        top = ops.maximum(top, t)
    top = ops.stop_gradient(ops.maximum(top, _LOW))
    total = None
    for t in terms:
        part = ops.exp(ops.sub(t, top))
        total = part if total is None else ops.add(total, part)
    return ops.add(ops.log(total), top)


def _shifted(x: Any, by: int) -> Any:
    n, s = aval_of(x).shape
    return ops.slice_in_dim(ops.concatenate([ops.full((n, by), _LOW, aval_of(x).dtype), x], 1), 0, s, 1)


def _ctc_body(logp: Any, labels: Any, input_lengths: Any, target_lengths: Any, blank: int, zero_infinity: bool) -> Any:
    """The forward recursion of Graves et al., 2006, over labels with blanks in between; log-probabilities are (T, N,
    C), labels (N, S).
    """
    steps, batch, _ = aval_of(logp).shape
    width = aval_of(labels).shape[1]
    size = 2 * width + 1
    spread = ops.reshape(
        ops.concatenate([ops.full((batch, width, 1), blank, aval_of(labels).dtype), ops.expand_dims(labels, (2,))], 2),
        (batch, 2 * width),
    )
    extended = ops.concatenate([spread, ops.full((batch, 1), blank, aval_of(labels).dtype)], 1)
    before = ops.slice_in_dim(
        ops.concatenate([ops.full((batch, 2), -1, aval_of(labels).dtype), extended], 1), 0, size, 1
    )
    skips = ops.bitwise_and(ops.not_equal(extended, blank), ops.not_equal(extended, before))
    emitted = ops.gather_along(logp, jnp.broadcast_to(ops.expand_dims(extended, (0,)), (steps, batch, size)), 2)
    place = ops.iota((batch, size), 1, dtypes.int64)
    lengths = ops.broadcast(target_lengths, (batch, size), (0,))
    reachable = ops.bitwise_or(ops.less(place, 1), ops.bitwise_and(ops.less(place, 2), ops.greater(lengths, 0)))
    first = ops.reshape(ops.slice_in_dim(emitted, 0, 1), (batch, size))
    start = ops.select(reachable, ops.maximum(first, _LOW), _LOW)

    def step(alpha: Any, now: tuple[Any, Any]) -> tuple[Any, None]:
        scores, t = now
        moved = _log_sum([alpha, _shifted(alpha, 1), ops.select(skips, _shifted(alpha, 2), _LOW)])
        new = ops.maximum(ops.add(moved, scores), _LOW)
        alive = ops.broadcast(ops.less(ops.broadcast_to(t, (batch,)), input_lengths), (batch, size), (0,))
        return ops.select(alive, new, alpha), None

    times = ops.add(ops.iota((steps - 1,), 0, dtypes.int64), 1)
    last, _ = lax.scan(step, start, (ops.slice_in_dim(emitted, 1, steps), times))
    ends = ops.mul(target_lengths, 2)
    final = ops.gather_along(last, ops.expand_dims(ends, (1,)), 1)
    label = ops.gather_along(last, ops.expand_dims(ops.maximum(ops.sub(ends, 1), 0), (1,)), 1)
    label = ops.select(ops.greater(ops.expand_dims(target_lengths, (1,)), 0), label, _LOW)
    loss = ops.neg(ops.reshape(_log_sum([final, label]), (batch,)))
    # PyTorch's gradient is that of the logits: it takes the log-probabilities for the result of log_softmax, whose
    # gradient leaves what sums to zero as it is
    inside = ops.broadcast(
        ops.less(ops.iota((steps, batch), 0, dtypes.int64), ops.broadcast(input_lengths, (steps, batch), (1,))),
        aval_of(logp).shape,
        (0, 1),
    )
    mass = ops.reduce_sum(ops.select(inside, ops.exp(logp), 0), (0, 2))
    loss = ops.add(loss, ops.sub(mass, ops.stop_gradient(mass)))
    impossible = ops.greater(loss, -_LOW / 2)
    return ops.select(impossible, 0 if zero_infinity else math.inf, ops.select(impossible, 0, loss))


_ctc = Function(_ctc_body, "ctc_loss")


def _as_lengths(lengths: Any) -> np.ndarray[Any, Any]:
    return np.asarray(lengths.detach().numpy() if isinstance(lengths, Tensor) else lengths).astype(np.int64).reshape(-1)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Negative log-likelihood of labels under log-probabilities (T, N, C) (Graves et al., 2006); "mean" divides by the
    number of labels first.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{reduction} is not a valid value for reduction")
    alone = log_probs.ndim == 2
    x: Any = log_probs.unsqueeze(1) if alone else log_probs
    given, wanted = _as_lengths(input_lengths), _as_lengths(target_lengths)
    labels: Any = targets
    if alone and targets.ndim == 1:
        labels = targets.unsqueeze(0)
    elif targets.ndim == 1:  # one after another
        width, start = int(wanted.max(initial=0)), np.concatenate([[0], np.cumsum(wanted)[:-1]])
        places = np.minimum(start[:, None] + np.arange(width)[None, :], max(targets.numel() - 1, 0))
        labels = targets[from_numpy(places)]
    if given.max(initial=0) > x.shape[0]:
        raise TensorError(f"Expected input_lengths to have value at most {x.shape[0]}, but got value {given.max()}")
    labels = labels.long()
    loss = apply(_ctc, (x, labels, from_numpy(given), from_numpy(wanted)), (blank, zero_infinity))
    if reduction == "mean":
        return (loss / tensor(np.maximum(wanted, 1).astype(x.dtype.np))).mean()
    if reduction == "sum":
        return loss.sum()
    return loss.squeeze(0) if alone else loss
