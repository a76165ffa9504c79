"""Folds along rows: their bits are those of the order that `fdl_fold.h` states, for vectors of each width."""

import ctypes

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.backends.dispatch import executable
from fdl.backends.toolchain import PROGRAM_FLAGS, find_compiler, host_target
from fdl.core.array import from_numpy
from fdl.lowering.build.control import build
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.pipeline import lower, schedule
from fdl.passes import run_passes
from tests.conftest import needs_compiler

pytestmark = needs_compiler

TYPES = {"f32": (np.float32, "float"), "f64": (np.float64, "double")}
ROWS = """#include "fdl_fold.h"
#define ROWS(op, T, type)                                                  \\
  void op##_##T(const type *x, long rows, long n, long block, type *out) { \\
    for (long i = 0; i < rows; i++, x += n) {                              \\
      fdl_row_##op##_##T row = fdl_begin_##op##_##T();                     \\
      for (long at = 0; at < n; at += block)                               \\
        row = fdl_block_##op##_##T(row, x + at, n - at < block ? n - at : block); \\
      out[i] = fdl_end_##op##_##T(row);                                    \\
    }                                                                      \\
  }
"""


@pytest.fixture(scope="module", params=[16, 32, 64])
def folds(request, tmp_path_factory):
    """A library of folds of rows, in vectors of so many bytes, which this machine may not have."""
    folder = tmp_path_factory.mktemp("folds")
    source, target = folder / "rows.c", folder / "rows.so"
    source.write_text(ROWS + "".join(f"ROWS({op}, {T}, {TYPES[T][1]})\n" for op in ("add", "max") for T in TYPES))
    find_compiler().build([source], target, (*PROGRAM_FLAGS, f"-DFDL_VECTOR_BYTES={request.param}"))
    return ctypes.CDLL(str(target))


def folded(library, op, x, block):
    """The folds of the rows of x, read `block` elements at a time."""
    out = np.empty(len(x), x.dtype)
    fold = getattr(library, f"{op}_{'f32' if x.dtype == np.float32 else 'f64'}")
    rows, n = (ctypes.c_long(size) for size in x.shape)
    fold(ctypes.c_void_p(x.ctypes.data), rows, n, ctypes.c_long(block), ctypes.c_void_p(out.ctypes.data))
    return out


def larger(a, b):
    """The larger one, the first NaN, the first of equal ones."""
    return np.where((b > a) | ((b != b) & (a == a)), b, a)


def last_larger(a, b):
    """The larger one, the first NaN, the last of equal ones."""
    return np.where((a > b) | (a != a), a, b)


def in_order(op, x):
    """The same with NumPy: 64 lanes, which are joined by quarters, and a tree of 16."""
    join, neutral = (np.add, 0) if op == "add" else (larger, -np.inf)
    filled = np.pad(x, ((0, 0), (0, -x.shape[1] % 64)), constant_values=neutral)
    lanes = np.full((len(x), 64), neutral, x.dtype)
    for at in range(0, filled.shape[1], 64):
        lanes = join(lanes, filled[:, at : at + 64])
    quarters = [lanes[:, 16 * i : 16 * (i + 1)] for i in range(4)]
    s = join(join(quarters[0], quarters[1]), join(quarters[2], quarters[3]))
    while s.shape[1] > 1:
        half = s.shape[1] // 2
        s = s[:, :half] + s[:, half:] if op == "add" else last_larger(s[:, ::2], s[:, 1::2])
    return s[:, 0]


def data(n, dtype, rng):
    """Rows of n elements: normal ones, signed zeros, denormal ones, infinities, NaNs with bits of their own."""
    x = rng.normal(size=(12, n)).astype(dtype)
    chance = rng.random(x.shape)
    x[2:4] = np.where(chance[2:4] < 0.5, 0.0, -0.0)
    x[4] = np.where(chance[4] < 0.3, -np.abs(x[4]), np.copysign(x[2], x[4]))
    x[5:7] *= np.finfo(dtype).tiny
    x[7][chance[7] < 0.02], x[8][chance[8] < 0.02] = np.inf, -np.inf
    x[9] = -np.inf
    unsigned = np.uint32 if dtype == np.float32 else np.uint64
    nans = np.copysign(dtype(np.nan), x[10:]).view(unsigned) | rng.integers(0, 1000, (2, n)).astype(unsigned)
    x[10:] = np.where(chance[10:] < 0.05, nans.view(dtype), x[10:])
    return x


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("op", ["add", "max"])
def test_rows_are_folded_in_the_order_that_is_stated(folds, op, kind):
    rng = np.random.default_rng(7)
    for n in [*range(1, 301), 511, 512, 1000, 4096]:
        x = data(n, TYPES[kind][0], rng)
        with np.errstate(invalid="ignore"):
            want = in_order(op, x)
        for block in (n, 256):
            got = folded(folds, op, x, block)
            if op == "add":  # which NaN a sum of two gives is the processor's choice
                got, want = (np.where(r != r, np.zeros((), r.dtype), r) for r in (got, want))
            assert got.tobytes() == want.tobytes(), (n, block)


VECTORS = {
    "min": lambda x: jnp.min(x, -1),
    "sum of squares": lambda x: jnp.sum(x * x, -1),
    "variance": lambda x: jnp.var(x, -1),
    "weighted": lambda x: jnp.sum(x * x[0] - 2.5 / x, -1),
    "largest difference": lambda x: jnp.max(x - x[:, :1], -1),
}


@pytest.mark.parametrize("kind", VECTORS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_are_computed_in_vectors_have_the_bits_of_the_interpreter(kind, dtype):
    """Of lengths with and without a rest, of special values and of zeros with both signs."""
    rng = np.random.default_rng(5)
    for n in (64, 100, 128, 191, 1000):
        x = rng.normal(size=(5, n)).astype(dtype)
        x[1, ::7], x[2, n // 2], x[3, -1], x[4] = 0.0, np.nan, -np.inf, -0.0
        graph = fdl.make_graph(VECTORS[kind])(x)
        program = schedule(build(run_passes(graph)), host_target())
        source = lower(graph, host_target()).source
        assert "FDL_AT_A_TIME" in source, source
        got = np.asarray(executable(graph, kind)([from_numpy(x)])[0])
        (want,) = interpret_program(program, [x])
        np.testing.assert_array_equal(got, want.reshape(got.shape))
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want.reshape(got.shape)))


def test_rows_that_need_more_than_operators_are_computed_before_they_are_folded():
    for f in (
        lambda x: jnp.sum(jnp.exp(x), -1),
        lambda x: jnp.sum(x[:, ::2], -1),
        lambda x: jnp.sum(x[:, :40] * 2, -1),
    ):
        assert "FDL_AT_A_TIME" not in lower(fdl.make_graph(f)(jnp.ones((3, 200))), host_target()).source


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (2, 3, 0), (2, 0, 3)])
def test_folds_of_nothing(shape):
    x = np.ones(shape, np.float32)
    graph = fdl.make_graph(lambda x: (x.sum(-1), x.sum(1), x.sum(), x.max(0, initial=0.0)))(x)
    for program in (build(graph), lower(graph, host_target()).planned):
        assert [out.tolist() for out in interpret_program(program, [x])] == [[0.0] * a.size for a in graph.out_avals]
