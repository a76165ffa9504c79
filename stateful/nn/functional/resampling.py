"""Images of other sizes, or seen from elsewhere: `interpolate`, `grid_sample`, and the shuffles between channels and
space.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Any

from fdl import ops
from fdl.extend import Function, aval_of, dtypes
from fdl.stateful.core.errors import ArgumentError, TensorError, UnsupportedError
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.nn.functional.convolution import sizes_of
from fdl.stateful.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

__all__ = [
    "affine_grid",
    "channel_shuffle",
    "grid_sample",
    "interpolate",
    "pixel_shuffle",
    "pixel_unshuffle",
    "upsample",
]

# Along one dimension


def _taken(x: Any, index: Any, axis: int) -> Any:
    return ops.move_axis(ops.gather(x, [index], (axis,)), 0, axis) if axis else ops.gather(x, [index], (0,))


def _source(n: int, scale: float, aligned: bool, dtype: Any) -> Any:
    """Where each new element lies among the old ones."""
    place = ops.convert(ops.iota((n,), 0), dtype)
    return ops.mul(place, scale) if aligned else ops.sub(ops.mul(ops.add(place, 0.5), scale), 0.5)


def _limited(index: Any, size: int) -> Any:
    return ops.minimum(ops.maximum(ops.convert(index, dtypes.int32), 0), size - 1)


def _nearest(x: Any, axis: int, n: int, scale: float, exact: bool) -> Any:
    size = aval_of(x).shape[axis]
    if n % size == 0 and scale == size / n:  # each element n / size times
        shape = aval_of(x).shape
        wide = ops.broadcast(
            x, (*shape[: axis + 1], n // size, *shape[axis + 1 :]), [a for a in range(len(shape) + 1) if a != axis + 1]
        )
        return ops.reshape(wide, (*shape[:axis], n, *shape[axis + 1 :]))
    place = ops.convert(ops.iota((n,), 0), dtypes.float32)
    return _taken(x, _limited(ops.floor(ops.mul(ops.add(place, 0.5) if exact else place, scale)), size), axis)


def _weighed(x: Any, weight: Any, axis: int) -> Any:
    return ops.mul(x, ops.broadcast(weight, aval_of(x).shape, (axis,)))


def _linear(x: Any, axis: int, n: int, scale: float, aligned: bool) -> Any:
    size, dtype = aval_of(x).shape[axis], aval_of(x).dtype
    where = ops.maximum(_source(n, scale, aligned, dtype), 0)
    low = _limited(ops.floor(where), size)
    share = ops.sub(where, ops.convert(low, dtype))
    high = ops.minimum(ops.add(low, 1), size - 1)
    return ops.add(
        _weighed(_taken(x, low, axis), ops.sub(1, share), axis), _weighed(_taken(x, high, axis), share, axis)
    )


def _cubic_weights(t: Any) -> list[Any]:
    """Keys, 1981, with a = -0.75, for the neighbours at -1, 0, 1 and 2."""
    a = -0.75

    def near(d: Any) -> Any:
        return ops.add(ops.mul(ops.mul(ops.sub(ops.mul(d, a + 2), a + 3), d), d), 1)

    def far(d: Any) -> Any:
        return ops.sub(ops.mul(ops.add(ops.mul(ops.sub(ops.mul(d, a), 5 * a), d), 8 * a), d), 4 * a)

    return [far(ops.add(t, 1)), near(t), near(ops.sub(1, t)), far(ops.sub(2, t))]


def _cubic(x: Any, axis: int, n: int, scale: float, aligned: bool) -> Any:
    size, dtype = aval_of(x).shape[axis], aval_of(x).dtype
    where = _source(n, scale, aligned, dtype)
    low = ops.floor(where)
    total = None
    for k, weight in enumerate(_cubic_weights(ops.sub(where, low))):
        part = _weighed(_taken(x, _limited(ops.add(low, k - 1), size), axis), weight, axis)
        total = part if total is None else ops.add(total, part)
    return total


def _filtered(x: Any, axis: int, n: int, scale: float, aligned: bool, cubic: bool) -> Any:
    """With antialiasing: a product with the matrix of weights, as wide as the scale where sizes shrink."""
    size, dtype = aval_of(x).shape[axis], aval_of(x).dtype
    wide = max(scale, 1.0)
    reach = (2.0 if cubic else 1.0) * wide
    centre = ops.mul(ops.add(ops.convert(ops.iota((n, size), 0), dtype), 0.5), scale)
    first, last = ops.floor(ops.add(ops.sub(centre, reach), 0.5)), ops.floor(ops.add(ops.add(centre, reach), 0.5))
    place = ops.convert(ops.iota((n, size), 1), dtype)
    distance = ops.abs(ops.div(ops.add(ops.sub(place, centre), 0.5), wide))
    if cubic:
        a = -0.5
        near = ops.add(ops.mul(ops.mul(ops.sub(ops.mul(distance, a + 2), a + 3), distance), distance), 1)
        far = ops.sub(ops.mul(ops.add(ops.mul(ops.sub(ops.mul(distance, a), 5 * a), distance), 8 * a), distance), 4 * a)
        weight = ops.select(ops.less(distance, 1), near, ops.select(ops.less(distance, 2), far, 0))
    else:
        weight = ops.maximum(ops.sub(1, distance), 0)
    weight = ops.select(ops.bitwise_and(ops.greater_equal(place, first), ops.less(place, last)), weight, 0)
    weight = ops.div(weight, ops.broadcast(ops.reduce_sum(weight, (1,)), (n, size), (0,)))
    return ops.move_axis(ops.dot_general(x, weight, (((axis,), (1,)), ((), ()))), aval_of(x).ndim - 1, axis)


def _resampled_body(
    x: Any, sizes: tuple[int, ...], scales: tuple[float, ...], mode: str, aligned: bool, smooth: bool
) -> Any:
    first = aval_of(x).ndim - len(sizes)
    for k, (n, scale) in enumerate(zip(sizes, scales, strict=True)):
        if mode.startswith("nearest"):
            x = _nearest(x, first + k, n, scale, mode == "nearest-exact")
        elif smooth:
            x = _filtered(x, first + k, n, scale, aligned, mode == "bicubic")
        else:
            x = (_cubic if mode == "bicubic" else _linear)(x, first + k, n, scale, aligned)
    return x


_resampled = Function(_resampled_body, "interpolate")
_RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Space of (N, C, ...) made `size`, or `scale_factor` times as large: nearest, nearest-exact, linear, bilinear,
    bicubic, trilinear or area.
    """
    n = input.ndim - 2
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ArgumentError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    if mode not in ("nearest", "area", "nearest-exact", *_RANKS):
        raise UnsupportedError(
            f"Input Error: mode {mode!r} is none of nearest, nearest-exact, linear, bilinear, bicubic, "
            "trilinear and area"
        )
    if n not in (1, 2, 3) or _RANKS.get(mode, n) != n:
        raise UnsupportedError(f"Input Error: {input.ndim}D input with mode {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ArgumentError(
            "either size or scale_factor should be defined"
            if size is None
            else "only one of size or scale_factor should be defined"
        )
    space = tuple(input.shape[2:])
    factors: Sequence[Any] = (
        ()
        if scale_factor is None
        else (scale_factor,) * n
        if isinstance(scale_factor, (int, float))
        else tuple(scale_factor)
    )
    sizes = (
        sizes_of(size, n)
        if size is not None
        else tuple([math.floor(d * float(f)) for d, f in zip(space, factors, strict=True)])
    )
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[n - 1](input, sizes)
    aligned = bool(align_corners)
    if aligned:
        scales = [(d - 1) / (m - 1) if m > 1 else 0.0 for d, m in zip(space, sizes, strict=True)]
    elif factors and not recompute_scale_factor:
        scales = [1.0 / float(f) for f in factors]
    else:
        scales = [d / m for d, m in zip(space, sizes, strict=True)]
    return apply(_resampled, (input,), (sizes, tuple(scales), mode, aligned, antialias))


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """`interpolate`."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


# At given places


def _grid_body(theta: Any, space: tuple[int, ...], aligned: bool) -> Any:
    """Corners lie at -1 and 1, or, unless aligned, the middles of the outermost elements half an element inside."""
    dtype, n = aval_of(theta).dtype, len(space)
    axes = []
    for k, d in enumerate(space):
        place = ops.convert(ops.iota(space, k), dtype)
        middle = (
            ops.sub(ops.mul(place, 2.0 / (d - 1)), 1)
            if aligned and d > 1
            else ops.mul(place, 0.0)
            if aligned
            else ops.sub(ops.div(ops.add(ops.mul(place, 2.0), 1.0), float(d)), 1)
        )
        axes.append(ops.expand_dims(middle, (n,)))
    base = ops.concatenate([*reversed(axes), ops.full((*space, 1), 1, dtype)], n)
    out = ops.dot_general(base, theta, (((n,), (2,)), ((), ())))  # (*space, N, n)
    return ops.move_axis(out, n, 0)


_grid = Function(_grid_body, "affine_grid")


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """Places for `grid_sample` from affine maps (N, n, n + 1); `size` is the result's (N, C, ...)."""
    return apply(_grid, (theta,), (tuple(size)[2:], bool(align_corners)))


