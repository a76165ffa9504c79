"""Graphs that run equation by equation, each by a compiled program of its own: for what has not come back yet.

Compiling a whole graph takes seconds, and serves it alone. Its equations are few operations at other sizes, for which
the process has programs already (`pieces.py`). So a graph becomes a list: which programs run one after another, where
their operands lie, and the sizes that they are told. The runtime library walks it in one call (`native/steps.c`), in
one region of all threads. The bits are those of the whole graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.backends import cache, runtime
from fdl.backends.c import CExecutable, Plan, is_told_by_its_text
from fdl.backends.family import Call, is_function, is_library, load
from fdl.backends.pieces import calls_of
from fdl.backends.toolchain import Compiler
from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.lowering.ir.spellings import changed_rows
from fdl.lowering.plan.memory import fitted, lines
from fdl.ops.shape import reshape_p
from fdl.passes.checks import lift_checks
from fdl.passes.inline import inline
from fdl.passes.prune import prune
from fdl.passes.split import split_complex

_ARENA, _TOLD = -1, -2  # as in `native/steps.c`: where a place lies that is no argument and no result
_Place = tuple[int, int]


class Piecewise(CExecutable):
    """A graph as a list of programs."""

    def _load(
        self, compiler: Compiler, donated: Sequence[int], plan: Callable[[], Plan] | None
    ) -> tuple[Plan, Any, int]:
        found = _listing_of(self.graph, compiler)
        self.told = found.told([load(s, compiler)[1] if s.function else 0 for s in found.steps])
        native = runtime.load(compiler)
        plain = Plan("", found.arena, found.own, found.parallel, [-1] * len(self.out_avals), [])
        return plain, native, native.list_program()


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A call of a function of a library, whose operands lie at `places`; without a function, a copy of some bytes from
    the first place to the second.
    """

    library: str
    function: str
    products: tuple[str, ...]
    parallel: bool
    nbytes: int
    places: tuple[_Place, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """What running a graph piece by piece takes, as the disk cache keeps it.

    The arena holds what lies between steps, and from `scratch` on the arena of the step that runs; `own` are bytes of
    each thread. `pool` has what steps are told, and numbers.
    """

    steps: tuple[Step, ...]
    arena: int
    scratch: int
    own: int
    pool: bytes

    @property
    def parallel(self) -> bool:
        """Whether a step is worth all threads."""
        return any(s.parallel for s in self.steps)

    def told(self, addresses: Sequence[int]) -> np.ndarray[Any, Any]:
        """The list as the runtime library reads it, with the addresses of its functions."""
        start = 8 * (2 + sum(4 + 2 * len(s.places) for s in self.steps))
        words = [self.scratch, len(self.steps)]
        for s, address in zip(self.steps, addresses, strict=True):
            words += [address, int(s.parallel), s.nbytes, len(s.places)]
            for base, offset in s.places:
                words += [base, offset + start if base == _TOLD else offset]
        return np.concatenate([np.array(words, np.int64), np.frombuffer(self.pool, np.int64)])

    def written(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**dataclasses.asdict(self), "pool": self.pool.hex()}

    @classmethod
    def read(cls, found: dict[str, Any] | None, arguments: int) -> Listing | None:
        """A list from the cache; None where there is none, none for so many arguments and results, or where one of its
        libraries is gone.
        """
        if found is None:
            return None
        try:
            steps = tuple(
                Step(**{**s, "products": tuple(s["products"]), "places": tuple(map(tuple, s["places"]))})
                for s in found["steps"]
            )
            listing = cls(**{**found, "steps": steps, "pool": bytes.fromhex(found["pool"])})
            return listing if listing._fits(arguments) else None
        except (KeyError, TypeError, ValueError):
            return None

    def _fits(self, arguments: int) -> bool:
        """Whether all places are where there is memory, and all functions may be called."""
        ends = {_ARENA: self.scratch + 1, _TOLD: len(self.pool) + 1}  # what is empty lies behind the last byte
        sizes = (self.arena, self.scratch, self.own, *(s.nbytes for s in self.steps))
        return (
            all(type(n) is int and 0 <= n < 1 << 47 for n in sizes)
            and self.scratch <= self.arena
            and len(self.pool) % 8 == 0
            and all(
                type(base) is int
                and type(offset) is int
                and _TOLD <= base < arguments
                and 0 <= offset < ends.get(base, 1)
                for s in self.steps
                for base, offset in s.places
            )
            and all(type(s.parallel) is bool for s in self.steps)
            and all(suffix in runtime.TYPES for s in self.steps for suffix in s.products)
            and all(is_function(s.function) for s in self.steps if s.function)
            and all(is_library(library) for library in {s.library for s in self.steps if s.function})
        )


def _listing_of(graph: Graph, compiler: Compiler) -> Listing:
    """The list of a graph: from the cache, else made."""
    if not is_told_by_its_text(graph):
        return _made(graph, compiler)
    key = cache.key_of(
        "piecewise", graph.digest(), cache.own_digest(), changed_rows(), compiler.identity(), repr(compiler.target)
    )
    arguments = len(graph.inputs) + len(graph.outputs) + len(lift_checks(graph).checks)
    found = Listing.read(cache.read_plan(key), arguments)
    if found is None:
        found = _made(graph, compiler)
        cache.write_plan(key, found.written())
    return found


def _made(graph: Graph, compiler: Compiler) -> Listing:
    pieces = prune(split_complex(inline(lift_checks(graph).graph)))
    steps = [e for e in pieces.equations if e.primitive is not reshape_p]
    return _List(pieces, dict(zip(steps, calls_of(steps, compiler), strict=True)), compiler).listing()


class _List:
    """The steps of a graph, and the memory of what lies between them.

    Reshapes are no steps: their result is the operand.
    """

    def __init__(self, graph: Graph, calls: dict[Equation, Call], compiler: Compiler) -> None:
        self.graph, self.target = graph, compiler.target
        self.calls = list(calls.values())
        self.homes = {
            e.outputs[0]: e.inputs[0] for e in graph.equations if e.primitive is reshape_p
        }  # what has the memory of something else
        self.places: dict[Var, _Place] = {v: (i, 0) for i, v in enumerate(graph.inputs)}
        self.pool = bytearray()  # what steps are told, and numbers
        self.numbers: dict[bytes, int] = {}
        self.size = 0
        copies = self._place_results()
        self._place_others(list(calls))
        self.steps = [self._step(e, call) for e, call in calls.items()]
        self.steps += [Step("", "", (), False, a.aval.nbytes, (self._place(a), to)) for a, to in copies]

    def listing(self) -> Listing:
        """All of it."""
        return Listing(
            tuple(self.steps),
            self.size + max((c.arena for c in self.calls), default=0),
            self.size,
            max((c.own for c in self.calls), default=0),
            bytes(self.pool),
        )

    # Memory

    def _home(self, a: Atom) -> Atom:
        while isinstance(a, Var) and a in self.homes:
            a = self.homes[a]
        return a

    def _place_results(self) -> list[tuple[Atom, _Place]]:
        """Let steps write results where they belong; others, and the same a second time, are copied."""
        copies = []
        for k, a in enumerate(self.graph.outputs):
            home, place = self._home(a), (len(self.graph.inputs) + k, 0)
            if isinstance(home, Literal) or home in self.places:
                copies.append((a, place))
            else:
                self.places[home] = place
        return copies

    def _place_others(self, equations: Sequence[Equation]) -> None:
        """Let all else lie in the arena, from the step that makes it to the last one that reads it."""
        lives: dict[Var, tuple[int, int, int]] = {}
        for i, e in enumerate(equations):
            for v in e.outputs:
                if v not in self.places:
                    lives[v] = i, i, int(lines(v.aval.nbytes, self.target))
            for home in map(self._home, e.inputs):
                if isinstance(home, Var) and home in lives:
                    first, _, need = lives[home]
                    lives[home] = first, i, need
        offsets, self.size = fitted(lives)
        self.places |= {v: (_ARENA, offset) for v, offset in offsets.items()}

    def _step(self, e: Equation, call: Call) -> Step:
        places = [self._place(a) for a in (*e.inputs, *e.outputs)]
        if call.told:
            places.append((_TOLD, self._pooled(np.array(call.told, np.int64).tobytes())))
        program = call.program
        return Step(program.library, program.function, tuple(program.products), call.parallel, 0, tuple(places))

    def _place(self, a: Atom) -> _Place:
        home = self._home(a)
        if isinstance(home, Var):
            return self.places[home]
        return _TOLD, self._pooled(np.asarray(home.value).tobytes())

    def _pooled(self, content: bytes) -> int:
        if content not in self.numbers:
            self.numbers[content] = len(self.pool)
            self.pool += content + bytes(-len(content) % 8)
        return self.numbers[content]
