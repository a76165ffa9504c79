"""What the schedule makes of rows, loops and convolutions: stages counted, results compared with the interpreter, bits
compared among threads and with each other.
"""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn
from fdl.backends.dispatch import executable
from fdl.backends.toolchain import host_target
from fdl.core.config import config
from fdl.core.graph import interpret
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.ir.nodes import Dot, Fused, Loop
from fdl.lowering.ir.rewrite import all_nodes
from fdl.lowering.pipeline import lower
from fdl.passes.crop import crop
from tests.conftest import needs_compiler

R = np.random.default_rng(0)
X = R.normal(size=(300, 70)).astype(np.float32)
W, B = (R.normal(size=70).astype(np.float32) for _ in range(2))
C = R.normal(size=(300, 70)).astype(np.float32)


def lowered(f, *args):
    graph, captured = fdl.make_graph(f)(*args).lift()
    return lower(graph, host_target()), graph, [np.asarray(a) for a in [*captured, *args]]


def nodes(f, *args):
    return list(all_nodes(lowered(f, *args)[0].program.nodes))


def check(f, *args, rtol=1e-4):
    """Loop interpreter and compiled program agree with the graph's reference; on 1, 2 and 7 threads the bits are the
    same.
    """
    low, graph, values = lowered(f, *args)
    want = interpret(graph, values)
    low.program.check()
    for got, w in zip(interpret_program(low.program, values), want, strict=True):
        np.testing.assert_allclose(got.reshape(w.shape), w, rtol=rtol, atol=rtol)
    config.tier = "compiled"
    program = executable(graph, "fusion")
    bits = []
    for count in (1, 2, 7):
        fdl.set_num_threads(count)
        outs = [np.asarray(o) for o in program([jnp.asarray(v) for v in values])]
        bits.append([o.tobytes() for o in outs])
    for got, w in zip(outs, want, strict=True):
        np.testing.assert_allclose(got, w, rtol=rtol, atol=rtol)
    assert bits[0] == bits[1] == bits[2]


ROWS = {
    "softmax": (lambda x: nn.softmax(x), (X,)),
    "log-softmax gradient": (fdl.grad(lambda x, c: (nn.log_softmax(x) * c).sum()), (X, C)),
    "layer norm": (nn.layer_norm, (X, W, B)),
    "layer norm gradient": (fdl.grad(lambda x, w, b, c: (nn.layer_norm(x, w, b) * c).sum(), (0, 1, 2)), (X, W, B, C)),
    "argmax of softmax": (lambda x: jnp.argmax(nn.softmax(x), axis=1), (X,)),
    "masked rows": (lambda x: nn.softmax(jnp.where(jnp.arange(70) <= jnp.arange(300)[:, None], x, -jnp.inf)), (X,)),
    "three axes": (lambda x: nn.softmax(x.reshape(4, 75, 70) + jnp.arange(75.0)[:, None] * jnp.arange(70.0)), (X,)),
    "columns and rows": (lambda x: (x - x.mean(0)) / (1 + x.std(1, keepdims=True)), (X,)),
    "long sums": (
        lambda x: (
            jnp.sum(x),
            jnp.sum(jnp.tile(x, (20, 3))),
            jnp.max(x, axis=0),
            jnp.mean(jnp.tile(x, (9, 1)), axis=0),
        ),
        (X,),
    ),
    "few elements": (lambda x: (x[:, :3].sum(1), x.reshape(-1, 2, 5).max(1), x[:4].sum(0)), (X,)),
    "shifted rows": (lambda x: nn.softmax(jnp.concatenate([x[1:], x[:1]])) * x, (X,)),
}


@needs_compiler
def test_what_other_stages_store_is_not_kept_as_a_row():
    """The first 4,096 elements of a row are folded by a stage of their own, the rest and the sum by fused rows."""
    check(lambda x: jnp.sum(x, 1), R.normal(size=(9, 4097)).astype(np.float32))


