"""Values that cross-checks of fdl against itself cannot see: recorded from NumPy 2.4, JAX 0.10, PyTorch 2.13 and
mpmath, or worked out by hand.
"""

import math

import numpy as np
import pytest

import fdl
import fdl.numpy as jnp
import fdl.stateful as ft

inf, nan = math.inf, math.nan
EACH_TIER = pytest.mark.parametrize("run", [lambda f: f, fdl.jit], ids=["interpreted", "compiled"])
CUBE = np.arange(24, dtype=np.int32).reshape(2, 3, 4)


@EACH_TIER
@pytest.mark.parametrize("axes", [(0, 1), (2, 0), (-1, -2)])
@pytest.mark.parametrize("offset", [-1, 0, 2, 5])
def test_diagonals_are_of_the_first_two_axes_or_those_named(run, axes, offset):
    for name in ("diagonal", "trace"):
        found = run(lambda x, name=name: getattr(jnp, name)(x, offset, *axes))(jnp.asarray(CUBE))
        np.testing.assert_array_equal(np.asarray(found), getattr(np, name)(CUBE, offset, *axes))
    assert jnp.asarray(CUBE).trace().tolist() == np.trace(CUBE).tolist()
    assert jnp.asarray(CUBE).diagonal().tolist() == np.diagonal(CUBE).tolist()


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (2, 0), (-1, -2)])
@pytest.mark.parametrize("k", range(-1, 5))
def test_planes_turn(axes, k):
    np.testing.assert_array_equal(np.asarray(jnp.rot90(jnp.asarray(CUBE), k, axes)), np.rot90(CUBE, k, axes))


def test_one_axis_is_no_plane():
    for f in (
        lambda x: jnp.diagonal(x, axis1=1, axis2=-2),
        lambda x: jnp.trace(x, axis1=0, axis2=0),
        lambda x: jnp.rot90(x, axes=(1, 1)),
        lambda x: jnp.diagonal(x, axis1=3),
    ):
        with pytest.raises(fdl.core.errors.ShapeError, match=r"axis|axes"):
            f(jnp.asarray(CUBE))


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        ("int8", "int32"),
        ("int16", "int32"),
        ("uint8", "uint32"),
        ("uint16", "uint32"),
        ("bool", "int32"),
        ("int64", "int64"),
        ("float16", "float16"),
    ],
)
def test_products_and_sums_of_small_integers_are_wide(dtype, result):
    x = jnp.ones(3, dtype)
    assert jnp.prod(x).dtype == jnp.sum(x).dtype == x.prod().dtype == jnp.dtype(result)  # as JAX
    assert int(jnp.prod(jnp.array([100, 3], "int8"))) == 300
    assert int(jnp.prod(jnp.array([2, 3, 4]), initial=5, where=jnp.array([True, False, True]))) == 40
    assert int(jnp.sum(jnp.array([2, 3, 4]), initial=5)) == 14


@EACH_TIER
@pytest.mark.parametrize(
    ("values", "q", "want"),
    [
        ([-inf, -1.64], 0.5, -inf), ([-inf, -1.64], 1.0, -1.64), ([-inf, -1.64], 0.0, -inf), ([-inf, inf], 0.5, nan),
        ([-inf, 1.0, 2.0, inf], 0.5, 1.5),
        ([inf, inf, 0.0], 0.75, inf), ([-inf, 1.0, 3.0], 0.5, 1.0), ([-inf, 1.0, 3.0], 0.25, -inf),
        ([-3e38, 3e38], 1.0, 3e38), ([1.0, nan], 0.0, nan),
    ],
)  # fmt: skip
def test_quantiles_among_infinities(run, values, q, want):
    np.testing.assert_allclose(float(run(lambda x: jnp.quantile(x, q))(jnp.array(values))), want, rtol=1e-6)
    if q == 0.5:
        np.testing.assert_allclose(float(run(jnp.median)(jnp.array(values))), want, rtol=1e-6)


@EACH_TIER
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e5m2", "float32"])
def test_nan_is_sorted_last_in_each_dtype(run, dtype):
    x = jnp.array([1.0, nan, 3.0, -2.0, nan, 0.0], dtype)
    np.testing.assert_array_equal(np.asarray(run(jnp.sort)(x)).astype("f"), [-2.0, 0.0, 1.0, 3.0, nan, nan])
    assert run(lambda x: jnp.argsort(x, descending=True))(x).tolist() == [1, 4, 2, 0, 5, 3]
    assert [int(f(x)) for f in (run(jnp.argmax), run(jnp.argmin))] == [1, 1]
    assert math.isnan(float(run(jnp.max)(x))) and math.isnan(float(run(jnp.min)(x)))


