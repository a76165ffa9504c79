"""More functions of each element: hyperbolic inverses, error and gamma functions, and what is composed of others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import fdl.numpy as jnp
import fdl.special as own
from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.dtypes import result_dtype
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.operands import as_tensor_operand
from fdl.stateful.core.tensor import Composite, Tensor, apply
from fdl.stateful.functions.elementwise import _binary, _of_float, _step, _unary, clamp, maximum, minimum, sub

__all__ = [
    "acosh", "angle", "asinh", "atanh", "bitwise_left_shift", "bitwise_right_shift", "clamp_max", "clamp_min", "conj",
    "conj_physical", "copysign", "deg2rad", "digamma",
    "erfc", "erfinv", "exp2", "float_power", "fmax", "fmin", "frac", "gcd", "heaviside", "hypot", "i0", "isneginf",
    "isposinf", "isreal", "lcm", "ldexp", "lgamma",
    "logaddexp", "logaddexp2", "logit", "mvlgamma", "nan_to_num", "polygamma", "positive", "rad2deg", "real",
    "resolve_conj", "resolve_neg", "rsub", "sgn", "signbit",
    "sinc", "xlogy",
]  # fmt: skip

acosh = _unary("acosh", _of_float(jnp.arccosh), "The inverse hyperbolic cosine.")
asinh = _unary("asinh", _of_float(jnp.arcsinh), "The inverse hyperbolic sine.")
atanh = _unary("atanh", _of_float(jnp.arctanh), "The inverse hyperbolic tangent.")
erfc = _unary("erfc", _of_float(ops.erfc), "1 less the error function.")
erfinv = _unary("erfinv", _of_float(own.erfinv), "The inverse of the error function.")
lgamma = _unary("lgamma", _of_float(ops.lgamma), "The logarithm of the size of the gamma function.")
digamma = _unary("digamma", _of_float(ops.digamma), "The derivative of `lgamma`.")
exp2 = _unary("exp2", _of_float(ops.exp2), "2 to the power of each element.")
i0 = _unary("i0", _of_float(own.i0), "The modified Bessel function of order 0.")
frac = _unary("frac", lambda x: ops.sub(x, ops.stop_gradient(ops.trunc(x))), "The part after the point.")
deg2rad = _unary("deg2rad", _of_float(lambda x: ops.mul(x, math.pi / 180)), "Degrees in radians.")
rad2deg = _unary("rad2deg", _of_float(lambda x: ops.mul(x, 180 / math.pi)), "Radians in degrees.")
sgn = _unary(
    "sgn",
    lambda x: (
        _step(ops.sign)(x)
        if dtypes.is_float(aval_of(x).dtype)
        else x
        if aval_of(x).dtype == dtypes.bool_
        else ops.sign(x)
    ),
    "-1, 0 or 1.",
)
signbit = _unary("signbit", lambda x: _negative(x), "Whether the sign is minus.")
sinc = _unary("sinc", _of_float(lambda x: jnp.sinc(x)), "`sin(pi x) / (pi x)`.")
isposinf = _unary(
    "isposinf",
    lambda x: ops.equal(ops.cast(x, dtypes.default_float(aval_of(x).dtype)), math.inf),
    "Whether elements are infinite and positive.",
)
isneginf = _unary(
    "isneginf",
    lambda x: ops.equal(ops.cast(x, dtypes.default_float(aval_of(x).dtype)), -math.inf),
    "Whether elements are infinite and negative.",
)
isreal = _unary(
    "isreal", lambda x: ops.full(aval_of(x).shape, True, dtypes.bool_), "Whether elements are real: all are."
)


def _negative(x: Any) -> Any:
    """The sign of zeros comes from the angle of (x, -1)."""
    if not dtypes.is_float(aval_of(x).dtype):
        return ops.less(x, 0)
    return ops.less(ops.atan2(x, ops.full(aval_of(x).shape, -1, aval_of(x).dtype)), 0)


@method()
def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    if input.dtype.np == np.bool_:
        raise TensorError("The `+` operator, on a bool tensor is not supported.")
    return input


def _same(name: str) -> Callable[[Any], Any]:
    def public(input: Any) -> Any:
        if isinstance(input, Composite):
            found = getattr(input, name)
            return found() if callable(found) else found
        return input

    public.__name__, public.__doc__ = name, "Of a complex tensor what its name says; a real tensor itself."
    return public if isinstance(getattr(Tensor, name, None), property) else method(name)(public)


real, conj, conj_physical, resolve_conj, resolve_neg = (
    _same(n) for n in ("real", "conj", "conj_physical", "resolve_conj", "resolve_neg")
)


def _angle_body(x: Any) -> Any:
    x = ops.cast(x, dtypes.default_float(result_dtype(x)))
    return ops.select(ops.not_equal(x, x), x, ops.select(ops.less(x, 0), math.pi, 0))


_angle = Function(_angle_body, "angle")


@method()
def angle(input: Tensor) -> Any:
    """pi for negative numbers, 0 for others."""
    return apply(_angle, (input,))


def _replaced_body(x: Any, nan: Any, high: Any, low: Any) -> Any:
    dtype = aval_of(x).dtype
    if not dtypes.is_float(dtype):
        return x
    x = ops.select(ops.not_equal(x, x), ops.cast(nan, dtype), x)
    x = ops.select(ops.equal(x, math.inf), ops.cast(high, dtype), x)
    return ops.select(ops.equal(x, -math.inf), ops.cast(low, dtype), x)


_replaced = Function(_replaced_body, "nan_to_num")


@method(inplace=True)
def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """NaN and infinities replaced, by 0 and the ends of the range if not told."""
    most = float(jnp.finfo(input.dtype.np).max) if input.dtype.is_floating_point else 0.0
    return apply(
        _replaced, (input, nan or 0.0, most if posinf is None else posinf, -most if neginf is None else neginf)
    )


def _logit_body(x: Any, *eps: Any) -> Any:
    x = _float(x)
    if eps:
        return own.logit(jnp.clip(x, eps[0], ops.sub(1.0, eps[0])))
    outside = ops.bitwise_or(ops.less(x, 0), ops.greater(x, 1))  # where the slope is NaN as the value is
    return own.logit(ops.mul(x, ops.select(outside, ops.full((), math.nan, aval_of(x).dtype), 1)))


_logit = Function(_logit_body, "logit")


def _float(x: Any) -> Any:
    return ops.cast(x, dtypes.default_float(result_dtype(x)))


@method(inplace=True)
def logit(input: Tensor, eps: float | None = None) -> Any:
    """The inverse of the sigmoid; with `eps` of numbers moved into [eps, 1 - eps]."""
    return apply(_logit, (input,) if eps is None else (input, eps))


_polygamma = Function(lambda x, n: own.polygamma(n, _float(x)), "polygamma")


def polygamma(n: int, input: Tensor) -> Any:
    """The n-th derivative of `digamma`, for positive elements."""
    return apply(_polygamma, (input,), (int(n),))


method("polygamma")(lambda self, n: polygamma(n, self))


def _mvlgamma_body(x: Any, p: int) -> Any:
    x = _float(x)
    total = ops.add(ops.mul(x, 0), p * (p - 1) / 4 * math.log(math.pi))
    for j in range(p):
        total = ops.add(total, ops.lgamma(ops.sub(x, j / 2)))
    return total


_mvlgamma = Function(_mvlgamma_body, "mvlgamma")


@method(inplace=True)
def mvlgamma(input: Tensor, p: int) -> Any:
    """The logarithm of the gamma function of p dimensions."""
    return apply(_mvlgamma, (input,), (p,))


# Two operands


def _copysign(a: Any, b: Any) -> Any:
    size = ops.abs(a)
    return ops.select(_negative(jnp.broadcast_to(b, aval_of(ops.add(a, b)).shape)), ops.neg(size), size)


def _no_nan(holds: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The first where it holds against the second, or where that is NaN; of equal ones the first has the whole
    gradient.
    """

    def picked(a: Any, b: Any) -> Any:
        return ops.select(ops.bitwise_or(holds(a, b), ops.not_equal(b, b)), a, b)

    return picked


