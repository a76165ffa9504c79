"""Devices without a device: `cuda-sim` runs the text that a GPU would get, NVRTC compiles it.

The oracle is the C program, bit for bit: a device keeps the orders that `lowering/ir/fold.py` states. What C has a
routine for is built as loops there, whose sums may round otherwise.
"""

import re

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn, ops
from fdl.backends.cuda import cuda_available
from fdl.backends.cuda_sim import SimDriver, sim_executable
from fdl.backends.device import lower_device
from fdl.backends.nvrtc import compile_ptx, nvrtc_available
from fdl.core.array import from_numpy
from fdl.lowering.build.control import build
from fdl.lowering.emit.device.program import DeviceProgram
from fdl.lowering.ir.nodes import Routine
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.target import AVX2, CUDA, METAL
from fdl.passes import run_passes
from fdl.testing.tolerances import assert_close
from tests.conftest import ROOT, needs_compiler
from tests.lowering.corpus import compiler
from tests.lowering.corpus.data import Record, from_data, inputs_of, raw_corpus

RAW = raw_corpus()
SMALL = 3_000  # elements that a program computes


def computed(name):
    """Elements of all results of a program's equations."""
    return sum(v.aval.size for e in from_data(RAW[name]["graph"]).equations for v in e.outputs)


SMALL_ONES = [name for name in RAW if computed(name) <= SMALL and not name.startswith("benchmarks/")]


