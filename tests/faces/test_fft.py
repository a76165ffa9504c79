"""`fdl.numpy.fft` against NumPy: lengths, axes, norms, precision, derivatives, programs."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.core.array import from_numpy
from fdl.core.config import config
from tests.conftest import needs_compiler

LENGTHS = [1, 2, 3, 4, 5, 6, 8, 12, 16, 17, 31, 60, 64, 97, 128, 257, 1000, 1009]
ONE_AXIS = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL = ["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"]


def drawn(shape, real, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x if real else x + 1j * rng.normal(size=shape)).astype(
        dtype if real else np.result_type(dtype, np.complex64)
    )


def close(got, want, tolerance=1e-11):
    got = np.asarray(got)
    assert got.shape == want.shape
    assert got.dtype.kind == want.dtype.kind
    scale = max(np.abs(want).max(initial=0), 1)
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("name", ONE_AXIS)
@pytest.mark.parametrize("n", LENGTHS)
def test_lengths(name, n):
    x = drawn((2, n), name in ("rfft", "ihfft"))
    if n > 1 or name not in ("irfft", "hfft"):
        close(getattr(jnp.fft, name)(from_numpy(x)), getattr(np.fft, name)(x))
    for other in (max(n - 3, 1), n + 2):
        close(getattr(jnp.fft, name)(from_numpy(x), other), getattr(np.fft, name)(x, other))


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ONE_AXIS)
def test_norms_and_axes(name, norm):
    x = drawn((3, 6, 5), name in ("rfft", "ihfft"))
    for axis in (0, 1, -1):
        close(
            getattr(jnp.fft, name)(from_numpy(x), axis=axis, norm=norm), getattr(np.fft, name)(x, axis=axis, norm=norm)
        )


@pytest.mark.parametrize("name", SEVERAL)
def test_several_axes(name):
    x = drawn((3, 4, 5), name.startswith("rfft"))
    ours, theirs = getattr(jnp.fft, name), getattr(np.fft, name)
    close(ours(from_numpy(x)), theirs(x))
    close(ours(from_numpy(x), axes=(0, 2), norm="ortho"), theirs(x, axes=(0, 2), norm="ortho"))
    close(ours(from_numpy(x), s=(4, 6), axes=(2, 1)), theirs(x, s=(4, 6), axes=(2, 1)))


def test_dtypes_follow_precision():
    for dtype, want in (("float32", "complex64"), ("float64", "complex128"), ("int32", "complex64")):
        x = jnp.ones(4, dtype)
        assert jnp.fft.fft(x).dtype == jnp.fft.rfft(x).dtype == np.dtype(want)
        assert jnp.fft.irfft(jnp.fft.rfft(x)).dtype == np.zeros(1, want).real.dtype
    close(jnp.fft.fft(jnp.ones(5, "bfloat16")), np.fft.fft(np.ones(5)).astype(np.complex64), 1e-6)


def test_frequencies_and_shifts():
    for n in (1, 4, 5):
        close(jnp.fft.fftfreq(n, 0.5, "float64"), np.fft.fftfreq(n, 0.5))
        close(jnp.fft.rfftfreq(n, 0.5, "float64"), np.fft.rfftfreq(n, 0.5))
        x = drawn((n, 3), True)
        for axes in (None, 0, (0, 1)):
            close(jnp.fft.fftshift(from_numpy(x), axes), np.fft.fftshift(x, axes))
            close(jnp.fft.ifftshift(from_numpy(x), axes), np.fft.ifftshift(x, axes))


@pytest.mark.parametrize("name", ONE_AXIS)
def test_transforms_are_linear_with_their_adjoints(name):
    """The tangent is the transform of the tangent, and its cotangent meets it in the same number."""
    f = getattr(jnp.fft, name)
    real = name in ("rfft", "ihfft")
    x, t = (from_numpy(drawn((2, 6), real, seed=i)) for i in (1, 2))
    out, tangent = fdl.jvp(f, (x,), (t,))
    close(tangent, np.asarray(f(t)))
    u = drawn(out.shape, out.dtype.kind == "f", seed=3)
    (ct,) = fdl.vjp(f, x)[1](from_numpy(u))
    left, right = np.sum(u * np.asarray(tangent)).real, np.sum(np.asarray(ct) * np.asarray(t)).real
    assert left == pytest.approx(right, rel=1e-12)


@needs_compiler
def test_programs_and_lanes():
    config.tier = "compiled"
    for n in (12, 64, 100, 257, 1009):
        x = drawn((3, n), False, np.float32)
        close(fdl.jit(jnp.fft.fft)(from_numpy(x)), np.fft.fft(x), 1e-6)
        close(fdl.jit(fdl.vmap(jnp.fft.ifft))(from_numpy(x)), np.fft.ifft(x), 1e-6)
    x = drawn((8, 6), True)
    close(fdl.jit(lambda x: jnp.fft.irfft2(jnp.fft.rfft2(x)))(from_numpy(x)), x)


def test_what_is_wrong_says_so():
    with pytest.raises(ValueError, match="norm"):
        jnp.fft.fft(jnp.ones(3), norm="half")
    with pytest.raises(ValueError, match="0 elements"):
        jnp.fft.fft(jnp.ones(0))
    with pytest.raises(ValueError, match="axis 3"):
        jnp.fft.fft(jnp.ones(3), axis=3)


@pytest.mark.parametrize("name", ["rfft", "ihfft", "rfftn", "rfft2"])
def test_transforms_of_real_numbers_refuse_complex_ones(name):
    x = drawn((3, 4), False)
    with pytest.raises(TypeError):
        getattr(np.fft, name)(x)
    with pytest.raises(TypeError, match="is complex"):
        getattr(jnp.fft, name)(from_numpy(x))


@pytest.mark.parametrize("name", ONE_AXIS)
def test_a_length_is_a_whole_number(name):
    for module in (np.fft, jnp.fft):
        with pytest.raises(TypeError):
            getattr(module, name)(np.ones(4, np.float32), 2.5)
