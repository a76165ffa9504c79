"""The interpreter folds in the order that the loop program states, so where only `+ - * /`, square roots and products
occur it has the bits of the C program.
"""

import ctypes
import ctypes.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.backends.c import CExecutable
from fdl.backends.toolchain import find_compiler
from fdl.core import dtypes
from fdl.core.array import from_numpy
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.ir.nodes import Dot, Reduce
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.ir.spellings import COSTLY
from fdl.lowering.pipeline import lower
from fdl.ops.rounding import fma
from tests.conftest import needs_compiler
from tests.lowering.drawn import EXACT, LONG, examples, programs
from tests.ops.test_samples import WITH_SAMPLES, good, joint_graph

# whose references, those of C and of LAPACK, have other last bits
ROUNDED = (COSTLY | {"rsqrt", "triangular_solve", "lu", "cholesky", "qr", "eigh", "svd"}) - {"philox"}
PLAIN = [p for p in WITH_SAMPLES if p.name not in ROUNDED]
FLOATS = [np.float32, np.float64, dtypes.bfloat16]
TILES = "amx_bf16" in Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else False


def bits(x):
    """An array's bits, those of all NaNs alike."""
    x = np.array(x).reshape(-1)
    x = x.view(x.real.dtype) if dtypes.is_complex(x.dtype) else x
    if dtypes.is_float(x.dtype):
        x[x != x] = np.nan
    return x.tobytes()


def same(graph, args):
    """The program, once its results have been found to be the C program's, bit for bit."""
    program = lower(graph, find_compiler().target).program
    if TILES and any(isinstance(n, Dot) and n.lhs.buffer.dtype == dtypes.bfloat16 for n in all_nodes(program.nodes)):
        pytest.skip("this machine multiplies tiles of bfloat16 in an order of its own")
    outs = CExecutable(graph, find_compiler())([from_numpy(a) for a in args])
    for i, (got, want) in enumerate(zip(interpret_program(program, args), outs, strict=False)):
        assert bits(got) == bits(np.asarray(want)), (i, graph.outputs[i].aval)
    return program


def same_bits(f, *args):
    graph, captured = fdl.make_graph(f)(*[from_numpy(a) for a in args]).lift()
    return same(graph, [*map(np.asarray, captured), *args])


def cancelling(shape, dtype, seed=0):
    """Numbers whose sum depends on the order, and some zeros of either sign."""
    rng = np.random.default_rng(seed)
    x = rng.choice([1e8, -1e8, 1.0, -1.0, 0.1, 3e4, -3e4, 0.0, -0.0], shape) * rng.choice([1.0, 1.0, 0.7], shape)
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reach", [0, 3, 60])
def test_fma_rounds_once(dtype, reach):
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    function, kind = (library.fmaf, ctypes.c_float) if dtype == np.float32 else (library.fma, ctypes.c_double)
    function.restype, function.argtypes = kind, [kind] * 3
    rng = np.random.default_rng(reach)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, np.finfo(dtype).max, np.finfo(dtype).tiny])
    special = np.concatenate([special, [np.finfo(dtype).smallest_subnormal, -np.finfo(dtype).max]])
    a, b = rng.normal(size=(2, 4000)) * 2.0 ** rng.integers(-reach, reach + 1, (2, 4000))
    near = -a * b * (1 + rng.choice([0, 2.0**-24, 2.0**-50, 2.0**-52], 4000))
    c = np.where(rng.random(4000) < 0.5, near, a * b * 2.0 ** rng.integers(-60, 60, 4000))
    grid = [g.reshape(-1) for g in np.meshgrid(special, special, special)]
    with np.errstate(all="ignore"):
        a, b, c = (np.concatenate([x, g]).astype(dtype) for x, g in zip((a, b, c), grid, strict=True))
        got = fma(a, b, c)
    want = np.array([function(*x) for x in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)], dtype)
    assert bits(got) == bits(want)


@needs_compiler
@pytest.mark.parametrize("primitive", PLAIN, ids=lambda p: p.name)
def test_samples(primitive):
    samples = good(primitive)
    if primitive.name == "sqrt":  # of complex numbers it takes a hypotenuse
        samples = [s for s in samples if not any(dtypes.is_complex(a.dtype) for a in s.args)]
    same(*joint_graph(primitive, samples))


@needs_compiler
def test_results_side_by_side():
    """Neither products in their sums nor conditional loads: gcc 12 fuses the first, and mixes the second up."""

    def f(x, y):
        turned = [x[:, 0] * y[:, 0] - x[:, 1] * y[:, 1], x[:, 0] * y[:, 1] + x[:, 1] * y[:, 0]]
        a, b = (jnp.pad(x[:, i], (1, 2)) for i in (0, 1))
        return jnp.stack(turned, 1), jnp.stack([a * 0.0 - b, a + b * 0.0], 1)

    for dtype in (np.float32, np.float64):
        same_bits(f, *np.random.default_rng(0).normal(size=(2, 50, 2)).astype(dtype))


LENGTHS, MORE_LENGTHS = [9, 16, 17, 63, 64, 65, 145, 256, 257, 300, 4095, 4096, 4097], range(1, 301)
HEIGHTS, MORE_HEIGHTS = [9, 64, 127, 128, 129, 130], range(1, 131)


