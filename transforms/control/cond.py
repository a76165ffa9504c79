"""`cond`: one of several branches, chosen by an int32 index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.avals import ShapedArray
from fdl.core.errors import ShapeError, StructureError
from fdl.core.graph import Graph, bind_graph, interpret
from fdl.core.primitive import Primitive
from fdl.core.pytree import tree_flatten
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import aval_of
from fdl.ops.axes import convert, match, zeros_like
from fdl.ops.elementwise import equal, maximum, minimum
from fdl.transforms.control.call import fill
from fdl.transforms.control.checks import lift_from_branches
from fdl.transforms.control.lanes import branch_in_lanes, choose
from fdl.transforms.control.threaded import Threaded
from fdl.transforms.jvp import jvp_graph
from fdl.transforms.linearize import linearize_graph, transpose_graph
from fdl.transforms.stage import FlatFunction, check_function, check_leaves, function_name, stage_derived
from fdl.transforms.vmap import batch_graph

# The user's functions


def record_branches(
    what: str, branches: Sequence[Callable[..., Any]], leaves: Sequence[Any], in_tree: Any, threaded: Threaded
) -> tuple[tuple[Graph, ...], list[Any], Any]:
    """Branches as graphs of one signature (captured values first), those values, and the structure of the result."""
    for f in branches:
        check_function(f, what, "lax.cond(p, lambda: a, lambda: b), lax.switch(i, [f, g], x)")
    flats = [FlatFunction(f, in_tree, what) for f in branches]
    graphs = [
        threaded.stage(flat, [aval_of(x) for x in leaves], f"{what}({function_name(f)})")
        for flat, f in zip(flats, branches, strict=True)
    ]
    out_tree = flats[0].out_tree
    for k, (flat, graph) in enumerate(zip(flats, graphs, strict=True)):
        if flat.out_tree != out_tree:
            raise StructureError(
                f"{what}: branch {k} returns {flat.out_tree}, branch 0 returns {out_tree}",
                why="both branches stand for one result",
                hint="return the same containers from both",
            )
        for a, b in zip(graph.out_avals, graphs[0].out_avals, strict=True):
            if a.shape != b.shape or (a.dtype != b.dtype and not (a.weak_type or b.weak_type)):
                raise ShapeError(
                    f"{what}: branch {k} returns {a.describe()}, branch 0 returns {b.describe()}",
                    why="both branches stand for one result",
                    hint="astype or reshape in one of them",
                )
    merged, captured = merge_captured(graphs)
    joined = [_strongest([g.out_avals[i] for g in merged]) for i in range(len(merged[0].outputs))]
    return (
        tuple(
            stage_derived(
                lambda *xs, g=g: [match(o, a) for o, a in zip(bind_graph(g, xs), joined, strict=True)], g.in_avals
            )
            for g in merged
        ),
        captured,
        out_tree,
    )


def _strongest(avals: Sequence[ShapedArray]) -> ShapedArray:
    dtype, weak = dtypes.promote([(a.dtype, a.weak_type) for a in avals])
    return avals[0].update(dtype=dtype, weak_type=weak)


def merge_captured(graphs: Sequence[Graph]) -> tuple[list[Graph], list[Any]]:
    """Graphs with constants as graphs that all take all captured values first."""
    values = list({id(x): x for g in graphs for _, x in g.constants}.values())

    def widen(g: Graph) -> Graph:
        lifted, own = g.lift()
        places = [next(i for i, v in enumerate(values) if v is x) for x in own]
        avals = [aval_of(v) for v in values] + g.in_avals
        return stage_derived(lambda *xs: bind_graph(lifted, [*(xs[i] for i in places), *xs[len(values) :]]), avals)

    return [widen(g) for g in graphs], values


def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """`true_fun(*operands)` if the scalar predicate holds, else `false_fun(*operands)`; only one of them runs.

    Under `vmap` of the predicate both run, and no lane feels anything of the branch that it does not take: neither NaN
    nor infinity in its derivatives, unlike with `jnp.where`.

    >>> float(cond(True, lambda x: x + 1, lambda x: x - 1, 3.0))
    4.0
    """
    (pred,) = check_leaves([pred], pred, "cond", lambda path: f"the predicate{path}")
    if aval_of(pred).shape != ():
        raise ShapeError(
            f"cond: the predicate has shape {aval_of(pred).shape}",
            why="one branch is chosen for the whole call",
            hint="jnp.where for a choice by element, jnp.any or jnp.all",
        )
    chosen = pred if aval_of(pred).dtype == dtypes.bool_ else convert(pred, dtypes.bool_)
    return _switch("cond", convert(chosen, dtypes.int32), [false_fun, true_fun], operands)


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`; an index outside is moved to the nearest inside.

    >>> float(switch(2, [lambda x: x, lambda x: x + 1, lambda x: x * 10], 3.0))
    30.0
    """
    (index,) = check_leaves([index], index, "switch", lambda path: f"the index{path}")
    if aval_of(index).shape != () or not dtypes.is_integer(aval_of(index).dtype):
        raise ShapeError(
            f"switch: the index is {aval_of(index).describe()}",
            why="one branch is chosen by one integer",
            hint="x.astype(jnp.int32)",
        )
    if not branches:
        raise StructureError(
            "switch: there is no branch", why="an index chooses among branches", hint="switch(index, [f, g], *operands)"
        )
    return _switch("switch", maximum(minimum(convert(index, dtypes.int32), len(branches) - 1), 0), branches, operands)


