"""Resampling of images, under `jax.image`'s names: along each axis a product with a matrix of weights."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import sizes
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy import asarray, sinc
from fdl.ops.promotion import promote

__all__ = ["ResizeMethod", "resize", "scale_and_translate"]


class ResizeMethod(enum.Enum):
    """Ways to read between pixels."""

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4

    @staticmethod
    def from_string(text: str) -> ResizeMethod:
        """The method of this name."""
        names = {
            "nearest": ResizeMethod.NEAREST, "linear": ResizeMethod.LINEAR, "bilinear": ResizeMethod.LINEAR,
            "trilinear": ResizeMethod.LINEAR, "triangle": ResizeMethod.LINEAR, "lanczos3": ResizeMethod.LANCZOS3,
            "lanczos5": ResizeMethod.LANCZOS5, "cubic": ResizeMethod.CUBIC, "bicubic": ResizeMethod.CUBIC,
            "tricubic": ResizeMethod.CUBIC,
        }  # fmt: skip
        if text not in names:
            raise ChoiceError(f"image: method {text!r} is none of {', '.join(names)}", hint="'linear'")
        return names[text]


def _triangle(x: Array) -> Array:
    return ops.maximum(ops.sub(1, x), 0)


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda x: ops.select(ops.greater(x, radius), 0, ops.mul(sinc(x), sinc(ops.div(x, float(radius)))))


def _cubic(x: Array) -> Array:
    """Keys' kernel with a = -1/2 (1981)."""
    near = ops.add(ops.mul(ops.mul(ops.sub(ops.mul(x, 1.5), 2.5), x), x), 1)
    far = ops.add(ops.mul(ops.sub(ops.mul(ops.add(ops.mul(x, -0.5), 2.5), x), 4), x), 2)
    return ops.select(ops.less(x, 1), near, ops.select(ops.less(x, 2), far, 0))


_KERNELS: dict[ResizeMethod, Callable[[Array], Array]] = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.LANCZOS3: _lanczos(3),
    ResizeMethod.LANCZOS5: _lanczos(5),
    ResizeMethod.CUBIC: _cubic,
}


def _weights(n: int, m: int, scale: Any, translation: Any, method: ResizeMethod, antialias: bool, dtype: Any) -> Array:
    """What each of n pixels gives to each of m new ones; rows are the old ones."""
    inverse = ops.div(1.0, ops.convert(asarray(scale), dtype))
    width = ops.maximum(inverse, 1) if antialias else 1.0
    places = ops.add(ops.iota((m,), 0, dtype), 0.5)
    at = ops.sub(ops.mul(ops.sub(places, ops.convert(asarray(translation), dtype)), inverse), 0.5)
    across = ops.broadcast(at, (n, m), (1,))
    distance = ops.div(ops.abs(ops.sub(across, ops.iota((n, m), 0, dtype))), width)
    weights = _KERNELS[method](distance)
    total = ops.broadcast(ops.reduce_sum(weights, (0,)), (n, m), (1,))
    some = ops.greater(ops.abs(total), 1000 * float(np.finfo(dtype).eps))
    weights = ops.select(some, ops.div(weights, ops.select(some, total, 1)), 0)
    inside = ops.bitwise_and(ops.greater_equal(across, -0.5), ops.less_equal(across, n - 0.5))
    return ops.select(inside, weights, 0)


def scale_and_translate(
    image: ArrayLike,
    shape: Sequence[int],
    spatial_dims: Sequence[int],
    scale: ArrayLike,
    translation: ArrayLike,
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: Any = None,
) -> Array:
    """An image stretched by `scale` and moved by `translation` along each of `spatial_dims`, then cut to `shape`, with
    zeros outside of it. Both may be computed and have gradients. `method` is as in `resize`, but for "nearest".

    >>> scale_and_translate(asarray([1.0, 3.0]), (4,), (0,), asarray([2.0]), asarray([0.0]), "linear").tolist()
    [1.0, 1.5, 2.5, 3.0]
    """
    kind = method if isinstance(method, ResizeMethod) else ResizeMethod.from_string(method)
    if kind == ResizeMethod.NEAREST:
        raise ChoiceError("scale_and_translate: method 'nearest' has no weights", hint="'linear'")
    (x,) = promote(asarray(image), to_float=True)
    out, target, scales, moves = asarray(x), sizes(shape), asarray(scale), asarray(translation)
    if len(target) != aval_of(out).ndim:
        raise ShapeError(f"scale_and_translate: {aval_of(out).describe()} to shape {target}", hint="one size an axis")
    wide = dtypes.compute_dtype(aval_of(out).dtype)
    out = ops.cast(out, wide)
    for i, axis in enumerate(spatial_dims):
        place = axis % len(target)
        weights = _weights(aval_of(out).shape[place], target[place], scales[i], moves[i], kind, antialias, wide)
        last = len(target) - 1
        out = ops.move_axis(ops.dot_general(out, weights, (((place,), (0,)), ((), ()))), last, place)
    return ops.cast(out, aval_of(x).dtype)


def resize(
    image: ArrayLike,
    shape: Sequence[int],
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: Any = None,
) -> Array:
    """An image with another shape; axes whose size stays are left as they are.

    `method` is "nearest", "linear", "cubic", "lanczos3" or "lanczos5". With `antialias` an image that becomes smaller
    is averaged over as many pixels as fall into one. `precision` is accepted: products are exact to their dtype.

    >>> resize(asarray([1.0, 3.0]), (4,), "linear").tolist()
    [1.0, 1.5, 2.5, 3.0]
    """
    kind = method if isinstance(method, ResizeMethod) else ResizeMethod.from_string(method)
    x, target = asarray(image), sizes(shape)
    if len(target) != aval_of(x).ndim:
        raise ShapeError(f"resize: {aval_of(x).describe()} to shape {target}", hint="one size for each axis")
    changed = [i for i, (d, e) in enumerate(zip(aval_of(x).shape, target, strict=True)) if d != e]
    if kind != ResizeMethod.NEAREST:
        scale = [target[i] / max(aval_of(x).shape[i], 1) for i in changed]
        if not changed:
            return ops.cast(x, dtypes.default_float(aval_of(x).dtype))
        return scale_and_translate(x, target, changed, asarray(scale), asarray([0.0] * len(changed)), kind, antialias)
    for axis in changed:
        n, m = aval_of(x).shape[axis], target[axis]
        places = asarray([math.floor((i + 0.5) * n / m) for i in range(m)])
        x = ops.move_axis(ops.gather(x, [places], (axis,)), 0, axis)
    return x
