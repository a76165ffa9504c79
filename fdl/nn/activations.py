"""More activations: each a formula of one array."""

from __future__ import annotations

import math
import typing
from typing import Any, Literal

from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.nn import functions
from fdl.nn.functions import relu6
from fdl.numpy import clip, split, sum
from fdl.numpy import max as max_of
from fdl.numpy import mean as mean_of
from fdl.numpy._math import _operand, axes_of
from fdl.ops.promotion import promote
from fdl.transforms.control.call import graph_function


def _floats(x: ArrayLike) -> Array:
    return _operand(promote(x, to_float=True)[0])


@typing.overload
def logsumexp(
    a: ArrayLike,
    axis: Any = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: Literal[False] = False,
    where: Any = None,
) -> Array: ...
@typing.overload
def logsumexp(
    a: ArrayLike,
    axis: Any = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    *,
    return_sign: Literal[True],
    where: Any = None,
) -> tuple[Array, Array]: ...
def logsumexp(
    a: ArrayLike,
    axis: Any = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: Any = None,
) -> Array | tuple[Array, Array]:
    """`log(sum(b * exp(a)))` over axes without overflow, of those for which `where` holds. Of a negative sum it is NaN,
    or with `return_sign` (logarithm of the size, sign).

    >>> import fdl.numpy as jnp
    >>> round(logsumexp(jnp.zeros(4)).tolist(), 4)
    1.3863
    """
    if where is not None:
        a = ops.select(where, a, -math.inf)
    if b is None:
        total = functions.logsumexp(a, axis=axis, keepdims=keepdims)
        sign = ops.select(ops.equal(total, total), ops.select(ops.equal(total, -math.inf), 0, 1.0), total)
        return (total, ops.cast(sign, aval_of(total).dtype)) if return_sign else total
    x, factor = promote(a, b, to_float=True)
    shape = ops.broadcast_shapes([x.aval.shape, factor.aval.shape], "logsumexp")
    x, factor = (ops.broadcast_to(_operand(v), shape) for v in (x, factor))
    x = ops.select(ops.equal(factor, 0), -math.inf, x)
    axes = axes_of(x, axis, "logsumexp")
    high = ops.stop_gradient(max_of(x, axes, keepdims=True, initial=-math.inf))
    high = ops.select(ops.is_finite(high), high, 0)
    total = sum(ops.mul(factor, ops.exp(ops.sub(x, high))), axes, keepdims=True)
    sign = ops.sign(total)
    out = ops.add(ops.log(ops.abs(total)), high)
    kept = aval_of(out).shape if keepdims else tuple(d for i, d in enumerate(shape) if i not in axes)
    out, sign = (ops.reshape(v, kept) for v in (out, sign))
    return (out, sign) if return_sign else ops.select(ops.less(sign, 0), math.nan, out)


def softmax(x: ArrayLike, axis: Any = -1, where: ArrayLike | None = None) -> Array:
    """`exp(x) / sum(exp(x))` along an axis, of those for which `where` holds; the others are 0.

    >>> import fdl.numpy as jnp
    >>> softmax(jnp.zeros(2)).tolist(), softmax(jnp.zeros(2), where=jnp.array([True, False])).tolist()
    ([0.5, 0.5], [1.0, 0.0])
    """
    if where is None:
        return functions.softmax(x, axis)
    return ops.select(where, functions.softmax(ops.select(where, x, -math.inf), axis), 0)


def log_softmax(x: ArrayLike, axis: Any = -1, where: ArrayLike | None = None) -> Array:
    """`log(softmax(x))` without overflow, of those for which `where` holds; the others are minus infinity.

    >>> import fdl.numpy as jnp
    >>> [round(v, 4) for v in log_softmax(jnp.zeros(2)).tolist()]
    [-0.6931, -0.6931]
    """
    return functions.log_softmax(x if where is None else ops.select(where, x, -math.inf), axis)


@graph_function
def celu(x: ArrayLike, alpha: float = 1.0) -> Array:
    """x above 0, `alpha * (exp(x / alpha) - 1)` below.

    >>> round(celu(-1.0).tolist(), 4)
    -0.6321
    """
    x = _floats(x)
    below = ops.mul(ops.expm1(ops.div(ops.select(ops.greater(x, 0), 0, x), alpha)), alpha)
    return ops.select(ops.greater(x, 0), x, below)


@graph_function
def glu(x: ArrayLike, axis: int = -1) -> Array:
    """The first half along an axis times the sigmoid of the second.

    >>> import fdl.numpy as jnp
    >>> glu(jnp.array([4.0, 0.0])).tolist()
    [2.0]
    """
    x = _operand(x)
    (place,) = axes_of(x, axis, "glu")
    if x.aval.shape[place] % 2:
        raise ShapeError(f"glu: axis {axis} of {x.aval.describe()} has no halves", hint="an even size")
    first, second = split(x, 2, place)
    return ops.mul(first, ops.logistic(second))


