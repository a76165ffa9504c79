"""Programs that are compiled once and called with arrays of any sizes and steps: the bits of static programs."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.backends.c import CExecutable
from fdl.backends.family import Family
from fdl.backends.toolchain import find_compiler
from fdl.core.array import ConcreteArray, from_numpy
from fdl.core.avals import shaped
from fdl.core.config import config
from fdl.core.errors import DtypeError, ShapeError
from fdl.transforms import make_graph
from tests.conftest import needs_compiler
from tests.lowering.test_sizes import values

pytestmark = needs_compiler


def as_it_lies(x):
    """An array on the memory of an ndarray, at its steps."""
    return ConcreteArray(shaped(x.shape, x.dtype), x)


def family_of(f, *shapes, dtype="float32"):
    return Family(make_graph(f)(*[jnp.ones(s, dtype) for s in shapes]), find_compiler())


def compare(f, family, args):
    """One call, and the program that is compiled for these sizes."""
    found = family([as_it_lies(x) for x in args])
    given = [from_numpy(x) for x in args]
    wanted = CExecutable(make_graph(f)(*given), find_compiler())(given)
    for a, b in zip(found, wanted, strict=True):
        assert a.aval == b.aval
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), [x.shape for x in args]


def steps_of(x, way):
    """The same elements in other memory."""
    if way == "transposed":
        return np.ascontiguousarray(x.T).T
    if way == "reversed":
        return np.ascontiguousarray(x[(slice(None, None, -1),) * x.ndim])[(slice(None, None, -1),) * x.ndim]
    if way == "sliced":
        large = np.full([d * (2 + a) + 3 for a, d in enumerate(x.shape)], 99, x.dtype)
        large[tuple(slice(1, 1 + d * (2 + a), 2 + a) for a, d in enumerate(x.shape))] = x
        return large[tuple(slice(1, 1 + d * (2 + a), 2 + a) for a, d in enumerate(x.shape))]
    if way == "repeated" and x.shape[0]:
        return np.broadcast_to(x[:1], x.shape)
    return x


WAYS = ["in order", "transposed", "sliced", "reversed", "repeated"]
LENGTHS = [0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 300, 1024, 4095, 4096, 4097, 8192, 12291]


def mixed(x, y, z):
    return jnp.where(x > y, x * y, jnp.sqrt(jnp.abs(x - y))) + z


@pytest.mark.parametrize("way", WAYS)
def test_maps(way):
    family = family_of(mixed, (3, 5), (3, 5), (3, 1))
    for n in LENGTHS:
        for shape in ((2, n), (n, 3)):
            args = [values(shape, 1), values(shape, 2), values((shape[0], 1), 3)]
            compare(mixed, family, [steps_of(x, w) for x, w in zip(args, (way, "in order", way), strict=True)])
    assert family.programs <= 2  # in order, and at steps


def test_maps_of_more_axes():
    def f(x, y):
        return jnp.transpose(x, (2, 0, 3, 1)) * 2 + y

    family = family_of(f, (2, 3, 4, 5), (4, 2, 5, 3))
    for a, b, c, d in [(2, 3, 4, 5), (1, 1, 1, 1), (0, 2, 3, 4), (7, 2, 1, 33), (3, 16, 9, 2)]:
        for way in WAYS:
            compare(f, family, [steps_of(values((a, b, c, d)), way), steps_of(values((c, a, d, b), 4), "transposed")])
    assert family.programs <= 2  # at steps, and, since arrays of a few elements lie in order, one of them


FOLDS = {
    "sum of rows": lambda x: jnp.sum(x, 1),
    "sum of columns": lambda x: jnp.sum(x, 0),
    "largest of rows": lambda x: fdl.lax.reduce_max(x, (1,)),
    "largest of columns": lambda x: fdl.lax.reduce_max(x, (0,)),
    "where the largest of rows is": lambda x: jnp.argmax(x, 1),
    "where the largest of columns is": lambda x: jnp.argmax(x, 0),
    "sum of squares": lambda x: jnp.sum(x * x, 1),
}


@pytest.mark.parametrize("name", FOLDS)
def test_folds(name):
    f = FOLDS[name]
    family = family_of(f, (6, 5))
    for n in LENGTHS:
        for shape in ((3, n), (n, 4)):
            if n or name.startswith("sum"):
                x = values(shape)
                x[x > 500] = np.nan if "largest" in name else 500
                for way in WAYS:
                    compare(f, family, [steps_of(x, way)])
    compare(f, family, [values((2, 3, 4097))[0]])
    assert family.programs == 2  # in order, and at steps


def test_folds_of_more_pieces_than_a_program_was_made_for():
    f = FOLDS["sum of columns"]
    family = family_of(f, (300, 2))
    for n in (16384, 16385, 40000):
        compare(f, family, [values((n, 2))])
    assert family.programs == 2


@pytest.mark.parametrize("dtype", ["float64", "int32", "bfloat16", "bool"])
def test_folds_of_other_types(dtype):
    for name in ("sum of rows", "sum of columns", "largest of rows", "largest of columns"):
        family = family_of(FOLDS[name], (6, 5), dtype=dtype)
        for shape in [(6, 5), (9, 130), (130, 9), (5000, 2), (2, 5000)]:
            x = np.asarray(jnp.asarray(values(shape)).astype(dtype))
            compare(FOLDS[name], family, [x])
            compare(FOLDS[name], family, [steps_of(x, "sliced")])
        assert family.programs == 2


def product(x, y):
    return jnp.matmul(x, y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("way", WAYS)
def test_products(way, dtype):
    family = family_of(product, (30, 50), (50, 40), dtype=dtype)
    for m, k, n in [(30, 50, 40), (1, 65, 9), (9, 64, 127), (128, 2, 3), (33, 4097, 300), (65, 300, 65), (257, 70, 1)]:
        x, y = values((m, k)).astype(dtype), values((k, n), 1).astype(dtype)
        compare(product, family, [steps_of(x, way), steps_of(y, "sliced" if way == "repeated" else way)])
        compare(product, family, [x, steps_of(y, way)])
    assert family.programs <= 6


@pytest.mark.parametrize("way", WAYS)
def test_batches_of_products(way):
    family = family_of(product, (3, 30, 50), (3, 50, 40))
    for b, m, k, n in [(3, 30, 50, 40), (2, 9, 65, 9), (7, 64, 64, 64), (16, 33, 3, 70), (5, 1, 4095, 100)]:
        x, y = values((b, m, k)), values((b, k, n), 1)
        compare(product, family, [steps_of(x, way), steps_of(y, "sliced" if way == "repeated" else way)])
    assert family.programs <= 2


def test_small_products_and_sizes_of_1_have_programs_of_their_own():
    family = family_of(product, (30, 50), (50, 40))
    for m, k, n in [(30, 50, 40), (3, 3, 3), (3, 8, 4), (3, 9, 4), (7, 0, 2), (5, 1, 300), (0, 5, 5), (300, 1, 7)]:
        compare(product, family, [values((m, k)), values((k, n), 1)])
    assert family.programs <= 5


def softmax(x):
    shifted = jnp.exp(x - jnp.max(x, 1, keepdims=True))
    return shifted / jnp.sum(shifted, 1, keepdims=True)


def test_a_program_of_several_stages_gets_its_memory_by_size():
    def f(x, y):
        return softmax(x) @ y, jnp.sum(x, 0)

    family = family_of(f, (30, 40), (40, 50))
    for m, k, n in [(30, 40, 50), (2, 300, 30), (300, 40, 50), (64, 64, 64), (31, 127, 300)]:
        compare(f, family, [np.clip(values((m, k)), -9, 9), values((k, n), 1)])
    assert family.programs == 1


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_bits_do_not_depend_on_threads(threads):
    family = family_of(softmax, (30, 40))
    outer = config.threads
    try:
        config.threads = threads
        for shape in [(3, 5), (1000, 300), (2, 100_000), (20_000, 9)]:
            compare(softmax, family, [np.clip(values(shape), -9, 9)])
    finally:
        config.threads = outer
    assert family.programs == 1


def test_params_that_do_not_follow_from_inputs_are_those_of_the_graph_at_hand():
    def graph(n, m):
        return make_graph(lambda x: jnp.reshape(x, (n, m)))(jnp.ones((m, n)))

    family = Family(graph(3, 4), find_compiler())
    for n, m in [(3, 4), (5, 300), (2, 6)]:
        x = values((m, n))
        (found,) = family([as_it_lies(x)], graph(n, m))
        assert found.shape == (n, m) and np.asarray(found).tobytes() == x.tobytes()
    assert family.programs == 1
    with pytest.raises(ShapeError):
        family([as_it_lies(values((7, 7)))])


def test_what_is_sliced_and_made_follows_from_params():
    def graph(n):
        def f(x):
            return x[2 : n - 1] * 2 + jnp.arange(n - 3, dtype="float32"), jnp.zeros((n, 2))

        return make_graph(f)(jnp.ones(n))

    family = Family(graph(9), find_compiler())
    for n in (9, 10, 65, 4097):
        x = values((n,))
        found = family([as_it_lies(x)], graph(n))
        wanted = [x[2 : n - 1] * 2 + np.arange(n - 3, dtype=np.float32), np.zeros((n, 2), np.float32)]
        assert [np.asarray(a).tobytes() for a in found] == [w.tobytes() for w in wanted]
    assert family.programs == 1


def test_memory_stays_flat_over_many_shapes():
    family = family_of(FOLDS["sum of rows"], (6, 5))
    for n in range(1500):
        family([as_it_lies(np.ones((1 + n % 7, n), np.float32))])
    assert family.programs == 1 and len(family._calls) <= 256


@pytest.mark.parametrize("args", [[np.ones((6, 5), "int32")], [np.ones((6, 5), "float32")] * 2, []])
def test_inputs_are_those_of_the_recording(args):
    family = family_of(FOLDS["sum of rows"], (6, 5))
    family([as_it_lies(np.ones((6, 5), "float32"))])
    with pytest.raises(DtypeError, match="a program for inputs of float32 got"):
        family([as_it_lies(x) for x in args])
