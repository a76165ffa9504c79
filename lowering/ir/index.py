"""Axes, which are loops, and addresses: affine sums of axes and integer expressions, with numbers or sizes as
coefficients.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

from fdl.passes.size import Extent, Size, UndecidedSizeError, is_never_negative


class Kind(enum.Enum):
    """How the steps of a loop are run: one after another; written out, `UNROLLED`; or in `LANES` of vectors, each step
    of which does all that is inside of the loop.
    """

    SERIAL = ""
    UNROLLED = "unrolled"
    LANES = "in lanes"


class Axis:
    """A loop of `size` steps. Two stages that have one axis walk along it together where they stand in one composite,
    and each by itself where they do not.

    The `name` is for people, and orders the terms of an address; `number` orders axes of one name. `Interner.axes` and
    `Interner.axis` make them. Of what `kind` they are is said by the plan; no bit follows from it.
    """

    __slots__ = ("index", "kind", "name", "number", "size")

    def __init__(self, name: str, size: Extent, number: int = 0, kind: Kind = Kind.SERIAL) -> None:
        self.name, self.size, self.number, self.kind = name, size, number, kind
        self.index = Index(0, ((self, 1),))  # the address that is its step

    def __repr__(self) -> str:
        return self.name


def trips(axes: Iterable[Axis]) -> Extent:
    """How often what is inside of these loops runs."""
    return math.prod(a.size for a in axes)


def walked_as_one(axes: Iterable[Axis], indices: Collection[Index]) -> list[list[Axis]]:
    """Loops in groups of neighbours that all of these addresses walk through as through one loop, whose step is that of
    the last one; loops of one step are left out.

    >>> i, j, k = Axis("i", 2), Axis("j", 3), Axis("k", 4)
    >>> walked_as_one([i, j, k], [i.index * 12 + j.index * 4 + k.index])
    [[i, j, k]]
    >>> walked_as_one([i, j, k], [i.index * 12 + j.index * 4])
    [[i, j], [k]]
    """
    groups: list[list[Axis]] = []
    for a in axes:
        if a.size == 1:
            continue
        if groups and all(i.coefficient(groups[-1][-1]) == i.coefficient(a) * a.size for i in indices):
            groups[-1].append(a)
        else:
            groups.append([a])
    return groups


Digits: TypeAlias = "tuple[tuple[Extent, Extent], ...]"  # size and step of each, the last one running fastest


def digits(index: Index, axes: Sequence[Axis]) -> Digits:
    """How an address follows the number of an iteration of some loops, one at least: by digits of that number.

    >>> i, j, k = Axis("i", 2), Axis("j", 3), Axis("k", 4)
    >>> digits(i.index * 30 + j.index * 4 + k.index, [i, j, k])
    ((2, 30), (12, 1))
    """
    groups = walked_as_one(axes, [index])
    return tuple((trips(g), index.coefficient(g[-1])) for g in groups) or ((1, index.coefficient(axes[-1])),)


class Index:
    """`const + sum of coefficient * atom`; an atom is an axis or an integer expression."""

    __slots__ = ("_hash", "const", "terms")

    def __init__(self, const: Extent, terms: tuple[tuple[Any, Extent], ...]) -> None:
        self.const, self.terms = const, terms
        self._hash = hash((const, terms))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.const == other.const and self.terms == other.terms

    def __add__(self, other: Index | Extent) -> Index:
        if isinstance(other, (int, Size)):
            return Index(self.const + other, self.terms) if other != 0 else self
        if not self.terms or not other.terms:
            return Index(self.const + other.const, self.terms or other.terms)
        merged = dict(self.terms)
        for atom, c in other.terms:
            merged[atom] = merged.get(atom, 0) + c
        return Index(self.const + other.const, tuple(sorted(((a, c) for a, c in merged.items() if c), key=_order)))

    def __sub__(self, other: Index | Extent) -> Index:
        return self + (other * -1 if isinstance(other, Index) else -other)

    def __mul__(self, factor: Extent) -> Index:
        if factor == 1:
            return self
        return Index(self.const * factor, tuple((a, c * factor) for a, c in self.terms) if factor else ())

    def coefficient(self, atom: Any) -> Extent:
        """How far one step of the atom moves."""
        for a, c in self.terms:
            if a is atom:
                return c
        return 0

    def without(self, atoms: Collection[Any]) -> Index:
        """The part that does not depend on these atoms."""
        return Index(self.const, tuple((a, c) for a, c in self.terms if a not in atoms))

    def __repr__(self) -> str:
        parts = [f"{c}*{a}" if c != 1 else str(a) for a, c in self.terms]
        return " + ".join([*parts, str(self.const)] if self.const or not parts else parts)


def _order(term: tuple[Any, Extent]) -> tuple[bool, str, int]:
    atom = term[0]
    return (False, atom.name, atom.number) if isinstance(atom, Axis) else (True, "", atom.number)


ZERO = Index(0, ())


def row_major(index: Sequence[Index], shape: Sequence[Extent]) -> Index:
    """The place of an index in a contiguous array."""
    place, stride = ZERO, 1
    for i, d in zip(reversed(index), reversed(shape), strict=True):
        if d != 1:
            place = place + i * stride
        stride *= d
    return place


def iteration(axes: Sequence[Axis]) -> Index:
    """The number of an iteration of a nest of loops: the place of an element of an array of this shape."""
    return row_major([a.index for a in axes], [a.size for a in axes])


def bounds(index: Index) -> tuple[Extent, Extent] | None:
    """The least and the largest value of an address over loops that run at least once, None where it is computed;
    UndecidedSizeError where the sizes do not tell whether it walks forwards.
    """
    low = high = index.const
    for atom, c in index.terms:
        if not isinstance(atom, Axis):
            return None
        reach = c * (atom.size - 1)
        if is_never_negative(c):
            high = high + reach
        elif is_never_negative(-c):
            low = low + reach
        else:
            raise UndecidedSizeError(f"whether {index} walks forwards depends on the sizes")
    return low, high
