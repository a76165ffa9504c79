"""More views and copies of other shapes: stacks, splits, diagonals, windows, and writes into parts of a copy."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, IndexBoundsError, aval_of, dtypes
from fdl.extend import from_numpy as array_of
from fdl.ops import lowest
from fdl.stateful.core.checks import Failure, OutsideError, along, check_range, in_self
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import method, named
from fdl.stateful.core.operands import as_tensor_operand
from fdl.stateful.core.places import Places, extent, in_windows, on_diagonal
from fdl.stateful.core.results import Size
from fdl.stateful.core.tensor import Tensor, apply, view_of, wrap
from fdl.stateful.core.views import Step, lying, places_of, strided
from fdl.stateful.functions.indexing import in_parts, same_dtype, select, split
from fdl.stateful.functions.reductions import dim_of
from fdl.stateful.functions.shapes import cat, flip, matrices, movedim, stack, transpose, unsqueeze

__all__ = [
    "adjoint", "argwhere", "as_strided", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes",
    "cartesian_prod", "column_stack", "combinations",
    "diag_embed", "diagflat", "diagonal", "diagonal_scatter", "dsplit", "dstack", "fill", "fliplr", "flipud", "hsplit",
    "hstack", "index_copy", "index_fill",
    "index_put", "index_reduce", "masked_scatter", "moveaxis", "put", "ravel", "rot90", "row_stack", "scatter_reduce",
    "select_scatter", "slice_scatter",
    "split_with_sizes", "swapaxes", "swapdims", "take", "take_along_dim", "tensor_split", "tril_indices",
    "triu_indices", "unfold", "unravel_index", "unsafe_chunk",
    "unsafe_split", "vsplit", "vstack",
]  # fmt: skip

# Stacks


def _at_least(n: int) -> Callable[..., Any]:
    def one(x: Tensor) -> Tensor:
        if n > 0 and x.ndim == 0:
            x = unsqueeze(x, 0)
        if n > 1 and x.ndim == 1:
            x = unsqueeze(x, 0)
        return unsqueeze(x, -1) if n > 2 and x.ndim == 2 else x

    def public(*tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
        found = tuple([one(x) for x in given])
        return found[0] if len(tensors) == 1 and not isinstance(tensors[0], (list, tuple)) else found

    return named(public, f"atleast_{n}d", f"Tensors with {n} dimensions at least.")


atleast_1d, atleast_2d, atleast_3d = _at_least(1), _at_least(2), _at_least(3)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side: vectors along the first dimension, others along the second."""
    given = atleast_1d(*tensors) if len(tensors) > 1 else (atleast_1d(tensors[0]),)
    return cat(given, 0 if given[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """On top of each other, vectors as rows."""
    return cat([atleast_2d(x) for x in tensors])


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Behind each other, along the third dimension."""
    return cat([atleast_3d(x) for x in tensors], 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Side by side, vectors as columns."""
    return cat([x.reshape(x.numel(), 1) if x.ndim < 2 else x for x in tensors], 1)


row_stack = vstack


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with these on its diagonal."""
    given = [atleast_2d(x) for x in tensors]
    columns = sum(x.shape[1] for x in given)
    rows, at = [], 0
    for x in given:
        left, right = at, columns - at - x.shape[1]
        rows.append(cat([x.new_zeros(x.shape[0], left), x, x.new_zeros(x.shape[0], right)], 1))
        at += x.shape[1]
    return cat(rows)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples of elements, as rows."""
    if len(tensors) == 1:
        return tensors[0]
    sizes = [t.shape[0] for t in tensors]
    columns = []
    for k, t in enumerate(tensors):
        shape = [1] * len(sizes)
        shape[k] = sizes[k]
        columns.append(t.reshape(*shape).expand(*sizes).reshape(-1))
    return stack(columns, 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements, as rows."""
    pick = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(pick(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    return input[wrap(array_of(places))] if r else input.new_zeros(0)  # type: ignore[no-any-return]


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which shapes broadcast."""
    return Size(np.broadcast_shapes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes]))


# Splits


@method()
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts between places, or so many parts of nearly one size; views."""
    if not input.ndim:
        raise TensorError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    n = input.shape[dim_of(input, dim)]
    given = indices_or_sections.tolist() if isinstance(indices_or_sections, Tensor) else indices_or_sections
    if isinstance(given, int):
        if given <= 0:
            raise TensorError(f"number of sections must be larger than 0, got {given}")
        small, more = divmod(n, given)
        sizes = [small + 1] * more + [small] * (given - more)
    else:
        ends = [min(max(i + n if i < 0 else i, 0), n) for i in given]
        edges = [0, *ends, n]
        sizes = [max(b - a, 0) for a, b in itertools.pairwise(edges)]
        if any(b < a for a, b in itertools.pairwise(edges)):
            axis = dim_of(input, dim)
            return tuple([input.narrow(axis, min(a, n), max(b - a, 0)) for a, b in itertools.pairwise(edges)])
    return in_parts(input, sizes, dim_of(input, dim))


def _splitter(name: str, axis: int) -> Callable[..., Any]:
    def public(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        least = max(axis, 1) + (axis > 1)
        if input.ndim < least:
            raise TensorError(
                f"torch.{name} requires a tensor with at least {least} dimension, "
                f"but got a tensor with {input.ndim} dimensions!"
            )
        d = 0 if axis == 1 and input.ndim == 1 else axis
        if isinstance(indices_or_sections, int) and input.shape[d] % indices_or_sections:
            raise TensorError(
                f"torch.{name} attempted to split along dimension {d}, but the size of the dimension "
                f"{input.shape[d]} is not divisible by {indices_or_sections}!"
            )
        return tensor_split(input, indices_or_sections, d)

    return method(name)(named(public, name, f"`tensor_split` along dimension {axis}."))


hsplit, vsplit, dsplit = _splitter("hsplit", 1), _splitter("vsplit", 0), _splitter("dsplit", 2)


@method("split_with_sizes", "unsafe_split_with_sizes")
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of these sizes; views."""
    return split(input, list(split_sizes), dim)


@method()
def unsafe_split(input: Tensor, split_size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`split`, into parts that can be changed one by one."""
    return in_parts(input, split_size, dim_of(input, dim))


@method()
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`chunk`, into parts that can be changed one by one."""
    return in_parts(input, max(1, -(-input.shape[dim_of(input, dim)] // chunks)), dim_of(input, dim))


# Turns


@method()
def fliplr(input: Tensor) -> Tensor:
    """The second dimension reversed."""
    return flip(input, 1)


@method()
def flipud(input: Tensor) -> Tensor:
    """The first dimension reversed."""
    return flip(input, 0)


@method()
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by quarters from the first of two dimensions to the second."""
    a, b = dims
    k %= 4
    if k == 0:
        return input.clone()  # type: ignore[no-any-return]
    if k == 2:
        return flip(input, a, b)
    return flip(transpose(input, a, b), a) if k == 1 else flip(transpose(input, a, b), b)


@method()
def ravel(input: Tensor) -> Tensor:
    """A vector of all elements: a view of a contiguous tensor, else a copy."""
    return input.contiguous().reshape(-1)  # type: ignore[no-any-return]


@method()
def moveaxis(input: Tensor, source: Any, destination: Any) -> Tensor:
    """`movedim`."""
    return movedim(input, source, destination)


@method("swapdims", "swapaxes")
def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """`transpose`."""
    return transpose(input, dim0, dim1)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """`transpose`."""
    return transpose(input, axis0, axis1)


@method()
def adjoint(input: Tensor) -> Tensor:
    """The conjugates with the last two dimensions exchanged."""
    return transpose(matrices(input, "adjoint()"), -2, -1).conj() if input.ndim else input.conj()  # type: ignore[no-any-return]


# Diagonals


def _diagonal_places(shape: Sequence[int], offset: int, a: int, b: int) -> tuple[int, int, int]:
    rows, columns = shape[a], shape[b]
    first, second = (0, offset) if offset >= 0 else (-offset, 0)
    return max(min(rows - first, columns - second), 0), first, second


def _diagonal_body(x: Any, offset: int, a: int, b: int) -> Any:
    shape = aval_of(x).shape
    n, first, second = _diagonal_places(shape, offset, a, b)
    rest = [k for k in range(len(shape)) if k not in (a, b)]
    x = ops.transpose(x, (a, b, *rest))
    i = ops.iota((n,), 0, dtypes.int64)
    return (
        ops.move_axis(ops.gather(x, [ops.add(i, first), ops.add(i, second)], (0, 1)), 0, len(rest))
        if rest
        else ops.gather(x, [ops.add(i, first), ops.add(i, second)], (0, 1))
    )


def _diagonal_scatter_body(x: Any, source: Any, offset: int, a: int, b: int) -> Any:
    shape = aval_of(x).shape
    n, first, second = _diagonal_places(shape, offset, a, b)
    rest = [k for k in range(len(shape)) if k not in (a, b)]
    order = (a, b, *rest)
    moved = ops.transpose(x, order)
    source = ops.cast(source, aval_of(x).dtype)
    source = ops.move_axis(source, aval_of(source).ndim - 1, 0)
    i = ops.iota((n,), 0, dtypes.int64)
    out = ops.scatter(moved, source, [ops.add(i, first), ops.add(i, second)], (0, 1))
    return ops.transpose(out, tuple(order.index(k) for k in range(len(shape))))


def _embed_body(x: Any, offset: int, a: int, b: int) -> Any:
    *lead, n = aval_of(x).shape
    size = n + abs(offset)
    ndim = len(lead) + 2
    a, b = a % ndim, b % ndim
    rest = iter(lead)
    shape = tuple(size if k in (a, b) else next(rest) for k in range(ndim))
    return _diagonal_scatter_body(ops.full(shape, 0, aval_of(x).dtype), x, offset, a, b)


_diagonal, _diagonal_scatter = (
    Function(_diagonal_body, "diagonal"),
    Function(_diagonal_scatter_body, "diagonal_scatter"),
)
_embed = Function(_embed_body, "diag_embed")


@method()
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two dimensions, as the last one; a view."""
    a, b = dim_of(input, dim1), dim_of(input, dim2)
    if a == b:
        raise TensorError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return view_of(input, _diagonal_step(offset, a, b))


@functools.lru_cache(maxsize=1024)
def _diagonal_step(offset: int, a: int, b: int) -> Step:
    return Step(_diagonal, _diagonal_scatter, lambda p, numbers, static: on_diagonal(p, *static), (offset, a, b))


@method()
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy with another diagonal."""
    return apply(_diagonal_scatter, (input, src), (offset, dim_of(input, dim1), dim_of(input, dim2)))


@method()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices whose diagonals are the last dimension."""
    return apply(_embed, (input,), (offset, dim1, dim2))


@method()
def diagflat(input: Tensor, offset: int = 0) -> Any:
    """The matrix whose diagonal has all elements."""
    return diag_embed(ravel(input), offset)


def _triangle_indices(row: int, col: int, offset: int, lower: bool) -> Tensor:
    for name, size in (("row", row), ("col", col)):
        if size < 0:
            raise TensorError(f"{name} must be non-negative, got {size}")
    found = np.tril_indices(row, offset, col) if lower else np.triu_indices(row, offset, col)
    return wrap(array_of(np.stack(found).astype(np.int64)))


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None
) -> Tensor:
    """Rows and columns of the lower triangle."""
    found = _triangle_indices(row, col, offset, True)
    return found if dtype is None else found.to(dtype)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None
) -> Tensor:
    """Rows and columns of the upper triangle."""
    found = _triangle_indices(row, col, offset, False)
    return found if dtype is None else found.to(dtype)


# Windows


def _windows_place(count: int, size: int, step: int) -> Any:
    """Where along its dimension each element of the windows lies: (windows, size)."""
    shape = (count, size)
    return ops.add(ops.mul(ops.iota(shape, 0, dtypes.int64), step), ops.iota(shape, 1, dtypes.int64))


def _windows_body(x: Any, axis: int, size: int, step: int) -> Any:
    if not aval_of(x).ndim:
        return ops.reshape(x, (1,)) if size else ops.full((0,), 0, aval_of(x).dtype)
    out = ops.gather(
        x, [_windows_place((aval_of(x).shape[axis] - size) // step + 1, size, step)], (axis,)
    )  # (windows, size, ...)
    rest = list(range(2, aval_of(out).ndim))
    return ops.transpose(out, (*rest[:axis], 0, *rest[axis:], 1))


def _windows_write_body(x: Any, value: Any, axis: int, size: int, step: int) -> Any:
    """Of elements that share a place the last one stays."""
    ndim = aval_of(x).ndim
    if not ndim:
        return ops.reshape(value, ()) if size else x
    first = ops.transpose(value, (axis, ndim, *[d for d in range(ndim) if d != axis]))  # (windows, size, ...)
    place = _windows_place(aval_of(value).shape[axis], size, step)
    return ops.move_axis(ops.scatter(ops.move_axis(x, axis, 0), first, [place], (0,)), 0, axis)


_windows, _windows_write = Function(_windows_body, "unfold"), Function(_windows_write_body, "unfold")


@method("unfold")
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Any:
    """Windows along a dimension, as a new last one; a view."""
    d = dim_of(input, dimension)
    n = input.shape[d] if input.ndim else 1
    if size > n:
        raise TensorError(f"maximum size for tensor at dimension {d} is {n} but size is {size}")
    if size < 0 or step <= 0:
        raise TensorError(f"size is {size} but must be >= 0" if size < 0 else f"step is {step} but must be > 0")
    return view_of(
        input, Step(_windows, _windows_write, lambda p, numbers, static: in_windows(p, *static), (d, size, step))
    )


@method()
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Any:
    """Elements of the storage at sums of strides; a view.  RuntimeError where they lie outside of it."""
    base = input if input._view is None or input._edge is not None else input._view.base
    p = Places(tuple(size), tuple(stride), places_of(input).offset if storage_offset is None else storage_offset)
    if len(p.shape) != len(p.strides):
        raise TensorError(f"mismatch in length of strides and shape: {len(p.strides)} and {len(p.shape)}")
    if any(s < 0 for s in p.strides):
        raise TensorError(
            f"as_strided: Negative strides are not supported at the moment, got strides: {list(p.strides)}"
        )
    width = input.dtype.itemsize
    have = base._value().aval.size * base.dtype.itemsize // width
    if extent(p) > have:
        raise TensorError(
            f"setStorage: sizes {list(p.shape)}, strides {list(p.strides)}, storage offset {p.offset}, "
            f"and itemsize {width} "
            f"requiring a storage size of {extent(p) * width} are out of bounds for storage of size {have * width}"
        )
    return view_of(base, strided(*p, *lying(input)[3:]))


# Elements at indices


def _flat_index(x: Any, index: Any) -> tuple[Any, Any]:
    n = aval_of(x).size
    flat = ops.reshape(x, (n,))
    return flat, ops.select(ops.less(index, 0), ops.add(index, n), index)


def _take_body(x: Any, index: Any) -> Any:
    flat, index = _flat_index(x, index)
    return ops.gather(flat, [index], (0,))


def _put_body(x: Any, index: Any, source: Any, accumulate: bool) -> Any:
    flat, index = _flat_index(x, index)
    same_dtype(
        x,
        source,
        "put_(): self and source expected to have the same dtype, but got self.dtype = {0} and source.dtype = {1}",
    )
    values = ops.reshape(ops.cast(source, aval_of(x).dtype), aval_of(index).shape)
    return ops.reshape((ops.scatter_add if accumulate else ops.scatter)(flat, values, [index], (0,)), aval_of(x).shape)


_take, _put = Function(_take_body, "take"), Function(_put_body, "put")


def _in_flat(x: Tensor) -> Failure:
    rest = f"on a tensor of {x.numel()} elements."
    return Failure(
        IndexBoundsError,
        f"out of range: tried to access index {{}} {rest}",
        f"out of range: tried to access an index outside {rest}",
    )


@method()
def take(input: Tensor, index: Tensor) -> Any:
    """Elements of the flat tensor."""
    check_range(index, -input.numel(), input.numel() - 1, _in_flat(input))
    return apply(_take, (input, index))


@method(inplace=True)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Any:
    """A copy with elements of the flat tensor replaced, or added to."""
    check_range(index, -input.numel(), input.numel() - 1, _in_flat(input))
    return apply(_put, (input, index, source), (accumulate,))


_along = Function(ops.gather_along, "take_along_dim")


@method()
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Any:
    """Elements along a dimension, at an index for each place; the others broadcast."""
    if dim is None:
        return take(input, indices.reshape(-1))
    d = dim_of(input, dim)
    n = input.shape[d]
    check_range(indices, -n, n - 1, along(d, n))
    return apply(_along, (input, indices), (d,))


def _on_vector(x: Tensor) -> tuple[Any, bool]:
    return (x.reshape(1), True) if x.ndim == 0 else (x, False)


def _index_copy_body(x: Any, index: Any, source: Any, axis: int) -> Any:
    same_dtype(
        x, source, "index_copy_(): self and source expected to have the same dtype, but got (self) {0} and (source) {1}"
    )
    moved, source = ops.move_axis(x, axis, 0), ops.move_axis(ops.cast(source, aval_of(x).dtype), axis, 0)
    return ops.move_axis(ops.scatter(moved, source, [index], (0,)), 0, axis)


def _index_fill_body(x: Any, index: Any, value: Any, axis: int) -> Any:
    moved = ops.move_axis(x, axis, 0)
    shape = (*aval_of(index).shape, *aval_of(moved).shape[1:])
    return ops.move_axis(
        ops.scatter(moved, ops.broadcast_to(ops.cast(value, aval_of(x).dtype), shape), [index], (0,)), 0, axis
    )


_index_copy, _index_fill = Function(_index_copy_body, "index_copy"), Function(_index_fill_body, "index_fill")


@method(inplace=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Any:
    """A copy with parts along a dimension replaced."""
    x, alone = _on_vector(input)
    d = dim_of(x, dim)
    check_range(index, 0, x.shape[d] - 1, along(d, x.shape[d], what="index_copy_(): "))
    out = apply(_index_copy, (x, index.reshape(-1), _on_vector(source)[0]), (d,))
    return out.reshape(()) if alone else out


@method(inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Any:
    """A copy with one value in parts along a dimension."""
    x, alone = _on_vector(input)
    d = dim_of(x, dim)
    n = x.shape[d]
    check_range(index, -n, n - 1, along(d, n))
    out = apply(_index_fill, (x, index.reshape(-1), as_tensor_operand(value)), (d,))
    return out.reshape(()) if alone else out


@method()
def index_put(input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False) -> Any:
    """A copy with elements at indices replaced, or added to."""
    return input.clone().index_put_(tuple(indices), values, accumulate)


def _neutral(kind: str, dtype: Any) -> Any:
    if kind in ("sum", "mean"):
        return 0
    if kind == "prod":
        return 1
    least = lowest(dtype)
    return least if kind == "amax" else -least if dtypes.is_float(dtype) else np.iinfo(dtype).max


def _reduced_at(x: Any, index: Any, source: Any, kind: str, include: bool) -> Any:
    """`_reduced`; bools are counted as integers."""
    if aval_of(x).dtype == dtypes.bool_:
        return ops.convert(
            _reduced(ops.cast(x, dtypes.int32), index, ops.cast(source, dtypes.int32), kind, include), dtypes.bool_
        )
    return _reduced(x, index, source, kind, include)


def _reduced(x: Any, index: Any, source: Any, kind: str, include: bool) -> Any:
    """Along the first axis of (n, ...): rows of `source` (m, ...) joined where `index` (m, ...) says; by comparing all
    places, so that every kind has its gradient.
    """
    n, dtype = aval_of(x).shape[0], aval_of(x).dtype
    shape = (n, *aval_of(source).shape)
    hit = ops.equal(ops.iota(shape, 0, dtypes.int64), ops.broadcast(index, shape, range(1, len(shape))))
    spread = ops.select(hit, ops.broadcast(source, shape, range(1, len(shape))), _neutral(kind, dtype))
    if kind == "amax":
        joined = ops.reduce_max(spread, (1,))
    elif kind == "amin":
        joined = ops.reduce_min(spread, (1,))
    elif kind == "prod":
        joined = ops.cast(jnp.prod(spread, 1), dtype)
    else:
        joined = ops.reduce_sum(spread, (1,))
    count = ops.reduce_sum(ops.convert(hit, dtypes.int64), (1,))
    pair = {"sum": ops.add, "mean": ops.add, "prod": ops.mul, "amax": ops.maximum, "amin": ops.minimum}[kind]
    touched = ops.greater(count, 0)
    whole = ops.select(touched, pair(x, joined) if include else joined, x)
    if kind != "mean":
        return whole
    total = ops.maximum(ops.add(count, int(include)), 1)
    divided = (
        ops.div(whole, ops.convert(total, dtype))
        if dtypes.is_float(dtype)
        else jnp.floor_divide(whole, ops.convert(total, dtype))
    )
    return ops.select(touched, divided, x)


def _scatter_reduce_body(x: Any, index: Any, source: Any, axis: int, kind: str, include: bool) -> Any:
    same_dtype(x, source, "scatter(): Expected self.dtype to be equal to src.dtype")
    shape, where = aval_of(x).shape, aval_of(index).shape
    source = ops.slice(ops.cast(source, aval_of(x).dtype), [0] * len(where), where)
    # places outside of the index's sizes stay
    inner = [n if k == axis else w for k, (n, w) in enumerate(zip(shape, where, strict=True))]
    part = ops.slice(x, [0] * len(shape), inner)
    part, index, source = (ops.move_axis(v, axis, 0) for v in (part, index, source))
    out = ops.move_axis(_reduced_at(part, index, source, kind, include), 0, axis)
    if tuple(inner) == tuple(shape):
        return out
    return ops.dynamic_update_slice(x, out, [0] * len(shape))


def _index_reduce_body(x: Any, index: Any, source: Any, axis: int, kind: str, include: bool) -> Any:
    same_dtype(x, source, "index_reduce_(): self ({0}) and source ({1}) must have the same scalar type")
    moved, source = ops.move_axis(x, axis, 0), ops.move_axis(ops.cast(source, aval_of(x).dtype), axis, 0)
    index = ops.broadcast(index, aval_of(source).shape, (0,))
    return ops.move_axis(_reduced_at(moved, index, source, kind, include), 0, axis)


_scatter_reduce, _index_reduce = (
    Function(_scatter_reduce_body, "scatter_reduce"),
    Function(_index_reduce_body, "index_reduce"),
)


@method(inplace=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy with elements of `src` joined along a dimension by sum, prod, mean, amax or amin."""
    x, alone = _on_vector(input)
    d = dim_of(x, dim)
    check_range(index, 0, x.shape[d] - 1, along(d, x.shape[d], OutsideError))
    out = apply(_scatter_reduce, (x, _on_vector(index)[0], _on_vector(src)[0]), (d, reduce, include_self))
    return out.reshape(()) if alone else out


@method(inplace=True)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy with parts of `source` joined along a dimension by prod, mean, amax or amin."""
    x, alone = _on_vector(input)
    d = dim_of(x, dim)
    check_range(index, 0, x.shape[d] - 1, in_self(x.shape[d]))
    out = apply(_index_reduce, (x, index.reshape(-1), _on_vector(source)[0]), (d, reduce, include_self))
    return out.reshape(()) if alone else out


def _masked_scatter_body(x: Any, mask: Any, source: Any) -> Any:
    same_dtype(x, source, "masked_scatter: expected self and source to have same dtypes but got {0} and {1}")
    shape = aval_of(x).shape
    flat = ops.reshape(jnp.broadcast_to(mask, shape), (math.prod(shape),))
    place = ops.sub(jnp.cumsum(ops.convert(flat, dtypes.int64), 0), 1)
    values = ops.gather(ops.reshape(source, (aval_of(source).size,)), [ops.maximum(place, 0)], (0,))
    return ops.reshape(ops.select(flat, ops.cast(values, aval_of(x).dtype), ops.reshape(x, (math.prod(shape),))), shape)


_masked_scatter = Function(_masked_scatter_body, "masked_scatter")


@method(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Any:
    """A copy with elements of `source`, in order, where the mask holds."""
    shape = np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    return apply(_masked_scatter, (input.expand(*shape), mask, source))


@method()
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Any:
    """A copy with another part at an index of a dimension."""
    out = input.clone()
    select(out, dim, index).copy_(src)
    return out


@method()
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A copy with another part from `start` to `end`."""
    out = input.clone()
    item = (slice(None),) * dim_of(input, dim) + (slice(start, end, step),)
    out[item] = src
    return out


@method()
def argwhere(input: Tensor) -> Tensor:
    """Where elements are not zero, a row of indices each."""
    return wrap(array_of(np.argwhere(input._value()._numpy()).astype(np.int64)))


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Places in the flat tensor as indices of each dimension."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    found, left = [], indices
    for d in reversed(sizes):
        found.append(left % d)
        left = left // d
    return tuple(reversed(found))


def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor of the same shape with one value."""
    return input.masked_fill(input == input, value).masked_fill(input != input, value)  # type: ignore[no-any-return]
