"""Exponentials, logarithms, trigonometry, powers and roots, and the functions of statistics: rows as in
`elementwise.py`.

Reference implementations work floats out in double precision and round once, so that they do not depend on which
instructions NumPy finds on a machine. How far compiled and interpreted results may be from the exact ones is in
docs/accuracy.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.ops.elementwise import (
    NZ,
    F,
    Z,
    add,
    bitwise_and,
    div,
    elementwise,
    equal,
    less,
    less_equal,
    mul,
    neg,
    round_even,
    select,
    sqrt,
    sub,
)
from fdl.ops.promotion import cast, promote


def _wide(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy, worked out in float64 or complex128."""
    return lambda *xs: f(*(x.astype(np.complex128 if dtypes.is_complex(x.dtype) else np.float64) for x in xs))


def _each(f: Callable[[float], float]) -> Callable[..., Any]:
    """A function of one Python number, for arrays."""
    return _wide(np.vectorize(f, otypes=[np.float64]))


# exponentials and logarithms

exp: Callable[..., Array] = elementwise("exp", _wide(np.exp), Z, lambda t, y, x: mul(t, y), doc="e to the power of x.")
exp2: Callable[..., Array] = elementwise(
    "exp2", _wide(np.exp2), Z, lambda t, y, x: mul(t, mul(y, math.log(2))), doc="2 to the power of x."
)
expm1: Callable[..., Array] = elementwise(
    "expm1", _wide(np.expm1), Z, lambda t, y, x: mul(t, add(y, 1)), doc="`exp(x) - 1`, accurate near 0."
)
log: Callable[..., Array] = elementwise(
    "log", _wide(np.log), Z, lambda t, y, x: div(t, x), domain=(0.2, 4.0), doc="Natural logarithm."
)
log2: Callable[..., Array] = elementwise(
    "log2",
    _wide(np.log2),
    Z,
    lambda t, y, x: div(t, mul(x, math.log(2))),
    domain=(0.2, 4.0),
    doc="Logarithm to base 2.",
)
log10: Callable[..., Array] = elementwise(
    "log10",
    _wide(np.log10),
    Z,
    lambda t, y, x: div(t, mul(x, math.log(10))),
    domain=(0.2, 4.0),
    doc="Logarithm to base 10.",
)
log1p: Callable[..., Array] = elementwise(
    "log1p",
    _wide(np.log1p),
    Z,
    lambda t, y, x: div(t, add(x, 1)),
    domain=(-0.7, 3.0),
    doc="`log(1 + x)`, accurate near 0.",
)


