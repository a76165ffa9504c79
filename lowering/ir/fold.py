"""In which order numbers meet in folds and products, in words and as NumPy code.

A sum of floats depends on its order, so the order is a part of what a loop program means. It follows from the shape
alone, and every emitter keeps it:

- *Along a row* (`Reduce.rows`): element i of the innermost loop joins lane i % 64, and lanes keep what they hold from
  one run of the innermost loop to the next. At the end lanes l, l + 16, l + 32 and l + 48 are joined in two pairs for
  each l below 16. Of these 16, a sum joins halves until one is left; a maximum goes through them one after another.
- *Down columns*: one after another, in the order of the loops.
- *In a product* (`Dot`): each element is one chain of fused multiply-adds in the order of k. It begins with +0.
  Where up to four rows of bfloat16 meet columns that, as the rows, lie in the order of k, element p of whole runs of 16
  joins the chain of lane p % 16, the lanes are added one after another, and the rest of k follows.

All folds begin with the neutral element: a sum of nothing but -0 is +0. Sums of up to eight elements, which are written
out, begin with the first one, and so do those that are `bare`, of a length that is not known before. Integers have no
order. What a machine decides is left out: those that do not fuse round products of a chain first, those that multiply
tiles of bfloat16 add these in an order of their own, and programs flush denormals to zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl.core.dtypes import is_float
from fdl.lowering.ir.nodes import Dot
from fdl.ops.reduction import lowest
from fdl.ops.rounding import fma

LANES, _JOINED = 64, 16
_NEAR = 1 << 13  # elements of a product that are worked on at a time, so that what `fma` makes stays in the cache


def fold_rows(kind: str, values: Any) -> Any:
    """Rows folded with lanes and a tree: of shape (..., runs, length), where the last axis is the innermost loop, to
    shape (...). `kind` is "add" or "max".
    """
    if not is_float(values.dtype):
        return fold_columns(kind, values)
    *space, runs, length = values.shape
    blocks = -(-length // LANES)
    neutral = _neutral(kind, values.dtype)
    filled = np.full((*space, runs, blocks * LANES), neutral, values.dtype)  # joining the neutral element changes none
    filled[..., :length] = values
    filled = filled.reshape(*space, runs * blocks, LANES)
    lanes = np.full((*space, LANES), neutral, values.dtype)
    for block in range(runs * blocks):
        lanes = _earlier(kind, lanes, filled[..., block, :])
    four = [lanes[..., i : i + _JOINED] for i in range(0, LANES, _JOINED)]
    last = _earlier(kind, _earlier(kind, four[0], four[1]), _earlier(kind, four[2], four[3]))
    if kind == "max":
        return _one_after_another(kind, last)
    while last.shape[-1] > 1:
        half = last.shape[-1] // 2
        last = last[..., :half] + last[..., half:]
    return last[..., 0]


def fold_columns(kind: str, values: Any, bare: bool = False) -> Any:
    """Values folded one after another over the last two axes, (..., runs, length), to shape (...); a `bare` sum begins
    with its first element.
    """
    flat = values.reshape(*values.shape[:-2], values.shape[-2] * values.shape[-1])
    if not is_float(values.dtype):
        axis = flat.ndim - 1
        if kind == "add":
            return np.sum(flat, axis, dtype=values.dtype)
        return np.max(flat, axis, initial=lowest(values.dtype))
    neutral = -0.0 if bare and kind == "add" else _neutral(kind, values.dtype)
    start = np.full((*flat.shape[:-1], 1), neutral, values.dtype)
    return _one_after_another(kind, np.concatenate([start, flat], -1))


def _one_after_another(kind: str, values: Any) -> Any:
    total = values[..., 0]
    for i in range(1, values.shape[-1]):
        total = total + values[..., i] if kind == "add" else _later(total, values[..., i])
    return total


def _neutral(kind: str, dtype: Any) -> Any:
    return 0 if kind == "add" else lowest(dtype)


def _earlier(kind: str, a: Any, b: Any) -> Any:
    """The sum; or the larger one, of equals (as zeros of either sign are) the first, of NaNs the first."""
    return a + b if kind == "add" else np.where((b > a) | ((b != b) & (a == a)), b, a)


def _later(a: Any, b: Any) -> Any:
    """The larger one, of equals the second, of NaNs the first: as the elementwise maximum."""
    return np.where((a > b) | (a != a), a, b)


def multiply(n: Dot, left: Any, right: Any) -> Any:
    """The product of matrices (m, k) and (k, n) in the dtype of the sums, as a node takes it."""
    if not is_float(n.dtype):
        return np.matmul(left, right)
    return _in_lanes(left, right) if _runs_along(n) else _chained(left, right)


def _runs_along(n: Dot) -> bool:
    """Whether a product is one of few rows of bfloat16 with both operands lying in the order of k."""
    (rows, cols), (terms, across) = n.digits(n.lhs), n.digits(n.rhs)
    if n.lhs.buffer.dtype == n.dtype or n.m > 4 or any(len(d) > 1 for d in (rows, cols, terms, across)):
        return False
    return bool(cols[0][1] == 1 and terms[0][1] == 1 and across[0][1] != 1)


def _chained(left: Any, right: Any) -> Any:
    out = np.zeros((left.shape[0], right.shape[1]), left.dtype)
    step = max(1, _NEAR // right.shape[1])
    for rows, total in ((left[i : i + step], out[i : i + step]) for i in range(0, left.shape[0], step)):
        for p in range(left.shape[1]):
            total[...] = fma(rows[:, p : p + 1], right[p], total)
    return out


def _in_lanes(left: Any, right: Any) -> Any:
    lanes, whole = 16, left.shape[1] // 16 * 16
    total = np.zeros((left.shape[0], right.shape[1]), left.dtype)
    for l in range(min(lanes, whole)):
        total = total + _chained(left[:, l:whole:lanes], right[l:whole:lanes])
    for p in range(whole, left.shape[1]):
        total = fma(left[:, p : p + 1], right[p], total)
    return total
