"""Walks over loop programs, and expressions at other indices: what the steps of the schedule share."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fdl.lowering.ir.access import fault, loops_of
from fdl.lowering.ir.expr import Buffer, Expr, Interner, rebuilt_index, walk
from fdl.lowering.ir.index import Axis, Index
from fdl.lowering.ir.nodes import Argmax, Dot, Fused, Loop, Map, Node, Reduce, Routine, Scatter, Scope


def mapped(nodes: Sequence[Node], f: Callable[[list[Node]], list[Node]]) -> list[Node]:
    """`f` applied to each list of nodes, nested ones first.

    A composite keeps the body that it had where `f` made one whose stages do not come apart into its parts.
    """
    out: list[Node] = []
    for n in nodes:
        bodies = [mapped(body, f) for body in n.nested()]
        changed = any(body != old for body, old in zip(bodies, n.nested(), strict=True))
        out += _with_bodies(n, bodies) if changed else [n]
    return f(out)


def _with_bodies(n: Node, bodies: Sequence[list[Node]]) -> list[Node]:
    """The node with other bodies, in its plainest form: a composite of one stage is that stage, one in a composite with
    as many parts is a part of that one.
    """
    new = n.with_bodies(bodies)
    if not isinstance(new, Fused):
        return [new]
    if not new.body or (len(new.body) == 1 and not new.locals):
        return [dataclasses.replace(m, threads=n.threads) for m in by_themselves(new)]
    body: list[Node] = []
    for m in new.body:
        if isinstance(m, Fused) and m.count == new.count:
            new = dataclasses.replace(new, locals=new.locals | m.locals)
            body += by_themselves(m)
        else:
            body.append(m)
    new = dataclasses.replace(new, body=body)
    return [new if fault(new) is None else n]


def by_themselves(n: Fused) -> list[Node]:
    """The stages of a composite as they are outside of it, with all of their loops."""
    return [
        dataclasses.replace(m, space=(*(a for a in n.around if a not in loops_of(m)), *m.space)) if n.around else m  # type: ignore[attr-defined,call-arg]
        for m in n.body
    ]


def inside(n: Node, loops: Sequence[Axis]) -> Node | None:
    """The stage as it is inside of some of its loops, which then stand around it; None where it has not all of them."""
    if not set(loops).issubset(loops_of(n)):
        return None
    return dataclasses.replace(n, space=tuple(a for a in n.space if a not in loops))  # type: ignore[attr-defined,call-arg]


def is_kernel(n: Node) -> bool:
    """Whether a stage is one function."""
    return isinstance(n, (Map, Reduce, Argmax, Scatter, Routine)) or (isinstance(n, Fused) and n.kernel)


def refined(nodes: Sequence[Node], f: Callable[[Node], Node]) -> list[Node]:
    """`f(stage)` in place of each stage that is one kernel, wherever it stands: what a plan says of how it is run."""
    return [f(n) if is_kernel(n) else n.with_bodies([refined(body, f) for body in n.nested()]) for n in nodes]


def all_nodes(nodes: Iterable[Node]) -> Iterable[Node]:
    """Every node, nested ones included."""
    for n in nodes:
        yield n
        for nested in n.nested():
            yield from all_nodes(nested)


def used(nodes: Iterable[Node]) -> Counter[Buffer]:
    """How often each buffer is read, by nodes or as carry and condition of loops."""
    count: Counter[Buffer] = Counter()
    for n in all_nodes(nodes):
        if isinstance(n, Loop):
            count.update(b for pair in n.carry for b in pair)
            count.update([n.test_result] if n.test_result is not None else [])
        else:
            count.update([b for e in n.roots() for b in e.buffers()] if n.nested() else n.reads())
            count.update([n.store] if isinstance(n, Scatter) else [])
    return count


def written(nodes: Iterable[Node]) -> Counter[Buffer]:
    """How many stores go to each buffer, those of loops that hand on what they carry left out."""
    return Counter(b for n in all_nodes(nodes) if not n.nested() for b in n.writes())


def renamed(n: Node, names: Mapping[Buffer, Buffer], exprs: Interner) -> Node:
    """A stage, and those inside of it, with other buffers in place of some."""
    if not any(b in names for b in (*n.reads(), *n.writes())):
        return n
    if isinstance(n, Dot):
        lhs, rhs, out = (dataclasses.replace(x, buffer=names.get(x.buffer, x.buffer)) for x in (n.lhs, n.rhs, n.out))
        return dataclasses.replace(n, lhs=lhs, rhs=rhs, out=out)
    if isinstance(n, Fused):
        return n.with_bodies([[renamed(m, names, exprs) for m in n.body]])

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
            stores=[
                dataclasses.replace(
                    s, buffer=names.get(s.buffer, s.buffer), offset=rebuilt_index(s.offset, new), value=new[s.value]
                )
                for s in n.stores
            ],
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
    """Each sub-expression with axes replaced by indices, and the same for addresses made of these
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


def over_loops(
    n: Node,
    space: Sequence[Axis],
    places: Mapping[Axis, Index],
    exprs: Interner,
    decided: Callable[[Expr], bool | None] = lambda e: None,
) -> Node:
    """A map or a fold over another space: `places` gives old loops, where they are not the same, in terms of new ones;
    those of a fold are each another one. Where the outcome of a `choose` is decided, its value stands in its place.
    """
    over: Any = tuple(places[a].terms[0][0] if a in places else a for a in getattr(n, "over", ()))
    new, moved = reindexed(exprs, n.roots(), places, decided)
    ahead = [dataclasses.replace(p, index=moved(p.index)) for p in n.ahead]
    if isinstance(n, Map):
        stores = [dataclasses.replace(s, offset=moved(s.offset), value=new[s.value]) for s in n.stores]
        return dataclasses.replace(n, space=tuple(space), stores=stores, ahead=ahead)
    assert isinstance(n, (Reduce, Argmax))
    return dataclasses.replace(
        n, space=tuple(space), over=over, value=new[n.value], offset=moved(n.offset), ahead=ahead
    )


def calls(nodes: Iterable[Node]) -> Iterable[Node]:
    """Stages that are one call each, of a kernel or of a product, wherever they stand."""
    for n in nodes:
        if is_kernel(n) or isinstance(n, Dot):
            yield n
        else:
            yield from (m for nested in n.nested() for m in calls(nested))


def scratch_bytes(nodes: Iterable[Node]) -> dict[Buffer, int]:
    """Bytes of the part that a tile keeps of each buffer that its stages share."""
    tiles = [n for n in all_nodes(nodes) if isinstance(n, Fused)]
    return {b: b.nbytes // n.count for n in tiles for b, scope in n.locals.items() if scope is Scope.SHARED}
