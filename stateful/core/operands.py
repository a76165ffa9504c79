"""What functions take besides tensors, and tensors of another dtype."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import ConcreteArray, Function, ShapedArray, aval_of, dtypes, from_numpy, shaped
from fdl.stateful.core.dtypes import META, check_device, device, of, to_numpy
from fdl.stateful.core.errors import OperandError, TensorError, UnsupportedError
from fdl.stateful.core.meta import MetaArray
from fdl.stateful.core.tensor import Composite, Tensor, apply, wrap


def typed(x: Any) -> ShapedArray:
    """The aval of an operand as a program sees it: Python numbers are weak."""
    if isinstance(x, Tensor):
        return x._aval
    if isinstance(x, bool):
        return shaped((), *dtypes.PYTHON_BOOL)
    kinds = dtypes.PYTHON_INT, dtypes.PYTHON_FLOAT, dtypes.PYTHON_COMPLEX
    return shaped((), *kinds[isinstance(x, (float, complex)) + isinstance(x, complex)])


def as_tensor_operand(x: Any) -> Any:
    """Tensors and Python numbers as they are; NumPy scalars as numbers, ndarrays as tensors; TypeError for others."""
    if isinstance(x, (Tensor, int, float, complex, Composite)):
        return x
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        return wrap(from_numpy(x))
    if isinstance(x, ConcreteArray):
        return wrap(x)
    raise OperandError(f"unsupported operand type: expected a Tensor or a number, got {type(x).__name__}")


def refuse_complex(what: str, *xs: Any) -> None:
    """NotImplementedError, in a traced function, where one of its arrays is complex."""
    for x in xs:
        if dtypes.is_complex(aval_of(x).dtype):
            raise UnsupportedError(
                f"{what} not implemented for complex tensors: dtype {aval_of(x).dtype.name} is not supported",
                why="complex numbers have no order",
                hint="x.abs(), x.real or x.imag",
            )


def cast_number(value: Any, np_dtype: Any) -> Any:
    """A number, in a traced function, as one of a dtype; RuntimeError for a complex one where that is real."""
    if dtypes.is_complex(aval_of(value).dtype) and not dtypes.is_complex(np_dtype):
        raise TensorError(
            f"value cannot be converted to type {of(np_dtype).legacy_name.lower()} without overflow",
            why="a complex number has no place in a real tensor",
            hint="value.real, or x.to(torch.complex64)",
        )
    return ops.cast(value, np_dtype)


_IN_C = {
    "float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16", "int32": "int",
}  # fmt: skip


def check_number(value: Any, np_dtype: Any) -> None:
    """RuntimeError for a Python number that a dtype has no place for. As in PyTorch numbers below 0 are places of
    unsigned integers counted from the end, and infinity is one of floats.
    """
    if type(value) not in (int, float) or np_dtype == dtypes.bool_ or dtypes.is_complex(np_dtype):
        return
    if dtypes.is_float(np_dtype):
        fits = not math.isfinite(value) or abs(value) <= float(jnp.finfo(np_dtype).max)
    else:
        limits = np.iinfo(np_dtype)
        fits = (limits.min or -limits.max) <= value <= limits.max
    if not fits:
        name = _IN_C.get(np_dtype.name, f"{np_dtype.name}_t")
        raise TensorError(f"value cannot be converted to type {name} without overflow", hint="another dtype")


def converted(x: Any, np_dtype: Any = None, to_device: Any = None) -> Any:
    """`x` with another dtype, itself where nothing changes."""
    if to_device is not None and (x.device == META or device(to_device) == META):
        return _moved(x, np_dtype, device(to_device))
    check_device(to_device)
    if isinstance(x, Composite):
        return x if np_dtype is None else x.to(of(to_numpy(np_dtype)))  # type: ignore[attr-defined]
    if np_dtype is None or to_numpy(np_dtype) == x._aval.dtype:
        return x
    if dtypes.is_complex(x._aval.dtype) and to_numpy(np_dtype).kind not in "cb":
        warnings.warn("Casting complex values to real discards the imaginary part", UserWarning, stacklevel=3)
    return apply(conversion, (x,), (to_numpy(np_dtype),))  # type: ignore[no-any-return]


def on_meta(x: Tensor) -> Tensor:
    """A tensor of the same type without values."""
    found = wrap(MetaArray(x._aval))
    return found.requires_grad_() if x.requires_grad else found


def _moved(x: Any, np_dtype: Any, place: device) -> Any:
    """`x` with another dtype on or from the meta device, from which no values come."""
    if place != META:
        x._value().refuse(f"to({str(place)!r})")
    x = converted(x, np_dtype)
    return x if x.device == META else on_meta(x)


conversion = Function(lambda x, np_dtype: ops.cast(x, np_dtype), "to")
