"""Samples of `fdl.random` against SciPy's distributions, their gradients, shapes, dtypes, errors."""

import numpy as np
import pytest
from scipy import special, stats

import fdl
import fdl.numpy as jnp
from fdl import random
from fdl.core.errors import ChoiceError, DtypeError, ShapeError

N = 4000
KEY = random.key(42)
# (call, SciPy's distribution); the Kolmogorov-Smirnov test's probability must be above one in a thousand
CONTINUOUS = {
    "cauchy(KEY, (N,))": stats.cauchy(),
    "logistic(KEY, (N,))": stats.logistic(),
    "truncated_normal(KEY, -0.5, 2.0, (N,))": stats.truncnorm(-0.5, 2.0),
    "truncated_normal(KEY, 1.0, jnp.inf, (N,))": stats.truncnorm(1.0, np.inf),
    "gamma(KEY, 0.3, (N,))": stats.gamma(0.3),
    "gamma(KEY, 7.5, (N,))": stats.gamma(7.5),
    "exp(loggamma(KEY, 0.3, (N,)))": stats.gamma(0.3),
    "exp(loggamma(KEY, 2.0, (N,)))": stats.gamma(2.0),
    "beta(KEY, 0.5, 2.0, (N,))": stats.beta(0.5, 2.0),
    "dirichlet(KEY, jnp.array([0.5, 2.0, 1.0]), (N,))[:, 0]": stats.beta(0.5, 3.0),
    "chisquare(KEY, 3.0, (N,))": stats.chi2(3.0),
    "f(KEY, 3.0, 5.0, (N,))": stats.f(3.0, 5.0),
    "t(KEY, 3.0, (N,))": stats.t(3.0),
    "maxwell(KEY, (N,))": stats.maxwell(),
    "double_sided_maxwell(KEY, 1.0, 2.0, (N,))": stats.dgamma(1.5),  # of the squared, halved distance: see below
    "generalized_normal(KEY, 1.5, (N,))": stats.gennorm(1.5),
    "lognormal(KEY, 0.5, (N,))": stats.lognorm(0.5),
    "pareto(KEY, 2.0, (N,))": stats.pareto(2.0),
    "rayleigh(KEY, 2.0, (N,))": stats.rayleigh(scale=2.0),
    "triangular(KEY, -1.0, 1.0, 2.0, (N,))": stats.triang(2 / 3, -1.0, 3.0),
    "wald(KEY, 2.0, (N,))": stats.invgauss(2.0),
    "weibull_min(KEY, 2.0, 1.5, (N,))": stats.weibull_min(1.5, scale=2.0),
    "exponential(KEY, (N,))": stats.expon(),
    "gumbel(KEY, (N,))": stats.gumbel_r(),
    "laplace(KEY, (N,))": stats.laplace(),
    "normal(KEY, (N,))": stats.norm(),
    "uniform(KEY, (N,), minval=jnp.float32(-1.0), maxval=3.0)": stats.uniform(-1.0, 4.0),
}
DISCRETE = {
    "geometric(KEY, 0.3, (N,))": stats.geom(0.3),
    "poisson(KEY, 2.5, (N,))": stats.poisson(2.5),
    "poisson(KEY, 25.0, (N,))": stats.poisson(25.0),
    "poisson(KEY, 1e4, (N,))": stats.poisson(1e4),
    "binomial(KEY, 10, 0.3, (N,))": stats.binom(10, 0.3),
    "binomial(KEY, 10, 0.9, (N,))": stats.binom(10, 0.9),
    "binomial(KEY, 500, 0.3, (N,))": stats.binom(500, 0.3),
    "binomial(KEY, 500, 0.8, (N,))": stats.binom(500, 0.8),
    "multinomial(KEY, 20, jnp.array([0.2, 0.3, 0.5]), shape=(N, 3))[:, 1]": stats.binom(20, 0.3),
    "randint(KEY, (N,), jnp.array(2), jnp.array(7))": stats.randint(2, 7),
    "choice(KEY, 4, (N,), p=jnp.arange(1.0, 5.0))": stats.rv_discrete(values=(range(4), [0.1, 0.2, 0.3, 0.4])),
}


