"""`save` and `load`: tensors as safetensors, the containers around them as JSON in its metadata. Nothing in a file is
executed.

Format: 8 bytes with the length of a JSON header, the header (name → dtype, shape, offsets), the data. Source: the
safetensors format, Hugging Face. A file of a flat dictionary can be read by any safetensors reader, and theirs by
`load`. What `save` wrote has checksums in its metadata, of the header and of the data.
"""

from __future__ import annotations

import json
import math
import mmap as mmap_file
import os
import re
import struct
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from fdl.extend import dtypes
from fdl.stateful.core.dtypes import NAMES, dtype
from fdl.stateful.core.errors import ArgumentError, OperandError
from fdl.stateful.core.results import Size
from fdl.stateful.core.tensor import Tensor, wrap
from fdl.stateful.files import archive as _archive
from fdl.stateful.files import legacy as _legacy
from fdl.stateful.files.access import Bytes, FileError, named, reading, write_file
from fdl.stateful.files.pickles import key

_CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "complex64": "C64",
}  # fmt: skip
_DTYPES = {code: name for name, code in _CODES.items()}


_TREE, _SUMS = "fdl", "fdl.checksum"  # names in the metadata: the containers, and CRC-32 of header and data
_UNKNOWN = "0" * 8  # what stands for the header's checksum while it is computed
_FIELD = re.compile(rb'"fdl\.checksum":\s*"([0-9a-f]{8}) ([0-9a-f]{8})"')
_DEPTH = 100  # containers within each other
_KINDS = {"list": list, "tuple": tuple, "size": Size}

Arrays = dict[str, np.ndarray[Any, Any]]


# Writing


def _described(x: Any, arrays: Arrays, path: str, depth: int = 0) -> Any:
    """JSON that says how to build `x` from the arrays, which are gathered."""
    if depth > _DEPTH:
        raise OperandError(
            (
                f"save: cannot store containers that hold themselves, or more than {_DEPTH} within each other: "
                f"at {path[:80]}"
            ),
            hint="a flat dictionary",
        )
    if isinstance(x, Tensor):
        kind, values = "tensor", x.detach()._value()._numpy()
        if values.dtype == np.complex128:  # which the format has not: as pairs
            kind, values = "pairs", np.stack([values.real, values.imag], -1)
        grad = bool(x.is_leaf and x.requires_grad)
        return {kind: _stored(values, arrays, path or "tensor"), "requires_grad": grad}
    if isinstance(x, np.ndarray):
        return {"ndarray": _stored(x, arrays, path or "array")}
    if x is None or isinstance(x, (bool, int, float, str)):
        return {"value": x.hex()} if isinstance(x, float) else {"plain": x}
    if isinstance(x, dtype):
        return {"dtype": x.np.name}
    if isinstance(x, dict):
        items = [
            [_described(k, arrays, "", depth + 1), _described(v, arrays, f"{path}.{k}" if path else str(k), depth + 1)]
            for k, v in x.items()
        ]
        return {"dict": items, "ordered": isinstance(x, OrderedDict)}
    if isinstance(x, (list, tuple)):
        kind = "size" if isinstance(x, Size) else "tuple" if isinstance(x, tuple) else "list"
        return {kind: [_described(v, arrays, f"{path}.{i}" if path else str(i), depth + 1) for i, v in enumerate(x)]}
    if isinstance(x, np.generic) and not isinstance(x.item(), np.generic):
        return _described(x.item(), arrays, path, depth)
    raise OperandError(
        f"save: cannot store {type(x).__name__} at {path or 'the top'}",
        why="a file holds tensors, numbers, strings, lists, tuples and dicts",
        hint="a module's state_dict()",
    )


def _stored(values: np.ndarray[Any, Any], arrays: Arrays, path: str) -> str:
    """The name of an array in the file: its path, or, where another array has this name, one beside it."""
    if values.dtype.name not in _CODES:
        raise OperandError(
            f"save: cannot store an array of {values.dtype.name} at {path}",
            hint="an array of numbers of another dtype, or its parts",
        )
    name, count = path, 0
    while name in arrays or name == "__metadata__":
        count += 1
        name = f"{path}~{count}"
    arrays[name] = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(values.shape)
    return name


