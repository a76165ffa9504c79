"""Kinds, signs, parts and divisors of numbers, and bounds that know NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.operands import as_tensor_operand
from fdl.stateful.core.results import returned
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.elementwise import binary, clamp, maximum, minimum, of_float, sign_of, sub, unary

__all__ = [
    "bitwise_left_shift", "bitwise_right_shift", "clamp_max", "clamp_min", "copysign", "deg2rad", "float_power",
    "fmax", "fmin", "frac", "frexp", "gcd", "heaviside", "isneginf", "isposinf", "lcm", "ldexp", "nan_to_num",
    "nextafter", "positive", "rad2deg", "rsub", "sgn", "signbit",
]  # fmt: skip

frac = unary("frac", lambda x: ops.sub(x, ops.stop_gradient(ops.trunc(x))), "The part after the point.")
deg2rad = unary("deg2rad", of_float(lambda x: ops.mul(x, math.pi / 180)), "Degrees in radians.")
rad2deg = unary("rad2deg", of_float(lambda x: ops.mul(x, 180 / math.pi)), "Radians in degrees.")
sgn = unary("sgn", sign_of, "-1, 0 or 1.")
signbit = unary("signbit", lambda x: _negative(x), "Whether the sign is minus.")
isposinf = unary(
    "isposinf",
    lambda x: ops.equal(ops.cast(x, dtypes.default_float(aval_of(x).dtype)), math.inf),
    "Whether elements are infinite and positive.",
)
isneginf = unary(
    "isneginf",
    lambda x: ops.equal(ops.cast(x, dtypes.default_float(aval_of(x).dtype)), -math.inf),
    "Whether elements are infinite and negative.",
)


def _negative(x: Any) -> Any:
    """The sign of zeros comes from the angle of (x, -1)."""
    if not dtypes.is_float(aval_of(x).dtype):
        return ops.less(x, 0)
    return ops.less(ops.atan2(x, ops.full(aval_of(x).shape, -1, aval_of(x).dtype)), 0)


@method()
def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    if input.dtype.np == np.bool_:
        raise TensorError("The `+` operator, on a bool tensor is not supported.")
    return input


def _replaced_body(x: Any, nan: Any, high: Any, low: Any) -> Any:
    dtype = aval_of(x).dtype
    if dtypes.is_complex(dtype):
        return ops.join(*[_replaced_body(part, nan, high, low) for part in (ops.real(x), ops.imag(x))])
    if not dtypes.is_float(dtype):
        return x
    x = ops.select(ops.not_equal(x, x), ops.cast(nan, dtype), x)
    x = ops.select(ops.equal(x, math.inf), ops.cast(high, dtype), x)
    return ops.select(ops.equal(x, -math.inf), ops.cast(low, dtype), x)


_replaced = Function(_replaced_body, "nan_to_num")


@method(inplace=True)
def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """NaN and infinities replaced, by 0 and the ends of the range if not told."""
    most = float(jnp.finfo(input.dtype.np).max) if dtypes.is_inexact(input._aval.dtype) else 0.0
    return apply(
        _replaced, (input, nan or 0.0, most if posinf is None else posinf, -most if neginf is None else neginf)
    )


def _copysign(a: Any, b: Any) -> Any:
    size = ops.abs(a)
    return ops.select(_negative(jnp.broadcast_to(b, aval_of(ops.add(a, b)).shape)), ops.neg(size), size)


def _no_nan(holds: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The first where it holds against the second, or where that is NaN; of equal ones the first has the whole
    gradient.
    """

    def picked(a: Any, b: Any) -> Any:
        return ops.select(ops.bitwise_or(holds(a, b), ops.not_equal(b, b)), a, b)

    return picked


def _gcd(a: Any, b: Any) -> Any:
    """Euclid's algorithm, for as many steps as Fibonacci numbers need."""
    a, b = jnp.broadcast_arrays(ops.abs(a), ops.abs(b))
    for _ in range(94 if aval_of(a).dtype.itemsize == 8 else 48):
        done = ops.equal(b, 0)
        a, b = ops.select(done, a, b), ops.select(done, 0, ops.rem(a, ops.select(done, 1, b)))
    return a


def _lcm(a: Any, b: Any) -> Any:
    shared = _gcd(a, b)
    return ops.abs(ops.mul(a, ops.div(b, ops.select(ops.equal(shared, 0), 1, shared))))


copysign = binary("copysign", _copysign, "The size of `input` with the sign of `other`.", to_float=True)
fmax = binary("fmax", _no_nan(ops.greater_equal), "The larger one; NaN only where both are.")
fmin = binary("fmin", _no_nan(ops.less_equal), "The smaller one; NaN only where both are.")
gcd = binary("gcd", _gcd, "The greatest common divisor.")
lcm = binary("lcm", _lcm, "The least common multiple.")


def _heaviside(a: Any, b: Any) -> Any:
    one, zero = (ops.full((), v, aval_of(a).dtype) for v in (1, 0))
    step = jnp.where(ops.greater(a, zero), one, jnp.where(ops.equal(a, a), zero, a))  # a NaN stays one
    return jnp.where(ops.equal(a, zero), b, step)


