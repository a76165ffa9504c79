"""Complex numbers: their parts and conjugates, and elementary functions of them worked out in real ones.

The formulas are those of Kahan, "Branch Cuts for Complex Elementary Functions, or Much Ado About Nothing's Sign Bit"
(1987): zeros keep their signs, by which the sides of branch cuts are told apart, and infinities give what C's annex G
says. `z` is x + iy throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.graph import ArrayLike, Literal, Operand
from fdl.core.trace import aval_of
from fdl.ops.axes import convert, convert_p, full, zeros_like
from fdl.ops.elementary import (
    acos,
    acosh,
    asin,
    asinh,
    atan2,
    atanh,
    cos,
    cosh,
    exp,
    exp2,
    expm1,
    hypot,
    log,
    log1p,
    log2,
    log10,
    logistic,
    pow,
    rsqrt,
    sin,
    sinh,
    tan,
    tanh,
)
from fdl.ops.elementwise import (
    abs,
    add,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    div,
    elementwise,
    equal,
    greater,
    greater_equal,
    is_finite,
    less,
    maximum,
    minimum,
    mul,
    neg,
    not_equal,
    product_of_parts,
    quotient_of_parts,
    select,
    sign,
    sqrt,
    sub,
)
from fdl.ops.parts import Parts, joined
from fdl.ops.promotion import as_operand, promote

# real, imag, complex, conj: cotangents are such that a real function of x + iy has the gradient df/dx - i df/dy

real: Callable[..., Array] = elementwise(
    "real", np.real, dtypes.COMPLEX, lambda t, y, z: real(t), result=dtypes.real_dtype, linear=(0,),
    transposes=(lambda ct: join(ct, 0),),
    parts=lambda z: z.re,
    doc="The real parts of complex numbers.",
)  # fmt: skip
imag: Callable[..., Array] = elementwise(
    "imag", np.imag, dtypes.COMPLEX, lambda t, y, z: imag(t), result=dtypes.real_dtype, linear=(0,),
    transposes=(lambda ct: join(0, neg(ct)),),
    parts=lambda z: z.im,
    doc="The imaginary parts of complex numbers.",
)  # fmt: skip
_join: Callable[..., Array] = elementwise(
    "complex", joined, (dtypes.float32, dtypes.float64), lambda t, y, a, b: join(t, 0), lambda t, y, a, b: join(0, t),
    arity=2, linear=(0, 1), result=dtypes.complex_dtype,
    transposes=(lambda ct: real(ct), lambda ct: neg(imag(ct))),
    parts=lambda a, b: Parts(a, b),
    doc="`a + 1j * b`, bit for bit.",
)  # fmt: skip
_conj: Callable[..., Array] = elementwise(
    "conj", np.conj, dtypes.COMPLEX, lambda t, y, z: _conj(t), linear=(0,),
    parts=lambda z: Parts(z.re, neg(z.im)),
    doc="The conjugates of complex numbers.",
)  # fmt: skip


def join(x: ArrayLike, y: ArrayLike) -> Array:
    """Complex numbers of real and imaginary parts: complex64, or complex128 where a part is float64.

    >>> join(1.0, -2.0)
    Array(1.-2.j, dtype=complex64, weak_type=True)
    """
    x, y = promote(x, y, to_float=True)
    if aval_of(x).dtype not in (dtypes.float32, dtypes.float64):
        x, y, _ = promote(x, y, np.float32(0))
    return _join(x, y)


def conj(x: ArrayLike) -> Operand:
    """The conjugates of complex numbers; real ones as they are.

    >>> complex(conj(1 + 2j))
    (1-2j)
    """
    x = as_operand(x)
    return _conj(x) if dtypes.is_complex(x.aval.dtype) else x


conj.primitive = _conj.primitive  # type: ignore[attr-defined]


def absolute(x: ArrayLike) -> Array:
    """The absolute value, of complex numbers without overflow; its derivative at 0 is 0.

    >>> float(absolute(3 + 4j)), int(absolute(-2))
    (5.0, 2)
    """
    x = as_operand(x)
    return hypot(real(x), imag(x)) if dtypes.is_complex(x.aval.dtype) else abs(x)


def direction(x: ArrayLike) -> Array:
    """-1, 0 or 1, NaN for NaN; of complex numbers `x / abs(x)`, and 0 for 0.

    >>> float(direction(-2.0)), complex(direction(2j))
    (-1.0, 1j)
    """
    x = as_operand(x)
    if not dtypes.is_complex(x.aval.dtype):
        return sign(x)
    length = absolute(x)
    length = select(equal(length, 0), 1, length)
    return join(div(real(x), length), div(imag(x), length))


# How operations on complex numbers are worked out


def _convert(x: Any, *, dtype: dtypes.DType, weak_type: bool) -> Parts | Array:
    if not isinstance(x, Parts):
        re = convert(x, dtypes.real_dtype(dtype), weak_type)
        return Parts(re, zeros_like(aval_of(re)))
    if dtype == dtypes.bool_:
        return bitwise_or(not_equal(x.re, 0), not_equal(x.im, 0))
    parts = [convert(part, dtypes.real_dtype(dtype), weak_type) for part in x]
    return Parts(*parts) if dtypes.is_complex(dtype) else parts[0]


convert_p.define(parts=_convert)

_LN2, _LN10 = math.log(2), math.log(10)


def _times_i(z: Parts) -> Parts:
    return Parts(neg(z.im), z.re)


def _over_i(z: Parts) -> Parts:
    return Parts(z.im, neg(z.re))


def _scaled(z: Parts, factor: float) -> Parts:
    return Parts(mul(z.re, factor), mul(z.im, factor))


def _signed(size: Any, like: Any) -> Array:
    """A number's size with another one's sign, that of zero too."""
    size = size if isinstance(size, Array) else _like(like, size)
    below = bitwise_or(less(like, 0), bitwise_and(equal(like, 0), less(div(1, like), 0)))
    size = abs(size)
    return select(below, neg(size), size)


def _like(x: Any, number: float) -> Literal:
    """A number in the dtype of x."""
    return Literal(number, aval_of(x).dtype)


def _unit(x: Any) -> Array:
    """x where it is finite; what is not counts by its sign alone."""
    return select(is_finite(x), x, select(less(x, 0), _like(x, -1), _like(x, 1)))


def _times(a: Any, b: Any) -> Array:
    """A product in which zero wins over infinity and NaN."""
    return mul(select(equal(b, 0), _unit(a), a), select(equal(a, 0), _unit(b), b))


def _grown(growth: Any, x: Any, turn: Any, angle: Any) -> Array:
    """A function of x that grows, times a sine or cosine `turn` of `angle`: infinity wins over an angle that is not
    finite.
    """
    endless = bitwise_and(bitwise_not(is_finite(angle)), equal(abs(x), math.inf))
    return select(endless, abs(growth), _times(growth, turn))


def _limits(dtype: dtypes.DType) -> tuple[float, float]:
    """A number whose exp is still far from overflow, and one so large that its square plus 1 rounds to its square."""
    return (80.0, 1e8) if dtype == dtypes.float32 else (700.0, 1e16)


def _exp_of(x: Any, y: Any) -> Parts:
    far, _ = _limits(aval_of(x).dtype)
    over = greater(x, far)  # exp(x) may be infinite where its product with a cosine is not
    size, rest = exp(select(over, sub(x, far / 2), x)), select(over, _like(x, math.exp(far / 2)), _like(x, 1))
    nothing = bitwise_and(equal(x, -math.inf), bitwise_not(is_finite(y)))
    endless = bitwise_and(bitwise_not(is_finite(y)), equal(x, math.inf))
    turn = sin(y)
    re = mul(select(endless, size, mul(size, cos(y))), rest)
    im = mul(mul(select(equal(turn, 0), _unit(size), size), turn), rest)
    return Parts(select(nothing, 0, re), select(nothing, 0, im))


def _log_of_size(x: Any, y: Any) -> Array:
    """log(|x + iy|), where that is near 0 with an absolute error of about one rounding of its terms."""
    large, small = maximum(abs(x), abs(y)), minimum(abs(x), abs(y))
    size = hypot(x, y)
    near = bitwise_and(greater(size, 0.5), less(size, 2))
    excess = add(mul(sub(large, 1), add(large, 1)), mul(small, small))
    return select(near, mul(log1p(select(near, excess, 0)), 0.5), log(size))


def _log(z: Parts) -> Parts:
    return Parts(_log_of_size(*z), atan2(z.im, z.re))


def _log1p(z: Parts) -> Parts:
    x, y = z
    excess = add(mul(x, add(x, 2)), mul(y, y))
    near = bitwise_and(less(abs(x), 0.5), less(abs(y), 0.5))
    re = select(near, mul(log1p(select(near, excess, 0)), 0.5), _log_of_size(add(x, 1), y))
    return Parts(re, atan2(y, add(x, 1)))


def _expm1(z: Parts) -> Parts:
    x, y = z
    half = sin(mul(y, 0.5))
    grown = _exp_of(x, y)
    near = less(abs(x), 1)
    re = sub(mul(expm1(select(near, x, 0)), cos(y)), mul(mul(half, half), 2))
    return Parts(select(near, re, sub(grown.re, 1)), grown.im)


def _sqrt(z: Parts) -> Parts:
    x, y = z
    size = hypot(x, y)
    root = sqrt(add(mul(abs(x), 0.5), mul(size, 0.5)))
    other = div(y, mul(root, 2))
    right = greater_equal(x, 0)
    re, im = select(right, root, abs(other)), select(right, other, _signed(root, y))
    nothing, up = equal(size, 0), equal(abs(y), math.inf)
    endless = bitwise_and(equal(abs(x), math.inf), bitwise_not(up))
    along = select(is_finite(y), _signed(0, y), y)  # the part across an infinite x
    re = select(endless, select(right, math.inf, abs(along)), re)
    im = select(endless, select(right, along, _signed(math.inf, y)), im)
    return Parts(select(nothing, 0, select(up, math.inf, re)), select(bitwise_or(nothing, up), y, im))


def _sinh(z: Parts) -> Parts:
    x, y = z
    return _halved(x, y, Parts(_grown(sinh(x), x, cos(y), y), _times(cosh(x), sin(y))), (less(x, 0), False))


def _cosh(z: Parts) -> Parts:
    x, y = z
    return _halved(x, y, Parts(_grown(cosh(x), x, cos(y), y), _times(sinh(x), sin(y))), (False, less(x, 0)))


def _halved(x: Any, y: Any, near: Parts, negative: tuple[Any, Any]) -> Parts:
    """Half of exp(|x|), with signs, times the cosine and the sine of y where that may be infinite while its products
    are not; elsewhere what is given.
    """
    far, _ = _limits(aval_of(x).dtype)
    over = bitwise_and(greater(abs(x), far), bitwise_and(is_finite(x), is_finite(y)))
    half = exp(select(over, sub(abs(x), far / 2), 0))
    found = [mul(_times(half, turn(y)), math.exp(far / 2) / 2) for turn in (cos, sin)]
    signed = [select(below, neg(part), part) for part, below in zip(found, negative, strict=True)]
    return Parts(select(over, signed[0], near.re), select(over, signed[1], near.im))


def _tanh(z: Parts) -> Parts:
    x, y = z
    far = greater(abs(x), 20 if aval_of(x).dtype == dtypes.float64 else 10)
    near = select(far, 0, x)
    slope, growth = tan(y), sinh(near)
    beta = add(1, mul(slope, slope))
    below = add(1, mul(beta, mul(growth, growth)))
    re = div(mul(mul(beta, sqrt(add(1, mul(growth, growth)))), growth), below)
    endless = equal(abs(x), math.inf)
    turn = select(bitwise_and(endless, bitwise_not(is_finite(y))), 0, mul(mul(sin(y), cos(y)), 4))
    shrunk = mul(turn, exp(mul(abs(x), -2)))
    ends = bitwise_or(endless, is_finite(y))
    re = select(far, select(ends, _signed(1, x), math.nan), select(equal(x, 0), x, re))
    return Parts(re, select(far, shrunk, select(equal(y, 0), y, div(slope, below))))


def _asin(z: Parts) -> Parts:
    x, y = z
    left, right = _sqrt(Parts(sub(1, x), neg(y))), _sqrt(Parts(add(1, x), y))
    re = atan2(x, sub(mul(left.re, right.re), mul(left.im, right.im)))
    im = asinh(sub(mul(left.re, right.im), mul(left.im, right.re)))
    far = _is_far(x, y)
    re = select(equal(x, 0), x, re)
    return Parts(
        select(far, atan2(x, abs(y)), re), select(far, _signed(add(_log_of_size(x, y), _LN2), y), _signed(im, y))
    )


def _acos(z: Parts) -> Parts:
    x, y = z
    left, right = _sqrt(Parts(sub(1, x), neg(y))), _sqrt(Parts(add(1, x), y))
    re = mul(atan2(left.re, right.re), 2)
    im = asinh(sub(mul(right.re, left.im), mul(right.im, left.re)))
    far = _is_far(x, y)
    re = select(equal(x, 0), math.pi / 2, re)
    size = _signed(select(far, add(_log_of_size(x, y), _LN2), im), neg(y))
    return Parts(select(far, atan2(abs(y), x), re), size)


def _is_far(x: Any, y: Any) -> Array:
    """Whether z is so large that its square plus or minus 1 rounds to its square."""
    _, far = _limits(aval_of(x).dtype)
    return bitwise_or(greater(abs(x), far), greater(abs(y), far))


def _acosh(z: Parts) -> Parts:
    turned = _acos(z)
    return Parts(abs(turned.im), _signed(turned.re, z.im))


def _atanh(z: Parts) -> Parts:
    x, y = z
    far = _is_far(x, y)
    a, b = select(far, 0, x), select(far, 0, y)
    away, square = sub(1, abs(a)), mul(b, b)
    re = mul(log1p(div(mul(abs(a), 4), add(mul(away, away), square))), 0.25)
    edge = bitwise_and(equal(away, 0), less(abs(b), 1))  # where the square of b may vanish
    re = select(edge, sub(mul(log(add(square, 4)), 0.25), mul(log(select(edge, abs(b), 1)), 0.5)), re)
    im = mul(atan2(mul(b, 2), sub(mul(away, add(1, abs(a))), square)), 0.5)
    size = hypot(x, y)
    small = select(far, select(equal(size, math.inf), 0, div(div(abs(x), size), size)), re)
    across = select(not_equal(y, y), y, _signed(math.pi / 2, y))
    return Parts(select(equal(x, 0), x, _signed(small, x)), select(far, across, im))


def _logistic(z: Parts) -> Parts:
    """By exponentials that are small."""
    left = less(z.re, 0)
    small = _exp_of(neg(abs(z.re)), select(left, z.im, neg(z.im)))
    zero = full(aval_of(z.re).shape, 0, aval_of(z.re).dtype)
    above = Parts(select(left, small.re, 1), select(left, small.im, zero))
    return quotient_of_parts(above, Parts(add(1, small.re), small.im))


def _pow(a: Parts, b: Parts) -> Parts:
    found = _exp_of(*product_of_parts(b, _log(a)))
    none = bitwise_and(equal(b.re, 0), equal(b.im, 0))
    base_zero = bitwise_and(equal(a.re, 0), equal(a.im, 0))
    of_zero = select(greater(b.re, 0), _like(b.re, 0), _like(b.re, math.nan))
    re = select(none, 1, select(base_zero, of_zero, found.re))
    return Parts(re, select(none, 0, select(base_zero, of_zero, found.im)))


def _inverse_root(z: Parts) -> Parts:
    one = Parts(full(aval_of(z.re).shape, 1, aval_of(z.re).dtype), full(aval_of(z.re).shape, 0, aval_of(z.re).dtype))
    return quotient_of_parts(one, _sqrt(z))


for _function, _parts in (
    (exp, lambda z: _exp_of(*z)),
    (exp2, lambda z: _exp_of(*_scaled(z, _LN2))),
    (expm1, _expm1),
    (log, _log),
    (log2, lambda z: _scaled(_log(z), 1 / _LN2)),
    (log10, lambda z: _scaled(_log(z), 1 / _LN10)),
    (log1p, _log1p),
    (logistic, _logistic),
    (sqrt, _sqrt),
    (rsqrt, _inverse_root),
    (pow, _pow),
    (sin, lambda z: _over_i(_sinh(_times_i(z)))),
    (cos, lambda z: _cosh(_times_i(z))),
    (tan, lambda z: _over_i(_tanh(_times_i(z)))),
    (asin, _asin),
    (acos, _acos),
    (sinh, _sinh),
    (cosh, _cosh),
    (tanh, _tanh),
    (asinh, lambda z: _over_i(_asin(_times_i(z)))),
    (acosh, _acosh),
    (atanh, _atanh),
):
    _function.primitive.define(parts=_parts)  # type: ignore[attr-defined]
