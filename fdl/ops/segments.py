"""Reductions of segments: rows of an array that have one number are folded together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.errors import ChoiceError, DtypeError, TracedMaskError
from fdl.core.trace import Tracer
from fdl.ops.axes import full
from fdl.ops.indexing import scatter_add
from fdl.ops.promotion import as_operand
from fdl.ops.reduction import lowest
from fdl.ops.scatter_fold import scatter_max, scatter_min, scatter_mul


def _segments(
    scatter: Callable[..., Array], start: Any, data: Any, segment_ids: Any, num_segments: int | None, mode: str | None
) -> Array:
    """`start` of a dtype in each segment, with the rows folded in."""
    data, numbers = as_operand(data), as_operand(segment_ids)
    if not dtypes.is_integer(numbers.aval.dtype):
        raise DtypeError(f"segments: numbers {numbers.aval.describe()} are no integers", hint="ids.astype(jnp.int32)")
    if mode not in (None, "drop", "clip", "promise_in_bounds", "fill"):
        raise ChoiceError(f"segments: mode={mode!r}", hint="None, 'drop', 'clip' or 'promise_in_bounds'")
    if num_segments is None:
        if isinstance(numbers, Tracer) and numbers.concrete() is None:
            why = "the size of the result would depend on values"
            numbers.refuse("segment_sum(x, ids)", TracedMaskError, why, "segment_sum(x, ids, num_segments=n)")
        num_segments = int(np.max(np.asarray(numbers), initial=-1)) + 1
    dtype, rest = data.aval.dtype, data.aval.shape[numbers.aval.ndim :]
    out = full((num_segments, *rest), start(dtype), dtype)
    return scatter(out, data, [numbers], (0,), 0, "clip" if mode == "clip" else "drop")


def _highest(dtype: Any) -> float:
    if dtype == dtypes.bool_:
        return True
    return np.inf if dtypes.is_float(dtype) else int(np.iinfo(dtype).max)


def segment_sum(
    data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
    unique_indices: bool = False, bucket_size: int | None = None, mode: str | None = None,
) -> Array:  # fmt: skip
    """Sums of the rows of each segment. `segment_ids` says to which each row belongs.

    `num_segments` is by default the largest number plus 1, which needs its value. Rows whose number is none of a
    segment are left out, or with `mode="clip"` belong to the nearest. The other arguments are accepted for JAX's sake.

    >>> import fdl.numpy as jnp
    >>> segment_sum(jnp.array([1, 2, 4]), jnp.array([0, 0, 2])).tolist()
    [3, 0, 4]
    """
    return _segments(scatter_add, lambda dtype: 0, data, segment_ids, num_segments, mode)


def segment_prod(
    data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
    unique_indices: bool = False, bucket_size: int | None = None, mode: str | None = None,
) -> Array:  # fmt: skip
    """Products of the rows of each segment, 1 where there is none; arguments are as in `segment_sum`.

    >>> import fdl.numpy as jnp
    >>> segment_prod(jnp.array([3, 2, 4]), jnp.array([0, 0, 2])).tolist()
    [6, 1, 4]
    """
    return _segments(scatter_mul, lambda dtype: 1, data, segment_ids, num_segments, mode)


def segment_max(
    data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
    unique_indices: bool = False, bucket_size: int | None = None, mode: str | None = None,
) -> Array:  # fmt: skip
    """The largest elements of the rows of each segment, minus infinity or the least number where there is none;
    arguments are as in `segment_sum`.

    >>> import fdl.numpy as jnp
    >>> segment_max(jnp.array([3.0, 2.0, 4.0]), jnp.array([0, 0, 2])).tolist()
    [3.0, -inf, 4.0]
    """
    return _segments(scatter_max, lowest, data, segment_ids, num_segments, mode)


def segment_min(
    data: Any, segment_ids: Any, num_segments: int | None = None, indices_are_sorted: bool = False,
    unique_indices: bool = False, bucket_size: int | None = None, mode: str | None = None,
) -> Array:  # fmt: skip
    """The smallest elements of the rows of each segment, infinity or the greatest number where there is none;
    arguments are as in `segment_sum`.

    >>> import fdl.numpy as jnp
    >>> segment_min(jnp.array([3.0, 2.0, 4.0]), jnp.array([0, 0, 2])).tolist()
    [2.0, inf, 4.0]
    """
    return _segments(scatter_min, _highest, data, segment_ids, num_segments, mode)
