"""Losses of regression and of likelihoods, and how a loss is reduced.

`classification` holds cross entropies, `margins` what compares distances.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of
from fdl.stateful.core.errors import ArgumentError, no_tensor
from fdl.stateful.core.methods import named
from fdl.stateful.core.operands import refuse_complex
from fdl.stateful.core.tensor import Composite, Tensor, apply
from fdl.stateful.nn.functional.settings import settings_of

__all__ = ["gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss"]


def reduced(loss: Any, reduction: str) -> Any:
    """The terms of a loss as they are ("none"), their sum or their mean; inside of a recorded function."""
    axes = range(aval_of(loss).ndim)
    return loss if reduction == "none" else ops.reduce_sum(loss, axes) if reduction == "sum" else jnp.mean(loss)


def checked_reduction(reduction: str) -> str:
    """The reduction; ValueError where it is none of "none", "mean" and "sum"."""
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{reduction} is not a valid value for reduction")
    return reduction


def require_tensors(name: str, input: Any, target: Any) -> None:
    """TypeError, with the name of the loss, where input or target is no tensor."""
    if not isinstance(input, (Tensor, Composite)):
        raise no_tensor(input, name, "input", 1)
    if not isinstance(target, (Tensor, Composite)):
        raise no_tensor(target, name, "target", 2)


def _warn_of_sizes(name: str, input: Any, target: Any) -> None:
    """A warning, as PyTorch's, where sizes differ: what broadcasts here is mostly a mistake."""
    if type(input) is not Tensor or type(target) is not Tensor:
        require_tensors(name, input, target)
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size: target.unsqueeze(1) or input.squeeze(1).",
            stacklevel=3,
        )


def _loss(name: str, body: Callable[..., Any], doc: str, **defaults: Any) -> Callable[..., Any]:
    """A loss of input and target, elementwise and then reduced; further parameters are numbers."""
    function = Function(lambda x, y, *args: reduced(body(x, y, *args[:-1]), args[-1]), name)

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
            (checked_reduction(reduction),),
        )

    return named(public, name, doc)


def _squared_body(x: Any, y: Any) -> Any:
    refuse_complex("mse_loss", x, y)
    return ops.integer_pow(ops.sub(x, y), 2)


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


mse_loss = _loss("mse_loss", lambda x, y: _squared_body(x, y), "The squared distance.")
l1_loss = _loss("l1_loss", lambda x, y: jnp.abs(ops.sub(x, y)), "The distance.")
huber_loss = _loss("huber_loss", _huber_body, "Squared below `delta`, linear above.", delta=1.0)
smooth_l1_loss = _loss("smooth_l1_loss", _smooth_body, "Squared below `beta`, linear above.", beta=1.0)


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
        return ops.div(reduced(terms, "sum"), float(aval_of(x).shape[0] if aval_of(x).ndim else 1))
    return reduced(terms, reduction)


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
        _kl, (input, target), (reduction if reduction == "batchmean" else checked_reduction(reduction), log_target)
    )


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


def reducing(body: Callable[..., Any], name: str) -> Function:
    """A loss whose last argument is the reduction."""
    return Function(lambda *args: reduced(body(*args[:-1]), args[-1]), name)


_poisson, _gaussian = reducing(_poisson_body, "poisson_nll_loss"), reducing(_gaussian_body, "gaussian_nll_loss")


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
    return apply(_poisson, (input, target, float(eps)), (log_input, full, checked_reduction(reduction)))


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
    return apply(_gaussian, (input, target, var, float(eps)), (full, checked_reduction(reduction)))
