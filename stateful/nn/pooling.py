"""Pooling, padding and resampling as layers: each keeps the settings of the function that it calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from fdl.stateful.core.errors import ArgumentError, OperandError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.nn import functional as F
from fdl.stateful.nn.functional.convolution import sizes_of
from fdl.stateful.nn.module import Module

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AvgPool1d",
    "AvgPool2d", "AvgPool3d", "ChannelShuffle", "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d",
    "ConstantPad2d", "ConstantPad3d",
    "FractionalMaxPool2d", "FractionalMaxPool3d", "LPPool1d", "LPPool2d", "LPPool3d", "MaxPool1d", "MaxPool2d",
    "MaxPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",
    "PixelShuffle",
    "PixelUnshuffle", "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "Upsample",
    "UpsamplingBilinear2d", "UpsamplingNearest2d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Settings(Module):
    """Calls `function(input, **settings)`; the constructor's arguments have the names of `defaults`, those without a
    default come first.
    """

    function: Callable[..., Any]
    defaults: ClassVar[dict[str, Any]] = {}
    shown: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        settings = F.settings_of(f"{type(self).__name__}.__init__", self.defaults, args, kwargs)
        for name, value in settings.items():
            if value is _NEEDED:
                raise OperandError(f"{type(self).__name__}.__init__() missing 1 required positional argument: '{name}'")
            self.__dict__[name] = value
        if "padding" in settings and settings["stride"] is None:
            self.__dict__["stride"] = settings["kernel_size"]

    def forward(self, input: Tensor) -> Any:
        """The function of the settings."""
        return type(self).function(input, **{name: self.__dict__[name] for name in self.defaults})

    def extra_repr(self) -> str:
        """The settings."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in (self.shown or self.defaults))


_NEEDED = object()


def _layer(name: str, function: Callable[..., Any], shown: tuple[str, ...] = (), **defaults: Any) -> Any:
    body = {
        "function": staticmethod(function),
        "defaults": defaults,
        "shown": shown,
        "__doc__": f"`{function.__name__}` as a layer.",
        "__module__": __name__,
    }
    return type(name, (_Settings,), body)


_MAX: dict[str, Any] = {
    "kernel_size": _NEEDED,
    "stride": None,
    "padding": 0,
    "dilation": 1,
    "return_indices": False,
    "ceil_mode": False,
}
_MAX_SHOWN = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_AVG: dict[str, Any] = {
    "kernel_size": _NEEDED,
    "stride": None,
    "padding": 0,
    "ceil_mode": False,
    "count_include_pad": True,
}
_AVG_SHOWN = ("kernel_size", "stride", "padding")
MaxPool1d, MaxPool2d, MaxPool3d = (
    _layer(f"MaxPool{n}d", f, _MAX_SHOWN, **_MAX) for n, f in ((1, F.max_pool1d), (2, F.max_pool2d), (3, F.max_pool3d))
)


class AvgPool1d(_layer("AvgPool1d", F.avg_pool1d, _AVG_SHOWN, **_AVG)):  # type: ignore[misc]
    """`avg_pool1d` as a layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("kernel_size", "stride", "padding"):
            self.__dict__[name] = sizes_of(self.__dict__[name], 1)


AvgPool2d = _layer("AvgPool2d", F.avg_pool2d, _AVG_SHOWN, **_AVG, divisor_override=None)
AvgPool3d = _layer("AvgPool3d", F.avg_pool3d, _AVG_SHOWN, **_AVG, divisor_override=None)
_LP: dict[str, Any] = {"norm_type": _NEEDED, "kernel_size": _NEEDED, "stride": None, "ceil_mode": False}
LPPool1d, LPPool2d, LPPool3d = (
    _layer(f"LPPool{n}d", f, **_LP) for n, f in ((1, F.lp_pool1d), (2, F.lp_pool2d), (3, F.lp_pool3d))
)
AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d = (
    _layer(f"AdaptiveAvgPool{n}d", f, output_size=_NEEDED)
    for n, f in ((1, F.adaptive_avg_pool1d), (2, F.adaptive_avg_pool2d), (3, F.adaptive_avg_pool3d))
)
AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d = (
    _layer(f"AdaptiveMaxPool{n}d", f, ("output_size",), output_size=_NEEDED, return_indices=False)
    for n, f in ((1, F.adaptive_max_pool1d), (2, F.adaptive_max_pool2d), (3, F.adaptive_max_pool3d))
)


class _Unpool(Module):
    """Settings of `max_unpool`."""

    rank: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = sizes_of(kernel_size, self.rank)
        self.stride = self.kernel_size if stride is None else sizes_of(stride, self.rank)
        self.padding = sizes_of(padding, self.rank)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Any:
        """Elements put back at `indices`."""
        return (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.rank - 1](
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        """The settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_Unpool):
    """`max_unpool1d` as a layer."""

    rank = 1


