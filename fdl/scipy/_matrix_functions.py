"""Functions of matrices: exponential, square root, and any by its values at eigenvalues.

Sources: Higham, "Functions of Matrices", 2008: the exponential is algorithm 10.20, by scaling and squaring, roots
and others go through the form of Schur, chapters 4 and 6.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy import (
    _schur,
    abs,
    asarray,
    ceil,
    diagonal,
    expand_dims,
    eye,
    finfo,
    imag,
    isfinite,
    linalg,
    log2,
    matmul,
    max,
    maximum,
    min,
    minimum,
    real,
    sqrt,
    sum,
    triu,
    vectorize,
    where,
)  # fmt: skip
from fdl.numpy.linalg import _as_complex, _square
from fdl.ops.linear import adjoint
from fdl.scipy._factors import solve_sylvester
from fdl.transforms import cond, fori_loop, jvp, scan
from fdl.transforms.custom import custom_jvp

# Coefficients of the Padé approximants of the exponential, and up to which norm they have full precision
_PADE = {
    4: ((17297280.0, 8648640.0, 1995840.0, 277200.0, 25200.0, 1512.0, 56.0, 1.0), 3.925724783138660),
    8: (
        (
            64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
            10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
        ),
        5.371920351148152,
    ),
}  # fmt: skip


def expm(A: ArrayLike, *, upper_triangular: bool = False, max_squarings: int = 16) -> Array:
    """The exponential of matrices. NaN where a norm needs more than `max_squarings` halvings; `upper_triangular` says
    that matrices are so, and changes nothing.

    >>> expm(asarray([[0.0, 1.0], [0.0, 0.0]])).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    a = _square(A, "expm")
    if not aval_of(a).size:
        return a
    found: Array = vectorize(functools.partial(_expm, halvings=max_squarings), signature="(n,n)->(n,n)")(a)
    return found


def _expm(a: Array, halvings: int) -> Array:
    dtype = aval_of(a).dtype
    coefficients, bound = _PADE[8 if dtypes.real_dtype(dtype) == dtypes.float64 else 4]
    norm = max(sum(abs(a), 0))
    count = maximum(ceil(log2(where(norm > bound, norm, bound) / bound)), 0)
    a = a / (2.0**count).astype(dtype)
    unit, square = eye(aval_of(a).shape[0], dtype=dtype), matmul(a, a)
    odd, even, power = unit * coefficients[1], unit * coefficients[0], unit
    for k in range(2, len(coefficients), 2):
        power = matmul(power, square)
        even = even + power * coefficients[k]
        odd = odd + power * coefficients[k + 1]
    u = matmul(a, odd)
    start = linalg.solve(even - u, even + u)

    def squared(i: Any, x: Array) -> Array:
        grown: Array = cond(i < count, lambda y: matmul(y, y), lambda y: y, x)
        return grown

    grown = fori_loop(0, halvings, squared, start)
    return where(count > halvings, asarray(np.nan, dtype), grown)


def expm_frechet(
    A: ArrayLike, E: ArrayLike, *, method: str | None = None, compute_expm: bool = True
) -> Array | tuple[Array, Array]:
    """(`expm(A)`, its derivative in the direction `E`); the derivative alone without `compute_expm`.

    >>> [x.tolist() for x in expm_frechet(asarray([[0.0]]), asarray([[2.0]]))]
    [[[1.0]], [[2.0]]]
    """
    a, e = ops.promote(_square(A, "expm_frechet"), asarray(E))
    if aval_of(a).shape != aval_of(e).shape:
        raise ShapeError(f"expm_frechet: {aval_of(a).describe()} in the direction {aval_of(e).describe()}")
    out: tuple[Array, Array] = jvp(expm, (a,), (e,))
    return out if compute_expm else out[1]


def _by_diagonals(start: Array, value: Callable[[Array], Array]) -> Array:
    """An upper triangle whose diagonal is that of `start`: `value` of what is there gives the next diagonal above."""
    n = aval_of(start).shape[0]
    place = ops.sub(ops.iota((n, n), 1), ops.iota((n, n), 0))

    def step(x: Array, k: Any) -> tuple[Array, None]:
        return where(place == k, value(x), x), None

    found: Array = scan(step, start, ops.iota((builtins.max(n, 1),), 0)[1:])[0]
    return found


def _on_diagonal(values: Array) -> Array:
    return eye(aval_of(values).shape[0], dtype=aval_of(values).dtype) * values


@custom_jvp
def _sqrtm(a: Array) -> Array:
    t, z = _schur.schur(a)
    values = diagonal(t)
    lost = abs(imag(values)) <= float(finfo(aval_of(real(t)).dtype).eps) * aval_of(t).shape[0] * max(abs(t), initial=0)
    roots = sqrt(where(lost, real(values).astype(aval_of(t).dtype), values))  # rounding chooses no branch
    apart = expand_dims(roots, 1) + expand_dims(roots, 0)
    safe = where(apart == 0, 1, apart)
    root = _by_diagonals(_on_diagonal(roots), lambda r: (t - matmul(r, r)) / safe)
    return matmul(matmul(z, root), adjoint(z))


@_sqrtm.defjvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    root = _sqrtm(*primals)
    return root, solve_sylvester(root, root, tangents[0])


def sqrtm(A: ArrayLike, blocksize: int = 1) -> Array:
    """The principal square root of a matrix, complex.

    >>> sqrtm(asarray([[4.0, 0.0], [0.0, 9.0]])).real.tolist()
    [[2.0, 0.0], [0.0, 3.0]]
    """
    if blocksize != 1:
        raise ChoiceError(f"sqrtm: blocksize={blocksize!r}", hint="1")
    found: Array = vectorize(_sqrtm, signature="(n,n)->(n,n)")(_as_complex(_square(A, "sqrtm")))
    return found


def funm(A: ArrayLike, func: Callable[[Array], Array], disp: bool = True) -> Array | tuple[Array, Array]:
    """A function of a matrix whose eigenvalues differ, complex, by its values at them (Parlett, 1976); without `disp`
    (that, an estimate of the error).

    >>> import fdl.numpy as jnp
    >>> round(float(funm(asarray([[0.0, 0.0], [0.0, 1.0]]), jnp.exp)[1, 1].real), 4)
    2.7183
    """
    t, z = _schur.schur(_as_complex(_square(A, "funm")))
    values = diagonal(t)
    apart = expand_dims(values, 1) - expand_dims(values, 0)
    none = apart == 0
    safe = where(none, 1, apart)
    upper = _by_diagonals(_on_diagonal(func(values)), lambda f: (matmul(f, t) - matmul(t, f)) / safe)
    found = matmul(matmul(z, upper), adjoint(z))
    if disp:
        return found
    eps = float(finfo(aval_of(real(t)).dtype).eps)
    least = maximum(min(where(none, 1, abs(apart))), eps)
    error = minimum(1, maximum(eps, eps / least * linalg.norm(triu(t, 1), 1)))
    return found, where(isfinite(sum(abs(found))), error, np.inf)


__all__ = ["expm", "expm_frechet", "funm", "sqrtm"]