heaviside = binary("heaviside", _heaviside, "0 below zero, 1 above, `values` at zero.")
ldexp = binary("ldexp", lambda a, b: ops.mul(a, jnp.power(2.0, b)), "`input * 2 ** other`.", to_float=True)
bitwise_left_shift = binary("bitwise_left_shift", jnp.left_shift, "Bits moved up.", methods=("__lshift__",))
bitwise_right_shift = binary("bitwise_right_shift", jnp.right_shift, "Bits moved down.", methods=("__rshift__",))
_float_power = Function(lambda a, b: jnp.power(ops.cast(a, dtypes.float64), ops.cast(b, dtypes.float64)), "float_power")


@method()
def float_power(input: Any, exponent: Any) -> Any:
    """A power in float64."""
    return apply(_float_power, (as_tensor_operand(input), as_tensor_operand(exponent)))


@method(inplace=True)
def clamp_min(input: Tensor, min: Any) -> Any:
    """Each element, at least `min`."""
    return maximum(input, min) if isinstance(min, Tensor) else clamp(input, min=min)


@method(inplace=True)
def clamp_max(input: Tensor, max: Any) -> Any:
    """Each element, at most `max`."""
    return minimum(input, max) if isinstance(max, Tensor) else clamp(input, max=max)


# The parts of floating point numbers


@returned
class frexp_result(NamedTuple):
    """Numbers of a size from 1/2 to 1, and powers of two: their product is what they were made of."""

    mantissa: Any
    exponent: Any


def _parts_of(x: Any) -> tuple[Any, Any]:
    """The size of x as a number from 1/2 to 1 and an exponent of two, exactly: by one power of two after the other."""
    dtype = aval_of(x).dtype
    size, exponent = ops.abs(x), ops.full(aval_of(x).shape, 0, dtypes.int32)
    special = ops.bitwise_or(ops.equal(size, 0), ops.bitwise_not(ops.is_finite(x)))
    size = ops.select(special, 0.5, size)
    most = {2: 8, 4: 64, 8: 512}[dtype.itemsize] if dtype != dtypes.bfloat16 else 64
    powers = [most >> k for k in range(most.bit_length())]
    for k in powers:
        large = ops.greater_equal(size, 2.0**k)
        size = ops.select(large, ops.mul(size, 2.0**-k), size)
        exponent = ops.select(large, ops.add(exponent, k), exponent)
    for k in powers:
        small = ops.less(size, 2.0**-k)
        size = ops.select(small, ops.mul(size, 2.0**k), size)
        exponent = ops.select(small, ops.sub(exponent, k), exponent)
    above = ops.greater_equal(size, 1)
    size, exponent = ops.select(above, ops.mul(size, 0.5), size), ops.select(above, ops.add(exponent, 1), exponent)
    return ops.select(special, ops.abs(x), size), exponent


def _frexp_body(x: Any) -> tuple[Any, Any]:
    size, exponent = _parts_of(x)
    return ops.select(ops.less(x, 0), ops.neg(size), ops.select(ops.equal(x, 0), x, size)), exponent


_frexp = Function(_frexp_body, "frexp")


@method()
def frexp(input: Tensor) -> frexp_result:
    """A number of a size from 1/2 to 1 and a power of two, of which each element is the product.

    >>> import fdl.stateful as torch
    >>> [part.tolist() for part in torch.frexp(torch.tensor([3.0, -0.25]))]
    [[0.75, -0.5], [2, -1]]
    """
    if not input.dtype.is_floating_point:
        raise TensorError("torch.frexp() only supports floating-point dtypes")
    return frexp_result(*apply(_frexp, (input,)))


def _next(a: Any, b: Any) -> Any:
    """The next number of a dtype: one unit of the last place further, half of one from a power of two to zero."""
    a, b = jnp.broadcast_arrays(a, b)
    info = jnp.finfo(aval_of(a).dtype)
    size, _ = _parts_of(a)
    unit = ops.mul(ops.abs(a), ops.div(float(info.eps) / 2, size))  # of numbers in the same power of two
    unit = ops.maximum(unit, float(info.smallest_subnormal))
    outwards = ops.equal(ops.greater(b, a), ops.greater(a, 0))
    step = ops.select(ops.bitwise_or(outwards, ops.not_equal(size, 0.5)), unit, ops.mul(unit, 0.5))
    up = ops.greater(b, a)
    moved = ops.select(up, ops.add(a, step), ops.sub(a, step))
    end = ops.mul(ops.sign(a), float(info.max))
    moved = ops.select(ops.equal(ops.abs(a), math.inf), end, moved)
    least = ops.full((), float(info.smallest_subnormal), aval_of(a).dtype)
    moved = ops.select(ops.equal(a, 0), ops.select(up, least, ops.neg(least)), moved)
    return ops.select(ops.equal(a, b), b, ops.select(ops.not_equal(ops.add(a, b), ops.add(a, b)), ops.add(a, b), moved))


nextafter = binary("nextafter", _next, "The next number of the dtype on the way to `other`.")


def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Any:
    """`other - alpha * input`."""
    return sub(other, input, alpha=alpha)
