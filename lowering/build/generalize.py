"""A graph with symbols in place of its sizes, so that it is lowered once for all of them.

Each size of an input, and each number in a param that holds sizes (the primitive's `sizes` rule names these), becomes a
symbol, but for 0 and 1: an axis of one element is repeated, and nothing is a class by itself. The shape rules of the
operations are then run again. What they compare, and what is equal in the graph at hand, is taken for equal: one symbol
stays, and that the others are the same is among the things that the program assumes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from fdl.core.avals import Shape
from fdl.core.errors import CompileError
from fdl.core.graph import Atom, Equation, Graph, Literal, Var, subgraphs
from fdl.core.primitive import RULES
from fdl.lowering.build.control import build
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.routines import RoutineTable
from fdl.lowering.ir.size import (
    Assumption,
    Extent,
    Size,
    Sizes,
    Symbol,
    UndecidedSizeError,
    at_most,
    at_values,
    example_of,
    replaced,
    solved,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a symbol is found: `of` is "size" or "step", of input `number` along the axis `place`, or a
    param of equation `number`, in which `place` says which part of which part it is.
    """

    number: int
    of: str
    place: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class General:
    """A graph whose sizes are symbols; the steps along axes of inputs, empty for those in row-major order; where
    symbols get their values, inputs before params; and which symbols are other sizes.
    """

    graph: Graph
    sizes: Sizes
    steps: tuple[tuple[Extent, ...], ...]
    origins: dict[Symbol, Origin]
    united: dict[Symbol, Extent]

    def values(
        self, shapes: Sequence[Shape], steps: Sequence[Sequence[int]], graph: Graph | None = None
    ) -> dict[Symbol, int] | None:
        """What symbols are for inputs of these shapes, at these steps in elements; None where the program is for
        others.

        Params are those of a graph of the same structure. Without one, they are what follows from the inputs, and else
        what they were.
        """
        values = self._told(shapes, steps, graph)
        own = [v.aval.shape for v in self.graph.inputs], [sizes_of(e) for e in self.graph.equations]
        given = shapes, own[1] if graph is None else [sizes_of(e) for e in graph.equations]
        same = all(_fits(tuple(map(tuple, x)), tuple(map(tuple, y))) for x, y in zip(own, given, strict=True))
        return values if same and self.sizes.hold(values) else None

    def graph_at(self, shapes: Sequence[Shape]) -> Graph:
        """The graph for inputs of these shapes, whose params follow from them and are else what they were; ShapeError
        where there is none.
        """
        values = self._told(shapes, None, None)

        def known(param: Any) -> Any:
            return tuple(map(known, param)) if isinstance(param, tuple) else at_values(param, values)

        params = [
            {**e.params, **{name: known(e.params[name]) for name in RULES["sizes"].get(e.primitive, ())}}
            for e in self.graph.equations
        ]
        return _with_sizes(self.graph, shapes, params)

    def _told(
        self, shapes: Sequence[Shape], steps: Sequence[Sequence[int]] | None, graph: Graph | None
    ) -> dict[Symbol, int]:
        values: dict[Symbol, int] = {}
        for s, origin in self.origins.items():
            if origin.of == "size":
                values[s] = _part(shapes[origin.number], origin.place)
            elif origin.of == "step":
                values[s] = s.example if steps is None else _part(steps[origin.number], origin.place)
            elif graph is not None:
                values[s] = _part(graph.equations[origin.number].params[origin.of], origin.place)
            else:
                values[s] = at_values(self.united.get(s, s.example), values)
        return values


def _part(found: Any, place: Sequence[int]) -> int:
    for i in place:
        found = found[i]
    return int(found)


def _fits(own: Any, given: Any) -> bool:
    """Whether shapes and params have the numbers that are no symbols."""
    if isinstance(own, tuple):
        return len(own) == len(given) and all(map(_fits, own, given))
    return isinstance(own, Size) or bool(own == given)


def _with_sizes(graph: Graph, shapes: Sequence[Shape], params: Sequence[Mapping[str, Any]]) -> Graph:
    """The graph for inputs of these shapes, with these params, as the shape rules of its operations have it."""
    inputs = tuple(Var(v.aval.update(shape=shape)) for v, shape in zip(graph.inputs, shapes, strict=True))
    env: dict[Var, Var] = dict(zip(graph.inputs, inputs, strict=True))

    def read(atom: Atom) -> Atom:
        return atom if isinstance(atom, Literal) else env[atom]

    equations = []
    for e, own in zip(graph.equations, params, strict=True):
        operands = tuple(map(read, e.inputs))
        outputs = tuple(map(Var, e.primitive.infer([x.aval for x in operands], own)))
        env.update(zip(e.outputs, outputs, strict=True))
        equations.append(e.replace(inputs=operands, params=own, outputs=outputs))
    return Graph(inputs, tuple(equations), tuple(map(read, graph.outputs)))


def sizes_of(e: Equation) -> tuple[Any, ...]:
    """The params of an equation that hold sizes."""
    return tuple(e.params[name] for name in RULES["sizes"].get(e.primitive, ()))


