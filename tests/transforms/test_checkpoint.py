"""`checkpoint`: derivatives are those of the function itself, and each policy saves what it says."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl.ad_checkpoint import checkpoint_name, checkpoint_policies
from fdl.core.errors import StructureError
from fdl.passes.inline import inline

W, X = jnp.asarray(np.linspace(-0.5, 0.7, 6, dtype=np.float32).reshape(3, 2)), jnp.ones((4, 3))


def f(w, x):
    y = jnp.exp(checkpoint_name(x @ w, "product"))
    z = checkpoint_name(jnp.sin(y), "sine")
    return jnp.sum(z * z)


# (policy, how often value and gradient compute the product, exp and sin)
POLICIES = {
    "none": (None, (3, 2, 2)),
    "nothing": (checkpoint_policies.nothing_saveable, (3, 2, 2)),
    "everything": (checkpoint_policies.everything_saveable, (2, 1, 1)),
    "dots": (checkpoint_policies.dots_saveable, (2, 2, 2)),
    "dots without batch": (checkpoint_policies.dots_with_no_batch_dims_saveable, (2, 2, 2)),
    "product": (checkpoint_policies.save_only_these_names("product"), (2, 2, 2)),
    "sine": (checkpoint_policies.save_only_these_names("sine"), (3, 2, 1)),
    "offloaded dots": (checkpoint_policies.offload_dot_with_no_batch_dims("device", "pinned_host"), (2, 2, 2)),
    "offloaded sine": (
        checkpoint_policies.save_and_offload_only_these_names(
            names_which_can_be_saved=["product"],
            names_which_can_be_offloaded=["sine"],
            offload_src="device",
            offload_dst="pinned_host",
        ),
        (2, 2, 1),
    ),
    "all names but": (checkpoint_policies.save_any_names_but_these("sine"), (2, 2, 2)),
    "all but": (checkpoint_policies.save_anything_except_these_names("sine"), (2, 1, 1)),
    "both": (
        checkpoint_policies.save_from_both_policies(
            checkpoint_policies.save_only_these_names("sine"), checkpoint_policies.dots_saveable
        ),
        (2, 2, 1),
    ),
    "of the user": (lambda prim, *avals, **params: prim.name == "exp", (2, 1, 2)),
}


@pytest.mark.parametrize("kind", POLICIES)
def test_policies(kind):
    policy, counts = POLICIES[kind]
    g = fdl.checkpoint(f, policy=policy)
    expected = fdl.grad(f)(W, X)
    for gradient in (fdl.grad(g), fdl.jit(fdl.grad(g))):
        np.testing.assert_allclose(gradient(W, X), expected, rtol=2e-6)
    lanes = fdl.vmap(fdl.grad(g), (None, 0))(W, X[:, None])
    np.testing.assert_allclose(lanes, fdl.vmap(fdl.grad(f), (None, 0))(W, X[:, None]), rtol=2e-6)
    np.testing.assert_allclose(fdl.hessian(g)(W, X), fdl.hessian(f)(W, X), rtol=1e-5, atol=1e-5)
    graph = inline(fdl.make_graph(fdl.value_and_grad(g))(W, X))
    names = [e.primitive.name for e in graph.equations]
    assert (names.count("dot_general"), names.count("exp"), names.count("sin")) == counts


def test_arguments_that_are_static():
    def power(x, n, scale):
        assert isinstance(n, int)
        return scale * jnp.sin(x) ** n if n > 1 else x

    g = fdl.checkpoint(power, static_argnums=1)
    assert float(fdl.grad(g)(0.5, 3, 2.0)) == pytest.approx(float(fdl.grad(power)(0.5, 3, 2.0)))
    assert float(fdl.grad(g)(0.5, 1, 2.0)) == 1.0
    h = fdl.checkpoint(static_argnums=(-2,))(power)
    assert float(h(0.5, 1, 2.0)) == 0.5


def test_names_are_no_operations():
    tree = checkpoint_name({"a": jnp.ones(2), "b": 1.0}, "both")
    assert tree["a"].tolist() == [1.0, 1.0] and float(tree["b"]) == 1.0
    assert fdl.jit(lambda x: checkpoint_name(x, "x") + 1)(1.0) == 2.0


def test_inside_of_each_other_and_of_loops():
    inner = fdl.checkpoint(jnp.sin, policy=checkpoint_policies.everything_saveable)
    outer = fdl.checkpoint(lambda x: inner(inner(x)))
    assert float(fdl.grad(outer)(0.5)) == pytest.approx(float(fdl.grad(lambda x: jnp.sin(jnp.sin(x)))(0.5)))

    def loop(body, x):
        return fdl.lax.scan(lambda c, _: (body(c), None), x, None, length=4)[0]

    expected = float(fdl.grad(lambda x: loop(jnp.sin, x))(0.5))
    for policy in (None, checkpoint_policies.everything_saveable):
        assert float(fdl.grad(lambda x, p=policy: loop(fdl.checkpoint(jnp.sin, policy=p), x))(0.5)) == pytest.approx(
            expected
        )


def test_what_is_no_policy():
    with pytest.raises(StructureError, match="policy='dots'"):
        fdl.checkpoint(f, policy="dots")
