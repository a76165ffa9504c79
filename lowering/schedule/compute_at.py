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
from fdl.lowering.ir.nodes import Fused, Node
from fdl.lowering.ir.rewrite import used, written


def compute_at(n: Node, around: Fused, conditions: bool = True, first: bool = False) -> Fused | None:
    """The composite with one stage more, behind the others or `first`; None where a part of the stage would touch what
    other parts of these do, or they of it.

    Whether the stage may move to where the composite stands is not asked here, but of the `History`. `conditions` may
    bound what a part reads.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x: x / jnp.sum(x, axis=1, keepdims=True))(jnp.ones((64, 100))))
    >>> fold, rest = program.nodes
    >>> program.nodes = [compute_at(rest, Fused((64,), [fold]))]
    >>> print(program)
    program (in0:float32[6400]) -> (out2:float32[6400])
      fused rows (64,)
        reduce (64,) over (100,): temp1[i0] = add of in0[100*i0 + i1]
        map (64, 100)
          out2[100*i0 + i1] = div:float32(in0[100*i0 + i1], temp1[i0])
    >>> compute_at(rest, Fused((100,), [fold])) is None
    True
    """
    sources = list(dict.fromkeys([*around.sources, *n.sources]))
    body = [n, *around.body] if first else [*around.body, n]
    joined = dataclasses.replace(around, body=body, sources=sources)
    return joined if fault(joined, conditions, n) is None else None


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
