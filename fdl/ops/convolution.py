"""Convolution, as one primitive in one layout: windows of an image contracted with a kernel.

`conv` takes images (groups, batch, *space, channels in) and kernels (groups, *window, channels in, channels out), with
strides and with dilated windows, and pads nothing: padding and dilation of images are `pad`, other layouts are
transposes, which cost nothing where the compiler reads through them. Both of its gradients are convolutions again.
Compiled, it is the contraction of a view, so that it shares the matrix product's kernels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import ShapedArray
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import aval_of
from fdl.ops.axes import full, match, move_axis, transpose
from fdl.ops.elementwise import add
from fdl.ops.interleaved import apart, together, turning
from fdl.ops.parts import Parts
from fdl.ops.promotion import promote
from fdl.ops.sample import Sample, c64, f32, f64, i32
from fdl.ops.shape import concatenate, pad, reshape, reverse
from fdl.ops.shape import slice as slice_
from fdl.ops.vocabulary import Place, Value, Vocabulary

Sizes = tuple[int, ...]

_MAX_PARTS = 9  # of a strided convolution's gradient


def conv(images: Array, kernels: Array, strides: Sequence[int], dilation: Sequence[int]) -> Array:
    """Sums over windows: (groups, batch, *space, in) and (groups, *window, in, out) give (groups, batch, *places, out).

    A window's elements are `dilation` apart, windows `strides` apart; each lies inside of the image whole.

    >>> import fdl.numpy as jnp
    >>> conv(jnp.ones((1, 2, 8, 1)), jnp.ones((1, 3, 1, 5)), (2,), (1,)).shape
    (1, 2, 3, 5)
    """
    images, kernels = promote(images, kernels)
    return conv_p.bind(images, kernels, strides=tuple(map(int, strides)), dilation=tuple(map(int, dilation)))


def _reach(window: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """What a dilated window covers."""
    return [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]


def _places(space: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Sizes:
    """How many windows lie in the image."""
    return tuple(max((s - r) // t + 1, 0) for s, r, t in zip(space, _reach(window, dilation), strides, strict=True))


def _shape(images: ShapedArray, kernels: ShapedArray, *, strides: Sizes, dilation: Sizes) -> ShapedArray:
    n = images.ndim - 3
    if (
        n < 0
        or kernels.ndim != n + 3
        or len(strides) != n
        or len(dilation) != n
        or min((*strides, *dilation), default=1) < 1
    ):
        raise ShapeError(
            f"conv: {images.describe()} with kernels {kernels.describe()}, strides {strides} and dilation {dilation}",
            why=(
                "images are (groups, batch, *space, in), kernels (groups, *window, in, out), "
                "strides and dilation positive, one an axis of space"
            ),
        )
    if images.shape[0] != kernels.shape[0] or images.shape[-1] != kernels.shape[-2]:
        raise ShapeError(
            f"conv: {images.describe()} and kernels {kernels.describe()} do not fit",
            why="they have as many groups and channels",
        )
    if images.dtype != kernels.dtype or images.dtype == dtypes.bool_:
        raise DtypeError(
            f"conv: dtypes {images.dtype.name} and {kernels.dtype.name}",
            why="both must be the same number type",
            hint="x.astype(...)",
        )
    places = _places(images.shape[2:-1], kernels.shape[1:-2], strides, dilation)
    return images.update(
        shape=(*images.shape[:2], *places, kernels.shape[-1]), weak_type=images.weak_type and kernels.weak_type
    )


def _order(window: Sequence[int], channels: int) -> tuple[Sizes, int]:
    """The order of a sum: axes of the window from outer to inner, and the place of the channels among them. It follows
    from the shape: what has more elements is inside, as its elements lie next to each other where sums are long.
    """
    return tuple(range(len(window))), len(window) if math.prod(window) < max(channels, 2) else 0


def _impl(
    images: np.ndarray[Any, Any], kernels: np.ndarray[Any, Any], *, strides: Sizes, dilation: Sizes
) -> np.ndarray[Any, Any]:
    wide = dtypes.compute_dtype(images.dtype)
    window = kernels.shape[1:-2]
    places = _places(images.shape[2:-1], window, strides, dilation)
    out = np.zeros((*images.shape[:2], *places, kernels.shape[-1]), wide)
    x, w = images.astype(wide), kernels.astype(wide)
    for at in np.ndindex(*window):  # one product an element of the window
        cut = tuple(
            slice(i * d, i * d + (p - 1) * s + 1, s) if p else slice(0, 0)
            for i, d, p, s in zip(at, dilation, places, strides, strict=True)
        )
        part = x[(slice(None), slice(None), *cut)]
        out += np.matmul(
            part.reshape(part.shape[0], math.prod(part.shape[1:-1]), part.shape[-1]), w[(slice(None), *at)]
        ).reshape(out.shape)
    return out.astype(images.dtype)


def _jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    (x, w), (tx, tw) = primals, tangents
    out = conv_p.bind(x, w, **params)
    terms = [] if type(tx) is Zero else [conv_p.bind(match(tx, aval_of(x)), w, **params)]
    terms += [] if type(tw) is Zero else [conv_p.bind(x, match(tw, aval_of(w)), **params)]
    if not terms or not dtypes.is_inexact(aval_of(out).dtype):
        return out, Zero(aval_of(out))
    return out, terms[0] if len(terms) == 1 else add(*terms)


def _mirrored(kernels: Array) -> Array:
    """Kernels that lead back: (groups, *window from its end, out, in)."""
    n = aval_of(kernels).ndim - 3
    return transpose(reverse(kernels, range(1, n + 1)), (*range(n + 1), n + 2, n + 1))


def _by_spreading(ct: Any, kernels: Any, space: Sequence[int], strides: Sizes, dilation: Sizes) -> Array:
    """The cotangent of images: each place of the result, `strides` apart, goes back to its window."""
    reach = _reach(aval_of(kernels).shape[1:-2], dilation)
    covered = [(p - 1) * s + r for p, s, r in zip(aval_of(ct).shape[2:-1], strides, reach, strict=True)]
    edges = [(r - 1, r - 1 + s - c, t - 1) for r, s, c, t in zip(reach, space, covered, strides, strict=True)]
    spread = pad(ct, full((), 0, aval_of(ct).dtype), [(0, 0, 0), (0, 0, 0), *edges, (0, 0, 0)])
    return conv_p.bind(spread, _mirrored(kernels), strides=(1,) * len(strides), dilation=dilation)


def _by_residue(ct: Any, kernels: Any, space: Sequence[int], strides: Sizes, dilation: Sizes) -> Array:
    """The same without the zeros between places: pixels that leave one rest by the stride meet one part of the kernel
    only, r, r + stride, r + 2 stride ...
    """
    n, zero = len(space), full((), 0, aval_of(ct).dtype)
    window, places = aval_of(kernels).shape[1:-2], aval_of(ct).shape[2:-1]
    counts = [-(-d // s) for d, s in zip(space, strides, strict=True)]  # pixels of one rest
    parts = []
    for rest in np.ndindex(*strides):
        taps = [max(-(-(k - r) // s), 0) for k, r, s in zip(window, rest, strides, strict=True)]
        if 0 in taps or 0 in places:
            parts.append(full((*aval_of(ct).shape[:2], *counts, aval_of(kernels).shape[-2]), 0, aval_of(ct).dtype))
            continue
        part = slice_(kernels, (0, *rest, 0, 0), aval_of(kernels).shape, (1, *strides, 1, 1))
        edges = [(t - 1, j - p, 0) for t, j, p in zip(taps, counts, places, strict=True)]
        shifted = pad(ct, zero, [(0, 0, 0), (0, 0, 0), *edges, (0, 0, 0)])
        parts.append(conv_p.bind(shifted, _mirrored(part), strides=(1,) * n, dilation=dilation))
    shape = aval_of(parts[0]).shape
    stacked = reshape(concatenate([reshape(p, (1, *shape)) for p in parts], 0), (*strides, *shape))
    woven = transpose(stacked, (n, n + 1, *(a for i in range(n) for a in (n + 2 + i, i)), 2 * n + 2))
    whole = reshape(woven, (*shape[:2], *(j * s for j, s in zip(counts, strides, strict=True)), shape[-1]))
    return slice_(whole, (0,) * (n + 3), (*shape[:2], *space, shape[-1]), (1,) * (n + 3))


def conv_spread(
    images: Array,
    kernels: Array,
    spread: Sequence[int],
    edges: Sequence[tuple[int, int]],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> Array:
    """The convolution of images whose pixels are `spread` apart, with zeros between them and `edges` of zeros around.

    With windows one apart, and their elements, it is what leads back from a convolution with these strides, so that no
    zero between pixels is multiplied.

    >>> import fdl.numpy as jnp
    >>> images, kernels = jnp.array([1.0, 2.0]).reshape(1, 1, 2, 1), jnp.ones((1, 2, 1, 1))
    >>> conv_spread(images, kernels, (2,), [(1, 1)], (1,), (1,)).reshape(4).tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    images, kernels = promote(images, kernels)
    space, window = aval_of(images).shape[2:-1], aval_of(kernels).shape[1:-2]
    n = len(spread)
    covered = [(p - 1) * s + 1 + low + high for p, s, (low, high) in zip(space, spread, edges, strict=True)]
    cut = [k - 1 - low for k, (low, _) in zip(window, edges, strict=True)]
    plain = set(strides) | set(dilation) <= {1}
    if (
        not plain
        or not 1 < math.prod(spread) <= _MAX_PARTS
        or 0 in space
        or min(cut) < 0
        or any(c < k for c, k in zip(covered, window, strict=True))
    ):
        spaced = [(low, high, s - 1) for (low, high), s in zip(edges, spread, strict=True)]
        padded = pad(images, full((), 0, aval_of(images).dtype), [(0, 0, 0), (0, 0, 0), *spaced, (0, 0, 0)])
        return conv(padded, kernels, strides, dilation)
    places = [c - k + 1 for c, k in zip(covered, window, strict=True)]
    whole = _by_residue(
        images, _mirrored(kernels), [c + p for c, p in zip(cut, places, strict=True)], tuple(spread), (1,) * n
    )
    return slice_(whole, (0, 0, *cut, 0), aval_of(whole).shape, (1,) * (n + 3))


