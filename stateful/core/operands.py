"""What functions take besides tensors, and tensors of another dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl import ops
from fdl.extend import ConcreteArray, Function, ShapedArray, dtypes, from_numpy, shaped
from fdl.stateful.core.dtypes import check_device, of, to_numpy
from fdl.stateful.core.errors import OperandError
from fdl.stateful.core.tensor import Composite, Tensor, apply, wrap


def typed(x: Any) -> ShapedArray:
    """The aval of an operand as a program sees it: Python numbers are weak."""
    if isinstance(x, Tensor):
        return x._aval
    return (
        shaped((), dtypes.bool_)
        if isinstance(x, bool)
        else shaped((), dtypes.float64 if isinstance(x, float) else dtypes.int64, True)
    )


def as_tensor_operand(x: Any) -> Any:
    """Tensors and Python numbers as they are; NumPy scalars as numbers, ndarrays as tensors; TypeError for others."""
    if isinstance(x, (Tensor, int, float, Composite)):
        return x
    if isinstance(x, complex):
        return Composite.of_number(x)
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        return wrap(from_numpy(x))
    if isinstance(x, ConcreteArray):
        return wrap(x)
    raise OperandError(f"unsupported operand type: expected a Tensor or a number, got {type(x).__name__}")


def converted(x: Any, np_dtype: Any = None, to_device: Any = None) -> Any:
    """`x` with another dtype, itself where nothing changes."""
    check_device(to_device)
    if isinstance(x, Composite):
        return x if np_dtype is None else x.to(of(to_numpy(np_dtype)))  # type: ignore[attr-defined]
    if np_dtype is None or to_numpy(np_dtype) == x._aval.dtype:
        return x
    if to_numpy(np_dtype).kind == "c":
        return Composite.of_real(x, to_numpy(np_dtype))  # type: ignore[no-any-return]
    return apply(conversion, (x,), (to_numpy(np_dtype),))  # type: ignore[no-any-return]


conversion = Function(lambda x, np_dtype: ops.cast(x, np_dtype), "to")
