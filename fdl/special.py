"""Special functions, with the names of `scipy.special`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fdl import ops
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.incomplete import gammainc, gammaincc
from fdl.incomplete_beta import betainc
from fdl.numpy._math import sloped
from fdl.ops import digamma, erf, erfc, logistic
from fdl.ops import lgamma as gammaln
from fdl.ops.elementary import in_double, polynomial
from fdl.ops.promotion import promote
from fdl.transforms.custom import custom_jvp

expit = logistic


@custom_jvp
def _erf_inverse(x: Any) -> Array:
    """Algorithm AS 241 (Wichura, 1988), and a step of Newton's method."""
    size = ops.abs(x)
    left = ops.sub(1, size)  # exact where it is small
    y = ops.mul(_quantile(ops.mul(x, 0.5), ops.mul(left, 0.5)), math.sqrt(0.5))
    ends = ops.bitwise_not(ops.less(size, 1))
    y = ops.select(ends, 0, y)
    near = ops.less(size, 0.5)
    error = ops.select(near, ops.sub(ops.erf(y), x), ops.mul(ops.sign(x), ops.sub(left, ops.erfc(ops.abs(y)))))
    y = ops.sub(y, ops.div(error, ops.mul(ops.exp(ops.neg(ops.mul(y, y))), 2 / math.sqrt(math.pi))))
    return ops.select(
        ends, ops.select(ops.equal(size, 1), ops.mul(x, math.inf), math.nan), ops.select(ops.equal(x, 0), x, y)
    )


@_erf_inverse.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    y = _erf_inverse(*primals)
    return y, ops.mul(tangents[0], ops.mul(ops.exp(ops.mul(y, y)), math.sqrt(math.pi) / 2))


def erfinv(x: ArrayLike) -> Array:
    """The inverse of `erf`.

    >>> round(float(erfinv(0.5)), 6)
    0.476936
    """
    (x,) = promote(x, to_float=True)
    return in_double(_erf_inverse)(ops.broadcast_to(x, aval_of(x).shape))


def xlogy(x: ArrayLike, y: ArrayLike) -> Array:
    """`x * log(y)`, and 0 where x is 0 and the logarithm is not finite.

    >>> float(xlogy(0.0, 0.0))
    0.0
    """
    x, y = promote(x, y, to_float=True)
    x, y = _together(x, y)
    zero = ops.bitwise_and(
        ops.equal(x, 0), ops.bitwise_or(ops.less_equal(y, 0), ops.equal(y, math.inf))
    )  # elsewhere the logarithm is x's slope
    return ops.select(zero, 0, ops.mul(x, ops.log(ops.select(zero, 1, y))))


def xlog1py(x: ArrayLike, y: ArrayLike) -> Array:
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


def entr(x: ArrayLike) -> Array:
    """`-x * log(x)`, 0 at 0 and minus infinity below.

    >>> float(entr(1.0))
    -0.0
    """
    (x,) = promote(x, to_float=True)
    return _entr(ops.broadcast_to(x, aval_of(x).shape))


_entr = sloped(lambda x: ops.sub(-1, ops.log(x)))(lambda x: ops.select(ops.less(x, 0), -math.inf, ops.neg(xlogy(x, x))))


def logit(x: ArrayLike) -> Array:
    """The inverse of the sigmoid.

    >>> float(logit(0.5))
    0.0
    """
    return in_double(_logit)(*promote(x, to_float=True))


def _logit(x: Any) -> Array:
    """Around 1/2, where logarithms cancel, by atanh of a number that is exact."""
    middle = ops.bitwise_and(ops.greater(x, 0.25), ops.less(x, 0.75))
    near = ops.mul(ops.atanh(ops.sub(ops.mul(ops.select(middle, x, 0.5), 2), 1)), 2)
    safe = ops.select(middle, 0.25, x)
    return ops.select(middle, near, ops.sub(ops.log(safe), ops.log1p(ops.neg(safe))))


def ndtr(x: ArrayLike) -> Array:
    """The share of a standard normal distribution below x.

    >>> float(ndtr(0.0))
    0.5
    """
    return in_double(_ndtr)(*promote(x, to_float=True))


def _ndtr(x: Any) -> Array:
    return ops.mul(ops.erfc(ops.mul(x, -math.sqrt(0.5))), 0.5)


def ndtri(p: ArrayLike) -> Array:
    """The inverse of `ndtr`.

    >>> round(float(ndtri(0.975)), 5)
    1.95996
    """
    (p,) = promote(p, to_float=True)
    return in_double(_ndtri)(ops.broadcast_to(p, aval_of(p).shape))


