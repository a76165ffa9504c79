"""From loop program to text: expressions become statements, nodes become kernels, equal kernels one function.

Templates hold the shape of kernels and programs; this file decides names and fills frozen dataclasses (with no generated
methods but the constructor: each costs time at import).  The text carries no user lines, and is the same from
run to run.  `Expressions` serves C, CUDA and Metal.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fdl.core import dtypes
from fdl.core.source import Location
from fdl.lowering import ahead as ahead_of
from fdl.lowering import spellings
from fdl.lowering.fusion import row_value
from fdl.lowering.loop_ir import (
    Argmax,
    Branch,
    Buffer,
    Dot,
    Expr,
    Index,
    Interner,
    Loop,
    LoopVar,
    Map,
    Nest,
    Node,
    Operand,
    Program,
    Reduce,
    Scatter,
    space_vars,
)
from fdl.lowering.reindex import all_nodes
from fdl.lowering.schedule import Arena, Barriers, copies_itself, is_parallel
from fdl.ops.reduction import lowest


@functools.cache
def environment() -> Any:
    """The one Jinja environment: templates of this package, undefined names are errors."""
    import jinja2  # a program from the disk cache renders nothing, and starts faster without it

    return jinja2.Environment(loader=jinja2.PackageLoader("fdl.lowering", "templates"), undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=False)


_SMALL_COPY = 256  # bytes of a carry that is copied rather than swapped
UNITS = 2  # parts of a large program that are compiled at the same time
_LARGE = 150  # nodes from which a program's calls are not optimised across

# Expressions


class Expressions:
    """Writes expressions as statements of a kernel; collects the buffers and steps that it refers to."""

    def __init__(self, table: dict[str, str] | None = None, rows: Mapping[Buffer, str] | None = None, outer: int = 0) -> None:
        self.table = table or {}
        self.rows = rows or {}  # buffers of which one row is kept, with its name
        self.outer = [v.terms[0][0] for v in space_vars(outer)]  # the loops over rows
        self.buffers: dict[Buffer, str] = {}
        self.steps: dict[LoopVar, str] = {}
        self.scopes: list[dict[Expr, str]] = [{}]
        self.lines: list[list[str]] = [[]]
        self.count = 0

    def buffer(self, b: Buffer) -> str:
        return self.buffers.setdefault(b, f"a{len(self.buffers)}")

    def _variable(self, v: LoopVar) -> str:
        return self.steps.setdefault(v, f"s{len(self.steps)}") if v.step else f"i{v.rank}"

    def index(self, index: Index) -> str:
        """An address as text."""
        parts = []
        for atom, c in index.terms:
            name = self._variable(atom) if isinstance(atom, LoopVar) else self.emit(atom)
            parts.append(name if c == 1 else f"{name} * {c}")
        if index.const or not parts:
            parts.append(str(index.const))
        return " + ".join(parts).replace("+ -", "- ")

    def load(self, b: Buffer, index: Index) -> str:
        text = self.element(b, index)
        return f"fdl_load_{spellings.SUFFIX[b.dtype]}({text})" if b.dtype in dtypes.NARROW_FLOATS else text

    def element(self, b: Buffer, index: Index) -> str:
        """The lvalue at an address."""
        if b in self.rows:
            return f"{self.rows[b]}[{self.index(index.without(self.outer))}]"
        return f"{self.buffer(b)}[{self.index(index)}]"

    def store(self, b: Buffer, index: Index, value: str) -> str:
        """The statement that stores a value."""
        if b.dtype in dtypes.NARROW_FLOATS:
            value = f"fdl_store_{spellings.SUFFIX[b.dtype]}({value})"
        return f"{self.element(b, index)} = {value};"

    def emit(self, e: Expr) -> str:
        """The name or literal of an expression, after the statements that it needs."""
        for scope in reversed(self.scopes):
            if e in scope:
                return scope[e]
        if e.op == "const":
            return spellings.literal(e.attr, e.dtype)
        name = self._choose(e) if e.op == "choose" else self._statement(e)
        self.scopes[-1][e] = name
        return name

    def _statement(self, e: Expr) -> str:
        if e.op == "load":
            text = self.load(*e.attr)
        elif e.op == "number":
            text = self.index(e.attr)
        else:
            args = [self.emit(a) for a in e.args]
            operand = e.args[-1].dtype if e.op == "select" else e.args[0].dtype
            text = spellings.spell(e.op, operand, e.dtype, args, self.table)
        name = self._name()
        self.lines[-1].append(f"const {spellings.register_type(e.dtype)} {name} = {text};")
        return name

    def _name(self) -> str:
        self.count += 1
        return f"x{self.count}"

    def _choose(self, e: Expr) -> str:
        """An if with two blocks, so that only the chosen value is evaluated."""
        conditions = [self.emit(c) for c in e.args[:-2]]
        name = self._name()
        self.lines[-1].append(f"{spellings.register_type(e.dtype)} {name};")
        for head, value in ((f"if ({' && '.join(conditions)}) {{", e.args[-2]), ("} else {", e.args[-1])):
            self.scopes.append({})
            self.lines.append([])
            text = self.emit(value)
            block = [*self.lines.pop(), f"{name} = {text};"]
            self.scopes.pop()
            self.lines[-1] += [head, *("  " + line for line in block)]
        self.lines[-1].append("}")
        return name


# Kernels


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class LoopText:
    """One `for` of a template."""

    name: str
    start: str
    stop: str
    indent: str


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Part:
    """One loop nest of a kernel."""

    kind: str
    comment: str
    loops: tuple[LoopText, ...]
    indent: str
    lines: tuple[str, ...]
    stores: tuple[str, ...] = ()
    over: tuple[LoopText, ...] = ()
    inner: LoopText | None = None
    column: LoopText | None = None
    type: str = ""
    value: str = ""
    neutral: str = ""
    combine: str = ""
    fold: str = ""  # of floats: accumulators of vectors
    direct: str = ""  # where a row lies in memory as it is folded
    steps: tuple[int, ...] = ()  # rows at a time
    overlaps: bool = False
    page: int = 0  # steps of the innermost loop from one reading ahead to the next
    ahead: tuple[str, ...] = ()  # what is asked for then, or at the start of a row


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Total:
    """A fold down columns that a nest keeps while its rows pass."""

    name: str
    type: str
    width: int
    neutral: str
    combine: str
    lines: tuple[str, ...]
    value: str
    stores: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Kernel:
    """What the kernel template gets: one part, or or several inside of loops over rows."""

    comment: str
    params: tuple[str, ...]
    parts: tuple[Part, ...]
    rows: tuple[LoopText, ...] = ()
    chunk: int = 0
    totals: tuple[Total, ...] = ()
    locals: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    name: str = ""
    apart: bool = False


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class KernelCall:
    """A kernel's text, with the buffers and steps that one call hands to it."""

    kernel: Kernel
    buffers: tuple[Buffer, ...]
    steps: tuple[LoopVar, ...]


