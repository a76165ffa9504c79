"""Values, of which programs are made: lazy arrays, where they lie in memory, and the vocabulary of elementwise
operations, views and folds.

A value is a function from an index to an expression. It becomes a buffer (a kernel is emitted) where several readers
need it, where it would be computed again and again (broadcast, random access), or where a node needs memory. So chains
fuse by themselves.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.core.source import Location
from fdl.lowering.build.layout import memory_order, packed_steps, steps_of, steps_through, unordered
from fdl.lowering.ir.expr import Buffer, Expr, Interner
from fdl.lowering.ir.index import ZERO, Axis, Index, iteration, row_major
from fdl.lowering.ir.nodes import Argmax, Branch, Fused, Map, Node, Operand, Reduce, Routine, Scatter, Scope, Store
from fdl.lowering.ir.routines import RoutineTable, Scratch
from fdl.passes.size import Extent, at_most, ceil_div, is_known, surely

_MAX_DEPTH = 48  # of fused operations in one expression: bounds recursion and kernel size
ROW, COLUMN = 4096, 128  # elements that one fold takes, along the last axis and along others
_UNROLLED = 8  # elements of a fold that is written out
_UNROLLED_COST = 100  # operations in it, from which its operand goes to memory first
_AGAIN = 4  # operations that are done at computed places rather than stored for all
_MAX_PIECES = 512  # of a concatenation that are stored by loops of their own

Place = tuple[Index, ...]
Home = tuple[Buffer, Index]  # memory that a value is meant for


class Value:
    """A lazy array: `at(index)` is the expression of one element."""

    __slots__ = ("_at", "_memo", "buffer", "depth", "dtype", "expensive", "parts", "shape")

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        at: Callable[[Place], Expr],
        depth: int = 0,
        buffer: Buffer | None = None,
        expensive: bool = False,
    ) -> None:
        self.shape, self.dtype, self._at, self.depth, self.buffer = tuple(shape), dtype, at, depth, buffer
        self.expensive = expensive  # whether an element costs more than its address
        # an axis, and what lies along it, where that has few pieces
        self.parts: tuple[int, Sequence[Value]] | None = None
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


class Values:
    """Makes nodes of one program: all but products and control flow."""

    zero = ZERO

    def __init__(self, routines: RoutineTable | None = None) -> None:
        self.routines = routines  # of the target; None where the program is for no target, and has a node for each
        self.exprs = Interner()
        self.buffers: list[Buffer] = []
        self.nodes: list[Node] = []
        self.depth = 0
        self.source: Location | None = None

    def seen(self, x: Value) -> tuple[Expr, tuple[Axis, ...]]:
        """An element of a value, over axes of its own."""
        axes = self.exprs.axes(x.shape)
        return x.at([a.index for a in axes]), axes

    # Memory

    def new_buffer(
        self, dtype: DType, size: Extent, kind: str = "temp", axes: tuple[tuple[Extent, Extent], ...] = ()
    ) -> Buffer:
        buffer = Buffer(len(self.buffers), dtype, size, kind, axes)
        self.buffers.append(buffer)
        return buffer

    def loaded(
        self, buffer: Buffer, shape: Sequence[int], base: Index = ZERO, steps: Sequence[Extent] | None = None
    ) -> Value:
        """The array in a buffer, from an offset on: contiguous, or at these steps along its axes."""
        through = packed_steps(shape, range(len(shape))) if steps is None else steps

        def at(index: Place) -> Expr:
            place = sum((i * s for i, s in zip(index, through, strict=True)), base)
            return self.exprs.make("load", (), buffer.dtype, (buffer, place))

        return Value(tuple(shape), buffer.dtype, at, buffer=buffer if base == ZERO and steps is None else None)

    def emit(self, node: Node) -> None:
        if self.source is not None:
            node.sources.append(self.source)
        self.nodes.append(node)

    def store(self, value: Value, buffer: Buffer, base: Index = ZERO) -> None:
        """Emit the kernel that computes a value into a buffer."""
        self._write(value, range(len(value.shape)), buffer, base)

    def _write(self, value: Value, order: Sequence[int], buffer: Buffer, base: Index) -> None:
        """Emit what stores a value, axes in this order; pieces each by themselves."""
        shape = [value.shape[a] for a in order]
        axis, parts = value.parts or (-1, [value])
        start = 0
        for x in parts:
            space = self.exprs.axes([x.shape[a] for a in order])
            index = [v.index for v in space]
            target = [i + start if a == axis else i for a, i in zip(order, index, strict=True)]
            store = Store(buffer, base + row_major(target, shape), x.at(unordered(index, order)))
            self.emit(Map(space, [store]))
            start += x.shape[axis] if x.shape else 0

    def in_row_major(self, value: Value) -> Value:
        """The value in a buffer, axes in their order."""
        return self._stored(value, range(len(value.shape)))

    def _stored(self, value: Value, order: Sequence[int]) -> Value:
        """The value in a buffer, axes in this order."""
        if value.buffer is not None and value.buffer.size == value.size:
            return value
        buffer = self.new_buffer(value.dtype, value.size)
        self._write(value, order, buffer, ZERO)
        return self._turned(self.loaded(buffer, [value.shape[a] for a in order]), order)

    def _turned(self, x: Value, order: Sequence[int]) -> Value:
        """A value whose axes stand in this order, with its axes in theirs."""
        if list(order) == sorted(order):
            return x
        return self.view(unordered(x.shape, order), x, lambda index: [index[a] for a in order])

    # Scalars

    def const(self, value: Any, dtype: DType) -> Expr:
        return self.exprs.make("const", (), dtype, np.asarray(value).astype(dtype)[()])

    def number(self, index: Index, dtype: DType) -> Expr:
        """An index as a number."""
        return self._converted(self.exprs.make("number", (), dtypes.int64, index), dtype)

    def _converted(self, e: Expr, dtype: DType) -> Expr:
        return e if e.dtype == dtype else self.apply("convert", dtype, e)

    def apply(self, op: str, dtype: DType, *args: Expr) -> Expr:
        return self.exprs.make(op, args, dtype)

    def flat(self, index: Sequence[Index], shape: Sequence[int]) -> Index:
        return row_major(index, shape)

    def _index_of(self, e: Expr) -> Index:
        return Index(0, ((e, 1),))

    def _int(self, value: Extent) -> Expr:
        return self.const(value, dtypes.int64) if is_known(value) else self.number(Index(value, ()), dtypes.int64)

    def _compared(self, op: str, e: Expr, limit: Extent) -> Expr:
        return self.apply(op, dtypes.bool_, e, self._int(limit))

    def at_least(self, index: Index, limit: int) -> Expr:
        return self._compared("ge", self.number(index, dtypes.int64), limit)

    def below(self, index: Index, limit: int) -> Expr:
        return self._compared("lt", self.number(index, dtypes.int64), limit)

    def divides(self, step: int, index: Index) -> Expr:
        rest = self.apply("rem", dtypes.int64, self.number(index, dtypes.int64), self._int(step))
        return self._compared("eq", rest, 0)

    def quotient(self, index: Index, step: int) -> Index:
        return self._index_of(self.apply("div", dtypes.int64, self.number(index, dtypes.int64), self._int(step)))

    def _wide(self, e: Expr) -> Expr:
        """An index value in int64; uint64 beyond it saturates."""
        if e.dtype == dtypes.uint64:
            e = self.apply("min", dtypes.uint64, e, self.const(2**63 - 1, dtypes.uint64))
        return self._converted(e, dtypes.int64)

    def clipped(self, e: Expr, size: int) -> Index:
        """A computed index moved into the array."""
        low = self.apply("max", dtypes.int64, self._wide(e), self._int(0))
        last = max(size - 1, 0) if is_known(size) else size - 1
        return self._index_of(self.apply("min", dtypes.int64, low, self._int(last)))

    def inside(self, e: Expr, size: int) -> Expr:
        wide = self._wide(e)
        return self.apply("and", dtypes.bool_, self._compared("ge", wide, 0), self._compared("lt", wide, size))

    def choose(self, conditions: Sequence[Expr], yes: Callable[[], Expr], no: Callable[[], Expr]) -> Expr:
        """The first value where all conditions hold, else the second; only the chosen one is evaluated."""
        if not conditions:
            return yes()
        a, b = yes(), no()
        return self.exprs.make("choose", (*conditions, a, b), a.dtype)

    # Values

    def compute(
        self,
        shape: Sequence[int],
        dtype: DType,
        at: Callable[[Place], Expr],
        operands: Sequence[Value],
        random_access: Sequence[Value] = (),
    ) -> Value:
        """A value given by its elements; what it reads at computed places is stored before, or computed there, where
        that is little and for no more elements than there are.
        """
        for x in random_access:
            again = surely(lambda x=x: math.prod(shape) <= x.size)  # type: ignore[misc]
            if x.expensive and (not again or self.seen(x)[0].cost > _AGAIN):
                self.materialize(x)
        depth = 1 + max((x.depth for x in operands), default=0)
        return self._bounded(Value(tuple(shape), dtype, at, depth, expensive=True))

    def view(
        self, shape: Sequence[int], x: Value, source: Callable[[Place], Sequence[Index]], repeats: bool = False
    ) -> Value:
        """The elements of `x` at other places; with `repeats` each at many."""
        if repeats and x.expensive and not surely(lambda: math.prod(shape) <= x.size):
            self.materialize(x)
        out = self._bounded(
            Value(tuple(shape), x.dtype, lambda index: x.at(tuple(source(index))), x.depth + 1, expensive=x.expensive)
        )
        if not out.expensive and out.buffer is None:  # a look at a whole buffer, in order, is the buffer
            e, axes = self.seen(out)
            if e.op == "load" and e.attr[0].size == out.size and e.attr[1] == iteration(axes):
                out.buffer = e.attr[0]
        return out

    def materialize(self, x: Value, in_order: bool = False, home: Home | None = None) -> None:
        """Put a value into memory, for all its readers: into a place that waits for it, in row-major order, or as its
        operands lie.
        """
        if home is not None:
            self.store(x, *home)
            stored = self.loaded(home[0], x.shape, home[1])
        else:
            stored = self._stored(x, range(len(x.shape)) if in_order else memory_order(*self.seen(x)))
        x._at, x._memo, x.buffer, x.depth, x.expensive, x.parts = stored._at, {}, stored.buffer, 0, False, None

    def _bounded(self, x: Value) -> Value:
        if x.depth > _MAX_DEPTH:
            self.materialize(x)
        return x

    def map(self, op: str, *xs: Value, dtype: DType | None = None) -> Value:
        """An elementwise operation on operands of one shape, or 0-d."""
        shape = max((x.shape for x in xs), key=len)
        out = dtype or xs[-1].dtype
        for x in xs:
            if shape and not x.shape and x.expensive:
                self.materialize(x)
        return self.compute(
            shape, out, lambda index: self.apply(op, out, *[x.at(index if x.shape else ()) for x in xs]), xs
        )

    def power(self, x: Value, exponent: int) -> Value:
        """A power by repeated squaring, in float32 for narrow floats."""
        wide = dtypes.compute_dtype(x.dtype)

        def at(index: Place) -> Expr:
            square = self._converted(x.at(index), wide)
            result, n = self.const(1, wide), abs(exponent)
            while n:
                if n & 1:
                    result = square if result.op == "const" else self.apply("mul", wide, result, square)
                n >>= 1
                square = self.apply("mul", wide, square, square) if n else square
            if exponent < 0:
                result = self.apply("div", wide, self.const(1, wide), result)
            return self._converted(result, x.dtype)

        return self.compute(x.shape, x.dtype, at, [x])

    def concatenate(self, xs: Sequence[Value], axis: int) -> Value:
        """Values one after another along an axis: one choice an element where it is computed, a loop a piece where it
        is stored.
        """
        shape = tuple(sum(x.shape[axis] for x in xs) if a == axis else d for a, d in enumerate(xs[0].shape))

        def at(index: Place) -> Expr:
            def part(k: int, start: int) -> Expr:
                shifted = (*index[:axis], index[axis] - start, *index[axis + 1 :])
                if k == len(xs) - 1:
                    return xs[k].at(shifted)
                limit = start + xs[k].shape[axis]
                return self.choose(
                    [self.below(index[axis], limit)], lambda: xs[k].at(shifted), lambda: part(k + 1, limit)
                )

            return part(0, 0)

        out = self.compute(shape, xs[0].dtype, at, xs)
        if out.expensive and len(xs) <= _MAX_PIECES:
            out.parts = axis, xs
        return out

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """Axes of size 1 come and go as a view; anything else is another look at the same memory."""
        kept_old, kept_new = [d for d in x.shape if d != 1], [d for d in shape if d != 1]
        if kept_old == kept_new:

            def at(index: Place) -> Sequence[Index]:
                given = iter([i for i, d in zip(index, shape, strict=True) if d != 1])
                return [ZERO if d == 1 else next(given) for d in x.shape]

            return self.view(shape, x, at)
        if x.expensive:
            order = memory_order(*self.seen(x))
            if steps_through(x.shape, packed_steps(x.shape, order), shape) is None:
                x = self.in_row_major(x)
            else:
                self.materialize(x)
        seen = self._seen_as(x, shape) or self._seen_as(self.in_row_major(x), shape)
        assert seen is not None, (x.shape, shape)
        return seen

    def _seen_as(self, x: Value, shape: Sequence[int]) -> Value | None:
        """The memory of a value through another shape, if its elements stand there at regular steps."""
        e, axes = self.seen(x)
        if e.op == "const":
            return self.view(shape, x, lambda _: [ZERO] * len(x.shape))
        steps = steps_of(e.attr[1], axes) if e.op == "load" else None
        through = None if steps is None else steps_through(x.shape, steps, shape)
        if through is None:
            return None
        buffer, base = e.attr[0], e.attr[1].without(axes)
        whole = base == ZERO and buffer.size == x.size and steps == packed_steps(x.shape, range(len(x.shape)))
        return self.loaded(buffer, shape, base, None if whole else through)

    def reduce(self, kind: str, x: Value, axes: Sequence[int]) -> Value:
        """The sum or the maximum over axes; narrow floats are added in float32."""
        if not axes:
            return x
        wide = dtypes.compute_dtype(x.dtype)
        return self._cast(self._fold(kind, self._cast(x, wide), sorted(axes)), x.dtype)

    def _fold(self, kind: str, x: Value, axes: Sequence[int]) -> Value:
        """Folds of bounded length, then folds of their results: so the order follows from the shape, and there is work
        for all threads.
        """
        few = self._unrolled(kind, x, axes)
        if few is not None:
            return few
        rows = len(x.shape) - 1 in axes
        limit = ROW if rows else COLUMN
        total = math.prod(x.shape[a] for a in axes)
        if not is_known(total):
            if len(axes) == 1:
                return self._fold_of_any_length(kind, x, axes[0], limit, rows)
            if at_most(total, _UNROLLED) and not at_most(total, 0):
                return self._fold_at_once(kind, x, axes, False, bare=True)
        inner = list(axes)
        while len(inner) > 1 and not at_most(math.prod(x.shape[a] for a in inner), limit):
            inner.pop(0)
        if len(inner) == 1 and not at_most(x.shape[inner[0]], limit):  # which becomes an axis of parts
            return self._fold(kind, self._in_parts(kind, x, inner[0], limit, rows), axes)
        folded = self._fold_at_once(kind, x, inner, rows)
        return folded if len(inner) == len(axes) else self._fold(kind, folded, axes[: -len(inner)])

    def _unrolled(self, kind: str, x: Value, axes: Sequence[int]) -> Value | None:
        """A few elements folded one after another, as an expression that fuses like any other."""
        sizes = [x.shape[a] for a in axes]
        if not is_known(*sizes) or not 0 < math.prod(sizes) <= _UNROLLED:
            return None
        kept = [a for a in range(len(x.shape)) if a not in axes]

        def at(index: Place) -> Expr:
            places = (tuple(Index(i, ()) for i in place) for place in np.ndindex(*sizes))
            each = (x.at(unordered((*index, *place), (*kept, *axes))) for place in places)
            return functools.reduce(lambda a, b: self.apply(kind, x.dtype, a, b), each)

        shape = tuple(x.shape[a] for a in kept)
        if at(tuple(a.index for a in self.exprs.axes(shape))).cost > _UNROLLED_COST:
            self.materialize(x)  # the order of the fold follows from its shape, whatever its operand costs
        return self.compute(shape, x.dtype, at, [x])

    def _fold_of_any_length(self, kind: str, x: Value, axis: int, limit: int, rows: bool) -> Value:
        """A fold over one axis of a size that is not known: its order is chosen when the program runs."""
        levels = 2  # of pieces, so that more of them than there is memory for are no case for each program
        while not at_most(x.shape[axis], limit**levels):
            levels += 1
        space = tuple(d for a, d in enumerate(x.shape) if a != axis)
        out = self.new_buffer(x.dtype, math.prod(space))
        self._fold_by_length(kind, x, axis, limit, rows, out, levels)
        return self.loaded(out, space)

    def _fold_by_length(self, kind: str, x: Value, axis: int, limit: int, rows: bool, out: Buffer, levels: int) -> None:
        """Emit a choice among the folds of a few elements, of no more than `limit`, and, but for one level, of more."""
        size = Index(x.shape[axis], ())

        def pieces() -> None:
            self._fold_by_length(kind, self._in_parts(kind, x, axis, limit, rows), axis, limit, rows, out, levels - 1)

        bodies: list[Callable[[], Any]] = [
            lambda: self._fold_at_once(kind, x, [axis], False, bare=True, into=out),
            lambda: self._fold_at_once(kind, x, [axis], rows, into=out),
            pieces,
        ]
        tests = [self.at_least(size, _UNROLLED + 1), self.below(size, 1), self.at_least(size, limit + 1)]
        chosen = [self.apply("convert", dtypes.int32, t) for t in tests[: len(tests) if levels > 1 else -1]]
        which = functools.reduce(lambda a, b: self.apply("add", dtypes.int32, a, b), chosen)
        self.emit(Branch(which, [self._nested(body) for body in bodies[: len(chosen)]]))

    def _nested(self, make: Callable[[], Any]) -> list[Node]:
        """Nodes that `make` emits."""
        outer, self.nodes = self.nodes, []
        make()
        nodes, self.nodes = self.nodes, outer
        return nodes

    def _fold_at_once(
        self, kind: str, x: Value, axes: Sequence[int], rows: bool, bare: bool = False, into: Buffer | None = None
    ) -> Value:
        """The fold of all elements along some axes, in one stage."""
        kept = [a for a in range(len(x.shape)) if a not in axes]
        shape = tuple(x.shape[a] for a in kept)
        buffer = into or self.new_buffer(x.dtype, math.prod(shape))
        value, space, over = self._spread(x, kept, axes)
        self.emit(Reduce(space, value, buffer, iteration(space), over, kind, rows, bare))
        return self.loaded(buffer, shape)

    def _in_parts(self, kind: str, x: Value, axis: int, limit: int, rows: bool) -> Value:
        """One axis folded piece by piece: `limit` elements each, and the rest."""
        size = x.shape[axis]
        whole, count = size // limit, ceil_div(size, limit)
        parts = tuple(count if a == axis else d for a, d in enumerate(x.shape))
        buffer = self.new_buffer(x.dtype, math.prod(parts))
        for number, length, first in ((whole, limit, 0), (count - whole, size - whole * limit, whole)):
            if length:
                *space, inner = self.exprs.axes([*(number if a == axis else d for a, d in enumerate(x.shape)), length])
                target = [v.index + first if a == axis else v.index for a, v in enumerate(space)]
                begin = ZERO + first * limit if first else space[axis].index * limit  # there is one rest, or none
                place = [begin + inner.index if a == axis else v.index for a, v in enumerate(space)]
                offset = row_major(target, parts)
                self.emit(Reduce(tuple(space), x.at(place), buffer, offset, (inner,), kind, rows))
        return self.loaded(buffer, parts)

    def _spread(
        self, x: Value, kept: Sequence[int], axes: Sequence[int]
    ) -> tuple[Expr, tuple[Axis, ...], tuple[Axis, ...]]:
        """An element of what is folded along some axes; loops over the kept ones, and inside of them those of the
        fold.
        """
        order = [*kept, *sorted(axes)]
        loops = self.exprs.axes([x.shape[a] for a in order])
        return x.at(unordered([v.index for v in loops], order)), loops[: len(kept)], loops[len(kept) :]

    def argmax(self, x: Value, axis: int, dtype: DType) -> Value:
        kept = [i for i in range(len(x.shape)) if i != axis]
        shape = tuple(x.shape[i] for i in kept)
        buffer = self.new_buffer(dtype, math.prod(shape))
        value, space, (over,) = self._spread(x, kept, [axis])
        self.emit(Argmax(space, value, buffer, iteration(space), (over,)))
        return self.loaded(buffer, shape)

    def scatter(
        self,
        kind: str,
        x: Value,
        updates: Value,
        target: Callable[[Place], tuple[Place, list[Expr]]],
        distinct: bool = False,
    ) -> Value:
        """A copy of `x` with updates set, or combined with what is there (add, mul, max, min), at computed places, in
        order; `distinct` if no two meet.
        """
        buffer = self.new_buffer(x.dtype, x.size)
        self.store(x, buffer)
        space = self.exprs.axes(updates.shape)
        index = tuple(v.index for v in space)
        place, conditions = target(index)
        if updates.size and x.size:
            self.emit(Scatter(space, updates.at(index), buffer, row_major(place, x.shape), kind, conditions, distinct))
        return self.loaded(buffer, x.shape)

    def routine(
        self,
        key: str,
        lead: int,
        xs: Sequence[Value],
        results: Sequence[tuple[tuple[int, ...], DType]],
        sizes: Sequence[int],
        decomposition: Callable[[], Sequence[Value]],
    ) -> list[Value]:
        """What the routine that `key` names makes of each part of some values; where the target has none,
        `decomposition()`.

        `lead` axes of the values count the parts, `results` are shapes and dtypes of one part's results, and the
        routine gets `sizes`. A function that needs scratch runs in a tile, so that each thread has its own.
        """
        shape = xs[0].shape[:lead]
        count = math.prod(shape)
        if not count or all(0 in part for part, _ in results):  # nothing to make
            return [
                Value((*shape, *part), dtype, lambda index, dtype=dtype: self.const(0, dtype))  # type: ignore[misc]
                for part, dtype in results
            ]
        for x in xs:
            if x.expensive:
                self.materialize(x, in_order=True)
        scratch: Scratch = ()
        if self.routines is not None:
            function = self.routines.get((key, xs[0].dtype))
            if function is None:
                return list(decomposition())
            scratch = function.scratch(*sizes)
        loops = self.exprs.axes([count])

        def parts(buffers: Iterable[Buffer]) -> list[Operand]:
            return [Operand(b, loops[0].index * (b.size // count), b.size // count - 1) for b in buffers]

        operands = [b for x in xs for b in [self.in_row_major(x).buffer] if b is not None]
        made = [self.new_buffer(dtype, count * math.prod(part)) for part, dtype in results]
        own = {self.new_buffer(dtype, count * size): Scope.SHARED for size, dtype in scratch}
        node = Routine(loops, key, parts(operands), parts(made), parts(own), tuple(sizes))
        self.emit(Fused(loops, [node], own) if own else node)
        return [self.loaded(b, (*shape, *part)) for b, (part, _) in zip(made, results, strict=True)]

    def _cast(self, x: Value, dtype: DType) -> Value:
        return x if x.dtype == dtype else self.map("convert", x, dtype=dtype)
