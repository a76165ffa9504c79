"""Recording: a function becomes a Graph. `StageTrace` records every operation; what it meets from outside it captures
as a constant.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from fdl.core import dtypes
from fdl.core.array import Array, ConcreteArray, as_array
from fdl.core.avals import ShapedArray
from fdl.core.blocks import block
from fdl.core.errors import DtypeError, GraphError, StateError, StructureError
from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.core.primitive import Primitive
from fdl.core.pytree import LEAF, TreeDef, tree_flatten, tree_paths
from fdl.core.source import user_location
from fdl.core.trace import (
    Cell,
    Trace,
    Tracer,
    aval_of,
    current_trace,
    live_trace,
    raise_leaked,
    refuse_write,
    serial,
    written_since,
)  # fmt: skip
from fdl.passes.prune import prune


class StageTracer(Tracer):
    """A variable of the graph that is being recorded."""

    __slots__ = ("_variable",)

    def __init__(self, trace: Trace, var: Var) -> None:
        super().__init__(trace)
        self._variable = var

    @property
    def aval(self) -> ShapedArray:
        return self._variable.aval


class StageTrace(Trace):
    """Records operations as equations."""

    records = True

    def __init__(self, name: str, parent: Trace | None) -> None:
        super().__init__(name, parent)
        self.equations: list[Equation] = []
        self.captured: dict[int, tuple[Var, Any]] = {}

    def input(self, aval: ShapedArray) -> StageTracer:
        """A fresh variable."""
        return StageTracer(self, Var(aval))

    def atom(self, x: Any) -> Atom:
        """The variable or literal that stands for an operand; arrays and outer tracers are captured."""
        if isinstance(x, StageTracer) and x._trace is self:
            return x._variable
        if isinstance(x, Literal):
            return x
        if not isinstance(x, Tracer):
            found = dtypes.scalar_type(x)
            if found is not None:
                return Literal(x, *found)
            x = as_array(x)
        elif not x._trace.alive:
            raise_leaked(x)
        if id(x) not in self.captured:
            self.captured[id(x)] = (Var(x.aval), x)
        return self.captured[id(x)][0]

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        if primitive.has("stage"):
            operands, params = primitive.rule("stage")(operands, **params)
        inputs = tuple([self.atom(x) for x in operands])
        outputs = tuple([Var(aval) for aval in primitive.infer([a.aval for a in inputs], params)])
        self.equations.append(Equation(primitive, inputs, params, outputs, primitive.effects(params), user_location()))
        return [StageTracer(self, v) for v in outputs]

    def outside(self, x: Any) -> Any:
        if isinstance(x, StageTracer) and x._trace is self:
            raise StateError(
                f"{self.name} writes {x.aval.describe()} to something that lives outside of it",
                why=(
                    f"{self.name} records a program once, which takes arrays and gives arrays back: "
                    "it cannot set what else there is"
                ),
                hint="return the value and set it outside",
            )
        return x

    def carried(self) -> list[tuple[Cell, Any]]:
        """The cells that were written, with values of the program; they hold again what they held. StateError where one
        cannot be carried.
        """
        finals = []
        for cell, before in self.written.items():
            after = cell.content()
            if after is before:
                continue
            if not cell.carried:
                refuse_write(f"{cell!r} is set")
            if not aval_of(after).matches(aval_of(before)):
                refuse_write(f"what was {aval_of(before).describe()} becomes {aval_of(after).describe()}")
            finals.append((cell, after))
        if self.refused is not None:
            raise self.refused
        self.restore()
        return finals

    def graph(self, inputs: Sequence[StageTracer], outputs: Sequence[Any]) -> Graph:
        """What was recorded between these inputs and outputs, without equations that nothing needs."""
        atoms = tuple([self.atom(x) for x in outputs])
        constants = tuple(self.captured.values())
        return prune(Graph(tuple([t._variable for t in inputs]), tuple(self.equations), atoms, constants))


class PartTrace(StageTrace):
    """Records a branch or the body of a loop, which may run or not."""

    def surely_runs(self) -> bool:
        return False


class Notes:
    """What a function that is being recorded read of what can change: cells, by the identity of the array that they
    hold, and guards.
    """

    def __init__(self) -> None:
        self.number = serial()
        self.cells: dict[int, Any] = {}
        self.guards: dict[Any, None] = {}


_NOTES: ContextVar[Notes | None] = ContextVar("fdl_notes", default=None)


@block
def noting() -> Iterator[Notes]:
    """Collects the mutable cells that are read in the block, and what else has to stay as it is."""
    found = Notes()
    before = _NOTES.get()
    try:
        _NOTES.set(found)
        yield found
    finally:
        _NOTES.set(before)


def note_cell(cell: Any) -> None:
    """Say that `cell.array` is read under a transform: who caches the recording reads the cell again at each call."""
    found = _NOTES.get()
    if (
        found is not None and getattr(cell, "birth", 0) < found.number and not written_since(cell, found.number)
    ):  # else it is the function's own, or holds what is
        known = found.cells.setdefault(id(cell.array), cell)
        if known is not cell and not isinstance(
            cell.array, Tracer
        ):  # two cells that hold one array now, and others later
            cell.array = ConcreteArray(cell.array.aval, cell.array.block_until_ready()._data, cell.array._mark)
            found.cells[id(cell.array)] = cell


def note_guard(guard: Any) -> None:
    """Say that a recording holds for as long as `guard.seen()` is what it is now, which is looked at where `guard` has
    changed.
    """
    found = _NOTES.get()
    if found is not None:
        found.guards.setdefault(guard)


def stage(
    f: Callable[..., Sequence[Any]],
    avals: Sequence[ShapedArray],
    name: str,
    cells: list[Cell] | None = None,
    kind: type[StageTrace] = StageTrace,
) -> Graph:
    """Record a flat function, list to list.

    Cells that it writes are appended to `cells`, and what they are to hold to the results; without `cells`, what can be
    written is what does not depend on the program.
    """
    trace = kind(name, current_trace())
    with live_trace(trace):
        inputs = [trace.input(aval) for aval in avals]
        outs = f(*inputs)
        if cells is not None and (trace.written or trace.refused is not None):
            finals = trace.carried()
            cells += [cell for cell, _ in finals]
            outs = [*outs, *(value for _, value in finals)]
        graph = trace.graph(inputs, outs)
    return graph


def with_literals(graph: Graph) -> Graph:
    """The graph with its 0-d constants as literals; other constants stay."""
    literals: dict[Any, Atom] = {
        v: Literal(x._numpy()[()], v.aval.dtype, v.aval.weak_type)
        for v, x in graph.constants
        if not v.aval.shape and isinstance(x, ConcreteArray)
    }
    if not literals:
        return graph
    equations = [e.replace(inputs=tuple([literals.get(a, a) for a in e.inputs])) for e in graph.equations]
    constants = tuple([(v, x) for v, x in graph.constants if v not in literals])
    return Graph(graph.inputs, tuple(equations), tuple([literals.get(a, a) for a in graph.outputs]), constants)


def stage_derived(f: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray]) -> Graph:
    """Record a function that rules were applied to; it captures nothing."""
    graph = with_literals(stage(f, avals, "~derived"))
    if graph.constants:
        raise GraphError(
            f"a rule captured {[value for _, value in graph.constants]} while a graph was derived",
            hint="make constants with fdl.ops.full or Literal",
        )
    return graph


@functools.cache
def _positional(count: int) -> TreeDef:
    return tree_flatten(((0,) * count, {}))[1]


def flatten_positional(args: tuple[Any, ...]) -> tuple[list[Any], TreeDef]:
    """Leaves and structure of a call with these arguments and no keywords; arrays alone, as mostly, need no walk."""
    if set(map(type, args)) == {ConcreteArray}:
        return list(args), _positional(len(args))
    return tree_flatten((args, {}))


class FlatFunction:
    """A function of trees as one of flat lists; the structure of its last result is kept in `out_tree`.

    With `has_aux` the function returns (value, aux): `out_tree` is that of the value, the arrays of aux follow its
    leaves, and all else in aux stays aside.
    """

    def __init__(self, f: Callable[..., Any], in_tree: TreeDef, name: str, has_aux: bool = False) -> None:
        self.f, self.in_tree, self.name, self.has_aux = f, in_tree, name, has_aux
        self.plain = in_tree is _positional(in_tree.num_leaves)  # arguments are leaves
        self.out_tree: TreeDef | None = None
        self.aside: tuple[list[Any], TreeDef] = ([], LEAF)

    def positional(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Positional arguments, or what stands for them, from their leaves."""
        args: tuple[Any, ...] = tuple(leaves) if self.plain else self.in_tree.unflatten(leaves)[0]
        return args

    def __call__(self, *leaves: Any) -> list[Any]:
        if self.plain:
            result = self.f(*leaves)
        else:
            args, kwargs = self.in_tree.unflatten(leaves)
            result = self.f(*args, **kwargs)
        if not self.has_aux:
            return self._flat(result)
        if not (isinstance(result, (tuple, list)) and len(result) == 2):
            found = f"{len(result)} values" if isinstance(result, (tuple, list)) else kind_of(result)
            raise StructureError(
                f"{self.name}: with has_aux=True the function must return (value, aux), got {found}",
                why="the value is differentiated, aux is handed through",
                hint="return value, aux",
            )
        self.aside = tree_flatten(result[1])
        return [*self._flat(result[0]), *(x for x in self.aside[0] if isinstance(x, Array))]

    def _flat(self, result: Any) -> list[Any]:
        if isinstance(result, Array):
            self.out_tree = LEAF
            return [result]
        outs, self.out_tree = tree_flatten(result)
        if _any_invalid(outs):
            path, leaf = next((path, leaf) for path, leaf in tree_paths(result) if not is_arraylike(leaf))
            raise DtypeError(
                f"{self.name}: the function returned {kind_of(leaf)}" + (f" at `result{path}`" if path else ""),
                why="transforms need arrays, numbers, or containers of them",
                hint="return (value, other) with has_aux=True, or keep it outside"
                if self.name in _WITH_AUX
                else "return arrays and numbers alone, and keep the rest outside",
            )
        return outs

    def unflatten(self, outs: Sequence[Any]) -> Any:
        """A result of the function's structure."""
        assert self.out_tree is not None
        return self.out_tree.unflatten(outs)

    def with_aux(self, outs: Sequence[Any]) -> tuple[list[Any], Any]:
        """Leaves of the value and the aux, from results of a call with `has_aux`."""
        assert self.out_tree is not None
        count = self.out_tree.num_leaves
        arrays = iter(outs[count:])
        return list(outs[:count]), self.aside[1].unflatten(
            [next(arrays) if isinstance(x, Array) else x for x in self.aside[0]]
        )


