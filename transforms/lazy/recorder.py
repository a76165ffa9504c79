"""The recorder: a walk through the trie, and the flush at its end.

Invariants. The node alone says where the walk is: `values` may be longer than `node.slots` for the time of a `bind`,
and is cut back if that fails; a mark counts only where the array lies in the slot that it names, so what was cut off
needs no clearing. A `bind` commits by one assignment. Results of a flush become data in one call, and what an interrupt
leaves pending is flushed again. User code (forcing of foreign values, tracing) runs before anything is committed, and
the bind starts again if the walk has moved. A recorder that is met while busy (signal handler, `__del__`) lets a spare
one take the operation.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.backends.native import NATIVE, on_native
from fdl.backends.runtime import probe
from fdl.core.array import DONATED, VOLATILE, ConcreteArray, Deferred
from fdl.core.avals import ShapedArray, shaped
from fdl.core.blocks import whole
from fdl.core.config import config
from fdl.core.dtypes import PYTHON_BOOL, PYTHON_COMPLEX, PYTHON_FLOAT, PYTHON_INT, scalar_type
from fdl.core.errors import DeferredError
from fdl.core.graph import Literal
from fdl.core.limits import check_results
from fdl.core.source import Location, user_location
from fdl.core.trace import Valueless, aval_of
from fdl.ops.checks import Failure, check_p
from fdl.transforms.lazy import programs
from fdl.transforms.lazy.programs import Choice, Ending, Program, program_of
from fdl.transforms.lazy.trie import SOFT_BYTES, SOFT_OPERATIONS, Node, Operation

TRIE_NODES, TRIE_ENDINGS = (
    10_000,
    256,
)  # past one of these the trie is dropped: programs that come back are found again by what they are

_EPOCHS = itertools.count(1)
_SLOTS = 1 << 32  # a mark is epoch * _SLOTS + slot

_FLOAT, _INT, _BOOL, _COMPLEX = (shaped((), *kind) for kind in (PYTHON_FLOAT, PYTHON_INT, PYTHON_BOOL, PYTHON_COMPLEX))
_refs = sys.getrefcount


def held(values: Sequence[Any], slots: Sequence[int]) -> tuple[bool, ...]:
    """Which values in some slots somebody besides `values` holds."""
    return NATIVE.held(values, slots, 1) if NATIVE.held is not None else _held(values, slots, _ALONE)


def _held(values: Sequence[Any], slots: Sequence[int], limit: int) -> tuple[bool, ...]:
    """Whether somebody besides `values` holds each of these."""
    return tuple([_refs(values[s]) > limit for s in slots])


# What the count is where nobody else holds the value, measured with the same code.  On builds whose counts mean nothing
# all is taken to be alive.
_ALONE = (
    next(n for n in range(10) if not _held([object()], [0], n)[0])
    if getattr(sys, "_is_gil_enabled", lambda: True)()
    else -1
)


class Segment(Deferred):
    """The pending part of a recorder: what stands in the place of the data of its results until they are computed."""

    __slots__ = (
        "base",
        "error",
        "journals",
        "lines",
        "node",
        "outputs",
        "owner",
        "ran",
        "recorder",
        "settled",
        "values",
    )

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.owner = threading.get_ident()
        self.base = next(_EPOCHS) * _SLOTS
        self.values: list[Any] = []  # leaves (arrays, Python numbers) and results by slot
        self.node: Node = recorder.root
        self.settled: frozenset[int] = frozenset()  # slots of results that are computed already
        self.lines: list[Location | None] = []  # of checks
        self.journals: list[dict[Any, Any]] = []  # the recorder's journal of the time before each check
        self.error: BaseException | None = None
        self.outputs: list[int] = []  # slots of the results of the program that was begun
        self.ran = False  # whether it has come to its end, so that only its checks are left

    def force(self, array: ConcreteArray) -> None:
        if self.error is not None:
            raise DeferredError(
                f"an array {array.aval.describe()} was never computed",
                why=f"the recorded program that it belongs to failed: {type(self.error).__name__}",
                hint="see the error above",
            ) from self.error
        if self.owner == threading.get_ident() and not self.recorder.busy and self.recorder.segment is self:
            self.recorder.flush()
        else:
            self._run_prefix(array)

    def _run_prefix(self, array: ConcreteArray) -> None:
        """Compute one value for another thread, or in the midst of a bind, and leave the walk as it is."""
        with self.recorder.lock:
            if array._data is self:
                slot, node = array._mark - self.base, self.node
                while node.first > slot and node.parent is not None:
                    node = node.parent
                self.compute(node, [slot], checked=True)

    def compute(self, node: Node, slots: list[int], checked: bool) -> None:
        """Compute some values of the walk up to a node, and leave the walk as it is; `checked` looks at checks on the
        way.
        """
        settled = frozenset([s for s in self.settled if s < node.slots])
        program_of(node.graph(slots, settled, checked)).run(self.values, node.end(settled).leaves, slots, ())


_RECORDERS: weakref.WeakSet[Recorder] = weakref.WeakSet()
_LISTING = threading.RLock()  # a signal handler may record while its own thread holds it


def all_recorders() -> list[Recorder]:
    """Those of all threads, spare ones included."""
    with _LISTING:
        return list(_RECORDERS)


class Recorder:
    """Records the operations of one thread."""

    __slots__ = (
        "__weakref__", "_spare", "busy", "endings", "journal", "lock", "nodes", "plain", "root", "segment", "special",
        "volatile", "wanted",
    )  # fmt: skip

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.busy = False
        self.special = False  # whether whoever records looks at each operation first
        self.wanted = False  # the program is complete but for values that are about to die
        self.root = Node()
        self.nodes = 0
        self.endings = 0
        self.journal: dict[Any, Any] = {}  # cells rebound since the last check or flush, with what they held
        self.segment: Segment
        self._spare: Recorder | None = None
        self._restart()
        with _LISTING:
            _RECORDERS.add(self)

    def _restart(self) -> None:
        segment = Segment(self)
        self.segment, self.journal = segment, {}
        self._be_plain()

    def _be_plain(self) -> None:
        self.wanted = self.volatile = False
        self.plain = not (
            config.eager or self.special
        )  # nothing is special about the next operation, but that the recorder may be busy

    @property
    def spare(self) -> Recorder:
        """Who records while this one is busy."""
        if self._spare is None:
            self._spare = Recorder()
        return self._spare.spare if self._spare.busy else self._spare

    def mark_special(self, special: bool) -> None:
        """Say whether operations are looked at before they are recorded, so that the runtime library takes none by
        itself.
        """
        self.special = special
        self.plain = not (config.eager or special or self.wanted)

    def forget(self) -> None:
        """Go on in a new trie, since what the nodes of this one hold follows from rules that change.

        A program that another thread has begun to record is finished, each of its next operations a miss.
        """
        self.root, self.nodes, self.endings = Node(), 0, 0
        segment = self.segment
        if segment.node.operation is None and not segment.values:
            segment.node = self.root
        else:
            segment.node.children, segment.node.endings, segment.node.slices = {}, {}, {}

    # Recording

    def bind(
        self, head: Any, operands: Sequence[Any], resolve: Callable[[Any, list[ShapedArray]], Operation]
    ) -> tuple[list[ConcreteArray], Any]:
        """Record an operation: its results, pending, and the `info` of the operation.

        `head` is hashable and names it with its static parameters; `resolve(head, avals)` checks types and says what it
        is, on a miss alone. Operands are arrays, Literals, and Python numbers, which are inputs of the program whatever
        their values.
        """
        if self.busy:
            return self.spare.bind(head, operands, resolve)
        if NATIVE.bind is not None and not config.eager:
            self.busy = True
            try:
                hit: tuple[list[ConcreteArray], Any] | None = NATIVE.bind(self.segment, head, operands)
            finally:
                self.busy = False
            if hit is not None:
                return hit
        if self.segment.node.over:
            self._limit(head, operands)
        return self._bind(head, operands, resolve)

    def _bind(
        self, head: Any, operands: Sequence[Any], resolve: Callable[[Any, list[ShapedArray]], Operation]
    ) -> tuple[list[ConcreteArray], Any]:
        """`bind` in full; the hit path of the runtime library does the same, and nothing where it cannot."""
        self.busy = True
        foreign = valueless = None
        segment = self.segment
        node, base, values = segment.node, segment.base, segment.values
        fresh: list[ShapedArray] = []
        try:
            key: list[Any] = [head]
            for x in operands:
                slot = x._mark - base if type(x) is ConcreteArray else -1
                if not 0 <= slot < len(values) or values[slot] is not x:
                    slot = self._leaf(x, fresh)
                key.append(slot)
            items = tuple(key)
            child = node.children.get(items) or self._grow(node, items, fresh, resolve)
            mark = base + child.first
            outs = [ConcreteArray(aval, segment, mark + i) for i, aval in enumerate(child.out_avals)]
            values += outs
            segment.node = child
        except _Foreign as found:
            foreign = found.array
        except _Valueless as found:
            valueless = found.array
        finally:  # without a call, so that no signal comes in between
            if segment.node is node:
                del values[node.slots :]
            self.busy = False
        if valueless is not None:
            operation = resolve(head, [aval_of(x) for x in operands])
            types: list[Any] = [valueless.of_type(aval) for aval in operation.out_avals]
            return types, operation.info
        if foreign is not None:
            foreign.block_until_ready()
            return self.bind(head, operands, resolve)
        if self.volatile:
            memory = [x._data for x in values if type(x) is ConcreteArray and x._mark == VOLATILE]
            self.flush()
            for out in outs:  # a reference implementation may have answered with a look at memory that is not ours
                if any(np.may_share_memory(out._numpy(), other) for other in memory):
                    out._data = np.array(out._data)
        elif config.eager:
            self.flush()
        return outs, child.info

    def _leaf(self, x: Any, fresh: list[ShapedArray]) -> int:
        """The key's item for an operand that has no slot here by its mark: a new leaf's token, or a slot where another
        recorder took the mark.
        """
        values = self.segment.values
        if type(x) is not ConcreteArray:
            if isinstance(x, Valueless):
                raise _Valueless(x)
            aval = _number(x, values)
        else:
            if x._mark > self.segment.base:  # a later epoch: another recorder met this array, after us perhaps
                for slot, known in enumerate(values):
                    if known is x:
                        return slot
            if isinstance(x._data, Deferred):
                raise _Foreign(x)
            if x._data is DONATED:
                x._numpy()
            if x._mark == VOLATILE:
                self.volatile = True
            else:
                x._mark = self.segment.base + len(values)
            values.append(x)
            aval = x.aval
        fresh.append(aval)
        return aval.token

    def _grow(
        self,
        node: Node,
        key: tuple[Any, ...],
        fresh: Sequence[ShapedArray],
        resolve: Callable[[Any, list[ShapedArray]], Operation],
    ) -> Node:
        """A miss: check the operation and make its node."""
        values, leaves = self.segment.values, iter(enumerate(fresh, node.slots))
        operands: list[int] = []
        avals: list[ShapedArray] = []
        for item in key[1:]:
            slot, aval = (item, values[item].aval) if item >= 0 else next(leaves)
            operands.append(slot)
            avals.append(aval)
        operation = resolve(key[0], avals)
        check_results(operation.out_avals)
        child = node.children[key] = Node(node, key, operation, tuple(operands), tuple(fresh))
        self.nodes += 1
        return child

    def _limit(self, head: Any, operands: Sequence[Any]) -> None:
        """Cut a long program where it would begin again, so that a loop that nobody looks at repeats one program."""
        node = self.segment.node
        if (
            node.count >= 2 * SOFT_OPERATIONS
            or node.bytes >= 2 * SOFT_BYTES
            or node.origin.key == _key_at_root(head, operands)
        ):
            self.flush()

    def check(self, operands: Sequence[Any], failure: Failure) -> None:
        """What `fdl.ops.check` does outside of all transforms: look at a mask that is known, else join the check to the
        program.
        """
        mask, *shown = operands
        for x in shown:
            if type(x) is ConcreteArray and isinstance(x._data, Deferred) and x._data is not self.segment:
                x.block_until_ready()
        head = check_p, (("failure", failure),)
        if not self.busy and self.segment.node.over:
            self._limit(head, operands)
        if self.busy or type(mask) is not ConcreteArray or mask._data is not self.segment:
            found = failure.of(_values(mask), [_values(x) for x in shown])
            if found is not None:
                raise found from None
            return
        segment, line = self.segment, user_location()
        count = segment.node.checks
        for journal in segment.journals[count:]:  # of checks that were not recorded
            self.journal = {**self.journal, **journal}
        del segment.journals[count:], segment.lines[count:]
        segment.journals.append(self.journal)
        segment.lines.append(line)
        self.journal = {}
        self.bind(head, operands, _resolve_check)

    # Flushing

    def flush(self) -> None:
        """Run the program up to here for all results that are alive.

        Where an interrupt comes before it has run, all is pending as before; where it comes later, all is computed.
        """
        if self.busy:
            return
        with self.lock:
            self.busy = True
            try:
                if NATIVE.flush is not None and config.tier != "interpreted" and NATIVE.flush(self):
                    self._be_plain()
                else:
                    self._flush(self.segment, self.journal)
            finally:
                self.busy = False

    def look_at_checks(self, few: bool = True) -> None:
        """Look at what is to be checked before the program runs, each check with all that leads to it; with `few`, only
        where that is a few operations on data.

        What was computed for it the program takes as it is.  Raises as a flush does.
        """
        if self.busy or not self.segment.lines:
            return
        with self.lock:
            self.busy = True
            try:
                self._look(self.segment, self.journal, few)
            except Exception as error:
                whole(self._fail_ahead, self.segment, self.journal, error)
                raise
            finally:
                self.busy = False

    def _flush(self, segment: Segment, journal: dict[Any, Any]) -> None:
        """`flush` in full; the runtime library does the same where the program is compiled and checks nothing."""
        if self.nodes > TRIE_NODES or self.endings > TRIE_ENDINGS:
            self.root, self.nodes, self.endings = Node(), 0, 0
        state = self.wanted, self.volatile, self.plain
        self._restart()
        try:
            if segment.node.operation is not None:
                try:
                    self._run(segment, journal)
                except Exception as error:
                    whole(self._fail, segment, journal, error)
                    raise
        except BaseException:
            if segment.error is None:  # an interrupt; no call here, so that no other one comes in between
                segment.ran = segment.ran or (
                    bool(segment.outputs) and segment.values[segment.outputs[-1]]._data is not segment
                )
                if not segment.ran:
                    self.segment, self.journal = segment, journal
                    self.wanted, self.volatile, self.plain = state
            raise
        segment.values = []

    def _fail(self, segment: Segment, journal: dict[Any, Any], error: BaseException) -> None:
        """What was recorded is never computed, and cells get back what they held."""
        for layer in [journal, *reversed(segment.journals)]:
            for cell, old in layer.items():
                cell.restore(segment.values[old] if type(old) is int else old)
        segment.error = error

    def _fail_ahead(self, segment: Segment, journal: dict[Any, Any], error: BaseException) -> None:
        self._fail(segment, journal, error)
        if self.segment is segment:
            self._restart()

    def _run(self, segment: Segment, journal: dict[Any, Any]) -> None:
        ending = segment.node.endings.get(segment.settled)
        if ending is None:
            ending = segment.node.end(segment.settled)
            self.endings += 1
        if segment.ran:
            return
        live, kept = self._alive(segment, journal, ending)
        if True not in live and not ending.checked:
            return
        choice = ending.choose(live, kept)
        segment.outputs = choice.outputs
        try:
            choice.program.run(segment.values, ending.leaves, choice.outputs, choice.donated)
        except Exception:
            if ending.checked:
                self._look(
                    segment, journal, False
                )  # raises what the check that failed says, and nothing is written yet
            raise
        segment.ran = True

    def _alive(
        self, segment: Segment, journal: dict[Any, Any], ending: Ending
    ) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Which results are wanted, and which inputs that could be overwritten are kept by somebody."""
        for layer in [
            journal,
            *segment.journals,
        ]:  # cells that nobody else holds are dead, and must not keep their arrays alive
            if NATIVE.prune is not None:
                NATIVE.prune(layer)
            else:
                dead = [cell for cell in layer if _refs(cell) <= 3]
                while dead:  # a loop's variable would keep the last one alive, and its array
                    del layer[dead.pop()]
        return held(segment.values, ending.results), held(segment.values, ending.candidates)

    def _look(self, segment: Segment, journal: dict[Any, Any], few: bool) -> None:
        """Compute what leads to checks, and look at them in order."""
        values = segment.values
        part = segment.node.slice(segment.settled, few)
        if part is None:
            return
        ending = part.ending
        live = [
            alive or s in part.needed for alive, s in zip(held(values, ending.results), ending.results, strict=True)
        ]
        choice = ending.choose(tuple(live), (True,) * len(ending.candidates))
        choice.program.run(values, ending.leaves, choice.outputs, ())
        order = [n for n in segment.node.path() if n.mask is not None]
        for c in part.checks:
            assert c.operation is not None
            failure: Failure = c.operation.params["failure"]
            place = order.index(c)
            mask, *shown = [_values(values[s]) for s in c.operands]
            found = failure.of(mask, shown, segment.lines[place])
            if found is not None:
                self._stand(segment, journal, c, place, frozenset(choice.outputs))
                raise found from None
        segment.settled |= frozenset(choice.outputs)

    def _stand(self, segment: Segment, journal: dict[Any, Any], c: Node, place: int, known: frozenset[int]) -> None:
        """What was recorded before a check stands where it fails, as if lines had run one by one: values that are
        alive, and those that cells get back.
        """
        segment.settled |= known
        segment.journals = segment.journals[place + 1 :]
        node = c.parent
        if node is None or node.operation is None:
            return
        restored = {old for layer in [journal, *segment.journals] for old in layer.values() if type(old) is int}
        results = [s for s in node.end().results if s not in segment.settled]
        slots = [s for s, alive in zip(results, held(segment.values, results), strict=True) if alive or s in restored]
        if slots:
            segment.compute(node, slots, checked=False)

    def rebound(self, cell: Any, old: ConcreteArray) -> None:
        """Remember what a mutable cell held before it got a pending array: a failed flush restores it by
        `cell.restore(old)`.
        """
        if cell not in self.journal:
            slot, values = old._mark - self.segment.base, self.segment.values
            self.journal[cell] = slot if 0 <= slot < len(values) and values[slot] is old else old


