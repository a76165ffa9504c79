"""Who touches what: the one relation between the loops of stages and the memory that they read and write.

Every schedule step and plan that asks whether stages may share a loop, change places, or must wait for each other asks
here:

- `accesses(node)` lists each load and store, with the loops around it and the conditions under which it happens;
- `Access.slab(first)` says which part of a buffer an access touches while its first loops stand still;
- `in_part` and `fault` say whether stages may run part by part, as the body of a composite;
- `History` says behind which stage a later one may move, `lifetimes` from where to where a buffer is needed,
  `rewritten` which buffers do not keep what they held.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fdl.lowering.ir.expr import Buffer, Expr
from fdl.lowering.ir.index import ZERO, Axis, Index
from fdl.lowering.ir.nodes import Argmax, Called, Dot, Fused, Loop, Map, Node, OneStore, Reduce, Routine, Scatter
from fdl.passes.size import is_known


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """What an access touches while some first loops stand at 0: elements from `low` to `high`, both included.

    `steps` says how many elements further each step of a first loop is. `outside` are terms of loops around the stage,
    (axis, elements a step), by which all of it moves.
    """

    low: int
    high: int
    steps: tuple[int, ...]
    outside: tuple[tuple[Axis, int], ...]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Access:
    """One load or store of a stage: `buffer[index]`, and `reach` elements behind it.

    `loops` are those of the innermost stage and of fused rows around it, outermost first; the last `folded` of them are
    a fold that the stage does by itself. `conditions` all hold where it happens; `stage` is the innermost stage.
    """

    buffer: Buffer
    index: Index
    loops: tuple[Axis, ...]
    written: bool
    stage: Node
    conditions: tuple[Expr, ...] = ()
    reach: int = 0
    folded: int = 0

    @property
    def is_known(self) -> bool:
        """Whether all sizes of its loops, its steps and its buffer are numbers."""
        steps = [c for _, c in self.index.terms]
        return is_known(self.buffer.size, self.index.const, self.reach, *steps, *(a.size for a in self.loops))

    def slab(self, first: Collection[Axis]) -> Slab | None:
        """The elements that are touched while the loops in `first` stand still; None where an address follows from
        data.
        """
        low = high = self.index.const
        outside: list[tuple[Axis, int]] = []
        inside = where(self.conditions, self.loops) if self.conditions else None
        for atom, c in self.index.terms:
            if not isinstance(atom, Axis):
                return None
            if atom in first:
                continue
            if atom in self.loops:
                least, most = (0, atom.size - 1) if inside is None else inside[atom]
                low, high = low + min(c * least, c * most), high + max(c * least, c * most)
            else:
                outside.append((atom, c))
        steps = tuple(self.index.coefficient(v) for v in first)
        return Slab(low, high + self.reach, steps, tuple(outside))

    def stays(self, steps: Mapping[Axis, int], size: int) -> bool:
        """Whether, of parts of `size` elements, a step of each loop in `steps` leads that many elements further, and
        all that is touched until then lies in the part.
        """
        if any(self.index.coefficient(v) != step for v, step in steps.items()):
            return False
        found = self.slab(steps)
        return found is not None and not found.outside and found.low >= 0 and found.high < size


def loops_of(n: Node) -> tuple[Axis, ...]:
    """The loops of a stage, outermost first, those of a fold or of a product's sums last."""
    within = (*n.rows, *n.cols) if isinstance(n, Dot) else ()
    return (*getattr(n, "space", ()), *within, *getattr(n, "over", ()))


def accesses(n: Node, around: tuple[Axis, ...] = ()) -> Iterator[Access]:
    """All loads and stores of a stage inside of some loops, and of those inside of it but for what is local to a
    composite.
    """
    loops = tuple(dict.fromkeys((*around, *loops_of(n))))
    folded = sum(a not in around for a in getattr(n, "over", ()))
    if isinstance(n, Called):
        for x, written in ((x, written) for written, side in enumerate(n.sides()) for x in side):
            yield Access(x.buffer, x.index, loops, bool(written), n, reach=x.reach, folded=folded)
    elif isinstance(n, Loop):
        for pair in n.carry:
            yield from (Access(b, ZERO, (), b is pair[1], n, reach=b.size - 1) for b in pair)
        if n.test_result is not None:
            yield Access(n.test_result, ZERO, (), False, n)
    else:
        for e, conditions in loads(n.roots()):
            yield Access(e.attr[0], e.attr[1], loops, False, n, conditions, folded=folded)
        for buffer, offset in stores(n):
            yield Access(buffer, offset, loops, True, n, folded=folded)
    if isinstance(n, Fused):
        yield from (a for m in n.body for a in accesses(m, n.around) if a.buffer not in n.locals)
    else:
        yield from (a for nodes in n.nested() for m in nodes for a in accesses(m))


