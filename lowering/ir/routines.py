"""Which function does a routine (`fdl/ops/routines.py`) in C: its name, the header where it stands, its scratch.

A function gets a part of each operand, of each result and of the scratch, and then the routine's sizes. What a language
has no function for is built as loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fdl.core import dtypes
from fdl.core.dtypes import DType
from fdl.lowering.ir.nodes import Routine
from fdl.lowering.ir.spellings import SUFFIX

Scratch = Sequence[tuple[int, DType]]  # elements and their type, of each piece of memory


class Function(NamedTuple):
    """The function of a target for a routine: its name, the header where it stands, and of the routine's sizes the
    scratch that it takes for one part.
    """

    name: str
    header: str
    scratch: Callable[..., Scratch]


RoutineTable = Mapping[tuple[str, DType], Function]  # by key and dtype of the first operand

FEW_SORTED = 64  # FDL_FEW_SORTED of fdl_order.h: as many of the largest are kept in order while the others pass


def _none(*sizes: int) -> Scratch:
    return ()


def _sorting(dtype: DType, n: int) -> int:
    """Words of 8 bytes for two columns of keys and one of places."""
    return -(-n * (2 * max(dtype.itemsize, 4) + 4) // 8) + 1


def _argsort(dtype: DType) -> Callable[..., Scratch]:
    return lambda n, descending: ((_sorting(dtype, n), dtypes.int64),)


def _top_k(dtype: DType) -> Callable[..., Scratch]:
    return lambda n, k: ((k if k <= FEW_SORTED else _sorting(dtype, n) + n, dtypes.int64),)


def _qr(dtype: DType) -> Callable[..., Scratch]:
    return lambda m, n, columns: (((m + 1) * n + m + 1, dtype),)


def _eigh(dtype: DType) -> Callable[..., Scratch]:
    return lambda n: ((2 * n * n + 4 * n + 1, dtypes.float64),)


def _svd(dtype: DType) -> Callable[..., Scratch]:
    return lambda m, n: ((m * n + m + 4 * n * n + 8 * n + 1, dtypes.float64),)


def _plain(dtype: DType) -> Callable[..., Scratch]:
    return _none


_WIDE = (dtypes.float32, dtypes.float64)
_FILES = (
    ("fdl_order.h", (*_WIDE, *dtypes.INTEGERS), {"argsort": _argsort, "top_k": _top_k, "cumsum": _plain}),
    (
        "fdl_linear.h",
        _WIDE,
        {"triangular_solve": _plain, "lu": _plain, "cholesky": _plain, "qr": _qr, "eigh": _eigh, "svd": _svd},
    ),
)  # each header, the dtypes of its functions, and their scratch

C: RoutineTable = {
    (key, dtype): Function(f"fdl_{key}_{SUFFIX[dtype]}", header, scratch(dtype))
    for header, of_dtypes, functions in _FILES
    for key, scratch in functions.items()
    for dtype in of_dtypes
}

TABLES: dict[str, RoutineTable] = {"c": C}  # by language


def function_of(n: Routine, table: RoutineTable) -> Function:
    """The function for a node."""
    return table[n.key, n.operands[0].buffer.dtype]
