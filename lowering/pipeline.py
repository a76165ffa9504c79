"""The one list of steps from a Graph to text: passes over the Graph, the build, the schedule, the plan, the emitter."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence

from fdl.core.graph import Graph
from fdl.core.source import Location
from fdl.lowering.build.control import build, build_general
from fdl.lowering.emit.c.program import render_program
from fdl.lowering.ir.nodes import Node
from fdl.lowering.ir.planned import Arena
from fdl.lowering.ir.program import Program
from fdl.lowering.plan.barriers import place_barriers
from fdl.lowering.plan.carries import hand_on
from fdl.lowering.plan.checks import end_early
from fdl.lowering.plan.clocks import measure
from fdl.lowering.plan.loops import arrange_folds, unroll
from fdl.lowering.plan.memory import allocate
from fdl.lowering.plan.prefetch import read_ahead
from fdl.lowering.plan.stores import store_past_caches
from fdl.lowering.plan.threads import share_out
from fdl.lowering.plan.units import divide
from fdl.lowering.schedule.epilogue import fuse_epilogues
from fdl.lowering.schedule.fuse_rows import fuse_rows
from fdl.lowering.schedule.pack import pack_constants
from fdl.lowering.schedule.rematerialize import rematerialize_cheap, rematerialize_far
from fdl.lowering.schedule.simplify import collapse_loops, drop_dead, drop_empty, merge_maps
from fdl.lowering.schedule.split import split_at_conditions
from fdl.lowering.schedule.tile import tile_stages
from fdl.lowering.target import Target
from fdl.passes import run_passes
from fdl.passes.checks import lift_checks
from fdl.passes.generalize import General
from fdl.passes.size import UndecidedSizeError

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
COMPOSING: tuple[Step, ...] = (pack_constants, fuse_rows, split_at_conditions, tile_stages, fuse_epilogues)


# Where buffers lie, who runs what, where threads meet: nodes and attributes that the emitter writes as they stand.
PLANS: tuple[Step, ...] = (
    divide,
    share_out,
    allocate,
    store_past_caches,
    read_ahead,
    unroll,
    arrange_folds,
    hand_on,
    end_early,
    place_barriers,
)


def schedule(program: Program, target: Target) -> Program:
    """The program after all steps that a target's emitter can follow. Of one for arrays of any size stages stay by
    themselves, and a step whose questions have no answer for all sizes leaves it as it is.
    """
    if program.sizes is not None:
        for step in STEPS:
            with contextlib.suppress(UndecidedSizeError):
                program = step(program, target)
        return program
    for step in (*STEPS, *(COMPOSING if target.composites else ())):
        program = step(program, target)
    return program


def plan(program: Program, target: Target, timed: bool = False) -> Program:
    """A scheduled program with all that is decided before it is written; `timed`, with a clock at each stage."""
    for step in (*PLANS, *((measure,) if timed else ())):
        program = step(program, target)
    return program


@dataclasses.dataclass(frozen=True)
class Lowered:
    """A program on its way to the compiler, with all that `explain` shows: the scheduled program, the planned one."""

    graph: Graph
    program: Program
    planned: Program
    source: str
    parallel: bool
    lines: dict[str, list[Location]]
    clocks: list[tuple[str, Node]]

    @classmethod
    def of(cls, graph: Graph, program: Program, target: Target, timed: bool = False) -> Lowered:
        """A scheduled program with its plan and its text."""
        planned = plan(program, target, timed)
        text = render_program(planned, target)
        return cls(graph, program, planned, text.source, text.parallel, text.lines, text.clocks)

    @property
    def arena(self) -> Arena:
        """Where its buffers lie."""
        return Arena.of(self.planned.nodes)


def lower(graph: Graph, target: Target, donated: Sequence[int] = (), timed: bool = False) -> Lowered:
    """All steps from a Graph to the text of a C target.

    `donated` are inputs whose memory outputs may take; `timed` programs measure their stages.
    """
    lifted = lift_checks(graph)
    optimized = run_passes(lifted.graph)
    program = build(optimized, len(lifted.checks), target.routines)
    program = dataclasses.replace(program, donated=tuple(program.inputs[i] for i in donated))
    return Lowered.of(optimized, schedule(program, target), target, timed)


def lower_general(general: General, target: Target) -> Lowered:
    """All steps from a graph for arrays of any size to the text of a C target. Raises UndecidedSizeError where that is
    not possible.
    """
    program = build_general(general, target.routines)
    lowered = Lowered.of(general.graph, schedule(program, target), target)
    if lowered.arena.own:
        raise UndecidedSizeError(
            "the scratch of a thread lies behind an arena whose size is not known yet", hint="a program for each size"
        )
    return lowered
