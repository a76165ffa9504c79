"""Nodes of a planned program: where buffers lie, where threads meet, and how what a loop carries is handed on.

`lowering/plan/` puts them between the stages that the schedule has left, and the emitter writes each as it stands. They
are nodes as all others are: the printer shows them, the checker refuses plans that cannot be, and the interpreter does
what they say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.nodes import Node, Scope
from fdl.passes.size import Extent, is_known


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Alloc(Node):
    """A temporary, or the part of it that a tile keeps, lies in a scope, `offset` bytes from its beginning, and takes
    `nbytes` of it.
    """

    buffer: Buffer
    scope: Scope
    offset: Extent
    nbytes: Extent


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Alias(Node):
    """A buffer has the memory of another one. Where it is a result, and the other an argument, the caller may pass two
    different ones after all.
    """

    buffer: Buffer
    home: Buffer


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Barrier(Node):
    """All threads meet, unless their number divides `unless`: then each finds what it has left itself. One thread alone
    never waits; 1 stands for always.
    """

    unless: int = 1


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Guard(Node):
    """The program ends where one of these bools holds; nothing was written over an argument before."""

    flags: list[Buffer]

    def reads(self) -> list[Buffer]:
        return self.flags


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Copy(Node):
    """What a loop carries on, pair after pair: all bytes of the first buffer to the second."""

    pairs: list[tuple[Buffer, Buffer]]

    def reads(self) -> list[Buffer]:
        return [a for a, _ in self.pairs]

    def writes(self) -> list[Buffer]:
        return [b for _, b in self.pairs]


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Swap(Node):
    """Two buffers of one size change their memory: `old` has what `new` held, and what it held itself is no more."""

    new: Buffer
    old: Buffer

    def reads(self) -> list[Buffer]:
        return [self.new]

    def writes(self) -> list[Buffer]:
        return [self.new, self.old]


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Home(Swap):
    """After any number of swaps the buffers have their own memory again; `old` keeps what it holds."""


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Stamp(Node):
    """The first thread adds the time since the last stamp to a sum: that of the time `waited` for other threads before
    a stage, or of the time in it. Without a stage, time begins.
    """

    stage: Node | None
    waited: bool = False


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Arena:
    """What allocations and aliases say together. Offsets and sizes are bytes.

    `offsets` are those of temporaries in the arena, and `size` is the arena's: 0 where a program for arrays of any size
    is told it. `in_place` has the buffer whose memory another one takes: of a result a donated argument, of a new carry
    the old one. `private` are temporaries on the stack of the one thread that uses them. `scratch` are offsets of the
    parts that tiles keep, in memory of `own` bytes that each thread has to itself.
    """

    offsets: dict[Buffer, Extent] = dataclasses.field(default_factory=dict)
    size: int = 0
    in_place: dict[Buffer, Buffer] = dataclasses.field(default_factory=dict)
    private: frozenset[Buffer] = frozenset()
    scratch: dict[Buffer, int] = dataclasses.field(default_factory=dict)
    own: int = 0

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> Arena:
        """Read off the nodes of a program."""
        nodes = list(nodes)
        allocs = [n for n in nodes if isinstance(n, Alloc)]
        arena, own, stack = ([a for a in allocs if a.scope is s] for s in (Scope.ARENA, Scope.SHARED, Scope.THREAD))
        return cls(
            {a.buffer: a.offset for a in arena},
            max((a.offset + a.nbytes for a in arena), default=0) if is_known(*(a.offset for a in arena)) else 0,
            {n.buffer: n.home for n in nodes if isinstance(n, Alias)},
            frozenset(a.buffer for a in stack),
            {a.buffer: a.offset for a in own},
            max((a.offset + a.nbytes for a in own), default=0),
        )

    def place(self, b: Buffer) -> tuple[Any, Extent, Extent]:
        """The memory that a buffer lies in, which is the arena or a buffer with memory of its own, and from which byte
        to which.
        """
        b = self.home(b)
        start = self.offsets.get(b)
        return (b, 0, 1) if start is None else (Scope.ARENA, start, start + b.nbytes)

    def home(self, b: Buffer) -> Buffer:
        """The buffer whose memory holds this one."""
        while b in self.in_place:
            b = self.in_place[b]
        return b


def touched(nodes: Sequence[Node]) -> dict[Buffer, None]:
    """Buffers that the stages of a program touch, but for what is local to one of them, in order of first use."""
    return {b: None for n in nodes for b in (*n.reads(), *n.writes())}
