"""PyTorch's own files, read and written without it: a zip archive with a pickle of the containers and one record for
the bytes of each storage.

The reader is restricted: it makes tensors and containers, and refuses every other class by its name, so that nothing in
a file is executed. What it takes in memory is bounded by the file's size. The writer emits the names that PyTorch's
loader looks for. Format: what `torch.save` has written since 1.6.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from fdl.extend import ConcreteArray, from_numpy, machine_memory, shaped
from fdl.stateful.core.dtypes import device, dtype, of
from fdl.stateful.core.errors import OperandError
from fdl.stateful.core.results import Size
from fdl.stateful.core.tensor import Tensor, wrap
from fdl.stateful.files.access import Bytes, View
from fdl.stateful.files.pickles import Call, key, unpickled
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Parameter

MAGIC = b"PK\x03\x04"
_ALIGNMENT = 64  # bytes, of each storage in a file, so that a mapped one is read where it lies
# times a file's size, and bytes: what its records may unpack to, and what its tensors may take, which may repeat
# elements
_GROWTH, _LEAST = (
    16,
    1 << 20,
)
_ELEMENT = 32  # bytes of a container for each of its elements
_RANK = 32  # dimensions, as many as NumPy's oldest arrays have

_STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}  # fmt: skip
_PLAIN: dict[type, Callable[[Any], Any]] = {
    bool: bool,
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda x: b"".join([x]),
}
_STORAGE_OF = {name: storage for storage, name in _STORAGES.items()}
_DTYPE_NAMES = {*_STORAGE_OF, "float", "double", "half", "long", "int", "short"}


# Reading


def array_in(values: np.ndarray[Any, Any], mapped: bool) -> ConcreteArray:
    """An array of values in a file's bytes: a copy, or the bytes themselves where they are mapped and lie as they have
    to.
    """
    if mapped and values.flags.c_contiguous and values.flags.aligned and not values.flags.writeable:
        return ConcreteArray(shaped(values.shape, values.dtype), values)
    return from_numpy(values)


def elements(data: memoryview, dtype: Any) -> np.ndarray[Any, Any]:
    """The numbers in these bytes; ValueError for a bool that is neither 0 nor 1, which would be neither
    true nor false.
    """
    values = np.frombuffer(data, dtype)
    if values.dtype == np.bool_ and values.size and values.view(np.uint8).max() > 1:
        raise ValueError("a bool is neither 0 nor 1")
    return values


def sizes(given: Any) -> tuple[int, ...]:
    """Sizes or strides in a file; ValueError for other things than a few numbers from 0 on."""
    if (
        not isinstance(given, (list, tuple))
        or len(given) > _RANK
        or not all(type(n) is int and 0 <= n < 1 << 63 for n in given)
    ):
        raise ValueError("a shape or a stride is no list of numbers from 0 on")
    return tuple(given)


def _rebuild_parameter(data: Any, requires_grad: bool, *rest: Any) -> Any:
    if not isinstance(data, Tensor):
        raise ValueError("a parameter is made of what is no tensor")
    values: Any = data.detach()
    return Parameter(values, bool(requires_grad))


def _size(values: Any = ()) -> Size:
    return Size(sizes(values))


def _ordered(items: Any = ()) -> OrderedDict[Any, Any]:
    return OrderedDict((key(k), v) for k, v in items)


def _device(kind: str, index: int | None = None) -> device:
    if type(kind) is not str or not (index is None or type(index) is int):
        raise ValueError("a device is no name and number")
    return device(kind, index)


def _bytes_of(text: str = "", encoding: str = "latin1") -> bytes:
    """Bytes, which old pickles keep as text."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes are no text in Latin-1")
    return text.encode("latin1")


def _complex_of(real: float, imag: float) -> complex:
    return complex(float(real), float(imag))


def _set_of(items: Any = ()) -> set[Any]:
    return set(map(key, items))


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
    ("_codecs", "encode"): _bytes_of,
    **{
        (module, name): f
        for module in ("builtins", "__builtin__")
        for name, f in (("bytes", _bytes_of), ("complex", _complex_of), ("set", _set_of))
    },
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """The type of a storage."""

    name: str


