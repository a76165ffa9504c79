"""Products, powers, exponentials and diagonals of matrices and vectors."""

from __future__ import annotations

from typing import Any

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of
from fdl.numpy import linalg as own
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.tape import autocasting
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.products import cross as _cross
from fdl.stateful.functions.products import vander as _powers
from fdl.stateful.functions.rearranging import diagonal as _diagonal
from fdl.stateful.functions.reductions import sum
from fdl.stateful.linalg.checks import recorded, require_square
from fdl.stateful.linalg.solutions import inv

__all__ = ["cross", "diagonal", "matrix_exp", "matrix_power", "multi_dot", "vander", "vecdot"]

_power = recorded(own.matrix_power, "matrix_power")
_multi_dot = recorded(lambda *xs: own.multi_dot(xs), "multi_dot")


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
    require_square(A, "matrix_exp")
    return apply(_exponential, (A,))


def matrix_power(A: Tensor, n: int) -> Any:
    """A matrix to an integer power."""
    require_square(A, "matrix_power")
    return _power((inv(A),), -n) if n < 0 else _power((A,), n)


def multi_dot(tensors: Any) -> Any:
    """The product of several matrices, in the cheapest order."""
    return _multi_dot(tuple(tensors))


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
