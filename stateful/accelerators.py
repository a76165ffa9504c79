"""Devices that PyTorch's scripts ask for: `cuda`, `mps`, `accelerator`, `backends` and `amp` answer truthfully that tensors live on the CPU."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from fdl.stateful._dtypes import of
from fdl.stateful._tensor import Tensor

__all__ = ["GradScaler", "accelerator", "amp", "autocast", "backends", "cuda", "mps"]


def _nothing(*args: Any, **kwargs: Any) -> None:
    """No device, nothing to do."""


def _zero(*args: Any, **kwargs: Any) -> int:
    """No device, no memory."""
    return 0


def _false(*args: Any, **kwargs: Any) -> bool:
    """No device can do that."""
    return False


def _missing(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("fdl computes on the CPU here: no CUDA, MPS or other accelerator is used by tensors")


class autocast:
    """A context, or decorator, that changes nothing: operations run in the dtype of their operands, which is at least as exact."""

    def __init__(self, device_type: str = "cpu", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None) -> None:
        self.device, self.fast_dtype, self._enabled = device_type, dtype, enabled

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *args: object) -> None:
        return None

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return f(*args, **kwargs)

        return wrapped


class GradScaler:
    """Scales nothing, since gradients are not in half precision: `step` is the optimizer's."""

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._enabled = False

    def scale(self, outputs: Any) -> Any:
        """The loss as it is."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing: gradients are not scaled."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Nothing: there is no scale."""

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def is_enabled(self) -> bool:
        """Whether gradients are scaled: no."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to load."""


def _typed(name: str) -> type:
    """An old constructor such as `LongTensor`, which also is the type that `isinstance` asks for."""

    class Meta(type):
        def __instancecheck__(cls, x: object) -> bool:
            return isinstance(x, Tensor) and x.dtype == of(name)

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            from_sizes = args and all(isinstance(a, int) for a in args)
            if from_sizes or not args:
                return Tensor(*args).to(of(name)) if args else Tensor([]).to(of(name))
            data = args[0]
            return (data if isinstance(data, Tensor) else _made(data, name)).to(of(name))

    return Meta(f"{name}Tensor", (), {"dtype": of(name), "__doc__": f"Tensors of {name}."})


def _made(data: Any, name: str) -> Any:
    return _TENSOR[0](data, dtype=of(name))


_TENSOR: list[Any] = []  # the constructor `tensor`, which the package hands in


def hand_in(tensor: Any) -> None:
    """Say what makes a tensor of nested lists."""
    _TENSOR[:] = [tensor]


LEGACY = {
    "DoubleTensor": "float64", "HalfTensor": "float16", "BFloat16Tensor": "bfloat16", "LongTensor": "int64", "IntTensor": "int32", "ShortTensor": "int16",
    "CharTensor": "int8", "ByteTensor": "uint8", "BoolTensor": "bool",
}  # fmt: skip
LEGACY_TYPES = {name: _typed(dtype) for name, dtype in LEGACY.items()}


def _absent(**more: Any) -> SimpleNamespace:
    return SimpleNamespace(
        is_available=_false, is_initialized=_false, device_count=_zero, manual_seed=_nothing, manual_seed_all=_nothing, seed=_nothing, seed_all=_nothing, synchronize=_nothing,
        empty_cache=_nothing, memory_allocated=_zero, max_memory_allocated=_zero, memory_reserved=_zero, max_memory_reserved=_zero, reset_peak_memory_stats=_nothing,
        current_device=_missing, set_device=_nothing, get_device_name=_missing, get_device_properties=_missing, get_device_capability=_missing, is_bf16_supported=_false,
        memory_summary=lambda *a, **k: "", Stream=_missing, Event=_missing, current_stream=_missing, default_stream=_missing, stream=contextlib.nullcontext, **more,
    )  # fmt: skip


amp = SimpleNamespace(autocast=autocast, GradScaler=GradScaler, custom_fwd=lambda f=None, **k: f or (lambda g: g), custom_bwd=lambda f=None, **k: f or (lambda g: g))
cuda = _absent(
    FloatTensor=Tensor, LongTensor=LEGACY_TYPES["LongTensor"], amp=SimpleNamespace(autocast=lambda *a, **k: autocast("cuda"), GradScaler=GradScaler),
    OutOfMemoryError=type("OutOfMemoryError", (RuntimeError,), {}),
)  # fmt: skip
mps = _absent()
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
    cudnn=SimpleNamespace(enabled=False, benchmark=False, deterministic=True, allow_tf32=False, is_available=_false, version=_nothing),
    mps=SimpleNamespace(is_available=_false, is_built=_false),
    cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False), is_built=_false, sdp_kernel=lambda *a, **k: contextlib.nullcontext()),
    mkl=SimpleNamespace(is_available=_false),
    openmp=SimpleNamespace(is_available=_false),
    opt_einsum=SimpleNamespace(enabled=False, strategy=None),
)
