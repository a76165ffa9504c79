"""Calls become the equations of their graphs."""

from __future__ import annotations

from typing import Any

from fdl.core.graph import Atom, Equation, Graph, Literal, Var
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
    env: dict[Var, Atom] = {}
    _splice(graph, env, equations, None)
    return Graph(graph.inputs, tuple(equations), tuple(_read(a, env) for a in graph.outputs), graph.constants)


def _read(a: Atom, env: dict[Var, Atom]) -> Atom:
    return a if isinstance(a, Literal) else env.get(a, a)


def _splice(graph: Graph, env: dict[Var, Atom], out: list[Equation], line: Any) -> None:
    """Append the equations of a graph, renamed where it was called."""
    renamed = line is not None
    for e in graph.equations:
        inputs = tuple(_read(a, env) for a in e.inputs)
        inner = called_graph(e)
        if inner is not None:
            inner_env: dict[Var, Atom] = dict(zip(inner.inputs, inputs, strict=True))
            _splice(inner, inner_env, out, line or e.source or True)
            env.update({v: _read(a, inner_env) for v, a in zip(e.outputs, inner.outputs, strict=True)})
            continue
        outputs = tuple(Var(v.aval) for v in e.outputs) if renamed else e.outputs
        env.update(zip(e.outputs, outputs, strict=True))
        source = line if line not in (None, True) else e.source
        out.append(e.replace(inputs=inputs, outputs=outputs, params=in_subgraphs(e, inline), source=source))
