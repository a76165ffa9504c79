"""Checks become results: what a program, a loop or a branch has found, for whoever runs it to look at."""

from __future__ import annotations

from typing import NamedTuple

from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.ops.checks import check_p
from fdl.ops.reduction import reduce_max_p
from fdl.passes.inline import inline
from fdl.passes.prune import prune


class Lifted(NamedTuple):
    """A graph that returns a 0-d bool more for each check, true where it fails, and the checks as they stood."""

    graph: Graph
    checks: tuple[Equation, ...]


def lift_checks(graph: Graph) -> Lifted:
    """The graph without checks, whose masks are folded and returned after its results; calls that hold checks are
    inlined.

    >>> from fdl import ops
    >>> from fdl.transforms import make_graph
    >>> def root(x):
    ...     ops.check(ops.less(x, 0.0), ops.Failure(ValueError, "negative", "negative"))
    ...     return ops.sqrt(x)
    >>> graph = make_graph(root)(4.0)
    >>> print(graph)
    graph (a:float32*[]) {
      b:bool[] = lt a 0.0:float32*
      check[failure=(<class 'ValueError'>,negative,negative,)] b
      c:float32*[] = sqrt a
      return c
    }
    >>> print(lift_checks(graph).graph)
    graph (a:float32*[]) {
      b:bool[] = lt a 0.0:float32*
      c:float32*[] = sqrt a
      return c b
    }
    """
    if "check" not in graph.effects:
        return Lifted(graph, ())
    whole = inline(graph)
    flags: list[Atom] = []
    checks: list[Equation] = []
    equations: list[Equation] = []
    for e in whole.equations:
        if e.primitive is not check_p:
            equations.append(e)
            continue
        checks.append(e)
        mask = e.inputs[0]
        if mask.aval.shape and not mask.aval.size:
            flags.append(Literal(False, mask.aval.dtype, False))
        elif mask.aval.shape:
            params = {"axes": tuple(range(mask.aval.ndim))}
            flag = Var(mask.aval.update(shape=()))
            equations.append(Equation(reduce_max_p, (mask,), params, (flag,), source=e.source))
            flags.append(flag)
        else:
            flags.append(mask)
    return Lifted(
        prune(Graph(whole.inputs, tuple(equations), (*whole.outputs, *flags), whole.constants)), tuple(checks)
    )


def only_checks(graph: Graph) -> Graph:
    """What leads to the checks of a graph, without its results.

    >>> import numpy as np
    >>> only_checks(Graph((), (), (Literal(1.0, np.dtype(np.float32)),))).outputs
    ()
    """
    whole = inline(graph)
    return prune(Graph(whole.inputs, whole.equations, (), whole.constants))
