"""Programs with checks end early: as soon as all of them are known, and before an argument is written over."""

from __future__ import annotations

import dataclasses

from fdl.lowering.ir.planned import Guard
from fdl.lowering.ir.program import Program
from fdl.lowering.target import Target


def end_early(program: Program, target: Target) -> Program:
    """A guard behind the stage that makes the last of the program's checks."""
    place = program.guarded()
    if not place:
        return program
    flags = program.outputs[len(program.outputs) - program.guards :]
    guard = Guard(list(dict.fromkeys(flags)))
    return dataclasses.replace(program, nodes=[*program.nodes[:place], guard, *program.nodes[place:]])
