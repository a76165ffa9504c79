"""Solutions of equations as operations, whose derivatives are implicit: nobody differentiates the solver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fdl.core.errors import ShapeError, StructureError
from fdl.core.graph import Graph, bind_graph
from fdl.core.pytree import tree_flatten
from fdl.core.trace import aval_of
from fdl.custom_derivatives import Linearity, custom_jvp, linear_p, recorded, share_captured
from fdl.ops.elementwise import neg, stop_gradient
from fdl.transforms.api.derivatives import jvp, linear_transpose
from fdl.transforms.stage import check_function, check_leaves, function_name

Tree = Any


def _check_like(what: str, graph: Graph, tree: Any, leaves: list[Any], wanted: Any) -> None:
    """ShapeError or StructureError where a function does not give what it takes."""
    if tree != wanted:
        raise StructureError(
            f"{what} returned {tree}", why="the solution and the right side have one structure", hint=f"{wanted}"
        )
    for a, x in zip(graph.out_avals, leaves, strict=True):
        if a.shape != aval_of(x).shape or a.dtype != aval_of(x).dtype:
            raise ShapeError(
                f"{what} returned {a.describe()} for {aval_of(x).describe()}",
                why="the solution and the right side have one type",
            )


def custom_linear_solve(
    matvec: Callable[[Tree], Tree],
    b: Tree,
    solve: Callable[[Callable[[Tree], Tree], Tree], Tree],
    transpose_solve: Callable[[Callable[[Tree], Tree], Tree], Tree] | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Tree:
    """The x for which `matvec(x) == b`, as `solve(matvec, b)` finds it, with the derivative that follows from the
    equation, whatever `solve` does.

    `matvec` is linear and may close over arrays that vary. Reverse mode solves with the transpose of `matvec` by
    `transpose_solve`, or by `solve` where `matvec` is `symmetric`. With `has_aux` solvers return (x, aux), and so does
    this; aux does not vary.

    >>> import fdl, fdl.numpy as jnp
    >>> def f(a):
    ...     return custom_linear_solve(lambda x: a * x, jnp.ones(2), lambda mv, b: b / mv(jnp.ones(2)), symmetric=True)
    >>> f(jnp.array([2.0, 4.0])).tolist()
    [0.5, 0.25]
    >>> fdl.grad(lambda a: f(a).sum())(jnp.array([2.0, 4.0])).tolist()
    [-0.25, -0.0625]
    """
    for f in (matvec, solve):
        check_function(f, "custom_linear_solve", "custom_linear_solve(matvec, b, solve)")
    transpose_solve = solve if symmetric else transpose_solve
    leaves, tree = tree_flatten(b)
    leaves = check_leaves(leaves, b, "custom_linear_solve", lambda path: f"b{path}")
    types = tree.unflatten([aval_of(x).update(weak_type=False) for x in leaves])
    equation, closed, out_tree = recorded(matvec, [types], "custom_linear_solve")
    _check_like("custom_linear_solve: matvec", equation, out_tree, leaves, tree)

    def of_constants(x: Tree) -> Tree:
        return tree.unflatten(bind_graph(equation, [*closed, *tree_flatten(x)[0]]))

    forward, closed_forward, result_tree = _solver(solve, of_constants, types, has_aux, leaves)
    graphs = [(equation, closed), (forward, closed_forward)]
    if transpose_solve is not None:
        back = of_constants if symmetric else lambda ct: linear_transpose(of_constants, types)(ct)[0]
        equation_back, closed_back, _ = recorded(back, [types], "custom_linear_solve")
        backward, closed_backward, _ = _solver(transpose_solve, back, types, has_aux, leaves)
        graphs += [(equation_back, closed_back), (backward, closed_backward)]
    shared, values = share_captured(graphs)
    mv_back, backward_graph = shared[2:] if len(shared) > 2 else (None, None)
    of = Linearity(function_name(solve), shared[1], backward_graph, shared[0], mv_back, len(leaves))
    outs = linear_p.bind_all(*values, *leaves, of=of)
    return result_tree.unflatten(outs)


def _solver(
    solve: Callable[..., Any], matvec: Callable[[Tree], Tree], types: Tree, has_aux: bool, leaves: list[Any]
) -> tuple[Graph, list[Any], Any]:
    """A solver as a graph of right sides."""
    graph, closed, out_tree = recorded(lambda b: solve(matvec, b), [types], "custom_linear_solve")
    solution = out_tree.children[0] if has_aux else out_tree
    _check_like("custom_linear_solve: solve", _first(graph, len(leaves)), solution, leaves, tree_flatten(types)[1])
    return graph, closed, out_tree


def _first(graph: Graph, count: int) -> Graph:
    return Graph(graph.inputs, graph.equations, graph.outputs[:count], graph.constants)


def custom_root(
    f: Callable[[Tree], Tree],
    initial_guess: Tree,
    solve: Callable[[Callable[[Tree], Tree], Tree], Tree],
    tangent_solve: Callable[[Callable[[Tree], Tree], Tree], Tree],
    has_aux: bool = False,
) -> Tree:
    """The x for which `f(x)` is 0, as `solve(f, initial_guess)` finds it, with the derivative that follows from the
    equation, whatever `solve` does.

    `f` may close over arrays that vary. `tangent_solve(g, y)` solves `g(x) == y` for a linear g, and is itself linear
    in y. With `has_aux` `solve` returns (x, aux), and so does this; aux does not vary.

    >>> import fdl
    >>> from fdl import lax
    >>> def root(a):
    ...     newton = lambda f, x: lax.fori_loop(0, 20, lambda i, x: x - f(x) / fdl.grad(f)(x), x)
    ...     return custom_root(lambda x: x * x - a, 1.0, newton, lambda g, y: y / g(1.0))
    >>> float(root(4.0)), float(fdl.grad(root)(4.0))
    (2.0, 0.25)
    """
    for g in (f, solve, tangent_solve):
        check_function(g, "custom_root", "custom_root(f, guess, solve, tangent_solve)")
    leaves, tree = tree_flatten(initial_guess)
    leaves = check_leaves(leaves, initial_guess, "custom_root", lambda path: f"initial_guess{path}")
    types = tree.unflatten([aval_of(x) for x in leaves])
    graph, closed, out_tree = recorded(f, [types], "custom_root")
    _check_like("custom_root: f", graph, out_tree, leaves, tree)

    def residual(values: Any, x: Tree) -> Any:
        return tree.unflatten(bind_graph(graph, [*values, *tree_flatten(x)[0]]))

    @custom_jvp
    def root(values: list[Any], guess: Tree) -> Any:
        return solve(lambda x: residual(values, x), guess)

    @root.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (values, guess), (d_values, _) = primals, tangents
        out = root(values, guess)
        x = out[0] if has_aux else out
        slope = lambda dx: jvp(lambda v: residual(values, v), (x,), (dx,))[1]
        _, moved = jvp(lambda v: residual(v, x), (values,), (d_values,))
        dx = tangent_solve(slope, tree.unflatten([neg(t) for t in tree_flatten(moved)[0]]))
        if not has_aux:
            return out, dx
        zeros = tree_flatten(out[1])
        return out, (dx, zeros[1].unflatten([0 * v for v in zeros[0]]))

    guess = tree.unflatten([stop_gradient(x) for x in leaves])
    return root(closed, guess)


__all__ = ["custom_linear_solve", "custom_root"]
