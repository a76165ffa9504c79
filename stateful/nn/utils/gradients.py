"""Gradients limited, parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.autograd import no_grad
from fdl.stateful.core.cells import note_gradient
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.operands import refuse_complex
from fdl.stateful.core.tensor import Composite, Tensor, apply, held_by, wrap
from fdl.stateful.functions.shapes import cat


def _clip_body(*args: Any) -> Any:
    *grads, limit, order = args
    total = _total(grads, order)
    factor = ops.minimum(ops.div(ops.cast(limit, aval_of(total).dtype), ops.add(total, 1e-6)), 1.0)
    return (total, *[ops.mul(g, ops.cast(factor, aval_of(g).dtype)) for g in grads])


def _total(grads: Sequence[Any], order: float) -> Any:
    grads = [ops.absolute(g) if dtypes.is_complex(aval_of(g).dtype) else g for g in grads]
    if order == math.inf:
        found = [ops.reduce_max(ops.abs(g), range(aval_of(g).ndim)) for g in grads]
        total = found[0]
        for x in found[1:]:
            total = ops.maximum(total, x)
        return total
    powers = [
        ops.reduce_sum(ops.integer_pow(g, 2) if order == 2 else ops.pow(ops.abs(g), order), range(aval_of(g).ndim))
        for g in grads
    ]
    total = powers[0]
    for x in powers[1:]:
        total = ops.add(total, x)
    return ops.sqrt(total) if order == 2 else ops.pow(total, 1 / order)


_clip = Function(_clip_body, "clip_grad_norm")
_norm = Function(lambda *args: _total(args[:-1], args[-1]), "total_norm")


def _limit_body(g: Any, limit: Any) -> Any:
    refuse_complex("clamp", g)
    limit = ops.cast(limit, aval_of(g).dtype)
    return ops.minimum(ops.maximum(g, ops.neg(limit)), limit)


_limit = Function(_limit_body, "clip_grad_value")


def _with_gradients(parameters: Any) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, (Tensor, Composite)) else parameters
    found = [p for p in held_by(given) if p.grad is not None]
    for p in found:
        note_gradient(p)
    return found


@no_grad()
def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients so that their common norm is at most `max_norm`; returns the norm that they had."""
    owners = _with_gradients(parameters)
    if not owners:
        return wrap(ops.full((), 0.0, "float32"))
    results = apply(_clip, (*[p.grad for p in owners], float(max_norm)), (float(norm_type),))
    if error_if_nonfinite and not math.isfinite(results[0].item()):
        raise TensorError(
            f"The total norm of order {norm_type} for gradients is non-finite, so it cannot be clipped; "
            "error_if_nonfinite=False scales them anyway"
        )
    for p, clipped in zip(owners, results[1:], strict=True):
        p.grad._overwrite(clipped)
    return results[0]  # type: ignore[no-any-return]


clip_grad_norm = clip_grad_norm_  # its older name


@no_grad()
def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0) -> Tensor:
    """The common norm of tensors."""
    return apply(_norm, tuple(tensors), (float(norm_type),))  # type: ignore[no-any-return]


@no_grad()
def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Move each element of the gradients into [-clip_value, clip_value]."""
    for p in _with_gradients(parameters):
        p.grad._overwrite(apply(_limit, (p.grad, float(clip_value))))


def parameters_to_vector(parameters: Iterable[Any]) -> Tensor:
    """All parameters, flat, one after another."""
    return cat([p.view(-1) for p in parameters])


@no_grad()
def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Put parts of a vector into parameters."""
    start = 0
    for p in parameters:
        p._overwrite(vec[start : start + p.numel()].reshape(*p.shape))
        start += p.numel()
