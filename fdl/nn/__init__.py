"""Functions of neural networks.  Each is a graph function: one node to record, differentiate and batch."""

from fdl.nn import initializers
from fdl.nn.activations import (
    celu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    identity,
    log1mexp,
    log_softmax,
    logmeanexp,
    logsumexp,
    mish,
    soft_sign,
    softmax,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    standardize,
)
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
    one_hot,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax_cross_entropy,
    softplus,
    swish,
    tanh,
)

__all__ = [
    "celu", "cross_entropy", "dot_product_attention", "dropout", "elu", "gelu", "glu", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "identity", "initializers", "layer_norm", "leaky_relu", "log1mexp", "log_sigmoid",
    "log_softmax", "logmeanexp", "logsumexp", "mish", "one_hot", "relu", "relu6", "selu", "sigmoid", "silu",
    "soft_sign", "softmax", "softmax_cross_entropy", "softplus", "sparse_plus", "sparse_sigmoid", "squareplus",
    "standardize", "swish", "tanh",
]  # fmt: skip
