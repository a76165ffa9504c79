"""What scripts set or ask of PyTorch as a whole: printing, precision, types, compilation, versions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

import fdl.numpy as jnp
from fdl.stateful.core.dtypes import default_device, device, dtype, to_numpy
from fdl.stateful.core.errors import ArgumentError, OperandError, TensorError
from fdl.stateful.core.format import set_printoptions
from fdl.stateful.core.tensor import Tensor
from fdl.stateful.storage import UntypedStorage

__all__ = [
    "are_deterministic_algorithms_enabled", "compile", "compiled_with_cxx11_abi", "finfo", "get_default_device",
    "get_deterministic_debug_mode", "get_device_module", "get_float32_matmul_precision", "iinfo",
    "is_deterministic_algorithms_warn_only_enabled", "is_storage", "set_default_device",
    "set_deterministic_debug_mode", "set_float32_matmul_precision", "set_printoptions",
    "use_deterministic_algorithms", "version",
]  # fmt: skip


class _Info:
    """Facts of a dtype."""

    def __init__(self, d: dtype, facts: Any, names: tuple[str, ...]) -> None:
        self.dtype = str(d).removeprefix("torch.")
        for name in names:
            setattr(self, name, facts[name])


class finfo(_Info):
    """Facts of a float dtype: `bits`, `eps`, `max`, `min`, `tiny`, `smallest_normal`, `resolution`.

    >>> import fdl.stateful as torch
    >>> torch.finfo(torch.float32).bits
    32
    """

    def __init__(self, type: dtype | None = None) -> None:
        d = (type if type is not None else _default()).to_real()  # of complex numbers their parts
        if not d.is_floating_point:
            raise OperandError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{d}'")
        info = jnp.finfo(to_numpy(d))
        facts = {
            "bits": d.itemsize * 8,
            "eps": float(info.eps),
            "max": float(info.max),
            "min": float(info.min),
            "tiny": float(info.tiny),
        }
        facts |= {"smallest_normal": facts["tiny"], "resolution": float(info.resolution)}
        super().__init__(d, facts, tuple(facts))


class iinfo(_Info):
    """Facts of an integer dtype: `bits`, `max`, `min`.

    >>> import fdl.stateful as torch
    >>> torch.iinfo(torch.int8).max
    127
    """

    def __init__(self, type: dtype) -> None:
        info = np.iinfo(to_numpy(type))
        super().__init__(type, {"bits": info.bits, "max": int(info.max), "min": int(info.min)}, ("bits", "max", "min"))


def _default() -> dtype:
    from_list = Tensor([0.0])
    return from_list.dtype


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """The model or function as it is: what comes back often enough runs compiled anyhow.

    >>> import fdl.stateful as torch
    >>> f = torch.compile(lambda x: x + 1); f(torch.ones(1))
    tensor([2.])
    """
    if model is None:
        return lambda f: f
    return model


def set_float32_matmul_precision(precision: str) -> None:
    """Nothing: products of float32 are always in float32."""
    if precision not in ("highest", "high", "medium"):
        raise ArgumentError(f"precision must be one of highest, high and medium, not {precision!r}")


def get_float32_matmul_precision() -> str:
    """How exact products of float32 are."""
    return "highest"


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Nothing: all algorithms are deterministic."""


def are_deterministic_algorithms_enabled() -> bool:
    """Yes: all algorithms are deterministic."""
    return True


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """No: there is nothing to warn of."""
    return False


def get_deterministic_debug_mode() -> int:
    """2: what is not deterministic would be an error, and nothing is."""
    return 2


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Nothing: all algorithms are deterministic."""


def get_device_module(device: Any = None) -> Any:
    """The module of a device; RuntimeError for one that is not there."""
    raise TensorError(f"get_device_module: tensors live on the CPU, which has no module of its own, not on {device}")


def compiled_with_cxx11_abi() -> bool:
    """No: there is no C++."""
    return False


def set_default_device(d: Any) -> None:
    """Where tensors are made if nobody says: the CPU, or the meta device; RuntimeError for another."""
    place = device("cpu" if d is None else d)
    if place.type not in ("cpu", "meta"):
        raise TensorError(f"set_default_device: tensors live on the CPU, not on {d}")
    default_device.standing = place


def get_default_device() -> device:
    """Where tensors are made if nobody says."""
    return default_device.place()


def is_storage(obj: object) -> bool:
    """Whether `obj` is a storage."""
    return isinstance(obj, UntypedStorage)


version = SimpleNamespace(
    cuda=None, hip=None, rocm=None, xpu=None, debug=False, git_version="", __version__="2.13.0+fdl"
)
