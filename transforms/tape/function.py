"""Functions that are recorded as one node, and their transposes: what a tape holds.

A tape keeps `(Taped, operands, values)` of a call; `Taped.pull` binds its memoised transpose, one node again. There is
no second reverse mode: both come from `linearize_graph` and `transpose_graph`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from fdl.core.avals import ShapedArray
from fdl.core.changes import Derived
from fdl.core.config import locally
from fdl.core.errors import GraphError
from fdl.core.graph import Graph, bind_graph
from fdl.core.tangents import has_tangent
from fdl.core.trace import aval_of, transforming
from fdl.transforms.control.call import call, call_p
from fdl.transforms.lazy import recorders
from fdl.transforms.lazy.trie import Operation
from fdl.transforms.linearize import LinearizedGraph, linearize_graph, transpose_graph
from fdl.transforms.stage import stage, with_literals

SIGNATURES = 256  # of a function, in memory; the oldest one goes when there are more


class Signature:
    """A function recorded for some types and static arguments: its graph, and whether it gives one
    result or several.
    """

    __slots__ = ("graph", "name", "single", "taped")

    def __init__(self, name: str, graph: Graph, single: bool) -> None:
        self.name, self.graph, self.single = name, graph, single
        self.taped: dict[int, Taped] = {}

    def with_tape(self, varying: int) -> Taped:
        """The same with respect to the operands whose bit is set."""
        found = self.taped.get(varying)
        if found is None:
            found = self.taped[varying] = Taped(self, varying)
        return found


class Taped:
    """A signature linearized: calls of it return results and then residuals.

    `differentiated` numbers the operands that have cotangents, `varies` says which results have a derivative, `sources`
    where residuals are found among the operands and then the values of the call.
    """

    __slots__ = ("_pulls", "count", "differentiated", "lin", "name", "pick", "signature", "single", "sources", "varies")

    def __init__(self, signature: Signature, varying: int) -> None:
        graph = signature.graph
        mask = tuple([bool(varying >> i & 1) and has_tangent(a) for i, a in enumerate(graph.in_avals)])
        self.signature, self.name, self.single = signature, signature.name, signature.single
        self.lin: LinearizedGraph = linearize_graph(graph, mask)
        self.differentiated = tuple([i for i, m in enumerate(mask) if m])
        self.count = len(graph.outputs)
        self.varies = tuple(self.lin.nonzero_out)
        self.sources = tuple([i if where == "in" else len(graph.inputs) + i for where, i in self.lin.residuals])
        # of (operands, values) the residuals, as fast as it can be
        self.pick: Callable[[Sequence[Any]], Sequence[Any]] = (
            operator.itemgetter(*self.sources)
            if len(self.sources) > 1
            else lambda pool: [pool[i] for i in self.sources]
        )
        self._pulls: dict[tuple[bool, ...], Function] = {}

    def pull(self, residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the differentiated operands, None where they vanish, from one for each result, None where it is
        zero.
        """
        given, present = self.given(cotangents)
        if not present:
            return [None] * len(self.differentiated)
        operands = [*residuals, *present]
        if transforming():
            derived, nonzero = self.transposed(given)
            outs: Sequence[Any] = call(derived, operands, f"backward({self.name})")
        else:
            outs, nonzero = recorders.recorder.bind((self, given), operands, _resolve_pull)
        if False not in nonzero:
            return outs  # type: ignore[return-value]
        results = iter(outs)
        return [next(results) if nz else None for nz in nonzero]

    def given(self, cotangents: Sequence[Any]) -> tuple[tuple[bool, ...], list[Any]]:
        """Which results that vary have a cotangent, and those."""
        if len(cotangents) == 1 and cotangents[0] is not None and self.varies == (True,):
            return (True,), [cotangents[0]]
        of_varying = [ct for ct, varies in zip(cotangents, self.varies, strict=True) if varies]
        return tuple([ct is not None for ct in of_varying]), [ct for ct in of_varying if ct is not None]

    def transposed(self, given: tuple[bool, ...]) -> tuple[Graph, tuple[bool, ...]]:
        """The graph of (residuals, cotangents that are given), and which of its results do not vanish."""
        linear = tuple([False] * len(self.sources) + [True] * len(self.differentiated))
        return transpose_graph(self.lin.linear, linear, given)

    def differentiable_pull(self, given: tuple[bool, ...]) -> tuple[Function, tuple[bool, ...]]:
        """`pull` as a function of (operands of the call, cotangents that are given), to be taped itself: what second
        derivatives come from.
        """
        derived, nonzero = self.transposed(given)
        if given not in self._pulls:
            count = len(self.signature.graph.inputs)

            def backward(*args: Any) -> tuple[Any, ...]:
                outs = bind_graph(self.lin.primal, args[:count])
                return tuple(bind_graph(derived, [*self.lin.pick(args[:count], outs), *args[count:]]))

            self._pulls[given] = Function(backward, f"backward({self.name})")
        return self._pulls[given], nonzero


