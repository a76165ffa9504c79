"""Signals, under `jax.scipy.signal`'s names: convolutions of any dimension, and lines taken away."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.lax import conv_general_dilated
from fdl.numpy import (
    asarray,
    concatenate,
    conj,
    fft,
    flip,
    imag,
    linalg,
    linspace,
    matmul,
    mean,
    moveaxis,
    ones,
    real,
    stack,
)

_MODES = ("full", "same", "valid")


def _operands(a: ArrayLike, b: ArrayLike, what: str) -> tuple[Array, Array]:
    x, y = ops.promote(asarray(a), asarray(b), to_float=True)
    if aval_of(x).ndim != aval_of(y).ndim:
        raise ShapeError(f"{what}: {aval_of(x).describe()} and {aval_of(y).describe()}", hint="as many axes in both")
    if not aval_of(x).size or not aval_of(y).size:
        raise ShapeError(f"{what}: {aval_of(x).describe()} and {aval_of(y).describe()}", why="one of them is empty")
    return x, y


def _check_mode(mode: str, what: str) -> None:
    if mode not in _MODES:
        raise ChoiceError(f"{what}: mode={mode!r}", hint='"full", "same" or "valid"')


def _centered(x: Array, sizes: Sequence[int], axes: Sequence[int]) -> Array:
    """The middle of an array, of these sizes along these axes."""
    for size, axis in zip(sizes, axes, strict=True):
        start = (aval_of(x).shape[axis] - size) // 2
        x = ops.slice_in_dim(x, start, start + size, axis)
    return x


def _cut(whole: Array, first: Sequence[int], second: Sequence[int], axes: Sequence[int], mode: str, what: str) -> Array:
    """The part of a full convolution that a mode asks for."""
    if mode == "full":
        return whole
    if mode == "same":
        return _centered(whole, [first[a] for a in axes], axes)
    larger = {first[a] >= second[a] for a in axes if first[a] != second[a]}
    if len(larger) > 1:
        raise ShapeError(
            f"{what}: {tuple(first)} and {tuple(second)}", why='"valid" is where one lies inside the other'
        )
    return _centered(whole, [abs(first[a] - second[a]) + 1 for a in axes], axes)


def _full(x: Array, y: Array) -> Array:
    """The full convolution of two arrays."""
    if dtypes.is_complex(aval_of(x).dtype):
        (a, b), (c, d) = (real(x), imag(x)), (real(y), imag(y))
        return ops.join(_full(a, c) - _full(b, d), _full(a, d) + _full(b, c))
    n = aval_of(x).ndim
    if n == 0:
        return x * y
    kernel = ops.reverse(y, tuple(range(n)))
    edges = [(size - 1, size - 1) for size in aval_of(y).shape]
    return conv_general_dilated(x[None, None], kernel[None, None], (1,) * n, edges)[0, 0]


def convolve(in1: Array, in2: Array, mode: str = "full", method: str = "auto", precision: Any = None) -> Array:
    """The convolution of two arrays of as many axes. `mode` "same" is the middle, as large as the first one, "valid"
    where one lies inside the other; `method` "fft" goes through Fourier transforms.

    >>> convolve(asarray([1.0, 2.0]), asarray([1.0, 10.0])).tolist()
    [1.0, 12.0, 20.0]
    """
    if method not in ("auto", "direct", "fft"):
        raise ChoiceError(f"convolve: method={method!r}", hint='"auto", "direct" or "fft"')
    if method == "fft":
        return fftconvolve(in1, in2, mode)
    _check_mode(mode, "convolve")
    x, y = _operands(in1, in2, "convolve")
    return _cut(_full(x, y), aval_of(x).shape, aval_of(y).shape, range(aval_of(x).ndim), mode, "convolve")


def correlate(in1: Array, in2: Array, mode: str = "full", method: str = "auto", precision: Any = None) -> Array:
    """The correlation of two arrays: their convolution with the second one turned around and conjugated.

    >>> correlate(asarray([1.0, 2.0]), asarray([1.0, 10.0])).tolist()
    [10.0, 21.0, 2.0]
    """
    return convolve(in1, flip(conj(asarray(in2))), mode, method)


def _in_plane(in1: Array, in2: Array, boundary: str, fillvalue: float, what: str) -> None:
    if boundary != "fill" or fillvalue != 0:
        raise ChoiceError(f"{what}: boundary={boundary!r}, fillvalue={fillvalue!r}", hint='"fill" and 0')
    if asarray(in1).ndim != 2 or asarray(in2).ndim != 2:
        raise ShapeError(f"{what}: arrays of {asarray(in1).ndim} and {asarray(in2).ndim} axes", hint="two axes each")


def convolve2d(
    in1: Array, in2: Array, mode: str = "full", boundary: str = "fill", fillvalue: float = 0, precision: Any = None
) -> Array:
    """`convolve` of matrices, zeros being outside.

    >>> convolve2d(asarray([[1.0, 2.0]]), asarray([[1.0], [10.0]])).tolist()
    [[1.0, 2.0], [10.0, 20.0]]
    """
    _in_plane(in1, in2, boundary, fillvalue, "convolve2d")
    return convolve(in1, in2, mode)


def correlate2d(
    in1: Array, in2: Array, mode: str = "full", boundary: str = "fill", fillvalue: float = 0, precision: Any = None
) -> Array:
    """`correlate` of matrices, zeros being outside.

    >>> correlate2d(asarray([[1.0, 2.0]]), asarray([[1.0, 10.0]])).tolist()
    [[10.0, 21.0, 2.0]]
    """
    _in_plane(in1, in2, boundary, fillvalue, "correlate2d")
    return correlate(in1, in2, mode)


def fftconvolve(in1: ArrayLike, in2: ArrayLike, mode: str = "full", axes: Sequence[int] | None = None) -> Array:
    """`convolve` through Fourier transforms, along `axes`; along others sizes are equal, or 1.

    >>> fftconvolve(asarray([1.0, 2.0]), asarray([1.0, 10.0])).round(4).tolist()
    [1.0, 12.0, 20.0]
    """
    _check_mode(mode, "fftconvolve")
    x, y = _operands(in1, in2, "fftconvolve")
    n = aval_of(x).ndim
    if n == 0:
        return x * y
    places = list(range(n)) if axes is None else sorted({a % n for a in ([axes] if isinstance(axes, int) else axes)})
    first, second = aval_of(x).shape, aval_of(y).shape
    if any(first[a] != second[a] and 1 not in (first[a], second[a]) for a in range(n) if a not in places):
        raise ShapeError(f"fftconvolve: {first} and {second} along other axes than {places}", hint="equal sizes, or 1")
    sizes = [first[a] + second[a] - 1 for a in places]
    if dtypes.is_complex(aval_of(x).dtype):
        whole = fft.ifftn(fft.fftn(x, sizes, places) * fft.fftn(y, sizes, places), sizes, places)
    else:
        whole = fft.irfftn(fft.rfftn(x, sizes, places) * fft.rfftn(y, sizes, places), sizes, places)
    return _cut(whole.astype(aval_of(x).dtype), first, second, places, mode, "fftconvolve")


def detrend(
    data: ArrayLike, axis: int = -1, type: str = "linear", bp: int | Sequence[int] | np.ndarray[Any, Any] = 0,
    overwrite_data: None = None,
) -> Array:  # fmt: skip
    """What is left of data when their mean along an axis is taken away, with type "linear" the line that fits best: one
    for each part between the breaks `bp`.

    >>> detrend(asarray([1.0, 2.0, 6.0]), type="constant").tolist()
    [-2.0, -1.0, 3.0]
    """
    if type not in ("linear", "constant"):
        raise ChoiceError(f"detrend: type={type!r}", hint='"linear" or "constant"')
    (x,) = ops.promote(asarray(data), to_float=True)
    if type == "constant":
        return x - mean(x, axis, keepdims=True)
    x = moveaxis(x, axis, 0)
    n = aval_of(x).shape[0]
    breaks = sorted({0, n, *(int(b) for b in np.atleast_1d(np.asarray(bp)))})
    if breaks[0] < 0 or breaks[-1] > n:
        raise ShapeError(f"detrend: breaks {breaks[1:-1]} of {n} numbers", hint=f"from 0 to {n}")
    parts = []
    for start, stop in itertools.pairwise(breaks):
        part = ops.slice_in_dim(x, start, stop, 0)
        m = stop - start
        line = stack([ones(m, aval_of(x).dtype), linspace(0, 1, m, dtype=aval_of(x).dtype)], 1)
        flat = ops.reshape(part, (m, aval_of(part).size // m))
        parts.append(ops.reshape(flat - matmul(line, linalg.lstsq(line, flat)[0]), aval_of(part).shape))
    return moveaxis(concatenate(parts), 0, axis)


__all__ = ["convolve", "convolve2d", "correlate", "correlate2d", "detrend", "fftconvolve"]
