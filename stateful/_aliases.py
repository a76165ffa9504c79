"""Names that PyTorch gives to functions which have another one already: aliases, functions in place (`torch.relu_`),
and functions of layers (`torch.conv2d`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fdl.extend import Leaf, from_numpy
from fdl.stateful import nn
from fdl.stateful.core import random as _random
from fdl.stateful.core.dtypes import to_numpy
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import named
from fdl.stateful.core.spelling import all_spelled, placed
from fdl.stateful.core.tape import grad_mode
from fdl.stateful.core.tensor import Tensor, wrap
from fdl.stateful.functions import elementwise, rearranging, shapes

__all__ = [
    "NAMES",
    "WITH_OUT",
    "batch_norm",
    "embedding",
    "frombuffer",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "spell",
]

F = nn.functional

# Methods, and methods in place, by the name of which they are another
_METHODS = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh",
    "fix": "trunc", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "negative": "neg",
    "not_equal": "ne",
}  # fmt: skip
_IN_PLACE = """abs acos acosh arccos arccosh arcsin arcsinh arctan arctanh asin asinh atan atanh ceil clamp
clamp_max clamp_min clip cos cosh deg2rad detach erf erfc exp exp2 expm1 fill fix floor frac gcd i0 index_put lcm
ldexp log log10 log1p log2 logit nan_to_num neg negative rad2deg reciprocal relu resize_as round rsqrt sigmoid sin
sinc sinh sqrt square tan tanh trunc xlogy zero""".split()  # fmt: skip
_OF_LAYERS = """adaptive_avg_pool1d adaptive_max_pool1d alpha_dropout avg_pool1d bilinear
binary_cross_entropy_with_logits celu channel_shuffle conv1d conv2d conv3d conv_transpose1d conv_transpose2d
conv_transpose3d cosine_embedding_loss cosine_similarity ctc_loss dropout feature_alpha_dropout grid_sample
group_norm hardshrink hinge_embedding_loss instance_norm kl_div layer_norm margin_ranking_loss max_pool1d max_pool2d
max_pool3d pairwise_distance pixel_shuffle pixel_unshuffle poisson_nll_loss prelu rms_norm rrelu selu threshold
triplet_margin_loss""".split()  # fmt: skip

# Functions that store their results in `out` where PyTorch's do
WITH_OUT = """abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr all amax amin aminmax angle any
arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin argsort asin asinh atan atan2
atanh baddbmm bartlett_window batch_norm_backward_elemt batch_norm_backward_reduce bernoulli bitwise_and
bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman_window bmm bucketize
cat ceil cholesky cholesky_inverse cholesky_solve clamp clamp_max clamp_min clip column_stack complex
concat concatenate conj_physical copysign cos cosh count_nonzero cross cummax cummin cumprod cumsum
deg2rad dequantize diag diff digamma dist div divide dot dstack empty empty_like empty_permuted
empty_strided eq erf erfc erfinv exp exp2 expm1 eye fill fix float_power floor floor_divide fmax fmin
fmod frac frexp frobenius_norm from_file full full_like gather gcd ge geqrf ger greater greater_equal gt
hamming_window hann_window heaviside histc histogram hspmm hstack hypot i0 igamma igammac index_add
index_copy index_fill index_reduce index_select inner inverse isin isneginf isposinf kaiser_window kron
kthvalue lcm ldexp le lerp less less_equal lgamma linspace log log10 log1p log2 log_softmax logaddexp
logaddexp2 logcumsumexp logical_and logical_not logical_or logical_xor logit logspace logsumexp lt
lu_solve lu_unpack masked_fill masked_select matmul matrix_power max maximum mean median min minimum
miopen_ctc_loss mkldnn_linear_backward_weights mm mode msort mul multinomial multiply mv mvlgamma
nan_to_num nanmean nanmedian nanquantile nansum narrow_copy native_dropout ne neg negative nextafter
nonzero norm normal not_equal nuclear_norm ones ones_like orgqr ormqr outer poisson polar polygamma pow
prod qr quantile quantize_per_tensor rad2deg rand rand_like randint randint_like randn randn_like
randperm range reciprocal remainder renorm repeat_interleave roll rot90 round row_stack rsqrt rsub
scatter scatter_add scatter_reduce searchsorted sgn sigmoid sign signbit sin sinc sinh softmax sort
sparse_coo_tensor sqrt square squeeze_copy sspaddmm stack std std_mean sub subtract sum svd take
take_along_dim tan tanh tensordot topk trace triangular_solve tril tril_indices triu triu_indices
true_divide trunc var var_mean vdot view_copy vstack where xlogy zeros zeros_like""".split()  # fmt: skip

for _new, _old in _METHODS.items():
    setattr(Tensor, _new, getattr(Tensor, _old))
    if hasattr(Tensor, f"{_old}_"):
        setattr(Tensor, f"{_new}_", getattr(Tensor, f"{_old}_"))


def _in_place(name: str) -> Callable[..., Any]:
    def public(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        found: Tensor = getattr(input, name)(*args, **kwargs)
        return found

    return named(public, name, f"`input.{name}`: `{name[:-1]}` in place.")


def _reshaped(f: Callable[..., Tensor], name: str) -> Callable[..., Any]:
    """A method that changes the shape of the tensor itself, which becomes a view of what it was."""

    def public(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if self.is_leaf and self.requires_grad and grad_mode.enabled:
            raise TensorError("a leaf Variable that requires grad is being used in an in-place operation.")
        before = wrap(None)
        for slot in ("_storage", "_view", "_edge", "_result"):
            setattr(before, slot, getattr(self, slot))
        after = f(before, *args, **kwargs)
        if self._view is None:
            self._turned = before
        for slot in ("_storage", "_view", "_edge", "_result"):
            setattr(self, slot, getattr(after, slot))
        if type(self._edge) is Leaf:
            self._edge = Leaf(self)
            self._view.version = -1  # type: ignore[union-attr]
        return self

    return named(public, name, f"`{name[:-1]}`, of the tensor itself.")


for _g in (shapes.squeeze, shapes.unsqueeze, shapes.t, shapes.transpose, rearranging.swapaxes, rearranging.swapdims):
    setattr(Tensor, f"{_g.__name__}_", _reshaped(_g, f"{_g.__name__}_"))


def resize_as_(self: Tensor, the_template: Tensor) -> Tensor:
    """`resize_` to the shape of another tensor."""
    return self.resize_(the_template.shape)  # type: ignore[no-any-return]


def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Sums over the dimensions that a broadcast from this size would repeat.

    >>> import fdl.stateful as torch
    >>> torch.ones(2, 3).sum_to_size(1, 3).tolist()
    [[2.0, 2.0, 2.0]]
    """
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    lead = self.ndim - len(shape)
    if lead < 0 or any(d not in (1, n) for d, n in zip(shape, self.shape[lead:], strict=True)):
        raise TensorError(f"size {list(shape)} is not expandable to size {list(self.shape)}.")
    out: Any = self.sum(tuple(np.arange(lead).tolist())) if lead else self
    dims = [i for i, d in enumerate(shape) if d == 1 != out.shape[i]]
    return out.sum(dims, keepdim=True) if dims else out  # type: ignore[no-any-return]


