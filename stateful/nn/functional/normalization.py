"""Normalisations as functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of
from fdl.stateful.autograd import no_grad
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.operands import refuse_complex
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.core.views import overwrite_all
from fdl.stateful.functions.creation import ones_like
from fdl.stateful.functions.elementwise import in_full
from fdl.stateful.functions.reductions import dim_of, power_norm

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm"]


def _layer_norm_body(x: Any, *args: Any) -> Any:
    *affine, eps, ndim, has_weight, has_bias = args
    refuse_complex("layer_norm", x)
    axes = tuple(range(aval_of(x).ndim - ndim, aval_of(x).ndim))
    centred = ops.sub(x, jnp.mean(x, axes, keepdims=True))
    variance = jnp.mean(ops.integer_pow(centred, 2), axes, keepdims=True)
    out = ops.mul(centred, ops.rsqrt(ops.add(variance, eps)))
    given = iter(affine)
    out = ops.mul(out, next(given)) if has_weight else out
    return ops.add(out, next(given)) if has_bias else out


_layer_norm = Function(in_full(_layer_norm_body), "layer_norm")


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    """Less the mean over the standard deviation of the last dimensions, then scaled and shifted (Ba, Kiros, Hinton,
    2016).
    """
    shape = tuple(normalized_shape)
    if tuple(input.shape[-len(shape) :]) != shape:
        raise TensorError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], "
            f"but got input of size{list(input.shape)}"
        )
    given = [p for p in (weight, bias) if p is not None]
    return apply(_layer_norm, (input, *given, eps), (len(shape), weight is not None, bias is not None))


def _rms_norm_body(x: Any, *args: Any) -> Any:
    *weight, eps, ndim = args
    axes = tuple(range(aval_of(x).ndim - ndim, aval_of(x).ndim))
    out = ops.mul(x, ops.rsqrt(ops.add(jnp.mean(ops.integer_pow(x, 2), axes, keepdims=True), eps)))
    return ops.mul(out, weight[0]) if weight else out


_rms_norm = Function(in_full(_rms_norm_body), "rms_norm")


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Any:
    """Over the root of the mean square of the last dimensions, then scaled (Zhang and Sennrich, 2019)."""
    given = () if weight is None else (weight,)
    return apply(
        _rms_norm,
        (input, *given, eps if eps is not None else float(jnp.finfo(input.dtype.np).eps)),
        (len(tuple(normalized_shape)),),
    )


def _normalize_body(x: Any, eps: Any, p: float, axis: int) -> Any:
    length = ops.expand_dims(power_norm(x, p, (axis,)), (axis,)) if aval_of(x).ndim else jnp.abs(x)
    eps = ops.cast(eps, aval_of(length).dtype)
    return ops.div(x, ops.cast(ops.select(ops.greater(length, eps), length, eps), aval_of(x).dtype))


_normalize = Function(_normalize_body, "normalize")


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Vectors along a dimension made of length 1."""
    return apply(_normalize, (input, eps), (float(p), dim_of(input, dim)))


# Statistics of a batch


