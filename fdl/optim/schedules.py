"""Schedules: functions from the number of a step to a value, such as a learning rate.

A step may be traced, so that a schedule inside of a jitted step makes no new program.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl.core.array import Array
from fdl.optim.transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    Schedule,
    Tree,
    count_of_zero,
    safe_increment,
    with_extra_args_support,
)


def constant_schedule(value: float | Array) -> Schedule:
    """The value at all steps.

    >>> constant_schedule(0.1)(7)
    0.1
    """
    return lambda count: value


def polynomial_schedule(
    init_value: float, end_value: float, power: float, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """From `init_value` to `end_value` in `transition_steps`, by a power of the part that is left; constant before and
    behind, and everywhere where there are no steps.

    >>> polynomial_schedule(1.0, 0.0, 2, 10)(5).item()
    0.25
    """
    if transition_steps <= 0:
        return constant_schedule(init_value)
    begin = max(transition_begin, 0)

    def schedule(count: Array | int) -> Array:
        done = jnp.clip(jnp.asarray(count) - begin, 0, transition_steps)
        return (init_value - end_value) * (1 - done / transition_steps) ** power + end_value

    return schedule


def linear_schedule(init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0) -> Schedule:
    """From `init_value` to `end_value` in a straight line.

    >>> linear_schedule(1.0, 0.0, 4)(1).item()
    0.75
    """
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """`init_value * decay_rate^(steps / transition_steps)`, in whole powers with `staircase`, never past `end_value`.

    >>> exponential_decay(1.0, 10, 0.5)(20).item()
    0.25
    """
    if transition_steps <= 0 or decay_rate == 0:
        return constant_schedule(init_value)
    begin = max(transition_begin, 0)

    def schedule(count: Array | int) -> Array:
        done = jnp.asarray(count) - begin
        power = done / transition_steps
        if staircase:
            power = jnp.floor(power)
        value = jnp.where(done <= 0, init_value, init_value * jnp.power(decay_rate, power))
        if end_value is None:
            return value
        return jnp.maximum(value, end_value) if decay_rate < 1.0 else jnp.minimum(value, end_value)

    return schedule


def cosine_decay_schedule(init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0) -> Schedule:
    """Half a cosine from `init_value` to `alpha * init_value` (Loshchilov and Hutter, 2017).

    >>> round(cosine_decay_schedule(1.0, 10)(5).item(), 6)
    0.5
    """
    if decay_steps <= 0:
        raise ValueError(f"cosine_decay_schedule: decay_steps is positive, got {decay_steps}")

    def schedule(count: Array | int) -> Array:
        done = jnp.minimum(jnp.asarray(count), decay_steps)
        wave = 0.5 * (1 + jnp.cos(jnp.pi * done / decay_steps))
        return init_value * ((1 - alpha) * wave**exponent + alpha)

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Schedules one after another: each counts from the boundary at which it begins.

    >>> both = join_schedules([constant_schedule(1.0), linear_schedule(2.0, 0.0, 2)], [3])
    >>> both(2).item(), both(4).item()
    (1.0, 1.0)
    """

    def schedule(step: Array | int) -> Array:
        step = jnp.asarray(step)
        value = jnp.asarray(schedules[0](step))
        for boundary, later in zip(boundaries, schedules[1:], strict=False):
            value = jnp.where(step < boundary, value, later(step - boundary))
        return value

    return schedule


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> Schedule:
    """A straight line up to `peak_value`, which stays.

    >>> warmup_constant_schedule(0.0, 1.0, 4)(2).item()
    0.5
    """
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Schedule:
    """A straight line up to `peak_value`, then half a cosine; `decay_steps` counts both.

    >>> schedule = warmup_cosine_decay_schedule(0.0, 1.0, 10, 110)
    >>> schedule(5).item(), schedule(10).item()
    (0.5, 1.0)
    """
    alpha = 0.0 if peak_value == 0.0 else end_value / peak_value
    return join_schedules(
        [
            linear_schedule(init_value, peak_value, warmup_steps),
            cosine_decay_schedule(peak_value, decay_steps - warmup_steps, alpha, exponent),
        ],
        [warmup_steps],
    )


def warmup_exponential_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """A straight line up to `peak_value`, then `exponential_decay`.

    >>> warmup_exponential_decay_schedule(0.0, 1.0, 4, 10, 0.5)(14).item()
    0.5
    """
    return join_schedules(
        [
            linear_schedule(init_value, peak_value, warmup_steps),
            exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value),
        ],
        [warmup_steps],
    )


def sgdr_schedule(cosine_kwargs: Sequence[Mapping[str, Any]]) -> Schedule:
    """`warmup_cosine_decay_schedule` again and again, each with its own settings (Loshchilov and Hutter, 2017).

    >>> one = dict(init_value=0.0, peak_value=1.0, warmup_steps=2, decay_steps=4)
    >>> sgdr_schedule([one, one])(6).item()
    1.0
    """
    boundaries, step = [], 0
    for settings in cosine_kwargs:
        step += settings["decay_steps"]
        boundaries.append(step)
    return join_schedules([warmup_cosine_decay_schedule(**settings) for settings in cosine_kwargs], boundaries[:-1])


