"""`torch._utils`: what libraries that move many tensors at once take from there."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from typing import Any

from fdl.stateful import accelerators
from fdl.stateful.core.dtypes import device as device_kind
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.shapes import cat

__all__ = ["ExceptionWrapper"]


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Any:
    """All elements in one vector, tensor by tensor."""
    return cat([t.reshape(-1) for t in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    """A vector cut into tensors of these shapes."""
    found, start = [], 0
    for t in tensors:
        found.append(flat[start : start + t.numel()].reshape(tuple(t.shape)))
        start += t.numel()
    return tuple(found)


def _reorder_tensors_as(tensors: Iterable[Tensor], ordered: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Tensors in the order in which others have their types."""
    by_type: dict[str, list[Tensor]] = {}
    for t in tensors:
        by_type.setdefault(t.type(), []).append(t)
    rest = {kind: iter(held) for kind, held in by_type.items()}
    return tuple([next(rest[t.type()]) for t in ordered])


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """The number of a device; -1 for the CPU where that is allowed, ValueError where a number is asked for."""
    if isinstance(device, int):
        return device
    place = device_kind(device) if device is not None else None
    if place is not None and place.index is not None:
        return place.index
    if place is not None and place.type == "cpu" and allow_cpu:
        return -1
    if optional and place is None:
        return 0
    raise ArgumentError(f"Expected a torch.device with a specified index or an integer, but got:{device}")


def _get_available_device_type() -> str | None:
    """None: no other device is there."""
    return None


def _get_device_module(device_type: str) -> Any:
    """The module of a kind of device: `torch.cpu` for "cpu". RuntimeError for a kind that there is not."""
    found = vars(accelerators).get(device_type)
    if found is None or device_type not in accelerators.__all__:
        raise TensorError(
            f"Device '{device_type}' does not have a corresponding module registered as torch.{device_type}"
        )
    return found


def _get_all_device_indices() -> list[int]:
    """None of them."""
    return []


class ExceptionWrapper:
    """An error of a worker with its traceback as text, raised again by `reraise` where its result was wanted."""

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        self.exc_type = exc_info[0]
        self.exc_msg = "".join(traceback.format_exception(*exc_info))
        self.where = where

    def reraise(self) -> None:
        """Raise an error of this kind, which says where it comes from."""
        message = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        try:
            error = self.exc_type(message)
        except Exception:
            raise RuntimeError(message) from None
        raise error
