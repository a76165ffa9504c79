"""Linear algebra by names and argument orders from before `torch.linalg`, and decompositions of low rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.random import randn
from fdl.stateful.core.results import returned
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.products import matmul
from fdl.stateful.linalg import elimination, factorizations, solutions

__all__ = [
    "cholesky", "eig", "lstsq", "lu", "lu_solve", "lu_unpack", "matrix_rank", "pca_lowrank", "qr", "solve", "svd",
    "svd_lowrank", "symeig", "triangular_solve",
]  # fmt: skip


@returned
class triangular_solve_result(NamedTuple):
    solution: Any
    cloned_coefficient: Any


@method()
def cholesky(input: Tensor, upper: bool = False) -> Any:
    """The triangular factor of a symmetric positive definite matrix.

    >>> import fdl.stateful as torch
    >>> torch.cholesky(torch.eye(2) * 4).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    return factorizations.cholesky(input, upper=upper)


@method()
def qr(input: Tensor, some: bool = True) -> Any:
    """An orthogonal and a triangular factor.

    >>> import fdl.stateful as torch
    >>> torch.qr(torch.eye(2)).R.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return factorizations.qr(input, "reduced" if some else "complete")


@method()
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, V): as `linalg.svd`, with V as it is and not transposed; zeros for both without `compute_uv`.

    >>> import fdl.stateful as torch
    >>> torch.svd(torch.eye(2) * 3)[1].tolist()
    [3.0, 3.0]
    """
    m, n = input.shape[-2:]
    if not compute_uv:
        found = factorizations.svd(input, False)
        return found._replace(U=input.new_zeros(*input.shape[:-2], m, m), Vh=input.new_zeros(*input.shape[:-2], n, n))
    found = factorizations.svd(input, not some)
    return found._replace(Vh=found.Vh.mT)


@method()
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """Both triangles in one matrix, and the exchanges of rows; and where elimination met a zero.

    >>> import fdl.stateful as torch
    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]]).lu()[1].tolist()
    [2, 2]
    """
    found = factorizations.lu_factor_ex(A, pivot=pivot, check_errors=not get_infos)
    return tuple(found) if get_infos else (found.LU, found.pivots)


@method("lu_solve")
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Any:
    """The X with `A @ X = b`, from the factors of A.

    >>> import fdl.stateful as torch
    >>> torch.lu_solve(torch.ones(2, 1), *torch.linalg.lu_factor(torch.eye(2) * 2)).tolist()
    [[0.5], [0.5]]
    """
    return solutions.lu_solve(LU_data, LU_pivots, b)


@returned
class lu_unpack_result(NamedTuple):
    P: Any
    L: Any
    U: Any


def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> lu_unpack_result:
    """P, L and U of factors in one matrix; empty where they are not asked for.

    >>> import fdl.stateful as torch
    >>> torch.lu_unpack(*torch.linalg.lu_factor(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))).P.tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    none = LU_data.new_zeros(0)
    lower, upper = apply(elimination.triangles, (LU_data,)) if unpack_data else (none, none)
    shuffled = none
    if unpack_pivots:
        shuffled = apply(elimination.permutation, (LU_pivots,), (LU_data.shape[-2], LU_data.dtype.np))
    return lu_unpack_result(shuffled, lower, upper)


@method()
def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> triangular_solve_result:
    """The X with `A @ X = b` for a triangular A, and A.

    >>> import fdl.stateful as torch
    >>> torch.triangular_solve(torch.ones(1, 1), torch.tensor([[2.0]])).solution.tolist()
    [[0.5]]
    """
    matrix, above = (A.mT, not upper) if transpose else (A, upper)
    return triangular_solve_result(
        solutions.solve_triangular(matrix, b, upper=above, unitriangular=unitriangular), A.clone()
    )


def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None) -> tuple[Any, Any, Any]:
    """The largest `q` singular values of A (less M) and their vectors, about right: those of A in the span of A times
    random vectors (Halko, Martinsson and Tropp, 2009, algorithm 5.1).

    >>> import fdl.stateful as torch
    >>> torch.svd_lowrank(torch.eye(3) * 2, q=2)[1].round().tolist()
    [2.0, 2.0]
    """
    given: Any = A if M is None else A - M
    m, n = given.shape[-2:]
    x = given if m >= n else given.mT
    basis = factorizations.qr(matmul(x, randn(x.shape[-1], 6 if q is None else q, dtype=x.dtype))).Q
    for _ in range(2 if niter is None else niter):
        basis = factorizations.qr(matmul(x, factorizations.qr(matmul(x.mT, basis)).Q)).Q
    u, s, vh = factorizations.svd(matmul(basis.mT, x), full_matrices=False)
    left, right = matmul(basis, u), vh.mT
    return (left, s, right) if m >= n else (right, s, left)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Any, Any, Any]:
    """`svd_lowrank` of A with columns moved to a mean of 0: its principal components.

    >>> import fdl.stateful as torch
    >>> torch.pca_lowrank(torch.ones(4, 3), q=1)[1].tolist()
    [0.0]
    """
    m, n = A.shape[-2:]
    count = min(6, m, n) if q is None else q
    if not 0 <= count <= min(m, n):
        raise ArgumentError(f"q(={count}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    return svd_lowrank(A, count, niter, A.mean(-2, keepdim=True) if center else None)


def _gone(name: str, instead: str) -> Callable[..., Any]:
    """A function that PyTorch removed: it says what to call."""

    def public(*args: Any, **named: Any) -> Any:
        raise TensorError(
            f"torch.{name}: This function was deprecated since version 1.9 and is now removed.", hint=instead
        )

    public.__name__, public.__doc__ = name, f"RuntimeError: PyTorch removed it; `{instead}` does what it did."
    return public


eig, symeig = _gone("eig", "torch.linalg.eig(A)"), _gone("symeig", "torch.linalg.eigh(A)")
solve, lstsq = _gone("solve", "torch.linalg.solve(A, B)"), _gone("lstsq", "torch.linalg.lstsq(A, B)")
matrix_rank = _gone("matrix_rank", "torch.linalg.matrix_rank(A)")
for _f in (eig, symeig, solve, lstsq):
    method()(_f)
