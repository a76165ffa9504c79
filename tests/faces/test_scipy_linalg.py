"""`scipy.linalg` against SciPy: values of factors up to what is free in them, special matrices, functions of matrices;
derivatives against central differences.
"""

import numpy as np
import pytest
import scipy.linalg as reference

import fdl
import fdl.numpy as jnp
from fdl.core.errors import ChoiceError, ShapeError
from fdl.scipy import linalg

RNG = np.random.default_rng(1)
REAL, COMPLEX = RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4)) + 1j * RNG.normal(size=(4, 4))
EITHER = pytest.mark.parametrize("a", [REAL, COMPLEX], ids=["real", "complex"])
WRAPS = pytest.mark.parametrize("wrap", [lambda f: f, fdl.jit], ids=["eager", "jit"])


def close(got, want, tolerance=1e-11):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


COMPLEX_TRIANGLE = np.array([[2 + 1j, 0.5j, -1], [0.25, 3 - 1j, 1j], [1 - 1j, 0.5, 2]])


def adjoint(a):
    return np.conj(np.asarray(a).T)


LINE = [3.0, 1.0, 4.0, 1.5]
MATRICES = {
    "circulant": [(LINE,), ([2.0],)],
    "companion": [(LINE,)],
    "convolution_matrix": [(LINE, 3), (LINE, 6), (LINE, 6, "same"), (LINE, 3, "same"), (LINE, 6, "valid")],
    "dft": [(4,), (5, "n"), (3, "sqrtn")],
    "fiedler": [(LINE,)],
    "hadamard": [(1,), (8,)],
    "hankel": [(LINE,), (LINE, [1.5, 7.0, 8.0])],
    "helmert": [(4,), (3, True), (1,)],
    "invhilbert": [(1,), (5,)],
    "invpascal": [(4,), (4, "lower"), (4, "upper")],
    "leslie": [(LINE, [0.5, 0.25, 0.125])],
    "pascal": [(5,), (5, "lower"), (5, "upper")],
    "toeplitz": [(LINE, [3.0, 2.0])],
}  # fmt: skip


@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
@pytest.mark.parametrize("lower", [False, True])
def test_triangles_and_their_conjugate_transposes(lower, trans):
    a, b = COMPLEX_TRIANGLE, np.array([1j, 2, 3 - 1j])
    close(linalg.solve_triangular(a, b, trans, lower), reference.solve_triangular(a, b, trans, lower))
    whole = a @ adjoint(a)
    close(linalg.cho_solve(linalg.cho_factor(whole, lower), b), np.linalg.solve(whole, b))


@pytest.mark.parametrize("name, args", [(n, a) for n, rows in MATRICES.items() for a in rows], ids=str)
def test_matrices_that_a_few_numbers_make(name, args):
    own = [np.array(a) if isinstance(a, list) else a for a in args]
    got = getattr(linalg, name)(*own)
    want = getattr(reference, name)(*own)
    assert got.shape == want.shape
    close(got, want, 1e-12 if got.dtype.itemsize >= 8 and got.dtype != np.complex64 else 1e-6)


@WRAPS
@EITHER
def test_systems_of_equations(a, wrap):
    b = RNG.normal(size=(4, 3)).astype(a.dtype)
    spd = a @ adjoint(a) + np.eye(4)
    close(wrap(linalg.solve)(a, b), np.linalg.solve(a, b))
    for lower in (True, False):
        half = np.tril(spd) if lower else np.triu(spd)
        close(
            wrap(lambda a, b, lower=lower: linalg.solve(a, b, lower, assume_a="pos"))(half, b), np.linalg.solve(spd, b)
        )
    for trans, matrix in enumerate((a, a.T, adjoint(a))):
        solved = wrap(lambda a, b, trans=trans: linalg.lu_solve(linalg.lu_factor(a), b, trans))
        close(solved(a, b), np.linalg.solve(matrix, b))
        close(solved(a, b[:, 0]), np.linalg.solve(matrix, b[:, 0]))
    x = np.asarray(wrap(linalg.solve_sylvester)(a, a[:3, :3], b))
    close(a @ x + x @ a[:3, :3], b)


@WRAPS
@EITHER
def test_factors(a, wrap):
    for got, want in zip(wrap(linalg.lu)(a), reference.lu(a)):
        close(got, want)
    for got, want in zip(linalg.lu(a, permute_l=True), reference.lu(a, permute_l=True)):
        close(got, want)
    for mode in ("full", "economic", "r"):
        for got, want in zip(linalg.qr(a[:, :2], mode=mode), reference.qr(a[:, :2], mode=mode)):
            close(got, want)
    hermitian = a + adjoint(a)
    for lower in (True, False):
        half = np.tril(hermitian) if lower else np.triu(hermitian)
        w, v = wrap(lambda a, lower=lower: linalg.eigh(a, lower=lower))(half)
        close(w, reference.eigvalsh(hermitian))
        close(hermitian @ np.asarray(v), np.asarray(v) * np.asarray(w))
    u, s, vh = linalg.svd(a[:, :3])
    close(np.asarray(u)[:, :3] * np.asarray(s) @ np.asarray(vh), a[:, :3])
    close(linalg.svd(a, compute_uv=False), reference.svdvals(a))
    h, q = wrap(lambda a: linalg.hessenberg(a, calc_q=True))(a)
    assert h.dtype == a.dtype
    close(np.asarray(q) @ np.asarray(h) @ adjoint(q), a)
    close(np.abs(h), np.abs(reference.hessenberg(a)))
    for side in ("right", "left"):
        for got, want in zip(linalg.polar(a, side), reference.polar(a, side)):
            close(got, want)


