"""Layers whose sizes follow from the first input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from fdl.stateful.autograd import no_grad
from fdl.stateful.core.cells import refuse_step
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import empty
from fdl.stateful.nn import convolution, normalization
from fdl.stateful.nn.linear import Linear
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.parameter import Buffer, Parameter

__all__ = [
    "LazyBatchNorm1d", "LazyBatchNorm2d", "LazyBatchNorm3d", "LazyConv1d", "LazyConv2d", "LazyConv3d",
    "LazyConvTranspose1d", "LazyConvTranspose2d",
    "LazyConvTranspose3d", "LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d", "LazyLinear",
    "UninitializedBuffer", "UninitializedParameter", "UninitializedTensorMixin", "is_lazy",
]  # fmt: skip


class UninitializedTensorMixin:
    """What parameters and buffers without a shape have in common."""

    cls_to_become: ClassVar[type]
    data: Tensor

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    __str__ = __repr__

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give it a shape; it stays the same object, so that an optimizer made before trains it."""
        self.data = empty(*shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become  # type: ignore[assignment]


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter without a shape yet."""

    cls_to_become = Parameter


class UninitializedBuffer(UninitializedTensorMixin, Buffer):
    """A buffer whose shape the first input tells."""

    cls_to_become = Buffer


def is_lazy(param: Any) -> bool:
    """Whether the shape of a parameter or buffer is not known yet."""
    return isinstance(param, UninitializedTensorMixin)


class _Lazy(Module):
    """Waits for its first input, becomes the layer `becomes`, and runs."""

    becomes: ClassVar[type]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(self, _Lazy):
            refuse_step("a lazy layer takes the shapes of its first input")
            with no_grad():
                self._initialize(args[0])
            self.__class__ = self.becomes
        return Module.__call__(self, *args, **kwargs)

    def _initialize(self, input: Tensor) -> None:
        raise NotImplementedError(self)

    def reset_parameters(self) -> None:
        """Nothing before there are shapes."""
        if not isinstance(self, _Lazy) or not isinstance(getattr(self, "weight", None), UninitializedParameter):
            self.becomes.reset_parameters(self)  # type: ignore[attr-defined]

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter waits for its shape."""
        return any(isinstance(p, UninitializedParameter) for p in self.parameters())


class LazyLinear(_Lazy, Linear):
    """`Linear` whose in_features follow from the first input."""

    becomes = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        Module.__init__(self)
        self.in_features, self.out_features = 0, out_features
        self.weight = UninitializedParameter()
        self.register_parameter("bias", UninitializedParameter() if bias else None)

    def _initialize(self, input: Tensor) -> None:
        self.in_features = input.shape[-1]
        self.weight.materialize((self.out_features, self.in_features))
        if self.bias is not None:
            self.bias.materialize((self.out_features,))
        self.reset_parameters()


def _lazy_convolution(base: Any) -> Any:
    class Lazy(_Lazy, base):  # type: ignore[misc]
        becomes = base

        def __init__(self, out_channels: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
            self.__dict__["_pending"] = True
            groups = kwargs.get("groups", 1)
            base.__init__(self, groups, out_channels, kernel_size, *args, **kwargs)
            self.in_channels = 0

        def _make(self, shape: tuple[int, int], bias: bool, dtype: Any) -> None:
            self.weight = UninitializedParameter()
            self.register_parameter("bias", UninitializedParameter() if bias else None)

        def _initialize(self, input: Tensor) -> None:
            self.in_channels = input.shape[1 if input.ndim == self.rank + 2 else 0]
            if self.in_channels % self.groups:
                raise ArgumentError("in_channels must be divisible by groups")
            per = (
                (self.in_channels, self.out_channels // self.groups)
                if self.transposed
                else (self.out_channels, self.in_channels // self.groups)
            )
            self.weight.materialize((*per, *self.kernel_size))
            if self.bias is not None:
                self.bias.materialize((self.out_channels,))
            self.reset_parameters()

    return _named(Lazy, base)


def _named(cls: Any, base: Any) -> Any:
    cls.__name__ = cls.__qualname__ = f"Lazy{base.__name__}"
    cls.__module__, cls.__doc__ = __name__, f"`{base.__name__}` whose number of channels follows from the first input."
    return cls


def _lazy_norm(base: Any) -> Any:
    class Lazy(_Lazy, base):  # type: ignore[misc]
        becomes = base
        bias: Any

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            base.__init__(self, 0, *args, **kwargs)
            if self.affine:
                self.weight = UninitializedParameter()
            if self.bias is not None:
                self.bias = UninitializedParameter()

        def _initialize(self, input: Tensor) -> None:
            n = self.num_features = input.shape[
                0 if input.ndim == min(self.rank) and issubclass(base, normalization._InstanceNorm) else 1
            ]
            if self.affine:
                self.weight.materialize((n,))
            if self.bias is not None:
                self.bias.materialize((n,))
            for name in ("running_mean", "running_var") if self.track_running_stats else ():
                self.__dict__[name].data = empty(n)
            self.reset_parameters()

    return _named(Lazy, base)


_make: Callable[[Any], Any] = _lazy_convolution
LazyConv1d, LazyConv2d, LazyConv3d = _make(convolution.Conv1d), _make(convolution.Conv2d), _make(convolution.Conv3d)
LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d = (
    _make(convolution.ConvTranspose1d),
    _make(convolution.ConvTranspose2d),
    _make(convolution.ConvTranspose3d),
)
LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d = (
    _lazy_norm(normalization.BatchNorm1d),
    _lazy_norm(normalization.BatchNorm2d),
    _lazy_norm(normalization.BatchNorm3d),
)
LazyInstanceNorm1d, LazyInstanceNorm2d, LazyInstanceNorm3d = (
    _lazy_norm(normalization.InstanceNorm1d),
    _lazy_norm(normalization.InstanceNorm2d),
    _lazy_norm(normalization.InstanceNorm3d),
)
