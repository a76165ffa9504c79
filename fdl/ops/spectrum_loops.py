"""Eigenvalues and singular values as loops: rotations of pairs of columns, all pairs that are disjoint at once.

Jacobi's method with the ordering of a round-robin tournament (Brent and Luk, 1985): in each of n - 1 steps, n columns
form n / 2 pairs, and after all steps each has met each. A step makes the product of the two columns of each pair vanish
by a rotation in their plane. After a sweep of all steps far less is left of all products than there was before, and at
the end sweeps converge quadratically. Their number follows from the size alone: no data decide when a program ends.
"""

from __future__ import annotations

from collections.abc import Callable

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.ops.factor_loops import reflected
from fdl.ops.matrix_loops import same, stored_matrices, stored_vectors
from fdl.ops.order_loops import sorted_places
from fdl.ops.vocabulary import Expr, Index, Place, Value, Vocabulary


def eigenpairs(b: Vocabulary, a: Value) -> list[Value]:
    """Eigenvalues of the symmetric part of matrices, the smallest first, and eigenvectors as columns.

    Rotations are applied from both sides until what is not on the diagonal is gone (Golub and Van Loan, 8.5).
    """
    n, dtype = a.shape[-1], a.dtype
    half = b.const(0.5, dtype)

    def symmetric(p: Place, i: Index, j: Index) -> Expr:
        both = b.apply("add", dtype, a.at((*p, i, j)), a.at((*p, j, i)))
        return b.apply("mul", dtype, half, both)

    def meet(k: Index, values: list[Value]) -> list[Value]:
        rest, vectors = values
        pairs = _Pairs(b, n, k)
        turn = pairs.rotation(
            rest.shape[:-1],
            dtype,
            lambda p, i: rest.at((*p, i, i)),
            lambda p, i, j: b.apply("add", dtype, rest.at((*p, i, j)), rest.at((*p, j, i))),
        )
        columns = stored_matrices(b, a.shape, dtype, lambda p, i, j: turn(p, j, lambda j: rest.at((*p, i, j))))
        rows = stored_matrices(b, a.shape, dtype, lambda p, i, j: turn(p, i, lambda i: columns.at((*p, i, j))))
        return [rows, stored_matrices(b, a.shape, dtype, lambda p, i, j: turn(p, j, lambda j: vectors.at((*p, i, j))))]

    diagonal, vectors = _swept(b, n, [stored_matrices(b, a.shape, dtype, symmetric), _identity(b, a)], meet)
    values = stored_vectors(b, a.shape[:-1], dtype, lambda p, i: diagonal.at((*p, i, i)))
    order = _ranked(b, values, descending=False)
    ranked = stored_matrices(b, a.shape, dtype, lambda p, i, j: vectors.at((*p, i, order(p, j))))
    sign = _upright(b, ranked)
    return [
        stored_vectors(b, values.shape, dtype, lambda p, i: values.at((*p, order(p, i)))),
        stored_matrices(b, a.shape, dtype, lambda p, i, j: b.apply("mul", dtype, ranked.at((*p, i, j)), sign(p, j))),
    ]


