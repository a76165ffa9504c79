"""Functions that take or put elements at places that tensors tell, and those that tell places."""

from __future__ import annotations

from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.checks import Failure, OutsideError, along, check_range, in_self
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method
from fdl.stateful.core.operands import as_tensor_operand
from fdl.stateful.core.tensor import Tensor, apply, owned
from fdl.stateful.functions.creation import arange
from fdl.stateful.functions.indexing import same_dtype
from fdl.stateful.functions.reductions import dim_of

__all__ = [
    "gather",
    "index_add",
    "index_select",
    "masked_select",
    "nonzero",
    "nonzero_static",
    "one_hot",
    "scatter",
    "scatter_add",
]


def _gather_body(x: Any, index: Any, axis: int) -> Any:
    shape = aval_of(index).shape
    whole = tuple([d if i == axis else n for i, (n, d) in enumerate(zip(shape, aval_of(x).shape, strict=True))])
    return ops.gather_along(ops.slice(x, [0] * len(whole), whole), index, axis)


_gather = Function(_gather_body, "gather")


@method()
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Elements along a dimension, at an index for each place."""
    if not index.numel():
        return input.reshape(-1)[:0].reshape(index.shape)  # type: ignore[no-any-return]
    if not input.ndim:
        return gather(input.reshape(1), dim, index.reshape(-1)).reshape(index.shape)  # type: ignore[no-any-return]
    d = dim_of(input, dim)
    check_range(index, 0, input.shape[d] - 1, along(d, input.shape[d], OutsideError))
    return apply(_gather, (input, index), (d,))  # type: ignore[no-any-return]


def _as_vector(x: Any) -> Any:
    """A tensor without dimensions as one of one element; numbers as they are."""
    return x.reshape(-1) if isinstance(x, Tensor) and not x.ndim else x


def _scatter_places(x: Any, index: Any, axis: int) -> tuple[list[Any], tuple[int, ...]]:
    shape = aval_of(index).shape
    return [index if i == axis else ops.iota(shape, i, aval_of(index).dtype) for i in range(len(shape))], tuple(
        range(len(shape))
    )


def _scatter_body(kind: Any) -> Any:
    def body(x: Any, index: Any, source: Any, axis: int) -> Any:
        shape = aval_of(index).shape
        same_dtype(x, source, "scatter(): Expected self.dtype to be equal to src.dtype")
        source = ops.cast(source, aval_of(x).dtype)
        source = ops.slice(source, [0] * len(shape), shape) if aval_of(source).ndim else ops.broadcast_to(source, shape)
        return kind(x, source, *_scatter_places(x, index, axis))

    return body


_scatter, _scatter_add = (
    Function(_scatter_body(ops.scatter), "scatter"),
    Function(_scatter_body(ops.scatter_add), "scatter_add"),
)


@method(inplace=True)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """`input` with elements of `src` put along a dimension, at an index for each place; or added to what is there, or
    multiplied with it, by `reduce`: "add" or "multiply".
    """
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise TensorError("reduce argument must be either add or multiply.")
        given = value if src is None else src
        given = given if isinstance(given, Tensor) else input.new_full(index.shape, given)
        return input.scatter_reduce(dim, index, given, "sum" if reduce == "add" else "prod")  # type: ignore[no-any-return]
    if not input.ndim:
        return scatter(input.reshape(1), dim, _as_vector(index), _as_vector(src), value=value).reshape(())  # type: ignore[no-any-return]
    d = dim_of(input, dim)
    check_range(index, 0, input.shape[d] - 1, along(d, input.shape[d], OutsideError))
    given = value if src is None else src
    given = as_tensor_operand(int(given) if isinstance(given, bool) else given)
    return apply(_scatter, (input, index, given), (d,))  # type: ignore[no-any-return]


@method(inplace=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with elements of `src` added along a dimension, at an index for each place."""
    if not input.ndim:
        return scatter_add(input.reshape(1), dim, _as_vector(index), _as_vector(src)).reshape(())  # type: ignore[no-any-return]
    d = dim_of(input, dim)
    check_range(index, 0, input.shape[d] - 1, along(d, input.shape[d], OutsideError))
    return apply(_scatter_add, (input, index, src), (d,))  # type: ignore[no-any-return]


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The places of elements that are not zero, of which `size` rows are told; more rows hold `fill_value`.

    >>> import fdl.stateful as torch
    >>> torch.nonzero_static(torch.tensor([0, 5]), size=2).tolist()
    [[1], [-1]]
    """
    found: Tensor = nonzero(input)
    out: Tensor = found.new_full((size, input.ndim), fill_value)
    out[: found.shape[0]] = found[:size]
    return out


method("nonzero_static")(nonzero_static)
_index_select = Function(lambda x, index, axis: jnp.take(x, index, axis), "index_select")


@method()
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Parts along a dimension at an index vector; a copy."""
    if not input.ndim:
        return index_select(input.reshape(1), dim, _as_vector(index)).reshape(())  # type: ignore[no-any-return]
    d = dim_of(input, dim)
    check_range(index, 0, input.shape[d] - 1, in_self(input.shape[d]))
    return apply(_index_select, (input, index), (d,))  # type: ignore[no-any-return]


