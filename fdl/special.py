"""Special functions, with the names of `scipy.special`."""

from __future__ import annotations

import functools
import math
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.trace import aval_of
from fdl.incomplete import gammainc, gammaincc
from fdl.numpy._math import sloped
from fdl.ops import digamma, erf, erfc, logistic
from fdl.ops import lgamma as gammaln
from fdl.ops.promotion import promote
from fdl.transforms.custom import custom_jvp

expit = logistic


@custom_jvp
def _erf_inverse(x: Any) -> Any:
    """Giles, 2010, and two steps of Newton's method."""
    w = ops.neg(ops.log(ops.mul(ops.sub(1, x), ops.add(1, x))))
    near, far = ops.sub(w, 2.5), ops.sub(ops.sqrt(ops.maximum(w, 5)), 3.0)
    inner, outer = ops.mul(w, 0), ops.mul(w, 0)
    for c in (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941):
        inner = ops.add(ops.mul(inner, near), c)
    for c in (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682):
        outer = ops.add(ops.mul(outer, far), c)
    y = ops.mul(ops.select(ops.less(w, 5), inner, outer), x)
    ends = ops.equal(ops.abs(x), 1)
    y = ops.select(ends, 0, y)
    for _ in range(2):
        error = ops.select(ops.less(ops.abs(x), 0.5), ops.sub(ops.erf(y), x), ops.mul(ops.sign(x), ops.sub(ops.sub(1, ops.abs(x)), ops.erfc(ops.abs(y)))))
        y = ops.sub(y, ops.div(error, ops.mul(ops.exp(ops.neg(ops.mul(y, y))), 2 / math.sqrt(math.pi))))
    return ops.select(ends, ops.mul(x, math.inf), ops.select(ops.greater(ops.abs(x), 1), math.nan, y))


@_erf_inverse.defjvp
def _(primals: Any, tangents: Any) -> Any:
    y = _erf_inverse(*primals)
    return y, ops.mul(tangents[0], ops.mul(ops.exp(ops.mul(y, y)), math.sqrt(math.pi) / 2))


def erfinv(x: Any) -> Any:
    """The inverse of `erf`.

    >>> round(float(erfinv(0.5)), 6)
    0.476936
    """
    (x,) = promote(x, to_float=True)
    return _erf_inverse(ops.broadcast_to(x, aval_of(x).shape))


def xlogy(x: Any, y: Any) -> Any:
    """`x * log(y)`, and 0 where x is 0 and the logarithm is not finite.

    >>> float(xlogy(0.0, 0.0))
    0.0
    """
    x, y = promote(x, y, to_float=True)
    x, y = _together(x, y)
    zero = ops.bitwise_and(ops.equal(x, 0), ops.bitwise_or(ops.less_equal(y, 0), ops.equal(y, math.inf)))  # elsewhere the logarithm is x's slope
    return ops.select(zero, 0, ops.mul(x, ops.log(ops.select(zero, 1, y))))


def xlog1py(x: Any, y: Any) -> Any:
    """`x * log1p(y)`, and 0 where x is 0 and the logarithm is not finite.

    >>> float(xlog1py(0.0, -1.0))
    0.0
    """
    x, y = _together(*promote(x, y, to_float=True))
    zero = ops.bitwise_and(ops.equal(x, 0), ops.bitwise_or(ops.less_equal(y, -1), ops.equal(y, math.inf)))
    return ops.select(zero, 0, ops.mul(x, ops.log1p(ops.select(zero, 0, y))))


def _together(x: Any, y: Any) -> tuple[Any, Any]:
    shape = ops.broadcast_shapes([aval_of(x).shape, aval_of(y).shape], "special")
    return ops.broadcast_to(x, shape), ops.broadcast_to(y, shape)


def entr(x: Any) -> Any:
    """`-x * log(x)`, 0 at 0 and minus infinity below.

    >>> float(entr(1.0))
    -0.0
    """
    (x,) = promote(x, to_float=True)
    return _entr(ops.broadcast_to(x, aval_of(x).shape))