def _gcd(a: Any, b: Any) -> Any:
    """Euclid's algorithm, for as many steps as Fibonacci numbers need."""
    a, b = jnp.broadcast_arrays(ops.abs(a), ops.abs(b))
    for _ in range(94 if aval_of(a).dtype.itemsize == 8 else 48):
        done = ops.equal(b, 0)
        a, b = ops.select(done, a, b), ops.select(done, 0, ops.rem(a, ops.select(done, 1, b)))
    return a


def _lcm(a: Any, b: Any) -> Any:
    shared = _gcd(a, b)
    return ops.abs(ops.mul(a, ops.div(b, ops.select(ops.equal(shared, 0), 1, shared))))


xlogy = _binary("xlogy", own.xlogy, "`input * log(other)`, 0 where input is 0.", to_float=True)
logaddexp = _binary("logaddexp", jnp.logaddexp, "The logarithm of the sum of exponentials.", to_float=True)
logaddexp2 = _binary("logaddexp2", jnp.logaddexp2, "The same to base 2.", to_float=True)
hypot = _binary("hypot", jnp.hypot, "The longest side of a right triangle.", to_float=True)
copysign = _binary("copysign", _copysign, "The size of `input` with the sign of `other`.", to_float=True)
fmax = _binary("fmax", _no_nan(ops.greater_equal), "The larger one; NaN only where both are.")
fmin = _binary("fmin", _no_nan(ops.less_equal), "The smaller one; NaN only where both are.")
gcd = _binary("gcd", _gcd, "The greatest common divisor.")
lcm = _binary("lcm", _lcm, "The least common multiple.")


