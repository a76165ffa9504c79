"""Reading by indices: `x[...]`, `take` and `take_along_axis`; `_at.py` writes, `_bounds.py` says what happens outside
of the array.

An index is resolved into slices and numbers, which are views to the compiler, and arrays of places, which are gathered.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import VOLATILE, Array, ConcreteArray, Deferred, as_array
from fdl.core.errors import DtypeError, ImmutableError, IndexBoundsError, ShapeError, TracedMaskError
from fdl.core.graph import ArrayLike
from fdl.core.trace import Tracer, aval_of, recording
from fdl.numpy._bounds import Rule, fill_of, inside, placed, placed_number
from fdl.numpy._create import array
from fdl.numpy._math import _operand, axes_of
from fdl.ops.axes import part_aval


class _Basic(NamedTuple):
    """A static part of an index: slice or integer of each axis, and which axes are turned round."""

    start: list[int]
    limit: list[int]
    strides: list[int]
    reverse: list[int]


def _is_array_index(item: Any) -> bool:
    return isinstance(item, (Array, np.ndarray, list, bool)) or (
        isinstance(item, np.generic) and not isinstance(item, np.integer)
    )


def _normalised(index: Any, shape: Sequence[int]) -> tuple[list[Any], tuple[int, ...], int]:
    """Items with the ellipsis expanded and masks made integers, one item an axis besides None; the shape that they
    index; where the ellipsis stood.

    A mask without axes indexes an axis of size 1 that is put in for it: `x[True]` is `x[None]`, and `x[False]` is
    empty.
    """
    out: list[Any] = []
    masks: list[tuple[int, ConcreteArray]] = []  # where in `out` the places of a mask begin
    for item in index if isinstance(index, tuple) else [index]:
        if type(item) is int or type(item) is slice or item is None or item is Ellipsis:
            out.append(item)
        elif _is_array_index(item):
            found = _as_index(item)
            if aval_of(found).dtype == dtypes.bool_:
                mask = as_array(found)
                masks.append((len(out), mask))
                out.extend(as_array(part.astype(np.int32)) for part in np.nonzero(np.atleast_1d(mask._numpy())))
            else:
                out.append(found)
        elif isinstance(item, (int, np.integer)):
            out.append(int(item))
        else:
            raise DtypeError(
                f"an index cannot be {type(item).__name__} {item!r}",
                hint="integers, slices, None, ... or integer arrays",
            )
    used = _axes_in(out) - sum(not mask.ndim for _, mask in masks)
    if used > len(shape):
        raise IndexBoundsError(
            (
                f"{used} {'index' if used == 1 else 'indices'} for an array of shape {tuple(shape)}, "
                f"which has {len(shape)} axes"
            ),
            why="each index but None and `...` takes one axis",
            hint="the value as it is: it has no axes" if not shape else f"x[{', '.join('i' * len(shape))}]",
        )
    ellipses = [i for i, item in enumerate(out) if item is Ellipsis]
    if len(ellipses) > 1:
        raise IndexBoundsError("an index has more than one ellipsis", hint="slices, `:`, for all axes but one")
    place, rest = ellipses[0] if ellipses else len(out), len(shape) - used
    whole = list(shape)
    for i, mask in masks:
        axis = _axes_in(out[:i]) + (rest if i > place else 0)
        if not mask.ndim:
            whole.insert(axis, 1)
        elif mask.shape != tuple(whole[axis : axis + mask.ndim]):
            raise IndexBoundsError(
                f"a mask of shape {mask.shape} cannot index axes of shape {tuple(whole[axis : axis + mask.ndim])}",
                why="a mask says of each element whether it is taken",
                hint="a mask with the shape of the axes that it indexes",
            )
    return [*out[:place], *[slice(None)] * rest, *out[place + 1 :]], tuple(whole), place


def _axes_in(items: Sequence[Any]) -> int:
    return sum(item is not None and item is not Ellipsis for item in items)


def _as_index(item: Any) -> Array:
    """An index array of integers, or a mask, which has a value; an empty list counts as integers."""
    x = item if isinstance(item, Array) else array(item)
    if aval_of(x).dtype == dtypes.bool_:
        if isinstance(x, Tracer):
            if (known := x.concrete()) is None:
                x.refuse(
                    "x[mask]",
                    TracedMaskError,
                    "the size of the result would depend on the mask's values",
                    "jnp.where(mask, x, 0), or x.at[...] of places that are computed",
                )
            return known
        return x
    if not dtypes.is_integer(aval_of(x).dtype):
        if isinstance(item, list) and not aval_of(x).size:
            return ops.convert(x, dtypes.int32)
        raise DtypeError(f"an index must be integers, not {aval_of(x).describe()}", hint="x.astype(jnp.int32)")
    return x


def _as_places(indices: Any) -> Array:
    """An index that is an argument of its own: integers, of any shape."""
    index = _as_index(indices if isinstance(indices, (Array, list)) else array(indices))
    if aval_of(index).dtype == dtypes.bool_:
        raise DtypeError(
            f"an index must be integers, not {aval_of(index).describe()}",
            hint="x[mask] for the elements where a mask holds",
        )
    return index


def static_region(shape: Sequence[int], items: Sequence[Any]) -> _Basic:
    """Slices and integers of all axes; axes with an index array are taken whole."""
    start, limit, strides, reverse = [], [], [], []
    axis = 0
    for item in items:
        if item is None:
            continue
        n = shape[axis]
        if type(item) is int:
            a, b, s = item, item + 1, 1
        elif isinstance(item, slice):
            a, b, s = slice(*(_edge(v) for v in (item.start, item.stop, item.step))).indices(n)
            if s < 0:  # the same elements from the front, then turned round
                count = max(0, (b - a + s + 1) // s)
                a, b, s = (a + (count - 1) * s, a + 1, -s) if count else (0, 0, 1)
                reverse.append(axis)
            b = max(a, b)
        else:
            a, b, s = 0, n, 1
        start.append(a)
        limit.append(b)
        strides.append(s)
        axis += 1
    return _Basic(start, limit, strides, reverse)


def _edge(value: Any) -> int | None:
    """A part of a slice."""
    if isinstance(value, Tracer) and value.concrete() is None:
        value.refuse(
            "x[start:stop]",
            TracedMaskError,
            "the size of the result would depend on it",
            "lax.dynamic_slice_in_dim(x, start, size) for a start that is computed",
        )
    return None if value is None else operator.index(value)


class Resolved(NamedTuple):
    """An index with all places counted from the front.

    `items` are slices, None, ints that lie inside, and arrays; they index an array of shape `whole`. `arrays` are those
    with their axes, and `handling` is the mode of a gather or scatter: what is done with places of arrays that lie
    outside. Before the item `ellipsis` an ellipsis stood, or the end.
    """

    items: list[Any]
    whole: tuple[int, ...]
    arrays: list[tuple[int, Any]]
    handling: str
    ellipsis: int


def resolved(index: Any, shape: Sequence[int], rule: Rule) -> Resolved:
    """What an index of an array of this shape means by a rule."""
    items, whole, ellipsis = _normalised(index, shape)
    axis, found = 0, []  # of arrays: place among the items, axis
    for i, item in enumerate(items):
        if item is None:
            continue
        if type(item) is int:
            items[i] = item = placed_number(item, whole[axis], axis, rule)
        if isinstance(item, Array):
            found.append((i, axis))
        axis += 1
    if not found:
        return Resolved(items, whole, [], "", ellipsis)
    places, handling = placed([(axis, items[i]) for i, axis in found], whole, rule)
    for (i, _), place in zip(found, places, strict=True):
        items[i] = place
    return Resolved(items, whole, [(axis, items[i]) for i, axis in found], handling, ellipsis)


_READ = Rule()


def getitem(x: ArrayLike, index: Any) -> Array:
    """`x[index]` with NumPy's meaning: integers, slices, None, `...`, integer arrays and concrete masks.

    An integer outside of the array is an IndexBoundsError where it has a value; in a recording (`jit`, loops) it is
    moved inside, as in JAX.

    >>> getitem(array([[1, 2, 3], [4, 5, 6]]), (1, slice(None, None, -1))).tolist()
    [6, 5, 4]
    """
    known = _picked(x, index)
    if known is not None:
        return known
    x = _operand(x)
    return read(x, resolved(index, x.aval.shape, _READ))


def _picked(x: Any, index: Any) -> Array | None:
    """The part at numbers, one an axis from the first one on, of an array whose value is known: it shares memory, and
    nothing is recorded. None where that is not so.
    """
    if type(x) is not ConcreteArray or x._mark == VOLATILE or isinstance(x._data, Deferred) or recording():
        return None
    items, shape = index if type(index) is tuple else (index,), x.aval.shape
    if len(items) > len(shape) or not all(type(item) is int for item in items):
        return None
    places = [placed_number(item, n, axis, _READ) for axis, (item, n) in enumerate(zip(items, shape, strict=False))]
    return ConcreteArray(part_aval(x.aval, len(items)), x._numpy()[(*places, ...)])


def elements(x: Array) -> Iterator[Array]:
    """Parts of an array along its first axis, each made when it is asked for.

    The memory of an array with a value is looked at once, and its parts share it: nothing is recorded. Parts of a
    tracer are recorded as slices, and so are those of any array where a program is recorded, which then reads one
    array.

    >>> [float(v) for v in elements(array([1.5, 2.5]))]
    [1.5, 2.5]
    """
    count, *shape = x.aval.shape
    if not isinstance(x, ConcreteArray) or x._mark == VOLATILE or recording():
        return map(x.__getitem__, range(count))
    values, aval = x._numpy(), x.aval.update(shape=tuple(shape))
    return (ConcreteArray(aval, values[i, ...]) for i in range(count))


def read(x: Array, index: Resolved, fill: Any = None) -> Array:
    """The elements at a resolved index; `fill` is what is read outside of the array."""
    items = index.items
    x = ops.reshape(x, index.whole)
    basic = static_region(index.whole, items)
    part = ops.slice(x, basic.start, basic.limit, basic.strides) if _cuts(basic, index.whole) else x
    part = ops.reverse(part, basic.reverse)
    if index.arrays:
        part, items = _gathered(part, items, index.arrays, index.handling, fill, index.ellipsis)
    shape, axis = [], 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        if type(item) is not int:
            shape.append(aval_of(part).shape[axis])
        axis += 1
    return ops.reshape(part, tuple(shape))


def _cuts(basic: _Basic, shape: Sequence[int]) -> bool:
    return any(
        a != 0 or b != n or s != 1 for a, b, s, n in zip(basic.start, basic.limit, basic.strides, shape, strict=True)
    )


def _gathered(
    x: Any, items: list[Any], arrays: Sequence[tuple[int, Any]], handling: str, fill: Any, ellipsis: int = 0
) -> tuple[Array, list[Any]]:
    """The gather of the advanced part, and the items that remain for its result. An ellipsis between arrays sets them
    apart, though it stand for no axis.
    """
    axes = [axis for axis, _ in arrays]
    shape = ops.broadcast_shapes([aval_of(i).shape for _, i in arrays], "indexing")
    indices = [ops.broadcast_to(i, shape) for _, i in arrays]
    found = ops.gather(x, indices, axes, 0, handling)
    held = lambda: ops.broadcast(
        inside(indices, [aval_of(x).shape[a] for a in axes]), aval_of(found).shape, range(len(shape))
    )
    out = _filled(found, held, handling, fill)
    # beside an array a number counts as an array too: NumPy's rule for where the indexed axes go
    advanced = [p for p, item in enumerate(items) if type(item) is int or isinstance(item, Array)]
    first, last = advanced[0], advanced[-1]
    together = not first < ellipsis <= last and not any(
        item is None or isinstance(item, slice) for item in items[first : last + 1]
    )
    rest = [item for item in items if not isinstance(item, Array)]
    lead: list[Any] = [slice(None)] * len(shape)
    if not together:
        return out, [*lead, *rest]
    before = sum(1 for item in items[:first] if item is not None)  # axes in front of the indexed ones
    order = [
        *range(len(shape), len(shape) + before),
        *range(len(shape)),
        *range(len(shape) + before, aval_of(out).ndim),
    ]
    front = items[:first]
    return ops.transpose(out, order), [*front, *lead, *rest[len(front) :]]


def _filled(found: Any, held: Callable[[], Any], handling: str, fill: Any) -> Array:
    """What a gather has found, with `fill` where an index lies outside: where `held()` is false."""
    return ops.select(held(), found, fill_of(aval_of(found).dtype, fill)) if handling == "drop" else found


def _not_empty(rule: Rule, x: Any, axis: int, index: Any) -> None:
    """As in JAX, a read along an axis without elements is an error also where the index is recorded, unless a mode says
    what to read.
    """
    if rule.mode is None and not x.aval.shape[axis] and aval_of(index).size:
        raise IndexBoundsError(f"{rule.prefix}nothing to index along axis {axis} of size 0", hint="mode='fill'")


def take(
    a: ArrayLike, indices: Any, axis: int | None = None, out: None = None, mode: str | None = None,
    unique_indices: bool = False, indices_are_sorted: bool = False, fill_value: Any = None,
) -> Array:  # fmt: skip
    """Elements along an axis at integer indices; flat for None.

    `mode` says what an index outside of the array reads: "fill" (`fill_value`, by default NaN, the smallest integer or
    the largest unsigned one), "clip" (the nearest element, the first one for negative indices) or "wrap". Without a
    mode it is an IndexBoundsError where it has a value, and filled in a recording (`jit`, loops). `unique_indices` and
    `indices_are_sorted` are accepted for JAX's sake.

    >>> take(array([10, 20, 30]), array([2, 0])).tolist(), take(array([1.0, 2.0]), array([-1, 5]), mode="fill").tolist()
    ([30, 10], [2.0, nan])
    """
    if out is not None:
        raise ImmutableError("take: arrays are immutable, so there is no `out`", hint="use the result")
    a, index = _operand(a), _as_places(indices)
    if axis is None:
        a, axis = ops.reshape(a, (a.aval.size,)), 0
    (place,) = axes_of(a, axis, "take")
    rule = Rule("take", mode, "drop", negative=mode != "clip").checked()
    _not_empty(rule, a, place, index)
    (index,), handling = placed([(place, index)], a.aval.shape, rule)
    items = [slice(None)] * place + [index] + [slice(None)] * (a.aval.ndim - place - 1)
    return _gathered(a, items, [(place, index)], handling, fill_value)[0]


def take_along_axis(
    arr: ArrayLike, indices: Any, axis: int | None = -1, mode: str | None = None, fill_value: Any = None
) -> Array:
    """Elements along an axis, chosen for each place along the others, which broadcast; of the flat array for None.

    `mode` is as in `take`, but that negative indices count from the end under "clip", and lie outside under
    "promise_in_bounds".

    >>> take_along_axis(array([[1, 2], [3, 4]]), array([[1], [0]]), 1).tolist()
    [[2], [3]]
    """
    arr, index = _operand(arr), _as_places(indices)
    if axis is None:
        arr, axis = ops.reshape(arr, (arr.aval.size,)), 0
    (place,) = axes_of(arr, axis, "take_along_axis")
    shape = aval_of(index).shape
    if len(shape) != arr.aval.ndim:
        raise ShapeError(
            f"take_along_axis: {arr.aval.describe()} and indices {aval_of(index).describe()} need as many axes"
        )
    ops.broadcast_shapes(
        [tuple(1 if i == place else d for i, d in enumerate(s)) for s in (shape, arr.aval.shape)], "take_along_axis"
    )
    rule = Rule("take_along_axis", mode, "drop", negative=mode != "promise_in_bounds").checked()
    _not_empty(rule, arr, place, index)
    (index,), handling = placed([(place, index)], arr.aval.shape, rule)
    found = ops.gather_along(arr, index, place, handling)
    return _filled(
        found,
        lambda: ops.broadcast_to(inside([index], [arr.aval.shape[place]]), aval_of(found).shape),
        handling,
        fill_value,
    )
