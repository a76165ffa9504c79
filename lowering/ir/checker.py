"""Invariants of loop programs: what is read was written, addresses lie inside of their buffers, and composites are
made of stages that they can hold.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

from fdl.core.errors import GraphError
from fdl.lowering.ir.access import accesses, fault, in_part, loops_of, stores
from fdl.lowering.ir.expr import Buffer, walk
from fdl.lowering.ir.index import Axis, Index, bounds, trips, walked_as_one
from fdl.lowering.ir.nodes import Branch, Called, Dot, Fused, Loop, Map, Node, Scatter
from fdl.passes.size import Extent, along, is_known, is_never_negative


def check_nodes(nodes: Sequence[Node], written: set[Buffer], around: tuple[Axis, ...] = ()) -> None:
    """Raise GraphError where nodes do not hold the invariants; `written` is what was written before and is added to,
    `around` are the loops around them.
    """
    for n in nodes:
        if isinstance(n, Fused):
            _check_composite(n, written, around)
        elif isinstance(n, Loop):
            for nested in n.nested():
                check_nodes(nested, written, around if n.axis is None else (*around, n.axis))
            written.update(n.writes())
        elif isinstance(n, Branch):
            _check_reads(n, [b for e in n.roots() for b in e.buffers()], written)
            ways = [set(written) for _ in n.bodies]
            for nested, way in zip(n.bodies, ways, strict=True):
                check_nodes(nested, way, around)
            written.update(set.intersection(*ways))
        else:
            _check_stage(n, written, around)


def _check_stage(n: Node, written: set[Buffer], around: tuple[Axis, ...]) -> None:
    _check_reads(n, n.reads(), written)
    _check_ahead(n)
    loops = (*around, *loops_of(n))
    for i in (*n.indices(), *(i for e in walk(n.roots()) for i in e.indices())):
        for atom, _ in i.terms:
            if isinstance(atom, Axis) and atom not in loops:
                raise GraphError(f"loop program: {type(n).__name__} is not inside of {atom}, and walks along it: {i}")
    if all(a.size != 0 for a in loops):
        _check_addresses(n, loops)
    written.update(n.writes())


def _check_reads(n: Node, buffers: Sequence[Buffer], written: set[Buffer]) -> None:
    for b in buffers:
        if b not in written and not (is_known(b.size) and b.size == 0):  # nothing is there to be written
            raise GraphError(f"loop program: {type(n).__name__} reads {b} before it is written")


def _check_ahead(n: Node) -> None:
    """What is asked for ahead is a place that the stage reaches; pages that go past the caches are whole."""
    reached = [(a.buffer, a.index) for a in accesses(n)] if n.ahead else []
    for p in n.ahead:
        on_the_way = any(
            b is p.buffer and i.const == p.index.const and {*p.index.terms} <= {*i.terms} for b, i in reached
        )
        if not on_the_way or not 0 < p.ahead < p.buffer.size:
            raise GraphError(
                f"loop program: {type(n).__name__} asks for {p.buffer}[{p.index + p.ahead}], and never gets there"
            )
    if not isinstance(n, Map):
        return
    for s in n.stores:
        if s.past_caches and not (n.page and n.space and s.offset.coefficient(n.space[-1]) == 1):
            raise GraphError(f"loop program: {s.buffer}[{s.offset}] goes past the caches, but not page by page")


def _check_composite(n: Fused, written: set[Buffer], around: tuple[Axis, ...]) -> None:
    """Locals are seen by no other stage and come apart into parts, as the stages do, each of which touches its own."""
    for b in n.locals:
        if b in written:
            raise GraphError(f"loop program: {b} is written outside of what it is local to")
        if any(a.buffer is b and not in_part(a, n.count) for m in n.body for a in accesses(m, n.around)):
            raise GraphError(f"loop program: {b}, of {b.size} elements, is kept in {n.count} parts, and not touched so")
    _check_ahead(n)
    found = fault(n)
    if found is not None:
        raise GraphError(f"loop program: {found}")
    check_nodes(n.body, written, (*around, *n.around))
    written.difference_update(n.locals)


def _check_addresses(n: Node, loops: Collection[Axis]) -> None:
    guarded = {c for e in walk(n.roots()) if e.op == "choose" for c in walk(e.args[-2:])}
    if isinstance(n, Scatter):  # the value is computed where the conditions hold
        guarded |= set(walk([n.value])) if n.conditions else set()
    for e in walk(n.roots()):
        if e.op == "load" and e not in guarded:
            _inside(e.attr[0], e.attr[1], loops)
    for buffer, offset in [] if isinstance(n, Scatter) and n.conditions else stores(n):
        _inside(buffer, offset, loops)
    if isinstance(n, Called):
        for x in itertools.chain(*n.sides()):
            runs = walked_as_one(loops_of(n), [x.index])  # of which sizes show more than of each loop alone
            steps = [(trips(run), x.index.coefficient(run[-1])) for run in runs]
            walks = [(Axis("", size), step) for size, step in (*steps, (x.reach + 1, 1))]
            index = sum((a.index * step for a, step in walks), x.index.without(loops_of(n)))
            _inside(x.buffer, index, [*loops, *(a for a, _ in walks)])
    if isinstance(n, Dot):
        _check_product(n)


def _check_product(n: Dot) -> None:
    """Each operand walks along the loops of its own, and the result lies row by row."""
    for x, others in ((n.lhs, n.cols), (n.rhs, n.rows), (n.out, n.over)):
        if any(a.size != 1 and x.index.coefficient(a) != 0 for a in others):
            raise GraphError(f"loop program: a product's operand {x.buffer}[{x.index}] walks along {others}")
    rows, cols = n.digits(n.out)
    if (len(rows), cols) != (1, ((n.n, 1),)):
        raise GraphError(f"loop program: a product's result {n.out.buffer}[{n.out.index}] does not lie row by row")


def _inside(buffer: Buffer, index: Index, loops: Collection[Axis]) -> None:
    for place, size in _places(buffer, index):
        found = bounds(place)
        ends = () if found is None else (found[0], size - 1 - found[1])
        if found is not None and not all(is_never_negative(end, [a.size for a in loops]) for end in ends):
            raise GraphError(
                f"loop program: {buffer}[{index}] reaches from {found[0]} to {found[1]}, the buffer has {size} elements"
            )


def _places(buffer: Buffer, index: Index) -> list[tuple[Index, Extent]]:
    """An address, or along each axis of an input with steps the place, with the size that it must stay in."""
    if not buffer.axes:
        return [(index, buffer.size)]
    places, rest = [], index
    for size, step in buffer.axes:
        terms = ((atom, along(c, step.symbol)) for atom, c in index.terms)
        place = Index(along(index.const, step.symbol), tuple((atom, c) for atom, c in terms if c != 0))
        places.append((place, size))
        rest = rest - place * step
    return [*places, (rest, 1)]