def _loops(space: Sequence[int], depth: int = 1, first: int = 0, ranged: bool = True) -> tuple[LoopText, ...]:
    out = []
    for k, d in enumerate(space):
        bounded = ranged and k == 0
        out.append(LoopText(f"i{first + k}", "lo" if bounded else "0", "hi" if bounded else str(d), "  " * (depth + k)))
    return tuple(out)


def _params(text: Expressions, written: Sequence[Buffer], overlapping: Collection[Buffer] = ()) -> tuple[str, ...]:
    out = []
    for b, name in text.buffers.items():
        const = "" if b in written else "const "
        out.append(f"{const}{spellings.storage_type(b.dtype)} *{'' if b in overlapping else 'restrict '}{name}")
    return (*out, *(f"long {name}" for name in text.steps.values()), "long lo", "long hi")


def render_kernel(n: Node, in_place: Mapping[Buffer, Buffer], exprs: Interner) -> KernelCall:
    """The kernel of a node; its name is filled in when equal ones have been found.

    Where an output may lie on an input, both pointers lose `restrict`: each iteration loads before it stores, and no two share an element.
    """
    if isinstance(n, Nest):
        return _nest(n, exprs)
    text = Expressions()
    pairs = [(b, in_place[b]) for b in n.writes() if b in in_place]
    part = dataclasses.replace(_part(n, text, 0), overlaps=bool(pairs))
    return KernelCall(Kernel(part.comment, _params(text, n.writes(), {b for pair in pairs for b in pair}), (part,)), tuple(text.buffers), tuple(text.steps))


