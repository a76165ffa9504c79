"""`jax.extend.core`: graphs and their parts by the names of JAX's programs, and which transforms run.

A `Graph` is what JAX calls a jaxpr, closed or not: it holds no constants beside it. Primitives are defined as
`fdl.core.primitive` tells, whose rules are fdl's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fdl.core.array import as_array
from fdl.core.blocks import block
from fdl.core.graph import Atom, Equation, Graph, Literal, Var, bind_graph
from fdl.core.primitive import Primitive
from fdl.core.trace import base_trace, current_trace, set_trace

__all__ = [
    "Atom", "ClosedJaxpr", "Jaxpr", "JaxprEqn", "Literal", "OpaqueTraceState", "Primitive", "Var",
    "get_opaque_trace_state", "jaxpr_as_fun", "set_current_trace", "take_current_trace",
]  # fmt: skip

Jaxpr = ClosedJaxpr = Graph
JaxprEqn = Equation


class OpaqueTraceState:
    """Which transforms run: equal where they are the same ones."""

    __slots__ = ("_trace",)

    def __init__(self, trace: Any) -> None:
        self._trace = trace

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpaqueTraceState) and self._trace is other._trace

    def __hash__(self) -> int:
        return id(self._trace)


def get_opaque_trace_state(convention: str = "haiku") -> OpaqueTraceState:
    """Which transforms run here.

    >>> get_opaque_trace_state() == get_opaque_trace_state()
    True
    """
    return OpaqueTraceState(current_trace())


def jaxpr_as_fun(closed_jaxpr: Graph) -> Callable[..., list[Any]]:
    """A graph as a function of its inputs, that returns a list.

    >>> import fdl
    >>> jaxpr_as_fun(fdl.make_graph(lambda x: x * 2)(1.0))(3.0)
    [Array(6., dtype=float32, weak_type=True)]
    """
    return lambda *args: list(bind_graph(closed_jaxpr, list(map(as_array, args))))


@block
def set_current_trace(trace: Any, check_leaks: bool = False) -> Iterator[None]:
    """A block in which operations go to a trace, that of `take_current_trace`."""
    with set_trace(trace):
        yield


@block
def take_current_trace() -> Iterator[Any]:
    """A block in which no transform runs; it gives the trace of the one that did."""
    taken = current_trace()
    with set_trace(base_trace()):
        yield taken
