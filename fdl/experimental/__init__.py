"""What JAX has under `jax.experimental`: checks as values, differential equations, callbacks."""

from fdl.callbacks import io_callback

__all__ = ["io_callback"]
