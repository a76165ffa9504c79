"""Integrals of samples, under `jax.scipy.integrate`'s name."""

from fdl.numpy import trapezoid

__all__ = ["trapezoid"]
