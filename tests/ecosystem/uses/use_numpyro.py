import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax_common import data, main, use
from numpyro.infer import HMC, MCMC, NUTS, SVI, Predictive, Trace_ELBO, log_likelihood
from numpyro.infer.autoguide import AutoNormal
from numpyro.infer.util import log_density

TRUE = jnp.array([1.0, -2.0])
X = data(20, 2)
Y = X @ TRUE + 0.1 * data(20, seed=1)


def model(x, y=None):
    w = numpyro.sample("w", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
    scale = numpyro.sample("scale", dist.HalfNormal(1.0))
    with numpyro.plate("rows", x.shape[0]):
        return numpyro.sample("y", dist.Normal(x @ w, scale), obs=y)


@use("the density of a model and its gradient")
def density():
    f = lambda w, s: log_density(model, (X, Y), {}, {"w": w, "scale": s})[0]
    return f(jnp.ones(2), 0.5), jax.grad(f)(jnp.ones(2), 0.5)


@use("NUTS and HMC find the truth; predictions")
def nuts():
    found = []
    for kernel in (NUTS(model), HMC(model, step_size=0.1, num_steps=10)):
        held = MCMC(kernel, num_warmup=150, num_samples=150, progress_bar=False)
        held.run(jax.random.PRNGKey(0), X, Y)
        samples = held.get_samples()
        found.append(bool(jnp.abs(samples["w"].mean(0) - TRUE).max() < 0.2))
    predicted = Predictive(model, samples)(jax.random.PRNGKey(1), X)["y"]
    return found, list(predicted.shape), list(log_likelihood(model, samples, X, Y)["y"].shape)


@use("variational inference finds the truth")
def svi():
    guide = AutoNormal(model)
    held = SVI(model, guide, numpyro.optim.Adam(0.05), Trace_ELBO())
    result = held.run(jax.random.PRNGKey(0), 400, X, Y, progress_bar=False)
    return bool(jnp.abs(guide.median(result.params)["w"] - TRUE).max() < 0.2)


@use("densities of distributions, transforms, constraints")
def densities():
    x = jnp.array([0.2, 0.7])
    kinds = [
        dist.Beta(2.0, 3.0),
        dist.Gamma(2.0, 1.0),
        dist.StudentT(3.0),
        dist.Cauchy(),
        dist.Laplace(),
        dist.LogNormal(),
        dist.Uniform(),
        dist.Gumbel(),
        dist.HalfCauchy(1.0),
        dist.TruncatedNormal(low=0.0),
        dist.Exponential(2.0),
        dist.InverseGamma(2.0, 1.0),
        dist.Logistic(),
        dist.Weibull(1.0, 2.0),
        dist.VonMises(0.0, 2.0),
    ]
    counts = [
        dist.Poisson(2.0),
        dist.Bernoulli(0.3),
        dist.Binomial(3, 0.4),
        dist.Geometric(0.3),
        dist.NegativeBinomial2(2.0, 1.0),
    ]
    normal = dist.MultivariateNormal(jnp.zeros(2), jnp.array([[2.0, 0.5], [0.5, 1.0]]))
    to = dist.biject_to
    return (
        [d.log_prob(x) for d in kinds],
        [d.log_prob(jnp.array([0, 1])) for d in counts],
        normal.log_prob(x),
        dist.Dirichlet(jnp.ones(2) * 2).log_prob(jnp.array([0.3, 0.7])),
        to(dist.constraints.simplex)(x),
        to(dist.constraints.lower_cholesky)(jnp.arange(3.0)),
        dist.kl_divergence(dist.Normal(0, 1), dist.Normal(1, 2)),
    )


if __name__ == "__main__":
    main()
