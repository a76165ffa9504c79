"""From loop program to text: one function around its kernels, of which equal ones are one function.

The text carries no user lines, and is the same from run to run.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

from fdl.core.source import Location
from fdl.lowering.emit.c.kernels import LoopText, render_kernel
from fdl.lowering.emit.expressions import Expressions, environment
from fdl.lowering.ir import spellings
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.nodes import Band, Branch, Dot, Finished, Loop, Node, Operand, Routine, Scatter
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.ir.routines import function_of
from fdl.lowering.plan.barriers import ALWAYS, Barriers
from fdl.lowering.plan.memory import Arena, copies_itself, is_parallel
from fdl.lowering.plan.stores import streamed
from fdl.lowering.target import Target


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class FunctionText:
    """A function, its head alone, and the part of the program that it is compiled in."""

    text: str
    head: str
    unit: int


def _kernel_texts(texts: Sequence[str], units: int, calls: int, target: Target) -> tuple[FunctionText, ...]:
    """Kernels shared out over parts that take equally long to compile, the longest first; the first part has the
    program's calls as well.
    """
    load = [calls * target.call_letters] + [0] * (units - 1)
    unit = {}
    for text in sorted(texts, key=len, reverse=True):
        unit[text] = load.index(min(load))
        load[unit[text]] += len(text)
    starts = [text.find("*/") + 2 if text.startswith("/*") else 0 for text in texts]
    return tuple(
        FunctionText(text, text[start : text.index("{", start)].strip(), unit[text])
        for text, start in zip(texts, starts, strict=True)
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class BufferText:
    """A pointer of the program function."""

    name: str
    type: str
    where: str
    alias: bool
    private: int = 0  # elements on the stack


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class CopyText:
    """A carry that is handed on."""

    source: str
    target: str
    nbytes: int
    type: str


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class KernelText:
    """A kernel's call."""

    name: str
    args: tuple[str, ...]
    extent: int
    parallel: bool
    barrier: int
    clock: int
    kind: str = "kernel"


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class DotText:
    """A call of the runtime's matrix product."""

    type: str
    m: int
    n: int
    k: int
    lhs: str
    lhs_axes: str
    rhs: str
    rhs_axes: str
    out: str
    out_step: int  # from row to row
    batch: int
    loops: tuple[LoopText, ...]  # of the batch: start is how many products one step of the loop takes
    narrow: bool  # elements that are summed up in wider ones
    parallel: bool
    barrier: int
    clock: int
    kind: str = "dot"


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class FinishedText:
    """A product whose rows are handed on: by which function, with what, to which kernel."""

    dot: DotText
    after: KernelText
    part: str
    context: tuple[str, ...]
    barrier: int
    clock: int
    kind: str = "finished"


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class SlabText:
    """A buffer of which a thread keeps one slab."""

    name: str
    type: str
    offset: int
    elements: int


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class BandText:
    """Stages, part by part."""

    count: int
    body: tuple[Any, ...]
    slabs: tuple[SlabText, ...]
    whole: tuple[bool, ...]  # which stages run whole in each part, and read counters
    counters: tuple[tuple[int, int, int], ...]  # (depth, stride, size)
    parallel: bool
    barrier: int
    kind: str = "band"


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class LoopNodeText:
    """A scan (with a length) or a while loop (with a test)."""

    depth: int
    length: int | None
    reverse: bool
    body: tuple[Any, ...]
    carry: tuple[CopyText, ...]
    swapped: tuple[CopyText, ...]  # large carries: the two buffers change places
    test: tuple[Any, ...]
    test_result: str
    serial: bool
    barrier: int
    kind: str = "loop"


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class BranchText:
    """A choice among programs."""

    number: int
    args: tuple[str, ...]
    bodies: tuple[tuple[Any, ...], ...]
    serial: bool
    barrier: int
    kind: str = "branch"


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class GuardText:
    """The end of a program where one of these bools holds."""

    flags: tuple[str, ...]
    barrier: int
    kind: str = "guard"


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class ProgramText:
    """What the program template gets."""

    kernels: tuple[FunctionText, ...]
    buffers: tuple[BufferText, ...]
    nodes: tuple[Any, ...]
    serial: bool
    large: bool
    clocks: int
    units: int
    arena: int
    own: int
    headers: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rendered:
    """Source text, whether it wants a parallel region, each kernel's user lines, the stages by clock, and in how many
    parts it compiles.
    """

    source: str
    parallel: bool
    lines: dict[str, list[Location]]
    clocks: list[tuple[str, Node]]
    units: int


def _digits(digits: Sequence[tuple[int, int]]) -> str:
    return "{" + ", ".join(f"{{{size}, {step}}}" for size, step in digits) + "}"


