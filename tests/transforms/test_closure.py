"""Transforms nest to any depth, in any order: each word of length three over the transforms gives what it gives without
`jit`, and what a loop gives.
"""

import itertools

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn
from tests.conftest import needs_compiler


def by_jit(f):
    return fdl.jit(f)


def by_vmap(f):
    return lambda x: fdl.vmap(f)(jnp.stack([x, x * 0.5 + 0.1])).sum(0)


def by_grad(f):
    return fdl.grad(lambda x: jnp.sum(jnp.sin(f(x))))


def by_jvp(f):
    return lambda x: fdl.jvp(f, (x,), (jnp.cos(x),))[1]


def by_linearize(f):
    return lambda x: fdl.linearize(f, x)[1](x * 0.3)


def by_checkpoint(f):
    return fdl.checkpoint(f)


TRANSFORMS = [by_jit, by_vmap, by_grad, by_jvp, by_linearize, by_checkpoint]


def plain(x):
    return jnp.tanh(x) * x[::-1] + jnp.sum(x * x)


def looped(x):
    def step(c, t):
        return jnp.sin(c * 0.5 + t), c * t

    c, ys = lax.scan(step, x, jnp.stack([x, x + 1, x * 2]))
    return c + ys.sum(0)


def branched(x):
    return lax.cond(jnp.sum(x) > 0, lambda v: jnp.exp(v * 0.3), lambda v: v * v, x) + lax.fori_loop(
        0, 3, lambda i, v: v * x * 0.5 + i, x
    )


def library(x):
    w = jnp.outer(x, x)
    return nn.softmax(w @ x) + nn.layer_norm(nn.gelu(x) + x) + nn.logsumexp(w, axis=1)


@fdl.custom_jvp
def cubed(x):
    return x**3


@cubed.defjvp
def _cubed_jvp(primals, tangents):
    return cubed(primals[0]), 3 * primals[0] ** 2 * tangents[0]


def custom(x):
    return cubed(jnp.sin(x)) + x


FUNCTIONS = [plain, looped, branched, library, custom]
X = np.array([0.3, -0.7, 1.1], np.float32)


def without_jit(word):
    return [t for t in word if t is not by_jit]


@needs_compiler
@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_words_of_three(f):
    """`jit` in any place changes nothing; the outermost `jit` compiles all words of a function in one unit."""
    words = [
        w
        for n in (1, 2, 3)
        for w in itertools.product(TRANSFORMS, repeat=n)
        if w.count(by_grad) + w.count(by_jvp) + w.count(by_linearize) <= 2
    ]
    references, functions = {}, []
    for word in words:
        g = f
        for t in without_jit(word):
            g = t(g)
        key = tuple(without_jit(word))
        if key not in references:
            references[key] = np.asarray(g(jnp.array(X)))
        h = f
        for t in word:
            h = t(h)
        functions.append((key, h))
    for start in range(0, len(functions), 20):
        part = functions[start : start + 20]
        outs = fdl.jit(lambda x, part=part: [h(x) for _, h in part])(jnp.array(X))
        for (key, _), out in zip(part, outs, strict=True):
            scale = max(1.0, np.abs(references[key]).max())
            np.testing.assert_allclose(
                np.asarray(out) / scale,
                references[key] / scale,
                rtol=2e-4,
                atol=2e-5,
                err_msg=str([t.__name__ for t in key]),
            )


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_gradient_agrees_with_central_differences(f):
    x = jnp.array(X.astype(np.float64))
    loss = lambda v: jnp.sum(jnp.sin(f(v)))
    g, h = np.asarray(fdl.grad(loss)(x)), 1e-6
    for i in range(3):
        e = np.eye(3)[i] * h
        assert g[i] == pytest.approx((float(loss(x + e)) - float(loss(x - e))) / (2 * h), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_hessians_agree(f):
    x = jnp.array(X.astype(np.float64))
    loss = lambda v: jnp.sum(f(v) ** 2)
    a = fdl.hessian(loss)(x)
    b = fdl.jacrev(fdl.jacrev(loss))(x)
    c = fdl.jacfwd(fdl.jacfwd(loss))(x)
    np.testing.assert_allclose(a, np.asarray(b), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(a, np.asarray(c), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(a, np.asarray(a).T, rtol=1e-8, atol=1e-9)
