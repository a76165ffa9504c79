"""From a node of the loop program to the text of its kernel: expressions become statements, nodes become loops.

Templates hold the shape of kernels; this file decides names and fills frozen dataclasses (with no generated methods but
the constructor: each costs time at import).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from fdl.core import dtypes
from fdl.lowering.emit.expressions import Expressions, is_strided
from fdl.lowering.ir import spellings
from fdl.lowering.ir.expr import Buffer, Expr, Interner
from fdl.lowering.ir.index import Index, LoopVar, space_vars
from fdl.lowering.ir.nodes import Argmax, Fused, Map, Node, Prefetch, Reduce, Routine, Scatter, Scope
from fdl.lowering.ir.planned import Arena
from fdl.lowering.ir.routines import function_of
from fdl.lowering.schedule.fuse_rows import row_value
from fdl.lowering.target import Target
from fdl.ops.reduction import lowest


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class LoopText:
    """One `for` of a template."""

    name: str
    start: str
    stop: str
    indent: str
    unrolled: bool = False


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class StreamText:
    """A page of a result, beside it: its name, and where the page belongs."""

    type: str
    name: str
    place: str


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Part:
    """One loop nest of a kernel."""

    kind: str
    comment: str
    loops: tuple[LoopText, ...]
    indent: str
    lines: tuple[str, ...]
    stores: tuple[str, ...] = ()
    over: tuple[LoopText, ...] = ()
    inner: LoopText | None = None
    column: LoopText | None = None
    type: str = ""
    value: str = ""
    neutral: str = ""
    combine: str = ""
    fold: str = ""  # of floats: accumulators of vectors
    direct: str = ""  # where a row lies in memory as it is folded
    steps: tuple[int, ...] = ()  # rows at a time
    overlaps: bool = False
    page: int = 0  # steps of the innermost loop from one reading ahead to the next
    ahead: tuple[str, ...] = ()  # what is asked for then, or at the start of a row
    streams: tuple[StreamText, ...] = ()  # what is copied past the caches when a page is full


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Total:
    """A fold down columns that fused rows keep while they pass."""

    name: str
    type: str
    width: int
    neutral: str
    combine: str
    lines: tuple[str, ...]
    value: str
    stores: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Kernel:
    """What the kernel template gets: one part, or several inside of loops over rows."""

    comment: str
    params: tuple[str, ...]
    parts: tuple[Part, ...]
    rows: tuple[LoopText, ...] = ()
    chunk: int = 0
    totals: tuple[Total, ...] = ()
    locals: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    name: str = ""
    apart: bool = False

    @property
    def streams(self) -> bool:
        """Whether a part writes past the caches."""
        return any(part.streams for part in self.parts)


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class KernelCall:
    """A kernel's text, with the buffers and steps that one call hands to it."""

    kernel: Kernel
    buffers: tuple[Buffer, ...]
    steps: tuple[LoopVar, ...]


def _loops(space: Sequence[int], depth: int = 1, first: int = 0, ranged: bool = True) -> tuple[LoopText, ...]:
    out = []
    for k, d in enumerate(space):
        bounded = ranged and k == 0
        out.append(LoopText(f"i{first + k}", "lo" if bounded else "0", "hi" if bounded else str(d), "  " * (depth + k)))
    return tuple(out)


def _params(text: Expressions, written: Sequence[Buffer], overlapping: Collection[Buffer] = ()) -> tuple[str, ...]:
    out = []
    for b, name in text.buffers.items():
        const = "" if b in written else "const "
        out.append(f"{const}{spellings.storage_type(b.dtype)} *{'' if b in overlapping else 'restrict '}{name}")
    return (*out, *(f"long {name}" for name in text.steps.values()), "long lo", "long hi")


