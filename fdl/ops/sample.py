"""Samples: the inputs from which each primitive's property tests are generated."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.ops.parts import joined


@dataclasses.dataclass(frozen=True)
class Spec:
    """A random array: shape, dtype, and the interval of its values, of both parts of complex ones."""

    shape: tuple[int, ...]
    dtype: DType = dtypes.float32
    low: float = -2.0
    high: float = 2.0

    def make(self, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """Values in the interval; floats keep a distance from each other and from integers, where kinks
        and ties lie.
        """
        if self.dtype == dtypes.bool_:
            return rng.integers(0, 2, self.shape).astype(bool)
        if dtypes.is_integer(self.dtype):
            low = max(self.low, 0) if self.dtype in dtypes.UNSIGNED else self.low
            return rng.integers(int(low), int(self.high) + 1, self.shape).astype(self.dtype)
        if dtypes.is_complex(self.dtype):
            real = dataclasses.replace(self, dtype=dtypes.real_dtype(self.dtype))
            return joined(real.make(rng), real.make(rng))
        size = int(np.prod(self.shape))
        grid = (rng.permutation(size) + 0.2 + 0.6 * rng.random(size)) / max(size, 1)
        values = self.low + (self.high - self.low) * grid
        near = np.abs(values - np.round(values)) < 0.02
        return np.where(near, values + 0.05, values).clip(self.low, self.high).reshape(self.shape).astype(self.dtype)


@dataclasses.dataclass(frozen=True)
class Sample:
    """Operands and params of one call of a primitive; `fails` is the error that it must raise."""

    args: tuple[Any, ...]
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fails: type[Exception] | None = None

    def make(self, seed: str = "") -> list[np.ndarray[Any, Any]]:
        """The operands, the same in every run."""
        rng = np.random.default_rng(zlib.crc32(f"{seed}{self.args}{sorted(self.params)}".encode()))
        return [a.make(rng) if isinstance(a, Spec) else np.asarray(a) for a in self.args]


def f32(*shape: int, low: float = -2.0, high: float = 2.0) -> Spec:
    """A float32 array."""
    return Spec(shape, dtypes.float32, low, high)


def f64(*shape: int, low: float = -2.0, high: float = 2.0) -> Spec:
    """A float64 array."""
    return Spec(shape, dtypes.float64, low, high)


def c64(*shape: int, low: float = -2.0, high: float = 2.0) -> Spec:
    """A complex64 array."""
    return Spec(shape, dtypes.complex64, low, high)


def i32(*shape: int, low: float = -5, high: float = 5) -> Spec:
    """An int32 array."""
    return Spec(shape, dtypes.int32, low, high)


def of(dtype: Any, *shape: int, low: float = -2.0, high: float = 2.0) -> Spec:
    """An array of any dtype."""
    return Spec(shape, dtypes.canonical(dtype), low, high)
