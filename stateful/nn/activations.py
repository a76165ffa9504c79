"""Activations as modules: each calls the function of its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions import elementwise
from fdl.stateful.functions.creation import full
from fdl.stateful.nn import functional as F
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Parameter

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU",
    "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softmax",
    "Softmax2d", "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold",
]  # fmt: skip


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
        return ", ".join(
            [*(f"{k}={v!r}" for k, v in self.settings.items()), *(["inplace=True"] if self.inplace else [])]
        )


def _activation(name: str, function: Callable[..., Any], **defaults: Any) -> Any:
    return type(
        name,
        (_Activation,),
        {
            "function": staticmethod(function),
            "defaults": defaults,
            "__doc__": f"`{function.__name__}` as a module.",
            "__module__": __name__,
        },
    )


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
CELU = _activation("CELU", F.celu, alpha=1.0)


class _Shrink(_Activation):
    """Printed with its limit alone."""

    defaults: ClassVar[dict[str, Any]] = {"lambd": 0.5}

    def extra_repr(self) -> str:
        """The limit."""
        return str(self.settings["lambd"])


class Hardshrink(_Shrink):
    """`hardshrink` as a module."""

    function = staticmethod(F.hardshrink)


class Softshrink(_Shrink):
    """`softshrink` as a module."""

    function = staticmethod(F.softshrink)


Softmax = _activation("Softmax", F.softmax, dim=None)
LogSoftmax = _activation("LogSoftmax", F.log_softmax, dim=None)
Softmin = _activation("Softmin", F.softmin, dim=None)
GLU = _activation("GLU", F.glu, dim=-1)


class Threshold(Module):
    """x above a threshold, a value elsewhere."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Any:
        """The same shape."""
        return F.threshold(input, self.threshold, self.value, inplace=self.inplace)

    def extra_repr(self) -> str:
        """The settings."""
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x above 0, a learned slope below: one, or one for each channel (He et al., 2015)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(full((num_parameters,), init, dtype=dtype))

    def forward(self, input: Tensor) -> Any:
        """The same shape."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The settings."""
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """x above 0, a random slope below while training."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Any:
        """The same shape."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The settings."""
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class Softmax2d(Module):
    """Softmax over the channels of each place."""

    def forward(self, input: Tensor) -> Any:
        """The same shape."""
        if input.ndim not in (3, 4):
            raise ArgumentError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3)
