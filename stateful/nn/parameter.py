"""Parameters and buffers of modules."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl.extend import Leaf, Storage, dtypes, from_numpy
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.format import text_of
from fdl.stateful.core.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module trains: assigning one to an attribute of a module registers it.

    >>> import fdl.stateful as torch
    >>> torch.nn.Parameter(torch.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        self._view = self._edge = None
        self._result = 0
        if data is None:
            self._storage = Storage(from_numpy(np.zeros(0, np.float32)))
        else:
            if requires_grad and not dtypes.is_inexact(data._aval.dtype):
                raise TensorError("Only Tensors of floating point and complex dtype can require gradients")
            self._lie(data)
        if requires_grad:
            self._edge = Leaf(self)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + text_of(self)

    __str__ = __repr__

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """As in PyTorch a parameter of its own, without gradient, that shares memory with nobody."""
        memo[id(self)] = copied = type(self)(self.detach().clone(), self.requires_grad)
        return copied

    def __reduce__(self) -> Any:
        return _rebuilt, (np.array(self._value()._numpy()), self.requires_grad)


def _rebuilt(values: Any, requires_grad: bool) -> Parameter:
    found = Parameter(None, requires_grad)
    found._storage = Storage(from_numpy(values))
    return found


class Buffer(Tensor):
    """A tensor of the state that is not trained: assigning one to an attribute of a module registers it."""

    def __init__(self, data: Tensor, *, persistent: bool = True) -> None:
        self._view = self._edge = None
        self._result = 0
        self._lie(data)
        self.persistent = persistent
