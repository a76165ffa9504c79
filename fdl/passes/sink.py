"""Stacks that follow from other stacks leave their loop.

Backwards through a gate one needs `s` and `s * (1 - s)`: the loop stacks the first one, and the second one is computed
from that where it is read, which saves writing and reading it at every step.
"""

from __future__ import annotations

from collections.abc import Sequence

from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.passes.match import ADD, MUL, NEG, SUB, Steps, reading, steps_of
from fdl.passes.prune import prune

_CHEAP = frozenset([ADD, SUB, MUL, NEG])
_MOST = 3  # operations


def sink(graph: Graph) -> Graph:
    """Scans without the stacks that are another one, or that a few operations make of another one.

    >>> import fdl.numpy as jnp
    >>> from fdl import lax
    >>> from fdl.transforms import make_graph
    >>> def step(carry, x):
    ...     y = jnp.exp(x)
    ...     return carry, (y, -y)
    >>> def both(xs):
    ...     ys, zs = lax.scan(step, (), xs)[1]
    ...     return ys * zs
    >>> graph = make_graph(both)(jnp.ones(3))
    >>> print(graph)
    graph (a:float32[3]) {
      b:float32[3] c:float32[3] = scan[length=3 num_carry=0 num_consts=0 reverse=False] a
        graph (a:float32[]) {
          b:float32[] = exp a
          c:float32[] = neg b
          return b c
        }
      d:float32[3] = mul b c
      return d
    }
    >>> print(sink(graph))
    graph (a:float32[3]) {
      b:float32[3] = scan[length=3 num_carry=0 num_consts=0 reverse=False] a
        graph (a:float32[]) {
          b:float32[] = exp a
          return b
        }
      c:float32[3] = neg b
      d:float32[3] = mul b c
      return d
    }
    """
    equations: list[Equation] = []
    same: dict[Atom, Var] = {}
    for e in graph.equations:
        e = reading(e, same)
        steps = steps_of(e)
        equations += [e] if steps is None else _sunk(e, steps, same, set(graph.outputs))
    return Graph(graph.inputs, tuple(equations), tuple(same.get(a, a) for a in graph.outputs), graph.constants)


def _chain(out: Atom, made: dict[Atom, Equation], leaves: Sequence[Atom]) -> list[Equation] | None:
    """The operations that make a stacked value of one other stacked value, in order."""
    chain: list[Equation] = []
    found: set[Atom] = set()

    def visit(a: Atom) -> bool:
        if isinstance(a, Literal):
            return True
        if a in leaves and a is not out:
            found.add(a)
            return True
        e = made.get(a)
        if e is None or e.primitive not in _CHEAP:
            return False
        if e not in chain:
            if not all(visit(x) for x in e.inputs):
                return False
            chain.append(e)
        return len(chain) <= _MOST

    return chain if visit(out) and [a.aval.shape for a in found] == [out.aval.shape] else None


def _sunk(e: Equation, steps: Steps, same: dict[Atom, Var], results: set[Atom]) -> list[Equation]:
    """The loop with fewer stacks, and what makes the others; `same` learns which stand for those that it has twice."""
    body, _, count, length = steps
    stacks: dict[Atom, Var] = {}
    for inner, outer in zip(body.outputs[count:], e.outputs[count:], strict=True):
        if stacks.setdefault(inner, outer) is not outer:
            same[outer] = stacks[inner]
    made: dict[Atom, Equation] = {q.outputs[0]: q for q in body.equations if len(q.outputs) == 1}
    kept, after = list(stacks), set[Equation]()
    for inner, outer in stacks.items():
        chain = _chain(inner, made, kept) if outer not in results and inner in made else None
        if chain:
            kept.remove(inner)  # nothing follows from what is gone
            after.update(chain)
    if len(kept) == len(e.outputs) - count:
        return [e]
    graph = prune(Graph(body.inputs, body.equations, (*body.outputs[:count], *kept), body.constants))
    outputs = (*e.outputs[:count], *map(stacks.__getitem__, kept))
    out = [e.replace(outputs=outputs, params={**e.params, "graph": graph})]
    for q in body.equations:
        if q in after:
            aval = q.outputs[0].aval
            target = stacks.setdefault(q.outputs[0], Var(aval.update(shape=(length, *aval.shape))))
            out.append(q.replace(inputs=tuple(stacks.get(a, a) for a in q.inputs), outputs=(target,)))
    return out
