"""Operations that rearrange elements: reshape, slice, pad, concatenate, reverse, and iota, which makes them.

`slice` and `pad` are each other's transpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import Dim, Shape, ShapedArray, shaped, sizes
from fdl.core.dtypes import DType
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike, Literal
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast, instantiate, reduce_sum, reduced_shape, zeros_like
from fdl.ops.elementwise import mul, select, sub
from fdl.ops.parts import Parts, componentwise
from fdl.ops.sample import Sample, c64, f32, i32
from fdl.ops.vocabulary import Expr, Place, Value, Vocabulary


def _linear_jvp(primitive: Primitive) -> Callable[..., tuple[Any, Any]]:
    """The jvp of a linear operation of one operand: itself."""
    return lambda primals, tangents, **params: (primitive.bind(*primals, **params), primitive.bind(*tangents, **params))


# reshape


def reshape(x: Array, shape: Shape) -> Array:
    """The elements of `x` in row-major order under another shape of the same size.

    >>> import fdl.numpy as jnp
    >>> reshape(jnp.arange(6), (2, 3)).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    return x if aval_of(x).shape == tuple(shape) else reshape_p.bind(x, shape=tuple(shape))


def _reshape_shape(x: ShapedArray, *, shape: Shape) -> ShapedArray:
    out = x.update(shape=shape)
    if out.size != x.size:
        raise ShapeError(
            f"reshape: {x.describe()} has {x.size} elements, {shape} has {out.size}",
            hint="-1 for the one size that follows from the others",
        )
    return out


reshape_p = Primitive("reshape")
reshape_p.define(
    parts=componentwise(reshape_p),
    shape=_reshape_shape,
    impl=lambda x, *, shape: np.reshape(x, shape),
    jvp=_linear_jvp(reshape_p),
    transpose=lambda ct, operands, *, shape: [reshape(ct, operands[0].aval.shape)],
    batch=lambda axis, args, batched, *, shape: (reshape(args[0], (axis.size, *shape)), True),
    lower=lambda b, x, *, shape: b.reshape(x, shape),
    sizes=("shape",),
    samples=[
        Sample((c64(2, 6),), {"shape": (3, 4)}),
        Sample((f32(2, 6),), {"shape": (3, 4)}),
        Sample((f32(4),), {"shape": (1, 2, 1, 2)}),
        Sample((i32(1, 1),), {"shape": ()}),
        Sample((f32(0, 3),), {"shape": (3, 0)}),
        Sample((f32(4),), {"shape": (3,)}, fails=ShapeError),
    ],
).register()

# slice


def slice(x: ArrayLike, start: Sequence[int], limit: Sequence[int], strides: Sequence[int] | None = None) -> Array:
    """Elements from `start` below `limit` in steps of `strides`, an integer each an axis.

    >>> import fdl.numpy as jnp
    >>> slice(jnp.arange(6), (1,), (6,), (2,)).tolist()
    [1, 3, 5]
    """
    return slice_p.bind(x, start=tuple(start), limit=tuple(limit), strides=tuple(strides or (1,) * len(tuple(start))))


def slice_in_dim(x: ArrayLike, start: int, limit: int, axis: int = 0) -> Array:
    """The part of `x` from `start` below `limit` along one axis.

    >>> import fdl.numpy as jnp
    >>> slice_in_dim(jnp.arange(5), 1, 3).tolist()
    [1, 2]
    """
    shape = aval_of(x).shape
    starts, limits = [0] * len(shape), list(shape)
    starts[axis], limits[axis] = start, limit
    return slice(x, starts, limits)


