"""Dropout as layers."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.nn import functional as F
from fdl.stateful.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class Dropout(Module):
    """While training, each element is zero with probability p and the others are divided by 1 - p."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ArgumentError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Any:
        """The same shape."""
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"


def _dropping(name: str, function: Any) -> Any:
    class Layer(Dropout):
        def forward(self, input: Tensor) -> Any:
            return function(input, self.p, self.training, self.inplace)

    Layer.__name__ = Layer.__qualname__ = name
    Layer.__doc__ = f"`{function.__name__}` as a layer."
    return Layer


Dropout1d, Dropout2d, Dropout3d = (
    _dropping("Dropout1d", F.dropout1d),
    _dropping("Dropout2d", F.dropout2d),
    _dropping("Dropout3d", F.dropout3d),
)
AlphaDropout, FeatureAlphaDropout = (
    _dropping("AlphaDropout", F.alpha_dropout),
    _dropping("FeatureAlphaDropout", F.feature_alpha_dropout),
)
