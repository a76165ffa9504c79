"""The loop IR: what each element of a buffer is, as a scalar expression at an index.

A `Program` is a list of nodes over buffers. `Map` stores expressions over an index space, `Reduce` and `Argmax` fold
one over inner loops, `Scatter` adds at computed places, `Dot` is a matrix product, `Loop` and `Branch` hold nested
programs. Addresses are affine in loop variables and in integer expressions (indirect access). Expressions are interned
by their maker, so that equal ones are one object. Renderers turn it into C, CUDA and Metal; `interpret.py` runs it.
Invariants are in `check`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fdl.core.dtypes import DType
from fdl.core.errors import GraphError
from fdl.core.source import Location
from fdl.lowering.spellings import COSTLY

# Addresses


class LoopVar:
    """A loop's counter: number `rank` of a kernel's index space, or the step of an enclosing loop (`step=True`) at
    depth `rank`.
    """

    __slots__ = ("rank", "step")

    def __init__(self, rank: int, step: bool = False) -> None:
        self.rank, self.step = rank, step

    def __repr__(self) -> str:
        return f"{'t' if self.step else 'i'}{self.rank}"


_SPACE = [LoopVar(rank) for rank in range(64)]
LAST_DEPTH = 31
_STEPS = [LoopVar(depth, True) for depth in range(LAST_DEPTH + 1)]


def space_vars(count: int, start: int = 0) -> list[Index]:
    """Indices of a kernel's loops."""
    return _SPACE_INDICES[start : start + count]


def step_var(depth: int) -> LoopVar:
    """The step counter of an enclosing loop."""
    return _STEPS[depth]


class Index:
    """`const + sum of coefficient * atom`; an atom is a loop variable or an integer expression."""

    __slots__ = ("_hash", "const", "terms")

    def __init__(self, const: int, terms: tuple[tuple[Any, int], ...]) -> None:
        self.const, self.terms = const, terms
        self._hash = hash((const, terms))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.const == other.const and self.terms == other.terms

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.const + other, self.terms)
        if not self.terms or not other.terms:
            return Index(self.const + other.const, self.terms or other.terms)
        merged = dict(self.terms)
        for atom, c in other.terms:
            merged[atom] = merged.get(atom, 0) + c
        return Index(self.const + other.const, tuple(sorted(((a, c) for a, c in merged.items() if c), key=_order)))

    def __sub__(self, other: Index | int) -> Index:
        return self + (-other if isinstance(other, int) else other * -1)

    def __mul__(self, factor: int) -> Index:
        return Index(self.const * factor, tuple((a, c * factor) for a, c in self.terms) if factor else ())

    def coefficient(self, atom: Any) -> int:
        """How far one step of the atom moves."""
        return next((c for a, c in self.terms if a is atom), 0)

    def without(self, atoms: Sequence[Any]) -> Index:
        """The part that does not depend on these atoms."""
        return Index(self.const, tuple((a, c) for a, c in self.terms if a not in atoms))

    def __repr__(self) -> str:
        parts = [f"{c}*{a}" if c != 1 else str(a) for a, c in self.terms]
        return " + ".join([*parts, str(self.const)] if self.const or not parts else parts)


def _order(term: tuple[Any, int]) -> tuple[int, int]:
    atom = term[0]
    return (0, atom.rank + 100 * atom.step) if isinstance(atom, LoopVar) else (1, atom.number)


ZERO = Index(0, ())
_SPACE_INDICES = [Index(0, ((v, 1),)) for v in _SPACE]


def row_major(index: Sequence[Index], shape: Sequence[int]) -> Index:
    """The place of an index in a contiguous array."""
    place, stride = ZERO, 1
    for i, d in zip(reversed(index), reversed(shape), strict=True):
        if d != 1:
            place = place + i * stride
        stride *= d
    return place


# Buffers and expressions


class Buffer:
    """A contiguous run of elements.  `kind` is input, output or temp; `number` is its place in the program."""

    __slots__ = ("dtype", "kind", "number", "size")

    def __init__(self, number: int, dtype: DType, size: int, kind: str) -> None:
        self.number, self.dtype, self.size, self.kind = number, dtype, size, kind

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"{self.kind[0]}{self.number}"


