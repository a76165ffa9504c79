"""Products of matrices and vectors."""

from __future__ import annotations

from typing import Any

import fdl.numpy as jnp
from fdl import ops
from fdl.core.errors import DtypeError
from fdl.core.trace import aval_of
from fdl.extend import Function
from fdl.stateful._tensor import Tensor, apply, method

__all__ = [
    "addmm", "bmm", "dot", "einsum", "matmul", "mm", "mv", "outer",
]  # fmt: skip


def _same_dtype(*xs: Any) -> None:
    if len({aval_of(x).dtype for x in xs}) > 1:
        raise DtypeError(f"expected operands of one dtype, but got {' and '.join(aval_of(x).describe() for x in xs)}", hint="x.to(other.dtype)")


def _matmul_body(a: Any, b: Any) -> Any:
    _same_dtype(a, b)
    return jnp.matmul(a, b)


_matmul = Function(_matmul_body, "matmul")
_outer = Function(lambda a, b: jnp.outer(a, b), "outer")
_einsum = Function(lambda *args: jnp.einsum(args[-1], *args[:-1]), "einsum")


@method("matmul", "__matmul__")
def matmul(input: Tensor, other: Tensor) -> Any:
    """The matrix product over the last two dimensions; leading ones broadcast, a vector is a row or a column."""
    return apply(_matmul, (input, other))


def _checked(name: str, ndims: tuple[int, int]) -> Any:
    def product(input: Tensor, other: Tensor) -> Any:
        if (input.ndim, other.ndim) != ndims:
            raise RuntimeError(f"{name}: expected tensors of {ndims[0]} and {ndims[1]} dimensions, got {input.ndim} and {other.ndim}")
        return apply(_matmul, (input, other))

    product.__name__, product.__doc__ = name, f"`matmul` of tensors with {ndims[0]} and {ndims[1]} dimensions."
    return method(name)(product)


mm, mv, dot, bmm = _checked("mm", (2, 2)), _checked("mv", (2, 1)), _checked("dot", (1, 1)), _checked("bmm", (3, 3))


@method("outer", "ger")
def outer(input: Tensor, vec2: Tensor) -> Any:
    """All products of an element of one vector with one of another."""
    return apply(_outer, (input, vec2))


def einsum(equation: str, *operands: Any) -> Any:
    """Sums of products, said by index letters: `einsum("bi,ij->bj", x, w)`."""
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    return apply(_einsum, tuple(given), (equation.replace(" ", ""),))


_addmm = Function(lambda x, a, b, beta, alpha: ops.add(ops.mul(x, ops.cast(beta, aval_of(x).dtype)), ops.mul(jnp.matmul(a, b), ops.cast(alpha, aval_of(x).dtype))), "addmm")


@method(inplace=True)
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """`beta * input + alpha * (mat1 @ mat2)`."""
    return apply(_addmm, (input, mat1, mat2, beta, alpha))


@method("__rmatmul__")
def _rmatmul(self: Tensor, other: Any) -> Any:
    return matmul(other, self)
