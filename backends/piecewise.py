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

from fdl.backends import runtime
from fdl.backends.c import CExecutable, Plan
from fdl.backends.family import Call
from fdl.backends.pieces import calls_of
from fdl.backends.toolchain import Compiler
from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.lowering.plan.memory import Holes, lines
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
        graph = prune(split_complex(inline(lift_checks(self.graph).graph)))
        steps = [e for e in graph.equations if e.primitive is not reshape_p]
        calls = dict(zip(steps, calls_of(steps, compiler), strict=True))
        made = _List(graph, calls, compiler)
        self.told = made.told()
        native = runtime.load(compiler)
        return made.plan(len(self.out_avals)), native, native.list_program()


@dataclasses.dataclass(frozen=True, slots=True)
class _Step:
    """A call of a program, or a copy of some bytes from the first place to the second."""

    address: int
    parallel: bool
    nbytes: int
    places: list[_Place]


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
        self.holes, self.size = Holes(), 0
        copies = self._place_results()
        self.steps = [self._step(e, calls[e], dying) for e, dying in zip(calls, self._dying(list(calls)), strict=True)]
        self.steps += [_Step(0, False, a.aval.nbytes, [self._place(a), to]) for a, to in copies]

    def plan(self, results: int) -> Plan:
        """What running it takes."""
        return Plan(
            "",
            self.size + max((c.arena for c in self.calls), default=0),
            max((c.own for c in self.calls), default=0),
            any(s.parallel for s in self.steps),
            [-1] * results,
            [],
        )

    def told(self) -> np.ndarray[Any, Any]:
        """The list as the runtime library reads it."""
        start = 8 * (2 + sum(4 + 2 * len(s.places) for s in self.steps))
        words = [self.size, len(self.steps)]
        for s in self.steps:
            words += [s.address, int(s.parallel), s.nbytes, len(s.places)]
            for base, offset in s.places:
                words += [base, offset + start if base == _TOLD else offset]
        return np.concatenate([np.array(words, np.int64), np.frombuffer(bytes(self.pool), np.int64)])

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

    def _dying(self, equations: Sequence[Equation]) -> list[list[Var]]:
        """For each equation what nothing reads after it."""
        last: dict[Atom, int] = {}
        for i, e in enumerate(equations):
            last |= {self._home(a): i for a in (*e.inputs, *e.outputs)}
        dying: list[list[Var]] = [[] for _ in equations]
        for a, i in last.items():
            if isinstance(a, Var) and a not in self.places:
                dying[i].append(a)
        return dying

    def _step(self, e: Equation, call: Call, dying: Sequence[Var]) -> _Step:
        for v in e.outputs:
            if v not in self.places:
                self.places[v] = _ARENA, self._taken(v)
        places = [self._place(a) for a in (*e.inputs, *e.outputs)]
        if call.told:
            places.append((_TOLD, self._pooled(np.array(call.told, np.int64).tobytes())))
        for v in dying:
            start = self.places[v][1]
            self.holes.give_back(start, start + int(lines(v.aval.nbytes, self.target)))
        return _Step(call.program.loaded[1], call.parallel, 0, places)

    def _taken(self, v: Var) -> int:
        need = int(lines(v.aval.nbytes, self.target))
        start = self.holes.take(need)
        self.size = max(self.size, start + need)
        return start

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
