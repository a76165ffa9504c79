"""What a library on top of fdl needs: functions that are recorded as one node, their transposes, mutable cells, and when to flush.

`fdl.stateful` is built on this module alone.  A tape keeps `(Taped, residuals)` of a call; `Taped.pull` binds its memoised transpose, one node again.
There is no second reverse mode: both come from `linearize_graph` and `transpose_graph`.

>>> from fdl import ops
>>> square_sum = Function(lambda x: ops.reduce_sum(ops.mul(x, x), (0,)))
>>> (out, *residuals), taped = square_sum.record([ops.full((3,), 2.0, "float32")], varying=1)
>>> out.tolist(), [g.tolist() for g in taped.pull(residuals_of(taped, [ops.full((3,), 2.0, "float32")], [out, *residuals]), [ops.full((), 1.0, "float32")])]
(12.0, [[4.0, 4.0, 4.0]])
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from fdl.backends.runtime import probe
from fdl.core.array import VOLATILE, Array, Deferred
from fdl.core.avals import ShapedArray
from fdl.core.errors import GraphError
from fdl.core.graph import Atom, Graph, Literal, bind_graph
from fdl.core.tangents import has_tangent
from fdl.core.trace import aval_of, transforming
from fdl.transforms.control.call import call, call_p
from fdl.transforms.lazy import current_recorder, cut, flush, recorders, want
from fdl.transforms.lazy.programs import NATIVE
from fdl.transforms.lazy.recorder import on_native
from fdl.transforms.lazy.trie import Operation
from fdl.transforms.linearize import LinearizedGraph, linearize_graph, transpose_graph
from fdl.transforms.stage import note_cell, stage

__all__ = [
    "NATIVE",
    "Function",
    "Signature",
    "Storage",
    "Taped",
    "cut",
    "current_recorder",
    "flush",
    "native_tape",
    "native_tensors",
    "note_cell",
    "put",
    "recorders",
    "residuals_of",
    "want",
]


class Signature:
    """A function recorded for some types and static arguments: its graph, and whether it gives one result or several."""

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

    `differentiated` numbers the operands that have cotangents, `varies` says which results have a derivative, `sources` where residuals are found among
    the operands and then the values of the call.
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
        self.pick: Callable[[Sequence[Any]], Sequence[Any]] = operator.itemgetter(*self.sources) if len(self.sources) > 1 else lambda pool: [pool[i] for i in self.sources]
        self._pulls: dict[tuple[bool, ...], Function] = {}

    def pull(self, residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the differentiated operands, None where they vanish, from one for each result, None where it is zero."""
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
        """`pull` as a function of (operands of the call, cotangents that are given), to be taped itself: what second derivatives come from."""
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

    `f(*arrays, *static)` returns an array or a tuple of arrays; Python numbers among the operands are 0-d inputs, weak, float64 or int64, and never part of
    a signature; `static` is hashable and part of it.
    """

    __slots__ = ("_signatures", "f", "name")

    def __init__(self, f: Callable[..., Any], name: str | None = None) -> None:
        self.f = f
        self.name = (name or f.__name__).strip("_")
        self._signatures: dict[Any, Signature] = {}

    def __repr__(self) -> str:
        return f"Function({self.name})"

    def record(self, operands: Sequence[Any], static: tuple[Hashable, ...] = (), varying: int = 0) -> tuple[list[Any], Any]:
        """Record a call: its values, and its `Signature`, or its `Taped` where bits of `varying` say which operands need cotangents."""
        if transforming():
            operation = _resolve((self, static, varying), [aval_of(x) for x in operands])
            return call(operation.params["graph"], operands, self.name), operation.info
        return recorders.recorder.bind((self, static, varying), operands, _resolve)

    def signature(self, avals: Sequence[ShapedArray], static: tuple[Hashable, ...]) -> Signature:
        """The graph for these types; raises the errors of `f`."""
        key = static, tuple(avals)
        found = self._signatures.get(key)
        if found is None:
            single: list[bool] = []

            def flat(*tracers: Any) -> Sequence[Any]:
                out = self.f(*tracers, *static)
                single.append(not isinstance(out, (tuple, list)))
                return [out] if single[0] else list(out)

            graph = _with_literals(stage(flat, avals, self.name), self.name)
            if len(self._signatures) > 1024:
                self._signatures.clear()
            found = self._signatures[key] = Signature(self.name, graph, single[0])
        return found


def _with_literals(graph: Graph, name: str) -> Graph:
    """The graph with its 0-d constants as literals; GraphError for other ones."""
    if any(v.aval.shape for v, _ in graph.constants):
        raise GraphError(f"{name}: a library function captured an array", hint="make constants with fdl.ops.full, or pass them")
    literals: dict[Any, Atom] = {v: Literal(x._numpy()[()], v.aval.dtype, v.aval.weak_type) for v, x in graph.constants}
    equations = [e.replace(inputs=tuple([literals.get(a, a) for a in e.inputs])) for e in graph.equations]
    return Graph(graph.inputs, tuple(equations), tuple([literals.get(a, a) for a in graph.outputs])) if literals else graph


def _resolve(head: tuple[Function, tuple[Hashable, ...], int], avals: list[ShapedArray]) -> Operation:
    function, static, varying = head
    signature = function.signature(avals, static)
    info: Any = signature.with_tape(varying) if varying else signature
    graph = info.lin.primal if varying else signature.graph
    return Operation(call_p, {"graph": graph, "name": function.name, "mode": "inline"}, tuple(graph.out_avals), info)


def _resolve_pull(head: tuple[Taped, tuple[bool, ...]], avals: list[ShapedArray]) -> Operation:
    taped, given = head
    graph, nonzero = taped.transposed(given)
    return Operation(call_p, {"graph": graph, "name": f"backward({taped.name})", "mode": "inline"}, tuple(graph.out_avals), nonzero)


class Storage:
    """A mutable cell that holds an array.  What is set is undone where the program that it belongs to fails before it has run."""

    __slots__ = ("__weakref__", "array", "exported", "version")

    def __init__(self, array: Any) -> None:
        self.array = array
        self.version = 0
        self.exported: np.ndarray[Any, Any] | None = None

    def set(self, array: Any) -> None:
        """Put another array of the same type into the cell."""
        if self.exported is not None and self._write_through(array):
            return
        if type(array) is Array and isinstance(array._data, Deferred):
            current_recorder().rebound(self, self.array)
        self.array = array
        self.version += 1

    def restore(self, array: Array) -> None:
        """Undo what was set since the last flush."""
        self.array = array
        self.version += 1

    def export(self) -> np.ndarray[Any, Any]:
        """A writable ndarray that shares memory with the cell: what is written to either is seen in both, for as long as somebody holds it."""
        if self.exported is None:
            flush()  # whoever has recorded to read the old memory reads it now
            memory = np.array(self.array._numpy())
            self.exported = memory
            self.array = Array(self.array.aval, memory, VOLATILE)
        return self.exported

    def _write_through(self, array: Array) -> bool:
        """Write into exported memory; False, and the memory is ours again, where nobody holds it any more."""
        if sys.getrefcount(self.exported) <= 3:  # this cell, its array, and the call
            self.exported = None
            return False
        assert self.exported is not None
        np.copyto(self.exported, array._numpy())
        self.version += 1
        return True


def put(cells: Sequence[Storage], arrays: Sequence[Any]) -> None:
    """`set` of many cells, after one call that computed all of their values."""
    current = recorders.recorder
    start = NATIVE.put(current.segment, current.journal, cells, arrays) if NATIVE.put is not None else 0
    for cell, array in zip(cells[start:], arrays[start:], strict=True):
        cell.set(array)


def native_tape(node: type, leaf: type) -> None:
    """Let the runtime library, once it is loaded, take the plain steps of reverse mode over a tape of these types.

    A node has slots `taped, edges, operands, values, order, hooks`; `NATIVE.steps(recorder, heap, waiting, leaves, done, add)` goes on from the state that
    `walk` of the tape keeps in these containers, and stops where something is not plain.
    """

    def adopt(module: Any) -> None:
        if module.taping(*probe(node), *probe(Taped), leaf):
            NATIVE.steps = module.steps

    on_native(adopt)


def native_tensors(tensor: type, view: type) -> None:
    """Let the runtime library, once it is loaded, apply functions to tensors of this type where the call is a hit: `NATIVE.apply`, see
    them through a further step: `NATIVE.see`, and
    fill many storages at once: `NATIVE.put`.

    A tensor has slots `_storage, _view, _edge, _result`: a `Storage`, None or a view, the node of the tape that `native_tape` was told of or None, and
    the number of its result; a view has slots `base, steps, version, seen, array, node, index`: a tensor, the version of its storage and the edge that were seen,
    and the value and edge that followed.
    """

    def adopt(module: Any) -> None:
        if module.tensors(*probe(tensor), *probe(Storage), *probe(view)):
            NATIVE.apply, NATIVE.see, NATIVE.put = module.apply, module.see, module.put

    on_native(adopt)
