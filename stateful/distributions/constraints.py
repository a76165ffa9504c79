"""`torch.distributions.constraints`: what values parameters and samples may have. `check(value)` says for each event
whether it may be.

A constraint is an object of a class, so that maps onto it can be registered for the class (`transform_to`). Classes of
users write `check`, of tensors; those here write `holds`, of ndarrays, which looks at values and records nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.extend import from_numpy
from fdl.stateful.core.tensor import Tensor, wrap

__all__ = [
    "Constraint", "MixtureSameFamilyConstraint", "boolean", "cat", "corr_cholesky", "dependent", "dependent_property",
    "greater_than", "greater_than_eq", "half_open_interval", "independent", "integer_interval", "interval",
    "is_dependent", "less_than", "lower_cholesky", "lower_triangular", "multinomial", "nonnegative",
    "nonnegative_integer", "one_hot", "positive", "positive_definite", "positive_integer", "positive_semidefinite",
    "real", "real_vector", "simplex", "square", "stack", "symmetric", "unit_interval",
]  # fmt: skip

Values = np.ndarray[Any, Any]


class Constraint:
    """A condition on the last `event_dim` dimensions of a value.

    >>> import fdl.stateful as torch
    >>> torch.distributions.constraints.positive.check(torch.tensor([1.0, -1.0])).tolist()
    [True, False]
    """

    is_discrete: Any = False
    event_dim: Any = 0

    def holds(self, x: Values) -> Any:
        """Whether it holds, for each event of an ndarray."""
        return self.check(wrap(from_numpy(x))).numpy()

    def check(self, value: Any) -> Tensor:
        """Whether it holds, for each event of a tensor."""
        return wrap(from_numpy(np.asarray(self.holds(value.detach().numpy()))))

    def __repr__(self) -> str:
        return type(self).__name__.strip("_") + "()"


def _number(x: Any) -> Any:
    return x.detach().numpy() if isinstance(x, Tensor) else x


class _Dependent(Constraint):
    """A condition that other parameters decide; it cannot be told by itself, and everything may be."""

    def __init__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> None:
        self.is_discrete = False if is_discrete is NotImplemented else is_discrete
        self.event_dim = 0 if event_dim is NotImplemented else event_dim

    def __call__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> _Dependent:
        """The same, of which more is known."""
        return _Dependent(is_discrete=is_discrete, event_dim=event_dim)

    def holds(self, x: Values) -> Any:
        return np.ones(x.shape, bool)


class _DependentProperty(property, _Dependent):
    """A property that is a condition; asked of the class, it is `dependent`."""

    def __init__(self, fn: Any = None, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> None:
        property.__init__(self, fn)
        _Dependent.__init__(self, is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, fn: Any) -> _DependentProperty:  # type: ignore[override]
        """The property of a function, where the decorator has arguments."""
        return _DependentProperty(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


class _Bounds(Constraint):
    """Numbers between bounds, which may be tensors; None for no bound."""

    low_is_out = high_is_out = False
    lower_bound: Any = None
    upper_bound: Any = None

    def holds(self, x: Values) -> Any:
        low, high = _number(self.lower_bound), _number(self.upper_bound)
        found: Any = x % 1 == 0 if self.is_discrete else x == x
        if low is not None:
            found = found & (x > low if self.low_is_out else x >= low)
        if high is not None:
            found = found & (x < high if self.high_is_out else x <= high)
        return found

    def __repr__(self) -> str:
        given = [(name, getattr(self, name)) for name in ("lower_bound", "upper_bound")]
        bounds = ", ".join(f"{name}={value}" for name, value in given if value is not None)
        return f"{type(self).__name__[1:]}({bounds})"


class _From(_Bounds):
    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound


class _To(_Bounds):
    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound


class _FromTo(_Bounds):
    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound


class _GreaterThan(_From):
    """Above a bound."""

    low_is_out = True


class _GreaterThanEq(_From):
    """At a bound or above."""


class _LessThan(_To):
    """Below a bound."""

    high_is_out = True


class _Interval(_FromTo):
    """From one bound to another."""


class _HalfOpenInterval(_FromTo):
    """From one bound to another, which is out of it."""

    high_is_out = True


class _IntegerInterval(_FromTo):
    """Whole numbers from one bound to another."""

    is_discrete = True


class _IntegerGreaterThan(_From):
    """Whole numbers from a bound on."""

    is_discrete = True


class _IntegerLessThan(_To):
    """Whole numbers up to a bound."""

    is_discrete = True


class _Multinomial(Constraint):
    """Whole numbers that add up to a bound at most."""

    is_discrete, event_dim = True, 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def holds(self, x: Values) -> Any:
        return (x >= 0).all(-1) & (x.sum(-1) <= _number(self.upper_bound))


class _IndependentConstraint(Constraint):
    """A condition on all of the last dimensions together."""

    def __init__(self, base_constraint: Any, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete

    def holds(self, x: Values) -> Any:
        found, n = np.asarray(self.base_constraint.holds(x)), self.reinterpreted_batch_ndims
        return found.reshape(*found.shape[: found.ndim - n], -1).all(-1) if n else found

    def __repr__(self) -> str:
        return f"IndependentConstraint({self.base_constraint}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(Constraint):
    """The condition of the components of a mixture, on a value that has no dimension of components."""

    def __init__(self, base_constraint: Any) -> None:
        self.base_constraint = base_constraint
        self.event_dim, self.is_discrete = base_constraint.event_dim, base_constraint.is_discrete

    def holds(self, x: Values) -> Any:
        place = x.ndim - self.event_dim
        return np.asarray(self.base_constraint.holds(np.expand_dims(x, place))).all(-1)


class _Joined(Constraint):
    """Conditions on parts along a dimension."""

    def __init__(self, cseq: Sequence[Any], dim: int = 0, lengths: Sequence[int] | None = None) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        self.event_dim = max(c.event_dim for c in self.cseq)
        self.is_discrete = any(c.is_discrete for c in self.cseq)


class _Cat(_Joined):
    def holds(self, x: Values) -> Any:
        parts = np.split(x, np.cumsum(self.lengths).tolist()[:-1], self.dim)
        return np.concatenate([c.holds(p) for c, p in zip(self.cseq, parts, strict=True)], self.dim)


class _Stack(_Joined):
    def holds(self, x: Values) -> Any:
        parts = [np.take(x, i, self.dim) for i in range(x.shape[self.dim])]
        return np.stack([c.holds(p) for c, p in zip(self.cseq, parts, strict=True)], self.dim)


def _lower(x: Values) -> Any:
    return (np.tril(x) == x).reshape(*x.shape[:-2], -1).all(-1)


def _symmetric(x: Values) -> Any:
    return np.isclose(x, np.swapaxes(x, -1, -2), atol=1e-6).reshape(*x.shape[:-2], -1).all(-1)


def _eigenvalues(x: Values) -> Any:
    return np.linalg.eigvalsh(x.astype(np.float64))


def _diagonal(x: Values) -> Any:
    return np.diagonal(x, axis1=-2, axis2=-1)


def _unit_rows(x: Values) -> Any:
    return (np.abs((x * x).sum(-1) - 1) < np.finfo(x.dtype).eps * x.shape[-1] * 10).all(-1)


def _kind(name: str, what: str, formula: Callable[[Values], Any], event_dim: int = 0, discrete: bool = False) -> Any:
    """The one constraint of a class, from what it says of values."""
    body = {
        "__doc__": what, "__module__": __name__, "is_discrete": discrete, "event_dim": event_dim,
        "holds": lambda self, x: formula(x),
    }  # fmt: skip
    return type(name, (Constraint,), body)()


greater_than, greater_than_eq, less_than = _GreaterThan, _GreaterThanEq, _LessThan
interval, half_open_interval, integer_interval = _Interval, _HalfOpenInterval, _IntegerInterval
multinomial, independent, cat, stack = _Multinomial, _IndependentConstraint, _Cat, _Stack
dependent, dependent_property = _Dependent(), _DependentProperty
boolean = _kind("_Boolean", "0 or 1.", lambda x: (x == 0) | (x == 1), discrete=True)
one_hot = _kind(
    "_OneHot", "One 1 and zeros.", lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1), 1, discrete=True
)
nonnegative_integer, positive_integer = _IntegerGreaterThan(0), _IntegerGreaterThan(1)
real = _kind("_Real", "Numbers.", lambda x: x == x)
real_vector = independent(real, 1)
positive, nonnegative, unit_interval = greater_than(0.0), greater_than_eq(0.0), interval(0.0, 1.0)
simplex = _kind(
    "_Simplex",
    "Shares that add up to 1.",
    lambda x: (x >= 0).all(-1) & (np.abs(x.sum(-1) - 1) < 1e-6 * x.shape[-1] + 1e-6),
    1,
)
square = _kind("_Square", "Square matrices.", lambda x: np.full(x.shape[:-2], x.shape[-1] == x.shape[-2]), 2)
symmetric = _kind("_Symmetric", "Symmetric matrices.", _symmetric, 2)
lower_triangular = _kind("_LowerTriangular", "Lower triangular matrices.", _lower, 2)
lower_cholesky = _kind(
    "_LowerCholesky",
    "Lower triangular matrices with positive diagonals.",
    lambda x: _lower(x) & (_diagonal(x) > 0).all(-1),
    2,
)
corr_cholesky = _kind(
    "_CorrCholesky",
    "Lower triangular matrices with positive diagonals and rows of length 1.",
    lambda x: _lower(x) & (_diagonal(x) > 0).all(-1) & _unit_rows(x),
    2,
)
positive_semidefinite = _kind(
    "_PositiveSemidefinite",
    "Symmetric matrices without negative eigenvalues.",
    lambda x: _symmetric(x) & (_eigenvalues(x) >= -1e-6).all(-1),
    2,
)
positive_definite = _kind(
    "_PositiveDefinite",
    "Symmetric matrices with positive eigenvalues.",
    lambda x: _symmetric(x) & (_eigenvalues(x) > 0).all(-1),
    2,
)
_Boolean, _Real, _Simplex, _OneHot = type(boolean), type(real), type(simplex), type(one_hot)
_LowerCholesky, _LowerTriangular, _CorrCholesky = type(lower_cholesky), type(lower_triangular), type(corr_cholesky)
_PositiveDefinite, _PositiveSemidefinite = type(positive_definite), type(positive_semidefinite)
_Square, _Symmetric, _RealVector = type(square), type(symmetric), _IndependentConstraint


def is_dependent(constraint: Any) -> bool:
    """Whether a condition cannot be told by itself."""
    return isinstance(constraint, _Dependent)
