"""Programs for arrays of any size: a graph is lowered and compiled once, and called with whatever sizes and steps.

A program has the bits of the one that is compiled for the sizes at hand. What it assumes of them, since the order of a
sum or a broadcast follows from it, is checked at each call; for sizes that it is not for there is another program. So a
`Family` is a graph, and the few programs that serve all its sizes.
"""

from __future__ import annotations

import ctypes
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fdl.backends import cache, recipe, runtime
from fdl.backends.c import compile_source, is_told_by_its_text, load_function, products_of
from fdl.backends.recipe import Recipe
from fdl.backends.toolchain import Compiler
from fdl.core.array import ConcreteArray
from fdl.core.avals import Shape, ShapedArray
from fdl.core.errors import DtypeError
from fdl.core.graph import Graph
from fdl.core.limits import check_bytes
from fdl.lowering.pipeline import lower_general
from fdl.passes.generalize import General, generalize, sizes_of
from fdl.passes.size import Symbol

_FUNCTION = "fdl_program"  # of a program by itself; beside others it has a number
_LARGE = 20_000  # letters of source from which it is compiled in two units
_CALLS = 256  # of a family, of which what they need is kept


class Compiled(Protocol):
    """A program in a library of the cache: the library's name and the function's, and the element types of matrix
    products in it.
    """

    @property
    def library(self) -> str: ...
    @property
    def function(self) -> str: ...
    @property
    def products(self) -> Sequence[str]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """What calls with some sizes have in common: what the program is told, bytes of its arena and of each thread,
    whether it is worth all threads, and the types of the results.
    """

    program: Compiled
    told: tuple[int, ...]
    arena: int
    own: int
    parallel: bool
    results: tuple[ShapedArray, ...]


