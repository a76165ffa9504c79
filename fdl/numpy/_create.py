"""Making arrays."""

from __future__ import annotations

import builtins
import typing
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, as_array, from_numpy, is_operand
from fdl.core.avals import sizes
from fdl.core.errors import ChoiceError, DtypeError, ShapeError
from fdl.core.graph import ArrayLike, Literal
from fdl.core.trace import aval_of
from fdl.ops.promotion import as_operand, promote


class ScalarType:
    """A dtype that also makes 0-d arrays: `jnp.float32(1)`; equal to the dtype it names."""

    def __init__(self, dtype: dtypes.DType) -> None:
        self.dtype = dtype
        self.__name__ = dtype.name

    def __call__(self, value: Any) -> Array:
        return array(value, self.dtype)

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, ScalarType) and self.dtype == other.dtype) or self.dtype == other

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __repr__(self) -> str:
        return f"fdl.numpy.{self.dtype.name}"


def array(object: Any, dtype: Any = None, copy: bool = True, order: str | None = "K", ndmin: int = 0) -> Array:
    """An array of a number, an ndarray, an array, or nested lists of them.

    Python numbers become float32, int32 or bool, unless `dtype` or `enable_x64` say otherwise; ndarrays and NumPy's
    numbers keep their dtype, and memory is copied. An np.int64 is a whole number like Python's. Axes of size 1 come in
    front until there are `ndmin`. Arrays lie in row-major order, whatever `order` says.

    >>> array([[1, 2], [3, 4]])
    Array([[1, 2],
           [3, 4]], dtype=int32)
    """
    found = _array(object, None if dtype is None else dtypes.canonical(dtype))
    lacking = ndmin - found.ndim
    return ops.expand_dims(found, tuple(range(lacking))) if lacking > 0 else found


def _array(object: Any, target: dtypes.DType | None) -> Array:
    if isinstance(object, Literal):
        object = object.value
    if isinstance(object, (list, tuple)):
        return _from_nested(object, target)
    x = object if isinstance(object, Array) else as_array(object)
    found = dtypes.scalar_type(object)
    if found is not None and target is not None:
        _need_room((object,), target, "array")
        return from_numpy(np.asarray(Literal(object, target).value))
    wanted = target or x.dtype
    return ops.convert(x, wanted) if wanted != x.dtype or x.weak_type else x


def asarray(a: Any, dtype: Any = None) -> Array:
    """As `array`, but a number stays weak and an array is itself.

    >>> asarray(2.0)
    Array(2., dtype=float32, weak_type=True)
    """
    if dtype is None and not isinstance(a, (list, tuple)):
        return a if isinstance(a, Array) else as_array(a)
    return array(a, dtype)


def _need_room(numbers: Iterable[Any], dtype: dtypes.DType, what: str) -> None:
    """Python's complex numbers are not made real by leaving a part out."""
    holds = dtypes.is_complex(dtype) or dtype == dtypes.bool_
    wrong = None if holds else next((x for x in numbers if type(x) is complex), None)
    if wrong is not None:
        raise DtypeError(
            f"{what}: {wrong} has no place in {dtype.name}",
            why="its imaginary part would be lost",
            hint="dtype=jnp.complex64, or the number's .real",
        )


def _from_nested(obj: Any, dtype: dtypes.DType | None) -> Array:
    leaves: list[Any] = []

    def collect(x: Any) -> None:
        if isinstance(x, (list, tuple)):
            for item in x:
                collect(item)
        else:
            leaves.append(x)

    collect(obj)
    if not leaves:
        return from_numpy(np.zeros(np.shape(obj), dtype or dtypes.default(float)))
    types = [dtypes.scalar_type(x) or (aval_of(x).dtype, aval_of(x).weak_type) for x in leaves]
    target = dtype or dtypes.promote(types)[0]
    _need_room(leaves, target, "array")
    if any(isinstance(x, Array) for x in leaves):
        return _stack_nested(obj, target)
    try:
        values = np.array(obj)
    except ValueError as error:
        raise ShapeError(f"array: the lists are ragged: {error}", hint="lists of one length at each depth") from None
    if values.dtype == object:
        raise DtypeError("array: the lists hold objects that are no numbers, or lengths that differ")
    if values.dtype.kind == "f" and not any(dtypes.is_float(dtype) for dtype, _ in types):
        values = np.array(
            obj, object
        )  # integers above those of int64, of which NumPy makes floats, beside smaller ones
    return from_numpy(values.astype(target))


