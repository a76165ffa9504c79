"""Distributions with a density."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

import fdl.random
from fdl import ops
from fdl.core import dtypes
from fdl.core.trace import aval_of
from fdl.extend import Function
from fdl.incomplete import gamma_sample
from fdl.lax import scan
from fdl.stateful import linalg
from fdl.stateful._random import draw, key_of, rand, randn
from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.distribution import Distribution, ExponentialFamily, known, together
from fdl.stateful.functions.creation import full, zeros_like
from fdl.stateful.functions.elementwise import where
from fdl.stateful.functions.indexing import one_hot
from fdl.stateful.functions.products import matmul
from fdl.stateful.functions.shapes import broadcast_to
from fdl.stateful.functions.special import digamma, erfinv, lgamma
from fdl.stateful.special import gammainc

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class LocationScale(Distribution):
    """Base of distributions over all numbers that are moved to `loc` and stretched by `scale`, and are most likely at `loc`."""

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
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - _HALF_LOG_2PI

    def entropy(self) -> Any:
        return 0.5 + _HALF_LOG_2PI + self.scale.log()

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


class LogNormal(Normal):
    """e to the power of a normal variable."""

    support = constraints.positive

    def rsample(self, sample_shape: Any = ()) -> Any:
        return super().rsample(sample_shape).exp()

    def log_prob(self, value: Any) -> Any:
        return super().log_prob(value.log()) - value.log()

    def entropy(self) -> Any:
        return super().entropy() + self.loc

    @property
    def mean(self) -> Any:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def variance(self) -> Any:
        return ((self.scale**2).exp() - 1) * (2 * self.loc + self.scale**2).exp()

    @property
    def mode(self) -> Any:
        return (self.loc - self.scale**2).exp()

    def cdf(self, value: Any) -> Any:
        return super().cdf(value.log())

    def icdf(self, value: Any) -> Any:
        return super().icdf(value).exp()


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
        return math.log(2) - _HALF_LOG_2PI - self.scale.log() - value**2 / (2 * self.scale**2)

    def entropy(self) -> Any:
        return 0.5 + _HALF_LOG_2PI - math.log(2) + self.scale.log()

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

    arg_constraints: ClassVar[Any] = {"low": constraints.dependent, "high": constraints.dependent}
    has_rsample = True

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
        return self.loc + self.scale * ((rand(*self._extended(sample_shape), dtype=self.loc.dtype) - 0.5) * math.pi).tan()

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
        return self.loc - self.scale * (-rand(*self._extended(sample_shape), dtype=self.loc.dtype).clamp(min=1e-30).log()).log()

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


# Gamma and what is made of it


def _gamma_body(concentration: Any, seed: Any, count: Any, shape: tuple[int, ...]) -> Any:
    """Marsaglia and Tsang, 2000: up to 32 proposals for each element, of which each is taken with more than 95 %."""
    dtype = aval_of(concentration).dtype
    alpha = ops.broadcast_to(concentration, shape)
    small = ops.less(alpha, 1)
    d = ops.sub(ops.select(small, ops.add(alpha, 1), alpha), 1 / 3)
    c = ops.rsqrt(ops.mul(d, 9))
    key = key_of(seed, count)

    def propose(carry: tuple[Any, Any], step: Any) -> tuple[tuple[Any, Any], None]:
        found, done = carry
        own = fdl.random.fold_in(key, step)
        x = fdl.random.normal(own, shape, dtype)
        u = fdl.random.uniform(fdl.random.fold_in(own, 1), shape, dtype)
        v = ops.integer_pow(ops.add(ops.mul(x, c), 1), 3)
        valid = ops.greater(v, 0)
        log_v = ops.log(ops.select(valid, v, 1))
        limit = ops.add(ops.mul(ops.mul(x, x), 0.5), ops.mul(d, ops.add(ops.sub(1, v), log_v)))
        taken = ops.bitwise_and(ops.bitwise_and(valid, ops.less(ops.log(ops.maximum(u, 1e-30)), limit)), ops.bitwise_not(done))
        return (ops.select(taken, ops.mul(d, v), found), ops.bitwise_or(done, taken)), None

    start = (d, ops.full(shape, False, "bool"))
    (found, _), _ = scan(propose, start, ops.iota((32,), 0))
    u = fdl.random.uniform(fdl.random.fold_in(key, 99), shape, dtype)
    found = ops.select(small, ops.mul(found, ops.pow(ops.maximum(u, 1e-30), ops.div(1, alpha))), found)
    return gamma_sample(alpha, ops.stop_gradient(ops.maximum(found, float(np.finfo(dtypes.compute_dtype(dtype)).tiny))))


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
        return a * b.log() + (a - 1) * value.log() - b * value - lgamma(a)

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
        return ((a - 1) * value.log()).sum(-1) + lgamma(a.sum(-1)) - lgamma(a).sum(-1)

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
        return (a - 1) * value.log() + (b - 1) * (-value).log1p() + lgamma(a + b) - lgamma(a) - lgamma(b)

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        return lgamma(a) + lgamma(b) - lgamma(a + b) - (a - 1) * digamma(a) - (b - 1) * digamma(b) + (a + b - 2) * digamma(a + b)

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
    arg_constraints: ClassVar[Any] = {"df": constraints.positive, "loc": constraints.real, "scale": constraints.positive}
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
        norm = self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi) + lgamma(0.5 * self.df) - lgamma(0.5 * (self.df + 1.0))
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


class MultivariateNormal(Distribution):
    """Normal vectors with a covariance, its inverse, or its triangular factor."""

    support = constraints.real_vector
    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    has_rsample = True

    def __init__(self, loc: Any, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None, validate_args: bool | None = None) -> None:
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        name = "scale_tril" if scale_tril is not None else "covariance_matrix" if covariance_matrix is not None else "precision_matrix"
        if (validate_args if validate_args is not None else self._checks) and known(given[0]) and not self.arg_constraints[name].holds(given[0].detach().numpy()).all():
            raise ValueError(
                f"Expected parameter {name} of distribution MultivariateNormal to satisfy the constraint {self.arg_constraints[name]}, but found invalid values:\n{given[0]}"
            )
        if scale_tril is not None:
            self.scale_tril = scale_tril
        else:
            self.scale_tril = linalg.cholesky(covariance_matrix if covariance_matrix is not None else linalg.inv(precision_matrix))
        n = loc.shape[-1]
        batch = tuple(ops.broadcast_shapes([tuple(loc.shape[:-1]), tuple(self.scale_tril.shape[:-2])], "MultivariateNormal"))
        self.loc = broadcast_to(loc, (*batch, n))
        super().__init__(batch, (n,), validate_args)

    @property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        return matmul(self.scale_tril, self.scale_tril.mT)

    @property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        return linalg.inv(self.covariance_matrix)

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise = randn(*self._extended(sample_shape), dtype=self.loc.dtype)
        return self.loc + matmul(self.scale_tril, noise.unsqueeze(-1)).squeeze(-1)

    def _log_det(self) -> Any:
        return linalg.diagonal(self.scale_tril).log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        gap = (value - self.loc).unsqueeze(-1)
        size = linalg.solve_triangular(self.scale_tril.expand(*gap.shape[:-2], *self.scale_tril.shape[-2:]), gap, upper=False).squeeze(-1)
        return -0.5 * (size**2).sum(-1) - self._log_det() - self.event_shape[0] * _HALF_LOG_2PI

    def entropy(self) -> Any:
        return self.event_shape[0] * (0.5 + _HALF_LOG_2PI) + self._log_det()

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return (self.scale_tril**2).sum(-1).expand(*self.batch_shape, *self.event_shape)

    @property
    def mode(self) -> Any:
        return self.loc
