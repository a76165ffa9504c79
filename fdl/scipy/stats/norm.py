"""The normal law."""

from __future__ import annotations

import math

from fdl import ops
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.numpy._math import _operand
from fdl.ops.promotion import promote
from fdl.scipy.stats._law import scaled
from fdl.special import log_ndtr, ndtr, ndtri


def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The logarithm of the density.

    >>> round(float(logpdf(0.0)), 5)
    -0.91894
    """
    z, width = scaled(x, loc, scale)
    return ops.sub(ops.mul(ops.mul(z, z), -0.5), ops.add(ops.log(width), 0.5 * math.log(2 * math.pi)))


def pdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density.

    >>> round(float(pdf(0.0)), 5)
    0.39894
    """
    return ops.exp(logpdf(x, loc, scale))


def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The share below x.

    >>> float(cdf(0.0))
    0.5
    """
    return ndtr(scaled(x, loc, scale)[0])


def logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The logarithm of the share below x.

    >>> round(float(logcdf(0.0)), 5)
    -0.69315
    """
    return log_ndtr(scaled(x, loc, scale)[0])


def sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The share above x.

    >>> float(sf(0.0))
    0.5
    """
    return ndtr(ops.neg(scaled(x, loc, scale)[0]))


def logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The logarithm of the share above x.

    >>> round(float(logsf(0.0)), 5)
    -0.69315
    """
    return log_ndtr(ops.neg(scaled(x, loc, scale)[0]))


def ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x below which the share q lies.

    >>> float(ppf(0.5))
    0.0
    """
    share, centre, width = (_operand(v) for v in promote(q, loc, scale, to_float=True))
    return ops.add(ops.mul(ndtri(share), width), centre)


def isf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x above which the share q lies.

    >>> float(isf(0.5))
    0.0
    """
    share, centre, width = (_operand(v) for v in promote(q, loc, scale, to_float=True))
    return ops.sub(centre, ops.mul(ndtri(share), width))


__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]
