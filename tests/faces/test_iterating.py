"""Iterating over arrays: parts one by one, without a record where there is a value, with gradients under transforms."""

import itertools

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.core.array import Deferred
from fdl.transforms.lazy import current_recorder

X = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool", "bfloat16", "float16"])
@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 2), (0,), (0, 3), (3, 0)])
def test_parts_are_those_of_numpy(dtype, shape):
    x = jnp.asarray(np.arange(np.prod(shape)).reshape(shape)).astype(dtype)
    found = list(x)
    assert [v.aval for v in found] == [x[i].aval for i in range(shape[0])]
    assert [v.tolist() for v in found] == x.tolist()


def test_weak_types_stay_weak():
    (v,) = jnp.broadcast_to(1.0, (1,))
    assert v.weak_type == jnp.broadcast_to(1.0, (1,))[0].weak_type


def test_nothing_is_recorded_for_what_has_a_value():
    x = jnp.asarray(X)
    before = current_recorder().segment.node
    rows = [v for row in x for v in row]
    assert current_recorder().segment.node is before
    assert not any(isinstance(v._data, Deferred) for v in rows)


def test_what_is_pending_is_computed_once():
    x = jnp.asarray(X) * 2
    assert isinstance(x._data, Deferred)
    assert [float(v.sum()) for v in x] == (X * 2).sum(1).tolist()


def test_parts_are_made_as_they_are_asked_for():
    many = iter(jnp.zeros(10**8, "uint8"))
    assert [int(next(many)) for _ in range(3)] == [0, 0, 0]


def test_unpacking_zip_and_star():
    a, (b, *rest) = jnp.asarray(X[:2, :2])
    assert a.tolist() == [0, 1] and int(b) == 4 and [int(v) for v in rest] == [5]
    assert [(int(a), int(b)) for a, b in zip(jnp.arange(3), jnp.arange(2), strict=False)] == [(0, 0), (1, 1)]
    assert [float(v) for v in itertools.islice(jnp.arange(9.0), 2, 4)] == [2, 3]
    with pytest.raises(ValueError):
        a, b = jnp.asarray(X)


def test_a_number_has_no_parts_and_says_so_at_once():
    with pytest.raises(fdl.FdlError, match="0-d"):
        iter(jnp.float32(1))


def test_parts_can_be_operands_and_outlive_the_array():
    x = jnp.asarray(X)
    first, *_ = x
    double = fdl.jit(lambda v: v * 2, donate_argnums=0)
    assert double(first).tolist() == (X[0] * 2).tolist()
    second = next(itertools.islice(x, 1, None))
    del x
    assert (second + 1).tolist() == (X[1] + 1).tolist()
    assert fdl.jit(fdl.grad(lambda v: jnp.sum(v * v)))(second).tolist() == (X[1] * 2).tolist()


def total(x):
    """The sum over i of (i + 1) times the square of the sum of part i."""
    return sum((i + 1) * jnp.sum(row) ** 2 for i, row in enumerate(x))


WANTED = np.repeat(2 * np.arange(1, 4) * X.sum(1), 4).reshape(3, 4)


@pytest.mark.parametrize("wrap", [lambda f: f, fdl.jit], ids=["plain", "jit"])
def test_gradients_go_through_parts(wrap):
    assert wrap(fdl.grad(total))(jnp.asarray(X)).tolist() == WANTED.tolist()


def test_lanes_and_tangents_go_through_parts():
    xs = jnp.stack([jnp.asarray(X), jnp.asarray(X) * 2])
    assert fdl.vmap(total)(xs).tolist() == [float(total(X)), float(total(X * 2))]
    out, tangent = fdl.jvp(total, (jnp.asarray(X),), (jnp.ones((3, 4)),))
    assert float(out) == float(total(X)) and float(tangent) == WANTED.sum()
    assert fdl.hessian(lambda x: sum(v * v for v in x))(jnp.ones(2)).tolist() == [[2, 0], [0, 2]]


def test_an_array_outside_of_a_gradient_gives_values():
    y = jnp.asarray(X)
    slope = fdl.grad(lambda x: sum(x * v[0] for v in y if v[0] > 1))(jnp.float32(2))
    assert float(slope) == 12


def test_a_recording_reads_one_array():
    y = jnp.asarray(np.arange(40.0, dtype=np.float32))
    graph = fdl.make_graph(lambda x: sum(x * v for v in y))(jnp.float32(2))
    assert len(graph.constants) == 1
    assert float(fdl.jit(lambda x: sum(x * v for v in y))(2.0)) == 2 * 780


def test_a_loop_has_the_bits_of_a_scan_over_the_same_parts():
    w = jnp.asarray(np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32))
    step = fdl.jit(lambda h, x: jnp.tanh(h @ w + x))
    h = jnp.ones(4)
    for x in jnp.asarray(X):
        h = step(h, x)
    scanned, _ = fdl.jit(lambda h, xs: lax.scan(lambda h, x: (jnp.tanh(h @ w + x), None), h, xs))(jnp.ones(4), X)
    np.testing.assert_allclose(h, scanned, rtol=1e-6)


def test_numbers_as_an_index_of_what_has_a_value_record_nothing():
    x = jnp.asarray(X)
    before = current_recorder().segment.node
    found = [x[1], x[-1, 2], x[0, -4], x[()], jnp.arange(3)[2]]
    assert [v.tolist() for v in found] == [X[1].tolist(), 10.0, 0.0, X.tolist(), 2]
    assert [v.aval for v in found[:3]] == [(x * 1)[1].aval, (x * 1)[-1, 2].aval, (x * 1)[0, -4].aval]
    assert current_recorder().segment.node is not before  # by what is compared with
    for index in (3, -4, (0, 4), (0, 0, 0)):
        with pytest.raises(IndexError):
            x[index]
    with pytest.raises(IndexError):
        jnp.zeros((0, 2))[0]
