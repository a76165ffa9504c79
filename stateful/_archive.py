"""PyTorch's own files, read and written without it: a zip archive with a pickle of the containers and one record for the bytes of each storage.

The reader is restricted: it makes tensors and containers, and refuses every other class by its name, so that nothing in a file is executed.  The writer emits
the names that PyTorch's loader looks for.  Format: what `torch.save` has written since 1.6.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from typing import Any, ClassVar

import numpy as np

from fdl.core.array import ConcreteArray, from_numpy
from fdl.core.avals import shaped
from fdl.core.blocks import aside
from fdl.stateful._complex import ComplexTensor, of_numpy
from fdl.stateful._dtypes import device, dtype, of
from fdl.stateful._results import Size
from fdl.stateful._tensor import Tensor, wrap
from fdl.stateful.nn.parameter import PARAMETERS, Parameter

MAGIC = b"PK\x03\x04"
_ALIGNMENT = 64  # bytes, of each storage in a file, so that a mapped one is read where it lies

_STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}  # fmt: skip
_STORAGE_OF = {name: storage for storage, name in _STORAGES.items()}
_DTYPE_NAMES = {*_STORAGE_OF, "float", "double", "half", "long", "int", "short"}


# Reading


def _rebuild_tensor(storage: np.ndarray[Any, Any], offset: int, size: Any, stride: Any, requires_grad: bool = False, *rest: Any) -> Any:
    """A tensor from places in a storage; RuntimeError for places outside of it."""
    size, stride = tuple(map(int, size)), tuple(map(int, stride))
    empty = 0 in size
    last = int(offset) + sum((d - 1) * s for d, s in zip(size, stride, strict=True))
    if min((*size, *stride, int(offset)), default=0) < 0 or (not empty and last >= storage.size):
        raise RuntimeError("load: a tensor lies outside of its storage")
    if empty:
        values = np.zeros(size, storage.dtype)
    else:
        steps = tuple(s * storage.itemsize for s in stride)
        values = np.lib.stride_tricks.as_strided(storage[int(offset) :], size, steps)
    if values.dtype.kind == "c":
        return of_numpy(values).requires_grad_(bool(requires_grad))
    return wrap(array_in(values, not storage.flags.owndata and isinstance(storage.base, memoryview))).requires_grad_(bool(requires_grad))


def array_in(values: np.ndarray[Any, Any], mapped: bool) -> ConcreteArray:
    """An array of values in a file's bytes: a copy, or the bytes themselves where they are mapped and lie as they have to."""
    if mapped and values.flags.c_contiguous and values.flags.aligned and not values.flags.writeable:
        return ConcreteArray(shaped(values.shape, values.dtype), values)
    return from_numpy(values)


def _rebuild_parameter(data: Tensor, requires_grad: bool, *rest: Any) -> Parameter:
    return Parameter(data.detach(), bool(requires_grad))


def _size(values: Any = ()) -> Size:
    return Size(tuple(map(int, values)))


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): _size,
    ("torch", "device"): device,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): name for name in _STORAGES},
}


class _Reader(pickle.Unpickler):
    """Knows tensors and containers; with `trusting`, any class, PyTorch's names standing for fdl's."""

    def __init__(self, data: bytes, archive: zipfile.ZipFile, prefix: str, swapped: bool, trusting: bool, mapped: memoryview | None) -> None:
        super().__init__(io.BytesIO(data))
        self.mapped = mapped
        self.archive, self.prefix, self.swapped, self.trusting = archive, prefix, swapped, trusting
        self.storages: dict[str, np.ndarray[Any, Any]] = {}

    def _record(self, name: str) -> Any:
        """The bytes of a record: of a mapped file, where they lie."""
        info = self.archive.getinfo(name)
        if self.mapped is None or info.compress_type != zipfile.ZIP_STORED:
            return self.archive.read(name)
        head = self.mapped[info.header_offset : info.header_offset + 30]
        start = info.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        return self.mapped[start : start + info.file_size]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module == "torch" and name in _DTYPE_NAMES:
            return of(name)
        if self.trusting:
            return super().find_class(module.replace("torch", "fdl.stateful", 1) if module.split(".")[0] == "torch" else module, name)
        raise pickle.UnpicklingError(
            f"Weights only load failed. Unsupported global: GLOBAL {module}.{name} was not an allowed global by default. "
            "A file may hold tensors, numbers, strings and containers; load(..., weights_only=False) runs code from the file: only for files that you trust."
        )

    def persistent_load(self, pid: Any) -> np.ndarray[Any, Any]:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or pid[1] not in _STORAGES:
            raise pickle.UnpicklingError(f"load: unknown storage {pid!r}")
        key = str(pid[2])
        if key not in self.storages:
            values = np.frombuffer(self._record(f"{self.prefix}data/{key}"), np.dtype(of(_STORAGES[pid[1]]).np))
            self.storages[key] = values.byteswap() if self.swapped else values
        return self.storages[key]


