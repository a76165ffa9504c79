"""Graphs that run equation by equation, each by a compiled program of its own: for what has not come back yet.

Compiling a whole graph takes seconds, and serves it alone. Its equations are few operations at other sizes, for which
the process has programs already (`pieces.py`). So a graph becomes a list: which programs run one after another, where
their operands lie, and the sizes that they are told. Bodies of loops and branches are lists inside of the list. The
runtime library walks it in one call (`native/steps.c`), in one region of all threads. The bits are those of the whole
graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fdl.backends import cache, runtime
from fdl.backends.c import CExecutable, Plan, is_told_by_its_text
from fdl.backends.family import Call, is_function, is_library, load
from fdl.backends.pieces import calls_of
from fdl.backends.toolchain import Compiler
from fdl.core.errors import MissingRuleError
from fdl.core.graph import Atom, Equation, Graph, Literal, Var, subgraphs
from fdl.lowering.ir.spellings import changed_rows
from fdl.lowering.plan.memory import fitted, lines
from fdl.lowering.target import Target
from fdl.ops.shape import reshape_p
from fdl.passes.checks import lift_checks
from fdl.passes.inline import inline
from fdl.passes.match import steps_of
from fdl.passes.prune import prune
from fdl.passes.split import split_complex

# As in `native/steps.c`: where a place lies that is no argument and no result; steps that call no function
_ARENA, _TOLD = -1, -2
_COPY, _LOOP, _BRANCH = range(3)
_Place = tuple[int, int]


class Piecewise(CExecutable):
    """A graph as a list of programs."""

    def _load(
        self, compiler: Compiler, donated: Sequence[int], plan: Callable[[], Plan] | None
    ) -> tuple[Plan, Any, int]:
        found = _listing_of(self.graph, compiler)
        addresses: dict[tuple[str, str], int] = {}  # steps are many, programs few

        def address(step: Step) -> int:
            key = step.library, step.function
            if key not in addresses:
                addresses[key] = load(step, compiler)[1]
            return addresses[key]

        self.told = found.told(address)
        native = runtime.load(compiler)
        plain = Plan("", found.arena, found.own, found.parallel, [-1] * len(self.out_avals), [])
        return plain, native, native.list_program()


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A call of a function of a library, whose operands lie at `places`; without a function, what `kind` says: a copy
    of some bytes from the first place to the second, or a loop or branch, whose `bodies` are lists.
    """

    library: str
    function: str
    products: tuple[str, ...]
    parallel: bool
    nbytes: int
    places: tuple[_Place, ...]
    kind: int = _COPY
    bodies: tuple[Listing, ...] = ()


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

    def told(self, address: Callable[[Step], int]) -> np.ndarray[Any, Any]:
        """The list as the runtime library reads it, with the addresses of its functions: its steps, numbers, and the
        lists of bodies, which the first places of a loop or branch are, behind what it is told.
        """
        start = 8 * (2 + sum(4 + 2 * (len(s.places) + len(s.bodies)) for s in self.steps))
        words, parts = [self.scratch, len(self.steps)], [np.frombuffer(self.pool, np.int64)]
        end = start + len(self.pool)
        for s in self.steps:
            places = [(base, offset + start if base == _TOLD else offset) for base, offset in s.places]
            for i, body in enumerate(s.bodies, 1):
                parts.append(body.told(address))
                places.insert(i, (_TOLD, end))
                end += parts[-1].nbytes
            words += [address(s) if s.function else s.kind, int(s.parallel), s.nbytes, len(places)]
            words += [word for place in places for word in place]
        return np.concatenate([np.array(words, np.int64), *parts])

    def written(self) -> dict[str, Any]:
        """As JSON can hold it."""
        steps = [{**_fields(s), "bodies": [body.written() for body in s.bodies]} for s in self.steps]
        return {**_fields(self), "steps": steps, "pool": self.pool.hex()}

    @classmethod
    def read(cls, found: dict[str, Any] | None, arguments: int) -> Listing | None:
        """A list from the cache; None where there is none, none for so many arguments and results, or where one of its
        libraries is gone.
        """
        try:
            listing = None if found is None else cls._parsed(found)
            return listing if listing is not None and listing._fits(arguments) else None
        except (KeyError, TypeError, ValueError):
            return None

    @classmethod
    def _parsed(cls, found: dict[str, Any]) -> Listing:
        def step(s: dict[str, Any]) -> Step:
            places, bodies = tuple(map(tuple, s["places"])), tuple(map(cls._parsed, s["bodies"]))
            return Step(**{**s, "products": tuple(s["products"]), "places": places, "bodies": bodies})

        return cls(**{**found, "steps": tuple(map(step, found["steps"])), "pool": bytes.fromhex(found["pool"])})

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
            and all(type(s.parallel) is bool and s.kind in (_COPY, _LOOP, _BRANCH) for s in self.steps)
            and all(suffix in runtime.TYPES for s in self.steps for suffix in s.products)
            and all(is_function(s.function) for s in self.steps if s.function)
            and all(is_library(library) for library in {s.library for s in self.steps if s.function})
            and all(
                b._fits(len(s.places)) and self.scratch + b.arena <= self.arena for s in self.steps for b in s.bodies
            )
        )


def _fields(x: Step | Listing) -> dict[str, Any]:
    return {f.name: getattr(x, f.name) for f in dataclasses.fields(x)}


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
    steps = list(_calling(pieces))
    return _List(pieces, dict(zip(steps, calls_of(steps, compiler), strict=True)), compiler.target).listing()