def piecewise_constant_schedule(
    init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """The value times all scales whose steps have passed.

    >>> piecewise_constant_schedule(1.0, {10: 0.5, 20: 0.5})(15).item()
    0.5
    """
    scales = dict(boundaries_and_scales or {})
    if any(scale < 0 for scale in scales.values()):
        raise ValueError("piecewise_constant_schedule: scales are not negative")

    def schedule(count: Array | int) -> Array:
        value = jnp.asarray(init_value, jnp.float32)
        for threshold, scale in sorted(scales.items()):
            value = jnp.where(jnp.asarray(count) >= threshold, value * scale, value)
        return value

    return schedule


def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """The value times all scales up to each step, "linear" or "cosine" in between.

    >>> piecewise_interpolate_schedule("linear", 1.0, {10: 0.5})(5).item()
    0.75
    """
    between: dict[str, Callable[[Array], Array]] = {
        "linear": lambda part: part,
        "cosine": lambda part: (1 - jnp.cos(jnp.pi * part)) / 2,
    }
    if interpolate_type not in between:
        raise ValueError(f"interpolate_type is 'linear' or 'cosine', got {interpolate_type!r}")
    places, values = [0], [init_value]
    for threshold, scale in sorted((boundaries_and_scales or {}).items()):
        if scale < 0:
            raise ValueError("piecewise_interpolate_schedule: scales are not negative")
        places.append(threshold)
        values.append(values[-1] * scale)

    def schedule(count: Array | int) -> Array:
        count = jnp.asarray(count)
        value = jnp.asarray(values[-1], jnp.float32)
        for i in reversed(range(len(places) - 1)):
            part = (count - places[i]) / (places[i + 1] - places[i])
            inside = values[i] + (values[i + 1] - values[i]) * between[interpolate_type](part)
            value = jnp.where(count < places[i + 1], inside, value)
        return value

    return schedule


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up, down and further down in straight lines (Smith and Topin, 2018).

    >>> linear_onecycle_schedule(100, 1.0)(30).item()
    1.0
    """
    return piecewise_interpolate_schedule(
        "linear",
        peak_value / div_factor,
        {
            int(pct_start * transition_steps): div_factor,
            int(pct_final * transition_steps): 1.0 / div_factor,
            transition_steps: 1.0 / final_div_factor,
        },
    )


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up and down in half cosines (Smith and Topin, 2018).

    >>> cosine_onecycle_schedule(100, 1.0)(30).item()
    1.0
    """
    return piecewise_interpolate_schedule(
        "cosine",
        peak_value / div_factor,
        {int(pct_start * transition_steps): div_factor, transition_steps: 1.0 / (div_factor * final_div_factor)},
    )


class InjectHyperparamsState(NamedTuple):
    """Steps, settings of the next step by name, and the state of what takes them."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    hyperparams: dict[str, Any]
    inner_state: Tree


def inject_hyperparams(
    inner_factory: Callable[..., GradientTransformation], static_args: Sequence[str] | str = ()
) -> Callable[..., GradientTransformationExtraArgs]:
    """The same optimizer with its numeric settings in the state, where a step may read and replace them; schedules are
    asked at each step.

    >>> from fdl.optim import sgd
    >>> tx = inject_hyperparams(sgd)(learning_rate=0.5)
    >>> state = tx.init(0.0)
    >>> state.hyperparams["learning_rate"] = jnp.array(0.25)
    >>> tx.update(1.0, state)[0].item()
    -0.25
    """
    static = {static_args} if isinstance(static_args, str) else set(static_args)
    signature = inspect.signature(inner_factory)

    def factory(*args: Any, **kwargs: Any) -> GradientTransformationExtraArgs:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = dict(bound.arguments)
        given.update(given.pop("kwargs", {}))
        numbers, schedules, others = {}, {}, {}
        for name, value in given.items():
            if name in static or isinstance(value, (bool, str)) or value is None:
                others[name] = value
            elif callable(value):
                schedules[name] = value
            elif isinstance(value, (int, float, Array)):
                numbers[name] = value
            else:
                others[name] = value

        def settings(count: Array, known: dict[str, Any]) -> dict[str, Any]:
            return {**known, **{name: jnp.asarray(f(count), jnp.float32) for name, f in schedules.items()}}

        def made(values: dict[str, Any]) -> GradientTransformationExtraArgs:
            return with_extra_args_support(inner_factory(**others, **values))

        def init(params: Tree) -> InjectHyperparamsState:
            count = count_of_zero()
            values = settings(count, {name: jnp.asarray(value, jnp.float32) for name, value in numbers.items()})
            return InjectHyperparamsState(count, values, made(values).init(params))

        def update(
            updates: Tree, state: InjectHyperparamsState, params: Tree | None = None, **extra: Any
        ) -> tuple[Tree, InjectHyperparamsState]:
            values = settings(state.count, {n: v for n, v in state.hyperparams.items() if n not in schedules})
            updates, inner = made(values).update(updates, state.inner_state, params, **extra)
            return updates, InjectHyperparamsState(safe_increment(state.count), values, inner)

        return GradientTransformationExtraArgs(init, update)

    return factory
