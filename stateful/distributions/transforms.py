"""`torch.distributions.transforms`: invertible maps with their Jacobians, and the distributions of what they give."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from fdl.stateful.core.errors import ArgumentError, UnsupportedError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.distributions.distribution import Distribution, Independent
from fdl.stateful.functions.creation import arange, zeros_like
from fdl.stateful.nn.functional.activations import logsigmoid, softplus
from fdl.stateful.nn.functional.padding import pad

__all__ = [
    "AbsTransform", "AffineTransform", "ComposeTransform", "ExpTransform", "PowerTransform", "SigmoidTransform",
    "SoftmaxTransform", "SoftplusTransform", "StickBreakingTransform",
    "TanhTransform",
    "Transform", "TransformedDistribution", "identity_transform",
]  # fmt: skip


class Transform:
    """An invertible map: `t(x)`, `t.inv(y)` and `log_abs_det_jacobian(x, y)`; the last `event_dim` dimensions are
    mapped together.

    >>> import fdl.stateful as torch
    >>> t = torch.distributions.transforms.AffineTransform(loc=1.0, scale=2.0)
    >>> float(t(torch.tensor(3.0))), float(t.inv(torch.tensor(7.0)))
    (7.0, 3.0)
    """

    bijective = True
    event_dim = 0

    def __init__(self, cache_size: int = 0) -> None:
        self.cache_size = cache_size

    def __call__(self, x: Any) -> Any:
        return self._call(x)

    @property
    def inv(self) -> Transform:
        """The inverse map."""
        return _Inverse(self)

    def _call(self, x: Any) -> Any:
        raise NotImplementedError

    def _inverse(self, y: Any) -> Any:
        raise UnsupportedError(f"{type(self).__name__} has no inverse")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the size of the derivative at x, where `y = t(x)`."""
        raise UnsupportedError(f"{type(self).__name__} has no Jacobian")

    def forward_shape(self, shape: Any) -> Any:
        """The shape of what a value of this shape is mapped to."""
        return shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    def __init__(self, of: Transform) -> None:
        super().__init__()
        self._of, self.bijective, self.event_dim = of, of.bijective, of.event_dim

    @property
    def inv(self) -> Transform:
        return self._of

    def _call(self, x: Any) -> Any:
        return self._of._inverse(x)

    def _inverse(self, y: Any) -> Any:
        return self._of._call(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._of.log_abs_det_jacobian(y, x)


class ExpTransform(Transform):
    """`exp(x)`."""

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """`x ** exponent`, of positive numbers."""

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    def _call(self, x: Any) -> Any:
        return x**self.exponent

    def _inverse(self, y: Any) -> Any:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return (self.exponent * y / x).abs().log()


class SigmoidTransform(Transform):
    """`1 / (1 + exp(-x))`."""

    def _call(self, x: Any) -> Any:
        return x.sigmoid()

    def _inverse(self, y: Any) -> Any:
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x) - softplus(x)


class TanhTransform(Transform):
    """`tanh(x)`."""

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))  # log(1 - tanh(x)**2), without cancellation


class SoftplusTransform(Transform):
    """`log(1 + exp(x))`."""

    def _call(self, x: Any) -> Any:
        return softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x)


class AbsTransform(Transform):
    """`|x|`."""

    bijective = False

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class AffineTransform(Transform):
    """`loc + scale * x`."""

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self.event_dim = loc, scale, event_dim

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        size = self.scale.abs().log() if isinstance(self.scale, Tensor) else math.log(abs(self.scale))
        return _summed(zeros_like(x) + size, self.event_dim)


class SoftmaxTransform(Transform):
    """Numbers to probabilities along the last dimension; its inverse, `log`, is one of many."""

    bijective = False
    event_dim = 1

    def _call(self, x: Any) -> Any:
        return x.softmax(-1)

    def _inverse(self, y: Any) -> Any:
        return y.log()


