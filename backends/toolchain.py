"""The C compiler: found once, asked once what the machine can do."""

from __future__ import annotations

import dataclasses
import errno
import functools
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from fdl.core.blocks import aside
from fdl.core.config import config
from fdl.core.errors import CompileError, SettingError
from fdl.lowering.target import AVX2, AVX512, C_TARGETS, SCALAR, Target

INCLUDE = Path(__file__).resolve().parent.parent / "lowering" / "emit" / "include"

INSTALL = "install gcc or clang, or: pip install 'fdl[compiler]', or set FDL_CC"

# No flag lets the compiler change what is computed; those that say "no" drop side effects (errno, traps) that keep
# loops from vectorising. Fused multiply-adds are spelled out (fdl_fma.h).
_COMMON = (
    "-std=gnu11",
    "-fPIC",
    "-shared",
    "-fwrapv",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=default",
    "-w",
)
# -fno-builtin: a call with constant operands is not worked out by the compiler, whose mathematics rounds otherwise than
# the library's.
# -fno-tree-slp-vectorize: where loops are unrolled, gcc 12 merges loads of AVX-512 that are not of one row, and takes
# elements for others; see `test_a_mirrored_triangle`.
PROGRAM_FLAGS = (
    *(*_COMMON, "-fno-builtin", "-O2", "-ftree-vectorize", "-fno-tree-slp-vectorize"),
    *("-fvect-cost-model=dynamic", "-funswitch-loops"),
)
# The runtime library calls Python's functions and follows pointers: what gcc's -O2 adds to -O1 takes two fifths of the
# compiler's time, and saves a hundredth of a call.
RUNTIME_FLAGS = (*_COMMON, "-O2", "-O1", "-fno-tree-pta")
# Of gcc's -O2 products need two flags: with them, -O1 is as fast and compiles in two thirds of the time; without, it
# has two thirds of the speed.
PRODUCT_FLAGS = (*_COMMON, "-O2", "-O1", "-fexpensive-optimizations", "-frerun-cse-after-loop")
# What other compilers do anyway, or do not know.  Equal kernels are one function already, and gcc's search for them
# takes a third of its time on long programs.
_GCC_ALONE = frozenset(
    {
        "-O1",
        "-fno-tree-pta",
        "-fno-tree-slp-vectorize",
        "-fexpensive-optimizations",
        "-frerun-cse-after-loop",
        "-fvect-cost-model=dynamic",
        "-funswitch-loops",
        "-fno-ipa-icf",
    }
)