def _steps(graph: Graph) -> list[Equation]:
    """What is done, one after another: reshapes are nothing, since their result is the operand."""
    return [e for e in graph.equations if e.primitive is not reshape_p]


def _calling(graph: Graph) -> Iterator[Equation]:
    """The equations of a graph, and of those in it, that are calls of programs."""
    for e in _steps(graph):
        inner = list(subgraphs(e.params))
        yield from [x for g in inner for x in _calling(g)] if inner else [e]


class _List:
    """The steps of a graph, and the memory of what lies between them."""

    def __init__(self, graph: Graph, calls: Mapping[Equation, Call], target: Target) -> None:
        self.graph, self.target = graph, target
        self.homes = {
            e.outputs[0]: e.inputs[0] for e in graph.equations if e.primitive is reshape_p
        }  # what has the memory of something else
        self.places: dict[Any, _Place] = {v: (i, 0) for i, v in enumerate(graph.inputs)}  # by variable, or name
        self.pool = bytearray()  # what steps are told, and numbers
        self.numbers: dict[bytes, int] = {}
        self.size = self.step_arena = self.own = 0
        copies = self._place_results()
        equations = _steps(graph)
        flows = {e: _Flow.of(e) for e in equations if e not in calls}
        self._place_others(equations, flows)
        self.steps = [self._call(e, calls[e]) if e in calls else self._control(e, flows[e], calls) for e in equations]
        self.steps += [Step("", "", (), False, a.aval.nbytes, (self._place(a), to)) for a, to in copies]

    def listing(self) -> Listing:
        """All of it."""
        return Listing(tuple(self.steps), self.size + self.step_arena, self.size, self.own, bytes(self.pool))

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

    def _place_others(self, equations: Sequence[Equation], flows: Mapping[Equation, _Flow]) -> None:
        """Let all else lie in the arena, from the step that makes it to the last one that reads it."""
        lives: dict[Any, tuple[int, int, int]] = {}
        for i, e in enumerate(equations):
            for v in e.outputs:
                if v not in self.places:
                    lives[v] = i, i, int(lines(v.aval.nbytes, self.target))
            for k, nbytes in enumerate(flows[e].spare if e in flows else ()):
                lives[e, k] = i, i, int(lines(nbytes, self.target))
            for home in map(self._home, e.inputs):
                if isinstance(home, Var) and home in lives:
                    first, _, need = lives[home]
                    lives[home] = first, i, need
        offsets, self.size = fitted(lives)
        self.places |= {v: (_ARENA, offset) for v, offset in offsets.items()}

    def _call(self, e: Equation, call: Call) -> Step:
        places = [self._place(a) for a in (*e.inputs, *e.outputs)]
        if call.told:
            places.append((_TOLD, self._pooled(np.array(call.told, np.int64).tobytes())))
        self.step_arena, self.own = max(self.step_arena, call.arena), max(self.own, call.own)
        program = call.program
        return Step(program.library, program.function, tuple(program.products), call.parallel, 0, tuple(places))

    def _control(self, e: Equation, flow: _Flow, calls: Mapping[Equation, Call]) -> Step:
        """A loop or a branch."""
        bodies = tuple(_List(g, calls, self.target).listing() for g in flow.bodies)
        told = _TOLD, self._pooled(np.array(flow.told, np.int64).tobytes())
        places = [self._place(a) for a in (*e.inputs, *e.outputs)] + [self.places[e, k] for k in range(len(flow.spare))]
        for body in bodies:
            self.step_arena, self.own = max(self.step_arena, body.arena), max(self.own, body.own)
        return Step("", "", (), any(b.parallel for b in bodies), 0, (told, *places), flow.kind, bodies)

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


@dataclasses.dataclass(frozen=True, slots=True)
class _Flow:
    """A loop or a branch as `native/steps.c` has it: the graphs that are its bodies, what it is told, and bytes of the
    memory that it needs besides that of its results.
    """

    kind: int
    bodies: tuple[Graph, ...]
    told: tuple[int, ...]
    spare: tuple[int, ...] = ()

    @classmethod
    def of(cls, e: Equation) -> _Flow:
        """How an equation that holds graphs runs them; MissingRuleError where nobody knows."""
        p, found = e.params, steps_of(e)
        if found is not None:
            n, m = found.num_consts, found.num_carry
            carried = tuple(v.aval.nbytes for v in e.outputs[:m])
            slices = found.graph.in_avals[n + m :], found.graph.out_avals[m:]
            told = (found.length, int(p["reverse"]), 0, n, m, *map(len, slices), *carried)
            told += tuple(a.nbytes for avals in slices for a in avals)
            return cls(_LOOP, (found.graph, Graph((), (), ())), told, carried)
        if e.primitive.name == "while":
            carried = tuple(v.aval.nbytes for v in e.outputs)
            told = (-1, 0, p["num_test"], p["num_body"], len(carried), 0, 0, *carried)
            return cls(_LOOP, (p["body"], p["test"]), told, (*carried, 1))
        if e.primitive.name == "cond":
            return cls(_BRANCH, p["branches"], (len(p["branches"]),))
        raise MissingRuleError(
            f"{e.primitive.name} runs graphs in a way of its own, so that it cannot be run operation by operation",
            hint="FDL_TIER=compiled",
        )
