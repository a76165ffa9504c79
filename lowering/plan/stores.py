"""Large results that are only written: past the caches.

A store to a line that no cache holds reads the line first, though all of it is overwritten. Where a result is larger
than what caches keep, and nothing reads it again, kernels write a page of it beside, which stays in the nearest cache,
and copy that with stores that do not ask for lines: half the traffic.
"""

from __future__ import annotations

from collections.abc import Mapping

from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import LoopVar, space_vars
from fdl.lowering.ir.nodes import Map, Store
from fdl.lowering.ir.program import Program
from fdl.lowering.ir.rewrite import used

# bytes of a result from which it leaves the caches before anyone asks for it (measured: 40 MB are level, 112 MB more
# than twice as fast)
_LARGE = 1 << 26
_RUN = 512  # bytes side by side from which lines are written whole, but for few


def streamed(program: Program, in_place: Mapping[Buffer, Buffer]) -> frozenset[Buffer]:
    """The outputs that are large, that no node reads, and that lie on no input."""
    large = {b for b in program.outputs if b.nbytes >= _LARGE and b not in in_place}
    return frozenset(large.difference(used(program.nodes), in_place.values())) if large else frozenset()


def runs(n: Map, store: Store) -> bool:
    """Whether a map's innermost loop stores side by side, and far enough."""
    if (
        not n.space
        or n.space[-1] * store.buffer.dtype.itemsize < _RUN
        or not all(isinstance(a, LoopVar) for a, _ in store.offset.terms)
    ):
        return False
    return store.offset.coefficient(space_vars(len(n.space))[-1].terms[0][0]) == 1
