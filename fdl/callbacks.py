"""Python functions that programs call: `pure_callback`, `io_callback`, and what `fdl.debug` prints with.

A callback runs when its operation does: at the line outside of transforms, with the program under `jit`, which is then
interpreted, operation by operation, since compiled programs call nothing but themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from fdl import ops
from fdl.core.array import Array, ConcreteArray, from_numpy
from fdl.core.avals import ShapedArray
from fdl.core.errors import ChoiceError, CompileError, MissingRuleError, ShapeError
from fdl.core.primitive import Primitive
from fdl.core.pytree import Tree, TreeDef, tree_flatten
from fdl.core.tangents import Zero
from fdl.ops.vocabulary import Value, Vocabulary
from fdl.transforms.control.scan import scan
from fdl.transforms.stage import check_function, check_leaves, function_name
from fdl.transforms.vmap import with_axis

_METHODS = (None, "sequential", "sequential_unrolled", "expand_dims", "broadcast_all", "legacy_vectorized")


@dataclasses.dataclass(frozen=True, eq=False)
class Callback:
    """A function of ndarrays that gives results of these types; `kind` is "pure", "io" or "debug", and `vmap_method`
    says how it is mapped.
    """

    function: Callable[..., Any]
    kind: str
    results: tuple[ShapedArray, ...]
    vmap_method: str | None

    def __lt__(self, other: Callback) -> bool:
        return id(self) < id(other)

    def __str__(self) -> str:
        return f"{self.kind} {function_name(self.function)}"

    def __call__(self, *values: Any) -> list[np.ndarray[Any, Any]]:
        """Results as ndarrays; ShapeError where one has not the shape that was said."""
        given = [np.array(v) for v in values]
        for v in given:
            v.setflags(write=False)
        found = [np.asarray(x) for x in self.function(*given)]
        if len(found) != len(self.results):
            raise ShapeError(f"{self}: returned {len(found)} results, {len(self.results)} were said")
        for x, aval in zip(found, self.results, strict=True):
            if x.shape != aval.shape:
                raise ShapeError(
                    f"{self}: returned an array of shape {x.shape}, {aval.describe()} was said",
                    why="what follows was recorded for that type",
                    hint="result_shape_dtypes=jax.ShapeDtypeStruct(shape, dtype)",
                )
        return [x.astype(aval.dtype) for x, aval in zip(found, self.results, strict=True)]


def _evaluate(*arrays: ConcreteArray, of: Callback) -> list[ConcreteArray]:
    return [from_numpy(x) for x in of(*[a._numpy() for a in arrays])]


def _jvp(primals: Any, tangents: Any, *, of: Callback) -> tuple[list[Array], list[Any]]:
    if of.kind != "debug":
        raise MissingRuleError(
            f"{of.kind}_callback has no derivative",
            why="nobody knows what a Python function computes",
            hint="fdl.custom_jvp or fdl.custom_vjp around it, or stop_gradient of its arguments",
        )
    return callback_p.bind_all(*primals, of=of), [Zero(a) for a in of.results]


def _spread(x: Array, axis: Any, method: str) -> Array:
    """An operand that is not mapped, as a function that is called once for all lanes is given it."""
    if method == "legacy_vectorized":
        return x
    spread: Array = with_axis(x, axis) if method == "broadcast_all" else ops.expand_dims(x, (0,))
    return spread


def _batch(axis: Any, args: Any, batched: Any, *, of: Callback) -> tuple[list[Array], list[bool]]:
    lanes = tuple([a.update(shape=(axis.size, *a.shape)) for a in of.results])
    method = "sequential" if of.kind == "debug" else of.vmap_method
    if method is None:
        raise MissingRuleError(
            f"{of.kind}_callback under vmap", why="vmap_method says how it is mapped", hint='vmap_method="sequential"'
        )
    if method in ("expand_dims", "broadcast_all", "legacy_vectorized"):
        given = [x if b else _spread(x, axis, method) for x, b in zip(args, batched, strict=True)]
        return callback_p.bind_all(*given, of=dataclasses.replace(of, results=lanes)), [True] * len(lanes)
    moving = [x for x, b in zip(args, batched, strict=True) if b]

    def lane(_: None, xs: Any) -> tuple[None, list[Array]]:
        rest = iter(xs)
        return None, callback_p.bind_all(*[next(rest) if b else x for x, b in zip(args, batched, strict=True)], of=of)

    outs = scan(lane, None, moving, length=axis.size)[1]
    return list(outs), [True] * len(lanes)


def _lower(b: Vocabulary, *xs: Value, of: Callback) -> list[Value]:
    raise CompileError(f"{of}: compiled programs call no Python functions", hint="FDL_TIER=auto, which interprets it")


callback_p: Primitive = (
    Primitive("callback", multiple_results=True)
    .define(
        shape=lambda *avals, of: list(of.results),
        impl=lambda *values, of: of(*values),
        evaluate=_evaluate,
        jvp=_jvp,
        batch=_batch,
        lower=_lower,
        effects=lambda of: frozenset({"callback"}),
        samples=[],
    )
    .register()
)


def bind(
    what: str, kind: str, function: Callable[..., Any], types: Any, args: Any, kwargs: Any, vmap_method: str | None
) -> tuple[list[Array], TreeDef]:
    """Call `function(*args, **kwargs)` as an operation with results of these types: their leaves and structure."""
    check_function(function, what, f"{what}(f, ...)")
    if vmap_method not in _METHODS:
        raise ChoiceError(f"{what}: vmap_method={vmap_method!r}", hint=f"one of {', '.join(map(repr, _METHODS))}")
    leaves, in_tree = tree_flatten((args, kwargs))
    leaves = check_leaves(leaves, (args, kwargs), what)
    given, out_tree = tree_flatten(types)
    avals = tuple([ShapedArray(t.shape, t.dtype) for t in given])

    def flat(*values: Any) -> list[Any]:
        arguments, named = in_tree.unflatten(values)
        out = function(*arguments, **named)
        return [] if kind == "debug" else out_tree.flatten_up_to(out)

    flat.__name__ = function_name(function)
    outs = callback_p.bind_all(*leaves, of=Callback(flat, kind, avals, vmap_method))
    return outs, out_tree


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: None = None,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Tree:
    """What a Python function of ndarrays gives, inside of a program: a tree of arrays as `result_shape_dtypes` says,
    which holds whatever has `shape` and `dtype`.

    The function has no effects: it may be called again, or not. Under `vmap` it is called for one lane after the other
    ("sequential"), or once for all, whose operands have the mapped axis in front: size 1 where they are not mapped
    ("expand_dims"), or repeated ("broadcast_all").

    >>> import numpy as np, fdl
    >>> f = fdl.jit(lambda x: pure_callback(np.sin, fdl.ShapeDtypeStruct((), "float32"), x))
    >>> float(f(0.0))
    0.0
    """
    outs, tree = bind("pure_callback", "pure", callback, result_shape_dtypes, args, kwargs, vmap_method)
    return tree.unflatten(outs)


def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: None = None,
    ordered: bool = False,
    **kwargs: Any,
) -> Tree:
    """As `pure_callback`, of a function that has effects: it is called once for each time that the line runs, in the
    order of the program, `ordered` or not.

    >>> import fdl
    >>> seen = []
    >>> fdl.jit(lambda x: io_callback(lambda v: seen.append(v.item()), None, x))(3.0)
    >>> seen
    [3.0]
    """
    method = None if ordered else "sequential"
    outs, tree = bind("io_callback", "io", callback, result_shape_dtypes, args, kwargs, method)
    return tree.unflatten(outs)


__all__ = ["io_callback", "pure_callback"]
