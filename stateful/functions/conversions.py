"""Tensors of another type, on another device, with other memory or without history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.extend import from_numpy as array_of
from fdl.stateful.core.cells import note_slots
from fdl.stateful.core.dtypes import check_device, of, to_numpy
from fdl.stateful.core.dtypes import device as device_kind
from fdl.stateful.core.errors import TensorError, no_tensor
from fdl.stateful.core.methods import add_conversion, method
from fdl.stateful.core.operands import converted
from fdl.stateful.core.tensor import Tensor, wrap
from fdl.stateful.core.views import lies_as, refuse_shared
from fdl.stateful.functions.shapes import clone, contiguous

__all__: list[str] = []


@method()
def byte(input: Tensor, memory_format: Any = None) -> Any:
    """`to(uint8)`."""
    return input.to(of("uint8"))


@method()
def char(input: Tensor, memory_format: Any = None) -> Any:
    """`to(int8)`."""
    return input.to(of("int8"))


@method("new")
def new(self: Tensor, *args: Any) -> Any:
    """A tensor of the same dtype: of sizes, or of data."""
    if args and all(isinstance(a, int) for a in args):
        return self.new_empty(*args)
    return self.new_tensor(args[0] if args else [])


@method("resize_")
def resize_(self: Tensor, *size: Any) -> Tensor:
    """Another shape, in place: elements are kept in order, new ones are zero."""
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    values = np.asarray(self._value()._numpy()).reshape(-1)
    filled = np.zeros(math.prod(shape), values.dtype)
    filled[: len(values)] = values[: len(filled)]
    self.data = wrap(array_of(filled.reshape(shape)))
    return self


@method("set_")
def set_(self: Tensor, source: Any, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Tensor:
    """The values of another tensor, shared; or those in a storage from an offset on, of this dtype."""
    if not isinstance(source, Tensor):
        source = source.bytes().view(self.dtype)
    if size is not None:
        source = source.reshape(-1).as_strided(size, stride or _packed(size), storage_offset)
    self.data = source
    return self


def _packed(size: Sequence[int]) -> list[int]:
    """Strides of elements that lie one behind the other."""
    return [math.prod(size[i + 1 :]) for i in range(len(size))]


def dtype_and_device(args: Sequence[Any], dtype: Any, device: Any) -> tuple[Any, Any]:
    """What the arguments of `to` mean, in whatever order they come: a dtype, a device, a tensor that has both, and
    flags.
    """
    for a in args:
        if isinstance(a, Tensor):
            dtype = a.dtype
        elif isinstance(a, (str, device_kind)):
            device = a
        elif not isinstance(a, bool) and a is not None:
            dtype = a
    return dtype, device


@method("to")
def _to(
    self: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    dtype, device = dtype_and_device(args, dtype, device)
    out = converted(self, dtype, device)
    out = clone(out) if copy and out is self else out
    return out if memory_format is None else contiguous(out, memory_format)


@method("type_as")
def _type_as(self: Tensor, other: Tensor) -> Tensor:
    return converted(self, other.dtype)  # type: ignore[no-any-return]


_CONVERSIONS = {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16", "long": "int64", "int": "int32",
    "short": "int16", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
}  # fmt: skip
for _name, _dtype in _CONVERSIONS.items():
    add_conversion(_name, to_numpy(_dtype))


@method("cpu")
def _cpu(self: Tensor) -> Tensor:
    return converted(self, to_device="cpu")  # type: ignore[no-any-return]


@method("cuda")
def _cuda(self: Tensor, device: Any = None) -> Tensor:
    check_device("cuda")
    return self


@method("pin_memory", "share_memory_")
def _unchanged(self: Tensor) -> Tensor:
    return self


@method("copy_")
def _copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    if not isinstance(other, Tensor):
        raise no_tensor(other, "copy_", "other", 1)
    refuse_shared(self, (other,))
    same = lies_as(self, other)
    if self._view is None and (other._storage.exported is not None or other._node() is not None):
        other = clone(other)  # memory and hooks of one are not those of the other
    return self._overwrite(other, repeats=same)


@method("detach_")
def _detach_(self: Tensor) -> Tensor:
    if self._view is not None and self._edge is None and not self._root()._hidden:
        raise TensorError("Can't detach views in-place. Use detach() instead.")
    note_slots(self, "_edge")
    self._edge = None
    return self
