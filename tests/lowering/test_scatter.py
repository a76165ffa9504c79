"""Scatters: updates of blocks by threads with targets of their own, in order, against NumPy, bit for bit with any
number of threads.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import ops
from fdl.backends.toolchain import host_target
from fdl.core.config import config
from fdl.lowering.ir.nodes import Scatter
from fdl.lowering.pipeline import lower
from fdl.lowering.plan.threads import is_parallel
from tests.conftest import needs_compiler
from tests.lowering.targets import retarget
from tests.lowering.test_tile import graph_of, kinds

shapes, kinds_of, types = (
    st.lists(st.integers(1, 6), min_size=1, max_size=3),
    st.sampled_from(["add", "set"]),
    st.sampled_from(["float32", "int32", "bfloat16"]),
)
cases = st.tuples(shapes, st.integers(0, 2), st.integers(0, 9), kinds_of, types)


@needs_compiler
@settings(max_examples=25)
@given(cases, st.integers(0, 99))
def test_scatters_are_numpys(case, seed):
    shape, axis, count, kind, dtype = case
    config.tier = "compiled"
    axis, r = axis % len(shape), np.random.default_rng(seed)
    x, updates = (
        jnp.asarray(r.integers(-9, 9, s)).astype(dtype) for s in (shape, (count, *shape[:axis], *shape[axis + 1 :]))
    )
    index = r.integers(-1, shape[axis] + 1, count)  # some lie outside
    with pytest.MonkeyPatch.context() as patch:
        retarget(patch, parallel_work=1, owned=1)
        got = np.asarray(
            fdl.jit(lambda x, u, i: (ops.scatter_add if kind == "add" else ops.scatter)(x, u, [i], (axis,)))(
                x, updates, index
            )
        ).astype(float)
    want = np.moveaxis(np.asarray(x).astype(float), axis, 0).copy()
    for i, u in zip(index, np.asarray(updates).astype(float), strict=True):
        if 0 <= i < len(want):
            want[i] = want[i] + u if kind == "add" else u
    np.testing.assert_array_equal(got, np.moveaxis(want, 0, axis))


@needs_compiler
def test_threads_keep_to_their_targets_and_change_no_bit():
    config.tier = "compiled"
    r = np.random.default_rng(0)
    x, index, u = (
        jnp.zeros((300, 70)),
        jnp.asarray(r.integers(0, 300, 5000)),
        jnp.asarray(r.normal(size=(5000, 70)).astype("f")),
    )
    f = lambda x, i, u: ops.scatter_add(x, ops.mul(u, 0.1), [i], (0,))
    graph, args = graph_of(f, [x, index, u])
    (scatter,) = kinds(lower(graph, host_target()).program, Scatter)
    assert (scatter.inner(), scatter.block(), scatter.extent()) == (1, 70, 300)
    assert is_parallel(scatter, host_target())
    step, results = fdl.jit(f), []
    for count in (1, 2, 7):
        fdl.set_num_threads(count)
        results.append(np.asarray(step(*args)).tobytes())
    assert results[0] == results[1] == results[2]
    single = kinds(
        lower(
            graph_of(lambda x, i, u: ops.scatter_add(x, u, [i], (0,)), [jnp.zeros(9), index, u[:, 0]])[0], host_target()
        ).program,
        Scatter,
    )
    assert [is_parallel(n, host_target()) for n in single] == [False]


def test_blocks_of_a_store():
    """A block is what the last loops walk through without a gap, if all else begins blocks."""
    place = jnp.asarray([0, 1])
    for x, u, axes, block in (
        ((4, 5, 6), (2, 5, 6), (0,), 30),
        ((4, 5, 6), (2, 4, 6), (1,), 6),
        ((4, 5, 6), (2, 4, 5), (2,), 1),
        ((4, 1, 6), (2, 1, 6), (0,), 6),
    ):
        graph, _ = graph_of(
            lambda x, u, i, axes=axes: ops.scatter_add(x, u, [i], axes), [jnp.zeros(x), jnp.zeros(u), place]
        )
        (scatter,) = kinds(lower(graph, host_target()).program, Scatter)
        assert scatter.block() == block
