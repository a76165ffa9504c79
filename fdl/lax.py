"""`jax.lax`'s names: control flow, collectives, and the operations under the names that JAX gives them."""

from typing import Any

from fdl.ops import (
    abs, add, argmax, argmin, atan2, axis_index, axis_size, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, ceil, concatenate, cos, div, dot_general,
    erf, exp, expm1, floor, full, integer_pow, is_finite, log, log1p, logistic, mul, neg, pad, pmean, pow, psum, reduce_max, reduce_min, reduce_sum, rem,
    reshape, rsqrt, shift_left, sign, sin, slice, slice_in_dim, sqrt, stop_gradient, sub, tan, tanh, transpose,
)  # fmt: skip
from fdl.ops import broadcast as broadcast_in_dim
from fdl.ops import convert as convert_element_type
from fdl.ops import equal as eq
from fdl.ops import expand_dims
from fdl.ops import gather
from fdl.ops import greater as gt
from fdl.ops import greater_equal as ge
from fdl.ops import iota as _iota
from fdl.ops import less as lt
from fdl.ops import less_equal as le
from fdl.ops import maximum, minimum
from fdl.ops import maximum as max
from fdl.ops import minimum as min
from fdl.ops import not_equal as ne
from fdl.ops import reverse as rev
from fdl.ops import round_even as round
from fdl.ops import scatter_add
from fdl.ops import select
from fdl.ops import shift_right as shift_right_arithmetic
from fdl.transforms import cond, fori_loop, scan, switch, while_loop
from fdl.transforms import map_ as map


def iota(dtype: Any, size: int) -> Any:
    """0 to `size` - 1.

    >>> iota("int32", 3).tolist()
    [0, 1, 2]
    """
    return _iota((size,), 0, dtype)


def broadcasted_iota(dtype: Any, shape: Any, dimension: int) -> Any:
    """Each element's index along one axis.

    >>> broadcasted_iota("int32", (2, 2), 1).tolist()
    [[0, 1], [0, 1]]
    """
    return _iota(shape, dimension, dtype)


def clamp(min: Any, x: Any, max: Any) -> Any:
    """`x` moved into the interval.

    >>> float(clamp(0.0, 2.0, 1.0))
    1.0
    """
    return minimum(maximum(x, min), max)


def square(x: Any) -> Any:
    """`x * x`.

    >>> float(square(3.0))
    9.0
    """
    return integer_pow(x, 2)


__all__ = [name for name in dir() if not name.startswith("_") and name != "Any"]