class StickBreakingTransform(Transform):
    """K numbers to K + 1 shares: each takes its part of what is left of a stick.

    >>> import fdl.stateful as torch
    >>> torch.distributions.StickBreakingTransform()(torch.zeros(1)).tolist()
    [0.5, 0.5]
    """

    event_dim = 1

    @staticmethod
    def _offset(k: int, like: Any) -> Any:
        """So that zeros give equal shares."""
        return (k - arange(k)).to(like.dtype).log()

    def _call(self, x: Any) -> Any:
        z = (x - self._offset(x.shape[-1], x)).sigmoid()
        return pad(z, (0, 1), value=1.0) * pad((1 - z).cumprod(-1), (1, 0), value=1.0)

    def _inverse(self, y: Any) -> Any:
        first = y[..., :-1]
        rest = (1 - first.cumsum(-1)).clamp(min=1.1754943508222875e-38)
        return first.log() - rest.log() + self._offset(first.shape[-1], y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        x = x - self._offset(x.shape[-1], x)
        return (-x + logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return (*shape[:-1], shape[-1] + 1)


class ComposeTransform(Transform):
    """One transform after another."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)
        self.bijective = all(p.bijective for p in self.parts)
        self.event_dim = max((p.event_dim for p in self.parts), default=0)

    def _call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Any) -> Any:
        for part in reversed(self.parts):
            y = part._inverse(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        terms = []
        for part in self.parts:
            after = part(x)
            terms.append(_summed(part.log_abs_det_jacobian(x, after), self.event_dim - part.event_dim))
            x = after
        return zeros_like(x) if not terms else terms[0] if len(terms) == 1 else _added(terms)

    def __repr__(self) -> str:
        inner = ",\n".join(f"    {part}" for part in self.parts)
        return f"ComposeTransform(\n{inner}\n)"


def _added(terms: Sequence[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _summed(x: Any, dims: int) -> Any:
    """The sum over the last dimensions."""
    return x.sum(tuple(range(-dims, 0))) if dims else x


class TransformedDistribution(Distribution):
    """The distribution of `transforms(x)` where x has `base_distribution`.

    >>> import fdl.stateful as torch
    >>> D = torch.distributions
    >>> d = D.TransformedDistribution(D.Normal(0.0, 1.0), [D.transforms.ExpTransform()])
    >>> bool(torch.isclose(d.log_prob(torch.tensor(2.0)), D.LogNormal(0.0, 1.0).log_prob(torch.tensor(2.0))))
    True
    """

    def __init__(self, base_distribution: Distribution, transforms: Any, validate_args: bool | None = None) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        if not all(isinstance(t, Transform) for t in self.transforms):
            raise ArgumentError(f"transforms must be a Transform or a list of Transforms, but was {transforms}")
        more = max([0, *(t.event_dim for t in self.transforms)]) - len(base_distribution.event_shape)
        self.base_dist = Independent(base_distribution, more) if more > 0 else base_distribution
        shape: Any = tuple(self.base_dist.event_shape)
        for t in self.transforms:
            shape = t.forward_shape(shape)
        super().__init__(self.base_dist.batch_shape, shape, validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether gradients flow through samples."""
        return self.base_dist.has_rsample

    def sample(self, sample_shape: Any = ()) -> Any:
        x = self.base_dist.sample(sample_shape)
        for t in self.transforms:
            x = t(x)
        return x.detach()

    def rsample(self, sample_shape: Any = ()) -> Any:
        x = self.base_dist.rsample(sample_shape)
        for t in self.transforms:
            x = t(x)
        return x

    def log_prob(self, value: Any) -> Any:
        y, terms = value, []
        for t in reversed(self.transforms):
            x = t._inverse(y)
            terms.append(_summed(t.log_abs_det_jacobian(x, y), len(self.event_shape) - t.event_dim))
            y = x
        return self.base_dist.log_prob(y) - _added(terms) if terms else self.base_dist.log_prob(y)

    def cdf(self, value: Any) -> Any:
        """The probability of less than a value."""
        sign: Any = 1
        for t in reversed(self.transforms):
            scale = getattr(t, "scale", 1)
            sign = operator.mul(sign, scale.sign() if isinstance(scale, Tensor) else math.copysign(1, scale))
            value = t._inverse(value)
        below = self.base_dist.cdf(value)
        return (below - 0.5) * sign + 0.5


identity_transform = ComposeTransform([])
