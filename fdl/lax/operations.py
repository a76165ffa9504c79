"""Operations of one array or a few, shapes, products, convolutions, windows."""

from __future__ import annotations

import builtins
import enum
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np

from fdl import ops
from fdl.bounded_loops import fori_loop, while_loop
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import sizes as whole_sizes
from fdl.core.errors import IndexBoundsError, ShapeError, StructureError
from fdl.core.graph import ArrayLike, Operand
from fdl.core.pytree import tree_map
from fdl.core.trace import aval_of
from fdl.numpy import moveaxis, square
from fdl.numpy._math import _operand
from fdl.ops import absolute as abs
from fdl.ops import (
    add,
    axis_index,
    axis_size,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    ceil,
    conj,
    cos,
    div,
    erf,
    exp,
    expm1,
    floor,
    imag,
    is_finite,
    log,
    log1p,
    logistic,
    mul,
    neg,
    pmean,
    pow,
    psum,
    real,
    reduce_max,
    reduce_min,
    reduce_sum,
    rem,
    rsqrt,
    select,
    shift_left,
    sin,
    sqrt,
    sub,
    tan,
    tanh,
)  # fmt: skip
from fdl.ops import atan2 as atan2
from fdl.ops import direction as sign
from fdl.ops import equal as eq
from fdl.ops import greater as gt
from fdl.ops import greater_equal as ge
from fdl.ops import join as complex
from fdl.ops import less as lt
from fdl.ops import less_equal as le
from fdl.ops import maximum as max
from fdl.ops import minimum as min
from fdl.ops import not_equal as ne
from fdl.ops.promotion import as_operand, promote
from fdl.transforms import map_ as map
from fdl.transforms import scan, switch

_max, _min = builtins.max, builtins.min  # the names are taken

# Elementwise


def integer_pow(x: ArrayLike, y: int) -> Array:
    """`x ** y` for a Python integer.

    >>> float(integer_pow(2.0, 3))
    8.0
    """
    return ops.integer_pow(x, y)


def reciprocal(x: ArrayLike) -> Array:
    """`1 / x`.

    >>> float(reciprocal(4.0))
    0.25
    """
    return ops.integer_pow(x, -1)


def shift_right_arithmetic(x: ArrayLike, y: ArrayLike) -> Array:
    """`x >> y` with the top bit repeated from the left, of unsigned integers too, where `x >> y` brings zeros.

    >>> import fdl.numpy as jnp
    >>> shift_right_arithmetic(jnp.array([-8, 7]), 1).tolist()
    [-4, 3]
    >>> [bin(n) for n in shift_right_arithmetic(jnp.array([0b11001000, 0b00001000], "uint8"), 2).tolist()]
    ['0b11110010', '0b10']
    """
    a, b = promote(x, y)
    dtype = a.aval.dtype
    if dtype not in dtypes.UNSIGNED:
        return ops.shift_right(a, b)
    signed = dtypes.SIGNED[dtypes.UNSIGNED.index(dtype)]  # of the same bits: its shift repeats the sign
    return ops.convert(ops.shift_right(ops.convert(a, signed), ops.convert(b, signed)), dtype)