@WRAPS
@EITHER
def test_the_form_of_schur(a, wrap):
    t, z = map(np.asarray, wrap(lambda a: linalg.schur(a, output="complex"))(a))
    close(z @ t @ adjoint(z), a)
    close(z @ adjoint(z), np.eye(4))
    assert not np.tril(t, -1).any()
    close(np.sort_complex(t.diagonal().round(9)), np.sort_complex(np.linalg.eigvals(a).round(9)), 1e-8)


def test_tridiagonal_matrices():
    d, e = RNG.normal(size=5), RNG.normal(size=4)
    w, v = linalg.eigh_tridiagonal(d, e)
    close(w, reference.eigh_tridiagonal(d, e, eigvals_only=True))
    whole = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
    close(whole @ np.asarray(v), np.asarray(v) * np.asarray(w))
    close(linalg.eigh_tridiagonal(d, e, eigvals_only=True, select="i", select_range=(1, 3)), np.asarray(w)[1:4])


ROTATION = np.array([[0.0, -1.0], [1.0, 0.0]])
EXPONENTS = {
    "real": REAL, "complex": COMPLEX, "small": 1e-9 * REAL, "large": 30 * REAL, "zero": np.zeros((3, 3)),
    "nilpotent": np.diag([1.0, 1.0], 1), "a rotation": ROTATION * 10, "float32": REAL.astype(np.float32),
    "complex64": COMPLEX.astype(np.complex64), "a stack": RNG.normal(size=(2, 3, 3, 3)), "a number": np.array([[2.0]]),
    "nothing": np.zeros((0, 0)),
}  # fmt: skip


@WRAPS
@pytest.mark.parametrize("a", EXPONENTS.values(), ids=EXPONENTS)
def test_exponentials(a, wrap):
    got, want = wrap(linalg.expm)(a), reference.expm(a)
    assert got.dtype == a.dtype
    scale = max(np.abs(want).max(initial=0), 1)
    tolerance = 1e-12 if a.dtype.itemsize * (1 + (a.dtype.kind == "f")) == 16 else 2e-5
    close(np.asarray(got) / scale, want / scale, tolerance)


def test_exponentials_that_are_not_finite_and_their_directions():
    assert np.isnan(np.asarray(linalg.expm(np.eye(2) * 1e9))).all()
    assert np.isnan(np.asarray(linalg.expm(np.array([[np.nan, 0.0], [0.0, 1.0]])))).any()
    for got, want in zip(linalg.expm_frechet(REAL, REAL.T), reference.expm_frechet(REAL, REAL.T)):
        close(got, want)
    close(
        linalg.expm_frechet(REAL, REAL.T, compute_expm=False), reference.expm_frechet(REAL, REAL.T, compute_expm=False)
    )


@WRAPS
@EITHER
def test_roots_and_other_functions(a, wrap):
    root = np.asarray(wrap(linalg.sqrtm)(a))
    close(root @ root, a)
    close(root, reference.sqrtm(a), 1e-9)
    close(wrap(lambda a: linalg.funm(a, jnp.exp))(a), reference.expm(a), 1e-9)
    found, error = linalg.funm(a, jnp.sin, disp=False)
    close(found, reference.sinm(a), 1e-9)
    assert 0 < float(error) < 1e-8
    assert linalg.sqrtm(np.zeros((2, 2))).real.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert linalg.sqrtm(np.stack([a, a])).shape == (2, 4, 4)


DERIVATIVES = {
    "expm": linalg.expm,
    "sqrtm": linalg.sqrtm,
    "solve_sylvester": lambda a: linalg.solve_sylvester(a, a[:3, :3], a[:, :3]),
    "lu_solve": lambda a: linalg.lu_solve(linalg.lu_factor(a), a[:, 0], 1),
    "polar": lambda a: linalg.polar(a)[0],
}


@EITHER
@pytest.mark.parametrize("f", DERIVATIVES.values(), ids=DERIVATIVES)
def test_derivatives(f, a):
    d, step = RNG.normal(size=a.shape).astype(a.dtype), 1e-6
    _, tangent = fdl.jvp(f, (jnp.array(a),), (jnp.array(d),))
    want = (np.asarray(f(jnp.array(a + step * d))) - np.asarray(f(jnp.array(a - step * d)))) / (2 * step)
    np.testing.assert_allclose(tangent, want, rtol=2e-6, atol=1e-7)
    out, pull = fdl.vjp(f, jnp.array(a))
    ct = RNG.normal(size=out.shape).astype(out.dtype)
    back = np.asarray(pull(jnp.array(ct))[0])
    np.testing.assert_allclose(np.real(np.sum(back * d)), np.real(np.sum(ct * np.asarray(tangent))), rtol=1e-9)


MISTAKES = {
    "a form that is not there": (lambda: linalg.schur(REAL), ChoiceError, "complex"),
    "an unknown form": (lambda: linalg.schur(REAL, "diagonal"), ChoiceError, "output"),
    "pivots": (lambda: linalg.qr(REAL, pivoting=True), ChoiceError, "pivoting"),
    "two matrices": (lambda: linalg.eigh(REAL, REAL), ChoiceError, "without b"),
    "an unknown side": (lambda: linalg.polar(REAL, "up"), ChoiceError, "side"),
    "no square": (lambda: linalg.expm(REAL[:2]), ShapeError, "square"),
    "no power of two": (lambda: linalg.hadamard(3), ChoiceError, "power of two"),
    "a matrix for a vector": (lambda: linalg.circulant(REAL), ShapeError, "vector"),
    "too many survivals": (lambda: linalg.leslie(LINE, LINE), ShapeError, "one survival less"),
    "an unknown kind": (lambda: linalg.pascal(3, "round"), ChoiceError, "symmetric"),
}


@pytest.mark.parametrize("call, error, text", MISTAKES.values(), ids=MISTAKES)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
