"""The laws: what holds for every operation, whatever it computes, under every transform.

A law is a function of a `Case`. It returns where it holds, raises `Broken` where it does not, and `NoMeaning` where it
says nothing about such a case, with the reason. No law compares a rule with itself: values are held to the reference
(or to the operation run line by line), forward derivatives to central differences, reverse ones to forward ones, and
lanes of `vmap` to a loop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fdl.backends.dispatch import can_compile, executable
from fdl.backends.toolchain import host_target
from fdl.core import dtypes
from fdl.core.array import from_numpy
from fdl.core.dtypes import DType
from fdl.core.errors import FdlError, MissingRuleError
from fdl.core.graph import Graph, interpret
from fdl.lowering.build.control import build
from fdl.lowering.ir.interpret import interpret_program
from fdl.lowering.pipeline import schedule
from fdl.passes import run_passes
from fdl.passes.checks import lift_checks
from fdl.testing.cases import WIDE, Case, PrimitiveCase
from fdl.testing.tolerances import Data, assert_close
from fdl.transforms import grad, jvp, vjp, vmap
from fdl.transforms.stage import stage

STEP = 1e-6  # of central differences, in double precision


class Broken(AssertionError):
    """A law does not hold: `where` it is broken, and both values."""

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(f"{where}\n{detail}")
        self.where, self.detail = where, detail


class NoMeaning(Exception):
    """A law says nothing about a case, for this reason."""


@dataclasses.dataclass(frozen=True)
class Law:
    """A name, what it says in a sentence, the rule to look at where it is broken, and the check; `together` checks many
    cases at once, where that is cheaper.
    """

    name: str
    says: str
    look_at: str
    check: Callable[[Case], None]
    together: Callable[[Sequence[Case]], None] | None = None


@contextlib.contextmanager
def broken(where: str) -> Iterator[None]:
    """What is compared inside of the block and differs breaks the law there."""
    try:
        yield
    except AssertionError as error:
        if isinstance(error, Broken):
            raise
        raise Broken(where, str(error).strip()) from None


# Values


def forward(case: Case) -> None:
    """Shape rule, values and reference agree."""
    values = case.values()
    graph, inputs = graph_of(case)
    with broken("shapes and dtypes of the results are not what the shape rule says"):
        said, got = [(a.shape, a.dtype) for a in graph.out_avals], [(v.shape, v.dtype) for v in values]
        assert said == got, f"rule: {said}\ngot:  {got}"
    wanted = case.reference(case.args)
    _same(values, interpret(graph, inputs) if wanted is None else wanted, "the result is not the reference's")


def loops(case: Case) -> None:
    """The loop program, scheduled and run by its interpreter."""
    graph, inputs = graph_of(case)
    wanted = interpret(graph, inputs)
    with _as_broken("the operation cannot be lowered"):
        program = build(run_passes(lift_checks(graph).graph))
        program.check()
        program = schedule(program, host_target())
        program.check()
        found = interpret_program(program, inputs)[: len(wanted)]  # what checks found comes last
    shaped = [x.view(w.dtype).reshape(w.shape) for x, w in zip(found, wanted, strict=True)]
    _same(shaped, wanted, "the loop program gives other values than the reference")


def compiled(case: Case) -> None:
    """The C program."""
    compiled_together([case])


def compiled_together(cases: Sequence[Case]) -> None:
    """One C program of all cases, so that they share a compiler start."""
    if not can_compile():
        raise NoMeaning("there is no C compiler on this machine")
    sizes = [len(c.args) for c in cases]

    def every(*arrays: Any) -> list[Any]:
        given = iter(arrays)
        return [out for c, n in zip(cases, sizes, strict=True) for out in c.call(*itertools.islice(given, n))]

    graph, inputs = _staged(every, [a for c in cases for a in c.args], cases[0].name)
    found = executable(graph, cases[0].name)(list(map(from_numpy, inputs)))
    wanted = interpret(graph, inputs)
    _same([np.asarray(x) for x in found[: len(wanted)]], wanted, "the compiled program gives other values")


def graph_of(case: Case) -> tuple[Graph, list[Data]]:
    """The case's function as a checked graph without constants, and its inputs, captured ones first."""
    return _staged(case.call, case.args, case.name)


def _staged(f: Callable[..., Any], args: Sequence[Data], name: str) -> tuple[Graph, list[Data]]:
    graph = stage(f, [from_numpy(a).aval for a in args], name)
    graph.check()
    graph, captured = graph.lift()
    return graph, [*map(np.asarray, captured), *args]


