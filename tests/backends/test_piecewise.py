"""Graphs that run operation by operation on compiled programs: the bits of whole programs, and of lines one by one."""

import itertools
import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl import lax, ops
from fdl.backends import cache, family, pieces, piecewise, recipe, runtime
from fdl.backends.c import CExecutable
from fdl.backends.executable import Interpreted
from fdl.backends.piecewise import Listing, Piecewise
from fdl.backends.toolchain import find_compiler
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.errors import CompileError, MissingRuleError
from fdl.core.primitive import Primitive
from fdl.passes.generalize import generalize
from fdl.testing import count_compilations
from fdl.transforms import make_graph
from fdl.transforms.lazy import current_recorder, flush, programs, set_eager
from tests.conftest import needs_compiler
from tests.lowering.drawn import ALL, examples
from tests.lowering.drawn import programs as drawn_programs
from tests.ops.test_samples import WITH_SAMPLES, good, joint_graph

pytestmark = needs_compiler


def bits(arrays):
    return [(np.shape(x), np.asarray(x).dtype, np.asarray(x).tobytes()) for x in arrays]


def compare(graph, arrays):
    """Both ways to run a graph, at 1 and 3 threads."""
    whole, piecewise = CExecutable(graph, find_compiler()), Piecewise(graph, find_compiler())
    wanted = bits(whole(arrays))
    for threads in (3, 1):
        config.set_threads(threads)
        assert bits(piecewise(arrays)) == wanted


SOME = "dot_general conv reduce_sum argmax cumsum gather scatter_add argsort random_bits lgamma".split()


def test_some_samples():
    chosen = [(p, good(p)[:1]) for p in WITH_SAMPLES if p.name in SOME]
    assert len(chosen) == len(SOME)
    args = [a for p, (s,) in chosen for a in s.make(p.name)]

    def f(*xs):
        given = iter(xs)
        return [p.bind(*[next(given) for _ in s.args], **s.params) for p, (s,) in chosen]

    arrays = [from_numpy(a) for a in args]
    compare(make_graph(f)(*arrays), arrays)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: jnp.matmul(jnp.tanh(x), y),
        lambda x, y: jnp.einsum("bik,bkj->bij", x, y * 2),
        lambda x, y: jnp.einsum("bik,bjk->bij", x + 1, jnp.full((2, 4, 200), 0.3)),
    ],
)
def test_long_sums_of_operands_that_are_computed(f):
    rng = np.random.default_rng(0)
    arrays = [from_numpy(rng.normal(size=shape).astype("f")) for shape in ((2, 3, 200), (2, 200, 3))]
    compare(make_graph(f)(*arrays), arrays)


@pytest.mark.slow
@pytest.mark.parametrize("primitive", WITH_SAMPLES, ids=lambda p: p.name)
def test_all_samples(primitive):
    graph, args = joint_graph(primitive, good(primitive))
    compare(graph, [from_numpy(a) for a in args])


# Recorded programs and jit


def afresh(tier, run, eager=False, threads=2):
    """What a function returns where nothing has been recorded, in a tier."""
    flush()
    programs._PROGRAMS.clear()
    current_recorder().forget()
    config.tier = tier
    config.set_threads(threads)
    set_eager(eager)
    try:
        return run()
    finally:
        set_eager(False)


WAYS = [("native", False, 1), ("native", False, 3), ("native", True, 2)]


def agree(run):
    """Whether a function has the same bits in all tiers but the interpreter."""
    wanted = bits(afresh("compiled", run))
    for tier, eager, threads in WAYS:
        assert bits(afresh(tier, run, eager, threads)) == wanted, (tier, eager, threads)


@examples(2)
@given(drawn_programs(ALL), st.sampled_from([(3, 4), (17, 9), (12, 16)]), st.integers(0, 99))
def test_random_programs(f, shape, seed):
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    agree(lambda: f(jnp.asarray(x)))
    agree(lambda: fdl.jit(f)(jnp.asarray(x)))


