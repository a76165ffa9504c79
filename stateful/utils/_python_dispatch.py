"""`torch.utils._python_dispatch`: classes below the functions of tensors, of which there are none here.

Functions ask classes by `__torch_function__` (`torch.overrides`); there is no dispatcher under them that would ask
`__torch_dispatch__`.
"""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.errors import UnsupportedError

__all__ = ["TorchDispatchMode", "is_traceable_wrapper_subclass"]


class TorchDispatchMode:
    """A block in which PyTorch's dispatcher asks a mode. NotImplementedError: there is no dispatcher here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(
            "TorchDispatchMode: no dispatcher stands under the functions of tensors",
            hint="torch.overrides.TorchFunctionMode, which is asked by each public function",
        )


def is_traceable_wrapper_subclass(t: Any) -> bool:
    """Whether an object says how it is taken apart into tensors and made of them, as tensors of classes in PyTorch do.

    >>> import fdl.stateful as torch
    >>> is_traceable_wrapper_subclass(torch.ones(1))
    False
    """
    return hasattr(t, "__tensor_flatten__") and hasattr(t, "__tensor_unflatten__")
