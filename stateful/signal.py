"""`torch.signal.windows`, and spectra over time: `stft` and `istft`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl.extend import Function, from_numpy
from fdl.stateful import fft
from fdl.stateful.core.dtypes import to_numpy
from fdl.stateful.core.errors import ArgumentError, OperandError, TensorError
from fdl.stateful.core.methods import method, named
from fdl.stateful.core.tensor import Tensor, apply, wrap
from fdl.stateful.functions.complexes import view_as_real
from fdl.stateful.functions.creation import get_default_dtype
from fdl.stateful.functions.creation import ones as _ones
from fdl.stateful.nn.functional.padding import pad

__all__ = ["istft", "kaiser_window", "stft"]

# Windows: values at M places, of which the last is left out where they repeat


def _window(name: str, doc: str, values: Callable[..., np.ndarray[Any, Any]], **defaults: Any) -> Callable[..., Any]:
    def public(
        M: int, *, sym: bool = True, dtype: Any = None, device: Any = None, requires_grad: bool = False, **given: Any
    ) -> Tensor:
        unknown = set(given) - set(defaults)
        if unknown:
            raise OperandError(f"{name}() got an unexpected keyword argument '{unknown.pop()}'")
        if M < 0:
            raise ArgumentError(f"{name} requires non-negative window length, got M={M}")
        places = np.arange(M + (not sym and M > 1), dtype=np.float64)
        found = np.ones(M) if M == 1 else values(places, **{**defaults, **given})[:M] if M else np.zeros(0)
        return wrap(from_numpy(found.astype(to_numpy(dtype or get_default_dtype())))).requires_grad_(requires_grad)

    return named(public, name, doc)


def _cosines(x: np.ndarray[Any, Any], a: Sequence[float]) -> np.ndarray[Any, Any]:
    turns = 2 * np.pi * x / max(len(x) - 1, 1)
    return np.asarray(sum((-1) ** k * w * np.cos(k * turns) for k, w in enumerate(a)), np.float64)


def _kaiser(x: np.ndarray[Any, Any], beta: float) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = np.i0(beta * np.sqrt(np.maximum(1 - (2 * x / (len(x) - 1) - 1) ** 2, 0))) / np.i0(
        beta
    )
    return found


def _exponential(x: np.ndarray[Any, Any], center: float | None, tau: float) -> np.ndarray[Any, Any]:
    return np.exp(-np.abs(x - ((len(x) - 1) / 2 if center is None else center)) / tau)


windows = SimpleNamespace(
    bartlett=_window("bartlett", "A triangle.", lambda x: 1 - np.abs(2 * x / (len(x) - 1) - 1)),
    blackman=_window("blackman", "Three cosines.", lambda x: _cosines(x, (0.42, 0.5, 0.08))),
    cosine=_window("cosine", "Half a wave.", lambda x: np.sin(np.pi * (x + 0.5) / len(x))),
    exponential=_window("exponential", "It falls off from a center.", _exponential, center=None, tau=1.0),
    gaussian=_window("gaussian", "A bell.", lambda x, std: np.exp(-0.5 * ((x - (len(x) - 1) / 2) / std) ** 2), std=1.0),
    general_cosine=_window("general_cosine", "Cosines with weights `a`, whose signs alternate.", _cosines, a=(1.0,)),
    general_hamming=_window(
        "general_hamming", "Two cosines.", lambda x, alpha: _cosines(x, (alpha, 1 - alpha)), alpha=0.54
    ),
    hamming=_window("hamming", "Two cosines.", lambda x: _cosines(x, (0.54, 0.46))),
    hann=_window("hann", "A raised cosine.", lambda x: _cosines(x, (0.5, 0.5))),
    kaiser=_window("kaiser", "Kaiser's, of shape `beta`.", _kaiser, beta=12.0),
    nuttall=_window("nuttall", "Four cosines.", lambda x: _cosines(x, (0.3635819, 0.4891775, 0.1365995, 0.0106411))),
)


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Kaiser's window, of shape `beta`.

    >>> import fdl.stateful as torch
    >>> torch.kaiser_window(3, periodic=False).tolist()[1]
    1.0
    """
    found: Tensor = windows.kaiser(window_length, sym=not periodic, beta=beta, dtype=dtype, requires_grad=requires_grad)
    return found


# Spectra over time


