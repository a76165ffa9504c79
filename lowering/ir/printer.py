"""Loop programs as text, for people: `print(program)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fdl.lowering.ir.expr import Buffer
from fdl.lowering.ir.index import Axis
from fdl.lowering.ir.nodes import (
    Argmax,
    Branch,
    Dot,
    Fused,
    Loop,
    Map,
    Node,
    Prefetch,
    Reduce,
    Routine,
    Scatter,
    Scope,
)
from fdl.lowering.ir.planned import Alias, Alloc, Barrier, Copy, Guard, Home, Stamp, Swap

Lines = list[str]


def declared(b: Buffer) -> str:
    steps = f" at {', '.join(str(step) for _, step in b.axes)}" if b.axes else ""
    return f"{b}:{b.dtype.name}[{b.size}{steps}]"


def printed(nodes: Sequence[Node], indent: str) -> Lines:
    """Lines of nodes, those that are inside of a node indented by two more columns."""
    return [indent + line for n in nodes for line in PRINTED[type(n)](n)]


def _loops(axes: Sequence[Axis]) -> str:
    """Names and sizes of loops, and how their steps run."""
    return f"({', '.join(f'{a}: {a.size} {a.kind.value}'.rstrip() for a in axes)})"


def _how(n: Node) -> str:
    """Who runs a stage, and in which unit behind the first one it is compiled."""
    words = [n.threads.value, f"in unit {n.unit}" if n.unit else ""]
    return "".join(f" {word}" for word in words if word)


def _asked(ahead: Sequence[Prefetch]) -> Lines:
    return [f"  prefetch {p.buffer}[{p.index + p.ahead}]" for p in ahead]


def _map(n: Map) -> Lines:
    paged = f" by pages of {n.page}" if n.page else ""
    stores = [f"  {s.buffer}[{s.offset}] = {s.value}{' past the caches' if s.past_caches else ''}" for s in n.stores]
    return [f"map {_loops(n.space)}{paged}{_how(n)}", *_asked(n.ahead), *stores]


def _reduce(n: Reduce) -> Lines:
    arranged = f" {n.at_once} at once" if n.at_once > 1 else ""
    head = f"reduce {_loops(n.space)} over {_loops(n.over)}{arranged}{_how(n)}"
    return [f"{head}: {n.store}[{n.offset}] = {n.kind} of {n.value}", *_asked(n.ahead)]


def _fused(n: Fused) -> Lines:
    kind = "fused rows" if n.kernel else "tile" if n.product is None else "epilogue"
    totals = f", totals of {n.chunk} rows" if n.chunk else ""
    kept = "".join(f", {b} in {scope.value}" for b, scope in n.locals.items())
    return [f"{kind} {_loops(n.loops)}{totals}{kept}{_how(n)}", *_asked(n.ahead), *printed(n.body, "  ")]


def _argmax(n: Argmax) -> Lines:
    return [f"argmax {_loops(n.space)} over {_loops(n.over)}{_how(n)}: {n.store}[{n.offset}] = argmax of {n.value}"]


def _scatter(n: Scatter) -> Lines:
    equals = "=" if n.kind == "set" else f"{n.kind}="
    return [f"scatter {_loops(n.space)}{_how(n)}: {n.store}[{n.offset}] {equals} {n.value} if {n.conditions}"]


def _dot(n: Dot) -> Lines:
    loops = f"{_loops(n.space)} rows {_loops(n.rows)} columns {_loops(n.cols)} over {_loops(n.over)}"
    out, lhs, rhs = (f"{x.buffer}[{x.index}]" for x in (n.out, n.lhs, n.rhs))
    return [f"dot {loops}{_how(n)}", f"  {out} = {lhs} @ {rhs}"]


def _routine(n: Routine) -> Lines:
    return [f"routine {_loops(n.space)} {n.key}{n.sizes}{_how(n)}: {n.writes()} from {n.reads()}"]


def _loop(n: Loop) -> Lines:
    turns = f"while {n.test_result}" if n.axis is None else _loops([n.axis])
    carry = f", carry {n.carry}" if n.carry else ""
    head = f"loop {turns}{' reversed' if n.reverse else ''}{carry}{_how(n)}"
    return [head, *(line for nested in n.nested() for line in [*printed(nested, "  "), "  --"])]


def _branch(n: Branch) -> Lines:
    head = f"branch on {n.index}{_how(n)}"
    return [head, *(line for nested in n.bodies for line in [*printed(nested, "  "), "  --"])]


# Of planned programs


def _alloc(n: Alloc) -> Lines:
    place = "" if n.scope is Scope.THREAD else f" at {n.offset}"
    return [f"alloc {declared(n.buffer)} in {n.scope.value}{place}"]


def _alias(n: Alias) -> Lines:
    return [f"alias {declared(n.buffer)} in place of {n.home}"]


def _barrier(n: Barrier) -> Lines:
    return [f"barrier{f' unless threads divide {n.unless}' if n.unless != 1 else ''}"]


def _guard(n: Guard) -> Lines:
    return [f"end if any of {n.flags}"]


def _copy(n: Copy) -> Lines:
    return [f"copy {', '.join(f'{b} = {a}' for a, b in n.pairs)}{_how(n)}"]


def _swap(n: Swap) -> Lines:
    return [f"swap {n.old} with {n.new}"]


def _home(n: Home) -> Lines:
    return [f"home {n.old} from {n.new}{_how(n)}"]


def _stamp(n: Stamp) -> Lines:
    return [f"stamp{' of what was waited' if n.waited else ''}"]


PRINTED: dict[type[Node], Callable[[Any], Lines]] = {
    Map: _map,
    Reduce: _reduce,
    Fused: _fused,
    Argmax: _argmax,
    Scatter: _scatter,
    Dot: _dot,
    Routine: _routine,
    Loop: _loop,
    Branch: _branch,
    Alloc: _alloc,
    Alias: _alias,
    Barrier: _barrier,
    Guard: _guard,
    Copy: _copy,
    Swap: _swap,
    Home: _home,
    Stamp: _stamp,
}
