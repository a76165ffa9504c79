"""dtypes under JAX's names: how they are promoted, compared and described."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from fdl.core.dtypes import DType, canonical, is_complex, is_float, is_integer
from fdl.core.errors import DtypeError
from fdl.numpy import bfloat16, finfo, iinfo, issubdtype, result_type
from fdl.transforms import float0

TypePromotionError = DtypeError


class extended(np.generic):
    """What dtypes beyond numbers are kinds of; no array has one."""


class prng_key(extended):
    """The kind of dtypes of keys that are no numbers: keys of `fdl.random` are uint32, so that none has it."""


def canonicalize_dtype(dtype: Any, allow_extended_dtype: bool = False) -> DType:
    """The dtype that an array gets for what is given: nothing is narrowed.

    >>> canonicalize_dtype("float64")
    dtype('float64')
    """
    return canonical(dtype)


def scalar_type_of(x: Any) -> type:
    """The Python type of numbers of a dtype, or of a value.

    >>> scalar_type_of(np.float32(1)), scalar_type_of(3)
    (<class 'float'>, <class 'int'>)
    """
    if isinstance(x, (bool, int, float, complex)):
        return next(t for t in (bool, int, float, complex) if isinstance(x, t))
    dtype = canonical(getattr(x, "dtype", x))
    if dtype == np.bool_:
        return bool
    return int if is_integer(dtype) else float if is_float(dtype) else complex if is_complex(dtype) else object


def itemsize_bits(dtype: Any) -> int:
    """Bits of a number.

    >>> itemsize_bits("bfloat16"), itemsize_bits("int4")
    (16, 4)
    """
    named = np.dtype(getattr(ml_dtypes, dtype, dtype) if isinstance(dtype, str) else dtype)
    if named.name in ("int2", "uint2", "int4", "uint4", "int1", "uint1"):
        return int(named.name[-1])
    return 8 * named.itemsize


__all__ = [
    "TypePromotionError", "bfloat16", "canonicalize_dtype", "finfo", "float0", "iinfo", "issubdtype", "itemsize_bits",
    "result_type", "scalar_type_of",
]  # fmt: skip
