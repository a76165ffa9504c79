"""Writing by indices: `x.at[...]`, a changed copy of an array.

A static region is put in place by padding. With arrays in the index it is a scatter into the flat array, for which the
index is applied to the numbers of the elements: so indices of all kinds end as one vector of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, from_numpy
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.graph import ArrayLike, Literal
from fdl.core.trace import Tracer, aval_of, base_trace, set_trace
from fdl.numpy._bounds import Rule, converted
from fdl.numpy._create import full
from fdl.numpy._index import Resolved, read, resolved, static_region
from fdl.numpy._math import _operand, power, true_divide
from fdl.transforms.control.scan import scan

_FOLDS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {  # for regions, and for numbers that may repeat
    "add": (ops.add, ops.scatter_add),
    "multiply": (ops.mul, ops.scatter_mul),
    "min": (ops.minimum, ops.scatter_min),
    "max": (ops.maximum, ops.scatter_max),
}
_OF_BOOLS = {"add": "max", "multiply": "min", "max": "max", "min": "min"}  # "or" and "and", in numbers


class _Place:
    """Where an array of shape `whole` is written: a region, or the `numbers` of elements in the flat array, one that
    lies outside being negative.
    """

    def __init__(self, what: str, whole: tuple[int, ...], index: Resolved) -> None:
        self.what, self.whole, self.index = what, whole, index
        self.numbers: Any = None
        if index.arrays:
            size = math.prod(whole)
            numbers = ops.reshape(
                ops.iota((size,), 0, dtypes.int32 if size <= np.iinfo(np.int32).max else dtypes.int64), whole
            )
            found = read(numbers, index, -1)
            self.shape: tuple[int, ...] = aval_of(found).shape
            self.numbers = ops.reshape(found, (aval_of(found).size,))
        else:
            self.basic = static_region(whole, index.items)
            self.sizes = tuple(
                (b - a + s - 1) // s
                for a, b, s in zip(self.basic.start, self.basic.limit, self.basic.strides, strict=True)
            )
            sizes = iter(self.sizes)
            found_sizes = [(item, 1 if item is None else next(sizes)) for item in index.items]
            self.shape = tuple(n for item, n in found_sizes if item is None or isinstance(item, slice))

    def read(self, x: Any) -> Array:
        """The elements of an array that are there."""
        return read(x, self.index)

    def replace(self, x: Any, value: Any) -> Array:
        """A copy of `x` with a value of its dtype there; of several elements for one number the last one stays."""
        value = self._spread(value)
        return self._in_region(x, value) if self.numbers is None else self._scattered(ops.scatter, x, value)

    def fold(self, kind: str, x: Any, value: Any) -> Array:
        """A copy of `x` with a value of its dtype folded in."""
        value = self._spread(value)
        if x.aval.dtype == dtypes.bool_:
            number = self.fold(_OF_BOOLS[kind], *[ops.convert(v, dtypes.uint8) for v in (x, value)])
            return ops.convert(number, dtypes.bool_)
        on_region, scatter = _FOLDS[kind]
        return (
            self._in_region(x, on_region(self.read(x), value))
            if self.numbers is None
            else self._scattered(scatter, x, value)
        )

    def _spread(self, value: Any) -> Array:
        shape = aval_of(value).shape
        if ops.broadcast_shapes([self.shape, shape], self.what) != self.shape:
            raise ShapeError(
                f"{self.what}: the value has shape {shape}, the place has {self.shape}",
                hint="value.reshape(...), or an index that selects more",
            )
        return ops.broadcast_to(value, self.shape)

    def _scattered(self, scatter: Callable[..., Any], x: Any, value: Any) -> Array:
        flat, updates = ops.reshape(x, (x.aval.size,)), ops.reshape(value, aval_of(self.numbers).shape)
        return (
            ops.reshape(scatter(flat, updates, [self.numbers], (0,), 0, self.index.handling), self.whole)
            if x.aval.size
            else x
        )

    def _in_region(self, x: Any, value: Any) -> Array:
        block = ops.reverse(ops.reshape(value, self.sizes), self.basic.reverse)
        config = []
        for a, n, s, d in zip(self.basic.start, self.sizes, self.basic.strides, self.whole, strict=True):
            reached = a + (n - 1) * s + 1 if n else a
            config.append((a, d - reached, s - 1))
        inside = ops.pad(full(self.sizes, True), Literal(False, dtypes.bool_), config)
        return ops.select(inside, ops.pad(block, Literal(0, x.aval.dtype), config), x)


class _At:
    """`x.at`: waits for an index."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __getitem__(self, index: Any) -> _AtIndex:
        return _AtIndex(self.x, index)