def _switch(what: str, index: Any, branches: Sequence[Callable[..., Any]], operands: Any) -> Any:
    threaded = Threaded()

    def bound() -> Any:
        cells = threaded.cells  # without any, branches are as the user wrote them
        given = (threaded.start(), *operands) if cells else tuple(operands)
        leaves, in_tree = tree_flatten((given, {}))
        leaves = check_leaves(leaves, given, what, lambda path: f"operand {path}")
        graphs, captured, out_tree = record_branches(
            what, [threaded.of(f) for f in branches] if cells else branches, leaves, in_tree, threaded
        )
        graphs, found = lift_from_branches(graphs)
        return out_tree.unflatten(found.looked_at(cond_p.bind_all(index, *captured, *leaves, branches=graphs)))

    result = threaded.settled(bound)
    if not threaded.cells:
        return result
    threaded.finish(result[1])
    return result[0]


# Rules


def _shape(index: ShapedArray, *avals: ShapedArray, branches: tuple[Graph, ...]) -> list[ShapedArray]:
    return branches[0].out_avals


def _impl(index: Any, *xs: Any, branches: tuple[Graph, ...]) -> Any:
    return interpret(branches[int(np.clip(index, 0, len(branches) - 1))], xs)


def _jvp(primals: Any, tangents: Any, *, branches: tuple[Graph, ...]) -> Any:
    nonzero = tuple(type(t) is not Zero for t in tangents[1:])
    free = (False,) * len(branches[0].outputs)
    varies = [jvp_graph(g, nonzero, free)[1] for g in branches]
    wanted = tuple(any(column) for column in zip(*varies, strict=True))
    derived = tuple(jvp_graph(g, nonzero, wanted)[0] for g in branches)
    outs = cond_p.bind_all(*primals, *(t for t in tangents[1:] if type(t) is not Zero), branches=derived)
    count = len(branches[0].outputs)
    return outs[:count], fill(outs[count:], wanted, branches[0].out_avals)


