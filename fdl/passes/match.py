"""What passes look for: elementwise primitives, which their functions carry, by their rules what holds graphs, and
what makes an operand. `rewritten` is the sweep of those that look at an equation and at these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fdl import ops
from fdl.core.graph import Atom, Equation, Graph, use_counts
from fdl.core.primitive import RULES, Primitive
from fdl.ops.axes import convert_p
from fdl.ops.elementwise import select_p
from fdl.passes.prune import prune


def _declared(*functions: Any) -> list[Primitive]:
    return [f.primitive for f in functions]


ADD, SUB, MUL, DIV, NEG = _declared(ops.add, ops.sub, ops.mul, ops.div, ops.neg)
STOP_GRADIENT, BARRIER = _declared(ops.stop_gradient, ops.barrier)

# Whose result is the nearest number, whoever works it out
_COMPARISONS = _declared(ops.equal, ops.not_equal, ops.less, ops.less_equal, ops.greater, ops.greater_equal)
_BITS = _declared(ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor, ops.bitwise_not)
_OTHERS = _declared(ops.maximum, ops.minimum, ops.abs, ops.sign, ops.rem)
EXACT = frozenset([ADD, SUB, MUL, DIV, NEG, convert_p, select_p, *_COMPARISONS, *_BITS, *_OTHERS])


class Steps(NamedTuple):
    """A loop of known length: at each step `graph` takes `num_consts` operands that stay, `num_carry` that the step
    before gave, and slices of the others; it gives the carry of the next step, and then what is stacked.
    """

    graph: Graph
    num_consts: int
    num_carry: int
    length: int


def in_subgraphs(e: Equation, f: Callable[[Graph], Graph]) -> Equation:
    """The equation with `f` of each graph that it holds, alone or in tuples; itself where it holds none."""

    def of(value: Any) -> Any:
        if isinstance(value, Graph):
            return f(value)
        # tuples of other things stay what they are, named ones too
        return tuple(map(of, value)) if isinstance(value, tuple) and any(isinstance(v, Graph) for v in value) else value

    changed = {name: new for name, value in e.params.items() if (new := of(value)) is not value}
    return e.replace(params={**e.params, **changed}) if changed else e


def reading(e: Equation, names: Mapping[Atom, Atom]) -> Equation:
    """The equation with operands that have other names; itself where none has."""
    if not any(a in names for a in e.inputs):
        return e
    return e.replace(inputs=tuple(names.get(a, a) for a in e.inputs))


def called_graph(e: Equation) -> Graph | None:
    """The graph that an equation evaluates once, whole, if it is a call: of `call`, of functions with custom rules."""
    rule = RULES["called"].get(e.primitive)
    graph: Graph | None = None if rule is None else rule(**e.params)
    return graph


def steps_of(e: Equation) -> Steps | None:
    """What an equation does at each step, if it is a loop of known length."""
    rule = RULES["steps"].get(e.primitive)
    steps: Steps | None = None if rule is None else rule(**e.params)
    return steps


def sole_makers(graph: Graph) -> dict[Atom, Equation]:
    """By result that is read once in all, the equation that makes it."""
    uses = use_counts(graph)
    return {v: e for e in graph.equations for v in e.outputs if uses[v] == 1}


Changes = Mapping[Equation, Sequence[Equation]]  # what stands in the place of equations


def rewritten(graph: Graph, rule: Callable[[Equation, Mapping[Atom, Equation]], Changes]) -> Graph:
    """The graph, and those in it, with the changes that `rule` tells for each equation and the `sole_makers` of
    operands; what is dead then is gone.
    """
    makers, changes = sole_makers(graph), dict[Equation, Sequence[Equation]]()
    for e in graph.equations:
        changes.update(rule(e, makers))
    equations: list[Equation] = []
    for e in graph.equations:
        equations += changes[e] if e in changes else [in_subgraphs(e, lambda inner: rewritten(inner, rule))]
    return prune(Graph(graph.inputs, tuple(equations), graph.outputs, graph.constants))
