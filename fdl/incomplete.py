"""Incomplete gamma functions, and what a sample of a gamma distribution owes to its parameter.

Sources: the series and the continued fraction of Abramowitz and Stegun, 6.5.29 and 6.5.31, the latter by Lentz's method
(Press et al., Numerical Recipes, 6.2); the derivative of a sample by implicit reparameterisation (Figurnov, Mohamed and
Mnih, 2018). All is worked out in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.graph import ArrayLike, Operand
from fdl.core.trace import aval_of
from fdl.ops.promotion import promote
from fdl.transforms import while_loop
from fdl.transforms.custom import custom_jvp

_TERMS, _EPS = 20_000, 1e-17
Carry = tuple[Array, ...]


def _operands(a: ArrayLike, x: ArrayLike) -> tuple[Operand, Operand]:
    a, x = promote(a, x, to_float=True)
    shape = ops.broadcast_shapes([aval_of(a).shape, aval_of(x).shape], "gammainc")
    return ops.broadcast_to(a, shape), ops.broadcast_to(x, shape)


def _until(unfinished: Callable[[Any], Array], step: Callable[[Any], Carry], start: Carry) -> Carry:
    """Steps until no element is unfinished; the first of the carry counts them."""

    def goes_on(carry: Carry) -> Array:
        open_ = unfinished(carry)
        more = ops.greater(ops.reduce_max(ops.convert(open_, dtypes.int32), range(aval_of(open_).ndim)), 0)
        return ops.bitwise_and(more, ops.less(carry[0], float(_TERMS)))

    found: Carry = while_loop(goes_on, step, start) if aval_of(start[1]).size else start
    return found


def _series(a: Array, x: Array) -> tuple[Array, Array]:
    """Sums over n of s = x^n gamma(a) / gamma(a + n + 1), and of s (log x - digamma(a + n + 1)): P(a, x) and its
    derivative by a, over the density times x.
    """
    log_x = ops.log(x)
    first = ops.div(1, a)

    def step(carry: Carry) -> Carry:
        n, s, psi, total, weighted = carry
        after = ops.add(ops.add(a, n), 1)
        s = ops.div(ops.mul(s, x), after)
        psi = ops.add(psi, ops.div(1, after))
        return ops.add(n, 1), s, psi, ops.add(total, s), ops.add(weighted, ops.mul(s, ops.sub(log_x, psi)))

    def unfinished(carry: Carry) -> Array:
        n, s, _, total, _ = carry
        return ops.bitwise_or(ops.greater(s, ops.mul(total, _EPS)), ops.less(ops.add(a, n), x))

    psi = ops.digamma(ops.add(a, 1))
    start = (ops.full((), 0, dtypes.float64), first, psi, first, ops.mul(first, ops.sub(log_x, psi)))
    found = _until(unfinished, step, start)
    return found[3], found[4]


def _fraction(a: Array, x: Array) -> Array:
    """Q(a, x) over x^a exp(-x) / gamma(a), for x > a + 1."""
    tiny = 1e-300

    def step(carry: Carry) -> Carry:
        n, b, c, d, h, _ = carry
        n = ops.add(n, 1)
        an = ops.neg(ops.mul(n, ops.sub(n, a)))
        b = ops.add(b, 2)
        d = ops.add(ops.mul(an, d), b)
        d = ops.div(1, ops.select(ops.less(ops.abs(d), tiny), tiny, d))
        c = ops.add(b, ops.div(an, c))
        c = ops.select(ops.less(ops.abs(c), tiny), tiny, c)
        change = ops.mul(c, d)
        return n, b, c, d, ops.mul(h, change), change

    b = ops.add(ops.sub(x, a), 1)
    d = ops.div(1, b)
    found = _until(
        lambda carry: ops.greater(ops.abs(ops.sub(carry[5], 1)), 1e-16),
        step,
        (ops.full((), 0, dtypes.float64), b, ops.full(aval_of(x).shape, 1 / tiny, dtypes.float64), d, d, ops.mul(d, 0)),
    )
    return found[4]


def _split(a: Operand, x: Operand) -> tuple[Array, Array, Array]:
    """Operands in float64 moved to where both ways work, and which way is right."""
    a, x = ops.convert(a, dtypes.float64), ops.convert(x, dtypes.float64)
    regular = ops.bitwise_and(ops.bitwise_and(ops.greater(a, 0), ops.greater(x, 0)), ops.less(x, float("inf")))
    return ops.select(regular, a, 1), ops.select(regular, x, 1), regular


def _ends(a: Array, x: Array, at_zero: float, value: Array) -> Array:
    """The value but for x = 0, x infinite, a = 0, and what has none."""
    wrong = ops.bitwise_or(
        ops.bitwise_or(ops.less(a, 0), ops.less(x, 0)), ops.bitwise_or(ops.not_equal(a, a), ops.not_equal(x, x))
    )
    value = ops.select(ops.equal(x, float("inf")), 1 - at_zero, ops.select(ops.equal(x, 0), at_zero, value))
    value = ops.select(ops.equal(a, 0), ops.select(ops.equal(x, 0), float("nan"), 1 - at_zero), value)
    return ops.select(wrong, float("nan"), value)


def _density(a: Array, x: Array, power: int) -> Array:
    """x^(a - 1 + power) exp(-x) / gamma(a)."""
    return ops.exp(ops.sub(ops.sub(ops.mul(ops.add(a, float(power - 1)), ops.log(x)), x), ops.lgamma(a)))


def _value(a: Operand, x: Operand, upper: bool) -> Array:
    dtype = aval_of(x).dtype
    b, y, _ = _split(a, x)
    near = ops.less(y, ops.add(b, 1))
    front = _density(b, y, 1)
    low = ops.mul(front, _series(b, ops.select(near, y, b))[0])
    high = ops.mul(front, _fraction(b, ops.select(near, ops.add(b, 2), y)))
    found = ops.select(near, ops.sub(1, low), high) if upper else ops.select(near, low, ops.sub(1, high))
    return ops.convert(
        _ends(ops.convert(a, dtypes.float64), ops.convert(x, dtypes.float64), float(upper), found), dtype
    )


def _by_order(a: Operand, x: Operand) -> Array:
    """The derivative of P(a, x) by a."""
    b, y, regular = _split(a, x)
    far = ops.greater(y, ops.add(ops.add(b, 200), ops.mul(ops.sqrt(b), 40)))  # nothing is left there
    safe = ops.select(far, b, y)
    found = ops.mul(_density(b, safe, 1), _series(b, safe)[1])
    return ops.convert(ops.select(ops.bitwise_and(regular, ops.bitwise_not(far)), found, 0), aval_of(x).dtype)


def _by_place(a: Operand, x: Operand) -> Array:
    """The derivative of P(a, x) by x."""
    b, y, regular = _split(a, x)
    return ops.convert(ops.select(regular, _density(b, y, 0), 0), aval_of(x).dtype)


def _function(upper: bool) -> Callable[[Operand, Operand], Array]:
    @custom_jvp
    def f(a: Operand, x: Operand) -> Array:
        return _value(a, x, upper)

    @f.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
        tangent = ops.add(ops.mul(tangents[0], _by_order(*primals)), ops.mul(tangents[1], _by_place(*primals)))
        return f(*primals), ops.neg(tangent) if upper else tangent

    return f


_lower, _upper = _function(False), _function(True)


def gammainc(a: ArrayLike, x: ArrayLike) -> Array:
    """The regularised lower incomplete gamma function P(a, x): the share of a gamma distribution below x.

    >>> round(float(gammainc(1.0, 2.0)), 6)
    0.864665
    """
    return _lower(*_operands(a, x))


def gammaincc(a: ArrayLike, x: ArrayLike) -> Array:
    """The regularised upper incomplete gamma function, `1 - gammainc(a, x)`.

    >>> round(float(gammaincc(1.0, 2.0)), 6)
    0.135335
    """
    return _upper(*_operands(a, x))


def _slope(a: Operand, sample: Operand) -> Array:
    b, y, regular = _split(a, sample)
    return ops.convert(ops.select(regular, ops.neg(ops.mul(y, _series(b, y)[1])), 0), aval_of(sample).dtype)


gamma_sample = custom_jvp(lambda a, sample: sample)
gamma_sample.__doc__ = """A sample of the gamma distribution of order `a`, through which gradients flow to `a`.

The slope is how far the sample moves with `a` where its share of the distribution stays.
"""
gamma_sample.defjvp(lambda primals, tangents: (primals[1], ops.mul(tangents[0], _slope(*primals))))


__all__ = ["gamma_sample", "gammainc", "gammaincc"]
