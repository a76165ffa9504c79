"""`torch.distributions`: samples, densities, entropies, divergences and transforms."""

from fdl.stateful.distributions import constraint_registry, constraints, transforms, utils
from fdl.stateful.distributions.constraint_registry import biject_to, transform_to
from fdl.stateful.distributions.continuous import (
    Cauchy,
    Exponential,
    Gumbel,
    HalfNormal,
    Laplace,
    Normal,
    Uniform,
)
from fdl.stateful.distributions.discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    Multinomial,
    NegativeBinomial,
    OneHotCategorical,
    Poisson,
)
from fdl.stateful.distributions.distribution import Distribution, ExponentialFamily, Independent
from fdl.stateful.distributions.divergence import kl_divergence, register_kl
from fdl.stateful.distributions.further import ContinuousBernoulli, GeneralizedPareto, LKJCholesky, VonMises, Wishart
from fdl.stateful.distributions.gammas import Beta, Chi2, Dirichlet, FisherSnedecor, Gamma, InverseGamma, StudentT
from fdl.stateful.distributions.mixtures import MixtureSameFamily
from fdl.stateful.distributions.multivariate import LogisticNormal, LowRankMultivariateNormal, MultivariateNormal
from fdl.stateful.distributions.quantiles import HalfCauchy, Kumaraswamy, Pareto, Weibull
from fdl.stateful.distributions.relaxed import (
    OneHotCategoricalStraightThrough,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
)
from fdl.stateful.distributions.transformed import LogNormal
from fdl.stateful.distributions.transforms import *  # noqa: F403

__all__ = [
    "Bernoulli", "Beta", "Binomial", "Categorical", "Cauchy", "Chi2",
    "ContinuousBernoulli", "GeneralizedPareto", "LKJCholesky", "VonMises", "Wishart",
    "Dirichlet", "Distribution", "Exponential",
    "ExponentialFamily", "FisherSnedecor", "Gamma", "Geometric", "Gumbel", "HalfCauchy", "HalfNormal",
    "Independent", "InverseGamma", "Kumaraswamy", "Laplace", "LogNormal", "LogisticNormal",
    "LowRankMultivariateNormal", "MixtureSameFamily", "Multinomial", "MultivariateNormal", "NegativeBinomial",
    "Normal", "OneHotCategorical", "OneHotCategoricalStraightThrough", "Pareto", "Poisson", "RelaxedBernoulli",
    "RelaxedOneHotCategorical", "StudentT", "Uniform", "Weibull",
    "biject_to", "constraint_registry", "constraints", "kl_divergence", "register_kl",
    "transform_to", "transforms", "utils", *transforms.__all__,
]  # fmt: skip
