"""`torch.optim`: SGD, Adam, AdamW.

An update is written for one parameter; all parameters of a group make one recorded function, whose settings (learning rates, decay, corrections by the number
of steps) are numbers of the program, so that a schedule makes no new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fdl import ops
from fdl.core.trace import aval_of
from fdl.extend import Function
from fdl.stateful.optim.optimizer import Optimizer, update

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]


def _each(step: Callable[..., Sequence[Any]], columns: int, name: str) -> Function:
    """A function of columns of n arrays (cells first, gradients last), numbers, n and flags, from `step(*one of each column, *numbers, flags)`.

    Results are columns too: the cells' new values.
    """

    def body(*args: Any) -> tuple[Any, ...]:
        *rest, n, flags = args
        arrays, numbers = rest[: columns * n], rest[columns * n :]
        rows = [step(*[arrays[c * n + i] for c in range(columns)], *numbers, flags) for i in range(n)]
        return tuple([row[c] for c in range(columns - 1) for row in rows])

    return Function(body, name)


def _to(number: Any, like: Any) -> Any:
    return ops.cast(number, aval_of(like).dtype)


# SGD


def _sgd(p: Any, *args: Any) -> Sequence[Any]:
    """Sutskever et al., 2013, as PyTorch writes it: `buffer = momentum * buffer + (1 - dampening) * g; p -= lr * buffer`."""
    *buffer, g, lr, momentum, dampening, decay, (with_momentum, first, with_decay, nesterov, maximize) = args
    g = ops.neg(g) if maximize else g
    g = ops.add(g, ops.mul(p, _to(decay, p))) if with_decay else g
    if not with_momentum:
        return [ops.sub(p, ops.mul(g, _to(lr, p)))]
    moved = g if first else ops.add(ops.mul(buffer[0], _to(momentum, p)), ops.mul(g, ops.sub(1, _to(dampening, p))))
    step = ops.add(g, ops.mul(moved, _to(momentum, p))) if nesterov else moved
    return [ops.sub(p, ops.mul(step, _to(lr, p))), moved]


_plain_sgd, _momentum_sgd = _each(_sgd, 2, "sgd"), _each(_sgd, 3, "sgd_momentum")


def _checked(**settings: Any) -> None:
    for name, value in settings.items():
        if value < 0.0:
            raise ValueError(f"Invalid {'learning rate' if name == 'lr' else name + ' value'}: {value}")


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum, Nesterov's form, and weight decay.

    >>> import fdl.stateful as torch
    >>> p = torch.nn.Parameter(torch.ones(1)); opt = torch.optim.SGD([p], lr=0.5)
    >>> (p * 3).sum().backward(); opt.step(); p.tolist()
    [-0.5]
    """

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
        _checked(lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize})

    def _update(self, group: dict[str, Any], parameters: list[Any]) -> None:
        momentum, dampening = float(group["momentum"]), float(group["dampening"])
        numbers = [float(group["lr"]), momentum, dampening, float(group["weight_decay"])]
        grads = [p.grad for p in parameters]
        if not momentum:
            flags = False, False, group["weight_decay"] != 0, False, group["maximize"]
            update(_plain_sgd, parameters, grads, numbers, (len(parameters), flags))
            return
        states = self._states_of(parameters, ["momentum_buffer"])
        fresh = [s["step"] == 0 for s in states]
        for start in (True, False) if dampening else (None,):  # without dampening, the first buffer is momentum * 0 + g
            chosen = [i for i, f in enumerate(fresh) if start is None or f == start]
            if chosen:
                flags = True, bool(start), group["weight_decay"] != 0, group["nesterov"], group["maximize"]
                cells = [*[parameters[i] for i in chosen], *[states[i]["momentum_buffer"] for i in chosen]]
                update(_momentum_sgd, cells, [grads[i] for i in chosen], numbers, (len(chosen), flags))
        for s in states:
            s["step"] += 1


# Adam


def _adam(p: Any, m: Any, v: Any, *args: Any) -> Sequence[Any]:
    """Kingma and Ba, 2015, algorithm 1; decoupled decay: Loshchilov and Hutter, 2019; amsgrad: Reddi et al., 2018."""
    *highest, g, lr, b1, b2, eps, decay, size, root, (amsgrad, with_decay, decoupled, maximize) = args
    g = ops.neg(g) if maximize else g
    if with_decay:
        p, g = (ops.mul(p, ops.sub(1, ops.mul(_to(lr, p), _to(decay, p)))), g) if decoupled else (p, ops.add(g, ops.mul(p, _to(decay, p))))
    m = ops.add(m, ops.mul(ops.sub(g, m), _to(ops.sub(1.0, b1), p)))
    v = ops.add(ops.mul(v, _to(b2, p)), ops.mul(ops.mul(g, g), _to(ops.sub(1.0, b2), p)))
    top = ops.maximum(highest[0], v) if amsgrad else v
    p = ops.sub(p, ops.div(ops.mul(m, _to(size, p)), ops.add(ops.mul(ops.sqrt(top), _to(root, p)), _to(eps, p))))
    return [p, m, v, top] if amsgrad else [p, m, v]


_plain_adam, _amsgrad = _each(_adam, 4, "adam"), _each(_adam, 5, "amsgrad")


class Adam(Optimizer):
    """Adam, with amsgrad and weight decay added to the gradient.

    >>> import fdl.stateful as torch
    >>> p = torch.nn.Parameter(torch.ones(1)); opt = torch.optim.Adam([p], lr=0.5)
    >>> (p * 3).sum().backward(); opt.step(); p
    Parameter containing:
    tensor([0.5000], requires_grad=True)
    """

    _decoupled = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        _checked(lr=lr, epsilon=eps, weight_decay=weight_decay)
        for i, b in enumerate(betas):
            if not 0.0 <= b < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {b}")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize})

    def _update(self, group: dict[str, Any], parameters: list[Any]) -> None:
        names = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]
        states = self._states_of(parameters, names)
        (b1, b2), lr, decay = group["betas"], float(group["lr"]), float(group["weight_decay"])
        flags = bool(group["amsgrad"]), decay != 0, self._decoupled, bool(group["maximize"])
        for count, chosen in self._by_count(states).items():
            size, root = lr / (1 - b1 ** (count + 1)), 1 / math.sqrt(1 - b2 ** (count + 1))
            own = [states[i] for i in chosen]
            cells = [parameters[i] for i in chosen]
            for name in names:
                cells += [s[name] for s in own]
            numbers = [lr, float(b1), float(b2), float(group["eps"]), decay, size, root]
            update(_amsgrad if flags[0] else _plain_adam, cells, [parameters[i].grad for i in chosen], numbers, (len(chosen), flags))
            for s in own:
                s["step"] = count + 1


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    _decoupled = True

    def __init__(self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 1e-2, **kwargs: Any) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **kwargs)
