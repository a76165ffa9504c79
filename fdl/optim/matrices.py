"""Optimizers that look at a parameter as a matrix: Adafactor, Muon."""

from __future__ import annotations

from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl import lax
from fdl.core.array import Array
from fdl.optim.aliases import adamw
from fdl.optim.clipping import clip_by_block_rms
from fdl.optim.masking import partition
from fdl.optim.scaling import (
    add_decayed_weights,
    bias_correction,
    ema,
    scale_by_learning_rate,
    scale_by_param_block_rms,
    update_moment,
)
from fdl.optim.transformation import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    ScalarOrSchedule,
    Tree,
    chain,
    count_of_zero,
    safe_increment,
    scale,
    zeros,
)
from fdl.tree import map as tree_map


class FactoredState(NamedTuple):
    """Steps, and running mean squares: by rows and by columns of large matrices, of all elements else."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    v_row: Tree
    v_col: Tree
    v: Tree


class MuonState(NamedTuple):
    """Steps, and the momentum."""

    count: Array  # type: ignore[assignment]  # the name of tuple.count, which optax takes as well
    mu: Tree
    ns_coeffs: Array


def _factored_axes(shape: tuple[int, ...], least: int) -> tuple[int, int] | None:
    """The second largest and the largest axis, where both are long enough to keep means of rows and of columns."""
    if len(shape) < 2:
        return None
    by_size = sorted(range(len(shape)), key=lambda axis: shape[axis])
    return (by_size[-2], by_size[-1]) if shape[by_size[-2]] >= least else None


def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: float = 0.8,
    step_offset: int = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: float = 1e-30,
) -> GradientTransformation:
    """Updates over the root of their running mean square, of which large matrices keep rows and columns alone (Shazeer
    and Stern, 2018).

    >>> tx = scale_by_factored_rms()
    >>> round(tx.update(jnp.array([4.0]), tx.init(jnp.zeros(1)), jnp.zeros(1))[0][0].item(), 3)
    1.0
    """

    def axes_of(x: Any) -> tuple[int, int] | None:
        return _factored_axes(jnp.shape(x), min_dim_size_to_factor) if factored else None

    def shapes(p: Any) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        shape, axes = tuple(jnp.shape(p)), axes_of(p)
        if axes is None:
            return (1,), (1,), shape
        small, large = axes
        return shape[:large] + shape[large + 1 :], shape[:small] + shape[small + 1 :], (1,)

    def init(params: Tree) -> FactoredState:
        row, col, whole = (
            tree_map(lambda p, k=k: jnp.zeros(shapes(p)[k], jnp.asarray(p).dtype), params) for k in range(3)
        )
        return FactoredState(count_of_zero(), row, col, whole)

    def one(g: Array, row: Array, col: Array, whole: Array, share: Array) -> tuple[Array, Array, Array, Array]:
        share = share.astype(jnp.float32)
        axes, square = axes_of(g), g * g + epsilon
        if axes is None:
            whole = (share * whole + (1 - share) * square).astype(g.dtype)
            return g * whole**-0.5, row, col, whole
        small, large = axes
        row = (share * row + (1 - share) * jnp.mean(square, large)).astype(g.dtype)
        col = (share * col + (1 - share) * jnp.mean(square, small)).astype(g.dtype)
        inner = small - 1 if small > large else small
        by_row = (row / jnp.mean(row, inner, keepdims=True)) ** -0.5
        return g * jnp.expand_dims(by_row, large) * jnp.expand_dims(col**-0.5, small), row, col, whole

    def update(
        updates: Tree, state: FactoredState, params: Tree | None = None, **extra: Any
    ) -> tuple[Tree, FactoredState]:
        steps = (state.count - step_offset + 1).astype(jnp.float32)
        share = 1.0 - steps ** (-decay_rate)
        made = tree_map(lambda g, r, c, w: _Parts(*one(g, r, c, w, share)), updates, state.v_row, state.v_col, state.v)
        parts = [tree_map(lambda p, k=k: p.parts[k], made) for k in range(4)]
        return parts[0], FactoredState(safe_increment(state.count), *parts[1:])

    return GradientTransformation(init, update)


class _Parts:
    """What one leaf becomes: a leaf itself, so that a tree of them can be taken apart."""

    def __init__(self, *parts: Array) -> None:
        self.parts = parts


def adafactor(
    learning_rate: ScalarOrSchedule | None = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: float = 0.8,
    decay_offset: int = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: float | None = 1.0,
    momentum: float | None = None,
    dtype_momentum: Any = jnp.float32,
    weight_decay_rate: ScalarOrSchedule | None = None,
    eps: float = 1e-30,
    factored: bool = True,
    weight_decay_mask: Any = None,
) -> GradientTransformationExtraArgs:
    """Adam's scale from rows and columns alone, steps of the size of the parameters (Shazeer and Stern, 2018).

    >>> opt = adafactor(0.1)
    >>> round(opt.update(jnp.ones(2), opt.init(jnp.full(2, 4.0)), jnp.full(2, 4.0))[0][0].item(), 6)
    -0.4
    """
    parts: list[GradientTransformation] = [
        scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)
    ]
    if clipping_threshold is not None:
        parts.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        parts.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        parts.append(scale_by_param_block_rms())
    if momentum is not None:
        parts.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*parts, scale(-1))


def orthogonalized(x: Array, coefficients: Any = (3.4445, -4.775, 2.0315), steps: int = 5, eps: float = 1e-8) -> Array:
    """The matrix with all singular values moved towards 1, by polynomials of odd powers (Newton and Schulz; Jordan et
    al., 2024).

    >>> q = orthogonalized(jnp.array([[3.0, 0.0], [0.0, 0.5]]))
    >>> bool(jnp.all(jnp.abs(jnp.abs(jnp.diag(q)) - 1) < 0.35))
    True
    """
    coefficients = jnp.asarray(coefficients)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (jnp.sqrt(jnp.sum(jnp.square(x))) + eps)
    a, b, c = (coefficients[k].astype(x.dtype) for k in range(3))

    def closer(_: Any, x: Array) -> Array:
        square = x @ x.T
        nearer: Array = a * x + (b * square + c * square @ square) @ x
        return nearer

    x = lax.fori_loop(0, steps, closer, x)
    return x.T if tall else x


def scale_by_muon(
    ns_coeffs: Any = (3.4445, -4.775, 2.0315),
    ns_steps: int = 5,
    beta: float = 0.95,
    eps: float = 1e-8,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
) -> GradientTransformation:
    """The momentum of matrices, made orthogonal, times the root of how much taller than wide they are (Jordan et al.,
    2024).

    >>> tx = scale_by_muon()
    >>> tx.update(jnp.eye(2), tx.init(jnp.zeros((2, 2))))[0].shape
    (2, 2)
    """

    def init(params: Tree) -> MuonState:
        return MuonState(count_of_zero(), zeros(params, mu_dtype), jnp.asarray(ns_coeffs))

    def update(updates: Tree, state: MuonState, params: Tree | None = None, **extra: Any) -> tuple[Tree, MuonState]:
        mu = update_moment(updates, state.mu, beta, 1)
        count = safe_increment(state.count)
        top = bias_correction(mu, beta, count)
        if nesterov:
            own = bias_correction(updates, beta, count)
            later = bias_correction(mu, beta, safe_increment(count))
            top = tree_map(lambda m, g: beta * m + (1 - beta) * g, later, own)
        turned = tree_map(lambda m: orthogonalized(m, state.ns_coeffs, ns_steps, eps), top)
        if adaptive:
            turned = tree_map(lambda m, q: jnp.sum(m * q) * q, top, turned)
        sized = tree_map(lambda q: jnp.sqrt(max(1.0, q.shape[0] / q.shape[1])).astype(q.dtype) * q, turned)
        kept = mu if mu_dtype is None else tree_map(lambda m: m.astype(mu_dtype), mu)
        return sized, MuonState(count, kept, state.ns_coeffs)

    return GradientTransformation(init, update)


def muon(
    learning_rate: ScalarOrSchedule,
    ns_coeffs: Any = (3.4445, -4.775, 2.0315),
    ns_steps: int = 5,
    beta: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    weight_decay_mask: Any = None,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    adam_b1: float = 0.9,
    adam_b2: float = 0.999,
    adam_eps_root: float = 0.0,
    adam_weight_decay: float = 0.0,
) -> GradientTransformationExtraArgs:
    """Muon for matrices, AdamW for all other parameters (Jordan et al., 2024).

    >>> opt = muon(0.1)
    >>> params = {"w": jnp.eye(2), "b": jnp.ones(2)}
    >>> opt.update(params, opt.init(params), params)[0]["w"].shape
    (2, 2)
    """
    own = chain(
        scale_by_muon(ns_coeffs, ns_steps, beta, eps, mu_dtype, nesterov=nesterov, adaptive=adaptive),
        add_decayed_weights(weight_decay, weight_decay_mask),
        scale_by_learning_rate(learning_rate),
    )
    others = adamw(learning_rate, adam_b1, adam_b2, eps, adam_eps_root, mu_dtype, adam_weight_decay, nesterov=nesterov)
    return partition(
        {"muon": own, "adam": others},
        lambda params: tree_map(lambda p: "muon" if len(jnp.shape(p)) == 2 else "adam", params),
    )
