"""`fdl.numpy` against NumPy; indexing by property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdl
import fdl.numpy as jnp
from fdl import nn, optim, random
from fdl.scipy import special

X = np.random.default_rng(0).uniform(-2, 2, (3, 4)).astype(np.float32)
POSITIVE = np.abs(X) + 0.1


def close(a, b, tol=1e-5):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=tol, atol=tol)


UNARY = [
    "exp",
    "expm1",
    "sin",
    "cos",
    "tanh",
    "sinh",
    "cosh",
    "arctan",
    "abs",
    "floor",
    "ceil",
    "trunc",
    "sign",
    "square",
    "isnan",
    "isinf",
    "isfinite",
    "logical_not",
    "exp2",
]


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    close(getattr(jnp, name)(X), getattr(np, name)(X))


@pytest.mark.parametrize("name", ["log", "log2", "log10", "log1p", "sqrt", "reciprocal"])
def test_unary_of_positive(name):
    close(getattr(jnp, name)(POSITIVE), getattr(np, name)(POSITIVE))


@pytest.mark.parametrize("name", ["arcsin", "arccos"])
def test_inverse_trigonometric(name):
    close(getattr(jnp, name)(X / 2.1), getattr(np, name)(X / 2.1))


@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "mean",
        "max",
        "min",
        "prod",
        "var",
        "std",
        "cumsum",
        "cumprod",
        "argmax",
        "argmin",
        "any",
        "all",
        "count_nonzero",
    ],
)
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_reductions(name, axis):
    close(getattr(jnp, name)(X, axis=axis), getattr(np, name)(X, axis=axis), 1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "subtract",
        "multiply",
        "divide",
        "power",
        "maximum",
        "minimum",
        "arctan2",
        "hypot",
        "logaddexp",
        "floor_divide",
        "remainder",
    ],
)
def test_binary_broadcasts(name):
    close(getattr(jnp, name)(POSITIVE, POSITIVE[:1]), getattr(np, name)(POSITIVE, POSITIVE[:1]), 1e-4)


def test_integer_arithmetic():
    a, b = np.array([7, -7, 7, -7, 0], np.int32), np.array([3, 3, -3, -3, 5], np.int32)
    close(jnp.asarray(a) // jnp.asarray(b), a // b)
    close(jnp.asarray(a) % jnp.asarray(b), a % b)
    close(jnp.asarray(a) ** 2, a**2)
    assert (jnp.asarray(a) / 2).dtype == "float32"
    assert int(jnp.sum(jnp.array([True, True]))) == 2


def test_manipulation():
    close(jnp.moveaxis(np.ones((2, 3, 4)), 0, -1).shape, (3, 4, 2))
    close(jnp.moveaxis(np.ones((2, 3, 4)), (2, 1), (0, 1)).shape, (4, 3, 2))
    close(jnp.moveaxis(np.ones((2, 3, 4)), (0, 1), (-1, 0)).shape, (3, 4, 2))
    close(jnp.tile(X, (2, 1)), np.tile(X, (2, 1)))
    close(jnp.repeat(X, 2, axis=1), np.repeat(X, 2, axis=1))
    close(jnp.roll(X, 1, axis=1), np.roll(X, 1, axis=1))
    close(jnp.flip(X, 0), np.flip(X, 0))
    close(jnp.pad(X, ((1, 0), (0, 2))), np.pad(X, ((1, 0), (0, 2))))
    for a, b in zip(jnp.split(X, [1, 3], axis=1), np.split(X, [1, 3], axis=1), strict=True):
        close(a, b)
    close(jnp.stack([X, X], axis=1), np.stack([X, X], axis=1))
    close(jnp.tril(X), np.tril(X))
    close(jnp.triu(X, 1), np.triu(X, 1))
    close(jnp.diag(X[:3, :3]), np.diag(X[:3, :3]))
    close(jnp.diag(X[0], -1), np.diag(X[0], -1))
    close(jnp.eye(3, 4, 1), np.eye(3, 4, 1))
    close(jnp.arange(2, 9, 3), np.arange(2, 9, 3))
    close(jnp.meshgrid(jnp.arange(2), jnp.arange(3))[1], np.meshgrid(np.arange(2), np.arange(3))[1])
    close(jnp.take_along_axis(X, jnp.argmax(X, axis=1, keepdims=True), 1), X.max(1, keepdims=True))


@pytest.mark.parametrize(
    "text, shapes",
    [("ij,kj->ik", [(2, 3), (4, 3)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("ii", [(3, 3)]), ("ii->i", [(3, 3)]),
        ("ij->ji", [(2, 3)]), ("i,j,k->kij", [(2,), (3,), (4,)]),
     ("...ij,jk->...ik", [(5, 2, 3), (3, 4)]), ("ij,ij->", [(2, 3), (2, 3)]),
     ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]), ("ij,j", [(2, 3), (3,)])],
)  # fmt: skip
def test_einsum(text, shapes):
    rng = np.random.default_rng(1)
    xs = [rng.normal(size=s) for s in shapes]
    close(jnp.einsum(text, *xs), np.einsum(text, *xs), 1e-9)


@pytest.mark.parametrize(
    "a, b",
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 2)),
    ],
)
def test_matmul(a, b):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=a), rng.normal(size=b)
    close(jnp.matmul(x, y), np.matmul(x, y), 1e-9)
    if len(b) != 1 or len(a) != 1:
        close(jnp.dot(x, y), np.dot(x, y), 1e-9)


SHAPE = (4, 3, 5)


def axis_index(n):
    slices = st.builds(
        slice,
        st.none() | st.integers(-n - 1, n + 1),
        st.none() | st.integers(-n - 1, n + 1),
        st.sampled_from([None, 1, 2, -1, -2]),
    )
    arrays = st.lists(st.integers(-n, n - 1), min_size=2, max_size=2).map(np.array)
    return st.integers(-n, n - 1) | slices | arrays | st.just(None)


@st.composite
def indices(draw):
    items, axis = [], 0
    while axis < len(SHAPE) and draw(st.booleans() if axis else st.just(True)):
        item = draw(axis_index(SHAPE[axis]))
        items.append(item)
        axis += item is not None
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), Ellipsis)
    return tuple(items)


@given(indices())
def test_indexing_is_numpys(index):
    x = np.arange(60, dtype=np.float32).reshape(SHAPE)
    used = sum(i is not None and i is not Ellipsis for i in index)
    try:
        want = x[index]
    except IndexError:
        return
    if used > 3:
        return
    got = jnp.asarray(x)[index]
    np.testing.assert_array_equal(np.asarray(got), want)
    value = np.arange(want.size, dtype=np.float32).reshape(want.shape)
    changed, added = x.copy(), x.copy()
    changed[index] = value
    np.add.at(added, index, value)
    np.testing.assert_array_equal(np.asarray(jnp.asarray(x).at[index].set(value)), changed)
    np.testing.assert_array_equal(np.asarray(jnp.asarray(x).at[index].add(value)), added)
    gradient = fdl.grad(lambda v: (v[index] * value).sum())(jnp.asarray(x))
    expected = np.zeros_like(x)
    np.add.at(expected, index, value)
    np.testing.assert_array_equal(np.asarray(gradient), expected)


def test_masks_and_traced_indices():
    x = jnp.arange(5.0)
    close(x[np.array([True, False, True, False, True])], [0, 2, 4])
    close(x[x > 2], [3, 4])
    close(fdl.jit(lambda x, i: x[i])(x, 3), 3)
    close(fdl.jit(lambda x, i: x[i])(x, -1), 4)
    close(fdl.vmap(lambda i: x[i])(jnp.array([0, 2])), [0, 2])
    close(fdl.jit(lambda x, i: x.at[i].add(1.0))(x, jnp.array([0, 0, 4])), [2, 1, 2, 3, 5])
    with pytest.raises(TypeError):
        fdl.jit(lambda x: x[x > 2])(x)


def test_random_numbers():
    key = random.key(0)
    k1, k2 = random.split(key)
    a, b = random.normal(k1, (20000,)), random.normal(k1, (20000,))
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert abs(float(a.mean())) < 0.03 and abs(float(a.std()) - 1) < 0.03
    assert abs(float((a**3).mean())) < 0.1 and abs(float((a**4).mean()) - 3) < 0.2
    assert not np.allclose(a, random.normal(k2, (20000,)))
    u = random.uniform(k2, (20000,), minval=2.0, maxval=3.0)
    assert float(u.min()) >= 2 and float(u.max()) < 3 and abs(float(u.mean()) - 2.5) < 0.01
    assert sorted(random.permutation(key, 10).tolist()) == list(range(10))
    assert set(random.bernoulli(key, 0.3, (50,)).tolist()) == {True, False}
    assert (
        random.normal(key, (3,), "float64").dtype == "float64"
        and random.uniform(key, (3,), "bfloat16").dtype == "bfloat16"
    )
    counts = np.bincount(np.asarray(random.randint(key, (6000,), 0, 6)), minlength=6)
    assert counts.min() > 850
    assert len({tuple(random.fold_in(key, i).tolist()) for i in range(100)}) == 100
    np.testing.assert_array_equal(
        np.asarray(fdl.jit(random.permutation, static_argnums=1)(key, 20)), np.asarray(random.permutation(key, 20))
    )
    draws = np.asarray(random.categorical(key, jnp.log(jnp.array([0.1, 0.2, 0.7])), shape=(5000,)))
    assert abs((draws == 2).mean() - 0.7) < 0.03


def test_philox_known_answers():
    """Vectors of Random123, the reference implementation of the paper."""
    from fdl.ops.random import philox

    cases = [
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ]
    for counter, key, want in cases:
        assert " ".join(f"{int(w):08x}" for w in philox(counter, key)) == want


def test_normal_follows_scipys_distribution():
    stats = pytest.importorskip("scipy.stats")
    for dtype in ("float32", "float64"):
        sample = np.asarray(random.normal(random.key(3), (5000,), dtype), np.float64)
        assert stats.kstest(sample, "norm").pvalue > 0.01
    special = pytest.importorskip("scipy.special")
    p = np.linspace(-0.999, 0.999, 1001)
    np.testing.assert_allclose(np.asarray(fdl.lax.erf_inv(jnp.asarray(p))), special.erfinv(p), rtol=1e-12)


def test_nn_functions():
    special = pytest.importorskip("scipy.special")
    close(nn.softmax(X), special.softmax(X, -1))
    close(nn.softmax(X, axis=0), special.softmax(X, 0))
    close(nn.log_softmax(X), special.log_softmax(X, -1))
    close(nn.logsumexp(X, axis=0), special.logsumexp(X, 0))
    close(nn.sigmoid(X), special.expit(X))
    close(nn.gelu(X, approximate=False), 0.5 * X * (1 + special.erf(X / np.sqrt(2))))
    labels = np.array([0, 3, 1])
    close(nn.cross_entropy(X, labels), -special.log_softmax(X, -1)[np.arange(3), labels].mean())
    close(fdl.grad(nn.cross_entropy)(jnp.asarray(X), labels), (special.softmax(X, -1) - np.eye(4)[labels]) / 3)
    close(nn.one_hot(labels, 4), np.eye(4)[labels])
    close(nn.layer_norm(X), (X - X.mean(-1, keepdims=True)) / np.sqrt(X.var(-1, keepdims=True) + 1e-5))
    assert float(fdl.grad(nn.relu)(0.0)) == 0 and np.isfinite(float(nn.logsumexp(jnp.array([-jnp.inf, 1000.0]))))
    assert float(nn.logsumexp(jnp.array([-jnp.inf, -jnp.inf]))) == -np.inf


def reference_adam(p, grads, lr, decay=0.0):
    m = v = np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p = p - lr * decay * p - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


def test_optimizers():
    rng = np.random.default_rng(3)
    start, grads = rng.normal(size=5), rng.normal(size=(20, 5))

    def run(optimizer):
        params = {"w": jnp.asarray(start)}
        state = optimizer.init(params)
        update = fdl.jit(optimizer.update)
        for g in grads:
            updates, state = update({"w": jnp.asarray(g)}, state, params)
            params = optim.apply_updates(params, updates)
        return np.asarray(params["w"])

    np.testing.assert_allclose(run(optim.adam(0.1)), reference_adam(start, grads, 0.1), rtol=1e-9)
    np.testing.assert_allclose(
        run(optim.adamw(0.1, weight_decay=0.05)), reference_adam(start, grads, 0.1, 0.05), rtol=1e-9
    )
    np.testing.assert_allclose(run(optim.sgd(0.1)), start - 0.1 * grads.sum(0), rtol=1e-9)
    p, velocity = start, np.zeros(5)
    for g in grads:
        velocity = 0.9 * velocity + g
        p = p - 0.1 * velocity
    np.testing.assert_allclose(run(optim.sgd(0.1, momentum=0.9)), p, rtol=1e-9)


@pytest.mark.parametrize(
    "ord, axis",
    [
        (None, None),
        (None, 1),
        (2, 0),
        (1, 0),
        (np.inf, 1),
        (-np.inf, 1),
        (3, 1),
        ("fro", None),
        (1, None),
        (np.inf, None),
        (0, 1),
    ],
)
def test_norms(ord, axis):
    close(jnp.linalg.norm(X, ord, axis), np.linalg.norm(X, ord, axis))


DERIVED = [
    ("cbrt", (X,)), ("arcsinh", (X,)), ("arccosh", (POSITIVE + 1,)), ("arctanh", (X / 3,)), ("deg2rad", (X,)),
    ("rad2deg", (X,)), ("sinc", (X,)), ("heaviside", (X, 0.5)),
    ("ptp", (X,)), ("nansum", (X,)), ("nanmean", (X,)), ("diff", (X,)), ("trapezoid", (X,)), ("cov", (X,)),
    ("fliplr", (X,)), ("rot90", (X,)), ("kron", (X, X)),
    ("cross", (X[:, :3], X[:, 1:])), ("diagonal", (X,)), ("column_stack", ([X, X],)), ("append", (X, X)),
    ("fmod", (X, 0.7)), ("rint", (X,)), ("tri", (3, 4)),
]  # fmt: skip


@pytest.mark.parametrize("name, args", DERIVED, ids=[name for name, _ in DERIVED])
def test_derived_functions(name, args):
    close(getattr(jnp, name)(*args), getattr(np, name)(*args), 1e-4)


def test_more_distributions():
    key = random.key(5)
    for sample, mean, std in [
        (random.exponential(key, (20000,)), 1, 1),
        (random.gumbel(key, (20000,)), 0.5772, 1.2825),
        (random.laplace(key, (20000,)), 0, 2**0.5),
    ]:
        assert abs(float(sample.mean()) - mean) < 0.05 and abs(float(sample.std()) - std) < 0.05
    assert sorted(random.choice(key, jnp.arange(5) * 2, (5,), replace=False).tolist()) == [0, 2, 4, 6, 8]
    with pytest.raises(ValueError):
        random.choice(key, 3, (5,), replace=False)


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("ddof", [0, 1])
def test_variance_of_many_numbers(offset, ddof):
    """Row by row, as it is read once, it is as exact as in two passes."""
    x = (
        np.random.default_rng(0).normal(size=(64, 33, 128)).astype(np.float32)
        + np.float32(offset) * np.linspace(1, 2, 64, dtype=np.float32)[:, None, None]
    )
    want = x.astype(np.float64).var(ddof=ddof)
    for f in (jnp.var, fdl.jit(jnp.var, static_argnames=("ddof",))):
        assert float(f(jnp.asarray(x), ddof=ddof)) == pytest.approx(want, rel=1e-4 if offset else 1e-5)
    close = fdl.grad(lambda x: jnp.var(x, ddof=ddof))(jnp.asarray(x))
    np.testing.assert_allclose(
        np.asarray(close), 2 * (x - x.astype(np.float64).mean()) / (x.size - ddof), rtol=1e-3, atol=1e-8 * (1 + offset)
    )


def test_large_integers_in_lists_stay_exact():
    rows = [[2**64 - 1, 2**63 + 1], [True, 0]]
    assert jnp.array(rows, "uint64").tolist() == [[2**64 - 1, 2**63 + 1], [1, 0]]
    assert jnp.array([2**64 - 1, 5], "float32").tolist() == [2.0**64, 5.0]


def test_softmax_of_scipy_is_of_all_elements():
    shares = np.exp(X) / np.exp(X).sum()
    for axis in (None, (0, 1)):
        close(special.softmax(X, axis), shares)
        close(special.log_softmax(X, axis), np.log(shares))
    close(special.softmax(X, 0), nn.softmax(X, 0))
    assert float(special.softmax(2.0)) == 1.0


def test_arrays_of_at_least_so_many_axes():
    assert jnp.array(3.0, ndmin=2).tolist() == [[3.0]] and jnp.array(X, ndmin=1, order="F").shape == X.shape
    assert jnp.array([1, 2], "float32", True, "K", 3).shape == (1, 1, 2)


def test_nan_to_num_takes_copy_before_nan():
    assert jnp.nan_to_num(np.array([np.nan, 1.0]), True).tolist() == [0.0, 1.0]
    assert jnp.nan_to_num(np.array([complex(np.nan, 1)]), False, 2.0).tolist() == [2 + 1j]