def mlp():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.GELU(), torch.nn.Dropout(0.3), torch.nn.Linear(30, 5))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = torch.randn(16, 20), torch.randint(0, 5, (16,))
    losses = []
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().numpy().copy())
    return [*losses, *(p.detach().numpy().copy() for p in model.parameters())]


def convolutions():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(128, 4),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(4, 3, 8, 8)).square().mean().backward()
        optimizer.step()
    return [p.detach().numpy().copy() for p in [*model.parameters(), *model.buffers()]]


def recurrent():
    torch.manual_seed(0)
    model = torch.nn.GRU(5, 7)
    for length in (4, 6):
        model.zero_grad()
        model(torch.randn(length, 2, 5))[0].square().sum().backward()
    return [p.grad.numpy().copy() for p in model.parameters()]


SLOW = [pytest.param(run, marks=pytest.mark.slow) for run in (convolutions, recurrent)]


@pytest.mark.parametrize("run", [mlp, *SLOW])
def test_training(run):
    agree(run)


def test_nothing_is_interpreted(monkeypatch):
    monkeypatch.setattr(Interpreted, "__call__", lambda self, arrays: pytest.fail("interpreted"))
    assert afresh("native", lambda: float(fdl.nn.softmax(jnp.ones(4)).sum())) == pytest.approx(1.0)


# Lists


def values_of(f, *args):
    arrays = [jnp.asarray(x) for x in args]
    graph, captured = make_graph(f)(*arrays).lift()
    return [np.asarray(x) for x in Piecewise(graph, find_compiler())([*captured, *arrays])]


def test_results_that_are_no_step_of_their_own():
    x = np.arange(6, dtype=np.float32)

    def f(x):
        y = x * 2
        return x, y, y, y.reshape(2, 3), x.reshape(3, 2), jnp.float32(3.0), y.reshape(2, 3) + 1

    x2 = x * 2
    found = values_of(f, x)
    for got, want in zip(found, [x, x2, x2, x2.reshape(2, 3), x.reshape(3, 2), 3.0, x2.reshape(2, 3) + 1], strict=True):
        np.testing.assert_array_equal(got, want)
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(found, 2))


def test_nothing_to_do_and_nothing_in_it():
    assert values_of(lambda x: x, np.zeros((0, 3), np.float32))[0].shape == (0, 3)
    assert values_of(lambda x: jnp.sum(x * 2), np.zeros((0, 3), np.float32)) == [0.0]
    assert Piecewise(make_graph(lambda: ())(), find_compiler())([]) == []


def test_memory_is_used_again():
    def f(x):
        for _ in range(50):
            x = jnp.sin(x) + 1
        return x

    piecewise = Piecewise(make_graph(f)(jnp.ones(1000)), find_compiler())
    assert piecewise.plan.arena <= 3 * 4096


def test_a_new_size_starts_no_compiler():
    def f(x, y):
        return jnp.tanh(x @ y).sum(0) - jnp.exp(x).max()

    arrays = [jnp.ones((20, 30)), jnp.ones((30, 40))]
    Piecewise(make_graph(f)(*arrays), find_compiler())
    with count_compilations() as compiled:
        for n in (21, 64, 200):
            args = [from_numpy(np.random.default_rng(n).normal(size=s).astype(np.float32)) for s in ((n, 50), (50, n))]
            compare(make_graph(f)(*args), args)
    assert compiled() <= 4  # three whole programs, and a largest of all elements for more of them


def test_what_one_program_needs_is_compiled_together():
    def f(x):
        return [jnp.log1p(x), jnp.cbrt(x), jnp.sinh(x), jnp.arctan2(x, x), jnp.hypot(x, x)]

    pieces._CALLS.clear(), pieces._FAMILIES.clear()
    with count_compilations() as compiled:
        Piecewise(make_graph(f)(jnp.ones(3, "float64")), find_compiler())
        assert compiled() <= 1
        Piecewise(make_graph(lambda x: f(x * 2))(jnp.ones((3, 4), "float64")), find_compiler())
        assert compiled() <= 2


