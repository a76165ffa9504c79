"""The exponential law from `loc` on, of mean `scale` beyond it."""

from __future__ import annotations

import math

from fdl import ops
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.scipy.stats._law import scaled


def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The logarithm of the density.

    >>> float(logpdf(1.0))
    -1.0
    """
    z, width = scaled(x, loc, scale)
    return ops.select(ops.less(z, 0), -math.inf, ops.neg(ops.add(z, ops.log(width))))


def pdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density.

    >>> float(pdf(0.0))
    1.0
    """
    return ops.exp(logpdf(x, loc, scale))


def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The share below x.

    >>> round(float(cdf(1.0)), 5)
    0.63212
    """
    z, _ = scaled(x, loc, scale)
    return ops.neg(ops.expm1(ops.neg(ops.maximum(z, 0))))


__all__ = ["cdf", "logpdf", "pdf"]
