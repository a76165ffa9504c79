"""`torch.fft`: discrete Fourier transforms, of any length and in any number of dimensions; see `fdl.numpy.fft` for how
they are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.extend import Function, aval_of, dtypes
from fdl.ops import dft, dft_tables, imag, join, real
from fdl.stateful.core.complexes import real_part
from fdl.stateful.core.dtypes import to_numpy
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import named
from fdl.stateful.core.spelling import all_spelled, placed
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.functions.creation import from_numpy, get_default_dtype
from fdl.stateful.functions.reductions import dim_of
from fdl.stateful.functions.shapes import cat, roll
from fdl.stateful.nn.functional.padding import pad

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2",
    "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip


def _body(x: Any, *args: Any) -> Any:
    *constants, dim, inverse = args
    re, im = (real(x), imag(x)) if dtypes.is_complex(aval_of(x).dtype) else (x, None)
    return join(*dft(re, im, dim, inverse, constants))


_transform = Function(_body, "fft")

Dims = int | Sequence[int] | None


def _scale(n: int, norm: str | None, inverse: bool) -> float:
    """What sums are multiplied by."""
    if norm not in (None, "forward", "backward", "ortho"):
        raise TensorError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(n)
    return 1 / n if (norm == "forward") != inverse else 1.0


def _floating(x: Any) -> Any:
    return x if x.is_complex() or x.dtype.is_floating_point else x.to(get_default_dtype())


def _fitted(x: Any, n: int | None, dim: int) -> Any:
    """Cut to n elements along a dimension, or filled up with zeros."""
    size = x.shape[dim]
    if n is not None and n < 1:
        raise TensorError(f"Invalid number of data points ({n}) specified")
    if n is None or n == size:
        return x
    if n < size:
        return x.narrow(dim, 0, n)
    widths = [0, 0] * (x.ndim - 1 - dim % x.ndim) + [0, n - size]
    return pad(x, widths)


def _along(x: Any, dim: int, inverse: bool, scale: float) -> Tensor:
    """The transform along one dimension."""
    constants = dft_tables(x.shape[dim], inverse, not x.is_complex(), dtypes.real_dtype(x.dtype.np))
    found = apply(_transform, (x, *constants), (dim, inverse))
    return found if scale == 1 else found * scale  # type: ignore[no-any-return]


def _real_along(x: Any, dim: int, inverse: bool, scale: float) -> Tensor:
    """The real parts of the transform along one dimension, in memory of their own."""
    return apply(real_part, (_along(x, dim, inverse, scale),))  # type: ignore[no-any-return]


def _complex(x: Any, n: int | None, dim: int, norm: str | None, inverse: bool) -> Tensor:
    x = _fitted(_floating(x), n, dim)
    return _along(x, dim, inverse, _scale(x.shape[dim], norm, inverse))


def fft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform along a dimension, of a real or complex tensor that is cut or filled with zeros to n elements.

    >>> import fdl.stateful as torch
    >>> torch.fft.fft(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    return _complex(input, n, dim, norm, False)


def ifft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`."""
    return _complex(input, n, dim, norm, True)


