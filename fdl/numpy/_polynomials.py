"""Polynomials as vectors of coefficients, the highest power first, with NumPy's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, from_numpy
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._create import asarray, eye
from fdl.numpy._derived import vander
from fdl.numpy._edit import trim_zeros
from fdl.numpy._math import _operand, sqrt, sum
from fdl.numpy._shape import atleast_1d, concatenate, matmul, outer
from fdl.numpy._signal import convolve
from fdl.numpy.linalg import eigvals, inv, lstsq
from fdl.ops.promotion import promote


def _vector(p: ArrayLike, what: str) -> Array:
    x = atleast_1d(_operand(asarray(p)))
    if aval_of(x).ndim != 1:
        raise ShapeError(f"{what}: {aval_of(x).describe()} is no vector of coefficients")
    return x


def _aligned(a: ArrayLike, b: Any, what: str) -> list[Array]:
    """Coefficients of one number, with zeros in front of the shorter ones."""
    pair = promote(_vector(a, what), _vector(b, what))
    n = max(aval_of(p).shape[0] for p in pair)
    return [concatenate([ops.full((n - aval_of(p).shape[0],), 0, aval_of(p).dtype), p]) for p in pair]


def roots(p: ArrayLike, *, strip_zeros: bool = True) -> Array:
    """Where a polynomial is zero, complex: the eigenvalues of its companion matrix, and a zero for each power that all
    terms have. Leading zeros are left out, which takes their values: without `strip_zeros` none are, and the function
    can be recorded.

    >>> from fdl.numpy import array
    >>> sorted(r.real.round(3).item() for r in roots(array([1.0, -3.0, 2.0])))
    [1.0, 2.0]
    """
    (x,) = promote(_vector(p, "roots"), to_float=True)
    x = x if dtypes.is_complex(aval_of(x).dtype) else ops.join(x, ops.mul(x, 0))
    zeros = 0
    if strip_zeros:
        found = np.flatnonzero(np.asarray(x))
        zeros = aval_of(x).shape[0] - 1 - int(found[-1]) if found.size else 0
        x = x[int(found[0]) : int(found[-1]) + 1] if found.size else x[:0]
    n = aval_of(x).shape[0] - 1
    if n < 1:
        return ops.full((zeros,), 0, aval_of(x).dtype)
    first = ops.reshape(ops.div(ops.neg(x[1:]), x[0]), (1, n))
    below = eye(n - 1, n, dtype=aval_of(x).dtype)
    return concatenate([eigvals(concatenate([first, below])), ops.full((zeros,), 0, aval_of(x).dtype)])


def polyadd(a1: ArrayLike, a2: ArrayLike) -> Array:
    """The sum of two polynomials.

    >>> from fdl.numpy import array
    >>> polyadd(array([1, 2]), array([5])).tolist()
    [1, 7]
    """
    return ops.add(*_aligned(a1, a2, "polyadd"))


def polysub(a1: ArrayLike, a2: ArrayLike) -> Array:
    """The difference of two polynomials.

    >>> from fdl.numpy import array
    >>> polysub(array([1, 2]), array([5])).tolist()
    [1, -3]
    """
    return ops.sub(*_aligned(a1, a2, "polysub"))


def polymul(a1: ArrayLike, a2: ArrayLike, *, trim_leading_zeros: bool = False) -> Array:
    """The product of two polynomials, in floating point. With `trim_leading_zeros`, for which values must be known,
    leading zeros of both are left out.

    >>> from fdl.numpy import array
    >>> polymul(array([1, 2]), array([1, -2])).tolist()
    [1.0, 0.0, -4.0]
    """
    pair = [_vector(p, "polymul") for p in (a1, a2)]
    if trim_leading_zeros:
        pair = [trim_zeros(p, "f") for p in pair]
    first, second = (p if aval_of(p).size else ops.full((1,), 0, aval_of(p).dtype) for p in promote(*pair))
    return convolve(first, second)


def polydiv(u: ArrayLike, v: ArrayLike, *, trim_leading_zeros: bool = False) -> tuple[Array, Array]:
    """(quotient, remainder) of two polynomials, in floating point. The remainder has as many coefficients as `u`; with
    `trim_leading_zeros`, for which values must be known, its leading zeros are left out.

    >>> from fdl.numpy import array
    >>> [x.tolist() for x in polydiv(array([1.0, 0.0, -4.0]), array([1.0, 2.0]))]
    [[1.0, -2.0], [0.0, 0.0, 0.0]]
    """
    rest, divisor = promote(_vector(u, "polydiv"), _vector(v, "polydiv"), to_float=True)
    n, m = aval_of(rest).shape[0], aval_of(divisor).shape[0]
    lead = ops.reshape(ops.slice_in_dim(divisor, 0, 1, 0), ())
    nothing, digits = ops.cast(ops.as_operand(0), aval_of(rest).dtype), []
    for k in range(n - m + 1):
        digit = ops.div(ops.slice_in_dim(rest, k, k + 1, 0), lead)
        digits.append(digit)
        product = ops.pad(ops.mul(divisor, digit), nothing, [(k, n - m - k, 0)])
        rest = ops.sub(rest, product)
    quotient = concatenate(digits) if digits else ops.full((1,), 0, aval_of(rest).dtype)
    return quotient, trim_zeros(rest, "f") if trim_leading_zeros else rest


def polyder(p: ArrayLike, m: int = 1) -> Array:
    """The m-th derivative of a polynomial, in floating point.

    >>> from fdl.numpy import array
    >>> polyder(array([1, 2, 3])).tolist()
    [2.0, 2.0]
    """
    (x,) = promote(_vector(p, "polyder"), to_float=True)
    if m < 0:
        raise ShapeError(f"polyder: order {m}", hint="0 or more")
    n = max(aval_of(x).shape[0] - m, 0)
    powers = np.arange(n - 1, -1, -1, dtype=np.int64)
    factors = np.prod([powers + k for k in range(1, m + 1)], axis=0, dtype=np.int64) if m else np.ones(n, np.int64)
    return ops.mul(ops.slice_in_dim(x, 0, n, 0), from_numpy(factors.astype(aval_of(x).dtype)))


def polyint(p: ArrayLike, m: int = 1, k: Any = None) -> Array:
    """The m-th integral of a polynomial, in floating point; `k` are the constants, one for all or one for each
    integration, 0 by default.

    >>> from fdl.numpy import array
    >>> polyint(array([2.0, 2.0]), k=5).tolist()
    [1.0, 2.0, 5.0]
    """
    x, constants = promote(_vector(p, "polyint"), _vector(0 if k is None else k, "polyint"), to_float=True)
    if m < 0:
        raise ShapeError(f"polyint: order {m}", hint="0 or more")
    if aval_of(constants).shape[0] == 1:
        constants = ops.broadcast_to(constants, (m,))
    if aval_of(constants).shape != (m,):
        raise ShapeError(f"polyint: {aval_of(constants).shape[0]} constants for {m} integrations", hint="one for each")
    for step in range(m):
        n = aval_of(x).shape[0]
        divisors = from_numpy(np.arange(n, 0, -1).astype(aval_of(x).dtype))
        x = concatenate([ops.div(x, divisors), ops.slice_in_dim(constants, step, step + 1, 0)])
    return x


def poly(seq_of_zeros: ArrayLike) -> Array:
    """The polynomial with these zeros and the leading coefficient 1, in floating point; the number 1 for no zeros.

    >>> from fdl.numpy import array
    >>> poly(array([2.0, -2.0])).tolist()
    [1.0, 0.0, -4.0]
    """
    (zeros,) = promote(_vector(seq_of_zeros, "poly"), to_float=True)
    if not aval_of(zeros).size:
        return ops.full((), 1, aval_of(zeros).dtype)
    out = ops.full((1,), 1, aval_of(zeros).dtype)
    nothing = ops.full((1,), 0, aval_of(zeros).dtype)
    for zero in zeros:
        out = ops.sub(concatenate([out, nothing]), ops.mul(concatenate([nothing, out]), zero))
    return out


def polyfit(
    x: ArrayLike,
    y: ArrayLike,
    deg: int,
    rcond: float | None = None,
    full: bool = False,
    w: Any = None,
    cov: Any = False,
) -> Array | tuple[Array, ...]:
    """The polynomial of degree `deg` for which the sum of squared distances from `y` at `x` is least.

    Columns of a matrix `y` are fitted each for itself. `w` are weights of the distances; singular values below `rcond`
    times the largest count as 0. With `full` also the sums of squared distances, rank, singular values and `rcond`;
    with `cov` also the covariance matrix of the coefficients, scaled by the squared distances unless it is "unscaled".

    >>> from fdl.numpy import array
    >>> [round(v, 3) for v in polyfit(array([0.0, 1.0, 2.0]), array([1.0, 3.0, 5.0]), 1).tolist()]
    [2.0, 1.0]
    """
    points, values = promote(_vector(x, "polyfit"), _operand(y), to_float=True)
    n = aval_of(points).shape[0]
    if aval_of(values).ndim not in (1, 2) or aval_of(values).shape[0] != n or deg < 0 or not n:
        raise ShapeError(f"polyfit: {aval_of(values).describe()} at {aval_of(points).describe()}, degree {deg}")
    if rcond is None:
        rcond = n * float(np.finfo(dtypes.compute_dtype(aval_of(points).dtype)).eps)
    columns = vander(points, deg + 1)
    if w is not None:
        (weights,) = promote(_vector(w, "polyfit"), to_float=True)
        columns = ops.mul(columns, ops.expand_dims(weights, (1,)))
        values = ops.mul(values, ops.expand_dims(weights, (1,)) if aval_of(values).ndim == 2 else weights)
    scale = sqrt(sum(ops.mul(columns, columns), 0))
    scaled = ops.div(columns, scale)
    found, residuals, rank, singular = lstsq(scaled, values, rcond)
    found = ops.div(found, ops.expand_dims(scale, (1,)) if aval_of(found).ndim == 2 else scale)
    if full:
        return found, residuals, rank, singular, asarray(rcond)
    if not cov:
        return found
    covariance = ops.div(inv(matmul(scaled.T, scaled)), outer(scale, scale))
    if cov != "unscaled":
        if n <= deg + 1:
            raise ShapeError(f"polyfit: {n} points are too few to scale the covariance", hint="cov='unscaled'")
        if aval_of(values).ndim == 2:
            covariance = ops.expand_dims(covariance, (2,))
        else:
            residuals = ops.reshape(residuals, ())
        covariance = ops.mul(covariance, ops.div(residuals, float(n - deg - 1)))
    return found, covariance


__all__ = ["poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul", "polysub", "roots"]
