"""Tiles: stages whose iterations belong together run part by part, so that what lies between them stays in a core's
cache.

Attention is a chain of batches of products and of rows: for one head, scores are made, normalised, and multiplied by
values. Stage by stage, the scores of all heads go to memory and come back; as a tile, a thread takes one head from end
to end, and the scores of that head alone exist, in its scratch. Kernels and products are called as before, on a part of
their first loops.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from fdl.lowering.ir.access import accesses, in_part, lifetimes, passes
from fdl.lowering.ir.expr import Buffer, Interner, walk
from fdl.lowering.ir.index import Axis, Index, trips
from fdl.lowering.ir.nodes import Argmax, Dot, Fused, Map, Node, Reduce, Scope
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped, over_loops, renamed, used, written
from fdl.lowering.plan.memory import placed
from fdl.lowering.schedule.compute_at import compute_at, own_parts
from fdl.lowering.schedule.prologue import find_prologue
from fdl.lowering.target import Target


def tile_stages(program: Program, target: Target) -> Program:
    """Runs of stages that begin with a batch of products, or with a product and what comes before it alone, become
    tiles.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x: jnp.tanh(x @ x) @ x)(jnp.ones((8, 16, 16))))
    >>> print(program)
    program (in0:float32[2048]) -> (out3:float32[2048])
      dot (i: 8) rows (j: 16) columns (k: 16) over (l: 16)
        temp1[256*i + 16*j + k] = in0[256*i + 16*j + l] @ in0[256*i + k + 16*l]
      map (i: 8, j: 16, k: 16)
        temp2[256*i + 16*j + k] = tanh:float32(temp1[256*i + 16*j + k])
      dot (i: 8) rows (j: 16) columns (k: 16) over (l: 16)
        out3[256*i + 16*j + k] = temp2[256*i + 16*j + l] @ in0[256*i + k + 16*l]
    >>> print(tile_stages(program, dataclasses.replace(AVX2, tile_saved=1)))
    program (in0:float32[2048]) -> (out3:float32[2048])
      tile (i: 8), temp1 in shared
        dot (i: 8) rows (j: 16) columns (k: 16) over (l: 16)
          temp1[256*i + 16*j + k] = in0[256*i + 16*j + l] @ in0[256*i + k + 16*l]
        map (i: 8, j: 16, k: 16)
          temp1[256*i + 16*j + k] = tanh:float32(temp1[256*i + 16*j + k])
        dot (i: 8) rows (j: 16) columns (k: 16) over (l: 16)
          out3[256*i + 16*j + k] = temp1[256*i + 16*j + l] @ in0[256*i + k + 16*l]
    """
    reads = used(program.nodes)
    writes = written(program.nodes)
    buffers = list(program.buffers)
    return dataclasses.replace(
        program,
        nodes=mapped(program.nodes, lambda nodes: _tiled(nodes, reads, writes, buffers, program.exprs, target)),
        buffers=buffers,
    )


def _tiled(
    nodes: Sequence[Node],
    reads: Counter[Buffer],
    writes: Counter[Buffer],
    buffers: list[Buffer],
    exprs: Interner,
    target: Target,
) -> list[Node]:
    out: list[Node] = []
    run: _Run | None = None
    for n in nodes:
        if run is not None and run.takes(n):
            continue
        if run is not None and run.stands_aside(n):
            out.append(n)
            continue
        out += run.result(reads, writes) if run is not None else []
        run = None
        if isinstance(n, Dot):
            run = _Run(trips(n.space), exprs, target) if trips(n.space) >= target.equal_shares else None
            if run is None or not run.takes(n):
                run = _with_prologue(n, out, reads, writes, buffers, exprs, target)
        if run is None:
            out.append(n)
    return out + (run.result(reads, writes) if run is not None else [])


def _with_prologue(
    dot: Dot,
    out: list[Node],
    reads: Counter[Buffer],
    writes: Counter[Buffer],
    buffers: list[Buffer],
    exprs: Interner,
    target: Target,
) -> _Run | None:
    """A run of what a product alone reads and the product, taken from the stages before it."""
    found = find_prologue(dot, out, reads, writes, buffers, exprs, target)
    if found is None:
        return None
    reads[found.between] = reads[found.between] or 1
    writes[found.between] = writes[found.between] or 1
    run = _Run(found.count, exprs, target)
    if not all(run.takes(n, first=True) for n in reversed(found.nodes)):
        return None
    run.before = found.before
    for place, rest in reversed(list(zip(found.places, found.rest, strict=True))):
        out[place : place + 1] = [rest] if rest.stores else []
    return run


class _Run:
    """Stages that one loop over `count` parts can hold."""

    def __init__(self, count: int, exprs: Interner, target: Target) -> None:
        self.exprs, self.target = exprs, target
        self.tile = Fused(exprs.axes([count]), [])
        self.before: list[Node] = []  # stages as they were

    def takes(self, n: Node, first: bool = False) -> bool:
        """Join the stage to the run, behind the others or `first`, if each part of it stays among its own parts of what
        other stages touch.
        """
        if not isinstance(n, (Map, Reduce, Argmax, Dot, Fused)):
            return False
        for m in self._ways(n):
            joined = compute_at(m, self.tile, first=first)
            if joined is not None:
                self.tile = joined
                self.before.append(n)
                return True
        return False

    def stands_aside(self, n: Node) -> bool:
        """Whether a number can be computed before the run as well."""
        return isinstance(n, Map) and trips(n.space) == 1 and passes(self.tile.body, [n])

    def _ways(self, n: Node) -> Iterator[Node]:
        """The stage, with the loops first that might make up the parts."""
        count, space = self.tile.count, getattr(n, "space", ())
        if isinstance(n, Dot) and any(trips(space[:k]) == count for k in range(1, len(space) + 1)):
            yield n
        elif isinstance(n, Fused) or (not isinstance(n, Dot) and space):
            if n.extent() % count == 0:
                yield n
            if isinstance(n, Map):
                made = self.tile.writes()
                for b, index in [e.attr for e in walk(n.roots()) if e.op == "load" and e.attr[0] in made]:
                    first = self._first(n, index, b.size // count)
                    if first is not None:
                        yield self._reordered(n, first)

    def _first(self, n: Map, index: Index, size: int) -> list[Axis] | None:
        """The loops that together walk from part to part of a buffer, the slowest first."""
        first: list[Axis] = []
        done = 1
        while done < self.tile.count:
            ways = (v for v in n.space if v.size > 1 and v not in first and index.coefficient(v) == size * done)
            found = next(ways, None)
            if found is None:
                return None
            first.insert(0, found)
            done *= found.size
        return first if done == self.tile.count else None

    def _reordered(self, n: Map, first: Sequence[Axis]) -> Node:
        """The map with other first loops."""
        order = [*first, *(v for v in n.space if v not in first)]
        space = self.exprs.axes([v.size for v in order])
        return over_loops(n, space, {v: new.index for v, new in zip(order, space, strict=True)}, self.exprs)

    def result(self, reads: Mapping[Buffer, int], writes: Mapping[Buffer, int]) -> list[Node]:
        """A tile, where that keeps enough from going to memory; else the stages.  What lives shortest is kept first."""
        found, count = own_parts(self.tile, reads, writes), self.tile.count
        body = _over_what_was_read(self.tile.body, [b for b in found if writes[b] == 1], self.exprs)
        lives = {b: last - first for b, (first, last) in lifetimes(body).items()}
        found = sorted((b for b in found if b in lives), key=lambda b: (lives[b], b.nbytes, b.number))
        local: list[Buffer] = []
        for b in found:
            parts = {x: x.nbytes // count for x in [*local, b]}
            if placed(body, parts, self.target)[1] <= self.target.tile:
                local.append(b)
        saved = sum(b.nbytes for b in local)
        if (
            saved < self.target.tile_saved
            or sum(b.nbytes for b in found if b not in local and lives[b] <= self.target.tile_brief) > saved
        ):
            return self.before
        sources = list(dict.fromkeys(s for n in body for s in n.sources))
        return [Fused(self.tile.loops, body, dict.fromkeys(local, Scope.SHARED), sources=sources)]


def _over_what_was_read(nodes: Sequence[Node], parts: Sequence[Buffer], exprs: Interner) -> list[Node]:
    """The stages with some of their scratch in one: rows that a stage reads last, and writes others of the same size
    for, are written over. Scores become weights.
    """
    last = {b: place for place, n in enumerate(nodes) for b in n.reads()}
    out: list[Node] = []
    names: dict[Buffer, Buffer] = {}
    gone: set[Buffer] = set()
    for place, n in enumerate(nodes):
        for new in n.writes() if isinstance(n, (Fused, Map)) else []:
            olds = [
                b
                for b in n.reads()
                if new in parts and b in parts and last[b] == place and (b.size, b.dtype) == (new.size, new.dtype)
            ]
            old = next((b for b in olds if b not in gone and _reads_before_it_writes(n, b, new)), None)
            if old is not None:
                gone.add(old)
                names[new] = names.get(old, old)
        out.append(renamed(n, names, exprs))
    return out


def _reads_before_it_writes(n: Node, old: Buffer, new: Buffer) -> bool:
    """Whether each row of one buffer is read before the same row of the other is written, or at the very element that
    is.
    """
    body, around = (n.body, n.around) if isinstance(n, Fused) else ([n], ())
    place, store = next(
        ((i, s) for i, m in enumerate(body) if isinstance(m, Map) for s in m.stores if s.buffer is new), (-1, None)
    )
    if store is None or (isinstance(n, Fused) and n.chunk) or sum(new in m.writes() for m in body) != 1:
        return False
    rows = n.count if isinstance(n, Fused) else trips(n.space)  # type: ignore[attr-defined]
    for i, m in enumerate(body):
        for a in accesses(m, around):
            if a.buffer is old and (
                i > place or (i == place and a.index != store.offset) or (i < place and not in_part(a, rows))
            ):
                return False
    stored = [a for a in accesses(body[place], around) if a.written and a.buffer is new]
    return isinstance(n, Map) or all(in_part(a, rows) for a in stored)
