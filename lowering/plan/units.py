"""How a large program is compiled: in parts at the same time, and without looking across its calls."""

from __future__ import annotations

import dataclasses

from fdl.lowering.ir.nodes import Fused
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.target import Target


def divide(program: Program, target: Target) -> Program:
    """Say in how many units a program is compiled, and whether its functions stay apart.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x: x * 2)(jnp.ones(4)))
    >>> divide(program, AVX2).units, divide(program, dataclasses.replace(AVX2, large=0)).units
    (1, 2)
    """
    inside = sum(len(n.body) for n in all_nodes(program.nodes) if isinstance(n, Fused) and n.kernel)
    calls = sum(1 for _ in all_nodes(program.nodes)) - inside
    large = calls > target.large
    return dataclasses.replace(program, calls=calls, apart=large, units=target.units if large else 1)
