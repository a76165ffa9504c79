"""Sorting, largest elements and running sums: known answers, ties, special values, and the same bits
however it runs.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fdl
import fdl.numpy as jnp
from fdl import lax, ops
from fdl.core.config import config
from tests.conftest import needs_compiler

DTYPES = [np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
rows = st.sampled_from(DTYPES).flatmap(
    lambda d: hnp.arrays(
        d,
        hnp.array_shapes(min_dims=1, max_dims=2, max_side=90),
        elements={"allow_subnormal": False} if np.dtype(d).kind == "f" else None,
    )
)


@needs_compiler
@settings(max_examples=25)
@given(rows, st.booleans())
def test_sorting_is_stable_and_numpys(x, descending):
    for tier in ("interpreted", "compiled"):
        config.tier = tier
        got = np.asarray(fdl.jit(lambda x: ops.argsort(x, descending))(x))
        n = x.shape[-1]
        want = (
            n - 1 - np.argsort(x[..., ::-1], -1, kind="stable")[..., ::-1]
            if descending
            else np.argsort(x, -1, kind="stable")
        )
        np.testing.assert_array_equal(got, want)


@needs_compiler
@settings(max_examples=25)
@given(rows, st.data())
def test_largest_are_the_head_of_the_sorted(x, data):
    config.tier = "compiled"
    k = data.draw(st.integers(0, x.shape[-1]))
    values, places = fdl.jit(lambda x: lax.top_k(x, k))(x)
    key = np.where(np.isnan(x), np.inf, x) if x.dtype.kind == "f" else x
    n = x.shape[-1]
    np.testing.assert_array_equal(
        np.asarray(places), (n - 1 - np.argsort(key[..., ::-1], -1, kind="stable")[..., ::-1])[..., :k]
    )
    np.testing.assert_array_equal(np.asarray(values), np.take_along_axis(x, np.asarray(places).astype(int), -1))


@needs_compiler
@pytest.mark.parametrize("shape, axis", [((5, 4000), 1), ((300, 70), 0), ((4, 33, 65), 1)])
def test_running_sums(shape, axis):
    x = np.random.default_rng(0).normal(size=shape).astype("f")
    want = np.cumsum(x, axis, dtype=np.float64)
    for tier in ("interpreted", "compiled"):
        config.tier = tier
        np.testing.assert_array_equal(np.asarray(fdl.jit(lambda x: jnp.cumsum(x, axis))(x)), want.astype("f"))
        slope = np.asarray(fdl.jit(fdl.grad(lambda x: (jnp.cumsum(x, axis) * want.astype("f")).sum()))(x))
        np.testing.assert_allclose(
            slope,
            np.flip(np.cumsum(np.flip(want.astype("f"), axis), axis, dtype=np.float64), axis),
            rtol=1e-5,
            atol=1e-3,
        )


@needs_compiler
def test_threads_change_no_bit():
    config.tier = "compiled"
    x = np.random.default_rng(0).normal(size=(500, 200)).astype("f")
    f = fdl.jit(lambda x: (ops.argsort(x), lax.top_k(x, 7), jnp.cumsum(x, 1), jnp.sort(jnp.tanh(x) * 2, 0)))
    results = []
    for count in (1, 2, 7):
        fdl.set_num_threads(count)
        results.append([np.asarray(v).tobytes() for v in fdl.tree_util.tree_leaves(f(x))])
    assert results[0] == results[1] == results[2]
