"""Tiles and index-set splitting: stages that run part by part, and loops that are cut where a condition changes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.backends.c import CExecutable
from fdl.backends.dispatch import executable
from fdl.backends.toolchain import find_compiler, host_target
from fdl.core.config import config
from fdl.core.graph import interpret
from fdl.lowering.build.control import build
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.ir.nodes import Fused
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.pipeline import lower, schedule
from fdl.passes import run_passes
from tests.conftest import needs_compiler
from tests.lowering.targets import retarget


def eager_tiles(patch):
    """Tiles from two iterations and from one byte on, and cuts of loops of any size."""
    retarget(patch, equal_shares=2, tile_saved=1, split_least=1)


def attention(q, k, v, blocks, step):
    """Softmax attention over (batch, length, heads, size), in blocks of queries that see a prefix of the keys."""
    length = q.shape[1]
    edges = [min(i * step, length) for i in range(blocks)] + [length]
    out = []
    for first, last in itertools.pairwise(edges):
        if first == last:
            continue
        scores = jnp.einsum("bqhd,bkhd->bhqk", q[:, first:last], k[:, :last])
        weights = fdl.nn.softmax(scores)
        out.append(jnp.einsum("bhqk,bkhd->bqhd", weights, v[:, :last]))
    return jnp.concatenate(out, 1)


def gradient(blocks, step):
    return fdl.grad(lambda q, k, v, g: (attention(q, k, v, blocks, step) * g).sum(), argnums=(0, 1, 2))


def operands(batch, length, heads, size):
    rng = np.random.default_rng(3)
    return [jnp.asarray(rng.normal(size=(batch, length, heads, size)).astype("f")) for _ in range(4)]


def graph_of(f, args):
    graph, captured = fdl.make_graph(f)(*args).lift()
    return graph, [*captured, *args]


def kinds(program, kind):
    return [n for n in all_nodes(program.nodes) if isinstance(n, kind)]


def tiles(program):
    """Composites over products that are called part by part."""
    return [n for n in kinds(program, Fused) if not n.kernel and n.product is None]


def epilogues(program):
    """Products with the stage behind them."""
    return [n for n in kinds(program, Fused) if n.product is not None]


shapes = st.tuples(st.integers(1, 3), st.integers(4, 12), st.integers(1, 3), st.sampled_from([3, 4, 8]))


def scheduled(graph):
    program = schedule(build(run_passes(graph)), host_target())
    program.check()
    return program


@settings(max_examples=40)
@given(shapes, st.integers(1, 4), st.integers(1, 5))
def test_parts_one_after_another_mean_what_stages_mean(shape, blocks, step):
    """The interpreter runs tiles part by part, and spoils the scratch in between."""
    with pytest.MonkeyPatch.context() as patch:
        eager_tiles(patch)
        graph, args = graph_of(gradient(blocks, step), operands(*shape))
        values = [np.asarray(a) for a in args]
        for got, want in zip(interpret_program(scheduled(graph), values), interpret(graph, values), strict=True):
            np.testing.assert_allclose(got.reshape(-1), np.asarray(want).reshape(-1), rtol=2e-4, atol=2e-5)


def test_scores_of_attention_never_reach_memory():
    graph, _ = graph_of(gradient(2, 32), operands(2, 96, 8, 16))
    (tile,) = tiles(scheduled(graph))
    scores = 2 * 8 * 64 * 96  # of the larger block
    assert tile.count == 16
    assert any(b.size == scores for b in tile.locals)
    assert all(b.size < scores for b in tile.writes())


@needs_compiler
@pytest.mark.parametrize(
    ("shape", "blocks", "step"), [((2, 96, 8, 16), 1, 0), ((2, 96, 8, 16), 3, 32), ((1, 130, 17, 8), 2, 50)]
)
def test_tiles_change_no_bit_and_neither_do_threads(shape, blocks, step, monkeypatch):
    config.tier = "compiled"
    graph, args = graph_of(gradient(blocks, step), operands(*shape))
    assert tiles(lower(graph, host_target()).program)
    program, results = executable(graph, "tiled"), []
    for count in (1, 2, 7):
        fdl.set_num_threads(count)
        results.append([np.asarray(x).tobytes() for x in program(args)])
    assert results[0] == results[1] == results[2]
    retarget(monkeypatch, tile_saved=1 << 60, split_least=1 << 60)
    plain, values = CExecutable(graph, find_compiler()), [np.asarray(a) for a in args]
    assert "own" not in lower(graph, host_target()).source
    assert [np.asarray(x).tobytes() for x in plain(args)] == results[0]
    for got, want in zip(plain(args), interpret(graph, values), strict=True):
        np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-3, atol=1e-4)


@needs_compiler
def test_tiles_inside_of_loops(monkeypatch):
    config.tier = "compiled"
    eager_tiles(monkeypatch)
    q, k, v, g = operands(2, 24, 3, 8)

    def f(q, k, v):
        def step(carry, x):
            out = attention(carry, k * x, v, 2, 9)
            return out, out.sum()

        return (lax.scan(step, q, jnp.linspace(0.5, 1.5, 5))[0] * g).sum()

    graph, args = graph_of(fdl.grad(f, argnums=(0, 1, 2)), [q, k, v])
    assert tiles(scheduled(graph))
    values = [np.asarray(a) for a in args]
    want = interpret(graph, values)
    for got, also, right in zip(
        executable(graph, "looped")(args), interpret_program(scheduled(graph), values), want, strict=True
    ):
        np.testing.assert_allclose(np.asarray(got), np.asarray(right), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(also.reshape(-1), np.asarray(right).reshape(-1), rtol=1e-3, atol=1e-4)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5), st.integers(0, 1))
def test_loops_are_cut_where_a_condition_changes(pads, axis):
    with pytest.MonkeyPatch.context() as patch:
        eager_tiles(patch)
        x = jnp.asarray(np.random.default_rng(0).normal(size=(10, 7)).astype("f"))

        def f(x):
            total = x.sum() * jnp.ones((19, 7) if axis == 0 else (10, 16))
            for low, high in pads:
                inner = jnp.sin(x[low : max(10 - high, low)] if axis == 0 else x[:, low : max(7 - high, low)])
                rest = total.shape[axis] - inner.shape[axis] - low
                total = total + jnp.pad(inner, [(low, rest) if a == axis else (0, 0) for a in range(2)])
            return total

        graph, args = graph_of(f, [x])
        program, values = scheduled(graph), [np.asarray(a) for a in args]
        for got, want in zip(interpret_program(program, values), interpret(graph, values), strict=True):
            np.testing.assert_allclose(got.reshape(-1), np.asarray(want).reshape(-1), rtol=1e-5, atol=1e-5)


def test_a_sum_of_slices_has_no_condition_left():
    x = jnp.ones((64, 128))
    graph, _ = graph_of(fdl.grad(lambda x: sum((x[: 16 * i] ** (i + 1)).sum() for i in range(1, 5))), [x])
    assert "choose" not in str(scheduled(graph))


def test_weights_are_written_over_scores():
    """Rows that a stage reads last hold what it makes of them; what it reads out of order, or others read later, they
    do not.
    """
    q, k, v, _ = operands(2, 64, 8, 32)
    weights = lambda q, k: fdl.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k))
    turned = lambda q, k, v: jnp.einsum("bhqk,bkhd->bqhd", weights(q, k)[:, :, :, ::-1] * weights(q, k), v)
    later = lambda q, k, v: (
        jnp.einsum("bhqk,bkhd->bqhd", jnp.exp(jnp.einsum("bqhd,bkhd->bhqk", q, k)), v)
        + jnp.einsum("bqhd,bkhd->bhqk", q, k).sum((1, 3))[..., None, None]
    )

    def both(q, k, v):
        """What reads the weights last makes two arrays of their size."""
        w = weights(q, k)
        times = lambda x: jnp.einsum("bhqk,bkhd->bhqd", x, v)
        s = times(w).sum(-1, keepdims=True)
        return [times(x) for x in (w * jnp.tanh(s + w), jnp.sin(w - s))]

    for f, kept in (
        (lambda q, k, v: jnp.einsum("bhqk,bkhd->bqhd", weights(q, k), v), 1),
        (turned, 2),
        (later, 2),
        (both, 2),
    ):
        with pytest.MonkeyPatch.context() as patch:
            eager_tiles(patch)
            graph, args = graph_of(f, (q, k, v))
            program = scheduled(graph)
            squares = [b for tile in tiles(program) for b in tile.locals if b.size == 2 * 8 * 64 * 64]
            assert squares and len(squares) <= kept
            values = [np.asarray(a) for a in args]
            stages = build(run_passes(graph))
            for got, want in zip(interpret_program(program, values), interpret_program(stages, values), strict=True):
                assert got.tobytes() == want.tobytes()


def test_numbers_stand_aside():
    """A number that a stage of the run needs, and that follows from none of them, is computed before the tile."""

    def step(carry, at):
        scores = jnp.einsum("hqd,hkd->hqk", carry, carry)
        weights = fdl.nn.softmax(jnp.where(jnp.arange(32)[:, None] + at * 3 > jnp.arange(32), scores, -1e9))
        return carry, jnp.einsum("hqk,hkd->hqd", weights, carry)

    with pytest.MonkeyPatch.context() as patch:
        eager_tiles(patch)
        graph, args = graph_of(lambda x, at: lax.scan(step, x, at)[1], (jnp.ones((8, 32, 16)), jnp.arange(4)))
        found = tiles(scheduled(graph))
        assert found and max(len(n.body) for n in found) >= 3
