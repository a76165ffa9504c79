"""`torch.masked`: reductions and normalisations over the elements that a mask keeps.

`mask` is true where an element counts; None counts all. Where nothing counts the result is what the operation gives of
nothing: 0, 1, infinity, or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fdl.stateful.core.dtypes import of
from fdl.stateful.core.spelling import placed
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions import elementwise, reductions, sorting, special
from fdl.stateful.functions.reductions import Dims

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip


def _filled(input: Tensor, mask: Tensor | None, value: float, dtype: Any = None) -> Any:
    """The elements in a dtype, those that do not count being replaced."""
    given = input if dtype is None else input.to(dtype)
    return given if mask is None else elementwise.where(mask, given, value)


def _counted(input: Tensor, dim: Dims, keepdim: bool, mask: Tensor | None, dtype: Any) -> Any:
    """How many elements count, in a float dtype."""
    kept = input.new_ones(input.shape, dtype=dtype)
    return reductions.sum(_filled(kept, mask, 0.0), dim, keepdim)


def _end(input: Tensor, dtype: Any, sign: int) -> float:
    """What no element is beyond."""
    d = input.dtype if dtype is None else dtype
    if d.is_floating_point:
        return sign * math.inf
    bits = 8 * d.itemsize
    return (1 << (bits - 1)) - 1 if sign > 0 else -(1 << (bits - 1))


def _whole(input: Tensor, dtype: Any) -> Any:
    """The dtype of sums: int64 of integers, else the input's."""
    return dtype if dtype is not None else None if input.dtype.is_floating_point else of("int64")


def sum(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Any:
    """The sum over dimensions.

    >>> import fdl.stateful as torch
    >>> torch.masked.sum(torch.tensor([1.0, 2.0]), mask=torch.tensor([True, False]))
    tensor(1.)
    """
    return reductions.sum(_filled(input, mask, 0, _whole(input, dtype)), dim, keepdim)


def prod(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Any:
    """The product over dimensions.

    >>> import fdl.stateful as torch
    >>> torch.masked.prod(torch.tensor([3.0, 2.0]), mask=torch.tensor([True, False]))
    tensor(3.)
    """
    out = _filled(input, mask, 1, _whole(input, dtype))
    for d in sorted(reductions.dims_of(input, dim), reverse=True):
        out = reductions.prod(out, d, keepdim)
    return out


def mean(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Any:
    """The mean over dimensions.

    >>> import fdl.stateful as torch
    >>> torch.masked.mean(torch.tensor([3.0, 2.0]), mask=torch.tensor([True, False]))
    tensor(3.)
    """
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _counted(input, dim, keepdim, mask, total.dtype if total.dtype.is_floating_point else None)


def _extreme(name: str, sign: int, what: str) -> Callable[..., Any]:
    reduce = getattr(reductions, name)

    def public(
        input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
    ) -> Any:
        found = reduce(_filled(input, mask, _end(input, dtype, sign), dtype), dim, keepdim)
        return found.to(input.dtype if dtype is None else dtype)  # places too, as PyTorch has it

    public.__name__, public.__doc__ = name, what
    return public


amax, amin = _extreme("amax", -1, "The largest element."), _extreme("amin", 1, "The smallest element.")
argmax = _extreme("argmax", -1, "Where the largest element stands.")
argmin = _extreme("argmin", 1, "Where the smallest element stands.")


def _spread(input: Tensor, dim: Dims, correction: float, keepdim: bool, dtype: Any, mask: Tensor | None) -> Any:
    x = input if dtype is None else input.to(dtype)
    x = x if x.dtype.is_floating_point else x.float()
    apart = x - mean(x, dim, keepdim=True, mask=mask)
    squares = sum(apart * apart, dim, keepdim=keepdim, mask=mask)
    return squares / (_counted(x, dim, keepdim, mask, x.dtype) - correction).clamp(min=0)


def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Any:
    """The variance over dimensions, divided by the count less 1 unless told otherwise.

    >>> import fdl.stateful as torch
    >>> torch.masked.var(torch.tensor([3.0, 2.0, 5.0]), mask=torch.tensor([True, False, True]))
    tensor(2.)
    """
    found = correction if correction is not None else 1 if unbiased in (True, None) else 0
    return _spread(input, dim, found, keepdim, dtype, mask)


def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Any:
    """The root of `var`.

    >>> import fdl.stateful as torch
    >>> torch.masked.std(torch.tensor([3.0, 2.0, 5.0]), mask=torch.tensor([True, False, True]), unbiased=False)
    tensor(1.)
    """
    return var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask).sqrt()


def norm(
    input: Tensor,
    ord: float = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Any:
    """The norm of this order over dimensions.

    >>> import fdl.stateful as torch
    >>> torch.masked.norm(torch.tensor([3.0, 2.0, 4.0]), mask=torch.tensor([True, False, True]))
    tensor(5.)
    """
    missing = math.inf if ord < 0 else 0.0
    return reductions.norm(_filled(input, mask, missing, dtype), ord, dim, keepdim)


def logsumexp(
    input: Tensor, dim: Dims = None, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Any:
    """`log(sum(exp(x)))` over dimensions, without overflow.

    >>> import fdl.stateful as torch
    >>> torch.masked.logsumexp(torch.tensor([3.0, 2.0]), mask=torch.tensor([True, False]))
    tensor(3.)
    """
    return reductions.logsumexp(_filled(input, mask, -math.inf, dtype), reductions.dims_of(input, dim), keepdim)


def _normalised(name: str, missing: float, body: Callable[[Any, int], Any], what: str) -> Callable[..., Any]:
    def public(input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None) -> Any:
        return body(_filled(input, mask, missing, dtype), dim)

    public.__name__, public.__doc__ = name, what
    return public


softmax = _normalised("softmax", -math.inf, reductions.softmax, "`exp(x) / sum(exp(x))` along a dimension.")
log_softmax = _normalised("log_softmax", -math.inf, reductions.log_softmax, "`log(softmax(x))` along a dimension.")
softmin = _normalised("softmin", math.inf, lambda x, dim: reductions.softmax(-x, dim), "`softmax(-x)`.")
cumsum = _normalised("cumsum", 0, reductions.cumsum, "Sums of all elements up to each one along a dimension.")
cumprod = _normalised("cumprod", 1, sorting.cumprod, "Products of all elements up to each one along a dimension.")


def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Tensor | None = None
) -> Any:
    """The elements divided by their norm along a dimension; those that do not count are 0.

    >>> import fdl.stateful as torch
    >>> torch.masked.normalize(torch.tensor([3.0, 2.0]), 2.0, 0, mask=torch.tensor([True, False]))
    tensor([1., 0.])
    """
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask).clamp(min=eps)
    return _filled(input, mask, 0, dtype) / length


def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Tensor | None = None
) -> Any:
    """The middle element along a dimension, the lower one of two.

    >>> import fdl.stateful as torch
    >>> torch.masked.median(torch.tensor([3.0, 2.0, 9.0]), mask=torch.tensor([True, True, False]))
    tensor(2.)
    """
    return sorting.nanmedian(_filled(input, mask, math.nan, dtype), dim, keepdim).values


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Any = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Any:
    """The logarithm of the sum of exponentials; what does not count adds nothing.

    >>> import fdl.stateful as torch
    >>> torch.masked.logaddexp(torch.ones(1), torch.ones(1), other_mask=torch.tensor([False]))
    tensor([1.])
    """
    return special.logaddexp(_filled(input, input_mask, -math.inf, dtype), _filled(other, other_mask, -math.inf, dtype))


placed({name: globals()[name] for name in __all__}, __name__)
