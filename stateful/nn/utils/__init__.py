"""`torch.nn.utils`: gradients limited, parameters as one vector, sequences of different lengths."""

from fdl.stateful.nn.utils import rnn
from fdl.stateful.nn.utils.gradients import clip_grad_norm, clip_grad_norm_, clip_grad_value_, get_total_norm, parameters_to_vector, vector_to_parameters

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "get_total_norm", "parameters_to_vector", "rnn", "vector_to_parameters"]
