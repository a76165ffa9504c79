"""`torch.distributed`: a group of one process. Everything works there, and does what it does for one; more processes
are an error.
"""

from __future__ import annotations

import enum
import os
from typing import Any

from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.tensor import Tensor

__all__ = [
    "ReduceOp", "all_gather", "all_gather_object", "all_reduce", "barrier", "broadcast", "broadcast_object_list",
    "destroy_process_group", "get_backend",
    "get_default_backend_for_device", "get_rank", "get_world_size", "init_process_group", "is_available",
    "is_initialized", "reduce",
]  # fmt: skip


class ReduceOp(enum.Enum):
    """How a reduction combines; one process has nothing to combine."""

    SUM = "sum"
    AVG = "avg"
    PRODUCT = "product"
    MIN = "min"
    MAX = "max"


_GROUP = {"initialized": False}


def is_available() -> bool:
    """Yes, for one process."""
    return True


def is_initialized() -> bool:
    """Whether `init_process_group` has been called."""
    return _GROUP["initialized"]


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    **kwargs: Any,
) -> None:
    """Begin a group of one; RuntimeError where arguments or WORLD_SIZE ask for more."""
    size = world_size if world_size >= 0 else int(os.environ.get("WORLD_SIZE", "1"))
    if size != 1:
        raise TensorError(f"torch.distributed: fdl runs in one process, and was asked for {size}")
    _GROUP["initialized"] = True


def destroy_process_group(group: Any = None) -> None:
    """End it."""
    _GROUP["initialized"] = False


def get_rank(group: Any = None) -> int:
    """0."""
    return 0


def get_world_size(group: Any = None) -> int:
    """1."""
    return 1


def get_backend(group: Any = None) -> str:
    """What a group on a CPU is called."""
    return "gloo"


def get_default_backend_for_device(device: Any) -> str:
    """The same for every device."""
    return "gloo"


def barrier(*args: Any, **kwargs: Any) -> None:
    """All are here."""


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> None:
    """The tensor is the sum of all."""


def reduce(tensor: Tensor, dst: int = 0, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> None:
    """The tensor is the sum of all."""


def broadcast(tensor: Tensor, src: int = 0, group: Any = None, async_op: bool = False) -> None:
    """Everybody has it."""


def broadcast_object_list(object_list: list[Any], src: int = 0, *args: Any, **kwargs: Any) -> None:
    """Everybody has them."""


def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> None:
    """The tensor of each process, of which there is one, into the list's tensors."""
    tensor_list[0].copy_(tensor)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """The object of each process into the list."""
    object_list[0] = obj
