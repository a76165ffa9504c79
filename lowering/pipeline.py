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
from fdl.lowering.schedule.epilogue import finish_products
from fdl.lowering.schedule.fuse_rows import fuse_rows
from fdl.lowering.schedule.pack import pack_constants
from fdl.lowering.schedule.rematerialize import recompute_cheap, recompute_far
from fdl.lowering.schedule.simplify import collapse_loops, drop_dead, drop_empty, merge_maps
from fdl.lowering.schedule.split import cut_at_guards
from fdl.lowering.schedule.tile import band_stages
from fdl.passes import run_passes
from fdl.passes.checks import lift_checks

Step = Callable[[Program], Program]

# None changes what a number is made of, so none changes bits.
STEPS: tuple[Step, ...] = (
    drop_empty,
    merge_maps,
    drop_dead,
    recompute_cheap,
    drop_dead,
    recompute_far,
    drop_dead,
    collapse_loops,
)
COMPOSING: tuple[Step, ...] = (pack_constants, fuse_rows, cut_at_guards, band_stages, finish_products)


def schedule(program: Program, composites: bool = True) -> Program:
    """The program after all steps; without `composites`, for emitters that know none, stages stay by themselves."""
    for step in (*STEPS, *(COMPOSING if composites else ())):
        program = step(program)
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


def lower(graph: Graph, donated: Sequence[int] = (), timed: bool = False) -> Lowered:
    """All steps before the compiler.

    `donated` are inputs whose memory outputs may take; `timed` programs measure their stages.
    """
    lifted = lift_checks(graph)
    optimized = run_passes(lifted.graph)
    program = schedule(build(optimized, len(lifted.checks)))
    arena = plan_arena(program, donated)
    rendered = render_program(program, arena, timed)
    return Lowered(
        optimized, program, arena, rendered.source, rendered.parallel, rendered.lines, rendered.clocks, rendered.units
    )
