"""Settings under JAX's names: what `enable_x64` changes, and what it leaves alone."""

import contextvars
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
import fdl.stateful as torch
from fdl import lax
from fdl.core.errors import SettingError
from tests.conftest import ROOT

X = np.array([0.5, -1.25, 2.0], np.float32)
# calls without a dtype: what JAX 0.10.2 gives without and with jax_enable_x64
DEFAULTS = {
    "jnp.zeros(2)": ("float32", "float64"),
    "jnp.ones(2, None)": ("float32", "float64"),
    "jnp.eye(2)": ("float32", "float64"),
    "jnp.tri(2)": ("float32", "float64"),
    "jnp.full(2, 1.5)": ("float32", "float64"),
    "jnp.full(2, 1)": ("int32", "int64"),
    "jnp.array([1.5, 2])": ("float32", "float64"),
    "jnp.array([])": ("float32", "float64"),
    "jnp.array(1j)": ("complex64", "complex128"),
    "jnp.asarray(2)": ("int32", "int64"),
    "jnp.array([1.5], float)": ("float32", "float64"),
    "jnp.arange(3)": ("int32", "int64"),
    "jnp.arange(3.0)": ("float32", "float64"),
    "jnp.linspace(0, 1, 3)": ("float32", "float64"),
    "jnp.indices((2, 2))": ("int32", "int64"),
    "jnp.tril_indices(2)[0]": ("int32", "int64"),
    "jnp.hanning(4)": ("float32", "float64"),
    "jnp.fft.fftfreq(4)": ("float32", "float64"),
    "jnp.sin(1)": ("float32", "float64"),
    "jnp.add(1.5, 2)": ("float32", "float64"),
    "jnp.add(jnp.int8(1), 1.5)": ("float32", "float64"),
    "jnp.sqrt(jnp.int32(4))": ("float32", "float64"),
    "jnp.mean(jnp.int32([1, 2]))": ("float32", "float64"),
    "jnp.sum(jnp.int8([1, 2]))": ("int32", "int64"),
    "jnp.sum(jnp.uint8([1, 2]))": ("uint32", "uint64"),
    "jnp.sum(jnp.int32([1, 2]))": ("int32", "int64"),
    "jnp.count_nonzero(X)": ("int32", "int64"),
    "jnp.argmax(X)": ("int32", "int64"),
    "jnp.argsort(X)": ("int32", "int64"),
    "jnp.searchsorted(X, 1.0)": ("int32", "int64"),
    "jnp.nonzero(X)[0]": ("int32", "int64"),
    "jnp.nonzero(X, size=2)[0]": ("int32", "int64"),
    "jnp.unique(X, return_counts=True)[1]": ("int32", "int64"),
    "jnp.unique(X, return_inverse=True)[1]": ("int32", "int64"),
    "jnp.bincount(jnp.int32([0, 1]))": ("int32", "int64"),
    "fdl.random.normal(fdl.random.key(0))": ("float32", "float64"),
    "fdl.random.uniform(fdl.random.key(0), (2,))": ("float32", "float64"),
    "fdl.random.randint(fdl.random.key(0), (2,), 0, 5)": ("int32", "int64"),
    "fdl.random.permutation(fdl.random.key(0), 3)": ("int32", "int64"),
    "fdl.random.categorical(fdl.random.key(0), X)": ("int32", "int64"),
    "fdl.nn.one_hot(jnp.int32([0]), 2)": ("float32", "float64"),
    "fdl.nn.initializers.ones(fdl.random.key(0), (2,))": ("float32", "float64"),
    "lax.fori_loop(0, 3, lambda i, c: c + i, 0)": ("int32", "int64"),
    "fdl.grad(lambda x: x * x)(1.5)": ("float32", "float64"),
    # dtypes that were said, and arrays that are there
    "X * 2.5": ("float32", "float32"),
    "jnp.asarray(X) + 1": ("float32", "float32"),
    "jnp.sin(X)": ("float32", "float32"),
    "jnp.zeros(2, jnp.float32)": ("float32", "float32"),
    "jnp.sum(X)": ("float32", "float32"),
    "jnp.int8([1]) + 1": ("int8", "int8"),
    "lax.top_k(jnp.asarray(X), 1)[1]": ("int32", "int32"),
    "fdl.grad(lambda x: jnp.sum(x * x))(X)": ("float32", "float32"),
}


