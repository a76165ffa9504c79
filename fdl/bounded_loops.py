"""Reverse mode through `while_loop`: the loop as one of bounded length, whose trips after the last do nothing.

How many trips are saved for the way back, by what is known when the derivative is recorded:

- `max_trips` of the loop: that many;
- all operands have values, as outside of `jit`: the loop runs once to count, and so many, rounded up to a power of two,
  so that few programs are compiled;
- else the first `_few(...)` trips, n, are saved one by one. Further n^3 are saved as n states that lie n^2 trips apart,
  between which the way back runs the loop again: memory for some 3 n states, and a loop twice as long to compute
  (Griewank and Walther, "Revolve", 2000).

Derivatives of a loop that takes more are NaN, and where checks can be made an error says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fdl.ad_checkpoint import checkpoint
from fdl.core import dtypes
from fdl.core.array import Array, ConcreteArray, as_array
from fdl.core.avals import ShapedArray
from fdl.core.errors import StateError
from fdl.core.graph import Graph, Literal, bind_graph
from fdl.core.trace import Tracer, aval_of, base_trace, current_trace, set_trace
from fdl.ops.axes import full
from fdl.ops.checks import Failure, check
from fdl.ops.elementwise import add, mul
from fdl.transforms.control.call import fill
from fdl.transforms.control.cond import cond
from fdl.transforms.control.scan import scan
from fdl.transforms.control.while_loop import fori_loop, while_loop, while_p
from fdl.transforms.linearize import linearize_graph
from fdl.transforms.stage import stage_derived

State = list[Any]

_TOO_MANY = Failure(
    StateError,
    "while_loop took more trips than its derivative has room for",
    "while_loop took more trips than its derivative has room for",
    "a larger max_trips=",
)


def _few(avals: Sequence[ShapedArray]) -> int:
    """How many trips with such a state are saved at once where nobody knows how many there are."""
    return 256 if sum(a.size * a.dtype.itemsize for a in avals) <= 1 << 16 else 64


def _bounded(test: Graph, body: Graph, num_test: int, num_body: int, length: int | None) -> Graph:
    """The loop as a graph of bounded trips: `length` of them, or n + n^3; its results, and whether it has not ended."""
    n = num_test + num_body

    def f(*values: Any) -> list[Any]:
        def goes_on(state: State) -> Array:
            holds: Array = bind_graph(test, [*values[:num_test], *state])[0]
            return holds

        def once(state: State) -> State:
            return bind_graph(body, [*values[num_test:n], *state])

        def trips(step: Callable[[State], State], count: int) -> Callable[[State], State]:
            def guarded(state: State, _: None) -> tuple[State, None]:
                return cond(goes_on(state), step, lambda s: s, state), None

            return lambda state: scan(guarded, state, length=count)[0]

        state = list(values[n:])
        if length is not None:
            state = trips(once, length)(state)
        else:
            few = _few(body.out_avals)
            state = trips(once, few)(state)
            inner = checkpoint(trips(checkpoint(trips(once, few)), few))
            state = trips(inner, few)(state)
        unfinished = goes_on(state)
        return [*cond(unfinished, _spoiled, lambda s: s, state), unfinished]

    def make() -> Graph:
        return stage_derived(f, [*test.in_avals[:num_test], *body.in_avals])

    found: Graph = body.derived(("bounded", test, num_test, num_body, length), make)
    return found


def _spoiled(state: State) -> State:
    """The state of a loop that has not ended: NaN, and so are its derivatives."""
    return [mul(x, float("nan")) if dtypes.is_inexact(aval_of(x).dtype) else x for x in state]


def _known(x: Any) -> ConcreteArray | None:
    """The array behind an operand, None where there is none."""
    return x.concrete() if isinstance(x, Tracer) else as_array(x.value) if isinstance(x, Literal) else x


def _counted(
    operands: Sequence[Any], test: Graph, body: Graph, num_test: int, num_body: int, max_trips: int | None
) -> int | None:
    """How many trips the loop takes, rounded up; None where that depends on values that are not known, or where running
    it would be seen.
    """
    values = [_known(x) for x in operands]
    if any(x is None for x in values) or body.effects or test.effects:
        return None

    def make() -> tuple[Graph, Graph]:
        count = ShapedArray((), dtypes.int32)
        return (
            stage_derived(lambda *xs: bind_graph(test, xs[:-1]), [*test.in_avals, count]),
            stage_derived(lambda *xs: [*bind_graph(body, xs[:-1]), add(xs[-1], 1)], [*body.in_avals, count]),
        )

    counting, stepping = body.derived(("counted", test, num_test, num_body), make)
    start = full((), 0, dtypes.int32)
    with set_trace(base_trace()):
        outs = while_p.bind_all(
            *values,
            start,
            test=counting,
            body=stepping,
            num_test=num_test,
            num_body=num_body,
            max_trips=max_trips,
        )
        count = int(outs[-1])
    return max(16, 1 << (count - 1).bit_length()) if count else 0


def _linearize(
    primals: Any, nonzero: Any, *, test: Graph, body: Graph, num_test: int, num_body: int, max_trips: int | None
) -> tuple[list[Array], Callable[[Sequence[Any]], list[Any]]]:
    length = max_trips
    if length is None:
        length = _counted(primals, test, body, num_test, num_body, max_trips)
    graph = _bounded(test, body, num_test, num_body, length)
    lin = linearize_graph(graph, tuple(nonzero))
    outs = bind_graph(lin.primal, primals)
    count = len(body.outputs)
    if not current_trace().name.startswith("~"):  # graphs that are derived hold no checks
        check(outs[count], _TOO_MANY)
    residuals = lin.pick(primals, outs)

    def linear(tangents: Sequence[Any]) -> list[Any]:
        moved = bind_graph(lin.linear, [*residuals, *tangents])
        return fill(moved, lin.nonzero_out[:count], graph.out_avals[:count])

    return outs[:count], linear


while_p.define(linearize=_linearize)

__all__ = ["fori_loop", "while_loop"]
