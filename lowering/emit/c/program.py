"""From a planned program to text: one function around its kernels, of which equal ones are one function.

Each node is written as it stands, by the macro of its kind in `nodes.c.j2`. The text carries no user lines, and is the
same from run to run.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

from fdl.core.source import Location
from fdl.lowering.emit.c.kernels import render_kernel
from fdl.lowering.emit.expressions import Expressions, environment
from fdl.lowering.ir import spellings
from fdl.lowering.ir.access import cuts
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import ZERO, Axis, trips
from fdl.lowering.ir.nodes import (
    Argmax,
    Branch,
    Dot,
    Fused,
    Loop,
    Map,
    Node,
    Operand,
    Reduce,
    Routine,
    Scatter,
    Threads,
)
from fdl.lowering.ir.planned import Alias, Alloc, Arena, Barrier, Copy, Guard, Home, Stamp, Swap, touched
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import over_loops
from fdl.lowering.ir.routines import function_of
from fdl.lowering.ir.size import Extent, is_known
from fdl.lowering.target import Target

# What begins a stage, and who takes which part of `n` iterations of its first loop
ONLY = {Threads.HERE: "", Threads.ONE: "if (tid == 0) ", Threads.ALL: ""}


def shared(n: Node, extent: Extent) -> tuple[str, str]:
    """The range of a stage's first loop, as text."""
    if n.threads is Threads.ALL:
        count = f"{extent}l" if is_known(extent) else str(extent)
        return f"{count} * tid / threads", f"{count} * (tid + 1) / threads"
    return "0", str(extent)


def written(kind: str, **parts: Any) -> str:
    """The text of a node, by the macro of its kind."""
    macro: Any = getattr(environment().get_template("c/nodes.c.j2").module, kind)
    return str(macro(**parts))


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rendered:
    """Source text, whether it wants a parallel region, each kernel's user lines, and the stages by clock."""

    source: str
    parallel: bool
    lines: dict[str, list[Location]]
    clocks: list[tuple[str, Node]]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Call:
    """A kernel's function, what is handed to it, and how many iterations its first loop has."""

    name: str
    args: tuple[str, ...]
    extent: Extent

    def text(self, only: str, first: str, last: str) -> str:
        """The call for a range of iterations."""
        return written("call", only=only, name=self.name, args=(*self.args, first, last))


