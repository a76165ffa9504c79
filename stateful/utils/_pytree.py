"""`torch.utils._pytree`: trees of dicts, lists and tuples, by fdl's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fdl import tree as _tree

__all__ = ["tree_any", "tree_flatten", "tree_leaves", "tree_map", "tree_unflatten"]


def tree_flatten(tree: Any) -> tuple[list[Any], Any]:
    """Leaves, and the structure.

    >>> leaves, spec = tree_flatten({"a": 1, "b": (2, 3)})
    >>> leaves, tree_unflatten([x * 2 for x in leaves], spec)
    ([1, 2, 3], {'a': 2, 'b': (4, 6)})
    """
    return _tree.flatten(tree)


def tree_unflatten(leaves: Any, treespec: Any) -> Any:
    """A tree of a structure; either order of arguments, as both were PyTorch's."""
    if isinstance(treespec, (list, tuple)):
        leaves, treespec = treespec, leaves
    return _tree.unflatten(treespec, leaves)


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any) -> Any:
    """The function of each leaf."""
    return _tree.map(func, tree, *rests)


def tree_leaves(tree: Any) -> list[Any]:
    """Leaves alone."""
    return tree_flatten(tree)[0]


def tree_any(pred: Callable[[Any], bool], tree: Any) -> bool:
    """Whether a leaf is so."""
    return any(map(pred, tree_leaves(tree)))
