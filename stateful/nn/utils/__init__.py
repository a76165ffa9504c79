"""`torch.nn.utils`: gradients limited, parameters as one vector, sequences of different lengths, weights that are
computed from others.
"""

from fdl.stateful.nn.utils import _named_member_accessor, fusion, parametrizations, parametrize, prune, rnn
from fdl.stateful.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from fdl.stateful.nn.utils.gradients import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)
from fdl.stateful.nn.utils.reparametrized import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

__all__ = [
    "_named_member_accessor", "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "fuse_conv_bn_eval",
    "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights", "fusion", "get_total_norm",
    "parameters_to_vector", "parametrizations", "parametrize", "prune", "remove_spectral_norm",
    "remove_weight_norm", "rnn", "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip
