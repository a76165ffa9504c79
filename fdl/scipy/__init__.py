"""`jax.scipy`'s names: special functions, matrices, laws of chance."""

from fdl.scipy import linalg, special, stats

__all__ = ["linalg", "special", "stats"]
