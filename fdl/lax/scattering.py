"""Windows read and written at computed places: `gather` and `scatter` with XLA's dimension numbers.

Each element of a window has one place along each axis of the operand. All places are worked out as arrays, one an axis,
so that both become a gather or scatter of single elements.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.trace import aval_of
from fdl.numpy import asarray
from fdl.numpy._bounds import fill_of


class GatherDimensionNumbers(NamedTuple):
    """Axes of a gather.

    - `offset_dims`: axes of the result along which windows lie
    - `collapsed_slice_dims`: axes of the operand, of windows of size 1, that the result does not have
    - `start_index_map`: to which axis of the operand each number of an index vector belongs
    - `operand_batching_dims`, `start_indices_batching_dims`: axes of operand and indices that go together
    """

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()


class ScatterDimensionNumbers(NamedTuple):
    """Axes of a scatter: `update_window_dims` of the updates, along which windows lie; the others are as those of
    `GatherDimensionNumbers`, in this order.
    """

    update_window_dims: Sequence[int]
    inserted_window_dims: Sequence[int]
    scatter_dims_to_operand_dims: Sequence[int]
    operand_batching_dims: Sequence[int] = ()
    scatter_indices_batching_dims: Sequence[int] = ()


class GatherScatterMode(enum.Enum):
    """What is done with windows that do not lie inside."""

    CLIP = 0
    FILL_OR_DROP = 1
    PROMISE_IN_BOUNDS = 2

    @staticmethod
    def from_any(mode: Any) -> GatherScatterMode:
        """The mode of a name; None is FILL_OR_DROP."""
        if isinstance(mode, GatherScatterMode):
            return mode
        names = {
            None: GatherScatterMode.FILL_OR_DROP, "fill": GatherScatterMode.FILL_OR_DROP,
            "drop": GatherScatterMode.FILL_OR_DROP, "clip": GatherScatterMode.CLIP,
            "promise_in_bounds": GatherScatterMode.PROMISE_IN_BOUNDS,
        }  # fmt: skip
        if mode not in names:
            raise ChoiceError(f"mode={mode!r} is none of {', '.join(repr(n) for n in names)}", hint="mode='clip'")
        return names[mode]


def _places(
    shape: Sequence[int], indices: Array, numbers: GatherDimensionNumbers, windows: Sequence[int], mode: Any
) -> tuple[list[Array], Array | None]:
    """Of each element of the result, its place along each axis of the operand, and whether its window lies inside;
    None where that is certain. `windows` are sizes along the axes of the operand.
    """
    *lead, count = aval_of(indices).shape
    if count != len(numbers.start_index_map) or len(windows) != len(shape):
        raise ShapeError(f"gather, scatter: indices {aval_of(indices).describe()} for {numbers}")
    gone = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    kept = [d for d in range(len(shape)) if d not in gone]
    rank = len(lead) + len(kept)
    offsets = [d % rank for d in numbers.offset_dims]
    batch = [i for i in range(rank) if i not in offsets]
    sizes = dict(zip(batch, lead, strict=True)) | {o: windows[d] for o, d in zip(offsets, kept, strict=True)}
    out = tuple(sizes[i] for i in range(rank))
    found: list[Array] = []
    inside: Array | None = None
    for d, size in enumerate(shape):
        at = ops.full(out, 0, dtypes.int32)
        if d in numbers.start_index_map:
            k = numbers.start_index_map.index(d)
            start = ops.widened(ops.reshape(ops.slice_in_dim(indices, k, k + 1, len(lead)), tuple(lead)), size)
            most = size - windows[d]
            if GatherScatterMode.from_any(mode) == GatherScatterMode.FILL_OR_DROP:
                fits = ops.bitwise_and(ops.greater_equal(start, 0), ops.less_equal(start, most))
                fits = ops.broadcast(fits, out, batch)
                inside = fits if inside is None else ops.bitwise_and(inside, fits)
            at = ops.broadcast(ops.convert(ops.minimum(ops.maximum(start, 0), most), dtypes.int32), out, batch)
        elif d in numbers.operand_batching_dims:
            at = ops.iota(out, batch[numbers.start_indices_batching_dims[numbers.operand_batching_dims.index(d)]])
        if d in kept and windows[d] > 1:
            at = ops.add(at, ops.iota(out, offsets[kept.index(d)]))
        found.append(at)
    return found, inside


def gather(
    operand: Array,
    start_indices: Array,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    mode: Any = None,
    fill_value: Any = None,
) -> Array:
    """Windows of `slice_sizes` at starts that stand along the last axis of `start_indices`.

    A window that does not lie inside is moved there, or for `mode` "fill" is `fill_value` (by default NaN, the smallest
    integer, the largest unsigned one). Unless the mode is "clip", no gradient goes where a window was moved, as in JAX.
    `unique_indices` and `indices_are_sorted` are accepted.

    >>> import fdl.numpy as jnp
    >>> numbers = GatherDimensionNumbers((1,), (), (0,))
    >>> gather(jnp.arange(5), jnp.array([[3], [0]]), numbers, (2,)).tolist()
    [[3, 4], [0, 1]]
    """
    x = asarray(operand)
    kind = GatherScatterMode.PROMISE_IN_BOUNDS if mode is None else GatherScatterMode.from_any(mode)
    checked = GatherScatterMode.CLIP if kind == GatherScatterMode.CLIP else GatherScatterMode.FILL_OR_DROP
    places, inside = _places(aval_of(x).shape, start_indices, dimension_numbers, slice_sizes, checked)
    out = ops.gather(x, places, range(len(places))) if places else x
    if inside is None:
        return out
    moved = kind == GatherScatterMode.PROMISE_IN_BOUNDS
    return ops.select(inside, out, ops.stop_gradient(out) if moved else fill_of(aval_of(out).dtype, fill_value))


def _scattered(
    write: Callable[..., Array], x: Array, indices: Array, updates: Array, numbers: ScatterDimensionNumbers, mode: Any
) -> Array:
    shape, given = aval_of(x).shape, aval_of(updates)
    gone = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    sizes = iter([given.shape[d] for d in numbers.update_window_dims])
    windows = [1 if d in gone else next(sizes) for d in range(len(shape))]
    as_gather = GatherDimensionNumbers(*(tuple(axes) for axes in numbers))
    places, inside = _places(shape, indices, as_gather, windows, mode)
    numbers_ = ops.full(given.shape, 0, dtypes.int32)  # of the elements in the flat operand
    for d, at in enumerate(places):
        numbers_ = ops.add(numbers_, ops.mul(at, math.prod(shape[d + 1 :])))
    numbers_ = numbers_ if inside is None else ops.select(inside, numbers_, -1)
    flat, size = ops.reshape(x, (math.prod(shape),)), given.size
    out = write(flat, ops.reshape(updates, (size,)), [ops.reshape(numbers_, (size,))], (0,), 0, "drop")
    return ops.reshape(out, shape)


def _writer(write: Callable[..., Array], what: str, example: str) -> Callable[..., Array]:
    def function(
        operand: Array,
        scatter_indices: Array,
        updates: Array,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
    ) -> Array:
        x = asarray(operand)
        new = ops.cast(asarray(updates), aval_of(x).dtype)
        return _scattered(write, x, scatter_indices, new, dimension_numbers, mode)

    function.__doc__ = f"""A copy of `operand` in which windows at starts, along the last axis of `scatter_indices`, are
    {what} `updates`. A window that does not lie inside is left out, or for `mode` "clip" moved inside.

    >>> import fdl.numpy as jnp
    >>> numbers = ScatterDimensionNumbers((), (0,), (0,))
    >>> {example}
    """
    return function


scatter = _writer(
    ops.scatter, "replaced by",
    "scatter(jnp.arange(3), jnp.array([[1]]), jnp.array([9]), numbers).tolist()\n    [0, 9, 2]",
)  # fmt: skip
scatter_add = _writer(
    ops.scatter_add, "raised by",
    "scatter_add(jnp.arange(3), jnp.array([[1]]), jnp.array([9]), numbers).tolist()\n    [0, 10, 2]",
)  # fmt: skip
scatter_mul = _writer(
    ops.scatter_mul, "multiplied by",
    "scatter_mul(jnp.arange(3), jnp.array([[1]]), jnp.array([9]), numbers).tolist()\n    [0, 9, 2]",
)  # fmt: skip
scatter_min = _writer(
    ops.scatter_min, "limited from above by",
    "scatter_min(jnp.arange(3), jnp.array([[2]]), jnp.array([1]), numbers).tolist()\n    [0, 1, 1]",
)  # fmt: skip
scatter_max = _writer(
    ops.scatter_max, "limited from below by",
    "scatter_max(jnp.arange(3), jnp.array([[2]]), jnp.array([9]), numbers).tolist()\n    [0, 1, 9]",
)  # fmt: skip
scatter_sub = _writer(
    lambda x, updates, *rest: ops.scatter_add(x, ops.neg(updates), *rest), "lowered by",
    "scatter_sub(jnp.arange(3), jnp.array([[1]]), jnp.array([9]), numbers).tolist()\n    [0, -8, 2]",
)  # fmt: skip


__all__ = [
    "GatherDimensionNumbers", "GatherScatterMode", "ScatterDimensionNumbers", "gather", "scatter", "scatter_add",
    "scatter_max", "scatter_min", "scatter_mul", "scatter_sub",
]  # fmt: skip