_WITH_AUX = ("grad", "jvp", "vjp", "linearize", "jacfwd", "jacrev")


def _any_invalid(outs: Sequence[Any]) -> bool:
    return not all(map(is_arraylike, outs))


def is_arraylike(x: Any) -> bool:
    """Whether a transform may take `x` as a leaf: an array, a tracer or a number."""
    return (
        isinstance(getattr(x, "aval", None), ShapedArray)
        or dtypes.scalar_type(x) is not None
        or (hasattr(x, "dtype") and hasattr(x, "__array__"))
    )


def kind_of(x: Any) -> str:
    """What errors call a value: its type as fdl sees it, or its class."""
    aval = getattr(x, "aval", None)
    return aval.describe() if isinstance(aval, ShapedArray) else type(x).__name__


def check_leaves(
    leaves: Sequence[Any], tree: Any, what: str, name: Callable[[str], str] = lambda path: f"argument {path}".rstrip()
) -> list[Any]:
    """Arguments as arrays or tracers; DtypeError names what is neither: `name` of its path in the tree."""
    if set(map(type, leaves)) == {ConcreteArray}:
        return list(leaves)
    if _any_invalid(leaves):
        path, leaf = next((p, x) for p, x in tree_paths(tree) if not is_arraylike(x))
        raise DtypeError(
            f"{what}: {name(path)} is {_shown(leaf)}, not an array or a number",
            why="a transform follows arrays and numbers, and containers of them",
            hint="jit(f, static_argnames=...) if it shapes the program"
            if what.startswith("jit")
            else "functools.partial(f, ...) or a closure around f for what is no array",
        )
    return [x if isinstance(getattr(x, "aval", None), ShapedArray) else as_array(x) for x in leaves]


