"""`torch.linalg`: factorisations, solutions, norms; results as PyTorch's named tuples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, custom_jvp
from fdl.numpy import linalg as own
from fdl.stateful.core.checks import Failure, broken, require
from fdl.stateful.core.errors import TensorError, UnsupportedError
from fdl.stateful.core.methods import method
from fdl.stateful.core.results import returned
from fdl.stateful.core.tape import autocasting
from fdl.stateful.core.tensor import Composite, Tensor, apply, owned
from fdl.stateful.functions.creation import eye, full_like, tensor
from fdl.stateful.functions.elementwise import maximum
from fdl.stateful.functions.products import cross as _cross
from fdl.stateful.functions.products import matmul
from fdl.stateful.functions.products import vander as _powers
from fdl.stateful.functions.rearranging import diagonal as _diagonal
from fdl.stateful.functions.reductions import amax, amin, dims_of, power_norm, sum
from fdl.stateful.linalg import elimination as _lu
from fdl.stateful.linalg.elimination import diagonal as diagonal_of
from fdl.stateful.linalg.elimination import first_of, zero_pivot

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "inv_ex",
    "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve",
    "matmul", "matrix_exp", "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd", "svdvals",
    "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm",
]  # fmt: skip


@returned
class linalg_slogdet_result(NamedTuple):
    sign: Any
    logabsdet: Any


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
class linalg_lstsq_result(NamedTuple):
    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


@returned
class linalg_cholesky_ex_result(NamedTuple):
    L: Any
    info: Any


@returned
class linalg_inv_ex_result(NamedTuple):
    inverse: Any
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


@returned
class linalg_solve_ex_result(NamedTuple):
    result: Any
    info: Any


def _recorded(f: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function of arrays, then of static arguments, on tensors."""
    function = Function(lambda *args: _plain(f(*args)), name)
    return lambda tensors, *static: apply(function, tensors, static)


def _plain(found: Any) -> Any:
    return tuple(found) if isinstance(found, tuple) else found


def _factored(a: Any, upper: bool) -> tuple[Any, Any]:
    factor = own.cholesky(a, upper, symmetrize_input=False)
    return factor, first_of(ops.bitwise_not(ops.greater(diagonal_of(ops.stop_gradient(factor)), 0)))


_det, _slogdet, _inv = _recorded(own.det, "det"), _recorded(own.slogdet, "slogdet"), _recorded(own.inv, "inv")
_inv_info = _recorded(lambda a: (own.inv(a), zero_pivot(a)), "inv")
_solve_info = _recorded(lambda a, b: (own.solve(a, b), zero_pivot(a)), "solve")
_cholesky = _recorded(lambda a, upper: own.cholesky(a, upper, symmetrize_input=False), "cholesky")
_cholesky_info = _recorded(_factored, "cholesky")
_qr, _eigh, _svd = (
    _recorded(own.qr, "qr"),
    _recorded(lambda a, side: own.eigh(a, side, symmetrize_input=False), "eigh"),
    _recorded(own.svd, "svd"),
)
_svdvals, _pinv = _recorded(own.svdvals, "svdvals"), _recorded(own.pinv, "pinv")
_power = _recorded(own.matrix_power, "matrix_power")
_solve, _triangular = (
    _recorded(own.solve, "solve"),
    _recorded(lambda a, b, lower, unit: own.solve_triangular(a, b, lower, unit), "solve_triangular"),
)


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


_cholesky_solve = _recorded(_solved_by_factor, "cholesky_solve")
_multi_dot = _recorded(lambda *xs: own.multi_dot(xs), "multi_dot")


