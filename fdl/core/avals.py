"""Abstract values: what is known of an array while a program is recorded.

Invariant: nothing here or in a shape rule assumes that a dimension is a plain int; a `SymDim` passes through.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterable
from typing import Any

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.core.errors import FdlError, ShapeError


class SymDim:
    """A dimension whose size is not known yet; equal to itself by name.

    >>> n = SymDim("n")
    >>> ShapedArray((n, 3), "float32")
    float32[n,3]
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymDim) and other.name == self.name

    def __hash__(self) -> int:
        return hash((SymDim, self.name))

    def __repr__(self) -> str:
        return self.name


Dim = Any  # int | SymDim; `Any` keeps shape arithmetic of concrete programs free of casts
Shape = tuple[Dim, ...]


_TOKENS: dict[tuple[Any, ...], int] = {}  # a negative number for each type that was met
_NEXT = itertools.count(-1, -1)


class ShapedArray:
    """Shape, dtype and whether the dtype is weak. Immutable and interned by `shaped`; equal ones have the same `token`,
    a negative number.

    >>> ShapedArray((2, 3), "float32")
    float32[2,3]
    """

    __slots__ = ("dtype", "shape", "token", "weak_type")
    shape: Shape
    dtype: DType
    weak_type: bool
    token: int

    def __init__(self, shape: Shape, dtype: Any, weak_type: bool = False) -> None:
        self.shape = sizes(shape)
        self.dtype = dtypes.canonical(dtype)
        self.weak_type = weak_type
        self.token = _TOKENS.setdefault((self.shape, self.dtype, weak_type), next(_NEXT))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, ShapedArray):
            return NotImplemented
        return self.token == other.token

    def __hash__(self) -> int:
        return hash(self.token)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.size * self.dtype.itemsize

    def update(
        self, shape: Shape | None = None, dtype: DType | None = None, weak_type: bool | None = None
    ) -> ShapedArray:
        """A copy with some fields changed."""
        return shaped(
            self.shape if shape is None else shape,
            self.dtype if dtype is None else dtype,
            self.weak_type if weak_type is None else weak_type,
        )

    def matches(self, other: ShapedArray) -> bool:
        """Equal but for weakness."""
        return self.shape == other.shape and self.dtype == other.dtype

    def __repr__(self) -> str:
        dims = ",".join(map(str, self.shape))
        return f"{self.dtype.name}{'*' if self.weak_type else ''}[{dims}]"

    def describe(self) -> str:
        """As errors name it: weakness is no news to a user."""
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


def sizes(given: Any, least: int = 0) -> Shape:
    """A shape, or one size, as ints; ShapeError for what is none, and for sizes below `least`.

    >>> sizes(3), sizes([2, True])
    ((3,), (2, 1))
    """
    shape = tuple(given) if isinstance(given, Iterable) and getattr(given, "shape", None) != () else (given,)
    return tuple([d if type(d) is int and d >= least else _size(d, shape, least) for d in shape])


def _size(d: Any, shape: Shape, least: int) -> Dim:
    if isinstance(d, SymDim):
        return d
    what = f"there is no array of shape ({', '.join(map(repr, shape))}{',' if len(shape) == 1 else ''})"
    try:
        size = operator.index(d)
    except FdlError:  # an array's own, which says more
        raise
    except TypeError:
        raise ShapeError(
            what,
            why=f"{d!r} is {type(d).__name__}, and sizes are whole numbers",
            hint="int(n), or n // 2 where a half is meant",
        ) from None
    if size < least:
        raise ShapeError(
            what, why=f"{size} is negative, and an axis has 0 elements or more", hint=f"a size from {least}"
        )
    return size


ShapeDtypeStruct = ShapedArray


@functools.lru_cache(maxsize=8192)
def shaped(shape: Shape, dtype: DType, weak_type: bool = False) -> ShapedArray:
    """The interned `ShapedArray`."""
    return ShapedArray(shape, dtype, weak_type)