@EACH_TIER
def test_derivatives_of_sinc(run):
    """Of order 1 to 4, from mpmath."""
    want = {
        0.0: [0.0, -3.2898681336964529, 0.0, 19.481818206800487],
        0.01: [-0.032895434481712399, -3.2888941000101958, 0.19479529272766102, 19.474951580404112],
        0.3: [-0.90202813013888879, -2.4584852862661743, 5.2474931529243694, 13.648773849855683],
        0.7: [-1.3652403755203533, 0.26982700697582356, 7.1310384171339147, -4.9136412884021051],
    }
    f = jnp.sinc
    for order in range(4):
        f = fdl.grad(f)
        for x, slopes in want.items():
            np.testing.assert_allclose(float(run(f)(np.float32(x))), slopes[order], rtol=2e-3, atol=2e-5)
            np.testing.assert_allclose(float(run(f)(jnp.float64(x))), slopes[order], rtol=1e-9, atol=1e-12)


SINGULAR = [
    [[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[0, 1], [0, 0]], np.zeros((4, 4)), np.diag([1, 2, 3, 0]), np.diag([1, 2, 0, 0]),
    np.eye(5, k=1), np.arange(25).reshape(5, 5), [[0]],
]  # fmt: skip


@EACH_TIER
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("matrix", SINGULAR, ids=range(len(SINGULAR)))
def test_the_slope_of_a_determinant_is_its_cofactors(run, matrix, dtype):
    m = np.array(matrix, dtype)
    n = len(m)
    minors = [
        [np.linalg.det(np.delete(np.delete(m.astype("d"), i, 0), j, 1)) * (-1) ** (i + j) for j in range(n)]
        for i in range(n)
    ]
    np.testing.assert_allclose(
        np.asarray(run(fdl.grad(jnp.linalg.det))(jnp.asarray(m))), minors, atol=3e-4 if dtype == "float32" else 1e-9
    )
    t = ft.tensor(m, requires_grad=True)
    ft.linalg.det(t).backward()
    np.testing.assert_allclose(t.grad.numpy(), minors, atol=3e-4 if dtype == "float32" else 1e-9)


def test_a_determinant_of_two_rows_has_second_derivatives_everywhere():
    hessian = np.asarray(fdl.hessian(jnp.linalg.det)(jnp.zeros((2, 2)))).reshape(4, 4)
    assert hessian.tolist() == [[0, 0, 0, 1], [0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0]]
    assert float(jnp.linalg.det(jnp.zeros((0, 0)))) == 1.0


def test_gradients_of_symmetric_factorisations_are_symmetric():
    """`d w_i / d A = v_i v_i^T`, and Cholesky's from JAX 0.10."""
    a = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
    w, v = np.linalg.eigh(a)
    for f in (
        jnp.linalg.eigvalsh,
        lambda x: jnp.linalg.eigh(x)[0],
        lambda x: jnp.linalg.eigh(x, symmetrize_input=False)[0],
        lambda x: jnp.linalg.eigh(x, "U", False)[0],
    ):
        np.testing.assert_allclose(
            np.asarray(fdl.grad(lambda x, f=f: f(x)[2])(jnp.asarray(a))), np.outer(v[:, 2], v[:, 2]), atol=1e-12
        )
    t = ft.tensor(a, requires_grad=True)
    ft.linalg.eigvalsh(t)[2].backward()
    np.testing.assert_allclose(t.grad.numpy(), np.outer(v[:, 2], v[:, 2]), atol=1e-12)
    for slope in (
        fdl.grad(lambda x: jnp.linalg.cholesky(x).sum())(jnp.asarray(a)),
        fdl.grad(lambda x: jnp.linalg.cholesky(x, symmetrize_input=False).sum())(jnp.asarray(a)),
    ):
        np.testing.assert_allclose(
            np.asarray(slope),
            [
                [0.19844470241382, 0.14014740282788, 0.13214757503366],
                [0.14014740282788, 0.29355563049445, 0.2917095163881],
                [0.13214757503366, 0.2917095163881, 0.3594003669545],
            ],
            atol=1e-8,
        )
    lopsided = np.array([[2.0, 9.0], [1.0, 3.0]])
    np.testing.assert_allclose(
        np.asarray(jnp.linalg.eigvalsh(jnp.asarray(lopsided))), np.linalg.eigvalsh([[2.0, 5.0], [5.0, 3.0]]), atol=1e-12
    )  # JAX's way
    np.testing.assert_allclose(
        np.asarray(jnp.linalg.eigvalsh(jnp.asarray(lopsided), symmetrize_input=False)),
        np.linalg.eigvalsh(lopsided),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        ft.linalg.eigvalsh(ft.tensor(lopsided)).numpy(), np.linalg.eigvalsh(lopsided), atol=1e-12
    )  # PyTorch's


@pytest.mark.parametrize(("shape", "right"), [((3, 2), (3,)), ((3, 3), (3, 2)), ((2, 4), (2, 2)), ((4, 2), (4, 3))])
def test_least_squares_give_four_results(shape, right):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=shape), rng.normal(size=right)
    x, residuals, rank, s = jnp.linalg.lstsq(jnp.asarray(a), jnp.asarray(b))
    want = np.linalg.lstsq(a, b)
    np.testing.assert_allclose(np.asarray(x), want[0], atol=1e-12)
    np.testing.assert_allclose(np.asarray(residuals), ((b - a @ want[0]) ** 2).sum(0).reshape(-1), atol=1e-12)
    assert int(rank) == want[2] and rank.dtype == jnp.int32
    np.testing.assert_allclose(np.asarray(s), want[3], atol=1e-12)
    assert jnp.linalg.lstsq(jnp.asarray(a), jnp.asarray(b), numpy_resid=True)[1].shape == want[1].shape