class Expr:
    """A scalar expression: `op` on `args`, with `attr` for what is no expression.

    Ops besides the elementwise primitives: `const` (attr: value), `load` (attr: (buffer, Index)), `number` (attr:
    Index), `choose` (args: conditions, then the value where all hold, then the other; only the chosen one is
    evaluated), `philox` (a random word).
    """

    __slots__ = ("_buffers", "args", "attr", "cost", "dtype", "number", "op", "operands")

    def __init__(self, number: int, op: str, args: tuple[Expr, ...], dtype: DType, attr: Any) -> None:
        self.number, self.op, self.args, self.dtype, self.attr = number, op, args, dtype, attr
        own = 0 if op in ("const", "load", "number") else 10 if op in COSTLY else 1
        self.cost: int = own + sum(a.cost for a in args)
        self.operands = args + tuple(
            a for i in self.indices() for a, _ in i.terms if isinstance(a, Expr)
        )  # those inside of addresses included
        self._buffers: tuple[Buffer, ...] | None = None

    def buffers(self) -> tuple[Buffer, ...]:
        """What is loaded anywhere in it, worked out once."""
        if self._buffers is None:
            self._buffers = tuple(dict.fromkeys(e.attr[0] for e in walk([self]) if e.op == "load"))
        return self._buffers

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
    order: list[Expr] = []
    opened: set[Expr] = set()
    done: set[Expr] = set()
    stack = list(reversed(roots))
    while stack:
        e = stack[-1]
        if e in opened or not e.operands:  # what it is made of is done
            stack.pop()
            if e not in done:
                done.add(e)
                order.append(e)
        else:
            opened.add(e)
            stack += [c for c in e.operands if c not in done]
    return order


