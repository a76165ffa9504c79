"""Where arrays lie: the order of axes in memory, and looks at memory through another shape.

A temporary is stored in the order of what it is computed from, so that kernels read and write neighbours: what follows
a convolution, which gives channels last, keeps them last. Results of a program lie in row-major order, as do operands
of what asks for it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from fdl.lowering.ir.expr import Expr, walk
from fdl.lowering.ir.index import Axis, Index
from fdl.passes.size import Extent, at_most, example_of

T = TypeVar("T")


def steps_of(index: Index, axes: Sequence[Axis]) -> list[Extent] | None:
    """How far one step along each axis moves; None where an address is computed from data."""
    if not all(isinstance(atom, Axis) for atom, _ in index.terms):
        return None
    return [index.coefficient(a) for a in axes]


def unordered(items: Sequence[T], order: Sequence[int]) -> tuple[T, ...]:
    """Items of axes that stand in an order, by the number of the axis.

    >>> unordered("abc", [2, 0, 1])
    ('b', 'c', 'a')
    """
    found = dict(zip(order, items, strict=True))
    return tuple(found[a] for a in range(len(order)))


def memory_order(e: Expr, axes: Sequence[Axis]) -> list[int]:
    """The places of the axes of an expression, from the longest step to the shortest, as most of its largest operands
    lie.
    """
    shape = [a.size for a in axes]
    found: Counter[tuple[int, ...]] = Counter()
    for load in walk([e]):
        steps = steps_of(load.attr[1], axes) if load.op == "load" else None
        if steps is not None:
            found[_order(shape, steps)] += math.prod(d for d, s in zip(shape, steps, strict=True) if s)
    best = tuple(range(len(shape)))
    for order, count in found.items():
        if not at_most(count, found[best]):
            best = order
    return list(best)


def _order(shape: Sequence[int], steps: Sequence[int]) -> tuple[int, ...]:
    """Axes by their steps; those along which nothing moves stay behind the axis that they follow."""
    walked = sorted((a for a, d in enumerate(shape) if d != 1 and steps[a]), key=lambda a: -abs(example_of(steps[a])))
    order = list(walked)
    for a in range(len(shape)):
        if a not in walked:
            order.insert(order.index(a - 1) + 1 if a else 0, a)
    return tuple(order)


def packed_steps(shape: Sequence[int], order: Sequence[int]) -> list[int]:
    """Steps along each axis where axes lie in this order without gaps; 0 along an axis of size 1."""
    steps, step = [0] * len(shape), 1
    for a in reversed(order):
        steps[a] = step if shape[a] != 1 else 0
        step *= shape[a]
    return steps


def steps_through(shape: Sequence[int], steps: Sequence[int], wanted: Sequence[int]) -> list[int] | None:
    """Steps along the axes of another shape with as many elements, where no copy is needed: axes may be cut, and joined
    where they walk as one.
    """
    found = [0] * len(wanted)
    if 0 in shape:
        return found
    if list(steps) == packed_steps(shape, range(len(shape))):  # also where sizes are not known, and their order is not
        return packed_steps(wanted, range(len(wanted)))
    old = [(d, s) for d, s in zip(shape, steps, strict=True) if d != 1]
    new = [a for a, d in enumerate(wanted) if d != 1]
    while new:
        group = [new.pop(0)]  # axes of the new shape, until they are as many elements as some of the old
        (size, step), target = old.pop(0), wanted[group[0]]
        while (is_part := size < target) or size > target:
            if is_part:
                inner_size, inner = old.pop(0)
                if step != inner_size * inner:
                    return None
                size, step = size * inner_size, inner
            else:
                group.append(new.pop(0))
                target *= wanted[group[-1]]
        for a in reversed(group):
            found[a], step = step, step * wanted[a]
    return found