def _transpose(ct: Any, operands: Any, *, strides: Sizes, dilation: Sizes) -> list[Any]:
    images, kernels = operands
    space, window = images.aval.shape[2:-1], kernels.aval.shape[1:-2]
    n, reach, places = len(space), _reach(window, dilation), aval_of(ct).shape[2:-1]
    covered = [(p - 1) * s + r for p, s, r in zip(places, strides, reach, strict=True)]
    zero = full((), 0, aval_of(ct).dtype)
    out: list[Any] = [None, None]
    if is_linear(images):
        back = _by_residue if 1 < math.prod(strides) <= _MAX_PARTS and max(dilation) == 1 else _by_spreading
        out[0] = match(back(ct, kernels, space, strides, dilation), images.aval)
    if is_linear(kernels):
        # channels are the batch, and the batch is summed over: windows as large as the result, `strides` apart
        cut = pad(
            images,
            zero,
            [(0, 0, 0), (0, 0, 0), *((0, c - s, 0) for c, s in zip(covered, space, strict=True)), (0, 0, 0)],
        )
        by_channel = transpose(cut, (0, n + 2, *range(2, n + 2), 1))
        windows = transpose(ct, (0, *range(2, n + 2), 1, n + 2))
        summed = conv_p.bind(by_channel, windows, strides=dilation, dilation=strides)
        out[1] = match(transpose(summed, (0, *range(2, n + 2), 1, n + 2)), kernels.aval)
    return out


