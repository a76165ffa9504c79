"""Rematerialization: `checkpoint`, and the policies that say what it saves all the same.

The derivative of a checkpointed function computes again what it needs. `linearize_graph` gives one graph of results and
residuals; a policy marks some of its values, and the graph is cut there: the marked values are results of the way
forward and inputs of the way back, which has the rest of the equations.

Source: Griewank and Walther, "Revolve", 2000; names as in `jax.ad_checkpoint`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ParamSpec, TypedDict, TypeVar, Unpack, overload

from fdl import ops
from fdl.core.array import Array
from fdl.core.errors import GraphError, StructureError
from fdl.core.graph import Equation, Graph, bind_graph, interpret
from fdl.core.primitive import Primitive
from fdl.core.pytree import tree_flatten, tree_map
from fdl.core.tangents import Zero
from fdl.core.trace import Cell, aval_of
from fdl.ops.sample import Sample, c64, f32, i32
from fdl.passes.inline import inline
from fdl.passes.prune import prune
from fdl.transforms.control.call import call, fill
from fdl.transforms.jvp import jvp_graph
from fdl.transforms.linearize import linearize_graph
from fdl.transforms.stage import (
    FlatFunction,
    argument_names,
    check_function,
    check_leaves,
    function_name,
    stage,
    stage_derived,
)
from fdl.transforms.vmap import batch_graph

P = ParamSpec("P")
R = TypeVar("R")
Policy = Callable[..., Any]

# Policies: `policy(primitive, *avals, **params)` says whether the results of such an operation are saved

name_p: Primitive = Primitive("name")
name_p.define(
    shape=lambda x, *, name: x,
    impl=lambda x, *, name: x,
    jvp=lambda primals, tangents, *, name: (name_p.bind(primals[0], name=name), tangents[0]),
    batch=lambda axis, args, batched, *, name: (name_p.bind(args[0], name=name), True),
    lower=lambda b, x, *, name: x,
    parts=lambda x, *, name: x,
    samples=[Sample((f32(3, 2),), {"name": "a"}), Sample((i32(2),), {"name": "a"}), Sample((c64(2),), {"name": "a"})],
).register()

T = TypeVar("T")


def checkpoint_name(x: T, name: str) -> T:
    """`x`, an array or a tree of them, under a name that policies know.

    >>> import fdl.numpy as jnp
    >>> checkpoint_name(jnp.ones(2), "activations").tolist()
    [1.0, 1.0]
    """
    out: T = tree_map(lambda leaf: name_p.bind(leaf, name=name), x)
    return out


def everything_saveable(prim: Primitive, *avals: Any, **params: Any) -> bool:
    """Saves all: nothing is computed again.

    >>> everything_saveable(name_p)
    True
    """
    return True


def nothing_saveable(prim: Primitive, *avals: Any, **params: Any) -> bool:
    """Saves arguments alone, as without a policy.

    >>> nothing_saveable(name_p)
    False
    """
    return False


def dots_saveable(prim: Primitive, *avals: Any, **params: Any) -> bool:
    """Saves products of matrices and convolutions.

    >>> dots_saveable(name_p)
    False
    """
    return prim.name in ("dot_general", "conv")


def dots_with_no_batch_dims_saveable(prim: Primitive, *avals: Any, **params: Any) -> bool:
    """Saves products of matrices without batch axes, as those with weights are.

    >>> dots_with_no_batch_dims_saveable(name_p)
    False
    """
    return prim.name == "dot_general" and params["numbers"][1] == ((), ())


def save_only_these_names(*names: str) -> Policy:
    """Saves what `checkpoint_name` gave one of these names.

    >>> save_only_these_names("a")(name_p, name="a")
    True
    """
    return lambda prim, *avals, **params: prim is name_p and params["name"] in names


def save_any_names_but_these(*names: str) -> Policy:
    """Saves what has another name than these.

    >>> save_any_names_but_these("a")(name_p, name="a")
    False
    """
    return lambda prim, *avals, **params: prim is name_p and params["name"] not in names


def save_anything_except_these_names(*names: str) -> Policy:
    """Saves all but what has one of these names.

    >>> save_anything_except_these_names("a")(name_p, name="a")
    False
    """
    return lambda prim, *avals, **params: prim is not name_p or params["name"] not in names


def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
    """Saves what either saves.

    >>> save_from_both_policies(nothing_saveable, everything_saveable)(name_p)
    True
    """
    return lambda prim, *avals, **params: policy_1(prim, *avals, **params) or policy_2(prim, *avals, **params)


def save_and_offload_only_these_names(
    *,
    names_which_can_be_saved: Sequence[str],
    names_which_can_be_offloaded: Sequence[str],
    offload_src: str,
    offload_dst: str,
) -> Policy:
    """Saves what has one of these names; all memory is the host's.

    >>> policy = save_and_offload_only_these_names(
    ...     names_which_can_be_saved=[], names_which_can_be_offloaded=["a"], offload_src="device",
    ...     offload_dst="pinned_host",
    ... )
    >>> policy(name_p, name="a")
    True
    """
    return save_only_these_names(*names_which_can_be_saved, *names_which_can_be_offloaded)


def offload_dot_with_no_batch_dims(offload_src: str, offload_dst: str) -> Policy:
    """As `dots_with_no_batch_dims_saveable`; all memory is the host's.

    >>> offload_dot_with_no_batch_dims("device", "pinned_host")(name_p)
    False
    """
    return dots_with_no_batch_dims_saveable


checkpoint_policies = SimpleNamespace(
    everything_saveable=everything_saveable,
    nothing_saveable=nothing_saveable,
    dots_saveable=dots_saveable,
    checkpoint_dots=dots_saveable,
    dots_with_no_batch_dims_saveable=dots_with_no_batch_dims_saveable,
    checkpoint_dots_with_no_batch_dims=dots_with_no_batch_dims_saveable,
    save_only_these_names=save_only_these_names,
    save_any_names_but_these=save_any_names_but_these,
    save_anything_except_these_names=save_anything_except_these_names,
    save_from_both_policies=save_from_both_policies,
    save_and_offload_only_these_names=save_and_offload_only_these_names,
    offload_dot_with_no_batch_dims=offload_dot_with_no_batch_dims,
)

# The operation


class Saving:
    """What a checkpoint does: its policy, and whether what is computed again may be merged with what was there."""

    def __init__(self, policy: Policy | None, apart: bool) -> None:
        self.policy, self.apart = policy, apart
        self.key = policy, apart

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Saving) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return "arguments" if self.policy is None else function_name(self.policy)

    def saves(self, e: Equation) -> bool:
        """Whether the results of an equation are saved."""
        return self.policy is not None and bool(self.policy(e.primitive, *[a.aval for a in e.inputs], **e.params))


def _halves(graph: Graph, nonzero: tuple[bool, ...], saving: Saving) -> tuple[Graph, Graph, tuple[bool, ...]]:
    """The way forward, to (results, saved values); the way back, from (inputs, saved values, tangents that are not
    zero) to those of the results that vary; and which do.
    """

    def make() -> tuple[Graph, Graph, tuple[bool, ...]]:
        lin = linearize_graph(graph if saving.policy is None else inline(graph), nonzero)
        primal, count = lin.primal, len(graph.outputs)
        saved = [v for e in primal.equations if saving.saves(e) for v in e.outputs]
        there = set(saved)
        forward = prune(Graph(primal.inputs, primal.equations, (*primal.outputs[:count], *saved)))
        rest = tuple([e for e in primal.equations if not there.intersection(e.outputs)])
        residuals = tuple([(primal.inputs if where == "in" else primal.outputs)[i] for where, i in lin.residuals])
        again = prune(Graph((*primal.inputs, *saved), rest, residuals))

        def back(*args: Any) -> list[Any]:
            inputs, given = args[: len(nonzero)], args[len(nonzero) : len(nonzero) + len(saved)]
            inputs = tuple(map(ops.barrier, inputs)) if saving.apart else inputs
            return bind_graph(lin.linear, [*bind_graph(again, [*inputs, *given]), *args[len(nonzero) + len(saved) :]])

        tangents = [a for a, nz in zip(graph.in_avals, nonzero, strict=True) if nz]
        backward = stage_derived(back, [*graph.in_avals, *[v.aval for v in saved], *tangents])
        return forward, backward, lin.nonzero_out

    found: tuple[Graph, Graph, tuple[bool, ...]] = graph.derived(("checkpoint", nonzero, saving), make)
    return found


def _shape(*avals: Any, graph: Graph, name: str, saving: Saving) -> list[Any]:
    if len(avals) != len(graph.inputs) or any(not a.matches(b) for a, b in zip(avals, graph.in_avals, strict=True)):
        raise GraphError(f"checkpoint {name}: got {list(avals)}, the graph takes {graph.in_avals}")
    return graph.out_avals


def _jvp(primals: Any, tangents: Any, *, graph: Graph, name: str, saving: Saving) -> tuple[list[Array], list[Any]]:
    nonzero = tuple(type(t) is not Zero for t in tangents)
    derived, nonzero_out = jvp_graph(graph, nonzero, (False,) * len(graph.outputs))
    given = [*primals, *(t for t in tangents if type(t) is not Zero)]
    outs = checkpoint_p.bind_all(*given, graph=derived, name=f"jvp({name})", saving=saving)
    count = len(graph.outputs)
    return outs[:count], fill(outs[count:], nonzero_out, graph.out_avals)


def _linearize(
    primals: Any, nonzero: Any, *, graph: Graph, name: str, saving: Saving
) -> tuple[list[Array], Callable[[Sequence[Any]], list[Any]]]:
    forward, backward, nonzero_out = _halves(graph, tuple(nonzero), saving)
    outs = call(forward, primals, name)
    count = len(graph.outputs)

    def linear(tangents: Sequence[Any]) -> list[Any]:
        given = [*primals, *outs[count:], *tangents]
        return fill(call(backward, given, f"checkpoint({name})"), nonzero_out, graph.out_avals)

    return outs[:count], linear


def _batch(
    axis: Any, args: Any, batched: Any, *, graph: Graph, name: str, saving: Saving
) -> tuple[list[Array], tuple[bool, ...]]:
    derived, out_batched = batch_graph(graph, axis, tuple(batched))
    return checkpoint_p.bind_all(*args, graph=derived, name=f"vmap({name})", saving=saving), out_batched


checkpoint_p: Primitive = (
    Primitive("checkpoint", multiple_results=True)
    .define(
        shape=_shape,
        impl=lambda *xs, graph, name, saving: interpret(graph, xs),
        evaluate=lambda *xs, graph, name, saving: call(graph, xs, name),
        jvp=_jvp,
        linearize=_linearize,
        batch=_batch,
        lower=lambda b, *xs, graph, name, saving: b.inline(graph, xs),
        effects=lambda graph, name, saving: graph.effects,
        called=lambda graph, name, saving: graph,
        samples=[],
    )
    .register()
)

# The user's function


class _Options(TypedDict, total=False):
    prevent_cse: bool
    policy: Policy | None
    static_argnums: int | Sequence[int]


@overload
def checkpoint(fun: Callable[P, R], **options: Unpack[_Options]) -> Callable[P, R]: ...
@overload
def checkpoint(**options: Unpack[_Options]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    prevent_cse: bool = True,
    policy: Policy | None = None,
    static_argnums: int | Sequence[int] = (),
) -> Callable[..., Any]:
    """`fun`, whose derivative saves the arguments and computes the rest again: memory for time.

    `policy` says what is saved besides, by operation; `checkpoint_policies` has the common ones. Arguments with numbers
    in `static_argnums` are Python values to `fun`. Without `prevent_cse` a compiler may find that what is computed
    again is there still.

    >>> import fdl, fdl.numpy as jnp
    >>> round(float(fdl.grad(checkpoint(lambda x: jnp.sin(jnp.sin(x))))(1.0)), 4)
    0.36
    >>> layer = checkpoint(lambda w, x: jnp.tanh(x @ w), policy=checkpoint_policies.dots_saveable)
    >>> fdl.grad(lambda w: layer(w, jnp.ones((1, 2))).sum())(jnp.zeros((2, 1))).tolist()
    [[1.0], [1.0]]
    """
    if fun is None:
        return functools.partial(checkpoint, prevent_cse=prevent_cse, policy=policy, static_argnums=static_argnums)
    check_function(fun, "checkpoint")
    if policy is not None and not callable(policy):
        raise StructureError(f"checkpoint: policy={policy!r}", hint="checkpoint_policies.dots_saveable")
    saving = Saving(None if policy is nothing_saveable else policy, prevent_cse)
    static = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)

    @functools.wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> object:
        fixed = {i % len(args): args[i] for i in static if -len(args) <= i < len(args)}
        moving = tuple([x for i, x in enumerate(args) if i not in fixed])
        leaves, in_tree = tree_flatten((moving, kwargs))
        leaves = check_leaves(leaves, (moving, kwargs), "checkpoint", argument_names(fun, tuple(fixed)))

        def of_moving(*given: Any, **named: Any) -> object:
            rest = iter(given)
            return fun(*[fixed[i] if i in fixed else next(rest) for i in range(len(args))], **named)

        flat = FlatFunction(of_moving if fixed else fun, in_tree, "checkpoint")
        cells: list[Cell] = []
        name = function_name(fun)
        graph, captured = stage(flat, [aval_of(x) for x in leaves], f"checkpoint({name})", cells).lift()
        outs = checkpoint_p.bind_all(*captured, *leaves, graph=graph, name=name, saving=saving)
        for cell, value in zip(cells, outs[len(outs) - len(cells) :], strict=True):
            cell.set(value)
        return flat.unflatten(outs[: len(outs) - len(cells)])

    return checkpointed


remat = checkpoint

__all__ = [
    "checkpoint", "checkpoint_name", "checkpoint_policies", "dots_saveable", "dots_with_no_batch_dims_saveable",
    "everything_saveable", "nothing_saveable", "offload_dot_with_no_batch_dims", "remat",
    "save_and_offload_only_these_names", "save_any_names_but_these", "save_anything_except_these_names",
    "save_from_both_policies", "save_only_these_names",
]  # fmt: skip
