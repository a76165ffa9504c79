"""What distributions have in common."""

from __future__ import annotations

from typing import Any

from fdl.stateful._tensor import Size, Tensor
from fdl.stateful.autograd import no_grad
from fdl.stateful.functions.creation import tensor
from fdl.stateful.functions.shapes import broadcast_tensors


def together(*values: Any) -> tuple[Any, ...]:
    """Parameters as tensors of one shape."""
    made = [v if isinstance(v, Tensor) else tensor(float(v)) for v in values]
    return broadcast_tensors(*made)


class Distribution:
    """Base of distributions: `batch_shape` of independent ones, `event_shape` of one sample."""

    has_rsample = False

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(tuple(batch_shape)), Size(tuple(event_shape))

    @property
    def batch_shape(self) -> Size:
        """Shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """Shape of one sample of one of them."""
        return self._event_shape

    def _extended(self, sample_shape: Any) -> tuple[int, ...]:
        return (*tuple(sample_shape), *self._batch_shape, *self._event_shape)

    def sample(self, sample_shape: Any = ()) -> Any:
        """Samples, without gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Samples through which gradients flow to the parameters."""
        raise NotImplementedError(f"{type(self).__name__}.rsample: no gradient flows through these samples; use sample")

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density, or probability, of a value."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy, in nats."""
        raise NotImplementedError

    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def perplexity(self) -> Any:
        """e to the power of the entropy."""
        return self.entropy().exp()

    def __repr__(self) -> str:
        names = [n for n in getattr(self, "arg_constraints", {}) if n in self.__dict__]
        values = [f"{n}: {self.__dict__[n] if self.__dict__[n].numel() == 1 else self.__dict__[n].size()}" for n in names]
        return f"{type(self).__name__}({', '.join(values)})"


class ExponentialFamily(Distribution):
    """Distributions of exponential families."""


class Independent(Distribution):
    """Batch dimensions of a distribution taken as parts of one sample."""

    def __init__(self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None) -> None:
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        split = len(base_distribution.batch_shape) - reinterpreted_batch_ndims
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        self.has_rsample = base_distribution.has_rsample
        super().__init__(shape[:split], shape[split:])

    def _joined(self, value: Any) -> Any:
        n = self.reinterpreted_batch_ndims
        return value.sum(tuple(range(-n, 0))) if n else value

    def sample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Any:
        return self._joined(self.base_dist.log_prob(value))

    def entropy(self) -> Any:
        return self._joined(self.base_dist.entropy())

    @property
    def mean(self) -> Any:
        return self.base_dist.mean

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    @property
    def mode(self) -> Any:
        """The most likely value."""
        return self.base_dist.mode  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
