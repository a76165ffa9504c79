"""`torch.distributed`: one process, and it says so."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """No."""
    return False


def is_initialized() -> bool:
    """No."""
    return False


def get_rank(group: Any = None) -> int:
    """0."""
    return 0


def get_world_size(group: Any = None) -> int:
    """1."""
    return 1


def init_process_group(*args: Any, **kwargs: Any) -> None:
    """RuntimeError: there is one process."""
    raise RuntimeError("torch.distributed: fdl runs in one process")
