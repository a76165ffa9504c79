"""Functions that make complex tensors, and views of their parts, pairs and conjugates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core import complexes
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.operands import as_tensor_operand
from fdl.stateful.core.places import Places
from fdl.stateful.core.tape import autocasting
from fdl.stateful.core.tensor import Tensor, apply, view_of
from fdl.stateful.core.views import Step, is_turned, places_of
from fdl.stateful.functions.elementwise import _floating, unary
from fdl.stateful.functions.shapes import clone

__all__ = [
    "angle", "complex", "conj", "conj_physical", "imag", "is_complex", "is_conj", "is_neg", "isreal", "polar", "real",
    "resolve_conj", "resolve_neg", "view_as_complex", "view_as_real",
]  # fmt: skip


def _check_parts(re: Any, im: Any) -> None:
    """RuntimeError unless both are floats of one dtype."""
    kinds = [aval_of(x).dtype for x in (re, im)]
    if kinds[0] != kinds[1] or kinds[0] not in (dtypes.float32, dtypes.float64):
        raise TensorError(
            f"Expected both inputs to be Half, Float or Double tensors but got {kinds[0].name} and {kinds[1].name}",
            hint="x.float() of both",
        )


def _joined(re: Any, im: Any) -> Any:
    _check_parts(re, im)
    return ops.join(re, im)


def _polar_body(size: Any, angle: Any) -> Any:
    _check_parts(size, angle)
    return ops.join(ops.mul(size, ops.cos(angle)), ops.mul(size, ops.sin(angle)))


_complex = Function(_joined, "complex")
_polar = Function(_polar_body, "polar")


def complex(real: Tensor, imag: Tensor) -> Tensor:
    """The complex tensor with these parts, which broadcast.

    >>> import fdl.stateful as torch
    >>> torch.complex(torch.tensor([1.0]), torch.tensor([-2.0]))
    tensor([1.-2.j])
    """
    return apply(_complex, (real, imag))  # type: ignore[no-any-return]


def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """Numbers of these sizes and angles, in radians.

    >>> import fdl.stateful as torch
    >>> torch.polar(torch.ones(1), torch.zeros(1))
    tensor([1.+0.j])
    """
    return apply(_polar, (abs, angle))  # type: ignore[no-any-return]


@method()
def is_complex(input: Tensor) -> bool:
    """Whether elements are complex.

    >>> import fdl.stateful as torch
    >>> torch.is_complex(torch.ones(2)), torch.is_complex(torch.tensor(1j))
    (False, True)
    """
    return dtypes.is_complex(input._value().aval.dtype)


# Views


def _same_places(p: Places, numbers: Any, static: Any) -> Places:
    return p


def _part_places(which: int) -> Callable[..., Places]:
    """Every second float."""
    return lambda p, numbers, static: Places(p.shape, tuple([2 * s for s in p.strides]), 2 * p.offset + which)


def _pair_places(p: Places, numbers: Any, static: Any) -> Places:
    return Places((*p.shape, 2), (*[2 * s for s in p.strides], 1), 2 * p.offset)


def _number_places(p: Places, numbers: Any, static: Any) -> Places:
    return Places(p.shape[:-1], tuple([s // 2 for s in p.strides[:-1]]), p.offset // 2)


_CONJ = Step(complexes.conjugate, complexes.write_conjugate, _same_places)
_REAL = Step(complexes.real_part, complexes.write_real, _part_places(0))
_IMAG = Step(complexes.imag_part, complexes.write_imag, _part_places(1))
_PAIRS = Step(complexes.pairs, complexes.write_pairs, _pair_places)
_NUMBERS = Step(complexes.numbers, complexes.write_numbers, _number_places)


def real(input: Tensor) -> Tensor:
    """The real parts, a view; a real tensor itself.

    >>> import fdl.stateful as torch
    >>> torch.real(torch.tensor([1 + 2j]))
    tensor([1.])
    """
    return view_of(input, _REAL) if is_complex(input) else input


def imag(input: Tensor) -> Tensor:
    """The imaginary parts, a view; RuntimeError for a real tensor, which has none.

    >>> import fdl.stateful as torch
    >>> torch.imag(torch.tensor([1 + 2j]))
    tensor([2.])
    """
    if not is_complex(input):
        raise TensorError("imag is not implemented for tensors with non-complex dtypes.")
    return view_of(input, _IMAG)


@method()
def conj(input: Tensor) -> Tensor:
    """The conjugates, a view; a real tensor itself.

    >>> import fdl.stateful as torch
    >>> z = torch.tensor([1 + 2j])
    >>> z.conj()[0] = 5 + 1j; z
    tensor([5.-1.j])
    """
    return view_of(input, _CONJ) if is_complex(input) else input


@method()
def is_conj(input: Tensor) -> bool:
    """Whether memory holds the conjugates of the elements: a view by `conj` has not been worked out."""
    return input._view is not None and is_complex(input) and is_turned(input)


@method()
def is_neg(input: Tensor) -> bool:
    """Whether memory holds the negatives of the elements: imaginary parts of a view by `conj`."""
    return input._view is not None and not is_complex(input) and is_turned(input)


@method()
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself, or a copy of a view by `conj`."""
    return clone(input) if is_conj(input) else input


