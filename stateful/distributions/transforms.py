"""`torch.distributions.transforms`: invertible maps with their Jacobians, and the distributions of what they give."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from fdl.stateful.core.errors import ArgumentError, UnsupportedError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.distribution import Distribution, Independent
from fdl.stateful.distributions.utils import tril_matrix_to_vec, vec_to_tril_matrix
from fdl.stateful.functions.creation import arange, as_tensor, eye, zeros_like
from fdl.stateful.functions.shapes import cat, stack
from fdl.stateful.linalg.factorizations import cholesky
from fdl.stateful.nn.functional.activations import logsigmoid, softplus
from fdl.stateful.nn.functional.padding import pad

__all__ = [
    "AbsTransform", "AffineTransform", "CatTransform", "ComposeTransform", "CorrCholeskyTransform",
    "CumulativeDistributionTransform", "ExpTransform", "IndependentTransform", "LowerCholeskyTransform",
    "PositiveDefiniteTransform", "PowerTransform", "ReshapeTransform", "SigmoidTransform", "SoftmaxTransform",
    "SoftplusTransform", "StackTransform", "StickBreakingTransform", "TanhTransform", "Transform",
    "TransformedDistribution", "identity_transform",
]  # fmt: skip


_DERIVED = ("cache_size", "domain", "codomain")  # what does not tell maps apart, or follows from what does


def _same(a: Any, b: Any) -> bool:
    """Whether two parameters of maps are the same: numbers and tensors by value, lists element by element."""
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        numbers = isinstance(a, (Tensor, int, float)) and isinstance(b, (Tensor, int, float))
        same: Any = numbers and as_tensor(a) == as_tensor(b)
        return bool(numbers and same.all())
    return bool(a == b)


class Transform:
    """An invertible map: `t(x)`, `t.inv(y)` and `log_abs_det_jacobian(x, y)`; the last `event_dim` dimensions are
    mapped together.

    >>> import fdl.stateful as torch
    >>> t = torch.distributions.transforms.AffineTransform(loc=1.0, scale=2.0)
    >>> float(t(torch.tensor(3.0))), float(t.inv(torch.tensor(7.0)))
    (7.0, 3.0)
    """

    bijective = True
    domain: Any = constraints.real
    codomain: Any = constraints.real
    _sign: Any = None

    def __init__(self, cache_size: int = 0) -> None:
        self.cache_size = cache_size

    def __call__(self, x: Any) -> Any:
        return self._call(x)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        mine, theirs = ({k: v for k, v in vars(t).items() if k not in _DERIVED} for t in (self, other))
        return mine.keys() == theirs.keys() and all(_same(mine[k], theirs[k]) for k in mine)

    def __hash__(self) -> int:
        return hash(type(self))

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions are mapped together; ValueError where the map changes their number."""
        if self.domain.event_dim != self.codomain.event_dim:
            raise ArgumentError("Please use either .domain.event_dim or .codomain.event_dim")
        return int(self.domain.event_dim)

    @property
    def sign(self) -> Any:
        """1 where the map grows, -1 where it falls; NotImplementedError where it does neither."""
        if self._sign is None:
            raise UnsupportedError(f"{type(self).__name__} is not monotone")
        return self._sign

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The map itself: nothing is cached."""
        return self

    @property
    def inv(self) -> Transform:
        """The inverse map."""
        return _InverseTransform(self)

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

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of what is mapped to a value of this shape."""
        return shape

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _InverseTransform(Transform):
    def __init__(self, of: Transform) -> None:
        super().__init__()
        self._of, self.bijective = of, of.bijective
        self.domain, self.codomain = of.codomain, of.domain

    @property
    def sign(self) -> Any:
        return self._of.sign

    @property
    def inv(self) -> Transform:
        return self._of

    def _call(self, x: Any) -> Any:
        return self._of._inverse(x)

    def _inverse(self, y: Any) -> Any:
        return self._of._call(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._of.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._of.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._of.forward_shape(shape)


class ExpTransform(Transform):
    """`exp(x)`."""

    codomain, _sign = constraints.positive, 1

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class PowerTransform(Transform):
    """`x ** exponent`, of positive numbers."""

    domain = codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    def _call(self, x: Any) -> Any:
        return x**self.exponent

    @property
    def sign(self) -> Any:
        return self.exponent.sign() if isinstance(self.exponent, Tensor) else math.copysign(1, self.exponent)

    def _inverse(self, y: Any) -> Any:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return (self.exponent * y / x).abs().log()


class SigmoidTransform(Transform):
    """`1 / (1 + exp(-x))`."""

    codomain, _sign = constraints.unit_interval, 1

    def _call(self, x: Any) -> Any:
        return x.sigmoid()

    def _inverse(self, y: Any) -> Any:
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x) - softplus(x)


