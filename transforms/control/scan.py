"""`scan`: a loop of known length that carries state and stacks results; the loop that reverse mode runs through.

The body takes (constants, carry, slices of xs) and returns (carry, slices of ys). Its derivative saves a residual a
step only where it varies by step: what is an input of the whole loop is read again, not copied.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fdl.core import dtypes
from fdl.core.avals import ShapedArray
from fdl.core.errors import DtypeError, ShapeError, StructureError
from fdl.core.graph import Graph, bind_graph, interpret
from fdl.core.primitive import Primitive
from fdl.core.pytree import TreeDef, tree_flatten, tree_paths
from fdl.core.tangents import Zero, is_linear
from fdl.core.trace import aval_of
from fdl.ops.axes import instantiate, match, move_axis, zeros_like
from fdl.ops.vocabulary import Value, Vocabulary
from fdl.passes.inline import inline
from fdl.passes.match import Steps
from fdl.transforms.control.call import fill
from fdl.transforms.control.checks import lift_from_body
from fdl.transforms.control.threaded import Threaded
from fdl.transforms.control.totals import take_totals
from fdl.transforms.jvp import jvp_flat
from fdl.transforms.linearize import LinearizedGraph, linearize_graph, transpose_graph
from fdl.transforms.stage import FlatFunction, check_function, check_leaves, function_name, kind_of, stage_derived
from fdl.transforms.vmap import batch_graph, with_axis


class Parts(NamedTuple):
    """Operands of a loop, or anything else of which there is one for each of them."""

    consts: list[Any]
    carry: list[Any]
    xs: list[Any]


def _parts(values: Sequence[Any], num_consts: int, num_carry: int) -> Parts:
    values = list(values)
    return Parts(values[:num_consts], values[num_consts : num_consts + num_carry], values[num_consts + num_carry :])


def _loop(graph: Graph, consts: Sequence[Any], carry: Sequence[Any], xs: Sequence[Any], **params: Any) -> list[Any]:
    """Bind a body with its operands, `length` and `reverse`."""
    outs: list[Any] = scan_p.bind_all(
        *consts, *carry, *xs, graph=graph, num_consts=len(consts), num_carry=len(carry), **params
    )
    return outs


# The user's function


def scan(
    f: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: int = 1
) -> tuple[Any, Any]:
    """`carry, y = f(carry, x)` along the leading axis of `xs`; returns the last carry and all y, stacked.

    `init` and the carry that `f` returns have one structure, shapes and dtypes. `xs` may be None with a `length`;
    `reverse` runs from the end. `unroll` is accepted for JAX's sake: the compiler decides. Raises ShapeError,
    DtypeError or StructureError where the carry changes.

    >>> import fdl.numpy as jnp
    >>> total, sums = scan(lambda c, x: (c + x, c + x), 0.0, jnp.arange(4.0))
    >>> float(total), sums.tolist()
    (6.0, [0.0, 1.0, 3.0, 6.0])
    """
    check_function(f, "scan", "scan(f, init, xs)")
    xs_leaves = check_leaves(tree_flatten(xs)[0], xs, "scan", lambda path: f"xs{path}")
    length = _length(xs_leaves, xs, length)
    x_avals = [aval_of(x).update(shape=aval_of(x).shape[1:]) for x in xs_leaves]
    threaded = Threaded()
    inner = threaded.of(f)

    @functools.wraps(f)
    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        result, values = inner(carry[1], carry[0], x)
        _check_pair(result)
        return (result[0], values), result[1]

    def bound() -> tuple[Any, Any]:
        cells = threaded.cells  # without any, the body is as the user wrote it
        function, start = (body, (init, threaded.start())) if cells else (f, init)
        in_tree = tree_flatten(((start, xs), {}))[1]

        def record(carry_avals: Sequence[ShapedArray]) -> tuple[Graph, FlatFunction, TreeDef]:
            flat = FlatFunction(function, in_tree, "scan")
            graph = threaded.stage(flat, [*carry_avals, *x_avals], f"scan({function_name(f)})")
            assert flat.out_tree is not None
            if flat.out_tree.cls is not tuple or len(flat.out_tree.children) != 2:
                _check_pair(flat.unflatten(graph.out_avals))
            return graph, flat, flat.out_tree.children[0]

        graph, flat, leaves = fixed_point(
            "scan", record, check_leaves(tree_flatten(start)[0], start, "scan", lambda path: f"init{path}"), start
        )
        graph, captured = graph.lift()
        graph, found = lift_from_body(graph)
        outs = _loop(graph, captured, leaves, xs_leaves, length=length, reverse=bool(reverse))
        carry, ys = flat.unflatten(found.looked_at(outs))
        return carry, ys

    carry, ys = threaded.settled(bound)
    if not threaded.cells:
        return carry, ys
    threaded.finish(carry[1])
    return carry[0], ys


def _check_pair(result: Any) -> None:
    if not (isinstance(result, tuple) and len(result) == 2):
        raise StructureError(
            (
                "scan: the function must return (carry, y), "
                f"got {f'{len(result)} values' if isinstance(result, (tuple, list)) else kind_of(result)}"
            ),
            why="the carry goes to the next step, all y are stacked",
            hint="return carry, None",
        )


def _length(leaves: Sequence[Any], xs: Any, length: int | None) -> int:
    sizes = {} if length is None else {int(length): "length"}
    for x, (path, _) in zip(leaves, tree_paths(xs), strict=True):
        if not aval_of(x).shape:
            raise ShapeError(
                f"scan: xs{path} is 0-d and has no leading axis to run along",
                why="each step gets one slice of it",
                hint="close over it, or xs=None with length=n",
            )
        sizes.setdefault(aval_of(x).shape[0], f"xs{path}")
    if len(sizes) != 1:
        raise ShapeError(
            "scan: "
            + (
                "the length is not known"
                if not sizes
                else ", ".join(f"{path} has {n} steps" for n, path in sizes.items())
            ),
            hint="xs with one leading size, or length=n",
        )
    return next(iter(sizes))


def fixed_point(
    what: str, record: Callable[..., tuple[Graph, FlatFunction, TreeDef]], init: Sequence[Any], tree: Any
) -> tuple[Graph, FlatFunction, list[Any]]:
    """Record a body until its carry's types are those it starts with: weak dtypes yield, anything else is an error that
    names the leaf.
    """
    init = list(init)
    for _ in range(4):
        avals = [aval_of(x) for x in init]
        graph, flat, structure = record(avals)
        if structure != tree_flatten(tree)[1]:
            raise StructureError(
                f"{what}: the carry starts as {tree_flatten(tree)[1]} and becomes {structure}",
                why="each step takes what the last one returned",
                hint="return a carry like the one it is given",
            )
        found = graph.out_avals[: structure.num_leaves]
        if found == avals:
            return graph, flat, init
        for i, ((path, _), before, after) in enumerate(zip(tree_paths(tree), avals, found, strict=True)):
            if before.shape != after.shape:
                raise ShapeError(
                    f"{what}: carry{path} starts as {before.describe()} and becomes {after.describe()}",
                    why="each step takes what the last one returned",
                    hint=f"start with shape {after.shape}, or return a carry of shape {before.shape}",
                )
            dtype, weak = dtypes.promote([(before.dtype, before.weak_type), (after.dtype, after.weak_type)])
            if not before.weak_type and dtype != before.dtype:
                raise DtypeError(
                    f"{what}: carry{path} starts as {before.describe()} and becomes {after.describe()}",
                    why="each step takes what the last one returned",
                    hint=f"start with dtype {after.dtype.name}, or astype in the body",
                )
            if before != after:
                init[i] = match(init[i], before.update(dtype=dtype, weak_type=weak and after.weak_type))
        if [aval_of(x) for x in init] == avals:  # the body returns a weak value for a strong carry
            return _strengthened(graph, avals), flat, init
    raise DtypeError(f"{what}: the types of the carry do not settle")


def _strengthened(graph: Graph, avals: Sequence[ShapedArray]) -> Graph:
    """The graph with its first results cast to these types; its constants stay."""
    lifted, values = graph.lift()
    inner = stage_derived(
        lambda *xs: [
            match(o, a) if a else o
            for o, a in zip(bind_graph(lifted, xs), [*avals, *[None] * len(lifted.outputs)], strict=False)
        ],
        lifted.in_avals,
    )
    n = len(values)
    return Graph(inner.inputs[n:], inner.equations, inner.outputs, tuple(zip(inner.inputs[:n], values, strict=True)))


# Rules


def _shape(
    *avals: ShapedArray, graph: Graph, num_consts: int, num_carry: int, length: int, reverse: bool
) -> list[ShapedArray]:
    outs = graph.out_avals
    return outs[:num_carry] + [a.update(shape=(length, *a.shape)) for a in outs[num_carry:]]


def _impl(*values: Any, graph: Graph, num_consts: int, num_carry: int, length: int, reverse: bool) -> Any:
    consts, carry, xs = _parts(values, num_consts, num_carry)
    avals = graph.out_avals[num_carry:]
    ys = [np.empty((length, *a.shape), a.dtype) for a in avals]
    for t in reversed(range(length)) if reverse else range(length):
        outs = interpret(graph, [*consts, *carry, *(x[t] for x in xs)])
        carry = outs[:num_carry]
        for y, out in zip(ys, outs[num_carry:], strict=True):
            y[t] = out
    return [*carry, *ys]


def settle(carry: Sequence[bool], step: Callable[[tuple[bool, ...]], Sequence[bool]]) -> tuple[bool, ...]:
    """The least mask of the carry that holds `carry` and that a step maps into itself."""
    mask = tuple(carry)
    while True:
        grown = tuple(a or b for a, b in zip(mask, step(mask), strict=True))
        if grown == mask:
            return mask
        mask = grown


def _jvp(
    primals: Any, tangents: Any, *, graph: Graph, num_consts: int, num_carry: int, length: int, reverse: bool
) -> Any:
    """One loop over primals and tangents together."""
    nonzero = _parts([type(t) is not Zero for t in tangents], num_consts, num_carry)
    parts, given = _parts(primals, num_consts, num_carry), _parts(tangents, num_consts, num_carry)
    body = _parts(graph.in_avals, num_consts, num_carry)
    varies: list[bool] = []

    def derive(mask: tuple[bool, ...]) -> Graph:
        masks = [nonzero.consts, list(mask), nonzero.xs]

        def f(*args: Any) -> list[Any]:
            values = iter(args)
            pairs = [
                ([next(values) for _ in avals], [next(values) for m in ms if m])
                for avals, ms in zip(body, masks, strict=True)
            ]
            flat_primals = [p for ps, _ in pairs for p in ps]
            flat_tangents = [
                t for (_, ts), avals, ms in zip(pairs, body, masks, strict=True) for t in fill(ts, ms, avals)
            ]
            outs, out_tangents = jvp_flat(lambda *xs: bind_graph(graph, xs), flat_primals, flat_tangents, "~jvp")
            varies[:] = [type(t) is not Zero for t in out_tangents]
            carried = [instantiate(t) for t, m in zip(out_tangents[:num_carry], mask, strict=True) if m]
            stacked = [t for t in out_tangents[num_carry:] if type(t) is not Zero]
            return [*outs[:num_carry], *carried, *outs[num_carry:], *stacked]

        avals = [
            a
            for group, ms in zip(body, masks, strict=True)
            for a in [*group, *(a for a, m in zip(group, ms, strict=True) if m)]
        ]
        return stage_derived(f, avals)

    def step(mask: tuple[bool, ...]) -> list[bool]:
        derive(mask)
        return varies[:num_carry]

    mask = settle(nonzero.carry, step)
    derived = derive(mask)
    t_consts = [t for t in given.consts if type(t) is not Zero]
    t_carry = [instantiate(t) for t, m in zip(given.carry, mask, strict=True) if m]
    t_xs = [t for t in given.xs if type(t) is not Zero]
    both = ([*values, *ts] for values, ts in zip(parts, (t_consts, t_carry, t_xs), strict=True))
    outs = _loop(derived, *both, length=length, reverse=reverse)
    carry, t_out, rest = outs[:num_carry], outs[num_carry : num_carry + len(t_carry)], outs[num_carry + len(t_carry) :]
    n_ys = len(graph.outputs) - num_carry
    out_avals = _shape(graph=graph, num_consts=num_consts, num_carry=num_carry, length=length, reverse=reverse)
    return [*carry, *rest[:n_ys]], fill([*t_out, *rest[n_ys:]], [*mask, *varies[num_carry:]], out_avals)


def _linearize(
    primals: Any, nonzero: Any, *, graph: Graph, num_consts: int, num_carry: int, length: int, reverse: bool
) -> Any:
    """A loop over the primals that stacks residuals, and a linear loop that reads them."""
    vary = _parts(nonzero, num_consts, num_carry)
    n_out = len(graph.outputs)

    def linearized(mask: tuple[bool, ...]) -> LinearizedGraph:
        wanted = tuple(mask) + (False,) * (n_out - num_carry)
        return linearize_graph(graph, (*vary.consts, *mask, *vary.xs), wanted)

    mask = settle(vary.carry, lambda m: linearized(m).nonzero_out[:num_carry])
    lin = linearized(mask)
    # a residual that is the carry before the step, or a result of it, is stacked; one that is a constant or a slice of
    # xs is read again
    kinds = [_residual_kind(where, i, num_consts, num_carry) for where, i in lin.residuals]
    stacked = [place for place, kind in zip(lin.residuals, kinds, strict=True) if kind == "stack"]
    body = _primal_body(graph, lin, stacked, num_carry)
    outs = _loop(body, *_parts(primals, num_consts, num_carry), length=length, reverse=reverse)
    saved = iter(outs[n_out:])
    sources = [
        next(saved) if kind == "stack" else primals[i] for (_, i), kind in zip(lin.residuals, kinds, strict=True)
    ]
    consts_r = [x for x, kind in zip(sources, kinds, strict=True) if kind == "const"]
    xs_r = [x for x, kind in zip(sources, kinds, strict=True) if kind != "const"]
    linear_body = _linear_body(lin, kinds, [sum(vary.consts), sum(mask), sum(vary.xs)], num_carry)
    out_avals = _shape(graph=graph, num_consts=num_consts, num_carry=num_carry, length=length, reverse=reverse)
    carry_avals = [aval_of(c) for c, m in zip(_parts(primals, num_consts, num_carry).carry, mask, strict=True) if m]

    def linear(tangents: Sequence[Any]) -> list[Any]:
        given = iter(tangents)
        t_consts = [next(given) for m in vary.consts if m]
        t_carry = [next(given) if v else None for v, m in zip(vary.carry, mask, strict=True) if m]
        t_carry = [zeros_like(a) if t is None else t for t, a in zip(t_carry, carry_avals, strict=True)]
        consts, xs = [*consts_r, *t_consts], [*xs_r, *given]
        t_outs = _loop(linear_body, consts, t_carry, xs, length=length, reverse=reverse)
        return fill(t_outs, lin.nonzero_out, out_avals)

    return outs[:n_out], linear


def _residual_kind(where: str, i: int, num_consts: int, num_carry: int) -> str:
    if where == "out":
        return "stack"
    return "const" if i < num_consts else "stack" if i < num_consts + num_carry else "xs"


def _primal_body(graph: Graph, lin: LinearizedGraph, stacked: Sequence[tuple[str, int]], num_carry: int) -> Graph:
    """The body that also returns its residuals."""

    def f(*args: Any) -> list[Any]:
        outs = bind_graph(lin.primal, args)
        return [*outs[: len(graph.outputs)], *((args if where == "in" else outs)[i] for where, i in stacked)]

    return stage_derived(f, graph.in_avals)


def _linear_body(lin: LinearizedGraph, kinds: Sequence[str], counts: Sequence[int], num_carry: int) -> Graph:
    """The linear graph with its inputs in a loop's order: constants, tangents of constants, of the carry, residuals by
    step, tangents of xs.
    """
    residual_avals, tangent_avals = lin.linear.in_avals[: len(kinds)], lin.linear.in_avals[len(kinds) :]
    n_const = sum(kind == "const" for kind in kinds)
    split = counts[0] + counts[1]

    def f(*args: Any) -> list[Any]:
        consts, rest = iter(args[:n_const]), args[n_const:]
        by_step = iter(rest[split : split + len(kinds) - n_const])
        residuals = [next(consts) if kind == "const" else next(by_step) for kind in kinds]
        tangents = [*rest[:split], *rest[split + len(kinds) - n_const :]]
        return bind_graph(lin.linear, [*residuals, *tangents])

    const_avals = [a for a, kind in zip(residual_avals, kinds, strict=True) if kind == "const"]
    step_avals = [a for a, kind in zip(residual_avals, kinds, strict=True) if kind != "const"]
    return stage_derived(f, [*const_avals, *tangent_avals[:split], *step_avals, *tangent_avals[split:]])


def _depends(graph: Graph, linear: Sequence[bool]) -> list[bool]:
    """Which results depend on a linear input."""
    reached: set[Any] = {v for v, lin in zip(graph.inputs, linear, strict=True) if lin}
    for e in graph.equations:
        if any(a in reached for a in e.inputs):
            reached.update(e.outputs)
    return [a in reached for a in graph.outputs]


def _transpose(
    cts: Any, operands: Any, *, graph: Graph, num_consts: int, num_carry: int, length: int, reverse: bool
) -> Any:
    """The loop run backwards: cotangents of the carry are carried, those of linear constants summed up, those of xs
    stacked.
    """
    linear = _parts([is_linear(x) for x in operands], num_consts, num_carry)
    parts, avals = _parts(operands, num_consts, num_carry), _parts(graph.in_avals, num_consts, num_carry)
    # a linear carry that starts at a constant starts at zero: else the loop would not be linear
    if not all(settle(linear.carry, lambda m: _depends(graph, (*linear.consts, *m, *linear.xs))[:num_carry])):
        raise StructureError(
            "scan: a loop whose carry is only partly linear cannot be transposed", hint="linearize it first: vjp does"
        )
    y_mask = [type(ct) is not Zero for ct in cts[num_carry:]]
    inputs = (*linear.consts, *[True] * num_carry, *linear.xs)
    num_linear = sum(linear.consts)

    def transposed(mask: Sequence[bool]) -> tuple[Graph, Parts]:
        """A step backwards that is given cotangents of the carry in the mask and returns them, and where all that it
        returns arrives.
        """
        wanted = (*[False] * num_linear, *mask, *[False] * sum(linear.xs))
        derived, arriving = transpose_graph(graph, inputs, (*mask, *y_mask), wanted)
        return derived, _parts(arriving, num_linear, num_carry)

    mask = settle([type(ct) is not Zero for ct in cts[:num_carry]], lambda m: transposed(m)[1].carry)
    derived, arriving = transposed(mask)
    ct_carry = [instantiate(ct) for ct, m in zip(cts[:num_carry], mask, strict=True) if m]
    values_c = [x for x, lin in zip(parts.consts, linear.consts, strict=True) if not lin]
    values_x = [x for x, lin in zip(parts.xs, linear.xs, strict=True) if not lin]
    step = inline(derived)
    own_c, own_x, rest = _parts(step.inputs, len(values_c), len(values_x))
    in_order = (*own_c, *rest[: len(ct_carry)], *own_x, *rest[len(ct_carry) :])
    scanned = [*values_x, *(ct for ct in cts[num_carry:] if type(ct) is not Zero)]
    num_sums = sum(arriving.consts)
    totals = take_totals(Graph(in_order, step.equations, step.outputs), num_sums, len(values_c), len(ct_carry), length)
    starts = [zeros_like(step.outputs[i].aval) for i in totals.inside]
    outs = _loop(totals.body, values_c, [*starts, *ct_carry], scanned, length=length, reverse=not reverse)
    inside, d_carry, stacked = _parts(outs, len(starts), len(ct_carry))
    d_xs, operands = stacked[: sum(arriving.xs)], stacked[sum(arriving.xs) :]
    sums = totals.after(scanned, operands) | dict(zip(totals.inside, inside, strict=True))
    d_consts = [sums[i] for i in range(num_sums)]
    linear_consts = [a for a, lin in zip(avals.consts, linear.consts, strict=True) if lin]
    consts = iter(fill(d_consts, arriving.consts, linear_consts))
    carry = fill(d_carry, mask, avals.carry)
    xs = iter(fill(d_xs, arriving.xs, [aval_of(x) for x, lin in zip(parts.xs, linear.xs, strict=True) if lin]))
    d_init = [d if lin else None for d, lin in zip(carry, linear.carry, strict=True)]
    return [
        *(next(consts) if lin else None for lin in linear.consts),
        *d_init,
        *(next(xs) if lin else None for lin in linear.xs),
    ]


def _batch(
    axis: Any, args: Any, batched: Any, *, graph: Graph, num_consts: int, num_carry: int, length: int, reverse: bool
) -> Any:
    parts, flags = _parts(args, num_consts, num_carry), _parts(batched, num_consts, num_carry)
    n_ys = len(graph.outputs) - num_carry

    def derive(mask: tuple[bool, ...]) -> tuple[Graph, tuple[bool, ...]]:
        return batch_graph(graph, axis, (*flags.consts, *mask, *flags.xs), (*mask, *[False] * n_ys))

    mask = settle(flags.carry, lambda m: derive(m)[1][:num_carry])
    derived, out_batched = derive(mask)
    carry = [with_axis(x, axis) if m and not b else x for x, m, b in zip(parts.carry, mask, flags.carry, strict=True)]
    xs = [move_axis(x, 0, 1) if b else x for x, b in zip(parts.xs, flags.xs, strict=True)]
    outs = _loop(derived, parts.consts, carry, xs, length=length, reverse=reverse)
    ys = [move_axis(y, 1, 0) if b else y for y, b in zip(outs[num_carry:], out_batched[num_carry:], strict=True)]
    return [*outs[:num_carry], *ys], out_batched


def _lower(
    b: Vocabulary, *xs: Value, graph: Graph, num_consts: int, num_carry: int, length: int, reverse: bool
) -> list[Value]:
    return b.scan(*_parts(xs, num_consts, num_carry), graph, length, reverse)


scan_p = (
    Primitive("scan", multiple_results=True)
    .define(
        shape=_shape,
        impl=_impl,
        jvp=_jvp,
        linearize=_linearize,
        transpose=_transpose,
        batch=_batch,
        lower=_lower,
        steps=lambda graph, num_consts, num_carry, length, reverse: Steps(graph, num_consts, num_carry, length),
        effects=lambda graph, **_: graph.effects,
        samples=[],
    )
    .register()
)
