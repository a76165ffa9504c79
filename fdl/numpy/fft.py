"""Discrete Fourier transforms with NumPy's names, of any length and number of axes.

A length is cut into factors, whose transforms are products with small matrices of roots of unity; a long prime one is
a convolution (`fdl/ops/fourier.py`). So a transform of n elements takes work of the order of n log n, compiles,
differentiates and batches. float64 and complex128 are transformed in double precision, all others in single precision.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, from_numpy
from fdl.core.errors import ChoiceError, DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._complex import conj
from fdl.numpy._create import asarray
from fdl.numpy._math import axes_of
from fdl.numpy._shape import roll
from fdl.ops.promotion import promote

_NORMS = ("backward", "ortho", "forward")
_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _norm(norm: str | None, what: str) -> str:
    if norm not in (None, *_NORMS):
        raise ChoiceError(f"{what}: norm={norm!r}", why="it says who divides by the length", hint='"ortho", or None')
    return norm or "backward"


def _operand(a: ArrayLike, axis: int, what: str) -> tuple[Array, int]:
    """Numbers in single or double precision, and which axis is meant."""
    (x,) = promote(asarray(a), to_float=True)
    if x.aval.dtype in dtypes.NARROW_FLOATS:
        x = ops.convert(x, dtypes.float32)
    (place,) = axes_of(x, axis, what)
    return x, place


def _of_length(x: Array, n: int, axis: int) -> Array:
    """Cut, or filled up with zeros, to n elements along an axis."""
    shape = aval_of(x).shape
    config = [(0, n - d if i == axis else 0, 0) for i, d in enumerate(shape)]
    return ops.pad(x, ops.full((), 0, aval_of(x).dtype), config)


def _checked(n: int, what: str) -> int:
    n = operator.index(n)
    if n < 1:
        raise ShapeError(f"{what}: a transform of {n} elements", why="it takes one element or more", hint="n=1 or more")
    return n


def _parts(x: Array) -> tuple[Array, Array | None]:
    return (ops.real(x), ops.imag(x)) if dtypes.is_complex(aval_of(x).dtype) else (x, None)


def _divided(x: Array, n: int, norm: str, inverse: bool) -> Array:
    """By the part of the length that falls to this direction."""
    if norm == "ortho":
        return ops.mul(x, 1 / np.sqrt(n).item())
    return ops.div(x, float(n)) if (norm == "backward") == inverse else x


def _transform(a: ArrayLike, n: int | None, axis: int, norm: str | None, inverse: bool, what: str) -> Array:
    x, place = _operand(a, axis, what)
    count = _checked(aval_of(x).shape[place] if n is None else n, what)
    re, im = ops.dft(*_parts(_of_length(x, count, place)), axis=place, inverse=inverse)
    return _divided(ops.join(re, im), count, _norm(norm, what), inverse)


def fft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The sums over j of `a[j] * exp(-2 pi i j k / n)` for all k along an axis, cut or filled up to n elements before.

    `norm` says what divides: "backward" the inverse transform by n, "forward" this one, "ortho" each by the root of n.

    >>> fft([1.0, 0.0, 0.0, 0.0]).tolist()
    [(1+0j), (1+0j), (1+0j), (1+0j)]
    """
    return _transform(a, n, axis, norm, False, "fft")


