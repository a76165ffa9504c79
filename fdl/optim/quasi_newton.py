"""L-BFGS and searches along a line, for functions whose gradients are exact."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl import lax
from fdl.core.array import Array
from fdl.optim.scaling import scale_by_learning_rate
from fdl.optim.transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    ScalarOrSchedule,
    Tree,
    chain,
    count_of_zero,
    identity,
    needs_params,
    safe_increment,
    scale,
    zeros,
)
from fdl.transforms.api.derivatives import value_and_grad
from fdl.tree import leaves
from fdl.tree import map as tree_map


class ScaleByLBFGSState(NamedTuple):
    """Steps, the last parameters and gradients, and a ring of their differences with one over their product."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    params: Tree
    updates: Tree
    diff_params_memory: Tree
    diff_updates_memory: Tree
    weights_memory: Array


class LinesearchState(NamedTuple):
    """The last step size, and the value and the gradient where it led."""

    learning_rate: Array
    value: Array
    grad: Tree


def _vdot(a: Tree, b: Tree) -> Array:
    total = jnp.zeros(())
    for x, y in zip(leaves(a), leaves(b), strict=True):
        total = total + jnp.sum(x * y)
    return total


def _moved(params: Tree, size: Array, direction: Tree) -> Tree:
    return tree_map(lambda p, d: p + size.astype(jnp.asarray(p).dtype) * d, params, direction)


def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True) -> GradientTransformation:
    """Gradients times an estimate of the inverse Hessian, from the last `memory_size` steps (Nocedal and Wright, 2006,
    algorithm 7.4).

    >>> tx = scale_by_lbfgs()
    >>> tx.update(0.5, tx.init(1.0), 1.0)[0].item()
    0.5
    """
    if memory_size < 1:
        raise ValueError(f"memory_size is at least 1, got {memory_size}")

    def init(params: Tree) -> ScaleByLBFGSState:
        def ring() -> Tree:
            return tree_map(lambda p: jnp.zeros((memory_size, *jnp.shape(p)), jnp.asarray(p).dtype), params)

        return ScaleByLBFGSState(count_of_zero(), zeros(params), zeros(params), ring(), ring(), jnp.zeros(memory_size))

    def put(ring: Tree, place: Array, value: Tree) -> Tree:
        return tree_map(lambda r, v: r.at[place].set(v), ring, value)

    def at(ring: Tree, place: Array) -> Tree:
        return tree_map(lambda r: r[place], ring)

    def update(
        updates: Tree, state: ScaleByLBFGSState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, ScaleByLBFGSState]:
        params = needs_params("scale_by_lbfgs", params)
        last = (state.count - 1) % memory_size
        step = tree_map(lambda a, b: a - b, params, state.params)
        change = tree_map(lambda a, b: a - b, updates, state.updates)
        product = _vdot(change, step)
        weight = jnp.where(product == 0, 0.0, 1.0 / jnp.where(product == 0, 1.0, product))
        known = state.count > 0

        def keep(new: Array, old: Array) -> Array:
            return jnp.where(known, new, old)

        steps = tree_map(keep, put(state.diff_params_memory, last, step), state.diff_params_memory)
        changes = tree_map(keep, put(state.diff_updates_memory, last, change), state.diff_updates_memory)
        weights = keep(state.weights_memory.at[last].set(weight), state.weights_memory)
        size = jnp.ones(())
        if scale_init_precond:
            norm = jnp.sqrt(_vdot(updates, updates))
            first = jnp.minimum(1.0, 1.0 / jnp.where(norm == 0, 1.0, norm))
            square = _vdot(change, change)
            size = jnp.where(known & (square > 0), product / jnp.where(square == 0, 1.0, square), first)
        direction, factors = updates, [jnp.zeros(())] * memory_size
        places = [(state.count - 1 - i) % memory_size for i in range(memory_size)]  # the newest one first
        for i, place in enumerate(places):
            factors[i] = weights[place] * _vdot(at(steps, place), direction)
            direction = _moved(direction, -factors[i], at(changes, place))
        direction = tree_map(lambda d: d * size.astype(jnp.asarray(d).dtype), direction)
        for i, place in reversed(list(enumerate(places))):
            back = weights[place] * _vdot(at(changes, place), direction)
            direction = _moved(direction, factors[i] - back, at(steps, place))
        kept = tree_map(jnp.asarray, params), tree_map(jnp.asarray, updates)
        return direction, ScaleByLBFGSState(safe_increment(state.count), *kept, steps, changes, weights)

    return GradientTransformation(init, update)


