"""`jax.tree_util`'s names for `fdl.tree`, and ways to make classes containers."""

import builtins
import dataclasses
import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from fdl.core.errors import StructureError
from fdl.core.pytree import (
    DictKey,
    FlattenedIndexKey,
    GetAttrKey,
    KeyEntry,
    KeyPath,
    SequenceKey,
    Tree,
    TreeDef,
    leaves_with_path,
    register_node,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_structure,
    tree_unflatten,
)
from fdl.tree import all, broadcast, flatten_with_path, map_with_path, reduce, reduce_associative, transpose

C = TypeVar("C", bound=type)
PyTreeDef = TreeDef
tree_reduce, tree_all, tree_reduce_associative, tree_broadcast = reduce, all, reduce_associative, broadcast
tree_flatten_with_path, tree_leaves_with_path, tree_map_with_path = flatten_with_path, leaves_with_path, map_with_path
tree_transpose = transpose


def register_pytree_node(nodetype: type, flatten_func: Any, unflatten_func: Any) -> None:
    """Make instances of `nodetype` containers; see `fdl.tree.register_node`.

    >>> class Box:
    ...     def __init__(self, x):
    ...         self.x = x
    >>> register_pytree_node(Box, lambda b: ((b.x,), None), lambda aux, xs: Box(*xs))
    >>> tree_leaves(Box(3))
    [3]
    """
    register_node(nodetype, flatten_func, unflatten_func)


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


def register_pytree_with_keys(
    nodetype: C,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[KeyEntry, Any]], Hashable]],
    unflatten_func: Callable[[Any, Sequence[Any]], Any],
    flatten_func: Callable[[Any], tuple[Iterable[Any], Hashable]] | None = None,
) -> C:
    """Make instances of `nodetype` containers whose children have keys, which key paths are made of:
    `flatten_with_keys(x) -> ((key, child) pairs, aux)`. `flatten_func`, the same without keys, may be given where it is
    faster.

    >>> class Box:
    ...     def __init__(self, x):
    ...         self.x = x
    >>> _ = register_pytree_with_keys(Box, lambda b: ([(GetAttrKey("x"), b.x)], None), lambda aux, xs: Box(*xs))
    >>> keystr(tree_leaves_with_path(Box(3))[0][0])
    '.x'
    """

    def children(node: Any) -> tuple[list[Any], Hashable]:
        found, aux = flatten_func(node) if flatten_func is not None else flatten_with_keys(node)
        return list(found) if flatten_func is not None else [child for _, child in found], aux

    register_node(nodetype, children, unflatten_func, lambda node, aux: [key for key, _ in flatten_with_keys(node)[0]])
    return nodetype


def register_pytree_with_keys_class(cls: C) -> C:
    """Make a class with `tree_flatten_with_keys(self)` and `tree_unflatten(cls, aux, children)` a container, as
    `register_pytree_with_keys` does; usable as a decorator.

    >>> @register_pytree_with_keys_class
    ... class Box:
    ...     def __init__(self, x):
    ...         self.x = x
    ...     def tree_flatten_with_keys(self):
    ...         return [(GetAttrKey("x"), self.x)], None
    ...     @classmethod
    ...     def tree_unflatten(cls, aux, children):
    ...         return cls(*children)
    >>> tree_leaves(Box([1, 2]))
    [1, 2]
    """
    flatten = (lambda node: node.tree_flatten()) if hasattr(cls, "tree_flatten") else None
    unflatten = cls.tree_unflatten  # type: ignore[attr-defined]
    return register_pytree_with_keys(cls, lambda node: node.tree_flatten_with_keys(), unflatten, flatten)


