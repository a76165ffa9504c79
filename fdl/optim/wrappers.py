"""Transformations around others: several gradients a step, steps that are left out, slow copies of parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl import lax
from fdl.core.array import Array
from fdl.optim.transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Tree,
    count_of_zero,
    safe_increment,
    with_extra_args_support,
    zeros,
)
from fdl.tree import leaves, structure
from fdl.tree import map as tree_map


class MultiStepsState(NamedTuple):
    """Steps since the last update, updates so far, the inner state, the mean of gradients, and nothing."""

    mini_step: Array
    gradient_step: Array
    inner_opt_state: Tree
    acc_grads: Tree
    skip_state: Tree = ()


class ApplyIfFiniteState(NamedTuple):
    """How many updates in a row were not finite, whether the last one was, how many were not in all."""

    notfinite_count: Array
    last_finite: Array
    total_notfinite: Array
    inner_state: Tree


class ApplyEvery(NamedTuple):
    """Steps, and the sum of updates since the last one that counted."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    grad_acc: Tree


class LookaheadParams(NamedTuple):
    """Fast parameters, which each step moves, and slow ones, which follow them."""

    fast: Tree
    slow: Tree


class LookaheadState(NamedTuple):
    """The state of the fast optimizer, and its steps since the slow parameters moved."""

    fast_state: Tree
    steps_since_sync: Array


class MultiSteps:
    """An optimizer that takes the mean of the gradients of several steps, and moves the parameters at the last one.

    `every_k_schedule` is the number of steps, or a function from the number of updates so far to it. The first updates
    of each run are zeros.

    >>> from fdl.optim import sgd
    >>> tx = MultiSteps(sgd(1.0), 2)
    >>> state = tx.init(0.0)
    >>> updates, state = tx.update(1.0, state, 0.0); updates.item()
    0.0
    >>> updates, state = tx.update(3.0, state, 0.0); updates.item()
    -2.0
    """

    def __init__(
        self,
        opt: GradientTransformation,
        every_k_schedule: int | Callable[[Array], Array],
        use_grad_mean: bool = True,
    ) -> None:
        self._opt = with_extra_args_support(opt)
        self._every = every_k_schedule if callable(every_k_schedule) else lambda step: jnp.asarray(every_k_schedule)
        self._mean = use_grad_mean

    @property
    def inner_opt(self) -> GradientTransformationExtraArgs:
        """The optimizer inside."""
        return self._opt

    def init(self, params: Tree) -> MultiStepsState:
        """The state before the first step."""
        return MultiStepsState(count_of_zero(), count_of_zero(), self._opt.init(params), zeros(params))

    def update(
        self, updates: Tree, state: MultiStepsState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, MultiStepsState]:
        """Zeros, or what the inner optimizer makes of the mean of the last gradients."""
        steps = self._every(state.gradient_step)
        if self._mean:
            part = state.mini_step + 1
            gathered = tree_map(lambda a, g: a + (g - a) / part.astype(jnp.asarray(a).dtype), state.acc_grads, updates)
        else:
            gathered = tree_map(lambda a, g: a + g, state.acc_grads, updates)
        last = state.mini_step == steps - 1

        def move(gathered: Tree, inner: Tree) -> tuple[Tree, Tree]:
            return self._opt.update(gathered, inner, params, **extra)

        def wait(gathered: Tree, inner: Tree) -> tuple[Tree, Tree]:
            return tree_map(jnp.zeros_like, gathered), inner

        out, inner = lax.cond(last, move, wait, gathered, state.inner_opt_state)
        kept = tree_map(lambda a: jnp.where(last, jnp.zeros_like(a), a), gathered)
        return out, MultiStepsState(
            jnp.where(last, jnp.zeros_like(state.mini_step), state.mini_step + 1),
            jnp.where(last, safe_increment(state.gradient_step), state.gradient_step),
            inner,
            kept,
            state.skip_state,
        )

    def has_updated(self, state: MultiStepsState) -> Array:
        """Whether the last step moved the parameters."""
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """As a transformation."""
        return GradientTransformation(self.init, self.update)


def apply_every(k: int = 1) -> GradientTransformation:
    """The sum of `k` updates at each k-th step, zeros in between.

    >>> tx = apply_every(2)
    >>> updates, state = tx.update(1.0, tx.init(0.0))
    >>> updates.item(), tx.update(2.0, state)[0].item()
    (0.0, 3.0)
    """

    def update(updates: Tree, state: ApplyEvery, params: Tree | None = None, **extra: Any) -> tuple[Tree, ApplyEvery]:
        at = state.count % k
        gathered = tree_map(lambda g, a: jnp.where(at != 0, a, jnp.zeros_like(a)) + g, updates, state.grad_acc)
        emit = at == k - 1
        out = tree_map(lambda a: jnp.where(emit, a, jnp.zeros_like(a)), gathered)
        return out, ApplyEvery(safe_increment(state.count) % k, gathered)

    return GradientTransformation(lambda params: ApplyEvery(count_of_zero(), zeros(params)), update)