def _shown(x: Any) -> str:
    """The class of a value, and the value where it is short."""
    text = repr(x) if isinstance(x, (str, bytes)) else ""
    return f"{type(x).__name__} {text}" if 0 < len(text) < 40 else type(x).__name__


def argument_names(f: Any, static: Sequence[int] = ()) -> Callable[[str], str]:
    """How errors name a leaf of a call's `(args, kwargs)` by its path: by number and parameter; arguments with `static`
    numbers are not among the args.

    >>> argument_names(lambda x, params: 0)("[0][1]['w']"), argument_names(lambda x, *, y: 0)("[1]['y']")
    ("argument 1 (params['w'])", 'argument y')
    """

    def name(path: str) -> str:
        where, rest = path[1:].split("]", 1) if path else ("", "")
        if where != "0":
            key, rest = rest[1:].split("]", 1) if rest else ("", "")
            return f"argument {key.strip(QUOTES)}{rest}".rstrip()
        place, rest = rest[1:].split("]", 1) if rest else ("0", "")
        number = int(place)
        for skipped in sorted(static):
            number += skipped <= number
        names = parameters(f)
        known = names[number] if number < len(names) else ""
        return f"argument {number} ({known}{rest})" if known else f"argument {number}" + (f" at {rest}" if rest else "")

    return name


