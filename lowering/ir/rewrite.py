"""Walks over loop programs, and expressions at other indices: what the steps of the schedule share."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fdl.lowering.ir.expr import Buffer, Expr, Interner, rebuilt_index, walk
from fdl.lowering.ir.index import Index
from fdl.lowering.ir.nodes import (
    Argmax,
    Band,
    Branch,
    Dot,
    Finished,
    Loop,
    Map,
    Nest,
    Node,
    Reduce,
    Routine,
    Scatter,
    Store,
)

KERNELS = (Map, Reduce, Argmax, Scatter, Routine, Nest)  # stages that are one function each


def with_bodies(n: Node, f: Callable[[list[Node]], list[Node]]) -> Node:
    """A loop or a branch with `f(nodes)` in place of each program inside of it; any other node as it is."""
    if isinstance(n, Loop):
        return dataclasses.replace(n, body=f(n.body), test=None if n.test is None else f(n.test), last=f(n.last))
    return dataclasses.replace(n, bodies=[f(body) for body in n.bodies]) if isinstance(n, Branch) else n


def mapped(nodes: Sequence[Node], f: Any) -> list[Node]:
    """`f(list of nodes) -> list of nodes`, applied to nested programs first."""
    result: list[Node] = f([with_bodies(n, lambda inner: mapped(inner, f)) for n in nodes])
    return result


def refined(nodes: Sequence[Node], f: Callable[[Node], Node]) -> list[Node]:
    """`f(stage)` in place of each stage that is one kernel, but for products, wherever it stands."""

    def one(n: Node) -> Node:
        if isinstance(n, Band):
            return dataclasses.replace(n, body=[one(m) for m in n.body])
        if isinstance(n, Finished):
            after = f(n.after)
            assert isinstance(after, (Map, Reduce, Nest))
            return dataclasses.replace(n, after=after)
        return f(n) if isinstance(n, KERNELS) else with_bodies(n, lambda inner: refined(inner, f))

    return [one(n) for n in nodes]


def all_nodes(nodes: Iterable[Node]) -> Iterable[Node]:
    """Every node, nested ones included."""
    for n in nodes:
        yield n
        for nested in n.nested():
            yield from all_nodes(nested)


def stages(nodes: Iterable[Node]) -> Iterable[Node]:
    """Every node, in place of nests those that they are made of."""
    for n in all_nodes(nodes):
        yield from n.body if isinstance(n, Nest) else [n]


def used(nodes: Iterable[Node]) -> Counter[Buffer]:
    """How often each buffer is read, by nodes or as carry and condition of loops."""
    count: Counter[Buffer] = Counter()
    for n in stages(nodes):
        if isinstance(n, Loop):
            count.update(b for pair in n.carry for b in pair)
            count.update([n.test_result] if n.test_result is not None else [])
        elif isinstance(n, Branch):
            count.update(e.attr[0] for e in walk([n.index]) if e.op == "load")
        elif not n.nested():
            count.update(n.reads())
            count.update([n.store] if isinstance(n, Scatter) else [])
    return count


def written(nodes: Iterable[Node]) -> Counter[Buffer]:
    """How many stores go to each buffer, those of loops that hand on what they carry left out."""
    return Counter(b for n in stages(nodes) if not n.nested() for b in n.writes())


def renamed(n: Node, names: Mapping[Buffer, Buffer], exprs: Interner) -> Node:
    """A stage without stages of its own, but for a nest's, with other buffers in place of some."""
    if not any(b in names for b in (*n.reads(), *n.writes())):
        return n
    if isinstance(n, Dot):
        lhs, rhs, out = (dataclasses.replace(x, buffer=names.get(x.buffer, x.buffer)) for x in (n.lhs, n.rhs, n.out))
        return dataclasses.replace(n, lhs=lhs, rhs=rhs, out=out)
    if isinstance(n, Nest):
        return dataclasses.replace(n, body=[renamed(m, names, exprs) for m in n.body])

    def other(e: Expr) -> Expr | None:
        return (
            exprs.make("load", (), e.dtype, (names[e.attr[0]], e.attr[1]))
            if e.op == "load" and e.attr[0] in names
            else None
        )

    return rebuilt(n, exprs.rebuild(n.roots(), other), names)


def rebuilt(n: Node, new: Mapping[Expr, Expr], names: Mapping[Buffer, Buffer]) -> Node:
    """A map or a fold of other expressions, which stores into other buffers in place of some."""
    if isinstance(n, Map):
        return dataclasses.replace(
            n,
            stores=[Store(names.get(s.buffer, s.buffer), rebuilt_index(s.offset, new), new[s.value]) for s in n.stores],
        )
    assert isinstance(n, (Reduce, Argmax))
    return dataclasses.replace(
        n, store=names.get(n.store, n.store), offset=rebuilt_index(n.offset, new), value=new[n.value]
    )


def reindexed(
    exprs: Interner,
    roots: Sequence[Expr],
    target: Mapping[Any, Index],
    decided: Callable[[Expr], bool | None] = lambda e: None,
) -> tuple[dict[Expr, Expr], Callable[[Index], Index]]:
    """Each sub-expression with loop variables replaced by indices, and the same for addresses made of these
    expressions.

    Where the outcome of a `choose` is decided, its value stands in its place.
    """
    new: dict[Expr, Expr] = {}

    def moved(index: Index) -> Index:
        result = Index(index.const, ())
        for atom, c in index.terms:
            result = result + (
                Index(0, ((new[atom], c),))
                if isinstance(atom, Expr)
                else target[atom] * c
                if atom in target
                else Index(0, ((atom, c),))
            )
        return result

    for e in walk(roots):
        attr, outcome = e.attr, decided(e) if e.op == "choose" else None
        if outcome is not None:
            new[e] = new[e.args[-2] if outcome else e.args[-1]]
            continue
        if e.op == "load":
            attr = (attr[0], moved(attr[1]))
        elif e.op == "number":
            attr = moved(attr)
        new[e] = exprs.make(e.op, tuple(new[a] for a in e.args), e.dtype, attr)
    return new, moved
