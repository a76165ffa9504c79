"""Derivatives that users give: `custom_jvp` and `custom_vjp`, and what is built beside them under JAX's names.

`linear_call` is a linear operation whose transpose the user gives. With an equation that says which solution it is, it
is the linear solve of `lax.custom_linear_solve`: one operation, whose derivative is implicit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fdl.core.array import Array, as_array
from fdl.core.avals import ShapedArray
from fdl.core.errors import MissingRuleError, ShapeError, StructureError
from fdl.core.graph import Graph, Literal, bind_graph, interpret
from fdl.core.primitive import Primitive
from fdl.core.pytree import TreeDef, tree_flatten
from fdl.core.tangents import Zero, has_tangent, is_linear
from fdl.core.trace import Tracer, aval_of
from fdl.ops.axes import instantiate
from fdl.ops.elementwise import neg, sub
from fdl.transforms.custom import custom_jvp, custom_vjp
from fdl.transforms.jvp import jvp_graph
from fdl.transforms.stage import FlatFunction, check_function, check_leaves, function_name, stage
from fdl.transforms.vmap import batch_graph, with_axis
from fdl.tree_util import Partial

R = TypeVar("R")
X = TypeVar("X")
T = TypeVar("T")

# Linear operations with a transpose of their own


@dataclasses.dataclass(frozen=True)
class Linearity:
    """A linear function of its last operands: `forward` and `backward` take (constants, values), both the same
    constants, and `backward` takes what `forward` gives to what it takes.

    With `equation`, a graph of (constants, solution), `forward` gives the solution for which that is the value, which
    says how it varies with constants; `equation_back` is that of `backward`. Results after the first `count` are
    beside the solution and do not vary.
    """

    name: str
    forward: Graph
    backward: Graph | None
    equation: Graph | None
    equation_back: Graph | None
    count: int

    def __lt__(self, other: Linearity) -> bool:
        return id(self) < id(other)

    def __str__(self) -> str:
        return f"{self.name} {self.forward}"

    @property
    def constants(self) -> int:
        """How many operands come before those that it is linear in."""
        return len(self.forward.inputs) - (self.count if self.equation else self._values)

    @property
    def _values(self) -> int:
        assert self.backward is not None
        return len(self.backward.outputs)

    def transposed(self) -> Linearity:
        """The way back."""
        if self.backward is None:
            raise MissingRuleError(
                f"{self.name} has no transpose",
                why="reverse mode solves with the transpose",
                hint="transpose_solve=...",
            )
        return Linearity(
            f"transpose({self.name})", self.backward, self.forward, self.equation_back, self.equation,
            self.count if self.equation else len(self.backward.outputs),
        )  # fmt: skip


def _linear_jvp(primals: Any, tangents: Any, *, of: Linearity) -> tuple[list[Array], list[Any]]:
    n = of.constants
    outs = linear_p.bind_all(*primals, of=of)
    found: list[Any] = [Zero(aval_of(x)) for x in outs]
    if any(type(t) is not Zero for t in tangents[n:]):
        values = [instantiate(t) for t in tangents[n:]]
        found[: of.count] = linear_p.bind_all(*primals[:n], *values, of=of)[: of.count]
    varying = tuple(type(t) is not Zero for t in tangents[:n])
    if any(varying):
        found[: of.count] = _add(found[: of.count], _by_constants(primals, tangents[:n], varying, outs, of))
    return outs, found


def _by_constants(
    primals: Any, tangents: Any, varying: tuple[bool, ...], outs: Sequence[Array], of: Linearity
) -> list[Any]:
    """Tangents of the results for those of the constants, where the values stay."""
    n = of.constants
    graph = of.forward if of.equation is None else of.equation
    points = primals[n:] if of.equation is None else outs[: of.count]
    mask = (*varying, *(False for _ in points))
    derived, nonzero = jvp_graph(graph, mask, (False,) * len(graph.outputs))
    moved = bind_graph(derived, [*primals[:n], *points, *(t for t in tangents if type(t) is not Zero)])
    given = iter(moved[len(graph.outputs) :])
    changes = [next(given) if nz else Zero(a) for nz, a in zip(nonzero, graph.out_avals, strict=True)]
    if of.equation is None or all(type(t) is Zero for t in changes):
        return changes[: of.count]
    return linear_p.bind_all(*primals[:n], *[neg(instantiate(t)) for t in changes], of=of)[: of.count]


def _add(xs: Sequence[Any], ys: Sequence[Any]) -> list[Any]:
    return [y if type(x) is Zero else x if type(y) is Zero else sub(x, neg(y)) for x, y in zip(xs, ys, strict=True)]


def _linear_transpose(cts: Any, operands: Any, *, of: Linearity) -> list[Any]:
    n = of.constants
    if any(is_linear(x) for x in operands[:n]):
        raise MissingRuleError(f"{of.name} is not linear in its constants")
    found = linear_p.bind_all(*operands[:n], *[instantiate(ct) for ct in cts[: of.count]], of=of.transposed())
    return [None] * n + found[: len(operands) - n]


def _linear_batch(axis: Any, args: Any, batched: Any, *, of: Linearity) -> tuple[list[Array], list[bool]]:
    n = of.constants
    consts = tuple(batched[:n])

    def mapped(graph: Graph | None, count: int) -> Graph | None:
        """The graph with lanes in all values, and in the constants that have some."""
        if graph is None:
            return None
        return batch_graph(graph, axis, consts + (True,) * (len(graph.inputs) - n), (True,) * len(graph.outputs))[0]

    forward = mapped(of.forward, of.count)
    assert forward is not None
    lanes = Linearity(
        of.name, forward, mapped(of.backward, of.count), mapped(of.equation, of.count),
        mapped(of.equation_back, of.count), of.count,
    )  # fmt: skip
    values = [x if b else with_axis(x, axis) for x, b in zip(args[n:], batched[n:], strict=True)]
    outs = linear_p.bind_all(*args[:n], *values, of=lanes)
    return outs, [True] * len(outs)


def _array(x: Any) -> Array:
    return as_array(x.value) if isinstance(x, Literal) else x


linear_p: Primitive = (
    Primitive("linear_call", multiple_results=True)
    .define(
        shape=lambda *avals, of: of.forward.out_avals,
        impl=lambda *xs, of: interpret(of.forward, xs),
        evaluate=lambda *xs, of: [_array(x) for x in bind_graph(of.forward, xs)],
        jvp=_linear_jvp,
        transpose=_linear_transpose,
        batch=_linear_batch,
        lower=lambda b, *xs, of: b.inline(of.forward, xs),
        effects=lambda of: of.forward.effects,
        called=lambda of: of.forward,
        samples=[],
    )
    .register()
)


def recorded(f: Callable[..., Any], trees: Sequence[Any], what: str) -> tuple[Graph, list[Any], TreeDef]:
    """A function of trees with these types as a graph: what it closed over comes first, as given; and the structure of
    its result.
    """
    leaves, in_tree = tree_flatten((tuple(trees), {}))
    flat = FlatFunction(f, in_tree, what)
    avals = [x if isinstance(x, ShapedArray) else aval_of(x) for x in leaves]
    graph, captured = stage(flat, avals, f"{what}({function_name(f)})").lift()
    assert flat.out_tree is not None
    return graph, captured, flat.out_tree


def share_captured(
    graphs: Sequence[tuple[Graph, list[Any]]], shared: Sequence[Any] = ()
) -> tuple[list[Graph], list[Any]]:
    """Graphs that each take what they closed over as ones that take the values of all, and those."""
    values = list({id(x): x for _, captured in graphs for x in captured}.values())
    place = {id(x): i for i, x in enumerate(values)}

    def widened(graph: Graph, captured: Sequence[Any]) -> Graph:
        own = [place[id(x)] for x in captured]
        avals = [*map(aval_of, values), *graph.in_avals[len(captured) :]]
        return stage(lambda *xs: bind_graph(graph, [*(xs[i] for i in own), *xs[len(values) :]]), avals, "~shared")

    return [widened(graph, captured) for graph, captured in graphs], values


def linear_call(fun: Callable[[R, X], T], fun_transpose: Callable[[R, T], X], residual_args: R, linear_args: X) -> T:
    """`fun(residual_args, linear_args)`, linear in the latter, whose transpose is `fun_transpose(residual_args,
    cotangent)`, which gives a cotangent of `linear_args`. Both may close over arrays.

    >>> import fdl
    >>> double = lambda x: linear_call(lambda r, x: x * r, lambda r, ct: ct * r * 10, 2.0, x)
    >>> float(double(3.0)), float(fdl.grad(double)(3.0))
    (6.0, 20.0)
    """
    for f in (fun, fun_transpose):
        check_function(f, "linear_call", "linear_call(fun, fun_transpose, residuals, values)")
    leaves = check_leaves(tree_flatten((residual_args, linear_args))[0], (residual_args, linear_args), "linear_call")
    forward, closed, out_tree = recorded(fun, (residual_args, linear_args), "linear_call")
    out = out_tree.unflatten(forward.out_avals)
    backward, closed_back, in_tree = recorded(fun_transpose, (residual_args, out), "linear_call")
    if in_tree != tree_flatten(linear_args)[1]:
        raise StructureError(
            f"linear_call: fun_transpose returned {in_tree}",
            why="it gives one cotangent for each value that fun is linear in",
            hint=f"a result of structure {tree_flatten(linear_args)[1]}",
        )
    for ct, x in zip(backward.out_avals, map(aval_of, tree_flatten(linear_args)[0]), strict=True):
        if ct.shape != x.shape:
            raise ShapeError(
                f"linear_call: fun_transpose returned {ct.describe()} for {x.describe()}",
                why="a cotangent has the shape of its value",
            )
    (forward, backward), values = share_captured([(forward, closed), (backward, closed_back)])
    of = Linearity(function_name(fun), forward, backward, None, None, len(forward.outputs))
    result: T = out_tree.unflatten(linear_p.bind_all(*values, *leaves, of=of))
    return result


# Closures


def closure_convert(fun: Callable[..., Any], *example_args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """(a function that takes what `fun` closed over after its arguments, and those values): the ones that may vary.

    A function with a custom derivative may not close over values that are differentiated; this makes arguments of them.
    `example_args` have the types of the arguments.

    >>> import fdl
    >>> def f(a):
    ...     g, hoisted = closure_convert(lambda x: x * a, 1.0)
    ...     return g(3.0, *hoisted)
    >>> float(fdl.grad(f)(2.0))
    3.0
    """
    check_function(fun, "closure_convert")
    in_tree = tree_flatten((example_args, {}))[1]
    graph, captured, out_tree = recorded(fun, example_args, "closure_convert")
    hoisted = [isinstance(x, Tracer) and has_tangent(x.aval) for x in captured]

    def converted(*args: Any) -> object:
        count = len(example_args)
        leaves, tree = tree_flatten((args[:count], {}))
        if tree != in_tree:
            raise StructureError(f"closure_convert: called with {tree}", hint=f"arguments of structure {in_tree}")
        given = iter(args[count:])
        values = [next(given) if h else x for x, h in zip(captured, hoisted, strict=True)]
        leaves = check_leaves(leaves, args[:count], "closure_convert")
        return out_tree.unflatten(bind_graph(graph, [*values, *leaves]))

    return converted, [x for x, h in zip(captured, hoisted, strict=True) if h]


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a reverse derivative of its own: `fun(*args)` returns (value, `vjp`), where `vjp(cotangent)`
    gives a cotangent for the one argument, or a tuple of them.

    >>> import fdl
    >>> @custom_gradient
    ... def clipped(x):
    ...     return x * x, lambda ct: 0.5 * ct
    >>> float(fdl.grad(clipped)(3.0))
    0.5
    """
    check_function(fun, "custom_gradient")

    def value(*args: Any) -> object:
        return fun(*args)[0]

    def fwd(*args: Any) -> tuple[Any, Any]:
        out, pull = fun(*args)
        leaves, tree = tree_flatten(out)
        graph, captured, out_tree = recorded(pull, [tree.unflatten([aval_of(x) for x in leaves])], "custom_gradient")
        return out, Partial(lambda *given: pulled(graph, out_tree, *given), *captured)

    def bwd(pull: Callable[[Any], Any], ct: Any) -> tuple[Any, ...]:
        found = pull(ct)
        return found if isinstance(found, tuple) else (found,)

    value.__name__ = function_name(fun)
    made = custom_vjp(value)
    made.defvjp(fwd, bwd)
    return made


def pulled(graph: Graph, out_tree: TreeDef, *given: Any) -> object:
    """Cotangents of what a program closed over, and then a cotangent."""
    *captured, ct = given
    return out_tree.unflatten(bind_graph(graph, [*captured, *tree_flatten(ct)[0]]))


__all__ = ["closure_convert", "custom_gradient", "custom_jvp", "custom_vjp", "linear_call"]
