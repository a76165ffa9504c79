"""Gradient transformations: what an optimizer is made of, one after another, and how updates are applied.

A transformation is a pair of pure functions: `init(params) -> state` and `update(updates, state, params) -> (updates,
state)`. Updates are a tree like the parameters: gradients at first, what is added to the parameters at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import fdl.numpy as jnp
from fdl.core.array import Array
from fdl.tree import leaves, reduce
from fdl.tree import map as tree_map

Tree: TypeAlias = Any  # of arrays: dicts, lists, tuples and other nodes, nested as the user likes
Schedule = Callable[[Array | int], "Array | float"]
ScalarOrSchedule = float | Array | Schedule


class InitFn(Protocol):
    """`init(params) -> state`."""

    def __call__(self, params: Tree) -> Tree: ...


class UpdateFn(Protocol):
    """`update(updates, state, params) -> (updates, state)`."""

    def __call__(self, updates: Tree, state: Tree, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]: ...


class GradientTransformation(NamedTuple):
    """`init(params) -> state` and `update(updates, state, params) -> (updates, state)`, both pure.

    >>> halved = GradientTransformation(lambda params: (), lambda updates, state, params=None: (updates * 0.5, state))
    >>> halved.update(4.0, halved.init(1.0))[0]
    2.0
    """

    init: InitFn
    update: UpdateFn


class GradientTransformationExtraArgs(GradientTransformation):
    """A transformation whose `update` takes keywords that it may not know, such as `value=` and `grad=` of a line
    search.
    """

    __slots__ = ()


class EmptyState(NamedTuple):
    """Of transformations that keep nothing."""


def with_extra_args_support(tx: GradientTransformation) -> GradientTransformationExtraArgs:
    """The transformation, which drops keywords that its `update` does not take.

    >>> tx = with_extra_args_support(identity())
    >>> tx.update(1.0, tx.init(0.0), None, value=3.0)[0]
    1.0
    """
    if isinstance(tx, GradientTransformationExtraArgs):
        return tx

    @functools.wraps(tx.update)
    def update(updates: Tree, state: Tree, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        return tx.update(updates, state, params)

    return GradientTransformationExtraArgs(tx.init, update)


def init_empty_state(params: Tree) -> EmptyState:
    """The state of what keeps nothing.

    >>> init_empty_state({})
    EmptyState()
    """
    return EmptyState()


def stateless(f: Callable[[Tree, Tree | None], Tree]) -> GradientTransformation:
    """The transformation `f(updates, params) -> updates`.

    >>> stateless(lambda updates, params: updates + params).update(1.0, EmptyState(), 2.0)[0]
    3.0
    """

    def update(updates: Tree, state: Tree, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        return f(updates, params), state

    return GradientTransformation(init_empty_state, update)


def stateless_with_tree_map(f: Callable[[Array, Array | None], Array]) -> GradientTransformation:
    """The transformation `f(update, parameter) -> update` of each leaf.

    >>> stateless_with_tree_map(lambda u, p: u * 2).update([1.0], EmptyState(), [0.0])[0]
    [2.0]
    """

    def each(updates: Tree, params: Tree | None) -> Tree:
        return tree_map(lambda u: f(u, None), updates) if params is None else tree_map(f, updates, params)

    return stateless(each)


def identity() -> GradientTransformation:
    """Updates as they are.

    >>> identity().update(1.0, EmptyState())[0]
    1.0
    """
    return stateless(lambda updates, params: updates)


def set_to_zero() -> GradientTransformation:
    """Zeros: parameters that stay.

    >>> set_to_zero().update([1.0, 2.0], EmptyState())[0]
    [Array(0., dtype=float32), Array(0., dtype=float32)]
    """
    return stateless(lambda updates, params: tree_map(jnp.zeros_like, updates))


def scale(factor: float | Array) -> GradientTransformation:
    """Updates times a number.

    >>> scale(-0.5).update(2.0, EmptyState())[0]
    -1.0
    """
    return stateless(lambda updates, params: tree_map(lambda u: u * factor, updates))


def chain(*transformations: GradientTransformation) -> GradientTransformationExtraArgs:
    """Transformations one after another; the state is the tuple of theirs. Keywords of `update` go to those that take
    any.

    >>> tx = chain(scale(3.0), scale(-1.0))
    >>> tx.update(2.0, tx.init(0.0))[0]
    -6.0
    """
    flat = [with_extra_args_support(tx) for tx in transformations]

    def init(params: Tree) -> Tree:
        return tuple(tx.init(params) for tx in flat)

    def update(updates: Tree, state: Tree, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        if len(state) != len(flat):
            raise ValueError(f"chain: {len(flat)} transformations, but a state of {len(state)}: init(params) gives it")
        new = []
        for tx, own in zip(flat, state, strict=True):
            updates, own = tx.update(updates, own, params, **extra)
            new.append(own)
        return updates, tuple(new)

    return GradientTransformationExtraArgs(init, update)


def named_chain(*transformations: tuple[str, GradientTransformation]) -> GradientTransformationExtraArgs:
    """`chain` of pairs (name, transformation), with a dict of their states by name.

    >>> tx = named_chain(("half", scale(0.5)), ("down", scale(-1.0)))
    >>> sorted(tx.init(0.0))
    ['down', 'half']
    """
    names = [name for name, _ in transformations]
    if len(set(names)) < len(names):
        raise ValueError(f"named_chain: each name once, got {names}")
    inner = chain(*[tx for _, tx in transformations])

    def init(params: Tree) -> Tree:
        return dict(zip(names, inner.init(params), strict=True))

    def update(updates: Tree, state: Tree, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        updates, new = inner.update(updates, tuple(state[name] for name in names), params, **extra)
        return updates, dict(zip(names, new, strict=True))

    return GradientTransformationExtraArgs(init, update)


def apply_updates(params: Tree, updates: Tree) -> Tree:
    """`params + updates`, in the dtypes of the parameters; a parameter that is None stays None.

    >>> apply_updates({"w": 1.0}, {"w": -0.25})["w"].item()
    0.75
    """

    def moved(p: Any, u: Any) -> Any:
        return None if p is None else jnp.asarray(p + u).astype(jnp.asarray(p).dtype)

    return tree_map(moved, params, updates, is_leaf=lambda x: x is None)


def global_norm(updates: Tree) -> Array:
    """The root of the sum of squares of all elements.

    >>> global_norm([3.0, jnp.array([0.0, 4.0])]).item()
    5.0
    """
    squares = [jnp.sum(jnp.square(jnp.abs(u))) for u in leaves(updates)]
    return jnp.sqrt(reduce(lambda a, b: a + b, squares, jnp.zeros(())))


def value_at(number: ScalarOrSchedule, count: Array | int) -> Array | float:
    """A setting at a step: itself, or what the schedule says."""
    return number(count) if callable(number) else number


def zeros(params: Tree, dtype: Any = None) -> Tree:
    """A tree of zeros like the parameters, of their dtypes or one of its own."""
    return tree_map(lambda p: jnp.zeros(jnp.shape(p), dtype or jnp.asarray(p).dtype), params)


def count_of_zero() -> Array:
    """The counter of a state that has seen no step."""
    return jnp.zeros((), jnp.int32)


def safe_increment(count: Array) -> Array:
    """A counter one further, which stays at the largest number of its dtype.

    >>> safe_increment(jnp.array(1, jnp.int32)).item(), safe_increment(jnp.array(127, jnp.int8)).item()
    (2, 127)
    """
    count = jnp.asarray(count)
    most = jnp.iinfo(count.dtype).max if jnp.issubdtype(count.dtype, jnp.integer) else jnp.finfo(count.dtype).max
    return jnp.where(count < most, count + jnp.ones((), count.dtype), jnp.array(most, count.dtype))


def needs_params(name: str, params: Tree | None) -> Tree:
    """The parameters, or ValueError where `update` was called without."""
    if params is None:
        raise ValueError(f"{name} needs the parameters: update(updates, state, params)")
    return params
