"""The stateful face: PyTorch's names on fdl.  `import fdl.stateful as torch`.

Loops written for PyTorch run with only their import lines changed; operations are recorded, and what keeps coming back runs compiled.
Read `_tensor.py` and `_tape.py` first, then `functions/`, `nn/`, `optim/`, `utils/data.py`.
"""

import builtins as _builtins
from math import e, inf, nan, pi

from fdl.core.config import num_threads as get_num_threads
from fdl.core.config import set_num_threads
from fdl.stateful import _format as _format
from fdl.stateful import autograd, nn, optim, utils
from fdl.stateful._dtypes import NAMES as _NAMES
from fdl.stateful._dtypes import device, dtype, of
from fdl.stateful._dtypes import promote_types as _promote
from fdl.stateful._dtypes import result_type as _result_type
from fdl.stateful._random import *
from fdl.stateful._serialization import load, save
from fdl.stateful._tensor import Size, Tensor
from fdl.stateful._tensor import typed as _typed
from fdl.stateful.accelerators import backends, cuda, mps
from fdl.stateful.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from fdl.stateful.functions.creation import *
from fdl.stateful.functions.elementwise import *
from fdl.stateful.functions.indexing import *
from fdl.stateful.functions.products import *
from fdl.stateful.functions.reductions import *
from fdl.stateful.functions.shapes import *

globals().update(_NAMES)
uint8, bool = of("uint8"), of("bool")  # after all that means the builtin
FloatTensor = Tensor
concat = concatenate = cat
absolute, multiply, subtract, divide, true_divide, clip, swapaxes, arctan = abs, mul, sub, div, div, clamp, transpose, atan
strided, contiguous_format, preserve_format = "strided", "contiguous_format", "preserve_format"


def is_tensor(obj: object) -> _builtins.bool:
    """Whether `obj` is a tensor.

    >>> is_tensor(1)
    False
    """
    return isinstance(obj, Tensor)


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The common dtype of two operands with dimensions.

    >>> import fdl.stateful as torch
    >>> torch.promote_types(torch.int64, torch.float16)
    torch.float16
    """
    return of(_promote(type1.np, type2.np))


def result_type(tensor1: object, tensor2: object) -> dtype:
    """The dtype that an operation on two tensors or numbers gives.

    >>> import fdl.stateful as torch
    >>> torch.result_type(torch.ones(2, dtype=torch.int32), 1.0)
    torch.float32
    """
    return of(_result_type([_typed(tensor1), _typed(tensor2)]))