@method()
def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself, or a copy of imaginary parts of a view by `conj`."""
    return clone(input) if is_neg(input) else input


@method(inplace=True)
def conj_physical(input: Tensor) -> Tensor:
    """The conjugates, in memory of their own; a real tensor itself."""
    return apply(complexes.conjugate, (input,)) if is_complex(input) else input  # type: ignore[no-any-return]


def view_as_real(input: Tensor) -> Tensor:
    """Real and imaginary parts along a new last dimension: a view, which writes through.

    >>> import fdl.stateful as torch
    >>> torch.view_as_real(torch.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    if not is_complex(input):
        raise TensorError("view_as_real is only supported for complex tensors")
    if is_conj(input):
        raise TensorError(
            "view_as_real doesn't work on unresolved conjugated tensors.  To resolve the conjugate tensor so you can "
            "view it as real, use self.resolve_conj(); however, be warned that the resulting tensor will NOT alias the "
            "original."
        )
    return view_of(input, _PAIRS)


@autocasting.full
def view_as_complex(input: Tensor) -> Tensor:
    """Pairs along the last dimension as numbers: a view, which writes through.

    >>> import fdl.stateful as torch
    >>> torch.view_as_complex(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1.+2.j, 3.+4.j])
    """
    if input._aval.dtype not in (dtypes.float32, dtypes.float64):
        raise TensorError(
            f"view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: "
            f"{input.dtype.legacy_name}"
        )
    if not input.ndim:
        raise TensorError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise TensorError("Tensor must have a last dimension of size 2")
    p = places_of(input)
    if p.offset % 2:
        raise TensorError("Tensor must have a storage_offset divisible by 2")
    if p.strides[-1] != 1:
        raise TensorError("Tensor must have a last dimension with stride 1", hint="x.contiguous()")
    if any(s % 2 for s in p.strides[:-1]):
        raise TensorError("Tensor must have a stride divisible by 2 for all but last dimension", hint="x.contiguous()")
    return view_of(input, _NUMBERS)


# What the elements are


def _angle_body(x: Any) -> Any:
    x = _floating(x)
    if dtypes.is_complex(aval_of(x).dtype):
        return ops.atan2(ops.imag(x), ops.real(x))
    return ops.select(ops.not_equal(x, x), x, ops.select(ops.less(x, 0), math.pi, 0))


_angle = Function(_angle_body, "angle")


@method()
def angle(input: Tensor) -> Tensor:
    """The angle from the real axis in radians; of real numbers pi below 0, else 0."""
    return apply(_angle, (input,))  # type: ignore[no-any-return]


isreal = unary("isreal", lambda x: _is_real(x), "Whether elements are real: imaginary parts are 0.")


def _is_real(x: Any) -> Any:
    if dtypes.is_complex(aval_of(x).dtype):
        return ops.equal(ops.imag(x), 0)
    return ops.full(aval_of(x).shape, True, dtypes.bool_)


def _set_part(part: Tensor, value: Any) -> None:
    """Numbers fill a part, tensors are copied to it."""
    value = as_tensor_operand(value)
    if isinstance(value, Tensor):
        part.copy_(value)
    else:
        part.fill_(value)


def _set_real(self: Tensor, value: Any) -> None:
    _set_part(real(self), value)


def _set_imag(self: Tensor, value: Any) -> None:
    _set_part(imag(self), value)


Tensor.real = property(real, _set_real)  # type: ignore[attr-defined]
Tensor.imag = property(imag, _set_imag)  # type: ignore[attr-defined]
