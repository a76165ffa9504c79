"""PyTorch with torch.compile around functions and models; what it leaves alone (eager calls, loops of Python) has no
method of its own here.
"""

import torch
from adapters.torch import Adapter as Eager


class Adapter(Eager):
    eager_add = eager_gradient = attention = decode = mlp = None

    def compiled(self, f):
        return torch.compile(f, dynamic=False)
