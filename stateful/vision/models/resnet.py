"""`torchvision.models`: ResNet and VGG, with torchvision's module names, so that its state dicts load. Weights come
from the user's files.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.nn import init
from fdl.stateful.nn.activations import ReLU
from fdl.stateful.nn.containers import Sequential
from fdl.stateful.nn.convolution import Conv2d
from fdl.stateful.nn.dropouts import Dropout
from fdl.stateful.nn.linear import Linear
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.normalization import BatchNorm2d
from fdl.stateful.nn.pooling import AdaptiveAvgPool2d, MaxPool2d

__all__ = [
    "VGG", "BasicBlock", "Bottleneck", "ResNet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "vgg11",
    "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn",
    "vgg19", "vgg19_bn",
]  # fmt: skip


class WeightsEnum(enum.Enum):
    """Names of trained weights, which are not here: a model that is asked for them says so."""

    @property
    def url(self) -> str:
        """Where torchvision's users find them; nothing is downloaded."""
        return f"https://download.pytorch.org/models/ ({self.value})"


def _weights(model: str) -> type[WeightsEnum]:
    """The names of a model's trained weights, as torchvision has them."""
    title = model.replace("resnet", "ResNet").replace("vgg", "VGG").replace("_bn", "_BN")
    members = {"IMAGENET1K_V1": f"{model}.IMAGENET1K_V1", "DEFAULT": f"{model}.IMAGENET1K_V1"}
    found: Any = WeightsEnum(f"{title}_Weights", members, module=__name__)  # type: ignore[call-arg]
    found.__doc__ = f"Trained weights of {model}, by their names; they come from the user's files."
    return found  # type: ignore[no-any-return]


def _no_weights(name: str, weights: Any, pretrained: bool) -> None:
    if weights is not None or pretrained:
        raise TensorError(
            f"{name}: trained weights are not downloaded; make the model without, and load a file that you have: "
            f'model = {name}(); model.load_state_dict(torch.load("{name}.pth", weights_only=True))'
        )


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> Conv2d:
    return Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class BasicBlock(Module):
    """Two convolutions and a way around them (He and others, 2016)."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Module | None = None,
        norm_layer: Callable[[int], Any] = BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inplanes, planes, 3, stride), norm_layer(planes)
        self.relu = ReLU(inplace=True)
        self.conv2, self.bn2 = _conv(planes, planes, 3), norm_layer(planes)
        self.downsample, self.stride = downsample, stride

    def forward(self, x: Tensor) -> Any:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(Module):
    """Three convolutions, of which the middle one is narrow, and a way around them."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Module | None = None,
        norm_layer: Callable[[int], Any] = BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inplanes, planes, 1), norm_layer(planes)
        self.conv2, self.bn2 = _conv(planes, planes, 3, stride), norm_layer(planes)
        self.conv3, self.bn3 = _conv(planes, planes * self.expansion, 1), norm_layer(planes * self.expansion)
        self.relu = ReLU(inplace=True)
        self.downsample, self.stride = downsample, stride

    def forward(self, x: Tensor) -> Any:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(Module):
    """Deep residual networks for images (He, Zhang, Ren, Sun, 2016)."""

    def __init__(
        self,
        block: Any,
        layers: list[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        norm_layer: Callable[[int], Any] = BatchNorm2d,
    ) -> None:
        super().__init__()
        self.inplanes, self._norm_layer = 64, norm_layer
        self.conv1, self.bn1 = Conv2d(3, 64, 7, 2, 3, bias=False), norm_layer(64)
        self.relu, self.maxpool = ReLU(inplace=True), MaxPool2d(3, 2, 1)
        self.layer1 = self._stage(block, 64, layers[0], 1)
        self.layer2 = self._stage(block, 128, layers[1], 2)
        self.layer3 = self._stage(block, 256, layers[2], 2)
        self.layer4 = self._stage(block, 512, layers[3], 2)
        self.avgpool, self.fc = AdaptiveAvgPool2d((1, 1)), Linear(512 * block.expansion, num_classes)
        for m in self.modules():
            if isinstance(m, Conv2d):
                init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, (BasicBlock, Bottleneck)) and zero_init_residual:
                init.zeros_((m.bn3 if isinstance(m, Bottleneck) else m.bn2).weight)

    def _stage(self, block: Any, planes: int, count: int, stride: int) -> Sequential:
        wide, downsample = planes * block.expansion, None
        if stride != 1 or self.inplanes != wide:
            downsample = Sequential(_conv(self.inplanes, wide, 1, stride), self._norm_layer(wide))
        blocks = [block(self.inplanes, planes, stride, downsample, self._norm_layer)]
        self.inplanes = wide
        return Sequential(*blocks, *(block(wide, planes, norm_layer=self._norm_layer) for _ in range(1, count)))

    def forward(self, x: Tensor) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _resnet(name: str, block: Any, layers: list[int]) -> Callable[..., ResNet]:
    def make(*, weights: Any = None, progress: bool = True, pretrained: bool = False, **kwargs: Any) -> ResNet:
        _no_weights(name, weights, pretrained)
        return ResNet(block, layers, **kwargs)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"ResNet with {name[6:]} layers; its weights are random."
    return make


