"""`while_loop`: a loop that runs until its condition fails; and the loops made of it and of `scan`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fdl.core import dtypes
from fdl.core.array import as_array
from fdl.core.avals import ShapedArray
from fdl.core.errors import ChoiceError, DtypeError, ShapeError
from fdl.core.graph import Graph, bind_graph, interpret
from fdl.core.primitive import Primitive
from fdl.core.pytree import TreeDef, tree_flatten
from fdl.core.tangents import Zero
from fdl.core.trace import Tracer, aval_of, refuse_write
from fdl.ops.axes import instantiate
from fdl.ops.elementwise import add, less
from fdl.ops.promotion import promote
from fdl.ops.reduction import reduce_max
from fdl.ops.vocabulary import Value, Vocabulary
from fdl.transforms.control.call import fill
from fdl.transforms.control.checks import lift_from_while
from fdl.transforms.control.lanes import choose, may_refuse, only_lanes
from fdl.transforms.control.scan import fixed_point, scan, settle
from fdl.transforms.control.threaded import Threaded
from fdl.transforms.jvp import jvp_graph
from fdl.transforms.stage import FlatFunction, check_function, check_leaves, function_name, kind_of, stage_derived
from fdl.transforms.vmap import batch_graph, with_axis

# The user's functions


def _check_condition(test: Graph) -> None:
    if [(a.shape, a.dtype) for a in test.out_avals] != [((), dtypes.bool_)]:
        raise ShapeError(
            f"while_loop: the condition returned {', '.join(a.describe() for a in test.out_avals)}, not one bool",
            hint="jnp.any or jnp.all",
        )


def _promised(max_trips: int | None) -> int | None:
    if max_trips is None or (isinstance(max_trips, int) and max_trips >= 0):
        return max_trips
    raise ChoiceError(f"while_loop: max_trips={max_trips!r}", hint="how many trips there are at most, as an int")


def while_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any, *, max_trips: int | None = None
) -> Any:
    """`while cond_fun(value): value = body_fun(value)`; the value keeps its structure, shapes and dtypes.

    Reverse mode saves what each trip leaves for the way back. `max_trips` promises that there are no more trips, and is
    how many the memory for that holds; without it `fdl/bounded_loops.py` says what is saved.

    >>> int(while_loop(lambda n: n < 10, lambda n: n * 2 + 1, 0))
    15
    """
    for f in (cond_fun, body_fun):
        check_function(f, "while_loop", "while_loop(cond_fun, body_fun, init)")
    threaded = Threaded()
    inner, asked = threaded.of(body_fun), threaded.of(cond_fun)

    @functools.wraps(body_fun)
    def body_of_cells(carry: Any) -> Any:
        return inner(carry[1], carry[0])

    @functools.wraps(cond_fun)
    def test_of_cells(carry: Any) -> Any:
        answer, values = asked(carry[1], carry[0])
        if any(after is not before for after, before in zip(values, carry[1], strict=True)):
            refuse_write("the condition of a while_loop writes something that lives outside of it")
        return answer

    def bound() -> Any:
        cells = threaded.cells  # without any, the functions are as the user wrote them
        step, test_fun, start = (
            (body_of_cells, test_of_cells, (init_val, threaded.start())) if cells else (body_fun, cond_fun, init_val)
        )
        leaves, tree = tree_flatten(start)
        leaves = check_leaves(leaves, start, "while_loop", lambda path: f"init{path}")
        in_tree = tree_flatten(((start,), {}))[1]

        def record(avals: Any) -> tuple[Graph, FlatFunction, TreeDef]:
            flat = FlatFunction(step, in_tree, "while_loop")
            graph = threaded.stage(flat, avals, f"while_loop({function_name(body_fun)})")
            assert flat.out_tree is not None
            return graph, flat, flat.out_tree

        body, _, leaves = fixed_point("while_loop", record, leaves, start)
        name = f"while_loop({function_name(cond_fun)})"
        test = threaded.stage(FlatFunction(test_fun, in_tree, "while_loop"), [aval_of(x) for x in leaves], name)
        _check_condition(test)
        test, test_consts = test.lift()
        body, body_consts = body.lift()
        test_, body, found, of_test = lift_from_while(test, body)
        flags = [False] * len(found.failures)
        outs = while_p.bind_all(
            *test_consts,
            *body_consts,
            *leaves,
            *flags,
            test=test_,
            body=body,
            num_test=len(test_consts),
            num_body=len(body_consts),
            max_trips=_promised(max_trips),
        )
        results = found.looked_at(outs)
        if of_test.failures:
            bind_graph(test, [*test_consts, *results])
        return tree.unflatten(results)

    result = threaded.settled(bound)
    if not threaded.cells:
        return result
    threaded.finish(result[1])
    return result[0]


def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: int | bool | None = None,
    max_trips: int | None = None,
) -> Any:
    """`for i in range(lower, upper): value = body_fun(i, value)`.

    With Python numbers as bounds it is a `scan`; with traced bounds a `while_loop`, which takes `max_trips`.
    `unroll` is accepted for JAX's sake: the compiler decides.

    >>> int(fori_loop(0, 10, lambda i, total: total + i, 0))
    45
    """
    if not isinstance(lower, Tracer) and not isinstance(upper, Tracer):
        for bound in (lower, upper):
            if not hasattr(bound, "__index__"):
                raise DtypeError(
                    f"fori_loop: a bound is {kind_of(bound)} {bound!r}",
                    why="steps are counted with whole numbers",
                    hint="int(n)",
                )
        start, steps = int(lower), max(int(upper) - int(lower), 0)

        def step(carry: Any, _: Any) -> tuple[Any, None]:
            i, value = carry
            return (add(i, 1), body_fun(i, value)), None

        return scan(step, (as_array(start), init_val), length=steps)[0][1]
    low, high = promote(lower, upper)
    return while_loop(
        lambda c: less(c[0], c[1]),
        lambda c: (add(c[0], 1), c[1], body_fun(c[0], c[2])),
        (low, high, init_val),
        max_trips=max_trips,
    )[2]


def map_(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """`f` on each element along the leading axis, one after the other; `vmap` does them at once. `batch_size` is how
    many JAX would do at once: results are the same.

    >>> import fdl.numpy as jnp
    >>> map_(lambda row: row.sum(), jnp.ones((3, 4))).tolist()
    [4.0, 4.0, 4.0]
    """
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


# Rules


def _shape(*avals: ShapedArray, body: Graph, **_: Any) -> list[ShapedArray]:
    return body.out_avals


def _impl(*values: Any, test: Graph, body: Graph, num_test: int, num_body: int, **_: Any) -> Any:
    test_consts, body_consts = values[:num_test], values[num_test : num_test + num_body]
    carry = list(values[num_test + num_body :])
    while interpret(test, [*test_consts, *carry])[0]:
        carry = interpret(body, [*body_consts, *carry])
    return carry


def _jvp(primals: Any, tangents: Any, *, test: Graph, body: Graph, num_test: int, num_body: int, **kept: Any) -> Any:
    n = num_test + num_body
    nonzero = [type(t) is not Zero for t in tangents]
    consts = tuple(nonzero[num_test:n])
    mask = settle(nonzero[n:], lambda m: jvp_graph(body, consts + m, (False,) * len(m))[1])
    derived, _ = jvp_graph(body, consts + mask, mask)
    t_consts = [t for t, m in zip(tangents[num_test:n], consts, strict=True) if m]
    t_carry = [instantiate(t) for t, m in zip(tangents[n:], mask, strict=True) if m]
    n_carry, n_tangents = len(mask), len(t_consts)

    def body_with_tangents(*xs: Any) -> list[Any]:
        own, t_own, rest = xs[:num_body], xs[num_body : num_body + n_tangents], xs[num_body + n_tangents :]
        return bind_graph(derived, [*own, *rest[:n_carry], *t_own, *rest[n_carry:]])

    avals = [*body.in_avals[:num_body], *map(aval_of, t_consts), *body.in_avals[num_body:], *map(aval_of, t_carry)]
    wide_body = stage_derived(body_with_tangents, avals)
    wide_test = stage_derived(
        lambda *xs: bind_graph(test, xs[: num_test + n_carry]), [*test.in_avals, *map(aval_of, t_carry)]
    )
    outs = while_p.bind_all(
        *primals[:n],
        *t_consts,
        *primals[n:],
        *t_carry,
        test=wide_test,
        body=wide_body,
        num_test=num_test,
        num_body=num_body + n_tangents,
        **kept,
    )
    return outs[:n_carry], fill(outs[n_carry:], mask, body.out_avals)


def _batch(
    axis: Any, args: Any, batched: Any, *, test: Graph, body: Graph, num_test: int, num_body: int, **kept: Any
) -> Any:
    n = num_test + num_body
    test_consts, body_consts = tuple(batched[:num_test]), tuple(batched[num_test:n])

    def step(mask: tuple[bool, ...]) -> tuple[bool, ...]:
        by_lane = batch_graph(test, axis, test_consts + mask)[1][0]
        return tuple(by_lane or b for b in batch_graph(body, axis, body_consts + mask, mask)[1])

    if axis.size == 0:  # no lane takes a step
        return [x if b else with_axis(x, axis) for x, b in zip(args[n:], batched[n:], strict=True)], [True] * (
            len(args) - n
        )
    mask = settle(batched[n:], step)
    test_graph, (by_lane,) = batch_graph(test, axis, test_consts + mask)
    body_graph, _ = batch_graph(body, axis, body_consts + mask, mask)
    carry = [with_axis(x, axis) if m and not b else x for x, m, b in zip(args[n:], mask, batched[n:], strict=True)]
    if not by_lane:
        return while_p.bind_all(
            *args[:n], *carry, test=test_graph, body=body_graph, num_test=num_test, num_body=num_body, **kept
        ), mask

    def any_lane(*xs: Any) -> list[Any]:
        return [reduce_max(bind_graph(test_graph, xs)[0], (0,))]

    def masked_body(*xs: Any) -> list[Any]:
        own_test, own_body, values = xs[:num_test], xs[num_test:n], xs[n:]
        (running,) = bind_graph(test_graph, [*own_test, *values])
        given = [*own_body, *values]
        new = bind_graph(body_graph, only_lanes(running, given, body_consts + mask) if may_refuse(body) else given)
        return choose(running, new, values)

    carry_avals = [aval_of(x) for x in carry]
    wide_test = stage_derived(any_lane, [*map(aval_of, args[:num_test]), *carry_avals])
    wide_body = stage_derived(masked_body, [*map(aval_of, args[:n]), *carry_avals])
    outs = while_p.bind_all(
        *args[:num_test], *args[:n], *carry, test=wide_test, body=wide_body, num_test=num_test, num_body=n, **kept
    )
    return outs, mask


def _lower(b: Vocabulary, *xs: Value, test: Graph, body: Graph, num_test: int, num_body: int, **_: Any) -> list[Value]:
    n = num_test + num_body
    return b.while_loop(xs[:num_test], xs[num_test:n], xs[n:], test, body)


while_p = (
    Primitive("while", multiple_results=True)
    .define(shape=_shape, impl=_impl, jvp=_jvp, batch=_batch, lower=_lower, samples=[])
    .define(effects=lambda test, body, **_: test.effects | body.effects)
    .register()
)
