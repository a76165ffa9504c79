"""More functions of elements: of bits, special functions, small words about arrays."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import Shape, sizes
from fdl.core.errors import ChoiceError, DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.incomplete import gammainc, gammaincc
from fdl.numpy import asarray
from fdl.ops import (
    acos,
    acosh,
    asin,
    asinh,
    atanh,
    cbrt,
    clz,
    cosh,
    digamma,
    erfc,
    exp2,
    lgamma,
    population_count,
    shift_right_logical,
    sinh,
)
from fdl.ops import barrier as optimization_barrier
from fdl.ops import next_after as nextafter
from fdl.ops.bits import unsigned_of
from fdl.ops.promotion import as_operand
from fdl.special import erfinv, i0e, i1e, polygamma, zeta
from fdl.transforms.custom import custom_jvp

erf_inv, bessel_i0e, bessel_i1e, igamma, igammac = erfinv, i0e, i1e, gammainc, gammaincc


class Precision(enum.Enum):
    """How exact products shall be. All are: what is asked for changes nothing."""

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2


PrecisionLike = str | Precision | tuple[str, str] | tuple[Precision, Precision] | None


def atan(x: ArrayLike) -> Array:
    """Inverse tangent.

    >>> float(atan(0.0))
    0.0
    """
    return ops.atan2(x, 1.0)


def select_n(which: ArrayLike, *cases: ArrayLike) -> Array:
    """The element of the case that `which` names, an integer, or a bool of two cases; False is the first.

    >>> import fdl.numpy as jnp
    >>> select_n(jnp.array([2, 0]), jnp.array([1, 2]), jnp.array([3, 4]), jnp.array([5, 6])).tolist()
    [5, 2]
    """
    chosen = as_operand(which)
    if not cases or (chosen.aval.dtype == dtypes.bool_ and len(cases) > 2):
        raise ShapeError(
            f"select_n: {len(cases)} cases for {chosen.aval.describe()}", hint="an integer for more than two"
        )
    if chosen.aval.dtype == dtypes.bool_:
        return ops.select(chosen, cases[-1], cases[0])
    out = as_operand(cases[-1])
    for i in range(len(cases) - 2, -1, -1):
        out = ops.select(ops.less_equal(chosen, i), cases[i], out)
    return out if isinstance(out, Array) else asarray(out)


def bitcast_convert_type(operand: ArrayLike, new_dtype: Any) -> Array:
    """The bits of numbers, read as numbers of another dtype. Of a wider one each makes several along a new last axis,
    the low bits first; of a narrower one those along the last axis make one.

    >>> import fdl.numpy as jnp
    >>> [hex(v) for v in bitcast_convert_type(jnp.array(1.0), "uint16").tolist()]
    ['0x0', '0x3f80']
    """
    x, target = asarray(operand), dtypes.canonical(new_dtype)
    source = aval_of(x).dtype
    if dtypes.bool_ in (source, target):
        raise DtypeError(f"bitcast_convert_type: {source.name} as {target.name}", why="a bool has no bits but one")
    if source.itemsize == target.itemsize:
        return ops.bitcast(x, target)
    from_, to = unsigned_of(source), unsigned_of(target)
    words, shape = ops.bitcast(x, from_), aval_of(x).shape
    count = max(source.itemsize, target.itemsize) // min(source.itemsize, target.itemsize)
    if source.itemsize > target.itemsize:
        places = ops.mul(ops.iota((*shape, count), len(shape), from_), target.itemsize * 8)
        parts = ops.shift_right(ops.broadcast(words, (*shape, count), range(len(shape))), places)
        mask = 2 ** (target.itemsize * 8) - 1
        return ops.bitcast(ops.convert(ops.bitwise_and(parts, asarray(mask, from_)), to), target)
    if not shape or shape[-1] != count:
        raise ShapeError(
            f"bitcast_convert_type: {aval_of(x).describe()} as {target.name}", hint=f"{count} along the last axis"
        )
    wide = ops.shift_left(ops.convert(words, to), ops.mul(ops.iota(shape, len(shape) - 1, to), source.itemsize * 8))
    return ops.bitcast(ops.reduce_sum(wide, (len(shape) - 1,)), target)


def _reduced(x: Array, exponent_bits: int, mantissa_bits: int) -> Array:
    dtype = aval_of(x).dtype
    wide = dtypes.compute_dtype(dtype)
    value, info = ops.cast(x, wide), np.finfo(wide)
    if mantissa_bits < info.nmant:  # to the nearest, halves to the even one
        word = unsigned_of(wide)
        bits, drop = ops.bitcast(value, word), int(info.nmant) - mantissa_bits
        odd = ops.bitwise_and(ops.shift_right(bits, drop), 1)
        bits = ops.add(bits, ops.add(odd, asarray(2 ** (drop - 1) - 1, word)))
        kept = ops.bitwise_and(bits, asarray(2 ** (8 * wide.itemsize) - 2**drop, word))
        value = ops.select(ops.is_finite(value), ops.bitcast(kept, wide), value)
    most = 2 ** (exponent_bits - 1) - 1
    if most < info.maxexp - 1:
        size = ops.abs(value)
        value = ops.select(ops.greater_equal(size, 2.0 ** (most + 1)), ops.mul(ops.sign(value), np.inf), value)
        value = ops.select(ops.less(size, 2.0 ** (1 - most)), ops.mul(value, 0), value)
    return ops.cast(value, dtype)


def reduce_precision(operand: ArrayLike, exponent_bits: int, mantissa_bits: int) -> Array:
    """Numbers rounded to what a float of so many bits can hold, in the dtype that they have; what is too large is
    infinite, what is too small 0. Derivatives are rounded likewise.

    >>> float(reduce_precision(1.2345678, 8, 7)), float(reduce_precision(1e6, 5, 10))
    (1.234375, inf)
    """
    if exponent_bits < 1 or mantissa_bits < 0:
        raise ChoiceError(f"reduce_precision: {exponent_bits} and {mantissa_bits} bits", hint="at least 1 and 0")
    (x,) = ops.promote(asarray(operand), to_float=True)
    rounded = custom_jvp(lambda v: _reduced(v, exponent_bits, mantissa_bits))
    rounded.defjvp(lambda primals, tangents: (rounded(*primals), rounded(*tangents)))
    out: Array = rounded(x)
    return out


def mulhi(x: ArrayLike, y: ArrayLike) -> Array:
    """The high half of the product of integers of up to 32 bits.

    >>> import fdl.numpy as jnp
    >>> mulhi(jnp.array(2**30), jnp.array(8)).tolist()
    2
    """
    a, b = ops.promote(x, y)
    dtype = a.aval.dtype
    if not dtypes.is_integer(dtype) or dtype.itemsize == 8:
        raise DtypeError(f"mulhi: dtype {dtype.name}", hint="integers of up to 32 bits")
    wide = np.dtype(f"{'u' if dtype in dtypes.UNSIGNED else ''}int{16 * dtype.itemsize}")
    product = ops.mul(ops.convert(a, wide), ops.convert(b, wide))
    return ops.convert(ops.shift_right(product, 8 * dtype.itemsize), dtype)


def broadcast_shapes(*shapes: Sequence[int]) -> Shape:
    """The shape to which shapes broadcast.

    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    return ops.broadcast_shapes([tuple(s) for s in shapes], "broadcast_shapes")