def _part(n: Node, text: Expressions, outer: int) -> Part:
    """The loops of a node, but for the `outer` ones that stand around it."""
    make = {Map: _map, Reduce: _reduce, Argmax: _argmax, Scatter: _scatter}[type(n)]
    return make(n, text, outer)  # type: ignore[operator, no-any-return]


def _nest(n: Nest, exprs: Interner) -> KernelCall:
    names = {b: f"l{k}" for k, b in enumerate(n.locals)}
    outer = len(n.outer)
    text = Expressions(rows=names, outer=outer)
    parts: list[Part] = []
    totals: list[Total] = []
    for m in n.body:
        text.scopes, text.lines = [{}], [[]]
        if isinstance(m, Reduce) and not m.rows:
            totals.append(_total(m, text, exprs, len(totals)))
        else:
            parts.append(_part(m, text, outer))
    rows = tuple(f"{spellings.storage_type(b.dtype)} {names[b]}[{size}];" for b, size in n.locals.items())
    comment = f"nest of {_dims(n.outer)} rows: {', '.join(type(m).__name__.lower() for m in n.body)}"
    ahead = _asked(ahead_of.by_rows(n), text)
    return KernelCall(Kernel(comment, _params(text, n.writes()), tuple(parts), _loops(n.outer), n.chunk, tuple(totals), rows, ahead), tuple(text.buffers), tuple(text.steps))


def _asked(places: Sequence[tuple[Buffer, Index]], text: Expressions) -> tuple[str, ...]:
    """Statements that ask for places."""
    return tuple(f"FDL_AHEAD({text.buffer(b)}, {text.index(i)});" for b, i in places)


def _total(n: Reduce, text: Expressions, exprs: Interner, number: int) -> Total:
    per_row = row_value(n, exprs)
    assert per_row is not None
    value = text.emit(per_row)
    lines = tuple(text.lines[0])
    text.scopes, text.lines = [{}], [[]]
    name = f"total{number}"
    store = text.store(n.store, n.offset, f"{name}[i1]")
    _, neutral, combine = _folding(n)
    chunk = ("const long i0 = chunk;", "(void)i0;", *text.lines[0], store)
    return Total(name, spellings.register_type(n.value.dtype), n.space[1], neutral, combine, lines, value, chunk)


def _map(n: Map, text: Expressions, outer: int) -> Part:
    stores = []
    for s in n.stores:
        value = text.emit(s.value)
        stores.append(text.store(s.buffer, s.offset, value))
    loops = _loops(n.space[outer:], 1 + 3 * outer, outer, not outer)
    ops = sorted({e.op for e in _all_ops(n)})
    page, places = (0, []) if outer else ahead_of.along(n)
    ahead = _asked(places if page or outer else ahead_of.by_rows(n), text)
    lines = (*text.lines[0], *stores)
    return Part("map", f"map {_dims(n.space)}: {', '.join(ops) or 'copy'}", loops, "  " * (len(loops) + 1 + 3 * outer), lines, page=page, ahead=ahead)


def _all_ops(n: Node) -> list[Expr]:
    from_roots = n.expressions()
    seen: dict[Expr, None] = {}
    stack = list(from_roots)
    while stack:
        e = stack.pop()
        if e not in seen:
            seen[e] = None
            stack.extend(e.args)
    return [e for e in seen if e.op not in ("const", "load", "number")]


def _dims(space: Sequence[int]) -> str:
    return "x".join(map(str, space)) or "scalar"