def apply_if_finite(inner: GradientTransformation, max_consecutive_errors: int) -> GradientTransformationExtraArgs:
    """The transformation where all updates are finite, else zeros and the state as it was: up to so many times in a
    row.

    >>> from fdl.optim import sgd
    >>> tx = apply_if_finite(sgd(1.0), 2)
    >>> updates, state = tx.update(jnp.inf, tx.init(0.0))
    >>> updates.item(), state.notfinite_count.item()
    (0.0, 1)
    """
    own = with_extra_args_support(inner)

    def init(params: Tree) -> ApplyIfFiniteState:
        return ApplyIfFiniteState(count_of_zero(), jnp.array(True), count_of_zero(), own.init(params))

    def update(
        updates: Tree, state: ApplyIfFiniteState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ApplyIfFiniteState]:
        finite = jnp.array(True)
        for u in leaves(updates):
            finite = finite & jnp.all(jnp.isfinite(u))
        errors = jnp.where(finite, jnp.zeros_like(state.notfinite_count), safe_increment(state.notfinite_count))

        def move(updates: Tree, inner_state: Tree) -> tuple[Tree, Tree]:
            return own.update(updates, inner_state, params, **extra)

        def wait(updates: Tree, inner_state: Tree) -> tuple[Tree, Tree]:
            return tree_map(jnp.zeros_like, updates), inner_state

        counts = finite | (errors > max_consecutive_errors)
        out, kept = lax.cond(counts, move, wait, updates, state.inner_state)
        total = jnp.where(finite, state.total_notfinite, safe_increment(state.total_notfinite))
        return out, ApplyIfFiniteState(errors, finite, total, kept)

    return GradientTransformationExtraArgs(init, update)


def lookahead(
    fast_optimizer: GradientTransformation, sync_period: int, slow_step_size: float, reset_state: bool = False
) -> GradientTransformation:
    """Slow parameters that go a part of the way to the fast ones every `sync_period` steps, where these begin again
    (Zhang et al., 2019). Parameters and updates are `LookaheadParams`.

    >>> from fdl.optim import sgd
    >>> tx = lookahead(sgd(1.0), 1, 0.5)
    >>> params = LookaheadParams(2.0, 2.0)
    >>> tx.update(LookaheadParams(1.0, 0.0), tx.init(params), params)[0].slow.item()
    -0.5
    """
    own = with_extra_args_support(fast_optimizer)

    def init(params: LookaheadParams) -> LookaheadState:
        return LookaheadState(own.init(params.fast), count_of_zero())

    def update(
        updates: Tree, state: LookaheadState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, LookaheadState]:
        if not isinstance(params, LookaheadParams):
            raise ValueError("lookahead needs params: LookaheadParams(fast, slow)")
        given = updates.fast if isinstance(updates, LookaheadParams) else updates
        moves, fast_state = own.update(given, state.fast_state, params.fast, **extra)
        sync = state.steps_since_sync == sync_period - 1
        apart = tree_map(lambda f, u, s: f + u - s, params.fast, moves, params.slow)
        slow = tree_map(lambda d: jnp.where(sync, slow_step_size * d, jnp.zeros_like(d)), apart)
        fast = tree_map(lambda u, d: u - jnp.where(sync, (1 - slow_step_size) * d, jnp.zeros_like(d)), moves, apart)
        if reset_state:
            start = own.init(params.fast)
            fast_state = tree_map(lambda new, old: jnp.where(sync, new, old), start, fast_state)
        return LookaheadParams(fast, slow), LookaheadState(fast_state, (state.steps_since_sync + 1) % sync_period)

    return GradientTransformation(init, update)


def flatten(inner: GradientTransformation) -> GradientTransformationExtraArgs:
    """The transformation of all parameters as one long vector.

    >>> from fdl.optim import sgd
    >>> tx = flatten(sgd(1.0))
    >>> params = {"w": jnp.ones(2), "b": jnp.ones(())}
    >>> tx.update(params, tx.init(params))[0]["w"].tolist()
    [-1.0, -1.0]
    """
    own = with_extra_args_support(inner)

    def joined(tree: Tree) -> Array:
        return jnp.concatenate([jnp.ravel(x) for x in leaves(tree)])

    def parted(vector: Array, like: Tree) -> Tree:
        parts, start = [], 0
        for x in leaves(like):
            size = int(jnp.size(x))
            parts.append(jnp.reshape(vector[start : start + size], jnp.shape(x)))
            start += size
        return structure(like).unflatten(parts)

    def update(updates: Tree, state: Tree, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        out, new = own.update(joined(updates), state, None if params is None else joined(params), **extra)
        return parted(out, updates), new

    return GradientTransformationExtraArgs(lambda params: own.init(joined(params)), update)


def incremental_update(new_tensors: Tree, old_tensors: Tree, step_size: float) -> Tree:
    """A part `step_size` of the way from the old parameters to the new ones: a running mean of parameters.

    >>> incremental_update(2.0, 0.0, 0.25)
    0.5
    """
    return tree_map(lambda new, old: step_size * new + (1.0 - step_size) * old, new_tensors, old_tensors)


def periodic_update(new_tensors: Tree, old_tensors: Tree, steps: Array, update_period: int) -> Tree:
    """The new parameters at each `update_period`-th step, else the old ones.

    >>> periodic_update(jnp.array(2.0), jnp.array(1.0), jnp.array(4), 2).item()
    2.0
    """
    due = jnp.asarray(steps) % update_period == 0
    return tree_map(lambda new, old: jnp.where(due, new, old), new_tensors, old_tensors)
