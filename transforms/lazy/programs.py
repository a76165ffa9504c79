"""Who runs a recorded program.

A `Program` is a graph by structure: it counts how often it came. First it runs operation by operation on compiled
programs for all sizes; it is compiled as a whole when interpreting it so often would have cost about a tenth of what
compiling costs. Both costs are estimates from the graph alone, so that runs repeat, and both ways have the same bits.
An `Ending` is a place in the trie where programs end: it chooses one for the results that are still alive and the
inputs that are not.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, NamedTuple

from fdl.backends.beside import is_pending
from fdl.backends.c import CExecutable
from fdl.backends.dispatch import executable, pieces
from fdl.backends.executable import Executable, Interpreted
from fdl.backends.native import NATIVE
from fdl.backends.toolchain import find_compiler
from fdl.core.avals import ShapedArray
from fdl.core.config import config
from fdl.core.graph import Equation, Graph, subgraphs
from fdl.passes.match import called_graph

_NAME = "a recorded program"
KEPT = 512  # programs in memory
UNKNOWN = 16  # turns that a loop without a length is taken to make
EARLY = 0.1  # a program is compiled when its sightings have cost this part of what compiling it costs

calls = 0  # programs run that were compiled as a whole, for `fdl.testing`
sighted = 0  # programs first seen, for `fdl.testing`


def _equations(graph: Graph) -> list[tuple[Equation, int]]:
    """All equations, those of sub-graphs included, and how often each runs: in loops of unknown length some times."""
    found: list[tuple[Equation, int]] = []
    todo = [(graph, 1)]
    while todo:
        inside, times = todo.pop()
        for e in inside.equations:
            called = called_graph(e)
            inner = list(subgraphs(e.params)) if called is None else [called]
            turns = e.params.get("length", UNKNOWN if e.primitive.name == "while" else 1)
            todo += [(g, times * turns) for g in inner]
            if not inner:
                found.append((e, times))
    return found


class Cost(NamedTuple):
    """What a graph takes: equations, how often they run together, bytes that they write, and multiplications of its
    products.
    """

    equations: int
    runs: int
    moved: int
    multiplied: float


def cost_of(graph: Graph) -> Cost:
    """Estimates from the graph alone."""
    found = _equations(graph)
    moved = sum(v.aval.nbytes * times for e, times in found for v in e.outputs)
    multiplied = sum(e.primitive.work([x.aval for x in e.inputs], e.params) * times for e, times in found)
    return Cost(len(found), sum(times for _, times in found), moved, multiplied)


class Program:
    """A graph that came back or may do so, with its sightings."""

    __slots__ = ("compiled", "due", "graph", "pieces", "sightings")

    def __init__(self, graph: Graph) -> None:
        global sighted
        sighted += 1
        self.graph = graph
        self.sightings = 0
        self.pieces: Executable | None = None  # what runs it until it is compiled as a whole
        self.compiled: dict[tuple[int, ...], Executable] = {}  # as a whole, by the inputs that it may write over
        cost = cost_of(graph)
        interpreting = 5e-6 * max(cost.runs, 1) + cost.moved / 2e9 + cost.multiplied / 2e10  # seconds a run
        compiling = 0.06 + 1.5e-3 * cost.equations
        self.due = max(2, ceil(EARLY * compiling / interpreting))  # the sighting at which it is compiled

    def run(self, values: list[Any], leaves: list[int], outputs: list[int], donated: tuple[int, ...]) -> None:
        """Run it on the arrays and numbers in the slots `leaves`; the results become the data of the arrays in the
        slots `outputs`.
        """
        self.sightings += 1
        self._executable(donated).fill(values, leaves, outputs)

    def _executable(self, donated: tuple[int, ...]) -> Executable:
        """What runs it this time."""
        global calls
        if config.tier == "interpreted":
            return Interpreted(self.graph)
        if config.tier == "native" or (config.tier == "auto" and not self._is_ready(donated)):
            found = self.pieces = self.pieces or pieces(self.graph, _NAME)
        else:
            calls += 1
            found = self.compiled.get(donated) or executable(self.graph, _NAME, donated=donated)
            self.compiled[donated] = found
        if NATIVE.module is None and isinstance(found, CExecutable):
            NATIVE.arrive(found.native)
        return found

    def _is_ready(self, donated: tuple[int, ...]) -> bool:
        """Whether it has come back often enough to be compiled as a whole, and is so, or may be waited for."""
        if self.sightings < self.due or donated in self.compiled:
            return self.sightings >= self.due
        compiler = find_compiler()
        return config.wait or compiler is None or not is_pending(_NAME, self.graph, compiler, donated)


_PROGRAMS: OrderedDict[Graph, Program] = OrderedDict()
_LOCK = threading.RLock()  # a signal handler may compute while its own thread holds it


def program_of(graph: Graph) -> Program:
    """The program with this structure; the least recently made ones are forgotten."""
    with _LOCK:
        found = _PROGRAMS.get(graph)
        if found is None:
            found = _PROGRAMS[graph] = Program(graph)
            if len(_PROGRAMS) > KEPT:
                _PROGRAMS.popitem(last=False)
        elif graph in _PROGRAMS:  # but for a handler that made many in between
            _PROGRAMS.move_to_end(graph)
        return found


def forget_programs() -> None:
    """Make all programs anew: what they were made by has changed."""
    with _LOCK:
        _PROGRAMS.clear()


class Choice:
    """A program with the slots that it fills, and the positions of inputs over which it may write."""

    __slots__ = ("donated", "outputs", "program")

    def __init__(self, program: Program, outputs: list[int], donated: tuple[int, ...]) -> None:
        self.program, self.outputs, self.donated = program, outputs, donated


class Ending:
    """A node at which programs end.

    `leaves` and `results` are slots; `checked` says that its programs hold checks.  What is alive may differ from run
    to run (garbage collection, a traceback, a notebook): a choice serves where all that is alive is among its results
    and all that it overwrites is dead. After two of them the next one is made for the union of results and the
    intersection of dead inputs.
    """

    __slots__ = ("arrays", "candidates", "checked", "choices", "graph", "known", "leaves", "results")

    def __init__(
        self,
        leaves: list[int],
        results: list[int],
        leaf_avals: list[ShapedArray],
        graph: Callable[[Sequence[int]], Graph],
        checked: bool = False,
    ) -> None:
        self.leaves, self.results, self.checked = leaves, results, checked
        self.arrays = [i for i, a in enumerate(leaf_avals) if a.nbytes >= 256]  # inputs worth writing over
        self.candidates = [leaves[i] for i in self.arrays]
        self.graph = graph
        self.choices: list[tuple[frozenset[int], frozenset[int], Choice]] = []
        self.known: dict[Any, Choice] = {}

    def choose(self, live: tuple[bool, ...], kept: tuple[bool, ...]) -> Choice:
        """The program for results that are alive and inputs (of `arrays`) that somebody keeps."""
        choice = self.known.get((live, kept))
        if choice is None:
            if len(self.known) > 64:
                self.known.clear()
            wanted = frozenset([i for i, alive in enumerate(live) if alive])
            free = frozenset([i for i, d in zip(self.arrays, kept, strict=True) if not d])
            choice = self.known[live, kept] = self._find(wanted, free)
        return choice

    def _find(self, wanted: frozenset[int], free: frozenset[int]) -> Choice:
        for outputs, donated, choice in self.choices:
            if wanted <= outputs and donated <= free:
                return choice
        before = 0
        if len(self.choices) >= 2:
            wanted = wanted.union(*(o for o, _, _ in self.choices))
            free = free.intersection(*(d for _, d, _ in self.choices))
            before = max(c.program.sightings for _, _, c in self.choices)
        slots = [self.results[i] for i in sorted(wanted)]
        program = program_of(self.graph(slots))
        program.sightings = max(program.sightings, before)
        choice = Choice(program, slots, tuple(sorted(free)))
        self.choices.append((wanted, free, choice))
        return choice
