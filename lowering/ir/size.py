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
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from fdl.core.avals import SymDim
from fdl.core.errors import CompileError

Extent: TypeAlias = Any  # int | Size; `Any` keeps the arithmetic of numbers free of casts
Monomial: TypeAlias = "tuple[Symbol, ...]"


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


class Symbol:
    """A size that a program is told when it is called, or, with `parts`, the quotient of two sizes, rounded down.

    `example` is its value in the call that the program was recorded with, `least` the smallest value that it may have,
    None where it may be negative, as strides are. `dense` is the value of a stride where no gaps lie between elements.
    """

    __slots__ = ("dense", "example", "least", "number", "parts", "scope")

    def __init__(
        self,
        scope: Sizes,
        example: int,
        least: int | None = 0,
        parts: tuple[Extent, Extent] | None = None,
        dense: Extent | None = None,
    ) -> None:
        self.scope, self.example, self.least, self.parts, self.dense = scope, example, least, parts, dense
        self.number = len(scope.symbols)
        scope.symbols.append(self)

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
        return isinstance(other, (int, Size)) and self.scope.unites(self, other)

    def __hash__(self) -> int:
        return self._hash

    def __lt__(self, other: Extent) -> bool:
        return _is_below(self, other)

    def __gt__(self, other: Extent) -> bool:
        return _is_below(other, self)

    def __le__(self, other: Extent) -> bool:
        return _is_below(self, other + 1)

    def __ge__(self, other: Extent) -> bool:
        return _is_below(other, self + 1)

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


def _is_below(a: Extent, b: Extent) -> bool:
    if is_never_negative(b - a - 1):
        return True
    if is_never_negative(a - b):
        return False
    if (a - b).scope.is_uniting:
        return at_most(a, b - 1)
    error = UndecidedSizeError(
        f"whether {a} is below {b} depends on the sizes",
        why="the program that is being lowered is for arrays of any size",
        hint="at_most(size, limit), which makes it a program for such sizes alone",
    )
    error.compared = a, b - 1
    raise error


def is_never_negative(size: Extent, least: Mapping[Symbol, int] | None = None) -> bool:
    """Whether a size is shown to be at least 0 for all values of its symbols, of which some have another `least` value.

    >>> n = Sizes().symbol(64)
    >>> is_never_negative(n - 1), is_never_negative(n - 1, {n.symbol: 1}), is_never_negative(n - n // 4 * 4)
    (False, True, True)
    """
    if not isinstance(size, Size):
        return bool(size >= 0)
    known = least or {}
    scope = size.scope
    for zero in scope.zeros:
        _, size = _divided(size, zero)
    if _has_no_minus(size, known) or _has_no_minus(_without_quotients(size, known), known):
        return True
    if any(is_known(size - excess) and size - excess >= 0 for excess in scope.excesses):
        return True
    size = _without_quotients(size, known)
    for s, other in reversed(scope.bounds):  # s is at least `other`, and by how much is a symbol of its own
        if isinstance(size, Size):
            size = _replaced(size, {s: other + _made({(Symbol(Sizes(), 0),): 1})})
    return bool(scope.bounds) and _has_no_minus(_without_quotients(size, known), known)


def _has_no_minus(size: Extent, least: Mapping[Symbol, int]) -> bool:
    """Whether no coefficient is negative, with symbols counted from their least values on."""
    lowest = {s: least.get(s, s.scope.least.get(s, s.least)) for m, _ in _terms(size) for s in m}
    if any(v is None for v in lowest.values()):
        return False
    moved = _replaced(size, {s: _made({(s,): 1}) + v for s, v in lowest.items()}) if lowest else size
    return all(c >= 0 for _, c in _terms(moved))


