"""Devices that PyTorch's scripts ask for: `cuda`, `mps`, `accelerator`, `backends` and `amp` answer truthfully that
tensors live on the CPU.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

from fdl.stateful import amp
from fdl.stateful.core.errors import TensorError
from fdl.stateful.functions import legacy

__all__ = ["accelerator", "backends", "cpu", "cuda", "mps"]


def _nothing(*args: Any, **kwargs: Any) -> None:
    """No device, nothing to do."""


def _zero(*args: Any, **kwargs: Any) -> int:
    """No device, no memory."""
    return 0


def _false(*args: Any, **kwargs: Any) -> bool:
    """No device can do that."""
    return False


def _missing(*args: Any, **kwargs: Any) -> Any:
    raise TensorError("fdl computes on the CPU here: no CUDA, MPS or other accelerator is used by tensors")


def _absent(**more: Any) -> SimpleNamespace:
    return SimpleNamespace(
        is_available=_false, is_initialized=_false, device_count=_zero, manual_seed=_nothing, manual_seed_all=_nothing,
        seed=_nothing, seed_all=_nothing, synchronize=_nothing,
        empty_cache=_nothing, memory_allocated=_zero, max_memory_allocated=_zero, memory_reserved=_zero,
        max_memory_reserved=_zero, reset_peak_memory_stats=_nothing,
        current_device=_missing, set_device=_nothing, get_device_name=_missing, get_device_properties=_missing,
        get_device_capability=_missing, is_bf16_supported=_false,
        memory_summary=lambda *a, **k: "", Stream=_missing, Event=_missing, current_stream=_missing,
        default_stream=_missing, stream=contextlib.nullcontext, **more,
    )  # fmt: skip


cuda = _absent(
    amp=amp.cuda_amp,
    OutOfMemoryError=type("OutOfMemoryError", (RuntimeError,), {}),
    **legacy.CUDA_TYPES,
)
mps = _absent()
cpu = SimpleNamespace(
    amp=amp.cpu_amp,
    is_available=lambda: True,
    device_count=lambda: 1,
    synchronize=_nothing,
    current_device=lambda: "cpu",
)
accelerator = SimpleNamespace(
    is_available=_false,
    current_accelerator=_nothing,
    device_count=_zero,
    synchronize=_nothing,
    current_device_index=_missing,
    set_device_index=_nothing,
    memory_allocated=_zero,
    device_index=contextlib.nullcontext,
)
backends = SimpleNamespace(
    cudnn=SimpleNamespace(
        enabled=False, benchmark=False, deterministic=True, allow_tf32=False, is_available=_false, version=_nothing
    ),
    mps=SimpleNamespace(is_available=_false, is_built=_false),
    cuda=SimpleNamespace(
        matmul=SimpleNamespace(allow_tf32=False), is_built=_false, sdp_kernel=lambda *a, **k: contextlib.nullcontext()
    ),
    mkl=SimpleNamespace(is_available=_false),
    openmp=SimpleNamespace(is_available=_false),
    opt_einsum=SimpleNamespace(enabled=False, strategy=None),
)
