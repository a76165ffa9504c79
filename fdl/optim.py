"""Optimizers as pairs of pure functions.

`opt = adam(1e-3)`; `state = opt.init(params)`; `params, state = opt.update(grads, state, params)`. Params are any tree
of arrays. Each update is written for one leaf; all leaves are updated by one graph function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fdl import ops
from fdl.core.avals import ShapedArray, shaped
from fdl.core.dtypes import int32
from fdl.core.pytree import tree_flatten, tree_map
from fdl.core.trace import aval_of
from fdl.ops.axes import full, zeros_like
from fdl.transforms.control.call import GraphFunction

__all__ = ["Optimizer", "adam", "adamw", "momentum", "sgd"]


class Optimizer(NamedTuple):
    """`init(params) -> state` and `update(grads, state, params) -> (params, state)`."""

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], tuple[Any, Any]]


def _optimizer(slots: int, step: Callable[..., tuple[Any, ...]]) -> Optimizer:
    """An optimizer with `slots` arrays of state a leaf: `step(count, g, p, *state) -> (p, *state)`."""

    def init(params: Any) -> dict[str, Any]:
        return {
            "count": full((), 0, int32),
            "slots": tuple(tree_map(lambda p: zeros_like(_strong(p)), params) for _ in range(slots)),
        }

    def step_all(grads: Any, state: Any, params: Any) -> tuple[Any, Any]:
        count = ops.add(state["count"], 1)
        leaves, tree = tree_flatten(params)
        gradients = tree.flatten_up_to(grads)
        columns = [tree.flatten_up_to(slot) for slot in state["slots"]]
        results = [step(count, g, p, *own) for g, p, *own in zip(gradients, leaves, *columns, strict=True)]
        new_slots = tuple(tree.unflatten([r[i + 1] for r in results]) for i in range(slots))
        return tree.unflatten([r[0] for r in results]), {"count": count, "slots": new_slots}

    step_all.__name__ = "optimizer_update"
    return Optimizer(init, GraphFunction(step_all))


def _strong(x: Any) -> ShapedArray:
    aval = aval_of(x)
    return shaped(aval.shape, aval.dtype)


def sgd(learning_rate: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0) -> Optimizer:
    """Stochastic gradient descent, with momentum (Sutskever et al., 2013, as in PyTorch: `v = momentum * v + g; p -= lr
    * v`).

    >>> opt = sgd(0.1)
    >>> params, _ = opt.update(2.0, opt.init(1.0), 1.0)
    >>> round(float(params), 3)
    0.8
    """

    def step(count: Any, g: Any, p: Any, *state: Any) -> tuple[Any, ...]:
        g = ops.add(g, ops.mul(p, weight_decay)) if weight_decay else g
        if not momentum:
            return (ops.sub(p, ops.mul(g, learning_rate)),)
        velocity = ops.add(ops.mul(state[0], momentum), g)
        move = ops.add(g, ops.mul(velocity, momentum)) if nesterov else velocity
        return ops.sub(p, ops.mul(move, learning_rate)), velocity

    return _optimizer(1 if momentum else 0, step)


def momentum(learning_rate: float, decay: float = 0.9, nesterov: bool = False) -> Optimizer:
    """`sgd` with momentum.

    >>> opt = momentum(0.1)
    >>> params, state = opt.update(1.0, opt.init(1.0), 1.0)
    >>> round(float(params), 3)
    0.9
    """
    return sgd(learning_rate, decay, nesterov)


def _adam_step(
    learning_rate: float, b1: float, b2: float, eps: float, weight_decay: float
) -> Callable[..., tuple[Any, ...]]:
    def step(count: Any, g: Any, p: Any, m: Any, v: Any) -> tuple[Any, ...]:
        dtype = aval_of(p).dtype
        t = ops.convert(count, dtype)
        m = ops.add(ops.mul(m, b1), ops.mul(g, 1 - b1))
        v = ops.add(ops.mul(v, b2), ops.mul(ops.integer_pow(g, 2), 1 - b2))
        # the bias corrections are scalars: one division and one root an element remain
        rate = ops.div(learning_rate, ops.sub(1, ops.pow(b1, t)))
        correction = ops.div(1, ops.sub(1, ops.pow(b2, t)))
        move = ops.div(ops.mul(m, rate), ops.add(ops.sqrt(ops.mul(v, correction)), eps))
        p = ops.sub(p, ops.mul(p, learning_rate * weight_decay)) if weight_decay else p
        return ops.sub(p, move), m, v

    return step


def adam(learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Optimizer:
    """Adam (Kingma and Ba, 2015, algorithm 1).

    >>> opt = adam(0.1)
    >>> params, _ = opt.update(2.0, opt.init(1.0), 1.0)
    >>> round(float(params), 3)
    0.9
    """
    return _optimizer(2, _adam_step(learning_rate, b1, b2, eps, 0.0))


def adamw(
    learning_rate: float, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.01
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, algorithm 2).

    >>> opt = adamw(0.1, weight_decay=0.1)
    >>> params, _ = opt.update(2.0, opt.init(1.0), 1.0)
    >>> round(float(params), 3)
    0.89
    """
    return _optimizer(2, _adam_step(learning_rate, b1, b2, eps, weight_decay))
