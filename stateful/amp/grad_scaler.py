"""`GradScaler`: a loss is scaled up so that gradients in half precision do not vanish; steps with gradients that are
not finite are skipped.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from fdl import ops
from fdl.extend import Function, aval_of, from_numpy, put
from fdl.stateful.core.cells import refuse_step
from fdl.stateful.core.errors import ArgumentError, TensorError
from fdl.stateful.core.tensor import Tensor, apply, wrap

__all__ = ["GradScaler"]

_READY, _UNSCALED, _STEPPED = range(3)


def _unscaled_body(*args: Any) -> Any:
    """Gradients divided by the scale, and whether any element of one is not finite."""
    *gradients, scale = args
    inverse = ops.convert(ops.div(1.0, ops.convert(scale, np.float64)), np.float32)
    bad = [ops.convert(ops.equal(ops.is_finite(g), False), np.int64) for g in gradients]
    counts = [ops.reduce_sum(b, range(aval_of(b).ndim)) for b in bad]
    total = functools.reduce(ops.add, counts)
    return [
        *[ops.mul(g, ops.cast(inverse, aval_of(g).dtype)) for g in gradients],
        ops.convert(ops.greater(total, 0), np.float32),
    ]


_unscaled = Function(_unscaled_body, "unscale")


class _Progress:
    """What has been done with an optimizer since the last update: its stage, and where its gradients
    were not finite.
    """

    def __init__(self) -> None:
        self.stage = _READY
        self.found: Tensor | None = None


class GradScaler:
    """Scales losses by a factor that grows while gradients stay finite and shrinks when they do not.

    A loop calls `scale(loss).backward()`, `step(optimizer)` and `update()`; `unscale_(optimizer)` before the step where
    gradients are looked at, to clip them.

    >>> import fdl.stateful as torch
    >>> p = torch.nn.Parameter(torch.ones(1)); opt = torch.optim.SGD([p], lr=0.5)
    >>> scaler = torch.GradScaler("cpu", init_scale=4.0)
    >>> scaler.scale(p.sum() * float("inf")).backward(); scaler.step(opt); scaler.update()
    >>> p.item(), scaler.get_scale()
    (1.0, 2.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device, self._enabled = device, enabled
        if enabled and device == "cuda":
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                UserWarning,
                stacklevel=2,
            )
            self._enabled = False
        if self._enabled:
            assert growth_factor > 1.0, "The growth factor must be > 1.0."
            assert backoff_factor < 1.0, "The backoff factor must be < 1.0."
        self._init_scale, self._growth_factor, self._backoff_factor, self._growth_interval = (
            init_scale,
            growth_factor,
            backoff_factor,
            growth_interval,
        )
        self._growth_tracker = 0
        self._scale: Tensor | None = None  # from the first use on
        self._progress: dict[int, _Progress] = {}  # by identity of the optimizer

    def _known_scale(self, what: str) -> Tensor:
        assert self._scale is not None, (
            f"Attempted {what} but _scale is None.  This may indicate your script did not use scaler.scale(loss "
            "or outputs) earlier in the iteration."
        )
        return self._scale

    def _set_scale(self, value: float) -> None:
        self._scale = wrap(from_numpy(np.asarray(value, np.float32)))

    def _of(self, optimizer: Any) -> _Progress:
        return self._progress.setdefault(id(optimizer), _Progress())

    def scale(self, outputs: Any) -> Any:
        """A tensor, or all of an iterable of them, times the scale."""
        if not self._enabled:
            return outputs
        if self._scale is None:
            refuse_step("a scaler begins to scale")
            self._set_scale(self._init_scale)
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if not isinstance(outputs, Iterable):
            raise ArgumentError("outputs must be a Tensor or an iterable of Tensors")
        scaled = [self.scale(x) for x in outputs]
        return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled  # type: ignore[call-arg]

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, and note whether they are finite; once
        between two updates.
        """
        if not self._enabled:
            return
        scale, progress = self._known_scale("unscale_"), self._of(optimizer)
        if progress.stage == _UNSCALED:
            raise TensorError("unscale_() has already been called on this optimizer since the last update().")
        if progress.stage == _STEPPED:
            raise TensorError("unscale_() is being called after step().")
        refuse_step("gradients are unscaled")
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(g._aval.dtype == np.float16 for g in gradients):
            raise ArgumentError("Attempting to unscale FP16 gradients.")
        if gradients:
            *values, progress.found = apply(_unscaled, (*[g.detach() for g in gradients], scale))
            bases = [g._storage for g in gradients if g._view is None]
            if len(bases) == len(gradients):
                put(bases, [v._value() for v in values])
            else:
                for g, value in zip(gradients, values, strict=True):
                    g.detach()._overwrite(value)
        progress.stage = _UNSCALED

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step, unless a gradient is not finite; gradients are unscaled before where that is still to
        be done.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise TensorError("Closure use is not currently supported if GradScaler is enabled.")
        self._known_scale("step")
        progress = self._of(optimizer)
        if progress.stage == _STEPPED:
            raise TensorError("step() has already been called since the last update().")
        if progress.stage == _READY:
            self.unscale_(optimizer)
        assert progress.found is not None, "No inf checks were recorded for this optimizer."
        result = None if progress.found.item() else optimizer.step(*args, **kwargs)
        progress.stage = _STEPPED
        return result

    def update(self, new_scale: Any = None) -> None:
        """Shrink the scale after gradients that were not finite, grow it after enough steps without; or set it to
        `new_scale`.
        """
        if not self._enabled:
            return
        scale = self._known_scale("update").item()
        if new_scale is not None:
            if isinstance(new_scale, Tensor):
                assert new_scale.numel() == 1 and not new_scale.requires_grad, (
                    "new_scale should be a float or a 1-element torch.FloatTensor with requires_grad=False."
                )
            self._set_scale(float(new_scale))
        else:
            found = [p.found for p in self._progress.values() if p.found is not None]
            assert found, "No inf checks were recorded prior to update."
            if any(f.item() for f in found):
                self._set_scale(scale * self._backoff_factor)
                self._growth_tracker = 0
            elif self._growth_tracker + 1 == self._growth_interval:
                grown = (
                    np.float32(scale) * np.float32(self._growth_factor)
                    if scale * self._growth_factor <= np.finfo(np.float32).max
                    else math.inf
                )
                if math.isfinite(grown):
                    self._set_scale(float(grown))
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
        self._progress.clear()

    def is_enabled(self) -> bool:
        """Whether anything is scaled."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale; 1 where nothing is scaled."""
        if not self._enabled:
            return 1.0
        return float(self._init_scale) if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by when it grows."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by when it grows."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by when it shrinks."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale is multiplied by when it shrinks."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many steps with finite gradients the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many steps with finite gradients the scale grows."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        return self._growth_tracker if self._enabled else 0

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and count of steps; empty where nothing is scaled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; RuntimeError for that of a scaler that scaled nothing."""
        if not self._enabled:
            return
        if not state_dict:
            raise TensorError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        scale, growth, backoff = (float(state_dict[name]) for name in ("scale", "growth_factor", "backoff_factor"))
        interval, tracker = (int(state_dict[name]) for name in ("growth_interval", "_growth_tracker"))
        self._init_scale = scale
        if self._scale is not None:
            self._set_scale(scale)
        self._growth_factor, self._backoff_factor, self._growth_interval, self._growth_tracker = (
            growth,
            backoff,
            interval,
            tracker,
        )

    def __getstate__(self) -> dict[str, Any]:
        assert not self._progress, (
            "A GradScaler instance may only be pickled at the beginning of an iteration, "
            "or at the end after scaler.update()."
        )
        return {**self.__dict__, "_scale": None, "_init_scale": self.get_scale()}