def drawn(text):
    return np.asarray(eval(text, {**vars(random), "exp": jnp.exp, "jnp": jnp, "KEY": KEY, "N": N}), np.float64)


@pytest.mark.parametrize("text", CONTINUOUS)
def test_continuous(text):
    x = drawn(text)
    if text.startswith("double_sided"):
        x = np.sign(x - 1) * ((x - 1) / 2) ** 2 / 2
    assert stats.kstest(x, CONTINUOUS[text].cdf).pvalue > 1e-3


@pytest.mark.parametrize("text", DISCRETE)
def test_discrete(text):
    x, law = drawn(text), DISCRETE[text]
    edges = np.unique(np.floor(np.quantile(x, np.linspace(0, 1, 12))))
    expected = np.diff([0.0, *law.cdf(edges), 1.0]) * N
    found = np.diff([0, *[(x <= e).sum() for e in edges], N])
    kept = expected > 5
    merged = [np.append(v[kept], v[~kept].sum()) for v in (found, expected)]
    merged = [v[:-1] if merged[1][-1] < 1e-9 else v for v in merged]
    statistic = ((merged[0] - merged[1]) ** 2 / merged[1]).sum()
    assert stats.chi2.sf(statistic, len(merged[0]) - 1) > 1e-3, (merged, edges)


def test_multivariate_normal_has_mean_and_covariance():
    mean, cov = jnp.array([1.0, -2.0, 0.5]), jnp.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])
    for method in ("cholesky", "eigh", "svd"):
        x = np.asarray(random.multivariate_normal(KEY, mean, cov, (20000,), method=method))
        np.testing.assert_allclose(x.mean(0), mean, atol=0.03)
        np.testing.assert_allclose(np.cov(x.T), cov, atol=0.05)
    assert random.multivariate_normal(KEY, jnp.zeros((4, 3)), cov).shape == (4, 3)
    with pytest.raises(ChoiceError):
        random.multivariate_normal(KEY, mean, cov, method="lu")


@pytest.mark.parametrize("n, m", [(3, None), (4, 2), (2, 4)])
def test_orthogonal(n, m):
    q = np.asarray(random.orthogonal(KEY, n, (5,), m=m))
    assert q.shape == (5, n, m or n)
    small = min(n, m or n)
    product = np.swapaxes(q, 1, 2) @ q if n >= (m or n) else q @ np.swapaxes(q, 1, 2)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(small), (5, small, small)), atol=1e-5)


