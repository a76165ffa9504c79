"""Reverse mode where no other transform runs: operations go to the recorder and onto a tape, as those of tensors do.

What `linearize` derives anew for each call is memoised here operation by operation: a call records one node for each
operation and one for its transpose, both hits in the trie from the second time on. Operations that hold graphs or
functions are linearized as ever, and their linear graph is what the tape holds. Under another transform,
`_Linearization` of `api/derivatives.py` does this work once for a program.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fdl.backends.native import NATIVE, on_native
from fdl.backends.runtime import probe
from fdl.core.array import ConcreteArray
from fdl.core.avals import ShapedArray
from fdl.core.changes import on_change
from fdl.core.graph import Graph
from fdl.core.primitive import Primitive
from fdl.core.tangents import Linear, Zero
from fdl.core.trace import Trace, Tracer, aval_of, base_operand, base_trace, live_trace, set_trace, transforming
from fdl.ops.axes import instantiate, match
from fdl.ops.elementwise import add
from fdl.transforms.lazy import recorders
from fdl.transforms.linearize import backward_pass, linearize_flat
from fdl.transforms.tape.function import Function, resolve_call
from fdl.transforms.tape.walk import ORDER, Leaf, Node, walk


class TapedTracer(Tracer):
    """A value with the node of the tape that it comes from."""

    __slots__ = ("aval", "index", "node", "primal")

    def __init__(self, trace: Trace, primal: Any, node: Any, index: int) -> None:
        self._trace = trace
        self.source = None  # looking for the user's line takes longer than recording an operation
        self.primal, self.node, self.index = primal, node, index
        self.aval: ShapedArray = primal.aval

    def concrete(self) -> ConcreteArray | None:
        found: ConcreteArray = self.primal
        return found


class _LinearNode:
    """A call of an operation that holds graphs, with its linear graph."""

    def __init__(self, graph: Graph, nonzero: Sequence[bool], edges: Sequence[tuple[Any, int]]) -> None:
        self.graph, self.nonzero, self.edges = graph, nonzero, edges
        self.taped, self.count = self, len(nonzero)
        self.order = next(ORDER)
        self.hooks = None

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        given = [
            Zero(v.aval) if ct is None else ct
            for v, ct in zip(
                self.graph.outputs, [ct for ct, nz in zip(cotangents, self.nonzero, strict=True) if nz], strict=True
            )
        ]
        found = backward_pass(self.graph, [Linear(v.aval) for v in self.graph.inputs], given)
        return [None if type(ct) is Zero else ct for ct in found]


@functools.cache
def _function(primitive: Primitive) -> Function | None:
    """The operation as a function that is recorded as one node; None where it holds functions or graphs, or acts when
    it is met.
    """
    if any(primitive.has(rule) for rule in ("linearize", "stage", "evaluate", "effects")):
        return None
    return Function(lambda *args: primitive.bind_list(args[:-1], dict(args[-1])), primitive.name)


on_change(_function.cache_clear)
_NO_PARAMS = ((),)  # as `process` records them


class TapeTrace(Trace):
    """Runs operations outside of all transforms and puts what varies on the tape."""

    parent: Trace

    def outside(self, x: Any) -> Any:
        return x.primal if type(x) is TapedTracer and x._trace is self else x

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        function = _function(primitive)
        recorder = recorders.recorder
        if function is not None and NATIVE.follow is not None and recorder.plain:
            done = NATIVE.follow(recorder, self, function, operands, (tuple(params.items()),), ORDER)
            if done is not None:
                return done
        return self._process(function, primitive, operands, params)

    def recall(self, primitive: Primitive, operands: Sequence[Any]) -> Sequence[Any] | None:
        recorder = recorders.recorder
        if NATIVE.follow is None or not recorder.plain:
            return None
        return NATIVE.follow(recorder, self, _function(primitive), operands, _NO_PARAMS, ORDER)

    def _process(
        self, function: Function | None, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]
    ) -> Sequence[Any]:
        """`process` in full; the runtime library does the same where the call was recorded before and nothing is
        special.
        """
        values: list[Any] = []
        edges: list[tuple[Any, int]] = []
        varying = bit = 0
        for x in operands:
            bit = bit << 1 or 1
            if type(x) is TapedTracer and x._trace is self:
                varying |= bit
                edges.append((x.node, x.index))
                values.append(x.primal)
            else:
                values.append(x if type(x) is ConcreteArray else base_operand(x))
        if not varying:
            return self.parent.process(primitive, values, params)
        if function is None:
            return self._linearized(primitive, values, params, varying, edges)
        outs, taped = recorders.recorder.bind((function, (tuple(params.items()),), varying), values, resolve_call)
        node = Node(taped, edges, values, outs)
        if taped.varies == (True,):
            return [TapedTracer(self, outs[0], node, 0)]
        return [
            TapedTracer(self, out, node, i) if varies else out
            for i, (out, varies) in enumerate(zip(outs, taped.varies, strict=False))
        ]

    def _linearized(
        self,
        primitive: Primitive,
        values: Sequence[Any],
        params: Mapping[str, Any],
        varying: int,
        edges: Sequence[tuple[Any, int]],
    ) -> Sequence[Any]:
        mask = [bool(varying >> i & 1) for i in range(len(values))]
        with set_trace(self.parent):
            outs, graph, nonzero = linearize_flat(
                lambda *xs: primitive.bind_list(xs, params), values, mask, f"~{primitive.name}"
            )
        if not any(nonzero):
            return outs
        node = _LinearNode(graph, nonzero, edges)
        return [
            TapedTracer(self, out, node, i) if varies else out
            for i, (out, varies) in enumerate(zip(outs, nonzero, strict=True))
        ]


class _Gathering:
    """The algebra of the walk whose leaves are inputs of a function."""

    def __init__(self) -> None:
        self.plain = not transforming()  # cotangents may be tracers, under `jacrev`
        self.found: dict[Leaf, Any] = {}

    def add(self, a: Any, b: Any) -> Any:
        return add(a, b)

    def pull(self, node: Any, cotangents: list[Any]) -> list[Any]:
        found: list[Any] = node.pull(cotangents)
        return found

    def hooked(self, cotangent: Any, hooks: Any) -> Any:
        return cotangent

    def gather(self, found: dict[Leaf, Any]) -> None:
        self.found = found


def tape_flat(
    f: Callable[..., Sequence[Any]], primals: Sequence[Any], varying: Sequence[bool], name: str
) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    """Results of a flat function, and the function from their cotangents to those of the inputs that are `varying`,
    None for the others.

    To be called where no transform runs.
    """
    trace = TapeTrace(name, base_trace())
    leaves = [Leaf() if v else None for v in varying]
    with live_trace(trace):
        outs = f(
            *[p if leaf is None else TapedTracer(trace, p, leaf, 0) for p, leaf in zip(primals, leaves, strict=True)]
        )
    sources: list[tuple[Any, int] | None] = []
    results = []
    for out in outs:
        ours = type(out) is TapedTracer and out._trace is trace
        sources.append((out.node, out.index) if ours else None)
        results.append(out.primal if ours else out)

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        roots = [
            (*s, _fitting(ct, aval_of(o)))
            for s, ct, o in zip(sources, cotangents, results, strict=False)
            if s is not None and type(ct) is not Zero
        ]
        algebra = _Gathering()
        walk(roots, algebra, release=False)
        found = algebra.found
        return [
            None if leaf is None else _fitting(found.get(leaf) if leaf in found else Zero(aval_of(p)), aval_of(p))
            for leaf, p in zip(leaves, primals, strict=True)
        ]

    return results, pull


def _fitting(ct: Any, aval: ShapedArray) -> Any:
    """A cotangent of this type."""
    return ct if type(ct) is ConcreteArray and ct.aval == aval else match(instantiate(ct), aval)


def _adopt(module: Any) -> None:
    """Let the runtime library, once it is loaded, take operations that were recorded before."""
    if module.following(*probe(TapedTracer)):
        NATIVE.adopt(NATIVE, "follow", module.follow)


on_native(_adopt)
