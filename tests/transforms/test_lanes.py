"""Lanes of a `vmap` that go their own way in `cond`, `switch` and `while`: none of them feels what another one does.

`RECORDED` is what JAX 0.10.2 gives lane by lane, without vmap, of each function in `CASES` at its lanes and a = 1.5:
values, derivatives with respect to x and a, the derivative in the direction (1, 0.5), and the second derivative with
respect to x.
"""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from tests.transforms.lanes_recorded import RECORDED

CASES = {
    "square root": (lambda x, a: lax.cond(x > 0, jnp.sqrt, lambda x: x * 2, x), [0.0, 4.0]),
    "closed over": (lambda x, a: lax.cond(x > 0, lambda: jnp.sqrt(x) * a, lambda: jnp.log(a - x)), [0.0, 4.0, -2.0]),
    "pole beside": (lambda x, a: lax.cond(x >= 0, lambda y: jnp.log(y + a), lambda y: 1 / y, x), [-1.0, 0.0, 4.0]),
    "nobody takes it": (
        lambda x, a: lax.cond(x > 10, lambda y: 1 / (y * a - y * 1.5), lambda y: y * y, x),
        [1.0, 0.0, 4.0],
    ),
    "all take it": (lambda x, a: lax.cond(x > -10, lambda y: y**3 * a, lambda y: 1 / (y - y), x), [1.0, 0.0, 4.0]),
    "switch": (
        lambda x, a: lax.switch(
            jnp.floor(x).astype(int),
            [
                lambda y: jnp.sqrt(1 - y) * a,
                lambda y: 1 / (y - 1 + a),
                lambda y: jnp.arccos(y - 2),
                lambda y: jnp.log(y - 2.5),
            ],
            x,
        ),
        [1.5, 0.0, 2.5, 3.0, 9.0, -4.0],
    ),
    "cond in cond": (
        lambda x, a: lax.cond(
            x > 0,
            lambda y: lax.cond(y > 2, lambda y: jnp.sqrt(y - 2), lambda y: a / (y - 2), y),
            lambda y: lax.cond(y < -1, lambda y: jnp.log(-y - 1), lambda y: y * y, y),
            x,
        ),
        [2.5, -1.0, 0.0, 3.0, -2.0],
    ),
    "scan in cond": (
        lambda x, a: lax.cond(
            x > 0, lambda y: lax.scan(lambda c, _: (jnp.sqrt(c) * a, 1 / c), y, None, length=3)[0], lambda y: y * a, x
        ),
        [2.0, -1.0, 0.0, 3.0],
    ),
    "cond in scan": (
        lambda x, a: lax.scan(
            lambda c, t: (lax.cond(c > t, lambda c: jnp.sqrt(c - t) * a, lambda c: c * c - 1 / (c - 2), c), None),
            x,
            jnp.arange(3.0),
        )[0],
        [2.5, -1.0, 0.0, 3.0],
    ),
    "infinite operands": (
        lambda x, a: lax.cond(jnp.isfinite(x), lambda y: jnp.exp(y) * a, lambda y: a * 2.0, x),
        [2.0, jnp.inf, jnp.nan, -jnp.inf],
    ),
    "endless elsewhere": (
        lambda x, a: lax.cond(
            x > 0,
            lambda y: lax.while_loop(lambda c: c[0] != 0, lambda c: (c[0] - 1, jnp.sqrt(c[1]) * a), (y, y))[1],
            lambda y: y * a,
            x,
        ),
        [2.0, -1.0, -0.5, 3.0],
    ),
}
FORWARD = ("endless elsewhere",)


def transformed(name, f, lanes):
    """The derivative of this name through `vmap`, and inside of it."""
    n = len(lanes)

    def mapped(xs, a):
        return fdl.vmap(f, (0, None))(xs, a)

    def slope(xs, a):
        return fdl.jvp(mapped, (xs, a), (jnp.ones(n), jnp.float32(0.5)))[1]

    def grad_x(xs, a):
        return fdl.grad(lambda xs: mapped(xs, a).sum())(xs)

    one = {
        "value": (mapped, f),
        "slope": (slope, lambda x, a: fdl.jvp(f, (x, a), (jnp.float32(1), jnp.float32(0.5)))[1]),
        "x": (grad_x, fdl.grad(f)),
        "a": (lambda xs, a: fdl.jacrev(lambda a: mapped(xs, a))(a), fdl.grad(f, 1)),
        "xx": (lambda xs, a: fdl.grad(lambda xs: grad_x(xs, a).sum())(xs), fdl.grad(fdl.grad(f))),
    }
    outer, inner = one[name]
    return {"through": outer, "inside": fdl.vmap(inner, (0, None))}