def residuals_of(taped: Taped, operands: Sequence[Any], values: Sequence[Any]) -> Sequence[Any]:
    """Residuals of a call from its operands and all values that it returned."""
    return taped.pick([*operands, *values])


class Function:
    """A library function of arrays and numbers, traced once a signature and recorded as one node.

    `f(*arrays, *static)` returns an array or a tuple of arrays; Python numbers among the operands are 0-d inputs, weak,
    float64 or int64, and never part of a signature; `static` is hashable and part of it.
    """

    __slots__ = ("_signatures", "f", "name")

    def __init__(self, f: Callable[..., Any], name: str | None = None) -> None:
        self.f = f
        self.name = (name or f.__name__).strip("_")
        self._signatures: Derived[Any, Signature] = Derived()

    def __repr__(self) -> str:
        return f"Function({self.name})"

    def record(
        self, operands: Sequence[Any], static: tuple[Hashable, ...] = (), varying: int = 0
    ) -> tuple[list[Any], Any]:
        """Record a call: its values, and its `Signature`, or its `Taped` where bits of `varying` say which operands
        need cotangents.
        """
        if transforming():
            operation = resolve_call((self, static, varying), [aval_of(x) for x in operands])
            return call(operation.params["graph"], operands, self.name), operation.info
        return recorders.recorder.bind((self, static, varying), operands, resolve_call)

    def _recorded(self, flat: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray]) -> Graph:
        with locally(x64=False):  # libraries on top choose dtypes themselves
            graph = with_literals(stage(flat, avals, self.name))
        if graph.constants:
            raise GraphError(
                f"{self.name}: a library function captured an array",
                hint="make constants with fdl.ops.full, or pass them",
            )
        return graph

    def signature(self, avals: Sequence[ShapedArray], static: tuple[Hashable, ...]) -> Signature:
        """The graph for these types; raises the errors of `f`."""
        key = static, tuple(avals)
        found = self._signatures.current().get(key)
        if found is None:
            single: list[bool] = []

            def flat(*tracers: Any) -> Sequence[Any]:
                out = self.f(*tracers, *static)
                single.append(not isinstance(out, (tuple, list)))
                return [out] if single[0] else list(out)

            graph = self._recorded(flat, avals)
            if len(self._signatures) >= SIGNATURES:
                self._signatures.pop(next(iter(self._signatures)), None)
            found = self._signatures[key] = Signature(self.name, graph, single[0])
        return found


def resolve_call(head: tuple[Function, tuple[Hashable, ...], int], avals: list[ShapedArray]) -> Operation:
    """What the recorder asks for a call that it has not met."""
    function, static, varying = head
    signature = function.signature(avals, static)
    info: Any = signature.with_tape(varying) if varying else signature
    graph = info.lin.primal if varying else signature.graph
    return Operation(
        call_p, {"graph": graph, "name": function.name, "mode": "inline"}, tuple(graph.out_avals), info, bool(varying)
    )


def _resolve_pull(head: tuple[Taped, tuple[bool, ...]], avals: list[ShapedArray]) -> Operation:
    taped, given = head
    graph, nonzero = taped.transposed(given)
    return Operation(
        call_p, {"graph": graph, "name": f"backward({taped.name})", "mode": "inline"}, tuple(graph.out_avals), nonzero
    )
