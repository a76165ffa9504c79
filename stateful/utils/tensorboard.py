"""`torch.utils.tensorboard`: event files as TensorBoard reads them, written without TensorBoard.

A file is a row of records (length, its checksum, data, its checksum; sums are CRC-32C, RFC 3720, turned and shifted as
TensorFlow does), each record a protocol buffer `Event` (tensorflow/core/util/event.proto), of which the few fields that
are needed are spelled out here.
"""

from __future__ import annotations

import functools
import itertools
import os
import platform
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.utils.images import encode_png, make_grid

__all__ = ["SummaryWriter"]


@functools.cache
def _table() -> list[int]:
    out = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        out.append(n)
    return out


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli (1993).

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(n: int) -> bytes:
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def _bytes(field: int, data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _int(field: int, n: int) -> bytes:
    return _varint(field << 3) + _varint(n)


def _double(field: int, x: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", x)


def _float(field: int, x: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", x)


def _array(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(x.detach()._value()._numpy() if isinstance(x, Tensor) else x)


_numbers = itertools.count()  # of files that this process has begun


class SummaryWriter:
    """Writes scalars, histograms, images and texts to `log_dir`, for TensorBoard.

    Without `log_dir` it is `runs/<time>_<host><comment>`.
    """

    def __init__(
        self,
        log_dir: Any = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        self.log_dir = (
            str(log_dir)
            if log_dir
            else os.path.join("runs", time.strftime("%b%d_%H-%M-%S") + f"_{platform.node()}{comment}")
        )
        self._suffix = filename_suffix
        self._files: dict[str, BinaryIO] = {}
        self._file(self.log_dir)

    def _file(self, folder: str) -> BinaryIO:
        if folder not in self._files:
            Path(folder).mkdir(parents=True, exist_ok=True)
            host, process = platform.node(), os.getpid()
            name = f"events.out.tfevents.{int(time.time())}.{host}.{process}.{next(_numbers)}{self._suffix}"
            self._files[folder] = open(Path(folder) / name, "xb")  # noqa: SIM115, and never over what another writer has begun
            self._record(folder, _double(1, time.time()) + _bytes(3, "brain.Event:2"))
        return self._files[folder]

    def _record(self, folder: str, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        self._files[folder].write(length + _masked(length) + event + _masked(event))

    def _value(
        self, tag: str, value: bytes, step: int | None, walltime: float | None, folder: str | None = None
    ) -> None:
        folder = folder or self.log_dir
        self._file(folder)
        summary = _bytes(1, _bytes(1, tag) + value)
        self._record(
            folder,
            _double(1, time.time() if walltime is None else walltime) + _int(2, int(step or 0)) + _bytes(5, summary),
        )

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: int | None = None, walltime: float | None = None, **kwargs: Any
    ) -> None:
        """One number."""
        self._value(tag, _float(2, float(_array(scalar_value))), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Several numbers in one chart; each has a folder of its own, as PyTorch lays them out."""
        for tag, value in tag_scalar_dict.items():
            folder = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            self._value(main_tag, _float(2, float(_array(value))), global_step, walltime, folder)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How values are distributed."""
        x = _array(values).astype(np.float64).reshape(-1)
        if not x.size:
            raise ArgumentError("add_histogram: the input has no element")
        counts, edges = np.histogram(x, bins=30 if bins == "tensorflow" else bins)
        fields = [
            _double(1, x.min()),
            _double(2, x.max()),
            _double(3, x.size),
            _double(4, x.sum()),
            _double(5, float(x @ x)),
        ]
        packed = [_bytes(6, edges[1:].astype("<f8").tobytes()), _bytes(7, counts.astype("<f8").tobytes())]
        self._value(tag, _bytes(5, b"".join([*fields, *packed])), global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """An image: floats from 0 to 1, or bytes."""
        x = _array(img_tensor)
        order = [dataformats.index(c) for c in "HWC" if c in dataformats]
        x = x.transpose(order)
        x = x[:, :, None] if x.ndim == 2 else x
        pixels = x if x.dtype == np.uint8 else np.clip(x.astype(np.float32) * 255, 0, 255).astype(np.uint8)
        pixels = np.ascontiguousarray(np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels[:, :, :3])
        h, w, _ = pixels.shape
        self._value(
            tag, _bytes(4, _int(1, h) + _int(2, w) + _int(3, 3) + _bytes(4, encode_png(pixels))), global_step, walltime
        )

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Images, side by side."""
        images = img_tensor if isinstance(img_tensor, Tensor) else Tensor(_array(img_tensor).tolist())
        self.add_image(tag, make_grid(images.permute([dataformats.index(c) for c in "NCHW"])), global_step, walltime)

    def add_figure(
        self, tag: str, figure: Any, global_step: int | None = None, close: bool = True, walltime: float | None = None
    ) -> None:
        """A figure of matplotlib, as an image."""
        figure.canvas.draw()
        self.add_image(tag, np.asarray(figure.canvas.buffer_rgba())[:, :, :3], global_step, walltime, "HWC")
        if close:
            figure.clf()

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """A text, in Markdown."""
        metadata = _bytes(9, _bytes(1, _bytes(1, "text")))
        tensor = _bytes(8, _int(1, 7) + _bytes(2, _bytes(2, _int(1, 1))) + _bytes(8, text_string))
        self._value(f"{tag}/text_summary", metadata + tensor, global_step, walltime)

    def add_hparams(
        self, hparam_dict: Mapping[str, Any], metric_dict: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        """Hyperparameters as a table in Markdown, metrics as scalars."""
        self.add_text(
            "hparams", "\n".join(["| name | value |", "|---|---|", *(f"| {k} | {v} |" for k, v in hparam_dict.items())])
        )
        for tag, value in metric_dict.items():
            self.add_scalar(tag, value, kwargs.get("global_step"))

    def add_graph(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: fdl's graphs are shown by `fdl.explain`."""

    def get_logdir(self) -> str:
        """Where files lie."""
        return self.log_dir

    def flush(self) -> None:
        """Hand what is written to the system."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Close all files."""
        for file in self._files.values():
            file.close()
        self._files.clear()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
