"""The CUDA backend, seen early: elementwise work, folds and products through CuPy, and PTX through NVRTC without a GPU.

CuPy is an optional package; nothing here imports it before it is asked for.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdl.backends.executable import Executable
from fdl.backends.toolchain import INCLUDE
from fdl.core.array import ConcreteArray
from fdl.core.errors import CompileError
from fdl.core.graph import Graph
from fdl.lowering.build.control import build
from fdl.lowering.emit.devices import DeviceProgram, render_device
from fdl.lowering.pipeline import schedule
from fdl.lowering.target import CUDA
from fdl.passes import run_passes

OPTIONS = ("--std=c++14", "--fmad=false", "--disable-warnings", f"-I{INCLUDE}")


def cuda_available() -> bool:
    """Whether CuPy is installed and sees a GPU."""
    if importlib.util.find_spec("cupy") is None:
        return False
    try:
        return bool(importlib.import_module("cupy").cuda.runtime.getDeviceCount() > 0)
    except Exception:  # CuPy raises its own errors where there is no driver
        return False


def lower_cuda(graph: Graph) -> tuple[DeviceProgram, Any]:
    """The CUDA module of a graph, and its loop program."""
    program = schedule(build(run_passes(graph), routines=CUDA.routines), CUDA)
    return render_device(program, CUDA), program


class CudaExecutable(Executable):
    """A graph on the GPU: arguments are copied there and results back, so that arrays stay on the CPU until devices are
    a part of arrays.
    """

    def __init__(self, graph: Graph) -> None:
        if not cuda_available():
            raise CompileError(
                'device="cuda": CuPy or a GPU is missing',
                hint="pip install fdl[cuda] on a machine with an NVIDIA driver",
            )
        self.graph = graph
        self.cupy = importlib.import_module("cupy")
        self.device_program, self.program = lower_cuda(graph)
        self.module = self.cupy.RawModule(code=self.device_program.source, options=OPTIONS, backend="nvrtc")

    def __call__(self, arrays: Sequence[ConcreteArray]) -> list[ConcreteArray]:
        cupy = self.cupy
        memory = {b: cupy.empty(max(b.nbytes, 1), cupy.uint8) for b in self.program.buffers}
        for b, a in zip(self.program.inputs, arrays, strict=True):
            memory[b] = cupy.asarray(np.ascontiguousarray(a._numpy()).reshape(-1).view(np.uint8))
        for launch in self.device_program.launches:
            if 0 in launch.grid:
                continue
            self.module.get_function(launch.name)(launch.grid, launch.block, tuple(memory[b] for b in launch.buffers))
        results = []
        for b, aval in zip(self.program.outputs, self.graph.out_avals, strict=True):
            flat = cupy.asnumpy(memory[b])[: aval.nbytes].view(aval.dtype)
            results.append(ConcreteArray(aval, flat.reshape(aval.shape)))
        return results


# NVRTC without a GPU: what CI checks


@functools.cache
def _nvrtc() -> ctypes.CDLL | None:
    """NVRTC from its wheel or from the system; None without one."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    found = [
        str(p)
        for folder in folders
        for p in sorted(folder.glob("**/libnvrtc.so.*"))
        if "builtins" not in p.name and "alt" not in p.name
    ]
    for name in [*found, "libnvrtc.so"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def nvrtc_available() -> bool:
    """Whether sources can be compiled to PTX here."""
    return _nvrtc() is not None


def compile_ptx(source: str, architecture: str = "compute_80") -> str:
    """PTX of a CUDA source; CompileError with NVRTC's words where it fails."""
    library = _nvrtc()
    if library is None:
        raise CompileError("NVRTC was not found", hint="pip install nvidia-cuda-nvrtc-cu12")
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"fdl.cu", 0, None, None)
    options = [o.encode() for o in (*OPTIONS, f"--gpu-architecture={architecture}")]
    status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    if status:
        raise CompileError(
            "NVRTC failed", why=_text(library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog, program)[-2000:]
        )
    ptx = _text(library.nvrtcGetPTXSize, library.nvrtcGetPTX, program)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return ptx


def _text(size_of: Any, read: Any, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    read(program, buffer)
    return buffer.value.decode(errors="replace")
