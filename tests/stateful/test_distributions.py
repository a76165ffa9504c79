"""Distributions: densities and moments as PyTorch's, samples by their statistics, gradients through samples, what is
refused.
"""

import math

import numpy as np
import pytest

import fdl
import fdl.stateful as torch
from fdl.incomplete import gamma_sample, gammainc, gammaincc

D = torch.distributions
CASES = {
    "Normal": ([[0.3, -1.0]], [[1.0, 2.0]]), "LogNormal": ([[0.3, -1.0]], [[0.5, 0.7]]), "HalfNormal": ([[1.0, 2.0]],),
    "Uniform": ([[0.0, -1.0]], [[1.0, 2.0]]),
    "Exponential": ([[1.0, 2.0]],),
    "Laplace": ([[0.0, -1.0]], [[1.0, 2.0]]), "Cauchy": ([[0.0, -1.0]], [[1.0, 2.0]]),
    "Gumbel": ([[0.0, -1.0]], [[1.0, 2.0]]), "Gamma": ([[0.7, 2.0]], [[1.0, 2.0]]),
    "Chi2": ([[1.5, 3.0]],),
    "Dirichlet": ([[0.7, 2.0, 1.5]],), "Beta": ([[2.0, 3.0]], [[1.5, 2.0]]),
    "StudentT": ([[5.0, 7.0]], [[0.0, 1.0]], [[1.0, 2.0]]), "HalfCauchy": ([[1.0, 2.0]],),
    "Pareto": ([[1.0, 2.0]], [[5.0, 6.0]]),
    "Weibull": ([[1.0, 2.0]], [[1.5, 1.2]]), "Kumaraswamy": ([[2.0, 3.0]], [[1.5, 2.0]]),
    "InverseGamma": ([[6.0, 7.0]], [[1.0, 2.0]]),
    "FisherSnedecor": ([[3.0, 4.0]], [[9.0, 10.0]]),
    "NegativeBinomial": ([[3.0, 4.0]], [[0.3, 0.6]]), "LogisticNormal": ([[0.1, 0.2]], [[1.0, 0.5]]),
    "Bernoulli": ([[0.3, 0.6]],), "Geometric": ([[0.3, 0.6]],),
    "Poisson": ([[1.3, 4.0]],),
    "Binomial": ([[5.0, 5.0]], [[0.3, 0.6]]), "Categorical": ([[0.2, 0.3, 0.5]],),
    "OneHotCategorical": ([[0.2, 0.3, 0.5]],),
    "OneHotCategoricalStraightThrough": ([[0.2, 0.3, 0.5]],),
    "RelaxedBernoulli": (0.7, [[0.3, 0.6]]), "RelaxedOneHotCategorical": (0.7, [[0.2, 0.3, 0.5]]),
}  # fmt: skip
VALUES = {
    "Dirichlet": [[0.2, 0.3, 0.5]], "LogisticNormal": [[0.2, 0.3, 0.5]], "RelaxedOneHotCategorical": [[0.2, 0.3, 0.5]],
    "Categorical": [1],
    "OneHotCategorical": [[0, 1, 0]],
    "OneHotCategoricalStraightThrough": [[0, 1, 0]], "Bernoulli": [1, 0], "Geometric": [2, 3], "Poisson": [2, 3],
    "Binomial": [2, 3], "NegativeBinomial": [2, 3],
    "Beta": [0.2, 0.7],
    "Kumaraswamy": [0.2, 0.7], "RelaxedBernoulli": [0.2, 0.7], "Pareto": [1.5, 3.0], "Uniform": [0.5, 0.5],
}  # fmt: skip
FACTS = (
    "mean variance stddev mode entropy log_prob cdf icdf enumerate_support expand batch_shape event_shape "
    "has_rsample has_enumerate_support"
).split()
BETTER = {("Kumaraswamy", "mode")}  # NaN in PyTorch


def made(torch, name):
    return getattr(torch.distributions, name)(*[torch.tensor(np.asarray(a, np.float32)) for a in CASES[name]])


def fact(torch, name, what):
    d, value = made(torch, name), torch.tensor(np.asarray(VALUES.get(name, [0.5, 1.5]), np.float32))
    if what in ("log_prob", "cdf"):
        return getattr(d, what)(value)
    if what == "icdf":
        return d.icdf(torch.tensor([0.3, 0.8]))
    if what == "expand":
        return d.expand((4, *d.batch_shape)).log_prob(value)
    found = getattr(d, what)
    return found() if callable(found) else found


