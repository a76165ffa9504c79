"""Arguments that JAX's functions have, and slopes at ties: values of JAX 0.10.2, but for `prod`'s refusal, where its
class differs.
"""

import math

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn

X = [[1.0, 2.0, 9.0], [3.0, 5.0, 0.0]]
MASK = [[True, False, True], [True, True, False]]
NAN = math.nan


@pytest.mark.parametrize(
    ("call", "want"),
    [
        (lambda x, m: jnp.var(x, where=m), 8.75),
        (lambda x, m: jnp.var(x, axis=1, where=m), [16.0, 1.0]),
        (lambda x, m: jnp.var(x, axis=0, where=m, ddof=1), [2.0, NAN, NAN]),
        (lambda x, m: jnp.var(x, axis=1, correction=1), [19.0, 6.3333335]),
        (lambda x, m: jnp.var(x, axis=0, ddof=2), [NAN, NAN, NAN]),
        (lambda x, m: jnp.std(x, axis=1, where=m, keepdims=True), [[4.0], [1.0]]),
        (lambda x, m: jnp.any(x > 5, axis=1, where=m), [True, False]),
        (lambda x, m: jnp.all(x > 0, axis=1, where=m), [True, True]),
        (lambda x, m: jnp.nanmean(x, axis=0, where=m), [2.0, 5.0, 9.0]),
        (lambda x, m: nn.elu(-x[0], 2.0), [-1.2642411, -1.7293295, -1.9997532]),
        (lambda x, m: nn.leaky_relu(-x[0], 0.5), [-0.5, -1.0, -4.5]),
        (lambda x, m: jnp.round(x * 37, -1), [[40.0, 70.0, 330.0], [110.0, 180.0, 0.0]]),
    ],
)
@pytest.mark.parametrize("wrap", [lambda f: f, fdl.jit])
def test_arguments(call, want, wrap):
    np.testing.assert_allclose(wrap(call)(jnp.array(X), jnp.array(MASK)), want, rtol=1e-6)


def test_an_axis_is_named_once():
    with pytest.raises(fdl.FdlError, match="names an axis twice"):
        jnp.prod(jnp.array(X), axis=(0, -2))


def test_narrow_floats_are_rounded_in_float32():
    # JAX 0.10.2: round(bfloat16([1.2578125, 2.671875, 300]), 1), round(float16([60000, 0.35]), 2)
    found = jnp.round(jnp.array([1.2578125, 2.671875, 300.0], jnp.bfloat16), 1)
    assert found.dtype == jnp.bfloat16 and np.asarray(found).astype(float).tolist() == [1.296875, 2.703125, 300.0]
    assert np.asarray(jnp.round(jnp.array([60000.0, 0.35], jnp.float16), 2)).tolist() == [60000.0, 0.35009765625]
    assert jnp.round(jnp.array([125, 135, -7]), -1).tolist() == [120, 140, -10]  # NumPy


@pytest.mark.parametrize(
    ("slope", "want"),
    [
        (lambda: fdl.grad(fdl.grad(lambda x: jnp.logaddexp(x, 0.0)))(0.0), 0.25),
        (lambda: fdl.grad(fdl.grad(lambda x: jnp.logaddexp2(x, 0.0)))(0.0), 0.17328680),
        (
            lambda: fdl.hessian(lambda v: jnp.logaddexp(v[0], v[1]))(jnp.array([2.0, 2.0])),
            [[0.25, -0.25], [-0.25, 0.25]],
        ),
        (lambda: fdl.grad(lambda x: jnp.logaddexp(x, 0.0))(math.inf), 1.0),
        (lambda: fdl.grad(lambda b: jnp.floor_divide(3.0, b))(0.0), 0.0),
        (lambda: fdl.grad(lambda b: jnp.floor_divide(b, 0.0))(3.0), 0.0),
        (
            lambda: fdl.vmap(fdl.grad(lambda x: lax.clamp(-1.0, x, 1.0)))(jnp.array([-2.0, -1.0, 0.5, 1.0, 2.0])),
            [0.0, 0.0, 1.0, 0.0, 0.0],
        ),
    ],
)
def test_slopes_at_ties(slope, want):
    np.testing.assert_allclose(slope(), want, rtol=1e-6)


@pytest.mark.parametrize("wrap", [lambda f: f, fdl.jit])
def test_lax_rounds_halves_away_from_zero(wrap):
    x = [0.5, 1.5, -0.5, -2.5, 0.49999997, 8388607.5, math.inf, math.nan, -0.2]
    np.testing.assert_array_equal(
        wrap(lax.round)(jnp.array(x)), [1.0, 2.0, -1.0, -3.0, 0.0, 8388608.0, math.inf, math.nan, -0.0]
    )
    even = wrap(lambda x: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN))
    np.testing.assert_array_equal(even(jnp.array(x[:4])), [0.0, 2.0, -0.0, -2.0])
    assert float(fdl.grad(lax.round)(0.5)) == 0.0


def test_a_condition_alone_gives_indices():
    (found,) = jnp.where(jnp.array([True, False, True]))
    assert found.tolist() == [0, 2] and found.dtype == jnp.int32
    rows, columns = jnp.where(jnp.array([[0.0, 3.0], [math.nan, 0.0]]))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])