def render_kernel(n: Node, arena: Arena, exprs: Interner, target: Target) -> KernelCall:
    """The kernel of a node; its name is filled in when equal ones have been found.

    Where an output may lie on an input, both pointers lose `restrict`: each iteration loads before it stores, and no
    two share an element.
    """
    if isinstance(n, Fused):
        return _fused_rows(n, exprs, target)
    text = Expressions(target, weaves=_weaves([n]))
    pairs = [(b, arena.in_place[b]) for b in n.writes() if b in arena.in_place]
    part = dataclasses.replace(_part(n, text, 0), overlaps=bool(pairs))
    if n.unrolled:
        part = dataclasses.replace(part, loops=tuple(dataclasses.replace(x, unrolled=True) for x in part.loops))
    return KernelCall(
        Kernel(part.comment, _params(text, n.writes(), {b for pair in pairs for b in pair}), (part,)),
        tuple(text.buffers),
        tuple(text.steps),
    )


def _weaves(nodes: Sequence[Node]) -> bool:
    """Whether stores of one loop lie side by side in a buffer, as those of interleaved numbers do."""
    stores = [s for n in nodes if isinstance(n, Map) for s in n.stores if is_strided(s.offset)]
    places = [(s.buffer, s.offset.terms) for s in stores]
    return len(set(places)) < len(places)


def _part(n: Node, text: Expressions, outer: int) -> Part:
    """The loops of a node, but for the `outer` ones that stand around it."""
    make = {Map: _map, Reduce: _reduce, Argmax: _argmax, Scatter: _scatter, Routine: _routine}[type(n)]
    return make(n, text, outer)  # type: ignore[operator, no-any-return]


