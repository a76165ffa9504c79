"""`torch.utils.flop_counter`: the class is there for libraries that import it; programs are not counted yet."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.errors import UnsupportedError

__all__ = ["FlopCounterMode"]


class FlopCounterMode:
    """NotImplementedError: floating point operations of a block are not counted."""

    def __init__(self, mods: Any = None, depth: int = 2, display: bool = True, custom_mapping: Any = None) -> None:
        raise UnsupportedError(
            "FlopCounterMode: floating point operations are not counted yet",
            hint="fdl.explain(f)(x), which shows the operations of a program",
        )
