"""Settings: read from the environment once, changed by functions, one place each.

| variable | meaning |
|---|---|
| `FDL_TIER` | `auto` (compile what is under `jit` and what keeps coming back), `compiled` (all, and raise where it cannot be), `interpreted` (nothing) |
| `FDL_EAGER` | `1`: each operation outside of transforms runs when its line is reached, one by one |
| `FDL_NUM_THREADS` | threads of a compiled program (else `OMP_NUM_THREADS`, else the cores that the process may use) |
| `FDL_CACHE_DIR` | folder of compiled programs (default: `fdl` in the user's cache folder) |
| `FDL_CC` | the C compiler to use |
| `FDL_LOG` | `compile`: say on standard error what is compiled, why, and how long it took |
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast, get_args

Tier = Literal["auto", "compiled", "interpreted"]


def _default_threads() -> int:
    for variable in ("FDL_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(variable, "")
        if text.isdigit() and int(text) > 0:
            return int(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _default_tier() -> Tier:
    tier = os.environ.get("FDL_TIER", "auto")
    if tier not in get_args(Tier):
        raise ValueError(f"FDL_TIER={tier!r}: expected one of {', '.join(get_args(Tier))}")
    return cast(Tier, tier)


def _default_cache_dir() -> Path:
    if folder := os.environ.get("FDL_CACHE_DIR"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fdl"


@dataclasses.dataclass
class Config:
    """All settings of the process; tests replace fields and put them back."""

    tier: Tier = dataclasses.field(default_factory=_default_tier)
    eager: bool = dataclasses.field(default_factory=lambda: os.environ.get("FDL_EAGER", "0") not in ("", "0"))
    threads: int = dataclasses.field(default_factory=_default_threads)
    cache_dir: Path = dataclasses.field(default_factory=_default_cache_dir)
    compiler: str = dataclasses.field(default_factory=lambda: os.environ.get("FDL_CC", ""))
    log: frozenset[str] = dataclasses.field(default_factory=lambda: frozenset(os.environ.get("FDL_LOG", "").replace(",", " ").split()))
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


config = Config()


def log(kind: str, message: str) -> None:
    """Say something on standard error, where `FDL_LOG` asks for this kind."""
    if kind in config.log:
        print(f"fdl {kind}: {message}", file=sys.stderr, flush=True)


def set_num_threads(count: int) -> None:
    """Use `count` threads in compiled programs from now on.

    Raises ValueError for a count below 1.  Results never depend on it, bit for bit.

    >>> import fdl
    >>> fdl.set_num_threads(2)
    """
    if count < 1:
        raise ValueError(f"set_num_threads: expected at least 1, got {count}")
    config.set_threads(count)


def num_threads() -> int:
    """The number of threads that compiled programs use.

    >>> import fdl
    >>> fdl.num_threads() >= 1
    True
    """
    return config.threads
