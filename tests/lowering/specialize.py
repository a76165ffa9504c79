"""A program for arrays of any size, at sizes that are known: what the interpreter runs, and what tests compare."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fdl.core.errors import GraphError
from fdl.lowering.ir.expr import Buffer, Expr, walk
from fdl.lowering.ir.index import Axis, Index
from fdl.lowering.ir.program import Program
from fdl.passes.size import Size, Symbol, at_values


def specialize(program: Program, values: Mapping[Symbol, int]) -> Program:
    """The same program where symbols have these values, those of the example where they have none here.

    An input with steps becomes the memory from its first element to its last one. Raises GraphError where the program
    assumes something else of the values.
    """
    if program.sizes is None:
        return program
    if not program.sizes.hold(values):
        raise GraphError(f"loop program: {values} are not what it is for: {program.sizes.assumptions}")
    at = _Specializing(program, values)
    changed = {name: at(getattr(program, name)) for name in ("nodes", "buffers", "inputs", "outputs", "donated")}
    return dataclasses.replace(program, **changed, sizes=None)


class _Specializing:
    """Puts numbers in place of sizes, wherever they stand in nodes."""

    def __init__(self, program: Program, values: Mapping[Symbol, int]) -> None:
        self.exprs, self.values = program.exprs, values
        self.buffers: dict[Buffer, Buffer] = {}
        self.known: dict[Expr, Expr] = {}
        self.axes: dict[Axis, Axis] = {}

    def __call__(self, x: Any) -> Any:
        if isinstance(x, Size):
            return at_values(x, self.values)
        if isinstance(x, Index):
            return self._index(x)
        if isinstance(x, Buffer):
            return self._buffer(x)
        if isinstance(x, Expr):
            return self._expression(x)
        if isinstance(x, Axis):
            return self.axes.setdefault(x, Axis(x.name, self(x.size), x.number, x.kind))
        if isinstance(x, (list, tuple)):
            return type(x)(self(part) for part in x)
        if isinstance(x, dict):
            return {self(key): self(value) for key, value in x.items()}
        if dataclasses.is_dataclass(x) and not isinstance(x, type):
            fields = [f.name for f in dataclasses.fields(x) if f.name != "sources"]
            return dataclasses.replace(x, **{name: self(getattr(x, name)) for name in fields})
        return x

    def _index(self, index: Index) -> Index:
        out = Index(self(index.const), ())
        for atom, c in index.terms:
            out = out + Index(0, ((self(atom), 1),)) * self(c)
        return out

    def _buffer(self, b: Buffer) -> Buffer:
        if b not in self.buffers:
            reach = sum((self(size) - 1) * self(step) for size, step in b.axes)
            size = self(b.size)
            self.buffers[b] = Buffer(b.number, b.dtype, reach + 1 if b.axes and size else size, b.kind)
        return self.buffers[b]

    def _expression(self, root: Expr) -> Expr:
        for e in walk([root]):
            if e not in self.known:
                attr = self(e.attr) if e.op in ("load", "number") else e.attr
                self.known[e] = self.exprs.make(e.op, tuple(self.known[a] for a in e.args), e.dtype, attr)
        return self.known[root]
