"""Factors of complex matrices, and eigenvalues of any: against NumPy, and derivatives against central differences."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.core.errors import ShapeError

RNG = np.random.default_rng(0)
WRAPS = pytest.mark.parametrize("wrap", [lambda f: f, fdl.jit], ids=["eager", "jit"])


def drawn(*shape, dtype=np.complex128):
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


def adjoint(a):
    return np.conj(np.swapaxes(np.asarray(a), -1, -2))


def close(got, want, dtype=np.complex128):
    tolerance = 1e-12 if np.dtype(dtype).itemsize == 16 else 2e-5
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


SHAPES = [(3, 3), (5, 3), (3, 5), (2, 4, 4), (1, 1), (0, 0), (3, 0), (0, 3), (2, 0, 2, 2)]


@WRAPS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_qr_is_that_of_numpy(shape, dtype, wrap):
    a = drawn(*shape, dtype=dtype)
    for mode in ("reduced", "complete"):
        got = wrap(lambda a, mode=mode: jnp.linalg.qr(a, mode))(a)
        for x, y in zip(got, np.linalg.qr(a, mode)):
            assert x.dtype == dtype
            close(x, y, dtype)
    close(jnp.linalg.qr(a, "r"), np.linalg.qr(a, "r"), dtype)


@WRAPS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_singular_values_and_vectors(shape, wrap):
    a = drawn(*shape)
    u, s, vh = wrap(lambda a: jnp.linalg.svd(a, full_matrices=False))(a)
    close(s, np.linalg.svd(a, compute_uv=False))
    close(jnp.linalg.svdvals(a), s)
    close(np.asarray(u) * np.asarray(s)[..., None, :] @ np.asarray(vh), a)
    u, _, vh = jnp.linalg.svd(a)
    for q in (u, vh):
        close(adjoint(q) @ np.asarray(q), np.broadcast_to(np.eye(q.shape[-1]), q.shape))


@WRAPS
@pytest.mark.parametrize("shape", [s for s in SHAPES if s[-1] == s[-2]], ids=str)
def test_hermitian_matrices(shape, wrap):
    a = drawn(*shape)
    a = a + adjoint(a)
    w, v = wrap(jnp.linalg.eigh)(a)
    close(w, np.linalg.eigvalsh(a))
    close(np.asarray(v) * np.asarray(w)[..., None, :] @ adjoint(v), a)
    close(jnp.linalg.eigvalsh(a), w)


def test_equal_eigenvalues_have_orthonormal_vectors():
    a = np.kron(np.eye(3), np.array([[1, 1j], [-1j, 1]]))
    w, v = jnp.linalg.eigh(a)
    close(w, [0, 0, 0, 2, 2, 2])
    close(adjoint(v) @ np.asarray(v), np.eye(6))
    u, s, vh = jnp.linalg.svd(a)
    close(np.asarray(u) * np.asarray(s) @ np.asarray(vh), a)


def in_order(w):
    w = np.asarray(w)
    return w[np.lexsort((w.imag.round(6), w.real.round(6)))]


MATRICES = {
    "complex": drawn(6, 6),
    "real": RNG.normal(size=(6, 6)),
    "float32": RNG.normal(size=(3, 3)).astype(np.float32),
    "integers": np.array([[1, 2], [3, 4]]),
    "a rotation": np.array([[0.0, 1.0], [-1.0, 0.0]]),
    "a cycle": np.roll(np.eye(5), 1, 0),
    "one": np.eye(4),
    "zero": np.zeros((3, 3)),
    "nilpotent": np.diag(np.ones(2), 1),
    "a triangle": np.triu(drawn(5, 5)),
    "rank one": np.ones((4, 4)),
    "large": 1e150 * drawn(4, 4),
    "small": 1e-150 * drawn(4, 4),
    "empty": np.zeros((0, 0)),
    "a number": np.array([[2.0 + 1j]]),
}


@pytest.mark.parametrize("a", MATRICES.values(), ids=MATRICES)
def test_eigenvalues_of_any_matrix(a):
    w, v = jnp.linalg.eig(a)
    assert w.dtype == v.dtype == (np.complex64 if a.dtype in (np.float32, np.int64) else np.complex128)
    size = np.abs(a).max(initial=1e-300)
    tolerance = 1e-5 if w.dtype == np.complex64 else 1e-12
    np.testing.assert_allclose(in_order(w) / size, in_order(np.linalg.eigvals(a)) / size, atol=tolerance)
    np.testing.assert_allclose(a @ np.asarray(v) / size, np.asarray(v) * np.asarray(w) / size, atol=tolerance)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(v), axis=0), np.ones(len(a)), rtol=1e-6)
    np.testing.assert_allclose(
        in_order(jnp.linalg.eigvals(a)) / size, in_order(w) / size, rtol=tolerance, atol=tolerance
    )


@WRAPS
def test_stacks_and_what_is_not_finite(wrap):
    a = drawn(2, 3, 4, 4)
    w, v = wrap(jnp.linalg.eig)(a)
    close(a @ np.asarray(v), np.asarray(v) * np.asarray(w)[..., None, :])
    for bad in (np.nan, np.inf):
        assert np.isnan(np.asarray(wrap(jnp.linalg.eigvals)(np.array([[1.0, bad], [0.0, 1.0]])))).all()
    with pytest.raises(ShapeError, match="square"):
        jnp.linalg.eig(np.ones((2, 3)))


DERIVATIVES = {
    "qr": (lambda a: jnp.linalg.qr(a), (4, 3)),
    "qr of a wide one": (lambda a: jnp.linalg.qr(a), (3, 4)),
    "svd": (lambda a: _turned(*jnp.linalg.svd(a, full_matrices=False)), (4, 3)),
    "svd of a wide one": (lambda a: _turned(*jnp.linalg.svd(a, full_matrices=False)), (3, 4)),
    "eigh": (lambda a: _weighted(*jnp.linalg.eigh(a)), (4, 4)),
    "eig": (lambda a: _ordered(*jnp.linalg.eig(a)), (4, 4)),
    "pinv": (jnp.linalg.pinv, (4, 3)),
    "lstsq": (lambda a: jnp.linalg.lstsq(a, jnp.ones((4, 1), a.dtype))[0], (4, 3)),
    "solve": (lambda a: jnp.linalg.solve(a, jnp.ones((4,), a.dtype)), (4, 4)),
    "slogdet": (lambda a: jnp.linalg.slogdet(a), (4, 4)),
    "matrix_power": (lambda a: jnp.linalg.matrix_power(a, 3), (4, 4)),
}


def _turned(u, s, vh):
    """Products in which the phases of singular vectors are gone."""
    return jnp.matmul(u * jnp.cos(s), vh), s


def _ordered(w, v):
    order = jnp.argsort(w.real)
    return w[order], v[:, order]


def _weighted(w, v):
    return jnp.matmul(v * jnp.cos(w), jnp.conj(v.T)), w


@pytest.mark.parametrize("f, shape", DERIVATIVES.values(), ids=DERIVATIVES)
def test_derivatives(f, shape):
    a, d, step = drawn(*shape), drawn(*shape), 1e-6
    _, tangents = fdl.jvp(f, (jnp.array(a),), (jnp.array(d),))
    for t, up, down in zip(*map(fdl.tree.leaves, (tangents, f(jnp.array(a + step * d)), f(jnp.array(a - step * d))))):
        np.testing.assert_allclose(t, (np.asarray(up) - np.asarray(down)) / (2 * step), rtol=1e-5, atol=1e-7)
    out, pull = fdl.vjp(f, jnp.array(a))
    leaves = fdl.tree.leaves(out)
    cts = [drawn(*x.shape) if np.iscomplexobj(x) else RNG.normal(size=x.shape) for x in leaves]
    (back,) = pull(fdl.tree.unflatten(fdl.tree.structure(out), [jnp.array(c) for c in cts]))
    forward = sum(np.real(np.sum(c * np.asarray(t))) for c, t in zip(cts, fdl.tree.leaves(tangents)))
    np.testing.assert_allclose(np.real(np.sum(np.asarray(back) * d)), forward, rtol=1e-9)


def test_complete_columns_have_no_derivative():
    with pytest.raises(ShapeError, match="reduced"):
        fdl.jvp(lambda a: jnp.linalg.qr(a, "complete"), (drawn(3, 2),), (drawn(3, 2),))


def test_what_follows_from_singular_values():
    a = drawn(4, 4)
    for name, args in {"cond": (), "norm": (2,), "matrix_rank": (), "pinv": ()}.items():
        close(getattr(jnp.linalg, name)(a, *args), getattr(np.linalg, name)(a, *args))
    close(jnp.linalg.norm(a, "nuc"), np.linalg.norm(a, "nuc"))
    b = drawn(4, 2)
    close(jnp.linalg.lstsq(a[:, :3], b)[0], np.linalg.lstsq(a[:, :3], b, rcond=None)[0])


POLYNOMIALS = {
    "two": [1.0, -3.0, 2.0], "complex ones": [1.0, 0.0, 1.0], "zeros at both ends": [0.0, 0.0, 2.0, -3.0, 0.0, 0.0],
    "complex coefficients": [1.0 + 1j, 2.0, -1j], "a number": [3.0], "nothing but zeros": [0.0, 0.0],
    "high": [1, 5, -3, 2, 7, 1],
}  # fmt: skip


@pytest.mark.parametrize("p", POLYNOMIALS.values(), ids=POLYNOMIALS)
def test_roots_of_polynomials(p):
    got, want = jnp.roots(np.array(p, np.result_type(np.array(p), np.float64))), np.roots(p)
    np.testing.assert_allclose(np.sort_complex(np.asarray(got).round(9)), np.sort_complex(want.round(9)), atol=1e-8)
    if p[0] != 0 and len(p) > 1:
        again = fdl.jit(lambda p: jnp.roots(p, strip_zeros=False))(np.array(p))
        np.testing.assert_allclose(np.sort(np.abs(again)), np.sort(np.abs(want)), atol=1e-4)


def test_order_of_complex_numbers():
    for x in (drawn(3, 4), np.array([2, 1, 3]), np.array([1.0, np.nan, 0.5])):
        np.testing.assert_allclose(jnp.sort_complex(x), np.sort_complex(x), rtol=1e-6)
    assert jnp.csingle is jnp.complex64
    assert jnp.cdouble is jnp.complex_
    assert jnp.cdouble is jnp.complex128


@pytest.mark.parametrize("x", [2, 1.5, True, 1 + 2j, [1.0, 2.0], np.float32(3.0)], ids=str)
def test_conjugates_of_what_is_no_array(x):
    got = jnp.conj(x)
    assert got.tolist() == np.conj(x).tolist()
    assert jnp.conjugate(x).dtype == got.dtype == jnp.asarray(x).dtype