def stores(n: Node) -> list[tuple[Buffer, Index]]:
    """Where a map or a stage of one result stores."""
    if isinstance(n, Map):
        return [(s.buffer, s.offset) for s in n.stores]
    return [(n.store, n.offset)] if isinstance(n, OneStore) else []


def loads(roots: Sequence[Expr]) -> Iterator[tuple[Expr, tuple[Expr, ...]]]:
    """Each load in some expressions, operands first, with the conditions under which it is evaluated: once for each
    set of them.
    """
    order = dict.fromkeys(x for e in roots for x in e.loads())
    if not any(e.branches for e in roots):
        yield from ((x, ()) for x in order)
        return
    met: dict[Expr, dict[tuple[Expr, ...], None]] = {}
    stack: list[tuple[Expr, tuple[Expr, ...]]] = [(e, ()) for e in roots]
    while stack:
        e, around = stack.pop()
        if around in met.setdefault(e, {}):
            continue
        met[e][around] = None
        if e.op == "choose":
            *conditions, chosen, other = e.args
            stack += [*((c, around) for c in conditions), (chosen, (*around, *conditions)), (other, around)]
        else:
            stack += [(c, around) for c in e.operands]
    yield from ((x, around) for x in order for around in met[x])


def places_read(n: Node) -> dict[Buffer, set[Index]]:
    """Addresses at which a stage itself loads, by buffer."""
    places: dict[Buffer, set[Index]] = {}
    for buffer, place in (x.attr for e in n.roots() for x in e.loads()):
        places.setdefault(buffer, set()).add(place)
    return places


def loads_first(n: Node, old: Buffer, new: Buffer) -> bool:
    """Whether each iteration of a stage loads the elements of `old` that lie where it stores to `new`, and no others:
    then the two may have the same memory.
    """
    if not isinstance(n, Map):
        return False
    stored = {s.offset for s in n.stores if s.buffer is new}
    return all(x.attr[1] in stored for e in n.roots() for x in e.loads() if x.attr[0] is old)


# Parts


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """What one of the parts of a stage runs of a loop: `run` steps from `part // stride % number * run` on."""

    loop: Axis
    stride: int
    number: int
    run: int

    def first(self, part: int) -> int:
        """The first step of this part."""
        return part // self.stride % self.number * self.run


