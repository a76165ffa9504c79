"""From a node of a planned program to the text of its kernel: expressions become statements, nodes become loops.

Each loop nest is written by the macro of its kind in `kernel.c.j2`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from fdl.core import dtypes
from fdl.core.dtypes import is_float
from fdl.lowering.emit.expressions import Expressions, environment, is_strided
from fdl.lowering.ir import spellings
from fdl.lowering.ir.access import loops_of
from fdl.lowering.ir.expr import Buffer, Expr, Interner, walk
from fdl.lowering.ir.fold import LANES
from fdl.lowering.ir.index import ZERO, Axis, Index
from fdl.lowering.ir.nodes import Argmax, Fused, Map, Node, Prefetch, Reduce, Routine, Scatter, Scope
from fdl.lowering.ir.planned import Arena
from fdl.lowering.ir.rewrite import over_loops, reindexed
from fdl.lowering.ir.routines import function_of
from fdl.lowering.ir.size import Symbol, is_known
from fdl.lowering.target import Target
from fdl.ops.reduction import lowest


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class LoopText:
    """A loop that counts up, and what is said before it to the compiler."""

    name: str
    start: str
    stop: str
    pragmas: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class Kernel:
    """A kernel before it has a name, with the buffers, steps and sizes that a call hands to it, and whether it writes
    past the caches.
    """

    comment: str
    params: tuple[str, ...]
    body: str
    buffers: tuple[Buffer, ...]
    steps: tuple[Axis, ...]
    sizes: tuple[Symbol, ...]
    streams: bool

    def text(self, linkage: str, name: str) -> str:
        """The function."""
        return written("kernel", comment=self.comment, linkage=linkage, name=name, params=self.params, body=self.body)


OF_VECTORS = ("add", "sub", "mul", "div", "neg")  # operators of C, which take vectors of gcc as they take numbers


def written(kind: str, **parts: Any) -> str:
    """The text of a loop nest, by the macro of its kind."""
    macro: Any = getattr(environment().get_template("c/kernel.c.j2").module, kind)
    return str(macro(**parts))


def render_kernel(n: Node, arena: Arena, exprs: Interner, target: Target) -> Kernel:
    """The kernel of a node.

    Where an output may lie on an input, both pointers lose `restrict`: each iteration loads before it stores, and no
    two share an element.
    """
    over = {b: arena.in_place[b] for b in n.writes() if b in arena.in_place}
    if isinstance(n, Fused):
        text, comment, body, over = *_fused_rows(n, exprs, target), {}
    else:
        text = Expressions(target, weaves=_weaves([n]))
        writer = KernelWriter(text, (), ("FDL_INDEPENDENT",) if over else ())
        comment, body = writer.part(n)
    streams = any(s.past_caches for m in (n.body if isinstance(n, Fused) else [n]) for s in getattr(m, "stores", ()))
    params = _params(text, n.writes(), {*over, *over.values()})
    body = _lines(body, "fdl_streamed();" if streams else "")
    return Kernel(comment, params, body, tuple(text.buffers), tuple(text.steps), tuple(text.sizes), streams)


def _weaves(nodes: Sequence[Node]) -> bool:
    """Whether stores of one loop lie side by side in a buffer, as those of interleaved numbers do."""
    stores = [s for n in nodes if isinstance(n, Map) for s in n.stores if is_strided(s.offset)]
    places = [(s.buffer, s.offset.terms) for s in stores]
    return len(set(places)) < len(places)


def _params(text: Expressions, stored: Sequence[Buffer], overlapping: Collection[Buffer]) -> tuple[str, ...]:
    out = []
    for b, name in text.buffers.items():
        const = "" if b in stored else "const "
        out.append(f"{const}{spellings.storage_type(b.dtype)} *{'' if b in overlapping else 'restrict '}{name}")
    return (*out, *(f"long {name}" for name in (*text.steps.values(), *text.sizes.values())), "long lo", "long hi")


def _fused_rows(n: Fused, exprs: Interner, target: Target) -> tuple[Expressions, str, str]:
    """Stages one after another for each row; folds down columns are totals, which are kept while rows pass."""
    kept = {b: 1 if scope is Scope.REGISTER else b.size // n.count for b, scope in n.locals.items()}
    loops, steps = n.loops, dict[Axis, Index]()
    if n.chunk:  # rows are counted through
        loops = exprs.axes([n.count])
        steps = {n.loops[0]: ZERO, n.loops[1]: loops[0].index}
    text = Expressions(target, rows=kept, outer=loops, weaves=_weaves(n.body))
    writer = KernelWriter(text, loops)
    parts: list[str] = []
    totals: list[_Total] = []
    for m in n.body:
        text.scopes, text.lines = [{}], [[]]
        if isinstance(m, Reduce) and n.accumulates(m):
            totals.append(_total(m, text, n.loops[0], steps, exprs, f"total{len(totals)}"))
        else:
            comment, body = writer.part(over_loops(m, m.space, steps, exprs) if steps else m)  # type: ignore[attr-defined]
            parts.append(written("part", comment=comment, body=body))
    rows = [
        f"{spellings.storage_type(b.dtype)} {name}{f'[{size}]' if size > 1 else ''};"
        for b, (name, size) in text.rows.items()
    ]
    text.enter(loops)
    ahead = [dataclasses.replace(p, index=reindexed(exprs, [], steps)[1](p.index)) for p in n.ahead]
    row = _lines(*_asked(ahead, text), *rows, *parts, *(t.add for t in totals))
    comment = f"fused rows ({_dims(loops)}): {', '.join(type(m).__name__.lower() for m in n.body)}"
    if not n.chunk:
        return text, comment, _within(_loops(loops, text, True), row)
    begin, end = _lines(*(t.begin for t in totals)), _lines(*(t.end for t in totals))
    return text, comment, written("chunks", rows=n.chunk, begin=begin, body=row, end=end)


@dataclasses.dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Total:
    """A fold down columns that fused rows keep while they pass: what begins it, what each row adds, what ends it."""

    begin: str
    add: str
    end: str


def _total(
    n: Reduce, text: Expressions, chunk: Axis, steps: Mapping[Axis, Index], exprs: Interner, name: str
) -> _Total:
    text.enter([*text.outer, *n.space])
    (column,), value = n.space, text.emit(reindexed(exprs, [n.value], steps)[0][n.value])
    lines = _lines(*text.lines[0])
    text.scopes, text.lines = [{}], [[]]
    text.enter([chunk, column])
    store = text.store(n.store, n.offset, f"{name}[i1]")
    end = _lines("const long i0 = chunk;", "(void)i0;", *text.lines[0], store)
    _, neutral, combine = _folding(n)
    type_, width = spellings.register_type(n.value.dtype), column.size
    return _Total(
        written("begin_totals", type=type_, name=name, width=width, neutral=neutral),
        written("add_to_totals", name=name, width=width, lines=lines, combine=combine, value=value),
        _within([LoopText("i1", "0", str(width))], end),
    )


class KernelWriter:
    """Writes the loops of a node inside of the `outer` ones; `pragmas` are said before the loops that store."""

    def __init__(self, text: Expressions, outer: Sequence[Axis], pragmas: tuple[str, ...] = ()) -> None:
        self.text, self.outer, self.pragmas = text, outer, pragmas
        self.spelled: dict[type[Node], Callable[[Any], tuple[str, str]]] = {
            Map: self._map,
            Reduce: self._reduce,
            Argmax: self._argmax,
            Scatter: self._scatter,
            Routine: self._routine,
        }

    def part(self, n: Node) -> tuple[str, str]:
        """What a node does in a few words, and its loops."""
        self.text.enter([*self.outer, *loops_of(n)])
        return self.spelled[type(n)](n)

    def _own(self, space: Sequence[Axis], ranged: bool = True) -> tuple[LoopText, ...]:
        """Loops over a part of the node's space; what is said to the compiler, before the last one."""
        loops = _loops(space, self.text, ranged and not self.outer)
        return (*loops[:-1], *(dataclasses.replace(x, pragmas=self.pragmas) for x in loops[-1:]))

    def _dims(self, n: Node) -> str:
        """Sizes of the loops around a node and of its own, but for those of a fold."""
        return _dims([*self.outer, *n.space])  # type: ignore[attr-defined]

    def _taken(self) -> list[str]:
        """The statements so far, which are then no longer there."""
        lines, self.text.lines = self.text.lines[0], [[]]
        return lines

    def _map(self, n: Map) -> tuple[str, str]:
        text, stores, beside = self.text, list[str](), list[tuple[str, str, str]]()
        inner = n.space[-1:]
        for s in n.stores:
            value = text.emit(s.value)
            if s.past_caches:
                place = f"&{text.element(s.buffer, s.offset.without(inner))} + page"
                name = f"w{len(beside)}"
                beside.append((spellings.storage_type(s.buffer.dtype), name, place))
                stores.append(f"{name}[{text.axis(n.space[-1])} - page] = {text.stored(s.buffer, value)};")
            else:
                stores.append(text.store(s.buffer, s.offset, value))
        ops = sorted({e.op for e in _values(n.expressions())} - {"const", "load", "number"})
        comment = f"map {self._dims(n)}: {', '.join(ops) or 'copy'}"
        ahead = _asked(n.ahead, text)
        element = _lines(*self._taken(), *stores)
        loops = _unrolled(self._own(n.space)) if n.unrolled else self._own(n.space)
        if not n.page:
            return comment, _within(loops[:-1], _lines(*ahead, _within(loops[-1:], element)))
        *rows, last = loops
        body = _within([dataclasses.replace(last, start="page", stop="end")], element)
        asked = [f"const long {last.name} = page;", *ahead] if ahead else []
        paged = written("pages", start=last.start, stop=last.stop, steps=n.page, beside=beside, ahead=asked, body=body)
        return comment, _within(rows, paged)

    def _reduce(self, n: Reduce) -> tuple[str, str]:
        value = self.text.emit(n.value)
        lines = _lines(*self._taken())
        write = self._side_by_side if n.side_by_side else self._rows if n.rows else self._columns
        return f"{n.kind} {self._dims(n)} over {_dims(n.over)}", write(n, lines, value)

    def _rows(self, n: Reduce, lines: str, value: str) -> str:
        text = self.text
        fold, neutral, combine = _folding(n)
        type_ = spellings.register_type(n.value.dtype)
        *over, inner = _loops(n.over, text, False)
        place = self._in_place(n) if fold else ""
        stores = _lines(*self._taken(), text.store(n.store, n.offset, "total"))
        if not fold:
            body = _within([*over, inner], written("add", lines=lines, combine=combine, value=value))
            row = written("total", type=type_, neutral=neutral, body=body, stores=stores)
        else:
            parts = {"fold": fold, "type": type_, "name": inner.name, "length": inner.stop}
            short = is_known(n.over[-1].size) and n.over[-1].size < LANES
            vectors = None if place or short else self._vectors(n)
            if place:
                block = written("block_in_place", fold=fold, place=place, length=inner.stop)
            elif vectors is not None:
                block = written("vectors", **parts, lines=lines, value=value, **vectors)
            else:
                block = written("blocks", **parts, lines=lines, value=value)
            row = written("row", fold=fold, type=type_, body=_within(over, block), stores=stores)
        return _within(self._own(n.space), row)

    def _in_place(self, n: Reduce) -> str:
        """The address of a row that is folded as it lies in memory; empty where it does not."""
        if n.value.op != "load":
            return ""
        buffer, index = n.value.attr
        if index.coefficient(n.over[-1]) != 1 or not all(isinstance(a, Axis) for a, _ in index.terms):
            return ""
        return f"&{self.text.element(buffer, index.without(n.over[-1:]))}"

    def _vectors(self, n: Reduce) -> dict[str, str] | None:
        """Statements that compute neighbouring elements of a row as one vector, and its name, suffix, and what joins it
        to totals; None where that takes more than loads side by side and operators of C, which take vectors as they
        take numbers.
        """
        text, inner = self.text, n.over[-1]
        dtype, suffix = n.value.dtype, spellings.SUFFIX[n.value.dtype]
        order, wide = walk([n.value]), set[Expr]()
        for e in order:
            steps = {i.coefficient(inner) for i in e.indices()}
            plain = e.dtype == dtype and all(isinstance(a, Axis) for i in e.indices() for a, _ in i.terms)
            if not plain or e.op == "number" or not steps <= {0, 1}:
                return None
            if 1 in steps or not wide.isdisjoint(e.args):
                wide.add(e)
                if e.op not in ("load", *OF_VECTORS):
                    return None
        if n.value not in wide:
            return None
        known, text.scopes = text.scopes, [{}]  # names of the statements for one element mean nothing here
        names = {e: text.emit(e) for e in order if e not in wide}
        lines, text.scopes = self._taken(), known
        for count, e in enumerate(e for e in order if e in wide):
            names[e] = f"v{count}"
            if e.op == "load":
                spelled = f"*(const fdl_vector_{suffix} *)&{text.element(*e.attr)}"
            else:
                spelled = spellings.spell(e.op, dtype, dtype, [names[a] for a in e.args], text.table)
            lines.append(f"const fdl_vector_{suffix} {names[e]} = {spelled};")
        return {
            "vector_lines": _lines(*lines),
            "vector": names[n.value],
            "suffix": suffix,
            "join": f"FDL_JOIN_{n.kind.upper()}",
        }

    def _columns(self, n: Reduce, lines: str, value: str) -> str:
        _, neutral, combine = _folding(n)
        type_, column = spellings.register_type(n.value.dtype), self._column(n)
        *over, inner = _loops(n.over, self.text, False)
        unused = [] if n.space else [f"(void){column.name};"]
        stores = _lines(*self._taken(), *unused, self.text.store(n.store, n.offset, "total[lane]"))
        steps = written(
            "column_steps",
            name=inner.name,
            length=inner.stop,
            steps=(n.at_once, 1) if n.at_once > 1 else (1,),
            column=column.name,
            type=type_,
            lines=_lines(*unused, lines),
            combine=combine,
            value=value,
        )
        return _within(
            self._own(n.space[:-1]),
            written(
                "columns",
                name=column.name,
                start=column.start,
                stop=column.stop,
                type=type_,
                neutral=neutral,
                body=_within(over, steps),
                stores=stores,
            ),
        )

    def _side_by_side(self, n: Reduce, lines: str, value: str) -> str:
        fold, neutral, _ = _folding(n)
        type_, row = spellings.register_type(n.value.dtype), self._column(n)
        over = _loops(n.over, self.text, False)
        stores = _lines(*self._taken(), self.text.store(n.store, n.offset, "total[lane]"))
        combine = "FDL_PLUS" if n.kind == "add" else "FDL_LARGER_ONE"
        lanes = written(
            "into_lanes", name=over[-1].name, row=row.name, type=type_, lines=lines, combine=combine, value=value
        )
        return _within(
            self._own(n.space[:-1]),
            written(
                "side_by_side",
                fold=fold,
                name=row.name,
                start=row.start,
                stop=row.stop,
                type=type_,
                neutral=neutral,
                body=_within(over, lanes),
                stores=stores,
            ),
        )

    def _column(self, n: Reduce) -> LoopText:
        """The last loop of the space, or one of a single step in its place."""
        return _loops(n.space, self.text, not self.outer)[-1] if n.space else LoopText("only", "lo", "hi")

    def _argmax(self, n: Argmax) -> tuple[str, str]:
        value = self.text.emit(n.value)
        lines = _lines(*self._taken())
        where = f"({spellings.register_type(n.store.dtype)})where"
        stores = _lines(*self._taken(), self.text.store(n.store, n.offset, where))
        body = written(
            "argmax",
            name=self.text.axis(n.over[0]),
            stop=n.over[0].size,
            type=spellings.register_type(n.value.dtype),
            lines=lines,
            value=value,
            stores=stores,
        )
        return f"argmax {self._dims(n)} over {_dims(n.over)}", _within(self._own(n.space), body)

    def _scatter(self, n: Scatter) -> tuple[str, str]:
        """Updates in order. Where two may meet, the kernel's range is one of targets, and each thread does the updates
        of its own.
        """
        text, inner = self.text, n.inner()
        outer = len(n.space) - inner
        loops = self._own(n.space[:outer], n.distinct)
        over = _loops(n.space[outer:], text, n.distinct and not outer)
        variables = n.space[outer:]
        conditions = [text.emit(c) for c in n.conditions]
        place = text.index(n.offset.without(variables))
        if not n.distinct:
            conditions += [f"place >= lo * {n.block()}", f"place < hi * {n.block()}"]
        lines = _lines(*self._taken(), f"const long place = {place};")
        within = "".join(f" + {text.index(Index(0, ((v, n.offset.coefficient(v)),)))}" for v in variables)
        value = text.emit(n.value)
        dtype = n.store.dtype
        target = f"{text.buffer(n.store)}[place{within}]"
        if n.kind != "set":
            old = f"fdl_load_{spellings.SUFFIX[dtype]}({target})" if dtype in dtypes.NARROW_FLOATS else target
            value = spellings.spell(n.kind, dtype, dtype, [old, value], {})
        update = _lines(*self._taken(), f"{target} = {text.stored(n.store, value)};")
        over = (*over[:-1], *(dataclasses.replace(x, pragmas=("FDL_INDEPENDENT",)) for x in over[-1:]))
        body = written("scatter", lines=lines, condition=" && ".join(conditions) or "1", body=_within(over, update))
        return f"scatter-{n.kind} {_dims(n.space)}", _within(loops, body)

    def _routine(self, n: Routine) -> tuple[str, str]:
        text = self.text
        text.tell(*(size for _, size in (*n.operands, *n.results)), *n.sizes)
        parts = [
            f"{text.buffer(b)} + i0 * {f'{size}l' if is_known(size) else size}"
            for b, size in (*n.operands, *n.results, *n.scratch)
        ]
        call = f"{function_of(n, text.target.routines).name}({', '.join([*parts, *map(str, n.sizes)])});"
        loops = _unrolled(self._own(n.space)) if n.unrolled else self._own(n.space)
        return f"{n.key} of {_dims(n.space)} parts", _within(loops, call)


