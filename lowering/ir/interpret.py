"""The interpreter of the loop IR: the third oracle, and how kernels for devices that are not there can be run.

Each node is evaluated on whole index grids with NumPy; elementwise operations use the primitives' reference
implementations, folds and products the order that the program states (`fold.py`). So where only `+ - * /`, square roots
and products occur, and no denormals, results have the bits of the C program.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fdl.core.primitive import REGISTRY
from fdl.lowering.ir.expr import Buffer, Expr, walk
from fdl.lowering.ir.fold import fold_columns, fold_rows, multiply
from fdl.lowering.ir.index import Index, LoopVar, space_vars, step_var
from fdl.lowering.ir.nodes import (
    Argmax,
    Band,
    Branch,
    Dot,
    Finished,
    Loop,
    Map,
    Nest,
    Node,
    Operand,
    Reduce,
    Routine,
    Scatter,
)
from fdl.lowering.ir.planned import Arena, Copy, Guard, Home, Stamp, Swap
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import all_nodes
from fdl.ops.indexing import COMBINING
from fdl.ops.random import philox_word
from fdl.ops.routines import ROUTINES

Grid = dict[LoopVar, Any]


def interpret_program(program: Program, args: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Flat outputs of a program for flat inputs; a planned program gets the memory that its plan says."""
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
        for n in all_nodes(program.nodes):
            for b, size in n.locals.items() if isinstance(n, Band) and arena.slabs else ():
                offset = arena.slabs[b]
                self[b] = Slab(own[offset : offset + size * b.dtype.itemsize].view(b.dtype), b.size)
        for b, x in zip(program.inputs, args, strict=True):
            flat = np.ascontiguousarray(x).reshape(-1)
            self[b] = flat.copy() if b in program.donated else flat
        for b in arena.in_place:
            self[b] = self[arena.home(b)]
        self.homes = dict(self)


class Slab:
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


def _run(nodes: Sequence[Node], memory: Memory, steps: Grid) -> None:
    for n in nodes:
        if isinstance(n, Map):
            grid = _grid(n.space, steps)
            stored = [_evaluate(s.value, memory, grid) for s in n.stores]
            for s, value in zip(n.stores, stored, strict=True):
                place = _address(s.offset, memory, grid)
                memory[s.buffer][np.broadcast_to(place, n.space)] = np.broadcast_to(value, n.space)
        elif isinstance(n, Nest):
            _spoil(n.locals, memory)
            _run(n.body, memory, steps)
            _spoil(n.locals, memory)
        elif isinstance(n, Band):
            _band(n, memory, steps)
        elif isinstance(n, Reduce):
            _reduce(n, memory, steps)
        elif isinstance(n, Argmax):
            grid = _grid((*n.space, n.over), steps)
            values = np.broadcast_to(_evaluate(n.value, memory, grid), (*n.space, n.over))
            memory[n.store][_places(n.offset, n.space, memory, steps)] = np.argmax(values, -1)
        elif isinstance(n, Scatter):
            _scatter(n, memory, steps)
        elif isinstance(n, Dot):
            _dot(n, memory, steps)
        elif isinstance(n, Routine):
            _routine(n, memory, steps)
        elif isinstance(n, Finished):
            _finished(n, memory, steps)
        elif isinstance(n, Loop):
            _loop(n, memory, steps)
        elif isinstance(n, Copy):
            for source, target in n.pairs:
                memory[target][:] = memory[source]
        elif isinstance(n, Home):
            memory.homes[n.old][:] = memory[n.old]
            memory.update({b: memory.homes[b] for b in (n.old, n.new)})
        elif isinstance(n, Swap):
            memory[n.new], memory[n.old] = memory[n.old], memory[n.new]
        elif isinstance(n, Guard):
            if any(memory[b].any() for b in n.flags):
                raise _Ended
        elif isinstance(n, Branch):
            chosen = int(np.clip(_evaluate(n.index, memory, steps), 0, len(n.bodies) - 1))
            _run(n.bodies[chosen], memory, steps)


