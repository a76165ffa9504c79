"""Invariants of planned programs: every buffer has a place, what is read has not been written over, and no thread
touches what another one touches at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fdl.core.errors import GraphError
from fdl.lowering.ir.access import places_read
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Index
from fdl.lowering.ir.nodes import Branch, Fused, Loop, Map, Node, Scope, Threads
from fdl.lowering.ir.planned import Alias, Alloc, Arena, Barrier, Copy, Guard, Home, Stamp, Swap, touched
from fdl.lowering.ir.rewrite import all_nodes, scratch_bytes
from fdl.lowering.ir.shares import Touched
from fdl.lowering.ir.size import is_known


def check_plan(nodes: Sequence[Node]) -> None:
    """Raise GraphError where a plan cannot be; nothing for programs without one. Where sizes are symbols, places are
    looked at in the program at some sizes.
    """
    allocs = [n for n in nodes if isinstance(n, Alloc)]
    for n in all_nodes(nodes):
        if isinstance(n, Copy):
            _check_copy(n)
    if allocs or any(isinstance(n, Alias) for n in nodes):
        _check_places(nodes, allocs)
        _check_guard(nodes, Arena.of(nodes))
        if is_known(*(a.offset for a in allocs)):
            _Memory(nodes).run(nodes)
    together = any(n.threads is Threads.ALL for n in nodes)
    _check_races(nodes, Touched(Arena.of(nodes)) if together else None)


def _named(n: Node) -> str:
    return f"{type(n).__name__} that writes {n.writes()}" if n.writes() else type(n).__name__


# Places


def _check_places(nodes: Sequence[Node], allocs: Sequence[Alloc]) -> None:
    """Each temporary has a place that is large enough."""
    parts = scratch_bytes(nodes)
    for a in allocs:
        if a.scope is Scope.SHARED and a.buffer not in parts:
            raise GraphError(f"loop program: {a.buffer} is shared inside of no tile")
        need = parts[a.buffer] if a.scope is Scope.SHARED else a.buffer.nbytes
        if a.offset < 0 or a.nbytes < need:
            raise GraphError(f"loop program: {a.buffer} of {need} bytes does not lie in {a.nbytes} at {a.offset}")
    placed = {a.buffer for a in allocs}
    for n in nodes:
        if isinstance(n, Alias):
            placed.add(n.buffer)
            if n.buffer.nbytes != n.home.nbytes:
                raise GraphError(f"loop program: {n.buffer} cannot have the memory of {n.home}, of another size")
    lacking = [b for b in touched(nodes) if b.kind == "temp" and b not in placed]
    if lacking:
        raise GraphError(f"loop program: {lacking[0]} has no place in memory")


def _check_copy(n: Copy) -> None:
    """Pairs are of one size, and none takes what one before it has written."""
    for k, (source, target) in enumerate(n.pairs):
        if source.nbytes != target.nbytes:
            raise GraphError(
                f"loop program: {source} and {target} are of different sizes, and one is copied to the other"
            )
        if source in [b for _, b in n.pairs[:k]]:
            raise GraphError(f"loop program: {source} is copied after it was written over; the two have to be swapped")


def _check_guard(nodes: Sequence[Node], arena: Arena) -> None:
    """Nothing is written over an argument before the program may end early."""
    place = max((i for i, n in enumerate(nodes) if isinstance(n, Guard)), default=0)
    for n in nodes[:place]:
        over = [b for b in n.writes() if arena.home(b).kind == "input"]
        if over:
            raise GraphError(f"loop program: {over[0]} is written over an argument before the checks are known")


class _Memory:
    """Follows what lies where: which buffers were written over by others since they were written."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.arena = Arena.of(nodes)
        self.regions = {
            a.buffer: (a.scope, a.offset, a.offset + a.nbytes)
            for a in nodes
            if isinstance(a, Alloc) and a.scope is not Scope.THREAD
        }
        self.lost: dict[Buffer, Buffer] = {}  # what was written over, and by which buffer

    def run(self, nodes: Sequence[Node]) -> None:
        """Stages in order; those of loops as if there were two steps, so that the second finds what the first left."""
        for n in nodes:
            if isinstance(n, Loop):
                for _ in range(2):
                    self.run([*(n.test or []), *([] if n.test_result is None else [Guard([n.test_result])])])
                    self.run(n.body)
                    self._step(n.body)
                self.run(n.last)
            elif isinstance(n, Branch):
                self.read(b for e in n.expressions() for b in e.buffers())
                before, ends = self.lost, dict[Buffer, Buffer]()
                for body in n.bodies:
                    self.lost = dict(before)
                    self.run(body)
                    ends |= self.lost
                self.lost = ends
            elif isinstance(n, Fused) and n.product is not None:
                self.run([n.product])
                self._stage(n.body[-1], others=n.product.reads())
                self.read([*n.product.reads(), n.product.out.buffer])
            elif isinstance(n, Fused):
                self._composite(n)
            elif isinstance(n, Swap):
                self._exchange(n)
            else:
                self._stage(n)

    def read(self, buffers: Iterable[Buffer]) -> None:
        """Buffers must be as they were written."""
        for b in buffers:
            if b in self.lost:
                raise GraphError(f"loop program: {b} is read, but {self.lost[b]} was written over it")

    def write(self, b: Buffer) -> None:
        """What lies in the same place is gone."""
        self.lost.pop(b, None)
        home = self.arena.home(b)
        scope, start, end = self.regions.get(home, (None, 0, 0))
        for c in [*self.regions, *self.arena.in_place, *self.arena.in_place.values()]:
            other = self.arena.home(c)
            its_scope, its_start, its_end = self.regions.get(other, (None, 0, 0))
            overlap = scope is not None and scope is its_scope and start < its_end and its_start < end
            if c is not b and (other is home or overlap):
                self.lost[c] = b

    def _composite(self, n: Fused) -> None:
        """Its stages run part after part, so all that they touch has to be there at once, but for what is local."""
        made = set(n.locals)
        for m in n.body:
            self.read(b for b in m.reads() if b not in made)
            made.update(m.writes())
        for b in n.writes():
            self.write(b)
        self.read([*n.reads(), *n.writes()])
        self.run(n.body)

    def _stage(self, n: Node, others: Sequence[Buffer] = ()) -> None:
        """A stage may write over what it reads where each iteration has loaded an element before it stores it."""
        self.read(n.reads())
        places, allowed = places_read(n), set[Buffer]()
        for b in dict.fromkeys(n.writes()):
            for c in [*n.reads(), *others]:
                if c is not b and self.arena.home(c) is self.arena.home(b):
                    stored = {s.offset for s in n.stores if s.buffer is b} if isinstance(n, Map) else set[Index]()
                    if c in others or not stored or not places.get(c, set()) <= stored:
                        raise GraphError(f"loop program: {_named(n)} reads {c} elsewhere than it writes over it")
                    allowed.add(c)
            self.write(b)
        self.read(b for b in [*n.reads(), *n.writes()] if b not in allowed)

    def _exchange(self, n: Swap) -> None:
        fixed = {*self.arena.in_place, *self.arena.in_place.values()}
        pointers = {b for b in (n.new, n.old) if b in self.regions or b.kind == "output"} - fixed
        if n.new.nbytes != n.old.nbytes or len(pointers) != 2:
            raise GraphError(f"loop program: {n.new} and {n.old} cannot change places")
        if isinstance(n, Home):
            self.write(n.old)
            return
        self.read([n.new])
        self.lost.pop(n.old, None)
        self.lost[n.new] = n.old  # it holds what the last step carried

    def _step(self, body: Sequence[Node]) -> None:
        """A new carry that lies in the old one's place is the old one in the next step."""
        for new in {b for n in body for b in n.writes()}:
            if new not in self.lost:
                self.lost.pop(self.arena.in_place.get(new, new), None)


