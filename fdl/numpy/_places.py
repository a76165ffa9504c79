"""Indices: of diagonals and triangles, of grids, and as numbers in the flat array, with NumPy's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import sizes
from fdl.core.errors import ChoiceError, IndexBoundsError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._create import arange, asarray, linspace, meshgrid, ones
from fdl.numpy._derived import tril_indices, triu_indices
from fdl.numpy._math import _operand, clip, mod, nonzero
from fdl.numpy._shape import atleast_1d, concatenate, expand_dims, stack
from fdl.ops.promotion import promote


def diag_indices(n: int, ndim: int = 2) -> tuple[Array, ...]:
    """Indices of the main diagonal of an array with `ndim` axes of size n.

    >>> [i.tolist() for i in diag_indices(2)]
    [[0, 1], [0, 1]]
    """
    if n < 0 or ndim < 1:
        raise ShapeError(f"diag_indices: n={n}, ndim={ndim}", hint="sizes that are not negative")
    return (ops.iota((n,), 0),) * ndim


def diag_indices_from(arr: ArrayLike) -> tuple[Array, ...]:
    """Indices of the main diagonal of an array with axes of one size.

    >>> [i.tolist() for i in diag_indices_from(ones((2, 2)))]
    [[0, 1], [0, 1]]
    """
    shape = aval_of(_operand(arr)).shape
    if len(shape) < 2 or len(set(shape)) > 1:
        raise ShapeError(f"diag_indices_from: {aval_of(arr).describe()}", hint="two axes or more, all of one size")
    return diag_indices(shape[0], len(shape))


def _matrix_shape(arr: ArrayLike, what: str) -> tuple[int, int]:
    shape = aval_of(_operand(arr)).shape
    if len(shape) != 2:
        raise ShapeError(f"{what}: {aval_of(_operand(arr)).describe()} is no matrix")
    return shape[0], shape[1]


def tril_indices_from(arr: ArrayLike, k: int = 0) -> tuple[Array, Array]:
    """Rows and columns of a matrix at and below its k-th diagonal.

    >>> [i.tolist() for i in tril_indices_from(ones((2, 2)))]
    [[0, 1, 1], [0, 0, 1]]
    """
    n, m = _matrix_shape(arr, "tril_indices_from")
    return tril_indices(n, k, m)


def triu_indices_from(arr: ArrayLike, k: int = 0) -> tuple[Array, Array]:
    """Rows and columns of a matrix at and above its k-th diagonal.

    >>> [i.tolist() for i in triu_indices_from(ones((2, 2)))]
    [[0, 0, 1], [0, 1, 1]]
    """
    n, m = _matrix_shape(arr, "triu_indices_from")
    return triu_indices(n, k, m)


def mask_indices(n: int, mask_func: Callable[..., Any], k: Any = 0, *, size: int | None = None) -> tuple[Array, Array]:
    """Rows and columns where `mask_func(ones((n, n)), k)`, such as `triu`, is not zero; `size` is as in `nonzero`.

    >>> from fdl.numpy import triu
    >>> [i.tolist() for i in mask_indices(2, triu)]
    [[0, 0, 1], [0, 1, 1]]
    """
    rows, columns = nonzero(mask_func(ones((n, n)), k), size=size)
    return rows, columns


def ix_(*args: Any) -> tuple[Array, ...]:
    """Vectors of indices, each along an axis of its own, so that `x[ix_(rows, columns)]` is a block of x. Bools stand
    for the places where they hold.

    >>> [i.shape for i in ix_(arange(2), arange(3))]
    [(2, 1), (1, 3)]
    """
    out = []
    for place, arg in enumerate(args):
        x = _operand(asarray(arg))
        if x.aval.ndim != 1:
            raise ShapeError(f"ix_: {x.aval.describe()} is no vector")
        if x.aval.dtype == dtypes.bool_:
            (x,) = nonzero(x)
        x = ops.convert(x, dtypes.int32) if not aval_of(x).size and dtypes.is_float(aval_of(x).dtype) else x
        out.append(ops.reshape(x, tuple(aval_of(x).shape[0] if i == place else 1 for i in range(len(args)))))
    return tuple(out)


def indices(dimensions: Sequence[int], dtype: Any = None, sparse: bool = False) -> Array | tuple[Array, ...]:
    """For each axis of a shape, each element's index along it: one array with a leading axis, or with `sparse` a tuple
    of arrays that broadcast to the shape.

    >>> indices((2, 2)).tolist()
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    shape, target = sizes(dimensions), dtypes.canonical(dtype or int)
    if sparse:
        lines = [tuple(d if i == j else 1 for j, d in enumerate(shape)) for i in range(len(shape))]
        return tuple(ops.iota(line, i, target) for i, line in enumerate(lines))
    if not shape:
        return ops.full((0,), 0, target)
    return stack([ops.iota(shape, i, target) for i in range(len(shape))])


def unravel_index(indices: ArrayLike, shape: Any) -> tuple[Array, ...]:
    """Indices along each axis of the elements with these numbers in row-major order. Negative numbers count from the
    end; what lies outside is moved to the nearest element.

    >>> [i.tolist() for i in unravel_index(asarray([1, 3]), (2, 2))]
    [[0, 1], [1, 1]]
    """
    number = _operand(asarray(indices))
    shape = sizes(shape)
    size = math.prod(shape)
    number = clip(ops.select(ops.less(number, 0), ops.add(number, size), number), 0, size - 1)
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return tuple(ops.rem(ops.div(number, step), d) for step, d in zip(steps, shape, strict=True))