@pytest.mark.peers
@pytest.mark.parametrize("name", CASES)
def test_facts_as_in_torch(name):
    theirs = pytest.importorskip("torch")
    for what in FACTS:
        try:
            want = fact(theirs, name, what)
        except (NotImplementedError, AttributeError):
            continue
        got = fact(torch, name, what)
        if hasattr(want, "numpy"):
            assert got.shape == want.shape, what
            if (name, what) not in BETTER:
                np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-3, atol=1e-4, err_msg=what)
        else:
            assert got == want, what


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in CASES
        if n
        not in ("Cauchy", "HalfCauchy", "LogisticNormal", "Categorical", "RelaxedBernoulli", "RelaxedOneHotCategorical")
    ],
)
def test_samples_have_the_mean_and_variance(name):
    torch.manual_seed(5)
    d = made(torch, name)
    drawn = d.sample((20_000,)).numpy().astype(np.float64)
    assert drawn.shape == (20_000, *d.batch_shape, *d.event_shape)
    deviation = d.stddev.numpy()
    np.testing.assert_array_less(np.abs(drawn.mean(0) - d.mean.numpy()), 6 * deviation / math.sqrt(20_000))
    if name not in ("Pareto", "InverseGamma", "FisherSnedecor", "StudentT"):  # whose fourth moments are large
        np.testing.assert_allclose(drawn.var(0), d.variance.numpy(), rtol=0.15)
    assert bool(d.support.check(d.sample((50,))).all())


@pytest.mark.parametrize(
    "name",
    [
        "Gamma",
        "Beta",
        "Dirichlet",
        "StudentT",
        "Chi2",
        "InverseGamma",
        "FisherSnedecor",
        "Weibull",
        "Pareto",
        "Kumaraswamy",
        "HalfCauchy",
        "Laplace",
    ],
)
def test_gradients_flow_through_samples(name):
    """The derivative of a mean over samples is that of the mean."""
    torch.manual_seed(1)
    parameters = [torch.tensor(np.asarray(a, np.float32), requires_grad=True) for a in CASES[name]]
    d = getattr(D, name)(*parameters)

    def held(x):  # bounded, so that the average settles soon
        return (x / (1 + x.abs())).sum()

    drawn = d.rsample((40_000,))
    gradients = torch.autograd.grad(held(drawn) / 40_000, parameters)
    h = 0.05
    for k, g in enumerate(gradients):
        for i in range(g.numel()):
            ends = []
            for sign in (1, -1):
                moved = [np.asarray(a, np.float64).copy() for a in CASES[name]]
                moved[k].reshape(-1)[i] += sign * h
                torch.manual_seed(2)
                ends.append(held(getattr(D, name)(*[torch.tensor(m) for m in moved]).sample((40_000,))).item() / 40_000)
            slope = (ends[0] - ends[1]) / (2 * h)
            assert abs(g.reshape(-1)[i].item() - slope) < 0.12, (k, i, g.reshape(-1)[i].item(), slope)


def test_incomplete_gamma_functions():
    special = pytest.importorskip("scipy.special")
    r = np.random.default_rng(0)
    a = np.concatenate([r.uniform(1e-3, 5, 100), 10 ** r.uniform(-2, 3, 200)])
    x = np.concatenate([r.uniform(0, 10, 100), a[100:] * 10 ** r.uniform(-1, 0.5, 200)])
    np.testing.assert_allclose(np.asarray(gammainc(a, x)), special.gammainc(a, x), rtol=1e-11, atol=1e-290)
    np.testing.assert_allclose(np.asarray(gammaincc(a, x)), special.gammaincc(a, x), rtol=1e-10, atol=1e-290)
    h = 1e-5 * a
    want = (special.gammainc(a + h, x) - special.gammainc(a - h, x)) / (2 * h)
    np.testing.assert_allclose(np.asarray(fdl.grad(lambda a: gammainc(a, x).sum())(a)), want, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        np.asarray(fdl.grad(lambda x: gammaincc(a, x).sum())(x)),
        -np.exp((a - 1) * np.log(x) - x - special.gammaln(a)),
        rtol=1e-9,
        atol=1e-290,
    )
    ends = np.asarray(gammainc(np.array([1.0, 0, -1, 2, 2]), np.array([0.0, 1, 1, np.inf, np.nan])))
    np.testing.assert_array_equal(ends, [0, 1, np.nan, 1, np.nan])


def test_a_gamma_sample_moves_along_its_quantile():
    special = pytest.importorskip("scipy.special")
    for a, share in ((0.3, 0.2), (2.0, 0.5), (7.0, 0.99), (300.0, 0.4)):
        x = special.gammaincinv(a, share)
        want = (special.gammaincinv(a + 1e-5 * a, share) - special.gammaincinv(a - 1e-5 * a, share)) / (2e-5 * a)
        assert math.isclose(
            float(fdl.grad(lambda a, x=x: gamma_sample(a, np.float64(x)))(np.float64(a))), want, rel_tol=1e-5
        )


def test_what_is_refused():
    with pytest.raises(
        ValueError, match=r"parameter scale .* to satisfy the constraint GreaterThan\(lower_bound=0.0\)"
    ):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="parameter probs"):
        D.Bernoulli(torch.tensor([1.5]))
    with pytest.raises(ValueError, match="covariance_matrix"):
        D.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ValueError, match=r"parameter low .* to satisfy the constraint LessThan\(upper_bound=0.0\)"):
        D.Uniform(1.0, 0.0)
    with pytest.raises(ValueError, match="within the support"):
        D.Poisson(torch.tensor(2.0)).log_prob(torch.tensor(0.5))
    with pytest.raises(ValueError, match="within the support"):
        D.LogNormal(0.0, 1.0).log_prob(torch.tensor(-1.0))
    assert (
        D.Normal(0.0, -1.0, validate_args=False).scale == -1
        and math.isnan(D.Normal(torch.zeros(()), torch.tensor(1.0)).log_prob(torch.tensor(2.0)).item()) is False
    )
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)