class _Archive:
    """Records of a file, and the storages and tensors in them.  ValueError where something does not fit."""

    def __init__(self, data: memoryview, trusting: bool, mapped: bool) -> None:
        self.data, self.mapped = data, mapped
        self.unpacked = self.left = machine_memory() if trusting else _GROWTH * len(data) + _LEAST
        self.file = zipfile.ZipFile(io.BufferedReader(View(data)))
        self.records = {info.filename: info for info in self.file.infolist()}
        if len(self.records) != len(self.file.infolist()):
            raise ValueError("two of its records have one name")
        self._take("unpacked", sum(info.file_size for info in self.records.values()))
        found = [name for name in self.records if name.rpartition("/")[2] == "data.pkl"]
        if len(found) != 1:
            raise ValueError(
                "the archive has no data.pkl; scripted models are not read"
                if not found
                else "two of its records are data.pkl"
            )
        self.main = found[0]
        self.prefix = found[0].removesuffix("data.pkl")
        order = bytes(self.record("byteorder")) if f"{self.prefix}byteorder" in self.records else b"little"
        if order not in (b"little", b"big"):
            raise ValueError(f"its byteorder is {order[:20]!r}")
        self.swapped = order == b"big"
        self.storages: dict[tuple[str, str], np.ndarray[Any, Any]] = {}

    def _take(self, account: str, count: int) -> None:
        """Take bytes of memory; ValueError where a file of this size has no right to so many."""
        setattr(self, account, getattr(self, account) - count)
        if getattr(self, account) < 0:
            raise ValueError(
                f"it holds {len(self.data):,} bytes, and what is read from it takes more than {_GROWTH} times as "
                "many: load(..., weights_only=False) has no such limit"
            )

    def record(self, name: str) -> memoryview:
        """The bytes of a record, where they lie, their checksum compared unless they are mapped."""
        info = self.records[self.prefix + name]
        if info.compress_type == zipfile.ZIP_DEFLATED:
            return memoryview(self.file.read(info))
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"its record {name} is packed in an unknown way")
        with self.file.open(info):  # the name and the place in the record's own header are the same
            head = self.data[info.header_offset + 26 : info.header_offset + 30]
        start = info.header_offset + 30 + int.from_bytes(head[:2], "little") + int.from_bytes(head[2:], "little")
        found = self.data[start : start + info.file_size]
        if len(found) != info.file_size:
            raise ValueError(f"its record {name} is cut off")
        if not self.mapped and zlib.crc32(found) != info.CRC:
            raise ValueError(f"its record {name} has another checksum than it was written with")
        return found

    def storage(self, pid: Any) -> np.ndarray[Any, Any]:
        """The storage that a persistent id names."""
        if (
            type(pid) is not tuple
            or len(pid) < 5
            or pid[0] != "storage"
            or type(pid[1]) is not _Kind
            or type(pid[2]) is not str
            or type(pid[4]) is not int
        ):
            raise ValueError("one of its storages has no name, type and size")
        name = pid[1].name
        if (name, pid[2]) not in self.storages:
            data = self.record(f"data/{pid[2]}")
            values = elements(data, np.dtype(of(_STORAGES[name]).np))
            if values.size < pid[4]:
                raise ValueError(f"its storage {pid[2]} has {values.size} elements instead of {pid[4]}")
            self.storages[name, pid[2]] = values.byteswap() if self.swapped else values
        return self.storages[name, pid[2]]

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, *rest: Any) -> Any:
        """A tensor of the elements at places in a storage, which may repeat them."""
        if type(storage) is not np.ndarray:
            raise ValueError("a tensor has no storage")
        (start,), size, stride = sizes((offset,)), sizes(size), sizes(stride)
        last = start + sum((d - 1) * s for d, s in zip(size, stride, strict=True))
        if 0 in size:
            values = np.zeros(size, storage.dtype)
        elif last < storage.size:
            self._take("left", math.prod(size) * storage.itemsize)
            steps = tuple(s * storage.itemsize for s in stride)
            values = np.lib.stride_tricks.as_strided(storage[start:], size, steps, writeable=False)
        else:
            raise ValueError("a tensor lies outside of its storage")
        found = wrap(array_in(values, self.mapped and not self.swapped))
        return found.requires_grad_(bool(requires_grad))

    def _called(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function makes; of a file that calls it again and again, not more than there is room for."""
        self._take(
            "left",
            sum(
                [
                    len(x) * (1 if type(x) is str else _ELEMENT)
                    for x in arguments
                    if isinstance(x, (str, list, tuple, dict))
                ]
            ),
        )
        return function(*arguments)

    def find(self, module: str, name: str) -> Any:
        """What a name in a file stands for; UnpicklingError for one that stands for nothing."""
        if (module, name) in _ALLOWED:
            return Call(functools.partial(self._called, _ALLOWED[module, name]))
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return Call(self.tensor)
        if module == "torch" and name in _STORAGES:
            return _Kind(name)
        if module == "torch" and name in _DTYPE_NAMES:
            return of(name)
        raise pickle.UnpicklingError(
            f"Weights only load failed. Unsupported global: GLOBAL {module[:80]}.{name[:80]} was not an allowed "
            "global by default."
        )


class _Trusting(pickle.Unpickler):
    """Makes objects of any class, PyTorch's names standing for fdl's: it runs what a file says."""

    def __init__(self, data: memoryview, archive: _Archive) -> None:
        super().__init__(io.BytesIO(data))
        self.archive = archive

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] in ("builtins", "__builtin__", "collections", "_codecs"):
            return super().find_class(module, name)
        try:
            found = self.archive.find(module, name)
        except pickle.UnpicklingError:
            return super().find_class(
                module.replace("torch", "fdl.stateful", 1) if module.split(".")[0] == "torch" else module, name
            )
        return found.call if type(found) is Call else found

    def persistent_load(self, pid: Any) -> np.ndarray[Any, Any]:
        return self.archive.storage(pid)


def holds_program(data: memoryview) -> bool:
    """Whether an archive is one of TorchScript, which has a record of constants that a program reads."""
    with contextlib.suppress(zipfile.BadZipFile, OSError, ValueError):
        names = zipfile.ZipFile(io.BufferedReader(View(data))).namelist()
        return any(name.rpartition("/")[2] == "constants.pkl" for name in names)
    return False


def read(data: memoryview, trusting: bool, mapped: bool = False) -> Any:
    """What an archive holds. UnpicklingError for a class that is not allowed; where it is damaged what `reading` names.
    `mapped` bytes are not copied.
    """
    archive = _Archive(data, trusting, mapped)
    text = archive.record("data.pkl")
    if trusting:
        return _Trusting(text, archive).load()
    return unpickled(bytes(text), archive.find, archive.storage, (_Kind, np.ndarray))


# Writing


class _Named:
    """A class or function of PyTorch, by its name."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Call:
    """What the reader gets by calling a function."""

    def __init__(self, function: _Named, *args: Any) -> None:
        self.function, self.args = function, args


class _Bytes:
    """A storage."""

    def __init__(self, key: str, storage: str, count: int) -> None:
        self.pid = ("storage", _Named("torch", storage), key, "cpu", count)


class _Writer(pickle._Pickler):  # the one in Python can be taught new classes
    """Writes names and calls of what is not installed."""

    write: Any
    save: Any
    memoize: Any
    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)

    def persistent_id(self, obj: Any) -> Any:
        return obj.pid if isinstance(obj, _Bytes) else None

    def _named(self, obj: _Named) -> None:
        self.write(b"c" + obj.module.encode() + b"\n" + obj.name.encode() + b"\n")
        self.memoize(obj)

    def _call(self, obj: _Call) -> None:
        self.save(obj.function)
        self.save(obj.args)
        self.write(pickle.REDUCE)
        self.memoize(obj)

    dispatch[_Named] = _named
    dispatch[_Call] = _call


