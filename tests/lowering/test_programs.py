"""Random programs: compiled against interpreted within tolerance, and on 1, 2 and 7 threads bit for bit."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import nn
from fdl.backends.dispatch import executable
from fdl.backends.toolchain import host_target
from fdl.core.config import config
from fdl.core.graph import interpret
from fdl.core.pytree import tree_leaves
from fdl.lowering.build.control import build
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.pipeline import schedule
from fdl.passes import PASSES
from tests.conftest import needs_compiler
from tests.lowering.drawn import programs


def bits(outs):
    return [np.asarray(o).tobytes() for o in outs]


def compare(got, want):
    for a, b in zip(got, want, strict=True):
        a, b = np.asarray(a, np.float64).reshape(-1), np.asarray(b, np.float64).reshape(-1)
        far = ~np.isclose(a, b, rtol=2e-3, atol=2e-3)
        assert far.mean() <= 0.02, np.abs(a - b).max()  # a kink or a tie may fall to either side


@needs_compiler
@given(programs(), st.sampled_from([(3, 4), (1, 5), (6, 1), (17, 33)]))
def test_three_oracles_agree(f, shape):
    config.tier = "compiled"
    x = jnp.asarray(np.random.default_rng(0).uniform(-1.5, 1.5, shape).astype(np.float32))
    graph, captured = fdl.make_graph(f)(x).lift()
    args = [np.asarray(v) for v in [*captured, x]]
    want = interpret(graph, args)
    program = build(graph)
    program.check()
    scheduled = schedule(program, host_target())
    scheduled.check()
    compare(interpret_program(scheduled, args), want)
    compare(executable(graph, "random")([*captured, x]), want)


@needs_compiler
@settings(max_examples=12)
@given(programs())
def test_threads_change_no_bit(f):
    config.tier = "compiled"
    x = jnp.asarray(np.random.default_rng(1).uniform(-1.5, 1.5, (210, 190)).astype(np.float32))
    graph, captured = fdl.make_graph(f)(x).lift()
    program = executable(graph, "random")
    results = []
    for count in (1, 2, 7):
        fdl.set_num_threads(count)
        results.append(bits(program([*captured, x])))
    assert results[0] == results[1] == results[2]


@needs_compiler
@settings(max_examples=12)
@given(programs())
def test_fusion_changes_no_bit(f):
    """Each value of a program has the same bits whether it is the only result or one of many."""
    config.tier = "compiled"
    x = jnp.asarray(np.random.default_rng(2).uniform(-1.5, 1.5, (9, 11)).astype(np.float32))
    whole = [np.asarray(o) for o in fdl.jit(f)(x)]
    for i in {0, len(whole) - 1}:
        alone = np.asarray(fdl.jit(lambda x, i=i: f(x)[i])(x))
        assert alone.tobytes() == whole[i].tobytes()


@given(programs())
def test_each_pass_keeps_meaning_and_types(f):
    x = jnp.asarray(np.random.default_rng(3).uniform(-1.5, 1.5, (5, 4)).astype(np.float32))
    graph, captured = fdl.make_graph(f)(x).lift()
    args = [np.asarray(v) for v in [*captured, x]]
    want = interpret(graph, args)
    for step in PASSES:
        graph = step(graph)
        graph.check()
        compare(interpret(graph, args), want)


@needs_compiler
def test_training_step_is_the_same_on_all_threads():
    rng = np.random.default_rng(4)
    params = [jnp.asarray(rng.normal(size=s).astype(np.float32) * 0.1) for s in ((300, 128), (128,), (128, 10), (10,))]
    x, y = jnp.asarray(rng.normal(size=(64, 300)).astype(np.float32)), jnp.asarray(rng.integers(0, 10, 64))

    def loss(p, x, y):
        return nn.cross_entropy(nn.relu(x @ p[0] + p[1]) @ p[2] + p[3], y)

    step = fdl.jit(lambda p: [v - 0.1 * g for v, g in zip(p, fdl.grad(loss)(p, x, y), strict=True)])
    finals = []
    for count in (1, 2, 7):
        fdl.set_num_threads(count)
        p = params
        for _ in range(5):
            p = step(p)
        finals.append(bits(tree_leaves(p)))
    assert finals[0] == finals[1] == finals[2]
