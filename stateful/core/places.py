"""Where the elements of a tensor lie in its storage: a shape, a step in memory for each dimension, and an offset, all
counted in elements.

Arithmetic alone. Tensors without view lie in row-major order; each step of a view says what it makes of the places
before it. From them follow which reshapes are views, which tensors are contiguous, and which ones share elements:
PyTorch's rules.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import NamedTuple

Shape = tuple[int, ...]


class Places(NamedTuple):
    """The element at indices (i, j, ...) lies at `offset + i * strides[0] + j * strides[1] + ...`."""

    shape: Shape
    strides: Shape
    offset: int = 0


class Shared(enum.Enum):
    """What two tensors on one storage have in common: no element, all of them at the same indices, some in another
    order, or nobody can tell.
    """

    NOTHING, ALL, SOME, UNKNOWN = range(4)


def row_major(shape: Sequence[int]) -> Shape:
    """The strides of a contiguous tensor.

    >>> row_major((2, 3, 4))
    (12, 4, 1)
    """
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def contiguous(p: Places) -> bool:
    """Whether elements lie side by side in row-major order.

    >>> contiguous(Places((2, 3), (3, 1))), contiguous(Places((3, 2), (1, 3)))
    (True, False)
    """
    step = 1
    for n, s in zip(reversed(p.shape), reversed(p.strides), strict=True):
        if n != 1:
            if s != step:
                return not math.prod(p.shape)
            step *= n
    return True


def dense(p: Places) -> bool:
    """Whether elements fill a stretch of memory, each in a place of its own, in whatever order.

    >>> dense(Places((3, 2), (1, 3))), dense(Places((3, 2), (4, 1))), dense(Places((3, 2), (0, 1)))
    (True, False, False)
    """
    if 0 in p.shape:
        return True
    step = 1
    for s, n in sorted([(s, n) for n, s in zip(p.shape, p.strides, strict=True) if n != 1]):
        if s != step:
            return False
        step *= n
    return True


def repeated(p: Places) -> bool:
    """Whether a dimension repeats the same elements, as an expanded one does.

    >>> repeated(Places((3, 2), (0, 1)))
    True
    """
    return not dense(p) and any(n > 1 and s == 0 for n, s in zip(p.shape, p.strides, strict=True))


def shared(p: Places, other: Places) -> Shared:
    """What two tensors on one storage share.

    >>> shared(Places((3,), (1,), 0), Places((3,), (1,), 1)), shared(Places((3,), (1,), 0), Places((3,), (1,), 3))
    (<Shared.SOME: 2>, <Shared.NOTHING: 0>)
    """
    sizes = math.prod(p.shape), math.prod(other.shape)
    if p == other:
        return Shared.ALL
    if 0 in sizes:
        return Shared.NOTHING
    if not dense(p) or not dense(other):
        return Shared.UNKNOWN
    if p.offset == other.offset and sizes[0] == sizes[1]:
        return Shared.ALL if p.strides == other.strides else Shared.SOME
    return Shared.SOME if p.offset < other.offset + sizes[1] and other.offset < p.offset + sizes[0] else Shared.NOTHING


def viewed(p: Places, shape: Shape) -> Places | None:
    """The same elements in another shape, None where one step a dimension cannot say it. Dimensions that lie behind
    each other are taken together as chunks; each chunk has to be cut into whole dimensions of the new shape.

    >>> viewed(Places((2, 3), (3, 1)), (6,))
    Places(shape=(6,), strides=(1,), offset=0)
    >>> viewed(Places((3, 2), (1, 3)), (6,)) is None
    True
    """
    if not math.prod(p.shape):
        return p if shape == p.shape else Places(shape, row_major(shape), p.offset)
    strides, at = [0] * len(shape), len(shape) - 1
    have, filled, base = 1, 1, p.strides[-1] if p.shape else 1
    for d in reversed(range(max(len(p.shape), 1))):
        have *= p.shape[d] if p.shape else 1
        if d == 0 or (p.shape[d - 1] != 1 and p.strides[d - 1] != have * base):
            while at >= 0 and (filled < have or shape[at] == 1):
                strides[at] = filled * base
                filled *= shape[at]
                at -= 1
            if filled != have:
                return None
            have, filled, base = 1, 1, p.strides[d - 1] if d else 1
    return Places(shape, tuple(strides), p.offset) if at < 0 else None


def permuted(p: Places, order: Sequence[int]) -> Places:
    """The dimensions in another order."""
    return Places(tuple([p.shape[d] for d in order]), tuple([p.strides[d] for d in order]), p.offset)


def expanded(p: Places, shape: Shape) -> Places:
    """Dimensions of size 1 repeated, and new ones in front: the step of what is repeated is 0.

    >>> expanded(Places((2, 1), (1, 1)), (3, 2, 4))
    Places(shape=(3, 2, 4), strides=(0, 1, 0), offset=0)
    """
    lead = len(shape) - len(p.shape)
    strides = [s if n == m else 0 for n, s, m in zip(p.shape, p.strides, shape[lead:], strict=True)]
    for n in reversed(shape[:lead]):
        strides.insert(0, shape[len(shape) - len(strides)] * strides[0] if n == 1 and p.shape else 0)
    return Places(shape, tuple(strides), p.offset)


def fits(shape: Shape, into: Shape) -> bool:
    """Whether a shape broadcasts to another one.

    >>> fits((1, 3), (2, 2, 3)), fits((2,), (3,))
    (True, False)
    """
    lead = len(into) - len(shape)
    return lead >= 0 and all(n in (1, m) for n, m in zip(shape, into[lead:], strict=True))


def on_diagonal(p: Places, offset: int, a: int, b: int) -> Places:
    """The diagonal of two dimensions, as the last one.

    >>> on_diagonal(Places((2, 3), (3, 1)), 1, 0, 1)
    Places(shape=(2,), strides=(4,), offset=1)
    """
    down, right = max(-offset, 0), max(offset, 0)
    n = max(min(p.shape[a] - down, p.shape[b] - right), 0)
    rest = [d for d in range(len(p.shape)) if d not in (a, b)]
    start = p.offset + (down * p.strides[a] + right * p.strides[b] if n else 0)
    return Places((*[p.shape[d] for d in rest], n), (*[p.strides[d] for d in rest], p.strides[a] + p.strides[b]), start)


def in_windows(p: Places, axis: int, size: int, step: int) -> Places:
    """Windows along a dimension, as a new last one.

    >>> in_windows(Places((5,), (1,)), 0, 3, 2)
    Places(shape=(2, 3), strides=(2, 1), offset=0)
    """
    if not p.shape:
        return Places((size,), (1,), p.offset)
    shape, strides = list(p.shape), list(p.strides)
    shape[axis], strides[axis] = (p.shape[axis] - size) // step + 1, p.strides[axis] * step
    return Places((*shape, size), (*strides, p.strides[axis]), p.offset)


def extent(p: Places) -> int:
    """How many elements a storage needs for these places."""
    return 0 if 0 in p.shape else p.offset + 1 + sum((n - 1) * s for n, s in zip(p.shape, p.strides, strict=True))
