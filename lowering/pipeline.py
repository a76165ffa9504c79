"""The one list of steps from a Graph to text: passes over the Graph, the build, the schedule, the plan, the emitter."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from fdl.core.graph import Graph
from fdl.core.source import Location
from fdl.lowering.build.control import build
from fdl.lowering.emit.c.program import render_program
from fdl.lowering.ir.nodes import Node
from fdl.lowering.ir.program import Program
from fdl.lowering.plan.memory import Arena, plan_arena
from fdl.lowering.schedule.epilogue import fuse_epilogues
from fdl.lowering.schedule.fuse_rows import fuse_rows
from fdl.lowering.schedule.pack import pack_constants
from fdl.lowering.schedule.rematerialize import rematerialize_cheap, rematerialize_far
from fdl.lowering.schedule.simplify import collapse_loops, drop_dead, drop_empty, merge_maps
from fdl.lowering.schedule.split import split_at_guards
from fdl.lowering.schedule.tile import tile_stages
from fdl.lowering.target import Target
from fdl.passes import run_passes
from fdl.passes.checks import lift_checks

Step = Callable[[Program, Target], Program]

# None changes what a number is made of, so none changes bits.
STEPS: tuple[Step, ...] = (
    drop_empty,
    merge_maps,
    drop_dead,
    rematerialize_cheap,
    drop_dead,
    rematerialize_far,
    drop_dead,
    collapse_loops,
)
COMPOSING: tuple[Step, ...] = (pack_constants, fuse_rows, split_at_guards, tile_stages, fuse_epilogues)


def schedule(program: Program, target: Target) -> Program:
    """The program after all steps that a target's emitter can follow."""
    for step in (*STEPS, *(COMPOSING if target.composites else ())):
        program = step(program, target)
    return program


@dataclasses.dataclass(frozen=True)
class Lowered:
    """A program on its way to the compiler, with all that `explain` shows."""

    graph: Graph
    program: Program
    arena: Arena
    source: str
    parallel: bool
    lines: dict[str, list[Location]]
    clocks: list[tuple[str, Node]]
    units: int


def lower(graph: Graph, target: Target, donated: Sequence[int] = (), timed: bool = False) -> Lowered:
    """All steps from a Graph to the text of a C target.

    `donated` are inputs whose memory outputs may take; `timed` programs measure their stages.
    """
    lifted = lift_checks(graph)
    optimized = run_passes(lifted.graph)
    program = schedule(build(optimized, len(lifted.checks), target.routines), target)
    arena = plan_arena(program, target, donated)
    rendered = render_program(program, arena, target, timed)
    return Lowered(
        optimized, program, arena, rendered.source, rendered.parallel, rendered.lines, rendered.clocks, rendered.units
    )
