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
from fdl.tree import all, reduce

PyTreeDef = TreeDef
tree_reduce, tree_all = reduce, all


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


def register_pytree_node_class(cls: type) -> type:
    """Make a class with `tree_flatten(self)` and `tree_unflatten(cls, aux, children)` a container; usable as a
    decorator.

    >>> @register_pytree_node_class
    ... class Box:
    ...     def __init__(self, x):
    ...         self.x = x
    ...     def tree_flatten(self):
    ...         return (self.x,), None
    ...     @classmethod
    ...     def tree_unflatten(cls, aux, children):
    ...         return cls(*children)
    >>> tree_leaves(Box([1, 2]))
    [1, 2]
    """
    register_node(cls, lambda node: node.tree_flatten(), cls.tree_unflatten)  # type: ignore[attr-defined]
    return cls


__all__ = [
    "PyTreeDef",
    "register_pytree_node",
    "register_pytree_node_class",
    "tree_all",
    "tree_reduce",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_structure",
    "tree_unflatten",
]