# Threads


def _check_races(nodes: Sequence[Node], seen: Touched | None) -> None:
    """Between barriers, no thread writes what another one touches. Without `seen`, one thread runs the nodes."""
    for n in nodes:
        if isinstance(n, Barrier):
            if seen is None:
                raise GraphError("loop program: a barrier stands where not all threads come")
            seen.meet(n.unless)
        elif seen is None:
            if n.threads is not Threads.HERE:
                raise GraphError(f"loop program: {_named(n)} is to run {n.threads.value}, where one thread comes alone")
            for nested in n.nested():
                _check_races(nested, None)
        elif type(n) is Swap:
            if any(t.owner in (n.new, n.old) for t in seen.seen):
                raise GraphError(f"loop program: {n.new} and {n.old} change places before all threads have met")
        elif not isinstance(n, (Alloc, Alias, Stamp)):
            _check_stage(n, seen)


def _check_stage(n: Node, seen: Touched) -> None:
    """A stage that all threads come to."""
    if n.threads is Threads.ONE:
        for nested in n.nested():
            _check_races(nested, None)
    elif n.threads is Threads.HERE and n.writes():
        raise GraphError(f"loop program: each thread runs all of a {_named(n)}")
    elif isinstance(n, Loop):
        _check_loop(n, seen)
        return
    elif isinstance(n, Branch):
        _check_branch(n, seen)
        return
    elif isinstance(n, Fused) and n.product and not any(isinstance(m, Barrier) and m.unless == 1 for m in n.body):
        raise GraphError(f"loop program: no barrier between a product and the {_named(n.body[-1])}")
    _reaches(n, seen)


def _check_branch(n: Branch, seen: Touched) -> None:
    _reaches(Guard([b for e in n.expressions() for b in e.buffers()]), seen)
    ways = [Touched(seen.arena, seen.seen) for _ in n.bodies]
    for body, way in zip(n.bodies, ways, strict=True):
        _check_races(body, way)
    seen.seen = {touch for way in ways for touch in way.seen}


def _check_loop(n: Loop, seen: Touched) -> None:
    for _ in range(2):
        _check_races(n.test or [], seen)
        if n.test_result is not None:
            _reaches(Guard([n.test_result]), seen)
        _check_races(n.body, seen)
        seen.step(n.depth)
    _check_races(n.last, seen)


def _reaches(n: Node, seen: Touched) -> None:
    """Threads reach a stage that does not touch what another one has not finished."""
    alone = {b for b in [*n.reads(), *n.writes()] if b in seen.arena.private}
    if alone and n.threads is not Threads.ONE:
        raise GraphError(f"loop program: all threads touch {min(alone, key=str)}, which is on the stack of one")
    if seen.waits(n):
        raise GraphError(f"loop program: threads race for what a {_named(n)} touches; no barrier stands before it")
    seen.run(n)
