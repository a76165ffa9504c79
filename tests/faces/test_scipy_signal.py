"""`scipy.signal`, `scipy.ndimage` and `scipy.integrate` against SciPy; `experimental.ode` against solutions known."""

import numpy as np
import pytest
import scipy.integrate
import scipy.ndimage
import scipy.signal

import fdl
import fdl.numpy as jnp
from fdl.core.errors import ChoiceError, ShapeError
from fdl.experimental.ode import odeint
from fdl.scipy import integrate, ndimage, signal

RNG = np.random.default_rng(2)
WRAPS = pytest.mark.parametrize("wrap", [lambda f: f, fdl.jit], ids=["eager", "jit"])


def drawn(*shape):
    return RNG.normal(size=shape)


PAIRS = {
    "vectors": (drawn(7), drawn(3)),
    "the shorter one first": (drawn(3), drawn(7)),
    "of one size": (drawn(4), drawn(4)),
    "complex": (drawn(6) + 1j * drawn(6), drawn(3) - 1j * drawn(3)),
    "matrices": (drawn(5, 6), drawn(2, 3)),
    "three axes": (drawn(4, 3, 5), drawn(2, 2, 2)),
    "numbers": (np.array(2.0), np.array(3.0)),
}


@WRAPS
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate", "fftconvolve"])
@pytest.mark.parametrize("a, b", PAIRS.values(), ids=PAIRS)
def test_convolutions(a, b, name, mode, wrap):
    got = wrap(lambda a, b: getattr(signal, name)(a, b, mode))(a, b)
    np.testing.assert_allclose(got, getattr(scipy.signal, name)(a, b, mode), rtol=1e-11, atol=1e-11)


def test_convolutions_of_matrices_and_by_transforms():
    a, b = drawn(5, 6), drawn(2, 3)
    for name in ("convolve2d", "correlate2d"):
        np.testing.assert_allclose(getattr(signal, name)(a, b), getattr(scipy.signal, name)(a, b), rtol=1e-11)
    np.testing.assert_allclose(signal.convolve(a, b, method="fft"), scipy.signal.convolve(a, b), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        signal.fftconvolve(a, a[:, :2], axes=1), scipy.signal.fftconvolve(a, a[:, :2], axes=1), rtol=1e-9, atol=1e-12
    )
    grad = fdl.grad(lambda b: (signal.convolve(a, b) ** 2).sum())(jnp.array(b))
    other = fdl.grad(lambda b: (signal.fftconvolve(a, b) ** 2).sum())(jnp.array(b))
    np.testing.assert_allclose(grad, other, rtol=1e-10)


@pytest.mark.parametrize("options", [{}, {"type": "constant"}, {"axis": 0}, {"bp": [3, 5]}], ids=str)
def test_lines_taken_away(options):
    x = drawn(8, 7)
    np.testing.assert_allclose(signal.detrend(x, **options), scipy.signal.detrend(x, **options), atol=1e-12)


def test_integrals_of_samples():
    y, x = drawn(3, 5), np.cumsum(np.abs(drawn(5)))
    np.testing.assert_allclose(integrate.trapezoid(y, x), scipy.integrate.trapezoid(y, x), rtol=1e-12)
    np.testing.assert_allclose(integrate.trapezoid(y, dx=0.5, axis=0), scipy.integrate.trapezoid(y, dx=0.5, axis=0))


@WRAPS
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
def test_values_between_elements(mode, order, wrap):
    image = drawn(4, 5)
    places = RNG.uniform(0, 3, size=(2, 40)) if mode in ("constant", "wrap") else RNG.uniform(-6, 9, size=(2, 40))
    got = wrap(lambda x, p: ndimage.map_coordinates(x, p, order=order, mode=mode))(image, places)
    spelled = {"wrap": "grid-wrap", "constant": "grid-constant"}.get(mode, mode)
    want = scipy.ndimage.map_coordinates(image, places, order=order, mode=spelled)
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


