"""Kullback and Leibler's divergence of pairs of distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fdl.stateful import linalg
from fdl.stateful.core.errors import UnsupportedError
from fdl.stateful.distributions.continuous import Exponential, Laplace, Normal, Uniform
from fdl.stateful.distributions.discrete import Bernoulli, Categorical, Geometric, OneHotCategorical, Poisson
from fdl.stateful.distributions.distribution import Distribution, Independent
from fdl.stateful.distributions.gammas import Beta, Dirichlet, Gamma
from fdl.stateful.distributions.multivariate import MultivariateNormal
from fdl.stateful.distributions.transforms import TransformedDistribution
from fdl.stateful.functions.elementwise import where
from fdl.stateful.functions.special import digamma, lgamma

_TABLE: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """Say how the divergence of a pair of classes is computed; a decorator."""

    def register(f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        _TABLE[type_p, type_q] = f
        return f

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """The divergence of q from p.

    >>> import fdl.stateful as torch
    >>> N = torch.distributions.Normal
    >>> float(torch.distributions.kl_divergence(N(0.0, 1.0), N(1.0, 1.0)))
    0.5
    """
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            if (a, b) in _TABLE:
                return _TABLE[a, b](p, q)
    raise UnsupportedError(f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}")


@register_kl(Normal, Normal)
def _(p: Normal, q: Normal) -> Any:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


@register_kl(TransformedDistribution, TransformedDistribution)
def _(p: TransformedDistribution, q: TransformedDistribution) -> Any:
    """A map that both went through changes nothing: NotImplementedError for two different ones."""
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise UnsupportedError("KL(p || q) of transformed distributions is known where both have the same transforms")
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Bernoulli, Bernoulli)
def _(p: Bernoulli, q: Bernoulli) -> Any:
    def softplus(x: Any) -> Any:
        return x.clamp(min=0) + (-x.abs()).exp().log1p()

    return p.probs * (softplus(-q.logits) - softplus(-p.logits)) + (1 - p.probs) * (
        softplus(q.logits) - softplus(p.logits)
    )


@register_kl(Categorical, Categorical)
def _(p: Categorical, q: Categorical) -> Any:
    terms = p.probs * (p.logits - q.logits)
    terms = where(q.probs == 0, math.inf, terms)
    return where(p.probs == 0, 0.0, terms).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _(p: OneHotCategorical, q: OneHotCategorical) -> Any:
    return kl_divergence(p._categorical, q._categorical)


@register_kl(Uniform, Uniform)
def _(p: Uniform, q: Uniform) -> Any:
    outside = (q.low > p.low).logical_or(q.high < p.high)
    return where(outside, math.inf, ((q.high - q.low) / (p.high - p.low)).log())


@register_kl(Exponential, Exponential)
def _(p: Exponential, q: Exponential) -> Any:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Laplace, Laplace)
def _(p: Laplace, q: Laplace) -> Any:
    ratio, gap = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + gap / q.scale + ratio * (-gap / p.scale).exp() - 1


@register_kl(Gamma, Gamma)
def _(p: Gamma, q: Gamma) -> Any:
    a, b = p.concentration, q.concentration
    return b * (p.rate / q.rate).log() + lgamma(b) - lgamma(a) + (a - b) * digamma(a) + (q.rate - p.rate) * (a / p.rate)


@register_kl(Beta, Beta)
def _(p: Beta, q: Beta) -> Any:
    total_p, total_q = p.concentration1 + p.concentration0, q.concentration1 + q.concentration0
    first = lgamma(q.concentration1) + lgamma(q.concentration0) + lgamma(total_p)
    second = lgamma(p.concentration1) + lgamma(p.concentration0) + lgamma(total_q)
    moved = (p.concentration1 - q.concentration1) * digamma(p.concentration1) + (
        p.concentration0 - q.concentration0
    ) * digamma(p.concentration0)
    return first - second + moved + (total_q - total_p) * digamma(total_p)


@register_kl(Dirichlet, Dirichlet)
def _(p: Dirichlet, q: Dirichlet) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    return (
        lgamma(total)
        - lgamma(b.sum(-1))
        - (lgamma(a) - lgamma(b)).sum(-1)
        + ((a - b) * (digamma(a) - digamma(total).unsqueeze(-1))).sum(-1)
    )


@register_kl(Poisson, Poisson)
def _(p: Poisson, q: Poisson) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Geometric, Geometric)
def _(p: Geometric, q: Geometric) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(MultivariateNormal, MultivariateNormal)
def _(p: MultivariateNormal, q: MultivariateNormal) -> Any:
    n = p.event_shape[0]
    moved = linalg.solve_triangular(q.scale_tril, p.scale_tril, upper=False)
    gap = linalg.solve_triangular(q.scale_tril, (q.loc - p.loc).unsqueeze(-1), upper=False)
    return q._log_det() - p._log_det() + 0.5 * ((moved**2).sum((-2, -1)) + (gap**2).sum((-2, -1)) - n)


@register_kl(Independent, Independent)
def _(p: Independent, q: Independent) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return p._joined(kl_divergence(p.base_dist, q.base_dist))