def _logistic(x: np.ndarray[Any, Any]) -> Any:  # ufuncs are not typed: an array, or a scalar of 0-d arrays
    if dtypes.is_complex(x.dtype):
        return _complex_logistic(x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _complex_logistic(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    left = x.real < 0
    small = np.exp(np.where(left, x, -x))
    return np.asarray(np.where(left, small, 1) / (1 + small))


logistic: Callable[..., Array] = elementwise(
    "logistic", _wide(_logistic), Z, lambda t, y, x: mul(t, mul(y, sub(1, y))), doc="`1 / (1 + exp(-x))`."
)
softplus: Callable[..., Array] = elementwise(
    "softplus",
    _wide(lambda x: np.logaddexp(x, 0)),
    F,
    lambda t, y, x: mul(t, logistic(x)),
    doc="`log(1 + exp(x))`, without overflow and accurate far below 0.",
)

# powers and roots

rsqrt: Callable[..., Array] = elementwise(
    "rsqrt",
    _wide(lambda x: 1 / np.sqrt(x)),
    Z,
    lambda t, y, x: mul(t, mul(div(y, x), -0.5)),
    domain=(0.2, 4.0),
    doc="`1 / sqrt(x)`.",
)


def _cube_root(x: np.ndarray[Any, Any]) -> Any:  # ufuncs are not typed: an array, or a scalar of 0-d arrays
    """In the longest floats of the machine: the C library gives it for doubles to four units in the last place only."""
    return np.cbrt(x.astype(np.longdouble))


cbrt: Callable[..., Array] = elementwise(
    "cbrt",
    _cube_root,
    F,
    lambda t, y, x: div(t, mul(mul(y, y), 3)),
    domain=(0.2, 4.0),
    doc="The cube root, also of negative numbers.",
)


def _side(t: Any, y: Any, side: Any) -> Array:
    """The hypotenuse's share of a side; none where all are zero."""
    return mul(t, div(side, select(equal(y, 0), 1, y)))


hypot: Callable[..., Array] = elementwise(
    "hypot", _wide(np.hypot), F, lambda t, y, a, b: _side(t, y, a), lambda t, y, a, b: _side(t, y, b),
    arity=2, domain=(0.3, 2.5), doc="`sqrt(a**2 + b**2)`, without overflow.",
)  # fmt: skip


def _power(
    a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]
) -> Any:  # ufuncs are not typed: an array, or a scalar of 0-d arrays
    if dtypes.is_complex(a.dtype):
        return np.power(a.astype(np.complex128), b.astype(np.complex128))
    if dtypes.is_float(a.dtype):
        return np.power(a.astype(np.float64), b.astype(np.float64))
    if not np.iinfo(a.dtype).min:
        return np.power(a, b)
    return np.where(b >= 0, np.power(a, np.maximum(b, 0)), np.where(a == 1, 1, np.where(a == -1, 1 - 2 * (b & 1), 0)))


pow: Callable[..., Array] = elementwise(
    "pow", _power, NZ,
    lambda t, y, a, b: mul(t, mul(b, pow(a, select(equal(b, 0), 1, sub(b, 1))))),
    lambda t, y, a, b: mul(t, mul(y, log(select(equal(a, 0), 1, a)))),
    arity=2, domain=(0.3, 2.5),
    doc="`a ** b`; integers: exact modulo 2 to the bits, and 0 for a negative power of anything but 1 and -1.",
)  # fmt: skip

# trigonometry and hyperbolic functions

sin: Callable[..., Array] = elementwise(
    "sin", _wide(np.sin), Z, lambda t, y, x: mul(t, cos(x)), doc="Sine of x radians."
)
cos: Callable[..., Array] = elementwise(
    "cos", _wide(np.cos), Z, lambda t, y, x: neg(mul(t, sin(x))), doc="Cosine of x radians."
)
tan: Callable[..., Array] = elementwise(
    "tan", _wide(np.tan), Z, lambda t, y, x: mul(t, add(mul(y, y), 1)), domain=(-1.2, 1.2), doc="Tangent of x radians."
)


def _opposite(x: Any) -> Array:
    """`sqrt(1 - x**2)`."""
    return sqrt(mul(sub(1, x), add(1, x)))


asin: Callable[..., Array] = elementwise(
    "asin", _wide(np.arcsin), Z, lambda t, y, x: div(t, _opposite(x)), domain=(-0.9, 0.9), doc="Inverse sine."
)
acos: Callable[..., Array] = elementwise(
    "acos", _wide(np.arccos), Z, lambda t, y, x: neg(div(t, _opposite(x))), domain=(-0.9, 0.9), doc="Inverse cosine."
)


def _share_of_angle(t: Any, a: Any, b: Any) -> Array:
    """`t a / (a**2 + b**2)` without overflow; zero at the origin, where the angle has no derivative."""
    distance = hypot(a, b)
    distance = select(equal(distance, 0), math.inf, distance)
    return mul(t, div(div(a, distance), distance))


atan2: Callable[..., Array] = elementwise(
    "atan2", _wide(np.arctan2), F, lambda t, y, a, b: _share_of_angle(t, b, a), lambda t, y, a,
    b: neg(_share_of_angle(t, a, b)),
    arity=2, domain=(0.3, 2.0), doc="The angle of the point (b, a) in radians.",
)  # fmt: skip


def _hypotenuse(x: Any) -> Array:
    """`sqrt(x**2 + 1)`, of real numbers without overflow; of complex ones in factors, so that 1j is exact."""
    if dtypes.is_complex(aval_of(x).dtype):
        return mul(sqrt(add(mul(x, 1j), 1)), sqrt(sub(1, mul(x, 1j))))
    return hypot(x, 1)


sinh: Callable[..., Array] = elementwise(
    "sinh", _wide(np.sinh), Z, lambda t, y, x: mul(t, cosh(x)), doc="Hyperbolic sine."
)
cosh: Callable[..., Array] = elementwise(
    "cosh", _wide(np.cosh), Z, lambda t, y, x: mul(t, sinh(x)), doc="Hyperbolic cosine."
)
tanh: Callable[..., Array] = elementwise(
    "tanh", _wide(np.tanh), Z, lambda t, y, x: mul(t, sub(1, mul(y, y))), doc="Hyperbolic tangent."
)
asinh: Callable[..., Array] = elementwise(
    "asinh", _wide(np.arcsinh), Z, lambda t, y, x: div(t, _hypotenuse(x)), doc="Inverse hyperbolic sine."
)
acosh: Callable[..., Array] = elementwise(
    "acosh",
    _wide(np.arccosh),
    Z,
    lambda t, y, x: div(t, mul(sqrt(sub(x, 1)), sqrt(add(x, 1)))),
    domain=(1.1, 4.0),
    doc="Inverse hyperbolic cosine.",
)
atanh: Callable[..., Array] = elementwise(
    "atanh",
    _wide(np.arctanh),
    Z,
    lambda t, y, x: div(t, mul(sub(1, x), add(1, x))),
    domain=(-0.9, 0.9),
    doc="Inverse hyperbolic tangent.",
)

# error and gamma functions

erf: Callable[..., Array] = elementwise(
    "erf",
    _each(math.erf),
    F,
    lambda t, y, x: mul(t, mul(exp(neg(mul(x, x))), 2 / math.sqrt(math.pi))),
    doc="The error function.",
)
erfc: Callable[..., Array] = elementwise(
    "erfc",
    _each(math.erfc),
    F,
    lambda t, y, x: mul(t, mul(exp(neg(mul(x, x))), -2 / math.sqrt(math.pi))),
    doc="1 less the error function, exact where that is small.",
)


def _lgamma(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole, or too large for a double
        return math.inf


lgamma: Callable[..., Array] = elementwise(
    "lgamma",
    _each(_lgamma),
    F,
    lambda t, y, x: mul(t, digamma(x)),
    domain=(0.5, 4.0),
    doc="The logarithm of the size of the gamma function.",
)


def in_double(f: Callable[..., Array]) -> Callable[..., Array]:
    """A formula of several operations, for operands of one float dtype: worked out in float64, and rounded once."""

    def wide(*xs: Any) -> Array:
        aval = aval_of(xs[0])
        return (
            f(*xs)
            if aval.dtype == dtypes.float64
            else cast(f(*(cast(x, dtypes.float64) for x in xs)), aval.dtype, aval.weak_type)
        )

    return wide


def polynomial(x: ArrayLike, coefficients: Sequence[float]) -> Array:
    """From the lowest power up, by Horner's scheme."""
    out = add(mul(x, 0), coefficients[-1])
    for c in reversed(coefficients[:-1]):
        out = add(mul(out, x), c)
    return out


# digamma over its distance from its zero, at x - 3/2 in [-1/2, 1/2], to 2^-56: least squares with the weights of a
# smallest largest error
_DIGAMMA = (
    0.951055876031833,
    -0.4236274212814606,
    0.24054248424077382,
    -0.1484049230538898,
    0.09498872445498194,
    -0.06192213327466819,
    0.04076083381061417,
    -0.02697579669328049,
    0.017907252483089244,
    -0.01190821936576755,
    0.007926944015795901,
    -0.00527994701564028,
    0.0035190120688383354,
    -0.0023454143651629846,
    0.0015565999128133205,
    -0.0010368757061543317,
    0.0007234350754269846,
    -0.0004846235007228902,
    0.00022702856687617534,
    -0.00014716758463165477,
    0.00025984867088462343,
    -0.00017641820632058515,
)
_ZERO, _ZERO_LOW = 1.4616321449683622, 9.549995429965697e-17


def digamma(x: ArrayLike) -> Array:
    """The derivative of `lgamma`: by reflection to the right half; there below 6 by recurrence to [1, 2] and a
    polynomial, above by recurrence and the asymptotic series (Abramowitz and Stegun, 6.3.18).

    >>> from fdl.ops import full
    >>> round(float(digamma(full((), 1.0, "float64"))), 6)
    -0.577216
    """
    return in_double(_digamma)(*promote(x, to_float=True))


def _digamma(x: Any) -> Array:
    left = less(x, 0)
    z = select(left, sub(1, x), x)
    near = less(z, 6)
    value = select(near, _digamma_near(select(near, z, 1.5)), _digamma_far(select(near, 6, z)))
    turn = select(equal(x, 0), x, sub(x, round_even(x)))  # exact, where pi x would be rounded
    angle = tan(mul(select(left, turn, 0.25), math.pi))
    pole = bitwise_and(left, equal(turn, 0))
    value = select(equal(x, 0), neg(div(1, x)), value)
    return select(pole, math.nan, select(left, sub(value, div(math.pi, angle)), value))


def _digamma_near(z: Any) -> Array:
    """In (0, 6): what the recurrence adds or takes stands apart until the end."""
    more = select(less(z, 1), neg(div(1, z)), 0)
    z = select(less(z, 1), add(z, 1), z)
    for _ in range(4):
        down = less_equal(z, 2)
        below = sub(z, 1)
        more, z = select(down, more, add(more, div(1, select(down, 1, below)))), select(down, z, below)
    return add(mul(sub(sub(z, _ZERO), _ZERO_LOW), polynomial(sub(z, 1.5), _DIGAMMA)), more)


def _digamma_far(z: Any) -> Array:
    """From 6 on."""
    taken = mul(z, 0)
    for _ in range(2):
        small = less(z, 8)
        taken = select(small, add(taken, div(1, z)), taken)
        z = select(small, add(z, 1), z)
    square = div(1, mul(z, z))
    series = mul(
        square,
        polynomial(
            square, (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160, 43867 / 14364)
        ),
    )
    return select(equal(z, math.inf), z, sub(log(z), add(add(div(0.5, z), series), taken)))
