"""CUDA through CuPy, which is an optional package: nothing here imports it before it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.backends.device import Bytes, DeviceExecutable
from fdl.backends.nvrtc import OPTIONS
from fdl.core.errors import CompileError
from fdl.core.graph import Graph
from fdl.lowering.emit.device.program import DeviceProgram, Launch
from fdl.lowering.target import CUDA


def cuda_available() -> bool:
    """Whether CuPy is installed and sees a GPU."""
    if importlib.util.find_spec("cupy") is None:
        return False
    try:
        return bool(importlib.import_module("cupy").cuda.runtime.getDeviceCount() > 0)
    except Exception:  # CuPy raises its own errors where there is no driver
        return False


class CudaDriver:
    """A module on the GPU; its memory is CuPy's, launches and copies stand in CuPy's current stream."""

    def __init__(self, rendered: DeviceProgram) -> None:
        self.cupy = importlib.import_module("cupy")
        self.module = self.cupy.RawModule(code=rendered.source, options=OPTIONS, backend="nvrtc")

    def empty(self, nbytes: int) -> Any:
        return self.cupy.empty(nbytes, np.uint8)

    def upload(self, data: Bytes) -> Any:
        return self.cupy.asarray(data)

    def download(self, memory: Any, nbytes: int) -> Bytes:
        found: Bytes = self.cupy.asnumpy(memory[:nbytes])
        return found

    def copy(self, source: Any, target: Any, nbytes: int) -> None:
        target[:nbytes] = source[:nbytes]

    def launch(self, launch: Launch, memory: Sequence[Any], steps: Sequence[int]) -> None:
        arguments = (*memory, *map(np.int64, steps))
        self.module.get_function(launch.name)((launch.blocks,), (launch.threads,), arguments)


def cuda_executable(graph: Graph) -> DeviceExecutable[Any]:
    """A graph on the GPU; CompileError where there is none."""
    if not cuda_available():
        raise CompileError(
            'device="cuda": CuPy or a GPU is missing',
            hint='pip install fdl[cuda] on a machine with an NVIDIA driver, or device="cuda-sim"',
        )
    return DeviceExecutable(graph, CUDA, CudaDriver)
