"""Branches and loops in which each lane of a `vmap` goes its own way.

All lanes run what some of them take. A lane that does not take it runs it on the operands of one that does, so it adds
no NaN, no infinity and no endless loop of its own; tangents are masked on the way in, and so are cotangents on the way
out. Masking results alone, as `jnp.where` does, is not enough: the derivative at the operands of a lane that took
another branch may be infinite, and zero times infinity is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fdl.core import dtypes
from fdl.core.graph import Equation, Graph, Literal, Var, bind_graph, subgraphs
from fdl.core.tangents import has_tangent
from fdl.core.trace import aval_of
from fdl.ops.axes import broadcast, convert
from fdl.ops.collective import psum_p
from fdl.ops.dynamic import dynamic_slice
from fdl.ops.elementwise import select, stop_gradient
from fdl.ops.reduction import argmax, reduce_max
from fdl.ops.shape import reshape
from fdl.transforms.vmap import BatchAxis, batch_graph, with_axis

# Operations that are linear in all operands at once; `mul` and `div` are where the others are numbers.
_ADDITIVE = frozenset(
    {
        "add",
        "sub",
        "neg",
        "convert",
        "broadcast",
        "reshape",
        "transpose",
        "reduce_sum",
        "slice",
        "pad",
        "concatenate",
        "reverse",
        "select",
    }
)
_SCALING = frozenset({"mul", "div"})

IfAny = Callable[[Any, Graph, Sequence[Any]], list[Any]]


def spread(mask: Any, shape: Any) -> Any:
    """A mask over the leading axis, repeated to a shape."""
    return broadcast(mask, shape, (0,))


def choose(taken: Any, new: Sequence[Any], old: Sequence[Any]) -> list[Any]:
    """`new` in the lanes of the mask, `old` in the others."""
    return [select(spread(taken, aval_of(a).shape), a, b) for a, b in zip(new, old, strict=True)]


def _equations(graph: Graph) -> Iterator[Equation]:
    """Equations of a graph and of all graphs in it."""
    for e in graph.equations:
        yield e
        for inner in (
            *subgraphs(e.params),
            *(v.graph for v in e.params.values() if isinstance(getattr(v, "graph", None), Graph)),
        ):
            yield from _equations(inner)


def may_refuse(graph: Graph) -> bool:
    """Whether operands decide if the graph ends or raises: then it must see none but those of lanes that take it."""
    return any(e.effects or e.primitive.name == "while" for e in _equations(graph))


def _has_loop(graph: Graph) -> bool:
    """Whether it takes long: then it runs only where some lane takes it."""
    return any(e.primitive.name in ("scan", "while") for e in _equations(graph))


def _is_affine(e: Equation, varying: set[Var]) -> bool:
    """Whether the operation's derivative is finite whatever its operands are."""
    if e.primitive.name in _ADDITIVE:
        return True
    if e.primitive.name not in _SCALING:
        return False
    factor = e.inputs[1] if e.inputs[0] in varying else e.inputs[0]
    if not isinstance(factor, Literal) or not math.isfinite(factor.value):
        return False
    return e.primitive.name == "mul" or (factor is e.inputs[1] and factor.value != 0)


def runs_anywhere(graph: Graph) -> bool:
    """Whether lanes that do not take the graph may run it on their own operands: it is affine, or its lanes look at
    each other, as in `psum`.
    """
    if any(e.primitive is psum_p for e in _equations(graph)):
        return True
    varying = {v for v in graph.inputs if has_tangent(v.aval)}
    for e in graph.equations:
        if any(a in varying for a in e.inputs) and any(has_tangent(v.aval) for v in e.outputs):
            if not _is_affine(e, varying):
                return False
            varying.update(e.outputs)
    return not may_refuse(graph)


def only_lanes(taken: Any, xs: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Values with the mapped axis as they are in the lanes of the mask; in others as in the first lane of it, as
    constants to derivatives.
    """
    first = argmax(convert(taken, dtypes.int32), 0)

    def of_lanes(x: Any) -> Any:
        size, *shape = aval_of(x).shape
        lane = reshape(
            dynamic_slice(stop_gradient(x), [first, *[convert(0, dtypes.int32)] * len(shape)], (1, *shape)),
            tuple(shape),
        )
        return select(spread(taken, (size, *shape)), x, broadcast(lane, (size, *shape), range(1, len(shape) + 1)))

    return [of_lanes(x) if b else x for x, b in zip(xs, batched, strict=True)]


def branch_in_lanes(
    graph: Graph, axis: BatchAxis, taken: Any, operands: Sequence[Any], batched: Sequence[bool], if_any: IfAny
) -> list[Any]:
    """Results of a branch, all with the mapped axis: right in the lanes of the mask, anything in others.

    `if_any(taken, graph, operands)` runs the batched graph where some lane takes it, and gives zeros where none does.
    """
    all_results = (True,) * len(graph.outputs)
    if axis.size == 0 or runs_anywhere(graph):
        return bind_graph(batch_graph(graph, axis, tuple(batched), all_results)[0], operands)
    used = {a for e in graph.equations for a in e.inputs} | set(graph.outputs)
    lane = max([graph_input.aval.size for graph_input, b in zip(graph.inputs, batched, strict=True) if b], default=1)
    # what all lanes share gets lanes too where that costs little, so that cotangents can be masked before they are
    # summed
    widened = [
        b or (v in used and has_tangent(v.aval) and v.aval.size <= lane)
        for v, b in zip(graph.inputs, batched, strict=True)
    ]
    wide = [with_axis(x, axis) if w and not b else x for x, w, b in zip(operands, widened, batched, strict=True)]
    own = only_lanes(taken, wide, [w and v in used for v, w in zip(graph.inputs, widened, strict=True)])
    derived = batch_graph(graph, axis, tuple(widened), all_results)[0]
    masked = all(w or v not in used or not has_tangent(v.aval) for v, w in zip(graph.inputs, widened, strict=True))
    if masked and not may_refuse(graph) and not _has_loop(graph):
        return bind_graph(derived, own)
    return if_any(reduce_max(taken, (0,)), derived, own)
