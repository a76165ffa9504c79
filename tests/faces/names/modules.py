"""fdl's modules by the names that cases use."""

import numpy as np

import fdl
import fdl.numpy
from fdl import image, lax, nn, ops
from fdl.scipy import linalg, special, stats

MODULES = {
    "jnp": fdl.numpy, "lax": lax, "nn": nn, "np": np, "jax": fdl, "ops": ops, "image": image, "vmapped": fdl.vmap,
    "special": special, "stats": stats, "linalg": linalg,
}  # fmt: skip
