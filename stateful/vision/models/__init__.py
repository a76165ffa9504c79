"""`torchvision.models`: networks for images, with torchvision's module names, so that its state dicts load. Weights
come from the user's files.
"""

from fdl.stateful.vision.models import densenet, mobilenet, resnet, vgg
from fdl.stateful.vision.models.densenet import DenseNet
from fdl.stateful.vision.models.mobilenet import MobileNetV2
from fdl.stateful.vision.models.resnet import BasicBlock, Bottleneck, ResNet
from fdl.stateful.vision.models.vgg import VGG
from fdl.stateful.vision.models.weights import WeightsEnum, weights_of

# Functions that make a model
MODELS = {
    name: make
    for file in (densenet, mobilenet, resnet, vgg)
    for name in file.__all__
    if name.islower() and name not in ("conv1x1", "conv3x3", "make_layers") and callable(make := getattr(file, name))
}
globals().update(MODELS)
__all__ = [
    "BasicBlock", "Bottleneck", "DenseNet", "MobileNetV2", "ResNet", "VGG", "WeightsEnum", "densenet", "mobilenet",
    "resnet", "vgg",
]  # fmt: skip


def _title(model: str) -> str:
    """What torchvision's class of a model's weights begins with: ResNet18 for resnet18."""
    for plain, title in (
        ("resnet", "ResNet"), ("wide_", "Wide_"), ("resnext", "ResNeXt"), ("x4d", "X4D"), ("x8d", "X8D"),
        ("densenet", "DenseNet"), ("vgg", "VGG"), ("_bn", "_BN"), ("mobilenet_v2", "MobileNet_V2"),
    ):  # fmt: skip
        model = model.replace(plain, title)
    return model


WEIGHTS = {w.__name__: w for w in (weights_of(name, _title(name)) for name in MODELS)}
globals().update(WEIGHTS)
__all__ += [*MODELS, *WEIGHTS]
