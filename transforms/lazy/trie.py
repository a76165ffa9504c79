"""The trie of recorded programs: a node is an operation after all operations on the path from the root.

Values of a path are numbered by *slots*: an operation's new leaves first, then its results, so that equal programs get equal numbers.  An edge is keyed
by (operation with its static parameters, one item an operand): the slot of what the
path already knows, or the token of a new leaf's type.  A Python number is
a new leaf each time, never part of a key.  So a hit proves that the operation is the recorded one, and nothing is replayed on trust.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fdl.core.avals import ShapedArray
from fdl.core.graph import Equation, Graph, Var
from fdl.core.primitive import Primitive
from fdl.core.source import Location, user_location
from fdl.lowering.passes.prune import prune
from fdl.transforms.lazy.programs import Ending

SOFT_OPERATIONS, SOFT_BYTES = 1000, 1 << 28  # past one of these a program is cut before an operation like its first; past twice as much anywhere


class Operation(NamedTuple):
    """What an edge stands for: an equation but for its operands.  `info` is for who recorded it, e.g. how to transpose it."""

    primitive: Primitive
    params: Mapping[str, Any]
    out_avals: tuple[ShapedArray, ...]
    info: Any = None


class Node:
    """A place in the trie; `slots` values are known here, of which this operation's results start at `first`."""

    __slots__ = (
        "bytes", "checks", "children", "count", "ending", "first", "info", "key", "leaves", "operands", "operation", "origin", "out_avals", "over", "parent", "slots", "source",
    )  # fmt: skip

    def __init__(
        self, parent: Node | None = None, key: Any = None, operation: Operation | None = None, operands: tuple[int, ...] = (), leaves: tuple[ShapedArray, ...] = ()
    ) -> None:
        self.parent = parent
        self.key = key
        self.origin: Node = parent.origin if parent is not None and parent.operation is not None else self
        self.operation: Operation | None = operation
        self.operands = operands
        self.leaves = leaves
        self.children: dict[Any, Node] = {}
        self.ending: Ending | None = None
        self.out_avals = operation.out_avals if operation is not None else ()
        self.info = operation.info if operation is not None else None
        self.first: int = (parent.slots if parent is not None else 0) + len(leaves)
        self.slots: int = self.first + len(self.out_avals)
        self.count: int = parent.count + 1 if parent is not None else 0
        self.checks: int = (parent.checks if parent is not None else 0) + (operation is not None and bool(operation.primitive.effects(operation.params)))
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

    def end(self) -> Ending:
        """What is known of programs that end here."""
        if self.ending is None:
            path = self.path()
            leaves = [s for n in path for s in range(n.first - len(n.leaves), n.first)]
            results = [s for n in path for s in range(n.first, n.slots)]
            checks = [n.operands[0] for n in path if n.operation is not None and n.operation.primitive.effects(n.operation.params)]
            avals = {s: a for n in path for s, a in zip(range(n.first - len(n.leaves), n.first), n.leaves, strict=True)}
            self.ending = Ending(leaves, results, [results.index(s) for s in checks], [avals[s] for s in leaves], self.graph)
        return self.ending

    def graph(self, outputs: Sequence[int]) -> Graph:
        """The program up to here, from all leaves to the values in some slots; without equations that nothing needs."""
        values: list[Var] = []
        inputs: list[Var] = []
        equations: list[Equation] = []
        for n in self.path():
            operation = n.operation
            assert operation is not None
            fresh = [Var(a) for a in n.leaves]
            inputs += fresh
            values += fresh
            outs = tuple([Var(a) for a in operation.out_avals])
            equations.append(Equation(operation.primitive, tuple([values[s] for s in n.operands]), operation.params, outs, frozenset(), n.source))
            values += outs
        return prune(Graph(tuple(inputs), tuple(equations), tuple([values[s] for s in outputs])))