def _converted(x: Any, storages: list[bytes], seen: dict[int, Any], names: dict[str, _Named], path: str) -> Any:
    """The tree with tensors as calls; their bytes are gathered."""

    def named(module: str, name: str) -> _Named:
        return names.setdefault(f"{module}.{name}", _Named(module, name))

    if isinstance(x, Tensor):
        if id(x) in seen:
            return seen[id(x)]
        values = np.ascontiguousarray(x.detach()._value()._numpy()).reshape(x.shape)
        if values.dtype.name not in _STORAGE_OF:
            raise OperandError(
                f"save: cannot store {values.dtype.name} at {path or 'the top'} in a .pt file",
                hint="save without format=, or x.float()",
            )
        strides = tuple([math.prod(values.shape[k + 1 :]) for k in range(values.ndim)])
        memory = _Bytes(str(len(storages)), _STORAGE_OF[values.dtype.name], values.size)
        storages.append(values.tobytes())
        grad = bool(x.is_leaf and x.requires_grad)
        found = _Call(
            named("torch._utils", "_rebuild_tensor_v2"),
            memory,
            0,
            values.shape,
            strides,
            grad and not isinstance(x, Parameter),
            OrderedDict(),
        )
        if isinstance(x, Parameter):
            found = _Call(named("torch._utils", "_rebuild_parameter"), found, grad, OrderedDict())
        seen[id(x)] = found
        return found
    if isinstance(x, Size):
        return _Call(named("torch", "Size"), tuple(x))
    if isinstance(x, dtype):
        return named("torch", x.np.name)
    if isinstance(x, dict):
        items = [
            (_converted(k, storages, seen, names, ""), _converted(v, storages, seen, names, f"{path}.{k}"))
            for k, v in x.items()
        ]
        return OrderedDict(items) if isinstance(x, OrderedDict) else dict(items)
    if isinstance(x, (list, tuple)):
        return (list if isinstance(x, list) else tuple)(
            [_converted(v, storages, seen, names, f"{path}.{i}") for i, v in enumerate(x)]
        )
    if isinstance(x, np.generic) and not isinstance(x.item(), np.generic):
        return x.item()
    if x is None or type(x) in _PLAIN:
        return x
    for kind, plain in _PLAIN.items():
        if isinstance(x, kind):  # of a class of the user, which a reader would refuse
            return plain(x)
    raise OperandError(
        f"save: cannot store {type(x).__name__} at {path or 'the top'} in a .pt file", hint="a module's state_dict()"
    )


