"""`numpy.linalg`'s names: norms, products, and what follows from the factorisations of `_factor.py`."""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy import _factor, _reflectors, _schur
from fdl.numpy._create import asarray, eye
from fdl.numpy._derived import cross as _cross
from fdl.numpy._derived import diagonal as _diagonal
from fdl.numpy._derived import trace as _trace
from fdl.numpy._math import Axis, any, axes_of, max, min, power, size_squared, sum
from fdl.numpy._shape import matmul, matrix_transpose, moveaxis, squeeze, tensordot
from fdl.numpy._shape import outer as _outer
from fdl.numpy._standard import vecdot
from fdl.ops import linear
from fdl.ops.promotion import broadcast_shapes, promote
from fdl.transforms.custom import custom_jvp


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Array:
    """The norm of vectors, of any order, or of matrices: Frobenius ("fro", the default), nuclear ("nuc"), 1, 2 and inf,
    and -1, -2 and -inf, their smallest kin.

    Without `axis` a matrix has the norm of a matrix where `ord` is given, and everything else is one vector.

    >>> import fdl.numpy as jnp
    >>> float(norm(jnp.array([3.0, 4.0])))
    5.0
    """
    (x,) = promote(asarray(x), to_float=True)
    axes = axes_of(x, axis, "norm")
    if ord is None or (ord == 2 and len(axes) == 1):
        return ops.sqrt(sum(size_squared(x), axes, keepdims=keepdims))
    if len(axes) == 2:
        return _matrix_norm(
            x, ord, tuple(axes_of(x, a, "norm")[0] for a in (axis if isinstance(axis, Sequence) else axes)), keepdims
        )
    if len(axes) != 1 or isinstance(ord, str):
        raise ShapeError(
            f"norm: ord={ord!r} over axes {axes}",
            why="one axis has norms of vectors, two have norms of matrices",
            hint="an axis, or two of them",
        )
    size = ops.absolute(x)
    if ord in (float("inf"), float("-inf")):
        return (max if ord > 0 else min)(size, axes, keepdims)
    if ord == 0:
        return sum(ops.convert(ops.not_equal(x, 0), aval_of(size).dtype), axes, keepdims=keepdims)
    return power(sum(power(size, ord), axes, keepdims=keepdims), 1 / ord)


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Array:
    if ord not in ("fro", "nuc", 1, -1, 2, -2, float("inf"), float("-inf")):
        raise ShapeError(
            f"norm: matrices have no norm of order {ord!r}", hint='"fro", "nuc", 1, 2, inf, -1, -2 or -inf'
        )
    if ord == "fro":
        return ops.sqrt(sum(size_squared(x), axes, keepdims=keepdims))
    if ord in ("nuc", 2, -2):
        s = svdvals(moveaxis(x, axes, (-2, -1)))
        out = sum(s, -1) if ord == "nuc" else (max if ord > 0 else min)(s, -1)
        return ops.expand_dims(out, axes) if keepdims else out
    inner, outer = axes if builtins.abs(ord) == 1 else axes[::-1]
    out = (max if ord > 0 else min)(sum(ops.absolute(x), inner, keepdims=True), outer, keepdims=True)
    return out if keepdims else squeeze(out, axes)


def matrix_power(a: Any, n: int) -> Array:
    """A square matrix to an integer power; a negative one is a power of the inverse.

    >>> import fdl.numpy as jnp
    >>> matrix_power(jnp.array([[1.0, 1.0], [0.0, 1.0]]), 3).tolist()
    [[1.0, 3.0], [0.0, 1.0]]
    """
    a = asarray(a)
    if n < 0:
        a, n = inv(a), -n
    out = ops.broadcast_to(eye(aval_of(a).shape[-1], dtype=aval_of(a).dtype), aval_of(a).shape)
    for bit in builtins.bin(n)[2:] if n else "":
        out = matmul(out, out)
        out = matmul(out, a) if bit == "1" else out
    return out


# What follows from factorisations; all take stacks of matrices (..., n, n)


class SVDResult(NamedTuple):
    """`U @ diag(S) @ Vh`."""

    U: Array
    S: Array
    Vh: Array


class EigResult(NamedTuple):
    """Eigenvalues and eigenvectors, in columns."""

    eigenvalues: Array
    eigenvectors: Array