def _placed(g: Any, size: int, aligned: bool) -> Any:
    return (
        ops.mul(ops.add(g, 1), (size - 1) / 2)
        if aligned
        else ops.div(ops.sub(ops.mul(ops.add(g, 1), float(size)), 1), 2.0)
    )


def _mirrored(x: Any, low: float, high: float) -> Any:
    """Reflected until it lies between two ends."""
    if high <= low:
        return ops.mul(x, 0.0)
    span = high - low
    x = ops.abs(ops.sub(x, low))
    turns = ops.floor(ops.div(x, span))
    rest = ops.sub(x, ops.mul(turns, span))
    even = ops.equal(ops.sub(turns, ops.mul(ops.floor(ops.div(turns, 2.0)), 2.0)), 0)
    return ops.select(even, ops.add(rest, low), ops.sub(span + low, rest))


def _sampled_body(x: Any, grid: Any, mode: str, padding: str, aligned: bool) -> Any:
    n = aval_of(x).ndim - 2
    space, dtype = aval_of(x).shape[2:], aval_of(x).dtype
    rows = ops.move_axis(x, 1, n + 1)  # (N, *space, C)

    def inside(v: Any, size: int) -> Any:
        if padding == "reflection":
            v = _mirrored(v, 0.0, size - 1.0) if aligned else _mirrored(v, -0.5, size - 0.5)
        return v if padding == "zeros" else ops.minimum(ops.maximum(v, 0), float(size - 1))

    def value(places: Sequence[Any]) -> Any:
        """Elements at whole places, zero outside."""
        held = [
            ops.bitwise_and(ops.greater_equal(p, 0), ops.less_equal(p, d - 1))
            for p, d in zip(places, space, strict=True)
        ]
        kept = functools.reduce(ops.bitwise_and, held)
        found = ops.gather(
            rows, [_limited(p, d) for p, d in zip(places, space, strict=True)], tuple(range(1, n + 1)), 1
        )
        return ops.select(ops.broadcast(kept, aval_of(found).shape, range(n + 1)), found, 0)

    raw = []
    for k, d in enumerate(space):  # the grid's last axis runs from the last dimension of space to the first
        g = ops.reshape(ops.slice_in_dim(grid, n - 1 - k, n - k, n + 1), aval_of(grid).shape[:-1])
        raw.append(_placed(g, d, aligned))
    places = raw if mode == "bicubic" else [inside(g, d) for g, d in zip(raw, space, strict=True)]
    if mode == "nearest":
        return ops.move_axis(value([ops.round_even(p) for p in places]), n + 1, 1)
    floors = [ops.floor(p) for p in places]
    shares = [ops.sub(p, f) for p, f in zip(places, floors, strict=True)]
    total: Any = None
    if mode == "bicubic":
        tables = [_cubic_weights(s) for s in shares]
        corners = [(i - 1, j - 1) for i in range(4) for j in range(4)]
    else:
        tables = [[ops.sub(1, s), s] for s in shares]
        corners = [tuple(int(b) for b in f"{c:0{n}b}") for c in range(2**n)]  # type: ignore[misc]
    shift = 1 if mode == "bicubic" else 0
    for corner in corners:
        weight = functools.reduce(ops.mul, [t[c + shift] for t, c in zip(tables, corner, strict=True)])
        at = [ops.add(f, float(c)) for f, c in zip(floors, corner, strict=True)]
        part = value([inside(p, d) for p, d in zip(at, space, strict=True)] if mode == "bicubic" else at)
        part = ops.mul(part, ops.broadcast(weight, aval_of(part).shape, range(n + 1)))
        total = part if total is None else ops.add(total, part)
    assert aval_of(total).dtype == dtype
    return ops.move_axis(total, n + 1, 1)


