"""Einstein's summation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.graph import Literal
from fdl.core.trace import aval_of
from fdl.numpy._create import asarray
from fdl.numpy._math import _operand
from fdl.numpy._shape import factors


def einsum(
    subscripts: Any,
    *operands: Any,
    optimize: Any = "auto",
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """Einstein's summation, as NumPy's: of a formula and operands, or of operands with lists of numbers for their
    axes. Operands are contracted in the order that costs least, from left to right where `optimize` is False, or as a
    list of pairs says.

    >>> from fdl.numpy import array
    >>> einsum("ij,jk->ik", array([[1, 2]]), array([[3], [4]])).tolist()
    [[11]]
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _as_formula(subscripts, *operands)
    terms, target = _terms(subscripts, operands)
    parts = [_without_repeats(x, t) for x, t in zip(factors(preferred_element_type, *operands), terms, strict=True)]
    for i, j in _order(parts, target, optimize):
        pair = parts[i], parts[j]
        parts = [part for k, part in enumerate(parts) if k not in (i, j)]
        later = set(target).union(*(t for _, t in parts))
        parts.append(_contract_pair(*pair[0], *pair[1], later))
    ((x, names),) = parts
    summed = [i for i, c in enumerate(names) if c not in target]
    x, names = ops.reduce_sum(x, summed) if summed else x, "".join(c for c in names if c in target)
    return ops.transpose(x, [names.index(c) for c in target])


def _terms(subscripts: str, operands: Sequence[Any]) -> tuple[list[str], str]:
    """The axes of each operand and of the result, a letter each."""
    left, _, output = subscripts.replace(" ", "").partition("->")
    if len(left.split(",")) != len(operands):
        raise ShapeError(
            f"einsum: {subscripts!r} names {len(left.split(','))} operands, got {len(operands)}",
            why="each operand has a term",
            hint="einsum('ij,jk->ik', a, b)",
        )
    terms = _expand_ellipsis(left.split(","), [aval_of(asarray(x)).ndim for x in operands])
    letters = "".join(terms)
    strange = next((c for c in letters + output.replace(".", "") if not c.isalpha()), None)
    if strange is not None:
        raise ShapeError(
            f"einsum: invalid subscript {strange!r} in {subscripts!r}",
            why="axes are named by letters",
            hint="einsum('ij,jk->ik', a, b)",
        )
    for c in output.replace(".", ""):
        if c not in letters:
            raise ShapeError(
                f"einsum: output subscript {c} of {subscripts!r} does not appear in any input",
                why="there is no axis to take it from",
                hint="einsum('ij,jk->ik', a, b)",
            )
        if output.count(c) > 1:
            raise ShapeError(
                f"einsum: output subscript {c} of {subscripts!r} appears more than once",
                why="each axis of the result has a letter of its own",
                hint="einsum('ii->i', m)",
            )
    dots = "".join(sorted({c for c in letters if c.isupper() and ord(c) >= 192}))
    target = (
        output.replace("...", dots)
        if "->" in subscripts
        else dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots))
    )
    return terms, target


def _as_formula(*given: Any) -> tuple[str, tuple[Any, ...]]:
    """A formula and operands, of operands each with a list of the numbers of its axes, and those of the result last."""
    count = len(given) // 2
    numbers = sorted({i for term in given[1 : 2 * count : 2] for i in term if i is not Ellipsis})
    letter = {i: chr(ord("a") + k if k < 26 else ord("A") + k - 26) for k, i in enumerate(numbers)} | {Ellipsis: "..."}
    terms = ["".join(letter[i] for i in term) for term in (*given[1 : 2 * count : 2], *given[2 * count :])]
    result = f"->{terms.pop()}" if len(given) % 2 else ""
    return ",".join(terms) + result, given[: 2 * count : 2]


def _order(parts: Sequence[tuple[Any, str]], target: str, optimize: Any) -> Iterator[tuple[int, int]]:
    """Which two operands are contracted at each step, by their places among those that are left, to which the product
    is appended: as `optimize` says, or the pair with the fewest multiplications.
    """
    sizes = {c: d for x, names in parts for c, d in zip(names, aval_of(x).shape, strict=True) if d != 1}

    def cost(pair: tuple[int, int]) -> int:
        return math.prod(sizes.get(c, 1) for c in {*left[pair[0]], *left[pair[1]]})

    path = [step for step in optimize if not isinstance(step, str)] if isinstance(optimize, (list, tuple)) else []
    if path and all(len(step) == 2 for step in path):
        yield from path
        return
    left = [names for _, names in parts]
    while len(left) > 1:
        pairs = [(i, j) for j in range(len(left)) for i in range(j)]
        i, j = (0, 1) if optimize is False or len(left) == 2 else min(pairs, key=cost)
        yield i, j
        merged = "".join(dict.fromkeys(left[i] + left[j]))
        left = [names for k, names in enumerate(left) if k not in (i, j)]
        left.append("".join(c for c in merged if c in target or any(c in names for names in left)))


def _expand_ellipsis(terms: Sequence[str], ndims: Sequence[int]) -> list[str]:
    """`...` replaced by letters that a user cannot write."""
    out = []
    for term, ndim in zip(terms, ndims, strict=False):
        count = ndim - len(term.replace("...", ""))
        if "..." not in term and count:
            raise ShapeError(
                f"einsum: {term!r} names {len(term)} axes, the operand has {ndim}",
                why="one letter stands for one axis",
                hint="einsum('...ij,jk->...ik', a, b)",
            )
        out.append(term.replace("...", "".join(chr(192 + 20 - i) for i in range(count, 0, -1))))
    return out


def _without_repeats(x: Any, term: str) -> tuple[Any, str]:
    """The diagonal of axes that share a letter."""
    x = _operand(x)
    for c in dict.fromkeys(term):
        while term.count(c) > 1:
            i, j = term.index(c), term.rindex(c)
            shape = aval_of(x).shape
            x = ops.reduce_sum(
                ops.select(ops.equal(ops.iota(shape, i), ops.iota(shape, j)), x, Literal(0, aval_of(x).dtype)), (j,)
            )
            term = term[:j] + term[j + 1 :]
    return x, term


def _contract_pair(x: Any, a: str, y: Any, b: str, later: set[str]) -> tuple[Any, str]:
    """One product of two operands, summed over letters that nobody needs later."""
    x = ops.reduce_sum(x, [i for i, c in enumerate(a) if c not in b and c not in later])
    y = ops.reduce_sum(y, [i for i, c in enumerate(b) if c not in a and c not in later])
    a, b = "".join(c for c in a if c in b or c in later), "".join(c for c in b if c in a or c in later)
    batch = [c for c in a if c in b and c in later]
    contracted = [c for c in a if c in b and c not in later]
    pick = [tuple(t.index(c) for c in group) for group in (contracted, batch) for t in (a, b)]
    out = ops.dot_general(x, y, ((pick[0], pick[1]), (pick[2], pick[3])))
    shared = {*batch, *contracted}
    return out, "".join(batch) + "".join(c for c in a if c not in shared) + "".join(c for c in b if c not in shared)
