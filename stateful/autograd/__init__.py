"""`torch.autograd`: gradients, gradient modes, and functions with a derivative of their own."""

from __future__ import annotations

from fdl.stateful.autograd import forward_ad, function, graph
from fdl.stateful.autograd.checks import GradcheckError, detect_anomaly, gradcheck, gradgradcheck, set_detect_anomaly
from fdl.stateful.autograd.custom import Function
from fdl.stateful.core.backward import backward, grad
from fdl.stateful.core.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from fdl.stateful.core.tensor import Tensor

__all__ = [
    "Function", "GradcheckError", "Variable", "backward", "detect_anomaly", "enable_grad", "forward_ad", "function",
    "grad", "gradcheck", "gradgradcheck", "graph", "inference_mode", "is_grad_enabled", "no_grad", "set_detect_anomaly",
    "set_grad_enabled",
]  # fmt: skip


def Variable(data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
    """A tensor: variables and tensors have been the same for long."""
    return data.detach().requires_grad_() if requires_grad else data
