"""`torch.utils`."""

from fdl.stateful.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