def _stack_nested(obj: Any, dtype: dtypes.DType) -> Array:
    if not isinstance(obj, (list, tuple)):
        return array(obj, dtype)
    parts = [ops.expand_dims(_stack_nested(x, dtype), (0,)) for x in obj]
    shapes = {aval_of(p).shape for p in parts}
    if len(shapes) > 1:
        raise ShapeError(f"array: elements have shapes {sorted(shapes)}", hint="arrays of one shape")
    return ops.concatenate(parts, 0)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Array:
    """An array filled with one value; float32 or int32 for a Python number.

    >>> full((2,), 7).tolist()
    [7, 7]
    """
    value = as_operand(fill_value)
    target = value.aval.dtype if dtype is None else dtypes.canonical(dtype)
    _need_room((fill_value,), target, "full")
    value = ops.cast(value, target)
    return (
        ops.broadcast_to(value, sizes(shape))
        if value.aval.shape or isinstance(value, Array)
        else ops.full(sizes(shape), value, target)
    )


def zeros(shape: Any, dtype: Any = float) -> Array:
    """An array of zeros.

    >>> zeros((1, 2)).tolist()
    [[0.0, 0.0]]
    """
    return ops.full(sizes(shape), 0, dtypes.canonical(dtype or float))


def ones(shape: Any, dtype: Any = float) -> Array:
    """An array of ones.

    >>> ones(2).tolist()
    [1.0, 1.0]
    """
    return ops.full(sizes(shape), 1, dtypes.canonical(dtype or float))


empty = zeros


def full_like(a: ArrayLike, fill_value: Any, dtype: Any = None, shape: Any = None) -> Array:
    """An array like `a`, an array, a number or what else has a shape and a dtype, filled with one value.

    >>> full_like(zeros(2), 3).tolist()
    [3.0, 3.0]
    """
    aval: Any = a if not is_operand(a) and hasattr(a, "shape") and hasattr(a, "dtype") else aval_of(a)
    return full(aval.shape if shape is None else shape, fill_value, dtype or aval.dtype)


def zeros_like(a: ArrayLike, dtype: Any = None, shape: Any = None) -> Array:
    """Zeros like `a`.

    >>> zeros_like(ones(2)).tolist()
    [0.0, 0.0]
    """
    return full_like(a, 0, dtype, shape)


def ones_like(a: ArrayLike, dtype: Any = None, shape: Any = None) -> Array:
    """Ones like `a`.

    >>> ones_like(zeros(2)).tolist()
    [1.0, 1.0]
    """
    return full_like(a, 1, dtype, shape)


empty_like = zeros_like


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Array:
    """Evenly spaced values from `start` below `stop`; int32 for whole bounds, else float32.

    >>> arange(1, 7, 2).tolist()
    [1, 3, 5]
    """
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    bounds = [x.item() if hasattr(x, "item") else x for x in (start, stop, step)]
    text = next((x for x in bounds if isinstance(x, (str, bytes, type(None)))), None)
    if text is not None:
        raise DtypeError(f"arange: {text!r} is no number", why=f"it is {type(text).__name__}", hint="int(n) of text")
    target = (
        dtypes.canonical(dtype)
        if dtype is not None
        else dtypes.promote([dtypes.scalar_type(x) or (dtypes.default(float), True) for x in bounds])[0]
    )
    count = max(0, int(np.ceil((bounds[1] - bounds[0]) / bounds[2])))
    if bounds[0] == 0 and bounds[2] == 1:
        return ops.iota((count,), 0, target)
    return from_numpy((bounds[0] + np.arange(count) * bounds[2]).astype(target))


@typing.overload
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: typing.Literal[False] = False,
    dtype: Any = None,
    axis: int = 0,
) -> Array: ...
@typing.overload
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    *,
    retstep: typing.Literal[True],
    dtype: Any = None,
    axis: int = 0,
) -> tuple[Array, Array]: ...
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Array | tuple[Array, Array]:
    """`num` evenly spaced values from `start` to `stop`, which is left out without `endpoint`; along a new axis
    where the ends are arrays. For a dtype of integers they are rounded down. With `retstep` also their distance.

    >>> linspace(0, 1, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    count = num - 1 if endpoint else num
    if not (isinstance(start, Array) or isinstance(stop, Array)):
        ends = [(dtypes.default_float(aval_of(x).dtype), True) for x in (start, stop)]
        target = dtypes.canonical(dtype or dtypes.promote([(dtypes.default(float), False), *ends])[0])
        values, step = np.linspace(start, stop, num, endpoint, retstep=True, axis=axis)
        whole = np.floor(values) if dtypes.is_integer(target) else values
        line = from_numpy(whole.astype(target))
        return (line, from_numpy(np.asarray(step, dtypes.default_float(target)))) if retstep else line
    first, last = promote(start, stop, to_float=True)
    target = first.aval.dtype if dtype is None else dtypes.canonical(dtype)
    shape = ops.broadcast_shapes([first.aval.shape, last.aval.shape], "linspace")
    shares = np.arange(num).reshape(num, *[1] * len(shape)) / max(count, 1)
    share = from_numpy(shares.astype(first.aval.dtype))
    mixed = ops.add(ops.mul(first, ops.sub(1, share)), ops.mul(last, share))
    out = ops.convert(ops.floor(mixed) if dtypes.is_integer(target) else mixed, target)
    out = ops.move_axis(out, 0, axis % (len(shape) + 1)) if axis else out
    if not retstep:
        return out
    return out, ops.div(ops.sub(last, first), float(count) if count else np.nan)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = float) -> Array:
    """Ones on the k-th diagonal, zeros elsewhere.

    >>> eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    shape = sizes((N, N if M is None else M))
    return ops.convert(ops.equal(ops.add(ops.iota(shape, 0), k), ops.iota(shape, 1)), dtype)


