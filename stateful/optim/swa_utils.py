"""`torch.optim.swa_utils`: models whose parameters are means of others over time."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

from fdl.stateful.autograd import no_grad
from fdl.stateful.core.dtypes import of
from fdl.stateful.core.errors import ArgumentError
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.creation import tensor
from fdl.stateful.nn.module import Module
from fdl.stateful.nn.normalization import _BatchNorm
from fdl.stateful.optim.lr_scheduler import LRScheduler
from fdl.stateful.optim.optimizer import Optimizer

__all__ = ["SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "update_bn"]


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """A running mean with this decay."""
    return lambda mean, new, count: mean * decay + new * (1 - decay)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[list[Any], list[Any], Any], None]:
    """The same, for all parameters at once."""

    def update(means: list[Any], new: list[Any], count: Any) -> None:
        for a, b in zip(means, new, strict=True):
            a._overwrite(a * decay + b * (1 - decay))

    return update


class AveragedModel(Module):
    """A copy of a model whose parameters are the mean of what `update_parameters` saw (Izmailov et al., 2018)."""

    def __init__(
        self, model: Module, device: Any = None, avg_fn: Any = None, multi_avg_fn: Any = None, use_buffers: bool = False
    ) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        self.register_buffer("n_averaged", tensor(0, dtype=of("int64")))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model."""
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the mean."""
        own: list[Tensor] = list(self.module.parameters())
        new = [p.detach() for p in model.parameters()]
        if self.use_buffers:
            own, new = [*own, *self.module.buffers()], [*new, *model.buffers()]
        count = int(self.n_averaged)
        if count == 0:
            for a, b in zip(own, new, strict=True):
                a._overwrite(b)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(own, new, self.n_averaged)
        else:
            for a, b in zip(own, new, strict=True):
                a._overwrite(
                    self.avg_fn(a.detach(), b, self.n_averaged)
                    if self.avg_fn is not None
                    else a.detach() + (b - a.detach()) / (count + 1)
                )
        if not self.use_buffers:
            for a, b in zip(self.module.buffers(), model.buffers(), strict=True):
                a._overwrite(b)
        self.n_averaged += 1


class SWALR(LRScheduler):
    """To `swa_lr` in `anneal_epochs` steps, and there it stays."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(optimizer.param_groups)
        for group, lr in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"anneal_strategy must by one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.anneal_epochs, self._strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(max(0, step - 1)), self._share(step)
        start = [
            g["swa_lr"] if before == 1 else (g["lr"] - before * g["swa_lr"]) / (1 - before)
            for g in self.optimizer.param_groups
        ]
        return [g["swa_lr"] * now + lr * (1 - now) for g, lr in zip(self.optimizer.param_groups, start, strict=True)]


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Running statistics of all batch norms anew, from the batches of a loader."""
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    momenta, training = [m.momentum for m in layers], model.training
    for m in layers:
        m.reset_running_stats()
        m.momentum = None
    model.train()
    for batch in loader:
        model(batch[0] if isinstance(batch, (list, tuple)) else batch)
    for m, momentum in zip(layers, momenta, strict=True):
        m.momentum = momentum
    model.train(training)
