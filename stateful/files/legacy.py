"""Files that PyTorch wrote before 1.6, and still writes on request: pickles one after another, then the bytes of the
storages. Read like archives, by a reader that makes tensors and containers and runs nothing.

The pickles are a magic number, the version of the format, facts of the machine, the containers, and the names of the
storages in the order in which their bytes follow, each behind the number of its elements.
"""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any

import numpy as np

from fdl.extend import machine_memory
from fdl.stateful.core.dtypes import of
from fdl.stateful.files.archive import _GROWTH, _LEAST, _STORAGES, _Archive, _Kind, _Trusting, elements
from fdl.stateful.files.pickles import Call, unpickled

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
_VERSION = 1001
_OF_TENSORS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_parameter_with_state")


class _Old(_Archive):
    """The storages of such a file, by type and name."""

    def __init__(self, data: memoryview, trusting: bool) -> None:
        self.data, self.mapped, self.swapped = data, False, False
        self.unpacked = self.left = machine_memory() if trusting else _GROWTH * len(data) + _LEAST
        self.storages = {}
        self.kinds: dict[str, str] = {}

    def find(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor"):
            return Call(self.tensor)
        return super().find(module, name)

    def announced(self, module: str, name: str) -> Any:
        """What a name stands for while only the types of storages are asked for: tensors are not made yet."""
        found = self.find(module, name)
        return Call(lambda *arguments: None) if module == "torch._utils" and name in _OF_TENSORS else found

    def announce(self, pid: Any) -> None:
        """Note the type of a storage."""
        if type(pid) is not tuple or len(pid) < 5 or type(pid[1]) is not _Kind or type(pid[2]) is not str:
            raise ValueError("one of its storages has no name, type and size")
        if len(pid) > 5 and pid[5] is not None:
            raise ValueError("one of its storages is a part of another, as PyTorch 0.1 wrote them")
        if self.kinds.setdefault(pid[2], pid[1].name) != pid[1].name:
            raise ValueError(f"its storage {pid[2][:80]} has two types")

    def storage(self, pid: Any) -> np.ndarray[Any, Any]:
        self.announce(pid)
        name = pid[1].name, pid[2]
        if name not in self.storages or type(pid[4]) is not int or self.storages[name].size < pid[4]:
            raise ValueError(f"its storage {pid[2][:80]} is missing, or has fewer elements than it says")
        return self.storages[name]

    def fill(self, names: Any, body: memoryview) -> None:
        """Take the bytes of storages in the order of their names."""
        if type(names) is not list or not all(type(name) is str for name in names):
            raise ValueError("its list of storages holds something else")
        for name in names:
            if name not in self.kinds:
                raise ValueError(f"its storage {name[:80]} belongs to no tensor")
            kind = np.dtype(of(_STORAGES[self.kinds[name]]).np)
            (count,) = struct.unpack("<q", body[:8])
            end = 8 + count * kind.itemsize
            if count < 0 or end > len(body):
                raise ValueError(f"its storage {name[:80]} is cut off")
            self.storages[self.kinds[name], name] = elements(body[8:end], kind)
            body = body[end:]


def _nothing(*asked: Any) -> Any:
    raise ValueError("its head holds more than numbers and text")


def read(data: memoryview, trusting: bool) -> Any:
    """What such a file holds. UnpicklingError for a class that is not allowed; where it is damaged what `reading`
    names.
    """
    file = io.BytesIO(data)
    _, version, system = (unpickled(file, _nothing, _nothing) for _ in range(3))
    if version != _VERSION or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("it was written by another version, or on a machine with another order of bytes")
    old, start = _Old(data, trusting), file.tell()
    if trusting:
        _Announcing(file, old).load()
    else:
        unpickled(file, old.announced, old.announce, (_Kind,))
    old.fill(unpickled(file, _nothing, _nothing), data[file.tell() :])
    file.seek(start)
    if trusting:
        return _Trusting(data[start:], old).load()
    return unpickled(file, old.find, old.storage, (_Kind, np.ndarray))


class _Announcing(pickle.Unpickler):
    """Goes through the containers for the types of storages; no class but those of tensors and containers is made."""

    def __init__(self, file: Any, old: _Old) -> None:
        super().__init__(file)
        self.old = old

    def find_class(self, module: str, name: str) -> Any:
        try:
            found = self.old.announced(module, name)
        except pickle.UnpicklingError:
            return _Blank
        return found.call if type(found) is Call else found

    def persistent_load(self, pid: Any) -> None:
        if type(pid) is tuple and pid and pid[0] == "storage":
            self.old.announce(pid)


class _Blank(dict[Any, Any]):
    """What stands for an object of any class while only storages are asked for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None: ...

    def append(self, x: Any) -> None: ...

    def extend(self, xs: Any) -> None: ...

    def add(self, x: Any) -> None: ...
