"""Row fusion: nodes that walk the same rows become one loop over them, so that a row is worked on from end to end while
it is in cache.

A softmax, a layer norm or a cross entropy is a chain of folds along rows and maps over them; as one nest it reads its
operand once and writes its result once, and what lies in between is a local array of one row. Folds of 128 rows, the
first step of a fold down columns, join as totals that are kept while their rows pass. Every element is computed by the
same operations in the same order as before: fusion changes no bits.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

from fdl.lowering.ir.access import Access, History, accesses, loads, loops_of, row_steps, sized
from fdl.lowering.ir.expr import Buffer, Expr, Interner, walk
from fdl.lowering.ir.index import ZERO, Index, LoopVar, space_vars
from fdl.lowering.ir.nodes import Argmax, Map, Nest, Node, Reduce, Store
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped, reindexed, used, written
from fdl.lowering.target import Target


def fuse_rows(program: Program, target: Target) -> Program:
    """Neighbours over the same rows become nests."""
    nodes = mapped(program.nodes, lambda nodes: _Fusion(program, target).run(nodes))
    reads, writes = used(nodes), written(nodes)

    def kept(n: Node) -> Node:
        return _with_locals(n, reads, writes, target) if isinstance(n, Nest) else n

    return dataclasses.replace(program, nodes=mapped(nodes, lambda nodes: [kept(n) for n in nodes]))


def _with_locals(n: Nest, reads: Counter[Buffer], writes: Counter[Buffer], target: Target) -> Nest:
    """The nest that keeps a row of what it alone reads and writes."""
    read, made, left = used(n.body), written(n.body), target.stack
    found: dict[Buffer, int] = {}
    for b, size in _rows_of(n.body, n.outer).items():
        own = read[b] == reads[b] and made[b] == writes[b]
        if b.kind == "temp" and own and size * b.dtype.itemsize <= left:
            found[b] = size
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
        """The place of the nest that the node has become a part of."""
        if not isinstance(n, (Map, Reduce, Argmax)):
            return None
        place = self.history.source(n)
        if place < 0 or not self.history.joins(n, place):
            return None
        before = self.out[place]
        for outer in _outers(before, n, self.target):
            nest = before if isinstance(before, Nest) and before.outer == outer else self._as_nest(before, outer)
            joined = None if nest is None or len(nest.body) >= self.target.rows_stages else self._joined(nest, n)
            if joined is not None:
                self.out[place] = joined
                return place
        return None

    def _as_nest(self, n: Node, outer: tuple[int, ...]) -> Nest | None:
        if isinstance(n, Nest) and n.chunk:
            return None
        own = [by_rows(m, outer, self.exprs, self.target) for m in (n.body if isinstance(n, Nest) else [n])]
        body = [m for m in own if m is not None]
        return Nest(outer, body, outer, 0, sources=list(n.sources)) if len(body) == len(own) else None

    def _joined(self, nest: Nest, n: Node) -> Nest | None:
        chunk, space = nest.chunk, nest.space
        if isinstance(n, Reduce) and not n.rows:
            height = n.over[0]
            if (
                len(n.over) != 1
                or len(n.space) != 2
                or nest.outer != (n.space[0] * height,)
                or chunk not in (0, height)
                or n.space[1] > self.target.total_width
            ):
                return None
            value = row_value(n, self.exprs)
            row = sized((*nest.outer, n.space[1]))
            if value is None or not self._local(
                nest, [Access(e.attr[0], e.attr[1], row, False, n, g) for e, g in loads([value])]
            ):
                return None
            own: Node | None = n
            chunk, space = height, (n.space[0],)
        else:
            own = by_rows(n, nest.outer, self.exprs, self.target)
            if own is None or not self._local(nest, [a for a in accesses(own) if not a.written]):
                return None
        assert own is not None
        return Nest(
            space, [*nest.body, own], nest.outer, chunk, sources=list(dict.fromkeys([*nest.sources, *n.sources]))
        )

    def _local(self, nest: Nest, reads: Sequence[Access]) -> bool:
        """Whether what the nest stores is read in the row where it was stored only, and totals not at all.

        Conditions are left out: what pads an operand stays by itself, for the prologue of its product.
        """
        sizes = _rows_of(nest.body, nest.outer)
        totals = {m.store for m in nest.body if isinstance(m, Reduce) and not m.rows}
        written = {b for m in nest.body for b in m.writes()}
        return all(
            a.buffer not in totals and in_row(a.always(), sizes.get(a.buffer, 0), nest.outer)
            for a in reads
            if a.buffer in written
        )


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
    changed, move = reindexed(exprs, n.expressions(), places)
    if isinstance(n, Map):
        return dataclasses.replace(
            n, space=split, stores=[Store(s.buffer, move(s.offset), changed[s.value]) for s in n.stores]
        )
    return dataclasses.replace(n, space=split, value=changed[n.value], offset=move(n.offset))


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
    if isinstance(before, Nest):
        counts, spaces = [before.count], [before.outer, *(m.space for m in before.body)]  # type: ignore[attr-defined]
    else:
        counts, spaces = [], []
    for m in (n, before):
        if isinstance(m, (Reduce, Argmax, Map)) and m.space:
            spaces.append(m.space)
            if not isinstance(before, Nest):
                counts.append(m.space[0] * m.over[0] if isinstance(m, Reduce) and not m.rows else m.space[0])
    found: list[tuple[int, ...]] = [(r,) for r in counts]
    found += [space[:k] for space in spaces for k in range(2, len(space) + 1) if math.prod(space[:k]) in counts]
    found = (
        [before.outer, *found] if isinstance(before, Nest) else sorted(found, key=lambda o: -math.prod(o))
    )  # short rows stay in cache
    return [o for o in dict.fromkeys(found) if math.prod(o) >= target.rows_least]


def _plain(index: Index) -> bool:
    return all(isinstance(a, LoopVar) for a, _ in index.terms)


def _rows_of(body: Sequence[Node], outer: Sequence[int]) -> dict[Buffer, int]:
    """Elements a row of what nodes store, where each row is a run of its own."""
    rows = math.prod(outer)
    return {
        a.buffer: a.buffer.size // rows
        for n in body
        if not (isinstance(n, Reduce) and not n.rows)
        for a in accesses(n)
        if a.written and a.buffer.size % rows == 0 and in_row(a, a.buffer.size // rows, outer)
    }


def in_row(a: Access, size: int, outer: Sequence[int]) -> bool:
    """Whether an access lies in the current one of rows of `size` elements, over which the first loops walk."""
    return a.stays(row_steps(outer, size), size)