@dataclasses.dataclass(frozen=True)
class Compiler:
    """A C compiler, its version, and the macros that it defines for this machine."""

    command: tuple[str, ...]
    version: str
    target: Target
    machine_flags: tuple[str, ...]

    @property
    def vector_bytes(self) -> int:
        """Bytes of the widest vectors that programs use."""
        return self.target.vector_bytes

    @property
    def path(self) -> str:
        """What people call it."""
        return " ".join(self.command)

    def for_library(self) -> Compiler:
        """The compiler as the runtime library asks for it, which no number of a target changes but its vectors."""
        return dataclasses.replace(self, target=C_TARGETS[self.target.name])

    def identity(self) -> str:
        """What of compiler and machine changes the binary of a text."""
        text = "\n".join(
            [
                self.path,
                self.version,
                *self.machine_flags,
                self.target.name,
                platform.machine(),
                *PROGRAM_FLAGS,
                *RUNTIME_FLAGS,
                *PRODUCT_FLAGS,
            ]
        )
        return hashlib.sha256(text.encode()).hexdigest()

    def build(
        self, sources: Sequence[Path], target: Path, flags: Sequence[str], libraries: Sequence[str] = ("-lm",)
    ) -> None:
        """Compile and link a shared library; CompileError with the compiler's words where it fails."""
        if sys.platform == "darwin":  # Python's symbols are found when the library is loaded
            libraries = ("-undefined", "dynamic_lookup")
        if len(sources) < 2:
            return self._run([*flags, f"-I{INCLUDE}", "-o", str(target), *map(str, sources), *libraries])
        objects = [target.with_suffix(f".{i}.o") for i in range(len(sources))]
        try:
            self._run(
                *[
                    [*flags, f"-I{INCLUDE}", f"-DFDL_UNIT={i}", "-c", "-o", str(objects[i]), str(source)]
                    for i, source in enumerate(sources)
                ]
            )
            self._run([*flags, "-o", str(target), *map(str, objects), *libraries])
        finally:
            for unit in objects:
                unit.unlink(missing_ok=True)

    def _run(self, *calls: Sequence[str]) -> None:
        """Start the compiler with each of these arguments, at the same time, and wait for all."""
        started = []
        for arguments in calls:
            flags = [
                f for f in (*self.machine_flags, *arguments) if f not in _GCC_ALONE or "__clang__" not in self.version
            ]
            try:
                started.append(
                    subprocess.Popen(
                        [*self.command, *flags],
                        stderr=subprocess.PIPE,
                        text=True,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        env={**os.environ, "LC_ALL": "C"},
                    )
                )
            except OSError as error:
                raise CompileError(f"{self.path} cannot be run", why=str(error)) from error
        ended = [(process, process.communicate()[1]) for process in started]
        for process, said in ended:
            if process.returncode and os.strerror(errno.ENOSPC) in said:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if process.returncode:
                raise CompileError(
                    f"{self.path} failed with status {process.returncode}",
                    why=said.strip()[-2000:] or "it said nothing",
                )


def find_compiler() -> Compiler | None:
    """The compiler of `FDL_CC`, else cc, gcc or clang in PATH, else the one in the wheel `ziglang`, which
    `fdl[compiler]` installs; None without one.
    """
    return _find(config.compiler, config.target, os.environ.get("PATH", ""))


@functools.cache
def _find(wanted: str, target: str, path: str) -> Compiler | None:
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return None  # objects have another layout there than the runtime library declares
    paths = [shutil.which(name, path=path) for name in ([wanted] if wanted else ["cc", "gcc", "clang"])]
    commands = [(found,) for found in paths if found is not None]
    if not wanted and importlib.util.find_spec("ziglang") is not None:
        commands.append((sys.executable, "-m", "ziglang", "cc"))  # type: ignore[arg-type]
    return aside(lambda: next(filter(None, (_describe(c, target) for c in commands)), None))


def host_target() -> Target:
    """What programs are lowered for on this machine; vectors that every machine has where there is no compiler."""
    compiler = find_compiler()
    return SCALAR if compiler is None else compiler.target


def _describe(command: tuple[str, ...], wanted: str) -> Compiler | None:
    """Ask for version and macros; None if the compiler does not run.  The target is the widest that the machine has, or
    the one that is wanted.
    """
    for flags in (("-march=native",), ("-mcpu=native",), ()):
        result = subprocess.run(
            [*command, *flags, "-dM", "-E", "-x", "c", os.devnull],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode == 0:
            macros = result.stdout
            break
    else:
        return None
    widest = AVX512 if "__AVX512F__ 1" in macros else AVX2 if "__AVX2__ 1" in macros else SCALAR
    target = C_TARGETS.get(wanted, widest)
    if target.vector_bytes > widest.vector_bytes:
        raise SettingError(f"FDL_TARGET={wanted}: this machine has no {wanted}; it can run {widest.name}")
    narrower = target.flags if target is AVX512 or target is not widest else ()
    version = "\n".join(sorted(line for line in macros.splitlines() if "__VERSION__" in line or " 1" in line))
    return Compiler(command, version, target, (*flags, *narrower, "-fno-ipa-icf"))


def rows_of_tile(vector_bytes: int) -> int:
    """Rows of a tile of matrix product that fill the vector registers with two columns of vectors."""
    return 14 if vector_bytes == 64 else 6 if vector_bytes == 32 else 4
