"""Adam and its kin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fdl import ops
from fdl.optim import rules
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.optim.optimizer import Draft, Optimizer
from fdl.stateful.optim.stepped import Stepped, checked, checked_betas, each, to


def _adam(p: Any, m: Any, v: Any, *args: Any) -> Sequence[Any]:
    """Kingma and Ba, 2015, algorithm 1; decoupled decay: Loshchilov and Hutter, 2019; amsgrad: Reddi et al., 2018."""
    *highest, g, lr, b1, b2, eps, decay, size, root, (amsgrad, with_decay, decoupled, maximize) = args
    g = ops.neg(g) if maximize else g
    if with_decay:
        p, g = (
            (ops.mul(p, ops.sub(1, ops.mul(to(lr, p), to(decay, p)))), g)
            if decoupled
            else (p, rules.decayed(p, g, to(decay, p)))
        )
    m = rules.mean(m, g, to(ops.sub(1.0, b1), p))
    v = rules.mean_square(v, g, to(b2, p), to(ops.sub(1.0, b2), p))
    top = ops.maximum(highest[0], v) if amsgrad else v
    p = ops.sub(p, rules.scaled_by_root(m, top, to(eps, p), to(size, p), to(root, p)))
    return [p, m, v, top] if amsgrad else [p, m, v]


_plain_adam, _amsgrad = each(_adam, 4, "adam"), each(_adam, 5, "amsgrad")


class Adam(Optimizer):
    """Adam, with amsgrad and weight decay added to the gradient.

    >>> import fdl.stateful as torch
    >>> p = torch.nn.Parameter(torch.ones(1)); opt = torch.optim.Adam([p], lr=0.5)
    >>> (p * 3).sum().backward(); opt.step(); p
    Parameter containing:
    tensor([0.5000], requires_grad=True)
    """

    _decoupled = False
    _options = (*Optimizer._options, "fused")

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
        checked(lr=lr, epsilon=eps, weight_decay=weight_decay)
        for i, b in enumerate(betas):
            if not 0.0 <= b < 1.0:
                raise ArgumentError(f"Invalid beta parameter at index {i}: {b}")
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, {**settings, "decoupled_weight_decay": self._decoupled})

    def _update(self, group: dict[str, Any], parameters: list[Any], draft: Draft) -> None:
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
            draft.update(
                _amsgrad if flags[0] else _plain_adam,
                cells,
                [parameters[i].grad for i in chosen],
                numbers,
                (len(chosen), flags),
            )
            draft.keep(own, step=count + 1)


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    _decoupled = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        **kwargs: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **kwargs)


def _signed(p: Any, g: Any, decay: Any, with_decay: bool, maximize: bool) -> Any:
    """The gradient of what is minimised, with weight decay."""
    g = ops.neg(g) if maximize else g
    return rules.decayed(p, g, to(decay, p)) if with_decay else g


def _adamax(
    p: Any, m: Any, u: Any, g: Any, b1: Any, b2: Any, eps: Any, decay: Any, size: Any, flags: Any
) -> Sequence[Any]:
    """Kingma and Ba, 2015, algorithm 2."""
    g = _signed(p, g, decay, *flags)
    m = rules.mean(m, g, to(ops.sub(1.0, b1), p))
    u = rules.largest(u, g, to(b2, p), to(eps, p))
    return [ops.sub(p, ops.mul(ops.div(m, u), to(size, p))), m, u]


class Adamax(Stepped):
    """Adam with the largest gradient in the place of the mean square."""

    formula = staticmethod(_adamax)

    def __init__(
        self, params: Any, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, foreach: bool | None = None,
        *, maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        checked(lr=lr, epsilon=eps, weight_decay=weight_decay)
        checked_betas(betas)
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def names(self, group: dict[str, Any]) -> list[str]:
        return ["exp_avg", "exp_inf"]

    def numbers(self, group: dict[str, Any], step: int, state: dict[str, Any]) -> list[float]:
        b1, b2 = group["betas"]
        return [
            float(b1),
            float(b2),
            float(group["eps"]),
            float(group["weight_decay"]),
            float(group["lr"]) / (1 - b1**step),
        ]


def _nadam(
    p: Any,
    m: Any,
    v: Any,
    g: Any,
    lr: Any,
    b1: Any,
    b2: Any,
    eps: Any,
    decay: Any,
    own: Any,
    ahead: Any,
    root: Any,
    flags: Any,
) -> Sequence[Any]:
    """Dozat, 2016."""
    with_decay, maximize, decoupled = flags
    if decoupled and with_decay:
        p = ops.mul(p, ops.sub(1, ops.mul(to(lr, p), to(decay, p))))
    g = _signed(p, g, decay, with_decay and not decoupled, maximize)
    m = rules.mean(m, g, to(ops.sub(1.0, b1), p))
    v = rules.mean_square(v, g, to(b2, p), to(ops.sub(1.0, b2), p))
    scale = ops.add(ops.mul(ops.sqrt(v), to(root, p)), to(eps, p))
    step = ops.div(ops.add(ops.mul(g, to(own, p)), ops.mul(m, to(ahead, p))), scale)
    return [ops.sub(p, step), m, v]


class NAdam(Stepped):
    """Adam with Nesterov's momentum."""

    formula = staticmethod(_nadam)

    def __init__(
        self, params: Any, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False,
        capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        checked(lr=lr, epsilon=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        checked_betas(betas)
        settings = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
        }
        super().__init__(params, {**settings, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize})

    def names(self, group: dict[str, Any]) -> list[str]:
        return ["exp_avg", "exp_avg_sq"]

    def flags(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (*super().flags(group), bool(group["decoupled_weight_decay"]))

    def numbers(self, group: dict[str, Any], step: int, state: dict[str, Any]) -> list[float]:
        (b1, b2), lr = group["betas"], float(group["lr"])
        now, later = (b1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        product = state["mu_product"] = float(state.get("mu_product", 1.0)) * now
        own, ahead = lr * (1 - now) / (1 - product), lr * later / (1 - product * later)
        return [
            lr,
            float(b1),
            float(b2),
            float(group["eps"]),
            float(group["weight_decay"]),
            own,
            ahead,
            1 / math.sqrt(1 - b2**step),
        ]


def _radam(
    p: Any,
    m: Any,
    v: Any,
    g: Any,
    lr: Any,
    b1: Any,
    b2: Any,
    eps: Any,
    decay: Any,
    size: Any,
    rectified: Any,
    flags: Any,
) -> Sequence[Any]:
    """Liu et al., 2020: plain momentum for as long as the variance of the step is not known."""
    with_decay, maximize, decoupled = flags
    if decoupled and with_decay:
        p = ops.mul(p, ops.sub(1, ops.mul(to(lr, p), to(decay, p))))
    g = _signed(p, g, decay, with_decay and not decoupled, maximize)
    m = rules.mean(m, g, to(ops.sub(1.0, b1), p))
    v = rules.mean_square(v, g, to(b2, p), to(ops.sub(1.0, b2), p))
    known = ops.greater(rectified, 0.0)
    factor = ops.select(known, ops.div(to(rectified, p), ops.add(ops.sqrt(v), to(eps, p))), 1)
    return [ops.sub(p, ops.mul(ops.mul(m, to(size, p)), factor)), m, v]


class RAdam(Stepped):
    """Adam whose first steps are held back."""

    formula = staticmethod(_radam)

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False,
        capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        checked(lr=lr, epsilon=eps, weight_decay=weight_decay)
        checked_betas(betas)
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize})

    def names(self, group: dict[str, Any]) -> list[str]:
        return ["exp_avg", "exp_avg_sq"]

    def flags(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (*super().flags(group), bool(group["decoupled_weight_decay"]))

    def numbers(self, group: dict[str, Any], step: int, state: dict[str, Any]) -> list[float]:
        (b1, b2), lr = group["betas"], float(group["lr"])
        longest = 2 / (1 - b2) - 1
        length = longest - 2 * step * b2**step / (1 - b2**step)
        rectified = 0.0
        if length > 5:
            rectified = math.sqrt(
                (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            ) * math.sqrt(1 - b2**step)
        return [
            lr,
            float(b1),
            float(b2),
            float(group["eps"]),
            float(group["weight_decay"]),
            lr / (1 - b1**step),
            rectified,
        ]
