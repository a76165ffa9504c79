"""Indexing: `x[...]` read and written, and parts of a tensor as views.

An index of integers, slices, None and `...` is a view whose starts are numbers of the program, not part of it, so that
a loop over batches repeats one program. With tensors, lists or masks in it, reading copies. Bounds are checked at the
line where indices are known, else with the program.
"""

from __future__ import annotations

import builtins
import functools
import numbers
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import NATIVE, Deferred, FdlError, Function, TracedMaskError, Tracer, aval_of, dtypes, from_numpy
from fdl.stateful.core.checks import along, check_range
from fdl.stateful.core.dtypes import of
from fdl.stateful.core.errors import ArgumentError, OperandError, PlaceError, TensorError
from fdl.stateful.core.methods import adopting, method
from fdl.stateful.core.operands import as_tensor_operand, cast_number
from fdl.stateful.core.parts import part_of, parts
from fdl.stateful.core.places import Places
from fdl.stateful.core.tensor import Tensor, apply, owned, view_of, wrap
from fdl.stateful.core.views import Step, lies_as, refuse_shared, repeats_itself
from fdl.stateful.functions.reductions import dim_of

__all__ = ["chunk", "diag", "narrow", "select", "split", "unbind"]


class MaskError(FdlError, IndexError):
    """A mask does not have the sizes of what it masks.

    >>> import fdl.stateful as torch
    >>> torch.arange(3)[torch.tensor([True, False])]  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.functions.indexing.MaskError: The shape of the mask [2] at index 0 does not match...
    >>> torch.arange(3)[torch.tensor([True, False, True])].tolist()  # right
    [0, 2]
    """


# Views


_WHOLE, _ALL = slice(None), ("all",)


_Cut = tuple[tuple[Any, ...], ...]  # static part of a basic index: an item for each dimension of input or result


