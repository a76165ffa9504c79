"""`fdl.lax` with JAX's signatures."""

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
from fdl import lax
from fdl.core.errors import ShapeError
from fdl.testing import check_batching, check_grads

X = np.arange(20.0).reshape(4, 5)


def test_dynamic_slices_follow_jax():
    f = fdl.jit(lambda x, i, j: lax.dynamic_slice(x, (i, j), (2, 3)))
    for i, j in [(0, 0), (1, 2), (3, 4), (-1, -2), (9, -9)]:
        a, b = (min(max(k + n * (k < 0), 0), n - s) for k, n, s in ((i, 4, 2), (j, 5, 3)))
        np.testing.assert_array_equal(np.asarray(f(X, i, j)), X[a : a + 2, b : b + 3])
        want = X.copy()
        want[a : a + 2, b : b + 3] = -1
        np.testing.assert_array_equal(
            np.asarray(lax.dynamic_update_slice(jnp.asarray(X), jnp.full((2, 3), -1.0), (i, j))), want
        )
    check_grads(lambda x: lax.dynamic_slice(x, (1, 2), (2, 3)) ** 2, (X,), order=2)
    check_grads(lambda x, u: lax.dynamic_update_slice(x, u, (1, 2)) ** 2, (X, X[:2, :3]), order=2)
    check_batching(lambda x, u: lax.dynamic_update_slice(x, u, (1, 2)), (X, X[:2, :3]))
    np.testing.assert_array_equal(
        np.asarray(fdl.vmap(lambda i: lax.dynamic_index_in_dim(jnp.asarray(X), i, 0, False))(jnp.array([3, 0]))),
        X[[3, 0]],
    )
    with pytest.raises(ValueError):
        lax.dynamic_slice(jnp.asarray(X), (0, 0), (5, 1))


def test_a_loop_that_writes_into_an_array():
    squares = fdl.jit(
        lambda n: lax.fori_loop(
            0, 5, lambda i, a: lax.dynamic_update_slice(a, (i * i).reshape(1), (i,)), jnp.zeros(5, "int32")
        )
    )(0)
    assert squares.tolist() == [0, 1, 4, 9, 16]


def test_keywords_are_jaxs():
    x = jnp.asarray(X)
    assert lax.broadcast_in_dim(jnp.ones(3), shape=(2, 3), broadcast_dimensions=(1,)).shape == (2, 3)
    assert lax.slice(x, start_indices=(0, 1), limit_indices=(4, 5), strides=(2, 2)).shape == (2, 2)
    assert lax.pad(x, padding_value=0.0, padding_config=((1, 1, 0), (0, 0, 1))).shape == (6, 9)
    assert lax.concatenate([x, x], dimension=1).shape == (4, 10) and lax.rev(x, dimensions=(0,))[0, 0] == 15
    assert lax.slice_in_dim(x, 1, -1, axis=1).shape == (4, 3) and lax.index_in_dim(
        x, -1, axis=0, keepdims=False
    ).shape == (5,)
    assert (
        lax.convert_element_type(x, new_dtype="int32").dtype == "int32"
        and lax.argmax(x, axis=1, index_dtype="int64").dtype == "int64"
    )
    assert (
        lax.dot(x, x.T).shape == (4, 4)
        and lax.full_like(x, 2).dtype == "float64"
        and lax.squeeze(x[:1], (0,)).shape == (5,)
    )
    assert lax.reciprocal(jnp.float32(4)) == 0.25 and lax.clamp(0.0, jnp.array([-1.0, 2.0]), 1.0).tolist() == [0, 1]


def test_arithmetic_shifts_repeat_the_top_bit_of_unsigned_integers():
    """Values of `jax.lax.shift_right_arithmetic`."""
    x = jnp.array([200, 3, 200, 200], "uint8")
    y = jnp.array([1, 1, 9, 255], "uint8")
    want = [228, 1, 255, 255]
    assert lax.shift_right_arithmetic(x, y).tolist() == want == fdl.jit(lax.shift_right_arithmetic)(x, y).tolist()
    assert jnp.right_shift(x, y).tolist() == [100, 1, 0, 0]
    top = jnp.array([2**64 - 1, 2**63, 5], "uint64")
    assert lax.shift_right_arithmetic(top, 1).tolist() == [2**64 - 1, 2**63 + 2**62, 2]
    assert lax.shift_right_arithmetic(jnp.array([-9, 9]), jnp.array([40, 40])).tolist() == [-1, 0]


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("lower", [False, True])
def test_triangles_are_conjugated(left, transpose, lower):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)) + 3 * np.eye(3)
    b = rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3))
    whole = np.tril(a) if lower else np.triu(a)
    whole = (whole.T if transpose else whole).conj()
    found = lax.linalg.triangular_solve(a, b, left_side=left, lower=lower, transpose_a=transpose, conjugate_a=True)
    np.testing.assert_allclose(whole @ found if left else found @ whole, b, rtol=1e-12, atol=1e-12)


def test_complex_matrices_are_made_hermitian():
    a = np.array([[4, 2j], [0, 4]])
    mean, half = np.array([[4, 1j], [-1j, 4]]), np.array([[4, -1j], [1j, 4]])
    for given, symmetrize, want in ((a, True, mean), (np.tril(half), False, half)):
        found = np.asarray(lax.linalg.cholesky(given, symmetrize_input=symmetrize))
        np.testing.assert_allclose(found @ found.conj().T, want, rtol=1e-12)


def test_hints_change_nothing():
    assert int(lax.fori_loop(0, 4, lambda i, c: c + i, 0, unroll=2)) == 6
    assert lax.map(lambda x: x * 2, jnp.arange(3), batch_size=2).tolist() == [0, 2, 4]
    assert jnp.sort(jnp.array([2, 1]), kind="stable").tolist() == [1, 2]
    assert jnp.argsort(jnp.array([2, 1]), kind="quicksort").tolist() == [1, 0]


def test_arrays_put_together_and_taken_apart():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(lax.stack([x, x + 1], 1), np.stack([x, x + 1], 1))
    for axis in (0, 1, -1):
        for got, want in zip(lax.unstack(x, axis), np.moveaxis(x, axis, 0), strict=True):
            np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(lax.tile(x, (2, 1)), np.tile(x, (2, 1)))
    with pytest.raises(ShapeError, match="one for each axis"):
        lax.tile(x, (2,))
    np.testing.assert_array_equal(lax.broadcast_like(x[0], x), np.broadcast_to(x[0], x.shape))
    values, places = lax.approx_max_k(x, 2)
    assert (values.tolist(), places.tolist()) == ([[2.0, 1.0], [5.0, 4.0]], [[2, 1], [2, 1]])
    values, places = lax.approx_min_k(x, 1, reduction_dimension=0)
    assert (values.tolist(), places.tolist()) == ([[0.0, 1.0, 2.0]], [[0, 0, 0]])
