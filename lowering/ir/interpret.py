"""The interpreter of the loop IR: the third oracle, and how kernels for devices that are not there can be run.

Each node is evaluated on whole index grids with NumPy; elementwise operations use the primitives' reference
implementations, folds and products the order that the program states (`fold.py`). So where only `+ - * /`, square roots
and products occur, and no denormals, results have the bits of the C program.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fdl.core.primitive import REGISTRY
from fdl.lowering.ir.access import cuts, loops_of
from fdl.lowering.ir.expr import Buffer, Expr, walk
from fdl.lowering.ir.fold import fold_columns, fold_rows, multiply
from fdl.lowering.ir.index import Axis, Index
from fdl.lowering.ir.nodes import (
    Argmax,
    Branch,
    Dot,
    Fused,
    Loop,
    Map,
    Node,
    OneStore,
    Operand,
    Reduce,
    Routine,
    Scatter,
)
from fdl.lowering.ir.planned import Alias, Alloc, Arena, Barrier, Copy, Guard, Home, Stamp, Swap
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import scratch_bytes
from fdl.ops.indexing import COMBINING
from fdl.ops.random import philox_word
from fdl.ops.routines import ROUTINES

Grid = dict[Axis, Any]


class Share(NamedTuple):
    """Part `number` of `of` parts of stages, with the loops that they stand in."""

    number: int = 0
    of: int = 1
    around: tuple[Axis, ...] = ()


_AT_ONCE = 8  # parts in which fused rows are run, at most


def interpret_program(program: Program, args: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Flat outputs of a program for inputs, of which complex ones are seen as pairs of floats; a planned program gets
    the memory that its plan says.
    """
    memory = Memory(program, args)
    with contextlib.suppress(_Ended), np.errstate(all="ignore"):
        _run(program.nodes, memory, {})
    return [memory.homes[b] for b in program.outputs]


class _Ended(Exception):
    """A check has failed."""


class Memory(dict[Buffer, Any]):
    """An array for each buffer: of its own, or a part of one arena where the program is planned. What has not been
    written is NaN there, or no likely number.
    """

    def __init__(self, program: Program, args: Sequence[np.ndarray[Any, Any]]) -> None:
        super().__init__({b: np.zeros(b.size, b.dtype) for b in program.buffers})
        arena = Arena.of(program.nodes)
        shared, own = (np.full(size, 0xFF, np.uint8) for size in (arena.size, arena.own))
        for b, offset in arena.offsets.items():
            self[b] = shared[offset : offset + b.nbytes].view(b.dtype)
        for b, nbytes in scratch_bytes(program.nodes).items() if arena.scratch else ():
            offset = arena.scratch[b]
            self[b] = Part(own[offset : offset + nbytes].view(b.dtype), b.size)
        for b, x in zip(program.inputs, args, strict=True):
            flat = np.ascontiguousarray(x).reshape(-1).view(b.dtype)
            self[b] = flat.copy() if b in program.donated else flat
        for b in arena.in_place:
            self[b] = self[arena.home(b)]
        self.homes = dict(self)


class Part:
    """One part of a buffer of `size` elements at a time: element i of the buffer is element i modulo its length."""

    def __init__(self, part: np.ndarray[Any, Any], size: int) -> None:
        self.part, self.size, self.dtype = part, size, part.dtype

    def _places(self, at: Any) -> Any:
        return (np.arange(self.size)[at] if isinstance(at, slice) else at) % self.part.size

    def __getitem__(self, at: Any) -> Any:
        return self.part[self._places(at)]

    def __setitem__(self, at: Any, value: Any) -> None:
        self.part[self._places(at)] = value

    def fill(self, value: Any) -> None:
        """The same value everywhere."""
        self.part.fill(value)


def _run(nodes: Sequence[Node], memory: Memory, steps: Grid, part: Share = Share()) -> None:
    """Nodes one after another, a part of each."""
    for n in nodes:
        RUN[type(n)](n, memory, steps, part)


def _map(n: Map, memory: Memory, steps: Grid, part: Share) -> None:
    grid, shape = _grid(n, steps, part)
    stored = [_evaluate(s.value, memory, grid) for s in n.stores]
    for s, value in zip(n.stores, stored, strict=True):
        place = _address(s.offset, memory, grid)
        memory[s.buffer][np.broadcast_to(place, shape)] = np.broadcast_to(value, shape)


def _argmax(n: Argmax, memory: Memory, steps: Grid, part: Share) -> None:
    grid, shape = _grid(n, steps, part)
    values = np.broadcast_to(_evaluate(n.value, memory, grid), shape)
    memory[n.store][_places(n, shape[:-1], memory, grid)] = np.argmax(values, -1)


