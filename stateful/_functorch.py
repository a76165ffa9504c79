"""`torch._functorch.vmap`: parts of `torch.vmap` by the names that libraries import, and put others in the place of;
`torch.vmap` of fdl does not ask them. Those of numbered levels refuse.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fdl.stateful._C import _functorch
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_leaves, tree_unflatten

__all__ = ["vmap"]


def _get_name(func: Any) -> str:
    """What messages call a function."""
    return str(getattr(func, "__name__", None) or repr(func))


def _validate_and_get_batch_size(flat_in_dims: Any, flat_args: Any) -> int:
    """The size of the dimension that is mapped, the same for all arguments that have one; ValueError where not."""
    sizes = {x.shape[d] for d, x in zip(flat_in_dims, flat_args, strict=True) if d is not None}
    if len(sizes) != 1:
        told = "no input is mapped" if not sizes else f"got sizes {sorted(sizes)} for the mapped dimension"
        raise ArgumentError(f"vmap: Expected all tensors to have the same size in the mapped dimension, {told}")
    return int(sizes.pop())


def _as_tuple(value: Any, num_elements: int, message: Any) -> tuple[Any, ...]:
    """A value as a tuple of so many elements; ValueError with what `message()` says for another number."""
    found = value if isinstance(value, tuple) else (value,)
    if len(found) != num_elements:
        raise ArgumentError(message())
    return found


vmap = SimpleNamespace(
    Tensor=Tensor, tree_flatten=tree_flatten, tree_leaves=tree_leaves, tree_unflatten=tree_unflatten,
    _add_batch_dim=_functorch._add_batch_dim, _as_tuple=_as_tuple,
    _broadcast_to_and_flatten=_broadcast_to_and_flatten, _get_name=_get_name,
    _maybe_remove_batch_dim=_functorch._remove_batch_dim, _remove_batch_dim=_functorch._remove_batch_dim,
    _validate_and_get_batch_size=_validate_and_get_batch_size,
)  # fmt: skip