def is_data(obj: Any) -> bool:
    """Whether there are no modules, dataclasses, namespaces or sets, which are pickled with their classes' names."""
    todo, seen = [obj], set()
    while todo:
        x = todo.pop()
        if isinstance(x, (Module, SimpleNamespace, argparse.Namespace, set, frozenset)) or is_dataclass(x):
            return False
        if isinstance(x, (list, tuple, dict)) and id(x) not in seen:
            seen.add(id(x))
            todo += x.values() if isinstance(x, dict) else x
    return True


def written(obj: Any) -> list[Bytes]:
    """An archive that PyTorch reads, in pieces. Where `obj` holds whole modules, dataclasses, namespaces or sets, all
    of it is pickled, and only a reader that runs what a file says can make it again.
    """
    storages: list[bytes] = []
    text = io.BytesIO()
    if is_data(obj):
        _Writer(text, 2).dump(_converted(obj, storages, {}, {}, ""))
    else:
        pickle.dump(obj, text, 2)
    records = {
        "data.pkl": text.getvalue(),
        "byteorder": b"little",
        **{f"data/{i}": data for i, data in enumerate(storages)},
        "version": b"3\n",
    }
    return _zipped({f"archive/{name}": data for name, data in records.items()})


_FULL32, _FULL16 = (1 << 32) - 1, (1 << 16) - 1  # what stands for a number that has its place elsewhere
_NEEDED, _FIRST_DAY = 45, 0x21  # the version of the format that has 64-bit numbers; the first of January 1980


def _zipped(records: dict[str, bytes]) -> list[Bytes]:
    """A zip archive of records that are not packed, each aligned, in pieces. Source: APPNOTE.TXT 6.3.10, PKWARE,
    sections 4.3 and 4.5.3.
    """
    pieces: list[Bytes] = []
    central: list[bytes] = []
    place = 0
    for name, data in records.items():
        label, size, crc = name.encode(), len(data), zlib.crc32(data)
        short = min(size, _FULL32)
        large = struct.pack("<HHQQ", 1, 16, size, size) if short == _FULL32 else b""
        room = -(place + 30 + len(label) + len(large) + 4) % _ALIGNMENT
        extra = large + struct.pack("<2sH", b"FB", room) + bytes(room)
        fields = struct.pack("<HHHHHIIIHH", _NEEDED, 0, 0, 0, _FIRST_DAY, crc, short, short, len(label), len(extra))
        at = struct.pack("<HHQQQ", 1, 24, size, size, place) if max(size, place) >= _FULL32 else b""
        sizes_here = (_FULL32, _FULL32) if at else (short, short)
        head = struct.pack(
            "<HHHHHHIIIHHHHHII",
            _NEEDED,
            _NEEDED,
            0,
            0,
            0,
            _FIRST_DAY,
            crc,
            *sizes_here,
            len(label),
            len(at),
            0,
            0,
            0,
            0,
            _FULL32 if at else place,
        )
        central.append(b"PK\x01\x02" + head + label + at)
        pieces += [MAGIC + fields + label + extra, data]
        place += len(pieces[-2]) + size
    directory = b"".join(central)
    end, count, length = place, len(records), len(directory)
    if max(end, length) >= _FULL32 or count >= _FULL16:
        directory += b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, _NEEDED, _NEEDED, 0, 0, count, count, length, end)
        directory += b"PK\x06\x07" + struct.pack("<IQI", 0, end + length, 1)
        end, length, count = _FULL32, _FULL32, _FULL16
    return [*pieces, directory, b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, length, end, 0)]
