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


def scatter(inputs: Any, target_gpus: Any, dim: int = 0) -> list[Any]:
    """The inputs for the one device there is."""
    return [inputs]


def scatter_kwargs(inputs: Any, kwargs: Any, target_gpus: Any, dim: int = 0) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Arguments for the one device there is."""
    return (tuple(inputs),), (dict(kwargs or {}),)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """What the one device gave."""
    return outputs[0]


def replicate(network: Module, devices: Any, detach: bool = False) -> list[Module]:
    """The module for the one device there is."""
    return [network]


def parallel_apply(modules: Any, inputs: Any, kwargs_tup: Any = None, devices: Any = None) -> list[Any]:
    """What each module gives of its inputs, one after the other."""
    named = [{}] * len(modules) if kwargs_tup is None else kwargs_tup
    calls = zip(modules, inputs, named, strict=True)
    return [m(*(x if isinstance(x, (tuple, list)) else (x,)), **k) for m, x, k in calls]


def data_parallel(module: Module, inputs: Any, *args: Any, module_kwargs: Any = None, **kwargs: Any) -> Any:
    """The module's result."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))
