"""`torch.amp`, and `torch.cpu.amp` and `torch.cuda.amp`, its older spellings."""

from __future__ import annotations

import functools
import warnings
from types import SimpleNamespace
from typing import Any

from fdl.stateful.amp.autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from fdl.stateful.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]


def _older(device: str) -> SimpleNamespace:
    """The names of a device's own module, which say that they are old."""

    def warn(name: str) -> None:
        warnings.warn(
            (
                f"`torch.{device}.amp.{name}(args...)` is deprecated. Please use `torch.amp.{name}('{device}', "
                "args...)` instead."
            ),
            FutureWarning,
            stacklevel=3,
        )

    class OlderAutocast(autocast):
        """`torch.autocast` of the device."""

        def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
            warn("autocast")
            super().__init__(device, dtype, enabled, cache_enabled)

    class OlderScaler(GradScaler):
        """`GradScaler` of the device."""

        def __init__(
            self,
            init_scale: float = 2.0**16,
            growth_factor: float = 2.0,
            backoff_factor: float = 0.5,
            growth_interval: int = 2000,
            enabled: bool = True,
        ) -> None:
            warn("GradScaler")
            super().__init__(device, init_scale, growth_factor, backoff_factor, growth_interval, enabled)

    OlderAutocast.__name__, OlderScaler.__name__ = "autocast", "GradScaler"
    return SimpleNamespace(
        autocast=OlderAutocast,
        GradScaler=OlderScaler,
        custom_fwd=functools.partial(custom_fwd, device_type=device),
        custom_bwd=functools.partial(custom_bwd, device_type=device),
    )


cpu_amp, cuda_amp = _older("cpu"), _older("cuda")
