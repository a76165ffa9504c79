"""Every primitive that holds no graph, one file a family, all rules of one primitive side by side.

Read `axes.py` first, then `elementwise.py`; `sample.py` says what the tests are generated from.
"""

from fdl.ops.axes import (
    broadcast,
    broadcast_to,
    convert,
    expand_dims,
    full,
    instantiate,
    match,
    move_axis,
    reduce_sum,
    sum_to,
    transpose,
    zeros_like,
)
from fdl.ops.bits import bitcast, clz, next_after, population_count, power_of_two, shift_right_logical, signbit
from fdl.ops.checks import Failure, check
from fdl.ops.collective import all_gather, axis_index, axis_size, pmean, psum
from fdl.ops.complexes import absolute, conj, direction, imag, join, real
from fdl.ops.convolution import conv, conv_spread
from fdl.ops.dot import dot_general
from fdl.ops.dynamic import dynamic_slice, dynamic_update_slice
from fdl.ops.elementary import (
    acos,
    acosh,
    asin,
    asinh,
    atan2,
    atanh,
    cbrt,
    cos,
    cosh,
    digamma,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    hypot,
    lgamma,
    log,
    log1p,
    log2,
    log10,
    logistic,
    pow,
    rsqrt,
    sin,
    sinh,
    softplus,
    tan,
    tanh,
)  # fmt: skip
from fdl.ops.elementwise import (
    abs,
    add,
    barrier,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    ceil,
    div,
    elementwise,
    equal,
    floor,
    greater,
    greater_equal,
    integer_pow,
    is_finite,
    less,
    less_equal,
    maximum,
    minimum,
    mul,
    neg,
    not_equal,
    rem,
    round_even,
    select,
    shift_left,
    shift_right,
    sign,
    sqrt,
    stop_gradient,
    sub,
    trunc,
)  # fmt: skip
from fdl.ops.fourier import dft, dft_tables
from fdl.ops.indexing import gather, gather_along, scatter, scatter_add, widened
from fdl.ops.linear import lu, triangular_solve
from fdl.ops.order import argsort, cumsum, top_k
from fdl.ops.promotion import as_operand, broadcast_shapes, cast, promote
from fdl.ops.random import random_bits
from fdl.ops.reduction import argmax, argmin, lowest, reduce_max, reduce_min
from fdl.ops.scatter_fold import scatter_max, scatter_min, scatter_mul
from fdl.ops.segments import segment_max, segment_min, segment_prod, segment_sum
from fdl.ops.shape import concatenate, iota, pad, reshape, reverse, slice, slice_in_dim
from fdl.ops.windows import reduce_windows

__all__ = [
    "Failure", "abs", "absolute", "acos", "acosh", "add", "all_gather", "argmax", "argmin", "argsort", "as_operand",
    "asin", "asinh", "atan2", "atanh", "axis_index", "axis_size", "barrier", "bitcast", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "broadcast", "broadcast_shapes", "broadcast_to", "cast", "cbrt", "ceil", "check",
    "clz", "concatenate", "conj", "conv", "conv_spread", "convert", "cos", "cosh", "cumsum", "dft", "dft_tables",
    "digamma", "direction", "div", "dot_general", "dynamic_slice", "dynamic_update_slice", "elementwise", "equal",
    "erf", "erfc", "exp", "exp2", "expand_dims", "expm1", "floor", "full", "gather", "gather_along", "greater",
    "greater_equal", "hypot", "imag", "instantiate", "integer_pow", "iota", "is_finite", "join", "less", "less_equal",
    "lgamma", "log", "log10", "log1p", "log2", "logistic", "lowest", "lu", "match", "maximum", "minimum", "move_axis",
    "mul", "neg", "next_after", "not_equal", "pad", "pmean", "population_count", "pow", "power_of_two", "promote",
    "psum", "random_bits", "real", "reduce_max", "reduce_min", "reduce_sum", "reduce_windows", "rem", "reshape",
    "reverse", "round_even", "rsqrt", "scatter", "scatter_add", "scatter_max", "scatter_min", "scatter_mul",
    "segment_max", "segment_min", "segment_prod", "segment_sum", "select", "shift_left", "shift_right",
    "shift_right_logical", "sign", "signbit", "sin", "sinh", "slice", "slice_in_dim", "softplus", "sqrt",
    "stop_gradient", "sub", "sum_to", "tan", "tanh", "top_k", "transpose", "triangular_solve", "trunc", "widened",
    "zeros_like",
]  # fmt: skip
