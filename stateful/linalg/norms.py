"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

import math
from typing import Any

from fdl import ops
from fdl.extend import Function
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.reductions import amax, amin, dims_of, power_norm, sum
from fdl.stateful.linalg.factorizations import svdvals
from fdl.stateful.linalg.solutions import inv_ex

__all__ = ["cond", "matrix_norm", "norm", "vector_norm"]


def cond(A: Tensor, p: Any = None) -> Any:
    """The condition number."""
    if p in (None, 2, -2):
        s = svdvals(A)
        top, bottom = s[..., 0], s[..., -1]
        return bottom / top if p == -2 else top / bottom
    inverse, info = inv_ex(A)
    return (matrix_norm(A, p) * matrix_norm(inverse, p)).masked_fill(info > 0, math.inf)


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
