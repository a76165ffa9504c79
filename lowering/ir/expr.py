"""Scalar expressions over elements of buffers, interned by their maker so that equal ones are one object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fdl.core.dtypes import DType
from fdl.lowering.ir.index import Axis, Index
from fdl.lowering.ir.spellings import COSTLY
from fdl.passes.size import Extent


class Buffer:
    """A contiguous run of elements.  `kind` is input, output or temp; `number` is its place in the program.

    With `axes`, (size, step) each, it is an input whose elements lie at steps that the program is told: the first one
    at address 0.
    """

    __slots__ = ("axes", "dtype", "kind", "number", "size")

    def __init__(
        self, number: int, dtype: DType, size: Extent, kind: str, axes: tuple[tuple[Extent, Extent], ...] = ()
    ) -> None:
        self.number, self.dtype, self.size, self.kind, self.axes = number, dtype, size, kind, axes

    @property
    def nbytes(self) -> Extent:
        """Bytes of the elements."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"{self.kind.removesuffix('put')}{self.number}"  # in0, out1, temp2


class Expr:
    """A scalar expression: `op` on `args`, with `attr` for what is no expression.

    Ops besides the elementwise primitives: `const` (attr: value), `load` (attr: (buffer, Index)), `number` (attr:
    Index), `choose` (args: conditions, then the value where all hold, then the other; only the chosen one is
    evaluated), `philox` (a random word).
    """

    __slots__ = ("_loads", "args", "attr", "branches", "cost", "dtype", "number", "op", "operands")

    def __init__(self, number: int, op: str, args: tuple[Expr, ...], dtype: DType, attr: Any) -> None:
        self.number, self.op, self.args, self.dtype, self.attr = number, op, args, dtype, attr
        own = 0 if op in ("const", "load", "number") else 10 if op in COSTLY else 1
        self.cost: int = own + sum(a.cost for a in args)
        self.operands = args + tuple(
            a for i in self.indices() for a, _ in i.terms if isinstance(a, Expr)
        )  # those inside of addresses included
        self.branches: bool = op == "choose" or any(e.branches for e in self.operands)  # whether it has a `choose`
        self._loads: tuple[Expr, ...] | None = None

    def loads(self) -> tuple[Expr, ...]:
        """All loads in it, those in addresses included; worked out once."""
        if self._loads is None:
            self._loads = tuple(e for e in walk([self]) if e.op == "load")
        return self._loads

    def buffers(self) -> Iterable[Buffer]:
        """What is loaded anywhere in it, each once."""
        return dict.fromkeys(e.attr[0] for e in self.loads())

    def indices(self) -> list[Index]:
        """Addresses in this node."""
        if self.op == "load":
            return [self.attr[1]]
        return [self.attr] if self.op == "number" else []

    def __repr__(self) -> str:
        if self.op == "const":
            return f"{self.attr}"
        if self.op == "load":
            return f"{self.attr[0]}[{self.attr[1]}]"
        if self.op == "number":
            return f"({self.attr})"
        extra = f"[{self.attr}]" if self.attr is not None else ""
        return f"{self.op}{extra}:{self.dtype.name}({', '.join(map(repr, self.args))})"


def walk(roots: Sequence[Expr]) -> list[Expr]:
    """All sub-expressions, each once, operands first; without recursion."""
    found: dict[Expr, None] = {}
    stack = list(reversed(roots))
    while stack:
        e = stack.pop()
        if e not in found:
            waiting = [c for c in e.operands if c not in found]
            if waiting:
                stack += [e, *waiting]
            else:
                found[e] = None
    return list(found)


def operations(roots: Sequence[Expr]) -> int:
    """Scalar operations of expressions, roughly; what several of them share is computed once, and counts once."""
    return sum(e.cost - sum(a.cost for a in e.args) for e in walk(roots))


_NAMES = "ijklmpqrs"  # of loops, by how many stand around them


class Interner:
    """Makes axes and expressions of one program; equal expressions are one object."""

    def __init__(self) -> None:
        self.known: dict[Any, Expr] = {}
        self._named: dict[tuple[str, Extent], Axis] = {}
        self._made = 0

    def axis(self, name: str, size: Extent) -> Axis:
        """A new axis."""
        self._made += 1
        return Axis(name, size, self._made)

    def named(self, name: str, size: Extent) -> Axis:
        """The one axis of this name and size that stages have in common: equal stages have equal expressions."""
        found = self._named.get((name, size))
        if found is None:
            found = self._named[name, size] = self.axis(name, size)
        return found

    def axes(self, sizes: Iterable[Extent]) -> tuple[Axis, ...]:
        """A nest of loops of these sizes, the outermost first, named by their places."""
        return tuple(
            self.named(_NAMES[k] if k < len(_NAMES) else f"{_NAMES[-1]}{k}", size) for k, size in enumerate(sizes)
        )

    def make(self, op: str, args: tuple[Expr, ...], dtype: DType, attr: Any = None) -> Expr:
        """The expression."""
        identity = attr.tobytes() if op == "const" else attr
        key = op, args, dtype, identity
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = Expr(len(self.known), op, args, dtype, attr)
        return found
