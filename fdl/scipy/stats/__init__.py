"""Laws of chance, one module each, with `pdf`, `logpdf`, `cdf` and so on."""

from fdl.scipy.stats import expon, gamma, laplace, norm, uniform

__all__ = ["expon", "gamma", "laplace", "norm", "uniform"]
