"""Settings: read from the environment once, changed by functions, one place each.

A variable with a value that it cannot have is an error at `import fdl`, one whose name begins with `FDL_` but is none
of these a warning. Empty means not set.

- `FDL_TIER`: `auto` (compile as a whole what is under `jit` and what keeps coming back, and until then each operation
  by itself, for all sizes: the bits are the same), `compiled` (all as a whole, and raise where it cannot be), `native`
  (each operation by itself, and raise where it cannot be), `interpreted` (nothing)
- `FDL_EAGER`: `0` (the default) or `1`: each operation outside of transforms runs when its line is reached, one by one
- `FDL_NUM_THREADS`: threads of a compiled program (a whole number; else `OMP_NUM_THREADS`, else the cores that the
  process may use)
- `FDL_CACHE_DIR`: folder of compiled programs (default: `fdl` in the user's cache folder)
- `FDL_CC`: name or path of the C compiler to use
- `FDL_TARGET`: `auto` (the widest vectors that the machine has), `avx512`, `avx2` or `scalar`; results do not depend on
  it, bit for bit
- `FDL_CHECKS`: indices out of bounds: `0` (what JAX does: moved inside, filled or dropped), `1` (errors, in recorded
  programs too); else errors where an index has a value
- `JAX_ENABLE_X64`: `0` (the default) or `1`: the functional face's defaults (of Python numbers, `zeros`, `arange`,
  random numbers and the like) have 64 bits
- `FDL_WAIT`: `0` (the default): what keeps coming back is compiled by a helper process while the program goes on; `1`:
  the program waits for it
- `FDL_TRACEBACK`: `user` (the default) or `full`: whether an error that nobody catches is printed with the frames of
  fdl
- `FDL_LOG`: `compile`: say on standard error what is compiled, why, and how long it took; `quiet`: no line on the
  terminal where compiling takes more than a second
"""

from __future__ import annotations

import dataclasses
import difflib
import operator
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, get_args

from fdl.core.blocks import block
from fdl.core.errors import SettingError, SettingWarning

Tier = Literal["auto", "compiled", "native", "interpreted"]
T = TypeVar("T")
MOST_THREADS = 65_536  # that can be asked for


def _one_of(values: dict[str, T]) -> Callable[[str], T]:
    def parse(text: str) -> T:
        if text not in values:
            raise ValueError(f"one of {', '.join(values)}")
        return values[text]

    return parse


def _some_of(*kinds: str) -> Callable[[str], frozenset[str]]:
    def parse(text: str) -> frozenset[str]:
        found = frozenset(text.replace(",", " ").split())
        if not found <= set(kinds):
            raise ValueError(f"{' or '.join(kinds)}; with commas between where it is more than one")
        return found

    return parse


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() and len(text) < 10 else 0
    if not 1 <= count <= MOST_THREADS:
        raise ValueError(f"a whole number from 1 to {MOST_THREADS}")
    return count


def _folder(text: str) -> Path:
    path = Path(os.path.expanduser(text)).absolute()  # the process may change its folder later
    if any(os.path.lexists(p) and not os.path.isdir(p) for p in (path, *path.parents)):
        raise ValueError("a folder, which need not exist: something else lies there")
    return path


def _program(text: str) -> str:
    if shutil.which(text) is None:
        raise ValueError("the name or path of a C compiler that can be run")
    return str(Path(text).absolute()) if os.sep in text else text


