"""Complex numbers become pairs of real ones, so that no later step knows of them.

In memory they lie interleaved, as NumPy has them: inputs, results, and what loops and branches hand on become float
arrays with a last axis of size 2. Between these, real and imaginary parts are values of their own, which fuse and stay
in registers like any others; what an operation is on them says its `parts` rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fdl.core import dtypes
from fdl.core.avals import ShapedArray, shaped
from fdl.core.graph import Atom, Equation, Graph, Literal, Var, subgraphs
from fdl.core.primitive import Primitive
from fdl.core.trace import Trace, Tracer, aval_of, set_trace
from fdl.ops.axes import match
from fdl.ops.interleaved import apart, together
from fdl.ops.parts import Parts
from fdl.ops.promotion import as_operand
from fdl.passes.match import in_subgraphs


def split_complex(graph: Graph) -> Graph:
    """The graph on real numbers alone: the same inputs and outputs, complex ones as floats with a last axis of size 2.

    >>> from fdl import ops
    >>> from fdl.transforms import make_graph
    >>> graph = make_graph(lambda z: ops.conj(z))(ShapedArray((3,), "complex64"))
    >>> print(graph)
    graph (a:complex64[3]) {
      b:complex64[3] = conj a
      return b
    }
    >>> print(split_complex(graph))
    graph (a:float32[3,2]) {
      b:float32[3,1] = slice[limit=(3,1) start=(0,0) strides=(1,1)] a
      c:float32[3] = reshape[shape=(3)] b
      d:float32[3,1] = slice[limit=(3,2) start=(0,1) strides=(1,1)] a
      e:float32[3] = reshape[shape=(3)] d
      f:float32[3] = neg e
      g:float32[3,1] = broadcast[axes=(0) shape=(3,1)] c
      h:float32[3,1] = broadcast[axes=(0) shape=(3,1)] f
      i:float32[3,2] = concatenate[axis=1] g h
      return i
    }
    """
    if not _has_complex(graph):
        return graph
    trace = _Rewriting()
    with set_trace(trace):
        inputs = tuple(Var(interleaved(v.aval)) for v in graph.inputs)
        env: dict[Var, Any] = {}
        for v, new in zip(graph.inputs, inputs, strict=True):
            env[v] = _seen(_Value(trace, new), v.aval)
        for e in graph.equations:
            trace.line = e.source
            env.update(zip(e.outputs, _rewritten(e, [_read(a, env) for a in e.inputs]), strict=True))
        outputs = tuple(trace.atom(_stored(_read(a, env))) for a in graph.outputs)
    return Graph(inputs, tuple(trace.equations), outputs)


def interleaved(aval: ShapedArray) -> ShapedArray:
    """How a program sees what has this type: complex numbers as pairs of floats along a last axis."""
    if not dtypes.is_complex(aval.dtype):
        return aval
    return shaped((*aval.shape, 2), dtypes.real_dtype(aval.dtype))


def _has_complex(graph: Graph) -> bool:
    """Whether a value of the graph, or of one in it, is complex."""
    if "complex" not in graph.memo:
        graph.memo["complex"] = any(map(_is_complex, (*graph.inputs, *graph.outputs))) or any(
            any(map(_is_complex, (*e.inputs, *e.outputs))) or any(map(_has_complex, subgraphs(e.params)))
            for e in graph.equations
        )
    found: bool = graph.memo["complex"]
    return found


def _is_complex(atom: Atom) -> bool:
    return dtypes.is_complex(atom.aval.dtype)


class _Value(Tracer):
    """A value of the new graph."""

    __slots__ = ("value",)

    def __init__(self, trace: Trace, value: Atom) -> None:
        super().__init__(trace)
        self.value = value

    @property
    def aval(self) -> ShapedArray:
        return self.value.aval


class _Rewriting(Trace):
    """Collects the equations of the new graph."""

    records = True

    def __init__(self) -> None:
        super().__init__("~split", None)
        self.equations: list[Equation] = []
        self.line: Any = None

    def atom(self, x: Any) -> Atom:
        """The variable or the number that stands for a value."""
        if isinstance(x, _Value):
            return x.value
        number = as_operand(x)
        assert isinstance(number, Literal), f"a parts rule made {x!r}: constants are numbers, or filled with one"
        return number

    def process(self, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Sequence[Any]:
        inputs = tuple(map(self.atom, operands))
        outputs = tuple(Var(aval) for aval in primitive.infer([a.aval for a in inputs], params))
        self.equations.append(Equation(primitive, inputs, params, outputs, primitive.effects(params), self.line))
        return [_Value(self, v) for v in outputs]


def _read(a: Atom, env: Mapping[Var, Any]) -> Any:
    if isinstance(a, Var):
        return env[a]
    if not _is_complex(a):
        return a
    dtype = dtypes.real_dtype(a.aval.dtype)
    return Parts(Literal(a.value.real, dtype), Literal(a.value.imag, dtype))


def _seen(x: Any, aval: ShapedArray) -> Any:
    """A value as rules take it, from one as memory has it."""
    return apart(x) if dtypes.is_complex(aval.dtype) else x


def _stored(x: Any) -> Any:
    """A value as memory has it, from one as rules take it."""
    return together(x) if isinstance(x, Parts) else x


def _rewritten(e: Equation, operands: Sequence[Any]) -> list[Any]:
    """The results of an equation for these operands."""
    avals = [v.aval for v in e.outputs]
    if any(map(_has_complex, subgraphs(e.params))):
        outs = e.primitive.bind_list([_stored(x) for x in operands], in_subgraphs(e, split_complex).params)
        return [_seen(out, aval) for out, aval in zip(outs, avals, strict=True)]
    if any(map(_is_complex, (*e.inputs, *e.outputs))):
        results = e.primitive.as_list(e.primitive.rule("parts")(*operands, **e.params))
    else:
        results = list(e.primitive.bind_list(operands, e.params))
    return [_fitting(out, aval) for out, aval in zip(results, avals, strict=True)]


def _fitting(x: Any, aval: ShapedArray) -> Any:
    """A result with the type that the equation gives it; the parts of a complex one are never weak."""
    if isinstance(x, Parts) and x.whole is not None:
        return x
    if isinstance(x, Parts):
        return Parts(*(match(part, shaped(aval.shape, dtypes.real_dtype(aval.dtype))) for part in x))
    return x if aval_of(x) == aval else match(x, aval)
