"""Sums over steps that the transpose of a loop takes after it, and loops of users, whose sums stay where they are."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn
from fdl.core.config import config
from fdl.passes.inline import inline
from fdl.transforms.lazy import set_eager
from tests.conftest import needs_compiler

R = np.random.default_rng(0)


def drawn(*shape):
    return jnp.asarray(R.normal(size=shape).astype(np.float32) * 0.5)


XS, H, C = drawn(5, 8, 16), drawn(8, 16), drawn(8, 16)
W, U, B = drawn(16, 64), drawn(16, 64), drawn(64)


def lstm(carry, x, w, u, b):
    h, c = carry
    i, f, g, o = jnp.split(x @ w + h @ u + b, 4, axis=1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    h = nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def twice(carry, x, w, u, b):
    """A cell that uses its weights more than once, one of them transposed, a bias in two shapes."""
    h, c = carry
    z = jnp.tanh((x @ w + h @ w) @ u.T + h) + b[:16]
    return (z + c, jnp.tanh(z @ u[:, ::2] @ w[:, :32].T + b.reshape(4, 16).sum(0))), z


def looped(cell):
    def loss(w, u, b, xs, h, c):
        (h, c), hs = lax.scan(lambda carry, x: cell(carry, x, w, u, b), (h, c), xs)
        return jnp.sum(h * c) + jnp.sum(jnp.sin(hs))

    return loss


def unrolled(cell):
    def loss(w, u, b, xs, h, c):
        carry, hs = (h, c), []
        for x in xs:
            carry, y = cell(carry, x, w, u, b)
            hs.append(y)
        return jnp.sum(carry[0] * carry[1]) + jnp.sum(jnp.sin(jnp.stack(hs)))

    return loss


ARGS = (W, U, B, XS, H, C)
PRECISE = tuple(x.astype("float64") for x in ARGS)
ALL = (0, 1, 2, 3)


def loops(f, *args):
    """Names of the operations in the bodies of all scans."""
    graph = inline(fdl.make_graph(f)(*args))
    return [
        [q.primitive.name for q in e.params["graph"].equations] for e in graph.equations if e.primitive.name == "scan"
    ]


def test_sums_over_steps_are_taken_after_the_backward_loop():
    _, backward = loops(fdl.grad(looped(lstm), ALL), *ARGS)
    assert backward.count("dot_general") == 2  # of the state and of the input, neither of weights
    assert "reduce_sum" not in backward


@pytest.mark.parametrize(("size", "products"), [(16, 3), (64, 1)])
def test_large_weights_that_are_used_twice_are_summed_after_the_loop(size, products):
    """A sum of 256 elements does not pay for stacks."""
    h, xs, w = drawn(2, size), drawn(5, 2, size), drawn(size, size)
    _, backward = loops(fdl.grad(lambda w: lax.scan(lambda h, x: (jnp.tanh(h @ w + x @ w), None), h, xs)[0].sum()), w)
    assert backward.count("dot_general") == products


def agree(got, want):
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cell", [lstm, twice])
@pytest.mark.parametrize("wrap", [lambda f: f, fdl.jit])
def test_gradients_agree_with_those_of_an_unrolled_loop(cell, wrap):
    agree(wrap(fdl.grad(looped(cell), ALL))(*PRECISE), fdl.grad(unrolled(cell), ALL)(*PRECISE))


@pytest.mark.parametrize("length", [1, 2])
def test_short_loops_have_gradients(length):
    args = (*PRECISE[:3], PRECISE[3][:length], *PRECISE[4:])
    agree(fdl.grad(looped(lstm), ALL)(*args), fdl.grad(unrolled(lstm), ALL)(*args))


def test_without_a_step_gradients_are_zero():
    for g in fdl.grad(looped(lstm), ALL)(W, U, B, XS[:0], H, C):
        assert not np.asarray(g).any()


def test_second_derivatives_agree_with_those_of_an_unrolled_loop():
    direction = drawn(16, 64).astype("float64")

    def along(loss):
        return fdl.grad(lambda w: jnp.sum(fdl.grad(loss)(w, *PRECISE[1:]) * direction))(PRECISE[0])

    agree([along(looped(lstm))], [along(unrolled(lstm))])


def test_gradients_of_lanes_agree_with_those_of_each():
    ws = jnp.stack([PRECISE[0], PRECISE[0] * 0.5])
    lanes = fdl.vmap(lambda w: fdl.grad(looped(lstm))(w, *PRECISE[1:]))(ws)
    agree(lanes, [fdl.grad(unrolled(lstm))(w, *PRECISE[1:]) for w in ws])


def bits(values):
    return [np.asarray(v).tobytes() for v in values]


HS, GS = drawn(20, 6, 64), drawn(20, 6, 64)


def summed(also):
    """The sum of products over steps, by a loop that may return something about it at each step."""

    def f(hs, gs):
        def step(total, x):
            h, g = x
            total = total + h.T @ g
            return total, total[0, 0] if also else None

        return lax.scan(step, jnp.zeros((64, 64)), (hs, gs))[0]

    return f


@needs_compiler
def test_what_a_loop_returns_of_a_sum_changes_no_bit_of_it():
    config.tier = "compiled"
    one, other = fdl.jit(summed(False))(HS, GS), fdl.jit(summed(True))(HS, GS)
    assert bits([one]) == bits([other])
    total = jnp.zeros((64, 64))
    for h, g in zip(HS, GS, strict=True):
        total = fdl.jit(lambda t, h, g: t + h.T @ g)(total, h, g)
    assert bits([one]) == bits([total])  # step by step


@needs_compiler
@pytest.mark.parametrize("cell", [lstm, twice])
def test_gradients_have_the_same_bits_recorded_or_not(cell):
    config.tier = "compiled"
    whole = bits(fdl.jit(fdl.grad(looped(cell), ALL))(*ARGS))
    assert bits(fdl.grad(looped(cell), ALL)(*ARGS)) == whole
    set_eager(True)
    assert bits(fdl.grad(looped(cell), ALL)(*ARGS)) == whole
    assert bits(fdl.jit(lambda *args: (*fdl.grad(looped(cell), ALL)(*args), args[0] * 2))(*ARGS))[:4] == whole
