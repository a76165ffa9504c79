"""`jax.scipy`'s names: special functions, matrices, linear systems, laws of chance."""

from fdl.scipy import linalg, sparse, special, stats

__all__ = ["linalg", "sparse", "special", "stats"]