def _square(A: Tensor, what: str) -> None:
    if A.ndim < 2:
        raise TensorError(f"linalg.{what}: The input tensor A must have at least 2 dimensions.")
    if A.shape[-1] != A.shape[-2]:
        raise TensorError(
            f"linalg.{what}: A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        )


def det(A: Tensor) -> Any:
    """The determinant."""
    _square(A, "det")
    return _det((A,))


def slogdet(A: Tensor) -> linalg_slogdet_result:
    """Sign and logarithm of the size of the determinant."""
    _square(A, "slogdet")
    return linalg_slogdet_result(*_slogdet((A,)))


class LinAlgError(TensorError):
    """A matrix has no inverse, or no factor of the kind that was asked for.

    >>> import fdl.stateful as torch
    >>> torch.linalg.inv(torch.ones(2, 2))  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.linalg.LinAlgError: linalg.inv: The diagonal element 2 is zero, the inversion could not be...
    >>> torch.linalg.inv_ex(torch.ones(2, 2)).info.item()  # right: asks whether there is one
    2
    """


_failed = Function(lambda *xs: ops.greater(xs[-1], 0), "check_info")


def _refuse(info: Tensor, what: str, why: str, hint: str = "") -> None:
    """LinAlgError at this line where a factorisation failed; `why` shows where, in a `{}`."""
    plain = why.replace(" {}", "")
    if not info.ndim:
        require(_failed, (info,), Failure(LinAlgError, f"{what}: {why}", f"{what}: {plain}", hint), now=True)
        return
    batch = owned(np.arange(info.numel()).reshape(info.shape))
    require(
        _failed,
        (batch, info),
        Failure(LinAlgError, f"{what}: (Batch element {{}}): {why}", f"{what}: {plain}", hint),
        now=True,
    )


_SINGULAR = (
    "The diagonal element {} is zero, the inversion could not be completed because the input matrix is singular."
)
_UNSOLVED = "The solver failed because the input matrix is singular."
_NOT_POSITIVE = (
    "The factorization could not be completed because the input is not positive-definite (the "
    "leading minor of order {} is not positive-definite)."
)


def _float(A: Tensor, what: str) -> None:
    if not isinstance(A, Composite) and not A.dtype.is_floating_point:
        raise TensorError(
            f"linalg.{what}: Expected a floating point or complex tensor as input. Got {A.dtype.legacy_name}",
            hint="A.float()",
        )


def inv(A: Tensor) -> Any:
    """The inverse.  LinAlgError for a singular matrix."""
    if isinstance(A, Composite):
        _square(A, "inv")
        return _inv((A,))
    inverse, info = inv_ex(A)
    _refuse(
        info,
        "linalg.inv",
        _SINGULAR,
        "torch.linalg.pinv, or torch.linalg.solve of a matrix with something on its diagonal",
    )
    return inverse


def inv_ex(A: Tensor, *, check_errors: bool = False) -> linalg_inv_ex_result:
    """The inverse, and where elimination met a zero: its number, or 0."""
    _square(A, "inv")
    _float(A, "inv")
    if isinstance(A, Composite):
        return linalg_inv_ex_result(_inv((A,)), _no_failures(A))
    found = linalg_inv_ex_result(*_inv_info((A,)))
    if check_errors:
        _refuse(found.info, "linalg.inv_ex", _SINGULAR)
    return found


def _no_failures(A: Tensor) -> Any:
    return A.new_zeros(A.shape[:-2], dtype=tensor(0).int().dtype)


def cholesky(A: Tensor, *, upper: bool = False) -> Any:
    """The triangular factor of a symmetric positive definite matrix.  LinAlgError for any other."""
    if isinstance(A, Composite):
        _square(A, "cholesky")
        return _cholesky((A,), upper)
    factor, info = cholesky_ex(A, upper=upper)
    _refuse(info, "linalg.cholesky", _NOT_POSITIVE, "something on the diagonal: A + 1e-6 * torch.eye(n)")
    return factor


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> linalg_cholesky_ex_result:
    """The triangular factor, and the order of the first leading minor that is not positive, or 0."""
    _square(A, "cholesky")
    _float(A, "cholesky")
    if isinstance(A, Composite):
        return linalg_cholesky_ex_result(_cholesky((A,), upper), _no_failures(A))
    found = linalg_cholesky_ex_result(*_cholesky_info((A,), upper))
    if check_errors:
        _refuse(found.info, "linalg.cholesky_ex", _NOT_POSITIVE)
    return found


_ZERO_ON_U = "U has a zero on its diagonal at {}, and using it on lu_solve would result in a division by zero."


def lu_factor(A: Tensor, *, pivot: bool = True) -> linalg_lu_factor_result:
    """Both triangles in one matrix, and the exchanges of rows.  LinAlgError for a singular matrix."""
    found = lu_factor_ex(A, pivot=pivot)
    _refuse(found.info, "torch.linalg.lu_factor", _ZERO_ON_U, "torch.linalg.lu_factor_ex, which tells")
    return linalg_lu_factor_result(found.LU, found.pivots)


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> linalg_lu_factor_ex_result:
    """Both triangles in one matrix, the exchanges of rows, and where elimination met a zero."""
    _square(A, "lu_factor")
    _float(A, "lu_factor")
    if not pivot:
        raise UnsupportedError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    found = linalg_lu_factor_ex_result(*apply(_lu.factored, (A,)))
    if check_errors:
        _refuse(found.info, "torch.linalg.lu_factor_ex", _ZERO_ON_U)
    return found


def lu(A: Tensor, *, pivot: bool = True) -> linalg_lu_result:
    """P, L and U with `A = P @ L @ U`."""
    _square(A, "lu")
    _float(A, "lu")
    if not pivot:
        raise UnsupportedError("linalg.lu: LU without pivoting is not implemented on the CPU")
    return linalg_lu_result(*apply(_lu.parts, (A,)))


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor) -> Any:
    """The X with `A @ X = B`, from the factors of A."""
    _square(LU, "lu_solve")
    return apply(_lu.solved, (LU, pivots, B))


