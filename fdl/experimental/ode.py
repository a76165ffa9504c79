"""Ordinary differential equations: `odeint`, by the pair of Dormand and Prince (1980) of orders 5 and 4.

Steps are as long as the error between both orders lets them be; between steps a polynomial of fourth order through the
ends and the middle is read (Shampine, 1986). The way back solves the adjoint equation (Pontryagin; Chen et al., 2018),
so that memory does not grow with the number of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fdl import lax
from fdl.core.array import Array
from fdl.core.errors import ShapeError
from fdl.core.pytree import Tree
from fdl.core.trace import aval_of
from fdl.custom_derivatives import closure_convert
from fdl.flatten_util import ravel_pytree
from fdl.numpy import (
    abs,
    array,
    asarray,
    concatenate,
    dot,
    maximum,
    mean,
    minimum,
    sqrt,
    stack,
    tensordot,
    where,
    zeros_like,
)
from fdl.transforms import custom_vjp, vjp, vmap
from fdl.tree_util import tree_map

_STEPS = np.array([1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0])
_STAGES = np.zeros((6, 7))
for _row, _values in enumerate(
    (
        [1 / 5],
        [3 / 40, 9 / 40],
        [44 / 45, -56 / 15, 32 / 9],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    )
):
    _STAGES[_row, : len(_values)] = _values
_SOLUTION = np.array([35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0])
_ERROR = _SOLUTION - np.array([5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40])
_MIDDLE = np.array(
    [
        6025192743 / 30085553152 / 2, 0, 51252292925 / 65400821598 / 2, -2691868925 / 45128329728 / 2,
        187940372067 / 1594534317056 / 2, -1776094331 / 19743644256 / 2, 11237099 / 235043384 / 2,
    ]
)  # fmt: skip

Field = Callable[..., Array]


def _size(x: Array) -> Array:
    return sqrt(mean(abs(x) ** 2))


def _first_step(f: Field, t: Array, y: Array, slope: Array, rtol: float, atol: float) -> Array:
    """A step for which the error is about as large as it may be (Hairer, Norsett and Wanner, section II.4)."""
    scale = atol + abs(y) * rtol
    d0, d1 = _size(y / scale), _size(slope / scale)
    h0 = where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / where(d1 == 0, 1, d1))
    d2 = _size((f(y + h0 * slope, t + h0) - slope) / scale) / h0
    steepest = maximum(d1, d2)
    flat = steepest <= 1e-15
    h1 = where(flat, maximum(1e-6, h0 * 1e-3), (0.01 / where(flat, 1, steepest)) ** (1 / 5))
    return minimum(100 * h0, h1)


def _step(f: Field, t: Array, y: Array, slope: Array, dt: Array) -> tuple[Array, Array, Array]:
    """(the next value, its error, slopes at all stages)."""
    dtype = aval_of(y).dtype
    slopes = [slope]
    for k in range(6):
        weights = asarray(_STAGES[k, : k + 1], dtype)
        slopes.append(f(y + dt.astype(dtype) * tensordot(weights, stack(slopes), 1), t + dt * float(_STEPS[k])))
    all_slopes = stack(slopes)
    moved, error = (dt.astype(dtype) * tensordot(asarray(w, dtype), all_slopes, 1) for w in (_SOLUTION, _ERROR))
    return y + moved, error, all_slopes


def _between(y: Array, new: Array, slopes: Array, dt: Array) -> Array:
    """Coefficients, the highest first, of the polynomial from 0 to 1 through the ends and the middle of a step."""
    dtype = aval_of(y).dtype
    dt = dt.astype(dtype)
    middle = y + dt * tensordot(asarray(_MIDDLE, dtype), slopes, 1)
    first, last = dt * slopes[0], dt * slopes[-1]
    return stack(
        [
            -2 * first + 2 * last - 8 * y - 8 * new + 16 * middle,
            5 * first - 3 * last + 18 * y + 14 * new - 32 * middle,
            -4 * first + last - 11 * y - 5 * new + 16 * middle,
            first,
            y,
        ]
    )


def _solved(f: Field, y0: Array, ts: Array, rtol: float, atol: float, mxstep: float, hmax: float) -> Array:
    """Values at all times."""
    slope = f(y0, ts[0])
    dt = minimum(_first_step(f, ts[0], y0, slope, rtol, atol), hmax).astype(aval_of(ts).dtype)
    start = (y0, slope, ts[0], dt, ts[0], stack([y0 * 0] * 4 + [y0]))

    def reached(carry: Any, target: Array) -> tuple[Any, Array]:
        def goes_on(state: Any) -> Array:
            count, (_, _, t, dt, _, _) = state
            more: Array = (t < target) & (count < mxstep) & (dt > 0)
            return more

        def step(state: Any) -> Any:
            count, (y, slope, t, dt, last, line) = state
            new, error, slopes = _step(f, t, y, slope, dt)
            ratio = _size(error / (atol + rtol * maximum(abs(y), abs(new))))
            safe = where(ratio == 0, 1, ratio)
            factor = minimum(10.0, maximum(0.9 * safe ** (-1 / 5), where(ratio < 1, 1.0, 0.2)))
            longer = minimum(dt * where(ratio == 0, 10.0, factor), hmax).astype(aval_of(dt).dtype)
            kept = (new, slopes[-1], t + dt, longer, t, _between(y, new, slopes, dt))
            again = (y, slope, t, longer, last, line)
            return count + 1, tuple(where(ratio <= 1, a, b) for a, b in zip(kept, again, strict=True))

        carry = lax.while_loop(goes_on, step, (0.0, carry))[1]
        _, _, t, _, last, line = carry
        place = ((target - last) / where(t == last, 1, t - last)).astype(aval_of(line).dtype)
        value = line[0]
        for k in range(1, 5):
            value = value * place + line[k]
        return carry, value

    _, values = lax.scan(reached, start, ts[1:])
    return concatenate([y0[None], values])


def odeint(
    func: Callable[..., Tree], y0: Tree, t: Array, *args: Any, rtol: float = 1.4e-8, atol: float = 1.4e-8,
    mxstep: float = np.inf, hmax: float = np.inf,
) -> Tree:  # fmt: skip
    """Values at times `t`, which grow, of the solution of `dy/dt = func(y, t, *args)` that is `y0` at the first one.

    `y0` and `args` are trees of floats; the result is a tree as `y0` with the times in front. The error of a step is at
    most `atol + rtol * abs(y)`; no step is longer than `hmax`, and no more than `mxstep` are taken between two times.

    >>> import fdl.numpy as jnp
    >>> values = odeint(lambda y, t: -y, jnp.float32(1.0), jnp.array([0.0, 1.0]), rtol=1e-5)
    >>> bool(jnp.allclose(values, jnp.exp(jnp.array([0.0, -1.0])), atol=1e-5))
    True
    """
    times = asarray(t)
    if aval_of(times).ndim != 1 or not aval_of(times).size:
        raise ShapeError(f"odeint: times {aval_of(times).describe()}", hint="a vector of times, the first one of y0")
    called, hoisted = closure_convert(func, y0, times[0], *args)
    flat, unravel = ravel_pytree(y0)
    options = (rtol, atol, mxstep, hmax)

    def field(y: Array, time: Array, *given: Any) -> Array:
        return ravel_pytree(called(unravel(y), time, *given))[0]

    @custom_vjp
    def solution(y: Array, ts: Array, *given: Any) -> Array:
        return _solved(lambda y, time: field(y, time, *given), y, ts, *options)

    def fwd(y: Array, ts: Array, *given: Any) -> tuple[Array, Any]:
        ys = solution(y, ts, *given)
        return ys, (ys, ts, given)

    def bwd(kept: Any, g: Array) -> tuple[Any, ...]:
        ys, ts, given = kept
        return _adjoint(field, options, ys, ts, given, g)

    solution.defvjp(fwd, bwd)
    values = solution(flat, times, *args, *hoisted)
    return vmap(unravel)(values)


def _adjoint(
    field: Field, options: tuple[float, ...], ys: Array, ts: Array, given: tuple[Any, ...], g: Array
) -> tuple[Any, ...]:
    """Cotangents of the first value, of the times, and of what the field is given, from those of all values."""

    def back(state: tuple[Any, ...], minus_t: Array) -> tuple[Any, ...]:
        y, y_bar, _, _ = state
        slope, pull = vjp(field, y, -minus_t, *given)
        return (-slope, *_grouped(pull(y_bar)))

    def _grouped(cts: tuple[Any, ...]) -> tuple[Any, ...]:
        return cts[0], cts[1], tuple(cts[2:])

    def part(carry: Any, i: Array) -> tuple[Any, Array]:
        y_bar, t0_bar, given_bar = carry
        t_bar = dot(field(ys[i], ts[i], *given), g[i]).astype(aval_of(t0_bar).dtype)
        state, unravel = ravel_pytree((ys[i], y_bar, t0_bar - t_bar, given_bar))
        moved = _solved(
            lambda s, time: ravel_pytree(back(unravel(s), time))[0], state, stack([-ts[i], -ts[i - 1]]), *options
        )
        _, y_bar, t0_bar, given_bar = unravel(moved[1])
        return (y_bar + g[i - 1], t0_bar, given_bar), t_bar

    n = aval_of(ts).shape[0]
    start = (g[n - 1], zeros_like(ts[0]), tree_map(lambda x: zeros_like(asarray(x)), given))
    (y_bar, t0_bar, given_bar), t_bars = lax.scan(part, start, array(np.arange(n - 1, 0, -1)))
    return (y_bar, concatenate([t0_bar[None], t_bars[::-1]]), *given_bar)


__all__ = ["odeint"]
