"""`torch.autograd.forward_ad`: importable, and truthful. Tensors carry no tangents here: `torch.func.jvp` is what
computes with both.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from fdl.stateful.core.errors import UnsupportedError
from fdl.stateful.core.tensor import Tensor

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]

_current_level = -1


class UnpackedDualTensor(NamedTuple):
    """A tensor, and its tangent where it has one."""

    primal: Tensor
    tangent: Tensor | None


def _refused(name: str) -> NoReturn:
    raise UnsupportedError(
        f"torch.autograd.forward_ad.{name}: tensors carry no tangents",
        hint="torch.func.jvp(f, (x,), (tangent,))",
    )


def enter_dual_level() -> NoReturn:
    """NotImplementedError: tensors carry no tangents."""
    _refused("enter_dual_level")


def exit_dual_level(*, level: int | None = None) -> NoReturn:
    """NotImplementedError: no level was entered."""
    _refused("exit_dual_level")


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> NoReturn:
    """NotImplementedError: tensors carry no tangents."""
    _refused("make_dual")


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The tensor, and no tangent.

    >>> import fdl.stateful as torch
    >>> unpack_dual(torch.ones(1)).tangent is None
    True
    """
    return UnpackedDualTensor(tensor, None)


class dual_level:
    """A block in which tensors carry tangents. NotImplementedError: none do."""

    def __enter__(self) -> Any:
        _refused("dual_level")

    def __exit__(self, *error: Any) -> None: ...
