"""Reverse mode through loops whose number of trips is not known: against NumPy's chain rule, in float64."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.core.errors import StateError
from tests.conftest import needs_compiler


def trips(x, n, **options):
    """`n` times c = c cos(c) + 0.1 x, from c = x."""
    return lax.while_loop(
        lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * jnp.cos(c[1]) + 0.1 * x), (0, 1.0 * x), **options
    )[1]


def derivatives(x, n):
    """First and second derivative of the same, by hand."""
    c, d, dd = np.float64(x), 1.0, 0.0
    for _ in range(n):
        slope, bend = np.cos(c) - c * np.sin(c), -2 * np.sin(c) - c * np.cos(c)
        c, d, dd = c * np.cos(c) + 0.1 * x, slope * d + 0.1, bend * d * d + slope * dd
    return d, dd


@pytest.mark.parametrize("n", [0, 1, 2, 7, 40])
@pytest.mark.parametrize("promised", [None, 40])
@pytest.mark.parametrize("wrap", [lambda f: f, fdl.jit], ids=["eager", "jit"])
def test_first_and_second_derivatives(n, promised, wrap):
    def f(x, n):
        return trips(x, n, max_trips=promised)

    first, second = derivatives(1.2, n)
    assert abs(float(wrap(fdl.grad(f))(1.2, n)) - first) < 1e-5 * max(1, abs(first))
    assert abs(float(wrap(fdl.grad(fdl.grad(f)))(1.2, n)) - second) < 3e-5 * max(1, abs(second))


@needs_compiler
@pytest.mark.parametrize("n", [255, 256, 257, 1000, 3000])
def test_trips_beyond_those_that_are_saved(n):
    """Sums of x^0.. have a derivative that no rounding hides: each trip adds its own number."""

    def f(x, n):
        def step(c):
            return c[0] + 1, c[1] + x * (c[0] % 7).astype(jnp.float32)

        return lax.while_loop(lambda c: c[0] < n, step, (0, 0.0 * x))[1]

    want = float(np.sum(np.arange(n) % 7))
    assert float(fdl.jit(fdl.grad(f))(1.0, n)) == want
    assert float(fdl.grad(f)(1.0, n)) == want


@pytest.mark.parametrize("wrap", [lambda f: f, fdl.jit], ids=["eager", "jit"])
def test_each_lane_takes_its_own_trips(wrap):
    x, n = jnp.array([1.2, 0.3, 0.5]), jnp.array([7, 0, 2])
    want = [derivatives(a, b)[0] for a, b in zip([1.2, 0.3, 0.5], [7, 0, 2])]
    np.testing.assert_allclose(wrap(fdl.vmap(fdl.grad(trips)))(x, n), want, rtol=1e-5)
    np.testing.assert_allclose(wrap(fdl.grad(lambda x: fdl.vmap(trips)(x, n).sum()))(x), want, rtol=1e-5)


def test_traced_bounds_of_fori_loop():
    def f(x, low, high):
        return lax.fori_loop(low, high, lambda i, c: c * x + i, 1.0)

    def by_hand(x, low, high):
        c, d = 1.0, 0.0
        for i in range(low, high):
            c, d = c * x + i, d * x + c
        return d

    for low, high in [(0, 4), (2, 9), (3, 3), (5, 2), (-3, 2)]:
        assert abs(float(fdl.jit(fdl.grad(f))(0.7, low, high)) - by_hand(0.7, low, high)) < 1e-4


def test_integers_and_constants_have_no_part_in_it():
    def f(x, w):
        return lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] @ w, c[2]), (jnp.int32(0), x, False))[1]

    w = jnp.array([[0.5, 0.2], [-0.1, 0.3]])
    x = jnp.array([1.0, 2.0])
    got = fdl.jacrev(f, (0, 1))(x, w)
    want = fdl.jacrev(lambda x, w: x @ w @ w @ w, (0, 1))(x, w)
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_complex_states():
    def f(z):
        return jnp.real(lax.while_loop(lambda c: c[0] < 4, lambda c: (c[0] + 1, c[1] * c[1] + z), (0, z))[1])

    def plain(z):
        c = z
        for _ in range(4):
            c = c * c + z
        return jnp.real(c)

    z = jnp.complex64(0.3 - 0.2j)
    np.testing.assert_allclose(complex(fdl.grad(f)(z)), complex(fdl.grad(plain)(z)), rtol=1e-5)


def test_too_many_trips_are_an_error_or_nan():
    with pytest.raises(StateError, match="max_trips"):
        float(fdl.grad(lambda x: trips(x, 10, max_trips=3))(1.2))
    with pytest.raises(StateError, match="max_trips"):
        float(fdl.jit(fdl.grad(lambda x: trips(x, 10, max_trips=3)))(1.2))
    inside = fdl.grad(lambda x: lax.scan(lambda c, _: (trips(c, 10, max_trips=3), None), x, None, 2)[0])
    assert np.isnan(float(inside(1.2)))
    assert float(trips(1.2, 10, max_trips=3)) == float(trips(1.2, 10))


def test_a_step_is_seen_once_by_callbacks_of_the_way_forward():
    seen = []

    def step(c):
        fdl.debug.callback(lambda i: seen.append(int(i)), c[0])
        return c[0] + 1, c[1] * 2

    grad = fdl.grad(lambda x: lax.while_loop(lambda c: c[0] < 3, step, (0, x), max_trips=3)[1])
    assert float(grad(1.0)) == 8.0
    assert seen == [0, 1, 2]
