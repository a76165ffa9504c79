"""`torchvision.transforms.functional`: changes of images, which are tensors (..., C, H, W), arrays of bytes (H, W) or
(H, W, C), or PIL images.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.stateful.core.dtypes import of
from fdl.stateful.core.errors import ArgumentError, UnsupportedError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import from_numpy, tensor
from fdl.stateful.functions.elementwise import where
from fdl.stateful.functions.shapes import flip, stack
from fdl.stateful.nn import functional as F

__all__ = [
    "InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_hue", "adjust_saturation", "center_crop",
    "convert_image_dtype", "crop", "gaussian_blur",
    "get_dimensions", "get_image_num_channels", "get_image_size", "hflip", "invert", "normalize", "pad",
    "pil_to_tensor", "resize", "resized_crop", "rgb_to_grayscale", "rotate",
    "to_grayscale", "to_pil_image", "to_tensor", "vflip",
]  # fmt: skip


class InterpolationMode(enum.Enum):
    """How pixels between pixels are made; the last three are Pillow's, for its images alone."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_PILLOW = {"nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
_BY_NUMBER = {number: mode for mode, number in _PILLOW.items() if mode != "nearest-exact"}


def _mode(interpolation: Any) -> str:
    """The name of an interpolation, given as a member of the enumeration, by Pillow's number or as the name."""
    if isinstance(interpolation, InterpolationMode):
        return str(interpolation.value)
    return str(_BY_NUMBER.get(interpolation, interpolation))


def _is_pil(img: Any) -> bool:
    return hasattr(img, "getbands")


def _planes(img: Any) -> np.ndarray[Any, Any]:
    """An image that is no tensor as an array (C, H, W)."""
    values = np.asarray(img)
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def on_images(change: Callable[..., Any]) -> Callable[..., Any]:
    """A change of tensors as one of images of any kind: bytes come back as bytes, rounded, and PIL images as PIL
    images.
    """

    @functools.wraps(change)
    def changed(img: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(img, Tensor):
            return change(img, *args, **kwargs)
        planes = _planes(img)
        out = np.asarray(
            change(from_numpy(np.ascontiguousarray(planes.astype(np.float32))), *args, **kwargs)
            .detach()
            ._value()
            ._numpy()
        )
        out = out if planes.dtype != np.uint8 else np.clip(np.rint(out), 0, 255).astype(np.uint8)
        out = out[0] if np.ndim(img) == 2 and len(out) == 1 else out.transpose(1, 2, 0)
        return to_pil_image(out) if _is_pil(img) else out

    return changed


def pair(size: Any) -> tuple[int, int]:
    """(height, width) of a size that may be one number."""
    return (size, size) if isinstance(size, int) else (tuple(size) if len(size) == 2 else (size[0], size[0]))


# Conversions and sizes


def to_tensor(pic: Any) -> Tensor:
    """An array of bytes (H, W) or (H, W, C), or a PIL image, as a float tensor (C, H, W) in [0, 1]."""
    planes = _planes(pic)
    return from_numpy(np.ascontiguousarray(planes.astype(np.float32) / 255 if planes.dtype == np.uint8 else planes))


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image as a tensor of its values (C, H, W)."""
    return from_numpy(np.ascontiguousarray(_planes(pic)))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) in [0, 1] or of bytes, or an array (H, W) or (H, W, C), as a PIL image."""
    import PIL.Image  # type: ignore[import-untyped,unused-ignore]

    if isinstance(pic, Tensor):
        values = pic.detach()._value()._numpy()
        pic = (
            values[0]
            if values.ndim == 3 and values.shape[0] == 1
            else values.transpose(1, 2, 0)
            if values.ndim == 3
            else values
        )
        pic = pic if pic.dtype == np.uint8 else (pic * 255).astype(np.uint8)
    values = np.ascontiguousarray(pic)
    return PIL.Image.fromarray(values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values, mode)


def convert_image_dtype(image: Tensor, dtype: Any = of("float32")) -> Tensor:
    """Bytes as floats in [0, 1], or floats as bytes."""
    if image.is_floating_point() == tensor(0, dtype=dtype).is_floating_point():
        out = image
    else:
        out = image * 255.999 if image.is_floating_point() else image.to(dtype) / 255
    converted: Tensor = out.to(dtype)
    return converted


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    shape = img.shape if isinstance(img, Tensor) else _planes(img).shape
    return [1 if len(shape) == 2 else int(shape[-3]), int(shape[-2]), int(shape[-1])]


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Any) -> int:
    """The number of channels."""
    return get_dimensions(img)[0]


