"""Expressions as statements of a kernel, in C, CUDA and Metal alike; and the environment of all templates."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from fdl.core import dtypes
from fdl.lowering.ir import spellings
from fdl.lowering.ir.expr import Buffer, Expr
from fdl.lowering.ir.index import Axis, Index
from fdl.lowering.ir.nodes import Reduce
from fdl.lowering.target import Target
from fdl.ops.reduction import lowest
from fdl.passes.size import Extent, Size, Symbol, surely


@functools.cache
def environment() -> Any:
    """The one Jinja environment: templates of this package, undefined names are errors."""
    import jinja2  # a program from the disk cache renders nothing, and starts faster without it

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("fdl.lowering", "emit"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=False,
        auto_reload=False,  # nobody changes them while they are used, and asking the disk each time takes long
    )
    made.filters |= {"name": name_of, "storage": spellings.storage_type, "suffix": spellings.SUFFIX.__getitem__}
    return made


def name_of(b: Buffer) -> str:
    """A buffer in the function that every thread runs."""
    return f"b{b.number}"


def by_macro(file: str, kind: str, **parts: Any) -> str:
    """The text that a macro of a file of templates makes of parts."""
    macro: Any = getattr(environment().get_template(file).module, kind)
    return str(macro(**parts)).strip("\n")


def joined(*texts: str) -> str:
    """Those that are not empty, each on lines of its own."""
    return "\n".join(filter(None, texts))


def is_strided(index: Index) -> bool:
    """Whether no loop steps to the next element."""
    steps = [c for atom, c in index.terms if isinstance(atom, Axis)]
    return bool(steps) and all(surely(lambda c=c: abs(c) > 1) for c in steps)


class Folding(NamedTuple):
    """The type of a fold's values, the suffix of its vector functions (of floats alone), its neutral element, and what
    joins two values.
    """

    type: str
    suffix: str
    neutral: str
    join: str

    @classmethod
    def of(cls, n: Reduce) -> Folding:
        """That of a node."""
        dtype, add = n.value.dtype, n.kind == "add"
        suffix = spellings.SUFFIX[dtype]
        zero = spellings.literal(-0.0, dtype) if n.bare and dtypes.is_float(dtype) else "0"
        return cls(
            spellings.register_type(dtype),
            f"{n.kind}_{suffix}" if dtype in (dtypes.float32, dtypes.float64) else "",
            zero if add else spellings.literal(lowest(dtype), dtype),
            "FDL_PLUS" if add else f"fdl_max_{suffix}",
        )


class Expressions:
    """Writes expressions as statements of a kernel; collects the buffers, steps and sizes that it refers to."""

    def __init__(
        self,
        target: Target,
        rows: Mapping[Buffer, int] | None = None,
        outer: Sequence[Axis] = (),
        weaves: bool = False,
    ) -> None:
        self.target = target
        self.weaves = weaves  # whether the kernel's stores lie side by side in one loop
        self.table: dict[str, str] = spellings.TABLES.get(target.language, {})
        # buffers of which one row is kept: its name and size
        self.rows = {b: (f"l{k}", size) for k, (b, size) in enumerate((rows or {}).items())}
        self.outer = outer  # the loops over rows
        self.loops: dict[Axis, str] = {}  # of the stage that is written now
        self.buffers: dict[Buffer, str] = {}
        self.steps: dict[Axis, str] = {}  # of loops around the kernel
        self.sizes: dict[Symbol, str] = {}  # that the program is told
        self.scopes: list[dict[Expr, str]] = [{}]
        self.lines: list[list[str]] = [[]]
        self.count = 0

    def params(self, stored: Collection[Buffer], aliased: Collection[Buffer]) -> tuple[str, ...]:
        """Parameters of a function: pointers, without `const` to what is `stored`, without `restrict` to what may be
        `aliased`; then the steps of loops around it, and sizes.
        """
        pointers = []
        for b, name in self.buffers.items():
            const, restrict = "" if b in stored else "const ", "" if b in aliased else "restrict "
            pointers.append(f"{const}{spellings.storage_type(b.dtype)} *{restrict}{name}")
        return (*pointers, *(f"long {name}" for name in (*self.steps.values(), *self.sizes.values())))

    def args(self, counters: Mapping[Axis, str]) -> tuple[str, ...]:
        """What is handed to these parameters, where loops around it count in `counters`."""
        return (*map(name_of, self.buffers), *(counters[a] for a in self.steps), *(s.name for s in self.sizes))

    def taken(self) -> list[str]:
        """The statements so far, which are then no longer there."""
        lines, self.lines = self.lines[0], [[]]
        return lines

    def buffer(self, b: Buffer) -> str:
        return self.buffers.setdefault(b, f"a{len(self.buffers)}")

    def enter(self, loops: Sequence[Axis]) -> None:
        """Begin a stage: its loops are named by how many stand around them."""
        self.scopes, self.lines = [{}], [[]]
        self.loops = {a: f"i{k}" for k, a in enumerate(loops)}
        self.tell(*(a.size for a in loops))

    def axis(self, a: Axis) -> str:
        """The name of a loop, of the stage or around the kernel."""
        return self.loops.get(a) or self.steps.setdefault(a, f"s{len(self.steps)}")

    def tell(self, *sizes: Extent) -> None:
        """Note that these sizes are referred to."""
        for size in sizes:
            if isinstance(size, Size):
                self.sizes.update((s, s.name) for monomial, _ in size.terms for s in monomial)

    def index(self, index: Index) -> str:
        """An address as text."""
        parts = []
        self.tell(index.const, *(c for _, c in index.terms))
        for atom, c in index.terms:
            name = self.axis(atom) if isinstance(atom, Axis) else self.emit(atom)
            parts.append(name if c == 1 else f"{name} * {c}")
        if index.const or not parts:
            parts.append(str(index.const))
        return " + ".join(parts).replace("+ -", "- ")

    def load(self, b: Buffer, index: Index) -> str:
        text = self.element(b, index)
        if self.weaves and len(self.lines) > 1 and b not in self.rows and is_strided(index):
            # gcc 12 takes two such loads of one line for one vector, and forgets which of them a store wants
            text = f"*(const volatile {spellings.storage_type(b.dtype)} *)&{text}"
        return self.loaded(b, text)

    def loaded(self, b: Buffer, text: str) -> str:
        """The value of an element, from the one in memory."""
        return f"fdl_load_{spellings.SUFFIX[b.dtype]}({text})" if b.dtype in dtypes.NARROW_FLOATS else text

    def element(self, b: Buffer, index: Index) -> str:
        """The lvalue at an address."""
        if b in self.rows:
            name, size = self.rows[b]
            return name if size == 1 else f"{name}[{self.index(index.without(self.outer))}]"
        return f"{self.buffer(b)}[{self.index(index)}]"

    def store(self, b: Buffer, index: Index, value: str) -> str:
        """The statement that stores a value."""
        return f"{self.element(b, index)} = {self.stored(b, value)};"

    def stored(self, b: Buffer, value: str) -> str:
        """A value as it lies in memory."""
        return f"fdl_store_{spellings.SUFFIX[b.dtype]}({value})" if b.dtype in dtypes.NARROW_FLOATS else value

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
            if self.weaves and e.op == "mul" and dtypes.is_float(e.dtype):
                text = f"FDL_ROUNDED({text})"
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
