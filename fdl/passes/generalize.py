"""A graph with symbols in place of its sizes, so that it is lowered once for all of them.

Each size of an input, and each number in a param that holds sizes (the primitive's `sizes` rule names these), becomes a
symbol, but for 0 and 1: an axis of one element is repeated, and nothing is a class by itself. The shape rules of the
operations are then run again. What they compare, and what is equal in the graph at hand, is taken for equal: one symbol
stays, and that the others are the same is among the things that the program assumes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fdl.core.avals import Shape
from fdl.core.errors import CompileError
from fdl.core.graph import Atom, Equation, Graph, Literal, Var, subgraphs
from fdl.core.primitive import RULES
from fdl.passes.size import (
    Assumption,
    Extent,
    Size,
    Sizes,
    Symbol,
    at_values,
    example_of,
    replaced,
    solved,
)


@dataclasses.dataclass(frozen=True, slots=True)
class General:
    """A graph whose sizes are symbols; the steps along axes of inputs, empty for those in row-major order; the shapes
    of inputs and the params of equations before sizes were united, where each symbol has its one place; and which
    symbols are other sizes.
    """

    graph: Graph
    sizes: Sizes
    steps: tuple[tuple[Extent, ...], ...]
    shapes: tuple[tuple[Extent, ...], ...]
    params: tuple[tuple[Any, ...], ...]
    united: dict[Symbol, Extent]

    def values(
        self, shapes: Sequence[Shape], steps: Sequence[Sequence[int]], graph: Graph | None = None
    ) -> dict[Symbol, int] | None:
        """What symbols are for inputs of these shapes, at these steps in elements; None where the program is for
        others.

        Params are those of a graph of the same structure. Without one, they are what follows from the inputs, and else
        what they were.
        """
        fits, values = self._told(shapes, steps, graph)
        return values if fits and self.sizes.hold(values) else None

    def graph_at(self, shapes: Sequence[Shape]) -> Graph:
        """The graph for inputs of these shapes, whose params follow from them and are else what they were; ShapeError
        where there is none.
        """
        _, values = self._told(shapes, (), None)

        def known(param: Any) -> Any:
            return _each(lambda size: at_values(size, values), param)

        sizes = [{name: known(e.params[name]) for name in _sized(e)} for e in self.graph.equations]
        return _with_sizes(self.graph, shapes, sizes)

    def _told(
        self, shapes: Sequence[Shape], steps: Sequence[Sequence[int]], graph: Graph | None
    ) -> tuple[bool, dict[Symbol, int]]:
        """Whether numbers that are no symbols are the same, and what symbols are."""
        values: dict[Symbol, int] = {}
        fits = _matches(self.shapes, shapes, values)
        for own, shape, given in zip(self.steps, self.shapes, steps, strict=False):
            walked = [step for step, d in zip(given, shape, strict=False) if d != 1]
            fits = (not own or _matches(own, walked, values)) and fits
        if graph is not None:
            return _matches(self.params, _params(graph), values) and fits, values
        for s in self.sizes.symbols:
            if s.parts is None and s not in values:
                values[s] = at_values(self.united.get(s, s.example), values)
        return fits, values


def _matches(own: Any, given: Any, values: dict[Symbol, int]) -> bool:
    """Whether shapes and params have the numbers that are no symbols; the symbols get their `values`."""
    if isinstance(own, tuple):
        return all([len(own) == len(given), *(_matches(x, y, values) for x, y in zip(own, given, strict=False))])
    if isinstance(own, Size):
        values[own.symbol] = int(given)
    return isinstance(own, Size) or bool(own == given)


def _with_sizes(graph: Graph, shapes: Sequence[Shape], sizes: Sequence[Mapping[str, Any]]) -> Graph:
    """The graph for inputs of these shapes, with these sizes among its params, as its shape rules have it."""
    inputs = tuple(Var(v.aval.update(shape=shape)) for v, shape in zip(graph.inputs, shapes, strict=True))
    env: dict[Var, Var] = dict(zip(graph.inputs, inputs, strict=True))

    def read(atom: Atom) -> Atom:
        return atom if isinstance(atom, Literal) else env[atom]

    equations = []
    for e, own in zip(graph.equations, sizes, strict=True):
        operands, params = tuple(map(read, e.inputs)), {**e.params, **own}
        outputs = tuple(map(Var, e.primitive.infer([x.aval for x in operands], params)))
        env.update(zip(e.outputs, outputs, strict=True))
        equations.append(e.replace(inputs=operands, params=params, outputs=outputs))
    return Graph(inputs, tuple(equations), tuple(map(read, graph.outputs)))


def _sized(e: Equation) -> Sequence[str]:
    """The names of an equation's params that hold sizes."""
    return tuple(RULES["sizes"].get(e.primitive, ()))


def _params(graph: Graph) -> tuple[tuple[Any, ...], ...]:
    """The params of a graph's equations that hold sizes."""
    return tuple(map(sizes_of, graph.equations))


def sizes_of(e: Equation) -> tuple[Any, ...]:
    """The params of an equation that hold sizes."""
    return tuple(e.params[name] for name in _sized(e))


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
    sizes, united = Sizes(), dict[Symbol, Extent]()
    shapes, params = (_with_symbols(x, sizes) for x in (tuple(a.shape for a in graph.in_avals), _params(graph)))
    while True:
        now = [dict(zip(_sized(e), own, strict=True)) for e, own in zip(graph.equations, _put(params, united))]
        with sizes.uniting() as differences:
            made = _with_sizes(graph, _put(shapes, united), now)
        news = [d for d in differences if Assumption(d, exact=True) not in {*sizes.assumptions}]
        if not news:
            break
        for difference in news:
            united = _united(difference, united, sizes)
    ways = zip(made.in_avals, strided or [False] * len(graph.inputs), strict=True)
    steps = tuple(_steps(aval.shape, sizes) if own else () for aval, own in ways)
    return General(made, sizes, steps, shapes, params, united)


def _with_symbols(given: Any, sizes: Sizes) -> Any:
    """Shapes or params with a symbol for each size, but for 0, 1 and what is negative."""
    return _each(lambda x: sizes.symbol(x) if type(x) is int and x > 1 else x, given)


def _put(given: Any, united: Mapping[Symbol, Extent]) -> Any:
    """Shapes or params with what has been united."""
    return _each(lambda x: replaced(x, united), given)


def _each(change: Callable[[Any], Any], given: Any) -> Any:
    """Shapes or params with each of their numbers changed."""
    return tuple(_each(change, x) for x in given) if isinstance(given, tuple) else change(given)


def _united(difference: Extent, united: dict[Symbol, Extent], sizes: Sizes) -> dict[Symbol, Extent]:
    """Note that a difference is assumed to be 0, and put one size for another where one stands by itself."""
    difference = replaced(difference, united)
    if not isinstance(difference, Size):
        return united
    sizes.assume(Assumption(difference, exact=True))
    found = solved(difference)
    new = {} if found is None else {found[0].symbol: found[1]}
    return {s: replaced(value, new) for s, value in united.items()} | new


def _steps(shape: Sequence[Extent], sizes: Sizes) -> tuple[Extent, ...]:
    """A symbol for the step along each axis of an input, but those of one element."""
    found: list[Extent] = []
    dense: Extent = 1
    for d in reversed(shape):
        if d != 1:
            found.append(sizes.symbol(example_of(dense), signed=True, dense=dense))
        dense = dense * d
    return tuple(reversed(found))