# Derivatives


def forward_mode(case: Case) -> None:
    """`jvp` gives the slope of central differences."""
    case = _in_double(case)
    f, primals, tangents = case.of_moving(), _primals(case), _drawn(case, 1)
    _, found = jvp(f, primals, [from_numpy(t) for t in tangents])
    slopes = _slopes(f, primals, tangents)
    if isinstance(case, PrimitiveCase) and case.primitive.name == "stop_gradient":
        slopes = [np.zeros_like(s) for s in slopes]
    for i, (got, want) in enumerate(zip(found, slopes, strict=True)):
        if dtypes.is_inexact(got.dtype) and got.dtype in WIDE.values():
            _near(np.asarray(got), want, 1e-5, 1e-6, f"result {i}: jvp is not the slope of central differences")


def reverse_mode(case: Case) -> None:
    """`vjp` is the adjoint of `jvp`."""
    case = _in_double(case)
    f, primals, tangents = case.of_moving(), _primals(case), _drawn(case, 2)
    outs, pull = vjp(f, *primals)
    try:
        ahead, tolerance = jvp(f, primals, [from_numpy(t) for t in tangents])[1], 1e-9
    except MissingRuleError:  # of what has a reverse rule alone
        ahead, tolerance = _slopes(f, primals, tangents), 1e-5
    weights = [_draw(np.random.default_rng(3 + i), y.shape, y.dtype) for i, y in enumerate(outs)]
    back = pull([from_numpy(w) for w in weights])
    left = sum(_paired(w, t) for w, t in zip(weights, ahead, strict=True))
    right = sum(_paired(t, ct) for t, ct in zip(tangents, back, strict=True))
    with broken("the cotangent is not the adjoint of the tangent"):
        assert _agree(left, right, tolerance), f"<u, J t>  = {left!r}\n<J'u, t> = {right!r}"


def forward_over_reverse(case: Case) -> None:
    """Derivatives in two orders of modes agree."""
    case, loss = _scalar(case)
    primals, tangents = _primals(case), [from_numpy(t) for t in _drawn(case, 5)]
    where = tuple(range(len(primals)))
    _, found = jvp(grad(loss, where), primals, tangents)
    other = grad(lambda *xs: jvp(loss, xs, tangents)[1], where)(*primals)
    for i, (got, want) in enumerate(zip(found, other, strict=True)):
        _near(
            np.asarray(got),
            np.asarray(want),
            1e-8,
            1e-8,
            f"operand {i}: forward over reverse is not reverse over forward",
        )


def reverse_over_reverse(case: Case) -> None:
    """The second derivative by reverse mode alone is the slope of the gradient."""
    case, loss = _scalar(case)
    primals, tangents = _primals(case), _drawn(case, 6)
    gradient = grad(loss, tuple(range(len(primals))))

    def along(*xs: Any) -> Any:
        return sum((g * from_numpy(np.conj(t))).real.sum() for g, t in zip(gradient(*xs), tangents, strict=True))

    found = grad(along, tuple(range(len(primals))))(*primals)
    _, want = jvp(gradient, primals, [from_numpy(np.conj(t) if np.iscomplexobj(t) else t) for t in tangents])
    for i, (got, slope) in enumerate(zip(found, want, strict=True)):
        _near(
            np.asarray(got),
            np.asarray(slope),
            1e-8,
            1e-8,
            f"operand {i}: reverse over reverse is not forward over reverse",
        )


def _slopes(f: Callable[..., list[Any]], primals: Sequence[Any], tangents: Sequence[Data]) -> list[Data]:
    """Central differences of each result in a direction."""

    def at(step: float) -> list[Data]:
        moved = [from_numpy(np.asarray(x) + step * t) for x, t in zip(primals, tangents, strict=True)]
        return [np.asarray(y) for y in f(*moved)]

    with np.errstate(all="ignore"):
        return [(a - b) / (2 * STEP) for a, b in zip(at(STEP), at(-STEP), strict=True)]


def _scalar(case: Case) -> tuple[Case, Callable[..., Any]]:
    """A case in double precision, and half the sum of squares of its results as a function of what moves."""
    case = _in_double(case)
    f = case.of_moving()
    return case, lambda *xs: sum((y * y).sum().real for y in f(*xs))


