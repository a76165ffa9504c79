"""Prologues: what one product alone reads is computed part by part, just before the part of the product that multiplies
it.

Weights that are kept in a narrow type, scaled images, a padded gradient: stage by stage they go to memory in full and
come back. As a tile (`tile.py`), a thread computes a few rows of the left operand or columns of the right one, as many
as stay in its second cache, and multiplies them. Columns of a matrix that lies row by row are written as the panels
that the runtime library would pack them into. Each element is computed once, and sums run over k as before: bits do not
change.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from fdl.lowering.ir.access import passes
from fdl.lowering.ir.expr import Buffer, Interner
from fdl.lowering.ir.index import ZERO, Axis, trips
from fdl.lowering.ir.nodes import Dot, Map, Node, Operand, Store
from fdl.lowering.ir.rewrite import Rewriting, over_parts
from fdl.lowering.schedule.pack import in_panels
from fdl.lowering.target import Target


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Prologue:
    """Maps and a product that take turns, part by part of `count`, and what they were before; the buffer between them;
    the places of the maps' stages, and what is left of these.
    """

    count: int
    nodes: list[Node]
    before: list[Node]
    between: Buffer
    places: list[int]
    rest: list[Map]


def find_prologue(
    dot: Dot,
    before: Sequence[Node],
    reads: Mapping[Buffer, int],
    writes: Mapping[Buffer, int],
    buffers: list[Buffer],
    exprs: Interner,
    target: Target,
) -> Prologue | None:
    """The maps before a product that write what it alone reads, ready to take turns with it."""
    if trips(dot.space) != 1 or dot.lhs.buffer is dot.rhs.buffer:
        return None
    for x, across in ((dot.rhs, dot.cols), (dot.lhs, dot.rows)):
        b = x.buffer
        if (
            b.kind != "temp"
            or b.dtype != dot.dtype
            or reads[b] != 1
            or b.size * target.prologue_repays < dot.m * dot.n * dot.k
        ):
            continue
        places = [i for i, n in enumerate(before) if b in n.writes()]
        maps = [n for n in before if isinstance(n, Map) and b in n.writes()]
        others = [n for n in before[places[0] + 1 :] if n not in maps] if places else []
        if not places or not len(maps) == len(places) == writes[b] or not passes(maps, others):
            continue
        own = [dataclasses.replace(n, stores=[s for s in n.stores if s.buffer is b]) for n in maps]
        rest = [dataclasses.replace(n, stores=[s for s in n.stores if s.buffer is not b]) for n in maps]
        parted = _by_blocks(dot, x, across, exprs, target) or (
            _by_panels(dot, own, buffers, exprs, target) if x is dot.rhs else None
        )
        if parted is not None:
            count, stages, product = parted
            between = stages[0].stores[0].buffer if stages else b
            return Prologue(count, [*(stages or own), product], [*own, dot], between, places, rest)
    return None


def _by_blocks(
    dot: Dot, x: Operand, across: Sequence[Axis], exprs: Interner, target: Target
) -> tuple[int, list[Map], Dot] | None:
    """Parts of an operand whose rows (or columns, on the right) begin with a loop that walks from block to block of
    its memory.
    """
    block, *others = across
    size, step = block.size, x.index.coefficient(block)
    if dot.outside(x) != ZERO or x.buffer.size != size * step:
        return None
    steps = [(a.size, x.index.coefficient(a)) for a in (*others, *dot.over)]
    if sum((d - 1) * s for d, s in steps) >= step or any(s < 0 for _, s in steps):
        return None
    nbytes, whole = step * x.buffer.dtype.itemsize, trips(across)
    units = _units(size, 1, nbytes, target)
    if x is dot.lhs:
        unit = min((u for u in units if whole // size * u >= target.prologue_rows), default=None)
    else:
        unit = _near(units, nbytes, target) if dot.m <= target.prologue_rows else None
    count = size // unit if unit else 0
    return (count, [], over_parts(dot, block, [count, unit], exprs, batch=True)) if unit else None


def _by_panels(
    dot: Dot, maps: Sequence[Map], buffers: list[Buffer], exprs: Interner, target: Target
) -> tuple[int, list[Map], Dot] | None:
    """Parts of a right operand that lies row by row: panels of some columns each."""
    x, panel = dot.rhs, target.panel_bytes // dot.dtype.itemsize
    if (
        len(maps) != 1
        or (dot.outside(x), dot.digits(x)) != (ZERO, (((dot.k, dot.n),), ((dot.n, 1),)))
        or len(dot.cols) != 1
        or x.buffer.size != dot.n * dot.k
        or dot.m > target.prologue_rows
    ):
        return None
    wide = _near(_units(dot.n, panel, dot.k * dot.dtype.itemsize, target), dot.k * dot.dtype.itemsize, target)
    if wide is None or (dot.m > target.few_rows and wide == panel):
        return None
    packed = Buffer(len(buffers), dot.dtype, x.buffer.size, "temp")
    stage = _as_panels(maps[0], dot.n, dot.k, wide, panel, packed, exprs)
    if stage is None:
        return None
    buffers.append(packed)
    parted = over_parts(dot, dot.cols[0], [dot.n // wide, wide // panel, panel], exprs, batch=True)
    return dot.n // wide, [stage], in_panels(parted, packed, parted.space[0].index * (wide * dot.k))


def _as_panels(n: Map, columns: int, k: int, wide: int, panel: int, target: Buffer, exprs: Interner) -> Map | None:
    """The map that fills a matrix row by row, filling [columns / wide][wide / panel][k][panel], `wide` columns a
    part.
    """
    (store,) = n.stores
    steps = {v: store.offset.coefficient(v) for v in n.space}
    inner = next((v for v in n.space if steps[v] == 1 and v.size % columns == 0), None)
    others = [v for v in n.space if v is not inner and v.size > 1]
    if (
        inner is None
        or store.offset.const
        or any(steps[v] % columns or not steps[v] for v in others)
        or trips(n.space) != columns * k
    ):
        return None
    sizes = (columns // wide, *(v.size for v in others), inner.size // columns, wide // panel, panel)
    space = exprs.axes(sizes)
    part, *outer, row, q, lane = (v.index for v in space)
    to = (
        dict.fromkeys(n.space, ZERO)
        | dict(zip(others, outer, strict=True))
        | {inner: row * columns + part * wide + q * panel + lane}
    )
    line = sum((i * (steps[v] // columns) for v, i in zip(others, outer, strict=True)), row)
    offset = part * (wide * k) + q * (panel * k) + line * panel + lane
    return dataclasses.replace(n, space=space, stores=[Store(target, offset, Rewriting(exprs, to)(store.value))])


def _units(size: int, unit: int, nbytes: int, target: Target) -> list[int]:
    """The numbers of rows or columns that a part may have, where `size` of `nbytes` each are cut: multiples of `unit`
    that divide `size`, stay in the second cache, and leave `target.equal_shares` parts at least.
    """
    return [
        d for d in range(unit, size // target.equal_shares + 1, unit) if size % d == 0 and d * nbytes <= target.second
    ]


def _near(units: Sequence[int], nbytes: int, target: Target) -> int | None:
    """The largest of these numbers whose bytes stay in the nearest cache, else the smallest; None without any."""
    return max((d for d in units if d * nbytes <= target.near), default=min(units, default=None))
