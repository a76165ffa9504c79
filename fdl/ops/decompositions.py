"""What routines compute, as loops: for targets that have no function for them.

Each takes the vocabulary of `lower` rules, whole stacks of rows or matrices that lie in memory, and what the routine is
asked for; it gives the values that the routine gives. Sorting is a network of comparisons, running sums double their
reach; both take about log n passes over all elements, each of which is one map. Factorisations are loops over columns,
each step of which is a few maps over whole matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.ops.vocabulary import Expr, Index, Place, Value, Vocabulary

# Orders along the last axis


def running_sums(b: Vocabulary, x: Value, axis: int, reverse: bool) -> Value:
    """Sums of the elements so far along an axis: of all at distances below 1, 2, 4, ... (Hillis and Steele, 1986)."""
    n, narrow, distance = x.shape[axis], x.dtype, 1
    if dtypes.is_float(x.dtype):
        x = b.map("convert", x, dtype=dtypes.float64)
    while distance < n:
        b.settle(x)
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
        b.settle(x, in_order=True)
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
        b.settle(x, in_order=True)
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
        b.settle(x)
        numbers, dtype = x, x.dtype

        def at(index: Place) -> Expr:
            own = numbers.at(index)
            missing = b.apply("ne", dtypes.bool_, own, own)
            return b.apply("select", dtype, missing, b.const(float("inf"), dtype), own)

        x = b.compute(x.shape, dtype, at, [x])
    return b.view((*x.shape[:-1], k), sorted_places(b, x, True), lambda index: index)


# Factorisations


def _cells(b: Vocabulary, shape: Sequence[int], dtype: DType, at: Callable[[Place, Index, Index], Expr]) -> Value:
    """Matrices in memory, by `at(place in the stack, row, column)`."""
    made = b.compute(tuple(shape), dtype, lambda index: at(index[:-2], index[-2], index[-1]), [])
    b.settle(made, in_order=True)
    return made


def _column(b: Vocabulary, shape: Sequence[int], dtype: DType, at: Callable[[Place, Index], Expr]) -> Value:
    """Columns, or rows, in memory, by `at(place in the stack, element)`."""
    made = b.compute(tuple(shape), dtype, lambda index: at(index[:-1], index[-1]), [])
    b.settle(made, in_order=True)
    return made


def _less(b: Vocabulary, x: Expr, factor: Expr, y: Expr) -> Expr:
    """x - factor y"""
    return b.apply("sub", x.dtype, x, b.apply("mul", x.dtype, factor, y))


def _is(b: Vocabulary, i: Index, k: Index) -> list[Expr]:
    """Conditions under which two indices are equal."""
    return [b.at_least(i - k, 0), b.below(i - k, 1)]


def solved(b: Vocabulary, a: Value, right: Value, *, lower: bool, transposed: bool, unit: bool) -> Value:
    """Triangular systems: unknowns one after another, each taken out of all other rows at once."""
    *lead, n, m = right.shape
    forward = lower != transposed

    def body(k: Index, values: list[Value]) -> list[Value]:
        (x,) = values

        def known(p: Place, j: Index) -> Expr:
            found = x.at((*p, k, j))
            return found if unit else b.apply("div", x.dtype, found, a.at((*p, k, k)))

        row = _column(b, (*lead, m), x.dtype, known)

        def at(p: Place, i: Index, j: Index) -> Expr:
            own, factor = x.at((*p, i, j)), a.at((*p, k, i) if transposed else (*p, i, k))
            waits = b.at_least(i - k, 1) if forward else b.below(i - k, 0)
            changed = lambda: b.choose([waits], lambda: _less(b, own, factor, row.at((*p, j))), lambda: own)
            return b.choose(_is(b, i, k), lambda: row.at((*p, j)), changed)

        return [_cells(b, x.shape, x.dtype, at)]

    return b.repeat(n, [right], body, reverse=not forward)[0]


def lower_factor(b: Vocabulary, a: Value) -> Value:
    """Cholesky's factor, column by column; each one is taken out of what is right of it."""
    n, dtype = a.shape[-1], a.dtype
    zero = b.const(0, dtype)
    start = _cells(
        b, a.shape, dtype, lambda p, i, j: b.choose([b.at_least(i - j, 0)], lambda: a.at((*p, i, j)), lambda: zero)
    )

    def body(k: Index, values: list[Value]) -> list[Value]:
        (rest,) = values

        def scaled(p: Place, i: Index) -> Expr:
            root = b.apply("sqrt", dtype, rest.at((*p, k, k)))
            return b.choose(_is(b, i, k), lambda: root, lambda: b.apply("div", dtype, rest.at((*p, i, k)), root))

        column = _column(b, a.shape[:-1], dtype, scaled)

        def at(p: Place, i: Index, j: Index) -> Expr:
            own, below = rest.at((*p, i, j)), b.at_least(i - j, 0)
            reduced = lambda: _less(b, own, column.at((*p, i)), column.at((*p, j)))
            right = lambda: b.choose([b.at_least(j - k, 1), below], reduced, lambda: own)
            return b.choose([*_is(b, j, k), below], lambda: column.at((*p, i)), right)

        return [_cells(b, a.shape, dtype, at)]

    return b.repeat(n, [start], body)[0]