class RoundingMethod(enum.IntEnum):
    """Where `round` takes halves."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


def round(x: ArrayLike, rounding_method: RoundingMethod = RoundingMethod.AWAY_FROM_ZERO) -> Array:
    """The nearest whole number; halves go away from zero, or to the even neighbour.

    >>> float(round(2.5)), float(round(2.5, RoundingMethod.TO_NEAREST_EVEN))
    (3.0, 2.0)
    """
    if rounding_method == RoundingMethod.TO_NEAREST_EVEN:
        return ops.round_even(x)
    whole = ops.trunc(x)
    half = ops.greater_equal(
        ops.abs(ops.sub(x, whole)), 0.5
    )  # exact, where adding 1/2 to the largest number below 1/2 gives 1
    return ops.select(half, ops.add(whole, ops.sign(x)), whole)


def clamp(min: ArrayLike, x: ArrayLike, max: ArrayLike) -> Array:
    """`x` moved into the interval; at its ends the slope is 0, as outside of it.

    >>> float(clamp(0.0, 2.0, 1.0))
    1.0
    """
    inside = ops.bitwise_and(ops.greater(x, min), ops.less(x, max))
    return ops.select(inside, x, ops.minimum(ops.maximum(stop_gradient(x), min), max))


def convert_element_type(operand: ArrayLike, new_dtype: Any) -> Array:
    """`operand` with another dtype.

    >>> convert_element_type(1.7, "int32").tolist()
    1
    """
    return ops.convert(as_operand(operand), dtypes.canonical(new_dtype))


T = TypeVar("T")


@overload
def stop_gradient(x: ArrayLike) -> Array: ...
@overload
def stop_gradient(x: T) -> T: ...
def stop_gradient(x: Any) -> Any:  # a tree of what is in `x`, numbers made arrays: the overloads say so
    """`x`, any tree of arrays, as a constant to all derivatives.

    >>> import fdl
    >>> float(fdl.grad(lambda x: stop_gradient(x) * x)(3.0))
    3.0
    """
    return tree_map(ops.stop_gradient, x)


# Making arrays


def full(shape: Sequence[int], fill_value: Any, dtype: Any = None) -> Array:
    """An array filled with one value.

    >>> full((2,), 1.5).tolist()
    [1.5, 1.5]
    """
    value = as_operand(fill_value)
    return ops.full(
        whole_sizes(shape),
        ops.cast(value, value.aval.dtype if dtype is None else dtypes.canonical(dtype)),
        value.aval.dtype,
    )


def full_like(x: ArrayLike, fill_value: Any, dtype: Any = None, shape: Sequence[int] | None = None) -> Array:
    """An array like `x`, filled with one value.

    >>> full_like(full((2,), 1), 7).tolist()
    [7, 7]
    """
    aval = aval_of(x)
    return full(aval.shape if shape is None else shape, fill_value, aval.dtype if dtype is None else dtype)


def iota(dtype: Any, size: int) -> Array:
    """0 to `size` - 1.

    >>> iota("int32", 3).tolist()
    [0, 1, 2]
    """
    return ops.iota(whole_sizes((size,)), 0, dtype)


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Array:
    """Each element's index along one axis.

    >>> broadcasted_iota("int32", (2, 2), 1).tolist()
    [[0, 1], [0, 1]]
    """
    return ops.iota(whole_sizes(shape), dimension, dtype)


# Shapes


def broadcast(operand: ArrayLike, sizes: Sequence[int]) -> Array:
    """New leading axes of these sizes.

    >>> broadcast(iota("int32", 2), (3,)).shape
    (3, 2)
    """
    shape = aval_of(operand).shape
    new = whole_sizes(sizes)
    return ops.broadcast(as_operand(operand), (*new, *shape), range(len(new), len(new) + len(shape)))


def broadcast_in_dim(operand: ArrayLike, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Array:
    """`operand` repeated to `shape`, its axis i standing at `broadcast_dimensions[i]`.

    >>> broadcast_in_dim(iota("int32", 2), (2, 3), (0,)).tolist()
    [[0, 0, 0], [1, 1, 1]]
    """
    return ops.broadcast(as_operand(operand), whole_sizes(shape), broadcast_dimensions)


def reshape(operand: ArrayLike, new_sizes: Sequence[int]) -> Array:
    """The elements in row-major order under another shape.

    >>> reshape(iota("int32", 4), (2, 2)).tolist()
    [[0, 1], [2, 3]]
    """
    return ops.reshape(_operand(operand), whole_sizes(new_sizes))


def transpose(operand: ArrayLike, permutation: Sequence[int]) -> Array:
    """The axes in another order.

    >>> transpose(reshape(iota("int32", 4), (2, 2)), (1, 0)).tolist()
    [[0, 2], [1, 3]]
    """
    return ops.transpose(_operand(operand), permutation)


def expand_dims(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """New axes of size 1.

    >>> expand_dims(iota("int32", 2), (0,)).shape
    (1, 2)
    """
    return ops.expand_dims(_operand(array), dimensions)


def squeeze(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """Axes of size 1 removed.

    >>> squeeze(expand_dims(iota("int32", 2), (0,)), (0,)).shape
    (2,)
    """
    shape = aval_of(array).shape
    gone = {d % len(shape) for d in dimensions}
    if any(shape[d] != 1 for d in gone):
        raise ShapeError(f"squeeze: axes {tuple(dimensions)} of {aval_of(array).describe()} are not all of size 1")
    return ops.reshape(_operand(array), tuple(d for i, d in enumerate(shape) if i not in gone))


def rev(operand: ArrayLike, dimensions: Sequence[int]) -> Array:
    """The order along some axes turned round.

    >>> rev(iota("int32", 3), (0,)).tolist()
    [2, 1, 0]
    """
    return ops.reverse(_operand(operand), dimensions)


def pad(operand: ArrayLike, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Array:
    """`(before, after, between)` copies of a scalar along each axis; negative edges cut.

    >>> pad(iota("int32", 2), 9, [(1, 0, 1)]).tolist()
    [9, 0, 9, 1]
    """
    return ops.pad(_operand(operand), ops.cast(as_operand(padding_value), aval_of(operand).dtype), padding_config)


def concatenate(operands: Sequence[Any], dimension: int) -> Array:
    """Arrays joined along an axis.

    >>> concatenate([iota("int32", 2), iota("int32", 1)], 0).tolist()
    [0, 1, 0]
    """
    return ops.concatenate(ops.promote(*operands), dimension)


def slice(
    operand: ArrayLike, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> Array:
    """Elements from starts below limits in steps.

    >>> slice(iota("int32", 6), (1,), (6,), (2,)).tolist()
    [1, 3, 5]
    """
    return ops.slice(operand, start_indices, limit_indices, strides)


def slice_in_dim(
    operand: ArrayLike, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Array:
    """Elements from `start_index` below `limit_index` along one axis; None and negative numbers as in Python.

    >>> slice_in_dim(iota("int32", 6), 1, None, 2).tolist()
    [1, 3, 5]
    """
    shape = aval_of(operand).shape
    axis %= len(shape)
    size = shape[axis]
    start = 0 if start_index is None else start_index + size * (start_index < 0)
    limit = size if limit_index is None else limit_index + size * (limit_index < 0)
    at = [start if i == axis else 0 for i in range(len(shape))]
    ends = [limit if i == axis else d for i, d in enumerate(shape)]
    return ops.slice(operand, at, ends, [stride if i == axis else 1 for i in range(len(shape))])


def index_in_dim(operand: ArrayLike, index: int, axis: int = 0, keepdims: bool = True) -> Array:
    """The slice at one index along an axis.

    >>> index_in_dim(iota("int32", 6), 2).tolist()
    [2]
    """
    size = aval_of(operand).shape[axis]
    place = index + size * (index < 0)
    if not 0 <= place < size:
        raise IndexBoundsError(
            f"index_in_dim: index {index} is out of bounds for axis {axis} of size {size}",
            hint=f"from {-size} to {size - 1}",
        )
    part = slice_in_dim(operand, place, place + 1, 1, axis)
    return part if keepdims else squeeze(part, (axis,))


# Places that are computed


def _wrapped_starts(shape: Sequence[int], starts: Sequence[Any]) -> list[Any]:
    """Negative starts count from the end, as in JAX."""
    if len(shape) != len(starts):
        raise ShapeError(
            f"dynamic slice: {len(starts)} starts for an array of shape {tuple(shape)}", hint="one an axis"
        )
    return [_wrapped_start(s, d) for s, d in zip(starts, shape, strict=True)]


def _wrapped_start(start: ArrayLike, size: int) -> Operand:
    if isinstance(start, (int, np.integer)):
        return as_operand(int(start) + size * (start < 0))
    if not isinstance(start, Array) or not dtypes.is_integer(start.dtype):
        return as_operand(start)
    wide = ops.widened(start, size)
    return wide if start.dtype in dtypes.UNSIGNED else ops.select(ops.less(wide, 0), ops.add(wide, size), wide)


def dynamic_slice(operand: ArrayLike, start_indices: Sequence[Any], slice_sizes: Sequence[int]) -> Array:
    """A block of fixed sizes at computed starts, which are moved so that it fits.

    >>> dynamic_slice(iota("int32", 5), (4,), (2,)).tolist()
    [3, 4]
    """
    shape = aval_of(operand).shape
    return ops.dynamic_slice(_operand(operand), _wrapped_starts(shape, start_indices), slice_sizes)


def dynamic_update_slice(operand: ArrayLike, update: Any, start_indices: Sequence[Any]) -> Array:
    """`operand` with a block replaced at computed starts, which are moved so that it fits.

    >>> dynamic_update_slice(iota("int32", 4), full((2,), 9), (1,)).tolist()
    [0, 9, 9, 3]
    """
    shape = aval_of(operand).shape
    return ops.dynamic_update_slice(
        operand, ops.cast(as_operand(update), aval_of(operand).dtype), _wrapped_starts(shape, start_indices)
    )


def dynamic_slice_in_dim(operand: ArrayLike, start_index: Any, slice_size: int, axis: int = 0) -> Array:
    """`dynamic_slice` along one axis.

    >>> dynamic_slice_in_dim(iota("int32", 5), 1, 2).tolist()
    [1, 2]
    """
    shape = aval_of(operand).shape
    axis %= len(shape)
    return dynamic_slice(
        operand,
        [start_index if i == axis else 0 for i in range(len(shape))],
        [slice_size if i == axis else d for i, d in enumerate(shape)],
    )


def dynamic_index_in_dim(operand: ArrayLike, index: Any, axis: int = 0, keepdims: bool = True) -> Array:
    """The slice at a computed index along an axis.

    >>> dynamic_index_in_dim(iota("int32", 5), 3).tolist()
    [3]
    """
    part = dynamic_slice_in_dim(operand, index, 1, axis)
    return part if keepdims else squeeze(part, (axis,))


def dynamic_update_slice_in_dim(operand: ArrayLike, update: Any, start_index: Any, axis: int) -> Array:
    """`dynamic_update_slice` along one axis.

    >>> dynamic_update_slice_in_dim(iota("int32", 4), full((2,), 9), 2, 0).tolist()
    [0, 1, 9, 9]
    """
    ndim = aval_of(operand).ndim
    return dynamic_update_slice(operand, update, [start_index if i == axis % ndim else 0 for i in range(ndim)])


def top_k(operand: ArrayLike, k: int, *, axis: int = -1) -> list[Array]:
    """The k largest elements along an axis, the last by default, and where they stand.

    >>> [part.tolist() for part in top_k(iota("int32", 5), 2)]
    [[4, 3], [4, 3]]
    """
    if axis == -1:
        return ops.top_k(operand, k)
    return [moveaxis(part, -1, axis) for part in ops.top_k(moveaxis(operand, axis, -1), k)]


# Reductions and products


def argmax(operand: ArrayLike, axis: int, index_dtype: Any = int) -> Array:
    """The first place of the largest element along an axis.

    >>> int(argmax(iota("int32", 3), 0))
    2
    """
    return ops.argmax(operand, axis, index_dtype)


def argmin(operand: ArrayLike, axis: int, index_dtype: Any = int) -> Array:
    """The first place of the smallest element along an axis.

    >>> int(argmin(iota("int32", 3), 0))
    0
    """
    return ops.argmin(operand, axis, index_dtype)


def dot_general(
    lhs: ArrayLike, rhs: ArrayLike, dimension_numbers: Any, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """Sum of products over contracted axes; see `fdl.ops.dot_general`. `precision` is accepted: products are exact to
    their dtype.

    >>> int(dot_general(iota("int32", 3), iota("int32", 3), (((0,), (0,)), ((), ()))))
    5
    """
    return ops.dot_general(lhs, rhs, dimension_numbers, preferred_element_type)


def dot(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """The product of vectors and matrices.

    >>> int(dot(iota("int32", 3), iota("int32", 3)))
    5
    """
    return ops.dot_general(lhs, rhs, (((aval_of(lhs).ndim - 1,), (0,)), ((), ())), preferred_element_type)


def batch_matmul(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None) -> Array:
    """Products of matrices over equal leading axes.

    >>> batch_matmul(full((2, 3, 4), 1.0), full((2, 4, 5), 1.0)).shape
    (2, 3, 5)
    """
    n = aval_of(lhs).ndim
    lead = tuple(range(n - 2))
    return ops.dot_general(lhs, rhs, (((n - 1,), (n - 2,)), (lead, lead)))


# Convolution and windows


class ConvDimensionNumbers(NamedTuple):
    """Axes of batch, feature and space, in this order, of images, kernels (out, in, space) and results."""

    lhs_spec: tuple[int, ...]
    rhs_spec: tuple[int, ...]
    out_spec: tuple[int, ...]


def conv_dimension_numbers(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: Any
) -> ConvDimensionNumbers:
    """Axes by letters: `("NHWC", "HWIO", "NHWC")`, or None for batch, feature, space and out, in, space.

    >>> conv_dimension_numbers((1, 8, 8, 3), (3, 3, 3, 4), ("NHWC", "HWIO", "NHWC")).lhs_spec
    (0, 3, 1, 2)
    """
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    n = len(lhs_shape)
    if dimension_numbers is None:
        return ConvDimensionNumbers(*[tuple(range(n))] * 3)
    if len(dimension_numbers) != 3 or any(len(spec) != n for spec in dimension_numbers):
        raise ShapeError(f"conv: dimension numbers {dimension_numbers} for {n} axes", hint='("NHWC", "HWIO", "NHWC")')
    lhs, rhs, out = dimension_numbers
    space = [c for c in lhs if c not in "NC"]
    if any(sorted(spec) != sorted([*first, *space]) for spec, first in ((lhs, "NC"), (rhs, "OI"), (out, "NC"))):
        raise ShapeError(
            f"conv: dimension numbers {dimension_numbers}",
            why="images and results have N, C and letters for space, kernels O, I and the same letters",
            hint='("NHWC", "HWIO", "NHWC")',
        )
    return ConvDimensionNumbers(
        *(tuple(spec.index(c) for c in [*first, *space]) for spec, first in ((lhs, "NC"), (rhs, "OI"), (out, "NC")))
    )


def padtype_to_pads(
    in_shape: Sequence[int], window_shape: Sequence[int], window_strides: Sequence[int], padding: str
) -> list[tuple[int, int]]:
    """Edges for "SAME", which keeps `size / stride` places, "SAME_LOWER", or "VALID".

    >>> padtype_to_pads((5,), (3,), (1,), "SAME")
    [(1, 1)]
    """
    if padding.upper() == "VALID":
        return [(0, 0)] * len(in_shape)
    if padding.upper() not in ("SAME", "SAME_LOWER"):
        raise ShapeError(f"padding {padding!r}", hint='"SAME", "SAME_LOWER", "VALID" or pairs of numbers')
    total = [
        _max(((-(-d // s)) - 1) * s + k - d, 0) for d, k, s in zip(in_shape, window_shape, window_strides, strict=True)
    ]
    return [(t // 2, t - t // 2) if padding.upper() == "SAME" else (t - t // 2, t // 2) for t in total]


def conv_general_dilated(
    lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int], padding: Any,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None, feature_group_count: int = 1, batch_group_count: int = 1, precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:  # fmt: skip
    """Convolution with strides, padding, dilation of images and kernels, and groups, over any number of axes; JAX's
    signature.

    >>> import fdl.numpy as jnp
    >>> x, w = jnp.ones((1, 8, 8, 3)), jnp.ones((3, 3, 3, 4))
    >>> conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")).shape
    (1, 4, 4, 4)
    """
    axes = conv_dimension_numbers(aval_of(lhs).shape, aval_of(rhs).shape, dimension_numbers)
    n = aval_of(lhs).ndim - 2
    x = ops.transpose(_operand(lhs), (axes.lhs_spec[0], *axes.lhs_spec[2:], axes.lhs_spec[1]))
    w = ops.transpose(_operand(rhs), (*axes.rhs_spec[2:], axes.rhs_spec[1], axes.rhs_spec[0]))
    spread, dilation = tuple(lhs_dilation or (1,) * n), tuple(rhs_dilation or (1,) * n)
    strides = tuple(window_strides)
    (batch, *space, channels), (*window, inner, outer) = aval_of(x).shape, aval_of(w).shape
    if isinstance(padding, str):
        wide = [(d - 1) * s + 1 for d, s in zip(space, spread, strict=True)]
        padding = padtype_to_pads(
            wide, [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)], strides, padding
        )
    groups, image_groups = int(feature_group_count), int(batch_group_count)
    if (
        _min(groups, image_groups) != 1
        or channels != groups * inner
        or outer % (groups * image_groups)
        or batch % image_groups
    ):
        raise ShapeError(
            (
                f"conv: images {aval_of(lhs).describe()}, kernels {aval_of(rhs).describe()}, "
                f"{groups} feature groups, {image_groups} batch groups"
            ),
            why="channels in are groups times the kernel's, channels out and the batch are multiples of groups",
        )
    count = groups * image_groups
    # groups lead: they are a part of the channels, or of the batch
    if image_groups > 1:
        x = ops.reshape(x, (count, batch // count, *space, channels))
    else:
        x = ops.move_axis(ops.reshape(x, (batch, *space, count, inner)), n + 1, 0)
    edges = [(int(a), int(b)) for a, b in padding]
    w = ops.move_axis(ops.reshape(w, (*window, inner, count, outer // count)), n + 1, 0)
    out = ops.move_axis(
        ops.conv_spread(x, w, spread, edges, strides, dilation), 0, n + 1
    )  # (batch, *places, groups, out)
    out = ops.reshape(out, (*aval_of(out).shape[:-2], outer))
    if preferred_element_type is not None:
        out = ops.convert(out, dtypes.canonical(preferred_element_type))
    places = [0, n + 1, *range(1, n + 1)]
    order = [places[axes.out_spec.index(a)] for a in range(n + 2)]
    return ops.transpose(out, order)


def conv(lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int], padding: Any) -> Array:
    """Convolution of (batch, in, *space) with (out, in, *window).

    >>> import fdl.numpy as jnp
    >>> conv(jnp.ones((1, 3, 8)), jnp.ones((4, 3, 3)), (1,), "VALID").shape
    (1, 4, 6)
    """
    return conv_general_dilated(lhs, rhs, window_strides, padding)


def _transposed_padding(k: int, stride: int, padding: str) -> tuple[int, int]:
    """Edges with which a convolution undoes one with a stride, as to sizes."""
    if padding not in ("SAME", "VALID"):
        raise ShapeError(f"conv_transpose: padding {padding!r}", hint='"SAME", "VALID" or pairs of numbers')
    total = k + stride - 2 + (_max(k - stride, 0) if padding == "VALID" else 0)
    before = k - 1 if padding == "VALID" or stride > k - 1 else -(-total // 2)
    return before, total - before


def conv_transpose(
    lhs: Array, rhs: Array, strides: Sequence[int], padding: Any, rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None, transpose_kernel: bool = False, precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:  # fmt: skip
    """Convolution with `strides` from pixel to pixel of the result: sizes are those that a convolution with these
    strides and padding ("SAME", "VALID", or edges of the image with its pixels apart) starts from.

    By default channels are last, as in `("NHWC", "HWIO", "NHWC")`. With `transpose_kernel` the kernel is that of the
    convolution that this one undoes: turned round, inputs and outputs exchanged.

    >>> import fdl.numpy as jnp
    >>> conv_transpose(jnp.ones((1, 4, 3)), jnp.ones((3, 3, 5)), (2,), "SAME").shape
    (1, 8, 5)
    """
    n = aval_of(lhs).ndim - 2
    if dimension_numbers is None:
        space = {1: "H", 2: "HW", 3: "DHW"}.get(n)
        if space is None:
            raise ShapeError(f"conv_transpose: {n} axes of space", hint="dimension_numbers for more than 3")
        dimension_numbers = (f"N{space}C", f"{space}IO", f"N{space}C")
    axes = conv_dimension_numbers(aval_of(lhs).shape, aval_of(rhs).shape, dimension_numbers)
    window = [aval_of(rhs).shape[a] for a in axes.rhs_spec[2:]]
    dilation = tuple(rhs_dilation or (1,) * n)
    if isinstance(padding, str):
        reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
        padding = [_transposed_padding(k, s, padding) for k, s in zip(reach, strides, strict=True)]
    if transpose_kernel:
        rhs = ops.reverse(rhs, axes.rhs_spec[2:])
        order = list(range(n + 2))
        order[axes.rhs_spec[0]], order[axes.rhs_spec[1]] = axes.rhs_spec[1], axes.rhs_spec[0]
        rhs = ops.transpose(rhs, order)
    return conv_general_dilated(
        lhs, rhs, (1,) * n, padding, strides, dilation, axes, preferred_element_type=preferred_element_type
    )


def conv_general_dilated_patches(
    lhs: Array, filter_shape: Sequence[int], window_strides: Sequence[int], padding: Any,
    lhs_dilation: Sequence[int] | None = None, rhs_dilation: Sequence[int] | None = None, dimension_numbers: Any = None,
    precision: Any = None, preferred_element_type: Any = None,
) -> Array:  # fmt: skip
    """The windows that a convolution sums up, along the channels: channel by channel, each in row-major order.

    >>> import fdl.numpy as jnp
    >>> conv_general_dilated_patches(jnp.arange(4.0).reshape(1, 1, 4), (2,), (1,), "VALID").tolist()
    [[[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]]
    """
    n = len(filter_shape)
    axes = conv_dimension_numbers(aval_of(lhs).shape, (1,) * (n + 2), dimension_numbers)
    channels, count = aval_of(lhs).shape[axes.lhs_spec[1]], int(np.prod(filter_shape, dtype=int))
    one = np.tile(np.eye(count).reshape(count, 1, *filter_shape), (channels, *[1] * (n + 1)))
    places = np.argsort(axes.rhs_spec)
    kernel = ops.convert(as_operand(np.transpose(one, places)), aval_of(lhs).dtype)
    return conv_general_dilated(
        lhs, kernel, window_strides, padding, lhs_dilation, rhs_dilation, axes, channels,
        preferred_element_type=preferred_element_type,
    )  # fmt: skip


def conv_with_general_padding(
    lhs: Array, rhs: Array, window_strides: Sequence[int], padding: Any, lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None, precision: Any = None, preferred_element_type: Any = None,
) -> Array:  # fmt: skip
    """Convolution of (batch, in, *space) with (out, in, *window), with padding and dilation.

    >>> import fdl.numpy as jnp
    >>> conv_with_general_padding(jnp.ones((1, 3, 8)), jnp.ones((4, 3, 3)), (1,), [(1, 1)]).shape
    (1, 4, 8)
    """
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, preferred_element_type=preferred_element_type
    )


def dynamic_update_index_in_dim(operand: Array, update: ArrayLike, index: Any, axis: int) -> Array:
    """`operand` with the slice at a computed index along an axis replaced.

    >>> dynamic_update_index_in_dim(iota("int32", 4), 9, 2, 0).tolist()
    [0, 1, 9, 3]
    """
    ndim, given = aval_of(operand).ndim, as_operand(update)
    new = ops.broadcast(given, given.aval.shape, range(given.aval.ndim))
    new = ops.expand_dims(new, (axis % ndim,)) if new.aval.ndim == ndim - 1 else new
    return dynamic_update_slice_in_dim(operand, new, index, axis)


def reduce_window(
    operand: ArrayLike, init_value: ArrayLike, computation: Any, window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None, padding: Any = "VALID",
    base_dilation: Sequence[int] | None = None, window_dilation: Sequence[int] | None = None,
) -> Array:  # fmt: skip
    """Sums, maxima or minima over windows; `computation` is `add`, `max` or `min` of this module.

    The gradient of a maximum goes to the first largest element of its window.

    >>> import fdl.numpy as jnp
    >>> reduce_window(jnp.arange(4.0), -jnp.inf, max, (2,), (2,), "VALID").tolist()
    [1.0, 3.0]
    """
    if computation not in (add, max, min):
        raise StructureError(f"reduce_window: no rule for {computation}", hint="lax.add, lax.max or lax.min")
    shape = aval_of(operand).shape
    n = len(shape)
    strides, spread, dilation = (tuple(v or (1,) * n) for v in (window_strides, base_dilation, window_dilation))
    if any(len(v) != n for v in (window_dimensions, strides, spread, dilation)) or (
        not isinstance(padding, str) and len(padding) != n
    ):
        raise ShapeError(
            (
                f"reduce_window: windows {tuple(window_dimensions)} with strides {strides} of "
                f"{aval_of(operand).describe()}"
            ),
            why="each has one number an axis",
        )
    reach = [(k - 1) * d + 1 for k, d in zip(window_dimensions, dilation, strict=True)]
    if isinstance(padding, str):
        padding = padtype_to_pads(
            [(d - 1) * s + 1 for d, s in zip(shape, spread, strict=True)], reach, strides, padding
        )
    fill = ops.convert(as_operand(init_value), aval_of(operand).dtype)
    x = ops.pad(_operand(operand), fill, [(int(a), int(b), s - 1) for (a, b), s in zip(padding, spread, strict=True)])
    kind = "add" if computation is add else "max" if computation is max else "min"
    return ops.reduce_windows(kind, x, tuple(window_dimensions), strides, dilation)


__all__ = [
    "ConvDimensionNumbers", "RoundingMethod", "abs", "add", "argmax", "argmin", "atan2", "axis_index", "axis_size",
    "batch_matmul", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "broadcast", "broadcast_in_dim",
    "broadcasted_iota", "ceil", "clamp", "complex", "concatenate", "conj", "conv", "conv_dimension_numbers",
    "conv_general_dilated", "conv_general_dilated_patches", "conv_transpose", "conv_with_general_padding",
    "convert_element_type", "cos", "div", "dot", "dot_general", "dynamic_index_in_dim", "dynamic_slice",
    "dynamic_slice_in_dim", "dynamic_update_index_in_dim", "dynamic_update_slice", "dynamic_update_slice_in_dim", "eq",
    "erf", "exp", "expand_dims", "expm1", "floor", "fori_loop", "full", "full_like", "ge", "gt", "imag", "index_in_dim",
    "integer_pow", "iota", "is_finite", "le", "log", "log1p", "logistic", "lt", "map", "max", "min", "mul", "ne", "neg",
    "pad", "padtype_to_pads", "pmean", "pow", "psum", "real", "reciprocal", "reduce_max", "reduce_min", "reduce_sum",
    "reduce_window", "rem", "reshape", "rev", "round", "rsqrt", "scan", "select", "shift_left",
    "shift_right_arithmetic", "sign", "sin", "slice", "slice_in_dim", "sqrt", "square", "squeeze", "stop_gradient",
    "sub", "switch", "tan", "tanh", "top_k", "transpose", "while_loop",
]  # fmt: skip
