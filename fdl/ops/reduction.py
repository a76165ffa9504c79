"""Reductions that are not linear: the largest element and where it stands.  `reduce_sum` is in `axes.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import ShapedArray
from fdl.core.dtypes import DType
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast, convert, reduce_sum, reduced_shape
from fdl.ops.elementwise import bitwise_not, div, equal, is_nan_part, mul, neg, not_equal, select
from fdl.ops.parts import Parts, check_real
from fdl.ops.sample import Sample, c64, f32, i32, of


def lowest(dtype: DType) -> bool | int | float:
    """The value that no other one is below: what the maximum of nothing would be."""
    if dtype == dtypes.bool_:
        return False
    if not dtypes.is_float(dtype):
        return int(np.iinfo(dtype).min)
    return -float("inf") if dtype != dtypes.float8_e4m3fn else -448.0


# reduce_max


def reduce_max(operand: Array, axes: Sequence[int]) -> Array:
    """The largest element over some axes; NaN where there is one.  Equal maxima share the gradient. Complex numbers are
    ordered by their real parts, equal ones by their imaginary parts.

    >>> import fdl.numpy as jnp
    >>> reduce_max(jnp.array([[1, 5], [7, 2]]), (1,)).tolist()
    [5, 7]
    """
    return reduce_max_p.bind(operand, axes=tuple(axes)) if axes else operand


def _opposite(x: Any) -> Array:
    """An order-reversing map that is its own inverse; for integers `~`, which has no overflow."""
    return neg(x) if dtypes.is_inexact(aval_of(x).dtype) else bitwise_not(x)


def reduce_min(operand: Array, axes: Sequence[int]) -> Array:
    """The smallest element over some axes, as `reduce_max` of the reversed order.

    >>> import fdl.numpy as jnp
    >>> reduce_min(jnp.array([[1, 5], [7, 2]]), (0,)).tolist()
    [1, 2]
    """
    return _opposite(reduce_max(_opposite(operand), axes)) if axes else operand


def _reduce_max_shape(x: ShapedArray, *, axes: tuple[int, ...]) -> ShapedArray:
    shape = reduced_shape("reduce_max", x, axes)
    if any(x.shape[a] == 0 for a in axes):
        raise ShapeError(
            f"reduce_max: {x.describe()} has no element along {axes}",
            why="nothing is the maximum of nothing",
            hint="jnp.max(x, initial=...), or a check of x.size",
        )
    return x.update(shape=shape)


def _reduce_max_jvp(primals: Any, tangents: Any, *, axes: tuple[int, ...]) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    out = reduce_max_p.bind(x, axes=axes)
    aval = aval_of(x)
    kept = [i for i in range(aval.ndim) if i not in axes]
    where = convert(equal(x, broadcast(out, aval.shape, kept)), aval.dtype, aval.weak_type)
    return out, div(reduce_sum(mul(t, where), axes), reduce_sum(where, axes))


def _reduce_max_impl(x: np.ndarray[Any, Any], *, axes: tuple[int, ...]) -> np.ndarray[Any, Any]:
    found = np.asarray(np.max(x, axes))
    return np.where(np.isnan(found), complex(np.nan, np.nan), found) if dtypes.is_complex(x.dtype) else found


def _reduce_max_parts(z: Parts, *, axes: tuple[int, ...]) -> Parts:
    """NaN has neither part."""
    wrong, shape = is_nan_part(z), aval_of(z.re).shape
    re = reduce_max(select(wrong, np.nan, z.re), axes)
    kept = [i for i in range(len(shape)) if i not in axes]
    first = equal(z.re, broadcast(re, shape, kept))
    im = reduce_max(select(first, z.im, -np.inf), axes)
    return Parts(re, select(not_equal(re, re), re, im))


reduce_max_p: Primitive = (
    Primitive("reduce_max")
    .define(
        shape=_reduce_max_shape,
        impl=_reduce_max_impl,
        jvp=_reduce_max_jvp,
        batch=lambda axis, args, batched, *, axes: (reduce_max(args[0], [a + 1 for a in axes]), True),
        lower=lambda b, x, *, axes: b.reduce("max", x, axes),
        parts=_reduce_max_parts,
        samples=[
            Sample((f32(3, 4),), {"axes": (1,)}),
            Sample((f32(19, 2),), {"axes": (0,)}),
            Sample((f32(2, 40),), {"axes": (0, 1)}),
            Sample((i32(5, 3),), {"axes": (0,)}),
            Sample((of(bool, 5, 3),), {"axes": (1,)}),
            Sample((of("bfloat16", 5, 20),), {"axes": (1,)}),
            Sample((np.array([[1.0, np.nan], [np.inf, 2.0]], np.float32),), {"axes": (1,)}),
            Sample((f32(0, 3),), {"axes": (0,)}, fails=ShapeError),
            Sample((c64(3, 4),), {"axes": (1,)}),
            Sample((np.array([[1 + 2j, 1 + 3j], [complex(0, np.nan), 5]], np.complex64),), {"axes": (1,)}),
        ],
    )
    .register()
)

# argmax


def argmax(x: ArrayLike, axis: int, dtype: Any = dtypes.int32) -> Array:
    """The first place of the largest element along one axis; the first NaN, where there is one.

    >>> import fdl.numpy as jnp
    >>> int(argmax(jnp.array([1.0, 3.0, 3.0]), 0))
    1
    """
    return argmax_p.bind(x, axis=axis, dtype=dtypes.canonical(dtype))


def argmin(x: ArrayLike, axis: int, dtype: Any = dtypes.int32) -> Array:
    """The first place of the smallest element along one axis.

    >>> import fdl.numpy as jnp
    >>> int(argmin(jnp.array([3.0, 1.0, 1.0]), 0))
    1
    """
    return argmax(_opposite(x), axis, dtype)


def _argmax_shape(x: ShapedArray, *, axis: int, dtype: DType) -> ShapedArray:
    check_real("argmax", x)
    shape = reduced_shape("argmax", x, (axis,))
    if x.shape[axis] == 0:
        raise ShapeError(
            f"argmax: {x.describe()} has no element along axis {axis}",
            why="nothing is the largest of nothing",
            hint="a check of x.size first",
        )
    return x.update(shape=shape, dtype=dtype, weak_type=False)


def _argmax_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    out = argmax_p.bind(*primals, **params)
    return out, Zero(aval_of(out))


argmax_p: Primitive = (
    Primitive("argmax")
    .define(
        shape=_argmax_shape,
        impl=lambda x, *, axis, dtype: np.argmax(x, axis).astype(dtype),
        jvp=_argmax_jvp,
        batch=lambda axis_, args, batched, *, axis, dtype: (argmax(args[0], axis + 1, dtype), True),
        lower=lambda b, x, *, axis, dtype: b.argmax(x, axis, dtype),
        samples=[
            Sample((f32(3, 4),), {"axis": 1, "dtype": dtypes.int32}),
            Sample((f32(20, 3),), {"axis": 0, "dtype": dtypes.int64}),
            Sample((i32(7),), {"axis": 0, "dtype": dtypes.int32}),
            Sample((np.array([1.0, np.nan, 3.0, np.nan], np.float32),), {"axis": 0, "dtype": dtypes.int32}),
            Sample((of(bool, 7),), {"axis": 0, "dtype": dtypes.int32}),
            Sample((f32(3),), {"axis": 1, "dtype": dtypes.int32}, fails=ShapeError),
            Sample((c64(3),), {"axis": 0, "dtype": dtypes.int32}, fails=DtypeError),
        ],
    )
    .register()
)
