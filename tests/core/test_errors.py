"""Six classic mistakes, each with an error that says what, why, what to write instead, and where."""

import re

import pytest

import fdl
import fdl.numpy as jnp
from fdl.core import Primitive, errors


def python_if():
    return fdl.jit(lambda x: x if (x > 0).all() else -x)(jnp.ones(3))


def leaked():
    kept = []
    fdl.jit(lambda x: kept.append(x * 2))(1.0)
    return kept[0] + 1


def shape_mismatch():
    return fdl.vmap(lambda x: x + jnp.ones(4))(jnp.ones((2, 3)))


def not_scalar():
    return fdl.grad(lambda x: x * 2)(jnp.ones(3))


def assignment():
    x = jnp.zeros(3)
    x[0] = 1.0


def no_rule():
    twice = Primitive("twice").define(shape=lambda x: x, impl=lambda x: 2 * x)
    return fdl.grad(twice.bind)(1.0)


CASES = [
    (python_if, errors.TracedBoolError, TypeError, "jit"),
    (leaked, errors.LeakedTracerError, TypeError, "left jit"),
    (shape_mismatch, errors.ShapeError, ValueError, r"\(3,\) and \(4,\)"),
    (not_scalar, errors.NonScalarError, TypeError, r"float32\[3\]"),
    (assignment, errors.ImmutableError, TypeError, "immutable"),
    (no_rule, errors.MissingRuleError, NotImplementedError, "`twice` has no `jvp` rule"),
]


@pytest.mark.parametrize("mistake, error, builtin, text", CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_mistakes(mistake, error, builtin, text):
    with pytest.raises(error, match=text) as caught:
        mistake()
    message = str(caught.value)
    assert isinstance(caught.value, builtin) and isinstance(caught.value, errors.FdlError)
    assert "  why: " in message and "  try: " in message
    line = re.search(r"  at:  test_errors\.py:(\d+) in (\S+)", message)
    assert line and line.group(2) in (mistake.__name__, "<lambda>")


def test_the_running_transform_is_noted():
    with pytest.raises(errors.ShapeError) as caught:
        fdl.jit(fdl.vmap(lambda x: x + jnp.ones(4)))(jnp.ones((2, 3)))
    assert any("vmap" in note and "jit" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    "call, error",
    [
        (lambda: fdl.grad(lambda x: x)(jnp.arange(3)), TypeError),
        (lambda: fdl.grad(lambda x: x, argnums=2)(1.0), ValueError),
        (lambda: fdl.grad(lambda d: d["a"])({"a": 1.0, "b": 2}), TypeError),
        (lambda: fdl.vmap(lambda x, y: x)(jnp.ones(2), jnp.ones(3)), ValueError),
        (lambda: fdl.vmap(lambda x: x, in_axes=None)(jnp.ones(2)), ValueError),
        (lambda: fdl.vmap(lambda x: x, in_axes=(0, 1))(jnp.ones(2)), ValueError),
        (lambda: fdl.jit(lambda x: "text")(1.0), TypeError),
        (lambda: fdl.jit(lambda x: x)("text"), TypeError),
        (lambda: fdl.jit(lambda x, n: x, static_argnums=1)(1.0, [1]), TypeError),
        (lambda: jnp.ones((2, 3)) @ jnp.ones((2, 3)), ValueError),
        (lambda: jnp.ones(3).reshape(2, 2), ValueError),
        (lambda: jnp.concatenate([jnp.ones((2, 2)), jnp.ones((3, 3))]), ValueError),
        (lambda: jnp.max(jnp.ones((0,))), ValueError),
        (lambda: jnp.ones(3)[1.5], TypeError),
        (lambda: jnp.ones(3)[[0, 5]], IndexError),
        (lambda: jnp.ones(3)[0, 0], IndexError),
        (lambda: jnp.sum(jnp.ones(3), axis=1), ValueError),
        (lambda: jnp.array([[1], [1, 2]]), ValueError),
        (lambda: jnp.hypot(1j, 1.0), TypeError),
        (lambda: jnp.array("text"), TypeError),
        (lambda: fdl.lax.scan(lambda c, x: (jnp.stack([c, c]), x), 1.0, jnp.ones(3)), ValueError),
        (lambda: fdl.lax.scan(lambda c, x: (c + 0.5, x), jnp.int32(1), jnp.ones(3)), TypeError),
        (lambda: fdl.lax.scan(lambda c, x: c, 1.0, jnp.ones(3)), ValueError),
        (lambda: fdl.lax.cond(True, lambda x: x, lambda x: (x, x), 1.0), ValueError),
        (lambda: fdl.lax.cond(True, lambda x: x, lambda x: jnp.stack([x, x]), 1.0), ValueError),
        (lambda: fdl.lax.cond(jnp.ones(2) > 0, lambda x: x, lambda x: x, 1.0), ValueError),
        (lambda: fdl.lax.while_loop(lambda c: c, lambda c: c, 1.0), ValueError),
        (lambda: fdl.lax.psum(1.0, "nowhere"), NameError),
        (lambda: fdl.jvp(lambda x: x, (1.0,), (jnp.ones(2),)), ValueError),
        (lambda: fdl.random.normal(jnp.ones(2)), TypeError),
        (lambda: fdl.nn.cross_entropy(jnp.ones((2, 3)), jnp.ones((2, 3))), ValueError),
        (lambda: fdl.set_num_threads(0), ValueError),
    ],
)  # fmt: skip
def test_bad_calls(call, error):
    with pytest.raises(error):
        call()
