"""Bits are the operands': no tuning, no compiler, no length of vectors and no number of threads decides one.

Matrix products are called here as compiled programs call them, share by share, for compilers that would each choose
another way to multiply and add; and whole programs are computed in processes of their own. Machines differ in one thing
alone: whether they round a product and a sum once.
"""

import ctypes
import dataclasses
import functools
import hashlib
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn, tree
from fdl.backends import runtime, toolchain
from fdl.backends.toolchain import find_compiler
from fdl.core.config import config
from fdl.lowering.target import AVX2, AVX512
from tests.conftest import ROOT, needs_compiler

pytestmark = [
    needs_compiler,
    pytest.mark.skipif(
        platform.machine() != "x86_64" or not sys.platform.startswith("linux"), reason="names of x86 processors"
    ),
]

# What is added to the flags of the machine's own compiler; zen avoids chains of fused multiply-adds, others do not
FLAGS = {
    "zen": ["-mtune=znver3"],
    "haswell": ["-mtune=haswell"],
    "short": ["-mno-avx512f"],
    "short zen": ["-mno-avx512f", "-mtune=znver3"],
    "shortest": ["-mno-avx512f", "-DFDL_VECTOR_BYTES=16"],  # of folds and copies; products have what the machine has
}
CLANG = next(filter(None, map(shutil.which, ["clang", *(f"clang-{n}" for n in range(22, 11, -1))])), None)


def compiler_of(variant):
    """The machine's compiler with other flags, or clang; None where there is none."""
    own = find_compiler()
    if variant == "own":
        return own
    if variant == "clang":
        return toolchain._describe((CLANG,), "auto") if CLANG else None
    target = AVX2 if own.target is AVX512 and "-mno-avx512f" in FLAGS[variant] else own.target
    return dataclasses.replace(own, target=target, machine_flags=(*own.machine_flags, *FLAGS[variant]))


@functools.cache
def library(variant, kind, folder):
    """The file of a type's products as a compiler makes them; None without it."""
    compiler = compiler_of(variant)
    if compiler is None:
        return None
    path = Path(folder) / f"{kind}-{variant.replace(' ', '-')}.so"
    runtime._build(compiler, kind, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("products"))


class Digit(ctypes.Structure):
    _fields_ = [("size", ctypes.c_long), ("step", ctypes.c_long)]


class Axes(ctypes.Structure):
    _fields_ = [("rows", ctypes.c_int), ("columns", ctypes.c_int), ("row", Digit * 6), ("column", Digit * 6)]


def axes(rows, columns):
    """How a matrix lies in memory: (size, step) of each digit of a row's number, and of a column's."""
    return Axes(len(rows), len(columns), (Digit * 6)(*rows), (Digit * 6)(*columns))


ELEMENTS = {"f32": np.float32, "f64": np.float64, "bf16": np.uint16}


def operands(kind, count, rng):
    x = rng.normal(size=count)
    return (
        (x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16) if kind == "bf16" else x.astype(ELEMENTS[kind])
    )


def multiplied(path, kind, case, threads):
    """The product of a case, as so many threads make it."""
    (m, n, k), a, a_axes, b, b_axes = case
    out = np.full((m, n), np.nan, np.float32 if kind == "bf16" else ELEMENTS[kind])
    multiply = ctypes.CDLL(str(path)).fdl_gemm
    place = lambda x: ctypes.c_void_p(x.ctypes.data)
    sizes = [ctypes.c_long(i) for i in (m, n, k)]
    for tid in range(threads):
        after = [] if kind == "bf16" else [None]
        multiply(
            *sizes,
            place(a),
            ctypes.byref(a_axes),
            place(b),
            ctypes.byref(b_axes),
            place(out),
            ctypes.c_long(n),
            tid,
            threads,
            *after,
        )
    return out


