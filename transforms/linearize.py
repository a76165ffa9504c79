"""Reverse mode, once and for all: linearize, then transpose the linear graph.

`LinearizeTrace` runs primal operations at once under its parent and records what touches a tangent in a linear graph,
whose captured constants are the residuals. An operation's linear part comes from its `jvp` rule: of what the rule
binds, all that touches no tangent runs in the parent. `backward_pass` walks a linear graph from results to inputs with
the `transpose` rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fdl.core.avals import ShapedArray
from fdl.core.errors import MissingRuleError
from fdl.core.graph import Equation, Graph, Literal, Var, bind_graph
from fdl.core.primitive import Primitive
from fdl.core.tangents import Linear, Zero, has_tangent
from fdl.core.trace import Trace, aval_of, current_trace, live_trace, set_trace
from fdl.ops.axes import instantiate, match
from fdl.ops.elementwise import add
from fdl.transforms.jvp import DualTrace
from fdl.transforms.stage import StageTrace, StageTracer, stage_derived

# Linearize


class LinearTrace(StageTrace):
    """Records operations on tangents; any other operation runs in the parent."""

    parent: Trace
    records = False

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        if any(isinstance(x, StageTracer) and x._trace is self for x in operands):
            return super().process(primitive, operands, params)
        return self.parent.process(primitive, operands, params)


class LinearizeTrace(DualTrace):
    """Runs primals, records tangents."""

    def __init__(self, name: str, parent: Trace) -> None:
        super().__init__(name, parent)
        self.linear = LinearTrace("~linear", parent)

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        primals, tangents = zip(*map(self.split, operands), strict=True) if operands else ((), ())
        if all(type(t) is Zero for t in tangents):
            return self.parent.process(primitive, primals, params)
        if primitive.has("linearize"):
            nonzero = tuple(type(t) is not Zero for t in tangents)
            with set_trace(self.parent):
                outs, linear = primitive.rule("linearize")(primals, nonzero, **params)
            with set_trace(self.linear):
                out_tangents = linear([t for t in tangents if type(t) is not Zero])
        else:
            with set_trace(self.linear):
                outs, out_tangents = primitive.rule("jvp")(primals, tangents, **params)
            if not primitive.multiple_results:
                outs, out_tangents = [outs], [out_tangents]
        return [self.join(p, t) for p, t in zip(outs, out_tangents, strict=True)]

    def join(self, primal: Any, tangent: Any) -> Any:
        """A tracer, or the primal alone where its tangent is no part of the linear graph: an instantiated zero depends
        on no input.
        """
        linear = isinstance(tangent, StageTracer) and tangent._trace is self.linear
        return super().join(primal, tangent) if linear else primal


class Linearized(NamedTuple):
    """Results, the graph from tangents of the differentiated inputs to those of the results that vary, and which
    results do.
    """

    outs: list[Any]
    graph: Graph
    nonzero_out: list[bool]


def linearize_flat(
    f: Callable[..., Sequence[Any]], primals: Sequence[Any], varying: Sequence[bool], name: str
) -> Linearized:
    """Linearize a flat function with respect to the inputs that are `varying`."""
    trace = LinearizeTrace(name, current_trace())
    with live_trace(trace):
        tangents = [trace.linear.input(aval_of(p)) for p, v in zip(primals, varying, strict=True) if v]
        given = iter(tangents)
        outs = f(*[trace.join(p, next(given)) if v else p for p, v in zip(primals, varying, strict=True)])
        pairs = [trace.split(o) for o in outs]
        nonzero_out = [type(t) is not Zero for _, t in pairs]
        graph = trace.linear.graph(tangents, [t for _, t in pairs if type(t) is not Zero])
    trace.linear.alive = False
    return Linearized([p for p, _ in pairs], graph, nonzero_out)


# Transpose


def backward_pass(graph: Graph, operands: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
    """Cotangents of the inputs given as `Linear`, `Zero` where nothing arrives; None for the others, which are values.

    Equations that depend on no linear input run forward first.
    """
    values: dict[Var, Any] = dict(graph.constants)
    linear: set[Var] = set()
    for v, x in zip(graph.inputs, operands, strict=True):
        if type(x) is Linear:
            linear.add(v)
        else:
            values[v] = x
    backward = _run_forward(graph, values, linear)

    collected: dict[Var, Any] = {}

    def give(atom: Any, ct: Any) -> None:
        if ct is None or type(ct) is Zero or isinstance(atom, Literal) or atom not in linear:
            return
        ct = match(ct, atom.aval) if not aval_of(ct).matches(atom.aval) else ct
        collected[atom] = add(collected[atom], ct) if atom in collected else ct

    for atom, ct in zip(graph.outputs, cotangents, strict=True):
        give(atom, ct)
    for e in reversed(backward):
        cts = [collected.pop(v, None) for v in e.outputs]
        if all(ct is None for ct in cts):
            continue
        cts = [Zero(v.aval) if ct is None else ct for v, ct in zip(e.outputs, cts, strict=True)]
        given = [Linear(a.aval) if a in linear else a if isinstance(a, Literal) else values[a] for a in e.inputs]
        for atom, ct in zip(
            e.inputs,
            _transpose_rule(e)(cts if e.primitive.multiple_results else cts[0], given, **e.params),
            strict=True,
        ):
            give(atom, ct)
    return [collected.get(v, Zero(v.aval)) if v in linear else None for v in graph.inputs]


def _run_forward(graph: Graph, values: dict[Var, Any], linear: set[Var]) -> list[Equation]:
    """Bind what is not linear; the equations that are."""
    backward = []
    for e in graph.equations:
        if any(a in linear for a in e.inputs):
            linear.update(e.outputs)
            backward.append(e)
        else:
            outs = e.primitive.bind_list([a if isinstance(a, Literal) else values[a] for a in e.inputs], e.params)
            values.update(zip(e.outputs, outs, strict=True))
    return backward


def _transpose_rule(e: Equation) -> Any:
    try:
        return e.primitive.rule("transpose")
    except MissingRuleError as error:
        if e.source is not None:
            error.add_note(f"the operation stands at {e.source}")
        raise


# Derived graphs, for the primitives that hold one


class LinearizedGraph(NamedTuple):
    """A graph that also returns residuals, and the linear graph of (residuals, tangents).

    `residuals` says where each one is found: ("in", i) an input, ("out", i) a result, both forwarded and not copied.
    """

    primal: Graph
    linear: Graph
    residuals: tuple[tuple[str, int], ...]
    nonzero_out: tuple[bool, ...]

    def pick(self, args: Sequence[Any], outs: Sequence[Any]) -> list[Any]:
        """The residuals' values."""
        return [(args if where == "in" else outs)[i] for where, i in self.residuals]


