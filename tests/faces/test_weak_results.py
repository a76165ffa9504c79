"""Dtypes and weakness of results, against what JAX 0.10 answers: recorded by hand, as they follow from rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.core.errors import DtypeError

FLOATING = ("sin", "log", "exp", "sqrt", "tanh", "arctan", "deg2rad", "rad2deg", "reciprocal", "fabs")
NUMBERS: dict[str, tuple[Any, bool]] = {
    "int": (2, True),
    "float": (0.5, True),
    "bool": (True, False),
    "int8": (jnp.int8(2), False),
    "uint8": (jnp.uint8(2), False),
    "int16 vector": (jnp.array([1, 2], dtype="int16"), False),
    "bool vector": (jnp.array([True, True]), False),
}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", FLOATING)
def test_floating_functions_of_integers_are_weak_where_the_integers_are(name: str, number: str) -> None:
    x, weak = NUMBERS[number]
    for f in (getattr(jnp, name), fdl.jit(getattr(jnp, name))):
        found = f(x)
        assert (found.dtype, found.weak_type) == (np.float32, weak)


def test_what_is_not_weak_keeps_its_width_beside_narrow_floats() -> None:
    assert (jnp.sin(jnp.array([1])) * jnp.bfloat16(2)).dtype == np.float32
    assert (jnp.sin(1) * jnp.bfloat16(2)).dtype == jnp.bfloat16(0).dtype
    assert (jnp.array([1]) / 2).weak_type is False


FOLDS: dict[str, Callable[[Any], Any]] = {
    name: getattr(jnp, name) for name in ("sum", "prod", "mean", "var", "std", "max", "min", "nansum", "cumsum", "ptp")
}


@pytest.mark.parametrize("name", FOLDS)
def test_folded_numbers_are_weak_no_more(name: str) -> None:
    for x in (2, 1.5, jnp.asarray(1.5)):
        assert not FOLDS[name](x).weak_type


def test_slopes_of_folded_numbers() -> None:
    assert float(fdl.grad(jnp.mean)(1.5)) == 1.0
    assert float(fdl.linearize(jnp.sum, jnp.asarray(1.5))[1](jnp.asarray(2.0))) == 2.0


def test_at_least_some_axes_of_several_arrays() -> None:
    several = (1, jnp.array([2.0]), jnp.array([[1, 2]]))
    assert [x.shape for x in jnp.atleast_1d(*several)] == [(1,), (1,), (1, 2)]
    assert [x.shape for x in jnp.atleast_2d(*several)] == [(1, 1), (1, 1), (1, 2)]
    assert [x.shape for x in jnp.atleast_3d(*several)] == [(1, 1, 1), (1, 1, 1), (1, 2, 1)]
    assert jnp.atleast_1d() == [] and isinstance(jnp.atleast_1d(1, 2), list)


def test_complex_numbers_where_numpy_orders_or_spaces_them() -> None:
    a, b = np.array([1 + 2j, complex("nan"), 3]), np.array([1 + 1j, 3, complex("nan")])
    np.testing.assert_array_equal(jnp.fmax(a, b), np.fmax(a, b))
    np.testing.assert_array_equal(jnp.fmin(a, b), np.fmin(a, b))
    np.testing.assert_allclose(jnp.geomspace(1j, 1000j, 4), np.geomspace(1j, 1000j, 4), 1e-5, 1e-3)
    np.testing.assert_allclose(jnp.geomspace(1 + 1j, 1000, 4), np.geomspace(1 + 1j, 1000, 4), 1e-5, 1e-3)


def test_numbers_and_bools_that_numpy_takes() -> None:
    assert [float(jnp.angle(x)) for x in (2, -1.0)] == [0.0, float(np.float32(np.pi))]
    assert jnp.bitwise_count(jnp.array([True, False])).tolist() == [1, 0]
    assert jnp.result_type(jnp.int8, 1) == np.int8


@pytest.mark.parametrize("f", [jnp.isposinf, jnp.isneginf])
def test_infinities_of_complex_numbers_have_no_sign(f: Callable[[Any], Any]) -> None:
    with pytest.raises(DtypeError, match="no order"):
        f(jnp.array([1j]))
