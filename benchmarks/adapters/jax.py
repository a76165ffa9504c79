"""JAX on the CPU; threads are limited by the affinity that the driver sets."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy
from adapters.functional import Functional
from jax import lax, nn


class Adapter(Functional):
    version = jax.__version__
    jax, jnp, lax, nn = jax, jax.numpy, lax, nn

    def __init__(self, threads):
        pass

    def wait(self, out):
        return jax.block_until_ready(out)

    def wide(self):
        return jax.enable_x64(True)