@pytest.mark.parametrize(
    ("case", "name", "jitted"),
    [(c, n, j) for c in RECORDED for n in RECORDED[c] for j in ([False, True] if n in ("a", "xx") else [False])],
)
def test_each_lane_is_as_it_would_be_alone(case, name, jitted):
    f, lanes = CASES[case]
    for how, g in transformed(name, f, lanes).items():
        found = (fdl.jit(g) if jitted else g)(jnp.array(lanes), jnp.float32(1.5))
        np.testing.assert_allclose(found, RECORDED[case][name], rtol=2e-5, atol=1e-6, err_msg=how)


@pytest.mark.parametrize("case", [c for c in CASES if c not in FORWARD])
def test_lanes_of_lanes(case):
    f, lanes = CASES[case]
    both = jnp.stack([jnp.array(lanes), jnp.array(lanes[::-1])])
    nested = fdl.vmap(fdl.vmap(f, (0, None)), (0, None))
    found = fdl.grad(lambda xs: nested(xs, jnp.float32(1.5)).sum())(both)
    np.testing.assert_allclose(found[0], RECORDED[case]["x"], rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], RECORDED[case]["x"][::-1], rtol=2e-5, atol=1e-6)
    crossed = fdl.grad(lambda xs: fdl.vmap(lambda a: fdl.vmap(lambda x: f(x, a))(xs))(jnp.array([1.5, 1.5])).sum())(
        jnp.array(lanes)
    )
    np.testing.assert_allclose(crossed, 2 * np.array(RECORDED[case]["x"]), rtol=2e-5, atol=1e-6)
    second = fdl.jit(
        fdl.vmap(lambda r: fdl.grad(lambda r: fdl.grad(lambda r: fdl.vmap(lambda x: f(x, 1.5))(r).sum())(r).sum())(r))
    )(both)
    np.testing.assert_allclose(second[0], RECORDED[case]["xx"], rtol=2e-5, atol=1e-6)


def test_a_branch_that_is_not_taken_sends_nothing_back():
    """JAX 0.10.2: -inf, not NaN, although the derivative of the branch that was taken is infinite at what the other one
    would save.
    """
    second = fdl.grad(fdl.grad(lambda x: lax.cond(x >= 0, jnp.log, lambda y: 1 / y, x)))
    assert float(second(0.0)) == -np.inf
    assert float(fdl.jit(second)(0.0)) == -np.inf
    assert fdl.vmap(second)(jnp.array([0.0, 2.0])).tolist() == [-np.inf, -0.25]


def test_loops_inside_of_loops_end():
    """Python's own loops give 6, 0, 0, 1; a lane that has finished would never leave the inner loop."""

    def body(c):
        i, total = c
        return i - 1, lax.while_loop(lambda k: k[0] != 0, lambda k: (k[0] - 1, k[1] + 1), (i, total))[1]

    def f(n):
        return lax.while_loop(lambda c: c[0] > 0, body, (n, 0))[1]

    assert fdl.vmap(f)(jnp.array([3, 0, -2, 1])).tolist() == [6, 0, 0, 1]
    assert fdl.jit(fdl.vmap(fdl.vmap(f)))(jnp.array([[3, 0], [-1, -1]])).tolist() == [[6, 0], [0, 0]]
    assert fdl.vmap(f)(jnp.zeros(0, int)).shape == (0,)


def test_lanes_see_each_other_in_a_branch():
    """JAX 0.10.2: a sum over the axis inside of a branch is over all lanes."""
    f = fdl.vmap(lambda x: lax.cond(x > 0, lambda x: x / lax.psum(x, "i"), lambda x: x, x), axis_name="i")
    np.testing.assert_allclose(f(jnp.array([-1.0, 2.0, 3.0])), [-1, 0.5, 0.75])


