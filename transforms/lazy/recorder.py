"""The recorder: a walk through the trie, and the flush at its end.

Invariants.  The node alone says where the walk is: `values` may be longer than `node.slots` for the time of a `bind`, and is cut back if that fails; a mark
counts only where the array lies in the slot that it names, so what was cut off needs no clearing.
A `bind` commits by one assignment.  Results of a flush become data in one call, and what an interrupt leaves pending is flushed again.  User code (forcing of
foreign values, tracing) runs before anything is committed, and the bind starts again if the walk has moved.
A recorder that is met while busy (signal handler, `__del__`) lets a spare one take the operation.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.backends.runtime import probe
from fdl.core.array import DONATED, VOLATILE, ConcreteArray, Deferred
from fdl.core.avals import ShapedArray, shaped
from fdl.core.blocks import in_one_call, whole
from fdl.core.config import config
from fdl.core.dtypes import PYTHON_BOOL, PYTHON_FLOAT, PYTHON_INT, scalar_type
from fdl.core.errors import DeferredError
from fdl.core.graph import Literal
from fdl.core.primitive import Primitive
from fdl.transforms.lazy.programs import NATIVE, Ending, program_of
from fdl.transforms.lazy.trie import SOFT_BYTES, SOFT_OPERATIONS, Node, Operation

TRIE_NODES = 10_000

_EPOCHS = itertools.count(1)
_SLOTS = 1 << 32  # a mark is epoch * _SLOTS + slot

_FLOAT, _INT, _BOOL = (shaped((), *kind) for kind in (PYTHON_FLOAT, PYTHON_INT, PYTHON_BOOL))
_refs = sys.getrefcount


def _held(values: Sequence[Any], slots: Sequence[int], limit: int) -> tuple[bool, ...]:
    """Whether somebody besides `values` holds each of these."""
    return tuple([_refs(values[s]) > limit for s in slots])


# What the count is where nobody else holds the value, measured with the same code.  On builds whose counts mean nothing all is taken to be alive.
_ALONE = next(n for n in range(10) if not _held([object()], [0], n)[0]) if getattr(sys, "_is_gil_enabled", lambda: True)() else -1


class Segment(Deferred):
    """The pending part of a recorder: what stands in the place of the data of its results until they are computed."""

    __slots__ = ("base", "error", "node", "outputs", "owner", "ran", "recorder", "values")

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.owner = threading.get_ident()
        self.base = next(_EPOCHS) * _SLOTS
        self.values: list[Any] = []  # leaves (arrays, Python numbers) and results by slot
        self.node: Node = recorder.root
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
                program_of(node.graph([slot])).run(self.values, node.end().leaves, [slot], ())


class Recorder:
    """Records the operations of one thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.busy = False
        self.wanted = False  # the program is complete but for values that are about to die
        self.root = Node()
        self.nodes = 0
        self.journal: dict[Any, Any] = {}  # cells rebound since the last flush, with what they held
        self.checks: list[Callable[[], BaseException]] = []
        self.segment: Segment
        self._spare: Recorder | None = None
        self._restart()

    def _restart(self) -> None:
        segment = Segment(self)
        self.segment, self.journal, self.checks = segment, {}, []
        self.wanted = self.volatile = False
        self.plain = not config.eager  # nothing is special about the next operation, but that the recorder may be busy

    @property
    def spare(self) -> Recorder:
        """Who records while this one is busy."""
        if self._spare is None:
            self._spare = Recorder()
        return self._spare.spare if self._spare.busy else self._spare

    # Recording

    def bind(self, head: Any, operands: Sequence[Any], resolve: Callable[[Any, list[ShapedArray]], Operation]) -> tuple[list[ConcreteArray], Any]:
        """Record an operation: its results, pending, and the `info` of the operation.

        `head` is hashable and names it with its static parameters; `resolve(head, avals)` checks types and says what it is, on a miss alone.
        Operands are arrays, Literals, and Python numbers, which are inputs of the program whatever their values.
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

    def recall(self, head: Any, operands: Sequence[Any]) -> Sequence[ConcreteArray] | None:
        """Results of `bind` where it is a hit of the runtime library and nothing is special, else None."""
        if NATIVE.bind is None or self.busy or not self.plain:
            return None
        self.busy = True
        try:
            hit = NATIVE.bind(self.segment, head, operands)
        finally:
            self.busy = False
        return None if hit is None else hit[0]

    def _bind(self, head: Any, operands: Sequence[Any], resolve: Callable[[Any, list[ShapedArray]], Operation]) -> tuple[list[ConcreteArray], Any]:
        """`bind` in full; the hit path of the runtime library does the same, and nothing where it cannot."""
        self.busy = True
        foreign = None
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
        finally:  # without a call, so that no signal comes in between
            if segment.node is node:
                del values[node.slots :]
            self.busy = False
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
        """The key's item for an operand that has no slot here by its mark: a new leaf's token, or a slot where another recorder took the mark."""
        values = self.segment.values
        if type(x) is not ConcreteArray:
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

    def _grow(self, node: Node, key: tuple[Any, ...], fresh: Sequence[ShapedArray], resolve: Callable[[Any, list[ShapedArray]], Operation]) -> Node:
        """A miss: check the operation and make its node."""
        values, leaves = self.segment.values, iter(enumerate(fresh, node.slots))
        operands: list[int] = []
        avals: list[ShapedArray] = []
        for item in key[1:]:
            slot, aval = (item, values[item].aval) if item >= 0 else next(leaves)
            operands.append(slot)
            avals.append(aval)
        operation = resolve(key[0], avals)
        child = node.children[key] = Node(node, key, operation, tuple(operands), tuple(fresh))
        self.nodes += 1
        return child

    def _limit(self, head: Any, operands: Sequence[Any]) -> None:
        """Cut a long program where it would begin again, so that a loop that nobody looks at repeats one program."""
        node = self.segment.node
        if node.count >= 2 * SOFT_OPERATIONS or node.bytes >= 2 * SOFT_BYTES or node.origin.key == _key_at_root(head, operands):
            self.flush()

    def check(self, failed: ConcreteArray, error: Callable[[], BaseException]) -> None:
        """Join to the program that the 0-d bool `failed` is false; else `error()` is raised at the flush and nothing of the program stays."""
        if self.segment.node.over:
            self._limit(_CHECK, [failed])
        del self.checks[self.segment.node.checks :]  # of operations that were not recorded
        self.checks.append(error)
        self.bind(_CHECK, [failed], _resolve_check)

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
                self._flush(self.segment, self.journal, self.checks)
            finally:
                self.busy = False

    def _flush(self, segment: Segment, journal: dict[Any, Any], checks: list[Callable[[], BaseException]]) -> None:
        if self.nodes > TRIE_NODES:
            self.root, self.nodes = Node(), 0
        state = self.wanted, self.volatile, self.plain
        self._restart()
        try:
            if segment.node.operation is not None:
                try:
                    self._run(segment, journal, checks)
                except Exception as error:
                    whole(self._fail, segment, journal, error)
                    raise
        except BaseException:
            if segment.error is None:  # an interrupt; no call here, so that no other one comes in between
                segment.ran = segment.ran or (bool(segment.outputs) and segment.values[segment.outputs[-1]]._data is not segment)
                if checks or not segment.ran:
                    self.segment, self.journal, self.checks = segment, journal, checks
                    self.wanted, self.volatile, self.plain = state
            raise
        segment.values = []

    def _fail(self, segment: Segment, journal: dict[Any, Any], error: BaseException) -> None:
        """Nothing of the program stays."""
        for cell, old in journal.items():
            cell.restore(segment.values[old] if type(old) is int else old)
        segment.error = error

    def _run(self, segment: Segment, journal: dict[Any, Any], checks: Sequence[Callable[[], BaseException]]) -> None:
        ending = segment.node.ending or segment.node.end()
        if not segment.ran:
            live, kept = self._alive(segment.values, journal, ending)
            if True not in live:
                return
            choice = ending.choose(live, kept)
            segment.outputs = choice.outputs
            choice.program.run(segment.values, ending.leaves, choice.outputs, choice.donated)
            segment.ran = True
        if ending.checks:
            self._look_at_checks(segment, ending, checks)

    def _alive(self, values: list[Any], journal: dict[Any, Any], ending: Ending) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Which results are wanted, and which inputs that could be overwritten are kept by somebody."""
        if NATIVE.held is not None and NATIVE.prune is not None:
            NATIVE.prune(journal)  # cells that nobody else holds are dead, and must not keep their arrays alive
            live, kept = NATIVE.held(values, ending.results, 1), NATIVE.held(values, ending.candidates, 1)
        else:
            for cell in [cell for cell in journal if _refs(cell) <= 3]:
                del journal[cell]
            live, kept = _held(values, ending.results, _ALONE), _held(values, ending.candidates, _ALONE)
        if ending.checks:  # predicates are looked at, and what cells held before is what they get back
            before = {old for old in journal.values() if type(old) is int}
            live = tuple([alive or i in ending.checks or slot in before for i, (slot, alive) in enumerate(zip(ending.results, live, strict=True))])
        return live, kept

    def _look_at_checks(self, segment: Segment, ending: Ending, checks: Sequence[Callable[[], BaseException]]) -> None:
        for place, error in zip(ending.checks, checks, strict=False):
            if segment.values[ending.results[place]]._numpy():
                later = [segment.values[slot] for slot in segment.outputs if slot > ending.results[place]]
                in_one_call(map(setattr, later, itertools.repeat("_data"), itertools.repeat(segment)))  # what was recorded before the check stands, as if lines had run one by one
                raise error()

    def rebound(self, cell: Any, old: ConcreteArray) -> None:
        """Remember what a mutable cell held before it got a pending array: a failed flush restores it by `cell.restore(old)`."""
        if cell not in self.journal:
            slot, values = old._mark - self.segment.base, self.segment.values
            self.journal[cell] = slot if 0 <= slot < len(values) and values[slot] is old else old


