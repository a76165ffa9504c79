"""Views: steps from a base tensor, where they lie in its storage, and the writes that PyTorch refuses.

A tensor without view is a base: its elements lie in row-major order. A view is steps from its base; each step says how
it is read, how a value is written through it, and what it makes of the places in memory. The base of a view may be a
view itself where it is a leaf: `x[0].requires_grad_()` has a history of its own on the memory of `x`, and what is seen
through it belongs to that history.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fdl import ops
from fdl.extend import Function, aval_of, dtypes, whole
from fdl.stateful.core.complexes import conjugate, real_part, retyped, turned
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.places import Places, Shape, Shared, contiguous, expanded, fits, repeated, row_major, shared

if TYPE_CHECKING:
    from fdl.stateful.core.tensor import Tensor


class Step(NamedTuple):
    """A view's step: `read(x, *numbers, *static)`, `write(x, value, *numbers, *static)`, and `places(of x, numbers,
    static)`. `among` tells what gives several views at once, and the number of this one.
    """

    read: Function
    write: Function
    places: Callable[[Places, tuple[Any, ...], tuple[Any, ...]], Places]
    static: tuple[Any, ...] = ()
    numbers: tuple[Any, ...] = ()
    among: tuple[str, int] | None = None


class View:
    """Steps from a base, and the value and edge that they gave last."""

    __slots__ = ("array", "base", "index", "node", "seen", "steps", "version")

    def __init__(self, base: Tensor, steps: tuple[Step, ...]) -> None:
        self.base, self.steps = base, steps
        self.version = -1
        self.seen: Any = None

    def keep(self, array: Any, node: Any, index: int) -> None:
        """Remember value and edge, for as long as the base stays as it is."""
        self.array, self.node, self.index = array, node, index
        self.version, self.seen = self.base._storage.version, self.base._edge


def steps_of(x: Tensor) -> tuple[Step, ...]:
    """All steps from the storage to a tensor."""
    view = x._view
    if view is None:
        return ()
    base = x._root()
    return view.steps if base._view is None else (*steps_of(base), *view.steps)


def places_of(x: Tensor) -> Places:
    """Where the elements of a tensor lie in its storage."""
    return _after(x._storage.array.aval.shape, steps_of(x))


def is_turned(x: Tensor) -> bool:
    """Whether memory holds the conjugates of a complex tensor's elements, or the negatives of a real one's."""
    found = False
    for step in steps_of(x):
        if step.read is conjugate:
            found = not found
        elif step.read is real_part:
            found = False
        elif step.read is _read:
            found = step.static[-1]
    return found


@functools.lru_cache(maxsize=4096)
def _after(shape: Shape, steps: tuple[Step, ...]) -> Places:
    places = Places(shape, row_major(shape))
    for step in steps:
        places = step.places(places, step.numbers, step.static)
    return places


# Elements at sums of strides


def _flat(x: Any) -> Any:
    return ops.reshape(x, (aval_of(x).size,))


def _place(shape: Shape, strides: Shape, offset: int) -> Any:
    place = ops.full(shape, offset, dtypes.int64)
    for k, s in enumerate(strides):
        place = ops.add(place, ops.mul(ops.iota(shape, k, dtypes.int64), s))
    return place


def _read_body(x: Any, shape: Shape, strides: Shape, offset: int, dtype: Any, turns: bool) -> Any:
    found = ops.gather(retyped(_flat(x), dtype), [_place(shape, strides, offset)], (0,))
    return turned(found) if turns else found


def _write_body(x: Any, value: Any, shape: Shape, strides: Shape, offset: int, dtype: Any, turns: bool) -> Any:
    return _put(x, value, _place(shape, strides, offset), dtype, turns)


def _write_some(
    x: Any, value: Any, written: Any, shape: Shape, strides: Shape, offset: int, dtype: Any, turns: bool
) -> Any:
    """`x` with the elements of `value` for which `written` holds; of those that share a place the last one stays."""
    outside = 2 * aval_of(x).size  # what lies there is dropped
    return _put(x, value, ops.select(written, _place(shape, strides, offset), outside), dtype, turns)


def _put(x: Any, value: Any, place: Any, dtype: Any, turns: bool) -> Any:
    own, flat = aval_of(x), _flat(x)
    changed = ops.scatter(retyped(flat, dtype), turned(value) if turns else value, [place], (0,))
    changed = retyped(changed, own.dtype)
    rest = ops.slice_in_dim(flat, aval_of(changed).size, own.size, 0)  # half of a complex number
    return ops.reshape(ops.concatenate([changed, rest], 0) if aval_of(rest).size else changed, own.shape)


_read, _write = Function(_read_body, "as_strided"), Function(_write_body, "as_strided")
write_some = Function(_write_some, "as_strided")


def lying(x: Tensor) -> tuple[Any, ...]:
    """Where the elements of a tensor lie in its storage, their dtype, and whether their signs are left to be turned."""
    return (*places_of(x), x._aval.dtype, is_turned(x))


def strided(*places: Any) -> Step:
    """The step from a base to places of its storage, as `lying` says them."""
    return Step(_read, _write, lambda before, numbers, static: Places(*static[:3]), places)


_SHARING = frozenset({"expand", "unfold", "as_strided"})


def writing_steps(x: Tensor) -> tuple[Step, ...]:
    """The steps through which a value is written: those of the view, or one from the base where what lies between
    shares elements.
    """
    steps = steps_of(x)
    return (strided(*lying(x)),) if any(step.read.name in _SHARING for step in steps[:-1]) else steps


def is_contiguous(x: Tensor) -> bool:
    """Whether the elements of a tensor lie side by side in row-major order."""
    return x._view is None or contiguous(places_of(x))


def seen_in(memory: np.ndarray[Any, Any], p: Places, dtype: Any) -> np.ndarray[Any, Any]:
    """The elements of a dtype at these places of a contiguous ndarray, which they share."""
    flat = memory.reshape(-1)
    if flat.dtype != dtype:
        flat = flat[: flat.size // 2 * 2 if np.dtype(dtype).kind == "c" else None].view(dtype)
    flat = flat[p.offset :]
    return np.lib.stride_tricks.as_strided(flat, p.shape, [s * flat.itemsize for s in p.strides])


# Writes that are refused

_OF_SEVERAL = (
    "This view is the output of a function that returns multiple views. Such functions do not allow the output "
    "views to be modified inplace. "
    "You should replace the inplace operation by an out-of-place one."
)  # fmt: skip
_UNTAPED = "A view was created in no_grad mode and is being modified inplace with grad mode enabled. "
_AMBIGUOUS = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving "
    "both the view and the inplace either both inside "
    "the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want the inplace to "
    "be tracked)."
)  # fmt: skip


def refuse_history(view: View) -> None:
    """RuntimeError where a write that wants history goes through one of several views of one call, or through one that
    was made without grad mode.
    """
    found = next((step.among for step in view.steps if step.among is not None), None)
    if found is not None:
        if view.base._edge is None and view.base._origin is None:
            raise TensorError(_UNTAPED + _OF_SEVERAL)
        last = view.steps[-1]
        name, number = last.among or (last.read.name.title(), 0)
        raise TensorError(f"Output {number} of {name} is a view and is being modified inplace. {_OF_SEVERAL}")
    if view.base._origin is not None:
        raise TensorError(_UNTAPED + _AMBIGUOUS)


def refuse_repeats(x: Tensor) -> None:
    """RuntimeError for a view in which elements share a place."""
    if repeated(places_of(x)):
        raise TensorError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )


def repeats_itself(x: Tensor, what: str) -> bool:
    """Whether elements of a tensor share a place, with PyTorch's warning that an operation in place on such a one is
    deprecated.
    """
    found = x._view is not None and repeated(places_of(x))
    if found:
        warnings.warn(
            f"Use of {what} on expanded tensors is deprecated. Please clone() the tensor before performing this "
            "operation. "
            "This also applies to advanced indexing e.g. tensor[mask] = scalar",
            UserWarning,
            stacklevel=4,
        )
    return found


def lies_as(x: Tensor, source: Any) -> bool:
    """Whether a source lies where `x` does: it may be copied, though elements share a place."""
    return getattr(source, "_storage", None) is x._storage and lying(source) == lying(x)


def refuse_shared(x: Tensor, operands: Iterable[Any], broadcast: bool = False) -> None:
    """RuntimeError where an operand of an operation in place, as it is or broadcast, lies in the same memory in another
    order.
    """
    for other in operands:
        if other is x or getattr(other, "_storage", None) is not x._storage or other.dtype != x.dtype:
            continue  # nobody can tell of complex numbers and parts
        p, q = places_of(x), places_of(other)
        if shared(p, expanded(q, p.shape) if broadcast and fits(q.shape, p.shape) else q) is Shared.SOME:
            raise TensorError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
                "single memory location. "
                "Please clone() the tensor before performing the operation."
            )


def overwrite_all(values: Iterable[tuple[Tensor, Any]]) -> None:
    """Put arrays or tensors in the place of the values of others: all of them, though an interrupt comes in between."""

    def put(pairs: list[tuple[Tensor, Any]]) -> None:
        for tensor, value in pairs:
            tensor._overwrite(value)

    whole(put, list(values))
