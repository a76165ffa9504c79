"""Operations at places that are computed: a block of fixed sizes at computed starts, read or replaced.

`dynamic_slice` and `dynamic_update_slice` are each other's transpose. A start is moved so that the block fits, as in
XLA; negative starts are for the caller to wrap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import Shape, ShapedArray
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.primitive import Primitive
from fdl.core.tangents import is_linear
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast, convert, zeros_like
from fdl.ops.elementwise import add, maximum, minimum
from fdl.ops.indexing import batch_all, gather, jvp_in_first, jvp_in_first_two, scatter, widened
from fdl.ops.parts import componentwise
from fdl.ops.sample import Sample, c64, f32, i32
from fdl.ops.shape import iota
from fdl.ops.vocabulary import Place, Value, Vocabulary


def _check_block(what: str, x: ShapedArray, starts: Sequence[ShapedArray], sizes: Shape) -> None:
    if not x.ndim == len(starts) == len(sizes) or any(not 0 <= n <= d for n, d in zip(sizes, x.shape, strict=True)):
        raise ShapeError(
            f"{what}: a block of {tuple(sizes)} with {len(starts)} starts does not fit into {x.describe()}",
            hint="a start and a size for each axis",
        )
    if any(s.shape or not dtypes.is_integer(s.dtype) for s in starts):
        raise DtypeError(f"{what}: starts must be 0-d integers, not {' and '.join(s.describe() for s in starts)}")


def _block(shape: Shape, starts: Sequence[Any], sizes: Shape) -> tuple[Any, ...]:
    return tuple(
        np.s_[a : a + n]
        for a, n in ((min(max(int(s), 0), d - n), n) for s, n, d in zip(starts, sizes, shape, strict=True))
    )


def _index_arrays(shape: Shape, starts: Sequence[Any], sizes: Shape) -> list[Any]:
    """Index arrays `(B,) + sizes` of one block for each of B starts."""
    count = aval_of(starts[0]).shape[0]
    block = (count, *sizes)
    inside = [maximum(minimum(widened(s, d), d - n), 0) for s, n, d in zip(starts, sizes, shape, strict=True)]
    return [add(iota(block, axis + 1, aval_of(s).dtype), broadcast(s, block, (0,))) for axis, s in enumerate(inside)]


# dynamic_slice


def dynamic_slice(x: Array, starts: Sequence[Any], sizes: Sequence[int]) -> Array:
    """The block of these sizes at computed starts, 0-d integers, one an axis.

    >>> import fdl.numpy as jnp
    >>> dynamic_slice(jnp.arange(5), (3,), (2,)).tolist(), dynamic_slice(jnp.arange(5), (9,), (2,)).tolist()
    ([3, 4], [3, 4])
    """
    return dynamic_slice_p.bind(x, *starts, sizes=tuple(sizes)) if aval_of(x).ndim else x


def _slice_shape(x: ShapedArray, *starts: ShapedArray, sizes: Shape) -> ShapedArray:
    _check_block("dynamic_slice", x, starts, sizes)
    return x.update(shape=sizes)


def _slice_batch(axis: Any, args: Any, batched: Any, *, sizes: Shape) -> tuple[Any, Any]:
    x, *starts = args
    if not any(batched[1:]):
        return dynamic_slice_p.bind(x, convert(0, dtypes.int32), *starts, sizes=(axis.size, *sizes)), True
    x, *starts = batch_all(axis, args, batched)
    return gather(x, _index_arrays(aval_of(x).shape[1:], starts, sizes), range(1, aval_of(x).ndim), 1), True


def _moved(b: Vocabulary, index: Place, starts: Sequence[Value], sizes: Shape, shape: Shape) -> Place:
    """The place in the whole of a place in the block."""
    return tuple([i + b.clipped(s.at(()), d - n + 1) for i, s, n, d in zip(index, starts, sizes, shape, strict=True)])


def _slice_lower(b: Vocabulary, x: Value, *starts: Value, sizes: Shape) -> Value:
    return b.compute(
        sizes,
        x.dtype,
        lambda index: x.at(_moved(b, index, starts, sizes, x.shape)),
        [x, *starts],
        random_access=[x, *starts],
    )


dynamic_slice_p = Primitive("dynamic_slice")
dynamic_update_slice_p = Primitive("dynamic_update_slice")
dynamic_slice_p.define(
    parts=componentwise(dynamic_slice_p),
    shape=_slice_shape,
    sizes=("sizes",),
    impl=lambda x, *starts, sizes: x[_block(x.shape, starts, sizes)],
    jvp=jvp_in_first(dynamic_slice_p),
    transpose=lambda ct, operands, *, sizes: [
        dynamic_update_slice_p.bind(zeros_like(operands[0].aval), ct, *operands[1:]),
        *(None for _ in operands[1:]),
    ],
    batch=_slice_batch,
    lower=_slice_lower,
    samples=[
        Sample((f32(5, 6), np.int32(1), np.int32(3)), {"sizes": (2, 3)}),
        Sample((f32(5, 6), np.int32(-4), np.int64(9)), {"sizes": (3, 4)}),
        Sample((i32(7), np.int32(2)), {"sizes": (0,)}),
        Sample((f32(5), np.int32(0)), {"sizes": (6,)}, fails=ShapeError),
        Sample((f32(5), f32()), {"sizes": (2,)}, fails=DtypeError),
    ],
).register()

# dynamic_update_slice


def dynamic_update_slice(x: ArrayLike, update: Any, starts: Sequence[Any]) -> Array:
    """`x` with the block at computed starts replaced by `update`.

    >>> import fdl.numpy as jnp
    >>> dynamic_update_slice(jnp.arange(4), jnp.array([9, 9]), (1,)).tolist()
    [0, 9, 9, 3]
    """
    return dynamic_update_slice_p.bind(x, update, *starts) if aval_of(x).ndim else update


def _update_shape(x: ShapedArray, update: ShapedArray, *starts: ShapedArray) -> ShapedArray:
    _check_block("dynamic_update_slice", x, starts, update.shape)
    if x.dtype != update.dtype:
        raise DtypeError(
            f"dynamic_update_slice: {x.describe()} with an update {update.describe()}", hint="update.astype(x.dtype)"
        )
    return x


def _update_impl(x: np.ndarray[Any, Any], update: Any, *starts: Any) -> np.ndarray[Any, Any]:
    out = np.array(x)
    out[_block(x.shape, starts, update.shape)] = update
    return out


def _update_transpose(ct: Any, operands: Any) -> list[Any]:
    x, update, *starts = operands
    shape = aval_of(update)
    ct_x = (
        dynamic_update_slice_p.bind(ct, zeros_like(aval_of(ct).update(shape=shape.shape)), *starts)
        if is_linear(x)
        else None
    )
    ct_update = dynamic_slice_p.bind(ct, *starts, sizes=shape.shape) if is_linear(update) else None
    return [ct_x, ct_update, *(None for _ in starts)]


def _update_batch(axis: Any, args: Any, batched: Any) -> tuple[Any, Any]:
    x, update = batch_all(axis, args[:2], batched[:2])
    if not any(batched[2:]):
        return dynamic_update_slice_p.bind(x, update, convert(0, dtypes.int32), *args[2:]), True
    starts = batch_all(axis, args[2:], batched[2:])
    return scatter(
        x, update, _index_arrays(aval_of(x).shape[1:], starts, aval_of(update).shape[1:]), range(1, aval_of(x).ndim), 1
    ), True


def _update_lower(b: Vocabulary, x: Value, update: Value, *starts: Value) -> Value:
    return b.scatter(
        "set", x, update, lambda index: (_moved(b, index, starts, update.shape, x.shape), []), distinct=True
    )


dynamic_update_slice_p.define(
    parts=componentwise(dynamic_update_slice_p),
    shape=_update_shape,
    impl=_update_impl,
    jvp=jvp_in_first_two(dynamic_update_slice_p),
    transpose=_update_transpose,
    batch=_update_batch,
    lower=_update_lower,
    samples=[
        Sample((f32(5, 6), f32(2, 3), np.int32(1), np.int32(3))),
        Sample((c64(5, 6), c64(2, 3), np.int32(1), np.int32(3))),
        Sample((f32(5, 6), f32(3, 4), np.int32(-4), np.int64(9))),
        Sample((i32(4), i32(0), np.int32(1))),
        Sample((f32(3), f32(4), np.int32(0)), fails=ShapeError),
        Sample((f32(3), i32(2), np.int32(0)), fails=DtypeError),
    ],
).register()
