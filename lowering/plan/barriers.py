"""Where threads must meet: before a stage that touches memory which another thread may have written or read since they
last met.

A stage that all threads run shares out its first loop: of `extent` iterations, thread t of n gets those from `extent *
t / n` on. Where iteration i touches the bytes [base + i * step, base + (i + 1) * step) of a buffer alone, and the stage
before shared that buffer out in the same way, each thread finds what it left there itself, and nobody waits. Where the
extents differ but cover the same bytes, that holds for numbers of threads that divide both: the program asks when it
runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from fdl.lowering.ir.expr import Buffer, walk
from fdl.lowering.ir.index import Index, LoopVar, space_vars
from fdl.lowering.ir.nodes import Argmax, Dot, Finished, Loop, Map, Nest, Node, OneStore, Reduce, Scatter
from fdl.lowering.plan.memory import Arena, is_parallel
from fdl.lowering.target import Target

_Share = tuple[
    int, int, int, tuple[Any, ...]
]  # extent, bytes of an iteration, bytes before the first one, terms of enclosing loops' steps
_Touch = tuple[
    Any, int, int, bool, Buffer, _Share | None
]  # memory, start, end, whether written; whose memory it is, and how threads share it

ALWAYS = 1


class Barriers:
    """Says before which node threads must meet."""

    def __init__(self, arena: Arena, target: Target) -> None:
        self.arena, self.target = arena, target
        self.meet()

    def meet(self) -> None:
        """All threads have met: what they touched before is settled."""
        self.by_all: set[_Touch] = set()
        self.by_one: set[_Touch] = set()

    def before(self, n: Node) -> int:
        """Whether a barrier stands before this node, which counts as run afterwards: 0 for none, ALWAYS, or a number
        that the threads must divide to do without.
        """
        parallel = is_parallel(n, self.target)
        mine = {self._touch(*x) for x in (_shares(n) if parallel else _whole(n))}
        # what one thread did, the same thread may follow without meeting the others
        others = [self.by_all, self.by_one] if parallel else [self.by_all]
        divided = 0  # 0 is divided by every number
        for touched in others:
            for then in touched:
                for now in mine:
                    if then[0] == now[0] and then[1] < now[2] and now[1] < then[2] and (then[3] or now[3]):
                        divided = math.gcd(divided, _divided(then, now))
        if divided == ALWAYS:
            self.meet()
        (self.by_all if parallel else self.by_one).update(mine)
        return divided

    def _touch(self, b: Buffer, written: bool, share: _Share | None) -> _Touch:
        b = self.arena.home(b)
        if b in self.arena.offsets:
            start = self.arena.offsets[b]
            return "arena", start, start + b.nbytes, written, b, share
        return b, 0, 1, written, b, share


def _divided(then: _Touch, now: _Touch) -> int:
    """What the number of threads must divide for each thread to touch what it touched before."""
    (*_, owner, before), (*_, other, after) = then, now
    if owner is not other or before is None or after is None:
        return ALWAYS
    if before == after:
        return 0
    same = before[0] * before[1] == after[0] * after[1] and before[2:] == after[2:]
    return math.gcd(before[0], after[0]) if same else ALWAYS


def _whole(n: Node) -> Iterator[tuple[Buffer, bool, None]]:
    yield from ((b, False, None) for b in n.reads())
    yield from ((b, True, None) for b in n.writes())
    if isinstance(n, Loop) and n.test_result is not None:
        yield n.test_result, False, None


def _shares(n: Node) -> Iterator[tuple[Buffer, bool, _Share | None]]:
    """What a stage of all threads reads and writes, and how they share it, where that is known."""
    if isinstance(n, Dot) and math.prod(n.space) > 1:
        for x, written in ((n.lhs, False), (n.rhs, False), (n.out, True)):
            digits = [*x.rows, *x.cols]
            inside = sum((size - 1) * step for size, step in digits) if all(step >= 0 for _, step in digits) else -1
            yield x.buffer, written, _flat(x.offset, n.space, inside, x.buffer.dtype.itemsize)
    elif isinstance(n, Finished):
        yield from _whole(n.dot)
        yield from _shares(n.after)
    elif isinstance(n, Nest):
        unit = n.chunk or 1
        for m in n.body:
            for b, written, share in _of_loops(m, n.space[0], unit, bool(n.chunk)):
                if b not in n.locals:
                    yield b, written, share
    elif isinstance(n, (Map, OneStore)) and not isinstance(n, Scatter):
        yield from _of_loops(n, n.space[0], 1, False)
    else:
        yield from _whole(n)


def _of_loops(n: Node, extent: int, unit: int, totals: bool) -> Iterator[tuple[Buffer, bool, _Share | None]]:
    """The same of a stage's loops, `unit` iterations of the first one at a time; `totals` are kept while those pass,
    and stored in another place.
    """
    assert isinstance(n, (Map, OneStore))
    over = n.over if isinstance(n, Reduce) else (n.over,) if isinstance(n, Argmax) else ()
    for e in walk(n.roots()):
        if e.op == "load":
            b, index = e.attr
            yield b, False, _slab(index, (*n.space, *over), extent, unit, b.dtype.itemsize)
    for b, index in [(s.buffer, s.offset) for s in n.stores] if isinstance(n, Map) else [(n.store, n.offset)]:
        total = totals and isinstance(n, Reduce) and not n.rows
        yield b, True, None if total else _slab(index, n.space, extent, unit, b.dtype.itemsize)


def _slab(index: Index, dims: Sequence[int], extent: int, unit: int, itemsize: int) -> _Share | None:
    """The share of an address, where iterations of the first loop touch one part after another."""
    inside, steps = 0, []
    first = space_vars(1)[0].terms[0][0]
    for atom, c in index.terms:
        if not isinstance(atom, LoopVar) or c < 0 or (not atom.step and atom.rank >= len(dims)):
            return None
        if atom.step:
            steps.append((atom.rank, c * itemsize))
        elif atom is not first:
            inside += c * (dims[atom.rank] - 1)
    row = index.coefficient(first)
    return _share(extent, row * unit, index.const, inside + row * (unit - 1), tuple(steps), itemsize)


def _flat(index: Index, space: Sequence[int], inside: int, itemsize: int) -> _Share | None:
    """The same for a batch of matrices, whose number runs through all of the space."""
    variables, known = [v.terms[0][0] for v in space_vars(len(space))], dict(index.terms)
    if inside < 0 or not all(isinstance(a, LoopVar) and (a.step or a in variables) for a in known):
        return None
    steps = [(a.rank, c * itemsize) for a, c in index.terms if a.step]
    strides = {
        known.get(v, 0) / math.prod(space[k + 1 :])
        for k, (v, d) in enumerate(zip(variables, space, strict=True))
        if d > 1
    }
    stride = int(strides.pop())
    if strides:  # axes that do not follow one another, or one that the operand does not have
        return None
    return _share(math.prod(space), stride, index.const, inside, tuple(steps), itemsize)


def _share(extent: int, step: int, base: int, inside: int, steps: tuple[Any, ...], itemsize: int) -> _Share | None:
    if step <= 0 or base % step + inside >= step:
        return None
    return extent, step * itemsize, (base - base % step) * itemsize, steps
