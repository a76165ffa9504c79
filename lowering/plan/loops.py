"""How the loops of a stage are run: written out where small matrices stay in registers, folds side by side where rows
lie across memory, columns some elements at a time. No bit follows from it.
"""

from __future__ import annotations

import dataclasses

from fdl.core import dtypes
from fdl.lowering.ir.expr import walk
from fdl.lowering.ir.index import Kind
from fdl.lowering.ir.nodes import Fused, Map, Node, Reduce, Routine
from fdl.lowering.ir.planned import Arena
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import of_kind, refined
from fdl.lowering.target import Target
from fdl.passes.size import surely


def unroll(program: Program, target: Target) -> Program:
    """Loops of few steps over arrays on the stack are written out.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.plan.memory import allocate
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> program = build(make_graph(lambda x: jnp.cumsum(x)[::-1])(jnp.ones(4)))
    >>> print(unroll(allocate(program, AVX2), AVX2))
    program (in0:float32[4]) -> (out2:float32[4])
      alloc temp1:float32[4] in thread
      routine (i: 1 unrolled) cumsum(4, 1, 0): [temp1] from [in0]
      map (i: 4 unrolled)
        out2[i] = temp1[-1*i + 3]
    """
    private = Arena.of(program.nodes).private

    def written_out(n: Node) -> Node:
        if not isinstance(n, (Map, Routine)) or private.isdisjoint([*n.reads(), *n.writes()]):
            return n
        small = surely(lambda: n.work() <= target.unrolled)
        return of_kind(n, n.space, Kind.UNROLLED, program.exprs) if small else n

    return dataclasses.replace(program, nodes=refined(program.nodes, written_out)) if private else program


def arrange_folds(program: Program, target: Target) -> Program:
    """Rows whose neighbours in memory are other rows are folded side by side; columns, some elements at a time where an
    element takes few operations.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> print(arrange_folds(build(make_graph(lambda x: jnp.sum(x, axis=0))(jnp.ones((9, 50)))), AVX2))
    program (in0:float32[450]) -> (out1:float32[50])
      reduce (i: 50) over (j: 9) 4 at once: out1[i] = add of in0[i + 50*j]
    >>> turned = make_graph(lambda x: jnp.sum(jnp.transpose(x, (0, 2, 1)), axis=2))(jnp.ones((3, 9, 50)))
    >>> print(arrange_folds(build(turned), AVX2))
    program (in0:float32[1350]) -> (out1:float32[150])
      reduce (i: 3, j: 50 in lanes) over (k: 9): out1[50*i + j] = add of in0[450*i + j + 50*k]
    """

    def arranged(n: Node) -> Node:
        if isinstance(n, Fused):
            return n.with_bodies([[arranged(m) for m in n.body]])
        if not isinstance(n, Reduce):
            return n
        if n.rows:
            lanes = bool(n.space) and lie_side_by_side(n, target)
            return of_kind(n, n.space[-1:], Kind.LANES, program.exprs) if lanes else n
        short = surely(lambda: n.over[-1].size < target.columns_at_once)
        brief = len(walk([n.value])) < target.brief and not short
        return dataclasses.replace(n, at_once=target.columns_at_once if brief else 1)

    return dataclasses.replace(program, nodes=refined(program.nodes, arranged))


def lie_side_by_side(n: Reduce, target: Target) -> bool:
    """Whether rows, and not the elements of a row, are neighbours in memory, in a fold of floats."""
    row, element = n.space[-1], n.over[-1]
    indices = [e.attr[1] for e in walk([n.value]) if e.op == "load"]
    return (
        n.value.dtype in (dtypes.float32, dtypes.float64)
        and not surely(lambda: row.size < target.side_by_side)
        and any(i.coefficient(row) == 1 for i in indices)
        and not any(i.coefficient(element) == 1 for i in indices)
    )