def _unrolled(loops: Sequence[LoopText]) -> tuple[LoopText, ...]:
    return tuple(dataclasses.replace(x, pragmas=(*x.pragmas, "FDL_UNROLLED")) for x in loops)


def _loops(axes: Sequence[Axis], text: Expressions, ranged: bool) -> tuple[LoopText, ...]:
    """Loops along some axes, the first one over the kernel's range if `ranged`."""
    return tuple(
        LoopText(text.axis(a), *(("lo", "hi") if ranged and not k else ("0", str(a.size)))) for k, a in enumerate(axes)
    )


def _values(roots: Sequence[Expr]) -> set[Expr]:
    """Expressions that make values, and no addresses."""
    seen: set[Expr] = set()
    stack = list(roots)
    while stack:
        e = stack.pop()
        if e not in seen:
            seen.add(e)
            stack.extend(e.args)
    return seen


def _within(loops: Sequence[LoopText], body: str) -> str:
    """The body inside of loops, the first one outermost."""
    for x in reversed(loops):
        body = written("loop", name=x.name, start=x.start, stop=x.stop, pragmas=x.pragmas, body=body)
    return body


def _lines(*texts: str) -> str:
    return "\n".join(filter(None, texts))


def _asked(ahead: Sequence[Prefetch], text: Expressions) -> list[str]:
    """Statements that ask for places."""
    return [f"FDL_AHEAD({text.buffer(p.buffer)}, {text.index(p.index + p.ahead)});" for p in ahead]


def _dims(space: Sequence[Axis]) -> str:
    return "x".join(str(a.size) for a in space) or "scalar"


def _folding(n: Reduce) -> tuple[str, str, str]:
    """Suffix of the fold's vector functions (of floats alone), its neutral element, and what joins two scalars."""
    dtype, add = n.value.dtype, n.kind == "add"
    suffix = spellings.SUFFIX[dtype]
    fold = f"{n.kind}_{suffix}" if dtype in (dtypes.float32, dtypes.float64) else ""
    zero = spellings.literal(-0.0, dtype) if n.bare and is_float(dtype) else "0"
    return fold, zero if add else spellings.literal(lowest(dtype), dtype), "FDL_PLUS" if add else f"fdl_max_{suffix}"