def eliminated(b: Vocabulary, a: Value) -> list[Value]:
    """LU with the largest element of each column as its pivot: both triangles in one matrix, the order of the rows
    (int32), and its sign.
    """
    *lead, n, _ = a.shape
    dtype, int32 = a.dtype, dtypes.int32
    order = _column(b, (*lead, n), int32, lambda p, i: b.number(i, int32))
    sign = b.compute(tuple(lead), dtype, lambda p: b.const(1, dtype), [])

    def body(k: Index, values: list[Value]) -> list[Value]:
        rest, rows, sign = values

        def size(p: Place, i: Index) -> Expr:
            found = lambda: b.apply("abs", dtype, rest.at((*p, i, k)))
            return b.choose([b.at_least(i - k, 0)], found, lambda: b.const(-1, dtype))

        pivot = b.argmax(_column(b, (*lead, n), dtype, size), len(lead), int32)

        def source(p: Place, i: Index) -> Index:
            """The row that comes to this place."""
            own, chosen = b.number(i, int32), pivot.at(p)
            there = b.apply("eq", dtypes.bool_, own, chosen)
            other = lambda: b.choose([there], lambda: b.number(k, int32), lambda: own)
            return b.clipped(b.choose(_is(b, i, k), lambda: chosen, other), n)

        moved = _cells(b, rest.shape, dtype, lambda p, i, j: rest.at((*p, source(p, i), j)))
        ordered = _column(b, rows.shape, int32, lambda p, i: rows.at((*p, source(p, i))))

        def turned(p: Place) -> Expr:
            stays = b.apply("eq", dtypes.bool_, pivot.at(p), b.number(k, int32))
            return b.apply("select", dtype, stays, sign.at(p), b.apply("neg", dtype, sign.at(p)))

        def factor(p: Place, i: Index) -> Expr:
            first = moved.at((*p, k, k))
            divides = b.apply("ne", dtypes.bool_, first, b.const(0, dtype))
            divisor = b.apply("select", dtype, divides, first, b.const(1, dtype))
            return b.apply("div", dtype, moved.at((*p, i, k)), divisor)

        factors = _column(b, (*lead, n), dtype, factor)

        def at(p: Place, i: Index, j: Index) -> Expr:
            own, below = moved.at((*p, i, j)), b.at_least(i - k, 1)
            reduced = lambda: _less(b, own, factors.at((*p, i)), moved.at((*p, k, j)))
            right = lambda: b.choose([below, b.at_least(j - k, 1)], reduced, lambda: own)
            return b.choose([below, *_is(b, j, k)], lambda: factors.at((*p, i)), right)

        return [_cells(b, rest.shape, dtype, at), ordered, b.compute(tuple(lead), dtype, turned, [sign, pivot])]

    return list(b.repeat(n, [a, order, sign], body))


