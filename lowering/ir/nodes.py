"""Nodes: the stages of a loop program.

`Map` stores expressions over an index space, `Reduce` and `Argmax` fold one over inner loops, `Scatter` adds at
computed places, `Dot` is a matrix product. `Loop` and `Branch` hold nested programs, and `Fused` stages that share
their first loops. Whoever walks through programs enters all of these by `nested` and `with_bodies`.
Sizes are numbers, or sizes that a program is told when it is called (`fdl/passes/size.py`).
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from fdl.core.dtypes import DType
from fdl.core.source import Location
from fdl.lowering.ir.expr import Buffer, Expr, operations, walk
from fdl.lowering.ir.index import Axis, Digits, Index, digits, iteration, trips
from fdl.ops.routines import ROUTINES
from fdl.passes.size import Extent


class Threads(enum.Enum):
    """Who runs a stage: `HERE` the thread that comes by, all of it; `ONE` the first thread alone, all of it, while the
    others go on; `ALL` each thread, its share of the first loop.
    """

    HERE = ""
    ONE = "by one thread"
    ALL = "by all threads"


class Scope(enum.Enum):
    """Whose memory a buffer lies in, or the part of it that a composite keeps.

    `REGISTER` is one element, a variable of the kernel. `THREAD` is an array of the thread that uses it: on its stack
    in C, where it may stay in registers; in local memory on a GPU. `SHARED` is memory of those who run a part of a tile
    together: scratch of one thread in C, shared memory of a block on a GPU. `ARENA` is memory that all threads of a
    call see: one block of the host's, or of the device's.
    """

    REGISTER = "register"
    THREAD = "thread"
    SHARED = "shared"
    ARENA = "arena"


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Node:
    """One stage of a program; `sources` are the user's lines that it computes, outside of its rendered text.

    The plan says which `threads` run it, what it asks for `ahead`, at the start of each row of its innermost loop or of
    each page, and in which `unit` of a large program it is compiled.
    """

    sources: list[Location] = dataclasses.field(default_factory=list, kw_only=True)
    threads: Threads = dataclasses.field(default=Threads.HERE, kw_only=True)
    ahead: list[Prefetch] = dataclasses.field(default_factory=list, kw_only=True)
    unit: int = dataclasses.field(default=0, kw_only=True)

    def expressions(self) -> list[Expr]:
        """Root expressions."""
        return []

    def indices(self) -> list[Index]:
        """Addresses outside of expressions."""
        return []

    def roots(self) -> list[Expr]:
        """Root expressions, and those in addresses outside of expressions."""
        return [*self.expressions(), *(a for i in self.indices() for a, _ in i.terms if isinstance(a, Expr))]

    def nested(self) -> list[list[Node]]:
        """Programs inside."""
        return []

    def with_bodies(self, bodies: Sequence[list[Node]]) -> Node:
        """The same with other programs inside, as many as `nested` gives."""
        assert not bodies, bodies
        return self

    def reads(self) -> list[Buffer]:
        """Buffers that it loads from, or nodes inside of it do."""
        found = dict.fromkeys([b for e in self.roots() for b in e.buffers()])
        for nodes in self.nested():
            for n in nodes:
                found.update(dict.fromkeys(n.reads()))
        return list(found)

    def writes(self) -> list[Buffer]:
        """Buffers that it stores to, or nodes inside of it do."""
        return list(dict.fromkeys(b for nodes in self.nested() for n in nodes for b in n.writes()))

    def work(self) -> Extent:
        """Scalar operations, roughly."""
        return 0

    def extent(self) -> Extent:
        """Steps of what threads share out: the first loop, if it has one."""
        space: tuple[Axis, ...] = getattr(self, "space", ())
        return space[0].size if space else 1


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Prefetch:
    """The line of `buffer[index + ahead]` is asked for, where `index` is what the stage touches now."""

    buffer: Buffer
    index: Index
    ahead: int


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Store:
    """`buffer[offset] = value`; `past_caches`, a page of it at a time, which is kept beside until it is full."""

    buffer: Buffer
    offset: Index
    value: Expr
    past_caches: bool = False


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Map(Node):
    """Stores over an index space, in any order; with `page`, the innermost loop goes by pages of `page` steps."""

    space: tuple[Axis, ...]
    stores: list[Store]
    page: int = 0

    def expressions(self) -> list[Expr]:
        return [s.value for s in self.stores]

    def indices(self) -> list[Index]:
        return [s.offset for s in self.stores]

    def writes(self) -> list[Buffer]:
        return [s.buffer for s in self.stores]

    def work(self) -> Extent:
        return trips(self.space) * (operations(self.expressions()) + len(self.stores))


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class OneStore(Node):
    """What the nodes with a single result have in common: `store[offset]`, from `value`, over an index space."""

    space: tuple[Axis, ...]
    value: Expr
    store: Buffer
    offset: Index

    def expressions(self) -> list[Expr]:
        return [self.value]

    def indices(self) -> list[Index]:
        return [self.offset]

    def writes(self) -> list[Buffer]:
        return [self.store]

    def work(self) -> Extent:
        return trips(self.space) * (operations([self.value]) + 4)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Reduce(OneStore):
    """For each index of `space`, `value` folded over the loops `over`.

    `kind` is add or max. The order is fixed by the shape: `rows` says that the innermost loop folds blocks of
    consecutive elements with lanes and a tree, else each column is folded in order of the loops. A fold that is `bare`
    begins with its first element, and not with 0: a sum of nothing but -0 is -0, as where it is written out. No order
    follows from the plan, which may run the last loop over rows in lanes, and folds columns `at_once` elements at a
    time.
    """

    over: tuple[Axis, ...]
    kind: str
    rows: bool
    bare: bool = False
    at_once: int = 1

    def work(self) -> Extent:
        return trips((*self.space, *self.over)) * (operations([self.value]) + 1)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Argmax(OneStore):
    """For each index of `space`, the first place of the largest value over the one loop in `over`."""

    over: tuple[Axis]

    def work(self) -> Extent:
        return trips((*self.space, *self.over)) * (operations([self.value]) + 2)


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
        for count in range(len(self.space), 0, -1):
            block = self.space[len(self.space) - count :]
            walked, rest = iteration(block), self.offset.without(block)
            if (
                computed.isdisjoint(block)
                and all(self.offset.coefficient(v) == walked.coefficient(v) for v in block if v.size != 1)
                and not any(c % trips(block) for c in (rest.const, *(c for _, c in rest.terms)))
            ):
                return count
        return 0

    def block(self) -> Extent:
        """Elements of such a block."""
        return trips(self.space[len(self.space) - self.inner() :])

    def extent(self) -> Extent:
        """Steps of the first loop where updates never meet, else blocks of the store."""
        return Node.extent(self) if self.distinct else self.store.size // self.block()


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Operand:
    """What a function of a library is handed for each index: `buffer[index]`, and `reach` elements behind it."""

    buffer: Buffer
    index: Index
    reach: Extent = 0


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Called(Node):
    """What the nodes have in common that a function of a library computes, for each index of `space`."""

    space: tuple[Axis, ...]

    def sides(self) -> tuple[Sequence[Operand], Sequence[Operand]]:
        """What it reads, and what it writes."""
        raise NotImplementedError

    def indices(self) -> list[Index]:
        return [x.index for side in self.sides() for x in side]

    def reads(self) -> list[Buffer]:
        return [x.buffer for x in self.sides()[0]]

    def writes(self) -> list[Buffer]:
        return [x.buffer for x in self.sides()[1]]


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Dot(Called):
    """`out = sum over `over` of lhs * rhs` for each index of the batch `space`, of `rows` and of `cols`; terms are
    added in the order of the loops `over`.

    The left operand walks along the batch, the rows and the loops of the sum, the right one along the batch, these and
    the columns. The result lies row by row: the last loop of the columns steps from element to element, and the rows
    follow one another at one step. Addresses are affine. Sums are of `dtype`: float32 or float64 as the
    operands are, float32 of bfloat16, int32 of int8.
    """

    rows: tuple[Axis, ...]
    cols: tuple[Axis, ...]
    over: tuple[Axis, ...]
    lhs: Operand
    rhs: Operand
    out: Operand
    dtype: DType

    def sides(self) -> tuple[Sequence[Operand], Sequence[Operand]]:
        return (self.lhs, self.rhs), (self.out,)

    @property
    def m(self) -> Extent:
        """Number of rows."""
        return trips(self.rows)

    @property
    def n(self) -> Extent:
        """Number of columns."""
        return trips(self.cols)

    @property
    def k(self) -> Extent:
        """Number of terms of each sum."""
        return trips(self.over)

    def digits(self, x: Operand) -> tuple[Digits, Digits]:
        """How the address of an operand follows the number of a row, and that of a column, of its matrix."""
        down, across = self.over if x is self.rhs else self.rows, self.over if x is self.lhs else self.cols
        return digits(x.index, down), digits(x.index, across)

    def outside(self, x: Operand) -> Index:
        """Where the matrix of an operand begins, for each index of the batch."""
        return x.index.without((*self.rows, *self.cols, *self.over))

    def work(self) -> Extent:
        multiplied_and_written, read = self.m * self.n * (self.k + 4) // 4, (self.m + self.n) * self.k // 2
        return trips(self.space) * (multiplied_and_written + read)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Routine(Called):
    """What the key names in `fdl.ops.routines`, for each index of `space`.

    The target's function gets the places of the `operands`, of the `results` and of `scratch`, and the numbers in
    `sizes`.
    """

    key: str
    operands: list[Operand]
    results: list[Operand]
    scratch: list[Operand]
    sizes: tuple[int, ...]

    def sides(self) -> tuple[Sequence[Operand], Sequence[Operand]]:
        return self.operands, (*self.results, *self.scratch)

    def work(self) -> Extent:
        return trips(self.space) * ROUTINES[self.key].cost(*self.sizes)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Loop(Node):
    """`body` run for each step of `axis`, the last one first with `reverse`; or, with `test` in place of an axis, while
    the bool in `test_result` holds after `test`.

    After each run the pairs in `carry` are copied:
    (from, to). Where the plan has put nodes in their place at the end of the body, `carry` is empty; `last` runs once,
    behind the last step.
    """

    axis: Axis | None
    reverse: bool
    body: list[Node]
    carry: list[tuple[Buffer, Buffer]]
    test: list[Node] | None = None
    test_result: Buffer | None = None
    last: list[Node] = dataclasses.field(default_factory=list)

    def nested(self) -> list[list[Node]]:
        programs = [self.body] if self.test is None else [self.test, self.body]
        return [*programs, self.last] if self.last else programs

    def with_bodies(self, bodies: Sequence[list[Node]]) -> Loop:
        *test, body = bodies[:-1] if self.last else bodies
        return dataclasses.replace(
            self, body=body, test=test[0] if test else None, last=bodies[-1] if self.last else []
        )

    def reads(self) -> list[Buffer]:
        own = [b for b, _ in self.carry] + ([self.test_result] if self.test_result is not None else [])
        return list(dict.fromkeys([*Node.reads(self), *own]))

    def writes(self) -> list[Buffer]:
        return list(dict.fromkeys([*Node.writes(self), *(b for _, b in self.carry)]))

    def work(self) -> Extent:
        """Of one step: a long loop of tiny steps is not worth threads."""
        return max((n.work() for nodes in self.nested() for n in nodes), default=0)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Fused(Node):
    """Stages that share their first loops: part g of each stage of `body` runs, one stage after another, before part
    g + 1 of any.

    Each part touches its own part of what one stage writes and another one touches; so the stages read one after
    another mean the same (`access.fault` holds that). What the body is made of says who runs the loop:

    - maps and folds alone (*fused rows*) are one kernel, with the loops inside: stages walk along the axes of these
      where they name them, and have loops of their own for the rest. A fold down columns over one of the axes adds to
      totals, which are kept while its steps pass;
    - with batches of products, or routines (a *tile*), the program loops over calls of kernels and products: a stage's
      parts are as many equal runs of its own iterations, in the order of its loops, as `loops` have steps;
    - behind a single product (an *epilogue*), the product's library runs a part of the stage when it has made the rows.

    `locals` are buffers that only the composite sees, with the scope in which it keeps one part of each.
    """

    loops: tuple[Axis, ...]
    body: list[Node]
    locals: dict[Buffer, Scope] = dataclasses.field(default_factory=dict)

    @property
    def count(self) -> Extent:
        """Number of parts."""
        return trips(self.loops)

    @property
    def product(self) -> Dot | None:
        """The product whose rows the stage behind it follows, in an epilogue."""
        first = self.body[0] if self.body else None
        return first if isinstance(first, Dot) and trips(first.space) % self.count else None

    @property
    def kernel(self) -> bool:
        """Whether all of it is one kernel: fused rows."""
        return all(isinstance(n, (Map, Reduce, Argmax)) for n in self.body)

    @property
    def around(self) -> tuple[Axis, ...]:
        """The loops that stages of the body stand in: all of them in fused rows, none where stages are called."""
        return self.loops if self.kernel else ()

    def accumulates(self, n: Node) -> bool:
        """Whether a stage of the body is a fold down columns that keeps totals while steps of the loops pass."""
        return isinstance(n, Reduce) and not set(n.over).isdisjoint(self.around)

    @property
    def chunk(self) -> Extent:
        """How many parts each total adds up; 0 where none is kept."""
        return self.loops[-1].size if any(map(self.accumulates, self.body)) else 0

    def extent(self) -> Extent:
        return self.loops[0].size

    def nested(self) -> list[list[Node]]:
        return [self.body]

    def with_bodies(self, bodies: Sequence[list[Node]]) -> Fused:
        """Locals that nothing writes any more go."""
        (body,) = bodies
        written = {b for n in body for b in n.writes()}
        return dataclasses.replace(self, body=body, locals={b: s for b, s in self.locals.items() if b in written})

    def reads(self) -> list[Buffer]:
        return [b for b in Node.reads(self) if b not in self.locals]

    def writes(self) -> list[Buffer]:
        return [b for b in Node.writes(self) if b not in self.locals]

    def work(self) -> Extent:
        return sum(trips(a for a in self.around if a not in getattr(n, "over", ())) * n.work() for n in self.body)


@dataclasses.dataclass(slots=True, eq=False, repr=False)
class Branch(Node):
    """One of several programs, chosen by the int32 in `index`."""

    index: Expr
    bodies: list[list[Node]]

    def expressions(self) -> list[Expr]:
        return [self.index]

    def nested(self) -> list[list[Node]]:
        return self.bodies

    def with_bodies(self, bodies: Sequence[list[Node]]) -> Branch:
        return dataclasses.replace(self, bodies=list(bodies))

    def work(self) -> Extent:
        return max((n.work() for nodes in self.bodies for n in nodes), default=0)
