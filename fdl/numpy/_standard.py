"""Names of the array API standard and other spellings, dtypes as objects, and what is asked about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array, from_numpy
from fdl.core.avals import Shape
from fdl.core.errors import ChoiceError, DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._complex import conj
from fdl.numpy._create import ScalarType, array, asarray
from fdl.numpy._derived import deg2rad, rad2deg
from fdl.numpy._math import (
    _operand,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    axes_of,
    bitwise_not,
    cumprod,
    cumsum,
    exp,
    left_shift,
    log,
    power,
    right_shift,
    round,
)
from fdl.numpy._shape import broadcast_to, concatenate, matmul, moveaxis, transpose
from fdl.numpy._sort import argsort, sort
from fdl.ops.promotion import promote

acos, acosh, asin, asinh, atan, atan2, atanh = arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh
around, concat, permute_dims, pow, degrees, radians = round, concatenate, transpose, power, rad2deg, deg2rad
bitwise_invert, bitwise_left_shift, bitwise_right_shift = bitwise_not, left_shift, right_shift

single, double = ScalarType(dtypes.float32), ScalarType(dtypes.float64)
float_, int_, uint = ScalarType(dtypes.float32), ScalarType(dtypes.int32), ScalarType(dtypes.uint32)
euler_gamma = 0.577215664901532860606512090082402431

# Dtypes


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is of a kind: a dtype, "bool", "signed integer", "unsigned integer", "integral",
    "real floating", "complex floating", "numeric", or a tuple of those.

    >>> isdtype("int8", "integral"), isdtype("float32", ("bool", "float32"))
    (True, True)
    """
    found = dtypes.canonical(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(found, k) for k in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return any(np.issubdtype(found, k) or (k is np.floating and dtypes.is_float(found)) for k in _KINDS[kind])
    try:
        return found == dtypes.canonical(kind)
    except DtypeError:
        names = ", ".join(repr(k) for k in _KINDS)
        raise ChoiceError(f"isdtype: kind {kind!r} is no dtype and none of {names}", hint="'numeric'") from None


_KINDS: dict[str, tuple[type, ...]] = {
    "bool": (np.bool_,),
    "signed integer": (np.signedinteger,),
    "unsigned integer": (np.unsignedinteger,),
    "integral": (np.integer,),
    "real floating": (np.floating,),
    "complex floating": (np.complexfloating,),
    "numeric": (np.integer, np.floating, np.complexfloating),
}


def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether numbers of a dtype, or an array, can be made those of another one: by a conversion that is "safe",
    "same_kind", "equiv", "no" or "unsafe", as NumPy says it.

    >>> can_cast("int32", "float32"), can_cast("int16", "float32")
    (False, True)
    """
    source = (
        dtypes.canonical(from_)
        if isinstance(from_, (str, type, np.dtype, ScalarType))
        else aval_of(_operand(from_)).dtype
    )
    return np.can_cast(source, dtypes.canonical(to), casting)  # type: ignore[arg-type]


def broadcast_shapes(*shapes: Any) -> Shape:
    """The shape to which shapes broadcast, a number standing for one axis.

    >>> broadcast_shapes((2, 1), (3,), 1)
    (2, 3)
    """
    return ops.broadcast_shapes([(s,) if isinstance(s, int) else tuple(s) for s in shapes], "broadcast_shapes")


def isscalar(element: Any) -> bool:
    """Whether something is one number: a Python or NumPy number, or an array without axes.

    >>> isscalar(1.5), isscalar(array(2)), isscalar(array([2]))
    (True, True, False)
    """
    if np.isscalar(element):
        return not isinstance(element, (str, bytes))
    return isinstance(element, (Array, np.ndarray)) and np.ndim(element) == 0


def iterable(y: Any) -> bool:
    """Whether something can be iterated over; arrays without axes cannot.

    >>> iterable([1]), iterable(2.0)
    (True, False)
    """
    try:
        iter(y)
    except TypeError:
        return False
    return not (isinstance(y, (Array, np.ndarray)) and not np.ndim(y))


# Making arrays


def copy(a: ArrayLike, order: str | None = None) -> Array:
    """`a` as an array; arrays are immutable, so they are their own copies. `order` is accepted.

    >>> copy(np.ones(2)).tolist()
    [1.0, 1.0]
    """
    return array(a)


def geomspace(
    start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Array:
    """`num` numbers from `start` to `stop`, each the same multiple of the one before; along a new axis where the ends
    are arrays.

    >>> [f"{v:.2f}" for v in geomspace(1, 100, 3).tolist()]
    ['1.00', '10.00', '100.00']
    """
    first, last = promote(start, stop, to_float=True)
    shape = ops.broadcast_shapes([first.aval.shape, last.aval.shape], "geomspace")
    first, last = (broadcast_to(v, shape) for v in (first, last))
    wide = aval_of(first).dtype
    shares = (np.arange(num) / max(num - endpoint, 1)).reshape(num, *[1] * len(shape)).astype(wide)
    sign = ops.direction(first)
    low, high = log(ops.mul(first, conj(sign))), log(ops.mul(last, conj(sign)))
    out = ops.mul(sign, exp(ops.add(low, ops.mul(ops.sub(high, low), from_numpy(shares)))))
    ends = ops.broadcast(ops.iota((num,), 0), aval_of(out).shape, (0,))
    out = ops.select(ops.equal(ends, 0), first, out)
    if endpoint and num > 1:
        out = ops.select(ops.equal(ends, num - 1), last, out)
    return moveaxis(ops.convert(out, wide if dtype is None else dtypes.canonical(dtype)), 0, axis)


def fromiter(iter: Any, dtype: Any, count: int = -1) -> Array:
    """A vector of the numbers that an iterator gives; the first `count`, or all.

    >>> fromiter(range(3), "float32").tolist()
    [0.0, 1.0, 2.0]
    """
    target = dtypes.canonical(dtype)
    return from_numpy(np.fromiter(iter, target, count))


def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0) -> Array:
    """A vector of numbers whose bytes lie in a buffer from `offset` on; the first `count`, or all.

    >>> frombuffer(b"\\x01\\x00\\x02\\x00", "int16").tolist()
    [1, 2]
    """
    return from_numpy(np.frombuffer(buffer, dtypes.canonical(dtype), count, offset).copy())


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Array:
    """The array of another library, by the DLPack protocol. `device` and `copy` are accepted: arrays live in the
    machine's memory and are immutable.

    >>> from_dlpack(np.ones(2)).tolist()
    [1.0, 1.0]
    """
    return array(np.from_dlpack(x).copy())


# Products


def vecdot(
    x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """Sums of products along an axis, the first with its conjugates; the axis has one size, the others broadcast.
    `precision` is accepted: products are exact to their dtype.

    >>> vecdot(array([[1, 2], [3, 4]]), array([1, 10])).tolist()
    [21, 43]
    """
    a, b = (_operand(v) for v in promote(x1, x2))
    if not a.aval.ndim or not b.aval.ndim:
        raise ShapeError(f"vecdot: {a.aval.describe()} and {b.aval.describe()}", why="a number is no vector")
    a, b = (ops.move_axis(v, axes_of(v, axis, "vecdot")[0], v.aval.ndim - 1) for v in (a, b))
    if aval_of(a).shape[-1] != aval_of(b).shape[-1]:
        raise ShapeError(f"vecdot: {a.aval.describe()} and {b.aval.describe()} have vectors of other sizes")
    out = matmul(ops.expand_dims(conj(a), (a.aval.ndim - 1,)), ops.expand_dims(b, (b.aval.ndim,)))
    out = ops.reshape(out, aval_of(out).shape[:-2])
    return out if preferred_element_type is None else ops.convert(out, dtypes.canonical(preferred_element_type))


def matvec(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Products of matrices and vectors, over leading axes that broadcast.

    >>> matvec(array([[1, 2], [3, 4]]), array([1, 10])).tolist()
    [21, 43]
    """
    a, b = (_operand(v) for v in promote(x1, x2))
    if a.aval.ndim < 2 or not b.aval.ndim:
        raise ShapeError(f"matvec: {a.aval.describe()} and {b.aval.describe()} are no matrices and vectors")
    out = matmul(a, ops.expand_dims(b, (b.aval.ndim,)))
    return ops.reshape(out, aval_of(out).shape[:-1])


def vecmat(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Products of vectors and matrices, over leading axes that broadcast.

    >>> vecmat(array([1, 10]), array([[1, 2], [3, 4]])).tolist()
    [31, 42]
    """
    a, b = (_operand(v) for v in promote(x1, x2))
    if not a.aval.ndim or b.aval.ndim < 2:
        raise ShapeError(f"vecmat: {a.aval.describe()} and {b.aval.describe()} are no vectors and matrices")
    out = matmul(ops.expand_dims(a, (a.aval.ndim - 1,)), b)
    shape = aval_of(out).shape
    return ops.reshape(out, (*shape[:-2], shape[-1]))


# Running sums and order


def _running(
    f: Callable[..., Array], start: int, x: ArrayLike, axis: int | None, dtype: Any, include_initial: bool, what: str
) -> Array:
    a = _operand(x)
    if not a.aval.ndim or (axis is None and a.aval.ndim > 1):
        raise ShapeError(f"{what}: {a.aval.describe()} needs an axis", hint=f"jnp.{what}(x, axis=0)")
    (place,) = axes_of(a, 0 if axis is None else axis, what)
    out = f(a, place, dtype)
    if not include_initial:
        return out
    shape = tuple(1 if i == place else d for i, d in enumerate(a.aval.shape))
    return concatenate([ops.full(shape, start, aval_of(out).dtype), out], place)


def cumulative_sum(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Array:
    """Sums of the elements so far along an axis, which only a vector need not have; with a 0 in front for
    `include_initial`.

    >>> cumulative_sum(array([1, 2, 3]), include_initial=True).tolist()
    [0, 1, 3, 6]
    """
    return _running(cumsum, 0, x, axis, dtype, include_initial, "cumulative_sum")


def cumulative_prod(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Array:
    """Products of the elements so far along an axis, which only a vector need not have; with a 1 in front for
    `include_initial`.

    >>> cumulative_prod(array([1, 2, 3]), include_initial=True).tolist()
    [1, 1, 2, 6]
    """
    return _running(cumprod, 1, x, axis, dtype, include_initial, "cumulative_prod")


def partition(a: ArrayLike, kth: int, axis: int | None = -1) -> Array:
    """The elements along an axis such that those before the place `kth` are not larger than the one there, and those
    after it not smaller: in order.

    >>> partition(array([3, 1, 2]), 1).tolist()
    [1, 2, 3]
    """
    _place_of(a, kth, axis, "partition")
    return sort(a, axis)


def argpartition(a: ArrayLike, kth: int, axis: int | None = -1) -> Array:
    """Places of the elements along an axis, in the order in which `partition` has them.

    >>> argpartition(array([3, 1, 2]), 1).tolist()
    [1, 2, 0]
    """
    _place_of(a, kth, axis, "argpartition")
    return argsort(a, axis)


def _place_of(a: ArrayLike, kth: int, axis: int | None, what: str) -> None:
    x = _operand(a)
    n = x.aval.size if axis is None else x.aval.shape[axes_of(x, axis, what)[0]]
    if not -n <= kth < n:
        raise ShapeError(f"{what}: there is no place {kth} among {n} elements", hint=f"from {-n} to {n - 1}")


def lexsort(keys: Sequence[ArrayLike] | Array, axis: int = -1) -> Array:
    """Places in the order of several keys of one shape, the last key counting most; equal ones stay in order.

    >>> lexsort([array([1, 0, 2]), array([5, 5, 4])]).tolist()
    [2, 1, 0]
    """
    columns = [_operand(asarray(k)) for k in keys]
    if not columns or any(c.aval.shape != columns[0].aval.shape for c in columns):
        raise ShapeError(f"lexsort: keys {' '.join(c.aval.describe() for c in columns)} have not one shape")
    if not columns[0].aval.ndim:
        return ops.full((), 0, dtypes.default(int))
    (place,) = axes_of(columns[0], axis, "lexsort")
    order = ops.iota(columns[0].aval.shape, place)
    for column in columns:
        ordered = ops.gather_along(column, order, place)
        order = ops.gather_along(order, argsort(ordered, place), place)
    return order


__all__ = [
    "acos", "acosh", "argpartition", "around", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_invert",
    "bitwise_left_shift", "bitwise_right_shift", "broadcast_shapes", "can_cast", "concat", "copy", "cumulative_prod",
    "cumulative_sum", "degrees", "double", "euler_gamma", "float_", "from_dlpack", "frombuffer", "fromiter",
    "geomspace", "int_", "isdtype", "isscalar", "iterable", "lexsort", "matvec", "partition", "permute_dims", "pow",
    "radians", "single", "uint", "vecdot", "vecmat",
]  # fmt: skip
