"""The bits of numbers: read as another dtype of the same width, and what follows from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import ShapedArray
from fdl.core.dtypes import DType
from fdl.core.errors import DtypeError
from fdl.core.graph import Literal
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast, broadcast_to, convert
from fdl.ops.elementwise import (
    add,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    equal,
    greater,
    less,
    mul,
    not_equal,
    select,
    shift_left,
    shift_right,
    sub,
)
from fdl.ops.promotion import broadcast_shapes, promote
from fdl.ops.sample import Sample, f32, f64, i32, of


def width_of(dtype: DType) -> int:
    """Bits of a number."""
    return dtype.itemsize * 8


def unsigned_of(dtype: DType) -> DType:
    """The unsigned integers as wide as a dtype."""
    return np.dtype(f"uint{width_of(dtype)}")


def signed_of(dtype: DType) -> DType:
    """The signed integers as wide as a dtype."""
    return np.dtype(f"int{width_of(dtype)}")


# bitcast


def bitcast(x: Any, dtype: Any) -> Array:
    """The bits of each number, read as a number of another dtype of the same width.

    >>> import fdl.numpy as jnp
    >>> hex(int(bitcast(jnp.array(1.0), "uint32")))
    '0x3f800000'
    """
    target = dtypes.canonical(dtype)
    return x if aval_of(x).dtype == target else bitcast_p.bind(x, dtype=target)


def _bitcast_shape(x: ShapedArray, *, dtype: DType) -> ShapedArray:
    if dtypes.is_complex(x.dtype) or dtypes.is_complex(dtype):
        raise DtypeError(
            f"bitcast: {x.describe()} as {dtype.name}",
            why="a complex number is two numbers, which lie in two registers",
            hint="bitcast of x.real and of x.imag",
        )
    if x.dtype.itemsize != dtype.itemsize or dtypes.bool_ in (x.dtype, dtype):
        raise DtypeError(
            f"bitcast: {x.describe()} as {dtype.name}",
            why="both have one width, and a bool has no bits but one",
            hint="lax.bitcast_convert_type for other widths, x.astype(...) for values",
        )
    return x.update(dtype=dtype, weak_type=False)


def _bitcast_jvp(primals: Any, tangents: Any, *, dtype: DType) -> tuple[Any, Any]:
    out = bitcast_p.bind(*primals, dtype=dtype)
    return out, Zero(aval_of(out))


bitcast_p: Primitive = (
    Primitive("bitcast")
    .define(
        shape=_bitcast_shape,
        impl=lambda x, *, dtype: np.ascontiguousarray(x).view(dtype).reshape(x.shape),
        jvp=_bitcast_jvp,
        batch=lambda axis, args, batched, *, dtype: (bitcast_p.bind(args[0], dtype=dtype), True),
        lower=lambda b, x, *, dtype: b.map("bitcast", x, dtype=dtype),
        samples=[
            Sample((f32(3, 4),), {"dtype": dtypes.int32}),
            Sample((f32(3),), {"dtype": dtypes.uint32}),
            Sample((f64(3),), {"dtype": dtypes.uint64}),
            Sample((of("bfloat16", 5),), {"dtype": dtypes.uint16}),
            Sample((of("float16", 5),), {"dtype": dtypes.int16}),
            Sample((of("float8_e5m2", 5),), {"dtype": dtypes.uint8}),
            Sample((i32(5),), {"dtype": dtypes.uint32}),
            Sample((i32(5, low=2**29, high=2**30),), {"dtype": dtypes.float32}),
            Sample((of("uint16", 5, low=9000, high=20000),), {"dtype": dtypes.bfloat16}),
            Sample((f32(0),), {"dtype": dtypes.int32}),
            Sample((f32(3),), {"dtype": dtypes.int16}, fails=DtypeError),
            Sample((f64(3),), {"dtype": dtypes.complex64}, fails=DtypeError),
        ],
    )
    .register()
)

# what follows from bits


def population_count(x: Any) -> Array:
    """The number of bits that are set in each integer.

    >>> import fdl.numpy as jnp
    >>> population_count(jnp.array([0, 7, -1])).tolist()
    [0, 3, 32]
    """
    dtype = aval_of(x).dtype
    if not dtypes.is_integer(dtype):
        raise DtypeError(f"population_count: dtype {dtype.name} is no integer", hint="x.astype(jnp.int32)")
    bits, target = width_of(dtype), unsigned_of(dtype)
    u = bitcast(x, target)

    def mask(pattern: int) -> Literal:
        """A byte, repeated over the width."""
        return Literal(int.from_bytes(bytes([pattern]) * (bits // 8), "little"), target)

    # sums of neighbours: of bits, pairs and quads; then of bytes
    u = sub(u, bitwise_and(shift_right(u, 1), mask(0x55)))
    u = add(bitwise_and(u, mask(0x33)), bitwise_and(shift_right(u, 2), mask(0x33)))
    u = bitwise_and(add(u, shift_right(u, 4)), mask(0x0F))
    return bitcast(shift_right(mul(u, mask(0x01)), bits - 8), dtype)


def clz(x: Any) -> Array:
    """The number of zero bits in front of the first that is set, of each integer.

    >>> import fdl.numpy as jnp
    >>> clz(jnp.array([0, 1, -1])).tolist()
    [32, 31, 0]
    """
    dtype = aval_of(x).dtype
    if not dtypes.is_integer(dtype):
        raise DtypeError(f"clz: dtype {dtype.name} is no integer", hint="x.astype(jnp.int32)")
    u, shift = bitcast(x, unsigned_of(dtype)), 1
    while shift < width_of(dtype):  # all bits behind the first
        u, shift = bitwise_or(u, shift_right(u, shift)), 2 * shift
    return bitcast(population_count(bitwise_not(u)), dtype)


def shift_right_logical(x: Any, y: Any) -> Array:
    """`x >> y` with zeros coming in; 0 where the amount is outside of the width.

    >>> import fdl.numpy as jnp
    >>> shift_right_logical(jnp.array(-1), 28).tolist()
    15
    """
    operands = [broadcast(v, (), ()) if isinstance(v, Literal) else v for v in promote(x, y)]
    dtype = operands[0].aval.dtype
    return bitcast(shift_right(*[bitcast(v, unsigned_of(dtype)) for v in operands]), dtype)


def signbit(x: Any) -> Array:
    """Whether the sign bit is set: of negative numbers, of -0, and of some NaN.

    >>> import fdl.numpy as jnp
    >>> signbit(jnp.array([-0.0, 0.0])).tolist()
    [True, False]
    """
    dtype = aval_of(x).dtype
    return less(bitcast(x, signed_of(dtype)), 0) if dtypes.is_float(dtype) else less(x, 0)


def next_after(x1: Any, x2: Any) -> Array:
    """The next number from x in the direction of y; y where they are equal, NaN where one is.

    >>> import fdl.numpy as jnp
    >>> float(next_after(jnp.array(1.0), jnp.array(2.0))) == 1 + 2.0**-23
    True
    """
    operands = promote(x1, x2, to_float=True)
    shape = broadcast_shapes([v.aval.shape for v in operands], "nextafter")
    x1, x2 = (broadcast(v, shape, ()) if isinstance(v, Literal) else broadcast_to(v, shape) for v in operands)
    dtype = signed_of(x1.aval.dtype)
    most = 2 ** (width_of(dtype) - 1) - 1
    bits = bitcast(x1, dtype)
    away = equal(less(x1, x2), greater(x1, 0))  # from zero, where bits count up
    moved = add(bits, select(away, Literal(1, dtype), Literal(-1, dtype)))
    smallest = select(less(x2, 0), Literal(-most, dtype), Literal(1, dtype))
    at_zero = equal(bitwise_and(bits, Literal(most, dtype)), 0)
    found = bitcast(select(at_zero, smallest, moved), x1.aval.dtype)
    return select(not_equal(x1, x1), x1, select(bitwise_or(equal(x1, x2), not_equal(x2, x2)), x2, found))


def power_of_two(exponent: Array, dtype: DType) -> Array:
    """`2 ** exponent` in float32 or float64, exact, for integers for which it is a normal number.

    >>> import fdl.numpy as jnp
    >>> power_of_two(jnp.array([-1, 3]), dtypes.float32).tolist()
    [0.5, 8.0]
    """
    info, signed = np.finfo(dtype), signed_of(dtype)
    place = add(convert(exponent, signed), Literal(int(info.maxexp) - 1, signed))
    return bitcast(shift_left(place, Literal(int(info.nmant), signed)), dtype)
