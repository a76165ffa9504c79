"""Bands: stages whose iterations belong together run one after another for each iteration, so that what lies between
them stays in a core's cache.

Attention is a chain of batches of products and of rows: for one head, scores are made, normalised, and multiplied by
values. Stage by stage, the scores of all heads go to memory and come back; as a band, a thread takes one head from end
to end, and the scores of that head alone exist. A band is a loop over slabs: each buffer that its stages share is cut
into as many slabs as the band has iterations, and an iteration touches its own slab alone. The stages are called as
before, on a part of their first loop: bits do not change.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fdl.lowering.ir.access import Access, accesses, passes, sized
from fdl.lowering.ir.expr import Buffer, Interner, walk
from fdl.lowering.ir.index import LAST_DEPTH, Index, space_vars, step_var
from fdl.lowering.ir.nodes import Argmax, Band, Dot, Map, Nest, Node, Reduce, Store
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped, reindexed, renamed, used, written
from fdl.lowering.plan.memory import placed, slab_bytes
from fdl.lowering.schedule.fuse_rows import in_row
from fdl.lowering.schedule.prologue import find_prologue
from fdl.lowering.target import Target

_COUNTERS = 4  # step counters of a band


def tile_stages(program: Program, target: Target) -> Program:
    """Runs of stages that begin with a batch of products, or with a product and what comes before it alone, become
    bands.
    """
    reads = used(program.nodes)
    writes = written(program.nodes)
    buffers = list(program.buffers)
    return dataclasses.replace(
        program,
        nodes=mapped(program.nodes, lambda nodes: _banded(nodes, reads, writes, buffers, program.exprs, target)),
        buffers=buffers,
    )


def _banded(
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
            run = _Run(math.prod(n.space), exprs, target) if math.prod(n.space) >= target.equal_shares else None
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
    if not all(run.takes(n) for n in found.nodes):
        return None
    run.before = found.before
    for place, rest in reversed(list(zip(found.places, found.rest, strict=True))):
        out[place : place + 1] = [rest] if rest is not None else []
    return run


class _Run:
    """Stages that one loop of so many iterations can hold."""

    def __init__(self, count: int, exprs: Interner, target: Target) -> None:
        self.count, self.exprs, self.target = count, exprs, target
        self.before: list[Node] = []  # stages as they were
        self.nodes: list[Node] = []
        self.inside: dict[Buffer, bool] = {}  # whether each buffer is touched in the iteration's own slab only
        self.written: set[Buffer] = set()
        self.read: set[Buffer] = set()
        self.steps: dict[
            tuple[int, int], int
        ] = {}  # by how many iterations a step of a counter is, and how often it steps: its depth

    def takes(self, n: Node) -> bool:
        """Join the stage to the run, if each iteration stays among its own slabs where another stage writes. What two
        stages only write, they write in different places.
        """
        writes, reads = set(n.writes()), set(n.reads())
        for loops in self._ways(n):
            inside: dict[Buffer, bool] = {}
            for a in accesses(n):
                b = a.buffer
                inside[b] = inside.get(b, True) and b.size % self.count == 0 and loops.hold(n, a, b.size // self.count)
            shared = [b for b in inside if (b in writes and b in self.read) or (b in self.written and b in reads)]
            if not all(inside[b] and self.inside[b] for b in shared):
                continue
            self.before.append(n)
            self.nodes.append(self._stepped(n, loops) if loops.stepped else n)
            self.written |= writes
            self.read |= reads
            for b, ok in inside.items():
                self.inside[b] = self.inside.get(b, True) and ok
            return True
        return False

    def stands_aside(self, n: Node) -> bool:
        """Whether a number can be computed before the run as well."""
        return isinstance(n, Map) and math.prod(n.space) == 1 and passes(self.nodes, [n])

    def _ways(self, n: Node) -> Iterator[_Loops]:
        """How the loops of a stage might make up the iterations."""
        if isinstance(n, Dot):
            split = next((k for k in range(1, len(n.space) + 1) if math.prod(n.space[:k]) == self.count), None)
            if split is not None:
                yield _Loops(
                    {
                        v: math.prod(n.space[k + 1 : split])
                        for k, (v, d) in enumerate(sized(n.space[:split]).items())
                        if d > 1
                    },
                    1,
                    sized(n.space[split:], split),
                )
        elif isinstance(n, (Map, Reduce, Argmax, Nest)) and n.space:
            if n.space[0] % self.count == 0:
                yield _Loops(dict.fromkeys(sized(n.space[:1]), 1), n.space[0] // self.count, sized(n.space[1:], 1))
            if isinstance(n, Map) and len(self.steps) < _COUNTERS:
                for b, index in [e.attr for e in walk(n.roots()) if e.op == "load" and e.attr[0] in self.written]:
                    first = self._counters(n, index, b.size // self.count)
                    if first is not None:
                        yield _Loops(first, 1, {v: d for v, d in sized(n.space).items() if v not in first}, True)

    def _counters(self, n: Map, index: Index, slab: int) -> dict[Any, int] | None:
        """The loops that together walk from slab to slab."""
        first: dict[Any, int] = {}
        done = 1
        while done < self.count:
            v, d = next(
                (
                    (v, d)
                    for v, d in sized(n.space).items()
                    if d > 1 and v not in first and index.coefficient(v) == slab * done
                ),
                (None, 0),
            )
            if v is None:
                return None
            first[v], done = done, done * d
        return first if done == self.count else None

    def _stepped(self, n: Node, loops: _Loops) -> Node:
        """The map without its first loops, which are the band's."""
        assert isinstance(n, Map)
        target = {v: space_vars(1, k)[0] for k, v in enumerate(loops.rest)}
        for v, iterations in loops.first.items():
            depth = self.steps.setdefault((iterations, sized(n.space)[v]), LAST_DEPTH - len(self.steps))
            target[v] = Index(0, ((step_var(depth), 1),))
        new, moved = reindexed(self.exprs, n.roots(), target)
        return dataclasses.replace(
            n,
            space=tuple(loops.rest.values()),
            stores=[Store(s.buffer, moved(s.offset), new[s.value]) for s in n.stores],
        )

    def _lives(self) -> dict[Buffer, int]:
        """For how many stages each buffer has to be kept."""
        first: dict[Buffer, int] = {}
        last: dict[Buffer, int] = {}
        for place, n in enumerate(self.nodes):
            for b in (*n.reads(), *n.writes()):
                first.setdefault(b, place)
                last[b] = place
        return {b: last[b] - first[b] for b in first}

    def _slabs(self, buffers: Sequence[Buffer]) -> dict[Buffer, int]:
        return {b: b.size // self.count for b in buffers}

    def result(self, reads: Mapping[Buffer, int], writes: Mapping[Buffer, int]) -> list[Node]:
        """A band, where that keeps enough from going to memory; else the stages.  What lives shortest is kept first."""
        own, made = used(self.nodes), written(self.nodes)
        found = [
            b for b in made if b.kind == "temp" and self.inside.get(b) and own[b] == reads[b] and made[b] == writes[b]
        ]
        self.nodes = _over_what_was_read(self.nodes, [b for b in found if made[b] == 1], self.exprs)
        found = [b for b in found if any(b in n.writes() for n in self.nodes)]
        lives = self._lives()
        found.sort(key=lambda b: (lives[b], b.nbytes, b.number))
        local: dict[Buffer, int] = {}
        for b in found:
            more = local | self._slabs([b])
            if placed(self.nodes, slab_bytes(more), self.target)[1] <= self.target.tile:
                local = more
        saved = sum(b.nbytes for b in local)
        if (
            saved < self.target.tile_saved
            or sum(b.nbytes for b in found if b not in local and lives[b] <= self.target.tile_brief) > saved
        ):
            return self.before
        return [
            Band(
                self.count,
                self.nodes,
                local,
                {d: key for key, d in self.steps.items()},
                sources=list(dict.fromkeys(s for n in self.nodes for s in n.sources)),
            )
        ]


def _over_what_was_read(nodes: Sequence[Node], slabs: Sequence[Buffer], exprs: Interner) -> list[Node]:
    """The stages with some of their slabs in one: rows that a stage reads last, and writes others of the same size for,
    are written over. Scores become weights.
    """
    last = {b: place for place, n in enumerate(nodes) for b in n.reads()}
    out: list[Node] = []
    names: dict[Buffer, Buffer] = {}
    gone: set[Buffer] = set()
    for place, n in enumerate(nodes):
        for new in n.writes() if isinstance(n, (Nest, Map)) else []:
            olds = [
                b
                for b in n.reads()
                if new in slabs and b in slabs and last[b] == place and (b.size, b.dtype) == (new.size, new.dtype)
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
    body = n.body if isinstance(n, Nest) else [n]
    place, store = next(
        ((i, s) for i, m in enumerate(body) if isinstance(m, Map) for s in m.stores if s.buffer is new), (-1, None)
    )
    if store is None or (isinstance(n, Nest) and n.chunk) or sum(new in m.writes() for m in body) != 1:
        return False
    outer = n.outer if isinstance(n, Nest) else n.space  # type: ignore[attr-defined]
    row = new.size // math.prod(outer)
    for i, m in enumerate(body):
        for a in accesses(m):
            if a.buffer is old and (
                i > place or (i == place and a.index != store.offset) or (i < place and not in_row(a, row, outer))
            ):
                return False
    return isinstance(n, Map) or all(
        in_row(a, row, outer) for a in accesses(body[place]) if a.written and a.buffer is new
    )


@dataclasses.dataclass(frozen=True)
class _Loops:
    """How loops of a stage make up an iteration: a step of the first ones is so many iterations, or `part` steps are
    one; the rest run inside.

    `stepped` first loops are taken out of the stage.
    """

    first: dict[Any, int]
    part: int
    rest: dict[Any, int]
    stepped: bool = False

    def hold(self, n: Node, a: Access, slab: int) -> bool:
        """Whether an access of the stage lies in the iteration's own slab, of so many elements, wherever it happens."""
        part = self.part
        if not self.stepped and not isinstance(n, Dot):  # a step of a nest's first loop is some rows of its stages
            part = part * a.stage.space[0] // n.space[0]  # type: ignore[attr-defined]
        if any(slab * iterations % part for iterations in self.first.values()):
            return False
        steps = {v: slab * iterations // part for v, iterations in self.first.items()}
        return a.stays(steps, slab - slab // part * (part - 1))