def _adopt(module: Any) -> None:
    """Let the runtime library walk the hit path and count who is alive, where counts mean something."""
    probes = [x for cls in (Segment, Node, ShapedArray, Literal) for x in probe(cls)]
    if module.recording(np.ndarray, _FLOAT.token, _INT.token, _BOOL.token, *probes):
        NATIVE.bind, NATIVE.held, NATIVE.prune, NATIVE.within, NATIVE.rows = module.bind, module.held, module.prune, module.within, module.rows


def on_native(listener: Callable[[Any], None]) -> None:
    """Call `listener(module)` when the runtime library is there, now or later; never where reference counts mean nothing."""
    if _ALONE >= 0:
        if NATIVE.module is not None:
            listener(NATIVE.module)
        else:
            NATIVE.waiting.append(listener)


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
        key.append(slots[id(x)] if id(x) in slots else x.aval.token if type(x) is ConcreteArray else _number(x, []).token)
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
    elif kind is Literal:
        item, x = x.aval, x.number
    else:
        found = scalar_type(x)
        assert found is not None, x
        item = shaped((), *found)
    values.append(x)
    return item


check_p = Primitive("check", multiple_results=True).define(effects=lambda: frozenset({"check"}))
_CHECK = check_p, ()


def _resolve_check(head: Any, avals: list[ShapedArray]) -> Operation:
    return Operation(check_p, {}, ())
