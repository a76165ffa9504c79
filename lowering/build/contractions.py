"""Products: which contractions become matrix products, and how their operands are read where they lie."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.lowering.build.layout import memory_order
from fdl.lowering.ir.expr import Expr
from fdl.lowering.ir.index import ZERO, Index, LoopVar, row_major, space_vars
from fdl.lowering.ir.nodes import Dot, Operand
from fdl.lowering.ir.size import Extent, at_most, dense, example_of, known
from fdl.lowering.build.values import Place, Value, Values
from fdl.ops.dot import free_axes, product_dtype

_MAX_DIGITS = 6  # of the number of a row or column, as the runtime library reads them
_SMALL_DOT = 512  # multiplications up to which a matrix product is plain loops
_NARROW, _LONG, _PART = (
    8192,
    2048,
    256,
)  # elements of a product, and length of its sum, from which that is cut; and the least length of a part
_MAX_PARTS = 64
_THIN, _TERMS = 2, 64  # columns of a product, and terms of its sums, up to which it may be written out
_CLOSE = 4  # elements from one to the next that vectors still read well
_FEW_SUMS = 64  # elements of each product of a batch, up to which they may be folds
_LEAST_SUM = 128  # length of these sums, from which they may be
_NARROW_SUMS = (
    (dtypes.bfloat16, dtypes.float32),
    (dtypes.int8, dtypes.int32),
)  # elements that machines multiply as they are, and what they are summed up in


def _is_close(step: Extent) -> bool:
    """Whether elements at this step lie close together."""
    return not at_most(step, -_CLOSE - 1) and at_most(step, _CLOSE) and step != 0


class Products(Values):
    """Adds contractions to the vocabulary of `lower` rules."""

    def dot(self, lhs: Value, rhs: Value, numbers: Any, dtype: DType) -> Value:
        """A contraction: matrix products over a batch space, or plain loops where it is small or not float32 or
        float64.
        """
        (lc, rc), (lb, rb) = numbers
        lf, rf = free_axes(len(lhs.shape), lc, lb), free_axes(len(rhs.shape), rc, rb)
        batch = [lhs.shape[a] for a in lb]
        shape = (*batch, *(lhs.shape[a] for a in lf), *(rhs.shape[a] for a in rf))
        m, n, k = (math.prod(v.shape[a] for a in axes) for v, axes in ((lhs, lf), (rhs, rf), (lhs, lc)))
        wide = product_dtype(lhs.dtype, dtype)
        narrow = lhs.dtype == rhs.dtype and (lhs.dtype, wide) in _NARROW_SUMS
        if (
            0 in (m, n, k, *batch)
            or at_most(k, 1)
            or at_most(m * n * k, _SMALL_DOT)
            or not (narrow or wide in (dtypes.float32, dtypes.float64))
        ):
            return self._plain_dot(lhs, rhs, numbers, shape, wide, dtype)
        if at_most(n, _THIN) and at_most(k, _TERMS) and self._lies_along(lhs, [*lb, *lf]):
            return self._dot_in_terms(lhs, rhs, numbers, shape, wide, dtype)
        if batch and at_most(m * n, _FEW_SUMS) and not at_most(k, _LEAST_SUM - 1):
            if self._lies_along(lhs, lc[-1:]) and self._lies_along(rhs, rc[-1:]):
                return self._plain_dot(lhs, rhs, numbers, shape, wide, dtype)
            if self._lies_along(lhs, lb) and self._lies_along(rhs, rb):
                return self._dot_down_columns(lhs, rhs, numbers, shape, wide, dtype)
        parts = self._parts_of_sum(math.prod(batch), m * n, k, lhs.shape[lc[0]])
        if parts > 1:
            return self._dot_in_parts(lhs, rhs, numbers, dtype, parts)
        left, right = (lhs, rhs) if narrow else (self._cast(lhs, wide), self._cast(rhs, wide))
        rows = self._rows_in_memory_order(left, lf, lc)
        a = self._matrix(left, lb, rows, lc)
        b = self._matrix(right, rb, rc, rf)
        buffer = self.new_buffer(wide, math.prod(shape))
        out = Operand(buffer, row_major(space_vars(len(batch)), batch) * (m * n), ((m, n),), ((n, 1),))
        self.emit(Dot(tuple(batch), m, n, k, a, b, out, wide))
        stored = self.loaded(buffer, (*batch, *(lhs.shape[a] for a in rows), *shape[len(batch) + len(lf) :]))
        if rows != lf:
            first = len(batch)
            order = [*range(first), *(first + lf.index(a) for a in rows), *range(first + len(lf), len(shape))]
            stored = self.view(shape, stored, lambda index: [index[i] for i in order])
        return self._cast(stored, dtype)

    @staticmethod
    def _parts_of_sum(batch: int, elements: int, k: int, first: int) -> int:
        """In how many parts the sums of a few elements are taken, so that there is work for all threads: the first
        contracted axis is cut.
        """
        if not at_most(batch, 1) or at_most(k, _LONG - 1) or not at_most(elements, _NARROW):
            return 1
        length, most = known(first), known(k) // _PART  # how often a length can be cut, its form does not tell
        return max(p for p in range(1, min(_MAX_PARTS, most) + 1) if length % p == 0)

    def _dot_in_parts(self, lhs: Value, rhs: Value, numbers: Any, dtype: DType, parts: int) -> Value:
        """A batch of products over parts of the first contracted axis, and their sum, whose order follows from the
        shape.
        """
        (lc, rc), (lb, rb) = numbers

        def cut(x: Value, axis: int) -> Value:
            size = x.shape[axis] // parts
            shape = (parts, *(size if a == axis else d for a, d in enumerate(x.shape)))
            return self.view(
                shape, x, lambda index: [i + index[0] * size if a == axis else i for a, i in enumerate(index[1:])]
            )

        inner = (
            (tuple(a + 1 for a in lc), tuple(a + 1 for a in rc)),
            ((0, *(a + 1 for a in lb)), (0, *(a + 1 for a in rb))),
        )
        wide = product_dtype(lhs.dtype, dtype)
        products = self.dot(cut(lhs, lc[0]), cut(rhs, rc[0]), inner, wide)
        return self._cast(self.reduce("add", products, [0]), dtype)

    def _rows_in_memory_order(self, x: Value, rows: list[int], cols: Sequence[int]) -> list[int]:
        """Rows in an order in which neighbours lie side by side, if columns do not: then vectors can pack them."""
        variables = space_vars(len(x.shape))
        e = x.at(variables) if not x.expensive else None
        if e is None or e.op != "load" or len(rows) < 2:
            return rows
        steps = [
            abs(example_of(dense(e.attr[1].coefficient(v.terms[0][0])))) if d != 1 else 0
            for v, d in zip(variables, x.shape, strict=True)
        ]
        if 1 not in [steps[a] for a in rows] or steps[rows[-1]] == 1 or steps[cols[-1]] == 1:
            return rows
        return sorted(rows, key=lambda a: -steps[a])

    @staticmethod
    def _lies_along(x: Value, axes: Sequence[int]) -> bool:
        """Whether neighbours along one of these axes are close in memory."""
        variables = space_vars(len(x.shape))
        e = x.at(variables) if not x.expensive else None
        return (
            e is not None
            and e.op == "load"
            and any(
                not at_most(x.shape[a], 1) and _is_close(dense(e.attr[1].coefficient(variables[a].terms[0][0]))) for a in axes
            )
        )

    def _dot_in_terms(
        self, lhs: Value, rhs: Value, numbers: Any, shape: Sequence[int], wide: DType, dtype: DType
    ) -> Value:
        """Short sums written out, for few columns: a convolution of each channel by itself. Vectors run along what lies
        side by side; a product would use one lane of each.
        """
        (lc, rc), (lb, rb) = numbers
        lf, rf = free_axes(len(lhs.shape), lc, lb), free_axes(len(rhs.shape), rc, rb)
        sizes = [lhs.shape[a] for a in lc]
        at = self._term(lhs, rhs, numbers, wide)

        def total(index: Place) -> Expr:
            batch, right, left = index[: len(lb)], index[len(lb) : len(lb) + len(rf)], index[len(lb) + len(rf) :]
            terms = [at((*batch, *left, *right, *(Index(i, ()) for i in place))) for place in np.ndindex(*sizes)]
            return functools.reduce(lambda a, b: self.apply("add", wide, a, b), terms)

        order = [
            *range(len(lb)),
            *range(len(lb) + len(lf), len(shape)),
            *range(len(lb), len(lb) + len(lf)),
        ]  # rows run fastest
        turned = self.compute([shape[a] for a in order], wide, total, [lhs, rhs])
        return self._cast(self.view(shape, turned, lambda index: [index[a] for a in order]), dtype)

    def _matrix(self, x: Value, batch: Sequence[int], rows: Sequence[int], cols: Sequence[int]) -> Operand:
        """An operand as a matrix in memory: in place wherever it is an affine look at a buffer, else as a copy."""
        order = [*batch, *rows, *cols]
        index = space_vars(len(order))
        place = tuple(index[order.index(a)] for a in range(len(order)))
        if x.parts is not None:
            self.materialize(x)
        sizes = [x.shape[a] for a in order]
        found = None if x.expensive else self._digits(x.at(place), sizes, len(batch), len(rows))
        if found is None:  # in the order in which it is computed, if that is a matrix too
            stored = self._stored(x, memory_order(x.at(space_vars(len(order))), x.shape))
            found = self._digits(stored.at(place), sizes, len(batch), len(rows))
        if found is None:
            copy = self.in_row_major(
                Value(tuple(sizes), x.dtype, lambda at: x.at(tuple(at[order.index(a)] for a in range(len(order)))))
            )
            found = self._digits(copy.at(index), sizes, len(batch), len(rows))
        assert found is not None
        return found

    def _digits(self, e: Expr, sizes: Sequence[int], n_batch: int, n_rows: int) -> Operand | None:
        """How a load moves along rows and columns, if by steps of few digits."""
        if e.op != "load":
            return None
        buffer, offset = e.attr
        variables = [v.terms[0][0] for v in space_vars(len(sizes))]
        if any(not isinstance(atom, LoopVar) for atom, _ in offset.terms):
            return None

        def digits(group: range) -> tuple[tuple[int, int], ...]:
            found: list[tuple[int, int]] = []
            for i in group:
                size, step = sizes[i], offset.coefficient(variables[i])
                if found and found[-1][1] == step * size:  # both walk as one
                    found[-1] = (found[-1][0] * size, step)
                elif size != 1:
                    found.append((size, step))
            return tuple(found) or ((1, 0),)

        rows, cols = digits(range(n_batch, n_batch + n_rows)), digits(range(n_batch + n_rows, len(sizes)))
        if max(len(rows), len(cols)) > _MAX_DIGITS:
            return None
        return Operand(buffer, offset.without(variables[n_batch:]), rows, cols)

    def _term(self, lhs: Value, rhs: Value, numbers: Any, wide: DType) -> Callable[[Place], Expr]:
        """One product of two elements, by its place in the result and in the sum."""
        (lc, rc), (lb, rb) = numbers
        lf, rf = free_axes(len(lhs.shape), lc, lb), free_axes(len(rhs.shape), rc, rb)
        ends = [len(lb), len(lb) + len(lf), len(lb) + len(lf) + len(rf)]
        for x in (lhs, rhs):
            if x.expensive:
                self.materialize(x)

        def at(index: Place) -> Expr:
            batch, left, right, inner = (
                index[: ends[0]],
                index[ends[0] : ends[1]],
                index[ends[1] : ends[2]],
                index[ends[2] :],
            )
            pick_l = {
                **dict(zip(lb, batch, strict=True)),
                **dict(zip(lf, left, strict=True)),
                **dict(zip(lc, inner, strict=True)),
            }
            pick_r = {
                **dict(zip(rb, batch, strict=True)),
                **dict(zip(rf, right, strict=True)),
                **dict(zip(rc, inner, strict=True)),
            }
            a, b = (x.at([pick[i] for i in range(len(x.shape))]) for x, pick in ((lhs, pick_l), (rhs, pick_r)))
            a, b = (e if e.dtype == wide else self.apply("convert", wide, e) for e in (a, b))
            return self.apply("mul", wide, a, b)

        return at

    def _dot_down_columns(
        self, lhs: Value, rhs: Value, numbers: Any, shape: Sequence[int], wide: DType, dtype: DType
    ) -> Value:
        """Long sums for each of a batch that lies side by side: vectors of the batch, folded down."""
        (lc, _), (lb, _) = numbers
        at = self._term(lhs, rhs, numbers, wide)
        first, free, inner = len(lb), len(shape) - len(lb), len(lc)

        def turned(index: Place) -> Expr:  # free axes, terms, batch
            return at((*index[free + inner :], *index[: free + inner]))

        products = Value((*shape[first:], *(lhs.shape[a] for a in lc), *shape[:first]), wide, turned, expensive=True)
        summed = self.reduce("add", products, range(free, free + inner))
        return self._cast(self.view(shape, summed, lambda index: [*index[first:], *index[:first]]), dtype)

    def _plain_dot(
        self, lhs: Value, rhs: Value, numbers: Any, shape: Sequence[int], wide: DType, dtype: DType
    ) -> Value:
        """Loops over the result with a sum inside."""
        lc = numbers[0][0]
        at = self._term(lhs, rhs, numbers, wide)
        if all(lhs.shape[a] == 1 for a in lc):  # an outer product
            return self._cast(
                self.compute(shape, wide, lambda index: at((*index, *(ZERO for _ in lc))), [lhs, rhs]), dtype
            )
        products = Value((*shape, *(lhs.shape[a] for a in lc)), wide, at, expensive=True)
        summed = self.reduce("add", products, range(len(shape), len(shape) + len(lc)))
        return self._cast(summed, dtype)
