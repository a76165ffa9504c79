"""Which thread touches what: when threads have to meet before a stage runs.

A stage that all threads run shares out its first loop: of `extent` iterations, thread t of n gets those from `extent *
t / n` on. Where iteration i touches the bytes [base + i * step, base + (i + 1) * step) of a buffer alone, and the stage
before shared that buffer out in the same way, each thread finds what it left there itself, and nobody waits. Where the
extents differ but cover the same bytes, that holds for numbers of threads that divide both.

`plan/barriers.py` asks where barriers have to stand, and the checker whether they do.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from fdl.lowering.ir.access import Access, accesses
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Axis, trips
from fdl.lowering.ir.nodes import Dot, Fused, Map, Node, OneStore, Scatter, Threads
from fdl.lowering.ir.planned import Arena
from fdl.passes.size import Extent, surely

# Iterations, bytes of one, bytes before the first one, terms of enclosing loops' steps
_Share = tuple[int, int, int, tuple[Any, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Touch:
    """A stretch of memory that a stage touches: bytes from `start` to `end` of `memory`, which is the arena or a buffer
    with memory of its own; `owner` is the buffer, and `share` how threads share it, where that is known. `one` says
    that the first thread touches it alone. The threads have met since, unless their number divides `unless`.
    """

    memory: Any
    start: Extent
    end: Extent
    written: bool
    owner: Buffer
    share: _Share | None
    one: bool
    unless: int = 0  # 0 is divided by every number: they have not met

    def waits_for(self, then: Touch) -> int:
        """What the number of threads has to divide for no thread to touch what another one touched `then`: 0 where none
        ever does, 1 where one does whatever their number is.
        """
        if self.memory != then.memory or not (self.written or then.written) or (self.one and then.one):
            return 0
        if any(surely(lambda a=a, b=b: a >= b) for a, b in ((then.start, self.end), (self.start, then.end))):
            return 0
        if self.owner is not then.owner or self.share is None or then.share is None:
            return 1
        if self.share == then.share:
            return 0
        (extent, step, *rest), (other, its_step, *its_rest) = self.share, then.share
        return math.gcd(extent, other) if extent * step == other * its_step and rest == its_rest else 1


class Touched:
    """What threads have touched since they last met, as stages pass."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.known: set[Touch] = set()
        self._asked: tuple[Node, set[Touch]] | None = None  # the stage that was asked about last, and what it touches

    def meet(self, unless: int = 1) -> None:
        """All threads meet, unless their number divides this one."""
        met = (dataclasses.replace(t, unless=math.gcd(t.unless, unless)) for t in self.known if unless != 1)
        self.known = {t for t in met if t.unless != 1}

    def waits(self, n: Node) -> int:
        """What the number of threads has to divide for none to wait before this stage: 0 where none ever has to, 1
        where all have to.
        """
        now, divided = self._of(n), 0
        for then in self.known:
            for mine in now:
                needed = mine.waits_for(then)
                if needed and (not then.unless or needed % then.unless):
                    divided = math.gcd(divided, needed)
        return divided

    def passes(self, n: Node) -> None:
        """The stage runs."""
        self.known |= self._of(n)

    def forget(self, axis: Axis | None) -> None:
        """A loop goes on to its next step: what was shared out by places that follow from its axis no longer is."""
        self.known = {
            dataclasses.replace(t, share=None) if t.share and any(a is axis for a, _ in t.share[3]) else t
            for t in self.known
        }

    def _of(self, n: Node) -> set[Touch]:
        if self._asked is None or self._asked[0] is not n:
            shares, one = _shares(n) if n.threads is Threads.ALL else _whole(n), n.threads is Threads.ONE
            place, home = self.arena.place, self.arena.home
            self._asked = n, {Touch(*place(b), written, home(b), share, one) for b, written, share in shares}
        return self._asked[1]


def _whole(n: Node) -> Iterator[tuple[Buffer, bool, None]]:
    yield from ((b, False, None) for b in n.reads())
    yield from ((b, True, None) for b in n.writes())


def _shares(n: Node) -> Iterator[tuple[Buffer, bool, _Share | None]]:
    """What a stage of all threads reads and writes, and how they share it, where that is known."""
    if isinstance(n, Fused) and n.product is not None:
        yield from _whole(n.product)
        yield from _shares(n.body[-1])
    elif isinstance(n, Dot) and surely(lambda: trips(n.space) > 1):
        yield from ((a.buffer, a.written, _of_loops(a, n.space)) for a in accesses(n))
    elif (isinstance(n, (Map, OneStore)) and not isinstance(n, Scatter)) or (isinstance(n, Fused) and n.kernel):
        first = n.loops[:1] if isinstance(n, Fused) else n.space[:1]
        yield from ((a.buffer, a.written, _of_loops(a, first)) for a in accesses(n))
    else:
        yield from _whole(n)


def _of_loops(a: Access, loops: Sequence[Axis]) -> _Share | None:
    """The share of an access, where steps of the first loops touch one part after another."""
    found = a.slab(loops) if a.is_known else None
    if found is None or any(c < 0 for _, c in found.outside):
        return None
    strides = {step / trips(loops[k + 1 :]) for k, (step, v) in enumerate(zip(found.steps, loops)) if v.size != 1}
    if len(strides) > 1:  # axes that do not follow one another, or one that the operand does not have
        return None
    step, itemsize = int(strides.pop()) if strides else found.steps[0], a.buffer.dtype.itemsize
    steps = tuple((axis, c * itemsize) for axis, c in found.outside)
    return _share(trips(loops), step, found.low, found.high - found.low, steps, itemsize)


def _share(extent: int, step: int, base: int, inside: int, steps: tuple[Any, ...], itemsize: int) -> _Share | None:
    if step <= 0 or base % step + inside >= step:
        return None
    return extent, step * itemsize, (base - base % step) * itemsize, steps
