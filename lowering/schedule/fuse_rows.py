"""Row fusion: stages that walk the same rows become one loop over them, so that a row is worked on from end to end
while it is in cache.

A softmax, a layer norm or a cross entropy is a chain of folds along rows and maps over them; as one kernel it reads its
operand once and writes its result once, and what lies in between is a local array of one row. Folds of 128 rows, the
first step of a fold down columns, join as totals that are kept while their rows pass.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

from fdl.lowering.ir.access import History, loops_of
from fdl.lowering.ir.expr import Buffer, Expr, Interner, walk
from fdl.lowering.ir.index import ZERO, Index, LoopVar, space_vars
from fdl.lowering.ir.nodes import Argmax, Fused, Map, Node, Reduce, Scope
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped, over_loops, reindexed, used, written
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
      reduce (64,) over (100,): temp1[i0] = add of in0[100*i0 + i1]
      map (64, 100)
        out2[100*i0 + i1] = div:float32(in0[100*i0 + i1], temp1[i0])
    >>> print(fuse_rows(program, AVX2))
    program (in0:float32[6400]) -> (out2:float32[6400])
      fused rows (64,), temp1 in register
        reduce (64,) over (100,): temp1[i0] = add of in0[100*i0 + i1]
        map (64, 100)
          out2[100*i0 + i1] = div:float32(in0[100*i0 + i1], temp1[i0])
    """
    nodes = mapped(program.nodes, lambda nodes: _Fusion(program, target).run(nodes))
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
    """One list of nodes on its way to fewer."""

    def __init__(self, program: Program, target: Target) -> None:
        self.exprs, self.target = program.exprs, target
        self.out: list[Node] = []
        self.history = History()

    def run(self, nodes: Sequence[Node]) -> list[Node]:
        for n in nodes:
            place = self._join(n)
            if place is None:
                place = len(self.out)
                self.out.append(n)
            self.history.put(n, place)
        return self.out

    def _join(self, n: Node) -> int | None:
        """The place of the composite that the node has become a part of."""
        if not isinstance(n, (Map, Reduce, Argmax)):
            return None
        place = self.history.source(n)
        if place < 0 or not self.history.joins(n, place):
            return None
        before = self.out[place]
        for outer in _outers(before, n, self.target):
            rows = self._as_rows(before, outer)
            joined = None if rows is None or len(rows.body) >= self.target.rows_stages else self._joined(rows, n)
            if joined is not None:
                self.out[place] = joined
                return place
        return None

    def _as_rows(self, n: Node, outer: tuple[int, ...]) -> Fused | None:
        """The node as a composite over these rows."""
        if isinstance(n, Fused):
            if n.loops == outer and n.kernel:
                return n
            if n.chunk or not n.kernel:
                return None
        own = [by_rows(m, outer, self.exprs, self.target) for m in (n.body if isinstance(n, Fused) else [n])]
        body = [m for m in own if m is not None]
        return Fused(outer, body, sources=list(n.sources)) if len(body) == len(own) else None

    def _joined(self, rows: Fused, n: Node) -> Fused | None:
        """Conditions are not counted on: what pads an operand stays by itself, for the prologue of its product."""
        if not isinstance(n, Reduce) or n.rows:
            own = by_rows(n, rows.loops, self.exprs, self.target)
            return None if own is None else compute_at(own, rows, conditions=False)
        if (
            not rows.accumulates(n)
            or len(rows.loops) != 1
            or rows.chunk not in (0, n.over[0])
            or n.space[1] > self.target.total_width
            or row_value(n, self.exprs) is None
        ):
            return None
        return compute_at(n, rows, conditions=False)


def by_rows(n: Node, outer: Sequence[int], exprs: Interner, target: Target) -> Node | None:
    """The node with first loops over rows, if its loops split so."""
    if (
        not isinstance(n, (Map, Reduce, Argmax))
        or not n.space
        or not all(map(_plain, n.indices()))
        or (isinstance(n, Reduce) and not n.rows)
    ):
        return None
    split = _split(n.space, outer)
    if split is None:
        return None
    if isinstance(n, Map) and len(n.space) == 1 and 1 < math.prod(split) // math.prod(outer) < target.rows_width:
        return None  # one long loop is better than many short ones
    if split == n.space:
        return n
    # each old loop is a run of new ones
    count, places, at = len(loops_of(n)), {}, 0
    new = space_vars(count + len(split) - len(n.space))
    for k, old in enumerate(space_vars(count)):
        index = ZERO
        if k < len(n.space):
            left = n.space[k]
            while left > 1 or index == ZERO:
                left //= split[at]
                index = index + new[at] * left
                at += 1
                if left == 1:
                    break
        else:
            index, at = new[at], at + 1
        places[old.terms[0][0]] = index
    return over_loops(n, split, places, exprs)


def row_value(n: Reduce, exprs: Interner) -> Expr | None:
    """What a fold of whole chunks of rows adds for one row: over (row, column) instead of (chunk, column, row in the
    chunk).
    """
    chunk, column, row = (v.terms[0][0] for v in space_vars(3))
    height = n.over[0]
    for e in walk([n.value]):
        if any(i.coefficient(chunk) != height * i.coefficient(row) for i in e.indices()):
            return None
    target = {chunk: Index(0, ()), column: space_vars(2)[1], row: space_vars(1)[0]}
    return reindexed(exprs, [n.value], target)[0][n.value]


def _split(space: Sequence[int], outer: Sequence[int]) -> tuple[int, ...] | None:
    """The loops of `space` cut so that they begin with those of `outer`."""
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


def _outers(before: Node, n: Node, target: Target) -> list[tuple[int, ...]]:
    """Loops over rows that both might have: one loop, else the loops that one of them has in its place."""
    counts: list[int] = []
    spaces: list[tuple[int, ...]] = []
    if isinstance(before, Fused):
        counts, spaces = [before.count], [before.loops, *(m.space for m in before.body)]  # type: ignore[attr-defined]
    for m in (n, before):
        if isinstance(m, (Reduce, Argmax, Map)) and m.space:
            spaces.append(m.space)
            if not isinstance(before, Fused):
                counts.append(m.space[0] * m.over[0] if isinstance(m, Reduce) and not m.rows else m.space[0])
    found: list[tuple[int, ...]] = [(r,) for r in counts]
    found += [space[:k] for space in spaces for k in range(2, len(space) + 1) if math.prod(space[:k]) in counts]
    found = (
        [before.loops, *found] if isinstance(before, Fused) else sorted(found, key=lambda o: -math.prod(o))
    )  # short rows stay in cache
    return [o for o in dict.fromkeys(found) if math.prod(o) >= target.rows_least]


def _plain(index: Index) -> bool:
    return all(isinstance(a, LoopVar) for a, _ in index.terms)
