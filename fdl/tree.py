"""Functions on nested containers, under `jax.tree`'s names."""

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

flatten, leaves, map, paths, structure, unflatten = tree_flatten, tree_leaves, tree_map, tree_paths, tree_structure, tree_unflatten

__all__ = ["TreeDef", "flatten", "leaves", "map", "paths", "register_node", "structure", "unflatten"]