def ifft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `fft`.

    >>> ifft([4.0, 0.0, 0.0, 0.0]).tolist()
    [(1+0j), (1+0j), (1+0j), (1+0j)]
    """
    return _transform(a, n, axis, norm, True, "ifft")


def _real_operand(a: ArrayLike, axis: int, what: str) -> tuple[Array, int]:
    x, place = _operand(a, axis, what)
    if dtypes.is_complex(aval_of(x).dtype):
        raise DtypeError(
            f"{what}: {aval_of(x).describe()} is complex",
            why="it takes real numbers, and half of the results would say nothing of imaginary parts",
            hint="fft, or x.real",
        )
    return x, place


def rfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The first `n // 2 + 1` results of `fft` for real numbers, from which the others follow.

    >>> rfft([1.0, 0.0, 0.0, 0.0]).tolist()
    [(1+0j), (1+0j), (1+0j)]
    """
    x, place = _real_operand(a, axis, "rfft")
    count = _checked(aval_of(x).shape[place] if n is None else n, "rfft")
    parts = ops.dft(_of_length(x, count, place), axis=place)
    re, im = (ops.slice_in_dim(part, 0, count // 2 + 1, place) for part in parts)
    return _divided(ops.join(re, im), count, _norm(norm, "rfft"), False)


def irfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `rfft`: n real numbers, by default an even number, of n // 2 + 1 complex ones.

    >>> irfft([1.0, 1.0, 1.0]).tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    x, place = _operand(a, axis, "irfft")
    count = _checked(2 * (aval_of(x).shape[place] - 1) if n is None else n, "irfft")
    half = _of_length(x, count // 2 + 1, place)
    rest = conj(ops.reverse(ops.slice_in_dim(half, 1, count - count // 2, place), (place,)))
    whole = ops.concatenate([half, rest], place)
    re, _ = ops.dft(*_parts(whole), axis=place, inverse=True)
    return _divided(re, count, _norm(norm, "irfft"), True)


def hfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The transform, n real numbers, of numbers that are conjugate to those from the end, of which the first half is
    given.

    >>> hfft([1.0, 0.0, 0.0]).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    return irfft(conj(asarray(a)), n, axis, _SWAPPED[_norm(norm, "hfft")])


def ihfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `hfft`, the first half.

    >>> ihfft([1.0, 1.0, 1.0, 1.0]).real.tolist()
    [1.0, 0.0, 0.0]
    """
    return conj(rfft(a, n, axis, _SWAPPED[_norm(norm, "ihfft")]))


Sizes = Sequence[int] | None


def _axes(x: Any, s: Sizes, axes: Sizes, what: str) -> tuple[list[int | None], list[int]]:
    """Lengths and axes: of all axes, or of as many last ones as there are lengths."""
    ndim = aval_of(x).ndim
    chosen = list(axes) if axes is not None else list(range(ndim - (ndim if s is None else len(s)), ndim))
    lengths: list[int | None] = [None] * len(chosen) if s is None else [None if n == -1 else n for n in s]
    if len(lengths) != len(chosen):
        raise ShapeError(f"{what}: {len(lengths)} lengths and {len(chosen)} axes", hint="a length an axis")
    return lengths, chosen


def fftn(a: ArrayLike, s: Sizes = None, axes: Sizes = None, norm: str | None = None) -> Array:
    """`fft` along several axes, all of them by default, with `s` elements along each.

    >>> fftn([[1.0, 0.0], [0.0, 0.0]]).real.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    out = asarray(a)
    for n, axis in zip(*_axes(out, s, axes, "fftn"), strict=True):
        out = fft(out, n, axis, norm)
    return out


def ifftn(a: ArrayLike, s: Sizes = None, axes: Sizes = None, norm: str | None = None) -> Array:
    """The inverse of `fftn`.

    >>> ifftn([[4.0, 0.0], [0.0, 0.0]]).real.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    out = asarray(a)
    for n, axis in zip(*_axes(out, s, axes, "ifftn"), strict=True):
        out = ifft(out, n, axis, norm)
    return out


def rfftn(a: ArrayLike, s: Sizes = None, axes: Sizes = None, norm: str | None = None) -> Array:
    """`rfft` along the last of several axes, then `fft` along the others.

    >>> rfftn([[1.0, 0.0], [0.0, 0.0]]).shape
    (2, 2)
    """
    x = asarray(a)
    lengths, chosen = _axes(x, s, axes, "rfftn")
    out = rfft(x, lengths[-1], chosen[-1], norm)
    for n, axis in zip(lengths[:-1], chosen[:-1], strict=True):
        out = fft(out, n, axis, norm)
    return out


def irfftn(a: ArrayLike, s: Sizes = None, axes: Sizes = None, norm: str | None = None) -> Array:
    """The inverse of `rfftn`.

    >>> irfftn([[1.0, 1.0], [1.0, 1.0]]).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    out = asarray(a)
    lengths, chosen = _axes(out, s, axes, "irfftn")
    for n, axis in zip(lengths[:-1], chosen[:-1], strict=True):
        out = ifft(out, n, axis, norm)
    return irfft(out, lengths[-1], chosen[-1], norm)


def fft2(a: ArrayLike, s: Sizes = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Array:
    """`fftn` along the last two axes.

    >>> fft2([[1.0, 0.0], [0.0, 0.0]]).real.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    return fftn(a, s, axes, norm)


def ifft2(a: ArrayLike, s: Sizes = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Array:
    """`ifftn` along the last two axes.

    >>> ifft2([[4.0, 0.0], [0.0, 0.0]]).real.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    return ifftn(a, s, axes, norm)


def rfft2(a: ArrayLike, s: Sizes = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Array:
    """`rfftn` along the last two axes.

    >>> rfft2([[1.0, 0.0], [0.0, 0.0]]).real.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    return rfftn(a, s, axes, norm)


def irfft2(a: ArrayLike, s: Sizes = None, axes: Sequence[int] = (-2, -1), norm: str | None = None) -> Array:
    """`irfftn` along the last two axes.

    >>> irfft2([[1.0, 1.0], [1.0, 1.0]]).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return irfftn(a, s, axes, norm)


def fftfreq(n: int, d: float = 1.0, dtype: Any = None) -> Array:
    """The frequencies of the results of `fft`, in cycles a unit of `d`, which is the distance of the samples.

    >>> fftfreq(4).tolist()
    [0.0, 0.25, -0.5, -0.25]
    """
    return from_numpy(np.fft.fftfreq(n, d).astype(dtypes.canonical(dtype or float)))


def rfftfreq(n: int, d: float = 1.0, dtype: Any = None) -> Array:
    """The frequencies of the results of `rfft`.

    >>> rfftfreq(4).tolist()
    [0.0, 0.25, 0.5]
    """
    return from_numpy(np.fft.rfftfreq(n, d).astype(dtypes.canonical(dtype or float)))


def _shifted(x: ArrayLike, axes: int | Sequence[int] | None, sign: int) -> Array:
    whole = asarray(x)
    chosen = axes_of(whole, axes, "fftshift")
    halves = [aval_of(whole).shape[a] // 2 for a in chosen]
    return roll(whole, [sign * h for h in halves], list(chosen)) if chosen else whole


def fftshift(x: ArrayLike, axes: int | Sequence[int] | None = None) -> Array:
    """The frequency 0 moved into the middle, along all axes or some.

    >>> fftshift(fftfreq(4)).tolist()
    [-0.5, -0.25, 0.0, 0.25]
    """
    return _shifted(x, axes, 1)


def ifftshift(x: ArrayLike, axes: int | Sequence[int] | None = None) -> Array:
    """The inverse of `fftshift`.

    >>> ifftshift(fftshift([1.0, 2.0, 3.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    return _shifted(x, axes, -1)


__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip
