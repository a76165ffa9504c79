"""Where the values of a storage lie in memory, for libraries that read them there or ask by addresses what is shared.

Arrays are immutable, so that storages which were never the same memory to their user may hold one array; whoever asks
for addresses must see two. So each address belongs to the storage that was asked for it first, and another one that
holds the same array gets a copy of its own when it is asked.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from fdl.extend import ConcreteArray, Storage, Tracer
from fdl.stateful.core.meta import is_meta

__all__ = ["address_of"]

_OWNERS: weakref.WeakValueDictionary[int, Storage] = weakref.WeakValueDictionary()


def address_of(storage: Storage) -> int:
    """The address of a storage's first element, until the storage is written to; 0 of one without elements or values.

    Under a transform there is no memory: it is a number that no other storage has.
    """
    array: Any = storage.array
    if isinstance(array, Tracer):
        return 0 if is_meta(array) else id(storage)
    memory = array._numpy() if storage.exported is None else storage.exported
    if not memory.size:
        return 0
    owner = _OWNERS.get(memory.ctypes.data)
    if not memory.flags.c_contiguous or (owner is not None and owner is not storage and _lies_at(owner, memory)):
        memory = np.array(memory, order="C")
        memory.flags.writeable = False
        storage.array = ConcreteArray(array.aval, memory)
    _OWNERS[memory.ctypes.data] = storage
    return int(memory.ctypes.data)


def _lies_at(storage: Storage, memory: np.ndarray[Any, Any]) -> bool:
    """Whether a storage still holds what lies there."""
    array: Any = storage.array
    return not isinstance(array, Tracer) and array._numpy().ctypes.data == memory.ctypes.data