def _ratio(x: Any, above: tuple[float, ...], below: tuple[float, ...]) -> Array:
    """A quotient of polynomials, from the highest power down."""
    return ops.div(polynomial(x, above[::-1]), polynomial(x, below[::-1]))


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
    (
        5226.495278852854561,
        28729.085735721942674,
        39307.89580009271061,
        21213.794301586595867,
        5394.1960214247511077,
        687.1870074920579083,
        42.313330701600911252,
        1.0,
    ),
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


def _quantile(q: Any, tail: Any) -> Array:
    """Algorithm AS 241 (Wichura, 1988), exact to 16 digits: the place of a standard normal distribution at 1/2 + q,
    whose smaller side is `tail`.
    """
    middle = ops.less_equal(ops.abs(q), 0.425)
    near = ops.mul(q, _ratio(ops.sub(0.180625, ops.mul(q, q)), *_MIDDLE))
    r = ops.sqrt(ops.neg(ops.log(ops.select(ops.bitwise_or(middle, ops.less_equal(tail, 0)), 0.05, tail))))
    far = ops.select(ops.less_equal(r, 5), _ratio(ops.sub(r, 1.6), *_SIDES), _ratio(ops.sub(r, 5), *_TAILS))
    far = ops.select(ops.equal(tail, 0), math.inf, ops.select(ops.less(tail, 0), math.nan, far))
    return ops.select(middle, near, ops.select(ops.less(q, 0), ops.neg(far), far))


@sloped(lambda p: ops.mul(ops.exp(ops.mul(ops.integer_pow(_ndtri(p), 2), 0.5)), math.sqrt(2 * math.pi)))
def _ndtri(p: Any) -> Array:
    return _quantile(ops.sub(p, 0.5), ops.minimum(p, ops.sub(1, p)))


def log_ndtr(x: ArrayLike) -> Array:
    """The logarithm of `ndtr`, by its asymptotic series far below (Abramowitz and Stegun, 26.2.12).

    >>> round(float(log_ndtr(-30.0)), 2)
    -454.32
    """
    return in_double(_log_ndtr)(*promote(x, to_float=True))


def _log_ndtr(x: Any) -> Array:
    low, high = ops.less(x, -12), ops.greater(x, -1)
    above = ops.log1p(ops.mul(ops.erfc(ops.mul(ops.select(high, x, 0), math.sqrt(0.5))), -0.5))
    near = ops.select(high, above, ops.log(_ndtr(ops.select(ops.bitwise_or(low, high), -1, x))))
    far = ops.select(low, x, -12)
    r = ops.div(1, ops.mul(far, far))
    series, term = ops.add(ops.mul(r, 0), 1), ops.add(ops.mul(r, 0), 1)
    for k in range(1, 13):
        term = ops.mul(ops.mul(term, r), -(2 * k - 1))
        series = ops.add(series, term)
    tail = ops.add(
        ops.sub(ops.mul(ops.mul(far, far), -0.5), ops.add(ops.log(ops.neg(far)), 0.5 * math.log(2 * math.pi))),
        ops.log(series),
    )
    return ops.select(low, tail, near)


def betaln(a: ArrayLike, b: ArrayLike) -> Array:
    """The logarithm of the beta function.

    >>> round(float(betaln(2.0, 3.0)), 4)
    -2.4849
    """
    return in_double(lambda a, b: ops.sub(ops.add(gammaln(a), gammaln(b)), gammaln(ops.add(a, b))))(
        *promote(a, b, to_float=True)
    )


def zeta(x: ArrayLike, q: ArrayLike) -> Array:
    """Hurwitz's zeta function, the sum of `(q + k) ** -x`, by Euler and Maclaurin's formula.

    As SciPy has it: infinite for s = 1 and at q = 0, -1, ..., NaN for s below 1; below q = 0 defined for whole s.

    >>> round(float(zeta(2.0, 1.0)), 6)
    1.644934
    """
    return in_double(_zeta)(*_together(*promote(x, q, to_float=True)))