def _heaviside(a: Any, b: Any) -> Any:
    one, zero = (ops.full((), v, aval_of(a).dtype) for v in (1, 0))
    step = jnp.where(ops.greater(a, zero), one, jnp.where(ops.equal(a, a), zero, a))  # a NaN stays one
    return jnp.where(ops.equal(a, zero), b, step)


heaviside = _binary("heaviside", _heaviside, "0 below zero, 1 above, `values` at zero.")
ldexp = _binary("ldexp", lambda a, b: ops.mul(a, jnp.power(2.0, b)), "`input * 2 ** other`.", to_float=True)
bitwise_left_shift = _binary("bitwise_left_shift", jnp.left_shift, "Bits moved up.", methods=("__lshift__",))
bitwise_right_shift = _binary("bitwise_right_shift", jnp.right_shift, "Bits moved down.", methods=("__rshift__",))
_float_power = Function(lambda a, b: jnp.power(ops.cast(a, dtypes.float64), ops.cast(b, dtypes.float64)), "float_power")


@method()
def float_power(input: Any, exponent: Any) -> Any:
    """A power in float64."""
    return apply(_float_power, (as_tensor_operand(input), as_tensor_operand(exponent)))


@method(inplace=True)
def clamp_min(input: Tensor, min: Any) -> Any:
    """Each element, at least `min`."""
    return maximum(input, min) if isinstance(min, Tensor) else clamp(input, min=min)


@method(inplace=True)
def clamp_max(input: Tensor, max: Any) -> Any:
    """Each element, at most `max`."""
    return minimum(input, max) if isinstance(max, Tensor) else clamp(input, max=max)


def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Any:
    """`other - alpha * input`."""
    return sub(other, input, alpha=alpha)


# Of `torch.special` alone

entr: Callable[..., Any] = _unary("_special_entr", _of_float(own.entr), "`-x * log(x)`.")
ndtr: Callable[..., Any] = _unary(
    "_special_ndtr", _of_float(own.ndtr), "The share of a standard normal distribution below."
)
ndtri: Callable[..., Any] = _unary("_special_ndtri", _of_float(own.ndtri), "The inverse of `ndtr`.")
log_ndtr: Callable[..., Any] = _unary("_special_log_ndtr", _of_float(own.log_ndtr), "The logarithm of `ndtr`.")
i0e: Callable[..., Any] = _unary("_special_i0e", _of_float(own.i0e), "`exp(-|x|) * i0(x)`.")
xlog1py: Callable[..., Any] = _binary(
    "_special_xlog1py", own.xlog1py, "`input * log1p(other)`, 0 where input is 0.", to_float=True
)
zeta: Callable[..., Any] = _binary("_special_zeta", own.zeta, "Hurwitz's zeta function.", to_float=True)
gammainc: Callable[..., Any] = _binary(
    "_special_gammainc", own.gammainc, "The regularised lower incomplete gamma function.", to_float=True
)
gammaincc: Callable[..., Any] = _binary(
    "_special_gammaincc", own.gammaincc, "The regularised upper incomplete gamma function.", to_float=True
)
