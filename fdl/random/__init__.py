"""Random numbers from explicit keys, as in JAX: the same key gives the same numbers everywhere.

`basic.py` has keys, bits and what follows from them at once; `continuous.py` and `discrete.py` have distributions.
Gradients flow through samples to parameters wherever a distribution is continuous.
"""

from fdl.random import basic, continuous, discrete
from fdl.random.basic import *
from fdl.random.continuous import *
from fdl.random.discrete import *

__all__ = []
__all__ += basic.__all__
__all__ += continuous.__all__
__all__ += discrete.__all__
