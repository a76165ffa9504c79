"""Factorisations of stacks of matrices: triangular systems, LU, Cholesky, QR, eigenvalues of symmetric matrices,
singular values.

Each is a routine that works on one matrix; its reference is NumPy's, or a loop over columns.
Vectors that are free up to a sign have a largest element that is positive, so that there is one answer. Derivatives are
those of Giles, 2008 ("Collected matrix derivative results for forward and reverse mode algorithmic differentiation"),
of LU and QR those of Walter and Lehmann, 2010 ("Algorithmic differentiation of linear algebra functions").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import ShapedArray
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast, broadcast_to, match, reduce_sum, transpose
from fdl.ops.complexes import conj, join, real
from fdl.ops.dot import dot_general
from fdl.ops.elementwise import add, div, equal, greater, greater_equal, mul, neg, quotient_of_parts, select, sub
from fdl.ops.factor_loops import eliminated, lower_factor, reflected, solved
from fdl.ops.indexing import batch_all, gather
from fdl.ops.interleaved import gathered, spread, stacked, taken
from fdl.ops.parts import Parts, joined
from fdl.ops.routines import ROUTINES, Routine
from fdl.ops.sample import Sample, c64, f32, f64, i32, of
from fdl.ops.shape import iota, slice_in_dim
from fdl.ops.spectrum_loops import eigenpairs, singular_triplets
from fdl.ops.vocabulary import Value, Vocabulary

_STEP = 300_000  # multiplications that take as long as a step of a loop over columns in Python
Matrix = np.ndarray[Any, Any]

# Matrices


def matmul(a: ArrayLike, b: ArrayLike) -> Array:
    """Products of stacks of matrices."""
    n = aval_of(a).ndim
    lead = tuple(range(n - 2))
    return dot_general(a, b, (((n - 1,), (n - 2,)), (lead, lead)))


def turned(a: Array) -> Array:
    """Transposed matrices."""
    n = aval_of(a).ndim
    return transpose(a, (*range(n - 2), n - 1, n - 2))


def triangle(a: ArrayLike, lower: bool, strict: bool = False) -> Array:
    """One triangle of matrices, the rest zero."""
    shape = aval_of(a).shape
    i, j = iota(shape, len(shape) - 2), iota(shape, len(shape) - 1)
    return select((greater if strict else greater_equal)(*((i, j) if lower else (j, i))), a, 0)


def adjoint(a: Any) -> Array:
    """Conjugates of transposed matrices."""
    conjugates: Any = conj(a)
    return turned(conjugates)


def on_diagonal(a: Any) -> Array:
    """Where elements are on the diagonal."""
    shape = aval_of(a).shape
    return equal(iota(shape, len(shape) - 2), iota(shape, len(shape) - 1))


def diagonal(a: ArrayLike) -> Array:
    """The diagonals of matrices."""
    return reduce_sum(select(on_diagonal(a), a, 0), (aval_of(a).ndim - 1,))


def identity(a: ArrayLike) -> Array:
    """Identity matrices as large as these."""
    one = broadcast_to(1, aval_of(a).shape)
    return select(on_diagonal(a), match(one, aval_of(a)), 0)


def across(v: ArrayLike, like: ArrayLike) -> Array:
    """(..., columns) as a row of each matrix."""
    n = aval_of(like).ndim
    return broadcast(v, aval_of(like).shape, (*range(n - 2), n - 1))


def down(v: ArrayLike, like: ArrayLike) -> Array:
    """(..., rows) as a column of each matrix."""
    return broadcast(v, aval_of(like).shape, range(aval_of(like).ndim - 1))


def hermitian(a: Any, lower: bool) -> Array:
    """Symmetric, or Hermitian, matrices with these triangles: imaginary parts on the diagonal are not looked at."""
    below = triangle(a, lower, strict=True)
    middle = select(on_diagonal(a), join(real(a), 0) if dtypes.is_complex(aval_of(a).dtype) else a, 0)
    return add(add(below, adjoint(below)), middle)


def symmetric_part(a: Array) -> Array:
    """The mean of matrices and their transposed, for complex ones adjoint ones."""
    return mul(add(a, adjoint(a)), 0.5)


_REAL = (dtypes.float32, dtypes.float64)


def _check(
    what: str, *xs: ShapedArray, square: bool = True, takes: tuple[dtypes.DType, ...] = (*_REAL, *dtypes.COMPLEX)
) -> None:
    for x in xs:
        if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
            raise ShapeError(
                f"{what}: {x.describe()} is no {'square matrix' if square else 'matrix'}, nor a stack of them"
            )
        if x.dtype not in takes:
            names = ", ".join(d.name for d in takes)
            raise DtypeError(f"{what}: {x.describe()}", why=f"it takes {names}", hint="x.astype(float32)")


def _each(f: Callable[..., Sequence[Matrix]], *stacks: Matrix) -> list[Matrix]:
    """A function of single matrices for stacks of them."""
    lead = stacks[0].shape[:-2]
    count = math.prod(lead)
    if count == 0:
        made = f(*(np.ones(x.shape[-2:], x.dtype) for x in stacks))
        return [np.zeros((*lead, *np.shape(y)), np.asarray(y).dtype) for y in made]
    parts = [f(*group) for group in zip(*(x.reshape(count, *x.shape[-2:]) for x in stacks), strict=True)]
    return [np.stack(made).reshape((*lead, *np.shape(made[0]))) for made in zip(*parts, strict=True)]


def _stacked(primitive: Primitive, count: int) -> Callable[..., tuple[Any, Any]]:
    """The batch rule of what works on stacks."""
    return lambda axis, args, batched, **params: (
        primitive.bind(*batch_all(axis, args, batched), **params),
        [True] * count if primitive.multiple_results else True,
    )


# triangular_solve


def triangular_solve(a: ArrayLike, b: ArrayLike, lower: bool, transposed: bool = False, unit: bool = False) -> Array:
    """The x with `op(a) @ x = b`, where op takes one triangle of `a`, with ones on its diagonal for `unit`, and then
    transposes it or not.

    >>> import fdl.numpy as jnp
    >>> triangular_solve(jnp.array([[2.0, 9.0], [1.0, 4.0]]), jnp.array([[2.0], [9.0]]), lower=True).tolist()
    [[1.0], [2.0]]
    """
    return triangular_solve_p.bind(a, b, lower=lower, transposed=transposed, unit=unit)


def _triangular_shape(a: ShapedArray, b: ShapedArray, *, lower: bool, transposed: bool, unit: bool) -> ShapedArray:
    _check("triangular_solve", a)
    _check("triangular_solve", b, square=False)
    if a.shape[:-1] != b.shape[:-1] or a.dtype != b.dtype:
        raise ShapeError(
            f"triangular_solve: {a.describe()} and {b.describe()} do not fit",
            why="right-hand sides have as many rows, in stacks of the same shape and dtype",
        )
    return b.update(weak_type=False)


def _triangular_impl(a: Matrix, b: Matrix, *, lower: bool, transposed: bool, unit: bool) -> np.ndarray[Any, Any]:
    m = np.swapaxes(a, -1, -2) if transposed else a
    n, x = a.shape[-1], b.copy()
    down_ = lower != transposed
    for k in range(n) if down_ else reversed(range(n)):
        known = slice(0, k) if down_ else slice(k + 1, n)
        x[..., k, :] -= (m[..., k : k + 1, known] @ x[..., known, :])[..., 0, :]
        if not unit:
            x[..., k, :] /= m[..., k, k, None]
    return x


def _triangular_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    (a, b), (da, db) = primals, tangents
    x = triangular_solve_p.bind(a, b, **params)
    right = None if type(db) is Zero else match(db, aval_of(b))
    if type(da) is not Zero:
        part = triangle(match(da, aval_of(a)), params["lower"], strict=params["unit"])
        change = neg(matmul(turned(part) if params["transposed"] else part, x))
        right = change if right is None else add(right, change)
    return x, Zero(aval_of(x)) if right is None else triangular_solve_p.bind(a, right, **params)


def _triangular_transpose(ct: Any, operands: Any, *, lower: bool, transposed: bool, unit: bool) -> list[Any]:
    a, b = operands
    return [None, triangular_solve(a, ct, lower, not transposed, unit) if is_linear(b) else None]


def _triangular_lower(b: Vocabulary, a: Value, right: Value, **params: bool) -> Value:
    n, m = right.shape[-2:]
    (x,) = b.routine(
        "triangular_solve", len(a.shape) - 2, [a, right], [((n, m), right.dtype)],
        (n, m, *(int(params[k]) for k in ("lower", "transposed", "unit"))),
        lambda: [solved(b, a, right, **params)],
    )  # fmt: skip
    return x


def _triangular_parts(a: Parts, b: Parts, *, lower: bool, transposed: bool, unit: bool) -> Parts:
    """Rows are divided by the diagonal: triangles whose diagonal is real stay triangles (`spread`)."""
    if not unit:
        over = Parts(diagonal(a.re), diagonal(a.im))
        a = quotient_of_parts(a, Parts(*(down(part, a.re) for part in over)))
        over = Parts(*(down(part, b.re) for part in over))
        b = b if transposed else quotient_of_parts(b, over)
    a = Parts(a.re, select(on_diagonal(a.im), 0, neg(a.im) if transposed else a.im))
    block = spread(a)  # transposed, it is that of the conjugate
    x = taken(triangular_solve(block, stacked(b), lower, transposed, unit=True))
    return quotient_of_parts(x, over) if transposed and not unit else x


ROUTINES["triangular_solve"] = Routine(
    lambda a, x, n, m, lower, transposed, unit: [
        _triangular_impl(
            a.reshape(n, n), x.reshape(n, m), lower=bool(lower), transposed=bool(transposed), unit=bool(unit)
        )
    ],
    lambda n, m, *_: n * n * m // 8 + n * n,
)

triangular_solve_p: Primitive = Primitive("triangular_solve")
triangular_solve_p.define(
    shape=_triangular_shape,
    impl=_triangular_impl,
    jvp=_triangular_jvp,
    transpose=_triangular_transpose,
    batch=_stacked(triangular_solve_p, 1),
    lower=_triangular_lower,
    parts=_triangular_parts,
    work=lambda avals, **_: _STEP * avals[0].shape[-1],
    samples=[
        Sample((f32(3, 3, low=1), f32(3, 2)), {"lower": True, "transposed": False, "unit": False}),
        Sample((f32(2, 4, 4, low=1), f32(2, 4, 1)), {"lower": False, "transposed": False, "unit": False}),
        Sample((f64(4, 4, low=-0.5, high=0.5), f64(4, 5)), {"lower": True, "transposed": True, "unit": True}),
        Sample((c64(3, 3, low=1), c64(3, 2)), {"lower": True, "transposed": False, "unit": False}),
        Sample((c64(2, 3, 3, low=1), c64(2, 3, 1)), {"lower": False, "transposed": True, "unit": False}),
        Sample((c64(4, 4, low=-0.5, high=0.5), c64(4, 2)), {"lower": True, "transposed": True, "unit": True}),
        Sample((f32(3, 3, low=1), f32(3, 1)), {"lower": False, "transposed": True, "unit": False}),
        Sample((f32(3, 2), f32(3, 1)), {"lower": False, "transposed": True, "unit": False}, fails=ShapeError),
        Sample((i32(3, 3), i32(3, 1)), {"lower": False, "transposed": True, "unit": False}, fails=DtypeError),
    ],
).register()


# lu


def lu(a: ArrayLike) -> tuple[Array, Array, Array]:
    """Both triangles in one matrix (L has ones on its diagonal), the order of the rows (int32), and its sign; pivots
    are the largest elements of their columns, of complex ones those with the largest sum of sizes of their parts.

    >>> import fdl.numpy as jnp
    >>> [part.tolist() for part in lu(jnp.array([[1.0, 4.0], [2.0, 2.0]]))]
    [[[2.0, 2.0], [0.5, 3.0]], [1, 0], -1.0]
    """
    both, order, sign = lu_p.bind_all(a)
    return both, order, sign


def _lu_shape(*parts: ShapedArray) -> list[ShapedArray]:
    """Of matrices, or of the real and the imaginary parts of complex ones."""
    _check("lu", *parts)
    a = parts[0].update(weak_type=False)
    sign = a.update(shape=a.shape[:-2], dtype=dtypes.real_dtype(a.dtype))
    return [a] * len(parts) + [a.update(shape=a.shape[:-1], dtype=dtypes.int32), sign]


def _lu_of(a: Matrix) -> list[Matrix]:
    a, n = a.copy(), a.shape[-1]
    order, sign = np.arange(n, dtype=np.int32), a.real.dtype.type(1)
    for k in range(n):
        size = np.abs(a[k:, k].real) + np.abs(a[k:, k].imag)
        p = k + int(np.argmax(size))
        if p != k:
            a[[k, p]], order[[k, p]], sign = a[[p, k]], order[[p, k]], -sign
        a[k + 1 :, k] /= a[k, k] if a[k, k] != 0 else 1
        a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])
    return [a, order, np.asarray(sign)]


def _lu_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a,), (da,) = primals, tangents
    both, order, sign = lu_p.bind_all(a)
    shape = aval_of(a).shape
    rows = broadcast(order, shape, range(len(shape) - 1))
    lead = [iota(shape, k) for k in range(len(shape) - 2)]
    moved = gather(match(da, aval_of(a)), [*lead, rows, iota(shape, len(shape) - 1)], range(len(shape)))
    inner = triangular_solve(both, moved, True, unit=True)
    inner = turned(triangular_solve(both, turned(inner), False, transposed=True))  # inv(L) @ da @ inv(U)
    lower = add(triangle(both, True, strict=True), identity(both))
    tangent = add(
        matmul(lower, triangle(inner, True, strict=True)), matmul(triangle(inner, False), triangle(both, False))
    )
    return [both, order, sign], [tangent, Zero(aval_of(order)), Zero(aval_of(sign))]


def _lu_lower(b: Vocabulary, *parts: Value) -> list[Value]:
    if len(parts) == 2:
        return eliminated(b, parts)
    (a,) = parts
    n = a.shape[-1]
    results = [((n, n), a.dtype), ((n,), dtypes.int32), ((), a.dtype)]
    return b.routine("lu", len(a.shape) - 2, [a], results, (n,), lambda: eliminated(b, parts))


def _lu_parts(z: Parts) -> list[Any]:
    re, im, order, sign = lu_p.bind_all(z.re, z.im)
    return [Parts(re, im), order, sign]


def _lu_impl(*parts: Matrix) -> list[Matrix]:
    both, *rest = _each(_lu_of, joined(*parts) if len(parts) == 2 else parts[0])
    return [both.real, both.imag, *rest] if len(parts) == 2 else [both, *rest]


ROUTINES["lu"] = Routine(lambda a, n: _lu_of(a.reshape(n, n)), lambda n: n**3 // 8 + n * n)

lu_p: Primitive = Primitive("lu", multiple_results=True)
lu_p.define(
    shape=_lu_shape,
    impl=_lu_impl,
    jvp=_lu_jvp,
    batch=_stacked(lu_p, 3),
    lower=_lu_lower,
    parts=_lu_parts,
    work=lambda avals, **_: _STEP * math.prod(avals[0].shape[:-1]),
    samples=[
        Sample((f32(4, 4),)),
        Sample((f64(2, 3, 3),)),
        Sample((f32(1, 1, low=1),)),
        Sample((f64(37, 37),)),
        Sample((c64(4, 4),)),
        Sample((of("complex128", 2, 3, 3),)),
        Sample((f32(2, 3),), fails=ShapeError),
    ],
).register()


# cholesky


def cholesky(a: ArrayLike) -> Array:
    """The lower factor of the symmetric, or Hermitian, matrix whose lower triangle is given; NaN where it is not
    positive.

    >>> import fdl.numpy as jnp
    >>> cholesky(jnp.array([[4.0, 0.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    return cholesky_p.bind(a)


def _cholesky_shape(a: ShapedArray) -> ShapedArray:
    _check("cholesky", a)
    return a.update(weak_type=False)


def _cholesky_impl(a: Matrix) -> Matrix:
    out = np.zeros_like(a)
    for k in range(a.shape[-1]):
        rest = a[..., k:, k] - (out[..., k:, :k] @ out[..., k, :k, None].conj())[..., 0]
        root = np.sqrt(rest[..., :1].real)
        out[..., k, k] = root[..., 0]
        out[..., k + 1 :, k] = rest[..., 1:] / root
    return out


def cholesky_tangent(lower: Any, da: Any) -> Array:
    """How the factor moves with the symmetric, or Hermitian, `da`."""
    inner = triangular_solve(lower, da, True)
    inner = triangular_solve(lower, adjoint(inner), True)  # inv(L) @ da @ inv(L).H, and its own adjoint
    half = select(on_diagonal(inner), mul(inner, 0.5), triangle(inner, True))
    return matmul(lower, half)


def _cholesky_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    return (lower := cholesky_p.bind(*primals)), cholesky_tangent(lower, hermitian(tangents[0], True))


def _cholesky_lower(b: Vocabulary, a: Value) -> Value:
    n = a.shape[-1]
    return b.routine("cholesky", len(a.shape) - 2, [a], [((n, n), a.dtype)], (n,), lambda: [lower_factor(b, a)])[0]


def _cholesky_parts(z: Parts) -> Parts:
    return gathered(cholesky(spread(Parts(z.re, select(on_diagonal(z.im), 0, z.im)))))


ROUTINES["cholesky"] = Routine(lambda a, n: [_cholesky_impl(a.reshape(n, n))], lambda n: n**3 // 16 + n * n)

_POSITIVE = np.array([[4.0, 1.0, -0.5], [1.0, 3.0, 0.3], [-0.5, 0.3, 2.0]], np.float32)
cholesky_p: Primitive = Primitive("cholesky")
cholesky_p.define(
    shape=_cholesky_shape,
    impl=_cholesky_impl,
    jvp=_cholesky_jvp,
    batch=_stacked(cholesky_p, 1),
    lower=_cholesky_lower,
    parts=_cholesky_parts,
    work=lambda avals, **_: _STEP * avals[0].shape[-1],
    samples=[
        Sample((_POSITIVE,)),
        Sample((np.stack([_POSITIVE, 2 * _POSITIVE]).astype(np.float64),)),
        Sample((_POSITIVE + 1j * np.tril(_POSITIVE, -1),)),
        Sample((f32(2, 3),), fails=ShapeError),
    ],
).register()


# qr


def qr(a: ArrayLike, complete: bool = False) -> tuple[Array, Array]:
    """Orthonormal columns and an upper triangle, by reflections: as many columns as the smaller size, or as rows.

    >>> import fdl.numpy as jnp
    >>> q, r = qr(jnp.array([[3.0, 1.0], [4.0, 7.0]]))
    >>> bool(jnp.allclose(q @ r, jnp.array([[3.0, 1.0], [4.0, 7.0]]), atol=1e-6)), float(r[0, 0])
    (True, -5.0)
    """
    q, r = qr_p.bind_all(a, complete=complete)
    return q, r


def _qr_columns(shape: Sequence[int], complete: bool) -> int:
    return shape[-2] if complete else min(shape[-2:])


def _qr_shape(a: ShapedArray, *, complete: bool) -> list[ShapedArray]:
    _check("qr", a, square=False, takes=_REAL)
    *lead, m, n = a.shape
    k = _qr_columns(a.shape, complete)
    a = a.update(weak_type=False)
    return [a.update(shape=(*lead, m, k)), a.update(shape=(*lead, k, n))]


def _qr_of(a: Matrix, complete: bool) -> list[Matrix]:
    q, r = np.linalg.qr(a, "complete" if complete else "reduced")
    return [q, r]


def _qr_jvp(primals: Any, tangents: Any, *, complete: bool) -> tuple[Any, Any]:
    (a,), (da,) = primals, tangents
    m, n = aval_of(a).shape[-2:]
    if complete and m > n:
        raise ShapeError(
            f"qr: the derivative of complete columns of {aval_of(a).describe()}",
            why="columns beyond those of the matrix are free to turn",
            hint="the reduced mode",
        )
    q, r = qr_p.bind_all(a, complete=complete)
    last, da = aval_of(a).ndim - 1, match(da, aval_of(a))
    if m < n:  # the left block gives Q, the rest follows
        dq, _ = _qr_tangents(q, slice_in_dim(r, 0, m, last), slice_in_dim(da, 0, m, last))
        return [q, r], [dq, add(matmul(turned(dq), a), matmul(turned(q), da))]
    return [q, r], list(_qr_tangents(q, r, da))


def _qr_tangents(q: Any, r: Any, da: Any) -> tuple[Any, Any]:
    over = turned(triangular_solve(r, turned(da), False, transposed=True))  # da @ inv(r)
    inner = matmul(turned(q), over)
    below = triangle(inner, True, strict=True)
    turn = sub(below, turned(below))
    return add(matmul(q, sub(turn, inner)), over), matmul(sub(inner, turn), r)


def _qr_lower(b: Vocabulary, a: Value, *, complete: bool) -> list[Value]:
    m, n = a.shape[-2:]
    k = _qr_columns(a.shape, complete)
    results = [((m, k), a.dtype), ((k, n), a.dtype)]
    return b.routine("qr", len(a.shape) - 2, [a], results, (m, n, k), lambda: reflected(b, a, k))


ROUTINES["qr"] = Routine(
    lambda a, m, n, k: _qr_of(a.reshape(m, n), k > min(m, n)), lambda m, n, k: m * n * (n + k) // 4 + m * k
)

qr_p: Primitive = Primitive("qr", multiple_results=True)
qr_p.define(
    shape=_qr_shape,
    impl=lambda a, *, complete: _each(lambda x: _qr_of(x, complete), a),
    jvp=_qr_jvp,
    batch=_stacked(qr_p, 2),
    lower=_qr_lower,
    work=lambda avals, **_: 20 * avals[0].size * min(avals[0].shape[-2:]),
    samples=[
        Sample((f32(3, 3),), {"complete": False}),
        Sample((f64(2, 5, 3),), {"complete": False}),
        Sample((f32(3, 5),), {"complete": True}),
        Sample(
            (np.arange(35, dtype=np.int8).reshape(7, 5).astype(bool).astype(np.float64) + np.eye(7, 5),),
            {"complete": False},
        ),
        Sample((f32(3),), {"complete": False}, fails=ShapeError),
    ],
).register()


# eigh


def eigh(a: ArrayLike) -> tuple[Array, Array]:
    """Eigenvalues of the symmetric part of a matrix, the smallest first, and eigenvectors as columns.

    >>> import fdl.numpy as jnp
    >>> eigh(jnp.array([[2.0, 1.0], [1.0, 2.0]]))[0].tolist()
    [1.0, 3.0]
    """
    values, vectors = eigh_p.bind_all(a)
    return values, vectors


def _eigh_shape(a: ShapedArray) -> list[ShapedArray]:
    _check("eigh", a, takes=_REAL)
    a = a.update(weak_type=False)
    return [a.update(shape=a.shape[:-1]), a]


def _upright(columns: Matrix) -> Matrix:
    """Signs that make the largest element of each column positive: of nearly equal ones the first."""
    size = np.abs(columns)
    place = (
        np.argmax(size > (size.max(0, keepdims=True, initial=0) * (1 - 1e-4)), 0)
        if size.size
        else np.zeros(columns.shape[1], int)
    )
    return (
        np.where(columns[place, np.arange(columns.shape[1])] < 0, -1, 1).astype(columns.dtype)
        if size.size
        else np.ones(columns.shape[1], columns.dtype)
    )


def _eigh_of(a: Matrix) -> list[Matrix]:
    try:
        w, v = np.linalg.eigh((a.astype(np.float64) + a.T) / 2)
    except np.linalg.LinAlgError:
        w, v = np.full(a.shape[0], np.nan), np.full(a.shape, np.nan)
    return [w.astype(a.dtype), (v * _upright(v)).astype(a.dtype)]


def _eigh_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a,), (da,) = primals, tangents
    w, v = eigh_p.bind_all(a)
    inner = matmul(turned(v), matmul(symmetric_part(match(da, aval_of(a))), v))
    gap = sub(across(w, inner), down(w, inner))
    same = equal(gap, 0)
    return [w, v], [diagonal(inner), matmul(v, mul(select(same, 0, div(1.0, select(same, 1, gap))), inner))]


def _eigh_lower(b: Vocabulary, a: Value) -> list[Value]:
    n = a.shape[-1]
    results = [((n,), a.dtype), ((n, n), a.dtype)]
    return b.routine("eigh", len(a.shape) - 2, [a], results, (n,), lambda: eigenpairs(b, a))


ROUTINES["eigh"] = Routine(lambda a, n: _eigh_of(a.reshape(n, n)), lambda n: 2 * n**3 + n * n)

eigh_p: Primitive = Primitive("eigh", multiple_results=True)
eigh_p.define(
    shape=_eigh_shape,
    impl=lambda a: _each(_eigh_of, a),
    jvp=_eigh_jvp,
    batch=_stacked(eigh_p, 2),
    lower=_eigh_lower,
    work=lambda avals, **_: 100 * avals[0].size * avals[0].shape[-1],
    samples=[
        Sample((f32(3, 3),)),
        Sample((f64(2, 6, 6),)),
        Sample((f32(1, 1),)),
        Sample((f64(2, 2),)),
        Sample((f64(40, 40),)),
        Sample((f32(2, 3),), fails=ShapeError),
    ],
).register()


# svd


def svd(a: ArrayLike) -> tuple[Array, Array, Array]:
    """Singular values, the largest first, of matrices with at least as many rows as columns; then U, with as many
    columns, and V transposed.

    >>> import fdl.numpy as jnp
    >>> svd(jnp.array([[3.0, 0.0], [0.0, -4.0]]))[0].tolist()
    [4.0, 3.0]
    """
    s, u, vt = svd_p.bind_all(a)
    return s, u, vt


def _svd_shape(a: ShapedArray) -> list[ShapedArray]:
    _check("svd", a, square=False, takes=_REAL)
    *lead, m, n = a.shape
    if m < n:
        raise ShapeError(f"svd: {a.describe()} has fewer rows than columns", hint="the transposed matrix")
    a = a.update(weak_type=False)
    return [a.update(shape=(*lead, n)), a, a.update(shape=(*lead, n, n))]


def _svd_of(a: Matrix) -> list[Matrix]:
    m, n = a.shape
    try:
        u, s, vt = np.linalg.svd(a.astype(np.float64), full_matrices=False)
    except np.linalg.LinAlgError:
        u, s, vt = np.full((m, n), np.nan), np.full(n, np.nan), np.full((n, n), np.nan)
    sign = _upright(u)
    return [s.astype(a.dtype), (u * sign).astype(a.dtype), (vt * sign[:, None]).astype(a.dtype)]


def _svd_jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (a,), (da,) = primals, tangents
    s, u, vt = svd_p.bind_all(a)
    da, ut, v = match(da, aval_of(a)), turned(u), turned(vt)
    inner = matmul(matmul(ut, da), v)
    row, column = across(s, inner), down(s, inner)
    gap = mul(add(row, column), sub(row, column))
    same = equal(gap, 0)
    f = select(same, 0, div(1.0, select(same, 1, gap)))
    scaled, other = mul(row, inner), mul(column, inner)
    du = matmul(u, mul(f, add(scaled, turned(scaled))))
    dv = matmul(v, mul(f, add(other, turned(other))))
    m, n = aval_of(a).shape[-2:]
    if m > n:
        rest = matmul(da, v)
        du = add(du, div(sub(rest, matmul(u, matmul(ut, rest))), across(select(equal(s, 0), 1, s), rest)))
    return [s, u, vt], [diagonal(inner), du, turned(dv)]


def _svd_lower(b: Vocabulary, a: Value) -> list[Value]:
    m, n = a.shape[-2:]
    results = [((n,), a.dtype), ((m, n), a.dtype), ((n, n), a.dtype)]
    return b.routine("svd", len(a.shape) - 2, [a], results, (m, n), lambda: singular_triplets(b, a))


ROUTINES["svd"] = Routine(lambda a, m, n: _svd_of(a.reshape(m, n)), lambda m, n: 4 * n**3 + m * n * n + m * n)

svd_p: Primitive = Primitive("svd", multiple_results=True)
svd_p.define(
    shape=_svd_shape,
    impl=lambda a: _each(_svd_of, a),
    jvp=_svd_jvp,
    batch=_stacked(svd_p, 3),
    lower=_svd_lower,
    work=lambda avals, **_: 200 * avals[0].size * avals[0].shape[-1],
    samples=[
        Sample((f32(3, 3),)),
        Sample((f64(2, 5, 3),)),
        Sample((f32(4, 1),)),
        Sample((f64(50, 30),)),
        Sample((f32(2, 3),), fails=ShapeError),
    ],
).register()
