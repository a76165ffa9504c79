"""Functions that say how `vmap` maps them: `custom_vmap`, and `sequential_vmap`, which maps by a loop."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

from fdl.core.array import Array
from fdl.core.errors import MissingRuleError, ShapeError, StructureError
from fdl.core.graph import Graph, bind_graph, interpret
from fdl.core.primitive import Primitive
from fdl.core.pytree import Tree, TreeDef, broadcast_prefix, tree_flatten
from fdl.core.tangents import Zero
from fdl.core.trace import aval_of
from fdl.transforms.control.call import call, fill
from fdl.transforms.control.while_loop import map_
from fdl.transforms.jvp import jvp_graph
from fdl.transforms.linearize import linearize_graph
from fdl.transforms.stage import FlatFunction, check_function, check_leaves, function_name, stage


@dataclasses.dataclass(frozen=True, eq=False)
class Mapping:
    """A recorded function, whose first `captured` operands it closed over, with the user's rule for `vmap`."""

    name: str
    graph: Graph
    captured: int
    rule: Callable[..., Any]
    in_tree: TreeDef
    out_tree: TreeDef

    def __lt__(self, other: Mapping) -> bool:
        return id(self) < id(other)

    def __str__(self) -> str:
        return f"{self.name} {self.graph}"

    def mapped(self, size: int, args: Sequence[Any], batched: Sequence[bool]) -> tuple[list[Any], list[bool]]:
        """What the rule gives for operands with lanes in front, where they are `batched`."""
        if any(batched[: self.captured]):
            raise MissingRuleError(
                f"{self.name}: a function with a rule for vmap closed over a value that is mapped",
                why="its rule knows its arguments only",
                hint="pass the value as an argument",
            )
        in_batched = self.in_tree.unflatten(batched[self.captured :])
        found = self.rule(size, list(in_batched), *self.in_tree.unflatten(args[self.captured :]))
        if not isinstance(found, tuple) or len(found) != 2:
            raise StructureError(
                f"{self.name}: its rule for vmap gives no (result, out_batched)",
                why="vmap asks which results have the mapped axis",
                hint="return result, True",
            )
        out, out_batched = found
        leaves, tree = tree_flatten(out)
        if tree != self.out_tree:
            raise StructureError(f"{self.name}: its rule for vmap gives {tree}, the function {self.out_tree}")
        flags = broadcast_prefix(out_batched, out, "out_batched")
        leaves = check_leaves(leaves, out, f"the rule of {self.name}")
        for x, b, aval in zip(leaves, flags, self.graph.out_avals, strict=True):
            want = (size, *aval.shape) if b else aval.shape
            if aval_of(x).shape != want:
                raise ShapeError(
                    f"{self.name}: its rule for vmap gives {aval_of(x).describe()}, not shape {want}",
                    why=f"the function gives {aval.describe()}, and the mapped axis leads",
                )
        return leaves, [bool(b) for b in flags]


def _jvp(primals: Any, tangents: Any, *, of: Mapping) -> tuple[list[Array], list[Any]]:
    outs = custom_vmap_p.bind_all(*primals, of=of)
    nonzero = tuple(type(t) is not Zero for t in tangents)
    derived, found = jvp_graph(of.graph, nonzero, (False,) * len(outs))
    moved = bind_graph(derived, [*primals, *(t for t in tangents if type(t) is not Zero)])
    return outs, fill(moved[len(outs) :], found, of.graph.out_avals)


def _linearize(primals: Any, nonzero: Any, *, of: Mapping) -> tuple[list[Array], Callable[..., list[Any]]]:
    outs = custom_vmap_p.bind_all(*primals, of=of)
    lin = linearize_graph(of.graph, tuple(nonzero))
    residuals = lin.pick(primals, bind_graph(lin.primal, primals))

    def linear(tangents: Sequence[Any]) -> list[Any]:
        return fill(bind_graph(lin.linear, [*residuals, *tangents]), lin.nonzero_out, of.graph.out_avals)

    return outs, linear


custom_vmap_p: Primitive = (
    Primitive("custom_vmap", multiple_results=True)
    .define(
        shape=lambda *avals, of: of.graph.out_avals,
        impl=lambda *xs, of: interpret(of.graph, xs),
        evaluate=lambda *xs, of: call(of.graph, xs, of.name),
        jvp=_jvp,
        linearize=_linearize,
        batch=lambda axis, args, batched, *, of: of.mapped(axis.size, args, batched),
        lower=lambda b, *xs, of: b.inline(of.graph, xs),
        effects=lambda of: of.graph.effects,
        called=lambda of: of.graph,
        samples=[],
    )
    .register()
)


class custom_vmap:
    """A function with a rule of its own for `vmap`: `rule(axis_size, in_batched, *args)` is given arguments whose
    mapped axis leads where `in_batched`, a list of trees of bools, says so, and returns (result, a tree of bools, which
    parts of it are mapped). Derivatives are those of the function itself.

    >>> import fdl, fdl.numpy as jnp
    >>> @custom_vmap
    ... def f(x, y):
    ...     return x + y
    >>> @f.def_vmap
    ... def rule(axis_size, in_batched, xs, ys):
    ...     return xs * 10 + ys, True
    >>> float(f(1.0, 2.0)), fdl.vmap(f, in_axes=(0, None))(jnp.arange(3.0), 2.0).tolist()
    (3.0, [2.0, 12.0, 22.0])
    """

    def __init__(self, fun: Callable[..., Any]) -> None:
        check_function(fun, "custom_vmap")
        self.fun = fun
        self.vmap_rule: Callable[..., Any] | None = None
        functools.update_wrapper(self, fun)

    def def_vmap(self, vmap_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give the rule; the rule itself, so that this is a decorator."""
        check_function(vmap_rule, "def_vmap")
        self.vmap_rule = vmap_rule
        return vmap_rule

    def __call__(self, *args: Any) -> Tree:
        name = function_name(self.fun)
        if self.vmap_rule is None:
            raise MissingRuleError(
                f"{name}: custom_vmap without a rule",
                why="it says how the function is mapped",
                hint=f"@{name}.def_vmap",
            )
        leaves, in_tree = tree_flatten(args)
        leaves = check_leaves(leaves, args, name)
        flat = FlatFunction(self.fun, tree_flatten((args, {}))[1], "custom_vmap")
        graph, captured = stage(flat, [aval_of(x) for x in leaves], f"custom_vmap({name})").lift()
        assert flat.out_tree is not None
        of = Mapping(name, graph, len(captured), self.vmap_rule, in_tree, flat.out_tree)
        return flat.unflatten(custom_vmap_p.bind_all(*captured, *leaves, of=of))


def sequential_vmap(f: Callable[..., Any]) -> custom_vmap:
    """A function that `vmap` runs for one lane after the other.

    >>> import fdl, fdl.numpy as jnp
    >>> fdl.vmap(sequential_vmap(lambda x: x * x))(jnp.arange(3.0)).tolist()
    [0.0, 1.0, 4.0]
    """
    made = custom_vmap(f)

    @made.def_vmap
    def rule(axis_size: int, in_batched: Sequence[Any], *args: Any) -> tuple[Any, Any]:
        leaves, tree = tree_flatten(args)
        batched = tree_flatten(in_batched)[0]

        def lane(moving: Sequence[Any]) -> Tree:
            given = iter(moving)
            return f(*tree.unflatten([next(given) if b else x for x, b in zip(leaves, batched, strict=True)]))

        return map_(lane, [x for x, b in zip(leaves, batched, strict=True) if b]), True

    return made


__all__ = ["custom_vmap", "sequential_vmap"]