def ravel_multi_index(multi_index: Any, dims: Sequence[int], mode: str = "raise", order: str = "C") -> Array:
    """The numbers in row-major order (column-major for `order="F"`) of elements with these indices along each axis.

    `mode` says what an index outside does: "wrap" counts round and round, "clip" moves it to the nearest; with "raise"
    values must be known, and one outside is an IndexBoundsError.

    >>> ravel_multi_index((asarray([0, 1]), asarray([1, 1])), (2, 2)).tolist()
    [1, 3]
    """
    if mode not in ("raise", "wrap", "clip"):
        raise ChoiceError(f"ravel_multi_index: mode={mode!r} is none of raise, wrap, clip", hint="mode='clip'")
    if order not in ("C", "F"):
        raise ChoiceError(f"ravel_multi_index: order={order!r}", hint="'C' or 'F'")
    parts = [_operand(asarray(part)) for part in multi_index]
    shape = sizes(dims)
    if len(parts) != len(shape):
        raise ShapeError(f"ravel_multi_index: {len(parts)} indices for {len(shape)} axes", hint="one for each")
    if mode == "raise":
        for part, d in zip(parts, shape, strict=True):
            values = np.asarray(part)
            if ((values < 0) | (values >= d)).any():
                raise IndexBoundsError(f"ravel_multi_index: an index is not from 0 to {d - 1}", hint="mode='clip'")
    else:
        parts = [mod(p, d) if mode == "wrap" else clip(p, 0, d - 1) for p, d in zip(parts, shape, strict=True)]
    total, step = ops.full((), 0, dtypes.int32), 1
    pairs = list(zip(parts, shape, strict=True))
    for part, d in pairs if order == "F" else reversed(pairs):
        total = ops.add(total, ops.mul(part, step))
        step *= d
    return total


class _Grid:
    """`mgrid` and `ogrid`: coordinates of the points of a grid, given by slices; a step that is an imaginary number
    `nj` stands for n points with both ends.
    """

    def __init__(self, sparse: bool) -> None:
        self.sparse = sparse

    def __getitem__(self, key: Any) -> Array | list[Array]:
        if isinstance(key, slice):
            return _line(key)
        lines = promote(*[_line(k) for k in key])
        grid = meshgrid(*lines, indexing="ij", sparse=self.sparse)
        return grid if self.sparse else stack(grid)


def _line(key: slice) -> Array:
    """The numbers of a slice, as `arange` has them, or `linspace` where the step is imaginary."""
    start, step = 0 if key.start is None else key.start, 1 if key.step is None else key.step
    if isinstance(step, complex):
        return linspace(start, key.stop, int(abs(step)))
    return arange(start, key.stop, step)


class _Joined:
    """`r_` and `c_`: slices, numbers and arrays, joined along an axis. A text in front, "axis,ndim,place", says along
    which axis, how many axes there are at least, and where those of arrays with less stand.
    """

    def __init__(self, axis: int, ndim: int, place: int) -> None:
        self.options = axis, ndim, place

    def __getitem__(self, key: Any) -> Array:
        keys = list(key) if isinstance(key, tuple) else [key]
        axis, ndim, place = self.options
        if isinstance(keys[0], str):
            words = keys.pop(0)
            try:
                axis, ndim, place = (*[int(v) for v in words.split(",")], *(axis, ndim, place)[words.count(",") + 1 :])
            except ValueError:
                raise ChoiceError(f"{words!r} says no axes", hint='"0,2,1": axis, number of axes, place') from None
        parts = []
        for item in keys:
            x = _operand(_line(item) if isinstance(item, slice) else asarray(item))
            parts.append(self._raised(atleast_1d(x), ndim, place))
        return concatenate(parts, axis)

    @staticmethod
    def _raised(x: Array, ndim: int, place: int) -> Array:
        """An array with `ndim` axes at least, its own from `place` on; the last ones where that is negative."""
        missing = ndim - aval_of(x).ndim
        if missing <= 0:
            return x
        front = place if place >= 0 else missing + 1 + place
        before = min(max(front, 0), missing)
        return expand_dims(x, [*range(before), *range(before + aval_of(x).ndim, ndim)])


class _Key:
    """`s_` and `index_exp`: the index that stands in brackets, as a value; always as a tuple for the latter."""

    def __init__(self, as_tuple: bool) -> None:
        self.as_tuple = as_tuple

    def __getitem__(self, key: Any) -> object:
        return (key,) if self.as_tuple and not isinstance(key, tuple) else key


mgrid, ogrid = _Grid(sparse=False), _Grid(sparse=True)
r_, c_ = _Joined(0, 1, -1), _Joined(-1, 2, 0)
s_, index_exp = _Key(as_tuple=False), _Key(as_tuple=True)


__all__ = [
    "c_", "diag_indices", "diag_indices_from", "index_exp", "indices", "ix_", "mask_indices", "mgrid", "ogrid", "r_",
    "ravel_multi_index", "s_", "tril_indices_from", "triu_indices_from", "unravel_index",
]  # fmt: skip
