"""The one table of tolerances by dtype: (relative, absolute), for comparisons of backends with the reference."""

import numpy as np

TABLE = {
    "float64": (1e-12, 1e-12),
    "float32": (1e-5, 1e-5),
    "complex128": (1e-12, 1e-12),
    "complex64": (1e-5, 1e-5),
    "float16": (2e-3, 2e-3),
    "bfloat16": (1e-2, 1e-2),
    "float8_e4m3fn": (1e-2, 1e-2),
    "float8_e5m2": (1e-2, 1e-2),
}


def assert_close(got, want, scale=1.0):
    """Equal shapes, dtypes and values, exactly for integers and bool, within the table's tolerance for floats."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    assert got.dtype == want.dtype, (got.dtype, want.dtype)
    if got.dtype.name not in TABLE:
        np.testing.assert_array_equal(got, want)
        return
    rtol, atol = TABLE[got.dtype.name]
    np.testing.assert_allclose(wide(got), wide(want), rtol=rtol * scale, atol=atol * scale)


def wide(x):
    """Floats in double precision; complex numbers as pairs of them."""
    return x.astype(np.complex128).reshape(-1).view(np.float64) if x.dtype.kind == "c" else x.astype(np.float64)
