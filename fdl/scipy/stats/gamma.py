"""The gamma law of order `a` from `loc` on."""

from __future__ import annotations

import math

from fdl import ops
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.scipy.stats._law import scaled
from fdl.special import gammainc, gammaln, xlogy


def logpdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The logarithm of the density.

    >>> round(float(logpdf(1.0, 2.0)), 5)
    -1.0
    """
    z, width, order = scaled(x, loc, scale, a)
    inside = ops.greater_equal(z, 0)
    safe = ops.select(inside, z, 1)
    value = ops.sub(ops.sub(xlogy(ops.sub(order, 1), safe), safe), ops.add(gammaln(order), ops.log(width)))
    return ops.select(inside, value, -math.inf)


def pdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density.

    >>> round(float(pdf(1.0, 2.0)), 5)
    0.36788
    """
    return ops.exp(logpdf(x, a, loc, scale))


def cdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The share below x.

    >>> round(float(cdf(1.0, 1.0)), 5)
    0.63212
    """
    z, _, order = scaled(x, loc, scale, a)
    return gammainc(order, ops.maximum(z, 0))


__all__ = ["cdf", "logpdf", "pdf"]
