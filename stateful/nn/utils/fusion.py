"""`torch.nn.utils.fusion`: batch normalisation by fixed statistics, folded into the layer before it.

With mean m, variance v, weight g and shift h of the normalisation, g (W x + b - m) / sqrt(v + eps) + h is a layer of
weight W g / sqrt(v + eps) again.
"""

from __future__ import annotations

import copy
from typing import Any

from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import ones_like, zeros_like
from fdl.stateful.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _folded(weight: Tensor, bias: Tensor | None, bn: tuple[Any, ...], axis: int) -> tuple[Parameter, Parameter]:
    """The weight and bias of the layer and its normalisation in one; channels of the result lie along `axis`."""
    mean, variance, eps, scale, shift = bn
    scale = ones_like(mean) if scale is None else scale
    shift = zeros_like(mean) if shift is None else shift
    factor = scale * (variance + eps).rsqrt()
    shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
    moved = ((zeros_like(mean) if bias is None else bias) - mean) * factor + shift
    kinds = weight.dtype, weight.dtype if bias is None else bias.dtype
    grads = weight.requires_grad, weight.requires_grad if bias is None else bias.requires_grad
    found = (weight * factor.reshape(shape)).to(kinds[0]), moved.to(kinds[1])
    return Parameter(found[0].detach(), grads[0]), Parameter(found[1].detach(), grads[1])


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of a convolution with its normalisation folded in; `transpose` for a transposed one."""
    return _folded(conv_w, conv_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), int(transpose))


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of a linear layer with its normalisation folded in."""
    return _folded(linear_w, linear_b, (bn_rm, bn_rv, bn_eps, bn_w, bn_b), 0)


def _fused(layer: Any, bn: Any, axis: int) -> Any:
    assert not (layer.training or bn.training), "Fusion only for eval!"
    fused = copy.deepcopy(layer)
    assert bn.running_mean is not None and bn.running_var is not None, "Fusion only of a norm that keeps statistics"
    statistics = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    fused.weight, fused.bias = _folded(fused.weight, fused.bias, statistics, axis)
    return fused


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution that gives what it and the normalisation after it give, both in evaluation.

    >>> import fdl.stateful as torch
    >>> conv, bn = torch.nn.Conv2d(1, 2, 3).eval(), torch.nn.BatchNorm2d(2).eval()
    >>> bn.running_mean.fill_(0.5); x = torch.ones(1, 1, 4, 4)
    tensor([0.5000, 0.5000])
    >>> torch.allclose(torch.nn.utils.fusion.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    return _fused(conv, bn, int(transpose))


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of a linear layer that gives what it and the normalisation after it give, both in evaluation."""
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    return _fused(linear, bn, 0)
