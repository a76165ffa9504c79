"""Where threads must meet: before a stage that touches memory which another thread may have written or read since they
last met, and at the end of each step of a loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fdl.lowering.ir.nodes import Branch, Fused, Loop, Node, Threads
from fdl.lowering.ir.planned import Arena, Barrier, Copy, Swap
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.shares import Touched
from fdl.lowering.target import Target


def place_barriers(program: Program, target: Target) -> Program:
    """Barriers before stages, in programs of which all threads run a part; where what stages share agrees for some
    numbers of threads alone, the program asks when it runs.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.plan.threads import share_out
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> def columns(x):
    ...     y = jnp.tanh(x)
    ...     return y, y.sum(0)
    >>> print(place_barriers(share_out(build(make_graph(columns)(jnp.ones((120, 500)))), AVX2), AVX2))
    program (in0:float32[60000]) -> (out1:float32[60000] out2:float32[500])
      map (i: 120, j: 500) by all threads
        out1[500*i + j] = tanh:float32(in0[500*i + j])
      barrier
      reduce (i: 500) over (j: 120) by all threads: out2[i] = add of out1[i + 500*j]
    """
    if not any(n.threads is Threads.ALL for n in program.nodes):
        return program
    return dataclasses.replace(program, nodes=_met(program.nodes, Touched(Arena.of(program.nodes))))


def _met(nodes: Sequence[Node], touched: Touched) -> list[Node]:
    """Nodes that all threads come to, with barriers between them."""
    out: list[Node] = []
    for n in nodes:
        if needed := touched.waits(n):
            out.append(Barrier(needed))
        if needed == 1:
            touched.meet()
        touched.passes(n)
        out.append(_inside(n, touched.arena) if n.threads is Threads.ALL else n)
    return out


def _inside(n: Node, arena: Arena) -> Node:
    """The same within a node that all threads run."""
    if isinstance(n, Fused) and n.product is not None:  # for where the library has not handed on the rows
        return dataclasses.replace(n, body=[n.product, Barrier(), *n.body[1:]])
    if isinstance(n, Branch):
        return n.with_bodies([[*_met(body, Touched(arena)), Barrier()] for body in n.bodies])
    if not isinstance(n, Loop):
        return n
    touched = Touched(arena)
    test = None if n.test is None else [*_met(n.test, touched), Barrier()]
    touched.meet()
    stages = [m for m in n.body if not isinstance(m, (Copy, Swap))]
    copies = [m for m in n.body if isinstance(m, Copy)]
    swaps = [m for m in n.body if isinstance(m, Swap)]
    body = [*_met(stages, touched), Barrier(), *(x for m in copies for x in (m, Barrier())), *swaps]
    return dataclasses.replace(n, test=test, body=body, last=[*n.last, *([Barrier()] if n.last else [])])