def _adopt(module: Any) -> None:
    """Let the runtime library walk the hit path and count who is alive, where counts mean something."""
    classes = (Segment, Node, ShapedArray, Literal, Ending, Choice, Program, Recorder)
    probes = [x for cls in classes for x in probe(cls)]
    tokens, tiers = (_FLOAT.token, _INT.token, _BOOL.token), ("auto", "compiled", "native")
    if module.recording(np.ndarray, *tokens, _EPOCHS, programs, config, tiers, *probes):
        for name in ("bind", "flush", "held", "prune", "within", "rows"):
            NATIVE.adopt(NATIVE, name, getattr(module, name))


on_native(_adopt)


class _Foreign(Exception):
    """An operand is pending elsewhere and must be computed first."""

    def __init__(self, array: ConcreteArray) -> None:
        super().__init__()
        self.array = array


def _key_at_root(head: Any, operands: Sequence[Any]) -> tuple[Any, ...]:
    """The key that an operation would have at the start of a program."""
    key: list[Any] = [head]
    slots: dict[int, int] = {}
    for x in operands:
        key.append(
            slots[id(x)] if id(x) in slots else x.aval.token if type(x) is ConcreteArray else _number(x, []).token
        )
        slots.setdefault(id(x), len(slots))
    return tuple(key)


def _number(x: Any, values: list[Any]) -> ShapedArray:
    """The type of a number, which becomes a leaf; ints stay exact."""
    kind = type(x)
    if kind is float:
        item = _FLOAT
    elif kind is int and -(1 << 63) <= x < 1 << 63:
        item = _INT
    elif kind is bool:
        item = _BOOL
    elif kind is complex:
        item = _COMPLEX
    elif kind is Literal:
        item, x = x.aval, x.number
    else:
        found = scalar_type(x)
        assert found is not None, x
        item = shaped((), *found)
    values.append(x)
    return item


def _values(x: Any) -> np.ndarray[Any, Any]:
    """The values of an operand of a check."""
    return x._numpy() if isinstance(x, ConcreteArray) else np.asarray(x.value if isinstance(x, Literal) else x)


def _resolve_check(head: Any, avals: list[ShapedArray]) -> Operation:
    params = dict(head[1])
    return Operation(check_p, params, tuple(check_p.infer(avals, params)))


class _Valueless(Exception):
    """An operand has no value, so that the results have none."""

    def __init__(self, array: Valueless) -> None:
        super().__init__()
        self.array = array
