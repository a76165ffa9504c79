"""`pad`, in all of its modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fdl import ops
from fdl.extend import Function, aval_of
from fdl.stateful.core.errors import TensorError, UnsupportedError
from fdl.stateful.core.tensor import Tensor, apply

__all__ = ["pad"]


def _constant_body(x: Any, value: Any, edges: tuple[tuple[int, int], ...]) -> Any:
    return ops.pad(x, ops.cast(value, aval_of(x).dtype), [(a, b, 0) for a, b in edges])


def _part(x: Any, start: int, stop: int, axis: int, mirrored: bool = False) -> Any:
    found = ops.slice_in_dim(x, start, stop, axis)
    return ops.reverse(found, (axis,)) if mirrored else found


def _along(x: Any, axis: int, low: int, high: int, mode: str) -> Any:
    """One dimension continued at both ends; negative edges are cut off."""
    if not low and not high:
        return x
    size = aval_of(x).shape[axis]
    whole, full = x, size
    if low < 0 or high < 0:
        x = ops.slice_in_dim(x, max(-low, 0), size - max(-high, 0), axis)
        size, low, high = aval_of(x).shape[axis], max(low, 0), max(high, 0)
    if mode == "replicate":
        if not full and (low or high):
            raise TensorError("Expected a dimension with elements to replicate")
        before = [_part(whole, 0, 1, axis)] * low  # of what was there before anything was cut
        after = [_part(whole, full - 1, full, axis)] * high
    elif mode == "reflect":
        before, after = (
            [_part(x, 1, low + 1, axis, True)] * (low > 0),
            [_part(x, size - high - 1, size - 1, axis, True)] * (high > 0),
        )
    else:
        before, after = [_part(x, size - low, size, axis)] * (low > 0), [_part(x, 0, high, axis)] * (high > 0)
    return ops.concatenate([*before, x, *after], axis) if before or after else x


def _continued_body(x: Any, edges: tuple[tuple[int, int], ...], mode: str) -> Any:
    for axis, (low, high) in enumerate(edges):
        x = _along(x, axis, low, high, mode)
    return x


_constant, _continued = Function(_constant_body, "pad"), Function(_continued_body, "pad")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Any:
    """More elements at both ends of the last dimensions: `pad` is (left, right, top, bottom, ...), negative to cut.

    `mode` is "constant" (of `value`, 0 by default), "reflect", "replicate" or "circular".
    """
    given = [int(p) for p in pad]
    ndim = input.ndim
    if len(given) % 2 or len(given) > 2 * ndim:
        raise TensorError(
            "Padding length should be less than or equal to two times the input dimension but got padding "
            f"length {len(given)} and input of dimension {ndim}"
        )
    edges = [(0, 0)] * ndim
    for k in range(len(given) // 2):
        edges[ndim - 1 - k] = given[2 * k], given[2 * k + 1]
    if mode == "constant":
        return apply(_constant, (input, 0.0 if value is None else value), (tuple(edges),))
    if mode not in ("reflect", "replicate", "circular"):
        raise UnsupportedError(f"Unrecognised padding mode {mode}")
    for size, (low, high) in zip(input.shape, edges, strict=True):
        if mode == "reflect" and max(low, high) > 0 and max(low, high) >= size:
            raise TensorError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but got: "
                f"padding ({low}, {high}) at dimension of input {list(input.shape)}"
            )
        if mode == "circular" and max(low, high) > size:
            raise TensorError("Padding value causes wrapping around more than once.")
    return apply(_continued, (input,), (tuple(edges), mode))
