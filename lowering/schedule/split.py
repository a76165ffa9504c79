"""Guards: conditions under which a `choose` takes its first value, where they compare a loop variable with a number.

The gradient of a slice is a slice surrounded by zeros, and sums of such gradients have a condition for each term. Where
it is known between which numbers a loop runs, its conditions are decided: a loop is cut at them, and each part is a
plain loop that vectors can run.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

from fdl.lowering.ir.access import comparison, conditions
from fdl.lowering.ir.expr import Expr, Interner, walk
from fdl.lowering.ir.index import Index, space_vars
from fdl.lowering.ir.nodes import Map, Node, Store
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped, reindexed
from fdl.lowering.target import Target


def split_at_guards(program: Program, target: Target) -> Program:
    """Maps of which all guards compare one loop variable become maps over parts of that loop."""
    return dataclasses.replace(
        program, nodes=mapped(program.nodes, lambda nodes: [m for n in nodes for m in _parts(n, program.exprs, target)])
    )


def _parts(n: Node, exprs: Interner, target: Target) -> list[Node]:
    if not isinstance(n, Map) or math.prod(n.space) < target.split_least:
        return [n]
    guards = [c for e in walk(n.roots()) if e.op == "choose" for c in conditions(e.args[:-2])]
    found = [comparison(c) for c in guards]
    variables = [v.terms[0][0] for v in space_vars(len(n.space))]
    if not found or None in found or len({f[0] for f in found if f}) > 1 or found[0][0] not in variables:  # type: ignore[index]
        return [n]
    place = variables.index(found[0][0])  # type: ignore[index]
    size = n.space[place]
    edges = sorted({0, size, *(f[1] for f in found if f and 0 < f[1] < size)})
    if len(edges) - 1 > target.split_parts:
        return [n]
    return [_part(n, place, low, high, exprs) for low, high in itertools.pairwise(edges)]


def _part(n: Map, place: int, low: int, high: int, exprs: Interner) -> Map:
    """The map where the loop runs from low to high."""

    def holds(guard: Expr) -> bool:
        found = comparison(guard)
        assert found is not None
        return (low < found[1]) == found[2]

    variable = space_vars(1, place)[0]
    target = {variable.terms[0][0]: variable + Index(low, ())}
    new, moved = reindexed(exprs, n.roots(), target, lambda e: all(map(holds, conditions(e.args[:-2]))))
    space = tuple(high - low if k == place else d for k, d in enumerate(n.space))
    return Map(space, [Store(s.buffer, moved(s.offset), new[s.value]) for s in n.stores], sources=list(n.sources))