class TanhTransform(Transform):
    """`tanh(x)`."""

    codomain, _sign = constraints.interval(-1.0, 1.0), 1

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))  # log(1 - tanh(x)**2), without cancellation


class SoftplusTransform(Transform):
    """`log(1 + exp(x))`."""

    codomain, _sign = constraints.positive, 1

    def _call(self, x: Any) -> Any:
        return softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x)


class AbsTransform(Transform):
    """`|x|`."""

    bijective = False
    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class AffineTransform(Transform):
    """`loc + scale * x`."""

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale = loc, scale
        self.domain = self.codomain = constraints.independent(constraints.real, event_dim)

    @property
    def sign(self) -> Any:
        return self.scale.sign() if isinstance(self.scale, Tensor) else math.copysign(1, self.scale)

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
    domain, codomain = constraints.real_vector, constraints.simplex

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

    domain, codomain = constraints.real_vector, constraints.simplex

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

    def inverse_shape(self, shape: Any) -> Any:
        return (*shape[:-1], shape[-1] - 1)


class ComposeTransform(Transform):
    """One transform after another."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)
        self.bijective = all(p.bijective for p in self.parts)

    def _call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Any) -> Any:
        for part in reversed(self.parts):
            y = part._inverse(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        terms, dims = [], self.domain.event_dim
        for part in self.parts:
            after = part(x)
            terms.append(_summed(part.log_abs_det_jacobian(x, after), dims - part.domain.event_dim))
            dims += part.codomain.event_dim - part.domain.event_dim
            x = after
        return zeros_like(x) if not terms else terms[0] if len(terms) == 1 else _added(terms)

    @property
    def domain(self) -> Any:  # type: ignore[override]
        """What the first map takes, with as many dimensions as later ones need."""
        first = self.parts[0].domain if self.parts else constraints.real
        more = _dims_before(self.parts) - first.event_dim
        return constraints.independent(first, more) if more else first

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        """What the last map gives, with as many dimensions as earlier ones need."""
        last = self.parts[-1].codomain if self.parts else constraints.real
        changed = sum(p.codomain.event_dim - p.domain.event_dim for p in self.parts)
        more = _dims_before(self.parts) + changed - last.event_dim
        return constraints.independent(last, more) if more else last

    @property
    def sign(self) -> Any:
        found: Any = 1
        for p in self.parts:
            found = found * p.sign
        return found

    def forward_shape(self, shape: Any) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __repr__(self) -> str:
        inner = ",\n".join(f"    {part}" for part in self.parts)
        return f"ComposeTransform(\n{inner}\n)"


def _dims_before(parts: Sequence[Transform]) -> int:
    """How many dimensions of an input several maps look at together."""
    found = 0
    for part in reversed(parts):
        found = max(found + part.domain.event_dim - part.codomain.event_dim, part.domain.event_dim)
    return int(found)


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
        more = _dims_before(self.transforms) - len(base_distribution.event_shape)
        self.base_dist = Independent(base_distribution, more) if more > 0 else base_distribution
        shape: Any = (*self.base_dist.batch_shape, *self.base_dist.event_shape)
        for t in self.transforms:
            shape = t.forward_shape(shape)
        whole = ComposeTransform(self.transforms)
        dims = whole.codomain.event_dim + max(len(self.base_dist.event_shape) - whole.domain.event_dim, 0)
        cut = len(shape) - dims
        super().__init__(shape[:cut], shape[cut:], validate_args)

    @property
    def support(self) -> Any:
        """What the last map gives."""
        if not self.transforms:
            return self.base_dist.support
        found = self.transforms[-1].codomain
        more = len(self.event_shape) - found.event_dim
        return constraints.independent(found, more) if more > 0 else found

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
        y, terms, dims = value, [], len(self.event_shape)
        for t in reversed(self.transforms):
            x = t.inv(y)
            dims += t.domain.event_dim - t.codomain.event_dim
            terms.append(_summed(t.log_abs_det_jacobian(x, y), dims - t.domain.event_dim))
            y = x
        return self.base_dist.log_prob(y) - _added(terms) if terms else self.base_dist.log_prob(y)

    def cdf(self, value: Any) -> Any:
        """The probability of less than a value."""
        sign: Any = 1
        for t in reversed(self.transforms):
            sign = operator.mul(sign, t.sign)
            value = t.inv(value)
        below = self.base_dist.cdf(value)
        return (below - 0.5) * sign + 0.5

    def icdf(self, value: Any) -> Any:
        """The value below which a share lies."""
        sign: Any = 1
        for t in self.transforms:
            sign = operator.mul(sign, t.sign)
        value = self.base_dist.icdf((value - 0.5) * sign + 0.5)
        for t in self.transforms:
            value = t(value)
        return value


class IndependentTransform(Transform):
    """A map of which so many more dimensions count as one event.

    >>> import fdl.stateful as torch
    >>> D = torch.distributions
    >>> t = D.IndependentTransform(D.ExpTransform(), 1)
    >>> t.log_abs_det_jacobian(torch.ones(3), t(torch.ones(3)))
    tensor(3.)
    """

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform, self.reinterpreted_batch_ndims = base_transform, reinterpreted_batch_ndims
        self.bijective = base_transform.bijective
        self.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims)

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Any) -> Any:
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return _summed(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Any) -> Any:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.base_transform.inverse_shape(shape)


class ReshapeTransform(Transform):
    """Events of one shape as events of another.

    >>> import fdl.stateful as torch
    >>> torch.distributions.ReshapeTransform((4,), (2, 2))(torch.arange(4)).tolist()
    [[0, 1], [2, 3]]
    """

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        if math.prod(self.in_shape) != math.prod(self.out_shape):
            raise ArgumentError("in_shape, out_shape have different numbers of elements")
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Any) -> Any:
        return x.reshape(*x.shape[: x.ndim - len(self.in_shape)], *self.out_shape)

    def _inverse(self, y: Any) -> Any:
        return y.reshape(*y.shape[: y.ndim - len(self.out_shape)], *self.in_shape)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.ndim - len(self.in_shape)])

    def forward_shape(self, shape: Any) -> Any:
        return (*shape[: len(shape) - len(self.in_shape)], *self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return (*shape[: len(shape) - len(self.out_shape)], *self.in_shape)


class _Parts(Transform):
    """Maps of parts along a dimension."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.bijective = all(t.bijective for t in self.transforms)

    def _taken(self, x: Any) -> Sequence[Any]:
        raise NotImplementedError

    def _put(self, parts: Sequence[Any]) -> Any:
        raise NotImplementedError

    def _call(self, x: Any) -> Any:
        return self._put([t(part) for t, part in zip(self.transforms, self._taken(x), strict=True)])

    def _inverse(self, y: Any) -> Any:
        return self._put([t.inv(part) for t, part in zip(self.transforms, self._taken(y), strict=True)])

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        pairs = zip(self.transforms, self._taken(x), self._taken(y), strict=True)
        return self._put([t.log_abs_det_jacobian(a, b) for t, a, b in pairs])


