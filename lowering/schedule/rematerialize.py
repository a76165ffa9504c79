"""Values that cost less to compute again than to keep: what follows from one stored array by a few operations is not
stored as well.

A gradient reads back what the forward pass computed on the way: half of `x`, or `x` with its bias, each an operation
away from memory that is there anyway. Bits do not change: the operations are the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from fdl.lowering.ir.access import loops_of, places_read, rewritten
from fdl.lowering.ir.expr import Buffer, Expr, Interner, operations, walk
from fdl.lowering.ir.index import ZERO, Axis, Index
from fdl.lowering.ir.nodes import Map, Node, Reduce, Store
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import Rewriting, mapped, used
from fdl.lowering.target import Target


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Producer:
    """The store that makes a value: over a space, at an address; and its load of an array of the same size, if it has
    one.
    """

    space: tuple[Axis, ...]
    offset: Index
    value: Expr
    source: Expr | None


def rematerialize_cheap(program: Program, target: Target) -> Program:
    """Readers of a cheap value compute it themselves, where all of them can; nothing reads its memory then.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> def sum_and_max(x):
    ...     y = x * 2
    ...     return jnp.sum(y), jnp.max(y)
    >>> program = build(make_graph(sum_and_max)(jnp.ones(100)))
    >>> print(program)
    program (in0:float32[100]) -> (out2:float32[1] out3:float32[1])
      map (i: 100)
        temp1[i] = mul:float32(in0[i], 2.0)
      reduce () over (i: 100): out2[0] = add of temp1[i]
      reduce () over (i: 100): out3[0] = max of temp1[i]
    >>> print(rematerialize_cheap(program, AVX2))
    program (in0:float32[100]) -> (out2:float32[1] out3:float32[1])
      map (i: 100)
        temp1[i] = mul:float32(in0[i], 2.0)
      reduce () over (i: 100): out2[0] = add of mul:float32(in0[i], 2.0)
      reduce () over (i: 100): out3[0] = max of mul:float32(in0[i], 2.0)
    """
    return _rematerialized(program, target, _is_cheap, False)


def rematerialize_far(program: Program, target: Target) -> Program:
    """The same for large values that take more operations, where all readers load what these follow from anyway.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> def both(x):
    ...     y = jnp.exp(x)
    ...     return x + y, x * y
    >>> program = build(make_graph(both)(jnp.ones(1 << 20)))
    >>> print(program)
    program (in0:float32[1048576]) -> (out2:float32[1048576] out3:float32[1048576])
      map (i: 1048576)
        temp1[i] = exp:float32(in0[i])
      map (i: 1048576)
        out2[i] = add:float32(in0[i], temp1[i])
      map (i: 1048576)
        out3[i] = mul:float32(in0[i], temp1[i])
    >>> print(rematerialize_far(program, AVX2))
    program (in0:float32[1048576]) -> (out2:float32[1048576] out3:float32[1048576])
      map (i: 1048576)
        temp1[i] = exp:float32(in0[i])
      map (i: 1048576)
        out2[i] = add:float32(in0[i], exp:float32(in0[i]))
      map (i: 1048576)
        out3[i] = mul:float32(in0[i], exp:float32(in0[i]))
    """
    return _rematerialized(program, target, _is_nearer, True)


def _rematerialized(
    program: Program, target: Target, cheap: Callable[[_Producer, Buffer, Target], bool], loaded: bool
) -> Program:
    """Values that are cheap to produce, computed where they are read; with `loaded`, by readers that load what these
    follow from too.
    """
    changing = rewritten(program.nodes)
    count = used(program.nodes)

    def rewrite(nodes: list[Node]) -> list[Node]:
        producers = {
            s.buffer: r
            for n in nodes
            if isinstance(n, Map)
            for s in n.stores
            if (r := _producer(n, s, changing, program.exprs, target)) is not None and cheap(r, s.buffer, target)
        }
        readers = dict.fromkeys(producers, 0)
        reads = [places_read(n) if isinstance(n, (Map, Reduce)) else {} for n in nodes] if producers else []
        for n, places in zip(nodes, reads, strict=False):
            for b in places.keys() & producers.keys():
                readers[b] += all(_inlines(n, place, producers[b], places if loaded else None) for place in places[b])
        chosen = {b: r for b, r in producers.items() if 0 < readers[b] == count[b]}
        if not chosen:
            return nodes
        out: list[Node] = []
        for n, places in zip(nodes, reads, strict=True):
            for b in n.writes() if isinstance(n, Map) else []:
                if b in chosen:  # what follows from other such values follows from what these do
                    value = _inlining(n, chosen, program.exprs)(chosen[b].value)
                    chosen[b] = dataclasses.replace(chosen[b], value=value)
            reads_one = places.keys() & chosen.keys()
            out.append(_inlining(n, chosen, program.exprs).stage(n) if reads_one else n)
        return out

    return dataclasses.replace(program, nodes=mapped(program.nodes, rewrite))


def _is_cheap(r: _Producer, b: Buffer, target: Target) -> bool:
    """Little more than one load of its own size, at its own address, or no such load."""
    return operations([r.value]) <= (target.again_free if r.source is None else target.again)


def _is_nearer(r: _Producer, b: Buffer, target: Target) -> bool:
    """Computed again in less time than memory takes, and from what is kept anyway."""
    return r.source is not None and b.nbytes >= target.far and operations([r.value]) <= target.again_far


def _producer(n: Map, s: Store, changing: set[Buffer], exprs: Interner, target: Target) -> _Producer | None:
    """The producer of a temp that follows from at most one load of its own size, at its own address; in terms of what
    the map stores besides, if that is shorter.
    """
    if s.buffer.kind != "temp" or s.buffer in changing or s.value.op in ("const", "load"):
        return None
    beside = {
        t.value: t
        for t in n.stores
        if t.value is not s.value and t.offset == s.offset and t.buffer.kind == "temp" and t.buffer not in changing
    }

    def shorter(e: Expr) -> Expr | None:
        return exprs.make("load", (), e.dtype, (beside[e].buffer, s.offset)) if e in beside and e.args else None

    for value in dict.fromkeys([Rewriting(exprs, instead=shorter)(s.value), s.value]):
        large: list[Expr] = []
        for e in walk([value]):
            if e.op == "choose" or (e.op == "number" and any(not isinstance(atom, Axis) for atom, _ in e.attr.terms)):
                return None
            if e.op == "load":
                source, place = e.attr
                if source in changing or any(not isinstance(atom, Axis) for atom, _ in place.terms):
                    return None
                if source.size * target.again_small > s.buffer.size:
                    large.append(e)
        if len(large) <= 1 and all(
            e.attr[1] == s.offset and e.attr[0].dtype.itemsize <= s.buffer.dtype.itemsize for e in large
        ):
            return _Producer(n.space, s.offset, value, large[0] if large else None)
    return None


def _inlines(n: Node, place: Index, producer: _Producer, loaded: Mapping[Buffer, set[Index]] | None) -> bool:
    """Whether a reader of this place can compute the value there, and if it matters, loads its source at this place
    too.
    """
    if _loops_in(n, place, producer) is None:
        return False
    return loaded is None or producer.source is None or place in loaded.get(producer.source.attr[0], ())


def _loops_in(n: Node, place: Index, producer: _Producer) -> dict[Axis, Index] | None:
    """The loops of a reader, or 0, in place of each loop of the producer, where the reader walks through the value's
    memory by the same steps.
    """
    own = place.without(loops_of(n)), producer.offset.without(producer.space)
    steps = {c: atom for atom, c in place.terms if atom in loops_of(n)}
    target = dict.fromkeys(producer.space, ZERO)
    walked = [v for v in producer.space if v.size > 1]
    for v in walked:
        atom = steps.pop(producer.offset.coefficient(v), None)
        if atom is None or atom.size != v.size:
            return None
        target[v] = atom.index
    same = not steps and own[0] == own[1] and len(place.terms) == len(own[0].terms) + len(walked)
    return target if same else None


def _inlining(n: Node, chosen: Mapping[Buffer, _Producer], exprs: Interner) -> Rewriting:
    """Puts the value, computed in a reader, in place of each load of a chosen buffer."""

    def again(e: Expr) -> Expr | None:
        if e.op != "load" or e.attr[0] not in chosen:
            return None
        producer = chosen[e.attr[0]]
        target = _loops_in(n, e.attr[1], producer)
        assert target is not None
        return Rewriting(exprs, target)(producer.value)

    return Rewriting(exprs, instead=again)
