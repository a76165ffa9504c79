"""`torch.cuda`, `torch.mps` and `torch.backends`: they answer truthfully that tensors live on the CPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def _nothing(*args: Any, **kwargs: Any) -> None:
    """No device, nothing to do."""


def _absent() -> SimpleNamespace:
    return SimpleNamespace(
        is_available=lambda: False, device_count=lambda: 0, manual_seed=_nothing, manual_seed_all=_nothing, synchronize=_nothing, empty_cache=_nothing
    )  # fmt: skip


cuda, mps = _absent(), _absent()
backends = SimpleNamespace(
    cudnn=SimpleNamespace(enabled=False, benchmark=False, deterministic=True, is_available=lambda: False),
    mps=SimpleNamespace(is_available=lambda: False, is_built=lambda: False),
    cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False)),
)
