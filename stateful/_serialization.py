"""`save` and `load`: tensors as safetensors, the containers around them as JSON in its metadata.  Nothing in a file is executed.

Format: 8 bytes with the length of a JSON header, the header (name → dtype, shape, offsets), the data.  Source: the safetensors format, Hugging Face.
A file of a flat dictionary can be read by any safetensors reader, and theirs by `load`.
"""

from __future__ import annotations

import json
import mmap as mmap_file
import os
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import ConcreteArray
from fdl.stateful import _archive
from fdl.stateful._complex import ComplexTensor
from fdl.stateful._dtypes import dtype, of
from fdl.stateful._results import Size
from fdl.stateful._tensor import Tensor, wrap

_CODES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
_DTYPES = {code: name for name, code in _CODES.items()}


def _described(x: Any, tensors: dict[str, np.ndarray[Any, Any]], path: str) -> Any:
    """JSON that says how to build `x` from the tensors, which are gathered."""
    if isinstance(x, Tensor):
        name = path or "tensor"
        tensors[name] = np.ascontiguousarray(x.detach()._value()._numpy()).reshape(x.shape)
        return {"tensor": name, "requires_grad": bool(x.is_leaf and x.requires_grad)}
    if isinstance(x, ComplexTensor):
        return {"complex": [_described(p, tensors, f"{path or 'tensor'}.{name}") for name, p in (("real", x.real), ("imag", x.imag))]}
    if isinstance(x, np.ndarray):
        tensors[path or "array"] = np.ascontiguousarray(x).reshape(x.shape)
        return {"ndarray": path or "array"}
    if x is None or isinstance(x, (bool, int, float, str)):
        return {"value": x if not isinstance(x, float) else x.hex()} if isinstance(x, float) else {"plain": x}
    if isinstance(x, dtype):
        return {"dtype": x.np.name}
    if isinstance(x, dict):
        items = [[_described(k, tensors, ""), _described(v, tensors, f"{path}.{k}" if path else str(k))] for k, v in x.items()]
        return {"dict": items, "ordered": isinstance(x, OrderedDict)}
    if isinstance(x, (list, tuple)):
        kind = "size" if isinstance(x, Size) else "tuple" if isinstance(x, tuple) else "list"
        return {kind: [_described(v, tensors, f"{path}.{i}" if path else str(i)) for i, v in enumerate(x)]}
    if isinstance(x, np.generic):
        return _described(x.item(), tensors, path)
    raise TypeError(f"save: cannot store {type(x).__name__} at {path or 'the top'}; tensors, numbers, strings, lists, tuples and dicts can be stored: save a module's state_dict()")


def _built(spec: Any, tensors: dict[str, ConcreteArray]) -> Any:
    (kind,) = [k for k in spec if k not in ("ordered", "requires_grad")]
    value = spec[kind]
    if kind == "tensor":
        return wrap(tensors[value]).requires_grad_(bool(spec["requires_grad"]))
    if kind == "complex":
        return ComplexTensor(*[_built(v, tensors) for v in value])
    if kind == "ndarray":
        return np.array(tensors[value]._numpy())
    if kind == "dict":
        pairs = [(_built(k, tensors), _built(v, tensors)) for k, v in value]
        return OrderedDict(pairs) if spec["ordered"] else dict(pairs)
    if kind in ("list", "tuple", "size"):
        return {"list": list, "tuple": tuple, "size": Size}[kind]([_built(v, tensors) for v in value])
    return {"plain": lambda v: v, "value": float.fromhex, "dtype": of}[kind](value)


def _safetensors(obj: Any) -> bytes:
    tensors: dict[str, np.ndarray[Any, Any]] = {}
    spec = _described(obj, tensors, "")
    header: dict[str, Any] = {"__metadata__": {"fdl": json.dumps(spec)}}
    offset = 0
    tensors = dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize))  # so that each is aligned, since there must be no gaps
    for name, values in tensors.items():
        header[name] = {"dtype": _CODES[values.dtype.name], "shape": list(values.shape), "data_offsets": [offset, offset + values.nbytes]}
        offset += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *[v.tobytes() for v in tensors.values()]])


def save(obj: Any, f: Any, *, format: str = "safetensors", **kwargs: Any) -> None:
    """Write tensors in nested dicts, lists and tuples to a path or a binary file, as safetensors or, with `format="pt"`, as a file that PyTorch reads.

    TypeError for what cannot be stored; then nothing is written.

    >>> import io, fdl.stateful as torch
    >>> file = io.BytesIO()
    >>> torch.save({"w": torch.ones(2)}, file); _ = file.seek(0)
    >>> torch.load(file)
    {'w': tensor([1., 1.])}
    """
    if format not in ("safetensors", "pt"):
        raise ValueError(f"save: format {format!r} is neither 'safetensors' nor 'pt'")
    data = _safetensors(obj) if format == "safetensors" else _archive.written(obj)
    if hasattr(f, "write"):
        f.write(data)
        return
    path = Path(f)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)  # a reader sees the old file or the whole new one
    finally:
        temporary.unlink(missing_ok=True)


def load(f: Any, map_location: Any = None, pickle_module: Any = None, *, weights_only: bool = True, mmap: bool | None = None, **kwargs: Any) -> Any:
    """Read what `save` wrote, any safetensors file, or what `torch.save` wrote, from a path or a binary file.

    Nothing in the file is executed: a class that is no tensor and no container is refused by its name (UnpicklingError), unless `weights_only=False`.
    RuntimeError for anything else.  Tensors come to the CPU, wherever they were.  With `mmap`, what is read from a path stays in the file until it is looked at.
    """
    data = _contents(f, bool(mmap))
    if bytes(data[: len(_archive.MAGIC)]) == _archive.MAGIC:
        return _archive.read(data, not weights_only, bool(mmap))
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(bytes(data[8 : 8 + length]))
        metadata = header.pop("__metadata__", {})
        tensors = {name: _tensor_in(data[8 + length :], entry, bool(mmap)) for name, entry in header.items()}
        spec = json.loads(metadata["fdl"]) if "fdl" in metadata else None
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise RuntimeError("load: this is no file that save wrote, no safetensors file, and no archive of torch.save") from error
    return _built(spec, tensors) if spec is not None else {name: wrap(v) for name, v in tensors.items()}


def _contents(f: Any, mapped: bool) -> memoryview:
    """The bytes of a file; mapped, they are read where they are looked at."""
    if not mapped:
        return memoryview(f.read() if hasattr(f, "read") else Path(f).read_bytes())
    if hasattr(f, "read"):
        raise ValueError("f must be a file path in order to use the mmap argument")
    with Path(f).open("rb") as file:
        return memoryview(mmap_file.mmap(file.fileno(), 0, access=mmap_file.ACCESS_READ))


def _tensor_in(data: memoryview, entry: dict[str, Any], mapped: bool) -> ConcreteArray:
    start, end = entry["data_offsets"]
    np_dtype = dtypes.canonical(_DTYPES[entry["dtype"]])
    if not 0 <= start <= end <= len(data):
        raise ValueError("data offsets lie outside of the file")
    values = np.frombuffer(data[start:end], np_dtype).reshape([int(d) for d in entry["shape"]])
    return _archive.array_in(values, mapped)
