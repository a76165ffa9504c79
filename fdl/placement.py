"""The devices of a process, which is one: the processor. Arrays lie in its memory; `jit(f, device=)` runs elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl.core.array import METHODS, Array, as_array
from fdl.core.errors import DeviceError
from fdl.core.pytree import Tree, tree_map


class Device:
    """A device that holds arrays."""

    platform = device_kind = "cpu"
    id = local_hardware_id = process_index = 0

    def __repr__(self) -> str:
        return f"Device({self})"

    def __str__(self) -> str:
        return f"{self.platform}:{self.id}"


_CPU = Device()


def _known(backend: str | None) -> None:
    if backend not in (None, "cpu"):
        raise DeviceError(
            f"no device of platform {backend!r} holds arrays", hint='"cpu"; jit(f, device=) runs elsewhere'
        )


def devices(backend: str | None = None) -> list[Device]:
    """All devices that hold arrays: DeviceError for a platform that has none.

    >>> devices()
    [Device(cpu:0)]
    """
    _known(backend)
    return [_CPU]


def local_devices(process_index: int | None = None, backend: str | None = None) -> list[Device]:
    """The devices of this process.

    >>> len(local_devices())
    1
    """
    if process_index not in (None, 0):
        raise DeviceError(
            f"there is no process {process_index}", why="a program is one process", hint="process_index=0"
        )
    return devices(backend)


def device_count(backend: str | None = None) -> int:
    """How many devices there are.

    >>> device_count(), local_device_count()
    (1, 1)
    """
    return len(devices(backend))


local_device_count = device_count


def default_backend() -> str:
    """The platform of the first device.

    >>> default_backend()
    'cpu'
    """
    return _CPU.platform


def process_index() -> int:
    """The number of this process.

    >>> process_index(), process_count()
    (0, 1)
    """
    return 0


def process_count() -> int:
    """How many processes a program is.

    >>> process_count()
    1
    """
    return 1


def device_put(x: Tree, device: Any = None, *, src: Any = None, donate: bool = False, may_alias: Any = None) -> Tree:
    """A tree of numbers and ndarrays as arrays. `device` is None, the processor, a sharding, or a tree
    of them for parts of `x`; nothing is given away, whatever `donate` says.

    >>> import numpy as np
    >>> device_put({"a": np.ones(2, np.float32)})["a"]
    Array([1., 1.], dtype=float32)
    """
    for place in (device, src):
        tree_map(_check_place, place)
    return tree_map(as_array, x)


def _check_place(place: Any) -> None:
    if place is not None and place != _CPU and getattr(place, "device_set", None) != {_CPU}:
        raise DeviceError(f"device_put: no arrays lie at {place!r}", hint="fdl.devices()[0]")


def device_get(x: Tree) -> Tree:
    """A tree of arrays as ndarrays.

    >>> device_get({"a": device_put(1.0)})
    {'a': array(1., dtype=float32)}
    """
    return tree_map(np.asarray, x)


def devices_of(x: Array) -> set[Device]:
    """Where an array lies.

    >>> import fdl.numpy as jnp
    >>> jnp.ones(2).devices() == set(devices())
    True
    """
    return {_CPU}


METHODS.update(devices=devices_of)

__all__ = [
    "Device", "default_backend", "device_count", "device_get", "device_put", "devices", "local_device_count",
    "local_devices", "process_count", "process_index",
]  # fmt: skip
