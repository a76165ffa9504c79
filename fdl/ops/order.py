"""Order along the last axis, and sums in order: where sorted elements stand, the k largest ones, running sums.

Each is a routine that works on one row, with NumPy's function as the reference.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import ShapedArray
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero
from fdl.core.trace import aval_of
from fdl.ops.axes import convert
from fdl.ops.elementwise import add, not_equal, select
from fdl.ops.indexing import gather, jvp_in_first
from fdl.ops.order_loops import largest_places, running_sums, sorted_places
from fdl.ops.parts import Parts, check_real, componentwise
from fdl.ops.routines import ROUTINES, Routine
from fdl.ops.sample import Sample, c64, f32, i32, of
from fdl.ops.vocabulary import Value, Vocabulary

_SORTED = 64  # elements below which sorting costs what insertion does


def _row_of(x: ShapedArray, what: str) -> int:
    if not x.ndim:
        raise ShapeError(f"{what}: {x.describe()} has no last axis", hint="an array with at least one axis")
    length: int = x.shape[-1]
    return length


def _comparable(b: Vocabulary, x: Value) -> Value:
    """The operand in a dtype in which routines compare; no two elements change places."""
    if x.dtype == dtypes.bool_:
        return b.map("convert", x, dtype=dtypes.int8)
    return b.map("convert", x, dtype=dtypes.float32) if x.dtype in dtypes.NARROW_FLOATS else x


def _sort_cost(n: int) -> int:
    return 24 * n + 2048 if n >= _SORTED else n * (n + 8)


# argsort


def argsort(x: ArrayLike, descending: bool = False) -> Array:
    """Places along the last axis in the order of their elements, int32; equal ones stay in order, NaN counts as larger
    than all numbers. Complex numbers are ordered by their real parts, equal ones by their imaginary parts; those with a
    NaN part come last, as NumPy has them.

    >>> import fdl.numpy as jnp
    >>> argsort(jnp.array([3.0, 1.0, 2.0])).tolist()
    [1, 2, 0]
    """
    return argsort_p.bind(x, descending=descending)


def _argsort_shape(x: ShapedArray, *, descending: bool) -> ShapedArray:
    _row_of(x, "argsort")
    return x.update(dtype=dtypes.int32, weak_type=False)


def _ordered(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """In a dtype that NumPy orders with NaN last: of those from `ml_dtypes` it does not know how."""
    return x.astype(np.float32) if x.dtype in dtypes.NARROW_FLOATS else x


def _argsort_impl(x: np.ndarray[Any, Any], *, descending: bool) -> np.ndarray[Any, Any]:
    x = _ordered(x)
    if not descending:
        return np.argsort(x, axis=-1, kind="stable").astype(np.int32)
    # the mirror image of a stable order is stable from the other end
    order: np.ndarray[Any, Any] = x.shape[-1] - 1 - np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1]
    return order.astype(np.int32)


def _argsort_lower(b: Vocabulary, x: Value, *, descending: bool) -> Value:
    *lead, n = x.shape
    keys = _comparable(b, x)
    (places,) = b.routine(
        "argsort", len(lead), [keys], [((n,), dtypes.int32)], (n, int(descending)),
        lambda: [sorted_places(b, keys, descending)],
    )  # fmt: skip
    return places


def _argsort_parts(z: Parts, *, descending: bool) -> Array:
    """By the least important key first; each order keeps that of equal elements."""
    re_nan, im_nan = not_equal(z.re, z.re), not_equal(z.im, z.im)
    kinds = add(convert(im_nan, dtypes.int32), add(*[convert(re_nan, dtypes.int32)] * 2))
    order = argsort(select(im_nan, 0, z.im), descending)
    for key in (select(re_nan, 0, z.re), kinds):
        order = _along_last(order, argsort(_along_last(key, order), descending))
    return order


ROUTINES["argsort"] = Routine(
    lambda x, n, descending: [_argsort_impl(x, descending=bool(descending))], lambda n, _: _sort_cost(n)
)


def _nothing_moves(out: Any) -> tuple[Any, Any]:
    return out, Zero(aval_of(out))


_COMPLEX = np.array([complex(a, b) for a in (1, -1, np.nan, 0) for b in (2, np.nan, -3, 2, 1)], np.complex64)
argsort_p: Primitive = (
    Primitive("argsort")
    .define(
        shape=_argsort_shape,
        impl=_argsort_impl,
        jvp=lambda primals, tangents, *, descending: _nothing_moves(argsort_p.bind(*primals, descending=descending)),
        batch=lambda axis, args, batched, *, descending: (argsort_p.bind(*args, descending=descending), True),
        lower=_argsort_lower,
        parts=_argsort_parts,
        work=lambda avals, **_: 500 * avals[0].size,
        samples=[
            Sample((f32(3, 7),), {"descending": False}),
            Sample((i32(2, 100),), {"descending": True}),
            Sample((f32(300),), {"descending": True}),
            Sample((np.array([2.0, np.nan, -0.0, np.inf, 0.0, -np.inf, -np.nan], np.float32),), {"descending": False}),
            Sample(
                (np.array([2.0, np.nan, -0.0, np.inf, 0.0, -np.inf, -np.nan] * 20, np.float64),), {"descending": True}
            ),
            Sample((np.array([3, 1, 2**63, 0, 1], np.uint64),), {"descending": False}),
            Sample((np.array([3, 1, -(2**63), 0, 1] * 30, np.int64),), {"descending": False}),
            Sample((of(bool, 70),), {"descending": False}),
            Sample((of(dtypes.bfloat16, 2, 9),), {"descending": True}),
            Sample((_COMPLEX,), {"descending": False}),
            Sample((np.stack([_COMPLEX, _COMPLEX[::-1]]),), {"descending": True}),
            Sample((f32(2, 0),), {"descending": False}),
            Sample((f32(),), {"descending": False}, fails=ShapeError),
        ],
    )
    .register()
)


# top_k


def top_k(x: ArrayLike, k: int) -> list[Array]:
    """The k largest elements along the last axis, largest first, and where they stand (int32); of equal ones the first
    comes first.

    NaN counts as infinity.

    >>> import fdl.numpy as jnp
    >>> [part.tolist() for part in top_k(jnp.array([1.0, 5.0, 3.0]), 2)]
    [[5.0, 3.0], [1, 2]]
    """
    values, indices = top_k_p.bind_all(x, k=k)
    return [values, indices]


def _top_k_shape(x: ShapedArray, *, k: int) -> list[ShapedArray]:
    if not x.ndim or not 0 <= k <= x.shape[-1]:
        raise ShapeError(f"top_k: {x.describe()} has no {k} elements along its last axis", hint="a smaller k")
    check_real("top_k", x)
    shape = (*x.shape[:-1], k)
    return [x.update(shape=shape), x.update(shape=shape, dtype=dtypes.int32, weak_type=False)]


def _top_k_impl(x: np.ndarray[Any, Any], *, k: int) -> list[Any]:
    key = np.where(np.isnan(x), np.inf, x).astype(x.dtype) if dtypes.is_float(x.dtype) else x
    order = _argsort_impl(key, descending=True)[..., :k]
    return [np.take_along_axis(x, order, -1), order]


def _along_last(x: Any, indices: Any) -> Array:
    batch = aval_of(x).ndim - 1
    return gather(x, [indices], (batch,), batch)


def _top_k_jvp(primals: Any, tangents: Any, *, k: int) -> tuple[Any, Any]:
    values, indices = top_k_p.bind_all(*primals, k=k)
    return [values, indices], [_along_last(tangents[0], indices), Zero(aval_of(indices))]


def _top_k_lower(b: Vocabulary, x: Value, *, k: int) -> list[Value]:
    *lead, n = x.shape
    last = len(lead)
    if x.expensive:
        b.materialize(x, in_order=True)
    keys = _comparable(b, x)
    (indices,) = b.routine(
        "top_k", last, [keys], [((k,), dtypes.int32)], (n, k), lambda: [largest_places(b, keys, k)]
    )  # fmt: skip
    return [
        b.compute(
            (*lead, k),
            x.dtype,
            lambda i: x.at((*i[:last], b.clipped(indices.at(tuple(i)), n))),
            [x, indices],
            random_access=[x],
        ),
        indices,
    ]


ROUTINES["top_k"] = Routine(
    lambda x, n, k: [_top_k_impl(x, k=k)[1]], lambda n, k: 4 * n + k * k if k <= _SORTED else _sort_cost(n)
)

top_k_p: Primitive = (
    Primitive("top_k", multiple_results=True)
    .define(
        shape=_top_k_shape,
        impl=_top_k_impl,
        jvp=_top_k_jvp,
        batch=lambda axis, args, batched, *, k: (top_k_p.bind_all(*args, k=k), [True, True]),
        lower=_top_k_lower,
        work=lambda avals, **_: 500 * avals[0].size,
        samples=[
            Sample((f32(3, 7),), {"k": 3}),
            Sample((f32(5),), {"k": 5}),
            Sample((f32(2, 200, low=0.1, high=0.9),), {"k": 10}),
            Sample((f32(2, 200, low=0.1, high=0.9),), {"k": 150}),
            Sample((np.array([1, 3, 3, -1, 3], np.int32),), {"k": 4}),
            Sample((np.array([-np.inf, np.nan, 2.0, -np.inf, np.inf], np.float32),), {"k": 5}),
            Sample((np.array([-np.inf, np.nan, 2.0, -0.0, 0.0, np.inf] * 20, np.float64),), {"k": 100}),
            Sample((of(bool, 2, 6),), {"k": 2}),
            Sample((f32(4),), {"k": 0}),
            Sample((f32(3),), {"k": 4}, fails=ShapeError),
        ],
    )
    .register()
)


# cumsum


def cumsum(x: ArrayLike, axis: int, reverse: bool = False) -> Array:
    """Sums of the elements so far along an axis, from the end with `reverse`. Floats are summed up in float64, and
    rounded once an element.

    >>> import fdl.numpy as jnp
    >>> cumsum(jnp.array([1, 2, 3]), 0, reverse=True).tolist()
    [6, 5, 3]
    """
    return cumsum_p.bind(x, axis=axis, reverse=reverse)


def _cumsum_shape(x: ShapedArray, *, axis: int, reverse: bool) -> ShapedArray:
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"cumsum: {x.describe()} has no axis {axis}")
    if x.dtype == dtypes.bool_:
        raise DtypeError(f"cumsum of {x.describe()}", why="sums need numbers", hint="x.astype(int32)")
    return x


def _cumsum_impl(x: np.ndarray[Any, Any], *, axis: int, reverse: bool) -> np.ndarray[Any, Any]:
    wide = dtypes.float64 if dtypes.is_float(x.dtype) else dtypes.complex128 if dtypes.is_complex(x.dtype) else x.dtype
    turned = np.flip(x, axis) if reverse else x
    out = np.cumsum(turned, axis, dtype=wide).astype(x.dtype)
    return np.flip(out, axis) if reverse else out


def _cumsum_lower(b: Vocabulary, x: Value, *, axis: int, reverse: bool) -> Value:
    n, inner, dtype = x.shape[axis], math.prod(x.shape[axis + 1 :]), x.dtype
    if x.dtype in dtypes.NARROW_FLOATS:
        x = b.map("convert", x, dtype=dtypes.float32)

    (out,) = b.routine(
        "cumsum", axis, [x], [(x.shape[axis:], x.dtype)], (n, inner, int(reverse)),
        lambda: [running_sums(b, x, axis, reverse)],
    )  # fmt: skip
    return out if out.dtype == dtype else b.map("convert", out, dtype=dtype)


ROUTINES["cumsum"] = Routine(
    lambda x, n, inner, reverse: [_cumsum_impl(x.reshape(n, inner), axis=0, reverse=bool(reverse))],
    lambda n, inner, _: 4 * n * inner,
)

cumsum_p: Primitive = Primitive("cumsum")
cumsum_p.define(
    shape=_cumsum_shape,
    impl=_cumsum_impl,
    jvp=jvp_in_first(cumsum_p),
    transpose=lambda ct, operands, *, axis, reverse: [cumsum(ct, axis, not reverse)],
    batch=lambda axis_name, args, batched, *, axis, reverse: (cumsum(args[0], axis + 1, reverse), True),
    lower=_cumsum_lower,
    parts=componentwise(cumsum_p),
    samples=[
        Sample((c64(3, 7),), {"axis": 1, "reverse": False}),
        Sample((f32(3, 7),), {"axis": 1, "reverse": False}),
        Sample((f32(3, 70),), {"axis": 0, "reverse": True}),
        Sample((f32(2, 5, 3),), {"axis": 1, "reverse": False}),
        Sample((i32(40),), {"axis": 0, "reverse": True}),
        Sample((of(np.uint8, 6, low=0, high=100),), {"axis": 0, "reverse": False}),
        Sample((of(dtypes.bfloat16, 2, 9),), {"axis": 1, "reverse": False}),
        Sample((f32(2, 0),), {"axis": 1, "reverse": False}),
        Sample((f32(3),), {"axis": 1, "reverse": False}, fails=ShapeError),
        Sample((of(bool, 3),), {"axis": 0, "reverse": False}, fails=DtypeError),
    ],
).register()
