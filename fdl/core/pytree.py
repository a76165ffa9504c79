"""Nested containers as flat lists of leaves and a structure.

Nodes: dict (by sorted key), OrderedDict, list, tuple, namedtuple, None, dataclass instances (fields with
`metadata={"static": True}` are part of the structure; in JAX's place only those of registered classes), registered
classes and subclasses of registered families.
Everything else is a leaf. Key paths name a leaf in error messages.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from fdl.core.config import config
from fdl.core.errors import StructureError

Leaf = Any
Tree = Any


@dataclasses.dataclass(frozen=True)
class SequenceKey:
    """A step of a key path: a place in a list or tuple."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx}]"


@dataclasses.dataclass(frozen=True)
class DictKey:
    """A step of a key path: a key of a dict."""

    key: Hashable

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclasses.dataclass(frozen=True)
class GetAttrKey:
    """A step of a key path: an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclasses.dataclass(frozen=True)
class FlattenedIndexKey:
    """A step of a key path: a child of a container that has no names for its children."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


KeyEntry = SequenceKey | DictKey | GetAttrKey | FlattenedIndexKey | Hashable  # what is said by its text
KeyPath = tuple[KeyEntry, ...]


class NodeKind(NamedTuple):
    """How one container class comes apart and together again."""

    flatten: Callable[[Any], tuple[Sequence[Any], Hashable]]
    unflatten: Callable[[Any, Sequence[Any]], Any]
    keys: Callable[[Any, Hashable], Sequence[KeyEntry]]
    constants: Callable[[Hashable], Sequence[bool]] | None = None  # which leaves `grad` takes for constants, from aux


def _positions(node: Any, aux: Any) -> list[KeyEntry]:
    return [SequenceKey(i) for i in range(len(node))]


def _names(node: Any, keys: Any) -> list[KeyEntry]:
    return [DictKey(k) for k in keys]