_entr = sloped(lambda x: ops.sub(-1, ops.log(x)))(lambda x: ops.select(ops.less(x, 0), -math.inf, ops.neg(xlogy(x, x))))


def logit(x: Any) -> Any:
    """The inverse of the sigmoid.

    >>> float(logit(0.5))
    0.0
    """
    (x,) = promote(x, to_float=True)
    return ops.sub(ops.log(x), ops.log1p(ops.neg(x)))


def ndtr(x: Any) -> Any:
    """The share of a standard normal distribution below x.

    >>> float(ndtr(0.0))
    0.5
    """
    (x,) = promote(x, to_float=True)
    return ops.mul(ops.erfc(ops.mul(x, -math.sqrt(0.5))), 0.5)


def ndtri(p: Any) -> Any:
    """The inverse of `ndtr`.

    >>> round(float(ndtri(0.975)), 5)
    1.95996
    """
    (p,) = promote(p, to_float=True)
    return _ndtri(ops.broadcast_to(p, aval_of(p).shape))


def _ratio(x: Any, above: tuple[float, ...], below: tuple[float, ...]) -> Any:
    """A quotient of polynomials, from the highest power down."""
    return ops.div(*(functools.reduce(lambda total, c: ops.add(ops.mul(total, x), c), rest, ops.mul(x, 0)) for rest in (above, below)))


_MIDDLE = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.387132872796366608,
    ),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867, 5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)
_SIDES = (
    (
        7.7454501427834140764e-4,
        0.0227238449892691845833,
        0.24178072517745061177,
        1.27045825245236838258,
        3.64784832476320460504,
        5.7694972214606914055,
        4.6303378461565452959,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.475938084995344946e-4,
        0.0151986665636164571966,
        0.14810397642748007459,
        0.68976733498510000455,
        1.6763848301838038494,
        2.05319162663775882187,
        1.0,
    ),
)
_TAILS = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        0.0012426609473880784386,
        0.026532189526576123093,
        0.29656057182850489123,
        1.7848265399172913358,
        5.4637849111641143699,
        6.6579046435011037772,
    ),
    (
        2.04426310338993978564e-15,
        1.4215117583164458887e-7,
        1.8463183175100546818e-5,
        7.868691311456132591e-4,
        0.0148753612908506148525,
        0.13692988092273580531,
        0.59983220655588793769,
        1.0,
    ),
)


@sloped(lambda p: ops.mul(ops.exp(ops.mul(ops.integer_pow(_ndtri(p), 2), 0.5)), math.sqrt(2 * math.pi)))
def _ndtri(p: Any) -> Any:
    """Algorithm AS 241 (Wichura, 1988), exact to 16 digits."""
    q = ops.sub(p, 0.5)
    middle = ops.less_equal(ops.abs(q), 0.425)
    near = ops.mul(q, _ratio(ops.sub(0.180625, ops.mul(q, q)), *_MIDDLE))
    tail = ops.minimum(p, ops.sub(1, p))
    r = ops.sqrt(ops.neg(ops.log(ops.select(ops.bitwise_or(middle, ops.less_equal(tail, 0)), 0.05, tail))))
    far = ops.select(ops.less_equal(r, 5), _ratio(ops.sub(r, 1.6), *_SIDES), _ratio(ops.sub(r, 5), *_TAILS))
    far = ops.select(ops.equal(tail, 0), math.inf, ops.select(ops.less(tail, 0), math.nan, far))
    return ops.select(middle, near, ops.select(ops.less(q, 0), ops.neg(far), far))


def log_ndtr(x: Any) -> Any:
    """The logarithm of `ndtr`, by its asymptotic series far below (Abramowitz and Stegun, 26.2.12).

    >>> round(float(log_ndtr(-30.0)), 4)
    -454.3212
    """
    (x,) = promote(x, to_float=True)
    low = ops.less(x, -8 if aval_of(x).dtype == dtypes.float64 else -5)
    near = ops.log(ndtr(ops.select(low, 0, x)))
    far = ops.select(low, x, -10)
    r = ops.div(1, ops.mul(far, far))
    series, term = ops.add(ops.mul(r, 0), 1), ops.add(ops.mul(r, 0), 1)
    for k in range(1, 7):
        term = ops.mul(ops.mul(term, r), -(2 * k - 1))
        series = ops.add(series, term)
    tail = ops.add(ops.sub(ops.mul(ops.mul(far, far), -0.5), ops.add(ops.log(ops.neg(far)), 0.5 * math.log(2 * math.pi))), ops.log(series))
    return ops.select(low, tail, near)


