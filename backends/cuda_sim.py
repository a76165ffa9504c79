"""`cuda-sim`: the very text that would go to a GPU, compiled by the host's C++ compiler and run on the CPU.

It is there on every machine with such a compiler, so that all that a GPU would run can be tested: threads of a block
are fibers, which a barrier switches between (`cuda_sim.h`). Slow, and right.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdl.backends import cache
from fdl.backends.device import Bytes, DeviceExecutable
from fdl.backends.toolchain import INSTALL, find_compiler
from fdl.core.errors import CompileError
from fdl.core.graph import Graph
from fdl.lowering.emit.device.program import DeviceProgram, Launch
from fdl.lowering.target import CUDA

HEADER = Path(__file__).with_name("cuda_sim.h")
FLAGS = (
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-shared",
    "-ffp-contract=off",
    "-fno-exceptions",
    "-fno-rtti",
    "-U_FORTIFY_SOURCE",  # its longjmp takes a switch between fibers for a mistake
    "-w",
)


class SimDriver:
    """A module in the host's memory."""

    def __init__(self, rendered: DeviceProgram) -> None:
        names = sorted({launch.name for launch in rendered.launches.values()})
        self.library = ctypes.PyDLL(str(_built(rendered.source + "".join(f"FDL_SIM_LAUNCHER({n})\n" for n in names))))

    def empty(self, nbytes: int) -> Bytes:
        return np.full(nbytes, 0xFF, np.uint8)  # NaN, or no likely number, where nothing is written

    def upload(self, data: Bytes) -> Bytes:
        return data.copy() if data.size else np.zeros(1, np.uint8)

    def download(self, memory: Bytes, nbytes: int) -> Bytes:
        return memory[:nbytes].copy()

    def copy(self, source: Bytes, target: Bytes, nbytes: int) -> None:
        target[:nbytes] = source[:nbytes]

    def launch(self, launch: Launch, memory: Sequence[Bytes], steps: Sequence[int]) -> None:
        values: list[Any] = [*(ctypes.c_void_p(m.ctypes.data) for m in memory), *map(ctypes.c_longlong, steps)]
        arguments = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        run = self.library[f"fdl_sim_{launch.name}"]
        run.restype = ctypes.c_char_p
        said = run(ctypes.c_longlong(launch.blocks), ctypes.c_int(launch.threads), arguments)
        if said:
            raise CompileError(f"{launch.name}: {said.decode()}")


def _built(source: str) -> Path:
    """The library of a module, from the disk cache or compiled now."""
    compiler = find_compiler()
    if compiler is None:
        raise CompileError('device="cuda-sim": no compiler was found', hint=INSTALL)
    text = f'#include "{HEADER.name}"\n{source}'
    key = cache.key_of(compiler.identity(), HEADER.read_text(encoding="utf-8"), *FLAGS, text, cache.own_digest())

    def build(target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            unit = Path(folder) / "module.cpp"
            unit.write_text(text, encoding="utf-8")
            compiler.build([unit], target, [*FLAGS, f"-I{HEADER.parent}"])

    return cache.usable(lambda: cache.find("simulated", key) or cache.keep("simulated", key, build))


def sim_executable(graph: Graph) -> DeviceExecutable[Bytes]:
    """A graph on the simulated GPU."""
    return DeviceExecutable(graph, CUDA, SimDriver)
