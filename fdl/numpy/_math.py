"""Elementwise functions and reductions with NumPy's names."""

from __future__ import annotations

import builtins
import math
import typing
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, from_numpy
from fdl.core.errors import ChoiceError, DtypeError, ShapeError, TracedMaskError
from fdl.core.graph import ArrayLike, Literal, Operand
from fdl.core.trace import Tracer, aval_of
from fdl.ops.parts import check_real
from fdl.ops.promotion import as_operand, promote
from fdl.transforms.custom import custom_jvp

Axis = int | Sequence[int] | None

add, subtract, multiply = ops.add, ops.sub, ops.mul
negative, exp, exp2, expm1, log, log2, log10, log1p = (
    ops.neg,
    ops.exp,
    ops.exp2,
    ops.expm1,
    ops.log,
    ops.log2,
    ops.log10,
    ops.log1p,
)
sin, cos, tan, arcsin, arccos, arctan2 = ops.sin, ops.cos, ops.tan, ops.asin, ops.acos, ops.atan2
sinh, cosh, tanh, arcsinh, arccosh, arctanh = ops.sinh, ops.cosh, ops.tanh, ops.asinh, ops.acosh, ops.atanh
sqrt, cbrt, hypot = ops.sqrt, ops.cbrt, ops.hypot
maximum, minimum, sign = ops.maximum, ops.minimum, ops.direction
equal, not_equal = ops.equal, ops.not_equal
bitwise_and, bitwise_or, bitwise_xor, bitwise_not, invert = (
    ops.bitwise_and,
    ops.bitwise_or,
    ops.bitwise_xor,
    ops.bitwise_not,
    ops.bitwise_not,
)
left_shift, right_shift = ops.shift_left, ops.shift_right


def _rounded(f: Callable[[Array], Array], x: ArrayLike) -> Array:
    operand = _operand(x)
    return f(operand) if dtypes.is_inexact(operand.aval.dtype) else operand


def floor(x: ArrayLike) -> Array:
    """The largest whole number not above x; integers and bools as they are.

    >>> float(floor(-1.5))
    -2.0
    """
    return _rounded(ops.floor, x)


def ceil(x: ArrayLike) -> Array:
    """The smallest whole number not below x; integers and bools as they are.

    >>> float(ceil(-1.5))
    -1.0
    """
    return _rounded(ops.ceil, x)


def trunc(x: ArrayLike) -> Array:
    """x without its fraction; integers and bools as they are.

    >>> float(trunc(-1.5))
    -1.0
    """
    return _rounded(ops.trunc, x)


def true_divide(a: ArrayLike, b: ArrayLike) -> Array:
    """`a / b` in floating point, also for integers.

    >>> float(true_divide(1, 2))
    0.5
    """
    return ops.div(*promote(a, b, to_float=True))


divide = true_divide


def positive(x: ArrayLike) -> Array:
    """`+x`.

    >>> int(positive(3))
    3
    """
    return _operand(x)


def abs(x: ArrayLike) -> Array:
    """The absolute value, of complex numbers too.

    >>> int(abs(-3)), float(abs(3 + 4j))
    (3, 5.0)
    """
    return _operand(x) if aval_of(x).dtype == dtypes.bool_ else ops.absolute(x)


absolute = abs


def round(a: ArrayLike, decimals: int = 0) -> Array:
    """Rounded to decimals, or to tens, hundreds ... where they are negative; halves go to the even neighbour. Narrow
    floats are scaled in float32.

    >>> float(round(2.5))
    2.0
    """
    operand = as_operand(a)
    dtype = operand.aval.dtype
    if dtypes.is_complex(dtype):
        return _of_parts(lambda part: round(part, decimals), operand)
    if not dtypes.is_float(dtype):
        return _operand(a) if decimals >= 0 else ops.cast(round(ops.cast(operand, dtypes.float64), decimals), dtype)
    if decimals == 0:
        return ops.round_even(a)
    wide = ops.cast(operand, dtypes.compute_dtype(dtype), operand.aval.weak_type)
    scaled = ops.mul(wide, 10.0**decimals) if decimals > 0 else ops.div(wide, 10.0**-decimals)
    whole = ops.round_even(scaled)
    rounded = ops.div(whole, 10.0**decimals) if decimals > 0 else ops.mul(whole, 10.0**-decimals)
    return ops.cast(rounded, dtype, operand.aval.weak_type)


