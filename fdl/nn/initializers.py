"""First values of parameters, under `jax.nn.initializers`' names.

An initializer is a function `init(key, shape, dtype)` that draws an array. Of a kernel, `in_axis` and `out_axis` are
its axes of inputs and outputs, `batch_axis` those that are kernels of their own, and all others a window, whose size
counts as a multiple of inputs and outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import fdl.random
from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy import asarray, broadcast_to, full, moveaxis, reshape
from fdl.numpy import ones as ones_
from fdl.numpy import zeros as zeros_

Axes = int | Sequence[int]


class Initializer(Protocol):
    """A function that draws first values: `init(key, shape, dtype)`."""

    def __call__(self, key: Array, shape: Any, dtype: Any = ...) -> Array: ...


def zeros(key: Array, shape: Any, dtype: Any = float) -> Array:
    """Zeros; the key is accepted.

    >>> zeros(fdl.random.key(0), (2,)).tolist()
    [0.0, 0.0]
    """
    return zeros_(shape, dtype)


def ones(key: Array, shape: Any, dtype: Any = float) -> Array:
    """Ones; the key is accepted.

    >>> ones(fdl.random.key(0), (2,)).tolist()
    [1.0, 1.0]
    """
    return ones_(shape, dtype)


def constant(value: ArrayLike, dtype: Any = float) -> Initializer:
    """One value, or an array that broadcasts.

    >>> constant(0.5)(fdl.random.key(0), (2,)).tolist()
    [0.5, 0.5]
    """

    def init(key: Array, shape: Any, dtype: Any = dtype) -> Array:
        single = not aval_of(asarray(value)).ndim
        return full(shape, value, dtype) if single else broadcast_to(asarray(value, dtype), shape)

    return init


def uniform(scale: float = 1e-2, dtype: Any = float) -> Initializer:
    """Uniform from 0 below `scale`.

    >>> bool((uniform(0.5)(fdl.random.key(0), (9,)) < 0.5).all())
    True
    """
    return lambda key, shape, dtype=dtype: ops.mul(fdl.random.uniform(key, shape, dtype), scale)


def normal(stddev: float = 1e-2, dtype: Any = float) -> Initializer:
    """Normal with mean 0.

    >>> normal(0.5)(fdl.random.key(0), (9,)).shape
    (9,)
    """
    return lambda key, shape, dtype=dtype: ops.mul(fdl.random.normal(key, shape, dtype), stddev)


def truncated_normal(stddev: float = 1e-2, dtype: Any = float, lower: float = -2.0, upper: float = 2.0) -> Initializer:
    """`stddev` times a normal number on the condition that it lies between `lower` and `upper`.

    >>> bool((truncated_normal(1.0)(fdl.random.key(0), (9,)) < 2).all())
    True
    """
    return lambda key, shape, dtype=dtype: ops.mul(fdl.random.truncated_normal(key, lower, upper, shape, dtype), stddev)


def _product(shape: Sequence[int], axes: Axes) -> int:
    return shape[axes] if isinstance(axes, int) else math.prod(shape[a] for a in axes)


def _fans(shape: Sequence[int], in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> tuple[float, float]:
    """Numbers of inputs and of outputs of one element."""
    if len(shape) <= 1:
        raise ShapeError(
            f"initializer: shape {tuple(shape)} has no inputs and outputs",
            why="variance is scaled by the numbers of both",
            hint="normal, uniform or zeros for vectors",
        )
    inputs, outputs, batch = (_product(shape, axes) for axes in (in_axis, out_axis, batch_axis))
    window = math.prod(shape) / max(inputs * outputs * batch, 1)
    return inputs * window, outputs * window


def variance_scaling(
    scale: float,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = float,
) -> Initializer:
    """With mean 0 and variance `scale / n`: n is the number of inputs ("fan_in"), of outputs ("fan_out"), their mean
    ("fan_avg") or their geometric mean ("fan_geo_avg"). The `distribution` is "normal", "uniform", or
    "truncated_normal", which is cut at two standard deviations.

    >>> variance_scaling(1.0, "fan_in", "uniform")(fdl.random.key(0), (4, 3)).shape
    (4, 3)
    """

    def init(key: Array, shape: Any, dtype: Any = dtype) -> Array:
        inputs, outputs = _fans(tuple(shape), in_axis, out_axis, batch_axis)
        numbers = {
            "fan_in": inputs,
            "fan_out": outputs,
            "fan_avg": (inputs + outputs) / 2,
            "fan_geo_avg": math.sqrt(inputs * outputs),
        }
        if mode not in numbers:
            raise ChoiceError(f"variance_scaling: mode {mode!r} is none of {', '.join(numbers)}", hint="'fan_in'")
        deviation = math.sqrt(scale / max(numbers[mode], 1e-300)) if scale else 0.0
        if distribution == "truncated_normal":
            return ops.mul(fdl.random.truncated_normal(key, -2.0, 2.0, shape, dtype), deviation / _CUT_AT_TWO)
        if distribution == "normal":
            return ops.mul(fdl.random.normal(key, shape, dtype), deviation)
        if distribution == "uniform":
            return ops.mul(fdl.random.uniform(key, shape, dtype, -1.0, 1.0), deviation * math.sqrt(3))
        raise ChoiceError(f"variance_scaling: distribution {distribution!r}", hint="'normal'")

    return init


_CUT_AT_TWO = 0.87962566103423978  # the standard deviation of a normal number that lies between -2 and 2


def _named(scale: float, mode: str, distribution: str, doc: str) -> Callable[..., Initializer]:
    def initializer(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = float) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    initializer.__doc__ = doc
    return initializer


glorot_uniform = xavier_uniform = _named(
    1.0, "fan_avg", "uniform", "Uniform of variance 1 / (mean of inputs and outputs) (Glorot and Bengio, 2010)."
)
glorot_normal = xavier_normal = _named(
    1.0, "fan_avg", "truncated_normal", "Normal of variance 1 / (mean of inputs and outputs) (Glorot and Bengio, 2010)."
)
lecun_uniform = _named(1.0, "fan_in", "uniform", "Uniform of variance 1 / inputs (LeCun et al., 1998).")
lecun_normal = _named(1.0, "fan_in", "truncated_normal", "Normal of variance 1 / inputs (LeCun et al., 1998).")
he_uniform = kaiming_uniform = _named(2.0, "fan_in", "uniform", "Uniform of variance 2 / inputs (He et al., 2015).")
he_normal = kaiming_normal = _named(
    2.0, "fan_in", "truncated_normal", "Normal of variance 2 / inputs (He et al., 2015)."
)


def orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = float) -> Initializer:
    """`scale` times an orthogonal matrix, whose columns run along `column_axis` (Saxe, McClelland, Ganguli, 2014).

    >>> w = orthogonal()(fdl.random.key(0), (3, 3))
    >>> [round(abs(v), 4) for v in (w @ w.T)[0].tolist()]
    [1.0, 0.0, 0.0]
    """

    def init(key: Array, shape: Any, dtype: Any = dtype) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"orthogonal: shape {tuple(shape)} is no matrix", hint="two axes or more")
        columns = shape[column_axis]
        rows = math.prod(shape) // columns
        q = fdl.random.orthogonal(key, rows, (), dtype, columns)
        others = [d for i, d in enumerate(shape) if i != column_axis % len(shape)]
        return ops.mul(moveaxis(reshape(q, (*others, columns)), -1, column_axis), scale)

    return init


def delta_orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = float) -> Initializer:
    """Kernels (*window, in, out) that are an orthogonal matrix at the middle of the window and 0 elsewhere (Xiao et
    al., 2018). There may not be less outputs than inputs.

    >>> delta_orthogonal()(fdl.random.key(0), (3, 2, 4)).shape
    (3, 2, 4)
    """

    def init(key: Array, shape: Any, dtype: Any = dtype) -> Array:
        if len(shape) not in (3, 4, 5) or shape[-1] < shape[-2]:
            raise ShapeError(f"delta_orthogonal: shape {tuple(shape)}", hint="(*window, in, out) with in <= out")
        matrix = orthogonal(scale, column_axis, dtype)(key, shape[-2:], dtype)
        out = zeros_(shape, dtype)
        placed: Array = out.at[tuple((k - 1) // 2 for k in shape[:-2])].set(matrix)
        return placed

    return init


__all__ = [
    "Initializer", "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform",
    "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal", "ones", "orthogonal",
    "truncated_normal", "uniform", "variance_scaling", "xavier_normal", "xavier_uniform", "zeros",
]  # fmt: skip
