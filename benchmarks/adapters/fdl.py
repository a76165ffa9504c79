"""fdl, functional face."""

import contextlib

from adapters.functional import Functional
from adapters.userloop import userloop

import fdl
import fdl.numpy
import fdl.stateful
from fdl import lax, nn


class Adapter(Functional):
    version = fdl.__version__
    jax, jnp, lax, nn = fdl, fdl.numpy, lax, nn

    def __init__(self, threads):
        fdl.set_num_threads(threads)

    def wide(self):
        return contextlib.nullcontext()

    def results(self, out):
        return [out.detach().numpy()] if isinstance(out, fdl.stateful.Tensor) else super().results(out)

    def userloop(self, d, item):
        return userloop(fdl.stateful, d, item)
