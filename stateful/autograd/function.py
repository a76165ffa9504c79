"""`torch.autograd.function`: functions with a derivative of their own, and what they are told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fdl.stateful.autograd.custom import Function, FunctionContext
from fdl.stateful.core.modes import no_grad
from fdl.stateful.core.tensor import Tensor

__all__ = ["Function", "FunctionCtx", "InplaceFunction", "once_differentiable"]

FunctionCtx = FunctionContext


class InplaceFunction(Function):
    """A `Function` that may work in place; all may."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A `backward` whose results have no derivative.

    >>> import fdl.stateful as torch
    >>> class Triple(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 3
    ...     @staticmethod
    ...     @torch.autograd.function.once_differentiable
    ...     def backward(ctx, g):
    ...         return g * 3
    >>> x = torch.ones(1, requires_grad=True)
    >>> torch.autograd.grad(Triple.apply(x), x, create_graph=True)[0].requires_grad
    False
    """

    @functools.wraps(fn)
    def public(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            found = fn(ctx, *gradients)
        several = found if isinstance(found, tuple) else (found,)
        plain = tuple(g.detach() if isinstance(g, Tensor) else g for g in several)
        return plain if isinstance(found, tuple) else plain[0]

    return public