def cases(kind):
    """Products of few and many rows, of which some end in tiles of one row; operands as rows and as columns; and
    windows of an image.
    """
    rng = np.random.default_rng(3)
    for m, n, k in [
        (1, 40, 70),
        (2, 33, 65),
        (4, 64, 100),
        (15, 17, 3),
        (29, 70, 64),
        (37, 33, 300),
        (61, 5, 70),
        (7, 200, 1100),
    ]:
        a, b = operands(kind, m * k, rng), operands(kind, k * n, rng)
        for turned in range(4):
            a_axes = axes([(m, 1)], [(k, m)]) if turned & 1 else axes([(m, k)], [(k, 1)])
            b_axes = axes([(k, 1)], [(n, k)]) if turned & 2 else axes([(k, n)], [(n, 1)])
            yield (m, n, k), a, a_axes, b, b_axes
    for high, wide, channels, outs in [(5, 11, 3, 5), (4, 13, 16, 24), (3, 10, 16, 64)]:
        x, w = operands(kind, (high + 2) * (wide + 2) * channels, rng), operands(kind, 9 * channels * outs, rng)
        line = (wide + 2) * channels
        a_axes = axes([(high, line), (wide, channels)], [(3, line), (3, channels), (channels, 1)])
        yield (high * wide, outs, 9 * channels), x, a_axes, w, axes([(9 * channels, outs)], [(outs, 1)])


def check_variants(kind, variants, threads, folder):
    want = {}
    for variant in ["own", *variants]:
        path = library(variant, kind, folder)
        for i, case in enumerate(cases(kind) if path else ()):
            for count in threads if variant != "own" or i % 4 else {1, *threads}:
                got = multiplied(path, kind, case, count)
                assert not np.isnan(got).any()
                assert got.tobytes() == want.setdefault(i, got.tobytes()), (variant, case[0], count)


@pytest.mark.parametrize("kind", ["f32", "f64", "bf16"])
def test_products_have_one_set_of_bits(kind, folder):
    check_variants(kind, ["short zen", "clang"] if kind == "f32" else ["short zen"], [1, 7, 30], folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["f32", "f64", "bf16"])
def test_products_have_one_set_of_bits_for_all_numbers_of_threads(kind, folder):
    check_variants(kind, [*FLAGS, "clang"], range(1, 31), folder)


def fused(a, b, c, dtype):
    """a * b + c, rounded once: from exact fractions."""
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    near = float(exact)
    if (
        dtype == np.float32 and Fraction(near) != exact
    ):  # rounded to an odd number of 53 bits, then to 24: as if at once
        other = math.nextafter(near, math.inf if exact > Fraction(near) else -math.inf)
        near = near if int(np.float64(near).view(np.int64)) & 1 else other
    return dtype(near)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_products_are_chains_of_fused_multiply_adds(kind, folder):
    if "fma" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("no fused multiply-adds")
    rng, dtype = np.random.default_rng(5), ELEMENTS[kind]
    for m, n, k in [(1, 5, 40), (7, 33, 30)]:
        a, b = operands(kind, m * k, rng).reshape(m, k), operands(kind, k * n, rng).reshape(k, n)
        got = multiplied(
            library("own", kind, folder), kind, ((m, n, k), a, axes([(m, k)], [(k, 1)]), b, axes([(k, n)], [(n, 1)])), 1
        )
        for i, j in [(0, 0), (m - 1, n - 1), (m // 2, n // 2)]:
            chain = dtype(0)
            for p in range(k):
                chain = fused(a[i, p], b[p, j], chain, dtype)
            assert got[i, j] == chain


def instructions(path):
    """The object code of a library."""
    if shutil.which("objdump") is None:
        pytest.skip("no objdump")
    return subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(path)], capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("variant", ["own", "short zen", "clang"])
def test_object_code_has_no_product_apart_from_its_sum(variant, folder):
    if "fma" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("no fused multiply-adds")
    for kind in ("f32", "f64", "bf16") if variant != "clang" else ("f32",):
        path = library(variant, kind, folder)
        if path is None:
            pytest.skip("no clang")
        code = instructions(path)
        assert len(re.findall(r"\bvfmadd231p[sd]\b", code)) > 200
        assert not re.findall(r"\bv?mul[ps][sdh]\b.*", code)
        if kind != "bf16":  # which adds sixteen lanes up
            assert not re.findall(r"\bv?add[ps][sdh]\b.*", code)


# Whole programs


def convolved(x, w):
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def perceptron(layers, x):
    for w, b in layers:
        x = nn.gelu(x @ w + b)
    return (x**2).mean()


def attended(q, k, v):
    return nn.softmax(q @ k.swapaxes(-1, -2) * 0.1) @ v


FUNCTIONS = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh "
    "arctanh sqrt cbrt"
).split()


