"""The parts of a tensor along its first dimension, handed out one by one: what iterating and `unbind` give.

Memory is looked at once, and a part is a view whose value is known: nothing is recorded for it. Where the tensor has a
history, all parts are results of one node of the tape, whose gradient puts theirs side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from fdl import ops
from fdl.extend import ORDER, ConcreteArray, Deferred, Function, ShapedArray, aval_of, part_aval, shaped, transforming
from fdl.stateful.core.tape import grad_mode
from fdl.stateful.core.tensor import Composite, Tensor, apply, owned, seen_from, view_of
from fdl.stateful.core.views import Step

_FEW = 64  # parts that a program may make, or put together, so that it need not end for them


def _stacked(cotangents: Sequence[Any]) -> Any:
    return ops.concatenate([ops.expand_dims(ct, (0,)) for ct in cotangents], 0)


def _put(*args: Any) -> Any:
    """Cotangents of parts at their places, zeros elsewhere."""
    *cotangents, places, count = args
    updates = _stacked(cotangents)
    aval = aval_of(updates)
    return ops.scatter(ops.full((count, *aval.shape[1:]), 0, aval.dtype), updates, [places], (0,))


_all_put, _some_put = Function(lambda *cotangents: _stacked(cotangents), "stack"), Function(_put, "unbind")


class _PartsNode:
    """All parts of a tensor on the tape."""

    def __init__(self, edge: tuple[Any, int], count: int, aval: ShapedArray) -> None:
        self.edges, self.aval = [edge], aval
        self.taped = SimpleNamespace(count=count)
        self.order = next(ORDER)
        self.hooks: dict[int, dict[int, Any]] = {}

    def name(self) -> str:
        return "UnbindBackward0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return tuple(self.edges)

    def hooks_of(self, index: int) -> dict[int, Any]:
        return self.hooks.setdefault(index, {})

    def release(self) -> None:
        """Nothing is kept."""

    def pull_tensors(self, cotangents: Sequence[Any]) -> list[Any]:
        given = [i for i, ct in enumerate(cotangents) if ct is not None]
        present = [cotangents[i] for i in given]
        if len(given) == len(cotangents):
            return [apply(_all_put, present)]
        return [apply(_some_put, [*present, owned(np.array(given))], (len(cotangents),))]

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        given = [i for i, ct in enumerate(cotangents) if ct is not None]
        if len(given) <= _FEW or any(type(cotangents[i]) is not ConcreteArray for i in given):
            return [t._value() for t in self.pull_tensors(cotangents)]
        whole = np.zeros((len(cotangents), *self.aval.shape), self.aval.dtype)
        for i in given:
            whole[i] = cotangents[i]._numpy()
        return [owned(whole)._value()]


def _is_known(x: Tensor) -> bool:
    """Whether the value of a tensor lies in memory that nobody else may write."""
    array = x._value()
    return (
        type(array) is ConcreteArray
        and not isinstance(array._data, Deferred)
        and x._storage.exported is None
        and not transforming()
    )


def part_of(x: Tensor, step: Step) -> Tensor:
    """The view of the part at the numbers of a step, which is one of the first dimensions. Where the value is known and
    no history goes on, the part's is, and nothing is recorded.
    """
    if isinstance(x, Composite) or not _is_known(x) or (grad_mode.enabled and x._node() is not None):
        return view_of(x, step)
    array = x._value()
    part = array._numpy()[(*step.numbers, ...)]
    return seen_from(x).view(step, ConcreteArray(part_aval(array.aval, len(step.numbers)), part))


def parts(x: Tensor, first: Step) -> Iterator[Tensor]:
    """Views of the parts of a tensor along its first dimension, each made when it is asked for; `first` is the step to
    the first one, and its number that of the part.
    """
    read, write, places, static, _, _ = first
    array, storage = x._value(), x._storage

    def step(i: int) -> Step:
        return Step(read, write, places, static, (i,), ("Unbind", i))

    if type(array) is not ConcreteArray or isinstance(x, Composite) or transforming() or storage.exported is not None:
        return (view_of(x, step(i)) for i in range(array.aval.shape[0]))
    return _parts(x, step)


def _parts(x: Tensor, step: Callable[[int], Step]) -> Iterator[Tensor]:
    """The same, of an array and outside of transforms."""
    value, node, index = x._now()
    count, *shape = value.aval.shape
    aval, tracked, start = shaped(tuple(shape), value.aval.dtype), grad_mode.enabled, seen_from(x)
    taped = _PartsNode((node, index), count, aval) if tracked and node is not None else None
    memory = None if isinstance(value._data, Deferred) and count <= _FEW else value._numpy()
    for i in range(count):
        array, edge, _ = x._now()
        how = step(i)
        if array is not value or edge is not node or tracked != grad_mode.enabled or transforming():
            yield view_of(x, how)
            continue
        if memory is None:
            array = how.read.record([value, i], how.static)[0][0]
        else:
            array = ConcreteArray(aval, memory[i, ...])
        yield start.view(how, array, taped, i)
