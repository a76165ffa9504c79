"""Convolutions as layers, and the patches that they see."""

from __future__ import annotations

import math
from typing import Any

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import empty
from fdl.stateful.nn import functional as F
from fdl.stateful.nn import init
from fdl.stateful.nn.functional.convolution import sizes_of
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Parameter

__all__ = [
    "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Fold", "Unfold",
]  # fmt: skip


class _Convolution(Module):
    """What convolutions have in common; `rank` is the number of dimensions of space."""

    rank: int
    transposed = False
    padding: Any  # an int of each dimension, or what `padding` names

    def _build(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        dtype: Any,
    ) -> None:
        n = self.rank
        if groups <= 0:
            raise ArgumentError("groups must be a positive integer")
        if in_channels % groups:
            raise ArgumentError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ArgumentError("out_channels must be divisible by groups")
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ArgumentError(
                "padding_mode must be one of ['zeros', 'reflect', 'replicate', 'circular'], "
                f"but got padding_mode='{padding_mode}'"
            )
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ArgumentError(f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}")
        self.in_channels, self.out_channels, self.groups, self.padding_mode = (
            in_channels,
            out_channels,
            groups,
            padding_mode,
        )
        self.kernel_size, self.stride, self.dilation = (sizes_of(v, n) for v in (kernel_size, stride, dilation))
        if padding == "same" and max(self.stride) > 1:
            raise ArgumentError("padding='same' is not supported for strided convolutions")
        self.padding = padding if isinstance(padding, str) else sizes_of(padding, n)
        shape = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self._make(shape, bias, dtype)

    def _make(self, shape: tuple[int, int], bias: bool, dtype: Any) -> None:
        self.weight = Parameter(empty(*shape, *self.kernel_size, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(self.out_channels, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, uniform within 1 / sqrt(elements of a window)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
            if fan_in:
                init.uniform_(self.bias, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        """Sizes, and what is not the default."""
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        zeros, ones = (0,) * self.rank, (1,) * self.rank
        parts += [f"padding={self.padding}"] if self.padding != zeros else []
        parts += [f"dilation={self.dilation}"] if self.dilation != ones else []
        parts += [f"output_padding={self.output_padding}"] if getattr(self, "output_padding", zeros) != zeros else []
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class _Forward(_Convolution):
    """A convolution of some rank."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._build(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype
        )

    def forward(self, input: Tensor) -> Any:
        """(N, in_channels, ...) to (N, out_channels, ...)."""
        function = (F.conv1d, F.conv2d, F.conv3d)[self.rank - 1]
        if self.padding_mode == "zeros":
            return function(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        return function(
            F.pad(input, self._edges(), mode=self.padding_mode),
            self.weight,
            self.bias,
            self.stride,
            0,
            self.dilation,
            self.groups,
        )

    def _edges(self) -> list[Any]:
        """What `pad` takes: edges from the last dimension to the first."""
        if self.padding == "valid":
            return [0] * (2 * self.rank)
        if self.padding == "same":
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [e for t in reversed(total) for e in (t // 2, t - t // 2)]
        return [p for p in reversed(self.padding) for _ in range(2)]


class Conv1d(_Forward):
    """Convolution of (N, C, L)."""

    rank = 1


class Conv2d(_Forward):
    """Convolution of (N, C, H, W).

    >>> import fdl.stateful as torch
    >>> torch.nn.Conv2d(3, 8, 3, padding=1)(torch.ones(1, 3, 5, 5)).shape
    torch.Size([1, 8, 5, 5])
    """

    rank = 2


class Conv3d(_Forward):
    """Convolution of (N, C, D, H, W)."""

    rank = 3


class _Transposed(_Convolution):
    """A transposed convolution of some rank."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if padding_mode != "zeros":
            raise ArgumentError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        self.output_padding = sizes_of(output_padding, self.rank)
        self._build(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype
        )

    def forward(self, input: Tensor, output_size: Any = None) -> Any:
        """(N, in_channels, ...) to (N, out_channels, ...), of `output_size` where several sizes are possible."""
        extra = self.output_padding if output_size is None else self._extra(input, list(output_size))
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.rank - 1]
        return function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _extra(self, input: Tensor, wanted: list[int]) -> tuple[int, ...]:
        wanted = wanted[-self.rank :]
        least = []
        for k in range(self.rank):
            space = input.shape[input.ndim - self.rank + k]
            least.append(
                (space - 1) * self.stride[k] - 2 * self.padding[k] + self.dilation[k] * (self.kernel_size[k] - 1) + 1
            )
        if any(not low <= w < low + s for low, w, s in zip(least, wanted, self.stride, strict=True)):
            highest = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
            raise ArgumentError(
                f"requested an output size of {wanted}, but valid sizes range from {least} to {highest} (for an "
                f"input of {list(input.shape[2:])})"
            )
        return tuple([w - low for low, w in zip(least, wanted, strict=True)])


class ConvTranspose1d(_Transposed):
    """The gradient of `Conv1d` as a layer."""

    rank = 1


class ConvTranspose2d(_Transposed):
    """The gradient of `Conv2d` as a layer."""

    rank = 2


class ConvTranspose3d(_Transposed):
    """The gradient of `Conv3d` as a layer."""

    rank = 3


class _Patches(Module):
    """Settings of `fold` and `unfold`."""

    def extra_repr(self) -> str:
        """The settings."""
        names = ("output_size", "kernel_size", "dilation", "padding", "stride")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names if hasattr(self, name))


class Unfold(_Patches):
    """Windows as columns."""

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) to (N, C * kh * kw, places)."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Patches):
    """Columns added into an image."""

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.output_size, self.kernel_size, self.dilation, self.padding, self.stride = (
            output_size,
            kernel_size,
            dilation,
            padding,
            stride,
        )

    def forward(self, input: Tensor) -> Any:
        """(N, C * kh * kw, places) to (N, C, H, W)."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)