def _safetensors(obj: Any) -> list[Bytes]:
    """A file in pieces: what stands before the data, and the data of each array."""
    arrays: Arrays = {}
    tree = _described(obj, arrays, "")
    arrays = dict(
        sorted(arrays.items(), key=lambda item: -item[1].itemsize)
    )  # so that each is aligned, since there must be no gaps
    data = [values.reshape(-1).view(np.uint8).data for values in arrays.values()]
    total = 0
    for part in data:
        total = zlib.crc32(part, total)
    header: dict[str, Any] = {
        "__metadata__": {_TREE: json.dumps({**tree, "checked": True}), _SUMS: f"{_UNKNOWN} {total:08x}"}
    }
    offset = 0
    for name, values in arrays.items():
        header[name] = {
            "dtype": _CODES[values.dtype.name],
            "shape": list(values.shape),
            "data_offsets": [offset, offset + values.nbytes],
        }
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (field,) = _FIELD.finditer(text)
    text = b"%b%08x%b" % (text[: field.start(1)], zlib.crc32(text), text[field.end(1) :])
    return [struct.pack("<Q", len(text)), text, *data]


def save(obj: Any, f: Any, *, format: str | None = None, **kwargs: Any) -> None:
    """Write tensors in nested dicts, lists and tuples to a path or a binary file: as a file that PyTorch reads
    (`format="pt"`) where the name ends in .pt, .pth, .bin, .ckpt or .tar, else as safetensors.

    Whole modules, dataclasses, namespaces and sets are written as PyTorch writes them, and `load` makes them again with
    `weights_only=False` alone. TypeError for what cannot be stored; then nothing is written. A file at a path is the
    old one or the whole new one, whatever fails; links are followed, and its mode stays.

    >>> import io, fdl.stateful as torch
    >>> file = io.BytesIO()
    >>> torch.save({"w": torch.ones(2)}, file); _ = file.seek(0)
    >>> torch.load(file)
    {'w': tensor([1., 1.])}
    """
    format = _format_of(f, obj) if format is None else format
    if format not in ("safetensors", "pt"):
        raise ArgumentError(
            f"save: format {format!r} is neither 'safetensors' nor 'pt'", hint='format="pt", which PyTorch reads'
        )
    try:
        pieces = _safetensors(obj) if format == "safetensors" else _archive.written(obj)
    except RecursionError as error:
        raise OperandError(
            "save: cannot store containers that hold themselves, or too many within each other",
            hint="a flat dictionary",
        ) from error
    if hasattr(f, "write"):
        for piece in pieces:
            f.write(piece)
    else:
        write_file(f, pieces)


def _format_of(f: Any, obj: Any) -> str:
    """What the name of a file says, or what holds the object."""
    name = str(f if isinstance(f, (str, os.PathLike)) else getattr(f, "name", ""))
    if name.endswith(".safetensors"):
        return "safetensors"
    return "pt" if name.endswith(_OF_PYTORCH) or not _archive.is_data(obj) else "safetensors"


_OF_PYTORCH = (".pt", ".pth", ".bin", ".ckpt", ".tar")


