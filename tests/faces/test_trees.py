"""`fdl.tree_util` and `fdl.tree`: each call gives what JAX's gives."""

import collections
import dataclasses
import functools

import pytest

import fdl
import fdl.numpy as jnp
from fdl import tree, tree_util
from fdl.core.errors import StructureError

Point = collections.namedtuple("Point", "x y")
TREE = {"b": (1, [2, None]), "a": Point(3, {"c": 4})}
CALLS = [
    ("[(tree_util.keystr(p), v) for p, v in tree_util.tree_leaves_with_path(TREE)]",
     [("['a'].x", 3), ("['a'].y['c']", 4), ("['b'][0]", 1), ("['b'][1][0]", 2)]),
    ("[tree_util.keystr(p, simple=True, separator='/') for p, _ in tree_util.tree_flatten_with_path(TREE)[0]]",
     ["a/x", "a/y/c", "b/0", "b/1/0"]),
    ("tree_util.tree_leaves_with_path([7])[0][0][0].idx", 0),
    ("tree_util.tree_leaves_with_path({5: 7})[0][0][0].key", 5),
    ("str(tree_util.GetAttrKey('w')) + str(tree_util.FlattenedIndexKey(3)) + str(tree_util.DictKey('k'))",
     ".w[<flat index 3>]['k']"),
    ("tree_util.DictKey('a') == tree_util.DictKey('a'), tree_util.SequenceKey(0) == tree_util.DictKey(0)", (True, False)),
    ("tree_util.tree_map_with_path(lambda p, x, y: (len(p), x + y), TREE, TREE)",
     {"a": Point((2, 6), {"c": (3, 8)}), "b": ((2, 2), [(3, 4), None])}),
    ("tree_util.tree_map_with_path(lambda p, x: x, [1, (2, 3)], is_leaf=lambda x: isinstance(x, tuple))", [1, (2, 3)]),
    ("tree_util.tree_broadcast((1, 2), ({'a': 5, 'b': 6}, 7))", ({"a": 1, "b": 1}, 2)),
    ("tree_util.tree_transpose(tree_util.tree_structure([0, 0]), tree_util.tree_structure({'a': 0, 'b': 0}), "
     "[{'a': 1, 'b': 2}, {'a': 3, 'b': 4}])", {"a": [1, 3], "b": [2, 4]}),
    ("tree_util.tree_transpose(tree_util.tree_structure([0, 0]), None, [(1, 2), (3, 4)])", ([1, 3], [2, 4])),
    ("tree_util.tree_reduce(lambda a, b: a + b, TREE)", 10),
    ("tree_util.tree_reduce(lambda a, b: a + b, TREE, 100)", 110),
    ("tree_util.tree_reduce_associative(lambda a, b: f'({a}{b})', list('abcde'))", "((ab)(c(de)))"),
    ("tree_util.tree_reduce_associative(lambda a, b: a + b, [], identity=9)", 9),
    ("tree_util.tree_all([1, {'a': True}]), tree_util.tree_all([1, 0])", (True, False)),
    ("tree_util.all_leaves([1, 'a']), tree_util.all_leaves([1, (2,)]), tree_util.all_leaves([None])", (True, False, False)),
    ("tree_util.tree_leaves(collections.defaultdict(list, {'b': 1, 'a': [2]}))", [2, 1]),
    ("tree_util.tree_map(lambda x: x + 1, collections.defaultdict(list, {'b': 1})).default_factory is list", True),
    ("len(tree_util.treedef_children(tree_util.tree_structure([1, (2, 3)])))", 2),
    ("tree_util.treedef_is_leaf(tree_util.tree_structure(1)), tree_util.treedef_is_leaf(tree_util.tree_structure([1]))",
     (True, False)),
    ("tree_util.treedef_tuple([tree_util.tree_structure(1), tree_util.tree_structure([2])]).unflatten([5, 6])", (5, [6])),
    ("tree_util.treedef_tuple([tree_util.tree_structure(1)]) == tree_util.tree_structure((0,))", True),
    ("tree_util.Partial(lambda a, b: a - b, 7)(2)", 5),
    ("tree_util.tree_leaves(tree_util.Partial(max, 7, key=3))", [7, 3]),
    ("tree_util.tree_map(lambda x: x + 1, tree_util.Partial(lambda a, b: a - b, 7))(2)", 6),
    ("[tree_util.keystr(p) for p, _ in tree_util.tree_leaves_with_path(tree_util.Partial(max, 7, key=3))]",
     ["[<flat index 0>][0]", "[<flat index 1>]['key']"]),
    ("tree.map_with_path(lambda p, x: p[-1].idx, [5, 6]), tree.leaves_with_path((4,))[0][1]", ([0, 1], 4)),
    ("tree.reduce_associative(lambda a, b: a * b, {'a': 2, 'b': 5}), tree.all([]), tree.broadcast(3, [1, 2])",
     (10, True, [3, 3])),
]  # fmt: skip


