"""PyTorch's dtypes and devices, and its rule for the type of a result.

Source of the rule: "Tensor Attributes", section "torch.dtype", of PyTorch's documentation: among operands with
dimensions, 0-d ones and Python numbers, a lower class counts only where its category (bool, integer, float) is higher.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.extend import ShapedArray, aval_of, dtypes
from fdl.stateful.core.errors import NoDeviceError, OperandError, TensorError, UnsupportedError


class dtype:
    """The type of a tensor's elements.

    >>> import fdl.stateful as torch
    >>> torch.float32, torch.float32.is_floating_point, torch.int64.itemsize
    (torch.float32, True, 8)
    """

    __slots__ = ("np",)

    def __init__(self, np_dtype: dtypes.DType) -> None:
        self.np = np_dtype

    @property
    def is_floating_point(self) -> bool:
        """Whether this is a float type."""
        return dtypes.is_float(self.np)

    @property
    def is_complex(self) -> bool:
        """Whether this is a type of complex numbers."""
        return self.np.kind == "c"

    def to_real(self) -> dtype:
        """The type of the parts of complex numbers, and itself of others."""
        return of(dtypes.real_dtype(self.np)) if self.is_complex else self

    def to_complex(self) -> dtype:
        """The type of complex numbers of such parts, and itself of complex ones.

        >>> import fdl.stateful as torch
        >>> torch.float64.to_complex(), torch.complex64.to_real()
        (torch.complex128, torch.float32)
        """
        if self.is_complex:
            return self
        if not self.is_floating_point or self.itemsize == 1:
            raise TensorError(f"Unknown Complex ScalarType for {self.legacy_name}", hint="a type of floats")
        return of("complex128" if self.itemsize == 8 else "complex64")

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.np.itemsize

    @property
    def legacy_name(self) -> str:
        """What older texts call it: `Float` for float32."""
        return {
            "complex64": "ComplexFloat", "complex128": "ComplexDouble", "float32": "Float", "float64": "Double",
            "int64": "Long", "int32": "Int", "bool": "Bool",
            "uint8": "Byte", "int8": "Char", "int16": "Short", "float16": "Half", "bfloat16": "BFloat16",
        }.get(self.np.name, self.np.name)  # fmt: skip

    def __repr__(self) -> str:
        return f"torch.{self.np.name}"

    def __reduce__(self) -> Any:
        return of, (self.np,)


class AbsentDtype(dtype):
    """A type of PyTorch's that no tensor has here: tables may name it; NotImplementedError where its numbers are asked
    for.

    >>> import fdl.stateful as torch
    >>> torch.complex32, torch.complex32 == torch.complex64
    (torch.complex32, False)
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def np(self) -> dtypes.DType:  # type: ignore[override]
        """NotImplementedError: there are no such numbers."""
        raise UnsupportedError(f"torch.{self.name}: no tensor has numbers of this type here")

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return NAMES.__getitem__, (self.name,)


_ALL = {d: dtype(d) for d in dtypes.ALL}


def of(np_dtype: Any) -> dtype:
    """The dtype of a NumPy dtype."""
    return _ALL.get(np_dtype) or _ALL[np.dtype(np_dtype)]


def to_numpy(x: Any) -> dtypes.DType:
    """The NumPy dtype of a dtype, also Python's `float`, `int`, `bool` and `complex`; TypeError for anything else."""
    if isinstance(x, dtype):
        return x.np
    if x in _PYTHON:
        return _PYTHON[x]
    try:
        return dtypes.canonical(x)
    except TypeError:
        raise OperandError(f"dtype must be torch.dtype, not {type(x).__name__}") from None


_PYTHON: dict[Any, dtypes.DType] = {
    float: dtypes.float64, int: dtypes.int64, bool: dtypes.bool_, complex: dtypes.complex128,
}  # fmt: skip

NAMES = {
    **{d.np.name: d for d in _ALL.values()},
    "float": of("float32"), "double": of("float64"), "half": of("float16"), "long": of("int64"), "int": of("int32"),
    "short": of("int16"),
    "cfloat": of("complex64"), "cdouble": of("complex128"),
    **{name: AbsentDtype(name) for name in ("complex32", "qint8", "qint32", "quint8", "quint2x4", "quint4x2")},
}  # fmt: skip


