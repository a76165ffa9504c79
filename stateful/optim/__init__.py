"""`torch.optim`: optimizers, and schedules of their learning rates.

An update is written for one parameter; all parameters of a group make one recorded function.
"""

from fdl.stateful.optim import lr_scheduler, swa_utils
from fdl.stateful.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from fdl.stateful.optim.adaptive import ASGD, Adadelta, Adagrad, RMSprop, Rprop
from fdl.stateful.optim.lbfgs import LBFGS
from fdl.stateful.optim.matrix import Adafactor, Muon
from fdl.stateful.optim.optimizer import Optimizer
from fdl.stateful.optim.sgd import SGD

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "Optimizer",
    "RAdam", "RMSprop", "Rprop",
    "lr_scheduler", "swa_utils",
]  # fmt: skip
