"""Derivatives that the user gives: `custom_jvp` and `custom_vjp`.

Both bind a primitive whose params hold Python functions, so that a function runs as plain Python until somebody records
it; recording (`stage`) makes its body a Graph. A custom reverse rule becomes a linear operation that only knows its
transpose.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar

from fdl.core.array import ConcreteArray, as_array
from fdl.core.avals import ShapedArray
from fdl.core.errors import MissingRuleError, StructureError
from fdl.core.graph import Graph, bind_graph, interpret
from fdl.core.primitive import Primitive
from fdl.core.pytree import tree_flatten
from fdl.core.tangents import Zero, has_tangent, is_linear
from fdl.core.trace import aval_of, base_trace, set_trace
from fdl.ops.axes import instantiate, match, reduce_sum
from fdl.ops.vocabulary import Value, Vocabulary
from fdl.transforms.linearize import backward_pass
from fdl.transforms.stage import FlatFunction, check_leaves, function_name, kind_of, stage
from fdl.transforms.vmap import batch_flat, with_axis

P = ParamSpec("P")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True, eq=False)
class CustomRule:
    """A flat function with its derivative.

    `jvp(primals, tangents) -> (outs, tangents)`; or `fwd(*primals) -> (outs, residuals)` with `bwd(residuals,
    cotangents) -> cotangents`. `graph` is the function's body where it has been recorded; the first `captured` operands
    are values that it closed over.
    """

    name: str
    fun: Callable[..., list[Any]]
    jvp: Callable[..., tuple[list[Any], list[Any]]] | None = None
    fwd: Callable[..., tuple[list[Any], list[Any]]] | None = None
    bwd: Callable[..., list[Any]] | None = None
    graph: Graph | None = None
    captured: int = 0

    def __lt__(self, other: CustomRule) -> bool:
        return id(self) < id(other)

    def __str__(self) -> str:
        return self.name if self.graph is None else f"{self.name} {self.graph}"

    def __reduce__(self) -> tuple[Any, ...]:
        """As data: its body, for a process that runs it; derivatives are functions of the user's."""
        return CustomRule, (self.name, self.fun, None, None, None, self.graph, self.captured)

    def staged(self, avals: Sequence[ShapedArray]) -> tuple[CustomRule, list[Any]]:
        """The rule with its body recorded, and the values that the body captured."""
        if self.graph is not None:
            return self, []
        graph, captured = stage(self.fun, avals, self.name).lift()
        n = len(captured)

        def jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
            _refuse_captured(self.name, tangents[:n])
            assert self.jvp is not None
            return self.jvp(primals[n:], tangents[n:])

        def bwd(residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
            assert self.bwd is not None
            return [None] * n + self.bwd(residuals, cts)

        def fwd(*primals: Any) -> tuple[list[Any], list[Any]]:
            assert self.fwd is not None
            return self.fwd(*primals[n:])

        recorded = CustomRule(
            self.name, functools.partial(_run, graph), self.jvp and jvp, self.fwd and fwd, self.bwd and bwd, graph, n
        )
        return recorded, captured


def _run(graph: Graph, *operands: Any) -> list[Any]:
    return bind_graph(graph, operands)


def _refuse_captured(name: str, tangents: Sequence[Any]) -> None:
    if any(type(t) is not Zero for t in tangents):
        raise MissingRuleError(
            f"{name}: a function with a custom rule closed over a value that is being differentiated",
            why="its rule knows the derivative for arguments only",
            hint="pass the value as an argument",
        )


def _stage(operands: Sequence[Any], *, rule: CustomRule) -> tuple[list[Any], dict[str, Any]]:
    staged, captured = rule.staged([aval_of(x) for x in operands])
    return [*captured, *operands], {"rule": staged}


def _shape(*avals: ShapedArray, rule: CustomRule) -> list[ShapedArray]:
    graph = rule.graph if rule.graph is not None else stage(rule.fun, avals, rule.name)
    return graph.out_avals


def _impl(*values: Any, rule: CustomRule) -> list[Any]:
    assert rule.graph is not None, "an equation holds a recorded rule"
    return interpret(rule.graph, values)


def _evaluate(*arrays: ConcreteArray, rule: CustomRule) -> list[ConcreteArray]:
    with set_trace(base_trace()):
        return [as_array(x) for x in rule.fun(*arrays)]


def _mapped(f: Callable[..., Any], axis: Any, args: Sequence[Any], batched: Sequence[bool], name: str) -> list[Any]:
    """Results of a flat function, all with the mapped axis."""
    outs, out_batched = batch_flat(f, axis, args, batched, name)
    return [x if b else with_axis(x, axis) for x, b in zip(outs, out_batched, strict=True)]


def _effects(rule: CustomRule) -> frozenset[str]:
    return frozenset() if rule.graph is None else rule.graph.effects


def _lower(b: Vocabulary, *xs: Value, rule: CustomRule) -> list[Value]:
    assert rule.graph is not None, "an equation holds a recorded rule"
    return b.inline(rule.graph, xs)


# custom_jvp


def _custom_jvp_jvp(primals: Any, tangents: Any, *, rule: CustomRule) -> Any:
    assert rule.jvp is not None
    outs, out_tangents = rule.jvp(primals, tangents)
    return outs, [
        match(t, aval_of(o)) if has_tangent(aval_of(o)) else Zero(aval_of(o))
        for o, t in zip(outs, out_tangents, strict=True)
    ]


def _custom_jvp_batch(axis: Any, args: Any, batched: Any, *, rule: CustomRule) -> Any:
    batched = list(batched)

    def jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        assert rule.jvp is not None
        count: list[int] = []

        def both(*xs: Any) -> list[Any]:
            n = len(xs) // 2
            outs, out_tangents = rule.jvp(xs[:n], xs[n:])  # type: ignore[misc]
            count.append(len(outs))
            return [*outs, *(instantiate(t) for t in out_tangents)]

        results = _mapped(both, axis, [*primals, *map(instantiate, tangents)], batched * 2, rule.name)
        return results[: count[0]], results[count[0] :]

    mapped = CustomRule(rule.name, lambda *xs: _mapped(rule.fun, axis, xs, batched, rule.name), jvp=jvp)
    outs = custom_jvp_p.bind_all(*args, rule=mapped)
    return outs, [True] * len(outs)


def _custom_jvp_transpose(cts: Any, operands: Any, *, rule: CustomRule) -> list[Any]:
    """Of a function that a rule calls on tangents, in which it is linear: that of its body."""
    assert rule.graph is not None, "an equation holds a recorded rule"
    return backward_pass(rule.graph, operands, cts)


custom_jvp_p = (
    Primitive("custom_jvp", multiple_results=True)
    .define(
        shape=_shape,
        impl=_impl,
        evaluate=_evaluate,
        stage=_stage,
        jvp=_custom_jvp_jvp,
        transpose=_custom_jvp_transpose,
        batch=_custom_jvp_batch,
        called=lambda rule, **_: rule.graph,
        lower=_lower,
        effects=_effects,
        samples=[],
    )
    .register()
)


class custom_jvp(Generic[P, R]):
    """A function with a forward derivative given by `defjvp(rule)`: `rule(primals, tangents) -> (out, tangent)`.

    Reverse mode follows from it. Arguments in `nondiff_argnums` are handed to the rule first and are not
    differentiated.

    >>> import fdl, fdl.numpy as jnp
    >>> @fdl.custom_jvp
    ... def log1pexp(x):
    ...     return jnp.log1p(jnp.exp(x))
    >>> @log1pexp.defjvp
    ... def _(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return log1pexp(x), (1 - 1 / (1 + jnp.exp(x))) * t
    >>> float(fdl.grad(log1pexp)(100.0))
    1.0
    """

    def __init__(self, f: Callable[P, R], nondiff_argnums: Sequence[int] = ()) -> None:
        functools.update_wrapper(self, f)
        self.f, self.nondiff = f, tuple(nondiff_argnums)
        self.rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule; usable as a decorator."""
        self.rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """One rule for each argument: `rule(tangent, out, *primals) -> tangent`, or None where there is none."""

        def jvp(primals: Any, tangents: Any) -> Any:
            out: Any = self(*primals)  # type: ignore[call-arg]  # no rule for arguments that are named
            if len(rules) != len(primals):
                raise StructureError(
                    f"{function_name(self.f)}: defjvps got {len(rules)} rules for {len(primals)} arguments",
                    why="there is one for each argument",
                    hint="None where there is none",
                )
            terms = [r(t, out, *primals) for r, t in zip(rules, tangents, strict=True) if r is not None]
            return out, functools.reduce(lambda a, b: a + b, terms)

        self.rule = jvp

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        name, rule = function_name(self.f), self.rule
        if rule is None:
            raise MissingRuleError(f"{name}: custom_jvp without a rule", hint=f"@{name}.defjvp")
        fixed, dynamic, f = _split_static(self.f, _resolved(self.f, args, kwargs), self.nondiff)
        leaves, in_tree = tree_flatten((dynamic, {}))
        leaves = check_leaves(leaves, dynamic, name)
        flat = FlatFunction(f, in_tree, name)

        def jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
            ps, ts = in_tree.unflatten(primals)[0], in_tree.unflatten([instantiate(t) for t in tangents])[0]
            result = rule(*fixed, tuple(ps), tuple(ts))
            if not (isinstance(result, tuple) and len(result) == 2):
                raise StructureError(
                    f"{name}: a jvp rule returns (out, tangent), got {kind_of(result)}",
                    why="it stands for the function and its derivative",
                    hint="return out, tangent",
                )
            outs, flat.out_tree = tree_flatten(result[0])
            return outs, flat.out_tree.flatten_up_to(result[1])

        result: R = flat.unflatten(custom_jvp_p.bind_all(*leaves, rule=CustomRule(name, flat, jvp=jvp)))
        return result


def _resolved(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """All arguments by position, so that rules see them in order."""
    if not kwargs:
        return args
    bound = inspect.signature(f).bind(*args, **kwargs)
    bound.apply_defaults()
    return tuple(bound.args)


def _split_static(
    f: Callable[..., Any], args: tuple[Any, ...], static: Sequence[int]
) -> tuple[list[Any], tuple[Any, ...], Callable[..., Any]]:
    """(static arguments, the others, f as a function of the others)."""
    fixed = {i: args[i] for i in static}

    def of_others(*others: Any) -> Any:
        given = iter(others)
        return f(*[fixed[i] if i in fixed else next(given) for i in range(len(args))])

    return list(fixed.values()), tuple(x for i, x in enumerate(args) if i not in fixed), of_others


# custom_vjp


def _custom_vjp_jvp(primals: Any, tangents: Any, *, rule: CustomRule) -> Any:
    raise MissingRuleError(
        f"{rule.name}: forward mode meets a custom reverse rule",
        why="custom_vjp gives the derivative of cotangents only",
        hint="custom_jvp, which serves both modes, or reverse mode",
    )


def _custom_vjp_linearize(primals: Any, nonzero: Any, *, rule: CustomRule) -> Any:
    assert rule.fwd is not None and rule.bwd is not None
    _refuse_captured(
        rule.name,
        [aval_of(p) if nz else Zero(aval_of(p)) for p, nz in zip(primals[: rule.captured], nonzero, strict=False)],
    )
    outs, residuals = rule.fwd(*primals)
    in_avals, out_avals = tuple(map(aval_of, primals)), tuple(map(aval_of, outs))

    def bwd(res: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        found = rule.bwd(res, cts)  # type: ignore[misc]
        return [
            Zero(a) if ct is None else match(ct, a) for ct, a, nz in zip(found, in_avals, nonzero, strict=True) if nz
        ]

    def linear(tangents: Sequence[Any]) -> list[Any]:
        results = custom_linear_p.bind_all(
            *residuals,
            *tangents,
            rule=CustomRule(rule.name, rule.fun, bwd=bwd),
            num_residuals=len(residuals),
            out_avals=out_avals,
        )
        return [t if has_tangent(a) else Zero(a) for t, a in zip(results, out_avals, strict=True)]

    return outs, linear


def _custom_vjp_batch(axis: Any, args: Any, batched: Any, *, rule: CustomRule) -> Any:
    batched = list(batched)
    assert rule.fwd is not None and rule.bwd is not None
    out_count: list[int] = []

    def fwd(*primals: Any) -> Any:
        def both(*xs: Any) -> list[Any]:
            outs, residuals = rule.fwd(*xs)  # type: ignore[misc]
            out_count[:] = [len(outs)]
            return [*outs, *residuals]

        results = _mapped(both, axis, primals, batched, rule.name)
        return results[: out_count[0]], results[out_count[0] :]

    def bwd(residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        present: list[bool] = []

        def inner(*xs: Any) -> list[Any]:
            found = rule.bwd(xs[: len(residuals)], xs[len(residuals) :])  # type: ignore[misc]
            present[:] = [ct is not None for ct in found]
            return [ct for ct in found if ct is not None]

        results = iter(
            _mapped(inner, axis, [*residuals, *map(instantiate, cts)], [True] * (len(residuals) + len(cts)), rule.name)
        )
        cts_in = [next(results) if p else None for p in present]
        return [ct if ct is None or b else reduce_sum(ct, (0,)) for ct, b in zip(cts_in, batched, strict=True)]

    mapped = CustomRule(rule.name, lambda *xs: _mapped(rule.fun, axis, xs, batched, rule.name), fwd=fwd, bwd=bwd)
    outs = custom_vjp_p.bind_all(*args, rule=mapped)
    return outs, [True] * len(outs)


custom_vjp_p = (
    Primitive("custom_vjp", multiple_results=True)
    .define(
        shape=_shape,
        impl=_impl,
        evaluate=_evaluate,
        stage=_stage,
        jvp=_custom_vjp_jvp,
        linearize=_custom_vjp_linearize,
        batch=_custom_vjp_batch,
        called=lambda rule, **_: rule.graph,
        lower=_lower,
        effects=_effects,
        samples=[],
    )
    .register()
)


def _custom_linear_transpose(cts: Any, operands: Any, *, rule: CustomRule, num_residuals: int, out_avals: Any) -> Any:
    assert rule.bwd is not None
    found = rule.bwd(operands[:num_residuals], [instantiate(ct) for ct in cts])
    return [None] * num_residuals + [
        ct if is_linear(x) else None for ct, x in zip(found, operands[num_residuals:], strict=True)
    ]


def _only_transposed(*args: Any, rule: CustomRule, **params: Any) -> Any:
    raise MissingRuleError(f"{rule.name}: a custom reverse rule was asked for a forward derivative", hint="custom_jvp")


custom_linear_p = (
    Primitive("custom_linear", multiple_results=True)
    .define(
        shape=lambda *avals, rule, num_residuals, out_avals: list(out_avals),
        transpose=_custom_linear_transpose,
        evaluate=_only_transposed,
        samples=[],
    )
    .register()
)


class custom_vjp:
    """A function with a reverse derivative given by `defvjp(fwd, bwd)`: `fwd(*args) -> (out, residuals)`,
    `bwd(residuals, cotangent) -> cotangents`.

    `bwd` returns a tuple with a cotangent, or None for zero, for each argument. Arguments in `nondiff_argnums` are
    handed to `bwd` first.

    >>> import fdl, fdl.numpy as jnp
    >>> @fdl.custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -1, 1),))
    >>> float(fdl.grad(lambda x: clip_gradient(x) * 10)(1.0))
    1.0
    """

    def __init__(self, f: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        functools.update_wrapper(self, f)
        self.f, self.nondiff = f, tuple(nondiff_argnums)
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """Set both halves of the rule."""
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = function_name(self.f)
        if self.fwd is None or self.bwd is None:
            raise MissingRuleError(f"{name}: custom_vjp without a rule", hint=f"{name}.defvjp(fwd, bwd)")
        args = _resolved(self.f, args, kwargs)
        fixed, dynamic, f = _split_static(self.f, args, self.nondiff)
        leaves, in_tree = tree_flatten((dynamic, {}))
        leaves = check_leaves(leaves, dynamic, name)
        flat = FlatFunction(f, in_tree, name)
        res_tree: list[Any] = []
        forward = _split_static(self.fwd, args, self.nondiff)[2]

        def fwd(*primals: Any) -> Any:
            result = forward(*in_tree.unflatten(primals)[0])
            if not (isinstance(result, tuple) and len(result) == 2):
                raise StructureError(
                    f"{name}: fwd returns (out, residuals), got {kind_of(result)}",
                    why="residuals are what bwd is given",
                    hint="return out, None where bwd needs nothing",
                )
            outs, flat.out_tree = tree_flatten(result[0])
            residuals, tree = tree_flatten(result[1])
            res_tree[:] = [tree]
            return outs, residuals

        def bwd(residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
            assert self.bwd is not None
            found = self.bwd(*fixed, res_tree[0].unflatten(residuals), flat.unflatten([instantiate(ct) for ct in cts]))
            if not isinstance(found, tuple) or len(found) != len(dynamic):
                count = f"{len(found)} of them" if isinstance(found, tuple) else kind_of(found)
                raise StructureError(
                    f"{name}: bwd returns a tuple of {len(dynamic)} cotangents, got {count}",
                    why="there is one for each argument",
                    hint="None for an argument without one; (ct,) for one",
                )
            out: list[Any] = []
            for x, ct in zip(dynamic, found, strict=True):
                sub_leaves, sub_tree = tree_flatten(x)
                out += [None] * len(sub_leaves) if ct is None else sub_tree.flatten_up_to(ct)
            return out

        outs = custom_vjp_p.bind_all(*leaves, rule=CustomRule(name, flat, fwd=fwd, bwd=bwd))
        return flat.unflatten(outs)