def dtype_of(text):
    return str(eval(text, {"jnp": jnp, "fdl": fdl, "lax": lax, "X": X, "np": np}).dtype)


@pytest.mark.parametrize("text", DEFAULTS)
def test_defaults(text):
    narrow, wide = DEFAULTS[text]
    assert dtype_of(text) == narrow
    with fdl.enable_x64():
        assert dtype_of(text) == wide
        with fdl.enable_x64(False):
            assert dtype_of(text) == narrow
        assert dtype_of(text) == wide
    assert dtype_of(text) == narrow


def test_nothing_is_narrowed():
    for x64 in (False, True):
        with fdl.enable_x64(x64):
            assert float(jnp.asarray(np.float64(1e300))) == 1e300
            assert complex(jnp.array(np.complex128(1e300j))) == 1e300j
            assert jnp.asarray(np.zeros(2)).dtype == "float64"
            assert jnp.array([np.float64(0.1)]).tolist() == [0.1]
            assert jnp.asarray(np.int64(1) << 40).item() == 1 << 40
            assert (jnp.float32([1]) * np.float64(2)).dtype == "float32", "a number yields to arrays"
            assert (jnp.float64([1]) + jnp.float32([1])).dtype == "float64"


def test_numbers_alone_have_the_width_of_now():
    """Programs of numbers alone look the same to the recorder at both widths."""
    for _ in range(3):
        assert jnp.add(1.0, 2.0).dtype == "float32"
        assert jnp.multiply(np.float64(1), np.float64(2)).dtype == "float64"
        with fdl.enable_x64():
            assert jnp.add(1.0, 2.0).dtype == "float64"
            assert jnp.less(0.1, 0.2)


def test_weak_arrays_are_not_widened_by_numbers():
    weak = jnp.asarray(1.5)
    with fdl.enable_x64():
        assert (weak + 1.5).dtype == "float32" and (weak + 1.5).weak_type
        assert (jnp.asarray(3) + 2**40).item() == 3 + 2**40


def test_jit_records_once_for_each_width():
    traces = []

    @fdl.jit
    def f(x):
        traces.append(1)
        return x * 1.5, jnp.zeros(2), jnp.argmax(x)

    def dtypes():
        return [str(v.dtype) for v in f(jnp.asarray(X))]

    for _ in range(3):
        assert dtypes() == ["float32", "float32", "int32"]
        with fdl.enable_x64():
            assert dtypes() == ["float32", "float64", "int64"]
    assert len(traces) == 2


def test_library_functions_are_recorded_for_each_width():
    f = fdl.graph_function(lambda x: x + jnp.zeros(2))
    assert f(jnp.int32([1, 2])).dtype == "float32"
    with fdl.enable_x64():
        assert f(jnp.int32([1, 2])).dtype == "float64"
    assert f(jnp.int32([1, 2])).dtype == "float32"


def test_inside_of_a_jitted_function():
    @fdl.jit
    def f(x):
        with fdl.enable_x64():
            wide = jnp.zeros(2)
        return wide, jnp.zeros(2), x

    assert [str(v.dtype) for v in f(1.0)] == ["float64", "float32", "float32"]


def test_a_context_has_its_own():
    f = fdl.jit(lambda x: x + jnp.zeros(2))
    found = {}
    with fdl.enable_x64():
        inside = contextvars.copy_context()
        thread = threading.Thread(target=lambda: found.update(other=str(f(jnp.int32([1, 2])).dtype)))
        thread.start()
        thread.join()
        found["own"] = str(f(jnp.int32([1, 2])).dtype)
    assert found == {"other": "float32", "own": "float64"}
    for _ in range(3):
        assert f(jnp.int32([1, 2])).dtype == "float32"
        assert inside.run(f, jnp.int32([1, 2])).dtype == "float64"


