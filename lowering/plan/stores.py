"""Large results that are only written: past the caches.

A store to a line that no cache holds reads the line first, though all of it is overwritten. Where a result is larger
than what caches keep, and nothing reads it again, kernels write a page of it beside, which stays in the nearest cache,
and copy that with stores that do not ask for lines: half the traffic.
"""

from __future__ import annotations

import dataclasses

from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Axis
from fdl.lowering.ir.nodes import Fused, Map, Node, Store
from fdl.lowering.ir.planned import Arena
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import refined, used
from fdl.lowering.target import Target
from fdl.passes.size import surely


def store_past_caches(program: Program, target: Target) -> Program:
    """Stores of large results that nothing reads go past the caches, where an innermost loop has them side by side.

    >>> import fdl.numpy as jnp
    >>> from fdl.lowering.build.control import build
    >>> from fdl.lowering.target import AVX2
    >>> from fdl.transforms import make_graph
    >>> small_caches = dataclasses.replace(AVX2, past_caches=4096)
    >>> print(store_past_caches(build(make_graph(lambda x: x * 2)(jnp.ones(100_000))), small_caches))
    program (in0:float32[100000]) -> (out1:float32[100000])
      map (i: 100000) by pages of 1024
        out1[i] = mul:float32(in0[i], 2.0) past the caches
    """
    results = streamed(program, target)

    def paged(n: Node) -> Node:
        if isinstance(n, Fused):
            return n.with_bodies([[paged(m) for m in n.body]])
        if not isinstance(n, Map) or not any(past := [s.buffer in results and runs(n, s, target) for s in n.stores]):
            return n
        stores = [dataclasses.replace(s, past_caches=p) for s, p in zip(n.stores, past, strict=True)]
        widest = max(s.buffer.dtype.itemsize for s in stores)
        return dataclasses.replace(n, stores=stores, page=n.page or target.page // widest)

    return dataclasses.replace(program, nodes=refined(program.nodes, paged)) if results else program


def streamed(program: Program, target: Target) -> frozenset[Buffer]:
    """The outputs that are large, that no node reads, and that lie on no input."""
    in_place = Arena.of(program.nodes).in_place
    large = {b for b in program.outputs if surely(lambda b=b: b.nbytes >= target.past_caches) and b not in in_place}
    return frozenset(large.difference(used(program.nodes), in_place.values())) if large else frozenset()


def runs(n: Map, store: Store, target: Target) -> bool:
    """Whether a map's innermost loop stores side by side, and far enough."""
    if (
        not n.space
        or n.space[-1].size * store.buffer.dtype.itemsize < target.whole_lines
        or not all(isinstance(a, Axis) for a, _ in store.offset.terms)
    ):
        return False
    return bool(store.offset.coefficient(n.space[-1]) == 1)
