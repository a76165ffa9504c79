"""Checks as effects: where they raise, what stands when they do, and what they cost."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, ops
from fdl.backends.toolchain import host_target
from fdl.core.config import config
from fdl.core.errors import DeferredError, DtypeError, ShapeError
from fdl.extend import Storage, current_recorder, flush
from fdl.lowering.pipeline import lower
from fdl.transforms import make_graph
from fdl.transforms.lazy import programs
from tests.conftest import needs_compiler

NEGATIVE = ops.Failure(ValueError, "{} is negative", "one is negative")
TIERS = [pytest.param("interpreted"), pytest.param("compiled", marks=needs_compiler)]


@pytest.fixture(params=TIERS)
def tier(request, monkeypatch):
    monkeypatch.setattr(config, "tier", request.param)
    return request.param


def root(x):
    ops.check(ops.less(x, 0.0), NEGATIVE, x)
    return ops.sqrt(x)


def total(f):
    return lambda x: f(x).sum()


@fdl.custom_jvp
def with_rule(x):
    return root(x)


@with_rule.defjvp
def _(primals, tangents):
    return with_rule(*primals), tangents[0]


SURROUNDINGS = {
    "plain": root,
    "pending": lambda x: root(x * 1),
    "jit": fdl.jit(root),
    "jit in jit": fdl.jit(lambda x: fdl.jit(root)(x) + 1),
    "vmap": fdl.vmap(root),
    "jit of vmap": fdl.jit(fdl.vmap(root)),
    "grad": fdl.grad(total(root)),
    "grad of jit": fdl.grad(total(fdl.jit(root))),
    "jit of grad": fdl.jit(fdl.grad(total(root))),
    "grad of grad": fdl.grad(total(fdl.grad(total(root)))),
    "jvp": lambda x: fdl.jvp(root, (x,), (x,))[1],
    "jacfwd": fdl.jacfwd(root),
    "checkpoint": fdl.checkpoint(root),
    "grad of checkpoint": fdl.grad(total(fdl.checkpoint(root))),
    "scan": lambda x: lax.scan(lambda c, v: (c, root(v)), 0.0, x)[1],
    "grad of jitted scan": fdl.grad(fdl.jit(lambda x: lax.scan(lambda c, v: (c + root(v), None), 0.0, x)[0])),
    "map": lambda x: lax.map(root, x),
    "fori_loop": lambda x: lax.fori_loop(0, 2, lambda i, v: root(v) + 1, x),
    "while_loop": lambda x: lax.while_loop(lambda v: v.sum() < 15.0, lambda v: root(v) + 8.0, x),
    "condition of while_loop": lambda x: lax.while_loop(lambda v: root(v).sum() < 5.0, lambda v: v + 3.0, x),
    "cond": lambda x: lax.cond(x.sum() < 100.0, root, lambda v: v, x),
    "vmap of cond": fdl.vmap(lambda v: lax.cond(v < 100.0, root, lambda v: v, v)),
    "vmap of scan": fdl.vmap(lambda v: lax.scan(lambda c, _: (root(c), None), v, length=2)[0]),
    "switch in jit": fdl.jit(lambda x: lax.switch(1, [lambda v: v, root, lambda v: -v], x)),
    "custom_jvp in jit": fdl.jit(with_rule),
}


def raises_for_a_negative_number_alone(f):
    np.asarray(f(jnp.array([1.0, 4.0])))
    for _ in range(2):
        with pytest.raises(ValueError, match="is negative"):
            np.asarray(f(jnp.array([1.0, -4.0])))
    np.asarray(f(jnp.array([1.0, 4.0])))


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_a_check_belongs_to_the_function_whatever_transform_runs(monkeypatch, name):
    monkeypatch.setattr(config, "tier", "interpreted")
    raises_for_a_negative_number_alone(SURROUNDINGS[name])


@needs_compiler
@pytest.mark.parametrize(
    "name", ["jit", "jit of grad", "grad of jitted scan", "vmap of cond", "condition of while_loop"]
)
def test_compiled_programs_check_as_well(monkeypatch, name):
    monkeypatch.setattr(config, "tier", "auto")
    raises_for_a_negative_number_alone(fdl.jit(SURROUNDINGS[name]))


def test_a_branch_that_is_not_taken_checks_nothing():
    f = lambda v: lax.cond(v > -2.0, root, lambda v: v, v)
    assert fdl.vmap(f)(jnp.array([4.0, -4.0])).tolist() == [2.0, -4.0]
    assert float(fdl.jit(f)(jnp.array(-4.0))) == -4.0
    with pytest.raises(ValueError):
        fdl.vmap(f)(jnp.array([4.0, -1.0])).tolist()


def test_messages_show_the_first_value_that_is_wrong_and_the_line():
    failure = ops.Failure(ShapeError, "{} is negative", "one is negative", hint="abs(x)")

    def f(x):
        ops.check(ops.less(x, 0.0), failure, x)  # the line
        return x * 1

    for g in (f, fdl.jit(f), lambda x: f(x + 0)):
        with pytest.raises(ShapeError, match=r"(?s)^-4.0 is negative.*try: abs\(x\).*at:  test_checks.py:\d+ in f$"):
            g(jnp.array([1.0, -4.0, -5.0])).tolist()


def test_masks_are_bools_and_what_is_shown_has_their_shape():
    with pytest.raises(DtypeError):
        fdl.jit(lambda x: ops.check(x, NEGATIVE) or x)(jnp.ones(3))
    with pytest.raises(ShapeError):
        fdl.jit(lambda x: ops.check(ops.less(x, 0.0), NEGATIVE, x[:2]) or x)(jnp.ones(3))


def test_a_check_of_nothing_holds():
    assert root(jnp.zeros((0, 3)) + 1).shape == (0, 3)
    assert fdl.jit(root)(jnp.zeros((0, 3))).shape == (0, 3)


def test_a_dead_result_is_checked_all_the_same():
    root(jnp.array([-1.0]) + 0)
    with pytest.raises(ValueError):
        flush()
    with pytest.raises(ValueError):
        fdl.jit(lambda x: (root(x), x * 2)[1])(jnp.array([-1.0]))


# What stands when a check fails


def cells(*values):
    return [Storage(jnp.array(v)) for v in values]


def test_what_came_before_the_check_stands_and_what_came_after_is_undone(tier):
    before, both, after, untouched = cells([1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 2.0])
    seen = jnp.arange(3.0) + 1
    before.set(before.array * 2)
    both.set(both.array * 2)
    root(jnp.arange(2.0) - 1)
    lost = jnp.arange(3.0) + 2
    both.set(both.array + 1)
    after.set(after.array * 5)
    with pytest.raises(ValueError, match=r"-1\.0 is negative"):
        flush()
    assert seen.tolist() == [1.0, 2.0, 3.0]
    assert [c.array.tolist() for c in (before, both, after, untouched)] == [
        [2.0, 4.0],
        [2.0, 4.0],
        [1.0, 2.0],
        [1.0, 2.0],
    ]
    with pytest.raises(DeferredError):
        lost.tolist()


def test_the_first_check_that_fails_decides():
    (cell,) = cells([1.0])
    for k, x in enumerate((jnp.ones(2), -jnp.ones(2), -2 * jnp.ones(2))):
        cell.set(cell.array + 10.0**k)
        root(x * 1)
    with pytest.raises(ValueError, match=r"-1\.0 is negative"):
        flush()
    assert cell.array.tolist() == [12.0]


@needs_compiler
def test_a_program_with_checks_writes_over_dead_inputs_and_harms_none_when_it_fails(monkeypatch):
    monkeypatch.setattr(config, "tier", "compiled")
    (weight,) = cells(np.arange(1000.0, dtype=np.float32))

    def step(x):
        root(x * 1)
        weight.set(weight.array * 0.5 + x.sum())
        flush()

    for _ in range(3):
        step(jnp.ones(4))
    place = np.asarray(weight.array._numpy()).__array_interface__["data"][0]
    step(jnp.ones(4))
    kept = np.array(weight.array._numpy())
    step(jnp.ones(4))
    step(jnp.ones(4))
    for _ in range(3):
        good = np.array(weight.array._numpy())
        with pytest.raises(ValueError):
            step(-jnp.ones(4))
        assert np.array_equal(weight.array._numpy(), good)
    assert place and kept.shape == (1000,)
    graph = make_graph(lambda w, x: (root(x), w * 0.5)[1])(jnp.ones(1000), jnp.ones(4))
    assert len(lower(graph, host_target(), donated=(0,)).arena.in_place) == 1


@needs_compiler
def test_nothing_is_written_over_before_the_checks_are_known():
    def early(w, x):
        out = w * 0.5
        root(out.sum() * x)
        return out

    graph = make_graph(early)(jnp.ones(1000), jnp.ones(4))
    assert not lower(graph, host_target(), donated=(0,)).arena.in_place
    f = fdl.jit(early, donate_argnums=(0,))
    w = jnp.ones(1000)
    with pytest.raises(ValueError):
        f(w, -jnp.ones(4))
    assert w.tolist() == [1.0] * 1000
    assert f(w, jnp.ones(4)).tolist() == [0.5] * 1000


# Looking ahead


def test_checks_on_data_run_before_the_program_and_what_they_computed_stays():
    x = jnp.arange(4.0) + 1
    doubled = x * 2
    root(doubled - 1)
    y = doubled + 3
    recorder = current_recorder()
    recorder.look_at_checks()
    ran = programs.sighted
    assert recorder.segment.settled and y._data is recorder.segment
    assert y.tolist() == [5.0, 7.0, 9.0, 11.0] and doubled.tolist() == [2.0, 4.0, 6.0, 8.0]
    assert programs.sighted <= ran + 1


def test_looking_ahead_leaves_products_and_long_ways_to_the_program():
    a = jnp.ones((3, 3)) * 2
    root(a @ a)
    many = jnp.ones(3)
    for _ in range(70):
        many = many + 1
    root(many)
    recorder = current_recorder()
    recorder.look_at_checks()
    assert not recorder.segment.settled
    flush()


def test_a_check_that_fails_ahead_leaves_all_that_was_recorded_before():
    (cell,) = cells([1.0, 2.0])
    seen = jnp.arange(3.0) + 1
    cell.set(cell.array * 2)
    root(jnp.arange(2.0) - 1)
    cell.set(cell.array * 2)
    with pytest.raises(ValueError, match=r"-1\.0 is negative"):
        current_recorder().look_at_checks()
    assert seen.tolist() == [1.0, 2.0, 3.0] and cell.array.tolist() == [2.0, 4.0]
    assert (seen + 1).tolist() == [2.0, 3.0, 4.0]