def test_points_in_the_ball_are_spread_evenly():
    x = np.asarray(random.ball(KEY, 3, shape=(N,)))
    radius = np.sqrt((x**2).sum(1))
    assert stats.kstest(radius**3, "uniform").pvalue > 1e-3
    corner = np.abs(np.asarray(random.ball(KEY, 2, p=1, shape=(N,)))).sum(1)
    assert stats.kstest(corner**2, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("a", [0.2, 1.0, 4.5])
def test_a_gamma_sample_moves_with_its_order(a):
    """The slope is that of the quantile at the sample's share of the distribution."""
    share, h = stats.gamma(a).cdf(float(random.gamma(KEY, a))), 1e-4
    expected = (stats.gamma(a + h).ppf(share) - stats.gamma(a - h).ppf(share)) / (2 * h)
    np.testing.assert_allclose(float(fdl.grad(lambda a: random.gamma(KEY, a))(jnp.float32(a))), expected, rtol=2e-3)


MEANS = {  # (mean of samples by a parameter, its slope)
    "loggamma(KEY, a, (N,))": (0.7, float(special.polygamma(1, 0.7))),
    "beta(KEY, a, 2.0, (N,))": (1.5, 2.0 / 3.5**2),
    "lognormal(KEY, a, (N,))": (0.5, 0.5 * np.exp(0.125)),
    "weibull_min(KEY, a, 1.5, (N,))": (2.0, 0.902745),
    "triangular(KEY, -1.0, a, 2.0, (N,))": (1.0, 1 / 3),
    "chisquare(KEY, a, (N,))": (3.0, 1.0),
    "rayleigh(KEY, a, (N,))": (2.0, np.sqrt(np.pi / 2)),
}


@pytest.mark.parametrize("text", MEANS)
def test_gradients_of_means(text):
    at, expected = MEANS[text]
    names = {**vars(random), "KEY": KEY, "N": 20000}
    slope = fdl.grad(lambda a: jnp.mean(eval(text, {**names, "a": a})))(jnp.float32(at))
    np.testing.assert_allclose(float(slope), expected, rtol=0.05)


def test_shapes_and_dtypes():
    assert random.gamma(KEY, jnp.ones((3, 1)), (2, 3, 4)).shape == (2, 3, 4)
    assert random.beta(KEY, jnp.ones(3), jnp.ones((2, 1))).shape == (2, 3)
    assert random.dirichlet(KEY, jnp.ones((2, 5))).shape == (2, 5)
    assert random.t(KEY, 3.0, (2,), jnp.float64).dtype == "float64"
    assert random.gamma(KEY, 3.0, (2,), jnp.bfloat16).dtype == "bfloat16"
    assert random.poisson(KEY, jnp.array([1.0, 50.0])).dtype == "int32"
    assert random.binomial(KEY, 10, 0.5, (2,)).dtype == "float32"
    assert np.isnan(np.asarray(random.binomial(KEY, 10, jnp.array([1.5])))).all()
    assert random.poisson(KEY, jnp.array([0.0])).tolist() == [0]
    assert random.binomial(KEY, 10, jnp.array([0.0, 1.0])).tolist() == [0.0, 10.0]
    assert random.multinomial(KEY, 9, jnp.ones((2, 3)) / 3).sum(-1).tolist() == [9.0, 9.0]
    with pytest.raises(ShapeError):
        random.gamma(KEY, jnp.ones(3), (2,))
    with pytest.raises(DtypeError):
        random.cauchy(KEY, (2,), jnp.int32)


def test_distributions_under_jit_and_vmap():
    compiled = fdl.jit(lambda key, a: (random.gamma(key, a), random.poisson(key, a), random.binomial(key, 20, 0.5)))
    keys = random.split(KEY, 3)
    rows = fdl.vmap(lambda key: compiled(key, 2.5))(keys)
    for i in range(3):
        for row, one in zip(rows, compiled(keys[i], 2.5), strict=True):
            np.testing.assert_allclose(np.asarray(row)[i], np.asarray(one), rtol=1e-6)


def test_choice_permutation_and_categorical():
    x = jnp.arange(12).reshape(3, 4)
    moved = np.asarray(random.permutation(KEY, x, axis=1))
    assert sorted(map(tuple, moved.T.tolist())) == sorted(map(tuple, np.asarray(x).T.tolist()))
    own = np.asarray(random.permutation(KEY, jnp.tile(jnp.arange(50), (3, 1)), axis=1, independent=True))
    assert (np.sort(own, 1) == np.arange(50)).all() and not (own[0] == own[1]).all()
    assert random.choice(KEY, x, (2, 5), axis=1).shape == (3, 2, 5)
    picked = random.choice(KEY, 5, (3,), replace=False, p=jnp.array([0.0, 1.0, 1.0, 0.0, 1.0])).tolist()
    assert sorted(picked) == [1, 2, 4]
    with pytest.raises(ShapeError):
        random.choice(KEY, 5, (2,), p=jnp.ones(4))
    classes = random.categorical(KEY, jnp.zeros((2, 6)), shape=(6, 2), replace=False)
    assert (np.sort(np.asarray(classes), 0) == np.arange(6)[:, None]).all()
    bounds = random.randint(KEY, (2, 1000), jnp.array([[0], [10]]), jnp.array([[3], [12]]))
    assert [(int(r.min()), int(r.max())) for r in bounds] == [(0, 2), (10, 11)]
    assert fdl.jit(lambda n: random.randint(KEY, (5,), 0, n))(3).shape == (5,)


def test_keys_are_their_words():
    words = random.key_data(KEY)
    assert (random.wrap_key_data(words) == KEY).all() and random.clone(KEY) is KEY
    with pytest.raises(ChoiceError):
        random.wrap_key_data(words, impl="threefry2x32")