def test_of_the_process():
    f = fdl.jit(lambda x: x + jnp.zeros(2))
    assert f(jnp.int32([1, 2])).dtype == "float32"
    try:
        fdl.config.update("jax_enable_x64", True)
        assert fdl.config.jax_enable_x64 and fdl.config.read("jax_enable_x64") and fdl.config.x64_enabled
        assert f(jnp.int32([1, 2])).dtype == "float64"
        found = []
        thread = threading.Thread(target=lambda: found.append(str(jnp.zeros(2).dtype)))
        thread.start()
        thread.join()
        assert found == ["float64"]
        with fdl.enable_x64(False):
            assert f(jnp.int32([1, 2])).dtype == "float32" and not fdl.config.jax_enable_x64
    finally:
        fdl.config.jax_enable_x64 = False
    assert f(jnp.int32([1, 2])).dtype == "float32"


def test_the_variable():
    code = "import fdl, fdl.numpy as jnp; print(jnp.zeros(2).dtype, fdl.config.jax_enable_x64)"
    for text, expected in (("1", "float64 True"), ("true", "float64 True"), ("0", "float32 False")):
        environment = {**os.environ, "JAX_ENABLE_X64": text, "PYTHONPATH": str(ROOT)}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert run.stdout.strip() == expected


def test_the_stateful_face_has_defaults_of_its_own():
    narrow = [str(f()) for f in STATEFUL]
    with fdl.enable_x64():
        assert [str(f()) for f in STATEFUL] == narrow


STATEFUL = [
    lambda: torch.ones(2).dtype,
    lambda: torch.tensor(1.5).dtype,
    lambda: (torch.arange(5) / 2).dtype,
    lambda: (torch.arange(5) * 1.5).dtype,
    lambda: torch.sin(torch.arange(5)).dtype,
    lambda: torch.logsumexp(torch.ones(5), 0).dtype,
    lambda: torch.linspace(0, 1, 7).dtype,
    lambda: torch.randn(7).dtype,
    lambda: torch.nn.Linear(3, 5)(torch.ones(1, 3)).dtype,
    lambda: torch.complex(torch.ones(7), torch.ones(7)).dtype,
    lambda: torch.special.expit(torch.arange(7)).dtype,
    lambda: torch.histc(torch.ones(7), 4, 0.0, 2.0).dtype,
]


def test_without_jit():
    seen = []
    f = fdl.jit(lambda x: seen.append(float(x)) or x + 1)
    with fdl.disable_jit():
        assert float(f(2.0)) == 3.0 and fdl.config.jax_disable_jit
    assert seen == [2.0]


def test_what_is_no_setting():
    with pytest.raises(AttributeError, match="config has no 'jax_speed'"):
        fdl.config.update("jax_speed", True)
    with pytest.raises(AttributeError, match="config has no 'speed'"):
        fdl.config.speed = 1
    with pytest.raises(SettingError, match="jax_enable_x64 is 'yes'"):
        fdl.config.update("jax_enable_x64", "yes")


def test_ways_of_promotion_that_are_fixed():
    with fdl.numpy_dtype_promotion("standard"), fdl.numpy_rank_promotion("allow"):
        assert fdl.config.jax_numpy_rank_promotion == fdl.config.read("jax_numpy_rank_promotion") == "allow"
    fdl.config.update("jax_numpy_dtype_promotion", "standard")
    for change in (
        lambda: fdl.numpy_dtype_promotion("strict").__enter__(),
        lambda: fdl.config.update("jax_numpy_rank_promotion", "raise"),
    ):
        with pytest.raises(ValueError, match="promoted in one way"):
            change()
