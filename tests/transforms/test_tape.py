"""Reverse mode outside of all transforms goes by the tape: it agrees with the linear graph that `jit` derives, bit for
bit where both are compiled.
"""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.core.errors import LeakedTracerError


@fdl.custom_vjp
def clipped(x):
    return jnp.minimum(x, 1.0)


clipped.defvjp(lambda x: (clipped(x), x), lambda x, ct: (ct * (x < 2.0),))


@fdl.custom_jvp
def doubled(x):
    return 2 * x


doubled.defjvp(lambda primals, tangents: (2 * primals[0], 5 * tangents[0]))

FUNCTIONS = {
    "one operand twice": lambda x, y: (jnp.tanh(x) * x * y).sum(),
    "results that do not vary": lambda x, y: (jnp.argmax(x) * y + lax.stop_gradient(x) * x).sum(),
    "several results": lambda x, y: sum(jnp.split(x, 2)).sum() * y.sum(),
    "top k": lambda x, y: (lax.top_k(x, 2)[0] * y[:2]).sum(),
    "jitted": lambda x, y: fdl.jit(lambda a: jnp.sin(a) * y)(x).sum(),
    "scan that closes over an input": lambda x, y: lax.scan(lambda c, v: (c * v + y.sum(), c), x.sum(), x)[0],
    "cond": lambda x, y: lax.cond(x.sum() > 0, lambda a: (a * y).sum(), lambda a: a.sum(), x),
    "checkpoint": lambda x, y: fdl.checkpoint(lambda a: jnp.exp(a) * y)(x).sum(),
    "custom_vjp": lambda x, y: (clipped(x) * y).sum(),
    "custom_jvp": lambda x, y: (doubled(x) * y).sum(),
    "gradient inside": lambda x, y: (fdl.grad(lambda a: (jnp.sin(a) * y).sum())(x) * x).sum(),
    "vmap inside": lambda x, y: fdl.vmap(lambda a, b: a * b * a)(x, y).sum(),
    "Python branch": lambda x, y: (x * y).sum() if x.sum() > 0 else x.sum(),
    "constant": lambda x, y: jnp.ones(()),
    "an input itself": lambda x, y: x.sum() + x[0] * 0 + y[0],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_agrees_with_the_linear_graph(name):
    f = FUNCTIONS[name]
    x, y = jnp.asarray(np.linspace(-1, 3, 6, dtype="float32")), jnp.asarray(np.linspace(1, 2, 6, dtype="float32"))
    pulled = fdl.vjp(f, x, y)
    want_value, linear = fdl.linearize(f, x, y)
    value, (gx, gy) = fdl.value_and_grad(f, argnums=(0, 1))(x, y)
    transposed = fdl.linear_transpose(linear, x, y)(jnp.ones(()))
    for _ in range(2):  # a pull can be called again
        for got, want in zip((*pulled[1](jnp.ones(())), value), (*transposed, want_value), strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(gx, pulled[1](jnp.ones(()))[0])
    np.testing.assert_array_equal(gy, pulled[1](jnp.ones(()))[1])


def test_a_value_of_the_tape_that_leaves_is_named():
    kept = []
    fdl.grad(lambda x: kept.append(x * 2) or x.sum())(jnp.ones(3))
    with pytest.raises(LeakedTracerError, match="left grad"):
        kept[0] + 1


def test_a_pull_is_mapped_and_staged():
    x = jnp.arange(3.0)
    _, pull = fdl.vjp(lambda a: a * a, x)
    np.testing.assert_allclose(fdl.vmap(pull)(jnp.eye(3))[0], np.diag([0.0, 2.0, 4.0]))
    np.testing.assert_allclose(fdl.jit(pull)(jnp.ones(3))[0], [0.0, 2.0, 4.0])


def test_what_an_earlier_call_recorded_serves_other_values():
    gradient = fdl.grad(lambda x: (jnp.tanh(x) * x).sum())
    for value in np.linspace(-2, 2, 40, dtype="float32"):
        x = np.full(5, value)
        np.testing.assert_allclose(
            gradient(jnp.asarray(x)), np.tanh(x) + x * (1 - np.tanh(x) ** 2), rtol=2e-5, atol=1e-6
        )