def betaln(a: Any, b: Any) -> Any:
    """The logarithm of the beta function.

    >>> round(float(betaln(2.0, 3.0)), 4)
    -2.4849
    """
    a, b = promote(a, b, to_float=True)
    return ops.sub(ops.add(gammaln(a), gammaln(b)), gammaln(ops.add(a, b)))


def zeta(s: Any, q: Any) -> Any:
    """Hurwitz's zeta function, the sum of `(q + k) ** -s`, by Euler and Maclaurin's formula.

    >>> round(float(zeta(2.0, 1.0)), 6)
    1.644934
    """
    s, q = _together(*promote(s, q, to_float=True))
    terms = 10
    total = ops.mul(q, 0)
    for k in range(terms):
        total = ops.add(total, ops.pow(ops.add(q, k), ops.neg(s)))
    end = ops.add(q, terms)
    power = ops.pow(end, ops.neg(s))
    total = ops.add(total, ops.add(ops.div(ops.mul(power, end), ops.sub(s, 1)), ops.mul(power, 0.5)))
    factor = ops.div(ops.mul(power, s), end)
    for j, c in enumerate((1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)):
        total = ops.add(total, ops.mul(factor, c))
        factor = ops.div(ops.mul(factor, ops.mul(ops.add(s, 2 * j + 1), ops.add(s, 2 * j + 2))), ops.mul(end, end))
    return total


def polygamma(n: int, x: Any) -> Any:
    """The n-th derivative of `digamma`, for positive x.

    >>> round(float(polygamma(1, 1.0)), 6)
    1.644934
    """
    if n == 0:
        return digamma(x)
    (x,) = promote(x, to_float=True)
    return ops.mul(zeta(ops.full(aval_of(x).shape, n + 1, aval_of(x).dtype), x), (-1.0) ** (n + 1) * math.factorial(n))


def _bessel(x: Any, small: tuple[float, ...], large: tuple[float, ...]) -> tuple[Any, Any, Any]:
    """|x|, and values of two Chebyshev-free polynomials: of (x / 3.75) ** 2 near zero, of 3.75 / |x| beyond (Abramowitz and Stegun, 9.8)."""
    size = ops.abs(x)
    t = ops.integer_pow(ops.div(x, 3.75), 2)
    u = ops.div(3.75, ops.maximum(size, 3.75))
    near, far = ops.mul(t, 0), ops.mul(u, 0)
    for c in reversed(small):
        near = ops.add(ops.mul(near, t), c)
    for c in reversed(large):
        far = ops.add(ops.mul(far, u), c)
    return size, near, ops.div(far, ops.sqrt(ops.maximum(size, 3.75)))


def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind of order 0, to about 2e-7.

    >>> round(float(i0(1.0)), 5)
    1.26607
    """
    return ops.mul(i0e(x), ops.exp(ops.abs(promote(x, to_float=True)[0])))


def i0e(x: Any) -> Any:
    """`exp(-|x|) * i0(x)`.

    >>> round(float(i0e(1.0)), 5)
    0.46576
    """
    (x,) = promote(x, to_float=True)
    small = (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
    large = (0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633, 0.00392377)
    size, near, far = _bessel(x, small, large)
    return ops.select(ops.less(size, 3.75), ops.mul(near, ops.exp(ops.neg(size))), far)


__all__ = [
    "betaln", "digamma", "entr", "erf", "erfc", "erfinv", "expit", "gammainc", "gammaincc", "gammaln", "i0", "i0e", "log_ndtr", "logit", "ndtr", "ndtri", "polygamma", "xlog1py",
    "xlogy", "zeta",
]  # fmt: skip