def _linesearch(
    search: Callable[[Callable[[Array], tuple[Array, Tree, Array]], Array, Array, Array], Array],
) -> GradientTransformationExtraArgs:
    """Updates times the step size that `search(along, value, slope, before)` finds: `along(size)` gives value,
    gradient and slope at that size, `before` is the size of the last step.
    """

    def init(params: Tree) -> LinesearchState:
        dtype = jnp.result_type(*map(jnp.asarray, leaves(params)))
        return LinesearchState(jnp.ones((), dtype), jnp.asarray(jnp.inf, dtype), zeros(params))

    def update(
        updates: Tree, state: LinesearchState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, LinesearchState]:
        params = needs_params("a line search", params)
        missing = [name for name in ("value", "grad", "value_fn") if name not in extra]
        if missing:
            raise ValueError(
                f"a line search needs {', '.join(missing)}: update(updates, state, params, value=..., ...)"
            )
        value, grad, value_fn = (extra.pop(name) for name in ("value", "grad", "value_fn"))

        def along(size: Array) -> tuple[Array, Tree, Array]:
            found, slope = value_and_grad(value_fn)(_moved(params, size, updates), **extra)
            return found.astype(dtype), slope, _vdot(slope, updates).astype(dtype)

        dtype = state.learning_rate.dtype
        slope = _vdot(grad, updates).astype(dtype)
        size = search(along, jnp.asarray(value, dtype), slope, state.learning_rate)
        reached, slopes, _ = along(size)
        scaled = tree_map(lambda u: size.astype(jnp.asarray(u).dtype) * u, updates)
        return scaled, LinesearchState(size, reached, slopes)

    return GradientTransformationExtraArgs(init, update)


def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: float = 1e-4,
    decrease_factor: float = 0.8,
    increase_factor: float = 1.5,
    max_learning_rate: float | None = 1.0,
    atol: float = 0.0,
    rtol: float = 0.0,
) -> GradientTransformationExtraArgs:
    """Step sizes that shrink until the function falls as far as its slope promises (Armijo, 1966).

    `update` takes `value=`, `grad=` and `value_fn=` at the parameters.

    >>> square = lambda p: p * p
    >>> tx = chain(scale(-8.0), scale_by_backtracking_linesearch(20))
    >>> updates, _ = tx.update(2.0, tx.init(1.0), 1.0, value=1.0, grad=2.0, value_fn=square)
    >>> bool(square(1.0 + updates) < 1.0)
    True
    """

    def search(along: Any, value: Array, slope: Array, before: Array) -> Array:
        start = before * increase_factor
        start = start if max_learning_rate is None else jnp.minimum(start, max_learning_rate)

        def too_far(state: tuple[Array, Array, Array]) -> Array:
            _, steps, enough = state
            return ~enough & (steps < max_backtracking_steps)

        def falls(size: Array) -> Array:
            bound = (1 + rtol) * value + slope_rtol * size * slope + atol
            low_enough: Array = along(size)[0] <= bound
            return low_enough

        def shorter(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            size, steps, _ = state
            size = size * decrease_factor
            return size, steps + 1, falls(size)

        found: Array = lax.while_loop(too_far, shorter, (start, jnp.zeros((), jnp.int32), falls(start)))[0]
        return found

    return _linesearch(search)


def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: float | None = None,
    increase_factor: float = 2.0,
    slope_rtol: float = 1e-4,
    curv_rtol: float = 0.9,
    initial_guess_strategy: str = "keep",
) -> GradientTransformationExtraArgs:
    """Step sizes at which the function has fallen, and its slope has flattened, far enough (strong conditions of Wolfe;
    Nocedal and Wright, 2006, algorithms 3.5 and 3.6): sizes grow until they enclose such a place, and the interval is
    narrowed by cubic interpolation.

    `update` takes `value=`, `grad=` and `value_fn=` at the parameters. The first guess is the last step size, or one
    with `initial_guess_strategy="one"`.

    >>> square = lambda p: p * p
    >>> tx = chain(scale(-0.1), scale_by_zoom_linesearch(20, curv_rtol=0.1))
    >>> updates, _ = tx.update(2.0, tx.init(1.0), 1.0, value=1.0, grad=2.0, value_fn=square)
    >>> bool(jnp.abs(1.0 + updates) < 0.1)
    True
    """
    if initial_guess_strategy not in ("keep", "one"):
        raise ValueError(f"initial_guess_strategy is 'keep' or 'one', got {initial_guess_strategy!r}")
    most = math.inf if max_learning_rate is None else max_learning_rate

    def search(along: Any, value: Array, slope: Array, before: Array) -> Array:
        def judged(size: Array) -> tuple[Array, Array, Array, Array]:
            """Value and slope at a size, whether it went too far up, and whether it will do."""
            found, _, there = along(size)
            high = ~(found <= value + slope_rtol * size * slope)
            return found, there, high, ~high & (jnp.abs(there) <= curv_rtol * jnp.abs(slope))

        def searching(state: Any) -> Array:
            goes_on: Array = ~state[0] & (state[1] < max_linesearch_steps)
            return goes_on

        def closer(state: Any) -> Any:
            _, steps, enclosed, size, (low, low_value, low_slope), (high, high_value, high_slope), best = state
            found, there, up, good = judged(size)
            worse = up | (found >= low_value)
            beyond = there * jnp.where(enclosed, high - low, 1.0) >= 0
            # the end that is replaced: the far one by what lies too high, else the near one moves, and turns round
            to_far = worse
            turned = ~worse & beyond
            new_high = tuple(
                jnp.where(to_far, a, jnp.where(turned, b, c))
                for a, b, c in zip(
                    (size, found, there), (low, low_value, low_slope), (high, high_value, high_slope), strict=True
                )
            )
            new_low = tuple(
                jnp.where(worse, a, b) for a, b in zip((low, low_value, low_slope), (size, found, there), strict=True)
            )
            now = enclosed | worse | beyond
            further = jnp.minimum(size * increase_factor, most)
            within = _between(new_low, new_high)
            best = jnp.where(good, size, jnp.where(~up & ~worse, size, best))
            stuck = ~now & (size >= most)
            return good | stuck, steps + 1, now, jnp.where(now, within, further), new_low, new_high, best

        start = jnp.minimum(before if initial_guess_strategy == "keep" else jnp.ones_like(value), most)
        at_zero = (jnp.zeros_like(value), value, slope)
        no, none, nowhere = jnp.array(False), jnp.zeros((), jnp.int32), jnp.zeros_like(value)
        ended = lax.while_loop(searching, closer, (no, none, no, start, at_zero, at_zero, nowhere))
        size: Array = ended[-1]
        return size

    return _linesearch(search)


