"""Memory of a program: where each temp lies in the arena, and what is written over what.

Nothing here changes what a number is made of, so nothing changes bits.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from fdl.lowering.ir.access import accesses, lifetimes, loads_first
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.nodes import Branch, Fused, Loop, Map, Node, Scope, Threads
from fdl.lowering.ir.planned import Alias, Alloc, Arena, touched
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import all_nodes, mapped, scratch_bytes
from fdl.lowering.target import Target
from fdl.passes.size import Extent, Symbol, ceil_div, example_of, is_known, known, surely

K = TypeVar("K")


def allocate(program: Program, target: Target) -> Program:
    """Say where each buffer lies, before all stages; maps that only copy what is there already are gone.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> print(allocate(build(make_graph(lambda x: jnp.cumsum(x)[::-1] * 0.5)(jnp.ones(640))), AVX2))
    program (in0:float32[640]) -> (out2:float32[640])
      alloc temp1:float32[640] in arena at 0
      routine (i: 1) cumsum(640, 1, 0): [temp1] from [in0]
      map (i: 640)
        out2[i] = mul:float32(temp1[-1*i + 639], 0.5)
    """
    in_place = plan_in_place(program) | plan_carries(program)
    private = plan_private(program, target)
    while split := {x for pair in in_place.items() for x in pair if x in private and not private.issuperset(pair)}:
        private -= split  # one memory, one place
    scratch = plan_scratch(program, target)
    elsewhere = {*in_place, *private, *scratch}
    temps = [b for b in program.buffers if b.kind == "temp" and b not in elsewhere]
    offsets: Mapping[Buffer, Extent] = placed(program.nodes, {b: example_of(b.nbytes) for b in temps}, target)[0]
    if program.sizes is not None:  # which it is told, see `told_places`
        offsets = {b: program.sizes.symbol(example_of(offset)) for b, offset in offsets.items()}
    places: dict[Buffer, Node] = {
        **{b: Alloc(b, Scope.ARENA, offset, lines(b.nbytes, target)) for b, offset in offsets.items()},
        **{b: Alloc(b, Scope.THREAD, 0, b.nbytes) for b in private},
        **{b: Alias(b, home) for b, home in in_place.items()},
    }
    arena = Arena.of(places.values())
    nodes = mapped(program.nodes, lambda nodes: [n for n in nodes if not copies_itself(n, in_place)])
    used = {x for b in touched(nodes) for x in (b, arena.home(b))}
    places = {b: place for b, place in places.items() if b in used} | scratch
    return dataclasses.replace(program, nodes=[*(places[b] for b in program.buffers if b in places), *nodes])


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
    made = {(a.buffer, a.stage) for n in program.nodes for a in accesses(n) if a.written}
    writers = Counter(b for b, _ in made)
    chosen: dict[Buffer, Buffer] = {}
    guarded = program.guarded()
    for place, n in enumerate(program.nodes):
        if place < guarded:
            continue
        stage, others = n, list[Buffer]()
        if isinstance(n, Fused) and n.product is not None:
            stage, others = n.body[-1], n.product.reads()
        last = [b for b in free if b in lives and lives[b][1] == place and b not in others]
        for out in dict.fromkeys(stage.writes()):
            fits = [b for b in last if (b.dtype, b.size) == (out.dtype, out.size) and loads_first(stage, b, out)]
            if fits and out.kind == "output" and writers[out] == 1:
                chosen[out] = fits[0]
                last.remove(fits[0])
                free.remove(fits[0])
    return chosen


def plan_private(program: Program, target: Target) -> frozenset[Buffer]:
    """Temps of a few elements that no two threads touch."""
    shared: set[Buffer] = set()
    stages = list(program.nodes)
    while stages:
        n = stages.pop()
        if n.threads is Threads.ALL and isinstance(n, (Loop, Branch)):  # and what threads decide together by
            shared.update(n.index.buffers() if isinstance(n, Branch) else filter(None, [n.test_result]))
            stages += [m for nested in n.nested() for m in nested]
        elif n.threads is Threads.ALL:
            shared.update(n.reads(), n.writes())
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
            if last < write or (last == write and loads_first(loop.body[write], old, new)):
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


def told_places(planned: Program) -> list[tuple[Symbol, int, int, Extent]]:
    """Of a planned program for arrays of any size, the symbols that are offsets in its arena, which it is told, with
    the first and the last step at which something lies there, and its bytes.
    """
    told, lives = Arena.of(planned.nodes).offsets, lifetimes(planned.nodes)
    return [(told[b].symbol, *lives[b], b.nbytes) for b in sorted(told, key=lambda b: b.number) if b in lives]


def plan_scratch(program: Program, target: Target) -> dict[Buffer, Alloc]:
    """Where a thread keeps its part of what tiles share inside."""
    found: dict[Buffer, Alloc] = {}
    for n in all_nodes(program.nodes):
        if isinstance(n, Fused):
            parts = {b: known(nbytes) for b, nbytes in scratch_bytes([n]).items()}
            offsets, _ = placed(n.body, parts, target)
            found |= {b: Alloc(b, Scope.SHARED, at, lines(parts[b], target)) for b, at in offsets.items()}
    return found


def placed(nodes: Sequence[Node], sizes: Mapping[Buffer, int], target: Target) -> tuple[dict[Buffer, int], int]:
    """Offsets of the buffers of these sizes, and the size of it all."""
    lives = {b: places for b, places in lifetimes(nodes).items() if b in sizes}
    return fitted({b: (*lives[b], lines(sizes[b], target)) for b in sorted(lives, key=lambda b: b.number)})


def fitted(lives: Mapping[K, tuple[int, int, int]]) -> tuple[dict[K, int], int]:
    """Offsets of what is alive from a first to a last step and takes so many bytes, and the size of it all: by first
    step, each at the lowest place where nothing lies that is alive.

    >>> fitted({"a": (0, 1, 64), "b": (1, 2, 64), "c": (2, 3, 64)})
    ({'a': 0, 'b': 64, 'c': 0}, 128)
    """
    alive: list[tuple[int, int, int]] = []  # (start, end, last step), by place
    offsets: dict[K, int] = {}
    size = 0
    for x in sorted(lives, key=lambda x: lives[x][0]):
        first, last, need = lives[x]
        alive = [other for other in alive if other[2] >= first]
        at = 0
        for start, end, _ in alive:
            if start - at >= need:
                break
            at = end
        bisect.insort(alive, (at, at + need, last))
        offsets[x], size = at, max(size, at + need)
    return offsets, size
