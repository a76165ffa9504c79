"""Calls become the equations of their graphs."""

from __future__ import annotations

from collections.abc import Sequence

from fdl.core.graph import Atom, Equation, Graph, Var
from fdl.passes.match import called_graph, in_subgraphs


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
        source = e.source if caller is None else caller.source or e.source
        e = e.replace(inputs=tuple(env.get(a, a) for a in e.inputs), source=source)
        inner = called_graph(e)
        if inner is not None:
            outputs = _spliced(inner, e.inputs, out, e)
        else:
            outputs = e.outputs if caller is None else tuple(Var(v.aval) for v in e.outputs)
            out.append(e.replace(outputs=outputs, params=in_subgraphs(e, inline)))
        env.update(zip(e.outputs, outputs, strict=True))
    return tuple(env.get(a, a) for a in graph.outputs)
