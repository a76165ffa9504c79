"""Pooling as functions: windows, and adaptive ones that give a wanted size, over one to three dimensions of space."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl import ops
from fdl.extend import Function, aval_of, custom_jvp, dtypes
from fdl.ops import lowest
from fdl.stateful.core.checks import Failure, OutsideError, check_range
from fdl.stateful.core.errors import ArgumentError, TensorError, UnsupportedError
from fdl.stateful.core.methods import named
from fdl.stateful.core.random import rand
from fdl.stateful.core.tensor import Tensor, apply
from fdl.stateful.nn.functional.convolution import sizes_of

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d", "adaptive_max_pool3d_with_indices", "avg_pool1d",
    "avg_pool2d", "avg_pool3d",
    "fractional_max_pool2d", "fractional_max_pool2d_with_indices", "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices",
    "max_pool3d", "max_pool3d_with_indices",
    "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip

Sizes = tuple[int, ...]


def _places(space: Sequence[int], window: Sizes, strides: Sizes, padding: Sizes, dilation: Sizes, ceil: bool) -> Sizes:
    """How many windows there are; with `ceil` also the last one that begins inside, or in the padding before."""
    found = []
    for d, k, s, p, a in zip(space, window, strides, padding, dilation, strict=True):
        left = d + 2 * p - a * (k - 1) - 1
        n = (-(-left // s) if ceil else left // s) + 1
        found.append(n - 1 if ceil and (n - 1) * s >= d + p else n)
    return tuple(found)


def _extended(x: Any, fill: Any, places: Sizes, window: Sizes, strides: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """The images with borders, so that exactly the windows at `places` lie inside."""
    shape = aval_of(x).shape
    n = len(window)
    edges = []
    for d, m, k, s, p, a in zip(shape[-n:], places, window, strides, padding, dilation, strict=True):
        edges.append((p, (m - 1) * s + a * (k - 1) + 1 - d - p, 0))
    return ops.pad(x, ops.full((), fill, aval_of(x).dtype), [(0, 0, 0)] * (len(shape) - n) + edges)


def _checked(x: Tensor, n: int, window: Sizes, strides: Sizes, padding: Sizes, places: Sizes, what: str) -> None:
    if x.ndim not in (n + 1, n + 2):
        raise TensorError(
            f"{what}{n}d() Expected {n + 1}D or {n + 2}D (batch mode) tensor, but got {x.ndim}D input of size: "
            f"{list(x.shape)}"
        )
    if min(strides) <= 0:
        raise TensorError("stride should not be zero")
    if any(2 * p > k for p, k in zip(padding, window, strict=True)):
        raise TensorError(
            f"pad should be at most half of effective kernel size, but got pad={padding[0]}, "
            f"kernel_size={window[0]} and dilation=1"
        )
    if min(places) <= 0:
        raise TensorError(
            f"Given input size: {tuple(x.shape[-n - 1 :])}. Calculated output size: "
            f"{(x.shape[-n - 1], *places)}. Output size is too small"
        )


# Maxima


def _max_body(x: Any, window: Sizes, strides: Sizes, padding: Sizes, dilation: Sizes, places: Sizes) -> Any:
    lead = (1,) * (aval_of(x).ndim - len(window))
    x = _extended(x, lowest(aval_of(x).dtype), places, window, strides, padding, dilation)
    return ops.reduce_windows("max", x, (*lead, *window), (*lead, *strides), (*lead, *dilation))


def _max_index_body(x: Any, window: Sizes, strides: Sizes, padding: Sizes, dilation: Sizes, places: Sizes) -> Any:
    """Maxima and where they stand in the flattened space."""
    shape, n = aval_of(x).shape, len(window)
    lead, space = shape[:-n], shape[-n:]
    wide = _extended(x, lowest(aval_of(x).dtype), places, window, strides, padding, dilation)
    parts, flat = [], []
    for offset in np.ndindex(*window):
        start = [o * a for o, a in zip(offset, dilation, strict=True)]
        stop = [b + (m - 1) * s + 1 for b, m, s in zip(start, places, strides, strict=True)]
        parts.append(
            ops.expand_dims(
                ops.slice(wide, [0] * len(lead) + start, [*lead, *stop], [1] * len(lead) + list(strides)), (0,)
            )
        )
        place: Any = ops.full(places, 0, dtypes.int64)
        for k, (b, s, p, d) in enumerate(zip(start, strides, padding, space, strict=True)):
            place = ops.add(ops.mul(place, d), ops.add(ops.mul(ops.iota(places, k, dtypes.int64), s), b - p))
        flat.append(ops.expand_dims(place, (0,)))
    stacked = ops.concatenate(parts, 0)
    which = ops.argmax(stacked, 0, dtypes.int64)
    values = ops.reshape(ops.gather_along(stacked, ops.expand_dims(which, (0,)), 0), aval_of(which).shape)
    table = ops.concatenate(flat, 0)
    spots = [
        ops.broadcast(ops.iota(places, k, dtypes.int64), aval_of(which).shape, range(len(lead), len(shape)))
        for k in range(n)
    ]
    return values, ops.gather(table, [which, *spots], tuple(range(n + 1)))


_max, _max_index = Function(_max_body, "max_pool"), Function(_max_index_body, "max_pool_with_indices")


def _with_indices(pool: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """The function of `pool` that gives places without being asked for them."""

    def with_indices(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        values, places = pool(*args, **{**kwargs, "return_indices": True})
        return values, places

    return named(with_indices, f"{pool.__name__}_with_indices", f"`{pool.__name__}` with places.")


def _max_pool(n: int) -> Callable[..., Any]:
    def public(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        window = sizes_of(kernel_size, n)
        strides = sizes_of(stride, n) if stride else window
        padded, dilated = sizes_of(padding, n), sizes_of(dilation, n)
        places = _places(input.shape[-n:], window, strides, padded, dilated, ceil_mode)
        _checked(input, n, window, strides, padded, places, "max_pool")
        return apply(_max_index if return_indices else _max, (input,), (window, strides, padded, dilated, places))

    return named(
        public,
        f"max_pool{n}d",
        f"The largest element of each window over {n} dimensions; with `return_indices` also its place in the "
        "flattened space.",
    )


max_pool1d, max_pool2d, max_pool3d = map(_max_pool, (1, 2, 3))
max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = map(
    _with_indices, (max_pool1d, max_pool2d, max_pool3d)
)


def _unpool_body(x: Any, places: Any, space: Sizes) -> Any:
    shape = aval_of(x).shape
    lead, rows = shape[: -len(space)], math.prod(shape[: -len(space)])
    flat, index = (
        ops.reshape(x, (rows, math.prod(shape) // max(rows, 1))),
        ops.reshape(places, (rows, math.prod(shape) // max(rows, 1))),
    )
    zeros, where = (
        ops.full((rows, math.prod(space)), 0, aval_of(x).dtype),
        [ops.iota(aval_of(index).shape, 0, dtypes.int64), index],
    )
    put = custom_jvp(
        lambda values, zeros, *where: ops.scatter(zeros, values, where, (0, 1))
    )  # the gradient is gathered, also where two met
    put.defjvp(
        lambda primals, tangents: (
            put(*primals),
            ops.scatter_add(ops.mul(primals[1], 0), tangents[0], primals[2:], (0, 1)),
        )
    )
    return ops.reshape(put(flat, zeros, *where), (*lead, *space))


_unpool = Function(_unpool_body, "max_unpool")


def _max_unpool(n: int) -> Callable[..., Any]:
    def public(
        input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
    ) -> Any:
        window = sizes_of(kernel_size, n)
        strides, padded = window if stride is None else sizes_of(stride, n), sizes_of(padding, n)
        space = tuple(
            [(d - 1) * s - 2 * p + k for d, s, p, k in zip(input.shape[-n:], strides, padded, window, strict=True)]
        )
        if output_size is not None:
            wanted = tuple(output_size)[-n:]
            if any(not d - s < w < d + s for d, s, w in zip(space, strides, wanted, strict=True)):
                raise ArgumentError(
                    f"invalid output_size {wanted} (dim must be between "
                    f"{[d - s for d, s in zip(space, strides, strict=True)]} and their upper ends)"
                )
            space = wanted
        size = math.prod(space)
        rest = f"(output volumes are of size {'x'.join(map(str, space))})"
        check_range(
            indices,
            0,
            size - 1,
            Failure(OutsideError, f"Found an invalid max index: {{}} {rest}", f"Found an invalid max index {rest}"),
        )
        return apply(_unpool, (input, indices), (space,))

    return named(public, f"max_unpool{n}d", f"Elements put back where `max_pool{n}d` found them, zeros elsewhere.")


max_unpool1d, max_unpool2d, max_unpool3d = map(_max_unpool, (1, 2, 3))

# Means


def _count_along(size: int, places: int, k: int, s: int, p: int, padding: bool, dtype: Any) -> Any:
    """How many elements the windows along one dimension hold: those of the padding count if they are told to, those
    beyond it never.
    """
    start = ops.sub(ops.mul(ops.iota((places,), 0, dtypes.int64), s), p)
    stop = ops.minimum(ops.add(start, k), size + p)
    if not padding:
        start, stop = ops.maximum(start, 0), ops.minimum(stop, size)
    return ops.convert(ops.sub(stop, start), dtype)


def _avg_body(
    x: Any, window: Sizes, strides: Sizes, padding: Sizes, places: Sizes, counted: bool, divisor: int | None
) -> Any:
    shape, n = aval_of(x).shape, len(window)
    lead, ones = (1,) * (len(shape) - n), (1,) * n
    wide = _extended(x, 0, places, window, strides, padding, ones)
    total = ops.reduce_windows("add", wide, (*lead, *window), (*lead, *strides), (*lead, *ones))
    beyond = any(
        (m - 1) * s + k > d + 2 * p for d, m, k, s, p in zip(shape[-n:], places, window, strides, padding, strict=True)
    )
    if divisor is not None or (not beyond and (counted or not any(padding))):
        return ops.div(total, math.prod(window) if divisor is None else divisor)
    for k in range(n):
        along = _count_along(
            shape[len(lead) + k], places[k], window[k], strides[k], padding[k], counted, aval_of(x).dtype
        )
        total = ops.div(total, ops.broadcast(along, aval_of(total).shape, (len(lead) + k,)))
    return total


_avg = Function(_avg_body, "avg_pool")


def _avg_pool(n: int) -> Callable[..., Any]:
    def public(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        window = sizes_of(kernel_size, n)
        strides, padded = sizes_of(stride, n) if stride else window, sizes_of(padding, n)
        places = _places(input.shape[-n:], window, strides, padded, (1,) * n, ceil_mode)
        _checked(input, n, window, strides, padded, places, "avg_pool")
        kind = aval_of(input._value()).dtype
        if not dtypes.is_float(kind) and kind != dtypes.int64:
            raise UnsupportedError(
                f'"avg_pool{n}d" is not implemented for {input.dtype}: means are of floats, or of int64, '
                "which truncates"
            )
        if divisor_override == 0:
            raise TensorError("divisor must be not zero")
        return apply(_avg, (input,), (window, strides, padded, places, count_include_pad, divisor_override))

    return named(
        public,
        f"avg_pool{n}d",
        f"The mean of each window over {n} dimensions; `count_include_pad` says whether zeros of the padding count.",
    )


avg_pool1d, avg_pool2d, avg_pool3d = map(_avg_pool, (1, 2, 3))


def _lp_body(x: Any, p: Any, window: Sizes, strides: Sizes, places: Sizes, exponent: int | None) -> Any:
    """As PyTorch: a negative mean keeps its sign under the root, and is no number where the root is not odd."""
    n = len(window)
    powers = ops.integer_pow(x, exponent) if exponent is not None else ops.pow(x, ops.cast(p, aval_of(x).dtype))
    total = ops.mul(_avg_body(powers, window, strides, (0,) * n, places, True, None), float(math.prod(window)))
    root = ops.div(1.0, ops.cast(p, aval_of(x).dtype))
    zero = ops.equal(total, 0)
    return ops.select(zero, 0, ops.pow(ops.select(zero, 1, total), root))


_lp = Function(_lp_body, "lp_pool")


def _lp_pool(n: int) -> Callable[..., Any]:
    def public(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
        window = sizes_of(kernel_size, n)
        strides = window if stride is None else sizes_of(stride, n)
        places = _places(input.shape[-n:], window, strides, (0,) * n, (1,) * n, ceil_mode)
        exponent = int(norm_type) if float(norm_type).is_integer() else None
        return apply(_lp, (input, float(norm_type)), (window, strides, places, exponent))

    return named(public, f"lp_pool{n}d", f"The p-norm of each window over {n} dimensions.")


lp_pool1d, lp_pool2d, lp_pool3d = map(_lp_pool, (1, 2, 3))

# Windows that follow from the wanted size


def _region(size: int, places: int, i: int) -> tuple[int, int]:
    return i * size // places, -(-(i + 1) * size // places)


def _adaptive_avg_body(x: Any, places: Sizes) -> Any:
    """Axis by axis: a mean of equal parts, else a product with the matrix of weights."""
    for k, m in enumerate(places):
        shape = aval_of(x).shape
        axis = len(shape) - len(places) + k
        d = shape[axis]
        if d % m == 0:
            x = jnp.mean(ops.reshape(x, (*shape[:axis], m, d // m, *shape[axis + 1 :])), axis + 1)
            continue
        place, element = (ops.iota((m, d), a, dtypes.int64) for a in (0, 1))
        start = ops.div(ops.mul(place, d), m)
        stop = ops.div(ops.add(ops.mul(ops.add(place, 1), d), m - 1), m)
        inside = ops.bitwise_and(ops.greater_equal(element, start), ops.less(element, stop))
        weights = ops.div(ops.convert(inside, aval_of(x).dtype), ops.convert(ops.sub(stop, start), aval_of(x).dtype))
        x = ops.move_axis(ops.dot_general(x, weights, (((axis,), (1,)), ((), ()))), len(shape) - 1, axis)
    return x


def _adaptive_max_body(x: Any, places: Sizes) -> Any:
    """Maxima of each region, and where they stand in the flattened space."""
    shape, n = aval_of(x).shape, len(places)
    lead, space = shape[:-n], shape[-n:]
    values, indices = [], []
    for place in np.ndindex(*places):
        regions = [_region(d, m, i) for d, m, i in zip(space, places, place, strict=True)]
        part = ops.slice(x, [0] * len(lead) + [a for a, _ in regions], [*lead, *(b for _, b in regions)])
        sizes = [b - a for a, b in regions]
        flat = ops.reshape(part, (*lead, math.prod(sizes)))
        which = ops.argmax(flat, len(lead), dtypes.int64)
        values.append(ops.gather_along(flat, ops.expand_dims(which, (len(lead),)), len(lead)))
        found: Any = ops.full((), 0, dtypes.int64)
        left, stride = which, 1
        for (a, _), size, d in zip(reversed(regions), reversed(sizes), reversed(space), strict=True):
            found = ops.add(found, ops.mul(ops.add(ops.rem(left, size), a), stride))
            left, stride = ops.div(left, size), stride * d
        indices.append(ops.expand_dims(found, (len(lead),)))
    return tuple([ops.reshape(ops.concatenate(v, len(lead)), (*lead, *places)) for v in (values, indices)])


_adaptive_avg, _adaptive_max = (
    Function(_adaptive_avg_body, "adaptive_avg_pool"),
    Function(_adaptive_max_body, "adaptive_max_pool"),
)


def _wanted(x: Tensor, output_size: Any, n: int, what: str) -> Sizes:
    """The wanted sizes; None keeps one."""
    given = (output_size,) * n if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if x.ndim not in (n + 1, n + 2) or len(given) != n:
        raise TensorError(f"{what}{n}d(): Expected {n + 1}D or {n + 2}D tensor, but got {list(x.shape)}")
    return tuple([d if w is None else int(w) for d, w in zip(x.shape[-n:], given, strict=True)])


def _adaptive_means(n: int) -> Callable[..., Any]:
    def public(input: Tensor, output_size: Any) -> Any:
        return apply(_adaptive_avg, (input,), (_wanted(input, output_size, n, "adaptive_avg_pool"),))

    return named(
        public, f"adaptive_avg_pool{n}d", f"Means of regions over {n} dimensions, as many as wanted; None keeps a size."
    )


def _adaptive_maxima(n: int) -> Callable[..., Any]:
    def public(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        found = apply(_adaptive_max, (input,), (_wanted(input, output_size, n, "adaptive_max_pool"),))
        return found if return_indices else found[0]

    return named(public, f"adaptive_max_pool{n}d", f"Maxima of regions over {n} dimensions, as many as wanted.")


adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = map(_adaptive_means, (1, 2, 3))
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = map(_adaptive_maxima, (1, 2, 3))
adaptive_max_pool1d_with_indices, adaptive_max_pool2d_with_indices, adaptive_max_pool3d_with_indices = map(
    _with_indices, (adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d)
)


# Windows at random places


def _fractional_body(x: Any, samples: Any, window: Sizes, places: Sizes) -> Any:
    """Maxima, and where they stand; windows begin where a random sequence of steps leads (Graham, 2015). Samples are
    (N, C, dimensions).
    """
    shape, n = aval_of(x).shape, len(window)
    lead, space = shape[:2], shape[2:]
    starts = []
    for k, (d, m, w) in enumerate(zip(space, places, window, strict=True)):
        u = ops.reshape(ops.slice_in_dim(samples, k, k + 1, 2), (*lead, 1))
        place = ops.convert(ops.iota((*lead, m), 2), aval_of(u).dtype)
        alpha = (d - w) / (m - 1) if m > 1 else 0.0
        u = ops.broadcast_to(u, (*lead, m))
        start = ops.sub(
            ops.convert(ops.mul(ops.add(place, u), alpha), dtypes.int64), ops.convert(ops.mul(u, alpha), dtypes.int64)
        )
        starts.append(ops.select(ops.equal(ops.iota((*lead, m), 2), m - 1), d - w, start))
    values, flat = [], []
    for offset in np.ndindex(*window):
        full_shape = (*lead, *places)
        index = [
            ops.broadcast(ops.add(s, o), full_shape, (0, 1, 2 + k))
            for k, (s, o) in enumerate(zip(starts, offset, strict=True))
        ]
        found = ops.gather(x, index, tuple(range(2, n + 2)), 2)
        number = index[0]
        for i, d in zip(index[1:], space[1:], strict=True):
            number = ops.add(ops.mul(number, d), i)
        values.append(ops.expand_dims(found, (0,)))
        flat.append(ops.expand_dims(number, (0,)))
    stacked, table = ops.concatenate(values, 0), ops.concatenate(flat, 0)
    which = ops.expand_dims(ops.argmax(stacked, 0, dtypes.int64), (0,))
    return tuple([ops.reshape(ops.gather_along(t, which, 0), (*lead, *places)) for t in (stacked, table)])


_fractional = Function(_fractional_body, "fractional_max_pool")


def _fractional_pool(n: int) -> Callable[..., Any]:
    def public(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> Any:
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(f"fractional_max_pool{n}d requires specifying either an output_size or an output_ratio")
        alone = input.ndim == n + 1
        x: Any = input.unsqueeze(0) if alone else input
        ratio = (output_ratio,) * n if isinstance(output_ratio, float) else output_ratio
        places = (
            sizes_of(output_size, n)
            if output_size is not None
            else tuple([int(d * r) for d, r in zip(x.shape[2:], ratio, strict=True)])
        )
        samples = rand(x.shape[0], x.shape[1], n, dtype=x.dtype) if _random_samples is None else _random_samples
        # PyTorch draws the last dimension first
        found = apply(_fractional, (x, samples.flip(-1)), (sizes_of(kernel_size, n), places))
        values, indices = (t.squeeze(0) for t in found) if alone else found
        return (values, indices) if return_indices else values

    return named(
        public,
        f"fractional_max_pool{n}d",
        f"Maxima of windows at random places over {n} dimensions (Graham, 2015).",
    )


fractional_max_pool2d, fractional_max_pool3d = map(_fractional_pool, (2, 3))
fractional_max_pool2d_with_indices, fractional_max_pool3d_with_indices = map(
    _with_indices, (fractional_max_pool2d, fractional_max_pool3d)
)
