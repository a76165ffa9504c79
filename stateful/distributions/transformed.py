"""Distributions that are another one, mapped."""

from __future__ import annotations

from typing import Any, ClassVar

from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.continuous import Normal
from fdl.stateful.distributions.transforms import ExpTransform, TransformedDistribution

__all__ = ["LogNormal"]


class LogNormal(TransformedDistribution):
    """e to the power of a normal variable of mean `loc` and standard deviation `scale`."""

    support: Any = constraints.positive
    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample: Any = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args), ExpTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the logarithm."""
        return self.base_dist.loc  # type: ignore[attr-defined]

    @property
    def scale(self) -> Any:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale  # type: ignore[attr-defined]

    def entropy(self) -> Any:
        return self.base_dist.entropy() + self.loc

    @property
    def mean(self) -> Any:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def variance(self) -> Any:
        return ((self.scale**2).exp() - 1) * (2 * self.loc + self.scale**2).exp()

    @property
    def mode(self) -> Any:
        return (self.loc - self.scale**2).exp()
