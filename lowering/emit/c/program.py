"""From a planned program to text: one function around its kernels, of which equal ones are one function.

Each node is written as it stands, by the macro of its kind in `nodes.c.j2`. The text carries no user lines, and is the
same from run to run.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from fdl.core.source import Location
from fdl.lowering.emit.c.kernels import Function, render_kernel
from fdl.lowering.emit.expressions import Expressions, by_macro, environment, joined, name_of
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
from fdl.lowering.target import Target
from fdl.passes.size import Extent, is_known

# What every thread runs
PROGRAM = ("const fdl_runtime *rt", "void *team", "void *const *io", "char *arena", "int tid", "int threads")


def shared(n: Node, extent: Extent) -> tuple[str, str]:
    """The range of a stage's first loop, of `extent` iterations, that a thread takes, as text."""
    if n.threads is Threads.ALL:
        count = f"{extent}l" if is_known(extent) else str(extent)
        return f"{count} * tid / threads", f"{count} * (tid + 1) / threads"
    return "0", str(extent)


written = functools.partial(by_macro, "c/nodes.c.j2")


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

    def over(self, n: Node, first: str, last: str) -> str:
        """The call for a range of iterations, by those who run `n`."""
        return written("call", n=n, name=self.name, args=(*self.args, first, last))


