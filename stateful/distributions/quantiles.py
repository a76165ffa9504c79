"""Distributions that are sampled by their quantile function, from uniform numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from fdl.stateful.core.random import rand
from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.distribution import Distribution, together
from fdl.stateful.functions.creation import full
from fdl.stateful.functions.special import digamma, lgamma

__all__ = ["HalfCauchy", "Kumaraswamy", "Pareto", "Weibull"]


_EULER = 0.57721566490153286


def uniform(d: Distribution, sample_shape: Any, like: Any) -> Any:
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
        return self.icdf(uniform(self, sample_shape, self.scale))

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
        return self.scale * (-uniform(self, sample_shape, self.scale).log() / self.alpha).exp()

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
        return self.icdf(uniform(self, sample_shape, self.scale))

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
        return self.icdf(uniform(self, sample_shape, self.concentration1))

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
