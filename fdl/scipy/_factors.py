"""Factors of matrices and systems of equations, under SciPy's names and signatures."""

from __future__ import annotations

from typing import Any

from fdl import lax, ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy import (
    _reflectors,
    _schur,
    argsort,
    asarray,
    conj,
    diag,
    expand_dims,
    eye,
    linalg,
    matmul,
    matrix_transpose,
    real,
    take,
    tril,
)
from fdl.numpy.linalg import _as_complex, _square
from fdl.ops.linear import adjoint
from fdl.transforms import scan
from fdl.transforms.custom import custom_jvp


def _refuse(what: str, **options: Any) -> None:
    """ChoiceError for options that are not there."""
    for name, value in options.items():
        if value is not None and value is not False:
            raise ChoiceError(f"{what}: {name}=", why="that is not there", hint=f"without {name}")


def eigh(
    a: ArrayLike,
    b: ArrayLike | None = None,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    turbo: bool = True,
    eigvals: None = None,
    type: int = 1,
    check_finite: bool = True,
) -> Array | tuple[Array, Array]:
    """Eigenvalues, smallest first, and eigenvectors in columns of Hermitian matrices, of which one triangle is read.

    >>> eigh(asarray([[2.0, 0.0], [0.0, 1.0]]), eigvals_only=True).tolist()
    [1.0, 2.0]
    """
    _refuse("eigh", b=b, eigvals=eigvals)
    values, vectors = linalg.eigh(a, "L" if lower else "U", symmetrize_input=False)
    return values if eigvals_only else (values, vectors)


