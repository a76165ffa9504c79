"""Optimizers that look at a parameter as a matrix: Adafactor, Muon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, dtypes, from_numpy
from fdl.optim import rules
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.tensor import wrap
from fdl.stateful.optim.optimizer import Draft, Optimizer
from fdl.stateful.optim.stepped import checked, to


def _length(x: Any) -> Any:
    return ops.sqrt(ops.reduce_sum(ops.integer_pow(x, 2), range(aval_of(x).ndim)))


def _adafactor_body(*args: Any) -> Sequence[Any]:
    """Shazeer and Stern, 2018, for one parameter: the mean squares of a matrix are kept by rows and columns."""
    p, *state, g, rho, share, eps1, eps2, d, kept, maximize = args
    g = ops.neg(g) if maximize else g
    size = math.sqrt(aval_of(p).size)
    share, eps1 = to(share, p), to(eps1, p)
    alpha = ops.mul(ops.maximum(to(eps2, p), ops.div(_length(p), size)), to(rho, p))
    p = ops.mul(p, to(kept, p))
    squares = ops.integer_pow(g, 2)
    if len(state) == 2:
        means = [jnp.mean(squares, axis, keepdims=True) for axis in (-1, -2)]
        state = [rules.mean(s, m, share) for s, m in zip(state, means, strict=True)]
        estimate = ops.div(jnp.matmul(*state), ops.maximum(jnp.mean(state[0], -2, keepdims=True), eps1))
    else:
        state = [rules.mean(state[0], squares, share)]
        estimate = state[0]
    step = ops.mul(ops.rsqrt(ops.maximum(estimate, ops.mul(eps1, eps1))), g)
    limit = ops.maximum(ops.div(_length(step), ops.mul(to(d, p), size)), 1)
    return (ops.sub(p, ops.mul(step, ops.div(alpha, limit))), *state)


_adafactor = Function(_adafactor_body, "adafactor")


def _require_real(optimizer: Optimizer, p: Any) -> None:
    """RuntimeError for complex parameters."""
    if p.is_complex():
        name = type(optimizer).__name__
        raise TensorError(
            f"{name} does not support complex parameters", why=f"one is {p.dtype}", hint="torch.optim.Adam"
        )


class Adafactor(Optimizer):
    """Adam's scale from rows and columns alone."""

    _options = ("foreach",)

    def __init__(
        self, params: Any, lr: Any = 1e-2, beta2_decay: float = -0.8, eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0, weight_decay: float = 0.0,
        *, foreach: bool | None = None, maximize: bool = False,
    ) -> None:  # fmt: skip
        checked(lr=lr, weight_decay=weight_decay)
        if beta2_decay > 0:
            raise ArgumentError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def _update(self, group: dict[str, Any], parameters: list[Any], draft: Draft) -> None:
        for p in parameters:
            _require_real(self, p)
            own = self.state[p]
            own.setdefault("step", 0)
            shape = tuple(p.shape)
            shapes = (
                {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}
                if len(shape) > 1
                else {"variance": shape}
            )
            for name, s in shapes.items():
                if name not in own:
                    own[name] = wrap(from_numpy(np.zeros(s, p.dtype.np)))
            step, lr = own["step"] + 1, float(group["lr"])
            eps1 = float(np.finfo(p.dtype.np).eps) if group["eps"][0] is None else float(group["eps"][0])
            numbers = [
                min(lr, 1 / math.sqrt(step)),
                step ** group["beta2_decay"],
                eps1,
                float(group["eps"][1]),
                float(group["d"]),
                1 - lr * group["weight_decay"],
            ]
            draft.update(
                _adafactor, [p, *[own[name] for name in shapes]], [p.grad], numbers, (bool(group["maximize"]),)
            )
            draft.keep([own], step=step)


def _muon_body(
    p: Any,
    buffer: Any,
    g: Any,
    lr: Any,
    decay: Any,
    momentum: Any,
    eps: Any,
    a: Any,
    b: Any,
    c: Any,
    steps: int,
    nesterov: bool,
) -> Sequence[Any]:
    """Jordan et al., 2024: the update made nearly orthogonal by a quintic Newton-Schulz iteration, in bfloat16."""
    rest = to(ops.sub(1.0, momentum), p)
    buffer = rules.mean(buffer, g, rest)
    x = rules.mean(g, buffer, to(momentum, p)) if nesterov else buffer
    x = ops.convert(x, dtypes.bfloat16)
    rows, columns = aval_of(x).shape
    x = ops.transpose(x, (1, 0)) if rows > columns else x
    length = ops.convert(_length(ops.convert(x, dtypes.float32)), dtypes.bfloat16)
    x = ops.div(x, ops.maximum(length, to(eps, x)))
    a, b, c = (ops.cast(v, dtypes.float32) for v in (a, b, c))

    def product(u: Any, v: Any) -> Any:
        return ops.convert(ops.dot_general(u, v, (((1,), (0,)), ((), ()))), dtypes.float32)

    def narrow(u: Any) -> Any:
        return ops.convert(u, dtypes.bfloat16)

    def wide(u: Any) -> Any:
        return ops.convert(u, dtypes.float32)

    for _ in range(steps):
        gram = narrow(product(x, ops.transpose(x, (1, 0))))
        mixed = narrow(ops.add(ops.mul(wide(gram), b), ops.mul(product(gram, gram), c)))
        x = narrow(ops.add(ops.mul(wide(x), a), product(mixed, x)))
    x = ops.transpose(x, (1, 0)) if rows > columns else x
    p = ops.mul(p, to(decay, p))
    return ops.sub(p, ops.mul(ops.convert(x, aval_of(p).dtype), to(lr, p))), buffer


_muon = Function(_muon_body, "muon")


class Muon(Optimizer):
    """Momentum made orthogonal; for matrices alone."""

    _counts = False
    _options = ()

    def __init__(
        self, params: Any, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95, nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), eps: float = 1e-7, ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        for name, value in (("Learning rate", lr), ("momentum", momentum), ("weight decay", weight_decay)):
            if value < 0:
                raise ArgumentError(f"{name} should be >= 0 but is: {value}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        settings = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
        }
        super().__init__(params, {**settings, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn})
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ArgumentError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}"
                    )

    def _update(self, group: dict[str, Any], parameters: list[Any], draft: Draft) -> None:
        for p in parameters:
            _require_real(self, p)
        for p, own in zip(parameters, self._states_of(parameters, ["momentum_buffer"]), strict=True):
            rows, columns = p.shape
            ratio = (
                0.2 * math.sqrt(max(rows, columns))
                if group["adjust_lr_fn"] == "match_rms_adamw"
                else math.sqrt(max(1.0, rows / columns))
            )
            lr = float(group["lr"])
            numbers = [
                lr * ratio,
                1 - lr * group["weight_decay"],
                float(group["momentum"]),
                float(group["eps"]),
                *map(float, group["ns_coefficients"]),
            ]
            draft.update(
                _muon, [p, own["momentum_buffer"]], [p.grad], numbers, (int(group["ns_steps"]), bool(group["nesterov"]))
            )
            draft.keep([own], step=own["step"] + 1)