class Family:
    """One graph without constants, for arrays of any sizes and steps of the dtypes that it was recorded with.

    >>> import fdl.numpy as jnp
    >>> from fdl.backends.toolchain import find_compiler
    >>> from fdl.transforms import make_graph
    >>> family = Family(make_graph(lambda x: jnp.sum(x, 1))(jnp.ones((2, 3))), find_compiler())
    >>> family([jnp.ones((2, 5))])[0].tolist(), family([jnp.ones((3, 0))])[0].tolist(), family.programs
    ([5.0, 5.0], [0.0, 0.0, 0.0], 1)
    """

    def __init__(self, graph: Graph, compiler: Compiler) -> None:
        self.graph, self.compiler = graph, compiler
        self._general = generalize(graph)
        self._members: list[Member] = []
        self._calls: dict[Any, tuple[Call, ctypes.Array[ctypes.c_long]]] = {}

    @property
    def programs(self) -> int:
        """How many programs have been needed so far."""
        return len(self._members)

    def __call__(self, arrays: Sequence[ConcreteArray], graph: Graph | None = None) -> list[ConcreteArray]:
        """The results for these inputs. Params that hold sizes are those of a `graph` of the same structure; without
        one they follow from the inputs, and are what they were where they do not. DtypeError for other dtypes, or
        another number of inputs, than those of the recording.
        """
        data = [_with_whole_steps(a._numpy()) for a in arrays]
        key = tuple((x.dtype, x.shape, x.strides) for x in data), graph and tuple(map(sizes_of, graph.equations))
        found = self._calls.get(key)
        if found is None:
            if len(self._calls) >= _CALLS:
                self._calls.pop(next(iter(self._calls)), None)
            made = self._prepared(data, graph)
            found = self._calls[key] = made, (ctypes.c_long * len(made.told))(*made.told)
        call, told = found
        native, address = load(call.program, self.compiler)
        outs = [np.empty(aval.shape, aval.dtype) for aval in call.results]
        places = [*(x.ctypes.data for x in (*data, *outs)), ctypes.addressof(told)]
        io = (ctypes.c_void_p * len(places))(*places)
        native.call(address, ctypes.addressof(io), call.arena, int(call.parallel))
        return [ConcreteArray(aval, x) for aval, x in zip(call.results, outs, strict=True)]

    def _prepared(self, data: Sequence[np.ndarray[Any, Any]], graph: Graph | None) -> Call:
        """What calls with such data need."""
        wanted, found = [a.dtype for a in self.graph.in_avals], [x.dtype for x in data]
        if found != wanted:
            raise DtypeError(
                f"a program for inputs of {', '.join(d.name for d in wanted)} got {', '.join(d.name for d in found)}",
                why="sizes and steps may be any, dtypes are those of the recording",
            )
        steps = [tuple(s // x.itemsize for s in x.strides) for x in data]
        return self.call_for([x.shape for x in data], steps, tuple(not x.flags.c_contiguous for x in data), graph)

    def call_for(
        self,
        shapes: Sequence[Shape],
        steps: Sequence[Sequence[int]],
        strided: tuple[bool, ...],
        graph: Graph | None = None,
    ) -> Call:
        """What calls with inputs of these shapes need, at these steps in elements where they are `strided`; the program
        is lowered if there is none yet, and compiled when it is first used.
        """
        for member in self._candidates(shapes, steps, strided, graph):
            values = member.recipe.values(shapes, steps, graph)
            if values is not None:
                if member not in self._members:
                    self._members.append(member)
                return member.call(values)
        raise AssertionError("a program is for what it was made with")

    def _candidates(
        self,
        shapes: Sequence[Shape],
        steps: Sequence[Sequence[int]],
        strided: tuple[bool, ...],
        graph: Graph | None,
    ) -> Iterator[Member]:
        """The programs that there are, then one for sizes like those of the recording, which are all sizes but small
        ones, then one for sizes like those at hand; those that the cache has come before one that is made.
        """
        yield from (m for m in self._members if m.serves(strided))
        at_hand = self._general.graph_at(shapes) if graph is None else graph
        generals = [generalize(like, strided) for like in (self.graph, at_hand)]
        fitting = [g for g in generals if g.values(shapes, steps, graph) is not None]
        told = is_told_by_its_text(self.graph)
        keys = [recipe.key_of(g, self.compiler) if told else "" for g in fitting]
        for general, key in zip(fitting, keys, strict=True):
            if key:
                yield from Member.found(general, key, self.compiler)
        for general, key in zip(fitting, keys, strict=True):
            yield Member.made(general, key, self.compiler)


class Member:
    """One program of a family; compiled when it is first called, unless it was before with others, see `build`."""

    def __init__(self, recipe: Recipe, compiler: Compiler, source: str = "", place: tuple[str, str] | None = None):
        self.recipe, self.compiler, self.source = recipe, compiler, source
        self.products = recipe.products
        self.place = place  # its library and function, once it is compiled
        self.kept = ""  # what recipes of its graph are found by in the cache, where it has none of it yet

    @classmethod
    def found(cls, general: General, key: str, compiler: Compiler) -> Iterator[Member]:
        """Programs of this graph, for these or other sizes, that an earlier process has made."""
        for known in recipe.kept(key):
            try:
                place, made = (known["library"], known["function"]), Recipe.read(known, general.graph)
            except (KeyError, TypeError, ValueError, IndexError):
                continue
            if is_function(place[1]) and is_library(place[0]) and all(x in runtime.TYPES for x in made.products):
                yield cls(made, compiler, place=place)

    @classmethod
    def made(cls, general: General, key: str, compiler: Compiler) -> Member:
        """The program of a graph for sizes like those that it was recorded with."""
        lowered = lower_general(general, compiler.target)
        member = cls(Recipe.of(general, lowered, products_of(lowered)), compiler, lowered.source)
        member.kept = key
        return member

    @property
    def key(self) -> str:
        """What its place is found by in the cache."""
        return cache.key_of("a program for all sizes", self.source, cache.own_digest(), self.compiler.identity())

    @property
    def library(self) -> str:
        return self._placed()[0]

    @property
    def function(self) -> str:
        return self._placed()[1]

    def _placed(self) -> tuple[str, str]:
        if self.place is None:
            build([self], self.compiler)
        assert self.place is not None
        return self.place

    def serves(self, strided: Sequence[bool]) -> bool:
        """Whether inputs may lie at steps where these do."""
        return all(steps or not own for steps, own in zip(self.recipe.general.steps, strided, strict=True))

    def call(self, values: dict[Symbol, int]) -> Call:
        """What is needed to call it where its symbols have these values."""
        told, arena, parallel, results = self.recipe.called(values, self.compiler.target)
        check_bytes("a program", arena + sum(a.nbytes for a in results))
        return Call(self, told, arena, 0, parallel, results)


def load(program: Compiled, compiler: Compiler) -> tuple[Any, int]:
    """The runtime library, and where a program's function lies; OSError where files cannot be written or loaded."""
    native = runtime.load(compiler)
    for suffix in program.products:
        runtime.load_products(compiler, suffix)
    return native, load_function(native, cache.folder("programs") / program.library, program.function)


def build(members: Iterable[Member], compiler: Compiler) -> None:
    """Let programs have their place in a library: one that an earlier process has made, else all in a new one."""
    missing: list[Member] = []
    libraries: dict[Any, bool] = {}
    for m in dict.fromkeys(members):
        if m.place is None:
            m.place = _known_place(m.key, libraries)
            _remember(m)
        if m.place is None:
            missing.append(m)
    if not missing:
        return
    runtime.begin(compiler, {suffix for m in missing for suffix in m.products})
    texts = [_renamed(m.source, i) for i, m in enumerate(missing)]
    units = 2 if sum(map(len, texts)) > _LARGE else 1
    library = compile_source(_joined(texts, units), units, compiler)
    for i, m in enumerate(missing):
        m.place = library, f"{_FUNCTION}_{i}"
        cache.write_plan(m.key, dict(zip(("library", "function"), m.place, strict=True)))
        _remember(m)


def _remember(m: Member) -> None:
    """Let the cache have the recipe of a program that is compiled."""
    if m.kept and m.place is not None:
        recipe.keep(m.kept, m.recipe, *m.place)
        m.kept = ""


def _known_place(key: str, libraries: dict[Any, bool]) -> tuple[str, str] | None:
    """Where the cache says that a program lies; None where it does not, or there is no such library. `libraries` are
    those that have been looked at, and whether they are there.
    """
    found = cache.read_plan(key)
    if found is None or found.keys() != {"library", "function"} or not is_function(found["function"]):
        return None
    library = found["library"]
    if library not in libraries:
        libraries[library] = is_library(library)
    return (library, found["function"]) if libraries[library] else None


def is_library(name: Any) -> bool:
    """Whether there is a whole library of this name in the cache."""
    return isinstance(name, str) and Path(name).name == name and cache.is_whole(cache.folder("programs") / name)


def is_function(name: Any) -> bool:
    """Whether a program may be called so."""
    return isinstance(name, str) and re.fullmatch(rf"{_FUNCTION}(_\d+)?", name) is not None


def _renamed(source: str, number: int) -> str:
    """The text of a program with names of its own for all its functions."""
    return re.sub(rf"\b({_FUNCTION}|fdl_branch_\d+|k\d+)\b", rf"\1_{number}", source)


def _joined(texts: Sequence[str], units: int) -> str:
    """One text of several, each in one of some units, the longest first."""
    load = [0] * units
    parts: list[list[str]] = [[] for _ in load]
    for text in sorted(texts, key=len, reverse=True):
        unit = load.index(min(load))
        load[unit] += len(text)
        parts[unit].append(text)
    if units == 1:
        return "\n".join(parts[0])
    return "\n".join(f"#if FDL_UNIT == {i}\n{''.join(part)}#endif" for i, part in enumerate(parts))


def _with_whole_steps(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array, copied where elements lie between those that it walks over."""
    return np.ascontiguousarray(x) if any(s % x.itemsize for s in x.strides) else x
