"""Special functions of each element: error, gamma and Bessel functions, hyperbolic inverses, and their kin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import fdl.numpy as jnp
import fdl.special as own
from fdl import ops
from fdl.extend import Function, aval_of, custom_jvp, dtypes
from fdl.stateful.core.dtypes import result_dtype
from fdl.stateful.core.methods import method
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.elementwise import binary, of_float, unary

__all__ = [
    "acosh", "asinh", "atanh", "digamma", "erfc", "erfinv", "exp2", "hypot", "i0", "igamma", "igammac", "lgamma",
    "logaddexp",
    "logaddexp2", "logit", "mvlgamma", "polygamma", "sinc", "xlogy",
]  # fmt: skip

acosh = unary("acosh", of_float(jnp.arccosh), "The inverse hyperbolic cosine.")
asinh = unary("asinh", of_float(jnp.arcsinh), "The inverse hyperbolic sine.")
atanh = unary("atanh", of_float(jnp.arctanh), "The inverse hyperbolic tangent.")
erfc = unary("erfc", of_float(ops.erfc), "1 less the error function.")
erfinv = unary("erfinv", of_float(own.erfinv), "The inverse of the error function.")
lgamma = unary("lgamma", of_float(ops.lgamma), "The logarithm of the size of the gamma function.")
digamma = unary("digamma", of_float(ops.digamma), "The derivative of `lgamma`.")
exp2 = unary("exp2", of_float(ops.exp2), "2 to the power of each element.")
i0 = unary("i0", of_float(own.i0), "The modified Bessel function of order 0.")
sinc = unary("sinc", of_float(lambda x: jnp.sinc(x)), "`sin(pi x) / (pi x)`.")


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


xlogy = binary("xlogy", own.xlogy, "`input * log(other)`, 0 where input is 0.", to_float=True)
logaddexp = binary("logaddexp", jnp.logaddexp, "The logarithm of the sum of exponentials.", to_float=True)
logaddexp2 = binary("logaddexp2", jnp.logaddexp2, "The same to base 2.", to_float=True)
hypot = binary("hypot", jnp.hypot, "The longest side of a right triangle.", to_float=True)


# Of `torch.special` alone


@custom_jvp
def _erfcx(x: Any) -> Any:
    """By its definition where `erfc` has digits, else by the continued fraction's first terms."""
    size = ops.abs(x)
    far = ops.greater(x, 20)
    safe = ops.select(far, 1, x)
    square = ops.div(1, ops.mul(size, size))
    series = ops.full(aval_of(x).shape, 1, aval_of(x).dtype)
    for k in range(7, 0, -1):
        series = ops.sub(1, ops.mul(ops.mul(series, square), k - 0.5))
    near = ops.mul(ops.exp(ops.mul(safe, safe)), ops.erfc(safe))
    return ops.select(far, ops.div(series, ops.mul(size, math.sqrt(math.pi))), near)


@_erfcx.defjvp
def _(primals: Any, tangents: Any) -> Any:
    y = _erfcx(*primals)
    slope = ops.sub(ops.mul(ops.mul(primals[0], 2), y), 2 / math.sqrt(math.pi))
    return y, ops.mul(tangents[0], slope)


def _in_double(x: Any) -> Any:
    """Computed in float64: the product of a large and a small number keeps few digits of float32."""
    return ops.cast(_erfcx(ops.cast(x, dtypes.float64)), aval_of(x).dtype)


def _spherical_body(x: Any) -> Any:
    square = ops.mul(x, x)
    series = ops.full(aval_of(x).shape, 1, aval_of(x).dtype)
    for k in range(7, 0, -1):
        series = ops.sub(1, ops.div(ops.mul(series, square), 2 * k * (2 * k + 1)))
    small, infinite = ops.less(ops.abs(x), 0.5), ops.equal(ops.abs(x), math.inf)
    safe = ops.select(ops.bitwise_or(small, infinite), 1, x)
    return ops.select(small, series, ops.select(infinite, 0, ops.div(ops.sin(safe), safe)))


erfcx: Callable[..., Any] = unary("_special_erfcx", of_float(_in_double), "`exp(x**2) * erfc(x)`.")
i1: Callable[..., Any] = unary("_special_i1", of_float(own.i1), "The modified Bessel function of order 1.")
i1e: Callable[..., Any] = unary("_special_i1e", of_float(own.i1e), "`exp(-|x|) * i1(x)`.")
spherical_bessel_j0: Callable[..., Any] = unary(
    "_special_spherical_bessel_j0", of_float(_spherical_body), "The spherical Bessel function of order 0: `sin(x) / x`."
)

entr: Callable[..., Any] = unary("_special_entr", of_float(own.entr), "`-x * log(x)`.")
ndtr: Callable[..., Any] = unary(
    "_special_ndtr", of_float(own.ndtr), "The share of a standard normal distribution below."
)
ndtri: Callable[..., Any] = unary("_special_ndtri", of_float(own.ndtri), "The inverse of `ndtr`.")
log_ndtr: Callable[..., Any] = unary("_special_log_ndtr", of_float(own.log_ndtr), "The logarithm of `ndtr`.")
i0e: Callable[..., Any] = unary("_special_i0e", of_float(own.i0e), "`exp(-|x|) * i0(x)`.")
xlog1py: Callable[..., Any] = binary(
    "_special_xlog1py", own.xlog1py, "`input * log1p(other)`, 0 where input is 0.", to_float=True
)
zeta: Callable[..., Any] = binary("_special_zeta", own.zeta, "Hurwitz's zeta function.", to_float=True)
igamma: Callable[..., Any] = binary(
    "igamma", own.gammainc, "The regularised lower incomplete gamma function.", to_float=True
)
igammac: Callable[..., Any] = binary(
    "igammac", own.gammaincc, "The regularised upper incomplete gamma function.", to_float=True
)
gammainc, gammaincc = igamma, igammac
