"""Paths of PyTorch's files that fdl does not have: what is asked of such a file is asked of the package that holds its
names.

`from fdl.stateful.distributions.categorical import Categorical` and `torch.nn.modules.conv.Conv2d` so mean what they
say.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fdl.stateful import autograd, distributions, nn, optim
from fdl.stateful.nn.convolution import _Convolution
from fdl.stateful.nn.losses import _Loss
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.normalization import _BatchNorm, _InstanceNorm, _NormBase
from fdl.stateful.utils import data

_FILES = {
    distributions: """bernoulli beta binomial categorical cauchy chi2 constraint_registry dirichlet exp_family
        exponential fishersnedecor gamma geometric gumbel half_cauchy half_normal independent inverse_gamma kl
        kumaraswamy laplace log_normal logistic_normal lowrank_multivariate_normal mixture_same_family
        multinomial multivariate_normal negative_binomial normal one_hot_categorical pareto poisson
        relaxed_bernoulli relaxed_categorical studentT transformed_distribution uniform utils weibull""",
    optim: "adadelta adagrad adamax adamw asgd nadam radam rmsprop rprop",
    data: "dataloader dataset sampler distributed",
    autograd: "function variable",
}
_OF_MODULES = """activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold
instancenorm lazy linear loss module normalization padding pixelshuffle pooling rnn sparse transformer upsampling"""


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], Any]:
    """A function that repeats what is no sequence n times."""

    def parse(x: Any) -> Any:
        return tuple(x) if isinstance(x, (list, tuple)) else (x,) * n

    parse.__name__ = name
    return parse


def _module(name: str, names: dict[str, Any]) -> ModuleType:
    found = ModuleType(name)
    found.__dict__.update(names)
    sys.modules[name] = found
    return found


for _package, _names in _FILES.items():
    for _name in _names.split():
        if not hasattr(_package, _name):
            sys.modules[f"{_package.__name__}.{_name}"] = _package
            setattr(_package, _name, _package)
_layers = {name: value for name, value in vars(nn).items() if not name.startswith("_")}
_layers |= {
    "_BatchNorm": _BatchNorm,
    "_NormBase": _NormBase,
    "_InstanceNorm": _InstanceNorm,
    "_ConvNd": _Convolution,
    "_Loss": _Loss,
    "_WeightedLoss": _Loss,
    "RNNCellBase": Module,
}
nn.modules = _module(f"{nn.__name__}.modules", _layers)  # type: ignore[attr-defined]
for _name in _OF_MODULES.split():
    setattr(nn.modules, _name, _module(f"{nn.__name__}.modules.{_name}", _layers))  # type: ignore[attr-defined]
_sizes = {name: _ntuple(n, name) for name, n in (("_single", 1), ("_pair", 2), ("_triple", 3), ("_quadruple", 4))}
nn.modules.utils = _module(f"{nn.modules.__name__}.utils", {**_sizes, "_ntuple": _ntuple})  # type: ignore[attr-defined]
