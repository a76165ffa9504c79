"""How a large program is compiled: in parts at the same time, and without looking across its calls."""

from __future__ import annotations

import dataclasses
from typing import Any

from fdl.lowering.ir.access import loops_of
from fdl.lowering.ir.expr import walk
from fdl.lowering.ir.nodes import Called, Fused, Node
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import calls, refined
from fdl.lowering.target import Target


def divide(program: Program, target: Target) -> Program:
    """Say in how many units a program is compiled, and each kernel in which: so that they take equally long, the
    largest kernels first. The first unit has the program's calls as well; one takes as long as an operation.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x: (x * 2, jnp.sum(x)))(jnp.ones(4)))
    >>> print(divide(program, dataclasses.replace(AVX2, large=1)))
    program (in0:float32[4]) -> (out1:float32[4] out2:float32[1])
      map (i: 4)
        out1[i] = mul:float32(in0[i], 2.0)
      map () in unit 1
        out2[0] = add:float32(add:float32(add:float32(in0[0], in0[1]), in0[2]), in0[3])
    """
    stages = list(calls(program.nodes))
    if len(stages) <= target.large:
        return program
    kinds = dict.fromkeys(map(_kind, stages))
    load, unit = [len(stages)] + [0] * (target.units - 1), {}
    for kind in sorted(kinds, key=lambda kind: sum(map(len, kind)), reverse=True):
        unit[kind] = load.index(min(load))
        load[unit[kind]] += sum(map(len, kind))
    nodes = refined(program.nodes, lambda n: dataclasses.replace(n, unit=unit[_kind(n)]))
    return dataclasses.replace(program, nodes=nodes, apart=True, units=target.units)


def _kind(n: Node) -> tuple[tuple[Any, ...], ...]:
    """What stages have in common that become one function: their loops, of a call of a library those around it, and
    operations.
    """
    stages = n.body if isinstance(n, Fused) else [n]
    loops = [(m, m.space if isinstance(m, Called) else loops_of(m)) for m in stages]
    return tuple((type(m), *(a.size for a in axes), *(e.op for e in walk(m.roots()))) for m, axes in loops)
