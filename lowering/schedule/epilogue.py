"""Epilogues: a product's rows are worked on as soon as they are complete. Bias, activation, residual, normalisation,
folds of a row or of some rows.

Stage by stage, the result of a product goes to memory, and comes back for what is made of it. As one composite, the
product's library hands over parts of its rows while they are in a core's cache. Kernels are called as before, on some
iterations of their first loop: bits do not change. Where threads share columns of the product, so that no row is
complete in any of them, the library says so, and the stage runs after the product.
"""

from __future__ import annotations

import dataclasses

from fdl.lowering.ir.access import History, gathered
from fdl.lowering.ir.expr import Interner
from fdl.lowering.ir.index import trips
from fdl.lowering.ir.nodes import Dot, Fused, Map, Node, Reduce
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped
from fdl.lowering.plan.threads import is_parallel
from fdl.lowering.schedule.compute_at import compute_at
from fdl.lowering.schedule.fuse_rows import by_rows
from fdl.lowering.target import Target


def fuse_epilogues(program: Program, target: Target) -> Program:
    """Products take with them the stage that reads their result, where it does so row by row.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x, w: jnp.tanh(x @ w))(jnp.ones((256, 64)), jnp.ones((64, 100))))
    >>> print(program)
    program (in0:float32[16384] in1:float32[6400]) -> (out3:float32[25600])
      dot () rows (i: 256) columns (j: 100) over (k: 64)
        temp2[100*i + j] = in0[64*i + k] @ in1[j + 100*k]
      map (i: 256, j: 100)
        out3[100*i + j] = tanh:float32(temp2[100*i + j])
    >>> print(fuse_epilogues(program, dataclasses.replace(AVX2, epilogue_least=1)))
    program (in0:float32[16384] in1:float32[6400]) -> (out3:float32[25600])
      epilogue (i: 256)
        dot () rows (i: 256) columns (j: 100) over (k: 64)
          temp2[100*i + j] = in0[64*i + k] @ in1[j + 100*k]
        map (i: 256, j: 100)
          out3[100*i + j] = tanh:float32(temp2[100*i + j])
    """

    def join(n: Node, before: list[Node], history: History) -> tuple[int, Node] | None:
        place = history.source(n)
        found = _joined(before[place], n, program.exprs, target) if place >= 0 and history.joins(n, place) else None
        return None if found is None else (place, found)

    return dataclasses.replace(program, nodes=mapped(program.nodes, lambda nodes: gathered(nodes, join)))


def _joined(dot: Node, n: Node, exprs: Interner, target: Target) -> Fused | None:
    """The product with the stage after it."""
    if not isinstance(dot, Dot) or not isinstance(n, (Map, Reduce, Fused)):
        return None
    if (
        trips(dot.space) != 1
        or dot.lhs.buffer.dtype != dot.dtype
        or dot.m < target.epilogue_rows
        or dot.m * dot.n < target.epilogue_least
        or not is_parallel(dot, target)
    ):
        return None
    after = by_rows(n, exprs.axes([dot.m]), exprs, target) if isinstance(n, Map) and n.extent() > dot.m else n
    if after is None or after.extent() <= 1:
        return None
    around = Fused(exprs.axes([after.extent()]), [dot], sources=list(dot.sources))
    return compute_at(after, around, conditions=False)
