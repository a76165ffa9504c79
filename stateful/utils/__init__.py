"""`torch.utils`."""

from fdl.stateful.utils import _pytree, checkpoint, data, dlpack, flop_counter, hooks, tensorboard

__all__ = ["_pytree", "checkpoint", "data", "dlpack", "flop_counter", "hooks", "tensorboard"]
