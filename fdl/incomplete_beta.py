"""The incomplete beta function: the share of a beta distribution below a place.

Source: the continued fraction of Abramowitz and Stegun, 26.5.8, by Lentz's method (Press et al., Numerical Recipes,
6.4), of which the half that converges fast is taken: I_x(a, b) = 1 - I_(1 - x)(b, a). All is worked out in float64.
"""

from __future__ import annotations

from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.graph import ArrayLike, Operand
from fdl.core.trace import aval_of
from fdl.ops.promotion import promote
from fdl.transforms import while_loop
from fdl.transforms.custom import custom_jvp

_TERMS, _TINY = 20_000, 1e-300

__all__ = ["betainc"]


def _away_from_zero(x: Array) -> Array:
    return ops.select(ops.less(ops.abs(x), _TINY), _TINY, x)


def _fraction(a: Array, b: Array, x: Array) -> Array:
    """The continued fraction at each element, two terms a step, until none changes."""
    total = ops.add(a, b)

    def applied(term: Array, c: Array, d: Array, h: Array) -> tuple[Array, Array, Array, Array]:
        d = ops.div(1, _away_from_zero(ops.add(ops.mul(term, d), 1)))
        c = _away_from_zero(ops.add(ops.div(term, c), 1))
        change = ops.mul(c, d)
        return c, d, ops.mul(h, change), change

    def step(carry: Any) -> tuple[Array, ...]:
        m, c, d, h, _ = carry
        m = ops.add(m, 1)
        twice = ops.add(a, ops.mul(m, 2))
        even = ops.div(ops.mul(ops.mul(m, ops.sub(b, m)), x), ops.mul(ops.sub(twice, 1), twice))
        c, d, h, _ = applied(even, c, d, h)
        odd = ops.div(ops.mul(ops.neg(ops.mul(ops.add(a, m), ops.add(total, m))), x), ops.mul(twice, ops.add(twice, 1)))
        return m, *applied(odd, c, d, h)

    def goes_on(carry: Any) -> Array:
        open_ = ops.greater(ops.abs(ops.sub(carry[4], 1)), 1e-16)
        some = ops.greater(ops.reduce_max(ops.convert(open_, dtypes.int32), range(aval_of(open_).ndim)), 0)
        return ops.bitwise_and(some, ops.less(carry[0], float(_TERMS)))

    first = ops.div(ops.mul(ops.neg(total), x), ops.add(a, 1))
    d = ops.div(1, _away_from_zero(ops.add(first, 1)))
    start = (ops.full((), 0, dtypes.float64), ops.full(aval_of(x).shape, 1, dtypes.float64), d, d, ops.mul(d, 0))
    return while_loop(goes_on, step, start)[3] if aval_of(x).size else d  # type: ignore[no-any-return]


def _log_density(a: Array, b: Array, x: Array, less: float) -> Array:
    """log of x^(a - less) (1 - x)^(b - less) / B(a, b)."""
    norm = ops.sub(ops.lgamma(ops.add(a, b)), ops.add(ops.lgamma(a), ops.lgamma(b)))
    powers = ops.add(ops.mul(ops.sub(a, less), ops.log(x)), ops.mul(ops.sub(b, less), ops.log1p(ops.neg(x))))
    return ops.add(norm, powers)


def _all(*conditions: Array) -> Array:
    found = conditions[0]
    for c in conditions[1:]:
        found = ops.bitwise_and(found, c)
    return found


def _inner(a: Array, b: Array, x: Array) -> Array:
    """Where the function is neither at an end nor undefined."""
    infinite = float("inf")
    return _all(
        ops.greater(a, 0), ops.greater(b, 0), ops.greater(x, 0), ops.less(x, 1), ops.less(a, infinite),
        ops.less(b, infinite),
    )  # fmt: skip


def _value(a: Operand, b: Operand, x: Operand) -> Array:
    dtype = aval_of(x).dtype
    a, b, x = (ops.convert(v, dtypes.float64) for v in (a, b, x))
    inner = _inner(a, b, x)
    p, q, y = (ops.select(inner, v, safe) for v, safe in ((a, 1), (b, 1), (x, 0.5)))
    turned = ops.greater(y, ops.div(ops.add(p, 1), ops.add(ops.add(p, q), 2)))
    one, other = ops.select(turned, q, p), ops.select(turned, p, q)
    place = ops.select(turned, ops.sub(1, y), y)
    front = ops.exp(_log_density(p, q, y, 0))
    share = ops.div(ops.mul(front, _fraction(one, other, place)), one)
    found = ops.select(turned, ops.sub(1, share), share)
    positive = _all(ops.greater(a, 0), ops.greater(b, 0))
    ended = ops.select(_all(positive, ops.equal(x, 0)), 0, ops.select(_all(positive, ops.equal(x, 1)), 1, float("nan")))
    return ops.convert(ops.select(inner, found, ended), dtype)


@custom_jvp
def _betainc(a: Operand, b: Operand, x: Operand) -> Array:
    return _value(a, b, x)


@_betainc.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    a, b, x = primals
    by_place = ops.exp(_log_density(a, b, x, 1))
    step = 1e-4  # of orders, relative to their size: by central differences of fourth order in float64
    tangent = ops.mul(tangents[2], by_place)
    for k in (0, 1):
        tangent = ops.add(tangent, ops.mul(tangents[k], _by_order(primals, k, step)))
    return _betainc(*primals), tangent


def _by_order(primals: Any, k: int, step: float) -> Array:
    """The derivative by an order."""
    exact = [ops.convert(v, dtypes.float64) for v in primals]
    width = ops.mul(exact[k], step)

    def at(times: float) -> Array:
        moved = list(exact)
        moved[k] = ops.add(exact[k], ops.mul(width, times))
        return _value(*moved)

    near, far = ops.sub(at(1), at(-1)), ops.sub(at(2), at(-2))
    found = ops.div(ops.sub(ops.mul(near, 8), far), ops.mul(width, 12))
    return ops.convert(found, aval_of(primals[2]).dtype)


def betainc(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Array:
    """The regularised incomplete beta function I_x(a, b): the share of a beta distribution below x.

    NaN outside of [0, 1], and for orders that are not positive. It has derivatives by each argument, those by `a` and
    `b` by differences.

    >>> round(float(betainc(2.0, 3.0, 0.5)), 6)
    0.6875
    """
    operands = promote(a, b, x, to_float=True)
    shape = ops.broadcast_shapes([aval_of(v).shape for v in operands], "betainc")
    return _betainc(*(ops.broadcast_to(v, shape) for v in operands))