def _index_add_body(x: Any, index: Any, source: Any, alpha: Any, axis: int) -> Any:
    if aval_of(x).dtype == dtypes.bool_:
        same_dtype(x, source, "index_add_(): self ({0}) and source ({1}) must have the same scalar type")
        return ops.convert(
            _index_add_body(ops.cast(x, dtypes.int32), index, ops.cast(source, dtypes.int32), alpha, axis), dtypes.bool_
        )
    same_dtype(x, source, "index_add_(): self ({0}) and source ({1}) must have the same scalar type")
    updates = ops.mul(ops.cast(source, aval_of(x).dtype), ops.cast(alpha, aval_of(x).dtype))
    return ops.scatter_add(x, ops.move_axis(updates, axis, 0), [index], (axis,))


_index_add = Function(_index_add_body, "index_add")


@method(inplace=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """`input` with parts of `source` added at an index vector along a dimension."""
    if not input.ndim:
        return index_add(input.reshape(1), dim, _as_vector(index), _as_vector(source), alpha=alpha).reshape(())  # type: ignore[no-any-return]
    d = dim_of(input, dim)
    check_range(index, 0, input.shape[d] - 1, in_self(input.shape[d]))
    return apply(_index_add, (input, index, source, alpha), (d,))  # type: ignore[no-any-return]


@method()
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds, as a vector."""
    if mask.dtype.np not in (dtypes.bool_, dtypes.uint8):
        raise TensorError("masked_select: expected BoolTensor for mask")
    shape = ops.broadcast_shapes([tuple(input.shape), tuple(mask.shape)], "masked_select")
    return input.expand(*shape)[mask.expand(*shape)]  # type: ignore[no-any-return]


@method()
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Where elements are not zero: a row of indices each, or a tensor a dimension."""
    values = input._value()._numpy()
    places = np.nonzero(np.atleast_1d(values))
    if as_tuple:
        return tuple(map(owned, places))
    return owned(np.stack(places, 1) if values.ndim else np.zeros((len(places[0]), 0), np.int64))


_LARGEST = np.iinfo(np.int64).max


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Integers as rows with a one at their place; int64.  Without `num_classes` the largest is looked at."""
    if tensor.dtype.np != dtypes.int64:
        raise TensorError(
            f"one_hot is only applicable to index tensor of type LongTensor, but got {tensor.dtype}",
            hint="labels.long()",
        )
    size = int(tensor._value()._numpy().max()) + 1 if num_classes == -1 else num_classes
    if not tensor._lies_within(0, size - 1):
        check_range(
            tensor,
            0,
            _LARGEST,
            Failure(
                OutsideError,
                "Class values must be non-negative.",
                "Class values must be non-negative.",
                "labels from 0 on",
            ),
        )
        check_range(
            tensor,
            -_LARGEST,
            size - 1,
            Failure(
                OutsideError,
                "Class values must be smaller than num_classes.",
                "Class values must be smaller than num_classes.",
                "num_classes=labels.max() + 1",
            ),
        )
    return apply(_one_hot, (tensor,), (size,))  # type: ignore[no-any-return]


def _one_hot_body(x: Any, size: int) -> Any:
    shape = (*aval_of(x).shape, size)
    return ops.convert(
        ops.equal(ops.broadcast(x, shape, range(len(shape) - 1)), ops.iota(shape, len(shape) - 1, aval_of(x).dtype)),
        dtypes.int64,
    )


_one_hot = Function(_one_hot_body, "one_hot")


@method("fill_diagonal_")
def fill_diagonal_(self: Tensor, fill_value: float, wrap: bool = False) -> Tensor:
    """One value on the diagonal, in place."""
    if wrap and self.ndim == 2 and self.shape[0] > self.shape[1]:  # begin anew one row below the last
        places: Any = arange(0, self.numel(), self.shape[1] + 1)
        self[places // self.shape[1], places % self.shape[1]] = fill_value
        return self
    places = arange(min(self.shape))
    self[(places,) * self.ndim] = fill_value
    return self