def _linearize(primals: Any, nonzero: Any, *, branches: tuple[Graph, ...]) -> Any:
    """Each branch returns its own residuals and zeros in the place of the others'.

    A result is never another branch's residual: its cotangent, which is zero, would go back through the branch that was
    taken.
    """
    index, *operands = primals
    mask, count = tuple(nonzero[1:]), len(branches[0].outputs)
    varies = [linearize_graph(g, mask).nonzero_out for g in branches]
    wanted = tuple(any(column) for column in zip(*varies, strict=True))
    lins = [linearize_graph(g, mask, wanted) for g in branches]
    saved = [sorted({i for where, i in lin.residuals if where == "out"}) for lin in lins]
    starts = [sum(map(len, saved[:k])) for k in range(len(saved))]

    def primal(k: int) -> Graph:
        def f(*xs: Any) -> list[Any]:
            outs = bind_graph(lins[k].primal, xs)
            extra = [
                outs[i] if j == k else zeros_like(lin.primal.out_avals[i])
                for j, (lin, own) in enumerate(zip(lins, saved, strict=True))
                for i in own
            ]
            return [*outs[:count], *extra]

        return stage_derived(f, branches[k].in_avals)

    outs = cond_p.bind_all(*primals, branches=tuple(primal(k) for k in range(len(branches))))
    results, extra = outs[:count], outs[count:]

    def linear_branch(k: int, tangent_avals: Sequence[ShapedArray]) -> Graph:
        def f(*xs: Any) -> list[Any]:
            args, residuals, tangents = (
                xs[: len(operands)],
                xs[len(operands) :][: len(extra)],
                xs[len(operands) + len(extra) :],
            )
            own = dict(zip(saved[k], residuals[starts[k] :], strict=False))
            return bind_graph(
                lins[k].linear, [*(args[i] if where == "in" else own[i] for where, i in lins[k].residuals), *tangents]
            )

        return stage_derived(f, [*map(aval_of, operands), *map(aval_of, extra), *tangent_avals])

    def linear(tangents: Sequence[Any]) -> list[Any]:
        graphs = tuple(linear_branch(k, [aval_of(t) for t in tangents]) for k in range(len(branches)))
        return fill(
            cond_p.bind_all(index, *operands, *extra, *tangents, branches=graphs), wanted, branches[0].out_avals
        )

    return results, linear


def _transpose(cts: Any, operands: Any, *, branches: tuple[Graph, ...]) -> Any:
    index, *rest = operands
    linear, nonzero = tuple(map(is_linear, rest)), tuple(type(ct) is not Zero for ct in cts)
    found = [transpose_graph(g, linear, nonzero)[1] for g in branches]
    wanted = tuple(any(column) for column in zip(*found, strict=True))
    derived = tuple(transpose_graph(g, linear, nonzero, wanted)[0] for g in branches)
    args = [*(x for x in rest if not is_linear(x)), *(ct for ct in cts if type(ct) is not Zero)]
    results = iter(
        fill(cond_p.bind_all(index, *args, branches=derived), wanted, [x.aval for x in rest if is_linear(x)])
    )
    return [None, *(next(results) if lin else None for lin in linear)]


def _batch(axis: Any, args: Any, batched: Any, *, branches: tuple[Graph, ...]) -> Any:
    index, *operands = args
    mask = tuple(batched[1:])
    if not batched[0]:
        found = [batch_graph(g, axis, mask)[1] for g in branches]
        wanted = tuple(any(column) for column in zip(*found, strict=True))
        return cond_p.bind_all(*args, branches=tuple(batch_graph(g, axis, mask, wanted)[0] for g in branches)), wanted
    results: list[Any] = []
    for k, g in enumerate(branches):  # each lane chooses by itself
        taken = equal(index, k)
        new = branch_in_lanes(g, axis, taken, operands, mask, _if_any)
        results = choose(taken, new, results) if results else new
    return results, [True] * len(results)


def _if_any(predicate: Any, graph: Graph, operands: Sequence[Any]) -> list[Any]:
    """The graph's results if the predicate holds, else zeros."""
    zeros = graph.derived(
        "zeros", lambda: stage_derived(lambda *xs: list(map(zeros_like, graph.out_avals)), graph.in_avals)
    )
    return cond_p.bind_all(convert(predicate, dtypes.int32), *operands, branches=(zeros, graph))


cond_p = (
    Primitive("cond", multiple_results=True)
    .define(
        shape=_shape,
        impl=_impl,
        jvp=_jvp,
        linearize=_linearize,
        transpose=_transpose,
        batch=_batch,
        lower=lambda b, index, *xs, branches: b.cond(index, xs, branches),
        effects=lambda branches: frozenset().union(*[g.effects for g in branches]),
        samples=[],
    )
    .register()
)
