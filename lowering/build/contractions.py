"""Products: which contractions become matrix products, and how their operands are read where they lie."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.lowering.build.layout import memory_order, steps_of, unordered
from fdl.lowering.build.values import Place, Value, Values
from fdl.lowering.ir.expr import Buffer, Expr
from fdl.lowering.ir.index import ZERO, Axis, Index, iteration, trips, walked_as_one
from fdl.lowering.ir.nodes import Dot, Operand
from fdl.lowering.ir.rewrite import Rewriting
from fdl.ops.dot import free_axes, product_dtype
from fdl.passes.size import Extent, at_most, dense, example_of, known

_MAX_DIGITS = 6  # of the number of a row or column, as the runtime library reads them
_SMALL_DOT = 512  # multiplications up to which a matrix product is plain loops
_NARROW = 8192  # elements of a product, up to which its sums may be cut
_LONG, _PART = 2048, 256  # length of a sum, from which it is cut, and of a part of it at least
_MAX_PARTS = 64
_THIN, _TERMS = 2, 64  # columns of a product, and terms of its sums, up to which it may be written out
_CLOSE = 4  # elements from one to the next that vectors still read well
_FEW_SUMS = 64  # elements of each product of a batch, up to which they may be folds
_LEAST_SUM = 128  # length of these sums, from which they may be
# Elements that machines multiply as they are, and what they are summed up in
_NARROW_SUMS = ((dtypes.bfloat16, dtypes.float32), (dtypes.int8, dtypes.int32))


@dataclasses.dataclass(frozen=True, slots=True)
class _Contraction:
    """Two operands, and of each the axes that count a batch, that stay, and that are summed over; sums are `wide`."""

    lhs: Value
    rhs: Value
    left: tuple[Sequence[int], Sequence[int], Sequence[int]]
    right: tuple[Sequence[int], Sequence[int], Sequence[int]]
    wide: DType

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """Of the batch, the rows, the columns, and the terms of a sum."""
        groups = [(self.lhs, axes) for axes in self.left]
        groups.insert(2, (self.rhs, self.right[1]))
        return tuple(tuple(x.shape[a] for a in axes) for x, axes in groups)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result: batch, rows, columns."""
        batch, rows, columns, _ = self.sizes
        return (*batch, *rows, *columns)


def _is_close(step: Extent) -> bool:
    """Whether elements at this step lie close together."""
    return not at_most(step, -_CLOSE - 1) and at_most(step, _CLOSE) and step != 0


def _parts_of_sum(batch: int, elements: int, k: int, first: int) -> int:
    """In how many parts the sums of a few elements are taken, so that there is work for all threads: the first
    contracted axis is cut.
    """
    if not at_most(batch, 1) or at_most(k, _LONG - 1) or not at_most(elements, _NARROW):
        return 1
    length, most = known(first), known(k) // _PART  # how often a length can be cut, its form does not tell
    return max(p for p in range(1, min(_MAX_PARTS, most) + 1) if length % p == 0)


