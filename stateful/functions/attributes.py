"""What a tensor says of itself: sizes, type, and where its elements lie."""

from __future__ import annotations

import math
from typing import Any

from fdl.stateful.core.addresses import address_of
from fdl.stateful.core.dtypes import CPU, META
from fdl.stateful.core.layouts import FORMATS, lies_in, order_of, strided
from fdl.stateful.core.methods import method
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.core.views import is_contiguous, places_of
from fdl.stateful.functions.reductions import dim_of

__all__ = ["is_floating_point", "numel"]


@method()
def stride(input: Tensor, dim: int | None = None) -> Any:
    """Steps of the dimensions in the storage, in elements."""
    found = places_of(input).strides
    return found if dim is None else found[dim_of(input, dim)]


@method()
def storage_offset(input: Tensor) -> int:
    """Where in the storage the first element lies."""
    return places_of(input).offset


def _base(self: Tensor) -> Tensor | None:
    """The tensor that a view is seen from; None for one that is no view."""
    if self._view is None or self._turned is not None:
        return None
    base = self._root()
    return None if base._hidden else base if base._origin is None else base._origin


Tensor.is_meta = property(lambda self: self.device == META)  # type: ignore[attr-defined]
Tensor.is_cpu = property(lambda self: self.device == CPU)  # type: ignore[attr-defined]


@method()
def get_device(input: Tensor) -> int:
    """-1: the CPU."""
    return -1


@method()
def is_pinned(input: Tensor, device: Any = None) -> bool:
    """Whether memory is pinned: no."""
    return False


def _attribute(name: str, doc: str) -> Any:
    def set_on(f: Any) -> Any:
        f.__doc__ = doc
        setattr(Tensor, name, property(f))
        return f

    return set_on


_attribute("_base", "The tensor that a view is seen from; None for one that is no view.")(_base)
_attribute("itemsize", "Bytes of an element.")(lambda self: self.dtype.itemsize)
_attribute("nbytes", "Bytes of all elements.")(lambda self: self.dtype.itemsize * self.numel())
_attribute("layout", "How elements lie: strided.")(lambda self: strided)


@method("size")
def _size(self: Tensor, dim: int | None = None) -> Any:
    return self.shape if dim is None else self.shape[dim_of(self, dim)]


@method("dim", "ndimension")
def _dim(self: Tensor) -> int:
    return self.ndim


@method("numel", "nelement")
def numel(input: Tensor) -> int:
    """Number of elements."""
    return math.prod(input.shape)


@method("element_size")
def _element_size(self: Tensor) -> int:
    return self.dtype.itemsize


@method("is_floating_point")
def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a float type."""
    return input.dtype.is_floating_point


@method("is_contiguous")
def _is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    if memory_format is None or memory_format is FORMATS["contiguous_format"]:
        return is_contiguous(self)
    order = order_of(memory_format, self.ndim)
    return order is not None and lies_in(places_of(self), order)


@method("data_ptr")
def _data_ptr(self: Tensor) -> int:
    """The address of the first element, until the tensor is written to; 0 where there are no elements or values."""
    start = address_of(self._storage) if self.numel() else 0
    return start + places_of(self).offset * self.dtype.itemsize if start else 0