def _in_double(case: Case) -> Case:
    """The case with double precision, or NoMeaning where nothing moves."""
    case = case.cast(WIDE)
    if not case.moving():
        raise NoMeaning("no operand is a float")
    if not all(np.isfinite(case.args[i]).all() for i in case.moving()):
        raise NoMeaning("an operand is not finite")
    results = _accepted(case)
    if not any(v.dtype in WIDE.values() and v.size for v in results):
        raise NoMeaning("no result is a float, or it is empty")
    return case


def _accepted(case: Case) -> list[Data]:
    """The values, or NoMeaning where these dtypes are refused."""
    try:
        return case.values()
    except (TypeError, ValueError) as error:
        raise NoMeaning(f"refused: {str(error).splitlines()[0]}") from None


def _primals(case: Case) -> list[Any]:
    return [from_numpy(case.args[i]) for i in case.moving()]


def _drawn(case: Case, seed: int) -> list[Data]:
    rng = np.random.default_rng(seed)
    return [_draw(rng, case.args[i].shape, case.args[i].dtype) for i in case.moving()]


def _draw(rng: np.random.Generator, shape: Sequence[int], dtype: DType) -> Data:
    """Numbers between -1 and 1, both parts of complex ones."""
    real = rng.uniform(-1, 1, shape)
    return (real + 1j * rng.uniform(-1, 1, shape) if dtypes.is_complex(dtype) else real).astype(dtype)


def _paired(u: Data, v: Any) -> float:
    """The real part of the product of a cotangent and a tangent, by which one is the other's dual."""
    return float(np.sum(u * np.asarray(v)).real)


# Lanes


def lanes(case: Case) -> None:
    """`vmap` gives what a loop gives, over all operands and over each, for 0, 1 and 3 lanes."""
    if not case.args:
        raise NoMeaning("no operands")
    for chosen in _choices(len(case.args)):
        for size in (0, 1, 3):
            _hold_lanes(case, chosen, size, case.call, f"vmap over operands {list(chosen)}, {size} lanes")


def lanes_of_lanes(case: Case) -> None:
    """`vmap` of `vmap`, the inner one over the last operand alone."""
    if not case.args:
        raise NoMeaning("no operands")
    last = (len(case.args) - 1,)
    axes = tuple(0 if i in last else None for i in range(len(case.args)))
    args = list(case.args)
    args[-1] = np.stack([np.stack([case.lane(3 * a + b)[-1] for b in range(3)]) for a in range(2)])
    found = vmap(vmap(case.call, in_axes=axes), in_axes=axes)(*map(from_numpy, args))
    for a, b in itertools.product(range(2), range(3)):
        one = case.at([*case.args[:-1], args[-1][a, b]]).values()
        _same([np.asarray(x)[a, b] for x in found], one, f"vmap of vmap, lane ({a}, {b})")


def lanes_of_gradients(case: Case) -> None:
    """`vmap` of a gradient gives the gradients of a loop."""
    case, loss = _scalar(case)
    moving, gradient = case.moving(), grad(loss, tuple(range(len(case.moving()))))
    varied = [[x[i] for i in moving] for x in map(case.lane, range(3))]
    found = vmap(gradient)(*(from_numpy(np.stack(x)) for x in zip(*varied, strict=True)))
    for k, one in enumerate(varied):
        for i, (got, want) in enumerate(zip(found, gradient(*map(from_numpy, one)), strict=True)):
            _near(np.asarray(got)[k], np.asarray(want), 1e-9, 1e-9, f"lane {k}: the gradient by operand {i}")


def _choices(count: int) -> list[tuple[int, ...]]:
    every = tuple(range(count))
    return [every] if count == 1 else [every, *((i,) for i in every)]


def _hold_lanes(case: Case, chosen: Sequence[int], size: int, f: Callable[..., Any], where: str) -> None:
    varied = [case.lane(k) for k in range(max(size, 1))]
    axes = tuple(0 if i in chosen else None for i in range(len(case.args)))
    stacked = [np.stack([v[i] for v in varied])[:size] if axis == 0 else case.args[i] for i, axis in enumerate(axes)]
    found = [np.asarray(x) for x in vmap(f, in_axes=axes)(*map(from_numpy, stacked))]
    with broken(where):
        assert all(x.shape[:1] == (size,) for x in found), f"shapes {[x.shape for x in found]}"
    for k in range(size):
        one = case.at([stacked[i][k] if axis == 0 else case.args[i] for i, axis in enumerate(axes)])
        _same(
            [x[k] for x in found],
            one.reference(one.args) or one.values(),
            f"{where}: lane {k} is not what the loop gives",
        )