def least_where(*positive: Extent) -> dict[Symbol, int]:
    """The least values of symbols where all of these sizes are at least 1, as far as each tells it by itself.

    >>> n = Sizes().symbol(64)
    >>> least_where(n - 2, ceil_div(n, 4) * 3)
    {n1: 1, n0: 3}
    """
    found: dict[Symbol, int] = {}
    stack = [p for p in positive if isinstance(p, Size)]
    while stack:
        size = stack.pop()
        (monomial, c), *rest = size.terms
        constant = 0 if not rest else rest[0][1]
        if c <= 0 or (rest and rest[0][0]) or constant > 0 or (constant and len(monomial) > 1):
            continue
        for s in monomial:
            found[s] = max(found.get(s, s.least or 0), -((constant - 1) // c))
            if s.parts is not None and isinstance(more := s.parts[0] - s.parts[1] + 1, Size):
                stack.append(more)
    return found


def _without_quotients(size: Extent, least: Mapping[Symbol, int]) -> Extent:
    """A size without quotients by numbers that is at least 0 only where the given one is.

    A quotient `q = a / b` lies between `(a - b + 1) / b` and `a / b`: the end that makes the size smaller stands in its
    place, and all is multiplied by `b`. Quotients stay where it is not known which end that is.
    """
    while found := [s for m, _ in _terms(size) for s in m if s.parts is not None and isinstance(s.parts[1], int)]:
        q, total = max(found, key=_number), 0
        assert q.parts is not None
        a, b = q.parts
        for monomial, c in _terms(size):
            others = list(monomial)
            if q in others:
                others.remove(q)
                factor = _made({tuple(others): c})
                if q in others or not _has_no_minus(factor * (1 if c > 0 else -1), least):
                    return size
                total = total + factor * (a - b + 1 if c > 0 else a)
            else:
                total = total + _made({monomial: c * b})
        size = total
    return size


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
    if is_known(size, limit):
        return bool(size <= limit)
    rest = size - limit
    if is_never_negative(-rest):
        return True
    if is_never_negative(rest - 1):
        return False
    low: bool = rest.example <= 0
    rest.scope.assume(Assumption(rest, None, 0) if low else Assumption(rest, 1, None))
    return low


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
    if not isinstance(size, Size):
        return size
    return _replaced(size, {s: s.dense for m, _ in size.terms for s in m if s.dense is not None})


def _replaced(size: Size, values: Mapping[Symbol, Extent]) -> Extent:
    total: Extent = 0
    for monomial, c in size.terms:
        product: Extent = c
        for s in monomial:
            product = product * (values[s] if s in values else _made({(s,): 1}))
        total = total + product
    return total


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
    if not isinstance(size, Size):
        return int(size)
    return int(_replaced(size, {s: value_of(s, values) for m, _ in size.terms for s in m}))


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
    """A size lies in a range, both ends included; None where it has no end."""

    size: Extent
    least: int | None
    most: int | None

    def holds(self, values: Mapping[Symbol, int]) -> bool:
        """Whether it is so for these values."""
        value = at_values(self.size, values)
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def not_negative(self) -> list[Extent]:
        """Sizes that are at least 0 where it holds."""
        found = [] if self.least is None else [self.size - self.least]
        return found if self.most is None else [*found, self.most - self.size]

    def __repr__(self) -> str:
        if self.least == self.most and self.least is not None:
            found = solved(self.size - self.least)
            return f"{self.size} == {self.least}" if found is None else f"{found[0]} == {found[1]}"
        constant = sum(c for monomial, c in _terms(self.size) if not monomial)
        limits = [
            f"{name} {end - constant}" for name, end in ((">=", self.least), ("<=", self.most)) if end is not None
        ]
        return f"{self.size - constant} {' and '.join(limits)}"


class Sizes:
    """The symbols of one program, and what it assumes of their values."""

    def __init__(self) -> None:
        self.symbols: list[Symbol] = []
        self.assumptions: list[Assumption] = []
        # What follows from these, for `is_never_negative`: sizes that are 0, but those in which one symbol stands for
        # the others; sizes that are not negative; the least values of symbols; symbols that are at least another size
        self.zeros: list[Extent] = []
        self.excesses: list[Extent] = []
        self.least: dict[Symbol, int] = {}
        self.bounds: list[tuple[Symbol, Extent]] = []
        self._quotients: dict[tuple[Extent, Extent], Extent] = {}
        self._united: list[Extent] | None = None  # differences that are taken for 0

    def symbol(self, example: int, least: int | None = 0, dense: Extent | None = None) -> Extent:
        """A new symbol as a size."""
        return _made({(Symbol(self, example, least, None, dense),): 1})

    def quotient(self, a: Extent, b: Extent) -> Extent:
        """`a / b` rounded down as a symbol, the same one for the same parts."""
        if (a, b) not in self._quotients:
            example = _floor(example_of(a), example_of(b))
            least = 0 if is_never_negative(a) and is_never_negative(b) else None
            self._quotients[a, b] = _made({(Symbol(self, example, least, (a, b)),): 1})
        return self._quotients[a, b]

    def quotients(self) -> list[str]:
        """What symbols stand for quotients, for people."""
        return [f"{s} = {s.parts[0]} / {s.parts[1]}" for s in self.symbols if s.parts is not None]

    def assume(self, assumption: Assumption) -> None:
        """The program is for sizes alone of which this holds."""
        if assumption not in self.assumptions:
            self.assumptions.append(assumption)
            if assumption.least == assumption.most == 0 and solved(assumption.size) is None:
                self.zeros.append(assumption.size)
            for excess in assumption.not_negative():
                self.excesses.append(excess)
                for s, low in least_where(excess + 1).items():
                    self.least[s] = max(low, self.least.get(s, low))
                self.bounds += [(s, s_size - excess) for s, s_size in _alone(excess)][:1]

    def hold(self, values: Mapping[Symbol, int]) -> bool:
        """Whether all that is assumed holds for these values."""
        return all(a.holds(values) for a in self.assumptions)

    @contextlib.contextmanager
    def uniting(self) -> Iterator[list[Extent]]:
        """Meanwhile all comparisons are decided by the example: sizes that are equal there count as equal, and
        their differences are yielded; what is less is noted among the assumptions.
        """
        outer, self._united = self._united, []
        try:
            yield self._united
        finally:
            self._united = outer

    @property
    def is_uniting(self) -> bool:
        """Whether comparisons are decided by the example."""
        return self._united is not None

    def unites(self, a: Size, b: Extent) -> bool:
        """Whether two sizes of different forms count as equal."""
        if self._united is None or a.example != example_of(b):
            return False
        self._united.append(a - b)
        return True


def _alone(size: Extent) -> list[tuple[Symbol, Extent]]:
    """Symbols of a size that are added to it once, beside others, the last one first, as symbols and sizes."""
    if not isinstance(size, Size) or len(symbols_in(size)) < 2:
        return []
    own = {m[0]: _made({m: 1}) for m, c in size.terms if len(m) == 1 and c == 1 and m[0].parts is None}
    return [(s, own[s]) for s in reversed(own) if sum(s in m for m, _ in size.terms) == 1]


def solved(difference: Extent) -> tuple[Symbol, Extent] | None:
    """A symbol, and what it is where a difference is 0: the last one that stands by itself; None without one.

    >>> sizes = Sizes()
    >>> n, m = sizes.symbol(6), sizes.symbol(3)
    >>> solved(n - 2 * m)
    (n0, (2*n1))
    """
    if not isinstance(difference, Size):
        return None
    for s in reversed(symbols_in(difference)):
        own = [(m, c) for m, c in difference.terms if s in m]
        if s.parts is None and len(own) == 1 and own[0][0] == (s,) and abs(own[0][1]) == 1:
            alone = _made(dict(own))
            return s, (alone - difference) * own[0][1]
    return None


def replaced(size: Extent, values: Mapping[Symbol, Extent]) -> Extent:
    """A size with other sizes in place of some symbols, those in quotients included."""
    if not isinstance(size, Size) or not values:
        return size
    found = dict(values)
    for s in {s for m, _ in size.terms for s in m if s.parts is not None}:
        a, b = (replaced(x, values) for x in s.parts or ())
        found[s] = a // b
    return _replaced(size, found)
