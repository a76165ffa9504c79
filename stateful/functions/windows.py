"""Windows of spectra: weights at evenly spaced places."""

from __future__ import annotations

import math
from typing import Any

from fdl.stateful.core.methods import named
from fdl.stateful.functions.creation import arange, full

__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window"]


def _window(name: str, *weights: float) -> Any:
    def public(
        window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
    ) -> Any:
        n = window_length + (1 if periodic else 0)
        if window_length == 1:
            return full((1,), 1.0, dtype=dtype)
        turn = arange(window_length) * (2 * math.pi / (n - 1))
        total: Any = weights[0]
        for k, w in enumerate(weights[1:], 1):
            total = total + w * (turn * k).cos()
        return total if dtype is None else total.to(dtype)

    return named(public, name, "Weights of a window, for spectra.")


hann_window, hamming_window = _window("hann_window", 0.5, -0.5), _window("hamming_window", 0.54, -0.46)
blackman_window = _window("blackman_window", 0.42, -0.5, 0.08)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None) -> Any:
    """Weights of a triangle."""
    n = window_length + (1 if periodic else 0)
    return full((1,), 1.0) if window_length == 1 else 1 - (arange(window_length) * (2.0 / (n - 1)) - 1).abs()