def _numbers(*xs: ArrayLike) -> list[Operand]:
    """Operands of one dtype, bools as int32."""
    operands = promote(*xs)
    return [ops.cast(x, dtypes.int32) for x in operands] if operands[0].aval.dtype == dtypes.bool_ else operands


def _remainder(a: Any, b: Any) -> Array:
    """`ops.rem`, but 0 where integers are divided by 0."""
    rest = ops.rem(a, b)
    return rest if dtypes.is_float(aval_of(rest).dtype) else ops.select(ops.equal(b, 0), 0, rest)


def floor_divide(a: ArrayLike, b: ArrayLike) -> Array:
    """The largest whole number not above `a / b`; of integers and 0 it is -2, as in JAX, or for 0 / 0 -1, and for
    unsigned ones the largest number.

    >>> int(floor_divide(-7, 2))
    -4
    """
    a, b = _numbers(a, b)
    if dtypes.is_float(a.aval.dtype):
        return _floats_divided(a, b)
    quotient = ops.div(a, b)
    if a.aval.dtype in dtypes.UNSIGNED:
        return quotient
    below = ops.bitwise_or(ops.not_equal(ops.less(a, 0), ops.less(b, 0)), ops.equal(b, 0))
    inexact = ops.bitwise_and(ops.not_equal(ops.rem(a, b), 0), below)
    return ops.sub(quotient, ops.convert(inexact, quotient.aval.dtype, quotient.aval.weak_type))


def _floats_divided(a: Any, b: Any) -> Array:
    """By the remainder, which is exact: 1 / 0.1 rounds to 10, though 9 is the largest whole number not above it."""
    rest = ops.rem(a, b)
    even = ops.div(ops.sub(a, rest), b)
    over = ops.bitwise_and(ops.not_equal(rest, 0), ops.not_equal(ops.less(rest, 0), ops.less(b, 0)))
    even = ops.select(over, ops.sub(even, 1), even)
    whole = ops.floor(even)
    whole = ops.select(ops.greater(ops.sub(even, whole), 0.5), ops.add(whole, 1), whole)
    return ops.select(ops.equal(b, 0), ops.stop_gradient(ops.div(a, b)), whole)


def remainder(a: ArrayLike, b: ArrayLike) -> Array:
    """The remainder with the sign of `b`, as Python's `%`; 0 where an integer is divided by 0.

    >>> int(remainder(-7, 3))
    2
    """
    a, b = _numbers(a, b)
    rest = _remainder(a, b)
    if a.aval.dtype in dtypes.UNSIGNED:
        return rest
    wrong = ops.bitwise_and(ops.not_equal(rest, 0), ops.not_equal(ops.less(rest, 0), ops.less(b, 0)))
    return ops.select(wrong, ops.add(rest, b), rest)


mod = remainder


