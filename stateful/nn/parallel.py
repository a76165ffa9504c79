"""`torch.nn.parallel`: with one process and one device there is nothing to share."""

from __future__ import annotations

from typing import Any

from fdl.stateful.nn.module import Module


class DataParallel(Module):
    """The module itself, under the name `module`."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's result."""
        return self.module(*args, **kwargs)


class DistributedDataParallel(DataParallel):
    """The module itself, under the name `module`."""
