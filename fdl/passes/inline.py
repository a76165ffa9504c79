"""Calls become the equations of their graphs."""

from __future__ import annotations

from collections.abc import Sequence

from fdl.core.graph import Atom, Equation, Graph, Var
from fdl.passes.match import called_graph, in_subgraphs, reading


def inline(graph: Graph) -> Graph:
    """The graph without calls, at any depth; sub-graphs of loops and branches are inlined too.

    >>> import fdl, fdl.numpy as jnp
    >>> from fdl.transforms import make_graph
    >>> graph = make_graph(lambda x: fdl.jit(jnp.exp)(x) + 1)(0.0)
    >>> print(graph)
    graph (a:float32*[]) {
      b:float32*[] = call[mode=jit name=exp] a
        graph (a:float32*[]) {
          b:float32*[] = exp a
          return b
        }
      c:float32*[] = add b 1.0:float32*
      return c
    }
    >>> print(inline(graph))
    graph (a:float32*[]) {
      b:float32*[] = exp a
      c:float32*[] = add b 1.0:float32*
      return c
    }
    """
    equations: list[Equation] = []
    outputs = _spliced(graph, graph.inputs, equations, None)
    return Graph(graph.inputs, tuple(equations), outputs, graph.constants)


def _spliced(graph: Graph, inputs: Sequence[Atom], out: list[Equation], caller: Equation | None) -> tuple[Atom, ...]:
    """Append the equations of a graph for these inputs, and give its outputs; where the graph is called, results have
    names of their own, and the call's line.
    """
    env: dict[Atom, Atom] = dict(zip(graph.inputs, inputs, strict=True))
    for e in graph.equations:
        own, inner = reading(e, env), called_graph(e)
        if caller is not None and caller.source is not None:
            own = own.replace(source=caller.source)
        if inner is not None:
            env.update(zip(e.outputs, _spliced(inner, own.inputs, out, own), strict=True))
            continue
        if caller is not None:
            own = own.replace(outputs=tuple(Var(v.aval) for v in e.outputs))
            env.update(zip(e.outputs, own.outputs, strict=True))
        out.append(in_subgraphs(own, inline))
    return tuple(env.get(a, a) for a in graph.outputs)
