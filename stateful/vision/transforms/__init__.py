"""`torchvision.transforms`: changes of images, as objects; `functional` has them as functions, and says what an image
is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.random import default_generator
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.vision.transforms import functional
from fdl.stateful.vision.transforms.functional import InterpolationMode, get_dimensions, pair

__all__ = [
    "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype", "GaussianBlur", "Grayscale", "InterpolationMode",
    "Lambda", "Normalize", "PILToTensor", "Pad", "RandomApply",
    "RandomChoice", "RandomCrop", "RandomGrayscale", "RandomHorizontalFlip", "RandomResizedCrop", "RandomRotation",
    "RandomVerticalFlip", "Resize", "ToPILImage", "ToTensor",
    "functional",
]  # fmt: skip


def _rng() -> np.random.Generator:
    return default_generator.numpy()


class Compose:
    """One after another."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, img: Any) -> Any:
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self) -> str:
        return "Compose(\n" + "\n".join(f"    {t}" for t in self.transforms) + "\n)"


class RandomApply:
    """Some transforms one after another, with a probability."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        self.transforms, self.p = transforms, p

    def __call__(self, img: Any) -> Any:
        return Compose(self.transforms)(img) if _rng().random() < self.p else img


class RandomChoice:
    """One of some transforms."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: Sequence[float] | None = None) -> None:
        self.transforms, self.p = transforms, None if p is None else np.asarray(p) / np.sum(p)

    def __call__(self, img: Any) -> Any:
        return self.transforms[int(_rng().choice(len(self.transforms), p=self.p))](img)


class ToTensor:
    """An array of bytes (H, W) or (H, W, C), or a PIL image, as a float tensor (C, H, W) in [0, 1]."""

    def __call__(self, pic: Any) -> Tensor:
        return functional.to_tensor(pic)

    def __repr__(self) -> str:
        return "ToTensor()"


class PILToTensor:
    """A PIL image as a tensor of its values (C, H, W)."""

    def __call__(self, pic: Any) -> Tensor:
        return functional.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return "PILToTensor()"


class ToPILImage:
    """A tensor (C, H, W), or an array (H, W) or (H, W, C), as a PIL image."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return functional.to_pil_image(pic, self.mode)


class ConvertImageDtype:
    """Bytes as floats in [0, 1], or floats as bytes."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __call__(self, image: Tensor) -> Tensor:
        return functional.convert_image_dtype(image, self.dtype)


class Normalize:
    """Less the mean over the standard deviation, channel by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean, self.std = mean, std

    def __call__(self, x: Any) -> Any:
        return functional.normalize(x, self.mean, self.std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Lambda:
    """A function of the user's."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)


class RandomHorizontalFlip:
    """Left and right exchanged, with a probability."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, img: Any) -> Any:
        return functional.hflip(img) if _rng().random() < self.p else img


class RandomVerticalFlip:
    """Top and bottom exchanged, with a probability."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, img: Any) -> Any:
        return functional.vflip(img) if _rng().random() < self.p else img


class Pad:
    """Borders around the image."""

    def __init__(self, padding: Any, fill: float = 0, padding_mode: str = "constant") -> None:
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def __call__(self, img: Any) -> Any:
        return functional.pad(img, self.padding, self.fill, self.padding_mode)


