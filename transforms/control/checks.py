"""Checks inside of loops and branches: the graphs that are bound hold none, but return what their checks found, which
is checked outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fdl.core import dtypes
from fdl.core.graph import Equation, Graph, Literal, bind_graph
from fdl.ops.checks import Failure, check
from fdl.ops.elementwise import bitwise_and, bitwise_not, bitwise_or
from fdl.passes.checks import lift_checks
from fdl.transforms.stage import stage_derived


class Found(NamedTuple):
    """What graphs return after so many `results`: a 0-d bool for each of these failures."""

    results: int
    failures: tuple[Failure, ...] = ()

    def looked_at(self, outs: Sequence[Any]) -> list[Any]:
        """The results, once what stands after them is checked."""
        for flag, failure in zip(outs[self.results :], self.failures, strict=True):
            check(flag, failure)
        return list(outs[: self.results])


def _failures(checks: Sequence[Equation]) -> tuple[Failure, ...]:
    """Of lifted checks; the places of their masks are gone, and so are the values that would be shown."""
    return tuple([f._replace(message=f.plain) for f in (e.params["failure"] for e in checks)])


def lift_from_body(graph: Graph) -> tuple[Graph, Found]:
    """A body that returns what its checks found after its results."""
    lifted = lift_checks(graph)
    return lifted.graph, Found(len(graph.outputs), _failures(lifted.checks))


def lift_from_branches(graphs: Sequence[Graph]) -> tuple[tuple[Graph, ...], Found]:
    """Branches of one signature, each of which returns what its own checks found and false in the place
    of the others'.
    """
    count = len(graphs[0].outputs)
    lifted = [lift_checks(g) for g in graphs]
    failures = [f for g in lifted for f in _failures(g.checks)]
    if not failures:
        return tuple(graphs), Found(count)
    widened = []
    start = 0
    for g in lifted:
        flags = g.graph.outputs[count:]
        before, after = start, len(failures) - start - len(flags)
        false = Literal(False, dtypes.bool_, False)
        widened.append(
            Graph(
                g.graph.inputs,
                g.graph.equations,
                (*g.graph.outputs[:count], *[false] * before, *flags, *[false] * after),
                g.graph.constants,
            )
        )
        start += len(flags)
    return tuple(widened), Found(count, tuple(failures))


def lift_from_while(test: Graph, body: Graph) -> tuple[Graph, Graph, Found, Found]:
    """A condition and a body whose carry ends with what the body's checks have found so far, and both their findings; a
    check that fails ends the loop.

    So what the condition's own checks find is what they find of the last carry.
    """
    tests, bodies = lift_checks(test), lift_checks(body)
    count, failures = len(body.outputs), _failures(bodies.checks)
    found, of_test = Found(count, failures), Found(1, _failures(tests.checks))
    if not failures and not tests.checks:
        return test, body, found, of_test

    def split(xs: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        return xs[: len(xs) - len(failures)], xs[len(xs) - len(failures) :]

    def goes_on(*xs: Any) -> list[Any]:
        given, flags = split(xs)
        holds, *own = bind_graph(tests.graph, given)
        for flag in (*own, *flags):
            holds = bitwise_and(holds, bitwise_not(flag))
        return [holds]

    def step(*xs: Any) -> list[Any]:
        given, flags = split(xs)
        outs = bind_graph(bodies.graph, given)
        return [*outs[:count], *map(bitwise_or, flags, outs[count:])]

    avals = bodies.graph.out_avals[count:]
    return (
        stage_derived(goes_on, [*test.in_avals, *avals]),
        stage_derived(step, [*body.in_avals, *avals]),
        found,
        of_test,
    )
