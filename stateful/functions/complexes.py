"""Functions that make complex tensors, and take them apart."""

from __future__ import annotations

from typing import Any

from fdl.stateful.core.complex import ComplexTensor
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.shapes import stack

__all__ = ["complex", "imag", "is_complex", "polar", "view_as_complex", "view_as_real"]


def complex(real: Tensor, imag: Tensor) -> ComplexTensor:
    """The complex tensor with these parts.

    >>> import fdl.stateful as torch
    >>> torch.complex(torch.tensor([1.0]), torch.tensor([-2.0]))
    tensor([1.-2.j])
    """
    return ComplexTensor(real, imag)


def polar(abs: Tensor, angle: Tensor) -> ComplexTensor:
    """Numbers of these sizes and angles, in radians.

    >>> import fdl.stateful as torch
    >>> torch.polar(torch.ones(1), torch.zeros(1))
    tensor([1.+0.j])
    """
    return ComplexTensor(abs * angle.cos(), abs * angle.sin())


def view_as_complex(input: Tensor) -> ComplexTensor:
    """Pairs along the last dimension as numbers: a view, which writes through.

    >>> import fdl.stateful as torch
    >>> torch.view_as_complex(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1.+2.j, 3.+4.j])
    """
    if not input.ndim or input.shape[-1] != 2:
        raise TensorError("Tensor must have a last dimension of size 2")
    return ComplexTensor(input[..., 0], input[..., 1])


def view_as_real(input: ComplexTensor) -> Any:
    """Real and imaginary parts along a new last dimension; a copy.

    >>> import fdl.stateful as torch
    >>> torch.view_as_real(torch.complex(torch.ones(1), torch.zeros(1))).tolist()
    [[1.0, 0.0]]
    """
    if not isinstance(input, ComplexTensor):
        raise TensorError("view_as_real is only supported for complex tensors")
    return stack([input.real, input.imag], -1)


def imag(input: ComplexTensor) -> Any:
    """The imaginary part; RuntimeError for a real tensor, which has none.

    >>> import fdl.stateful as torch
    >>> torch.imag(torch.tensor([1 + 2j]))
    tensor([2.])
    """
    if not isinstance(input, ComplexTensor):
        raise TensorError("imag is not implemented for tensors with non-complex dtypes.")
    return input.imag


@method()
def is_complex(input: Any) -> bool:
    """Whether elements are complex.

    >>> import fdl.stateful as torch
    >>> torch.is_complex(torch.ones(2)), torch.is_complex(torch.tensor(1j))
    (False, True)
    """
    return isinstance(input, ComplexTensor)


Tensor.imag = property(imag)  # type: ignore[attr-defined]
