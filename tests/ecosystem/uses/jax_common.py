"""What the uses in jax's place share."""

import jax
import jax.numpy as jnp
from common import main, normal, use

__all__ = ["data", "fill", "labels", "main", "normal", "use"]


def fill(tree, scale=0.1):
    """The tree with floating arrays that are the same numbers in each framework."""
    leaves, structure = jax.tree_util.tree_flatten(tree)
    numbers = iter(range(len(leaves)))
    floats = lambda x: hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)
    made = [jnp.asarray(normal(x.shape, next(numbers), scale)) if floats(x) else x for x in leaves]
    return jax.tree_util.tree_unflatten(structure, made)


def data(*shape, seed=0):
    """An array of the normal distribution."""
    return jnp.asarray(normal(shape, 1000 + seed))


def labels(n, classes):
    """Whole numbers below `classes`."""
    return jnp.arange(n) * 7 % classes