# Places


@on_images
def hflip(img: Any) -> Any:
    """Left and right exchanged."""
    return flip(img, -1)


@on_images
def vflip(img: Any) -> Any:
    """Top and bottom exchanged."""
    return flip(img, -2)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of an image; zeros where it reaches outside."""
    _, h, w = get_dimensions(img)
    right, bottom = max(left + width - w, 0), max(top + height - h, 0)
    if min(top, left) < 0 or right or bottom:
        img = pad(img, [max(-left, 0), max(-top, 0), right, bottom])
        top, left = max(top, 0), max(left, 0)
    return _part(img, top, left, height, width)


@on_images
def _part(img: Any, top: int, left: int, height: int, width: int) -> Any:
    return img[..., top : top + height, left : left + width]


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle part of a size."""
    (height, width), (_, h, w) = pair(output_size), get_dimensions(img)
    return crop(img, round((h - height) / 2.0), round((w - width) / 2.0), height, width)


@on_images
def pad(img: Any, padding: Any, fill: float = 0, padding_mode: str = "constant") -> Any:
    """Borders around the image: one width, (left and right, top and bottom), or (left, top, right, bottom)."""
    padding = list(padding) if isinstance(padding, (tuple, list)) else [padding]
    left, top, right, bottom = padding * 4 if len(padding) == 1 else padding * 2 if len(padding) == 2 else padding
    mode = {"edge": "replicate", "symmetric": "reflect"}.get(padding_mode, padding_mode)
    return F.pad(img, (left, right, top, bottom), mode, fill if mode == "constant" else None)


def _wanted(h: int, w: int, size: Any, max_size: int | None) -> tuple[int, int]:
    """(height, width) of an image resized: one number is the shorter side, which `max_size` bounds by the longer."""
    if not isinstance(size, int) and len(size) == 2:
        return int(size[0]), int(size[1])
    short, long = sorted((h, w))
    wanted = size if isinstance(size, int) else int(size[0])
    longer = int(wanted * long / short)
    if max_size is not None and longer > max_size:
        wanted, longer = int(max_size * wanted / longer), max_size
    return (wanted, longer) if h <= w else (longer, wanted)


@on_images
def _resized(img: Any, size: tuple[int, int], mode: str, antialias: bool) -> Any:
    smooth = mode in ("bilinear", "bicubic")
    more = {"align_corners": False, "antialias": antialias} if smooth else {}
    single = img.ndim == 3
    out = F.interpolate((img.unsqueeze(0) if single else img).float(), size, mode=mode, **more)
    out = out.squeeze(0) if single else out
    return out if img.is_floating_point() else out.round().clamp(0, 255).to(img.dtype)


