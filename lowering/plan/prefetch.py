"""Reading ahead: a loop that computes much for each element asks for the pages that it will reach soon.

A core looks some hundred instructions ahead. Where an element takes a hundred of them, the next page's address is not
asked for before it is needed, and each page of 4 KiB costs the whole walk through the page tables: in a virtual machine
that took three times as long as the work of a page. Prefetching one line two pages ahead starts the walk in time. Where
nothing is large enough, kernels stay as they are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Sequence

from fdl.lowering.ir.access import accesses, loops_of
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Axis, Index
from fdl.lowering.ir.nodes import Fused, Map, Node, Prefetch
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import refined
from fdl.lowering.plan.stores import streamed
from fdl.lowering.target import Target


def read_ahead(program: Program, target: Target) -> Program:
    """Say what maps and fused rows ask for before they reach it, but for results that go past the caches.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> print(read_ahead(build(make_graph(lambda x: x * 2)(jnp.ones(100_000))), AVX2))
    program (in0:float32[100000]) -> (out1:float32[100000])
      map (i: 100000) by pages of 1024
        prefetch in0[i + 2048]
        prefetch out1[i + 2048]
        out1[i] = mul:float32(in0[i], 2.0)
    """
    results = streamed(program, target)

    def asking(n: Node) -> Node:
        if isinstance(n, Map):
            page, places = along(n, target, results)
            return dataclasses.replace(n, page=page or n.page, ahead=places if page else by_rows(n, target, results))
        return dataclasses.replace(n, ahead=by_rows(n, target, results)) if isinstance(n, Fused) else n

    return dataclasses.replace(program, nodes=refined(program.nodes, asking))


def streams_of(nodes: Sequence[Node], target: Target, local: Collection[Buffer] = ()) -> list[tuple[Buffer, Index]]:
    """The places that nodes walk through, one for each buffer and way through it; none where they are few bytes or too
    many places.
    """
    found: dict[tuple[Buffer, tuple[tuple[Axis, int], ...]], Index] = {}
    for n in nodes:
        for a in accesses(n):
            if a.buffer not in local and a.is_known and all(isinstance(atom, Axis) for atom, _ in a.index.terms):
                found.setdefault((a.buffer, a.index.terms), a.index)
    large = sum(b.nbytes for b in {b for b, _ in found}) >= target.ahead_least
    places = [(b, index) for (b, _), index in found.items() if b.nbytes >= 4 * target.page]
    return places if large and len(places) <= target.ahead_streams else []


def along(n: Map, target: Target, but: Collection[Buffer] = ()) -> tuple[int, list[Prefetch]]:
    """For a map whose innermost loop crosses pages: steps of that loop in a page, and what to ask for when it begins a
    page, but for these buffers.
    """
    if not n.space:
        return 0, []
    inner = n.space[-1]
    walked = [(b, i) for b, i in streams_of([n], target, but) if i.coefficient(inner) == 1]
    if not walked:
        return 0, []
    step = target.page // max(b.dtype.itemsize for b, _ in walked)
    return (step, [Prefetch(b, i, target.ahead_pages * step) for b, i in walked]) if inner.size > step else (0, [])


def by_rows(n: Fused | Map, target: Target, but: Collection[Buffer] = ()) -> list[Prefetch]:
    """What to ask for at the start of each of some fused rows, or of the rows of a map that are shorter than a page,
    but for these buffers.
    """
    outer, local = (n.loops, [*n.locals, *but]) if isinstance(n, Fused) else (n.space[:-1], but)
    if not outer:
        return []
    stages = n.body if isinstance(n, Fused) else [n]
    inner = {a for m in stages for a in loops_of(m)}.difference(outer)
    wanted: dict[tuple[Buffer, Index, int], None] = {}
    for b, index in streams_of(stages, target, local):
        stride = index.coefficient(outer[-1]) * b.dtype.itemsize
        if stride < target.page // 8 or stride > target.ahead_row * target.page:
            continue
        rows = math.ceil(target.ahead_pages * target.page / stride)
        place = index.without(inner)
        for page in range(math.ceil(stride / target.page)):
            wanted[b, place, rows * (stride // b.dtype.itemsize) + page * (target.page // b.dtype.itemsize)] = None
    return [Prefetch(*place) for place in wanted] if len(wanted) <= 4 * target.ahead_streams else []
