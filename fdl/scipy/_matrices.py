"""Matrices that a few numbers make: of constant diagonals, of binomial coefficients, of polynomials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy import abs, asarray, concatenate, expand_dims, eye, ravel, take, zeros


def _line(x: ArrayLike, what: str, least: int = 0) -> Array:
    line = asarray(x)
    if aval_of(line).ndim != 1 or aval_of(line).shape[0] < least:
        raise ShapeError(f"{what}: {aval_of(line).describe()}", hint=f"a vector of at least {least} numbers")
    return line


def circulant(c: ArrayLike) -> Array:
    """The matrix with `c` as its first column, each other being the one before, moved down by one, around the end.

    >>> circulant(asarray([1, 2, 3])).tolist()
    [[1, 3, 2], [2, 1, 3], [3, 2, 1]]
    """
    column = _line(c, "circulant")
    n = aval_of(column).shape[0]
    return take(column, (np.arange(n)[:, None] - np.arange(n)) % max(n, 1), axis=0)


def hankel(c: ArrayLike, r: ArrayLike | None = None) -> Array:
    """The matrix with `c` as its first column and `r`, by default zeros, behind its end as its last row, whose
    antidiagonals are constant.

    >>> hankel(asarray([1, 2]), asarray([2, 5, 6])).tolist()
    [[1, 2, 5], [2, 5, 6]]
    """
    column = ravel(asarray(c))
    row = column * 0 if r is None else ravel(asarray(r))
    line = concatenate([column, row[1:]])
    return take(line, np.arange(aval_of(column).shape[0])[:, None] + np.arange(aval_of(row).shape[0]), axis=0)


def companion(a: ArrayLike) -> Array:
    """The matrix whose eigenvalues are the roots of the polynomial with these coefficients, the highest first.

    >>> companion(asarray([1.0, -3.0, 2.0])).tolist()
    [[3.0, -2.0], [1.0, 0.0]]
    """
    line = _line(a, "companion", 2)
    n = aval_of(line).shape[0] - 1
    first = ops.div(ops.neg(line[1:]), line[0])
    return concatenate([expand_dims(first, 0), eye(n - 1, n, dtype=aval_of(first).dtype)])


def convolution_matrix(a: ArrayLike, n: int, mode: str = "full") -> Array:
    """The matrix whose product with a vector of `n` numbers is its convolution with `a`.

    >>> convolution_matrix(asarray([1, 2]), 2).tolist()
    [[1, 0], [2, 1], [0, 2]]
    """
    line = _line(a, "convolution_matrix", 1)
    m = aval_of(line).shape[0]
    if mode not in ("full", "same", "valid"):
        raise ChoiceError(f"convolution_matrix: mode={mode!r}", hint='"full", "same" or "valid"')
    place = np.arange(m + n - 1)[:, None] - np.arange(n)
    padded = concatenate([line, zeros(1, aval_of(line).dtype)])
    whole = take(padded, np.where((place >= 0) & (place < m), place, m), axis=0)
    rows = {"full": m + n - 1, "same": max(m, n), "valid": max(m, n) - min(m, n) + 1}[mode]
    start = (m + n - 1 - rows) // 2
    return whole[start : start + rows]


def dft(n: int, scale: str | None = None, *, dtype: Any = None) -> Array:
    """The matrix of the discrete Fourier transform of length `n`; scale "sqrtn" makes it unitary, "n" divides by `n`.

    >>> dft(2).real.tolist()
    [[1.0, 1.0], [1.0, -1.0]]
    """
    if scale not in (None, "sqrtn", "n"):
        raise ChoiceError(f"dft: scale={scale!r}", hint='None, "sqrtn" or "n"')
    by = {None: 1.0, "sqrtn": math.sqrt(n), "n": float(n)}[scale]
    turns = np.outer(np.arange(n), np.arange(n)) % max(n, 1)
    matrix = np.exp(-2j * np.pi * turns / max(n, 1)) / by
    return asarray(matrix, complex if dtype is None else dtype)


def fiedler(a: ArrayLike) -> Array:
    """`abs(a[i] - a[j])`.

    >>> fiedler(asarray([1.0, 4.0])).tolist()
    [[0.0, 3.0], [3.0, 0.0]]
    """
    line = _line(a, "fiedler")
    return abs(expand_dims(line, 1) - expand_dims(line, 0))


def leslie(f: ArrayLike, s: ArrayLike) -> Array:
    """The matrix of a population with births `f` in its first row and survivals `s` below the diagonal.

    >>> leslie(asarray([0.5, 2.0]), asarray([0.25])).tolist()
    [[0.5, 2.0], [0.25, 0.0]]
    """
    births, survivals = ops.promote(_line(f, "leslie", 1), _line(s, "leslie"))
    n = aval_of(births).shape[0]
    if aval_of(survivals).shape[0] != n - 1:
        raise ShapeError(f"leslie: {n} births, {aval_of(survivals).shape[0]} survivals", hint="one survival less")
    below = eye(n - 1, n, dtype=aval_of(survivals).dtype) * expand_dims(survivals, 1)
    return concatenate([expand_dims(births, 0), below])


def hadamard(n: int, dtype: Any = int) -> Array:
    """The matrix of 1 and -1 with orthogonal rows, of a power of two.

    >>> hadamard(2).tolist()
    [[1, 1], [1, -1]]
    """
    if n < 1 or n & (n - 1):
        raise ChoiceError(f"hadamard: n={n}", why="it is doubled from 1 on", hint="a power of two")
    ones = np.array([[bin(i & j).count("1") for j in range(n)] for i in range(n)])
    return asarray(1 - 2 * (ones % 2), dtype)


def helmert(n: int, full: bool = False) -> Array:
    """Orthonormal rows that compare each number with the mean of those before; with `full` the row of equal numbers
    first.

    >>> [round(x, 4) for x in helmert(2)[0].tolist()]
    [0.7071, -0.7071]
    """
    rows = np.tril(np.ones((n, n)), -1) - np.diag(np.arange(n))
    rows[0] = 1
    sizes = np.arange(n) * np.arange(1, n + 1)
    sizes[0] = n
    whole = rows / np.sqrt(sizes)[:, None]
    return asarray(whole if full else whole[1:], float)


def _binomials(n: int) -> np.ndarray[Any, Any]:
    return np.array([[math.comb(i, j) for j in range(n)] for i in range(n)], object).reshape(n, n)


_KINDS = ("symmetric", "lower", "upper")


def _of_kind(kind: str | None, what: str) -> str:
    if kind is not None and kind not in _KINDS:
        raise ChoiceError(f"{what}: kind={kind!r}", hint='"symmetric", "lower" or "upper"')
    return kind or "symmetric"


def _pascal(lower: np.ndarray[Any, Any], kind: str, flipped: bool = False) -> np.ndarray[Any, Any]:
    if kind == "lower":
        return lower
    return np.array(lower.T if kind == "upper" else lower.T @ lower if flipped else lower @ lower.T)


def pascal(n: int, kind: str | None = None) -> Array:
    """Binomial coefficients: "lower" has `comb(i, j)`, "upper" is its transpose, "symmetric" their product.

    >>> pascal(3).tolist()
    [[1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [1.0, 3.0, 6.0]]
    """
    return asarray(_pascal(_binomials(n), _of_kind(kind, "pascal")).astype(float), float)


def invpascal(n: int, kind: str | None = None) -> Array:
    """The inverse of `pascal(n, kind)`.

    >>> invpascal(2).tolist()
    [[2.0, -1.0], [-1.0, 1.0]]
    """
    signs = np.array([[(-1) ** (i + j) for j in range(n)] for i in range(n)], object).reshape(n, n)
    return asarray(_pascal(_binomials(n) * signs, _of_kind(kind, "invpascal"), True).astype(float), float)


def invhilbert(n: int) -> Array:
    """The inverse of `hilbert(n)`.

    >>> invhilbert(2).tolist()
    [[4.0, -6.0], [-6.0, 12.0]]
    """
    c = math.comb
    rows = [
        [(-1) ** (i + j) * (i + j + 1) * c(n + i, n - j - 1) * c(n + j, n - i - 1) * c(i + j, i) ** 2 for j in range(n)]
        for i in range(n)
    ]
    return asarray(np.array(rows, float).reshape(n, n), float)


__all__ = [
    "circulant", "companion", "convolution_matrix", "dft", "fiedler", "hadamard", "hankel", "helmert", "invhilbert",
    "invpascal", "leslie", "pascal",
]  # fmt: skip
