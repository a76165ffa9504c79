"""Fewer stages: empty and dead ones go, maps over one space become one, and loops that walk as one become one."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from fdl.lowering.ir.access import History, gathered
from fdl.lowering.ir.expr import Buffer, Interner, walk
from fdl.lowering.ir.index import ZERO, trips, walked_as_one
from fdl.lowering.ir.nodes import Argmax, Map, Node, Reduce, Scatter
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import Rewriting, all_nodes, mapped, over_loops, used
from fdl.lowering.target import Target


def _with_nodes(program: Program, nodes: list[Node]) -> Program:
    return dataclasses.replace(program, nodes=nodes)


# Empty and dead nodes


def drop_empty(program: Program, target: Target) -> Program:
    """Nodes over no index go; a fold of nothing stays, since it stores the neutral element.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> graph = make_graph(lambda x, y: jnp.concatenate([x, y]))(jnp.ones(0), jnp.ones(3))
    >>> program = build(graph)
    >>> print(program)
    program (in0:float32[0] in1:float32[3]) -> (out2:float32[3])
      map (i: 0)
        out2[i] = in0[i]
      map (i: 3)
        out2[i] = in1[i]
    >>> print(drop_empty(program, AVX2))
    program (in0:float32[0] in1:float32[3]) -> (out2:float32[3])
      map (i: 3)
        out2[i] = in1[i]
    """

    def kept(nodes: list[Node]) -> list[Node]:
        return [n for n in nodes if all(a.size != 0 for a in getattr(n, "space", ()))]

    return _with_nodes(program, mapped(program.nodes, kept))


def drop_dead(program: Program, target: Target) -> Program:
    """Stores to temps that nothing reads go, until none is left.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.schedule.rematerialize import rematerialize_cheap
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> def sum_and_max(x):
    ...     y = x * 2
    ...     return jnp.sum(y), jnp.max(y)
    >>> program = rematerialize_cheap(build(make_graph(sum_and_max)(jnp.ones(100))), AVX2)
    >>> print(program)
    program (in0:float32[100]) -> (out2:float32[1] out3:float32[1])
      map (i: 100)
        temp1[i] = mul:float32(in0[i], 2.0)
      reduce () over (i: 100): out2[0] = add of mul:float32(in0[i], 2.0)
      reduce () over (i: 100): out3[0] = max of mul:float32(in0[i], 2.0)
    >>> print(drop_dead(program, AVX2))
    program (in0:float32[100]) -> (out2:float32[1] out3:float32[1])
      reduce () over (i: 100): out2[0] = add of mul:float32(in0[i], 2.0)
      reduce () over (i: 100): out3[0] = max of mul:float32(in0[i], 2.0)
    """
    while True:
        count = used(program.nodes)

        def alive(b: Buffer, count: Counter[Buffer] = count) -> bool:
            return b.kind != "temp" or count[b] > 0

        def keep(nodes: list[Node], alive: Any = alive) -> list[Node]:
            out: list[Node] = []
            for n in nodes:
                if isinstance(n, Map):
                    stores = [s for s in n.stores if alive(s.buffer)]
                    if stores:
                        out.append(n if len(stores) == len(n.stores) else dataclasses.replace(n, stores=stores))
                elif n.nested() or isinstance(n, Scatter) or any(alive(b) for b in n.writes()):
                    out.append(n)
            return out

        nodes = mapped(program.nodes, keep)
        if _count(nodes) == _count(program.nodes):
            return _with_nodes(program, nodes)
        program = _with_nodes(program, nodes)


def _count(nodes: Iterable[Node]) -> int:
    return sum(len(n.stores) if isinstance(n, Map) else 1 for n in all_nodes(nodes))


# Merging


def merge_maps(program: Program, target: Target) -> Program:
    """Maps over one index space become one loop nest, where a reader reads exactly what its own
    iteration has stored.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> def both(x):
    ...     y = x + 1
    ...     return y, y * 2
    >>> program = build(make_graph(both)(jnp.ones(3)))
    >>> print(program)
    program (in0:float32[3]) -> (out1:float32[3] out2:float32[3])
      map (i: 3)
        out1[i] = add:float32(in0[i], 1.0)
      map (i: 3)
        out2[i] = mul:float32(out1[i], 2.0)
    >>> print(merge_maps(program, AVX2))
    program (in0:float32[3]) -> (out1:float32[3] out2:float32[3])
      map (i: 3)
        out1[i] = add:float32(in0[i], 1.0)
        out2[i] = mul:float32(add:float32(in0[i], 1.0), 2.0)
    """

    def join(n: Node, before: list[Node], history: History) -> tuple[int, Node] | None:
        place = _group_of(n, before, history, target) if isinstance(n, Map) else None
        return None if place is None else (place, _joined(before[place], n, program.exprs))  # type: ignore[arg-type]

    return _with_nodes(program, mapped(program.nodes, lambda nodes: gathered(nodes, join)))


def _group_of(n: Map, before: list[Node], history: History, target: Target) -> int | None:
    """The place of the map that another may join: the last one at or after all that it reads."""
    earliest = history.source(n)
    for place in range(len(before) - 1, max(earliest, 0) - 1, -1):
        group = before[place]
        if (
            isinstance(group, Map)
            and group.space == n.space
            and len(group.stores) + len(n.stores) <= target.map_stores
            and (place != earliest or _reads_own(n, group))
            and history.joins(n, place, within=True)
            and len(walk(group.expressions())) + len(walk(n.expressions())) <= target.map_expressions
        ):
            return place
    return None


def _reads_own(n: Map, group: Map) -> bool:
    """Whether each load of what the group stores has the store's own address, outside of anything conditional."""
    stored = {s.buffer: s.offset for s in group.stores}
    return all(e.attr[1] == stored[e.attr[0]] for e in walk(n.roots()) if e.op == "load" and e.attr[0] in stored)


