"""`torch.special`."""

from fdl.stateful.core.spelling import all_spelled, placed
from fdl.stateful.functions.elementwise import erf, expm1, log1p, round, sigmoid
from fdl.stateful.functions.polynomials import POLYNOMIALS
from fdl.stateful.functions.reductions import log_softmax, logsumexp, softmax
from fdl.stateful.functions.special import (
    digamma,
    entr,
    erfc,
    erfcx,
    erfinv,
    exp2,
    gammainc,
    gammaincc,
    i0,
    i0e,
    i1,
    i1e,
    lgamma,
    log_ndtr,
    logit,
    mvlgamma,
    ndtr,
    ndtri,
    polygamma,
    sinc,
    spherical_bessel_j0,
    xlog1py,
    xlogy,
    zeta,
)

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc", "gammaln",
    "i0", "i0e", "i1", "i1e", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp", "multigammaln", "ndtr", "ndtri",
    "polygamma", "psi", "round", "sinc", "softmax", "spherical_bessel_j0", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

expit, gammaln, psi, multigammaln = sigmoid, lgamma, digamma, mvlgamma
modified_bessel_i0, modified_bessel_i1 = i0, i1
globals().update(POLYNOMIALS)
__all__ += ["modified_bessel_i0", "modified_bessel_i1", *POLYNOMIALS]

globals().update(all_spelled({name: globals()[name] for name in __all__}, __all__))
placed({name: globals()[name] for name in __all__}, __name__)
