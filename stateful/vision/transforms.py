"""`torchvision.transforms`: changes of images, which are tensors (C, H, W) in [0, 1], or arrays (H, W) and (H, W, C) of bytes before `ToTensor`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.stateful._random import default_generator
from fdl.stateful._tensor import Tensor
from fdl.stateful.functions.creation import from_numpy, tensor
from fdl.stateful.functions.shapes import flip
from fdl.stateful.nn import functional as F

__all__ = [
    "CenterCrop", "ColorJitter", "Compose", "GaussianBlur", "Grayscale", "Lambda", "Normalize", "Pad", "RandomCrop", "RandomGrayscale", "RandomHorizontalFlip", "RandomResizedCrop",
    "RandomRotation", "RandomVerticalFlip", "Resize", "ToTensor",
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


class ToTensor:
    """An array of bytes (H, W) or (H, W, C), or a PIL image, as a float tensor (C, H, W) in [0, 1]."""

    def __call__(self, pic: Any) -> Tensor:
        values = np.asarray(pic)
        values = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
        scaled = values.astype(np.float32) / 255 if values.dtype == np.uint8 else values
        return from_numpy(np.ascontiguousarray(scaled))

    def __repr__(self) -> str:
        return "ToTensor()"


class Normalize:
    """Less the mean over the standard deviation, channel by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean, self.std = mean, std

    def __call__(self, x: Any) -> Any:
        shape = (-1, *[1] * 2)
        return (x - tensor(list(self.mean), dtype=x.dtype).view(*shape)) / tensor(list(self.std), dtype=x.dtype).view(*shape)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Lambda:
    """A function of the user's."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)


class _OfImages:
    """A change of tensors (..., C, H, W), given by `apply`; arrays of bytes and PIL images become such a tensor, and what comes out bytes again."""

    def __call__(self, img: Any) -> Any:
        if isinstance(img, Tensor):
            return self.apply(img)
        values = np.asarray(img)
        planes = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
        out = np.asarray(self.apply(from_numpy(np.ascontiguousarray(planes.astype(np.float32)))).detach()._value()._numpy())
        out = out if values.dtype != np.uint8 else np.clip(np.rint(out), 0, 255).astype(np.uint8)
        return out[0] if values.ndim == 2 and len(out) == 1 else out.transpose(1, 2, 0)

    def apply(self, img: Tensor) -> Any:
        raise NotImplementedError(self)


class _Flip(_OfImages):
    dim: int

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def apply(self, img: Any) -> Any:
        return flip(img, self.dim) if _rng().random() < self.p else img


class RandomHorizontalFlip(_Flip):
    """Left and right exchanged, with a probability."""

    dim = -1


class RandomVerticalFlip(_Flip):
    """Top and bottom exchanged, with a probability."""

    dim = -2


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (tuple(size) if len(size) == 2 else (size[0], size[0]))


class Pad(_OfImages):
    """Borders around the image."""

    def __init__(self, padding: Any, fill: float = 0, padding_mode: str = "constant") -> None:
        left, top, right, bottom = (padding,) * 4 if isinstance(padding, int) else (*padding, *padding) if len(padding) == 2 else tuple(padding)
        self.edges, self.fill = (left, right, top, bottom), fill
        self.mode = {"edge": "replicate", "symmetric": "reflect"}.get(padding_mode, padding_mode)

    def apply(self, img: Any) -> Any:
        return F.pad(img, self.edges, self.mode, self.fill if self.mode == "constant" else None)


class RandomCrop(_OfImages):
    """A part of a size, at a random place."""

    def __init__(self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: float = 0, padding_mode: str = "constant") -> None:
        self.size, self.pad = _pair(size), None if padding is None else Pad(padding, fill, padding_mode)

    def apply(self, img: Any) -> Any:
        img = img if self.pad is None else self.pad.apply(img)
        (h, w), rng = self.size, _rng()
        if img.shape[-2] < h or img.shape[-1] < w:
            raise ValueError(f"Required crop size {(h, w)} is larger than input image size {tuple(img.shape[-2:])}")
        top, left = int(rng.integers(0, img.shape[-2] - h + 1)), int(rng.integers(0, img.shape[-1] - w + 1))
        return img[..., top : top + h, left : left + w]


class CenterCrop(_OfImages):
    """The middle part of a size."""

    def __init__(self, size: Any) -> None:
        self.size = _pair(size)

    def apply(self, img: Any) -> Any:
        h, w = self.size
        top, left = round((img.shape[-2] - h) / 2.0), round((img.shape[-1] - w) / 2.0)
        return img[..., top : top + h, left : left + w]


def _resized(img: Any, size: tuple[int, int]) -> Any:
    out = F.interpolate(img.unsqueeze(0), size, mode="bilinear", align_corners=False, antialias=True)
    return out.squeeze(0)


class Resize(_OfImages):
    """Another size; one number is the shorter side."""

    def __init__(self, size: Any, *args: Any, **kwargs: Any) -> None:
        self.size = size

    def apply(self, img: Any) -> Any:
        h, w = img.shape[-2:]
        if isinstance(self.size, int):
            short = min(h, w)
            return _resized(img, (int(self.size * h / short), int(self.size * w / short)))
        return _resized(img, _pair(self.size))


class RandomResizedCrop(_OfImages):
    """A part of random size and shape, made a size."""

    def __init__(self, size: Any, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3), *args: Any, **kwargs: Any) -> None:
        self.size, self.scale, self.ratio = _pair(size), scale, ratio

    def apply(self, img: Any) -> Any:
        h, w = img.shape[-2:]
        rng = _rng()
        for _ in range(10):
            area, ratio = h * w * rng.uniform(*self.scale), math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            a, b = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < a <= h and 0 < b <= w:
                top, left = int(rng.integers(0, h - a + 1)), int(rng.integers(0, w - b + 1))
                return _resized(img[..., top : top + a, left : left + b], self.size)
        return _resized(CenterCrop(min(h, w)).apply(img), self.size)


class RandomRotation(_OfImages):
    """Turned by a random angle, in degrees; zeros where nothing was."""

    def __init__(self, degrees: Any, *args: Any, **kwargs: Any) -> None:
        self.degrees = (-degrees, degrees) if isinstance(degrees, (int, float)) else tuple(degrees)

    def apply(self, img: Any) -> Any:
        angle = math.radians(float(_rng().uniform(*self.degrees)))
        h, w = img.shape[-2:]
        c, s = math.cos(angle), math.sin(angle)
        theta = tensor([[[c, -s * h / w, 0.0], [s * w / h, c, 0.0]]], dtype=img.dtype)
        grid = F.affine_grid(theta, (1, img.shape[-3], h, w), align_corners=False)
        return F.grid_sample(img.unsqueeze(0), grid, mode="nearest", align_corners=False).squeeze(0)


class RandomGrayscale(_OfImages):
    """The brightness of colours, in as many channels, with a probability."""

    def __init__(self, p: float = 0.1) -> None:
        self.p = p

    def apply(self, img: Any) -> Any:
        return Grayscale(img.shape[-3]).apply(img) if _rng().random() < self.p else img


class ColorJitter(_OfImages):
    """Brightness, contrast and saturation times random factors around 1; the hue stays."""

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0) -> None:
        if hue:
            raise NotImplementedError("ColorJitter: hue is not turned; brightness, contrast and saturation are")
        self.ranges = [tuple(x) if isinstance(x, (tuple, list)) else (max(0.0, 1 - x), 1 + x) for x in (brightness, contrast, saturation)]

    def apply(self, img: Any) -> Any:
        top, rng = 1.0 if float(img.max()) <= 1 else 255.0, _rng()
        for k in rng.permutation(3):
            factor = float(rng.uniform(*self.ranges[k]))
            gray = Grayscale(1).apply(img) if img.shape[-3] == 3 else img
            other = (0.0 * img, gray.mean(), gray)[k]
            img = (factor * img + (1 - factor) * other).clamp(0, top)
        return img


class GaussianBlur(_OfImages):
    """Blurred by a Gaussian of random width."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        self.size, self.sigma = _pair(kernel_size), (sigma, sigma) if isinstance(sigma, (int, float)) else tuple(sigma)

    def apply(self, img: Any) -> Any:
        sigma = float(_rng().uniform(*self.sigma))
        kernels = [np.exp(-0.5 * (np.arange(n) - n // 2) ** 2 / sigma**2) for n in self.size]
        kernel = np.outer(*[k / k.sum() for k in kernels]).astype(np.float32)
        weight = from_numpy(np.repeat(kernel[None, None], img.shape[-3], 0))
        h, w = self.size
        padded = F.pad(img.unsqueeze(0), (w // 2, w // 2, h // 2, h // 2), "reflect")
        return F.conv2d(padded, weight, groups=img.shape[-3]).squeeze(0)


class Grayscale(_OfImages):
    """The brightness of colours."""

    def __init__(self, num_output_channels: int = 1) -> None:
        self.channels = num_output_channels

    def apply(self, img: Any) -> Any:
        weights = tensor([0.2989, 0.587, 0.114], dtype=img.dtype).view(3, 1, 1)
        gray = (img * weights).sum(-3, keepdim=True)
        return gray.expand(self.channels, *gray.shape[-2:]) if self.channels > 1 else gray
