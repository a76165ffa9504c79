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

__all__ = ["accelerator", "backends", "Event", "Stream", "cpu", "cuda", "mps", "mtia", "xpu"]


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


class _OfDevice:
    """RuntimeError: it belongs to a device, and tensors use none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _missing()


class Stream(_OfDevice):
    """An order of a device's work. RuntimeError: tensors use no device."""


class Event(_OfDevice):
    """A mark in an order of a device's work. RuntimeError: tensors use no device."""


class CUDAGraph(_OfDevice):
    """Work of a device as a whole. RuntimeError: tensors use no device."""


class device:
    """A block in which a device is the current one: none is, so nothing changes for None or -1; RuntimeError else."""

    def __init__(self, device: Any) -> None:
        if device not in (None, -1):
            _missing()

    def __enter__(self) -> None: ...

    def __exit__(self, *error: Any) -> None: ...


def _none(*args: Any, **kwargs: Any) -> list[Any]:
    """No device, no list of anything."""
    return []


def _empty(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """No device, no numbers of it."""
    return {}


def _absent(**more: Any) -> SimpleNamespace:
    return SimpleNamespace(
        is_available=_false, is_initialized=_false, device_count=_zero, manual_seed=_nothing, manual_seed_all=_nothing,
        seed=_nothing, seed_all=_nothing, synchronize=_nothing,
        empty_cache=_nothing, memory_allocated=_zero, max_memory_allocated=_zero, memory_reserved=_zero,
        max_memory_reserved=_zero, reset_peak_memory_stats=_nothing,
        current_device=_missing, set_device=_nothing, get_device_name=_missing, get_device_properties=_missing,
        get_device_capability=_missing, is_bf16_supported=_false,
        memory_summary=lambda *a, **k: "", Stream=Stream, Event=Event,
        StreamContext=contextlib.nullcontext, device=device, current_stream=_missing,
        default_stream=_missing, stream=contextlib.nullcontext, set_stream=_nothing, mem_get_info=_missing,
        get_rng_state=_missing, get_rng_state_all=_none, set_rng_state=_missing, set_rng_state_all=_nothing,
        memory_stats=_empty, reset_max_memory_allocated=_nothing, reset_max_memory_cached=_nothing,
        is_current_stream_capturing=_false, get_arch_list=_none, initial_seed=_missing, init=_nothing,
        default_generators=(), driver_allocated_memory=_zero, current_allocated_memory=_zero,
        recommended_max_memory=_zero, ipc_collect=_nothing, **more,
    )  # fmt: skip


cuda = _absent(
    amp=amp.cuda_amp,
    CUDAGraph=CUDAGraph,
    graph=_missing,
    OutOfMemoryError=type("OutOfMemoryError", (RuntimeError,), {}),
    **legacy.CUDA_TYPES,
)
mps, xpu, mtia = _absent(), _absent(), _absent()
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
    mps=SimpleNamespace(is_available=_false, is_built=_false, is_macos_or_newer=_false, is_macos13_or_newer=_false),
    cuda=SimpleNamespace(
        matmul=SimpleNamespace(allow_tf32=False), is_built=_false, sdp_kernel=lambda *a, **k: contextlib.nullcontext()
    ),
    mkl=SimpleNamespace(is_available=_false),
    mkldnn=SimpleNamespace(is_available=_false, enabled=False),
    openmp=SimpleNamespace(is_available=_false),
    opt_einsum=SimpleNamespace(enabled=False, strategy=None),
)
