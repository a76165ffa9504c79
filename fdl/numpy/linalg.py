"""`numpy.linalg`'s names, as far as elementwise work, sums and products reach."""

from __future__ import annotations

import builtins
from typing import Any

from fdl import ops
from fdl.core.errors import ShapeError
from fdl.core.trace import aval_of
from fdl.numpy._create import asarray, eye
from fdl.numpy._math import Axis, axes_of, max, min, power, sum
from fdl.numpy._shape import matmul
from fdl.ops.promotion import promote


def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """The norm of vectors (ord 2, 1, 0, inf, -inf or any number), or of a matrix (Frobenius, 1, inf).

    >>> import fdl.numpy as jnp
    >>> float(norm(jnp.array([3.0, 4.0])))
    5.0
    """
    (x,) = promote(asarray(x), to_float=True)
    axes = axes_of(x, axis, "norm")
    size = ops.abs(x)
    if ord is None or ord == "fro" or (ord == 2 and len(axes) == 1):
        return ops.sqrt(sum(ops.integer_pow(x, 2), axes, keepdims=keepdims))
    if len(axes) == 2 and ord in (1, float("inf")):
        first, second = (axes[0], axes[1]) if ord == 1 else (axes[1], axes[0])
        totals = sum(size, first, keepdims=True)
        out = max(totals, second, keepdims=True)
        return out if keepdims else ops.reshape(out, tuple(d for i, d in enumerate(aval_of(x).shape) if i not in axes))
    if len(axes) != 1:
        raise ShapeError(f"norm: ord={ord!r} over axes {axes}", why="matrices have the orders None, 'fro', 1 and inf here", hint="an axis for the norm of vectors")
    if ord in (float("inf"), float("-inf")):
        return (max if ord > 0 else min)(size, axes, keepdims)
    if ord == 0:
        return sum(ops.convert(ops.not_equal(x, 0), aval_of(x).dtype), axes, keepdims=keepdims)
    return power(sum(power(size, ord), axes, keepdims=keepdims), 1 / ord)


def matrix_power(x: Any, n: int) -> Any:
    """A square matrix to the power of a non-negative integer.

    >>> import fdl.numpy as jnp
    >>> matrix_power(jnp.array([[1.0, 1.0], [0.0, 1.0]]), 3).tolist()
    [[1.0, 3.0], [0.0, 1.0]]
    """
    out = eye(aval_of(x).shape[-1], dtype=aval_of(x).dtype)
    for bit in builtins.bin(n)[2:]:
        out = matmul(out, out)
        out = matmul(out, x) if bit == "1" else out
    return out


__all__ = ["matrix_power", "norm"]
