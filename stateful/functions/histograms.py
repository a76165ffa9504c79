"""Histograms with edges, of numbers and of points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from fdl.stateful.core.errors import TensorError, UnsupportedError
from fdl.stateful.core.methods import method
from fdl.stateful.core.results import returned
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import linspace, ones
from fdl.stateful.functions.elementwise import where
from fdl.stateful.functions.reductions import amax, amin
from fdl.stateful.functions.sorting import searchsorted

__all__ = ["histogram", "histogramdd"]


@returned
class histogram_result(NamedTuple):
    """Counts, or sums of weights, and the edges between which they were counted."""

    hist: Any
    bin_edges: Any


@returned
class histogramdd_result(NamedTuple):
    """Counts in a grid, and the edges along each of its dimensions."""

    hist: Any
    bin_edges: Any


def _edges(x: Tensor, bins: Any, low: float | None, high: float | None) -> Any:
    """The edges of bins: given ones, or so many of equal width between bounds, or between the extremes."""
    if isinstance(bins, Tensor):
        return bins
    if low is None or high is None:
        low, high = (float(f(x).item()) if x.numel() else 0.0 for f in (amin, amax))
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise TensorError(f"histogramdd: range [{low}, {high}] is not finite or max must be larger than min")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return linspace(low, high, bins + 1, dtype=x.dtype)


def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> histogramdd_result:
    """How many points (..., N) fall into each cell of a grid of N dimensions; the last edges belong to their cells.

    `bins` are numbers of cells of equal width between the bounds of `range` (lowest and highest along each dimension),
    or the edges; `weight` counts points by weights; `density` makes the integral 1.

    >>> import fdl.stateful as torch
    >>> torch.histogramdd(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), [2, 2]).hist.tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if not input.dtype.is_floating_point:
        raise UnsupportedError(f"\"histogramdd\" not implemented for '{input.dtype.legacy_name}'")
    n = input.shape[-1]
    points: Any = input.reshape(-1, n)
    each = [bins] * n if isinstance(bins, (int, Tensor)) else list(bins)
    if len(each) != n:
        raise TensorError(f"histogramdd: The size of bins must be equal to the innermost dimension of the input: {n}")
    bounds = [(None, None)] * n if range is None else list(zip(range[::2], range[1::2], strict=True))
    edges = [_edges(points[:, d], each[d], *bounds[d]) for d, _ in enumerate(each)]
    weights: Any = ones(len(points), dtype=input.dtype) if weight is None else weight.reshape(-1)
    place, shape = 0, [len(e) - 1 for e in edges]
    for d, (e, count) in enumerate(zip(edges, shape, strict=True)):
        x = points[:, d].contiguous()
        found = searchsorted(e.contiguous(), x, right=True) - 1
        found = where(x == e[-1], count - 1, found)
        weights = where((found >= 0) & (found < count), weights, 0)
        place = place * count + found.clamp(0, max(count - 1, 0))
    hist = weights.new_zeros(math.prod(shape)).index_add(0, place, weights).reshape(shape)
    if density:
        hist = hist / hist.sum()
        for d, e in enumerate(edges):
            hist = hist / e.diff().reshape([-1 if k == d else 1 for k, _ in enumerate(edges)])
    return histogramdd_result(hist, tuple(edges))


@method()
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> histogram_result:
    """How many elements fall into each bin; see `histogramdd`.

    >>> import fdl.stateful as torch
    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=4, range=(0.0, 3.0)).hist.tolist()
    [0.0, 2.0, 1.0, 0.0]
    """
    found = histogramdd(input.reshape(-1, 1), [bins], range=range, weight=weight, density=density)
    return histogram_result(found.hist, found.bin_edges[0])
