"""Functions on nested containers, under `jax.tree`'s names."""

import builtins
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from fdl.core.errors import StructureError
from fdl.core.pytree import (
    KeyPath,
    Leaf,
    Tree,
    TreeDef,
    broadcast_prefix,
    leaves_with_path,
    register_node,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_paths,
    tree_structure,
    tree_unflatten,
)

T = TypeVar("T")
IsLeaf = Callable[[Any], bool] | None

flatten, leaves, map, paths, structure, unflatten = (
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_paths,
    tree_structure,
    tree_unflatten,
)


_NOTHING: Any = object()


def reduce(
    function: Callable[[T, Any], T],
    tree: Tree,
    initializer: Any = _NOTHING,
    is_leaf: IsLeaf = None,
) -> T:
    """The leaves combined from left to right, beginning with `initializer` where it is given.

    >>> reduce(lambda a, b: a + b, {"x": 1, "y": [2, 3]})
    6
    """
    start = () if initializer is _NOTHING else (initializer,)
    result: T = functools.reduce(function, tree_leaves(tree, is_leaf), *start)
    return result


def reduce_associative(operation: Callable[[T, T], T], tree: Tree, *, is_leaf: IsLeaf = None, **identity: T) -> T:
    """The leaves combined: each half by itself, and then the two results. Of no leaf it is `identity`.

    >>> reduce_associative(lambda a, b: f"({a}{b})", ["a", "b", "c"])
    '(a(bc))'
    """
    if set(identity) - {"identity"}:
        raise TypeError(f"reduce_associative: unknown arguments {sorted(identity)}")
    parts: list[T] = tree_leaves(tree, is_leaf)
    if not parts:
        if not identity:
            raise StructureError("reduce_associative: the tree has no leaf", hint="identity=0")
        return identity["identity"]

    def combined(start: int, stop: int) -> T:
        middle = (start + stop) // 2
        return parts[start] if stop - start == 1 else operation(combined(start, middle), combined(middle, stop))

    return combined(0, len(parts))


def all(tree: Tree, *, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves are true.

    >>> all({"x": True, "y": [1]})
    True
    """
    return builtins.all(tree_leaves(tree, is_leaf))


def flatten_with_path(tree: Tree, is_leaf: IsLeaf = None) -> tuple[list[tuple[KeyPath, Leaf]], TreeDef]:
    """(key paths with their leaves, structure).

    >>> flatten_with_path([5])
    ([((SequenceKey(idx=0),), 5)], TreeDef([*]))
    """
    return leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def map_with_path(f: Callable[..., Any], tree: Tree, *rest: Tree, is_leaf: IsLeaf = None) -> Tree:
    """`f(path, leaf, ...)` applied leaf by leaf to trees of one structure; a path is a tuple of keys.

    >>> map_with_path(lambda path, x: f"{path[0].key}: {x}", {"a": 1})
    {'a': 'a: 1'}
    """
    pairs, treedef = flatten_with_path(tree, is_leaf)
    others = [treedef.flatten_up_to(other) for other in rest]
    return treedef.unflatten([f(path, leaf, *xs) for (path, leaf), *xs in zip(pairs, *others, strict=True)])


def broadcast(prefix_tree: Tree, full_tree: Tree, is_leaf: IsLeaf = None) -> Tree:
    """A tree of the structure of `full_tree`, in which each leaf of `prefix_tree` stands for all leaves of its subtree.

    >>> broadcast((1, 2), ({"a": 5, "b": 6}, 7))
    ({'a': 1, 'b': 1}, 2)
    """
    return tree_structure(full_tree, is_leaf).unflatten(
        broadcast_prefix(prefix_tree, full_tree, "tree.broadcast", is_leaf)
    )


def transpose(outer_treedef: TreeDef, inner_treedef: TreeDef | None, pytree_to_transpose: Tree) -> Tree:
    """A tree of structure `outer_treedef` whose leaves are trees of structure `inner_treedef`, turned inside out.
    Without `inner_treedef` it is the structure of the first of these.

    >>> transpose(structure([0, 0]), structure({"a": 0}), [{"a": 1}, {"a": 2}])
    {'a': [1, 2]}
    """
    subtrees = outer_treedef.flatten_up_to(pytree_to_transpose)
    if inner_treedef is None:
        if not subtrees:
            raise StructureError("tree.transpose: there is no subtree to take the inner structure from")
        inner_treedef = tree_structure(subtrees[0])
    rows = [inner_treedef.flatten_up_to(subtree) for subtree in subtrees]
    return inner_treedef.unflatten([outer_treedef.unflatten(column) for column in zip(*rows, strict=True)])


def static(**options: Any) -> Any:  # what `dataclasses.field` gives, which is typed as the field's value
    """A field of a dataclass that is a part of its structure; `options` are those of `dataclasses.field`.

    >>> @dataclasses.dataclass
    ... class Scaled:
    ...     x: float
    ...     by: str = static(default="mean")
    >>> leaves(Scaled(2.0))
    [2.0]
    """
    return dataclasses.field(metadata={**(options.pop("metadata", None) or {}), "static": True}, **options)


__all__ = [
    "TreeDef", "all", "broadcast", "flatten", "flatten_with_path", "leaves", "leaves_with_path", "map", "map_with_path",
    "paths", "reduce", "reduce_associative", "register_node", "static", "structure", "transpose", "unflatten",
]  # fmt: skip
