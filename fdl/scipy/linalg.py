"""Matrices, under `jax.scipy.linalg`'s names; flags that save memory or checks are accepted."""

from __future__ import annotations

from typing import Any

from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy import asarray, atleast_2d, concatenate, conj, linalg, ravel
from fdl.numpy.linalg import det, inv
from fdl.scipy import _factors, _matrices, _matrix_functions
from fdl.scipy._factors import *
from fdl.scipy._matrices import *
from fdl.scipy._matrix_functions import *


def cholesky(a: ArrayLike, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """The triangle R with `R.T @ R == a`, or with `lower` L with `L @ L.T == a`.

    >>> cholesky(asarray([[4.0]])).tolist()
    [[2.0]]
    """
    return linalg.cholesky(a, upper=not lower)


def cho_factor(
    a: ArrayLike, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Array, bool]:
    """(`cholesky(a, lower)`, `lower`), for `cho_solve`.

    >>> cho_factor(asarray([[4.0]]))[1]
    False
    """
    return cholesky(a, lower), lower


def cho_solve(
    c_and_lower: tuple[ArrayLike, bool], b: ArrayLike, overwrite_b: bool = False, check_finite: bool = True
) -> Array:
    """The solution of `a @ x == b`, of a factor that `cho_factor` made.

    >>> cho_solve(cho_factor(asarray([[4.0]])), asarray([8.0])).tolist()
    [2.0]
    """
    factor, lower = c_and_lower
    half = solve_triangular(factor, b, trans=0 if lower else 2, lower=lower)
    return solve_triangular(factor, half, trans=2 if lower else 0, lower=lower)


def solve_triangular(
    a: ArrayLike,
    b: ArrayLike,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Array:
    """The solution of `a @ x == b` for a triangle, of its transpose for `trans` 1 or "T", or of its conjugate transpose
    for 2 or "C".

    >>> solve_triangular(asarray([[2.0]]), asarray([6.0])).tolist()
    [3.0]
    """
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ChoiceError(f"solve_triangular: trans={trans!r}", hint="0 or 'N', 1 or 'T', 2 or 'C'")
    if trans in (2, "C"):
        return conj(linalg.solve_triangular(a, conj(b), lower, unit_diagonal, 1))
    return linalg.solve_triangular(a, b, lower, unit_diagonal, 0 if trans in (0, "N") else 1)


def block_diag(*arrs: ArrayLike) -> Array:
    """Matrices along the diagonal of one; vectors are rows.

    >>> block_diag(asarray([[1]]), asarray([[2, 3]])).tolist()
    [[1, 0, 0], [0, 2, 3]]
    """
    given: tuple[ArrayLike, ...] = arrs or (asarray([[]]),)
    blocks = ops.promote(*[atleast_2d(asarray(a)) for a in given])
    if any(b.aval.ndim != 2 for b in blocks):
        raise ShapeError(f"block_diag: {' '.join(b.aval.describe() for b in blocks)}", hint="matrices")
    width, rows, before = sum(b.aval.shape[1] for b in blocks), [], 0
    for b in blocks:
        n = b.aval.shape[1]
        zero = ops.cast(ops.as_operand(0), b.aval.dtype)
        rows.append(ops.pad(b, zero, [(0, 0, 0), (before, width - before - n, 0)]))
        before += n
    return concatenate(rows)


def toeplitz(c: ArrayLike, r: ArrayLike | None = None) -> Array:
    """The matrix with `c` as its first column and `r`, by default `c`, as its first row, whose diagonals are constant.

    >>> toeplitz(asarray([1, 2]), asarray([1, 5, 6])).tolist()
    [[1, 5, 6], [2, 1, 5]]
    """
    column = ravel(asarray(c))
    row = column if r is None else ravel(asarray(r))
    m, n = aval_of(column).shape[0], aval_of(row).shape[0]
    line = concatenate([ops.reverse(column, (0,)), ops.slice_in_dim(row, min(1, n), n, 0)])
    place = ops.add(ops.sub(ops.iota((m, n), 1), ops.iota((m, n), 0)), m - 1)
    return ops.gather(line, [place], (0,))


def hilbert(n: int) -> Array:
    """The matrix with `1 / (i + j + 1)`.

    >>> hilbert(2).tolist()
    [[1.0, 0.5], [0.5, 0.3333333432674408]]
    """
    return ops.div(1.0, ops.convert(ops.add(ops.add(ops.iota((n, n), 0), ops.iota((n, n), 1)), 1), float))


__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "det", "hilbert", "inv", "solve_triangular", "toeplitz",
]  # fmt: skip
__all__ += _factors.__all__ + _matrices.__all__ + _matrix_functions.__all__
