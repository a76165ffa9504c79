"""Continuous distributions, made of uniform and normal numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import Shape, sizes
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.incomplete import gamma_sample
from fdl.numpy import array, matmul, sqrt
from fdl.numpy.linalg import cholesky, eigh, qr, svd
from fdl.random.basic import erf_inverse, exponential, float_dtype, fold_in, normal, rademacher, split, uniform
from fdl.transforms.control.scan import scan


def parameters(what: str, dtype: Any, shape: Any, *values: ArrayLike) -> tuple[dtypes.DType, Shape, list[Array]]:
    """(dtype in which is drawn, shape, parameters in both): the shape is that of the parameters where none is given,
    and parameters broadcast to it. Narrow floats are drawn in float32.
    """
    wide = dtypes.compute_dtype(float_dtype(dtype, what))
    arrays = [ops.convert(array(v), wide) for v in values]
    own = ops.broadcast_shapes([aval_of(v).shape for v in arrays], f"random.{what}")
    target = own if shape is None else sizes(shape)
    if ops.broadcast_shapes([own, target], f"random.{what}") != target:
        raise ShapeError(f"random.{what}: parameters of shape {own} do not broadcast to {target}")
    return wide, target, [ops.broadcast_to(v, target) for v in arrays]


def _open_uniform(key: Array, shape: Shape, dtype: dtypes.DType) -> Array:
    """Uniform between 0 and 1, both left out."""
    info = np.finfo(dtype)
    return uniform(key, shape, dtype, float(info.tiny), 1.0)


def cauchy(key: Array, shape: Any = (), dtype: Any = float) -> Array:
    """Cauchy with centre 0 and scale 1.

    >>> from fdl.random import key
    >>> cauchy(key(0), (2,)).shape
    (2,)
    """
    wide, shape, _ = parameters("cauchy", dtype, shape)
    u = uniform(key, shape, wide, float(np.finfo(wide).eps), 1.0)
    return ops.cast(ops.tan(ops.mul(ops.sub(u, 0.5), math.pi)), dtypes.canonical(dtype))


def logistic(key: Array, shape: Any = (), dtype: Any = float) -> Array:
    """Logistic with centre 0 and scale 1.

    >>> from fdl.random import key
    >>> logistic(key(0), (2,)).shape
    (2,)
    """
    wide, shape, _ = parameters("logistic", dtype, shape)
    u = uniform(key, shape, wide, float(np.finfo(wide).eps), 1.0)
    return ops.cast(ops.sub(ops.log(u), ops.log1p(ops.neg(u))), dtypes.canonical(dtype))


def truncated_normal(key: Array, lower: ArrayLike, upper: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Standard normal on the condition that it lies between `lower` and `upper`.

    >>> from fdl.random import key
    >>> x = truncated_normal(key(0), -1.0, 2.0, (100,))
    >>> bool((x > -1).all() & (x < 2).all())
    True
    """
    wide, shape, (low, high) = parameters("truncated_normal", dtype, shape, lower, upper)
    a, b = (ops.erf(ops.mul(v, math.sqrt(0.5))) for v in (low, high))
    u = ops.add(a, ops.mul(uniform(key, shape, wide), ops.sub(b, a)))
    x = ops.mul(erf_inverse(u), math.sqrt(2))
    inside = [ops.stop_gradient(ops.next_after(v, w)) for v, w in ((low, math.inf), (high, -math.inf))]
    return ops.cast(ops.minimum(ops.maximum(x, inside[0]), inside[1]), dtypes.canonical(dtype))


