"""Epilogues: products whose rows are worked on as soon as they are complete; what joins them, and no bit changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax, nn
from fdl.backends.c import CExecutable
from fdl.backends.toolchain import find_compiler, host_target
from fdl.core.config import config
from fdl.core.graph import interpret
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.pipeline import lower
from tests.conftest import needs_compiler
from tests.lowering.targets import retarget
from tests.lowering.test_barriers import race
from tests.lowering.test_tile import epilogues, graph_of, scheduled

R = np.random.default_rng(5)


def normal(*shape):
    return jnp.asarray(R.normal(size=shape).astype("f"))


def eager_epilogues(patch):
    """Products of any size take the next stage along."""
    retarget(patch, epilogue_rows=2, epilogue_least=1, parallel_work=1)


TAILS = {
    "bias": lambda y, r: y + r[0],
    "activation": lambda y, r: nn.gelu(y + r[0]),
    "residual": lambda y, r: jnp.maximum(y, 0) + r,
    "mask": lambda y, r: jnp.where(r > 0, y, 0) * 0.5,
    "softmax": lambda y, r: nn.softmax(y),
    "norm": lambda y, r: (y - y.mean(-1, keepdims=True)) * lax.rsqrt(y.var(-1, keepdims=True) + 1e-5) * r[0],
    "both": lambda y, r: (jnp.tanh(y), y.sum(-1), y),
    "columns": lambda y, r: (jnp.exp(-y * y), (y * r).sum(0)),
    "neighbours": lambda y, r: y.reshape(2, -1, y.shape[1]).max(1),
    "turned": lambda y, r: jnp.tanh(y.T),
    "shifted": lambda y, r: y[1:] + y[:-1],
    "places": lambda y, r: y[::-1] * 2,
}
shapes = st.tuples(st.integers(1, 24), st.integers(1, 12), st.integers(1, 40)).map(lambda s: (2 * s[0], s[1], s[2]))


@settings(max_examples=80)
@given(shapes, st.sampled_from(sorted(TAILS)), st.booleans())
def test_parts_mean_what_stages_mean(shape, tail, derived):
    """The interpreter hands over part by part, and later rows are NaN until then; threads do not race."""
    m, k, n = shape
    with pytest.MonkeyPatch.context() as patch:
        eager_epilogues(patch)
        f = lambda x, w, r: TAILS[tail](x @ w, r)
        g = (
            fdl.grad(lambda x, w, r: sum(y.sum() for y in fdl.tree_util.tree_leaves(f(x, w, r))), argnums=(0, 1))
            if derived
            else f
        )
        graph, args = graph_of(g, [normal(m, k), normal(k, n), normal(m, n)])
        values = [np.asarray(a) for a in args]
        for got, want in zip(interpret_program(scheduled(graph), values), interpret(graph, values), strict=True):
            np.testing.assert_allclose(got.reshape(-1), np.asarray(want).reshape(-1), rtol=2e-4, atol=2e-5)
        race(lower(graph, host_target()))


def convolved(x, w, b):
    y = lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return lax.reduce_window(jnp.maximum(y + b, 0), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


CASES = {
    **{name: (lambda x, w, r, name=name: TAILS[name](x @ w, r), [(520, 70), (70, 200), (520, 200)]) for name in TAILS},
    "many columns": (lambda x, w, r: nn.gelu(x @ w + r), [(300, 64), (64, 1100), (1100,)]),
    "blocks of k": (lambda x, w, r: nn.softmax(x @ w + r), [(300, 1300), (1300, 300), (300,)]),
    "narrow": (lambda x, w, r: jnp.tanh(x @ w + r), [(9000, 40), (40, 9), (9,)]),
    "narrow and turned": (lambda x, w, r: jnp.tanh(x.T @ w + r), [(80, 9000), (80, 9), (9,)]),
    "turned": (lambda x, w, r: nn.relu(x.T @ w.T + r), [(130, 700), (150, 130), (150,)]),
    "windows": (convolved, [(8, 14, 14, 16), (3, 3, 16, 64), (64,)]),
    "first windows": (convolved, [(16, 26, 26, 1), (3, 3, 1, 32), (32,)]),
}


@needs_compiler
@pytest.mark.parametrize("name", sorted(CASES))
def test_no_bit_changes_and_neither_with_threads(name, monkeypatch):
    config.tier = "compiled"
    retarget(monkeypatch, epilogue_least=1)
    f, dims = CASES[name]
    graph, args = graph_of(f, [normal(*d) for d in dims])
    values = [np.asarray(a) for a in args]
    assert bool(epilogues(lower(graph, host_target()).program)) == (name not in ("shifted", "places"))
    program, results = CExecutable(graph, find_compiler()), []
    for count in (1, 2, 3, 7):
        fdl.set_num_threads(count)
        results.append([np.asarray(x).tobytes() for x in program(args)])
    assert results[0] == results[1] == results[2] == results[3]
    retarget(monkeypatch, epilogue_least=1 << 60)
    plain = CExecutable(graph, find_compiler())
    assert not epilogues(lower(graph, host_target()).program)
    assert [np.asarray(x).tobytes() for x in plain(args)] == results[0]
    for got, want in zip(plain(args), interpret(graph, values), strict=True):
        np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-3, atol=1e-4)


@needs_compiler
def test_updates_are_written_in_place(monkeypatch):
    retarget(monkeypatch, epilogue_least=1)
    x, y, w = normal(600, 300), normal(600, 400), normal(300, 400)
    want = np.asarray(w) - 0.1 * (np.asarray(x).T @ np.asarray(y))
    graph, _ = graph_of(lambda x, y, w: w - 0.1 * (x.T @ y), [x, y, w])
    lowered = lower(graph, host_target(), donated=(2,))
    assert epilogues(lowered.program)
    assert len(lowered.arena.in_place) == 1
    got = fdl.jit(lambda x, y, w: w - 0.1 * (x.T @ y), donate_argnums=2)(x, y, w)
    np.testing.assert_allclose(np.asarray(got), want, rtol=1e-3, atol=1e-3)


def test_what_the_product_reads_is_not_overwritten(monkeypatch):
    retarget(monkeypatch, epilogue_least=1)
    w = normal(300, 300)
    graph, _ = graph_of(lambda w, y: w - 0.1 * (w @ y), [w, normal(300, 300)])
    lowered = lower(graph, host_target(), donated=(0,))
    assert epilogues(lowered.program)
    assert not lowered.arena.in_place


@needs_compiler
def test_inside_of_loops(monkeypatch):
    config.tier = "compiled"
    eager_epilogues(monkeypatch)
    w, r = normal(30, 30), normal(40, 30)

    def f(x, w, r):
        return lax.scan(lambda c, t: (jnp.tanh(c @ w + r * t), c.sum(-1)), x, jnp.linspace(0.1, 1, 5))

    graph, args = graph_of(f, [normal(40, 30), w, r])
    assert epilogues(scheduled(graph))
    values = [np.asarray(a) for a in args]
    want = interpret(graph, values)
    for got, also, right in zip(
        CExecutable(graph, find_compiler())(args), interpret_program(scheduled(graph), values), want, strict=True
    ):
        np.testing.assert_allclose(np.asarray(got), np.asarray(right), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(also.reshape(-1), np.asarray(right).reshape(-1), rtol=1e-3, atol=1e-4)
