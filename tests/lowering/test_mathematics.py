"""Our own mathematics: errors in ulp over the whole range, special values, the same bits for constants and variables."""

import ctypes
import ctypes.util

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import nn
from tests.conftest import needs_compiler


def spread(low, high, dtype):
    """Many numbers from low to high: evenly, and evenly by exponent from both sides of zero."""
    even = np.linspace(low, high, 1_000_003)
    by_exponent = np.exp(np.linspace(np.log(1e-30), np.log(max(abs(low), abs(high))), 500_003))
    x = np.concatenate([even, by_exponent, -by_exponent]).astype(dtype)
    return x[(x >= low) & (x <= high)]


LONG = np.longdouble


def erf(x):
    """The C library's, of long doubles."""
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    library.erfl.restype, library.erfl.argtypes = ctypes.c_longdouble, [ctypes.c_longdouble]
    values = np.asarray(x)
    return np.array([LONG(library.erfl(v)) for v in values.reshape(-1)]).reshape(values.shape).astype(values.dtype)


MATHEMATICS = {
    "exp": (jnp.exp, np.exp, {"float32": (-87.3, 88.7, 2), "float64": (-708, 709.7, 2)}),
    "expm1": (jnp.expm1, np.expm1, {"float32": (-50, 88.7, 3), "float64": (-100, 709.7, 3)}),
    "log": (jnp.log, np.log, {"float32": (1.2e-38, 3e38, 2), "float64": (2.3e-308, 1e308, 2)}),
    "log1p": (jnp.log1p, np.log1p, {"float32": (-0.9999999, 3e38, 3), "float64": (-0.9999999999, 1e308, 3)}),
    "tanh": (jnp.tanh, np.tanh, {"float32": (-12, 12, 3), "float64": (-25, 25, 3)}),
    "logistic": (nn.sigmoid, lambda x: 1 / (1 + np.exp(-x)), {"float32": (-80, 88, 3), "float64": (-700, 700, 3)}),
    "sin": (jnp.sin, np.sin, {"float32": (-3.4e38, 3.4e38, 1), "float64": (-8e307, 8e307, 1)}),
    "cos": (jnp.cos, np.cos, {"float32": (-3.4e38, 3.4e38, 1), "float64": (-8e307, 8e307, 1)}),
    "tan": (jnp.tan, np.tan, {"float32": (-3.4e38, 3.4e38, 1), "float64": (-8e307, 8e307, 3)}),
    "erf": (fdl.lax.erf, erf, {"float32": (-5, 5, 3), "float64": (-7, 7, 2)}),
}


@needs_compiler
@pytest.mark.parametrize("name, dtype", [(name, dtype) for name, (_, _, ranges) in MATHEMATICS.items() for dtype in ranges])
def test_mathematics_in_ulp(name, dtype):
    """Errors of our own functions against a wider type, over the range where results are normal numbers."""
    f, reference, ranges = MATHEMATICS[name]
    wide = np.float64 if dtype == "float32" else LONG
    if wide is LONG and np.finfo(LONG).nmant < 60:
        pytest.skip("no type wider than float64 here")
    low, high, ulp = ranges[dtype]
    x = spread(low, high, dtype)
    if name == "erf":
        x = x[::9]
    got = np.asarray(fdl.jit(f)(x)).astype(wide)
    want = reference(x.astype(wide))
    normal = (np.abs(want) > np.finfo(dtype).tiny) & (np.abs(want) < np.finfo(dtype).max)
    error = np.abs(got - want)[normal] / np.spacing(np.abs(want[normal]).astype(dtype))
    assert error.max() <= ulp, (error.max(), x[normal][error.argmax()])


@needs_compiler
def test_special_values():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 90.0, -110.0], np.float32)
    with np.errstate(all="ignore"):
        for dtype in (np.float32, np.float64):
            for f, reference, _ in MATHEMATICS.values():
                got, want = np.asarray(fdl.jit(f)(x.astype(dtype))), reference(x.astype(dtype))
                np.testing.assert_allclose(got, want, rtol=1e-6)
                zero = (got == 0) & (want == 0)
                assert (np.signbit(got) == np.signbit(want))[zero].all(), f
    assert np.signbit(np.asarray(fdl.jit(lambda x: x + 0.0)(np.float32(-0.0)))) == False  # noqa: E712
    assert np.signbit(np.asarray(fdl.jit(lambda x: x * 1.0)(np.float32(-0.0))))


@needs_compiler
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "sin", "cos", "tan", "tanh", "sqrt", "power", "arctan2", "remainder"])
def test_constants_have_the_bits_of_variables(name):
    """What the compiler could work out beforehand rounds as at run time."""
    f, values = getattr(jnp, name), [0.1, 0.7, 1.3, 2.0, 3.0, 11.7]
    pairs = [(a, b) for a in values for b in (0.5, 2.0, 2.5)] if name in ("power", "arctan2", "remainder") else [(a,) for a in values]
    as_constants = fdl.jit(lambda: [f(*(np.float32(v) for v in pair)) for pair in pairs])()
    columns = [np.array(column, np.float32) for column in zip(*pairs, strict=True)]
    as_variables = np.asarray(fdl.jit(f)(*columns))
    assert np.array([np.asarray(v) for v in as_constants], np.float32).tobytes() == as_variables.tobytes()


