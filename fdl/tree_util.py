"""`jax.tree_util`'s names for `fdl.tree`."""

from typing import Any

from fdl.core.pytree import (
    TreeDef,
    register_node,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_structure,
    tree_unflatten,
)

PyTreeDef = TreeDef


def register_pytree_node(cls: type, flatten: Any, unflatten: Any) -> None:
    """Make instances of `cls` containers; see `fdl.tree.register_node`.

    >>> class Box:
    ...     def __init__(self, x):
    ...         self.x = x
    >>> register_pytree_node(Box, lambda b: ((b.x,), None), lambda aux, xs: Box(*xs))
    >>> tree_leaves(Box(3))
    [3]
    """
    register_node(cls, flatten, unflatten)


__all__ = ["PyTreeDef", "register_pytree_node", "tree_flatten", "tree_leaves", "tree_map", "tree_structure", "tree_unflatten"]
