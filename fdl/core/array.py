"""The array: immutable, with or without a compiler.

Its data is a read-only ndarray, or a buffer of the runtime library that becomes one when it is looked at, or a
`Deferred` of the base trace where the array is recorded but not computed yet. Operators and methods are looked up in
`METHODS`, which `fdl.numpy` fills; tracers share them. `Array` is the common base, and what users ask for; who needs
values asks for `ConcreteArray`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from fdl.core import dtypes
from fdl.core.avals import Dim, Shape, ShapedArray, shaped
from fdl.core.dtypes import DType
from fdl.core.errors import DonatedError, DtypeError, ImmutableError, MissingAttributeError, ShapeError, StructureError
from fdl.core.tangents import Linear


class _MethodTable(dict[str, Callable[..., Any]]):
    """Operators and methods by name. `load` imports who fills it, when the first one is asked for; the
    facade sets it.
    """

    load: Callable[[], Any] | None = None

    def __missing__(self, name: str) -> Callable[..., Any]:
        if self.load is not None:
            self.load()
        if name not in self:
            raise AttributeError(f"array has no method {name!r}")
        return self[name]


METHODS = _MethodTable()

# What users put where an array belongs, and what they can do about it
_NO_OPERANDS: dict[type, str] = {
    list: "jnp.array(x) for lists",
    tuple: "jnp.array(x) for tuples",
    str: "float(x) or int(x) of a text that is a number",
    type(None): "the value: a function without `return` gives None",
    dict: "fdl.tree.map(f, x), or one of its values",
    set: "jnp.array(sorted(x))",
}


def _operator(name: str, reflected: bool = False) -> Callable[..., Array]:
    def method(self: Any, other: Any) -> Any:
        if type(other) is not type(self) and not is_operand(other):
            if type(other) in _NO_OPERANDS and name not in ("equal", "not_equal"):
                raise DtypeError(
                    f"{name}: {self.aval.describe()} and {type(other).__name__}",
                    why="operands are arrays and numbers",
                    hint=_NO_OPERANDS[type(other)],
                )
            return NotImplemented
        f = METHODS[name]
        return f(other, self) if reflected else f(self, other)

    method.__name__ = f"__{'r' if reflected else ''}{name}__"
    return method


def _unary(name: str) -> Callable[..., Array]:
    return lambda self: METHODS[name](self)


# What users of other libraries look for in an array
_INSTEAD = {
    "numpy": "np.asarray(x)", "detach": "lax.stop_gradient(x)", "backward": "fdl.grad(f)(x)", "grad": "fdl.grad(f)(x)",
    "requires_grad": "fdl.grad(f)(x)",
    "to": "x.astype(dtype)", "type": "x.astype(dtype)", "float": "x.astype(jnp.float32)",
    "double": "x.astype(jnp.float64)", "long": "x.astype(jnp.int64)",
    "int": "x.astype(jnp.int32)", "bool": "x.astype(bool)", "cpu": "x itself", "cuda": "jit(f, device='cuda')",
    "append": "jnp.append(x, y)", "view": "x.reshape(shape)",
    "permute": "x.transpose(axes)", "unsqueeze": "jnp.expand_dims(x, axis)", "fill": "jnp.full_like(x, value)",
    "clone": "x itself: arrays never change", "dim": "x.ndim",
    "add_": "x + y", "mul_": "x * y", "zero_": "jnp.zeros_like(x)", "fill_": "jnp.full_like(x, value)",
    "resize": "x.reshape(shape)", "put": "x.at[i].set(y)", "numel": "x.size",
}  # fmt: skip


class Array:
    """What a function of arrays is given: a `ConcreteArray`, or a tracer inside of a transform. All that follows from
    `aval` and from operations.

    >>> import fdl, fdl.numpy as jnp
    >>> isinstance(jnp.ones(3), fdl.Array)
    True
    >>> fdl.jit(lambda x: x if isinstance(x, fdl.Array) else jnp.nan)(2.0)
    Array(2., dtype=float32, weak_type=True)
    """

    __slots__ = ()

    @property
    def aval(self) -> ShapedArray:
        """Type: shape, dtype, weakness."""
        raise NotImplementedError(self)

    @property
    def shape(self) -> Shape:
        """Sizes of the axes."""
        return self.aval.shape

    @property
    def dtype(self) -> DType:
        """Type of the elements."""
        return self.aval.dtype

    @property
    def weak_type(self) -> bool:
        """True where the dtype comes from Python numbers alone and yields to others."""
        return self.aval.weak_type

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.aval.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.aval.size

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.aval.nbytes

    @property
    def T(self) -> Array:
        """The array with its axes reversed."""
        return _unary("transpose")(self)

    @property
    def mT(self) -> Array:
        """The array with its last two axes swapped."""
        return _unary("matrix_transpose")(self)

    @property
    def real(self) -> Any:
        """The real parts; of real numbers the array itself."""
        return METHODS["real"](self)

    @property
    def imag(self) -> Any:
        """The imaginary parts; zeros of real numbers."""
        return METHODS["imag"](self)

    @property
    def at(self) -> Any:
        """`x.at[index].set(v)`, `.add(v)` and their kin: a changed copy."""
        return METHODS["at"](self)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return METHODS["__array_namespace__"]()

    def __len__(self) -> Dim:
        if not self.aval.shape:
            raise ShapeError(
                f"len() of a 0-d array, {self.aval.describe()}", why="it has no axis", hint="x.size, or x[None]"
            )
        return self.aval.shape[0]

    def __iter__(self) -> Iterator[Array]:
        if not self.aval.shape:
            raise ShapeError(
                f"iteration over a 0-d array, {self.aval.describe()}",
                why="it has no axis",
                hint="the value as it is, or x[None]; under vmap each call sees one slice",
            )
        elements: Iterator[Array] = METHODS["elements"](self)
        return elements

    def __getitem__(self, index: Any) -> Array:
        elements: Array = METHODS["getitem"](self, index)
        return elements

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise ImmutableError(
            "arrays are immutable: `x[i] = v` is not possible",
            why="transforms and the compiler rely on values that never change",
            hint="x = x.at[i].set(v), or .add, .multiply, .min, .max",
        )

    def __delitem__(self, index: Any) -> NoReturn:
        raise ImmutableError(
            "arrays are immutable: `del x[i]` is not possible",
            why="transforms and the compiler rely on values that never change",
            hint="x = x[mask], or a concatenation of what stays",
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            method = METHODS[name]
        except AttributeError:
            what = f"an array, {self.aval.describe()}, has no attribute {name!r}"
            if name in _INSTEAD:
                raise MissingAttributeError(what, why="arrays have NumPy's methods", hint=_INSTEAD[name]) from None
            raise AttributeError(what, name=name, obj=self) from None
        return method.__get__(self)

    __add__, __radd__ = _operator("add"), _operator("add", True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", True)
    __truediv__, __rtruediv__ = _operator("true_divide"), _operator("true_divide", True)
    __floordiv__, __rfloordiv__ = _operator("floor_divide"), _operator("floor_divide", True)
    __mod__, __rmod__ = _operator("remainder"), _operator("remainder", True)
    __divmod__ = _operator("divmod")
    __pow__, __rpow__ = _operator("power"), _operator("power", True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", True)
    __and__, __rand__ = _operator("bitwise_and"), _operator("bitwise_and", True)
    __or__, __ror__ = _operator("bitwise_or"), _operator("bitwise_or", True)
    __xor__, __rxor__ = _operator("bitwise_xor"), _operator("bitwise_xor", True)
    __lshift__, __rlshift__ = _operator("left_shift"), _operator("left_shift", True)
    __rshift__, __rrshift__ = _operator("right_shift"), _operator("right_shift", True)
    __lt__, __le__ = _operator("less"), _operator("less_equal")
    __gt__, __ge__ = _operator("greater"), _operator("greater_equal")
    # elementwise, where those of objects are bools
    __eq__, __ne__ = _operator("equal"), _operator("not_equal")  # type: ignore[assignment]
    __neg__, __pos__, __abs__, __invert__ = _unary("negative"), _unary("positive"), _unary("abs"), _unary("bitwise_not")
    __hash__ = None  # type: ignore[assignment]

    def __round__(self, ndigits: int = 0) -> Array:
        rounded: Array = METHODS["round"](self, ndigits)
        return rounded


DONATED = object()  # in the place of the data of an array that was given away
VOLATILE = -1  # the mark of an array whose memory somebody outside may write: what reads it runs at once


class Deferred:
    """Stands in the place of the data of an array that is recorded but not computed yet."""

    __slots__ = ()

    def force(self, array: ConcreteArray) -> None:
        """Compute the data of `array`; raises what the computation raises."""
        raise NotImplementedError(self)


class ConcreteArray(Array):
    """An immutable n-dimensional array with values, computed or pending; made by `fdl.numpy.array` and by operations.

    >>> import fdl.numpy as jnp
    >>> jnp.array([1.0, 2.0]) * 2
    Array([2., 4.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_data", "_mark", "aval")
    __array_priority__ = 100
    aval: ShapedArray
    _data: Any
    # the number of this array in the program that is being recorded, epoch and slot in one; written by the base trace
    # alone
    _mark: int

    def __init__(self, aval: ShapedArray, data: Any, mark: int = 0) -> None:
        self.aval = aval
        self._data = data
        self._mark = mark

    def _numpy(self) -> np.ndarray[Any, Any]:
        """The values as a read-only ndarray that shares memory."""
        data: Any = self._data
        if type(data) is not np.ndarray:
            if isinstance(data, Deferred):
                data.force(self)
                return self._numpy()
            if data is DONATED:
                raise DonatedError(
                    f"an array {self.aval.describe()} was donated to a jitted function",
                    why="its memory has been used again",
                    hint="use the result of the function, or jit without donate_argnums",
                )
            data = (
                np.frombuffer(data, self.aval.dtype, self.aval.size).reshape(self.aval.shape)
                if self.aval.size
                else np.empty(self.aval.shape, self.aval.dtype)
            )
            data.flags.writeable = False
            self._data = data
        array: np.ndarray[Any, Any] = data
        return array

    @property
    def device(self) -> str:
        """Where the values lie."""
        return "cpu"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self._numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return np.array(self._numpy()).__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._numpy().__dlpack_device__()

    def item(self) -> Any:
        """The one element as a Python number."""
        return self._numpy().item()

    def tolist(self) -> Any:
        """Nested Python lists of the elements."""
        return self._numpy().tolist()

    def block_until_ready(self) -> ConcreteArray:
        """The array itself, computed."""
        if isinstance(self._data, Deferred):
            self._data.force(self)
        return self

    def _number(self) -> Any:
        """The one element as a Python number, where it is used as one."""
        if self.aval.shape and self.aval.size != 1:
            raise ShapeError(
                f"only an array of one element is a Python number, not {self.aval.describe()}",
                hint="x.sum(), x[0], jnp.any(x) or jnp.all(x)",
            )
        return self._numpy().item()

    def __bool__(self) -> bool:
        return bool(self._number())

    def __int__(self) -> int:
        return int(self._number())  # complex numbers are no integers and no floats

    def __float__(self) -> float:
        return float(self._number())

    def __complex__(self) -> complex:
        return complex(self._number())

    def __index__(self) -> int:
        if not dtypes.is_integer(self.dtype) or self.ndim:
            raise DtypeError(
                f"only 0-d integer arrays can be an index or a size, not {self.aval.describe()}",
                why="Python counts with whole numbers",
                hint="int(x), or x.astype(jnp.int32)",
            )
        return int(self._number())

    def __format__(self, spec: str) -> str:
        return format(self._numpy()[()], spec) if spec and not self.ndim else str(self)

    def __repr__(self) -> str:
        values = np.array2string(self._numpy(), separator=", ", prefix="Array(", threshold=1000)
        weak = ", weak_type=True" if self.aval.weak_type else ""
        values += f", shape={self.shape}" if not self.size and self.ndim > 1 else ""
        return f"Array({values}, dtype={self.dtype.name}{weak})"

    def __str__(self) -> str:
        return str(self._numpy())

    def __reduce__(self) -> Any:
        return _rebuild, (np.array(self._numpy()), self.aval.weak_type)

    def __deepcopy__(self, memo: Any) -> ConcreteArray:
        return self

    def __copy__(self) -> ConcreteArray:
        return self


def _rebuild(value: np.ndarray[Any, Any], weak_type: bool) -> ConcreteArray:
    return from_numpy(value, weak_type)


_OPERANDS = (Array, int, float, complex, np.generic, np.ndarray)


def is_operand(x: Any) -> bool:
    """Whether an operator may take `x`: arrays, tracers, numbers and ndarrays, not lists."""
    return isinstance(x, _OPERANDS)


_NATIVE = frozenset(dtypes.ALL)


def from_numpy(value: np.ndarray[Any, Any], weak_type: bool = False) -> ConcreteArray:
    """An array that owns a copy of `value`: memory that is not ours is copied at the call."""
    if type(value) is np.ndarray and value.dtype in _NATIVE:
        data = value.copy()
    else:
        data = np.array(value, dtype=dtypes.canonical(value.dtype), order="C", copy=True)
    data.setflags(write=False)
    return ConcreteArray(shaped(data.shape, data.dtype, weak_type), data)


def as_array(x: Any) -> ConcreteArray:
    """An array of an array, a scalar (weak where Python's) or an ndarray; DtypeError for anything else."""
    if isinstance(x, ConcreteArray):
        return x
    found = dtypes.scalar_type(x)
    if found is not None:
        dtype, weak = found
        return ConcreteArray(shaped((), dtype, weak), np.asarray(x).astype(dtype))
    if isinstance(x, np.ndarray):
        return from_numpy(x)
    if hasattr(x, "__array__") and not isinstance(x, Array):
        return from_numpy(np.asarray(x))
    if type(x) is Linear:
        raise StructureError(
            "the function is not linear",
            why="one of its operations takes a linear operand where it needs a value",
            hint="vjp for functions that are not linear",
        )
    raise DtypeError(
        f"expected an array or a number, got {type(x).__name__}",
        why="operands are arrays and numbers",
        hint=_NO_OPERANDS.get(type(x), "an array, a number or an ndarray"),
    )
