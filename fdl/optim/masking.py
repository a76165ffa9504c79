"""Transformations of parts of a tree: masks, and one transformation a label."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

from fdl.optim.transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Tree,
    set_to_zero,
    with_extra_args_support,
)
from fdl.tree import leaves
from fdl.tree import map as tree_map


class MaskedNode(NamedTuple):
    """Stands in the state where a mask leaves a parameter out; it has no leaves."""


class MaskedState(NamedTuple):
    """Of `masked`."""

    inner_state: Tree


class PartitionState(NamedTuple):
    """Of `partition`: states by label."""

    inner_states: Mapping[Hashable, Tree]


MultiTransformState = PartitionState


def _out(x: Any) -> bool:
    return isinstance(x, MaskedNode)


def _only(tree: Tree, mask: Tree) -> Tree:
    return tree_map(lambda keep, part: part if keep else tree_map(lambda _: MaskedNode(), part), mask, tree)


def masked(inner: GradientTransformation, mask: Tree | Callable[[Tree], Tree]) -> GradientTransformationExtraArgs:
    """The transformation where `mask` is true; other updates pass as they are.

    `mask` is a tree of bools, each for one leaf of the updates or for all below a place, or a function of the
    parameters that gives one.

    >>> from fdl.optim import scale
    >>> tx = masked(scale(-1.0), {"w": True, "b": False})
    >>> tx.update({"w": 1.0, "b": 1.0}, tx.init({"w": 0.0, "b": 0.0}))[0]
    {'b': 1.0, 'w': -1.0}
    """
    own = with_extra_args_support(inner)

    def mask_of(tree: Tree) -> Tree:
        return mask(tree) if callable(mask) else mask

    def init(params: Tree) -> MaskedState:
        return MaskedState(own.init(_only(params, mask_of(params))))

    def update(updates: Tree, state: MaskedState, params: Tree | None = None, **extra: Any) -> tuple[Tree, MaskedState]:
        chosen = mask_of(updates if params is None else params)
        given = None if params is None else _only(params, chosen)
        new, kept = own.update(_only(updates, chosen), state.inner_state, given, **extra)
        return tree_map(lambda n, u: u if _out(n) else n, new, updates, is_leaf=_out), MaskedState(kept)

    return GradientTransformationExtraArgs(init, update)


def partition(
    transforms: Mapping[Hashable, GradientTransformation], param_labels: Tree | Callable[[Tree], Tree]
) -> GradientTransformationExtraArgs:
    """One transformation for each label: `param_labels` is a tree of labels, each for one leaf or for all below a
    place, or a function of the parameters that gives one.

    >>> from fdl.optim import scale
    >>> tx = partition({"slow": scale(-0.1), "fast": scale(-1.0)}, {"w": "slow", "b": "fast"})
    >>> tx.update({"w": 1.0, "b": 1.0}, tx.init({"w": 0.0, "b": 0.0}))[0]
    {'b': -1.0, 'w': -0.1}
    """
    own = {label: with_extra_args_support(tx) for label, tx in transforms.items()}

    def labels_of(tree: Tree) -> Tree:
        labels = param_labels(tree) if callable(param_labels) else param_labels
        unknown = set(leaves(labels)) - set(own)
        if unknown:
            raise ValueError(f"partition: labels without a transformation: {sorted(map(str, unknown))}")
        return labels

    def masked_by(label: Hashable, labels: Tree) -> GradientTransformationExtraArgs:
        return masked(own[label], tree_map(lambda found: found == label, labels))

    def init(params: Tree) -> PartitionState:
        labels = labels_of(params)
        return PartitionState({label: masked_by(label, labels).init(params) for label in own})

    def update(
        updates: Tree, state: PartitionState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, PartitionState]:
        labels, new = labels_of(updates), {}
        for label in own:
            updates, new[label] = masked_by(label, labels).update(updates, state.inner_states[label], params, **extra)
        return updates, PartitionState(new)

    return GradientTransformationExtraArgs(init, update)


multi_transform = partition


def freeze(mask: Tree | Callable[[Tree], Tree]) -> GradientTransformationExtraArgs:
    """Zeros for the parameters where the mask is true, so that they stay.

    >>> tx = freeze({"w": True, "b": False})
    >>> tx.update({"w": 1.0, "b": 1.0}, tx.init({"w": 0.0, "b": 0.0}))[0]["w"].item()
    0.0
    """
    return masked(set_to_zero(), mask)
