"""Which stages all threads run: those that are worth it, and whose first loop can be shared out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fdl.lowering.ir.nodes import Argmax, Branch, Loop, Map, Node, Reduce, Routine, Scatter, Threads
from fdl.lowering.ir.program import Program
from fdl.lowering.target import Target
from fdl.passes.size import surely


def is_parallel(n: Node, target: Target) -> bool:
    """Whether a node is worth all threads, or may be for some sizes, and can be split among them."""
    if (
        surely(lambda: n.work() < target.parallel_work)
        or (isinstance(n, Routine) and n.extent() == 1)
        or (isinstance(n, Scatter) and not n.distinct and surely(lambda: n.block() < target.owned))
    ):
        return False
    if isinstance(n, (Loop, Branch)):
        return any(is_parallel(m, target) for nested in n.nested() for m in nested)
    return bool(getattr(n, "space", ())) or not isinstance(n, (Reduce, Argmax, Map))


def share_out(program: Program, target: Target) -> Program:
    """Say of each stage who runs it. Where no stage is worth all threads, one thread runs the program, and nobody asks
    which one it is.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> print(share_out(build(make_graph(lambda x: jnp.sum(x * 2, axis=1))(jnp.ones((300, 100)))), AVX2))
    program (in0:float32[30000]) -> (out1:float32[300])
      reduce (i: 300) over (j: 100) by all threads: out1[i] = add of mul:float32(in0[100*i + j], 2.0)
    """
    together = any(is_parallel(n, target) for n in program.nodes)
    return dataclasses.replace(program, nodes=_shared(program.nodes, target)) if together else program


def _shared(nodes: Sequence[Node], target: Target) -> list[Node]:
    """Stages that all threads come to."""
    out = []
    for n in nodes:
        threads = Threads.ALL if is_parallel(n, target) else Threads.ONE
        if threads is Threads.ALL and isinstance(n, (Loop, Branch)):
            n = n.with_bodies([_shared(inner, target) for inner in n.nested()])
        out.append(dataclasses.replace(n, threads=threads))
    return out
