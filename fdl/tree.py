"""Functions on nested containers, under `jax.tree`'s names."""

import builtins
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from fdl.core.pytree import (
    TreeDef,
    register_node,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_paths,
    tree_structure,
    tree_unflatten,
)

flatten, leaves, map, paths, structure, unflatten = (
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_paths,
    tree_structure,
    tree_unflatten,
)

T = TypeVar("T")


def reduce(f: Callable[[T, Any], T], tree: Any, *initial: T) -> T:
    """The leaves combined from left to right.

    >>> reduce(lambda a, b: a + b, {"x": 1, "y": [2, 3]})
    6
    """
    result: T = functools.reduce(f, tree_leaves(tree), *initial)
    return result


def all(tree: Any) -> bool:
    """Whether all leaves are true.

    >>> all({"x": True, "y": [1]})
    True
    """
    return builtins.all(tree_leaves(tree))


__all__ = ["TreeDef", "all", "flatten", "leaves", "map", "paths", "reduce", "register_node", "structure", "unflatten"]
