"""Limited-memory BFGS (Nocedal and Wright, 2006, chapter 7), with a line search that fulfils the strong Wolfe
conditions (chapter 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fdl.extend import whole
from fdl.stateful.autograd import enable_grad, no_grad
from fdl.stateful.core.errors import ArgumentError, OperandError, TensorError
from fdl.stateful.core.views import overwrite_all
from fdl.stateful.functions.complexes import view_as_complex, view_as_real
from fdl.stateful.functions.creation import zeros_like
from fdl.stateful.functions.shapes import cat
from fdl.stateful.optim.optimizer import Optimizer


def _cubic_minimum(
    x1: float, f1: float, g1: float, x2: float, f2: float, g2: float, bounds: tuple[float, float] | None = None
) -> float:
    """The minimum of the cubic through two points with two slopes, within bounds; their middle where there is none."""
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1**2 - g1 * g2
    if square < 0:
        return (low + high) / 2
    d2 = square**0.5
    place = (
        x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
        if x1 <= x2
        else x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    )
    return float(min(max(place, low), high))


class _Point:
    """A step size with value, gradient and slope there."""

    def __init__(self, t: float, f: float, g: Any, slope: float) -> None:
        self.t, self.f, self.g, self.slope = t, f, g, slope


def _strong_wolfe(
    at: Callable[[float], _Point],
    start: _Point,
    t: float,
    length: float,
    change: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    most: int = 25,
) -> tuple[_Point, int]:
    """A point with enough decrease and a small slope, and the number of evaluations."""
    before, now, evaluations, rounds = start, at(t), 1, 0
    bracket: list[_Point] = []
    while rounds < most:
        if now.f > start.f + c1 * now.t * start.slope or (rounds > 1 and now.f >= before.f):
            bracket = [before, now]
            break
        if abs(now.slope) <= -c2 * start.slope:
            return now, evaluations
        if now.slope >= 0:
            bracket = [before, now]
            break
        bounds = now.t + 0.01 * (now.t - before.t), now.t * 10
        t = _cubic_minimum(before.t, before.f, before.slope, now.t, now.f, now.slope, bounds)
        before, now = now, at(t)
        evaluations += 1
        rounds += 1
    if not bracket:
        bracket = [start, now]
    return _zoom(at, start, bracket, length, change, c1, c2, most - rounds, evaluations)


def _zoom(
    at: Callable[[float], _Point],
    start: _Point,
    bracket: list[_Point],
    length: float,
    change: float,
    c1: float,
    c2: float,
    left: int,
    evaluations: int,
) -> tuple[_Point, int]:
    """Make a bracket smaller until one of its ends will do."""
    stuck = False
    bracket.sort(key=lambda p: p.f)  # the lower end first
    while left > 0:
        low, high = bracket
        if abs(high.t - low.t) * length < change:
            break
        t = _cubic_minimum(low.t, low.f, low.slope, high.t, high.f, high.slope)
        ends = sorted((low.t, high.t))
        margin = 0.1 * (ends[1] - ends[0])
        if min(ends[1] - t, t - ends[0]) < margin:  # near an end: twice in a row is not let pass
            if stuck or t >= ends[1] or t <= ends[0]:
                t = ends[1] - margin if abs(t - ends[1]) < abs(t - ends[0]) else ends[0] + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        new = at(t)
        evaluations += 1
        left -= 1
        if new.f > start.f + c1 * t * start.slope or new.f >= low.f:
            bracket = sorted([low, new], key=lambda p: p.f)
        else:
            if abs(new.slope) <= -c2 * start.slope:
                return new, evaluations
            bracket = [new, low if new.slope * (high.t - low.t) >= 0 else high]
    return bracket[0], evaluations


def _real(x: Any) -> Any:
    """A tensor; pairs of real numbers of a complex one."""
    return view_as_real(x) if x.is_complex() else x


class LBFGS(Optimizer):
    """A quasi-Newton method; `step` takes a closure that computes the loss and its gradients again.

    >>> import fdl.stateful as torch
    >>> p = torch.nn.Parameter(torch.zeros(2)); opt = torch.optim.LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = ((p - torch.tensor([1.0, 2.0])) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> _ = opt.step(closure); [round(v, 4) for v in p.tolist()]
    [1.0, 2.0]
    """

    _options = ()

    def __init__(
        self, params: Any, lr: Any = 1, max_iter: int = 20, max_eval: int | None = None, tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100, line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        if lr < 0.0:
            raise ArgumentError(f"Invalid learning rate: {lr}")
        settings = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
        }
        super().__init__(
            params,
            {
                **settings,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ArgumentError("LBFGS doesn't support per-parameter options (parameter groups)")
        if line_search_fn not in (None, "strong_wolfe"):
            raise TensorError("only 'strong_wolfe' is supported")

    @property
    def _parameters(self) -> list[Any]:
        found: list[Any] = self.param_groups[0]["params"]
        return found

    def _gradient(self) -> Any:
        return cat([_real(zeros_like(p) if p.grad is None else p.grad.detach()).reshape(-1) for p in self._parameters])

    def _move(self, origin: list[Any], t: float, direction: Any) -> None:
        """Parameters at `origin + t * direction`."""
        at = 0
        moved = []
        for p, old in zip(self._parameters, map(_real, origin), strict=True):
            n = old.numel()
            new = old + direction[at : at + n].reshape(*old.shape) * t
            moved.append((p, view_as_complex(new) if p.is_complex() else new))
            at += n
        overwrite_all(moved)

    def _direction(self, state: dict[str, Any], gradient: Any, group: dict[str, Any]) -> Any:
        """The two loops over the history."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], al=None, H_diag=1.0)
            return -gradient
        y, s = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        ys = float((y * s).sum())
        if ys > 1e-10:
            if len(state["old_dirs"]) == group["history_size"]:
                for name in ("old_dirs", "old_stps", "ro"):
                    state[name].pop(0)
            state["old_dirs"].append(y)
            state["old_stps"].append(s)
            state["ro"].append(1.0 / ys)
            state["H_diag"] = ys / float((y * y).sum())
        history = list(zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True))
        q, weights = -gradient, []
        for y, s, ro in reversed(history):
            weights.append((s * q).sum() * ro)
            q = q - y * weights[-1]
        d = q * state["H_diag"]
        for (y, s, ro), weight in zip(history, reversed(weights), strict=True):
            d = d + s * (weight - (y * d).sum() * ro)
        return d

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` iterations; returns the loss at the start."""
        if closure is None:
            raise OperandError("LBFGS.step() missing 1 required positional argument: 'closure'")
        state = self.state[self._parameters[0]]
        before = (
            [p.detach().clone() for p in self._parameters],
            {k: list(v) if isinstance(v, list) else v for k, v in state.items()},
        )
        try:
            return self._step(closure)
        except Exception:
            raise
        except BaseException:  # an interrupt: as if there had been no step
            whole(self._go_back, *before)
            raise

    def _go_back(self, parameters: list[Any], state: dict[str, Any]) -> None:
        own = self.state[self._parameters[0]]
        for name in list(own):
            if name not in state:
                own.pop(name, None)
        own.update(state)
        overwrite_all(zip(self._parameters, parameters, strict=True))

    def _step(self, closure: Callable[[], Any]) -> Any:
        evaluate = enable_grad()(closure)
        group, state = self.param_groups[0], self.state[self._parameters[0]]
        for count in ("func_evals", "n_iter"):
            state.setdefault(count, 0)
        lr, change = float(group["lr"]), group["tolerance_change"]
        first = evaluate()
        loss, gradient, evaluations = float(first), self._gradient(), 1
        state["func_evals"] += 1
        flat = float(gradient.abs().max()) <= group["tolerance_grad"]
        iteration = 0
        while not flat and iteration < group["max_iter"]:
            iteration += 1
            state["n_iter"] += 1
            d = state["d"] = self._direction(state, gradient, group)
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss
            before = loss
            t = min(1.0, 1.0 / float(gradient.abs().sum())) * lr if state["n_iter"] == 1 else lr
            slope = float((gradient * d).sum())
            if slope > -change:
                break
            used = 0
            if group["line_search_fn"] is not None:
                origin = [p.detach().clone() for p in self._parameters]

                def at(t: float, origin: list[Any] = origin, d: Any = d) -> _Point:
                    self._move(origin, t, d)
                    f = float(evaluate())
                    g = self._gradient()
                    return _Point(t, f, g, float((g * d).sum()))

                found, used = _strong_wolfe(at, _Point(0.0, loss, gradient, slope), t, float(d.abs().max()), change)
                t, loss, gradient = found.t, found.f, found.g
                self._move(origin, t, d)
                flat = float(gradient.abs().max()) <= group["tolerance_grad"]
            else:
                self._move([p.detach() for p in self._parameters], t, d)
                if iteration != group["max_iter"]:
                    loss, gradient, used = float(evaluate()), self._gradient(), 1
                    flat = float(gradient.abs().max()) <= group["tolerance_grad"]
            state["t"] = t
            evaluations += used
            state["func_evals"] += used
            if evaluations >= group["max_eval"] or float((d * t).abs().max()) <= change or abs(loss - before) < change:
                break
        return first