def _weights(window: Tensor | None, length: int, n_fft: int, like: Any) -> Tensor:
    """The window in the middle of n_fft places."""
    found = _ones(length, dtype=like.dtype) if window is None else window
    if found.ndim != 1 or found.shape[0] != length:
        raise TensorError(
            f"expected a 1D window tensor of size equal to win_length={length}, but got window with size "
            f"{list(found.shape)}"
        )
    left = (n_fft - length) // 2
    return pad(found, (left, n_fft - length - left)) if length < n_fft else found


def stft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    """Transforms of pieces of a signal, (..., frequencies, pieces): pieces `hop_length` apart, under a window.

    >>> import fdl.stateful as torch
    >>> torch.stft(torch.ones(8), 4, center=False, window=torch.ones(4), return_complex=True).shape
    torch.Size([3, 5])
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if not n_fft > 0 or not 0 < length <= n_fft or hop <= 0:
        raise TensorError(
            f"stft: expected 0 < win_length <= n_fft and 0 < hop_length, got n_fft={n_fft}, win_length={length}, "
            f"hop_length={hop}"
        )
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None and not is_complex:
        raise TensorError(
            "stft requires the return_complex parameter be given for real inputs, and will further require that "
            "return_complex=True in a future PyTorch release."
        )
    x = input if input.ndim > 1 else input.unsqueeze(0)
    weights = _weights(window, length, n_fft, x.real)
    if center:
        x = pad(x, (n_fft // 2, n_fft // 2), pad_mode)
    if x.shape[-1] < n_fft:
        raise TensorError(f"stft: expected 0 < n_fft < {x.shape[-1]}, but got n_fft={n_fft}")
    pieces = x.unfold(-1, n_fft, hop) * weights
    one_sided = not is_complex and onesided is not False
    found = (fft.rfft if one_sided else fft.fft)(pieces, norm="ortho" if normalized else None).transpose(-1, -2)
    found = found if input.ndim > 1 else found[0]
    return found if return_complex or return_complex is None else view_as_real(found)


def _overlapped_body(pieces: Any, hop: int, size: int) -> Any:
    """Sums of pieces (batch, count, width), each put `hop` places behind the one before."""
    batch, count, width = pieces.shape
    blocks = -(-width // hop)
    padded = jnp.pad(pieces, ((0, 0), (0, 0), (0, blocks * hop - width))).reshape(batch, count, blocks, hop)
    total = jnp.zeros((batch, count + blocks - 1, hop), pieces.dtype)
    for k in range(blocks):
        total = total.at[:, k : k + count].add(padded[:, :, k])
    return total.reshape(batch, -1)[:, :size]


_overlapped = Function(_overlapped_body, "overlap_add")


def istft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """The signal of which `stft` gave these spectra: pieces under the window again, added, over the sum of squares of
    windows (Griffin and Lim, 1984).

    >>> import fdl.stateful as torch
    >>> w = torch.hann_window(8)
    >>> x = torch.arange(24.0)
    >>> torch.allclose(torch.istft(torch.stft(x, 8, window=w, return_complex=True), 8, window=w), x, atol=1e-4)
    True
    """
    if not input.is_complex():
        raise TensorError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    hop, width = hop_length or n_fft // 4, win_length or n_fft
    z = input if input.ndim > 2 else input.unsqueeze(0)
    count = z.shape[-1]
    one_sided = onesided if onesided is not None else z.shape[-2] != n_fft
    weights = _weights(window, width, n_fft, z.real)
    norm = "ortho" if normalized else None
    spectra = z.transpose(-1, -2)
    if return_complex and one_sided:
        raise TensorError("istft: complex output and one-sided spectra do not go together")
    pieces = (
        fft.ifft(spectra, norm=norm) if return_complex else fft.irfft(spectra[..., : n_fft // 2 + 1], n_fft, norm=norm)
    )
    size = n_fft + hop * (count - 1)

    def added(p: Any) -> Any:
        return apply(_overlapped, (p,), (hop, size))

    total = added(pieces * weights)
    envelope = added((weights * weights).expand(1, count, n_fft))
    start = n_fft // 2 if center else 0
    stop = start + length if length is not None else size - start if center else size
    kept = min(stop, size)
    middle = envelope[:, start:kept]
    if middle.abs().min().item() < 1e-11:
        raise TensorError("istft: window overlap add min: 1 is not met: some places lie under no window")
    out = total[:, start:kept] / middle
    if stop > size:
        out = pad(out, (0, stop - size))
    return out if input.ndim > 2 else out[0]


method()(stft)
method()(istft)
