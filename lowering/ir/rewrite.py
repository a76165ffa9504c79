"""Walks over loop programs, and expressions at other indices: what the steps of the schedule share."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fdl.lowering.ir.access import fault, loops_of
from fdl.lowering.ir.expr import Buffer, Expr, Interner, walk
from fdl.lowering.ir.index import ZERO, Axis, Index, Kind, iteration
from fdl.lowering.ir.nodes import Argmax, Dot, Fused, Loop, Map, Node, Operand, Reduce, Routine, Scatter, Scope


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


class Rewriting:
    """Puts other things in place of some, in expressions, addresses and stages: indices for `axes`, other `buffers`,
    and for an expression what `instead` gives, if anything; its operands have been rewritten before.
    """

    def __init__(
        self,
        exprs: Interner,
        axes: Mapping[Axis, Index] | None = None,
        buffers: Mapping[Buffer, Buffer] | None = None,
        instead: Callable[[Expr], Expr | None] = lambda e: None,
    ) -> None:
        self.exprs, self.axes, self.buffers, self.instead = exprs, axes or {}, buffers or {}, instead
        self.known: dict[Expr, Expr] = {}

    def __call__(self, root: Expr) -> Expr:
        """The expression, rewritten from its leaves up."""
        for e in walk([root]) if root not in self.known else ():
            if e not in self.known:
                self.known[e] = self.instead(e) or self._made(e)
        return self.known[root]

    def _made(self, e: Expr) -> Expr:
        attr = e.attr
        if e.op == "load":
            attr = (self.buffer(attr[0]), self.index(attr[1]))
        elif e.op == "number":
            attr = self.index(attr)
        args = tuple(self.known[a] for a in e.args)
        return e if args == e.args and attr == e.attr else self.exprs.make(e.op, args, e.dtype, attr)

    def buffer(self, b: Buffer) -> Buffer:
        """The buffer in the place of one."""
        return self.buffers.get(b, b)

    def index(self, index: Index) -> Index:
        """An address."""
        if not any(isinstance(atom, Expr) or atom in self.axes for atom, _ in index.terms):
            return index
        out = Index(index.const, ())
        for atom, c in index.terms:
            if isinstance(atom, Expr):
                out = out + Index(0, ((self(atom), c),))
            else:
                out = out + (self.axes[atom] * c if atom in self.axes else Index(0, ((atom, c),)))
        return out

    def stage(self, n: Node, space: Sequence[Axis] | None = None) -> Node:
        """A map, a fold, a product, or a composite of these; over another `space`, where loops are put in the place of
        others: those of a fold are each another one.
        """
        if isinstance(n, Fused):
            return n.with_bodies([[self.stage(m) for m in n.body]])
        if isinstance(n, Dot):
            lhs, rhs, out = map(self.operand, (n.lhs, n.rhs, n.out))
            return dataclasses.replace(n, lhs=lhs, rhs=rhs, out=out)
        if isinstance(n, Routine):
            operands, results, scratch = ([*map(self.operand, xs)] for xs in (n.operands, n.results, n.scratch))
            own = n.space if space is None else tuple(space)
            return dataclasses.replace(n, space=own, operands=operands, results=results, scratch=scratch)
        for e in n.roots():
            self(e)
        assert isinstance(n, (Map, Reduce, Argmax))
        ahead = [dataclasses.replace(p, buffer=self.buffer(p.buffer), index=self.index(p.index)) for p in n.ahead]
        common: Any = {"space": n.space if space is None else tuple(space), "ahead": ahead}
        if isinstance(n, Map):
            stores = [
                dataclasses.replace(s, buffer=self.buffer(s.buffer), offset=self.index(s.offset), value=self(s.value))
                for s in n.stores
            ]
            return dataclasses.replace(n, stores=stores, **common)
        over: Any = tuple(self.axes[a].terms[0][0] if a in self.axes else a for a in n.over)
        store, offset = self.buffer(n.store), self.index(n.offset)
        return dataclasses.replace(n, value=self(n.value), over=over, store=store, offset=offset, **common)

    def operand(self, x: Operand) -> Operand:
        """What a function of a library is handed."""
        return dataclasses.replace(x, buffer=self.buffer(x.buffer), index=self.index(x.index))


def renamed(n: Node, names: Mapping[Buffer, Buffer], exprs: Interner) -> Node:
    """A stage, and those inside of it, with other buffers in place of some."""
    return Rewriting(exprs, buffers=names).stage(n) if any(b in names for b in (*n.reads(), *n.writes())) else n


def over_loops(n: Node, space: Sequence[Axis], places: Mapping[Axis, Index], exprs: Interner) -> Node:
    """A map or a fold over another space: `places` gives old loops that are not in it in terms of new ones."""
    return Rewriting(exprs, places).stage(n, space)


def of_kind(n: Map | Reduce | Routine, loops: Sequence[Axis], kind: Kind, exprs: Interner) -> Node:
    """The stage with some of its loops run in another way."""
    new = {a: Axis(a.name, a.size, a.number, kind) for a in loops}
    return over_loops(n, [new.get(a, a) for a in n.space], {a: other.index for a, other in new.items()}, exprs)


def over_parts(n: Dot, loop: Axis, sizes: Sequence[int], exprs: Interner, batch: bool = False) -> Dot:
    """A product in which one loop, of rows or of columns, is several of these sizes; with `batch`, the first of these
    counts products in place of a batch of one.
    """
    parts = tuple(exprs.named(f"{loop.name}{k}", size) for k, size in enumerate(sizes))
    places = (dict.fromkeys(n.space, ZERO) if batch else {}) | {loop: iteration(parts)}
    lhs, rhs, out = map(Rewriting(exprs, places).operand, (n.lhs, n.rhs, n.out))
    rows, cols = (tuple(p for a in axes for p in (parts[batch:] if a is loop else (a,))) for axes in (n.rows, n.cols))
    return dataclasses.replace(
        n, space=parts[:1] if batch else n.space, rows=rows, cols=cols, lhs=lhs, rhs=rhs, out=out
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
