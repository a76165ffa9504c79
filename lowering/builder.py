"""The builder: what `lower` rules are handed.  It turns a Graph into a loop program.

A value is lazy: a function from an index to an expression.  It becomes a buffer (a kernel is emitted) where several readers need it, where it would be
computed again and again (broadcast, random access), or where a node needs memory.  So chains fuse by themselves; `schedule.py` merges what is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.core.graph import Atom, Equation, Graph, Literal, Var, use_counts
from fdl.core.source import Location
from fdl.lowering.layout import memory_order, packed_steps, steps_of, steps_through
from fdl.lowering.loop_ir import (
    ZERO,
    Argmax,
    Branch,
    Buffer,
    Dot,
    Expr,
    Index,
    Interner,
    Loop,
    LoopVar,
    Map,
    Node,
    Operand,
    Program,
    Reduce,
    Scatter,
    Store,
    row_major,
    space_vars,
    step_var,
)
from fdl.ops.dot import free_axes, product_dtype

_MAX_DEPTH = 48  # of fused operations in one expression: bounds recursion and kernel size
ROW, COLUMN = 4096, 128  # elements that one fold takes, along the last axis and along others
_MAX_DIGITS = 6  # of the number of a row or column, as the runtime library reads them
_FEW = 16  # elements of a carry that is no output, but copied to one
_UNROLLED, _UNROLLED_COST = 8, 100  # elements of a fold that is written out, and operations in it from which its operand goes to memory first
_SMALL_DOT = 512  # multiplications up to which a matrix product is plain loops
_NARROW, _LONG, _PART = 8192, 2048, 256  # elements of a product, and length of its sum, from which that is cut; and the least length of a part
_MAX_PARTS = 64

Place = tuple[Index, ...]


class Value:
    """A lazy array: `at(index)` is the expression of one element."""

    __slots__ = ("_at", "_memo", "buffer", "depth", "dtype", "expensive", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: DType, at: Callable[[Place], Expr], depth: int = 0, buffer: Buffer | None = None, expensive: bool = False) -> None:
        self.shape, self.dtype, self._at, self.depth, self.buffer = tuple(shape), dtype, at, depth, buffer
        self.expensive = expensive  # whether an element costs more than its address
        self._memo: dict[Place, Expr] = {}

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def at(self, index: Sequence[Index]) -> Expr:
        """The expression of the element at an index."""
        place = tuple(index)
        if place not in self._memo:
            self._memo[place] = self._at(place)
        return self._memo[place]


class Builder:
    """Makes the nodes of one program.  Methods are the vocabulary of `lower` rules."""

    zero = ZERO

    def __init__(self) -> None:
        self.exprs = Interner()
        self.buffers: list[Buffer] = []
        self.nodes: list[Node] = []
        self.depth = 0
        self.source: Location | None = None

    # Memory

    def new_buffer(self, dtype: DType, size: int, kind: str = "temp") -> Buffer:
        buffer = Buffer(len(self.buffers), dtype, size, kind)
        self.buffers.append(buffer)
        return buffer

    def loaded(self, buffer: Buffer, shape: Sequence[int], base: Index = ZERO) -> Value:
        """The contiguous array in a buffer, from an offset on."""
        shape = tuple(shape)

        def at(index: Place) -> Expr:
            return self.exprs.make("load", (), buffer.dtype, (buffer, base + row_major(index, shape)))

        return Value(shape, buffer.dtype, at, buffer=buffer if base == ZERO else None)

    def emit(self, node: Node) -> None:
        if self.source is not None:
            node.sources.append(self.source)
        self.nodes.append(node)

    def store(self, value: Value, buffer: Buffer, base: Index = ZERO) -> None:
        """Emit the kernel that computes a value into a buffer."""
        index = space_vars(len(value.shape))
        self.emit(Map(value.shape, [Store(buffer, base + row_major(index, value.shape), value.at(index))]))

    def materialize(self, value: Value) -> Value:
        """The value in a buffer of its own."""
        return self._stored(value, range(len(value.shape)))

    def _stored(self, value: Value, order: Sequence[int]) -> Value:
        """The value in a buffer, axes in this order."""
        if value.buffer is not None and value.buffer.size == value.size:
            return value
        shape, index = tuple(value.shape[a] for a in order), space_vars(len(value.shape))
        place = dict(zip(order, index, strict=True))
        buffer = self.new_buffer(value.dtype, value.size)
        self.emit(Map(shape, [Store(buffer, row_major(index, shape), value.at([place[a] for a in range(len(place))]))]))
        stored = self.loaded(buffer, shape)
        return stored if list(order) == sorted(order) else self.view(value.shape, stored, lambda index: [index[a] for a in order])

    # Scalars

    def const(self, value: Any, dtype: DType) -> Expr:
        return self.exprs.make("const", (), dtype, np.asarray(value).astype(dtype)[()])

    def number(self, index: Index, dtype: DType) -> Expr:
        """An index as a number."""
        exact = self.exprs.make("number", (), dtypes.int64, index)
        return exact if dtype == dtypes.int64 else self.apply("convert", dtype, exact)

    def apply(self, op: str, dtype: DType, *args: Expr) -> Expr:
        return self.exprs.make(op, args, dtype)

    def flat(self, index: Sequence[Index], shape: Sequence[int]) -> Index:
        return row_major(index, shape)

    def _index_of(self, e: Expr) -> Index:
        return Index(0, ((e, 1),))

    def _int(self, value: int) -> Expr:
        return self.const(value, dtypes.int64)

    def at_least(self, index: Index, limit: int) -> Expr:
        return self.apply("ge", dtypes.bool_, self.number(index, dtypes.int64), self._int(limit))

    def below(self, index: Index, limit: int) -> Expr:
        return self.apply("lt", dtypes.bool_, self.number(index, dtypes.int64), self._int(limit))

    def divides(self, step: int, index: Index) -> Expr:
        rest = self.apply("rem", dtypes.int64, self.number(index, dtypes.int64), self._int(step))
        return self.apply("eq", dtypes.bool_, rest, self._int(0))

    def quotient(self, index: Index, step: int) -> Index:
        return self._index_of(self.apply("div", dtypes.int64, self.number(index, dtypes.int64), self._int(step)))

    def _wide(self, e: Expr) -> Expr:
        """An index value in int64; uint64 beyond it saturates."""
        if e.dtype == dtypes.int64:
            return e
        if e.dtype == dtypes.uint64:
            e = self.apply("min", dtypes.uint64, e, self.const(2**63 - 1, dtypes.uint64))
        return self.apply("convert", dtypes.int64, e)

    def clipped(self, e: Expr, size: int) -> Index:
        """A computed index moved into the array."""
        low = self.apply("max", dtypes.int64, self._wide(e), self._int(0))
        return self._index_of(self.apply("min", dtypes.int64, low, self._int(max(size - 1, 0))))

    def inside(self, e: Expr, size: int) -> Expr:
        wide = self._wide(e)
        return self.apply("and", dtypes.bool_, self.apply("ge", dtypes.bool_, wide, self._int(0)), self.apply("lt", dtypes.bool_, wide, self._int(size)))

    def choose(self, conditions: Sequence[Expr], yes: Callable[[], Expr], no: Callable[[], Expr]) -> Expr:
        """The first value where all conditions hold, else the second; only the chosen one is evaluated."""
        if not conditions:
            return yes()
        a, b = yes(), no()
        return self.exprs.make("choose", (*conditions, a, b), a.dtype)

    # Values

    def compute(self, shape: Sequence[int], dtype: DType, at: Callable[[Place], Expr], operands: Sequence[Value], random_access: Sequence[Value] = ()) -> Value:
        """A value given by its elements."""
        for x in random_access:
            if x.expensive:
                self.settle(x)
        depth = 1 + max((x.depth for x in operands), default=0)
        return self._bounded(Value(tuple(shape), dtype, at, depth, expensive=True))

    def view(self, shape: Sequence[int], x: Value, source: Callable[[Place], Sequence[Index]], repeats: bool = False) -> Value:
        """The elements of `x` at other places; with `repeats` each at many."""
        if repeats and x.expensive and math.prod(shape) > x.size:
            self.settle(x)
        out = self._bounded(Value(tuple(shape), x.dtype, lambda index: x.at(tuple(source(index))), x.depth + 1, expensive=x.expensive))
        if not out.expensive and out.buffer is None:  # a look at a whole buffer, in order, is the buffer
            index = space_vars(len(out.shape))
            e = out.at(index)
            if e.op == "load" and e.attr[0].size == out.size and e.attr[1] == row_major(index, out.shape):
                out.buffer = e.attr[0]
        return out

    def settle(self, x: Value, in_order: bool = False) -> None:
        """Put a value into memory, for all its readers: in row-major order, or as its operands lie."""
        stored = self.materialize(x) if in_order else self._stored(x, memory_order(x.at(space_vars(len(x.shape))), x.shape))
        x._at, x._memo, x.buffer, x.depth, x.expensive = stored._at, {}, stored.buffer, 0, False

    def _bounded(self, x: Value) -> Value:
        if x.depth > _MAX_DEPTH:
            self.settle(x)
        return x

    def map(self, op: str, *xs: Value, dtype: DType | None = None) -> Value:
        """An elementwise operation on operands of one shape, or 0-d."""
        shape = max((x.shape for x in xs), key=len)
        out = dtype or xs[-1].dtype
        for x in xs:
            if shape and not x.shape and x.expensive:
                self.settle(x)
        return self.compute(shape, out, lambda index: self.apply(op, out, *[x.at(index if x.shape else ()) for x in xs]), xs)

    def power(self, x: Value, exponent: int) -> Value:
        """A power by repeated squaring, in float32 for narrow floats."""
        wide = dtypes.compute_dtype(x.dtype)

        def at(index: Place) -> Expr:
            square = x.at(index)
            square = square if square.dtype == wide else self.apply("convert", wide, square)
            result, n = self.const(1, wide), abs(exponent)
            while n:
                if n & 1:
                    result = square if result.op == "const" else self.apply("mul", wide, result, square)
                n >>= 1
                square = self.apply("mul", wide, square, square) if n else square
            if exponent < 0:
                result = self.apply("div", wide, self.const(1, wide), result)
            return result if wide == x.dtype else self.apply("convert", x.dtype, result)

        return self.compute(x.shape, x.dtype, at, [x])

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """Axes of size 1 come and go as a view; anything else is another look at the same memory."""
        kept_old, kept_new = [d for d in x.shape if d != 1], [d for d in shape if d != 1]
        if kept_old == kept_new:

            def at(index: Place) -> Sequence[Index]:
                given = iter([i for i, d in zip(index, shape, strict=True) if d != 1])
                return [ZERO if d == 1 else next(given) for d in x.shape]

            return self.view(shape, x, at)
        if x.expensive:
            order = memory_order(x.at(space_vars(len(x.shape))), x.shape)
            if steps_through(x.shape, packed_steps(x.shape, order), shape) is None:
                x = self.materialize(x)
            else:
                self.settle(x)
        seen = self._seen_as(x, shape)
        if seen is None:
            seen = self._seen_as(self.materialize(x), shape)
            assert seen is not None, (x.shape, shape)
        return seen

    def _seen_as(self, x: Value, shape: Sequence[int]) -> Value | None:
        """The memory of a value through another shape, if its elements stand there at regular steps."""
        index = space_vars(len(x.shape))
        e = x.at(index)
        if e.op == "const":
            return self.view(shape, x, lambda _: [ZERO] * len(x.shape))
        steps = steps_of(e.attr[1], len(x.shape)) if e.op == "load" else None
        through = None if steps is None else steps_through(x.shape, steps, shape)
        if through is None:
            return None
        buffer, base = e.attr[0], e.attr[1].without([v.terms[0][0] for v in index])

        def at(place: Place) -> Expr:
            return self.exprs.make("load", (), x.dtype, (buffer, sum((i * s for i, s in zip(place, through, strict=True)), base)))

        whole = buffer if base == ZERO and buffer.size == x.size and steps == packed_steps(x.shape, range(len(x.shape))) else None
        return Value(tuple(shape), x.dtype, at, buffer=whole)

    def reduce(self, kind: str, x: Value, axes: Sequence[int]) -> Value:
        """The sum or the maximum over axes; narrow floats are added in float32."""
        if not axes:
            return x
        wide = dtypes.compute_dtype(x.dtype)
        out = self._fold(kind, self._cast(x, wide), sorted(axes))
        return out if wide == x.dtype else self.map("convert", out, dtype=x.dtype)

    def _fold(self, kind: str, x: Value, axes: Sequence[int]) -> Value:
        """Folds of bounded length, then folds of their results: so the order follows from the shape, and there is work for all threads."""
        few = self._unrolled(kind, x, axes)
        if few is not None:
            return few
        rows = len(x.shape) - 1 in axes
        limit = ROW if rows else COLUMN
        inner = list(axes)
        while len(inner) > 1 and math.prod(x.shape[a] for a in inner) > limit:
            inner.pop(0)
        if len(inner) == 1 and x.shape[inner[0]] > limit:
            parts = self._in_parts(kind, x, inner[0], limit, rows)
        elif len(inner) < len(axes):
            parts = self._fold_at_once(kind, x, inner, rows)
        else:
            return self._fold_at_once(kind, x, axes, rows)
        # what was folded is gone, or stands where it was as the axis of parts
        left = [a for a in axes if a not in inner] + ([inner[0]] if len(parts.shape) == len(x.shape) else [])
        kept = [a for a in range(len(x.shape)) if a not in inner or a in left]
        return self._fold(kind, parts, sorted(kept.index(a) for a in left))

    def _unrolled(self, kind: str, x: Value, axes: Sequence[int]) -> Value | None:
        """A few elements folded one after another, as an expression that fuses like any other."""
        sizes = [x.shape[a] for a in axes]
        if not 0 < math.prod(sizes) <= _UNROLLED:
            return None
        kept = [a for a in range(len(x.shape)) if a not in axes]

        def at(index: Place) -> Expr:
            total = None
            for place in np.ndindex(*sizes):
                where = dict(zip(kept, index, strict=True)) | dict(zip(axes, (Index(i, ()) for i in place), strict=True))
                e = x.at([where[a] for a in range(len(x.shape))])
                total = e if total is None else self.apply(kind, x.dtype, total, e)
            assert total is not None
            return total

        shape = tuple(x.shape[a] for a in kept)
        if at(tuple(space_vars(len(shape)))).cost > _UNROLLED_COST:
            self.settle(x)  # the order of the fold follows from its shape, whatever its operand costs
        return self.compute(shape, x.dtype, at, [x])

    def _fold_at_once(self, kind: str, x: Value, axes: Sequence[int], rows: bool) -> Value:
        kept = [a for a in range(len(x.shape)) if a not in axes]
        space = tuple(x.shape[a] for a in kept)
        buffer = self.new_buffer(x.dtype, math.prod(space))
        value = x.at(self._spread(len(x.shape), kept, axes))
        self.emit(Reduce(space, value, buffer, row_major(space_vars(len(space)), space), tuple(x.shape[a] for a in axes), kind, rows))
        return self.loaded(buffer, space)

    def _in_parts(self, kind: str, x: Value, axis: int, limit: int, rows: bool) -> Value:
        """One axis folded piece by piece: `limit` elements each, and the rest."""
        whole, rest = divmod(x.shape[axis], limit)
        parts = tuple(whole + (rest > 0) if a == axis else d for a, d in enumerate(x.shape))
        buffer = self.new_buffer(x.dtype, math.prod(parts))
        variables = space_vars(len(x.shape) + 1)
        for count, length, first in ((whole, limit, 0), (1, rest, whole)):
            if length:
                space = tuple(count if a == axis else d for a, d in enumerate(x.shape))
                index = list(variables[:-1])
                target = tuple(v + first if a == axis else v for a, v in enumerate(index))
                index[axis] = index[axis] * limit + variables[-1] + first * limit
                self.emit(Reduce(space, x.at(index), buffer, row_major(target, parts), (length,), kind, rows))
        return self.loaded(buffer, parts)

    def _spread(self, ndim: int, kept: Sequence[int], axes: Sequence[int]) -> Place:
        """The operand's index: kept axes run over the space, the others over the inner loops."""
        order = [*kept, *sorted(axes)]
        variables = space_vars(ndim)
        return tuple(variables[order.index(i)] for i in range(ndim))

    def argmax(self, x: Value, axis: int, dtype: DType) -> Value:
        kept = [i for i in range(len(x.shape)) if i != axis]
        space = tuple(x.shape[i] for i in kept)
        buffer = self.new_buffer(dtype, math.prod(space))
        value = x.at(self._spread(len(x.shape), kept, [axis]))
        self.emit(Argmax(space, value, buffer, row_major(space_vars(len(space)), space), x.shape[axis]))
        return self.loaded(buffer, space)

    def scatter(self, kind: str, x: Value, updates: Value, target: Callable[[Place], tuple[Place, list[Expr]]], distinct: bool = False) -> Value:
        """A copy of `x` with updates set or added at computed places, in order; `distinct` if no two meet."""
        buffer = self.new_buffer(x.dtype, x.size)
        self.store(x, buffer)
        index = space_vars(len(updates.shape))
        place, conditions = target(tuple(index))
        if updates.size and x.size:
            self.emit(Scatter(updates.shape, updates.at(index), buffer, row_major(place, x.shape), kind, conditions, distinct))
        return self.loaded(buffer, x.shape)

    # Products

    def dot(self, lhs: Value, rhs: Value, numbers: Any, dtype: DType) -> Value:
        """A contraction: matrix products over a batch space, or plain loops where it is small or not float32 or float64."""
        (lc, rc), (lb, rb) = numbers
        lf, rf = free_axes(len(lhs.shape), lc, lb), free_axes(len(rhs.shape), rc, rb)
        batch = [lhs.shape[a] for a in lb]
        shape = (*batch, *(lhs.shape[a] for a in lf), *(rhs.shape[a] for a in rf))
        m, n, k = (math.prod(v.shape[a] for a in axes) for v, axes in ((lhs, lf), (rhs, rf), (lhs, lc)))
        wide = product_dtype(lhs.dtype, dtype)
        if 0 in (m, n, k, *batch) or k == 1 or m * n * k <= _SMALL_DOT or wide not in (dtypes.float32, dtypes.float64):
            return self._plain_dot(lhs, rhs, numbers, shape, wide, dtype)
        parts = self._parts_of_sum(math.prod(batch), m * n, k, lhs.shape[lc[0]])
        if parts > 1:
            return self._dot_in_parts(lhs, rhs, numbers, dtype, parts)
        left = self._cast(lhs, wide)
        rows = self._rows_in_memory_order(left, lf, lc)
        a = self._matrix(left, lb, rows, lc)
        b = self._matrix(self._cast(rhs, wide), rb, rc, rf)
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
        """In how many parts the sums of a few elements are taken, so that there is work for all threads: the first contracted axis is cut."""
        if batch > 1 or elements > _NARROW or k < _LONG:
            return 1
        return max(p for p in range(1, min(_MAX_PARTS, k // _PART) + 1) if first % p == 0)

    def _dot_in_parts(self, lhs: Value, rhs: Value, numbers: Any, dtype: DType, parts: int) -> Value:
        """A batch of products over parts of the first contracted axis, and their sum, whose order follows from the shape."""
        (lc, rc), (lb, rb) = numbers

        def cut(x: Value, axis: int) -> Value:
            size = x.shape[axis] // parts
            shape = (parts, *(size if a == axis else d for a, d in enumerate(x.shape)))
            return self.view(shape, x, lambda index: [i + index[0] * size if a == axis else i for a, i in enumerate(index[1:])])

        inner = (tuple(a + 1 for a in lc), tuple(a + 1 for a in rc)), ((0, *(a + 1 for a in lb)), (0, *(a + 1 for a in rb)))
        wide = product_dtype(lhs.dtype, dtype)
        products = self.dot(cut(lhs, lc[0]), cut(rhs, rc[0]), inner, wide)
        return self._cast(self.reduce("add", products, [0]), dtype)

    def _rows_in_memory_order(self, x: Value, rows: list[int], cols: Sequence[int]) -> list[int]:
        """Rows in an order in which neighbours lie side by side, if columns do not: then vectors can pack them."""
        variables = space_vars(len(x.shape))
        e = x.at(variables) if not x.expensive else None
        if e is None or e.op != "load" or len(rows) < 2:
            return rows
        steps = [abs(e.attr[1].coefficient(v.terms[0][0])) if d > 1 else 0 for v, d in zip(variables, x.shape, strict=True)]
        if 1 not in [steps[a] for a in rows] or steps[rows[-1]] == 1 or steps[cols[-1]] == 1:
            return rows
        return sorted(rows, key=lambda a: -steps[a])

    def _cast(self, x: Value, dtype: DType) -> Value:
        return x if x.dtype == dtype else self.map("convert", x, dtype=dtype)

    def _matrix(self, x: Value, batch: Sequence[int], rows: Sequence[int], cols: Sequence[int]) -> Operand:
        """An operand as a matrix in memory: in place wherever it is an affine look at a buffer, else as a copy."""
        order = [*batch, *rows, *cols]
        index = space_vars(len(order))
        place = tuple(index[order.index(a)] for a in range(len(order)))
        if not x.expensive:
            found = self._digits(x.at(place), [x.shape[a] for a in order], len(batch), len(rows))
            if found is not None:
                return found
        shape = tuple(x.shape[a] for a in order)
        copy = self.materialize(Value(shape, x.dtype, lambda at: x.at(tuple(at[order.index(a)] for a in range(len(order))))))
        found = self._digits(copy.at(index), shape, len(batch), len(rows))
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

    def _plain_dot(self, lhs: Value, rhs: Value, numbers: Any, shape: Sequence[int], wide: DType, dtype: DType) -> Value:
        """Loops over the result with a sum inside."""
        (lc, rc), (lb, rb) = numbers
        lf, rf = free_axes(len(lhs.shape), lc, lb), free_axes(len(rhs.shape), rc, rb)
        for x in (lhs, rhs):
            if x.expensive:
                self.settle(x)

        def at(index: Place) -> Expr:
            batch, left, right, inner = index[: len(lb)], index[len(lb) : len(lb) + len(lf)], index[len(lb) + len(lf) : len(shape)], index[len(shape) :]
            pick_l = {**dict(zip(lb, batch, strict=True)), **dict(zip(lf, left, strict=True)), **dict(zip(lc, inner, strict=True))}
            pick_r = {**dict(zip(rb, batch, strict=True)), **dict(zip(rf, right, strict=True)), **dict(zip(rc, inner, strict=True))}
            a, b = (x.at([pick[i] for i in range(len(x.shape))]) for x, pick in ((lhs, pick_l), (rhs, pick_r)))
            a, b = (e if e.dtype == wide else self.apply("convert", wide, e) for e in (a, b))
            return self.apply("mul", wide, a, b)

        if all(lhs.shape[a] == 1 for a in lc):  # an outer product
            return self._cast(self.compute(shape, wide, lambda index: at((*index, *(ZERO for _ in lc))), [lhs, rhs]), dtype)
        products = Value((*shape, *(lhs.shape[a] for a in lc)), wide, at, expensive=True)
        summed = self.reduce("add", products, range(len(shape), len(shape) + len(lc)))
        return self._cast(summed, dtype)

    # Graphs

    def inline(self, graph: Graph, args: Sequence[Value]) -> list[Value]:
        """The results of a graph for these inputs."""
        uses, in_order = use_counts(graph), {*graph.outputs, *(e.inputs[i] for e in graph.equations for i in e.primitive.reads_in_order(e.params))}
        env: dict[Var, Value] = dict(zip(graph.inputs, args, strict=True))

        def read(atom: Atom) -> Value:
            return self.literal(atom) if isinstance(atom, Literal) else env[atom]

        for e in graph.equations:
            env.update(zip(e.outputs, self.equation(e, [read(a) for a in e.inputs]), strict=True))
            for v in e.outputs:
                if uses[v] > 1 and env[v].expensive and env[v].buffer is None:
                    self.settle(env[v], in_order=v in in_order)
        return [read(a) for a in graph.outputs]

    def equation(self, e: Equation, operands: Sequence[Value]) -> list[Value]:
        outer, self.source = self.source, e.source or self.source
        for i in e.primitive.reads_in_order(e.params):
            if operands[i].expensive:
                self.settle(operands[i], in_order=True)
        results = e.primitive.as_list(e.primitive.rule("lower")(self, *operands, **e.params))
        self.source = outer
        return results

    def literal(self, atom: Literal) -> Value:
        return Value((), atom.aval.dtype, lambda index: self.const(atom.value, atom.aval.dtype))

    # Control

    def _nested(self, make: Callable[[], None]) -> list[Node]:
        """Nodes that `make` emits."""
        outer, self.nodes = self.nodes, []
        make()
        nodes, self.nodes = self.nodes, outer
        return nodes

    def _carried(self, values: Sequence[Value], targets: Sequence[Buffer], first: int) -> list[tuple[Buffer, Buffer]]:
        """What a step hands to the next: buffers with numbers from `first` on are the step's own and are not copied."""
        pairs: list[tuple[Buffer, Buffer]] = []
        for new, old in zip(values, targets, strict=True):
            if new.buffer is old and new.size == old.size:
                continue
            own = new.buffer
            fits = own is not None and own.number >= first and own.size == new.size and own not in dict(pairs)
            pairs.append((own if fits and own is not None else self._owned(new), old))
        return pairs

    def _owned(self, value: Value) -> Buffer:
        """A fresh buffer with a copy of a value."""
        buffer = self.new_buffer(value.dtype, value.size)
        self.store(value, buffer)
        return buffer

    def _in_memory(self, values: Sequence[Value]) -> list[Value]:
        """Values that a loop reads at every step: computed once, before it."""
        for x in values:
            if x.expensive:
                self.settle(x)
        return list(values)

    def scan(self, consts: Sequence[Value], init: Sequence[Value], xs: Sequence[Value], graph: Graph, length: int, reverse: bool) -> list[Value]:
        consts, xs = self._in_memory(consts), self._in_memory(xs)
        carry = [self._owned(v) for v in init]
        avals = graph.out_avals
        n_carry = len(init)
        stacked = [self.new_buffer(a.dtype, length * a.size) for a in avals[n_carry:]]
        step = Index(0, ((step_var(self.depth), 1),))
        pairs: list[tuple[Buffer, Buffer]] = []

        def make() -> None:
            self.depth += 1
            slices = [self.view(x.shape[1:], x, lambda index: (step, *index)) for x in xs]
            current = [self.loaded(b, v.shape) for b, v in zip(carry, init, strict=True)]
            outs = self.inline(graph, [*consts, *current, *slices])
            for y, buffer in zip(outs[n_carry:], stacked, strict=True):
                self.store(y, buffer, step * y.size)
            pairs.extend(self._carried(outs[:n_carry], carry, first))
            self.depth -= 1

        first = len(self.buffers)
        body = self._nested(make)
        if length:
            self.emit(Loop(self.depth, length, reverse, body, pairs))
        return [self.loaded(b, a.shape) for b, a in zip(carry, avals, strict=False)] + [self.loaded(b, (length, *a.shape)) for b, a in zip(stacked, avals[n_carry:], strict=True)]

    def while_loop(self, test_consts: Sequence[Value], body_consts: Sequence[Value], init: Sequence[Value], test: Graph, body: Graph) -> list[Value]:
        test_consts, body_consts = self._in_memory(test_consts), self._in_memory(body_consts)
        carry = [self._owned(v) for v in init]
        current = [self.loaded(b, v.shape) for b, v in zip(carry, init, strict=True)]
        result = self.new_buffer(dtypes.bool_, 1)
        pairs: list[tuple[Buffer, Buffer]] = []

        def make_test() -> None:
            self.store(self.inline(test, [*test_consts, *current])[0], result)

        def make_body() -> None:
            outs = self.inline(body, [*body_consts, *current])
            pairs.extend(self._carried(outs, carry, first))

        first = len(self.buffers)
        self.depth += 1
        tests, nodes = self._nested(make_test), self._nested(make_body)
        self.depth -= 1
        self.emit(Loop(self.depth, 0, False, nodes, pairs, tests, result))
        return current

    def cond(self, index: Value, operands: Sequence[Value], branches: Sequence[Graph]) -> list[Value]:
        operands = self._in_memory(operands)
        (index,) = self._in_memory([index])
        results = [self.new_buffer(a.dtype, a.size) for a in branches[0].out_avals]

        def make(graph: Graph) -> Callable[[], None]:
            def body() -> None:
                for value, buffer in zip(self.inline(graph, operands), results, strict=True):
                    self.store(value, buffer)

            return body

        self.emit(Branch(index.at(()), [self._nested(make(g)) for g in branches]))
        return [self.loaded(b, a.shape) for b, a in zip(results, branches[0].out_avals, strict=True)]


def build(graph: Graph) -> Program:
    """The loop program of a graph without constants."""
    b = Builder()
    inputs = [b.new_buffer(a.dtype, a.size, "input") for a in graph.in_avals]
    values = b.inline(graph, [b.loaded(buffer, a.shape) for buffer, a in zip(inputs, graph.in_avals, strict=True)])
    outputs = []
    carried = {b for n in b.nodes if isinstance(n, Loop) for _, b in n.carry if b.size <= _FEW}  # these stay in registers
    for value in values:
        buffer = value.buffer
        if buffer is not None and buffer.kind == "temp" and buffer.size == value.size and buffer not in carried:
            buffer.kind = "output"  # computed in place, not copied
        else:
            buffer = b.new_buffer(value.dtype, value.size, "output")
            b.store(value, buffer)
        outputs.append(buffer)
    return Program(b.nodes, b.buffers, inputs, outputs, b.exprs)
