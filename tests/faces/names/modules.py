"""fdl's modules by the names that cases use."""

import numpy as np

import fdl
import fdl.numpy
from fdl import image, lax, nn, ops

MODULES = {
    "jnp": fdl.numpy, "lax": lax, "nn": nn, "np": np, "jax": fdl, "ops": ops, "image": image, "vmapped": fdl.vmap,
}  # fmt: skip