def reflected(b: Vocabulary, a: Value, columns: int) -> list[Value]:
    """QR by reflections (Golub and Van Loan, 5.2.1): so many orthonormal columns, and the upper triangle."""
    *lead, m, n = a.shape
    dtype, steps = a.dtype, min(m, n)
    zero, one = b.const(0, dtype), b.const(1, dtype)
    vectors = _cells(b, (*lead, m, steps), dtype, lambda p, i, j: zero)
    factors = _column(b, (*lead, steps), dtype, lambda p, i: zero)

    def body(k: Index, values: list[Value]) -> list[Value]:
        rest, vectors, factors = values
        length, factor = _reflection(b, rest, k)

        def element(p: Place, i: Index) -> Expr:
            gone = b.apply("sub", dtype, rest.at((*p, k, k)), length.at(p))
            scaled = lambda: b.apply("div", dtype, rest.at((*p, i, k)), gone)
            turns = b.apply("ne", dtypes.bool_, factor.at(p), zero)
            below = lambda: b.choose([b.at_least(i - k, 1), turns], scaled, lambda: zero)
            return b.choose(_is(b, i, k), lambda: one, below)

        vector = _column(b, (*lead, m), dtype, element)
        taken = _products(b, vector.at, factor.at, rest)

        def at(p: Place, i: Index, j: Index) -> Expr:
            own = rest.at((*p, i, j))
            right = [b.at_least(i - k, 0), b.at_least(j - k, 1)]
            reduced = lambda: b.choose(right, lambda: _less(b, own, vector.at((*p, i)), taken.at((*p, j))), lambda: own)
            below = lambda: b.choose([*_is(b, j, k), b.at_least(i - k, 1)], lambda: zero, reduced)
            return b.choose([*_is(b, i, k), *_is(b, j, k)], lambda: length.at(p), below)

        kept = lambda p, i, j: b.choose(_is(b, j, k), lambda: vector.at((*p, i)), lambda: vectors.at((*p, i, j)))
        noted = lambda p, i: b.choose(_is(b, i, k), lambda: factor.at(p), lambda: factors.at((*p, i)))
        return [
            _cells(b, rest.shape, dtype, at),
            _cells(b, vectors.shape, dtype, kept),
            _column(b, factors.shape, dtype, noted),
        ]

    rest, vectors, factors = b.repeat(steps, [a, vectors, factors], body)

    def backwards(k: Index, values: list[Value]) -> list[Value]:
        (q,) = values
        taken = _products(b, lambda index: vectors.at((*index, k)), lambda p: factors.at((*p, k)), q)
        return [
            _cells(
                b, q.shape, dtype,
                lambda p, i, j: _less(b, q.at((*p, i, j)), vectors.at((*p, i, k)), taken.at((*p, j))),
            )
        ]  # fmt: skip

    identity = _cells(b, (*lead, m, columns), dtype, lambda p, i, j: b.choose(_is(b, i, j), lambda: one, lambda: zero))
    (q,) = b.repeat(steps, [identity], backwards, reverse=True)
    return [q, b.view((*lead, columns, n), rest, lambda index: index)]


def _reflection(b: Vocabulary, rest: Value, k: Index) -> tuple[Value, Value]:
    """What column k becomes at its diagonal, and the factor of the reflection: 0 where nothing stands below."""
    *lead, m, _ = rest.shape
    dtype, zero = rest.dtype, b.const(0, rest.dtype)

    def square(p: Place, i: Index) -> Expr:
        x = rest.at((*p, i, k))
        return b.choose([b.at_least(i - k, 1)], lambda: b.apply("mul", dtype, x, x), lambda: zero)

    below = b.reduce("add", _column(b, (*lead, m), dtype, square), [len(lead)])
    b.settle(below)

    def length(p: Place) -> Expr:
        x, rest_of_it = rest.at((*p, k, k)), below.at(p)
        root = b.apply("sqrt", dtype, b.apply("add", dtype, b.apply("mul", dtype, x, x), rest_of_it))
        away = b.apply("select", dtype, b.apply("lt", dtypes.bool_, x, zero), root, b.apply("neg", dtype, root))
        return b.apply("select", dtype, b.apply("ne", dtypes.bool_, rest_of_it, zero), away, x)

    to = b.compute(tuple(lead), dtype, length, [below])
    b.settle(to)

    def gained(p: Place) -> Expr:
        change = b.apply("sub", dtype, to.at(p), rest.at((*p, k, k)))
        turns = b.apply("ne", dtypes.bool_, below.at(p), zero)
        return b.choose([turns], lambda: b.apply("div", dtype, change, to.at(p)), lambda: zero)

    factor = b.compute(tuple(lead), dtype, gained, [to])
    b.settle(factor)
    return to, factor


def _products(b: Vocabulary, vector: Callable[[Place], Expr], factor: Callable[[Place], Expr], x: Value) -> Value:
    """The factor times the products of a vector with the columns of matrices."""
    *lead, _, n = x.shape
    last, dtype = len(lead), x.dtype
    terms = b.compute(x.shape, dtype, lambda index: b.apply("mul", dtype, vector(index[:-1]), x.at(index)), [x])
    totals = b.reduce("add", terms, [last])
    made = b.compute(
        (*lead, n), dtype, lambda index: b.apply("mul", dtype, factor(index[:-1]), totals.at(index)), [totals]
    )
    b.settle(made)
    return made
