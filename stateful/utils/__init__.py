"""`torch.utils`."""

from fdl.stateful.utils import (
    _contextlib,
    _python_dispatch,
    _pytree,
    checkpoint,
    data,
    dlpack,
    flop_counter,
    hooks,
    tensorboard,
    weak,
)

__all__ = [
    "_contextlib", "_python_dispatch", "_pytree", "checkpoint", "data", "dlpack", "flop_counter", "hooks",
    "tensorboard", "weak",
]  # fmt: skip
