"""The stateful face: PyTorch's names on fdl.  `import fdl.stateful as torch`.

Loops written for PyTorch run with only their import lines changed; operations are recorded, and what keeps coming back
runs compiled. Read `core/tensor.py` and `core/tape.py` first, then `functions/`, `nn/`, `optim/`, `utils/data.py`.
"""

import builtins as _builtins
from math import e, inf, nan, pi

from fdl import num_threads as get_num_threads
from fdl import set_num_threads
from fdl.extend import on_native as _on_native
from fdl.stateful import (
    _C,
    __config__,
    _aliases,
    _dynamo,
    _functorch,
    _subclasses,
    _tensor_str,
    _utils,
    alias,
    amp,
    autograd,
    compiler,
    distributed,
    distributions,
    export,
    fft,
    func,
    functional,
    futures,
    fx,
    hub,
    jit,
    library,
    linalg,
    masked,
    multiprocessing,
    nn,
    onnx,
    optim,
    overrides,
    profiler,
    random,
    return_types,
    serialization,
    signal,
    sparse,
    special,
    storage,
    testing,
    types,
    utils,
)
from fdl.stateful import _foreach as _foreach
from fdl.stateful import _spread as _spread
from fdl.stateful import _trees as _trees
from fdl.stateful._aliases import batch_norm, embedding, frombuffer, is_nonzero, is_same_size, is_signed
from fdl.stateful._C import PyTorchFileReader
from fdl.stateful._settings import *
from fdl.stateful._sym import *
from fdl.stateful._sym import (
    _assert,
    _assert_async,
    _check,
    _check_index,
    _check_is_size,
    _check_not_implemented,
    _check_tensor_all,
    _check_type,
    _check_value,
)
from fdl.stateful.accelerators import Event, Stream, accelerator, backends, cpu, cuda, mps, mtia, xpu
from fdl.stateful.alias import install
from fdl.stateful.amp.autocast_mode import *
from fdl.stateful.amp.grad_scaler import GradScaler
from fdl.stateful.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from fdl.stateful.autograd import functional as _functional
from fdl.stateful.core import format as _format
from fdl.stateful.core import layouts as _layouts
from fdl.stateful.core.dtypes import NAMES as _NAMES
from fdl.stateful.core.dtypes import category as _category
from fdl.stateful.core.dtypes import device, dtype, of
from fdl.stateful.core.dtypes import promote_types as _promote
from fdl.stateful.core.dtypes import result_type as _result_type
from fdl.stateful.core.layouts import layout, memory_format
from fdl.stateful.core.methods import adopt_methods as _adopt_methods
from fdl.stateful.core.operands import typed as _typed
from fdl.stateful.core.random import *
from fdl.stateful.core.results import Size
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.distributions.discrete import poisson
from fdl.stateful.files.tensors import load, save
from fdl.stateful.func import vmap
from fdl.stateful.functions import legacy as _legacy
from fdl.stateful.functions.attributes import *
from fdl.stateful.functions.complexes import *
from fdl.stateful.functions.conversions import *
from fdl.stateful.functions.copies import *
from fdl.stateful.functions.creation import *
from fdl.stateful.functions.differences import *
from fdl.stateful.functions.distances import *
from fdl.stateful.functions.elementwise import *
from fdl.stateful.functions.gathering import *
from fdl.stateful.functions.histograms import *
from fdl.stateful.functions.indexing import *
from fdl.stateful.functions.legacy import set_default_tensor_type, typename
from fdl.stateful.functions.numbers import *
from fdl.stateful.functions.products import *
from fdl.stateful.functions.random import *
from fdl.stateful.functions.rearranging import *
from fdl.stateful.functions.reductions import *
from fdl.stateful.functions.shapes import *
from fdl.stateful.functions.sorting import *
from fdl.stateful.functions.special import *
from fdl.stateful.functions.statistics import *
from fdl.stateful.functions.windows import *
from fdl.stateful.futures import Future
from fdl.stateful.jit import ScriptFunction, ScriptModule
from fdl.stateful.library import ops
from fdl.stateful.linalg.older import *
from fdl.stateful.linalg.reflections import geqrf, ormqr
from fdl.stateful.linalg.solutions import cholesky_inverse, cholesky_solve, logdet
from fdl.stateful.signal import istft, kaiser_window, stft
from fdl.stateful.sparse import mm as spmm
from fdl.stateful.sparse import sparse_coo_tensor
from fdl.stateful.storage import TypedStorage, UntypedStorage

globals().update({name: value for name, value in _aliases.NAMES.items() if name not in globals()})
globals().update(_NAMES)
globals().update(_legacy.TYPES)
globals().update(COPIES)
globals().update(_layouts.LAYOUTS)
globals().update(_layouts.FORMATS)
globals().update(_foreach.FOREACH)
__version__ = version.__version__
uint8, bool = of("uint8"), of("bool")  # after all that means the builtin
concat = concatenate = cat
absolute, multiply, subtract, divide, true_divide, clip, arctan = abs, mul, sub, div, div, clamp, atan
arccos, arcsin, arccosh, arcsinh, arctanh, arctan2, negative, fix, ger = (
    acos,
    asin,
    acosh,
    asinh,
    atanh,
    atan2,
    neg,
    trunc,
    outer,
)
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
det, slogdet, inverse, pinverse, matrix_power, matrix_exp = (
    linalg.det, linalg.slogdet, linalg.inv, linalg.pinv, linalg.matrix_power, linalg.matrix_exp,
)  # fmt: skip
orgqr = linalg.householder_product


def is_tensor(obj: object) -> _builtins.bool:
    """Whether `obj` is a tensor.

    >>> is_tensor(1)
    False
    """
    return isinstance(obj, Tensor)


def can_cast(from_: dtype, to: dtype) -> _builtins.bool:
    """Whether a value can become another type in place: never a float an integer, nor a number a boolean.

    >>> import fdl.stateful as torch
    >>> torch.can_cast(torch.float64, torch.float32), torch.can_cast(torch.float32, torch.int64)
    (True, False)
    """
    ranks = [_category(t.np) for t in (from_, to)]
    return ranks[0] <= ranks[1]


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


_aliases.spell(globals())
ops.aten = library.Native("aten", globals(), vars(nn.functional), vars(Tensor))
_on_native(overrides.unasked(_adopt_methods))
