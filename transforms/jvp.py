"""Forward mode: `JVPTrace` carries a tangent beside each value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fdl.core.array import ConcreteArray
from fdl.core.avals import ShapedArray
from fdl.core.graph import Graph, bind_graph
from fdl.core.primitive import Primitive
from fdl.core.tangents import Zero
from fdl.core.trace import Trace, Tracer, aval_of, current_trace, live_trace, set_trace
from fdl.ops.axes import instantiate
from fdl.transforms.stage import stage_derived


def concrete_of(x: Any) -> ConcreteArray | None:
    """The array under a value, where it has one."""
    if isinstance(x, ConcreteArray):
        return x
    return x.concrete() if isinstance(x, Tracer) else None


class DualTracer(Tracer):
    """A primal value with its tangent: a value in forward mode, a variable of the linear graph under linearization."""

    __slots__ = ("primal", "tangent")

    def __init__(self, trace: Trace, primal: Any, tangent: Any) -> None:
        super().__init__(trace)
        self.primal, self.tangent = primal, tangent

    @property
    def aval(self) -> ShapedArray:
        return aval_of(self.primal)

    def concrete(self) -> ConcreteArray | None:
        return concrete_of(self.primal)

    def hidden(self) -> Tracer:
        return self.primal.hidden() if isinstance(self.primal, Tracer) else self

    def lanes(self) -> ConcreteArray | None:
        return self.primal.lanes() if isinstance(self.primal, Tracer) else concrete_of(self.primal)


class DualTrace(Trace):
    """A trace of values with tangents."""

    parent: Trace

    def split(self, x: Any) -> tuple[Any, Any]:
        """(primal, tangent) of an operand."""
        return (x.primal, x.tangent) if isinstance(x, DualTracer) and x._trace is self else (x, Zero(aval_of(x)))

    def outside(self, x: Any) -> Any:
        return self.split(x)[0]

    def join(self, primal: Any, tangent: Any) -> Any:
        """A tracer, or the primal alone where the tangent is zero."""
        return primal if type(tangent) is Zero else DualTracer(self, primal, tangent)


class JVPTrace(DualTrace):
    """Runs each operation's jvp rule under the parent."""

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        primals, tangents = zip(*map(self.split, operands), strict=True) if operands else ((), ())
        if all(type(t) is Zero for t in tangents):
            return self.parent.process(primitive, primals, params)
        with set_trace(self.parent):
            outs, out_tangents = primitive.rule("jvp")(primals, tangents, **params)
        if not primitive.multiple_results:
            outs, out_tangents = [outs], [out_tangents]
        return [self.join(p, t) for p, t in zip(outs, out_tangents, strict=True)]


def jvp_flat(
    f: Callable[..., Sequence[Any]], primals: Sequence[Any], tangents: Sequence[Any], name: str
) -> tuple[list[Any], list[Any]]:
    """Results and tangents of a flat function; tangents may be `Zero`, in and out."""
    trace = JVPTrace(name, current_trace())
    with live_trace(trace):
        outs = f(*[trace.join(p, t) for p, t in zip(primals, tangents, strict=True)])
        pairs = [trace.split(o) for o in outs]
    return [p for p, _ in pairs], [t for _, t in pairs]


def jvp_graph(
    graph: Graph, nonzero: tuple[bool, ...], instantiated: tuple[bool, ...]
) -> tuple[Graph, tuple[bool, ...]]:
    """The graph of (primals, tangents that are not zero) -> (results, tangents that are not zero), and which those are.

    `instantiated` forces tangents of some results to be there, as zeros where need be.
    """

    def make() -> tuple[Graph, tuple[bool, ...]]:
        nonzero_out: list[bool] = []

        def f(*args: Any) -> list[Any]:
            primals, given = args[: len(nonzero)], iter(args[len(nonzero) :])
            tangents = [next(given) if nz else Zero(aval_of(p)) for p, nz in zip(primals, nonzero, strict=True)]
            outs, out_tangents = jvp_flat(lambda *xs: bind_graph(graph, xs), primals, tangents, "~jvp")
            out_tangents = [instantiate(t) if force else t for t, force in zip(out_tangents, instantiated, strict=True)]
            nonzero_out[:] = [type(t) is not Zero for t in out_tangents]
            return [*outs, *(t for t in out_tangents if type(t) is not Zero)]

        avals = [*graph.in_avals, *(a for a, nz in zip(graph.in_avals, nonzero, strict=True) if nz)]
        return stage_derived(f, avals), tuple(nonzero_out)

    return graph.derived(("jvp", nonzero, instantiated), make)