class RandomCrop:
    """A part of a size, at a random place."""

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: float = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size, self.padding, self.pad_if_needed, self.fill, self.padding_mode = (
            pair(size),
            padding,
            pad_if_needed,
            fill,
            padding_mode,
        )

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a part at a random place."""
        (height, width), (_, h, w) = output_size, get_dimensions(img)
        if h < height or w < width:
            raise ArgumentError(f"Required crop size {(height, width)} is larger than input image size {(h, w)}")
        rng = _rng()
        return int(rng.integers(0, h - height + 1)), int(rng.integers(0, w - width + 1)), height, width

    def __call__(self, img: Any) -> Any:
        if self.padding is not None:
            img = functional.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            _, h, w = get_dimensions(img)
            down, across = max(self.size[0] - h, 0), max(self.size[1] - w, 0)
            img = functional.pad(img, [across, down], self.fill, self.padding_mode) if down or across else img
        return functional.crop(img, *self.get_params(img, self.size))


class CenterCrop:
    """The middle part of a size."""

    def __init__(self, size: Any) -> None:
        self.size = pair(size)

    def __call__(self, img: Any) -> Any:
        return functional.center_crop(img, self.size)


class Resize:
    """Another size; one number is the shorter side."""

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        self.size, self.interpolation, self.max_size, self.antialias = size, interpolation, max_size, antialias

    def __call__(self, img: Any) -> Any:
        return functional.resize(img, self.size, self.interpolation, self.max_size, self.antialias)


class RandomResizedCrop:
    """A part of random size and shape, made a size."""

    def __init__(
        self,
        size: Any,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        self.size, self.scale, self.ratio, self.interpolation, self.antialias = (
            pair(size),
            scale,
            ratio,
            interpolation,
            antialias,
        )

    @staticmethod
    def get_params(img: Any, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a part of random size and shape; the largest one in the middle where ten tries
        do not fit.
        """
        _, h, w = get_dimensions(img)
        rng = _rng()
        for _ in range(10):
            area, shape = (
                h * w * rng.uniform(scale[0], scale[1]),
                math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1]))),
            )
            height, width = round(math.sqrt(area / shape)), round(math.sqrt(area * shape))
            if 0 < height <= h and 0 < width <= w:
                return int(rng.integers(0, h - height + 1)), int(rng.integers(0, w - width + 1)), height, width
        height, width = (
            (round(w / ratio[0]), w) if w / h < ratio[0] else (h, round(h * ratio[1])) if w / h > ratio[1] else (h, w)
        )
        return (h - height) // 2, (w - width) // 2, height, width

    def __call__(self, img: Any) -> Any:
        return functional.resized_crop(
            img, *self.get_params(img, self.scale, self.ratio), self.size, self.interpolation, self.antialias
        )


class RandomRotation:
    """Turned by a random angle, in degrees; zeros where nothing was."""

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        self.degrees = (-degrees, degrees) if isinstance(degrees, (int, float)) else tuple(degrees)
        self.options = {"interpolation": interpolation, "expand": expand, "center": center, "fill": fill}

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """A random angle."""
        return float(_rng().uniform(degrees[0], degrees[1]))

    def __call__(self, img: Any) -> Any:
        return functional.rotate(img, self.get_params(self.degrees), **self.options)


class Grayscale:
    """The brightness of colours."""

    def __init__(self, num_output_channels: int = 1) -> None:
        self.num_output_channels = num_output_channels

    def __call__(self, img: Any) -> Any:
        return functional.rgb_to_grayscale(img, self.num_output_channels)


class RandomGrayscale:
    """The brightness of colours, in as many channels, with a probability."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = p

    def __call__(self, img: Any) -> Any:
        return functional.rgb_to_grayscale(img, get_dimensions(img)[0]) if _rng().random() < self.p else img


class ColorJitter:
    """Brightness, contrast and saturation times random factors around 1, and the hue turned, in random order."""

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        self.brightness, self.contrast, self.saturation = (
            tuple(x) if isinstance(x, (tuple, list)) else (max(0.0, 1 - x), 1 + x)
            for x in (brightness, contrast, saturation)
        )
        self.hue = tuple(hue) if isinstance(hue, (tuple, list)) else (-hue, hue)
        if not -0.5 <= self.hue[0] <= self.hue[1] <= 0.5:
            raise ArgumentError(f"hue values should be between (-0.5, 0.5), but got {self.hue}.")

    def __call__(self, img: Any) -> Any:
        rng = _rng()
        changes = (
            functional.adjust_brightness,
            functional.adjust_contrast,
            functional.adjust_saturation,
            functional.adjust_hue,
        )
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        for k in rng.permutation(4):
            if ranges[k] != ((0, 0) if k == 3 else (1, 1)):
                img = changes[k](img, float(rng.uniform(*ranges[k])))
        return img


class GaussianBlur:
    """Blurred by a Gaussian of random width."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        self.kernel_size, self.sigma = (
            pair(kernel_size),
            (sigma, sigma) if isinstance(sigma, (int, float)) else tuple(sigma),
        )

    def __call__(self, img: Any) -> Any:
        return functional.gaussian_blur(img, self.kernel_size, float(_rng().uniform(*self.sigma)))
