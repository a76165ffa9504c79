"""Matrix products of all shapes and layouts: against NumPy in float64, on any number of threads with the same bits, for
all widths of vectors.
"""

import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.backends.toolchain import find_compiler
from fdl.core.config import config
from tests.conftest import ROOT, needs_compiler

SIZES = [1, 2, 3, 4, 5, 7, 13, 14, 15, 16, 17, 28, 31, 32, 33, 48, 63, 64, 65, 96, 129, 200, 257, 300, 513, 600]


TYPES = ["float32", "float64", "bfloat16", "int8"]  # the last two with sums that are wider


def check(m, k, n, dtype, turned_a, turned_b):
    rng = np.random.default_rng(m * 7 + k * 3 + n)
    shapes = [shape[::-1] if turned else shape for shape, turned in (((m, k), turned_a), ((k, n), turned_b))]
    a, b = (
        np.asarray(
            jnp.asarray(rng.integers(-128, 128, shape) if dtype == "int8" else rng.normal(size=shape)).astype(dtype)
        )
        for shape in shapes
    )
    numbers = (((0 if turned_a else 1,), (1 if turned_b else 0,)), ((), ()))
    sums = {"bfloat16": "float32", "int8": "int32"}.get(dtype, dtype)
    product = fdl.jit(lambda x, y: lax.dot_general(x, y, numbers, preferred_element_type=sums))
    want = (a.T if turned_a else a).astype(np.float64) @ (b.T if turned_b else b).astype(np.float64)
    results = []
    for threads in (1, 2, 7):
        fdl.set_num_threads(threads)
        results.append(np.asarray(product(jnp.asarray(a), jnp.asarray(b))))
    assert results[0].dtype == sums
    np.testing.assert_allclose(
        results[0], want, rtol=0, atol=0 if dtype == "int8" else 40 * np.sqrt(k) * np.finfo(sums).eps
    )
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


def work(m, k, n):
    return m * k * n <= 4e6


@needs_compiler
@settings(max_examples=100)
@given(
    st.tuples(*[st.sampled_from(SIZES)] * 3).filter(lambda s: work(*s)),
    st.sampled_from(TYPES),
    st.booleans(),
    st.booleans(),
)
@example((100, 64, 48), "float64", True, False)
@example((512, 600, 10), "float32", True, False)
@example((1, 129, 65), "float32", False, True)
@example((4, 65, 65), "float64", False, True)
@example((3, 100, 75), "float32", False, False)
@example((200, 28, 300), "float32", False, True)
@example((3, 65, 129), "bfloat16", False, False)
@example((2, 129, 65), "bfloat16", False, True)
@example((64, 600, 64), "bfloat16", True, False)
@example((33, 513, 33), "int8", True, True)
def test_products_of_any_shape(shape, dtype, turned_a, turned_b):
    config.tier = "compiled"
    check(*shape, dtype, turned_a, turned_b)


def check_all():
    """What a machine with other vectors is asked: some products of each kind."""
    config.tier = "compiled"
    rng = np.random.default_rng(0)
    shapes = [tuple(rng.choice(SIZES, 3).tolist()) for _ in range(60)]
    for i, shape in enumerate(s for s in shapes if work(*s)):
        check(*shape, TYPES[i % 4], bool(i & 4), bool(i & 8))


@needs_compiler
@pytest.mark.skipif(
    platform.machine() != "x86_64" or not sys.platform.startswith("linux"), reason="names of x86 processors"
)
@pytest.mark.parametrize("processor", ["haswell", "nehalem"])
def test_products_with_shorter_vectors(processor, tmp_path):
    if processor == "haswell" and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("no AVX2")
    wrapper = tmp_path / "cc"
    wrapper.write_text(
        f'#!/bin/bash\nexec {shlex.join(find_compiler().command)} "${{@/#-march=native/-march={processor}}}"\n'
    )
    wrapper.chmod(0o700)
    environment = {
        **os.environ,
        "FDL_CC": str(wrapper),
        "FDL_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    code = "from tests.backends.test_products import check_all; check_all()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_narrow_products_of_batches_windows_and_long_sums():
    config.tier = "compiled"
    rng = np.random.default_rng(1)
    a, b = (jnp.asarray(rng.normal(size=s)).astype("bfloat16") for s in ((3, 40, 2100), (3, 2100, 50)))
    wide = [np.asarray(x).astype(np.float64) for x in (a, b)]
    got = np.asarray(fdl.jit(jnp.matmul)(a, b))
    assert got.dtype == jnp.bfloat16
    np.testing.assert_allclose(got.astype(float), wide[0] @ wide[1], rtol=1e-2, atol=0.5)
    x, w = (jnp.asarray(rng.normal(size=s)).astype("bfloat16") for s in ((2, 9, 9, 16), (3, 3, 16, 24)))

    def conv(x, w):
        return lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    want = conv(x.astype("float32"), w.astype("float32"))
    np.testing.assert_allclose(np.asarray(fdl.jit(conv)(x, w)).astype(float), np.asarray(want), rtol=2e-2, atol=0.1)
    gradient = fdl.jit(fdl.grad(lambda w: conv(x, w).astype("float32").sum()))(w)
    assert gradient.dtype == jnp.bfloat16


@needs_compiler
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("k", [4, 5, 18])
def test_infinities_of_narrow_products_stay_infinities(k, turned):
    config.tier = "compiled"
    a, b = np.ones((2, k), np.float32), np.ones((k, 40), np.float32)
    b[-1, :5] = np.inf
    product = fdl.jit(
        lambda a, b: lax.dot_general(a, b, (((1,), (1 if turned else 0,)), ((), ())), preferred_element_type="float32")
    )
    got = np.asarray(
        product(jnp.asarray(a).astype("bfloat16"), jnp.asarray(b.T.copy() if turned else b).astype("bfloat16"))
    )
    assert np.isinf(got[:, :5]).all() and (got[:, 5:] == k).all()