class _AtIndex:
    """`x.at[index]`: makes a changed copy of `x`.

    All methods take JAX's keywords `mode`, `wrap_negative_indices`, `unique_indices` and `indices_are_sorted`; the last
    two promise what helps nothing here. `mode` says what an index outside of the array does: "drop" or "fill" write
    nothing, "clip" moves it to the nearest element, "wrap" counts round and round. Without a mode it is an
    IndexBoundsError where it has a value, and dropped in a recording (`jit`, loops). With `wrap_negative_indices=False`
    negative indices lie outside.

    An element that is named several times gets all updates, in their order. They are computed in the dtype to which
    array and value promote; the result has the array's.
    """

    def __init__(self, x: Any, index: Any) -> None:
        self.x, self.index = _operand(x), index

    def get(self, *, fill_value: Any = None, **options: Any) -> Array:
        """`x[index]`; with `mode="fill"` an index outside reads `fill_value`, by default NaN, the smallest integer or
        the largest unsigned one.
        """
        return read(self.x, self._resolved("get", "promised", **options), fill_value)

    def set(self, values: Any, **options: Any) -> Array:
        """A copy with the elements replaced; of several values for one element the last one stays."""
        return self._weakened(self._place("set", options).replace(self.x, converted(values, self.x.aval.dtype)))

    def add(self, values: Any, **options: Any) -> Array:
        """A copy with `values` added."""
        return self._fold("add", values, options)

    def subtract(self, values: Any, **options: Any) -> Array:
        """A copy with `values` subtracted."""
        dtype = self._promoted(values)
        if dtype == dtypes.bool_:
            raise DtypeError("x.at[...].subtract: bools cannot be subtracted", hint="x.at[i].set(x[i] ^ values)")
        return self._fold("add", ops.neg(converted(values, dtype)), options, "subtract")

    def multiply(self, values: Any, **options: Any) -> Array:
        """A copy with the elements multiplied by `values`."""
        return self._fold("multiply", values, options)

    mul = multiply

    def divide(self, values: Any, **options: Any) -> Array:
        """A copy with the elements divided by `values`, in floating point."""
        place, x = (
            self._place("divide", options),
            self.x if dtypes.is_inexact(self.x.aval.dtype) else true_divide(self.x, 1),
        )
        if place.numbers is None:
            return place.replace(x, converted(true_divide(place.read(x), values), x.aval.dtype))
        return true_divide(
            x, place.fold("multiply", full(x.aval.shape, 1, x.aval.dtype), converted(values, x.aval.dtype))
        )

    def power(self, values: Any, **options: Any) -> Array:
        """A copy with the elements raised to the powers `values`."""
        place, x = (
            self._place("power", options),
            ops.convert(self.x, dtypes.int32) if self.x.aval.dtype == dtypes.bool_ else self.x,
        )
        if place.numbers is None:
            return place.replace(x, converted(power(place.read(x), values), x.aval.dtype))
        dtype = _AtIndex(x, self.index)._promoted(values)
        powers = place.fold("multiply", full(self.x.aval.shape, 1, dtype), converted(values, dtype))
        named = place.replace(full(self.x.aval.shape, False), Literal(True, dtypes.bool_))
        return ops.select(named, ops.cast(power(ops.cast(x, dtype), powers), x.aval.dtype), x)

    def min(self, values: Any, **options: Any) -> Array:
        """A copy with the elements limited from above by `values`."""
        return self._fold("min", values, options)

    def max(self, values: Any, **options: Any) -> Array:
        """A copy with the elements limited from below by `values`."""
        return self._fold("max", values, options)

    def apply(self, func: Callable[[Any], Any], **options: Any) -> Array:
        """A copy with an elementwise `func` applied to the elements, as often as each is named; once where
        `unique_indices` promises that.

        Where indices are recorded it is a loop over them, unless they are promised to be unique.
        """
        x, place = self.x, self._place("apply", options)
        turns = [] if place.numbers is None or options.get("unique_indices") else self._turns(options)
        if turns is None:
            return self._apply_in_turn(func, place)
        if len(turns) < 2:
            return place.replace(x, converted(func(place.read(x)), x.aval.dtype))
        flat = ops.reshape(x, (x.aval.size,))
        for numbers in turns:
            new = converted(func(ops.gather(flat, [numbers], (0,))), x.aval.dtype)
            flat = ops.scatter(flat, ops.broadcast_to(new, numbers.shape), [numbers], (0,))
        return ops.reshape(flat, x.aval.shape)

    def _resolved(
        self,
        what: str,
        otherwise: str,
        *,
        mode: str | None = None,
        wrap_negative_indices: bool = True,
        unique_indices: bool = False,
        indices_are_sorted: bool = False,
    ) -> Resolved:
        """The index by the keywords of a method; `otherwise` is what is done outside where nothing is said and nothing
        checked.
        """
        rule = Rule(f"x.at[...].{what}", mode, otherwise, otherwise, wrap_negative_indices).checked()
        return resolved(self.index, self.x.aval.shape, rule)

    def _place(self, what: str, options: dict[str, Any]) -> _Place:
        return _Place(f"x.at[...].{what}", self.x.aval.shape, self._resolved(what, "drop", **options))

    def _promoted(self, values: ArrayLike) -> dtypes.DType:
        """The dtype to which the array and values promote."""
        avals = [self.x.aval, aval_of(ops.as_operand(values))]
        return dtypes.promote([(a.dtype, a.weak_type) for a in avals])[0]

    def _fold(self, kind: str, values: Any, options: dict[str, Any], what: str = "") -> Array:
        dtype, aval = self._promoted(values), self.x.aval
        out = self._place(what or kind, options).fold(kind, ops.cast(self.x, dtype), converted(values, dtype))
        return self._weakened(ops.cast(out, aval.dtype))

    def _weakened(self, out: Any) -> Array:
        """A result with the weakness of the array's dtype."""
        return ops.convert(out, out.aval.dtype, True) if self.x.aval.weak_type and not out.aval.weak_type else out

    def _turns(self, options: dict[str, Any]) -> list[Any] | None:
        """Numbers of elements such that none repeats within one turn; None where the index is traced."""
        if any(isinstance(item, Tracer) for item in (self.index if isinstance(self.index, tuple) else (self.index,))):
            return None
        with set_trace(base_trace()):  # values, also in a recording
            x = full(self.x.aval.shape, False)
            numbers = _AtIndex(x, self.index)._place("apply", options).numbers._numpy()
        order = np.argsort(numbers, kind="stable")
        first = np.searchsorted(numbers[order], numbers[order])
        turn = np.empty(len(order), np.int64)
        turn[order] = np.arange(len(order)) - first
        return [from_numpy(numbers[(turn == t) & (numbers >= 0)]) for t in range(int(turn.max(initial=-1)) + 1)]

    def _apply_in_turn(self, func: Callable[[Any], Any], place: _Place) -> Array:
        x = self.x
        if not x.aval.size:
            return x

        def step(flat: Any, number: Any) -> tuple[Any, None]:
            new = converted(func(ops.gather(flat, [number], (0,))), x.aval.dtype)
            return ops.scatter(flat, ops.broadcast_to(new, ()), [number], (0,)), None

        flat, _ = scan(step, ops.reshape(x, (x.aval.size,)), place.numbers)
        return ops.reshape(flat, x.aval.shape)


def at(x: ArrayLike) -> _At:
    """`x.at`.

    >>> from fdl.numpy import array
    >>> at(array([1, 2, 3]))[1].set(9).tolist(), at(array([1, 2, 3]))[array([1, 1])].multiply(array([5, 7])).tolist()
    ([1, 9, 3], [1, 70, 3])
    """
    return _At(x)
