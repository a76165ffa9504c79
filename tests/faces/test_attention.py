"""Attention in blocks and loops against its definition, gradients included."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import nn
from fdl.core.errors import ShapeError
from fdl.nn import attention


def definition(q, k, v, bias, mask, is_causal, scale):
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) * scale
    scores = scores if bias is None else scores + bias
    scores = scores if mask is None else jnp.where(mask, scores, -math.inf)
    if is_causal:
        scores = jnp.where(jnp.arange(q.shape[1])[:, None] >= jnp.arange(k.shape[1]), scores, -math.inf)
    return jnp.einsum("bhqk,bkhd->bqhd", nn.softmax(scores), v)


@st.composite
def calls(draw):
    batch, queries, keys, heads, size, out = (
        draw(st.integers(*ends)) for ends in ((1, 2), (1, 40), (1, 40), (1, 3), (1, 5), (1, 5))
    )
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    q, k, v = (
        rng.normal(size=s)
        for s in ((batch, queries, heads, size), (batch, keys, heads, size), (batch, keys, heads, out))
    )

    def broadcast(one):
        shape = [1 if draw(st.booleans()) else d for d in (batch, heads, queries, keys)]
        return one(shape[draw(st.sampled_from([0, 0, 2])) :])

    bias = broadcast(lambda shape: rng.normal(size=shape)) if draw(st.booleans()) else None
    mask = broadcast(lambda shape: rng.random(shape) < 0.8) if draw(st.booleans()) else None
    if mask is not None:
        mask[..., 0] = True  # each query sees a key
    return q, k, v, bias, mask, draw(st.booleans()), draw(st.sampled_from([0.3, 1.0]))


@settings(max_examples=40)
@given(calls(), st.sampled_from([(1 << 18, 1 << 28), (1, 1 << 28), (1, 0)]), st.sampled_from([1, 4]))
def test_blocks_and_loops_agree_with_the_definition(call, limits, rows):
    q, k, v, bias, mask, is_causal, scale = call
    q, k, v, bias, mask = (None if x is None else jnp.asarray(x) for x in (q, k, v, bias, mask))
    weight = jnp.asarray(np.random.default_rng(7).normal(size=(*q.shape[:3], v.shape[3])))
    given = (q, k, v) if bias is None else (q, k, v, bias)

    def loss(f):
        return fdl.value_and_grad(
            lambda *xs: (f(*xs[:3], xs[3] if bias is not None else None) * weight).sum(),
            argnums=tuple(range(len(given))),
        )

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("_BLOCK", limits[0]),
            ("_FEWEST", 1 * rows),
            ("_LARGE", limits[1]),
            ("_ROWS", rows),
            ("_MIN_CAUSAL", 8),
        ):
            patch.setattr(attention, name, value)
        attention._attention.cache.clear()
        got = loss(lambda q, k, v, b: nn.dot_product_attention(q, k, v, b, mask, scale=scale, is_causal=is_causal))(
            *given
        )
        attention._attention.cache.clear()
    want = loss(lambda q, k, v, b: definition(q, k, v, b, mask, is_causal, scale))(*given)
    for a, b in zip(fdl.tree_util.tree_leaves(got), fdl.tree_util.tree_leaves(want), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_causal", [True, False])
def test_large_attention_keeps_no_scores(is_causal, monkeypatch):
    monkeypatch.setattr(attention, "_LARGE", 1 << 20)
    q = jnp.ones((1, 2048, 2, 8))
    shown = fdl.explain(lambda q: fdl.grad(lambda q: nn.dot_product_attention(q, q, q, is_causal=is_causal).sum())(q))(
        q
    )
    scores = 2 * 2048 * 2048 * 4
    assert shown.arena_bytes < scores // 6  # a few blocks


@pytest.mark.parametrize("name", ["bias", "mask"])
def test_what_does_not_broadcast_is_named(name):
    q = jnp.ones((2, 5, 3, 4))
    with pytest.raises(ShapeError, match=name):
        nn.dot_product_attention(q, q, q, **{name: jnp.ones((2, 5)) > 0 if name == "mask" else jnp.ones((2, 5))})
