"""Dead code: equations, captured constants and sub-expressions that no output and no effect needs."""

from __future__ import annotations

from fdl.core.graph import Equation, Graph, Var


def prune(graph: Graph) -> Graph:
    """The graph without equations whose results nothing reads; its inputs stay.

    >>> import dataclasses, fdl.numpy as jnp
    >>> from fdl.transforms import make_graph
    >>> both = make_graph(lambda x: (x + 1, jnp.exp(x)))(0.0)
    >>> graph = dataclasses.replace(both, outputs=both.outputs[:1])
    >>> print(graph)
    graph (a:float32*[]) {
      b:float32*[] = add a 1.0:float32*
      c:float32*[] = exp a
      return b
    }
    >>> print(prune(graph))
    graph (a:float32*[]) {
      b:float32*[] = add a 1.0:float32*
      return b
    }
    """
    needed = {a for a in graph.outputs if isinstance(a, Var)}
    kept: list[Equation] = []
    for e in reversed(graph.equations):
        if e.effects or any(v in needed for v in e.outputs):
            kept.append(e)
            needed.update(a for a in e.inputs if isinstance(a, Var))
    if len(kept) == len(graph.equations) and all(v in needed for v, _ in graph.constants):
        return graph
    return Graph(
        graph.inputs, tuple(reversed(kept)), graph.outputs, tuple((v, x) for v, x in graph.constants if v in needed)
    )