def divmod(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """(floor_divide(a, b), remainder(a, b)).

    >>> [int(v) for v in divmod(7, 2)]
    [3, 1]
    """
    return floor_divide(a, b), remainder(a, b)


def fmod(a: ArrayLike, b: ArrayLike) -> Array:
    """The remainder with the sign of `a`; 0 where an integer is divided by 0.

    >>> float(fmod(-7.0, 3.0))
    -1.0
    """
    return _remainder(*_numbers(a, b))


def power(a: ArrayLike, b: ArrayLike) -> Array:
    """`a ** b`; a Python integer as exponent is exact and differentiable everywhere.

    >>> float(power(2.0, 3))
    8.0
    """
    if isinstance(b, int) and not isinstance(b, bool):
        base = as_operand(a)
        if base.aval.dtype != dtypes.bool_ and (b >= 0 or dtypes.is_inexact(base.aval.dtype)):
            return ops.integer_pow(base, b)
    return ops.pow(*_numbers(a, b))


def square(x: ArrayLike) -> Array:
    """`x * x`.

    >>> float(square(3.0))
    9.0
    """
    return ops.integer_pow(_numbers(x)[0], 2)


def size_squared(x: ArrayLike) -> Array:
    """`abs(x)**2`.

    >>> float(size_squared(3 + 4j))
    25.0
    """
    if dtypes.is_complex(aval_of(x).dtype):
        return ops.add(square(ops.real(x)), square(ops.imag(x)))
    return square(x)


def _of_parts(f: Callable[[Array], Array], x: ArrayLike) -> Array:
    """A function of real numbers, applied to both parts of complex ones."""
    return ops.join(f(ops.real(x)), f(ops.imag(x)))


def reciprocal(x: ArrayLike) -> Array:
    """`1 / x`.

    >>> float(reciprocal(4.0))
    0.25
    """
    return ops.div(1, *promote(x, to_float=True))


def sloped(slope: Callable[[Any], Array]) -> Callable[[Callable[[Any], Array]], Callable[[Any], Array]]:
    """Give a function of one number its derivative, where the derivative of its formula is not exact everywhere."""

    def define(f: Callable[[Any], Array]) -> Callable[[Any], Array]:
        public = custom_jvp(f)
        public.defjvp(lambda primals, tangents: (public(*primals), ops.mul(tangents[0], slope(*primals))))
        return public

    return define


def arctan(x: ArrayLike) -> Array:
    """Inverse tangent.

    >>> float(arctan(0.0))
    0.0
    """
    (x,) = promote(x, to_float=True)
    if not dtypes.is_complex(x.aval.dtype):
        return ops.atan2(x, 1.0)
    turned = ops.atanh(ops.join(ops.neg(ops.imag(x)), ops.real(x)))  # i times x, bit for bit
    return ops.join(ops.imag(turned), ops.neg(ops.real(turned)))


def _log_sum(more: Callable[[Array], Array], base: float) -> Callable[[Operand, Operand], Array]:
    """The logarithm of a sum of two powers of e**base: the larger exponent and `more` of how far the other one lies
    below, which is exact however small it is.
    """

    def apart(a: Operand, b: Operand) -> Array:
        endless = ops.bitwise_and(ops.equal(a, b), ops.bitwise_not(ops.is_finite(a)))
        return ops.select(endless, 0, ops.sub(a, b))  # finite ties keep the slope of the difference

    @custom_jvp
    def total(a: Operand, b: Operand) -> Array:
        return ops.add(ops.maximum(a, b), more(ops.neg(ops.abs(apart(a, b)))))

    @total.defjvp
    def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
        gap = ops.mul(apart(*primals), base)
        return total(*primals), ops.add(
            ops.mul(tangents[0], ops.logistic(gap)), ops.mul(tangents[1], ops.logistic(ops.neg(gap)))
        )

    return total


_to_e = _log_sum(ops.softplus, 1.0)
_to_two = _log_sum(lambda x: ops.mul(ops.log1p(ops.exp2(x)), 1 / math.log(2)), math.log(2))


def logaddexp(a: ArrayLike, b: ArrayLike) -> Array:
    """`log(exp(a) + exp(b))` without overflow, and accurate where one of the two adds little.

    >>> float(logaddexp(1000.0, -1000.0))
    1000.0
    """
    return _to_e(*promote(a, b, to_float=True))


def logaddexp2(a: ArrayLike, b: ArrayLike) -> Array:
    """`log2(2**a + 2**b)` without overflow.

    >>> float(logaddexp2(3.0, 3.0))
    4.0
    """
    return _to_two(*promote(a, b, to_float=True))


def isnan(x: ArrayLike) -> Array:
    """Whether x is NaN.

    >>> bool(isnan(float("nan")))
    True
    """
    return ops.not_equal(x, x)


def isfinite(x: ArrayLike) -> Array:
    """Whether x is neither infinite nor NaN, nor a part of it.

    >>> bool(isfinite(1.0)), bool(isfinite(complex(1.0, float("nan"))))
    (True, False)
    """
    x = as_operand(x)
    if dtypes.is_complex(x.aval.dtype):
        return ops.bitwise_and(ops.is_finite(ops.real(x)), ops.is_finite(ops.imag(x)))
    return ops.is_finite(x)


def isinf(x: ArrayLike) -> Array:
    """Whether x is infinite, or a part of it.

    >>> bool(isinf(float("-inf")))
    True
    """
    x = as_operand(x)
    if dtypes.is_complex(x.aval.dtype):
        return ops.bitwise_or(isinf(ops.real(x)), isinf(ops.imag(x)))
    return ops.equal(ops.abs(x), math.inf) if dtypes.is_float(x.aval.dtype) else ops.not_equal(x, x)


def _as_bool(x: ArrayLike) -> Operand:
    operand = as_operand(x)
    return operand if operand.aval.dtype == dtypes.bool_ else ops.not_equal(operand, 0)


def logical_not(x: ArrayLike) -> Array:
    """Whether x is zero or False.

    >>> bool(logical_not(0))
    True
    """
    return ops.bitwise_not(_as_bool(x))


def logical_and(a: ArrayLike, b: ArrayLike) -> Array:
    """Whether both are non-zero.

    >>> bool(logical_and(1, 0))
    False
    """
    return ops.bitwise_and(_as_bool(a), _as_bool(b))


def logical_or(a: ArrayLike, b: ArrayLike) -> Array:
    """Whether one is non-zero.

    >>> bool(logical_or(1, 0))
    True
    """
    return ops.bitwise_or(_as_bool(a), _as_bool(b))


def logical_xor(a: ArrayLike, b: ArrayLike) -> Array:
    """Whether exactly one is non-zero.

    >>> bool(logical_xor(1, 0))
    True
    """
    return ops.bitwise_xor(_as_bool(a), _as_bool(b))


def nonzero(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> tuple[Array, ...]:
    """Indices of elements that are not zero, one array for each axis.

    Their number depends on values, which must be known, unless `size` says how many there shall be: the first ones are
    taken, and what is missing is `fill_value` (0 by default), or one number an axis where it is a tuple.

    >>> from fdl.numpy import array
    >>> [i.tolist() for i in nonzero(array([0, 3, 0, 4]))]
    [[1, 3]]
    >>> [i.tolist() for i in nonzero(array([0, 3, 0, 4]), size=3, fill_value=-1)]
    [[1, 3, -1]]
    """
    if not aval_of(_operand(a)).ndim:
        raise ShapeError("nonzero: a number has no axes to give indices for", hint="jnp.atleast_1d(x)")
    if size is not None:
        return _nonzero_of_size(_operand(a), size, fill_value)
    if isinstance(a, Tracer) and a.concrete() is None:
        a.refuse(
            "jnp.nonzero(x)",
            TracedMaskError,
            "the size of the result would depend on its values",
            "jnp.where(mask, x, 0), or jnp.nonzero(x, size=n)",
        )
    return tuple(from_numpy(i.astype(dtypes.default(int))) for i in np.nonzero(np.asarray(a)))


def _nonzero_of_size(x: Array, size: int, fill_value: Any) -> tuple[Array, ...]:
    """Each element that is not zero writes its number to the place that it has among those."""
    shape = x.aval.shape
    mask = ops.reshape(_operand(_as_bool(x)), (x.aval.size,))
    ranks = ops.cumsum(ops.convert(mask, dtypes.int32), 0)
    places = ops.select(mask, ops.sub(ranks, 1), size)
    numbers = ops.scatter(ops.full((size,), 0, dtypes.int32), ops.iota((x.aval.size,), 0), [places], (0,), 0, "drop")
    fills = fill_value if isinstance(fill_value, tuple) else (fill_value or 0,) * len(shape)
    found = ops.less(ops.iota((size,), 0), sum(mask))
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    out = []
    for step, d, fill in zip(steps, shape, fills, strict=True):
        index = ops.rem(ops.div(numbers, builtins.max(step, 1)), builtins.max(d, 1))
        out.append(counts(ops.select(found, index, ops.convert(_operand(fill), dtypes.int32))))
    return tuple(out)


@typing.overload
def where(condition: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> tuple[Array, ...]: ...
@typing.overload
def where(condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Array: ...
def where(
    condition: ArrayLike,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Array | tuple[Array, ...]:
    """`x` where the condition holds, else `y`; the condition alone gives the indices where it holds, as `nonzero` does,
    which tells `size` and `fill_value`.

    >>> from fdl.numpy import array
    >>> where(array([True, False]), 1, 2).tolist()
    [1, 2]
    """
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if x is None or y is None:
        raise DtypeError(
            "where: takes a condition, x and y, or the condition alone",
            why="one of x and y is missing",
            hint="jnp.where(mask, x, 0)",
        )
    if size is not None or fill_value is not None:
        raise ChoiceError("where: size and fill_value are for a condition alone", hint="jnp.where(mask, x, y)")
    return ops.select(condition, x, y)


def clip(x: ArrayLike, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Array:
    """x moved into the interval from `min` to `max`; None leaves a side open.

    >>> float(clip(3.0, 0, 1))
    1.0
    """
    check_real("clip", *[aval_of(v) for v in (x, min, max) if v is not None])
    bounded = _operand(x) if min is None else ops.maximum(x, min)
    return bounded if max is None else ops.minimum(bounded, max)


def nan_to_num(
    x: ArrayLike, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Array:
    """x with NaN replaced, and infinities by the largest numbers unless told otherwise; `copy` or not, x stays.

    >>> float(nan_to_num(float("nan"))), float(nan_to_num(float("inf"), posinf=9.0))
    (0.0, 9.0)
    """
    out = _operand(x)
    if dtypes.is_complex(out.aval.dtype):
        return _of_parts(lambda part: nan_to_num(part, copy, nan, posinf, neginf), out)
    if not dtypes.is_float(out.aval.dtype):
        return out
    largest = float(ml_dtypes.finfo(out.aval.dtype).max)  # type: ignore[no-untyped-call]
    out = ops.select(isnan(out), nan, out)
    out = ops.select(equal(out, math.inf), largest if posinf is None else posinf, out)
    return ops.select(equal(out, -math.inf), -largest if neginf is None else neginf, out)


def isclose(a: ArrayLike, b: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    """Whether `|a - b| <= atol + rtol * |b|`; infinities are close to themselves alone, NaN to NaN with `equal_nan`.

    >>> bool(isclose(1.0, 1.0 + 1e-7))
    True
    """
    a, b = promote(a, b, to_float=True)
    near = ops.less_equal(abs(ops.sub(a, b)), ops.add(atol, ops.mul(rtol, abs(b))))
    close = ops.bitwise_or(ops.equal(a, b), ops.bitwise_and(isfinite(b), near))
    return ops.bitwise_or(close, ops.bitwise_and(isnan(a), isnan(b))) if equal_nan else close


def allclose(a: ArrayLike, b: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    """Whether all elements are close.

    >>> bool(allclose(1.0, 1.0))
    True
    """
    return all(isclose(a, b, rtol, atol, equal_nan))


# Reductions


def axes_of(x: ArrayLike, axis: Axis, what: str) -> tuple[int, ...]:
    """Axes as non-negative numbers from first to last; ShapeError for one that is not there or stands twice."""
    return tuple(sorted(axes_as_given(x, axis, what)))


def axes_as_given(x: ArrayLike, axis: Axis, what: str) -> tuple[int, ...]:
    """The same in the order in which they are given."""
    ndim = aval_of(x).ndim
    if axis is None:
        return tuple(range(ndim))
    chosen = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    if builtins.any(not -ndim <= a < ndim for a in chosen):
        raise ShapeError(
            f"{what}: axis {axis} is out of bounds for {aval_of(x).describe()}", hint=f"from {-ndim} to {ndim - 1}"
        )
    places = tuple(a % ndim for a in chosen)
    if len(set(places)) < len(places):
        raise ShapeError(f"{what}: axis {axis} names an axis twice of {aval_of(x).describe()}", hint="each axis once")
    return places


def _kept(out: Array, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """What is left of x where axes were folded; never weak, as what is folded need not be a number any more."""
    found = aval_of(out)
    out = ops.convert(out, found.dtype) if found.weak_type else out
    return ops.expand_dims(out, axes) if keepdims else out


def _operand(x: ArrayLike) -> Array:
    operand = as_operand(x)
    return ops.broadcast(operand, (), ()) if isinstance(operand, Literal) else operand


def _counted(x: Array, dtype: Any, promote_integers: bool = True) -> Array:
    """What sums and products are computed in: `dtype`, or for bool and integers at least what integers are by
    default, if they are to be promoted.
    """
    if dtype is not None:
        return ops.cast(x, dtypes.canonical(dtype))
    least, own = dtypes.default(int), x.aval.dtype
    if not promote_integers and own != dtypes.bool_:
        return x
    if dtypes.is_inexact(own) or (own != dtypes.bool_ and own.itemsize >= least.itemsize):
        return x
    return ops.convert(x, np.dtype(f"u{least.name}") if own in dtypes.UNSIGNED else least)


def counts(x: Array) -> Array:
    """Places and counts as users get them: as integers are by default."""
    return ops.convert(x, dtypes.default(int))


def sum(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
    promote_integers: bool = True,
) -> Array:
    """The sum over axes, or over all; bool and small integers are counted in int32, or
    in their dtype without `promote_integers`.

    >>> from fdl.numpy import ones
    >>> sum(ones((2, 3)), axis=0).tolist()
    [2.0, 2.0, 2.0]
    """
    a = _counted(_operand(a), dtype, promote_integers)
    if where is not None:
        a = ops.select(where, a, 0)
    axes = axes_of(a, axis, "sum")
    out = _kept(ops.reduce_sum(a, axes), a, axes, keepdims)
    return out if initial is None else ops.add(out, ops.cast(as_operand(initial), aval_of(out).dtype))


def _count(x: Any, axes: Sequence[int]) -> int:
    return math.prod(aval_of(x).shape[a] for a in axes)


def mean(
    a: ArrayLike, axis: Axis = None, dtype: Any = None, keepdims: bool = False, where: ArrayLike | None = None
) -> Array:
    """The mean over axes, or over all, of those for which `where` holds; narrow floats are averaged in float32.

    >>> from fdl.numpy import array
    >>> float(mean(array([1.0, 2.0, 6.0])))
    3.0
    """
    a = _operand(a)
    target = dtypes.canonical(dtype) if dtype is not None else dtypes.default_float(a.aval.dtype)
    wide = ops.cast(a, dtypes.compute_dtype(target), a.aval.weak_type)
    axes = axes_of(a, axis, "mean")
    if where is None:
        out = ops.div(ops.reduce_sum(wide, axes), float(_count(a, axes)))
    else:
        counted = ops.broadcast_to(ops.convert(where, aval_of(wide).dtype), a.aval.shape)
        out = ops.div(ops.reduce_sum(ops.select(where, wide, 0), axes), ops.reduce_sum(counted, axes))
    return _kept(ops.cast(out, target, out.aval.weak_type), a, axes, keepdims)


def var(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
    correction: float | None = None,
) -> Array:
    """The mean squared distance from the mean, of those for which `where` holds; `ddof` (or `correction`) is subtracted
    from the count, and where nothing is left it is NaN.

    >>> from fdl.numpy import array
    >>> float(var(array([1.0, 3.0])))
    1.0
    """
    a = _operand(a) if dtype is None else ops.cast(_operand(a), dtypes.canonical(dtype))
    axes = axes_of(a, axis, "var")
    count = _count(a, axes)
    ddof = ddof if correction is None else correction
    if where is not None:
        squares = sum(size_squared(ops.sub(a, mean(a, axes, keepdims=True, where=where))), axes, where=where)
        left = ops.sub(sum(ops.broadcast_to(ops.convert(where, aval_of(squares).dtype), a.aval.shape), axes), ddof)
        return _kept(ops.div(squares, ops.select(ops.greater(left, 0), left, math.nan)), a, axes, keepdims)
    by_rows = len(axes) == a.aval.ndim and count >= 2 * _ROW and count % _ROW == 0
    squares = _squares_by_rows(a) if by_rows else sum(size_squared(ops.sub(a, mean(a, axes, keepdims=True))), axes)
    return _kept(ops.div(squares, float(count - ddof) if count > ddof else math.nan), a, axes, keepdims)


_ROW = 4096  # elements that stay in the nearest cache between their mean and their distances from it


def _squares_by_rows(x: Array) -> Array:
    """The squared distances of all elements from their mean, summed up, of rows first: x is read from memory once.

    Source: Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
    """
    rows = ops.reshape(x, (x.aval.size // _ROW, _ROW))
    means = mean(rows, 1, keepdims=True)
    between = sum(size_squared(ops.sub(means, mean(means))))
    return ops.add(sum(size_squared(ops.sub(rows, means))), ops.mul(between, float(_ROW)))


def std(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
    correction: float | None = None,
) -> Array:
    """The square root of the variance, which tells the arguments.

    >>> from fdl.numpy import array
    >>> float(std(array([1.0, 3.0])))
    1.0
    """
    return ops.sqrt(var(a, axis, dtype, ddof, keepdims, where=where, correction=correction))


def max(
    a: ArrayLike,
    axis: Axis = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """The largest element over axes, or over all; NaN where there is one.

    >>> from fdl.numpy import array
    >>> int(max(array([1, 5, 2])))
    5
    """
    a = _operand(a)
    axes = axes_of(a, axis, "max")
    return _extreme(ops.reduce_max, ops.maximum, a, axes, keepdims, initial, where)


def _extreme(
    fold: Callable[[Array, Sequence[int]], Array],
    choose: Callable[[Array, Array], Array],
    x: Array,
    axes: tuple[int, ...],
    keepdims: bool,
    initial: Any,
    where: Any,
) -> Array:
    """`fold` over axes, of `initial` too, which is cast to the dtype of `x`, and of those alone for which `where`
    holds.
    """
    dtype = x.aval.dtype
    if where is not None and initial is None:
        raise ShapeError(
            "max, min: `where` needs `initial`",
            why="of nothing there is no largest or smallest element",
            hint="initial=...",
        )
    if initial is not None:
        initial = ops.convert(_operand(initial), dtype)
        x = x if where is None else ops.select(where, x, initial)
    if initial is not None and _count(x, axes) == 0:
        shape = [d for i, d in enumerate(x.aval.shape) if i not in axes]
        return _kept(ops.broadcast(initial, tuple(shape), ()), x, axes, keepdims)
    out = _kept(fold(x, axes), x, axes, keepdims)
    return out if initial is None else choose(out, initial)


def min(
    a: ArrayLike,
    axis: Axis = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """The smallest element over axes, or over all; NaN where there is one.

    >>> from fdl.numpy import array
    >>> int(min(array([1, 5, 2])))
    1
    """
    a = _operand(a)
    axes = axes_of(a, axis, "min")
    return _extreme(ops.reduce_min, ops.minimum, a, axes, keepdims, initial, where)


amax, amin = max, min


def any(a: ArrayLike, axis: Axis = None, keepdims: bool = False, *, where: ArrayLike | None = None) -> Array:
    """Whether some element is non-zero, of those for which `where` holds.

    >>> from fdl.numpy import array
    >>> bool(any(array([0, 1])))
    True
    """
    return max(_as_bool(_operand(a)), axis, keepdims, initial=False, where=where)


def all(a: ArrayLike, axis: Axis = None, keepdims: bool = False, *, where: ArrayLike | None = None) -> Array:
    """Whether all elements are non-zero, of those for which `where` holds.

    >>> from fdl.numpy import array
    >>> bool(all(array([0, 1])))
    False
    """
    return min(_as_bool(_operand(a)), axis, keepdims, initial=True, where=where)


def count_nonzero(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Array:
    """The number of elements that are not zero.

    >>> from fdl.numpy import array
    >>> int(count_nonzero(array([0, 1, 2])))
    2
    """
    return sum(_as_bool(_operand(a)), axis, keepdims=keepdims)


def _arg(f: Callable[[Array, int, Any], Array], x: ArrayLike, axis: int | None, keepdims: bool, what: str) -> Array:
    x = _operand(x)
    if axis is None:
        out = f(ops.reshape(x, (x.aval.size,)), 0, int)
        return ops.reshape(out, (1,) * x.aval.ndim) if keepdims else out
    (place,) = axes_of(x, axis, what)
    return _kept(f(x, place, int), x, (place,), keepdims)


def argmax(a: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Array:
    """The first place of the largest element; over the flat array for None.

    >>> from fdl.numpy import array
    >>> int(argmax(array([1, 5, 5])))
    1
    """
    return _arg(ops.argmax, a, axis, keepdims, "argmax")


def argmin(a: ArrayLike, axis: int | None = None, keepdims: bool = False) -> Array:
    """The first place of the smallest element; over the flat array for None.

    >>> from fdl.numpy import array
    >>> int(argmin(array([5, 1, 1])))
    1
    """
    return _arg(ops.argmin, a, axis, keepdims, "argmin")


def prod(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
    promote_integers: bool = True,
) -> Array:
    """The product over axes, or over all, multiplied pairwise; bool and small integers are multiplied in int32, or in
    their dtype without `promote_integers`.

    >>> from fdl.numpy import array
    >>> int(prod(array([2, 3, 4])))
    24
    """
    x = _counted(_operand(a), dtype, promote_integers)
    if where is not None:
        x = ops.select(where, x, 1)
    axes = axes_of(x, axis, "prod")
    out = x
    for place in reversed(axes):
        while (n := aval_of(out).shape[place]) > 1:
            half = (n + 1) // 2
            config = [(0, 2 * half - n if i == place else 0, 0) for i in range(aval_of(out).ndim)]
            padded = ops.pad(out, Literal(1, x.aval.dtype), config)
            out = ops.mul(ops.slice_in_dim(padded, 0, half, place), ops.slice_in_dim(padded, half, 2 * half, place))
        shape = tuple(d for i, d in enumerate(aval_of(out).shape) if i != place)
        out = ops.full(shape, 1, x.aval.dtype) if n == 0 else ops.reshape(out, shape)
    out = _kept(out, x, axes, keepdims)
    return out if initial is None else ops.mul(out, ops.cast(as_operand(initial), aval_of(out).dtype))


def _lined(x: ArrayLike, axis: int | None, dtype: Any, what: str) -> tuple[Array, int]:
    """The operand of a running operation, bools as integers, and its axis: of the flat array for None."""
    x = _operand(x)
    x = ops.cast(x, x.aval.dtype if dtype is None else dtypes.canonical(dtype))
    if x.aval.dtype == dtypes.bool_:
        x = ops.convert(x, dtypes.int32)
    if axis is None:
        return ops.reshape(x, (x.aval.size,)), 0
    return x, axes_of(x, axis, what)[0]


def cumsum(a: ArrayLike, axis: int | None = None, dtype: Any = None) -> Array:
    """Sums of the elements so far.

    >>> from fdl.numpy import array
    >>> cumsum(array([1, 2, 3])).tolist()
    [1, 3, 6]
    """
    return ops.cumsum(*_lined(a, axis, dtype, "cumsum"))


def cumprod(a: ArrayLike, axis: int | None = None, dtype: Any = None) -> Array:
    """Products of the elements so far, in a logarithmic number of steps (Hillis and Steele, 1986).

    >>> from fdl.numpy import array
    >>> cumprod(array([1, 2, 3])).tolist()
    [1, 2, 6]
    """
    out, place = _lined(a, axis, dtype, "cumprod")
    n, shift = out.aval.shape[place], 1
    while shift < n:
        config = [(shift, -shift, 0) if i == place else (0, 0, 0) for i in range(out.aval.ndim)]
        out = ops.mul(out, ops.pad(out, Literal(1, out.aval.dtype), config))
        shift *= 2
    return out


@typing.overload
def average(
    a: ArrayLike,
    axis: Axis = None,
    weights: ArrayLike | None = None,
    returned: typing.Literal[False] = False,
    keepdims: bool = False,
) -> Array: ...
@typing.overload
def average(
    a: ArrayLike,
    axis: Axis = None,
    weights: ArrayLike | None = None,
    *,
    returned: typing.Literal[True],
    keepdims: bool = False,
) -> tuple[Array, Array]: ...
def average(
    a: ArrayLike, axis: Axis = None, weights: ArrayLike | None = None, returned: bool = False, keepdims: bool = False
) -> Array | tuple[Array, Array]:
    """The weighted mean, and with `returned` the sums of weights; weights of one axis belong to `axis`.

    >>> from fdl.numpy import array
    >>> float(average(array([1.0, 3.0]), weights=array([3.0, 1.0])))
    1.5
    """
    a = _operand(a)
    axes = axes_of(a, axis, "average")
    if weights is None:
        out = mean(a, axes, keepdims=keepdims)
        return (out, ops.full(aval_of(out).shape, float(_count(a, axes)), aval_of(out).dtype)) if returned else out
    a, weights = (_operand(v) for v in promote(a, weights, to_float=True))
    if aval_of(weights).shape != a.aval.shape:
        if aval_of(weights).ndim != 1 or len(axes) != 1 or aval_of(weights).shape[0] != a.aval.shape[axes[0]]:
            raise ShapeError(
                f"average: weights {aval_of(weights).describe()} do not fit {a.aval.describe()}",
                hint="weights of the same shape, or one for each place along `axis`",
            )
        weights = ops.broadcast(weights, a.aval.shape, axes)
    total = sum(weights, axes, keepdims=keepdims)
    out = ops.div(sum(ops.mul(a, weights), axes, keepdims=keepdims), total)
    return (out, total) if returned else out
