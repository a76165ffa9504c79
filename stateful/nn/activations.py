"""Activations and losses as modules: each calls the function of its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from fdl.stateful._tensor import Tensor
from fdl.stateful.functions import elementwise, reductions
from fdl.stateful.nn import functional as F
from fdl.stateful.nn.module import Module


class _Activation(Module):
    """Calls `function(input, **settings)`; settings are the constructor's arguments, by these names."""

    function: Callable[..., Any]
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, inplace: bool = False, **kwargs: Any) -> None:
        super().__init__()
        if len(args) > len(self.defaults):
            inplace, args = args[-1], args[:-1]
        settings = F.settings_of(f"{type(self).__name__}.__init__", self.defaults, args, kwargs)
        self.settings, self.inplace = settings, inplace
        for name, value in settings.items():
            self.__dict__[name] = value

    def forward(self, input: Tensor) -> Any:
        """The same shape."""
        out = type(self).function(input, **self.settings) if self.settings else type(self).function(input)
        return input._overwrite(out) if self.inplace else out

    def extra_repr(self) -> str:
        """The settings."""
        return ", ".join([*(f"{k}={v!r}" for k, v in self.settings.items()), *(["inplace=True"] if self.inplace else [])])


def _activation(name: str, function: Callable[..., Any], **defaults: Any) -> Any:
    return type(name, (_Activation,), {"function": staticmethod(function), "defaults": defaults, "__doc__": f"`{function.__name__}` as a module.", "__module__": __name__})


ReLU = _activation("ReLU", elementwise.relu)
Tanh = _activation("Tanh", elementwise.tanh)
Sigmoid = _activation("Sigmoid", elementwise.sigmoid)
GELU = _activation("GELU", F.gelu, approximate="none")
SiLU = _activation("SiLU", F.silu)
Mish = _activation("Mish", F.mish)
ReLU6 = _activation("ReLU6", F.relu6)
LeakyReLU = _activation("LeakyReLU", F.leaky_relu, negative_slope=0.01)
ELU = _activation("ELU", F.elu, alpha=1.0)
SELU = _activation("SELU", F.selu)
Softplus = _activation("Softplus", F.softplus, beta=1.0, threshold=20.0)
Hardtanh = _activation("Hardtanh", F.hardtanh, min_val=-1.0, max_val=1.0)
Hardsigmoid = _activation("Hardsigmoid", F.hardsigmoid)
Hardswish = _activation("Hardswish", F.hardswish)
LogSigmoid = _activation("LogSigmoid", F.logsigmoid)
Softsign = _activation("Softsign", F.softsign)
Tanhshrink = _activation("Tanhshrink", F.tanhshrink)
Softmax = _activation("Softmax", reductions.softmax, dim=-1)
LogSoftmax = _activation("LogSoftmax", reductions.log_softmax, dim=-1)
Softmin = _activation("Softmin", F.softmin, dim=-1)
GLU = _activation("GLU", F.glu, dim=-1)


class _Loss(Module):
    """Calls `function(input, target, reduction=..., **settings)`."""

    function: Callable[..., Any]
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", **kwargs: Any) -> None:
        super().__init__()
        settings = F.settings_of(f"{type(self).__name__}.__init__", self.defaults, args, kwargs)
        self.reduction, self.settings = reduction, settings
        for name, value in settings.items():
            if name == "weight":
                self.register_buffer("weight", value)
            else:
                self.__dict__[name] = value

    def forward(self, input: Tensor, target: Tensor) -> Any:
        """A scalar, unless `reduction` is "none"."""
        return type(self).function(input, target, reduction=self.reduction, **self.settings)


def _loss(name: str, function: Callable[..., Any], **defaults: Any) -> Any:
    return type(name, (_Loss,), {"function": staticmethod(function), "defaults": defaults, "__doc__": f"`{function.__name__}` as a module.", "__module__": __name__})


CrossEntropyLoss = _loss("CrossEntropyLoss", F.cross_entropy, weight=None, ignore_index=-100, label_smoothing=0.0)
NLLLoss = _loss("NLLLoss", F.nll_loss, weight=None, ignore_index=-100)
MSELoss = _loss("MSELoss", F.mse_loss)
L1Loss = _loss("L1Loss", F.l1_loss)
HuberLoss = _loss("HuberLoss", F.huber_loss, delta=1.0)
SmoothL1Loss = _loss("SmoothL1Loss", F.smooth_l1_loss, beta=1.0)
BCELoss = _loss("BCELoss", F.binary_cross_entropy)
BCEWithLogitsLoss = _loss("BCEWithLogitsLoss", F.binary_cross_entropy_with_logits)
KLDivLoss = _loss("KLDivLoss", F.kl_div, log_target=False)
