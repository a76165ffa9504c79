"""`jax.lax`'s names: control flow, collectives, and the operations under the names that JAX gives them."""

from typing import Any

from fdl.core.pytree import tree_map
from fdl.ops import (
    abs,
    add,
    argmax,
    argmin,
    atan2,
    axis_index,
    axis_size,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    ceil,
    concatenate,
    cos,
    div,
    dot_general,
    erf,
    exp,
    expand_dims,
    expm1,
    floor,
    full,
    gather,
    integer_pow,
    is_finite,
    log,
    log1p,
    logistic,
    maximum,
    minimum,
    mul,
    neg,
    pad,
    pmean,
    pow,
    psum,
    reduce_max,
    reduce_min,
    reduce_sum,
    rem,
    reshape,
    rsqrt,
    scatter_add,
    select,
    shift_left,
    sign,
    sin,
    slice,
    slice_in_dim,
    sqrt,
    sub,
    tan,
    tanh,
    transpose,
)  # fmt: skip
from fdl.ops import broadcast as broadcast_in_dim
from fdl.ops import convert as convert_element_type
from fdl.ops import equal as eq
from fdl.ops import greater as gt
from fdl.ops import greater_equal as ge
from fdl.ops import iota as _iota
from fdl.ops import less as lt
from fdl.ops import less_equal as le
from fdl.ops import maximum as max
from fdl.ops import minimum as min
from fdl.ops import not_equal as ne
from fdl.ops import reverse as rev
from fdl.ops import round_even as round
from fdl.ops import shift_right as shift_right_arithmetic
from fdl.ops import stop_gradient as _stop_gradient
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


def stop_gradient(x: Any) -> Any:
    """`x`, any tree of arrays, as a constant to all derivatives.

    >>> import fdl
    >>> float(fdl.grad(lambda x: stop_gradient(x) * x)(3.0))
    3.0
    """
    return tree_map(_stop_gradient, x)


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


__all__ = [
    "abs", "add", "argmax", "argmin", "atan2", "axis_index", "axis_size", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor",
    "broadcast_in_dim", "broadcasted_iota", "ceil", "clamp", "concatenate", "cond", "convert_element_type", "cos", "div", "dot_general", "eq", "erf",
    "exp", "expand_dims", "expm1", "floor", "fori_loop", "full", "gather", "ge", "gt", "integer_pow", "iota", "is_finite", "le", "log", "log1p",
    "logistic", "lt", "map", "max", "maximum", "min", "minimum", "mul", "ne", "neg", "pad", "pmean", "pow", "psum", "reduce_max", "reduce_min",
    "reduce_sum", "rem", "reshape", "rev", "round", "rsqrt", "scan", "scatter_add", "select", "shift_left", "shift_right_arithmetic", "sign", "sin",
    "slice", "slice_in_dim", "sqrt", "square", "stop_gradient", "sub", "switch", "tan", "tanh", "transpose", "while_loop",
]  # fmt: skip