# Dtypes


def at_dtype(dtype: DType) -> Callable[[Case], None]:
    """The law that an operation of floats agrees with its reference in this dtype, and its gradient with the one in
    double precision.
    """
    change = dict.fromkeys(dtypes.INEXACT if dtypes.is_complex(dtype) else dtypes.FLOATS, dtype)

    def holds(case: Case) -> None:
        if not any(a.dtype in change for a in case.args):
            raise NoMeaning("no operand is a float")
        other = case.cast(change)
        _accepted(other)
        loops(other)
        if isinstance(case, PrimitiveCase) and not case.primitive.has("jvp"):
            return
        with contextlib.suppress(NoMeaning):
            _gradient_in_double(other)

    return holds


def _gradient_in_double(case: Case) -> None:
    exact, loss_exact = _scalar(case)
    f = case.of_moving()
    loss = lambda *xs: sum((y * y).sum().real for y in f(*xs))
    found = grad(loss, tuple(range(len(case.moving()))))(*_primals(case))
    wanted = grad(loss_exact, tuple(range(len(exact.moving()))))(*_primals(exact))
    name = case.args[case.moving()[0]].dtype.name
    tolerance = {"float64": 1e-10, "complex128": 1e-10, "float32": 1e-3, "complex64": 1e-3}.get(name, 0.1)
    for i, (got, want) in enumerate(zip(found, wanted, strict=True)):
        largest = float(np.max(np.abs(np.asarray(want)), initial=1.0))
        value = np.asarray(got).astype(np.asarray(want).dtype)
        _near(value, np.asarray(want), tolerance, tolerance * largest, f"the gradient by operand {i} in {name}")


# Comparison


def _same(found: Sequence[Data], wanted: Sequence[Data], where: str) -> None:
    with broken(where):
        assert len(found) == len(wanted), f"{len(found)} results, {len(wanted)} wanted"
    for i, (got, want) in enumerate(zip(found, wanted, strict=True)):
        with broken(f"result {i}: {where}" if len(wanted) > 1 else where):
            assert_close(got, want)


def _near(got: Data, want: Data, rtol: float, atol: float, where: str) -> None:
    with broken(where):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def _agree(a: float, b: float, tolerance: float) -> bool:
    return (np.isnan(a) and np.isnan(b)) or abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))


@contextlib.contextmanager
def _as_broken(where: str) -> Iterator[None]:
    try:
        yield
    except (FdlError, AssertionError) as error:
        raise Broken(where, str(error)) from error


LAWS = {
    law.name: law
    for law in (
        Law(
            "forward",
            "values have the types that the shape rule gives, and are the reference's",
            "shape, impl",
            forward,
        ),
        Law("loops", "the loop program gives the reference's values", "lower", loops),
        Law(
            "C",
            "the compiled program gives the reference's values",
            "lower, spelling rows",
            compiled,
            compiled_together,
        ),
        Law("jvp", "forward mode gives the slope of central differences", "jvp", forward_mode),
        Law("vjp", "reverse mode is the adjoint of forward mode", "transpose", reverse_mode),
        Law("vmap", "vmap gives what a loop over lanes gives", "batch", lanes),
        Law("jvp∘vjp", "forward over reverse is reverse over forward", "jvp of the transpose", forward_over_reverse),
        Law(
            "vjp∘vjp",
            "reverse over reverse is forward over reverse",
            "transpose of the transpose",
            reverse_over_reverse,
        ),
        Law("vmap∘vmap", "vmap of vmap gives what two loops give", "batch of the batch rule", lanes_of_lanes),
        Law(
            "vmap∘vjp", "vmap of a gradient gives the gradients of a loop", "batch of the transpose", lanes_of_gradients
        ),
        Law(
            "float64",
            "float64 has the reference's values, and the derivatives",
            "shape, lower",
            at_dtype(dtypes.float64),
        ),
        Law(
            "bfloat16",
            "bfloat16 has the reference's values, and near derivatives",
            "shape, lower",
            at_dtype(dtypes.bfloat16),
        ),
        Law(
            "complex64",
            "complex64 has the reference's values, and the derivatives",
            "parts",
            at_dtype(dtypes.complex64),
        ),
    )
}
