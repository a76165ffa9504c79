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
from collections.abc import Sequence

from fdl.lowering.ir.access import History, accesses
from fdl.lowering.ir.expr import Interner
from fdl.lowering.ir.nodes import Dot, Finished, Map, Nest, Node, Reduce
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped
from fdl.lowering.plan.threads import is_parallel
from fdl.lowering.schedule.fuse_rows import by_rows, in_row
from fdl.lowering.target import Target


def fuse_epilogues(program: Program, target: Target) -> Program:
    """Products take with them the stage that reads their result, where it does so row by row."""
    return dataclasses.replace(
        program, nodes=mapped(program.nodes, lambda nodes: _finished(nodes, program.exprs, target))
    )


def _finished(nodes: Sequence[Node], exprs: Interner, target: Target) -> list[Node]:
    out: list[Node] = []
    history = History()
    for n in nodes:
        place = history.source(n)
        joined = _joined(out[place], n, exprs, target) if place >= 0 and history.joins(n, place) else None
        if joined is None:
            place = len(out)
            out.append(n)
        else:
            out[place] = joined
        history.put(n, place)
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
    if not isinstance(after, (Map, Reduce, Nest)) or not after.space or 0 in after.space or dot.m % after.space[0]:
        return None
    if not all(
        in_row(a.always(), dot.m * dot.n // a.stage.space[0], a.stage.space[:1])  # type: ignore[attr-defined]
        for a in accesses(after)
        if not a.written and a.buffer is dot.out.buffer
    ):
        return None
    return Finished(dot, after, after.space[0], sources=list(dict.fromkeys([*dot.sources, *n.sources])))