def test_elementwise_operations_share_a_program_whatever_the_shape(tmp_path):
    config.cache_dir = tmp_path
    pieces._CALLS.clear(), pieces._FAMILIES.clear()
    for shape in ((), (1,), (5,), (0,), (2, 3), (2, 1, 4)):
        x = np.full(shape, 2, np.float32)
        np.testing.assert_array_equal(values_of(lambda x: x - x * x, x)[0], x - x * x)
    assert [f.programs for f in pieces._FAMILIES.values()] == [1, 1]


def test_checks_fail_as_ever():
    def f(x):
        ops.check(x < 0, ops.Failure(ValueError, "a negative number", "no root"))
        return jnp.sqrt(x)

    config.tier = "native"
    assert fdl.jit(f)(jnp.float32(4.0)) == 2.0
    with pytest.raises(ValueError, match="a negative number"):
        fdl.jit(f)(jnp.float32(-4.0))


def of_all_kinds(x, big, i):
    x = lax.fori_loop(0, 5, lambda i, x: x * 1.5 + i, x)
    x = lax.while_loop(lambda x: x.sum() < 1e4, lambda x: jnp.abs(x) * 2, x)
    x = lax.cond(x[0, 0] > 0, lambda x: x - 1, lambda x: x + 1, x)
    return lax.scan(lambda c, r: (c + r.sum(), c * r), 0.0, x)


def inside_each_other(x, big, i):
    def turn(j, c):
        return lax.cond(j % 2 == 0, lambda c: c @ big, lambda c: c + 1, c)

    return lax.fori_loop(0, 3, lambda i, c: lax.fori_loop(0, i, turn, c), big)


CONTROL = {
    "all kinds": of_all_kinds,
    "inside each other": inside_each_other,
    "carries that change places": lambda x, big, i: lax.scan(
        lambda c, r: ((c[1], c[0] + r), (c[0], r, 3.0)), (x[0], x[1]), x, reverse=True
    ),
    "a carry that stays": lambda x, big, i: lax.scan(lambda c, r: (c, c @ c), big, None, length=3),
    "no turn of a scan": lambda x, big, i: lax.scan(lambda c, r: (c * 2, r), x, jnp.zeros((0, 3))),
    "no turn of a while": lambda x, big, i: lax.while_loop(lambda c: c[1] < 0, lambda c: (c[0] * 2, c[1] + 1), (x, 0)),
    "a test between turns of all threads": lambda x, big, i: lax.while_loop(
        lambda c: c[1] < 6, lambda c: (jnp.sin(c[0] @ big), c[1] + 1), (big, 0)
    ),
    "a branch behind the last one": lambda x, big, i: lax.switch(i, [lambda x: x + 1, lambda x: x @ x], big),
    "a branch before the first one": lambda x, big, i: lax.switch(-i, [lambda x: x + 1, lambda x: x @ x], big),
    "complex numbers": lambda x, big, i: lax.scan(lambda c, r: (c * r, c), x[0] + 1j, x * 1j),
    "a gradient": lambda x, big, i: fdl.grad(
        lambda w: lax.scan(lambda c, r: (jnp.tanh(c @ w), c.sum()), big, None, length=4)[1].sum()
    )(big),
}


@pytest.mark.parametrize("name", CONTROL)
def test_loops_and_branches(name):
    rng = np.random.default_rng(0)
    args = [rng.normal(size=(5, 4)).astype("f"), rng.normal(size=(300, 300)).astype("f") / 20, np.int32(7)]
    arrays = list(map(from_numpy, args))
    graph, captured = make_graph(CONTROL[name])(*arrays).lift()
    compare(graph, [*captured, *arrays])


