"""`torch.distributions.utils`: what libraries of distributions share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.random import randn
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.distributions.distribution import together
from fdl.stateful.functions.creation import from_numpy

__all__ = [
    "broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits", "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]  # fmt: skip

euler_constant = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Numbers and tensors as tensors of one shape; ValueError for anything else.

    >>> import fdl.stateful as torch
    >>> [x.tolist() for x in broadcast_all(1.0, torch.zeros(2))]
    [[1.0, 1.0], [0.0, 0.0]]
    """
    if not all(isinstance(v, (Tensor, int, float)) for v in values):
        raise ArgumentError("Input arguments must all be instances of Number, torch.Tensor")
    return together(*values)


def _standard_normal(shape: Any, dtype: Any, device: Any) -> Tensor:
    return randn(*shape, dtype=dtype, device=device)


def _sum_rightmost(value: Any, dim: int) -> Any:
    """The sum over so many of the last dimensions."""
    return value if dim == 0 else value.reshape(*value.shape[: value.ndim - dim], -1).sum(-1)


def clamp_probs(probs: Tensor) -> Any:
    """Probabilities moved into (0, 1) by the precision of their dtype."""
    eps = float(np.finfo(probs.dtype.np).eps)
    return probs.clamp(eps, 1 - eps)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of log-odds, or of log-weights along the last dimension."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Log-odds of probabilities, or logarithms of shares."""
    inside = clamp_probs(probs)
    return inside.log() - (-inside).log1p() if is_binary else inside.log()


class lazy_property:
    """An attribute that is computed when it is asked for first.

    >>> class A:
    ...     @lazy_property
    ...     def x(self):
    ...         print("computed")
    ...         return 1
    >>> a = A(); a.x + a.x
    computed
    2
    """

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        found = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, found)
        return found


def _below(n: int, diag: int) -> tuple[Tensor, Tensor]:
    rows, columns = np.tril_indices(n, diag)
    return from_numpy(rows.astype(np.int64)), from_numpy(columns.astype(np.int64))


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """A vector as the lower triangle of a matrix, row after row, up to a diagonal; zeros elsewhere.

    >>> import fdl.stateful as torch
    >>> vec_to_tril_matrix(torch.tensor([1.0]), -1).tolist()
    [[0.0, 0.0], [1.0, 0.0]]
    """
    root = math.sqrt((1 + 2 * diag) ** 2 + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1))
    n = (-(1 + 2 * diag) + root) / 2
    if n != int(n):
        raise ArgumentError(
            f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as the lower triangular part of "
            "a square D x D matrix."
        )
    rows, columns = _below(int(n), diag)
    flat = vec.new_zeros(*vec.shape[:-1], int(n) * int(n))
    return flat.index_copy(-1, rows * int(n) + columns, vec).reshape(*vec.shape[:-1], int(n), int(n))


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The lower triangle of a matrix up to a diagonal, row after row.

    >>> import fdl.stateful as torch
    >>> tril_matrix_to_vec(torch.tensor([[1.0, 0.0], [2.0, 3.0]])).tolist()
    [1.0, 2.0, 3.0]
    """
    n = mat.shape[-1]
    if mat.shape[-2] != n or not -n <= diag < n:
        raise ArgumentError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = _below(n, diag)
    return mat.reshape(*mat.shape[:-2], n * n).index_select(-1, rows * n + columns)