def evaluated(text, modules):
    return eval(text, {"TREE": TREE, "Point": Point, "collections": collections, **modules})


@pytest.mark.parametrize("text, expected", CALLS)
def test_calls(text, expected):
    assert evaluated(text, {"tree_util": tree_util, "tree": tree}) == expected


@pytest.mark.peers
@pytest.mark.parametrize("text, expected", CALLS)
def test_jax_says_the_same(text, expected):
    jax = pytest.importorskip("jax")
    assert evaluated(text, {"tree_util": jax.tree_util, "tree": jax.tree}) == expected


def test_registered_classes_are_containers_with_keys():
    @tree_util.register_pytree_with_keys_class
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

        def tree_flatten_with_keys(self):
            return [(tree_util.GetAttrKey("a"), self.a), (tree_util.GetAttrKey("b"), self.b)], "aux"

        @classmethod
        def tree_unflatten(cls, aux, children):
            assert aux == "aux"
            return cls(*children)

    class Bare:
        def __init__(self, x):
            self.x = x

    tree_util.register_pytree_node(Bare, lambda b: ((b.x,), None), lambda aux, xs: Bare(*xs))
    tangled = Pair(1.0, Bare([2.0]))
    assert [tree_util.keystr(p) for p, _ in tree_util.tree_leaves_with_path(tangled)] == [".a", ".b[<flat index 0>][0]"]
    gradient = fdl.grad(lambda p: p.a * p.b.x[0])(tangled)
    assert (float(gradient.a), float(gradient.b.x[0])) == (2.0, 1.0)
    assert tree_util.flatten_one_level(tangled)[0][0] == 1.0


def test_dataclasses_by_their_fields():
    @functools.partial(tree_util.register_dataclass, data_fields=["w"], meta_fields=["name"], drop_fields=["cache"])
    @dataclasses.dataclass
    class Layer:
        w: object
        name: str
        cache: int = 0

    @tree_util.register_dataclass
    @dataclasses.dataclass
    class Scaled:
        x: object
        by: str = tree.static(default="mean")

    moved = fdl.jit(lambda layer: tree.map(lambda w: 2 * w, layer))(Layer(jnp.ones(2), "a", cache=5))
    assert (moved.w.tolist(), moved.name, moved.cache) == ([2.0, 2.0], "a", 0)
    assert tree.leaves(Scaled(2.0, "sum")) == [2.0]
    assert tree.structure(Scaled(2.0, "sum")) != tree.structure(Scaled(2.0))
    with pytest.raises(StructureError, match="are not the fields"):
        tree_util.register_dataclass(Layer, ["w"], [])
    with pytest.raises(StructureError, match="no dataclass"):
        tree_util.register_dataclass(int)


def test_static_containers_hold_no_leaf_and_retrace_by_value():
    traces = []

    @tree_util.register_static
    @dataclasses.dataclass(frozen=True)
    class Mode:
        name: str

    @fdl.jit
    def step(mode, x):
        traces.append(mode.name)
        return x + 1 if mode.name == "up" else x - 1

    assert [float(step(Mode(m), 1.0)) for m in ("up", "down", "up")] == [2.0, 0.0, 2.0]
    assert traces == ["up", "down"]
    assert tree.leaves((Mode("up"), 3)) == [3]


def test_partial_is_an_argument_of_transforms():
    square = tree_util.Partial(lambda a, x: a * x * x, jnp.float32(3.0))
    assert float(fdl.jit(lambda f, x: f(x))(square, 2.0)) == 12.0
    assert float(fdl.grad(lambda f: f(2.0))(square).args[0]) == 4.0


def test_errors():
    with pytest.raises(StructureError, match="no leaf"):
        tree.reduce_associative(lambda a, b: a, [])
    with pytest.raises(StructureError, match="is a leaf"):
        tree_util.flatten_one_level(3)
    with pytest.raises(StructureError):
        tree.broadcast((1, 2, 3), (1, 2))
