"""Programs with checks end early: as soon as all of them are known, and before an argument is written over."""

from __future__ import annotations

import dataclasses

from fdl.lowering.ir.planned import Guard
from fdl.lowering.ir.program import Program
from fdl.lowering.target import Target


def end_early(program: Program, target: Target) -> Program:
    """A guard behind the stage that makes the last of the program's checks.

    >>> from fdl import ops
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.passes.checks import lift_checks
    >>> from fdl.transforms import make_graph
    >>> def root(x):
    ...     ops.check(ops.less(x, 0.0), ops.Failure(ValueError, "{} is negative", "one is negative"), x)
    ...     return ops.sqrt(x)
    >>> lifted = lift_checks(make_graph(root)(4.0))
    >>> print(end_early(build(lifted.graph, len(lifted.checks)), AVX2))
    program (in0:float32[1]) -> (out2:float32[1] out1:bool[1])
      map ()
        out1[0] = lt:bool(in0[0], 0.0)
      end if any of [out1]
      map ()
        out2[0] = sqrt:float32(in0[0])
    """
    place = program.guarded()
    if not place:
        return program
    flags = program.outputs[len(program.outputs) - program.guards :]
    guard = Guard(list(dict.fromkeys(flags)))
    return dataclasses.replace(program, nodes=[*program.nodes[:place], guard, *program.nodes[place:]])
