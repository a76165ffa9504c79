"""Linear systems by products with their matrix: conjugate gradients, BiCGSTAB and GMRES, under SciPy's names.

Each is a loop on one vector, which trees are raveled into; `custom_linear_solve` gives all of them the derivative that
follows from the equation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from fdl import lax
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.trace import aval_of
from fdl.flatten_util import ravel_pytree
from fdl.numpy import asarray, concatenate, dtype, finfo, linalg, maximum, real, vdot, where, zeros, zeros_like
from fdl.tree_util import tree_map

Product = Callable[[Array], Array]


class _System(NamedTuple):
    """`product(x) == right`, to be solved from `start` on: until the residual is at most as long as `near`, or after
    `most` steps. `precondition` is close to the inverse of the product.
    """

    product: Product
    right: Array
    start: Array
    precondition: Product
    near: Array
    most: int


def _solved(
    method: Callable[[_System], Array],
    A: Any,
    b: Any,
    x0: Any,
    tol: float,
    atol: float,
    maxiter: int | None,
    M: Any,
    symmetric: bool,
) -> tuple[Any, None]:
    """(the solution as a tree like `b`, None), under `custom_linear_solve`."""
    right, unravel = ravel_pytree(tree_map(asarray, b))
    size = aval_of(right).shape[0]
    start = zeros_like(right) if x0 is None else ravel_pytree(x0)[0].astype(right.dtype)
    if aval_of(start).shape != aval_of(right).shape:
        raise ShapeError(f"a start of {aval_of(start).shape[0]} elements for {size}", hint="x0 like b")

    def flat(matrix: Any) -> Product:
        if not callable(matrix):
            return lambda x: ravel_pytree(asarray(matrix) @ unravel(x))[0]
        return lambda x: ravel_pytree(matrix(unravel(x)))[0]

    precondition = flat(M) if M is not None else lambda x: x

    def solve(product: Product, b: Array) -> Array:
        near = maximum(tol * linalg.norm(b), atol)
        return method(_System(product, b, start, precondition, near, 10 * size if maxiter is None else maxiter))

    x = lax.custom_linear_solve(flat(A), right, solve, solve, symmetric)
    return unravel(x), None


def _conjugate_gradients(s: _System) -> Array:
    r = s.right - s.product(s.start)
    z = s.precondition(r)

    def unfinished(state: Any) -> Any:
        _, r, _, _, k = state
        return (linalg.norm(r) > s.near) & (k < s.most)

    def step(state: Any) -> Any:
        x, r, p, gain, k = state
        image = s.product(p)
        length = gain / vdot(p, image).astype(r.dtype)
        x, r = x + length * p, r - length * image
        z = s.precondition(r)
        again = vdot(r, z).astype(r.dtype)
        return x, r, z + again / gain * p, again, k + 1

    found: Array = lax.while_loop(unfinished, step, (s.start, r, z, vdot(r, z).astype(r.dtype), 0))[0]
    return found


def cg(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, None]:
    """(the x for which `A(x)` is `b`, None), by conjugate gradients (Hestenes and Stiefel, 1952): for A that is
    symmetric and positive definite, a matrix or a function, of arrays or of trees.

    It begins at `x0` and ends where the residual is at most as long as `tol` times b, or as `atol`, or after `maxiter`
    steps. `M` is close to the inverse of A.

    >>> import fdl.numpy as jnp
    >>> x, _ = cg(jnp.array([[2.0, 0.0], [0.0, 4.0]]), jnp.array([2.0, 4.0]))
    >>> [round(v, 4) for v in x.tolist()]
    [1.0, 1.0]
    """
    return _solved(_conjugate_gradients, A, b, x0, tol, atol, maxiter, M, True)


def _bicgstab(s: _System) -> Array:
    r = s.right - s.product(s.start)
    one = vdot(r, r).astype(r.dtype) * 0 + 1
    shadow = r

    def unfinished(state: Any) -> Any:
        return (linalg.norm(state[1]) > s.near) & (state[-1] < s.most) & (state[-1] >= 0)

    def step(state: Any) -> Any:
        x, r, p, image, before, length, omega, k = state
        rho = vdot(shadow, r).astype(r.dtype)
        beta = rho / before * length / omega
        p = r + beta * (p - omega * image)
        towards = s.precondition(p)
        image = s.product(towards)
        length = rho / vdot(shadow, image).astype(r.dtype)
        half = r - length * image
        there = linalg.norm(half) <= s.near
        again = s.precondition(half)
        t = s.product(again)
        omega = vdot(t, half).astype(r.dtype) / vdot(t, t).astype(r.dtype)
        x = where(there, x + length * towards, x + length * towards + omega * again)
        r = where(there, half, half - omega * t)
        broken = ((omega == 0) | (length == 0)) & ~there
        return x, r, p, image, rho, length, omega, where(broken, -1, k + 1)

    state = (s.start, r, zeros_like(r), zeros_like(r), one, one, one, 0)
    found: Array = lax.while_loop(unfinished, step, state)[0]
    return found


def bicgstab(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, None]:
    """As `cg`, for any A that has an inverse, by stabilized biconjugate gradients (van der Vorst, 1992).

    >>> import fdl.numpy as jnp
    >>> x, _ = bicgstab(jnp.array([[2.0, 1.0], [0.0, 4.0]]), jnp.array([3.0, 4.0]))
    >>> [round(v, 4) for v in x.tolist()]
    [1.0, 1.0]
    """
    return _solved(_bicgstab, A, b, x0, tol, atol, maxiter, M, False)


def _normalized(v: Array) -> tuple[Array, Array]:
    """(v with length 1, its length), or (0, 0) where it is as short as rounding errors are."""
    length = linalg.norm(v)
    there = length > finfo(dtype(real(v))).eps
    return where(there, v / where(there, length, 1), 0), where(there, length, 0)


def _restarted(s: _System, restart: int) -> Array:
    size = aval_of(s.right).shape[0]
    restart = min(restart, size)

    def improved(x: Array) -> Array:
        """The best solution in the Krylov space of the residual at x, whose basis Arnoldi's method finds."""
        first, length = _normalized(s.precondition(s.right - s.product(x)))
        basis = concatenate([first[None], zeros((restart, size), first.dtype)])

        def extend(basis: Array, k: Array) -> tuple[Array, Array]:
            v = s.precondition(s.product(basis[k]))
            column = zeros_like(basis[:, 0])
            for _ in range(2):  # once leaves what rounding errors add
                part = basis.conj() @ v
                v, column = v - part @ basis, column + part
            v, rest = _normalized(v)
            return basis.at[k + 1].set(v), column.at[k + 1].set(rest.astype(column.dtype))

        basis, columns = lax.scan(extend, basis, lax.iota("int32", restart))
        wanted = zeros_like(columns[0]).at[0].set(length.astype(columns.dtype))
        y = linalg.lstsq(columns.T, wanted)[0]
        better: Array = x + y @ basis[:-1]
        return better

    def unfinished(state: Any) -> Any:
        x, k = state
        return (linalg.norm(s.right - s.product(x)) > s.near) & (k < s.most)

    found: Array = lax.while_loop(unfinished, lambda state: (improved(state[0]), state[1] + 1), (s.start, 0))[0]
    return found


def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
) -> tuple[Any, None]:
    """As `cg`, for any A that has an inverse, by GMRES (Saad and Schultz, 1986): each step takes the best solution in a
    Krylov space of `restart` dimensions. `solve_method` is accepted: the small system is solved at the end of a step.

    >>> import fdl.numpy as jnp
    >>> x, _ = gmres(jnp.array([[2.0, 1.0], [0.0, 4.0]]), jnp.array([3.0, 4.0]))
    >>> [round(v, 4) for v in x.tolist()]
    [1.0, 1.0]
    """
    return _solved(lambda s: _restarted(s, restart), A, b, x0, tol, atol, maxiter, M, False)


__all__ = ["bicgstab", "cg", "gmres"]
