"""Vectorising map: `BatchTrace` carries values with one more axis, which always leads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from fdl.core import dtypes
from fdl.core.array import ConcreteArray
from fdl.core.avals import ShapedArray
from fdl.core.errors import ShapeError, StateError, StructureError
from fdl.core.graph import Graph, bind_graph
from fdl.core.primitive import Primitive
from fdl.core.pytree import broadcast_prefix, tree_flatten, tree_paths
from fdl.core.trace import Trace, Tracer, aval_of, current_trace, live_trace, set_trace
from fdl.ops.axes import broadcast, move_axis
from fdl.ops.collective import COLLECTIVES, psum_p, psum_unbatched
from fdl.ops.shape import iota
from fdl.transforms.stage import (
    FlatFunction,
    argument_names,
    check_function,
    check_leaves,
    function_name,
    stage_derived,
)


class BatchAxis(NamedTuple):
    """The mapped axis: its name, if any, and its size."""

    name: Hashable
    size: int


class BatchTracer(Tracer):
    """A value that has the mapped axis; its type is that of one element."""

    __slots__ = ("value",)

    def __init__(self, trace: Trace, value: Any) -> None:
        super().__init__(trace)
        self.value = value

    @property
    def aval(self) -> ShapedArray:
        whole = aval_of(self.value)
        return whole.update(shape=whole.shape[1:])

    def lanes(self) -> ConcreteArray | None:
        return (
            self.value.lanes()
            if isinstance(self.value, Tracer)
            else self.value
            if isinstance(self.value, ConcreteArray)
            else None
        )


class BatchTrace(Trace):
    """Runs each operation's batch rule under the parent."""

    parent: Trace
    randomness = "error"
    no_value = "computes all lanes at once, and each has a value of its own"
    instead_of_branch = "jnp.where(x > 0, a, b), or lax.cond for whole branches"
    instead_of_value = "return the value and look at it outside, or a Python loop instead of vmap"

    def __init__(self, name: str, parent: Trace, axis: BatchAxis) -> None:
        super().__init__(name, parent)
        self.axis = axis

    def outside(self, x: Any) -> Any:
        value, batched = self.split(x)
        if batched:
            raise StateError(
                f"{self.name} writes a mapped value {x.aval.describe()} to something that lives outside of it",
                why="there is one such value for each element of the mapped axis, and room for one of them",
                hint="return the value, or write what is the same for all, such as a mean over the axis",
            )
        return value

    def lanes(self) -> BatchTracer:
        """The number of the element, as a value of this trace."""
        return BatchTracer(self, iota((self.axis.size,), 0, dtypes.int64))

    def split(self, x: Any) -> tuple[Any, bool]:
        """(value, whether it has the mapped axis)."""
        return (x.value, True) if isinstance(x, BatchTracer) and x._trace is self else (x, False)

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        values, batched = zip(*map(self.split, operands), strict=True) if operands else ((), ())
        own_collective = primitive in COLLECTIVES and params["axis_name"] == self.axis.name
        if not any(batched) and not own_collective:
            return self.parent.process(primitive, values, params)
        with set_trace(self.parent):
            if own_collective and primitive is psum_p and not any(batched):
                return [psum_unbatched(values[0], self.axis.size)]
            outs, out_batched = primitive.rule("batch")(self.axis, values, batched, **params)
        if not primitive.multiple_results:
            outs, out_batched = [outs], [out_batched]
        return [BatchTracer(self, o) if b else o for o, b in zip(outs, out_batched, strict=True)]

    def axis_size(self, axis_name: Any, what: str) -> int:
        return (
            self.axis.size
            if axis_name == self.axis.name and axis_name is not None
            else self.parent.axis_size(axis_name, what)
        )

    def surroundings(self) -> tuple[tuple[Any, int], ...]:
        own = () if self.axis.name is None else ((self.axis.name, self.axis.size),)
        return own + self.parent.surroundings()


def batch_flat(
    f: Callable[..., Sequence[Any]], axis: BatchAxis, args: Sequence[Any], batched: Sequence[bool], name: str
) -> tuple[list[Any], list[bool]]:
    """Results of a flat function mapped over the leading axis of the batched arguments, and which results have it."""
    trace = BatchTrace(name, current_trace(), axis)
    with live_trace(trace):
        outs = f(*[BatchTracer(trace, x) if b else x for x, b in zip(args, batched, strict=True)])
        pairs = [trace.split(o) for o in outs]
    return [x for x, _ in pairs], [b for _, b in pairs]


def with_axis(x: Any, axis: BatchAxis) -> Any:
    """An unbatched value repeated along a new leading axis."""
    aval = aval_of(x)
    return broadcast(x, (axis.size, *aval.shape), range(1, aval.ndim + 1))


def batched_aval(aval: ShapedArray, axis: BatchAxis, batched: bool) -> ShapedArray:
    """The type with the mapped axis in front, where batched."""
    return aval.update(shape=(axis.size, *aval.shape)) if batched else aval


