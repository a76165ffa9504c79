"""More functions of elements: of bits, signs, whole numbers and fractions, with NumPy's names."""

from __future__ import annotations

import math

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, from_numpy
from fdl.core.errors import ChoiceError, DtypeError
from fdl.core.graph import ArrayLike, Literal
from fdl.core.trace import aval_of
from fdl.numpy._complex import greater, less
from fdl.numpy._math import _as_bool, _operand, any, axes_of, isnan, power
from fdl.numpy._shape import ravel
from fdl.ops.promotion import promote
from fdl.transforms import while_loop


def _integers(what: str, *xs: ArrayLike) -> list[Array]:
    """Operands of one integer dtype and one shape."""
    operands = promote(*xs)
    dtype = operands[0].aval.dtype
    if not dtypes.is_integer(dtype):
        raise DtypeError(f"{what}: dtype {dtype.name} is no integer", hint="x.astype(jnp.int32)")
    shape = ops.broadcast_shapes([x.aval.shape for x in operands], what)
    return [ops.broadcast_to(_operand(x), shape) for x in operands]


def gcd(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The greatest common divisor of integers, by Euclid's algorithm; of 0 and n it is |n|.

    >>> int(gcd(12, -18))
    6
    """
    a, b = _integers("gcd", x1, x2)

    def turn(pair: tuple[Array, Array]) -> tuple[Array, Array]:
        a, b = pair
        done = ops.equal(b, 0)
        return ops.select(done, a, b), ops.select(done, 0, ops.rem(a, ops.select(done, 1, b)))

    def unfinished(pair: tuple[Array, Array]) -> Array:
        return any(ops.not_equal(pair[1], 0))

    if not aval_of(a).size:
        return a
    found: tuple[Array, Array] = while_loop(unfinished, turn, (ops.abs(a), ops.abs(b)))
    return found[0]


def lcm(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The least common multiple of integers, 0 where one is 0.

    >>> int(lcm(4, -6))
    12
    """
    a, b = _integers("lcm", x1, x2)
    divisor = gcd(a, b)
    none = ops.equal(divisor, 0)
    return ops.select(none, 0, ops.abs(ops.mul(a, ops.div(b, ops.select(none, 1, divisor)))))


def fmax(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The larger one; where one is NaN, the other.

    >>> float(fmax(float("nan"), 1.0))
    1.0
    """
    a, b = promote(x1, x2)
    return ops.select(ops.bitwise_or(greater(a, b), isnan(b)), a, b)


def fmin(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The smaller one; where one is NaN, the other.

    >>> float(fmin(float("nan"), 1.0))
    1.0
    """
    a, b = promote(x1, x2)
    return ops.select(ops.bitwise_or(less(a, b), isnan(b)), a, b)


def float_power(x: ArrayLike, y: ArrayLike) -> Array:
    """`x ** y` in floating point, also of integers.

    >>> float(float_power(2, -1))
    0.5
    """
    return power(*promote(x, y, to_float=True))


def isposinf(x: ArrayLike) -> Array:
    """Whether x is infinity; DtypeError for complex numbers, which have infinities in all directions.

    >>> from fdl.numpy import array
    >>> isposinf(array([float("inf"), float("-inf")])).tolist()
    [True, False]
    """
    return _is_infinity("isposinf", x, math.inf)


def isneginf(x: ArrayLike) -> Array:
    """Whether x is minus infinity; DtypeError for complex numbers, which have infinities in all directions.

    >>> from fdl.numpy import array
    >>> isneginf(array([float("inf"), float("-inf")])).tolist()
    [False, True]
    """
    return _is_infinity("isneginf", x, -math.inf)


def _is_infinity(what: str, x: ArrayLike, infinity: float) -> Array:
    x = _operand(x)
    if dtypes.is_complex(x.aval.dtype):
        raise DtypeError(
            f"{what}: dtype {x.aval.dtype.name} has no order", hint=f"jnp.{what}(jnp.real(x)), jnp.isinf(x)"
        )
    return ops.equal(x, infinity) if dtypes.is_float(x.aval.dtype) else ops.not_equal(x, x)


def modf(x: ArrayLike) -> tuple[Array, Array]:
    """(fraction, whole part), both with the sign of x.

    >>> [float(v) for v in modf(-1.5)]
    [-0.5, -1.0]
    """
    (a,) = promote(x, to_float=True)
    whole = ops.trunc(a)
    inside = ops.is_finite(a)
    rest = ops.select(inside, ops.sub(a, ops.select(inside, whole, 0)), ops.select(isnan(a), a, 0))
    return rest, whole


def copysign(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The absolute value of x1 with the sign of x2, in floating point.

    >>> float(copysign(2.0, -0.0))
    -2.0
    """
    a, b = promote(x1, x2, to_float=True)
    size = ops.abs(a)
    return ops.select(signbit(b), ops.neg(size), size)


def signbit(x: ArrayLike) -> Array:
    """Whether the sign is set: of negative numbers, of -0, and of some NaN.

    >>> from fdl.numpy import array
    >>> signbit(array([-0.0, 0.0])).tolist()
    [True, False]
    """
    x = _operand(x)
    return ops.full(x.aval.shape, False, dtypes.bool_) if x.aval.dtype == dtypes.bool_ else ops.signbit(x)


def nextafter(x: ArrayLike, y: ArrayLike) -> Array:
    """The next number from x in the direction of y; y where they are equal, NaN where one is.

    >>> float(nextafter(1.0, 2.0)) == 1 + 2.0**-23
    True
    """
    return ops.next_after(x, y)


def spacing(x: ArrayLike) -> Array:
    """The distance from x to the next number that is further away from 0, with the sign of x; NaN of infinities.

    >>> float(spacing(1.0)) == 2.0**-23
    True
    """
    (a,) = (_operand(v) for v in promote(x, to_float=True))
    beyond = ops.select(signbit(a), -math.inf, math.inf)
    return ops.select(ops.is_finite(a), ops.sub(ops.next_after(a, beyond), a), math.nan)


def frexp(x: ArrayLike) -> tuple[Array, Array]:
    """(mantissa, exponent) with `x == mantissa * 2**exponent`, the mantissa from 1/2 to 1, the exponent int32; of 0,
    infinities and NaN it is (x, 0).

    >>> from fdl.numpy import array
    >>> [v.tolist() for v in frexp(array([6.0, -0.5]))]
    [[0.75, -0.5], [3, 0]]
    """
    (a,) = (_operand(v) for v in promote(x, to_float=True))
    wide = dtypes.compute_dtype(aval_of(a).dtype)
    value = ops.cast(a, wide)
    special = ops.bitwise_or(ops.equal(value, 0), ops.bitwise_not(ops.is_finite(value)))
    info = np.finfo(wide)
    small = ops.less(ops.abs(value), float(info.tiny))  # has no exponent of its own
    lifted = ops.mul(value, ops.select(small, 2.0**info.nmant, 1.0))
    signed = f"int{wide.itemsize * 8}"
    words = ops.bitwise_and(ops.shift_right(ops.bitcast(lifted, signed), info.nmant), 2 * int(info.maxexp) - 1)
    exponent = ops.convert(ops.sub(words, int(info.maxexp) - 2), dtypes.int32)
    exponent = ops.select(special, 0, ops.sub(exponent, ops.select(small, info.nmant, 0)))
    return ops.select(special, a, ldexp(a, ops.neg(exponent))), exponent


def ldexp(x1: ArrayLike, x2: ArrayLike) -> Array:
    """`x1 * 2**x2` for integers x2.

    >>> float(ldexp(1.5, 2))
    6.0
    """
    a, n = _operand(promote(x1, to_float=True)[0]), _operand(x2)
    if not dtypes.is_integer(n.aval.dtype) and n.aval.dtype != dtypes.bool_:
        raise DtypeError(f"ldexp: exponents {n.aval.describe()} are no integers", hint="n.astype(jnp.int32)")
    wide = dtypes.compute_dtype(a.aval.dtype)
    n, out = ops.convert(n, dtypes.int32), ops.cast(a, wide)
    limit = int(np.finfo(wide).maxexp) - 2  # in steps of powers that are normal numbers
    for _ in range(3):
        part = ops.minimum(ops.maximum(n, -limit), limit)
        out = ops.mul(out, ops.power_of_two(part, wide))
        n = ops.sub(n, part)
    return ops.cast(out, a.aval.dtype)


def bitwise_count(x: ArrayLike) -> Array:
    """The number of bits that are set in the absolute value of each integer or bool, uint8.

    >>> from fdl.numpy import array
    >>> bitwise_count(array([0, 7, -8])).tolist()
    [0, 3, 1]
    """
    x = _operand(x)
    (a,) = _integers("bitwise_count", ops.convert(x, dtypes.uint8) if x.aval.dtype == dtypes.bool_ else x)
    return ops.convert(ops.population_count(ops.abs(a)), dtypes.uint8)


def packbits(a: ArrayLike, axis: int | None = None, bitorder: str = "big") -> Array:
    """Bools, or numbers that are not zero, along an axis, eight in each uint8, the last one filled up with zeros; of
    the flat array for None. The first stands in the highest bit, or for `bitorder="little"` in the lowest.

    >>> from fdl.numpy import array
    >>> packbits(array([1, 0, 1])).tolist()
    [160]
    """
    x = _as_bool(_operand(a))
    x, place = (ravel(x), 0) if axis is None else (_operand(x), axes_of(x, axis, "packbits")[0])
    n = aval_of(x).shape[place]
    last = aval_of(x).ndim
    bits = ops.move_axis(ops.convert(x, dtypes.uint8), place, last - 1)
    whole = ops.pad(bits, Literal(0, dtypes.uint8), [(0, -n % 8 if i == last - 1 else 0, 0) for i in range(last)])
    groups = ops.reshape(whole, (*aval_of(whole).shape[:-1], aval_of(whole).shape[-1] // 8, 8))
    out = ops.reduce_sum(ops.shift_left(groups, _bit_places(bitorder, "packbits")), (last,))
    return ops.move_axis(out, last - 1, place)


def unpackbits(a: ArrayLike, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Array:
    """The bits of uint8 numbers along an axis, as uint8, which `packbits` packs; of the flat array for None. Of `count`
    bits the first ones are taken, all but the last ones where it is negative, and zeros fill up what is missing.

    >>> from fdl.numpy import array
    >>> unpackbits(array([160], dtype="uint8"), count=4).tolist()
    [1, 0, 1, 0]
    """
    x = _operand(a)
    if x.aval.dtype != dtypes.uint8:
        raise DtypeError(f"unpackbits: {x.aval.describe()} has no bytes", hint="x.astype(jnp.uint8)")
    x, place = (ravel(x), 0) if axis is None else (x, axes_of(x, axis, "unpackbits")[0])
    last = aval_of(x).ndim
    bytes_ = ops.expand_dims(ops.move_axis(x, place, last - 1), (last,))
    bits = ops.bitwise_and(ops.shift_right(bytes_, _bit_places(bitorder, "unpackbits")), 1)
    *lead, n, _ = aval_of(bits).shape
    out = ops.reshape(bits, (*lead, 8 * n))
    if count is not None:
        end = count if count >= 0 else 8 * n + count
        out = ops.pad(out, Literal(0, dtypes.uint8), [(0, end - 8 * n if i == last - 1 else 0, 0) for i in range(last)])
    return ops.move_axis(out, last - 1, place)


def _bit_places(bitorder: str, what: str) -> Array:
    if bitorder not in ("big", "little"):
        raise ChoiceError(f"{what}: bitorder={bitorder!r}", hint="'big' or 'little'")
    places = np.arange(8, dtype=np.uint8)
    return from_numpy(places if bitorder == "little" else places[::-1])


__all__ = [
    "bitwise_count", "copysign", "float_power", "fmax", "fmin", "frexp", "gcd", "isneginf", "isposinf", "lcm", "ldexp",
    "modf", "nextafter", "packbits", "signbit", "spacing", "unpackbits",
]  # fmt: skip
