"""Row fusion: stages that walk the same rows become one loop over them, so that a row is worked on from end to end
while it is in cache.

A softmax, a layer norm or a cross entropy is a chain of folds along rows and maps over them; as one kernel it reads its
operand once and writes its result once, and what lies in between is a local array of one row. Folds of 128 rows, the
first step of a fold down columns, join as totals that are kept while their rows pass.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from fdl.lowering.ir.access import History, gathered, loops_of
from fdl.lowering.ir.expr import Buffer, Interner, walk
from fdl.lowering.ir.index import Axis, Index, iteration, trips
from fdl.lowering.ir.nodes import Argmax, Fused, Map, Node, Reduce, Scope
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import by_themselves, inside, mapped, over_loops, used, written
from fdl.lowering.schedule.compute_at import compute_at, own_parts
from fdl.lowering.target import Target


def fuse_rows(program: Program, target: Target) -> Program:
    """Neighbours over the same rows become composites.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x: x / jnp.sum(x, axis=1, keepdims=True))(jnp.ones((64, 100))))
    >>> print(program)
    program (in0:float32[6400]) -> (out2:float32[6400])
      reduce (i: 64) over (j: 100): temp1[i] = add of in0[100*i + j]
      map (i: 64, j: 100)
        out2[100*i + j] = div:float32(in0[100*i + j], temp1[i])
    >>> print(fuse_rows(program, AVX2))
    program (in0:float32[6400]) -> (out2:float32[6400])
      fused rows (i: 64), temp1 in register
        reduce () over (j: 100): temp1[i] = add of in0[100*i + j]
        map (j: 100)
          out2[100*i + j] = div:float32(in0[100*i + j], temp1[i])
    """
    nodes = mapped(program.nodes, lambda nodes: gathered(nodes, _Fusion(program.exprs, target).join))
    reads, writes = used(nodes), written(nodes)

    def kept(n: Node) -> Node:
        return _with_locals(n, reads, writes, target) if isinstance(n, Fused) and n.kernel else n

    return dataclasses.replace(program, nodes=mapped(nodes, lambda nodes: [kept(n) for n in nodes]))


def _with_locals(n: Fused, reads: Counter[Buffer], writes: Counter[Buffer], target: Target) -> Fused:
    """Fused rows that keep a row of what they alone read and write."""
    left, found = target.stack, dict[Buffer, Scope]()
    for b in own_parts(n, reads, writes):
        size = b.size // n.count
        if size * b.dtype.itemsize <= left:
            found[b] = Scope.REGISTER if size == 1 else Scope.THREAD
            left -= size * b.dtype.itemsize
    return dataclasses.replace(n, locals=found)


class _Fusion:
    """How stages join rows."""

    def __init__(self, exprs: Interner, target: Target) -> None:
        self.exprs, self.target = exprs, target

    def join(self, n: Node, before: list[Node], history: History) -> tuple[int, Node] | None:
        """The place of the stage that makes what a node reads, and the composite of both."""
        place = history.source(n)
        if not isinstance(n, (Map, Reduce, Argmax)) or place < 0 or not history.joins(n, place):
            return None
        for outer in _outers(before[place], n, self.exprs, self.target):
            rows = self._as_rows(before[place], outer)
            joined = None if rows is None or len(rows.body) >= self.target.rows_stages else self._joined(rows, n)
            if joined is not None:
                return place, joined
        return None

    def _as_rows(self, n: Node, outer: tuple[Axis, ...]) -> Fused | None:
        """The node as a composite over these rows."""
        if isinstance(n, Fused):
            if n.loops == outer and n.kernel:
                return n
            if n.chunk or not n.kernel:
                return None
        stages = by_themselves(n) if isinstance(n, Fused) else [n]
        own = [m and inside(m, outer) for m in (by_rows(m, outer, self.exprs, self.target) for m in stages)]
        return None if None in own else Fused(outer, [m for m in own if m], sources=list(n.sources))

    def _joined(self, rows: Fused, n: Node) -> Fused | None:
        """Conditions are not counted on: what pads an operand stays by itself, for the prologue of its product."""
        if isinstance(n, Reduce) and not n.rows:
            return self._with_total(rows, n)
        own = by_rows(n, rows.loops, self.exprs, self.target)
        return None if own is None else compute_at(own, rows, conditions=False)

    def _with_total(self, rows: Fused, n: Reduce) -> Fused | None:
        """The rows, in chunks, with a fold of each chunk down columns."""
        if (len(n.space), len(n.over)) != (2, 1):
            return None
        (chunk, column), (row,) = n.space, n.over
        indices = [i for e in walk([n.value]) for i in e.indices()]
        if (
            chunk.size * row.size != rows.count
            or column.size > self.target.total_width
            or any(i.coefficient(chunk) != row.size * i.coefficient(row) for i in indices)
        ):
            return None
        *loops, inner = self.exprs.axes([chunk.size, row.size, column.size])
        chunks = self._as_rows(rows, tuple(loops)) if len(rows.loops) == 1 or rows.chunk else None
        places = {v: new.index for v, new in ((chunk, loops[0]), (row, loops[1]), (column, inner)) if v is not new}
        own = over_loops(n, [loops[0], inner], places, self.exprs)
        return None if chunks is None else compute_at(own, chunks, conditions=False)


def by_rows(n: Node, outer: Sequence[Axis], exprs: Interner, target: Target) -> Node | None:
    """The node with first loops over rows, if its loops split so."""
    if (
        not isinstance(n, (Map, Reduce, Argmax))
        or not n.space
        or not all(map(_plain, n.indices()))
        or (isinstance(n, Reduce) and not n.rows)
    ):
        return None
    sizes = _split([v.size for v in n.space], [v.size for v in outer])
    if sizes is None:
        return None
    if isinstance(n, Map) and len(n.space) == 1 and 1 < n.space[0].size // trips(outer) < target.rows_width:
        return None  # one long loop is better than many short ones
    if n.space[: len(outer)] == tuple(outer):
        return n
    split = (*outer, *exprs.axes([*sizes, *(v.size for v in loops_of(n)[len(n.space) :])])[len(outer) :])
    left, places = list(split), dict[Axis, Index]()
    for v in loops_of(n):  # each old loop is a run of new ones
        run = [left.pop(0)]
        while trips(run) < v.size:
            run.append(left.pop(0))
        places[v] = iteration(run)
    return over_loops(n, split[: len(sizes)], places, exprs)


def _split(space: Sequence[int], outer: Sequence[int]) -> tuple[int, ...] | None:
    """The sizes in `space` cut so that they begin with those of `outer`."""
    out: list[int] = []
    left = list(space)
    for d in outer:
        if not left or left[0] % d:
            return None
        out.append(d)
        left[0] //= d
        if left[0] == 1:
            left.pop(0)
    return (*out, *left)


def _outers(before: Node, n: Node, exprs: Interner, target: Target) -> list[tuple[Axis, ...]]:
    """Loops over rows that both might have: one loop, else the loops that one of them has in its place."""
    counts: list[int] = []
    spaces: list[tuple[Axis, ...]] = []
    if isinstance(before, Fused):
        counts, spaces = [before.count], [before.loops, *(m.space for m in by_themselves(before))]  # type: ignore[attr-defined]
    for m in (n, before):
        if isinstance(m, (Reduce, Argmax, Map)) and m.space:
            spaces.append(m.space)
            if not isinstance(before, Fused):
                down = isinstance(m, Reduce) and not m.rows
                counts.append(m.space[0].size * m.over[0].size if down else m.space[0].size)  # type: ignore[union-attr]
    found = [exprs.axes([r]) for r in counts]
    found += [space[:k] for space in spaces for k in range(2, len(space) + 1) if trips(space[:k]) in counts]
    if isinstance(before, Fused):
        found.insert(0, before.loops)
    else:
        found.sort(key=lambda o: -trips(o))  # short rows stay in cache
    return [o for o in dict.fromkeys(found) if trips(o) >= target.rows_least]


def _plain(index: Index) -> bool:
    return all(isinstance(a, Axis) for a, _ in index.terms)
