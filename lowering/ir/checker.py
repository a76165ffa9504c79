"""Invariants of loop programs: what is read was written, and addresses lie inside of their buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fdl.core.errors import GraphError
from fdl.lowering.ir.expr import Buffer, walk
from fdl.lowering.ir.index import Index, bounds, space_vars, step_var
from fdl.lowering.ir.nodes import Argmax, Band, Branch, Finished, Loop, Map, Nest, Node, Reduce


def check_nodes(nodes: Sequence[Node], written: set[Buffer], steps: dict[Any, int]) -> None:
    for n in nodes:
        if isinstance(n, (Nest, Band)):
            own = {step_var(d): size for d, (_, size) in n.steps.items()} if isinstance(n, Band) else {}
            check_nodes(n.body, written, {**steps, **own})
            continue
        if isinstance(n, Finished):
            check_nodes([n.dot, n.after], written, steps)
            continue
        for b in n.reads() if not n.nested() else []:
            if b not in written:
                raise GraphError(f"loop program: {type(n).__name__} reads {b} before it is written")
        sizes = getattr(n, "space", ())
        over = getattr(n, "over", ())
        all_sizes = (*sizes, *(over if isinstance(over, tuple) else (over,)))
        extents = {**steps, **{space_vars(1, k)[0].terms[0][0]: d for k, d in enumerate(all_sizes)}}
        if 0 not in all_sizes:
            _check_addresses(n, extents)
        if isinstance(n, Loop):
            inner = {**steps, step_var(n.depth): n.length} if n.test is None else dict(steps)
            for nested in n.nested():
                check_nodes(nested, written, inner)
        for nested in n.nested() if isinstance(n, Branch) else []:
            check_nodes(nested, written, steps)
        written.update(n.writes())


def _check_addresses(n: Node, extents: Mapping[Any, int]) -> None:
    guarded = {c for e in walk(n.expressions()) if e.op == "choose" for c in walk(e.args[-2:])}
    for e in walk(n.expressions()):
        if e.op == "load" and e not in guarded:
            _inside(e.attr[0], e.attr[1], extents)
    if isinstance(n, Map):
        for s in n.stores:
            _inside(s.buffer, s.offset, extents)
    if isinstance(n, (Reduce, Argmax)):
        _inside(n.store, n.offset, extents)


def _inside(buffer: Buffer, index: Index, extents: Mapping[Any, int]) -> None:
    found = bounds(index, extents)
    if found is not None and not (found[0] >= 0 and found[1] < buffer.size):
        raise GraphError(
            f"loop program: {buffer}[{index}] reaches from {found[0]} to {found[1]}, "
            f"the buffer has {buffer.size} elements"
        )
