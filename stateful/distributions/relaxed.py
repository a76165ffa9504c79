"""Discrete variables made continuous, so that gradients flow through their samples."""

from __future__ import annotations

import math
from typing import Any

from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.discrete import OfCategories, OneHotCategorical, _OfProbability
from fdl.stateful.distributions.quantiles import uniform
from fdl.stateful.functions.creation import full
from fdl.stateful.nn.functional import log_softmax

__all__ = ["OneHotCategoricalStraightThrough", "RelaxedBernoulli", "RelaxedOneHotCategorical"]


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
        u = uniform(self, sample_shape, self.logits)
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
        noise = -(-uniform(self, sample_shape, self.logits).log()).log()
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
