"""`torch.nn.utils._named_member_accessor`: a tensor of a module exchanged for another, whatever both are."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.errors import MissingError, OperandError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.nn.module import Module

__all__ = ["set_tensor", "swap_tensor"]


def swap_tensor(module: Module, name: str, tensor: Tensor | None, allow_missing: bool = False) -> Tensor | None:
    """Put a tensor in the place of a parameter, buffer or attribute, and return what was there; None takes it away.

    TypeError where either is no tensor, AttributeError where nothing has that name, unless `allow_missing`.

    >>> import fdl.stateful as torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> old = swap_tensor(layer, "weight", torch.ones(1, 2))
    >>> layer(torch.ones(2)).item(), swap_tensor(layer, "weight", old).tolist(), "weight" in layer._parameters
    (2.0, [[1.0, 1.0]], True)
    """
    if tensor is not None and not isinstance(tensor, Tensor):
        raise OperandError(f"{tensor} is not an instance of torch.Tensor")
    if "." in name or not name:
        raise KeyError('tensor name can\'t be empty string ""' if not name else 'tensor name can\'t contain "."')
    registered = next((r for r in (module._parameters, module._buffers) if name in r), None)
    found: dict[str, Any] = vars(module) if registered is None else registered
    if name not in found and not allow_missing:
        raise MissingError(f"{module._get_name()} has no attribute `{name}`")
    old = found.get(name)
    if old is not None and not isinstance(old, Tensor):
        raise OperandError(f"attribute `{name}`: {old} is not an instance of torch.Tensor")
    if registered is not None:
        registered[name] = tensor
    elif tensor is not None:
        setattr(module, name, tensor)
    elif name in found:
        delattr(module, name)
    return old


def set_tensor(module: Module, name: str, tensor: Tensor) -> None:
    """`swap_tensor`, of which what was there is not wanted, nor has to be there."""
    swap_tensor(module, name, tensor, allow_missing=True)
