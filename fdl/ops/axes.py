"""Conversion, and the operations that move, add and sum axes; each is the transpose of another one here.

`convert`, `transpose`, `broadcast`, `reduce_sum`: what promotion, batching and the derivatives of all other operations
need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import Shape, ShapedArray
from fdl.core.dtypes import DType
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike, Literal
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero
from fdl.core.trace import aval_of
from fdl.ops.parts import componentwise
from fdl.ops.sample import Sample, c64, f32, i32, of
from fdl.ops.vocabulary import Value, Vocabulary

X = TypeVar("X", bound=ArrayLike)  # what is given back as it is, where nothing is to be done

# convert


def convert(x: ArrayLike, dtype: Any, weak_type: bool = False) -> Array:
    """`x` with another dtype, rounding to nearest even; float to integer truncates, saturates and maps NaN to 0.
    Complex numbers give their real parts, or to bool whether they are not zero.

    >>> import fdl.numpy as jnp
    >>> convert(jnp.array([1.5, -1.5, 1e20]), "int32").tolist()
    [1, -1, 2147483647]
    """
    return convert_p.bind(x, dtype=dtypes.canonical(dtype), weak_type=weak_type)


def _convert_impl(x: np.ndarray[Any, Any], *, dtype: DType, weak_type: bool) -> np.ndarray[Any, Any]:
    if dtypes.is_complex(x.dtype) and not dtypes.is_complex(dtype) and dtype != dtypes.bool_:
        x = x.real
    if dtypes.is_float(x.dtype) and dtypes.is_integer(dtype):
        info = np.iinfo(dtype)
        wide = np.asarray(x, np.float64)
        safe = np.where((wide > -(2.0**63)) & (wide < 2.0**64), wide, 0.0)
        whole = safe.astype(np.uint64 if dtype == dtypes.uint64 else np.int64)
        whole = np.clip(whole, info.min, info.max).astype(dtype)
        return np.where(
            np.isnan(wide),
            0,
            np.where(wide >= float(info.max), info.max, np.where(wide <= float(info.min), info.min, whole)),
        ).astype(dtype)
    return x.astype(dtype)


def _convert_jvp(primals: Any, tangents: Any, *, dtype: DType, weak_type: bool) -> tuple[Any, Any]:
    out = convert_p.bind(primals[0], dtype=dtype, weak_type=weak_type)
    tangent = tangents[0]
    return out, convert_p.bind(tangent, dtype=dtype, weak_type=weak_type) if dtypes.is_inexact(dtype) else Zero(
        aval_of(out)
    )


def _convert_transpose(ct: Any, operands: Any, *, dtype: DType, weak_type: bool) -> list[Any]:
    aval = operands[0].aval
    return [convert_p.bind(ct, dtype=aval.dtype, weak_type=aval.weak_type)]


_FROM_COMPLEX = ("complex128", "float32", "float16", "int32", "bool")
convert_p: Primitive = (
    Primitive("convert")
    .define(
        shape=lambda x, *, dtype, weak_type: x.update(dtype=dtype, weak_type=weak_type),
        impl=_convert_impl,
        jvp=_convert_jvp,
        transpose=_convert_transpose,
        batch=lambda axis, args, batched, **params: (convert_p.bind(*args, **params), True),
        lower=lambda b, x, *, dtype, weak_type: x if x.dtype == dtype else b.map("convert", x, dtype=dtype),
        samples=[
            Sample((f32(3, 4),), {"dtype": dtypes.float64, "weak_type": False}),
            Sample((f32(3, 4),), {"dtype": dtypes.bfloat16, "weak_type": False}),
            Sample((f32(3, 4),), {"dtype": dtypes.float16, "weak_type": False}),
            Sample((f32(5),), {"dtype": dtypes.float8_e4m3fn, "weak_type": False}),
            Sample((f32(5),), {"dtype": dtypes.float8_e5m2, "weak_type": False}),
            Sample((f32(5, low=-9, high=300),), {"dtype": dtypes.uint8, "weak_type": False}),
            Sample(
                (np.array([np.nan, np.inf, -np.inf, 3e9, -3e9, 1.9, -1.9], np.float32),),
                {"dtype": dtypes.int32, "weak_type": False},
            ),
            Sample((i32(5),), {"dtype": dtypes.bool_, "weak_type": False}),
            Sample((i32(5),), {"dtype": dtypes.float32, "weak_type": False}),
            Sample((of("bfloat16", 5),), {"dtype": dtypes.float32, "weak_type": False}),
            Sample((of(bool, 5),), {"dtype": dtypes.float16, "weak_type": False}),
            Sample((f32(5),), {"dtype": dtypes.complex128, "weak_type": False}),
            *(Sample((c64(3, 2),), {"dtype": d, "weak_type": False}) for d in map(dtypes.canonical, _FROM_COMPLEX)),
        ],
    )
    .register()
)

# transpose


def transpose(x: X, permutation: Sequence[int]) -> X | Array:
    """The axes of `x` in another order: axis `permutation[i]` becomes axis i.

    >>> import fdl.numpy as jnp
    >>> transpose(jnp.ones((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    permutation = tuple(permutation)
    if permutation == tuple(range(len(permutation))) and aval_of(x).ndim == len(permutation):
        return x
    return transpose_p.bind(x, permutation=permutation)


def move_axis(x: X, source: int, destination: int) -> X | Array:
    """`x` with one axis moved to another place, the others in order."""
    ndim = aval_of(x).ndim
    order = [i for i in range(ndim) if i != source % ndim]
    order.insert(destination % ndim, source % ndim)
    return transpose(x, order)


def _transpose_shape(x: ShapedArray, *, permutation: tuple[int, ...]) -> ShapedArray:
    if sorted(permutation) != list(range(x.ndim)):
        raise ShapeError(
            f"transpose: {permutation} is no permutation of the axes of {x.describe()}",
            hint=f"each of 0 to {x.ndim - 1} once",
        )
    return x.update(shape=tuple(x.shape[i] for i in permutation))


def _transpose_lower(b: Vocabulary, x: Value, *, permutation: tuple[int, ...]) -> Value:
    inverse = np.argsort(permutation)
    return b.view(tuple(x.shape[i] for i in permutation), x, lambda index: tuple(index[i] for i in inverse))


transpose_p: Primitive = (
    Primitive("transpose")
    .define(
        shape=_transpose_shape,
        impl=lambda x, *, permutation: np.transpose(x, permutation),
        jvp=lambda primals, tangents, **params: (
            transpose_p.bind(*primals, **params),
            transpose_p.bind(*tangents, **params),
        ),
        transpose=lambda ct, operands, *, permutation: [transpose(ct, tuple(int(i) for i in np.argsort(permutation)))],
        batch=lambda axis, args, batched, *, permutation: (
            transpose(args[0], (0, *(i + 1 for i in permutation))),
            True,
        ),
        lower=_transpose_lower,
        samples=[
            Sample((c64(2, 3),), {"permutation": (1, 0)}),
            Sample((f32(2, 3, 4),), {"permutation": (2, 0, 1)}),
            Sample((f32(3, 1),), {"permutation": (1, 0)}),
            Sample((f32(0, 3),), {"permutation": (1, 0)}),
            Sample((f32(2, 3),), {"permutation": (0, 0)}, fails=ShapeError),
        ],
    )
    .register()
)
transpose_p.define(parts=componentwise(transpose_p))

# broadcast


def broadcast(x: ArrayLike, shape: Shape, axes: Sequence[int]) -> Array:
    """`x` repeated to `shape`; its axis i becomes axis `axes[i]`, new axes and axes of size 1 are repeated.

    >>> import fdl.numpy as jnp
    >>> broadcast(jnp.array([1, 2]), (2, 3), (0,)).tolist()
    [[1, 1, 1], [2, 2, 2]]
    """
    return broadcast_p.bind(x, shape=tuple(shape), axes=tuple(axes))


def broadcast_to(x: X, shape: Shape) -> X | Array:
    """`x` repeated to `shape` by NumPy's rule: axes are aligned from the right.

    >>> import fdl.numpy as jnp
    >>> broadcast_to(jnp.arange(2), (3, 2)).shape
    (3, 2)
    """
    aval = aval_of(x)
    if aval.shape == tuple(shape):
        return x
    return broadcast(x, shape, range(len(shape) - aval.ndim, len(shape)))


def expand_dims(x: Array, axes: Sequence[int]) -> Array:
    """`x` with new axes of size 1 at these places of the result.

    >>> import fdl.numpy as jnp
    >>> expand_dims(jnp.ones(3), (0, 2)).shape
    (1, 3, 1)
    """
    aval = aval_of(x)
    ndim = aval.ndim + len(axes)
    new = {a % ndim for a in axes}
    kept = [i for i in range(ndim) if i not in new]
    shape: list[Any] = [1] * ndim
    for i, d in zip(kept, aval.shape, strict=True):
        shape[i] = d
    return broadcast(x, tuple(shape), kept) if new else x


def full(shape: Shape, value: ArrayLike, dtype: Any, weak_type: bool = False) -> Array:
    """An array of `shape` filled with a scalar; under a transform it is recorded, not made.

    >>> full((2,), 7, "int32").tolist()
    [7, 7]
    """
    scalar = value if hasattr(value, "aval") else Literal(value, dtype, weak_type)
    return broadcast(scalar, shape, ())


def zeros_like(aval: ShapedArray) -> Array:
    """Zeros of this type."""
    return full(aval.shape, 0, aval.dtype, aval.weak_type)


def instantiate(x: Array | Zero) -> Array:
    """A symbolic `Zero` as an array of zeros; anything else as it is."""
    return zeros_like(x.aval) if isinstance(x, Zero) else x


def match(x: X, aval: ShapedArray) -> X | Array:
    """`x` with the dtype and shape of `aval`, to which it broadcasts: a tangent made to fit its primal."""
    found = aval_of(x)
    if found.dtype != aval.dtype or found.weak_type != aval.weak_type:
        return broadcast_to(convert(x, aval.dtype, aval.weak_type), aval.shape)
    return broadcast_to(x, aval.shape)


def _broadcast_shape(x: ShapedArray, *, shape: Shape, axes: tuple[int, ...]) -> ShapedArray:
    fits = len(axes) == x.ndim and list(axes) == sorted(set(axes)) and all(0 <= a < len(shape) for a in axes)
    if not fits or any(d not in (1, shape[a]) for a, d in zip(axes, x.shape, strict=True)):
        raise ShapeError(
            f"broadcast: {x.describe()} does not broadcast to {shape}",
            why=f"its axes {x.shape} stand at {axes} and must be 1 or equal there",
            hint="x[:, None] or x.reshape(...)",
        )
    return x.update(shape=shape)


def _broadcast_impl(x: np.ndarray[Any, Any], *, shape: Shape, axes: tuple[int, ...]) -> np.ndarray[Any, Any]:
    padded = [1] * len(shape)
    for a, d in zip(axes, x.shape, strict=True):
        padded[a] = d
    return np.broadcast_to(x.reshape(padded), shape)


def _broadcast_transpose(ct: Any, operands: Any, *, shape: Shape, axes: tuple[int, ...]) -> list[Any]:
    aval = operands[0].aval
    repeated = [i for i in range(len(shape)) if i not in axes]
    stretched = [a for a, d in zip(axes, aval.shape, strict=True) if d == 1 and shape[a] != 1]
    summed = reduce_sum(ct, tuple(sorted(repeated + stretched)))
    return [
        broadcast(summed, aval.shape, [i for i, a in enumerate(axes) if a not in stretched]) if stretched else summed
    ]


def _broadcast_batch(axis: Any, args: Any, batched: Any, *, shape: Shape, axes: tuple[int, ...]) -> tuple[Any, Any]:
    return broadcast(args[0], (axis.size, *shape), (0, *(a + 1 for a in axes))), True


def _broadcast_lower(b: Vocabulary, x: Value, *, shape: Shape, axes: tuple[int, ...]) -> Value:
    return b.view(
        shape,
        x,
        lambda index: tuple(b.zero if d == 1 else index[a] for a, d in zip(axes, x.shape, strict=True)),
        repeats=True,
    )


broadcast_p: Primitive = (
    Primitive("broadcast")
    .define(
        shape=_broadcast_shape,
        impl=_broadcast_impl,
        jvp=lambda primals, tangents, **params: (
            broadcast_p.bind(*primals, **params),
            broadcast_p.bind(*tangents, **params),
        ),
        transpose=_broadcast_transpose,
        batch=_broadcast_batch,
        lower=_broadcast_lower,
        sizes=("shape",),
        samples=[
            Sample((c64(3),), {"shape": (2, 3), "axes": (1,)}),
            Sample((f32(3),), {"shape": (2, 3), "axes": (1,)}),
            Sample((f32(3, 1),), {"shape": (3, 2, 4), "axes": (0, 2)}),
            Sample((f32(),), {"shape": (2, 0), "axes": ()}),
            Sample((i32(1),), {"shape": (1, 3), "axes": (0,)}),
            Sample((f32(3),), {"shape": (2, 4), "axes": (1,)}, fails=ShapeError),
        ],
    )
    .register()
)
broadcast_p.define(parts=componentwise(broadcast_p))

# reduce_sum


def reduce_sum(operand: Array, axes: Sequence[int]) -> Array:
    """The sum over some axes, which vanish; narrow floats are summed in float32.

    >>> import fdl.numpy as jnp
    >>> reduce_sum(jnp.ones((2, 3)), (1,)).tolist()
    [3.0, 3.0]
    """
    return reduce_sum_p.bind(operand, axes=tuple(axes)) if axes else operand


def sum_to(x: Array, shape: Shape) -> Array:
    """The sum of `x` down to a shape that broadcasts to its own: the transpose of `broadcast_to`."""
    aval = aval_of(x)
    if aval.shape == shape:
        return x
    lead = aval.ndim - len(shape)
    stretched = [i for i, d in enumerate(shape) if d == 1 and aval.shape[lead + i] != 1]
    summed = reduce_sum(x, [*range(lead), *(lead + i for i in stretched)])
    return broadcast(summed, shape, [i for i in range(len(shape)) if i not in stretched]) if stretched else summed


def reduced_shape(what: str, x: ShapedArray, axes: tuple[int, ...]) -> Shape:
    """Shape without these axes; ShapeError where they are not distinct axes of `x`."""
    if len(set(axes)) != len(axes) or not all(0 <= a < x.ndim for a in axes):
        raise ShapeError(f"{what}: {axes} are not distinct axes of {x.describe()}", hint=f"axes from 0 to {x.ndim - 1}")
    return tuple(d for i, d in enumerate(x.shape) if i not in axes)


def _reduce_sum_shape(x: ShapedArray, *, axes: tuple[int, ...]) -> ShapedArray:
    if x.dtype == dtypes.bool_:
        raise ShapeError("reduce_sum: bool has no sum", hint="jnp.sum, which counts in int32, or jnp.any")
    return x.update(shape=reduced_shape("reduce_sum", x, axes))


def _reduce_sum_impl(x: np.ndarray[Any, Any], *, axes: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.sum(x, axes, dtype=dtypes.compute_dtype(x.dtype)).astype(x.dtype)


def _reduce_sum_transpose(ct: Any, operands: Any, *, axes: tuple[int, ...]) -> list[Any]:
    shape = operands[0].aval.shape
    return [broadcast(ct, shape, [i for i in range(len(shape)) if i not in axes])]


reduce_sum_p: Primitive = (
    Primitive("reduce_sum")
    .define(
        shape=_reduce_sum_shape,
        impl=_reduce_sum_impl,
        jvp=lambda primals, tangents, **params: (
            reduce_sum_p.bind(*primals, **params),
            reduce_sum_p.bind(*tangents, **params),
        ),
        transpose=_reduce_sum_transpose,
        batch=lambda axis, args, batched, *, axes: (reduce_sum(args[0], [a + 1 for a in axes]), True),
        lower=lambda b, x, *, axes: b.reduce("add", x, axes),
        samples=[
            Sample((c64(3, 40),), {"axes": (1,)}),
            Sample((c64(300, 3),), {"axes": (0, 1)}),
            Sample((f32(3, 4),), {"axes": (1,)}),
            Sample((f32(3, 4, 5),), {"axes": (0, 2)}),
            Sample((f32(37, 3),), {"axes": (0,)}),
            Sample((f32(0, 3),), {"axes": (0,)}),
            Sample((f32(300),), {"axes": (0,)}),
            Sample((of("bfloat16", 40),), {"axes": (0,)}),
            Sample((i32(4, 2),), {"axes": (0, 1)}),
            Sample((f32(3),), {"axes": (1,)}, fails=ShapeError),
        ],
    )
    .register()
)
reduce_sum_p.define(parts=componentwise(reduce_sum_p))


PARTS: dict[tuple[int, int], ShapedArray] = {}  # types of parts, by the token of the whole and how many axes they lack


def part_aval(aval: ShapedArray, count: int) -> ShapedArray:
    """The type of a part at numbers along the first `count` axes."""
    key = aval.token, count
    found = PARTS.get(key)
    if found is None:
        if len(PARTS) > 8192:
            PARTS.clear()
        found = PARTS[key] = aval.update(shape=aval.shape[count:])
    return found