def _batch(axis: Any, args: Any, batched: Any, **params: Any) -> tuple[Any, Any]:
    x, w = args
    if all(batched):  # more groups
        b, g = aval_of(x).shape[:2]
        out = conv_p.bind(
            reshape(x, (b * g, *aval_of(x).shape[2:])), reshape(w, (b * g, *aval_of(w).shape[2:])), **params
        )
        return reshape(out, (b, g, *aval_of(out).shape[1:])), True
    if batched[0]:  # more images
        x = move_axis(x, 0, 1)
        g, b, n = aval_of(x).shape[:3]
        out = conv_p.bind(reshape(x, (g, b * n, *aval_of(x).shape[3:])), w, **params)
        return move_axis(reshape(out, (g, b, n, *aval_of(out).shape[2:])), 1, 0), True
    w = move_axis(w, 0, aval_of(w).ndim - 2)  # more channels out
    *head, b, o = aval_of(w).shape
    out = conv_p.bind(x, reshape(w, (*head, b * o)), **params)
    out = reshape(out, (*aval_of(out).shape[:-1], b, o))
    return move_axis(out, aval_of(out).ndim - 2, 0), True


def _lower(b: Vocabulary, images: Value, kernels: Value, *, strides: Sizes, dilation: Sizes) -> Value:
    """The contraction of a view: element (group, image, place, window, channel) lies where the window
    meets the image.
    """
    g, n, *space, c = images.shape
    window = kernels.shape[1:-2]
    places = _places(space, window, strides, dilation)
    d = len(space)

    def at(index: Place) -> Place:
        where = [
            i * s + j * t
            for i, j, s, t in zip(index[2 : 2 + d], index[2 + d : 2 + 2 * d], strides, dilation, strict=True)
        ]
        return (index[0], index[1], *where, index[-1])

    view = b.view((g, n, *places, *window, c), images, at, repeats=True)
    over, place = _order(window, c)
    left, right = [2 + d + a for a in over], [1 + a for a in over]
    left.insert(place, 2 + 2 * d)
    right.insert(place, 1 + d)
    return b.dot(view, kernels, ((tuple(left), tuple(right)), ((0,), (0,))), images.dtype)


