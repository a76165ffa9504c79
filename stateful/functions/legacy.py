"""Tensor types by their older names: `LongTensor` makes tensors, says what `isinstance` asks, and is what `type` takes.

Each stands for a dtype on the CPU; those of `torch.cuda` say that no tensor lives there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.stateful.core.dtypes import check_device, dtype, of
from fdl.stateful.core.errors import ArgumentError, OperandError
from fdl.stateful.core.methods import method
from fdl.stateful.core.operands import converted
from fdl.stateful.core.results import Size
from fdl.stateful.core.tensor import Composite, Tensor
from fdl.stateful.functions.creation import get_default_dtype, set_default_dtype, tensor, zeros

__all__ = ["set_default_tensor_type"]

_DTYPES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "BFloat16Tensor": "bfloat16",
    "LongTensor": "int64", "IntTensor": "int32", "ShortTensor": "int16", "CharTensor": "int8", "ByteTensor": "uint8",
    "BoolTensor": "bool",
}  # fmt: skip


class tensortype(type):
    """The type of tensor types."""

    dtype: dtype
    is_cuda: bool

    def __instancecheck__(cls, x: object) -> bool:
        return not cls.is_cuda and isinstance(x, Tensor) and x.dtype == cls.dtype

    def __call__(cls, *args: Any, device: Any = None) -> Any:
        """A tensor of sizes, filled with zeros; of a tensor of this type, the same one; of data, its elements."""
        if cls.is_cuda:
            raise OperandError(
                f"type torch.cuda.{cls.__name__} not available. Torch not compiled with CUDA enabled.",
                hint=f"torch.{cls.__name__}, or ask torch.cuda.is_available() first",
            )
        if not args or all(isinstance(a, (int, np.integer)) for a in args):
            return zeros(*args or (0,), dtype=cls.dtype)
        data: Sequence[Any] | Tensor = args[0]
        if isinstance(data, Size):
            return zeros(*data, dtype=cls.dtype)
        if isinstance(data, Tensor):
            if data.dtype != cls.dtype:
                raise OperandError(
                    f"expected {cls.dtype} (got {data.dtype})", hint=f"x.to({cls.dtype}) where another dtype is wanted"
                )
            return data.view_as(data)
        return tensor(data, dtype=cls.dtype)


def _types(module: str, is_cuda: bool) -> dict[str, Any]:
    return {
        name: tensortype(
            name,
            (),
            {"dtype": of(d), "is_cuda": is_cuda, "__module__": module, "__doc__": f"Tensors of {d}, by an older name."},
        )
        for name, d in _DTYPES.items()
    }


TYPES, CUDA_TYPES = _types("torch", False), _types("torch.cuda", True)


@method("type")
def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    if dtype is None:
        own = self.dtype
        return repr(own) if own.legacy_name == own.np.name else f"torch.{own.legacy_name}Tensor"
    return converted(self, dtype_of(dtype))


def dtype_of(kind: Any) -> Any:
    """The dtype of a tensor type, or of one's name such as "torch.FloatTensor"; a dtype as it is."""
    if isinstance(kind, str):
        root, _, name = kind.rpartition(".")
        found = {"torch": TYPES, "torch.cuda": CUDA_TYPES}.get(root, {}).get(name)
        if found is None and kind != "torch.Tensor":
            raise ArgumentError(f"invalid type: '{kind}'", hint='torch.float32, or "torch.FloatTensor"')
        kind = Tensor if found is None else found
    if kind is Tensor:
        return get_default_dtype()
    if isinstance(kind, tensortype):
        check_device("cuda" if kind.is_cuda else None)
        return kind.dtype
    return kind


def set_default_tensor_type(t: Any) -> None:
    """`set_default_dtype`, by a tensor type.

    >>> import fdl.stateful as torch
    >>> torch.set_default_tensor_type(torch.FloatTensor)
    """
    set_default_dtype(dtype_of(t))


def typename(obj: Any) -> str:
    """The name of an object's type; of a tensor's, with its dtype.

    >>> import fdl.stateful as torch
    >>> torch.typename(torch.ones(1))
    'torch.FloatTensor'
    """
    if isinstance(obj, (Tensor, Composite)):
        return obj.type()  # type: ignore[union-attr,no-any-return]
    return f"{type(obj).__module__}.{type(obj).__name__}".replace("builtins.", "")
