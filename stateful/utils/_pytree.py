"""`torch.utils._pytree`: dicts, lists and tuples as trees of leaves, with PyTorch's rules: keys stay in their order,
and None is a leaf.
"""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from fdl.stateful.core.errors import ArgumentError

__all__ = [
    "Context", "FlattenFunc", "GetAttrKey", "KeyEntry", "KeyPath", "LeafSpec", "MappingKey", "PyTree", "SequenceKey",
    "SUPPORTED_NODES", "TreeSpec", "UnflattenFunc", "is_namedtuple", "is_namedtuple_class", "is_namedtuple_instance",
    "keystr", "register_pytree_node", "tree_all", "tree_all_only", "tree_any", "tree_any_only", "tree_flatten",
    "tree_flatten_with_path", "tree_is_leaf", "tree_iter", "tree_leaves", "tree_leaves_with_path", "tree_map",
    "tree_map_", "tree_map_only", "tree_map_only_", "tree_map_with_path", "tree_structure", "tree_unflatten",
    "treespec_dumps", "treespec_loads",
]  # fmt: skip

Context: TypeAlias = Any
PyTree: TypeAlias = Any
KeyEntry: TypeAlias = Any
KeyPath = tuple[KeyEntry, ...]
FlattenFunc = Callable[[PyTree], tuple[list[Any], Context]]
UnflattenFunc = Callable[[Iterable[Any], Context], PyTree]
IsLeaf = Callable[[PyTree], bool] | None


class SequenceKey(NamedTuple):
    """The place of an element in a list or a tuple."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


class MappingKey(NamedTuple):
    """The key of a value in a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


class GetAttrKey(NamedTuple):
    """The name of an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


class NodeDef(NamedTuple):
    """How a kind of node is taken apart, put together, and what its children are called."""

    type: type[Any]
    flatten_fn: FlattenFunc
    unflatten_fn: UnflattenFunc
    flatten_with_keys_fn: Callable[[PyTree], tuple[list[tuple[KeyEntry, Any]], Context]] | None = None
    serialized_type_name: str | None = None


SUPPORTED_NODES: dict[type[Any], NodeDef] = {}


def register_pytree_node(
    cls: type[Any],
    flatten_fn: FlattenFunc,
    unflatten_fn: UnflattenFunc,
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Any = None,
    from_dumpable_context: Any = None,
    flatten_with_keys_fn: Any = None,
) -> None:
    """Make instances of a class nodes: `flatten_fn(x)` gives children and a context, `unflatten_fn(children, context)`
    an instance.

    >>> class Pair:
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    >>> register_pytree_node(Pair, lambda p: ([p.a, p.b], None), lambda children, _: Pair(*children))
    >>> tree_leaves([Pair(1, 2), 3])
    [1, 2, 3]
    """
    if cls in SUPPORTED_NODES:
        raise ArgumentError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn, serialized_type_name)


_register_pytree_node = register_pytree_node


def is_namedtuple(obj: object) -> bool:
    """Whether it is a named tuple, or the class of one."""
    return is_namedtuple_class(obj if isinstance(obj, type) else type(obj))


def is_namedtuple_class(cls: type) -> bool:
    """Whether instances are named tuples."""
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def is_namedtuple_instance(obj: object) -> bool:
    """Whether it is a named tuple."""
    return is_namedtuple_class(type(obj))


def is_structseq_instance(obj: object) -> bool:
    """Whether it is one of CPython's own named tuples, such as `time.struct_time`."""
    return isinstance(obj, tuple) and hasattr(obj, "n_sequence_fields")


def _list_flatten(d: Any) -> tuple[list[Any], Context]:
    return list(d), None


def _list_flatten_with_keys(d: Any) -> tuple[list[tuple[KeyEntry, Any]], Context]:
    return [(SequenceKey(i), x) for i, x in enumerate(d)], None


def _list_unflatten(values: Iterable[Any], context: Context) -> list[Any]:
    return list(values)


def _dict_flatten(d: Any) -> tuple[list[Any], Context]:
    return list(d.values()), list(d)


def _dict_flatten_with_keys(d: Any) -> tuple[list[tuple[KeyEntry, Any]], Context]:
    return [(MappingKey(k), v) for k, v in d.items()], list(d)


