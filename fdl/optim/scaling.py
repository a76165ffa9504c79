"""Transformations that scale updates by their own history: the heart of each optimizer."""

from __future__ import annotations

from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl import lax
from fdl.core.array import Array
from fdl.numpy._math import size_squared
from fdl.optim import rules
from fdl.optim.masking import masked
from fdl.optim.transformation import (
    EmptyState,
    GradientTransformation,
    ScalarOrSchedule,
    Schedule,
    Tree,
    count_of_zero,
    init_empty_state,
    needs_params,
    safe_increment,
    scale,
    stateless_with_tree_map,
    value_at,
    zeros,
)
from fdl.tree import map as tree_map


class TraceState(NamedTuple):
    """Of `trace`."""

    trace: Tree


class EmaState(NamedTuple):
    """Of `ema`."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    ema: Tree


class ScaleByAdamState(NamedTuple):
    """Steps, and running means of updates and of their squares."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    mu: Tree
    nu: Tree


class ScaleByAmsgradState(NamedTuple):
    """As of Adam, with the largest mean square so far."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    mu: Tree
    nu: Tree
    nu_max: Tree


class ScaleByBeliefState(NamedTuple):
    """Steps, the running mean, and the running mean square of what it did not foresee."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    mu: Tree
    nu: Tree


class ScaleByRmsState(NamedTuple):
    """The running mean of squares."""

    nu: Tree


class ScaleByRmsWithCountState(NamedTuple):
    """The running mean of squares, and how many steps it has seen."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    nu: Tree


class ScaleByRStdDevState(NamedTuple):
    """Running means of updates and of their squares."""

    mu: Tree
    nu: Tree


class ScaleByRssState(NamedTuple):
    """Sums of squares."""

    sum_of_squares: Tree


class ScaleByAdaDeltaState(NamedTuple):
    """Running means of squares of gradients and of steps."""

    e_g: Tree
    e_x: Tree


class ScaleByRpropState(NamedTuple):
    """Step sizes, and the updates before."""

    step_sizes: Tree
    prev_updates: Tree


class ScaleByLionState(NamedTuple):
    """Steps, and the running mean."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    mu: Tree


class ScaleByNovogradState(NamedTuple):
    """Steps, the running mean, and the running mean of squared norms."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    mu: Tree
    nu: Tree


class ScaleByTrustRatioState(NamedTuple):
    """Nothing."""


class ScaleByScheduleState(NamedTuple):
    """Steps."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well


