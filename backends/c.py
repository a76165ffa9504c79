"""The C backend: Graph → passes → loop program → schedule → source → library → executable."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.backends import cache, runtime
from fdl.backends.executable import Executable
from fdl.backends.toolchain import PROGRAM_FLAGS, Compiler
from fdl.core.array import DONATED, Array
from fdl.core.graph import Graph
from fdl.core.source import Location
from fdl.lowering.builder import build
from fdl.lowering.loop_ir import Program
from fdl.lowering.passes import run_passes
from fdl.lowering.render import render_program
from fdl.lowering.schedule import Arena, plan_arena, schedule

_LOADED: dict[str, int] = {}  # address of the program function by library
_LOCK = threading.Lock()
compilations = 0  # compiler starts of this process, for `fdl.testing`


@dataclasses.dataclass(frozen=True)
class Lowered:
    """A program on its way to the compiler, with all that `explain` shows."""

    graph: Graph
    program: Program
    arena: Arena
    source: str
    parallel: bool
    lines: dict[str, list[Location]]


def lower(graph: Graph, donated: Sequence[int] = ()) -> Lowered:
    """All steps before the compiler; `donated` are inputs whose memory outputs may take."""
    optimized = run_passes(graph)
    program = schedule(build(optimized))
    arena = plan_arena(program, donated)
    rendered = render_program(program, arena)
    return Lowered(optimized, program, arena, rendered.source, rendered.parallel, rendered.lines)


def compile_source(source: str, compiler: Compiler) -> str:
    """Path of the library with this source, built if need be."""
    global compilations
    path = cache.folder("programs") / f"{cache.key_of(source, cache.own_digest(), compiler.identity())}.so"
    if not path.exists():
        text = path.with_suffix(".c")
        cache.publish(text, lambda target: target.write_text(source))
        compilations += 1
        cache.publish(path, lambda target: compiler.build([text], target, PROGRAM_FLAGS))
    return str(path)


def _plan(graph: Graph, compiler: Compiler, donated: Sequence[int]) -> dict[str, Any]:
    """Library, arena and mode of a graph: from the cache, else lowered and compiled."""
    key = cache.key_of(graph.digest(), str(tuple(donated)), cache.own_digest(), compiler.identity())
    plan = cache.read_plan(key)
    if plan is None or not _exists(plan):
        lowered = lower(graph, donated)
        in_place = lowered.arena.in_place
        places = [lowered.program.inputs.index(in_place[b]) if b in in_place else -1 for b in lowered.program.outputs]
        plan = {"library": compile_source(lowered.source, compiler), "arena": lowered.arena.size, "parallel": lowered.parallel, "in_place": places}
        cache.write_plan(key, plan)
    return plan


def _exists(plan: dict[str, Any]) -> bool:
    """Whether a plan is whole and names a library of this cache."""
    library = plan.get("library")
    inside = isinstance(library, str) and library.startswith(str(cache.folder("programs")))
    return inside and isinstance(plan.get("arena"), int) and isinstance(plan.get("in_place"), list) and _is_file(library)


def _is_file(path: Any) -> bool:
    return (cache.folder("programs") / str(path).rsplit("/", 1)[-1]).is_file()


class CExecutable(Executable):
    """A graph compiled to a library."""

    def __init__(self, graph: Graph, compiler: Compiler, donated: Sequence[int] = ()) -> None:
        self.graph = graph
        self.in_avals, self.out_avals = tuple(graph.in_avals), tuple(graph.out_avals)
        self.native = runtime.load(compiler)
        plan = _plan(graph, compiler, donated)
        with _LOCK:
            if plan["library"] not in _LOADED:
                _LOADED[plan["library"]] = self.native.load(plan["library"])
        self.arena, self.parallel, self.in_place = plan["arena"], bool(plan["parallel"]), tuple(plan["in_place"])
        self.address = _LOADED[plan["library"]]
        self.run = self._native_program((), False, False)

    def _native_program(self, captured: Sequence[Array], single: bool, fast: bool) -> Callable[..., Any]:
        sizes = tuple(max(a.nbytes, 1) for a in self.out_avals)
        own = self.in_avals[len(captured) :]
        program: Callable[..., Any] = self.native.program(
            self.address,
            len(self.in_avals),
            sizes,
            self.arena,
            int(self.parallel),
            Array,
            own,
            self.out_avals,
            tuple(captured),
            int(single),
            NotImplemented,
            int(fast),
            self.in_place,
        )
        return program

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        outs = self.run(list(arrays))
        if outs is NotImplemented:
            outs = self.run([_readable(a) for a in arrays])
        results: list[Array] = outs
        return results

    def entry(self, captured: Sequence[Array], single: bool, unflatten: Callable[[Sequence[Array]], Any]) -> Callable[..., Any]:
        fast = self._native_program(captured, single, True)
        if single:
            return fast

        def with_structure(*args: Any) -> Any:
            outs = fast(*args)
            return outs if outs is NotImplemented else unflatten(outs)

        return with_structure


def _readable(array: Array) -> Array:
    """The array with data that the runtime reads: its own buffer, or bytes in order.  A view is made whole once, for all later calls."""
    data = array._data
    if type(data) is not np.ndarray and data is not DONATED:
        return array
    whole = np.ascontiguousarray(array._numpy()).reshape(array.shape)
    if whole is not data:
        whole.flags.writeable = False
        array._data = whole
    return Array(array.aval, whole.reshape(-1).view(np.uint8))
