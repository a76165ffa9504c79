"""Solutions of linear equations, inverses and determinants."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, custom_jvp
from fdl.numpy import linalg as own
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.results import returned
from fdl.stateful.core.tape import autocasting
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.creation import eye
from fdl.stateful.functions.products import matmul
from fdl.stateful.functions.rearranging import broadcast_shapes
from fdl.stateful.linalg import elimination as _lu
from fdl.stateful.linalg.checks import (
    SINGULAR,
    recorded,
    refuse,
    require_finite,
    require_float,
    require_square,
)
from fdl.stateful.linalg.elimination import diagonal as diagonal_of
from fdl.stateful.linalg.elimination import first_of, zero_pivot
from fdl.stateful.linalg.factorizations import matrix_rank, svdvals

__all__ = [
    "det", "inv", "inv_ex", "lstsq", "lu_solve", "pinv", "slogdet", "solve", "solve_ex", "solve_triangular",
    "tensorinv", "tensorsolve",
]  # fmt: skip


@returned
class linalg_slogdet_result(NamedTuple):
    sign: Any
    logabsdet: Any


@returned
class linalg_lstsq_result(NamedTuple):
    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


@returned
class linalg_inv_ex_result(NamedTuple):
    inverse: Any
    info: Any


@returned
class linalg_solve_ex_result(NamedTuple):
    result: Any
    info: Any


_det, _slogdet = recorded(own.det, "det"), recorded(own.slogdet, "slogdet")
_inv_info = recorded(lambda a: (own.inv(a), zero_pivot(a)), "inv")
_solve_info = recorded(lambda a, b: (own.solve(a, b), zero_pivot(a)), "solve")
_pinv = recorded(own.pinv, "pinv")
_triangular = recorded(lambda a, b, lower, unit: own.solve_triangular(a, b, lower, unit), "solve_triangular")


@custom_jvp
def _solved_by_factor(factor: Any, b: Any) -> Any:
    """The x with `L @ L.T @ x = b` for a lower factor; its derivative is that of `L @ L.T` whatever elements of L move,
    as PyTorch's.
    """
    return _halfway_back(factor, b)


def _halfway_back(factor: Any, b: Any) -> Any:
    return own.solve_triangular(factor, own.solve_triangular(factor, b, True), True, trans=1)


@_solved_by_factor.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (factor, b), (change, db) = primals, tangents
    x = _solved_by_factor(factor, b)
    moved = change @ (jnp.matrix_transpose(factor) @ x) + factor @ (jnp.matrix_transpose(change) @ x)
    return x, _halfway_back(factor, db - moved)


_cholesky_solve = recorded(_solved_by_factor, "cholesky_solve")


def det(A: Tensor) -> Any:
    """The determinant."""
    require_square(A, "det")
    return _det((A,))


def slogdet(A: Tensor) -> linalg_slogdet_result:
    """Sign and logarithm of the size of the determinant."""
    require_square(A, "slogdet")
    return linalg_slogdet_result(*_slogdet((A,)))


_UNSOLVED = "The solver failed because the input matrix is singular."


def inv(A: Tensor) -> Any:
    """The inverse.  LinAlgError for a singular matrix."""
    inverse, info = inv_ex(A)
    refuse(
        info,
        "linalg.inv",
        SINGULAR,
        "torch.linalg.pinv, or torch.linalg.solve of a matrix with something on its diagonal",
    )
    return inverse


def inv_ex(A: Tensor, *, check_errors: bool = False) -> linalg_inv_ex_result:
    """The inverse, and where elimination met a zero: its number, or 0."""
    require_square(A, "inv")
    require_float(A, "inv")
    found = linalg_inv_ex_result(*_inv_info((A,)))
    if check_errors:
        refuse(found.info, "linalg.inv_ex", SINGULAR)
    return found


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Any:
    """The X with `A @ X = B`, or `X @ A = B`, from the factors of A; of its transpose where `adjoint` says so."""
    require_square(LU, "lu_solve")
    if not left:
        return lu_solve(LU, pivots, B.mT, adjoint=not adjoint).mT
    batch = broadcast_shapes(LU.shape[:-2], B.shape[:-2])
    LU, pivots, B = (x.expand(*batch, *x.shape[len(x.shape) - d :]) for x, d in ((LU, 2), (pivots, 1), (B, 2)))
    return apply(_lu.solved_back if adjoint else _lu.solved, (LU, pivots, B))


def logdet(A: Tensor) -> Any:
    """The logarithm of the determinant; NaN where that is negative."""
    sign, size = slogdet(A)
    return size.masked_fill(sign < 0, math.nan)


def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Any:
    """The X with `L @ L.T @ X = B`."""
    return _cholesky_solve((L.mT if upper else L, B))


_first_zero = Function(lambda factor: first_of(ops.equal(diagonal_of(ops.stop_gradient(factor)), 0)), "check_diagonal")


def cholesky_inverse(L: Tensor, upper: bool = False) -> Any:
    """The inverse of the matrix with this factor.  LinAlgError for a zero on its diagonal."""
    n = L.shape[-1]
    refuse(apply(_first_zero, (L,)), "cholesky_inverse", SINGULAR)
    return cholesky_solve(eye(n, dtype=L.dtype).expand(*L.shape), L, upper)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Any:
    """The X with `A @ X = B`, or `X @ A = B`.  LinAlgError for a singular matrix."""
    x, info = solve_ex(A, B, left=left)
    refuse(info, "torch.linalg.solve", _UNSOLVED, "torch.linalg.lstsq, which takes any matrix")
    return x


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> linalg_solve_ex_result:
    """The solution, and where elimination met a zero: its number, or 0."""
    require_square(A, "solve")
    require_float(A, "solve")
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    b: Any = B.unsqueeze(-1) if vector else B
    if not left:
        found = solve_ex(A.mT, b.mT)
        found = found._replace(result=found.result.mT)
    else:
        found = linalg_solve_ex_result(*_solve_info((A, b)))
    if check_errors:
        refuse(found.info, "torch.linalg.solve_ex", _UNSOLVED)
    return found._replace(result=found.result.squeeze(-1)) if vector else found


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """The X with `A @ X = B`, or `X @ A = B`, for a triangular A."""
    require_square(A, "solve_triangular")
    if not left:
        return solve_triangular(A.mT, B.mT, upper=not upper, unitriangular=unitriangular).mT
    return _triangular((A, B), not upper, unitriangular)


@autocasting.full
def pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """The inverse of Moore and Penrose."""
    rtol = rcond if rtol is None else rtol
    if not A.numel():
        return A.mT
    if hermitian:
        lower = A.tril()
        A = lower + lower.tril(-1).mH
    require_finite(A)
    return _pinv((A,), None if rtol is None else float(rtol))


@autocasting.full
def lstsq(A: Tensor, B: Tensor, rcond: Any = None, *, driver: Any = None) -> linalg_lstsq_result:
    """The shortest X for which `A @ X - B` is shortest; residuals, rank and singular values as far as `driver` tells
    them, which is "gelsy" by default.
    """
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise TensorError(
            f"torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver!r}"
        )
    if B.ndim == A.ndim - 1:
        found = lstsq(A, B.unsqueeze(-1), rcond, driver=driver)
        return found._replace(solution=found.solution.squeeze(-1))
    x = matmul(pinv(A, rtol=rcond), B)
    m, n = A.shape[-2:]
    nothing = A.new_zeros(0)
    rank = nothing.long() if driver == "gels" else matrix_rank(A, rtol=rcond)
    told = m > n and driver in ("gels", "gelsd", "gelss") and (driver == "gels" or bool((rank == n).all()))
    residuals = ((matmul(A, x) - B) ** 2).sum(-2) if told else nothing
    return linalg_lstsq_result(x, residuals, rank, svdvals(A) if driver in ("gelsd", "gelss") else nothing)


def tensorinv(A: Tensor, ind: int = 2) -> Any:
    """The inverse for `tensordot`."""
    lead, rest = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    n = math.prod(lead)
    return inv(A.reshape(n, n)).reshape(*rest, *lead)


def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Any:
    """The X with `tensordot(A, X, X.ndim) = B`."""
    a: Any = A
    if dims is not None:
        a = a.movedim(tuple(dims), tuple(range(a.ndim - len(dims), a.ndim)))
    rest = tuple(a.shape[B.ndim :])
    n = B.numel()
    return solve(a.reshape(n, n), B.reshape(n)).reshape(*rest)
