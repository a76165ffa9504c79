"""`jax.lax`'s names and signatures: operations, control flow, collectives."""

from fdl.lax import arranging, elements, linalg, operations, parallel, scans, scattering, solving
from fdl.lax.arranging import *
from fdl.lax.elements import *
from fdl.lax.operations import *
from fdl.lax.parallel import *
from fdl.lax.scans import *
from fdl.lax.scattering import *
from fdl.lax.solving import *

__all__ = ["linalg"]
__all__ += arranging.__all__
__all__ += elements.__all__
__all__ += operations.__all__
__all__ += parallel.__all__
__all__ += scans.__all__
__all__ += scattering.__all__
__all__ += solving.__all__
