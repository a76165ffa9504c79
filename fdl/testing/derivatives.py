"""Derivatives and lanes of a function at given arguments, by central differences and by a loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fdl.core import dtypes
from fdl.core.array import from_numpy
from fdl.core.pytree import tree_flatten
from fdl.transforms import jvp, vjp, vmap


def _leaves(tree: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(x) for x in tree_flatten(tree)[0]]


def _random_like(leaves: Sequence[np.ndarray[Any, Any]], rng: np.random.Generator) -> list[np.ndarray[Any, Any]]:
    return [rng.uniform(-1, 1, x.shape).astype(x.dtype) for x in leaves]


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 1,
    modes: Sequence[str] = ("fwd", "rev"),
    eps: float | None = None,
    rtol: float | None = None,
) -> None:
    """Compare derivatives of `f` at float arguments with central differences, in random directions, to the given order.

    Raises AssertionError with both numbers where they differ.  float64 arguments are checked to 1e-6, others to 2e-2.

    >>> import fdl.numpy as jnp
    >>> check_grads(jnp.sin, (np.array([0.5, 1.0]),), order=2)
    """
    leaves, tree = tree_flatten(tuple(args))
    values = [np.asarray(x) for x in leaves]
    if not all(dtypes.is_float(v.dtype) for v in values):
        raise TypeError(f"check_grads: arguments must be floats, got {[v.dtype.name for v in values]}")
    precise = all(v.dtype == np.float64 for v in values)
    step, tolerance = eps or (1e-5 if precise else 1e-2), rtol or (1e-6 if precise else 2e-2)
    rng = np.random.default_rng(0)
    tangents = _random_like(values, rng)

    def at(t: float) -> list[np.ndarray[Any, Any]]:
        moved = [from_numpy((v + t * d).astype(v.dtype)) for v, d in zip(values, tangents, strict=True)]
        return [x.astype(np.float64) for x in _leaves(f(*tree.unflatten(moved)))]

    expected = [(a - b) / (2 * step) for a, b in zip(at(step), at(-step), strict=True)]
    primals, directions = tree.unflatten(map(from_numpy, values)), tree.unflatten(map(from_numpy, tangents))
    if "fwd" in modes:
        _, found = jvp(f, primals, directions)
        for got, want in zip(_leaves(found), expected, strict=True):
            np.testing.assert_allclose(
                got, want, rtol=tolerance, atol=tolerance, err_msg="forward derivative and central difference differ"
            )
    if "rev" in modes:
        outs, pull = vjp(f, *primals)
        out_leaves, out_tree = tree_flatten(outs)
        weights = _random_like([np.asarray(o) for o in out_leaves], rng)
        cts = _leaves(pull(out_tree.unflatten(map(from_numpy, weights))))
        left = sum(float(np.sum(w * e)) for w, e in zip(weights, expected, strict=True))
        right = sum(float(np.sum(ct.astype(np.float64) * t)) for ct, t in zip(cts, tangents, strict=True))
        np.testing.assert_allclose(
            right, left, rtol=tolerance, atol=tolerance, err_msg="reverse derivative and central difference differ"
        )
    if order > 1:
        check_grads(lambda *xs: jvp(f, xs, directions)[1], args, order - 1, modes, eps, rtol)


def check_batching(f: Callable[..., Any], args: Sequence[Any], size: int = 3, rtol: float = 1e-5) -> None:
    """Compare `vmap(f)` with a loop over `size` variations of the arguments.

    >>> import fdl.numpy as jnp
    >>> check_batching(jnp.dot, (np.ones(3), np.ones(3)))
    """
    rng = np.random.default_rng(0)
    leaves, tree = tree_flatten(tuple(args))
    values = [np.asarray(x) for x in leaves]
    stacked = [
        np.stack([v * s if dtypes.is_float(v.dtype) else v for s in rng.uniform(0.5, 1.5, size)]).astype(v.dtype)
        for v in values
    ]
    mapped = _leaves(vmap(f)(*tree.unflatten(map(from_numpy, stacked))))
    for i in range(size):
        one = _leaves(f(*tree.unflatten(from_numpy(s[i]) for s in stacked)))
        for got, want in zip(mapped, one, strict=True):
            np.testing.assert_allclose(
                got[i], want, rtol=rtol, atol=rtol, err_msg=f"vmap and a loop differ in lane {i}"
            )