def identity(n: int, dtype: Any = float) -> Array:
    """The identity matrix.

    >>> identity(1).tolist()
    [[1.0]]
    """
    return eye(n, dtype=dtype)


def _triangle(x: Any, k: int, keep: Callable[[Any, Any], Any]) -> Array:
    aval = aval_of(x)
    if aval.ndim < 2:
        raise ShapeError(f"a triangle needs a matrix, not {aval.describe()}")
    shape = aval.shape[-2:]
    mask = ops.broadcast_to(keep(ops.iota(shape, 1), ops.add(ops.iota(shape, 0), k)), aval.shape)
    return ops.select(mask, x, zeros_like(x))


def tril(m: ArrayLike, k: int = 0) -> Array:
    """The lower triangle of the last two axes, zeros above the k-th diagonal.

    >>> tril(ones((2, 2))).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return _triangle(m, k, ops.less_equal)


def triu(m: ArrayLike, k: int = 0) -> Array:
    """The upper triangle of the last two axes, zeros below the k-th diagonal.

    >>> triu(ones((2, 2))).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return _triangle(m, k, ops.greater_equal)


def diag(v: Array, k: int = 0) -> Array:
    """The k-th diagonal of a matrix, or a matrix with a vector on it.

    >>> diag(array([1, 2])).tolist()
    [[1, 0], [0, 2]]
    """
    aval = aval_of(v)
    if aval.ndim == 1:
        n = aval.shape[0] + builtins.abs(k)
        padded = ops.pad(v, Literal(0, aval.dtype), [(max(k, 0), max(-k, 0), 0)])
        return ops.select(
            ops.equal(ops.add(ops.iota((n, n), 0), k), ops.iota((n, n), 1)),
            ops.broadcast(padded, (n, n), (1,)),
            full((n, n), 0, aval.dtype),
        )
    rows, cols = aval.shape
    count = max(0, min(rows - max(-k, 0), cols - max(k, 0)))
    place = ops.iota((count,), 0)
    return ops.gather(v, [ops.add(place, max(-k, 0)), ops.add(place, max(k, 0))], (0, 1))


def meshgrid(*xs: ArrayLike, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> list[Array]:
    """Coordinate arrays of a grid, one for each vector, which varies along its own axis: along columns for the first
    and rows for the second, or with `indexing="ij"` along the axes in their order. With `sparse` the other axes have
    size 1; `copy` is accepted, since arrays are immutable.

    >>> [g.tolist() for g in meshgrid(arange(2), arange(1))]
    [[[0, 1]], [[0, 0]]]
    """
    if indexing not in ("xy", "ij"):
        raise ChoiceError(f"meshgrid: indexing={indexing!r}", hint="'xy' or 'ij'")
    vectors = [as_array(x) if not isinstance(x, Array) else x for x in xs]
    vectors = [v if aval_of(v).ndim else ops.reshape(v, (1,)) for v in vectors]
    if any(aval_of(v).ndim != 1 for v in vectors):
        raise ShapeError(f"meshgrid: {' '.join(aval_of(v).describe() for v in vectors)} are no vectors")
    order = list(range(len(xs)))
    if indexing == "xy" and len(xs) > 1:
        order[0], order[1] = 1, 0
    whole = [aval_of(vectors[i]).shape[0] for i in order]
    shapes = [[d if not sparse or order[k] == i else 1 for k, d in enumerate(whole)] for i in range(len(xs))]
    return [ops.broadcast(v, tuple(shapes[i]), (order.index(i),)) for i, v in enumerate(vectors)]
