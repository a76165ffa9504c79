"""Routines by key, and the loops that are built where a target has no function for one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl.backends.dispatch import executable
from fdl.backends.toolchain import host_target
from fdl.core import dtypes, interpret
from fdl.core.array import from_numpy
from fdl.core.config import config
from fdl.core.primitive import REGISTRY
from fdl.lowering.build.control import build
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.ir.nodes import Routine
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.ir.routines import TABLES
from fdl.lowering.ir.routines import C as OF_C
from fdl.lowering.pipeline import lower, schedule
from fdl.ops.linear import cholesky, lu, qr, triangular_solve
from fdl.ops.order import argsort, cumsum, top_k
from fdl.ops.routines import ROUTINES
from fdl.testing.tolerances import assert_close
from tests.conftest import needs_compiler
from tests.ops.test_samples import good, joint_graph

KEYS = list(ROUTINES)


@pytest.fixture
def bare(monkeypatch):
    """C without routines; its programs are kept apart, since the cache knows fdl by its files."""
    monkeypatch.setitem(TABLES, "c", {})
    monkeypatch.setattr("fdl.core.primitive.Primitive.is_as_written", lambda self: False)
    config.tier = "compiled"


def routines(program):
    return [n.key for n in all_nodes(program.nodes) if isinstance(n, Routine)]


def loops(graph):
    """The loop program of a target without routines."""
    program = build(graph, routines={})
    program.check()
    assert not routines(program)
    return program


def test_each_routine_has_a_function_in_c():
    assert {key for key, _ in OF_C} == set(KEYS)
    for key in KEYS:
        graph, _ = joint_graph(REGISTRY[key], good(REGISTRY[key]))
        assert set(routines(build(graph))) == {key} == set(routines(build(graph, routines=OF_C)))


@pytest.mark.parametrize("key", KEYS)
def test_decompositions_agree_with_the_reference(key):
    primitive = REGISTRY[key]
    graph, args = joint_graph(primitive, good(primitive))
    program, want = loops(graph), interpret(graph, args)
    for p in (program, schedule(program, host_target())):
        p.check()
        for got, right in zip(interpret_program(p, args), want, strict=True):
            assert_close(got.view(right.dtype), right.reshape(-1))


@needs_compiler
@pytest.mark.parametrize("key", KEYS)
def test_decompositions_agree_in_c(key, bare):
    primitive = REGISTRY[key]
    graph, args = joint_graph(primitive, good(primitive))
    source = lower(graph, host_target()).source
    assert "fdl_linear.h" not in source and "fdl_order.h" not in source
    outs = executable(graph, key)([from_numpy(a) for a in args])
    for got, right in zip(outs, interpret(graph, args), strict=True):
        assert_close(np.asarray(got), right)


def results(f, *args, compiled=False):
    """Of the loops, by the interpreter and in C, and of the reference."""
    graph = fdl.make_graph(f)(*args)
    if compiled:
        return [np.asarray(x) for x in executable(graph, "f")([from_numpy(a) for a in args])], interpret(graph, args)
    found = interpret_program(loops(graph), args)
    return [np.reshape(x.view(a.dtype), a.shape) for x, a in zip(found, graph.out_avals, strict=True)], interpret(
        graph, args
    )


ROWS = st.lists(
    st.sampled_from([0.0, -0.0, 1.0, 1.0, -1.0, 2.5, -2.5, np.inf, -np.inf, np.nan, -np.nan]), min_size=1, max_size=33
)


@settings(max_examples=60)
@given(ROWS, st.booleans(), st.sampled_from([np.float32, np.float64, np.int16]))
def test_networks_keep_the_order_of_equal_elements(row, descending, dtype):
    x = (
        np.array(row).astype(dtype)
        if dtype != np.int16
        else np.nan_to_num(np.array(row), posinf=9, neginf=-9).astype(dtype)
    )
    k = len(row) // 2
    got, want = results(lambda x: (argsort(x, descending), *top_k(x, k)), x)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


@needs_compiler
def test_networks_in_c(bare):
    rng = np.random.default_rng(0)
    for shape in ((3, 1), (2, 100), (1, 1025)):
        x = rng.integers(0, 40, shape).astype(np.float32)
        x[..., ::7] = np.nan
        got, want = results(lambda x: (argsort(x), argsort(x, True), *top_k(x, 1)), x, compiled=True)
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_factorisations_of_stacks(n, compiled, bare):
    rng = np.random.default_rng(n)
    a = rng.normal(size=(2, 3, n, n))
    positive = a @ np.swapaxes(a, -1, -2) + np.eye(n)
    right = rng.normal(size=(2, 3, n, 4))

    def f(a, positive, right):
        solves = [
            triangular_solve(positive, right, lower, transposed, unit)
            for lower in (False, True) for transposed in (False, True) for unit in (False, True)
        ]  # fmt: skip
        return (*lu(a), cholesky(positive), *solves)

    got, want = results(f, a, positive, right, compiled=compiled)
    for x, y in zip(got, want, strict=True):
        scale = max(1.0, float(np.abs(y).max()))
        assert_close(x / scale, y / scale) if x.dtype.kind == "f" else np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
@pytest.mark.parametrize("shape", [(4, 4), (7, 3), (3, 7), (2, 12, 5), (1, 1), (3, 0)])
def test_orthonormal_columns(shape, compiled, bare):
    a = np.random.default_rng(1).normal(size=shape)
    for complete in (False, True):
        (q, r), want = results(lambda a, complete=complete: qr(a, complete), a, compiled=compiled)
        assert_close(q @ r, a, 10)
        assert_close(
            np.swapaxes(q, -1, -2) @ q, np.broadcast_to(np.eye(q.shape[-1]), (*shape[:-2], *[q.shape[-1]] * 2))
        )
        assert_close(r, want[1], 10)


def test_matrices_without_a_factor():
    a = np.array([[[1.0, 2.0], [2.0, 1.0]], [[4.0, 0.0], [0.0, 9.0]]])
    (got,), (want,) = results(cholesky, a)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    zero = np.zeros((3, 3))
    got, want = results(lambda a: (*lu(a), *qr(a)), zero)
    for x, y in zip(got[:3], want[:3], strict=True):
        np.testing.assert_array_equal(x, y)
    assert_close(got[3] @ got[4], zero)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, dtypes.bfloat16])
@pytest.mark.parametrize("n", [1, 2, 3, 64, 100])
def test_running_sums(n, dtype):
    x = np.random.default_rng(0).integers(-20, 20, (2, n, 3)).astype(dtype)
    (*got,), want = results(lambda x: (cumsum(x, 1), cumsum(x, 1, True)), x)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b)


@needs_compiler
def test_gradients_through_decompositions(bare):
    a = jnp.asarray(np.array([[4.0, 1.0], [1.0, 3.0]], np.float32))
    f = lambda a: jnp.sum(cholesky(a)) + jnp.sum(cumsum(a, 0) ** 2) + jnp.sum(jnp.sort(a.reshape(-1)) * jnp.arange(4.0))
    config.tier = "interpreted"
    want = fdl.grad(f)(a)
    config.tier = "compiled"
    assert_close(np.asarray(fdl.jit(fdl.grad(f))(a)), np.asarray(want))


def test_plans_name_no_function():
    """A node holds data alone: a key, buffers and sizes."""
    graph = fdl.make_graph(cholesky)(jnp.eye(3))
    (node,) = build(graph).nodes
    assert (node.key, node.sizes, node.extent()) == ("cholesky", (3,), 1) and str(node)


def with_spectrum(rng, values, rows=None):
    """A matrix with these singular values, symmetric with these eigenvalues where it has as many rows as columns."""
    n = len(values)
    v, _ = np.linalg.qr(rng.normal(size=(n, n)))
    u = v if rows is None else np.linalg.qr(rng.normal(size=(rows, n)))[0]
    return (u * np.asarray(values)) @ v.T


SPECTRA = {
    "clustered": [1, 1 + 1e-9, 1 + 2e-9, 1, 5, 5],
    "graded": [1e8, 1e4, 1, 1e-4, 1e-8],
    "deficient": [3, 2, 0, 0, 0, 0, 0],
    "zero": [0, 0, 0],
    "signs": [-2, -1, 0, 1, 2, 2.5, -2.5, 7],
    "pair": [4, 1],
    "one": [2],
    "many": np.linspace(-1, 1, 61),
}


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
@pytest.mark.parametrize("kind", SPECTRA)
def test_spectra(kind, compiled, bare):
    """Values agree to rounding of the largest; vectors are orthonormal and give the matrix, where values meet, too."""
    values, rng = np.array(SPECTRA[kind], float), np.random.default_rng(0)
    n, scale = len(values), max(1.0, float(np.abs(values).max()))
    symmetric, tall = with_spectrum(rng, values), with_spectrum(rng, np.abs(values), n + 3)
    (w, v), _ = results(lambda a: REGISTRY["eigh"].bind(a), symmetric, compiled=compiled)
    np.testing.assert_allclose(w, np.sort(values), atol=1e-13 * scale)
    np.testing.assert_allclose((v * w) @ v.T, symmetric, atol=1e-13 * scale)
    (s, u, vt), _ = results(lambda a: REGISTRY["svd"].bind(a), tall, compiled=compiled)
    np.testing.assert_allclose(s, np.sort(np.abs(values))[::-1], atol=1e-13 * scale)
    np.testing.assert_allclose((u * s) @ vt, tall, atol=1e-13 * scale)
    for q in (v, u, vt.T):
        np.testing.assert_allclose(q.T @ q, np.eye(n), atol=1e-13)


@needs_compiler
def test_spectra_of_stacks_and_of_what_is_no_number(bare):
    a = np.random.default_rng(3).normal(size=(2, 3, 5, 5)).astype(np.float32)
    a[1, 2, 0, 3] = np.nan
    a[0, 1] *= 1e18  # squares are infinite, and singular values are not
    (w, v, s, *_), (w2, v2, s2, *_) = results(
        lambda a: (*REGISTRY["eigh"].bind(a), *REGISTRY["svd"].bind(a)), a, compiled=True
    )
    for x, y in ((w, w2), (s, s2)):
        assert np.isnan(x[1, 2]).all()
        size = np.abs(y).max(-1, keepdims=True)
        assert_close((x / size)[0], (y / size)[0])
    assert_close(v[0, 0], v2[0, 0], 10)
