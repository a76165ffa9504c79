"""The mathematics of optimizers, for one parameter: written once, for this face and for `fdl.stateful.optim`.

Arrays are of one shape and dtype; numbers (decays, rates, corrections) are Python numbers or 0-d arrays of that dtype.
A `weight` is one minus a decay, which callers work out in their own precision.
"""

from __future__ import annotations

from typing import Any

from fdl import ops


def mean(m: Any, g: Any, weight: Any) -> Any:
    """A running mean, moved towards `g` by a part `weight` of the way."""
    return ops.add(m, ops.mul(ops.sub(g, m), weight))


def mean_square(v: Any, g: Any, decay: Any, weight: Any) -> Any:
    """A running mean of squares: `decay * v + weight * g^2`."""
    return ops.add(ops.mul(v, decay), ops.mul(ops.mul(g, g), weight))


def scaled_by_root(m: Any, v: Any, eps: Any, size: Any = None, root: Any = None) -> Any:
    """`size * m / (root * sqrt(v) + eps)`: Adam's step (Kingma and Ba, 2015, algorithm 1), where `size` and `root`
    correct both means for their start at zero; 1 where they are not given.
    """
    m = m if size is None else ops.mul(m, size)
    below = ops.sqrt(v) if root is None else ops.mul(ops.sqrt(v), root)
    return ops.div(m, ops.add(below, eps))


def largest(u: Any, g: Any, decay: Any, eps: Any) -> Any:
    """A running maximum of sizes (Kingma and Ba, 2015, algorithm 2)."""
    return ops.maximum(ops.mul(u, decay), ops.add(ops.absolute(g), eps))


def heavy_ball(velocity: Any, g: Any, momentum: Any, weight: Any = None) -> Any:
    """`momentum * velocity + weight * g`, a weight of 1 where none is given (Sutskever et al., 2013)."""
    return ops.add(ops.mul(velocity, momentum), g if weight is None else ops.mul(g, weight))


def look_ahead(velocity: Any, g: Any, momentum: Any) -> Any:
    """Nesterov's step for a new velocity: `g + momentum * velocity`."""
    return ops.add(g, ops.mul(velocity, momentum))


def decayed(p: Any, g: Any, decay: Any) -> Any:
    """The gradient with that of `decay / 2 * |p|^2` added."""
    return ops.add(g, ops.mul(p, decay))


def sum_of_squares(total: Any, g: Any) -> Any:
    """The sum of all squares so far (Duchi, Hazan and Singer, 2011)."""
    return ops.add(total, ops.mul(g, g))


def rescaled(g: Any, squares: Any, changes: Any, eps: Any) -> Any:
    """`g` times the root of mean squares of changes over that of mean squares of gradients (Zeiler, 2012)."""
    return ops.mul(ops.div(ops.sqrt(ops.add(changes, eps)), ops.sqrt(ops.add(squares, eps))), g)


def sizes_by_sign(size: Any, before: Any, g: Any, down: Any, up: Any, least: Any, most: Any) -> tuple[Any, Any]:
    """New step sizes, and the gradient that counts: sizes grow where the sign of the gradient stays, and shrink where
    it turns, where the gradient then counts as zero (Riedmiller and Braun, 1993, without going back).
    """
    product = ops.mul(g, before)
    turned = ops.less(product, 0)
    factor = ops.select(ops.greater(product, 0), up, ops.select(turned, down, 1))
    return ops.minimum(ops.maximum(ops.mul(size, factor), least), most), ops.select(turned, 0, g)