def _zeta(s: Any, q: Any) -> Array:
    """Below 0, terms up to the first positive one are those of a sum from the other side, with the sign of (-1)**s."""
    left, whole = ops.less(q, 0), ops.equal(s, ops.floor(s))
    fraction = ops.select(left, ops.sub(q, ops.floor(q)), q)
    back = ops.sub(
        _zeta_right(s, ops.select(left, ops.sub(1, fraction), 1)), _zeta_right(s, ops.select(left, ops.sub(1, q), 1))
    )
    odd = ops.not_equal(ops.rem(s, 2), 0)
    value = ops.add(
        _zeta_right(s, ops.select(ops.equal(fraction, 0), 1, fraction)),
        ops.select(left, ops.select(odd, ops.neg(back), back), 0),
    )
    value = ops.select(ops.bitwise_and(left, ops.bitwise_not(whole)), math.nan, value)
    value = ops.select(ops.bitwise_and(ops.less_equal(q, 0), ops.equal(q, ops.floor(q))), math.inf, value)
    value = ops.select(ops.equal(s, 1), math.inf, ops.select(ops.less(s, 1), math.nan, value))
    return ops.select(ops.bitwise_or(ops.not_equal(q, q), ops.not_equal(s, s)), math.nan, value)


def _zeta_right(s: Any, q: Any) -> Array:
    """For s > 1 and q > 0; far out, where q + 1 is next to q, what is left of the formula."""
    s = ops.select(ops.less_equal(s, 1), 2, s)
    far, place = ops.greater(q, 1e8), q
    q = ops.select(far, 1, q)
    large = ops.greater(s, 1e3)  # all but the first terms are nothing beside them
    terms = 10
    total = ops.mul(q, 0)
    for k in reversed(range(terms)):
        total = ops.add(total, ops.pow(ops.add(q, k), ops.neg(s)))
    end = ops.add(q, terms)
    t = ops.select(large, 2, s)
    power = ops.pow(end, ops.neg(t))
    tail = ops.add(ops.div(ops.mul(power, end), ops.sub(t, 1)), ops.mul(power, 0.5))
    factor = ops.div(ops.mul(power, t), end)
    for j, c in enumerate((1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)):
        tail = ops.add(tail, ops.mul(factor, c))
        factor = ops.div(ops.mul(factor, ops.mul(ops.add(t, 2 * j + 1), ops.add(t, 2 * j + 2))), ops.mul(end, end))
    distant = ops.mul(
        ops.add(ops.div(1, ops.sub(s, 1)), ops.div(0.5, place)), ops.pow(ops.select(far, place, 1), ops.sub(1, s))
    )
    return ops.select(far, distant, ops.add(total, ops.select(large, 0, tail)))


def polygamma(n: int, x: ArrayLike) -> Array:
    """The n-th derivative of `digamma`, for positive x.

    >>> round(float(polygamma(1, 1.0)), 6)
    1.644934
    """
    if n == 0:
        return digamma(x)
    (x,) = promote(x, to_float=True)
    return ops.mul(zeta(ops.full(aval_of(x).shape, n + 1, aval_of(x).dtype), x), (-1.0) ** (n + 1) * math.factorial(n))


# exp(-x) sqrt(x) I(x) of orders 0 and 1: from 16 on by powers of 16 / x, and from 6 to 16 by those of (96 / x - 11) /
# 5, to 2^-56 and 2^-53; least squares with the weights of a smallest largest error
_FAR_0 = (
    0.3989422804014327,
    0.003116736565634826,
    0.00010957276995910898,
    7.133642325293886e-06,
    6.827288791826684e-07,
    8.629698352645e-08,
    1.4059508231367113e-08,
    1.3571867532214701e-09,
    2.7702497697110352e-09,
    -2.5388349809359746e-09,
    2.133414629628829e-09,
    -9.47488293693505e-10,
    2.057573422450554e-10,
)
_FAR_1 = (
    0.39894228040143265,
    -0.009350209696907107,
    -0.00018262128322165462,
    -9.98709976286471e-06,
    -8.777906386994927e-07,
    -1.0549079618534386e-07,
    -1.6564637929054645e-08,
    -1.6724666322775432e-09,
    -2.988303359773542e-09,
    2.69307812909554e-09,
    -2.2694019396607844e-09,
    1.0061972493954224e-09,
    -2.1869934566097028e-10,
)
_MIDDLE_0 = (
    0.40507889208836734,
    0.0030127361235928432,
    0.00012017615496850662,
    1.1562399982738427e-05,
    2.11805208290164e-06,
    3.5725784851467007e-07,
    -9.363135295291334e-08,
    -8.632850674097845e-08,
    -2.3543778692856263e-09,
    1.3767645442139534e-08,
    6.428270885186476e-11,
    -2.3519081182573285e-09,
    3.6755664257176485e-10,
    3.4039697003483964e-10,
    -1.330973832688915e-10,
    -2.6082557901968857e-11,
    1.8978767857427138e-11,
    -5.685625274073562e-13,
)
_MIDDLE_1 = (
    0.381111786664649,
    -0.008459805538074279,
    -0.00018590374959422552,
    -1.4832818623659231e-05,
    -2.5028649609679903e-06,
    -4.273675760416341e-07,
    9.046734720633269e-08,
    9.353846195636716e-08,
    4.596944193489343e-09,
    -1.4498176327637198e-08,
    -4.08698133798782e-10,
    2.4844189702304705e-09,
    -3.297318760432292e-10,
    -3.6841495205592236e-10,
    1.320138329056581e-10,
    3.053316077831863e-11,
    -1.9333419932850628e-11,
    2.144819341281523e-13,
)
_NEAR_0, _NEAR_1 = (
    tuple(0.5 ** (2 * k + order) / (math.factorial(k) * math.factorial(k + order)) for k in range(22))
    for order in (0, 1)
)


