"""Optimizers that scale each element by its own history: RMSprop, Rprop, Adagrad, Adadelta, ASGD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fdl import ops
from fdl.optim import rules
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.optim.stepped import Stepped, checked, to


def _gradient(p: Any, g: Any, decay: Any, with_decay: bool, maximize: bool) -> Any:
    g = ops.neg(g) if maximize else g
    return rules.decayed(p, g, to(decay, p)) if with_decay else g


def _rmsprop(p: Any, v: Any, *args: Any) -> Sequence[Any]:
    """Hinton, 2012; centred: Graves, 2013."""
    *more, g, lr, alpha, eps, decay, momentum, (with_decay, maximize, centred, with_momentum) = args
    g = _gradient(p, g, decay, with_decay, maximize)
    weight = to(ops.sub(1.0, alpha), p)
    v = rules.mean_square(v, g, to(alpha, p), weight)
    state = [v]
    root = v
    if centred:
        mean = rules.mean(more[-1], g, weight)
        root = ops.sub(v, ops.mul(mean, mean))
    step = rules.scaled_by_root(g, root, to(eps, p))
    if with_momentum:
        step = rules.heavy_ball(more[0], step, to(momentum, p))
        state.append(step)
    if centred:
        state.append(mean)
    return [ops.sub(p, ops.mul(step, to(lr, p))), *state]


class RMSprop(Stepped):
    """Steps divided by the root of a running mean square."""

    formula = staticmethod(_rmsprop)

    def __init__(
        self, params: Any, lr: Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0,
        momentum: float = 0, centered: bool = False,
        capturable: bool = False, foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        checked(lr=lr, epsilon=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        settings = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, settings)

    def names(self, group: dict[str, Any]) -> list[str]:
        return [
            "square_avg",
            *(["momentum_buffer"] if group["momentum"] > 0 else []),
            *(["grad_avg"] if group["centered"] else []),
        ]

    def flags(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (*super().flags(group), bool(group["centered"]), group["momentum"] > 0)

    def numbers(self, group: dict[str, Any], step: int, state: dict[str, Any]) -> list[float]:
        return [float(group[name]) for name in ("lr", "alpha", "eps", "weight_decay", "momentum")]


def _rprop(
    p: Any, before: Any, size: Any, g: Any, down: Any, up: Any, least: Any, most: Any, flags: Any
) -> Sequence[Any]:
    """Riedmiller and Braun, 1993, without going back where the sign changes."""
    g = ops.neg(g) if flags[1] else g
    size, g = rules.sizes_by_sign(size, before, g, to(down, p), to(up, p), to(least, p), to(most, p))
    return [ops.sub(p, ops.mul(ops.sign(g), size)), g, size]


class Rprop(Stepped):
    """Steps that depend on signs alone and grow for as long as these stay."""

    formula = staticmethod(_rprop)

    def __init__(
        self, params: Any, lr: Any = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, capturable: bool = False,
        foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        checked(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ArgumentError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def names(self, group: dict[str, Any]) -> list[str]:
        return ["prev", "step_size"]

    def initial(self, name: str, p: Any, group: dict[str, Any]) -> float:
        return float(group["lr"]) if name == "step_size" else 0.0

    def numbers(self, group: dict[str, Any], step: int, state: dict[str, Any]) -> list[float]:
        return [*map(float, group["etas"]), *map(float, group["step_sizes"])]


def _adagrad(p: Any, total: Any, g: Any, lr: Any, eps: Any, decay: Any, flags: Any) -> Sequence[Any]:
    """Duchi, Hazan, Singer, 2011."""
    g = _gradient(p, g, decay, *flags)
    total = rules.sum_of_squares(total, g)
    return [ops.sub(p, ops.mul(rules.scaled_by_root(g, total, to(eps, p)), to(lr, p))), total]


class Adagrad(Stepped):
    """Steps divided by the root of the sum of all squares."""

    formula = staticmethod(_adagrad)

    _options = ("foreach", "differentiable", "fused")

    def __init__(
        self, params: Any, lr: Any = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10,
        foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        checked(
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=eps,
        )
        settings = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
        }
        super().__init__(params, {**settings, "maximize": maximize})

    def names(self, group: dict[str, Any]) -> list[str]:
        return ["sum"]

    def initial(self, name: str, p: Any, group: dict[str, Any]) -> float:
        return float(group["initial_accumulator_value"])

    def numbers(self, group: dict[str, Any], step: int, state: dict[str, Any]) -> list[float]:
        return [
            float(group["lr"]) / (1 + (step - 1) * group["lr_decay"]),
            float(group["eps"]),
            float(group["weight_decay"]),
        ]


def _adadelta(p: Any, v: Any, acc: Any, g: Any, lr: Any, rho: Any, eps: Any, decay: Any, flags: Any) -> Sequence[Any]:
    """Zeiler, 2012."""
    g = _gradient(p, g, decay, *flags)
    rest = to(ops.sub(1.0, rho), p)
    v = rules.mean_square(v, g, to(rho, p), rest)
    step = rules.rescaled(g, v, acc, to(eps, p))
    acc = rules.mean_square(acc, step, to(rho, p), rest)
    return [ops.sub(p, ops.mul(step, to(lr, p))), v, acc]


class Adadelta(Stepped):
    """Steps in the units of the parameters."""

    formula = staticmethod(_adadelta)

    def __init__(
        self, params: Any, lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0,
        foreach: bool | None = None, *, capturable: bool = False,
        maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        checked(lr=lr, epsilon=eps, weight_decay=weight_decay)
        if not 0.0 <= rho <= 1.0:
            raise ArgumentError(f"Invalid rho value: {rho}")
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def names(self, group: dict[str, Any]) -> list[str]:
        return ["square_avg", "acc_delta"]

    def numbers(self, group: dict[str, Any], step: int, state: dict[str, Any]) -> list[float]:
        return [float(group[name]) for name in ("lr", "rho", "eps", "weight_decay")]


def _asgd(p: Any, mean: Any, g: Any, decay: Any, kept: Any, eta: Any, mu: Any, flags: Any) -> Sequence[Any]:
    """Polyak and Juditsky, 1992."""
    g = _gradient(p, g, decay, *flags)
    p = ops.sub(ops.mul(p, to(kept, p)), ops.mul(g, to(eta, p)))
    return [p, rules.mean(mean, p, to(mu, p))]


class ASGD(Stepped):
    """Gradient descent that keeps the mean of its parameters."""

    formula = staticmethod(_asgd)

    def __init__(
        self, params: Any, lr: Any = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0, foreach: bool | None = None,
        maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        checked(lr=lr, weight_decay=weight_decay)
        super().__init__(
            params,
            {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize},
        )

    def names(self, group: dict[str, Any]) -> list[str]:
        return ["ax"]

    def numbers(self, group: dict[str, Any], step: int, state: dict[str, Any]) -> list[float]:
        eta, mu = float(state.get("eta", group["lr"])), float(state.get("mu", 1.0))
        lr, lambd = float(group["lr"]), float(group["lambd"])
        state["eta"] = lr / (1 + lambd * lr * step) ** group["alpha"]
        state["mu"] = 1 / max(1.0, step - group["t0"])
        return [float(group["weight_decay"]), 1 - lambd * eta, eta, mu]
