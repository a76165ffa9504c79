"""The C backend: Graph → passes → loop program → schedule → source → library → executable."""

from __future__ import annotations

import ctypes
import dataclasses
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from fdl.backends import cache, runtime
from fdl.backends.executable import Executable, as_operand_array, refuse
from fdl.backends.native import NATIVE
from fdl.backends.toolchain import PROGRAM_FLAGS, Compiler
from fdl.core import dtypes
from fdl.core.array import DONATED, ConcreteArray
from fdl.core.avals import ShapedArray
from fdl.core.graph import Graph, subgraphs
from fdl.core.limits import check_bytes
from fdl.core.pytree import TreeDef
from fdl.lowering.ir.nodes import Dot
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.ir.spellings import SUFFIX, changed_rows
from fdl.lowering.pipeline import Lowered, lower
from fdl.passes.checks import lift_checks
from fdl.passes.match import called_graph

_LOADED: dict[tuple[str, str], int] = {}  # addresses of program functions by library and name
_LOCK = threading.RLock()  # a signal handler may compute while its own thread holds it
compilations = 0  # compiler starts of this process, for `fdl.testing`


@dataclasses.dataclass(frozen=True)
class Plan:
    """What running a program takes, as the disk cache keeps it: a file name in the cache, bytes of the arena and of
    each thread, whether it wants a region, results in place, element types of matrix products.
    """

    library: str
    arena: int
    own: int
    parallel: bool
    in_place: list[int]
    products: list[str]

    @classmethod
    def read(cls, key: str, graph: Graph) -> Plan | None:
        """The plan of a graph in the cache, None where it is missing, damaged, no plan of such a graph, or without its
        library.
        """
        found = cache.read_plan(key)
        if found is None or found.keys() != {f.name for f in dataclasses.fields(cls)}:
            return None
        plan = cls(**found)
        return (
            plan
            if plan._fits(graph) and Path(plan.library).name == plan.library and cache.is_whole(plan.path)
            else None
        )

    def _fits(self, graph: Graph) -> bool:
        """Whether types and sizes can be those of a program of the graph."""
        places = self.in_place
        return (
            isinstance(self.library, str)
            and all(type(size) is int and 0 <= size < 1 << 47 for size in (self.arena, self.own))
            and type(self.parallel) is bool
            and isinstance(places, list)
            and len(places) == len(graph.outputs)
            and all(
                type(i) is int and (i == -1 or (0 <= i < len(graph.inputs) and graph.in_avals[i].nbytes == aval.nbytes))
                for i, aval in zip(places, graph.out_avals, strict=True)
            )
            and isinstance(self.products, list)
            and all(suffix in runtime.TYPES for suffix in self.products)
        )

    @property
    def path(self) -> Path:
        """The library in this cache."""
        return cache.folder("programs") / self.library


def compile_source(source: str, units: int, compiler: Compiler) -> str:
    """Name of the library with this source, built if need be: a large one in several parts at the same time."""
    global compilations
    stem = cache.key_of(source, cache.own_digest(), compiler.identity())
    path = cache.find("programs", stem)
    if path is None:
        text = cache.keep_text("programs", f"{stem}.c", source)
        compilations += 1
        path = cache.keep("programs", stem, lambda target: compiler.build([text] * units, target, PROGRAM_FLAGS))
    return path.name


def products_of(lowered: Lowered) -> list[str]:
    """Element types of the matrix products in a program, by their suffix."""
    return sorted({SUFFIX[n.lhs.buffer.dtype] for n in all_nodes(lowered.program.nodes) if isinstance(n, Dot)})


def plan_of(lowered: Lowered, compiler: Compiler) -> Plan:
    """What a lowered program takes to run, its library built if need be."""
    program, in_place = lowered.program, lowered.arena.in_place
    products = products_of(lowered)
    runtime.begin(compiler, products)
    places = [
        program.inputs.index(in_place[b]) if b in in_place else -1
        for b in program.outputs[: len(program.outputs) - program.guards]
    ]
    return Plan(
        compile_source(lowered.source, lowered.planned.units, compiler),
        lowered.arena.size,
        lowered.arena.own,
        lowered.parallel,
        places,
        products,
    )


