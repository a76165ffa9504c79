"""`torch.utils.dlpack`: tensors for other libraries, and theirs."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import from_dlpack

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule of a tensor's memory.

    >>> import fdl.stateful as torch
    >>> type(torch.utils.dlpack.to_dlpack(torch.ones(2))).__name__
    'PyCapsule'
    """
    return tensor.__dlpack__()
