"""The tape: what reverse mode walks.

A `Node` is (taped function, edges to the producers of its operands, residuals), linked only to its inputs, so that dead
branches die by themselves. An edge leads to (node, number of its result), or to the `Leaf` that gathers the gradient of
a tensor, never to the tensor. Numbers grow along edges backwards in time, so that the order of numbers is a topological
one and nothing recurses. The walk is written once for cotangents that are arrays and for cotangents that are tensors
themselves (`create_graph`): an `Algebra` says how they are added and pulled.
"""

from __future__ import annotations

import bisect
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fdl.backends.native import NATIVE, on_native
from fdl.backends.runtime import probe
from fdl.core.errors import ReleasedError
from fdl.transforms.lazy import recorders
from fdl.transforms.tape.function import Taped, residuals_of

ORDER = itertools.count()  # numbers of nodes and leaves


def _nothing() -> None:
    return None


class Leaf:
    """Gathers the gradient of an input, or of a tensor that was made by the user, which it does not keep alive."""

    __slots__ = ("__weakref__", "hooks", "order", "tensor")

    def __init__(self, tensor: Any = None) -> None:
        self.tensor: Callable[[], Any] = _nothing if tensor is None else weakref.ref(tensor)
        self.order = next(ORDER)
        self.hooks: dict[int, Any] = {}

    next_functions: tuple[tuple[Any, int], ...] = ()  # nothing is behind a leaf

    @property
    def variable(self) -> Any:
        """The tensor, or None where there is none any more."""
        return self.tensor()

    def name(self) -> str:
        """As PyTorch calls it."""
        return "AccumulateGrad"


class Node:
    """A taped call."""

    __slots__ = ("__weakref__", "edges", "hooks", "operands", "order", "taped", "values")

    def __init__(
        self, taped: Taped, edges: Sequence[tuple[Any, int]], operands: Sequence[Any], values: Sequence[Any]
    ) -> None:
        self.taped = taped
        self.edges = edges
        self.operands: Sequence[Any] | None = operands  # also for second derivatives
        self.values = values
        self.order = next(ORDER)
        self.hooks: dict[int, dict[int, Any]] | None = None

    def name(self) -> str:
        """As PyTorch calls it."""
        return f"{self.taped.name.title().replace('_', '')}Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Where the operands that have gradients come from: what made each, and which of its results it is."""
        return tuple(self.edges)

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the operands that have edges."""
        if self.operands is None and self.taped.sources:
            raise ReleasedError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they "
                "have already been freed). "
                "Specify retain_graph=True if you need to backward through the graph a second time.",
                hint=(
                    "backward(retain_graph=True) the first time, or compute the loss again; "
                    ".detach() a state that goes on"
                ),
            )
        return self.taped.pull(residuals_of(self.taped, self.operands or (), self.values), cotangents)

    def release(self) -> None:
        """Let go of residuals, so that what they hold can be updated in place."""
        self.operands = None
        self.values = ()

    def hooks_of(self, index: int) -> dict[int, Any]:
        """Hooks on the gradient of a result."""
        if self.hooks is None:
            self.hooks = {}
        return self.hooks.setdefault(index, {})


class Algebra(Protocol):
    """How cotangents are handled; `plain` where they are arrays and nobody looks on."""

    plain: bool

    def add(self, a: Any, b: Any) -> Any:
        """The sum."""

    def pull(self, node: Any, cotangents: list[Any]) -> list[Any]:
        """Cotangents of a node's operands."""

    def hooked(self, cotangent: Any, hooks: Sequence[Callable[[Any], Any]]) -> Any:
        """After hooks have seen it, and perhaps replaced it."""

    def gather(self, found: dict[Leaf, Any]) -> None:
        """Add to the gradients of leaves: to all of them, or, where an interrupt comes, perhaps to none."""


def _run_hooks(hooks: dict[int, dict[int, Any]], cotangents: list[Any], algebra: Algebra) -> None:
    """Let hooks see, and perhaps replace, the cotangents of a node's results."""
    for index, some in hooks.items():
        if cotangents[index] is not None:
            cotangents[index] = algebra.hooked(cotangents[index], list(some.values()))


def _kept(roots: Sequence[tuple[Any, int, Any]], wanted: dict[tuple[Any, int], Any]) -> set[Any]:
    """What is wanted, and the nodes on a way from it to a root."""
    kept, found, new = {node for node, _ in wanted}, dict[int, Any](), [node for node, _, _ in roots]
    while new:
        node = new.pop()
        if type(node) is not Leaf and node.order not in found:
            found[node.order] = node
            new += [producer for producer, _ in node.edges]
    for _, node in sorted(found.items()):
        if any(producer in kept for producer, _ in node.edges):
            kept.add(node)
    return kept


def walk(
    roots: Sequence[tuple[Any, int, Any]],
    algebra: Algebra,
    release: bool,
    wanted: dict[tuple[Any, int], Any] | None = None,
) -> None:
    """Reverse mode from `(node, result, cotangent)` roots.

    Leaves gather their gradients; or, with `wanted`, the cotangents of these (node, result) pairs are put there and
    leaves stay as they are. Nodes behind those that are wanted then neither run nor let go of their residuals.
    """
    kept = None if wanted is None else _kept(roots, wanted)
    waiting: dict[Any, list[Any]] = {}
    leaves: dict[Leaf, Any] = {}
    heap: list[tuple[int, Any]] = []

    def give(node: Any, index: int, ct: Any) -> None:
        if type(node) is Leaf:
            leaves[node] = algebra.add(leaves[node], ct) if node in leaves else ct
            return
        found = waiting.get(node)
        if found is None:
            found = waiting[node] = [None] * node.taped.count
            bisect.insort(heap, (node.order, node))
        found[index] = ct if found[index] is None else algebra.add(found[index], ct)

    for node, index, ct in roots:
        give(node, index, ct)
    done: list[Any] = []
    pull, plain = algebra.pull, NATIVE.steps if algebra.plain and wanted is None else None
    while heap:
        if plain is not None:
            plain(recorders.recorder, heap, waiting, leaves, done, algebra.add)
            if not heap:
                break
        node = heap.pop()[1]
        cotangents = waiting.pop(node)
        if node.hooks:
            _run_hooks(node.hooks, cotangents, algebra)
        if wanted is not None:
            for index, ct in enumerate(cotangents):
                if (node, index) in wanted:
                    wanted[node, index] = ct
            if all(producer not in kept for producer, _ in node.edges):  # type: ignore[operator]
                continue
        for (producer, index), ct in zip(node.edges, pull(node, cotangents), strict=True):
            if ct is not None and (kept is None or producer in kept):
                give(producer, index, ct)
        done.append(node)
    for leaf, ct in leaves.items():
        if leaf.hooks:
            leaves[leaf] = ct = algebra.hooked(ct, list(leaf.hooks.values()))
        if wanted is not None and (leaf, 0) in wanted:
            wanted[leaf, 0] = ct
    if wanted is None:
        algebra.gather(leaves)
    if release:  # when all is recorded: a failure in between leaves the tape whole
        for node in done:
            node.release()


def _adopt(module: Any) -> None:
    """Let the runtime library, once it is loaded, take the plain steps: `NATIVE.steps(recorder, heap, waiting, leaves,
    done, add)` goes on from the state that `walk` keeps in these containers, and stops where something is not plain.
    """
    if module.taping(*probe(Node), *probe(Taped), Leaf):
        NATIVE.adopt(NATIVE, "steps", module.steps)


on_native(_adopt)