class ProgramWriter:
    """Writes one program."""

    def __init__(self, program: Program, target: Target) -> None:
        self.program, self.target = program, target
        self.arena = Arena.of(program.nodes)
        self.kernels: dict[str, str] = {}  # text with a placeholder for the name -> name
        self.branches = 0
        self.headers: set[str] = set()  # of what only some programs need
        self.lines: dict[str, list[Location]] = {}
        self.names: dict[Node, str] = {}  # of stages, by what computes them
        self.clocks: list[Node] = []
        self.counters: dict[Axis, str] = {}  # of loops that the program runs
        self.depth = 0  # of loops around what is written now

    def render(self) -> Rendered:
        """All of it."""
        nodes = self.program.nodes
        linkage, body = "FDL_PLAIN " if self.program.apart else "", self._nodes(nodes)
        # behind the nodes, which may take quotients of sizes
        buffers = _lines(self._sizes(), self._buffers(nodes))
        function = written("function", linkage=linkage, buffers=buffers, body=body)
        clocks = [(self.names[n], n) for n in self.clocks]
        source = (
            environment()
            .get_template("c/program.c.j2")
            .render(
                headers=sorted(self.headers),
                clocks=written("clocks", stages=len(clocks)) if clocks else "",
                kernels=self._in_units(),
                function=function if self.program.units == 1 else written("first_unit", text=function),
            )
        )
        parallel = any(n.threads is Threads.ALL for n in nodes)
        return Rendered(re.sub(r"\n\s*\n\s*\n", "\n\n", source).strip() + "\n", parallel, self.lines, clocks)

    def _in_units(self) -> list[str]:
        """Kernels, shared out over parts that take equally long to compile, the longest first; the first part has the
        program's calls as well.
        """
        texts = [text.replace("KERNEL_NAME", name) for text, name in self.kernels.items()]
        if self.program.units == 1:
            return texts
        load = [self.program.calls * self.target.call_letters] + [0] * (self.program.units - 1)
        unit = {}
        letters = {text: len(re.sub(r"/\*.*?\*/|\s", "", text)) for text in texts}
        for text in sorted(texts, key=letters.__getitem__, reverse=True):
            unit[text] = load.index(min(load))
            load[unit[text]] += letters[text]
        starts = [text.find("*/") + 2 if text.startswith("/*") else 0 for text in texts]
        heads = [text[start : text.index("{", start)].strip() for text, start in zip(texts, starts, strict=True)]
        return [written("in_unit", unit=unit[text], text=text, head=head) for text, head in zip(texts, heads)]

    # What it is told, and where buffers lie

    def _sizes(self) -> str:
        """The sizes that it is told, behind its arguments and results."""
        symbols = self.program.sizes.symbols if self.program.sizes is not None else []
        place = len(self.program.inputs) + len(self.program.outputs)
        return written("sizes", place=place, names=[s.name for s in symbols]) if symbols else ""

    def _buffers(self, nodes: Sequence[Node]) -> str:
        """Arrays, then pointers to memory, then those that are one with another buffer."""
        io = [*self.program.inputs, *self.program.outputs]
        places = {b: f"io[{k}]" for k, b in reversed(list(enumerate(io)))}
        places |= {b: f"arena + {offset}" for b, offset in self.arena.offsets.items()}
        arrays, pointers, aliases = [], [], []
        used = touched(nodes)
        used |= {self.arena.home(b): None for b in used if b.kind == "temp"}
        for b in sorted(used, key=lambda b: b.number):
            common = {"type": spellings.storage_type(b.dtype), "name": _name(b)}
            if b in self.arena.private:
                arrays.append(written("array", **common, elements=max(b.size, 1)))
            elif b in places:
                pointers.append(written("pointer", **common, where=places[b]))
            else:
                aliases.append(written("alias", **common, home=_name(self.arena.home(b))))
        own = [written("own", start=self.arena.size, nbytes=self.arena.own)] if self.arena.own else []
        return "\n".join([*arrays, *pointers, *aliases, *own])

    # Nodes

    def _nodes(self, nodes: Sequence[Node]) -> str:
        return _lines(*(WRITTEN[type(n)](self, n) for n in nodes))

    def _barrier(self, n: Barrier) -> str:
        return written("barrier") if n.unless == 1 else written("barrier_unless", divides=n.unless)

    def _guard(self, n: Guard) -> str:
        return written("guard", flags=[_name(b) for b in n.flags])

    def _stamp(self, n: Stamp) -> str:
        if n.stage is None:
            return written("stamp", place=-1)
        if n.stage not in self.clocks:
            self.clocks.append(n.stage)
        return written("stamp", place=2 * self.clocks.index(n.stage) + (not n.waited))

    def _copy(self, n: Copy) -> str:
        copies = "\n".join(written("copy", source=_name(a), target=_name(b), nbytes=b.nbytes) for a, b in n.pairs)
        return copies if n.threads is Threads.HERE else written("block", only=ONLY[n.threads], body=copies)

    def _swap(self, n: Swap) -> str:
        return written("swap", type=spellings.storage_type(n.old.dtype), new=_name(n.new), old=_name(n.old))

    def _home(self, n: Home) -> str:
        also = " && tid == 0" if n.threads is Threads.ONE else ""
        return written("home", new=_name(n.new), old=_name(n.old), nbytes=n.old.nbytes, and_one=also)

    def _kernel(self, n: Node) -> str:
        call = self._call(n)
        return call.text(ONLY[n.threads], *shared(n, call.extent))

    def _call(self, n: Node) -> Call:
        """The function of a stage, which is there from now on."""
        kernel = render_kernel(n, self.arena, self.program.exprs, self.target)
        if kernel.streams:
            self.headers.add("fdl_stream.h")
        if isinstance(n, Routine):
            self.headers.add(function_of(n, self.target.routines).header)
        name = self._function(kernel.text(self._linkage, "KERNEL_NAME"))
        known = self.lines.setdefault(name, [])
        known += [s for s in n.sources if s not in known]
        self.names[n] = name
        told = (*(self.counters[a] for a in kernel.steps), *(s.name for s in kernel.sizes))
        args = (*(_name(b) for b in kernel.buffers), *told)
        return Call(name, args, n.extent())

    def _function(self, text: str, name: str = "") -> str:
        """The name of a function with this text, but for its name."""
        return self.kernels.setdefault(text, name or f"k{len(self.kernels)}")

    @property
    def _linkage(self) -> str:
        return "FDL_APART" if self.program.apart else "static"

    # Products

    def _axes(self, n: Dot) -> str:
        lhs, rhs = (f"{{{len(x.rows)}, {len(x.cols)}, {_digits(x.rows)}, {_digits(x.cols)}}}" for x in (n.lhs, n.rhs))
        return written("axes", linkage="static " if self.program.sizes is None else "", lhs=lhs, rhs=rhs)

    def _product(self, n: Dot, share: str, after: str = "0") -> dict[str, Any]:
        """The call of the runtime library, by a thread that takes a share of the product."""
        lhs, rhs, out = (self._address(x, n.space) for x in (n.lhs, n.rhs, n.out))
        sizes, narrow = (str(d) for d in (n.m, n.n, n.k)), n.lhs.buffer.dtype != n.dtype
        args = (*sizes, lhs, "&lhs", rhs, "&rhs", out, str(n.out.rows[0][1]), share, *(() if narrow else (after,)))
        return {"type": spellings.SUFFIX[n.lhs.buffer.dtype], "args": args}

    def _address(self, x: Operand, space: Sequence[Axis]) -> str:
        text = Expressions(self.target)
        text.enter(space)
        text.loops |= self.counters
        return f"{_name(x.buffer)} + {text.index(x.offset)}"

    def _dot(self, n: Dot) -> str:
        self.names[n] = "product"
        count = trips(n.space)
        if count != 1:
            return self._batch(n, ONLY[n.threads], *shared(n, count))
        share = "tid, threads" if n.threads is Threads.ALL else "0, 1"
        return _block(ONLY[n.threads], self._axes(n), written("product", **self._product(n, share)))

    def _batch(self, n: Dot, only: str, first: str, last: str) -> str:
        """Products by their number, each by one thread."""
        self.names[n] = "product"
        digits = [(f"i{k}", trips(n.space[k + 1 :]), a.size) for k, a in enumerate(n.space)]
        product = written("product", **self._product(n, "0, 1"))
        return _block(only, self._axes(n), written("batch", first=first, last=last, digits=digits, body=product))

    def _fused(self, n: Fused) -> str:
        if n.kernel:
            return self._kernel(n)
        return self._tile(n) if n.product is None else self._epilogue(n, n.product)

    def _epilogue(self, n: Fused, product: Dot) -> str:
        """The product calls a function for its rows; where it has not, the stage runs behind it."""
        *between, stage = n.body[1:]
        after = self._call(stage)
        self.names[n] = "product"
        given = [f"(long)x[{i}]" if name.startswith("t") else f"x[{i}]" for i, name in enumerate(after.args)]
        head = f"{self._linkage} void KERNEL_NAME(void *const *x, long lo, long hi)"
        part = self._function(f"{head} {{\n  {after.name}({', '.join([*given, 'lo', 'hi'])});\n}}")
        share = "tid, threads" if n.threads is Threads.ALL else "0, 1"
        epilogue = written(
            "epilogue",
            **self._product(product, share, "&after"),
            context=[f"(void *){name}" for name in after.args],
            part=part,
            extent=after.extent,
            otherwise=_lines(self._nodes(between), after.text("", *shared(n, after.extent))),
        )
        return _block(ONLY[n.threads], self._axes(product), epilogue)

    # Programs inside of programs

    def _tile(self, n: Fused) -> str:
        first, last = shared(n, n.count)
        own = self.arena.scratch
        scratch = [(spellings.storage_type(b.dtype), _name(b), own[b], b.size // n.count) for b in n.locals]
        steps: dict[tuple[int, int], Axis] = {}
        body = "\n".join(self._part(m, n.count, steps) for m in n.body)
        counters = [(axis.name, *cut) for cut, axis in steps.items()]
        return written(
            "tile", only=ONLY[n.threads], first=first, last=last, scratch=scratch, counters=counters, body=body
        )

    def _part(self, m: Node, count: int, steps: dict[tuple[int, int], Axis]) -> str:
        """A stage of a tile, for one part; whole where it reads which part that is."""
        if isinstance(m, Dot):
            size = trips(m.space) // count
            return self._batch(m, "", f"{size} * part", f"{size} * (part + 1)")
        if isinstance(m, Stamp):
            return self._stamp(m)
        inside = self._of_one_part(m, count, steps)
        call = self._call(inside)
        self.names[m] = call.name
        size = call.extent // count
        return call.text("", *((f"{size} * part", f"{size} * (part + 1)") if inside is m else ("0", str(call.extent))))

    def _of_one_part(self, n: Node, count: int, steps: dict[tuple[int, int], Axis]) -> Node:
        """A stage whose first loops only together make up the parts, without these: it reads counters, which `steps`
        gets.
        """
        if isinstance(n, (Dot, Fused)) or n.extent() % count == 0:
            return n  # called on a range of its first loop
        exprs, found = self.program.exprs, {cut.loop: cut for cut in cuts(n.space, count) or []}  # type: ignore[attr-defined]
        for cut in reversed(found.values()):
            where = cut.stride, cut.number
            if where not in steps:
                name = f"t{31 - len(steps)}"  # behind those of all loops, the slowest first
                steps[where] = exprs.axis(name, cut.number)
                self.counters[steps[where]] = name
        kept = [a for a in n.space if a not in found or found[a].run > 1]  # type: ignore[attr-defined]
        space = exprs.axes([found[a].run if a in found else a.size for a in kept])
        places = dict(zip(kept, (a.index for a in space), strict=True))
        for a, cut in found.items():
            places[a] = places.get(a, ZERO) + steps[cut.stride, cut.number].index * cut.run
        return over_loops(n, space, places, exprs)

    def _loop(self, n: Loop) -> str:
        swaps = [m for m in n.last if isinstance(m, Home)]
        homes = [
            written("remember", type=spellings.storage_type(m.old.dtype), new=_name(m.new), old=_name(m.old))
            for m in swaps
        ]
        depth = self.depth
        self.depth += 1
        if n.axis is not None:
            self.counters[n.axis] = f"t{depth}"
            counter = f"{n.axis.size - 1} - s{depth}" if n.reverse else f"s{depth}"
            steps = written("loop", depth=depth, length=n.axis.size, counter=counter, body=self._nodes(n.body))
        else:
            assert n.test is not None and n.test_result is not None
            test = self._nodes(n.test)
            steps = written("while", test=test, result=_name(n.test_result), body=self._nodes(n.body))
        self.depth = depth
        return _block(ONLY[n.threads], *homes, steps, self._nodes(n.last))

    def _branch(self, n: Branch) -> str:
        text = Expressions(self.target)
        index = text.emit(n.index)
        params = [f"const {spellings.storage_type(b.dtype)} *{name}" for b, name in text.buffers.items()] + [
            f"long {s}" for s in (*text.steps.values(), *text.sizes.values())
        ]
        lines = "\n".join(f"  {line}" for line in text.lines[0])
        number = self.branches
        self.branches += 1
        name = f"fdl_branch_{number}"
        head = f"{self._linkage} fdl_i32 {name}({', '.join(params) or 'void'})"
        self._function(f"{head} {{\n{lines}\n  return {index};\n}}", name)
        args = (*(_name(b) for b in text.buffers), *(self.counters[a] for a in text.steps), *text.sizes.values())
        labels = [*(f"case {k}" for k in range(len(n.bodies) - 1)), "default"]
        bodies = [(label, self._nodes(body)) for label, body in zip(labels, n.bodies, strict=True)]
        return written("branch", only=ONLY[n.threads], number=number, args=args, bodies=bodies)


# How each kind of node is written in the program's function; where buffers lie has been written before.
WRITTEN: dict[type[Node], Callable[[ProgramWriter, Any], str]] = {
    Barrier: ProgramWriter._barrier,
    Guard: ProgramWriter._guard,
    Stamp: ProgramWriter._stamp,
    Copy: ProgramWriter._copy,
    Swap: ProgramWriter._swap,
    Home: ProgramWriter._home,
    **dict.fromkeys((Map, Reduce, Argmax, Scatter, Routine), ProgramWriter._kernel),
    Dot: ProgramWriter._dot,
    Fused: ProgramWriter._fused,
    Loop: ProgramWriter._loop,
    Branch: ProgramWriter._branch,
    **dict.fromkeys((Alloc, Alias), lambda writer, n: ""),
}


def _name(b: Buffer) -> str:
    return f"b{b.number}"


def _digits(digits: Sequence[tuple[int, int]]) -> str:
    return "{" + ", ".join(f"{{{size}, {step}}}" for size, step in digits) + "}"


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _block(only: str, *texts: str) -> str:
    """Statements in a block of their own."""
    return written("block", only=only, body=_lines(*texts))


def render_program(program: Program, target: Target) -> Rendered:
    """The C source of a planned program."""
    return ProgramWriter(program, target).render()
