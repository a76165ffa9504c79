"""`jax.scipy`'s names: Fourier and special functions, matrices, linear systems, laws of chance."""

from fdl.scipy import fft, linalg, sparse, special, stats

__all__ = ["fft", "linalg", "sparse", "special", "stats"]
