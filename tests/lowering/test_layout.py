"""Where temporaries lie changes addresses, never bits: what follows a convolution keeps channels last, and folds give
the same sums along any layout.
"""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.lowering.build.layout import packed_steps, steps_through


@given(st.data())
def test_steps_through_another_shape_are_numpys(data):
    shape = data.draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), max_size=4))
    order = data.draw(st.permutations(range(len(shape))))
    array = (
        np.zeros([shape[a] for a in order], np.int8).transpose(np.argsort(order)) if shape else np.zeros((), np.int8)
    )
    wanted, rest = [], array.size
    while rest > 1:
        wanted.append(data.draw(st.sampled_from([d for d in range(1, rest + 1) if rest % d == 0])))
        rest //= wanted[-1]
    assert packed_steps(shape, order) == [s if d != 1 else 0 for s, d in zip(array.strides, shape, strict=True)]
    seen = array.view()
    try:
        seen.shape = tuple(wanted)
    except AttributeError:
        assert steps_through(shape, array.strides, wanted) is None
    else:
        assert steps_through(shape, array.strides, wanted) == [
            s if d != 1 else 0 for s, d in zip(seen.strides, wanted, strict=True)
        ]


@pytest.mark.parametrize("fold", [jnp.sum, jnp.max])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((3, 40, 70), (2,)), ((2, 33, 9, 11), (2, 3)), ((50, 700), (1,)), ((4, 8, 5000), (2,)), ((2, 31, 3, 300), (2, 3))],
)
def test_folds_of_rows_side_by_side_have_the_bits_of_rows_by_themselves(fold, dtype, shape, axes):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal(shape) * 10 ** rng.uniform(-3, 3, shape)).astype(dtype)
    x.flat[:: x.size // 7] = -0.0
    if fold is jnp.max:
        x.flat[5 :: x.size // 3] = np.nan
    channels = len(shape) - len(axes) - 1
    last = np.moveaxis(x, channels, -1).copy()  # neighbours are different rows
    alone = fdl.jit(lambda a: fold(a, axes))(jnp.asarray(x))
    across = fdl.jit(lambda a: fold(jnp.moveaxis(a, -1, channels), axes))(jnp.asarray(last))
    assert "fdl_across" in fdl.explain(lambda a: fold(jnp.moveaxis(a, -1, channels), axes))(jnp.asarray(last)).source
    np.testing.assert_array_equal(np.asarray(alone).view(np.uint8), np.asarray(across).view(np.uint8))


def test_what_follows_a_convolution_keeps_channels_last():
    def f(x, w, b):
        y = lax.conv_general_dilated(x, w, (1, 1), "SAME") + b[:, None, None]
        y = jnp.maximum(y, 0)
        return jnp.sum(lax.reduce_window(y, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID") ** 2)

    rng = np.random.default_rng(0)
    x, w, b = (jnp.asarray(rng.standard_normal(s).astype(np.float32)) for s in ((2, 3, 8, 8), (16, 3, 3, 3), (16,)))
    gradient = fdl.grad(f, argnums=(0, 1, 2))
    shown = fdl.explain(gradient)(x, w, b)
    loops = re.findall(r"map ([\dx]+):", shown.source)
    images = [loop.split("x") for loop in loops if math.prod(map(int, loop.split("x"))) >= 2 * 16 * 8 * 8]
    assert images and all(int(sizes[-1]) % 16 == 0 for sizes in images), loops
    wanted = gradient(x, w, b)
    for got, want in zip(fdl.jit(gradient)(x, w, b), wanted, strict=True):
        np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=2e-5, atol=2e-5)