def programs():
    """Name: function, arguments."""
    rng = np.random.default_rng(0)
    f = lambda *shape: jnp.asarray(rng.normal(size=shape).astype(np.float32))
    x, wide = f(300, 70), jnp.asarray(rng.normal(size=(300, 70)))
    few, image, kernel = f(1, 64), f(2, 9, 11, 3), f(3, 3, 3, 5)
    yield "products", lambda a, b, w: (few @ a[:64], a.T @ a, w.T @ w, b @ a[:70]), (x, f(61, 70), wide)
    yield "convolution", fdl.grad(lambda x, w: (jnp.tanh(convolved(x * 2, w)) ** 2).sum(), (0, 1)), (image, kernel)
    yield (
        "rows",
        lambda x: (
            nn.softmax(x),
            nn.layer_norm(x, x[0], x[1]),
            x.sum(0),
            x.sum(1),
            x.sum(),
            x.max(0),
            x.var(1),
            jnp.tile(x, (30, 3)).sum(),
        ),
        (x,),
    )
    yield (
        "wide rows",
        lambda x: (nn.softmax(x), x.sum(0), x.sum(1), x.sum(), x.max(0), x.var(1), jnp.cumsum(x, 0)),
        (wide,),
    )
    yield "narrow", lambda x: (nn.softmax(x), x.sum(0), x @ x.T, x[:3] @ x.T), (x.astype("bfloat16"),)
    for name, values in (("functions", x[:10].reshape(-1) * 3), ("wide functions", wide[:10].reshape(-1) * 3)):
        yield (
            name,
            lambda x: (
                [getattr(jnp, name)(x) for name in FUNCTIONS]
                + [jnp.power(jnp.abs(x), x), jnp.arctan2(x, x[::-1]), lax.erf(x)]
            ),
            (values,),
        )
    s = x[:20, :20] @ x[:20, :20].T + jnp.eye(20)
    yield (
        "factors",
        lambda s: (jnp.linalg.cholesky(s), *jnp.linalg.qr(s), *jnp.linalg.eigh(s), jnp.linalg.solve(s, s[::-1])),
        (s,),
    )
    yield (
        "perceptron",
        lambda layers, x: fdl.value_and_grad(perceptron)(layers, x),
        ([(f(70, 90), f(90)), (f(90, 1), f(1))], x),
    )
    yield (
        "attention",
        fdl.grad(lambda q, k, v: (attended(q, k, v) ** 2).sum(), (0, 1, 2)),
        (f(2, 3, 65, 32), f(2, 3, 65, 32), f(2, 3, 65, 32)),
    )
    yield (
        "recurrence",
        lambda x, w: lax.scan(lambda h, v: (jnp.tanh(h @ w + v), h.sum()), x[0], x),
        (f(12, 6, 40), f(40, 40)),
    )


def report(names, threads):
    """A digest of the results of each program; those of all numbers of threads are the same."""
    config.tier = "compiled"
    found = {}
    for name, f, args in programs():
        if name not in names:
            continue
        program = fdl.jit(f)
        for count in threads:
            fdl.set_num_threads(count)
            leaves = [np.asarray(r) for r in tree.leaves(program(*args))]
            digests = [
                hashlib.sha256(np.where(r != r, np.zeros((), r.dtype), r).tobytes()).hexdigest()[:16] for r in leaves
            ]
            assert found.setdefault(name, digests) == digests, (name, count)
    return found


def reported(variant, names, threads, tmp_path):
    """The same from a process with another compiler."""
    wrapper = tmp_path / "cc"
    command = [CLANG] if variant == "clang" else [*find_compiler().command]
    wrapper.write_text(f'#!/bin/bash\nexec {" ".join(command)} "$@" {" ".join(FLAGS.get(variant, []))}\n')
    wrapper.chmod(0o700)
    environment = {
        **os.environ,
        "FDL_CC": str(wrapper),
        "FDL_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    code = (
        f"import json; from tests.backends.test_bits import report; print(json.dumps(report({names!r}, {threads!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_programs_have_one_set_of_bits(tmp_path):
    names = ["products", "convolution", "functions", "rows"]
    assert reported("shortest", names, [1, 3, 30], tmp_path) == report(names, [1, 7, 29])


@pytest.mark.slow
@pytest.mark.parametrize(
    "variant", [*FLAGS, pytest.param("clang", marks=pytest.mark.skipif(CLANG is None, reason="no clang"))]
)
def test_all_programs_have_one_set_of_bits(variant, tmp_path):
    names = [name for name, _, _ in programs()]
    assert reported(variant, names, list(range(1, 31)), tmp_path) == report(names, [1, 2, 7, 30])
