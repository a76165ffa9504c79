"""Programs of one equation each, shared by all graphs of the process: for all sizes where the operation can be lowered
so, for the sizes at hand where it cannot.

What they are found by is the operation, its params but for sizes, and the types of its operands; of elementwise ones
shapes are forgotten, since an array of any shape is a row. Those that are missing are compiled together, in one start
of the compiler.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fdl.backends import cache
from fdl.backends.c import Plan, make_plan
from fdl.backends.family import Call, Family, Member, build
from fdl.backends.toolchain import Compiler
from fdl.core.avals import Shape, ShapedArray, shaped
from fdl.core.changes import Derived
from fdl.core.errors import CompileError
from fdl.core.graph import Equation, Graph, Var
from fdl.core.primitive import RULES
from fdl.lowering.ir.spellings import C
from fdl.ops.axes import convert_p
from fdl.ops.elementwise import integer_pow_p
from fdl.ops.shape import slice_p

_MOST = 4096  # calls that are remembered, and operations
_ROW = 7  # elements of the row that elementwise programs are recorded with

_FAMILIES: Derived[Any, Family | None] = Derived()  # by operation; None where it is not lowered for all sizes
_CALLS: Derived[Any, Call] = Derived()  # by operation and sizes
_LOCK = threading.RLock()  # a signal handler may compute while its own thread holds it


class Static:
    """A program of one equation for the sizes that it was compiled for."""

    function = "fdl_program"

    def __init__(self, graph: Graph, compiler: Compiler) -> None:
        self.plan: Plan = make_plan(graph, compiler, ())
        self.library, self.products = self.plan.library, self.plan.products


def calls_of(equations: Sequence[Equation], compiler: Compiler) -> list[Call]:
    """What is needed to call a program for each of these, all of which are compiled when this returns."""
    with _LOCK:
        for table in (_FAMILIES, _CALLS):
            if len(table.current()) > _MOST:
                table.clear()
        folder = cache.folder("programs")
        calls = [_call_of(_alone(e), compiler, folder) for e in equations]
    build([c.program for c in calls if isinstance(c.program, Member)], compiler)
    return calls


def _alone(e: Equation) -> Graph:
    """The graph of an equation by itself, whose operands are all inputs; elementwise ones work on rows.

    >>> import fdl.numpy as jnp
    >>> from fdl.transforms import make_graph
    >>> print(_alone(make_graph(lambda x: x * 2)(jnp.ones((3, 5))).equations[0]))
    graph (a:float32[15] b:float32[]) {
      c:float32[15] = mul a b
      return c
    }
    """
    if e.primitive is slice_p:
        return _merged_slice(e)
    shapes = _rows(e, None) or [a.aval.shape for a in e.inputs]
    return _graph_of(e, [shaped(s, a.aval.dtype) for s, a in zip(shapes, e.inputs, strict=True)])


def _merged_slice(e: Equation) -> Graph:
    """A slice of an array in which axes that are taken whole are one with the axis before, which is as far as memory
    goes the same.

    >>> import fdl.numpy as jnp
    >>> from fdl.transforms import make_graph
    >>> print(_merged_slice(make_graph(lambda x: x[:, :, 2:4])(jnp.ones((2, 3, 5, 7))).equations[0]))
    graph (a:float32[6,35]) {
      b:float32[6,14] = slice[limit=(6,28) start=(0,14) strides=(1,1)] a
      return b
    }
    """
    axes: list[tuple[int, int, int, int]] = []  # size, start, limit, stride
    shape, (start, limit, strides) = e.inputs[0].aval.shape, (e.params[k] for k in ("start", "limit", "strides"))
    for d, low, high, stride in zip(shape, start, limit, strides, strict=True):
        if axes and (low, high, stride) == (0, d, 1) and axes[-1][3] == 1:
            axes[-1] = axes[-1][0] * d, axes[-1][1] * d, axes[-1][2] * d, 1
        else:
            axes.append((d, low, high, stride))
    sizes, start, limit, strides = zip(*axes, strict=True) if axes else ((), (), (), ())
    params = {**e.params, "start": start, "limit": limit, "strides": strides}
    return _graph_of(e.replace(params=params), [shaped(sizes, e.inputs[0].aval.dtype)])


def _graph_of(e: Equation, avals: Sequence[ShapedArray]) -> Graph:
    inputs = tuple(map(Var, avals))
    outputs = tuple(map(Var, e.primitive.infer(avals, e.params)))
    return Graph(inputs, (e.replace(inputs=inputs, outputs=outputs, source=None),), outputs)


def _rows(e: Equation, length: int | None) -> list[Shape] | None:
    """Shapes of the operands of an elementwise operation as rows, of some length or of their own; numbers beside arrays
    stay numbers. None for other operations.
    """
    if e.primitive not in (convert_p, integer_pow_p) and not _is_spelled(e):
        return None
    (out,) = e.outputs
    if any(a.aval.shape not in (out.aval.shape, ()) for a in e.inputs):
        return None
    return [(out.aval.size if length is None else length,) if a.aval.shape == out.aval.shape else () for a in e.inputs]


def _is_spelled(e: Equation) -> bool:
    """Whether an operation is one of scalars, which languages have a spelling for."""
    name = e.primitive.name
    return bool(e.inputs) and any(row in C for row in (name, f"{name}:float", f"{name}:int", f"{name}:bool"))


def _call_of(graph: Graph, compiler: Compiler, folder: Path) -> Call:
    """What a graph of one equation needs; its program lies in a folder of the cache, which may change."""
    (e,) = graph.equations
    sizes = RULES["sizes"].get(e.primitive, ())
    fixed = tuple([(k, v) for k, v in sorted(e.params.items()) if k not in sizes])
    told = tuple([e.params[name] for name in sizes])
    key = e.primitive, fixed, tuple([(a.dtype, a.ndim) for a in graph.in_avals]), _structure(told), compiler, folder
    at_hand = key, tuple([a.shape for a in graph.in_avals]), told
    call = _CALLS.get(at_hand)
    if call is None:
        call = _CALLS[at_hand] = _general_call(key, graph, compiler) or _static_call(graph, compiler)
    return call


def _structure(param: Any) -> Any:
    """A param without its numbers."""
    return tuple(map(_structure, param)) if isinstance(param, tuple) else type(param)


def _general_call(key: Any, graph: Graph, compiler: Compiler) -> Call | None:
    """The call of a program for all sizes; None where there is none."""
    shapes = [a.shape for a in graph.in_avals]
    family = _FAMILIES.get(key)
    try:
        if key not in _FAMILIES:
            family = Family(_example(graph), compiler)
        call = family.call_for(shapes, [()] * len(shapes), (False,) * len(shapes), graph) if family else None
    except (CompileError, TypeError):  # what has to be a number is none
        call = None
    _FAMILIES[key] = family if family is not None and family.programs else None
    return call


def _example(graph: Graph) -> Graph:
    """The graph at sizes that are nothing special, where it may have any."""
    (e,) = graph.equations
    rows = _rows(e, _ROW)
    return graph if rows is None else _graph_of(e, [a.update(shape=s) for a, s in zip(graph.in_avals, rows)])


def _static_call(graph: Graph, compiler: Compiler) -> Call:
    program = Static(graph, compiler)
    plan = program.plan
    return Call(program, (), plan.arena, plan.own, plan.parallel, tuple(graph.out_avals))
