"""`torch.utils.hooks`: handles that take hooks away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fdl.stateful.core.tape import RemovableHandle

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks"]


def unserializable_hook(f: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that is not saved with its tensor; hooks never are."""
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Nothing: hooks of tensors are not saved, and nobody expects it."""
