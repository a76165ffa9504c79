"""`torch.special`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fdl.special as own
from fdl.stateful.functions.elementwise import _binary, _of_float, _unary, erf, expm1, log1p, round, sigmoid
from fdl.stateful.functions.reductions import log_softmax, logsumexp, softmax
from fdl.stateful.functions.special import (
    digamma,
    erfc,
    erfinv,
    exp2,
    i0,
    lgamma,
    logit,
    mvlgamma,
    polygamma,
    sinc,
    xlogy,
)

__all__ = [
    "digamma", "entr", "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc", "gammaln", "i0",
    "i0e", "log1p", "log_ndtr", "log_softmax", "logit", "logsumexp",
    "multigammaln", "ndtr", "ndtri", "polygamma", "psi", "round", "sinc", "softmax", "xlog1py", "xlogy", "zeta",
]  # fmt: skip

entr: Callable[..., Any] = _unary("_special_entr", _of_float(own.entr), "`-x * log(x)`.")
ndtr: Callable[..., Any] = _unary(
    "_special_ndtr", _of_float(own.ndtr), "The share of a standard normal distribution below."
)
ndtri: Callable[..., Any] = _unary("_special_ndtri", _of_float(own.ndtri), "The inverse of `ndtr`.")
log_ndtr: Callable[..., Any] = _unary("_special_log_ndtr", _of_float(own.log_ndtr), "The logarithm of `ndtr`.")
i0e: Callable[..., Any] = _unary("_special_i0e", _of_float(own.i0e), "`exp(-|x|) * i0(x)`.")
xlog1py: Callable[..., Any] = _binary(
    "_special_xlog1py", own.xlog1py, "`input * log1p(other)`, 0 where input is 0.", to_float=True
)
zeta: Callable[..., Any] = _binary("_special_zeta", own.zeta, "Hurwitz's zeta function.", to_float=True)
gammainc: Callable[..., Any] = _binary(
    "_special_gammainc", own.gammainc, "The regularised lower incomplete gamma function.", to_float=True
)
gammaincc: Callable[..., Any] = _binary(
    "_special_gammaincc", own.gammaincc, "The regularised upper incomplete gamma function.", to_float=True
)
expit, gammaln, psi, multigammaln = sigmoid, lgamma, digamma, mvlgamma
