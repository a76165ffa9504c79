"""Orders along an axis as loops: sorting is a network of comparisons, running sums double their reach.

Both take about log n passes over all elements, each of which is one map.
"""

from __future__ import annotations

from collections.abc import Callable

from fdl.core import dtypes
from fdl.ops.vocabulary import Expr, Place, Value, Vocabulary


def running_sums(b: Vocabulary, x: Value, axis: int, reverse: bool) -> Value:
    """Sums of the elements so far along an axis: of all at distances below 1, 2, 4, ... (Hillis and Steele, 1986)."""
    n, narrow, distance = x.shape[axis], x.dtype, 1
    if dtypes.is_float(x.dtype):
        x = b.map("convert", x, dtype=dtypes.float64)
    while distance < n:
        b.materialize(x)
        x = _with_those_before(b, x, axis, -distance if reverse else distance)
        distance *= 2
    return x if x.dtype == narrow else b.map("convert", x, dtype=narrow)


def _with_those_before(b: Vocabulary, x: Value, axis: int, distance: int) -> Value:
    """Each element plus the one that stands so far before it, if there is one."""
    n = x.shape[axis]

    def at(index: Place) -> Expr:
        i, own = index[axis], x.at(index)
        exists = b.at_least(i, distance) if distance > 0 else b.below(i, n + distance)
        other = (*index[:axis], i - distance, *index[axis + 1 :])
        return b.choose([exists], lambda: b.apply("add", x.dtype, own, x.at(other)), lambda: own)

    return b.compute(x.shape, x.dtype, at, [x])


def sorted_places(b: Vocabulary, x: Value, descending: bool) -> Value:
    """Where the elements along the last axis stand in their order, int32; equal ones stay in order, NaN is the largest.

    A bitonic network (Batcher, 1968) on pairs of an element and its place, of which no two are equal. The axis is
    filled up to a power of two by pairs that come last.
    """
    *lead, n = x.shape
    full = 1 << max(n - 1, 0).bit_length()

    def padded(index: Place) -> Expr:
        if full == n:
            return x.at(index)
        return b.choose([b.below(index[-1], n)], lambda: x.at(index), lambda: b.const(0, x.dtype))

    keys = b.compute((*lead, full), x.dtype, padded, [x])
    places = b.compute((*lead, full), dtypes.int32, lambda index: b.number(index[-1], dtypes.int32), [])
    half = 1
    while half < full:
        distance = half
        while distance:
            keys, places = _exchanged(b, keys, places, distance, distance == half, n, descending)
            distance //= 2
        half *= 2
    return b.view((*lead, n), places, lambda index: index)


def _exchanged(
    b: Vocabulary, keys: Value, places: Value, distance: int, mirrored: bool, n: int, descending: bool
) -> tuple[Value, Value]:
    """Pairs at a distance, the first ones first; with `mirrored` the first half of a block meets the second one from
    its end, so that two rising halves become one.
    """
    for x in (keys, places):
        b.materialize(x, in_order=True)
    *lead, full = keys.shape
    shape = (*lead, full // (2 * distance), 2, distance)
    k, p = b.reshape(keys, shape), b.reshape(places, shape)

    def partner(index: Place) -> Place:
        *before, side, i = index
        return (*before, side * -1 + 1, i * -1 + (distance - 1) if mirrored else i)

    def chosen(x: Value) -> Callable[[Place], Expr]:
        def at(index: Place) -> Expr:
            other = partner(index)
            first = _comes_first(b, (k.at(other), p.at(other)), (k.at(index), p.at(index)), n, descending)
            moves = b.apply("eq", dtypes.bool_, first, b.below(index[-2], 1))
            return b.apply("select", x.dtype, moves, x.at(other), x.at(index))

        return at

    made = [b.compute(shape, x.dtype, chosen(x), [k, p]) for x in (k, p)]
    for x in made:
        b.materialize(x, in_order=True)
    return b.reshape(made[0], keys.shape), b.reshape(made[1], keys.shape)


def _comes_first(b: Vocabulary, one: tuple[Expr, Expr], two: tuple[Expr, Expr], n: int, descending: bool) -> Expr:
    """Whether the pair (element, place) comes before another one; places from `n` on are padding."""
    (_, i), (_, j) = one, two
    tie = _both(b, "and", b.apply("not", dtypes.bool_, _less_than(b, two, one, n, descending)), _both(b, "lt", i, j))
    return _both(b, "or", _less_than(b, one, two, n, descending), tie)


def _less_than(b: Vocabulary, one: tuple[Expr, Expr], two: tuple[Expr, Expr], n: int, descending: bool) -> Expr:
    """Whether a pair's element comes before another one's, whatever their places."""
    (x, i), (y, j) = one, two
    small, large = (y, x) if descending else (x, y)
    found = _both(b, "lt", small, large)
    if dtypes.is_float(x.dtype):
        found = _both(b, "or", found, _both(b, "and", _both(b, "ne", large, large), _both(b, "eq", small, small)))
    end = b.const(n, dtypes.int32)
    return _both(b, "and", _both(b, "lt", i, end), _both(b, "or", _both(b, "ge", j, end), found))


def _both(b: Vocabulary, op: str, x: Expr, y: Expr) -> Expr:
    return b.apply(op, dtypes.bool_, x, y)


def largest_places(b: Vocabulary, x: Value, k: int) -> Value:
    """Where the k largest elements along the last axis stand, the largest first; NaN counts as infinity."""
    if dtypes.is_float(x.dtype):
        b.materialize(x)
        numbers, dtype = x, x.dtype

        def at(index: Place) -> Expr:
            own = numbers.at(index)
            missing = b.apply("ne", dtypes.bool_, own, own)
            return b.apply("select", dtype, missing, b.const(float("inf"), dtype), own)

        x = b.compute(x.shape, dtype, at, [x])
    return b.view((*x.shape[:-1], k), sorted_places(b, x, True), lambda index: index)
