"""Products whose rows are worked on as soon as they are complete: bias, activation, residual, normalisation, folds of a
row or of some rows.

Stage by stage, the result of a product goes to memory, and comes back for what is made of it. As one stage, the runtime
library hands over parts of its rows while they are in a core's cache. Kernels are called as before, on some iterations
of their first loop: bits do not change. Where threads share columns of the product, so that no row is complete in any
of them, the library says so, and the stage runs after the product.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from fdl.lowering.ir.expr import Buffer, Expr, Interner, walk
from fdl.lowering.ir.nodes import Dot, Finished, Map, Nest, Node, Reduce
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped
from fdl.lowering.plan.memory import is_parallel
from fdl.lowering.schedule.fuse_rows import by_rows, extents_of, in_row
from fdl.lowering.target import Target


def fuse_epilogues(program: Program, target: Target) -> Program:
    """Products take with them the stage that reads their result, where it does so row by row."""
    return dataclasses.replace(
        program, nodes=mapped(program.nodes, lambda nodes: _finished(nodes, program.exprs, target))
    )


def _finished(nodes: Sequence[Node], exprs: Interner, target: Target) -> list[Node]:
    out: list[Node] = []
    writer: dict[Buffer, int] = {}  # place of the last node that writes a buffer
    toucher: dict[Buffer, int] = {}  # and of the last one that reads or writes it
    for n in nodes:
        place = max((writer[b] for b in n.reads() if b in writer), default=-1)
        movable = place >= 0 and all(toucher.get(b, -1) < place for b in n.writes())
        joined = _joined(out[place], n, exprs, target) if movable else None
        if joined is None:
            place = len(out)
            out.append(n)
        else:
            out[place] = joined
        for b in [*n.reads(), *n.writes()]:
            toucher[b] = max(place, toucher.get(b, -1))
        for b in n.writes():
            writer[b] = place
    return out


def _joined(dot: Node, n: Node, exprs: Interner, target: Target) -> Finished | None:
    """The product with the stage after it."""
    if not isinstance(dot, Dot) or not isinstance(n, (Map, Reduce, Nest)):
        return None
    if (
        math.prod(dot.space) != 1
        or dot.lhs.buffer.dtype != dot.dtype
        or dot.m < target.epilogue_rows
        or dot.m * dot.n < target.epilogue_least
        or not is_parallel(dot, target)
    ):
        return None
    after = by_rows(n, (dot.m,), exprs, target) if isinstance(n, Map) and n.space and n.space[0] > dot.m else n
    if not isinstance(after, (Map, Reduce, Nest)) or not after.space or dot.m % after.space[0]:
        return None
    if not all(
        in_row(e.attr[1], dot.m * dot.n // extents[0], extents[:1], extents)
        for e, extents in _loads(after)
        if e.attr[0] is dot.out.buffer
    ):
        return None
    return Finished(dot, after, after.space[0], sources=list(dict.fromkeys([*dot.sources, *n.sources])))


def _loads(n: Node) -> Iterator[tuple[Expr, tuple[int, ...]]]:
    """Loads, each with the loops around it, of which the first one walks through all rows."""
    for m in n.body if isinstance(n, Nest) else [n]:
        extents = extents_of(m)
        yield from ((e, extents) for e in walk(m.roots()) if e.op == "load")