def _slice_shape(
    x: ShapedArray, *, start: tuple[int, ...], limit: tuple[int, ...], strides: tuple[int, ...]
) -> ShapedArray:
    if not len(start) == len(limit) == len(strides) == x.ndim:
        raise ShapeError(
            f"slice: {x.describe()} needs {x.ndim} starts, limits and strides", hint=f"got {start}, {limit}, {strides}"
        )
    if any(not (0 <= a <= b <= d and s > 0) for a, b, s, d in zip(start, limit, strides, x.shape, strict=True)):
        raise ShapeError(
            f"slice: from {start} to {limit} in steps of {strides} is outside of {x.describe()}",
            hint="0 <= start <= limit <= size, strides of at least 1",
        )
    return x.update(shape=tuple((b - a + s - 1) // s for a, b, s in zip(start, limit, strides, strict=True)))


def _slice_impl(x: np.ndarray[Any, Any], *, start: Any, limit: Any, strides: Any) -> np.ndarray[Any, Any]:
    return x[tuple(np.s_[a:b:s] for a, b, s in zip(start, limit, strides, strict=True))]


def _slice_transpose(ct: Any, operands: Any, *, start: Any, limit: Any, strides: Any) -> list[Any]:
    out, shape = aval_of(ct).shape, operands[0].aval.shape
    reached = [a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, out, strides, strict=True)]
    config = tuple((a, d - r, s - 1) for a, d, r, s in zip(start, shape, reached, strides, strict=True))
    return [pad(ct, Literal(0, aval_of(ct).dtype), config)]


slice_p = Primitive("slice")
slice_p.define(
    parts=componentwise(slice_p),
    shape=_slice_shape,
    sizes=("start", "limit"),
    impl=_slice_impl,
    jvp=_linear_jvp(slice_p),
    transpose=_slice_transpose,
    batch=lambda axis, args, batched, *, start, limit, strides: (
        slice(args[0], (0, *start), (axis.size, *limit), (1, *strides)),
        True,
    ),
    lower=lambda b, x, *, start, limit, strides: b.view(
        tuple((z - a + s - 1) // s for a, z, s in zip(start, limit, strides, strict=True)),
        x,
        lambda index: tuple(i * s + a for i, a, s in zip(index, start, strides, strict=True)),
    ),
    samples=[
        Sample((c64(7),), {"start": (1,), "limit": (6,), "strides": (2,)}),
        Sample((f32(5, 6),), {"start": (1, 0), "limit": (4, 6), "strides": (1, 1)}),
        Sample((f32(7),), {"start": (1,), "limit": (6,), "strides": (2,)}),
        Sample((f32(8),), {"start": (0,), "limit": (7,), "strides": (3,)}),
        Sample((i32(5),), {"start": (2,), "limit": (2,), "strides": (1,)}),
        Sample((f32(5),), {"start": (2,), "limit": (6,), "strides": (1,)}, fails=ShapeError),
    ],
).register()

# pad


def pad(x: Array, value: ArrayLike, config: Sequence[tuple[int, int, int]]) -> Array:
    """`x` with `(before, after, between)` copies of the scalar `value` along each axis; negative edges cut.

    >>> import fdl.numpy as jnp
    >>> pad(jnp.array([1, 2]), jnp.int32(0), [(1, 0, 2)]).tolist()
    [0, 1, 0, 0, 2]
    """
    config = tuple((int(a), int(b), int(c)) for a, b, c in config)
    return x if all(c == (0, 0, 0) for c in config) else pad_p.bind(x, value, config=config)


def _pad_size(d: Dim, config: tuple[int, int, int]) -> Dim:
    before, after, between = config
    return before + d + after + between * max(d - 1, 0)


def _pad_shape(x: ShapedArray, value: ShapedArray, *, config: Any) -> ShapedArray:
    if len(config) != x.ndim or value.shape != () or value.dtype != x.dtype or any(c[2] < 0 for c in config):
        raise ShapeError(
            f"pad: {x.describe()} with {value.describe()} and {config}",
            why="it takes (before, after, between) for each axis, and a scalar of the same dtype",
        )
    shape = tuple(_pad_size(d, c) for d, c in zip(x.shape, config, strict=True))
    if any(d < 0 for d in shape):
        raise ShapeError(f"pad: {config} cuts more than {x.describe()} has")
    return x.update(shape=shape)


def _pad_impl(x: np.ndarray[Any, Any], value: Any, *, config: Any) -> np.ndarray[Any, Any]:
    spread = np.full([d + c[2] * max(d - 1, 0) for d, c in zip(x.shape, config, strict=True)], value, x.dtype)
    spread[tuple(np.s_[:: c[2] + 1] for c in config)] = x
    wide = np.pad(spread, [(max(a, 0), max(b, 0)) for a, b, _ in config], constant_values=value)
    return wide[tuple(np.s_[max(-a, 0) : d - max(-b, 0)] for (a, b, _), d in zip(config, wide.shape, strict=True))]


def _pad_jvp(primals: Any, tangents: Any, *, config: Any) -> tuple[Any, Any]:
    return pad_p.bind(*primals, config=config), pad_p.bind(*map(instantiate, tangents), config=config)


def _pad_transpose(ct: Any, operands: Any, *, config: Any) -> list[Any]:
    x, value = operands
    shape = aval_of(ct).shape
    ct_x = None
    if is_linear(x) or is_linear(value):
        uncut = pad(ct, Literal(0, aval_of(ct).dtype), [(max(-a, 0), max(-b, 0), 0) for a, b, _ in config])
        start = [max(a, 0) for a, _, _ in config]
        spread = [d + c[2] * max(d - 1, 0) for d, c in zip(aval_of(x).shape, config, strict=True)]
        ct_x = slice(uncut, start, [a + n for a, n in zip(start, spread, strict=True)], [c[2] + 1 for c in config])
    ct_value = None
    if is_linear(value):  # all cotangents but those of the elements of x that remain
        inside = pad(
            broadcast(Literal(1, aval_of(ct).dtype), aval_of(x).shape, ()), Literal(0, aval_of(ct).dtype), config
        )
        ct_value = reduce_sum(mul(ct, sub(1, inside)), range(len(shape)))
    return [ct_x if is_linear(x) else None, ct_value]


def _pad_batch(axis: Any, args: Any, batched: Any, *, config: Any) -> tuple[Any, Any]:
    x, value = args
    if not batched[0]:
        x = broadcast(x, (axis.size, *aval_of(x).shape), range(1, aval_of(x).ndim + 1))
    if not batched[1]:
        return pad(x, value, ((0, 0, 0), *config)), True
    from_zero = pad(x, Literal(0, aval_of(x).dtype), ((0, 0, 0), *config))
    ones = broadcast(Literal(True, dtypes.bool_), aval_of(x).shape, ())
    inside = pad(ones, Literal(False, dtypes.bool_), ((0, 0, 0), *config))
    return select(inside, from_zero, broadcast(value, aval_of(from_zero).shape, (0,))), True


def _pad_lower(b: Vocabulary, x: Value, value: Value, *, config: Sequence[tuple[int, int, int]]) -> Value:
    shape = tuple(_pad_size(d, c) for d, c in zip(x.shape, config, strict=True))
    if all(before <= 0 and after <= 0 and not between for before, after, between in config):  # a cut is a view
        return b.view(shape, x, lambda index: [i - before for i, (before, _, _) in zip(index, config, strict=True)])

    def at(index: Place) -> Expr:
        conditions, source = [], []
        for i, d, (before, after, between) in zip(index, x.shape, config, strict=True):
            shifted = i - before
            if between:
                conditions += [b.divides(between + 1, shifted)]
                shifted = b.quotient(shifted, between + 1)
            if before > 0 or between:
                conditions.append(b.at_least(shifted, 0))
            if after > 0 or between:
                conditions.append(b.below(shifted, d))
            source.append(shifted)
        return b.choose(conditions, lambda: x.at(tuple(source)), lambda: value.at(()))

    return b.compute(shape, x.dtype, at, [x, value])


pad_p = Primitive("pad")
pad_p.define(
    parts=componentwise(pad_p),
    shape=_pad_shape,
    impl=_pad_impl,
    jvp=_pad_jvp,
    transpose=_pad_transpose,
    batch=_pad_batch,
    lower=_pad_lower,
    samples=[
        Sample((c64(3), c64()), {"config": ((1, 0, 2),)}),
        Sample((f32(3, 2), f32()), {"config": ((1, 2, 0), (0, 1, 0))}),
        Sample((f32(3), f32()), {"config": ((1, 0, 2),)}),
        Sample((f32(5), f32()), {"config": ((-1, 2, 0),)}),
        Sample((f32(5), f32()), {"config": ((-2, -1, 1),)}),
        Sample((f32(0), f32()), {"config": ((2, 1, 1),)}),
        Sample((i32(2, 2), i32()), {"config": ((0, 1, 0), (1, 0, 1))}),
        Sample((f32(3), i32()), {"config": ((1, 1, 0),)}, fails=ShapeError),
    ],
).register()

# concatenate


def concatenate(xs: Sequence[Any], axis: int) -> Array:
    """Arrays of one dtype joined along an axis.

    >>> import fdl.numpy as jnp
    >>> concatenate([jnp.arange(2), jnp.arange(3)], 0).tolist()
    [0, 1, 0, 1, 2]
    """
    return xs[0] if len(xs) == 1 else concatenate_p.bind(*xs, axis=axis)


def _concatenate_shape(*avals: ShapedArray, axis: int) -> ShapedArray:
    first = avals[0]
    if not 0 <= axis < first.ndim:
        raise ShapeError(
            f"concatenate: {first.describe()} has no axis {axis}",
            why=f"it has {first.ndim}",
            hint="jnp.stack for a new axis",
        )
    for a in avals:
        if (
            a.dtype != first.dtype
            or a.ndim != first.ndim
            or any(i != axis and d != e for i, (d, e) in enumerate(zip(a.shape, first.shape, strict=True)))
        ):
            raise ShapeError(
                f"concatenate: {' and '.join(a.describe() for a in avals)} do not fit",
                why=f"they must be equal but for the size of axis {axis}",
                hint="jnp.stack for a new axis, jnp.pad or x[..., :n] for equal sizes",
            )
    shape = list(first.shape)
    shape[axis] = sum(a.shape[axis] for a in avals)
    return first.update(shape=tuple(shape), weak_type=all(a.weak_type for a in avals))


def _concatenate_jvp(primals: Any, tangents: Any, *, axis: int) -> tuple[Any, Any]:
    return concatenate_p.bind(*primals, axis=axis), concatenate_p.bind(*map(instantiate, tangents), axis=axis)


def _concatenate_transpose(ct: Any, operands: Any, *, axis: int) -> list[Any]:
    cts, start = [], 0
    for x in operands:
        limit = start + aval_of(x).shape[axis]
        cts.append(slice_in_dim(ct, start, limit, axis) if is_linear(x) else None)
        start = limit
    return cts


def _concatenate_batch(axis_: Any, args: Any, batched: Any, *, axis: int) -> tuple[Any, Any]:
    whole = [
        x if b else broadcast(x, (axis_.size, *aval_of(x).shape), range(1, aval_of(x).ndim + 1))
        for x, b in zip(args, batched, strict=True)
    ]
    return concatenate(whole, axis + 1), True


concatenate_p: Primitive = (
    Primitive("concatenate")
    .define(
        shape=_concatenate_shape,
        impl=lambda *xs, axis: np.concatenate(xs, axis),
        jvp=_concatenate_jvp,
        transpose=_concatenate_transpose,
        batch=_concatenate_batch,
        lower=lambda b, *xs, axis: b.concatenate(xs, axis),
        samples=[
            Sample((c64(2, 3), c64(1, 3)), {"axis": 0}),
            Sample((f32(2, 3), f32(1, 3)), {"axis": 0}),
            Sample((f32(2, 3), f32(2, 0), f32(2, 1)), {"axis": 1}),
            Sample((i32(2), i32(2)), {"axis": 0}),
            Sample((f32(2), f32(2, 1)), {"axis": 0}, fails=ShapeError),
        ],
    )
    .register()
)
concatenate_p.define(parts=componentwise(concatenate_p))

# reverse


def reverse(x: Array, axes: Sequence[int]) -> Array:
    """`x` with the order along some axes turned round.

    >>> import fdl.numpy as jnp
    >>> reverse(jnp.arange(3), (0,)).tolist()
    [2, 1, 0]
    """
    return reverse_p.bind(x, axes=tuple(axes)) if axes else x


def _reverse_shape(x: ShapedArray, *, axes: tuple[int, ...]) -> ShapedArray:
    reduced_shape("reverse", x, axes)
    return x


reverse_p = Primitive("reverse")
reverse_p.define(
    parts=componentwise(reverse_p),
    shape=_reverse_shape,
    impl=lambda x, *, axes: np.flip(x, axes),
    jvp=_linear_jvp(reverse_p),
    transpose=lambda ct, operands, *, axes: [reverse(ct, axes)],
    batch=lambda axis, args, batched, *, axes: (reverse(args[0], [a + 1 for a in axes]), True),
    lower=lambda b, x, *, axes: b.view(
        x.shape,
        x,
        lambda index: tuple(
            i * -1 + (d - 1) if k in axes else i for k, (i, d) in enumerate(zip(index, x.shape, strict=True))
        ),
    ),
    samples=[
        Sample((c64(3, 2),), {"axes": (0,)}),
        Sample((f32(3, 4),), {"axes": (1,)}),
        Sample((i32(2, 3),), {"axes": (0, 1)}),
        Sample((f32(2),), {"axes": (1,)}, fails=ShapeError),
    ],
).register()

# iota


def iota(shape: Shape, axis: int, dtype: Any = dtypes.int32) -> Array:
    """Each element's index along one axis.

    >>> iota((2, 3), 1).tolist()
    [[0, 1, 2], [0, 1, 2]]
    """
    return iota_p.bind(shape=sizes(shape), axis=axis, dtype=dtypes.canonical(dtype))


def _iota_impl(*, shape: Shape, axis: int, dtype: DType) -> np.ndarray[Any, Any]:
    column = np.arange(shape[axis]).astype(dtype).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return np.broadcast_to(column, shape)


def _iota_shape(*, shape: Shape, axis: int, dtype: DType) -> ShapedArray:
    if not 0 <= axis < len(shape):
        raise ShapeError(f"iota: shape {shape} has no axis {axis}")
    return shaped(shape, dtype)


def _iota_parts(*, shape: Shape, axis: int, dtype: DType) -> Parts:
    re = iota(shape, axis, dtypes.real_dtype(dtype))
    return Parts(re, zeros_like(aval_of(re)))


iota_p: Primitive = (
    Primitive("iota")
    .define(
        shape=_iota_shape,
        sizes=("shape",),
        impl=_iota_impl,
        jvp=lambda primals, tangents, **params: (iota_p.bind(**params), Zero(_iota_shape(**params))),
        batch=lambda axis, args, batched, **params: (iota_p.bind(**params), False),
        parts=_iota_parts,
        lower=lambda b, *, shape, axis, dtype: b.compute(shape, dtype, lambda index: b.number(index[axis], dtype), []),
        samples=[
            Sample((), {"shape": (3, 4), "axis": 0, "dtype": dtypes.int32}),
            Sample((), {"shape": (5,), "axis": 0, "dtype": dtypes.float32}),
            Sample((), {"shape": (5,), "axis": 0, "dtype": dtypes.complex64}),
            Sample((), {"shape": (2, 3), "axis": 2, "dtype": dtypes.int32}, fails=ShapeError),
        ],
    )
    .register()
)
