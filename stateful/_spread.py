"""Paths of PyTorch's files that fdl does not have: a module for each, with the names of the package that it is in.

`from fdl.stateful.distributions.categorical import Categorical` and `torch.nn.modules.conv.Conv2d` so mean what they
say.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any

from fdl.stateful import autograd, distributions, fx, hub, jit, nn, optim, profiler, utils
from fdl.stateful.core.tape import HookHandle
from fdl.stateful.nn import lazy
from fdl.stateful.nn.convolution import _Convolution
from fdl.stateful.nn.losses import _Loss
from fdl.stateful.nn.module import IncompatibleKeys, Module
from fdl.stateful.nn.normalization import _BatchNorm, _InstanceNorm, _NormBase
from fdl.stateful.nn.transformer import _get_activation_fn
from fdl.stateful.utils import collate, data, workers

_FILES = {
    autograd: "anomaly_mode grad_mode gradcheck variable",
    distributions: """bernoulli beta binomial categorical cauchy chi2 continuous_bernoulli dirichlet
        exp_family exponential fishersnedecor gamma generalized_pareto geometric gumbel half_cauchy half_normal
        independent inverse_gamma kl kumaraswamy laplace lkj_cholesky log_normal logistic_normal
        lowrank_multivariate_normal mixture_same_family multinomial multivariate_normal negative_binomial normal
        one_hot_categorical pareto poisson relaxed_bernoulli relaxed_categorical studentT transformed_distribution
        uniform von_mises weibull wishart""",
    fx: "graph graph_module interpreter node proxy",
    nn.parallel: "comm data_parallel distributed parallel_apply replicate scatter_gather",
    nn.utils: "clip_grad convert_parameters init memory_format spectral_norm stateless weight_norm",
    optim: "adadelta adagrad adam adamax adamw asgd nadam radam rmsprop rprop sgd sparse_adam",
    profiler: "profiler",
    data: "_utils dataloader dataset distributed sampler",
}
_OF_MODULES = """activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold
instancenorm lazy linear loss module normalization padding pixelshuffle pooling rnn sparse transformer upsampling"""


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], Any]:
    """A function that repeats what is no sequence n times."""

    def parse(x: Any) -> Any:
        return tuple(x) if isinstance(x, (list, tuple)) else (x,) * n

    parse.__name__ = name
    return parse


def _module(package: Any, name: str, names: dict[str, Any]) -> ModuleType:
    """A module in a package, with names; an attribute of the package unless a function has that name."""
    found = ModuleType(f"{package.__name__}.{name}")
    found.__dict__.update({k: v for k, v in names.items() if not k.startswith("__")})
    sys.modules[found.__name__] = found
    if not callable(getattr(package, name, None)):
        setattr(package, name, found)
    return found


for _package, _names in _FILES.items():
    for _name in _names.split():
        _module(_package, _name, vars(_package))
_layers = {name: value for name, value in vars(nn).items() if not name.startswith("_")}
_layers |= {
    "_BatchNorm": _BatchNorm, "_NormBase": _NormBase, "_InstanceNorm": _InstanceNorm, "_ConvNd": _Convolution,
    "_Loss": _Loss, "_WeightedLoss": _Loss, "RNNCellBase": Module, "_IncompatibleKeys": IncompatibleKeys,
    "_get_activation_fn": _get_activation_fn, "_global_parameter_registration_hooks": {},
    "_global_buffer_registration_hooks": {}, "_global_module_registration_hooks": {},
    "_EXTRA_STATE_KEY_SUFFIX": "_extra_state", "RemovableHandle": HookHandle, "LazyModuleMixin": lazy._Lazy,
}  # fmt: skip
for _name in ("UninitializedBuffer", "UninitializedParameter", "UninitializedTensorMixin", "is_lazy"):
    setattr(nn.parameter, _name, getattr(lazy, _name))
_module(autograd, "profiler", vars(profiler))
autograd._profiler_enabled, autograd._disable_profiler = profiler.is_open, profiler.close  # type: ignore[attr-defined]
_containers = {name: getattr(typing, name) for name in ("Any", "Dict", "List", "Optional", "Tuple", "Union")}
_module(jit, "annotations", _containers)
for _name in ("fetch", "pin_memory"):
    _module(sys.modules[f"{data.__name__}._utils"], _name, vars(data))
_module(sys.modules[f"{data.__name__}._utils"], "worker", {**vars(data), **vars(workers)})
_module(sys.modules[f"{data.__name__}._utils"], "collate", vars(collate))
_module(utils, "model_zoo", {"load_url": hub.load_state_dict_from_url})
_modules = _module(nn, "modules", _layers)
for _name in _OF_MODULES.split():
    _module(_modules, _name, _layers)
_sizes = {name: _ntuple(n, name) for name, n in (("_single", 1), ("_pair", 2), ("_triple", 3), ("_quadruple", 4))}
_module(_modules, "utils", {**_sizes, "_ntuple": _ntuple})