def _folding(n: Reduce) -> tuple[str, str, str]:
    """Suffix of the fold's vector functions (of floats alone), its neutral element, and what joins two scalars."""
    dtype, add = n.value.dtype, n.kind == "add"
    suffix = spellings.SUFFIX[dtype]
    fold = f"{n.kind}_{suffix}" if dtype in (dtypes.float32, dtypes.float64) else ""
    return fold, "0" if add else spellings.literal(lowest(dtype), dtype), "FDL_PLUS" if add else f"fdl_max_{suffix}"


def _reduce(n: Reduce, text: Expressions, outer: int) -> Part:
    first, base = len(n.space), 1 + 3 * outer
    fold, neutral, combine = _folding(n)
    value = text.emit(n.value)
    lines, text.lines = tuple(text.lines[0]), [[]]
    common = {"type": spellings.register_type(n.value.dtype), "value": value, "neutral": neutral, "combine": combine}
    name, last = f"i{first + len(n.over) - 1}", str(n.over[-1])
    comment = f"{n.kind} {_dims(n.space)} over {_dims(n.over)}"
    if n.rows:
        loops = _loops(n.space[outer:], base, outer, not outer)
        over = _loops(n.over[:-1], base + len(loops), first, False)
        inner = LoopText(name, "0", last, "  " * (base + len(loops) + len(over)))
        direct = _direct(n, text) if fold else ""
        stores = (*text.lines[0], text.store(n.store, n.offset, "total"))
        return Part("rows", comment, loops, "  " * (base + len(loops)), lines, stores, over, inner, fold=fold, direct=direct, **common)  # type: ignore[arg-type]
    loops = _loops(n.space[:-1])
    whole = len(n.space) <= 1
    column = LoopText(f"i{first - 1}" if n.space else "only", "lo" if whole else "0", "hi" if whole else str(n.space[-1]), "  " * (base + len(loops)))
    over = _loops(n.over[:-1], base + len(loops) + 1, first, False)
    inner = LoopText(name, "0", last, "  " * (base + len(loops) + len(over) + 1))
    stores = (*text.lines[0], *(() if n.space else ("(void)only;",)), text.store(n.store, n.offset, "total[lane]"))
    if not n.space:
        lines = ("(void)only;", *lines)
    steps = (4, 1) if len(lines) < 30 and n.over[-1] >= 4 else (1,)
    return Part("columns", comment, loops, "  " * (base + len(loops)), lines, stores, over, inner, column, steps=steps, **common)  # type: ignore[arg-type]


def _direct(n: Reduce, text: Expressions) -> str:
    """The address of a row that is folded as it lies in memory."""
    if n.value.op != "load":
        return ""
    buffer, index = n.value.attr
    variable = space_vars(len(n.space) + len(n.over))[-1].terms[0][0]
    if index.coefficient(variable) != 1 or not all(isinstance(a, LoopVar) for a, _ in index.terms):
        return ""
    return f"&{text.element(buffer, index.without([variable]))}"


def _argmax(n: Argmax, text: Expressions, outer: int) -> Part:
    base = 1 + 3 * outer
    value = text.emit(n.value)
    lines, text.lines = tuple(text.lines[0]), [[]]
    loops = _loops(n.space[outer:], base, outer, not outer)
    indent = "  " * (len(loops) + base)
    inner = LoopText(f"i{len(n.space)}", "0", str(n.over), indent)
    cast = f"({spellings.register_type(n.store.dtype)})where"
    stores = (*text.lines[0], text.store(n.store, n.offset, cast))
    return Part("argmax", f"argmax {_dims(n.space)} over {n.over}", loops, indent, lines, stores, inner=inner, type=spellings.register_type(n.value.dtype), value=value)


