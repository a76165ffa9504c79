"""The trie of recorded programs: a node is an operation after all operations on the path from the root.

Values of a path are numbered by *slots*: an operation's new leaves first, then its results, so that equal programs get
equal numbers. An edge is keyed by (operation with its static parameters, one item an operand): the slot of what the
path already knows, or the token of a new leaf's type. A Python number is a new leaf each time, never part of a key. So
a hit proves that the operation is the recorded one, and nothing is replayed on trust.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fdl.core.avals import ShapedArray
from fdl.core.graph import Equation, Graph, Var
from fdl.core.primitive import Primitive
from fdl.core.source import Location, user_location
from fdl.ops.checks import check_p
from fdl.passes.prune import prune
from fdl.transforms.lazy.programs import Ending, cost_of

SOFT_OPERATIONS, SOFT_BYTES = (
    1000,
    1 << 28,
)  # past one of these a program is cut before an operation like its first; past twice as much anywhere
FEW = 64  # operations that may lead to a check which does not wait for the program


class Operation(NamedTuple):
    """What an edge stands for: an equation but for its operands. `info` is for who recorded it, e.g. how to transpose
    it; `taped` says that it goes onto a tape.
    """

    primitive: Primitive
    params: Mapping[str, Any]
    out_avals: tuple[ShapedArray, ...]
    info: Any = None
    taped: bool = False


class Node:
    """A place in the trie; `slots` values are known here, of which this operation's results start at `first`."""

    __slots__ = (
        "bytes", "checks", "children", "count", "endings", "first", "info", "key", "leaves", "operands", "operation",
        "origin", "out_avals", "over", "parent", "slices", "slots",
        "source",
    )  # fmt: skip

    def __init__(
        self,
        parent: Node | None = None,
        key: Any = None,
        operation: Operation | None = None,
        operands: tuple[int, ...] = (),
        leaves: tuple[ShapedArray, ...] = (),
    ) -> None:
        self.parent = parent
        self.key = key
        self.origin: Node = parent.origin if parent is not None and parent.operation is not None else self
        self.operation: Operation | None = operation
        self.operands = operands
        self.leaves = leaves
        self.children: dict[Any, Node] = {}
        self.endings: dict[frozenset[int], Ending] = {}  # by what is settled
        self.slices: dict[tuple[frozenset[int], bool], Slice | None] = {}
        self.out_avals = operation.out_avals if operation is not None else ()
        self.info = operation.info if operation is not None else None
        self.first: int = (parent.slots if parent is not None else 0) + len(leaves)
        self.slots: int = self.first + len(self.out_avals)
        self.count: int = parent.count + 1 if parent is not None else 0
        self.checks: int = (parent.checks if parent is not None else 0) + (
            operation is not None and operation.primitive is check_p
        )
        self.bytes: int = (parent.bytes if parent is not None else 0) + sum(a.nbytes for a in self.out_avals)
        self.over: bool = self.count >= SOFT_OPERATIONS or self.bytes >= SOFT_BYTES
        self.source: Location | None = user_location() if operation is not None else None

    def path(self) -> list[Node]:
        """Nodes from the first operation to this one."""
        nodes: list[Node] = []
        node: Node | None = self
        while node is not None and node.operation is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]

    def end(self, settled: frozenset[int] = frozenset()) -> Ending:
        """What is known of programs that end here, where values in some slots are computed already."""
        found = self.endings.get(settled)
        if found is None:
            path = self.path()
            results = [s for n in path for s in range(n.first, n.slots) if s not in settled]
            avals = _avals(path)
            inputs = sorted([*settled, *(s for n in path for s in range(n.first - len(n.leaves), n.first))])
            checked = any(n.mask is not None and n.mask not in settled for n in path)
            found = self.endings[settled] = Ending(
                inputs,
                results,
                [avals[s] for s in inputs],
                lambda outputs: self.graph(outputs, settled, checked),
                checked,
            )
        return found

    def graph(self, outputs: Sequence[int], settled: frozenset[int] = frozenset(), checked: bool = False) -> Graph:
        """The program up to here, from all leaves and the values that are `settled` to the values in some slots;
        without equations that nothing needs.

        With `checked`, checks that are not settled are part of it.
        """
        path = self.path()
        inputs = sorted([*settled, *(s for n in path for s in range(n.first - len(n.leaves), n.first))])
        return program(
            [n for n in path if n.mask is None or (checked and n.mask not in settled)], _avals(path), inputs, outputs
        )

    def slice(self, settled: frozenset[int], few: bool) -> Slice | None:
        """What leads to the checks up to here; with `few`, to those alone that take a few operations of which none is
        taped. None where there are none.
        """
        key = settled, few
        if key not in self.slices:
            self.slices[key] = _slice(self.path(), settled, few)
        return self.slices[key]

    @property
    def mask(self) -> int | None:
        """The slot of the mask that a check looks at; None for other operations."""
        return self.operands[0] if self.operation is not None and self.operation.primitive is check_p else None


