"""Rearranging and joining arrays, and products of them, with NumPy's names."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Protocol, cast, overload

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import sizes
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._create import ScalarType, array, asarray
from fdl.numpy._math import _operand, axes_as_given, axes_of
from fdl.ops.promotion import promote


def astype(x: ArrayLike, dtype: Any, copy: bool = True) -> Array:
    """`x` with another dtype.

    >>> astype(1.9, "int32").tolist()
    1
    """
    return array(_operand(x), dtype)


def reshape(a: ArrayLike, *shape: Any, order: str = "C") -> Array:
    """The elements of `a` in row-major order under another shape; one size may be -1.

    >>> reshape(array([1, 2, 3, 4]), (2, -1)).tolist()
    [[1, 2], [3, 4]]
    """
    a = _operand(a)
    target = list(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)
    target = list(sizes(target, -1))
    if target.count(-1) > 1:
        raise ShapeError(f"reshape: {tuple(target)} has more than one -1")
    if -1 in target:
        known = math.prod(d for d in target if d != -1)
        if known == 0 or a.aval.size % known:
            raise ShapeError(
                f"reshape: {a.aval.describe()} has {a.aval.size} elements, which is no multiple of {known}",
                hint="a shape of the same size",
            )
        target[target.index(-1)] = a.aval.size // known
    return ops.reshape(a, tuple(target))


def ravel(a: ArrayLike, order: str = "C") -> Array:
    """The elements in one row, the last axis changing first, or for `order="F"` the first one.

    >>> ravel(array([[1, 2], [3, 4]])).tolist()
    [1, 2, 3, 4]
    """
    return reshape(transpose(a) if order == "F" else a, -1 if aval_of(a).size else 0)


def transpose(a: ArrayLike, *axes: Any) -> Array:
    """The axes in another order; reversed by default.

    >>> transpose(array([[1, 2], [3, 4]])).tolist()
    [[1, 3], [2, 4]]
    """
    a = _operand(a)
    order = axes[0] if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))) else axes or None
    return ops.transpose(
        a, tuple(reversed(range(a.aval.ndim))) if order is None else tuple(i % a.aval.ndim for i in order)
    )


def matrix_transpose(x: ArrayLike) -> Array:
    """The last two axes swapped.

    >>> matrix_transpose(array([[1, 2]])).shape
    (2, 1)
    """
    return swapaxes(x, -1, -2)


def swapaxes(a: ArrayLike, axis1: int, axis2: int) -> Array:
    """Two axes exchanged.

    >>> swapaxes(array([[1, 2]]), 0, 1).shape
    (2, 1)
    """
    ndim = aval_of(a).ndim
    order = list(range(ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return ops.transpose(_operand(a), order)


def moveaxis(a: ArrayLike, source: Any, destination: Any) -> Array:
    """Axes moved to other places.

    >>> moveaxis(array([[[1, 2]]]), 2, 0).shape
    (2, 1, 1)
    """
    a = _operand(a)
    moved, places = axes_as_given(a, source, "moveaxis"), axes_as_given(a, destination, "moveaxis")
    if len(moved) != len(places):
        raise ShapeError(f"moveaxis: {len(moved)} axes for {len(places)} places", hint="one place for each axis")
    order = [i for i in range(a.aval.ndim) if i not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    return ops.transpose(a, order)


def squeeze(a: ArrayLike, axis: Any = None) -> Array:
    """Axes of size 1 removed.

    >>> squeeze(array([[1, 2]])).shape
    (2,)
    """
    a = _operand(a)
    chosen = tuple(i for i, d in enumerate(a.aval.shape) if d == 1) if axis is None else axes_of(a, axis, "squeeze")
    if any(a.aval.shape[i] != 1 for i in chosen):
        raise ShapeError(
            f"squeeze: axis {axis} of {a.aval.describe()} is not of size 1",
            why="only axes of size 1 can go",
            hint="x.reshape(...), or x[:, 0] for one element of an axis",
        )
    return ops.reshape(a, tuple(d for i, d in enumerate(a.aval.shape) if i not in chosen))


def expand_dims(a: ArrayLike, axis: Any) -> Array:
    """New axes of size 1.

    >>> expand_dims(array([1, 2]), 0).shape
    (1, 2)
    """
    return ops.expand_dims(_operand(a), (axis,) if isinstance(axis, int) else tuple(axis))


def broadcast_to(array: ArrayLike, shape: Sequence[int]) -> Array:
    """`array` repeated to a shape.

    >>> broadcast_to(array([1, 2]), (2, 2)).tolist()
    [[1, 2], [1, 2]]
    """
    shape = sizes(shape)
    array = _operand(array)
    if len(shape) < array.aval.ndim:
        raise ShapeError(f"broadcast_to: {array.aval.describe()} has more axes than {shape}")
    return ops.broadcast_to(array, shape)


def broadcast_arrays(*xs: ArrayLike) -> list[Array]:
    """Arrays repeated to their common shape.

    >>> [a.shape for a in broadcast_arrays(array([1, 2]), array([[3]]))]
    [(1, 2), (1, 2)]
    """
    operands = [_operand(x) for x in xs]
    shape = ops.broadcast_shapes([x.aval.shape for x in operands], "broadcast_arrays")
    return [ops.broadcast_to(x, shape) for x in operands]


def concatenate(arrays: Sequence[Any], axis: int | None = 0, dtype: Any = None) -> Array:
    """Arrays joined along an axis, of `dtype` or of what they have in common; flat for None.

    >>> concatenate([array([1]), array([2, 3])]).tolist()
    [1, 2, 3]
    """
    if not len(arrays):
        raise ShapeError(
            "concatenate: there is no array",
            why="nothing has no dtype and no shape",
            hint="a list with one array or more",
        )
    operands = promote(*[asarray(x, dtype) for x in arrays])
    if axis is None:
        return ops.concatenate([ravel(x) for x in operands], 0)
    (place,) = axes_of(operands[0], axis, "concatenate")
    return ops.concatenate(operands, place)


def stack(arrays: Sequence[Any], axis: int = 0, dtype: Any = None) -> Array:
    """Arrays of one shape joined along a new axis, of `dtype` or of what they have in common.

    >>> stack([array([1, 2]), array([3, 4])]).tolist()
    [[1, 2], [3, 4]]
    """
    return concatenate([expand_dims(x, axis) for x in arrays], axis, dtype)


def vstack(tup: Sequence[Any], dtype: Any = None) -> Array:
    """Arrays joined as rows.

    >>> vstack([array([1, 2]), array([3, 4])]).shape
    (2, 2)
    """
    return concatenate([atleast_2d(x) for x in tup], 0, dtype)


def hstack(tup: Sequence[Any], dtype: Any = None) -> Array:
    """Arrays joined as columns; vectors end to end.

    >>> hstack([array([1, 2]), array([3])]).tolist()
    [1, 2, 3]
    """
    parts = [atleast_1d(x) for x in tup]
    return concatenate(parts, 0 if aval_of(parts[0]).ndim == 1 else 1, dtype)


class AtLeast(Protocol):
    """A function of one array whose result is an array, and of several, or none, whose result is their list."""

    @overload
    def __call__(self, x: ArrayLike, /) -> Array: ...
    @overload
    def __call__(self, *xs: ArrayLike) -> list[Array]: ...


def of_each(one: Callable[[ArrayLike], Array]) -> AtLeast:
    """The function `one` of an array, also for several arrays, each by itself.

    >>> [x.shape for x in of_each(atleast_1d)(1, array([2, 3]))]
    [(1,), (2,)]
    """

    @wraps(one)
    def public(*xs: ArrayLike) -> Array | list[Array]:
        return one(xs[0]) if len(xs) == 1 else [one(x) for x in xs]

    return cast(AtLeast, public)


@of_each
def atleast_1d(x: ArrayLike) -> Array:
    """`x` with one axis at least; of several arrays the list of them.

    >>> atleast_1d(3).shape
    (1,)
    """
    x = _operand(x)
    return x if x.aval.ndim else ops.reshape(x, (1,))


@of_each
def atleast_2d(x: ArrayLike) -> Array:
    """`x` with two axes at least; of several arrays the list of them.

    >>> atleast_2d(array([1, 2])).shape
    (1, 2)
    """
    x = atleast_1d(x)
    return x if aval_of(x).ndim > 1 else ops.expand_dims(x, (0,))


def split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Parts of equal size, or cut at indices.

    >>> [p.tolist() for p in split(array([1, 2, 3, 4]), 2)]
    [[1, 2], [3, 4]]
    """
    ary = _operand(ary)
    (place,) = axes_of(ary, axis, "split")
    n = ary.aval.shape[place]
    if isinstance(indices_or_sections, int):
        if n % indices_or_sections:
            raise ShapeError(
                f"split: axis {axis} of {ary.aval.describe()} does not split into {indices_or_sections} equal parts",
                hint="a list of indices",
            )
        step = n // indices_or_sections
        cuts = [i * step for i in range(1, indices_or_sections)]
    else:
        cuts = [min(max(int(i) + (n if int(i) < 0 else 0), 0), n) for i in indices_or_sections]
    edges = [0, *cuts, n]
    return [ops.slice_in_dim(ary, a, max(a, b), place) for a, b in itertools.pairwise(edges)]


