"""`torch.nn`: modules, layers, losses, containers."""

from fdl.stateful.nn import attention, functional, init, parallel, parameter, utils
from fdl.stateful.nn.activations import *
from fdl.stateful.nn.adaptive import AdaptiveLogSoftmaxWithLoss
from fdl.stateful.nn.containers import ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from fdl.stateful.nn.convolution import *
from fdl.stateful.nn.distances import *
from fdl.stateful.nn.dropouts import *
from fdl.stateful.nn.embeddings import *
from fdl.stateful.nn.flattening import *
from fdl.stateful.nn.lazy import *
from fdl.stateful.nn.linear import *
from fdl.stateful.nn.losses import *
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.normalization import *
from fdl.stateful.nn.parallel import DataParallel
from fdl.stateful.nn.parameter import Buffer, Parameter
from fdl.stateful.nn.pooling import *
from fdl.stateful.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNBase, RNNCell
from fdl.stateful.nn.transformer import (
    MultiheadAttention,
    Transformer,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