class CatTransform(_Parts):
    """Maps of parts of some lengths along a dimension.

    >>> import fdl.stateful as torch
    >>> D = torch.distributions
    >>> D.CatTransform([D.ExpTransform(), D.AffineTransform(0, 2)], lengths=[1, 2])(torch.zeros(3)).tolist()
    [1.0, 0.0, 0.0]
    """

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, lengths: Any = None, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        self.domain = constraints.cat([t.domain for t in self.transforms], dim, self.lengths)
        self.codomain = constraints.cat([t.codomain for t in self.transforms], dim, self.lengths)

    def _taken(self, x: Any) -> Sequence[Any]:
        return x.split(self.lengths, self.dim)  # type: ignore[no-any-return]

    def _put(self, parts: Sequence[Any]) -> Any:
        return cat(parts, self.dim)


class StackTransform(_Parts):
    """Maps of the slices along a dimension."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)
        self.domain = constraints.stack([t.domain for t in self.transforms], dim)
        self.codomain = constraints.stack([t.codomain for t in self.transforms], dim)

    def _taken(self, x: Any) -> Sequence[Any]:
        return x.unbind(self.dim)  # type: ignore[no-any-return]

    def _put(self, parts: Sequence[Any]) -> Any:
        return stack(parts, self.dim)


class CumulativeDistributionTransform(Transform):
    """Values of a distribution as shares below them.

    >>> import fdl.stateful as torch
    >>> D = torch.distributions
    >>> D.CumulativeDistributionTransform(D.Normal(0.0, 1.0))(torch.zeros(1)).tolist()
    [0.5]
    """

    codomain, _sign = constraints.unit_interval, 1

    def __init__(self, distribution: Distribution, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:  # type: ignore[override]
        """What values the distribution has."""
        return self.distribution.support

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return self.distribution.log_prob(x)


class LowerCholeskyTransform(Transform):
    """Matrices to lower triangular ones with positive diagonals: of the diagonal `exp`, above it nothing."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(0, -2, -1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(0, -2, -1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """Matrices to positive definite ones: `L @ L.T`, L being what `LowerCholeskyTransform` gives."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.positive_definite

    def _call(self, x: Any) -> Any:
        lower = LowerCholeskyTransform()(x)
        return lower @ lower.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(cholesky(y))


