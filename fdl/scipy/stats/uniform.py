"""The uniform law between `loc` and `loc + scale`."""

from __future__ import annotations

import math

from fdl import ops
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.numpy import clip
from fdl.scipy.stats._law import scaled


def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The logarithm of the density.

    >>> round(float(logpdf(0.5, scale=2.0)), 5)
    -0.69315
    """
    z, width = scaled(x, loc, scale)
    inside = ops.bitwise_and(ops.greater_equal(z, 0), ops.less_equal(z, 1))
    return ops.select(inside, ops.neg(ops.log(width)), -math.inf)


def pdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density.

    >>> float(pdf(0.5))
    1.0
    """
    return ops.exp(logpdf(x, loc, scale))


def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The share below x.

    >>> float(cdf(0.25))
    0.25
    """
    return clip(scaled(x, loc, scale)[0], 0, 1)


__all__ = ["cdf", "logpdf", "pdf"]