class ProgramRenderer:
    """Renders one program; with `timed`, each stage adds the time it takes on the first thread to a clock."""

    def __init__(self, program: Program, arena: Arena, target: Target, timed: bool = False) -> None:
        self.program, self.arena, self.target, self.timed = program, arena, target, timed
        self.clocks: list[tuple[str, Node]] = []
        self.kernels: dict[str, str] = {}  # text with a placeholder for the name -> name
        self.branches = 0
        self.headers: set[str] = set()  # of what only some programs need
        self.lines: dict[str, list[Location]] = {}
        self.used: set[Buffer] = set()
        self.streamed = streamed(program, target, arena.in_place)
        self.stages = sum(1 for _ in all_nodes(program.nodes))
        self.large = self.stages > target.large

    def render(self) -> Rendered:
        """All of it."""
        serial = not any(is_parallel(n, self.target) for n in self.program.nodes)
        nodes = self._guarded_nodes()
        for b in list(self.used):
            self._name(self.arena.home(b) if b.kind == "temp" else b)
        units = self.target.units if self.large and not self.timed else 1
        kernels = _kernel_texts(
            [text.replace("KERNEL_NAME", name) for text, name in self.kernels.items()], units, self.stages, self.target
        )
        buffers = tuple(
            self._buffer_text(b) for b in self.program.buffers if b in self.used and b not in self.arena.slabs
        )
        text = ProgramText(
            kernels,
            buffers,
            nodes,
            serial,
            self.large,
            len(self.clocks) if self.timed else 0,
            units,
            self.arena.size,
            self.arena.own,
            tuple(sorted(self.headers)),
        )
        source = environment().get_template("c/program.c.j2").render(p=text)
        return Rendered(re.sub(r"\n{3,}", "\n\n", source).strip() + "\n", not serial, self.lines, self.clocks, units)

    def _buffer_text(self, b: Buffer) -> BufferText:
        home = self.arena.home(b) if b.kind == "temp" else b
        if home is not b:
            return BufferText(self._name(b), spellings.storage_type(b.dtype), self._name(home), True)
        if b in self.arena.private:
            return BufferText(self._name(b), spellings.storage_type(b.dtype), "", False, max(b.size, 1))
        if b in self.arena.offsets:
            where = f"arena + {self.arena.offsets[b]}"
        elif b in self.program.inputs:
            where = f"io[{self.program.inputs.index(b)}]"
        else:
            where = f"io[{len(self.program.inputs) + self.program.outputs.index(b)}]"
        return BufferText(self._name(b), spellings.storage_type(b.dtype), where, False)

    def _name(self, b: Buffer) -> str:
        self.used.add(b)
        return f"b{b.number}"

    def _guarded_nodes(self) -> tuple[Any, ...]:
        """All stages, with a guard as soon as all flags are known."""
        barriers, place = Barriers(self.arena, self.target), self.program.guarded()
        before = self._nodes(self.program.nodes[:place], barriers)
        if place:
            flags = self.program.outputs[len(self.program.outputs) - self.program.guards :]
            before = (*before, GuardText(tuple(self._name(b) for b in dict.fromkeys(flags)), ALWAYS))
            barriers.meet()
        return before + self._nodes(self.program.nodes[place:], barriers)

    def _nodes(self, nodes: Sequence[Node], barriers: Barriers) -> tuple[Any, ...]:
        return tuple(self._node(n, barriers.before(n)) for n in nodes if not copies_itself(n, self.arena.in_place))

    def _node(self, n: Node, barrier: int) -> Any:
        if isinstance(n, Dot):
            return self._dot(n, barrier)
        if isinstance(n, Loop):
            return self._loop(n, barrier)
        if isinstance(n, Band):
            return self._band(n, barrier)
        if isinstance(n, Finished):
            return self._finished(n, barrier)
        if isinstance(n, Branch):
            return self._branch(n, barrier)
        return self._kernel(n, barrier)

    def _dot(self, n: Dot, barrier: int) -> DotText:
        loops = tuple(LoopText(f"i{k}", str(math.prod(n.space[k + 1 :])), str(d), "") for k, d in enumerate(n.space))
        lhs, rhs, out = (self._address(x) for x in (n.lhs, n.rhs, n.out))
        axes = [f"{{{len(x.rows)}, {len(x.cols)}, {_digits(x.rows)}, {_digits(x.cols)}}}" for x in (n.lhs, n.rhs)]
        return DotText(
            spellings.SUFFIX[n.lhs.buffer.dtype],
            n.m,
            n.n,
            n.k,
            lhs,
            axes[0],
            rhs,
            axes[1],
            out,
            n.out.rows[0][1],
            math.prod(n.space),
            loops,
            n.lhs.buffer.dtype != n.dtype,
            is_parallel(n, self.target),
            barrier,
            self._clock("product", n),
        )

    def _loop(self, n: Loop, barrier: int) -> LoopNodeText:
        serial = not is_parallel(n, self.target)
        inner = Barriers(self.arena, self.target)
        test = () if n.test is None else self._nodes(n.test, inner)
        inner.meet()
        body = self._nodes(n.body, inner)
        carry, swapped = self._handed_on(n, serial)
        result = "" if n.test_result is None else self._name(n.test_result)
        length = n.length if n.test is None else None
        return LoopNodeText(n.depth, length, n.reverse, body, carry, swapped, test, result, serial, barrier)

    def _band(self, n: Band, barrier: int) -> BandText:
        slabs = tuple(
            SlabText(self._name(b), spellings.storage_type(b.dtype), self.arena.slabs[b], size)
            for b, size in n.locals.items()
        )
        body, whole = tuple(self._node(m, False) for m in n.body), tuple(n.counters(m) for m in n.body)
        steps = tuple((d, *x) for d, x in n.steps.items())
        return BandText(n.count, body, slabs, whole, steps, is_parallel(n, self.target), barrier)

    def _handed_on(self, n: Loop, serial: bool) -> tuple[tuple[CopyText, ...], tuple[CopyText, ...]]:
        """Carries that are copied, and large ones whose buffers change places; those that lie where they belong need
        neither.
        """
        in_place = self.arena.in_place
        fixed = {*in_place, *in_place.values(), *self.arena.private}
        copied: list[CopyText] = []
        swapped: list[CopyText] = []
        for a, b in n.carry:
            if in_place.get(a) is not b:
                small = serial and b.nbytes <= self.target.copied
                (copied if small or a.kind != "temp" or a in fixed or b in fixed else swapped).append(
                    CopyText(self._name(a), self._name(b), b.nbytes, spellings.storage_type(b.dtype))
                )
        return tuple(copied), tuple(swapped)

    def _address(self, x: Operand) -> str:
        text = Expressions(self.target)
        place = text.index(x.offset)
        for v, name in text.steps.items():
            place = re.sub(rf"\b{name}\b", f"t{v.rank}", place)
        return f"{self._name(x.buffer)} + {place}"

    def _kernel(self, n: Node, barrier: int) -> KernelText:
        call = render_kernel(n, self.arena, self.program.exprs, self.target, self.streamed)
        if call.kernel.streams:
            self.headers.add("fdl_stream.h")
        if isinstance(n, Routine):
            self.headers.add(function_of(n, self.target.routines).header)
        text = (
            environment()
            .get_template("c/kernel.c.j2")
            .render(kernel=dataclasses.replace(call.kernel, name="KERNEL_NAME", apart=self.large))
        )
        name = self.kernels.setdefault(text, f"k{len(self.kernels)}")
        known = self.lines.setdefault(name, [])
        known += [s for s in n.sources if s not in known]
        args = (*(self._name(b) for b in call.buffers), *(f"t{v.rank}" for v in call.steps))
        space: tuple[int, ...] = getattr(n, "space", ())
        extent = n.extent() if isinstance(n, Scatter) else space[0] if space else 1
        return KernelText(name, args, extent, is_parallel(n, self.target), barrier, self._clock(name, n))

    def _finished(self, n: Finished, barrier: int) -> FinishedText:
        clock = self._clock("product", n)
        dot, after = self._node(n.dot, 0), self._node(n.after, 0)
        context = [f"(void *){name}" for name in after.args]
        given = [f"(long)x[{i}]" if name.startswith("t") else f"x[{i}]" for i, name in enumerate(after.args)]
        head = f"{self._linkage} void KERNEL_NAME(void *const *x, long lo, long hi)"
        part = self.kernels.setdefault(
            f"{head} {{\n  {after.name}({', '.join([*given, 'lo', 'hi'])});\n}}", f"k{len(self.kernels)}"
        )
        return FinishedText(dot, after, part, tuple(context), barrier, clock)

    @property
    def _linkage(self) -> str:
        return "FDL_APART" if self.large else "static"

    def _clock(self, name: str, n: Node) -> int:
        self.clocks.append((name, n))
        return len(self.clocks) - 1

    def _branch(self, n: Branch, barrier: int) -> BranchText:
        text = Expressions(self.target)
        index = text.emit(n.index)
        params = [f"const {spellings.storage_type(b.dtype)} *{name}" for b, name in text.buffers.items()] + [
            f"long {s}" for s in text.steps.values()
        ]
        lines = "\n".join(f"  {line}" for line in text.lines[0])
        number = self.branches
        self.branches += 1
        head = f"{self._linkage} fdl_i32 fdl_branch_{number}({', '.join(params) or 'void'})"
        self.kernels[f"{head} {{\n{lines}\n  return {index};\n}}"] = f"fdl_branch_{number}"
        args = (*(self._name(b) for b in text.buffers), *(f"t{v.rank}" for v in text.steps))
        bodies = tuple(self._nodes(body, Barriers(self.arena, self.target)) for body in n.bodies)
        return BranchText(number, args, bodies, not is_parallel(n, self.target), barrier)


def render_program(program: Program, arena: Arena, target: Target, timed: bool = False) -> Rendered:
    """The C source of a scheduled program."""
    return ProgramRenderer(program, arena, target, timed).render()
