"""Images side by side, and into a file."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import from_numpy
from fdl.stateful.functions.shapes import stack

__all__ = ["make_grid", "save_image"]


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: Any = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images (N, C, H, W) in rows, as one image."""
    images = stack(list(tensor)) if isinstance(tensor, (list, tuple)) else tensor
    values = np.asarray(images.detach()._value()._numpy(), np.float32)
    values = values[None, None] if values.ndim == 2 else values[None] if values.ndim == 3 else values
    values = np.repeat(values, 3, 1) if values.shape[1] == 1 else values
    if normalize:
        low, high = value_range if value_range is not None else (values.min(), values.max())
        values = (np.clip(values, low, high) - low) / max(high - low, 1e-5)
    n, c, h, w = values.shape
    columns = min(nrow, n)
    rows = math.ceil(n / columns)
    out = np.full((c, rows * (h + padding) + padding, columns * (w + padding) + padding), pad_value, np.float32)
    for k in range(n):
        y, x = (k // columns) * (h + padding) + padding, (k % columns) * (w + padding) + padding
        out[:, y : y + h, x : x + w] = values[k]
    return from_numpy(out)


def encode_png(pixels: np.ndarray[Any, Any]) -> bytes:
    """Bytes (H, W, 3) as a PNG file (W3C, 2003)."""
    h, w, _ = pixels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
        + part(b"IDAT", zlib.compress(lines))
        + part(b"IEND", b"")
    )


def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Images as a PNG file, side by side."""
    grid = np.asarray(make_grid(tensor, **kwargs)._value()._numpy())
    pixels = np.clip(grid * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    data = encode_png(np.ascontiguousarray(pixels))
    if hasattr(fp, "write"):
        fp.write(data)
    else:
        Path(fp).write_bytes(data)
