"""The runtime library, built once a machine and loaded as an extension module, see `native/`; and matrix products, a
library for each element type.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import importlib.machinery
import importlib.util
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from fdl.backends import cache
from fdl.backends.toolchain import PRODUCT_FLAGS, RUNTIME_FLAGS, Compiler, rows_of_tile
from fdl.core.array import ConcreteArray
from fdl.core.blocks import aside
from fdl.core.config import config
from fdl.core.errors import CompileError
from fdl.lowering.emit.expressions import environment

_NATIVE = Path(__file__).resolve().parent / "native"
_LOCK = threading.RLock()  # a signal handler may compute while its own thread holds it
_LOCKS: dict[str, threading.RLock] = defaultdict(threading.RLock)  # of each library that is built
_NAME = "fdl_native"
builds = 0  # libraries that this process has compiled


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
    type: ElementType
    columns: int = 2
    few: int = 4  # rows up to which the other operand is streamed

    @property
    def depth(self) -> int:
        """Steps of k in a block: a tile's rows of A stay in the nearest cache."""
        return 2048 // self.type.size


@dataclasses.dataclass(frozen=True)
class NarrowConfig:
    """What the template of products of narrow elements gets: the machine's vectors, how many elements make a word,
    types in C, the machine's instruction and its macro, and how they are multiplied without.
    """

    vector_bytes: int
    pack: int
    element: str
    sum: str
    multiply: str
    macro: str
    widened: str = ""


TYPES = ("f32", "f64", "bf16", "i8")


def library_parts() -> tuple[Path, list[str]]:
    """The C file that joins the parts of the library, and the flags that say which there are.

    Parts of higher floors are found as data of the package, among the files of which the cache's digest is made: so
    nothing here imports or names what stands above, and no part can be missing in the keys. All of them are one
    translation unit, which takes four fifths of the compiler's time for units of their own, each with its headers.
    """
    joining = _NATIVE / "module.c"
    parts = [path for path in cache.own_files().values() if path.suffix == ".c"]
    names = "".join(f"FDL_PART({path.stem})" for path in parts)
    included = [flag for path in parts if path != joining for flag in ("-include", str(path))]
    return joining, [f"-DFDL_PARTS={names}", *included]


def gemm_source(vector_bytes: int, suffix: str) -> str:
    """The source of the matrix products of a type for a machine."""
    if suffix in ("f32", "f64"):
        kind = ElementType("float", "f32", 4) if suffix == "f32" else ElementType("double", "f64", 8)
        return _rendered("gemm.c.j2", GemmConfig(vector_bytes, rows_of_tile(vector_bytes), kind))
    if suffix == "bf16":
        return _rendered(
            "gemm_narrow.c.j2",
            NarrowConfig(
                vector_bytes,
                2,
                "unsigned short",
                "float",
                "_tile_dpbf16ps",
                "__AMX_BF16__",
                gemm_source(vector_bytes, "f32"),
            ),
        )
    return _rendered(
        "gemm_narrow.c.j2", NarrowConfig(vector_bytes, 4, "signed char", "int", "_tile_dpbssd", "__AMX_INT8__")
    )


def _rendered(name: str, config: Any) -> str:
    text: str = environment().from_string((_NATIVE / name).read_text()).render(g=config)
    return text


def load(compiler: Compiler) -> ModuleType:
    """The library as a module: `load`, `program`, `set_threads`."""
    return _loaded(compiler.for_library())


@functools.cache
def _loaded(compiler: Compiler) -> ModuleType:
    path = _built(compiler, _NAME)
    with _LOCK:
        spec = importlib.util.spec_from_loader(_NAME, importlib.machinery.ExtensionFileLoader(_NAME, str(path)))
        assert spec is not None and spec.loader is not None
        with loading():
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        module.arrays(*probe(ConcreteArray))
        config.on_threads(module.set_threads)
        return module


def load_products(compiler: Compiler, suffix: str) -> None:
    """Let programs use the matrix products of an element type."""
    _load_products(compiler.for_library(), suffix)


@functools.cache
def _load_products(compiler: Compiler, suffix: str) -> None:
    module, path = load(compiler), _built(compiler, suffix)
    with loading():
        module.products(suffix, str(path))


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """What the system says of a library that it does not load, as OSError; CompileError where it calls what is not
    there.
    """
    try:
        yield
    except (ImportError, RuntimeError) as error:
        if "undefined symbol" in str(error):
            raise CompileError("a compiled program cannot be loaded", why=str(error)) from error
        raise OSError(errno.ENOEXEC, f"a library cannot be loaded: {error}") from error


def probe(cls: Any) -> tuple[Any, int]:
    """An instance with a value of its own in each slot, from which the library learns where slots lie; and its size."""
    instance = cls.__new__(cls)
    for slots in [getattr(c, "__slots__", ()) for c in cls.__mro__]:
        for name in slots if not isinstance(slots, str) else (slots,):
            if not name.startswith("__"):
                setattr(instance, name, object())
    return instance, cls.__basicsize__


def begin(compiler: Compiler, suffixes: Iterable[str] = ()) -> None:
    """Let the library, and products of these element types, be compiled, where they have not been, while other work
    goes on; `load` meets the error if that fails.
    """

    def work(name: str) -> None:
        with contextlib.suppress(CompileError, OSError):
            _built(compiler, name)

    for name in (_NAME, *suffixes):
        if not cache.has("runtime", _stem(compiler, name)):
            aside(threading.Thread(target=work, args=(name,)).start)  # a script that ends before waits for it


def _built(compiler: Compiler, name: str) -> Path:
    """A library's file, compiled if need be."""
    stem = _stem(compiler, name)
    with _LOCKS[name]:
        return cache.find("runtime", stem) or cache.keep("runtime", stem, lambda target: _build(compiler, name, target))


def _stem(compiler: Compiler, name: str) -> str:
    return f"{name}-{cache.key_of(cache.own_digest(), compiler.identity())}"


def _build(compiler: Compiler, name: str, target: Path) -> None:
    global builds
    builds += 1
    if name == _NAME:
        joining, flags = library_parts()
        compiler.build([joining], target, (*RUNTIME_FLAGS, *flags), ("-lm", "-lpthread", "-ldl"))
        return
    source = target.with_suffix(".c")
    try:
        source.write_text(gemm_source(compiler.vector_bytes, name))
        compiler.build(
            [source],
            target,
            (*PRODUCT_FLAGS, "-ftree-vectorize", "-fvect-cost-model=dynamic")
            if name in ("bf16", "i8")
            else PRODUCT_FLAGS,
        )
    finally:
        source.unlink(missing_ok=True)