def resize(
    img: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Another size; one number is the shorter side, and `max_size` then bounds the longer one. Pillow resizes its own
    images, with each interpolation that it has; ValueError for one that is Pillow's alone, of anything else.
    """
    _, h, w = get_dimensions(img)
    wanted, mode = _wanted(h, w, size, max_size), _mode(interpolation)
    if _is_pil(img):
        return img.resize(wanted[::-1], _PILLOW[mode])
    if mode in ("box", "hamming", "lanczos"):
        raise ValueError(f"This Interpolation mode is unsupported with Tensor input: {mode}")
    return _resized(img, wanted, mode, bool(antialias))


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A part of an image, made a size."""
    return resize(crop(img, top, left, height, width), pair(size), interpolation, antialias=antialias)


@on_images
def rotate(
    img: Any,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """Turned by an angle in degrees, counter-clockwise; zeros where nothing was."""
    if expand or center is not None or fill:
        raise UnsupportedError("rotate: the image keeps its size, turns around its middle, and is filled with zeros")
    h, w = img.shape[-2:]
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    theta = tensor([[[c, -s * h / w, 0.0], [s * w / h, c, 0.0]]], dtype=img.dtype)
    grid = F.affine_grid(theta, (1, img.shape[-3], h, w), align_corners=False)
    return F.grid_sample(img.unsqueeze(0), grid, mode=_mode(interpolation), align_corners=False).squeeze(0)


@on_images
def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Blurred by a Gaussian; its width follows from the size where it is not given."""
    sizes = pair(kernel_size)
    given = (
        (None, None)
        if sigma is None
        else (sigma, sigma)
        if isinstance(sigma, (int, float))
        else tuple(sigma) * (2 // len(sigma))
    )
    widths = [0.3 * ((n - 1) * 0.5 - 1) + 0.8 if x is None else x for n, x in zip(sizes, given, strict=True)]
    rows = [np.exp(-0.5 * (np.arange(n) - (n - 1) / 2) ** 2 / x**2) for n, x in zip(sizes, widths, strict=True)]
    kernel = np.outer(rows[1] / rows[1].sum(), rows[0] / rows[0].sum()).astype(np.float32)  # sizes are (across, down)
    weight = from_numpy(np.repeat(kernel[None, None], img.shape[-3], 0))
    across, down = sizes
    padded = F.pad(img.unsqueeze(0), (across // 2, across // 2, down // 2, down // 2), "reflect")
    return F.conv2d(padded, weight, groups=img.shape[-3]).squeeze(0)


# Colours


def normalize(tensor_: Any, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Any:
    """Less the mean over the standard deviation, channel by channel."""
    if 0 in std:
        raise ArgumentError(f"std evaluated to zero after conversion to {tensor_.dtype}, leading to division by zero.")
    return (tensor_ - tensor(list(mean), dtype=tensor_.dtype).view(-1, 1, 1)) / tensor(
        list(std), dtype=tensor_.dtype
    ).view(-1, 1, 1)


def _top(img: Any) -> float:
    """White: 255 for bytes, also those that became floats."""
    return 1.0 if img.is_floating_point() and float(img.max()) <= 1 else 255.0


def _blend(img: Any, other: Any, factor: float) -> Any:
    out = (factor * img + (1 - factor) * other).clamp(0, _top(img))
    return out if img.is_floating_point() else out.to(img.dtype)


@on_images
def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The brightness of colours."""
    gray = (img * tensor([0.2989, 0.587, 0.114]).view(3, 1, 1)).sum(-3, keepdim=True) if img.shape[-3] == 3 else img
    gray = gray if img.is_floating_point() else gray.to(img.dtype)
    return gray.expand(*gray.shape[:-3], num_output_channels, *gray.shape[-2:]) if num_output_channels > 1 else gray


to_grayscale = rgb_to_grayscale


@on_images
def invert(img: Any) -> Any:
    """White less the image."""
    return _top(img) - img


@on_images
def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Towards black below 1, brighter above."""
    return _blend(img, 0.0 * img, brightness_factor)


@on_images
def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Towards the mean brightness below 1, away from it above."""
    return _blend(img, rgb_to_grayscale(img).float().mean((-3, -2, -1), keepdim=True), contrast_factor)


@on_images
def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Towards grey below 1, more colourful above."""
    return _blend(img, rgb_to_grayscale(img), saturation_factor)


@on_images
def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Colours turned by a part of the circle, from -0.5 to 0.5.

    Source: Smith, "Color gamut transform pairs", SIGGRAPH 1978.
    """
    if not -0.5 <= hue_factor <= 0.5:
        raise ArgumentError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if img.shape[-3] == 1:
        return img
    r, g, b = (img / _top(img)).unbind(-3)
    high, low = img.amax(-3) / _top(img), img.amin(-3) / _top(img)
    spread = high - low
    safe = where(spread == 0, spread + 1, spread)
    sector = where(high == r, (g - b) / safe % 6, where(high == g, (b - r) / safe + 2, (r - g) / safe + 4))
    sector = (sector + 6 * hue_factor) % 6
    channels = []
    for offset in (5, 3, 1):
        k = (sector + offset) % 6
        channels.append(high - spread * where(k < 4 - k, k, 4 - k).clamp(0, 1))
    out = stack(channels, -3) * _top(img)
    return out if img.is_floating_point() else out.round().to(img.dtype)
