"""Memory of a program: where each temp lies in the arena, and what is written over what.

Nothing here changes what a number is made of, so nothing changes bits.
"""

from __future__ import annotations

import bisect
import dataclasses
import heapq
import sys
from collections import Counter
from collections.abc import Mapping, Sequence

from fdl.lowering.ir.access import accesses, lifetimes, places_read
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.nodes import Branch, Fused, Loop, Map, Node, Scope, Threads
from fdl.lowering.ir.planned import Alias, Alloc, Arena, touched
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import all_nodes, mapped, scratch_bytes
from fdl.lowering.ir.size import Extent, Symbol, at_values, ceil_div, example_of, is_known, surely
from fdl.lowering.target import Target


def allocate(program: Program, target: Target) -> Program:
    """Say where each buffer lies, before all stages; maps that only copy what is there already are gone.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> print(allocate(build(make_graph(lambda x: jnp.cumsum(x)[::-1] * 0.5)(jnp.ones(640))), AVX2))
    program (in0:float32[640]) -> (out2:float32[640])
      alloc temp1:float32[640] in arena at 0
      routine (1,) cumsum(640, 1, 0): [temp1] from [in0]
      map (640,)
        out2[i0] = mul:float32(temp1[-1*i0 + 639], 0.5)
    """
    arena = plan_arena(program, target)

    def kept(nodes: Sequence[Node]) -> list[Node]:
        return [n for n in nodes if not copies_itself(n, arena.in_place)]

    nodes = mapped(program.nodes, kept)
    used = touched(nodes)
    used |= {arena.home(b): None for b in used}
    parts = scratch_bytes(nodes)
    places: list[Node] = []
    for b in program.buffers:
        if b in arena.scratch:
            places.append(Alloc(b, Scope.SHARED, arena.scratch[b], lines(parts[b], target)))
        elif b not in used:
            continue
        elif b in arena.in_place:
            places.append(Alias(b, arena.in_place[b]))
        elif b in arena.private:
            places.append(Alloc(b, Scope.THREAD, 0, b.nbytes))
        elif b in arena.offsets:
            places.append(Alloc(b, Scope.ARENA, arena.offsets[b], lines(b.nbytes, target)))
    return dataclasses.replace(program, nodes=[*places, *nodes])


def lines(nbytes: Extent, target: Target) -> Extent:
    """Bytes of the cache lines that `nbytes` bytes take: at least one line where their number is known."""
    return ceil_div(max(nbytes, 1) if is_known(nbytes) else nbytes, target.line) * target.line


def plan_in_place(program: Program) -> dict[Buffer, Buffer]:
    """Outputs that may take the memory of a donated input: one map writes the output, reads the input just where it
    writes, and is its last reader.

    That a product hands rows to the map changes nothing, if the product does not read the input. Nothing is written
    over before all guards are known.
    """
    free = list(program.donated)
    if not free:
        return {}
    lives = lifetimes(program.nodes)
    writers = Counter(
        b for n in all_nodes(program.nodes) for b in {a.buffer for a in accesses(n) if a.written and a.stage is n}
    )
    chosen: dict[Buffer, Buffer] = {}
    guarded = program.guarded()
    for place, n in enumerate(program.nodes):
        if place < guarded:
            continue
        stage, others = n, list[Buffer]()
        if isinstance(n, Fused) and n.product is not None:
            stage, others = n.body[-1], n.product.reads()
        if not isinstance(stage, Map) or not any(s.buffer.kind == "output" for s in stage.stores):
            continue
        places = places_read(stage)
        for s in stage.stores:
            if s.buffer.kind != "output":
                continue
            fits = [
                b
                for b in free
                if b not in others
                and b.dtype == s.buffer.dtype
                and b.size == s.buffer.size
                and b in lives
                and lives[b][1] == place
                and places.get(b) == {s.offset}
            ]
            if fits and s.buffer not in chosen and writers[s.buffer] == 1:
                chosen[s.buffer] = fits[0]
                free.remove(fits[0])
    return chosen


def plan_private(program: Program, target: Target) -> frozenset[Buffer]:
    """Temps of a few elements that no two threads touch."""
    shared: set[Buffer] = set()

    def visit(nodes: Sequence[Node]) -> None:
        for n in nodes:
            if n.threads is Threads.ALL:
                if isinstance(n, (Loop, Branch)):  # what threads decide together by
                    shared.update(n.index.buffers() if isinstance(n, Branch) else filter(None, [n.test_result]))
                    for nested in n.nested():
                        visit(nested)
                else:
                    shared.update(b for m in all_nodes([n]) for b in (*m.reads(), *m.writes()))

    visit(program.nodes)
    return frozenset(
        b
        for b in program.buffers
        if b.kind == "temp" and surely(lambda b=b: b.nbytes <= target.private) and b not in shared
    )