def multivariate_normal(
    key: Array, mean: ArrayLike, cov: ArrayLike, shape: Any = None, dtype: Any = None, method: str = "cholesky"
) -> Array:
    """Normal vectors with a mean (..., n) and a covariance matrix (..., n, n); `shape` is that of the axes in front.

    The matrix is factored by "cholesky", or where it may be singular by "eigh" or "svd".

    >>> from fdl.random import key
    >>> multivariate_normal(key(0), np.ones(3), np.eye(3), (5,)).shape
    (5, 3)
    """
    m, c = array(mean), array(cov)
    target = dtypes.promote([(aval_of(m).dtype, False), (aval_of(c).dtype, False)])[0] if dtype is None else dtype
    wide = dtypes.compute_dtype(float_dtype(dtypes.default_float(dtypes.canonical(target)), "multivariate_normal"))
    m, c = (ops.convert(v, wide) for v in (m, c))
    if not aval_of(m).ndim or aval_of(c).shape[-2:] != (aval_of(m).shape[-1],) * 2:
        raise ShapeError(f"random.multivariate_normal: {aval_of(m).describe()} and {aval_of(c).describe()}")
    n = aval_of(m).shape[-1]
    own = ops.broadcast_shapes([aval_of(m).shape[:-1], aval_of(c).shape[:-2]], "random.multivariate_normal")
    front = own if shape is None else sizes(shape)
    if method == "cholesky":
        factor = cholesky(c)
    elif method == "eigh":
        values, vectors = eigh(c)
        factor = ops.mul(vectors, ops.expand_dims(sqrt(ops.maximum(values, 0)), (aval_of(values).ndim - 1,)))
    elif method == "svd":
        u, s, _ = svd(c)
        factor = ops.mul(u, ops.expand_dims(sqrt(s), (aval_of(s).ndim - 1,)))
    else:
        raise ChoiceError(f"random.multivariate_normal: method={method!r}", hint="'cholesky', 'eigh' or 'svd'")
    drawn = matmul(factor, ops.expand_dims(normal(key, (*front, n), wide), (len(front) + 1,)))
    return ops.cast(ops.add(m, ops.reshape(drawn, aval_of(drawn).shape[:-1])), dtypes.canonical(target))


def _marsaglia(key: Array, alpha: Array) -> Array:
    """Gamma variables of orders of 1 and more: up to 32 proposals for each, of which each is taken with more than 95 %
    (Marsaglia and Tsang, 2000).
    """
    shape, dtype = aval_of(alpha).shape, aval_of(alpha).dtype
    d = ops.sub(alpha, 1 / 3)
    c = ops.rsqrt(ops.mul(d, 9))

    def propose(carry: tuple[Array, Array], step: Array) -> tuple[tuple[Array, Array], None]:
        found, done = carry
        own = fold_in(key, step)
        x = normal(own, shape, dtype)
        u = uniform(fold_in(own, 1), shape, dtype)
        v = ops.integer_pow(ops.add(ops.mul(x, c), 1), 3)
        valid = ops.greater(v, 0)
        log_v = ops.log(ops.select(valid, v, 1))
        limit = ops.add(ops.mul(ops.mul(x, x), 0.5), ops.mul(d, ops.add(ops.sub(1, v), log_v)))
        taken = ops.bitwise_and(
            ops.bitwise_and(valid, ops.less(ops.log(ops.maximum(u, 1e-30)), limit)), ops.bitwise_not(done)
        )
        return (ops.select(taken, ops.mul(d, v), found), ops.bitwise_or(done, taken)), None

    (found, _), _ = scan(propose, (d, ops.full(shape, False, "bool")), ops.iota((32,), 0))
    sample: Array = found
    return sample


