"""Types for annotations, under JAX's names."""

from typing import Any, Protocol, TypeAlias

import numpy as np

from fdl.core.graph import ArrayLike


class SupportsDType(Protocol):
    """What has a dtype."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype."""
        ...


DTypeLike: TypeAlias = str | type[Any] | np.dtype[Any] | SupportsDType

__all__ = ["ArrayLike", "DTypeLike", "SupportsDType"]
