"""Checks that a function returns as a value: `checkify(f)` gives (error, result), and raises nothing.

The function is recorded, and its checks become results. Those that a set of categories asks for stand in no program:
they are put behind each operation, in bodies of loops and branches too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fdl import ops
from fdl.core import dtypes
from fdl.core.changes import change
from fdl.core.config import config
from fdl.core.errors import FdlError, TracedValueError
from fdl.core.graph import Atom, Equation, Graph, Literal, bind_graph
from fdl.core.pytree import tree_flatten
from fdl.core.trace import Tracer, aval_of
from fdl.numpy import any as any_of
from fdl.numpy import asarray
from fdl.ops.checks import Failure, check_p
from fdl.passes.inline import inline
from fdl.passes.prune import prune
from fdl.transforms.control.checks import lift_from_body, lift_from_branches, lift_from_while
from fdl.transforms.stage import FlatFunction, check_function, check_leaves, function_name, stage, stage_derived
from fdl.tree_util import register_pytree_node


class JaxRuntimeError(FdlError, ValueError):
    """A check of a function under `checkify` failed.

    >>> checkify(lambda x: check(x > 0, "not positive"))(-1.0)[0].throw()
    Traceback (most recent call last):
    ...
    fdl.experimental.checkify.JaxRuntimeError: not positive (`check` failed)...
    """


class FoundError(JaxRuntimeError):
    """A check that `checkify` put behind an operation failed.

    >>> str(checkify(lambda x: 1 / x, errors=div_checks)(0.0)[0].get())
    'division by zero'
    """


class Category(enum.Enum):
    """A kind of check."""

    USER = "user"
    NAN = "nan"
    DIV = "div"
    OOB = "oob"


ErrorCategory = Category
user_checks = frozenset({Category.USER})
nan_checks = frozenset({Category.NAN})
div_checks = frozenset({Category.DIV})
index_checks = frozenset({Category.OOB})
float_checks = nan_checks | div_checks
automatic_checks = float_checks | index_checks
all_checks = automatic_checks | user_checks


@dataclasses.dataclass(frozen=True, eq=False)
class Error:
    """What the checks of a call found: a 0-d bool for each, and what it would have raised with the values to show."""

    flags: tuple[Any, ...] = ()
    shown: tuple[tuple[Any, ...], ...] = ()
    failures: tuple[Failure, ...] = ()

    def get(self) -> str | None:
        """What the first check that failed says; None where all hold. Of an error with lanes, a line for each."""
        lines = []
        for lane in range(self._lanes() or 1):
            for flag, shown, failure in zip(self.flags, self.shown, self.failures, strict=True):
                if bool(_in_lane(flag, lane)):
                    said = failure.raised([_in_lane(x, lane).item() for x in shown])
                    prefix = "" if self._lanes() is None else f"at mapped index {lane}: "
                    lines.append(prefix + str(said.args[0]).split("\n")[0])
                    break
        return "\n".join(lines) or None

    def _lanes(self) -> int | None:
        if any(isinstance(x, Tracer) for x in self.flags):
            raise TracedValueError(
                "an Error has no value inside of a transform",
                why="its checks are part of the program",
                hint="return it, and look at it outside",
            )
        return next((int(x.size) for x in self.flags if x.ndim), None)

    def throw(self) -> None:
        """Raise JaxRuntimeError where a check failed."""
        found = self.get()
        if found is not None:
            raise JaxRuntimeError(found)

    def __str__(self) -> str:
        return f"Error({self.get() or ''})"


def _in_lane(x: Any, lane: int) -> Any:
    return x.reshape(-1)[lane] if x.ndim else x


register_pytree_node(
    Error,
    lambda e: ((e.flags, e.shown), e.failures),
    lambda failures, found: Error(tuple(found[0]), tuple(tuple(x) for x in found[1]), failures),
)


def init_error() -> Error:
    """No error.

    >>> init_error().get() is None
    True
    """
    return Error()


def check(pred: Any, msg: str, *fmt_args: Any, debug: bool = False, **fmt_kwargs: Any) -> None:
    """Let the function fail where a 0-d bool does not hold. `msg` is formatted with `fmt_args` and `fmt_kwargs`, which
    are scalars. With `debug` it is left out where the function is not under `checkify`.

    >>> error, _ = checkify(lambda x: check(x > 0, "x is {x}", x=x))(-1.0)
    >>> error.get()
    'x is -1.0 (`check` failed)'
    """
    values = [asarray(x) for x in (*fmt_args, *fmt_kwargs.values())]
    places = [f"{{{i}}}" for i in range(len(values))]
    unknown = dict.fromkeys(fmt_kwargs, "?")
    text = msg.format(*places[: len(fmt_args)], **dict(zip(fmt_kwargs, places[len(fmt_args) :], strict=True)))
    plain = msg.format(*["?"] * len(fmt_args), **unknown)
    failure = Failure(JaxRuntimeError, f"{text} (`check` failed)", f"{plain} (`check` failed)")
    mask = ops.bitwise_not(asarray(pred).astype(bool))
    if debug and not _COLLECTING:
        return
    check_p.bind(mask, *values, failure=failure)


def debug_check(pred: Any, msg: str, *fmt_args: Any, **fmt_kwargs: Any) -> None:
    """`check` that is left out where the function is not under `checkify`.

    >>> debug_check(False, "nobody looks")
    """
    check(pred, msg, *fmt_args, debug=True, **fmt_kwargs)


def check_error(error: Error) -> None:
    """Let the function fail where an error was found: `checkify` undone.

    >>> check_error(init_error())
    """
    for flag, shown, failure in zip(error.flags, error.shown, error.failures, strict=True):
        check_p.bind(flag, *shown, failure=failure)


_COLLECTING: list[None] = []  # an entry for each recording under `checkify` that runs


# Checks behind operations


def _found_by(e: Equation, outs: Sequence[Any], operands: Sequence[Any], errors: frozenset[Category]) -> None:
    """Bind the checks of one operation."""
    if Category.DIV in errors and e.primitive.name in ("div", "rem", "floor_divide"):
        zero = ops.equal(operands[1], 0)
        check_p.bind(any_of(zero), failure=_failure("division by zero"))
    if Category.NAN in errors:
        for x in outs:
            if dtypes.is_inexact(aval_of(x).dtype):
                nan = ops.not_equal(x, x)
                check_p.bind(any_of(nan), failure=_failure(f"nan generated by primitive: {e.primitive.name}"))


def _failure(text: str) -> Failure:
    return Failure(FoundError, text, text)


def _watched(graph: Graph, errors: frozenset[Category]) -> Graph:
    """The graph, of one that holds no calls, with checks behind its operations."""

    def f(*values: Any) -> list[Any]:
        found = dict(zip(graph.inputs, values, strict=True)) | dict(graph.constants)
        for e in graph.equations:
            operands = [a if isinstance(a, Literal) else found[a] for a in e.inputs]
            outs = _bound(e, operands, errors)
            found.update(zip(e.outputs, outs, strict=True))
        return [a if isinstance(a, Literal) else found[a] for a in graph.outputs]

    return stage_derived(f, graph.in_avals)


def _bound(e: Equation, operands: Sequence[Any], errors: frozenset[Category]) -> list[Any]:
    """Results of an operation, checked; of a loop or branch, with checks inside of it."""
    params = dict(e.params)
    if e.primitive.name == "scan":
        params["graph"], found = lift_from_body(_watched(params["graph"], errors))
    elif e.primitive.name == "cond":
        params["branches"], found = lift_from_branches([_watched(g, errors) for g in params["branches"]])
    elif e.primitive.name == "while":
        test, body, found, _ = lift_from_while(params["test"], _watched(params["body"], errors))
        params.update(test=test, body=body)
        operands = [*operands, *[False] * len(found.failures)]
    else:
        outs = list(e.primitive.bind_list(operands, e.params))
        _found_by(e, outs, operands, errors)
        return outs
    return found.looked_at(list(e.primitive.bind_list(operands, params)))


# The transform


def checkify(f: Callable[..., Any], errors: frozenset[Category] = user_checks) -> Callable[..., tuple[Error, Any]]:
    """`f` as a function that returns (error, result). `errors` says which checks there are: `user_checks` are those of
    `check`; `nan_checks`, `div_checks` and `index_checks` are put behind operations; sets can be united with `|`.

    The result is what `f` gives whether checks fail or not. `error.get()` is a text or None, `error.throw()` raises.

    >>> import fdl, fdl.numpy as jnp
    >>> error, out = fdl.jit(checkify(lambda x: jnp.log(x), errors=nan_checks))(-1.0)
    >>> error.get()
    'nan generated by primitive: log'
    """
    check_function(f, "checkify")

    @functools.wraps(f)
    def checked(*args: Any, **kwargs: Any) -> tuple[Error, Any]:
        leaves, in_tree = tree_flatten((args, kwargs))
        leaves = check_leaves(leaves, (args, kwargs), "checkify")
        flat = FlatFunction(f, in_tree, "checkify")
        _COLLECTING.append(None)
        try:
            with _all_indices_checked() if Category.OOB in errors else contextlib.nullcontext():
                graph, captured = stage(flat, [aval_of(x) for x in leaves], f"checkify({function_name(f)})").lift()
        finally:
            _COLLECTING.pop()
        whole = inline(graph)
        whole, checks = _collected(_watched(whole, errors) if errors & float_checks else whole, errors)
        count = len(graph.outputs)
        outs = bind_graph(whole, [*captured, *leaves])
        rest = iter(outs[count:])
        given = [[next(rest) for _ in _values(e)] for e in checks]
        error = Error(
            tuple([any_of(mask) for mask, *_ in given]),
            tuple([tuple(shown) for _, *shown in given]),
            tuple([e.params["failure"] for e in checks]),
        )
        return error, flat.unflatten(outs[:count])

    return checked


@contextlib.contextmanager
def _all_indices_checked() -> Iterator[None]:
    before = config.checks
    change(setattr, config, "checks", True)
    try:
        yield
    finally:
        change(setattr, config, "checks", before)


def _values(e: Equation) -> Sequence[Atom]:
    """What is returned of a check: its mask, and what its message shows where that is one place."""
    return e.inputs if not e.inputs[0].aval.shape else e.inputs[:1]


def _collected(graph: Graph, errors: frozenset[Category]) -> tuple[Graph, list[Equation]]:
    """A graph without calls as one without checks, that returns what these would have looked at; and those that count
    for these categories.
    """

    def counts(e: Equation) -> bool:
        kind = e.params["failure"].error
        if kind is FoundError:
            return True
        return (Category.OOB if issubclass(kind, IndexError) else Category.USER) in errors

    checks = [e for e in graph.equations if e.primitive is check_p and counts(e)]
    rest = tuple([e for e in graph.equations if e.primitive is not check_p])
    outputs = (*graph.outputs, *[a for e in checks for a in _values(e)])
    return prune(Graph(graph.inputs, rest, outputs, graph.constants)), checks


__all__ = [
    "Category", "Error", "ErrorCategory", "FoundError", "JaxRuntimeError", "all_checks", "automatic_checks", "check",
    "check_error", "checkify", "debug_check", "div_checks", "float_checks", "index_checks", "init_error", "nan_checks",
    "user_checks",
]  # fmt: skip