resnet18, resnet34 = _resnet("resnet18", BasicBlock, [2, 2, 2, 2]), _resnet("resnet34", BasicBlock, [3, 4, 6, 3])
resnet50, resnet101 = _resnet("resnet50", Bottleneck, [3, 4, 6, 3]), _resnet("resnet101", Bottleneck, [3, 4, 23, 3])
resnet152 = _resnet("resnet152", Bottleneck, [3, 8, 36, 3])


class VGG(Module):
    """Deep networks of small convolutions (Simonyan, Zisserman, 2015)."""

    def __init__(
        self, features: Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features, self.avgpool = features, AdaptiveAvgPool2d((7, 7))
        self.classifier = Sequential(
            Linear(512 * 7 * 7, 4096),
            ReLU(True),
            Dropout(dropout),
            Linear(4096, 4096),
            ReLU(True),
            Dropout(dropout),
            Linear(4096, num_classes),
        )
        for m in self.modules() if init_weights else ():
            if isinstance(m, Conv2d):
                init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
                init.zeros_(m.bias)
            elif isinstance(m, Linear):
                init.normal_(m.weight, 0, 0.01)
                init.zeros_(m.bias)

    def forward(self, x: Tensor) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


_DEPTHS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}  # convolutions of each width


def _vgg(depth: int, batch_norm: bool) -> Callable[..., VGG]:
    name = f"vgg{depth}{'_bn' if batch_norm else ''}"

    def make(*, weights: Any = None, progress: bool = True, pretrained: bool = False, **kwargs: Any) -> VGG:
        _no_weights(name, weights, pretrained)
        layers: list[Module] = []
        inputs = 3
        for width, count in zip((64, 128, 256, 512, 512), _DEPTHS[depth], strict=True):
            for _ in range(count):
                layers += [
                    Conv2d(inputs, width, 3, padding=1),
                    *([BatchNorm2d(width)] if batch_norm else []),
                    ReLU(inplace=True),
                ]
                inputs = width
            layers.append(MaxPool2d(2, 2))
        return VGG(Sequential(*layers), **kwargs)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"VGG with {depth} layers{' and batch normalisation' if batch_norm else ''}; its weights are random."
    return make


vgg11, vgg13, vgg16, vgg19 = (_vgg(depth, False) for depth in _DEPTHS)
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (_vgg(depth, True) for depth in _DEPTHS)

_RESNETS, _VGGS = (18, 34, 50, 101, 152), [f"{depth}{norm}" for depth in _DEPTHS for norm in ("", "_bn")]
WEIGHTS = {w.__name__: w for w in map(_weights, [*(f"resnet{n}" for n in _RESNETS), *(f"vgg{n}" for n in _VGGS)])}
globals().update(WEIGHTS)
__all__ += WEIGHTS
