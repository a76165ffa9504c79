"""Scatters that fold updates into what is there: the product, the largest and the smallest of an element and all
updates of its place.

Operands are those of `scatter_add`; see `indexing.py` for their shapes. A place that several updates meet gets all of
them, in row-major order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.graph import ArrayLike
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import aval_of
from fdl.ops.axes import convert, full, zeros_like
from fdl.ops.elementwise import add, div, equal, greater, maximum, mul, select
from fdl.ops.indexing import define_scatter, gather_p, scatter_add_p, scatter_p
from fdl.ops.order import argsort
from fdl.ops.promotion import promote
from fdl.ops.shape import concatenate, iota, reshape, slice

# scatter_mul


def scatter_mul(
    x: ArrayLike, updates: ArrayLike, indices: Sequence[Any], axes: Sequence[int], batch: int = 0, mode: str = "drop"
) -> Array:
    """`x` with elements at index arrays multiplied by `updates`, by all of those that a place has.

    >>> import fdl.numpy as jnp
    >>> scatter_mul(jnp.ones(3), jnp.array([2.0, 3.0, 4.0]), [jnp.array([0, 2, 0])], (0,)).tolist()
    [8.0, 1.0, 3.0]
    """
    params = {"axes": tuple(axes), "batch": batch, "mode": mode}
    if not dtypes.is_complex(aval_of(x).dtype):
        return scatter_mul_p.bind(x, updates, *indices, **params)
    operands: Any = promote(x, updates)
    x, updates = operands
    if not aval_of(updates).size:
        return operands[0]  # type: ignore[no-any-return]
    _, factors = _products(x, updates, indices, True, **params)  # those of one place are equal, but for rounding
    one = full(aval_of(x).shape, 1, aval_of(x).dtype)
    return mul(x, scatter_p.bind(one, factors, *indices, **params))


def _moved(x: Any, count: int, fill: Any) -> Array:
    """A vector moved along by `count` places, or back by `-count`: `fill` stands where nothing has come from.

    >>> import fdl.numpy as jnp
    >>> _moved(jnp.array([1, 2, 3]), 1, 0).tolist(), _moved(jnp.array([1, 2, 3]), -1, 0).tolist()
    ([0, 1, 2], [2, 3, 0])
    """
    n = aval_of(x).size
    edge = full((abs(count),), fill, aval_of(x).dtype)
    return concatenate([edge, slice(x, (0,), (n - count,))] if count > 0 else [slice(x, (-count,), (n,)), edge], 0)


def _running_product(values: Any, groups: Any, direction: int) -> Array:
    """For each element the product of those before it (direction 1) or behind it (-1) in its group; equal groups stand
    together.

    Products of 2, 4, 8 ... neighbours are combined, so there is no division, and zeros are as good as other values.
    """
    step, product = 1, values
    while step < aval_of(values).size:
        product = select(
            equal(groups, _moved(groups, direction * step, -1)),
            mul(product, _moved(product, direction * step, 1)),
            product,
        )
        step *= 2
    return select(equal(groups, _moved(groups, direction, -1)), _moved(product, direction, 1), 1)


def _product_of_others(x: Any, updates: Any, indices: Sequence[Any], **params: Any) -> Array:
    """For each update the product of the element of `x` that it meets and all other updates of that place: the
    derivative with respect to it.
    """
    inside, others = _products(x, updates, indices, False, **params)
    return select(inside, mul(gather_p.bind(x, *indices, **params), others), 0)


def _products(x: Any, updates: Any, indices: Sequence[Any], own: bool, **params: Any) -> tuple[Array, Array]:
    """For each update whether it meets an element of `x`, and the product of all updates of its place, or of all
    others.
    """
    whole, many = aval_of(x), aval_of(updates)
    number = gather_p.bind(reshape(add(iota((whole.size,), 0), 1), whole.shape), *indices, **params)  # 0 outside
    inside = greater(number, 0)
    factors = reshape(select(inside, updates, 1), (many.size,))
    order = argsort(reshape(number, (many.size,)))
    axis = {"axes": (0,), "batch": 0, "mode": "clip"}
    groups, ordered = (gather_p.bind(v, order, **axis) for v in (reshape(number, (many.size,)), factors))
    others = mul(_running_product(ordered, groups, 1), _running_product(ordered, groups, -1))
    others = mul(others, ordered) if own else others
    others = reshape(scatter_p.bind(zeros_like(aval_of(others)), others, order, **axis), many.shape)
    return inside, others


def _mul_jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    x, updates, *indices = primals
    dx, du, *_ = tangents
    out = scatter_mul_p.bind(x, updates, *indices, **params)
    if type(dx) is Zero and type(du) is Zero:
        return out, Zero(aval_of(out))
    moved = zeros_like(aval_of(out)) if type(dx) is Zero else scatter_mul_p.bind(dx, updates, *indices, **params)
    if type(du) is Zero or not aval_of(updates).size:
        return out, moved
    return out, scatter_add_p.bind(
        moved, mul(du, _product_of_others(x, updates, indices, **params)), *indices, **params
    )


def _mul_transpose(ct: Any, operands: Any, **params: Any) -> list[Any]:
    """It is linear in `x`, and its jvp binds it for nothing else."""
    x, updates, *indices = operands
    return [
        scatter_mul_p.bind(ct, updates, *indices, **params) if is_linear(x) else None,
        None,
        *(None for _ in indices),
    ]


scatter_mul_p = Primitive("scatter_mul")
define_scatter(scatter_mul_p, "mul", _mul_transpose, _mul_jvp)

# scatter_max, scatter_min


def scatter_max(
    x: ArrayLike, updates: ArrayLike, indices: Sequence[Any], axes: Sequence[int], batch: int = 0, mode: str = "drop"
) -> Array:
    """`x` with elements at index arrays replaced by `updates` that are larger; NaN is passed on.

    >>> import fdl.numpy as jnp
    >>> scatter_max(jnp.ones(3), jnp.array([0.0, 3.0, 4.0]), [jnp.array([0, 2, 2])], (0,)).tolist()
    [1.0, 1.0, 4.0]
    """
    return scatter_max_p.bind(x, updates, *indices, axes=tuple(axes), batch=batch, mode=mode)


def scatter_min(
    x: ArrayLike, updates: ArrayLike, indices: Sequence[Any], axes: Sequence[int], batch: int = 0, mode: str = "drop"
) -> Array:
    """`x` with elements at index arrays replaced by `updates` that are smaller; NaN is passed on.

    >>> import fdl.numpy as jnp
    >>> scatter_min(jnp.ones(3), jnp.array([0.0, 3.0, -4.0]), [jnp.array([0, 2, 2])], (0,)).tolist()
    [0.0, 1.0, -4.0]
    """
    return scatter_min_p.bind(x, updates, *indices, axes=tuple(axes), batch=batch, mode=mode)


def _extremum_jvp(primitive: Primitive) -> Callable[..., tuple[Any, Any]]:
    """Those that are equal to the result share its tangent evenly, as in all extrema."""

    def jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        x, updates, *indices = primals
        dx, du, *_ = tangents
        out = primitive.bind(x, updates, *indices, **params)
        if type(dx) is Zero and type(du) is Zero:
            return out, Zero(aval_of(out))
        dtype = aval_of(out).dtype
        stays, wins = equal(x, out), equal(updates, gather_p.bind(out, *indices, **params))
        count = scatter_add_p.bind(convert(stays, dtypes.int32), convert(wins, dtypes.int32), *indices, **params)
        share = div(1, convert(maximum(count, 1), dtype))
        moved = zeros_like(aval_of(out)) if type(dx) is Zero else mul(dx, select(stays, share, 0))
        if type(du) is Zero:
            return out, moved
        return out, scatter_add_p.bind(
            moved, mul(du, select(wins, gather_p.bind(share, *indices, **params), 0)), *indices, **params
        )

    return jvp


scatter_max_p = Primitive("scatter_max")
define_scatter(scatter_max_p, "max", None, _extremum_jvp(scatter_max_p))
scatter_min_p = Primitive("scatter_min")
define_scatter(scatter_min_p, "min", None, _extremum_jvp(scatter_min_p))