def _default_threads() -> int:
    """As many as OpenMP would start, a library that may share the machine; else the cores that this process may use."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    if text.isdecimal() and int(text) > 0:
        return min(int(text), MOST_THREADS)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _default_cache_dir() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    home = os.path.expanduser("~")
    if os.path.isabs(given):
        return Path(given) / "fdl"
    if os.path.isabs(home):
        return Path(home) / ".cache" / "fdl"
    return Path(os.environ.get("TMPDIR") or "/tmp").absolute() / f"fdl-{os.getuid()}"  # a user without a home


@dataclasses.dataclass
class Config:
    """All settings of the process; tests replace fields and put them back."""

    tier: Tier
    eager: bool
    threads: int
    cache_dir: Path
    compiler: str
    target: str
    log: frozenset[str]
    checks: bool | None
    full_tracebacks: bool
    x64: bool
    wait: bool
    jit: bool = True
    dataclass_trees: bool = True  # also of those that nobody registered, which are leaves in JAX
    varies: bool = False  # whether a context has had settings of its own
    listeners: list[Callable[[int], object]] = dataclasses.field(default_factory=list)

    def on_threads(self, listener: Callable[[int], object]) -> None:
        """Tell `listener` the number of threads, now and at each change."""
        self.listeners.append(listener)
        listener(self.threads)

    def set_threads(self, count: int) -> None:
        """Change the number of threads."""
        self.threads = count
        for listener in self.listeners:
            listener(count)


_BOOLS = {word: yes for yes, words in ((False, "0 false False"), (True, "1 true True")) for word in words.split()}

# Names in the environment: the field, how its text is read, and its value where there is no text
_VARIABLES: dict[str, tuple[str, Callable[[str], Any], Callable[[], Any]]] = {
    "FDL_TIER": ("tier", _one_of({tier: tier for tier in get_args(Tier)}), lambda: "auto"),
    "FDL_EAGER": ("eager", _one_of({"0": False, "1": True}), bool),
    "FDL_NUM_THREADS": ("threads", _count, _default_threads),
    "FDL_CACHE_DIR": ("cache_dir", _folder, _default_cache_dir),
    "FDL_CC": ("compiler", _program, str),
    "FDL_TARGET": ("target", _one_of({name: name for name in ("auto", "avx512", "avx2", "scalar")}), lambda: "auto"),
    "FDL_CHECKS": ("checks", _one_of({"0": False, "1": True}), lambda: None),
    "FDL_TRACEBACK": ("full_tracebacks", _one_of({"user": False, "full": True}), bool),
    "JAX_ENABLE_X64": ("x64", _one_of(_BOOLS), bool),
    "FDL_WAIT": ("wait", _one_of({"0": False, "1": True}), bool),
    "FDL_LOG": ("log", _some_of("compile", "quiet"), frozenset),
}


def _from_environment() -> Config:
    """The settings that the process starts with; SettingError where a variable has none of its values, SettingWarning
    for an unknown one.
    """
    settings = {}
    for name, (field, parse, default) in _VARIABLES.items():
        text = os.environ.get(name, "")
        try:
            settings[field] = parse(text) if text else default()
        except ValueError as expected:
            raise SettingError(f"{name}={text!r}: expected {expected}") from None
    for name in sorted(os.environ):
        if name.startswith("FDL_") and name not in _VARIABLES:
            near = difflib.get_close_matches(name, _VARIABLES, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(_VARIABLES)}"
            warnings.warn(f"{name} is no setting of fdl; {meant}", SettingWarning, stacklevel=2)
    return Config(**settings)


config = _from_environment()
LOCAL: ContextVar[Mapping[str, Any]] = ContextVar(
    "fdl_settings", default=MappingProxyType({})
)  # what holds in this context instead


def setting(name: str) -> Any:
    """A setting as it is here: in this context, else in the process."""
    here = LOCAL.get()
    return here[name] if name in here else getattr(config, name)


@block
def locally(**settings: Any) -> Iterator[None]:
    """In the block, and in what is started from it with a copy of its context, settings are these."""
    before = LOCAL.set({**LOCAL.get(), **settings})
    try:
        yield
    finally:
        LOCAL.reset(before)


def log(kind: str, message: str) -> None:
    """Say something on standard error, where `FDL_LOG` asks for this kind."""
    if kind in config.log:
        print(f"fdl {kind}: {message}", file=sys.stderr, flush=True)


def set_num_threads(count: int) -> None:
    """Use `count` threads in compiled programs from now on.

    Raises ValueError for a count below 1 or above 65,536, TypeError for what is no whole number. Results never depend
    on it, bit for bit.

    >>> import fdl
    >>> fdl.set_num_threads(2)
    """
    count = operator.index(count)
    if not 1 <= count <= MOST_THREADS:
        raise ValueError(f"set_num_threads: expected 1 to {MOST_THREADS}, got {count}")
    config.set_threads(count)


def num_threads() -> int:
    """The number of threads that compiled programs use.

    >>> import fdl
    >>> fdl.num_threads() >= 1
    True
    """
    return config.threads
