"""`torchvision.models.densenet`: networks whose layers see all layers before, with torchvision's module names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.shapes import cat
from fdl.stateful.nn import init
from fdl.stateful.nn.activations import ReLU
from fdl.stateful.nn.containers import ModuleDict, Sequential
from fdl.stateful.nn.convolution import Conv2d
from fdl.stateful.nn.functional import adaptive_avg_pool2d, dropout, relu
from fdl.stateful.nn.linear import Linear
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.normalization import BatchNorm2d
from fdl.stateful.nn.pooling import AvgPool2d, MaxPool2d
from fdl.stateful.utils.checkpoint import checkpoint
from fdl.stateful.vision.models.weights import no_weights

__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]


class _DenseLayer(Module):
    """What a layer adds to the maps before it: a narrow convolution of pixels, then one of 3 by 3."""

    def __init__(
        self, num_input_features: int, growth_rate: int, bn_size: int, drop_rate: float, memory_efficient: bool = False
    ) -> None:
        super().__init__()
        wide = bn_size * growth_rate
        self.norm1, self.relu1 = BatchNorm2d(num_input_features), ReLU(inplace=True)
        self.conv1 = Conv2d(num_input_features, wide, 1, bias=False)
        self.norm2, self.relu2 = BatchNorm2d(wide), ReLU(inplace=True)
        self.conv2 = Conv2d(wide, growth_rate, 3, padding=1, bias=False)
        self.drop_rate, self.memory_efficient = float(drop_rate), memory_efficient

    def bn_function(self, *inputs: Tensor) -> Any:
        """All maps before, through the narrow convolution."""
        return self.conv1(self.relu1(self.norm1(cat(list(inputs), 1))))

    def forward(self, input: Any) -> Any:
        before = [input] if isinstance(input, Tensor) else list(input)
        if self.memory_efficient and any(t.requires_grad for t in before):
            narrow = checkpoint(self.bn_function, *before, use_reentrant=False)
        else:
            narrow = self.bn_function(*before)
        new = self.conv2(self.relu2(self.norm2(narrow)))
        return dropout(new, self.drop_rate, self.training) if self.drop_rate > 0 else new


class _DenseBlock(ModuleDict):
    """Layers of which each sees the maps of all before it."""

    def __init__(
        self,
        num_layers: int,
        num_input_features: int,
        bn_size: int,
        growth_rate: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        for i in range(num_layers):
            wide = num_input_features + i * growth_rate
            self.add_module(f"denselayer{i + 1}", _DenseLayer(wide, growth_rate, bn_size, drop_rate, memory_efficient))

    def forward(self, init_features: Tensor) -> Any:
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return cat(features, 1)


class _Transition(Sequential):
    """Fewer maps, of half the size."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm, self.relu = BatchNorm2d(num_input_features), ReLU(inplace=True)
        self.conv, self.pool = Conv2d(num_input_features, num_output_features, 1, bias=False), AvgPool2d(2, 2)


class DenseNet(Module):
    """Densely connected networks for images (Huang, Liu, van der Maaten, Weinberger, 2017)."""

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        wide = num_init_features
        stem = [
            ("conv0", Conv2d(3, wide, 7, 2, 3, bias=False)), ("norm0", BatchNorm2d(wide)),
            ("relu0", ReLU(inplace=True)), ("pool0", MaxPool2d(3, 2, 1)),
        ]  # fmt: skip
        self.features = Sequential(OrderedDict(stem))
        for i, count in enumerate(block_config):
            block = _DenseBlock(count, wide, bn_size, growth_rate, drop_rate, memory_efficient)
            self.features.add_module(f"denseblock{i + 1}", block)
            wide += count * growth_rate
            if i != len(block_config) - 1:
                self.features.add_module(f"transition{i + 1}", _Transition(wide, wide // 2))
                wide //= 2
        self.features.add_module("norm5", BatchNorm2d(wide))
        self.classifier = Linear(wide, num_classes)
        for m in self.modules():
            if isinstance(m, Conv2d):
                init.kaiming_normal_(m.weight)
            elif isinstance(m, Linear):
                init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Any:
        out = relu(self.features(x), inplace=True)
        return self.classifier(adaptive_avg_pool2d(out, (1, 1)).flatten(1))


def _densenet(name: str, growth: int, blocks: Sequence[int], first: int) -> Callable[..., DenseNet]:
    def make(*, weights: Any = None, progress: bool = True, pretrained: bool = False, **kwargs: Any) -> DenseNet:
        no_weights(name, weights, pretrained)
        return DenseNet(growth, blocks, first, **kwargs)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"DenseNet with {name[8:]} layers; its weights are random."
    return make


densenet121 = _densenet("densenet121", 32, (6, 12, 24, 16), 64)
densenet161 = _densenet("densenet161", 48, (6, 12, 36, 24), 96)
densenet169 = _densenet("densenet169", 32, (6, 12, 32, 32), 64)
densenet201 = _densenet("densenet201", 32, (6, 12, 48, 32), 64)