@graph_function
def hard_sigmoid(x: ArrayLike) -> Array:
    """`relu6(x + 3) / 6`.

    >>> hard_sigmoid(0.0).tolist()
    0.5
    """
    return ops.div(relu6(ops.add(_floats(x), 3)), 6)


@graph_function
def hard_silu(x: ArrayLike) -> Array:
    """`x * hard_sigmoid(x)`.

    >>> hard_silu(3.0).tolist()
    3.0
    """
    return ops.mul(x, hard_sigmoid(x))


hard_swish = hard_silu


def identity(x: ArrayLike) -> Array:
    """x itself.

    >>> identity(2.0).tolist()
    2.0
    """
    return _operand(x)


@graph_function
def log1mexp(x: ArrayLike) -> Array:
    """`log(1 - exp(-x))` for x above 0, accurate near 0 and far from it (Mächler, 2012).

    >>> round(log1mexp(1.0).tolist(), 4)
    -0.4587
    """
    x = _floats(x)
    near = ops.less(x, math.log(2))
    small, large = ops.select(near, x, 1), ops.select(near, 1, x)
    return ops.select(near, ops.log(ops.neg(ops.expm1(ops.neg(small)))), ops.log1p(ops.neg(ops.exp(ops.neg(large)))))


def logmeanexp(x: ArrayLike, axis: Any = None, where: Any = None, keepdims: bool = False) -> Array:
    """`log(mean(exp(x)))` over axes without overflow, of those for which `where` holds.

    >>> import fdl.numpy as jnp
    >>> round(logmeanexp(jnp.array([0.0, 0.0])).tolist(), 4)
    0.0
    """
    x = _floats(x)
    total = logsumexp(x, axis=axis, where=where, keepdims=keepdims)
    if where is None:
        axes = axes_of(x, axis, "logmeanexp")
        places = math.prod(x.aval.shape[a] for a in axes)
        return ops.sub(total, math.log(places) if places else -math.inf)  # NaN of nothing, as a mean is
    count = sum(ops.broadcast_to(ops.convert(where, x.aval.dtype), x.aval.shape), axis, keepdims=keepdims)
    return ops.sub(total, ops.log(count))


@graph_function
def mish(x: ArrayLike) -> Array:
    """`x * tanh(softplus(x))` (Misra, 2019).

    >>> mish(0.0).tolist()
    0.0
    """
    x = _floats(x)
    return ops.mul(x, ops.tanh(ops.softplus(x)))


@graph_function
def soft_sign(x: ArrayLike) -> Array:
    """`x / (|x| + 1)`.

    >>> soft_sign(1.0).tolist()
    0.5
    """
    x = _floats(x)
    return ops.div(x, ops.add(ops.abs(x), 1))


@graph_function
def sparse_plus(x: ArrayLike) -> Array:
    """0 up to -1, x from 1 on, `(x + 1)^2 / 4` between.

    >>> sparse_plus(0.0).tolist()
    0.25
    """
    x = _floats(x)
    between = ops.mul(ops.integer_pow(ops.add(x, 1), 2), 0.25)
    return ops.select(ops.less_equal(x, -1), 0, ops.select(ops.greater_equal(x, 1), x, between))


@graph_function
def sparse_sigmoid(x: ArrayLike) -> Array:
    """0 up to -1, 1 from 1 on, a straight line between.

    >>> sparse_sigmoid(0.0).tolist()
    0.5
    """
    return ops.mul(clip(ops.add(_floats(x), 1), 0, 2), 0.5)


@graph_function
def squareplus(x: ArrayLike, b: float = 4.0) -> Array:
    """`(x + sqrt(x^2 + b)) / 2` (Barron, 2021).

    >>> squareplus(0.0).tolist()
    1.0
    """
    x = _floats(x)
    return ops.mul(ops.add(x, ops.sqrt(ops.add(ops.mul(x, x), b))), 0.5)


def standardize(
    x: ArrayLike,
    axis: Any = -1,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    epsilon: float = 1e-5,
    where: Any = None,
) -> Array:
    """x less its mean over its standard deviation along axes, of those for which `where` holds; `epsilon` is added to
    the variance. Mean and variance may be given.

    >>> import fdl.numpy as jnp
    >>> [round(v, 3) for v in standardize(jnp.array([1.0, 3.0])).tolist()]
    [-1.0, 1.0]
    """
    x = _floats(x)
    centre = mean_of(x, axis, keepdims=True, where=where) if mean is None else mean
    if variance is None:  # as the mean of squares: what is given as the mean may not be it
        squares = mean_of(ops.mul(x, x), axis, keepdims=True, where=where)
        variance = ops.sub(squares, ops.mul(centre, centre))
    return ops.mul(ops.sub(x, centre), ops.rsqrt(ops.add(variance, epsilon)))
