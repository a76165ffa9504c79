"""`torch.testing`: comparisons that say what differs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import as_tensor

__all__ = ["assert_allclose", "assert_close"]

# by dtype: relative and absolute tolerance, as PyTorch has them
_TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: Any = None,
    **kwargs: Any,
) -> None:
    """AssertionError unless both are close, element by element, and of one shape and dtype; sequences and mappings of
    them too.

    >>> import fdl.stateful as torch
    >>> assert_close(torch.ones(2), torch.ones(2) + 1e-7)
    """
    options = {"rtol": rtol, "atol": atol, "equal_nan": equal_nan, "check_dtype": check_dtype, "msg": msg}
    if isinstance(expected, dict):
        if set(actual) != set(expected):
            raise AssertionError(f"The keys do not match: {sorted(actual)} and {sorted(expected)}")
        for key in expected:
            assert_close(actual[key], expected[key], **options)
        return
    if isinstance(expected, (list, tuple)):
        if len(actual) != len(expected):
            raise AssertionError(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}")
        for a, b in zip(actual, expected, strict=True):
            assert_close(a, b, **options)
        return
    a, b = (x if isinstance(x, Tensor) else as_tensor(x) for x in (actual, expected))
    found = None
    if a.shape != b.shape:
        found = f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}."
    elif check_dtype and a.dtype != b.dtype:
        found = f"The values for attribute 'dtype' do not match: {a.dtype} != {b.dtype}."
    else:
        names = [str(x.dtype).removeprefix("torch.") for x in (a, b)]
        least = np.max([_TOLERANCES.get(name, (0.0, 0.0)) for name in names], axis=0)
        r, t = (float(low) if given is None else given for low, given in zip(least, (rtol, atol), strict=True))
        try:
            np.testing.assert_allclose(
                np.asarray(a.double().tolist()), np.asarray(b.double().tolist()), r, t, equal_nan
            )
        except AssertionError as error:
            found = f"Tensor-likes are not close!\n{error}"
    if found:
        raise AssertionError(msg(found) if callable(msg) else msg or found)


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """`assert_close` of former days, without a look at dtypes."""
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False, msg=msg or None)
