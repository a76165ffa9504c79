"""Functions that make tensors: from data, from a size, like another tensor."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from fdl import ops
from fdl.extend import NATIVE, Array, Function, dtypes
from fdl.extend import from_numpy as array_of
from fdl.stateful.core.dtypes import check_device, of, to_numpy
from fdl.stateful.core.dtypes import dtype as dtype_type
from fdl.stateful.core.errors import ArgumentError, OperandError, TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.operands import cast_number, check_number, converted
from fdl.stateful.core.random import factory, shape_of
from fdl.stateful.core.tensor import Tensor, apply, wrap
from fdl.stateful.functions.shapes import stack

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "empty_permuted",
    "empty_strided", "eye", "from_dlpack", "from_numpy", "full",
    "full_like", "get_default_dtype", "linspace", "logspace", "meshgrid", "ones", "ones_like", "range",
    "scalar_tensor", "set_default_dtype", "tensor", "zeros", "zeros_like",
]  # fmt: skip

T = TypeVar("T")
_DEFAULT = [dtypes.float32]


def get_default_dtype() -> dtype_type:
    """The dtype of tensors made from Python floats."""
    return of(_DEFAULT[0])


def set_default_dtype(d: Any) -> None:
    """Change the dtype of tensors made from Python floats."""
    if not dtypes.is_float(to_numpy(d)):
        raise OperandError(
            "only floating-point types are supported as the default type",
            hint="torch.float32, float64, float16 or bfloat16",
        )
    _DEFAULT[0] = to_numpy(d)


def _finished(t: T, dtype: Any, device: Any, requires_grad: bool) -> T:
    found: Any = converted(t, dtype, device)  # type: ignore[arg-type]
    return found.requires_grad_() if requires_grad else found  # type: ignore[no-any-return]


def _holds_tensors(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and any(isinstance(x, Tensor) or _holds_tensors(x) for x in data)


def _nested(data: Any) -> Any:
    return (
        stack([_nested(x) for x in data])
        if isinstance(data, (list, tuple))
        else data
        if isinstance(data, Tensor)
        else tensor(data)
    )


def _holds_doubles(data: Any) -> bool:
    """Whether nested lists hold numbers or ndarrays of NumPy's float64 or complex128, which keep their dtype where
    Python's numbers take the default one.
    """
    if isinstance(data, np.ndarray):
        return data.dtype in (np.float64, np.complex128)
    if not isinstance(data, (list, tuple)):
        return type(data) in (np.float64, np.complex128)
    kinds = set(map(type, data))
    return not kinds.isdisjoint((np.float64, np.complex128)) or (
        not kinds.isdisjoint((list, tuple, np.ndarray)) and any(map(_holds_doubles, data))
    )


def _large(values: np.ndarray[Any, Any], dtype: Any) -> np.ndarray[Any, Any]:
    """Python's numbers, of which NumPy has found one beyond int64. ValueError where the dtype has no place for it,
    RuntimeError where one is no number.
    """
    floats = False
    if values.dtype == object:
        strange = [type(x).__name__ for x in values.flat if not isinstance(x, (int, float))]
        if strange:
            raise TensorError(f"Could not infer dtype of {strange[0]}", hint="numbers, or nested lists of them")
        floats = any(isinstance(x, float) for x in values.flat)
    kept = to_numpy(dtype) if dtype is not None else _DEFAULT[0] if floats else np.dtype(np.int64)
    if (values.dtype == object and not dtypes.is_float(kept)) or (kept == np.int64 and (values > 2**63 - 1).any()):
        raise ArgumentError(
            "Overflow when unpacking long long", why="int64 ends at 2**63 - 1", hint="dtype=torch.float64"
        )
    return values if values.dtype != object else values.astype(np.float64 if dtype is not None else kept)


@factory
def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor that copies numbers, nested lists or an ndarray. Floats are float32, ints int64, an ndarray keeps its
    dtype.

    >>> import fdl.stateful as torch
    >>> torch.tensor([1.5, 2.0]), torch.tensor([1, 2]).dtype
    (tensor([1.5000, 2.0000]), torch.int64)
    """
    if isinstance(data, Tensor):
        return _finished(wrap(data.detach()._value()), dtype, device, requires_grad)
    if isinstance(data, Array):
        return _finished(wrap(data), dtype, device, requires_grad)
    if _holds_tensors(data):
        return tensor(_nested(data), dtype=dtype, device=device, requires_grad=requires_grad)
    if isinstance(data, (np.ndarray, np.generic)):
        values = np.asarray(data)
    else:
        try:
            values = np.asarray(data)
        except ValueError as error:
            raise ArgumentError(f"expected sequence of equal length: {error}") from None
        if dtype is None and values.dtype in (np.float64, np.complex128) and not _holds_doubles(data):
            values = values.astype(_DEFAULT[0] if values.dtype == np.float64 else dtypes.complex_dtype(_DEFAULT[0]))
    if values.dtype == object or (values.dtype == np.uint64 and not isinstance(data, (np.ndarray, np.generic))):
        values = _large(values, dtype)
    if values.dtype.kind in "US":
        if isinstance(data, str):
            raise OperandError("new(): invalid data type 'str'")
        raise ArgumentError(
            f"too many dimensions '{type(values.flat[0].item()).__name__}'",
            why="text is no number",
            hint="[vocabulary[word] for word in words]",
        )
    if values.dtype.kind == "c" and dtype is not None and to_numpy(dtype).kind != "c":
        if not isinstance(data, (np.ndarray, np.generic)):
            raise OperandError("must be real number, not complex", why=f"dtype is {of(to_numpy(dtype))}")
        values = values.real
    if dtype is not None:  # NumPy converts exactly, before anything is rounded
        values = (
            values.astype(to_numpy(dtype))
            if not (values.dtype.kind == "f" and dtypes.is_integer(to_numpy(dtype)))
            else np.trunc(values).astype(to_numpy(dtype))
        )
    return _finished(wrap(array_of(values)), None, device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor as it is, anything else as `tensor`."""
    return converted(data, dtype, device) if isinstance(data, Tensor) else tensor(data, dtype=dtype, device=device)


def asarray(obj: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """`as_tensor`; of a storage its bytes, which it shares."""
    return as_tensor(obj.bytes() if hasattr(obj, "untyped") else obj, dtype, device)


def from_numpy(ndarray: np.ndarray[Any, Any]) -> Tensor:
    """A tensor with the values of an ndarray. It copies: a write to the ndarray later does not show,
    unlike in PyTorch.
    """
    if NATIVE.copied is not None:
        found: Tensor | None = NATIVE.copied(ndarray, _COPIED)
        if found is not None:
            return found
    if not isinstance(ndarray, np.ndarray):
        raise OperandError(f"expected np.ndarray (got {type(ndarray).__name__})")
    made = wrap(array_of(ndarray))
    if made._aval.dtype == ndarray.dtype and len(_COPIED) < _MOST:
        _COPIED[ndarray.dtype, ndarray.shape] = made._aval
    return made


_COPIED: dict[tuple[Any, tuple[int, ...]], Any] = {}  # types of ndarrays that came before, for the runtime library
_MOST = 1024


class _Capsule:
    """A DLPack capsule as the object that gave it."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor with the values of anything that speaks DLPack, or of a capsule that it gave."""
    if not hasattr(ext_tensor, "__dlpack__"):
        ext_tensor = _Capsule(ext_tensor)
    return ext_tensor if isinstance(ext_tensor, Tensor) else wrap(array_of(np.from_dlpack(ext_tensor)))


_full = Function(lambda value, shape, t: ops.broadcast(cast_number(value, t), shape, ()), "full")


@factory
def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one value."""
    check_device(device)
    if dtype is None and isinstance(fill_value, Tensor):
        dtype = fill_value.dtype
    elif dtype is None:
        dtype = next((t for t in (bool, int) if isinstance(fill_value, t)), _DEFAULT[0])
        dtype = dtypes.complex_dtype(dtype) if isinstance(fill_value, complex) else dtype
    check_number(fill_value, to_numpy(dtype))
    filled = apply(_full, (fill_value,), (shape_of((size,)), to_numpy(dtype)))
    return _finished(filled, None, device, requires_grad)  # type: ignore[no-any-return]


def _filled(size: tuple[Any, ...], value: int, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    return full(
        shape_of(size),
        value,
        dtype=dtype if dtype is not None else _DEFAULT[0],
        device=device,
        requires_grad=requires_grad,
    )


@factory
def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros."""
    return _filled(size, 0, dtype, device, requires_grad)


@factory
def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones."""
    return _filled(size, 1, dtype, device, requires_grad)


@factory
def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor to be filled; zeros, as nothing is left undefined."""
    return _filled(size, 0, dtype, device, requires_grad)


@factory
def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor to be filled whose elements lie at these steps in memory; zeros.

    >>> import fdl.stateful as torch
    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    reach = 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if math.prod(size) else 0
    lying: Tensor = zeros(reach, dtype=dtype, device=device).as_strided(size, stride)
    return _finished(lying, None, None, requires_grad)


@factory
def empty_permuted(
    size: Any, physical_layout: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor to be filled whose dimensions lie in this order in memory, the slowest first; zeros.

    >>> import fdl.stateful as torch
    >>> torch.empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    slowest_first = zeros(*[size[d] for d in physical_layout], dtype=dtype, device=device)
    order = sorted((d for d, _ in enumerate(size)), key=list(physical_layout).__getitem__)
    lying: Tensor = slowest_first.permute(*order)
    return _finished(lying, None, None, requires_grad)


@factory
def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of one value with this shape and dtype."""
    return full(tuple(input.shape), fill_value, dtype=dtype or input.dtype, device=device, requires_grad=requires_grad)


@factory
def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with this shape and dtype."""
    return full_like(input, 0, dtype=dtype, device=device, requires_grad=requires_grad)


@factory
def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with this shape and dtype."""
    return full_like(input, 1, dtype=dtype, device=device, requires_grad=requires_grad)


@factory
def empty_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor to be filled, with this shape and dtype."""
    return zeros_like(input, dtype=dtype, device=device, requires_grad=requires_grad)


@method("new_zeros")
@factory
def _new_zeros(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return zeros(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@method("new_ones")
@factory
def _new_ones(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return ones(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@method("new_full")
@factory
def _new_full(
    self: Tensor, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    return full(size, fill_value, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@method("new_tensor")
@factory
def _new_tensor(self: Tensor, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@method("new_empty_strided")
@factory
def _new_empty_strided(
    self: Tensor, size: Any, stride: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    return empty_strided(size, stride, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


@method("new_empty")
@factory
def _new_empty(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return zeros(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


_arange = Function(lambda start, step, n, t: _steps(start, step, n, t), "arange")


def _steps(start: Any, step: Any, n: int, t: Any) -> Any:
    wide = dtypes.float64 if dtypes.is_float(t) else dtypes.int64
    return ops.cast(ops.add(ops.mul(ops.iota((n,), 0, wide), ops.cast(step, wide)), ops.cast(start, wide)), t)


@factory
def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` below `end` in steps: int64 of ints, else float32."""
    start, end = (0, start) if end is None else (start, end)
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    for name, v in (("start", start), ("end", end), ("step", step)):
        if isinstance(v, str):
            raise OperandError(f"arange(): argument '{name}' must be Number, not str", hint="int(n) of text")
    if step == 0 or (end - start) * step < 0:
        raise TensorError(
            "step must be nonzero" if step == 0 else "upper bound and lower bound inconsistent with step sign"
        )
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    kind = to_numpy(dtype) if dtype is not None else dtypes.int64 if whole else _DEFAULT[0]
    if kind == dtypes.int64:  # in which PyTorch counts, while it counts all others in floats
        start, end, step = int(start), int(end), int(step)
        if not step:
            raise TensorError("step must be nonzero")
    t: Tensor = apply(_arange, (start, step), (math.ceil((end - start) / step), kind))
    return _finished(t, None, device, requires_grad)


@factory
def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers from `start` to `end` at equal distances, both ends included."""
    if steps < 0:
        raise TensorError("number of steps must be non-negative", why=f"it is {steps}")
    kind = to_numpy(dtype) if dtype is not None else _DEFAULT[0]
    ends = (start, end) if dtypes.is_float(kind) else (int(start), int(end))
    values = np.linspace(float(ends[0]), float(ends[1]), steps).astype(kind)
    return _finished(wrap(array_of(values)), None, device, requires_grad)


@factory
def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix."""
    for name, size in (("n", n), ("m", n if m is None else m)):
        if not hasattr(size, "__index__"):
            raise OperandError(f"eye(): argument '{name}' must be int, not {type(size).__name__}")
        if size < 0:
            raise TensorError(f"{name} must be greater or equal to 0, got {size}")
    return _finished(
        wrap(array_of(np.eye(n, m, dtype=to_numpy(dtype) if dtype is not None else _DEFAULT[0]))),
        None,
        device,
        requires_grad,
    )


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid from those of its axes."""
    given = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    if indexing == "xy" and len(given) > 1:
        found = list(meshgrid(given[1], given[0], *given[2:]))
        return (found[1], found[0], *found[2:])
    shape = [x.numel() for x in given]
    return tuple(
        [x.reshape(*[n if j == i else 1 for j, n in enumerate(shape)]).expand(*shape) for i, x in enumerate(given)]
    )


def scalar_tensor(
    s: Any, *, dtype: Any = None, device: Any = None, layout: Any = None, requires_grad: bool = False
) -> Any:
    """A tensor of one number."""
    return full((), s, dtype=dtype, device=device, requires_grad=requires_grad)


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Powers of a base, their exponents in even steps."""
    wide = dtype is not None and dtype.is_floating_point and dtype.itemsize > 4
    found = base ** linspace(float(start), float(end), steps, dtype=dtype if wide else None)
    found = found if dtype is None else found.to(dtype)
    return found.requires_grad_() if requires_grad else found


def range(start: float = 0, end: float = 0, step: float = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """From `start` to `end`, which is included."""
    n = math.floor((end - start) / step) + 1
    return (arange(n) * step + start).to(of("float32") if dtype is None else dtype)
