"""Factorisations of matrices: Cholesky, elimination, QR, eigenvalues, singular values and
the rank that they tell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.numpy import linalg as own
from fdl.stateful.core.errors import UnsupportedError
from fdl.stateful.core.results import returned
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.creation import full_like
from fdl.stateful.functions.elementwise import maximum
from fdl.stateful.functions.reductions import amax, sum
from fdl.stateful.linalg import elimination as _lu
from fdl.stateful.linalg.checks import (
    recorded,
    refuse,
    require_finite,
    require_float,
    require_matrix,
    require_square,
)
from fdl.stateful.linalg.elimination import diagonal as diagonal_of
from fdl.stateful.linalg.elimination import first_of

__all__ = [
    "cholesky", "cholesky_ex", "eigh", "eigvalsh", "lu", "lu_factor", "lu_factor_ex", "matrix_rank", "qr",
    "svd", "svdvals",
]  # fmt: skip


@returned
class linalg_qr_result(NamedTuple):
    Q: Any
    R: Any


@returned
class linalg_eigh_result(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


@returned
class linalg_svd_result(NamedTuple):
    U: Any
    S: Any
    Vh: Any


@returned
class linalg_cholesky_ex_result(NamedTuple):
    L: Any
    info: Any


@returned
class linalg_lu_factor_result(NamedTuple):
    LU: Any
    pivots: Any


@returned
class linalg_lu_factor_ex_result(NamedTuple):
    LU: Any
    pivots: Any
    info: Any


@returned
class linalg_lu_result(NamedTuple):
    P: Any
    L: Any
    U: Any


def _factored(a: Any, upper: bool) -> tuple[Any, Any]:
    factor = own.cholesky(a, upper, symmetrize_input=False)
    return factor, first_of(ops.bitwise_not(ops.greater(jnp.real(diagonal_of(ops.stop_gradient(factor))), 0)))


_cholesky_info = recorded(_factored, "cholesky")
_qr, _eigh, _svd = (
    recorded(own.qr, "qr"),
    recorded(lambda a, side: own.eigh(a, side, symmetrize_input=False), "eigh"),
    recorded(own.svd, "svd"),
)
_svdvals = recorded(own.svdvals, "svdvals")
_NOT_POSITIVE = (
    "The factorization could not be completed because the input is not positive-definite (the "
    "leading minor of order {} is not positive-definite)."
)


def cholesky(A: Tensor, *, upper: bool = False) -> Any:
    """The triangular factor of a symmetric positive definite matrix.  LinAlgError for any other."""
    factor, info = cholesky_ex(A, upper=upper)
    refuse(info, "linalg.cholesky", _NOT_POSITIVE, "something on the diagonal: A + 1e-6 * torch.eye(n)")
    return factor


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> linalg_cholesky_ex_result:
    """The triangular factor, and the order of the first leading minor that is not positive, or 0."""
    require_square(A, "cholesky")
    require_float(A, "cholesky")
    found = linalg_cholesky_ex_result(*_cholesky_info((A,), upper))
    if check_errors:
        refuse(found.info, "linalg.cholesky_ex", _NOT_POSITIVE)
    return found


_ZERO_ON_U = "U has a zero on its diagonal at {}, and using it on lu_solve would result in a division by zero."


def lu_factor(A: Tensor, *, pivot: bool = True) -> linalg_lu_factor_result:
    """Both triangles in one matrix, and the exchanges of rows.  LinAlgError for a singular matrix."""
    found = lu_factor_ex(A, pivot=pivot)
    refuse(found.info, "torch.linalg.lu_factor", _ZERO_ON_U, "torch.linalg.lu_factor_ex, which tells")
    return linalg_lu_factor_result(found.LU, found.pivots)


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> linalg_lu_factor_ex_result:
    """Both triangles in one matrix, the exchanges of rows, and where elimination met a zero."""
    require_matrix(A, "lu_factor")
    require_float(A, "lu_factor")
    if not pivot:
        raise UnsupportedError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    found = linalg_lu_factor_ex_result(*apply(_lu.factored, (A,)))
    if check_errors:
        refuse(found.info, "torch.linalg.lu_factor_ex", _ZERO_ON_U)
    return found


def lu(A: Tensor, *, pivot: bool = True) -> linalg_lu_result:
    """P, L and U with `A = P @ L @ U`."""
    require_matrix(A, "lu")
    require_float(A, "lu")
    if not pivot:
        raise UnsupportedError("linalg.lu: LU without pivoting is not implemented on the CPU")
    return linalg_lu_result(*apply(_lu.parts, (A,)))


def qr(A: Tensor, mode: str = "reduced") -> linalg_qr_result:
    """An orthogonal and a triangular factor."""
    found = _qr((A,), mode)
    return linalg_qr_result(A.new_zeros(0), found) if mode == "r" else linalg_qr_result(*found)


def eigh(A: Tensor, UPLO: str = "L") -> linalg_eigh_result:
    """Eigenvalues and eigenvectors of a symmetric matrix."""
    require_square(A, "eigh")
    return linalg_eigh_result(*_eigh((A,), UPLO))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Any:
    """Eigenvalues of a symmetric matrix."""
    return eigh(A, UPLO).eigenvalues


def svd(A: Tensor, full_matrices: bool = True, *, driver: Any = None) -> linalg_svd_result:
    """Singular values with their vectors.  LinAlgError where an element is not finite."""
    require_finite(A)
    return linalg_svd_result(*_svd((A,), full_matrices))


def svdvals(A: Tensor, *, driver: Any = None) -> Any:
    """Singular values, largest first.  LinAlgError where an element is not finite."""
    require_finite(A)
    return _svdvals((A,))


def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """Number of singular values above `atol` (or `tol`) and above `rtol` times the largest one: numbers, or tensors
    with one for each matrix.
    """
    atol = tol if atol is None else atol
    m, n = A.shape[-2:]
    if 0 in (m, n):
        return A.new_zeros(A.shape[:-2]).long()
    s = eigvalsh(A).abs() if hermitian else svdvals(A)
    if rtol is None:
        rtol = 0.0 if atol is not None else max(m, n) * float(np.finfo(s.dtype.np).eps)
    limit = amax(s, -1) * rtol
    if atol is not None:
        limit = maximum(limit, atol if isinstance(atol, Tensor) else full_like(limit, float(atol)))
    return sum(s > limit.unsqueeze(-1), -1)
