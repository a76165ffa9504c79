"""Graphs as data: plain JSON, in which a graph of one revision is read by all later ones.

A graph is `{"inputs": [type], "equations": [[primitive, params, operands, [type]]], "outputs": [operand]}`. A type is
what it prints as, `float32*[3,4]`, where `*` says that it is weak. An operand is the number of a value, inputs first
and then results in order, or a literal, `float32*:0000803f`, with its bytes in hexadecimal. Of params, tuples are
lists, and what JSON lacks is an object with one key, which says what it is.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import fdl.numpy
import fdl.transforms  # noqa: F401  the primitives of control flow
from fdl.core import dtypes
from fdl.core.avals import ShapedArray, shaped
from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.core.primitive import REGISTRY
from fdl.ops.checks import Failure

HERE = Path(__file__).resolve().parent

# What all checks of the corpus raise: messages are no part of what is compiled.
FAILURE = Failure(ValueError, "a check failed", "a check failed")


class NotData(Exception):
    """A graph holds what only a running Python knows, such as a function."""


@dataclasses.dataclass(frozen=True)
class Record:
    """A graph with its name and the positions of the inputs whose memory its results may take."""

    name: str
    graph: Graph
    donated: tuple[int, ...] = ()

    @classmethod
    def of(cls, name: str, raw: Mapping[str, Any]) -> Record:
        """What `raw_corpus` has under a name."""
        return cls(name, from_data(raw["graph"]), tuple(raw["donated"]))


def to_data(graph: Graph) -> dict[str, Any]:
    """A graph without constants as data; raises NotData for a param that cannot be.

    >>> import fdl
    >>> to_data(fdl.make_graph(lambda x: x * 0.5)(np.float32(2)))
    {'inputs': ['float32[]'], 'equations': [['mul', {}, [0, 'float32:0000003f'], ['float32[]']]], 'outputs': [1]}
    """
    if graph.constants:
        raise NotData("constants; lift them")
    number = {v: i for i, v in enumerate(graph.inputs)}
    equations: list[Any] = []

    def operand(a: Atom) -> int | str:
        return number[a] if isinstance(a, Var) else _literal(a)

    for e in graph.equations:
        operands = [operand(a) for a in e.inputs]
        params = {k: _param(v, f"{e.primitive.name}.{k}") for k, v in e.params.items()}
        for v in e.outputs:
            number[v] = len(number)
        equations.append([e.primitive.name, params, operands, [str(v.aval) for v in e.outputs]])
    outputs = [operand(a) for a in graph.outputs]
    return {"inputs": [str(v.aval) for v in graph.inputs], "equations": equations, "outputs": outputs}


def from_data(data: Mapping[str, Any]) -> Graph:
    """The graph that `to_data` wrote.

    >>> print(from_data({"inputs": ["int32[2]"], "equations": [["neg", {}, [0], ["int32[2]"]]], "outputs": [1]}))
    graph (a:int32[2]) {
      b:int32[2] = neg a
      return b
    }
    """
    values = [Var(_type(text)) for text in data["inputs"]]
    inputs, equations = tuple(values), []

    def operand(a: int | str) -> Atom:
        return values[a] if isinstance(a, int) else _read_literal(a)

    for name, params, operands, types in data["equations"]:
        primitive, read = REGISTRY[name], {k: _read_param(v) for k, v in params.items()}
        outputs = tuple(Var(_type(text)) for text in types)
        atoms = tuple(map(operand, operands))
        equations.append(Equation(primitive, atoms, read, outputs, primitive.effects(read)))
        values += outputs
    return Graph(inputs, tuple(equations), tuple(map(operand, data["outputs"])))


def _literal(a: Literal) -> str:
    return f"{a.aval.dtype.name}{'*' if a.aval.weak_type else ''}:{a.value.tobytes().hex()}"


def _read_literal(text: str) -> Literal:
    name, _, digits = text.partition(":")
    dtype = dtypes.canonical(name.rstrip("*"))
    return Literal(np.frombuffer(bytes.fromhex(digits), dtype)[0], dtype, name.endswith("*"))


def _type(text: str) -> ShapedArray:
    name, _, sizes = text.rstrip("]").partition("[")
    shape = tuple(int(d) for d in sizes.split(",") if d)
    return shaped(shape, dtypes.canonical(name.rstrip("*")), name.endswith("*"))


_KINDS: list[tuple[str, type, Callable[[Any], Any], Callable[[Any], Any]]] = [
    ("float", float, float.hex, float.fromhex),
    ("dtype", np.dtype, lambda v: v.name, dtypes.canonical),
    ("type", ShapedArray, str, _type),
    ("graph", Graph, to_data, from_data),
    ("failure", Failure, lambda v: None, lambda _: FAILURE),
]


def _param(value: Any, where: str) -> Any:
    for kind, cls, write, _ in _KINDS:
        if isinstance(value, cls):
            return {kind: write(value)}
    if type(value) is tuple:
        return [_param(v, where) for v in value]
    if isinstance(value, np.integer):
        return int(value)
    if value is None or type(value) in (bool, int, str):
        return value
    raise NotData(f"{where} is of {type(value).__name__}")


def _read_param(data: Any) -> Any:
    if isinstance(data, list):
        return tuple(map(_read_param, data))
    if isinstance(data, dict):
        ((name, value),) = data.items()
        return next(read for kind, _, _, read in _KINDS if kind == name)(value)
    return data


def write(path: Path, records: Iterable[Record]) -> None:
    """Write records into a file of compressed lines, the same bytes for the same records."""
    lines = [
        json.dumps({"name": r.name, "donated": list(r.donated), "graph": to_data(r.graph)}, separators=(",", ":"))
        for r in sorted(records, key=lambda r: r.name)
    ]
    path.write_bytes(lzma.compress("".join(f"{line}\n" for line in lines).encode(), preset=9))


def raw_corpus(folder: Path = HERE) -> dict[str, Any]:
    """What the corpus holds, by name, graphs as data."""
    lines = [
        line for path in sorted(folder.glob("*.json.xz")) for line in lzma.decompress(path.read_bytes()).splitlines()
    ]
    return {raw["name"]: raw for raw in map(json.loads, lines)}


def corpus(folder: Path = HERE) -> list[Record]:
    """All records, in order of files and names."""
    return [Record.of(name, raw) for name, raw in raw_corpus(folder).items()]


def inputs_of(graph: Graph, seed: int) -> list[np.ndarray[Any, Any]]:
    """Values for the inputs.

    Floats, and parts of complex numbers, are from -1.5 to 1.5 with an even seed. With an odd one they are from 0.25 to
    1.75, and square matrices are symmetric and positive definite. Whole numbers are from 0 to 3, which are places in
    most arrays.
    """
    rng = np.random.default_rng(seed)
    return [_positive(a, rng) if seed % 2 else _value(a, rng, -1.5, 1.5) for a in graph.in_avals]


def _value(aval: ShapedArray, rng: np.random.Generator, low: float, high: float) -> np.ndarray[Any, Any]:
    if dtypes.is_float(aval.dtype):
        return rng.uniform(low, high, aval.shape).astype(aval.dtype)
    if dtypes.is_complex(aval.dtype):
        return (rng.uniform(low, high, aval.shape) + 1j * rng.uniform(low, high, aval.shape)).astype(aval.dtype)
    return rng.integers(0, 2 if aval.dtype == dtypes.bool_ else 4, aval.shape).astype(aval.dtype)


def _positive(aval: ShapedArray, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    x = _value(aval, rng, 0.25, 1.75)
    if not dtypes.is_float(aval.dtype) or aval.ndim < 2 or aval.shape[-1] != aval.shape[-2]:
        return x
    return (x + np.swapaxes(x, -1, -2)) / 2 + np.eye(aval.shape[-1], dtype=x.dtype) * aval.shape[-1]
