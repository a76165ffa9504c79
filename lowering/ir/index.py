"""Addresses: affine sums of loop variables and integer expressions, with numbers or sizes as coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fdl.lowering.ir.size import Extent, Size, UndecidedSizeError, is_never_negative


class LoopVar:
    """A loop's counter: number `rank` of a kernel's index space, or the step of an enclosing loop (`step=True`) at
    depth `rank`.
    """

    __slots__ = ("rank", "step")

    def __init__(self, rank: int, step: bool = False) -> None:
        self.rank, self.step = rank, step

    def __repr__(self) -> str:
        return f"{'step' if self.step else 'i'}{self.rank}"


_SPACE = [LoopVar(rank) for rank in range(64)]
LAST_DEPTH = 31
_STEPS = [LoopVar(depth, True) for depth in range(LAST_DEPTH + 1)]


def space_vars(count: int, start: int = 0) -> list[Index]:
    """Indices of a kernel's loops."""
    return _SPACE_INDICES[start : start + count]


def loop_vars(count: int, start: int = 0) -> list[LoopVar]:
    """A kernel's loops."""
    return _SPACE[start : start + count]


def step_var(depth: int) -> LoopVar:
    """The step counter of an enclosing loop."""
    return _STEPS[depth]


class Index:
    """`const + sum of coefficient * atom`; an atom is a loop variable or an integer expression."""

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
            return Index(self.const + other, self.terms)
        if not self.terms or not other.terms:
            return Index(self.const + other.const, self.terms or other.terms)
        merged = dict(self.terms)
        for atom, c in other.terms:
            merged[atom] = merged.get(atom, 0) + c
        return Index(self.const + other.const, tuple(sorted(((a, c) for a, c in merged.items() if c), key=_order)))

    def __sub__(self, other: Index | Extent) -> Index:
        return self + (other * -1 if isinstance(other, Index) else -other)

    def __mul__(self, factor: Extent) -> Index:
        return Index(self.const * factor, tuple((a, c * factor) for a, c in self.terms) if factor else ())

    def coefficient(self, atom: Any) -> Extent:
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


def row_major(index: Sequence[Index], shape: Sequence[Extent]) -> Index:
    """The place of an index in a contiguous array."""
    place, stride = ZERO, 1
    for i, d in zip(reversed(index), reversed(shape), strict=True):
        if d != 1:
            place = place + i * stride
        stride *= d
    return place


def bounds(index: Index, extents: Mapping[Any, Extent]) -> tuple[Extent, Extent] | None:
    """The least and the largest value of an address over loops that run at least once, None where it is computed;
    UndecidedSizeError where the sizes do not tell whether it walks forwards.
    """
    low = high = index.const
    for atom, c in index.terms:
        if atom not in extents:
            return None
        reach = c * (extents[atom] - 1)
        if is_never_negative(c):
            high = high + reach
        elif is_never_negative(-c):
            low = low + reach
        else:
            raise UndecidedSizeError(f"whether {index} walks forwards depends on the sizes")
    return low, high
