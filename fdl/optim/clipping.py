"""Transformations that bound updates."""

from __future__ import annotations

from typing import Any, NamedTuple

import fdl.numpy as jnp
from fdl.core.array import Array
from fdl.numpy._math import size_squared
from fdl.optim.transformation import (
    GradientTransformation,
    Tree,
    global_norm,
    init_empty_state,
    needs_params,
    stateless,
    stateless_with_tree_map,
)
from fdl.tree import map as tree_map


class ZeroNansState(NamedTuple):
    """Which arrays had a NaN in the last updates."""

    found_nan: Tree


def clip(max_delta: float) -> GradientTransformation:
    """Each element moved into [-max_delta, max_delta].

    >>> clip(1.0).update(jnp.array([-3.0, 0.5]), init_empty_state(None))[0].tolist()
    [-1.0, 0.5]
    """
    return stateless_with_tree_map(lambda u, p: jnp.clip(u, -max_delta, max_delta))


def clip_by_global_norm(max_norm: float) -> GradientTransformation:
    """All updates scaled so that their norm is at most `max_norm` (Pascanu et al., 2013).

    >>> clip_by_global_norm(1.0).update([3.0, 4.0], init_empty_state(None))[0][1].item().__round__(6)
    0.8
    """

    def clipped(updates: Tree, params: Tree | None) -> Tree:
        norm = global_norm(updates)
        small = norm < max_norm
        return tree_map(lambda u: jnp.where(small, u, (u / norm.astype(jnp.asarray(u).dtype)) * max_norm), updates)

    return stateless(clipped)


def clip_by_block_rms(threshold: float) -> GradientTransformation:
    """Each array scaled so that the root of its mean square is at most `threshold` (Shazeer and Stern, 2018).

    >>> clip_by_block_rms(1.0).update(jnp.array([2.0, -2.0]), init_empty_state(None))[0].tolist()
    [1.0, -1.0]
    """
    return stateless_with_tree_map(
        lambda u, p: u / jnp.maximum(1.0, jnp.sqrt(jnp.mean(jnp.square(jnp.abs(u)))) / threshold)
    )


def unitwise_norm(x: Array) -> Array:
    """Norms of the weights of each output of a layer, of a shape that meets the array: of a vector's elements by
    themselves, of the columns of a matrix, of all axes but the last of a convolution's kernel.

    >>> unitwise_norm(jnp.array([[3.0, 1.0], [4.0, 0.0]])).tolist()
    [[5.0, 1.0], [5.0, 1.0]]
    """
    if jnp.squeeze(x).ndim <= 1:
        norm = jnp.sqrt(jnp.sum(size_squared(x), keepdims=True))
    elif x.ndim in (2, 3):
        norm = jnp.sqrt(jnp.sum(size_squared(x), axis=0, keepdims=True))
    elif x.ndim == 4:
        norm = jnp.sqrt(jnp.sum(size_squared(x), axis=(0, 1, 2), keepdims=True))
    else:
        raise ValueError(f"unitwise_norm: expected up to four axes, got the shape {x.shape}")
    return jnp.broadcast_to(norm, x.shape)


def adaptive_grad_clip(clipping: float, eps: float = 1e-3) -> GradientTransformation:
    """Updates of each output bounded by `clipping` times the norm of its weights (Brock et al., 2021).

    >>> adaptive_grad_clip(0.5).update(jnp.array([8.0]), init_empty_state(None), jnp.array([4.0]))[0].tolist()
    [2.0]
    """

    def clipped(u: Array, p: Array) -> Array:
        most, norm = clipping * jnp.maximum(unitwise_norm(p), eps), unitwise_norm(u)
        return jnp.where(norm < most, u, u * (most / jnp.maximum(norm, 1e-6)))

    def update(updates: Tree, state: Tree, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        return tree_map(clipped, updates, needs_params("adaptive_grad_clip", params)), state

    return GradientTransformation(init_empty_state, update)


def centralize() -> GradientTransformation:
    """Updates of matrices and kernels less their mean over all axes but the first (Yong et al., 2020).

    >>> centralize().update(jnp.array([[1.0, 3.0]]), init_empty_state(None))[0].tolist()
    [[-1.0, 1.0]]
    """
    return stateless_with_tree_map(
        lambda u, p: u - jnp.mean(u, axis=tuple(range(1, u.ndim)), keepdims=True) if u.ndim > 1 else u
    )


def zero_nans() -> GradientTransformation:
    """Zeros in place of NaN; the state says in which arrays there was one.

    >>> tx = zero_nans()
    >>> updates, state = tx.update(jnp.array([1.0, jnp.nan]), tx.init(jnp.zeros(2)))
    >>> updates.tolist(), state.found_nan.item()
    ([1.0, 0.0], True)
    """

    def update(updates: Tree, state: ZeroNansState, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        found = ZeroNansState(tree_map(lambda u: jnp.any(jnp.isnan(u)), updates))
        return tree_map(lambda u: jnp.where(jnp.isnan(u), jnp.zeros_like(u), u), updates), found

    return GradientTransformation(lambda params: ZeroNansState(tree_map(lambda p: jnp.zeros((), bool), params)), update)


def keep_params_nonnegative() -> GradientTransformation:
    """Updates that would make a parameter negative make it zero.

    >>> keep_params_nonnegative().update(-3.0, init_empty_state(None), 1.0)[0].item()
    -1.0
    """

    def update(updates: Tree, state: Tree, params: Tree | None = None, **extra: Any) -> tuple[Tree, Tree]:
        params = needs_params("keep_params_nonnegative", params)
        return tree_map(lambda p, u: jnp.where(p + u < 0.0, -jnp.asarray(p), u), params, updates), state

    return GradientTransformation(init_empty_state, update)