def singular_triplets(b: Vocabulary, a: Value) -> list[Value]:
    """Singular values of matrices with at least as many rows as columns, the largest first; U, with as many columns,
    and V transposed.

    Rotations from the right alone make the columns orthogonal (Hestenes, 1958): A V = U S. Reflections then give U,
    whose columns are orthonormal where singular values are zero, too.
    """
    *lead, _, n = a.shape
    dtype = a.dtype
    scale = _largest(b, a)
    scaled = stored_matrices(b, a.shape, dtype, lambda p, i, j: b.apply("div", dtype, a.at((*p, i, j)), scale.at(p)))

    def meet(k: Index, values: list[Value]) -> list[Value]:
        x, vectors = values
        pairs = _Pairs(b, n, k)

        def totals(other: Callable[[Place, Index], Index]) -> Value:
            """Of each column times the other one."""
            terms = lambda p, i, j: b.apply("mul", dtype, x.at((*p, i, j)), x.at((*p, i, other(p, j))))
            found = b.reduce("add", stored_matrices(b, a.shape, dtype, terms), [len(lead)])
            b.materialize(found, in_order=True)
            return found

        squares, products = totals(lambda p, j: j), totals(lambda p, j: pairs.partner(j))

        def twice(p: Place, j: Index, other: Index) -> Expr:
            return b.apply("add", dtype, products.at((*p, j)), products.at((*p, j)))

        turn = pairs.rotation((*lead, n), dtype, lambda p, j: squares.at((*p, j)), twice)

        def after(y: Value) -> Value:
            return stored_matrices(b, y.shape, dtype, lambda p, i, j: turn(p, j, lambda j: y.at((*p, i, j))))

        return [after(x), after(vectors)]

    x, vectors = _swept(b, n, [scaled, _identity(b, b.view((*lead, n, n), a, lambda index: index))], meet)
    squares = b.compute(x.shape, dtype, lambda index: b.apply("mul", dtype, x.at(index), x.at(index)), [x])
    sizes = b.reduce("add", squares, [len(lead)])
    order = _ranked(b, sizes, descending=True)
    q, r = reflected(b, stored_matrices(b, x.shape, dtype, lambda p, i, j: x.at((*p, i, order(p, j)))), n)
    b.materialize(q, in_order=True)
    sign = _upright(b, q)
    zero = b.const(0, dtype)

    def side(p: Place, j: Index) -> Expr:
        """Of the column of V: that of U, whose columns reflections turn round where r is negative."""
        turned = b.apply("lt", dtypes.bool_, r.at((*p, j, j)), zero)
        return b.apply("select", dtype, turned, b.apply("neg", dtype, sign(p, j)), sign(p, j))

    def size(p: Place, j: Index) -> Expr:
        return b.apply("mul", dtype, b.apply("abs", dtype, r.at((*p, j, j))), scale.at(p))

    rows = lambda p, j, i: b.apply("mul", dtype, vectors.at((*p, i, order(p, j))), side(p, j))
    return [
        stored_vectors(b, (*lead, n), dtype, size),
        stored_matrices(b, a.shape, dtype, lambda p, i, j: b.apply("mul", dtype, q.at((*p, i, j)), sign(p, j))),
        stored_matrices(b, (*lead, n, n), dtype, rows),
    ]


class _Pairs:
    """Which columns meet in step k of a tournament of n, and how each pair is rotated.

    Columns i and j below the last meet where i + j = k modulo their number, which is odd. The one that would meet
    itself meets the last one, or sits out where n is odd and the last one is missing.
    """

    def __init__(self, b: Vocabulary, n: int, k: Index) -> None:
        self.b, self.n = b, n
        last, int32 = n - 1 + n % 2, dtypes.int32

        def partner(_: Place, j: Index) -> Expr:
            own = b.number(j, int32)
            before, after = lambda: b.number(k - j, int32), lambda: b.number(k - j + last, int32)
            met = b.choose([b.at_least(k - j, 0)], before, after)
            itself = b.apply("eq", dtypes.bool_, met, own)
            found = b.choose([itself], lambda: own if n % 2 else b.const(last, int32), lambda: met)
            if n % 2:
                return found
            halves = lambda: b.number(b.quotient(k, 2), int32)
            middle = b.choose([b.divides(2, k)], halves, lambda: b.number(b.quotient(k + last, 2), int32))
            return b.choose([b.at_least(j, last)], lambda: middle, lambda: found)

        self.partners = stored_vectors(b, (n,), int32, partner)

    def partner(self, j: Index) -> Index:
        """The column that column j meets."""
        return self.b.clipped(self.partners.at((j,)), self.n)

    def rotation(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        own: Callable[[Place, Index], Expr],
        twice_shared: Callable[[Place, Index, Index], Expr],
    ) -> Callable[[Place, Index, Callable[[Index], Expr]], Expr]:
        """What a column becomes, `turn(p, j, element)` of `element(column)`, when its pair is made orthogonal.

        `own(p, j)` is the square of column j, or its place on the diagonal, and `twice_shared(p, i, j)` twice the
        product of two columns. Both of a pair work out one angle, with two signs, to the last bit.
        """
        b, zero, one = self.b, self.b.const(0, dtype), self.b.const(1, dtype)

        def root_of_square(x: Expr) -> Expr:
            """sqrt(1 + x^2)"""
            return b.apply("sqrt", dtype, b.apply("add", dtype, b.apply("mul", dtype, x, x), one))

        def tangent(p: Place, j: Index) -> Expr:
            other = self.partner(j)
            shared = twice_shared(p, j, other)
            ratio = b.apply("div", dtype, b.apply("sub", dtype, own(p, j), own(p, other)), shared)
            root = b.apply("add", dtype, b.apply("abs", dtype, ratio), root_of_square(ratio))
            size = b.apply("div", dtype, one, root)
            second = b.apply("lt", dtypes.bool_, self.partners.at((j,)), b.number(j, dtypes.int32))
            level = b.apply("eq", dtypes.bool_, ratio, zero)
            rises = b.apply("select", dtypes.bool_, level, second, b.apply("gt", dtypes.bool_, ratio, zero))
            angle = b.apply("select", dtype, rises, size, b.apply("neg", dtype, size))
            alone = b.apply("eq", dtypes.bool_, self.partners.at((j,)), b.number(j, dtypes.int32))
            stays = b.apply("or", dtypes.bool_, alone, b.apply("eq", dtypes.bool_, shared, zero))
            return b.apply("select", dtype, stays, zero, angle)

        tangents = stored_vectors(b, shape, dtype, tangent)

        def sine(p: Place, j: Index) -> Expr:
            return b.apply("div", dtype, tangents.at((*p, j)), root_of_square(tangents.at((*p, j))))

        sines = stored_vectors(b, shape, dtype, sine)

        def half_tangent(p: Place, j: Index) -> Expr:
            """sin / (1 + cos), where cos = 1 / sqrt(1 + tan^2)"""
            cosine = b.apply("div", dtype, one, root_of_square(tangents.at((*p, j))))
            return b.apply("div", dtype, sines.at((*p, j)), b.apply("add", dtype, one, cosine))

        halves = stored_vectors(b, shape, dtype, half_tangent)

        def turned(p: Place, j: Index, element: Callable[[Index], Expr]) -> Expr:
            """cos x + sin y, as a change of x that is small where the angle is: then its error is, too."""
            x, y = element(j), element(self.partner(j))
            change = b.apply("sub", dtype, y, b.apply("mul", dtype, halves.at((*p, j)), x))
            return b.apply("add", dtype, x, b.apply("mul", dtype, sines.at((*p, j)), change))

        return turned