def _routine(n: Routine, memory: Memory, steps: Grid) -> None:
    size = n.space[0] // steps.get(_COUNT, 1)
    first = steps.get(_PART, 0) * size
    reference = ROUTINES[n.key].reference
    for part in range(first, first + size):
        made = reference(*(memory[b][part * k : (part + 1) * k] for b, k in n.operands), *n.sizes)
        for (b, k), value in zip(n.results, made, strict=True):
            memory[b][part * k : (part + 1) * k] = np.reshape(value, -1)


def _finished(n: Finished, memory: Memory, steps: Grid) -> None:
    """The product, of which the stage after it sees a part of the rows more each time."""
    _dot(n.dot, memory, steps)
    seen, whole = memory[n.dot.out.buffer], memory[n.dot.out.buffer].copy()
    seen.fill(np.nan)
    size = whole.size // n.count
    for part in range(n.count):
        seen[part * size : (part + 1) * size] = whole[part * size : (part + 1) * size]
        _run([_cut(n.after, n.count)], memory, {**steps, _PART: part, _COUNT: n.count})


_PART, _COUNT = (
    LoopVar(-1, True),
    LoopVar(-2, True),
)  # in the grid of a stage that runs in parts: which part of how many


def _band(n: Band, memory: Memory, steps: Grid) -> None:
    """Part by part; what another part has left in a slab must not be read."""
    for part in range(n.count):
        _spoil(n.locals, memory)
        own = {**steps, **{step_var(d): part // stride % size for d, (stride, size) in n.steps.items()}}
        for m in n.body:
            if isinstance(m, Stamp) or n.counters(m):
                _run([m], memory, own)
            else:
                _run([_cut(m, n.count)], memory, {**own, _PART: part, _COUNT: n.count})


def _spoil(buffers: Iterable[Buffer], memory: Memory) -> None:
    """Make sure that what lies outside of a composite does not reach its local buffers, and they not what follows."""
    for b in buffers:
        memory[b].fill(np.nan if memory[b].dtype.kind == "f" else 1)


def _cut(n: Node, count: int) -> Node:
    """A part of a stage, for a grid that says which one; the loops of a product's batch are not cut."""
    if isinstance(n, Nest):
        return dataclasses.replace(n, body=[_cut(m, count) for m in n.body])
    return (
        dataclasses.replace(n, space=(n.space[0] // count, *n.space[1:])) if isinstance(n, (Map, Reduce, Argmax)) else n
    )


def _grid(space: Sequence[int], steps: Grid) -> Grid:
    grid = dict(steps)
    for k, (v, d) in enumerate(zip(space_vars(len(space)), space, strict=True)):
        first = steps.get(_PART, 0) * d if k == 0 else 0
        grid[v.terms[0][0]] = np.arange(first, first + d).reshape([-1 if j == k else 1 for j in range(len(space))])
    return grid


def _address(index: Index, memory: Memory, grid: Grid) -> Any:
    place: Any = np.int64(index.const)
    for atom, c in index.terms:
        place = place + (grid[atom] if isinstance(atom, LoopVar) else _evaluate(atom, memory, grid)) * np.int64(c)
    return place


def _places(offset: Index, space: Sequence[int], memory: Memory, steps: Grid) -> Any:
    return np.broadcast_to(_address(offset, memory, _grid(space, steps)), tuple(space))


def _evaluate(root: Expr, memory: Memory, grid: Grid) -> Any:
    known: dict[Expr, Any] = {}
    for e in walk([root]):
        known[e] = _one(e, [known[a] for a in e.args], known, memory, grid)
    return known[root]


def _one(e: Expr, args: list[Any], known: dict[Expr, Any], memory: Memory, grid: Grid) -> Any:
    def address(index: Index) -> Any:
        place: Any = np.int64(index.const)
        for atom, c in index.terms:
            place = place + (grid[atom] if isinstance(atom, LoopVar) else known[atom]) * np.int64(c)
        return place

    if e.op == "const":
        return np.asarray(e.attr)
    if e.op == "load":
        buffer, index = e.attr
        place = address(index)  # where a condition guards it, the address may lie outside
        return (
            memory[buffer][np.clip(place, 0, max(buffer.size - 1, 0))]
            if buffer.size
            else np.zeros(np.shape(place), buffer.dtype)
        )
    if e.op == "number":
        return np.asarray(address(e.attr))
    if e.op == "choose":
        holds = np.logical_and.reduce(np.broadcast_arrays(*args[:-2]))
        return np.where(holds, args[-2], args[-1])
    if e.op == "philox":
        return philox_word(*args)
    params: dict[str, Any] = {}
    if e.op in ("convert", "bitcast"):
        params = {"dtype": e.dtype, **({"weak_type": False} if e.op == "convert" else {})}
    return REGISTRY[e.op].reference([np.asarray(a) for a in args], params)[0]


def _reduce(n: Reduce, memory: Memory, steps: Grid) -> None:
    grid = _grid((*n.space, *n.over), steps)
    values = np.broadcast_to(_evaluate(n.value, memory, grid), (*n.space, *n.over))
    values = values.reshape(*n.space, math.prod(n.over[:-1]), n.over[-1])
    out = fold_rows(n.kind, values) if n.rows else fold_columns(n.kind, values)
    memory[n.store][_places(n.offset, n.space, memory, steps)] = out


def _scatter(n: Scatter, memory: Memory, steps: Grid) -> None:
    grid = _grid(n.space, steps)
    value = np.broadcast_to(_evaluate(n.value, memory, grid), n.space)
    place = np.broadcast_to(_address(n.offset, memory, grid), n.space)
    if n.conditions:
        holds = np.broadcast_to(
            np.logical_and.reduce(np.broadcast_arrays(*[_evaluate(c, memory, grid) for c in n.conditions])), n.space
        )
        value, place = value[holds], place[holds]
    if n.kind in COMBINING:
        COMBINING[n.kind].at(memory[n.store], place.reshape(-1), value.reshape(-1))
    else:
        memory[n.store][place.reshape(-1)] = value.reshape(-1)  # the last one stays


def _dot(n: Dot, memory: Memory, steps: Grid) -> None:
    batches = list(np.ndindex(*n.space))
    size = len(batches) // steps.get(_COUNT, 1)
    first = steps.get(_PART, 0) * size
    for batch in batches[first : first + size]:
        grid = {**steps, **{v.terms[0][0]: i for v, i in zip(space_vars(len(n.space)), batch, strict=True)}}

        def places(x: Operand, grid: Grid = grid) -> Any:
            return _address(x.offset, memory, grid) + _steps(x.rows)[:, None] + _steps(x.cols)[None, :]

        left, right = (memory[x.buffer][places(x)].astype(n.dtype) for x in (n.lhs, n.rhs))
        memory[n.out.buffer][places(n.out)] = multiply(n, left, right)


def _steps(digits: Sequence[tuple[int, int]]) -> np.ndarray[Any, Any]:
    """Where consecutive rows or columns lie."""
    out = np.zeros(1, np.int64)
    for size, step in digits:
        out = (out[:, None] + np.arange(size)[None, :] * step).reshape(-1)
    return out


def _loop(n: Loop, memory: Memory, steps: Grid) -> None:
    if n.test is None:
        for t in reversed(range(n.length)) if n.reverse else range(n.length):
            _run(n.body, memory, {**steps, step_var(n.depth): t})
            _carry(n, memory)
        _run(n.last, memory, steps)
        return
    while True:
        _run(n.test, memory, steps)
        if not memory[n.test_result][0]:  # type: ignore[index]
            _run(n.last, memory, steps)
            return
        _run(n.body, memory, steps)
        _carry(n, memory)


def _carry(n: Loop, memory: Memory) -> None:
    for value, (_, target) in zip([memory[source].copy() for source, _ in n.carry], n.carry, strict=True):
        memory[target][:] = value
