"""The IR: a typed program in single-assignment form.

A `Graph` is a value: it prints, compares and hashes by structure, so that it keys caches. The user's line of an
equation stands outside of equality. Control flow holds sub-graphs in params; those have no constants (`Graph.lift`
turns constants into inputs). Invariants are in `Graph.check`. Read next: `primitive.py`, `trace.py`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from fdl.core.array import Array
from fdl.core.avals import ShapedArray, shaped
from fdl.core.changes import Derived
from fdl.core.dtypes import DType
from fdl.core.errors import GraphError
from fdl.core.primitive import Primitive
from fdl.core.source import Location

T = TypeVar("T")


class Var:
    """A value of the program, defined once; its identity is its name."""

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray) -> None:
        self.aval = aval

    def __repr__(self) -> str:
        return f"Var({self.aval})"


class DropVar(Var):
    """A result that nobody reads, which JAX tells from others; no graph has one."""


class Literal:
    """A Python number as an operand: a 0-d value with the dtype that promotion gave it.

    `number` is what the user wrote, so that 0.1 is still 0.1 when it meets float64.
    """

    __slots__ = ("_value", "aval", "number")

    def __init__(self, value: Any, dtype: DType, weak_type: bool = False) -> None:
        self.aval = shaped((), dtype, weak_type)
        self.number = value
        self._value: Any = None

    @property
    def value(self) -> Any:
        """The number as a NumPy scalar of this dtype; made when it is first asked for, since recording a number needs
        no value.
        """
        if self._value is None:
            self._value = np.asarray(self.number).astype(self.aval.dtype)[()]
        return self._value

    def key(self) -> tuple[bytes, ShapedArray]:
        """Equal for equal bits: 0.0 is not -0.0, and NaN is NaN."""
        return self.value.tobytes(), self.aval

    def __repr__(self) -> str:
        return f"{self.value}:{self.aval.dtype.name}{'*' if self.aval.weak_type else ''}"


Atom = Var | Literal
Operand = Array | Literal  # what a primitive is bound to
ArrayLike = Operand | np.ndarray[Any, Any] | np.generic | complex  # what functions take; ints and floats are complex


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """`outputs = primitive[params](inputs)`."""

    primitive: Primitive
    inputs: tuple[Atom, ...]
    params: Mapping[str, Any]
    outputs: tuple[Var, ...]
    effects: frozenset[str] = frozenset()
    source: Location | None = None

    def replace(self, **changes: Any) -> Equation:
        """A copy with some fields changed."""
        return Equation(**({name: getattr(self, name) for name in self.__slots__} | changes))  # the generic one is slow


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Inputs, equations in order, outputs; `constants` are (variable, array) pairs captured while recording.

    `memo` holds what follows from the structure alone; `derived` what follows from rules too.
    """

    inputs: tuple[Var, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    constants: tuple[tuple[Var, Any], ...] = ()
    memo: dict[Any, Any] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def in_avals(self) -> list[ShapedArray]:
        """Types of the inputs."""
        return [v.aval for v in self.inputs]

    @property
    def out_avals(self) -> list[ShapedArray]:
        """Types of the outputs."""
        return [a.aval for a in self.outputs]

    @property
    def effects(self) -> frozenset[str]:
        """Effects of all equations."""
        if "effects" not in self.memo:
            self.memo["effects"] = frozenset().union(*[e.effects for e in self.equations])
        found: frozenset[str] = self.memo["effects"]
        return found

    def derived(self, key: Any, make: Callable[[], T]) -> T:
        """What follows from the graph and the rules of its operations (its transpose for some mask, its program), made
        once for as long as the graph lives and the rules stay as they are.
        """
        known: Derived[Any, T] = self.memo.setdefault("derived", Derived()).current()
        if key in known:
            return known[key]
        made = known[key] = make()
        return made

    def lift(self) -> tuple[Graph, list[Any]]:
        """The graph with its constants as leading inputs, and their values."""
        variables = tuple(v for v, _ in self.constants)
        return Graph(variables + self.inputs, self.equations, self.outputs), [value for _, value in self.constants]

    def key(self) -> tuple[Any, ...]:
        """The structure as nested tuples; equal for graphs that compute the same in the same way."""
        if "key" not in self.memo:
            self.memo["key"] = _structure(self)
        key: tuple[Any, ...] = self.memo["key"]
        return key

    def __hash__(self) -> int:
        if "hash" not in self.memo:
            self.memo["hash"] = hash(self.key())
        value: int = self.memo["hash"]
        return value

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and hash(self) == hash(other) and self.key() == other.key())

    def digest(self) -> str:
        """A hash of the structure that is the same in every process."""
        return hashlib.sha256(str(self).encode()).hexdigest()

    def __str__(self) -> str:
        return "\n".join(_print(self, "", with_source=False))

    def pretty(self) -> str:
        """As `str`, with the user's line beside each equation."""
        return "\n".join(_print(self, "", with_source=True))

    def check(self) -> None:
        """Raise GraphError unless scoping, single assignment and all types hold, sub-graphs included."""
        _check(self)


