"""`call`: a graph as one operation. Library functions and `jit` bind it; derived graphs are memoised on the graph.

`mode` says what is special: "inline" nothing, "jit" that the base trace compiles it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, overload

from fdl.backends.dispatch import executable
from fdl.core.array import ConcreteArray
from fdl.core.avals import ShapedArray
from fdl.core.changes import Derived
from fdl.core.errors import GraphError
from fdl.core.graph import Graph, interpret
from fdl.core.primitive import Primitive
from fdl.core.pytree import TreeDef, tree_flatten
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import Tracer, aval_of, current_trace
from fdl.transforms.jvp import jvp_graph
from fdl.transforms.linearize import linearize_graph, transpose_graph
from fdl.transforms.stage import FlatFunction, check_leaves, function_name, stage
from fdl.transforms.vmap import batch_graph

P = ParamSpec("P")
R = TypeVar("R")


def call(graph: Graph, args: Sequence[Any], name: str, mode: str = "inline") -> list[Any]:
    """Bind a graph as one operation on its inputs."""
    results: list[Any] = call_p.bind_all(*args, graph=graph, name=name, mode=mode)
    return results


def _shape(*avals: ShapedArray, graph: Graph, name: str, mode: str) -> list[ShapedArray]:
    if len(avals) != len(graph.inputs) or any(not a.matches(b) for a, b in zip(avals, graph.in_avals, strict=True)):
        raise GraphError(f"call {name}: got {list(avals)}, the graph takes {graph.in_avals}")
    return graph.out_avals


def _evaluate(*arrays: ConcreteArray, graph: Graph, name: str, mode: str) -> list[ConcreteArray] | None:
    return executable(graph, name)(arrays) if mode == "jit" else None


def _jvp(primals: Any, tangents: Any, *, graph: Graph, name: str, mode: str) -> Any:
    nonzero = tuple(type(t) is not Zero for t in tangents)
    derived, nonzero_out = jvp_graph(graph, nonzero, (False,) * len(graph.outputs))
    outs = call(derived, [*primals, *(t for t in tangents if type(t) is not Zero)], f"jvp({name})", mode)
    count = len(graph.outputs)
    return outs[:count], fill(outs[count:], nonzero_out, graph.out_avals)


def fill(values: Sequence[Any], mask: Sequence[bool], avals: Sequence[ShapedArray]) -> list[Any]:
    """`values` where the mask holds, symbolic zeros elsewhere."""
    given = iter(values)
    return [next(given) if m else Zero(a) for m, a in zip(mask, avals, strict=True)]


def _linearize(primals: Any, nonzero: Any, *, graph: Graph, name: str, mode: str) -> Any:
    lin = linearize_graph(graph, nonzero)
    outs = call(lin.primal, primals, name, mode)
    residuals = lin.pick(primals, outs)

    def linear(tangents: Sequence[Any]) -> list[Any]:
        return fill(
            call(lin.linear, [*residuals, *tangents], f"linear({name})", mode), lin.nonzero_out, graph.out_avals
        )

    return outs[: len(graph.outputs)], linear


def _transpose(cts: Any, operands: Any, *, graph: Graph, name: str, mode: str) -> Any:
    linear = tuple(map(is_linear, operands))
    nonzero = tuple(type(ct) is not Zero for ct in cts)
    derived, nonzero_in = transpose_graph(graph, linear, nonzero)
    args = [*(x for x in operands if not is_linear(x)), *(ct for ct in cts if type(ct) is not Zero)]
    results = iter(
        fill(call(derived, args, f"transpose({name})", mode), nonzero_in, [x.aval for x in operands if is_linear(x)])
    )
    return [next(results) if lin else None for lin in linear]


def _batch(axis: Any, args: Any, batched: Any, *, graph: Graph, name: str, mode: str) -> Any:
    derived, out_batched = batch_graph(graph, axis, tuple(batched))
    return call(derived, args, f"vmap({name})", mode), out_batched


call_p = (
    Primitive("call", multiple_results=True)
    .define(
        shape=_shape,
        impl=lambda *xs, graph, name, mode: interpret(graph, xs),
        evaluate=_evaluate,
        jvp=_jvp,
        linearize=_linearize,
        transpose=_transpose,
        batch=_batch,
        lower=lambda b, *xs, graph, name, mode: b.inline(graph, xs),
        effects=lambda graph, name, mode: graph.effects,
        called=lambda graph, name, mode: graph,
        samples=[],
    )
    .register()
)


# Graph functions


class GraphFunction(Generic[P, R]):
    """A library function, recorded once a signature and from then on bound as one `call`.

    Keyword arguments and the arguments named `static` are part of the signature and must be hashable.
    """

    def __init__(self, f: Callable[P, R], static: Sequence[int] = (), mode: str = "inline") -> None:
        functools.update_wrapper(self, f)
        self.f, self.static, self.mode = f, tuple(static), mode
        self.cache: Derived[Any, tuple[Graph, list[Any], TreeDef]] = Derived()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        fixed = tuple(args[i] for i in self.static if i < len(args))
        dynamic = tuple(x for i, x in enumerate(args) if i not in self.static)
        leaves, in_tree = tree_flatten((dynamic, {}))
        leaves = check_leaves(leaves, dynamic, function_name(self.f))
        key = (
            in_tree,
            tuple([aval_of(x) for x in leaves]),
            fixed,
            tuple(sorted(kwargs.items())),
            current_trace().surroundings(),
        )
        graph, captured, out_tree = self.cache.current().get(key) or self._record(key, leaves, in_tree, fixed, kwargs)
        result: R = out_tree.unflatten(call(graph, [*captured, *leaves], function_name(self.f), self.mode))
        return result

    def _record(
        self, key: Any, leaves: Sequence[Any], in_tree: TreeDef, fixed: tuple[Any, ...], kwargs: Any
    ) -> tuple[Graph, list[Any], TreeDef]:
        def with_static(*dynamic: Any) -> Any:
            given, constants = iter(dynamic), iter(fixed)
            count = len(dynamic) + len(fixed)
            return self.f(*[next(constants) if i in self.static else next(given) for i in range(count)], **kwargs)

        flat = FlatFunction(with_static, in_tree, function_name(self.f))
        graph, captured = stage(flat, [aval_of(x) for x in leaves], function_name(self.f)).lift()
        assert flat.out_tree is not None
        entry = graph, captured, flat.out_tree
        if not any(isinstance(x, Tracer) for x in captured):  # what closed over a tracer holds for this call alone
            self.cache[key] = entry
        return entry


@overload
def graph_function(f: Callable[P, R]) -> GraphFunction[P, R]: ...
@overload
def graph_function(*, static: Sequence[int]) -> Callable[[Callable[P, R]], GraphFunction[P, R]]: ...
def graph_function(f: Callable[..., Any] | None = None, *, static: Sequence[int] = ()) -> Any:
    """Make a library function one node of every graph: recorded once a signature, differentiated and batched once a
    mask.

    >>> @graph_function
    ... def square_plus(x, y):
    ...     return x * x + y
    >>> from fdl.transforms import make_graph
    >>> len(make_graph(square_plus)(1.0, 2.0).equations)
    1
    """
    return GraphFunction(f, static) if f is not None else lambda f: GraphFunction(f, static)
