"""Convolution and windows against their definitions, element by element."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax, nn
from fdl.core.errors import FdlError
from fdl.testing.tolerances import assert_close

R = np.random.default_rng(0)


def convolve(x, w, strides, padding, spread, dilation, groups):
    """The definition: (batch, *space, in), (*window, in / groups, out)."""
    n = x.ndim - 2
    wide = np.zeros((x.shape[0], *((d - 1) * s + 1 for d, s in zip(x.shape[1:-1], spread, strict=True)), x.shape[-1]))
    wide[(slice(None), *(slice(None, None, s) for s in spread))] = x
    wide = np.pad(wide, [(0, 0), *((max(a, 0), max(b, 0)) for a, b in padding), (0, 0)])
    wide = wide[(slice(None), *(slice(max(-a, 0), wide.shape[i + 1] - max(-b, 0)) for i, (a, b) in enumerate(padding)))]
    window, outer, inner = w.shape[:n], w.shape[-1], w.shape[-2]
    places = [
        max((d - (k - 1) * a - 1) // s + 1, 0)
        for d, k, s, a in zip(wide.shape[1:-1], window, strides, dilation, strict=True)
    ]
    out = np.zeros((x.shape[0], *places, outer))
    for place in np.ndindex(*places):
        for at in np.ndindex(*window):
            pixel = wide[
                (slice(None), *(p * s + i * a for p, s, i, a in zip(place, strides, at, dilation, strict=True)))
            ]
            for g in range(groups):
                o = slice(g * outer // groups, (g + 1) * outer // groups)
                out[(slice(None), *place, o)] += pixel[:, g * inner : (g + 1) * inner] @ w[at][:, o]
    return out


@given(st.data())
def test_convolution_is_its_definition(data):
    draw = lambda low, high: data.draw(st.integers(low, high))
    n, groups = draw(1, 2), draw(1, 2)
    space, window = [draw(1, 6) for _ in range(n)], [draw(1, 3) for _ in range(n)]
    strides, spread, dilation = ([draw(1, 2) for _ in range(n)] for _ in range(3))
    padding = [(draw(-1, 2), draw(0, 2)) for _ in range(n)]
    inner, outer = draw(1, 3), draw(1, 2) * groups
    x, w = R.normal(size=(draw(1, 2), *space, inner * groups)), R.normal(size=(*window, inner, outer))
    if any((d - 1) * s + 1 + a + b < 0 for d, s, (a, b) in zip(space, spread, padding, strict=True)):
        return
    letters = "HW"[:n]
    numbers = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
    f = lambda x, w: lax.conv_general_dilated(x, w, strides, padding, spread, dilation, numbers, groups)
    want = convolve(x, w, strides, padding, spread, dilation, groups)
    assert_close(f(x, w), want, 10)
    assert_close(fdl.jit(f)(x, w), want, 10)


@pytest.mark.parametrize("numbers", [("NCHW", "OIHW", "NCHW"), ("NHWC", "OIHW", "NCHW"), None])
def test_layouts(numbers):
    x, w = R.normal(size=(2, 7, 6, 4)), R.normal(size=(3, 2, 4, 5))
    want = convolve(x, w, (1, 2), [(1, 1), (0, 0)], (1, 1), (1, 1), 1).transpose(0, 3, 1, 2)
    images = x if numbers and numbers[0] == "NHWC" else x.transpose(0, 3, 1, 2)
    assert_close(
        lax.conv_general_dilated(images, w.transpose(3, 2, 0, 1), (1, 2), [(1, 1), (0, 0)], dimension_numbers=numbers),
        want,
        10,
    )


@pytest.mark.parametrize(
    "kind, window, strides", list(itertools.product(["add", "max", "min"], [(2, 2), (3, 2), (1, 3)], [(2, 2), (1, 2)]))
)
def test_windows_are_their_definition(kind, window, strides):
    x = R.integers(0, 4, (7, 8)).astype(np.float32)
    reduce, fold = {"add": (lax.add, np.sum), "max": (lax.max, np.max), "min": (lax.min, np.min)}[kind]
    start = {"add": 0.0, "max": -np.inf, "min": np.inf}[kind]
    places = [(d - k) // s + 1 for d, k, s in zip(x.shape, window, strides, strict=True)]
    want = np.array(
        [
            [
                fold(x[i * strides[0] : i * strides[0] + window[0], j * strides[1] : j * strides[1] + window[1]])
                for j in range(places[1])
            ]
            for i in range(places[0])
        ]
    )
    f = lambda x: lax.reduce_window(x, start, reduce, window, strides, "VALID")
    assert_close(f(x), want)
    assert_close(fdl.jit(f)(x), want)


def test_the_gradient_of_a_maximum_goes_to_the_first_largest():
    x = np.array([[1.0, 1.0, 0.0, 2.0], [1.0, 0.0, 2.0, 2.0]], np.float32)
    pooled = lambda x: lax.reduce_window(x, -np.inf, lax.max, (2, 2), (2, 2), "VALID").sum()
    assert fdl.grad(pooled)(x).tolist() == [[1, 0, 0, 1], [0, 0, 0, 0]]
    overlapping = lambda x: lax.reduce_window(x, -np.inf, lax.max, (2, 2), (1, 1), "VALID").sum()
    assert fdl.grad(overlapping)(x).tolist() == [[1, 0, 0, 1], [0, 0, 1, 0]]


def test_nan_in_a_window_is_its_maximum():
    x = np.array([1.0, np.nan, 2.0, 3.0], np.float32)
    assert np.isnan(np.asarray(lax.reduce_window(x, -np.inf, lax.max, (2,), (2,), "VALID"))).tolist() == [True, False]


@pytest.mark.parametrize(
    "call",
    [
        lambda: lax.conv_general_dilated(
            jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 2, 4)), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        lambda: lax.conv_general_dilated(
            jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 4)), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIX", "NHWC")
        ),
        lambda: lax.conv_general_dilated(
            jnp.ones((1, 4, 3)), jnp.ones((3, 3, 4)), (1,), "same-ish", dimension_numbers=("NHC", "HIO", "NHC")
        ),
        lambda: lax.reduce_window(jnp.ones(4), 0.0, lax.mul, (2,), (2,), "VALID"),
        lambda: lax.reduce_window(jnp.ones(4), 0.0, lax.add, (2, 2), (2, 2), "VALID"),
        lambda: nn.dot_product_attention(jnp.ones((1, 2, 3, 4)), jnp.ones((1, 2, 3, 5)), jnp.ones((1, 2, 3, 5))),
    ],
)
def test_bad_input_is_named(call):
    with pytest.raises((FdlError, ValueError)) as error:
        call()
    assert any(word in str(error.value) for word in ("conv", "padding", "reduce_window", "dot_product_attention"))


@pytest.mark.parametrize("length", [24, 256])
def test_attention_is_its_definition(length):
    q, k, v = (R.normal(size=(2, length, 3, 8)) for _ in range(3))
    for causal in (False, True):
        scores = np.einsum("bqhd,bkhd->bhqk", q, k) / 8**0.5
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf) if causal else scores
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        want = np.einsum("bhqk,bkhd->bqhd", weights / weights.sum(-1, keepdims=True), v)
        assert_close(nn.dot_product_attention(q, k, v, is_causal=causal), want, 100)
        assert_close(
            fdl.jit(lambda q, k, v, causal=causal: nn.dot_product_attention(q, k, v, is_causal=causal))(q, k, v),
            want,
            100,
        )
