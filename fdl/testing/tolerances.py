"""How near two results have to be: one table by dtype, for comparisons of a program with the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

Data = np.ndarray[Any, Any]

TABLE = {  # (relative, absolute)
    "float64": (1e-12, 1e-12),
    "float32": (1e-5, 1e-5),
    "complex128": (1e-12, 1e-12),
    "complex64": (1e-5, 1e-5),
    "float16": (2e-3, 2e-3),
    "bfloat16": (1e-2, 1e-2),
    "float8_e4m3fn": (1e-2, 1e-2),
    "float8_e5m2": (1e-2, 1e-2),
}


def wide(x: Data) -> Data:
    """Floats in double precision; complex numbers as pairs of them.

    >>> wide(np.array([1 + 2j])).tolist()
    [1.0, 2.0]
    """
    return x.astype(np.complex128).reshape(-1).view(np.float64) if x.dtype.kind == "c" else x.astype(np.float64)


def assert_close(got: Any, want: Any, scale: float = 1.0) -> None:
    """Equal shapes, dtypes and values, exactly for integers and bools, within `scale` times the table's tolerance for
    floats; AssertionError where they are not.

    >>> assert_close(np.float32([1.0]), np.float32([1.000001]))
    """
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, (got.shape, want.shape)
    assert got.dtype == want.dtype, (got.dtype, want.dtype)
    if got.dtype.name not in TABLE:
        np.testing.assert_array_equal(got, want)
        return
    rtol, atol = TABLE[got.dtype.name]
    np.testing.assert_allclose(wide(got), wide(want), rtol=rtol * scale, atol=atol * scale)
