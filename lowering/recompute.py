"""Values that cost less to compute again than to keep: what follows from one stored array by a few operations is not stored as well.

A gradient reads back what the forward pass computed on the way: half of `x`, or `x` with its bias, each an operation away from memory that is there
anyway.  Bits do not change: the operations are the same.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fdl.lowering.loop_ir import Buffer, Expr, Index, Loop, LoopVar, Map, Node, Program, Reduce, Scatter, Store, rebuilt_index, space_vars, walk
from fdl.lowering.reindex import all_nodes, mapped, reindexed, used

_CHEAP, _FREE = 3, 6  # operations that may be repeated, and where they read nothing but the place they stand at, as masks do
_SMALL = 4  # loads from memory that is so many times smaller cost nothing


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Recipe:
    """How a stored value follows from others: over a space, at an address."""

    space: tuple[int, ...]
    offset: Index
    value: Expr


def recompute_cheap(program: Program) -> Program:
    """Readers of a cheap value compute it themselves, where all of them can; nothing reads its memory then."""
    rewritten = {b for n in all_nodes(program.nodes) if isinstance(n, Loop) for pair in n.carry for b in pair}
    rewritten |= {n.store for n in all_nodes(program.nodes) if isinstance(n, Scatter)}
    count = used(program.nodes)

    def rewrite(nodes: list[Node]) -> list[Node]:
        recipes = {s.buffer: r for n in nodes if isinstance(n, Map) for s in n.stores if (r := _recipe(n, s, rewritten)) is not None}
        readers = dict.fromkeys(recipes, 0)
        for n in nodes:
            places: dict[Buffer, list[Index]] = {}
            for e in _loads(n):
                places.setdefault(e.attr[0], []).append(e.attr[1])
            for b in places.keys() & recipes.keys():
                readers[b] += all(_walks(n, place, recipes[b]) is not None for place in places[b])
        chosen = {b: r for b, r in recipes.items() if 0 < readers[b] == count[b]}
        out: list[Node] = []
        for n in nodes:
            if any(e.attr[0] in chosen for e in _loads(n)):
                n = _rewritten(n, chosen, program)
                if isinstance(n, Map):  # recipes that followed from others are told anew
                    chosen.update({s.buffer: _Recipe(n.space, s.offset, s.value) for s in n.stores if s.buffer in chosen})
            out.append(n)
        return out

    return dataclasses.replace(program, nodes=mapped(program.nodes, rewrite))


def _recipe(n: Map, s: Store, rewritten: set[Buffer]) -> _Recipe | None:
    """A temp that costs little more than one load of its own size, at its own address, or no such load."""
    if s.buffer.kind != "temp" or s.buffer in rewritten or s.value.cost > _FREE or s.value.op in ("const", "load"):
        return None
    large = 0
    for e in walk([s.value]):
        if e.op == "choose" or (e.op == "number" and any(not isinstance(atom, LoopVar) for atom, _ in e.attr.terms)):
            return None
        if e.op == "load":
            source, place = e.attr
            if source in rewritten or any(not isinstance(atom, LoopVar) for atom, _ in place.terms):
                return None
            if source.size * _SMALL > s.buffer.size:
                large += 1
                if place != s.offset or source.dtype.itemsize > s.buffer.dtype.itemsize:
                    return None
    return _Recipe(n.space, s.offset, s.value) if large <= 1 and s.value.cost <= (_CHEAP if large else _FREE) else None


def _loads(n: Node) -> list[Expr]:
    return [e for e in walk(n.roots()) if e.op == "load"] if isinstance(n, (Map, Reduce)) else []


def _walks(n: Any, place: Index, recipe: _Recipe) -> dict[Any, Index] | None:
    """What stands for the recipe's loops in a reader that walks through its memory by the same steps."""
    space = (*n.space, *n.over) if isinstance(n, Reduce) else n.space
    sizes = {v.terms[0][0]: d for v, d in zip(space_vars(len(space)), space, strict=True)}
    steps = {c: atom for atom, c in place.terms}
    target: dict[Any, Index] = {}
    for v, d in zip(space_vars(len(recipe.space)), recipe.space, strict=True):
        own = v.terms[0][0]
        atom = steps.pop(recipe.offset.coefficient(own), None) if d > 1 else None
        if d > 1 and sizes.get(atom) != d:
            return None
        target[own] = Index(0, ((atom, 1),)) if d > 1 else Index(0, ())
    return target if not steps and place.const == recipe.offset.const and len(place.terms) == sum(d > 1 for d in recipe.space) else None


def _rewritten(n: Any, chosen: dict[Buffer, _Recipe], program: Program) -> Node:
    def again(e: Expr) -> Expr | None:
        if e.op != "load" or e.attr[0] not in chosen:
            return None
        recipe = chosen[e.attr[0]]
        target = _walks(n, e.attr[1], recipe)
        assert target is not None
        return reindexed(program.exprs, [recipe.value], target)[0][recipe.value]

    new = program.exprs.rebuild(n.roots(), again)
    if isinstance(n, Map):
        return dataclasses.replace(n, stores=[Store(s.buffer, rebuilt_index(s.offset, new), new[s.value]) for s in n.stores])
    return dataclasses.replace(n, value=new[n.value], offset=rebuilt_index(n.offset, new))  # type: ignore[no-any-return]