class ProgramWriter:
    """Writes one program."""

    def __init__(self, program: Program, target: Target) -> None:
        self.program, self.target = program, target
        self.arena = Arena.of(program.nodes)
        self.functions: dict[Function, tuple[str, int]] = {}  # their names, and the units that they are compiled in
        self.headers: set[str] = set()  # of what only some programs need
        self.lines: dict[str, list[Location]] = {}
        self.names: dict[Node, str] = {}  # of stages, by what computes them
        self.clocks: list[Node] = []
        self.counters: dict[Axis, str] = {}  # of loops that the program runs
        self.depth = 0  # of loops around what is written now

    def render(self) -> Rendered:
        """All of it."""
        program = self.program
        body = self.nodes(program.nodes)
        # known only now, behind the nodes, which may take quotients of sizes
        symbols = program.sizes.symbols if program.sizes is not None else []
        sizes = written("sizes", place=len(program.inputs) + len(program.outputs), symbols=symbols) if symbols else ""
        own = written("own", arena=self.arena) if self.arena.own else ""
        whole = written("program", before=joined(sizes, self._places(), own), body=body)
        functions = [
            *(self._defined(f, name, unit, self.linkage) for f, (name, unit) in self.functions.items()),
            self._defined(
                Function("what every thread runs", "void", PROGRAM, whole),
                "fdl_program",
                0,
                "FDL_PLAIN " if program.apart else "",
            ),
        ]
        clocks = [(self.names[n], n) for n in self.clocks]
        timed = any(isinstance(n, Stamp) for n in program.nodes)  # if only from its start to its end
        source = (
            environment()
            .get_template("c/program.c.j2")
            .render(
                headers=sorted(self.headers),
                clocks=written("clocks", stages=len(clocks)) if timed else "",
                functions=functions,
            )
        )
        parallel = any(n.threads is Threads.ALL for n in program.nodes)
        return Rendered(re.sub(r"\n\s*\n\s*\n", "\n\n", source).strip() + "\n", parallel, self.lines, clocks)

    def _places(self) -> str:
        """Where buffers lie: arrays on the stack, pointers to memory, and those that are one with another buffer."""
        io = [*self.program.inputs, *self.program.outputs]
        places = {b: f"io[{k}]" for k, b in reversed(list(enumerate(io)))}
        places |= {b: f"arena + {offset}" for b, offset in self.arena.offsets.items()}
        used = touched(self.program.nodes)
        used |= {self.arena.home(b): None for b in used if b.kind == "temp"}
        arrays, pointers, aliases = list[Buffer](), dict[Buffer, str](), dict[Buffer, Buffer]()
        for b in sorted(used, key=lambda b: b.number):
            if b in self.arena.private:
                arrays.append(b)
            elif b in places:
                pointers[b] = places[b]
            else:
                aliases[b] = self.arena.home(b)
        return written("places", arrays=arrays, pointers=pointers, aliases=aliases)

    def _defined(self, function: Function, name: str, unit: int, linkage: str) -> str:
        """A function, in a large program for its unit alone; the others know its head."""
        head = f"{linkage}{function.result} {name}({', '.join(function.params)})"
        text = written("function", comment=function.comment, head=head, body=function.body)
        return text if self.program.units == 1 else written("in_unit", unit=unit, text=text, head=head)

    # Nodes

    def nodes(self, nodes: Sequence[Node]) -> str:
        """Statements of nodes, one after another."""
        return joined(*(WRITTEN[type(n)](self, n) for n in nodes))

    def _plain(self, n: Node) -> str:
        """By its macro alone."""
        return written(type(n).__name__.lower(), n=n, w=self)

    def _barrier(self, n: Barrier) -> str:
        return written("barrier" if n.unless == 1 else "barrier_unless", n=n, w=self)

    def _copy(self, n: Copy) -> str:
        copies = joined(*(written("copy", source=a, target=b) for a, b in n.pairs))
        return copies if n.threads is Threads.HERE else written("block", n=n, body=copies)

    def _home(self, n: Home) -> str:
        return written("home", n=n, also=" && tid == 0" if n.threads is Threads.ONE else "")

    def clock(self, n: Stamp) -> int:
        """The place of a sum of times; -1 where time begins."""
        if n.stage is None:
            return -1
        if n.stage not in self.clocks:
            self.clocks.append(n.stage)
        return 2 * self.clocks.index(n.stage) + (not n.waited)

    def _kernel(self, n: Node) -> str:
        call = self._call(n)
        return call.over(n, *shared(n, call.extent))

    def _call(self, n: Node) -> Call:
        """The function of a stage, which is there from now on."""
        kernel = render_kernel(n, self.arena, self.program.exprs, self.target)
        self.headers.update(kernel.headers)
        name = self.names[n] = self._function(kernel.function, n)
        known = self.lines.setdefault(name, [])
        known += [s for s in n.sources if s not in known]
        return Call(name, kernel.text.args(self.counters), n.extent())

    @property
    def linkage(self) -> str:
        """Of kernels."""
        return "FDL_APART " if self.program.apart else "static "

    def _function(self, function: Function, n: Node) -> str:
        """The name of a function, in the unit of the first stage that calls it."""
        return self.functions.setdefault(function, (f"k{len(self.functions)}", n.unit))[0]

    # Products

    def address(self, n: Dot, x: Operand) -> str:
        """Where a matrix begins, inside of the loops of a batch."""
        text = Expressions(self.target)
        text.enter(n.space)
        text.loops |= self.counters
        return f"{name_of(x.buffer)} + {text.index(n.outside(x))}"

    def _product(self, n: Dot, share: str = "0, 1", after: str = "0") -> dict[str, str]:
        """How operands lie, and the call of the product's library by a thread that takes a share; narrow ones take no
        stage behind them.
        """
        self.names[n] = "product"
        axes = written("axes", n=n, linkage="static " if self.program.sizes is None else "")
        last = share if n.lhs.buffer.dtype != n.dtype else f"{share}, {after}"
        return {"axes": axes, "product": written("product", n=n, w=self, last=last)}

    def _dot(self, n: Dot) -> str:
        count = trips(n.space)
        return self._batch(n, *shared(n, count)) if count != 1 else written("dot", n=n, **self._product(n, _share(n)))

    def _batch(self, n: Dot, first: str, last: str) -> str:
        digits = [(f"i{k}", trips(n.space[k + 1 :]), a.size) for k, a in enumerate(n.space)]
        return written("batch", n=n, first=first, last=last, places=digits, **self._product(n))

    def _fused(self, n: Fused) -> str:
        if n.kernel:
            return self._kernel(n)
        return self._tile(n) if n.product is None else self._epilogue(n, n.product)

    def _epilogue(self, n: Fused, product: Dot) -> str:
        *between, stage = n.body[1:]
        after = self._call(stage)
        self.names[n] = "product"
        given = [f"(long)x[{i}]" if name.startswith("t") else f"x[{i}]" for i, name in enumerate(after.args)]
        params, body = ("void *const *x", "long lo", "long hi"), f"{after.name}({', '.join([*given, 'lo', 'hi'])});"
        return written(
            "epilogue",
            n=n,
            **self._product(product, _share(n), "&after"),
            context=after.args,
            part=self._function(Function("behind rows of a product", "void", params, body), stage),
            extent=after.extent,
            otherwise=joined(self.nodes(between), after.over(stage, *shared(n, after.extent))),
        )

    # Programs inside of programs

    def _tile(self, n: Fused) -> str:
        first, last = shared(n, n.count)
        scratch = [(b, self.arena.scratch[b]) for b in n.locals]
        steps: dict[tuple[int, int], Axis] = {}
        body = "\n".join(self._part(m, n.count, steps) for m in n.body)
        counters = [(axis.name, *cut) for cut, axis in steps.items()]
        return written("tile", n=n, first=first, last=last, scratch=scratch, counters=counters, body=body)

    def _part(self, m: Node, count: int, steps: dict[tuple[int, int], Axis]) -> str:
        """A stage of a tile, for one part; whole where it reads which part that is."""
        if isinstance(m, Dot):
            size = trips(m.space) // count
            return self._batch(m, f"{size} * part", f"{size} * (part + 1)")
        if isinstance(m, Stamp):
            return self._plain(m)
        inside = self._of_one_part(m, count, steps)
        call = self._call(inside)
        self.names[m] = call.name
        size = call.extent // count
        return call.over(m, *((f"{size} * part", f"{size} * (part + 1)") if inside is m else ("0", str(call.extent))))

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
        homes = [written("remember", n=m) for m in n.last if isinstance(m, Home)]
        depth, self.depth = self.depth, self.depth + 1
        if n.axis is not None:
            self.counters[n.axis] = f"t{depth}"
            counter = f"{n.axis.size - 1} - s{depth}" if n.reverse else f"s{depth}"
            steps = written("counted", n=n, depth=depth, counter=counter, body=self.nodes(n.body))
        else:
            assert n.test is not None
            steps = written("while", n=n, test=self.nodes(n.test), body=self.nodes(n.body))
        self.depth = depth
        return written("block", n=n, body=joined(*homes, steps, self.nodes(n.last)))

    def _branch(self, n: Branch) -> str:
        text = Expressions(self.target)
        index = text.emit(n.index)
        params, body = text.params((), text.buffers) or ("void",), joined(*text.taken(), f"return {index};")
        name = self._function(Function("which branch", "fdl_i32", params, body), n)
        labels = [*(f"case {k}" for k in range(len(n.bodies) - 1)), "default"]
        bodies = [(label, self.nodes(body)) for label, body in zip(labels, n.bodies, strict=True)]
        return written("branch", n=n, name=name, args=text.args(self.counters), bodies=bodies)


# How each kind of node is written in the program's function; where buffers lie has been written before.
WRITTEN: dict[type[Node], Callable[[ProgramWriter, Any], str]] = {
    **dict.fromkeys((Guard, Stamp, Swap), ProgramWriter._plain),
    Barrier: ProgramWriter._barrier,
    Copy: ProgramWriter._copy,
    Home: ProgramWriter._home,
    **dict.fromkeys((Map, Reduce, Argmax, Scatter, Routine), ProgramWriter._kernel),
    Dot: ProgramWriter._dot,
    Fused: ProgramWriter._fused,
    Loop: ProgramWriter._loop,
    Branch: ProgramWriter._branch,
    **dict.fromkeys((Alloc, Alias), lambda writer, n: ""),
}


def _share(n: Node) -> str:
    """Which part of a product a thread takes: its number, and how many take one."""
    return "tid, threads" if n.threads is Threads.ALL else "0, 1"


def render_program(program: Program, target: Target) -> Rendered:
    """The C source of a planned program."""
    return ProgramWriter(program, target).render()