class AddDecayedWeightsState(NamedTuple):
    """Steps, where the decay is a schedule."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well


def bias_correction(moment: Tree, decay: float, count: Array) -> Tree:
    """Running means of `count` steps, corrected for their start at zero (Kingma and Ba, 2015).

    >>> round(bias_correction(jnp.array(0.1), 0.9, 1).item(), 6)
    1.0
    """
    return _unbiased(moment, decay, count)


def _unbiased(moment: Tree, decay: float, count: Array | int) -> Tree:
    size = _size(decay, count)
    return tree_map(lambda m: m * _like(size, m), moment)


def _foreseen(mu: Tree, updates: Tree, b1: float, count: Array, nesterov: bool) -> Tree:
    """Corrected running means; with `nesterov` those of one step later, as far as they are known."""
    if not nesterov:
        return _unbiased(mu, b1, count)
    ahead, own = b1 * _size(b1, safe_increment(count)), (1 - b1) * _size(b1, count)
    return tree_map(lambda m, g: m * _like(ahead, m) + g * _like(own, m), mu, updates)


def _size(decay: Any, count: Any) -> Array:
    """`1 / (1 - decay^count)`, in float64: decays near 1 cancel."""
    size: Array = 1 / (1 - jnp.asarray(decay, jnp.float64) ** count)
    return size


def _cast(tree: Tree, dtype: Any) -> Tree:
    return tree if dtype is None else tree_map(lambda x: x.astype(dtype), tree)


def update_moment(updates: Tree, moments: Tree, decay: float, order: int) -> Tree:
    """Running means of updates to a power: `(1 - decay) * updates^order + decay * moments`.

    >>> round(update_moment(2.0, 1.0, 0.9, 2), 6)
    1.3
    """
    return tree_map(lambda g, m: (1 - decay) * (g**order if order > 1 else g) + decay * m, updates, moments)


def update_infinity_moment(updates: Tree, moments: Tree, decay: float, eps: float) -> Tree:
    """Running maxima of sizes: `max(|updates| + eps, decay * moments)`.

    >>> update_infinity_moment(jnp.array(-2.0), jnp.array(1.0), 0.5, 0.0).item()
    2.0
    """
    return tree_map(lambda g, u: rules.largest(u, g, decay, eps), updates, moments)


def _means(updates: Tree, mu: Tree, decay: float) -> Tree:
    return tree_map(lambda g, m: rules.mean(m, g, 1 - decay), updates, mu)


def _with_square(total: Array, g: Array) -> Array:
    return total + size_squared(g) if jnp.iscomplexobj(g) else rules.sum_of_squares(total, g)


def _plain_squares(updates: Tree, nu: Tree, decay: float) -> Tree:
    """Running means of squares; of complex numbers too, as Optax has them for Adadelta."""
    return tree_map(lambda g, v: rules.mean_square(v, g, decay, 1 - decay), updates, nu)


def _squares(updates: Tree, nu: Tree, decay: float) -> Tree:
    def moved(g: Any, v: Any) -> Any:
        if jnp.iscomplexobj(g):  # the size of a complex number, not its square, says how large steps are
            return decay * v + (1 - decay) * size_squared(g)
        return rules.mean_square(v, g, decay, 1 - decay)

    return tree_map(moved, updates, nu)


def trace(decay: float, nesterov: bool = False, accumulator_dtype: Any = None) -> GradientTransformation:
    """Momentum: `t = decay * t + updates` (Sutskever et al., 2013).

    >>> tx = trace(0.5)
    >>> updates, state = tx.update(1.0, tx.init(0.0))
    >>> tx.update(1.0, state)[0].item()
    1.5
    """

    def update(updates: Tree, state: TraceState, params: Tree | None = None, **extra: Any) -> tuple[Tree, TraceState]:
        new = tree_map(lambda t, g: rules.heavy_ball(t, g, decay), state.trace, updates)
        out = tree_map(lambda t, g: rules.look_ahead(t, g, decay), new, updates) if nesterov else new
        return out, TraceState(_cast(new, accumulator_dtype))

    return GradientTransformation(lambda params: TraceState(zeros(params, accumulator_dtype)), update)


def ema(decay: float, debias: bool = True, accumulator_dtype: Any = None) -> GradientTransformation:
    """The running mean of the updates, corrected for its start at zero with `debias`.

    >>> tx = ema(0.9)
    >>> round(tx.update(2.0, tx.init(0.0))[0].item(), 6)
    2.0
    """

    def update(updates: Tree, state: EmaState, params: Tree | None = None, **extra: Any) -> tuple[Tree, EmaState]:
        new, count = _means(updates, state.ema, decay), safe_increment(state.count)
        out = bias_correction(new, decay, count) if debias else new
        return out, EmaState(count, _cast(new, accumulator_dtype))

    return GradientTransformation(lambda params: EmaState(count_of_zero(), zeros(params, accumulator_dtype)), update)


def _start_of_means(params: Tree) -> ScaleByAdamState:
    """Both means of Adam before the first step."""
    return ScaleByAdamState(count_of_zero(), zeros(params), zeros(params))


def scale_by_adam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam's step (Kingma and Ba, 2015, algorithm 1); with `nesterov` Dozat's (2016).

    >>> tx = scale_by_adam()
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 4)
    1.0
    """

    def init(params: Tree) -> ScaleByAdamState:
        return ScaleByAdamState(count_of_zero(), zeros(params, mu_dtype), zeros(params))

    def update(
        updates: Tree, state: ScaleByAdamState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByAdamState]:
        mu, nu = _means(updates, state.mu, b1), _squares(updates, state.nu, b2)
        count = safe_increment(state.count)
        top = _foreseen(mu, updates, b1, count, nesterov)
        return tree_map(_over_root(b2, eps, eps_root, count), top, nu), ScaleByAdamState(count, _cast(mu, mu_dtype), nu)

    return GradientTransformation(init, update)


