"""Sizes that need not be numbers: polynomials of symbols, so that one program serves arrays of any size.

A size is an int or a `Size`. Both add, subtract, multiply and divide; what needs no symbol comes out as an int, so a
program of numbers alone never meets this file. Two sizes are equal where they are so for all values of their symbols.
`<` and its like answer where the answer is the same for all values, else they raise `UndecidedSizeError`. Code that
has to choose asks `at_most`, which looks at the sizes that the program was recorded with, and notes the answer among
the things that the program assumes (`Sizes.assumptions`): whoever calls it checks them.

>>> sizes = Sizes()
>>> n, m = sizes.symbol(64), sizes.symbol(100)
>>> n * m + n - n, (n * m + 4 * m) // m
((n0*n1), (n0 + 4))
>>> ceil_div(n, 4), sizes.quotients()
(n2, ['n2 = (n0 + 3) / 4'])
>>> n + 1 > n, at_most(n * m, 512), sizes.assumptions
(True, False, [(n0*n1) >= 513])
>>> sizes.hold({n.symbol: 32, m.symbol: 16})
False
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from fdl.core.avals import SymDim
from fdl.core.errors import CompileError

Extent: TypeAlias = Any  # int | Size; `Any` keeps the arithmetic of numbers free of casts
Monomial: TypeAlias = "tuple[Symbol, ...]"

_STEPS = 2  # that a proof takes at most


class UndecidedSizeError(CompileError):
    """Two sizes were compared whose order is not the same for all values of their symbols.

    >>> n = Sizes().symbol(64)
    >>> try:  # wrong
    ...     n < 100
    ... except UndecidedSizeError:
    ...     print(at_most(n, 99))  # right: the program is for such sizes alone
    True
    """

    compared: tuple[Extent, Extent] | None = None  # what `at_most` would be asked


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Symbol:
    """A size that a program is told when it is called, or, with `parts`, the quotient of two sizes, rounded down.

    `example` is its value in the call that the program was recorded with. It may be negative where it is `signed`, as
    strides are. `dense` is the value of a stride where no gaps lie between elements.
    """

    scope: Sizes
    number: int
    example: int
    signed: bool = False
    parts: tuple[Extent, Extent] | None = None
    dense: Extent | None = None

    @property
    def name(self) -> str:
        """How programs call it, in print and in C."""
        return f"n{self.number}"

    def __repr__(self) -> str:
        return self.name


class Size(SymDim):
    """A polynomial of symbols with whole coefficients: products of symbols, each with its coefficient, in order.

    Made by arithmetic on `Sizes.symbol`. It counts as true, since it is not 0 for all values.
    """

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    @property
    def scope(self) -> Sizes:
        return self.terms[0][0][0].scope  # constants come last

    @property
    def symbol(self) -> Symbol:
        """The symbol that it is; ValueError where it is more."""
        ((monomial, _),) = self.terms
        (symbol,) = monomial
        return symbol

    @property
    def example(self) -> int:
        """Its value at the sizes with which the program was recorded."""
        return int(at_values(self, {}))

    # Arithmetic

    def __add__(self, other: Extent) -> Extent:
        if not isinstance(other, (int, Size)):
            return NotImplemented
        terms = dict(self.terms)
        for monomial, c in _terms(other):
            terms[monomial] = terms.get(monomial, 0) + c
        return _made(terms)

    def __mul__(self, other: Extent) -> Extent:
        if not isinstance(other, (int, Size)):
            return NotImplemented
        terms: dict[Monomial, int] = {}
        for a, c in self.terms:
            for b, d in _terms(other):
                product = tuple(sorted((*a, *b), key=_number))
                terms[product] = terms.get(product, 0) + c * d
        return _made(terms)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Extent:
        return self * -1

    def __sub__(self, other: Extent) -> Extent:
        return self + -other

    def __rsub__(self, other: Extent) -> Extent:
        return -self + other

    def __floordiv__(self, other: Extent) -> Extent:
        return _quotient(self, other)

    def __rfloordiv__(self, other: Extent) -> Extent:
        return _quotient(other, self)

    def __mod__(self, other: Extent) -> Extent:
        return self - self // other * other

    def __rmod__(self, other: Extent) -> Extent:
        return other - other // self * self

    def __divmod__(self, other: Extent) -> tuple[Extent, Extent]:
        return self // other, self % other

    def __pow__(self, exponent: int) -> Extent:
        return math.prod([self] * exponent)

    def __abs__(self) -> Extent:
        return self if self >= 0 else -self

    # Comparison

    def __eq__(self, other: object) -> bool:
        if self is other or (isinstance(other, Size) and self.terms == other.terms):
            return True
        united = self.scope.united
        if united is None or not isinstance(other, (int, Size)) or self.example != example_of(other):
            return False
        united.append(self - other)
        return True

    def __hash__(self) -> int:
        return self._hash

    def __lt__(self, other: Extent) -> bool:
        return _is_at_most(self, other - 1)

    def __gt__(self, other: Extent) -> bool:
        return _is_at_most(other, self - 1)

    def __le__(self, other: Extent) -> bool:
        return _is_at_most(self, other)

    def __ge__(self, other: Extent) -> bool:
        return _is_at_most(other, self)

    def __repr__(self) -> str:
        """As C reads it: in brackets but for a single symbol."""
        text = ""
        for monomial, c in self.terms:
            parts = [*([str(abs(c))] if abs(c) != 1 or not monomial else []), *(s.name for s in monomial)]
            text += (" - " if c < 0 else " + " if text else "") + "*".join(parts)
        text = f"-{text[3:]}" if text.startswith(" - ") else text
        return text if len(self.terms) == 1 and text.isalnum() else f"({text})"


def _number(s: Symbol) -> int:
    return s.number


def _terms(size: Extent) -> Iterable[tuple[Monomial, int]]:
    return size.terms if isinstance(size, Size) else (((), size),)


def _rank(term: tuple[Monomial, int]) -> tuple[int, list[int]]:
    """Long products first, so that the first term of a product of sizes is that of their first terms."""
    return -len(term[0]), [s.number for s in term[0]]


def _made(terms: Mapping[Monomial, int]) -> Extent:
    kept = sorted(((m, c) for m, c in terms.items() if c), key=_rank)
    if not kept or not kept[0][0]:
        return kept[0][1] if kept else 0
    return Size(tuple(kept))


def _quotient(a: Extent, b: Extent) -> Extent:
    """`a / b` rounded down: exact as far as terms divide, and a symbol of its own for the rest."""
    whole, rest = _divided(a, b)
    if is_known(rest, b) or not rest:
        return whole + (rest // b if rest else 0)
    if is_never_negative(-rest):  # quotients of what is not negative are the same everywhere
        return whole - _quotient(b - 1 - rest, b)
    scope: Sizes = (rest if isinstance(rest, Size) else b).scope
    return whole + scope.quotient(rest, b)


def _divided(a: Extent, b: Extent) -> tuple[Extent, Extent]:
    """(whole, rest) with `a == whole * b + rest`; no term of the rest divides by the first one of `b`."""
    (first, c), *_ = _terms(b)
    whole: Extent = 0
    rest: Extent = 0
    while a:
        (monomial, d), *_ = _terms(a)
        left = _without(monomial, first)
        if d % c or left is None:
            rest, a = rest + _made({monomial: d}), a - _made({monomial: d})
            continue
        factor = _made({left: d // c})
        whole, a = whole + factor, a - factor * b
    return whole, rest


def _without(monomial: Monomial, factors: Monomial) -> Monomial | None:
    """A product divided by another one; None where that is no part of it."""
    left = list(monomial)
    for s in factors:
        if s not in left:
            return None
        left.remove(s)
    return tuple(left)


def _is_at_most(a: Extent, b: Extent) -> bool:
    shown = _is_shown_at_most(a, b)
    if shown is not None:
        return shown
    if (a - b).scope.united is not None:
        return at_most(a, b)
    error = UndecidedSizeError(
        f"whether {a} is below {b + 1} depends on the sizes",
        why="the program that is being lowered is for arrays of any size",
        hint="at_most(size, limit), which makes it a program for such sizes alone",
    )
    error.compared = a, b
    raise error


def _is_shown_at_most(a: Extent, b: Extent) -> bool | None:
    """Whether `a` is at most `b`; None where that depends on the symbols."""
    return True if is_never_negative(b - a) else False if is_never_negative(a - b - 1) else None


def is_never_negative(size: Extent, positive: Iterable[Extent] = ()) -> bool:
    """Whether a size is shown to be at least 0 for all values of its symbols, where some others are `positive`.

    >>> n = Sizes().symbol(64)
    >>> is_never_negative(n - 1), is_never_negative(n - 1, [n]), is_never_negative(n - n // 4 * 4)
    (False, True, True)
    """
    if not isinstance(size, Size):
        return bool(size >= 0)
    facts = [*size.scope.facts, *map(_excess, positive)]
    return _follows(size, [*facts, *(f for s in symbols_in(size, *facts) for f in _ends(s))], _STEPS)


def _excess(size: Extent) -> Extent:
    """What is at least 0 where a size is at least 1: of a quotient, how far it is from its divisor."""
    (monomial, c), *rest = _terms(size)
    parts = monomial[0].parts if len(monomial) == 1 and (c, rest) == (1, []) else None
    return size - 1 if parts is None else parts[0] - parts[1]


def _ends(s: Symbol) -> list[Extent]:
    """Sizes that are at least 0 since a symbol is a quotient by a number: `q = a / b` has `0 <= a - b * q < b`."""
    if s.parts is None or not isinstance(s.parts[1], int):
        return []
    rest = s.parts[0] - s.parts[1] * _made({(s,): 1})
    return [rest, s.parts[1] - 1 - rest]


def _follows(size: Extent, facts: Sequence[Extent], steps: int) -> bool:
    """Whether a size is a sum of what is at least 0: of products of symbols, and of `facts` times such products.

    The first term that may be negative is cancelled by a fact that has it too; `steps` of these are tried.
    """
    negative = ((m, c) for m, c in _terms(size) if c < 0 or any(s.signed for s in m))
    monomial, c = next(negative, ((), 0))
    if not c or not steps:
        return not c
    for fact in facts:
        for part, d in _terms(fact):
            left = _without(monomial, part) if c * d > 0 else None
            factor = None if left is None or any(s.signed for s in left) else _made({left: abs(c)})
            if factor is not None and _follows(size * abs(d) - fact * factor, facts, steps - 1):
                return True
    return False


def surely(answer: Any) -> bool:
    """What a comparison of sizes says, and False where it says different things for different sizes.

    >>> n = Sizes().symbol(64)
    >>> surely(lambda: n < 100), surely(lambda: n >= 0), surely(lambda: 3 < 100)
    (False, True, True)
    """
    try:
        return bool(answer())
    except UndecidedSizeError:
        return False


def at_most(size: Extent, limit: Extent) -> bool:
    """Whether a size is at most `limit`; where that depends, what it is in the example, as something that the program
    assumes.
    """
    shown = _is_shown_at_most(size, limit)
    if shown is None:
        room = limit - size
        shown = room.example >= 0
        room.scope.assume(Assumption(room if shown else -room - 1))
    return shown


def known(size: Extent) -> int:
    """A size as the number that it is; UndecidedSizeError where it is none."""
    if isinstance(size, int):
        return size
    raise UndecidedSizeError(
        f"{size} is not known yet", why="a number is needed here", hint="a program for arrays of one size"
    )


def is_known(*sizes: Extent) -> bool:
    """Whether all of these are numbers."""
    return not any(isinstance(size, Size) for size in sizes)


def example_of(size: Extent) -> int:
    """A number, or what a size is at the example."""
    return size.example if isinstance(size, Size) else size


def dense(size: Extent) -> Extent:
    """A size with each stride as it is where arrays lie in row-major order without gaps."""
    return replaced(size, {s: s.dense for s in symbols_in(size) if s.dense is not None})


def replaced(size: Extent, values: Mapping[Symbol, Extent]) -> Extent:
    """A size with other sizes in place of some symbols, those in quotients included."""
    if not isinstance(size, Size) or not values:
        return size

    def value(s: Symbol) -> Extent:
        if s in values:
            return values[s]
        return _made({(s,): 1}) if s.parts is None else replaced(s.parts[0], values) // replaced(s.parts[1], values)

    return sum(math.prod(map(value, monomial), start=c) for monomial, c in size.terms)


def along(size: Extent, s: Symbol) -> Extent:
    """What a symbol is multiplied with in a size; 0 where it does not occur."""
    return _made({tuple(x for x in m if x is not s): c for m, c in _terms(size) if m.count(s) == 1})


def at_values(size: Extent, values: Mapping[Symbol, int]) -> int:
    """A size as a number where symbols have these values, the others those of the example.

    >>> sizes = Sizes()
    >>> n = sizes.symbol(10)
    >>> [at_values(ceil_div(n, 4) * n, {n.symbol: v}) for v in (0, 1, 9)]
    [0, 1, 27]
    """
    return sum(c * math.prod(value_of(s, values) for s in monomial) for monomial, c in _terms(size))


def value_of(s: Symbol, values: Mapping[Symbol, int]) -> int:
    """The value of a symbol where some have these values; that of a quotient follows."""
    if s in values:
        return values[s]
    if s.parts is None:
        return s.example
    return _floor(*(at_values(x, values) for x in s.parts))


def _floor(a: int, b: int) -> int:
    return a // b if b else 0  # of what nothing is cut into: nothing is read there


def ceil_div(size: Extent, step: Extent) -> Extent:
    """How many steps reach a size."""
    return (size + (step - 1)) // step


def symbols_in(*things: Any) -> list[Symbol]:
    """The symbols of some sizes, each once, those of which quotients are made after these."""
    found: dict[Symbol, None] = {}
    stack = list(things)
    while stack:
        x = stack.pop()
        if isinstance(x, Size):
            new = [s for m, _ in x.terms for s in m if s not in found]
            found.update(dict.fromkeys(new))
            stack += [part for s in new for part in s.parts or ()]
    return sorted(found, key=_number)


@dataclasses.dataclass(frozen=True, slots=True)
class Assumption:
    """A size is at least 0, or, where it is `exact`, 0."""

    size: Extent
    exact: bool = False

    def holds(self, values: Mapping[Symbol, int]) -> bool:
        """Whether it is so for these values."""
        value = at_values(self.size, values)
        return value == 0 if self.exact else value >= 0

    def __repr__(self) -> str:
        if self.exact:
            left, right = solved(self.size) or (self.size, 0)
            return f"{left} == {right}"
        constant = dict(_terms(self.size)).get((), 0)
        rest = self.size - constant
        return f"{-rest} <= {constant}" if rest.terms[0][1] < 0 else f"{rest} >= {-constant}"


class Sizes:
    """The symbols of one program, and what it assumes of their values."""

    def __init__(self) -> None:
        self.symbols: list[Symbol] = []
        self.assumptions: list[Assumption] = []
        self.facts: list[Extent] = []  # what is at least 0 where these hold
        self.united: list[Extent] | None = None  # while sizes are united: the differences that are taken for 0
        self._quotients: dict[tuple[Extent, Extent], Extent] = {}

    def symbol(
        self,
        example: int,
        signed: bool = False,
        parts: tuple[Extent, Extent] | None = None,
        dense: Extent | None = None,
    ) -> Extent:
        """A new symbol as a size."""
        self.symbols.append(Symbol(self, len(self.symbols), example, signed, parts, dense))
        return _made({(self.symbols[-1],): 1})

    def quotient(self, a: Extent, b: Extent) -> Extent:
        """`a / b` rounded down as a symbol, the same one for the same parts."""
        if (a, b) not in self._quotients:
            signed = not (is_never_negative(a) and is_never_negative(b))
            self._quotients[a, b] = self.symbol(_floor(example_of(a), example_of(b)), signed, (a, b))
        return self._quotients[a, b]

    def quotients(self) -> list[str]:
        """What symbols stand for quotients, for people."""
        return [f"{s} = {s.parts[0]} / {s.parts[1]}" for s in self.symbols if s.parts is not None]

    def assume(self, assumption: Assumption) -> None:
        """The program is for sizes alone of which this holds."""
        if assumption not in {*self.assumptions}:  # a set: to be equal and to be united are two things
            self.assumptions.append(assumption)
            self.facts += [assumption.size, -assumption.size] if assumption.exact else [assumption.size]

    def hold(self, values: Mapping[Symbol, int]) -> bool:
        """Whether all that is assumed holds for these values."""
        return all(a.holds(values) for a in self.assumptions)

    @contextlib.contextmanager
    def uniting(self) -> Iterator[list[Extent]]:
        """Meanwhile all comparisons are decided by the example: sizes that are equal there count as equal, and
        their differences are yielded; what is less is noted among the assumptions.
        """
        outer, self.united = self.united, []
        try:
            yield self.united
        finally:
            self.united = outer


def solved(difference: Extent) -> tuple[Size, Extent] | None:
    """A symbol, and what it is where a difference is 0: the last one that stands by itself; None without one.

    >>> sizes = Sizes()
    >>> n, m = sizes.symbol(6), sizes.symbol(3)
    >>> solved(n - 2 * m)
    (n0, (2*n1))
    """
    if not isinstance(difference, Size):
        return None
    for monomial, c in reversed(difference.terms):
        alone = len(monomial) == 1 and abs(c) == 1 and monomial[0].parts is None
        if alone and sum(monomial[0] in m for m, _ in difference.terms) == 1:
            size = Size(((monomial, 1),))
            return size, size - difference * c
    return None
