"""`cuda-sim`: the very text that would go to a GPU, compiled by the host's C++ compiler and run on the CPU.

It is there on every machine with such a compiler, so that all that a GPU would run can be tested: threads of a block
are fibers, which a barrier switches between (`cuda_sim.hpp`). Slow, and right. `cuda-sim-checked` watches each load and
store too: bounds, values that nobody has written, and races between barriers.
"""

from __future__ import annotations

import ctypes
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fdl.backends import cache
from fdl.backends.device import Bytes, DeviceExecutable
from fdl.backends.toolchain import INSTALL, find_compiler
from fdl.core.errors import CompileError, DeviceError
from fdl.core.graph import Graph
from fdl.lowering.emit.device.program import DeviceProgram, Launch
from fdl.lowering.target import CUDA

HEADER = Path(__file__).with_name("cuda_sim.hpp")
FLAGS = (
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-threadsafe-statics",
    "-U_FORTIFY_SOURCE",  # its longjmp takes a switch between fibers for a mistake
    "-w",
)
_MARK = 28  # bytes of fdl_mark, in whose second word stands whether an element has a value


class Piece(NamedTuple):
    """Memory of the simulated device, with marks for each byte where it is checked: as many as the smallest elements
    can be.
    """

    data: Bytes
    marks: Bytes | None


class _Checked(ctypes.Structure):
    """fdl_checked of `cuda_sim.hpp`."""

    _fields_ = (("values", ctypes.c_void_p), ("marks", ctypes.c_void_p), ("count", ctypes.c_long))


class SimDriver:
    """A module in the host's memory; `checked`, with each access watched."""

    def __init__(self, rendered: DeviceProgram, checked: bool = False) -> None:
        self.checked = checked
        self.library = ctypes.PyDLL(str(_built(rendered, checked)))  # one launch at a time

    def empty(self, nbytes: int) -> Piece:
        # NaN, or no likely number, where nothing is written
        return self._piece(np.full(nbytes, 0xFF, np.uint8), known=False)

    def upload(self, data: Bytes) -> Piece:
        return self._piece(data.copy() if data.size else np.zeros(1, np.uint8), known=True)

    def _piece(self, data: Bytes, known: bool) -> Piece:
        if not self.checked:
            return Piece(data, None)
        marks = np.zeros((data.size, _MARK // 4), np.int32)
        marks[:, 1] = known
        return Piece(data, marks)

    def download(self, memory: Piece, nbytes: int) -> Bytes:
        return memory.data[:nbytes].copy()

    def copy(self, source: Piece, target: Piece, nbytes: int) -> None:
        target.data[:nbytes] = source.data[:nbytes]
        if source.marks is not None and target.marks is not None:
            target.marks[:, 1] = source.marks[: len(target.marks), 1]

    def launch(self, launch: Launch, memory: Sequence[Piece], steps: Sequence[int]) -> None:
        sizes = [4 if b is None else b.dtype.itemsize for b in launch.buffers]
        pointers = [self._pointer(piece, size) for piece, size in zip(memory, sizes, strict=True)]
        values: list[Any] = [*pointers, *map(ctypes.c_longlong, steps)]
        arguments = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        run = self.library[f"fdl_sim_{launch.name}"]
        run.restype = ctypes.c_char_p
        said = run(ctypes.c_longlong(launch.blocks), ctypes.c_int(launch.threads), arguments)
        if said:
            raise DeviceError(f"{launch.name} on {launch.blocks} blocks of {launch.threads} threads: {said.decode()}")

    def _pointer(self, piece: Piece, itemsize: int) -> Any:
        if piece.marks is None:
            return ctypes.c_void_p(piece.data.ctypes.data)
        return _Checked(piece.data.ctypes.data, piece.marks.ctypes.data, piece.data.size // itemsize)


def _built(rendered: DeviceProgram, checked: bool) -> Path:
    """The library of a module, from the disk cache or compiled now."""
    compiler = find_compiler()
    if compiler is None:
        raise CompileError('device="cuda-sim": no compiler was found', hint=INSTALL)
    names = sorted({launch.name for launch in rendered.launches.values()})
    source = _watched(rendered.source) if checked else rendered.source
    launchers = "".join(f"FDL_SIM_LAUNCHER({name})\n" for name in names)
    text = f'{"#define FDL_SIM_CHECKED" if checked else ""}\n#include "{HEADER.name}"\n{source}{launchers}'
    key = cache.key_of(compiler.identity(), HEADER.read_text(encoding="utf-8"), *FLAGS, text, cache.own_digest())

    def build(target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            unit = Path(folder) / "module.cpp"
            unit.write_text(text, encoding="utf-8")
            compiler.build([unit], target, [*FLAGS, f"-I{HEADER.parent}"])

    return cache.usable(lambda: cache.find("simulated", key) or cache.keep("simulated", key, build))


def _watched(source: str) -> str:
    """The text with pointers and shared arrays of classes that watch them."""
    source = re.sub(r"(?:const )?(\w+) \*__restrict__ (\w+)", r"fdl_checked<\1> \2", source)
    return re.sub(r"__shared__ (\w+) (\w+)\[", r"static fdl_watched<\1> \2[", source)


def sim_executable(graph: Graph, checked: bool = False) -> DeviceExecutable[Piece]:
    """A graph on the simulated GPU."""
    return DeviceExecutable(graph, CUDA, lambda rendered: SimDriver(rendered, checked))
