"""`torchvision.models.mobilenet`: small networks of convolutions by channel, with torchvision's module names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.nn import init
from fdl.stateful.nn.activations import ReLU6
from fdl.stateful.nn.containers import Sequential
from fdl.stateful.nn.convolution import Conv2d
from fdl.stateful.nn.dropouts import Dropout
from fdl.stateful.nn.functional import adaptive_avg_pool2d
from fdl.stateful.nn.linear import Linear
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.normalization import BatchNorm2d, GroupNorm
from fdl.stateful.vision.models.weights import no_weights

__all__ = ["InvertedResidual", "MobileNetV2", "mobilenet_v2"]

Norm = Callable[[int], Any]
_SETTING = (  # how much wider within, channels, blocks, stride of the first of them
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip


def _make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` next to v, not below `min_value` nor 10 % below v."""
    found = max(divisor if min_value is None else min_value, int(v + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * v else found


def _layer(inputs: int, outputs: int, size: int, norm: Norm, stride: int = 1, groups: int = 1) -> Sequential:
    conv = Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return Sequential(conv, norm(outputs), ReLU6(inplace=True))


class InvertedResidual(Module):
    """Wider, filtered channel by channel, narrower again; with a way around where the shape stays."""

    def __init__(self, inp: int, oup: int, stride: int, expand_ratio: int, norm_layer: Norm | None = None) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ArgumentError(f"stride should be 1 or 2 instead of {stride}")
        norm, wide = norm_layer or BatchNorm2d, round(inp * expand_ratio)
        first = [] if expand_ratio == 1 else [_layer(inp, wide, 1, norm)]
        narrow = (Conv2d(wide, oup, 1, bias=False), norm(oup))
        self.stride, self.use_res_connect, self.out_channels = stride, stride == 1 and inp == oup, oup
        self.conv = Sequential(*first, _layer(wide, wide, 3, norm, stride, wide), *narrow)

    def forward(self, x: Tensor) -> Any:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(Module):
    """Small networks for images (Sandler and others, 2018), `width_mult` times as wide."""

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., Module] | None = None,
        norm_layer: Norm | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        block, norm, settings = block or InvertedResidual, norm_layer or BatchNorm2d, inverted_residual_setting
        settings = _SETTING if settings is None else settings
        if not settings or len(settings[0]) != 4:
            raise ArgumentError(f"inverted_residual_setting should be a non-empty list of 4 numbers, got {settings}")
        inputs = _make_divisible(32 * width_mult, round_nearest)
        self.last_channel = _make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[Module] = [_layer(3, inputs, 3, norm, 2)]
        for wider, channels, count, stride in settings:
            outputs = _make_divisible(channels * width_mult, round_nearest)
            for i in range(count):
                made = block(inputs, outputs, stride if i == 0 else 1, expand_ratio=wider, norm_layer=norm)
                features.append(made)
                inputs = outputs
        self.features = Sequential(*features, _layer(inputs, self.last_channel, 1, norm))
        self.classifier = Sequential(Dropout(dropout), Linear(self.last_channel, num_classes))
        for m in self.modules():
            if isinstance(m, Conv2d):
                init.kaiming_normal_(m.weight, mode="fan_out")
                if m.bias is not None:
                    init.zeros_(m.bias)
            elif isinstance(m, (BatchNorm2d, GroupNorm)):
                init.ones_(m.weight)
                init.zeros_(m.bias)
            elif isinstance(m, Linear):
                init.normal_(m.weight, 0, 0.01)
                init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Any:
        return self.classifier(adaptive_avg_pool2d(self.features(x), (1, 1)).flatten(1))


def mobilenet_v2(*, weights: Any = None, progress: bool = True, pretrained: bool = False, **kwargs: Any) -> MobileNetV2:
    """MobileNet of the second version; its weights are random."""
    no_weights("mobilenet_v2", weights, pretrained)
    return MobileNetV2(**kwargs)
