"""`torch.autograd.graph`: hooks on several gradients, and what is said of saved tensors.

What backward needs is part of programs, not a list of tensors: nothing can be put in its place, and nothing has to be
kept on another device.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fdl.extend import Node
from fdl.stateful.core.errors import ArgumentError, TensorError, UnsupportedError
from fdl.stateful.core.tape import HookHandle
from fdl.stateful.core.tensor import Tensor

__all__ = [
    "GradientEdge", "Node", "disable_saved_tensors_hooks", "get_gradient_edge", "increment_version",
    "register_multi_grad_hook", "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip


class GradientEdge(NamedTuple):
    """Where on the tape a tensor comes from."""

    node: Any
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The node that made a tensor, and the number of the result that it is.

    >>> import fdl.stateful as torch
    >>> torch.autograd.graph.get_gradient_edge(torch.ones(1, requires_grad=True) * 2).output_nr
    0
    """
    node = tensor._node()
    if node is None:
        raise TensorError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(node, tensor._index())


class saved_tensors_hooks:
    """NotImplementedError: what backward needs is kept by programs, which call no hooks on it."""

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        raise UnsupportedError(
            "saved_tensors_hooks: what backward needs is kept by compiled programs, which hand none of it to hooks"
        )


@contextlib.contextmanager
def save_on_cpu(pin_memory: bool = False, device_type: str = "cuda") -> Iterator[None]:
    """Nothing: what is saved is on the CPU."""
    yield


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Nothing: there are none."""
    yield


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Count a change that was made behind the back."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        t._storage.version += 1


class _Together:
    """Calls a function once all, or as soon as any, of several gradients are known."""

    def __init__(self, number: int, fn: Callable[..., Any], first: bool) -> None:
        self.number, self.fn, self.first = number, fn, first
        self.found: dict[int, Any] = {}

    def arrived(self, place: int, gradient: Any) -> None:
        if self.first:
            if not self.found:
                self.fn(gradient)
            self.found[place] = None
        else:
            self.found[place] = gradient
            if len(self.found) == self.number:
                self.fn([self.found[k] for k in range(self.number)])
        if len(self.found) == self.number:
            self.found = {}


class _Handles:
    """Takes several hooks away."""

    def __init__(self, handles: Sequence[HookHandle]) -> None:
        self.handles = handles

    def remove(self) -> None:
        """Take them away."""
        for h in self.handles:
            h.remove()

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[..., Any], *, mode: str = "all") -> _Handles:
    """Call `fn` with the list of all gradients of some tensors, once they are known; or, with mode "any", with the
    first one.

    >>> import fdl.stateful as torch
    >>> x, y = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    >>> h = torch.autograd.graph.register_multi_grad_hook((x, y), lambda gs: print([g.item() for g in gs]))
    >>> (x + 2 * y).backward()
    [1.0, 2.0]
    """
    if mode not in ("all", "any"):
        raise ArgumentError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    together = _Together(len(tensors), fn, mode == "any")
    return _Handles([t.register_hook(_told(together, k)) for k, t in enumerate(tensors)])


def _told(together: _Together, place: int) -> Callable[[Any], None]:
    return lambda gradient: together.arrived(place, gradient)
