"""Convolutions as functions, over one to three dimensions of space: forward, transposed, and their patches (`unfold`,
`fold`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fdl import lax, ops
from fdl.extend import Function, aval_of
from fdl.stateful.core.errors import TensorError
from fdl.stateful.core.methods import named
from fdl.stateful.core.tape import autocasting
from fdl.stateful.core.tensor import Tensor, apply

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "fold",
    "sizes_of",
    "unfold",
]

Sizes = tuple[int, ...]


def sizes_of(value: Any, n: int, what: str = "") -> Sizes:
    """One number for each of n dimensions, from a number or a sequence."""
    if isinstance(value, int):
        return (value,) * n
    found = tuple([int(v) for v in value])
    if len(found) == 1:
        return found * n
    if len(found) != n:
        raise TensorError(
            f"expected {what or 'argument'} to be a single integer value or a list of {n} values to match the "
            f"convolution dimensions, but got {list(found)}"
        )
    return found


def _padding_of(padding: Any, window: Sizes, strides: Sizes, dilation: Sizes) -> tuple[tuple[int, int], ...]:
    """Edges (low, high) from numbers, "valid" or "same"."""
    if padding == "valid":
        return ((0, 0),) * len(window)
    if padding == "same":
        if max(strides) > 1:
            raise TensorError("padding='same' is not supported for strided convolutions")
        total = [d * (k - 1) for k, d in zip(window, dilation, strict=True)]
        return tuple([(t // 2, t - t // 2) for t in total])
    return tuple([(p, p) for p in sizes_of(padding, len(window), "padding")])


def _with_batch(x: Any, n: int) -> tuple[Any, bool]:
    """The images with a batch axis, and whether they had none."""
    alone = aval_of(x).ndim == n + 1
    return (ops.expand_dims(x, (0,)), True) if alone else (x, False)


def _conv_body(x: Any, w: Any, *args: Any) -> Any:
    *bias, strides, padding, dilation, groups = args
    x, alone = _with_batch(x, len(strides))
    out = lax.conv_general_dilated(x, w, strides, padding, rhs_dilation=dilation, feature_group_count=groups)
    if bias:
        out = ops.add(out, ops.broadcast(bias[0], aval_of(out).shape, (1,)))
    return ops.reshape(out, aval_of(out).shape[1:]) if alone else out


_conv = Function(_conv_body, "convolution")


def _checked(x: Tensor, w: Tensor, n: int, groups: int, channels: int, what: str) -> None:
    shape, kernel = tuple(x.shape), tuple(w.shape)
    if len(shape) not in (n + 1, n + 2):
        raise TensorError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {what}{n}d, but got input of size: "
            f"{list(shape)}"
        )
    if x.dtype != w.dtype and autocasting.now is None:
        raise TensorError(f"Input type ({x.dtype}) and weight type ({w.dtype}) should be the same")
    if shape[-n - 1] != channels:
        raise TensorError(
            f"Given groups={groups}, weight of size {list(kernel)}, expected input{list(shape)} to have "
            f"{channels} channels, but got {shape[-n - 1]} channels instead"
        )


def _convolution(n: int, x: Tensor, w: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    _checked(x, w, n, groups, w.shape[1] * groups, "conv")
    strides, dilated = sizes_of(stride, n, "stride"), sizes_of(dilation, n, "dilation")
    window = tuple(w.shape[2:])
    edges = _padding_of(padding, window, strides, dilated)
    space = [s + a + b for s, (a, b) in zip(x.shape[-n:], edges, strict=True)]
    reach = [d * (k - 1) + 1 for k, d in zip(window, dilated, strict=True)]
    if any(s < r for s, r in zip(space, reach, strict=True)):
        sizes = [" x ".join(map(str, v)) for v in (space, reach)]
        raise TensorError(
            f"Calculated padded input size per channel: ({sizes[0]}). Kernel size: ({sizes[1]}). "
            "Kernel size can't be greater than actual input size"
        )
    return apply(_conv, (x, w, *(() if bias is None else (bias,))), (strides, edges, dilated, groups))


# by dimensions of space: its letters, and those of a window
_LETTERS = {1: ("L", "k"), 2: ("H, W", "kh, kw"), 3: ("D, H, W", "kd, kh, kw")}


def _of_space(n: int) -> Callable[..., Any]:
    def public(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        return _convolution(n, input, weight, bias, stride, padding, dilation, groups)

    space, window = _LETTERS[n]
    doc = f"Sums over windows of (N, C, {space}), or (C, {space}), with weights (out, C / groups, {window})."
    return named(public, f"conv{n}d", doc)


conv1d, conv2d, conv3d = map(_of_space, (1, 2, 3))


def _transposed_body(x: Any, w: Any, *args: Any) -> Any:
    """The transpose of a convolution: images spread by the stride, kernels mirrored, and channels in and out exchanged
    in each group.
    """
    *bias, strides, padding, extra, dilation, groups = args
    n = len(strides)
    x, alone = _with_batch(x, n)
    inner, outer, *window = aval_of(w).shape
    w = ops.reshape(w, (groups, inner // groups, outer, *window))
    w = ops.reshape(ops.transpose(w, (0, 2, 1, *range(3, n + 3))), (groups * outer, inner // groups, *window))
    w = ops.reverse(w, tuple(range(2, n + 2)))
    edges = [
        (d * (k - 1) - p, d * (k - 1) - p + e) for k, d, p, e in zip(window, dilation, padding, extra, strict=True)
    ]
    out = lax.conv_general_dilated(
        x, w, (1,) * n, edges, lhs_dilation=strides, rhs_dilation=dilation, feature_group_count=groups
    )
    if bias:
        out = ops.add(out, ops.broadcast(bias[0], aval_of(out).shape, (1,)))
    return ops.reshape(out, aval_of(out).shape[1:]) if alone else out


_transposed = Function(_transposed_body, "conv_transpose")


def _transposed_convolution(
    n: int, x: Tensor, w: Tensor, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any
) -> Any:
    _checked(x, w, n, groups, w.shape[0], "conv_transpose")
    strides, padded, extra, dilated = (sizes_of(v, n) for v in (stride, padding, output_padding, dilation))
    if any(e >= max(s, d) for e, s, d in zip(extra, strides, dilated, strict=True)):
        raise TensorError(
            "output padding must be smaller than either stride or dilation, but got output_padding: "
            f"{list(extra)}, stride: {list(strides)}, dilation: {list(dilated)}"
        )
    return apply(_transposed, (x, w, *(() if bias is None else (bias,))), (strides, padded, extra, dilated, groups))


def _transposed_of_space(n: int) -> Callable[..., Any]:
    def public(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        return _transposed_convolution(n, input, weight, bias, stride, padding, output_padding, groups, dilation)

    doc = f"The gradient of `conv{n}d` as an operation; weights are (C, out / groups, {_LETTERS[n][1]})."
    return named(public, f"conv_transpose{n}d", doc)


conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_transposed_of_space, (1, 2, 3))


# Patches


def _places(space: Sequence[int], window: Sizes, dilation: Sizes, padding: Sizes, strides: Sizes) -> Sizes:
    return tuple(
        [
            (s + 2 * p - d * (k - 1) - 1) // t + 1
            for s, k, d, p, t in zip(space, window, dilation, padding, strides, strict=True)
        ]
    )


def _offsets(window: Sizes, dilation: Sizes) -> list[Sizes]:
    """Where each element of a window lies."""
    found: list[Sizes] = [()]
    for k, d in zip(window, dilation, strict=True):
        found = [(*o, i * d) for o in found for i in range(k)]
    return found


def _unfold_body(x: Any, window: Sizes, dilation: Sizes, padding: Sizes, strides: Sizes) -> Any:
    n, c, *space = aval_of(x).shape
    places = _places(space, window, dilation, padding, strides)
    x = ops.pad(x, ops.full((), 0, aval_of(x).dtype), [(0, 0, 0), (0, 0, 0), *[(p, p, 0) for p in padding]])
    parts = []
    for offset in _offsets(window, dilation):
        stop = [o + (m - 1) * s + 1 for o, m, s in zip(offset, places, strides, strict=True)]
        parts.append(ops.expand_dims(ops.slice(x, [0, 0, *offset], [n, c, *stop], [1, 1, *strides]), (2,)))
    return ops.reshape(ops.concatenate(parts, 2), (n, c * len(parts), math.prod(places)))


def _fold_body(x: Any, space: Sizes, window: Sizes, dilation: Sizes, padding: Sizes, strides: Sizes) -> Any:
    """Each element of each patch is added where it came from."""
    places, offsets = _places(space, window, dilation, padding, strides), _offsets(window, dilation)
    n, rows, _ = aval_of(x).shape
    c = rows // len(offsets)
    x = ops.reshape(x, (n, c, len(offsets), *places))
    zero, total = ops.full((), 0, aval_of(x).dtype), None
    for i, offset in enumerate(offsets):
        part = ops.reshape(ops.slice_in_dim(x, i, i + 1, 2), (n, c, *places))
        edges = [
            (o - p, s + p - o - (m - 1) * t - 1, t - 1)
            for o, p, s, m, t in zip(offset, padding, space, places, strides, strict=True)
        ]
        part = ops.pad(part, zero, [(0, 0, 0), (0, 0, 0), *edges])
        total = part if total is None else ops.add(total, part)
    return total


_unfold, _fold = Function(_unfold_body, "unfold"), Function(_fold_body, "fold")


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Windows of (N, C, H, W), or (C, H, W), as columns: (N, C * kh * kw, places)."""
    settings = [sizes_of(v, 2) for v in (kernel_size, dilation, padding, stride)]
    places = _places(input.shape[-2:], *settings)
    if min(places) < 1:
        raise TensorError(
            f"Given input with spatial size {tuple(input.shape[-2:])}, kernel_size={settings[0]}, "
            f"dilation={settings[1]}, padding={settings[2]}, calculated shape of the array of "
            f"sliding blocks as {places}, but its components must be at least one."
        )
    if input.ndim == 3:
        return apply(_unfold, (input.unsqueeze(0),), tuple(settings)).squeeze(0)
    return apply(_unfold, (input,), tuple(settings))


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The transpose of `unfold`: columns added into an image of `output_size`."""
    settings = [sizes_of(v, 2) for v in (output_size, kernel_size, dilation, padding, stride)]
    places, count = math.prod(_places(*settings)), math.prod(settings[1])
    if input.shape[-1] != places or input.shape[-2] % count:
        raise TensorError(
            f"Given output_size={settings[0]}, kernel_size={settings[1]}, dilation={settings[2]}, "
            f"padding={settings[3]}, stride={settings[4]}, expected size of input's "
            f"dimension 2 "
            f"to match the calculated number of sliding blocks {places}, but got input of size {list(input.shape)}"
        )
    if input.ndim == 2:
        return apply(_fold, (input.unsqueeze(0),), tuple(settings)).squeeze(0)
    return apply(_fold, (input,), tuple(settings))
