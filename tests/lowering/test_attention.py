"""Attention has the bits that follow from its shape: alone, in a larger program, step by step, on any threads."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import nn
from fdl.core.config import config
from fdl.transforms.lazy import set_eager
from tests.conftest import needs_compiler

pytestmark = needs_compiler
R = np.random.default_rng(0)


def bits(values):
    return [np.asarray(v).tobytes() for v in values]


def attention(is_causal):
    def f(q, k, v):
        return nn.dot_product_attention(q, k, v, is_causal=is_causal)

    return f


def gradients(f):
    return fdl.grad(lambda q, k, v: jnp.sum(jnp.sin(f(q, k, v))), (0, 1, 2))


def within(f):
    """The same beside and behind other operations, which read what it reads and makes."""

    def g(q, k, v):
        out = f(q, k, v)
        scores = nn.softmax(jnp.einsum("blhd,bmhd->bhlm", q, k) * q.shape[-1] ** -0.5)
        return out, jnp.tanh(out) + q, scores.sum(), out.max(axis=1)

    return g


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("shape", [(2, 33, 2, 16), (1, 200, 3, 24), (1, 1100, 1, 32)])
def test_bits_follow_from_the_shape(shape, is_causal):
    config.tier = "compiled"
    q, k, v = (jnp.asarray(R.normal(size=shape).astype(np.float32)) for _ in range(3))
    f = attention(is_causal)
    want, want_gradients = bits([fdl.jit(f)(q, k, v)]), bits(fdl.jit(gradients(f))(q, k, v))
    assert bits([f(q, k, v)]) == want
    assert bits(fdl.jit(within(f))(q, k, v)[:1]) == want
    assert bits(gradients(f)(q, k, v)) == want_gradients
    for threads in (1, 2, 7):
        config.set_threads(threads)
        assert bits([fdl.jit(f)(q, k, v)]) == want
        assert bits(fdl.jit(gradients(f))(q, k, v)) == want_gradients
    set_eager(True)
    assert bits([f(q, k, v)]) == want
    assert bits(gradients(f)(q, k, v)) == want_gradients


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_batch_has_the_bits_of_each_of_its_parts(is_causal):
    config.tier = "compiled"
    q, k, v = (jnp.asarray(R.normal(size=(3, 150, 2, 16)).astype(np.float32)) for _ in range(3))
    f = fdl.jit(attention(is_causal))
    whole = f(q, k, v)
    assert bits(whole) == bits([f(q[i : i + 1], k[i : i + 1], v[i : i + 1])[0] for i in range(3)])
