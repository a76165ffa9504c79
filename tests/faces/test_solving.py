"""Solutions of equations as operations: derivatives are those of NumPy's solution, whatever finds it."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.core.errors import MissingRuleError, ShapeError, StructureError
from fdl.scipy.sparse.linalg import bicgstab, cg, gmres

RNG = np.random.default_rng(0)
N = 7
GENERAL = RNG.normal(size=(N, N)) + 4 * np.eye(N)
POSITIVE = GENERAL @ GENERAL.T + np.eye(N)
RIGHT = RNG.normal(size=N)


def dense(matvec, b):
    return jnp.linalg.solve(fdl.jacobian(matvec)(b), b)


def solved(a, b):
    return lax.custom_linear_solve(lambda x: a @ x, b, dense, dense)


def gradients_of_solution(a, b):
    """Those of the sum of sines, from NumPy's solution: with w the cotangent, b has A^-T w and A has -A^-T w x^T."""
    x = np.linalg.solve(a, b)
    by_b = np.linalg.solve(a.T, np.cos(x))
    return -np.outer(by_b, x), by_b


@pytest.mark.parametrize("compiled", [False, True])
def test_linear_solve(compiled):
    gradient = fdl.grad(lambda a, b: jnp.sin(solved(a, b)).sum(), (0, 1))
    for found, expected in zip(
        (fdl.jit(gradient) if compiled else gradient)(GENERAL, RIGHT),
        gradients_of_solution(GENERAL, RIGHT),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_linear_solve_forward_and_twice():
    direction = RNG.normal(size=(N, N))
    _, moved = fdl.jvp(lambda a: solved(a, RIGHT), (GENERAL,), (direction,))
    x = np.linalg.solve(GENERAL, RIGHT)
    np.testing.assert_allclose(moved, -np.linalg.solve(GENERAL, direction @ x), rtol=1e-10)
    second = fdl.hessian(lambda b: jnp.sin(solved(GENERAL, b)).sum())(RIGHT)
    inverse = np.linalg.inv(GENERAL)
    np.testing.assert_allclose(second, inverse.T @ np.diag(-np.sin(x)) @ inverse, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None)])
def test_linear_solve_in_lanes(axes):
    a = np.stack([GENERAL, POSITIVE]) if axes[0] == 0 else GENERAL
    b = np.stack([RIGHT, 2 - RIGHT]) if axes[1] == 0 else RIGHT
    lanes = [np.linalg.solve(a[i] if axes[0] == 0 else a, b[i] if axes[1] == 0 else b) for i in range(2)]
    np.testing.assert_allclose(fdl.vmap(solved, axes)(a, b), lanes, rtol=1e-9)
    gradient = fdl.vmap(fdl.grad(lambda a, b: jnp.sin(solved(a, b)).sum(), (0, 1)), axes)(a, b)
    for i in range(2):
        expected = gradients_of_solution(a[i] if axes[0] == 0 else a, b[i] if axes[1] == 0 else b)
        for found, e in zip(gradient, expected, strict=True):
            np.testing.assert_allclose(found[i], e, rtol=1e-8, atol=1e-10)


def test_what_solvers_say_beside_the_solution():
    def f(a):
        solve = lambda matvec, b: (dense(matvec, b), {"steps": 3})
        return lax.custom_linear_solve(lambda x: a @ x, RIGHT, solve, symmetric=True, has_aux=True)

    x, aux = f(POSITIVE)
    np.testing.assert_allclose(x, np.linalg.solve(POSITIVE, RIGHT), rtol=1e-10)
    assert int(aux["steps"]) == 3
    found = fdl.grad(lambda a: jnp.sin(f(a)[0]).sum())(POSITIVE)
    np.testing.assert_allclose(found, gradients_of_solution(POSITIVE, RIGHT)[0], rtol=1e-9, atol=1e-12)


def test_mistakes_in_linear_solves():
    with pytest.raises(ShapeError, match="matvec returned"):
        lax.custom_linear_solve(lambda x: x[:2], RIGHT, dense)
    with pytest.raises(StructureError, match="solve returned"):
        lax.custom_linear_solve(lambda x: x, RIGHT, lambda matvec, b: (b, b))
    with pytest.raises(MissingRuleError, match="no transpose"):
        fdl.grad(lambda b: lax.custom_linear_solve(lambda x: 2 * x, b, lambda matvec, b: b / 2).sum())(RIGHT)