def _over(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Mean and (biased) variance, with the axes kept."""
    refuse_complex("statistics", x)
    mean = jnp.mean(x, axes, keepdims=True)
    return mean, jnp.mean(ops.integer_pow(ops.sub(x, mean), 2), axes, keepdims=True)


def _by_channel(v: Any, shape: tuple[int, ...]) -> Any:
    return ops.broadcast(v, shape, (1,))


def _affine(x: Any, given: Sequence[Any]) -> Any:
    out = ops.mul(x, _by_channel(given[0], aval_of(x).shape)) if given else x
    return ops.add(out, _by_channel(given[1], aval_of(x).shape)) if len(given) > 1 else out


def _batch_norm_body(x: Any, *args: Any) -> Any:
    """The output, and mean and unbiased variance of each channel."""
    *affine, eps = args
    shape = aval_of(x).shape
    axes = tuple(a for a in range(len(shape)) if a != 1)
    mean, variance = _over(x, axes)
    out = ops.mul(ops.sub(x, mean), ops.rsqrt(ops.add(variance, eps)))
    n = math.prod(shape) // shape[1]
    unbiased = ops.mul(ops.reshape(variance, (shape[1],)), n / max(n - 1, 1))
    return _affine(out, affine), ops.stop_gradient(ops.reshape(mean, (shape[1],))), ops.stop_gradient(unbiased)


def _frozen_norm_body(x: Any, mean: Any, variance: Any, *args: Any) -> Any:
    *affine, eps = args
    shape = aval_of(x).shape
    scale = ops.rsqrt(ops.add(variance, eps))
    return _affine(ops.mul(ops.sub(x, _by_channel(mean, shape)), _by_channel(scale, shape)), affine)


def _given(weight: Tensor | None, bias: Tensor | None) -> list[Tensor]:
    """Scale and shift as operands: a shift alone comes with a scale of one."""
    if bias is None:
        return [] if weight is None else [weight]
    return [ones_like(bias) if weight is None else weight, bias]


_batch_norm, _frozen_norm = (
    Function(in_full(_batch_norm_body), "batch_norm"),
    Function(in_full(_frozen_norm_body), "batch_norm"),
)
_moved = Function(
    lambda old, new, momentum: ops.add(
        ops.mul(old, ops.cast(ops.sub(1.0, momentum), aval_of(old).dtype)),
        ops.mul(new, ops.cast(momentum, aval_of(old).dtype)),
    ),
    "running",
)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel less its mean over its standard deviation, then scaled and shifted (Ioffe and Szegedy, 2015).

    Training takes both from the batch and moves the running ones towards them; else the running ones are taken.
    """
    affine = _given(weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            raise TensorError("Expected running_mean and running_var to be defined when training=False")
        return apply(_frozen_norm, (input, running_mean, running_var, *affine, eps))
    if input.numel() == input.shape[1]:
        raise ArgumentError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    out, mean, variance = apply(_batch_norm, (input, *affine, eps))
    if not input.numel():  # of nothing there are no statistics
        return out
    with no_grad():
        pairs = (running_mean, mean), (running_var, variance)
        overwrite_all(
            [
                (running, apply(_moved, (running, found, float(momentum))))
                for running, found in pairs
                if running is not None
            ]
        )
    return out


def _grouped_body(x: Any, *args: Any) -> Any:
    *affine, eps, groups = args
    shape = aval_of(x).shape
    parts = ops.reshape(x, (shape[0], groups, math.prod(shape[1:]) // groups))
    mean, variance = _over(parts, (2,))
    out = ops.reshape(ops.mul(ops.sub(parts, mean), ops.rsqrt(ops.add(variance, eps))), shape)
    return _affine(out, affine)


_grouped = Function(in_full(_grouped_body), "group_norm")


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Any:
    """Channels in groups, each less its mean over its standard deviation, then scaled and shifted (Wu and He, 2018)."""
    if input.ndim < 2 or input.shape[1] % num_groups:
        raise TensorError(
            "Expected number of channels in input to be divisible by num_groups, "
            f"but got input of shape {list(input.shape)} and num_groups={num_groups}"
        )
    affine = _given(weight, bias)
    return apply(_grouped, (input, *affine, eps), (num_groups,))


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Each channel of each image less its mean over its standard deviation (Ulyanov, Vedaldi, Lempitsky, 2016)."""
    affine = _given(weight, bias)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if input[0, 0].numel() == 1:
        raise ArgumentError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    if running_mean is not None or running_var is not None:
        with no_grad():
            space = tuple(range(2, input.ndim))
            found = input.mean(space).mean(0), input.var(space).mean(0)
            pairs = zip((running_mean, running_var), found, strict=True)
            overwrite_all(
                [
                    (running, apply(_moved, (running, new, float(momentum))))
                    for running, new in pairs
                    if running is not None
                ]
            )
    return apply(_grouped, (input, *affine, eps), (input.shape[1],))


def _response_body(x: Any, alpha: Any, beta: Any, k: Any, size: int) -> Any:
    aval = aval_of(x)
    edges = [(0, 0, 0)] * aval.ndim
    edges[1] = (size // 2, (size - 1) // 2, 0)
    squares = ops.pad(ops.integer_pow(x, 2), ops.full((), 0, aval.dtype), edges)
    ones = (1,) * aval.ndim
    total = ops.reduce_windows("add", squares, (1, size, *ones[2:]), ones, ones)
    alpha, beta, k = (ops.cast(v, aval.dtype) for v in (alpha, beta, k))
    return ops.div(x, ops.pow(ops.add(ops.mul(ops.div(total, float(size)), alpha), k), beta))


_response = Function(_response_body, "local_response_norm")


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Over a power of the mean square of neighbouring channels (Krizhevsky, Sutskever, Hinton, 2012)."""
    if input.ndim < 3:
        raise ArgumentError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    return apply(_response, (input, float(alpha), float(beta), float(k)), (size,))