def test_a_bound_that_is_traced_is_not_looked_at():
    """Densities by PyTorch 2.13, and their derivatives, of what the bound of a constraint depends on."""
    for density, want, slope, outside in (
        (lambda h: D.Uniform(torch.tensor(0.0), h).log_prob(torch.tensor(0.3)), -0.6931472, -0.5, 0.1),
        (lambda h: D.Pareto(h, torch.tensor(2.0)).log_prob(torch.tensor(3.3)), -1.5023258, 1.0, 5.0),
        (lambda h: D.Independent(D.Uniform(-h.expand(1), h), 1).log_prob(torch.tensor([0.5])), -1.3862944, -0.5, None),
    ):
        assert fdl.jit(density)(torch.tensor(2.0)).item() == pytest.approx(want, rel=1e-6)
        assert fdl.grad(density)(torch.tensor(2.0)).item() == pytest.approx(slope, rel=1e-6)
        if outside is not None:
            with pytest.raises(ValueError, match="within the support"):
                density(torch.tensor(outside))


def test_checks_do_not_wait_for_what_is_recorded():
    """A distribution in a loop that is replayed does not cut the loop."""
    torch.manual_seed(0)
    net = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    target = torch.tensor([[0.5, -0.5]])
    losses = []
    for _ in range(25):
        loc, raw = net(torch.ones(4, 2)).chunk(2, -1)
        loss = -D.Normal(loc, torch.nn.functional.softplus(raw)).log_prob(target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_mixtures():
    theirs = pytest.importorskip("torch")

    def facts(torch):
        D = torch.distributions
        mixed = D.MixtureSameFamily(
            D.Categorical(torch.tensor([0.3, 0.7])), D.Normal(torch.tensor([-1.0, 2.0]), torch.tensor([1.0, 0.5]))
        )
        wide = D.MixtureSameFamily(
            D.Categorical(torch.ones(3, 2)), D.Independent(D.Normal(torch.zeros(3, 2, 4), torch.ones(3, 2, 4)), 1)
        )
        low = D.LowRankMultivariateNormal(
            torch.zeros(3), torch.tensor([[1.0], [0.5], [0.2]]), torch.tensor([1.0, 2.0, 3.0])
        )
        x = torch.tensor([0.5, 1.0, -0.5])
        return [
            mixed.mean,
            mixed.variance,
            mixed.log_prob(x),
            mixed.cdf(x),
            wide.log_prob(torch.ones(3, 4)),
            wide.mean,
            low.log_prob(x),
            low.variance,
            low.entropy(),
            low.covariance_matrix,
        ]

    for got, want in zip(facts(torch), facts(theirs), strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-4, atol=1e-5)
    mixed = D.MixtureSameFamily(
        D.Categorical(torch.tensor([0.3, 0.7])), D.Normal(torch.tensor([-1.0, 2.0]), torch.tensor([1.0, 0.5]))
    )
    drawn = mixed.sample((20_000,))
    assert drawn.shape == (20_000,) and abs(drawn.mean().item() - mixed.mean.item()) < 0.05
    several = D.MixtureSameFamily(
        D.Categorical(torch.ones(3, 2)), D.Independent(D.Normal(torch.zeros(3, 2, 4), torch.ones(3, 2, 4)), 1)
    )
    assert several.sample((5,)).shape == (5, 3, 4)


def test_constraints():
    c = D.constraints
    assert c.simplex.check(torch.tensor([[0.5, 0.5], [0.5, 0.6]])).tolist() == [True, False]
    assert (
        c.lower_cholesky.check(torch.tensor([[1.0, 0.0], [3.0, 2.0]])).item()
        and not c.lower_cholesky.check(torch.tensor([[1.0, 1.0], [3.0, 2.0]])).item()
    )
    assert c.positive_definite.check(torch.eye(2)).item() and not c.positive_definite.check(-torch.eye(2)).item()
    assert c.integer_interval(0, 2).check(torch.tensor([0.0, 1.5, 3.0])).tolist() == [True, False, False]
    assert c.half_open_interval(0.0, 1.0).check(torch.tensor([0.0, 1.0])).tolist() == [True, False] and c.real.check(
        torch.tensor([1.0, math.nan])
    ).tolist() == [True, False]
    assert (
        c.one_hot.check(torch.tensor([[0.0, 1.0], [1.0, 1.0]])).tolist() == [True, False]
        and c.multinomial(3).check(torch.tensor([1.0, 2.0])).item()
    )
    assert (
        repr(c.interval(0.0, 1.0)) == "Interval(lower_bound=0.0, upper_bound=1.0)"
        and c.real_vector.event_dim == 1
        and c.boolean.is_discrete
    )
    assert c.cat([c.positive, c.real]).check(torch.tensor([-1.0, -1.0])).tolist() == [False, True]
