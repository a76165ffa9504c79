"""Distributions of angles, of shares in [0, 1], of excesses, and of covariance and correlation matrices."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.random import rand, randn
from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.distribution import Distribution, together
from fdl.stateful.distributions.gammas import Beta, Chi2
from fdl.stateful.distributions.quantiles import uniform
from fdl.stateful.distributions.utils import clamp_probs, logits_to_probs, probs_to_logits
from fdl.stateful.functions.creation import arange
from fdl.stateful.functions.elementwise import where
from fdl.stateful.functions.special import digamma, i0e, i1e, lgamma, mvlgamma
from fdl.stateful.linalg.factorizations import cholesky
from fdl.stateful.linalg.norms import vector_norm
from fdl.stateful.linalg.solutions import cholesky_inverse, inv, solve_triangular
from fdl.stateful.nn.functional.classification import binary_cross_entropy_with_logits

__all__ = ["ContinuousBernoulli", "GeneralizedPareto", "LKJCholesky", "VonMises", "Wishart"]


class VonMises(Distribution):
    """Angles around `loc`, in radians; `concentration` is about one over the variance.

    >>> import fdl.stateful as torch
    >>> float(torch.distributions.VonMises(0.0, 0.0001).log_prob(torch.tensor(1.0)).exp() * 2 * torch.pi).__round__(2)
    1.0
    """

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = together(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def log_prob(self, value: Any) -> Any:
        apart = (value - self.loc).cos() - 1
        return self.concentration * apart - math.log(2 * math.pi) - i0e(self.concentration).log()

    def sample(self, sample_shape: Any = ()) -> Any:
        """By rejection (Best and Fisher, 1979): a round takes two thirds at least, and all take part in 24."""
        k, shape = self.concentration.detach().double(), self._extended(sample_shape)
        tau = 1 + (1 + 4 * k**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * k)
        r = where(k < 1e-5, 1 / k + k, (1 + rho**2) / (2 * rho))
        angle: Any = rand(*shape, dtype=k.dtype) * 0
        waits: Any = angle == 0
        for _ in range(24):
            u = [rand(*shape, dtype=k.dtype).clamp(1e-12, 1 - 1e-12) for _ in range(3)]
            z = (math.pi * u[0]).cos()
            f = (1 + r * z) / (r + z)
            c = k * (r - f)
            taken = (c * (2 - c) - u[1] > 0) | ((c / u[1]).log() + 1 - c >= 0)
            angle = where(waits & taken, (u[2] - 0.5).sign() * f.clamp(-1, 1).acos(), angle)
            waits = waits & ~taken
        turned = (angle + math.pi + self.loc.detach()) % (2 * math.pi) - math.pi
        return turned.to(self.loc.dtype)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        """The circular variance."""
        return 1 - i1e(self.concentration) / i0e(self.concentration)


class ContinuousBernoulli(Distribution):
    """Shares in [0, 1] with a density of `probs ** x * (1 - probs) ** (1 - x)` over its integral (Loaiza-Ganem and
    Cunningham, 2019). Around 1/2, between `lims`, series are used.

    >>> import fdl.stateful as torch
    >>> float(torch.distributions.ContinuousBernoulli(0.5).mean)
    0.5
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        if (probs is None) == (logits is None):
            raise ArgumentError("Either `probs` or `logits` must be specified, but not both.")
        if probs is not None:
            (given,) = together(probs)
            self.probs = clamp_probs(given)
            self.logits = probs_to_logits(self.probs, is_binary=True)
        else:
            (self.logits,) = together(logits)
            self.probs = clamp_probs(logits_to_probs(self.logits, is_binary=True))
        self._lims = lims
        super().__init__(self.probs.shape, validate_args=validate_args)

    def _parts(self) -> tuple[Any, Any, Any]:
        """Where `probs` is far from 1/2, `probs` there, and its distance from 1/2 elsewhere."""
        far = (self.probs <= self._lims[0]) | (self.probs > self._lims[1])
        return far, where(far, self.probs, self._lims[0]), where(far, 0.0, self.probs - 0.5)

    def _log_norm(self) -> Any:
        far, p, x = self._parts()
        exact = ((-p).log1p() - p.log()).abs().log() - (1 - 2 * p).abs().log()
        return where(far, exact, math.log(2.0) + (4 / 3 + 104 / 45 * x**2) * x**2)

    @property
    def mean(self) -> Any:
        far, p, x = self._parts()
        return where(far, p / (2 * p - 1) + 1 / ((-p).log1p() - p.log()), 0.5 + (1 / 3 + 16 / 45 * x**2) * x)

    @property
    def variance(self) -> Any:
        far, p, x = self._parts()
        exact = p * (p - 1) / (1 - 2 * p) ** 2 + 1 / ((-p).log1p() - p.log()) ** 2
        return where(far, exact, 1 / 12 - (1 / 15 - 128 / 945 * x**2) * x**2)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(uniform(self, sample_shape, self.probs))

    def log_prob(self, value: Any) -> Any:
        logits, value = together(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none") + self._log_norm()

    def cdf(self, value: Any) -> Any:
        far, p, _ = self._parts()
        exact = (p**value * (1 - p) ** (1 - value) + p - 1) / (2 * p - 1)
        inside = where(far, exact, value)
        return where(value <= 0, 0.0, where(value >= 1, 1.0, inside))

    def icdf(self, value: Any) -> Any:
        far, p, _ = self._parts()
        exact = ((-p + value * (2 * p - 1)).log1p() - (-p).log1p()) / (p.log() - (-p).log1p())
        return where(far, exact, value)

    def entropy(self) -> Any:
        return self.mean * ((-self.probs).log1p() - self.probs.log()) - self._log_norm() - (-self.probs).log1p()


class GeneralizedPareto(Distribution):
    """What exceeds a high threshold `loc`: exponential for a concentration of 0, with heavier tails above.

    >>> import fdl.stateful as torch
    >>> float(torch.distributions.GeneralizedPareto(0.0, 2.0, 0.0).mean)
    2.0
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real,
    }  # fmt: skip
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale, self.concentration = together(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def _shape(self) -> tuple[Any, Any]:
        """Where the concentration is 0, and one that may be divided by."""
        none = self.concentration.abs() < 1e-8
        return none, where(none, 1.0, self.concentration)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.icdf(uniform(self, sample_shape, self.loc))

    def log_prob(self, value: Any) -> Any:
        none, c = self._shape()
        z = (value - self.loc) / self.scale
        return where(none, -z, -(1 + 1 / c) * (c * z).log1p()) - self.scale.log()

    def cdf(self, value: Any) -> Any:
        none, c = self._shape()
        z = (value - self.loc) / self.scale
        return -where(none, -z, -(c * z).log1p() / c).expm1()

    def icdf(self, value: Any) -> Any:
        none, c = self._shape()
        left = (-value).log1p()
        return self.loc + self.scale * where(none, -left, (-c * left).expm1() / c)

    def entropy(self) -> Any:
        return self.scale.log() + self.concentration + 1

    @property
    def support(self) -> Any:
        """From `loc` on, up to a bound where the concentration is negative."""
        if not bool((self.concentration < 0).any()):
            return constraints.greater_than_eq(self.loc)
        _, c = self._shape()
        return constraints.interval(self.loc, where(self.concentration < 0, self.loc - self.scale / c, math.inf))

    @property
    def mean(self) -> Any:
        small = self.concentration < 1
        return where(small, self.loc + self.scale / (1 - where(small, self.concentration, 0.0)), math.nan)  # as PyTorch

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        small = self.concentration < 0.5
        c = where(small, self.concentration, 0.0)
        return where(small, self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c)), math.nan)


class Wishart(Distribution):
    """Covariances of samples: positive definite matrices, `df * covariance_matrix` on average.

    >>> import fdl.stateful as torch
    >>> torch.distributions.Wishart(3.0, torch.eye(2)).mean.tolist()
    [[3.0, 0.0], [0.0, 3.0]]
    """

    arg_constraints: ClassVar[Any] = {
        "covariance_matrix": constraints.positive_definite, "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky, "df": constraints.greater_than(0),
    }  # fmt: skip
    support = constraints.positive_definite
    has_rsample = True

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ArgumentError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        factor = scale_tril
        if factor is None:
            factor = cholesky(inv(precision_matrix) if covariance_matrix is None else covariance_matrix)
        n = factor.shape[-1]
        self.df, first = together(df, factor[..., 0, 0])
        self.scale_tril: Any = factor.expand(*first.shape, n, n)
        if bool((self.df <= n - 1).any()):
            raise ArgumentError(f"Value of df={df} expected to be greater than ndim - 1 = {n - 1}.")
        super().__init__(first.shape, (n, n), validate_args)

    @property
    def covariance_matrix(self) -> Any:
        """The scale matrix."""
        return self.scale_tril @ self.scale_tril.mT

    @property
    def precision_matrix(self) -> Any:
        """Its inverse."""
        return cholesky_inverse(self.scale_tril)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """By the decomposition of Bartlett: a triangle of normal numbers and roots of chi-squared ones."""
        n, shape = self._event_shape[-1], self._extended(sample_shape)
        freedoms = self.df.unsqueeze(-1) - arange(n)
        diagonal = Chi2(freedoms).rsample(sample_shape).clamp(min=1e-30).sqrt()
        factor = self.scale_tril @ (randn(*shape, dtype=self.df.dtype).tril(-1) + diagonal.diag_embed())
        return factor @ factor.mT

    def _log_scale(self) -> Any:
        return self.scale_tril.diagonal(0, -2, -1).log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        n, df = self._event_shape[-1], self.df
        spread = solve_triangular(self.scale_tril, cholesky(value), upper=False)
        size = 2 * cholesky(value).diagonal(0, -2, -1).log().sum(-1)
        norm = df * (n * math.log(2) / 2 + self._log_scale()) + mvlgamma(df / 2, n)
        return (df - n - 1) / 2 * size - (spread**2).sum((-2, -1)) / 2 - norm

    def entropy(self) -> Any:
        n, df = self._event_shape[-1], self.df
        psi = digamma(df.unsqueeze(-1) / 2 - arange(n) / 2).sum(-1)
        return (
            (n + 1) * (self._log_scale() + n * math.log(2) / 2)
            + mvlgamma(df / 2, n)
            - (df - n - 1) / 2 * psi
            + df * n / 2
        )

    @property
    def mean(self) -> Any:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self.df - self._event_shape[-1] - 1
        return where(factor > 0, factor, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Any:
        v = self.covariance_matrix
        diagonal = v.diagonal(0, -2, -1)
        return self.df[..., None, None] * (v**2 + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))


class LKJCholesky(Distribution):
    """Factors of correlation matrices whose density is a power of the determinant (Lewandowski, Kurowicka and Joe,
    2009); uniform for a concentration of 1.

    >>> import fdl.stateful as torch
    >>> torch.distributions.LKJCholesky(3).sample().shape
    torch.Size([3, 3])
    """

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ArgumentError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = together(concentration)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Row after row a direction, and the share of its length that is not on the diagonal."""
        c, n = self.concentration.detach(), self.dim
        row = arange(n - 1).to(c.dtype)
        before = (c.unsqueeze(-1) * 0 + 1) * row
        share = Beta(before + 0.5, c.unsqueeze(-1) + 0.5 * (n - 2) - 0.5 * before).sample(sample_shape)
        direction = randn(*self._extended(sample_shape), dtype=c.dtype).tril(-1)[..., 1:, :]
        rows = share.sqrt().unsqueeze(-1) * direction / vector_norm(direction, dim=-1, keepdim=True)
        lower = rows.new_zeros(*rows.shape[:-2], n, n)
        lower[..., 1:, :] = rows
        return lower + (1 - (lower**2).sum(-1)).clamp(min=1.1754944e-38).sqrt().diag_embed()

    def log_prob(self, value: Any) -> Any:
        n, c = self.dim, self.concentration
        order = 2 * (c - 1).unsqueeze(-1) + n - arange(2, n + 1)
        found = (order * value.diagonal(0, -2, -1)[..., 1:].log()).sum(-1)
        alpha = c + 0.5 * (n - 1)
        norm = 0.5 * (n - 1) * math.log(math.pi) + mvlgamma(alpha - 0.5, n - 1) - lgamma(alpha) * (n - 1)
        return found - norm