def plan_carries(program: Program) -> dict[Buffer, Buffer]:
    """New carries of loops that may take the memory of the old ones: nothing reads the old one after the first write,
    and a map that does both loads each element before it stores it.
    """
    chosen: dict[Buffer, Buffer] = {}
    for loop in all_nodes(program.nodes):
        if not isinstance(loop, Loop) or not loop.carry:
            continue
        lives = lifetimes(loop.body)
        for new, old in loop.carry:
            if (
                new not in lives
                or new.kind != "temp"
                or new.size != old.size
                or new in chosen
                or any(new is b or old is a for a, b in loop.carry)
            ):
                continue
            write, last = lives[new][0], lives.get(old, (0, -1))[1]
            n = loop.body[write]
            same = isinstance(n, Map) and all(
                places_read(n).get(old, set()) <= {s.offset} for s in n.stores if s.buffer is new
            )
            if last < write or (last == write and same):
                chosen[new] = old
    return chosen


def copies_itself(n: Node, in_place: Mapping[Buffer, Buffer]) -> bool:
    """Whether a map only stores what is there already, since what it writes lies where it reads; a result may lie
    elsewhere after all, where its input's memory is held.
    """
    return isinstance(n, Map) and all(
        s.buffer.kind == "temp"
        and s.value.op == "load"
        and in_place.get(s.buffer) is s.value.attr[0]
        and s.value.attr[1] == s.offset
        for s in n.stores
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
        """The lowest address at which `need` bytes are free."""
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


def plan_arena(program: Program, target: Target) -> Arena:
    """Temps that are never alive together share memory; first fit by first use."""
    in_place = plan_in_place(program) | plan_carries(program)
    private = plan_private(program, target)
    while split := {x for pair in in_place.items() for x in pair if x in private and not private.issuperset(pair)}:
        private -= split  # one memory, one place
    scratch, own = plan_scratch(program, target)
    sizes = {
        b: example_of(b.nbytes)
        for b in program.buffers
        if b.kind == "temp" and b not in in_place and b not in private and b not in scratch
    }
    offsets, size = placed(program.nodes, sizes, target)
    if program.sizes is not None:  # which it is told, see `arena_at`
        offsets, size = {b: program.sizes.symbol(offset) for b, offset in offsets.items()}, 0
    return Arena(offsets, size, in_place, private, scratch, own)


def arena_at(planned: Program, target: Target, values: Mapping[Symbol, int]) -> tuple[dict[Symbol, int], int]:
    """The offsets that a planned program for arrays of any size is told where its symbols have these values, and the
    size of the arena: lifetimes are those of the plan, places follow from the sizes.
    """
    told = Arena.of(planned.nodes).offsets
    offsets, size = placed(planned.nodes, {b: at_values(b.nbytes, values) for b in told}, target)
    return {told[b].symbol: offset for b, offset in offsets.items()}, size


def plan_scratch(program: Program, target: Target) -> tuple[dict[Buffer, int], int]:
    """Where a thread keeps its part of what tiles share inside, and how many bytes of scratch that takes."""
    offsets: dict[Buffer, int] = {}
    size = 0
    for n in all_nodes(program.nodes):
        if isinstance(n, Fused):
            found, need = placed(n.body, scratch_bytes([n]), target)
            offsets |= found
            size = max(size, need)
    return offsets, size


def placed(nodes: Sequence[Node], sizes: Mapping[Buffer, int], target: Target) -> tuple[dict[Buffer, int], int]:
    """Offsets of the buffers of these sizes, first fit by first use, and the size of it all."""
    lives = {b: places for b, places in lifetimes(nodes).items() if b in sizes}
    holes = Holes()
    live: list[tuple[int, int, int]] = []  # (last use, start, end)
    offsets: dict[Buffer, int] = {}
    size = 0
    for b in sorted(lives, key=lambda b: (lives[b][0], b.number)):
        while live and live[0][0] < lives[b][0]:
            _, start, end = heapq.heappop(live)
            holes.give_back(start, end)
        need = lines(sizes[b], target)
        at = offsets[b] = holes.take(need)
        heapq.heappush(live, (lives[b][1], at, at + need))
        size = max(size, at + need)
    return offsets, size