def _joined(group: Map, n: Map, exprs: Interner) -> Map:
    values = {s.buffer: s.value for s in group.stores}
    joined = Rewriting(exprs, instead=lambda e: values.get(e.attr[0]) if e.op == "load" else None).stage(n)
    assert isinstance(joined, Map)
    return Map(group.space, [*group.stores, *joined.stores], sources=list(dict.fromkeys([*group.sources, *n.sources])))


# Loops


def collapse_loops(program: Program, target: Target) -> Program:
    """Neighbouring loops that all addresses walk through as one become one; loops of one step go.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x: x + 1)(jnp.ones((2, 1, 3))))
    >>> print(program)
    program (in0:float32[6]) -> (out1:float32[6])
      map (i: 2, j: 1, k: 3)
        out1[3*i + k] = add:float32(in0[3*i + k], 1.0)
    >>> print(collapse_loops(program, AVX2))
    program (in0:float32[6]) -> (out1:float32[6])
      map (i: 6)
        out1[i] = add:float32(in0[i], 1.0)
    """

    def collapse(nodes: list[Node]) -> list[Node]:
        return [_collapsed(n, program.exprs) if isinstance(n, (Map, Reduce, Argmax)) else n for n in nodes]

    return _with_nodes(program, mapped(program.nodes, collapse))


def _collapsed(n: Any, exprs: Interner) -> Node:
    """The node over fewer loops; the loops of a fold are not touched, since they say its order."""
    found = [i for e in walk(n.roots()) for i in e.indices()] + n.indices()
    groups = walked_as_one(n.space, found)
    if len(groups) == len(n.space):
        return n  # type: ignore[no-any-return]
    space = [exprs.named(old.name, trips(group)) for old, group in zip(n.space, groups, strict=False)]
    places = dict.fromkeys(n.space, ZERO)  # the innermost of a group walks for all
    places.update((group[-1], v.index) for group, v in zip(groups, space, strict=True))
    return over_loops(n, space, places, exprs)
