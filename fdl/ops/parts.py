"""Complex numbers as two real ones, and the rules by which programs compute with them.

Compiled programs know real numbers alone. The `parts` rule of an operation says what it is in operations on real
numbers: complex operands and results are `Parts`, real operands come as they are. `fdl/passes/split.py` applies it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.avals import ShapedArray
from fdl.core.errors import DtypeError
from fdl.core.primitive import Primitive

Rule = Callable[..., Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Parts:
    """The real and the imaginary parts of complex numbers: two values of one shape and one float dtype.

    `whole` has both interleaved, see `interleaved.py`, where the parts were taken from such an array.
    """

    re: Any
    im: Any
    whole: Any = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.re, self.im))


def joined(re: np.ndarray[Any, Any], im: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The complex array of two real ones, bit for bit.

    >>> joined(np.float32([1.0]), np.float32([-0.0]))
    array([1.-0.j], dtype=complex64)
    """
    out = np.empty(np.broadcast_shapes(np.shape(re), np.shape(im)), dtypes.complex_dtype(np.asarray(re).dtype))
    out.real, out.imag = re, im
    return out


def part_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Params of an operation on the parts: a complex dtype becomes that of its parts."""
    return {k: dtypes.real_dtype(v) if isinstance(v, np.dtype) else v for k, v in params.items()}


def componentwise(primitive: Primitive) -> Rule:
    """The `parts` rule of an operation that does the same to real and to imaginary parts: it moves elements, or sums
    them.
    """

    def parts(*operands: Any, **params: Any) -> Parts:
        own = part_params(params)
        sides = zip(*[x if isinstance(x, Parts) else (x, x) for x in operands], strict=True)
        return Parts(*[primitive.bind(*side, **own) for side in sides])

    return parts


def check_real(what: str, *avals: ShapedArray, why: str = "complex numbers have no order") -> None:
    """DtypeError for an operation that has no meaning for complex numbers, such as one that needs their order."""
    for x in avals:
        if dtypes.is_complex(x.dtype):
            raise DtypeError(
                f"{what}: dtype {x.dtype.name} is not supported", why=why, hint="jnp.abs(x), x.real or x.imag"
            )
