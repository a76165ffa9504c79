"""`torch.utils`."""

from fdl.stateful.utils import _pytree, checkpoint, data, tensorboard

__all__ = ["_pytree", "checkpoint", "data", "tensorboard"]