def subgraphs(params: Mapping[str, Any]) -> Iterator[Graph]:
    """Graphs held in an equation's params."""
    for value in params.values():
        if isinstance(value, Graph):
            yield value
        elif isinstance(value, tuple):
            yield from (v for v in value if isinstance(v, Graph))


def _structure(graph: Graph) -> tuple[Any, ...]:
    number: dict[Var, int] = {}

    def define(variables: Sequence[Var]) -> tuple[ShapedArray, ...]:
        for v in variables:
            number[v] = len(number)
        return tuple(v.aval for v in variables)

    def use(atom: Atom) -> Any:
        return atom.key() if isinstance(atom, Literal) else number[atom]

    head = define([v for v, _ in graph.constants]), tuple(id(c) for _, c in graph.constants), define(graph.inputs)
    body = tuple(
        (e.primitive, tuple(map(use, e.inputs)), tuple(sorted(e.params.items())), define(e.outputs))
        for e in graph.equations
    )
    return head, body, tuple(map(use, graph.outputs))


# Printing


class _Names:
    """Short names in order of definition: a, b, ..., z, aa, ab, ..."""

    def __init__(self) -> None:
        self.names: dict[Var, str] = {}

    def __call__(self, atom: Atom) -> str:
        if isinstance(atom, Literal):
            return repr(atom)
        if atom not in self.names:
            n, name = len(self.names), ""
            while n >= 0:
                name = chr(ord("a") + n % 26) + name
                n = n // 26 - 1
            self.names[atom] = name
        return self.names[atom]

    def typed(self, v: Var) -> str:
        return f"{self(v)}:{v.aval}"


def _print(graph: Graph, indent: str, with_source: bool) -> list[str]:
    names = _Names()
    constants = f"[{' '.join(names.typed(v) for v, _ in graph.constants)}] " if graph.constants else ""
    lines = [f"{indent}graph {constants}({' '.join(map(names.typed, graph.inputs))}) {{"]
    for e in graph.equations:
        plain = {k: v for k, v in sorted(e.params.items()) if not list(subgraphs({k: v}))}
        params = f"[{' '.join(f'{k}={_param(v)}' for k, v in plain.items())}]" if plain else ""
        results = f"{' '.join(map(names.typed, e.outputs))} = " if e.outputs else ""
        line = f"{indent}  {results}{e.primitive.name}{params} {' '.join(map(names, e.inputs))}"
        lines.append(f"{line}  # {e.source}" if with_source and e.source else line)
        for sub in subgraphs(e.params):
            lines += _print(sub, indent + "    ", with_source)
    return [*lines, f"{indent}  return {' '.join(map(names, graph.outputs))}", f"{indent}}}"]


