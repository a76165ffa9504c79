"""The schedule: which nodes share a loop nest, which run on all threads, where barriers stand, and where each temp lies in the arena.

Each step is a function from Program to Program, or from Program to a plan; none changes what a number is made of, so none changes bits.
"""

from __future__ import annotations

import bisect
import dataclasses
import heapq
import itertools
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fdl.lowering.bands import band_stages
from fdl.lowering.fusion import fuse_rows
from fdl.lowering.guards import cut_at_guards
from fdl.lowering.loop_ir import (
    ZERO,
    Argmax,
    Band,
    Branch,
    Buffer,
    Index,
    Interner,
    Loop,
    Map,
    Node,
    Program,
    Reduce,
    Scatter,
    Store,
    rebuilt_index,
    space_vars,
    walk,
)
from fdl.lowering.panels import pack_constants
from fdl.lowering.recompute import recompute_cheap
from fdl.lowering.reindex import all_nodes, mapped, reindexed, used

PARALLEL_WORK = 24_000  # scalar operations from which a node is worth all threads
_MAX_STORES, _MAX_EXPRS = 16, 160  # a kernel is written by recursion over its expressions
_ALIGN = 64
_PRIVATE = 128  # bytes of a temp that may live on one thread's stack


def schedule(program: Program, nests: bool = True) -> Program:
    """All steps in order; panels, row fusion and bands only for backends with the runtime library's products and with nests."""
    for step in (drop_empty, merge_maps, drop_dead, recompute_cheap, drop_dead, collapse_loops, *([pack_constants, fuse_rows, cut_at_guards, band_stages] if nests else [])):
        program = step(program)
    return program


def _with_nodes(program: Program, nodes: list[Node]) -> Program:
    return dataclasses.replace(program, nodes=nodes)


# Empty and dead nodes


def drop_empty(program: Program) -> Program:
    """Nodes over no index go; a fold of nothing stays, since it stores the neutral element."""
    return _with_nodes(program, mapped(program.nodes, lambda nodes: [n for n in nodes if 0 not in getattr(n, "space", ())]))


def drop_dead(program: Program) -> Program:
    """Stores to temps that nothing reads go, until none is left."""
    while True:
        count = used(program.nodes)

        def alive(b: Buffer, count: Counter[Buffer] = count) -> bool:
            return b.kind != "temp" or count[b] > 0

        def keep(nodes: list[Node], alive: Any = alive) -> list[Node]:
            out: list[Node] = []
            for n in nodes:
                if isinstance(n, Map):
                    stores = [s for s in n.stores if alive(s.buffer)]
                    if stores:
                        out.append(n if len(stores) == len(n.stores) else dataclasses.replace(n, stores=stores))
                elif n.nested() or isinstance(n, Scatter) or any(alive(b) for b in n.writes()):
                    out.append(n)
            return out

        nodes = mapped(program.nodes, keep)
        if _count(nodes) == _count(program.nodes):
            return _with_nodes(program, nodes)
        program = _with_nodes(program, nodes)


def _count(nodes: Iterable[Node]) -> int:
    return sum(len(n.stores) if isinstance(n, Map) else 1 for n in all_nodes(nodes))


# Merging


def merge_maps(program: Program) -> Program:
    """Maps over one index space become one loop nest, where a reader reads exactly what its own iteration has stored."""
    return _with_nodes(program, mapped(program.nodes, lambda nodes: _merge(nodes, program.exprs)))


def _merge(nodes: list[Node], exprs: Interner) -> list[Node]:
    out: list[Node] = []
    writer: dict[Buffer, int] = {}  # place in `out` of the last node that writes a buffer
    groups: dict[tuple[int, ...], list[int]] = {}
    for n in nodes:
        place = _place_of(n, out, writer, groups) if isinstance(n, Map) else None
        if place is None:
            place = len(out)
            out.append(n)
            if isinstance(n, Map):
                groups.setdefault(n.space, []).append(place)
        else:
            assert isinstance(n, Map)
            out[place] = _joined(out[place], n, exprs)  # type: ignore[arg-type]
        for b in n.writes():
            writer[b] = place
    return out


