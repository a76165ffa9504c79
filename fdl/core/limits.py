"""How much memory the machine has, and what does not fit."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable

from fdl.core.avals import ShapedArray
from fdl.core.errors import TooLargeError


@functools.cache
def machine_memory() -> int:
    """Bytes of the machine's memory; where the system does not tell, more than any has."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


def check_results(avals: Iterable[ShapedArray]) -> None:
    """Raise TooLargeError where one array alone is larger than the machine's memory."""
    for aval in avals:
        if aval.nbytes > machine_memory():
            raise limit_error(
                f"an array {aval.describe()} takes {aval.nbytes:,} bytes",
                "a smaller shape, or parts of it one after another",
            )


def check_bytes(name: str, count: int) -> None:
    """Raise TooLargeError where a program's results and temporaries are larger than the machine's memory."""
    if count > machine_memory():
        raise limit_error(
            f"{name} takes {count:,} bytes for its results and what lies between",
            "smaller arguments, or parts of them one after another",
        )


def limit_error(what: str, hint: str) -> TooLargeError:
    """The error of what does not fit."""
    return TooLargeError(what, why=f"this machine has {machine_memory():,} bytes of memory", hint=hint)
