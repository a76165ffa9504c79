"""Distributions with a density."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from fdl.stateful.core.random import rand, randn
from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.distribution import Distribution, ExponentialFamily, together
from fdl.stateful.functions.creation import full, zeros_like
from fdl.stateful.functions.special import erfinv

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class LocationScale(Distribution):
    """Base of distributions over all numbers that are moved to `loc` and stretched by `scale`, and are most likely at
    `loc`.
    """

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True
    support: Any = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mode(self) -> Any:
        return self.loc


class Normal(LocationScale, ExponentialFamily):
    """Normal with mean `loc` and standard deviation `scale`."""

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.loc + randn(*self._extended(sample_shape), dtype=self.loc.dtype) * self.scale

    def log_prob(self, value: Any) -> Any:
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - HALF_LOG_2PI

    def entropy(self) -> Any:
        return 0.5 + HALF_LOG_2PI + self.scale.log()

    def cdf(self, value: Any) -> Any:
        return 0.5 * (1 + ((value - self.loc) / self.scale / math.sqrt(2)).erf())

    def icdf(self, value: Any) -> Any:
        return self.loc + self.scale * erfinv(2 * value - 1) * math.sqrt(2)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self.scale**2


class HalfNormal(Distribution):
    """The size of a normal variable."""

    support = constraints.nonnegative
    arg_constraints: ClassVar[Any] = {"scale": constraints.positive}
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = together(scale)
        super().__init__(self.scale.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return (randn(*self._extended(sample_shape), dtype=self.scale.dtype) * self.scale).abs()

    def log_prob(self, value: Any) -> Any:
        return math.log(2) - HALF_LOG_2PI - self.scale.log() - value**2 / (2 * self.scale**2)

    def entropy(self) -> Any:
        return 0.5 + HALF_LOG_2PI - math.log(2) + self.scale.log()

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Any:
        return self.scale**2 * (1 - 2 / math.pi)

    @property
    def mode(self) -> Any:
        return zeros_like(self.scale)

    def cdf(self, value: Any) -> Any:
        return (value / self.scale / math.sqrt(2)).erf()

    def icdf(self, value: Any) -> Any:
        return self.scale * erfinv(value) * math.sqrt(2)


class Uniform(Distribution):
    """Uniform in [low, high)."""

    has_rsample = True

    @property
    def arg_constraints(self) -> Any:  # type: ignore[override]
        """That low is less than high."""
        return {"low": constraints.less_than(self.high), "high": constraints.greater_than(self.low)}

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = together(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.low + rand(*self._extended(sample_shape), dtype=self.low.dtype) * (self.high - self.low)

    def log_prob(self, value: Any) -> Any:
        inside = (value >= self.low).logical_and(value < self.high)
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def entropy(self) -> Any:
        return (self.high - self.low).log()

    def cdf(self, value: Any) -> Any:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    @property
    def mean(self) -> Any:
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Any:
        return (self.high - self.low) ** 2 / 12

    @property
    def support(self) -> Any:
        return constraints.interval(self.low, self.high)

    @property
    def mode(self) -> Any:
        return full(tuple(self.batch_shape), math.nan, dtype=self.low.dtype)

    def icdf(self, value: Any) -> Any:
        return self.low + value * (self.high - self.low)


class Exponential(ExponentialFamily):
    """Times between events of a rate."""

    support = constraints.nonnegative
    arg_constraints: ClassVar[Any] = {"rate": constraints.positive}
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return -(1 - rand(*self._extended(sample_shape), dtype=self.rate.dtype)).log() / self.rate

    def log_prob(self, value: Any) -> Any:
        return self.rate.log() - self.rate * value

    def entropy(self) -> Any:
        return 1.0 - self.rate.log()

    @property
    def mean(self) -> Any:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Any:
        return self.rate**-2

    @property
    def mode(self) -> Any:
        return zeros_like(self.rate)

    def cdf(self, value: Any) -> Any:
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Any) -> Any:
        return -(-value).log1p() / self.rate


class Laplace(LocationScale):
    """Double exponential."""

    def rsample(self, sample_shape: Any = ()) -> Any:
        u = rand(*self._extended(sample_shape), dtype=self.loc.dtype) - 0.5
        return self.loc - self.scale * u.sign() * (-2 * u.abs()).log1p()

    def log_prob(self, value: Any) -> Any:
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def entropy(self) -> Any:
        return 1 + (2 * self.scale).log()

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return 2 * self.scale**2

    def cdf(self, value: Any) -> Any:
        return 0.5 - 0.5 * (value - self.loc).sign() * (-(value - self.loc).abs() / self.scale).expm1()

    def icdf(self, value: Any) -> Any:
        return self.loc - self.scale * (value - 0.5).sign() * (-2 * (value - 0.5).abs()).log1p()


class Cauchy(LocationScale):
    """The quotient of two normal variables."""

    def rsample(self, sample_shape: Any = ()) -> Any:
        return (
            self.loc + self.scale * ((rand(*self._extended(sample_shape), dtype=self.loc.dtype) - 0.5) * math.pi).tan()
        )

    def log_prob(self, value: Any) -> Any:
        return -math.log(math.pi) - self.scale.log() - (((value - self.loc) / self.scale) ** 2).log1p()

    def entropy(self) -> Any:
        return math.log(4 * math.pi) + self.scale.log()

    @property
    def mean(self) -> Any:
        return full(tuple(self.batch_shape), math.nan, dtype=self.loc.dtype)

    @property
    def variance(self) -> Any:
        return full(tuple(self.batch_shape), math.inf, dtype=self.loc.dtype)

    def cdf(self, value: Any) -> Any:
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc


class Gumbel(LocationScale):
    """The largest of many."""

    def rsample(self, sample_shape: Any = ()) -> Any:
        return (
            self.loc
            - self.scale * (-rand(*self._extended(sample_shape), dtype=self.loc.dtype).clamp(min=1e-30).log()).log()
        )

    def log_prob(self, value: Any) -> Any:
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    def entropy(self) -> Any:
        return self.scale.log() + (1 + 0.57721566490153286)

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * 0.57721566490153286

    @property
    def variance(self) -> Any:
        return (math.pi**2 / 6) * self.scale**2

    def cdf(self, value: Any) -> Any:
        return (-(-(value - self.loc) / self.scale).exp()).exp()

    def icdf(self, value: Any) -> Any:
        return self.loc - self.scale * (-value.log()).log()