def svd(
    a: ArrayLike,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Array | tuple[Array, Array, Array]:
    """(U, S, V*), singular values from the largest; S alone without `compute_uv`.

    >>> svd(asarray([[3.0, 0.0], [0.0, 4.0]]), compute_uv=False).tolist()
    [4.0, 3.0]
    """
    if not compute_uv:
        return linalg.svdvals(a)
    u, s, vh = linalg.svd(a, full_matrices)
    return u, s, vh


def qr(
    a: ArrayLike,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> tuple[Array, ...]:
    """(Q, R), with Q square in mode "full", as wide as R is high in "economic"; (R,) in mode "r".

    >>> [abs(float(x[0, 0])) for x in qr(asarray([[2.0]]))]
    [1.0, 2.0]
    """
    _refuse("qr", pivoting=pivoting)
    if mode not in ("full", "economic", "r"):
        raise ChoiceError(f"qr: mode={mode!r}", hint='"full", "economic" or "r"')
    q, r = linalg.qr(a, "reduced" if mode == "economic" else "complete")
    return (r,) if mode == "r" else (q, r)


def lu_factor(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Array, Array]:
    """(L below the diagonal and U, the row that each row changed places with), for `lu_solve`.

    >>> [x.tolist() for x in lu_factor(asarray([[0.0, 2.0], [1.0, 3.0]]))]
    [[[1.0, 3.0], [0.0, 2.0]], [1, 1]]
    """
    both, pivots, _ = lax.linalg.lu(_square(a, "lu_factor"))
    return both, pivots


def lu_solve(
    lu_and_piv: tuple[Array, ArrayLike], b: ArrayLike, trans: int = 0, overwrite_b: bool = False,
    check_finite: bool = True,
) -> Array:  # fmt: skip
    """The solution of `a @ x == b` of what `lu_factor` made of one matrix `a`; of `a.T` for `trans` 1, of its adjoint
    for 2.

    >>> lu_solve(lu_factor(asarray([[0.0, 2.0], [1.0, 3.0]])), asarray([2.0, 4.0])).tolist()
    [1.0, 1.0]
    """
    both, pivots = asarray(lu_and_piv[0]), asarray(lu_and_piv[1])
    order = lax.linalg.lu_pivots_to_permutation(pivots, aval_of(both).shape[-1])
    b = asarray(b)
    vector = aval_of(b).ndim == 1
    right = expand_dims(b, 1) if vector else b
    if trans == 0:
        half = linalg.solve_triangular(both, take(right, order, axis=0), True, True)
        x = linalg.solve_triangular(both, half)
    else:
        turned = conj(both) if trans == 2 else both
        half = linalg.solve_triangular(turned, right, False, False, 1)
        x = take(linalg.solve_triangular(turned, half, True, True, 1), argsort(order), axis=0)
    return x[:, 0] if vector else x


def lu(
    a: ArrayLike, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Array, ...]:
    """(P, L, U) with `a = P @ L @ U`, of square matrices; (P @ L, U) with `permute_l`.

    >>> [x.tolist() for x in lu(asarray([[0.0, 2.0], [1.0, 3.0]]), permute_l=True)]
    [[[0.0, 1.0], [1.0, 0.0]], [[1.0, 3.0], [0.0, 2.0]]]
    """
    both, _, order = lax.linalg.lu(_square(a, "lu"))
    n, dtype = aval_of(both).shape[-1], aval_of(both).dtype
    lower = tril(both, -1) + eye(n, dtype=dtype)
    upper = ops.select(
        ops.less_equal(ops.iota(aval_of(both).shape, -2 % both.ndim), ops.iota(aval_of(both).shape, both.ndim - 1)),
        both,
        0,
    )
    places = matrix_transpose(take(eye(n, dtype=dtypes.real_dtype(dtype)), order, axis=0))
    return (matmul(places.astype(dtype), lower), upper) if permute_l else (places, lower, upper)


def solve(
    a: ArrayLike,
    b: ArrayLike,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    debug: bool = False,
    check_finite: bool = True,
    assume_a: str = "gen",
) -> Array:
    """The solution of `a @ x == b`; `assume_a` may say that `a` is "pos"itive definite, of which one triangle is read,
    or "sym"metric or "her"mitian, which changes nothing.

    >>> solve(asarray([[4.0]]), asarray([6.0]), assume_a="pos").tolist()
    [1.5]
    """
    if assume_a not in ("gen", "sym", "her", "pos"):
        raise ChoiceError(f"solve: assume_a={assume_a!r}", hint='"gen", "sym", "her" or "pos"')
    if assume_a != "pos":
        return linalg.solve(a, b)
    factor = linalg.cholesky(a if lower else adjoint(asarray(a)), symmetrize_input=False)
    half = linalg.solve_triangular(factor, b, True)
    return linalg.solve_triangular(adjoint(factor), half)


def schur(a: ArrayLike, output: str = "real") -> tuple[Array, Array]:
    """(T, Z) with `a = Z T Z*`, T upper triangular and Z unitary: the complex form, of real matrices with
    `output="complex"`. The real form of real matrices, with blocks of two, is not there.

    >>> t, z = schur(asarray([[0.0, 1.0], [-1.0, 0.0]]), output="complex")
    >>> t.imag.round(4).diagonal().tolist()
    [1.0, -1.0]
    """
    if output not in ("real", "complex"):
        raise ChoiceError(f"schur: output={output!r}", hint='"real" or "complex"')
    a = _square(a, "schur")
    if output == "real" and not dtypes.is_complex(aval_of(a).dtype):
        raise ChoiceError('schur: output="real" of a real matrix', why="that is not there", hint='output="complex"')
    return _schur.schur(_as_complex(a))


def hessenberg(
    a: ArrayLike, *, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Array | tuple[Array, Array]:
    """H with `a = Q H Q*`, which is zero below the first subdiagonal, and Q unitary; with `calc_q` (H, Q).

    >>> hessenberg(asarray([[1.0, 2.0, 0.0], [3.0, 4.0, 5.0], [0.0, 1.0, 1.0]])).round(4)[2, 0].item()
    0.0
    """
    a = _square(a, "hessenberg")
    h, q = _reflectors.hessenberg(_as_complex(a))
    if not dtypes.is_complex(aval_of(a).dtype):
        h, q = real(h), real(q)
    return (h, q) if calc_q else h


def polar(
    a: ArrayLike, side: str = "right", *, method: str = "qdwh", eps: float | None = None,
    max_iterations: int | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """(U with orthonormal columns or rows, P positive semidefinite) with `a = U @ P`, or with side "left" `a = P @ U`,
    by singular values, whatever `method` says.

    >>> [x.tolist() for x in polar(asarray([[-2.0]]))]
    [[[-1.0]], [[2.0]]]
    """
    if side not in ("right", "left"):
        raise ChoiceError(f"polar: side={side!r}", hint='"right" or "left"')
    u, s, vh = linalg.svd(a, full_matrices=False)
    v = adjoint(vh) if side == "right" else u
    return matmul(u, vh), matmul(v * expand_dims(s, -2), adjoint(v))


def eigh_tridiagonal(
    d: ArrayLike, e: ArrayLike, *, eigvals_only: bool = False, select: str = "a",
    select_range: tuple[float, float] | None = None, tol: float | None = None, key: Array | None = None,
) -> Array | tuple[Array, Array]:  # fmt: skip
    """Eigenvalues, smallest first, and eigenvectors of a symmetric matrix with the diagonal `d` and `e` beside it; with
    select "i" those from the first to the second number of `select_range`.

    >>> eigh_tridiagonal(asarray([2.0, 2.0]), asarray([1.0]), eigvals_only=True).round(4).tolist()
    [1.0, 3.0]
    """
    if select not in ("a", "i"):
        raise ChoiceError(f"eigh_tridiagonal: select={select!r}", hint='"a" or "i"')
    beside = asarray(e)
    whole = diag(asarray(d)) + diag(beside, -1) + diag(conj(beside), 1)
    values, vectors = linalg.eigh(whole)
    if select == "i" and select_range is not None:
        first, last = (int(k) for k in select_range)
        values, vectors = values[first : last + 1], vectors[:, first : last + 1]
    return values if eigvals_only else (values, vectors)


@custom_jvp
def _sylvester(a: Array, b: Array, c: Array) -> Array:
    (s, u), (t, v) = _schur.schur(_as_complex(a)), _schur.schur(_as_complex(b))
    f = matmul(matmul(adjoint(u), _as_complex(c)), v)
    m, n = aval_of(f).shape
    unit = eye(m, dtype=aval_of(f).dtype)

    def step(y: Array, k: Any) -> tuple[Array, None]:
        right = f[:, k] - matmul(y, t[:, k])
        return y.at[:, k].set(linalg.solve_triangular(s + t[k, k] * unit, right)), None

    y = scan(step, f * 0, ops.iota((n,), 0))[0]
    x = matmul(matmul(u, y), adjoint(v))
    return x if dtypes.is_complex(aval_of(c).dtype) else real(x)


@_sylvester.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a, b, c), (da, db, dc) = primals, tangents
    x = _sylvester(a, b, c)
    return x, _sylvester(a, b, dc - matmul(da, x) - matmul(x, db))


def solve_sylvester(A: ArrayLike, B: ArrayLike, C: ArrayLike, *, method: str = "schur", tol: float = 1e-8) -> Array:
    """The X with `A @ X + X @ B == C` (Bartels and Stewart, 1972), whatever `method` says.

    >>> solve_sylvester(asarray([[2.0]]), asarray([[1.0]]), asarray([[6.0]])).round(4).tolist()
    [[2.0]]
    """
    if method not in ("schur", "eigen"):
        raise ChoiceError(f"solve_sylvester: method={method!r}", hint='"schur"')
    a, b, c = ops.promote(_square(A, "solve_sylvester"), _square(B, "solve_sylvester"), asarray(C))
    found: Array = _sylvester(a, b, c)
    return found


__all__ = [
    "eigh", "eigh_tridiagonal", "hessenberg", "lu", "lu_factor", "lu_solve", "polar", "qr", "schur", "solve",
    "solve_sylvester", "svd",
]  # fmt: skip
