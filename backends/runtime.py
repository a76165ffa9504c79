"""The runtime library: built once a machine, loaded as an extension module; see `native/runtime.c`."""

from __future__ import annotations

import dataclasses
import functools
import importlib.machinery
import importlib.util
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from fdl.backends import cache
from fdl.backends.toolchain import PRODUCT_FLAGS, Compiler, rows_of_tile
from fdl.core.array import Array
from fdl.core.config import config
from fdl.lowering.render import environment

_NATIVE = Path(__file__).resolve().parent / "native"
_LOCK = threading.Lock()


@dataclasses.dataclass(frozen=True)
class ElementType:
    """An element type of matrix products."""

    name: str
    suffix: str
    size: int


@dataclasses.dataclass(frozen=True)
class GemmConfig:
    """What the product's template gets: sizes that follow from the machine's vectors."""

    vector_bytes: int
    rows: int
    wide: tuple[int, ...]  # by rows: vectors of columns where all of C's rows fit
    columns: int = 2
    depth: int = 256
    types: tuple[ElementType, ...] = (ElementType("float", "f32", 4), ElementType("double", "f64", 8))


def gemm_source(vector_bytes: int) -> str:
    """The source of the matrix products for a machine."""
    template = environment().from_string((_NATIVE / "gemm.c.j2").read_text())
    registers = 32 if vector_bytes == 64 else 16
    wide = (0, *(min(8, (registers - 2) // (rows + 1)) for rows in range(1, 5)))
    text: str = template.render(g=GemmConfig(vector_bytes, rows_of_tile(vector_bytes), wide))
    return text


@functools.cache
def load(compiler: Compiler) -> ModuleType:
    """The library as a module: `load`, `program`, `set_threads`."""
    with _LOCK:
        path = cache.folder("runtime") / f"fdl_native-{cache.key_of(cache.own_digest(), compiler.identity())}.so"
        if not path.exists():
            cache.publish(path, lambda target: _build(compiler, target))
        spec = importlib.util.spec_from_loader("fdl_native", importlib.machinery.ExtensionFileLoader("fdl_native", str(path)))
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.arrays(*probe(Array))
        config.on_threads(module.set_threads)
        return module


def probe(cls: Any) -> tuple[Any, int]:
    """An instance with a value of its own in each slot, from which the library learns where slots lie; and its size."""
    instance = cls.__new__(cls)
    for slots in [getattr(c, "__slots__", ()) for c in cls.__mro__]:
        for name in slots if not isinstance(slots, str) else (slots,):
            if not name.startswith("__"):
                setattr(instance, name, object())
    return instance, cls.__basicsize__


def _build(compiler: Compiler, target: Path) -> None:
    gemm = target.with_suffix(".gemm.c")
    try:
        gemm.write_text(gemm_source(compiler.vector_bytes))
        compiler.build([_NATIVE / "runtime.c", gemm], target, PRODUCT_FLAGS, ("-lm", "-lpthread", "-ldl"))
    finally:
        gemm.unlink(missing_ok=True)
