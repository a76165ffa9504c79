"""Dtypes and their one promotion lattice.

Dtypes are NumPy's (bool, integers, floats, complex numbers) plus bfloat16 and two float8s from `ml_dtypes`. Promotion
is JAX's lattice with float64, int64 and complex128 present when explicit: nothing is ever narrowed silently. A Python
number is *weak*: it takes the dtype of what it meets. Where it meets nothing it has a default dtype, of 32 bits, or of
64 where `wide` says so; nothing else depends on that. Source of the lattice: "Design of Type Promotion Semantics" in
JAX's documentation (JEP 9407).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

from fdl.core.config import setting
from fdl.core.errors import DtypeError

DType = np.dtype[Any]

bool_ = np.dtype(np.bool_)
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{bits}") for bits in (16, 32, 64))
bfloat16 = np.dtype(ml_dtypes.bfloat16)
float8_e4m3fn = np.dtype(ml_dtypes.float8_e4m3fn)
float8_e5m2 = np.dtype(ml_dtypes.float8_e5m2)
complex64, complex128 = np.dtype(np.complex64), np.dtype(np.complex128)

SIGNED = (int8, int16, int32, int64)
UNSIGNED = (uint8, uint16, uint32, uint64)
INTEGERS = SIGNED + UNSIGNED
NARROW_FLOATS = (float8_e4m3fn, float8_e5m2, bfloat16, float16)
FLOATS = (*NARROW_FLOATS, float32, float64)
COMPLEX = (complex64, complex128)
INEXACT = FLOATS + COMPLEX
NUMBERS = INTEGERS + FLOATS
REAL = (bool_, *NUMBERS)
ALL = (*REAL, *COMPLEX)

_ALL_SET, _FLOAT_SET, _COMPLEX_SET = frozenset(ALL), frozenset(FLOATS), frozenset(COMPLEX)
_INEXACT_SET, _INTEGER_SET = frozenset(INEXACT), frozenset(INTEGERS)

# The lattice: each node with what stands directly above it.  `int*`, `float*` and `complex*` are weak.
_ABOVE: dict[Any, tuple[Any, ...]] = {
    bool_: ("int*",),
    "int*": (uint8, int8),
    uint8: (int16, uint16),
    uint16: (int32, uint32),
    uint32: (int64, uint64),
    uint64: ("float*",),
    int8: (int16,),
    int16: (int32,),
    int32: (int64,),
    int64: ("float*",),
    "float*": (float8_e4m3fn, float8_e5m2, bfloat16, float16, "complex*"),
    float8_e4m3fn: (),
    float8_e5m2: (),
    bfloat16: (float32,),
    float16: (float32,),
    float32: (float64, complex64),
    float64: (complex128,),
    "complex*": (complex64,),
    complex64: (complex128,),
    complex128: (),
}
_PYTHON: dict[str, type] = {"int*": int, "float*": float, "complex*": complex}
_DEFAULTS = {
    int: (int32, int64),
    float: (float32, float64),
    complex: (complex64, complex128),
}  # without `wide`, with it


def wide() -> bool:
    """Whether defaults have 64 bits here."""
    x64: bool = setting("x64")
    return x64


def default(kind: type) -> DType:
    """The dtype of Python's `int`, `float` or `complex` where nothing says which.

    >>> default(float), default(int)
    (dtype('float32'), dtype('int32'))
    """
    return _DEFAULTS[kind][wide()]


@functools.cache
def _upper(node: Any) -> frozenset[Any]:
    """The node itself and all above it."""
    return frozenset({node}).union(*map(_upper, _ABOVE[node]))


def canonical(dtype: Any) -> DType:
    """The supported dtype that `dtype` names: a NumPy dtype, its name, a scalar type, or Python's bool, int, float and
    complex.

    Python's `int`, `float` and `complex` mean the functional defaults, int32, float32 and complex64 unless `wide`.
    Raises DtypeError for what is not supported.

    >>> canonical("bfloat16"), canonical(float)
    (dtype(bfloat16), dtype('float32'))
    """
    if type(dtype) is type and dtype in _DEFAULTS:
        return default(dtype)
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in _ALL_SET:
        names = ", ".join(d.name for d in ALL)
        raise DtypeError(f"dtype {dtype!r} is not supported", hint=f"one of {names}")
    dtype_: DType = found
    return dtype_


def is_float(dtype: DType) -> bool:
    """True for floating-point dtypes, the narrow ones included."""
    return dtype in _FLOAT_SET


def is_integer(dtype: DType) -> bool:
    """True for signed and unsigned integers, not for bool."""
    return dtype in _INTEGER_SET


def is_complex(dtype: DType) -> bool:
    """True for complex dtypes."""
    return dtype in _COMPLEX_SET


def is_inexact(dtype: DType) -> bool:
    """True for floating-point and complex dtypes: those whose values vary."""
    return dtype in _INEXACT_SET


def real_dtype(dtype: DType) -> DType:
    """The dtype of the parts of complex numbers; others as they are.

    >>> real_dtype(complex64), real_dtype(int32)
    (dtype('float32'), dtype('int32'))
    """
    return {complex64: float32, complex128: float64}.get(dtype, dtype)


def complex_dtype(dtype: DType) -> DType:
    """The dtype of complex numbers that holds this one: complex128 for float64, for all others complex64.

    >>> complex_dtype(float64), complex_dtype(int32)
    (dtype('complex128'), dtype('complex64'))
    """
    return complex128 if dtype in (float64, complex128) else complex64


def compute_dtype(dtype: DType) -> DType:
    """The dtype in which one operation on `dtype` is worked out before it is rounded back: float32 for the narrow
    floats.
    """
    return float32 if dtype in NARROW_FLOATS else dtype


def _node(dtype: DType, weak: bool) -> Any:
    if not weak or dtype == bool_:
        return dtype
    return "float*" if is_float(dtype) else "complex*" if is_complex(dtype) else "int*"


@functools.lru_cache(maxsize=4096)
def _join(nodes: frozenset[Any]) -> Any:
    common = frozenset.intersection(*(_upper(node) for node in nodes))
    least = [node for node in common if common <= _upper(node)]
    if not least:
        names = " and ".join(sorted(str(node) for node in nodes))
        raise DtypeError(
            f"{names} have no common dtype",
            why="float8 dtypes are for storage and are never converted implicitly",
            hint="x.astype(jnp.float32)",
        )
    return least[0]


def promote(types: Iterable[tuple[DType, bool]]) -> tuple[DType, bool]:
    """The least dtype, and whether it is weak, that holds all `(dtype, weak)`.

    >>> promote([(int32, False), (float32, True)])
    (dtype('float32'), True)
    >>> promote([(bfloat16, False), (float32, True)])
    (dtype(bfloat16), False)
    """
    pairs = list(types)
    first = pairs[0]
    if all(pair == first for pair in pairs):  # same dtype all over, also a weak one that is not the default
        return first
    node = _join(frozenset(_node(dtype, weak) for dtype, weak in pairs))
    if not isinstance(node, str):
        return node, False
    own = default(_PYTHON[node])  # where no type is of this kind; else the widest that is
    return max([d for d, _ in pairs if d.kind == own.kind], key=lambda d: d.itemsize, default=own), True


def scalar_type(value: Any) -> tuple[DType, bool] | None:
    """(dtype, weak) of a Python or NumPy scalar, None for anything else.

    NumPy scalars of default width (`np.float64`, `np.int64`, `np.complex128`, `np.bool_`) are weak, since that is what
    Python arithmetic on NumPy values gives: they yield to arrays, and keep their 64 bits where they meet none. An int
    beyond int32 is int64, so that it stays exact.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool_, False
    if isinstance(value, (int, np.int64)):
        if -(2**31) <= value < 2**31:
            return default(int), True
        if -(2**63) <= value < 2**63:
            return int64, True
        if value < 2**64:
            return uint64, True
        raise OverflowError(f"the integer {value} does not fit into 64 bits")
    if isinstance(value, (float, complex)):  # np.float64 and np.complex128 too
        return getattr(value, "dtype", None) or default(float if isinstance(value, float) else complex), True
    if isinstance(value, np.generic):
        return canonical(value.dtype), False
    return None


# (dtype, weak) of Python numbers that are inputs of a program: wide enough to be exact in whatever they turn into
PYTHON_FLOAT, PYTHON_INT, PYTHON_BOOL = (float64, True), (int64, True), (bool_, False)
PYTHON_COMPLEX = complex128, True


def default_float(dtype: DType) -> DType:
    """`dtype` if it is floating or complex, else that of Python's floats: what an integer turns into where a float is
    needed.
    """
    return dtype if is_inexact(dtype) else default(float)
