"""Products of inputs with weights, as functions: `linear` and `bilinear`."""

from __future__ import annotations

import math
from typing import Any

from fdl import ops
from fdl.extend import DtypeError, Function, ShapeError, aval_of
from fdl.stateful.core.tensor import Tensor, apply

__all__ = ["bilinear", "linear"]


def _linear_body(x: Any, weight: Any, bias: Any = None) -> Any:
    a, w = aval_of(x), aval_of(weight)
    if a.dtype != w.dtype:
        raise DtypeError(
            f"mat1 and mat2 must have the same dtype, but got {a.describe()} and {w.describe()}",
            hint=f"x.to(weight.dtype), or layer.to(torch.{a.dtype.name})",
        )
    if not a.ndim or a.shape[-1] != w.shape[-1]:
        rows = math.prod(a.shape[:-1])
        raise ShapeError(
            (
                f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a.shape[-1] if a.ndim else 0} and "
                f"{w.shape[-1]}x{w.shape[0]})"
            ),
            why=f"the layer takes {w.dtype.name}[..., {w.shape[-1]}], it got {a.describe()}",
            hint="x.flatten(1), or another in_features",
        )
    out = ops.dot_general(x, weight, (((a.ndim - 1,), (1,)), ((), ())))
    return out if bias is None else ops.add(out, bias)


_linear = Function(_linear_body, "linear")


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """`input @ weight.T + bias`; weight is (out, in)."""
    return apply(_linear, (input, weight) if bias is None else (input, weight, bias))


def _bilinear_body(a: Any, b: Any, weight: Any, *bias: Any) -> Any:
    left = ops.dot_general(a, weight, (((aval_of(a).ndim - 1,), (1,)), ((), ())))  # (..., out, in2)
    out = ops.reduce_sum(
        ops.mul(left, ops.broadcast(b, aval_of(left).shape, (*range(aval_of(b).ndim - 1), aval_of(left).ndim - 1))),
        (aval_of(left).ndim - 1,),
    )
    return ops.add(out, bias[0]) if bias else out


_bilinear = Function(_bilinear_body, "bilinear")


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """`input1 @ weight[k] @ input2` for each output k; weight is (out, in1, in2)."""
    return apply(_bilinear, (input1, input2, weight, *(() if bias is None else (bias,))))
