"""Special functions: those of `fdl.special`, and what is made of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import fdl.special
from fdl import nn, ops
from fdl.core.array import Array, from_numpy
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.nn import logsumexp
from fdl.numpy._math import _operand
from fdl.ops.promotion import promote
from fdl.special import *
from fdl.special import betaln, gammaln, xlog1py, xlogy


def _floats(*xs: ArrayLike) -> list[Array]:
    return [_operand(x) for x in promote(*xs, to_float=True)]


def gammasgn(x: ArrayLike) -> Array:
    """The sign of the gamma function; NaN at whole numbers below 0, and that of the zero at 0.

    >>> [float(gammasgn(v)) for v in (2.0, -0.5)]
    [1.0, -1.0]
    """
    (a,) = _floats(x)
    whole = ops.floor(a)
    odd = ops.not_equal(ops.rem(whole, 2), 0)
    sign = ops.select(ops.bitwise_and(ops.less(a, 0), odd), -1.0, 1.0)
    pole = ops.bitwise_and(ops.less(a, 0), ops.equal(a, whole))
    sign = ops.select(ops.equal(a, 0), ops.select(ops.signbit(a), -1.0, 1.0), ops.select(pole, math.nan, sign))
    return ops.convert(ops.select(ops.equal(a, a), sign, math.nan), aval_of(a).dtype)


def softmax(x: ArrayLike, axis: Any = None) -> Array:
    """`exp(x) / sum(exp(x))` along axes, of all elements where none are given.

    >>> import fdl.numpy as jnp
    >>> softmax(jnp.zeros((1, 2))).tolist()
    [[0.5, 0.5]]
    """
    x = _operand(x)
    return nn.softmax(x, tuple(range(aval_of(x).ndim)) if axis is None else axis)


def log_softmax(x: ArrayLike, axis: Any = None) -> Array:
    """`log(softmax(x))` without overflow.

    >>> import fdl.numpy as jnp
    >>> [round(v, 4) for v in log_softmax(jnp.zeros(2)).tolist()]
    [-0.6931, -0.6931]
    """
    x = _operand(x)
    return nn.log_softmax(x, tuple(range(aval_of(x).ndim)) if axis is None else axis)


def gamma(x: ArrayLike) -> Array:
    """The gamma function, by its logarithm and its sign.

    >>> round(float(gamma(5.0)), 3)
    24.0
    """
    (a,) = _floats(x)
    return ops.mul(gammasgn(a), ops.exp(gammaln(a)))


def beta(a: ArrayLike, b: ArrayLike) -> Array:
    """The beta function, `gamma(a) gamma(b) / gamma(a + b)`.

    >>> round(float(beta(2.0, 3.0)), 5)
    0.08333
    """
    x, y = _floats(a, b)
    sign = ops.mul(ops.mul(gammasgn(x), gammasgn(y)), gammasgn(ops.add(x, y)))
    return ops.mul(sign, ops.exp(betaln(x, y)))


def factorial(n: ArrayLike) -> Array:
    """`gamma(n + 1)`, and 0 below 0.

    >>> round(float(factorial(4)), 3)
    24.0
    """
    (a,) = _floats(n)
    inside = ops.greater_equal(a, 0)
    return ops.select(inside, ops.exp(gammaln(ops.add(ops.select(inside, a, 0), 1))), ops.select(ops.equal(a, a), 0, a))


def multigammaln(a: ArrayLike, d: int) -> Array:
    """The logarithm of the gamma function of d dimensions.

    >>> round(float(multigammaln(3.0, 1)), 5)
    0.69315
    """
    (x,) = _floats(a)
    parts = ops.sub(ops.expand_dims(x, (aval_of(x).ndim,)), from_numpy((np.arange(d) / 2).astype(aval_of(x).dtype)))
    return ops.add(ops.reduce_sum(gammaln(parts), (aval_of(x).ndim,)), d * (d - 1) / 4 * math.log(math.pi))


def rel_entr(p: ArrayLike, q: ArrayLike) -> Array:
    """`p log(p / q)`: 0 where p is 0 and q is not below it, infinite where q is not above 0 or p below it.

    >>> round(float(rel_entr(1.0, 0.5)), 5)
    0.69315
    """
    x, y = _floats(p, q)
    zero = ops.bitwise_and(ops.equal(x, 0), ops.greater_equal(y, 0))
    both = ops.bitwise_and(ops.greater(x, 0), ops.greater(y, 0))
    safe_x, safe_y = ops.select(both, x, 1), ops.select(both, y, 1)
    value = ops.sub(xlogy(safe_x, safe_x), xlogy(safe_x, safe_y))
    return ops.select(both, value, ops.select(zero, 0, math.inf))


def kl_div(p: ArrayLike, q: ArrayLike) -> Array:
    """`rel_entr(p, q) - p + q`.

    >>> round(float(kl_div(1.0, 0.5)), 5)
    0.19315
    """
    x, y = _floats(p, q)
    return ops.add(ops.sub(rel_entr(x, y), x), y)


def boxcox(x: ArrayLike, lmbda: ArrayLike) -> Array:
    """`(x**lmbda - 1) / lmbda`, and the logarithm for 0.

    >>> float(boxcox(4.0, 0.5))
    2.0
    """
    a, power = _floats(x, lmbda)
    none = ops.equal(power, 0)
    safe = ops.select(none, 1, power)
    return ops.select(none, ops.log(a), ops.div(ops.expm1(ops.mul(safe, ops.log(a))), safe))


def boxcox1p(x: ArrayLike, lmbda: ArrayLike) -> Array:
    """`boxcox(1 + x, lmbda)`, accurate for small x.

    >>> float(boxcox1p(3.0, 0.5))
    2.0
    """
    a, power = _floats(x, lmbda)
    none = ops.equal(power, 0)
    safe = ops.select(none, 1, power)
    return ops.select(none, ops.log1p(a), ops.div(ops.expm1(ops.mul(safe, ops.log1p(a))), safe))


__all__ = [
    "beta", "boxcox", "boxcox1p", "factorial", "gamma", "gammasgn", "kl_div", "log_softmax", "logsumexp",
    "multigammaln", "rel_entr", "softmax", "xlog1py", "xlogy",
]  # fmt: skip
__all__ += fdl.special.__all__