def _avals(path: Sequence[Node]) -> dict[int, ShapedArray]:
    """Types by slot."""
    return {
        s: a
        for n in path
        for s, a in zip(range(n.first - len(n.leaves), n.slots), (*n.leaves, *n.out_avals), strict=True)
    }


def program(
    nodes: Sequence[Node], avals: Mapping[int, ShapedArray], inputs: Sequence[int], outputs: Sequence[int]
) -> Graph:
    """The graph of some nodes of a path, in order, between values in some slots; without equations that
    nothing needs.
    """
    values: dict[int, Var] = {s: Var(avals[s]) for s in inputs}
    given = dict(values)
    equations: list[Equation] = []
    for n in nodes:
        operation = n.operation
        assert operation is not None
        outs = tuple([Var(a) for a in operation.out_avals])
        operands = tuple([values[s] for s in n.operands])
        equations.append(
            Equation(
                operation.primitive,
                operands,
                operation.params,
                outs,
                operation.primitive.effects(operation.params),
                n.source,
            )
        )
        values |= {s: v for s, v in zip(range(n.first, n.slots), outs, strict=True) if s not in given}
    return prune(Graph(tuple(given.values()), tuple(equations), tuple([values[s] for s in outputs])))


class Slice(NamedTuple):
    """The nodes that lead to some checks: `needed` are values that the checks or other nodes read."""

    checks: tuple[Node, ...]
    needed: frozenset[int]
    ending: Ending


def _slice(path: Sequence[Node], settled: frozenset[int], few: bool) -> Slice | None:
    maker = {s: n for n in path for s in range(n.first, n.slots) if s not in settled}
    checks: list[Node] = []
    inside: set[Node] = set()
    for c in path:
        if c.mask is not None and c.mask not in settled:
            found = _ancestors(c, maker)
            if not few or _is_plain(found, path):
                checks.append(c)
                inside |= found
    if not checks:
        return None
    nodes = [n for n in path if n in inside]
    results = [s for n in nodes for s in range(n.first, n.slots) if s not in settled]
    read = {s for n in path if n not in inside for s in n.operands}
    leaves = sorted({s for n in nodes for s in n.operands if s not in maker})
    avals = _avals(path)
    ending = Ending(leaves, results, [avals[s] for s in leaves], lambda outputs: program(nodes, avals, leaves, outputs))
    return Slice(tuple(checks), frozenset(results) & read, ending)


def _ancestors(c: Node, maker: Mapping[int, Node]) -> set[Node]:
    """The nodes that a check's operands come from."""
    found: set[Node] = set()
    todo = [s for s in c.operands if s in maker]
    while todo:
        n = maker[todo.pop()]
        if n not in found:
            found.add(n)
            todo += [s for s in n.operands if s in maker]
    return found


def _is_plain(found: set[Node], path: Sequence[Node]) -> bool:
    """Whether nodes are few, none is taped and none multiplies matrices: data on its way to a model,
    and not a model.
    """
    if len(found) > FEW or any(n.operation is None or n.operation.taped for n in found):
        return False
    nodes = [n for n in path if n in found]
    own = {s for n in nodes for s in range(n.first, n.slots)}
    graph = program(nodes, _avals(path), sorted({s for n in nodes for s in n.operands} - own), sorted(own))
    return cost_of(graph).multiplied == 0
