"""Mixtures of distributions of one kind."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.distributions.discrete import Categorical
from fdl.stateful.distributions.distribution import Distribution
from fdl.stateful.nn.functional import log_softmax

__all__ = ["MixtureSameFamily"]


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