def linearize_graph(graph: Graph, nonzero: tuple[bool, ...], instantiated: tuple[bool, ...] = ()) -> LinearizedGraph:
    """Derive and memoise; `instantiated` forces tangents of some results to be there."""

    def make() -> LinearizedGraph:
        found: list[Any] = []

        def f(*args: Any) -> list[Any]:
            outs, linear, nonzero_out = linearize_flat(lambda *xs: bind_graph(graph, xs), args, nonzero, "~linearize")
            linear, residuals = linear.lift()
            found[:] = [linear, nonzero_out]
            return [*outs, *residuals]

        staged = stage_derived(f, graph.in_avals)
        linear, nonzero_out = found
        count = len(graph.outputs)
        outputs, places = list(staged.outputs[:count]), []
        for atom in staged.outputs[count:]:
            if atom in staged.inputs:
                places.append(("in", staged.inputs.index(atom)))
                continue
            if atom not in outputs:
                outputs.append(atom)
            places.append(("out", outputs.index(atom)))
        primal = Graph(staged.inputs, staged.equations, tuple(outputs))
        linear, nonzero_out = _instantiated(linear, nonzero_out, instantiated, graph.out_avals)
        return LinearizedGraph(primal, linear, tuple(places), tuple(nonzero_out))

    return graph.derived(("linearize", nonzero, instantiated), make)


def _instantiated(
    linear: Graph, nonzero_out: list[bool], wanted: Sequence[bool], avals: Sequence[ShapedArray]
) -> tuple[Graph, list[bool]]:
    """The linear graph with zeros for tangents that are wanted but vanish."""
    if not any(w and not nz for w, nz in zip(wanted, nonzero_out, strict=bool(wanted))):
        return linear, nonzero_out

    def f(*args: Any) -> list[Any]:
        given = iter(bind_graph(linear, args))
        tangents = [next(given) if nz else Zero(a) for nz, a in zip(nonzero_out, avals, strict=True)]
        return [instantiate(t) for t, nz, w in zip(tangents, nonzero_out, wanted, strict=True) if nz or w]

    return stage_derived(f, linear.in_avals), [nz or w for nz, w in zip(nonzero_out, wanted, strict=True)]


def transpose_graph(
    graph: Graph, linear: tuple[bool, ...], nonzero: tuple[bool, ...], instantiated: tuple[bool, ...] = ()
) -> tuple[Graph, tuple[bool, ...]]:
    """The graph of (operands that are not linear, cotangents that are not zero) -> cotangents of linear operands that
    are not zero, and which.

    `instantiated` says for which linear operands zeros are made where they vanish.
    """

    def make() -> tuple[Graph, tuple[bool, ...]]:
        nonzero_in: list[bool] = []

        def f(*args: Any) -> list[Any]:
            given = iter(args)
            operands = [Linear(a) if lin else next(given) for a, lin in zip(graph.in_avals, linear, strict=True)]
            cts = [next(given) if nz else Zero(a) for a, nz in zip(graph.out_avals, nonzero, strict=True)]
            results = [ct for ct in backward_pass(graph, operands, cts) if ct is not None]
            results = [
                instantiate(ct) if wanted else ct
                for ct, wanted in zip(results, instantiated or (False,) * len(results), strict=True)
            ]
            nonzero_in[:] = [type(ct) is not Zero for ct in results]
            return [ct for ct in results if type(ct) is not Zero]

        avals = [a for a, lin in zip(graph.in_avals, linear, strict=True) if not lin]
        avals += [a for a, nz in zip(graph.out_avals, nonzero, strict=True) if nz]
        return stage_derived(f, avals), tuple(nonzero_in)

    return graph.derived(("transpose", linear, nonzero, instantiated), make)


def varying_mask(avals: Sequence[ShapedArray]) -> list[bool]:
    """Which inputs have a tangent."""
    return [has_tangent(a) for a in avals]
