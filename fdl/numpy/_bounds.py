"""Indices outside of an array: one rule for all that takes indices.

A `mode` is obeyed everywhere and never raises:

- `"fill"`, `"drop"`: reads `fill_value` (NaN, the smallest integer, the largest unsigned one, or True), and writes
  nothing
- `"clip"`: is moved to the nearest inside
- `"wrap"`: counts round and round
- `"promise_in_bounds"`: is not there, says the caller: memory is safe if it is, and nothing else is said

Negative indices count from the end first. Without a mode an index that has a value is checked: IndexBoundsError at the
line, or when the value is computed; so under `grad` and `vmap` too. An index that is a variable of a recording (`jit`,
bodies of loops, `make_graph`) does what JAX does: `x[i]` moves it inside, `take` and `take_along_axis` fill, writing
drops. `FDL_CHECKS=0` does that with all indices, `FDL_CHECKS=1` checks all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fdl import ops
from fdl.backends.native import NATIVE
from fdl.core import dtypes
from fdl.core.array import Array, Deferred, as_array, from_numpy
from fdl.core.config import config
from fdl.core.dtypes import DType
from fdl.core.errors import ChoiceError, IndexBoundsError
from fdl.core.graph import ArrayLike, Literal, Operand
from fdl.core.trace import Tracer, aval_of, base_trace, current_trace, set_trace

MODES = ("fill", "drop", "clip", "wrap", "promise_in_bounds")


class Rule(NamedTuple):
    """What happens to indices outside: `mode` as the caller gave it, `otherwise` where it is None and nothing is
    checked.

    `promised` is what is done under "promise_in_bounds". Both are modes of a gather or scatter. `negative` says whether
    negative indices count from the end, `what` is how errors call the caller.
    """

    what: str = ""
    mode: str | None = None
    otherwise: str = "promised"
    promised: str = "promised"
    negative: bool = True

    @property
    def prefix(self) -> str:
        """How an error begins."""
        return f"{self.what}: " if self.what else ""

    def checked(self) -> Rule:
        """The rule itself; ChoiceError for an unknown mode."""
        if self.mode is not None and self.mode not in MODES:
            raise ChoiceError(
                f"{self.prefix}mode={self.mode!r} is none of {', '.join(MODES)}",
                hint="no mode, for an error where an index is out of bounds",
            )
        return self

    def handling(self) -> str:
        """What is done with indices outside where they are not checked: a mode of a gather or scatter, or "wrap"."""
        if self.mode is None:
            return self.otherwise
        return {"fill": "drop", "promise_in_bounds": self.promised}.get(self.mode, self.mode)

    def checks(self) -> bool:
        """Whether indices that have a value are checked."""
        return self.mode is None and config.checks is not False


def out_of_bounds(rule: Rule, index: Any, axis: int, n: int, low: int) -> IndexBoundsError:
    """The error of an index that is not from `low` to `n - 1`."""
    within = (
        f"from {low} to {n - 1}, or a mode: x.at[i].get(mode='fill'), jnp.take(x, i, mode='clip')"
        if n
        else "an array that has elements along this axis"
    )
    return IndexBoundsError(f"{rule.prefix}index {index} is out of bounds for axis {axis} of size {n}", hint=within)


def placed_number(number: int, n: int, axis: int, rule: Rule) -> int | Array:
    """A Python int as a place from the front; as an array that lies outside where it reads what fills, or writes
    nothing.
    """
    place = number + n if rule.negative and number < 0 else number
    if 0 <= place < n:
        return place
    if rule.checks():
        raise out_of_bounds(rule, number, axis, n, -n if rule.negative else 0)
    handling = rule.handling()
    if handling == "drop":
        return from_numpy(np.array(n, np.int64))
    if n == 0:
        raise out_of_bounds(rule, number, axis, n, 0)
    return place % n if handling == "wrap" else min(max(place, 0), n - 1)


def placed(indices: Sequence[tuple[int, Any]], shape: Sequence[int], rule: Rule) -> tuple[list[Any], str]:
    """Index arrays, each with its axis, as places from the front; and the mode in which a gather or scatter handles
    those that lie outside.
    """
    handling = rule.handling()
    if rule.checks() and _all_inside(indices, shape, rule):
        handling = "clip"
    elif handling == "promised" and not any(aval_of(index).ndim for _, index in indices):
        handling = "clip"  # in JAX, too, derivatives of a single element go where its value came from
    if handling != "drop" and any(shape[axis] == 0 and aval_of(index).size for axis, index in indices):
        raise IndexBoundsError(f"{rule.prefix}nothing to index along an axis of size 0", hint="mode='fill'")
    places = []
    for axis, index in indices:
        n, place = shape[axis], ops.widened(index, shape[axis])
        if handling == "wrap":
            place = ops.rem(place, max(n, 1))
        if (rule.negative or handling == "wrap") and aval_of(index).dtype not in dtypes.UNSIGNED:
            place = ops.select(ops.less(place, 0), ops.add(place, n), place)
        places.append(place)
    return places, "clip" if handling == "wrap" else handling


def _all_inside(indices: Sequence[tuple[int, Any]], shape: Sequence[int], rule: Rule) -> bool:
    """Whether all index arrays have values, which then lie inside; each one that has is checked."""
    return False not in [_check(index, shape[axis], axis, rule) for axis, index in indices]


def _check(index: Any, n: int, axis: int, rule: Rule) -> bool:
    """Whether an index has a value, all of it inside; IndexBoundsError at the line, or where the program computes the
    value, if it is not.

    Branches and bodies of loops may run or not: there an index outside is an error of the program that takes the
    branch.
    """
    known = index.lanes() if isinstance(index, Tracer) else as_array(index)
    if known is None and not config.checks:
        return False
    aval = aval_of(index if known is None else known)
    if not aval.size:
        return True
    unsigned = aval.dtype in dtypes.UNSIGNED
    low = -n if rule.negative and not unsigned else 0
    if known is None:  # a variable of a recording
        _record_check(index, n, axis, rule, low)
        return True
    pending = isinstance(known._data, Deferred)
    if not pending or not n:
        if (
            NATIVE.within is not None
            and not unsigned
            and NATIVE.within(known._data, known.aval.dtype.itemsize, low, n - 1)
        ):
            return True
        values = known._numpy()
        bad = values.min() if values.min() < low else values.max()
        if low <= bad < n:
            return True
    if not current_trace().surely_runs():
        _record_check(index, n, axis, rule, low)
    elif pending and n:
        with set_trace(base_trace()):
            _record_check(known, n, axis, rule, low)
    else:
        raise out_of_bounds(rule, bad, axis, n, low)
    return True


def _record_check(index: Any, n: int, axis: int, rule: Rule, low: int) -> None:
    wide = ops.widened(index, n)
    rest, hint = f"is out of bounds for axis {axis} of size {n}", f"from {low} to {n - 1}, or a mode"
    failure = ops.Failure(IndexBoundsError, f"{rule.prefix}index {{}} {rest}", f"{rule.prefix}an index {rest}", hint)
    ops.check(ops.bitwise_or(ops.less(wide, low), ops.greater(wide, n - 1)), failure, index)


def inside(indices: Sequence[Any], sizes: Sequence[int]) -> Array:
    """Where places from the front all lie inside."""
    conditions = [ops.bitwise_and(ops.greater_equal(i, 0), ops.less(i, n)) for i, n in zip(indices, sizes, strict=True)]
    held = conditions[0]
    for c in conditions[1:]:
        held = ops.bitwise_and(held, c)
    return held


def fill_of(dtype: DType, value: ArrayLike | None = None) -> Operand:
    """What is read outside, in the array's dtype: `value`, else JAX's choice."""
    if value is not None:
        return converted(value, dtype)
    if dtypes.is_inexact(dtype):
        return Literal(float("nan"), dtype)
    if dtype == dtypes.bool_:
        return Literal(True, dtype)
    info = np.iinfo(dtype)
    return Literal(int(info.max if dtype in dtypes.UNSIGNED else info.min), dtype)


def converted(value: ArrayLike, dtype: DType) -> Operand:
    """A value that is written into an array of this dtype: integers that do not fit keep their last bits, fractions are
    cut off, as in conversions of arrays.
    """
    value = ops.as_operand(value)
    if not isinstance(value, Literal) or dtypes.is_inexact(dtype):
        return ops.cast(value, dtype)
    if dtype == dtypes.bool_ or value.aval.dtype == dtypes.bool_:
        return Literal(bool(value.number) if dtype == dtypes.bool_ else int(value.number), dtype)
    if dtypes.is_inexact(value.aval.dtype):
        return ops.convert(from_numpy(np.asarray(value.number)), dtype)
    bits, number = 8 * dtype.itemsize, int(value.number)
    low = 0 if dtype in dtypes.UNSIGNED else 1 << (bits - 1)
    return Literal((number + low) % (1 << bits) - low, dtype)


__all__ = ["MODES", "Rule", "converted", "fill_of", "inside", "out_of_bounds", "placed", "placed_number"]