class device:
    """Where a tensor lies: `device("cpu")`, or `device("meta")` for one without values. RuntimeError for tensors on
    others. As a block: where tensors are made if nobody says.

    >>> device("cpu"), device("cpu").type
    (device(type='cpu'), 'cpu')
    >>> import fdl.stateful as torch
    >>> with torch.device("meta"):
    ...     torch.ones(2, 3)
    tensor(..., device='meta', size=(2, 3))
    """

    __slots__ = ("index", "type")

    def __init__(self, type: Any, index: int | None = None) -> None:
        name, _, number = str(type).partition(":")
        if name not in _DEVICES:
            raise TensorError(f"Expected one of {', '.join(_DEVICES)} device type at start of device string: {name}")
        self.type: str = name
        if number and not number.isdecimal():
            raise TensorError(f"Invalid device string: '{type}'")
        self.index = int(number) if number else index

    def __enter__(self) -> device:
        default_device.blocks = (*default_device.blocks, self)
        return self

    def __exit__(self, *error: Any) -> None:
        default_device.blocks = default_device.blocks[:-1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')" if self.index is None else f"device(type='{self.type}', index={self.index})"
        )


_DEVICES = (
    "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia", "xla", "lazy",
    "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
)  # fmt: skip
CPU, META = device("cpu"), device("meta")


class _Default(threading.local):
    """Where this thread makes tensors if nobody says: the last of its blocks, or what was set."""

    blocks: tuple[device, ...] = ()
    standing = CPU

    def place(self) -> device:
        """The device."""
        return self.blocks[-1] if self.blocks else self.standing


default_device = _Default()


def check_device(x: Any) -> None:
    """RuntimeError unless tensors with values can lie there."""
    if x is not None and device(x).type != "cpu":
        raise NoDeviceError(
            f"Tensors on {device(x)} are not available: fdl.stateful runs on the CPU; "
            "use device='cpu' or ask torch.cuda.is_available() first"
        )


def category(d: dtypes.DType) -> int:
    """0 for bools, 1 for integers, 2 for floats, 3 for complex numbers."""
    return 0 if d == dtypes.bool_ else 2 if dtypes.is_float(d) else 3 if dtypes.is_complex(d) else 1


def promote_types(a: dtypes.DType, b: dtypes.DType) -> dtypes.DType:
    """The common type of two operands with dimensions."""
    if a == b:
        return a
    if category(a) != category(b):
        high, low = (a, b) if category(a) > category(b) else (b, a)
        return dtypes.complex_dtype(low) if high == dtypes.complex64 else high
    if category(a) == 2:
        return dtypes.float32 if a.itemsize == b.itemsize else max(a, b, key=lambda d: d.itemsize)
    return np.promote_types(a, b)


def _combine(high: dtypes.DType | None, low: dtypes.DType | None) -> dtypes.DType | None:
    """The type of a class of operands and a lower class: the lower one's only where its category is higher, and then no
    wider than floats of the high one.
    """
    if high is None or low is None:
        return high or low
    if category(low) > category(high):
        return dtypes.complex_dtype(high) if dtypes.is_float(high) else low
    return high if category(high) else promote_types(high, low)


_NUMBERS = (dtypes.int64, dtypes.int64, dtypes.float32, dtypes.complex64)  # what Python's have, by category


def result_type(avals: Sequence[ShapedArray]) -> dtypes.DType:
    """The type of a result by PyTorch's rule; weak avals are Python numbers."""
    with_dims: dtypes.DType | None = None
    zero_dim: dtypes.DType | None = None
    number: dtypes.DType | None = None
    for a in avals:
        if a.weak_type:
            kind = _NUMBERS[category(a.dtype)]
            number = promote_types(number, kind) if number is not None else kind
        elif a.shape:
            with_dims = promote_types(with_dims, a.dtype) if with_dims is not None else a.dtype
        else:
            zero_dim = promote_types(zero_dim, a.dtype) if zero_dim is not None else a.dtype
    found = _combine(with_dims, _combine(zero_dim, number))
    assert found is not None
    return found


def result_dtype(*xs: Any) -> dtypes.DType:
    """`result_type` of operands."""
    return result_type([aval_of(x) for x in xs])
