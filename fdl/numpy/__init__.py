"""NumPy's names on fdl arrays: `import fdl.numpy as jnp`.  Importing it also gives arrays their operators and methods."""

import math as _stdlib_math
import sys as _sys

from fdl.core import dtypes as _dtypes
from fdl.core.array import METHODS as _METHODS
from fdl.core.array import Array as ndarray
from fdl.numpy import _create, _index, _math, _shape
from fdl.numpy._create import *  # noqa: F403
from fdl.numpy._create import ScalarType as _ScalarType
from fdl.numpy._index import take, take_along_axis
from fdl.numpy._math import *  # noqa: F403
from fdl.numpy._shape import *  # noqa: F403

for _dtype in _dtypes.ALL:
    globals()[_dtype.name if _dtype != _dtypes.bool_ else "bool_"] = _ScalarType(_dtype)
dtype = _dtypes.canonical
pi, e, inf, nan, newaxis = _stdlib_math.pi, _stdlib_math.e, _stdlib_math.inf, _stdlib_math.nan, None

_FUNCTIONS = """add subtract multiply true_divide floor_divide remainder divmod power bitwise_and bitwise_or bitwise_xor bitwise_not
left_shift right_shift less less_equal greater greater_equal equal not_equal negative positive abs
sum mean var std max min any all argmax argmin prod cumsum cumprod round clip""".split()
_SHAPES = "astype reshape ravel transpose matrix_transpose swapaxes squeeze dot matmul repeat trace".split()
_METHODS.update({name: getattr(_math, name) for name in _FUNCTIONS})
_METHODS.update({name: getattr(_shape, name) for name in _SHAPES})
_METHODS.update(getitem=_index.getitem, at=_index.at, take=take, flatten=_shape.ravel, __array_namespace__=lambda: _sys.modules[__name__])