HARDEST = {
    "float32": [16367173.0 * 2.0**72, 16367173.0 * 2.0**71, 13176795.0, 6381956970095103.0 * 2.0**20, 2.0**24, 2.0**24 - 1, 2.0**127, 3.4028235e38],
    "float64": [
        *[6381956970095103.0 * 2.0**797, 5319372648326541.0 * 2.0**-58, 1e22],
        *[2.0**k for k in range(-30, 1024, 7)],
        *[2.0 ** (84 + 32 * j) - 2.0 ** (31 + 32 * j) for j in range(29)],
    ],
}


@needs_compiler
@pytest.mark.parametrize("dtype", HARDEST)
def test_trigonometry_where_it_is_hardest(dtype):
    """Numbers that come closest to multiples of pi / 2, and those around the bounds of the reduction."""
    near = np.arange(1, 4096) * (np.pi / 2)
    x = np.concatenate([HARDEST[dtype], near, np.nextafter(near.astype(dtype), np.dtype(dtype).type(0))]).astype(dtype)
    x = np.concatenate([x, -x])
    for f, reference, ulp in ((jnp.sin, np.sin, 1), (jnp.cos, np.cos, 1), (jnp.tan, np.tan, 1 if dtype == "float32" else 3)):
        want = reference(x.astype(LONG))
        error = np.abs(np.asarray(fdl.jit(f)(x)).astype(LONG) - want) / np.spacing(np.abs(want).astype(dtype))
        assert error.max() <= ulp
    odd = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-30, -1e-30], dtype)
    for f, reference in ((jnp.sin, np.sin), (jnp.cos, np.cos), (jnp.tan, np.tan)):
        with np.errstate(all="ignore"):
            want = reference(odd)
        got = np.asarray(fdl.jit(f)(odd))
        np.testing.assert_array_equal(got, want)
        assert (np.signbit(got) == np.signbit(want))[3:].all()


@needs_compiler
@pytest.mark.parametrize("dtype, most, ulp", [("float32", 87.3, 1), ("float64", 708, 2)])
def test_powers_in_ulp(dtype, most, ulp):
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-most, most, 400_000)).astype(dtype)
    x[1000:200_000] = rng.uniform(0.5, 2, 199_000)
    logs = np.log(x.astype(float))
    y = (rng.uniform(-most, most, x.size) / np.where(np.abs(logs) < 1e-3, 1, logs)).astype(dtype)
    x[:1000], y[:1000] = np.nextafter(np.dtype(dtype).type(1), np.dtype(dtype).type(2)), rng.uniform(-1, 1, 1000) * 10 / np.finfo(dtype).eps
    want = x.astype(LONG) ** y.astype(LONG)
    normal = (want > np.finfo(dtype).tiny) & (want < np.finfo(dtype).max)
    error = np.abs(np.asarray(fdl.jit(jnp.power)(x, y)).astype(LONG) - want)[normal] / np.spacing(want[normal].astype(dtype))
    assert error.max() <= ulp, (error.max(), x[normal][error.argmax()], y[normal][error.argmax()])


@needs_compiler
@pytest.mark.parametrize("dtype, ulp", [("float32", 1), ("float64", 3)])
def test_angles(dtype, ulp):
    rng = np.random.default_rng(0)
    most = np.log(np.finfo(dtype).max) * 0.45
    y, x = (np.exp(rng.uniform(-most, most, 400_000)) * rng.choice([-1, 1], 400_000) for _ in range(2))
    y[::2] = x[::2] * rng.normal(size=200_000)
    y, x = y.astype(dtype), x.astype(dtype)
    want = np.arctan2(y.astype(LONG), x.astype(LONG))
    normal = np.abs(want) > np.finfo(dtype).tiny
    error = np.abs(np.asarray(fdl.jit(jnp.arctan2)(y, x)).astype(LONG) - want)[normal] / np.spacing(np.abs(want[normal]).astype(dtype))
    assert error.max() <= ulp, (error.max(), y[normal][error.argmax()], x[normal][error.argmax()])
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e30, -1e30], dtype)
    y, x = (a.reshape(-1) for a in np.meshgrid(odd, odd))
    got, want = np.asarray(fdl.jit(jnp.arctan2)(y, x)), np.arctan2(y, x)
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_powers(dtype):
    """All pairs of C99's special cases."""
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 2.5, -2.5, 1e30, -1e30, 16777217.0, -16777215.0], dtype)
    x, y = (a.reshape(-1) for a in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        want = np.array([_pow(float(a), float(b)) for a, b in zip(x, y, strict=True)]).astype(dtype)
    got = np.asarray(fdl.jit(jnp.power)(x, y))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


def _pow(x, y):
    """C's pow, whose special cases NumPy's scalars have."""
    return np.float64(x) ** np.float64(y)
