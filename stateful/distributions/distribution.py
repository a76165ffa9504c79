"""What distributions have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from fdl.extend import Deferred, Tracer
from fdl.stateful.autograd import no_grad
from fdl.stateful.core.errors import ArgumentError, UnsupportedError
from fdl.stateful.core.results import Size
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.distributions import constraints
from fdl.stateful.functions.creation import tensor
from fdl.stateful.functions.shapes import broadcast_tensors


def _checked(f: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a value that looks at it first."""

    @functools.wraps(f)
    def public(self: Any, value: Any) -> Any:
        if (
            self._validate_args and getattr(type(self), f.__name__) is public
        ):  # not where a subclass asks for another value
            self._refused(value)
        return f(self, value)

    return public


def together(*values: Any) -> tuple[Any, ...]:
    """Parameters as tensors of one shape."""
    shapes = [tuple(v.shape) for v in values if isinstance(v, Tensor)]
    shape = np.broadcast_shapes(*shapes)
    made = [
        v if isinstance(v, Tensor) else tensor(np.full(shape, v, np.float32) if shape else float(v)) for v in values
    ]
    return tuple(made) if all(s == shape for s in shapes) else broadcast_tensors(*made)


def known(x: Any) -> bool:
    """Whether the values of a tensor are there already, so that looking at them costs nothing."""
    if not isinstance(x, Tensor):
        return False
    array = x._value()
    return not isinstance(array, Tracer) and not isinstance(array._data, Deferred)


def _told(constraint: Any) -> bool:
    """Whether the values of all bounds of a constraint are there already."""
    parts = vars(constraint).values()
    return all(known(x) for x in parts if isinstance(x, Tensor)) and all(
        _told(x) for x in parts if isinstance(x, constraints.Constraint)
    )


class Distribution:
    """Base of distributions: `batch_shape` of independent ones, `event_shape` of one sample.

    Parameters, and values whose density is asked for, are checked where they are known already; what a program has yet
    to compute is not waited for.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints: ClassVar[Any] = {}
    _validate_args = True

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(tuple(batch_shape)), Size(tuple(event_shape))
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                value: Any = self.__dict__.get(name)
                if known(value) and _told(constraint) and not constraint.holds(value.detach().numpy()).all():
                    raise ArgumentError(
                        f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of "
                        f"distribution {self!r} to satisfy the constraint {constraint}, "
                        f"but found invalid values:\n{value}"
                    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("log_prob", "cdf"):
            if name in cls.__dict__:
                setattr(cls, name, _checked(cls.__dict__[name]))

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether parameters and values are checked."""
        Distribution._validate_args = bool(value)

    @property
    def support(self) -> Any:
        """What values samples have."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The most likely value."""
        raise UnsupportedError(f"{type(self).__name__} has no mode")

    def cdf(self, value: Any) -> Any:
        """The share below a value."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """The value below which a share lies."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values that samples may have."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Any:
        """n samples."""
        return self.sample((n,))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The distribution with parameters repeated to a batch shape.

        >>> import fdl.stateful as torch
        >>> torch.distributions.Normal(torch.zeros(2, 1), 1.0).expand((2, 3)).batch_shape
        torch.Size([2, 3])
        """
        batch_shape = Size(tuple(batch_shape))
        new = object.__new__(type(self))
        own = len(self._batch_shape)
        for name, value in self.__dict__.items():
            if isinstance(value, Distribution):
                value = value.expand((*batch_shape, *value.batch_shape[own:]))
            elif isinstance(value, Tensor) and tuple(value.shape[:own]) == tuple(self._batch_shape):
                value = value.expand(*batch_shape, *value.shape[own:])
            new.__dict__[name] = value
        new._batch_shape = batch_shape
        return new

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """The object that `expand` fills: another of this class, which has to write `expand` where it has an `__init__`
        of its own.
        """
        if _instance is not None:
            return _instance
        if type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method must also "
                "define a custom .expand() method."
            )
        return type(self).__new__(type(self))

    def _validate_sample(self, value: Any) -> None:
        """ValueError for a value outside of the support."""
        self._refused(value)

    def _refused(self, value: Any) -> None:
        """ValueError for values that samples cannot have."""
        try:
            support = self.support
        except NotImplementedError:
            return
        if known(value) and _told(support) and not support.holds(value.detach().numpy()).all():
            raise ArgumentError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within "
                f"the support ({support}) of the distribution {self!r}, "
                f"but found invalid values:\n{value}"
            )

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
        raise UnsupportedError(f"{type(self).__name__}.rsample: no gradient flows through these samples; use sample")

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
        names = [n for n in self.arg_constraints if n in self.__dict__]
        values = [
            f"{n}: {self.__dict__[n] if self.__dict__[n].numel() == 1 else self.__dict__[n].size()}" for n in names
        ]
        return f"{type(self).__name__}({', '.join(values)})"


class ExponentialFamily(Distribution):
    """Distributions of exponential families."""


class Independent(Distribution):
    """Batch dimensions of a distribution taken as parts of one sample."""

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
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
        return self.base_dist.mode

    @property
    def support(self) -> Any:
        return constraints.independent(self.base_dist.support, self.reinterpreted_batch_ndims)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Whether all values can be listed: not those of several parts."""
        return not self.reinterpreted_batch_ndims and self.base_dist.has_enumerate_support

    def enumerate_support(self, expand: bool = True) -> Any:
        if self.reinterpreted_batch_ndims:
            raise UnsupportedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
