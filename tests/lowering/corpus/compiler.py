"""All that the corpus knows of the compiler's insides, by the names that they have now or had before: this file is
copied into older revisions too, to render with them.
"""

from __future__ import annotations

import importlib
import itertools
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fdl.core.graph import Graph
from tests.lowering.corpus.tokens import words


def _found(*places: str) -> Any:
    """The first of `module:name` that there is; ImportError without one."""
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"none of {', '.join(places)}: tell {__file__} where they went")


_lower = _found("fdl.lowering.pipeline:lower", "fdl.backends.c:lower")
_gemm_source = _found("fdl.backends.runtime:gemm_source")
_types = _found("fdl.backends.runtime:TYPES")
HEADERS = Path(_found("fdl.backends.toolchain:INCLUDE"))
_find_compiler, _flags = _found("fdl.backends.toolchain:find_compiler"), _found("fdl.backends.toolchain:PROGRAM_FLAGS")
_build = _found("fdl.lowering.build.control:build", "fdl.lowering.builder:build")
_schedule = _found("fdl.lowering.pipeline:schedule", "fdl.lowering.schedule:schedule")
_interpret = _found("fdl.lowering.ir.interpret:interpret_program", "fdl.lowering.interpret:interpret_program")
inline = _found("fdl.passes.inline:inline", "fdl.lowering.passes.inline:inline")
Executable = _found("fdl.backends.c:CExecutable")

try:
    _targets: Any = _found("fdl.lowering.target:C_TARGETS")
    _target_of_host: Any = _found("fdl.backends.toolchain:host_target")
except ImportError:  # of a revision without targets
    _targets = {}
TARGETS: tuple[str, ...] = tuple(_targets) or ("c",)

_PROCESSORS = {"avx512": "skylake-avx512", "avx2": "haswell", "scalar": "x86-64"}


def render(graph: Graph, donated: Sequence[int], target: str) -> str:
    """The C text of a graph."""
    source: str = _lower(graph, *([_targets[target]] if _targets else []), donated).source
    return source


def header_texts() -> dict[str, str]:
    """What programs include, by file name, and the text of the products of matrices, by element type and bytes of a
    vector.
    """
    headers = {path.name: path.read_text() for path in sorted(HEADERS.glob("*.h"))}
    products = {f"products.{t}.{v}": _gemm_source(v, t) for t, v in itertools.product(_types, (16, 32, 64))}
    return headers | products


def library_names() -> frozenset[str]:
    """What headers offer to programs."""
    return frozenset(n for path in HEADERS.glob("*.h") for n in words(path.read_text()) if n.lower().startswith("fdl"))


def compile_command(target: str) -> list[str]:
    """The compiler of this machine, with the flags of programs: for the processors of a target, this machine or not."""
    found = _find_compiler()
    processor = _PROCESSORS.get(target) if platform.machine() == "x86_64" else None
    return [*found.command, *(found.machine_flags if processor is None else [f"-march={processor}"]), *_flags]


def loop_program_results(graph: Graph, args: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Flat results of the scheduled loop program, by its interpreter; the program is checked before and after."""
    program = _build(graph)
    program.check()
    scheduled = _schedule(program, *([_target_of_host()] if _targets else []))
    scheduled.check()
    results: list[np.ndarray[Any, Any]] = _interpret(scheduled, args)
    return results


def executable(graph: Graph, donated: Sequence[int]) -> Any:
    """The compiled program, a function of a list of arrays."""
    return Executable(graph, _find_compiler(), tuple(donated))
