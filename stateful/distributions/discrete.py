"""Distributions of whole numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import fdl.random
from fdl import ops
from fdl.extend import Function, aval_of
from fdl.lax import while_loop
from fdl.stateful.core.checks import broken, check_domain
from fdl.stateful.core.random import draw, key_of, rand
from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.distribution import Distribution, ExponentialFamily, together
from fdl.stateful.distributions.gammas import standard_gamma
from fdl.stateful.functions.creation import arange, full, zeros_like
from fdl.stateful.functions.gathering import one_hot
from fdl.stateful.functions.special import lgamma, xlog1py, xlogy
from fdl.stateful.nn.functional import binary_cross_entropy_with_logits, log_softmax, logsigmoid, softmax

_EPS = 1.1920928955078125e-07


def _to_logits(probs: Any) -> Any:
    held = probs.clamp(_EPS, 1 - _EPS)
    return held.log() - (-held).log1p()


class _OfProbability(ExponentialFamily):
    """A probability, given as such or as logits."""

    arg_constraints: ClassVar[Any] = {"probs": constraints.unit_interval, "logits": constraints.real}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        if probs is not None:
            (self.probs,) = together(probs)
        else:
            (self.logits,) = together(logits)
        super().__init__((self.probs if probs is not None else self.logits).shape, validate_args=validate_args)

    def __getattr__(self, name: str) -> Any:
        if name == "logits":
            self.logits = _to_logits(self.probs)
            return self.logits
        if name == "probs" and "logits" in self.__dict__:
            self.probs = self.logits.sigmoid()
            return self.probs
        raise AttributeError(name)


class Bernoulli(_OfProbability):
    """1 with a probability, else 0."""

    support = constraints.boolean
    has_enumerate_support = True

    def enumerate_support(self, expand: bool = True) -> Any:
        return _numbers(2, self.batch_shape, expand).to(self.probs.dtype)

    def sample(self, sample_shape: Any = ()) -> Any:
        p = self.probs.detach()
        return (rand(*self._extended(sample_shape), dtype=p.dtype) < p).to(p.dtype)

    def log_prob(self, value: Any) -> Any:
        logits, value = together(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Any:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return (self.probs >= 0.5).to(self.probs.dtype)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)


class Geometric(_OfProbability):
    """How often something fails before it succeeds."""

    support = constraints.nonnegative_integer

    def sample(self, sample_shape: Any = ()) -> Any:
        p = self.probs.detach()
        u = (1 - rand(*self._extended(sample_shape), dtype=p.dtype)).clamp(min=1e-30)
        return (u.log() / (-p).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        return xlog1py(value, -self.probs) + self.probs.log()

    def entropy(self) -> Any:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    @property
    def mode(self) -> Any:
        return zeros_like(self.probs)


class Categorical(Distribution):
    """One of several, by probabilities along the last dimension.

    >>> import fdl.stateful as torch
    >>> float(torch.distributions.Categorical(probs=torch.ones(4)).entropy().exp())
    4.0
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}

    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        given = probs if probs is not None else logits
        if given.ndim < 1:
            raise ValueError(
                f"`{'probs' if probs is not None else 'logits'}` parameter must be at least one-dimensional."
            )
        if probs is not None:
            self.probs = probs / probs.sum(-1, keepdim=True)
            self.logits = self.probs.clamp(_EPS, 1 - _EPS).log()
        else:
            self.logits = log_softmax(logits, -1)
            self.probs = softmax(self.logits, -1)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = (*tuple(sample_shape), *self.batch_shape, self._num_events)
        noise = -(-rand(*shape, dtype=self.logits.dtype).clamp(min=1e-30).log()).log()
        return (self.probs.detach().log() + noise).argmax(-1)

    def log_prob(self, value: Any) -> Any:
        value = value.long().unsqueeze(-1)
        shape = tuple(ops.broadcast_shapes([tuple(value.shape[:-1]), tuple(self.logits.shape[:-1])], "Categorical"))
        return self.logits.expand(*shape, self._num_events).gather(-1, value.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Any:
        floor = -3.4028234663852886e38
        return -(self.logits.clamp(min=floor) * self.probs).sum(-1)

    @property
    def mean(self) -> Any:
        """NaN: what is chosen from has no order."""
        return full(self._batch_shape, float("nan"), dtype=self.probs.dtype)

    @property
    def variance(self) -> Any:
        """NaN, as the mean."""
        return self.mean

    @property
    def mode(self) -> Any:
        return self.probs.argmax(-1)

    @property
    def param_shape(self) -> Any:
        """Shape of the probabilities."""
        return self.probs.shape

    def enumerate_support(self, expand: bool = True) -> Any:
        return _numbers(self._num_events, self.batch_shape, expand)

    @property
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)


def _numbers(n: int, batch: Any, expand: bool) -> Any:
    found = arange(n).view(-1, *[1] * len(batch))
    return found.expand(-1, *batch) if expand else found


class OfCategories(Distribution):
    """Base of what is made of a categorical variable, whose probabilities are those of its event."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)

    @property
    def probs(self) -> Any:
        """Probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """Their logarithms."""
        return self._categorical.logits