def _place_of(n: Map, out: list[Node], writer: dict[Buffer, int], groups: dict[tuple[int, ...], list[int]]) -> int | None:
    """The group that a map may join: one at or after all that it reads."""
    reads = n.reads()
    earliest = max((writer[b] for b in reads if b in writer), default=-1)
    for place in reversed(groups.get(n.space, [])):
        if place < earliest:
            return None
        group = out[place]
        assert isinstance(group, Map)
        if len(group.stores) + len(n.stores) > _MAX_STORES or len(walk(group.expressions())) + len(walk(n.expressions())) > _MAX_EXPRS:
            continue
        if place == earliest and not _reads_own(n, group):
            continue
        if any(s.buffer in writer and writer[s.buffer] > place for s in n.stores):
            continue
        return place
    return None


def _reads_own(n: Map, group: Map) -> bool:
    """Whether each load of what the group stores has the store's own address, outside of anything conditional."""
    stored = {s.buffer: s.offset for s in group.stores}
    return all(e.attr[1] == stored[e.attr[0]] for e in walk(n.roots()) if e.op == "load" and e.attr[0] in stored)


def _joined(group: Map, n: Map, exprs: Interner) -> Map:
    values = {s.buffer: s.value for s in group.stores}
    new = exprs.rebuild(n.roots(), lambda e: values.get(e.attr[0]) if e.op == "load" else None)
    stores = [Store(s.buffer, rebuilt_index(s.offset, new), new[s.value]) for s in n.stores]
    return Map(group.space, [*group.stores, *stores], sources=list(dict.fromkeys([*group.sources, *n.sources])))


# Loops


def collapse_loops(program: Program) -> Program:
    """Neighbouring loops that all addresses walk through as one become one; loops of one step go."""

    def collapse(nodes: list[Node]) -> list[Node]:
        return [_collapsed(n, program.exprs) if isinstance(n, (Map, Reduce, Argmax)) else n for n in nodes]

    return _with_nodes(program, mapped(program.nodes, collapse))


def _collapsed(n: Any, exprs: Interner) -> Node:
    """The node over fewer loops; the loops of a fold are not touched, since they say its order."""
    inner = len(n.over) if isinstance(n, Reduce) else 1 if isinstance(n, Argmax) else 0
    count = len(n.space)
    old = [v.terms[0][0] for v in space_vars(count + inner)]
    found = [i for e in walk(n.roots()) for i in e.indices()] + n.indices()
    groups: list[list[int]] = []
    for k in range(count):
        if n.space[k] == 1:
            continue
        if groups and all(i.coefficient(old[groups[-1][-1]]) == i.coefficient(old[k]) * n.space[k] for i in found):
            groups[-1].append(k)
        else:
            groups.append([k])
    if len(groups) == count:
        return n  # type: ignore[no-any-return]
    fresh = space_vars(len(groups) + inner)
    target = {old[g[-1]]: fresh[k] for k, g in enumerate(groups)}  # the innermost of a group walks for all
    target.update({old[count + j]: fresh[len(groups) + j] for j in range(inner)})

    target.update({old[k]: ZERO for k in range(count) if old[k] not in target})
    new, moved = reindexed(exprs, n.roots(), target)
    space = tuple(math.prod(n.space[k] for k in g) for g in groups)
    if isinstance(n, Map):
        return dataclasses.replace(n, space=space, stores=[Store(s.buffer, moved(s.offset), new[s.value]) for s in n.stores])
    return dataclasses.replace(n, space=space, value=new[n.value], offset=moved(n.offset))  # type: ignore[no-any-return]


# Plans


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Arena:
    """Byte offset of each temp, and the size of it all; outputs that are written over a donated input, and carries over the last step's;
    small temps of the first thread alone, which the compiler may keep in registers; slabs of bands by their offsets in a thread's own memory, and the size of that."""

    offsets: dict[Buffer, int]
    size: int
    in_place: dict[Buffer, Buffer] = dataclasses.field(default_factory=dict)
    private: frozenset[Buffer] = frozenset()
    slabs: dict[Buffer, int] = dataclasses.field(default_factory=dict)
    own: int = 0

    def home(self, b: Buffer) -> Buffer:
        """The buffer whose memory holds this one."""
        while b in self.in_place:
            b = self.in_place[b]
        return b


