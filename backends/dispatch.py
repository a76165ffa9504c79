"""Who runs a graph: the compiler where there is one and the tier allows it, else the interpreter."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

from fdl.backends import c, runtime
from fdl.backends.c import CExecutable
from fdl.backends.cuda import cuda_executable
from fdl.backends.cuda_sim import sim_executable
from fdl.backends.executable import Executable, Interpreted
from fdl.backends.piecewise import Piecewise
from fdl.backends.toolchain import INSTALL, Compiler, find_compiler
from fdl.backends.waits import note_program, waiting
from fdl.core.config import config, log
from fdl.core.errors import CacheError, CompileError, CompileWarning, DeviceError, MissingRuleError, NoCompilerWarning
from fdl.core.graph import Graph

DEVICES: dict[str, Callable[[Graph], Executable]] = {
    "cuda": cuda_executable,
    "cuda-sim": sim_executable,
    "cuda-sim-checked": lambda graph: sim_executable(graph, checked=True),
}
FORCED = ("compiled", "native")  # tiers in which nothing is interpreted
_warned: list[bool] = []
_told_of_cache: list[bool] = []


def executable(graph: Graph, name: str, device: str = "cpu", donated: tuple[int, ...] = ()) -> Executable:
    """The program of a graph without constants on a device, "cpu" or one of `DEVICES`, made once for as long as the
    graph lives and its operations keep their rules.

    The caller gives up the arrays of `donated` inputs: results may be written over them.
    """
    if device in DEVICES:
        return graph.derived(device, lambda: DEVICES[device](graph))
    if device != "cpu":
        raise DeviceError(f"there is no device {device!r}", hint=", ".join(["cpu", *DEVICES]))
    if "callback" in graph.effects:
        return _calling_back(graph, name)
    if config.tier == "native":
        return pieces(graph, name)
    compiler = None if config.tier == "interpreted" else find_compiler()
    return graph.derived(
        ("executable", compiler, donated),
        lambda: _compiled(graph, name, compiler, donated) if compiler is not None else _without_compiler(graph, name),
    )


def pieces(graph: Graph, name: str) -> Executable:
    """The program of a graph without constants on the CPU, operation by operation: see `piecewise.py`. Its bits are
    those of `executable`.
    """
    if "callback" in graph.effects:
        return _calling_back(graph, name)
    compiler = find_compiler()
    if compiler is None:
        return _without_compiler(graph, name) if config.tier in FORCED else Interpreted(graph)
    return graph.derived(("pieces", compiler), lambda: _compiled(graph, name, compiler, whole=False))


def _calling_back(graph: Graph, name: str) -> Executable:
    if config.tier == "compiled":
        raise CompileError(
            f"{name} calls a Python function",
            why="compiled programs call nothing but themselves, and FDL_TIER=compiled forbids the interpreter",
            hint="FDL_TIER=auto",
        )
    return graph.derived("calls back", lambda: Interpreted(graph))


def can_compile() -> bool:
    """Whether there is a compiler; without one, says so once."""
    if find_compiler() is None:
        _warn_once()
        return False
    return True


def _compiled(
    graph: Graph, name: str, compiler: Compiler, donated: tuple[int, ...] = (), whole: bool = True
) -> Executable:
    """Compiled, as a whole or operation by operation; where the compiler fails, slower but not broken, unless the tier
    forbids it.
    """
    start, before, built = time.perf_counter(), c.compilations, runtime.builds
    try:
        with waiting(name, len(graph.equations)) as also:
            program = CExecutable(graph, compiler, donated) if whole else Piecewise(graph, compiler)
            if runtime.builds > built:
                also.append("the runtime library, once for this machine,")
        how = "compiled" if c.compilations > before else "found in the disk cache"
        if whole and how == "compiled":
            note_program(name, graph)
        log("compile", f"{name}: {len(graph.equations)} equations, {how} in {time.perf_counter() - start:.3f} s")
        return program
    except (CompileError, MissingRuleError) as error:
        if config.tier in FORCED:
            raise
        if not whole and isinstance(error, MissingRuleError):
            return Interpreted(graph)  # nobody has asked for a compiled program yet
        if not isinstance(error, CacheError):
            warnings.warn(f"jit({name}) runs on the interpreter: {error}", CompileWarning, stacklevel=2)
        elif not _told_of_cache:
            _told_of_cache.append(True)
            warnings.warn(f"programs run on the interpreter: {error}", CompileWarning, stacklevel=2)
        return Interpreted(graph)


def _without_compiler(graph: Graph, name: str) -> Executable:
    if config.tier in FORCED:
        raise CompileError(
            f"jit({name}): no C compiler was found", why=f"FDL_TIER={config.tier} forbids the interpreter", hint=INSTALL
        )
    _warn_once()
    return Interpreted(graph)


def _warn_once() -> None:
    if config.tier == "auto" and not _warned:
        _warned.append(True)
        warnings.warn(
            f"no C compiler was found: jitted functions run on the interpreter; {INSTALL}",
            NoCompilerWarning,
            stacklevel=2,
        )