def generalize(graph: Graph, strided: Sequence[bool] = ()) -> General:
    """A graph for arrays of any size, with those that it is for as examples. Inputs that are `strided` lie at steps
    which the program is told, the others in row-major order.

    Raises CompileError where an operation holds graphs, whose sizes are not looked at.

    >>> import fdl.numpy as jnp
    >>> from fdl.transforms import make_graph
    >>> general = generalize(make_graph(lambda x, y: x * y + y)(jnp.ones((3, 5)), jnp.ones((3, 5))))
    >>> print(general.graph)
    graph (a:float32[n0,n1] b:float32[n0,n1]) {
      c:float32[n0,n1] = mul a b
      d:float32[n0,n1] = add c b
      return d
    }
    >>> general.sizes.assumptions
    [n2 == n0, n3 == n1]
    """
    if graph.constants or any(list(subgraphs(e.params)) for e in graph.equations):
        raise CompileError(
            "a graph with graphs or arrays inside has no program for all sizes",
            why="sizes in loops, branches and constants are not looked at",
            hint="a program for each size",
        )
    maker = _Generalizer(graph)
    while differences := maker.infer():
        maker.unite(differences)
    steps = tuple(
        maker.steps(i, v.aval.shape) if own else ()
        for i, (v, own) in enumerate(zip(maker.made.inputs, strided or [False] * len(graph.inputs), strict=True))
    )
    return General(maker.made, maker.sizes, steps, maker.origins, maker.united)


def build_general(general: General, routines: RoutineTable | None = None) -> Program:
    """The loop program of a graph for arrays of any size. Where a rule compares sizes, those of the example answer, and
    what they say is something that the program assumes.
    """
    while True:
        try:
            return build(general.graph, 0, routines, general.sizes, general.steps)
        except UndecidedSizeError as error:
            known = len(general.sizes.assumptions)
            if error.compared is not None:
                at_most(*error.compared)
            if len(general.sizes.assumptions) == known:
                raise


class _Generalizer:
    """Runs the shape rules of a graph on symbols."""

    def __init__(self, graph: Graph) -> None:
        self.example, self.made = graph, graph
        self.sizes = Sizes()
        self.origins: dict[Symbol, Origin] = {}
        self.united: dict[Symbol, Extent] = {}
        self.shapes = [
            tuple(self._symbol(d, Origin(i, "size", (axis,))) for axis, d in enumerate(aval.shape))
            for i, aval in enumerate(graph.in_avals)
        ]
        self.params = [
            {
                key: self._symbols(value, Origin(i, key, ())) if key in RULES["sizes"].get(e.primitive, ()) else value
                for key, value in e.params.items()
            }
            for i, e in enumerate(graph.equations)
        ]

    def _symbol(self, value: int, origin: Origin) -> Extent:
        if value in (0, 1):
            return value
        size = self.sizes.symbol(value)
        self.origins[size.symbol] = origin
        return size

    def _symbols(self, param: Any, origin: Origin) -> Any:
        if isinstance(param, tuple):
            places = ((*origin.place, i) for i in range(len(param)))
            return tuple(
                self._symbols(x, dataclasses.replace(origin, place=p)) for x, p in zip(param, places, strict=True)
            )
        return self._symbol(param, origin) if type(param) is int and param >= 0 else param

    def steps(self, number: int, shape: Sequence[Extent]) -> tuple[Extent, ...]:
        """A symbol for the step along each axis of an input, but those of one element."""
        found: list[Extent] = []
        dense: Extent = 1
        for axis in reversed(range(len(shape))):
            if shape[axis] != 1:
                step = self.sizes.symbol(example_of(dense), signed=True, dense=dense)
                self.origins[step.symbol] = Origin(number, "step", (axis,))
                found.append(step)
            dense = dense * shape[axis]
        return tuple(reversed(found))

    def _now(self, value: Any) -> Any:
        """A shape or a param with what has been united."""
        return tuple(map(self._now, value)) if isinstance(value, tuple) else replaced(value, self.united)

    def infer(self) -> list[Extent]:
        """Make the graph anew; the differences of sizes that were taken for equal."""
        params = [{key: self._now(value) for key, value in given.items()} for given in self.params]
        with self.sizes.uniting() as differences:
            self.made = _with_sizes(self.example, [self._now(shape) for shape in self.shapes], params)
        return [d for d in differences if self._is_news(d)]

    def _is_news(self, difference: Extent) -> bool:
        return isinstance(difference, Size) and Assumption(difference, exact=True) not in self.sizes.assumptions

    def unite(self, differences: Sequence[Extent]) -> None:
        """Note what is assumed to be equal, and put one size for another where one stands by itself."""
        for given in differences:
            difference = replaced(given, self.united)
            if not isinstance(difference, Size):
                continue
            self.sizes.assume(Assumption(difference, exact=True))
            if found := solved(difference):
                new = {found[0].symbol: found[1]}
                self.united = {s: replaced(value, new) for s, value in self.united.items()} | new
