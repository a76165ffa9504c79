"""Complex tensors: how their parts and conjugates are read, and the convention of gradients.

A complex tensor holds a complex array. Its parts, its conjugate, and the pairs of numbers that lie in its memory are
views: what is written to them is written to it.

The tape transposes without conjugation, as JAX does: for a real function L of x + iy it has dL/dx - i dL/dy. PyTorch's
gradient is the conjugate of that. So a cotangent is conjugated (`shown`) where a user sees it or gives it, and nowhere
else; real ones are as they are.
"""

from __future__ import annotations

from typing import Any

from fdl import ops
from fdl.extend import Function, aval_of, dtypes


def as_pairs(z: Any) -> Any:
    """Complex numbers as memory has them: real and imaginary parts along a new last axis."""
    last = aval_of(z).ndim
    return ops.concatenate([ops.expand_dims(part, (last,)) for part in (ops.real(z), ops.imag(z))], last)


def of_pairs(x: Any) -> Any:
    """The complex numbers whose parts lie along the last axis."""
    *lead, _ = aval_of(x).shape
    parts = [ops.reshape(ops.slice_in_dim(x, i, i + 1, len(lead)), tuple(lead)) for i in (0, 1)]
    return ops.join(*parts)


def retyped(x: Any, dtype: Any) -> Any:
    """A vector of floats as the complex numbers that its memory holds, or the other way round; what is no whole number
    of them is left out.
    """
    own = aval_of(x)
    if own.dtype == dtype:
        return x
    if dtypes.is_complex(own.dtype):
        return ops.reshape(as_pairs(x), (2 * own.size,))
    n = own.size // 2
    return of_pairs(ops.reshape(ops.slice_in_dim(x, 0, 2 * n, 0), (n, 2)))


def turned(x: Any) -> Any:
    """The conjugate of complex numbers, minus real ones: what stands for one whose sign is left to be turned."""
    return ops.conj(x) if dtypes.is_complex(aval_of(x).dtype) else ops.neg(x)


# How views are read, and written through

conjugate = Function(lambda z: ops.conj(z), "conj")
write_conjugate = Function(lambda z, value: ops.conj(value), "conj")
real_part = Function(lambda z: ops.real(z), "real")
write_real = Function(lambda z, value: ops.join(value, ops.imag(z)), "real")
imag_part = Function(lambda z: ops.imag(z), "imag")
write_imag = Function(lambda z, value: ops.join(ops.real(z), value), "imag")
pairs = Function(as_pairs, "view_as_real")
write_pairs = Function(lambda z, value: of_pairs(value), "view_as_real")
numbers = Function(of_pairs, "view_as_complex")
write_numbers = Function(lambda x, value: as_pairs(value), "view_as_complex")


def shown(cotangent: Any) -> Any:
    """A cotangent, an array, as users see it, or one of theirs as the tape has it: the conjugate of a complex one."""
    return conjugate.record((cotangent,))[0][0] if dtypes.is_complex(cotangent.aval.dtype) else cotangent