def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The first n // 2 + 1 elements of the transform of a real tensor, which say all."""
    if input.is_complex():
        raise TensorError("rfft expects a real input tensor, but got ComplexFloat")
    full = fft(input, n, dim, norm)
    return full.narrow(dim, 0, full.shape[dim] // 2 + 1)  # type: ignore[no-any-return]


def _whole(x: Any, n: int, dim: int) -> Tensor:
    """All elements of the transform of a real tensor from its first ones."""
    half = n // 2 + 1
    x = _fitted(x, half, dim)
    x = x if x.is_complex() else x.to(dtypes.complex_dtype(x.dtype.np))
    rest = x.narrow(dim, 1, n - half).flip(dim % x.ndim).conj() if n > half else None
    return x if rest is None else cat([x, rest], dim)  # type: ignore[no-any-return]


def irfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`: a real tensor of n elements, an even number where n is not given."""
    input = _floating(input)
    n = 2 * (input.shape[dim] - 1) if n is None else n
    if n < 1:
        raise TensorError(f"Invalid number of data points ({n}) specified")
    return _real_along(_whole(input, n, dim), dim, True, _scale(n, norm, True))


def hfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform, which is real, of a signal that is the conjugate of itself from its end, given by
    its first half.
    """
    input = _floating(input)
    n = 2 * (input.shape[dim] - 1) if n is None else n
    if n < 1:
        raise TensorError(f"Invalid number of data points ({n}) specified")
    return _real_along(_whole(input, n, dim), dim, False, _scale(n, norm, False))


def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`."""
    if input.is_complex():
        raise TensorError("ihfft expects a real input tensor, but got ComplexFloat")
    full = ifft(input, n, dim, norm)
    return full.narrow(dim, 0, full.shape[dim] // 2 + 1)  # type: ignore[no-any-return]


# Several dimensions


def _sizes(x: Any, s: Sequence[int] | None, dim: Dims) -> tuple[list[int | None], list[int]]:
    """Sizes, None for those of the tensor, and dimensions."""
    if isinstance(dim, int):
        dim = (dim,)
    dims = (
        list(range(x.ndim))[-len(s) :]
        if dim is None and s is not None
        else list(range(x.ndim))
        if dim is None
        else [dim_of(x, d) for d in dim]
    )
    if len(set(dims)) != len(dims):
        raise TensorError("FFT dims must be unique")
    if s is not None and len(s) != len(dims):
        raise TensorError("When given, dim and shape arguments must have the same length")
    return [None if n == -1 else n for n in s] if s is not None else [None] * len(dims), dims


def _each(one: Callable[..., Any], x: Any, sizes: Sequence[int | None], dims: Sequence[int], norm: str | None) -> Any:
    for n, d in zip(sizes, dims, strict=True):
        x = one(x, n, d, norm)
    return x


def fftn(input: Any, s: Sequence[int] | None = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The transform along several dimensions, all where none are given."""
    return _each(fft, input, *_sizes(input, s, dim), norm)  # type: ignore[no-any-return]


def ifftn(input: Any, s: Sequence[int] | None = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return _each(ifft, input, *_sizes(input, s, dim), norm)  # type: ignore[no-any-return]


def rfftn(input: Tensor, s: Sequence[int] | None = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """`rfft` along the last of the dimensions, `fft` along the others."""
    sizes, dims = _sizes(input, s, dim)
    return _each(fft, rfft(input, sizes[-1], dims[-1], norm), sizes[:-1], dims[:-1], norm)  # type: ignore[no-any-return]


def irfftn(input: Any, s: Sequence[int] | None = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    sizes, dims = _sizes(input, s, dim)
    return irfft(_each(ifft, input, sizes[:-1], dims[:-1], norm), sizes[-1], dims[-1], norm)


def hfftn(input: Any, s: Sequence[int] | None = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """`fft` along all but the last of the dimensions, then `hfft`."""
    sizes, dims = _sizes(input, s, dim)
    return hfft(_each(fft, input, sizes[:-1], dims[:-1], norm), sizes[-1], dims[-1], norm)


def ihfftn(input: Tensor, s: Sequence[int] | None = None, dim: Dims = None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    sizes, dims = _sizes(input, s, dim)
    return _each(ifft, ihfft(input, sizes[-1], dims[-1], norm), sizes[:-1], dims[:-1], norm)  # type: ignore[no-any-return]


def _of_two(several: Callable[..., Any], name: str) -> Callable[..., Any]:
    def public(
        input: Any, s: Sequence[int] | None = None, dim: Sequence[int] = (-2, -1), norm: str | None = None
    ) -> Any:
        return several(input, s, dim, norm)

    return named(public, name, f"`{several.__name__}` along two dimensions.")


fft2, ifft2, rfft2, irfft2 = (
    _of_two(fftn, "fft2"),
    _of_two(ifftn, "ifft2"),
    _of_two(rfftn, "rfft2"),
    _of_two(irfftn, "irfft2"),
)
hfft2, ihfft2 = _of_two(hfftn, "hfft2"), _of_two(ihfftn, "ihfft2")


# Frequencies


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of the elements of a transform, for samples d apart.

    >>> import fdl.stateful as torch
    >>> torch.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return from_numpy(np.fft.fftfreq(n, d).astype(to_numpy(dtype or get_default_dtype()))).requires_grad_(requires_grad)


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of the elements that `rfft` gives."""
    return from_numpy(np.fft.rfftfreq(n, d).astype(to_numpy(dtype or get_default_dtype()))).requires_grad_(
        requires_grad
    )


def _dims(x: Any, dim: Dims) -> list[int]:
    return list(range(x.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)


def fftshift(input: Any, dim: Dims = None) -> Any:
    """Frequency 0 in the middle."""
    dims = _dims(input, dim)
    return roll(input, [input.shape[d] // 2 for d in dims], dims)


def ifftshift(input: Any, dim: Dims = None) -> Any:
    """The inverse of `fftshift`."""
    dims = _dims(input, dim)
    return roll(input, [-(input.shape[d] // 2) for d in dims], dims)


globals().update(all_spelled({name: globals()[name] for name in __all__}, __all__))
placed({name: globals()[name] for name in __all__}, __name__)