def test_values_outside_of_integers_and_their_slopes():
    image = np.arange(12).reshape(3, 4)
    got = ndimage.map_coordinates(image, [np.array([0.5, 9.0]), np.array([1.5, 0.0])], 1, cval=-1)
    assert got.tolist() == [4, -1]
    assert got.dtype == image.dtype
    halves, whole = [np.array([0.5, 1.5, 2.5])], np.array([1, 2, 3, 4])
    for order in (0, 1):  # halves of places and of values go up
        assert ndimage.map_coordinates(whole, halves, order).tolist() == [2, 3, 4]
    slope = fdl.grad(lambda p: ndimage.map_coordinates(jnp.array([1.0, 4.0, 9.0]), [p], 1))(1.25)
    assert float(slope) == 5.0


@WRAPS
def test_differential_equations_and_their_derivatives(wrap):
    t = np.array([0.0, 0.5, 2.0])

    def solve(y0, rate, t):
        return odeint(
            lambda y, s, r: {"a": -r * y["a"], "b": y["a"]}, {"a": y0, "b": 0.0 * y0}, t, rate, rtol=1e-10, atol=1e-12
        )

    out = wrap(solve)(np.float64(3.0), np.float64(0.7), t)
    np.testing.assert_allclose(out["a"], 3 * np.exp(-0.7 * t), rtol=1e-8)
    np.testing.assert_allclose(out["b"], 3 / 0.7 * (1 - np.exp(-0.7 * t)), rtol=1e-8, atol=1e-12)
    grads = wrap(fdl.grad(lambda *xs: solve(*xs)["a"].sum(), (0, 1, 2)))(np.float64(3.0), np.float64(0.7), t)
    np.testing.assert_allclose(grads[0], np.exp(-0.7 * t).sum(), rtol=1e-7)
    np.testing.assert_allclose(grads[1], (-3 * t * np.exp(-0.7 * t)).sum(), rtol=1e-7)
    own = -0.7 * 3 * np.exp(-0.7 * t)
    np.testing.assert_allclose(grads[2], [-own[1:].sum(), *own[1:]], rtol=1e-6, atol=1e-9)


def test_what_the_field_closes_over_and_steps_that_are_few():
    t = jnp.array([0.0, 1.0])
    grad = fdl.grad(lambda r: odeint(lambda y, s: -r * y, 1.0, t, rtol=1e-6, atol=1e-8)[-1])(0.5)
    np.testing.assert_allclose(grad, -np.exp(-0.5), rtol=1e-4)
    rough = odeint(lambda y, s: jnp.cos(40 * s), 0.0, t, rtol=1e-6, atol=1e-8, mxstep=3)
    assert rough.shape == (2,)
    assert abs(float(rough[1]) - np.sin(40) / 40) > 1e-3


MISTAKES = {
    "an unknown mode": (lambda: signal.convolve(drawn(3), drawn(3), "half"), ChoiceError, "valid"),
    "an unknown method": (lambda: signal.convolve(drawn(3), drawn(3), method="slow"), ChoiceError, "method"),
    "other numbers of axes": (lambda: signal.convolve(drawn(3), drawn(3, 3)), ShapeError, "as many axes"),
    "nothing": (lambda: signal.convolve(drawn(0), drawn(3)), ShapeError, "empty"),
    "neither inside": (lambda: signal.convolve(drawn(2, 5), drawn(3, 3), "valid"), ShapeError, "inside"),
    "another boundary": (lambda: signal.convolve2d(drawn(2, 2), drawn(2, 2), boundary="wrap"), ChoiceError, "fill"),
    "cubic ones": (lambda: ndimage.map_coordinates(drawn(3), [drawn(2)], 3), ChoiceError, "0 or 1"),
    "too few coordinates": (lambda: ndimage.map_coordinates(drawn(3, 3), [drawn(2)], 1), ShapeError, "each axis"),
    "breaks outside": (lambda: signal.detrend(drawn(5), bp=9), ShapeError, "from 0 to 5"),
    "no times": (lambda: odeint(lambda y, t: y, 1.0, jnp.zeros(0)), ShapeError, "vector of times"),
}


@pytest.mark.parametrize("call, error, text", MISTAKES.values(), ids=MISTAKES)
def test_mistakes(call, error, text):
    with pytest.raises(error, match=text):
        call()
