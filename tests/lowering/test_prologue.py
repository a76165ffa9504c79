"""Prologues: what a product alone reads is computed part by part, and no bit changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.backends.c import CExecutable
from fdl.backends.toolchain import find_compiler, host_target
from fdl.core.graph import interpret
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.ir.nodes import Dot
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.pipeline import lower
from tests.conftest import needs_compiler
from tests.lowering.targets import retarget
from tests.lowering.test_barriers import race
from tests.lowering.test_tile import graph_of, scheduled, tiles

R = np.random.default_rng(6)


def normal(*shape):
    return jnp.asarray(R.normal(size=shape).astype("f"))


def int8(*shape):
    return jnp.asarray(R.integers(-127, 127, shape).astype("i1"))


def eager_prologues(patch):
    """Operands of any size, in at least two parts of any size."""
    retarget(patch, equal_shares=2, prologue_rows=1, prologue_repays=1 << 30, tile_saved=1)


def pad(x, w):
    """A padded convolution, and what follows it row by row."""
    y = lax.conv_general_dilated(x * 2, w, (1, 1), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return jnp.maximum(y, 0), (y * y).sum((1, 2))


def scaled(x, w, s):
    return x @ (w.astype(jnp.float32) * s)


def turned(x, w, s):
    return x @ (w.astype(jnp.float32) * s[:, None]).T


def grouped(x, w, s):
    """A scale for each column of each group of rows."""
    whole = (w.reshape(s.shape[0], -1, s.shape[1]).astype(jnp.float32) * s[:, None]).reshape(w.shape)
    return x @ whole


def two(x, w, v):
    """Maps over one space share a loop nest, of which each product takes its own part."""
    return x @ w.astype(jnp.float32), (x * 2) @ v.astype(jnp.float32)


def narrow(x, w):
    return x @ w.astype(jnp.float32)


def pixels(x, w):
    return (x.astype(jnp.float32) / 255 - 0.5) @ w


def columns(x, w):
    return (x.astype(jnp.float32) + 1).T @ w


CASES = {
    "vector": (scaled, lambda: (normal(1, 512), int8(512, 1024), normal(1024))),
    "few rows": (scaled, lambda: (normal(3, 512), int8(512, 1024), normal(1024))),
    "more rows": (scaled, lambda: (normal(60, 512), int8(512, 1024), normal(1024))),
    "turned vector": (turned, lambda: (normal(1, 512), int8(1024, 512), normal(1024))),
    "turned": (turned, lambda: (normal(60, 512), int8(1024, 512), normal(1024))),
    "grouped": (grouped, lambda: (normal(2, 512), int8(512, 1024), normal(8, 1024))),
    "two": (two, lambda: (normal(2, 512), int8(512, 1024), int8(512, 1024))),
    "bfloat16": (narrow, lambda: (normal(5, 512), normal(512, 1024).astype(jnp.bfloat16))),
    "float64": (lambda x, w: x.astype(jnp.float64) @ w.astype(jnp.float64), lambda: (normal(5, 512), int8(512, 1024))),
    "pixels": (pixels, lambda: (jnp.asarray(R.integers(0, 255, (2048, 784)).astype("u1")), normal(784, 32))),
    "padded": (pad, lambda: (normal(16, 24, 24, 32), normal(3, 3, 32, 16))),
    "padded gradient": (
        fdl.grad(lambda x, w: (pad(x, w)[0] ** 2).sum(), (0, 1)),
        lambda: (normal(16, 24, 24, 16), normal(3, 3, 16, 32)),
    ),
}


def bits(graph, args, counts=(1, 2, 3, 7)):
    compiler = find_compiler()
    found = []
    for count in counts:
        fdl.set_num_threads(count)
        found.append([np.asarray(o).tobytes() for o in CExecutable(graph, compiler)(args)])
    assert all(f == found[0] for f in found)
    return found[0]


@needs_compiler
@pytest.mark.parametrize("name", CASES)
def test_no_bit_changes_and_less_is_stored(name, monkeypatch, tmp_path):
    """With any number of threads; each thread has a part of the operand in its scratch."""
    f, make = CASES[name]
    given = make()
    graph, args = graph_of(f, given)
    program = lower(graph, host_target()).program
    found = [n for n in tiles(program) if any(isinstance(m, Dot) for m in n.body)]
    assert found and all(n.locals for n in found)
    race(lower(graph, host_target()))
    with_parts = bits(graph, args)
    retarget(monkeypatch, prologue_repays=0)
    fresh, args = graph_of(f, given)
    assert not tiles(lower(fresh, host_target()).program)
    assert with_parts == bits(fresh, args, (2,))


shapes = st.tuples(st.integers(1, 9), st.integers(1, 40), st.sampled_from([64, 96, 128, 7, 160]))


@settings(max_examples=60)
@given(shapes, st.sampled_from(["scaled", "turned", "two", "pixels", "columns", "padded"]), st.booleans())
def test_parts_mean_what_stages_mean(shape, kind, derived):
    """The interpreter fills scratch with NaN before each part."""
    m, k, n = shape
    f, args = {
        "scaled": lambda: (scaled, (normal(m, k), int8(k, n), normal(n))),
        "turned": lambda: (turned, (normal(m, k), int8(n, k), normal(n))),
        "two": lambda: (two, (normal(m, k), int8(k, n), int8(k, n))),
        "pixels": lambda: (pixels, (int8(4 * m, k), normal(k, n))),
        "columns": lambda: (columns, (int8(k, 4 * m), normal(k, n))),
        "padded": lambda: (pad, (normal(2 * m, 3, 4, 2), normal(3, 3, 2, k))),
    }[kind]()
    with pytest.MonkeyPatch.context() as patch:
        eager_prologues(patch)
        last = lambda *args: sum((y * y).sum() for y in fdl.tree_util.tree_leaves(f(*args)))
        graph, args = graph_of(fdl.grad(last, 1 if kind in ("pixels", "columns") else 0) if derived else f, args)
        values = [np.asarray(a) for a in args]
        program = scheduled(graph)
        program.check()
        for got, want in zip(interpret_program(program, values), interpret(graph, values), strict=True):
            scale = np.abs(want).max(initial=1e-3)
            np.testing.assert_allclose(
                got.reshape(-1) / scale, np.asarray(want).reshape(-1) / scale, rtol=2e-4, atol=2e-5
            )
        race(lower(graph, host_target()))


def test_what_others_read_is_stored():
    def shared(x, w):
        wide = w.astype(jnp.float32)
        return x @ wide, wide

    graph, _ = graph_of(shared, (normal(2, 512), int8(512, 1024)))
    assert not tiles(lower(graph, host_target()).program)


@needs_compiler
def test_inside_of_loops():
    """Each step has other weights, whose operand is not there before the loop."""
    x, w = normal(2, 512), int8(6, 512, 512)
    f = lambda x, w: lax.scan(lambda c, v: (jnp.tanh(c @ v.astype(jnp.float32) * 3e-4), c.sum()), x, w)
    graph, args = graph_of(f, (x, w))
    assert tiles(lower(graph, host_target()).program)
    race(lower(graph, host_target()))
    bits(graph, args)
    values = [np.asarray(a) for a in args]
    for got, want in zip(CExecutable(graph, find_compiler())(args), interpret(graph, values), strict=True):
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-4, atol=1e-4)


def test_many_multiplications_of_an_element_hide_its_way():
    graph, _ = graph_of(narrow, (normal(1024, 512), normal(512, 512).astype(jnp.bfloat16)))
    program = lower(graph, host_target()).program
    assert not tiles(program) and any(isinstance(n, Dot) for n in all_nodes(program.nodes))