_sampled = Function(_sampled_body, "grid_sample")


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Any:
    """Images (N, C, ...) at places (N, ..., n) from -1 to 1: bilinear, nearest or bicubic; outside are zeros, the
    border, or reflections.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ArgumentError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', "
            f"but got: '{padding_mode}'"
        )
    if input.ndim not in (4, 5) or grid.ndim != input.ndim or grid.shape[-1] != input.ndim - 2:
        raise TensorError(
            f"grid_sampler(): expected grid to have size {input.ndim - 2} in last dimension, "
            f"but got grid with sizes {list(grid.shape)}"
        )
    return apply(_sampled, (input, grid), (mode, padding_mode, bool(align_corners)))


# Channels and space


def _shuffled_body(x: Any, r: int) -> Any:
    *lead, c, h, w = aval_of(x).shape
    k = len(lead)
    x = ops.reshape(x, (*lead, c // (r * r), r, r, h, w))
    return ops.reshape(
        ops.transpose(x, (*range(k), k, k + 3, k + 1, k + 4, k + 2)), (*lead, c // (r * r), h * r, w * r)
    )


def _unshuffled_body(x: Any, r: int) -> Any:
    *lead, c, h, w = aval_of(x).shape
    k = len(lead)
    x = ops.reshape(x, (*lead, c, h // r, r, w // r, r))
    return ops.reshape(ops.transpose(x, (*range(k), k, k + 2, k + 4, k + 1, k + 3)), (*lead, c * r * r, h // r, w // r))


def _regrouped_body(x: Any, groups: int) -> Any:
    n, c, *space = aval_of(x).shape
    x = ops.reshape(x, (n, groups, c // groups, *space))
    return ops.reshape(ops.transpose(x, (0, 2, 1, *range(3, len(space) + 3))), (n, c, *space))


_shuffled, _unshuffled, _regrouped = (
    Function(_shuffled_body, "pixel_shuffle"),
    Function(_unshuffled_body, "pixel_unshuffle"),
    Function(_regrouped_body, "channel_shuffle"),
)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Any:
    """Channels become space: (..., C * r * r, H, W) to (..., C, H * r, W * r) (Shi et al., 2016)."""
    if input.shape[-3] % upscale_factor**2:
        raise TensorError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
            "upscale_factor, but "
            f"input.size(-3)={input.shape[-3]} is not divisible by {upscale_factor**2}"
        )
    return apply(_shuffled, (input,), (upscale_factor,))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Any:
    """Space becomes channels: the inverse of `pixel_shuffle`."""
    return apply(_unshuffled, (input,), (downscale_factor,))


def channel_shuffle(input: Tensor, groups: int) -> Any:
    """Channels in groups exchanged with their places in the group (Zhang et al., 2018)."""
    return apply(_regrouped, (input,), (groups,))