class OneHotCategorical(OfCategories):
    """`Categorical`, with one-hot vectors as samples."""

    support = constraints.one_hot
    has_enumerate_support = True

    def enumerate_support(self, expand: bool = True) -> Any:
        n = self.event_shape[0]
        found = one_hot(arange(n), n).to(self.probs.dtype).view(n, *[1] * len(self.batch_shape), n)
        return found.expand(n, *self.batch_shape, n) if expand else found

    def sample(self, sample_shape: Any = ()) -> Any:
        return one_hot(self._categorical.sample(sample_shape), self.event_shape[0]).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Any:
        return self._categorical.entropy()

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    @property
    def mode(self) -> Any:
        return one_hot(self.probs.argmax(-1), self.event_shape[0]).to(self.probs.dtype)


class Multinomial(OfCategories):
    """How often each of several comes in `total_count` draws."""

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.total_count = total_count
        super().__init__(probs, logits, validate_args)

    def sample(self, sample_shape: Any = ()) -> Any:
        drawn = self._categorical.sample((self.total_count, *tuple(sample_shape)))
        return one_hot(drawn, self.event_shape[0]).sum(0).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Any:
        return lgamma(value.sum(-1) + 1) - lgamma(value + 1).sum(-1) + (self.logits * value).sum(-1)

    def entropy(self) -> Any:
        n = self.total_count
        counts = arange(1, n + 1).to(self.probs.dtype).reshape(-1, *[1] * self.probs.ndim)
        likely = Binomial(n, self.probs).log_prob(counts).exp()
        return n * self._categorical.entropy() - math.lgamma(n + 1) + (likely * lgamma(counts + 1)).sum((0, -1))

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    @property
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)


class Binomial(_OfProbability):
    """How often something succeeds in `total_count` trials."""

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(probs, logits, validate_args)
        self.total_count, _ = together(total_count, self.probs)
        self._batch_shape = self.total_count.shape

    has_enumerate_support = True

    def enumerate_support(self, expand: bool = True) -> Any:
        return _numbers(1 + int(self.total_count.max()), self.batch_shape, expand).to(self.probs.dtype)

    def sample(self, sample_shape: Any = ()) -> Any:
        most = int(self.total_count.max())
        p = self.probs.detach()
        shape = self._extended(sample_shape)
        trial = (rand(most, *shape, dtype=p.dtype) < p).to(p.dtype)
        number = arange(most).to(p.dtype).view(most, *[1] * len(shape))
        return (trial * (number < self.total_count).to(p.dtype)).sum(0)

    def log_prob(self, value: Any) -> Any:
        n = self.total_count
        ways = lgamma(n + 1) - lgamma(value + 1) - lgamma(n - value + 1)
        return ways + value * self.logits - n * (self.logits.clamp(min=0) + (-self.logits.abs()).exp().log1p())

    def entropy(self) -> Any:
        likely = self.log_prob(self.enumerate_support(expand=False))
        return -(likely.exp() * likely).sum(0)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    @property
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)


def _poisson_body(rate: Any, seed: Any, count: Any, shape: tuple[int, ...]) -> Any:
    """Exponential times are added until they pass the rate."""
    dtype = aval_of(rate).dtype
    rate = ops.broadcast_to(rate, shape)
    key = key_of(seed, count)

    def open_(carry: tuple[Any, Any, Any]) -> Any:
        return ops.reduce_max(ops.convert(ops.less(carry[1], rate), "int32"), range(len(shape)))

    def condition(carry: tuple[Any, Any, Any]) -> Any:
        return ops.greater(open_(carry), 0)

    def step(carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        found, time, k = carry
        u = fdl.random.uniform(fdl.random.fold_in(key, k), shape, dtype)
        after = ops.sub(time, ops.log(ops.maximum(ops.sub(1, u), 1e-30)))
        return (
            ops.select(ops.less(after, rate), ops.add(found, 1), found),
            ops.select(ops.less(time, rate), after, time),
            ops.add(k, 1),
        )

    zero = ops.full(shape, 0, dtype)
    found, _, _ = while_loop(condition, step, (zero, zero, ops.full((), 0, "int32")))
    return found


_poisson = Function(_poisson_body, "poisson")


def poisson(input: Any, generator: Any = None) -> Any:
    """Poisson numbers with these rates."""
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"\"poisson_cpu\" not implemented for '{input.dtype.legacy_name}'")
    check_domain(input, 0, math.inf, broken("invalid Poisson rate, expected rate to be non-negative", show=True))
    return draw(_poisson, (input.detach(),), (tuple(input.shape),), generator)


class Poisson(ExponentialFamily):
    """Numbers of events of a rate."""

    support = constraints.nonnegative_integer
    arg_constraints: ClassVar[Any] = {"rate": constraints.nonnegative}

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    def sample(self, sample_shape: Any = ()) -> Any:
        return draw(_poisson, (self.rate.detach(),), (self._extended(sample_shape),))

    def log_prob(self, value: Any) -> Any:
        return xlogy(value, self.rate) - self.rate - lgamma(value + 1)

    @property
    def mean(self) -> Any:
        return self.rate

    @property
    def variance(self) -> Any:
        return self.rate

    @property
    def mode(self) -> Any:
        return self.rate.floor()


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
