"""What linear algebra asks of matrices, and says where it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, dtypes
from fdl.stateful.core.checks import Failure, broken, require
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.tensor import Tensor, apply, owned

__all__ = ["LinAlgError"]


def recorded(f: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function of arrays, then of static arguments, on tensors."""
    function = Function(lambda *args: _plain(f(*args)), name)
    return lambda tensors, *static: apply(function, tensors, static)


def _plain(found: Any) -> Any:
    return tuple(found) if isinstance(found, tuple) else found


def require_matrix(A: Tensor, what: str) -> None:
    """RuntimeError where A is no stack of matrices; `what` is the function that asks."""
    if A.ndim < 2:
        raise TensorError(f"linalg.{what}: The input tensor A must have at least 2 dimensions.")


def require_square(A: Tensor, what: str) -> None:
    """RuntimeError where A is no stack of square matrices; `what` is the function that asks."""
    require_matrix(A, what)
    if A.shape[-1] != A.shape[-2]:
        raise TensorError(
            f"linalg.{what}: A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        )


class LinAlgError(TensorError):
    """A matrix has no inverse, or no factor of the kind that was asked for.

    >>> import fdl.stateful as torch
    >>> torch.linalg.inv(torch.ones(2, 2))  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.linalg.checks.LinAlgError: linalg.inv: The diagonal element 2 is zero, the inversion could not be...
    >>> torch.linalg.inv_ex(torch.ones(2, 2)).info.item()  # right: asks whether there is one
    2
    """


_failed = Function(lambda *xs: ops.greater(xs[-1], 0), "check_info")


def refuse(info: Tensor, what: str, why: str, hint: str = "") -> None:
    """LinAlgError at this line where a factorisation failed; `why` shows where, in a `{}`."""
    plain = why.replace(" {}", "")
    if not info.ndim:
        require(_failed, (info,), Failure(LinAlgError, f"{what}: {why}", f"{what}: {plain}", hint), now=True)
        return
    batch = owned(np.arange(info.numel()).reshape(info.shape))
    require(
        _failed,
        (batch, info),
        Failure(LinAlgError, f"{what}: (Batch element {{}}): {why}", f"{what}: {plain}", hint),
        now=True,
    )


SINGULAR = "The diagonal element {} is zero, the inversion could not be completed because the input matrix is singular."


def require_float(A: Tensor, what: str) -> None:
    """RuntimeError for integers."""
    if not dtypes.is_inexact(A._aval.dtype):
        raise TensorError(
            f"linalg.{what}: Expected a floating point or complex tensor as input. Got {A.dtype.legacy_name}",
            hint="A.float()",
        )


_not_finite = Function(lambda x: jnp.logical_not(jnp.isfinite(x)), "check_finite")
_NOT_FINITE = broken(
    "linalg.svd: The algorithm failed to converge because the input matrix contained non-finite values.",
    error=LinAlgError,
)


def require_finite(A: Tensor) -> None:
    """LinAlgError where an element is infinite or NaN."""
    require(_not_finite, (A,), _NOT_FINITE)