def batch_graph(
    graph: Graph, axis: BatchAxis, batched: tuple[bool, ...], forced: tuple[bool, ...] = ()
) -> tuple[Graph, tuple[bool, ...]]:
    """The batched graph, and which results have the axis; `forced` gives it to some that would not."""

    def make() -> tuple[Graph, tuple[bool, ...]]:
        out_batched: list[bool] = []

        def f(*args: Any) -> list[Any]:
            outs, found = batch_flat(lambda *xs: bind_graph(graph, xs), axis, args, batched, "~vmap")
            wanted = forced or (False,) * len(found)
            out_batched[:] = [b or w for b, w in zip(found, wanted, strict=True)]
            return [with_axis(x, axis) if w and not b else x for x, b, w in zip(outs, found, wanted, strict=True)]

        graph_ = stage_derived(f, [batched_aval(a, axis, b) for a, b in zip(graph.in_avals, batched, strict=True)])
        return graph_, tuple(out_batched)

    return graph.derived(("batch", axis, batched, forced, current_trace().surroundings()), make)


def _is_none(x: Any) -> bool:
    return x is None


def _axis_size(
    leaves: Sequence[Any], axes: Sequence[int | None], args: Any, declared: int | None, name: Callable[[str], str]
) -> int:
    """The one size of all mapped axes; ShapeError names the arguments that differ."""
    sizes: dict[int, str] = {}
    for x, axis, (path, _) in zip(leaves, axes, tree_paths(args), strict=True):
        if axis is None:
            continue
        shape = aval_of(x).shape
        if not isinstance(axis, int):
            raise StructureError(
                f"vmap: in_axes has {axis!r} for {name(path)}",
                why="an axis is an int, or None where nothing is mapped",
                hint="in_axes=0",
            )
        if not -len(shape) <= axis < len(shape):
            raise ShapeError(
                f"vmap: {name(path)} has shape {shape}, which has no axis {axis}",
                why="each mapped argument gives one slice along its axis to each call",
                hint="in_axes=None for an argument that is not mapped",
            )
        sizes.setdefault(shape[axis], name(path))
    if declared is not None:
        sizes.setdefault(declared, "axis_size")
    if len(sizes) > 1:
        found = ", ".join(f"{path} has size {size}" for size, path in sizes.items())
        raise ShapeError(
            f"vmap: the mapped axes have different sizes: {found}",
            why="the function is called once for each slice, with a slice of every mapped argument",
            hint="in_axes=None for an argument that is not mapped",
        )
    if not sizes:
        raise StructureError(
            "vmap: no argument is mapped", why="in_axes is None for all of them", hint="in_axes=0, or axis_size=n"
        )
    return next(iter(sizes))


def vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Hashable = None,
    axis_size: int | None = None,
) -> Callable[..., Any]:
    """`fun` mapped over one axis of its arguments, as one batched computation.

    `in_axes` is an int, None (not mapped), or a tree of them that is a prefix of the positional arguments; keyword
    arguments are mapped over axis 0. `out_axes` likewise for the results. `axis_name` makes the axis known to
    `lax.psum`, `lax.pmean` and `lax.axis_index`. Raises ShapeError where mapped axes differ in size.

    >>> import fdl.numpy as jnp
    >>> columns = jnp.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    >>> vmap(jnp.dot, in_axes=(None, 1))(jnp.array([1.0, 2.0]), columns).tolist()
    [21.0, 42.0, 63.0]
    """

    check_function(fun, "vmap")
    argument = argument_names(fun)

    @functools.wraps(fun)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, in_tree = tree_flatten((args, kwargs))
        leaves = check_leaves(leaves, (args, kwargs), "vmap", argument)
        spec = tuple(in_axes) if isinstance(in_axes, list) else in_axes
        axes = broadcast_prefix(spec, args, "vmap in_axes", _is_none) + [0] * (len(leaves) - len(tree_flatten(args)[0]))
        axis = BatchAxis(axis_name, _axis_size(leaves, axes, (args, kwargs), axis_size, argument))
        fronted = [x if a is None else move_axis(x, a, 0) for x, a in zip(leaves, axes, strict=True)]
        flat = FlatFunction(fun, in_tree, "vmap")
        outs, batched = batch_flat(flat, axis, fronted, [a is not None for a in axes], f"vmap({function_name(fun)})")
        assert flat.out_tree is not None
        out_spec = broadcast_prefix(out_axes, flat.out_tree.unflatten(outs), "vmap out_axes", _is_none)
        return flat.unflatten([_place(o, b, a, axis) for o, b, a in zip(outs, batched, out_spec, strict=True)])

    return mapped


def _place(out: Any, batched: bool, wanted: int | None, axis: BatchAxis) -> Any:
    """A result with the mapped axis where `out_axes` wants it."""
    if wanted is None:
        if batched:
            raise ShapeError(
                "vmap: out_axes is None for a result that is mapped",
                why="each lane has a result of its own",
                hint="out_axes=0",
            )
        return out
    ndim = aval_of(out).ndim + (not batched)
    if not isinstance(wanted, int) or not -ndim <= wanted < ndim:
        raise ShapeError(
            f"vmap: out_axes has {wanted!r} for a result of {ndim} axes, the mapped one included",
            why="that is where the mapped axis goes",
            hint=f"from {-ndim} to {ndim - 1}",
        )
    return move_axis(out if batched else with_axis(out, axis), 0, wanted)
