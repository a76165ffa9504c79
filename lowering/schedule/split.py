"""Index-set splitting: a loop is cut at the numbers with which conditions compare its variable, so that in each part
they are decided.

The gradient of a slice is a slice surrounded by zeros, and sums of such gradients have a condition for each term: a
`choose` that takes its first value where the step of a loop is below a number, or not below it. Each part is a plain
loop that vectors can run.
"""

from __future__ import annotations

import dataclasses
import itertools

from fdl.lowering.ir.access import comparison, single
from fdl.lowering.ir.expr import Expr, Interner, walk
from fdl.lowering.ir.index import Axis, trips
from fdl.lowering.ir.nodes import Fused, Map, Node
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import Rewriting, all_nodes, mapped
from fdl.lowering.target import Target


def split_at_conditions(program: Program, target: Target) -> Program:
    """Maps of which all conditions compare one axis become maps over parts of that loop.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x: jnp.pad(x, (2, 1)))(jnp.ones(5)))
    >>> print(program)
    program (in0:float32[5]) -> (out1:float32[8])
      map (i: 8)
        out1[i] = choose:float32(ge:bool((i + -2), 0), lt:bool((i + -2), 5), in0[i + -2], convert:float32(0))
    >>> print(split_at_conditions(program, dataclasses.replace(AVX2, split_least=1)))
    program (in0:float32[5]) -> (out1:float32[8])
      map (i: 2)
        out1[i] = convert:float32(0)
      map (i: 5)
        out1[i + 2] = in0[i]
      map (i: 1)
        out1[i + 7] = convert:float32(0)
    """
    times = {m: n.count for n in all_nodes(program.nodes) if isinstance(n, Fused) and not n.around for m in n.body}

    def split(nodes: list[Node]) -> list[Node]:
        return [m for n in nodes for m in _parts(n, times.get(n, 1), program.exprs, target)]

    return dataclasses.replace(program, nodes=mapped(program.nodes, split))


def _parts(n: Node, times: int, exprs: Interner, target: Target) -> list[Node]:
    """The stages that stand for one which runs once for each of `times` parts."""
    if not isinstance(n, Map) or trips(n.space) < target.split_least * times:
        return [n]
    conditions = [c for e in walk(n.roots()) if e.op == "choose" for c in single(e.args[:-2])]
    found = [comparison(c) for c in conditions]
    axes = {f[0] if f else None for f in found}
    axis = axes.pop() if len(axes) == 1 else None
    if axis not in n.space:
        return [n]
    edges = sorted({0, axis.size, *(f[1] for f in found if f and 0 < f[1] < axis.size)})
    if len(edges) - 1 > target.split_parts:
        return [n]
    return [_part(n, axis, low, high, exprs) for low, high in itertools.pairwise(edges)]


def _part(n: Map, axis: Axis, low: int, high: int, exprs: Interner) -> Node:
    """The map where one loop runs from low to high."""

    def holds(condition: Expr) -> bool:
        found = comparison(condition)
        assert found is not None
        return (low < found[1]) == found[2]

    def chosen(e: Expr) -> Expr | None:
        return part_of(e.args[-2 if all(map(holds, single(e.args[:-2]))) else -1]) if e.op == "choose" else None

    part = exprs.named(axis.name, high - low)
    space = [part if v is axis else v for v in n.space]
    part_of = Rewriting(exprs, {axis: part.index + low}, instead=chosen)
    return part_of.stage(n, space)