class EighResult(NamedTuple):
    """Eigenvalues, smallest first, and eigenvectors as columns."""

    eigenvalues: Array
    eigenvectors: Array


class QRResult(NamedTuple):
    """An orthogonal matrix and a triangular one."""

    Q: Array
    R: Array


class SlogdetResult(NamedTuple):
    """The determinant as a sign and the logarithm of its size."""

    sign: Array
    logabsdet: Array


def _square(a: Any, what: str) -> Array:
    (x,) = promote(asarray(a), to_float=True)
    shape = x.aval.shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ShapeError(f"{what}: {x.aval.describe()} is not a square matrix")
    return x


def stacked(a: Array, b: Array) -> tuple[Array, Array]:
    """Both with the same leading axes."""
    lead = broadcast_shapes([aval_of(a).shape[:-2], aval_of(b).shape[:-2]], "linalg")
    first, second = (ops.broadcast_to(x, (*lead, *aval_of(x).shape[-2:])) for x in (a, b))
    return first, second


def solve(a: ArrayLike, b: Any) -> Array:
    """The x with `a @ x = b`, by elimination with pivots; b is a vector or a matrix.

    >>> import fdl.numpy as jnp
    >>> solve(jnp.array([[2.0, 0.0], [0.0, 4.0]]), jnp.array([2.0, 4.0])).tolist()
    [1.0, 1.0]
    """
    a = _square(a, "solve")
    a, b = promote(a, asarray(b))
    vector = aval_of(b).ndim == 1
    b = ops.expand_dims(b, (1,)) if vector else b
    if aval_of(b).shape[-2] != aval_of(a).shape[-1]:
        raise ShapeError(
            f"solve: {aval_of(a).describe()} and {aval_of(b).describe()} do not fit",
            why="a is (n, n), b is (n,) or (n, k)",
            hint="b.T, or linalg.lstsq",
        )
    x = _factor.solve(*stacked(a, b))
    return ops.reshape(x, aval_of(x).shape[:-1]) if vector else x


def solve_triangular(a: ArrayLike, b: Any, lower: bool = False, unit_diagonal: bool = False, trans: int = 0) -> Array:
    """The x with `a @ x = b` for a triangular matrix, of which the other half is not looked at; `trans=1` takes its
    transpose.

    >>> import fdl.numpy as jnp
    >>> solve_triangular(jnp.array([[1.0, 0.0], [1.0, 1.0]]), jnp.array([1.0, 3.0]), lower=True).tolist()
    [1.0, 2.0]
    """
    a = _square(a, "solve_triangular")
    a, b = promote(a, asarray(b))
    vector = aval_of(b).ndim == 1
    b = ops.expand_dims(b, (1,)) if vector else b
    a, b = stacked(a, b)
    if trans:
        a, lower = matrix_transpose(a), not lower
    x = _factor.solve_triangular(a, b, lower, unit_diagonal)
    return ops.reshape(x, aval_of(x).shape[:-1]) if vector else x