def root(a):
    newton = lambda f, x: lax.fori_loop(0, 20, lambda i, x: x - f(x) / fdl.grad(f)(x), x)
    return lax.custom_root(lambda x: x * x * x - a, 1.5, newton, lambda g, y: y / g(1.0))


def test_roots():
    cube = lambda a: np.cbrt(a)
    assert float(root(4.0)) == pytest.approx(cube(4.0), rel=1e-6)
    slope = lambda a: a ** (-2 / 3) / 3
    for gradient in (fdl.grad(root), fdl.jit(fdl.grad(root)), lambda a: fdl.jvp(root, (a,), (1.0,))[1]):
        assert float(gradient(4.0)) == pytest.approx(slope(4.0), rel=1e-5)
    assert float(fdl.grad(fdl.grad(root))(4.0)) == pytest.approx(-2 / 9 * 4.0 ** (-5 / 3), rel=1e-5)
    np.testing.assert_allclose(fdl.vmap(fdl.grad(root))(jnp.array([4.0, 9.0])), [slope(4.0), slope(9.0)], rtol=1e-5)


def test_roots_with_more_results():
    solve = lambda f, x: (lax.fori_loop(0, 30, lambda i, x: x - f(x) / 4, x), {"f": f(x)})
    f = lambda a: lax.custom_root(lambda x: x * x - a, 1.0, solve, lambda g, y: y / g(1.0), has_aux=True)
    value, aux = f(2.0)
    assert float(value) == pytest.approx(np.sqrt(2.0), rel=1e-6) and float(aux["f"]) == -1.0
    assert float(fdl.grad(lambda a: f(a)[0])(2.0)) == pytest.approx(0.5 / np.sqrt(2.0), rel=1e-5)


ITERATIVE = {"cg": (cg, POSITIVE), "bicgstab": (bicgstab, GENERAL), "gmres": (gmres, GENERAL)}


@pytest.mark.parametrize("name", ITERATIVE)
def test_products_alone(name):
    method, a = ITERATIVE[name]
    x = np.linalg.solve(a, RIGHT)
    close = np.linalg.inv(a) + 0.01
    for found in (
        method(a, RIGHT, tol=1e-11)[0],
        method(lambda x: a @ x, RIGHT, tol=1e-11)[0],
        method(a, RIGHT, x0=RIGHT, tol=1e-11, M=close @ close.T if name == "cg" else close, maxiter=50)[0],
    ):
        np.testing.assert_allclose(found, x, rtol=1e-6, atol=1e-9)
    gradient = fdl.grad(lambda b: jnp.sin(method(a, b, tol=1e-12)[0]).sum())(RIGHT)
    np.testing.assert_allclose(gradient, gradients_of_solution(a, RIGHT)[1], rtol=1e-6, atol=1e-9)


def test_products_alone_at_edges():
    tree = {"a": RIGHT[:3], "b": RIGHT[3:].reshape(2, 2)}
    found, _ = gmres(lambda t: {"a": 2 * t["a"], "b": 4 * t["b"]}, tree, restart=2)
    np.testing.assert_allclose(found["b"], tree["b"] / 4, rtol=1e-5)
    for method in (cg, bicgstab, gmres):
        assert method(np.eye(3), np.zeros(3))[0].tolist() == [0.0, 0.0, 0.0]
        assert method(np.eye(2, dtype=np.float32), np.ones(2, np.float32))[0].dtype == "float32"
        assert method(POSITIVE, RIGHT, maxiter=0)[0].tolist() == [0.0] * N


def test_tangents_are_solved_by_a_function_with_a_rule():
    """`jnp.linalg.solve` gives its own derivative, and is linear in its right side."""
    cubes = np.array([1.0, 8.0, 27.0])
    newton = lambda f, x: lax.fori_loop(0, 30, lambda i, x: x - f(x) / (3 * x * x), x)
    for derive in (fdl.jacrev, fdl.jacfwd):
        tangent_solve = lambda g, y, derive=derive: jnp.linalg.solve(derive(g)(y), y)
        root = lambda a, s=tangent_solve: lax.custom_root(lambda x: x**3 - a, 2 * np.ones(3), newton, s)
        for jacobian in (fdl.jacrev, fdl.jacfwd, lambda f: fdl.jit(fdl.jacrev(f))):
            np.testing.assert_allclose(jacobian(root)(cubes), np.diag([1 / 3, 1 / 12, 1 / 27]), rtol=1e-5, atol=1e-7)