def register_dataclass(
    nodetype: C,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> C:
    """Make instances of a class containers of the attributes `data_fields`, while `meta_fields`, which must be
    hashable, are a part of the structure; usable as a decorator. They are put together by keyword. Of a dataclass both
    are found: fields with `metadata={"static": True}` are the latter, and `drop_fields` are neither.

    >>> @register_dataclass
    ... @dataclasses.dataclass
    ... class Layer:
    ...     w: float
    ...     name: str = dataclasses.field(metadata={"static": True}, default="")
    >>> tree_map(lambda w: 2 * w, Layer(1.5, "a"))
    Layer(w=3.0, name='a')
    """
    if (data_fields is None) != (meta_fields is None):
        raise StructureError("register_dataclass: takes data_fields and meta_fields, or none of them")
    fields = [f for f in dataclasses.fields(nodetype) if f.init] if dataclasses.is_dataclass(nodetype) else []
    if data_fields is None or meta_fields is None:
        if not dataclasses.is_dataclass(nodetype):
            raise StructureError(f"register_dataclass: {nodetype.__name__} is no dataclass", hint="data_fields=[...]")
        kept = [f for f in fields if f.name not in drop_fields]
        data_fields = [f.name for f in kept if not f.metadata.get("static")]
        meta_fields = [f.name for f in kept if f.metadata.get("static")]
    elif fields and {f.name for f in fields} - set(drop_fields) != {*data_fields, *meta_fields}:
        raise StructureError(
            f"register_dataclass: {[*data_fields, *meta_fields]} are not the fields of {nodetype.__name__}",
            hint="drop_fields=[...] for those that are left out",
        )
    data, meta = tuple(data_fields), tuple(meta_fields)
    register_node(
        nodetype,
        lambda node: ([getattr(node, name) for name in data], tuple(getattr(node, name) for name in meta)),
        lambda aux, xs: nodetype(**dict(zip((*data, *meta), (*xs, *aux), strict=True))),
        lambda node, aux: [GetAttrKey(name) for name in data],
    )
    return nodetype


def register_static(cls: C) -> C:
    """Make instances of a class, which must be hashable, structure alone, without a leaf; usable as a decorator.

    >>> @register_static
    ... class Mode(str):
    ...     pass
    >>> tree_leaves([Mode("fast"), 1])
    [1]
    """
    register_node(cls, lambda node: ((), node), lambda aux, xs: aux)
    return cls


class Partial(functools.partial[Any]):
    """`functools.partial` as a container: the arguments are its children, the function is a part of the structure.

    >>> import fdl
    >>> scaled = Partial(lambda a, x: a * x, 3.0)
    >>> fdl.jit(lambda f, x: f(x))(scaled, 2.0).tolist()
    6.0
    """


register_node(Partial, lambda p: ((p.args, p.keywords), p.func), lambda func, xs: Partial(func, *xs[0], **xs[1]))


def keystr(keys: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """A key path as text; with `simple` by names and numbers alone.

    >>> path = (DictKey("w"), SequenceKey(0))
    >>> keystr(path), keystr(path, simple=True, separator="/")
    ("['w'][0]", 'w/0')
    """
    return separator.join(_simple(key) if simple else str(key) for key in keys)


def _simple(key: KeyEntry) -> str:
    if isinstance(key, (DictKey, FlattenedIndexKey)):
        return str(key.key)
    return str(key.idx if isinstance(key, SequenceKey) else key.name if isinstance(key, GetAttrKey) else key)


def all_leaves(iterable: Iterable[Any], is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether all elements are leaves.

    >>> all_leaves([1, 2]), all_leaves([1, (2,)])
    (True, False)
    """
    return builtins.all(not _has_children(x, is_leaf) for x in iterable)


def _has_children(x: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    return tree_structure(x, is_leaf).cls is not None


def is_tree_node(typ: Any) -> bool:
    """Whether something is a container, and no leaf; None is one without children.

    >>> is_tree_node([]), is_tree_node(1.5)
    (True, False)
    """
    return _has_children(typ)


def flatten_one_level(tree: Tree) -> tuple[list[Any], Hashable]:
    """(children, what else belongs to the structure) of a container.

    >>> flatten_one_level({"a": [1, 2], "b": 3})
    ([[1, 2], 3], ('a', 'b'))
    """
    pairs, aux = flatten_one_level_with_keys(tree)
    return [child for _, child in pairs], aux


def flatten_one_level_with_keys(tree: Tree) -> tuple[list[tuple[KeyEntry, Any]], Hashable]:
    """((key, child) pairs, what else belongs to the structure) of a container.

    >>> flatten_one_level_with_keys([7])
    ([(SequenceKey(idx=0), 7)], None)
    """
    if not _has_children(tree):
        raise StructureError(f"flatten_one_level: {type(tree).__name__} is a leaf", hint="a container")
    pairs = leaves_with_path(tree, lambda x: x is not tree)
    return [(path[0], child) for path, child in pairs], tree_structure(tree).aux


def treedef_children(treedef: TreeDef) -> list[TreeDef]:
    """The structures of the children.

    >>> treedef_children(tree_structure([1, (2, 3)]))
    [TreeDef(*), TreeDef((*, *))]
    """
    return list(treedef.children)


def treedef_is_leaf(treedef: TreeDef) -> bool:
    """Whether a structure is that of a leaf, or of a container without children.

    >>> treedef_is_leaf(tree_structure(1)), treedef_is_leaf(tree_structure([1]))
    (True, False)
    """
    return not treedef.children


def treedef_tuple(treedefs: Iterable[TreeDef]) -> TreeDef:
    """The structure of a tuple of trees of these structures.

    >>> treedef_tuple([tree_structure(1), tree_structure([2])])
    TreeDef((*, [*]))
    """
    return TreeDef(tuple, None, tuple(treedefs))


__all__ = [
    "DictKey", "FlattenedIndexKey", "GetAttrKey", "KeyEntry", "KeyPath", "Partial", "PyTreeDef", "SequenceKey",
    "all_leaves", "flatten_one_level", "flatten_one_level_with_keys", "is_tree_node", "keystr", "register_dataclass",
    "register_pytree_node", "register_pytree_node_class", "register_pytree_with_keys",
    "register_pytree_with_keys_class", "register_static", "tree_all", "tree_broadcast", "tree_flatten",
    "tree_flatten_with_path", "tree_leaves", "tree_leaves_with_path", "tree_map", "tree_map_with_path", "tree_reduce",
    "tree_reduce_associative", "tree_structure", "tree_transpose", "tree_unflatten", "treedef_children",
    "treedef_is_leaf", "treedef_tuple",
]  # fmt: skip