# Reading


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Read what `save` wrote, any safetensors file, or what `torch.save` wrote, from a path or a binary file.

    Nothing in the file is executed: a class that is no tensor and no container is refused by its name (`RefusedError`,
    an UnpicklingError and a RuntimeError), unless `weights_only=False`. `FileError`, a RuntimeError, for anything else,
    and for damage: what `save` and `torch.save` wrote has checksums, so that a changed bit is noticed; safetensors
    files of others have none, and only what does not fit is. Memory is taken for a small multiple of the file's size at
    most. Tensors come to the CPU, wherever they were. With `mmap`, what is read from a path stays in the file until it
    is looked at, and its checksum is not computed.
    """
    data = _contents(f, bool(mmap))
    if bytes(data[: len(_archive.MAGIC)]) == _archive.MAGIC:
        if _archive.holds_program(data):
            raise FileError(
                f"load: {named(f)} is an archive of TorchScript",
                why="it holds a program in a language of its own, which is not run here",
                hint="a file of the module's state_dict()",
            )
        with reading(f, "is a damaged archive of torch.save"):
            return _archive.read(data, not weights_only, bool(mmap))
    if bytes(data[: len(_legacy.MAGIC)]) == _legacy.MAGIC:
        with reading(f, "is a damaged file of torch.save"):
            return _legacy.read(data, not weights_only)
    with reading(f, "is damaged, or no file that save wrote, no safetensors file, and no archive of torch.save"):
        return _read(data, bool(mmap))


def _contents(f: Any, mapped: bool) -> memoryview:
    """The bytes of a file; mapped, they are read where they are looked at."""
    if not mapped:
        data = f.read() if hasattr(f, "read") else Path(f).read_bytes()
        if isinstance(data, str):
            raise OperandError("load: the file is open for text", hint="open(path, 'rb')")
        return memoryview(data)
    if hasattr(f, "read"):
        raise ArgumentError(
            "f must be a file path in order to use the mmap argument",
            hint="load(path, mmap=True), or load(file) without it",
        )
    with Path(f).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return memoryview(mmap_file.mmap(file.fileno(), 0, access=mmap_file.ACCESS_READ) if size else b"")


def _read(data: memoryview, mapped: bool) -> Any:
    if len(data) < 10 or data[8] != ord("{"):
        raise ValueError(
            "it begins with no header"
            if bytes(data[:2]) != b"\x80\x02"
            else "it begins as a pickle, and PyTorch's begin with a number of theirs"
        )
    (length,) = struct.unpack("<Q", data[:8])
    if length > len(data) - 8:
        raise ValueError("it ends within its header")
    text, body = bytes(data[8 : 8 + length]), data[8 + length :]
    header = json.loads(text, object_pairs_hook=_once)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its metadata is no dictionary of strings")
    tree = json.loads(metadata[_TREE], object_pairs_hook=_once) if _TREE in metadata else None
    checked = isinstance(tree, dict) and tree.pop("checked", False)
    if checked or _SUMS in metadata:
        _check(text, body, metadata, mapped)
    arrays = _arrays(header, body)
    if tree is None:
        return {name: wrap(_archive.array_in(values, mapped)) for name, values in arrays.items()}
    found = _built(tree, arrays, mapped)
    if arrays:
        raise ValueError(f"the array {next(iter(arrays))!r} belongs nowhere")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dictionary of JSON, in which each name stands once."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in its header")
    return found


def _check(text: bytes, body: memoryview, metadata: dict[str, str], mapped: bool) -> None:
    """ValueError unless header and data have the checksums that they were written with."""
    fields = list(_FIELD.finditer(text))
    if len(fields) != 1 or _TREE not in metadata:
        raise ValueError("it has lost its checksum, or its structure")
    (field,) = fields
    blank = text[: field.start(1)] + _UNKNOWN.encode() + text[field.end(1) :]
    if zlib.crc32(blank) != int(field[1], 16):
        raise ValueError(
            "its header has another checksum than it was written with (who writes such files anew leaves "
            f"{_SUMS!r} out of the metadata)"
        )
    if not mapped and zlib.crc32(body) != int(field[2], 16):
        raise ValueError(
            "its data have another checksum than they were written with (who writes such files anew leaves "
            f"{_SUMS!r} out of the metadata)"
        )


def _arrays(header: dict[str, Any], body: memoryview) -> Arrays:
    """The arrays that a header describes, in its order: they fill the data without gaps."""
    found: Arrays = {}
    places: list[tuple[int, int]] = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"{name!r} has not dtype, shape and data_offsets alone")
        if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
            raise ValueError(f"the dtype {str(entry['dtype'])[:20]!r} of {name!r} is unknown")
        shape, place, kind = (
            _archive.sizes(entry["shape"]),
            _archive.sizes(entry["data_offsets"]),
            dtypes.canonical(_DTYPES[entry["dtype"]]),
        )
        start, end = place
        if not start <= end <= len(body) or end - start != math.prod(shape) * kind.itemsize:
            raise ValueError(
                f"the data of {name!r} lie outside of the file, or are not as many as its shape {list(shape)} has"
            )
        places.append((start, end))
        found[name] = _archive.elements(body[start:end], kind).reshape(shape)
    end = 0
    for start, after in sorted(places):
        if start != end:
            raise ValueError("its data overlap, or have gaps")
        end = after
    if end != len(body):
        raise ValueError(f"{len(body) - end} bytes at its end belong to nothing")
    return found


def _built(tree: Any, arrays: Arrays, mapped: bool) -> Any:
    """What `_described` has described; each array is taken once."""
    if not isinstance(tree, dict):
        raise ValueError("its structure is no dictionary")
    (kind,) = [k for k in tree if k not in ("ordered", "requires_grad")]
    value = tree[kind]
    if kind in ("tensor", "pairs"):
        values = arrays.pop(value)
        if kind == "pairs":
            if values.dtype != np.float64 or values.shape[-1:] != (2,):
                raise ValueError("complex numbers are no pairs of float64")
            values = values.view(np.complex128)[..., 0]
        return wrap(_archive.array_in(values, mapped)).requires_grad_(bool(tree["requires_grad"]))
    if kind == "ndarray":
        return arrays.pop(value).copy()
    if kind == "dict":
        pairs = [(key(_built(k, arrays, mapped)), _built(v, arrays, mapped)) for k, v in value]
        found = OrderedDict(pairs) if tree["ordered"] else dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key stands twice in a dictionary")
        return found
    if kind in _KINDS:
        parts = [_built(v, arrays, mapped) for v in value]
        return _KINDS[kind](_archive.sizes(parts) if kind == "size" else parts)
    if kind == "plain" and (value is None or isinstance(value, (bool, int, str))):
        return value
    return {"value": float.fromhex, "dtype": NAMES.__getitem__}[kind](value)
