"""Operations over a named axis of `vmap`: the sum, and the index. The batching rule of the `vmap` that binds the name
resolves them.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NoReturn, TypeVar, overload

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import ShapedArray, shaped
from fdl.core.errors import AxisNameError
from fdl.core.graph import ArrayLike
from fdl.core.primitive import Primitive
from fdl.core.pytree import tree_map
from fdl.core.tangents import Zero
from fdl.core.trace import aval_of, current_trace
from fdl.ops.axes import broadcast, move_axis, reduce_sum
from fdl.ops.elementwise import div, mul
from fdl.ops.indexing import gather
from fdl.ops.promotion import as_operand
from fdl.ops.shape import iota

T = TypeVar("T")


def _unbound(*operands: Any, axis_name: Any, **params: Any) -> NoReturn:
    raise AxisNameError(f"no axis named {axis_name!r} is bound here", hint=f"fdl.vmap(f, axis_name={axis_name!r})")


# psum


@overload
def psum(x: ArrayLike, axis_name: Hashable) -> Array: ...
@overload
def psum(x: T, axis_name: Hashable) -> T: ...
def psum(x: Any, axis_name: Hashable) -> Any:  # a tree of what is in `x`, numbers made arrays: the overloads say so
    """The sum over the elements of a named mapped axis, leaf by leaf.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: x / psum(x, "i"), axis_name="i")(jnp.array([1.0, 3.0])).tolist()
    [0.25, 0.75]
    """
    current_trace().axis_size(axis_name, "psum")
    return tree_map(lambda leaf: psum_p.bind(as_operand(leaf), axis_name=axis_name), x)


@overload
def pmean(x: ArrayLike, axis_name: Hashable) -> Array: ...
@overload
def pmean(x: T, axis_name: Hashable) -> T: ...
def pmean(x: Any, axis_name: Hashable) -> Any:  # a tree of what is in `x`, numbers made arrays: the overloads say so
    """The mean over the elements of a named mapped axis, leaf by leaf.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: x - pmean(x, "i"), axis_name="i")(jnp.array([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    """
    size = float(current_trace().axis_size(axis_name, "pmean"))
    return tree_map(lambda leaf: div(leaf, size), psum(x, axis_name))


def _psum_batch(axis: Any, args: Any, batched: Any, *, axis_name: Any) -> tuple[Any, Any]:
    if axis.name != axis_name:
        return psum_p.bind(*args, axis_name=axis_name), True
    return reduce_sum(args[0], (0,)), False


def psum_unbatched(x: ArrayLike, size: int) -> Array:
    """The sum over a named axis of what does not vary along it."""
    return mul(x, size)


psum_p = Primitive("psum")
psum_p.define(
    shape=lambda x, *, axis_name: x,
    impl=_unbound,
    jvp=lambda primals, tangents, **params: (psum_p.bind(*primals, **params), psum_p.bind(*tangents, **params)),
    transpose=lambda ct, operands, **params: [psum_p.bind(ct, **params)],
    batch=_psum_batch,
    lower=_unbound,
    samples=[],
).register()

# axis_index


def axis_index(axis_name: Any) -> Array:
    """The place along a named mapped axis, int32.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: x + axis_index("i"), axis_name="i")(jnp.array([10, 20])).tolist()
    [10, 21]
    """
    current_trace().axis_size(axis_name, "axis_index")
    return axis_index_p.bind(axis_name=axis_name)


def axis_size(axis_name: Any) -> int:
    """The size of a named mapped axis.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: x * axis_size("i"), axis_name="i")(jnp.array([1, 2])).tolist()
    [2, 4]
    """
    return current_trace().axis_size(axis_name, "axis_size")


def _axis_index_shape(*, axis_name: Any) -> ShapedArray:
    return shaped((), dtypes.int32)


def _axis_index_jvp(primals: Any, tangents: Any, *, axis_name: Any) -> tuple[Any, Any]:
    out = axis_index_p.bind(axis_name=axis_name)
    return out, Zero(aval_of(out))


axis_index_p = Primitive("axis_index")
axis_index_p.define(
    shape=_axis_index_shape,
    impl=_unbound,
    jvp=_axis_index_jvp,
    batch=lambda axis, args, batched, *, axis_name: (
        (iota((axis.size,), 0), True) if axis.name == axis_name else (axis_index_p.bind(axis_name=axis_name), False)
    ),
    lower=_unbound,
    samples=[],
).register()

# all_gather


def all_gather(x: Array, axis_name: Hashable) -> Array:
    """The values of all elements of a named mapped axis, along a new leading axis.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: all_gather(x, "i"), axis_name="i")(jnp.array([1, 2])).tolist()
    [[1, 2], [1, 2]]
    """
    size = current_trace().axis_size(axis_name, "all_gather")
    return all_gather_p.bind(as_operand(x), axis_name=axis_name, size=size)


def _all_gather_batch(axis: Any, args: Any, batched: Any, *, axis_name: Any, size: int) -> tuple[Any, Any]:
    (x,) = args
    if axis.name != axis_name:
        return move_axis(all_gather_p.bind(x, axis_name=axis_name, size=size), 1, 0), True
    return x if batched[0] else broadcast(x, (size, *aval_of(x).shape), range(1, aval_of(x).ndim + 1)), False


def _all_gather_transpose(ct: Any, operands: Any, *, axis_name: Any, size: int) -> list[Any]:
    """What an element owes to itself in all gathered values."""
    total = psum_p.bind(ct, axis_name=axis_name)
    return [gather(total, [axis_index_p.bind(axis_name=axis_name)], (0,))]


all_gather_p = Primitive("all_gather")
all_gather_p.define(
    shape=lambda x, *, axis_name, size: x.update(shape=(size, *x.shape)),
    impl=_unbound,
    jvp=lambda primals, tangents, **params: (
        all_gather_p.bind(*primals, **params),
        all_gather_p.bind(*tangents, **params),
    ),
    transpose=_all_gather_transpose,
    batch=_all_gather_batch,
    lower=_unbound,
    samples=[],
).register()

COLLECTIVES = (psum_p, axis_index_p, all_gather_p)