def _swept(
    b: Vocabulary, n: int, values: list[Value], meet: Callable[[Index, list[Value]], list[Value]]
) -> list[Value]:
    """Some values after all sweeps of a tournament of n columns: each doubling of n adds one."""
    steps = n - 1 + n % 2
    if n < 2:
        return values
    return list(b.repeat(5 + n.bit_length(), values, lambda _, inner: list(b.repeat(steps, inner, meet))))


def _identity(b: Vocabulary, like: Value) -> Value:
    one, zero = b.const(1, like.dtype), b.const(0, like.dtype)
    return stored_matrices(
        b, like.shape, like.dtype, lambda p, i, j: b.choose(same(b, i, j), lambda: one, lambda: zero)
    )


def _ranked(b: Vocabulary, values: Value, descending: bool) -> Callable[[Place, Index], Index]:
    """Where the value of each rank stands."""
    places = sorted_places(b, values, descending)
    b.materialize(places, in_order=True)
    return lambda p, i: b.clipped(places.at((*p, i)), values.shape[-1])


def _largest(b: Vocabulary, a: Value) -> Value:
    """The size of the largest element of each matrix, 1 where all are zero."""
    *lead, m, n = a.shape
    dtype, zero, one = a.dtype, b.const(0, a.dtype), b.const(1, a.dtype)
    sizes = b.compute(a.shape, dtype, lambda index: b.apply("abs", dtype, a.at(index)), [a])
    most = b.reduce("max", sizes, [len(lead), len(lead) + 1]) if m and n else None

    def at(p: Place) -> Expr:
        return (
            one
            if most is None
            else b.apply("select", dtype, b.apply("eq", dtypes.bool_, most.at(p), zero), one, most.at(p))
        )

    made = b.compute(tuple(lead), dtype, at, [] if most is None else [most])
    b.materialize(made, in_order=True)
    return made


def _upright(b: Vocabulary, x: Value) -> Callable[[Place, Index], Expr]:
    """Signs that make the largest element of each column positive: of nearly equal ones the first."""
    *lead, _, n = x.shape
    dtype, down = x.dtype, len(lead)
    sizes = b.compute(x.shape, dtype, lambda index: b.apply("abs", dtype, x.at(index)), [x])
    most = b.reduce("max", sizes, [down])
    b.materialize(most, in_order=True)
    nearly = b.const(1 - 1e-4, dtype)

    def large(index: Place) -> Expr:
        *p, _, j = index
        limit = b.apply("mul", dtype, most.at((*p, j)), nearly)
        return b.apply("convert", dtype, b.apply("gt", dtypes.bool_, sizes.at(index), limit))

    place = b.argmax(b.compute(x.shape, dtype, large, [x, most]), down, dtypes.int32)
    b.materialize(place, in_order=True)

    def sign(p: Place, j: Index) -> Expr:
        found = x.at((*p, b.clipped(place.at((*p, j)), x.shape[-2]), j))
        falls = b.apply("lt", dtypes.bool_, found, b.const(0, dtype))
        return b.apply("select", dtype, falls, b.const(-1, dtype), b.const(1, dtype))

    made = stored_vectors(b, (*lead, n), dtype, sign)
    return lambda p, j: made.at((*p, j))