def _parse(shape: tuple[int, ...], items: Sequence[Any]) -> tuple[_Cut, list[int]]:
    """(static items, starts) of a basic index: ("all",), ("pick",), ("cut", size, step), ("new",)."""
    static: list[Any] = []
    starts: list[int] = []
    sizes = iter(shape)
    for axis, item in enumerate(items):
        if item is None:
            static.append(("new",))
            continue
        n = next(sizes)
        if type(item) is slice:
            if item == _WHOLE:
                static.append(_ALL)
                continue
            start, stop, step = item.indices(n)
            if step <= 0:
                raise ArgumentError("step must be greater than zero")
            size = max(0, (stop - start + step - 1) // step)
            if size == n and step == 1:
                static.append(_ALL)
            else:
                static.append(("cut", size, step))
                starts.append(start if size else 0)
        else:
            if not -n <= item < n:
                raise PlaceError(f"index {item} is out of bounds for dimension {axis} with size {n}")
            static.append(("pick",))
            starts.append(item % n)
    return tuple(static), starts


def _block_of(shape: tuple[int, ...], starts: Sequence[Any], static: _Cut) -> tuple[list[Any], list[int], list[int]]:
    """Starts, sizes and steps of the block that an index touches."""
    given, axis = iter(starts), 0
    begin: list[Any] = []
    sizes, steps = [], []
    for item in static:
        if item[0] == "new":
            continue
        n = shape[axis]
        axis += 1
        count, step = (n, 1) if item[0] == "all" else (1, 1) if item[0] == "pick" else item[1:]
        begin.append(ops.full((), 0, dtypes.int64) if item[0] == "all" else next(given))
        sizes.append(max(0, (count - 1) * step + 1))
        steps.append(step)
    return begin, sizes, steps


def _result_shape(static: _Cut, shape: tuple[int, ...]) -> tuple[int, ...]:
    given = iter(shape)
    out = []
    for item in static:
        n = 1 if item[0] == "new" else next(given)
        if item[0] != "pick":
            out.append(item[1] if item[0] == "cut" else n)
    return tuple(out)


def _read_body(x: Any, *args: Any) -> Any:
    *starts, static = args
    shape = aval_of(x).shape
    begin, sizes, steps = _block_of(shape, starts, static)
    block = ops.dynamic_slice(x, begin, sizes) if starts else x
    if any(s != 1 for s in steps):
        block = ops.slice(block, [0] * len(sizes), sizes, steps)
    return ops.reshape(block, _result_shape(static, shape))


def _write_body(x: Any, value: Any, *args: Any) -> Any:
    *starts, static = args
    begin, sizes, steps = _block_of(aval_of(x).shape, starts, static)
    inner = [-(-n // s) for n, s in zip(sizes, steps, strict=True)]
    block = ops.reshape(value, tuple(inner))
    if any(s != 1 for s in steps):
        config = [(0, n - ((m - 1) * s + 1 if m else 0), s - 1) for n, m, s in zip(sizes, inner, steps, strict=True)]
        inside = ops.pad(ops.full(tuple(inner), True, dtypes.bool_), ops.full((), False, dtypes.bool_), config)
        spread = ops.pad(block, ops.full((), 0, aval_of(x).dtype), config)
        block = ops.select(inside, spread, ops.dynamic_slice(x, begin, sizes))
    return ops.dynamic_update_slice(x, block, begin) if starts else block


_read, _write = Function(_read_body, "select"), Function(_write_body, "select")


def basic_view(x: Tensor, items: Sequence[Any]) -> Tensor:
    """The view of a basic index, an item for each dimension and None for new ones."""
    return view_of(x, _step(x._value().aval.shape, items))


def _step(shape: tuple[int, ...], items: Sequence[Any], among: tuple[str, int] | None = None) -> Step:
    static, starts = _parse(shape, items)
    return Step(_read, _write, _places, (static,), tuple(starts), among)


def _places(p: Places, starts: tuple[int, ...], static: tuple[_Cut]) -> Places:
    """Where the elements of an index lie."""
    given, axis, offset = iter(starts), 0, p.offset
    shape: list[int] = []
    strides: list[int] = []
    for item in static[0]:
        if item[0] == "new":
            shape.append(1)
            strides.append(p.shape[axis] * p.strides[axis] if axis < len(p.shape) else 1)
            continue
        n, s = p.shape[axis], p.strides[axis]
        axis += 1
        offset += 0 if item[0] == "all" else next(given) * s
        if item[0] != "pick":
            shape.append(item[1] if item[0] == "cut" else n)
            strides.append(s * item[2] if item[0] == "cut" else s)
    return Places(tuple(shape), tuple(strides), offset)


# Indices of all kinds


_PICKS: dict[tuple[int, int], tuple[_Cut]] = {}  # static operands of steps to parts, by numbers and dimensions


def _picks(count: int, ndim: int) -> tuple[_Cut]:
    found = _PICKS.get((count, ndim))
    if found is None:
        found = _PICKS[count, ndim] = ((("pick",),) * count + (_ALL,) * (ndim - count),)
    return found


def _picked(x: Tensor, index: tuple[int, ...]) -> Tensor:
    """The view at numbers, one a dimension from the first one on. Where the value is known, so is that of the view."""
    array = x._value()
    shape = array.aval.shape
    if len(index) > len(shape):
        _items(x, index)  # raises
    for axis, (item, n) in enumerate(zip(index, shape, strict=False)):
        if not -n <= item < n:
            raise PlaceError(f"index {item} is out of bounds for dimension {axis} with size {n}")
    starts = tuple([item % n for item, n in zip(index, shape, strict=False)])
    return part_of(x, Step(_read, _write, _places, _picks(len(index), len(shape)), starts))


def _items(x: Tensor, index: Any) -> list[Any]:
    """Items with `...` filled up and masks of several dimensions left whole."""
    items = list(index) if isinstance(index, tuple) else [index]
    if len(items) <= x.ndim and all(type(item) is int or type(item) is slice for item in items):
        return items + [_WHOLE] * (x.ndim - len(items))
    plain: list[Any] = []
    for item in items:
        if isinstance(item, (list, range, np.ndarray)):
            item = wrap(from_numpy(np.asarray(item) if len(item) else np.zeros(0, np.int64)))
        if (
            isinstance(item, Tensor)
            and not item.ndim
            and item.dtype.np != dtypes.bool_
            and not item.dtype.is_floating_point
        ):
            array = item._value()
            item = item if isinstance(array, Tracer) or isinstance(array._data, Deferred) else int(item)
        if isinstance(item, (bool, np.bool_)):
            item = wrap(from_numpy(np.asarray(item)))
        if not isinstance(item, (int, Tensor)) and hasattr(type(item), "__index__"):
            item = operator.index(item)
        if not (item is None or item is Ellipsis or isinstance(item, (int, slice, Tensor))):
            kind = PlaceError if isinstance(item, (float, complex, np.number)) else OperandError
            raise kind(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
                f"indices (got {type(item).__name__})"
            )
        plain.append(item)
    used = builtins.sum([item.ndim if _is_mask(item) else item is not None and item is not Ellipsis for item in plain])
    if used > x.ndim:
        raise PlaceError(f"too many indices for tensor of dimension {x.ndim}")
    rest = [slice(None)] * (x.ndim - used)
    place = next((i for i, item in enumerate(plain) if item is Ellipsis), len(plain))
    return [*plain[:place], *rest, *[item for item in plain[place + 1 :] if item is not Ellipsis]]


def _is_mask(item: Any) -> bool:
    return isinstance(item, Tensor) and item.dtype.np in (
        dtypes.bool_,
        dtypes.uint8,
    )  # bytes are masks too, as they were before there were bools


def _denied(items: Sequence[Any]) -> bool:
    """Whether a mask without dimensions is false: nothing is taken."""
    return any(_is_mask(item) and not item.ndim and not item._value()._numpy() for item in items)


def _without_masks(items: Sequence[Any]) -> list[Any]:
    """Masks made index tensors: their size depends on values, so they are looked at."""
    out: list[Any] = []
    for item in items:
        if _is_mask(item):
            array = item._value()
            if isinstance(array, Tracer) and array.concrete() is None:
                array.refuse(
                    "x[mask]",
                    TracedMaskError,
                    "the size of the result would depend on the mask's values",
                    "torch.where(mask, x, 0), or x * mask",
                )
            out += map(owned, np.nonzero(item._value()._numpy())) if item.ndim else [None]
        else:
            out.append(item)
    return out


def _check_masks(x: Tensor, items: Sequence[Any]) -> None:
    """IndexError for a mask whose sizes are not those of the dimensions that it stands for."""
    axis = 0
    for item in items:
        if _is_mask(item):
            for k, size in enumerate(item.shape):
                if axis + k >= x.ndim or size != x.shape[axis + k]:
                    raise MaskError(
                        (
                            f"The shape of the mask {list(item.shape)} at index {k} does not match the shape of the "
                            f"indexed tensor {list(x.shape)} at index {axis + k}"
                        ),
                        hint="a mask of the tensor's own sizes: mask = x > 0",
                    )
            axis += item.ndim
        else:
            axis += item is not None


_Static = tuple[Any, ...]


def _advanced(x: Tensor, items: Sequence[Any]) -> tuple[list[Tensor], _Static]:
    """(index tensors, static items) of an index with tensors; bounds are checked."""
    tensors: list[Tensor] = []
    static: list[tuple[Any, ...]] = []
    axis = 0
    for item in items:
        if item is None:
            static.append(("new",))
            continue
        n = x.shape[axis]
        if isinstance(item, Tensor):
            if item.dtype.is_floating_point:
                raise PlaceError("tensors used as indices must be long, int, byte or bool tensors")
            check_range(item, -n, n - 1, along(axis, n))
            tensors.append(item)
            static.append(("tensor",))
        elif isinstance(item, int):
            if not -n <= item < n:
                raise PlaceError(f"index {item} is out of bounds for dimension {axis} with size {n}")
            static.append(("int", item))
        else:
            if item.step is not None and item.step <= 0:
                raise ArgumentError("step must be greater than zero")
            static.append(("slice", item.start, item.stop, item.step))
        axis += 1
    return tensors, tuple(static)


def _rebuilt(static: _Static, tensors: Sequence[Any]) -> tuple[Any, ...]:
    given = iter(tensors)

    def item_of(kind: str, *rest: Any) -> Any:
        return (
            None if kind == "new" else next(given) if kind == "tensor" else rest[0] if kind == "int" else slice(*rest)
        )

    return tuple([item_of(*item) for item in static])


_take = Function(lambda x, *args: jnp.asarray(x)[_rebuilt(args[-1], args[:-1])], "index")


def same_dtype(x: Any, source: Any, message: str) -> None:
    """TensorError, with names of both types for `{0}` and `{1}`, where a tensor is put into one of another type;
    numbers fit all.
    """
    a, b = aval_of(x), aval_of(source)
    if a.dtype != b.dtype and not b.weak_type:
        raise TensorError(
            message.format(of(a.dtype).legacy_name, of(b.dtype).legacy_name), hint="source.to(input.dtype)"
        )


def _put_body(add: bool) -> Any:
    def body(x: Any, value: Any, *args: Any) -> Any:
        same_dtype(
            x,
            value,
            (
                "Index put requires the source and destination dtypes match, got {0} for the destination and {1} for "
                "the source."
            ),
        )
        place = x.at[_rebuilt(args[-1], args[:-1])]
        return (place.add if add else place.set)(cast_number(value, aval_of(x).dtype))

    return body


_put, _put_add = Function(_put_body(False), "index_put"), Function(_put_body(True), "index_put")


@method("__getitem__")
def _getitem(self: Tensor, index: Any) -> Tensor:
    if type(index) is int or (type(index) is tuple and set(map(type, index)) == {int}):
        return _picked(self, index if type(index) is tuple else (index,))
    items = _items(self, index)
    if not any(isinstance(item, Tensor) for item in items):
        return basic_view(self, items)
    _check_masks(self, items)
    if _denied(items):
        place = builtins.sum(
            [
                not isinstance(item, int)
                for item in items[: next(i for i, item in enumerate(items) if _is_mask(item) and not item.ndim)]
            ]
        )
        whole = _getitem(self, tuple([None if _is_mask(item) and not item.ndim else item for item in items]))
        return narrow(whole, place, 0, 0)
    if (
        len(items) == 1 and items[0].ndim > 1 and _is_mask(items[0]) and items[0].shape == self.shape
    ):  # one index an element
        return _getitem(self.reshape(-1), owned(np.flatnonzero(items[0]._value()._numpy())))  # type: ignore[no-any-return]
    tensors, static = _advanced(self, _without_masks(items))
    return apply(_take, (self, *tensors), (static,)) if tensors else basic_view(self, _without_masks(items))


@method("__setitem__")
def _setitem(self: Tensor, index: Any, value: Any) -> None:
    items = _items(self, index)
    value = as_tensor_operand(value)
    if not any(isinstance(item, Tensor) for item in items):
        place = basic_view(self, items)
        while isinstance(value, Tensor) and value.ndim > place.ndim and value.shape[0] == 1:  # as NumPy takes it
            value = value[0]
        refuse_shared(place, (value,), broadcast=True)
        place._overwrite(value if isinstance(value, Tensor) else _filled(place, value), repeats=lies_as(place, value))
        return
    _check_masks(self, items)
    if (
        len(items) == 1
        and _is_mask(items[0])
        and items[0].shape == self.shape
        and (not isinstance(value, Tensor) or not value.ndim)
    ):
        self.masked_fill_(items[0], value)
        return
    if _denied(items):
        return
    tensors, static = _advanced(self, _without_masks(items))
    _put_at(self, _put, value, tensors, static)


def _put_at(self: Tensor, put: Function, value: Any, tensors: Sequence[Tensor], static: _Static) -> Tensor:
    """Values at an index with tensors, in place."""
    mask: Any = True
    if repeats_itself(self, "index_put_"):
        mask = apply(_put, (wrap(ops.full(self._aval.shape, False, dtypes.bool_)), True, *tensors), (static,))
    return self._overwrite(apply(put, (self, value, *tensors), (static,)), repeats=mask)


_fill_body = Function(lambda value, shape, np_dtype: ops.broadcast_to(cast_number(value, np_dtype), shape), "fill")


def _filled(x: Any, value: Any) -> Any:
    aval = x._aval
    return apply(_fill_body, (value,), (aval.shape, aval.dtype))  # type: ignore[no-any-return]


@method("fill_")
def _fill_(self: Tensor, value: Any) -> Tensor:
    return self._overwrite(_filled(self, value), repeats=True)


@method("zero_")
def _zero_(self: Tensor) -> Tensor:
    return self._overwrite(_filled(self, 0), repeats=True)


@method("__iter__")
def _iter(self: Tensor) -> Any:
    if not self.ndim:
        raise OperandError("iteration over a 0-d tensor")
    return _unbound(self)


@method("__contains__")
def _contains(self: Tensor, element: Any) -> bool:
    """Whether any element is equal to a number, or to that of a tensor which lies in the same place."""
    if not isinstance(element, (Tensor, numbers.Number)):
        raise TensorError(
            f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.",
            hint="builtins.any(x is element for x in tensors) in a list of tensors",
        )
    equal: Any = self == element
    return bool(equal.any())


# Parts as views


def _along(x: Tensor, dim: int, item: Any, among: tuple[str, int] | None = None) -> Tensor:
    items = [_WHOLE] * x.ndim
    items[dim] = item
    return view_of(x, _step(x._value().aval.shape, items, among))


def _unbound(x: Tensor) -> Iterator[Tensor]:
    """Parts along the first dimension."""
    shape = x._value().aval.shape
    return parts(x, _step((1, *shape[1:]), [0] + [_WHOLE] * (len(shape) - 1)))


@method()
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The part at an index along a dimension; a view."""
    return _along(input, dim_of(input, dim), index)


@method()
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`length` elements from `start` on along a dimension; a view."""
    d, start, length = dim_of(input, dim), int(start), int(length)
    n = input.shape[d]
    if length < 0:
        raise TensorError("narrow(): length must be non-negative.")
    if not -n <= start <= n:
        raise PlaceError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start += n if start < 0 else 0
    if start + length > n:
        raise TensorError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return _along(input, d, slice(start, start + length))


@method()
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """All parts along a dimension, as views."""
    if not input.ndim:
        raise PlaceError("Dimension specified as 0 but tensor has no dimensions")
    d = dim_of(input, dim)
    return tuple([_along(input, d, i, ("Unbind", i)) for i in range(input.shape[d])] if d else _unbound(input))


@method()
def split(input: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Consecutive parts along a dimension, of one size (the last may be smaller) or of given sizes; views."""
    if not input.ndim:
        raise TensorError("split expects at least a 1-dimensional tensor")
    return in_parts(
        input,
        split_size_or_sections,
        dim_of(input, dim),
        "Split" if isinstance(split_size_or_sections, int) else "SplitWithSizes",
    )


def in_parts(input: Tensor, sections: int | Sequence[int], dim: int, among: str | None = None) -> tuple[Tensor, ...]:
    """Consecutive parts along a dimension, of one size or of given sizes. `among` names what gives parts that cannot be
    changed one by one.
    """
    sizes = sections if isinstance(sections, int) else tuple([int(n) for n in sections])
    return tuple([view_of(input, step) for step in _split_steps(input._value().aval.shape, sizes, dim, among)])


@functools.lru_cache(maxsize=1024)
def _split_steps(shape: tuple[int, ...], size: int | tuple[int, ...], dim: int, among: str | None) -> list[Step]:
    n = shape[dim]
    if isinstance(size, int) and (size < 0 or (not size and n)):
        why = f"split expects split_size be non-negative, but got split_size={size}"
        raise TensorError(
            why if size else f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}"
        )
    sizes = [min(size, n - i) for i in range(0, n, size or 1)] or [0] if isinstance(size, int) else list(size)
    if any(s < 0 for s in sizes):
        raise TensorError(
            f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={sizes}"
        )
    if builtins.sum(sizes) != n:
        raise TensorError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension "
            f"{dim}), but got split_sizes={sizes}"
        )
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    cuts = [
        [slice(a, a + s) if i == dim else _WHOLE for i in range(len(shape))] for a, s in zip(starts, sizes, strict=True)
    ]
    return [_step(shape, cut, None if among is None else (among, k)) for k, cut in enumerate(cuts)]


@method()
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size along a dimension; views."""
    if not input.ndim:
        raise TensorError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise TensorError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = dim_of(input, dim)
    return in_parts(input, -(-input.shape[d] // chunks) or [0] * chunks, d, "Split")


def _diagonal_body(x: Any, offset: int) -> Any:
    return jnp.diagonal(x, offset)


_diag_read = Function(_diagonal_body, "diagonal")
_diag_make = Function(lambda x, k: jnp.diag(x, k), "diag")


@method()
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with this diagonal; a copy."""
    if input.ndim not in (1, 2):
        raise TensorError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return apply(_diag_read if input.ndim == 2 else _diag_make, (input,), (diagonal,))  # type: ignore[no-any-return]


@method("index_put_")
def _index_put_(self: Tensor, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Tensor:
    items = _items(self, tuple(indices))
    _check_masks(self, items)
    tensors, static = _advanced(self, _without_masks(items))
    return _put_at(self, _put_add if accumulate else _put, as_tensor_operand(values), tensors, static)


@adopting
def _adopt(module: Any) -> None:
    """Let the runtime library give parts at numbers."""
    name, fields = "__getitem__", (_read, _write, _places)
    NATIVE.adopt(Tensor, name, module.picks(name, Step, fields, _PICKS, getattr(Tensor, name)))