def broadcast_to_rank(x: Array, rank: int) -> Array:
    """New leading axes of size 1, so that there are `rank` of them.

    >>> import fdl.numpy as jnp
    >>> broadcast_to_rank(jnp.ones(3), 3).shape
    (1, 1, 3)
    """
    return ops.reshape(x, (1,) * (rank - aval_of(x).ndim) + aval_of(x).shape)


def collapse(operand: Array, start_dimension: int, stop_dimension: int | None = None) -> Array:
    """Axes from one below another joined to one.

    >>> import fdl.numpy as jnp
    >>> collapse(jnp.ones((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = aval_of(operand).shape
    start, stop, _ = slice(start_dimension, stop_dimension).indices(len(shape))
    if start >= stop:
        raise ShapeError(f"collapse: no axis from {start_dimension} below {stop_dimension}", hint="start < stop")
    return ops.reshape(operand, (*shape[:start], int(np.prod(shape[start:stop], dtype=int)), *shape[stop:]))


def dtype(x: Any) -> dtypes.DType:
    """The dtype of an array.

    >>> dtype(1.5)
    dtype('float32')
    """
    return aval_of(asarray(x)).dtype


def empty(shape: Any, dtype: Any) -> Array:
    """An array whose values do not matter: zeros.

    >>> empty((2,), "int32").shape
    (2,)
    """
    return ops.full(sizes(shape), 0, dtypes.canonical(dtype))


def split(operand: Array, sizes: Sequence[int], axis: int = 0) -> list[Array]:
    """Parts of these sizes along an axis.

    >>> import fdl.numpy as jnp
    >>> [p.tolist() for p in split(jnp.arange(3), (1, 2))]
    [[0], [1, 2]]
    """
    place = axis % aval_of(operand).ndim
    if sum(sizes) != aval_of(operand).shape[place]:
        raise ShapeError(f"split: sizes {tuple(sizes)} for {aval_of(operand).describe()}", hint="sizes that sum up")
    ends = np.cumsum([0, *sizes]).tolist()
    return [ops.slice_in_dim(operand, a, b, place) for a, b in itertools.pairwise(ends)]


__all__ = [
    "Precision", "PrecisionLike", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bessel_i0e", "bessel_i1e",
    "bitcast_convert_type", "broadcast_shapes", "broadcast_to_rank", "cbrt", "clz", "collapse", "cosh", "digamma",
    "dtype", "empty", "erf_inv", "erfc", "exp2", "igamma", "igammac", "lgamma", "mulhi", "nextafter",
    "optimization_barrier", "polygamma", "population_count", "reduce_precision", "select_n", "shift_right_logical",
    "sinh", "split", "zeta",
]  # fmt: skip
