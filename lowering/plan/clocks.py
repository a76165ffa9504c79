"""Programs that measure themselves: a stamp behind each stage, and behind the barrier before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fdl.lowering.ir.nodes import Band, Dot, Finished, Node
from fdl.lowering.ir.planned import Barrier, Stamp
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import KERNELS, with_bodies
from fdl.lowering.target import Target


def measure(program: Program, target: Target) -> Program:
    """Stamps around all stages of a planned program, which is then compiled as one."""
    return dataclasses.replace(program, nodes=[Stamp(None), *_timed(program.nodes)], units=1)


def _timed(nodes: Sequence[Node]) -> list[Node]:
    out: list[Node] = []
    for n in nodes:
        if isinstance(n, (*KERNELS, Dot, Finished)):
            waited = [Stamp(n, waited=True)] if out and isinstance(out[-1], Barrier) else []
            out += [*waited, n, Stamp(n)]
        elif isinstance(n, Band):
            out.append(dataclasses.replace(n, body=[x for m in n.body for x in (m, Stamp(m))]))
        else:
            out.append(with_bodies(n, _timed))
    return out