def _param(value: Any) -> str:
    if isinstance(value, np.dtype):
        return str(value.name)
    if isinstance(value, tuple):
        return f"({','.join(map(_param, value))})"
    return str(value)


# Checking


def _check(graph: Graph) -> None:
    defined: set[Var] = set()

    def define(v: Var, what: str) -> None:
        if v in defined:
            raise GraphError(f"graph check: {what} is defined twice")
        defined.add(v)

    def use(atom: Atom, what: str) -> None:
        if isinstance(atom, Var) and atom not in defined:
            raise GraphError(f"graph check: {what} is not defined ({atom.aval})")

    for i, v in enumerate([v for v, _ in graph.constants] + list(graph.inputs)):
        define(v, f"input {i}")
    for i, e in enumerate(graph.equations):
        for j, atom in enumerate(e.inputs):
            use(atom, f"operand {j} of equation {i} ({e.primitive.name})")
        for sub in subgraphs(e.params):
            if sub.constants:
                raise GraphError(f"graph check: the sub-graph of equation {i} ({e.primitive.name}) has constants")
            _check(sub)
        inferred = e.primitive.infer([a.aval for a in e.inputs], e.params)
        if inferred != [v.aval for v in e.outputs]:
            raise GraphError(
                f"graph check: equation {i} ({e.primitive.name}) has types {[v.aval for v in e.outputs]}, "
                f"its rule says {inferred}"
            )
        for j, v in enumerate(e.outputs):
            define(v, f"result {j} of equation {i}")
    for i, atom in enumerate(graph.outputs):
        use(atom, f"output {i}")


# Evaluation


def use_counts(graph: Graph) -> Counter[Var]:
    """How often each variable is an operand or a result."""
    counts = Counter(a for e in graph.equations for a in e.inputs if isinstance(a, Var))
    counts.update(a for a in graph.outputs if isinstance(a, Var))
    return counts


def last_uses(graph: Graph) -> list[list[Var]]:
    """For each equation, the variables that nothing reads after it."""
    kept = {a for a in graph.outputs if isinstance(a, Var)}
    dying: list[list[Var]] = []
    for e in reversed(graph.equations):
        candidates = [v for v in (*e.inputs, *e.outputs) if isinstance(v, Var)]
        fresh = [v for v in dict.fromkeys(candidates) if v not in kept]
        kept.update(fresh)
        dying.append(fresh)
    return dying[::-1]


def evaluate(
    graph: Graph,
    args: Sequence[Any],
    apply: Callable[[Equation, list[Any]], Sequence[Any]],
    literal: Callable[[Literal], Any],
) -> list[Any]:
    """Run a graph with `apply(equation, operands) -> results`, dropping each value after its last use."""
    if len(args) != len(graph.inputs):
        raise GraphError(f"evaluate: the graph has {len(graph.inputs)} inputs, got {len(args)}")
    env: dict[Var, Any] = dict(graph.constants)
    env.update(zip(graph.inputs, args, strict=True))

    def read(atom: Atom) -> Any:
        return literal(atom) if isinstance(atom, Literal) else env[atom]

    if "last_uses" not in graph.memo:
        graph.memo["last_uses"] = last_uses(graph)
    for e, dying in zip(graph.equations, graph.memo["last_uses"], strict=True):
        env.update(zip(e.outputs, apply(e, [read(a) for a in e.inputs]), strict=True))
        for v in dying:
            env.pop(v, None)
    return [read(a) for a in graph.outputs]


def bind_graph(graph: Graph, args: Sequence[Any]) -> list[Any]:
    """Run a graph by binding each equation under the current trace: how every transform sees one."""
    return evaluate(graph, args, lambda e, operands: e.primitive.bind_list(operands, e.params), lambda lit: lit)


def interpret(graph: Graph, args: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Run a graph on NumPy arrays with the reference implementations: the oracle."""
    return evaluate(
        graph, args, lambda e, operands: e.primitive.reference(operands, e.params), lambda lit: np.asarray(lit.value)
    )
