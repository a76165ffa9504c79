"""Invariants of planned programs: every buffer has a place, what is read has not been written over, and no thread
touches what another one touches at the same time.
"""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from fdl.core.errors import GraphError
from fdl.lowering.ir.access import loads_first
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.nodes import Branch, Fused, Loop, Node, Scope, Threads
from fdl.lowering.ir.planned import Alias, Alloc, Arena, Barrier, Copy, Guard, Home, Stamp, Swap, touched
from fdl.lowering.ir.rewrite import all_nodes, scratch_bytes
from fdl.lowering.ir.shares import Touched
from fdl.passes.size import is_known


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
    if any(n.threads is Threads.ALL for n in nodes):
        _Races(Arena.of(nodes)).run(nodes)
    else:
        _check_alone(nodes)


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


# Programs as they run


class _Walk:
    """Passes through nodes in the order in which they run: loops as if there were two steps, so that the second finds
    what the first has left; behind a branch lies what any of its ways has left.
    """

    known: Any  # what stages have left, as a set or a dict

    def run(self, nodes: Sequence[Node]) -> None:
        """Pass through nodes."""
        for n in nodes:
            if isinstance(n, Loop) and self.enters(n):
                for _ in range(2):
                    asked = [] if n.test_result is None else [Guard([n.test_result])]
                    self.run([*(n.test or []), *asked, *n.body])
                    self.step(n)
                self.run(n.last)
            elif isinstance(n, Branch) and self.enters(n):
                self.run([Guard(list(n.index.buffers()))])
                before, ends = self.known, []
                for body in n.bodies:
                    self.known = copy.copy(before)
                    self.run(body)
                    ends.append(self.known)
                self.known = functools.reduce(operator.or_, ends)
            else:
                self.stage(n)

    def enters(self, n: Node) -> bool:
        """Whether a loop or a branch is more than one stage."""
        return True

    def step(self, n: Loop) -> None:
        """A loop goes on to its next step."""
        raise NotImplementedError

    def stage(self, n: Node) -> None:
        """A stage runs."""
        raise NotImplementedError


class _Memory(_Walk):
    """Follows what lies where: of buffers that were written over since they were written, by which others."""

    known: dict[Buffer, Buffer]

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.arena, self.known = Arena.of(nodes), {}
        own = [a for a in nodes if isinstance(a, Alloc) and a.scope is Scope.SHARED]
        self.scratch = {a.buffer: (a.scope, a.offset, a.offset + a.nbytes) for a in own}
        self.shared = {*self.scratch, *self.arena.offsets, *self.arena.in_place, *self.arena.in_place.values()}

    def stage(self, n: Node) -> None:
        """Stages of a composite run part after part; those behind a product, while it reads its operands."""
        if isinstance(n, Fused) and n.product is not None:
            self._stage(n.product)
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
            if b in self.known:
                raise GraphError(f"loop program: {b} is read, but {self.known[b]} was written over it")

    def write(self, b: Buffer) -> None:
        """What lies in the same place is gone."""
        self.known.pop(b, None)
        memory, start, end = self._place(b)
        for c in self.shared - {b}:
            other, its_start, its_end = self._place(c)
            if memory is other and start < its_end and its_start < end:
                self.known[c] = b

    def _place(self, b: Buffer) -> tuple[Any, Any, Any]:
        return self.scratch[b] if b in self.scratch else self.arena.place(b)

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
        allowed = set[Buffer]()
        for b in dict.fromkeys(n.writes()):
            for c in [*n.reads(), *others]:
                if c is not b and self.arena.home(c) is self.arena.home(b):
                    if c in others or not loads_first(n, c, b):
                        raise GraphError(f"loop program: {_named(n)} reads {c} elsewhere than it writes over it")
                    allowed.add(c)
            self.write(b)
        self.read(b for b in [*n.reads(), *n.writes()] if b not in allowed)

    def _exchange(self, n: Swap) -> None:
        fixed = {*self.arena.in_place, *self.arena.in_place.values()}
        pointers = {b for b in (n.new, n.old) if b in self.arena.offsets or b.kind == "output"} - fixed
        if n.new.nbytes != n.old.nbytes or len(pointers) != 2:
            raise GraphError(f"loop program: {n.new} and {n.old} cannot change places")
        if isinstance(n, Home):
            self.write(n.old)
            return
        self.read([n.new])
        self.known.pop(n.old, None)
        self.known[n.new] = n.old  # it holds what the last step carried

    def step(self, n: Loop) -> None:
        """A new carry that lies in the old one's place is the old one in the next step."""
        for new in {b for m in n.body for b in m.writes()}:
            if new not in self.known:
                self.known.pop(self.arena.in_place.get(new, new), None)


# Threads


class _Races(_Walk, Touched):
    """Between barriers, no thread writes what another one touches."""

    def enters(self, n: Node) -> bool:
        """What one thread runs is one stage to the others."""
        return n.threads is Threads.ALL

    def step(self, n: Loop) -> None:
        """What follows from the axis of the loop is shared out anew."""
        self.forget(n.axis)

    def stage(self, n: Node) -> None:
        """Threads reach a stage that does not touch what another one has not finished."""
        if isinstance(n, Barrier):
            self.meet(n.unless)
        elif type(n) is Swap:
            if any(t.owner in (n.new, n.old) for t in self.known):
                raise GraphError(f"loop program: {n.new} and {n.old} change places before all threads have met")
        elif not isinstance(n, (Alloc, Alias, Stamp)):
            self._check(n)
            self.passes(n)

    def _check(self, n: Node) -> None:
        if n.threads is Threads.ONE:
            for nested in n.nested():
                _check_alone(nested)
        elif n.threads is Threads.HERE and n.writes():
            raise GraphError(f"loop program: each thread runs all of a {_named(n)}")
        elif isinstance(n, Fused) and n.product and not any(isinstance(m, Barrier) and m.unless == 1 for m in n.body):
            raise GraphError(f"loop program: no barrier between a product and the {_named(n.body[-1])}")
        alone = {b for b in [*n.reads(), *n.writes()] if b in self.arena.private}
        if alone and n.threads is not Threads.ONE:
            raise GraphError(f"loop program: all threads touch {min(alone, key=str)}, which is on the stack of one")
        if self.waits(n):
            raise GraphError(f"loop program: threads race for what a {_named(n)} touches; no barrier stands before it")


def _check_alone(nodes: Sequence[Node]) -> None:
    """One thread comes to these nodes."""
    for n in all_nodes(nodes):
        if isinstance(n, Barrier):
            raise GraphError("loop program: a barrier stands where not all threads come")
        if n.threads is not Threads.HERE:
            raise GraphError(f"loop program: {_named(n)} is to run {n.threads.value}, where one thread comes alone")