class Products(Values):
    """Adds contractions to the vocabulary of `lower` rules."""

    def dot(self, lhs: Value, rhs: Value, numbers: Any, dtype: DType) -> Value:
        """A contraction: matrix products over a batch space, or plain loops where it is small or not float32 or
        float64.
        """
        (lc, rc), (lb, rb) = numbers
        left, right = ((b, free_axes(len(x.shape), c, b), c) for x, b, c in ((lhs, lb, lc), (rhs, rb, rc)))
        return self._cast(self._dot(_Contraction(lhs, rhs, left, right, product_dtype(lhs.dtype, dtype))), dtype)

    def _dot(self, c: _Contraction) -> Value:
        """The sums of a contraction, in the way that fits their number and length."""
        lhs, rhs, (lb, lf, lc), (rb, _, rc) = c.lhs, c.rhs, c.left, c.right
        batch = c.sizes[0]
        count, m, n, k = map(math.prod, c.sizes)
        narrow = lhs.dtype == rhs.dtype and (lhs.dtype, c.wide) in _NARROW_SUMS
        if (
            0 in (m, n, k, *batch)
            or at_most(k, 1)
            or at_most(m * n * k, _SMALL_DOT)
            or not (narrow or c.wide in (dtypes.float32, dtypes.float64))
        ):
            return self._plain_dot(c)
        if at_most(n, _THIN) and at_most(k, _TERMS) and self._lies_along(lhs, [*lb, *lf]):
            return self._dot_in_terms(c)
        if batch and at_most(m * n, _FEW_SUMS) and not at_most(k, _LEAST_SUM - 1):
            for x in (lhs, rhs):  # so that the order is the same whether or not an operand is computed here
                if self.seen(x)[0].op != "load":
                    self.materialize(x)
            if self._lies_along(lhs, lc[-1:]) and self._lies_along(rhs, rc[-1:]):
                return self._plain_dot(c)
            if self._lies_along(lhs, lb) and self._lies_along(rhs, rb):
                return self._dot_down_columns(c)
        parts = _parts_of_sum(count, m * n, k, lhs.shape[lc[0]])
        return self._dot_in_parts(c, parts) if parts > 1 else self._matrix_product(c, narrow)

    def _matrix_product(self, c: _Contraction, narrow: bool) -> Value:
        """A matrix product for each of the batch, of operands in their own dtype where they are `narrow`."""
        lhs, rhs = (c.lhs, c.rhs) if narrow else (self._cast(c.lhs, c.wide), self._cast(c.rhs, c.wide))
        (lb, lf, lc), (rb, rf, rc), (batch, _, columns, terms) = c.left, c.right, c.sizes
        rows = self._rows_in_memory_order(lhs, lf, lc)
        groups = batch, [lhs.shape[a] for a in rows], columns, terms
        left = iter(self.exprs.axes(itertools.chain(*groups)))
        space, down, across, over = (tuple(itertools.islice(left, len(group))) for group in groups)
        a = self._matrix(lhs, [*lb, *rows, *lc], (space, down, over))
        b = self._matrix(rhs, [*rb, *rc, *rf], (space, over, across))
        out = self.new_buffer(c.wide, math.prod(c.shape))
        self.emit(self._over_few_loops(space, (down, across, over), a, b, out))
        first, last = len(batch), len(batch) + len(lf)
        order = [*range(first), *(first + lf.index(a) for a in rows), *range(last, len(c.shape))]
        return self._turned(self.loaded(out, (*batch, *(lhs.shape[a] for a in rows), *columns)), order)

    def _dot_in_parts(self, c: _Contraction, parts: int) -> Value:
        """A batch of products over parts of the first contracted axis, and their sum, whose order follows from the
        shape.
        """

        def cut(x: Value, axis: int) -> Value:
            size = x.shape[axis] // parts
            shape = (parts, *(size if a == axis else d for a, d in enumerate(x.shape)))
            return self.view(
                shape, x, lambda index: [i + index[0] * size if a == axis else i for a, i in enumerate(index[1:])]
            )

        lhs, rhs = cut(c.lhs, c.left[2][0]), cut(c.rhs, c.right[2][0])
        moved = [[tuple(a + 1 for a in axes) for axes in groups] for groups in (c.left, c.right)]
        left, right = (((0, *batch), free, summed) for batch, free, summed in moved)
        return self.reduce("add", self._dot(_Contraction(lhs, rhs, left, right, c.wide)), [0])

    def _dot_in_terms(self, c: _Contraction) -> Value:
        """Short sums written out, for few columns: a convolution of each channel by itself. Vectors run along what lies
        side by side; a product would use one lane of each.
        """
        at, shape, terms = self._term(c), c.shape, c.sizes[-1]
        first, last = len(c.left[0]), len(c.left[0]) + len(c.left[1])
        order = [*range(first), *range(last, len(shape)), *range(first, last)]  # rows run fastest

        def total(index: Place) -> Expr:
            place = unordered(index, order)
            each = [at((*place, *(Index(i, ()) for i in term))) for term in np.ndindex(*terms)]
            return functools.reduce(lambda a, b: self.apply("add", c.wide, a, b), each)

        return self._turned(self.compute([shape[a] for a in order], c.wide, total, [c.lhs, c.rhs]), order)

    def _dot_down_columns(self, c: _Contraction) -> Value:
        """Long sums for each of a batch that lies side by side: vectors of the batch, folded down."""
        at, (batch, rows, columns, terms) = self._term(c), c.sizes
        first, free, last = len(batch), len(rows) + len(columns), len(c.shape) + len(terms) - len(batch)
        sizes = (*rows, *columns, *terms, *batch)
        products = Value(sizes, c.wide, lambda index: at((*index[last:], *index[:last])), expensive=True)
        summed = self.reduce("add", products, range(free, last))
        return self._turned(summed, [*range(first, len(c.shape)), *range(first)])

    def _plain_dot(self, c: _Contraction) -> Value:
        """Loops over the result with a sum inside."""
        at, shape, terms = self._term(c), c.shape, c.sizes[-1]
        if all(d == 1 for d in terms):  # an outer product
            return self.compute(shape, c.wide, lambda index: at((*index, *(ZERO for _ in terms))), [c.lhs, c.rhs])
        products = Value((*shape, *terms), c.wide, at, expensive=True)
        return self.reduce("add", products, range(len(shape), len(shape) + len(terms)))

    def _term(self, c: _Contraction) -> Callable[[Place], Expr]:
        """One product of two elements, by its place in the result and in the sum."""
        for x in (c.lhs, c.rhs):
            if x.expensive:
                self.materialize(x)
        ends = [0, *itertools.accumulate(map(len, c.sizes))]

        def at(index: Place) -> Expr:
            batch, rows, columns, term = (index[a:b] for a, b in itertools.pairwise(ends))
            a = c.lhs.at(unordered((*batch, *rows, *term), list(itertools.chain(*c.left))))
            b = c.rhs.at(unordered((*batch, *columns, *term), list(itertools.chain(*c.right))))
            return self.apply("mul", c.wide, self._converted(a, c.wide), self._converted(b, c.wide))

        return at

    def _steps(self, x: Value) -> list[Extent] | None:
        """How far one step along each axis moves in memory; None where a value does not lie there."""
        if x.expensive:
            return None
        e, axes = self.seen(x)
        return [dense(e.attr[1].coefficient(a)) for a in axes] if e.op == "load" else None

    def _lies_along(self, x: Value, axes: Sequence[int]) -> bool:
        """Whether neighbours along one of these axes are close in memory."""
        steps = self._steps(x)
        return steps is not None and any(not at_most(x.shape[a], 1) and _is_close(steps[a]) for a in axes)

    def _rows_in_memory_order(self, x: Value, rows: Sequence[int], columns: Sequence[int]) -> Sequence[int]:
        """Rows in an order in which neighbours lie side by side, if columns do not: then vectors can pack them."""
        found = self._steps(x)
        if found is None or len(rows) < 2:
            return rows
        steps = [abs(example_of(s)) if d != 1 else 0 for s, d in zip(found, x.shape, strict=True)]
        if 1 not in [steps[a] for a in rows] or steps[rows[-1]] == 1 or steps[columns[-1]] == 1:
            return rows
        return sorted(rows, key=lambda a: -steps[a])

    def _over_few_loops(
        self, space: tuple[Axis, ...], loops: Sequence[Sequence[Axis]], lhs: Operand, rhs: Operand, out: Buffer
    ) -> Dot:
        """The product over a batch and loops of rows, columns and terms, of which neighbours that its operands walk
        through as one are one. The result fills `out` in row-major order.
        """
        places, fewer = dict.fromkeys(itertools.chain(*loops), ZERO), list[tuple[Axis, ...]]()
        walks = [[lhs.index], [rhs.index], [lhs.index, rhs.index]]
        for name, axes, indices in zip(("rows", "columns", "terms"), loops, walks, strict=True):
            runs = walked_as_one(axes, indices)
            fewer.append(tuple(self.exprs.named(run[0].name, trips(run)) for run in runs))
            places |= {run[-1]: a.index for run, a in zip(runs, fewer[-1], strict=True)}
            fewer[-1] = fewer[-1] or (self.exprs.named(name, 1),)
        rows, cols, over = fewer
        row, col = (iteration(axes) if len(axes) > 1 else axes[0].index for axes in (rows, cols))
        n = trips(cols)
        place = iteration(space) * (trips(rows) * n) + row * n + col
        left, right = map(Rewriting(self.exprs, places).operand, (lhs, rhs))
        return Dot(space, rows, cols, over, left, right, Operand(out, place), out.dtype)

    def _matrix(self, x: Value, order: Sequence[int], loops: Sequence[Sequence[Axis]]) -> Operand:
        """An operand as matrices in memory: in place wherever it is an affine look at a buffer, else as a copy. Its
        axes, in this order, walk along the loops of the batch, of rows and of columns.
        """
        axes = [*itertools.chain(*loops)]
        index = [v.index for v in axes]
        place = unordered(index, order)
        if x.parts is not None:
            self.materialize(x)
        found = None if x.expensive else _affine(x.at(place), loops)
        if found is None:  # in the order in which it is computed, if that is a matrix too
            stored = self._stored(x, memory_order(*self.seen(x)))
            found = _affine(stored.at(place), loops)
        if found is None:
            shape = tuple(x.shape[a] for a in order)
            copy = self.in_row_major(Value(shape, x.dtype, lambda at: x.at(unordered(at, order))))
            found = _affine(copy.at(index), loops)
        assert found is not None
        return found


def _affine(e: Expr, loops: Sequence[Sequence[Axis]]) -> Operand | None:
    """What a load touches, if it moves along rows and columns by steps of few digits."""
    axes = [*itertools.chain(*loops)]
    plain = e.op == "load" and steps_of(e.attr[1], axes) is not None
    few = plain and all(len(walked_as_one(group, [e.attr[1]])) <= _MAX_DIGITS for group in loops[1:])
    return Operand(*e.attr) if few else None
