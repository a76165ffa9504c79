"""Tuples that print as PyTorch's do: shapes, and the results of functions that have several."""

from __future__ import annotations

import math
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


class Size(tuple[int, ...]):
    """A shape, printed as PyTorch does.

    >>> Size((2, 3)), Size((2, 3)).numel()
    (torch.Size([2, 3]), 6)
    >>> Size((2, 3))[1:] + (4,)
    torch.Size([3, 4])
    """

    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self)

    def __getitem__(self, place: Any) -> Any:  # type: ignore[override]
        found = tuple.__getitem__(self, place)
        return Size(found) if type(found) is tuple else found

    def __add__(self, other: Any) -> Any:  # type: ignore[override]
        return Size(tuple.__add__(self, other)) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Any) -> Any:  # a list that takes its numbers asks here before itself
        return Size(tuple.__add__(other, self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, count: Any) -> Any:  # type: ignore[override]
        found = tuple.__mul__(self, count)
        return found if found is NotImplemented else Size(found)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"


def returned(cls: C) -> C:
    """A named tuple that prints as PyTorch's do; its class is called `name_result`."""
    name = cls.__name__.removesuffix("_result")

    def text(self: Any) -> str:
        return (
            f"torch.return_types.{name}(\n"
            + ",\n".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
            + ")"
        )

    cls.__repr__ = text  # type: ignore[method-assign,assignment]
    return cls