SLOPES = {  # of sums of cholesky_solve's result and of the first row of cholesky_inverse's, by the factor
    False: (
        [
            [-0.2249382716, -0.1715016461, -0.0003887243],
            [-0.1204938272, -0.072527572, -0.0677805761],
            [0.1407407407, -0.0605432099, 0.5866469136],
        ],
        [
            [-0.2259259259, -0.0699935833, -0.1288886847],
            [0.0074074074, 0.0125486664, 0.0271494772],
            [-0.1111111111, 0.0289510745, 0.0782928212],
        ],
    ),
    True: (
        [
            [-0.2127777778, -0.1422222222, -0.0333333333],
            [-0.2613055556, -0.1741234568, -0.1977160494],
            [-0.1007645062, -0.0691555556, 0.5127345679],
        ],
        [
            [-0.2272222222, -0.0488888889, -0.2111111111],
            [-0.1497944444, -0.008854321, -0.0653950617],
            [-0.2236032716, 0.0156212346, -0.0065962963],
        ],
    ),
}


@pytest.mark.parametrize("upper", [False, True])
def test_slopes_of_what_is_solved_by_a_cholesky_factor(upper):
    """From PyTorch 2.13, for a factor whose other triangle is not zero."""
    factor = np.array([[2.0, 0.5, 0.1], [1.0, 3.0, -0.3], [0.5, 0.2, 1.5]])
    for f, want in zip(
        (
            lambda t: ft.cholesky_solve(ft.tensor([[1.0], [2.0], [-1.0]]).double(), t, upper=upper),
            lambda t: ft.cholesky_inverse(t, upper=upper)[0],
        ),
        SLOPES[upper],
        strict=True,
    ):
        t = ft.tensor(factor, requires_grad=True)
        f(t).sum().backward()
        np.testing.assert_allclose(t.grad.numpy(), want, atol=1e-9)


@EACH_TIER
def test_whole_numbers_stay_what_they_are(run):
    for f in (jnp.floor, jnp.ceil, jnp.trunc, jnp.round):
        for dtype in ("int8", "uint16", "int64"):
            x = jnp.array([1, 2], dtype)
            assert run(f)(x).dtype == x.dtype and run(f)(x).tolist() == [1, 2]
    assert jnp.floor(jnp.array([True])).dtype == jnp.bool_
    assert jnp.rint(jnp.array([1, 2], "int8")).dtype == jnp.float32  # as JAX


@EACH_TIER
@pytest.mark.parametrize(("a", "b"), [(2.0, [1.0, 3.0]), ([[1.0, 3.0]], 2.0), (2.0, 3.0)])
def test_an_inner_product_with_a_number_is_the_product(run, a, b):
    a, b = np.float32(a), np.float32(b)
    assert run(jnp.inner)(jnp.asarray(a), jnp.asarray(b)).tolist() == np.inner(a, b).tolist()


@pytest.mark.parametrize("shape", [(0,), (0, 2), (3, 0)])
def test_what_is_empty_prints_its_shape(shape):
    x = np.zeros(shape, np.float32)
    assert repr(jnp.asarray(x)) == repr(x).replace("array", "Array")


@EACH_TIER
@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_shares_of_nothing_are_nothing(run, shape):
    x = np.zeros(shape, np.float32)
    for f in (fdl.nn.softmax, fdl.nn.log_softmax):  # JAX 0.10 and PyTorch 2.13 have the shape of x
        for axis in (0, 1, (0, 1)):
            assert run(lambda x, f=f, axis=axis: f(x, axis=axis))(x).shape == shape
    assert math.isnan(run(fdl.nn.logmeanexp)(x))  # JAX 0.10


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_largest_elements_along_any_axis(axis):
    x = np.random.default_rng(0).permutation(60).astype(np.float32).reshape(3, 4, 5)
    values, places = fdl.lax.top_k(jnp.asarray(x), 2, axis=axis)
    order = np.flip(np.argsort(x, axis), axis).take([0, 1], axis)
    assert places.tolist() == order.tolist()
    assert values.tolist() == np.take_along_axis(x, order, axis).tolist()
