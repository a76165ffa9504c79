"""`torchvision.models.vgg`: deep networks of small convolutions, with torchvision's module names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
from fdl.stateful.vision.models.weights import no_weights

__all__ = [
    "VGG", "make_layers", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
]  # fmt: skip


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


def make_layers(cfg: Sequence[int | str], batch_norm: bool = False) -> Sequential:
    """Convolutions of these widths, and a halving of the image for each "M"."""
    layers: list[Module] = []
    inputs = 3
    for width in cfg:
        if isinstance(width, str):
            layers.append(MaxPool2d(2, 2))
        else:
            norm = [BatchNorm2d(width)] if batch_norm else []
            layers += [Conv2d(inputs, width, 3, padding=1), *norm, ReLU(inplace=True)]
            inputs = width
    return Sequential(*layers)


DEPTHS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}  # convolutions of each width


def _vgg(depth: int, batch_norm: bool) -> Callable[..., VGG]:
    name = f"vgg{depth}{'_bn' if batch_norm else ''}"

    def make(*, weights: Any = None, progress: bool = True, pretrained: bool = False, **kwargs: Any) -> VGG:
        no_weights(name, weights, pretrained)
        counts = zip((64, 128, 256, 512, 512), DEPTHS[depth], strict=True)
        widths: list[int | str] = []
        for width, count in counts:
            widths += [*[width] * count, "M"]
        return VGG(make_layers(widths, batch_norm), **kwargs)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"VGG with {depth} layers{' and batch normalisation' if batch_norm else ''}; its weights are random."
    return make


vgg11, vgg13, vgg16, vgg19 = (_vgg(depth, False) for depth in DEPTHS)
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (_vgg(depth, True) for depth in DEPTHS)
