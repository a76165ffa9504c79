"""`jax.scipy`'s names: special functions, matrices, linear systems, transforms, signals, images, laws of chance."""

from fdl.scipy import fft, integrate, linalg, ndimage, signal, sparse, special, stats

__all__ = ["fft", "integrate", "linalg", "ndimage", "signal", "sparse", "special", "stats"]