class CorrCholeskyTransform(Transform):
    """D (D - 1) / 2 numbers to the factor of a correlation matrix: their hyperbolic tangents are partial correlations,
    each row of the factor has length 1 (Lewandowski, Kurowicka and Joe, 2009).

    >>> import fdl.stateful as torch
    >>> torch.distributions.CorrCholeskyTransform()(torch.zeros(1)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    domain, codomain = constraints.real_vector, constraints.corr_cholesky

    def _call(self, x: Any) -> Any:
        eps = 1.1920929e-07 if x.dtype.itemsize == 4 else 2.220446049250313e-16
        partial = vec_to_tril_matrix(x.tanh().clamp(-1 + eps, 1 - eps), -1)
        left = (1 - partial**2).sqrt().cumprod(-1)  # of a row's length, after each of its elements
        return (partial + eye(partial.shape[-1], dtype=x.dtype)) * pad(left[..., :-1], (1, 0), value=1.0)

    def _inverse(self, y: Any) -> Any:
        left = pad((1 - (y * y).cumsum(-1))[..., :-1], (1, 0), value=1.0)
        return (tril_matrix_to_vec(y, -1) / tril_matrix_to_vec(left, -1).sqrt()).atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        left = tril_matrix_to_vec(1 - (y * y).cumsum(-1), -2)
        return 0.5 * left.log().sum(-1) + (2.0 * (math.log(2.0) - x - softplus(-2.0 * x))).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        n = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != shape[-1]:
            raise ArgumentError("Input is not a flattened lower-diagonal number")
        return (*shape[:-1], n, n)

    def inverse_shape(self, shape: Any) -> Any:
        return (*shape[:-2], shape[-1] * (shape[-1] - 1) // 2)


identity_transform = ComposeTransform([])
