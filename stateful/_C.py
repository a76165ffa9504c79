"""`torch._C`, as far as libraries ask it what there is: nothing of CUDA, MKL or Kineto."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fdl.extend import BatchTracer, transforming
from fdl.stateful._settings import get_default_device
from fdl.stateful.core.dtypes import device, dtype
from fdl.stateful.core.errors import UnsupportedError
from fdl.stateful.core.layouts import memory_format
from fdl.stateful.core.random import Generator
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.functions.conversions import dtype_and_device
from fdl.stateful.jit import ScriptFunction, ScriptModule
from fdl.stateful.overrides import DisableTorchFunction, DisableTorchFunctionSubclass, disabled

__all__ = [
    "DisableTorchFunction", "DisableTorchFunctionSubclass", "Generator", "PyTorchFileReader", "ScriptFunction",
    "ScriptModule",
]  # fmt: skip

_has_mkldnn = _has_mps = _has_cuda = has_cuda = has_mkl = has_openmp = has_spectral = False
has_lapack = True
_TensorMeta = type(Tensor)
_disabled_torch_function_impl = disabled


def _log_api_usage_once(event: str) -> None:
    """Nothing: no use is counted."""


def _get_tracing_state() -> Any:
    """None: nobody traces."""
    return None


def _is_tracing() -> bool:
    """No."""
    return False


def _cuda_isCurrentStreamCapturing() -> bool:
    """No."""
    return False


def _get_default_device() -> str:
    """The kind of device on which tensors are made if nobody says."""
    return get_default_device().type


def _are_functorch_transforms_active() -> bool:
    """Whether a transform of `torch.func` runs."""
    return transforming()


def _is_batched(t: Any) -> bool:
    """Whether a tensor has a dimension that `torch.vmap` hides."""
    return isinstance(t, Tensor) and isinstance(t._value(), BatchTracer)


def _of_levels(*args: Any, **kwargs: Any) -> Any:
    """NotImplementedError: transforms have no numbered levels here."""
    raise UnsupportedError(
        "torch._C._functorch: transforms have no numbered levels here", hint="torch.func.vmap and its kin"
    )


_functorch = SimpleNamespace(
    is_batchedtensor=_is_batched, get_unwrapped=_of_levels, maybe_get_bdim=_of_levels, maybe_get_level=_of_levels,
    _add_batch_dim=_of_levels, _remove_batch_dim=_of_levels, _vmap_increment_nesting=_of_levels,
    _vmap_decrement_nesting=_of_levels,
)  # fmt: skip


class PyTorchFileReader:
    """NotImplementedError: records of a file are read by `load` alone."""

    def __init__(self, name: Any) -> None:
        raise UnsupportedError("torch.PyTorchFileReader: records of a file are read by torch.load alone")


class _Own:
    """Functions of `torch._C._nn`."""

    @staticmethod
    def _parse_to(*args: Any, **kwargs: Any) -> tuple[device | None, dtype | None, bool, memory_format | None]:
        """What the arguments of `to` mean: a device, a dtype, whether to wait, and a memory format."""
        kind, place = dtype_and_device(args, kwargs.get("dtype"), kwargs.get("device"))
        waits = next((a for a in args if isinstance(a, bool)), kwargs.get("non_blocking", False))
        return None if place is None else device(place), kind, waits, kwargs.get("memory_format")


_nn = _Own()
