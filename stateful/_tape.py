"""The tape: what reverse mode walks.

A `Node` is (taped function, edges to the producers of its operands, residuals), linked only to its inputs, so that dead branches die by themselves.  An
edge leads to (node, number of its result), or to the `Leaf` that gathers the gradient of a tensor, never to the tensor.  Numbers grow along edges
backwards in time, so that the order of numbers is a topological one and nothing recurses.  The walk is written once for cotangents that are arrays and
for cotangents that are tensors themselves (`create_graph`): an `Algebra` says how they are added and pulled.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fdl.extend import Taped, residuals_of

_ORDER = itertools.count()


class GradMode(threading.local):
    """Whether operations of this thread are taped."""

    enabled = True


grad_mode = GradMode()


class Leaf:
    """Gathers the gradient of a tensor that was made by the user."""

    __slots__ = ("__weakref__", "hooks", "order", "tensor")

    def __init__(self, tensor: Any) -> None:
        self.tensor = weakref.ref(tensor)
        self.order = next(_ORDER)
        self.hooks: dict[int, Any] = {}

    def name(self) -> str:
        """As PyTorch calls it."""
        return "AccumulateGrad"


class Node:
    """A taped call."""

    __slots__ = ("__weakref__", "edges", "hooks", "operands", "order", "residuals", "taped")

    def __init__(self, taped: Taped, edges: Sequence[tuple[Any, int]], operands: Sequence[Any], values: Sequence[Any]) -> None:
        self.taped = taped
        self.edges = edges
        self.operands: Sequence[Any] | None = operands  # for second derivatives
        self.residuals: Sequence[Any] | None = residuals_of(taped, operands, values)
        self.order = next(_ORDER)
        self.hooks: dict[int, dict[int, Any]] | None = None

    @property
    def count(self) -> int:
        """Number of results."""
        return self.taped.count

    def name(self) -> str:
        """As PyTorch calls it."""
        return f"{self.taped.name.title().replace('_', '')}Backward0"

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the operands that have edges."""
        if self.residuals is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
                "Specify retain_graph=True if you need to backward through the graph a second time."
            )
        return self.taped.pull(self.residuals, cotangents)

    def release(self) -> None:
        """Let go of residuals, so that what they hold can be updated in place."""
        if self.residuals:
            self.residuals = None
        self.operands = None

    def hooks_of(self, index: int) -> dict[int, Any]:
        """Hooks on the gradient of a result."""
        if self.hooks is None:
            self.hooks = {}
        return self.hooks.setdefault(index, {})


class Algebra(Protocol):
    """How cotangents are handled."""

    def add(self, a: Any, b: Any) -> Any:
        """The sum."""

    def pull(self, node: Any, cotangents: list[Any]) -> list[Any]:
        """Cotangents of a node's operands."""

    def hooked(self, cotangent: Any, hooks: Sequence[Callable[[Any], Any]]) -> Any:
        """After hooks have seen it, and perhaps replaced it."""

    def gather(self, leaf: Leaf, cotangent: Any) -> None:
        """Add to the gradient of a leaf."""


class HookHandle:
    """Takes a hook away: `handle.remove()`."""

    __slots__ = ("hooks", "key")

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.hooks, self.key = hooks, next(_ORDER)
        hooks[self.key] = hook

    def remove(self) -> None:
        """Take the hook away; nothing where it is gone already."""
        self.hooks.pop(self.key, None)


def walk(roots: Sequence[tuple[Any, int, Any]], algebra: Algebra, release: bool, wanted: dict[tuple[Any, int], Any] | None = None) -> None:
    """Reverse mode from `(node, result, cotangent)` roots.

    Leaves gather their gradients; or, with `wanted`, the cotangents of these (node, result) pairs are put there and leaves stay as they are.
    """
    waiting: dict[Any, list[Any]] = {}
    heap: list[tuple[int, Any]] = []

    def give(node: Any, index: int, ct: Any) -> None:
        found = waiting.get(node)
        if found is None:
            found = waiting[node] = [None] * (1 if type(node) is Leaf else node.count)
            heapq.heappush(heap, (-node.order, node))
        found[index] = ct if found[index] is None else algebra.add(found[index], ct)

    for node, index, ct in roots:
        give(node, index, ct)
    done = []
    while heap:
        node = heapq.heappop(heap)[1]
        cotangents = waiting.pop(node)
        hooks = node.hooks
        if hooks:
            if type(node) is Leaf:
                cotangents[0] = algebra.hooked(cotangents[0], list(hooks.values()))
            else:
                for index, some in hooks.items():
                    if cotangents[index] is not None:
                        cotangents[index] = algebra.hooked(cotangents[index], list(some.values()))
        if wanted is not None:
            for index, ct in enumerate(cotangents):
                if (node, index) in wanted:
                    wanted[node, index] = ct
        if type(node) is Leaf:
            if wanted is None:
                algebra.gather(node, cotangents[0])
            continue
        for (producer, index), ct in zip(node.edges, algebra.pull(node, cotangents), strict=True):
            if ct is not None:
                give(producer, index, ct)
        done.append(node)
    if release:  # when all is recorded: a failure in between leaves the tape whole
        for node in done:
            node.release()
