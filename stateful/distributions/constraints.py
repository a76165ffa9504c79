"""`torch.distributions.constraints`: what values parameters and samples may have. `check(value)` says for each event
whether it may be.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl.extend import from_numpy
from fdl.stateful.core.tensor import Tensor, wrap

__all__ = [
    "Constraint", "boolean", "cat", "dependent", "greater_than", "greater_than_eq", "half_open_interval", "independent",
    "integer_interval", "interval", "is_dependent",
    "less_than", "lower_cholesky", "lower_triangular", "multinomial", "nonnegative", "nonnegative_integer", "one_hot",
    "positive", "positive_definite", "positive_integer",
    "positive_semidefinite", "real", "real_vector", "simplex", "square", "symmetric", "unit_interval",
]  # fmt: skip


class Constraint:
    """A condition on the last `event_dim` dimensions of a value.

    >>> import fdl.stateful as torch
    >>> torch.distributions.constraints.positive.check(torch.tensor([1.0, -1.0])).tolist()
    [True, False]
    """

    is_discrete = False
    event_dim = 0

    def holds(self, x: np.ndarray[Any, Any]) -> Any:
        """Whether it holds, for each event."""
        raise NotImplementedError(self)

    def check(self, value: Any) -> Tensor:
        """Whether it holds, for each event of a tensor."""
        return wrap(from_numpy(np.asarray(self.holds(value.detach().numpy()))))

    def __repr__(self) -> str:
        return type(self).__name__.strip("_") + "()"


class _Where(Constraint):
    """A condition by its formula and its text."""

    def __init__(self, text: str, formula: Any, event_dim: int = 0, discrete: bool = False, **bounds: Any) -> None:
        self.text, self.formula, self.event_dim, self.is_discrete = text, formula, event_dim, discrete
        self.__dict__.update(bounds)

    def holds(self, x: np.ndarray[Any, Any]) -> Any:
        return self.formula(x)

    def __repr__(self) -> str:
        return self.text


def _number(x: Any) -> Any:
    return x.detach().numpy() if isinstance(x, Tensor) else x


def _between(
    name: str, low: Any, high: Any, open_low: bool = False, open_high: bool = False, discrete: bool = False
) -> Constraint:
    """Values from `low` to `high`, which may be tensors; None for no bound."""

    def formula(x: np.ndarray[Any, Any]) -> Any:
        found: Any = x % 1 == 0 if discrete else x == x
        if low is not None:
            found = found & (x > _number(low) if open_low else x >= _number(low))
        if high is not None:
            found = found & (x < _number(high) if open_high else x <= _number(high))
        return found

    bounds = ", ".join(
        f"{key}={value}" for key, value in (("lower_bound", low), ("upper_bound", high)) if value is not None
    )
    return _Where(f"{name}({bounds})", formula, discrete=discrete, lower_bound=low, upper_bound=high)


def greater_than(lower_bound: Any) -> Constraint:
    """Above a bound."""
    return _between("GreaterThan", lower_bound, None, open_low=True)


def greater_than_eq(lower_bound: Any) -> Constraint:
    """At a bound or above."""
    return _between("GreaterThanEq", lower_bound, None)


def less_than(upper_bound: Any) -> Constraint:
    """Below a bound."""
    return _between("LessThan", None, upper_bound, open_high=True)


def interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """From one bound to another."""
    return _between("Interval", lower_bound, upper_bound)


def half_open_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """From one bound to another, which is out of it."""
    return _between("HalfOpenInterval", lower_bound, upper_bound, open_high=True)


def integer_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Whole numbers from one bound to another."""
    return _between("IntegerInterval", lower_bound, upper_bound, discrete=True)


def multinomial(upper_bound: Any) -> Constraint:
    """Whole numbers that add up to a bound at most."""
    return _Where("Multinomial()", lambda x: (x >= 0).all(-1) & (x.sum(-1) <= _number(upper_bound)), 1, True)


def independent(base_constraint: Constraint, reinterpreted_batch_ndims: int) -> Constraint:
    """A condition on all of the last dimensions together."""

    def formula(x: np.ndarray[Any, Any]) -> Any:
        found = np.asarray(base_constraint.holds(x))
        return (
            found.reshape(*found.shape[: found.ndim - reinterpreted_batch_ndims], -1).all(-1)
            if reinterpreted_batch_ndims
            else found
        )

    return _Where(
        f"IndependentConstraint({base_constraint}, {reinterpreted_batch_ndims})",
        formula,
        base_constraint.event_dim + reinterpreted_batch_ndims,
        base_constraint.is_discrete,
    )


def cat(cseq: Any, dim: int = 0, lengths: Any = None) -> Constraint:
    """Conditions on parts along a dimension."""
    ends = np.cumsum([1] * len(cseq) if lengths is None else lengths).tolist()

    def formula(x: np.ndarray[Any, Any]) -> Any:
        parts = np.split(x, ends[:-1], dim)
        return np.concatenate([c.holds(p) for c, p in zip(cseq, parts, strict=True)], dim)

    return _Where("Cat()", formula, max(c.event_dim for c in cseq), any(c.is_discrete for c in cseq))


def is_dependent(constraint: Constraint) -> bool:
    """Whether a condition cannot be told by itself."""
    return constraint is dependent


def _lower(x: np.ndarray[Any, Any]) -> Any:
    return (np.tril(x) == x).reshape(*x.shape[:-2], -1).all(-1)


def _symmetric(x: np.ndarray[Any, Any]) -> Any:
    return np.isclose(x, np.swapaxes(x, -1, -2), atol=1e-6).reshape(*x.shape[:-2], -1).all(-1)


def _eigenvalues(x: np.ndarray[Any, Any]) -> Any:
    return np.linalg.eigvalsh(x.astype(np.float64))


dependent = _Where("Dependent()", lambda x: np.ones(x.shape, bool))
boolean = _Where("Boolean()", lambda x: (x == 0) | (x == 1), discrete=True)
one_hot = _Where("OneHot()", lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1), 1, True)
nonnegative_integer = _between("IntegerGreaterThan", 0, None, discrete=True)
positive_integer = _between("IntegerGreaterThan", 1, None, discrete=True)
real = _Where("Real()", lambda x: x == x)
real_vector = independent(real, 1)
positive, nonnegative, unit_interval = greater_than(0.0), greater_than_eq(0.0), interval(0.0, 1.0)
simplex = _Where("Simplex()", lambda x: (x >= 0).all(-1) & (np.abs(x.sum(-1) - 1) < 1e-6 * x.shape[-1] + 1e-6), 1)
square = _Where("Square()", lambda x: np.full(x.shape[:-2], x.shape[-1] == x.shape[-2]), 2)
symmetric = _Where("Symmetric()", _symmetric, 2)
lower_triangular = _Where("LowerTriangular()", _lower, 2)
lower_cholesky = _Where("LowerCholesky()", lambda x: _lower(x) & (np.diagonal(x, axis1=-2, axis2=-1) > 0).all(-1), 2)
positive_semidefinite = _Where(
    "PositiveSemidefinite()", lambda x: _symmetric(x) & (_eigenvalues(x) >= -1e-6).all(-1), 2
)
positive_definite = _Where("PositiveDefinite()", lambda x: _symmetric(x) & (_eigenvalues(x) > 0).all(-1), 2)
