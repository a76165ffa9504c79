"""`torch.utils`."""

from fdl.stateful.utils import data

__all__ = ["data"]