# Nodes


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Node:
    """One stage of a program; `sources` are the user's lines that it computes, outside of its rendered text."""

    sources: list[Location] = dataclasses.field(default_factory=list, kw_only=True)

    def expressions(self) -> list[Expr]:
        """Root expressions."""
        return []

    def indices(self) -> list[Index]:
        """Addresses outside of expressions."""
        return []

    def writes(self) -> list[Buffer]:
        """Buffers that it stores to."""
        return []

    def roots(self) -> list[Expr]:
        """Root expressions, and those in addresses outside of expressions."""
        return [*self.expressions(), *(a for i in self.indices() for a, _ in i.terms if isinstance(a, Expr))]

    def reads(self) -> list[Buffer]:
        """Buffers that it loads from."""
        return list(dict.fromkeys(b for e in self.roots() for b in e.buffers()))

    def nested(self) -> list[list[Node]]:
        """Programs inside."""
        return []

    def work(self) -> int:
        """Scalar operations, roughly."""
        return 0


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Store:
    """`buffer[offset] = value`."""

    buffer: Buffer
    offset: Index
    value: Expr


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Map(Node):
    """Stores over an index space, in any order."""

    space: tuple[int, ...]
    stores: list[Store]

    def expressions(self) -> list[Expr]:
        return [s.value for s in self.stores]

    def indices(self) -> list[Index]:
        return [s.offset for s in self.stores]

    def writes(self) -> list[Buffer]:
        return [s.buffer for s in self.stores]

    def work(self) -> int:
        return math.prod(self.space) * sum(s.value.cost + 1 for s in self.stores)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class OneStore(Node):
    """What the nodes with a single result have in common: `store[offset]`, from `value`, over an index space."""

    space: tuple[int, ...]
    value: Expr
    store: Buffer
    offset: Index

    def expressions(self) -> list[Expr]:
        return [self.value]

    def indices(self) -> list[Index]:
        return [self.offset]

    def writes(self) -> list[Buffer]:
        return [self.store]

    def work(self) -> int:
        return math.prod(self.space) * (self.value.cost + 4)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Reduce(OneStore):
    """For each index of `space`, `value` folded over the loops `over`, whose variables follow those of the space.

    `kind` is add or max. The order is fixed by the shape: `rows` says that the innermost loop folds blocks of
    consecutive elements with lanes and a tree, else each column is folded in order of the loops.
    """

    over: tuple[int, ...]
    kind: str
    rows: bool

    def work(self) -> int:
        return math.prod(self.space) * math.prod(self.over) * (self.value.cost + 1)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Nest(Node):
    """Nodes whose first loops are the same loops over rows: what one stores in a row, the next reads in the same row.

    Read one after another the nodes of `body` mean the same. With `chunk`, folds of so many rows, over (chunk, column),
    are totals that are kept while rows pass; `space` is then the number of chunks, else `outer`. `locals` are buffers
    that only the nest sees: one row of them is kept, with so many elements.
    """

    space: tuple[int, ...]
    body: list[Node]
    outer: tuple[int, ...]
    chunk: int
    locals: dict[Buffer, int] = dataclasses.field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of rows."""
        return math.prod(self.outer)

    def expressions(self) -> list[Expr]:
        return [e for n in self.body for e in n.expressions()]

    def indices(self) -> list[Index]:
        return [i for n in self.body for i in n.indices()]

    def writes(self) -> list[Buffer]:
        return [b for n in self.body for b in n.writes() if b not in self.locals]

    def reads(self) -> list[Buffer]:
        return list(dict.fromkeys(b for n in self.body for b in n.reads() if b not in self.locals))

    def work(self) -> int:
        return sum(n.work() for n in self.body)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Argmax(OneStore):
    """For each index of `space`, the first place of the largest value over one loop of size `over`."""

    over: int

    def work(self) -> int:
        return math.prod(self.space) * self.over * (self.value.cost + 2)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Scatter(OneStore):
    """`store[offset] = value` over an index space in row-major order, where the conditions hold; with `distinct` no two
    at one place.

    Kinds other than "set" combine what is there with the value: "add", "mul", "max", "min".
    """

    kind: str
    conditions: list[Expr]
    distinct: bool

    def expressions(self) -> list[Expr]:
        return [*self.conditions, self.value]

    def inner(self) -> int:
        """How many of the last loops walk through one block of the store, which all other parts of the address begin; 0
        where there is no such block.
        """
        computed = {
            a
            for e in walk([*self.conditions, *(a for a, _ in self.offset.terms if isinstance(a, Expr))])
            for i in e.indices()
            for a, _ in i.terms
        }
        count, block = 0, 1
        for k in reversed(range(len(self.space))):
            v = _SPACE[k]
            if v in computed or (self.space[k] > 1 and self.offset.coefficient(v) != block):
                break
            count, block = count + 1, block * self.space[k]
        while count and any(
            c % block
            for c in [
                self.offset.const,
                *(c for a, c in self.offset.terms if a not in _SPACE[len(self.space) - count : len(self.space)]),
            ]
        ):
            count -= 1
            block //= self.space[len(self.space) - count - 1]
        return count

    def block(self) -> int:
        """Elements of such a block."""
        return math.prod(self.space[len(self.space) - self.inner() :])

    def extent(self) -> int:
        """What threads share: steps of the first loop where updates never meet, else blocks of the store."""
        return (
            self.space[0] if self.distinct and self.space else 1 if self.distinct else self.store.size // self.block()
        )


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Operand:
    """A matrix in a buffer. The number of a row comes apart into digits (size, step), the last one running fastest, and
    so does that of a column: element (i, j) lies at `offset` plus the steps of i's digits plus those of j's.
    """

    buffer: Buffer
    offset: Index
    rows: tuple[tuple[int, int], ...]
    cols: tuple[tuple[int, int], ...]


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Dot(Node):
    """`out[m, n] = sum over k of lhs[m, k] * rhs[k, n]`, for each index of the batch space, k in order.

    Sums are of `dtype`: float32 or float64 as the operands are, float32 of bfloat16, int32 of int8.
    """

    space: tuple[int, ...]
    m: int
    n: int
    k: int
    lhs: Operand
    rhs: Operand
    out: Operand
    dtype: DType

    def indices(self) -> list[Index]:
        return [self.lhs.offset, self.rhs.offset, self.out.offset]

    def reads(self) -> list[Buffer]:
        return [self.lhs.buffer, self.rhs.buffer]

    def writes(self) -> list[Buffer]:
        return [self.out.buffer]

    def work(self) -> int:
        return math.prod(self.space) * (
            self.m * self.n * (self.k + 4) // 4 + (self.m + self.n) * self.k // 2
        )  # multiplied, written and read


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Routine(Node):
    """For each of `space` parts, a C function `name` of the file `header`, on that part of each buffer; a part of a
    buffer is a run of so many elements.

    The function gets the operands, the results, `scratch`, and the numbers in `sizes`. `reference` says what it
    computes: flat parts of the operands to flat parts of the results. `cost` is the scalar operations of a part,
    roughly.
    """

    space: tuple[int]
    name: str
    header: str
    operands: list[tuple[Buffer, int]]
    results: list[tuple[Buffer, int]]
    scratch: list[tuple[Buffer, int]]
    sizes: tuple[int, ...]
    reference: Callable[[Sequence[Any]], Sequence[Any]]
    cost: int

    def reads(self) -> list[Buffer]:
        return [b for b, _ in self.operands]

    def writes(self) -> list[Buffer]:
        return [b for b, _ in (*self.results, *self.scratch)]

    def work(self) -> int:
        return self.space[0] * self.cost


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Loop(Node):
    """`body` run `length` times, or, with `test`, while the bool in `test_result` holds after `test`.

    The step counter of `depth` counts up, or down with `reverse`. After each run the pairs in `carry` are copied:
    (from, to).
    """

    depth: int
    length: int
    reverse: bool
    body: list[Node]
    carry: list[tuple[Buffer, Buffer]]
    test: list[Node] | None = None
    test_result: Buffer | None = None

    def nested(self) -> list[list[Node]]:
        return [self.body] if self.test is None else [self.test, self.body]

    def reads(self) -> list[Buffer]:
        found = [b for nodes in self.nested() for n in nodes for b in n.reads()]
        return list(dict.fromkeys([*found, *(b for b, _ in self.carry)]))

    def writes(self) -> list[Buffer]:
        found = [b for nodes in self.nested() for n in nodes for b in n.writes()]
        return list(dict.fromkeys([*found, *(b for _, b in self.carry)]))

    def work(self) -> int:
        """Of one step: a long loop of tiny steps is not worth threads."""
        return max((n.work() for nodes in self.nested() for n in nodes), default=0)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Band(Node):
    """Stages of which part g of `count` parts, of each one's first loops, run one after another before part g + 1.

    Read one after another the nodes of `body` mean the same. `locals` are buffers that only the band sees: a thread
    keeps one slab of each, of so many elements. A node that reads step counters runs whole in each part: the counter of
    a depth in `steps`, (stride, size), is `g // stride % size`.
    """

    count: int
    body: list[Node]
    locals: dict[Buffer, int]
    steps: dict[int, tuple[int, int]]

    def counters(self, n: Node) -> bool:
        """Whether a node of the body reads step counters of the band."""
        own = [_STEPS[d] for d in self.steps]
        return isinstance(n, Map) and any(
            i.coefficient(v) for i in [*n.indices(), *(i for e in walk(n.roots()) for i in e.indices())] for v in own
        )

    def nested(self) -> list[list[Node]]:
        return [self.body]

    def reads(self) -> list[Buffer]:
        return list(dict.fromkeys(b for n in self.body for b in n.reads() if b not in self.locals))

    def writes(self) -> list[Buffer]:
        return list(dict.fromkeys(b for n in self.body for b in n.writes() if b not in self.locals))

    def work(self) -> int:
        return sum(n.work() for n in self.body)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Finished(Node):
    """A product, and a stage that works on its rows: part g of `count` parts of `after`, of its first loop, reads part
    g of the product's rows alone.

    Read one after the other the two mean the same.  Neither writes what the other reads, but for the product's result.
    """

    dot: Dot
    after: Map | Reduce | Nest
    count: int

    def nested(self) -> list[list[Node]]:
        return [[self.dot, self.after]]

    def reads(self) -> list[Buffer]:
        return list(
            dict.fromkeys([*self.dot.reads(), *(b for b in self.after.reads() if b is not self.dot.out.buffer)])
        )

    def writes(self) -> list[Buffer]:
        return [*self.dot.writes(), *self.after.writes()]

    def work(self) -> int:
        return self.dot.work() + self.after.work()


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Branch(Node):
    """One of several programs, chosen by the int32 in `index`."""

    index: Expr
    bodies: list[list[Node]]

    def expressions(self) -> list[Expr]:
        return [self.index]

    def nested(self) -> list[list[Node]]:
        return self.bodies

    def reads(self) -> list[Buffer]:
        own = [e.attr[0] for e in walk([self.index]) if e.op == "load"]
        return list(dict.fromkeys([*own, *(b for nodes in self.bodies for n in nodes for b in n.reads())]))

    def writes(self) -> list[Buffer]:
        return list(dict.fromkeys(b for nodes in self.bodies for n in nodes for b in n.writes()))

    def work(self) -> int:
        return max((n.work() for nodes in self.bodies for n in nodes), default=0)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Program:
    """Nodes in order; buffers by number; which buffers are inputs and outputs.

    The last `guards` outputs are bools: once all are known, and before anything is written over an input, the program
    ends where one of them holds.
    """

    nodes: list[Node]
    buffers: list[Buffer]
    inputs: list[Buffer]
    outputs: list[Buffer]
    exprs: Interner
    guards: int = 0

    def guarded(self) -> int:
        """How many nodes have run when all guards are known; 0 without guards."""
        flags = set(self.outputs[len(self.outputs) - self.guards :])
        return max((place + 1 for place, n in enumerate(self.nodes) if flags.intersection(n.writes())), default=0)

    def __str__(self) -> str:
        head = (
            f"program ({' '.join(_declared(b) for b in self.inputs)}) -> "
            f"({' '.join(_declared(b) for b in self.outputs)})"
        )
        return "\n".join([head, *_print(self.nodes, "  ")])

    def check(self) -> None:
        """Raise GraphError where a temp is read before it is written or an address lies outside of its buffer."""
        _check(self.nodes, {b for b in self.buffers if b.kind == "input"}, {})


def _declared(b: Buffer) -> str:
    return f"{b}:{b.dtype.name}[{b.size}]"


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _print(nodes: Sequence[Node], indent: str) -> list[str]:
    lines: list[str] = []
    for n in nodes:
        if isinstance(n, Map):
            lines.append(f"{indent}map {n.space}")
            lines += [f"{indent}  {s.buffer}[{s.offset}] = {s.value}" for s in n.stores]
        elif isinstance(n, Reduce):
            lines.append(f"{indent}reduce {n.space} over {n.over}: {n.store}[{n.offset}] = {n.kind} of {n.value}")
        elif isinstance(n, Nest):
            lines += [
                (
                    f"{indent}nest of {_times(n.outer)} rows{f', {n.chunk} at a time' if n.chunk else ''}, "
                    f"locals {list(n.locals)}"
                ),
                *_print(n.body, indent + "  "),
            ]
        elif isinstance(n, Argmax):
            lines.append(f"{indent}argmax {n.space} over {n.over}: {n.store}[{n.offset}] = argmax of {n.value}")
        elif isinstance(n, Scatter):
            lines.append(
                f"{indent}scatter {n.space}: {n.store}[{n.offset}] {'' if n.kind == 'set' else n.kind}= "
                f"{n.value} if {n.conditions}"
            )
        elif isinstance(n, Dot):
            lines.append(f"{indent}dot {n.space} {n.m}x{n.k}x{n.n}: {n.out.buffer} = {n.lhs.buffer} @ {n.rhs.buffer}")
        elif isinstance(n, Loop):
            turns = f"while {n.test_result}" if n.test is not None else n.length
            lines.append(f"{indent}loop t{n.depth} {turns}{' reversed' if n.reverse else ''}, carry {n.carry}")
            for nested in n.nested():
                lines += [*_print(nested, indent + "  "), indent + "  --"]
        elif isinstance(n, Band):
            lines += [f"{indent}band of {n.count} parts, locals {list(n.locals)}", *_print(n.body, indent + "  ")]
        elif isinstance(n, Routine):
            lines.append(f"{indent}routine {n.space} {n.name}{n.sizes}: {n.writes()} from {n.reads()}")
        elif isinstance(n, Finished):
            lines += [f"{indent}finished in {n.count} parts", *_print([n.dot, n.after], indent + "  ")]
        elif isinstance(n, Branch):
            lines.append(f"{indent}branch on {n.index}")
            for nested in n.bodies:
                lines += [*_print(nested, indent + "  "), indent + "  --"]
    return lines


def bounds(index: Index, extents: Mapping[Any, int]) -> tuple[int, int] | None:
    """The least and the largest value of an address, None where it is computed."""
    low = high = index.const
    for atom, c in index.terms:
        if atom not in extents:
            return None
        reach = c * (extents[atom] - 1)
        low, high = low + min(reach, 0), high + max(reach, 0)
    return low, high


def _inside(buffer: Buffer, index: Index, extents: Mapping[Any, int]) -> None:
    found = bounds(index, extents)
    if found is not None and not (found[0] >= 0 and found[1] < buffer.size):
        raise GraphError(
            f"loop program: {buffer}[{index}] reaches from {found[0]} to {found[1]}, "
            f"the buffer has {buffer.size} elements"
        )


def _check(nodes: Sequence[Node], written: set[Buffer], steps: dict[Any, int]) -> None:
    for n in nodes:
        if isinstance(n, (Nest, Band)):
            own = {_STEPS[d]: size for d, (_, size) in n.steps.items()} if isinstance(n, Band) else {}
            _check(n.body, written, {**steps, **own})
            continue
        if isinstance(n, Finished):
            _check([n.dot, n.after], written, steps)
            continue
        for b in n.reads() if not n.nested() else []:
            if b not in written:
                raise GraphError(f"loop program: {type(n).__name__} reads {b} before it is written")
        sizes = getattr(n, "space", ())
        over = getattr(n, "over", ())
        all_sizes = (*sizes, *(over if isinstance(over, tuple) else (over,)))
        extents = {**steps, **{_SPACE[k]: d for k, d in enumerate(all_sizes)}}
        if 0 not in all_sizes:
            _check_addresses(n, extents)
        if isinstance(n, Loop):
            inner = {**steps, _STEPS[n.depth]: n.length} if n.test is None else dict(steps)
            for nested in n.nested():
                _check(nested, written, inner)
        for nested in n.nested() if isinstance(n, Branch) else []:
            _check(nested, written, steps)
        written.update(n.writes())


def _check_addresses(n: Node, extents: Mapping[Any, int]) -> None:
    guarded = {c for e in walk(n.expressions()) if e.op == "choose" for c in walk(e.args[-2:])}
    for e in walk(n.expressions()):
        if e.op == "load" and e not in guarded:
            _inside(e.attr[0], e.attr[1], extents)
    if isinstance(n, Map):
        for s in n.stores:
            _inside(s.buffer, s.offset, extents)
    if isinstance(n, (Reduce, Argmax)):
        _inside(n.store, n.offset, extents)


class Interner:
    """Makes expressions; equal ones are one object."""

    def __init__(self) -> None:
        self.known: dict[Any, Expr] = {}

    def make(self, op: str, args: tuple[Expr, ...], dtype: DType, attr: Any = None) -> Expr:
        """The expression."""
        identity = attr.tobytes() if op == "const" else attr
        key = op, args, dtype, identity
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = Expr(len(self.known), op, args, dtype, attr)
        return found

    def rebuild(self, roots: Sequence[Expr], replace: Callable[[Expr], Expr | None]) -> dict[Expr, Expr]:
        """Each sub-expression with what `replace` answers put in its place, from the leaves up."""
        new: dict[Expr, Expr] = {}
        for e in walk(roots):
            other = replace(e)
            if other is not None:
                new[e] = other
                continue
            args = tuple(new[a] for a in e.args)
            attr = e.attr
            if e.op == "load":
                attr = (e.attr[0], rebuilt_index(e.attr[1], new))
            elif e.op == "number":
                attr = rebuilt_index(e.attr, new)
            new[e] = e if args == e.args and attr == e.attr else self.make(e.op, args, e.dtype, attr)
        return new


def rebuilt_index(index: Index, new: Mapping[Expr, Expr]) -> Index:
    """The address with its expressions replaced."""
    out = Index(index.const, ())
    for atom, c in index.terms:
        out = out + Index(0, ((new[atom] if isinstance(atom, Expr) else atom, c),))
    return out