def assert_same_bits(got, want):
    """Of numbers; a NaN is one, whatever it carries."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    parts = (np.real, np.imag) if got.dtype.kind == "c" else (np.asarray,)
    for part in parts:
        a, b = (part(x).astype(np.float64) if x.dtype.kind == "V" else part(x) for x in (got, want))
        np.testing.assert_array_equal(a, b)
        if a.dtype.kind == "f":
            numbers = ~np.isnan(b)
            np.testing.assert_array_equal(np.signbit(a[numbers]), np.signbit(b[numbers]))


def has_routine(graph):
    """Whether C has functions for some of it, which are built as loops for devices."""
    return any(isinstance(n, Routine) for n in all_nodes(build(run_passes(graph), routines=AVX2.routines).nodes))


def assert_as_in_c(name, checked):
    record = Record.of(name, RAW[name])
    args = inputs_of(record.graph, 0)
    found = sim_executable(record.graph, checked)([from_numpy(x.copy()) for x in args])
    wanted = compiler.executable(record.graph, record.donated)([from_numpy(x.copy()) for x in args])
    for got, want in zip(map(np.asarray, found), map(np.asarray, wanted), strict=True):
        (assert_close if has_routine(record.graph) else assert_same_bits)(got, want)


@needs_compiler
@pytest.mark.parametrize(("name", "checked"), [(n, i % 2 == 0) for i, n in enumerate(SMALL_ONES[::6])])
def test_programs_have_the_bits_of_c(name, checked):
    assert_as_in_c(name, checked)


@needs_compiler
@pytest.mark.sim
@pytest.mark.parametrize("name", [n for n in RAW if computed(n) <= 20 * SMALL])
def test_all_programs_have_the_bits_of_c(name):
    assert_as_in_c(name, checked=False)


@needs_compiler
@pytest.mark.sim
@pytest.mark.parametrize("name", SMALL_ONES)
def test_all_small_programs_keep_to_their_memory(name):
    assert_as_in_c(name, checked=True)


@pytest.mark.sim
@pytest.mark.skipif(not nvrtc_available(), reason="NVRTC is not installed")
@pytest.mark.parametrize("name", RAW)
def test_all_programs_compile_to_ptx(name):
    source = lower_device(from_data(RAW[name]["graph"]), CUDA).source
    assert compile_ptx(source, "compute_90").count(".entry k") == source.count("__global__")


def network(x, w, b):
    return jnp.max(nn.relu(x @ w + b), axis=1) + jnp.sum(jnp.tanh(x), axis=1)


ARGS = (jnp.ones((20, 30)), jnp.ones((30, 40)), jnp.ones(40))
X = jnp.asarray(np.random.default_rng(0).normal(size=(33, 70)).astype(np.float32))


def device_sources():
    graph = fdl.make_graph(network)(*ARGS)
    return {t.language: lower_device(graph, t).source for t in (CUDA, METAL)}


@pytest.mark.parametrize("name", ["cuda", "metal"])
def test_golden_source(name):
    """To renew after a wanted change: python -m tests.backends.test_gpu"""
    assert device_sources()[name] == (ROOT / "tests" / "backends" / f"golden.{name}.txt").read_text()


def test_metal_has_no_float64():
    x = jnp.ones(3, "float64")
    with pytest.raises(fdl.FdlError, match="float64 does not exist"):
        lower_device(fdl.make_graph(lambda x: x + 1)(x), METAL)


@needs_compiler
@pytest.mark.parametrize(
    "f",
    [
        lambda x: lax.scan(lambda c, r: (c * 0.9 + r, c.sum()), x[0], x),
        lambda x: lax.scan(lambda c, r: (c * 0.9 + r, c.sum()), x[0], x, reverse=True),
        lambda x: lax.while_loop(lambda c: c[0] < 20, lambda c: (c[0] + 1, c[2], c[1] * 0.5), (0, x, x + 1)),
        lambda x: lax.switch(jnp.argmax(x[0]) % 3, [jnp.sin, jnp.cos, lambda x: x * x], x),
        lambda x: fdl.grad(lambda x: jnp.sum(nn.softmax(x @ x.T) @ x))(x),
        lambda x: jnp.zeros((5, 70)).at[jnp.argmax(x, 1) % 7].add(x, mode="drop"),
        lambda x: (jnp.argmax(x, 0), jnp.argmin(x, 1), jnp.max(x), jnp.sum(x, 0), jnp.mean(x), jnp.var(x, 1)),
        lambda x: fdl.vmap(lambda r: fdl.random.normal(fdl.random.key(3), (4,)) * r[0])(x),
        lambda x: jnp.cumsum(x, 1)[:, ::-1],
        lambda x: jnp.zeros((0, 3)) + jnp.sum(x[:0]),
    ],
)
def test_functions_have_the_bits_of_c(f):
    found, wanted = fdl.jit(f, device="cuda-sim")(X), fdl.jit(f)(X)
    for got, want in zip(fdl.tree.leaves(found), fdl.tree.leaves(wanted), strict=True):
        assert_same_bits(np.asarray(got), np.asarray(want))


def root(x):
    ops.check(ops.less(x, 0.0), ops.Failure(ValueError, "negative", "negative"))
    return ops.sqrt(x)


@needs_compiler
def test_a_check_that_fails_raises():
    f = fdl.jit(root, device="cuda-sim")
    assert f(jnp.asarray([4.0, 9.0])).tolist() == [2.0, 3.0]
    with pytest.raises(ValueError, match="negative"):
        f(jnp.asarray([4.0, -9.0]))
    assert f(jnp.asarray([4.0, 9.0])).tolist() == [2.0, 3.0]


PLANTED = {
    "a barrier is missing": ("__syncthreads();", ";", "no barrier lies between"),
    "rows are too long": ("* 70", "* 71", "outside of its buffer"),
    "a thread leaves its part of a tile": ("left[y][x] =", "if (x) left[y][x] =", "nobody has written"),
    "threads write one element": ("(row) * 33 + (col) * 1] = total", "0] = total", "no barrier lies between"),
}


@needs_compiler
@pytest.mark.parametrize("fault", PLANTED)
def test_planted_faults_are_found(fault):
    old, new, says = PLANTED[fault]
    square = lambda x: x @ x.T
    executable = sim_executable(fdl.make_graph(square)(X), checked=True)
    (result,) = executable([X])
    assert_same_bits(np.asarray(result), np.asarray(fdl.jit(square)(X)))
    good = executable.rendered
    bad = DeviceProgram(good.program, good.source.replace(old, new, 1), good.launches)
    assert bad.source != good.source
    executable.driver = SimDriver(bad, checked=True)
    with pytest.raises(fdl.FdlError, match=says):
        executable([X])


@needs_compiler
def test_a_barrier_that_some_threads_miss_is_found():
    executable = sim_executable(fdl.make_graph(lambda x: jnp.sum(x, 1))(X))
    good = executable.rendered
    bad = DeviceProgram(
        good.program, good.source.replace("__syncthreads();", "if (lane) __syncthreads();"), good.launches
    )
    executable.driver = SimDriver(bad)
    with pytest.raises(fdl.FdlError, match="others never reach"):
        executable([X])


def test_a_device_that_does_not_exist_is_named():
    with pytest.raises(fdl.FdlError, match="there is no device 'tpu'"):
        fdl.jit(network, device="tpu")(*ARGS)


# NVRTC


@pytest.mark.skipif(not nvrtc_available(), reason="NVRTC is not installed")
@pytest.mark.parametrize("architecture", ["compute_80", "compute_90"])
def test_cuda_compiles_to_ptx(architecture):
    source = device_sources()["cuda"]
    assert len(re.findall(r"\.entry k\d+", compile_ptx(source, architecture))) == source.count("__global__")


# A GPU


@pytest.mark.gpu
@pytest.mark.skipif(not cuda_available(), reason="no CuPy or no GPU")
def test_cuda_runs():
    got = fdl.jit(network, device="cuda")(*ARGS)
    np.testing.assert_allclose(np.asarray(got), np.asarray(network(*ARGS)), rtol=1e-5)


@pytest.mark.skipif(cuda_available(), reason="there is a GPU")
def test_cuda_without_gpu_is_a_clear_error():
    with pytest.raises(fdl.FdlError, match="CuPy or a GPU is missing"):
        fdl.jit(network, device="cuda")(*ARGS)


if __name__ == "__main__":
    for kind, text in device_sources().items():
        (ROOT / "tests" / "backends" / f"golden.{kind}.txt").write_text(text)