def tile(A: ArrayLike, reps: Any) -> Array:
    """`A` repeated as a block along each axis.

    >>> tile(array([1, 2]), 2).tolist()
    [1, 2, 1, 2]
    """
    A = _operand(A)
    counts = (reps,) if isinstance(reps, int) else tuple(reps)
    ndim = max(A.aval.ndim, len(counts))
    shape = (1,) * (ndim - A.aval.ndim) + A.aval.shape
    counts = (1,) * (ndim - len(counts)) + counts
    pairs = [d for c, n in zip(counts, shape, strict=True) for d in (c, n)]
    whole = ops.broadcast(ops.reshape(A, shape), tuple(pairs), tuple(range(1, 2 * ndim, 2)))
    return ops.reshape(whole, tuple(c * n for c, n in zip(counts, shape, strict=True)))


def flip(m: ArrayLike, axis: Any = None) -> Array:
    """The order along axes turned round.

    >>> flip(array([1, 2, 3])).tolist()
    [3, 2, 1]
    """
    m = _operand(m)
    return ops.reverse(m, axes_of(m, axis, "flip"))


def roll(a: ArrayLike, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Array:
    """Elements moved along one axis or several, those pushed out coming in at the other end; of the flat array for
    None.

    >>> roll(array([1, 2, 3]), 1).tolist()
    [3, 1, 2]
    """
    out = _operand(a)
    if axis is None:
        whole = sum(shift) if isinstance(shift, Sequence) else shift
        return ops.reshape(roll(ravel(out), whole, 0), out.aval.shape)
    axes = list(axis) if isinstance(axis, Sequence) else [axis]
    shifts = list(shift) if isinstance(shift, Sequence) else [shift]
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes", hint="one shift for each axis")
    for move, along in zip(
        shifts * (len(axes) if len(shifts) == 1 else 1), axes * (len(shifts) if len(axes) == 1 else 1), strict=True
    ):
        (place,) = axes_of(out, along, "roll")
        n = out.aval.shape[place]
        cut = (-move) % n if n else 0
        out = ops.concatenate([ops.slice_in_dim(out, cut, n, place), ops.slice_in_dim(out, 0, cut, place)], place)
    return out


# Products


def factors(preferred_element_type: Any, *xs: ArrayLike) -> list[Array]:
    """Operands of a product, in the dtype that is preferred, or what they have in common: it is that of the product."""
    operands = [_operand(x) for x in promote(*xs)]
    return operands if preferred_element_type is None else [ops.convert(x, preferred_element_type) for x in operands]


def matmul(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """The matrix product over the last two axes; leading axes broadcast, a vector is a row or a column.

    It is computed in `preferred_element_type` where one is given. `precision`, here and in all products, is accepted:
    none is less exact than its dtype.

    >>> matmul(array([[1, 2]]), array([[3], [4]])).tolist()
    [[11]]
    """
    a, b = factors(preferred_element_type, a, b)
    x, y = aval_of(a), aval_of(b)
    if not x.ndim or not y.ndim:
        raise ShapeError(
            f"matmul: {x.describe()} and {y.describe()}",
            why="a matrix product needs one axis at least on both sides",
            hint="*",
        )
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise ShapeError(
            f"matmul: shapes {x.shape} and {y.shape} do not fit",
            why=(
                f"the last axis of the left side has size {x.shape[-1]}, the rows of the right side "
                f"{y.shape[-2 if y.ndim > 1 else 0]}"
            ),
            hint="x.T or reshape on one side",
        )
    if x.ndim <= 2 or y.ndim <= 2:  # no batch axis on one side: one product
        out = ops.dot_general(a, b, (((x.ndim - 1,), (max(y.ndim - 2, 0),)), ((), ())))
        if y.ndim > 2 and x.ndim > 1:  # axes are (m, batch, n)
            out = ops.move_axis(out, 0, y.ndim - 2)
        return out
    lead = ops.broadcast_shapes([x.shape[:-2], y.shape[:-2]], "matmul")
    a, b = ops.broadcast_to(a, (*lead, *x.shape[-2:])), ops.broadcast_to(b, (*lead, *y.shape[-2:]))
    batch = tuple(range(len(lead)))
    return ops.dot_general(a, b, (((len(lead) + 1,), (len(lead),)), (batch, batch)))


def dot(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """The sum of products over the last axis of `a` and the last but one of `b`.

    >>> int(dot(array([1, 2]), array([3, 4])))
    11
    """
    a, b = factors(preferred_element_type, a, b)
    x, y = aval_of(a), aval_of(b)
    if not x.ndim or not y.ndim:
        return ops.mul(a, b)
    if x.shape[-1] != y.shape[max(y.ndim - 2, 0)]:
        raise ShapeError(
            f"dot: shapes {x.shape} and {y.shape} do not fit",
            why="the last axis of x meets the last but one of y",
            hint="x.T @ y, or jnp.outer(x, y)",
        )
    return ops.dot_general(a, b, (((x.ndim - 1,), (max(y.ndim - 2, 0),)), ((), ())))


def vdot(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """The sum of products of all elements, those of `a` conjugated.

    >>> int(vdot(array([1, 2]), array([3, 4]))), complex(vdot(1j, 1j))
    (11, (1+0j))
    """
    return dot(ops.conj(ravel(a)), ravel(b), preferred_element_type=preferred_element_type)


def inner(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """The sum of products over both last axes; the product, where one is a number.

    >>> int(inner(array([1, 2]), array([3, 4])))
    11
    """
    a, b = factors(preferred_element_type, a, b)
    if not aval_of(a).ndim or not aval_of(b).ndim:
        return ops.mul(a, b)
    return ops.dot_general(a, b, (((aval_of(a).ndim - 1,), (aval_of(b).ndim - 1,)), ((), ())))


def outer(a: ArrayLike, b: ArrayLike) -> Array:
    """All products of an element of each.

    >>> outer(array([1, 2]), array([3, 4])).tolist()
    [[3, 4], [6, 8]]
    """
    return ops.mul(expand_dims(ravel(a), 1), expand_dims(ravel(b), 0))


def tensordot(
    a: ArrayLike, b: ArrayLike, axes: Any = 2, *, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """The sum of products over given axes.

    >>> tensordot(array([[1, 2]]), array([[3], [4]]), 1).tolist()
    [[11]]
    """
    a, b = factors(preferred_element_type, a, b)
    x, y = aval_of(a).ndim, aval_of(b).ndim
    if isinstance(axes, int):
        left, right = list(range(x - axes, x)), list(range(axes))
    else:
        left, right = ([v] if isinstance(v, int) else list(v) for v in axes)
    return ops.dot_general(a, b, ((tuple(v % x for v in left), tuple(v % y for v in right)), ((), ())))


def result_type(*xs: ArrayLike) -> dtypes.DType:
    """The dtype to which operands are promoted.

    >>> result_type(array([1]), 2.0)
    dtype('float32')
    """
    return dtypes.promote(
        [
            (np.dtype(x), False)
            if isinstance(x, (str, type, np.dtype, ScalarType))
            else (aval_of(asarray(x)).dtype, aval_of(asarray(x)).weak_type)
            for x in xs
        ]
    )[0]
