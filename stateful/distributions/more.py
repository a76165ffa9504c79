"""Distributions that are made of others: of uniform, normal, gamma and categorical ones."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.random import rand, randn
from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.continuous import MultivariateNormal, Normal
from fdl.stateful.distributions.discrete import Categorical, OfCategories, OneHotCategorical, _OfProbability, poisson
from fdl.stateful.distributions.distribution import Distribution, together
from fdl.stateful.distributions.gammas import standard_gamma
from fdl.stateful.distributions.transforms import StickBreakingTransform, TransformedDistribution
from fdl.stateful.functions.creation import full
from fdl.stateful.functions.special import digamma, lgamma
from fdl.stateful.nn.functional import log_softmax, logsigmoid

__all__ = [
    "HalfCauchy", "Kumaraswamy", "LogisticNormal", "LowRankMultivariateNormal", "MixtureSameFamily", "NegativeBinomial",
    "OneHotCategoricalStraightThrough", "Pareto", "RelaxedBernoulli", "RelaxedOneHotCategorical", "Weibull",
]  # fmt: skip

_EULER = 0.57721566490153286


def _uniform(d: Distribution, sample_shape: Any, like: Any) -> Any:
    """Numbers in (0, 1)."""
    return rand(*d._extended(sample_shape), dtype=like.dtype).clamp(1e-7, 1 - 1e-7)


class HalfCauchy(Distribution):
    """The size of a Cauchy variable."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive}
    has_rsample = True
    support = constraints.nonnegative

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = together(scale)
        super().__init__(self.scale.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(_uniform(self, sample_shape, self.scale))

    def log_prob(self, value: Any) -> Any:
        return math.log(2 / math.pi) - self.scale.log() - ((value / self.scale) ** 2).log1p()

    def cdf(self, value: Any) -> Any:
        return (value / self.scale).atan() * (2 / math.pi)

    def icdf(self, value: Any) -> Any:
        return (value * (math.pi / 2)).tan() * self.scale

    def entropy(self) -> Any:
        return math.log(2 * math.pi) + self.scale.log()

    @property
    def mean(self) -> Any:
        return full(tuple(self.batch_shape), math.inf, dtype=self.scale.dtype)

    @property
    def mode(self) -> Any:
        return self.scale * 0

    @property
    def variance(self) -> Any:
        return self.mean


class Pareto(Distribution):
    """Sizes from `scale` on that fall off with a power."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive, "alpha": constraints.positive}
    has_rsample = True

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = together(scale, alpha)
        super().__init__(self.scale.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.scale * (-_uniform(self, sample_shape, self.scale).log() / self.alpha).exp()

    def log_prob(self, value: Any) -> Any:
        return self.alpha.log() + self.alpha * self.scale.log() - (self.alpha + 1) * value.log()

    def cdf(self, value: Any) -> Any:
        return 1 - (self.scale / value) ** self.alpha

    def icdf(self, value: Any) -> Any:
        return self.scale * (1 - value) ** (-1 / self.alpha)

    def entropy(self) -> Any:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())

    @property
    def support(self) -> Any:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        a = self.alpha.clamp(min=2)
        return self.scale**2 * a / ((a - 1) ** 2 * (a - 2))


class Weibull(Distribution):
    """A power of an exponential variable."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive, "concentration": constraints.positive}
    has_rsample = True
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = together(scale, concentration)
        super().__init__(self.scale.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(_uniform(self, sample_shape, self.scale))

    def log_prob(self, value: Any) -> Any:
        k, x = self.concentration, value / self.scale
        return (k / self.scale).log() + (k - 1) * x.log() - x**k

    def cdf(self, value: Any) -> Any:
        return -(-((value / self.scale) ** self.concentration)).expm1()

    def icdf(self, value: Any) -> Any:
        return self.scale * (-(-value).log1p()) ** (1 / self.concentration)

    def entropy(self) -> Any:
        k = self.concentration.reciprocal()
        return _EULER * (1 - k) + (self.scale * k).log() + 1

    @property
    def mean(self) -> Any:
        return self.scale * lgamma(1 + self.concentration.reciprocal()).exp()

    @property
    def mode(self) -> Any:
        k = self.concentration
        return self.scale * ((k - 1).clamp(min=0) / k) ** k.reciprocal()

    @property
    def variance(self) -> Any:
        k = self.concentration.reciprocal()
        return self.scale**2 * (lgamma(1 + 2 * k).exp() - (2 * lgamma(1 + k)).exp())


class Kumaraswamy(Distribution):
    """Shares, much as a beta distribution's, with a density in closed form."""

    arg_constraints: ClassVar[Any] = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    has_rsample = True
    support = constraints.unit_interval

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = together(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(_uniform(self, sample_shape, self.concentration1))

    def log_prob(self, value: Any) -> Any:
        a, b = self.concentration1, self.concentration0
        return a.log() + b.log() + (a - 1) * value.log() + (b - 1) * (-(value**a)).log1p()

    def cdf(self, value: Any) -> Any:
        return 1 - (1 - value**self.concentration1) ** self.concentration0

    def icdf(self, value: Any) -> Any:
        return (1 - (1 - value) ** (1 / self.concentration0)) ** (1 / self.concentration1)

    def _moment(self, n: int) -> Any:
        a, b = self.concentration1, self.concentration0
        part = 1 + n / a
        return b * (lgamma(part) + lgamma(b) - lgamma(part + b)).exp()

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        harmonic = digamma(b + 1) + _EULER
        return 1 - b.reciprocal() + (1 - a.reciprocal()) * harmonic - a.log() - b.log()

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        return ((a - 1) / (a * b - 1)) ** a.reciprocal()

    @property
    def variance(self) -> Any:
        return self._moment(2) - self._moment(1) ** 2


class NegativeBinomial(_OfProbability):
    """How often something succeeds before `total_count` failures."""

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(probs, logits, validate_args)
        self.total_count, _ = together(total_count, self.probs if probs is not None else self.logits)
        self._batch_shape = self.total_count.shape

    def sample(self, sample_shape: Any = ()) -> Any:
        rate = (
            standard_gamma(self.total_count.detach().to(self.logits.dtype), self._extended(sample_shape))
            * self.logits.detach().exp()
        )
        return poisson(rate)

    def log_prob(self, value: Any) -> Any:
        n = self.total_count
        front = n * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        return front + lgamma(n + value) - lgamma(value + 1) - lgamma(n)

    @property
    def mean(self) -> Any:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.mean / (-self.logits).sigmoid()


class RelaxedBernoulli(_OfProbability):
    """Numbers in (0, 1) that go to a Bernoulli variable's as the temperature goes to 0 (Maddison, Mnih
    and Teh, 2017).
    """

    has_rsample = True
    support = constraints.unit_interval

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = _uniform(self, sample_shape, self.logits)
        return ((u.log() - (-u).log1p() + self.logits) / self.temperature).sigmoid()

    def log_prob(self, value: Any) -> Any:
        t = self.temperature if not isinstance(self.temperature, (int, float)) else full((), float(self.temperature))
        x = value.log() - (-value).log1p()
        gap = self.logits - x * t
        return t.log() + gap - 2 * gap.exp().log1p() - value.log() - (-value).log1p()


class RelaxedOneHotCategorical(OfCategories):
    """Shares that go to one-hot vectors as the temperature goes to 0 (Jang, Gu and Poole, 2017)."""

    has_rsample = True
    support = constraints.simplex

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise = -(-_uniform(self, sample_shape, self.logits).log()).log()
        return log_softmax((self.logits + noise) / self.temperature, -1).exp()

    def log_prob(self, value: Any) -> Any:
        t = self.temperature if not isinstance(self.temperature, (int, float)) else full((), float(self.temperature))
        k = self.event_shape[0]
        score = self.logits - value.log() * t
        return (
            (score - score.logsumexp(-1, keepdim=True)).sum(-1)
            + math.lgamma(k)
            + (k - 1) * t.log()
            - value.log().sum(-1)
        )


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot vectors through which gradients flow as through probabilities (Bengio, Leonard and Courville, 2013)."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class LogisticNormal(TransformedDistribution):
    """Shares from a normal vector, by breaking a stick."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args)
        super().__init__(base if base.batch_shape else base.expand((1,)), StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the normal vector."""
        return self.base_dist.base_dist.loc  # type: ignore[attr-defined]

    @property
    def scale(self) -> Any:
        """Its standard deviation."""
        return self.base_dist.base_dist.scale  # type: ignore[attr-defined]


class MixtureSameFamily(Distribution):
    """One of several distributions of a kind, chosen by a categorical one; the kinds are the last batch dimension.

    >>> import fdl.stateful as torch
    >>> D = torch.distributions
    >>> m = D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Normal(torch.tensor([-1.0, 1.0]), torch.ones(2)))
    >>> float(m.mean), float(m.variance)
    (0.0, 2.0)
    """

    def __init__(
        self, mixture_distribution: Categorical, component_distribution: Distribution, validate_args: bool | None = None
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ArgumentError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
        if mixture_distribution._num_events != component_distribution.batch_shape[-1]:
            raise ArgumentError(
                "`mixture_distribution component` does not equal `component_distribution.batch_shape[-1]`"
            )
        self._mixture, self._components = mixture_distribution, component_distribution
        super().__init__(component_distribution.batch_shape[:-1], component_distribution.event_shape, validate_args)

    @property
    def mixture_distribution(self) -> Categorical:
        """What is chosen from."""
        return self._mixture

    @property
    def component_distribution(self) -> Distribution:
        """The kinds."""
        return self._components

    @property
    def support(self) -> Any:
        return self._components.support

    def _weights(self) -> Any:
        return self._mixture.probs.reshape(*self._mixture.probs.shape, *[1] * len(self.event_shape))

    @property
    def mean(self) -> Any:
        return (self._weights() * self._components.mean).sum(-1 - len(self.event_shape))

    @property
    def variance(self) -> Any:
        dim, w = -1 - len(self.event_shape), self._weights()
        within = (w * self._components.variance).sum(dim)
        return within + (w * (self._components.mean - self.mean.unsqueeze(dim)) ** 2).sum(dim)

    def _spread(self, value: Any) -> Any:
        return value.unsqueeze(-1 - len(self.event_shape))

    def log_prob(self, value: Any) -> Any:
        return (self._components.log_prob(self._spread(value)) + log_softmax(self._mixture.logits, -1)).logsumexp(-1)

    def cdf(self, value: Any) -> Any:
        return (self._components.cdf(self._spread(value)) * self._mixture.probs).sum(-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        dim = len(tuple(sample_shape)) + len(self.batch_shape)
        chosen = self._mixture.sample(sample_shape).reshape(
            *tuple(sample_shape), *self.batch_shape, 1, *[1] * len(self.event_shape)
        )
        drawn = self._components.sample(sample_shape)
        return drawn.gather(dim, chosen.expand(*chosen.shape[: dim + 1], *self.event_shape)).squeeze(dim)


class LowRankMultivariateNormal(MultivariateNormal):
    """Normal vectors whose covariance is a product of a few columns with itself, and a diagonal."""

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        self.cov_factor, self.cov_diag = cov_factor, cov_diag
        super().__init__(loc, cov_factor @ cov_factor.mT + cov_diag.diag_embed(), validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended(sample_shape)
        few = randn(*shape[:-1], self.cov_factor.shape[-1], dtype=self.loc.dtype)
        return (
            self.loc
            + (self.cov_factor @ few.unsqueeze(-1)).squeeze(-1)
            + self.cov_diag.sqrt() * randn(*shape, dtype=self.loc.dtype)
        )