def inv(a: ArrayLike) -> Array:
    """The inverse.

    >>> import fdl.numpy as jnp
    >>> inv(jnp.array([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    a = _square(a, "inv")
    n = aval_of(a).shape[-1]
    return _factor.solve(*stacked(a, eye(n, dtype=aval_of(a).dtype)))


def slogdet(a: ArrayLike, *, method: str | None = None) -> SlogdetResult:
    """Sign and logarithm of the size of the determinant, by LU factors, whatever `method` says.

    >>> import fdl.numpy as jnp
    >>> [float(v) for v in slogdet(jnp.array([[0.0, 1.0], [1.0, 0.0]]))]
    [-1.0, 0.0]
    """
    return SlogdetResult(*_factor.slogdet(_square(a, "slogdet")))


def det(a: ArrayLike) -> Array:
    """The determinant.

    >>> import fdl.numpy as jnp
    >>> float(det(jnp.array([[2.0, 0.0], [0.0, 4.0]])))
    8.0
    """
    return _factor.det(_square(a, "det"))


def cholesky(a: ArrayLike, upper: bool = False, symmetrize_input: bool = True) -> Array:
    """The lower triangular L with `a = L @ L.T`, of complex ones `L @ L.T.conj()`; NaN where the matrix is not positive
    definite.

    Of a matrix that is not symmetric, or Hermitian, that part is taken, or, without `symmetrize_input`, the lower
    triangle.

    >>> import fdl.numpy as jnp
    >>> cholesky(jnp.array([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    a = _square(a, "cholesky")
    lower = _factor.cholesky(linear.symmetric_part(a) if symmetrize_input else a)
    return linear.adjoint(lower) if upper else lower


@overload
def qr(a: Any, mode: Literal["reduced", "complete"] = "reduced") -> QRResult: ...
@overload
def qr(a: Any, mode: Literal["r"]) -> Array: ...
def qr(a: Any, mode: str = "reduced") -> QRResult | Array:
    """An orthogonal and an upper triangular factor; mode is "reduced", "complete" or "r".

    >>> import fdl.numpy as jnp
    >>> q, r = qr(jnp.array([[3.0, 1.0], [4.0, 2.0]]))
    >>> round(abs(float(r[0, 0])), 4)
    5.0
    """
    (a,) = promote(asarray(a), to_float=True)
    if mode not in ("reduced", "complete", "r"):
        raise ShapeError(f"qr: mode {mode!r}", hint='"reduced", "complete" or "r"')
    factors = _reflectors.qr if dtypes.is_complex(aval_of(a).dtype) else _factor.qr
    q, r = factors(a, mode == "complete")
    return r if mode == "r" else QRResult(q, r)


def eigh(a: ArrayLike, UPLO: str = "L", symmetrize_input: bool = True) -> EighResult:
    """Eigenvalues, smallest first, and eigenvectors of a symmetric matrix, or a Hermitian one.

    Of a matrix that is neither the symmetric part is taken, or, without `symmetrize_input`, the triangle that
    `UPLO` names, "L" or "U".

    >>> import fdl.numpy as jnp
    >>> [round(float(v), 4) for v in eigh(jnp.array([[2.0, 1.0], [1.0, 2.0]])).eigenvalues]
    [1.0, 3.0]
    """
    if UPLO not in ("L", "U"):
        raise ShapeError(f"eigh: UPLO is {UPLO!r}", hint='"L" or "U"')
    a = _square(a, "eigh")
    whole = linear.symmetric_part(a) if symmetrize_input else _factor.symmetric(a, UPLO == "L")
    return EighResult(*(_reflectors if dtypes.is_complex(aval_of(a).dtype) else _factor).eigh(whole))


def eigvalsh(a: ArrayLike, UPLO: str = "L", *, symmetrize_input: bool = True) -> Array:
    """Eigenvalues of a symmetric matrix, smallest first; arguments as of `eigh`.

    >>> import fdl.numpy as jnp
    >>> [round(float(v), 4) for v in eigvalsh(jnp.array([[2.0, 1.0], [1.0, 2.0]]))]
    [1.0, 3.0]
    """
    return eigh(a, UPLO, symmetrize_input).eigenvalues


def eig(a: ArrayLike) -> EigResult:
    """Eigenvalues, in no order, and eigenvectors of length 1 in columns, of any square matrix: both complex. The
    largest element of a vector is real. NaN where an element is not finite.

    >>> import fdl.numpy as jnp
    >>> eig(jnp.array([[0.0, 1.0], [-1.0, 0.0]])).eigenvalues.imag.round(4).tolist()
    [1.0, -1.0]
    """
    return EigResult(*_schur.eig(_as_complex(_square(a, "eig"))))


def eigvals(a: ArrayLike) -> Array:
    """Eigenvalues of any square matrix, complex, in no order.

    >>> import fdl.numpy as jnp
    >>> eigvals(jnp.array([[2.0, 1.0], [0.0, 3.0]])).real.tolist()
    [2.0, 3.0]
    """
    return _schur.eig(_as_complex(_square(a, "eigvals")))[0]


def _as_complex(a: Array) -> Array:
    return a if dtypes.is_complex(aval_of(a).dtype) else ops.join(a, ops.mul(a, 0))


@overload
def svd(a: Any, full_matrices: bool = True, compute_uv: Literal[True] = True, hermitian: bool = False) -> SVDResult: ...
@overload
def svd(a: Any, full_matrices: bool = True, *, compute_uv: Literal[False], hermitian: bool = False) -> Array: ...
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> SVDResult | Array:
    """Singular values, largest first, with their vectors. `hermitian` says that matrices are symmetric, and changes
    nothing.

    >>> import fdl.numpy as jnp
    >>> svd(jnp.array([[3.0, 0.0], [0.0, 4.0]])).S.tolist()
    [4.0, 3.0]
    """
    (a,) = promote(asarray(a), to_float=True)
    if dtypes.is_complex(aval_of(a).dtype):
        u, s, vt = _reflectors.svd(a, full_matrices and compute_uv)
        return SVDResult(u, s, vt) if compute_uv else s
    u, s, vt = _factor.svd(a)
    if not compute_uv:
        return s
    if full_matrices:
        u, vt = _factor.completed(u), matrix_transpose(_factor.completed(matrix_transpose(vt)))
    return SVDResult(u, s, vt)


def svdvals(a: ArrayLike) -> Array:
    """Singular values, largest first.

    >>> import fdl.numpy as jnp
    >>> svdvals(jnp.array([[3.0, 0.0], [0.0, 4.0]])).tolist()
    [4.0, 3.0]
    """
    return svd(a, compute_uv=False)


def _tolerance(a: Any, rtol: ArrayLike | None) -> ArrayLike:
    """The share of the largest singular value up to which others count as zero: by default the machine epsilon times
    the larger size.
    """
    return builtins.max(aval_of(a).shape[-2:]) * float(np.finfo(aval_of(a).dtype).eps) if rtol is None else rtol


def _kept(a: Any, s: Any, rtol: Any) -> Array:
    """Which singular values `s` of matrices `a` count: those above `rtol` times the largest one."""
    rtol = _tolerance(a, rtol)
    return ops.greater(s, ops.broadcast_to(ops.mul(max(s, -1, keepdims=True, initial=0), rtol), aval_of(s).shape))


def _reciprocals(s: Any, kept: Any) -> Array:
    return ops.select(kept, ops.div(1.0, ops.select(kept, s, 1)), 0)


def pinv(a: Any, rtol: Any = None, hermitian: bool = False, *, rcond: Any = None) -> Array:
    """The inverse of Moore and Penrose, of singular values above `rtol` times the largest one; `rcond` is its old name.

    >>> import fdl.numpy as jnp
    >>> pinv(jnp.array([[2.0], [0.0]])).tolist()
    [[0.5, 0.0]]
    """
    (a,) = promote(asarray(a), to_float=True)
    return _pinv(a, _tolerance(a, rcond if rtol is None else rtol))


@custom_jvp
def _pinv(a: Any, rtol: Any) -> Array:
    u, s, vt = svd(a, full_matrices=False)
    inverse = ops.expand_dims(_reciprocals(s, _kept(a, s, rtol)), (aval_of(s).ndim - 1,))
    return matmul(ops.mul(linear.adjoint(vt), inverse), linear.adjoint(u))


@_pinv.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    """Golub and Pereyra, 1973, equation 4.12: singular vectors, whose values may be equal, need no derivatives."""
    (a, rtol), (da, _) = primals, tangents
    p, back = _pinv(a, rtol), linear.adjoint(da)
    inside = matmul(matmul(p, linear.adjoint(p)), ops.sub(back, matmul(matmul(back, a), p)))
    outside = matmul(ops.sub(back, matmul(matmul(p, a), back)), matmul(linear.adjoint(p), p))
    return p, ops.sub(ops.add(inside, outside), matmul(matmul(p, da), p))


def matrix_rank(M: Any, rtol: Any = None, *, hermitian: bool = False, tol: Any = None) -> Array:
    """Number of singular values that are not zero: above `rtol` times the largest one, or above `tol`.

    >>> import fdl.numpy as jnp
    >>> int(matrix_rank(jnp.ones((3, 3))))
    1
    """
    (M,) = promote(asarray(M), to_float=True)
    if aval_of(M).ndim < 2:
        return sum(ops.convert(any(ops.not_equal(M, 0)), int))
    s = svdvals(M)
    return sum(_kept(M, s, rtol) if tol is None else ops.greater(s, tol), -1)


def lstsq(a: Any, b: Any, rcond: Any = None, *, numpy_resid: bool = False) -> tuple[Array, Array, Array, Array]:
    """The shortest x for which `a @ x - b` is shortest, the squared lengths of these residuals, the rank of `a`, and
    its singular values.

    `a` is (m, n), `b` (m,) or (m, k). Singular values below `rcond` times the largest one count as zero; by default
    `rcond` is the machine epsilon times the larger size. With `numpy_resid` there are no residuals where the rank is
    below n or the system has a solution, which needs to know the rank.

    >>> import fdl.numpy as jnp
    >>> x, residuals, rank, s = lstsq(jnp.array([[1.0], [1.0]]), jnp.array([1.0, 3.0]))
    >>> round(float(x[0]), 4), round(float(residuals[0]), 4), int(rank)
    (2.0, 2.0, 1)
    """
    a, b = promote(asarray(a), asarray(b), to_float=True)
    if aval_of(a).ndim != 2 or aval_of(b).ndim not in (1, 2) or aval_of(a).shape[0] != aval_of(b).shape[0]:
        raise ShapeError(
            f"lstsq: {aval_of(a).describe()} and {aval_of(b).describe()} do not fit",
            why="a is (m, n), b is (m,) or (m, k)",
        )
    vector = aval_of(b).ndim == 1
    (m, n), b = aval_of(a).shape, ops.expand_dims(b, (1,)) if vector else b
    u, s, vt = svd(a, full_matrices=False)
    kept = _kept(a, s, rcond)
    inverse = ops.expand_dims(_reciprocals(s, kept), (1,))
    x = matmul(linear.adjoint(vt), ops.mul(inverse, matmul(linear.adjoint(u), b)))
    rank = sum(kept, -1)
    residuals = sum(size_squared(ops.sub(b, matmul(a, x))), 0)
    if numpy_resid and (m <= n or int(rank) < n):
        residuals = residuals[:0]
    return ops.reshape(x, (n,)) if vector else x, residuals, rank, s


def cond(x: ArrayLike, p: ArrayLike | None = None) -> Array:
    """The condition number.

    >>> import fdl.numpy as jnp
    >>> float(cond(jnp.array([[4.0, 0.0], [0.0, 2.0]])))
    2.0
    """
    if p in (None, 2):
        s = svdvals(x)
        return ops.div(max(s, -1), min(s, -1))
    return ops.mul(norm(x, p, (-2, -1)), norm(inv(x), p, (-2, -1)))


def multi_dot(arrays: Sequence[Any], *, precision: Any = None) -> Array:
    """The product of several matrices, in the cheapest order (Cormen et al., chapter 15).

    >>> import fdl.numpy as jnp
    >>> multi_dot([jnp.ones((2, 3)), jnp.ones((3, 4)), jnp.ones((4, 5))]).shape
    (2, 5)
    """
    xs = [asarray(x) for x in arrays]
    first, last = aval_of(xs[0]).ndim == 1, aval_of(xs[-1]).ndim == 1
    if first:
        xs[0] = ops.expand_dims(xs[0], (0,))
    if last:
        xs[-1] = ops.expand_dims(xs[-1], (1,))
    sizes = [*[aval_of(x).shape[0] for x in xs], aval_of(xs[-1]).shape[1]]

    @functools.cache
    def best(i: int, j: int) -> tuple[int, int]:
        if i == j:
            return 0, i
        return builtins.min(
            (best(i, k)[0] + best(k + 1, j)[0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
        )

    def product(i: int, j: int) -> Array:
        return xs[i] if i == j else matmul(product(i, best(i, j)[1]), product(best(i, j)[1] + 1, j))

    out = product(0, len(xs) - 1)
    shape = aval_of(out).shape
    return ops.reshape(out, shape[1 if first else 0 : 1 if last else 2])


# What NumPy also has here


def vector_norm(x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """The norm of vectors along an axis, or of all elements over several axes or none.

    >>> float(vector_norm(asarray([3.0, 4.0])))
    5.0
    """
    (x,) = promote(asarray(x), to_float=True)
    axes = axes_of(x, axis, "vector_norm")
    if len(axes) == 1:
        return norm(x, ord, axes[0], keepdims)
    kept = [i for i in range(aval_of(x).ndim) if i not in axes]
    shape = aval_of(x).shape
    flat = ops.reshape(ops.transpose(x, (*kept, *axes)), (*(shape[i] for i in kept), math.prod(shape[i] for i in axes)))
    out = norm(flat, ord, -1)
    return ops.expand_dims(out, axes) if keepdims else out


def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """The norm of matrices in the last two axes.

    >>> float(matrix_norm(asarray([[3.0, 0.0], [0.0, 4.0]])))
    5.0
    """
    return norm(x, ord, (-2, -1), keepdims)


def outer(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """All products of elements of two vectors.

    >>> outer(asarray([1, 2]), asarray([3])).tolist()
    [[3], [6]]
    """
    x, y = asarray(x1), asarray(x2)
    if aval_of(x).ndim != 1 or aval_of(y).ndim != 1:
        raise ShapeError(f"linalg.outer: {aval_of(x).describe()} and {aval_of(y).describe()} are no vectors")
    return _outer(x, y)


def cross(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Array:
    """Vector products along an axis of size 3.

    >>> cross(asarray([1, 0, 0]), asarray([0, 1, 0])).tolist()
    [0, 0, 1]
    """
    x, y = asarray(x1), asarray(x2)
    if aval_of(x).shape[axis] != 3 or aval_of(y).shape[axis] != 3:
        raise ShapeError(f"linalg.cross: {aval_of(x).describe()} and {aval_of(y).describe()}", hint="vectors of size 3")
    return _cross(x, y, axis=axis)


def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Array:
    """The diagonal of the last two axes.

    >>> diagonal(asarray([[1, 2], [3, 4]])).tolist()
    [1, 4]
    """
    return _diagonal(x, offset, -2, -1)


def trace(x: ArrayLike, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """The sum of the diagonal of the last two axes.

    >>> int(trace(asarray([[1, 2], [3, 4]])))
    5
    """
    return _trace(x, offset, -2, -1, dtype)


def tensorinv(a: ArrayLike, ind: int = 2) -> Array:
    """The inverse of `tensordot` with `a`, whose first `ind` axes have as many elements as the others.

    >>> tensorinv(2 * eye(4).reshape(2, 2, 2, 2)).shape
    (2, 2, 2, 2)
    """
    x = asarray(a)
    shape = aval_of(x).shape
    n = math.prod(shape[ind:])
    if ind <= 0 or math.prod(shape[:ind]) != n:
        raise ShapeError(f"tensorinv: {aval_of(x).describe()} with ind={ind} is no square matrix")
    return ops.reshape(inv(ops.reshape(x, (n, n))), (*shape[ind:], *shape[:ind]))


def tensorsolve(a: ArrayLike, b: ArrayLike, axes: Sequence[int] | None = None) -> Array:
    """The x for which `tensordot(a, x, x.ndim)` is `b`; `axes` of `a` are moved behind the others first.

    >>> tensorsolve(2 * eye(4).reshape(2, 2, 2, 2), asarray([[2.0, 4.0], [6.0, 8.0]])).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    x, y = asarray(a), asarray(b)
    if axes is not None:
        x = moveaxis(x, tuple(axes), tuple(range(aval_of(x).ndim - len(axes), aval_of(x).ndim)))
    n, shape = aval_of(y).size, aval_of(x).shape[aval_of(y).ndim :]
    if aval_of(x).size != n * n or math.prod(shape) != n:
        raise ShapeError(f"tensorsolve: {aval_of(x).describe()} is no square matrix for {aval_of(y).describe()}")
    return ops.reshape(solve(ops.reshape(x, (n, n)), ops.reshape(y, (n,))), shape)


__all__ = [
    "EigResult", "EighResult", "QRResult", "SVDResult", "SlogdetResult", "cholesky", "cond", "det", "eig", "eigh",
    "eigvals", "eigvalsh", "inv", "lstsq", "matrix_power", "matrix_rank",
    "cross", "diagonal", "matmul", "matrix_norm", "matrix_transpose", "outer", "tensordot", "tensorinv",
    "tensorsolve", "trace", "vecdot", "vector_norm",
    "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals",
]  # fmt: skip