def gamma(key: Array, a: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Gamma of order `a` with scale 1; never 0.

    >>> from fdl.random import key
    >>> bool((gamma(key(0), 0.5, (9,)) > 0).all())
    True
    """
    wide, shape, (alpha,) = parameters("gamma", dtype, shape, a)
    small = ops.less(alpha, 1)
    found = _marsaglia(key, ops.stop_gradient(ops.select(small, ops.add(alpha, 1), alpha)))
    u = uniform(fold_in(key, 99), shape, wide)
    found = ops.select(small, ops.mul(found, ops.pow(ops.maximum(u, 1e-30), ops.div(1, alpha))), found)
    sample: Array = gamma_sample(alpha, ops.stop_gradient(ops.maximum(found, float(np.finfo(wide).tiny))))
    return ops.cast(sample, dtypes.canonical(dtype))


def loggamma(key: Array, a: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """The logarithm of a gamma variable of order `a`, exact where that itself is too small for its dtype.

    >>> from fdl.random import key
    >>> bool((loggamma(key(0), 1e-3, (9,)) < 0).all())
    True
    """
    wide, shape, (alpha,) = parameters("loggamma", dtype, shape, a)
    small = ops.less(alpha, 1)
    order = ops.select(small, ops.add(alpha, 1), alpha)
    found = gamma_sample(order, ops.stop_gradient(_marsaglia(key, ops.stop_gradient(order))))
    u = ops.maximum(uniform(fold_in(key, 99), shape, wide), float(np.finfo(wide).tiny))
    less = ops.select(small, ops.div(ops.log(u), ops.select(small, alpha, 1)), 0)
    return ops.cast(ops.add(ops.log(found), less), dtypes.canonical(dtype))


def beta(key: Array, a: ArrayLike, b: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Beta: the share of a gamma variable of order `a` in its sum with one of order `b`.

    >>> from fdl.random import key
    >>> x = beta(key(0), 2.0, 3.0, (9,))
    >>> bool((x > 0).all() & (x < 1).all())
    True
    """
    wide, shape, (one, two) = parameters("beta", dtype, shape, a, b)
    first, second = split(key)
    difference = ops.sub(loggamma(first, one, shape, wide), loggamma(second, two, shape, wide))
    return ops.cast(ops.logistic(difference), dtypes.canonical(dtype))


def dirichlet(key: Array, alpha: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Dirichlet: shares of gamma variables of the orders `alpha` (..., n) in their sum; `shape` is that of the axes in
    front.

    >>> from fdl.random import key
    >>> round(float(dirichlet(key(0), np.ones(3)).sum()), 5)
    1.0
    """
    orders = array(alpha)
    if not aval_of(orders).ndim:
        raise ShapeError(f"random.dirichlet: {aval_of(orders).describe()} has no axis of classes", hint="ones(n)")
    n = aval_of(orders).shape[-1]
    whole = None if shape is None else (*sizes(shape), n)
    wide, whole, (orders,) = parameters("dirichlet", dtype, whole, orders)
    logs = loggamma(key, orders, whole, wide)
    last = len(whole) - 1
    shifted = ops.exp(ops.sub(logs, ops.expand_dims(ops.stop_gradient(ops.reduce_max(logs, (last,))), (last,))))
    shares = ops.div(shifted, ops.expand_dims(ops.reduce_sum(shifted, (last,)), (last,)))
    return ops.cast(shares, dtypes.canonical(dtype))


def chisquare(key: Array, df: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Chi-squared with `df` degrees of freedom.

    >>> from fdl.random import key
    >>> chisquare(key(0), 3.0, (2,)).shape
    (2,)
    """
    wide, shape, (half,) = parameters("chisquare", dtype, shape, df)
    return ops.cast(ops.mul(gamma(key, ops.mul(half, 0.5), shape, wide), 2), dtypes.canonical(dtype))


def f(key: Array, dfnum: ArrayLike, dfden: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Fisher's F with `dfnum` and `dfden` degrees of freedom.

    >>> from fdl.random import key
    >>> f(key(0), 3.0, 5.0, (2,)).shape
    (2,)
    """
    wide, shape, (num, den) = parameters("f", dtype, shape, dfnum, dfden)
    first, second = split(key)
    ratio = ops.div(ops.div(chisquare(first, num, shape, wide), num), ops.div(chisquare(second, den, shape, wide), den))
    return ops.cast(ratio, dtypes.canonical(dtype))


def t(key: Array, df: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Student's t with `df` degrees of freedom.

    >>> from fdl.random import key
    >>> t(key(0), 3.0, (2,)).shape
    (2,)
    """
    wide, shape, (freedom,) = parameters("t", dtype, shape, df)
    first, second = split(key)
    half = ops.mul(freedom, 0.5)
    drawn = ops.mul(normal(first, shape, wide), ops.sqrt(ops.div(half, gamma(second, half, shape, wide))))
    return ops.cast(drawn, dtypes.canonical(dtype))


def _length_of_three(key: Array, shape: Shape, dtype: dtypes.DType) -> Array:
    x = normal(key, (*shape, 3), dtype)
    return ops.sqrt(ops.reduce_sum(ops.mul(x, x), (len(shape),)))


def maxwell(key: Array, shape: Any = (), dtype: Any = float) -> Array:
    """Maxwell with scale 1: the length of a vector of three normal numbers.

    >>> from fdl.random import key
    >>> maxwell(key(0), (2,)).shape
    (2,)
    """
    wide, shape, _ = parameters("maxwell", dtype, shape)
    return ops.cast(_length_of_three(key, shape, wide), dtypes.canonical(dtype))


def double_sided_maxwell(key: Array, loc: ArrayLike, scale: ArrayLike, shape: Any = (), dtype: Any = float) -> Array:
    """Maxwell with either sign, times `scale`, plus `loc`; the parameters' shape comes after `shape`.

    >>> from fdl.random import key
    >>> double_sided_maxwell(key(0), 0.0, 1.0, (2,)).shape
    (2,)
    """
    wide, own, (centre, width) = parameters("double_sided_maxwell", dtype, None, loc, scale)
    whole = (*sizes(shape), *own)
    first, second = split(key)
    signed = ops.mul(_length_of_three(first, whole, wide), rademacher(second, whole, wide))
    return ops.cast(ops.add(centre, ops.mul(width, signed)), dtypes.canonical(dtype))


def generalized_normal(key: Array, p: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """With a density proportional to `exp(-|x|^p)`.

    >>> from fdl.random import key
    >>> generalized_normal(key(0), 2.0, (2,)).shape
    (2,)
    """
    wide, shape, (power,) = parameters("generalized_normal", dtype, shape, p)
    first, second = split(key)
    inverse = ops.div(1, power)
    size = ops.exp(ops.mul(loggamma(first, inverse, shape, wide), inverse))
    return ops.cast(ops.mul(size, rademacher(second, shape, wide)), dtypes.canonical(dtype))


def ball(key: Array, d: int, p: float = 2, shape: Any = (), dtype: Any = float) -> Array:
    """Uniform in the ball of `d` dimensions where the p-norm is at most 1 (Barthe, Guédon, Mendelson, Naor, 2005).

    >>> from fdl.random import key
    >>> bool(((ball(key(0), 3, shape=(9,)) ** 2).sum(1) <= 1).all())
    True
    """
    wide, shape, _ = parameters("ball", dtype, shape)
    first, second = split(key)
    x = generalized_normal(first, p, (*shape, d), wide)
    total = ops.add(ops.reduce_sum(ops.pow(ops.abs(x), float(p)), (len(shape),)), exponential(second, shape, wide))
    length = ops.pow(total, 1.0 / p)
    return ops.cast(ops.div(x, ops.expand_dims(length, (len(shape),))), dtypes.canonical(dtype))


def lognormal(key: Array, sigma: ArrayLike = 1.0, shape: Any = None, dtype: Any = float) -> Array:
    """The exponential of `sigma` times a normal number.

    >>> from fdl.random import key
    >>> lognormal(key(0), 0.5, (2,)).shape
    (2,)
    """
    wide, shape, (width,) = parameters("lognormal", dtype, shape, sigma)
    return ops.cast(ops.exp(ops.mul(normal(key, shape, wide), width)), dtypes.canonical(dtype))


def pareto(key: Array, b: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Pareto of shape `b` from 1 on.

    >>> from fdl.random import key
    >>> bool((pareto(key(0), 2.0, (9,)) >= 1).all())
    True
    """
    wide, shape, (power,) = parameters("pareto", dtype, shape, b)
    return ops.cast(ops.exp(ops.div(exponential(key, shape, wide), power)), dtypes.canonical(dtype))


def rayleigh(key: Array, scale: ArrayLike = 1.0, shape: Any = None, dtype: Any = float) -> Array:
    """Rayleigh: the length of a vector of two normal numbers, times `scale`.

    >>> from fdl.random import key
    >>> bool((rayleigh(key(0), 2.0, (9,)) >= 0).all())
    True
    """
    wide, shape, (width,) = parameters("rayleigh", dtype, shape, scale)
    length = ops.sqrt(ops.mul(ops.log(_open_uniform(key, shape, wide)), -2))
    return ops.cast(ops.mul(length, width), dtypes.canonical(dtype))


def triangular(
    key: Array, left: ArrayLike, mode: ArrayLike, right: ArrayLike, shape: Any = None, dtype: Any = float
) -> Array:
    """With a density that rises from `left` to `mode` and falls to `right`.

    >>> from fdl.random import key
    >>> x = triangular(key(0), 0.0, 1.0, 4.0, (9,))
    >>> bool((x >= 0).all() & (x <= 4).all())
    True
    """
    wide, shape, (low, top, high) = parameters("triangular", dtype, shape, left, mode, right)
    u = uniform(key, shape, wide)
    rising = ops.less(u, ops.div(ops.sub(top, low), ops.sub(high, low)))
    area = ops.mul(ops.select(rising, u, ops.sub(1, u)), ops.sub(high, low))
    side = ops.sqrt(ops.mul(area, ops.select(rising, ops.sub(top, low), ops.sub(high, top))))
    return ops.cast(ops.select(rising, ops.add(low, side), ops.sub(high, side)), dtypes.canonical(dtype))


def wald(key: Array, mean: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Wald, or inverse Gaussian, of this mean and scale 1 (Michael, Schucany, Haas, 1976).

    >>> from fdl.random import key
    >>> bool((wald(key(0), 2.0, (9,)) > 0).all())
    True
    """
    wide, shape, (m,) = parameters("wald", dtype, shape, mean)
    first, second = split(key)
    v = normal(first, shape, wide)
    my = ops.mul(m, ops.mul(v, v))
    root = ops.sqrt(ops.mul(my, ops.add(my, 4)))
    below = ops.div(ops.mul(m, 2), ops.add(ops.add(my, 2), root))  # m + m (my - root) / 2, without cancellation
    other = ops.less_equal(uniform(second, shape, wide), ops.div(m, ops.add(m, below)))
    return ops.cast(ops.select(other, below, ops.div(ops.mul(m, m), below)), dtypes.canonical(dtype))


def weibull_min(key: Array, scale: ArrayLike, concentration: ArrayLike, shape: Any = None, dtype: Any = float) -> Array:
    """Weibull of a scale and a concentration.

    >>> from fdl.random import key
    >>> bool((weibull_min(key(0), 2.0, 3.0, (9,)) >= 0).all())
    True
    """
    wide, shape, (width, power) = parameters("weibull_min", dtype, shape, scale, concentration)
    drawn = ops.pow(exponential(key, shape, wide), ops.div(1, power))
    return ops.cast(ops.mul(drawn, width), dtypes.canonical(dtype))


def orthogonal(key: Array, n: int, shape: Any = (), dtype: Any = float, m: int | None = None) -> Array:
    """Matrices (n, m) with orthonormal columns, or rows where there are less of them, uniform over all such; m is n by
    default. `shape` is that of the axes in front (Mezzadri, 2007).

    >>> from fdl.random import key
    >>> orthogonal(key(0), 3, (2,)).shape
    (2, 3, 3)
    """
    wide, shape, _ = parameters("orthogonal", dtype, shape)
    columns = n if m is None else m
    tall, narrow = max(n, columns), min(n, columns)
    q, r = qr(normal(key, (*shape, tall, narrow), wide))
    places = ops.iota((narrow,), 0)
    last = len(shape)
    diagonal = ops.move_axis(ops.gather(r, [places, places], (last, last + 1)), 0, last)
    q = ops.mul(q, ops.expand_dims(ops.select(ops.less(diagonal, 0), -1, 1), (last,)))
    q = q if n >= columns else ops.transpose(q, (*range(last), last + 1, last))
    return ops.cast(q, dtypes.canonical(dtype))


__all__ = [
    "ball", "beta", "cauchy", "chisquare", "dirichlet", "double_sided_maxwell", "f", "gamma", "generalized_normal",
    "loggamma", "logistic", "lognormal", "maxwell", "multivariate_normal", "orthogonal", "pareto", "rayleigh", "t",
    "triangular", "truncated_normal", "wald", "weibull_min",
]  # fmt: skip
