"""Random numbers of other distributions, in place."""

from __future__ import annotations

import math
from typing import Any

from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.modes import no_grad
from fdl.stateful.core.random import rand
from fdl.stateful.core.tensor import Tensor

__all__ = ["randint_like"]


def _overwritten(self: Tensor, values: Any) -> Tensor:
    with no_grad():
        return self._overwrite(values.to(self.dtype))


def _unit(self: Tensor, generator: Any) -> Any:
    return (1 - rand(*self.shape, generator=generator)).clamp(min=1e-30)


def _expected(holds: bool, what: str) -> None:
    if not holds:
        raise TensorError(what)


@method("exponential_")
def exponential_(self: Tensor, lambd: float = 1, *, generator: Any = None) -> Tensor:
    """Exponential numbers of a rate, in place."""
    _expected(lambd > 0, f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    return _overwritten(self, -_unit(self, generator).log() / lambd)


@method("geometric_")
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Geometric numbers from 1 on, in place."""
    _expected(0 < p < 1, f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return _overwritten(self, (_unit(self, generator).log() / math.log1p(-p)).ceil().clamp(min=1))


@method("cauchy_")
def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Any = None) -> Tensor:
    """Cauchy numbers, in place."""
    _expected(sigma > 0, f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    return _overwritten(self, ((_unit(self, generator) - 0.5) * math.pi).tan() * sigma + median)


@method("log_normal_")
def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Any = None) -> Tensor:
    """e to the power of normal numbers, in place."""
    _expected(std > 0, f"log_normal_ expects std > 0.0, but found std={std:g}")
    self.normal_(mean, std, generator=generator)
    return _overwritten(self, self.exp())


def randint_like(input: Tensor, low: int, high: int | None = None, *, dtype: Any = None, device: Any = None) -> Any:
    """Random integers in the shape of a tensor."""
    low, high = (0, low) if high is None else (low, high)
    return input.detach().clone().random_(low, high).to(input.dtype if dtype is None else dtype)