def _scatter(n: Scatter, text: Expressions, outer: int) -> Part:
    conditions = [text.emit(c) for c in n.conditions]
    value = text.emit(n.value)
    place = text.index(n.offset)
    target = f"{text.buffer(n.store)}[place]"
    dtype = n.store.dtype
    if n.kind == "add":
        old = f"fdl_load_{spellings.SUFFIX[dtype]}({target})" if dtype in dtypes.NARROW_FLOATS else target
        value = spellings.spell("add", dtype, dtype, [old, value], {})
    new = f"fdl_store_{spellings.SUFFIX[dtype]}({value})" if dtype in dtypes.NARROW_FLOATS else value
    guard = f"if ({' && '.join(conditions)}) " if conditions else ""
    loops = _loops(n.space)
    lines = (*text.lines[0], f"const long place = {place};", f"{guard}{target} = {new};")
    return Part("map", f"scatter-{n.kind} {_dims(n.space)}", loops, "  " * (len(loops) + 1), lines)


# Programs


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class FunctionText:
    """A function, and its head alone."""

    text: str
    head: str


def _kernel_text(text: str) -> FunctionText:
    start = text.find("*/") + 2 if text.startswith("/*") else 0
    return FunctionText(text, text[start : text.index("{", start)].strip())


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
    barrier: bool
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
    batch: int
    loops: tuple[LoopText, ...]  # of the batch: start is how many products one step of the loop takes
    parallel: bool
    barrier: bool
    clock: int
    kind: str = "dot"


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
    barrier: bool
    kind: str = "loop"


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class BranchText:
    """A choice among programs."""

    number: int
    args: tuple[str, ...]
    bodies: tuple[tuple[Any, ...], ...]
    serial: bool
    barrier: bool
    kind: str = "branch"


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


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rendered:
    """Source text, whether it wants a parallel region, each kernel's user lines, the stages by clock, and in how many parts it compiles."""

    source: str
    parallel: bool
    lines: dict[str, list[Location]]
    clocks: list[tuple[str, Node]]
    units: int


def _digits(digits: Sequence[tuple[int, int]]) -> str:
    return "{" + ", ".join(f"{{{size}, {step}}}" for size, step in digits) + "}"