def _bessel(x: Any, near: tuple[float, ...], middle: tuple[float, ...], far: tuple[float, ...]) -> tuple[Any, Any, Any]:
    """Whether |x| is below 6; `exp(-|x|) I(|x|)` there (of order 1, over |x|) by the power series, whose terms are all
    positive; and beyond by polynomials of 1 / |x|.
    """
    size = ops.abs(x)
    small = ops.less(size, 6)
    inner, outer = ops.select(small, size, 0), ops.select(small, 6, size)
    series = ops.mul(polynomial(ops.mul(inner, inner), near), ops.exp(ops.neg(inner)))
    between = polynomial(ops.mul(ops.sub(ops.div(96, outer), 11), 0.2), middle)
    return (
        small,
        series,
        ops.div(ops.select(ops.less(outer, 16), between, polynomial(ops.div(16, outer), far)), ops.sqrt(outer)),
    )


@custom_jvp
def _i0e(x: Any) -> Array:
    small, series, outer = _bessel(x, _NEAR_0, _MIDDLE_0, _FAR_0)
    return ops.select(small, series, outer)


@custom_jvp
def _i1e(x: Any) -> Array:
    small, series, outer = _bessel(x, _NEAR_1, _MIDDLE_1, _FAR_1)
    return ops.select(small, ops.mul(series, x), ops.mul(outer, ops.sign(x)))


@_i0e.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    (x,), out = primals, _i0e(*primals)
    return out, ops.mul(tangents[0], ops.sub(_i1e(x), ops.mul(ops.sign(x), out)))


@_i1e.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    (x,), out = primals, _i1e(*primals)
    ratio = ops.select(ops.equal(x, 0), 0.5, ops.div(out, ops.select(ops.equal(x, 0), 1, x)))  # I1(x) / x
    return out, ops.mul(tangents[0], ops.sub(ops.sub(_i0e(x), ratio), ops.mul(ops.sign(x), out)))


def _grown(scaled: Callable[[Any], Array]) -> Callable[[Any], Array]:
    """A scaled Bessel function times `exp(|x|)`, in two steps of which none overflows before the result does."""

    def f(x: Any) -> Array:
        x = ops.maximum(ops.minimum(x, 1400), -1400)  # where the result is infinite already
        half = ops.exp(ops.mul(ops.abs(x), 0.5))
        return ops.mul(ops.mul(scaled(x), half), half)

    return f


def _of_numbers(f: Callable[[Any], Array]) -> Callable[[Any], Array]:
    return lambda x: in_double(f)(*(ops.broadcast_to(v, aval_of(v).shape) for v in promote(x, to_float=True)))


def i0(x: ArrayLike) -> Array:
    """The modified Bessel function of the first kind of order 0.

    >>> round(float(i0(1.0)), 5)
    1.26607
    """
    return _of_numbers(_grown(_i0e))(x)


def i0e(x: ArrayLike) -> Array:
    """`exp(-|x|) * i0(x)`.

    >>> round(float(i0e(1.0)), 5)
    0.46576
    """
    return _of_numbers(_i0e)(x)


def i1(x: ArrayLike) -> Array:
    """The modified Bessel function of the first kind of order 1.

    >>> round(float(i1(1.0)), 5)
    0.56516
    """
    return _of_numbers(_grown(_i1e))(x)


def i1e(x: ArrayLike) -> Array:
    """`exp(-|x|) * i1(x)`.

    >>> round(float(i1e(1.0)), 5)
    0.20791
    """
    return _of_numbers(_i1e)(x)


__all__ = [
    "betainc", "betaln", "digamma", "entr", "erf", "erfc", "erfinv", "expit", "gammainc", "gammaincc", "gammaln",
    "i0", "i0e", "i1", "i1e",
    "log_ndtr", "logit", "ndtr", "ndtri", "polygamma", "xlog1py",
    "xlogy", "zeta",
]  # fmt: skip
