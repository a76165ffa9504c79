"""Gamma distributions, and those that are made of gamma variables."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import fdl.random
from fdl.extend import Function, aval_of
from fdl.stateful.core.random import draw, key_of, randn
from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.distribution import Distribution, ExponentialFamily, together
from fdl.stateful.functions.elementwise import where
from fdl.stateful.functions.gathering import one_hot
from fdl.stateful.functions.special import digamma, gammainc, lgamma, xlog1py, xlogy


def _gamma_body(concentration: Any, seed: Any, count: Any, shape: tuple[int, ...]) -> Any:
    return fdl.random.gamma(key_of(seed, count), concentration, shape, aval_of(concentration).dtype)


_gamma = Function(_gamma_body, "gamma")


def standard_gamma(concentration: Any, shape: tuple[int, ...]) -> Any:
    """Samples with rate 1; gradients flow to the concentration."""
    return draw(_gamma, (concentration,), (shape,))


class Gamma(ExponentialFamily):
    """The sum of `concentration` exponential variables."""

    support = constraints.nonnegative
    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive, "rate": constraints.positive}
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return standard_gamma(self.concentration, self._extended(sample_shape)) / self.rate

    def log_prob(self, value: Any) -> Any:
        a, b = self.concentration, self.rate
        return a * b.log() + xlogy(a - 1, value) - b * value - lgamma(a)

    def entropy(self) -> Any:
        a = self.concentration
        return a - self.rate.log() + lgamma(a) + (1.0 - a) * digamma(a)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate**2

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    def cdf(self, value: Any) -> Any:
        return gammainc(self.concentration, self.rate * value)


class Chi2(Gamma):
    """The sum of `df` squared normal variables."""

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = together(df)
        super().__init__(0.5 * self.df, 0.5, validate_args)


class Dirichlet(ExponentialFamily):
    """Shares that add up to 1."""

    support = constraints.simplex
    arg_constraints: ClassVar[Any] = {"concentration": constraints.independent(constraints.positive, 1)}
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        drawn = standard_gamma(self.concentration, self._extended(sample_shape))
        return drawn / drawn.sum(-1, keepdim=True)

    def log_prob(self, value: Any) -> Any:
        a = self.concentration
        return xlogy(a - 1, value).sum(-1) + lgamma(a.sum(-1)) - lgamma(a).sum(-1)

    def entropy(self) -> Any:
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        return lgamma(a).sum(-1) - lgamma(total) - (k - total) * digamma(total) - ((a - 1.0) * digamma(a)).sum(-1)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    @property
    def mode(self) -> Any:
        above = (self.concentration - 1).clamp(min=0.0)
        flat = (self.concentration < 1).all(-1, keepdim=True)
        corner = one_hot(self.concentration.argmax(-1), self.event_shape[0]).to(above.dtype)
        return where(flat, corner, above / above.sum(-1, keepdim=True))


class Beta(ExponentialFamily):
    """Shares of one of two."""

    support = constraints.unit_interval
    arg_constraints: ClassVar[Any] = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = together(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended(sample_shape)
        one, zero = standard_gamma(self.concentration1, shape), standard_gamma(self.concentration0, shape)
        return one / (one + zero)

    def log_prob(self, value: Any) -> Any:
        a, b = self.concentration1, self.concentration0
        return xlogy(a - 1, value) + xlog1py(b - 1, -value) + lgamma(a + b) - lgamma(a) - lgamma(b)

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        return (
            lgamma(a)
            + lgamma(b)
            - lgamma(a + b)
            - (a - 1) * digamma(a)
            - (b - 1) * digamma(b)
            + (a + b - 2) * digamma(a + b)
        )

    @property
    def mean(self) -> Any:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Any:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total**2 * (total + 1))

    @property
    def mode(self) -> Any:
        return (self.concentration1 - 1) / (self.concentration1 + self.concentration0 - 2)


class StudentT(Distribution):
    """A normal variable over the root of a chi-squared one."""

    support = constraints.real
    arg_constraints: ClassVar[Any] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = together(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended(sample_shape)
        chi = 2 * standard_gamma(self.df / 2, shape)
        return self.loc + self.scale * randn(*shape, dtype=self.df.dtype) * (self.df / chi).sqrt()

    def log_prob(self, value: Any) -> Any:
        y = (value - self.loc) / self.scale
        norm = (
            self.scale.log()
            + 0.5 * self.df.log()
            + 0.5 * math.log(math.pi)
            + lgamma(0.5 * self.df)
            - lgamma(0.5 * (self.df + 1.0))
        )
        return -0.5 * (self.df + 1.0) * (y**2 / self.df).log1p() - norm

    def entropy(self) -> Any:
        half = 0.5 * self.df
        beta = lgamma(half) + math.lgamma(0.5) - lgamma(half + 0.5)
        return self.scale.log() + (half + 0.5) * (digamma(half + 0.5) - digamma(half)) + 0.5 * self.df.log() + beta

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self.scale**2 * self.df / (self.df - 2)

    @property
    def mode(self) -> Any:
        return self.loc


class InverseGamma(Distribution):
    """One over a gamma variable."""

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive, "rate": constraints.positive}
    has_rsample = True
    support = constraints.positive

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.rate / standard_gamma(self.concentration, self._extended(sample_shape))

    def log_prob(self, value: Any) -> Any:
        a, b = self.concentration, self.rate
        return a * b.log() - lgamma(a) - (a + 1) * value.log() - b / value

    def cdf(self, value: Any) -> Any:
        return 1 - Gamma(self.concentration, self.rate).cdf(1 / value)

    def entropy(self) -> Any:
        a = self.concentration
        return a + self.rate.log() + lgamma(a) - (1 + a) * digamma(a)

    @property
    def mean(self) -> Any:
        a = self.concentration
        return where(a > 1, self.rate / (a - 1), math.inf)

    @property
    def mode(self) -> Any:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        a = self.concentration
        return where(a > 2, self.rate**2 / ((a - 1) ** 2 * (a - 2)), math.inf)


class FisherSnedecor(Distribution):
    """The quotient of two chi-squared variables, each over its degrees of freedom."""

    arg_constraints: ClassVar[Any] = {"df1": constraints.positive, "df2": constraints.positive}
    has_rsample = True
    support = constraints.positive

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = together(df1, df2)
        super().__init__(self.df1.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended(sample_shape)
        return (standard_gamma(self.df1 / 2, shape) / self.df1) / (standard_gamma(self.df2 / 2, shape) / self.df2)

    def log_prob(self, value: Any) -> Any:
        a, b = self.df1 * 0.5, self.df2 * 0.5
        ratio = self.df1 / self.df2
        return (
            lgamma(a + b)
            - lgamma(a)
            - lgamma(b)
            + a * ratio.log()
            + (a - 1) * value.log()
            - (a + b) * (ratio * value).log1p()
        )

    @property
    def mean(self) -> Any:
        return where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    @property
    def mode(self) -> Any:
        return where(self.df1 > 2, (self.df1 - 2) / self.df1 * (self.df2 / (self.df2 + 2)), math.nan)

    @property
    def variance(self) -> Any:
        a, b = self.df1, self.df2
        return where(b > 4, 2 * b**2 * (a + b - 2) / (a * (b - 2) ** 2 * (b - 4)), math.nan)