def load_program(plan: Plan, compiler: Compiler) -> tuple[Any, int]:
    """The runtime library, and where a program's function lies; OSError where files cannot be written or loaded."""
    native = runtime.load(compiler)
    for suffix in plan.products:
        runtime.load_products(compiler, suffix)
    return native, load_function(native, plan.path)


def load_function(native: Any, path: Path, name: str = "fdl_program") -> int:
    """Where a function of a library lies; OSError where the library cannot be loaded."""
    key = str(path), name
    with _LOCK, runtime.loading():
        if key not in _LOADED:
            _LOADED[key] = native.load(*key)
    return _LOADED[key]


def make_plan(graph: Graph, compiler: Compiler, donated: Sequence[int]) -> Plan:
    """The plan of a graph: from the cache, else lowered and compiled."""
    if not is_told_by_its_text(graph):
        return plan_of(lower(graph, compiler.target, donated), compiler)
    key = key_of(graph, compiler, donated)
    plan = Plan.read(key, graph)
    if plan is None:
        plan = plan_of(lower(graph, compiler.target, donated), compiler)
        cache.write_plan(key, dataclasses.asdict(plan))
    return plan


def key_of(graph: Graph, compiler: Compiler, donated: Sequence[int]) -> str:
    """What the plan of a graph that is told by its text is found by in the cache."""
    return cache.key_of(
        graph.digest(),
        str(tuple(donated)),
        cache.own_digest(),
        changed_rows(),
        compiler.identity(),
        repr(compiler.target),
    )


def is_told_by_its_text(graph: Graph) -> bool:
    """Whether a graph's text and fdl's own files say what it computes: not where an operation, a rule or a function
    comes from elsewhere.
    """
    graphs = [graph]
    while graphs:
        for e in graphs.pop().equations:
            if not e.primitive.is_as_written() or any(map(_holds_function, e.params.values())):
                return False
            called = called_graph(e)
            graphs += subgraphs(e.params) if called is None else (called,)
    return True


def _holds_function(param: Any) -> bool:
    return (
        any(map(_holds_function, param))
        if isinstance(param, tuple)
        else callable(param) and not isinstance(param, type)
    )


def _multiplies(graph: Graph) -> bool:
    """Whether products of floats are likely in a program: their library takes as long to compile as the program takes
    to be lowered.
    """
    return any(
        (e.primitive.name in ("dot_general", "conv") and e.outputs[0].aval.dtype == dtypes.float32)
        or any(map(_multiplies, subgraphs(e.params)))
        for e in graph.equations
    )