def _dict_unflatten(values: Iterable[Any], context: Context) -> dict[Any, Any]:
    return dict(zip(context, values, strict=True))


def _named_with_keys(d: Any) -> tuple[list[tuple[KeyEntry, Any]], Context]:
    return [(GetAttrKey(name), x) for name, x in zip(type(d)._fields, d, strict=True)], type(d)


def _default_with_keys(d: Any) -> tuple[list[tuple[KeyEntry, Any]], Context]:
    return _dict_flatten_with_keys(d)[0], [d.default_factory, list(d)]


def _queue_with_keys(d: Any) -> tuple[list[tuple[KeyEntry, Any]], Context]:
    return _list_flatten_with_keys(d)[0], d.maxlen


_NAMED = namedtuple  # the key under which all named tuples stand
for _cls, _flatten, _unflatten, _keys in (
    (list, _list_flatten, _list_unflatten, _list_flatten_with_keys),
    (tuple, _list_flatten, lambda values, _: tuple(values), _list_flatten_with_keys),
    (dict, _dict_flatten, _dict_unflatten, _dict_flatten_with_keys),
    (
        OrderedDict,
        _dict_flatten,
        lambda values, keys: OrderedDict(zip(keys, values, strict=True)),
        _dict_flatten_with_keys,
    ),
    (
        defaultdict,
        lambda d: (list(d.values()), [d.default_factory, list(d)]),
        lambda values, context: defaultdict(context[0], zip(context[1], values, strict=True)),
        _default_with_keys,
    ),
    (deque, lambda d: (list(d), d.maxlen), lambda values, most: deque(values, maxlen=most), _queue_with_keys),
    (_NAMED, lambda d: (list(d), type(d)), lambda values, cls: cls(*values), _named_with_keys),
):
    SUPPORTED_NODES[_cls] = NodeDef(_cls, _flatten, _unflatten, _keys)  # type: ignore[index,arg-type]


_DICTS = (dict, OrderedDict, defaultdict)


def _get_node_type(tree: Any) -> Any:
    return _NAMED if is_namedtuple_instance(tree) else type(tree)


class TreeSpec:
    """The structure of a tree: what kind its root is, and the structures of its children."""

    def __init__(self, type: Any, context: Context, children_specs: list[TreeSpec]) -> None:
        self.type, self.context, self.children_specs = type, context, children_specs
        self.num_children = len(children_specs)
        self.num_leaves: int = sum(c.num_leaves for c in children_specs)
        self.num_nodes: int = 1 + sum(c.num_nodes for c in children_specs)

    def is_leaf(self) -> bool:
        """Whether there is nothing but a leaf."""
        return self.num_nodes == 1 and self.num_leaves == 1

    def children(self) -> list[TreeSpec]:
        """The structures of the children."""
        return list(self.children_specs)

    def child(self, index: int) -> TreeSpec:
        """One of them."""
        return self.children_specs[index]

    def flatten_up_to(self, tree: PyTree) -> list[PyTree]:
        """What stands in a tree where this structure has leaves; ValueError where it is another tree above them. Dicts
        of all kinds are met by their keys, in any order.
        """
        if self.is_leaf():
            return [tree]
        found = SUPPORTED_NODES.get(_get_node_type(tree))
        children, context = ([], None) if found is None else found.flatten_fn(tree)
        if self.type in _DICTS and _get_node_type(tree) in _DICTS:
            keys = self.context[1] if self.type is defaultdict else self.context
            if set(keys) != set(tree):
                raise ArgumentError(f"Node keys mismatch: expected {list(keys)}, got {list(tree)}")
            children = [tree[k] for k in keys]
        elif found is None or _get_node_type(tree) != self.type or context != self.context:
            raise ArgumentError(f"Type mismatch: expected a tree of {self.type!r}, got {type(tree)!r}")
        return [x for spec, child in zip(self.children_specs, children, strict=True) for x in spec.flatten_up_to(child)]

    def unflatten(self, leaves: Iterable[Any]) -> PyTree:
        """The tree of this structure with these leaves; ValueError for too few or too many."""
        given = list(leaves)
        if len(given) != self.num_leaves:
            raise ArgumentError(
                f"treespec.unflatten(leaves): `leaves` has length {len(given)} but the spec refers to a pytree that "
                f"holds {self.num_leaves} items ({self})."
            )
        return self._built(iter(given))

    def _built(self, leaves: Iterator[Any]) -> PyTree:
        if self.is_leaf():
            return next(leaves)
        return SUPPORTED_NODES[self.type].unflatten_fn([c._built(leaves) for c in self.children_specs], self.context)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TreeSpec)
            and (self.type, self.context) == (other.type, other.context)
            and self.children_specs == other.children_specs
        )

    def __hash__(self) -> int:
        return hash((self.type, repr(self.context), tuple(self.children_specs)))

    def __repr__(self) -> str:
        if self.is_leaf():
            return "*"
        return f"TreeSpec({self.type.__name__}, {self.context!r}, {self.children_specs!r})"