class MaxUnpool2d(_Unpool):
    """`max_unpool2d` as a layer."""

    rank = 2


class MaxUnpool3d(_Unpool):
    """`max_unpool3d` as a layer."""

    rank = 3


class _Fractional(Module):
    """Settings of `fractional_max_pool`."""

    rank: int

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        self.kernel_size, self.return_indices = sizes_of(kernel_size, self.rank), return_indices
        self.output_size = None if output_size is None else sizes_of(output_size, self.rank)
        self.output_ratio = (output_ratio,) * self.rank if isinstance(output_ratio, float) else output_ratio
        self.register_buffer("_random_samples", _random_samples)
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(f"{type(self).__name__} requires specifying either an output size, or a pooling ratio")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ArgumentError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        """Maxima of windows at random places."""
        function = F.fractional_max_pool2d if self.rank == 2 else F.fractional_max_pool3d
        return function(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool2d(_Fractional):
    """`fractional_max_pool2d` as a layer."""

    rank = 2


class FractionalMaxPool3d(_Fractional):
    """`fractional_max_pool3d` as a layer."""

    rank = 3


# Padding


class _Pad(Module):
    """Calls `pad` with one number for all edges, or with all of them."""

    rank: int
    mode: str
    value: Any = None

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.rank) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Any:
        """The input with borders."""
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The edges."""
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        """Edges and value."""
        return f"padding={self.padding}, value={self.value}"


def _pads(name: str, base: type, **attributes: Any) -> list[Any]:
    doc = f"Borders of kind `{attributes.get('mode', 'constant')}`."
    return [
        type(f"{name}{n}d", (base,), {"rank": n, "__doc__": doc, "__module__": __name__, **attributes})
        for n in (1, 2, 3)
    ]


ConstantPad1d, ConstantPad2d, ConstantPad3d = _pads("ConstantPad", _ConstantPad)
ZeroPad1d, ZeroPad2d, ZeroPad3d = _pads("ZeroPad", _Pad, mode="constant", value=0.0)
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = _pads("ReflectionPad", _Pad, mode="reflect")
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = _pads("ReplicationPad", _Pad, mode="replicate")
CircularPad1d, CircularPad2d, CircularPad3d = _pads("CircularPad", _Pad, mode="circular")

# Resampling


class Upsample(Module):
    """`interpolate` as a layer."""

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size, self.mode, self.align_corners, self.recompute_scale_factor = (
            size,
            mode,
            align_corners,
            recompute_scale_factor,
        )
        self.scale_factor = (
            tuple(map(float, scale_factor))
            if isinstance(scale_factor, (tuple, list))
            else None
            if scale_factor is None
            else float(scale_factor)
        )

    def forward(self, input: Tensor) -> Any:
        """Space of another size."""
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        """Size and mode."""
        return (
            f"scale_factor={self.scale_factor}, mode={self.mode!r}"
            if self.scale_factor is not None
            else f"size={self.size}, mode={self.mode!r}"
        )


class UpsamplingNearest2d(Upsample):
    """`Upsample` with mode nearest."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample` with mode bilinear and aligned corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


PixelShuffle = _layer("PixelShuffle", F.pixel_shuffle, upscale_factor=_NEEDED)
PixelUnshuffle = _layer("PixelUnshuffle", F.pixel_unshuffle, downscale_factor=_NEEDED)
ChannelShuffle = _layer("ChannelShuffle", F.channel_shuffle, groups=_NEEDED)
