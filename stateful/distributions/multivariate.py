"""Normal distributions of vectors."""

from __future__ import annotations

from typing import Any, ClassVar

from fdl import ops
from fdl.stateful import linalg
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.random import randn
from fdl.stateful.distributions import constraints
from fdl.stateful.distributions.continuous import HALF_LOG_2PI, Normal
from fdl.stateful.distributions.distribution import Distribution, known
from fdl.stateful.distributions.transforms import StickBreakingTransform, TransformedDistribution
from fdl.stateful.functions.products import matmul
from fdl.stateful.functions.shapes import broadcast_to

__all__ = ["LogisticNormal", "LowRankMultivariateNormal", "MultivariateNormal"]


class MultivariateNormal(Distribution):
    """Normal vectors with a covariance, its inverse, or its triangular factor."""

    support = constraints.real_vector
    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ArgumentError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        name = (
            "scale_tril"
            if scale_tril is not None
            else "covariance_matrix"
            if covariance_matrix is not None
            else "precision_matrix"
        )
        if (
            (validate_args if validate_args is not None else self._validate_args)
            and known(given[0])
            and not self.arg_constraints[name].holds(given[0].detach().numpy()).all()
        ):
            raise ArgumentError(
                f"Expected parameter {name} of distribution MultivariateNormal to satisfy the constraint "
                f"{self.arg_constraints[name]}, but found invalid values:\n{given[0]}"
            )
        if scale_tril is not None:
            self.scale_tril = scale_tril
        else:
            self.scale_tril = linalg.cholesky(
                covariance_matrix if covariance_matrix is not None else linalg.inv(precision_matrix)
            )
        n = loc.shape[-1]
        batch = tuple(
            ops.broadcast_shapes([tuple(loc.shape[:-1]), tuple(self.scale_tril.shape[:-2])], "MultivariateNormal")
        )
        self.loc = broadcast_to(loc, (*batch, n))
        super().__init__(batch, (n,), validate_args)

    @property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        return matmul(self.scale_tril, self.scale_tril.mT)

    @property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        return linalg.inv(self.covariance_matrix)

    def rsample(self, sample_shape: Any = ()) -> Any:
        noise = randn(*self._extended(sample_shape), dtype=self.loc.dtype)
        return self.loc + matmul(self.scale_tril, noise.unsqueeze(-1)).squeeze(-1)

    def _log_det(self) -> Any:
        return linalg.diagonal(self.scale_tril).log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        gap = (value - self.loc).unsqueeze(-1)
        size = linalg.solve_triangular(
            self.scale_tril.expand(*gap.shape[:-2], *self.scale_tril.shape[-2:]), gap, upper=False
        ).squeeze(-1)
        return -0.5 * (size**2).sum(-1) - self._log_det() - self.event_shape[0] * HALF_LOG_2PI

    def entropy(self) -> Any:
        return self.event_shape[0] * (0.5 + HALF_LOG_2PI) + self._log_det()

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return (self.scale_tril**2).sum(-1).expand(*self.batch_shape, *self.event_shape)

    @property
    def mode(self) -> Any:
        return self.loc


class LowRankMultivariateNormal(MultivariateNormal):
    """Normal vectors whose covariance is a product of a few columns with itself, and a diagonal."""

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        self.cov_factor, self.cov_diag = cov_factor, cov_diag
        super().__init__(loc, cov_factor @ cov_factor.mT + cov_diag.diag_embed(), validate_args=validate_args)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended(sample_shape)
        few = randn(*shape[:-1], self.cov_factor.shape[-1], dtype=self.loc.dtype)
        return (
            self.loc
            + (self.cov_factor @ few.unsqueeze(-1)).squeeze(-1)
            + self.cov_diag.sqrt() * randn(*shape, dtype=self.loc.dtype)
        )


class LogisticNormal(TransformedDistribution):
    """Shares from a normal vector, by breaking a stick."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args)
        super().__init__(base if base.batch_shape else base.expand((1,)), StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Any:
        """The mean of the normal vector."""
        return self.base_dist.base_dist.loc  # type: ignore[attr-defined]

    @property
    def scale(self) -> Any:
        """Its standard deviation."""
        return self.base_dist.base_dist.scale  # type: ignore[attr-defined]
