"""Borders around arrays: `pad` with NumPy's modes."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._create import asarray
from fdl.numpy._math import _operand, max, mean, min
from fdl.numpy._math import round as round_
from fdl.numpy._shape import concatenate
from fdl.numpy._sort import median

_OPTIONS = {  # of each mode: what it takes besides widths
    "constant": "constant_values", "edge": "", "linear_ramp": "end_values", "maximum": "stat_length",
    "mean": "stat_length", "median": "stat_length", "minimum": "stat_length", "reflect": "reflect_type",
    "symmetric": "reflect_type", "wrap": "", "empty": "",
}  # fmt: skip


def pad(array: ArrayLike, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Array:
    """`array` with a border. `pad_width` is a number for all sides, a pair (before, after) for all axes, a list with
    one pair for each axis, or a dict of those by axis.

    Modes
    - "constant": `constant_values`, 0 by default
    - "edge": the outermost element; "wrap": the array again; "empty": zeros
    - "reflect", "symmetric": the array mirrored, at the outermost element or beyond it; with `reflect_type="odd"` it is
      also turned upside down, so that values go on as they went
    - "linear_ramp": from the outermost element to `end_values`, 0 by default, which are the last ones of the border
    - "maximum", "minimum", "mean", "median": of the `stat_length` outermost elements, or of all along an axis
    - a function `f(vector, (before, after), axis, kwargs)` that returns the vector, which has a border of zeros, with
      its border filled

    Values for sides are given as widths are.

    >>> from fdl.numpy import array
    >>> pad(array([1, 2]), (1, 2)).tolist(), pad(array([1, 2, 3]), 2, mode="reflect").tolist()
    ([0, 1, 2, 0, 0], [3, 2, 1, 2, 3, 2, 1])
    """
    array = _operand(array)
    widths = _pairs(pad_width, array.aval.ndim, "pad_width")
    if callable(mode):
        return _pad_by(array, widths, mode, kwargs)
    if mode not in _OPTIONS:
        raise ChoiceError(f"pad: mode {mode!r} is none of {', '.join(_OPTIONS)}", hint="mode='edge'")
    strange = set(kwargs) - {_OPTIONS[mode]}
    if strange:
        raise ChoiceError(f"pad: mode {mode!r} takes no {', '.join(sorted(strange))}")
    if any(w < 0 for pair in widths for w in pair):
        raise ShapeError(f"pad: widths {widths} are below 0", hint="x[1:-1], or lax.pad, which cuts there")
    if mode in ("constant", "empty"):
        return _pad_constant(array, widths, kwargs.get("constant_values", 0))
    options = kwargs.get(_OPTIONS[mode])
    for axis, (before, after) in enumerate(widths):
        if before or after:
            if not aval_of(array).shape[axis]:
                raise ShapeError(f"pad: axis {axis} of {aval_of(array).describe()} has no element to go on from")
            array = _SIDES[mode](array, axis, before, after, mode, options)
    return array


def _pairs(given: Any, ndim: int, what: str) -> list[Any]:
    """A pair for each axis, from what was given for all sides, for all axes, or for each axis."""
    if isinstance(given, Mapping):
        by_axis = {axis % ndim: pair for axis, pair in given.items()}
        return [_pairs(by_axis.get(axis, 0), 1, what)[0] for axis in range(ndim)]
    rows = given if isinstance(given, (list, tuple)) else (given,)
    nested = [tuple(r) if isinstance(r, (list, tuple, np.ndarray)) else r for r in rows]
    if len(nested) == 1:
        return [_pair(nested[0])] * ndim
    if len(nested) == 2 and not any(isinstance(r, tuple) for r in nested):
        return [tuple(nested)] * ndim
    if len(nested) != ndim:
        raise ShapeError(f"pad: {what} {given} for {ndim} axes", hint="a number, a pair, or a pair for each axis")
    return [_pair(r) for r in nested]


def _pair(given: Any) -> tuple[Any, Any]:
    """Values for both sides."""
    if isinstance(given, tuple):
        return (given[0], given[0]) if len(given) == 1 else given
    return given, given


def _fill(value: Any, like: Array) -> Array:
    return ops.convert(_operand(value), like.aval.dtype)


def _pad_constant(x: Array, widths: list[Any], values: ArrayLike) -> Array:
    pairs = _pairs(values, x.aval.ndim, "constant_values")
    if all(v is pairs[0][0] for pair in pairs for v in pair):  # one value: one step
        return ops.pad(x, _fill(pairs[0][0], x), [(int(a), int(b), 0) for a, b in widths]) if pairs else x
    for axis, (sides, ends) in enumerate(zip(widths, pairs, strict=True)):
        for place in (0, 1):
            config = [(0, 0, 0)] * x.aval.ndim
            config[axis] = (int(sides[0]), 0, 0) if place == 0 else (0, int(sides[1]), 0)
            x = ops.pad(x, _fill(ends[place], x), config)
    return x


def _end(x: Array, axis: int, last: bool, count: int = 1) -> Array:
    """The first or last elements along an axis."""
    n = aval_of(x).shape[axis]
    return ops.slice_in_dim(x, n - count, n, axis) if last else ops.slice_in_dim(x, 0, count, axis)


def _repeated(x: Array, axis: int, before: int, after: int, mode: str, options: Any) -> Array:
    """ "edge" and "wrap": elements that are there, at computed places."""
    n = aval_of(x).shape[axis]
    places = np.arange(-before, n + after)
    places = np.clip(places, 0, n - 1) if mode == "edge" else places % n
    return _taken(x, places, axis)


def _taken(x: Array, places: Any, axis: int) -> Array:
    return ops.move_axis(ops.gather(x, [asarray(places.astype(np.int32))], (axis,)), 0, axis)


def _mirrored(x: Array, axis: int, before: int, after: int, mode: str, options: Any) -> Array:
    """ "reflect" and "symmetric". The odd ones are twice the outermost element less what stands mirrored."""
    if options not in (None, "even", "odd"):
        raise ChoiceError(f"pad: reflect_type={options!r}", hint="'even' or 'odd'")
    n = aval_of(x).shape[axis]
    step = n - 1 if mode == "reflect" else n
    if not step:
        return _repeated(x, axis, before, after, "edge", None)
    turn = np.arange(-before, n + after)
    if options != "odd":
        place = turn % (2 * step)
        return _taken(x, np.where(place < n, place, 2 * step - place - (mode == "symmetric")), axis)
    while before or after:  # as much as there is to mirror, then again
        n = aval_of(x).shape[axis]
        reach = n - 1 if mode == "reflect" else n
        parts = [x]
        for last, wanted in ((False, builtins.min(before, reach)), (True, builtins.min(after, reach))):
            if wanted:
                skip = 1 if mode == "reflect" else 0
                start = n - wanted - skip if last else skip
                inner = ops.slice_in_dim(x, start, start + wanted, axis)
                part = ops.sub(ops.mul(2, _end(x, axis, last)), ops.reverse(inner, (axis,)))
                parts = [*parts, part] if last else [part, *parts]
        x = concatenate(parts, axis)
        before, after = before - builtins.min(before, reach), after - builtins.min(after, reach)
    return x


def _ramped(x: Array, axis: int, before: int, after: int, mode: str, options: Any) -> Array:
    """A straight way from the outermost element to the end value, of integers without fractions."""
    dtype = aval_of(x).dtype
    ends = _pairs(0 if options is None else options, aval_of(x).ndim, "end_values")[axis]
    parts = [x]
    for last, width, end in ((False, before, ends[0]), (True, after, ends[1])):
        edge = ops.cast(_end(x, axis, last), dtypes.default_float(dtype))
        shape = tuple(width if i == axis else 1 for i in range(aval_of(x).ndim))
        share = ops.div(ops.iota(shape, axis, aval_of(edge).dtype), float(builtins.max(width, 1)))
        ramp = ops.add(ops.mul(ops.sub(1, share), end), ops.mul(share, edge))
        ramp = ops.convert(ramp if dtypes.is_float(dtype) else ops.trunc(ramp), dtype)
        parts = [*parts, ops.reverse(ramp, (axis,))] if last else [ramp, *parts]
    return concatenate(parts, axis)


def _summed_up(x: Array, axis: int, before: int, after: int, mode: str, options: Any) -> Array:
    """A statistic of the outermost elements, which is rounded for integers."""
    n = aval_of(x).shape[axis]
    lengths = _pairs(n if options is None else options, aval_of(x).ndim, "stat_length")[axis]
    of = _STATISTICS[mode]
    parts = [x]
    for last, width, length in ((False, before, lengths[0]), (True, after, lengths[1])):
        found = of(_end(x, axis, last, builtins.min(int(length), n)), axis, keepdims=True)
        if dtypes.is_float(aval_of(found).dtype) and not dtypes.is_float(aval_of(x).dtype):
            found = round_(found)
        shape = tuple(width if i == axis else d for i, d in enumerate(aval_of(x).shape))
        part = ops.broadcast_to(ops.convert(found, aval_of(x).dtype), shape)
        parts = [*parts, part] if last else [part, *parts]
    return concatenate(parts, axis)


_STATISTICS: dict[str, Callable[..., Array]] = {"maximum": max, "minimum": min, "mean": mean, "median": median}
_SIDES: dict[str, Callable[..., Array]] = {
    "edge": _repeated, "wrap": _repeated, "reflect": _mirrored, "symmetric": _mirrored, "linear_ramp": _ramped,
    "maximum": _summed_up, "minimum": _summed_up, "mean": _summed_up, "median": _summed_up,
}  # fmt: skip


def _pad_by(x: Array, widths: list[Any], f: Callable[..., Any], options: dict[str, Any]) -> Array:
    """A border that a function fills, vector by vector, one axis after another."""
    x = _pad_constant(x, widths, 0)
    for axis, pair in enumerate(widths):
        moved = ops.move_axis(x, axis, aval_of(x).ndim - 1)
        *lead, n = aval_of(moved).shape
        rows = ops.reshape(moved, (int(np.prod(lead, dtype=int)), n))
        filled = [f(row, pair, axis, options) for row in rows]
        out = ops.reshape(concatenate(filled), (*lead, n)) if filled else moved
        x = ops.move_axis(out, aval_of(x).ndim - 1, axis)
    return x


__all__ = ["pad"]
