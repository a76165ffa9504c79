"""Where formulas overflow or have no slope: values and derivatives of the functions themselves, worked out by hand."""

import math

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
import fdl.special as special
from fdl import nn

inf, nan = math.inf, math.nan

CASES = {  # function, points, values, slopes
    "softplus": (nn.softplus, [0.0, 200.0, -200.0], [math.log(2), 200.0, 0.0], [0.5, 1.0, 0.0]),
    "log_sigmoid": (nn.log_sigmoid, [0.0, 200.0, -200.0], [-math.log(2), 0.0, -200.0], [0.5, 0.0, 1.0]),
    "relu6": (nn.relu6, [0.0, 3.0, 6.0], [0.0, 3.0, 6.0], [0.0, 1.0, 0.0]),
    "hard_tanh": (nn.hard_tanh, [-1.0, 0.0, 2.0], [-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]),
    "leaky_relu": (nn.leaky_relu, [0.0, -1.0], [0.0, -0.01], [1.0, 0.01]),
    "sinh": (jnp.sinh, [0.0, 1e-8, 200.0, -200.0], [0.0, 1e-8, inf, -inf], [1.0, 1.0, inf, inf]),
    "cosh": (jnp.cosh, [0.0, 1e-8, 200.0], [1.0, 1.0, inf], [0.0, 1e-8, inf]),
    "arcsinh": (jnp.arcsinh, [0.0, 1e30, -1e30, inf], [0.0, 69.7707, -69.7707, inf], [1.0, 0.0, 0.0, 0.0]),
    "arccosh": (jnp.arccosh, [1.0, 1e10, inf, -3.0], [0.0, 23.718998, inf, nan], [inf, 1e-10, 0.0, nan]),
    "arcsin": (jnp.arcsin, [0.0, 1.0, -1.0], [0.0, math.pi / 2, -math.pi / 2], [1.0, inf, inf]),
    "arccos": (jnp.arccos, [0.0, 1.0, -1.0], [math.pi / 2, 0.0, math.pi], [-1.0, -inf, -inf]),
    "cbrt": (jnp.cbrt, [0.0, 8.0, -8.0], [0.0, 2.0, -2.0], [inf, 1 / 12, 1 / 12]),
    "hypot": (lambda x: jnp.hypot(x, 0.0), [0.0, 1e30, nan], [0.0, 1e30, nan], [0.0, 1.0, nan]),
    "hypot of infinities": (lambda x: jnp.hypot(x, 0.0), [inf, -inf], [inf, inf], None),
    "arctan2": (lambda x: jnp.arctan2(x, 0.0), [0.0, 1.0], [0.0, math.pi / 2], [0.0, 0.0]),
    "nan_to_num": (lambda x: jnp.nan_to_num(x, posinf=7.0), [nan, inf, 2.0], [0.0, 7.0, 2.0], [0.0, 0.0, 1.0]),
    "xlogy": (lambda x: special.xlogy(x, jnp.asarray([0.0, 2.0])), [0.0, 0.0], [0.0, 0.0], [0.0, math.log(2)]),
    "entr": (special.entr, [0.0, 1.0, -1.0], [0.0, 0.0, -inf], [inf, -1.0, nan]),
    "ndtri": (special.ndtri, [0.5, 1e-8, 0.0, 1.0], [0.0, -5.612001, -inf, inf], [2.5066283, 1.72999e7, inf, inf]),
    "digamma": (special.digamma, [-1.0, -30.0, inf], [nan, nan, inf], None),
    "floor_divide": (lambda x: jnp.floor_divide(x, 0.1), [1.0, -0.3, 0.35], [9.0, -4.0, 3.0], None),
    "det": (lambda x: jnp.linalg.det(x.reshape(2, 2)) + x[:0].sum(), [0.0, 0.0, 0.0, 0.0], 0.0, None),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_values_and_slopes(name, compiled):
    f, points, values, slopes = CASES[name]
    run = fdl.jit if compiled else lambda g: g
    x = jnp.asarray(np.array(points, np.float32))
    np.testing.assert_allclose(np.asarray(run(f)(x)), values, rtol=1e-5, atol=1e-12)
    if slopes is not None:
        np.testing.assert_allclose(np.asarray(run(fdl.grad(lambda x: jnp.sum(f(x))))(x)), slopes, rtol=1e-4, atol=1e-12)


def test_attention_gives_zeros_where_a_query_sees_nothing():
    q = jnp.asarray(np.random.default_rng(0).normal(size=(1, 3, 2, 4)).astype("f"))
    mask = jnp.asarray(np.array([[False] * 3, [True] * 3, [True, False, False]]))[None, None]
    for bias, seen in ((None, mask), (jnp.where(mask, 0.0, -inf), None)):

        def loss(q, bias=bias, seen=seen):
            return nn.dot_product_attention(q, q, q, bias, seen)

        out, slope = loss(q), fdl.grad(lambda q: jnp.sum(loss(q)))(q)
        assert not np.asarray(out)[:, 0].any()
        assert np.isfinite(np.asarray(slope)).all()
        np.testing.assert_allclose(np.asarray(out)[:, 2], np.asarray(q)[:, 0], rtol=1e-6)


def test_the_slope_of_a_remainder_counts_whole_divisors():
    """0.5 / 0.1 rounds up to 5 in float32, and 0.1 goes into 0.5 four times."""
    for f in (jnp.remainder, jnp.fmod):
        assert float(fdl.grad(f, 1)(jnp.float32(0.5), jnp.float32(0.1))) == -4.0


def test_complex_products_over_nothing_are_zero():
    a, b = jnp.zeros((3, 0), "complex64"), jnp.zeros((0, 2), "complex64")
    assert (np.asarray(fdl.jit(jnp.matmul)(a, b)) == np.zeros((3, 2), "complex64")).all()
