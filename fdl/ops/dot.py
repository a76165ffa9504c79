"""The contraction of two arrays, in full generality: products of matrices, batches of them, inner and
outer products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import ShapedArray, shaped
from fdl.core.dtypes import DType
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.graph import ArrayLike
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import aval_of
from fdl.ops.axes import convert, match, transpose, zeros_like
from fdl.ops.elementwise import add
from fdl.ops.interleaved import apart, together, turning
from fdl.ops.parts import Parts
from fdl.ops.promotion import promote
from fdl.ops.sample import Sample, c64, f32, f64, i32, of

Axes = tuple[int, ...]
Numbers = tuple[tuple[Axes, Axes], tuple[Axes, Axes]]


def dot_general(lhs: ArrayLike, rhs: ArrayLike, dimension_numbers: Any, preferred_element_type: Any = None) -> Array:
    """Sum of products over contracted axes; `dimension_numbers` is `((lhs_contract, rhs_contract), (lhs_batch,
    rhs_batch))`.

    The result has the batch axes, then lhs's other axes, then rhs's.  Narrow floats are accumulated in float32.

    >>> import fdl.numpy as jnp
    >>> dot_general(jnp.ones((5, 2, 3)), jnp.ones((5, 3, 4)), (((2,), (1,)), ((0,), (0,)))).shape
    (5, 2, 4)
    """
    lhs, rhs = promote(lhs, rhs)
    contract, batch = dimension_numbers
    numbers = tuple(tuple(tuple(int(a) for a in side) for side in pair) for pair in (contract, batch))
    dtype = aval_of(lhs).dtype if preferred_element_type is None else dtypes.canonical(preferred_element_type)
    return dot_general_p.bind(lhs, rhs, numbers=numbers, dtype=dtype)


def free_axes(ndim: int, *used: Sequence[int]) -> list[int]:
    """Axes that are neither contracted nor batch axes."""
    taken = {a for axes in used for a in axes}
    return [a for a in range(ndim) if a not in taken]


def _dot_shape(lhs: ShapedArray, rhs: ShapedArray, *, numbers: Numbers, dtype: DType) -> ShapedArray:
    (lc, rc), (lb, rb) = numbers
    for what, la, ra in (("contracted", lc, rc), ("batch", lb, rb)):
        inside = all(0 <= a < lhs.ndim for a in la) and all(0 <= a < rhs.ndim for a in ra)
        sizes = ([lhs.shape[a] for a in la], [rhs.shape[a] for a in ra]) if inside else ([], [None])
        if sizes[0] != sizes[1]:
            raise ShapeError(
                f"dot_general: {lhs.describe()} and {rhs.describe()} do not fit",
                why=f"the {what} axes {la} and {ra} have different sizes",
                hint="x.T, or other axes",
            )
    if len({*lc, *lb}) != len(lc) + len(lb) or len({*rc, *rb}) != len(rc) + len(rb):
        raise ShapeError(f"dot_general: an axis stands twice in {numbers}")
    if lhs.dtype != rhs.dtype or lhs.dtype == dtypes.bool_:
        raise DtypeError(
            f"dot_general: dtypes {lhs.dtype.name} and {rhs.dtype.name}",
            why="both must be the same number type",
            hint="x.astype(...)",
        )
    shape = (
        [lhs.shape[a] for a in lb]
        + [lhs.shape[a] for a in free_axes(lhs.ndim, lc, lb)]
        + [rhs.shape[a] for a in free_axes(rhs.ndim, rc, rb)]
    )
    return shaped(tuple(shape), dtype, lhs.weak_type and rhs.weak_type and dtype == lhs.dtype)


def product_dtype(operand: DType, result: DType) -> DType:
    """The dtype in which products are made and summed up: the wider one of operand and result, the result's where one
    of them is an integer.
    """
    a, b = dtypes.compute_dtype(operand), dtypes.compute_dtype(result)
    return a if dtypes.is_inexact(a) == dtypes.is_inexact(b) and a.itemsize >= b.itemsize else b


def _dot_impl(
    lhs: np.ndarray[Any, Any], rhs: np.ndarray[Any, Any], *, numbers: Numbers, dtype: DType
) -> np.ndarray[Any, Any]:
    (lc, rc), (lb, rb) = numbers
    wide = product_dtype(lhs.dtype, dtype)
    lf, rf = free_axes(lhs.ndim, lc, lb), free_axes(rhs.ndim, rc, rb)
    batch = [lhs.shape[a] for a in lb]
    a = lhs.transpose([*lb, *lf, *lc]).reshape(
        [*batch, math.prod(lhs.shape[i] for i in lf), math.prod(lhs.shape[i] for i in lc)]
    )
    b = rhs.transpose([*rb, *rc, *rf]).reshape(
        [*batch, math.prod(rhs.shape[i] for i in rc), math.prod(rhs.shape[i] for i in rf)]
    )
    out: np.ndarray[Any, Any] = np.matmul(a.astype(wide), b.astype(wide)).astype(dtype)
    return out.reshape([*batch, *(lhs.shape[i] for i in lf), *(rhs.shape[i] for i in rf)])


def _dot_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    (a, b), (ta, tb) = primals, tangents
    out = dot_general_p.bind(a, b, **params)
    terms = [] if type(ta) is Zero else [dot_general_p.bind(match(ta, aval_of(a)), b, **params)]
    terms += [] if type(tb) is Zero else [dot_general_p.bind(a, match(tb, aval_of(b)), **params)]
    if not terms or not dtypes.is_inexact(aval_of(out).dtype):
        return out, Zero(aval_of(out))
    return out, terms[0] if len(terms) == 1 else add(*terms)


def _dot_transpose(ct: Any, operands: Any, *, numbers: Numbers, dtype: DType) -> list[Any]:
    a, b = operands
    (ac, bc), (ab, bb) = numbers
    ct_a = _transpose_side(ct, a.aval, b, (ac, ab), (bc, bb), left=True) if is_linear(a) else None
    ct_b = _transpose_side(ct, b.aval, a, (bc, bb), (ac, ab), left=False) if is_linear(b) else None
    return [ct_a, ct_b]


def _transpose_side(
    ct: Any, aval: ShapedArray, other: Any, own: tuple[Axes, Axes], others: tuple[Axes, Axes], left: bool
) -> Array:
    """Cotangent of one side: `ct` contracted with the other one over the other one's free axes, axes
    then put in place.
    """
    contract, batch = own
    other_contract, other_batch = others
    other_ndim, n_batch = aval_of(other).ndim, len(batch)
    own_free, other_free = free_axes(aval.ndim, contract, batch), free_axes(other_ndim, other_contract, other_batch)
    first = n_batch if not left else n_batch + len(own_free)
    ct_axes = tuple(range(first, first + len(other_free)))
    numbers = ((ct_axes, tuple(other_free)), (tuple(range(n_batch)), other_batch))
    if aval_of(ct).dtype != aval.dtype:
        ct = convert(ct, aval.dtype)
    out = dot_general_p.bind(ct, other, numbers=numbers, dtype=aval.dtype)
    # axes of `out`: batch, own free, and the contracted ones in the other side's order
    remaining = [contract[other_contract.index(a)] for a in sorted(other_contract)]
    places = [*batch, *own_free, *remaining]
    return match(transpose(out, [int(i) for i in np.argsort(places)]), aval)


def _dot_batch(axis: Any, args: Any, batched: Any, *, numbers: Numbers, dtype: DType) -> tuple[Any, Any]:
    (lc, rc), (lb, rb) = numbers
    left, right = (tuple(a + 1 for a in axes) for axes in (lc, lb)), (tuple(a + 1 for a in axes) for axes in (rc, rb))
    a, b = args
    if all(batched):
        (lc, lb), (rc, rb) = left, right
        return dot_general_p.bind(a, b, numbers=((lc, rc), ((0, *lb), (0, *rb))), dtype=dtype), True
    if batched[0]:
        lc, lb = left
        place = len(lb)  # the batch axis is now lhs's first free one
    else:
        rc, rb = right
        place = aval_of(a).ndim - len(lc)
    out = dot_general_p.bind(a, b, numbers=((lc, rc), (lb, rb)), dtype=dtype)
    ndim = aval_of(out).ndim
    return transpose(out, [place, *(i for i in range(ndim) if i != place)]), True


def _dot_parts(lhs: Any, rhs: Any, *, numbers: Numbers, dtype: DType) -> Parts | Array:
    """One real product, twice as long and twice as wide: (re, im) of the left side times [[re, im], [-im, re]] of the
    right one. So the left side is read as it lies in memory, and is packed once.
    """
    own = dtypes.real_dtype(dtype)
    if not isinstance(lhs, Parts):  # real factors of a complex result
        re = dot_general_p.bind(lhs, rhs, numbers=numbers, dtype=own)
        return Parts(re, zeros_like(aval_of(re)))
    (lc, rc), batch = numbers
    pairs = ((*lc, aval_of(lhs.re).ndim), (*rc, aval_of(rhs.re).ndim)), batch
    out = apart(dot_general_p.bind(together(lhs), turning(rhs), numbers=pairs, dtype=own))
    return out if dtypes.is_complex(dtype) else out.re


dot_general_p: Primitive = (
    Primitive("dot_general")
    .define(
        shape=_dot_shape,
        impl=_dot_impl,
        jvp=_dot_jvp,
        transpose=_dot_transpose,
        batch=_dot_batch,
        lower=lambda b, lhs, rhs, *, numbers, dtype: b.dot(lhs, rhs, numbers, dtype),
        parts=_dot_parts,
        work=lambda avals, *, numbers, dtype: (
            _dot_shape(*avals, numbers=numbers, dtype=dtype).size * math.prod(avals[0].shape[a] for a in numbers[0][0])
        ),
        samples=[
            Sample((f32(3, 4), f32(4, 5)), {"numbers": (((1,), (0,)), ((), ())), "dtype": dtypes.float32}),
            Sample((f32(37, 50), f32(50, 70)), {"numbers": (((1,), (0,)), ((), ())), "dtype": dtypes.float32}),
            Sample((f64(20, 33), f64(47, 33)), {"numbers": (((1,), (1,)), ((), ())), "dtype": dtypes.float64}),
            Sample((f32(4, 3), f32(4, 5)), {"numbers": (((0,), (0,)), ((), ())), "dtype": dtypes.float32}),
            Sample((f32(2, 3, 4), f32(4, 2, 5)), {"numbers": (((2,), (0,)), ((0,), (1,))), "dtype": dtypes.float32}),
            Sample((f32(2, 3, 4, 5), f32(5, 3, 6)), {"numbers": (((3, 1), (0, 1)), ((), ())), "dtype": dtypes.float32}),
            Sample((f32(4), f32(4)), {"numbers": (((0,), (0,)), ((), ())), "dtype": dtypes.float32}),
            Sample((f32(3), f32(2)), {"numbers": (((), ()), ((), ())), "dtype": dtypes.float32}),
            Sample((f32(3, 0), f32(0, 2)), {"numbers": (((1,), (0,)), ((), ())), "dtype": dtypes.float32}),
            Sample((c64(2, 3, 4), c64(4, 2, 5)), {"numbers": (((2,), (0,)), ((0,), (1,))), "dtype": dtypes.complex64}),
            Sample((c64(33, 40), c64(40, 21)), {"numbers": (((1,), (0,)), ((), ())), "dtype": dtypes.complex64}),
            Sample((i32(3, 4), i32(4, 2)), {"numbers": (((1,), (0,)), ((), ())), "dtype": dtypes.int32}),
            Sample(
                (of("bfloat16", 3, 4), of("bfloat16", 4, 2)),
                {"numbers": (((1,), (0,)), ((), ())), "dtype": dtypes.float32},
            ),
            Sample(
                (of("bfloat16", 3, 40), of("bfloat16", 40, 2)),
                {"numbers": (((1,), (0,)), ((), ())), "dtype": dtypes.bfloat16},
            ),
            Sample(
                (f32(3, 4), f32(3, 4)), {"numbers": (((1,), (0,)), ((), ())), "dtype": dtypes.float32}, fails=ShapeError
            ),
        ],
    )
    .register()
)
