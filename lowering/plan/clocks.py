"""Programs that measure themselves: a stamp behind each stage, and behind the barrier before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fdl.lowering.ir.nodes import Dot, Fused, Node
from fdl.lowering.ir.planned import Barrier, Stamp
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import is_kernel
from fdl.lowering.target import Target


def measure(program: Program, target: Target) -> Program:
    """Stamps around all stages of a planned program, which is then compiled as one.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> print(measure(build(make_graph(lambda x: x * 2)(jnp.ones(4))), AVX2))
    program (in0:float32[4]) -> (out1:float32[4])
      stamp
      map (i: 4)
        out1[i] = mul:float32(in0[i], 2.0)
      stamp
    """
    return dataclasses.replace(program, nodes=[Stamp(None), *_timed(program.nodes)], units=1)


def _timed(nodes: Sequence[Node]) -> list[Node]:
    out: list[Node] = []
    for n in nodes:
        if is_kernel(n) or isinstance(n, Dot) or (isinstance(n, Fused) and n.product is not None):
            waited = [Stamp(n, waited=True)] if out and isinstance(out[-1], Barrier) else []
            out += [*waited, n, Stamp(n)]
        else:
            out.append(n.with_bodies([_timed(body) for body in n.nested()]))
    return out
