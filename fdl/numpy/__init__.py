"""NumPy's names on fdl arrays: `import fdl.numpy as jnp`. Importing it also gives arrays their
operators and methods.
"""

import math as _stdlib_math
import sys as _sys

import numpy as _np

from fdl.core import dtypes as _dtypes
from fdl.core.array import METHODS as _METHODS
from fdl.core.array import Array as ndarray
from fdl.numpy import (
    _apply,
    _arrange,
    _at,
    _bins,
    _choose,
    _complex,
    _create,
    _derived,
    _edit,
    _elements,
    _index,
    _math,
    _nan,
    _pad,
    _places,
    _polynomials,
    _sets,
    _shape,
    _signal,
    _standard,
    fft,
    linalg,
)
from fdl.numpy._apply import *
from fdl.numpy._arrange import *
from fdl.numpy._bins import *
from fdl.numpy._choose import *
from fdl.numpy._complex import *
from fdl.numpy._create import ScalarType as _ScalarType
from fdl.numpy._create import (
    arange,
    array,
    asarray,
    diag,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    identity,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from fdl.numpy._derived import (
    append,
    array_equal,
    column_stack,
    cov,
    cross,
    deg2rad,
    diagonal,
    diff,
    fabs,
    finfo,
    fliplr,
    flipud,
    heaviside,
    iinfo,
    issubdtype,
    kron,
    logspace,
    nanmean,
    nansum,
    ndim,
    polyval,
    promote_types,
    ptp,
    rad2deg,
    rint,
    rot90,
    select,
    shape,
    sinc,
    size,
    trace,
    trapezoid,
    tri,
    tril_indices,
    triu_indices,
    vander,
)
from fdl.numpy._edit import *
from fdl.numpy._einsum import einsum
from fdl.numpy._elements import *
from fdl.numpy._index import (
    take,
    take_along_axis,
)
from fdl.numpy._math import (
    abs,
    absolute,
    add,
    all,
    allclose,
    amax,
    amin,
    any,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    argmax,
    argmin,
    average,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    cbrt,
    ceil,
    clip,
    cos,
    cosh,
    count_nonzero,
    cumprod,
    cumsum,
    divide,
    divmod,
    equal,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fmod,
    hypot,
    invert,
    isclose,
    isfinite,
    isinf,
    isnan,
    left_shift,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logaddexp2,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    max,
    maximum,
    mean,
    min,
    minimum,
    mod,
    multiply,
    nan_to_num,
    negative,
    nonzero,
    not_equal,
    positive,
    power,
    prod,
    reciprocal,
    remainder,
    right_shift,
    round,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    std,
    subtract,
    sum,
    tan,
    tanh,
    true_divide,
    trunc,
    var,
    where,
)
from fdl.numpy._nan import *
from fdl.numpy._pad import *
from fdl.numpy._places import *
from fdl.numpy._polynomials import *
from fdl.numpy._sets import *
from fdl.numpy._shape import (
    astype,
    atleast_1d,
    atleast_2d,
    broadcast_arrays,
    broadcast_to,
    concatenate,
    dot,
    expand_dims,
    flip,
    hstack,
    inner,
    matmul,
    matrix_transpose,
    moveaxis,
    outer,
    ravel,
    reshape,
    result_type,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    tensordot,
    tile,
    transpose,
    vdot,
    vstack,
)
from fdl.numpy._signal import *
from fdl.numpy._sort import argsort, median, percentile, quantile, searchsorted, sort, sort_complex
from fdl.numpy._standard import *

bool_ = _ScalarType(_dtypes.bool_)
int8 = _ScalarType(_dtypes.int8)
int16 = _ScalarType(_dtypes.int16)
int32 = _ScalarType(_dtypes.int32)
int64 = _ScalarType(_dtypes.int64)
uint8 = _ScalarType(_dtypes.uint8)
uint16 = _ScalarType(_dtypes.uint16)
uint32 = _ScalarType(_dtypes.uint32)
uint64 = _ScalarType(_dtypes.uint64)
float8_e4m3fn = _ScalarType(_dtypes.float8_e4m3fn)
float8_e5m2 = _ScalarType(_dtypes.float8_e5m2)
bfloat16 = _ScalarType(_dtypes.bfloat16)
float16 = _ScalarType(_dtypes.float16)
float32 = _ScalarType(_dtypes.float32)
float64 = _ScalarType(_dtypes.float64)
bool = bool_
complex64 = _ScalarType(_dtypes.complex64)
complex128 = _ScalarType(_dtypes.complex128)
csingle, cdouble, complex_ = complex64, complex128, complex128
dtype = _dtypes.canonical
complexfloating, floating, integer, inexact, number, generic, signedinteger, unsignedinteger = (
    _np.complexfloating, _np.floating, _np.integer, _np.inexact, _np.number, _np.generic, _np.signedinteger,
    _np.unsignedinteger,
)  # fmt: skip
pi, e, inf, nan, newaxis = _stdlib_math.pi, _stdlib_math.e, _stdlib_math.inf, _stdlib_math.nan, None

_FUNCTIONS = [
    "add", "subtract", "multiply", "true_divide", "floor_divide", "remainder", "divmod", "power", "bitwise_and",
    "bitwise_or", "bitwise_xor", "bitwise_not", "left_shift",
    "right_shift", "equal", "not_equal", "negative", "positive",
    "abs", "sum", "mean", "var",
    "std", "max", "min", "any", "all", "argmax", "argmin", "prod", "cumsum", "cumprod", "round", "clip",
]  # fmt: skip
_SHAPES = [
    "astype",
    "reshape",
    "ravel",
    "transpose",
    "matrix_transpose",
    "swapaxes",
    "squeeze",
    "dot",
    "matmul",
]
_COMPLEX = ["real", "imag", "conj", "conjugate", "less", "less_equal", "greater", "greater_equal"]
_METHODS.update({name: getattr(_math, name) for name in _FUNCTIONS})
_METHODS.update({name: getattr(_shape, name) for name in _SHAPES})
_METHODS.update(sort=sort, argsort=argsort, repeat=_arrange.repeat)
_METHODS.update({name: getattr(_complex, name) for name in _COMPLEX})
_METHODS.update(ptp=_derived.ptp, diagonal=_derived.diagonal, trace=_derived.trace, nonzero=nonzero, copy=_create.array)
_METHODS.update(
    getitem=_index.getitem,
    elements=_index.elements,
    at=_at.at,
    take=take,
    flatten=_shape.ravel,
    __array_namespace__=lambda: _sys.modules[__name__],
)

__all__ = [
    "abs", "absolute", "add", "all", "allclose", "amax", "amin", "any", "append", "arange", "arccos", "arccosh",
    "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "argmax", "argmin", "argsort", "array", "array_equal", "asarray", "astype", "atleast_1d",
    "atleast_2d", "average",
    "bfloat16", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "bool_", "broadcast_arrays", "broadcast_to",
    "cbrt", "ceil", "clip",
    "cdouble", "column_stack", "complex128", "complex64", "complex_", "complexfloating", "csingle",
    "concatenate", "cos", "cosh", "count_nonzero", "cov", "cross", "cumprod", "cumsum", "deg2rad",
    "diag", "diagonal", "diff",
    "divide", "divmod", "dot", "dtype", "e", "einsum", "empty", "empty_like", "equal", "exp", "exp2", "expand_dims",
    "expm1", "eye", "fabs", "fft", "finfo",
    "flip", "fliplr", "flipud", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2", "floating", "floor",
    "floor_divide", "fmod", "full",
    "full_like", "generic", "heaviside", "hstack", "hypot", "identity", "iinfo", "inexact",
    "inf", "inner", "int16",
    "int32", "int64", "int8", "integer", "invert", "isclose", "isfinite", "isinf", "isnan", "issubdtype", "kron",
    "left_shift",
    "linalg", "linspace", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and", "logical_not",
    "logical_or", "logical_xor", "logspace",
    "matmul", "matrix_transpose", "max", "maximum", "mean", "median", "meshgrid", "min", "minimum", "mod", "moveaxis",
    "multiply", "nan",
    "nan_to_num", "nanmean", "nansum", "ndarray", "ndim", "negative", "newaxis", "nonzero", "not_equal", "number",
    "ones", "ones_like", "outer",
    "percentile", "pi", "polyval", "positive", "power", "prod", "promote_types", "ptp", "quantile", "rad2deg",
    "ravel", "reciprocal",
    "remainder", "reshape", "result_type", "right_shift", "rint", "roll", "rot90", "round", "searchsorted",
    "select", "shape", "sign",
    "signedinteger", "sin", "sinc", "sinh", "size", "sort", "sort_complex", "split", "sqrt", "square",
    "squeeze", "stack", "std",
    "subtract", "sum", "swapaxes",
    "take", "take_along_axis", "tan", "tanh", "tensordot", "tile", "trace", "transpose", "trapezoid", "tri", "tril",
    "tril_indices", "triu",
    "triu_indices", "true_divide", "trunc", "uint16", "uint32", "uint64", "uint8", "unsignedinteger", "vander", "var",
    "vdot", "vstack", "where",
    "zeros", "zeros_like",
]  # fmt: skip
__all__ += ["bool"]
__all__ += _apply.__all__
__all__ += _arrange.__all__
__all__ += _bins.__all__
__all__ += _choose.__all__
__all__ += _complex.__all__
__all__ += _edit.__all__
__all__ += _elements.__all__
__all__ += _nan.__all__
__all__ += _pad.__all__
__all__ += _places.__all__
__all__ += _polynomials.__all__
__all__ += _sets.__all__
__all__ += _signal.__all__
__all__ += _standard.__all__