def parts(sizes, long):
    """Sizes in lists of which one program can be made each."""
    return [sizes, *([long[i : i + 25] for i in range(0, len(long), 25)] if LONG else [])]


@needs_compiler
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("fold", [jnp.sum, jnp.max])
@pytest.mark.parametrize("lengths", parts(LENGTHS, MORE_LENGTHS), ids=lambda s: f"{s[0]} to {s[-1]}")
def test_folds_along_rows(lengths, fold, dtype):
    """Read in place, computed first, and of rows that lie side by side."""

    def f(x, y, z):
        return [fold(v, 1) for n in lengths for v in (x[:, :n], x[:, :n] * y, z[:n].T)]

    x, z = cancelling((9, 4097), dtype), cancelling((4097, 9), dtype, 1)
    x[7, ::50], z[::50, 7] = np.nan, np.nan
    x[8, ::50], z[::50, 8] = -np.inf, -np.inf
    x[6], z[:, 6] = x[6] * 0, z[:, 6] * 0  # zeros of both signs
    program = same_bits(f, x, cancelling((9, 1), dtype, 2), z)
    assert all(n.rows for n in all_nodes(program.nodes) if isinstance(n, Reduce))


@needs_compiler
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: np.dtype(d).name)
@pytest.mark.parametrize("fold", [jnp.sum, jnp.max])
@pytest.mark.parametrize("heights", parts(HEIGHTS, MORE_HEIGHTS), ids=lambda s: f"{s[0]} to {s[-1]}")
def test_folds_down_columns(heights, fold, dtype):
    def f(x, y):
        return [fold(v, 0) for n in heights for v in (x[:n], x[:n] * y, x[:n, :1])] + [
            fold(x.reshape(13, 10, 37)[:a, :b], (0, 1)) for a, b in ((13, 10), (2, 3), (5, 10), (12, 9))
        ]

    x = cancelling((130, 37), dtype)
    x[::40, 3], x[::40, 4], x[:, 5] = np.nan, -np.inf, x[:, 5] * 0
    program = same_bits(f, x, cancelling((1, 37), dtype, 2))
    assert not all(n.rows for n in all_nodes(program.nodes) if isinstance(n, Reduce))


@needs_compiler
def test_folds_of_rows_in_fused_rows_and_totals_of_columns():
    def f(x):
        y = x / (1 + jnp.sqrt(jnp.sum(x * x, 1, keepdims=True)))
        return y, jnp.sum(y - jnp.max(y, 1, keepdims=True), 1), jnp.sum(y, 0)

    for rows, columns in ((8, 16), (256, 65), (384, 300), (300, 33)):
        same_bits(f, cancelling((rows, columns), np.float32, rows))


SIZES = st.one_of(st.integers(1, 70), st.sampled_from([95, 96, 128, 129, 200, 257]))
DEPTHS = st.one_of(st.integers(2, 70), st.sampled_from([511, 512, 513, 1025, 2047]))
PRODUCTS = st.tuples(SIZES, SIZES, DEPTHS, st.booleans(), st.booleans()).filter(lambda p: p[0] * p[1] * p[2] < 1 << 20)


@needs_compiler
@examples(4)
@given(st.lists(PRODUCTS, min_size=8, max_size=8), st.sampled_from([*FLOATS, np.int8]), st.booleans())
def test_products(shapes, dtype, few):
    """Each element is one chain in the order of k, whatever the tile, the block of k and the layout of operands."""
    shapes = [(m % 5 + 1 if few else m, n, k, a, b) for m, n, k, a, b in shapes]
    args = []
    for i, (m, n, k, turned, down) in enumerate(shapes):
        sizes = (k, m) if turned else (m, k), (n, k) if down else (k, n)
        made = (cancelling(s, np.float64, 2 * i + j) for j, s in enumerate(sizes))
        args += [np.clip(x, -9, 9).astype(dtype) if dtype == np.int8 else x.astype(dtype) for x in made]
    wide = {np.int8: "int32", dtypes.bfloat16: "float32"}.get(dtype)

    def f(*xs):
        pairs = zip(xs[::2], xs[1::2], shapes, strict=True)
        return [
            lax.dot(a.T if turned else a, b.T if down else b, preferred_element_type=wide)
            for a, b, (_, _, _, turned, down) in pairs
        ]

    same_bits(f, *args)


@needs_compiler
@pytest.mark.parametrize("batch", [1, 3, 17])
def test_batches_convolutions_and_long_sums(batch):
    def f(q, k, v, x, w, a, b):
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k)
        image = lax.conv_general_dilated(x, w, (2, 1), "SAME")
        return jnp.einsum("bhqk,bkhd->bqhd", scores, v), image, a @ b, (a.T @ a)[:3], a @ a.T

    q, k, v = (cancelling((batch, n, 3, 20), np.float32, n) for n in (12, 33, 33))
    x, w = cancelling((batch, 5, 19, 18), np.float32), cancelling((7, 5, 3, 3), np.float32)
    same_bits(f, q, k, v, x, w, cancelling((9, 4096), np.float32), cancelling((4096, 11), np.float32))


@needs_compiler
@examples(12)
@given(programs(EXACT), st.sampled_from([(3, 4), (1, 5), (17, 33), (130, 70)]), st.sampled_from(FLOATS))
def test_random_programs(f, shape, dtype):
    same_bits(f, cancelling(shape, dtype))