def qr(A: Tensor, mode: str = "reduced") -> linalg_qr_result:
    """An orthogonal and a triangular factor."""
    found = _qr((A,), mode)
    return linalg_qr_result(A.new_zeros(0), found) if mode == "r" else linalg_qr_result(*found)


def eigh(A: Tensor, UPLO: str = "L") -> linalg_eigh_result:
    """Eigenvalues and eigenvectors of a symmetric matrix."""
    _square(A, "eigh")
    return linalg_eigh_result(*_eigh((A,), UPLO))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Any:
    """Eigenvalues of a symmetric matrix."""
    return eigh(A, UPLO).eigenvalues


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
    if not isinstance(L, Composite):
        _refuse(apply(_first_zero, (L,)), "cholesky_inverse", _SINGULAR)
    return cholesky_solve(eye(n, dtype=L.dtype).expand(*L.shape), L, upper)


def _exponential_body(a: Any) -> Any:
    """Scaling, a Taylor polynomial, and squaring."""
    n = aval_of(a).shape[-1]
    one = jnp.broadcast_to(jnp.eye(n, dtype=aval_of(a).dtype), aval_of(a).shape)
    x = ops.mul(a, 2.0**-7)
    out = one
    for k in range(16, 0, -1):
        out = ops.add(one, ops.div(jnp.matmul(x, out), float(k)))
    for _ in range(7):
        out = jnp.matmul(out, out)
    return out


_exponential = Function(_exponential_body, "matrix_exp")


@method()
def matrix_exp(A: Tensor) -> Any:
    """The exponential of a matrix."""
    _square(A, "matrix_exp")
    return apply(_exponential, (A,))


_not_finite = Function(lambda x: ops.bitwise_not(ops.is_finite(x)), "check_finite")
_NOT_FINITE = broken(
    "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite values.",
    error=LinAlgError,
)


def _finite(A: Tensor) -> None:
    if not isinstance(A, Composite):
        require(_not_finite, (A,), _NOT_FINITE)


def svd(A: Tensor, full_matrices: bool = True, *, driver: Any = None) -> linalg_svd_result:
    """Singular values with their vectors.  LinAlgError where an element is not finite."""
    _finite(A)
    return linalg_svd_result(*_svd((A,), full_matrices))


def svdvals(A: Tensor, *, driver: Any = None) -> Any:
    """Singular values, largest first.  LinAlgError where an element is not finite."""
    _finite(A)
    return _svdvals((A,))


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Any:
    """The X with `A @ X = B`, or `X @ A = B`.  LinAlgError for a singular matrix."""
    x, info = solve_ex(A, B, left=left)
    if not isinstance(A, Composite) and not isinstance(B, Composite):
        _refuse(info, "torch.linalg.solve", _UNSOLVED, "torch.linalg.lstsq, which takes any matrix")
    return x


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> linalg_solve_ex_result:
    """The solution, and where elimination met a zero: its number, or 0."""
    _square(A, "solve")
    _float(A, "solve")
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    b: Any = B.unsqueeze(-1) if vector else B
    if not left:
        found = solve_ex(A.mT, b.mT)
        found = found._replace(result=found.result.mT)
    elif isinstance(A, Composite) or isinstance(b, Composite):
        found = linalg_solve_ex_result(_solve((A, b)), _no_failures(A))
    else:
        found = linalg_solve_ex_result(*_solve_info((A, b)))
    if check_errors:
        _refuse(found.info, "torch.linalg.solve_ex", _UNSOLVED)
    return found._replace(result=found.result.squeeze(-1)) if vector else found


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """The X with `A @ X = B`, or `X @ A = B`, for a triangular A."""
    _square(A, "solve_triangular")
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
        A = lower + lower.tril(-1).mT
    _finite(A)
    return _pinv((A,), None if rtol is None else float(rtol))


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


