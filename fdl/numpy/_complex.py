"""Functions of complex numbers with NumPy's names: their parts, conjugates and angles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.core.trace import aval_of
from fdl.numpy._create import asarray
from fdl.ops.promotion import promote


def real(x: ArrayLike) -> Array:
    """The real parts; real numbers as they are.

    >>> float(real(1 + 2j))
    1.0
    """
    return ops.real(x) if dtypes.is_complex(aval_of(x).dtype) else asarray(x)


def imag(x: ArrayLike) -> Array:
    """The imaginary parts, zeros of real numbers.

    >>> float(imag(1 + 2j))
    2.0
    """
    return ops.imag(x) if dtypes.is_complex(aval_of(x).dtype) else ops.zeros_like(aval_of(x))


def conj(x: ArrayLike) -> Array:
    """The conjugates; real numbers as they are.

    >>> complex(conj(1 + 2j))
    (1-2j)
    """
    return asarray(ops.conj(asarray(x)))


conjugate = conj


def angle(z: ArrayLike, deg: bool = False) -> Array:
    """The angle from the real axis in radians, from -pi to pi; with `deg` in degrees.

    >>> round(float(angle(1j, deg=True)), 3)
    90.0
    """
    (z,) = promote(asarray(z), to_float=True)
    found = ops.atan2(imag(z), real(z))
    return ops.mul(found, 180 / math.pi) if deg else found


def iscomplex(x: Any) -> Array:
    """Where imaginary parts are not zero.

    >>> iscomplex([1, 1j]).tolist()
    [False, True]
    """
    return ops.not_equal(imag(asarray(x)), 0)


def isreal(x: Any) -> Array:
    """Where imaginary parts are zero.

    >>> isreal([1, 1j]).tolist()
    [True, False]
    """
    return ops.equal(imag(asarray(x)), 0)


def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex.

    >>> iscomplexobj(1j), iscomplexobj(1.0)
    (True, False)
    """
    return dtypes.is_complex(aval_of(asarray(x)).dtype)


def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex.

    >>> isrealobj(1j), isrealobj(1.0)
    (False, True)
    """
    return not iscomplexobj(x)


# Order


def _comparison(compare: Callable[..., Array], name: str, sign: str) -> Callable[..., Array]:
    """A comparison that orders complex numbers by their real parts, and equal ones by their imaginary parts."""

    def function(x: ArrayLike, y: ArrayLike, /) -> Array:
        if not (dtypes.is_complex(aval_of(x).dtype) or dtypes.is_complex(aval_of(y).dtype)):
            return compare(x, y)
        (a, c), (b, d) = ((ops.real(v), ops.imag(v)) for v in promote(x, y))
        return ops.select(ops.equal(a, b), compare(c, d), compare(a, b))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""`x {sign} y`; complex numbers are ordered by real parts, equal ones by imaginary parts.

    >>> bool({name}(1 + 3j, 1 + 2j))
    {">" in sign}
    """
    function.primitive = compare.primitive  # type: ignore[attr-defined]
    return function


less, less_equal, greater, greater_equal = (
    _comparison(getattr(ops, name), name, sign)
    for name, sign in (("less", "<"), ("less_equal", "<="), ("greater", ">"), ("greater_equal", ">="))
)

__all__ = [
    "angle", "conj", "conjugate", "greater", "greater_equal", "imag", "iscomplex", "iscomplexobj", "isreal",
    "isrealobj", "less", "less_equal", "real",
]  # fmt: skip
