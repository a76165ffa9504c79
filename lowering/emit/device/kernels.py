"""From a node to its kernel, in CUDA and Metal alike: expressions become statements, and threads take the place of
loops. The macro of each kind in `kernel.j2` writes the rest.

Folds, products and scatters have the order that `ir/fold.py` states, so that where operations have one right result,
devices have the bits of the C program:

- a map has a thread an element, and a fold down columns a thread a result;
- a fold along rows has a block a result, one thread for each of the order's lanes;
- a product has a block for a square tile of its result, whose threads add up one chain each;
- a scatter has owners: each thread goes through all updates in their order, and does those of its own targets.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from fdl.core import dtypes
from fdl.core.dtypes import is_float
from fdl.core.errors import CompileError
from fdl.lowering.emit.expressions import Expressions, Folding
from fdl.lowering.ir import spellings
from fdl.lowering.ir.access import loops_of
from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.fold import LANES
from fdl.lowering.ir.index import Axis, Digits, trips
from fdl.lowering.ir.nodes import Argmax, Branch, Dot, Map, Node, OneStore, Operand, Reduce, Scatter
from fdl.lowering.target import Target
from fdl.passes.size import ceil_div


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Kernel:
    """What the template gets: the `kind` of kernel; its pointers as (type, name, written) and the names of the steps
    that follow them; how many elements there are, or blocks with `by_block`, and how the number of one comes apart
    into (loop, size), the innermost first; what else the macro of its kind asks for, in `parts`.
    """

    kind: str
    params: tuple[tuple[str, str, bool], ...]
    step_names: tuple[str, ...]
    count: int
    dims: tuple[tuple[str, int], ...]
    threads: int
    by_block: bool
    parts: dict[str, Any]
    buffers: tuple[Buffer | None, ...]
    steps: tuple[Axis, ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Body:
    """The kind of a kernel, the loops that its threads or blocks stand for, and what its macro asks for. `blocks` says
    of how many blocks each step of these loops is made; 0 where it is a thread.
    """

    kind: str
    space: Sequence[Axis]
    parts: dict[str, Any]
    blocks: int = 0
    threads: int = 0


def kernel_of(n: Node, target: Target) -> Kernel:
    """The kernel of a node, or of the choice of a branch; CompileError for a node that devices do not have yet."""
    if type(n) not in KERNELS:
        raise CompileError(
            f"{target.language}: {type(n).__name__.lower()} has no kernel there yet", hint='device="cpu"'
        )
    text = Expressions(target)
    text.enter(loops_of(n))
    body = KERNELS[type(n)](n, text)
    written = n.writes()
    params = [(spellings.storage_type(b.dtype), name, b in written) for b, name in text.buffers.items()]
    buffers: list[Buffer | None] = list(text.buffers)
    if isinstance(n, Branch):
        params.append((spellings.storage_type(dtypes.int32), "choice", True))
        buffers.append(None)
    return Kernel(
        body.kind,
        tuple(params),
        tuple(text.steps.values()),
        trips(body.space) * (body.blocks or 1),
        tuple((text.axis(a), a.size) for a in reversed(body.space)),
        body.threads or target.block,
        body.blocks > 0,
        body.parts,
        tuple(buffers),
        tuple(text.steps),
    )


def _map(n: Map, text: Expressions) -> Body:
    stores = [(s, text.emit(s.value)) for s in n.stores]
    lines = text.taken()
    stored = [text.store(s.buffer, s.offset, value) for s, value in stores]
    return Body("map", n.space, {"lines": [*lines, *text.taken(), *stored]})


def _choice(n: Branch, text: Expressions) -> Body:
    value = text.emit(n.index)
    return Body("map", (), {"lines": [*text.taken(), f"choice[0] = {value};"]})


def _element(n: OneStore, text: Expressions, result: str) -> dict[str, Any]:
    """What one element of a fold is, and how its result is stored."""
    value = text.emit(n.value)
    lines = text.taken()
    store = text.store(n.store, n.offset, result)
    return {
        "lines": lines,
        "value": value,
        "stores": [*text.taken(), store],
        "type": spellings.register_type(n.value.dtype),
        "suffix": spellings.SUFFIX[n.value.dtype],
        "over": [(text.axis(a), a.size) for a in getattr(n, "over", ())],
        "lanes": LANES,
    }


def _reduce(n: Reduce, text: Expressions) -> Body:
    parts = _element(n, text, "total")
    parts |= {"fold": n.kind, "neutral": Folding.of(n).neutral, "floats": is_float(n.value.dtype)}
    return Body("row", n.space, parts, 1, LANES) if n.rows else Body("column", n.space, parts)


def _argmax(n: Argmax, text: Expressions) -> Body:
    parts = _element(n, text, f"({spellings.register_type(n.store.dtype)})first")
    return Body("argmax", n.space, parts, 1, LANES)


def _scatter(n: Scatter, text: Expressions) -> Body:
    outer = 0 if n.distinct else len(n.space) - n.inner()
    block = trips(n.space[len(n.space) - n.inner() :])
    owners = 1 if n.distinct else max(1, min(text.target.owners, n.store.size // max(block, 1)))
    conditions = [text.emit(c) for c in n.conditions]
    place = text.index(n.offset)
    lines = [*text.taken(), f"const long to = {place};"]
    if not n.distinct:
        conditions.append(f"to / {block} % {owners} == owner")
    value = text.emit(n.value)
    target = f"{text.buffer(n.store)}[to]"
    if n.kind != "set":
        dtype = n.store.dtype
        value = spellings.spell(n.kind, dtype, dtype, [text.loaded(n.store, target), value], {})
    parts = {
        "over": [(text.axis(a), a.size) for a in n.space[:outer]],
        "lines": lines,
        "condition": " && ".join(conditions) or "1",
        "change": [*text.taken(), f"{target} = {text.stored(n.store, value)};"],
    }
    owner = Axis("owner", owners)
    text.loops[owner] = "owner"
    return Body("scatter", (owner, *n.space[outer:]), parts)


def _dot(n: Dot, text: Expressions) -> Body:
    def element(x: Operand, row: str, col: str) -> str:
        down, across = n.digits(x)
        place = f"{text.index(n.outside(x))} + {_place(row, down)} + {_place(col, across)}"
        return f"{text.buffer(x.buffer)}[{place}]"

    def loaded(x: Operand, row: str, col: str) -> str:
        return text.loaded(x.buffer, element(x, row, col))

    side = text.target.block_side
    tiles = ceil_div(n.m, side), ceil_div(n.n, side)
    parts = {
        "type": spellings.register_type(n.dtype),
        "suffix": spellings.SUFFIX[n.dtype],
        "floats": is_float(n.dtype),
        "m": n.m,
        "n": n.n,
        "k": n.k,
        "lhs": loaded(n.lhs, "row", "step"),
        "rhs": loaded(n.rhs, "step", "col"),
        "out": element(n.out, "row", "col"),
        "total": text.stored(n.out.buffer, "total"),
        "side": side,
        "tiles": tiles,
    }
    return Body("dot", n.space, parts, tiles[0] * tiles[1], side * side)


def _place(number: str, digits: Digits) -> str:
    """Where a row or a column lies, as text."""
    if len(digits) == 1:
        return f"({number}) * {digits[0][1]}"
    below = math.prod(d for d, _ in digits)
    terms = []
    for size, step in digits:
        below //= size
        terms.append(f"({number}) / {below} % {size} * {step}")
    return " + ".join(terms) or "0"


KERNELS: dict[type[Node], Callable[[Any, Expressions], Body]] = {
    Map: _map,
    Reduce: _reduce,
    Argmax: _argmax,
    Scatter: _scatter,
    Dot: _dot,
    Branch: _choice,
}
