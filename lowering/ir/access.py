"""Who touches what: the one relation between the loops of stages and the memory that they read and write.

Every schedule step and plan that asks whether stages may share a loop, change places, or must wait for each other asks
here:

- `accesses(node)` lists each load and store, with the loops around it and the conditions under which it happens;
- `Access.slab(first)` says which part of a buffer an access touches while its first loops stand still;
- `History` says behind which stage a later one may move.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from fdl.lowering.ir.expr import Buffer, Expr, walk
from fdl.lowering.ir.index import Index, LoopVar, space_vars
from fdl.lowering.ir.nodes import Argmax, Dot, Map, Nest, Node, OneStore, Operand, Reduce

Loops = Mapping[LoopVar, int]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """What an access touches while some first loops stand at 0: elements from `low` to `high`, both included.

    `steps` says how many elements further each step of a first loop is. `outside` are terms of counters of loops
    around the stage, (counter, elements a step), by which all of it moves.
    """

    low: int
    high: int
    steps: tuple[int, ...]
    outside: tuple[tuple[LoopVar, int], ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Access:
    """One load or store of a stage: `buffer[index]`, and `reach` elements behind it.

    `loops` are the loops of the innermost stage with their sizes, outermost first; `guards` are the conditions that
    all hold where it happens; `stage` is the innermost stage.
    """

    buffer: Buffer
    index: Index
    loops: Loops
    written: bool
    stage: Node
    guards: tuple[Expr, ...] = ()
    reach: int = 0

    def always(self) -> Access:
        """The same where its conditions hold or not."""
        return dataclasses.replace(self, guards=()) if self.guards else self

    def slab(self, first: Collection[LoopVar]) -> Slab | None:
        """The elements that are touched while the loops in `first` stand still; None where an address follows from
        data.
        """
        low = high = self.index.const
        outside: list[tuple[LoopVar, int]] = []
        inside = where(self.guards, self.loops) if self.guards else None
        for atom, c in self.index.terms:
            if not isinstance(atom, LoopVar):
                return None
            if atom in first:
                continue
            if atom in self.loops:
                least, most = (0, self.loops[atom] - 1) if inside is None else inside[atom]
                low, high = low + min(c * least, c * most), high + max(c * least, c * most)
            elif atom.step:
                outside.append((atom, c))
            else:
                return None
        steps = tuple(self.index.coefficient(v) for v in first)
        return Slab(low, high + self.reach, steps, tuple(outside))

    def stays(self, steps: Mapping[LoopVar, int], size: int) -> bool:
        """Whether, of slabs of `size` elements, a step of each loop in `steps` leads that many elements further, and
        all that is touched until then lies in the slab.
        """
        if any(self.index.coefficient(v) != step for v, step in steps.items()):
            return False
        found = self.slab(steps)
        return found is not None and not found.outside and found.low >= 0 and found.high < size


def loops_of(n: Node) -> dict[LoopVar, int]:
    """The loops of a stage with their sizes, outermost first, those of a fold last."""
    over = n.over if isinstance(n, Reduce) else (n.over,) if isinstance(n, Argmax) else ()
    return sized((*getattr(n, "space", ()), *over))


def row_steps(outer: Sequence[int], size: int) -> dict[LoopVar, int]:
    """How many elements further a step of each of these first loops leads where it walks over rows of `size`."""
    steps: dict[LoopVar, int] = {}
    for v, d in reversed(sized(outer).items()):
        if d > 1:
            steps[v] = size
        size *= d
    return steps


def sized(sizes: Sequence[int], start: int = 0) -> dict[LoopVar, int]:
    """Loops of these sizes, the first of which is number `start` of its stage."""
    return {v.terms[0][0]: d for v, d in zip(space_vars(len(sizes), start), sizes, strict=True)}


def accesses(n: Node) -> Iterator[Access]:
    """All loads and stores of a stage without stages of its own, or of a nest but for what is local to it."""
    if isinstance(n, Nest):
        for m in n.body:
            yield from (a for a in accesses(m) if a.buffer not in n.locals)
    elif isinstance(n, Dot):
        loops = loops_of(n)
        for x in (n.lhs, n.rhs, n.out):
            yield Access(x.buffer, x.offset, loops, x is n.out, n, reach=reach_of(x))
    else:
        loops = loops_of(n)
        for e, guards in loads(n.roots()):
            yield Access(e.attr[0], e.attr[1], loops, False, n, guards)
        for buffer, offset in stores(n):
            yield Access(buffer, offset, loops, True, n)


def stores(n: Node) -> list[tuple[Buffer, Index]]:
    """Where a map or a stage of one result stores."""
    if isinstance(n, Map):
        return [(s.buffer, s.offset) for s in n.stores]
    return [(n.store, n.offset)] if isinstance(n, OneStore) else []


def reach_of(x: Operand) -> int:
    """How many elements a matrix reaches past its first one; the whole buffer where it walks backwards."""
    steps = [(size - 1) * step for size, step in (*x.rows, *x.cols)]
    return sum(steps) if min(steps) >= 0 else x.buffer.size


def loads(roots: Sequence[Expr]) -> Iterator[tuple[Expr, tuple[Expr, ...]]]:
    """Each load in some expressions, operands first, with the conditions under which it is evaluated: once for each
    set of them.
    """
    order = walk(roots)
    if not any(e.op == "choose" for e in order):
        yield from ((e, ()) for e in order if e.op == "load")
        return
    met: dict[Expr, dict[tuple[Expr, ...], None]] = {}
    stack: list[tuple[Expr, tuple[Expr, ...]]] = [(e, ()) for e in roots]
    while stack:
        e, guards = stack.pop()
        if guards in met.setdefault(e, {}):
            continue
        met[e][guards] = None
        if e.op == "choose":
            stack += [*((c, guards) for c in e.args[:-2]), (e.args[-2], (*guards, *e.args[:-2])), (e.args[-1], guards)]
        else:
            stack += [(c, guards) for c in e.operands]
    yield from ((e, guards) for e in order if e.op == "load" for guards in met[e])


def places_read(n: Node) -> dict[Buffer, set[Index]]:
    """Addresses at which a stage itself loads, by buffer."""
    places: dict[Buffer, set[Index]] = {}
    for e in walk(n.roots()):
        if e.op == "load":
            places.setdefault(e.attr[0], set()).add(e.attr[1])
    return places


# Conditions


def comparison(guard: Expr) -> tuple[Any, int, bool] | None:
    """(variable, number, below) where a condition says that a loop variable is below a number, or that it is not."""
    if guard.op not in ("lt", "ge") or guard.args[0].op != "number" or guard.args[1].op != "const":
        return None
    index = guard.args[0].attr
    if len(index.terms) != 1 or index.terms[0][1] != 1:
        return None
    return index.terms[0][0], int(guard.args[1].attr) - index.const, guard.op == "lt"


def conditions(guards: Sequence[Expr]) -> list[Expr]:
    """Single conditions of which all have to hold."""
    found = list(guards)
    while any(e.op == "and" for e in found):
        found = [part for e in found for part in (e.args if e.op == "and" else (e,))]
    return found


def where(guards: Sequence[Expr], sizes: Mapping[Any, int]) -> dict[Any, tuple[int, int]]:
    """The least and the largest value of each loop variable where the guards hold, as far as they are comparisons."""
    found = {v: (0, d - 1) for v, d in sizes.items()}
    for v, number, below in filter(None, map(comparison, conditions(guards))):
        if v in found:
            low, high = found[v]
            found[v] = (low, min(high, number - 1)) if below else (max(low, number), high)
    return found


# Order


class History:
    """Stages in the order in which they stand so far, and who touched each buffer last.

    A stage that joins an earlier one runs before all that stands behind that one: `joins` says where it may.
    """

    def __init__(self) -> None:
        self._written: dict[Buffer, int] = {}
        self._touched: dict[Buffer, int] = {}

    def source(self, n: Node) -> int:
        """The place of the last stage that makes something that `n` reads; -1 where none does."""
        return max((self._written[b] for b in n.reads() if b in self._written), default=-1)

    def joins(self, n: Node, place: int, within: bool = False) -> bool:
        """Whether `n` may run as a part of the stage at `place`: what it reads is made there or before, and what it
        writes nobody has touched behind, nor, but `within` the same iterations, there.
        """
        return self.source(n) <= place and all(self._touched.get(b, -1) < place + within for b in n.writes())

    def put(self, n: Node, place: int) -> None:
        """`n` runs at `place` from now on."""
        for b in n.writes():
            self._written[b] = max(place, self._written.get(b, -1))
        for b in [*n.reads(), *n.writes()]:
            self._touched[b] = max(place, self._touched.get(b, -1))


def passes(moved: Sequence[Node], others: Sequence[Node]) -> bool:
    """Whether stages may run behind others that stand behind them: none of these touches what they write, or writes
    what they read.
    """
    written = {b for n in moved for b in n.writes()}
    read = {b for n in moved for b in n.reads()}
    return not any(b in read or b in written for n in others for b in n.writes()) and not any(
        b in written for n in others for b in n.reads()
    )
