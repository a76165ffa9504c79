"""`torch.distributions`: samples, densities, entropies, divergences and transforms."""

from fdl.stateful.distributions import constraints, more, transforms
from fdl.stateful.distributions.continuous import (
    Cauchy,
    Exponential,
    Gumbel,
    HalfNormal,
    Laplace,
    LogNormal,
    MultivariateNormal,
    Normal,
    Uniform,
)  # fmt: skip
from fdl.stateful.distributions.discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    Multinomial,
    OneHotCategorical,
    Poisson,
)
from fdl.stateful.distributions.distribution import Distribution, ExponentialFamily, Independent
from fdl.stateful.distributions.divergence import kl_divergence, register_kl
from fdl.stateful.distributions.gammas import Beta, Chi2, Dirichlet, FisherSnedecor, Gamma, InverseGamma, StudentT
from fdl.stateful.distributions.more import *  # noqa: F403
from fdl.stateful.distributions.transforms import *  # noqa: F403

__all__ = [
    "Bernoulli", "Beta", "Binomial", "Categorical", "Cauchy", "Chi2", "Dirichlet", "Distribution", "Exponential",
    "ExponentialFamily", "FisherSnedecor", "Gamma", "Geometric",
    "Gumbel",
    "HalfNormal", "Independent", "InverseGamma", "Laplace", "LogNormal", "Multinomial", "MultivariateNormal", "Normal",
    "OneHotCategorical", "Poisson", "StudentT", "Uniform",
    "constraints", "kl_divergence", "register_kl", "transforms", *more.__all__, *transforms.__all__,
]  # fmt: skip