def _parts(images: Parts, kernels: Parts, **params: Any) -> Parts:
    """One real convolution with twice the channels, as `dot_general` has it."""
    x, w = together(images), turning(kernels)
    *head, c, o, _, _ = aval_of(w).shape
    n = len(head)
    w = reshape(transpose(w, (*range(n), n, n + 2, n + 1, n + 3)), (*head, 2 * c, 2 * o))
    out = conv_p.bind(reshape(x, (*aval_of(x).shape[:-2], 2 * c)), w, **params)
    return apart(reshape(out, (*aval_of(out).shape[:-1], o, 2)))


conv_p = Primitive("conv")
conv_p.define(
    parts=_parts,
    shape=_shape,
    impl=_impl,
    jvp=_jvp,
    transpose=_transpose,
    batch=_batch,
    lower=_lower,
    work=lambda avals, *, strides, dilation: (
        _shape(*avals, strides=strides, dilation=dilation).size * math.prod(avals[1].shape[1:-1])
    ),
    in_order=lambda avals, **_: (
        (0,) if avals[1].shape[-2] != 1 else ()
    ),  # neighbouring channels are what products walk along
    samples=[
        Sample((f32(1, 2, 9, 7, 3), f32(1, 3, 2, 3, 4)), {"strides": (1, 1), "dilation": (1, 1)}),
        Sample((f32(1, 2, 9, 8, 3), f32(1, 3, 2, 3, 4)), {"strides": (2, 3), "dilation": (2, 1)}),
        Sample((c64(1, 2, 9, 8, 3), c64(1, 3, 2, 3, 4)), {"strides": (2, 3), "dilation": (2, 1)}),
        Sample((f32(2, 1, 11, 8), f32(2, 3, 8, 16)), {"strides": (2,), "dilation": (1,)}),
        Sample((f64(3, 2, 5, 1), f64(3, 2, 1, 1)), {"strides": (1,), "dilation": (3,)}),
        Sample(
            (f32(3, 2, 12, 11, 1), f32(3, 3, 3, 1, 1)), {"strides": (1, 1), "dilation": (1, 1)}
        ),  # each channel by itself
        Sample((f32(3, 2, 14, 23, 1), f32(3, 3, 2, 1, 2)), {"strides": (1, 2), "dilation": (2, 1)}),
        Sample((f32(1, 2, 4, 4, 4, 2), f32(1, 2, 2, 2, 2, 3)), {"strides": (1, 2, 1), "dilation": (1, 1, 2)}),
        Sample((f32(1, 2, 3), f32(1, 3, 4)), {"strides": (), "dilation": ()}),
        Sample((f32(1, 2, 2, 3), f32(1, 3, 3, 4)), {"strides": (1,), "dilation": (1,)}),
        Sample((i32(1, 1, 5, 2), i32(1, 2, 2, 3)), {"strides": (1,), "dilation": (1,)}),
        Sample((f32(1, 2, 4, 3), f32(1, 2, 2, 4)), {"strides": (1,), "dilation": (1,)}, fails=ShapeError),
        Sample((f32(1, 2, 4, 3), f32(1, 2, 3, 4)), {"strides": (0,), "dilation": (1,)}, fails=ShapeError),
        Sample((f32(1, 2, 4, 3), f64(1, 2, 3, 4)), {"strides": (1,), "dilation": (1,)}, fails=DtypeError),
    ],
).register()
