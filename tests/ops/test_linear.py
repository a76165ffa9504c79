"""Factorisations: NumPy's answers over kinds of matrices, orthogonality, threads, and what has no answer."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.core.config import config
from fdl.ops import linear
from tests.conftest import needs_compiler

R = np.random.default_rng(11)


def kinds(m, n):
    """Matrices on which factorisations go wrong: of low rank, badly scaled, with equal and with vanishing singular
    values.
    """
    k = min(m, n)
    yield R.normal(size=(m, n))
    yield R.normal(size=(m, max(k // 3, 1))) @ R.normal(size=(max(k // 3, 1), n))
    yield R.normal(size=(m, n)) * np.logspace(0, -12, n)
    yield np.eye(m, n)
    yield np.zeros((m, n))
    yield np.ones((m, n))
    yield 1 / (np.arange(m)[:, None] + np.arange(n) + 1)


SIZES = [(1, 1), (2, 2), (5, 3), (17, 17), (40, 33), (100, 100)]


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, n", SIZES)
def test_singular_values(m, n, dtype):
    config.tier = "compiled"
    f, small = fdl.jit(lambda a: jnp.linalg.svd(a, full_matrices=False)), 40 * max(m, n) ** 0.5 * np.finfo(dtype).eps
    for a in kinds(m, n):
        a = a.astype(dtype)
        u, s, vt = map(np.asarray, f(a))
        scale = max(np.linalg.norm(a), 1e-30)
        np.testing.assert_allclose((u * s) @ vt, a, atol=small * scale)
        np.testing.assert_allclose(u.T @ u, np.eye(n), atol=small)
        np.testing.assert_allclose(vt @ vt.T, np.eye(n), atol=small)
        np.testing.assert_allclose(s, np.linalg.svd(a.astype("d"), compute_uv=False), atol=small * scale)
        assert (np.diff(s) <= 0).all()


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 3, 17, 100])
def test_eigenvalues(n, dtype):
    config.tier = "compiled"
    f, small = fdl.jit(linear.eigh), 40 * n**0.5 * np.finfo(dtype).eps
    for a in kinds(n, n):
        a = (a + a.T).astype(dtype)
        w, v = map(np.asarray, f(a))
        scale = max(np.linalg.norm(a), 1e-30)
        np.testing.assert_allclose((v * w) @ v.T, a, atol=small * scale)
        np.testing.assert_allclose(v.T @ v, np.eye(n), atol=small)
        np.testing.assert_allclose(w, np.linalg.eigvalsh(a.astype("d")), atol=small * scale)


@needs_compiler
@pytest.mark.parametrize("m, n", [*SIZES, (3, 5), (20, 60)])
def test_reflections_and_elimination(m, n):
    config.tier = "compiled"
    for a in kinds(m, n):
        for complete in (False, True):
            q, r = map(np.asarray, fdl.jit(lambda a, complete=complete: linear.qr(a, complete))(a))
            np.testing.assert_allclose(q @ r, a, atol=1e-12)
            np.testing.assert_allclose(q.T @ q, np.eye(q.shape[1]), atol=1e-12)
            np.testing.assert_array_equal(np.tril(r, -1), 0)
        square = a[: min(m, n), : min(m, n)]
        both, order, sign = map(np.asarray, fdl.jit(linear.lu)(square))
        lower, upper = np.tril(both, -1) + np.eye(len(both)), np.triu(both)
        np.testing.assert_allclose(lower @ upper, square[order], atol=1e-12)
        assert np.abs(np.tril(both, -1)).max(initial=0) <= 1
        permutation = np.eye(len(both))[order]
        assert np.linalg.det(permutation) == pytest.approx(float(sign))
        positive = square @ square.T + np.eye(len(square))
        np.testing.assert_allclose(
            np.asarray(fdl.jit(linear.cholesky)(positive)), np.linalg.cholesky(positive), atol=1e-12
        )


@needs_compiler
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("unit", [False, True])
def test_triangles(lower, transposed, unit):
    config.tier = "compiled"
    for n, m in ((1, 1), (5, 1), (40, 1), (33, 7), (20, 100)):
        a, b = R.normal(size=(n, n)) + 3 * n * np.eye(n), R.normal(size=(n, m))
        a = a / n
        x = np.asarray(fdl.jit(lambda a, b: linear.triangular_solve(a, b, lower, transposed, unit))(a, b))
        t = np.tril(a) if lower else np.triu(a)
        t = t - np.diag(np.diag(t)) + np.eye(n) if unit else t
        np.testing.assert_allclose((t.T if transposed else t) @ x, b, atol=1e-9)


@needs_compiler
def test_stacks_are_shared_among_threads():
    config.tier = "compiled"
    a = R.normal(size=(9, 30, 30)).astype("f")
    f = fdl.jit(
        lambda a: (
            linear.lu(a),
            linear.qr(a),
            linear.eigh(a),
            linear.svd(a),
            linear.cholesky(linear.matmul(a, linear.turned(a))),
        )
    )
    results = []
    for count in (1, 2, 7):
        fdl.set_num_threads(count)
        results.append([np.asarray(v).tobytes() for v in fdl.tree_util.tree_leaves(f(a))])
    assert results[0] == results[1] == results[2]


@needs_compiler
@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_what_has_no_answer(tier):
    config.tier = tier
    indefinite, bad = jnp.array([[1.0, 2.0], [2.0, 1.0]]), jnp.array([[1.0, jnp.nan], [0.0, 1.0]])
    assert np.isnan(np.asarray(fdl.jit(linear.cholesky)(indefinite))[1, 1])
    assert np.isnan(np.asarray(fdl.jit(linear.eigh)(bad)[0])).any()
    assert np.isnan(np.asarray(fdl.jit(linear.svd)(bad)[0])).any()
    assert not np.isfinite(np.asarray(fdl.jit(jnp.linalg.solve)(jnp.zeros((2, 2)), jnp.ones((2, 1))))).any()


@needs_compiler
def test_matrices_without_elements():
    for tier in ("interpreted", "compiled"):
        config.tier = tier
        assert [v.shape for v in fdl.jit(linear.eigh)(jnp.zeros((0, 0)))] == [(0,), (0, 0)]
        assert [v.shape for v in fdl.jit(linear.svd)(jnp.zeros((3, 0)))] == [(0,), (3, 0), (0, 0)]
        assert [v.shape for v in fdl.jit(linear.lu)(jnp.zeros((0, 3, 3)))] == [(0, 3, 3), (0, 3), (0,)]
        assert [v.shape for v in fdl.jit(lambda a: linear.qr(a, True))(jnp.zeros((3, 0)))] == [(3, 3), (3, 0)]
