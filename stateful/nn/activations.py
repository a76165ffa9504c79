"""Activations and losses as modules: each calls the function of its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions import elementwise, reductions
from fdl.stateful.functions.creation import full
from fdl.stateful.nn import functional as F
from fdl.stateful.nn.layers import Linear
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Parameter

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CELU", "CTCLoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "ELU", "GELU", "GLU",
    "GaussianNLLLoss", "Hardshrink",
    "Hardsigmoid", "Hardswish", "Hardtanh", "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "LeakyReLU",
    "LinearCrossEntropyLoss", "LogSigmoid", "LogSoftmax",
    "MSELoss", "MarginRankingLoss", "Mish", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss",
    "NLLLoss", "PReLU",
    "PoissonNLLLoss", "RReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "SmoothL1Loss", "SoftMarginLoss", "Softmax",
    "Softmax2d", "Softmin",
    "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold", "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
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


Softmax = _activation("Softmax", reductions.softmax, dim=-1)
LogSoftmax = _activation("LogSoftmax", reductions.log_softmax, dim=-1)
Softmin = _activation("Softmin", F.softmin, dim=-1)
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


class _Loss(Module):
    """Calls `function(input, target, reduction=..., **settings)`."""

    function: Callable[..., Any]
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(
        self, *args: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean", **kwargs: Any
    ) -> None:
        super().__init__()
        settings = F.settings_of(f"{type(self).__name__}.__init__", self.defaults, args, kwargs)
        self.reduction, self.settings = reduction, settings
        for name, value in settings.items():
            if name in ("weight", "pos_weight"):
                self.register_buffer(name, value)
            else:
                self.__dict__[name] = value

    def forward(self, *tensors: Any) -> Any:
        """A scalar of input and target, unless `reduction` is "none"."""
        return type(self).function(
            *tensors, reduction=self.reduction, **{name: self.__dict__[name] for name in self.settings}
        )


def _loss(name: str, function: Callable[..., Any], **defaults: Any) -> Any:
    return type(
        name,
        (_Loss,),
        {
            "function": staticmethod(function),
            "defaults": defaults,
            "__doc__": f"`{function.__name__}` as a module.",
            "__module__": __name__,
        },
    )


CrossEntropyLoss = _loss("CrossEntropyLoss", F.cross_entropy, weight=None, ignore_index=-100, label_smoothing=0.0)
NLLLoss = _loss("NLLLoss", F.nll_loss, weight=None, ignore_index=-100)
MSELoss = _loss("MSELoss", F.mse_loss)
L1Loss = _loss("L1Loss", F.l1_loss)
HuberLoss = _loss("HuberLoss", F.huber_loss, delta=1.0)
SmoothL1Loss = _loss("SmoothL1Loss", F.smooth_l1_loss, beta=1.0)
BCELoss = _loss("BCELoss", F.binary_cross_entropy, weight=None)
BCEWithLogitsLoss = _loss("BCEWithLogitsLoss", F.binary_cross_entropy_with_logits, weight=None, pos_weight=None)
KLDivLoss = _loss("KLDivLoss", F.kl_div, log_target=False)
PoissonNLLLoss = _loss("PoissonNLLLoss", F.poisson_nll_loss, log_input=True, full=False, eps=1e-8)
GaussianNLLLoss = _loss("GaussianNLLLoss", F.gaussian_nll_loss, full=False, eps=1e-6)
HingeEmbeddingLoss = _loss("HingeEmbeddingLoss", F.hinge_embedding_loss, margin=1.0)
CosineEmbeddingLoss = _loss("CosineEmbeddingLoss", F.cosine_embedding_loss, margin=0.0)
MarginRankingLoss = _loss("MarginRankingLoss", F.margin_ranking_loss, margin=0.0)
MultiMarginLoss = _loss("MultiMarginLoss", F.multi_margin_loss, p=1, margin=1.0, weight=None)
MultiLabelMarginLoss = _loss("MultiLabelMarginLoss", F.multilabel_margin_loss)
MultiLabelSoftMarginLoss = _loss("MultiLabelSoftMarginLoss", F.multilabel_soft_margin_loss, weight=None)
SoftMarginLoss = _loss("SoftMarginLoss", F.soft_margin_loss)
TripletMarginLoss = _loss("TripletMarginLoss", F.triplet_margin_loss, margin=1.0, p=2.0, eps=1e-6, swap=False)
TripletMarginWithDistanceLoss = _loss(
    "TripletMarginWithDistanceLoss", F.triplet_margin_with_distance_loss, distance_function=None, margin=1.0, swap=False
)
CTCLoss = _loss("CTCLoss", F.ctc_loss, blank=0, zero_infinity=False)


class LinearCrossEntropyLoss(Module):
    """A linear layer and the cross entropy of what it gives."""

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: Sequence[int] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        super().__init__()
        self.in_features, self.num_classes, self.out_features, self.bias = (
            in_features,
            num_classes,
            tuple(out_features),
            bias,
        )
        self.reduction, self.ignore_index, self.label_smoothing, self.options = (
            reduction,
            ignore_index,
            label_smoothing,
            options,
        )
        self.linear = Linear(in_features, num_classes * math.prod(self.out_features), bias, dtype=dtype)
        self.register_buffer("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Any:
        """A scalar, unless `reduction` is "none"."""
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input, self.linear.weight.reshape(*shape, self.in_features), target,
            linear_bias=None if bias is None else bias.reshape(*shape), weight=self.weight,
            reduction=self.reduction, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The settings."""
        names = (
            "in_features",
            "num_classes",
            "out_features",
            "bias",
            "reduction",
            "ignore_index",
            "label_smoothing",
            "options",
        )
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)