def test_a_loop_of_another_length_starts_no_compiler():
    def f(x):
        return lax.scan(lambda c, r: (jnp.tanh(c * r), jnp.cos(c)), x[0], x)

    for n in (3, 50):
        with count_compilations() as compiled:
            Piecewise(make_graph(f)(jnp.ones((n, 4))), find_compiler())
    assert compiled() == 0


def test_what_cannot_be_lowered_is_told():
    lost_p = Primitive("lost").define(shape=lambda x: x, impl=lambda x: x)
    config.tier = "native"
    with pytest.raises(MissingRuleError, match="lost"):
        fdl.jit(lambda x: lost_p.bind(x))(jnp.ones(3))


def test_without_a_compiler_the_tier_says_so(monkeypatch):
    config.tier, config.compiler = "native", "no-such-compiler"
    with pytest.raises(CompileError, match="FDL_TIER=native forbids"):
        fdl.jit(lambda x: x + 1)(jnp.ones(3))


def test_threads_may_ask_at_the_same_time():
    graphs = [make_graph(lambda x, k=k: jnp.cos(x) * k + jnp.sum(x**2))(jnp.ones(8 + k)) for k in range(4)]
    found = {}

    def work(k):
        found[k] = np.asarray(Piecewise(graphs[k], find_compiler())([jnp.ones(8 + k)])[0])

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    [w.start() for w in workers], [w.join() for w in workers]
    for k in range(4):
        np.testing.assert_allclose(found[k], np.cos(np.ones(8 + k)) * k + 8 + k, rtol=1e-6)


# In the disk cache


FIVE = from_numpy(np.ones(5, np.float32))  # not made by operations, which have programs too


def chain(x):
    return jnp.tanh(x * 2) + jnp.sum(x)


@pytest.fixture
def kept(tmp_path):
    """A list in a cache of its own, as the cache holds it."""
    config.cache_dir = tmp_path
    pieces._CALLS.clear(), pieces._FAMILIES.clear()
    graph = make_graph(chain)(FIVE)
    Piecewise(graph, find_compiler())
    return graph, piecewise._made(graph, find_compiler())


def test_a_list_is_found_again_without_lowering(kept, monkeypatch):
    graph, _ = kept
    monkeypatch.setattr(piecewise, "calls_of", lambda *_: pytest.fail("lowered"))
    with count_compilations() as compiled:
        (found,) = Piecewise(graph, find_compiler())([FIVE])
        assert compiled() == 0
    np.testing.assert_allclose(found, np.tanh(2) + 5, rtol=1e-6)


def test_programs_are_found_again_for_other_sizes_and_other_graphs(kept):
    pieces._CALLS.clear(), pieces._FAMILIES.clear()
    x = from_numpy(np.ones(300, np.float32))
    with count_compilations() as compiled:
        (found,) = Piecewise(make_graph(lambda x: jnp.sum(jnp.tanh(x)))(x), find_compiler())([x])
        assert compiled() == 0
    np.testing.assert_allclose(found, 300 * np.tanh(1), rtol=1e-6)


SHAPES = [((7, 20), (20, 9)), ((30, 5), (5, 11)), ((4, 64), (64, 300))]


def rows(x, y):
    z = jnp.tanh(x @ y)[1:, ::2]
    return z.max(0), jnp.concatenate([z, z * 2], 1), z.sum()


def rows_at(shapes):
    arrays = [from_numpy(np.random.default_rng(0).normal(size=s).astype("f")) for s in shapes]
    return make_graph(rows)(*arrays), arrays


