"""Factorisations as loops over columns, each step of which is a few maps over whole matrices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from fdl.core import dtypes
from fdl.ops.matrix_loops import (
    Number,
    element,
    minus,
    product,
    products,
    quotient,
    same,
    stored_matrices,
    stored_vectors,
    total,
)
from fdl.ops.vocabulary import Expr, Index, Place, Value, Vocabulary


def solved(b: Vocabulary, a: Value, right: Value, *, lower: bool, transposed: bool, unit: bool) -> Value:
    """Triangular systems: unknowns one after another, each taken out of all other rows at once."""
    *lead, n, m = right.shape
    forward = lower != transposed

    def body(k: Index, values: list[Value]) -> list[Value]:
        (x,) = values

        def known(p: Place, j: Index) -> Expr:
            found = x.at((*p, k, j))
            return found if unit else b.apply("div", x.dtype, found, a.at((*p, k, k)))

        row = stored_vectors(b, (*lead, m), x.dtype, known)

        def at(p: Place, i: Index, j: Index) -> Expr:
            own, factor = x.at((*p, i, j)), a.at((*p, k, i) if transposed else (*p, i, k))
            waits = b.at_least(i - k, 1) if forward else b.below(i - k, 0)
            changed = lambda: b.choose([waits], lambda: minus(b, own, factor, row.at((*p, j))), lambda: own)
            return b.choose(same(b, i, k), lambda: row.at((*p, j)), changed)

        return [stored_matrices(b, x.shape, x.dtype, at)]

    return b.repeat(n, [right], body, reverse=not forward)[0]


def lower_factor(b: Vocabulary, a: Value) -> Value:
    """Cholesky's factor, column by column; each one is taken out of what is right of it."""
    n, dtype = a.shape[-1], a.dtype
    zero = b.const(0, dtype)
    start = stored_matrices(
        b, a.shape, dtype, lambda p, i, j: b.choose([b.at_least(i - j, 0)], lambda: a.at((*p, i, j)), lambda: zero)
    )

    def body(k: Index, values: list[Value]) -> list[Value]:
        (rest,) = values

        def scaled(p: Place, i: Index) -> Expr:
            root = b.apply("sqrt", dtype, rest.at((*p, k, k)))
            return b.choose(same(b, i, k), lambda: root, lambda: b.apply("div", dtype, rest.at((*p, i, k)), root))

        column = stored_vectors(b, a.shape[:-1], dtype, scaled)

        def at(p: Place, i: Index, j: Index) -> Expr:
            own, below = rest.at((*p, i, j)), b.at_least(i - j, 0)
            reduced = lambda: minus(b, own, column.at((*p, i)), column.at((*p, j)))
            right = lambda: b.choose([b.at_least(j - k, 1), below], reduced, lambda: own)
            return b.choose([*same(b, j, k), below], lambda: column.at((*p, i)), right)

        return [stored_matrices(b, a.shape, dtype, at)]

    return b.repeat(n, [start], body)[0]


def eliminated(b: Vocabulary, parts: Sequence[Value]) -> list[Value]:
    """LU with the largest element of each column as its pivot: both triangles in one matrix, the order of the rows
    (int32), and its sign.

    Of complex matrices the two parts are given, and come back; the size of an element is the sum of those of its parts.
    """
    *lead, n, _ = parts[0].shape
    dtype, int32 = parts[0].dtype, dtypes.int32
    order = stored_vectors(b, (*lead, n), int32, lambda p, i: b.number(i, int32))
    sign = b.compute(tuple(lead), dtype, lambda p: b.const(1, dtype), [])

    def body(k: Index, values: list[Value]) -> list[Value]:
        *rest, rows, sign = values

        def size(p: Place, i: Index) -> Expr:
            found = lambda: total(b, [b.apply("abs", dtype, part.at((*p, i, k))) for part in rest])
            return b.choose([b.at_least(i - k, 0)], found, lambda: b.const(-1, dtype))

        pivot = b.argmax(stored_vectors(b, (*lead, n), dtype, size), len(lead), int32)

        def source(p: Place, i: Index) -> Index:
            """The row that comes to this place."""
            own, chosen = b.number(i, int32), pivot.at(p)
            there = b.apply("eq", dtypes.bool_, own, chosen)
            other = lambda: b.choose([there], lambda: b.number(k, int32), lambda: own)
            return b.clipped(b.choose(same(b, i, k), lambda: chosen, other), n)

        moved = [_moved_rows(b, part, source) for part in rest]
        ordered = stored_vectors(b, rows.shape, int32, lambda p, i: rows.at((*p, source(p, i))))

        def turned(p: Place) -> Expr:
            stays = b.apply("eq", dtypes.bool_, pivot.at(p), b.number(k, int32))
            return b.apply("select", dtype, stays, sign.at(p), b.apply("neg", dtype, sign.at(p)))

        changed = _column_taken(b, moved, k)
        return [*changed, ordered, b.compute(tuple(lead), dtype, turned, [sign, pivot])]

    return list(b.repeat(n, [*parts, order, sign], body))


def _moved_rows(b: Vocabulary, x: Value, source: Callable[[Place, Index], Index]) -> Value:
    return stored_matrices(b, x.shape, x.dtype, lambda p, i, j: x.at((*p, source(p, i), j)))


