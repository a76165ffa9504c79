"""Algebra that changes no bit, constant folding of scalars, and common subexpressions.

Only identities that hold for every operand, NaN, infinities and signed zeros included: `x * 1`, `x / 1`, conversions to
the same dtype, views that change nothing, views of views, double negation. Not `x + 0`, which turns -0 into 0, and not
`x * 0`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.graph import Atom, Equation, Graph, Literal, Var
from fdl.ops.axes import broadcast_p, convert_p, transpose_p
from fdl.ops.elementwise import integer_pow_p, select_p
from fdl.ops.shape import reshape_p
from fdl.passes.match import BARRIER, DIV, EXACT, MUL, NEG, STOP_GRADIENT, in_subgraphs, reading


def simplify(graph: Graph) -> Graph:
    """One sweep: each equation is replaced by something simpler, by an equal one before it, or stays.

    >>> from fdl.transforms import make_graph
    >>> graph = make_graph(lambda x: (x * 1 + x * 2) + x * 2)(1.0)
    >>> print(graph)
    graph (a:float32*[]) {
      b:float32*[] = mul a 1.0:float32*
      c:float32*[] = mul a 2.0:float32*
      d:float32*[] = add b c
      e:float32*[] = mul a 2.0:float32*
      f:float32*[] = add d e
      return f
    }
    >>> print(simplify(graph))
    graph (a:float32*[]) {
      b:float32*[] = mul a 2.0:float32*
      c:float32*[] = add a b
      d:float32*[] = add c b
      return d
    }
    """
    env: dict[Atom, Atom] = {}
    made: dict[Atom, Equation] = {}
    known: dict[Any, tuple[Var, ...]] = {}
    out: list[Equation] = []
    for e in graph.equations:
        e = in_subgraphs(reading(e, env), simplify)
        simpler = _simpler(e, made)
        if simpler is not None and simpler.aval == e.outputs[0].aval:
            env[e.outputs[0]] = simpler
            continue
        e = _view_of_view(e, made)
        key = _identity(e)
        if key in known:
            env.update(zip(e.outputs, known[key], strict=True))
            continue
        if key is not None:
            known[key] = e.outputs
        made.update(dict.fromkeys(e.outputs, e))
        out.append(e)
    return Graph(graph.inputs, tuple(out), tuple(env.get(a, a) for a in graph.outputs), graph.constants)


def _identity(e: Equation) -> Any:
    """Equal for equations that compute the same; None for what must not be merged."""
    if e.effects or e.primitive is BARRIER:
        return None
    inputs = tuple(a.key() if isinstance(a, Literal) else a for a in e.inputs)
    return e.primitive, inputs, tuple(sorted(e.params.items(), key=lambda item: item[0]))


def _simpler(e: Equation, made: dict[Atom, Equation]) -> Atom | None:
    """An operand or a literal that equals the only result."""
    primitive, inputs = e.primitive, e.inputs
    if primitive is STOP_GRADIENT:
        return inputs[0]
    if primitive in EXACT and not e.outputs[0].aval.shape and all(isinstance(a, Literal) for a in inputs):
        return _folded(e)
    if primitive in (reshape_p, convert_p, broadcast_p) and inputs[0].aval == e.outputs[0].aval:
        return inputs[0]
    if primitive in (MUL, DIV) and _is_one(inputs[1]):
        return inputs[0]
    if primitive is MUL and _is_one(inputs[0]):
        return inputs[1]
    if primitive is integer_pow_p and e.params["exponent"] == 1:
        return inputs[0]
    if primitive is NEG and (before := made.get(inputs[0])) and before.primitive is NEG:
        return before.inputs[0]
    if primitive is select_p and inputs[1] is inputs[2]:
        return inputs[1]
    return None


def _is_one(a: Atom) -> bool:
    return isinstance(a, Literal) and bool(a.value == 1)


def _folded(e: Equation) -> Literal:
    """The value of an operation on literals, by the reference, which rounds it as everyone does."""
    aval = e.outputs[0].aval
    (value,) = e.primitive.reference([a.value for a in e.inputs], e.params)  # type: ignore[union-attr]
    if aval.dtype in (dtypes.float32, dtypes.float64) and abs(value) < np.finfo(aval.dtype).tiny:
        value = value * 0  # a compiled call flushes denormals
    return Literal(value, aval.dtype, aval.weak_type)


def _view_of_view(e: Equation, made: dict[Atom, Equation]) -> Equation:
    """Two transposes or two reshapes in a row are one; a conversion back from a wider dtype undoes itself."""
    before = made.get(e.inputs[0]) if e.inputs else None
    if before is None:
        return e
    if e.primitive is before.primitive is transpose_p:
        first, second = before.params["permutation"], e.params["permutation"]
        return e.replace(inputs=before.inputs, params={"permutation": tuple(first[i] for i in second)})
    if e.primitive is before.primitive is reshape_p:
        return e.replace(inputs=before.inputs)
    if e.primitive is before.primitive is convert_p and _widens(before):
        return e.replace(inputs=before.inputs)
    return e


def _widens(e: Equation) -> bool:
    """Whether a conversion loses nothing."""
    source, target = e.inputs[0].aval.dtype, e.outputs[0].aval.dtype
    wide = (dtypes.float32, dtypes.float64)
    return (source in dtypes.NARROW_FLOATS and target in wide) or (source, target) == wide
