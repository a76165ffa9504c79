"""`jax.test_util`: derivatives held against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fdl.testing.derivatives import check_grads as _check

__all__ = ["check_grads"]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: str | Sequence[str] | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Compare derivatives of `f` at float arguments with central differences, to the given order: forward mode "fwd",
    reverse mode "rev", or both where `modes` is None. AssertionError where they differ by more than the larger of
    `atol` and `rtol`, both relative to 1 where values are below.

    >>> import fdl.numpy as jnp
    >>> check_grads(jnp.sin, (jnp.array([0.5, 1.0]),), order=2)
    """
    chosen = ("fwd", "rev") if modes is None else (modes,) if isinstance(modes, str) else tuple(modes)
    given = [t for t in (atol, rtol) if t is not None]
    _check(f, args, order, chosen, eps, max(given) if given else None)