@needs_compiler
@pytest.mark.parametrize("name", ROWS)
def test_rows(name):
    f, args = ROWS[name]
    check(lambda *a: jnp.stack([jnp.sum(o) for o in f(*a)]) if isinstance(f(*a), list) else f(*a), *args)


def test_chains_over_rows_are_one_stage():
    for f, args in ((nn.softmax, (X,)), (nn.layer_norm, (X, W, B))):
        (found,) = lowered(f, *args)[0].program.nodes
        assert isinstance(found, Fused) and found.kernel
    found = lowered(ROWS["layer norm gradient"][0], X[:256], W, B, C[:256])[
        0
    ].program.nodes  # sums down columns of two chunks of rows, in the kernel, then of the two
    assert isinstance(found[0], Fused) and found[0].chunk == 128
    assert sum(isinstance(n, Fused) for n in found) == 1 and len(found) <= 3


def test_no_row_reads_another():
    """What a row's neighbour computes is not there yet."""
    f = lambda x: jnp.concatenate([jnp.exp(x).sum(1)[1:], x[:1, 0]])[:, None] * x
    found = [type(n) for n in lowered(f, X)[0].program.nodes]
    assert found.count(Fused) <= 1 and len(found) >= 2


@needs_compiler
def test_a_fused_stage_has_the_bits_of_its_parts():
    fused = fdl.jit(lambda x: nn.softmax(x))(X)
    high = fdl.jit(lambda x: jnp.max(x, axis=1))(X)
    e = fdl.jit(lambda x, h: jnp.exp(x - h[:, None]))(X, high)
    total = fdl.jit(lambda e: jnp.sum(e, axis=1))(e)
    assert np.asarray(fused).tobytes() == np.asarray(fdl.jit(lambda e, t: e / t[:, None])(e, total)).tobytes()


@needs_compiler
@pytest.mark.parametrize("count", [3, 8, 9])
def test_the_order_of_a_fold_does_not_follow_from_its_operand(count):
    deep = lambda x: jnp.tanh(jnp.exp(jnp.tanh(x * 3) + jnp.log1p(jnp.exp(x)))) / (1 + jnp.exp(-x))
    x = X[:, :count]
    stored = fdl.jit(deep)(x)
    for axis, y, z in ((1, x, stored), (0, x.T.copy(), jnp.array(np.asarray(stored).T.copy()))):
        fused = fdl.jit(lambda x, axis=axis: deep(x).sum(axis))(y)
        assert np.asarray(fused).tobytes() == np.asarray(fdl.jit(lambda v, axis=axis: v.sum(axis))(z)).tobytes()


# Loops


def recurrent(w, xs):
    def cell(h, x):
        h = jnp.tanh(h @ w + x)
        return h, h.sum()

    return lax.scan(cell, jnp.zeros((6, 40)), xs)


W_H, XS = R.normal(size=(40, 40)).astype(np.float32) * 0.1, R.normal(size=(9, 6, 40)).astype(np.float32)


def test_products_that_are_only_added_up_leave_the_loop():
    gradient = fdl.grad(lambda w, xs: recurrent(w, xs)[1].sum())
    program = lowered(gradient, W_H, XS)[0].program
    loops = [n for n in program.nodes if isinstance(n, Loop)]
    assert [sum(isinstance(m, Dot) for m in loop.body) for loop in loops] == [1, 1]
    (outside,) = [n for n in program.nodes if isinstance(n, Dot)]
    assert outside.k == 9 * 6


