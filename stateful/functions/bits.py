"""Views of the same bits as elements of another dtype."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from fdl import lax, ops
from fdl.extend import Deferred, Function, Tracer, aval_of, dtypes
from fdl.stateful.core.dtypes import dtype
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.places import Places
from fdl.stateful.core.tensor import Tensor, owned, view_of
from fdl.stateful.core.views import Step, is_turned, places_of

__all__ = ["viewed_as"]


def _as(x: Any, target: dtypes.DType) -> Any:
    """The bits along the last axis as elements of another type."""
    source, shape = aval_of(x).dtype, aval_of(x).shape
    if source == dtypes.bool_:
        return _as(ops.convert(x, dtypes.uint8), target)
    if target == dtypes.bool_:
        return ops.not_equal(_as(x, dtypes.uint8), 0)
    if source.itemsize == target.itemsize:
        return lax.bitcast_convert_type(x, target)
    if source.itemsize > target.itemsize:
        return ops.reshape(
            lax.bitcast_convert_type(x, target), (*shape[:-1], shape[-1] * source.itemsize // target.itemsize)
        )
    count = target.itemsize // source.itemsize
    return lax.bitcast_convert_type(ops.reshape(x, (*shape[:-1], shape[-1] // count, count)), target)


def _places(p: Places, numbers: tuple[Any, ...], static: tuple[Any, ...]) -> Places:
    """Where the elements lie, counted in those of the new dtype."""
    target, source = static
    if target.itemsize == source.itemsize:
        return p
    last, offset = (n * source.itemsize // target.itemsize for n in (p.shape[-1], p.offset))
    strides = (*[n * source.itemsize // target.itemsize for n in p.strides[:-1]], 1)
    return Places((*p.shape[:-1], last), strides, offset)


_read = Function(lambda x, target, source: _as(x, target), "view")
_write = Function(lambda x, value, target, source: _as(value, source), "view")


def _check(x: Tensor, source: dtypes.DType, target: dtypes.DType) -> None:
    """RuntimeError where elements of another width do not fit into the places of those that are there."""
    if source.itemsize == target.itemsize:
        return
    as_told = f"to view {dtype(source).legacy_name} as {dtype(target).legacy_name} (different element sizes)"
    if not x.ndim:
        raise TensorError(f"self.dim() cannot be 0 {as_told}")
    places = places_of(x)
    if places.strides[-1] != 1 and x.shape[-1] != 1:
        raise TensorError(f"self.stride(-1) must be 1 {as_told}, but got {places.strides[-1]}")
    count = target.itemsize // source.itemsize
    if count:
        steps = [(f"self.stride({i})", s) for i, s in enumerate(places.strides[:-1])]
        for what, n in (("self.size(-1)", x.shape[-1]), ("self.storage_offset()", places.offset), *steps):
            if n % count:
                raise TensorError(f"{what} must be divisible by {count} {as_told}, but got {n}")


def of_file(x: Tensor) -> np.ndarray[Any, Any] | None:
    """The elements of a base that lie in a file; None for others. Nobody writes there, so what is seen of them in
    another way may be a tensor of its own.
    """
    array = x._storage.array
    if x._view is not None or isinstance(array, Tracer) or isinstance(array._data, Deferred):
        return None
    values = memory = array._numpy()
    while isinstance(memory, np.ndarray):
        memory = memory.base
    return values if isinstance(memory, mmap.mmap) else None


def viewed_as(x: Tensor, kind: dtype) -> Tensor:
    """`x.view(kind)`."""
    source, target = x._aval.dtype, kind.np
    if x._view is not None and is_turned(x):
        turned = "conjugate view tensors" if dtypes.is_complex(source) else "tensors with negative bit set"
        raise TensorError(
            f"torch.Tensor.view is not supported for {turned} when converting to a different dtype.",
            hint="x.resolve_conj().resolve_neg()",
        )
    if source == target:
        return x.view(tuple(x.shape))  # type: ignore[no-any-return]
    _check(x, source, target)
    stored = of_file(x)
    if stored is not None:
        return owned(stored.view(target))
    return view_of(x, Step(_read, _write, _places, (target, source)))
