"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fdl import ops
from fdl.optim import rules
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.optim.optimizer import Draft, Optimizer
from fdl.stateful.optim.stepped import checked, each, to


def _sgd(p: Any, *args: Any) -> Sequence[Any]:
    """Sutskever et al., 2013, as PyTorch writes it: `buffer = momentum * buffer + (1 - dampening) * g; p -= lr *
    buffer`.
    """
    *buffer, g, lr, momentum, dampening, decay, (with_momentum, first, with_decay, nesterov, maximize) = args
    g = ops.neg(g) if maximize else g
    g = rules.decayed(p, g, to(decay, p)) if with_decay else g
    if not with_momentum:
        return [ops.sub(p, ops.mul(g, to(lr, p)))]
    moved = g if first else rules.heavy_ball(buffer[0], g, to(momentum, p), ops.sub(1, to(dampening, p)))
    step = rules.look_ahead(moved, g, to(momentum, p)) if nesterov else moved
    return [ops.sub(p, ops.mul(step, to(lr, p))), moved]


_plain_sgd, _momentum_sgd = each(_sgd, 2, "sgd"), each(_sgd, 3, "sgd_momentum")


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, Nesterov's form, and weight decay.

    >>> import fdl.stateful as torch
    >>> p = torch.nn.Parameter(torch.ones(1)); opt = torch.optim.SGD([p], lr=0.5)
    >>> (p * 3).sum().backward(); opt.step(); p.tolist()
    [-0.5]
    """

    _counts = False
    _options = ("foreach", "differentiable", "fused")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        checked(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def _update(self, group: dict[str, Any], parameters: list[Any], draft: Draft) -> None:
        momentum, dampening = float(group["momentum"]), float(group["dampening"])
        numbers = [float(group["lr"]), momentum, dampening, float(group["weight_decay"])]
        grads = [p.grad for p in parameters]
        if not momentum:
            flags = False, False, group["weight_decay"] != 0, False, group["maximize"]
            draft.update(_plain_sgd, parameters, grads, numbers, (len(parameters), flags))
            return
        states = self._states_of(parameters, ["momentum_buffer"])
        fresh = [s["step"] == 0 for s in states]
        for start in (True, False) if dampening else (None,):  # without dampening, the first buffer is momentum * 0 + g
            chosen = [i for i, f in enumerate(fresh) if start is None or f == start]
            if chosen:
                flags = True, bool(start), group["weight_decay"] != 0, group["nesterov"], group["maximize"]
                cells = [*[parameters[i] for i in chosen], *[states[i]["momentum_buffer"] for i in chosen]]
                draft.update(_momentum_sgd, cells, [grads[i] for i in chosen], numbers, (len(chosen), flags))
        for s in states:
            draft.keep([s], step=s["step"] + 1)