def plan_in_place(program: Program, donated: Sequence[int]) -> dict[Buffer, Buffer]:
    """Outputs that may take the memory of a donated input: one map writes the output, reads the input just where it writes, and is its last reader."""
    free = [program.inputs[i] for i in donated]
    last_read = {b: place for place, n in enumerate(program.nodes) for b in _touched(n)}
    chosen: dict[Buffer, Buffer] = {}
    for place, n in enumerate(program.nodes):
        if not isinstance(n, Map):
            continue
        for s in n.stores:
            fits = [b for b in free if b.dtype == s.buffer.dtype and b.size == s.buffer.size and last_read.get(b) == place and _reads_only_at(n, b, s.offset)]
            if s.buffer.kind == "output" and fits and s.buffer not in chosen and sum(s.buffer in m.writes() for m in all_nodes(program.nodes)) == 1:
                chosen[s.buffer] = fits[0]
                free.remove(fits[0])
    return chosen


def plan_private(program: Program) -> frozenset[Buffer]:
    """Temps of a few elements that no two threads touch."""
    shared: set[Buffer] = set()

    def visit(nodes: Sequence[Node]) -> None:
        for n in nodes:
            if is_parallel(n):
                if isinstance(n, Loop):
                    shared.update([n.test_result] if n.test_result is not None else [])
                elif isinstance(n, Branch):
                    shared.update(e.attr[0] for e in walk([n.index]) if e.op == "load")
                else:
                    shared.update(_touched(n))
                for nested in n.nested():
                    visit(nested)

    visit(program.nodes)
    return frozenset(b for b in program.buffers if b.kind == "temp" and b.nbytes <= _PRIVATE and b not in shared)


def plan_carries(program: Program) -> dict[Buffer, Buffer]:
    """New carries of loops that may take the memory of the old ones: nothing reads the old one after the first write, and a map that does both
    loads each element before it stores it."""
    chosen: dict[Buffer, Buffer] = {}
    for loop in all_nodes(program.nodes):
        for new, old in loop.carry if isinstance(loop, Loop) else []:
            assert isinstance(loop, Loop)
            write = next((k for k, n in enumerate(loop.body) if new in _touched(n)), None)
            if write is None or new.kind != "temp" or new.size != old.size or new in chosen or any(new is b or old is a for a, b in loop.carry):
                continue
            n = loop.body[write]
            same = isinstance(n, Map) and all(_reads_only_at(n, old, s.offset, False) for s in n.stores if s.buffer is new)
            if (old not in _touched(n) or same) and not any(old in _touched(m) for m in loop.body[write + 1 :]):
                chosen[new] = old
    return chosen


def _touched(n: Node) -> set[Buffer]:
    return {b for m in all_nodes([n]) for b in [*m.reads(), *m.writes()]}


def _reads_only_at(n: Map, b: Buffer, offset: Index, needed: bool = True) -> bool:
    loads = [e for e in walk(n.roots()) if e.op == "load" and e.attr[0] is b]
    return (bool(loads) or not needed) and all(e.attr[1] == offset for e in loads)


def copies_itself(n: Node, in_place: Mapping[Buffer, Buffer]) -> bool:
    """Whether a map only stores what is there already, since what it writes lies where it reads; a result may lie elsewhere after all, where its input's memory is held."""
    return isinstance(n, Map) and all(
        s.buffer.kind == "temp" and s.value.op == "load" and in_place.get(s.buffer) is s.value.attr[0] and s.value.attr[1] == s.offset for s in n.stores
    )


class Holes:
    """Free memory, as stretches in order of their addresses; the last one has no end.

    >>> holes = Holes()
    >>> [holes.take(n) for n in (64, 128, 64)]
    [0, 64, 192]
    >>> holes.give_back(64, 192)
    >>> holes.take(64), holes.take(128)
    (64, 256)
    """

    def __init__(self) -> None:
        self.stretches: list[tuple[int, int]] = [(0, sys.maxsize)]

    def take(self, need: int) -> int:
        """The lowest address where so much is free."""
        i, (start, end) = next((i, hole) for i, hole in enumerate(self.stretches) if hole[1] - hole[0] >= need)
        self.stretches[i : i + 1] = [(start + need, end)] if end - start > need else []
        return start

    def give_back(self, start: int, end: int) -> None:
        """Free a stretch, and join it with what is free beside it."""
        i = bisect.bisect(self.stretches, (start, end))
        if i < len(self.stretches) and self.stretches[i][0] == end:
            end = self.stretches.pop(i)[1]
        if i and self.stretches[i - 1][1] == start:
            i -= 1
            start = self.stretches.pop(i)[0]
        self.stretches.insert(i, (start, end))


