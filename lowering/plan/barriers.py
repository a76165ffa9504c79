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

from fdl.lowering.ir.access import Access, accesses
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.nodes import Dot, Finished, Loop, Map, Nest, Node, OneStore, Reduce, Scatter
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
    if isinstance(n, Finished):
        yield from _whole(n.dot)
        yield from _shares(n.after)
    elif isinstance(n, Dot) and math.prod(n.space) > 1:
        yield from ((a.buffer, a.written, _of_batch(a, n.space)) for a in accesses(n))
    elif isinstance(n, Nest):
        unit = n.chunk or 1
        for a in accesses(n):  # totals are kept while rows pass, and stored in another place
            total = n.chunk and a.written and isinstance(a.stage, Reduce) and not a.stage.rows
            yield a.buffer, a.written, None if total else _of_loops(a, n.space[0], unit)
    elif isinstance(n, (Map, OneStore)) and not isinstance(n, Scatter):
        yield from ((a.buffer, a.written, _of_loops(a, n.space[0], 1)) for a in accesses(n))
    else:
        yield from _whole(n)


def _of_loops(a: Access, extent: int, unit: int) -> _Share | None:
    """The share of an access, where iterations of the first loop, `unit` at a time, touch one part after another."""
    found = a.slab(list(a.loops)[:1])
    if found is None or any(c < 0 for _, c in found.outside):
        return None
    (step,) = found.steps
    itemsize = a.buffer.dtype.itemsize
    steps = tuple((counter.rank, c * itemsize) for counter, c in found.outside)
    return _share(extent, step * unit, found.low, found.high - found.low + step * (unit - 1), steps, itemsize)


def _of_batch(a: Access, space: Sequence[int]) -> _Share | None:
    """The same for a batch of matrices, whose number runs through all of the space."""
    found = a.slab(list(a.loops))
    if found is None:
        return None
    strides = {step / math.prod(space[k + 1 :]) for k, (step, d) in enumerate(zip(found.steps, space)) if d > 1}
    stride = int(strides.pop())
    if strides:  # axes that do not follow one another, or one that the operand does not have
        return None
    itemsize = a.buffer.dtype.itemsize
    steps = tuple((counter.rank, c * itemsize) for counter, c in found.outside)
    return _share(math.prod(space), stride, found.low, found.high - found.low, steps, itemsize)


def _share(extent: int, step: int, base: int, inside: int, steps: tuple[Any, ...], itemsize: int) -> _Share | None:
    if step <= 0 or base % step + inside >= step:
        return None
    return extent, step * itemsize, (base - base % step) * itemsize, steps
