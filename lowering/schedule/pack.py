"""Operands of products that a loop does not change are packed once, before it.

A recurrent layer multiplies by the same weights at every step. As panels, [columns / P][k][P], the runtime library
reads them in place; where vectors are longer or shorter than it thinks, they are a matrix like any other.
"""

from __future__ import annotations

import dataclasses

from fdl.lowering.ir.expr import Buffer, Interner
from fdl.lowering.ir.index import Index, iteration, trips
from fdl.lowering.ir.nodes import Dot, Loop, Map, Node, Operand, Store
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import mapped, over_parts
from fdl.lowering.target import Target


def pack_constants(program: Program, target: Target) -> Program:
    """Loops whose products read constant matrices as panels.

    >>> import fdl.numpy as jnp
    >>> from fdl import lax
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> def recurrent(w, xs):
    ...     return lax.scan(lambda h, x: (h @ w + x, None), xs[0], xs)[0]
    >>> program = build(make_graph(recurrent)(jnp.ones((64, 64)), jnp.ones((9, 4, 64))))
    >>> print(program)
    program (in0:float32[4096] in1:float32[2304]) -> (out2:float32[256])
      map (i: 4, j: 64)
        out2[64*i + j] = in1[64*i + j]
      loop (t: 9), carry [(temp4, out2)]
        dot () rows (i: 4) columns (j: 64) over (k: 64)
          temp3[64*i + j] = out2[64*i + k] @ in0[j + 64*k]
        map (i: 4, j: 64)
          temp4[64*i + j] = add:float32(temp3[64*i + j], in1[64*i + j + 256*t])
        --
    >>> print(pack_constants(program, AVX2))
    program (in0:float32[4096] in1:float32[2304]) -> (out2:float32[256])
      map (i: 4, j: 64)
        out2[64*i + j] = in1[64*i + j]
      map (i: 4, j: 64, k: 16)
        temp5[1024*i + 16*j + k] = in0[16*i + 64*j + k]
      loop (t: 9), carry [(temp4, out2)]
        dot () rows (i: 4) columns (j0: 4, j1: 16) over (k: 64)
          temp3[64*i + 16*j0 + j1] = out2[64*i + k] @ temp5[1024*j0 + j1 + 16*k]
        map (i: 4, j: 64)
          temp4[64*i + j] = add:float32(temp3[64*i + j], in1[64*i + j + 256*t])
        --
    """
    buffers = list(program.buffers)

    def rewrite(nodes: list[Node]) -> list[Node]:
        out: list[Node] = []
        for n in nodes:
            if isinstance(n, Loop) and (n.axis is None or n.axis.size >= target.pack_steps):
                changed = set(n.writes())
                packed: dict[tuple[Buffer, object], Buffer] = {}
                body = [_with_panels(m, changed, packed, out, buffers, program.exprs, target) for m in n.body]
                n = dataclasses.replace(n, body=body) if packed else n
            out.append(n)
        return out

    nodes = mapped(program.nodes, rewrite)
    return dataclasses.replace(program, nodes=nodes, buffers=buffers)


def in_panels(n: Dot, buffer: Buffer, start: Index) -> Dot:
    """The product whose columns go by panels, of the last of its loops over columns, and whose right operand lies as
    [columns / panel][terms][panel] from a place on.
    """
    *panels, lane = n.cols
    place = start + iteration(panels) * (n.k * lane.size) + iteration(n.over) * lane.size + lane.index
    return dataclasses.replace(n, rhs=Operand(buffer, place))


def _with_panels(
    n: Node,
    changed: set[Buffer],
    packed: dict[tuple[Buffer, object], Buffer],
    before: list[Node],
    buffers: list[Buffer],
    exprs: Interner,
    target: Target,
) -> Node:
    if not isinstance(n, Dot) or n.rhs.buffer.dtype != n.dtype or n.rhs.buffer in changed:
        return n
    downs, acrosses = n.digits(n.rhs)
    start, is_plain = n.outside(n.rhs), len(n.cols) == 1 and len(downs) == 1
    if n.n * n.k < target.pack_least or not is_plain or start.without(n.space).terms:
        return n
    panel = target.panel_bytes // n.dtype.itemsize
    ((_, down),), ((_, across),) = downs, acrosses
    if n.n % panel and n.m <= target.few_rows and across != 1:
        panel = n.n  # rows to stream, one after another
    if n.n % panel:
        return n
    key = n.rhs.buffer, (n.space, start, down, across, panel)
    if key not in packed:
        packed[key] = Buffer(len(buffers), n.dtype, trips(n.space) * n.n * n.k, "temp")
        buffers.append(packed[key])
        j, p, l = blocks = exprs.axes([*(v.size for v in n.space), n.n // panel, n.k, panel])[len(n.space) :]
        place, space = start + p.index * down + (j.index * panel + l.index) * across, (*n.space, *blocks)
        value = exprs.make("load", (), n.dtype, (n.rhs.buffer, place))
        before.append(Map(space, [Store(packed[key], iteration(space), value)], sources=list(n.sources)))
    parted = over_parts(n, n.cols[0], [n.n // panel, panel] if panel != n.n else [panel], exprs)
    return in_panels(parted, packed[key], iteration(n.space) * (n.n * n.k))
