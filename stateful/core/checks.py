"""What must hold of values: looked at where they are known, else checked with the program, in every transform.

A check is a `Function` that gives a mask, true where something is wrong, and a `Failure` that says what is raised.
Values that are known, those of all lanes of `vmap` included, are looked at by NumPy at their line; others join the
program, or the recording that runs. `backward` looks ahead at checks on data.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl import ops
from fdl.extend import (
    ConcreteArray,
    Deferred,
    Function,
    IndexBoundsError,
    Tracer,
    aval_of,
    current_recorder,
    cut,
    dtypes,
    interpret,
    transforming,
)
from fdl.ops import Failure
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.meta import is_meta
from fdl.stateful.core.tape import grad_mode
from fdl.stateful.core.tensor import Tensor

__all__ = ["Failure", "OutsideError", "along", "broken", "check_domain", "check_range", "in_self", "require"]


class OutsideError(IndexBoundsError, RuntimeError):
    """An index outside of bounds where PyTorch raises RuntimeError; it is an IndexError too.

    >>> import fdl.stateful as torch
    >>> torch.arange(3).gather(0, torch.tensor([3]))  # wrong
    Traceback (most recent call last):
    ...
    fdl.stateful.core.checks.OutsideError: index 3 is out of bounds for dimension 0 with size 3...
    >>> torch.arange(3).gather(0, torch.tensor([2])).item()  # right
    2
    """


def broken(message: str, hint: str = "", error: type[Exception] = TensorError, show: bool = False) -> Failure:
    """What is raised where values break a rule: RuntimeError, as PyTorch's mostly is; `show` adds the first one that
    does.
    """
    return Failure(error, f"{message}: found {{}}" if show else message, message, hint)


def require(
    mask: Function, operands: Sequence[Any], failure: Failure, static: tuple[Any, ...] = (), now: bool = False
) -> None:
    """Raise `failure` where the mask of tensors and numbers holds; the message shows elements of the first operands,
    one for each `{}`.

    With `now`, what is pending is computed and looked at, where no transform runs.
    """
    values = [x._value() if isinstance(x, Tensor) else x for x in operands]
    if not any(isinstance(x, (Tracer, ConcreteArray)) and x.aval.size for x in values):
        return
    if any(map(is_meta, values)):
        return  # there is nothing to look at
    known, shown = _known(values), failure.message.count("{}")
    if known is not None:
        found = failure.of(_mask_of(mask, known, static), known[:shown])
        if found is not None:
            raise found
        return
    if grad_mode.enabled:
        cut()
    (wrong,), _ = mask.record(values, static)
    ops.check(wrong, failure, *values[:shown])
    if now and not transforming():
        current_recorder().look_at_checks(few=False)


def _mask_of(mask: Function, values: Sequence[Any], static: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    graph = mask.signature([aval_of(x) for x in values], static).graph
    return interpret(
        graph, [np.asarray(x).astype(a.dtype, copy=False) for x, a in zip(values, graph.in_avals, strict=True)]
    )[0]


def _known(values: Sequence[Any]) -> list[Any] | None:
    """The operands as ndarrays and numbers where all are known; lanes of `vmap` as elements, which is the same for one
    tensor among numbers.
    """
    found: list[Any] = []
    for x in values:
        lanes = x.lanes() if isinstance(x, Tracer) else x if isinstance(x, ConcreteArray) else None
        if lanes is None and isinstance(x, Tracer):
            return None
        if lanes is not None and isinstance(lanes._data, Deferred):
            return None
        if (
            isinstance(x, Tracer)
            and lanes is not None
            and len(lanes.shape) != len(x.shape)
            and any(isinstance(y, (Tracer, ConcreteArray)) for y in values if y is not x)
        ):
            return None
        found.append(x if lanes is None else lanes._numpy())
    return found


def _outside_body(i: Any, low: Any, high: Any) -> Any:
    i = ops.cast(i, dtypes.int64)
    return ops.bitwise_or(ops.less(i, low), ops.greater(i, high))


_beyond = Function(
    lambda x, low, high: ops.bitwise_not(ops.bitwise_and(ops.greater_equal(x, low), ops.less_equal(x, high))),
    "check_domain",
)


def check_domain(x: Any, low: float, high: float, failure: Failure) -> None:
    """Raise `failure` unless low <= x <= high, which NaN is not; `x` is a tensor or a number."""
    if isinstance(x, Tensor):
        array = x._value()
        if isinstance(array, ConcreteArray) and not isinstance(array._data, Deferred) and array.aval.size:
            values = array._numpy()
            if values.min() >= low and values.max() <= high:
                return
        require(_beyond, (x, float(low), float(high)), failure)
    elif not low <= x <= high:
        raise failure.raised([x][: failure.message.count("{}")])


_outside = Function(_outside_body, "check_bounds")


def check_range(indices: Tensor, low: int, high: int, failure: Failure) -> None:
    """Raise `failure` unless low <= indices <= high."""
    if indices._lies_within(low, high) or not indices._value().aval.size:
        return
    require(_outside, (indices, low, high), failure)


@functools.lru_cache(maxsize=1024)
def along(dim: int, size: int, error: type[Exception] = IndexBoundsError, what: str = "") -> Failure:
    """An index outside of a dimension."""
    rest = f"is out of bounds for dimension {dim} with size {size}"
    return Failure(
        error, f"{what}index {{}} {rest}", f"{what}an index {rest}", f"integers below {size}" if size else ""
    )


@functools.lru_cache(maxsize=1024)
def in_self(size: int, error: type[Exception] = IndexBoundsError) -> Failure:
    """An index outside of rows that are picked or added to."""
    rest = f"must be from 0 to {size - 1}" if size else "points into nothing"
    return Failure(
        error,
        f"index out of range in self: {{}} is given, and each {rest}",
        f"index out of range in self: each {rest}",
        f"a table of more rows, or (x < {size}).all() to find what is wrong",
    )