class CExecutable(Executable):
    """A graph compiled to a library."""

    told: Any = None  # memory that the program is told of before its arguments

    def __init__(
        self, graph: Graph, compiler: Compiler, donated: Sequence[int] = (), plan: Callable[[], Plan] | None = None
    ) -> None:
        self.graph = graph
        self.in_avals, self.out_avals = tuple(graph.in_avals), tuple(graph.out_avals)
        self.guards = len(lift_checks(graph).checks)
        results = sum(aval.nbytes for aval in self.out_avals)
        check_bytes("a program", results)
        self.plan, self.native, self.address = cache.usable(lambda: self._load(compiler, donated, plan))
        check_bytes("a program", results + self.plan.arena + self.plan.own)
        self.run = self._native_program((), "run", donated=donated)
        self.into = self._native_program((), "fill")

    def _load(
        self, compiler: Compiler, donated: Sequence[int], plan: Callable[[], Plan] | None
    ) -> tuple[Plan, Any, int]:
        """The plan, the runtime library, and where the program's function lies; OSError where files cannot be written
        or loaded.
        """
        if not _LOADED:
            runtime.begin(compiler, ["f32"] if _multiplies(self.graph) else [])
        found = plan() if plan is not None else make_plan(self.graph, compiler, donated)
        return found, *load_program(found, compiler)

    def _native_program(
        self, captured: Sequence[ConcreteArray], kind: str, patterns: tuple[Any, ...] = (), donated: Sequence[int] = ()
    ) -> Callable[..., Any]:
        sizes = tuple([max(a.nbytes, 1) for a in self.out_avals] + [1] * self.guards)
        own = self.in_avals[len(captured) :]
        program: Callable[..., Any] = self.native.program(
            (self.address, self.told),
            len(self.in_avals),
            sizes,
            (self.plan.arena, self.plan.own),
            int(self.plan.parallel),
            ConcreteArray,
            own,
            self.out_avals,
            tuple(captured),
            patterns,
            NotImplemented,
            ("run", "fast", "fill").index(kind),
            tuple(self.plan.in_place),
            "".join(map(number_code, self.in_avals)),
            "".join("1" if i in donated else "0" for i in range(len(own))),
            DONATED,
            (self.guards, self._refusing()),
        )
        return program

    def _refusing(self) -> Callable[[Sequence[Any]], Any] | None:
        """`refuse`, for who does not keep this alive: the library's object is no part of what Python collects."""
        if not self.guards:
            return None
        executable = weakref.ref(self)

        def refuse(arrays: Sequence[Any]) -> None:
            found = executable()
            assert found is not None, "whoever runs a program keeps it"
            found.refuse(arrays)

        return refuse

    def refuse(self, arrays: Sequence[Any]) -> NoReturn:
        """Raise what the first check that fails for these inputs says."""
        values = [as_operand_array(x, aval)._numpy() for x, aval in zip(arrays, self.in_avals, strict=True)]
        refuse(self.graph, values)

    def table(self, name: str, count: int) -> Any:
        """Numbers that the program keeps under a name, as doubles that can be read and set."""
        return (ctypes.c_double * count).in_dll(ctypes.CDLL(str(self.plan.path)), name)

    def __call__(self, arrays: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        outs = self.run(list(arrays))
        if outs is NotImplemented:
            outs = self.run([_readable(a) for a in arrays])
        results: list[ConcreteArray] = outs
        return results

    def fill(self, values: list[Any], leaves: list[int], outputs: list[int]) -> None:
        if self.into(values, leaves, outputs) is NotImplemented:
            readable = [
                _readable(as_operand_array(values[s], aval)) for s, aval in zip(leaves, self.in_avals, strict=True)
            ]
            outs = [values[s] for s in outputs]
            n = len(readable)
            self.into(readable + outs, list(range(n)), list(range(n, n + len(outs))))

    def entry(
        self, captured: Sequence[ConcreteArray], given: TreeDef, result: TreeDef, donated: Sequence[int]
    ) -> Callable[..., Any] | None:
        patterns = pattern_of(given), pattern_of(result)
        if None in patterns or not NATIVE.used:
            return None
        return self._native_program(captured, "fast", patterns, donated)


_KINDS: dict[Any, int] = {tuple: 1, list: 2, dict: 3, type(None): 4}


def pattern_of(tree: TreeDef) -> tuple[Any, ...] | None:
    """A structure as the runtime reads it: nested (kind, children ...), keys after a dict's kind; None where it has
    nodes of other classes.
    """
    if tree.cls is None:
        return (0,)
    children = [pattern_of(c) for c in tree.children]
    if tree.cls not in _KINDS or None in children:
        return None
    return (_KINDS[tree.cls], *([tree.aux] if tree.cls is dict else []), *children)


_NUMBER_CODES = {
    dtypes.float32: "f",
    dtypes.float64: "d",
    dtypes.int32: "i",
    dtypes.int64: "l",
    dtypes.uint32: "I",
    dtypes.bool_: "?",
}


def number_code(aval: ShapedArray) -> str:
    """How the runtime stores a Python number that is given for an input of this type; `-` where it does not."""
    return "-" if aval.shape else _NUMBER_CODES.get(aval.dtype, "-")


def _readable(array: ConcreteArray) -> ConcreteArray:
    """The array with data that the runtime reads: its own buffer, or bytes in order. A view is made whole once, for all
    later calls.
    """
    data = array.block_until_ready()._data
    if type(data) is not np.ndarray and data is not DONATED:
        return array
    whole = np.ascontiguousarray(array._numpy()).reshape(array.shape)
    if whole is not data:
        whole.flags.writeable = False
        array._data = whole
    return ConcreteArray(array.aval, whole.reshape(-1).view(np.uint8))
