"""`torch.utils.checkpoint`: what is recorded decides by itself what to keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """`function(*args)`."""
    kwargs.pop("preserve_rng_state", None)
    return function(*args, **kwargs)
