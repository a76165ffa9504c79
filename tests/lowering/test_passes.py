"""What passes make of graphs: pieces joined, stacks that leave their loops; results and bits compared."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax, nn, ops
from fdl.backends.toolchain import host_target
from fdl.core.graph import interpret
from fdl.lowering.ir.nodes import Dot, Loop, Reduce
from fdl.ops.checks import check_p
from fdl.passes import PASSES
from fdl.passes.inline import inline
from fdl.passes.join import join
from fdl.passes.orient import orient
from fdl.passes.prune import prune
from fdl.passes.simplify import simplify
from fdl.passes.sink import sink
from fdl.transforms import make_graph
from tests.conftest import needs_compiler
from tests.lowering.test_fusion import check, nodes

R = np.random.default_rng(0)
XS, H, C = (R.normal(size=s).astype(np.float32) for s in ((5, 8, 16), (8, 16), (8, 16)))
W, U, B = (R.normal(size=s).astype(np.float32) * 0.5 for s in ((16, 64), (16, 64), (64,)))


def cell(w, u, b, xs, h, c):
    def step(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(x @ w + h @ u + b, 4, axis=1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    (h, c), hs = lax.scan(step, (h, c), xs)
    return jnp.sum(h * c) + jnp.sum(jnp.sin(hs))


def gradient():
    return fdl.grad(cell, (0, 1, 2, 3))


def names(graph):
    return [e.primitive.name for e in graph.equations]


def prepared(f, *args):
    graph, captured = fdl.make_graph(f)(*args).lift()
    return orient(prune(simplify(prune(inline(graph))))), [*map(np.asarray, captured), *map(np.asarray, args)]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pads_that_do_not_overlap_are_joined_bit_for_bit(dtype):
    zero = dtype(0).item()

    def f(a, b, c):
        return lax.pad(a, zero, [(0, 0, 0), (0, 9, 0)]) + (
            lax.pad(b, zero, [(0, 0, 0), (5, 3, 0)]) + lax.pad(c, zero, [(0, 0, 0), (11, 0, 0)])
        )

    a, b, c = ((R.normal(size=(2, n)) * 9).astype(dtype) for n in (4, 5, 2))
    graph, values = prepared(f, a, b, np.negative(c * 0))
    joined = prune(join(graph))
    assert "concatenate" in names(joined) and "pad" not in names(joined)
    assert [o.tobytes() for o in interpret(joined, values)] == [o.tobytes() for o in interpret(graph, values)]


def test_pads_that_overlap_stay():
    def f(a, b):
        return lax.pad(a, 0.0, [(0, 2, 0)]) + lax.pad(b, 0.0, [(2, 0, 0)])

    graph, _ = prepared(f, np.ones(4, np.float32), np.ones(4, np.float32))
    assert names(join(graph)) == names(graph)


def stacks(graph):
    return [len(e.outputs) - e.params["num_carry"] for e in graph.equations if e.primitive.name == "scan"]


def test_what_follows_from_a_stack_is_not_stacked():
    graph, values = prepared(gradient(), W, U, B, XS, H, C)
    less = sink(graph)
    assert (
        sum(stacks(less)) <= sum(stacks(graph)) - 5
    )  # derivatives of three logistic functions and two hyperbolic tangents
    assert [o.tobytes() for o in interpret(less, values)] == [o.tobytes() for o in interpret(graph, values)]


@needs_compiler
def test_a_recurrent_gradient_agrees_and_its_loop_holds_no_fold():
    check(gradient(), W, U, B, XS, H, C)
    (*_, backward) = [n for n in nodes(gradient(), W, U, B, XS, H, C) if isinstance(n, Loop)]
    assert not any(isinstance(n, Reduce) for n in backward.body)
    assert sum(isinstance(n, Dot) for n in backward.body) == 2


def powers(transposed):
    def f(w, h):
        return lax.scan(lambda h, _: (jnp.tanh(h @ (w.T if transposed else w)), None), h, None, 9)[0]

    return f


@needs_compiler
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 8, 40])
def test_a_constant_operand_is_packed_before_the_loop(rows, transposed):
    w, h = R.normal(size=(96, 96)).astype(np.float32) * 0.1, R.normal(size=(rows, 96)).astype(np.float32)
    check(powers(transposed), w, h)
    (dot,) = [n for n in nodes(powers(transposed), w, h) if isinstance(n, Dot)]
    p = host_target().panel_bytes // 4
    assert dot.digits(dot.rhs) == (
        ((96, p),),
        ((96 // p, 96 * p), (p, 1)),
    )


@needs_compiler
def test_a_constant_operand_that_makes_no_panels_is_turned_for_few_rows():
    w, h = R.normal(size=(90, 90)).astype(np.float32) * 0.1, R.normal(size=(2, 90)).astype(np.float32)
    check(powers(True), w, h)
    (dot,) = [n for n in nodes(powers(True), w, h) if isinstance(n, Dot)]
    assert dot.digits(dot.rhs) == (((90, 90),), ((90, 1),))


def test_params_without_graphs_stay_what_they_are():
    """A failure is a named tuple, with methods."""

    def checked(x):
        ops.check(ops.less(x, 0), ops.Failure(ValueError, "negative", "negative"))
        return x

    graph = make_graph(checked)(1.0)
    for step in dict.fromkeys(PASSES):
        (kept,) = [e.params["failure"] for e in step(graph).equations if e.primitive is check_p]
        assert isinstance(kept, ops.Failure), step.__name__


def test_stacks_that_follow_from_each_other_leave_in_the_order_in_which_they_are_made():
    def step(carry, x):
        z = jnp.exp(x)
        y = -z
        return carry, (y * 2.0, y, z)

    graph, values = prepared(lambda xs: sum(lax.scan(step, (), xs)[1]), R.normal(size=5).astype(np.float32))
    less = sink(graph)
    less.check()
    assert stacks(less) == [1]
    assert [o.tobytes() for o in interpret(less, values)] == [o.tobytes() for o in interpret(graph, values)]
