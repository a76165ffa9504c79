"""NVRTC without a GPU: any machine can see whether a CUDA source compiles, and to what."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path
from typing import Any

from fdl.backends.toolchain import INCLUDE
from fdl.core.errors import CompileError

OPTIONS = ("--std=c++14", "--fmad=false", "--disable-warnings", f"-I{INCLUDE}")


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
