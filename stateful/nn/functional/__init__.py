"""`torch.nn.functional`: layers, activations and losses as functions, one file a family."""

from fdl.stateful.functions.distances import pdist as pdist
from fdl.stateful.functions.elementwise import sigmoid as sigmoid
from fdl.stateful.functions.elementwise import tanh as tanh
from fdl.stateful.functions.gathering import one_hot as one_hot
from fdl.stateful.nn.functional.activations import *
from fdl.stateful.nn.functional.alignment import *
from fdl.stateful.nn.functional.attention import *
from fdl.stateful.nn.functional.classification import *
from fdl.stateful.nn.functional.convolution import *
from fdl.stateful.nn.functional.dropouts import *
from fdl.stateful.nn.functional.embeddings import *
from fdl.stateful.nn.functional.losses import *
from fdl.stateful.nn.functional.margins import *
from fdl.stateful.nn.functional.normalization import *
from fdl.stateful.nn.functional.padding import *
from fdl.stateful.nn.functional.pooling import *
from fdl.stateful.nn.functional.products import *
from fdl.stateful.nn.functional.resampling import *
from fdl.stateful.nn.functional.settings import settings_of as settings_of
