"""Functions that rearrange elements. What PyTorch returns as a view is a view here: it reads from its base, and writes
to it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.extend import Function, aval_of, from_numpy
from fdl.stateful.core.dtypes import dtype as dtype_kind
from fdl.stateful.core.dtypes import result_dtype
from fdl.stateful.core.errors import ArgumentError, OperandError, PlaceError, TensorError
from fdl.stateful.core.layouts import FORMATS, lies_in, order_of
from fdl.stateful.core.methods import method
from fdl.stateful.core.places import Places, expanded, permuted, viewed
from fdl.stateful.core.tensor import Composite, Tensor, apply, view_of, wrap
from fdl.stateful.core.views import Step, is_contiguous, places_of
from fdl.stateful.functions.bits import viewed_as
from fdl.stateful.functions.reductions import dim_of

__all__ = [
    "broadcast_tensors", "broadcast_to", "cat", "clone", "contiguous", "expand", "flatten", "flip", "movedim",
    "permute", "repeat", "repeat_interleave", "reshape", "roll", "squeeze", "stack", "t", "tile", "transpose",
    "tril", "triu", "unflatten", "unsqueeze", "view",
]  # fmt: skip

# Views: each step says how it is read, how a value is written through it, and where its elements lie


def _sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    given = args[0] if len(args) == 1 and not isinstance(args[0], (int, Tensor)) else args
    return tuple([int(d) for d in given])


def _resolved(own: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape whose -1 is worked out; RuntimeError where the number of elements differs."""
    total = math.prod(own)
    if -1 in shape:
        rest = math.prod(d for d in shape if d != -1)
        if shape.count(-1) > 1:
            raise TensorError("only one dimension can be inferred")
        if rest == 0 or total % rest:
            raise TensorError(f"shape '{list(shape)}' is invalid for input of size {total}")
        shape = tuple([total // rest if d == -1 else d for d in shape])
    if math.prod(shape) != total:
        raise TensorError(f"shape '{list(shape)}' is invalid for input of size {total}")
    return shape


_read_reshape = Function(lambda x, shape, back: ops.reshape(x, shape), "view")
_write_reshape = Function(lambda x, value, shape, back: ops.reshape(value, back), "view")


def _inverse(order: Sequence[int]) -> tuple[int, ...]:
    return tuple([int(i) for i in np.argsort(order)])


_read_permute = Function(lambda x, order: ops.transpose(x, order), "permute")
_write_permute = Function(lambda x, value, order: ops.transpose(value, _inverse(order)), "permute")


def _write_expand_body(x: Any, value: Any, shape: tuple[int, ...]) -> Any:
    """Of elements that share a place the last one stays, as a loop over them would leave it."""
    own = aval_of(x).shape
    lead = len(shape) - len(own)
    start = [d - 1 for d in shape[:lead]] + [n - 1 if d == 1 else 0 for d, n in zip(own, shape[lead:], strict=True)]
    size = [1] * lead + list(own)
    return ops.reshape(ops.slice(value, start, [a + n for a, n in zip(start, size, strict=True)]), own)


_read_expand = Function(lambda x, shape: ops.broadcast_to(x, shape), "expand")
_write_expand = Function(_write_expand_body, "expand")


@method("view", "view_as")
def view(input: Tensor, *shape: Any, dtype: Any = None) -> Tensor:
    """The same elements in another shape; RuntimeError where that takes a copy. With a dtype instead of sizes, the same
    bits as elements of that dtype.

    >>> import fdl.stateful as torch
    >>> torch.tensor([1.0]).view(torch.int32), torch.tensor([[1.0]]).view(torch.uint8)
    (tensor([1065353216], dtype=torch.int32), tensor([[  0,   0, 128,  63]], dtype=torch.uint8))
    """
    if dtype is not None or (len(shape) == 1 and isinstance(shape[0], dtype_kind)):
        return viewed_as(input, dtype if dtype is not None else shape[0])
    if len(shape) == 1 and isinstance(shape[0], Tensor):
        shape = tuple(shape[0].shape)
    step = _view_step(input._value().aval.shape, _sizes(shape))
    if input._view is not None and viewed(places_of(input), step.static[0]) is None:
        raise TensorError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans "
            "across two contiguous subspaces). Use .reshape(...) instead."
        )
    return view_of(input, step)


def _view_places(p: Places, numbers: tuple[Any, ...], static: tuple[Any, ...]) -> Places:
    """Where the elements of a view of another shape lie; `view` has seen that it can be one."""
    found = viewed(p, static[0])
    assert found is not None, (p, static)
    return found


@functools.lru_cache(maxsize=4096)
def _view_step(own: tuple[int, ...], shape: tuple[int, ...]) -> Step:
    return Step(_read_reshape, _write_reshape, _view_places, (_resolved(own, shape), own))


@method()
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape: a view where that is one, else a copy."""
    step = _view_step(input._value().aval.shape, _sizes(shape))
    if input._view is None or viewed(places_of(input), step.static[0]) is not None:
        return view_of(input, step)
    return apply(_read_reshape, (input,), step.static)  # type: ignore[no-any-return]


@method("reshape_as")
def _reshape_as(input: Tensor, other: Tensor) -> Tensor:
    return reshape(input, tuple(other.shape))


@method()
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions from `start_dim` to `end_dim` made one: the tensor itself, a view or a copy."""
    if not input.ndim:
        return reshape(input, 1)
    a, b = dim_of(input, start_dim), dim_of(input, end_dim)
    shape = tuple(input.shape)
    if a == b:
        return input
    if a > b:
        raise TensorError("flatten() has invalid args: start_dim cannot come after end_dim")
    return reshape(input, (*shape[:a], math.prod(shape[a : b + 1]), *shape[b + 1 :]))


@method()
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension made several."""
    if not input.ndim:
        raise TensorError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim 0 (1) in the input tensor"
        )
    d = dim_of(input, dim)
    rest = math.prod(n for n in sizes if n != -1)
    whole = [input.shape[d] // max(rest, 1) if n == -1 else n for n in sizes]
    if math.prod(whole) != input.shape[d]:
        raise TensorError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} "
            f"({input.shape[d]}) in the input tensor"
        )
    return view(input, (*input.shape[:d], *whole, *input.shape[d + 1 :]))


@method()
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without dimensions of size 1: all, or the given ones."""
    dims = range(input.ndim) if dim is None else [dim_of(input, d) for d in ([dim] if isinstance(dim, int) else dim)]
    return view(input, tuple([n for i, n in enumerate(input.shape) if not (n == 1 and i in dims)]))


@method()
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new dimension of size 1."""
    ndim = input.ndim + 1
    if not -ndim <= dim < ndim:
        raise PlaceError(f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})")
    shape = list(input.shape)
    shape.insert(dim % ndim, 1)
    return view(input, tuple(shape))


@method()
def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order; a view."""
    order = tuple([dim_of(input, d) for d in _sizes(dims)])
    if sorted(order) != list(range(input.ndim)):
        raise TensorError(f"permute: {order} is no order of the dimensions of a tensor with {input.ndim} of them")
    return view_of(input, _permute_step(order))


@functools.lru_cache(maxsize=4096)
def _permute_step(order: tuple[int, ...]) -> Step:
    return Step(_read_permute, _write_permute, lambda p, numbers, static: permuted(p, static[0]), (order,))


@functools.lru_cache(maxsize=4096)
def _exchanged(ndim: int, a: int, b: int) -> tuple[int, ...]:
    order = list(range(ndim))
    order[a], order[b] = order[b], order[a]
    return tuple(order)


@method("transpose", "swapaxes", "swapdims")
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged; a view."""
    ndim = input.ndim
    order = _exchanged(ndim, dim_of(input, dim0), dim_of(input, dim1)) if ndim else ()
    return view_of(input, _permute_step(order))


def _matrix(x: Any) -> Any:
    """What has two dimensions; RuntimeError for anything else."""
    if x.ndim != 2:
        batches = " For batches of matrices, consider using tensor.mH" if x.ndim > 2 else ""
        raise TensorError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {x.ndim}-D tensor.{batches}",
            hint="x.conj(), or x.mH for batches of matrices",
        )
    return x


def matrices(x: Any, what: str) -> Any:
    """What has two dimensions at least, or none; RuntimeError for a vector."""
    if x.ndim == 1:
        raise TensorError(f"tensor.{what} is only supported on matrices or batches of matrices. Got {x.ndim}-D tensor.")
    return x


@method()
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector as it is."""
    if input.ndim > 2:
        raise TensorError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return permute(input, tuple(range(input.ndim))[::-1])


@method()
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to other places, the others in order."""
    if not input.ndim:
        return reshape(input, ())
    src = [dim_of(input, d) for d in ([source] if isinstance(source, int) else source)]
    dst = [dim_of(input, d) for d in ([destination] if isinstance(destination, int) else destination)]
    order = [i for i in range(input.ndim) if i not in src]
    for d, s in sorted(zip(dst, src, strict=True)):
        order.insert(d, s)
    return permute(input, order)


@method()
def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Dimensions of size 1 repeated, and new ones in front; a view.  -1 keeps a size."""
    given = _sizes(sizes)
    lead = len(given) - input.ndim
    shape = tuple([input.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(given)])
    if lead < 0 or any(d not in (1, n) for d, n in zip(input.shape, shape[lead:], strict=True)):
        raise TensorError(
            f"The expanded size of the tensor {list(given)} must match the existing size {list(input.shape)} at "
            "each dimension that is not 1."
        )
    return view_of(input, _expand_step(shape))


@functools.lru_cache(maxsize=4096)
def _expand_step(shape: tuple[int, ...]) -> Step:
    return Step(_read_expand, _write_expand, lambda p, numbers, static: expanded(p, static[0]), (shape,))


@method("expand_as")
def _expand_as(input: Tensor, other: Tensor) -> Tensor:
    return expand(input, *other.shape)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """`expand`."""
    return expand(input, *size)


# Copies


@method()
def contiguous(input: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself, or a copy where its elements do not lie side by side in the order that is asked for."""
    order = None if memory_format is None else order_of(memory_format, input.ndim)
    if order is not None:
        return input if lies_in(places_of(input), order) else _lying(input, order)
    if memory_format is FORMATS["preserve_format"]:
        return input
    return input if is_contiguous(input) else clone(input)


def _lying(input: Tensor, order: Sequence[int]) -> Tensor:
    """A copy whose dimensions lie in this order in memory."""
    lying = clone(permute(input, *order))
    return permute(lying, *sorted(range(len(order)), key=order.__getitem__))


_clone = Function(lambda x: ops.barrier(x), "clone")


@method()
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy, with history."""
    order = None if memory_format is None else order_of(memory_format, input.ndim)
    if order is not None:
        return _lying(input, order)
    if input._node() is None and input._storage.exported is None:
        return wrap(input._value())  # arrays never change: a cell of its own is a copy
    return apply(_clone, (input,))  # type: ignore[no-any-return]


def _cat_body(*args: Any) -> Any:
    *xs, axis = args
    dtype_ = result_dtype(*xs)
    full = [x for x in xs if aval_of(x).shape != (0,)] or xs[
        :1
    ]  # as in PyTorch, an empty vector fits everything, but its dtype counts
    return ops.concatenate([ops.cast(x, dtype_) for x in full], axis)


def _stack_body(*args: Any) -> Any:
    *xs, axis = args
    dtype_ = result_dtype(*xs)
    return ops.concatenate([ops.expand_dims(ops.cast(x, dtype_), (axis,)) for x in xs], axis)


_cat, _stack = Function(_cat_body, "cat"), Function(_stack_body, "stack")


def _not_joined(name: str, tensors: Any) -> Exception:
    """What is raised where something that is no tensor is to be joined."""
    if isinstance(tensors, Tensor):
        return OperandError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    place, kind = next((i, type(x).__name__) for i, x in enumerate(tensors) if not isinstance(x, (Tensor, Composite)))
    return OperandError(f"expected Tensor as element {place} in argument 0, but got {kind}")


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after another along a dimension."""
    if isinstance(tensors, Tensor):
        raise _not_joined("cat", tensors)
    given = list(tensors)
    if not given:
        raise ArgumentError("torch.cat(): expected a non-empty list of Tensors")
    try:
        full = [x for x in given if tuple(x.shape) != (0,)] or given[
            :1
        ]  # as in PyTorch, an empty vector fits everything
    except AttributeError:
        raise _not_joined("cat", given) from None
    if not full[0].shape:
        raise TensorError("zero-dimensional tensor (at position 0) cannot be concatenated")
    if len(full) == len(given) or all(x.dtype == full[0].dtype for x in given):
        given = full
    return apply(_cat, given, (dim_of(full[0], dim),))  # type: ignore[no-any-return]


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension."""
    given = list(tensors)
    if not given:
        raise TensorError("stack expects a non-empty TensorList")
    first, known = given[0], getattr(given[0], "_aval", None)
    try:
        for i, x in enumerate(given):
            if (known is None or type(x) is not Tensor or x._aval is not known) and x.shape != first.shape:
                raise TensorError(
                    f"stack expects each tensor to be equal size, but got {list(given[0].shape)} at entry 0 and "
                    f"{list(x.shape)} at entry {i}"
                )
    except AttributeError:
        raise _not_joined("stack", given) from None
    return apply(_stack, given, (dim % (first.ndim + 1),))  # type: ignore[no-any-return]


_repeat = Function(lambda x, reps: _tiled(x, reps), "repeat")


def _tiled(x: Any, reps: tuple[int, ...]) -> Any:
    shape = (1,) * (len(reps) - aval_of(x).ndim) + aval_of(x).shape
    wide = tuple([n for pair in zip(reps, shape, strict=True) for n in pair])
    spread = ops.broadcast(ops.reshape(x, shape), wide, range(1, 2 * len(shape), 2))
    return ops.reshape(spread, tuple([r * n for r, n in zip(reps, shape, strict=True)]))


@method()
def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """Copies side by side along each dimension."""
    reps = _sizes(repeats)
    if len(reps) < input.ndim:
        raise TensorError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    return apply(_repeat, (input,), (reps,))  # type: ignore[no-any-return]


def tile(input: Tensor, *dims: Any) -> Tensor:
    """`repeat`, with ones for the dimensions that are not given."""
    reps = _sizes(dims)
    return repeat(input, *((1,) * (input.ndim - len(reps))), *reps)


def _interleave_body(x: Any, n: int, axis: int) -> Any:
    places = [i if i <= axis else i + 1 for i in range(aval_of(x).ndim)]
    return ops.reshape(ops.broadcast(x, _spread(x, n, axis), places), _times(x, n, axis))


_repeat_interleave = Function(_interleave_body, "repeat_interleave")


def _spread(x: Any, n: int, axis: int) -> tuple[int, ...]:
    shape = aval_of(x).shape
    return (*shape[: axis + 1], n, *shape[axis + 1 :])


def _times(x: Any, n: int, axis: int) -> tuple[int, ...]:
    shape = aval_of(x).shape
    return (*shape[:axis], shape[axis] * n, *shape[axis + 1 :])


@method()
def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each element repeated along a dimension, all as often or each as a tensor says; of the flat tensor for None."""
    x = flatten(input) if dim is None else input
    if isinstance(repeats, Tensor) and repeats.numel() != 1:
        counts = np.asarray(repeats._value()._numpy())
        n = x.shape[dim or 0]
        if len(counts) != n:
            raise TensorError(
                f"repeats must have the same size as input along dim, but got repeats.size(0) = {len(counts)} "
                f"and input.size({dim or 0}) = {n}"
            )
        if counts.min(initial=0) < 0:
            raise TensorError("repeats can not be negative", why=f"one is {counts.min()}")
        return x.index_select(dim or 0, wrap(from_numpy(np.repeat(np.arange(len(counts)), counts).astype(np.int64))))  # type: ignore[no-any-return]
    if int(repeats) < 0:
        raise TensorError("repeats can not be negative", why=f"it is {int(repeats)}")
    return apply(_repeat_interleave, (x,), (int(repeats), dim_of(x, dim or 0)))  # type: ignore[no-any-return]


_flip = Function(lambda x, axes: ops.reverse(x, axes), "flip")
_tril = Function(lambda x, k: _triangle(x, k, ops.greater_equal), "tril")
_triu = Function(lambda x, k: _triangle(x, k, ops.less_equal), "triu")


def _triangle(x: Any, k: Any, keep: Any) -> Any:
    shape = aval_of(x).shape
    row, column = ops.iota(shape, len(shape) - 2, np.int64), ops.iota(shape, len(shape) - 1, np.int64)
    return ops.select(keep(ops.add(row, ops.cast(k, np.dtype(np.int64))), column), x, ops.full((), 0, aval_of(x).dtype))


@method()
def flip(input: Tensor, *given: Any, dims: Any = ()) -> Tensor:
    """Elements in reverse order along dimensions."""
    over = tuple([dim_of(input, d) for d in _sizes(given or (dims,))])
    return apply(_flip, (input,), (over if input.ndim else (),))  # type: ignore[no-any-return]


@method(inplace=True)
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zeros elsewhere."""
    return apply(_tril, (input, diagonal))  # type: ignore[no-any-return]


@method(inplace=True)
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zeros elsewhere."""
    return apply(_triu, (input, diagonal))  # type: ignore[no-any-return]


def _roll_body(x: Any, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    for shift, axis in zip(shifts, axes, strict=True):
        n = aval_of(x).shape[axis]
        cut = -shift % n if n else 0
        x = ops.concatenate([ops.slice_in_dim(x, cut, n, axis), ops.slice_in_dim(x, 0, cut, axis)], axis) if cut else x
    return x


_roll = Function(_roll_body, "roll")


@method()
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved along dimensions, those that leave coming back in."""
    if dims is None:
        return view(roll(flatten(input), shifts, 0), tuple(input.shape))
    amounts, axes = ([shifts], [dims]) if isinstance(shifts, int) else (shifts, dims)
    return apply(_roll, (input,), (tuple(amounts), tuple([dim_of(input, d) for d in axes])))  # type: ignore[no-any-return]


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors expanded to their common shape; those that have it as they are."""
    shape: tuple[int, ...] = ()
    for x in tensors:
        shape = _common(shape, tuple(x.shape))
    return tuple([x if tuple(x.shape) == shape else expand(x, shape) for x in tensors])


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """The shape to which two broadcast; RuntimeError where they do not."""
    ndim = max(len(a), len(b))
    a, b = (1,) * (ndim - len(a)) + a, (1,) * (ndim - len(b)) + b
    for d, (n, m) in enumerate(zip(a, b, strict=True)):
        if n != m and 1 not in (n, m):
            raise TensorError(
                f"The size of tensor a ({n}) must match the size of tensor b ({m}) at non-singleton dimension {d}"
            )
    return tuple([m if n == 1 else n for n, m in zip(a, b, strict=True)])


method("tile")(tile)


Tensor.T = property(lambda self: permute(self, tuple(range(self.ndim))[::-1]))  # type: ignore[attr-defined]
Tensor.mT = property(lambda self: transpose(matrices(self, "mT"), -1, -2) if self.ndim else self)  # type: ignore[attr-defined]
Tensor.H = property(lambda self: (transpose(_matrix(self), 0, 1) if self.ndim else self).conj())  # type: ignore[attr-defined]
Tensor.mH = property(lambda self: (transpose(matrices(self, "mH"), -2, -1) if self.ndim else self).conj())  # type: ignore[attr-defined]
Tensor.is_cuda = Tensor.is_sparse = Tensor.is_quantized = False  # type: ignore[attr-defined]
