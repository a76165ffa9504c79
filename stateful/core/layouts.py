"""How elements of tensors lie: layouts, and orders of memory.

Tensors are strided; `sparse.py` has others. An order of memory is a matter of strides alone: a tensor that is asked
for "channels last" is a view of one whose channels come last, with the strides that PyTorch gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fdl.stateful.core.places import Places, contiguous


class _Word:
    """A constant that prints as PyTorch's."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _known, (self._name,)


class layout(_Word):
    """How a tensor holds its elements: `strided`, `sparse_coo`, `sparse_csr` and kin."""

    __slots__ = ()


class memory_format(_Word):
    """In which order the elements of a strided tensor lie in memory."""

    __slots__ = ()


LAYOUTS = {
    name: layout(name)
    for name in "strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc jagged _mkldnn".split()
}
strided, sparse_coo = LAYOUTS["strided"], LAYOUTS["sparse_coo"]
FORMATS = {
    name: memory_format(name) for name in "contiguous_format preserve_format channels_last channels_last_3d".split()
}


def _known(name: str) -> _Word:
    """The constant of this name, for files and copies."""
    return LAYOUTS[name] if name in LAYOUTS else FORMATS[name]


_CHANNELS_LAST = {FORMATS["channels_last"]: 4, FORMATS["channels_last_3d"]: 5}


def order_of(format: object, ndim: int) -> list[int] | None:
    """The dimensions of a tensor from the one that changes slowest in memory on; None for row-major order.

    >>> order_of(FORMATS["channels_last"], 4)
    [0, 2, 3, 1]
    """
    if _CHANNELS_LAST.get(format) != ndim:  # type: ignore[call-overload]
        return None
    return [0, *range(2, ndim), 1]


def lies_in(p: Places, order: Sequence[int]) -> bool:
    """Whether elements lie side by side in an order of dimensions."""
    return contiguous(Places(tuple(p.shape[d] for d in order), tuple(p.strides[d] for d in order)))