def matrix_power(A: Tensor, n: int) -> Any:
    """A matrix to an integer power."""
    _square(A, "matrix_power")
    return _power((inv(A),), -n) if n < 0 else _power((A,), n)


def multi_dot(tensors: Any) -> Any:
    """The product of several matrices, in the cheapest order."""
    return _multi_dot(tuple(tensors))


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


def cond(A: Tensor, p: Any = None) -> Any:
    """The condition number."""
    if p in (None, 2, -2):
        s = svdvals(A)
        top, bottom = s[..., 0], s[..., -1]
        return bottom / top if p == -2 else top / bottom
    inverse, info = inv_ex(A)
    return (matrix_norm(A, p) * matrix_norm(inverse, p)).masked_fill(info > 0, math.inf)


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


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Any:
    """The vector product."""
    return _cross(input, other, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonal, of the last two dimensions by default."""
    return _diagonal(A, offset, dim1, dim2)


def vander(x: Tensor, *, N: int | None = None) -> Any:
    """Powers of each element along a new last dimension, from 0 to N - 1; as many as elements by default."""
    count = (x.shape[-1] if x.ndim else 1) if N is None else N
    if count <= 1:
        raise TensorError("N must be greater than 1.")
    return _powers(x, count, True)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Any:
    """Sums of products along a dimension, with the conjugates of `x`."""
    if autocasting.now is not None:
        x, y = autocasting.now.lowered(x, y)
    return sum(x.conj() * y, dim)


# Norms


def _vector_norm_body(x: Any, p: float, axes: tuple[int, ...], keepdim: bool, dtype: Any) -> Any:
    x = ops.cast(x, dtype) if dtype is not None else x
    found = power_norm(x, p, axes)
    return ops.expand_dims(found, sorted(axes)) if keepdim and axes else found


_vector_norm = Function(_vector_norm_body, "vector_norm")


def vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The p-norm over dimensions."""
    return apply(_vector_norm, (x,), (float(ord), dims_of(x, dim), keepdim, None if dtype is None else dtype.np))


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A norm of matrices: Frobenius, nuclear, 1, 2, infinity, and their smallest kin."""
    if dtype is not None:
        A = A.to(dtype)
    a, b = (d % A.ndim for d in dim)
    if ord == "fro":
        return vector_norm(A, 2, (a, b), keepdim)
    if ord in (2, -2, "nuc"):
        s = svdvals(A.movedim((a, b), (-2, -1)))
        found = sum(s, -1) if ord == "nuc" else amax(s, -1) if ord == 2 else amin(s, -1)
        if keepdim:
            for d in sorted((a, b)):
                found = found.unsqueeze(d)
        return found
    inner, outer = (a, b) if abs(ord) == 1 else (b, a)
    totals = sum(A.abs(), inner, True)
    found = (amax if ord > 0 else amin)(totals, outer, True)
    return found if keepdim else found.squeeze((a, b))


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """A norm of vectors, or of matrices where two dimensions are named."""
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if isinstance(ord, str) or (dim is None and A.ndim == 2) or (isinstance(dim, (tuple, list)) and len(dim) == 2):
        return matrix_norm(A, ord, (-2, -1) if dim is None else tuple(dim), keepdim, dtype=dtype)
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


# Methods of tensors

for _name, _f in {
    "det": det, "slogdet": slogdet, "inverse": inv, "cholesky": cholesky, "qr": lambda x,
    some=True: qr(x, "reduced" if some else "complete"), "pinverse": pinv,
    "matrix_power": matrix_power, "logdet": logdet, "cholesky_solve": cholesky_solve,
    "cholesky_inverse": cholesky_inverse,
}.items():  # fmt: skip
    method(_name)(cast(Callable[..., Any], _f))