def _mapped(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Each element replaced by what a Python function gives, in place; slow."""
    values = np.asarray(self.detach().numpy())
    found = np.array([callable(v) for v in values.reshape(-1).tolist()], values.dtype).reshape(values.shape)
    return self._overwrite(wrap(from_numpy(found)))


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not zero; RuntimeError for more.

    >>> import fdl.stateful as torch
    >>> torch.is_nonzero(torch.tensor([0.0]))
    False
    """
    if input.numel() != 1:
        raise TensorError(
            "Boolean value of Tensor with "
            + ("no values" if not input.numel() else "more than one value")
            + " is ambiguous"
        )
    return bool(input.item() != 0)


def is_signed(input: Tensor) -> bool:
    """Whether elements may be negative.

    >>> import fdl.stateful as torch
    >>> torch.is_signed(torch.ones(2)), torch.is_signed(torch.ones(2, dtype=torch.uint8))
    (True, False)
    """
    return input.dtype.np.kind in "ifc" or input.dtype.is_floating_point


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether shapes are equal.

    >>> import fdl.stateful as torch
    >>> torch.is_same_size(torch.ones(2), torch.ones(3))
    False
    """
    return input.shape == other.shape


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A tensor of the bytes of a buffer; a copy.

    >>> import fdl.stateful as torch
    >>> torch.frombuffer(bytes([1, 2, 3]), dtype=torch.uint8).tolist()
    [1, 2, 3]
    """
    found = wrap(from_numpy(np.frombuffer(buffer, to_numpy(dtype), count, offset)))
    return found.requires_grad_() if requires_grad else found


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Any:
    """`nn.functional.embedding`, weights first.

    >>> import fdl.stateful as torch
    >>> torch.embedding(torch.eye(2), torch.tensor([1])).tolist()
    [[0.0, 1.0]]
    """
    return F.embedding(indices, weight, None if padding_idx < 0 else padding_idx)


def batch_norm(
    input: Tensor,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Any:
    """`nn.functional.batch_norm`, weights first.

    >>> import fdl.stateful as torch
    >>> torch.batch_norm(torch.ones(2, 1), None, None, torch.ones(1), torch.ones(1), False, 0.1, 0.0).tolist()
    [[0.0], [0.0]]
    """
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _answer(value: Any, doc: str) -> Callable[..., Any]:
    def public(*args: Any, **kwargs: Any) -> Any:
        return value

    public.__doc__ = doc
    return public


_NEVER = {
    "is_inference": _answer(False, "Whether a tensor was made in inference mode: it makes no difference."),
    "is_conj": _answer(False, "Whether conjugation waits: it never does."),
    "is_neg": _answer(False, "Whether a sign waits: it never does."),
}  # fmt: skip
for _name, _f in {
    "resize_as_": resize_as_, "sum_to_size": sum_to_size, "apply_": _mapped, "is_nonzero": is_nonzero,
    "is_signed": is_signed, "is_same_size": is_same_size,
    "isclose": elementwise.isclose, "broadcast_to": shapes.broadcast_to, "prelu": F.prelu, "hardshrink": F.hardshrink,
    "bernoulli": _random.bernoulli,
    "is_shared": _answer(True, "Whether threads share the memory: they do."), "to_dense": lambda self, *args,
    **kwargs: self, **_NEVER,
}.items():  # fmt: skip
    setattr(Tensor, _name, _f)
for _name, _value in {
    "is_mps": False,
    "is_xpu": False,
    "is_nested": False,
    "is_sparse_csr": False,
    "is_mkldnn": False,
    "output_nr": 0,
}.items():
    if not hasattr(Tensor, _name):
        setattr(Tensor, _name, _value)


NAMES: dict[str, Any] = {
    **{f"{name}_": _in_place(f"{name}_") for name in _IN_PLACE},
    **{name: getattr(F, name) for name in _OF_LAYERS},
    "bernoulli_": _in_place("bernoulli_"), "newaxis": None, "detach": Tensor.detach,
    **_NEVER, "is_inference_mode_enabled": _answer(False, "Whether inference mode is on: it makes no difference."),
    "set_flush_denormal": _answer(True, "Denormals are flushed in compiled programs, always."),
    "set_num_interop_threads": _answer(None, "Nothing: there is one pool of threads."),
    "get_num_interop_threads": _answer(1, "1: there is one pool of threads."),
    "set_warn_always": _answer(None, "Nothing."), "is_warn_always_enabled": _answer(False, "False."),
}  # fmt: skip


def spell(functions: dict[str, Any]) -> None:
    """Let the package's functions and the methods of tensors take NumPy's names of arguments, and `out`."""
    functions.update(all_spelled(functions, WITH_OUT))
    placed(functions, functions["__name__"])
    for name, f in all_spelled(vars(Tensor)).items():
        setattr(Tensor, name, f)
    placed({f"Tensor.{name}": f for name, f in vars(Tensor).items() if name[0] != "_"}, functions["__name__"])
