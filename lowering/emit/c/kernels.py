"""From a node of a planned program to the text of its kernel: expressions become statements, nodes become loops.

Each loop nest is written by the macro of its kind in `kernel.c.j2`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fdl.lowering.emit.expressions import Expressions, Folding, by_macro, is_strided, joined
from fdl.lowering.ir import spellings
from fdl.lowering.ir.access import loops_of
from fdl.lowering.ir.expr import Expr, Interner, walk
from fdl.lowering.ir.fold import LANES
from fdl.lowering.ir.index import ZERO, Axis, Index, Kind
from fdl.lowering.ir.nodes import Argmax, Fused, Map, Node, OneStore, Prefetch, Reduce, Routine, Scatter, Scope
from fdl.lowering.ir.planned import Arena
from fdl.lowering.ir.rewrite import Rewriting
from fdl.lowering.ir.routines import function_of
from fdl.lowering.target import Target
from fdl.passes.size import is_known


class Function(NamedTuple):
    """A function before it has a name: equal ones become one."""

    comment: str
    result: str
    params: tuple[str, ...]
    body: str


class Kernel(NamedTuple):
    """The function of a stage, its text, which knows what a call hands to it but for the range of its first loop, and
    the headers that it needs beyond those of every program.
    """

    function: Function
    text: Expressions
    headers: list[str]


class LoopText(NamedTuple):
    """A loop that counts up."""

    name: str
    start: str
    stop: str


class Element(NamedTuple):
    """Statements for one element, its value after these, and the statements that store the result."""

    lines: str
    value: str
    stores: str


OF_VECTORS = ("add", "sub", "mul", "div", "neg")  # operators of C, which take vectors of gcc as they take numbers

written = functools.partial(by_macro, "c/kernel.c.j2")


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
        comment, body = KernelWriter(text, n.space[:1], (), ("FDL_INDEPENDENT",) if over else ()).part(n)  # type: ignore[attr-defined]
    streams = any(s.past_caches for m in (n.body if isinstance(n, Fused) else [n]) for s in getattr(m, "stores", ()))
    headers = ["fdl_stream.h"] if streams else []
    if isinstance(n, Routine):
        headers.append(function_of(n, target.routines).header)
    params = (*text.params(n.writes(), {*over, *over.values()}), "long lo", "long hi")
    function = Function(comment, "void", params, joined(body, "fdl_streamed();" if streams else ""))
    return Kernel(function, text, headers)


def _weaves(nodes: Sequence[Node]) -> bool:
    """Whether stores of one loop lie side by side in a buffer, as those of interleaved numbers do."""
    stores = [s for n in nodes if isinstance(n, Map) for s in n.stores if is_strided(s.offset)]
    places = [(s.buffer, s.offset.terms) for s in stores]
    return len(set(places)) < len(places)


def _fused_rows(n: Fused, exprs: Interner, target: Target) -> tuple[Expressions, str, str]:
    """Stages one after another for each row; folds down columns are totals, which are kept while rows pass."""
    kept = {b: 1 if scope is Scope.REGISTER else b.size // n.count for b, scope in n.locals.items()}
    loops, steps = n.loops, dict[Axis, Index]()
    if n.chunk:  # rows are counted through
        loops = exprs.axes([n.count])
        steps = {n.loops[0]: ZERO, n.loops[1]: loops[0].index}
    counted = Rewriting(exprs, steps)
    text = Expressions(target, rows=kept, outer=loops, weaves=_weaves(n.body))
    writer = KernelWriter(text, loops[:1], loops)
    parts, totals = list[str](), list[tuple[str, str, str]]()
    for m in n.body:
        if isinstance(m, Reduce) and n.accumulates(m):
            totals.append(_total(m, text, n.loops[0], counted, f"total{len(totals)}"))
        else:
            comment, body = writer.part(counted.stage(m) if steps else m)
            parts.append(written("part", comment=comment, body=body))
    text.enter(loops)
    rows = [
        f"{spellings.storage_type(b.dtype)} {name}{f'[{size}]' if size > 1 else ''};"
        for b, (name, size) in text.rows.items()
    ]
    ahead = [dataclasses.replace(p, index=counted.index(p.index)) for p in n.ahead]
    comment = f"fused rows ({_dims(loops)}): {', '.join(type(m).__name__.lower() for m in n.body)}"
    begin, add, end = (joined(*texts) for texts in zip(*totals, strict=True)) if totals else ("", "", "")
    row = joined(*_asked(ahead, text), *rows, *parts, add)
    if not n.chunk:
        return text, comment, writer.within(loops, row)
    return text, comment, written("chunks", rows=n.chunk, begin=begin, body=row, end=end)


def _total(n: Reduce, text: Expressions, chunk: Axis, counted: Rewriting, name: str) -> tuple[str, str, str]:
    """A fold down columns that fused rows keep while they pass: what begins it, what each row adds, what ends it."""
    text.enter([*text.outer, *n.space])
    (column,), value = n.space, text.emit(counted(n.value))
    lines = joined(*text.taken())
    text.enter([chunk, column])
    store = text.store(n.store, n.offset, f"{name}[i1]")
    about = {"fold": Folding.of(n), "name": name, "width": column.size}
    return (
        written("begin_total", **about),
        written("add_to_total", **about, lines=lines, value=value),
        written("end_total", width=column.size, stores=joined(*text.taken(), store)),
    )


def _vectors_of(n: Reduce) -> list[Expr]:
    """Expressions of a fold's value that are vectors where some elements of a row are computed at once, operands first:
    loads side by side, and what operators of C make of them. None where the value takes more than that.
    """
    found: dict[Expr, None] = {}
    for e in walk([n.value]):
        steps = {i.coefficient(n.over[-1]) for i in e.indices()}
        plain = e.dtype == n.value.dtype and all(isinstance(a, Axis) for i in e.indices() for a, _ in i.terms)
        if not plain or e.op == "number" or not steps <= {0, 1}:
            return []
        if 1 in steps or not found.keys().isdisjoint(e.args):
            found[e] = None
            if e.op not in ("load", *OF_VECTORS):
                return []
    return list(found) if n.value in found else []


class KernelWriter:
    """Writes the loops of a node inside of the `outer` ones. The kernel gets the range of the loop in `first`, if there
    is one; `pragmas` are said before the loops that store.
    """

    def __init__(
        self, text: Expressions, first: Sequence[Axis], outer: Sequence[Axis], pragmas: tuple[str, ...] = ()
    ) -> None:
        self.text, self.first, self.outer, self.pragmas = text, first, outer, pragmas
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

    def _dims(self, n: Node) -> str:
        """Sizes of the loops around a node and of its own, but for those of a fold."""
        return _dims([*self.outer, *n.space])  # type: ignore[attr-defined]

    def loop(self, a: Axis) -> LoopText:
        """How a loop counts."""
        return LoopText(self.text.axis(a), *(("lo", "hi") if a in self.first else ("0", str(a.size))))

    def within(self, axes: Sequence[Axis], body: str, *pragmas: str) -> str:
        """The body inside of loops, the first one outermost; pragmas are said before the last one, and before each that
        is written out, that it is.
        """
        for a in reversed(axes):
            unrolled = ("FDL_UNROLLED",) if a.kind is Kind.UNROLLED else ()
            body, pragmas = written("loop", along=self.loop(a), pragmas=(*pragmas, *unrolled), body=body), ()
        return body

    def _element(self, n: OneStore, result: str) -> Element:
        """What one element is, and how the result of all is stored."""
        value = self.text.emit(n.value)
        lines = joined(*self.text.taken())
        store = self.text.store(n.store, n.offset, result)
        return Element(lines, value, joined(*self.text.taken(), store))

    def _map(self, n: Map) -> tuple[str, str]:
        text, stores, beside = self.text, list[str](), list[tuple[str, str, str]]()
        for s in n.stores:
            value = text.emit(s.value)
            if s.past_caches:
                name, place = f"w{len(beside)}", f"&{text.element(s.buffer, s.offset.without(n.space[-1:]))} + page"
                beside.append((spellings.storage_type(s.buffer.dtype), name, place))
                stores.append(f"{name}[{text.axis(n.space[-1])} - page] = {text.stored(s.buffer, value)};")
            else:
                stores.append(text.store(s.buffer, s.offset, value))
        ops = sorted({e.op for e in _values(n.expressions())} - {"const", "load", "number"})
        comment = f"map {self._dims(n)}: {', '.join(ops) or 'copy'}"
        ahead = _asked(n.ahead, text)
        element = joined(*text.taken(), *stores)
        if not n.page:
            row = self.within(n.space[-1:], element, *self.pragmas)
            return comment, self.within(n.space[:-1], joined(*ahead, row))
        last = self.loop(n.space[-1])
        body = written("loop", along=LoopText(last.name, "page", "end"), pragmas=self.pragmas, body=element)
        asked = [f"const long {last.name} = page;", *ahead] if ahead else []
        paged = written("pages", along=last, steps=n.page, beside=beside, ahead=asked, body=body)
        return comment, self.within(n.space[:-1], paged)

    def _reduce(self, n: Reduce) -> tuple[str, str]:
        in_lanes = any(a.kind is Kind.LANES for a in n.space)
        if n.rows and not in_lanes:
            body = self.within(n.space, self._row(n), *self.pragmas)
        else:
            column = self.loop(n.space[-1]) if n.space else LoopText("only", "lo", "hi")
            body = self.within(n.space[:-1], (self._side_by_side if in_lanes else self._columns)(n, column))
        return f"{n.kind} {self._dims(n)} over {_dims(n.over)}", body

    def _row(self, n: Reduce) -> str:
        fold, e, inner = Folding.of(n), self._element(n, "total"), self.loop(n.over[-1])
        if not fold.suffix:
            return written("total", fold=fold, body=self.within(n.over, written("add", fold=fold, e=e)), e=e)
        vectors = _vectors_of(n)
        if vectors == [n.value] and n.value.op == "load":
            buffer, index = n.value.attr
            place = self.text.element(buffer, index.without(n.over[-1:]))
            block = written("block_in_place", fold=fold, place=place, along=inner)
        elif not vectors or (is_known(n.over[-1].size) and n.over[-1].size < LANES):
            block = written("blocks", fold=fold, along=inner, e=e)
        else:
            suffix, join = spellings.SUFFIX[n.value.dtype], f"FDL_JOIN_{n.kind.upper()}"
            of = Element(*self._of_vectors(n, vectors, suffix), "")
            block = written("vectors", fold=fold, along=inner, e=e, of=of, suffix=suffix, join=join)
        return written("row", fold=fold, body=self.within(n.over[:-1], block), e=e)

    def _of_vectors(self, n: Reduce, vectors: Sequence[Expr], suffix: str) -> tuple[str, str]:
        """Statements that compute neighbouring elements of a row as one vector, and its name."""
        text, dtype = self.text, n.value.dtype
        known, text.scopes = text.scopes, [{}]  # names of the statements for one element mean nothing here
        names = {e: text.emit(e) for e in walk([n.value]) if e not in vectors}
        lines, text.scopes = text.taken(), known
        for count, e in enumerate(vectors):
            names[e] = f"v{count}"
            if e.op == "load":
                spelled = f"*(const fdl_vector_{suffix} *)&{text.element(*e.attr)}"
            else:
                spelled = spellings.spell(e.op, dtype, dtype, [names[a] for a in e.args], text.table)
            lines.append(f"const fdl_vector_{suffix} {names[e]} = {spelled};")
        return joined(*lines), names[n.value]

    def _columns(self, n: Reduce, column: LoopText) -> str:
        fold, e, steps = Folding.of(n), self._element(n, "total[lane]"), sorted({n.at_once, 1}, reverse=True)
        if not n.space:
            unused = f"(void){column.name};"
            e = Element(joined(unused, e.lines), e.value, joined(unused, e.stores))
        inner = written("column_steps", fold=fold, along=self.loop(n.over[-1]), steps=steps, column=column, e=e)
        return written("columns", fold=fold, along=column, body=self.within(n.over[:-1], inner), e=e)

    def _side_by_side(self, n: Reduce, row: LoopText) -> str:
        fold, e, join = (
            Folding.of(n),
            self._element(n, "total[lane]"),
            "FDL_PLUS" if n.kind == "add" else "FDL_LARGER_ONE",
        )
        inner = written("into_lanes", lanes=LANES, fold=fold, name=self.text.axis(n.over[-1]), row=row, join=join, e=e)
        return written("side_by_side", lanes=LANES, fold=fold, along=row, body=self.within(n.over, inner), e=e)

    def _argmax(self, n: Argmax) -> tuple[str, str]:
        e = self._element(n, f"({spellings.register_type(n.store.dtype)})where")
        type_ = spellings.register_type(n.value.dtype)
        body = written("argmax", along=self.loop(n.over[0]), type=type_, e=e)
        loops = self.within(n.space, body, *self.pragmas)
        return f"argmax {self._dims(n)} over {_dims(n.over)}", loops

    def _scatter(self, n: Scatter) -> tuple[str, str]:
        """Updates in order. Where two may meet, the kernel's range is one of targets, and each thread does the updates
        of its own.
        """
        text, outer = self.text, len(n.space) - n.inner()
        block = n.space[outer:]
        conditions = [text.emit(c) for c in n.conditions]
        place = text.index(n.offset.without(block))
        if not n.distinct:
            self.first = ()
            conditions += [f"place >= lo * {n.block()}", f"place < hi * {n.block()}"]
        lines = joined(*text.taken(), f"const long place = {place};")
        within = "".join(f" + {text.index(Index(0, ((a, n.offset.coefficient(a)),)))}" for a in block)
        value = text.emit(n.value)
        target = f"{text.buffer(n.store)}[place{within}]"
        if n.kind != "set":
            dtype = n.store.dtype
            value = spellings.spell(n.kind, dtype, dtype, [text.loaded(n.store, target), value], {})
        update = joined(*text.taken(), f"{target} = {text.stored(n.store, value)};")
        updates = self.within(block, update, "FDL_INDEPENDENT")
        body = written("scatter", lines=lines, condition=" && ".join(conditions) or "1", body=updates)
        return f"scatter-{n.kind} {self._dims(n)}", self.within(n.space[:outer], body, *self.pragmas)

    def _routine(self, n: Routine) -> tuple[str, str]:
        text = self.text
        places = [f"{text.buffer(x.buffer)} + {text.index(x.index)}" for x in (*n.operands, *n.results, *n.scratch)]
        text.tell(*n.sizes)
        call = f"{function_of(n, text.target.routines).name}({', '.join([*places, *map(str, n.sizes)])});"
        return f"{n.key} of {self._dims(n)} parts", self.within(n.space, call, *self.pragmas)


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


def _asked(ahead: Sequence[Prefetch], text: Expressions) -> list[str]:
    """Statements that ask for places."""
    return [f"FDL_AHEAD({text.buffer(p.buffer)}, {text.index(p.index + p.ahead)});" for p in ahead]


def _dims(space: Sequence[Axis]) -> str:
    return "x".join(str(a.size) for a in space) or "scalar"
