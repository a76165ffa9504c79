"""Our own mathematics where it is hardest: near multiples of pi / 2, powers, angles, special values, the same bits for
constants and variables.

Errors over the whole range are held by `test_accuracy.py`."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from tests.conftest import needs_compiler

LONG = np.longdouble


CONSTANT = (
    "exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin sinh tanh arcsinh cbrt sqrt power arctan2 hypot remainder"
)


@needs_compiler
@pytest.mark.parametrize("name", CONSTANT.split())
def test_constants_have_the_bits_of_variables(name):
    """What the compiler could work out beforehand rounds as at run time."""
    f, values = getattr(jnp, name), [0.1, 0.7, 1.3, 2.0, 3.0, 11.7]
    pairs = (
        [(a, b) for a in values for b in (0.5, 2.0, 2.5)]
        if name in ("power", "arctan2", "hypot", "remainder")
        else [(a,) for a in values]
    )
    as_constants = fdl.jit(lambda: [f(*(np.float32(v) for v in pair)) for pair in pairs])()
    columns = [np.array(column, np.float32) for column in zip(*pairs, strict=True)]
    as_variables = np.asarray(fdl.jit(f)(*columns))
    assert np.array([np.asarray(v) for v in as_constants], np.float32).tobytes() == as_variables.tobytes()


HARDEST = {
    "float32": [
        16367173.0 * 2.0**72,
        16367173.0 * 2.0**71,
        13176795.0,
        6381956970095103.0 * 2.0**20,
        2.0**24,
        2.0**24 - 1,
        2.0**127,
        3.4028235e38,
    ],
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
    for f, reference, ulp in ((jnp.sin, np.sin, 1), (jnp.cos, np.cos, 1), (jnp.tan, np.tan, 1)):
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
    x[:1000], y[:1000] = (
        np.nextafter(np.dtype(dtype).type(1), np.dtype(dtype).type(2)),
        rng.uniform(-1, 1, 1000) * 10 / np.finfo(dtype).eps,
    )
    want = x.astype(LONG) ** y.astype(LONG)
    normal = (want > np.finfo(dtype).tiny) & (want < np.finfo(dtype).max)
    error = np.abs(np.asarray(fdl.jit(jnp.power)(x, y)).astype(LONG) - want)[normal] / np.spacing(
        want[normal].astype(dtype)
    )
    assert error.max() <= ulp, (error.max(), x[normal][error.argmax()], y[normal][error.argmax()])


@needs_compiler
@pytest.mark.parametrize("dtype, ulp", [("float32", 1), ("float64", 2)])
def test_angles(dtype, ulp):
    rng = np.random.default_rng(0)
    most = np.log(np.finfo(dtype).max) * 0.45
    y, x = (np.exp(rng.uniform(-most, most, 400_000)) * rng.choice([-1, 1], 400_000) for _ in range(2))
    y[::2] = x[::2] * rng.normal(size=200_000)
    y, x = y.astype(dtype), x.astype(dtype)
    want = np.arctan2(y.astype(LONG), x.astype(LONG))
    normal = np.abs(want) > np.finfo(dtype).tiny
    error = np.abs(np.asarray(fdl.jit(jnp.arctan2)(y, x)).astype(LONG) - want)[normal] / np.spacing(
        np.abs(want[normal]).astype(dtype)
    )
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
    values = np.array(
        [
            np.nan,
            np.inf,
            -np.inf,
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            -0.5,
            2.0,
            -2.0,
            3.0,
            -3.0,
            2.5,
            -2.5,
            1e30,
            -1e30,
            16777217.0,
            -16777215.0,
        ],
        dtype,
    )
    x, y = (a.reshape(-1) for a in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        want = np.array([_pow(float(a), float(b)) for a, b in zip(x, y, strict=True)]).astype(dtype)
    got = np.asarray(fdl.jit(jnp.power)(x, y))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


def _pow(x, y):
    """C's pow, whose special cases NumPy's scalars have."""
    return np.float64(x) ** np.float64(y)
