"""Householder's reflections `H = I - tau * v @ v.T` as LAPACK keeps them: each v below the diagonal of one column, its
element on the diagonal being 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl import lax, ops
from fdl.extend import Function, aval_of
from fdl.stateful.core.errors import TensorError, UnsupportedError
from fdl.stateful.core.results import returned
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.linalg.checks import require_matrix

__all__ = ["geqrf", "householder_product", "ormqr"]


@returned
class geqrf_result(NamedTuple):
    """R with the reflections below its diagonal, and their factors."""

    a: Any
    tau: Any


def _vectors(a: Any, count: int) -> Any:
    """The first reflections' vectors, along a new first axis, each as a column."""
    m, n = aval_of(a).shape[-2:]
    columns = (jnp.tril(a, -1) + jnp.eye(m, n, dtype=aval_of(a).dtype))[..., :count]
    return jnp.moveaxis(columns, -1, 0)[..., None]


def _applied(a: Any, tau: Any, x: Any, backwards: bool) -> Any:
    """`H1 @ ... @ Hk @ x`, or the reflections the other way round."""
    count = aval_of(tau).shape[-1]
    if not count:
        return x
    vectors, factors = _vectors(a, count), jnp.moveaxis(tau, -1, 0)[..., None, None]
    if not backwards:  # the last reflection comes first
        vectors, factors = jnp.flip(vectors, 0), jnp.flip(factors, 0)

    def reflect(x: Any, step: Any) -> tuple[Any, None]:
        v, t = step
        return x - t * v * jnp.sum(v * x, -2, keepdims=True), None

    return lax.scan(reflect, x, (vectors, factors))[0]


def _product_body(a: Any, tau: Any) -> Any:
    m, n = aval_of(a).shape[-2:]
    one = jnp.eye(m, n, dtype=aval_of(a).dtype)
    return _applied(a, tau, jnp.broadcast_to(one, aval_of(a).shape), False)


def _times_body(a: Any, tau: Any, x: Any, left: bool, transpose: bool) -> Any:
    if left:
        return _applied(a, tau, x, transpose)
    return jnp.matrix_transpose(_applied(a, tau, jnp.matrix_transpose(x), not transpose))


def _reflected_body(a: Any) -> tuple[Any, Any]:
    """Column after column becomes one element on the diagonal and zeros, in the place of which its vector is kept."""
    m, n = aval_of(a).shape[-2:]
    rows, columns = jnp.arange(m)[:, None], jnp.arange(n)

    def step(a: Any, k: Any) -> tuple[Any, Any]:
        column = jnp.take(a, k, -1, mode="clip")[..., None]
        head = jnp.sum(jnp.where(rows == k, column, 0), -2, keepdims=True)
        below = jnp.sum(jnp.where(rows > k, column, 0) ** 2, -2, keepdims=True)
        none = below == 0
        size = jnp.sqrt(head * head + below)
        beta = jnp.where(none, head, jnp.where(head < 0, size, -size))
        tau = jnp.where(none, 0, (beta - head) / jnp.where(none, 1, beta))
        v = jnp.where(rows > k, column / jnp.where(none, 1, head - beta), jnp.where(rows == k, 1, 0))
        turned = a - tau * v * jnp.sum(v * a, -2, keepdims=True)
        kept = jnp.where(rows > k, v, jnp.where(rows == k, beta, a))
        a = jnp.where(columns > k, turned, jnp.where(columns == k, kept, a))
        return a, tau[..., 0, 0]

    a, tau = lax.scan(step, a, jnp.arange(m if m < n else n))
    return a, jnp.moveaxis(tau, 0, -1)


_product, _times = Function(_product_body, "householder_product"), Function(_times_body, "ormqr")
_reflected = Function(lambda a: _reflected_body(ops.stop_gradient(a)), "geqrf")


def householder_product(A: Tensor, tau: Tensor) -> Any:
    """The first columns of the product of reflections, as many as A has.

    >>> import fdl.stateful as torch
    >>> q, r = torch.linalg.qr(torch.eye(2)); a, tau = torch.geqrf(torch.eye(2))
    >>> torch.linalg.householder_product(a, tau).abs().tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    require_matrix(A, "householder_product")
    if A.shape[-2] < A.shape[-1]:
        raise TensorError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if A.shape[-1] < tau.shape[-1]:
        raise TensorError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    return apply(_product, (A, tau))


def geqrf(input: Tensor) -> geqrf_result:
    """The reflections that make a matrix triangular, and what they make of it; without gradient, as in PyTorch.

    >>> import fdl.stateful as torch
    >>> torch.geqrf(torch.tensor([[3.0], [4.0]])).a.tolist()
    [[-5.0], [0.5]]
    """
    require_matrix(input, "geqrf")
    if not input.dtype.is_floating_point:
        raise UnsupportedError(f"\"geqrf_cpu\" not implemented for '{input.dtype.legacy_name}'")
    return geqrf_result(*apply(_reflected, (input,)))


def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Any:
    """The product of reflections times a matrix, or the matrix times it; or of its transpose.

    >>> import fdl.stateful as torch
    >>> a, tau = torch.geqrf(torch.tensor([[3.0], [4.0]]))
    >>> torch.ormqr(a, tau, torch.tensor([[3.0], [4.0]]), transpose=True).round().tolist()
    [[-5.0], [0.0]]
    """
    require_matrix(input, "ormqr")
    if other.shape[-2 if left else -1] != input.shape[-2]:
        raise TensorError(
            f"torch.ormqr: other.shape[{-2 if left else -1}] must be equal to input.shape[-2]",
            why=f"they are {other.shape[-2 if left else -1]} and {input.shape[-2]}",
        )
    return apply(_times, (input, tau, other), (left, transpose))
