"""The vocabulary of `lower` rules: what a rule may ask of the builder that it is handed.

A rule is called `lower(b, *operands, **params)` and returns the values of the results. It says what one element is, or
asks for a stage by name; it never sees loops, kernels or a target. `docs/lowering-rules.md` has complete examples.

Four kinds of things pass between a rule and the builder, and a rule makes none of them by itself:

- a `Value` is a lazy array: a function from an index to an expression. It takes memory only where that pays, so that
  chains of operations fuse by themselves;
- an `Expr` is the scalar expression of one element, of one dtype;
- an `Index` is an address along one axis: a counter of a loop, a number, or what was computed from data;
- a `Place` is one Index an axis.

The protocol stands here, on the lowest floor that has rules, since operations import nothing of what lowers them. It is
generic (`Words`), so that a builder with classes of its own can be checked against it by mypy; rules see `Vocabulary`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from fdl.core.dtypes import DType
from fdl.core.graph import Graph


class Expr(Protocol):
    """A scalar expression."""

    dtype: DType


class Index(Protocol):
    """An address along one axis, to which numbers and other addresses are added; it is multiplied by numbers alone."""

    def __add__(self, other: Index | int) -> Index: ...
    def __sub__(self, other: Index | int) -> Index: ...
    def __mul__(self, factor: int) -> Index: ...


Place: TypeAlias = tuple[Index, ...]


class Value(Protocol):
    """A lazy array."""

    shape: tuple[int, ...]
    dtype: DType
    expensive: bool  # whether an element costs more than reading it from memory

    @property
    def size(self) -> int:
        """Elements."""

    def at(self, index: Sequence[Index]) -> Expr:
        """The expression of the element at a place: one Index an axis."""


V = TypeVar("V")
E = TypeVar("E")
I = TypeVar("I")


class Words(Protocol[V, E, I]):
    """What a builder with values `V`, expressions `E` and addresses `I` offers to `lower` rules."""

    @property
    def zero(self) -> I:
        """The address 0."""

    # Whole values

    def map(self, op: str, *xs: V, dtype: DType | None = None) -> V:
        """The elementwise operation `op`, a key of the spelling rows, on values of one shape or 0-d.

        The result has that shape, and `dtype`, by default that of the last operand. No memory.
        """

    def compute(
        self,
        shape: Sequence[int],
        dtype: DType,
        at: Callable[[tuple[I, ...]], E],
        operands: Sequence[V],
        random_access: Sequence[V] = (),
    ) -> V:
        """The value whose element at a place is the expression `at(place)`, of `dtype`.

        `operands` are the values that `at` reads. Those of them that it reads at places computed from data are
        `random_access` too: they go to memory first, unless that costs more than computing what is read.
        """

    def view(
        self, shape: Sequence[int], x: V, source: Callable[[tuple[I, ...]], Sequence[I]], repeats: bool = False
    ) -> V:
        """The elements of `x` at other places: the one at a place is `x` at `source(place)`. No memory, no arithmetic.

        With `repeats`, elements are read more than once: an expensive `x` goes to memory first, so that none is
        computed twice.
        """

    def reshape(self, x: V, shape: Sequence[int]) -> V:
        """The elements of `x` in row-major order under another shape of the same size. Axes of size 1 come and go for
        nothing; anything else is a look at memory, into which an expensive `x` goes.
        """

    def concatenate(self, xs: Sequence[V], axis: int) -> V:
        """Values of one dtype one after another along an axis."""

    def power(self, x: V, exponent: int) -> V:
        """A power by repeated squaring; the reciprocal for a negative exponent. Narrow floats are multiplied in
        float32.
        """

    def reduce(self, kind: str, x: V, axes: Sequence[int]) -> V:
        """The sum ("add") or the maximum ("max") over axes, which are gone from the result's shape; of the same dtype.

        Takes memory for the result. The order of a sum follows from the shape alone; narrow floats are summed in
        float32, and rounded once.
        """

    def argmax(self, x: V, axis: int, dtype: DType) -> V:
        """Where the first largest element along an axis stands, as an integer `dtype`; NaN counts as the largest. The
        axis is gone from the result's shape. Takes memory for the result.
        """

    def dot(self, lhs: V, rhs: V, numbers: Any, dtype: DType) -> V:
        """The contraction of `dot_general`: `numbers` is ((contracted axes of both), (batch axes of both)); the result
        has batch axes, free axes of `lhs`, free axes of `rhs`.

        Becomes a matrix product that reads its operands where they lie, in memory of its own, or a plain sum where it
        is small.
        """

    def scatter(
        self,
        kind: str,
        x: V,
        updates: V,
        target: Callable[[tuple[I, ...]], tuple[tuple[I, ...], list[E]]],
        distinct: bool = False,
    ) -> V:
        """A copy of `x`, in memory, where each element of `updates` is stored ("set"), or combined with what is there
        ("add", "mul", "max", "min"), one after another in row-major order of `updates`.

        `target(place of the update)` gives a place in `x`, and conditions without which the update is dropped. Say
        `distinct` where no two updates meet: then threads share them.
        """

    def routine(
        self,
        key: str,
        lead: int,
        xs: Sequence[V],
        results: Sequence[tuple[tuple[int, ...], DType]],
        sizes: Sequence[int],
        decomposition: Callable[[], Sequence[V]],
    ) -> list[V]:
        """What the routine of `fdl.ops.routines` named `key` makes of whole rows or matrices: the first `lead` axes of
        the values count the parts, `results` are shape and dtype of each result of one part, and `sizes` are the
        numbers that it is told. The results have the lead axes before these shapes.

        Operands go to memory in row-major order. A target that has no such routine builds the values of
        `decomposition()` instead.
        """

    # Memory

    def materialize(self, x: V, in_order: bool = False) -> None:
        """Put a value into memory for all its readers from here on, axes in the order of what it is computed from, or
        in row-major order. What is there already, in that order or another, is not copied by the first of these.
        """

    # Expressions of one element

    def const(self, value: Any, dtype: DType) -> E:
        """A number."""

    def number(self, index: I, dtype: DType) -> E:
        """An address as a number."""

    def apply(self, op: str, dtype: DType, *args: E) -> E:
        """An elementwise operation with a result of `dtype`."""

    def choose(self, conditions: Sequence[E], yes: Callable[[], E], no: Callable[[], E]) -> E:
        """`yes()` where all conditions hold, else `no()`: only the chosen one is evaluated, so that an address may lie
        outside of the array in the other one.
        """

    # Addresses

    def at_least(self, index: I, limit: int) -> E:
        """Whether `index >= limit`."""

    def below(self, index: I, limit: int) -> E:
        """Whether `index < limit`."""

    def divides(self, step: int, index: I) -> E:
        """Whether an address is a multiple of `step`."""

    def quotient(self, index: I, step: int) -> I:
        """The address divided by `step`, rounded towards zero."""

    def flat(self, index: Sequence[I], shape: Sequence[int]) -> I:
        """The number of a place in the row-major order of a shape."""

    def clipped(self, e: E, size: int) -> I:
        """The address that an integer expression gives, moved into an axis of this size."""

    def inside(self, e: E, size: int) -> E:
        """Whether the address that an integer expression gives lies in an axis of this size."""

    # Loops and branches

    def inline(self, graph: Graph, args: Sequence[V]) -> list[V]:
        """The results of a graph without constants for these inputs."""

    def repeat(
        self, length: int, init: Sequence[V], body: Callable[[I, list[V]], Sequence[V]], reverse: bool = False
    ) -> list[V]:
        """What `length` turns make of some values: `body(step, values)` gives the next ones, of the same shapes and
        dtypes. Steps count from 0, or down to 0 with `reverse`.

        The values lie in memory. What the body reads besides it reads again in each turn: materialize it before.
        """

    def scan(
        self, consts: Sequence[V], init: Sequence[V], xs: Sequence[V], graph: Graph, length: int, reverse: bool
    ) -> list[V]:
        """A loop over the leading axis of `xs`: the graph takes constants, carries and one slice of each of `xs`, and
        gives the next carries and slices that are stacked. The results are the last carries and the stacks.
        """

    def while_loop(
        self, test_consts: Sequence[V], body_consts: Sequence[V], init: Sequence[V], test: Graph, body: Graph
    ) -> list[V]:
        """The carries after `body(constants, carries)` has run for as long as `test(constants, carries)`, a 0-d bool,
        holds.
        """

    def cond(self, index: V, operands: Sequence[V], branches: Sequence[Graph]) -> list[V]:
        """The results of the branch that a 0-d integer chooses, moved into their number; only that one runs."""


Vocabulary: TypeAlias = Words[Value, Expr, Index]