def _routine(n: Routine, memory: Memory, steps: Grid, part: Share) -> None:
    grid, shape = _grid(n, steps, part)
    touched = [*n.operands, *n.results]
    for starts in zip(*(np.broadcast_to(_address(x.index, memory, grid), shape).flat for x in touched), strict=True):
        places = [(memory[x.buffer], slice(at, at + x.reach + 1)) for x, at in zip(touched, starts, strict=True)]
        given, results = places[: len(n.operands)], places[len(n.operands) :]
        made = ROUTINES[n.key].reference(*(values[at] for values, at in given), *n.sizes)
        for (values, at), value in zip(results, made, strict=True):
            values[at] = np.reshape(value, -1)


def _fused(n: Fused, memory: Memory, steps: Grid, part: Share) -> None:
    """Part by part, of fused rows some at a time; what another part has left in a local buffer must not be read, nor
    rows of a product that are not there yet.
    """
    number, count, _ = part
    times = _divisor(n.extent() // count) if n.kernel else n.count
    if n.product is not None:
        _spoil([n.product.out.buffer], memory)
    for inner in range(times):
        _spoil(n.locals, memory)
        _run(n.body, memory, steps, Share(number * times + inner, count * times, n.around))
    _spoil(n.locals, memory)


def _divisor(number: int) -> int:
    """The largest divisor that is not above the limit."""
    return next(d for d in range(min(number, _AT_ONCE), 0, -1) if number % d == 0)


def _spoil(buffers: Iterable[Buffer], memory: Memory) -> None:
    """Make sure that what lies outside of a composite does not reach its local buffers, and they not what follows."""
    for b in buffers:
        memory[b].fill(np.nan if memory[b].dtype.kind == "f" else 1)


def _grid(n: Node, steps: Grid, part: Share) -> tuple[Grid, tuple[int, ...]]:
    """Values of a stage's loops in one of its parts, those of a fold last, which broadcast against each other, and
    their common shape.
    """
    over = getattr(n, "over", ())
    space = [a for a in (*part.around, *loops_of(n)) if a not in over]
    loops = {a: range(a.size) for a in (*space, *over)}
    for cut in cuts(space, part.of) or []:
        first = cut.first(part.number)
        loops[cut.loop] = range(first, first + cut.run)
    grid, shape = dict(steps), tuple(map(len, loops.values()))
    for k, (v, values) in enumerate(loops.items()):
        grid[v] = np.arange(values.start, values.stop).reshape([-1 if j == k else 1 for j in range(len(shape))])
    return grid, shape


def _address(index: Index, memory: Memory, grid: Grid, known: dict[Expr, Any] | None = None) -> Any:
    """An address on a grid, of expressions whose values may be `known`."""
    values = _evaluated([a for a, _ in index.terms if isinstance(a, Expr)], memory, grid) if known is None else known
    place: Any = np.int64(index.const)
    for atom, c in index.terms:
        place = place + (grid[atom] if isinstance(atom, Axis) else values[atom]) * np.int64(c)
    return place


def _places(n: OneStore, shape: tuple[int, ...], memory: Memory, grid: Grid) -> Any:
    """Where a stage stores its results, which have this shape: loops of a fold have gone."""
    own = {v: np.reshape(x, np.shape(x)[: len(shape)]) for v, x in grid.items() if v not in getattr(n, "over", ())}
    return np.broadcast_to(_address(n.offset, memory, own), shape)


def _evaluate(root: Expr, memory: Memory, grid: Grid) -> Any:
    return _evaluated([root], memory, grid)[root]


def _evaluated(roots: Sequence[Expr], memory: Memory, grid: Grid) -> dict[Expr, Any]:
    """The values of expressions, and of all that they are made of."""
    known: dict[Expr, Any] = {}
    for e in walk(roots):
        known[e] = _one(e, known, memory, grid)
    return known


def _one(e: Expr, known: dict[Expr, Any], memory: Memory, grid: Grid) -> Any:
    """The value of an expression whose operands are known."""
    args = [known[a] for a in e.args]
    if e.op == "const":
        return np.asarray(e.attr)
    if e.op == "load":
        buffer, index = e.attr
        place = _address(index, memory, grid, known)
        if not buffer.size:
            return np.zeros(np.shape(place), buffer.dtype)
        return memory[buffer][np.clip(place, 0, buffer.size - 1)]  # where a condition guards it, it may lie outside
    if e.op == "number":
        return np.asarray(_address(e.attr, memory, grid, known))
    if e.op == "choose":
        holds = np.logical_and.reduce(np.broadcast_arrays(*args[:-2]))
        return np.where(holds, args[-2], args[-1])
    if e.op == "philox":
        return philox_word(*args)
    params: dict[str, Any] = {}
    if e.op in ("convert", "bitcast"):
        params = {"dtype": e.dtype, **({"weak_type": False} if e.op == "convert" else {})}
    return REGISTRY[e.op].reference([np.asarray(a) for a in args], params)[0]


def _reduce(n: Reduce, memory: Memory, steps: Grid, part: Share) -> None:
    grid, shape = _grid(n, steps, part)
    values, outer = np.broadcast_to(_evaluate(n.value, memory, grid), shape), shape[: len(shape) - len(n.over)]
    values = values.reshape(*outer, math.prod(shape[len(outer) : -1]), shape[-1])
    out = fold_rows(n.kind, values) if n.rows else fold_columns(n.kind, values, n.bare)
    memory[n.store][_places(n, outer, memory, grid)] = out


def _scatter(n: Scatter, memory: Memory, steps: Grid, part: Share) -> None:
    grid, shape = _grid(n, steps, Share())
    value = np.broadcast_to(_evaluate(n.value, memory, grid), shape)
    place = np.broadcast_to(_address(n.offset, memory, grid), shape)
    holds = np.ones(shape, bool)
    for condition in n.conditions:
        holds = holds & _evaluate(condition, memory, grid)
    if n.kind in COMBINING:
        COMBINING[n.kind].at(memory[n.store], place[holds], value[holds])
    else:
        memory[n.store][place[holds]] = value[holds]  # the last one stays


def _dot(n: Dot, memory: Memory, steps: Grid, part: Share) -> None:
    grid, shape = _grid(n, steps, part)
    first = len(shape) - len(n.rows) - len(n.cols) - len(n.over)
    ends = itertools.accumulate((first, *map(len, (n.rows, n.cols, n.over))), initial=0)
    batch, *rest = (shape[a:b] for a, b in itertools.pairwise(ends))

    def places(x: Operand, without: int) -> Any:
        """Of one matrix after another, along two of the rows, the columns and the terms of a sum."""
        kept = [[1] * len(sizes) if i == without else sizes for i, sizes in enumerate(rest)]
        found = np.broadcast_to(_address(x.index, memory, grid), (*batch, *itertools.chain(*kept)))
        return found.reshape(math.prod(batch), *(math.prod(sizes) for i, sizes in enumerate(rest) if i != without))

    for left, right, out in zip(places(n.lhs, 1), places(n.rhs, 0), places(n.out, 2), strict=True):
        terms = (memory[x.buffer][at].astype(n.dtype) for x, at in ((n.lhs, left), (n.rhs, right.T)))
        memory[n.out.buffer][out] = multiply(n, *terms)


def _loop(n: Loop, memory: Memory, steps: Grid, part: Share) -> None:
    for at in _steps_of(n, memory, steps):
        _run(n.body, memory, at)
        _handed_on(n.carry, memory)
    _run(n.last, memory, steps)


def _steps_of(n: Loop, memory: Memory, steps: Grid) -> Iterator[Grid]:
    """The steps of all loops, in each step of this one; its test has run before."""
    if n.axis is not None:
        for t in reversed(range(n.axis.size)) if n.reverse else range(n.axis.size):
            yield {**steps, n.axis: t}
        return
    assert n.test is not None and n.test_result is not None
    _run(n.test, memory, steps)
    while memory[n.test_result][0]:
        yield steps
        _run(n.test, memory, steps)


def _handed_on(pairs: Sequence[tuple[Buffer, Buffer]], memory: Memory) -> None:
    """All bytes of the first buffer of each pair to the second, as if at once."""
    for (_, target), value in zip(pairs, [memory[source].copy() for source, _ in pairs], strict=True):
        memory[target][:] = value


def _branch(n: Branch, memory: Memory, steps: Grid, part: Share) -> None:
    chosen = int(np.clip(_evaluate(n.index, memory, steps), 0, len(n.bodies) - 1))
    _run(n.bodies[chosen], memory, steps)


# Of planned programs


def _nothing(n: Node, memory: Memory, steps: Grid, part: Share) -> None:
    """What is said of threads, of time, or of memory, which has been laid out before."""


def _guard(n: Guard, memory: Memory, steps: Grid, part: Share) -> None:
    if any(memory[b].any() for b in n.flags):
        raise _Ended


def _copy(n: Copy, memory: Memory, steps: Grid, part: Share) -> None:
    for source, target in n.pairs:
        memory[target][:] = memory[source]


def _swap(n: Swap, memory: Memory, steps: Grid, part: Share) -> None:
    memory[n.new], memory[n.old] = memory[n.old], memory[n.new]


def _home(n: Home, memory: Memory, steps: Grid, part: Share) -> None:
    memory.homes[n.old][:] = memory[n.old]
    memory.update({b: memory.homes[b] for b in (n.old, n.new)})


RUN: dict[type[Node], Callable[[Any, Memory, Grid, Share], None]] = {
    Map: _map,
    Reduce: _reduce,
    Argmax: _argmax,
    Scatter: _scatter,
    Dot: _dot,
    Routine: _routine,
    Fused: _fused,
    Loop: _loop,
    Branch: _branch,
    Guard: _guard,
    Copy: _copy,
    Swap: _swap,
    Home: _home,
    **dict.fromkeys((Alloc, Alias, Barrier, Stamp), _nothing),
}