CARRIES = {
    "recurrent": (lambda w, xs: recurrent(w, xs)[0], (W_H, XS)),
    "recurrent gradient": (fdl.grad(lambda w, xs: (recurrent(w, xs)[1] ** 2).sum(), (0, 1)), (W_H, XS)),
    "shifted": (lambda x: lax.fori_loop(0, 7, lambda i, c: (c[1], c[0] * 0.5 + c[1]), (x, x + 1)), (X,)),
    "rolled": (lambda x: lax.fori_loop(0, 5, lambda i, v: jnp.roll(v, 1, 0) + v, x), (X,)),
    "written": (lambda x: lax.fori_loop(0, 70, lambda i, c: c.at[i].set(c[i - 1] * 0.5 + i), x), (X,)),
    "scalars": (
        lambda x: lax.fori_loop(
            0, 50, lambda i, c: (c[0] + c[1] * 0.1, c[1] - c[0] * 0.1, c[2] + x[i, 0]), (1.0, 0.0, 0.0)
        ),
        (X,),
    ),
    "matrices": (lambda a, b: lax.scan(lambda m, s: (a @ m + s, None), b[0], b)[0], (W_H[:3, :3], XS[:, :3, :3])),
    "nested": (
        lambda x: lax.fori_loop(0, 4, lambda i, c: lax.fori_loop(0, 3, lambda j, v: v * 0.5 + j + c[0, 0], c), x),
        (X,),
    ),
    "swapped": (lambda x: lax.fori_loop(0, 5, lambda i, c: (c[1], c[0]), (x, x * 2)), (X,)),
}


@needs_compiler
@pytest.mark.parametrize("name", CARRIES)
def test_carries(name):
    f, args = CARRIES[name]
    check(f, *args)


# Convolution

IMAGES, KERNELS = R.normal(size=(3, 10, 9, 16)).astype(np.float32), R.normal(size=(3, 3, 16, 24)).astype(np.float32)


def convolved(x, w, stride=1):
    return lax.conv_general_dilated(x, w, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@needs_compiler
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [(16, 24), (32, 32), (16, 64), (3, 5)])
def test_convolution_and_its_gradients(stride, channels):
    """Channels for which tiles read images in place, and for which they pack them."""
    x, w = (
        R.normal(size=(3, 10, 23, channels[0])).astype(np.float32),
        R.normal(size=(3, 3, *channels)).astype(np.float32) * 0.2,
    )
    check(lambda x, w: nn.relu(convolved(x, w, stride)), x, w, rtol=1e-3)
    check(fdl.grad(lambda x, w: (jnp.tanh(convolved(x * 2, w, stride)) ** 2).sum(), (0, 1)), x, w, rtol=2e-3)


@needs_compiler
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("outs", [1, 2, 3])
@pytest.mark.parametrize("last", [False, True])
def test_convolution_of_each_channel_by_itself(stride, outs, last):
    """One or two outputs a channel are sums written out or folds, where channels or rows of images lie side by side; no
    product has one column.
    """
    x = R.normal(size=(4, 12, 21, 6) if last else (4, 6, 12, 21)).astype(np.float32)
    w = R.normal(size=(3, 3, 1, 6 * outs) if last else (6 * outs, 1, 3, 3)).astype(np.float32)
    layout = ("NHWC", "HWIO", "NHWC") if last else ("NCHW", "OIHW", "NCHW")

    def f(x, w):
        return jnp.tanh(
            lax.conv_general_dilated(
                x, w, (stride, stride), [(1, 1), (1, 1)], dimension_numbers=layout, feature_group_count=6
            )
        )

    gradient = fdl.grad(lambda x, w: (f(x, w) ** 2).sum(), (0, 1))
    for g in (f, gradient):
        check(g, x, w, rtol=2e-3)
        assert outs > 2 or not any(isinstance(n, Dot) for n in nodes(g, x, w))


def test_convolution_copies_nothing_but_edges():
    program = lowered(
        lambda x, w: lax.conv_general_dilated(x, w, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")),
        IMAGES,
        KERNELS,
    )[0].program
    assert [type(n) for n in program.nodes] == [Dot]


def test_edges_that_are_cut_off_are_not_computed():
    gradient = fdl.grad(lambda x, w: (convolved(jnp.tanh(x), w) ** 2).sum())
    low, graph, values = lowered(gradient, IMAGES, KERNELS)
    assert max(n.m for n in low.program.nodes if isinstance(n, Dot)) == 3 * 10 * 9
    for got, want in zip(interpret(crop(graph), values), interpret(graph, values), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