def plan_arena(program: Program, donated: Sequence[int] = ()) -> Arena:
    """Temps that are never alive together share memory; first fit by first use."""
    in_place = plan_in_place(program, donated) | plan_carries(program)
    private = plan_private(program)
    while split := {x for pair in in_place.items() for x in pair if x in private and not private.issuperset(pair)}:
        private -= split  # one memory, one place
    slabs, own = plan_slabs(program)
    sizes = {b: max(b.nbytes, 1) for b in program.buffers if b.kind == "temp" and b not in in_place and b not in private and b not in slabs}
    offsets, size = _placed(program.nodes, sizes)
    return Arena(offsets, size, in_place, private, slabs, own)


def plan_slabs(program: Program) -> tuple[dict[Buffer, int], int]:
    """Where slabs of bands lie in the memory of a thread, and how much of it there is."""
    offsets: dict[Buffer, int] = {}
    size = 0
    for band in all_nodes(program.nodes):
        if isinstance(band, Band):
            found, need = _placed(band.body, {b: size * b.dtype.itemsize for b, size in band.locals.items()})
            offsets |= found
            size = max(size, need)
    return offsets, size


def _placed(nodes: Sequence[Node], sizes: Mapping[Buffer, int]) -> tuple[dict[Buffer, int], int]:
    """Offsets of the buffers of these sizes, first fit by first use, and the size of it all."""
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for place, n in enumerate(nodes):
        for m in all_nodes([n]):
            touched = [*m.reads(), *m.writes(), *([m.test_result] if isinstance(m, Loop) and m.test_result is not None else [])]
            for b in touched:
                if b in sizes:
                    first.setdefault(b, place)
                    last[b] = place
    holes = Holes()
    live: list[tuple[int, int, int]] = []  # (last use, start, end)
    offsets: dict[Buffer, int] = {}
    size = 0
    for b in sorted(first, key=lambda b: (first[b], b.number)):
        while live and live[0][0] < first[b]:
            _, start, end = heapq.heappop(live)
            holes.give_back(start, end)
        need = -(-sizes[b] // _ALIGN) * _ALIGN
        at = offsets[b] = holes.take(need)
        heapq.heappush(live, (last[b], at, at + need))
        size = max(size, at + need)
    return offsets, size


def is_parallel(n: Node) -> bool:
    """Whether a node is worth all threads, and can be split among them."""
    if (isinstance(n, Scatter) and not n.distinct) or n.work() < PARALLEL_WORK:
        return False
    if isinstance(n, (Loop, Branch)):
        return any(is_parallel(m) for nested in n.nested() for m in nested)
    return bool(getattr(n, "space", ())) or not isinstance(n, (Reduce, Argmax, Map))


class Barriers:
    """Says before which node threads must meet: where it touches memory that another thread may have written or read since they last met."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.meet()

    def _ranges(self, n: Node) -> list[tuple[Any, int, int, bool]]:
        extra = [n.test_result] if isinstance(n, Loop) and n.test_result is not None else []
        pairs = itertools.chain(((b, False) for b in [*n.reads(), *extra]), ((b, True) for b in n.writes()))
        return [self._range(b, written) for b, written in pairs]

    def _range(self, b: Buffer, written: bool) -> tuple[Any, int, int, bool]:
        b = self.arena.home(b)
        if b in self.arena.offsets:
            start = self.arena.offsets[b]
            return "arena", start, start + b.nbytes, written
        return b, 0, 1, written

    def before(self, n: Node) -> bool:
        """Whether a barrier stands before this node; the node counts as run afterwards."""
        parallel, mine = is_parallel(n), self._ranges(n)
        # what one thread did, the same thread may follow without meeting the others
        others = [self.by_all, self.by_one] if parallel else [self.by_all]
        needed = any(
            space == other and start < stop and begin < end and (written or wrote)
            for touched in others
            for other, begin, stop, wrote in touched
            for space, start, end, written in mine
        )
        if needed:
            self.meet()
        (self.by_all if parallel else self.by_one).update(mine)
        return needed

    def meet(self) -> None:
        """All threads have met: what they touched before is settled."""
        self.by_all: set[tuple[Any, int, int, bool]] = set()  # (space, start, end, written)
        self.by_one: set[tuple[Any, int, int, bool]] = set()
