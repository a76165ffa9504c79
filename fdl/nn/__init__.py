"""Functions of neural networks.  Each is a graph function: one node to record, differentiate and batch."""

from fdl.nn.attention import dot_product_attention
from fdl.nn.functions import (
    cross_entropy,
    dropout,
    elu,
    gelu,
    hard_tanh,
    layer_norm,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    logsumexp,
    one_hot,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmax_cross_entropy,
    softplus,
    swish,
    tanh,
)

__all__ = [
    "cross_entropy", "dot_product_attention", "dropout", "elu", "gelu", "hard_tanh", "layer_norm", "leaky_relu",
    "log_sigmoid", "log_softmax", "logsumexp",
    "one_hot", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softmax_cross_entropy", "softplus", "swish",
    "tanh",
]  # fmt: skip
