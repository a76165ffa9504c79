"""Indexing by arrays: gather, scatter-add, which is its transpose, and scatter, which sets; `scatter_fold.py` has those
that multiply and compare.

One form serves NumPy's advanced indexing, embeddings, cross entropy and dynamic slices, and is closed under batching.
The operand has shape `B + S` with `batch` leading axes B; the k index arrays have one shape `B + I`; array j indexes
the operand's axis `axes[j]`. The result has shape `B + I + R`, R being the axes of S that are not indexed. An index
outside is moved to the nearest inside (`mode="clip"`), or reads zero and writes nothing (`mode="drop"`). A gather may
also be promised that there is none (`mode="promised"`): then one that is there reads the nearest, but its derivative,
as in JAX, goes nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import Array
from fdl.core.avals import Shape, ShapedArray
from fdl.core.errors import DtypeError, ShapeError
from fdl.core.graph import ArrayLike, Operand
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast, broadcast_to, full, instantiate, move_axis, zeros_like
from fdl.ops.elementwise import equal, minimum, select
from fdl.ops.parts import check_real, componentwise
from fdl.ops.promotion import cast
from fdl.ops.sample import Sample, c64, f32, i32
from fdl.ops.shape import iota, reshape
from fdl.ops.vocabulary import Expr, Place, Value, Vocabulary


def _rest(shape: Shape, axes: tuple[int, ...], batch: int) -> list[int]:
    return [a for a in range(batch, len(shape)) if a not in axes]


_MODES = {"gather": ("clip", "drop", "promised"), "scatter": ("clip", "drop")}


def _gathered_shape(
    what: str, x: ShapedArray, indices: Sequence[ShapedArray], axes: tuple[int, ...], batch: int, mode: str
) -> Shape:
    """`B + I + R`, after checking all operands."""
    if any(not dtypes.is_integer(i.dtype) for i in indices):
        raise DtypeError(
            f"{what}: indices must be integers, not {' and '.join(i.describe() for i in indices)}",
            hint="x[mask.nonzero()] or jnp.where for a mask",
        )
    ok = (
        indices
        and len(axes) == len(indices) == len(set(axes))
        and all(batch <= a < x.ndim for a in axes)
        and mode in _MODES[what]
    )
    if not ok or any(i.shape != indices[0].shape for i in indices) or indices[0].shape[:batch] != x.shape[:batch]:
        raise ShapeError(
            (
                f"{what}: {x.describe()} with indices {' '.join(i.describe() for i in indices)} on axes {axes}, "
                f"{batch} batch axes, mode {mode}"
            ),
            why="indices need one shape that starts with the batch axes, and an axis each",
        )
    if mode != "drop" and indices[0].size and any(x.shape[a] == 0 for a in axes):
        raise ShapeError(f"{what}: {x.describe()} has no element to index along {axes}")
    return (*indices[0].shape, *(x.shape[a] for a in _rest(x.shape, axes, batch)))


def _positions(shape: Shape, indices: Sequence[Any], axes: tuple[int, ...], batch: int, mode: str) -> tuple[Any, Any]:
    """NumPy index arrays for all axes, and where all indices lie inside."""
    index_ndim = indices[0].ndim
    rest = _rest(shape, axes, batch)
    ndim = index_ndim + len(rest)

    def along(n: int, place: int) -> np.ndarray[Any, Any]:
        return np.arange(n).reshape([-1 if i == place else 1 for i in range(ndim)])

    where: list[Any] = [None] * len(shape)
    for b in range(batch):
        where[b] = along(shape[b], b)
    for place, a in enumerate(rest, index_ndim):
        where[a] = along(shape[a], place)
    inside: Any = np.ones((1,) * ndim, bool)
    for a, index in zip(axes, indices, strict=True):
        spread = index.astype(np.int64).reshape(index.shape + (1,) * len(rest))
        inside = inside & (spread >= 0) & (spread < shape[a])
        where[a] = np.clip(spread, 0, max(shape[a] - 1, 0))
    return tuple(where), inside


def batch_all(axis: Any, args: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """All operands with a leading batch axis."""
    return [
        x if b else broadcast(x, (axis.size, *aval_of(x).shape), range(1, aval_of(x).ndim + 1))
        for x, b in zip(args, batched, strict=True)
    ]


def _lowered_source(
    b: Vocabulary, shape: Shape, indices: Sequence[Value], index: Place, axes: tuple[int, ...], batch: int
) -> tuple[Place, list[Expr]]:
    """Place in the operand of one element of the result, and the conditions of lying inside."""
    index_ndim = len(indices[0].shape)
    source: list[Any] = [None] * len(shape)
    source[:batch] = index[:batch]
    for place, a in enumerate(_rest(shape, axes, batch), index_ndim):
        source[a] = index[place]
    conditions = []
    for a, x in zip(axes, indices, strict=True):
        at = x.at(index[:index_ndim])
        source[a] = b.clipped(at, shape[a])
        conditions.append(b.inside(at, shape[a]))
    return tuple(source), conditions


# gather


def gather(x: ArrayLike, indices: Sequence[Any], axes: Sequence[int], batch: int = 0, mode: str = "clip") -> Array:
    """Elements of `x` at index arrays; see the module's docstring for the shapes.

    >>> import fdl.numpy as jnp
    >>> gather(jnp.array([[1, 2], [3, 4]]), [jnp.array([1, 0, 1])], (0,)).tolist()
    [[3, 4], [1, 2], [3, 4]]
    """
    return gather_p.bind(x, *indices, axes=tuple(axes), batch=batch, mode=mode)


def gather_along(x: Array, places: Array, axis: int, mode: str = "clip") -> Array:
    """Elements along an axis, at places that are chosen for each place along the others; sizes of 1 along the others
    broadcast.

    >>> import fdl.numpy as jnp
    >>> gather_along(jnp.array([[1, 2], [3, 4]]), jnp.array([[1], [0]]), 1).tolist()
    [[2], [3]]
    """
    source, chosen = aval_of(x).shape, aval_of(places).shape
    last = len(source) - 1
    axis %= last + 1
    others = [b if a == 1 else a for a, b in zip(source, chosen, strict=True)]
    moved: list[Array] = [
        move_axis(broadcast_to(v, tuple(shape[i] if i == axis else d for i, d in enumerate(others))), axis, last)
        for v, shape in ((x, source), (places, chosen))
    ]
    return move_axis(gather(moved[0], moved[1:], (last,), last, mode), last, axis)


def widened(index: Operand, size: int) -> Operand:
    """An index in int32 or int64, so that it can be added to the size of its axis. What int64 cannot hold lies outside
    anyway.

    >>> import fdl.numpy as jnp
    >>> widened(jnp.array([255], "uint8"), 1000).dtype, widened(jnp.array([2**63], "uint64"), 3).tolist()
    (dtype('int32'), [9223372036854775807])
    """
    dtype = aval_of(index).dtype
    if dtype == dtypes.uint64:
        index = minimum(index, np.iinfo(np.int64).max)
    wide = (
        dtypes.int64
        if dtype in (dtypes.uint32, dtypes.uint64, dtypes.int64) or size > np.iinfo(np.int32).max
        else dtypes.int32
    )
    return cast(index, wide)


def _gather_impl(x: np.ndarray[Any, Any], *indices: Any, axes: Any, batch: int, mode: str) -> np.ndarray[Any, Any]:
    where, inside = _positions(x.shape, indices, axes, batch, mode)
    shape = (*indices[0].shape, *(x.shape[a] for a in _rest(x.shape, axes, batch)))
    if 0 in shape or 0 in x.shape:
        return np.zeros(shape, x.dtype)
    out = np.broadcast_to(x[where], shape)
    return out if mode != "drop" else np.where(inside, out, np.zeros((), x.dtype))


def jvp_in_first(primitive: Primitive) -> Callable[..., tuple[Any, Any]]:
    """The jvp of what is linear in its first operand, the others being indices."""

    def jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        x, *indices = primals
        out = primitive.bind(x, *indices, **params)
        return out, Zero(aval_of(out)) if type(tangents[0]) is Zero else primitive.bind(tangents[0], *indices, **params)

    return jvp


def _gather_transpose(ct: Any, operands: Any, *, mode: str, **params: Any) -> list[Any]:
    x, *indices = operands
    return [
        scatter_add_p.bind(zeros_like(x.aval), ct, *indices, mode="drop" if mode == "promised" else mode, **params),
        *(None for _ in indices),
    ]


def _gather_batch(axis: Any, args: Any, batched: Any, *, axes: Any, batch: int, mode: str) -> tuple[Any, Any]:
    shifted = tuple(a + 1 for a in axes)
    if not batched[0] and batch == 0:  # the batch axis joins the index axes: nothing is copied
        x, *indices = args[0], *batch_all(axis, args[1:], batched[1:])
        return gather(x, indices, axes, 0, mode), True
    x, *indices = batch_all(axis, args, batched)
    return gather(x, indices, shifted, batch + 1, mode), True


def _gather_lower(b: Vocabulary, x: Value, *indices: Value, axes: tuple[int, ...], batch: int, mode: str) -> Value:
    shape = (*indices[0].shape, *(x.shape[a] for a in _rest(x.shape, axes, batch)))

    def at(index: Place) -> Expr:
        source, conditions = _lowered_source(b, x.shape, indices, index, axes, batch)
        if mode != "drop":
            return x.at(source)
        return b.choose(conditions, lambda: x.at(source), lambda: b.const(0, x.dtype))

    return b.compute(shape, x.dtype, at, [x, *indices], random_access=[x])


_INDICES = np.array([[2, 0], [1, 9], [-3, 1]], np.int32)
_SCALED = np.array([1, 0, 1, 2, 1], np.int32)

gather_p = Primitive("gather")
gather_p.define(
    parts=componentwise(gather_p),
    shape=lambda x, *indices, axes, batch, mode: x.update(
        shape=_gathered_shape("gather", x, indices, axes, batch, mode)
    ),
    impl=_gather_impl,
    jvp=jvp_in_first(gather_p),
    transpose=_gather_transpose,
    batch=_gather_batch,
    lower=_gather_lower,
    samples=[
        Sample((f32(3, 4), _INDICES), {"axes": (0,), "batch": 0, "mode": "clip"}),
        Sample((f32(3, 4), _INDICES), {"axes": (1,), "batch": 0, "mode": "drop"}),
        Sample((f32(3, 4, 2), _SCALED, _SCALED), {"axes": (2, 0), "batch": 0, "mode": "clip"}),
        Sample((f32(3, 4), _INDICES), {"axes": (1,), "batch": 1, "mode": "clip"}),
        Sample((c64(3, 4), _INDICES), {"axes": (1,), "batch": 0, "mode": "drop"}),
        Sample((i32(5), np.int32(3)), {"axes": (0,), "batch": 0, "mode": "clip"}),
        Sample((f32(3, 4), np.array([2, 0], np.int32)), {"axes": (0,), "batch": 0, "mode": "promised"}),
        Sample((f32(3, 4), i32(0)), {"axes": (0,), "batch": 0, "mode": "clip"}),
        Sample((f32(3, 4), f32(2)), {"axes": (0,), "batch": 0, "mode": "clip"}, fails=DtypeError),
    ],
).register()

# scatter_add


def scatter_add(
    x: ArrayLike, updates: ArrayLike, indices: Sequence[Any], axes: Sequence[int], batch: int = 0, mode: str = "drop"
) -> Array:
    """`x` with `updates` added at index arrays, in row-major order of the updates, so that sums are the same in every
    run.

    >>> import fdl.numpy as jnp
    >>> scatter_add(jnp.zeros(3), jnp.array([1.0, 2.0, 4.0]), [jnp.array([0, 2, 0])], (0,)).tolist()
    [5.0, 0.0, 2.0]
    """
    return scatter_add_p.bind(x, updates, *indices, axes=tuple(axes), batch=batch, mode=mode)


def _scatter_shape(
    x: ShapedArray, updates: ShapedArray, *indices: ShapedArray, axes: Any, batch: int, mode: str
) -> ShapedArray:
    shape = _gathered_shape("scatter", x, indices, axes, batch, mode)
    if updates.shape != shape or updates.dtype != x.dtype:
        raise ShapeError(
            f"scatter: updates are {updates.describe()}",
            why=f"these indices into {x.describe()} need {x.update(shape=shape).describe()}",
        )
    return x


COMBINING = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}  # what scatters of each kind but "set" do with old and new


def _scatter_impl(kind: str) -> Callable[..., np.ndarray[Any, Any]]:
    def impl(
        x: np.ndarray[Any, Any], updates: Any, *indices: Any, axes: Any, batch: int, mode: str
    ) -> np.ndarray[Any, Any]:
        out = np.array(x)
        where, inside = _positions(x.shape, indices, axes, batch, mode)
        if updates.size == 0 or x.size == 0:
            return out
        chosen = np.broadcast_to(inside if mode == "drop" else np.True_, updates.shape)
        places = tuple(np.broadcast_to(w, updates.shape)[chosen] for w in where)
        if kind in COMBINING:
            COMBINING[kind].at(out, places, updates[chosen])
        else:
            out[places] = updates[chosen]
        return out

    return impl


def jvp_in_first_two(primitive: Primitive) -> Callable[..., tuple[Any, Any]]:
    """The jvp of what is linear in what it changes and in the updates, the others being indices."""

    def jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
        x, updates, *indices = primals
        out = primitive.bind(x, updates, *indices, **params)
        if all(type(t) is Zero for t in tangents[:2]):
            return out, Zero(aval_of(out))
        return out, primitive.bind(instantiate(tangents[0]), instantiate(tangents[1]), *indices, **params)

    return jvp


def _scatter_batch(primitive: Primitive) -> Callable[..., tuple[Any, Any]]:
    def batch_rule(axis: Any, args: Any, batched: Any, *, axes: Any, batch: int, mode: str) -> tuple[Any, Any]:
        out = primitive.bind(
            *batch_all(axis, args, batched), axes=tuple(a + 1 for a in axes), batch=batch + 1, mode=mode
        )
        return out, True

    return batch_rule


def _scatter_lower(kind: str) -> Callable[..., Value]:
    def lower(
        b: Vocabulary, x: Value, updates: Value, *indices: Value, axes: tuple[int, ...], batch: int, mode: str
    ) -> Value:
        def target(index: Place) -> tuple[Place, list[Expr]]:
            source, conditions = _lowered_source(b, x.shape, indices, index, axes, batch)
            return source, conditions if mode == "drop" else []

        return b.scatter(kind, x, updates, target)

    return lower


def _scatter_add_transpose(ct: Any, operands: Any, **params: Any) -> list[Any]:
    x, updates, *indices = operands
    return [
        ct if is_linear(x) else None,
        gather_p.bind(ct, *indices, **params) if is_linear(updates) else None,
        *(None for _ in indices),
    ]


_SCATTERS = [
    ((f32(3, 4), f32(3, 2, 4), _INDICES), {"axes": (0,), "batch": 0, "mode": "drop"}),
    ((f32(3, 4), f32(3, 2, 4), _INDICES), {"axes": (0,), "batch": 0, "mode": "clip"}),
    ((f32(3, 4), f32(3, 2), _INDICES), {"axes": (1,), "batch": 1, "mode": "clip"}),
    ((f32(3, 4, 2), f32(5, 4), _SCALED, _SCALED), {"axes": (2, 0), "batch": 0, "mode": "drop"}),
    ((i32(4), i32(5), _SCALED), {"axes": (0,), "batch": 0, "mode": "drop"}),
]
_OF_COMPLEX = [((c64(3, 4), c64(3, 2, 4), _INDICES), {"axes": (0,), "batch": 0, "mode": "drop"})]
_BAD_SCATTER = Sample((f32(3), f32(4), _SCALED), {"axes": (0,), "batch": 0, "mode": "drop"}, fails=ShapeError)


def define_scatter(primitive: Primitive, kind: str, transpose: Any, jvp: Any = None) -> None:
    """The rules that all scatters share, with a transpose of their own where linear, and a jvp where not."""
    if transpose is not None:
        primitive.define(transpose=transpose)

    def real_shape(x: ShapedArray, *others: ShapedArray, **params: Any) -> ShapedArray:
        check_real(primitive.name, x, why="elements of a place are combined one by one, as real numbers")
        return _scatter_shape(x, *others, **params)

    moves = kind in ("add", "set")  # does the same to both parts of complex numbers
    if moves:
        primitive.define(parts=componentwise(primitive))
    primitive.define(
        shape=_scatter_shape if moves else real_shape,
        impl=_scatter_impl(kind),
        jvp=jvp or jvp_in_first_two(primitive),
        batch=_scatter_batch(primitive),
        lower=_scatter_lower(kind),
        samples=[
            *(Sample(args, params) for args, params in (*_SCATTERS, *(_OF_COMPLEX if moves else ()))),
            _BAD_SCATTER,
        ],
    ).register()


scatter_add_p = Primitive("scatter_add")
define_scatter(scatter_add_p, "add", _scatter_add_transpose)

# scatter


def scatter(
    x: ArrayLike, updates: ArrayLike, indices: Sequence[Any], axes: Sequence[int], batch: int = 0, mode: str = "drop"
) -> Array:
    """`x` with elements at index arrays replaced; of several updates of one place the last in row-major order stays.

    >>> import fdl.numpy as jnp
    >>> scatter(jnp.zeros(3), jnp.array([1.0, 2.0, 4.0]), [jnp.array([0, 2, 0])], (0,)).tolist()
    [4.0, 0.0, 2.0]
    """
    return scatter_p.bind(x, updates, *indices, axes=tuple(axes), batch=batch, mode=mode)


def _scatter_transpose(ct: Any, operands: Any, **params: Any) -> list[Any]:
    x, updates, *indices = operands
    shape = aval_of(ct).update(shape=aval_of(updates).shape)
    ct_x = scatter_p.bind(ct, zeros_like(shape), *indices, **params) if is_linear(x) else None
    ct_updates = None
    if is_linear(
        updates
    ):  # an update that a later one has overwritten gets nothing: each place remembers the number of its last one
        number = reshape(iota((shape.size,), 0), shape.shape)
        last = scatter_p.bind(full(aval_of(ct).shape, -1, dtypes.int32), number, *indices, **params)
        stays = equal(gather_p.bind(last, *indices, **params), number)
        ct_updates = select(stays, gather_p.bind(ct, *indices, **params), 0)
    return [ct_x, ct_updates, *(None for _ in indices)]


scatter_p = Primitive("scatter")
define_scatter(scatter_p, "set", _scatter_transpose)
