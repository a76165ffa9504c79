"""Arithmetic of NumPy arrays that rounds once where NumPy rounds twice: what compiled code does in one instruction.

A product of numbers and the rest of a sum are numbers themselves (error-free transformations), so that the exact result
is known as a few numbers, of which the last rounding is the only one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

Floats = np.ndarray[Any, Any]


def fma(a: Floats, b: Floats, c: Floats) -> Floats:
    """`a * b + c` with one rounding, for arrays of one dtype, float32 or float64, that broadcast to an array of one
    dimension or more.

    >>> x = np.array([1 + 2.0**-30])
    >>> x * x - x * x, fma(x, x, -(x * x)) == 2.0**-60
    (array([0.]), array([ True]))
    """
    if c.dtype == np.float32:
        product, wide = np.broadcast_arrays(a.astype(np.float64) * b, c.astype(np.float64))  # exact
        total = product + wide
        # rounded twice, to 53 bits and to 24, these may differ: sums that seem halfway, and denormal ones
        near = (total.view(np.int64) & (1 << 29) - 1) == 1 << 28
        near |= (abs(total) < np.finfo(np.float32).tiny) & (total != 0)
        if near.any():
            total[near] = _rounded_to_odd(product[near], wide[near])
        rounded: Floats = total.astype(np.float32)
        return rounded
    a, b, c = np.broadcast_arrays(a, b, c)
    product = a * b
    plain = product + c
    simple = (a == 0) | (b == 0) | ~(np.isfinite(a) & np.isfinite(b) & np.isfinite(c))
    tame = (abs(product) < 2.0**990) & (abs(product) > 2.0**-900) & (abs(c) < 2.0**990)
    tame &= (abs(a) < 2.0**990) & (abs(b) < 2.0**990)
    # S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd",
    # IEEE Transactions on Computers 57 (2008), figure 2
    low = _product_error(a, b, product)
    sum_, rest = _two_sum(c, low)
    high, error = _two_sum(product, sum_)
    fused = high + _rounded_to_odd(rest, error)
    out = np.where(simple, np.where(np.isinf(c) & np.isfinite(a) & np.isfinite(b), c, plain), fused)
    out = np.where(~simple & (out == 0), plain, out)  # whose zero has the right sign
    for place in zip(*np.nonzero(~simple & ~tame), strict=True):
        out[place] = _exactly(a[place], b[place], c[place])
    return out


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """The sum and what rounding has taken from it (D. Knuth)."""
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def _product_error(a: Floats, b: Floats, product: Floats) -> Floats:
    """What rounding has taken from a product of float64 (T. Dekker, with G. Veltkamp's halves of 26 bits)."""
    (a1, a2), (b1, b2) = ((high := x * 134217729.0 - (x * 134217729.0 - x), x - high) for x in (a, b))
    return ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _rounded_to_odd(a: Floats, b: Floats) -> Floats:
    """The sum of float64; where it is not exact, the neighbour whose last bit is set, which rounds once more as the
    exact sum would.
    """
    total, error = _two_sum(a, b)
    even = (total.view(np.int64) & 1) == 0
    moved = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
    return np.where(np.isfinite(total) & (error != 0) & even, moved, total)


def _exactly(a: Floats, b: Floats, c: Floats) -> float:
    """The same for finite numbers of any size."""
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    try:
        return float(exact)
    except OverflowError:
        return float("inf") if exact > 0 else -float("inf")