QUOTES = "\"'"


def parameters(f: Callable[..., Any]) -> list[str]:
    """Names of the positional parameters, where Python knows them."""
    try:
        found = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # a builtin
        return []
    return [p.name for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def function_name(f: Any) -> str:
    """What errors call a function."""
    return str(getattr(f, "__name__", None) or getattr(getattr(f, "func", None), "__name__", None) or type(f).__name__)


def check_function(f: Any, what: str, usage: str = "") -> None:
    """StructureError for what cannot be called: mostly the result of a call, in the place of the function."""
    if not callable(f):
        raise StructureError(
            f"{what}: expected a function, got {kind_of(f)}",
            why=f"{what} runs or changes a function, not its result",
            hint=usage or f"{what}(f)(x), not {what}(f(x))",
        )


def make_graph(fun: Callable[..., Any]) -> Callable[..., Graph]:
    """`make_graph(fun)(*args)` is the Graph that `fun` records for arguments of these types.

    Arrays and `ShapedArray`s may be given.  Captured arrays are the graph's `constants`.

    >>> print(make_graph(lambda x: x * 2 + 1)(1.0))
    graph (a:float32*[]) {
      b:float32*[] = mul a 2.0:float32*
      c:float32*[] = add b 1.0:float32*
      return c
    }
    """

    def graph_of(*args: Any, **kwargs: Any) -> Graph:
        leaves, in_tree = tree_flatten((args, kwargs))
        return _dry(
            FlatFunction(fun, in_tree, "make_graph"),
            _avals(leaves, (args, kwargs), "make_graph"),
            f"make_graph({function_name(fun)})",
        )

    return graph_of


def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The types of `fun`'s results, without computing anything.

    >>> import fdl.numpy as jnp
    >>> eval_shape(lambda a, b: a @ b, jnp.ones((2, 3)), ShapedArray((3, 5), "float32"))
    float32[2,5]
    """
    leaves, in_tree = tree_flatten((args, kwargs))
    flat = FlatFunction(fun, in_tree, "eval_shape")
    graph = _dry(flat, _avals(leaves, (args, kwargs), "eval_shape"), f"eval_shape({function_name(fun)})")
    return flat.unflatten(graph.out_avals)


def _dry(f: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray], name: str) -> Graph:
    """Record a flat function to look at it: what it writes stays as it was."""
    cells: list[Cell] = []
    graph = stage(f, avals, name, cells)
    return (
        prune(Graph(graph.inputs, graph.equations, graph.outputs[: len(graph.outputs) - len(cells)], graph.constants))
        if cells
        else graph
    )


def _avals(leaves: Sequence[Any], tree: Any, what: str) -> list[ShapedArray]:
    if all(isinstance(x, ShapedArray) for x in leaves):
        return list(leaves)
    rest = iter(check_leaves([x for x in leaves if not isinstance(x, ShapedArray)], tree, what))
    return [x if isinstance(x, ShapedArray) else aval_of(next(rest)) for x in leaves]