def _like(number: Any, x: Any) -> Array:
    """A number in the dtype of an array."""
    same: Array = jnp.asarray(number).astype(jnp.asarray(x).dtype)
    return same


def _over_root(b2: float, eps: float, eps_root: float, count: Any) -> Any:
    """`m / (sqrt(v / (1 - b2^count) + eps_root) + eps)` of corrected means."""
    size = _size(b2, count)

    def step(m: Array, v: Array) -> Array:
        if eps_root:
            return m / (jnp.sqrt(v * _like(size, v) + eps_root) + eps)
        scaled: Array = rules.scaled_by_root(m, v, eps, root=_like(jnp.sqrt(size), v))
        return scaled

    return step


def scale_by_amsgrad(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> GradientTransformation:
    """Adam with the largest mean square so far (Reddi et al., 2018), corrected before it is compared.

    >>> tx = scale_by_amsgrad()
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 4)
    1.0
    """

    def init(params: Tree) -> ScaleByAmsgradState:
        return ScaleByAmsgradState(count_of_zero(), zeros(params, mu_dtype), zeros(params), zeros(params))

    def update(
        updates: Tree, state: ScaleByAmsgradState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByAmsgradState]:
        mu, nu = _means(updates, state.mu, b1), _squares(updates, state.nu, b2)
        count = safe_increment(state.count)
        top = bias_correction(mu, b1, count) if bias_correction_mu else mu
        highest = tree_map(jnp.maximum, state.nu_max, bias_correction(nu, b2, count) if bias_correction_nu else nu)
        out = tree_map(lambda m, v: m / (jnp.sqrt(v + eps_root) + eps), top, highest)
        return out, ScaleByAmsgradState(count, _cast(mu, mu_dtype), nu, highest)

    return GradientTransformation(init, update)


def scale_by_adamax(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> GradientTransformation:
    """Adam with the largest size in place of the mean square (Kingma and Ba, 2015, algorithm 2).

    >>> tx = scale_by_adamax()
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 4)
    1.0
    """

    def update(
        updates: Tree, state: ScaleByAdamState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByAdamState]:
        count = safe_increment(state.count)
        mu, nu = _means(updates, state.mu, b1), update_infinity_moment(updates, state.nu, b2, eps)
        return tree_map(lambda m, v: m / v, bias_correction(mu, b1, count), nu), ScaleByAdamState(count, mu, nu)

    return GradientTransformation(_start_of_means, update)


def scale_by_radam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam that is plain momentum for as long as the variance of its step is not known (Liu et al., 2020).

    >>> tx = scale_by_radam()
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 4)
    4.0
    """
    longest = 2.0 / (1.0 - b2) - 1.0

    def update(
        updates: Tree, state: ScaleByAdamState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByAdamState]:
        mu, nu = _means(updates, state.mu, b1), _squares(updates, state.nu, b2)
        count = safe_increment(state.count)
        power = jnp.asarray(b2, jnp.float64) ** count
        length = longest - 2 * count * power / (1 - power)
        top = _foreseen(mu, updates, b1, count, nesterov)
        known = length >= threshold
        bounded = jnp.where(known, length, longest)
        factor = jnp.sqrt((bounded - 4) * (bounded - 2) * longest / ((longest - 4) * (longest - 2) * bounded))
        scaled = tree_map(_over_root(b2, eps, eps_root, count), top, nu)
        out = tree_map(lambda m, s: jnp.where(known, s * _like(factor, s), m), top, scaled)
        return out, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(_start_of_means, update)


def scale_by_belief(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16, *, nesterov: bool = False
) -> GradientTransformation:
    """Adam with the mean square of what the running mean did not foresee (Zhuang et al., 2020).

    >>> tx = scale_by_belief()
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 3)
    1.111
    """

    def update(
        updates: Tree, state: ScaleByBeliefState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByBeliefState]:
        mu = _means(updates, state.mu, b1)
        errors = tree_map(lambda g, m: g - m, updates, mu)
        nu = tree_map(lambda v: v + eps_root, _squares(errors, state.nu, b2))
        count = safe_increment(state.count)
        top = _foreseen(mu, updates, b1, count, nesterov)
        return tree_map(_over_root(b2, eps, 0.0, count), top, nu), ScaleByBeliefState(count, mu, nu)

    return GradientTransformation(
        lambda params: ScaleByBeliefState(count_of_zero(), zeros(params), zeros(params)), update
    )


def scale_by_yogi(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-3,
    eps_root: float = 0.0,
    initial_accumulator_value: float = 1e-6,
) -> GradientTransformation:
    """Adam whose mean square moves by steps of the size of a square (Zaheer et al., 2018).

    >>> tx = scale_by_yogi()
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 3)
    1.0
    """

    def start(params: Tree) -> Tree:
        return tree_map(lambda p: jnp.full_like(p, initial_accumulator_value), params)

    def update(
        updates: Tree, state: ScaleByAdamState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByAdamState]:
        mu = _means(updates, state.mu, b1)
        squares = tree_map(size_squared, updates)
        nu = tree_map(lambda s, v: v - (1 - b2) * jnp.sign(v - s) * s, squares, state.nu)
        count = safe_increment(state.count)
        out = tree_map(_over_root(b2, eps, eps_root, count), bias_correction(mu, b1, count), nu)
        return out, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(
        lambda params: ScaleByAdamState(count_of_zero(), start(params), start(params)), update
    )


def scale_by_rms(
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Updates over the root of their running mean square (Hinton, 2012).

    >>> tx = scale_by_rms(decay=0.75)
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 3)
    2.0
    """

    def start(params: Tree) -> Tree:
        return tree_map(lambda p: jnp.full_like(p, initial_scale), params)

    def init(params: Tree) -> Tree:
        return (
            ScaleByRmsWithCountState(count_of_zero(), start(params))
            if bias_correction
            else ScaleByRmsState(start(params))
        )

    def update(updates: Tree, state: Any, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        nu = _squares(updates, state.nu, decay)
        new: Tree = ScaleByRmsState(nu)
        known = nu
        if bias_correction:
            new = ScaleByRmsWithCountState(safe_increment(state.count), nu)
            known = _unbiased(nu, decay, new.count)
        return tree_map(_over(eps, eps_in_sqrt), updates, known), new

    return GradientTransformation(init, update)


def _over(eps: float, eps_in_sqrt: bool) -> Any:
    """An update over a root, which is not divided by where both are zero."""

    def step(g: Array, v: Array) -> Array:
        return g * lax.rsqrt(v + eps) if eps_in_sqrt else rules.scaled_by_root(g, v, eps)

    return step


def scale_by_stddev(
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    """Updates over their running standard deviation (Graves, 2013).

    >>> tx = scale_by_stddev(decay=0.5)
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 3)
    2.0
    """

    def init(params: Tree) -> Tree:
        nu = tree_map(lambda p: jnp.full_like(p, initial_scale), params)
        if bias_correction:
            return ScaleByAdamState(count_of_zero(), zeros(params), nu)
        return ScaleByRStdDevState(zeros(params), nu)

    def update(updates: Tree, state: Any, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        mu, nu = _means(updates, state.mu, decay), _squares(updates, state.nu, decay)
        new: Tree = ScaleByRStdDevState(mu, nu)
        mean, square = mu, nu
        if bias_correction:
            new = ScaleByAdamState(safe_increment(state.count), mu, nu)
            mean, square = _unbiased(mu, decay, new.count), _unbiased(nu, decay, new.count)
        variance = tree_map(lambda m, v: v - size_squared(m), mean, square)
        return tree_map(_over(eps, eps_in_sqrt), updates, variance), new

    return GradientTransformation(init, update)


def scale_by_rss(initial_accumulator_value: float = 0.1, eps: float = 1e-7) -> GradientTransformation:
    """Updates over the root of the sum of all squares (Duchi, Hazan and Singer, 2011).

    >>> tx = scale_by_rss(initial_accumulator_value=9.0)
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 3)
    0.8
    """

    def init(params: Tree) -> ScaleByRssState:
        return ScaleByRssState(tree_map(lambda p: jnp.full_like(p, initial_accumulator_value), params))

    def update(
        updates: Tree, state: ScaleByRssState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByRssState]:
        total = tree_map(_with_square, state.sum_of_squares, updates)
        factor = tree_map(lambda s: jnp.where(s > 0, lax.rsqrt(s + eps), 0.0), total)
        return tree_map(lambda f, g: f * g, factor, updates), ScaleByRssState(total)

    return GradientTransformation(init, update)


def scale_by_adadelta(rho: float = 0.9, eps: float = 1e-6) -> GradientTransformation:
    """Steps in the units of the parameters (Zeiler, 2012).

    >>> tx = scale_by_adadelta()
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 5)
    0.00316
    """

    def update(
        updates: Tree, state: ScaleByAdaDeltaState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByAdaDeltaState]:
        squares = _plain_squares(updates, state.e_g, rho)
        steps = tree_map(lambda g, v, x: rules.rescaled(g, v, x, eps), updates, squares, state.e_x)
        return steps, ScaleByAdaDeltaState(squares, _plain_squares(steps, state.e_x, rho))

    return GradientTransformation(lambda params: ScaleByAdaDeltaState(zeros(params), zeros(params)), update)


def scale_by_rprop(
    learning_rate: float,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> GradientTransformation:
    """Steps that depend on signs alone, and grow for as long as these stay (Riedmiller and Braun, 1993).

    >>> tx = scale_by_rprop(0.1)
    >>> round(tx.update(4.0, tx.init(0.0))[0].item(), 6)
    0.1
    """

    def init(params: Tree) -> ScaleByRpropState:
        return ScaleByRpropState(tree_map(lambda p: jnp.full_like(p, learning_rate), params), zeros(params))

    def update(
        updates: Tree, state: ScaleByRpropState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByRpropState]:
        sizes = tree_map(
            lambda s, b, g: rules.sizes_by_sign(s, b, g, eta_minus, eta_plus, min_step_size, max_step_size)[0],
            state.step_sizes,
            state.prev_updates,
            updates,
        )
        counted = tree_map(lambda b, g: jnp.where(b * g < 0, jnp.zeros_like(g), g), state.prev_updates, updates)
        return tree_map(lambda s, g: s * jnp.sign(g), sizes, counted), ScaleByRpropState(sizes, counted)

    return GradientTransformation(init, update)


def scale_by_lion(b1: float = 0.9, b2: float = 0.99, mu_dtype: Any = None) -> GradientTransformation:
    """The sign of a running mean that is moved towards the update first (Chen et al., 2023).

    >>> tx = scale_by_lion()
    >>> tx.update(-4.0, tx.init(0.0))[0].item()
    -1.0
    """

    def update(
        updates: Tree, state: ScaleByLionState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByLionState]:
        out = tree_map(lambda g, m: jnp.sign(rules.mean(m, g, 1 - b1)), updates, state.mu)
        mu = _cast(_means(updates, state.mu, b2), mu_dtype)
        return out, ScaleByLionState(safe_increment(state.count), mu)

    return GradientTransformation(lambda params: ScaleByLionState(count_of_zero(), zeros(params, mu_dtype)), update)


def scale_by_novograd(
    b1: float = 0.9,
    b2: float = 0.25,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
    mu_dtype: Any = None,
) -> GradientTransformation:
    """Momentum of gradients over running norms, one for each array (Ginsburg et al., 2019).

    >>> tx = scale_by_novograd()
    >>> round(tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)), jnp.zeros(2))[0].tolist()[1], 3)
    0.8
    """

    def init(params: Tree) -> ScaleByNovogradState:
        return ScaleByNovogradState(
            count_of_zero(), zeros(params, mu_dtype), tree_map(lambda p: jnp.zeros((), jnp.float32), params)
        )

    def update(
        updates: Tree, state: ScaleByNovogradState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByNovogradState]:
        params = needs_params("scale_by_novograd", params)
        first = state.count == 0
        norms = tree_map(lambda g: jnp.sum(jnp.square(jnp.abs(g))), updates)
        nu = tree_map(lambda n, v: jnp.where(first, n, b2 * v + (1 - b2) * n), norms, state.nu)

        def moved(g: Array, m: Array, v: Array, p: Array) -> Array:
            step = g / _like(jnp.sqrt(v + eps_root) + eps, g) + weight_decay * p
            return jnp.where(first, step, b1 * m + step)

        mu = tree_map(moved, updates, state.mu, nu, params)
        return mu, ScaleByNovogradState(safe_increment(state.count), _cast(mu, mu_dtype), nu)

    return GradientTransformation(init, update)


def scale_by_sign() -> GradientTransformation:
    """Signs of updates (signSGD, Bernstein et al., 2018).

    >>> scale_by_sign().update([-3.0], EmptyState())[0][0].item()
    -1.0
    """
    return stateless_with_tree_map(lambda u, p: jnp.sign(u))


def scale_by_trust_ratio(
    min_norm: float = 0.0, trust_coefficient: float = 1.0, eps: float = 0.0
) -> GradientTransformation:
    """Updates of each array, times the ratio of the norms of parameter and update (You et al., 2017 and 2020).

    >>> tx = scale_by_trust_ratio()
    >>> tx.update(jnp.array([3.0, 4.0]), tx.init(None), jnp.array([0.0, 10.0]))[0].tolist()
    [6.0, 8.0]
    """

    def one(u: Array, p: Array) -> Array:
        norm, size = safe_norm(p, min_norm), safe_norm(u, min_norm)
        ratio = trust_coefficient * norm / jnp.where(size + eps == 0, 1, size + eps)
        either = (norm == 0) | (size == 0)
        return u * jnp.where(either, jnp.ones((), ratio.dtype), ratio)

    def update(
        updates: Tree, state: ScaleByTrustRatioState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByTrustRatioState]:
        return tree_map(one, updates, needs_params("scale_by_trust_ratio", params)), state

    return GradientTransformation(lambda params: ScaleByTrustRatioState(), update)


def scale_by_param_block_norm(min_scale: float = 1e-3) -> GradientTransformation:
    """Updates of each array times the norm of its parameter, or `min_scale` where that is smaller.

    >>> tx = scale_by_param_block_norm()
    >>> tx.update(jnp.array([1.0, 2.0]), tx.init(None), jnp.array([3.0, 4.0]))[0].tolist()
    [5.0, 10.0]
    """
    return _by_params("scale_by_param_block_norm", lambda u, p: u * safe_norm(p, min_scale))


def scale_by_param_block_rms(min_scale: float = 1e-3) -> GradientTransformation:
    """Updates of each array times the root mean square of its parameter, or `min_scale` where that is smaller.

    >>> tx = scale_by_param_block_rms()
    >>> tx.update(jnp.array([1.0]), tx.init(None), jnp.array([2.0, -2.0]))[0].tolist()
    [2.0]
    """
    return _by_params("scale_by_param_block_rms", lambda u, p: u * safe_root_mean_squares(p, min_scale))


def _by_params(name: str, f: Any) -> GradientTransformation:
    def update(updates: Tree, state: Tree, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        return tree_map(f, updates, needs_params(name, params)), state

    return GradientTransformation(init_empty_state, update)


def safe_norm(x: Array, min_norm: float, axis: Any = None, keepdims: bool = False) -> Array:
    """The Euclidean norm, or `min_norm` where that is smaller, with a gradient that is zero there.

    >>> safe_norm(jnp.array([3.0, 4.0]), 0.0).item(), safe_norm(jnp.zeros(2), 0.5).item()
    (5.0, 0.5)
    """
    x = jnp.asarray(x)
    norm = jnp.sqrt(jnp.sum(size_squared(x), axis=axis, keepdims=True))
    plain = jnp.where(norm <= min_norm, jnp.ones_like(x), x)
    masked = jnp.sqrt(jnp.sum(size_squared(plain), axis=axis, keepdims=keepdims))
    small = norm if keepdims else jnp.squeeze(norm, axis=axis)
    return jnp.where(small <= min_norm, jnp.asarray(min_norm, masked.dtype), masked)


def safe_root_mean_squares(x: Array, min_rms: float) -> Array:
    """The root of the mean of squares, or `min_rms` where that is smaller, with a gradient that is zero there.

    >>> safe_root_mean_squares(jnp.array([2.0, -2.0]), 0.0).item()
    2.0
    """
    x = jnp.asarray(x)
    rms = jnp.sqrt(jnp.mean(size_squared(x)))
    plain = jnp.where(rms <= min_rms, jnp.ones_like(x), x)
    return jnp.where(rms <= min_rms, jnp.asarray(min_rms, rms.dtype), jnp.sqrt(jnp.mean(size_squared(plain))))


# Learning rates and decay


def scale_by_schedule(step_size_fn: Schedule) -> GradientTransformation:
    """Updates times what a schedule says for the number of the step.

    >>> tx = scale_by_schedule(lambda count: 1.0 / (1 + count))
    >>> updates, state = tx.update(1.0, tx.init(0.0))
    >>> tx.update(1.0, state)[0].item()
    0.5
    """

    def update(
        updates: Tree, state: ScaleByScheduleState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByScheduleState]:
        size = step_size_fn(state.count)
        out = tree_map(lambda u: _like(size, u) * u, updates)
        return out, ScaleByScheduleState(safe_increment(state.count))

    return GradientTransformation(lambda params: ScaleByScheduleState(count_of_zero()), update)


def scale_by_learning_rate(learning_rate: ScalarOrSchedule, *, flip_sign: bool = True) -> GradientTransformation:
    """Updates times a learning rate, downhill.

    >>> scale_by_learning_rate(0.5).update(2.0, EmptyState())[0]
    -1.0
    """
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        schedule = learning_rate
        return scale_by_schedule(lambda count: sign * schedule(count))
    return scale(sign * learning_rate)


def add_decayed_weights(weight_decay: ScalarOrSchedule = 0.0, mask: Any = None) -> GradientTransformation:
    """Updates plus decayed parameters, where the mask (a tree of bools, or a function of the parameters) says so.

    >>> add_decayed_weights(0.5).update(1.0, EmptyState(), 4.0)[0].item()
    3.0
    """

    def init(params: Tree) -> Tree:
        return AddDecayedWeightsState(count_of_zero()) if callable(weight_decay) else EmptyState()

    def update(updates: Tree, state: Any, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        params = needs_params("add_decayed_weights", params)
        decay = value_at(weight_decay, state.count if callable(weight_decay) else 0)
        new = AddDecayedWeightsState(safe_increment(state.count)) if callable(weight_decay) else state
        return tree_map(lambda g, p: rules.decayed(p, g, decay), updates, params), new

    inner = GradientTransformation(init, update)
    return inner if mask is None else masked(inner, mask)