class _View(io.RawIOBase):
    """Bytes as a file, without a copy of all."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.place = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = max(0, offset + (0, self.place, len(self.data))[whence])
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: Any) -> int:
        part = self.data[self.place : self.place + len(buffer)]
        buffer[: len(part)] = part
        self.place += len(part)
        return len(part)


def read(data: memoryview, trusting: bool, mapped: bool = False) -> Any:
    """What an archive holds; RuntimeError where it is damaged, UnpicklingError for a class that is not allowed.  `mapped` bytes are not copied."""
    try:
        with zipfile.ZipFile(io.BufferedReader(_View(data))) as archive:
            names = archive.namelist()
            main = next((n for n in names if n.endswith("data.pkl")), None)
            if main is None:
                raise RuntimeError("load: the archive has no data.pkl; scripted models are not read")
            prefix = main[: -len("data.pkl")]
            order = archive.read(f"{prefix}byteorder") if f"{prefix}byteorder" in names else b"little"
            return _Reader(archive.read(main), archive, prefix, order == b"big", trusting, data if mapped else None).load()
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise RuntimeError(f"load: the archive is damaged: {error}") from error


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

    if isinstance(x, (Tensor, ComplexTensor)):
        if id(x) in seen:
            return seen[id(x)]
        values = np.ascontiguousarray(x.detach().numpy() if isinstance(x, ComplexTensor) else x.detach()._value()._numpy()).reshape(x.shape)
        if values.dtype.name not in _STORAGE_OF:
            raise TypeError(f"save: {values.dtype.name} at {path or 'the top'} has no place in a .pt file")
        strides = tuple([math.prod(values.shape[k + 1 :]) for k in range(values.ndim)])
        memory = _Bytes(str(len(storages)), _STORAGE_OF[values.dtype.name], values.size)
        storages.append(values.tobytes())
        grad = bool(x.is_leaf and x.requires_grad)
        found = _Call(named("torch._utils", "_rebuild_tensor_v2"), memory, 0, values.shape, strides, grad and not isinstance(x, PARAMETERS), OrderedDict())
        if isinstance(x, PARAMETERS):
            found = _Call(named("torch._utils", "_rebuild_parameter"), found, grad, OrderedDict())
        seen[id(x)] = found
        return found
    if isinstance(x, Size):
        return _Call(named("torch", "Size"), tuple(x))
    if isinstance(x, dtype):
        return named("torch", x.np.name)
    if isinstance(x, dict):
        items = [(_converted(k, storages, seen, names, ""), _converted(v, storages, seen, names, f"{path}.{k}")) for k, v in x.items()]
        return OrderedDict(items) if isinstance(x, OrderedDict) else dict(items)
    if isinstance(x, (list, tuple)):
        return (list if isinstance(x, list) else tuple)([_converted(v, storages, seen, names, f"{path}.{i}") for i, v in enumerate(x)])
    if isinstance(x, np.generic):
        return x.item()
    if x is None or isinstance(x, (bool, int, float, str, bytes)):
        return x
    raise TypeError(f"save: cannot store {type(x).__name__} at {path or 'the top'}; save a module's state_dict()")


def written(obj: Any) -> bytes:
    """The bytes of an archive that PyTorch reads."""
    storages: list[bytes] = []
    tree = _converted(obj, storages, {}, {}, "")
    text = io.BytesIO()
    _Writer(text, 2).dump(tree)
    return aside(lambda: _zipped(text.getvalue(), storages))  # an interrupt would leave `zipfile` with errors of its own


def _zipped(text: bytes, storages: list[bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", text)
        archive.writestr("archive/byteorder", "little")
        for i, data in enumerate(storages):
            info = zipfile.ZipInfo(f"archive/data/{i}")
            room = -(out.tell() + 30 + len(info.filename) + 4) % _ALIGNMENT
            info.extra = b"FB" + room.to_bytes(2, "little") + bytes(room)
            archive.writestr(info, data)
        archive.writestr("archive/version", "3\n")
    return out.getvalue()