class LeafSpec(TreeSpec):
    """The structure of a leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])
        self.num_leaves = 1


_LEAF = LeafSpec()


def _flattened(tree: PyTree, is_leaf: IsLeaf, path: KeyPath, leaves: list[tuple[KeyPath, Any]]) -> TreeSpec:
    """The structure of a tree, whose leaves are added to a list with the way to each."""
    kind = _get_node_type(tree)
    node = SUPPORTED_NODES.get(kind)
    if node is None or (is_leaf is not None and is_leaf(tree)):
        leaves.append((path, tree))
        return _LEAF
    if node.flatten_with_keys_fn is not None:
        named, context = node.flatten_with_keys_fn(tree)
    else:
        children, context = node.flatten_fn(tree)
        named = [(SequenceKey(i), x) for i, x in enumerate(children)]
    return TreeSpec(kind, context, [_flattened(x, is_leaf, (*path, key), leaves) for key, x in named])


def tree_flatten_with_path(tree: PyTree, is_leaf: IsLeaf = None) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """Leaves with the way to each, and the structure.

    >>> [(keystr(path), leaf) for path, leaf in tree_flatten_with_path({"a": [1, 2]})[0]]
    [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    leaves: list[tuple[KeyPath, Any]] = []
    spec = _flattened(tree, is_leaf, (), leaves)
    return leaves, spec


def tree_flatten(tree: PyTree, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """Leaves, and the structure.

    >>> leaves, spec = tree_flatten({"a": 1, "b": (2, None)})
    >>> leaves, tree_unflatten([3, 4, 5], spec)
    ([1, 2, None], {'a': 3, 'b': (4, 5)})
    """
    leaves, spec = tree_flatten_with_path(tree, is_leaf)
    return [leaf for _, leaf in leaves], spec


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> PyTree:
    """The tree of a structure with these leaves; either order of arguments, as both were PyTorch's."""
    if isinstance(leaves, TreeSpec):
        leaves, treespec = treespec, leaves  # type: ignore[assignment]
    return treespec.unflatten(leaves)


def tree_leaves(tree: PyTree, is_leaf: IsLeaf = None) -> list[Any]:
    """Leaves alone."""
    return tree_flatten(tree, is_leaf)[0]


def tree_leaves_with_path(tree: PyTree, is_leaf: IsLeaf = None) -> list[tuple[KeyPath, Any]]:
    """Leaves with the way to each."""
    return tree_flatten_with_path(tree, is_leaf)[0]


def tree_iter(tree: PyTree, is_leaf: IsLeaf = None) -> Iterator[Any]:
    """Leaves, one after the other."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: PyTree, is_leaf: IsLeaf = None) -> TreeSpec:
    """The structure alone."""
    return tree_flatten(tree, is_leaf)[1]


def _broadcast_to_and_flatten(tree: PyTree, treespec: TreeSpec, is_leaf: IsLeaf = None) -> list[Any] | None:
    """The leaves of a tree, each as often as the structure has leaves in its place; None where the tree is no beginning
    of that structure.

    >>> _broadcast_to_and_flatten((0, None), tree_structure(([1, 2], 3)))
    [0, 0, None]
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    places: list[TreeSpec] = []

    def fits(prefix: TreeSpec, whole: TreeSpec) -> bool:
        if prefix.is_leaf():
            places.append(whole)
            return True
        same = (prefix.type, prefix.context, prefix.num_children) == (whole.type, whole.context, whole.num_children)
        return same and all(map(fits, prefix.children_specs, whole.children_specs))

    if not fits(spec, treespec):
        return None
    return [x for x, place in zip(leaves, places, strict=True) for _ in range(place.num_leaves)]


def tree_is_leaf(tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Whether it is no node."""
    return (is_leaf is not None and is_leaf(tree)) or _get_node_type(tree) not in SUPPORTED_NODES


def tree_map(func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None) -> PyTree:
    """The tree of what a function gives of each leaf, and of what stands there in other trees.

    >>> tree_map(lambda x, y: x + y, [1, (2, 3)], [10, (20, 30)])
    [11, (22, 33)]
    >>> tree_map(lambda x, y: x + y, {"a": 1, "b": 2}, {"b": 20, "a": 10})
    {'a': 11, 'b': 22}
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec.unflatten(map(func, leaves, *[spec.flatten_up_to(r) for r in rests]))


def tree_map_(func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None) -> PyTree:
    """Call a function on each leaf; the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_map_with_path(func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: IsLeaf = None) -> PyTree:
    """`tree_map` of a function that is also given the way to the leaf, first."""
    leaves, spec = tree_flatten_with_path(tree, is_leaf)
    others = [spec.flatten_up_to(r) for r in rests]
    return spec.unflatten([func(path, leaf, *more) for (path, leaf), *more in zip(leaves, *others, strict=True)])


def _only(kind: Any, func: Callable[[Any], Any], otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function for leaves of a type, or of which a predicate holds, and another one for all others."""
    chosen = kind if callable(kind) and not isinstance(kind, type) else (lambda x: isinstance(x, kind))
    return lambda x: func(x) if chosen(x) else otherwise(x)


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: PyTree, is_leaf: IsLeaf = None) -> PyTree:
    """`tree_map` on leaves of a type (or of types, or of which a predicate holds); others stay.

    >>> tree_map_only(int, lambda x: -x, [1, "a"])
    [-1, 'a']
    """
    return tree_map(_only(kind, func, lambda x: x), tree, is_leaf=is_leaf)


def tree_map_only_(kind: Any, func: Callable[[Any], Any], tree: PyTree, is_leaf: IsLeaf = None) -> PyTree:
    """Call a function on leaves of a type; the tree itself."""
    tree_map_only(kind, func, tree, is_leaf)
    return tree


def tree_all(pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves are so."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Whether a leaf is so."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def tree_all_only(kind: Any, pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves of a type are so."""
    return all(map(_only(kind, pred, lambda x: True), tree_leaves(tree, is_leaf)))


def tree_any_only(kind: Any, pred: Callable[[Any], bool], tree: PyTree, is_leaf: IsLeaf = None) -> bool:
    """Whether a leaf of a type is so."""
    return any(map(_only(kind, pred, lambda x: False), tree_leaves(tree, is_leaf)))


def keystr(kp: KeyPath) -> str:
    """A way as text."""
    return "".join(map(str, kp))


_NAMES: dict[Any, str] = {list: "builtins.list", tuple: "builtins.tuple", dict: "builtins.dict"}


def _plain(spec: TreeSpec) -> dict[str, Any]:
    if spec.is_leaf():
        return {"type": None, "context": None, "children_spec": []}
    if spec.type not in _NAMES:
        raise NotImplementedError(f"treespec_dumps: a tree with {spec.type!r} has no text")
    return {
        "type": _NAMES[spec.type],
        "context": json.dumps(spec.context),
        "children_spec": [_plain(c) for c in spec.children_specs],
    }


def treespec_dumps(treespec: TreeSpec, protocol: int | None = None) -> str:
    """A structure of dicts, lists and tuples as text.

    >>> treespec_loads(treespec_dumps(tree_structure({"a": [1, 2]})))
    TreeSpec(dict, ['a'], [TreeSpec(list, None, [*, *])])
    """
    return json.dumps((1, _plain(treespec)))


def _of_plain(found: dict[str, Any]) -> TreeSpec:
    if found["type"] is None:
        return _LEAF
    kind = next(k for k, name in _NAMES.items() if name == found["type"])
    return TreeSpec(kind, json.loads(found["context"]), [_of_plain(c) for c in found["children_spec"]])


def treespec_loads(serialized: str) -> TreeSpec:
    """The structure of a text."""
    return _of_plain(json.loads(serialized)[1])