def _sorted_keys(node: dict[Any, Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(node))
    except TypeError:  # keys of several types
        return tuple(sorted(node, key=lambda k: (type(k).__name__, repr(k))))


def _flatten_dict(node: dict[Any, Any]) -> tuple[list[Any], Hashable]:
    keys = _sorted_keys(node)
    return [node[k] for k in keys], keys


_KINDS: dict[type, NodeKind] = {
    tuple: NodeKind(lambda n: (n, None), lambda aux, xs: tuple(xs), _positions),
    list: NodeKind(lambda n: (n, None), lambda aux, xs: list(xs), _positions),
    dict: NodeKind(_flatten_dict, lambda keys, xs: dict(zip(keys, xs, strict=True)), _names),
    collections.defaultdict: NodeKind(
        lambda n: (_flatten_dict(n)[0], (n.default_factory, _sorted_keys(n))),
        lambda aux, xs: collections.defaultdict(aux[0], zip(aux[1], xs, strict=True)),  # type: ignore[index]
        lambda n, aux: _names(n, aux[1]),  # type: ignore[index]
    ),
    collections.OrderedDict: NodeKind(
        lambda n: (list(n.values()), tuple(n)),
        lambda keys, xs: collections.OrderedDict(zip(keys, xs, strict=True)),
        _names,
    ),
    type(None): NodeKind(lambda n: ((), None), lambda aux, xs: None, lambda n, aux: []),
}
_LEAF_CLASSES: set[type] = set()
_FAMILIES: list[tuple[type, Callable[[type], NodeKind]]] = []


def register_node(
    cls: type,
    flatten: Callable[[Any], tuple[Sequence[Any], Hashable]],
    unflatten: Callable[[Any, Sequence[Any]], Any],
    keys: Callable[[Any, Hashable], Sequence[KeyEntry]] | None = None,
) -> None:
    """Make instances of `cls` containers: `flatten(x) -> (children, aux)`, `unflatten(aux, children) -> x`, `aux`
    hashable.

    >>> class Pair:
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    >>> register_node(Pair, lambda p: ((p.a, p.b), None), lambda aux, xs: Pair(*xs))
    >>> tree_leaves(Pair(1, [2, 3]))
    [1, 2, 3]
    """
    _KINDS[cls] = NodeKind(
        flatten, unflatten, keys or (lambda node, aux: [FlattenedIndexKey(i) for i in range(len(flatten(node)[0]))])
    )
    _LEAF_CLASSES.discard(cls)


def register_family(base: type, kind_of: Callable[[type], NodeKind]) -> None:
    """Make instances of `base` and of all its subclasses containers; `kind_of` is called once for each class, when one
    is first met.
    """
    _FAMILIES.append((base, kind_of))


def _derive_kind(cls: type) -> NodeKind | None:
    """The kind of a family's member, a namedtuple or a dataclass, from its class."""
    for base, kind_of in _FAMILIES:
        if issubclass(cls, base):
            return kind_of(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names = tuple(cls._fields)
        return NodeKind(
            lambda n: (n, None), lambda aux, xs: cls(*xs), lambda n, aux: [GetAttrKey(name) for name in names]
        )
    if dataclasses.is_dataclass(cls) and config.dataclass_trees:
        fields = dataclasses.fields(cls)
        dynamic = [f.name for f in fields if not f.metadata.get("static")]
        static = [f.name for f in fields if f.metadata.get("static")]

        def flatten(node: Any) -> tuple[list[Any], Hashable]:
            return [getattr(node, n) for n in dynamic], tuple(getattr(node, n) for n in static)

        def unflatten(aux: Any, children: Sequence[Any]) -> Any:
            node = object.__new__(cls)
            for name, value in zip((*dynamic, *static), (*children, *aux), strict=True):
                object.__setattr__(node, name, value)
            return node

        return NodeKind(flatten, unflatten, lambda n, aux: [GetAttrKey(name) for name in dynamic])
    return None


def _kind(cls: type) -> NodeKind | None:
    kind = _KINDS.get(cls)
    if kind is None and cls not in _LEAF_CLASSES:
        kind = _derive_kind(cls)
        if kind is None:
            _LEAF_CLASSES.add(cls)
        else:
            _KINDS[cls] = kind
    return kind


class TreeDef:
    """The structure of a tree: hashable, comparable, and able to rebuild it from leaves.

    >>> leaves, treedef = tree_flatten({"b": (1, 2), "a": None})
    >>> treedef
    TreeDef({'a': None, 'b': (*, *)})
    >>> treedef.unflatten([3, 4])
    {'a': None, 'b': (3, 4)}
    """

    __slots__ = ("_hash", "aux", "children", "cls", "constants", "num_leaves")

    def __init__(self, cls: type | None, aux: Hashable, children: tuple[TreeDef, ...]) -> None:
        self.cls, self.aux, self.children = cls, aux, children
        self.num_leaves: int = 1 if cls is None else sum(c.num_leaves for c in children)
        self._hash = hash((cls, aux, children))
        kind = _KINDS.get(cls) if cls is not None else None
        self.constants: tuple[bool, ...] | None = (
            None  # for each leaf, whether `grad` takes it for a constant; None where it takes none
        )
        if kind is not None and kind.constants is not None:
            self.constants = tuple(kind.constants(aux))
        elif any(c.constants for c in children):
            self.constants = tuple([x for c in children for x in c.constants or (False,) * c.num_leaves])

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, TreeDef) or self._hash != other._hash:
            return False
        return self.cls is other.cls and bool(self.aux == other.aux) and self.children == other.children

    def unflatten(self, leaves: Iterable[Leaf]) -> Tree:
        """The tree of this structure with these leaves; StructureError when their number is wrong."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise StructureError(f"unflatten: {self} has {self.num_leaves} leaves, got {len(leaves)}")
        return self._build(iter(leaves))

    def _build(self, leaves: Any) -> Tree:
        if self.cls is None:
            return next(leaves)
        children = [next(leaves) if child.cls is None else child._build(leaves) for child in self.children]
        if self.cls is tuple:
            return tuple(children)
        return _KINDS[self.cls].unflatten(self.aux, children)

    def flatten_up_to(self, tree: Tree) -> list[Tree]:
        """The subtrees of `tree` that stand where this structure has leaves."""
        out: list[Tree] = []
        self._flatten_up_to(tree, out, "")
        return out

    def _flatten_up_to(self, tree: Tree, out: list[Tree], path: str) -> None:
        if self.cls is None:
            out.append(tree)
            return
        kind = _kind(type(tree))
        children, aux = kind.flatten(tree) if kind else ((), None)
        if type(tree) is not self.cls or aux != self.aux or len(children) != len(self.children):
            raise StructureError(
                f"the trees differ at `{path or 'the top'}`: expected {self}, got {tree_structure(tree)}"
            )
        assert kind is not None
        for key, child, sub in zip(kind.keys(tree, aux), children, self.children, strict=True):
            sub._flatten_up_to(child, out, f"{path}{key}")

    def __repr__(self) -> str:
        return f"TreeDef({self._text()})"

    def _text(self) -> str:
        if self.cls is None:
            return "*"
        parts = [c._text() for c in self.children]
        if self.cls is type(None):
            return "None"
        if self.cls is tuple:
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if self.cls is list:
            return f"[{', '.join(parts)}]"
        if self.cls is dict:
            return "{" + ", ".join(f"{k!r}: {p}" for k, p in zip(self.aux, parts, strict=True)) + "}"  # type: ignore[call-overload]
        return f"{self.cls.__name__}({', '.join(parts)})"


LEAF = TreeDef(None, None, ())


# A structure as nested tuples (class, aux, children), None for a leaf: hashed and compared in C, and made a TreeDef
# once.
_INTERNED: dict[Any, TreeDef] = {None: LEAF}
_MAX_INTERNED = 10_000


def _structure(tree: Tree, leaves: list[Leaf], is_leaf: Callable[[Any], bool] | None) -> Any:
    """Append the leaves and return the structure."""
    cls = type(tree)
    if is_leaf is None:  # the containers and leaves that arguments are mostly made of
        if cls is tuple or cls is list:
            return cls, None, tuple([_structure(c, leaves, None) for c in tree])
        if cls in _LEAF_CLASSES:
            leaves.append(tree)
            return None
        if cls is dict and not tree:
            return dict, (), ()
    kind = _KINDS.get(cls) or _kind(cls)
    if kind is None or (is_leaf is not None and is_leaf(tree)):
        leaves.append(tree)
        return None
    children, aux = kind.flatten(tree)
    return cls, aux, tuple([_structure(c, leaves, is_leaf) for c in children])


def _interned(structure: Any) -> TreeDef:
    found = _INTERNED.get(structure)
    if found is None:
        if len(_INTERNED) > _MAX_INTERNED:
            _INTERNED.clear()
            _INTERNED[None] = LEAF
        cls, aux, children = structure
        found = _INTERNED[structure] = TreeDef(cls, aux, tuple(map(_interned, children)))
    return found


def tree_flatten(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Leaf], TreeDef]:
    """(leaves, structure) of nested containers.

    >>> tree_flatten([1, {"a": 2}])
    ([1, 2], TreeDef([*, {'a': *}]))
    """
    leaves: list[Leaf] = []
    return leaves, _interned(_structure(tree, leaves, is_leaf))


def tree_unflatten(treedef: TreeDef, leaves: Iterable[Leaf]) -> Tree:
    """The tree of structure `treedef` with these leaves.

    >>> tree_unflatten(tree_structure((0, [0])), "ab")
    ('a', ['b'])
    """
    return treedef.unflatten(leaves)


def tree_leaves(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> list[Leaf]:
    """The leaves, from left to right; None holds none.

    >>> tree_leaves([1, None, (2,)])
    [1, 2]
    """
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> TreeDef:
    """The structure without the leaves.

    >>> tree_structure([1, (2, 3)])
    TreeDef([*, (*, *)])
    """
    return tree_flatten(tree, is_leaf)[1]


def tree_map(f: Callable[..., Any], tree: Tree, *rest: Tree, is_leaf: Callable[[Any], bool] | None = None) -> Tree:
    """`f` applied leaf by leaf to trees of one structure; StructureError where they differ.

    >>> tree_map(lambda a, b: a + b, {"x": 1, "y": (2,)}, {"x": 10, "y": (20,)})
    {'x': 11, 'y': (22,)}
    """
    leaves, treedef = tree_flatten(tree, is_leaf)
    try:
        others = [treedef.flatten_up_to(other) for other in rest]
    except StructureError as error:
        raise StructureError(
            "tree.map: " + str(error.args[0]).split("\n")[0],
            why="the function takes one leaf of each tree",
            hint="trees of one structure: fdl.tree.structure(x) shows it",
        ) from None
    return treedef.unflatten([f(*xs) for xs in zip(leaves, *others, strict=True)])


def _flatten_paths(
    tree: Tree, prefix: KeyPath, is_leaf: Callable[[Any], bool] | None, out: list[tuple[KeyPath, Leaf]]
) -> None:
    kind = None if is_leaf is not None and is_leaf(tree) else _kind(type(tree))
    if kind is None:
        out.append((prefix, tree))
        return
    children, aux = kind.flatten(tree)
    for key, child in zip(kind.keys(tree, aux), children, strict=True):
        _flatten_paths(child, (*prefix, key), is_leaf, out)


def leaves_with_path(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[KeyPath, Leaf]]:
    """(key path, leaf) pairs: how a leaf is reached, step by step.

    >>> leaves_with_path({"w": [1]})
    [((DictKey(key='w'), SequenceKey(idx=0)), 1)]
    """
    out: list[tuple[KeyPath, Leaf]] = []
    _flatten_paths(tree, (), is_leaf, out)
    return out


def tree_paths(tree: Tree, is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[str, Leaf]]:
    """(key path, leaf) pairs, as errors name them.

    >>> tree_paths({"w": [1, 2]})
    [("['w'][0]", 1), ("['w'][1]", 2)]
    """
    return [("".join(map(str, path)), leaf) for path, leaf in leaves_with_path(tree, is_leaf)]


def broadcast_prefix(prefix: Tree, tree: Tree, what: str, is_leaf: Callable[[Any], bool] | None = None) -> list[Leaf]:
    """Leaves of `prefix`, each repeated for all leaves of the subtree of `tree` that it stands for (vmap's in_axes).

    >>> broadcast_prefix((0, None), ({"a": 1, "b": 2}, 3), "in_axes", is_leaf=lambda x: x is None)
    [0, 0, None]
    """
    values, treedef = tree_flatten(prefix, is_leaf)
    try:
        subtrees = treedef.flatten_up_to(tree)
    except StructureError as error:
        detail = str(error.args[0]).split("\n")[0]
        raise StructureError(
            f"{what}: {prefix!r} is no prefix of the structure {tree_structure(tree)}",
            why=detail,
            hint="one axis for each argument, or one for all",
        ) from None
    return [value for value, sub in zip(values, subtrees, strict=True) for _ in tree_leaves(sub)]