def _fused_rows(n: Fused, exprs: Interner, target: Target) -> KernelCall:
    outer = len(n.loops)
    kept = {b: 1 if scope is Scope.REGISTER else b.size // n.count for b, scope in n.locals.items()}
    text = Expressions(target, rows=kept, outer=outer, weaves=_weaves(n.body))
    parts: list[Part] = []
    totals: list[Total] = []
    for m in n.body:
        text.scopes, text.lines = [{}], [[]]
        if isinstance(m, Reduce) and n.accumulates(m):
            totals.append(_total(m, text, exprs, len(totals)))
        else:
            parts.append(_part(m, text, outer))
    rows = tuple(
        f"{spellings.storage_type(b.dtype)} {name}{f'[{size}]' if size > 1 else ''};"
        for b, (name, size) in text.rows.items()
    )
    comment = f"fused rows ({_dims(n.loops)}): {', '.join(type(m).__name__.lower() for m in n.body)}"
    ahead = _asked(n.ahead, text)
    return KernelCall(
        Kernel(comment, _params(text, n.writes()), tuple(parts), _loops(n.loops), n.chunk, tuple(totals), rows, ahead),
        tuple(text.buffers),
        tuple(text.steps),
    )


def _asked(ahead: Sequence[Prefetch], text: Expressions) -> tuple[str, ...]:
    """Statements that ask for places."""
    return tuple(f"FDL_AHEAD({text.buffer(p.buffer)}, {text.index(p.index + p.ahead)});" for p in ahead)


def _total(n: Reduce, text: Expressions, exprs: Interner, number: int) -> Total:
    per_row = row_value(n, exprs)
    assert per_row is not None
    value = text.emit(per_row)
    lines = tuple(text.lines[0])
    text.scopes, text.lines = [{}], [[]]
    name = f"total{number}"
    store = text.store(n.store, n.offset, f"{name}[i1]")
    _, neutral, combine = _folding(n)
    chunk = ("const long i0 = chunk;", "(void)i0;", *text.lines[0], store)
    return Total(name, spellings.register_type(n.value.dtype), n.space[1], neutral, combine, lines, value, chunk)


def _map(n: Map, text: Expressions, outer: int) -> Part:
    stores: list[str] = []
    streams: list[StreamText] = []
    inner = [v.terms[0][0] for v in space_vars(len(n.space))[-1:]]
    for s in n.stores:
        value = text.emit(s.value)
        if s.past_caches:
            streams.append(
                StreamText(
                    spellings.storage_type(s.buffer.dtype),
                    f"w{len(streams)}",
                    f"&{text.element(s.buffer, s.offset.without(inner))} + page",
                )
            )
            stores.append(f"{streams[-1].name}[i{len(n.space) - 1} - page] = {text.stored(s.buffer, value)};")
        else:
            stores.append(text.store(s.buffer, s.offset, value))
    loops = _loops(n.space[outer:], 1 + 3 * outer, outer, not outer)
    ops = sorted({e.op for e in _all_ops(n)})
    ahead = _asked(n.ahead, text)
    lines = (*text.lines[0], *stores)
    comment = f"map {_dims(n.space)}: {', '.join(ops) or 'copy'}"
    return Part(
        "map",
        comment,
        loops,
        "  " * (len(loops) + 1 + 3 * outer),
        lines,
        page=n.page,
        ahead=ahead,
        streams=tuple(streams),
    )


def _all_ops(n: Node) -> list[Expr]:
    from_roots = n.expressions()
    seen: dict[Expr, None] = {}
    stack = list(from_roots)
    while stack:
        e = stack.pop()
        if e not in seen:
            seen[e] = None
            stack.extend(e.args)
    return [e for e in seen if e.op not in ("const", "load", "number")]


def _dims(space: Sequence[int]) -> str:
    return "x".join(map(str, space)) or "scalar"


def _folding(n: Reduce) -> tuple[str, str, str]:
    """Suffix of the fold's vector functions (of floats alone), its neutral element, and what joins two scalars."""
    dtype, add = n.value.dtype, n.kind == "add"
    suffix = spellings.SUFFIX[dtype]
    fold = f"{n.kind}_{suffix}" if dtype in (dtypes.float32, dtypes.float64) else ""
    return fold, "0" if add else spellings.literal(lowest(dtype), dtype), "FDL_PLUS" if add else f"fdl_max_{suffix}"


def _reduce(n: Reduce, text: Expressions, outer: int) -> Part:
    first, base = len(n.space), 1 + 3 * outer
    fold, neutral, combine = _folding(n)
    value = text.emit(n.value)
    lines, text.lines = tuple(text.lines[0]), [[]]
    common: dict[str, Any] = {
        "type": spellings.register_type(n.value.dtype),
        "value": value,
        "neutral": neutral,
        "combine": combine,
    }
    name, last = f"i{first + len(n.over) - 1}", str(n.over[-1])
    comment = f"{n.kind} {_dims(n.space)} over {_dims(n.over)}"
    if n.side_by_side:
        return _across(n, text, outer, Part("across", comment, (), "", lines, fold=fold, **common))
    if n.rows:
        loops = _loops(n.space[outer:], base, outer, not outer)
        over = _loops(n.over[:-1], base + len(loops), first, False)
        inner = LoopText(name, "0", last, "  " * (base + len(loops) + len(over)))
        direct = _direct(n, text) if fold else ""
        stores = (*text.lines[0], text.store(n.store, n.offset, "total"))
        return Part(
            "rows",
            comment,
            loops,
            "  " * (base + len(loops)),
            lines,
            stores,
            over,
            inner,
            fold=fold,
            direct=direct,
            **common,
        )
    loops = _loops(n.space[:-1])
    whole = len(n.space) <= 1
    column = LoopText(
        f"i{first - 1}" if n.space else "only",
        "lo" if whole else "0",
        "hi" if whole else str(n.space[-1]),
        "  " * (base + len(loops)),
    )
    over = _loops(n.over[:-1], base + len(loops) + 1, first, False)
    inner = LoopText(name, "0", last, "  " * (base + len(loops) + len(over) + 1))
    stores = (*text.lines[0], *(() if n.space else ("(void)only;",)), text.store(n.store, n.offset, "total[lane]"))
    if not n.space:
        lines = ("(void)only;", *lines)
    steps = (n.at_once, 1) if n.at_once > 1 else (1,)
    return Part(
        "columns", comment, loops, "  " * (base + len(loops)), lines, stores, over, inner, column, steps=steps, **common
    )


def _across(n: Reduce, text: Expressions, outer: int, part: Part) -> Part:
    first, base = len(n.space), 1 + 3 * outer
    loops = _loops(n.space[outer:-1], base, outer, not outer)
    whole = len(n.space) == 1
    column = LoopText(
        f"i{first - 1}", "lo" if whole else "0", "hi" if whole else str(n.space[-1]), "  " * (base + len(loops))
    )
    over = _loops(n.over[:-1], base + len(loops) + 1, first, False)
    inner = LoopText(f"i{first + len(n.over) - 1}", "0", str(n.over[-1]), "  " * (base + len(loops) + len(over) + 1))
    stores = (*text.lines[0], text.store(n.store, n.offset, "total[lane]"))
    combine = "FDL_PLUS" if n.kind == "add" else "FDL_LARGER_ONE"
    return dataclasses.replace(
        part,
        loops=loops,
        indent="  " * (base + len(loops)),
        stores=stores,
        over=over,
        inner=inner,
        column=column,
        combine=combine,
    )


def _direct(n: Reduce, text: Expressions) -> str:
    """The address of a row that is folded as it lies in memory."""
    if n.value.op != "load":
        return ""
    buffer, index = n.value.attr
    variable = space_vars(len(n.space) + len(n.over))[-1].terms[0][0]
    if index.coefficient(variable) != 1 or not all(isinstance(a, LoopVar) for a, _ in index.terms):
        return ""
    return f"&{text.element(buffer, index.without([variable]))}"


def _argmax(n: Argmax, text: Expressions, outer: int) -> Part:
    base = 1 + 3 * outer
    value = text.emit(n.value)
    lines, text.lines = tuple(text.lines[0]), [[]]
    loops = _loops(n.space[outer:], base, outer, not outer)
    indent = "  " * (len(loops) + base)
    inner = LoopText(f"i{len(n.space)}", "0", str(n.over), indent)
    cast = f"({spellings.register_type(n.store.dtype)})where"
    stores = (*text.lines[0], text.store(n.store, n.offset, cast))
    return Part(
        "argmax",
        f"argmax {_dims(n.space)} over {n.over}",
        loops,
        indent,
        lines,
        stores,
        inner=inner,
        type=spellings.register_type(n.value.dtype),
        value=value,
    )


def _scatter(n: Scatter, text: Expressions, outer: int) -> Part:
    """Updates in order. Where two may meet, the kernel's range is one of targets, and each thread does the updates of
    its own.
    """
    inner = n.inner()
    loops = _loops(n.space[: len(n.space) - inner], ranged=n.distinct)
    over = _loops(n.space[len(n.space) - inner :], len(loops) + 2, len(loops), n.distinct and not loops)
    variables = [v.terms[0][0] for v in space_vars(inner, len(loops))]
    conditions = [text.emit(c) for c in n.conditions]
    place = text.index(n.offset.without(variables))
    if not n.distinct:
        conditions += [f"place >= lo * {n.block()}", f"place < hi * {n.block()}"]
    lines, text.lines = (*text.lines[0], f"const long place = {place};"), [[]]
    within = "".join(f" + {text.index(Index(0, ((v, n.offset.coefficient(v)),)))}" for v in variables)
    value = text.emit(n.value)
    dtype = n.store.dtype
    target = f"{text.buffer(n.store)}[place{within}]"
    if n.kind != "set":
        old = f"fdl_load_{spellings.SUFFIX[dtype]}({target})" if dtype in dtypes.NARROW_FLOATS else target
        value = spellings.spell(n.kind, dtype, dtype, [old, value], {})
    stores = (*text.lines[0], f"{target} = {text.stored(n.store, value)};")
    indent = "  " * (len(loops) + 1)
    return Part(
        "scatter",
        f"scatter-{n.kind} {_dims(n.space)}",
        loops,
        indent,
        lines,
        stores,
        over,
        value=" && ".join(conditions) or "1",
    )


def _routine(n: Routine, text: Expressions, outer: int) -> Part:
    parts = [f"{text.buffer(b)} + i0 * {size}l" for b, size in (*n.operands, *n.results, *n.scratch)]
    loops = _loops(n.space)
    return Part(
        "map",
        f"{n.key} of {_dims(n.space)} parts",
        loops,
        "    ",
        (f"{function_of(n, text.target.routines).name}({', '.join([*parts, *map(str, n.sizes)])});",),
    )
