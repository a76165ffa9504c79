"""The two symbols of differentiation: `Zero`, a tangent known to vanish, and `Linear`, an operand that a transpose rule
is linear in.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from fdl.core import dtypes
from fdl.core.avals import ShapedArray


@dataclasses.dataclass(frozen=True, slots=True)
class Zero:
    """A tangent or cotangent that is zero: where all are, no rule runs."""

    aval: ShapedArray


@dataclasses.dataclass(frozen=True, slots=True)
class Linear:
    """Stands for the operand of a linear equation whose cotangent is wanted."""

    aval: ShapedArray


def has_tangent(aval: ShapedArray) -> bool:
    """Floats and complex numbers vary; integers and booleans do not."""
    return dtypes.is_inexact(aval.dtype)


def is_linear(x: Any) -> bool:
    """Whether a transpose rule owes a cotangent for this operand."""
    return type(x) is Linear
