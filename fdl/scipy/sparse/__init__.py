"""`jax.scipy.sparse`'s names: linear systems whose matrix is known by its products alone."""

from fdl.scipy.sparse import linalg

__all__ = ["linalg"]
