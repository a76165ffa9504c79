"""Trees of arrays as one vector, under `jax.flatten_util`'s name."""

from __future__ import annotations

import math
from collections.abc import Callable

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.pytree import Tree, tree_flatten
from fdl.core.trace import aval_of
from fdl.numpy import asarray, ravel

__all__ = ["ravel_pytree"]


def ravel_pytree(pytree: Tree) -> tuple[Array, Callable[[ArrayLike], Tree]]:
    """(all elements of the leaves in one vector of the dtype to which they promote, the function back).

    >>> vector, back = ravel_pytree({"a": asarray([1.0, 2.0]), "b": 3})
    >>> vector.tolist(), back(vector * 2)["b"].tolist()
    ([1.0, 2.0, 3.0], 6)
    """
    leaves, treedef = tree_flatten(pytree)
    arrays = [asarray(leaf) for leaf in leaves]
    avals = [aval_of(x) for x in arrays]
    dtype = dtypes.promote([(a.dtype, False) for a in avals])[0] if avals else dtypes.default(float)
    empty = ops.full((0,), 0, dtype)
    vector = ops.concatenate([ops.convert(ravel(x), dtype) for x in arrays] or [empty], 0)

    def unravel(flat: ArrayLike) -> Tree:
        x = asarray(flat)
        if aval_of(x).shape != (aval_of(vector).size,):
            raise ShapeError(f"unravel: {aval_of(x).describe()} for {aval_of(vector).size} elements", hint="a vector")
        if aval_of(x).dtype != dtype:
            raise DtypeError(f"unravel: {aval_of(x).describe()} for elements of {dtype.name}", hint="x.astype(...)")
        parts, start = [], 0
        for aval in avals:
            end = start + math.prod(aval.shape)
            parts.append(ops.convert(ops.reshape(ops.slice_in_dim(x, start, end, 0), aval.shape), aval.dtype))
            start = end
        return treedef.unflatten(parts)

    return vector, unravel
