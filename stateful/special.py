"""`torch.special`."""

from fdl.stateful.core.spelling import all_spelled
from fdl.stateful.functions.elementwise import erf, expm1, log1p, round, sigmoid
from fdl.stateful.functions.reductions import log_softmax, logsumexp, softmax
from fdl.stateful.functions.special import (
    digamma,
    entr,
    erfc,
    erfinv,
    exp2,
    gammainc,
    gammaincc,
    i0,
    i0e,
    lgamma,
    log_ndtr,
    logit,
    mvlgamma,
    ndtr,
    ndtri,
    polygamma,
    sinc,
    xlog1py,
    xlogy,
    zeta,
)

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc", "gammaln", "i0",
    "i0e", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp",
    "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round", "sinc", "softmax", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

expit, gammaln, psi, multigammaln = sigmoid, lgamma, digamma, mvlgamma

globals().update(all_spelled({name: globals()[name] for name in __all__}, __all__))