def _between(low: Any, high: Any) -> Array:
    """Where the cubic through values and slopes at two places is least; the middle where that is too near to an end."""
    (a, fa, da), (b, fb, db) = low, high
    width = b - a
    safe = jnp.where(width == 0, 1.0, width)
    first = da + db - 3 * (fb - fa) / safe
    square = first * first - da * db
    second = jnp.sign(width) * jnp.sqrt(jnp.maximum(square, 0.0))
    below = db - da + 2 * second
    at = b - width * (db + second - first) / jnp.where(below == 0, 1.0, below)
    least, most = jnp.minimum(a, b) + 0.1 * jnp.abs(width), jnp.maximum(a, b) - 0.1 * jnp.abs(width)
    usable = (square >= 0) & (below != 0) & (at >= least) & (at <= most) & jnp.isfinite(at)
    return jnp.where(usable, at, (a + b) / 2)


def lbfgs(
    learning_rate: ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: GradientTransformation | None = scale_by_zoom_linesearch(20, initial_guess_strategy="one"),
) -> GradientTransformationExtraArgs:
    """L-BFGS with a search along each direction (Liu and Nocedal, 1989).

    >>> bowl = lambda p: jnp.sum((p - 3.0) ** 2 * jnp.array([1.0, 10.0]))
    >>> opt, params = lbfgs(), jnp.zeros(2)
    >>> state, both = opt.init(params), value_and_grad_from_state(bowl)
    >>> for _ in range(8):
    ...     value, grad = both(params, state=state)
    ...     updates, state = opt.update(grad, state, params, value=value, grad=grad, value_fn=bowl)
    ...     params = params + updates
    >>> bool(jnp.all(jnp.abs(params - 3.0) < 1e-3))
    True
    """
    down = scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    return chain(scale_by_lbfgs(memory_size, scale_init_precond), down, linesearch or identity())


def value_and_grad_from_state(value_fn: Callable[..., Array]) -> Callable[..., tuple[Array, Tree]]:
    """`value_and_grad(value_fn)` that takes both from the state of a line search, which has just computed them.

    >>> both = value_and_grad_from_state(lambda p: p * p)
    >>> both(3.0, state=chain(scale(1.0)).init(3.0))[1].item()
    6.0
    """

    def searched(state: Tree) -> LinesearchState | None:
        if isinstance(state, LinesearchState):
            return state
        parts = state if isinstance(state, tuple) else ()
        return next(filter(None, map(searched, parts)), None)

    def value_and_slope(params: Tree, *args: Any, state: Tree, **kwargs: Any) -> tuple[Array, Tree]:
        known = searched(state)
        if known is None:
            plain: tuple[Array, Tree] = value_and_grad(value_fn)(params, *args, **kwargs)
            return plain
        found = known

        def anew(params: Tree) -> tuple[Array, Tree]:
            value, grad = value_and_grad(value_fn)(params, *args, **kwargs)
            return jnp.asarray(value, found.value.dtype), grad

        kept = lambda params: (found.value, found.grad)
        both: tuple[Array, Tree] = lax.cond(jnp.isfinite(found.value), kept, anew, params)
        return both

    return value_and_slope
