"""Folds and running folds with any associative function, and sorting by several keys."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.pytree import Tree, tree_flatten, tree_unflatten
from fdl.core.trace import aval_of
from fdl.numpy import all, any, asarray, logaddexp, prod
from fdl.numpy._math import axes_of
from fdl.transforms.control.cond import cond as choose
from fdl.transforms.vmap import vmap

_NONE: Any = object()


def cond(
    pred: Any,
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    *operands: Any,
    operand: Any = _NONE,
    linear: Any = None,
) -> Any:
    """`true_fun(*operands)` if the scalar predicate holds, else `false_fun(*operands)`; only one of them runs.

    `operand` is the only one by name, as older programs give it, and `cond(pred, true_operand, true_fun,
    false_operand, false_fun)` gives an operand to each function; `linear` says nothing that is not seen.

    >>> float(cond(True, lambda x: x + 1, lambda x: x - 1, 3.0))
    4.0
    """
    if len(operands) == 2 and callable(false_fun) and callable(operands[1]) and not callable(true_fun):
        first, one, second, other = true_fun, false_fun, *operands
        return choose(pred, lambda a, b: one(a), lambda a, b: other(b), first, second)
    return choose(pred, true_fun, false_fun, *operands, *(() if operand is _NONE else (operand,)))


def associative_scan(fn: Callable[[Any, Any], Any], elems: Tree, reverse: bool = False, axis: int = 0) -> Tree:
    """All folds of leading elements with an associative function, in a logarithmic number of steps (Blelloch, 1990).

    `elems` is a tree of arrays of one size along `axis`; `fn(a, b)` takes and returns such trees, and works on all
    their elements at once. With `reverse` folds are of trailing elements.

    >>> import fdl.numpy as jnp
    >>> associative_scan(jnp.add, jnp.array([1, 2, 3])).tolist()
    [1, 3, 6]
    """
    leaves, treedef = tree_flatten(elems)
    arrays = [asarray(x) for x in leaves]
    places = [axes_of(x, axis, "associative_scan")[0] for x in arrays]
    counts = {aval_of(x).shape[p] for x, p in zip(arrays, places, strict=True)}
    if len(counts) != 1:
        raise ShapeError(f"associative_scan: sizes {sorted(counts)} along axis {axis}", hint="one size for all arrays")
    if reverse:
        arrays = [ops.reverse(x, (p,)) for x, p in zip(arrays, places, strict=True)]

    def combine(a: list[Array], b: list[Array]) -> list[Array]:
        return tree_flatten(fn(tree_unflatten(treedef, a), tree_unflatten(treedef, b)))[0]

    def part(xs: list[Array], start: int, stop: int, step: int = 1) -> list[Array]:
        return [_every(x, start, stop, step, p) for x, p in zip(xs, places, strict=True)]

    def scanned(xs: list[Array]) -> list[Array]:
        n = aval_of(xs[0]).shape[places[0]]
        if n < 2:
            return xs
        odd = scanned(combine(part(xs, 0, n - 1, 2), part(xs, 1, n, 2)))
        later = combine(part(odd, 0, (n - 1) // 2), part(xs, 2, n, 2)) if n > 2 else part(xs, 0, 0)
        first = part(xs, 0, 1)
        even = [ops.concatenate(pair, p) for *pair, p in zip(first, later, places, strict=True)] if n > 2 else first
        return [_woven(a, b, p) for a, b, p in zip(even, odd, places, strict=True)]

    out = scanned(arrays)
    if reverse:
        out = [ops.reverse(x, (p,)) for x, p in zip(out, places, strict=True)]
    return tree_unflatten(treedef, out)


def _every(x: Array, start: int, stop: int, step: int, axis: int) -> Array:
    shape = aval_of(x).shape
    bounds = [(start, stop, step) if i == axis else (0, d, 1) for i, d in enumerate(shape)]
    return ops.slice(x, *[[b[k] for b in bounds] for k in range(3)])


def _woven(even: Array, odd: Array, axis: int) -> Array:
    """Elements of two arrays in turn; the first one may have one more."""
    shape = aval_of(odd).shape
    n = shape[axis]
    pairs = [ops.expand_dims(ops.slice_in_dim(x, 0, n, axis), (axis + 1,)) for x in (even, odd)]
    woven = ops.reshape(ops.concatenate(pairs, axis + 1), (*shape[:axis], 2 * n, *shape[axis + 1 :]))
    more = aval_of(even).shape[axis]
    return woven if more == n else ops.concatenate([woven, ops.slice_in_dim(even, n, more, axis)], axis)


def cumsum(operand: Array, axis: int = 0, reverse: bool = False) -> Array:
    """Sums of the elements so far along an axis, with `reverse` from the end.

    >>> import fdl.numpy as jnp
    >>> cumsum(jnp.array([1, 2, 3]), reverse=True).tolist()
    [6, 5, 3]
    """
    return ops.cumsum(operand, axes_of(operand, axis, "cumsum")[0], reverse)


def cumprod(operand: Array, axis: int = 0, reverse: bool = False) -> Array:
    """Products of the elements so far along an axis, with `reverse` from the end.

    >>> import fdl.numpy as jnp
    >>> cumprod(jnp.array([1, 2, 3]), reverse=True).tolist()
    [6, 6, 3]
    """
    out: Array = associative_scan(ops.mul, operand, reverse, axis)
    return out


def cummax(operand: Array, axis: int = 0, reverse: bool = False) -> Array:
    """The largest element so far along an axis, with `reverse` from the end.

    >>> import fdl.numpy as jnp
    >>> cummax(jnp.array([1, 3, 2])).tolist()
    [1, 3, 3]
    """
    out: Array = associative_scan(ops.maximum, operand, reverse, axis)
    return out


def cummin(operand: Array, axis: int = 0, reverse: bool = False) -> Array:
    """The smallest element so far along an axis, with `reverse` from the end.

    >>> import fdl.numpy as jnp
    >>> cummin(jnp.array([2, 1, 3])).tolist()
    [2, 1, 1]
    """
    out: Array = associative_scan(ops.minimum, operand, reverse, axis)
    return out


def cumlogsumexp(operand: Array, axis: int = 0, reverse: bool = False) -> Array:
    """Logarithms of sums of exponentials of the elements so far along an axis, with `reverse` from the end.

    >>> import fdl.numpy as jnp
    >>> [round(v, 4) for v in cumlogsumexp(jnp.zeros(2)).tolist()]
    [0.0, 0.6931]
    """
    out: Array = associative_scan(logaddexp, operand, reverse, axis)
    return out


def reduce(operands: Tree, init_values: Tree, computation: Callable[..., Any], dimensions: Sequence[int]) -> Tree:
    """A fold over axes with an associative function of numbers, or of trees of numbers, that begins with `init_values`,
    which change nothing; in pairs, so that steps are few.

    >>> import fdl.numpy as jnp
    >>> reduce(jnp.array([3, 1, 2]), 0, jnp.add, (0,)).tolist()
    6
    """
    leaves, treedef = tree_flatten(operands)
    arrays = [asarray(x) for x in leaves]
    starts = [
        ops.convert(asarray(v), aval_of(x).dtype) for v, x in zip(tree_flatten(init_values)[0], arrays, strict=True)
    ]
    shape = aval_of(arrays[0]).shape
    axes = axes_of(arrays[0], tuple(dimensions), "reduce")
    kept = [i for i in range(len(shape)) if i not in axes]
    rest = tuple(shape[i] for i in kept)
    n, size = math.prod(shape[i] for i in axes), math.prod(rest)
    rows = [ops.reshape(ops.transpose(x, (*axes, *kept)), (n, size)) for x in arrays]

    def combine(a: list[Array], b: list[Array]) -> list[Array]:
        count = aval_of(a[0]).shape[0]

        def of_numbers(x: list[Array], y: list[Array]) -> Tree:
            return computation(tree_unflatten(treedef, x), tree_unflatten(treedef, y))

        flat = [[ops.reshape(x, (count * size,)) for x in side] for side in (a, b)]
        found = tree_flatten(vmap(of_numbers)(*flat))[0] if count * size else a
        return [ops.reshape(asarray(x), (count, size)) for x in found]

    rows = [ops.concatenate([ops.broadcast(s, (1, size), ()), x], 0) for s, x in zip(starts, rows, strict=True)]
    while (n := aval_of(rows[0]).shape[0]) > 1:
        half = n // 2
        last = [ops.slice_in_dim(x, 2 * half, n, 0) for x in rows]
        firsts = [_every(x, 0, 2 * half, 2, 0) for x in rows]
        seconds = [_every(x, 1, 2 * half, 2, 0) for x in rows]
        rows = [ops.concatenate([x, y], 0) for x, y in zip(combine(firsts, seconds), last, strict=True)]
    return tree_unflatten(treedef, [ops.reshape(x, rest) for x in rows])


def reduce_prod(operand: Array, axes: Sequence[int]) -> Array:
    """The product over axes.

    >>> import fdl.numpy as jnp
    >>> int(reduce_prod(jnp.array([2, 3]), (0,)))
    6
    """
    return ops.cast(prod(operand, tuple(axes)), aval_of(operand).dtype)


def reduce_or(operand: Array, axes: Sequence[int]) -> Array:
    """Whether one of bools over axes holds; of integers, the bits that are set in one.

    >>> import fdl.numpy as jnp
    >>> bool(reduce_or(jnp.array([False, True]), (0,)))
    True
    """
    return any(operand, tuple(axes)) if _of_bools(operand) else _fold(operand, 0, ops.bitwise_or, axes)


def reduce_and(operand: Array, axes: Sequence[int]) -> Array:
    """Whether all bools over axes hold; of integers, the bits that are set in all.

    >>> import fdl.numpy as jnp
    >>> bool(reduce_and(jnp.array([False, True]), (0,)))
    False
    """
    return all(operand, tuple(axes)) if _of_bools(operand) else _fold(operand, -1, ops.bitwise_and, axes)


def reduce_xor(operand: Array, axes: Sequence[int]) -> Array:
    """Whether an odd number of bools over axes holds; of integers, for each bit.

    >>> import fdl.numpy as jnp
    >>> bool(reduce_xor(jnp.array([True, True]), (0,)))
    False
    """
    return _fold(operand, 0, ops.bitwise_xor, axes)


def _of_bools(x: Array) -> bool:
    return aval_of(x).dtype == dtypes.bool_


def _fold(x: Array, start: int, f: Callable[..., Array], axes: Sequence[int]) -> Array:
    dtype = aval_of(x).dtype
    first = ops.full((), start & (2 ** (8 * dtype.itemsize) - 1) if dtype in dtypes.UNSIGNED else start, dtype)
    out: Array = reduce(x, first, f, axes)
    return out


def sort(
    operand: Array | Sequence[Array], dimension: int = -1, is_stable: bool = True, num_keys: int = 1
) -> Array | tuple[Array, ...]:
    """Elements along an axis in order. Of several arrays the first `num_keys` are keys, the first one counting most,
    and all are put into their order; equal ones stay in theirs, `is_stable` or not.

    >>> import fdl.numpy as jnp
    >>> [x.tolist() for x in sort((jnp.array([2, 1, 2]), jnp.array([3, 2, 1])), num_keys=2)]
    [[1, 2, 2], [2, 1, 3]]
    """
    arrays = [operand] if isinstance(operand, Array) else [asarray(x) for x in operand]
    if not 1 <= num_keys <= len(arrays) or builtins.any(aval_of(x).shape != aval_of(arrays[0]).shape for x in arrays):
        raise ShapeError(f"sort: {num_keys} keys of {' '.join(aval_of(x).describe() for x in arrays)}")
    (place,) = axes_of(arrays[0], dimension, "sort")
    last = aval_of(arrays[0]).ndim - 1
    order = ops.iota(aval_of(arrays[0]).shape, place)
    for key in reversed(arrays[:num_keys]):
        own = ops.gather_along(ops.stop_gradient(key), order, place)
        again = ops.move_axis(ops.argsort(ops.move_axis(own, place, last)), last, place)
        order = ops.gather_along(order, again, place)
    out = tuple(ops.gather_along(x, order, place) for x in arrays)
    return out[0] if isinstance(operand, Array) else out


def sort_key_val(keys: Array, values: Array, dimension: int = -1, is_stable: bool = True) -> tuple[Array, Array]:
    """Keys along an axis in order, and values in the order of their keys.

    >>> import fdl.numpy as jnp
    >>> [x.tolist() for x in sort_key_val(jnp.array([2, 1]), jnp.array([10, 20]))]
    [[1, 2], [20, 10]]
    """
    ordered = sort((keys, values), dimension, is_stable)
    return ordered[0], ordered[1]


__all__ = [
    "associative_scan", "cond", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum", "reduce", "reduce_and",
    "reduce_or", "reduce_prod", "reduce_xor", "sort", "sort_key_val",
]  # fmt: skip
