"""The law of Laplace."""

from __future__ import annotations

import math

from fdl import ops
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.scipy.stats._law import scaled


def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The logarithm of the density.

    >>> round(float(logpdf(0.0)), 5)
    -0.69315
    """
    z, width = scaled(x, loc, scale)
    return ops.sub(ops.neg(ops.abs(z)), ops.add(ops.log(width), math.log(2)))


def pdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density.

    >>> round(float(pdf(0.0)), 5)
    0.5
    """
    return ops.exp(logpdf(x, loc, scale))


def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The share below x.

    >>> float(cdf(0.0))
    0.5
    """
    z, _ = scaled(x, loc, scale)
    half = ops.mul(ops.exp(ops.neg(ops.abs(z))), 0.5)
    return ops.select(ops.less_equal(z, 0), half, ops.sub(1, half))


__all__ = ["cdf", "logpdf", "pdf"]
