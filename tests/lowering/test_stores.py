"""Results that go past the caches: the same bits, whatever their type, shape and number of threads."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.backends.c import CExecutable
from fdl.backends.toolchain import find_compiler, host_target
from fdl.lowering.pipeline import lower
from tests.conftest import needs_compiler
from tests.lowering.targets import retarget
from tests.lowering.test_tile import graph_of

R = np.random.default_rng(0)
X, Y = R.normal(size=(37, 300)).astype("f"), R.normal(size=(37, 1)).astype("f")

PROGRAMS = {
    "flat": lambda x, y: jnp.exp(x) * 2,
    "rows of odd length": lambda x, y: x[:, :, None] * jnp.arange(131, dtype="f"),
    "half precision": lambda x, y: (x * y).astype("bfloat16"),
    "bytes": lambda x, y: x > 0,
    "two results of one kernel": lambda x, y: (jnp.tanh(x), (jnp.tanh(x) * 3).astype("float64")),
    "a row's fold, then its elements": lambda x, y: (x - x.mean(1, keepdims=True)) * y,
    "turned": lambda x, y: jnp.sin(x).T + 0,
    "steps of a loop": lambda x, y: lax.scan(lambda c, r: (c * 0.5 + r, jnp.tanh(c) + r), x[0], x)[1],
    "read again": lambda x, y: (lambda a: (a, a.sum(0)))(jnp.exp(x)),
}


@needs_compiler
@pytest.mark.parametrize("name", PROGRAMS)
def test_streamed_results_are_the_same(name, monkeypatch):
    graph, args = graph_of(PROGRAMS[name], (jnp.asarray(X), jnp.asarray(Y)))
    want = [np.asarray(a).tobytes() for a in CExecutable(graph, find_compiler())(args)]
    assert "fdl_stream(" not in lower(graph, host_target()).source
    retarget(monkeypatch, past_caches=1)
    assert ("fdl_stream(" in lower(graph, host_target()).source) == (name not in ("turned", "read again"))
    program = CExecutable(graph, find_compiler())
    for threads in (1, 2, 7):
        fdl.set_num_threads(threads)
        assert [np.asarray(a).tobytes() for a in program(args)] == want
