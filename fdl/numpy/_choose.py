"""Choosing elements: by masks, by conditions, by numbers of choices, with NumPy's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._create import asarray
from fdl.numpy._index import take
from fdl.numpy._math import _operand, axes_of, clip, nonzero, where
from fdl.numpy._shape import broadcast_arrays, broadcast_to, ravel, reshape, stack
from fdl.ops.promotion import promote


def argwhere(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> Array:
    """Indices of elements that are not zero, one row each; `size` and `fill_value` are as in `nonzero`.

    >>> from fdl.numpy import array
    >>> argwhere(array([[0, 3], [4, 0]])).tolist()
    [[0, 1], [1, 0]]
    """
    x = _operand(a)
    if not x.aval.ndim:
        count = aval_of(nonzero(ops.reshape(x, (1,)), size=size)[0]).shape[0]
        return ops.full((count, 0), 0, dtypes.int32)
    return stack(nonzero(x, size=size, fill_value=fill_value), 1)


def flatnonzero(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> Array:
    """Places in the flat array of elements that are not zero; `size` and `fill_value` are as in `nonzero`.

    >>> from fdl.numpy import array
    >>> flatnonzero(array([[0, 3], [4, 0]])).tolist()
    [1, 2]
    """
    return nonzero(ravel(_operand(a)), size=size, fill_value=fill_value)[0]


def compress(
    condition: ArrayLike, a: ArrayLike, axis: int | None = None, *, size: int | None = None, fill_value: Any = 0
) -> Array:
    """Slices along an axis where a condition holds, of the flat array for None. The condition must be known, unless
    `size` says how many there shall be; what is missing is `fill_value`.

    >>> from fdl.numpy import array
    >>> compress(array([True, False, True]), array([1, 2, 3])).tolist()
    [1, 3]
    """
    mask, x = _operand(asarray(condition)), _operand(a)
    if mask.aval.ndim != 1:
        raise ShapeError(f"compress: the condition {mask.aval.describe()} is no vector", hint="one bool for each slice")
    if axis is None:
        x, axis = ravel(x), 0
    (place,) = axes_of(x, axis, "compress")
    n = x.aval.shape[place]
    if mask.aval.shape[0] > n:
        mask, beyond = ops.slice_in_dim(mask, 0, n, 0), ops.slice_in_dim(mask, n, mask.aval.shape[0], 0)
        if size is None and aval_of(nonzero(beyond)[0]).size:
            raise ShapeError(f"compress: the condition holds beyond the {n} slices along axis {axis}")
    (places,) = nonzero(mask, size=size, fill_value=n)
    return take(x, places, place, mode="fill", fill_value=fill_value)


def extract(condition: ArrayLike, arr: ArrayLike, *, size: int | None = None, fill_value: Any = 0) -> Array:
    """The elements where a condition of the same size holds; `size` and `fill_value` are as in `compress`.

    >>> from fdl.numpy import array
    >>> extract(array([[True, False], [False, True]]), array([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """
    return compress(ravel(_operand(condition)), ravel(_operand(arr)), size=size, fill_value=fill_value)


def choose(a: ArrayLike, choices: Any, mode: str = "raise") -> Array:
    """For each element of `a` the element of that number's choice; everything broadcasts.

    `mode` says what a number beyond the choices does: "wrap" counts round and round, "clip" takes the last or first.
    With "raise" numbers must be known, and one beyond is an IndexBoundsError.

    >>> from fdl.numpy import array
    >>> choose(array([1, 0]), [array([1, 2]), array([10, 20])]).tolist()
    [10, 2]
    """
    if mode not in ("raise", "wrap", "clip"):
        raise ChoiceError(f"choose: mode={mode!r} is none of raise, wrap, clip", hint="mode='clip'")
    options = choices if isinstance(choices, (list, tuple)) else list(_operand(choices))
    number, *options = broadcast_arrays(_operand(a), *promote(*options))
    shape = aval_of(number).shape
    if mode == "clip":
        number = clip(number, 0, len(options) - 1)
    rows = reshape(stack(options), (len(options), math.prod(shape)))
    chosen = ops.reshape(number, (math.prod(shape),))
    chosen = take(ops.iota((len(options),), 0), chosen, mode=None if mode == "raise" else mode)
    return ops.reshape(ops.gather(rows, [chosen, ops.iota((math.prod(shape),), 0)], (0, 1)), shape)


def piecewise(x: ArrayLike, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Array:
    """A function given by pieces: `funclist[i]`, a function of an array or a number, where `condlist[i]` is the last
    condition that holds. One piece more than conditions is for where none holds, else it is 0 there.

    Each function is applied to the whole of `x`; `args` and `kw` are handed on to all of them.

    >>> from fdl.numpy import array
    >>> x = array([-2.0, 3.0])
    >>> piecewise(x, [x < 0, x >= 0], [lambda x: -x, 10.0]).tolist()
    [2.0, 10.0]
    """
    operand = _operand(x)
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    if isinstance(conditions[0], (bool, int)):
        conditions = [conditions]
    pieces = list(funclist)
    if len(pieces) not in (len(conditions), len(conditions) + 1):
        raise ShapeError(f"piecewise: {len(pieces)} functions for {len(conditions)} conditions", hint="one each")
    values: list[Any] = [pieces.pop()] if len(pieces) > len(conditions) else [0]
    out = _piece(values[0], operand, args, kw)
    for condition, piece in zip(conditions, pieces, strict=True):
        out = where(broadcast_to(asarray(condition), operand.aval.shape), _piece(piece, operand, args, kw), out)
    return out


def _piece(f: Callable[..., Any] | Any, x: Array, args: Any, kw: Any) -> Array:
    value = f(x, *args, **kw) if callable(f) else f
    return ops.convert(_operand(value), x.aval.dtype)


__all__ = ["argwhere", "choose", "compress", "extract", "flatnonzero", "piecewise"]