class ProgramRenderer:
    """Renders one program; with `timed`, each stage adds the time it takes on the first thread to a clock."""

    def __init__(self, program: Program, arena: Arena, timed: bool = False) -> None:
        self.program, self.arena, self.timed = program, arena, timed
        self.clocks: list[tuple[str, Node]] = []
        self.kernels: dict[str, str] = {}  # text with a placeholder for the name -> name
        self.branches = 0
        self.lines: dict[str, list[Location]] = {}
        self.used: set[Buffer] = set()
        self.large = sum(1 for _ in all_nodes(program.nodes)) > _LARGE

    def render(self) -> Rendered:
        """All of it."""
        serial = not any(is_parallel(n) for n in self.program.nodes)
        nodes = self._nodes(self.program.nodes, Barriers(self.arena))
        for b in list(self.used):
            self._name(self.arena.home(b) if b.kind == "temp" else b)
        kernels = tuple(_kernel_text(text.replace("KERNEL_NAME", name)) for text, name in self.kernels.items())
        units = UNITS if self.large and not self.timed else 1
        buffers = tuple(self._buffer_text(b) for b in self.program.buffers if b in self.used)
        text = ProgramText(kernels, buffers, nodes, serial, self.large, len(self.clocks) if self.timed else 0, units)
        source = environment().get_template("program.c.j2").render(p=text)
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

    def _nodes(self, nodes: Sequence[Node], barriers: Barriers) -> tuple[Any, ...]:
        return tuple(self._node(n, barriers.before(n)) for n in nodes if not copies_itself(n, self.arena.in_place))

    def _node(self, n: Node, barrier: bool) -> Any:
        if isinstance(n, Dot):
            loops = tuple(LoopText(f"i{k}", str(math.prod(n.space[k + 1 :])), str(d), "") for k, d in enumerate(n.space))
            lhs, rhs, out = (self._address(x) for x in (n.lhs, n.rhs, n.out))
            axes = [f"{{{len(x.rows)}, {len(x.cols)}, {_digits(x.rows)}, {_digits(x.cols)}}}" for x in (n.lhs, n.rhs)]
            clock = self._clock("product", n)
            return DotText(spellings.SUFFIX[n.dtype], n.m, n.n, n.k, lhs, axes[0], rhs, axes[1], out, math.prod(n.space), loops, is_parallel(n), barrier, clock)
        if isinstance(n, Loop):
            serial = not is_parallel(n)
            inner = Barriers(self.arena)
            test = () if n.test is None else self._nodes(n.test, inner)
            inner.meet()
            body = self._nodes(n.body, inner)
            carry, swapped = self._handed_on(n, serial)
            result = "" if n.test_result is None else self._name(n.test_result)
            return LoopNodeText(n.depth, None if n.test is not None else n.length, n.reverse, body, carry, swapped, test, result, serial, barrier)
        if isinstance(n, Branch):
            return self._branch(n, barrier)
        return self._kernel(n, barrier)

    def _handed_on(self, n: Loop, serial: bool) -> tuple[tuple[CopyText, ...], tuple[CopyText, ...]]:
        """Carries that are copied, and large ones whose buffers change places; those that lie where they belong need neither."""
        in_place = self.arena.in_place
        fixed = {*in_place, *in_place.values(), *self.arena.private}
        copied: list[CopyText] = []
        swapped: list[CopyText] = []
        for a, b in n.carry:
            if in_place.get(a) is not b:
                small = serial and b.nbytes <= _SMALL_COPY
                (copied if small or a.kind != "temp" or a in fixed or b in fixed else swapped).append(
                    CopyText(self._name(a), self._name(b), b.nbytes, spellings.storage_type(b.dtype))
                )
        return tuple(copied), tuple(swapped)

    def _address(self, x: Operand) -> str:
        text = Expressions()
        place = text.index(x.offset)
        for v, name in text.steps.items():
            place = re.sub(rf"\b{name}\b", f"t{v.rank}", place)
        return f"{self._name(x.buffer)} + {place}"

    def _kernel(self, n: Node, barrier: bool) -> KernelText:
        call = render_kernel(n, self.arena.in_place, self.program.exprs)
        text = environment().get_template("kernel.c.j2").render(kernel=dataclasses.replace(call.kernel, name="KERNEL_NAME", apart=self.large))
        name = self.kernels.setdefault(text, f"k{len(self.kernels)}")
        known = self.lines.setdefault(name, [])
        known += [s for s in n.sources if s not in known]
        args = (*(self._name(b) for b in call.buffers), *(f"t{v.rank}" for v in call.steps))
        space: tuple[int, ...] = getattr(n, "space", ())
        return KernelText(name, args, space[0] if space else 1, is_parallel(n), barrier, self._clock(name, n))

    def _clock(self, name: str, n: Node) -> int:
        self.clocks.append((name, n))
        return len(self.clocks) - 1

    def _branch(self, n: Branch, barrier: bool) -> BranchText:
        text = Expressions()
        index = text.emit(n.index)
        params = [f"const {spellings.storage_type(b.dtype)} *{name}" for b, name in text.buffers.items()] + [f"long {s}" for s in text.steps.values()]
        lines = "\n".join(f"  {line}" for line in text.lines[0])
        number = self.branches
        self.branches += 1
        linkage = "FDL_APART" if self.large else "static"
        head = f"{linkage} fdl_i32 fdl_branch_{number}({', '.join(params) or 'void'})"
        self.kernels[f"{head} {{\n{lines}\n  return {index};\n}}"] = f"fdl_branch_{number}"
        args = (*(self._name(b) for b in text.buffers), *(f"t{v.rank}" for v in text.steps))
        bodies = tuple(self._nodes(body, Barriers(self.arena)) for body in n.bodies)
        return BranchText(number, args, bodies, not is_parallel(n), barrier)


def render_program(program: Program, arena: Arena, timed: bool = False) -> Rendered:
    """The C source of a scheduled program."""
    return ProgramRenderer(program, arena, timed).render()
