"""Compute at: the one move behind row fusion, tiles, prologues and epilogues. A stage joins a composite, and runs part
by part with the stages that are there.

What lies between the stages of a part is read while it is in cache, or in registers, and where no other stage sees it,
one part of it is all that there is. Every element is computed by the same operations in the same order as before: no
bit changes. Steps differ in where they look for stages that belong together, and in what pays.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from fdl.lowering.ir.access import accesses, fault, in_part
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.nodes import Argmax, Fused, Map, Node, Reduce
from fdl.lowering.ir.rewrite import inside, used, written


def compute_at(n: Node, around: Fused, conditions: bool = True, first: bool = False) -> Fused | None:
    """The composite with one stage more, behind the others or `first`; None where a part of the stage would touch what
    other parts of these do, or they of it. In fused rows the stage shares the loops that are its own and theirs.

    Whether the stage may move to where the composite stands is not asked here, but of the `History`. `conditions` may
    bound what a part reads.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x: x / jnp.sum(x, axis=1, keepdims=True))(jnp.ones((64, 100))))
    >>> fold, rest = program.nodes
    >>> rows = compute_at(fold, Fused(fold.space, []))
    >>> program.nodes = [compute_at(rest, rows)]
    >>> print(program)
    program (in0:float32[6400]) -> (out2:float32[6400])
      fused rows (i: 64)
        reduce () over (j: 100): temp1[i] = add of in0[100*i + j]
        map (j: 100)
          out2[100*i + j] = div:float32(in0[100*i + j], temp1[i])
    >>> compute_at(rest, Fused(program.exprs.axes([100]), [])) is None
    True
    """
    own = inside(n, around.loops) if around.kernel and isinstance(n, (Map, Reduce, Argmax)) else n
    if own is None:
        return None
    sources = list(dict.fromkeys([*around.sources, *n.sources]))
    joined = dataclasses.replace(around, body=[own, *around.body] if first else [*around.body, own], sources=sources)
    return joined if fault(joined, conditions, own) is None else None


def own_parts(around: Fused, reads: Mapping[Buffer, int], writes: Mapping[Buffer, int]) -> list[Buffer]:
    """The temporaries of which a composite could keep one part: it alone touches them, each part its own. `reads` and
    `writes` count what the whole program does.
    """
    read, made = used(around.body), written(around.body)
    alone = [b for b in made if b.kind == "temp" and read[b] == reads[b] and made[b] == writes[b]]
    inside: dict[Buffer, bool] = {}  # what composites inside keep for themselves is in none of its accesses
    for a in accesses(dataclasses.replace(around, locals={})):
        inside[a.buffer] = inside.get(a.buffer, True) and in_part(a, around.count)
    return [b for b in alone if inside.get(b)]