def test_integers_and_trees_choose_by_lane():
    f = lambda x, n: lax.cond(
        x > 0, lambda: {"a": x * n, "b": n + 1, "c": n > 2}, lambda: {"a": -jnp.log(-x), "b": n, "c": n < 0}
    )
    xs, ns = jnp.array([2.0, -1.0]), jnp.array([3, 4])
    found = fdl.vmap(f)(xs, ns)
    assert (found["a"].tolist(), found["b"].tolist(), found["c"].tolist()) == ([6, 0], [4, 4], [True, False])
    assert fdl.vmap(fdl.grad(lambda x, n: f(x, n)["a"]))(xs, ns).tolist() == [3, 1]
    assert fdl.vjp(lambda xs: fdl.vmap(f)(xs, ns)["a"], xs)[1](jnp.ones(2))[0].tolist() == [3, 1]


def test_large_shared_operands_get_no_lanes():
    """A matrix that all lanes share stays one: its gradient is one product, and none of a lane that took the other
    branch is in it.
    """
    w, xs = jnp.full((3, 3), 0.5), jnp.array([[4.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    f = lambda w, x: lax.cond(x[0] > 0, lambda: jnp.sqrt(w @ x).sum(), lambda: x.sum())
    found = fdl.grad(lambda w: fdl.vmap(f, (None, 0))(w, xs).sum())(w)
    np.testing.assert_allclose(
        found, np.sum([np.tile(x / (2 * np.sqrt(x.sum() / 2)), (3, 1)) for x in np.array(xs)[[0, 2]]], 0), rtol=1e-5
    )
    batched = fdl.transforms.make_graph(lambda w: fdl.vmap(f, (None, 0))(w, xs))(w)
    assert "float32[3,3,3]" not in str(batched)


def test_where_keeps_both_sides():
    """As JAX's and PyTorch's `where`: the derivative of the side that was not chosen is multiplied by zero."""
    assert np.isnan(fdl.grad(lambda x: jnp.where(x > 0, jnp.sqrt(x), x))(0.0))


def test_the_derivative_of_a_stopped_gradient_is_stopped_too():
    """x * stop(x) has the gradient stop(x), whose derivative is 0 (JAX 0.10.2)."""
    f = lambda x: x * lax.stop_gradient(x)
    assert float(fdl.grad(fdl.grad(f))(3.0)) == 0
    assert float(fdl.jvp(fdl.grad(f), (3.0,), (1.0,))[1]) == 0
    assert float(fdl.hessian(f)(3.0)) == 0


# derivative at 0 by JAX 0.10.2; what a loop carries beside, and what it only reads for its sign, sends nothing back
LOOPS = {
    "a carry beside": (
        lambda x: lax.scan(lambda c, _: ((c[0] * 2, jnp.floor(c[1])), None), (x, jnp.log(x)), None, length=2)[0][0],
        4.0,
    ),
    "a carry that nobody reads": (
        lambda x: lax.scan(lambda c, _: ((c[0] * 2, c[1]), None), (x, jnp.log(x)), None, length=2)[0][0],
        4.0,
    ),
    "rows that are rounded": (
        lambda x: lax.scan(lambda c, t: (c * 2, jnp.floor(t)), x, jnp.log(x + jnp.zeros(2)))[0],
        4.0,
    ),
    "rows that are given back": (lambda x: lax.scan(lambda c, t: (c * 2, t), x, jnp.log(x + jnp.zeros(2)))[0], 4.0),
    "a constant": (
        lambda x: lax.scan(lambda c, _: (c * jnp.exp(jnp.floor(jnp.log(x))), None), 1.0 + x, None, length=2)[0],
        0.0,
    ),
}


@pytest.mark.parametrize("case", LOOPS)
@pytest.mark.parametrize("jitted", [False, True], ids=["plain", "jit"])
def test_zeros_do_not_go_back_through_a_loop(case, jitted):
    f, expected = LOOPS[case]
    g = fdl.grad(f)
    assert float((fdl.jit(g) if jitted else g)(0.0)) == expected
