"""`torch.utils.data._utils.collate`: batches by a table of functions, one a type of sample."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import as_tensor
from fdl.stateful.utils.data import default_collate, default_convert

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

np_str_obj_array_pattern = re.compile(r"[SaUO]")
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)
Table = dict[Any, Callable[..., Any]]


def collate(batch: Sequence[Any], *, collate_fn_map: Table | None = None) -> Any:
    """Samples as one batch. The function of their type, or of one that it inherits, is called as
    `f(batch, collate_fn_map=...)`; containers are kept.

    >>> collate([{"a": 1}, {"a": 2}], collate_fn_map={int: lambda batch, collate_fn_map: sum(batch)})
    {'a': 3}
    """
    table, first = collate_fn_map or {}, batch[0]
    found = table.get(type(first)) or next((f for kind, f in table.items() if isinstance(first, kind)), None)
    if found is not None:
        return found(batch, collate_fn_map=table)
    again = functools.partial(collate, collate_fn_map=table)
    if isinstance(first, Mapping):
        return {k: again([x[k] for x in batch]) for k in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(again, zip(*batch, strict=True)))
    if isinstance(first, (tuple, list)):
        return [again(column) for column in zip(*batch, strict=True)]
    raise TypeError(default_collate_err_msg_format.format(type(first)))


def _plain(batch: Sequence[Any], *, collate_fn_map: Table | None = None) -> Any:
    """The batch that a loader makes."""
    return default_collate(batch)


def collate_numpy_scalar_fn(batch: Sequence[Any], *, collate_fn_map: Table | None = None) -> Any:
    """Scalars of NumPy as a tensor of their type."""
    return as_tensor(np.asarray(batch))


collate_tensor_fn = collate_numpy_array_fn = collate_float_fn = collate_int_fn = collate_str_fn = _plain
default_collate_fn_map: Table = {
    Tensor: collate_tensor_fn, np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn, float: collate_float_fn, int: collate_int_fn,
    str: collate_str_fn, bytes: collate_str_fn,
}  # fmt: skip
