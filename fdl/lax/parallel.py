"""What the elements of a named mapped axis give each other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from fdl import ops
from fdl.core.array import Array, from_numpy
from fdl.core.errors import ShapeError
from fdl.core.pytree import Tree, tree_map
from fdl.core.trace import aval_of
from fdl.numpy import asarray
from fdl.sharding import with_sharding_constraint


def _leafwise(f: Callable[[Array], Array], x: Tree) -> Tree:
    return tree_map(lambda leaf: f(asarray(leaf)), x)


def pmax(x: Tree, axis_name: Hashable) -> Tree:
    """The largest over the elements of a named mapped axis, leaf by leaf.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: pmax(x, "i"), axis_name="i")(jnp.array([1, 3])).tolist()
    [3, 3]
    """
    return _leafwise(lambda leaf: ops.reduce_max(ops.all_gather(leaf, axis_name), (0,)), x)


def pmin(x: Tree, axis_name: Hashable) -> Tree:
    """The smallest over the elements of a named mapped axis, leaf by leaf.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: pmin(x, "i"), axis_name="i")(jnp.array([1, 3])).tolist()
    [1, 1]
    """
    return _leafwise(lambda leaf: ops.reduce_min(ops.all_gather(leaf, axis_name), (0,)), x)


def all_gather(x: Tree, axis_name: Hashable, *, axis: int = 0, tiled: bool = False) -> Tree:
    """The values of all elements of a named mapped axis, along the new axis `axis`; with `tiled` joined along it.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: all_gather(x, "i"), axis_name="i")(jnp.array([1, 2])).tolist()
    [[1, 2], [1, 2]]
    """

    def gathered(leaf: Array) -> Array:
        out = ops.all_gather(leaf, axis_name)
        place = axis % (aval_of(leaf).ndim + (not tiled))
        return _joined(out, place) if tiled else ops.move_axis(out, 0, place)

    return _leafwise(gathered, x)


def _joined(x: Array, axis: int) -> Array:
    """The leading axis put before another one, and joined with it."""
    n, *shape = aval_of(x).shape
    return ops.reshape(ops.move_axis(x, 0, axis), (*shape[:axis], n * shape[axis], *shape[axis + 1 :]))


def _own(x: Array, axis: int, axis_name: Hashable) -> Array:
    """The slice along an axis that has the number of the element, without the axis."""
    return ops.gather(x, [ops.axis_index(axis_name)], (axis,))


def _parted(x: Array, axis: int, n: int, what: str) -> Array:
    """An axis parted into n, which come first, and the rest."""
    shape = aval_of(x).shape
    if shape[axis] % n:
        raise ShapeError(f"{what}: axis {axis} of {aval_of(x).describe()} does not split into {n} parts")
    return ops.reshape(x, (*shape[:axis], n, shape[axis] // n, *shape[axis + 1 :]))


def psum_scatter(x: Tree, axis_name: Hashable, *, scatter_dimension: int = 0, tiled: bool = False) -> Tree:
    """The sum over the elements of a named mapped axis, of which each gets the slice of its number along an axis of
    that size; with `tiled` as many neighbouring slices as there are for each.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: psum_scatter(x, "i"), axis_name="i")(jnp.array([[1, 2], [10, 20]])).tolist()
    [11, 22]
    """
    n = ops.axis_size(axis_name)

    def scattered(leaf: Array) -> Array:
        place = scatter_dimension % aval_of(leaf).ndim
        total = ops.psum(leaf, axis_name)
        if tiled:
            return _own(_parted(total, place, n, "psum_scatter"), place, axis_name)
        if aval_of(leaf).shape[place] != n:
            raise ShapeError(
                f"psum_scatter: axis {place} of {aval_of(leaf).describe()} is not of size {n}", hint="tiled=True"
            )
        return _own(total, place, axis_name)

    return _leafwise(scattered, x)


def all_to_all(x: Tree, axis_name: Hashable, split_axis: int, concat_axis: int, *, tiled: bool = False) -> Tree:
    """Each element of a named mapped axis gives every other one the slice of its number along `split_axis`, and puts
    what it gets along the new axis `concat_axis`; with `tiled` parts are given, and joined along it.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: all_to_all(x, "i", 0, 0), axis_name="i")(jnp.array([[1, 2], [3, 4]])).tolist()
    [[1, 3], [2, 4]]
    """
    n = ops.axis_size(axis_name)

    def exchanged(leaf: Array) -> Array:
        ndim = aval_of(leaf).ndim
        from_, to = split_axis % ndim, concat_axis % ndim
        if tiled:
            own = _own(ops.all_gather(_parted(leaf, from_, n, "all_to_all"), axis_name), from_ + 1, axis_name)
            return _joined(own, to)
        if aval_of(leaf).shape[from_] != n:
            raise ShapeError(
                f"all_to_all: axis {from_} of {aval_of(leaf).describe()} is not of size {n}", hint="tiled=True"
            )
        return ops.move_axis(_own(ops.all_gather(leaf, axis_name), from_ + 1, axis_name), 0, to)

    return _leafwise(exchanged, x)


def ppermute(x: Tree, axis_name: Hashable, perm: Sequence[tuple[int, int]]) -> Tree:
    """Each element of a named mapped axis gets what another one has: `perm` are pairs (from, to). Who gets nothing has
    zeros.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: ppermute(x, "i", [(0, 1)]), axis_name="i")(jnp.array([5, 6])).tolist()
    [0, 5]
    """
    n = ops.axis_size(axis_name)
    pairs = [(int(a), int(b)) for a, b in perm]
    if len({a for a, _ in pairs}) < len(pairs) or len({b for _, b in pairs}) < len(pairs):
        raise ShapeError(f"ppermute: {pairs} names an element twice", hint="each once as a source and once as a target")
    sources = np.full(n, n, np.int32)
    for a, b in pairs:
        sources[b] = a
    source = ops.gather(from_numpy(sources), [ops.axis_index(axis_name)], (0,))
    return _leafwise(lambda leaf: ops.gather(ops.all_gather(leaf, axis_name), [source], (0,), 0, "drop"), x)


def pshuffle(x: Tree, axis_name: Hashable, perm: Sequence[int]) -> Tree:
    """Each element i of a named mapped axis gets what element `perm[i]` has.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: pshuffle(x, "i", [1, 0]), axis_name="i")(jnp.array([5, 6])).tolist()
    [6, 5]
    """
    return ppermute(x, axis_name, [(source, target) for target, source in enumerate(perm)])


def pswapaxes(x: Tree, axis_name: Hashable, axis: int) -> Tree:
    """The mapped axis exchanged with another one of the same size.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(lambda x: pswapaxes(x, "i", 0), axis_name="i")(jnp.array([[1, 2], [3, 4]])).tolist()
    [[1, 3], [2, 4]]
    """
    return all_to_all(x, axis_name, axis, axis)


__all__ = [
    "all_gather", "all_to_all", "pmax", "pmin", "ppermute", "pshuffle", "psum_scatter", "pswapaxes",
    "with_sharding_constraint",
]  # fmt: skip
