"""`jax.scipy.fft`: cosine transforms.

The second kind of cosine transform of x, y[k] = 2 sum_n x[n] cos(pi k (2 n + 1) / (2 N)), is the real part of a Fourier
transform of N numbers: of x at even places, followed by x at odd places turned around (Makhoul, 1980).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import ChoiceError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._create import asarray
from fdl.numpy._pad import pad
from fdl.numpy._shape import concatenate, moveaxis
from fdl.numpy.fft import fft, ifft
from fdl.ops.promotion import promote

__all__ = ["dct", "dctn", "idct", "idctn"]


def _prepared(x: ArrayLike, kind: int, n: int | None, axis: int) -> Array:
    """Floats with the axis of the transform last, cut or filled with zeros to n numbers; ChoiceError for a kind that
    there is not.
    """
    if kind != 2:
        raise ChoiceError(f"dct of type {kind}", why="JAX has the second kind, and its inverse", hint="type=2")
    (a,) = promote(asarray(x), to_float=True)
    rows = moveaxis(a, axis, -1)
    size = rows.shape[-1]
    if n is None or n == size:
        return rows
    if n < 1:
        raise ChoiceError(f"dct of n={n} numbers", hint="n of at least 1")
    return rows[..., :n] if n < size else pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, n - size)])


def _turns(n: int, dtype: Any, sign: int) -> Array:
    """exp(sign i pi k / (2 n)) for k below n."""
    turns = np.exp(sign * 1j * np.pi * np.arange(n) / (2 * n))
    return asarray(turns.astype(np.complex128 if dtype == np.float64 else np.complex64))


def _scales(n: int, dtype: Any) -> Array:
    """What makes the transform orthogonal, by which its results are multiplied."""
    return asarray(np.where(np.arange(n) == 0, math.sqrt(1 / (4 * n)), math.sqrt(1 / (2 * n))).astype(dtype))


def _check_norm(norm: str | None) -> None:
    if norm not in (None, "backward", "ortho"):
        raise ChoiceError(f"dct: norm={norm!r}", hint='None, "backward" or "ortho"')


def dct(x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The cosine transform of the second kind along an axis, of its first `n` numbers; `norm="ortho"` makes it
    orthogonal.

    >>> import fdl.numpy as jnp
    >>> dct(jnp.array([1.0, 1.0, 1.0])).round(4).tolist()
    [6.0, 0.0, 0.0]
    """
    _check_norm(norm)
    rows = _prepared(x, type, n, axis)
    size, dtype = rows.shape[-1], aval_of(rows).dtype
    turned = fft(concatenate([rows[..., ::2], rows[..., 1::2][..., ::-1]], -1))
    found = ops.real(ops.mul(turned, _broadcast(_turns(size, dtype, -1), turned)))
    out = found * _scales(size, dtype) * 2 if norm == "ortho" else found * 2
    return moveaxis(out, -1, axis)


def _broadcast(row: Array, like: Array) -> Array:
    return ops.broadcast_to(row, aval_of(like).shape)


def idct(x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `dct` with the same arguments.

    >>> import fdl.numpy as jnp
    >>> idct(dct(jnp.array([1.0, 2.0, 4.0]))).round(4).tolist()
    [1.0, 2.0, 4.0]
    """
    _check_norm(norm)
    rows = _prepared(x, type, n, axis)
    size, dtype = rows.shape[-1], aval_of(rows).dtype
    given = rows / (_scales(size, dtype) * 2) if norm == "ortho" else rows * 0.5
    # y[k] = 2 Re(turn[k] v[k]) for the transform v of the real rows, so that turn[k] v[k] = (y[k] - i y[N - k]) / 2
    mirrored = concatenate([given[..., :1] * 0, given[..., 1:][..., ::-1]], -1)
    turned = ops.mul(ops.join(given, ops.neg(mirrored)), _broadcast(_turns(size, dtype, 1), given))
    mixed = ops.real(ifft(turned))
    half = (size + 1) // 2
    out = asarray(_interleaved(mixed[..., :half], mixed[..., half:][..., ::-1]))
    return moveaxis(out, -1, axis)


def _interleaved(even: Array, odd: Array) -> Array:
    """Rows whose even places are one array, and whose odd places another, which may be one shorter."""
    size = even.shape[-1] + odd.shape[-1]
    filled = pad(odd, [(0, 0)] * (odd.ndim - 1) + [(0, even.shape[-1] - odd.shape[-1])])
    both = concatenate([even[..., None], filled[..., None]], -1)
    joined: Array = both.reshape((*even.shape[:-1], -1))
    return joined[..., :size]


def _over_axes(f: Any, x: ArrayLike, kind: int, s: Sequence[int] | None, axes: Any, norm: str | None) -> Array:
    a = asarray(x)
    if axes is None:
        axes = range(-len(s), 0) if s is not None else range(a.ndim)
    chosen = [axes] if isinstance(axes, int) else list(axes)
    sizes = [None] * len(chosen) if s is None else list(s)
    if len(sizes) != len(chosen):
        raise ChoiceError(f"dctn: {len(sizes)} sizes for {len(chosen)} axes", hint="a size for each axis")
    for axis, n in zip(chosen, sizes, strict=True):
        a = f(a, kind, n, axis, norm)
    return a


def dctn(
    x: ArrayLike, type: int = 2, s: Sequence[int] | None = None, axes: Any = None, norm: str | None = None
) -> Array:
    """`dct` along several axes: all, or the last ones for which sizes `s` are given.

    >>> import fdl.numpy as jnp
    >>> dctn(jnp.ones((2, 2))).round(4).tolist()
    [[16.0, 0.0], [0.0, 0.0]]
    """
    return _over_axes(dct, x, type, s, axes, norm)


def idctn(
    x: ArrayLike, type: int = 2, s: Sequence[int] | None = None, axes: Any = None, norm: str | None = None
) -> Array:
    """The inverse of `dctn` with the same arguments.

    >>> import fdl.numpy as jnp
    >>> idctn(dctn(jnp.array([[1.0, 2.0], [3.0, 5.0]]))).round(4).tolist()
    [[1.0, 2.0], [3.0, 5.0]]
    """
    return _over_axes(idct, x, type, s, axes, norm)
