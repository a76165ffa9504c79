"""fdl, functional face."""

from adapters.functional import Functional

import fdl
import fdl.numpy
from fdl import lax, nn


class Adapter(Functional):
    version = fdl.__version__
    jax, jnp, lax, nn = fdl, fdl.numpy, lax, nn

    def __init__(self, threads):
        fdl.set_num_threads(threads)
