"""Transforms as users call them; answers from calculus, NumPy, and from each other."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import lax, nn, random
from fdl.core.array import METHODS
from fdl.core.trace import Tracer
from fdl.testing import assert_max_traces, check_batching, check_grads
from fdl.transforms.control.call import graph_function


def close(a, b, tol=1e-5):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tol, atol=tol)


def test_grad_forms():
    f = lambda p, x: (jnp.sum(p["w"] * x) + p["b"], x.shape)
    (value, aux), grads = fdl.value_and_grad(f, has_aux=True)({"w": jnp.ones(3), "b": 2.0}, jnp.arange(3.0))
    assert aux == (3,) and float(value) == 5 and sorted(grads) == ["b", "w"]
    close(grads["w"], [0, 1, 2])
    close(fdl.grad(lambda x, y: x * y, argnums=(0, 1))(2.0, 5.0), (5.0, 2.0))
    close(fdl.grad(lambda x, y: x * y, argnums=-1)(2.0, 5.0), 2.0)
    g, aux = fdl.grad(lambda x: (x**2, {"twice": 2 * x}), has_aux=True)(3.0)
    assert float(g) == 6 and float(aux["twice"]) == 6
    close(fdl.grad(lambda x, *, k: k * x)(1.0, k=3.0), 3.0)
    close(fdl.grad(fdl.grad(fdl.grad(jnp.sin)))(1.0), -np.cos(1.0))
    assert float(fdl.grad(lambda x: x if x > 0 else -x)(-2.0)) == -1  # a value is there to branch on


def test_integers_have_no_tangent():
    out, tangent = fdl.jvp(lambda x, n: x * n, (2.0, 3), (1.0, np.zeros((), fdl.float0)))
    assert float(out) == 6 and float(tangent) == 3
    _, pull = fdl.vjp(lambda x, n: x * n, 2.0, 3)
    ct_x, ct_n = pull(1.0)
    assert float(ct_x) == 3 and ct_n.dtype == fdl.float0
    _, t = fdl.jvp(lambda x: (x > 0).astype("int32"), (1.0,), (1.0,))
    assert t.dtype == fdl.float0


def test_nested_perturbations_do_not_mix():
    """The classic confusion: d/dx (x * d/dy (x + y)) is 1."""
    close(fdl.grad(lambda x: x * fdl.grad(lambda y: x + y)(2.0))(1.0), 1.0)
    close(fdl.jvp(lambda x: x * fdl.jvp(lambda y: x * y, (2.0,), (1.0,))[1], (3.0,), (1.0,))[1], 6.0)


def test_linear_transpose_and_linearize():
    a = jnp.arange(6.0).reshape(2, 3)
    (ct,) = fdl.linear_transpose(lambda x: a @ x, jnp.ones(3))(jnp.array([1.0, 2.0]))
    close(ct, np.asarray(a).T @ [1, 2])
    y, push = fdl.linearize(jnp.exp, 0.0)
    close(push(3.0), 3.0)
    value, pull, aux = fdl.vjp(lambda x: (x * 2, "text"[:0] or x.shape), jnp.ones(2), has_aux=True)
    assert aux == (2,)


def test_jacobians_of_trees():
    f = lambda p: {"s": p["a"] * p["b"].sum(), "v": p["b"] ** 2}
    p = {"a": jnp.float32(2), "b": jnp.array([1.0, 3.0])}
    for jac in (fdl.jacfwd(f)(p), fdl.jacrev(f)(p)):
        close(jac["s"]["a"], 4)
        close(jac["s"]["b"], [2, 2])
        close(jac["v"]["b"], [[2, 0], [0, 6]])
        close(jac["v"]["a"], [0, 0])


def test_vmap_axes():
    x, y = jnp.arange(6.0).reshape(2, 3), jnp.arange(12.0).reshape(3, 4)
    assert fdl.vmap(lambda a: a, in_axes=1, out_axes=1)(x).shape == (2, 3)
    close(fdl.vmap(jnp.dot, in_axes=(None, 1))(jnp.ones(3), y), np.asarray(y).sum(0))
    assert fdl.vmap(lambda d: d["a"] + d["b"], in_axes=({"a": 0, "b": None},))({"a": x, "b": jnp.ones(3)}).shape == (
        2,
        3,
    )
    assert fdl.vmap(lambda a: (a, 1.0), out_axes=(0, None))(x)[1] == 1.0
    assert fdl.vmap(fdl.vmap(lambda a, b: a * b, (0, None)), (None, 0))(jnp.ones(3), jnp.ones(4)).shape == (4, 3)
    assert fdl.vmap(lambda: jnp.ones(2), axis_size=3)().shape == (3, 2)


def test_collectives():
    x = jnp.array([1.0, 3.0, 5.0])
    close(fdl.vmap(lambda v: v - lax.pmean(v, "i"), axis_name="i")(x), [-2, 0, 2])
    close(fdl.vmap(lambda v: lax.psum(1, "i"), axis_name="i")(x), [3, 3, 3])
    close(fdl.vmap(lambda v: lax.axis_index("i"), axis_name="i")(x), [0, 1, 2])
    nested = fdl.vmap(fdl.vmap(lambda v: lax.psum(v, "o") + lax.psum(v, "i"), axis_name="i"), axis_name="o")(
        jnp.arange(4.0).reshape(2, 2)
    )
    close(nested, [[2 + 1, 4 + 1], [2 + 5, 4 + 5]])
    close(fdl.vmap(fdl.jit(lambda v: v / lax.psum(v, "i")), axis_name="i")(x), np.asarray(x) / 9)
    close(
        fdl.grad(lambda x: fdl.vmap(lambda v: lax.psum(v**2, "i") * v, axis_name="i")(x).sum())(x),
        [2 * v * 9 + 35 for v in (1, 3, 5)],
    )


def test_random_under_vmap_is_what_it_is_alone():
    keys = random.split(random.key(1), 4)
    both = fdl.vmap(lambda k: random.normal(k, (3,)))(keys)
    np.testing.assert_array_equal(np.asarray(both), np.stack([np.asarray(random.normal(k, (3,))) for k in keys]))


def test_control_flow():
    close(fdl.vmap(lambda x: lax.cond(x > 0, lambda y: y * 2, lambda y: -y, x))(jnp.array([-1.0, 3.0])), [1, 6])
    close(
        fdl.vmap(lambda n: lax.while_loop(lambda c: c < n, lambda c: c * 2 + 1, 0))(jnp.array([3, 10, 0])), [3, 15, 0]
    )
    close(fdl.grad(lambda x: lax.fori_loop(0, 3, lambda i, v: v * x, 1.0))(2.0), 12.0)
    close(fdl.jvp(lambda x: lax.while_loop(lambda c: c < 100, lambda c: c * x, x), (3.0,), (1.0,))[1], 5 * 81)
    close(lax.switch(7, [lambda x: x, lambda x: x + 1], 3.0), 4.0)
    carry, ys = lax.scan(lambda c, x: (c + x, c * x), jnp.float32(0), jnp.arange(4.0), reverse=True)
    close(ys, [0, 5, 6, 0])
    assert float(carry) == 6
    assert lax.scan(lambda c, _: (c + 1, None), 0, length=0)[0] == 0
    close(lax.map(lambda r: r.sum(), jnp.ones((3, 4))), [4, 4, 4])
    upper = jnp.int32(5)
    assert int(fdl.jit(lambda n: lax.fori_loop(0, n, lambda i, v: v + i, 0))(upper)) == 10


def rnn(w, h0, xs):
    def step(h, x):
        h = jnp.tanh(w @ h + x)
        return h, h.sum()

    h, ys = lax.scan(step, h0, xs)
    return jnp.sum(h**2) + jnp.sum(ys)


def test_scan_gradient_agrees_with_unrolled_loop():
    rng = np.random.default_rng(0)
    w, h, xs = (jnp.array(rng.normal(size=s)) for s in ((3, 3), (3,), (5, 3)))

    def unrolled(w, h, xs):
        total = 0.0
        for x in xs:
            h = jnp.tanh(w @ h + x)
            total = total + h.sum()
        return jnp.sum(h**2) + total

    for got, want in zip(fdl.grad(rnn, (0, 1, 2))(w, h, xs), fdl.grad(unrolled, (0, 1, 2))(w, h, xs), strict=True):
        close(got, want, 1e-10)
    check_grads(rnn, (np.asarray(w), np.asarray(h), np.asarray(xs)), order=2)
    check_batching(rnn, (w, h, xs), rtol=1e-9)


def test_scan_saves_only_what_varies():
    """The weight is read again by the backward loop, not stacked with a copy for each step."""
    w, h, xs = jnp.ones((50, 50)), jnp.ones(50), jnp.ones((7, 50))
    graph = fdl.make_graph(fdl.grad(rnn))(w, h, xs)
    forward = next(e for e in graph.equations if e.primitive.name == "scan")
    assert all(v.aval.shape != (7, 50, 50) for v in forward.outputs)


def test_checkpoint_saves_inputs_only():
    block = lambda x: jnp.sin(jnp.sin(jnp.sin(x)))
    x = jnp.linspace(0, 1, 5)
    close(fdl.grad(lambda x: fdl.checkpoint(block)(x).sum())(x), fdl.grad(lambda x: block(x).sum())(x))
    _, push = fdl.linearize(fdl.checkpoint(block), x)
    graph = fdl.make_graph(lambda x: fdl.vjp(fdl.checkpoint(block), x)[1](x))(x)
    calls = [e for e in graph.equations if e.primitive.name == "call"]
    assert len(calls[-1].inputs) == 2  # the saved input and the cotangent


def test_custom_rules():
    @fdl.custom_vjp
    def clip(x, limit):
        return x

    clip.defvjp(lambda x, limit: (x, limit), lambda limit, g: (jnp.clip(g, -limit, limit), None))
    close(fdl.grad(lambda x: clip(x, 1.0) * 10)(3.0), 1.0)
    close(fdl.vmap(fdl.grad(lambda x: clip(x, 1.0) * 10))(jnp.ones(3)), [1, 1, 1])
    close(fdl.grad(lambda x: fdl.vmap(clip, (0, None))(x * 2, 1.0).sum() * 5)(jnp.ones(2)), [2, 2])
    close(fdl.jit(fdl.grad(lambda x: clip(x, 1.0) * 10))(3.0), 1.0)
    close(fdl.grad(fdl.jit(lambda x: clip(x, 1.0) * 10))(3.0), 1.0)
    close(fdl.jacrev(lambda x: clip(x, 1.0) * 10)(jnp.ones(2)), np.eye(2))
    with pytest.raises(NotImplementedError):
        fdl.jvp(lambda x: clip(x, 1.0), (1.0,), (1.0,))

    @partial(fdl.custom_jvp, nondiff_argnums=(1,))
    def power(x, n):
        return x**n if n > 0 else jnp.ones_like(x)  # plain Python on a plain number

    @power.defjvp
    def _(n, primals, tangents):
        return power(primals[0], n), 100.0 * tangents[0]

    close(fdl.grad(lambda x: power(x, 3))(2.0), 100)
    close(fdl.jit(fdl.vmap(fdl.grad(lambda x: power(x, 3))))(jnp.ones(2)), [100, 100])
    close(fdl.grad(fdl.grad(lambda x: power(x, 3) * x))(2.0), 200)
    scale = jnp.float32(3)
    closed = fdl.custom_jvp(lambda x: x * scale)
    closed.defjvp(lambda p, t: (closed(p[0]), scale * t[0]))
    close(fdl.jit(lambda s, x: fdl.grad(closed)(x) + s)(1.0, 2.0), 4)
    inner = fdl.jit(lambda a, x: _closing(a)(x))
    close(inner(2.0, 5.0), 10)


def _closing(a):
    f = fdl.custom_jvp(lambda x: x * a)
    f.defjvp(lambda p, t: (f(p[0]), a * t[0]))
    return f


def test_jit_caches_by_signature():
    with assert_max_traces(3) as counted:
        f = fdl.jit(counted(lambda x, y: x * y))
        f(jnp.ones(3), 2.0), f(jnp.zeros(3), 3.0), f(jnp.ones(3), 4.0)
        f(jnp.ones(4), 2.0)
        f(jnp.ones(3), jnp.ones(3))
    with assert_max_traces(2) as counted:

        @partial(fdl.jit, static_argnames="n")
        def power(x, n):
            counted(lambda: None)()
            for _ in range(n):
                x = x * x
            return x

        close(power(2.0, n=3), 256.0)
        close(power(2.0, 3), 256.0)
        close(power(3.0, n=1), 9.0)


def test_jit_structures_and_methods():
    f = fdl.jit(lambda d, *, k: {"out": [d["a"] + k, None], "n": 3})
    out = f({"a": jnp.ones(2)}, k=1.0)
    close(out["out"][0], [2, 2])
    assert out["out"][1] is None and out["n"] == 3

    class Model:
        def __init__(self):
            self.w = jnp.ones(2)

        @fdl.jit
        def __call__(self, x):
            return x

    captured = jnp.arange(3.0)
    g = fdl.jit(lambda x: x + captured)
    close(g(1.0), [1, 2, 3])
    close(g(2.0), [2, 3, 4])
    close(fdl.vmap(fdl.jit(lambda x: x @ x))(jnp.ones((2, 3))), [3, 3])
    h = fdl.jit(lambda x: (x, x, x + 1))
    a, b, c = h(jnp.ones(2))
    close(c, [2, 2])
    a, b, c = h(jnp.ones(2))
    close(c, [2, 2])
    close(a, [1, 1])


def test_closed_over_tracer_is_not_cached():
    f = lambda y: fdl.jit(lambda x: x * y)(2.0)
    close(fdl.grad(f)(3.0), 2.0)
    inner_calls = []

    def outer(y):
        g = fdl.jit(lambda x: x * y)
        inner_calls.append(g)
        return g(1.0) + g(2.0)

    close(fdl.grad(outer)(3.0), 3.0)
    close(fdl.jit(outer)(3.0), 9.0)
    close(fdl.vmap(outer)(jnp.array([1.0, 2.0])), [3, 6])


def test_graph_functions_are_one_node_and_memoised():
    traced = []

    @graph_function
    def block(x, w):
        traced.append(1)
        return jnp.tanh(x @ w)

    x, w = jnp.ones((2, 3)), jnp.ones((3, 3))
    graph = fdl.make_graph(fdl.grad(lambda w: block(block(w, w), w).sum()))(w)
    assert sum(e.primitive.name == "call" for e in graph.equations) == 4 and len(traced) == 1
    fdl.grad(lambda w: block(x, w).sum())(w)
    assert len(traced) == 2
    linear = [e.params["graph"] for e in graph.equations if e.primitive.name == "call"]
    assert linear[0] is linear[1] and linear[2] is linear[3]


def test_eval_shape_runs_nothing():
    out = fdl.eval_shape(lambda a, b: {"y": a @ b}, fdl.ShapeDtypeStruct((2, 3), "float32"), jnp.ones((3, 5)))
    assert out["y"].shape == (2, 5)


XS = jnp.asarray(np.random.default_rng(7).normal(size=(5, 3)))
W = jnp.asarray(np.random.default_rng(8).normal(size=(3, 3)))


def backwards(w):
    return lax.scan(lambda c, x: (jnp.tanh(w @ c + x), c.sum()), XS[0], XS, reverse=True)[1].sum()


def with_checkpoints(w):
    return lax.scan(lambda c, x: (fdl.checkpoint(lambda c: jnp.tanh(w @ c + x))(c), c.sum()), XS[0], XS, reverse=True)[
        1
    ].sum()


def growth(a):
    return lax.while_loop(lambda c: c < 10.0, lambda c: c * a, a)


IDENTITIES = {
    "checkpoint in scan": lambda: (fdl.grad(with_checkpoints)(W), fdl.grad(backwards)(W)),
    "forward and reverse over scan": lambda: (fdl.jacfwd(backwards)(W), fdl.jacrev(backwards)(W)),
    "jitted hessian of scan": lambda: (fdl.jit(fdl.hessian(backwards))(W), fdl.jacrev(fdl.jacrev(backwards))(W)),
    "linearize and jvp of scan": lambda: (fdl.linearize(backwards, W)[1](W), fdl.jvp(backwards, (W,), (W,))[1]),
    "transpose of a linear scan": lambda: (
        fdl.linear_transpose(lambda x: lax.scan(lambda c, a: (c + a, c), jnp.zeros(()), x)[1], jnp.ones(3))(
            jnp.ones(3)
        )[0],
        [2, 1, 0],
    ),
    "psum in scan": lambda: (
        fdl.vmap(lambda a: lax.scan(lambda c, _: (c + lax.psum(c, "i"), None), a, None, length=3)[0], axis_name="i")(
            jnp.array([1.0, 2.0])
        ),
        [40, 41],
    ),
    "psum in cond": lambda: (
        fdl.vmap(lambda a: lax.cond(True, lambda b: lax.psum(b, "i"), lambda b: b, a), axis_name="i")(
            jnp.array([1.0, 2.0])
        ),
        [3, 3],
    ),
    "jitted jvp of while": lambda: (fdl.jit(lambda a: fdl.jvp(growth, (a,), (1.0,))[1])(2.0), 32.0),
    "while with lanes": lambda: (
        fdl.vmap(lambda n: lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 2), (0, 1.0)))(
            jnp.array([0, 3, 5])
        )[1],
        [1, 8, 32],
    ),
    "integers beside the carry": lambda: (
        fdl.grad(lambda x: lax.scan(lambda c, i: (c * x + i, None), 1.0, jnp.arange(3))[0])(2.0),
        fdl.grad(lambda x: (x * x + 1) * x + 2)(2.0),
    ),
    "a branch that is constant": lambda: (
        fdl.grad(lambda x: lax.cond(x > 0, lambda u: u**3, lambda u: 1.0, x))(2.0),
        12.0,
    ),
    "branches that close over tracers": lambda: (fdl.grad(lambda a: lax.cond(True, lambda: a**2, lambda: a))(3.0), 6.0),
    "recursive jit": lambda: (_recursive(6)(1.0), 128.0),
    "gather of argmax": lambda: (fdl.grad(lambda x: x[jnp.argmax(x)])(jnp.array([1.0, 3.0, 2.0])), [0, 1, 0]),
    "set, then read": lambda: (
        fdl.grad(lambda x: (jnp.zeros(3).at[jnp.array([0, 2, 0])].set(x) * jnp.arange(1.0, 4)).sum())(jnp.ones(3)),
        [0, 3, 1],
    ),
}


def _recursive(n):
    return fdl.jit(lambda x: x + 1 if n == 0 else _recursive(n - 1)(x) * 2)


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities(name):
    got, want = IDENTITIES[name]()
    close(got, want, 1e-6)


@given(
    st.lists(
        st.sampled_from(["sin", "mul", "where", "sum", "sort_free", "dot", "scan", "softmax"]), min_size=1, max_size=5
    ),
    st.integers(0, 10),
)
def test_random_compositions_have_right_derivatives(names, seed):
    table = {
        "sin": jnp.sin,
        "mul": lambda x: x * x[::-1],
        "where": lambda x: jnp.where(x > 0.1, x * 2, x * x),
        "sum": lambda x: x - x.mean(),
        "sort_free": lambda x: jnp.concatenate([x[1:], x[:1]]) * 1.5,
        "dot": lambda x: jnp.outer(x, x) @ x,
        "scan": lambda x: lax.scan(lambda c, v: (c * 0.5 + v, c + v), x[0], x)[1],
        "softmax": lambda x: nn.softmax(x),
    }

    def f(x):
        for name in names:
            x = table[name](x)
        return x

    x = np.random.default_rng(seed).uniform(0.2, 0.9, 4)
    check_grads(f, (x,), order=1, rtol=1e-4)
    check_batching(f, (x,), rtol=1e-9)


def test_no_tracer_hides_a_method_of_arrays():
    def subclasses(cls):
        return [cls, *(s for c in cls.__subclasses__() for s in subclasses(c))]

    hidden = {(cls.__name__, name) for cls in subclasses(Tracer) for name in METHODS if name in cls.__dict__}
    assert not hidden
    x = jnp.array([1.0, 2.0, 4.0])
    assert float(fdl.jit(lambda x: x.var())(x)) == pytest.approx(14 / 9)
    assert fdl.grad(lambda x: x.std())(x).shape == (3,)
