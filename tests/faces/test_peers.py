"""The same source on fdl and on JAX, where that is installed: values, gradients, batches and shapes agree."""

import numpy as np
import pytest

import fdl
import fdl.numpy
from fdl import lax, nn

jax = pytest.importorskip("jax", reason="JAX is not installed")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

X = np.random.default_rng(0).uniform(0.1, 0.9, (4, 3)).astype(np.float32)


class Fdl:
    jax, jnp, lax, nn = fdl, fdl.numpy, lax, nn


class Jax:
    jax = jax
    jnp, lax, nn = jax.numpy, jax.lax, jax.nn


FUNCTIONS = {
    "polynomial": lambda m, x: m.jnp.sum(x**3 - 2 * x**2 + x / 3),
    "trigonometric": lambda m, x: m.jnp.sum(m.jnp.sin(x) * m.jnp.arctan2(x, 1 + x) + m.jnp.tan(x / 2)),
    "reductions": lambda m, x: (
        m.jnp.var(x, axis=0).sum()
        + m.jnp.max(x, axis=1).sum()
        + m.jnp.prod(x, axis=1).sum()
        + m.jnp.cumsum(x, axis=0).std()
    ),
    "products": lambda m, x: m.jnp.sum(m.jnp.tanh(x @ x.T) @ m.jnp.einsum("ij,kj->ik", x, x * 2)),
    "indexing": lambda m, x: (
        m.jnp.sum(x[::-1, 1:] * x[:, None, :2][:, 0]) + x[m.jnp.array([0, 0, 3]), m.jnp.array([1, 2, 0])].sum()
    ),
    "writes": lambda m, x: m.jnp.sum(x.at[1].set(2.0).at[:, 0].add(x[:, 1]).at[m.jnp.array([0, 2])].multiply(3.0) ** 2),
    "networks": lambda m, x: (
        m.nn.softmax(m.nn.gelu(x)).var()
        + m.nn.logsumexp(m.nn.silu(x), axis=1).sum()
        + m.nn.softplus(x).sum()
        + m.nn.elu(-x).sum()
    ),
    "selection": lambda m, x: (
        m.jnp.where(x > 0.5, m.jnp.log(x), m.jnp.sqrt(x)).sum()
        + m.jnp.clip(x, 0.2, 0.7).sum()
        + m.jnp.minimum(x, 0.4).sum()
    ),
    "scan": lambda m, x: m.lax.scan(lambda c, r: (m.jnp.tanh(c * r + 0.1), c.sum()), x[0], x)[1].sum(),
    "cond": lambda m, x: (
        m.lax.cond(x.sum() > 1, lambda v: m.jnp.exp(v).sum(), lambda v: v.sum(), x)
        + m.lax.fori_loop(0, 3, lambda i, v: v * 0.5 + i, x).sum()
    ),
    "shaping": lambda m, x: (
        (m.jnp.pad(x, 1).reshape(5, 6).T[::2] ** 2).sum()
        + m.jnp.concatenate([x, x * 2], 1).mean()
        + m.jnp.roll(x, 1, 0)[0].sum()
    ),
    "checkpoint": lambda m, x: m.jax.checkpoint(lambda v: m.jnp.sin(m.jnp.sin(v)))(x).sum(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_agrees_with_jax(name):
    f = FUNCTIONS[name]

    def everything(m):
        g = lambda x: f(m, x)
        x = m.jnp.asarray(X)
        value, gradient = m.jax.value_and_grad(g)(x)
        batch = m.jax.vmap(m.jax.grad(g))(m.jnp.stack([x, x * 0.9]))
        hvp = m.jax.jvp(m.jax.grad(g), (x,), (m.jnp.ones_like(x),))[1]
        return [np.asarray(v) for v in (value, gradient, batch, hvp, m.jax.jit(m.jax.grad(g))(x))]

    for got, want in zip(everything(Fdl), everything(Jax), strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        scale = max(1.0, float(np.abs(want).max()))
        np.testing.assert_allclose(got / scale, want / scale, rtol=1e-4, atol=2e-5)