def _column_taken(b: Vocabulary, parts: Sequence[Value], k: Index) -> list[Value]:
    """Column k divided by its pivot, and taken out of what is right of it and below."""
    shape, dtype = parts[0].shape, parts[0].dtype
    numbers = range(len(parts))

    def factor(p: Place, i: Index) -> Number:
        return quotient(b, element(parts, (*p, i, k)), element(parts, (*p, k, k)))

    factors = [stored_vectors(b, shape[:-1], dtype, functools.partial(_part_of, factor, c)) for c in numbers]

    def at(p: Place, i: Index, j: Index) -> Number:
        below = b.at_least(i - k, 1)

        def one(c: int) -> Expr:
            own = parts[c].at((*p, i, j))

            def reduced() -> Expr:
                taken = product(b, element(factors, (*p, i)), element(parts, (*p, k, j)))
                return b.apply("sub", dtype, own, taken[c])

            right = lambda: b.choose([below, b.at_least(j - k, 1)], reduced, lambda: own)
            return b.choose([below, *same(b, j, k)], lambda: factors[c].at((*p, i)), right)

        return [one(c) for c in numbers]

    return [stored_matrices(b, shape, dtype, functools.partial(_part_of, at, c)) for c in numbers]


def _part_of(number: Callable[..., Number], which: int, *place: Any) -> Expr:
    return number(*place)[which]


def reflected(b: Vocabulary, a: Value, columns: int) -> list[Value]:
    """QR by reflections (Golub and Van Loan, 5.2.1): so many orthonormal columns, and the upper triangle."""
    *lead, m, n = a.shape
    dtype, steps = a.dtype, min(m, n)
    zero, one = b.const(0, dtype), b.const(1, dtype)
    vectors = stored_matrices(b, (*lead, m, steps), dtype, lambda p, i, j: zero)
    factors = stored_vectors(b, (*lead, steps), dtype, lambda p, i: zero)

    def body(k: Index, values: list[Value]) -> list[Value]:
        rest, vectors, factors = values
        length, factor = _reflection(b, rest, k)

        def element(p: Place, i: Index) -> Expr:
            gone = b.apply("sub", dtype, rest.at((*p, k, k)), length.at(p))
            scaled = lambda: b.apply("div", dtype, rest.at((*p, i, k)), gone)
            turns = b.apply("ne", dtypes.bool_, factor.at(p), zero)
            below = lambda: b.choose([b.at_least(i - k, 1), turns], scaled, lambda: zero)
            return b.choose(same(b, i, k), lambda: one, below)

        vector = stored_vectors(b, (*lead, m), dtype, element)
        taken = products(b, vector.at, factor.at, rest)

        def at(p: Place, i: Index, j: Index) -> Expr:
            own = rest.at((*p, i, j))
            right = [b.at_least(i - k, 0), b.at_least(j - k, 1)]
            reduced = lambda: b.choose(right, lambda: minus(b, own, vector.at((*p, i)), taken.at((*p, j))), lambda: own)
            below = lambda: b.choose([*same(b, j, k), b.at_least(i - k, 1)], lambda: zero, reduced)
            return b.choose([*same(b, i, k), *same(b, j, k)], lambda: length.at(p), below)

        kept = lambda p, i, j: b.choose(same(b, j, k), lambda: vector.at((*p, i)), lambda: vectors.at((*p, i, j)))
        noted = lambda p, i: b.choose(same(b, i, k), lambda: factor.at(p), lambda: factors.at((*p, i)))
        return [
            stored_matrices(b, rest.shape, dtype, at),
            stored_matrices(b, vectors.shape, dtype, kept),
            stored_vectors(b, factors.shape, dtype, noted),
        ]

    rest, vectors, factors = b.repeat(steps, [a, vectors, factors], body)

    def backwards(k: Index, values: list[Value]) -> list[Value]:
        (q,) = values
        taken = products(b, lambda index: vectors.at((*index, k)), lambda p: factors.at((*p, k)), q)
        return [
            stored_matrices(
                b, q.shape, dtype,
                lambda p, i, j: minus(b, q.at((*p, i, j)), vectors.at((*p, i, k)), taken.at((*p, j))),
            )
        ]  # fmt: skip

    identity = stored_matrices(
        b, (*lead, m, columns), dtype, lambda p, i, j: b.choose(same(b, i, j), lambda: one, lambda: zero)
    )
    (q,) = b.repeat(steps, [identity], backwards, reverse=True)
    return [q, b.view((*lead, columns, n), rest, lambda index: index)]


def _reflection(b: Vocabulary, rest: Value, k: Index) -> tuple[Value, Value]:
    """What column k becomes at its diagonal, and the factor of the reflection: 0 where nothing stands below."""
    *lead, m, _ = rest.shape
    dtype, zero = rest.dtype, b.const(0, rest.dtype)

    def square(p: Place, i: Index) -> Expr:
        x = rest.at((*p, i, k))
        return b.choose([b.at_least(i - k, 1)], lambda: b.apply("mul", dtype, x, x), lambda: zero)

    below = b.reduce("add", stored_vectors(b, (*lead, m), dtype, square), [len(lead)])
    b.materialize(below)

    def length(p: Place) -> Expr:
        x, rest_of_it = rest.at((*p, k, k)), below.at(p)
        root = b.apply("sqrt", dtype, b.apply("add", dtype, b.apply("mul", dtype, x, x), rest_of_it))
        away = b.apply("select", dtype, b.apply("lt", dtypes.bool_, x, zero), root, b.apply("neg", dtype, root))
        return b.apply("select", dtype, b.apply("ne", dtypes.bool_, rest_of_it, zero), away, x)

    to = b.compute(tuple(lead), dtype, length, [below])
    b.materialize(to)

    def gained(p: Place) -> Expr:
        change = b.apply("sub", dtype, to.at(p), rest.at((*p, k, k)))
        turns = b.apply("ne", dtypes.bool_, below.at(p), zero)
        return b.choose([turns], lambda: b.apply("div", dtype, change, to.at(p)), lambda: zero)

    factor = b.compute(tuple(lead), dtype, gained, [to])
    b.materialize(factor)
    return to, factor
