"""How functions are recorded: names for parts of a program, values in the midst of one, a derivative in two halves."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fdl.core.avals import ShapedArray
from fdl.core.blocks import block
from fdl.core.errors import ChoiceError
from fdl.core.graph import Graph
from fdl.core.pytree import Tree, tree_flatten
from fdl.core.source import SCOPES
from fdl.core.trace import aval_of, base_trace, set_trace
from fdl.custom_derivatives import pulled, recorded
from fdl.transforms import eval_shape, jit, make_graph, vjp
from fdl.transforms.stage import check_function, check_leaves, function_name
from fdl.tree_util import Partial


def typeof(x: Any) -> ShapedArray:
    """The type of an array or a number: shape, dtype, weakness.

    >>> typeof(1.0)
    float32*[]
    """
    return aval_of(check_leaves([x], x, "typeof")[0])


@block
def named_scope(name: str) -> Iterator[None]:
    """In a `with` statement, or around a function: places in errors, `explain` and `profile` are said to be in a scope
    of this name, within those around it.

    >>> import fdl.numpy as jnp
    >>> with named_scope("encoder"):
    ...     try:
    ...         jnp.ones(2) + jnp.ones(3)
    ...     except ValueError as error:
    ...         print("(encoder)" in str(error))
    True
    """
    if not isinstance(name, str):
        raise ChoiceError(f"named_scope: {name!r}", why="a scope has a name", hint='named_scope("encoder")')
    token = SCOPES.set((*SCOPES.get(), name))
    try:
        yield
    finally:
        SCOPES.reset(token)


def named_call(fun: Callable[..., Any], *, name: str | None = None) -> Callable[..., Any]:
    """`fun`, whose operations are in a scope of this name, or of its own.

    It is called as it is, with whatever arguments: nothing is recorded for it.

    >>> import fdl.numpy as jnp
    >>> float(named_call(lambda x, up: x + 1 if up else x - 1, name="step")(1.0, True))
    2.0
    """
    check_function(fun, "named_call")
    said = function_name(fun) if name is None else name

    @functools.wraps(fun)
    def named(*args: Any, **kwargs: Any) -> Tree:
        with named_scope(said):
            return fun(*args, **kwargs)

    return named


@block
def ensure_compile_time_eval() -> Iterator[None]:
    """In a `with` statement: operations on what has values run at once, inside of `jit` too, so that Python can look at
    what they give. A traced value in it is an error.

    >>> import fdl, fdl.numpy as jnp
    >>> @fdl.jit
    ... def f(x):
    ...     with ensure_compile_time_eval():
    ...         n = int(jnp.arange(4).sum())
    ...     return x * n
    >>> float(f(2.0))
    12.0
    """
    with set_trace(base_trace()):
        yield


def make_jaxpr(
    fun: Callable[..., Any],
    static_argnums: int | Sequence[int] = (),
    axis_env: None = None,
    return_shape: bool = False,
) -> Callable[..., Graph | tuple[Graph, Tree]]:
    """`make_jaxpr(fun)(*args)` is the Graph that `fun` records for arguments of these types; with `return_shape` also
    the tree of its results' types. Arguments with numbers in `static_argnums` are Python values to `fun`.

    >>> graph, out = make_jaxpr(lambda x, n: [x] * n, static_argnums=1, return_shape=True)(1.0, 2)
    >>> len(graph.outputs), out
    (2, [float32*[], float32*[]])
    """
    check_function(fun, "make_jaxpr")
    if axis_env is not None:
        raise ChoiceError(
            "make_jaxpr: axis_env", why="axes are bound by vmap", hint="vmap(f, axis_name=...) around fun"
        )
    static = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)

    @functools.wraps(fun)
    def graph_of(*args: Any, **kwargs: Any) -> Graph | tuple[Graph, Tree]:
        fixed = {i % len(args): args[i] for i in static if -len(args) <= i < len(args)}

        def of_moving(*given: Any, **named: Any) -> Tree:
            rest = iter(given)
            return fun(*[fixed[i] if i in fixed else next(rest) for i in range(len(args))], **named)

        moving = [x for i, x in enumerate(args) if i not in fixed]
        recorded_fun = of_moving if fixed else fun
        graph = make_graph(recorded_fun)(*moving, **kwargs)
        return (graph, eval_shape(recorded_fun, *moving, **kwargs)) if return_shape else graph

    return graph_of


def fwd_and_bwd(
    fun: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool = False, jitted: bool = True
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A derivative in two halves: `fwd(*args)` gives (result, residuals), with `has_aux` (result, residuals, aux), and
    `bwd(residuals, cotangent)` cotangents of the arguments in `argnums`: one, or a tuple. Residuals are a tree of
    arrays, which can leave a `jit`; `jitted` says whether both halves are under one.

    >>> fwd, bwd = fwd_and_bwd(lambda x, y: x * y, argnums=(0, 1))
    >>> value, residuals = fwd(2.0, 3.0)
    >>> [float(g) for g in bwd(residuals, 1.0)]
    [3.0, 2.0]
    """
    check_function(fun, "fwd_and_bwd")
    single = isinstance(argnums, int)
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def fwd(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        chosen = [i % len(args) for i in numbers]

        def of_chosen(*given: Any) -> Tree:
            places = dict(zip(chosen, given, strict=True))
            return fun(*[places.get(i, x) for i, x in enumerate(args)], **kwargs)

        out, pull, *aux = vjp(of_chosen, *[args[i] for i in chosen], has_aux=has_aux)
        leaves, tree = tree_flatten(out)
        graph, captured, out_tree = recorded(pull, [tree.unflatten([aval_of(x) for x in leaves])], "fwd_and_bwd")
        return out, Partial(lambda *given: pulled(graph, out_tree, *given), *captured), *aux

    def bwd(residuals: Callable[[Any], Any], cotangent: Any) -> Tree:
        found = residuals(cotangent)
        return found[0] if single else found

    return (jit(fwd), jit(bwd)) if jitted else (fwd, bwd)


__all__ = [
    "ensure_compile_time_eval", "fwd_and_bwd", "make_jaxpr", "named_call", "named_scope", "typeof",
]  # fmt: skip