def test_other_sizes_are_lowered_by_one_process_alone(tmp_path, monkeypatch):
    config.cache_dir = tmp_path
    wanted = {}
    for shapes in SHAPES:
        graph, arrays = rows_at(shapes)
        wanted[shapes] = bits(CExecutable(graph, find_compiler())(arrays))
    for shapes in SHAPES[:2]:
        pieces._CALLS.clear(), pieces._FAMILIES.clear()
        Piecewise(rows_at(shapes)[0], find_compiler())
    monkeypatch.setattr(family, "lower_general", lambda *_: pytest.fail("lowered"))
    pieces._CALLS.clear(), pieces._FAMILIES.clear()
    with count_compilations() as compiled:
        for shapes in SHAPES:
            graph, arrays = rows_at([(m + 3, n) for m, n in shapes[:1]] + list(shapes[1:]))
            whole = CExecutable(graph, find_compiler())
            before = compiled()
            assert bits(Piecewise(graph, find_compiler())(arrays)) == bits(whole(arrays))
            assert compiled() == before


def test_recipes_read_as_they_were_written_and_others_are_passed_over(kept):
    compiler = find_compiler()
    general = generalize(make_graph(lambda x: jnp.sum(x, 1))(jnp.ones((7, 5))))
    key = recipe.key_of(general, compiler)
    made = family.Member.made(general, key, compiler)
    family.build([made], compiler)
    (written,) = recipe.kept(key)
    found = recipe.Recipe.read(written, general.graph)
    assert found.written().items() <= written.items()
    (member,) = family.Member.found(general, key, compiler)
    assert len({m.call(m.recipe.values([(9, 6)], [()], None)).told for m in (made, member)}) == 1
    faults = [{"function": "system"}, {"library": "../x.so"}, {"told": [99]}, {"symbols": 3}, {"products": ["f17"]}]
    for fault in faults:
        cache.write_plan(key, {"recipes": [{**written, **fault}]})
        assert not list(family.Member.found(general, key, compiler)), fault


def test_another_folder_has_programs_of_its_own(kept, tmp_path):
    runtime.load(find_compiler())
    config.cache_dir = tmp_path
    (found,) = Piecewise(kept[0], find_compiler())([FIVE])
    np.testing.assert_allclose(found, np.tanh(2) + 5, rtol=1e-6)
    assert list((tmp_path / "programs").glob("*.so"))


def test_a_list_reads_as_it_was_written(kept):
    _, listing = kept
    assert Listing.read(json.loads(json.dumps(listing.written())), 2) == listing


SPOILED = {
    "an operand behind the last argument": lambda x: x["steps"][0]["places"][0].__setitem__(0, 9),
    "an operand before its argument": lambda x: x["steps"][0]["places"][0].__setitem__(1, -8),
    "memory behind the arena": lambda x: x["steps"][0]["places"][0].__setitem__(slice(2), [-1, 1 << 20]),
    "numbers that are not there": lambda x: x["steps"][0]["places"][0].__setitem__(slice(2), [-2, 1 << 20]),
    "a place that is no number": lambda x: x["steps"][0]["places"][0].__setitem__(0, "0"),
    "a library elsewhere": lambda x: x["steps"][0].update(library="../x.so"),
    "a library that is gone": lambda x: x["steps"][0].update(library="x.so"),
    "another function": lambda x: x["steps"][0].update(function="system"),
    "other products": lambda x: x["steps"][0].update(products=["f17"]),
    "an arena smaller than what lies in it": lambda x: x.update(arena=0, scratch=64),
    "a negative size": lambda x: x.update(own=-1),
    "a pool that is cut off": lambda x: x.update(pool="00"),
    "another field": lambda x: x.update(more=1),
    "a body with an operand behind the last argument": lambda x: x["steps"][0].update(
        kind=1, bodies=[{**x, "steps": [{**x["steps"][0], "places": [[99, 0]]}]}]
    ),
    "another kind of step": lambda x: x["steps"][0].update(kind=3),
    "no steps": lambda x: x.pop("steps"),
}


@pytest.mark.parametrize("fault", SPOILED)
def test_lists_are_checked_before_they_are_used(kept, fault):
    _, listing = kept
    found = json.loads(json.dumps(listing.written()))
    SPOILED[fault](found)
    assert Listing.read(found, 2) is None