def cuts(loops: Sequence[Axis], count: int) -> list[Cut] | None:
    """How the first loops come apart where iterations are cut into `count` equal runs; None where a run is no box."""
    found: list[Cut] = []
    for v in loops:
        d = v.size
        if count == 1 or d == 1:
            continue
        if d and count % d == 0:
            count //= d
            found.append(Cut(v, count, d, 1))
        elif d % count == 0:
            found.append(Cut(v, 1, count, d // count))
            count = 1
        else:
            return None
    return found if count == 1 else None


def in_part(a: Access, count: int) -> bool:
    """Whether an access lies in the own one of `count` equal parts of its buffer, in each of `count` parts of its
    stage.
    """
    found, size = cuts(a.loops[: len(a.loops) - a.folded], count), a.buffer.size // count
    if a.buffer.size % count or found is None:
        return False
    run = math.prod(c.run for c in found)
    if size % run:
        return False
    return a.stays({c.loop: size * c.stride // c.run for c in found}, size // run)


def comes_apart(n: Node, around: Fused) -> bool:
    """Whether a stage has the parts of a composite, in the way in which that one runs."""
    space: tuple[Axis, ...] = getattr(n, "space", ())
    if around.kernel:
        once = not isinstance(n, Reduce) or n.rows or around.accumulates(n)
        return once and set(space).isdisjoint(around.loops)
    if isinstance(n, Dot):
        return cuts(space, around.count) is not None or (n is around.product and n.m % around.count == 0)
    if isinstance(n, (Fused, Routine)) or around.product is not None:
        called = isinstance(n, (Map, Reduce, Argmax, Routine)) or (isinstance(n, Fused) and n.kernel)
        return called and (bool(space) or isinstance(n, Fused)) and n.extent() % around.count == 0
    return isinstance(n, (Map, Reduce, Argmax)) and cuts(space, around.count) is not None


def fault(n: Fused, conditions: bool = True, new: Node | None = None) -> str | None:
    """Why the stages of a composite, one after another for each part, would not mean what they mean one after another;
    None where they do. What two stages only write, they write in different places.

    `conditions` may bound what is read; where one stage is `new`, the others are known not to disturb each other.
    """
    stages = [m for m in n.body if m.reads() or m.writes()]  # what the plan has put between them touches nothing
    for m in stages:
        if not comes_apart(m, n):
            return f"{type(m).__name__} over {[a.size for a in loops_of(m)]} does not make {n.count} parts"
    reads, writes = [set(m.reads()) for m in stages], [set(m.writes()) for m in stages]
    if n.product is not None and (len(stages) > 2 or writes[-1] & reads[0]):
        return "a product hands its rows to one stage, which writes over none of its operands"
    shared: set[Buffer] = set()
    for i, j in itertools.combinations(range(len(stages)), 2):
        if new is None or stages[i] is new or stages[j] is new:
            shared |= writes[i] & reads[j] | writes[j] & reads[i]
    for m, touched in zip(stages, map(set.union, reads, writes), strict=True):
        for a in accesses(m, n.around) if touched & shared else ():
            if a.buffer in shared and not in_part(a if conditions else dataclasses.replace(a, conditions=()), n.count):
                return f"a part of {type(m).__name__} touches {a.buffer} where other parts do"
    return None


# Conditions


def comparison(condition: Expr) -> tuple[Any, int, bool] | None:
    """(axis, number, below) where a condition says that the step of an axis is below a number, or that it is not."""
    if condition.op not in ("lt", "ge") or condition.args[0].op != "number" or condition.args[1].op != "const":
        return None
    index = condition.args[0].attr
    if len(index.terms) != 1 or index.terms[0][1] != 1:
        return None
    return index.terms[0][0], int(condition.args[1].attr) - index.const, condition.op == "lt"


def single(conditions: Sequence[Expr]) -> list[Expr]:
    """The comparisons of which all have to hold."""
    found = list(conditions)
    while any(e.op == "and" for e in found):
        found = [part for e in found for part in (e.args if e.op == "and" else (e,))]
    return found


def where(conditions: Sequence[Expr], loops: Iterable[Axis]) -> dict[Axis, tuple[int, int]]:
    """The least and the largest step of each loop where conditions hold, as far as they are comparisons."""
    found = {v: (0, v.size - 1) for v in loops}
    for v, number, below in filter(None, map(comparison, single(conditions))):
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


def gathered(nodes: Iterable[Node], join: Callable[[Node, list[Node], History], tuple[int, Node] | None]) -> list[Node]:
    """Stages in order, some of them as parts of earlier ones: of a stage, `join` is told those that stand before it and
    their history, and gives the place of the one that it joins, and what is there from then on.
    """
    out, history = list[Node](), History()
    for n in nodes:
        place, joined = join(n, out, history) or (len(out), n)
        out[place : place + 1] = [joined]
        history.put(n, place)
    return out


def lifetimes(nodes: Sequence[Node]) -> dict[Buffer, tuple[int, int]]:
    """For each buffer the places of the first and of the last of these nodes that touch it, inside or not."""
    found: dict[Buffer, tuple[int, int]] = {}
    for place, n in enumerate(nodes):
        for b in (*n.reads(), *n.writes()):
            found[b] = found.get(b, (place, place))[0], place
    return found


def rewritten(nodes: Iterable[Node]) -> set[Buffer]:
    """Buffers of which an element may change after it was read: those that loops carry or scatters combine with, and
    what a stage writes over.
    """
    read: set[Buffer] = set()
    found: set[Buffer] = set()

    def visit(nodes: Iterable[Node]) -> None:
        for n in nodes:
            for nested in n.nested():
                visit(nested)
            if isinstance(n, Loop):
                found.update(b for pair in n.carry for b in pair)
            elif not n.nested():
                read.update(n.reads(), [n.store] if isinstance(n, Scatter) else [])
                found.update(read.intersection(n.writes()))

    visit(nodes)
    return found


def passes(moved: Sequence[Node], others: Sequence[Node]) -> bool:
    """Whether stages may run behind others that stand behind them: none of these touches what they write, or writes
    what they read.
    """
    written = {b for n in moved for b in n.writes()}
    read = {b for n in moved for b in n.reads()}
    return not any(b in read or b in written for n in others for b in n.writes()) and not any(
        b in written for n in others for b in n.reads()
    )
