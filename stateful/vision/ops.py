"""`torchvision.ops`: what model libraries take of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import ones, zeros
from fdl.stateful.nn.module import Module

__all__ = ["FrozenBatchNorm2d"]


class FrozenBatchNorm2d(Module):
    """Batch normalisation of images (N, C, H, W) by statistics and weights that are buffers, and never change.

    >>> import fdl.stateful as torch
    >>> FrozenBatchNorm2d(3, eps=0.0)(torch.ones(1, 3, 2, 2)).sum().item()
    12.0
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (
            ("weight", ones(num_features)),
            ("bias", zeros(num_features)),
            ("running_mean", zeros(num_features)),
            ("running_var", ones(num_features)),
        ):
            self.register_buffer(name, value)

    def forward(self, x: Any) -> Any:
        """The images, scaled and moved channel by channel."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def extra_repr(self) -> str:
        """The number of channels, and what is added to variances."""
        return f"{self.weight.shape[0]}, eps={self.eps}"


misc = SimpleNamespace(FrozenBatchNorm2d=FrozenBatchNorm2d)  # the file in which torchvision has it
