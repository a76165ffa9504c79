"""Distributions of whole numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import Shape, sizes
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.lax import while_loop
from fdl.numpy import any, array
from fdl.random.basic import fold_in, uniform
from fdl.random.continuous import parameters

_F64 = dtypes.float64


def _whole(x: Array, dtype: Any) -> Array:
    return ops.convert(x, dtypes.canonical(dtype))


def geometric(key: Array, p: ArrayLike, shape: Any = None, dtype: Any = int) -> Array:
    """The number of trials to the first success, each with probability p.

    >>> from fdl.random import key
    >>> bool((geometric(key(0), 0.5, (9,)) >= 1).all())
    True
    """
    _, shape, (chance,) = parameters("geometric", _F64, shape, p)
    u = uniform(key, shape, _F64)
    steps = ops.floor(ops.div(ops.log1p(ops.neg(u)), ops.log1p(ops.neg(chance))))
    return _whole(ops.select(ops.equal(chance, 1), 1, ops.add(steps, 1)), dtype)


def _rejected(key: Array, shape: Shape, propose: Callable[[Array, Array], tuple[Array, Array]]) -> Array:
    """The first proposal that is accepted, of each element: `propose(u, v) -> (value, accepted)` of uniform numbers,
    the first one from -1/2 to 1/2.
    """

    def step(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        turn, found, done = carry
        u = uniform(fold_in(key, ops.mul(turn, 2)), shape, _F64)
        v = uniform(fold_in(key, ops.add(ops.mul(turn, 2), 1)), shape, _F64)
        value, accepted = propose(ops.sub(u, 0.5), v)
        return ops.add(turn, 1), ops.select(done, found, value), ops.bitwise_or(done, accepted)

    start = (ops.full((), 0, dtypes.int32), ops.full(shape, 0, _F64), ops.full(shape, False, dtypes.bool_))
    ended: tuple[Array, Array, Array] = while_loop(lambda carry: any(ops.bitwise_not(carry[2])), step, start)
    return ended[1]


def _counted(key: Array, shape: Shape, limit: Array, step: Callable[[Array], Array]) -> Array:
    """How many steps, each of a uniform number, it takes until their sum is beyond a limit."""

    def turn(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        number, count, total = carry
        total = ops.add(total, step(uniform(fold_in(key, number), shape, _F64)))
        return ops.add(number, 1), ops.add(count, ops.convert(ops.less_equal(total, limit), _F64)), total

    start = (ops.full((), 0, dtypes.int32), ops.full(shape, 0, _F64), ops.full(shape, 0, _F64))
    ended: tuple[Array, Array, Array] = while_loop(lambda carry: any(ops.less_equal(carry[2], limit)), turn, start)
    return ended[1]


def poisson(key: Array, lam: ArrayLike, shape: Any = None, dtype: Any = int) -> Array:
    """Poisson of mean `lam`: up to 10 by counting exponential steps (Knuth 3.4.1), beyond by transformed rejection
    (Hörmann, 1993).

    >>> from fdl.random import key
    >>> bool((poisson(key(0), 3.0, (9,)) >= 0).all())
    True
    """
    _, shape, (mean,) = parameters("poisson", _F64, shape, lam)
    few = ops.less(mean, 10)
    small = _counted(fold_in(key, 0), shape, ops.select(few, mean, -1), lambda u: ops.neg(ops.log1p(ops.neg(u))))
    mu = ops.select(few, 1e2, mean)
    b = ops.add(ops.mul(ops.sqrt(mu), 2.53), 0.931)
    a = ops.add(ops.mul(b, 0.02483), -0.059)
    scale = ops.add(ops.div(1.1328, ops.sub(b, 3.4)), 1.1239)
    quick = ops.sub(0.9277, ops.div(3.6224, ops.sub(b, 2)))

    def propose(u: Array, v: Array) -> tuple[Array, Array]:
        us = ops.sub(0.5, ops.abs(u))
        k = ops.floor(ops.add(ops.mul(ops.add(ops.div(ops.mul(2, a), us), b), u), ops.add(mu, 0.43)))
        at_once = ops.bitwise_and(ops.greater_equal(us, 0.07), ops.less_equal(v, quick))
        possible = ops.bitwise_and(
            ops.greater_equal(k, 0), ops.bitwise_or(ops.greater_equal(us, 0.013), ops.less_equal(v, us))
        )
        safe = ops.maximum(k, 0)
        s = ops.log(ops.div(ops.mul(v, scale), ops.add(ops.div(a, ops.mul(us, us)), b)))
        density = ops.sub(ops.sub(ops.mul(safe, ops.log(mu)), mu), ops.lgamma(ops.add(safe, 1)))
        accepted = ops.bitwise_or(at_once, ops.bitwise_and(possible, ops.less_equal(s, density)))
        return k, ops.bitwise_or(accepted, few)

    large = _rejected(fold_in(key, 1), shape, propose)
    return _whole(ops.select(few, small, large), dtype)


def binomial(key: Array, n: ArrayLike, p: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """The number of successes in n trials, each with probability p: by counting geometric steps where few are expected,
    else by transformed rejection (Hörmann, 1993). NaN where n or p makes no sense.

    >>> from fdl.random import key
    >>> x = binomial(key(0), 10, 0.3, (9,))
    >>> bool((x >= 0).all() & (x <= 10).all())
    True
    """
    _, shape, (trials, chance) = parameters("binomial", _F64, shape, n, p)
    proper = ops.bitwise_and(
        ops.greater_equal(trials, 0), ops.bitwise_and(ops.greater_equal(chance, 0), ops.less_equal(chance, 1))
    )
    turned = ops.greater(chance, 0.5)
    q = ops.select(proper, ops.select(turned, ops.sub(1, chance), chance), 0)
    count = ops.select(proper, ops.floor(trials), 0)
    few = ops.less(ops.mul(count, q), 10)
    safe_q = ops.select(ops.bitwise_and(few, ops.greater(q, 0)), q, 0.5)

    def steps(u: Array) -> Array:
        return ops.add(ops.floor(ops.div(ops.log1p(ops.neg(u)), ops.log1p(ops.neg(safe_q)))), 1)

    small = _counted(fold_in(key, 0), shape, ops.select(few, count, -1), steps)
    small = ops.select(ops.equal(q, 0), 0, small)
    large = _rejected(fold_in(key, 1), shape, _btrs(ops.select(few, 40, count), ops.select(few, 0.5, q), few))
    drawn = ops.select(few, small, large)
    drawn = ops.select(turned, ops.sub(count, drawn), drawn)
    return ops.convert(ops.select(proper, drawn, math.nan), dtypes.canonical(dtype))


def _btrs(n: Array, p: Array, done: Array) -> Callable[[Array, Array], tuple[Array, Array]]:
    """Proposals for a binomial variable with n p of 10 and more, p of 1/2 and less."""
    odds = ops.div(p, ops.sub(1, p))
    deviation = ops.sqrt(ops.mul(ops.mul(n, p), ops.sub(1, p)))
    b = ops.add(ops.mul(deviation, 2.53), 1.15)
    a = ops.add(ops.add(ops.mul(b, 0.0248), ops.mul(p, 0.01)), -0.0873)
    centre = ops.add(ops.mul(n, p), 0.5)
    quick = ops.sub(0.92, ops.div(4.2, b))
    scale = ops.mul(ops.add(ops.div(5.1, b), 2.83), deviation)
    mode = ops.floor(ops.mul(ops.add(n, 1), p))

    def ways(k: Array) -> Array:
        return ops.add(ops.lgamma(ops.add(k, 1)), ops.lgamma(ops.add(ops.sub(n, k), 1)))

    def propose(u: Array, v: Array) -> tuple[Array, Array]:
        us = ops.sub(0.5, ops.abs(u))
        k = ops.floor(ops.add(ops.mul(ops.add(ops.div(ops.mul(2, a), us), b), u), centre))
        at_once = ops.bitwise_and(ops.greater_equal(us, 0.07), ops.less_equal(v, quick))
        possible = ops.bitwise_and(ops.greater_equal(k, 0), ops.less_equal(k, n))
        safe = ops.select(possible, k, mode)
        s = ops.log(ops.div(ops.mul(v, scale), ops.add(ops.div(a, ops.mul(us, us)), b)))
        density = ops.add(ops.sub(ways(mode), ways(safe)), ops.mul(ops.sub(safe, mode), ops.log(odds)))
        accepted = ops.bitwise_and(possible, ops.bitwise_or(at_once, ops.less_equal(s, density)))
        return k, ops.bitwise_or(accepted, done)

    return propose


def multinomial(
    key: Array, n: ArrayLike, p: ArrayLike, *, shape: Any = None, dtype: Any = float, unroll: int = 1
) -> Array:
    """How often each class is drawn in n trials with probabilities `p` (..., classes): one binomial after another.
    `shape` is that of the axes in front and the classes; `unroll` is accepted.

    >>> from fdl.random import key
    >>> float(multinomial(key(0), 7, array([0.2, 0.3, 0.5])).sum())
    7.0
    """
    chances = ops.convert(array(p), _F64)
    if not aval_of(chances).ndim:
        raise ShapeError(f"random.multinomial: {aval_of(chances).describe()} has no axis of classes")
    classes = aval_of(chances).shape[-1]
    trials = ops.convert(array(n), _F64)
    own = ops.broadcast_shapes([aval_of(trials).shape, aval_of(chances).shape[:-1]], "random.multinomial")
    front = own if shape is None else sizes(shape)[:-1]
    left = ops.broadcast_to(trials, front)
    chances = ops.broadcast_to(chances, (*front, classes))
    counts, rest = [], ops.full(front, 1.0, _F64)
    for i in range(classes):
        share = ops.reshape(ops.slice_in_dim(chances, i, i + 1, len(front)), front)
        some = ops.greater(rest, 0)
        of_rest = ops.select(some, ops.minimum(ops.div(share, ops.select(some, rest, 1)), 1), 0)
        drawn = left if i == classes - 1 else binomial(fold_in(key, i), left, of_rest, front, _F64)
        counts.append(ops.expand_dims(drawn, (len(front),)))
        left, rest = ops.sub(left, drawn), ops.sub(rest, share)
    return ops.convert(ops.concatenate(counts, len(front)), dtypes.canonical(dtype))


__all__ = ["binomial", "geometric", "multinomial", "poisson"]
